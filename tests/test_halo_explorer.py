"""The explorer of ranks counts what moves in the package; the page draws and says the same."""

import functools
import itertools
import math
from collections import Counter

import numpy as np
import pytest
import torch
import traitlets
from browser import canvas_pixels, load, show_live
from matplotlib.colors import to_hex, to_rgb
from torch import nn

from swin_edu.book.explorers import Halo
from swin_edu.book.explorers.halo import COLOURS, Plan
from swin_edu.book.images import sample_image
from swin_edu.book.style import BLUE, INK, ORANGE, PAPER
from swin_edu.parallel import ParallelSwin, attend_in_rows, split_rows

NAMES = ("side", "stage", "ranks", "block")
EVERY_SETTING = list(itertools.product(range(224, 897, 32), range(1, 5), range(1, 9), range(2)))
DRAWN = [
    (224, 1, 4, 1),
    (224, 1, 1, 1),
    (224, 4, 8, 1),
    (448, 2, 3, 0),
    (256, 4, 2, 1),
    (512, 4, 8, 1),
    (896, 1, 8, 1),
    *EVERY_SETTING[::23],
]
LEFT, TOP, SIDE = 38, 30, 300  # of the photograph, as in halo.js
# Draw each state; return every call on the canvas with the style it had.
RECORD = """([arrays, states]) => {
  for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
  const data = unpack(arrays), canvas = document.createElement("canvas");
  const context = prepare(canvas, explorer.size);
  return states.map((state) => {
    const calls = [];
    const spy = new Proxy(context, {
      get(target, name) {
        if (typeof target[name] !== "function") return target[name];
        return (...args) => {
          const written = name === "fillText";
          const at = written ? args.slice(1) : args.filter((a) => typeof a === "number");
          const text = written ? String(args[0]) : "", long = written ? target.measureText(text).width : 0;
          const { fillStyle: fill, strokeStyle: stroke, globalAlpha: alpha, textAlign: align } = target;
          const size = parseFloat(/([0-9.]+)px/.exec(target.font)[1]);
          calls.push({ name, at, text, long, fill, stroke, alpha, align, size });
          return target[name](...args);
        };
      },
      set(target, name, value) { target[name] = value; return true; },
    });
    draw(spy, state, data);
    return calls;
  });
}"""


@functools.cache
def explorer():
    return Halo(sample_image())


def stand(*setting):
    for name, value in zip(NAMES, setting, strict=True):
        setattr(explorer(), name, value)
    return explorer()


def states(settings):
    return [dict(zip(NAMES, setting, strict=True)) for setting in settings]


# What is counted


def owners(height, ranks):
    """Return the rank that holds each row."""
    rank_of = np.full(height, -1)
    for rank, rows in enumerate(split_rows(height, 7, ranks)):
        assert (rank_of[rows.start : rows.stop] == -1).all()
        rank_of[rows.start : rows.stop] = rank
    assert (rank_of >= 0).all()
    return rank_of


