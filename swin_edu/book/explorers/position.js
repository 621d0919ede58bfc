/* One query on the photograph, its cut of the table of offsets, and what the cut does to its attention. */

const PANEL = { top: 32, side: 238, table: 8, bias: 261, photo: 514 };
const HEADS = ["near", "one to the left", "the same row", "far"];
const LARGEST = 12;
const LETTERS = 6; // from this window on the cells are too small for numbers

/* Which entry of the table each key of the window stands for: a row of swin_edu.position.relative_position_index. */
export function entries({ window, row, column }) {
  const result = [];
  for (let y = 0; y < window; y++)
    for (let x = 0; x < window; x++) result.push((row - y + window - 1) * (2 * window - 1) + column - x + window - 1);
  return result;
}

/* The table of the head: the middle of the one for the largest window. */
export function table({ window, head }, { tables }) {
  const size = 2 * window - 1, full = 2 * LARGEST - 1, rim = LARGEST - window, result = [];
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) result.push(tables.data[((head - 1) * full + y + rim) * full + x + rim]);
  return result;
}

export function bias(state, data) {
  const values = table(state, data);
  return entries(state).map((entry) => values[entry]);
}

/* The weights when all keys are alike: the softmax of the bias. */
export function weights(state, data) {
  return softmax(bias(state, data));
}

function strongest(state, data) {
  const values = bias(state, data), best = values.indexOf(Math.max(...values));
  return { best, row: Math.floor(best / state.window), column: best % state.window, weight: weights(state, data)[best] };
}

function describe(state, data) {
  const { window, row, column, head } = state, size = 2 * window - 1, last = window - 1;
  const first = strongest(state, data);
  return `Window of ${window} × ${window} tokens: ${grouped(window ** 4)} pairs, ${size} × ${size} = ${size * size} offsets. ` +
    `The query in row ${row}, column ${column} uses rows ${row} to ${row + last}, columns ${column} to ${column + last} of the table, turned round. ` +
    `Head ${head}, ${HEADS[head - 1]}: largest weight ${first.weight.toFixed(2)}, first in row ${first.row}, column ${first.column}.`;
}

function words(name, { window, row, column, head }) {
  return {
    window: `${window} by ${window} tokens, ${(2 * window - 1) ** 2} offsets`,
    row: `row ${row} of ${window}, counted from 0`,
    column: `column ${column} of ${window}, counted from 0`,
    head: `head ${head}, ${HEADS[head - 1]}`,
  }[name];
}

function limits({ window }) {
  return { row: window - 1, column: window - 1 };
}

function draw(context, state, data) {
  const { window, row, column } = state, size = 2 * window - 1, { top, side } = PANEL;
  const small = side / size, large = side / window;
  const used = entries(state), values = table(state, data);
  const highest = Math.max(...values.map(Math.abs));
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  title(context, PANEL.table, `The table, ${size} × ${size}, and one cut`, "blue: below 0, orange: above");
  squares(context, PANEL.table, size, (i) => signedColor(values[i] / highest));
  title(context, PANEL.bias, "The cut, turned: its bias", "frame: the query itself, offset (0, 0)");
  squares(context, PANEL.bias, window, (i) => signedColor(values[used[i]] / highest));
  title(context, PANEL.photo, "Its attention, all keys alike", "brighter: more weight");
  lit(context, state, data);
  outline(context, PANEL.table + column * small, top + row * small, window * small);
  for (const left of [PANEL.bias, PANEL.photo]) outline(context, left + column * large, top + row * large, large);
  if (window < LETTERS) {
    const ink = (entry) => (values[entry] < -0.9 * highest ? PAPER : INK);
    numbers(context, PANEL.table, size, (i) => i, ink);
    numbers(context, PANEL.bias, window, (i) => used[i], ink);
  } else corners(context, window, small, large, row, column);
}

function title(context, left, text, below) {
  label(context, text, left, 20, { weight: "bold", size: 12 });
  label(context, below, left, PANEL.top + PANEL.side + 18, { size: 12, color: MUTED });
}

function squares(context, left, count, color) {
  raster(context, left, PANEL.top, PANEL.side, PANEL.side, count, count, color);
  ruled(context, left, count, MUTED, 0.4);
}

function ruled(context, left, count, color, width) {
  const edges = steps(0, PANEL.side, PANEL.side / count), { top, side } = PANEL;
  lines(context, edges.map((x) => left + x), edges.map((y) => top + y), [left, top, left + side, top + side], color, width);
}

function lit(context, state, data) {
  const { window } = state, step = PANEL.side / window, shares = weights(state, data), highest = Math.max(...shares);
  context.drawImage(photograph(data.photo), PANEL.photo, PANEL.top, PANEL.side, PANEL.side);
  shares.forEach((share, i) => {
    context.fillStyle = `rgba(0,0,0,${0.7 * (1 - share / highest)})`;
    context.fillRect(PANEL.photo + (i % window) * step, PANEL.top + Math.floor(i / window) * step, step, step);
  });
  ruled(context, PANEL.photo, window, "rgba(255,255,255,0.6)", 0.6);
}

/* Write into each cell which entry of the table it is. */
function numbers(context, left, count, entry, ink) {
  const step = PANEL.side / count;
  for (let i = 0; i < count * count; i++) {
    const x = left + ((i % count) + 0.5) * step, y = PANEL.top + (Math.floor(i / count) + 0.5) * step + 4;
    label(context, entry(i), x, y, { align: "center", size: 12, color: ink(entry(i)) });
  }
}

/* The corners of the cut, and where the turn takes them. */
function corners(context, window, small, large, row, column) {
  ["A", "B", "C", "D"].forEach((letter, i) => {
    const x = i % 2 ? window - 0.5 : 0.5, y = i > 1 ? window - 0.5 : 0.5;
    plate(context, letter, PANEL.table + (column + x) * small, PANEL.top + (row + y) * small);
    plate(context, letter, PANEL.bias + (window - x) * large, PANEL.top + (window - y) * large);
  });
}

function plate(context, letter, x, y) {
  context.beginPath();
  context.arc(x, y, 8, 0, 2 * Math.PI);
  context.fillStyle = PAPER;
  context.fill();
  label(context, letter, x, y + 4, { align: "center", size: 12, weight: "bold" });
}

function outline(context, x, y, side) {
  for (const [color, width] of [[PAPER, 5], [BLUE, 2.5]]) {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.strokeRect(x, y, side, side);
  }
}

/* The pointer chooses the query, on the photograph or on the map of the bias. */
function point(x, y, { window }) {
  const left = x >= PANEL.photo ? PANEL.photo : PANEL.bias, step = PANEL.side / window;
  const row = Math.floor((y - PANEL.top) / step), column = Math.floor((x - left) / step);
  return Math.min(row, column) < 0 || Math.max(row, column) >= window ? null : { row, column };
}

const explorer = { size: [760, 296], limits, draw, words, describe, point };

export default { render: (view) => host(view, explorer) };
