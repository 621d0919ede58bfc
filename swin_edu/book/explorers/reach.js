/* What can influence a token of Swin-T after any block, and on which way it reaches it. */

const SIDE = 224, PATCH = 4, WINDOW = 7;
const DEPTHS = [2, 2, 6, 2]; // blocks in the stages of Swin-T
const LAST = DEPTHS.reduce((a, b) => a + b);
const PHOTO = { x: 8, y: 30, side: 352 };
const CONE = { x: 424, y: 30, side: 280, step: 27, bar: 15 }; // a bar for the tokens after each block
const STAGES = DEPTHS.flatMap((depth, index) => Array.from({ length: depth }, (_, place) => [index + 1, place]));

/* Block `number` from 1; 0 stands for the patches before the first. As swin_edu.book.explorers.reach.Block. */
export function blockOf(number, shifted) {
  const [stage, index] = STAGES[Math.max(number - 1, 0)];
  const tokens = SIDE / PATCH / 2 ** (stage - 1);
  const shift = shifted && index % 2 && tokens > WINDOW ? Math.floor(WINDOW / 2) : 0;
  return { stage, tokens, shift, first: index === 0 };
}

/* Along one side: the tokens that lead to the one at `place`, [first, last + 1], after block, block - 1, … 0. */
export function spans(place, { block, shift }) {
  const found = [[place, place + 1]];
  for (let number = block; number > 0; number--) {
    const { stage, tokens, shift: moved, first } = blockOf(number, shift);
    const start = (token) => Math.floor((token - moved) / WINDOW) * WINDOW + moved; // of its window
    const [left, right] = found.at(-1);
    const heard = [Math.max(0, start(left)), Math.min(tokens, start(right - 1) + WINDOW)];
    found.push(first && stage > 1 ? heard.map((token) => 2 * token) : heard);
  }
  return found;
}

export function describe(state) {
  const { stage, tokens, shift } = blockOf(state.block, state.shift);
  const [rows, columns] = [state.row, state.column].map((place) => spans(place, state).at(-1)).map(([a, b]) => b - a);
  const count = rows * columns, whole = (SIDE / PATCH) ** 2;
  const hundredths = Math.floor((20000 * count + whole) / (2 * whole)); // of a per cent
  const moved = shift ? `windows moved by ${shift}` : "windows not moved";
  const when = state.block ? `After block ${state.block} (stage ${stage}, ${moved})` : "Before block 1";
  return `${when}, with the shift ${state.shift ? "on" : "off"}: the token at row ${state.row}, column ${state.column} of ${tokens} × ${tokens} ` +
    `can be influenced by ${rows} × ${columns} = ${grouped(count)} of ${grouped(whole)} patches, ` +
    `${Math.floor(hundredths / 100)}.${String(hundredths % 100).padStart(2, "0")} % of the photograph.`;
}

function words(name, state) {
  const { stage, tokens } = blockOf(state.block, state.shift);
  return {
    block: state.block ? `after block ${state.block} of ${LAST}, stage ${stage}` : "before block 1",
    shift: state.shift ? "on: every second block moves its windows" : "off: no block moves its windows",
    row: `row ${state.row} of ${tokens}, counted from 0`,
    column: `column ${state.column} of ${tokens}, counted from 0`,
  }[name];
}

function limits(state) {
  const last = blockOf(state.block, state.shift).tokens - 1;
  return { row: last, column: last };
}

function draw(context, state, { photo }) {
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  label(context, "Bright: what can influence the outlined token", PHOTO.x, 20, { weight: "bold" });
  label(context, "From the patches up to the token, along its row", CONE.x, 20, { weight: "bold" });
  drawPhoto(context, state, photo);
  drawCone(context, state);
}