@pytest.mark.parametrize("block", [0, 1])
@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_the_plan_counts_the_tokens_that_change_their_rank(stage, block):
    for side, _, ranks, _ in (each for each in EVERY_SETTING if each[1::2] == (stage, block)):
        plan, token = Plan.of(side, stage, ranks, block), 4 * 2 ** (stage - 1)
        numbers = 4 * 24 * token  # bytes of a token: 96 channels of 4 bytes for 4 pixels
        assert plan.tokens * token == side
        assert plan.channels * 4 == numbers
        padded = plan.tokens + -plan.tokens % 7
        shift = 3 if block and padded > 7 else 0
        assert (plan.padded, plan.shift) == (padded, shift)
        # A token is held with its row, and needed where its window of the rolled map is.
        places = np.arange(padded**2).reshape(padded, padded)
        held = np.repeat(owners(padded, ranks), padded)
        needed = np.empty_like(held)
        needed[np.roll(places, (-shift, -shift), (0, 1)).ravel()] = held
        going = Counter(zip(held.tolist(), needed.tolist(), strict=True))
        away = {pair: count for pair, count in going.items() if pair[0] != pair[1]}
        assert set(plan.travels) == set(away), (side, ranks)
        assert len(plan.travels) == len(away)
        for rank in range(ranks):
            sent = sum(count for pair, count in away.items() if rank in pair)  # there, and what it took back
            assert sent * numbers == (plan.each if rank in held else 0)
        assert plan.total == 2 * sum(away.values()) * numbers
        assert [rank for rank in range(ranks) if rank in held] == list(plan.bands)
        for rank, (first, height) in plan.bands.items():
            assert np.unique(np.flatnonzero(held == rank) // padded).tolist() == [
                *range(first, first + height)
            ]
        at = owners(plan.tokens, ranks)
        assert [np.flatnonzero(at == rank).tolist() for rank in range(ranks)] == [*map(list, plan.rows)]
        missing = sum(plan.tokens * int((at != rank).sum()) for rank in range(ranks))
        assert plan.everywhere == 2 * missing * numbers  # a key and a value of each
        if stage == 1:
            assert (plan.moved, plan.merging) == (0, 0)
        else:
            finer = owners(2 * plan.tokens, ranks)
            moved = int((finer != np.repeat(at, 2)).sum())
            assert (plan.moved, plan.merging) == (moved, moved * 2 * plan.tokens * numbers // 2)


class Counted:
    """Ranks that send nothing, and count what one of them would have sent."""

    def __init__(self, rank, count):
        self.rank, self.count, self.entries = rank, count, 0

    def move(self, x, moves):
        if moves is None:
            return x
        sent = sum(len(places) for number, places in enumerate(moves.sends) if number != self.rank)
        self.entries += sent * math.prod(x.shape[1:])
        return x.new_zeros(moves.after, *x.shape[1:])


@pytest.mark.parametrize(
    "setting", [(224, 1, 4), (256, 1, 8), (512, 4, 8), (448, 2, 3), (224, 4, 8), (320, 2, 5)]
)
def test_the_package_sends_what_the_explorer_says(setting):
    side, stage, ranks = setting
    merged = 0
    for block, rank in itertools.product(range(2), range(ranks)):
        plan, here = Plan.of(*setting, block), Counted(rank, ranks)
        x = torch.zeros(1, len(plan.rows[rank]), plan.tokens, 1)
        attend_in_rows(x, lambda windows, mask: windows, 7, 3 * block, plan.tokens, here)
        assert 4 * plan.channels * here.entries == (plan.each if plan.rows[rank] else 0)
        here.entries, height = 0, 2 * plan.tokens
        before = split_rows(height, 7, ranks)
        x = torch.zeros(1, len(before[rank]), height, 1)
        ParallelSwin(nn.Identity(), here).rows_to_merge(x, before, height, 7)
        merged += here.entries
    if stage > 1:
        assert merged * 4 * plan.channels // 2 == 2 * plan.merging  # once for each block


def test_what_a_reader_can_find():
    for setting in EVERY_SETTING:
        plan = Plan.of(*setting)
        if setting[2] == 1 or setting[3] == 0:
            assert plan.total == plan.each == 0
        # Two ranks that share the smallest maps of two windows a side, padded to 14 × 14, send more.
        assert (plan.total > plan.everywhere) == (setting in [(256, 4, 2, 1), (288, 4, 2, 1)])
    assert list(Plan.of(224, 4, 8, 1).bands) == [7]
    small, large, huge = (Plan.of(side, 1, 4, 1) for side in (224, 448, 896))
    assert (large.total, huge.total) == (2 * small.total, 4 * small.total)  # the width
    assert (large.everywhere, huge.everywhere) == (4 * small.everywhere, 16 * small.everywhere)  # the area
    assert any(plan.moved for plan in (Plan.of(*setting) for setting in EVERY_SETTING))


def test_the_first_stage_has_work_for_the_most_ranks_so_that_the_model_refuses_none():
    for side, *_ in EVERY_SETTING:
        assert all(Plan.of(side, 1, 8, 0).rows)
    assert explorer().limits() == {}


# What is refused


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (torch.rand(3, 100, 224), "image has shape (3, 100, 224); it must be (3, H, H) with H at most 224"),
        (torch.rand(1, 64, 64), "image has shape (1, 64, 64); it must be (3, H, H) with H at most 224"),
        (torch.rand(64, 64), "image has shape (64, 64); it must be (3, H, H) with H at most 224"),
        (torch.rand(3, 225, 225), "image has shape (3, 225, 225); it must be (3, H, H) with H at most 224"),
        (torch.rand(3, 0, 0), "image has shape (3, 0, 0); it must be (3, H, H) with H at most 224"),
        (torch.full((3, 8, 8), 2.0), "image has values from 2.00 to 2.00; they must lie in [0, 1]"),
    ],
)
def test_bad_images_get_one_sentence(image, sentence):
    with pytest.raises(ValueError) as problem:
        Halo(image)
    assert str(problem.value) == sentence


