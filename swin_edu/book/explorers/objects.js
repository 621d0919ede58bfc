/* What is found in a scene: boxes, the class of each pixel, and where the token that answered looked. */

const PIXELS = 64, LEVELS = 3;
const NAMES = ["disc", "square", "triangle", "star", "cross", "ring"];
const DASHES = [[], [8, 5], [2, 4]]; // of the levels, from fine to coarse
const TOP = 34, PANEL_SIDE = 232, [SCENE, CLASSES, TOKEN] = [8, 264, 520].map((left) => ({ left, top: TOP, side: PANEL_SIDE }));
const UNIT = PANEL_SIDE / PIXELS;
const SCORES = { left: 262, width: 470, top: 362, row: 24 };
const LETTER = 1.85, LINE = 4.4; // pixels of the scene that a letter takes across, and a line of text down

/* The boxes that were found in the scene, the surest first; level 1 is the finest. */
function found({ scene }, { facts, boxes, keys }) {
  const window = keys.shape[1], result = [];
  for (let i = 0; i < facts.shape[0]; i++) {
    const [where, label, score, level, row, column, named] = facts.data.subarray(7 * i, 7 * i + 7);
    if (where === scene) result.push({ label, score, level, row, column, named, sides: Array.from(boxes.data.subarray(4 * i, 4 * i + 4)), first: i * window, past: (i + 1) * window });
  }
  return result;
}

const above = (state, data) => found(state, data).filter(({ score }) => score > state.threshold / 100);
const ofLevel = (state, boxes) => boxes.filter(({ level }) => !state.level || state.level === level);
export const shownOf = (state, data) => ofLevel(state, above(state, data));
const counts = (boxes) => Array.from({ length: LEVELS }, (_, index) => boxes.filter(({ level }) => level === index + 1).length);

/* Where the token that answered looks: the tokens of its window, the weights, and which of them it may look at. */
export function look({ level, first, past }, { keys, weights, allowed, strides }) {
  const [tokens, shares, free] = [keys, weights, allowed].map(({ data }) => Array.from(data.subarray(first, past)));
  const stride = strides.data[level - 1];
  return { keys: tokens, weights: shares, allowed: free.map(Boolean), stride, width: PIXELS / stride };
}

const perCent = (share) => Math.floor(100 * share + 0.5);
const inWords = (count) => `${count} ${count === 1 ? "box" : "boxes"}`;
const nameOf = ({ label, score }) => `${NAMES[label]} ${perCent(score)} %`;

export function describe(state, data) {
  const boxes = above(state, data), shown = ofLevel(state, boxes);
  const byLevel = counts(boxes).map((count, index) => `${count || "none"} from level ${index + 1}`).join(", ");
  const begin = `Scene ${state.scene}, threshold ${state.threshold} %: ${inWords(boxes.length)}, ${byLevel}.`;
  const box = shown[state.object - 1], only = state.level ? ` from level ${state.level}` : "";
  if (!box) return `${begin} No box${only} is shown.`;
  const { keys, weights, width } = look(box, data), most = Math.max(...weights), best = keys[weights.indexOf(most)];
  const row = Math.floor(best / width), column = best % width, name = NAMES[box.label];
  const where = row === box.row && column === box.column ? "itself" : `row ${row}, column ${column}`;
  return `${begin} Box ${state.object} of ${shown.length}${only}: ${name}, ${perCent(box.score)} %, from level ${box.level}, ` +
    `place row ${box.row}, column ${box.column}; the segmenter names ${box.named} % of its pixels ${name}. ` +
    `That token attends most to ${where} (${perCent(most)} %).`;
}

export function limits(state, data) {
  const scene = Object.keys(data).filter((name) => name.startsWith("photo")).length - 1;
  const shown = shownOf({ ...state, scene: Math.min(state.scene, scene) }, data);
  return { scene, object: Math.max(1, shown.length) };
}

function words(name, state, data) {
  const { scene } = limits(state, data), shown = shownOf(state, data);
  return {
    scene: `scene ${state.scene} of 0 to ${scene}`,
    threshold: `boxes above ${state.threshold} %`,
    level: state.level ? `level ${state.level}, a place every ${data.strides.data[state.level - 1]} pixels` : "all levels",
    object: shown.length ? `box ${state.object} of ${shown.length}, ${nameOf(shown[state.object - 1])}` : "no box is shown",
  }[name];
}

