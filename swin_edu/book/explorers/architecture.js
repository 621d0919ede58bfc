/* The whole model: the map of each stage in its windows, what each stage holds and costs, and one block. */

const PANEL = { left: 8, top: 44, side: 172, step: 188 };
const PARTS = ["queries, keys, values", "q·k and weights·v", "projection", "MLP", "position network"];
const TOP_BARS = 278, TOP_PARTS = 390;

/* Every number of the picture. A test compares them, for every setting, with counts of the model itself. */
export function plan({ version, size, window, side }, { variants }) {
  const row = 4 * (version - 1) + size - 1, columns = variants.shape[1];
  const [, first, ...rest] = variants.data.subarray(row * columns, (row + 1) * columns);
  const depths = rest.slice(0, 4), heads = rest.slice(4);
  const stages = depths.map((blocks, index) => stagePlan(version, first * 2 ** index, heads[index], blocks, window, side, index));
  const last = 8 * first, patches = stages[0].tokens ** 2;
  const parameters = 48 * first + 3 * first + 2 * last + 1000 * last + 1000; // embedding, norm, head
  const multiplyAdds = patches * 48 * first + 1000 * last;
  const sum = (name) => stages.reduce((total, stage) => total + stage[name], 0);
  return { stages, parameters: parameters + sum("parameters"), multiplyAdds: multiplyAdds + sum("multiplyAdds") };
}

function stagePlan(version, channels, heads, blocks, window, side, index) {
  let tokens = Math.ceil(side / 4);
  for (let merging = 0; merging < index; merging++) tokens = Math.ceil(tokens / 2);
  const padded = Math.ceil(tokens / window) * window;
  const inside = tokens ** 2, all = padded ** 2, square = channels ** 2, offsets = (2 * window - 1) ** 2;
  const parts = [
    3 * square * all,
    2 * window ** 2 * channels * all,
    square * all,
    8 * square * inside,
    version === 1 ? 0 : offsets * 512 * (2 + heads),
  ];
  const position = version === 1 ? offsets * heads : 512 * 3 + 512 * heads + heads; // V2: network and scales
  const block = 12 * square + 13 * channels + position;
  const merging = index === 0 ? 0 : 2 * square + (version === 1 ? 4 : 2) * channels;
  return {
    tokens, padded, channels, heads, blocks, parts,
    windows: (padded / window) ** 2,
    shift: padded > window ? Math.floor(window / 2) : 0,
    parameters: merging + blocks * block,
    multiplyAdds: (index === 0 ? 0 : 2 * square * inside) + blocks * parts.reduce((a, b) => a + b),
  };
}

const nameOf = ({ version, size }) => (version === 1 ? "swin_" : "swin_v2_") + "tsbl"[size - 1];
const shiftInWords = ({ shift }) => (shift ? `shift ${shift}` : "shift off");
const percent = (share) => `${(100 * share).toFixed(1)} %`;

function describe(state, data) {
  const { stages, parameters, multiplyAdds } = plan(state, data);
  const shown = stages[state.stage - 1];
  const padding = shown.padded > shown.tokens ? `, padded to ${shown.padded} × ${shown.padded}` : "";
  return `${nameOf(state)} with window ${state.window}: ${grouped(parameters)} parameters; ` +
    `${grouped(multiplyAdds)} multiply-adds for ${state.side} × ${state.side} pixels. ` +
    `Stage ${state.stage}: ${shown.tokens} × ${shown.tokens} × ${shown.channels}${padding}; ` +
    `${shown.blocks} blocks of ${shown.heads} heads, ${shown.windows} window${shown.windows > 1 ? "s" : ""}, ${shiftInWords(shown)}. ` +
    `It holds ${percent(shown.parameters / parameters)} of the parameters ` +
    `and does ${percent(shown.multiplyAdds / multiplyAdds)} of the multiply-adds.`;
}

