/* Where a token looks: weights, content and bias of any block and head, back in their places on the picture. */

const PANEL = { top: 34, side: 176, lefts: [8, 197, 386, 575] }; // picture, weights, content, bias
const at = (left) => ({ left, top: PANEL.top, side: PANEL.side });
const HEADS = { left: 8, top: 276, width: 744, height: 116, gap: 8, name: 16 };
const GREY = [235, 235, 235];

/* What a block is: rows and columns of its map, pixels a token, its stage; nW windows of N tokens, h heads. */
export function blockOf({ block }, data) {
  const [height, width, stride, stage] = data[`facts${block}`].data;
  const [, windows, heads, count] = data[`content${block}`].shape;
  const [tokens, mask, content, bias] = ["tokens", "mask", "content", "bias"].map((name) => data[`${name}${block}`].data);
  return { height, width, stride, stage, windows, heads, count, tokens, mask, content, bias, moved: tokens[0] !== 0 };
}

/* What the chosen token has for every token of its window, head by head, and where these stand on the map. */
export function query(state, data) {
  const block = blockOf(state, data), { count, heads, tokens } = block;
  const at = tokens.indexOf(state.row * block.width + state.column);
  const window = Math.floor(at / count), place = at % count;
  const first = ((state.image - 1) * block.windows + window) * heads;
  const row = (table, index) => Array.from(table.subarray((index * count + place) * count, (index * count + place + 1) * count));
  const content = Array.from({ length: heads }, (_, head) => row(block.content, first + head));
  const bias = Array.from({ length: heads }, (_, head) => row(block.bias, head));
  const allowed = row(block.mask, window).map(Boolean);
  const weights = content.map((logits, head) => softmax(logits.map((logit, j) => (allowed[j] ? logit + bias[head][j] : -Infinity))));
  return { ...block, content, bias, weights, allowed, keys: Array.from(tokens.subarray(window * count, (window + 1) * count)) };
}

/* The values of one head, or the mean of all. */
function chosen(values, head) {
  if (head) return values[head - 1];
  return values[0].map((_, j) => values.reduce((sum, row) => sum + row[j], 0) / values.length);
}

/* Both parts of the logits, less their means over the tokens of the picture that may be looked at. */
export function parts(found, head) {
  const counts = found.keys.map((key, j) => key >= 0 && found.allowed[j]), number = counts.filter(Boolean).length;
  return ["content", "bias"].map((name) => {
    const values = chosen(found[name], head);
    const mean = values.reduce((sum, value, j) => sum + counts[j] * value, 0) / number;
    return values.map((value, j) => (counts[j] ? value - mean : 0));
  });
}

/* What describe says, in numbers: tokens that may be looked at, where most goes, to itself, to padding. */
export function summary(state, found) {
  const weights = chosen(found.weights, state.head), { keys, width } = found;
  const own = keys.indexOf(state.row * width + state.column);
  let best = own, sum = 0, free = 0;
  keys.forEach((key, j) => {
    if (key < 0) return;
    sum += weights[j];
    free += found.allowed[j];
    if (weights[j] > weights[best] || (weights[j] === weights[best] && key < keys[best])) best = j;
  });
  return { free, best: keys[best], most: weights[best], own: weights[own], padding: 1 - sum };
}

const perCent = (share) => Math.floor(100 * share + 0.5);

function describe(state, data) {
  const found = query(state, data), { free, best, most, own, padding } = summary(state, found);
  const { heads, width, height, stage, moved } = found, { block } = limits(state, data);
  const head = state.head ? `head ${state.head} of ${heads}` : `mean of ${heads} heads`;
  return `Picture ${state.image}, block ${state.block} of ${block} (stage ${stage}, windows ${moved ? "moved" : "not moved"}), ${head}: ` +
    `the token in row ${state.row}, column ${state.column} of ${height} × ${width} may look at ${free} tokens of the picture. ` +
    `Most, ${perCent(most)} %, goes to row ${Math.floor(best / width)}, column ${best % width}; ` +
    `${perCent(own)} % to itself; ${perCent(padding)} % to padding.`;
}

function limits(state, data) {
  const count = (name) => Object.keys(data).filter((key) => key.startsWith(name)).length, last = count("facts");
  const { heads, height, width } = blockOf({ block: Math.min(state.block, last) }, data);
  return { image: count("photo"), block: last, head: heads, row: height - 1, column: width - 1 };
}

function words(name, state, data) {
  const { height, width, heads, stage, moved } = blockOf(state, data), last = limits(state, data);
  return {
    image: `picture ${state.image} of ${last.image}`,
    block: `block ${state.block} of ${last.block}, stage ${stage}, windows ${moved ? "moved" : "not moved"}`,
    head: state.head ? `head ${state.head} of ${heads}` : `the mean of ${heads} heads`,
    row: `row ${state.row} of ${height}, counted from 0`,
    column: `column ${state.column} of ${width}, counted from 0`,
  }[name];
}

