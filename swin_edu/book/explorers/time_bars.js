/* Where the time of one forward pass goes: the parts of one step, and the sums of all steps. */

const PARTS = ["linear layers", "attention", "GELU", "layer norm", "moving tokens", "everything else"];
const LEFT = 8, BARS = { x: 136, width: 384 }, COLUMNS = [596, 648, 752]; // the right ends of the numbers
const UPPER = { top: 36, row: 28, bar: 13, ghost: 6 }, LOWER = { top: 244, row: 25, bar: 16 };

/* The numbers of one batch size, in whole microseconds. */
export function profile({ batch }, { times, bounds, sizes, texts }) {
  const [, count, parts] = times.shape;
  const [machine, ...names] = new TextDecoder().decode(texts.data).split("\n");
  const all = names.map((_, step) => [...times.data.subarray((batch * count + step) * parts, (batch * count + step + 1) * parts)]);
  const sums = all.map((part) => part.reduce((a, b) => a + b)), bound = bounds.data[batch];
  return { machine, names, times: all, sums, bound, size: sizes.data[batch], scale: Math.max(bound, ...sums) };
}

function milliseconds(time) {
  const tenths = Math.floor((time + 50) / 100);
  return `${grouped(Math.floor(tenths / 10))}.${tenths % 10} ms`;
}

const percent = (part, whole) => `${Math.floor((200 * part + whole) / (2 * whole))} %`;

function ratio(time, other) {
  const hundredths = Math.floor((200 * time + other) / (2 * other));
  return `${Math.floor(hundredths / 100)}.${String(hundredths % 100).padStart(2, "0")}`;
}

export function describe(state, data) {
  const { names, times, sums, bound, size } = profile(state, data), { step } = state;
  const faster = step ? `, ${ratio(sums[0], sums[step])} times as fast as the clear model` : "";
  const parts = PARTS.map((part, i) => `${part} ${milliseconds(times[step][i])} (${percent(times[step][i], sums[step])})`);
  return `Batch ${size}, step ${step} of ${names.length - 1} (${names[step]}): ` +
    `${milliseconds(sums[step])} a batch${faster}; ${parts.join(", ")}; ` +
    `at the measured peak the products alone would take ${milliseconds(bound)}.`;
}

function words(name, state, data) {
  const { names, size } = profile(state, data);
  return { step: `step ${state.step} of ${names.length - 1}, ${names[state.step]}`, batch: `${size} image${size > 1 ? "s" : ""}` }[name];
}

const limits = (state, { times }) => ({ step: times.shape[1] - 1, batch: times.shape[0] - 1 });

function draw(context, state, data) {
  const shown = profile(state, data), last = shown.names.length - 1;
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  label(context, `Batch ${shown.size}, step ${state.step} of ${last}: ${shown.names[state.step]}`, LEFT, 20, { weight: "bold", size: 15 });
  drawParts(context, shown.times[state.step], shown.times[0], shown.sums[state.step], shown.scale);
  label(context, "All parts together, after each step", LEFT, LOWER.top - 14, { weight: "bold" });
  drawSums(context, shown, state.step);
}

function drawParts(context, times, clear, sum, scale) {
  const columns = (y, texts) => texts.forEach((text, i) => label(context, text, COLUMNS[i], y, { align: "right", size: i < 2 ? 13 : 12, color: i < 2 ? INK : MUTED }));
  columns(UPPER.top - 16, ["this step", "share", "clear, outlined"]);
  PARTS.forEach((part, row) => {
    const y = UPPER.top + row * UPPER.row, text = y + UPPER.bar - 1;
    label(context, part, LEFT, text);
    bar(context, y, times[row] / scale, UPPER.bar, BLUE);
    bar(context, y + UPPER.bar + 1, clear[row] / scale, UPPER.ghost, PAPER, MUTED, 1);
    columns(text, [milliseconds(times[row]), percent(times[row], sum), milliseconds(clear[row])]);
  });
}

function drawSums(context, { names, sums, bound, scale, machine }, step) {
  sums.forEach((time, row) => {
    const y = LOWER.top + row * LOWER.row, text = y + LOWER.bar - 3, weight = row === step ? "bold" : "normal";
    const style = row === step ? [BLUE, INK, 2.5] : ["#d0d0d0", MUTED, 1];
    label(context, `${row}  ${names[row]}`, LEFT, text, { weight });
    bar(context, y, time / scale, LOWER.bar, ...style);
    label(context, milliseconds(time), COLUMNS[0], text, { align: "right", weight });
    label(context, `${ratio(sums[0], time)} × as fast`, COLUMNS[2], text, { align: "right", weight });
  });
  const x = BARS.x + (BARS.width * bound) / scale, end = LOWER.top + sums.length * LOWER.row;
  for (const [color, thick] of [[PAPER, 4], [INK, 2]]) lines(context, [x], [], [x, LOWER.top - 6, x, end], color, thick);
  const align = 3 * bound > 2 * scale ? "right" : "left"; // where there is room
  label(context, `bound: products alone at the measured peak, ${milliseconds(bound)}`, x, end + 15, { align, size: 12 });
  if (machine) label(context, `measured: ${machine}`, LEFT, end + 38, { size: 12, color: MUTED });
}

function bar(context, y, share, height, color, edge, thick) {
  context.fillStyle = color;
  context.fillRect(BARS.x, y, BARS.width * share, height);
  if (!edge) return;
  context.strokeStyle = edge;
  context.lineWidth = thick;
  context.strokeRect(BARS.x, y, BARS.width * share, height);
}

const explorer = { size: [760, 414], limits, draw, words, describe };

export default { render: (view) => host(view, explorer) };