function words(name, state, data) {
  const shown = plan(state, data).stages[state.stage - 1];
  return {
    version: `version ${state.version}`,
    size: nameOf(state),
    window: `${state.window} by ${state.window} tokens`,
    side: `${state.side} by ${state.side} pixels`,
    stage: `stage ${state.stage}, ${shown.tokens} by ${shown.tokens} tokens of ${shown.channels} channels`,
  }[name];
}

function draw(context, state, data) {
  const { stages, parameters, multiplyAdds } = plan(state, data);
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  const total = `${(parameters / 1e6).toFixed(1)} M parameters, ${(multiplyAdds / 1e9).toFixed(2)} G multiply-adds`;
  label(context, `${nameOf(state)}: ${total}`, PANEL.left, 18, { weight: "bold", size: 15 });
  stages.forEach((stage, index) => {
    const left = PANEL.left + index * PANEL.step;
    drawMap(context, left, stage, index, state, data.photo);
    const bars = [
      [`parameters ${(stage.parameters / 1e6).toFixed(1)} M`, stage.parameters / parameters],
      [`mult.-adds ${(stage.multiplyAdds / 1e9).toFixed(2)} G`, stage.multiplyAdds / multiplyAdds],
    ];
    bars.forEach(([text, share], row) => drawBar(context, left, TOP_BARS + 44 * row, PANEL.side, text, share));
  });
  const { parts } = stages[state.stage - 1], whole = parts.reduce((a, b) => a + b);
  label(context, `Multiply-adds of one block of stage ${state.stage}`, PANEL.left, TOP_PARTS, { weight: "bold" });
  parts.forEach((part, row) => drawPart(context, TOP_PARTS + 22 + 20 * row, PARTS[row], part, part / whole));
}

function drawMap(context, left, stage, index, state, photo) {
  const { top, side } = PANEL, unit = side / stage.padded, chosen = index + 1 === state.stage;
  const picture = (state.side / (4 * 2 ** index)) * unit, inside = stage.tokens * unit;
  label(context, `stage ${index + 1}${chosen ? ", looked at" : ""}`, left, top - 8, { weight: chosen ? "bold" : "normal" });
  context.fillStyle = "#d0d0d0";
  context.fillRect(left, top, side, side);
  context.drawImage(photograph(photo), left, top, picture, picture);
  hatch(context, left + inside, top, side - inside, side);
  hatch(context, left, top + inside, inside, side - inside);
  const edges = steps(0, stage.padded, state.window).map((edge) => edge * unit);
  const xs = edges.map((edge) => left + edge), ys = edges.map((edge) => top + edge);
  const box = [left, top, left + side, top + side];
  lines(context, xs, ys, box, INK, edges.length > 14 ? 1.4 : 2.6);
  lines(context, xs, ys, box, ORANGE, edges.length > 14 ? 0.8 : 1.4);
  label(context, `${stage.tokens} × ${stage.tokens} × ${stage.channels}`, left, top + side + 17);
  label(context, `${stage.blocks} blocks, ${stage.heads} heads, ${shiftInWords(stage)}`, left, top + side + 34, { size: 12 });
  if (!chosen) return;
  context.strokeStyle = BLUE;
  context.lineWidth = 3;
  context.strokeRect(left - 3, top - 3, side + 6, side + 6);
}

function drawBar(context, left, y, width, text, share) {
  label(context, text, left, y, { size: 12 });
  label(context, percent(share), left + width, y, { size: 12, align: "right" });
  context.fillStyle = BLUE;
  context.fillRect(left, y + 6, width * share, 12);
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(left, y + 6, width, 12);
}

function drawPart(context, y, text, part, share) {
  label(context, text, PANEL.left, y, { size: 12 });
  label(context, `${(part / 1e6).toFixed(2)} M, ${percent(share)}`, 300, y, { size: 12, align: "right" });
  context.fillStyle = BLUE;
  context.fillRect(312, y - 10, 436 * share, 12);
}

const explorer = { size: [760, 498], draw, words, describe };

export default { render: (view) => host(view, explorer) };
