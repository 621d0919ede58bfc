/* Windows on one photograph, one window enlarged, the pairs of tokens as bars, and the cost as curves. */

const PHOTO = { x: 8, y: 30, side: 300 };
const ONE = { x: 330, y: 30, side: 168 };
const BARS = { x: 330, y: 262, width: 168 };
const PLOT = { x: 586, y: 30, width: 162, height: 262 };
const SIDES = steps(64, 896, 32);
const PLACES = 28; // along a side of the photograph
const LOWEST = Math.log10(4e6), HIGHEST = 12; // of the curves, as powers of ten

/* The same numbers as swin_edu.book.explorers.windows.Cost; a test compares them for every setting. */
export function cost({ side, stage, window }) {
  const token = 4 * 2 ** (stage - 1), channels = 96 * 2 ** (stage - 1);
  const tokens = side / token;
  const padded = Math.ceil(tokens / window) * window;
  const pairs = padded ** 2 * window ** 2, globalPairs = tokens ** 4;
  const adds = 4 * padded ** 2 * channels ** 2 + 2 * pairs * channels;
  const globalAdds = 4 * tokens ** 2 * channels ** 2 + 2 * globalPairs * channels;
  return { token, tokens, padded, perSide: padded / window, pairs, globalPairs, adds, globalAdds };
}

const counted = (perSide) => (perSide === 1 ? "1 window" : `${grouped(perSide ** 2)} windows`);
const millions = (count) => `${grouped(Math.floor((count + 500000) / 1000000))} million`;

function describe(state) {
  const { token, tokens, padded, perSide, pairs, globalPairs, adds, globalAdds } = cost(state);
  const padding = padded > tokens ? `, padded to ${padded} × ${padded}` : "";
  const ratio = Math.floor((100 * globalAdds) / adds + 0.5) / 100, covered = state.window * token;
  return `${state.side} × ${state.side} px, stage ${state.stage}: ${tokens} × ${tokens} tokens of ${token} × ${token} px${padding}. ` +
    `${counted(perSide)} of ${state.window} × ${state.window} tokens = ${covered} × ${covered} px. ` +
    `Pairs of tokens: ${grouped(pairs)} in windows, ${grouped(globalPairs)} globally. ` +
    `One layer: ${millions(adds)} multiply-adds in windows, ${millions(globalAdds)} globally, ${ratio.toFixed(2)} times as many.`;
}

function words(name, state) {
  const { token, tokens, perSide } = cost(state);
  return {
    side: `${state.side} pixels, ${tokens} by ${tokens} tokens`,
    stage: `stage ${state.stage}, a token covers ${token} by ${token} pixels`,
    window: `${state.window} by ${state.window} tokens, ${counted(perSide)}`,
    place: `place ${state.place}, in window ${lookedAt(state).number} of ${perSide ** 2}`,
  }[name];
}

/* The place looked at, in tokens from the top and the left, and the first row and column of its window. */
export function lookedAt(state) {
  const { tokens, perSide } = cost(state), index = state.place - 1;
  const [y, x] = [Math.floor(index / PLACES), index % PLACES].map((i) => ((2 * i + 1) * tokens) / (2 * PLACES));
  const [row, column] = [y, x].map((place) => Math.floor(place / state.window));
  return { y, x, row: row * state.window, column: column * state.window, number: row * perSide + column + 1 };
}

function draw(context, state, { photo }) {
  const sizes = cost(state);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  drawPhoto(context, state, sizes, photo);
  drawWindow(context, state, sizes, photo);
  drawBars(context, sizes);
  drawCurves(context, state, sizes);
}

function drawPhoto(context, state, { tokens, padded, perSide }, photo) {
  const unit = PHOTO.side / padded, shown = tokens * unit; // the photograph; the rest is padding
  label(context, `${tokens} × ${tokens} tokens, ${counted(perSide)}`, PHOTO.x, 20, { weight: "bold" });
  context.drawImage(photograph(photo), PHOTO.x, PHOTO.y, shown, shown);
  hatch(context, PHOTO.x + shown, PHOTO.y, PHOTO.side - shown, PHOTO.side);
  hatch(context, PHOTO.x, PHOTO.y + shown, shown, PHOTO.side - shown);
  const edges = steps(0, PHOTO.side, state.window * unit);
  const box = [PHOTO.x, PHOTO.y, PHOTO.x + PHOTO.side, PHOTO.y + PHOTO.side];
  const dense = perSide > 28; // thin lines, so that the picture stays to be seen
  for (const [color, width] of dense ? [[ORANGE, 0.7]] : [[INK, 2.4], [ORANGE, 1.3]])
    lines(context, edges.map((e) => PHOTO.x + e), edges.map((e) => PHOTO.y + e), box, color, width);
  const { y, x, row, column } = lookedAt(state), side = state.window * unit;
  outline(context, PHOTO.x + column * unit, PHOTO.y + row * unit, side, side);
  dot(context, PHOTO.x + x * unit, PHOTO.y + y * unit);
}

