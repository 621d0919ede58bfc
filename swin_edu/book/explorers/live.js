/* Training as it happens: a progress bar, and the curves of the loss and of the accuracy on held-out images. */

const SIZE = [760, 230];
const BOX = { top: 34, width: 300, height: 160 };
const PANELS = {
  losses: { left: 46, title: "mean loss of an epoch", color: BLUE, top: (values) => Math.max(...values) || 1, text: (value) => value.toFixed(2) },
  accuracies: { left: 426, title: "held-out images answered right", color: ORANGE, top: () => 1, text: (value) => `${Math.round(100 * value)} %` },
};

const share = (accuracy) => `${(100 * accuracy).toFixed(1)} %`;
const bestOf = (accuracies) => accuracies.indexOf(Math.max(...accuracies));

export function describe({ epochs, losses, accuracies, seconds, seconds_left }) {
  const done = losses.length, best = bestOf(accuracies), left = epochs - done;
  if (done === 0) return `None of ${epochs} epochs is done yet.`;
  const time = left ? `The rest takes about ${Math.ceil(seconds_left)} s.` : `All took ${Math.round(seconds)} s.`;
  return `Epoch ${done} of ${epochs}: loss ${losses.at(-1).toFixed(2)}, ${share(accuracies.at(-1))} of the held-out images right. ` +
    `Best${left ? " so far" : ""}: epoch ${best + 1} with ${share(accuracies[best])} (dashed); its weights are kept. ${time}`;
}

function draw(context, state) {
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...SIZE);
  for (const [name, panel] of Object.entries(PANELS)) curve(context, state[name], state, panel);
}

function curve(context, values, { epochs, accuracies }, { left, title, color, top, text }) {
  const highest = values.length ? top(values) : 1, bottom = BOX.top + BOX.height;
  const x = (epoch) => left + (epoch / epochs) * BOX.width, y = (value) => bottom - (value / highest) * BOX.height;
  label(context, title, left, 20, { weight: "bold" });
  lines(context, [left], [bottom], [left, BOX.top, left + BOX.width, bottom], MUTED, 1);
  for (const value of values.length ? [0, highest] : [0]) label(context, text(value), left - 6, y(value) + 4, { align: "right", size: 12, color: MUTED });
  for (const [at, what] of [[0, "0"], [epochs / 2, "epochs"], [epochs, String(epochs)]])
    label(context, what, x(at), bottom + 17, { align: "center", size: 12, color: MUTED });
  if (!values.length) return;
  context.setLineDash([4, 4]);
  lines(context, [x(bestOf(accuracies) + 1)], [], [0, BOX.top, 0, bottom], INK, 1);
  context.setLineDash([]);
  context.beginPath();
  values.forEach((value, epoch) => context.lineTo(x(epoch + 1), y(value)));
  context.strokeStyle = context.fillStyle = color;
  context.lineWidth = 2;
  context.stroke();
  context.fillRect(x(values.length) - 3, y(values.at(-1)) - 3, 6, 6);
}

function render({ model, el }) {
  const root = element("div", "swin-explorer", { role: "group", "aria-label": "training" });
  const progress = element("progress", "", { max: model.get("epochs"), "aria-label": "epochs done" });
  const canvas = element("canvas", "", { role: "img" }), sentence = element("p");
  const style = element("style"), frame = element("div", "frame");
  style.textContent = `${STYLE} .swin-explorer progress { width: 100%; accent-color: ${BLUE}; }`;
  frame.append(canvas);
  root.append(style, progress, frame, sentence);
  el.append(root);
  function paint() {
    const names = ["epochs", "losses", "accuracies", "seconds", "seconds_left"];
    const state = Object.fromEntries(names.map((name) => [name, model.get(name)]));
    progress.value = state.losses.length;
    sentence.setAttribute("aria-live", state.losses.length === state.epochs ? "polite" : "off"); // only the end is read out
    sentence.textContent = describe(state);
    canvas.setAttribute("aria-label", sentence.textContent);
    draw(prepare(canvas, SIZE), state);
  }
  model.on("change:seconds", paint); // changes with all others
  window.addEventListener("resize", paint);
  paint();
  return () => {
    model.off("change:seconds", paint);
    window.removeEventListener("resize", paint);
  };
}

export default { render };
