/* What all explorers share. An explorer's own file defines one object and exports it through `host`:
 *
 *   const explorer = {
 *     size: [width, height],                       of the canvas, in CSS pixels
 *     limits(state, data) { return { shift: 6 } }  optional: the largest value of a slider in this state
 *     draw(context, state, data) { … }             paints the whole canvas
 *     words(name, state, data) { return "12 px" }  a slider's value in words
 *     describe(state, data) { return "…" }         the whole picture in words
 *     point(x, y, state, data) { return { … } }    optional: what changes when the pointer moves to (x, y)
 *     follow(before, after, data) { return { … } } optional: what else changes with a slider
 *   };
 *   export default { render: (view) => host(view, explorer) };
 *
 * A control with words is a choice among them, by radio buttons; it has no limits, and `words` is not asked.
 * `state` maps the names of controls to numbers; `data` maps array names to { data, shape }.
 */

const BLUE = "#0072b2", ORANGE = "#e69f00", GREEN = "#009e73", PURPLE = "#cc79a7", INK = "#1a1a1a", MUTED = "#767676", PAPER = "#ffffff";

const STYLE = `
.swin-explorer { background: ${PAPER}; color: ${INK}; padding: 8px; font: 13px/1.5 system-ui, sans-serif; max-width: 760px; }
.swin-explorer .sliders { display: flex; flex-wrap: wrap; gap: 4px 24px; margin-bottom: 6px; }
.swin-explorer .slider { display: grid; grid-template-columns: auto auto; justify-content: space-between; align-items: end; min-width: 150px; flex: 1 1 150px; }
.swin-explorer .slider output { justify-self: end; }
.swin-explorer .slider input { grid-column: 1 / 3; width: 100%; min-width: 0; margin: 2px 0; accent-color: ${BLUE}; }
.swin-explorer .choice { flex: 1 1 100%; min-width: 0; margin: 0; padding: 2px 0 4px; border: 0; }
.swin-explorer .choice legend { padding: 0; font: inherit; font-weight: 600; color: inherit; }
.swin-explorer .choice label { display: inline-flex; align-items: center; gap: 4px; min-height: 24px; margin-right: 12px; }
.swin-explorer .choice input { width: 16px; height: 16px; margin: 0; accent-color: ${BLUE}; }
.swin-explorer .choice input:focus-visible { outline: 2px solid ${BLUE}; outline-offset: 2px; }
.swin-explorer .frame { overflow-x: auto; }
.swin-explorer canvas { display: block; width: 100%; min-width: 560px; height: auto; touch-action: pan-x pan-y; }
.swin-explorer p { margin: 6px 0 0; min-height: 3em; color: ${INK}; }
`;

function host({ model, el }, explorer) {
  const data = unpack(model.get("arrays"));
  const root = element("div", "swin-explorer", { role: "group", "aria-label": model.get("heading") });
  const sliders = element("div", "sliders");
  const canvas = element("canvas", "", { role: "img" });
  const sentence = element("p");
  const style = element("style");
  style.textContent = STYLE;
  const frame = element("div", "frame");
  frame.append(canvas);
  root.append(style, sliders, frame, sentence);
  const inputs = model.get("controls").map((control) => (control.words ? choice : slider)(control, sliders, move));
  const context = prepare(canvas, explorer.size);

  /* What is shown: the controls' values, each at most its limit. The model keeps the reader's wish. */
  function shown(changes = {}) {
    const wished = Object.fromEntries(inputs.map(({ name }) => [name, model.get(name)]));
    return within(inputs, { ...wished, ...changes }, explorer, data);
  }

  let moving = false;
  function move(changes) {
    const followed = explorer.follow?.(shown(), shown(changes), data) ?? {};
    moving = true; // paint once, after all values have changed
    for (const [name, value] of Object.entries({ ...followed, ...changes })) model.set(name, value);
    moving = false;
    model.save_changes();
    paint();
  }

  let painted = "";
  function paint() {
    const state = shown();
    const key = JSON.stringify(state);
    if (moving || key === painted) return;
    painted = key;
    explorer.draw(context, state, data);
    for (const input of inputs) input.show(state, explorer, data);
    sentence.textContent = explorer.describe(state, data);
    canvas.setAttribute("aria-label", sentence.textContent);
  }

  /* The browser's zoom may have changed, or the canvas may have lost its pixels. */
  function refresh() {
    prepare(canvas, explorer.size);
    painted = "";
    paint();
  }

  function point(event) {
    const bounds = canvas.getBoundingClientRect();
    const scale = explorer.size[0] / bounds.width;
    const changes = explorer.point((event.clientX - bounds.left) * scale, (event.clientY - bounds.top) * scale, shown(), data);
    if (changes) move(changes);
  }

  if (explorer.point) for (const kind of ["pointermove", "pointerdown"]) canvas.addEventListener(kind, point);
  canvas.addEventListener("contextrestored", refresh);
  window.addEventListener("resize", refresh);
  for (const { name } of inputs) model.on(`change:${name}`, paint);
  el.append(root);
  paint();
  return () => {
    window.removeEventListener("resize", refresh);
    for (const { name } of inputs) model.off(`change:${name}`, paint);
  };
}