function drawWindow(context, state, { token, tokens, perSide }, photo) {
  const { y, x, row, column, number } = lookedAt(state), unit = ONE.side / state.window;
  const height = Math.min(state.window, tokens - row), width = Math.min(state.window, tokens - column);
  const scale = photo.shape[0] / tokens; // pixels of the photograph a token
  label(context, `Window ${grouped(number)} of ${grouped(perSide ** 2)}`, ONE.x, 20, { weight: "bold" });
  context.drawImage(photograph(photo), column * scale, row * scale, width * scale, height * scale, ONE.x, ONE.y, width * unit, height * unit);
  hatch(context, ONE.x + width * unit, ONE.y, ONE.side - width * unit, ONE.side);
  hatch(context, ONE.x, ONE.y + height * unit, width * unit, ONE.side - height * unit);
  const edges = steps(0, ONE.side, unit);
  const box = [ONE.x, ONE.y, ONE.x + ONE.side, ONE.y + ONE.side];
  lines(context, edges.map((e) => ONE.x + e), edges.map((e) => ONE.y + e), box, "rgba(255,255,255,0.8)", 0.8);
  outline(context, ONE.x + (Math.floor(x) - column) * unit, ONE.y + (Math.floor(y) - row) * unit, unit, unit);
  label(context, `outlined: one token, ${token} × ${token} px`, ONE.x, ONE.y + ONE.side + 18, { size: 12, color: MUTED });
}

function outline(context, x, y, width, height) {
  for (const [color, thickness] of [[PAPER, 5], [BLUE, 2.5]]) {
    context.strokeStyle = color;
    context.lineWidth = thickness;
    context.strokeRect(x, y, width, height);
  }
}

/* A blue dot with a white edge. */
function dot(context, x, y) {
  for (const [color, radius] of [[PAPER, 4.5], [BLUE, 3]]) {
    context.fillStyle = color;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }
}

function drawBars(context, { pairs, globalPairs }) {
  label(context, "Pairs of tokens", BARS.x, BARS.y - 18, { weight: "bold" });
  const longest = Math.max(pairs, globalPairs);
  [["in windows", pairs, BLUE], ["globally", globalPairs, ORANGE]].forEach(([name, count, color], i) => {
    const y = BARS.y + 38 * i;
    label(context, `${name}: ${grouped(count)}`, BARS.x, y, { size: 12 });
    context.fillStyle = color;
    context.fillRect(BARS.x, y + 5, Math.max(1, (BARS.width * count) / longest), 12);
  });
}

const across = (side) => PLOT.x + (PLOT.width * Math.log(side / SIDES[0])) / Math.log(SIDES.at(-1) / SIDES[0]);
const up = (adds) => PLOT.y + (PLOT.height * (HIGHEST - Math.log10(adds))) / (HIGHEST - LOWEST);

function drawCurves(context, state, sizes) {
  label(context, "Multiply-adds of one layer", PLOT.x - 40, 20, { weight: "bold" });
  const bottom = PLOT.y + PLOT.height, box = [PLOT.x, PLOT.y, PLOT.x + PLOT.width, bottom];
  lines(context, [PLOT.x], [bottom], box, MUTED, 1);
  const x = across(state.side), highest = Math.min(up(sizes.adds), up(sizes.globalAdds));
  lines(context, [x], [], [x, highest, x, bottom], MUTED, 1);
  for (const [adds, text] of [[1e7, "10 M"], [1e8, "100 M"], [1e9, "1 G"], [1e10, "10 G"], [1e11, "100 G"]])
    label(context, text, PLOT.x - 6, up(adds) + 4, { align: "right", size: 12, color: MUTED });
  for (const side of [64, 128, 224, 448, 896]) label(context, side, across(side), bottom + 16, { align: "center", size: 12, color: MUTED });
  label(context, "image side, pixels", PLOT.x + PLOT.width / 2, bottom + 34, { align: "center", size: 12, color: MUTED });
  const costs = SIDES.map((side) => cost({ ...state, side }));
  curve(context, costs.map(({ globalAdds }) => globalAdds), ORANGE, [6, 4]);
  curve(context, costs.map(({ adds }) => adds), BLUE, []);
  context.fillStyle = ORANGE;
  context.fillRect(x - 5, up(sizes.globalAdds) - 5, 10, 10);
  context.fillStyle = BLUE;
  context.beginPath();
  context.arc(x, up(sizes.adds), 5, 0, 2 * Math.PI);
  context.fill();
  label(context, "■ - -  globally", PLOT.x + 10, PLOT.y + 14, { size: 12 });
  label(context, "● —  in windows", PLOT.x + 10, PLOT.y + 32, { size: 12 });
}

function curve(context, values, color, dash) {
  context.beginPath();
  values.forEach((value, i) => context.lineTo(across(SIDES[i]), up(value)));
  context.setLineDash(dash);
  context.strokeStyle = color;
  context.lineWidth = 2;
  context.stroke();
  context.setLineDash([]);
}

/* The pointer chooses a place of the photograph. */
function point(x, y, state) {
  const { tokens, padded } = cost(state), shown = (PHOTO.side * tokens) / padded;
  const [row, column] = [y - PHOTO.y, x - PHOTO.x].map((offset) => Math.floor((offset * PLACES) / shown));
  return Math.min(row, column) < 0 || Math.max(row, column) >= PLACES ? null : { place: row * PLACES + column + 1 };
}

const explorer = { size: [760, 344], draw, words, describe, point };

export default { render: (view) => host(view, explorer) };