function drawPhoto(context, state, photo) {
  const { tokens, shift } = blockOf(state.block, state.shift), unit = PHOTO.side / tokens;
  const [[top, bottom], [left, right]] = [state.row, state.column].map((place) => spans(place, state).at(-1));
  const source = [left, top, right - left, bottom - top].map((patches) => patches * PATCH);
  const scale = PHOTO.side / SIDE, [x, y, width, height] = source.map((pixels) => pixels * scale);
  context.drawImage(photograph(photo), PHOTO.x, PHOTO.y, PHOTO.side, PHOTO.side);
  context.fillStyle = "rgba(0,0,0,0.65)";
  context.fillRect(PHOTO.x, PHOTO.y, PHOTO.side, PHOTO.side);
  context.drawImage(photograph(photo), ...source, PHOTO.x + x, PHOTO.y + y, width, height);
  ruled(context, steps(0, PHOTO.side, unit), "rgba(255,255,255,0.3)", 0.6);
  if (state.block) {
    const edges = [0, ...steps(shift * unit, PHOTO.side, WINDOW * unit), PHOTO.side];
    for (const [color, thick] of [[INK, 2.4], [ORANGE, 1.3]]) ruled(context, edges, color, thick);
  }
  mark(context, PHOTO.x + state.column * unit, PHOTO.y + state.row * unit, unit, unit);
}

function ruled(context, edges, color, thick) {
  const box = [PHOTO.x, PHOTO.y, PHOTO.x + PHOTO.side, PHOTO.y + PHOTO.side];
  lines(context, edges.map((edge) => PHOTO.x + edge), edges.map((edge) => PHOTO.y + edge), box, color, thick);
}

/* From the token down to the patches: a bar of tokens for each block, between two bars the windows of the upper block. */
function drawCone(context, state) {
  const found = spans(state.column, state);
  for (let number = 0; number <= LAST; number++) {
    const { stage, tokens, shift, first } = blockOf(number, state.shift), unit = CONE.side / tokens;
    const y = CONE.y + (LAST - number) * CONE.step, end = y + CONE.bar, below = y + CONE.step;
    const places = (level) => found[level].map((token) => CONE.x + (token * CONE.side) / blockOf(state.block - level, state.shift).tokens);
    if (number <= state.block) {
      const [left, right] = places(state.block - number);
      context.fillStyle = BLUE;
      context.fillRect(left, y, right - left, CONE.bar);
      if (number) fan(context, left, right, end, ...places(state.block - number + 1), below);
    }
    const box = [CONE.x, y, CONE.x + CONE.side, end];
    lines(context, steps(0, CONE.side, unit).map((x) => CONE.x + x), [y, end], box, "rgba(118,118,118,0.6)", 0.6);
    const edges = number ? [0, ...steps(shift * unit, CONE.side, WINDOW * unit), CONE.side] : [];
    lines(context, edges.map((x) => CONE.x + x), [], [CONE.x, end, CONE.x + CONE.side, below], ORANGE, 2);
    label(context, number || "patches", CONE.x - 6, end - 3, { align: "right", color: number <= state.block ? INK : MUTED });
    if (first && number) label(context, `stage ${stage}`, CONE.x + CONE.side + 6, end - 3, { size: 12, color: MUTED });
  }
}

function fan(context, left, right, y, belowLeft, belowRight, below) {
  context.beginPath();
  for (const corner of [[left, y], [right, y], [belowRight, below], [belowLeft, below]]) context.lineTo(...corner);
  context.fillStyle = "rgba(0,114,178,0.3)";
  context.fill();
}

/* The pointer chooses a token on the photograph. */
function point(x, y, state) {
  const { tokens } = blockOf(state.block, state.shift);
  const [row, column] = [y - PHOTO.y, x - PHOTO.x].map((offset) => Math.floor((offset / PHOTO.side) * tokens));
  return Math.min(row, column) >= 0 && Math.max(row, column) < tokens ? { row, column } : null;
}

/* The token of another stage covers the same place of the photograph. */
function follow(before, after) {
  const ratio = blockOf(after.block, 1).tokens / blockOf(before.block, 1).tokens;
  return ratio === 1 ? {} : { row: Math.floor(before.row * ratio), column: Math.floor(before.column * ratio) };
}

const explorer = { size: [760, 394], limits, draw, words, describe, point, follow };

export default { render: (view) => host(view, explorer) };
