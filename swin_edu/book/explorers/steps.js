/* A shifted block on 8 × 8 tokens of a photograph: roll, cut, mask, attend, join, roll back. */

const TOKENS = 8, WINDOW = 4, PATCH = 28, SIDE = TOKENS * PATCH;
const STOPS = 4; // of the slider, in each step
const BETWEEN_WINDOWS = 16, BETWEEN_PIECES = 8; // pixels of the photograph
const STEPS = [
  ["roll", "cyclic_shift"],
  ["cut into windows", "window_partition"],
  ["mask", "shift_mask"],
  ["attend", "attend"],
  ["join the windows", "window_reverse"],
  ["roll back", "cyclic_shift_reverse"],
];
const MAP = { x: 10, y: 10, scale: 1.5 };
const LIST = { x: 428, y: 44, width: 320, line: 54 };

const progress = (number, { step }) => Math.min(1, Math.max(0, step / STOPS - number + 1));
const rolledPlace = (place, shift) => (place - shift + TOKENS) % TOKENS;

/* For each token, rows first, a number that it shares with those it may look at. */
export function groups({ shift, mask }) {
  const ids = mask ? regionIds(TOKENS, TOKENS, shift, shift) : new Array(TOKENS ** 2).fill(0);
  return Array.from({ length: TOKENS ** 2 }, (_, token) => {
    const row = rolledPlace(Math.floor(token / TOKENS), shift), column = rolledPlace(token % TOKENS, shift);
    return 4 * (2 * Math.floor(row / WINDOW) + Math.floor(column / WINDOW)) + ids[row * TOKENS + column];
  });
}

/* The photograph after attention with equal weights: every token becomes the mean of its group. */
export function attended(state, { photo }) {
  const group = groups(state), sums = new Map(), counts = new Map();
  const pixel = (token, i) => {
    const y = Math.floor(token / TOKENS) * PATCH + Math.floor(i / (3 * PATCH)), x = (token % TOKENS) * PATCH;
    return 3 * (y * SIDE + x) + (i % (3 * PATCH));
  };
  group.forEach((g, token) => {
    if (!sums.has(g)) sums.set(g, new Float64Array(3 * PATCH ** 2));
    const sum = sums.get(g);
    for (let i = 0; i < sum.length; i++) sum[i] += photo.data[pixel(token, i)];
    counts.set(g, (counts.get(g) ?? 0) + 1);
  });
  const data = new Uint8ClampedArray(photo.data.length); // rounds
  group.forEach((g, token) => {
    const sum = sums.get(g), count = counts.get(g);
    for (let i = 0; i < sum.length; i++) data[pixel(token, i)] = sum[i] / count;
  });
  return { data, shape: photo.shape };
}

const kept = new WeakMap(); // for each photograph, its pictures by shift and mask
function attendedPicture(state, data) {
  if (!kept.has(data.photo)) kept.set(data.photo, new Map());
  const pictures = kept.get(data.photo), key = `${state.shift} ${state.mask}`;
  if (!pictures.has(key)) pictures.set(key, photograph(attended(state, data)));
  return pictures.get(key);
}

/* By how many pixels of the photograph the map is rolled now, and how wide the gaps are. */
export function arrangement(state) {
  const done = (number) => progress(number, state);
  return {
    moved: state.shift * PATCH * (done(1) - done(6)),
    windows: BETWEEN_WINDOWS * (done(2) - done(5)),
    pieces: state.mask && state.shift ? BETWEEN_PIECES * (done(3) - done(5)) : 0,
  };
}

export function place(state) {
  const moved = progress(1, state) === 1 && progress(6, state) < 1 ? state.shift : 0;
  return [state.row, state.column].map((token) => rolledPlace(token, moved));
}

function looksAt(state) {
  const group = groups(state);
  return group.filter((g) => g === group[state.row * TOKENS + state.column]).length;
}

function describe(state) {
  const says = [
    "8 × 8 tokens, as the block receives them",
    `all tokens move up and left by ${state.shift}; what falls off comes back on the other side`,
    "four windows of 4 × 4 tokens",
    state.mask
      ? "tokens that came from other sides of the picture are kept apart"
      : "switched off, so that all tokens of a window may look at each other",
    "each token becomes the mean of those that it may look at",
    "the windows become one map again",
    `all tokens move down and right by ${state.shift}, to their old places`,
  ];
  const number = Math.ceil(state.step / STOPS), [row, column] = place(state);
  const heading = number ? `Step ${number} of ${STEPS.length}, ${STEPS[number - 1][0]}` : "Start";
  return `${heading}: ${says[number]}. The marked token, at first in row ${state.row}, column ${state.column}, ` +
    `is in row ${row}, column ${column} and may look at ${looksAt(state)} tokens.`;
}

