/* Patches, windows and the shift on one photograph, before and after the roll. */

const SIDE = 224; // pixels of the photograph
const PANEL = { left: 8, right: 396, top: 30, side: 356 };

/* The same numbers as swin_edu.book.explorers.overview.Layout; a test compares them for every setting. */
export function layout({ stage, window, shift }) {
  const patch = 4 * 2 ** (stage - 1);
  const tokens = SIDE / patch;
  const padded = Math.ceil(tokens / window) * window;
  return { patch, tokens, window, padded, perSide: padded / window, shift: window < tokens ? shift : 0 };
}

/* Cut one side of a window where it wraps round the picture: [[first token, how many], …]. */
export function spans(index, { window, padded, shift }) {
  const start = index * window + shift;
  const inside = Math.min(window, padded - start);
  return inside < window ? [[start, inside], [0, window - inside]] : [[start, window]];
}

/* The pieces of the picture that meet in one window: [{ row, column, height, width }, …] in tokens. */
export function pieces(chosen, plan) {
  const index = chosen - 1;
  const rows = spans(Math.floor(index / plan.perSide), plan), columns = spans(index % plan.perSide, plan);
  return rows.flatMap(([row, height]) => columns.map(([column, width]) => ({ row, column, height, width })));
}

/* The share of the window's token pairs whose ends lie in different pieces. */
export function maskedShare(parts, window) {
  const together = parts.reduce((sum, { height, width }) => sum + (height * width) ** 2, 0);
  return 1 - together / window ** 4;
}

function describe(state) {
  const plan = layout(state);
  const parts = pieces(state.chosen, plan);
  const off = plan.shift < state.shift ? " (off: the window covers the map)" : "";
  const padding = plan.padded > plan.tokens ? `, padded to ${plan.padded} × ${plan.padded}` : "";
  const masked = (100 * maskedShare(parts, plan.window)).toFixed(1);
  return `Stage ${state.stage}: ${plan.tokens} × ${plan.tokens} tokens of ${plan.patch} × ${plan.patch} px${padding}. ` +
    `${plan.perSide ** 2} windows of ${plan.window} × ${plan.window} tokens, shifted by ${plan.shift} tokens = ${plan.shift * plan.patch} px${off}. ` +
    `Window ${state.chosen} holds ${parts.length} piece${parts.length > 1 ? "s" : ""} of the picture; ${masked} % of its token pairs are masked.`;
}

function words(name, state) {
  const plan = layout(state), off = plan.shift < state.shift;
  const parts = pieces(state.chosen, plan);
  return {
    stage: `stage ${state.stage}, a token is ${plan.patch} pixels wide`,
    window: `${plan.window} by ${plan.window} tokens, ${plan.perSide ** 2} windows`,
    shift: off ? `${state.shift} tokens, off: the window covers the map` : `${plan.shift} tokens, ${plan.shift * plan.patch} pixels`,
    chosen: `window ${state.chosen} of ${plan.perSide ** 2}, ${(100 * maskedShare(parts, plan.window)).toFixed(1)} percent of pairs masked`,
  }[name];
}

function limits({ stage, window }) {
  const plan = layout({ stage, window, shift: 0 });
  return { shift: window - 1, chosen: plan.perSide ** 2 };
}

function draw(context, state, { photo }) {
  const plan = layout(state);
  const unit = PANEL.side / plan.padded; // canvas pixels a token
  const shown = plan.tokens * unit; // the photograph; the rest is padding
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  label(context, "On the picture: the windows of the shifted block", PANEL.left, 20, { weight: "bold" });
  label(context, "After the roll: windows of equal size", PANEL.right, 20, { weight: "bold" });
  drawPicture(context, PANEL.left, PANEL.top, photo, shown);
  drawRolled(context, plan, unit, photo, shown);
  const edge = (offset) => steps(0, PANEL.side, plan.window * unit).map((step) => step + offset).filter((x) => x <= PANEL.side);
  ruled(context, PANEL.left, edge(plan.shift * unit), unit);
  ruled(context, PANEL.right, edge(0), unit);
  outline(context, state, plan, unit);
}

