"""The drawings of chapter 3 draw their data; its explorer's page computes what Python and PyTorch count."""

import itertools
import math

import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, show_live
from matplotlib.colors import to_rgba
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from swin_edu.attention import attend, join_heads, split_heads
from swin_edu.book import drawings
from swin_edu.book.drawings.common import window_lines
from swin_edu.book.explorers import Windows
from swin_edu.book.explorers.windows import SIDES, SIZES, Cost
from swin_edu.book.images import sample_image
from swin_edu.book.style import BLUE, INK, ORANGE, figure
from swin_edu.windows import pad_to_window, window_partition

IMAGE = sample_image()
EVERY_SETTING = list(itertools.product(SIDES, range(1, 5), SIZES))
SOME_SETTINGS = [(224, 1, 7), (256, 3, 7), (64, 4, 16), (352, 2, 12), (800, 1, 4)]


@pytest.fixture(scope="module")
def explorer():
    return Windows(IMAGE)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def drawn_array(axes):
    return np.asarray(axes.images[0].get_array())


def boxes(axes):
    """Return (x, y, width, height) of every rectangle, rounded."""
    return [tuple(round(value, 6) for value in patch.get_bbox().bounds) for patch in axes.patches]


def hatched(axes):
    return sorted(
        bounds for bounds, patch in zip(boxes(axes), axes.patches, strict=True) if patch.get_hatch()
    )


def set_state(explorer, side, stage, window, place=1):
    with explorer.hold_trait_notifications():
        explorer.side, explorer.stage, explorer.window, explorer.place = side, stage, window, place


# The drawings


def test_window_lines_lie_under_what_is_marked():
    _, [axes] = figure(2, 2)
    window_lines(axes, 8, 12, step=4)
    down, across = axes.collections[2:]
    assert [segment[0][0] for segment in down.get_segments()] == [0, 4, 8, 12]
    assert [segment[0][1] for segment in across.get_segments()] == [0, 4, 8]
    assert [tuple(lines.get_color()[0]) for lines in axes.collections[::2]] == [to_rgba(INK), to_rgba(ORANGE)]
    assert all(0 < lines.get_zorder() < 1 for lines in axes.collections)  # pictures are at 0, marks at 1


def test_window_zoom_enlarges_the_window_and_the_patch_of_a_token():
    whole, window, patch = drawings.window_zoom(IMAGE, patch=4, window=7, place=(32, 29)).axes
    assert np.array_equal(drawn_array(whole), IMAGE.permute(1, 2, 0).numpy())
    assert np.array_equal(drawn_array(window), IMAGE[:, 112:140, 112:140].permute(1, 2, 0).numpy())
    assert np.array_equal(drawn_array(patch), IMAGE[:, 128:132, 116:120].permute(1, 2, 0).numpy())
    assert boxes(whole) == [(112, 112, 28, 28)] * 2
    assert boxes(window) == [(4, 16, 4, 4)] * 2
    assert whole.get_title() == "map: 56 × 56 tokens, 64 windows"
    assert window.get_title() == "window: 7 × 7 tokens = 28 × 28 pixels"
    assert patch.get_title() == "patch: 4 × 4 pixels, one token"


def test_window_grids_mark_the_last_window():
    axes = drawings.window_grids(IMAGE, window=7, tokens=[56, 28, 14, 7]).axes
    assert [axis.get_title() for axis in axes] == [
        "56 × 56 tokens\n64 windows of 28 × 28 px",
        "28 × 28 tokens\n16 windows of 56 × 56 px",
        "14 × 14 tokens\n4 windows of 112 × 112 px",
        "7 × 7 tokens\n1 window of 224 × 224 px",
    ]
    assert [boxes(axis)[0] for axis in axes] == [
        (196, 196, 28, 28),
        (168, 168, 56, 56),
        (112, 112, 112, 112),
        (0, 0, 224, 224),
    ]
    assert [len(axis.collections[0].get_segments()) for axis in axes] == [9, 5, 3, 2]
    assert [len(axis.collections[-1].get_segments()) for axis in axes] == [8] * 4