function draw(context, state, data) {
  const shown = shownOf(state, data), chosen = shown[state.object - 1];
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  drawScene(context, state, data, shown, chosen);
  drawClasses(context, state, data, chosen);
  drawToken(context, state, data, chosen);
  drawScores(context, state, data, chosen);
}

const title = (context, { left }, text) => label(context, text, left, 22, { weight: "bold" });
const below = (context, { left }, text) => label(context, text, left, TOP + PANEL_SIDE + 18, { size: 12, color: MUTED });
const paint = (context, { left, top, side }, array) => context.drawImage(photograph(array), left, top, side, side);

function drawScene(context, state, data, shown, chosen) {
  title(context, SCENE, `boxes above ${state.threshold} %, ${state.level ? `level ${state.level}` : "all levels"}`);
  paint(context, SCENE, data[`photo${state.scene}`]);
  for (const box of [...shown].reverse()) if (box !== chosen) outline(context, SCENE, box, data, 2); // the surest on top
  if (chosen) {
    outline(context, SCENE, chosen, data, 4);
    const { stride, width } = look(chosen, data);
    mark(context, ...tokenIn(SCENE, chosen.row * width + chosen.column, photograph(data[`photo${state.scene}`]), { stride, width }), 2);
  }
  for (const [index, x, y] of namesAt(shown, state.object - 1)) {
    const text = nameOf(shown[index]), own = shown[index] === chosen;
    context.fillStyle = own ? BLUE : PAPER;
    context.fillRect(SCENE.left + x * UNIT, TOP + y * UNIT, LETTER * (text.length + 1) * UNIT, LINE * UNIT);
    label(context, text, SCENE.left + (x + LETTER / 2) * UNIT, TOP + (y + LINE) * UNIT - 4, { size: 12, color: own ? PAPER : INK });
  }
  below(context, SCENE, "blue square: the place that answered");
}

/* A box in the colour of its class, with the line of its level. */
function outline(context, { left, top }, { sides, label: kind, level }, { palette }, thickness) {
  const [x0, y0, x1, y1] = sides.map((side) => side * UNIT);
  for (const [color, thick, dash] of [[PAPER, thickness + 2, []], [colorOf(palette, kind), thickness, DASHES[level - 1]]]) {
    context.strokeStyle = color;
    context.lineWidth = thick;
    context.setLineDash(dash);
    context.strokeRect(left + x0, top + y0, x1 - x0, y1 - y0);
  }
  context.setLineDash([]);
}

const colorOf = ({ data }, kind) => `rgb(${data.subarray(3 * kind, 3 * kind + 3).join(",")})`;

/* Which boxes get their names, and where [number, x, y]: those that leave the others legible. As in objects.py. */
export function namesAt(shown, chosen) {
  const order = shown.map((_, number) => number).sort((a, b) => (b === chosen) - (a === chosen));
  const result = [], taken = [];
  for (const number of order) {
    const [x0, y0, x1, y1] = shown[number].sides, width = LETTER * (nameOf(shown[number]).length + 1);
    for (const [left, y] of [[x0, y0 - LINE], [x1 - width, y0 - LINE], [x0, y1], [x1 - width, y1], [x0, y0]]) {
      const x = Math.max(0, Math.min(left, PIXELS - width));
      if (y < 0 || y > PIXELS - LINE || !taken.every(([u, v, w]) => x + width <= u || u + w <= x || Math.abs(y - v) >= LINE)) continue;
      result.push([number, x, y]);
      taken.push([x, y, width]);
      break;
    }
  }
  return result;
}

