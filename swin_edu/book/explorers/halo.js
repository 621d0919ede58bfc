/* The windows of one image on several ranks: who holds which rows, which travel, and how many bytes that is. */

const WINDOW = 7, SHIFT = 3;
const BYTES = 4; // of a number
const BLOCKS = ["plain", "shifted"];
const COLOURS = [BLUE, ORANGE, GREEN, PURPLE]; // of ranks, over and over; each rank also carries its number
const TINT = 0.35; // share of a rank's colour over the photograph
const PHOTO = { x: 38, y: 30, side: 300 };
const STRIP = { x: 8, width: 24 }; // of the ranks' numbers
const LANES = [362, 396]; // of the arrows: to the rank before, and around
const TABLE = { x: 462, y: 46, row: 21, width: 130, right: 752 };
const SUMS = { x: 440, y: 230, width: 294 };
const TICKS = ["10 kB", "100 kB", "1 MB", "10 MB", "100 MB", "1 GB"];
const LOWEST = 4, HIGHEST = 9; // of the axis of bytes, as powers of ten

/* swin_edu.parallel.split_rows, for windows of 7: the first row of each rank, and the one after its last. */
function splitRows(height, ranks) {
  const count = Math.ceil(height / WINDOW);
  const border = (rank) => Math.min(height, Math.floor((count * rank) / ranks) * WINDOW);
  return Array.from({ length: ranks }, (_, rank) => [border(rank), border(rank + 1)]);
}

/* The same numbers as swin_edu.book.explorers.halo.Plan; a test compares them for every setting. */
export function planOf({ side, stage, ranks, block }) {
  const tokens = side / (4 * 2 ** (stage - 1)), channels = 96 * 2 ** (stage - 1);
  const padded = Math.ceil(tokens / WINDOW) * WINDOW;
  const shift = padded > WINDOW ? SHIFT * block : 0;
  const rows = splitRows(tokens, ranks);
  const working = rows.flatMap(([first, end], rank) => (end > first ? [rank] : []));
  const borders = shift && working.length > 1;
  const travels = borders ? working.map((rank, place) => [rank, working.at(place - 1)]) : [];
  const each = borders ? 2 * shift * padded * channels * BYTES : 0; // there and back
  const everywhere = 2 * tokens ** 2 * channels * BYTES * (ranks - 1); // keys and values
  const finer = splitRows(2 * tokens, ranks);
  const stay = rows.map(([first, end], rank) => Math.max(0, Math.min(2 * end, finer[rank][1]) - Math.max(2 * first, finer[rank][0])));
  const moved = stage > 1 ? stay.reduce((rest, count) => rest - count, 2 * tokens) : 0;
  const merging = moved * tokens * channels * BYTES; // twice the tokens a row, half the channels
  return { tokens, channels, padded, shift, rows, travels, each, total: each * travels.length, everywhere, moved, merging };
}

/* The first row of each rank that holds any, and how many rows, with padding: [rank, first, height]. */
const bandsOf = ({ rows }) =>
  rows.flatMap(([first, end], rank) => (end > first ? [[rank, first, Math.ceil((end - first) / WINDOW) * WINDOW]] : []));

function idle({ rows }) {
  const ranks = rows.flatMap(([first, end], rank) => (end > first ? [] : [rank]));
  return `rank${ranks.length > 1 ? "s" : ""} without rows: ${ranks.join(", ") || "none"}`;
}

function product(plan) {
  const bands = bandsOf(plan);
  if (bands.length === 1) return `rank ${bands[0][0]} holds all rows`;
  if (!plan.shift) return "each window lies within one rank";
  return `${plan.travels.length} borders × ${2 * plan.shift} rows × ${plan.padded} tokens × ${grouped(BYTES * plan.channels)} bytes`;
}

function globalProduct({ tokens, channels, rows }) {
  const others = rows.length - 1;
  return `2 × ${tokens} × ${tokens} tokens × ${grouped(BYTES * channels)} bytes × ${others} other${others === 1 ? "" : "s"}`;
}

const tokenOf = ({ channels }) => `1 token: ${channels} channels × ${BYTES} bytes = ${grouped(BYTES * channels)} bytes`;

