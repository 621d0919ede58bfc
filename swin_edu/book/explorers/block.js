/* What stands at each station of a block: a list of the stations, and one channel of the map. */

const ROWS = { top: 34, height: 28, box: 40, width: 172, bars: 224, longest: 116 };
const MAP = { x: 396, y: 34, side: 336 };
const TOKENS = 28, WINDOW = 7, SHIFT = 3, CHANNELS = 4;
const IN_WINDOWS = ["cut into windows", "queries, keys, values", "attention", "linear layer"];

/* The sentences and numbers that Python sent: [version and windows][station]. */
const read = new WeakMap();
export function records({ version, shifted }, { text }) {
  if (!read.has(text)) read.set(text, JSON.parse(new TextDecoder().decode(text.data)));
  return read.get(text)[2 * (version - 1) + shifted];
}

/* One channel of the station's map, from 0 for its lowest value to 1: swin_edu.book.explorers.block.Station.channel. */
export function values({ version, shifted, station, channel }, { maps }) {
  const size = TOKENS * TOKENS;
  const start = (((2 * (version - 1) + shifted) * 12 + station - 1) * CHANNELS + channel) * size;
  return Array.from(maps.data.subarray(start, start + size), (byte) => byte / 255);
}

/* From which row to which the input of a branch goes to its sum. */
export function sums(stations) {
  const first = stations.findIndex(({ name }) => name === "add the input");
  return [[0, first], [first, 11]];
}

/* Lines over the map, in tokens: borders of windows, and the seam of the roll. */
export function edges(name, shifted) {
  if (IN_WINDOWS.includes(name)) return { windows: steps(0, TOKENS, WINDOW), seam: shifted ? [TOKENS - SHIFT] : [] };
  return { windows: name === "put together" ? steps(SHIFT * shifted, TOKENS, WINDOW) : [], seam: [] };
}

function describe(state, data) {
  const { version, shifted, station, channel } = state;
  const record = records(state, data)[station - 1];
  return `Version ${version}, ${shifted ? "shifted" : "plain"} windows, station ${station} of 12: ${record.name}. ` +
    `${record.note} ${record.shape} numbers, standard deviation ${record.deviation}; ` +
    `channel ${channel} from ${record.lowest[channel]} to ${record.highest[channel]}. ` +
    `This step: ${record.parameters} parameters, ${record.adds} million multiply-adds.`;
}

function words(name, state, data) {
  return {
    version: `version ${state.version}`,
    shifted: state.shifted ? "shifted windows" : "plain windows",
    station: `station ${state.station} of 12: ${records(state, data)[state.station - 1].name}`,
    channel: `channel ${state.channel}`,
  }[name];
}

function draw(context, state, data) {
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  const stations = records(state, data);
  label(context, `Version ${state.version}, ${state.shifted ? "shifted" : "plain"} windows`, 8, 20, { weight: "bold" });
  label(context, "standard deviation", ROWS.bars, 20, { size: 12, color: MUTED });
  const unit = ROWS.longest / Math.max(...stations.map(({ deviation }) => Number(deviation)));
  stations.forEach((record, row) => drawRow(context, record, row, unit * Number(record.deviation), row === state.station - 1));
  for (const [start, end] of sums(stations)) bypass(context, start, end);
  drawMap(context, state, stations[state.station - 1], values(state, data));
}

function drawRow(context, { name, deviation }, row, length, chosen) {
  const y = ROWS.top + row * ROWS.height, middle = y + ROWS.height / 2 + 4;
  context.fillStyle = chosen ? BLUE : PAPER;
  context.fillRect(ROWS.box, y + 3, ROWS.width, ROWS.height - 6);
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(ROWS.box, y + 3, ROWS.width, ROWS.height - 6);
  label(context, `${row + 1}  ${name}`, ROWS.box + 7, middle, { color: chosen ? PAPER : INK });
  context.fillStyle = MUTED;
  context.fillRect(ROWS.bars, y + 8, length, ROWS.height - 16);
  label(context, deviation, ROWS.bars + length + 5, middle, { size: 12 });
}

/* The input of a branch goes round it, to its sum. */
function bypass(context, start, end) {
  const y = (row) => ROWS.top + (row + 0.5) * ROWS.height, x = ROWS.box - 20;
  context.beginPath();
  context.moveTo(ROWS.box, y(start) + 4);
  context.lineTo(x, y(start) + 4);
  context.lineTo(x, y(end) - 4);
  context.lineTo(ROWS.box - 2, y(end) - 4);
  context.moveTo(ROWS.box - 8, y(end) - 9);
  context.lineTo(ROWS.box - 2, y(end) - 4);
  context.lineTo(ROWS.box - 8, y(end) + 1);
  context.strokeStyle = ORANGE;
  context.lineWidth = 2.5;
  context.stroke();
}

function drawMap(context, { shifted, channel }, record, shown) {
  const numbers = record.shape.split(" × ")[2];
  label(context, `${record.name}: channel ${channel} of ${numbers}`, MAP.x, 20, { weight: "bold" });
  raster(context, MAP.x, MAP.y, MAP.side, MAP.side, TOKENS, TOKENS, (i) => valueColor(shown[i]));
  const place = (tokens, start) => tokens.map((token) => start + (token * MAP.side) / TOKENS);
  const box = [MAP.x, MAP.y, MAP.x + MAP.side, MAP.y + MAP.side];
  const { windows, seam } = edges(record.name, shifted);
  lines(context, place(windows, MAP.x), place(windows, MAP.y), box, INK, 2.6);
  lines(context, place(windows, MAP.x), place(windows, MAP.y), box, ORANGE, 1.4);
  context.setLineDash([6, 4]);
  lines(context, place(seam, MAP.x), place(seam, MAP.y), box, INK, 2);
  context.setLineDash([]);
  context.strokeStyle = MUTED;
  context.lineWidth = 1;
  context.strokeRect(MAP.x, MAP.y, MAP.side, MAP.side);
  label(context, `dark blue ${record.lowest[channel]}, yellow ${record.highest[channel]}`, MAP.x, MAP.y + MAP.side + 18, { size: 12, color: MUTED });
  if (seam.length) label(context, "dashed: the seam of the roll", MAP.x, MAP.y + MAP.side + 34, { size: 12, color: MUTED });
}

/* The pointer chooses a station. */
function point(x, y) {
  const row = Math.floor((y - ROWS.top) / ROWS.height);
  return x < MAP.x - 10 && row >= 0 && row < 12 ? { station: row + 1 } : null;
}

const explorer = { size: [760, 412], draw, words, describe, point };

export default { render: (view) => host(view, explorer) };