function slider(control, parent, move) {
  const { name, label, values } = control;
  const id = unique(name);
  const row = element("div", "slider");
  const text = element("label", "", { for: id });
  const value = element("output", "", { for: id });
  const input = element("input", "", { type: "range", id, min: 0, max: values.length - 1, step: 1 });
  input.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes the arrow keys
  text.textContent = label;
  row.append(text, value, input);
  parent.append(row);
  input.addEventListener("input", () => move({ [name]: values[input.valueAsNumber] }));
  function show(state, explorer, data) {
    const limit = largest(control, state, explorer, data);
    input.max = values.length - 1 - values.filter((v) => v > limit).length;
    input.valueAsNumber = values.indexOf(state[name]);
    value.textContent = String(state[name]);
    input.setAttribute("aria-valuetext", explorer.words(name, state, data));
  }
  return { ...control, show };
}

/* One of a few words: a radio button for each value. */
function choice(control, parent, move) {
  const { name, label, values, words } = control;
  const group = unique(name);
  const field = element("fieldset", "choice"), legend = element("legend");
  legend.textContent = label;
  field.append(legend);
  parent.append(field);
  const buttons = words.map((word, index) => {
    const button = element("input", "", { type: "radio", name: group });
    const row = element("label");
    button.dataset.lmSuppressShortcuts = "true"; // else JupyterLab takes the arrow keys
    button.addEventListener("input", () => move({ [name]: values[index] }));
    row.append(button, word);
    field.append(row);
    return button;
  });
  const show = (state) => buttons.forEach((button, index) => (button.checked = values[index] === state[name]));
  return { ...control, show };
}

/* A name for an element: an explorer may stand on a page several times. */
const unique = (name) => `swin-${name}-${Math.random().toString(36).slice(2)}`;

function largest(control, state, explorer, data) {
  return explorer.limits?.(state, data)[control.name] ?? control.values.at(-1);
}

function within(controls, state, explorer, data) {
  const result = { ...state };
  for (const control of controls) result[control.name] = Math.min(result[control.name], largest(control, result, explorer, data));
  return result;
}

function prepare(canvas, [width, height]) {
  const density = Math.max(1, globalThis.devicePixelRatio || 1);
  canvas.width = width * density;
  canvas.height = height * density;
  const context = canvas.getContext("2d");
  context.scale(density, density);
  context.imageSmoothingEnabled = false;
  return context;
}

function element(tag, className = "", attributes = {}) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function unpack(arrays) {
  const unpacked = {};
  for (const [name, { dtype, shape, bytes }] of Object.entries(arrays)) {
    const buffer = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
    const read = { uint8: (b) => new Uint8Array(b), float32: (b) => new Float32Array(b), float16: (b) => Float32Array.from(new Uint16Array(b), half) };
    unpacked[name] = { data: read[dtype](buffer), shape };
  }
  return unpacked;
}

