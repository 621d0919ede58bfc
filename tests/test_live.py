"""Training as it happens: what Python sends after each epoch, and what the page makes of it."""

import itertools
import json

import pytest
from browser import WRITTEN, canvas_pixels, load
from pytest import approx

from swin_edu.book import live as module
from swin_edu.book.live import LiveTraining
from swin_edu.training import History

LOSSES = [2.25, 1.5, 0.75, 0.9]
ACCURACIES = [0.25, 0.9956, 0.5, 0.9956]
BLUE, ORANGE, INK = (0, 114, 178), (230, 159, 0), (26, 26, 26)
# A model whose values change together, as a message from the kernel changes them.
SHOW = """(values) => {
  const listeners = {};
  window.values = values;
  window.change = (changes) => {
    const changed = Object.keys(changes).filter((name) => values[name] !== changes[name]);
    Object.assign(values, changes);
    for (const name of changed) listeners[`change:${name}`]?.();
  };
  window.problems = [];
  for (const name of ["fillRect", "fillText", "lineTo", "moveTo"]) {
    const paint = CanvasRenderingContext2D.prototype[name];
    CanvasRenderingContext2D.prototype[name] = function (...given) {
      if (String(given).includes("NaN")) window.problems.push([name, ...given]);
      paint.apply(this, given);
    };
  }
  const model = {
    get: (name) => values[name],
    on: (name, listener) => (listeners[name] = listener),
    off: (name) => delete listeners[name],
  };
  const el = document.createElement("div");
  document.body.append(el);
  window.stop = render({ model, el });
}"""


def after(epochs, done):
    """Return the values of the view after some epochs, half a second each."""
    series = {"losses": LOSSES[:done], "accuracies": ACCURACIES[:done]}
    return {"epochs": epochs, **series, "seconds": 0.5 * done, "seconds_left": 0.5 * (epochs - done)}


# In Python


class Clock:
    """Tells the times it was given, one after the other."""

    def __init__(self, *times):
        self.times = list(times)

    def perf_counter(self):
        return self.times.pop(0)


def test_show_sets_what_was_reached(monkeypatch):
    monkeypatch.setattr(module, "time", Clock(100.0, 102.0, 103.0))
    live, history = LiveTraining(4), History()
    assert (live.epochs, live.losses, live.accuracies, live.seconds) == (4, [], [], 0)
    history.add(2.25, 0.25)
    live.show(history)
    assert (live.losses, live.accuracies) == ([2.25], [0.25])
    assert (live.seconds, live.seconds_left) == (2, 6)
    history.add(1.5, 0.5)
    live.show(history)
    assert (live.losses, live.accuracies) == ([2.25, 1.5], [0.25, 0.5])
    assert (live.seconds, live.seconds_left) == (3, 3)


def test_epochs_done_before_take_no_time(monkeypatch):
    monkeypatch.setattr(module, "time", Clock(0.0, 2.0))
    live = LiveTraining(4)
    live.show(History(LOSSES[:3], ACCURACIES[:3]))
    assert (live.seconds, live.seconds_left) == (2, 2)


def test_all_values_change_before_the_page_hears_of_it():
    live, seen = LiveTraining(4), []
    live.send_state = lambda key=None: seen.append((set(key), list(live.losses), live.seconds > 0))
    live.show(History(LOSSES[:3], ACCURACIES[:3]))
    [(keys, losses, timed)] = seen
    assert keys == {"losses", "accuracies", "seconds", "seconds_left"}
    assert losses == LOSSES[:3] and timed


def test_what_a_notebook_stores():
    live = LiveTraining(40)
    live.show(History(LOSSES, ACCURACIES))
    data, metadata = live._repr_mimebundle_()
    assert data["text/plain"] == repr(live) == "LiveTraining(epochs=40)"
    assert set(data) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    json.dumps([data, metadata])


def test_the_module_has_all_it_needs():
    assert "function prepare(" in LiveTraining._esm and "export default { render }" in LiveTraining._esm


# On the page


@pytest.mark.parametrize(
    ("epochs", "done", "sentence"),
    [
        (4, 0, "None of 4 epochs is done yet."),
        (
            40,
            1,
            "Epoch 1 of 40: loss 2.25, 25.0 % of the held-out images right. "
            "Best so far: epoch 1 with 25.0 % (dashed); its weights are kept. The rest takes about 20 s.",
        ),
        (
            4,
            3,
            "Epoch 3 of 4: loss 0.75, 50.0 % of the held-out images right. "
            "Best so far: epoch 2 with 99.6 % (dashed); its weights are kept. The rest takes about 1 s.",
        ),
        (
            4,
            4,
            "Epoch 4 of 4: loss 0.90, 99.6 % of the held-out images right. "
            "Best: epoch 2 with 99.6 % (dashed); its weights are kept. All took 2 s.",
        ),
    ],
)
def test_the_sentence(page, epochs, done, sentence):
    load(page, "live.js", ["describe"])
    assert page.evaluate("(state) => describe(state)", after(epochs, done)) == sentence