function drawPicture(context, left, top, photo, shown) {
  context.fillStyle = "#d0d0d0";
  context.fillRect(left, top, PANEL.side, PANEL.side);
  context.drawImage(photograph(photo), left, top, shown, shown);
  hatch(context, left + shown, top, PANEL.side - shown, PANEL.side);
  hatch(context, left, top + shown, shown, PANEL.side - shown);
}

function drawRolled(context, plan, unit, photo, shown) {
  const moved = plan.shift * unit, whole = PANEL.side;
  context.save();
  context.beginPath();
  context.rect(PANEL.right, PANEL.top, whole, whole);
  context.clip();
  const copies = moved ? [0, whole] : [0];
  for (const y of copies) for (const x of copies) drawPicture(context, PANEL.right - moved + x, PANEL.top - moved + y, photo, shown);
  context.restore();
  if (!moved) return;
  hatch(context, PANEL.right + whole - moved, PANEL.top, moved, whole);
  hatch(context, PANEL.right, PANEL.top + whole - moved, whole - moved, moved);
}

function ruled(context, left, edges, unit) {
  const box = [left, PANEL.top, left + PANEL.side, PANEL.top + PANEL.side];
  const tokens = unit < 5 ? [] : steps(0, PANEL.side, unit);
  lines(context, tokens.map((x) => left + x), tokens.map((y) => PANEL.top + y), box, "rgba(255,255,255,0.35)", 0.7);
  const xs = edges.map((x) => left + x), ys = edges.map((y) => PANEL.top + y);
  lines(context, xs, ys, box, INK, 2.6);
  lines(context, xs, ys, box, ORANGE, 1.4);
}

function outline(context, state, plan, unit) {
  const index = state.chosen - 1, whole = plan.window * unit;
  const corner = [PANEL.right + (index % plan.perSide) * whole, PANEL.top + Math.floor(index / plan.perSide) * whole];
  pieces(state.chosen, plan).forEach(({ row, column, height, width }, i) => {
    // inside the window, pieces lie in the order in which the roll brings them
    const x = (column - plan.shift + plan.padded) % plan.padded, y = (row - plan.shift + plan.padded) % plan.padded;
    frame(context, PANEL.left + column * unit, PANEL.top + row * unit, width * unit, height * unit, i + 1);
    frame(context, PANEL.right + x * unit, PANEL.top + y * unit, width * unit, height * unit, i + 1);
  });
  context.strokeStyle = PAPER;
  context.lineWidth = 1;
  context.strokeRect(...corner, whole, whole);
}

function frame(context, x, y, width, height, number) {
  context.fillStyle = "rgba(0,114,178,0.78)";
  context.fillRect(x, y, width, height);
  context.strokeStyle = PAPER;
  context.lineWidth = 3;
  context.strokeRect(x, y, width, height);
  context.strokeStyle = BLUE;
  context.lineWidth = 1.6;
  context.strokeRect(x, y, width, height);
  if (Math.min(width, height) > 13) label(context, number, x + width / 2, y + height / 2 + 5, { align: "center", color: PAPER, weight: "bold" });
}

/* The pointer chooses a window, on either side. */
function point(x, y, state) {
  const plan = layout(state);
  const unit = PANEL.side / plan.padded;
  const rolled = x >= PANEL.right;
  const token = (offset) => Math.floor(offset / unit);
  const column = token(x - (rolled ? PANEL.right : PANEL.left)), row = token(y - PANEL.top);
  if (Math.min(row, column) < 0 || Math.max(row, column) >= plan.padded) return null;
  const back = rolled ? 0 : plan.padded - plan.shift;
  const windowOf = (place) => Math.floor(((place + back) % plan.padded) / plan.window);
  return { chosen: windowOf(row) * plan.perSide + windowOf(column) + 1 };
}

const explorer = { size: [760, 394], limits, draw, words, describe, point };

export default { render: (view) => host(view, explorer) };