def test_toy_windows_give_a_window_the_same_letter_and_colour_on_the_map_and_in_the_batch():
    maps = torch.arange(32).reshape(2, 4, 4)
    windows = window_partition(maps[..., None], 2)[..., 0]
    first, second, batch = drawings.toy_windows(maps, windows).axes
    assert texts(first)[:16] == [str(i) for i in range(16)]
    assert texts(second)[16:] == ["E", "F", "G", "H"]
    rows = [texts(batch)[5 * row : 5 * row + 5] for row in range(8)]
    assert rows[1] == ["2", "3", "6", "7", "B"]
    assert rows[6] == ["24", "25", "28", "29", "G"]
    colours = {}
    for axes in (first, second):
        for (x, y, *_), patch in zip(boxes(axes), axes.patches, strict=True):
            colours[int(texts(axes)[int(4 * y + x)])] = patch.get_facecolor()
    for (x, y, *_), patch in zip(boxes(batch), batch.patches, strict=True):
        assert patch.get_facecolor() == colours[int(rows[int(y)][int(x)])]
    assert len(set(colours.values())) == 4
    assert batch.get_title() == "one batch of 8 windows"


def test_window_batch_draws_the_windows_in_order():
    windows = torch.rand(18, 5, 5, 3)
    axes = drawings.window_batch(pad := torch.cat([windows, windows[:14]])).axes
    assert all(
        np.array_equal(drawn_array(axis), window.numpy()) for axis, window in zip(axes, pad, strict=True)
    )
    assert [texts(axis) for axis in axes] == [[str(number)] for number in range(32)]


def test_pairs_are_drawn_as_areas():
    [axes] = drawings.pairs_to_scale({112: (6400, 400), 224: (90000, 1600)}).axes
    areas = [round(width * height) for _, _, width, height in boxes(axes)]
    assert areas == [6400, 400, 90000, 1600]
    assert texts(axes)[1] == "224 px\nglobally 90,000\nin windows 1,600"
    lefts = [x for x, *_ in boxes(axes)]
    assert lefts == sorted(lefts)
    assert [bool(patch.get_hatch()) for patch in axes.patches] == [True, False, True, False]


def test_pair_tables_draw_the_masks():
    masks = {"one": torch.eye(4).bool(), "two": torch.rand(9, 9) > 0.5}
    axes = drawings.pair_tables(masks).axes
    for axis, (title, mask) in zip(axes, masks.items(), strict=True):
        assert np.array_equal(drawn_array(axis), mask.numpy())
        assert (axis.get_title(), axis.get_xlabel(), axis.get_ylabel()) == (title, "key", "query")
        assert axis.images[0].cmap(1.0) == to_rgba(BLUE)