@pytest.mark.parametrize(
    ("name", "value", "choices"),
    [
        ("side", 192, "224, 256, 288"),
        ("side", 225, "224, 256, 288"),
        ("side", 928, "224, 256, 288"),
        ("stage", 0, "1, 2, 3, 4"),
        ("stage", 5, "1, 2, 3, 4"),
        ("ranks", 0, "1, 2, 3, 4, 5, 6, 7, 8"),
        ("ranks", 9, "1, 2, 3, 4, 5, 6, 7, 8"),
        ("block", 2, "0, 1"),
    ],
)
def test_sliders_refuse_what_they_cannot_show(name, value, choices):
    with pytest.raises(traitlets.TraitError) as problem:
        setattr(explorer(), name, value)
    assert str(problem.value).startswith(f"{name} is {value}; it can be one of {choices}")


# What is said


def test_the_sentence():
    assert stand(224, 1, 4, 1).describe() == (
        "224 × 224 px, stage 1: 56 × 56 tokens, 64 windows, shifted by 3; "
        "1 token: 96 channels × 4 bytes = 384 bytes. "
        "Rows held: rank 0: 0 to 13, rank 1: 14 to 27, rank 2: 28 to 41, rank 3: 42 to 55; "
        "rank without rows: none. "
        "The first 3 rows of each travel, rank 0 to 3, 1 to 0, 2 to 1, 3 to 2, and back: "
        "4 borders × 6 rows × 56 tokens × 384 bytes = 516,096. "
        "Global attention: 2 × 56 × 56 tokens × 384 bytes × 3 others = 7,225,344. "
        "Each rank reads its own rows of the image."
    )
    assert stand(256, 4, 2, 0).describe() == (
        "256 × 256 px, stage 4: 8 × 8 tokens, 4 windows, not shifted, padded to 14 × 14; "
        "1 token: 768 channels × 4 bytes = 3,072 bytes. "
        "Rows held: rank 0: 0 to 6, rank 1: 7; rank without rows: none. "
        "Nothing travels: each window lies within one rank. "
        "Global attention: 2 × 8 × 8 tokens × 3,072 bytes × 1 other = 393,216. "
        "To merge, 7 rows changed rank: 172,032 bytes."
    )
    assert stand(224, 4, 3, 1).describe() == (
        "224 × 224 px, stage 4: 7 × 7 tokens, 1 window, nothing to shift; "
        "1 token: 768 channels × 4 bytes = 3,072 bytes. "
        "Rows held: rank 2: 0 to 6; ranks without rows: 0, 1. "
        "Nothing travels: rank 2 holds all rows. "
        "Global attention: 2 × 7 × 7 tokens × 3,072 bytes × 2 others = 602,112. "
        "To merge, 7 rows changed rank: 150,528 bytes."
    )
    assert stand(448, 2, 2, 0).describe().endswith(" To merge, no row changed its rank.")


