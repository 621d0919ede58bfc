/* Training as it happens: a progress bar, and the curves of the loss and of the accuracy on held-out images. */

const SIZE = [760, 230];
const PANELS = {
  losses: { left: 46, title: "mean loss of an epoch", color: BLUE, top: (values) => Math.max(...values) * 1.05, text: (v) => v.toFixed(2) },
  accuracies: { left: 426, title: "right answers, held-out images", color: ORANGE, top: () => 1, text: (v) => `${Math.round(100 * v)} %` },
};
const BOX = { top: 34, width: 300, height: 160 };

export function describe({ epochs, losses, accuracies, seconds }) {
  const done = losses.length;
  if (done === 0) return `Epoch 1 of ${epochs} is running.`;
  const best = Math.max(...accuracies), reached = `Epoch ${done} of ${epochs}: loss ${losses[done - 1].toFixed(2)}, ` +
    `${(100 * accuracies[done - 1]).toFixed(1)} % right, best ${(100 * best).toFixed(1)} % in epoch ${accuracies.indexOf(best) + 1}`;
  return done < epochs ? `${reached}; about ${Math.ceil((seconds / done) * (epochs - done))} s to go.` : `${reached}; ${Math.round(seconds)} s in all.`;
}

function draw(context, state) {
  context.fillStyle = PAPER;
  context.fillRect(0, 0, ...SIZE);
  for (const [name, panel] of Object.entries(PANELS)) curve(context, state[name], state.epochs, panel);
}

function curve(context, values, epochs, { left, title, color, top, text }) {
  const highest = values.length ? top(values) : 1, bottom = BOX.top + BOX.height;
  const x = (epoch) => left + ((epoch + 1) / epochs) * BOX.width, y = (value) => bottom - (value / highest) * BOX.height;
  label(context, title, left, 20, { weight: "bold" });
  lines(context, [left], [bottom], [left, BOX.top, left + BOX.width, bottom], MUTED, 1);
  for (const value of [0, highest]) label(context, text(value), left - 6, y(value) + 4, { align: "right", size: 12, color: MUTED });
  for (const epoch of [0, epochs]) label(context, String(epoch), left + (epoch / epochs) * BOX.width, bottom + 17, { align: "center", size: 12, color: MUTED });
  label(context, "epochs", left + BOX.width / 2, bottom + 17, { align: "center", size: 12, color: MUTED });
  context.beginPath();
  values.forEach((value, epoch) => context.lineTo(x(epoch), y(value)));
  context.strokeStyle = color;
  context.lineWidth = 2;
  context.stroke();
  context.fillStyle = color;
  if (values.length) context.fillRect(x(values.length - 1) - 3, y(values.at(-1)) - 3, 6, 6);
}

function render({ model, el }) {
  const root = element("div", "swin-explorer", { role: "group", "aria-label": "training" });
  const progress = element("progress", "", { max: model.get("epochs"), "aria-label": "epochs done" });
  const canvas = element("canvas", "", { role: "img" }), sentence = element("p", "", { "aria-live": "polite" });
  const style = element("style"), frame = element("div", "frame");
  style.textContent = `${STYLE} .swin-explorer progress { width: 100%; accent-color: ${BLUE}; }`;
  frame.append(canvas);
  root.append(style, progress, frame, sentence);
  el.append(root);
  const context = prepare(canvas, SIZE);
  function paint() {
    const state = Object.fromEntries(["epochs", "losses", "accuracies", "seconds"].map((name) => [name, model.get(name)]));
    progress.value = state.losses.length;
    sentence.textContent = describe(state);
    canvas.setAttribute("aria-label", sentence.textContent);
    draw(context, state);
  }
  model.on("change:seconds", paint); // the last of the values that change together
  paint();
  return () => model.off("change:seconds", paint);
}

export default { render };
