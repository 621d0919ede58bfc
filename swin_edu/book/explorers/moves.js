/* A digit is moved, with black where nothing came from; what the model then answers was computed in Python. */

const PIXELS = 8, COUNT = 24, CLASSES = 10, FAR = 3;
const MOVES = 2 * FAR + 1; // in each direction
const TOP = 34, SIDE = 168, BOTTOM = TOP + SIDE; // of all panels in the upper row
const DIGIT = { left: 8 };
const BARS = { left: 210, width: 60, number: 304, tag: 310 };
const MAPS = { all: 404, one: 584, cell: SIDE / MOVES };
const ROW = { left: 8, top: 288, side: 28, step: 31 };
const GREY = "#d0d0d0";

/* The number of the move among all 49, row by row. */
const placeOf = ({ down, right }) => (down + FAR) * MOVES + right + FAR;

/* One digit so moved: its class, the answer, what each class gets, and how much of its ink is left. */
export function reading(digit, place, { labels, answers, probabilities, ink }) {
  const index = digit * MOVES ** 2 + place;
  const gets = Array.from(probabilities.data.subarray(index * CLASSES, (index + 1) * CLASSES));
  return { truth: labels.data[digit], answer: answers.data[index], gets, ink: ink.data[index] };
}

/* Per cent of right answers among all digits held out, for each move; a half is rounded up. */
export function shares({ right, facts }) {
  return Array.from(right.data, (number) => perCent(number, facts.data[0]));
}

/* The same for all moves by 0, 1, 2 and 3 pixels, down or across. */
export function byDistance({ right, facts }) {
  const sums = Array(FAR + 1).fill(0), counts = Array(FAR + 1).fill(0);
  right.data.forEach((number, place) => {
    const distance = Math.max(Math.abs(Math.floor(place / MOVES) - FAR), Math.abs((place % MOVES) - FAR));
    sums[distance] += number;
    counts[distance] += facts.data[0];
  });
  return sums.map((sum, distance) => perCent(sum, counts[distance]));
}

const perCent = (part, whole) => Math.floor((200 * part + whole) / (2 * whole));
const rounded = (share) => Math.floor(100 * share + 0.5);
const sign = ({ answer, truth }) => (answer === truth ? "✓" : String(answer));

function direction(pixels, negative, positive) {
  return pixels ? [`${Math.abs(pixels)} px ${pixels > 0 ? positive : negative}`] : [];
}

function inWords({ down, right }) {
  const parts = [...direction(down, "up", "down"), ...direction(right, "left", "right")];
  return parts.length ? `moved ${parts.join(" and ")}` : "not moved";
}

function describe(state, data) {
  const place = placeOf(state), { truth, answer, gets, ink } = reading(state.digit, place, data);
  const verdict = answer === truth ? "right" : `wrong; ${truth} gets ${rounded(gets[truth])} %`;
  const [home, ...away] = byDistance(data);
  return `Digit ${state.digit} (class ${truth}), ${inWords(state)}, ${ink} % of its ink left: ` +
    `the answer is ${answer} with ${rounded(gets[answer])} %, ${verdict}. Of all ${data.facts.data[0]} digits ` +
    `${shares(data)[place]} % are read right so, ` +
    `${home} % unmoved; on average ${away[0]} % moved by 1 px, ${away[1]} % by 2, ${away[2]} % by 3.`;
}

function words(name, state, data) {
  return {
    digit: `digit ${state.digit} of ${COUNT}, counted from 0: class ${data.labels.data[state.digit]}`,
    down: direction(state.down, "up", "down")[0] ?? "neither up nor down",
    right: direction(state.right, "left", "right")[0] ?? "neither left nor right",
  }[name];
}

function draw(context, state, data) {
  const place = placeOf(state), shown = reading(state.digit, place, data);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  title(context, `digit ${state.digit}`, DIGIT.left);
  digit(context, state.digit, state, data, DIGIT.left, TOP, SIDE);
  for (const [size, width] of [[data.facts.data[1], 1], [data.facts.data[2], 4]]) {
    const places = steps(0, PIXELS, size).map((at) => (at * SIDE) / PIXELS);
    lines(context, places.map((at) => DIGIT.left + at), places.map((at) => TOP + at), [DIGIT.left, TOP, DIGIT.left + SIDE, BOTTOM], ORANGE, width);
  }
  under(context, inWords(state), DIGIT.left, 17);
  under(context, `${shown.ink} % of its ink is left`, DIGIT.left, 34);
  under(context, "thin: patches, thick: windows", DIGIT.left, 51);
  bars(context, shown);
  maps(context, state, data);
  row(context, state, data);
}

const title = (context, text, left) => label(context, text, left, 22, { weight: "bold", size: 12 });
const under = (context, text, left, down) => label(context, text, left, BOTTOM + down, { size: 12, color: MUTED });

/* What is left of a digit after a move, on black. */
function digit(context, number, { down, right }, { digits }, left, top, side) {
  const unit = side / PIXELS, width = PIXELS - Math.abs(right), height = PIXELS - Math.abs(down);
  context.fillStyle = "#000000";
  context.fillRect(left, top, side, side);
  const from = [Math.max(0, -right), number * PIXELS + Math.max(0, -down), width, height];
  const to = [left + Math.max(0, right) * unit, top + Math.max(0, down) * unit, width * unit, height * unit];
  context.drawImage(photograph(digits), ...from, ...to);
}