def show(page, values):
    load(page, "live.js", ["render"])
    page.evaluate(SHOW, values)


def rows_and_columns(drawn, color, left, right):
    """Return the places (row, column) of a colour between two columns."""
    found = (abs(drawn[:, left:right].astype(int) - color).sum(2) < 30).nonzero()
    return list(zip(found[0].tolist(), (found[1] + left).tolist(), strict=True))


@pytest.mark.parametrize("epochs", [4, 40])
def test_the_view_grows_with_the_epochs(page, epochs):
    show(page, after(epochs, 0))
    sentence, bar = page.locator(".swin-explorer p"), page.get_by_role("progressbar", name="epochs done")
    pictures = [canvas_pixels(page)]
    for done in range(1, 5):
        page.evaluate("(changes) => change(changes)", after(epochs, done))
        pictures.append(canvas_pixels(page))
        assert bar.evaluate("(bar) => [bar.value, bar.max]") == [done, epochs]
        assert sentence.inner_text().startswith(f"Epoch {done} of {epochs}: ")
        assert page.get_by_role("img", name=sentence.inner_text(), exact=True).count() == 1
        assert sentence.get_attribute("aria-live") == ("polite" if done == epochs else "off")
        # The last point is a square of 6 × 6 pixels; losses reach from 0 to the highest, shares to 1.
        for left, color, share in ((46, BLUE, LOSSES[done - 1] / 2.25), (426, ORANGE, ACCURACIES[done - 1])):
            x, y = left + 300 * done / epochs, 34 + 160 * (1 - share)
            assert abs(pictures[-1][round(y), int(x) + 1].astype(int) - color).max() < 3
            assert abs(pictures[-1][round(y), int(x) - 2].astype(int) - color).max() < 3
            assert rows_and_columns(pictures[-1], color, round(x) + 4, left + 310) == []
    assert len({picture.tobytes() for picture in pictures}) == 5
    # A line goes through all points, at its thinnest between them.
    last = pictures[-1]
    for left, color, values, top in ((46, BLUE, LOSSES, 2.25), (426, ORANGE, ACCURACIES, 1)):
        for epoch, (one, other) in enumerate(itertools.pairwise(values), 1):
            x, y = left + 300 * (epoch + 0.5) / epochs, 34 + 160 * (1 - (one + other) / 2 / top)
            column = [row for row, _ in rows_and_columns(last, color, round(x), round(x) + 1)]
            assert column and min(abs(row - y) for row in column) < 8
        # Dashes stand at the best epoch, the second.
        x = round(left + 300 * 2 / epochs)
        dashed = [row for row in range(34, 194) if (last[row, x - 1 : x + 1] < 150).all()]
        assert len(dashed) > 40
    assert page.evaluate("problems") == []


@pytest.mark.parametrize("values", [after(4, 0), {**after(3, 2), "losses": [0, 0], "accuracies": [0, 0]}])
def test_no_number_is_missing_before_the_first_epoch_and_at_zero(page, values):
    show(page, values)
    assert page.evaluate("problems") == []
    assert "NaN" not in page.locator(".swin-explorer").inner_html()


@pytest.mark.parametrize(("epochs", "done"), [(1, 1), (3, 0), (3, 2), (40, 4), (1000, 3)])
def test_no_text_is_cut_off_or_overlaps(page, epochs, done):
    show(page, after(epochs, done))
    page.evaluate(WRITTEN)  # draws again, as for another size of the window
    said = page.evaluate("() => window.written")
    ends = ["0.00", "2.25", "0 %", "100 %"] if done else ["0.00", "0 %"]
    titles = ["mean loss of an epoch", "held-out images answered right"]
    assert sorted(text["text"] for text in said) == sorted(
        [*titles, *ends, *(2 * ["0", "epochs", str(epochs)])]
    )
    assert all(text["left"] >= 0 and text["right"] <= 760 and 12 <= text["y"] <= 226 for text in said)
    assert all(text["size"] >= 12 for text in said)
    for one, other in itertools.combinations(said, 2):
        beneath = abs(one["y"] - other["y"]) >= 14
        assert beneath or one["right"] + 2 <= other["left"] or other["right"] + 2 <= one["left"], (one, other)
    place = {text["text"]: text["y"] for text in said}
    assert place["0.00"] == approx(198) and place.get("2.25", 38) == place.get("100 %", 38) == approx(38)


def test_a_view_that_is_gone_hears_nothing(page):
    show(page, after(4, 1))
    before = page.locator("p").inner_text()
    page.evaluate(
        "(changes) => { stop(); change(changes); dispatchEvent(new Event('resize')); }", after(4, 2)
    )
    assert page.locator("p").inner_text() == before


def test_zooming_keeps_the_picture_sharp(page):
    show(page, after(4, 2))
    before = canvas_pixels(page)
    page.evaluate("""() => { Object.defineProperty(window, "devicePixelRatio", { value: 2 });
    window.dispatchEvent(new Event("resize")); }""")
    assert canvas_pixels(page).shape[0] == 2 * before.shape[0]
