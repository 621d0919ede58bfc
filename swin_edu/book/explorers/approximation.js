/* The matrix of exact attention, what a cheaper attention puts in its place, and the difference. */

const PANEL = { top: 34, side: 238, lefts: [8, 261, 514] };
const BAR = { top: 312, left: 150, width: 430, height: 14 };
const SHAPES = { 16: [4, 4], 32: [4, 8], 64: [8, 8], 128: [8, 16] };
const KNOBS = [1, 2, 4, 8, 16, 32, 64, 128];
const METHODS = { 1: "Performer", 2: "Linformer", 3: "Routing", 4: "Windows" };
const FLOOR = 1e-4;

function setting({ method, knob }) {
  return { 1: `${knob} features`, 2: `rank ${knob}`, 3: `${knob} clusters`, 4: `${knob} × ${knob} tokens` }[method];
}

/* Rows of an array from `first` on, times a factor. */
function rowsOf({ data, shape: [rows, width] }, first = 0, count = rows, factor = 1) {
  return Array.from({ length: count }, (_, i) => new Float64Array(data.subarray((first + i) * width, (first + i + 1) * width)).map((x) => factor * x));
}

function dot(a, b) {
  let sum = 0;
  for (let c = 0; c < a.length; c++) sum += a[c] * b[c];
  return sum;
}

const sum = (values) => values.reduce((total, value) => total + value, 0);

function queriesKeys({ length, size }, data) {
  return ["q", "k"].map((name) => rowsOf(data[name + length], 0, length, size / 4));
}

/* Softmax over the keys that stand at `places`; all others get 0. */
function attendTo(q, k, places, weights, share = 1) {
  const logits = new Float64Array(places.length), scale = 1 / Math.sqrt(q.length);
  for (let place = 0; place < places.length; place++) logits[place] = scale * dot(q, k[places[place]]);
  const found = softmax(logits);
  for (let place = 0; place < places.length; place++) weights[places[place]] += share * found[place];
}

export function exact(state, data) {
  const [q, k] = queriesKeys(state, data), all = [...k.keys()];
  return q.map((query) => {
    const weights = new Float64Array(k.length);
    attendTo(query, k, all, weights);
    return weights;
  });
}

/* swin_edu.rivals.performer: features of queries and keys, their products, divided by the sum of each row. */
function performer(q, k, { knob }, { directions }) {
  const omegas = rowsOf(directions, 0, knob), scale = q[0].length ** -0.25;
  const exponents = (x) => {
    const scaled = x.map((value) => scale * value), half = dot(scaled, scaled) / 2;
    return new Float64Array(knob).map((_, f) => dot(omegas[f], scaled) - half);
  };
  const features = (row, highest) => row.map((value) => Math.exp(value - highest) + FLOOR);
  const ofKeys = k.map(exponents), top = Math.max(...ofKeys.map((row) => Math.max(...row)));
  const queries = q.map(exponents).map((row) => features(row, Math.max(...row)));
  const keys = ofKeys.map((row) => features(row, top));
  const sums = omegas.map((_, f) => sum(keys.map((key) => key[f])));
  return queries.map((query) => {
    const divisor = dot(query, sums);
    return new Float64Array(k.length).map((_, j) => dot(query, keys[j]) / divisor);
  });
}

/* swin_edu.rivals.linformer with the means of neighbours in a row as mixtures. */
function linformer(q, k, { knob }) {
  const width = k.length / knob;
  const pooled = Array.from({ length: knob }, (_, j) => k[0].map((_, c) => sum(k.slice(j * width, (j + 1) * width).map((key) => key[c])) / width));
  return q.map((query) => {
    const weights = new Float64Array(knob);
    attendTo(query, pooled, [...pooled.keys()], weights);
    return new Float64Array(k.length).map((_, i) => weights[Math.floor(i / width)] / width);
  });
}

/* swin_edu.rivals.routing: exact inside each cluster; a query in several gets the mean. */
function routing(q, k, { knob, length }, data) {
  const start = sum(KNOBS.slice(0, KNOBS.indexOf(knob)));
  const centroids = rowsOf(data[`centroids${length}`], start, knob), size = length / knob;
  const asking = members(q, centroids, size), asked = members(k, centroids, size);
  const counts = new Float64Array(length), weights = q.map(() => new Float64Array(length));
  for (const places of asking) for (const i of places) counts[i] += 1;
  asking.forEach((places, cluster) => {
    for (const i of places) attendTo(q[i], k, asked[cluster], weights[i], 1 / counts[i]);
  });
  return weights;
}

function members(tokens, centroids, size) {
  const unit = tokens.map((x) => {
    const mean = sum(x) / x.length, centred = x.map((value) => value - mean), length = Math.sqrt(dot(centred, centred));
    return centred.map((value) => value / length);
  });
  return centroids.map((centroid) => {
    const nearness = unit.map((x) => dot(x, centroid));
    return [...nearness.keys()].sort((a, b) => nearness[b] - nearness[a]).slice(0, size);
  });
}

function windows(q, k, { knob, length }) {
  const columns = SHAPES[length][1];
  const number = (i) => Math.floor(Math.floor(i / columns) / knob) * columns + Math.floor((i % columns) / knob);
  const places = [...k.keys()], weights = q.map(() => new Float64Array(length));
  q.forEach((query, i) => attendTo(query, k, places.filter((j) => number(j) === number(i)), weights[i]));
  return weights;
}

