"""The explorer of chapter 9 shows the times it was given, and the page says and draws what Python does."""

import itertools
import re

import matplotlib as mpl
import numpy as np
import pytest
import traitlets
from browser import BOUNDS, PROFILES, canvas_pixels, load, show_live, written

from swin_edu.book import style
from swin_edu.book.explorers import TimeBars
from swin_edu.book.explorers.time_bars import PARTS, milliseconds, percent, ratio

SIZES, NAMES = list(PROFILES), list(PROFILES[1])
STATES = [{"step": step, "batch": batch} for step, batch in itertools.product(range(5), range(2))]
RANDOM = np.random.default_rng(0)
# Times of every size up to the largest, those that end in a tie among them; a batch of any size.
WIDE = {
    size: {name: list(times) for name, times in zip("abcde", profile, strict=True)}
    for size, profile in zip(
        (1, 2, 64, 1024),
        np.concatenate(
            [
                RANDOM.integers(0, 10 ** RANDOM.integers(1, 8, (3, 5, 6))) / 1e6,
                RANDOM.integers(0, 10**4, (1, 5, 6)) / 2e4,  # multiples of 0.05 ms
            ]
        ),
        strict=True,
    )
}
WIDE_BOUNDS = {1: 0.0, 2: 15.999949, 64: 0.00005, 1024: 16.0}


def times_of(state):
    profile = PROFILES[SIZES[state["batch"]]]
    return profile[NAMES[state["step"]]], profile["clear"], [sum(times) for times in profile.values()]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def rgb(color):
    return np.array(list(bytes.fromhex(color[1:])))


def test_the_sentence():
    assert TimeBars(PROFILES, BOUNDS, step=4, batch=1).describe() == (
        "Batch 8, step 4 of 4 (one pass): 442.5 ms a batch, 1.36 times as fast as the clear model; "
        "linear layers 370.0 ms (84 %), attention 43.0 ms (10 %), GELU 0.5 ms (0 %), "
        "layer norm 13.0 ms (3 %), moving tokens 12.0 ms (3 %), everything else 4.0 ms (1 %); "
        "at the measured peak the products alone would take 335.0 ms."
    )
    assert TimeBars(PROFILES, BOUNDS).describe().startswith("Batch 1, step 0 of 4 (clear): 87.7 ms a batch; ")


def test_ties_are_rounded_up():
    assert [milliseconds(time) for time in (0, 49, 50, 149, 150, 250, 1_234_550)] == [
        *("0.0 ms", "0.0 ms", "0.1 ms", "0.1 ms", "0.2 ms", "0.3 ms", "1,234.6 ms")
    ]
    assert [percent(part, 200) for part in (0, 1, 3, 99, 200)] == ["0 %", "1 %", "2 %", "50 %", "100 %"]
    assert [ratio(time, 200) for time in (200, 1, 201, 203, 150, 2419)] == [
        *("1.00", "0.01", "1.01", "1.02", "0.75", "12.10")
    ]


def test_limits_come_from_the_data():
    two = TimeBars({4: {"clear": [1.0] * 6, "fast": [0.5] * 6}}, {4: 1.0}, step=4, batch=3)
    assert two.state == {"step": 1, "batch": 0}
    assert two.describe().startswith("Batch 4, step 1 of 1 (fast): 3,000.0 ms a batch, 2.00 times")
    assert [control["label"] for control in two.controls] == ["Step", "Batch: 0 for 4 images"]
    assert TimeBars(PROFILES, BOUNDS).controls[1]["label"] == "Batch: 0 for 1 image, 1 for 8 images"
    with pytest.raises(traitlets.TraitError, match="step is 5; it can be one of 0, 1, 2, 3, 4"):
        TimeBars(PROFILES, BOUNDS, step=5)


ONES = [1.0] * 6


