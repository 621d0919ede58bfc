/* The map of a stage of Swin-T, ViT-S/16 and ResNet-34 for one image, and what each model costs. */

const PIXELS = 224; // of the photograph
const PANEL = { left: 8, top: 52, side: PIXELS, step: 260 };
const BARS = { adds: 330, memory: 376, height: 14 };
const NAMES = ["Swin-T", "ViT-S/16", "ResNet-34"];

/* Every number of the picture. A test compares them, for every setting, with counts of the models themselves. */
export function costs(side) {
  return [swinCost(side), vitCost(side), resnetCost(side)].map((cost) => ({
    ...cost,
    all: cost.rest + cost.pairs,
    numbers: cost.maps.reduce((sum, [cells, channels]) => sum + cells ** 2 * channels, 0),
  }));
}

function swinCost(side) {
  const window = 7, maps = [0, 1, 2, 3].map((stage) => [side / (4 * 2 ** stage), 96 * 2 ** stage]);
  let rest = maps[0][0] ** 2 * 48 * 96 + 768 * 1000, pairs = 0, weights = 0; // embedding and head
  maps.forEach(([tokens, channels], stage) => {
    const padded = Math.ceil(tokens / window) * window, square = channels ** 2;
    if (stage > 0) rest += 2 * square * tokens ** 2; // merging
    const blocks = [2, 2, 6, 2][stage], heads = 3 * 2 ** stage;
    rest += blocks * (4 * square * padded ** 2 + 8 * square * tokens ** 2);
    pairs += blocks * 2 * window ** 2 * channels * padded ** 2;
    weights = Math.max(weights, heads * window ** 2 * padded ** 2);
  });
  return { maps, rest, pairs, weights };
}

function vitCost(side) {
  const cells = side / 16, channels = 384, tokens = cells ** 2 + 1; // the class token is one more
  const rest = cells ** 2 * 768 * channels + 12 * 12 * channels ** 2 * tokens + channels * 1000;
  return { maps: [[cells, channels]], rest, pairs: 12 * 2 * tokens ** 2 * channels, weights: 6 * tokens ** 2 };
}

function resnetCost(side) {
  const maps = [0, 1, 2, 3].map((stage) => [side / (4 * 2 ** stage), 64 * 2 ** stage]);
  let rest = (side / 2) ** 2 * 7 * 7 * 3 * 64 + 512 * 1000; // stem and head
  maps.forEach(([cells, channels], stage) => {
    const before = stage ? channels / 2 : channels, shortcut = stage ? before * channels : 0;
    const convolutions = 9 * before * channels + (2 * [3, 4, 6, 3][stage] - 1) * 9 * channels ** 2;
    rest += cells ** 2 * (convolutions + shortcut);
  });
  return { maps, rest, pairs: 0, weights: 0 };
}

const shown = ({ maps }, stage) => maps[Math.min(stage, maps.length) - 1];
const giga = (count) => `${(count / 1e9).toFixed(2)} G`;
const megabytes = (numbers) => `${((4 * numbers) / 1e6).toFixed(1)} MB`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;

/* Which share of each of count cells along a side lies in which pixels: [cell, pixel, share], …. */
function overlaps(count) {
  const parts = [];
  for (let cell = 0; cell < count; cell++) {
    const from = (cell * PIXELS) / count, to = ((cell + 1) * PIXELS) / count;
    for (let pixel = Math.floor(from); pixel < to; pixel++)
      parts.push([cell, pixel, ((Math.min(to, pixel + 1) - Math.max(from, pixel)) * count) / PIXELS]);
  }
  return parts;
}

