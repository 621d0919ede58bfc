/* Who notices a token: in its window, in the moved window, and after both blocks. */

const SIDE = 224, WINDOW = 7;
const PANELS = { xs: [8, 260, 512], y: 30, side: 240 };
const TITLES = ["In its window", "In its moved window", "After both blocks"];

const tokensOf = ({ stage }) => 56 / 2 ** (stage - 1);

/* Along one side: [first token, token after the last] that notices `place`: plain, moved, both. */
export function spans(place, tokens, shift) {
  const start = Math.floor(place / WINDOW) * WINDOW;
  const edge = (token) => Math.floor((token - shift) / WINDOW) * WINDOW + shift; // where its moved window begins
  const inside = (first, last) => [Math.max(0, first), Math.min(tokens, last)];
  return [
    [start, start + WINDOW],
    inside(edge(place), edge(place) + WINDOW),
    inside(edge(start), edge(start + WINDOW - 1) + WINDOW),
  ];
}

/* The rows and the columns that notice the token, and how many tokens that are: plain, moved, both. */
export function areas(state) {
  const tokens = tokensOf(state);
  const [rows, columns] = [state.row, state.column].map((place) => spans(place, tokens, state.shift));
  return rows.map(([top, bottom], i) => {
    const [left, right] = columns[i];
    return { top, bottom, left, right, count: (bottom - top) * (right - left) };
  });
}

/* [row, column] of the tokens that share the rolled window, but are masked. */
export function masked(state) {
  const tokens = tokensOf(state), { top, bottom, left, right } = areas(state)[1];
  const windowOf = (place) => Math.floor(((place - state.shift + tokens) % tokens) / WINDOW);
  const found = [];
  for (let row = 0; row < tokens; row++)
    for (let column = 0; column < tokens; column++) {
      const together = windowOf(row) === windowOf(state.row) && windowOf(column) === windowOf(state.column);
      const free = row >= top && row < bottom && column >= left && column < right;
      if (together && !free) found.push([row, column]);
    }
  return found;
}

function describe(state) {
  const tokens = tokensOf(state), [plain, moved, both] = areas(state).map(({ count }) => count);
  const off = tokens > WINDOW ? "" : " (off: one window covers the map)";
  const others = moved < WINDOW ** 2 ? `, ${WINDOW ** 2 - moved} more are masked` : "";
  return `Stage ${state.stage}: ${tokens} × ${tokens} tokens, windows of ${WINDOW} × ${WINDOW}, shift ${state.shift}${off}. ` +
    `The token at row ${state.row}, column ${state.column} is noticed by ${plain} tokens in its window, ` +
    `by ${moved} in its moved window${others}, by ${both} after both blocks.`;
}

function words(name, state) {
  const tokens = tokensOf(state);
  return {
    stage: `stage ${state.stage}, ${tokens} by ${tokens} tokens`,
    shift: tokens > WINDOW ? `${state.shift} tokens` : "0 tokens, off: one window covers the map",
    row: `row ${state.row} of ${tokens}, counted from 0`,
    column: `column ${state.column} of ${tokens}, counted from 0`,
  }[name];
}

function limits(state) {
  const tokens = tokensOf(state);
  return { shift: tokens > WINDOW ? WINDOW - 1 : 0, row: tokens - 1, column: tokens - 1 };
}

function draw(context, state, { photo }) {
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  areas(state).forEach((area, index) => drawPanel(context, state, photo, area, index));
}

function drawPanel(context, state, photo, { top, bottom, left, right, count }, index) {
  const tokens = tokensOf(state), unit = PANELS.side / tokens, x = PANELS.xs[index], y = PANELS.y;
  const box = [x, y, x + PANELS.side, y + PANELS.side];
  const place = [x + left * unit, y + top * unit, (right - left) * unit, (bottom - top) * unit];
  const source = [left, top, right - left, bottom - top].map((token) => (token * SIDE) / tokens);
  label(context, `${TITLES[index]}: ${count}`, x, 20, { weight: "bold" });
  context.drawImage(photograph(photo), x, y, PANELS.side, PANELS.side);
  context.fillStyle = "rgba(0,0,0,0.6)";
  context.fillRect(x, y, PANELS.side, PANELS.side);
  context.drawImage(photograph(photo), ...source, ...place);
  if (tokens <= 28) {
    const inner = steps(0, PANELS.side, unit);
    lines(context, inner.map((e) => x + e), inner.map((e) => y + e), box, "rgba(255,255,255,0.4)", 0.6);
  }
  if (index === 1) for (const [row, column] of masked(state)) hatch(context, x + column * unit, y + row * unit, unit, unit);
  const edges = [0, ...steps((index === 1 ? state.shift : 0) * unit, PANELS.side, WINDOW * unit), PANELS.side];
  for (const [color, width] of [[INK, 2.4], [ORANGE, 1.3]])
    lines(context, edges.map((e) => x + e), edges.map((e) => y + e), box, color, width);
  mark(context, ...place);
  mark(context, x + state.column * unit, y + state.row * unit, unit, unit);
}

/* The pointer chooses a token, in any panel. */
function point(x, y, state) {
  const tokens = tokensOf(state), left = PANELS.xs.findLast((start) => x >= start);
  const column = Math.floor(((x - left) / PANELS.side) * tokens), row = Math.floor(((y - PANELS.y) / PANELS.side) * tokens);
  return row >= 0 && row < tokens && column >= 0 && column < tokens ? { row, column } : null;
}

/* Another stage shows the same place of the photograph. */
function follow(before, after) {
  if (before.stage === after.stage) return {};
  const scaled = (place) => Math.floor(place * 2 ** (before.stage - after.stage));
  return { row: scaled(before.row), column: scaled(before.column) };
}

const explorer = { size: [760, 280], limits, draw, words, describe, point, follow };

export default { render: (view) => host(view, explorer) };