/* Browsers are only beginning to know 16-bit floats. */
function half(bits) {
  const exponent = (bits >> 10) & 31, fraction = bits & 1023, sign = bits & 32768 ? -1 : 1;
  return exponent ? sign * 2 ** (exponent - 15) * (1 + fraction / 1024) : (sign * fraction) / 2 ** 24;
}

/* An RGB array (H, W, 3) as a canvas that drawImage can scale; made once per array. */
const photographs = new WeakMap();
function photograph(array) {
  if (!photographs.has(array)) {
    const [height, width] = array.shape;
    const canvas = document.createElement("canvas");
    canvas.width = width;
    canvas.height = height;
    const pixels = new ImageData(width, height);
    for (let i = 0; i < width * height; i++) {
      for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = array.data[3 * i + c];
      pixels.data[4 * i + 3] = 255;
    }
    canvas.getContext("2d").putImageData(pixels, 0, 0);
    photographs.set(array, canvas);
  }
  return photographs.get(array);
}

function lines(context, xs, ys, box, color, width) {
  const [left, top, right, bottom] = box;
  context.beginPath();
  for (const x of xs) context.moveTo(x, top), context.lineTo(x, bottom);
  for (const y of ys) context.moveTo(left, y), context.lineTo(right, y);
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke();
}

function label(context, text, x, y, { align = "left", size = 13, color = INK, weight = "normal" } = {}) {
  context.font = `${weight} ${size}px system-ui, sans-serif`;
  context.textAlign = align;
  context.textBaseline = "alphabetic";
  context.fillStyle = color;
  context.fillText(text, x, y);
}

function steps(start, stop, step) {
  const values = [];
  for (let value = start; value <= stop + 1e-9; value += step) values.push(value);
  return values;
}

/* Hatch a rectangle so that it stands out from light and from dark pictures. */
function hatch(context, x, y, width, height) {
  if (width <= 0 || height <= 0) return;
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.fillStyle = "rgba(255,255,255,0.4)";
  context.fillRect(x, y, width, height);
  context.beginPath();
  for (let offset = -height; offset < width; offset += 7) context.moveTo(x + offset, y + height), context.lineTo(x + offset + height, y);
  context.strokeStyle = "rgba(26,26,26,0.7)";
  context.lineWidth = 1;
  context.stroke();
  context.restore();
}

/* The pieces of the rolled map that were not neighbours before, 0 to 3, rows first: swin_edu.shift.region_ids. */
function regionIds(height, width, down, right) {
  return Array.from({ length: height * width }, (_, token) => 2 * (Math.floor(token / width) >= height - down) + (token % width >= width - right));
}

const grouped = (number) => String(number).replace(/\B(?=(\d{3})+$)/g, ",");

/* The colours of values, as [red, green, blue]: matplotlib's cividis for 0 to 1; blue, white, orange for -1 to 1. */
const CIVIDIS = [[0, 34, 78], [8, 51, 112], [53, 69, 108], [79, 87, 108], [102, 105, 112], [125, 124, 120], [148, 142, 119], [174, 163, 113], [200, 184, 102], [229, 207, 82], [254, 232, 56]];
function valueColor(share) {
  const place = Math.min(1, Math.max(0, share)) * (CIVIDIS.length - 1), index = Math.min(CIVIDIS.length - 2, Math.floor(place));
  return CIVIDIS[index].map((low, c) => low + (place - index) * (CIVIDIS[index + 1][c] - low));
}

function signedColor(share) {
  const end = share < 0 ? [0, 114, 178] : [230, 159, 0], size = Math.min(1, Math.abs(share));
  return end.map((value) => 255 + size * (value - 255));
}

/* A map of rows × columns cells, each in the colour `color(index)` gives as [red, green, blue]: fast for thousands. */
function raster(context, x, y, width, height, rows, columns, color) {
  const canvas = new OffscreenCanvas(columns, rows), paint = canvas.getContext("2d");
  const cells = new ImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) {
    const shown = color(i);
    for (let c = 0; c < 3; c++) cells.data[4 * i + c] = shown[c];
    cells.data[4 * i + 3] = 255;
  }
  paint.putImageData(cells, 0, 0);
  context.drawImage(canvas, x, y, width, height);
}

