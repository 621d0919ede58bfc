/* One patch under the pointer: its pixels, its P·P·3 numbers, and the vector that becomes its token. */

const LEFT = { x: 8, y: 30, side: 336 };
const RIGHT = 376, WIDTH = 376;

/* The numbers of one patch, pixel by pixel, each R, G, B, between 0 and 1: swin_edu.patches.patch_partition. */
export function numbers({ patch, row, column }, { photo }) {
  const side = photo.shape[1], values = [];
  for (let y = row * patch; y < (row + 1) * patch; y++)
    for (let x = column * patch; x < (column + 1) * patch; x++)
      for (let c = 0; c < 3; c++) values.push(photo.data[3 * (y * side + x) + c] / 255);
  return values;
}

/* The token: a linear layer, then a layer norm: swin_edu.patches.PatchEmbedding. */
export function embed(values, weight) {
  const [channels, inputs] = weight.shape;
  const token = Array.from({ length: channels }, (_, c) => {
    let sum = 0;
    for (let i = 0; i < inputs; i++) sum += weight.data[c * inputs + i] * values[i];
    return sum;
  });
  const mean = token.reduce((a, b) => a + b) / channels;
  const variance = token.reduce((a, b) => a + (b - mean) ** 2, 0) / channels;
  return token.map((value) => (value - mean) / Math.sqrt(variance + 1e-5));
}

function sizes({ patch }, { photo }) {
  const count = Math.floor(photo.shape[0] / patch);
  return { count, inputs: patch * patch * 3 };
}

function describe(state, data) {
  const { count, inputs } = sizes(state, data);
  const values = numbers(state, data);
  const mean = [0, 1, 2].map((c) => (values.filter((_, i) => i % 3 === c).reduce((a, b) => a + b) / state.patch ** 2).toFixed(2));
  return `Patches of ${state.patch} × ${state.patch} px: ${count} × ${count} = ${grouped(count * count)} tokens. ` +
    `Row ${state.row}, column ${state.column}: ${grouped(inputs)} numbers, mean red ${mean[0]}, green ${mean[1]}, blue ${mean[2]}; ` +
    `the linear layer turns them into 96.`;
}

function words(name, state, data) {
  const { count } = sizes(state, data);
  return {
    patch: `${state.patch} pixels, ${grouped(count * count)} tokens`,
    row: `row ${state.row} of ${count}, counted from 0`,
    column: `column ${state.column} of ${count}, counted from 0`,
  }[name];
}

function limits(state, data) {
  const last = sizes(state, data).count - 1;
  return { row: last, column: last };
}

function draw(context, state, data) {
  const { inputs } = sizes(state, data);
  const values = numbers(state, data);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  label(context, "The photograph, cut into patches", LEFT.x, 20, { weight: "bold" });
  drawPhoto(context, state, data);
  label(context, `One patch: ${state.patch} × ${state.patch} pixels`, RIGHT, 20, { weight: "bold" });
  cells(context, RIGHT, 30, 150, 150, state.patch, values.length / 3, (i) => rgb(values.slice(3 * i, 3 * i + 3)));
  ["red", "green", "blue"].forEach((name, c) => {
    const x = RIGHT + 166 + c * 72;
    label(context, name, x, 92, { size: 12, color: MUTED });
    cells(context, x, 98, 64, 64, state.patch, values.length / 3, (i) => rgb([0, 1, 2].map((k) => (k === c ? values[3 * i + c] : 0))));
  });
  label(context, `the same as ${grouped(inputs)} numbers in a row, pixel by pixel`, RIGHT, 206, { weight: "bold" });
  cells(context, RIGHT, 214, WIDTH, 26, inputs, inputs, (i) => rgb([0, 1, 2].map((k) => (k === i % 3 ? values[i] : 0))));
  label(context, "linear layer and norm make the token: 96 numbers", RIGHT, 272, { weight: "bold" });
  cells(context, RIGHT, 280, WIDTH, 62, 24, 96, (i, token) => signed(token[i]), embed(values, data[`weight${state.patch}`]));
  label(context, "blue: negative, white: 0, orange: positive", RIGHT, 360, { size: 12, color: MUTED });
}

function drawPhoto(context, { patch, row, column }, { photo }) {
  const scale = LEFT.side / photo.shape[0], step = patch * scale;
  context.drawImage(photograph(photo), LEFT.x, LEFT.y, LEFT.side, LEFT.side);
  const edges = steps(0, LEFT.side, step);
  const box = [LEFT.x, LEFT.y, LEFT.x + LEFT.side, LEFT.y + LEFT.side];
  lines(context, edges.map((e) => LEFT.x + e), edges.map((e) => LEFT.y + e), box, "rgba(255,255,255,0.55)", 0.6);
  for (const [color, width] of [[PAPER, 5], [BLUE, 2.5]]) {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.strokeRect(LEFT.x + column * step, LEFT.y + row * step, step, step);
  }
}

function cells(context, x, y, width, height, columns, count, color, values) {
  const rows = Math.ceil(count / columns), w = width / columns, h = height / rows;
  for (let i = 0; i < count; i++) {
    context.fillStyle = color(i, values);
    context.fillRect(x + (i % columns) * w, y + Math.floor(i / columns) * h, w + 0.3, h + 0.3);
  }
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(x, y, width, height);
}

const rgb = (values) => `rgb(${values.map((v) => Math.round(255 * v)).join(",")})`;

/* Full colour at ±3. */
const signed = (value) => `rgb(${signedColor(value / 3).map(Math.round).join(",")})`;

function point(x, y, { patch }, { photo }) {
  const scale = photo.shape[0] / LEFT.side;
  const column = Math.floor(((x - LEFT.x) * scale) / patch), row = Math.floor(((y - LEFT.y) * scale) / patch);
  const last = photo.shape[0] / patch;
  return Math.min(row, column) < 0 || Math.max(row, column) >= last ? null : { row, column };
}

/* Another patch size shows the same place of the photograph. */
function follow(before, after) {
  if (before.patch === after.patch) return {};
  const scaled = (place) => Math.floor((place * before.patch) / after.patch);
  return { row: scaled(before.row), column: scaled(before.column) };
}

const explorer = { size: [760, 376], limits, draw, words, describe, point, follow };

export default { render: (view) => host(view, explorer) };