function words(name, state) {
  const number = Math.ceil(state.step / STOPS);
  return {
    step: number ? `step ${number} of ${STEPS.length}, ${STEPS[number - 1][0]}, ${100 * progress(number, state)} percent done` : "start",
    shift: `${state.shift} tokens`,
    mask: state.mask ? "on" : "off",
    row: `row ${state.row} of ${TOKENS}, counted from 0`,
    column: `column ${state.column} of ${TOKENS}, counted from 0`,
  }[name];
}

/* Where a pixel of the rolled photograph stands on the canvas, seen from the map's corner. */
function apart(position, { shift }, { windows, pieces }) {
  return MAP.scale * (position + windows * (position >= WINDOW * PATCH) + pieces * (position >= SIDE - shift * PATCH));
}

function draw(context, state, data) {
  const now = arrangement(state), whole = SIDE + now.windows + now.pieces;
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  context.save();
  context.beginPath();
  context.rect(MAP.x, MAP.y, MAP.scale * whole, MAP.scale * whole);
  context.clip();
  drawTokens(context, state, now, photograph(data.photo));
  context.globalAlpha = progress(4, state);
  if (context.globalAlpha) drawTokens(context, state, now, attendedPicture(state, data));
  context.restore();
  if (state.shift && now.moved === state.shift * PATCH) hatchMoved(context, state, now);
  const [row, column] = [state.row, state.column].map((token) => apart((token * PATCH - now.moved + SIDE) % SIDE, state, now));
  mark(context, MAP.x + column, MAP.y + row, MAP.scale * PATCH, MAP.scale * PATCH);
  drawList(context, state);
}

/* A token that crosses the border of the map is drawn at both sides. */
function drawTokens(context, state, now, picture) {
  const size = MAP.scale * PATCH, at = (token) => (token * PATCH - now.moved + SIDE) % SIDE;
  const spots = (position) => (position > SIDE - PATCH ? [MAP.scale * position, MAP.scale * (position - SIDE)] : [apart(position, state, now)]);
  for (let row = 0; row < TOKENS; row++)
    for (let column = 0; column < TOKENS; column++)
      for (const y of spots(at(row)))
        for (const x of spots(at(column)))
          context.drawImage(picture, column * PATCH, row * PATCH, PATCH, PATCH, MAP.x + x, MAP.y + y, size, size);
}

/* Hatch what the roll brought from the opposite side, and leave the gaps white. */
function hatchMoved(context, state, now) {
  const joint = SIDE - now.moved, cuts = [...new Set([0, WINDOW * PATCH, joint, SIDE])].sort((a, b) => a - b);
  const pieces = cuts.slice(1).map((end, i) => ({ start: cuts[i], at: apart(cuts[i], state, now), length: MAP.scale * (end - cuts[i]) }));
  for (const row of pieces)
    for (const column of pieces)
      if (row.start >= joint || column.start >= joint) hatch(context, MAP.x + column.at, MAP.y + row.at, column.length, row.length);
}

function drawList(context, state) {
  STEPS.forEach(([name, code], index) => {
    const y = LIST.y + index * LIST.line, number = index + 1, current = number === Math.ceil(state.step / STOPS);
    const off = number === 3 && !state.mask ? " (off)" : "";
    label(context, `${number}  ${name}${off}`, LIST.x, y, { size: 15, weight: current ? "bold" : "normal" });
    label(context, code, LIST.x + LIST.width, y, { align: "right", color: MUTED });
    context.fillStyle = BLUE;
    context.fillRect(LIST.x, y + 9, LIST.width * progress(number, state), 9);
    context.strokeStyle = MUTED;
    context.lineWidth = 1;
    context.strokeRect(LIST.x, y + 9, LIST.width, 9);
  });
}

/* The pointer marks a token of the map, wherever it is now. */
function point(x, y, state) {
  const now = arrangement(state);
  const tokenAt = (offset) => {
    for (let token = 0; token < TOKENS; token++) {
      const start = apart((token * PATCH - now.moved + SIDE) % SIDE, state, now);
      if (offset >= start && offset < start + MAP.scale * PATCH) return token;
    }
    return -1;
  };
  const row = tokenAt(y - MAP.y), column = tokenAt(x - MAP.x);
  return row < 0 || column < 0 ? null : { row, column };
}

const explorer = { size: [760, 392], draw, words, describe, point };

export default { render: (view) => host(view, explorer) };