@pytest.mark.parametrize(
    ("profiles", "bounds", "sentence"),
    [
        ({}, {}, "profiles has 0 batch sizes; the explorer shows 1 to 4"),
        (
            {size: {"clear": ONES} for size in range(5)},
            {},
            "profiles has 5 batch sizes; the explorer shows 1 to 4",
        ),
        ({8: {}}, {8: 1.0}, "profiles has 0 steps; the explorer shows 1 to 5"),
        ({8: dict.fromkeys("abcdef", ONES)}, {8: 1.0}, "profiles has 6 steps; the explorer shows 1 to 5"),
        (
            {1: {"a": ONES, "b": ONES}, 8: {"b": ONES, "a": ONES}},
            {1: 1.0, 8: 1.0},
            "profiles[8] has the steps ['b', 'a']; they must be ['a', 'b']",
        ),
        (
            {1: {"a": ONES}, 8: {"a": ONES}},
            {1: 1.0},
            "bounds has no batch size 8; it must have those of profiles",
        ),
        (
            {8: {"a": ONES[:5]}},
            {8: 1.0},
            "profiles[8]['a'] has 5 times; it must have 6: linear layers, attention, GELU, layer norm, "
            "moving tokens, everything else",
        ),
        (
            {8: {"a": [*ONES[:5], -0.5]}},
            {8: 1.0},
            "profiles[8]['a'] holds -0.5 s; a time must lie from 0 to 16 s",
        ),
        ({8: {"a": [*ONES[:5], 16.1]}}, {8: 1.0}, "profiles[8]['a'] holds 16.1 s; a time must lie from 0"),
        ({8: {"a": [*ONES[:5], float("nan")]}}, {8: 1.0}, "profiles[8]['a'] holds nan s"),
        (
            {8: {"a": [1e-7] * 6}},
            {8: 1.0},
            "profiles[8]['a'] takes no time at all; some part must take a microsecond or more",
        ),
        ({8: {"a": ONES}}, {8: float("inf")}, "bounds[8] holds inf s; a time must lie from 0 to 16 s"),
    ],
)
def test_bad_times_get_one_sentence(profiles, bounds, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as problem:
        TimeBars(profiles, bounds)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("state", STATES)
def test_the_still_picture_draws_the_times(state):
    upper, lower = TimeBars(PROFILES, BOUNDS, "a quiet machine", **state).still().axes
    shown, clear, sums = times_of(state)
    widths = [1e-6 * patch.get_width() for patch in upper.patches]
    assert widths == pytest.approx([*shown, *clear])
    blue, ghosts = upper.patches[:6], upper.patches[6:]
    assert {mpl.colors.to_hex(patch.get_facecolor()) for patch in blue} == {style.BLUE}
    assert {mpl.colors.to_hex(patch.get_facecolor()) for patch in ghosts} == {style.PAPER}
    assert {mpl.colors.to_hex(patch.get_edgecolor()) for patch in ghosts} == {style.MUTED}
    assert [label.get_text() for label in upper.get_yticklabels()] == list(PARTS)
    assert texts(upper) == [
        *("this step", *(f"{1000 * time:.1f} ms" for time in shown)),
        *("share", *(f"{100 * time / sum(shown):.0f} %" for time in shown)),
        *("clear, outlined", *(f"{1000 * time:.1f} ms" for time in clear)),
    ]
    assert [1e-6 * patch.get_width() for patch in lower.patches] == pytest.approx(sums)
    assert upper.get_xlim() == lower.get_xlim() == pytest.approx((0, 1.6e6 * max(sums)))
    assert [label.get_text() for label in lower.get_yticklabels()] == [
        f"{row}  {name}" for row, name in enumerate(NAMES)
    ]
    bound = BOUNDS[SIZES[state["batch"]]]
    assert [1e-6 * line.get_segments()[0][0][0] for line in lower.collections] == pytest.approx([bound] * 2)
    assert texts(lower)[-1] == f"bound: products alone at the measured peak, {1000 * bound:.1f} ms"
    pairs = [[f"{1000 * time:.1f} ms", f"{sums[0] / time:.2f} × as fast"] for time in sums]
    assert texts(lower)[:-1] == list(itertools.chain(*pairs))
    assert lower.get_xlabel() == "measured: a quiet machine"
    bold = [row == state["step"] for row in range(5)]
    assert [label.get_weight() == "bold" for label in lower.get_yticklabels()] == bold
    assert [text.get_weight() == "bold" for text in lower.texts[:-1:2]] == bold
    assert [patch.get_linewidth() > 1 for patch in lower.patches] == bold


def test_without_a_machine_the_still_picture_names_none():
    assert TimeBars(PROFILES, BOUNDS).still().axes[1].get_xlabel() == ""


@pytest.mark.parametrize(("profiles", "bounds"), [(PROFILES, BOUNDS), (WIDE, WIDE_BOUNDS)])
def test_the_page_says_what_python_says(page, profiles, bounds):
    explorer = TimeBars(profiles, bounds, "a machine")
    load(page, "time_bars.js", ["describe", "profile", "unpack", "decode"])
    asked = [
        {"step": step, "batch": batch} for batch, step in itertools.product(range(len(profiles)), range(5))
    ]
    answers = page.evaluate(
        """([arrays, asked]) => {
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        const data = unpack(arrays);
        return asked.map((state) => [describe(state, data), profile(state, data)]); }""",
        [explorer.stored()["arrays"], asked],
    )
    for state, (sentence, profile) in zip(asked, answers, strict=True):
        explorer.step, explorer.batch = state["step"], state["batch"]
        assert sentence == explorer.describe()
        size = list(profiles)[state["batch"]]
        expected = [[round(1e6 * time) for time in times] for times in profiles[size].values()]
        assert (profile["times"], profile["bound"]) == (expected, round(1e6 * bounds[size]))
        assert (profile["size"], profile["names"]) == (size, list(profiles[size]))
        assert profile["machine"] == "a machine"


def length(drawn, y, color):
    """Return how many pixels a bar reaches in that row of pixels: to the last of its colour."""
    found = np.flatnonzero(np.abs(drawn[y, 136:520].astype(int) - rgb(color)).sum(1) < 60)
    return found.max() + 1 if len(found) else 0


@pytest.mark.parametrize("state", STATES)
def test_the_page_draws_the_times(page, state):
    show_live(page, TimeBars(PROFILES, BOUNDS, **state))
    drawn = canvas_pixels(page)
    shown, clear, sums = times_of(state)
    unit = 384 / max(sums)  # as BARS.width in time_bars.js; UPPER and LOWER give the places below
    for row, (time, before) in enumerate(zip(shown, clear, strict=True)):
        y = 36 + 28 * row
        assert length(drawn, y + 6, style.BLUE) == pytest.approx(time * unit, abs=1.1)
        # The last thing in the middle of the outlined bar is its right edge, half a pixel to each side.
        ink = np.flatnonzero((drawn[y + 17, 137:520] < 240).all(1))
        assert ink.max() + 1.5 == pytest.approx(before * unit, abs=1.1)
        assert (drawn[y + 17, 138 : int(134 + before * unit)] == 255).all()
    for row, time in enumerate(sums):
        y = 244 + 25 * row + 4
        looked_at = row == state["step"]
        assert length(drawn, y, style.BLUE if looked_at else "#d0d0d0") == pytest.approx(time * unit, abs=2.5)
        assert length(drawn, y, style.BLUE) == 0 or looked_at
        edge = drawn[244 + 25 * row, 150:160].astype(int)  # the outline of the bar shown is black
        assert (np.abs(edge - rgb(style.INK)).sum(1).max() < 60) == looked_at
    bound = 136 + BOUNDS[SIZES[state["batch"]]] * unit
    between = 244 + 25 * np.arange(5) + 21  # rows of pixels under each bar
    for y in (240, *between):
        dark = np.flatnonzero((drawn[y, 136:520] < 128).all(1)) + 136
        assert dark.mean() + 0.5 == pytest.approx(bound, abs=1.1)


def test_a_bound_beyond_all_times_sets_the_scale(page):
    explorer = TimeBars({4: {"clear": ONES}}, {4: 12.0})
    assert explorer.still().axes[1].get_xlim() == pytest.approx((0, 1.6 * 12e6))
    show_live(page, explorer)
    drawn = canvas_pixels(page)
    assert length(drawn, 248, style.BLUE) == pytest.approx(384 / 2, abs=2.5)
    assert (drawn[248, 519:521] < 128).all()


@pytest.mark.parametrize("state", STATES)
def test_the_page_writes_the_numbers(page, state):
    explorer = TimeBars(PROFILES, BOUNDS, "a quiet machine", **state)
    upper, lower = explorer.still().axes
    said = written(page, explorer)
    names = [label.get_text() for axes in (upper, lower) for label in axes.get_yticklabels()]
    titles = [axes.get_title("left") for axes in (upper, lower)]
    expected = [*texts(upper), *texts(lower), *names, *titles, lower.get_xlabel()]
    assert sorted(text["text"] for text in said) == sorted(expected)
    shown = f"{state['step']}  {NAMES[state['step']]}"
    [row] = [text["y"] for text in said if text["text"] == shown]
    assert sum(text["bold"] for text in said) == 5
    assert all(text["bold"] for text in said if text["y"] == row)


@pytest.mark.parametrize("share", [0, 0.3, 0.66, 0.67, 1])
@pytest.mark.parametrize("seconds", [9.9999, 0.002])
def test_no_text_is_cut_off_or_overlaps(page, share, seconds):
    times = {name: [seconds, *[0.0] * 5] for name in NAMES}
    explorer = TimeBars({64: times}, {64: seconds * share}, "a processor, 2 threads, PyTorch 2.9.0")
    said = written(page, explorer)
    assert all(text["left"] >= 0 and text["right"] <= 760 and text["y"] <= 410 for text in said)
    assert all(text["size"] >= 12 for text in said)
    for one, other in itertools.combinations(said, 2):
        below = abs(one["y"] - other["y"]) >= 14
        beside = one["right"] + 4 <= other["left"] or other["right"] + 4 <= one["left"]
        assert below or beside, (one, other)


def test_the_machine_is_named_only_when_known(page):
    assert not any("measured:" in text["text"] for text in written(page, TimeBars(PROFILES, BOUNDS)))


def test_every_step_and_batch_changes_the_picture(page):
    show_live(page, TimeBars(PROFILES, BOUNDS))
    step = page.get_by_role("slider", name="Step", exact=True)
    batch = page.get_by_role("slider", name="Batch: 0 for 1 image, 1 for 8 images", exact=True)
    seen, spoken = {canvas_pixels(page).tobytes()}, [step.get_attribute("aria-valuetext")]
    step.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
        seen.add(canvas_pixels(page).tobytes())
        spoken.append(step.get_attribute("aria-valuetext"))
    assert spoken == [f"step {number} of 4, {name}" for number, name in enumerate(NAMES)]
    assert batch.get_attribute("aria-valuetext") == "1 image"
    batch.focus()
    page.keyboard.press("End")
    assert batch.get_attribute("aria-valuetext") == "8 images"
    seen.add(canvas_pixels(page).tobytes())
    step.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
        seen.add(canvas_pixels(page).tobytes())
    assert len(seen) == 10


def test_the_sliders_end_with_the_data(page):
    show_live(page, TimeBars({4: {"clear": ONES, "fast": ONES[:5] + [0.5]}}, {4: 1.0}, step=4))
    step, batch = (page.get_by_role("slider", name=name) for name in ("Step", "Batch"))
    assert [slider.get_attribute("max") for slider in (step, batch)] == ["1", "0"]
    assert step.get_attribute("aria-valuetext") == "step 1 of 1, fast"