/* swin_edu.attention.attend_with_weights: the largest logit is taken off first, which changes no weight. */
function softmax(logits) {
  let highest = -Infinity, sum = 0;
  for (const logit of logits) highest = Math.max(highest, logit);
  const weights = logits.map((logit) => Math.exp(logit - highest));
  for (const weight of weights) sum += weight;
  return weights.map((weight) => weight / sum);
}

/* Outline what the picture is about: blue with a white edge, to be seen on any picture. */
function mark(context, x, y, width, height, thickness = 2.5) {
  for (const [color, factor] of [[PAPER, 2], [BLUE, 1]]) {
    context.strokeStyle = color;
    context.lineWidth = factor * thickness;
    context.strokeRect(x, y, width, height);
  }
}

/* Pixels of the canvas for one of the picture; it fits into the panel { left, top, side } with its longer side. */
const scaleIn = (panel, photo) => panel.side / Math.max(photo.width, photo.height);

/* A token as a rectangle on a panel: [x, y, width, height]; tokens at the border may be cut. */
function tokenIn(panel, key, photo, { width, stride }) {
  const scale = scaleIn(panel, photo), x = (key % width) * stride, y = Math.floor(key / width) * stride;
  return [panel.left + x * scale, panel.top + y * scale, Math.min(stride, photo.width - x) * scale, Math.min(stride, photo.height - y) * scale];
}

/* The picture, darker outside the window of one token, whose tokens get the colours `color(j)`, if any.
 * `found` tells of the map: { keys, the numbers of the tokens in the window, -1 for none, width, stride }. */
const DARK = 0.6, HEAT = 0.7; // shares of the picture outside the window, and of the weights' colours inside
function litWindow(context, panel, photo, found, color) {
  const scale = scaleIn(panel, photo), { width, stride } = found;
  context.drawImage(photo, panel.left, panel.top, photo.width * scale, photo.height * scale);
  context.fillStyle = `rgba(0,0,0,${1 - DARK})`;
  context.fillRect(panel.left, panel.top, photo.width * scale, photo.height * scale);
  found.keys.forEach((key, j) => {
    if (key < 0) return;
    const [x, y, w, h] = tokenIn(panel, key, photo, found);
    context.drawImage(photo, (key % width) * stride, Math.floor(key / width) * stride, w / scale, h / scale, x, y, w, h);
    const heat = color(j);
    if (!heat) return;
    context.fillStyle = `rgba(${heat.map(Math.round).join(",")},${HEAT})`;
    context.fillRect(x, y, w, h);
  });
}

/* The window's border, what is masked, where `found.allowed` is not true, and the token itself. */
function windowFrame(context, panel, photo, found, { row, column }) {
  const { keys, allowed, width } = found, inside = new Set(keys.filter((key) => key >= 0));
  const edges = new Path2D();
  keys.forEach((key, j) => {
    if (key < 0) return;
    const [x, y, w, h] = tokenIn(panel, key, photo, found);
    if (!allowed[j]) hatch(context, x, y, w, h);
    const beside = [key % width > 0 && inside.has(key - 1), key % width < width - 1 && inside.has(key + 1), inside.has(key - width), inside.has(key + width)];
    const sides = [[x, y, x, y + h], [x + w, y, x + w, y + h], [x, y, x + w, y], [x, y + h, x + w, y + h]];
    sides.forEach(([x0, y0, x1, y1], side) => beside[side] || (edges.moveTo(x0, y0), edges.lineTo(x1, y1)));
  });
  context.lineCap = "square";
  for (const [color, thickness] of [[INK, 3.5], [ORANGE, 1.8]]) {
    context.strokeStyle = color;
    context.lineWidth = thickness;
    context.stroke(edges);
  }
  context.lineCap = "butt";
  mark(context, ...tokenIn(panel, row * width + column, photo, found), 2);
}