def test_the_page_plans_and_says_what_python_does_for_every_setting(page):
    load(page, "halo.js", ["planOf", "describe"])
    answers = page.evaluate(
        "(states) => states.map((state) => [planOf(state), describe(state)])", states(EVERY_SETTING)
    )
    assert len(answers) == 22 * 4 * 8 * 2
    for setting, (plan, sentence) in zip(EVERY_SETTING, answers, strict=True):
        truth = vars(Plan.of(*setting))
        rows = [[own.start, own.stop] for own in truth["rows"]]
        assert plan == {**truth, "rows": rows, "travels": [*map(list, truth["travels"])]}, setting
        assert sentence == stand(*setting).describe()


def test_the_sliders_say_their_values_in_words(page):
    show_live(page, Halo(sample_image(), side=512, stage=4, ranks=8, block=1))
    said = {
        "Image side, pixels": "512 pixels, 16 by 16 tokens",
        "Stage": "stage 4, 16 by 16 tokens of 768 channels",
        "Ranks": "8 ranks, 3 of them with rows",
        "Block: 1 is shifted": "shifted block, 1,161,216 bytes travel",
    }
    for name, words in said.items():
        slider = page.get_by_role("slider", name=name, exact=True)
        assert slider.get_attribute("aria-valuetext") == words
    page.get_by_role("slider", name="Block").focus()
    page.keyboard.press("ArrowLeft")
    words = page.get_by_role("slider", name="Block").get_attribute("aria-valuetext")
    assert words == "plain block, 0 bytes travel"
    page.get_by_role("slider", name="Ranks").focus()
    page.keyboard.press("Home")
    words = page.get_by_role("slider", name="Ranks").get_attribute("aria-valuetext")
    assert words == "1 rank, 1 of them with rows"


# What is drawn: the page


@pytest.fixture(scope="module")
def recorded(chromium):
    """Return the calls on the canvas for each setting in DRAWN."""
    with chromium.new_context() as context:
        page = context.new_page()
        load(page, "halo.js", ["draw", "explorer", "prepare", "unpack", "decode"])
        arrays = explorer().stored()["arrays"]
        return dict(zip(DRAWN, page.evaluate(RECORD, [arrays, states(DRAWN)]), strict=True))


def close(found, expected):
    found, expected = sorted(map(tuple, found)), sorted(map(tuple, expected))
    return len(found) == len(expected) and np.allclose(found, expected, atol=0.01)


def strokes(calls):
    """Return (color, points) of every path that is stroked or filled."""
    found, points = [], []
    for call in calls:
        if call["name"] == "beginPath":
            points = []
        elif call["name"] in ("moveTo", "lineTo"):
            points.append(tuple(call["at"]))
        elif call["name"] in ("stroke", "fill"):
            found.append((call["name"], call["stroke" if call["name"] == "stroke" else "fill"], points))
    return found


def filled(calls, color, alpha=1.0):
    return [
        call["at"]
        for call in calls
        if call["name"] == "fillRect"
        and call["fill"] == color
        and math.isclose(call["alpha"], alpha, abs_tol=1e-6)
    ]