export function approximated(state, data) {
  const [q, k] = queriesKeys(state, data);
  return { 1: performer, 2: linformer, 3: routing, 4: windows }[state.method](q, k, state, data);
}

/* The share of the weight that lies wrong: half the sum of differences, the mean of all queries. */
export function misplaced(first, second) {
  return sum(first.map((row, i) => sum(row.map((value, j) => Math.abs(value - second[i][j]))))) / 2 / first.length;
}

/* Multiplications and additions for one head; method 0 is exact attention. */
export function operations(method, knob, n, d = 16) {
  return 2 * {
    0: 2 * n * n * d,
    1: 4 * n * knob * d + n * knob,
    2: 4 * n * knob * d,
    3: 2 * n * knob * d + 2 * knob * Math.ceil(n / Math.max(1, knob)) ** 2 * d,
    4: 2 * n * knob * knob * d,
  }[method];
}

function limits({ method, length }) {
  return { knob: { 1: 128, 4: SHAPES[length][0] }[method] ?? length };
}

/* The matrices are needed for picture and sentence: keep the last ones, the exact one as long as it holds. */
const kept = { exact: {}, other: {} };
function last(name, key, data, compute) {
  if (kept[name].key !== key || kept[name].data !== data) kept[name] = { key, data, value: compute() };
  return kept[name].value;
}

function matrices(state, data) {
  const { length, size } = state;
  return {
    exact: last("exact", `${length} ${size}`, data, () => exact(state, data)),
    other: last("other", JSON.stringify(state), data, () => approximated(state, data)),
  };
}

function describe(state, data) {
  const { method, knob, length, size } = state, { exact, other } = matrices(state, data);
  const leftOut = other.filter((row) => row.every((value) => value === 0)).length;
  return `${METHODS[method]}, ${setting(state)}, for ${length} tokens; entries of q and k of size ${(size / 4).toFixed(2)}. ` +
    `${(100 * misplaced(exact, other)).toFixed(1)} % of the weight lies wrong. ` +
    `${grouped(operations(method, knob, length))} operations; exact attention needs ${grouped(operations(0, 0, length))}.` +
    (leftOut ? ` ${leftOut} queries are in no cluster and get nothing.` : "");
}

function words(name, state) {
  return { method: METHODS[state.method], knob: setting(state), length: `${state.length} tokens`, size: `entries of size ${(state.size / 4).toFixed(2)}` }[name];
}

function draw(context, state, data) {
  const { exact, other } = matrices(state, data), n = state.length;
  const highest = Math.max(...exact.map((row) => Math.max(...row)));
  const at = (matrix, i) => matrix[Math.floor(i / n)][i % n] / highest;
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  const white = [255, 255, 255];
  panel(context, 0, n, "exact attention", `dark 0 to bright ${highest.toFixed(3)}`, (i) => bright(at(exact, i)));
  const cut = other.some((row) => row.some((value) => value > highest)) ? ", cut above" : "";
  const empty = other.some((row) => row.includes(0)) ? "; white: not compared" : "";
  panel(context, 1, n, `${METHODS[state.method]}, ${setting(state)}`, `same colours${cut}${empty}`, (i) => (at(other, i) === 0 ? white : bright(at(other, i))));
  panel(context, 2, n, "the difference", "blue: too little, orange: too much", (i) => signed(at(other, i) - at(exact, i)));
  bars(context, state, misplaced(exact, other));
}

const PALETTE = Array.from({ length: 256 }, (_, i) => valueColor(i / 255)), SIGNS = Array.from({ length: 511 }, (_, i) => signedColor(i / 255 - 1));
const bright = (share) => PALETTE[Math.min(255, Math.round(255 * root(share)))];
const signed = (share) => SIGNS[Math.max(0, Math.min(510, Math.round(255 * root(share)) + 255))];
const root = (value) => Math.sign(value) * Math.sqrt(Math.abs(value)); // to show the small

function panel(context, place, n, title, below, color) {
  const left = PANEL.lefts[place], { top, side } = PANEL;
  label(context, title, left, 22, { weight: "bold" });
  raster(context, left, top, side, side, n, n, color);
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(left, top, side, side);
  label(context, below, left, top + side + 17, { size: 12, color: MUTED });
}

/* The share of weight that lies wrong, and the operations, on a scale that ends at those of exact attention. */
function bars(context, { method, knob, length }, wrong) {
  const needed = operations(method, knob, length), all = operations(0, 0, length);
  bar(context, 0, "weight that lies wrong", wrong, `${(100 * wrong).toFixed(1)} %`, ORANGE);
  bar(context, 1, "operations", needed / all, `${grouped(needed)} of ${grouped(all)}`, BLUE);
}

function bar(context, row, name, share, text, color) {
  const y = BAR.top + 24 * row;
  label(context, name, BAR.left - 8, y + 12, { size: 12, align: "right" });
  context.fillStyle = color;
  context.fillRect(BAR.left, y, Math.min(1, share) * BAR.width, BAR.height);
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(BAR.left, y, BAR.width, BAR.height);
  label(context, text, BAR.left + BAR.width + 8, y + 12, { size: 12 });
}

const explorer = { size: [760, 360], limits, draw, words, describe };

export default { render: (view) => host(view, explorer) };
