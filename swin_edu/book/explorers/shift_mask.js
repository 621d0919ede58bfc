/* The rolled map with its regions, and the mask of one of its windows. */

const REGIONS = [BLUE, ORANGE, GREEN, PURPLE]; // colours; each region also carries its number
const PALE = ["#59a3cd", "#efc159", "#59c0a4", "#dea8c6"]; // the same, on white
const PATCH = 7; // pixels a token has in the photograph
const MAP = { x: 8, y: 30, side: 352 };
const MATRIX = { x: 404, y: 48, side: 336, strip: 16 };

/* The padded map and its shift: swin_edu.book.explorers.shift_mask.Plan. */
export function planOf({ height, width, window, shift }) {
  const [h, w] = [height, width].map((size) => Math.ceil(size / window) * window);
  const columns = w / window;
  return { height: h, width: w, window, down: h > window ? shift : 0, right: w > window ? shift : 0, columns, count: (h / window) * columns };
}

/* The region of each token of window `chosen`, counted from 1. */
export function idsOf(chosen, plan) {
  const all = regionIds(plan.height, plan.width, plan.down, plan.right), ids = [];
  const top = Math.floor((chosen - 1) / plan.columns) * plan.window, left = ((chosen - 1) % plan.columns) * plan.window;
  for (let y = 0; y < plan.window; y++) for (let x = 0; x < plan.window; x++) ids.push(all[(top + y) * plan.width + left + x]);
  return ids;
}

/* The mask of a window whose tokens have these regions, row by row: swin_edu.shift.shift_mask. */
export function maskOf(ids) {
  return ids.flatMap((a) => ids.map((b) => a === b));
}

const countMasked = (mask) => mask.reduce((sum, allowed) => sum + !allowed, 0);

/* Per cent with one decimal, rounded half up in whole numbers, as Python does. */
function percent(masked, total) {
  const perMille = Math.floor((2000 * masked + total) / (2 * total));
  return `${Math.floor(perMille / 10)}.${perMille % 10}`;
}

const plural = (count, word) => `${count} ${word}${count > 1 ? "s" : ""}`;

function numbers(state) {
  const plan = planOf(state), ids = idsOf(state.chosen, plan), mask = maskOf(ids), count = ids.length;
  const all = steps(1, plan.count, 1).reduce((sum, chosen) => sum + countMasked(maskOf(idsOf(chosen, plan))), 0);
  const seen = ids.filter((id) => id === ids[state.token]).length;
  return { plan, ids, mask, seen, count, all: percent(all, plan.count * count ** 2), here: percent(countMasked(mask), count ** 2) };
}

function describe(state) {
  const { plan, ids, seen, count, all, here } = numbers(state);
  const padding = plan.height === state.height && plan.width === state.width ? "" : `, padded to ${plan.height} × ${plan.width}`;
  const regions = [...new Set(ids)].sort();
  return `${state.height} × ${state.width} tokens${padding}: ${plural(plan.count, "window")} of ${state.window} × ${state.window}, ` +
    `shifted by ${plan.down} down and ${plan.right} right; ${all} % of all pairs are masked. ` +
    `Window ${state.chosen} holds region${regions.length > 1 ? "s" : ""} ${regions.join(", ")}: ${here} % masked. ` +
    `Token ${state.token}, of region ${ids[state.token]}, may look at ${seen} of ${count}.`;
}

function words(name, state) {
  const { plan, seen, count, all, here } = numbers(state);
  return {
    height: `${state.height} tokens, padded to ${plan.height}`,
    width: `${state.width} tokens, padded to ${plan.width}`,
    window: `${state.window} by ${state.window} tokens, ${plural(plan.count, "window")}`,
    shift: `${plan.down} down and ${plan.right} right, ${all} percent of pairs masked`,
    chosen: `window ${state.chosen} of ${plan.count}, ${here} percent of pairs masked`,
    token: `token ${state.token} of the window, may look at ${seen} of ${count}`,
  }[name];
}

function limits(state) {
  const plan = planOf({ ...state, shift: state.window - 1 });
  return { shift: Math.max(plan.down, plan.right), chosen: plan.count, token: state.window ** 2 - 1 };
}

function draw(context, state, { photo }) {
  const { plan, ids, mask } = numbers(state);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  label(context, `After the roll: ${plural(plan.count, "window")}, regions numbered`, MAP.x, 20, { weight: "bold" });
  label(context, `The mask of window ${state.chosen}: row looks at column`, MATRIX.x - MATRIX.strip, 20, { weight: "bold" });
  drawMap(context, state, plan, photo);
  drawWindow(context, state, plan, ids);
  drawMatrix(context, state, ids, mask);
}

const unitOf = (plan) => MAP.side / Math.max(plan.height, plan.width);