def test_the_page_tints_and_numbers_the_rows_of_each_rank(recorded):
    for setting, calls in recorded.items():
        plan = Plan.of(*setting)
        unit = SIDE / plan.padded
        assert filled(calls, "#d0d0d0") == [[LEFT, TOP, SIDE, SIDE]]
        [photo] = [call["at"] for call in calls if call["name"] == "drawImage"]
        assert np.allclose(photo, [LEFT, TOP, plan.tokens * unit, plan.tokens * unit])
        longest = max(height for _, height in plan.bands.values())
        for colour in range(4):
            tints, others = [], []
            for rank, (first, height) in list(plan.bands.items()):
                if rank % 4 != colour:
                    continue
                y = TOP + first * unit
                tints.append([LEFT, y, plan.tokens * unit, len(plan.rows[rank]) * unit])
                others.append([8, y, 24, height * unit])
            for rank in range(setting[2]):
                if rank % 4 == colour:
                    _, height = plan.bands.get(rank, (0, 0))
                    others.append([462, 46 + 21 * rank - 6, 130 * height / longest, 12])
            for count, color in ((plan.total, BLUE), (plan.everywhere, ORANGE)):
                if count and color == COLOURS[colour]:
                    y = 230 + 42 + 5 + 50 * (color == ORANGE)
                    others.append([440, y, 294 * (math.log10(count) - 4) / 5, 10])
            assert close(filled(calls, COLOURS[colour], 0.35), tints), setting
            assert close(filled(calls, COLOURS[colour]), others), setting
        numbers = [
            (call["text"], call["at"]) for call in calls if call["name"] == "fillText" and call["at"][0] == 20
        ]
        assert [int(text) for text, _ in numbers] == list(plan.bands)
        for (_, (_, y)), (first, height) in zip(numbers, plan.bands.values(), strict=True):
            assert y == pytest.approx(TOP + (first + height / 2) * unit + 4.5)
        borders = [points for kind, color, points in strokes(calls) if (kind, color) == ("stroke", PAPER)]
        expected = [y for first, _ in plan.bands.values() for y in [TOP + first * unit - 2] * 2]
        assert np.allclose([y for _, y in borders[-1]], expected)


def test_the_page_draws_the_windows_at_their_true_place(recorded):
    for setting, calls in recorded.items():
        plan = Plan.of(*setting)
        edges = sorted({0, plan.padded, *range(plan.shift, plan.padded, 7)})
        paths = [points for kind, color, points in strokes(calls) if (kind, color) == ("stroke", ORANGE)]
        assert len(paths) == 1
        pairs = list(zip(paths[0][::2], paths[0][1::2], strict=True))
        xs = {round(a[0], 3) for a, b in pairs if a[0] == b[0] and (a[1], b[1]) == (TOP, TOP + SIDE)}
        ys = {round(a[1], 3) for a, b in pairs if a[1] == b[1] and (a[0], b[0]) == (LEFT, LEFT + SIDE)}
        assert np.allclose(sorted(xs), [LEFT + edge * SIDE / plan.padded for edge in edges], atol=0.01)
        assert np.allclose(sorted(ys), [TOP + edge * SIDE / plan.padded for edge in edges], atol=0.01)


def test_the_page_hatches_what_travels_and_points_to_who_takes_it(recorded):
    seen = 0
    for setting, calls in recorded.items():
        plan = Plan.of(*setting)
        unit = SIDE / plan.padded
        hatched = [call["at"] for call in calls if call["name"] == "rect"]
        strips = [[LEFT, TOP + plan.rows[giver].start * unit, SIDE, 3 * unit] for giver, _ in plan.travels]
        assert close(hatched, strips), setting
        arrows, heads, names = [], [], []
        for giver, taker in plan.travels:
            first, height = plan.bands[taker]
            start, end = TOP + (plan.rows[giver].start + 1.5) * unit, TOP + (first + height / 2) * unit
            lane = 396 if giver < taker else 362
            arrows.append((340, start, lane, start, lane, end, 346, end))
            heads.append((340, end, 348, end - 4, 348, end + 4))
            names.append((f"to {taker}", lane + 4, (start + end) / 2 + 4))
        paths = [(kind, sum(points, ())) for kind, color, points in strokes(calls) if color == INK]
        assert close([path for kind, path in paths if kind == "stroke" and path[:1] == (340,)], arrows), (
            setting
        )
        assert close([path for kind, path in paths if kind == "fill" and len(path) == 6], heads), setting
        written = [
            (c["text"], *c["at"]) for c in calls if c["name"] == "fillText" and c["text"].startswith("to ")
        ]
        assert [text for text, *_ in written] == [text for text, *_ in names]
        assert close([place for _, *place in written], [place for _, *place in names])
        seen += len(arrows)
    assert seen > 50


