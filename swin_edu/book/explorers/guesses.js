/* The reader's guesses about numbered sentences: each number stands in the column of its guess. */

const WORDS = ["no guess yet", "true", "half true", "false"];
const COLUMN = { step: 192, width: 184, top: 30, height: 78 };
const CHIP = { width: 36, height: 28, gap: 6, margin: 11, row: 4 };

/* The claims as pairs [number, place of its guess among WORDS]. */
const guesses = (state) => Object.entries(state).map(([name, place]) => [name.replace("claim_", ""), place]);

export function describe(state) {
  const all = guesses(state), made = all.filter(([, place]) => place > 0);
  if (!made.length) return `No guess yet: choose for each of ${all.length} claims.`;
  return `You guessed ${made.length} of ${all.length}: ${made.map(([number, place]) => `claim ${number} ${WORDS[place]}`).join(", ")}.`;
}

function draw(context, state) {
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...explorer.size);
  WORDS.forEach((word, column) => {
    const numbers = guesses(state).filter(([, place]) => place === column).map(([number]) => number);
    const left = column * COLUMN.step + 1;
    label(context, `${word}: ${numbers.length}`, left, 20, { weight: "bold" });
    context.strokeStyle = MUTED;
    context.lineWidth = 1;
    context.setLineDash(column ? [] : [4, 4]);
    context.strokeRect(left, COLUMN.top, COLUMN.width - 2, COLUMN.height);
    context.setLineDash([]);
    numbers.forEach((number, index) => chip(context, number, left, index, column > 0));
  });
}

/* A claim's number: blue where it is guessed. */
function chip(context, number, left, index, guessed) {
  const x = left + CHIP.margin + (index % CHIP.row) * (CHIP.width + CHIP.gap);
  const y = COLUMN.top + 8 + Math.floor(index / CHIP.row) * (CHIP.height + CHIP.gap);
  context.fillStyle = guessed ? BLUE : PAPER;
  context.fillRect(x, y, CHIP.width, CHIP.height);
  context.strokeStyle = guessed ? BLUE : INK;
  context.strokeRect(x, y, CHIP.width, CHIP.height);
  label(context, number, x + CHIP.width / 2, y + 19, { align: "center", weight: "bold", color: guessed ? PAPER : INK });
}

const explorer = { size: [760, 116], draw, describe };

export default { render: (view) => host(view, explorer) };