/* The mean colour of each cell, rows first; no more cells than pixels. */
export function cellMeans(photo, cells) {
  const count = Math.min(cells, PIXELS), parts = overlaps(count), width = 3 * PIXELS;
  if (count === PIXELS) return photo;
  const rows = new Float64Array(count * width), means = new Float64Array(count * count * 3);
  for (const [cell, pixel, share] of parts)
    for (let x = 0; x < width; x++) rows[cell * width + x] += share * photo.data[pixel * width + x];
  for (const [cell, pixel, share] of parts)
    for (let y = 0; y < count; y++)
      for (let c = 0; c < 3; c++) means[3 * (y * count + cell) + c] += share * rows[y * width + 3 * pixel + c];
  return { data: Uint8Array.from(means, Math.round), shape: [count, count, 3] };
}

/* Computed once for each number of cells. */
const kept = new WeakMap();
function mosaic(photo, cells) {
  const count = Math.min(cells, PIXELS);
  if (!kept.has(photo)) kept.set(photo, new Map());
  if (!kept.get(photo).has(count)) kept.get(photo).set(count, cellMeans(photo, count));
  return photograph(kept.get(photo).get(count));
}

function describe({ side, stage }) {
  const all = costs(side);
  const maps = all.map((cost, index) => {
    const [cells, channels] = shown(cost, stage), where = cost.maps.length === 1 ? "" : `, stage ${stage}`;
    return `${NAMES[index]}${where}: ${cells} × ${cells} × ${channels}, a cell every ${side / cells} px`;
  });
  const [swin, vit] = all.map(({ all, pairs }) => percent(pairs / all));
  return `Image of ${side} × ${side} px. ${maps.join("; ")}. Multiply-adds: ${all.map((cost) => giga(cost.all)).join(", ")}; ` +
    `pairs of tokens take ${swin} of Swin's and ${vit} of ViT's.`;
}

function words(name, { side, stage }) {
  return { side: `${side} by ${side} pixels`, stage: `stage ${stage} of 4, a cell every ${2 * 2 ** stage} pixels` }[name];
}

function draw(context, { side, stage }, { photo }) {
  const all = costs(side), most = (of) => Math.max(...all.map(of));
  const mostAdds = most((cost) => cost.all), mostNumbers = most((cost) => cost.numbers + cost.weights);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  label(context, `Image of ${side} × ${side} pixels`, PANEL.left, 18, { weight: "bold", size: 15 });
  all.forEach((cost, index) => {
    const left = PANEL.left + index * PANEL.step, [cells, channels] = shown(cost, stage);
    label(context, cost.maps.length === 1 ? NAMES[index] : `${NAMES[index]}, stage ${stage}`, left, PANEL.top - 8, { weight: "bold" });
    context.drawImage(mosaic(photo, cells), left, PANEL.top, PANEL.side, PANEL.side);
    label(context, `${cells} × ${cells} × ${channels}, a cell every ${side / cells} px`, left, PANEL.top + PANEL.side + 18);
    const share = cost.pairs ? `, pairs ${percent(cost.pairs / cost.all)}` : "";
    drawBar(context, left, BARS.adds, `multiply-adds ${giga(cost.all)}${share}`, cost.rest / mostAdds, cost.pairs / mostAdds);
    const weights = cost.weights ? ` + weights ${megabytes(cost.weights)}` : "";
    drawBar(context, left, BARS.memory, `maps ${megabytes(cost.numbers)}${weights}`, cost.numbers / mostNumbers, cost.weights / mostNumbers);
  });
  label(context, "Hatched: pairs of tokens, their products and the weights of one block. One scale for all three.", PANEL.left, 416, { size: 12 });
}

/* A bar under its text, filled with two parts; the second is hatched. */
function drawBar(context, left, y, text, first, second) {
  label(context, text, left, y - 6, { size: 12 });
  context.fillStyle = BLUE;
  context.fillRect(left, y, PANEL.side * first, BARS.height);
  context.fillStyle = ORANGE;
  context.fillRect(left + PANEL.side * first, y, PANEL.side * second, BARS.height);
  hatch(context, left + PANEL.side * first, y, PANEL.side * second, BARS.height);
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(left, y, PANEL.side, BARS.height);
}

const explorer = { size: [760, 426], draw, words, describe };

export default { render: (view) => host(view, explorer) };