function drawMap(context, state, plan, photo) {
  const unit = unitOf(plan), width = plan.width * unit, height = plan.height * unit;
  const joint = { x: MAP.x + width - plan.right * unit, y: MAP.y + height - plan.down * unit };
  context.save();
  context.beginPath();
  context.rect(MAP.x, MAP.y, width, height);
  context.clip();
  context.imageSmoothingEnabled = true;
  for (const y of plan.down ? [0, height] : [0])
    for (const x of plan.right ? [0, width] : [0])
      drawPadded(context, MAP.x + x - plan.right * unit, MAP.y + y - plan.down * unit, state, plan, photo);
  context.restore();
  hatch(context, joint.x, MAP.y, plan.right * unit, height);
  hatch(context, MAP.x, joint.y, joint.x - MAP.x, plan.down * unit);
  const box = [MAP.x, MAP.y, MAP.x + width, MAP.y + height];
  const rule = (step, color, thick) =>
    lines(context, steps(MAP.x, box[2], step), steps(MAP.y, box[3], step), box, color, thick);
  rule(unit, "rgba(255,255,255,0.5)", 0.7);
  rule(plan.window * unit, INK, 3);
  rule(plan.window * unit, ORANGE, 1.6);
}

function drawPadded(context, x, y, { height, width }, plan, photo) {
  const unit = unitOf(plan);
  context.fillStyle = "#d0d0d0";
  context.fillRect(x, y, plan.width * unit, plan.height * unit);
  context.drawImage(photograph(photo), 0, 0, width * PATCH, height * PATCH, x, y, width * unit, height * unit);
}

/* Number the regions in every window; in the chosen one, darken what the token may not look at. */
function drawWindow(context, state, plan, ids) {
  const unit = unitOf(plan), m = plan.window;
  const left = MAP.x + ((state.chosen - 1) % plan.columns) * m * unit;
  const top = MAP.y + Math.floor((state.chosen - 1) / plan.columns) * m * unit;
  const place = (token) => [left + (token % m) * unit, top + Math.floor(token / m) * unit, unit, unit];
  context.fillStyle = "rgba(26,26,26,0.6)";
  ids.forEach((id, token) => id !== ids[state.token] && context.fillRect(...place(token)));
  const cuts = (size, moved) => [...new Set([...steps(0, size, m), size - moved])].sort((a, b) => a - b);
  const rows = cuts(plan.height, plan.down), columns = cuts(plan.width, plan.right);
  for (let i = 0; i + 1 < rows.length; i++)
    for (let j = 0; j + 1 < columns.length; j++) {
      const region = 2 * (rows[i] >= plan.height - plan.down) + (columns[j] >= plan.width - plan.right);
      badge(context, region, MAP.x + ((columns[j] + columns[j + 1]) / 2) * unit, MAP.y + ((rows[i] + rows[i + 1]) / 2) * unit);
    }
  mark(context, left, top, m * unit, m * unit);
  mark(context, ...place(state.token));
}

function badge(context, region, x, y) {
  context.beginPath();
  context.arc(x, y, 9, 0, 2 * Math.PI);
  context.fillStyle = PAPER;
  context.fill();
  context.strokeStyle = REGIONS[region];
  context.lineWidth = 2.5;
  context.stroke();
  label(context, region, x, y + 4.5, { align: "center", weight: "bold" });
}

function drawMatrix(context, state, ids, mask) {
  const { x, y, side, strip } = MATRIX, cell = side / ids.length;
  hatch(context, x, y, side, side);
  mask.forEach((allowed, pair) => {
    if (!allowed) return;
    const row = Math.floor(pair / ids.length), column = pair % ids.length;
    context.fillStyle = PALE[ids[row]];
    context.fillRect(x + column * cell, y + row * cell, cell + 0.3, cell + 0.3);
  });
  for (let start = 0, end; start < ids.length; start = end) {
    for (end = start; ids[end] === ids[start]; ) end++;
    const from = start * cell, length = (end - start) * cell, region = ids[start];
    context.fillStyle = REGIONS[region];
    context.fillRect(x - strip - 2, y + from, strip, length - 0.5);
    context.fillRect(x + from, y - strip - 2, length - 0.5, strip);
    if (length < 11) continue;
    const color = region === 0 ? PAPER : INK;
    label(context, region, x - strip / 2 - 2, y + from + length / 2 + 4.5, { align: "center", size: 12, color });
    label(context, region, x + from + length / 2, y - strip / 2 + 2.5, { align: "center", size: 12, color });
  }
  mark(context, x - 2, y + state.token * cell - 2, side + 4, cell + 4, 1.5);
}

/* The pointer chooses window and token on the map, or the token's row of the matrix. */
function point(x, y, state) {
  const plan = planOf(state), unit = unitOf(plan), m = plan.window;
  if (x >= MATRIX.x) {
    const token = Math.floor(((y - MATRIX.y) / MATRIX.side) * m * m);
    return token >= 0 && token < m * m ? { token } : null;
  }
  const column = Math.floor((x - MAP.x) / unit), row = Math.floor((y - MAP.y) / unit);
  if (row < 0 || column < 0 || row >= plan.height || column >= plan.width) return null;
  const chosen = Math.floor(row / m) * plan.columns + Math.floor(column / m) + 1;
  return { chosen, token: (row % m) * m + (column % m) };
}

const explorer = { size: [760, 394], limits, draw, words, describe, point };

export default { render: (view) => host(view, explorer) };