def test_key_sets_frame_the_keys_of_each_query():
    place = torch.arange(36)
    row, column = place // 6, place % 6
    windows = (row[:, None] // 3 == row // 3) & (column[:, None] // 3 == column // 3)
    sliding = ((row[:, None] - row).abs() <= 1) & ((column[:, None] - column).abs() <= 1)
    fixed, moving = drawings.key_sets(
        {"windows": windows, "sliding": sliding}, 6, [(1, 1), (1, 2), (1, 3)]
    ).axes
    assert fixed.get_title() == "windows: 4 sets of keys for 36 queries"
    assert moving.get_title() == "sliding: 36 sets of keys for 36 queries"
    outer = lambda axes: [  # noqa: E731
        (math.floor(x), math.floor(y), math.ceil(x + w), math.ceil(y + h)) for x, y, w, h in boxes(axes)
    ]
    assert outer(fixed) == [(0, 0, 3, 3), (0, 0, 3, 3), (3, 0, 6, 3)]
    assert outer(moving) == [(0, 0, 3, 3), (1, 0, 4, 3), (2, 0, 5, 3)]
    assert texts(fixed) == ["a", "b", "c"]
    assert [text.get_position() for text in fixed.texts] == [(1.5, 1.5), (2.5, 1.5), (3.5, 1.5)]
    assert len({patch.get_linestyle() for patch in fixed.patches}) == 3


def test_reached_tokens_are_bright():
    gradient = torch.zeros(8, 8)
    gradient[4:, :4] = torch.rand(4, 4) + 0.1
    image = torch.rand(3, 32, 32)
    [axes] = drawings.reached_tokens(image, 4, {"windows": gradient}, place=(7, 3)).axes
    whole = image.permute(1, 2, 0).numpy()
    assert np.allclose(drawn_array(axes)[16:, :16], whole[16:, :16])
    assert np.allclose(drawn_array(axes)[:16], 0.35 * whole[:16])
    assert np.allclose(drawn_array(axes)[16:, 16:], 0.35 * whole[16:, 16:])
    assert axes.get_title() == "windows: 16 tokens"
    assert boxes(axes) == [(12, 28, 4, 4)] * 2


def test_cost_against_side_draws_counts_and_times_and_their_exponents():
    counts = {"in windows": {2: 4.0, 4: 16.0, 8: 64.0}, "globally": {2: 4.0, 4: 64.0, 8: 1024.0}}
    seconds = {"globally": {2: 1.0, 4: 8.0}, "in windows": {2: 1.0, 4: 2.0, 8: 4.0}}
    counted, timed = drawings.cost_against_side(counts, seconds, "a machine").axes
    for axes, series in ((counted, counts), (timed, seconds)):
        drawn = {line.get_label(): dict(line.get_xydata().tolist()) for line in axes.lines}
        assert drawn == series
        assert [line.get_label() for line in axes.lines] == ["in windows", "globally"]  # one style for both
    assert texts(counted) == ["side^2.0", "side^4.0"]
    assert texts(timed) == ["side^1.0", "side^3.0"]
    assert timed.get_title() == "measured once:\na machine"


def test_cost_shares_stack_linear_layers_and_pairs():
    bars = {"small": (3_000_000, 1_000_000), "large": (1_000_000, 9_000_000)}
    [axes] = drawings.cost_shares({"a title": bars}).axes
    assert boxes(axes) == [(0, -0.4, 3, 0.8), (0, 0.6, 1, 0.8), (3, -0.4, 1, 0.8), (1, 0.6, 9, 0.8)]
    assert [text.strip() for text in texts(axes)] == ["25 % pairs", "90 % pairs"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["small", "large"]
    assert len(hatched(axes)) == 2


def test_padded_windows_hatch_the_padding_and_plot_the_ratios():
    image = torch.rand(3, 20, 44)
    ratios = [1 + 1 / side for side in range(1, 40)]
    left, right = drawings.padded_windows(image, patch=4, window=4, ratios=ratios).axes
    assert left.get_title() == "5 × 11 tokens, padded to 8 × 12"
    assert hatched(left) == [(0, 20, 44, 12), (44, 0, 4, 32)]
    assert right.lines[-1].get_xydata().tolist() == [[side, 1 + 1 / side] for side in range(1, 40)]
    assert texts(right) == ["side 5: × 1.20", "side 9: × 1.11", "side 33: × 1.03"]


def test_weights_on_padding_hatches_what_is_not_real():
    window, weights = torch.rand(3, 8, 8), torch.rand(4, 4)
    real = torch.zeros(4, 4, dtype=torch.bool)
    real[:1, :3] = True
    left, right = drawings.weights_on_padding(window, weights, real).axes
    assert np.array_equal(drawn_array(left), window.permute(1, 2, 0).numpy())
    assert np.array_equal(drawn_array(right), weights.numpy())
    assert texts(right) == [f"{100 * weight:.1f}" for weight in weights.flatten().tolist()]
    places = {(2.0 * x, 2.0 * y) for y in range(4) for x in range(4) if not real[y, x]}
    assert {(x, y) for x, y, *_ in hatched(left)} == places


# The explorer: Python


class Layer(nn.Module):
    """One attention layer, as the chapter builds it."""

    def __init__(self, channels):
        super().__init__()
        self.qkv, self.project = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, tokens):
        q, k, v = (split_heads(x, 3) for x in self.qkv(tokens).chunk(3, dim=-1))
        return self.project(join_heads(attend(q, k, v)))


@pytest.mark.parametrize(("side", "stage", "window"), SOME_SETTINGS)
def test_costs_are_what_pytorch_counts(side, stage, window):
    cost, channels = Cost.of(side, stage, window), 96 * 2 ** (stage - 1)
    layer = Layer(channels).to("meta")
    x = torch.empty(1, cost.tokens, cost.tokens, channels, device="meta")
    windows = window_partition(pad_to_window(x, window), window)
    for tokens, adds, pairs in (
        (windows, cost.adds, cost.pairs),
        (x.flatten(1, 2), cost.global_adds, cost.global_pairs),
    ):
        with FlopCounterMode(display=False) as counter:
            layer(tokens)
        assert counter.get_total_flops() == 2 * adds
        assert pairs == tokens.shape[0] * tokens.shape[1] ** 2
    assert len(windows) == cost.per_side**2
    assert cost.token * cost.tokens == side


def test_the_place_looked_at_lies_in_its_window(explorer):
    for (side, stage, window), place in itertools.product(SOME_SETTINGS, range(1, 785, 61)):
        set_state(explorer, side, stage, window, place)
        y, x, top, left, number = explorer.looked_at()
        pixel = [8 * index + 4 for index in divmod(place - 1, 28)]  # of the photograph
        assert [y, x] == pytest.approx([p * explorer.cost.tokens / 224 for p in pixel])
        tokens = torch.arange(explorer.cost.padded**2).reshape(1, explorer.cost.padded, -1, 1)
        members = window_partition(tokens, window)[number - 1, :, 0]
        assert int(y) * explorer.cost.padded + int(x) in members
        assert members[0] == top * explorer.cost.padded + left


def test_the_sentence_for_swin_t(explorer):
    set_state(explorer, 224, 1, 7)
    assert explorer.describe() == (
        "224 × 224 px, stage 1: 56 × 56 tokens of 4 × 4 px. 64 windows of 7 × 7 tokens = 28 × 28 px. "
        "Pairs of tokens: 153,664 in windows, 9,834,496 globally. "
        "One layer: 145 million multiply-adds in windows, 2,004 million globally, 13.81 times as many."
    )
    set_state(explorer, 128, 4, 7)
    assert "4 × 4 tokens of 32 × 32 px, padded to 7 × 7. 1 window of 7 × 7 tokens" in explorer.describe()


@pytest.mark.parametrize(
    ("image", "sentence"),
    [
        (torch.rand(3, 100, 224), "image has shape (3, 100, 224); it must be (3, H, H) with H at most 224"),
        (torch.rand(1, 64, 64), "image has shape (1, 64, 64); it must be (3, H, H) with H at most 224"),
        (torch.rand(3, 448, 448), "image has shape (3, 448, 448); it must be (3, H, H) with H at most 224"),
        (torch.rand(3, 0, 0), "image has shape (3, 0, 0); it must be (3, H, H) with H at most 224"),
    ],
)
def test_bad_images_get_one_sentence(image, sentence):
    with pytest.raises(ValueError) as problem:
        Windows(image)
    assert str(problem.value) == sentence


def test_the_still_picture_draws_the_state(explorer):
    set_state(explorer, 256, 3, 7, place=12 * 28 + 26)  # 16 x 16 tokens padded to 21 x 21
    photo, window, bars, curve = (
        next(axes for axes in explorer.still().axes if axes.get_title().startswith(title))
        for title in ("16 × 16 tokens, 9 windows", "window 6 of 9", "pairs", "multiply-adds")
    )
    assert np.array_equal(drawn_array(photo), explorer.photo)
    assert photo.images[0].get_extent() == [0, 16, 16, 0]
    assert hatched(photo) == [(0, 16, 16, 5), (16, 0, 5, 21)]
    assert (14, 7, 7, 7) in boxes(photo)
    assert (window.get_xlim(), window.get_ylim()) == ((14, 21), (14, 7))
    assert (14, 7, 1, 1) in boxes(window)
    [point] = [line.get_xydata()[0] for line in photo.lines]
    assert point.tolist() == [51 * 16 / 56, 25 * 16 / 56]
    cost = explorer.cost
    assert [width for _, _, width, _ in boxes(bars)] == [cost.pairs, cost.global_pairs]
    assert texts(bars) == [f"in windows: {cost.pairs:,}", f"globally: {cost.global_pairs:,}"]
    lines = {line.get_label(): list(line.get_ydata()) for line in curve.lines}
    costs = [Cost.of(side, 3, 7) for side in SIDES]
    assert lines["in windows"] == [one.adds for one in costs]
    assert lines["globally"] == [one.global_adds for one in costs]
    marks = [line.get_xydata().tolist() for line in curve.lines if line.get_marker() in ("s", "o")]
    assert marks == [[[256, cost.global_adds]], [[256, cost.adds]]]


# The explorer: the page


def test_the_page_counts_what_python_counts_for_every_setting(page):
    load(page, "windows.js", ["cost"])
    asked = [dict(zip(("side", "stage", "window"), setting, strict=True)) for setting in EVERY_SETTING]
    answers = page.evaluate("(asked) => asked.map((state) => Object.values(cost(state)))", asked)
    assert len(answers) == 27 * 4 * 13
    for setting, answer in zip(EVERY_SETTING, answers, strict=True):
        assert answer == list(vars(Cost.of(*setting)).values()), setting


def test_the_page_says_what_python_says_for_every_setting(page, explorer):
    load(page, "windows.js", ["describe"])
    keys = ("side", "stage", "window")
    asked = [dict(zip(keys, setting, strict=True)) for setting in EVERY_SETTING]
    sentences = page.evaluate("(asked) => asked.map((state) => describe(state))", asked)
    for setting, sentence in zip(EVERY_SETTING, sentences, strict=True):
        set_state(explorer, *setting)
        assert sentence == explorer.describe()


def test_the_page_looks_where_python_looks(page, explorer):
    load(page, "windows.js", ["lookedAt"])
    keys = ("side", "stage", "window", "place")
    places = (1, 28, 300, 463, 757, 784)
    asked = [(*setting, place) for setting in EVERY_SETTING[::5] for place in places]
    states = [dict(zip(keys, state, strict=True)) for state in asked]
    answers = page.evaluate("(states) => states.map((state) => Object.values(lookedAt(state)))", states)
    for state, answer in zip(asked, answers, strict=True):
        set_state(explorer, *state)
        assert answer == list(explorer.looked_at()), state


@pytest.mark.parametrize(("side", "stage", "window"), [(224, 2, 7), (256, 3, 7), (448, 3, 8)])
def test_the_page_draws_the_photograph_and_hatches_the_padding(page, side, stage, window):
    explorer = Windows(IMAGE, side=side, stage=stage, window=window, place=1)
    show_live(page, explorer)
    drawn, cost = canvas_pixels(page).astype(int), explorer.cost
    unit, scale = 300 / cost.padded, 224 / cost.tokens  # PHOTO.side in windows.js
    compared = 0
    for row, column in itertools.product(range(cost.padded), repeat=2):
        inside = all(2 <= place % window < window - 2 for place in (row, column))  # away from lines and mark
        if not inside or max(row, column) < window:
            continue
        y, x = (30 + int((row + 0.5) * unit), 8 + int((column + 0.5) * unit))
        if max(row, column) < cost.tokens:
            top, left = (int((place + 0.5) * scale) for place in (row, column))
            near = explorer.photo[top - 2 : top + 3, left - 2 : left + 3].reshape(-1, 3).astype(int)
            assert np.abs(near - drawn[y, x]).sum(1).min() <= 6, (row, column)
        else:
            around = drawn[y - 5 : y + 6, x - 5 : x + 6].reshape(-1, 3)
            assert np.ptp(around[:, 0]) > 60, (row, column)  # dark strokes on light ground
            assert (np.ptp(around, axis=1) <= 3).mean() > 0.9  # grey, no picture
        compared += 1
    assert compared > 20


def test_the_page_enlarges_the_window_looked_at(page):
    explorer = Windows(IMAGE, side=224, stage=1, window=7, place=14 * 28 + 8)  # window 35: row 4, column 2
    show_live(page, explorer)
    drawn = canvas_pixels(page).astype(int)
    top, left = 4 * 28, 2 * 28
    for row, column in itertools.product(range(28), repeat=2):
        y, x = 30 + row * 6 + 3, 330 + column * 6 + 3  # ONE: 168 canvas pixels for 28 of the photograph
        if row % 4 in (1, 2) and column % 4 in (1, 2) and not (row < 5 and column < 9):
            assert np.abs(drawn[y, x] - explorer.photo[top + row, left + column].astype(int)).sum() <= 6


def test_the_page_marks_the_place_its_window_and_its_token(page):
    show_live(page, Windows(IMAGE, side=224, stage=1, window=7, place=14 * 28 + 8))  # token 29, 15
    drawn, unit = canvas_pixels(page), 300 / 56
    blue = [int(BLUE[i : i + 2], 16) for i in (1, 3, 5)]
    marks = {
        "left edge of the window": (30 + 31.5 * unit, 8 + 14 * unit),
        "upper edge of the window": (30 + 28 * unit, 8 + 17.5 * unit),
        "place": (30 + 29 * unit, 8 + 15 * unit),
        "left edge of the token": (30 + 36, 330 + 24),
        "upper edge of the token": (30 + 24, 330 + 36),
    }
    for name, (y, x) in marks.items():
        assert (drawn[round(y) - 1 : round(y) + 1, round(x) - 1 : round(x) + 1] == blue).all(), name


def test_the_page_draws_bars_in_proportion_and_marks_on_the_curves(page):
    explorer = Windows(IMAGE, side=256, stage=3, window=7)
    show_live(page, explorer)
    drawn, cost = canvas_pixels(page).astype(int), explorer.cost
    blue, orange = ([int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in (BLUE, ORANGE))
    lengths = [
        (drawn[y, 330:520] == color).all(-1).sum() for y, color in ((262 + 11, blue), (300 + 11, orange))
    ]
    assert lengths[1] == 168
    assert abs(lengths[0] - 168 * cost.pairs / cost.global_pairs) <= 1
    x = 586 + 162 * math.log(256 / 64) / math.log(896 / 64)  # PLOT in windows.js
    for adds, color, beside in ((cost.adds, blue, 3), (cost.global_adds, orange, 4)):
        y = 30 + 262 * (12 - math.log10(adds)) / (12 - math.log10(4e6))
        assert (drawn[round(y) + (3 if color is orange else -3), round(x) - beside + 2] == color).all()


def test_the_page_draws_the_curves(page):
    show_live(page, Windows(IMAGE, side=224, stage=1, window=7))
    drawn = canvas_pixels(page).astype(int)
    found = {BLUE: 0, ORANGE: 0}
    for side in SIDES:
        x = 586 + 162 * math.log(side / 64) / math.log(896 / 64)  # PLOT in windows.js
        cost = Cost.of(side, 1, 7)
        for color, adds in ((BLUE, cost.adds), (ORANGE, cost.global_adds)):
            y = 30 + 262 * (12 - math.log10(adds)) / (12 - math.log10(4e6))
            around = drawn[round(y) - 2 : round(y) + 3, round(x) - 1 : round(x) + 2]
            rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
            found[color] += np.abs(around - rgb).sum(-1).min() <= 30
    assert found[BLUE] == len(SIDES)
    assert found[ORANGE] > len(SIDES) / 2  # the line is dashed


def test_pointing_chooses_the_place(page):
    show_live(page, Windows(IMAGE, side=256, stage=3, window=7))  # 16 tokens padded to 21
    box = page.locator("canvas").bounding_box()
    slider = page.get_by_role("slider", name="Place looked at")
    shown = 300 * 16 / 21
    page.mouse.move(box["x"] + 8 + shown * 25.5 / 28, box["y"] + 30 + shown * 12.5 / 28)
    assert slider.get_attribute("aria-valuetext") == "place 362, in window 6 of 9"
    page.mouse.move(box["x"] + 8 + shown * 28.5 / 28, box["y"] + 150)  # on the padding
    assert slider.get_attribute("aria-valuetext") == "place 362, in window 6 of 9"
    page.mouse.move(box["x"] + 3, box["y"] + 150)  # beside the photograph
    assert slider.get_attribute("aria-valuetext") == "place 362, in window 6 of 9"


def test_other_sizes_show_the_same_place(page):
    show_live(page, Windows(IMAGE))
    before = canvas_pixels(page)
    for name, presses in {"Image side": 3, "Window size M": 5, "Stage": 2}.items():
        page.get_by_role("slider", name=name).focus()
        for key in ("ArrowRight", "ArrowLeft"):
            for _ in range(presses):
                page.keyboard.press(key)
    assert (canvas_pixels(page) == before).all()


def test_sliders_speak_in_words(page):
    show_live(page, Windows(IMAGE, side=224, stage=2, window=7, place=28))
    spoken = [slider.get_attribute("aria-valuetext") for slider in page.get_by_role("slider").all()]
    assert spoken == [
        "224 pixels, 28 by 28 tokens",
        "stage 2, a token covers 8 by 8 pixels",
        "7 by 7 tokens, 16 windows",
        "place 28, in window 4 of 16",
    ]