/* Another block keeps the place on the picture. */
function follow(before, after, data) {
  if (before.block === after.block) return {};
  const [from, to] = [before, after].map((state) => blockOf(state, data));
  const moved = (place, last) => Math.min(last - 1, Math.floor(((place + 0.5) * from.stride) / to.stride));
  return { row: moved(before.row, to.height), column: moved(before.column, to.width) };
}

function draw(context, state, data) {
  const found = query(state, data), photo = photograph(data[`photo${state.image}`]);
  const weights = chosen(found.weights, state.head), { most, padding } = summary(state, found), [content, bias] = parts(found, state.head);
  const limit = Math.max(0.1, ...content.map(Math.abs), ...bias.map(Math.abs)), name = state.head ? `head ${state.head}` : "mean of heads";
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  const [first, second, third, fourth] = PANEL.lefts;
  title(context, first, "the token and its window");
  litWindow(context, at(first), photo, found, () => null);
  title(context, second, `weights, ${name}`);
  litWindow(context, at(second), photo, found, (j) => valueColor(weights[j] / most));
  title(context, third, "content: q · k, scaled");
  signed(context, third, photo, found, content, limit);
  title(context, fourth, "bias: position");
  signed(context, fourth, photo, found, bias, limit);
  for (const left of PANEL.lefts) windowFrame(context, at(left), photo, found, state);
  under(context, first, "hatched: masked");
  under(context, second, `brightest ${perCent(most)} %, padding ${perCent(padding)} %`);
  for (const left of [third, fourth]) under(context, left, `blue −${limit.toFixed(1)} to orange ${limit.toFixed(1)}`);
  heads(context, found, state);
}

const title = (context, left, text) => label(context, text, left, 22, { weight: "bold", size: 12 });
const under = (context, left, text) => label(context, text, left, PANEL.top + PANEL.side + 18, { size: 12, color: MUTED });

/* A part of the logits in the tokens of the window. */
function signed(context, left, photo, found, values, limit) {
  const scale = scaleIn(at(left), photo);
  found.keys.forEach((key, j) => {
    if (key < 0) return;
    context.fillStyle = `rgb(${signedColor(values[j] / limit).map(Math.round).join(",")})`;
    context.fillRect(...tokenIn(at(left), key, photo, found));
  });
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(left, PANEL.top, photo.width * scale, photo.height * scale);
}

/* The largest maps of all heads that fit: [map width, map height, maps a row]. */
function sizeOfHeads({ heads, width, height }) {
  const { gap, name } = HEADS;
  for (let side = HEADS.height - name; side > 8; side--) {
    const scale = side / Math.max(width, height), w = width * scale, h = height * scale;
    const perRow = Math.floor((HEADS.width + gap) / (w + gap)), rows = Math.ceil(heads / perRow);
    if (rows * (h + name) <= HEADS.height) return [w, h, perRow];
  }
  return [8, 8, 46];
}

const placeOfHead = (head, [w, h, perRow]) => [HEADS.left + (head % perRow) * (w + HEADS.gap), HEADS.top + HEADS.name + Math.floor(head / perRow) * (h + HEADS.name)];

function heads(context, found, state) {
  const size = sizeOfHeads(found), [w, h] = size, { width, height, keys } = found;
  const places = new Map(keys.map((key, j) => [key, j]).filter(([key]) => key >= 0));
  const most = Math.max(...found.weights.map((weights) => Math.max(...[...places.values()].map((j) => weights[j]))));
  label(context, `all heads: dark 0 to bright ${perCent(most)} %`, HEADS.left, HEADS.top - 8, { weight: "bold", size: 12 });
  found.weights.forEach((weights, head) => {
    const [x, y] = placeOfHead(head, size);
    raster(context, x, y, w, h, height, width, (key) => (places.has(key) ? valueColor(weights[places.get(key)] / most) : GREY));
    label(context, String(head + 1), x + w / 2, y - 3, { size: 12, align: "center", weight: state.head === head + 1 ? "bold" : "normal" });
    if (state.head === head + 1) mark(context, x, y, w, h, 2);
  });
}

/* On a panel the pointer chooses the token, on a small map the head. */
function point(x, y, state, data) {
  const found = query(state, data), photo = photograph(data[`photo${state.image}`]), scale = scaleIn(at(0), photo);
  const left = PANEL.lefts.find((left) => x >= left && x < left + photo.width * scale);
  if (left !== undefined && y >= PANEL.top && y < PANEL.top + photo.height * scale)
    return { row: Math.floor((y - PANEL.top) / scale / found.stride), column: Math.floor((x - left) / scale / found.stride) };
  const size = sizeOfHeads(found);
  const head = found.weights.findIndex((_, head) => {
    const [left, top] = placeOfHead(head, size);
    return x >= left && x < left + size[0] && y >= top && y < top + size[1];
  });
  return head >= 0 ? { head: head + 1 } : null;
}

const explorer = { size: [760, 400], limits, draw, words, describe, point, follow };

export default { render: (view) => host(view, explorer) };