def test_the_page_writes_the_numbers_and_no_text_over_another(recorded):
    for setting, calls in recorded.items():
        plan, shown = Plan.of(*setting), stand(*setting)
        boxes = []
        for call in calls:
            if call["name"] != "fillText":
                continue
            assert call["size"] >= 12
            x, y = call["at"]
            left = x - {"left": 0, "center": call["long"] / 2, "right": call["long"]}[call["align"]]
            assert left >= 0 and left + call["long"] <= 760 and 12 <= y <= 412 - 4, (setting, call["text"])
            boxes.append(
                (left, left + call["long"], y - 0.75 * call["size"], y + 0.2 * call["size"], call["text"])
            )
        for a, b in itertools.combinations(boxes, 2):
            apart = a[1] < b[0] or b[1] < a[0] or a[3] < b[2] or b[3] < a[2]
            assert apart, (setting, a[4], b[4])
        texts = [box[4] for box in boxes]
        for text in (
            shown.caption(),
            *shown.notes(),
            plan.token,
            f"in windows: {plan.total:,} bytes",
            f"globally, keys and values: {plan.everywhere:,} bytes",
            plan.product,
            plan.global_product,
            plan.merged,
        ):
            assert texts.count(text) == 1, (setting, text)
        for rank in range(setting[2]):
            y = 46 + 21 * rank + 4
            row = [
                call
                for call in calls
                if call["name"] == "fillText" and call["at"][1] == y and call["at"][0] >= 440
            ]
            _, height = plan.bands.get(rank, (0, 0))
            sent = plan.each if height else 0
            assert [call["text"] for call in row] == [str(rank), str(height // 7), f"{sent:,}"], setting
        ticks = [
            call for call in calls if call["text"] in ("10 kB", "100 kB", "1 MB", "10 MB", "100 MB", "1 GB")
        ]
        assert np.allclose([tick["at"][0] for tick in ticks], np.linspace(440, 440 + 294, 6))


def test_the_page_shows_the_photograph_through_the_tint(page):
    shown = Halo(sample_image(), side=448, stage=3, ranks=2, block=1)  # 28 rows of tokens
    show_live(page, shown)
    drawn, unit, compared = canvas_pixels(page).astype(int), SIDE / 28, 0
    assert "hatched: 3 rows" in shown.notes()[0]
    for row, column in itertools.product(range(28), repeat=2):
        y, x = TOP + int((row + 0.5) * unit), LEFT + int((column + 0.5) * unit)
        if row % 14 < 3:
            around = drawn[y - 5 : y + 6, x - 5 : x + 6].sum(-1)
            assert np.ptp(around) > 80, (row, column)  # dark strokes on light ground
        elif all(1 <= (place - 3) % 7 < 6 for place in (row, column)) and row not in (13, 27):
            tint = 255 * np.array(to_rgb(COLOURS[row // 14]))
            near = shown.photo[row * 8 + 1 : row * 8 + 7, column * 8 + 1 : column * 8 + 7].reshape(-1, 3)
            assert np.abs(0.65 * near + 0.35 * tint - drawn[y, x]).sum(1).min() <= 8, (row, column)
            compared += 1
    assert compared > 200


# What is drawn: the still picture


def parts(setting):
    """Return the axes of the still picture: of the photograph, of the ranks, and of all bytes."""
    return stand(*setting).still().axes


def filled_boxes(axes, color, alpha=None):
    return [
        patch.get_bbox().bounds
        for patch in axes.patches
        if patch.get_fill() and to_hex(patch.get_facecolor()) == color and patch.get_alpha() == alpha
    ]


def lines_of(axes, color):
    return [line.get_xydata().tolist() for line in axes.lines if line.get_color() == color]


@pytest.mark.parametrize("setting", DRAWN[:7])
def test_the_still_picture_draws_the_state(setting):
    photo, ranks, sums = parts(setting)
    shown, plan = explorer(), Plan.of(*setting)
    size = plan.padded
    assert photo.get_title() == shown.caption()
    assert np.array_equal(photo.images[0].get_array(), shown.photo)
    assert photo.images[0].get_extent() == [0, plan.tokens, plan.tokens, 0]
    gap = size - plan.tokens
    assert close(
        filled_boxes(photo, "#d0d0d0"), [(plan.tokens, 0, gap, size), (0, plan.tokens, plan.tokens, gap)]
    )
    for colour in range(4):
        own = {rank: band for rank, band in plan.bands.items() if rank % 4 == colour}
        tints = [(0, first, plan.tokens, len(plan.rows[rank])) for rank, (first, _) in own.items()]
        assert close(filled_boxes(photo, COLOURS[colour], 0.35), tints)
        strips = [(-0.1 * size, first, 0.08 * size, height) for first, height in own.values()]
        assert close(filled_boxes(photo, COLOURS[colour]), strips)
    strips = [(0, plan.rows[giver].start, size, 3) for giver, _ in plan.travels]
    assert close([patch.get_bbox().bounds for patch in photo.patches if patch.get_hatch()], strips)
    edges = sorted({0, size, *range(plan.shift, size, 7)})
    for lines, axis in ((photo.collections[2], 1), (photo.collections[3], 0)):
        assert sorted({segment[0][axis] for segment in lines.get_segments()}) == edges
    ways = [path for path in lines_of(photo, INK) if len(path) == 3]
    expected, ends = [], []
    for giver, taker in plan.travels:
        first, height = plan.bands[taker]
        start, end, lane = (
            plan.rows[giver].start + 1.5,
            first + height / 2,
            (1.2 if giver < taker else 1.07) * size,
        )
        expected.append([size, start, lane, start, lane, end])
        ends.append((size, end, lane, end))
    assert close([sum(path, []) for path in ways], expected)
    arrows = [(*text.xy, *text.xyann) for text in photo.texts if hasattr(text, "xyann")]
    assert close(arrows, ends)
    texts = [text.get_text() for text in photo.texts if text.get_text()]
    named = [f"to {taker}" for _, taker in plan.travels]
    assert texts == [*map(str, plan.bands), *named, "\n".join(shown.notes())]
    borders = [path[0][1] for path in lines_of(photo, PAPER)]
    assert np.allclose(borders, [first - 0.007 * size for first, _ in plan.bands.values()])
    held = [plan.bands.get(rank, (0, 0))[1] // 7 for rank in range(setting[2])]
    bars = [patch.get_bbox().bounds for patch in ranks.patches]
    assert np.allclose(bars, [(0, rank - 0.3, count, 0.6) for rank, count in enumerate(held)])
    assert [to_hex(patch.get_facecolor()) for patch in ranks.patches] == [
        COLOURS[r % 4] for r in range(len(held))
    ]
    sent = [f"{plan.each if count else 0:,}" for count in held]
    pairs = [text.get_text().strip() for text in ranks.texts]
    assert (pairs[::2], pairs[1::2]) == ([*map(str, held)], sent)
    assert [tick.get_text() for tick in ranks.get_yticklabels()] == [
        f"rank {rank}" for rank in range(len(held))
    ]
    totals = (plan.total, plan.everywhere)
    assert [patch.get_bbox().bounds[2] for patch in sums.patches] == [max(0, total - 1e4) for total in totals]
    assert [text.get_text() for text in sums.texts] == [
        f"in windows: {plan.total:,} bytes",
        plan.product,
        f"globally, keys and values: {plan.everywhere:,} bytes",
        plan.global_product,
    ]
    assert sums.get_xlabel() == plan.merged
    assert sums.get_title("left") == f"all ranks together; {plan.token}"
    assert (sums.get_xscale(), sums.get_xlim()) == ("log", (1e4, 1e9))
    assert all(1e4 < total < 1e9 for total in totals if total)


def test_the_notes_name_what_is_drawn():
    assert stand(256, 1, 8, 1).notes() == [
        "hatched: 3 rows that travel along the arrow, and back",
        "grey: padding to 70 × 70 tokens",
        "rank without rows: none",
    ]
    assert stand(224, 4, 2, 0).notes() == ["no row travels in this block", "rank without rows: 0"]