function drawClasses(context, state, data, chosen) {
  title(context, CLASSES, "class of each pixel");
  paint(context, CLASSES, data[`named${state.scene}`]);
  if (chosen) outline(context, CLASSES, chosen, data, 2);
  const { data: numbers, shape } = data.numbers;
  for (let i = 0; i < shape[0]; i++) {
    const [scene, number, x, y] = numbers.subarray(4 * i, 4 * i + 4);
    if (scene !== state.scene) continue;
    context.beginPath();
    context.arc(CLASSES.left + x * UNIT, TOP + y * UNIT, 8, 0, 2 * Math.PI);
    context.fillStyle = PAPER;
    context.fill();
    label(context, String(number), CLASSES.left + x * UNIT, TOP + y * UNIT + 4.5, { size: 12, align: "center" });
  }
  NAMES.forEach((name, kind) => {
    const x = CLASSES.left + (kind % 3) * 80, y = TOP + PANEL_SIDE + 18 + 18 * Math.floor(kind / 3);
    context.fillStyle = colorOf(data.palette, kind);
    context.fillRect(x, y - 10, 11, 11);
    label(context, `${kind + 1} ${name}`, x + 15, y, { size: 12 });
  });
}

function drawToken(context, state, data, chosen) {
  const photo = photograph(data[`photo${state.scene}`]);
  if (!chosen) {
    title(context, TOKEN, "no box is shown");
    litWindow(context, TOKEN, photo, { keys: [] }, null);
    return;
  }
  const seen = look(chosen, data), most = Math.max(...seen.weights);
  title(context, TOKEN, `where the token looks, level ${chosen.level}`);
  litWindow(context, TOKEN, photo, seen, (j) => valueColor(seen.weights[j] / most));
  windowFrame(context, TOKEN, photo, seen, chosen);
  below(context, TOKEN, `dark 0, bright ${perCent(most)} %; orange: window`);
}

/* A line for each level, a dot for each box at its score; full above the threshold, blue the chosen one. */
function drawScores(context, state, data, chosen) {
  const { left, width, top, row } = SCORES, boxes = above(state, data), bottom = top + LEVELS * row, at = (score) => left + score * width;
  label(context, "Scores of all boxes of the scene, by the level that answered", 8, top - 26, { weight: "bold" });
  counts(boxes).forEach((count, index) => {
    const y = top + (index + 0.5) * row, color = !state.level || state.level === index + 1 ? INK : MUTED;
    context.setLineDash(DASHES[index]);
    lines(context, [], [y], [8, y, 44, y], INK, 2.5);
    context.setLineDash([]);
    label(context, `level ${index + 1} (${data.strides.data[index]} px): ${inWords(count)}`, 54, y + 5, { color });
    lines(context, [], [y], [left, y, left + width, y], MUTED, 0.7);
  });
  for (const share of [0, 0.25, 0.5, 0.75, 1]) {
    lines(context, [at(share)], [], [0, bottom, 0, bottom + 4], MUTED, 1);
    label(context, `${100 * share} %`, at(share), bottom + 17, { size: 12, align: "center", color: MUTED });
  }
  for (const { score, level } of found(state, data)) {
    const shown = score > state.threshold / 100 && (!state.level || state.level === level);
    dot(context, at(score), top + (level - 0.5) * row, 4, shown ? INK : PAPER);
  }
  if (chosen) dot(context, at(chosen.score), top + (chosen.level - 0.5) * row, 6, BLUE);
  const x = at(state.threshold / 100);
  for (const [color, thick] of [[INK, 4], [ORANGE, 2.4]]) lines(context, [x], [], [0, top - 3, 0, bottom], color, thick);
  label(context, `threshold ${state.threshold} %`, x, top - 8, { size: 12, align: state.threshold > 50 ? "right" : "left" });
}

function dot(context, x, y, radius, color) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = color;
  context.fill();
  context.strokeStyle = INK;
  context.lineWidth = 1.2;
  context.stroke();
}

/* On the scene the pointer chooses the smallest box around it. */
function point(x, y, state, data) {
  const shown = shownOf(state, data), [across, down] = [(x - SCENE.left) / UNIT, (y - TOP) / UNIT];
  let best = null, least = Infinity;
  shown.forEach(({ sides: [x0, y0, x1, y1] }, index) => {
    const area = (x1 - x0) * (y1 - y0);
    if (x0 <= across && across <= x1 && y0 <= down && down <= y1 && area < least) [best, least] = [{ object: index + 1 }, area];
  });
  return best;
}

const explorer = { size: [760, 456], limits, draw, words, describe, point };

export default { render: (view) => host(view, explorer) };