function merged({ channels, moved, merging }) {
  if (channels === 96) return "Each rank reads its own rows of the image";
  return moved ? `To merge, ${moved} rows changed rank: ${grouped(merging)} bytes` : "To merge, no row changed its rank";
}

function caption(plan, { block }) {
  const count = (plan.padded / WINDOW) ** 2;
  const way = plan.shift ? `shifted by ${plan.shift}` : block ? "nothing to shift" : "not shifted";
  return `${plan.tokens} × ${plan.tokens} tokens, ${grouped(count)} window${count > 1 ? "s" : ""}, ${way}`;
}

function describe(state) {
  const plan = planOf(state), { tokens, padded, shift, travels, total, everywhere } = plan;
  const padding = padded > tokens ? `, padded to ${padded} × ${padded}` : "";
  const inWords = ([first, end]) => (end - first > 1 ? `${first} to ${end - 1}` : first);
  const held = bandsOf(plan).map(([rank]) => `rank ${rank}: ${inWords(plan.rows[rank])}`);
  const ways = travels.map(([giver, taker]) => `${giver} to ${taker}`).join(", ");
  const travel = travels.length
    ? `The first ${shift} rows of each travel, rank ${ways}, and back: ${product(plan)} = ${grouped(total)}.`
    : `Nothing travels: ${product(plan)}.`;
  return `${state.side} × ${state.side} px, stage ${state.stage}: ${caption(plan, state)}${padding}; ${tokenOf(plan)}. ` +
    `Rows held: ${held.join(", ")}; ${idle(plan)}. ${travel} ` +
    `Global attention: ${globalProduct(plan)} = ${grouped(everywhere)}. ${merged(plan)}.`;
}

function words(name, state) {
  const plan = planOf(state), working = bandsOf(plan).length;
  return {
    side: `${state.side} pixels, ${plan.tokens} by ${plan.tokens} tokens`,
    stage: `stage ${state.stage}, ${plan.tokens} by ${plan.tokens} tokens of ${plan.channels} channels`,
    ranks: `${state.ranks} rank${state.ranks > 1 ? "s" : ""}, ${working} of them with rows`,
    block: `${BLOCKS[state.block]} block, ${grouped(plan.total)} bytes travel`,
  }[name];
}

function draw(context, state, { photo }) {
  const plan = planOf(state);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  drawPhoto(context, state, plan, photo);
  drawArrows(context, plan);
  drawNotes(context, plan);
  drawTable(context, plan);
  drawSums(context, plan);
}

function drawPhoto(context, state, plan, photo) {
  const { x, y, side } = PHOTO, unit = side / plan.padded, shown = plan.tokens * unit;
  label(context, caption(plan, state), x, 20, { weight: "bold" });
  context.fillStyle = "#d0d0d0"; // padding
  context.fillRect(x, y, side, side);
  context.drawImage(photograph(photo), x, y, shown, shown);
  for (const [rank, first, height] of bandsOf(plan)) {
    context.fillStyle = COLOURS[rank % 4];
    context.globalAlpha = TINT;
    context.fillRect(x, y + first * unit, shown, (plan.rows[rank][1] - first) * unit);
    context.globalAlpha = 1;
    context.fillRect(STRIP.x, y + first * unit, STRIP.width, height * unit);
  }
  const edges = [0, ...steps(plan.shift, plan.padded, WINDOW), plan.padded].map((edge) => edge * unit);
  const thin = Math.min(1, (16 * WINDOW) / plan.padded); // so that the picture stays to be seen
  for (const [color, width] of [[INK, 2.4 * thin], [ORANGE, 1.3 * thin]])
    lines(context, edges.map((e) => x + e), edges.map((e) => y + e), [x, y, x + side, y + side], color, width);
  for (const [giver] of plan.travels) hatch(context, x, y + plan.rows[giver][0] * unit, side, plan.shift * unit);
  const borders = bandsOf(plan).map(([, first]) => y + first * unit - 2); // hides nothing of what travels
  for (const [color, width] of [[INK, 4], [PAPER, 2]]) lines(context, [], borders, [STRIP.x, 0, x + side, 0], color, width);
  for (const [rank, first, height] of bandsOf(plan)) badge(context, rank, STRIP.x + STRIP.width / 2, y + (first + height / 2) * unit);
}