/* The answer has a tick or a cross, the true class a frame. */
function bars(context, { truth, answer, gets }) {
  const height = SIDE / CLASSES;
  title(context, "what each class gets", BARS.left - 18);
  gets.forEach((share, number) => {
    const y = TOP + number * height, weight = number === answer ? "bold" : "normal";
    context.fillStyle = number === answer ? BLUE : GREY;
    context.fillRect(BARS.left, y + 2, share * BARS.width, height - 4);
    label(context, String(number), BARS.left - 10, y + 13, { align: "center", weight });
    label(context, `${rounded(share)} %`, BARS.number, y + 13, { align: "right", size: 12, weight });
    if (number === answer) label(context, number === truth ? "✓ answer" : "× answer", BARS.tag, y + 13, { size: 12, weight });
    else if (number === truth) label(context, "true", BARS.tag, y + 13, { size: 12 });
  });
  context.strokeStyle = INK;
  context.lineWidth = 1.5;
  context.strokeRect(BARS.left - 17, TOP + truth * height + 1, 14, height - 2);
}

function maps(context, state, data) {
  const percents = shares(data);
  title(context, `right answers of ${data.facts.data[0]}, %`, MAPS.all);
  cells(context, MAPS.all, state, (place) => [valueColor(percents[place] / 100), String(percents[place])]);
  title(context, "this digit's answers", MAPS.one);
  cells(context, MAPS.one, state, (place) => {
    const found = reading(state.digit, place, data);
    return [found.answer === found.truth ? [0, 114, 178] : [255, 255, 255], sign(found)];
  });
  for (let i = 0; i < MOVES; i++) {
    const text = String(i - FAR).replace("-", "−"), at = (i + 0.5) * MAPS.cell;
    label(context, text, MAPS.all - 6, TOP + at + 4, { align: "right", size: 12, color: MUTED });
    for (const left of [MAPS.all, MAPS.one]) label(context, text, left + at, BOTTOM + 17, { align: "center", size: 12, color: MUTED });
  }
  under(context, "→ right, ↓ down, in pixels", MAPS.all, 34);
  under(context, "dashed: at most 1 px", MAPS.one, 34);
  under(context, `mean by 0, 1, 2, 3 px: ${byDistance(data).join(", ")} %`, MAPS.all, 51);
  label(context, "✓: right", MAPS.one + SIDE, BOTTOM + 51, { align: "right", size: 12, color: MUTED });
}

/* One cell for each move, as `cell(place)` says: [colour, text]. */
function cells(context, left, { down, right }, cell) {
  const size = MAPS.cell;
  for (let place = 0; place < MOVES ** 2; place++) {
    const [color, text] = cell(place), x = left + (place % MOVES) * size, y = TOP + Math.floor(place / MOVES) * size;
    context.fillStyle = `rgb(${color.join(",")})`;
    context.fillRect(x, y, size, size);
    label(context, text, x + size / 2, y + size / 2 + 4, { align: "center", size: 12, color: color[0] + color[1] + color[2] > 382 ? INK : PAPER });
  }
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(left, TOP, SIDE, SIDE);
  for (const [color, width, dashes] of [[PAPER, 4, []], [INK, 2, [5, 3]]]) {
    context.strokeStyle = color;
    context.lineWidth = width;
    context.setLineDash(dashes);
    context.strokeRect(left + (FAR - 1) * size, TOP + (FAR - 1) * size, 3 * size, 3 * size);
  }
  context.setLineDash([]);
  mark(context, left + (right + FAR) * size, TOP + (down + FAR) * size, size, size);
}

function row(context, state, data) {
  label(context, "all 24 so moved, and their answers, ✓: right", ROW.left, ROW.top - 8, { weight: "bold", size: 12 });
  for (let number = 0; number < COUNT; number++) {
    const left = ROW.left + number * ROW.step, weight = number === state.digit ? "bold" : "normal";
    digit(context, number, state, data, left, ROW.top, ROW.side);
    label(context, sign(reading(number, placeOf(state), data)), left + ROW.side / 2, ROW.top + ROW.side + 16, { align: "center", weight });
  }
  mark(context, ROW.left + state.digit * ROW.step, ROW.top, ROW.side, ROW.side);
}

/* The pointer chooses the move on either map, the digit in the row. */
function point(x, y) {
  const left = [MAPS.all, MAPS.one].find((left) => x >= left && x < left + SIDE);
  if (left !== undefined && y >= TOP && y < BOTTOM)
    return { down: Math.floor((y - TOP) / MAPS.cell) - FAR, right: Math.floor((x - left) / MAPS.cell) - FAR };
  const digit = Math.floor((x - ROW.left) / ROW.step);
  return digit >= 0 && digit < COUNT && y >= ROW.top && y < ROW.top + ROW.side ? { digit } : null;
}

const explorer = { size: [760, 340], draw, words, describe, point };

export default { render: (view) => host(view, explorer) };
