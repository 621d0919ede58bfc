/* Runs an explorer in a page without a kernel: `start(render, place)` replaces the still picture by the live one. */

function start(render, place) {
  const stored = JSON.parse(place.querySelector("script").textContent);
  const arrays = Object.fromEntries(Object.entries(stored.arrays).map(([name, array]) => [name, { ...array, bytes: decode(array.bytes) }]));
  const values = { ...stored.state, arrays, controls: stored.controls, heading: stored.heading };
  const model = {
    get: (name) => values[name],
    set: (name, value) => (values[name] = value),
    on() {},
    off() {},
    save_changes() {},
  };
  place.replaceChildren();
  render({ model, el: place });
}

function decode(base64) {
  return new DataView(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)).buffer);
}