function badge(context, text, x, y) {
  context.beginPath();
  context.arc(x, y, 8, 0, 2 * Math.PI);
  context.fillStyle = PAPER;
  context.fill();
  label(context, text, x, y + 4.5, { align: "center", weight: "bold" });
}

/* From the rows that travel to the middle of the rank that takes them. */
function drawArrows(context, plan) {
  const unit = PHOTO.side / plan.padded, left = PHOTO.x + PHOTO.side + 2;
  const bands = Object.fromEntries(bandsOf(plan).map(([rank, ...band]) => [rank, band]));
  for (const [giver, taker] of plan.travels) {
    const [first, height] = bands[taker], lane = LANES[Number(giver < taker)];
    const start = PHOTO.y + (bands[giver][0] + plan.shift / 2) * unit, end = PHOTO.y + (first + height / 2) * unit;
    context.beginPath();
    for (const place of [[left, start], [lane, start], [lane, end], [left + 6, end]]) context.lineTo(...place);
    context.strokeStyle = INK;
    context.lineWidth = 1.5;
    context.stroke();
    context.beginPath();
    for (const place of [[left, end], [left + 8, end - 4], [left + 8, end + 4]]) context.lineTo(...place);
    context.fillStyle = INK;
    context.fill();
    label(context, `to ${taker}`, lane + 4, (start + end) / 2 + 4, { size: 12 });
  }
}

function drawNotes(context, plan) {
  const { tokens, padded, shift, travels } = plan;
  const notes = [travels.length ? `hatched: ${shift} rows that travel along the arrow, and back` : "no row travels in this block"];
  if (padded > tokens) notes.push(`grey: padding to ${padded} × ${padded} tokens`);
  notes.push(idle(plan));
  notes.forEach((note, i) => label(context, note, PHOTO.x, PHOTO.y + PHOTO.side + 20 + 18 * i, { size: 12 }));
}

function drawTable(context, plan) {
  const { x, y, row, width, right } = TABLE;
  label(context, "Rows of windows held", SUMS.x, 20, { weight: "bold" });
  label(context, "Bytes sent", right, 20, { align: "right", weight: "bold" });
  const held = plan.rows.map(([first, end]) => Math.ceil((end - first) / WINDOW)), longest = Math.max(...held);
  held.forEach((count, rank) => {
    const middle = y + row * rank, length = (width * count) / longest;
    label(context, rank, SUMS.x, middle + 4, { weight: "bold" });
    context.fillStyle = COLOURS[rank % 4];
    context.fillRect(x, middle - 6, length, 12);
    label(context, count, x + length + 5, middle + 4, { size: 12 });
    label(context, grouped(count ? plan.each : 0), right, middle + 4, { align: "right", size: 12 });
  });
}

function drawSums(context, plan) {
  const { x, y, width } = SUMS, across = (power) => x + (width * (power - LOWEST)) / (HIGHEST - LOWEST);
  label(context, "All ranks together, in this block", x, y, { weight: "bold" });
  label(context, tokenOf(plan), x, y + 18, { size: 12, color: MUTED });
  const bottom = y + 138;
  [["in windows", plan.total, BLUE, product(plan)], ["globally, keys and values", plan.everywhere, ORANGE, globalProduct(plan)]].forEach(
    ([name, count, color, how], i) => {
      const top = y + 42 + 50 * i;
      label(context, `${name}: ${grouped(count)} bytes`, x, top, { size: 12 });
      context.fillStyle = color;
      if (count) context.fillRect(x, top + 5, across(Math.log10(count)) - x, 10);
      label(context, how, x, top + 29, { size: 12, color: MUTED });
    },
  );
  const ticks = TICKS.map((_, i) => across(LOWEST + i));
  lines(context, [], [bottom], [x, bottom, x + width, bottom], MUTED, 1);
  lines(context, ticks, [], [x, bottom, x + width, bottom + 4], MUTED, 1);
  TICKS.forEach((tick, i) => label(context, tick, ticks[i], bottom + 17, { align: "center", size: 12, color: MUTED }));
  label(context, merged(plan), x, bottom + 38, { size: 12 });
}

const explorer = { size: [760, 412], draw, words, describe };

export default { render: (view) => host(view, explorer) };
