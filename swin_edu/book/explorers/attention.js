/* One patch compares itself with all others; softmax makes weights; the output is the mean of their colours. */

const SIDE = 28; // patches
const LIMIT = 20; // the logit of full colour
const PANEL = { top: 34, side: 176, lefts: [8, 197, 386, 575] };
const BAR = { left: 8, top: 254, width: 555, height: 30 };
const SCALES = [0, 1, 2, 4, 8, 16, 32, 64];
const KINDS = { 1: "colour", 2: "place", 3: "colour and place" };

/* The scaled logits of query i: q = (f, 1), k = (f, -|f|²/2), so that equal features have the highest. */
export function logits(i, { kind, scale }, data) {
  const result = new Float64Array(SIDE * SIDE);
  const compared = [kind !== 2 && data.colour, kind !== 1 && data.place].filter(Boolean);
  for (const { data: f, shape: [, n] } of compared)
    for (let j = 0; j < result.length; j++)
      for (let c = 0; c < n; c++) result[j] += f[i * n + c] * f[j * n + c] - f[j * n + c] ** 2 / 2;
  return result.map((logit) => scale * logit);
}

export function mean(weights, { values }) {
  const result = [0, 0, 0];
  for (let j = 0; j < weights.length; j++) for (let c = 0; c < 3; c++) result[c] += weights[j] * values.data[3 * j + c];
  return result;
}

/* The output of every query at once needs all 784² weights; Python sends it, in bytes, for all kinds and scales. */
export function outputs({ kind, scale }, { outputs }) {
  const size = 3 * SIDE * SIDE, start = ((kind - 1) * SCALES.length + SCALES.indexOf(scale)) * size;
  return outputs.data.subarray(start, start + size);
}

/* How many of the heaviest weights sum to a half, and their order. */
export function heaviestHalf(weights) {
  const order = Array.from(weights.keys()).sort((a, b) => weights[b] - weights[a]);
  let sum = 0, count = 0;
  while (sum < 0.5 - 1e-9) sum += weights[order[count++]];
  return { order, count, sum };
}

const query = ({ row, column }) => row * SIDE + column;
const own = (state, { values }) => [...values.data.subarray(3 * query(state), 3 * query(state) + 3)];
const inWords = (color) => ["red", "green", "blue"].map((name, c) => `${name} ${color[c].toFixed(2)}`).join(", ");
const css = (color) => `rgb(${color.map((value) => Math.round(255 * value)).join(",")})`;

function describe(state, data) {
  const weights = softmax(logits(query(state), state, data));
  return `Compared by ${KINDS[state.kind]}, scale ${state.scale}: the patch in row ${state.row}, ` +
    `column ${state.column} gives half of its weight to ${heaviestHalf(weights).count} of ${SIDE * SIDE} ` +
    `patches, ${weights[query(state)].toFixed(2)} to itself. Its own colour is ${inWords(own(state, data))}; ` +
    `the mean of the values is ${inWords(mean(weights, data))}.`;
}

function words(name, state) {
  return {
    kind: `patches are compared by ${KINDS[state.kind]}`,
    scale: `logits are multiplied by ${state.scale}`,
    row: `row ${state.row} of ${SIDE}, counted from 0`,
    column: `column ${state.column} of ${SIDE}, counted from 0`,
  }[name];
}

function draw(context, state, data) {
  const scores = logits(query(state), state, data), weights = softmax(scores), means = outputs(state, data);
  const highest = Math.max(...weights);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  const [photo, first, second, third] = PANEL.lefts;
  title(context, photo, "photograph and query");
  context.drawImage(photograph(data.photo), photo, PANEL.top, PANEL.side, PANEL.side);
  title(context, first, "1, 2 logits: scale · q · k");
  map(context, first, (i) => signedColor(scores[i] / LIMIT));
  title(context, second, "3 softmax: weights");
  map(context, second, (i) => valueColor(weights[i] / highest));
  title(context, third, "4 mean, for every query");
  map(context, third, (i) => means.subarray(3 * i, 3 * i + 3));
  const unit = PANEL.side / SIDE;
  for (const left of PANEL.lefts) mark(context, left + state.column * unit, PANEL.top + state.row * unit, unit, unit);
  under(context, photo, `by ${KINDS[state.kind]}, scale ${state.scale}`);
  under(context, first, `blue ${Math.min(...scores).toFixed(1)} to orange ${Math.max(...scores).toFixed(1)}`);
  under(context, second, `dark 0 to bright ${highest.toFixed(3)}; sum 1`);
  under(context, third, "the query's own is framed");
  shares(context, weights, data);
  swatch(context, 580, own(state, data), "its colour");
  swatch(context, 670, mean(weights, data), "its output");
  label(context, "→", 653, BAR.top + 21, { size: 16, align: "center" });
}

const title = (context, left, text) => label(context, text, left, 22, { weight: "bold", size: 12 });
const under = (context, left, text) => label(context, text, left, PANEL.top + PANEL.side + 16, { size: 12, color: MUTED });

function map(context, left, color) {
  raster(context, left, PANEL.top, PANEL.side, PANEL.side, SIDE, SIDE, color);
}

/* The weights as shares of one bar, heaviest first, each in the colour of its value. */
function shares(context, weights, { values }) {
  const { order, count, sum } = heaviestHalf(weights);
  let x = BAR.left;
  label(context, "the weights as shares of 1, heaviest first, each in the colour of its value", BAR.left, BAR.top - 7, { weight: "bold", size: 12 });
  for (const j of order) {
    context.fillStyle = css([...values.data.subarray(3 * j, 3 * j + 3)]);
    context.fillRect(x, BAR.top, weights[j] * BAR.width + 0.5, BAR.height);
    x += weights[j] * BAR.width;
  }
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(BAR.left, BAR.top, BAR.width, BAR.height);
  const half = BAR.left + sum * BAR.width;
  lines(context, [half], [], [half, BAR.top - 3, half, BAR.top + BAR.height + 5], INK, 2);
  label(context, `half of the weight: ${count} of ${SIDE * SIDE}`, Math.min(half, 440), BAR.top + BAR.height + 18, { size: 12, align: half > 440 ? "right" : "left" });
}

function swatch(context, left, color, text) {
  label(context, text, left, BAR.top - 7, { weight: "bold", size: 12 });
  context.fillStyle = css(color);
  context.fillRect(left, BAR.top, 58, BAR.height);
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(left, BAR.top, 58, BAR.height);
}

/* The pointer chooses the query on any of the four pictures. */
function point(x, y) {
  const left = PANEL.lefts.find((left) => x >= left && x < left + PANEL.side);
  const row = Math.floor(((y - PANEL.top) / PANEL.side) * SIDE);
  if (left === undefined || row < 0 || row >= SIDE) return null;
  return { row, column: Math.floor(((x - left) / PANEL.side) * SIDE) };
}

const explorer = { size: [760, 308], draw, words, describe, point };

export default { render: (view) => host(view, explorer) };
