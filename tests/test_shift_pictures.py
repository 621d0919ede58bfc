"""Chapter 4's figures draw the data they were given; its explorers compute what the package computes."""

import base64
from itertools import product

import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, show_live
from matplotlib.colors import to_rgb

from swin_edu.book import drawings
from swin_edu.book.drawings.shift import REGIONS, cuts, mask_matrix
from swin_edu.book.explorers import Neighbours, ShiftMask, Steps
from swin_edu.book.explorers.shift_mask import Plan, percent
from swin_edu.book.images import sample_image
from swin_edu.book.style import ORANGE, figure
from swin_edu.shift import cyclic_shift, region_ids, shift_mask
from swin_edu.windows import window_partition

IMAGE = sample_image()
SMALL = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def drawn_array(axes, index=0):
    return np.asarray(axes.images[index].get_array())


def hatched(axes):
    return sorted(patch.get_bbox().bounds for patch in axes.patches if patch.get_hatch())


def edges(axes):
    """Return the places of all vertical and of all horizontal borders of windows."""
    found = [[], []]
    for collection in axes.collections:
        if tuple(collection.get_color()[0][:3]) != to_rgb(ORANGE):
            continue
        for (x0, y0), (x1, y1) in collection.get_segments():
            found[int(y0 == y1 and x0 != x1)].append(float(y0 if y0 == y1 else x0))
    return [sorted(set(values)) for values in found]


# Figures


@pytest.mark.parametrize("shift", [0, 1, 2, 3])
def test_cuts(shift):
    pieces = cuts(8, 4, shift)
    assert [first for first, _ in pieces] == sorted({0, *range(shift, 8, 4)})
    assert pieces[-1][1] == 8
    assert all(end == start for (_, end), (start, _) in zip(pieces, pieces[1:], strict=False))


def test_at_a_glance():
    axes = drawings.shift_at_a_glance(SMALL, 8, 4, 1, shift_mask(8, 8, 4, 1)[-1]).axes
    plain, moved, rolled, _ = axes
    assert edges(plain) == [[0, 16, 32]] * 2
    assert edges(moved) == [[0, 4, 20, 32]] * 2
    assert edges(rolled) == [[0, 16, 32]] * 2
    picture = SMALL.permute(1, 2, 0).numpy()
    assert np.array_equal(drawn_array(rolled), np.roll(picture, (-4, -4), (0, 1)))
    assert texts(moved) == texts(rolled) == [str(n) for n in range(1, 10)]
    for before, after in zip(moved.texts, rolled.texts, strict=True):
        places = [np.array(text.get_position()) for text in (before, after)]
        assert np.allclose((places[0] - 4) % 32, places[1])
    assert [axis.get_title() for axis in axes[:3]] == [
        "1  windows: 4",
        "2  moved by 1 tokens: 9",
        "3  the map rolled: 4 again",
    ]
    assert hatched(rolled) == [(0, 28, 28, 4), (28, 0, 4, 32)]


@pytest.mark.parametrize("chosen", [0, 1, 2, 3])
def test_mask_matrix_draws_regions_where_true_and_hatching_elsewhere(chosen):
    ids = window_partition(region_ids(8, 8, 2)[None, :, :, None], 4)[chosen, :, 0]
    mask = shift_mask(8, 8, 4, 2)[chosen]
    _, (axes,) = figure(3, 3)
    mask_matrix(axes, mask, ids)
    drawn = axes.images[0].get_array()
    assert np.array_equal(np.ma.getmaskarray(drawn), ~mask.numpy())
    for row, column in mask.nonzero().tolist():
        assert drawn[row, column] == ids[row]
    assert hatched(axes) == [(0, 0, 16, 16)]
    strips = [patch for patch in axes.patches if patch.get_bbox().bounds[0] < 0]
    for strip in strips:
        _, y, _, height = strip.get_bbox().bounds
        regions = set(ids[int(y) : int(y + height)].tolist())
        assert len(regions) == 1
        assert strip.get_facecolor()[:3] == to_rgb(REGIONS[regions.pop()])
    assert sum(strip.get_bbox().bounds[3] for strip in strips) == 16
    assert set(map(int, texts(axes))) == set(ids.tolist())


def test_token_maps_dot_what_is_true():
    chosen = torch.zeros(4, 6, dtype=torch.bool)
    chosen[1, 5] = chosen[3, 0] = True
    first, _ = drawings.token_maps({"a": chosen, "b": ~chosen}, place=(3, 0), window=2).axes
    assert {(line.get_xdata()[0], line.get_ydata()[0]) for line in first.lines} == {(5.5, 1.5), (0.5, 3.5)}
    assert first.get_title() == "a: 2 of 24"
    assert first.patches[-1].get_xy() == (0, 3)


def test_ragged_windows_are_padded_to_whole_ones():
    left, right = drawings.ragged_windows(SMALL, 8, 4, 1).axes
    assert texts(left)[:3] == ["1 × 1", "1 × 4", "1 × 3"]
    assert edges(left) == [[0, 4, 20, 32]] * 2
    shapes = [np.asarray(image.get_array()).shape[:2] for image in right.images]
    assert shapes == [(4 * h, 4 * w) for h, w in product((1, 4, 3), repeat=2)]
    frames = [patch for patch in right.patches if not patch.get_fill() and not patch.get_hatch()]
    assert [frame.get_bbox().size.tolist() for frame in frames] == [[16, 16]] * 9
    padding = sum(w * h for _, _, w, h in hatched(right))
    assert padding == 9 * 16 * 16 - 32 * 32


def test_token_moves_shows_one_token_three_times():
    before, during, after = drawings.token_moves(SMALL, 4, 4, 1, (7, 2)).axes
    assert [axis.get_title().splitlines()[1] for axis in (before, during, after)] == [
        "16 tokens bright; row 7, column 2",
        "12 tokens bright; row 6, column 1",
        "12 tokens bright; row 7, column 2",
    ]
    assert [axis.patches[-1].get_xy() for axis in (before, during, after)] == [(8, 28), (4, 24), (8, 28)]
    assert np.array_equal(np.roll(drawn_array(after), (-4, -4), (0, 1)), drawn_array(during))
    assert hatched(after) == [(4 * x, 0, 4, 4) for x in range(1, 5)]
    assert hatched(during) == [(4 * x, 28, 4, 4) for x in range(4)]


def test_label_maps_write_every_number():
    labels = torch.arange(12).reshape(3, 4)
    [axes] = drawings.label_maps({"labels": labels}, window=2).axes
    assert texts(axes) == [str(n) for n in range(12)]
    colors = [patch.get_facecolor() for patch in axes.patches]
    assert len(set(colors[:8])) == 8  # the same colour comes paler the second time


def test_mask_kinds_letters_and_shares():
    masks = shift_mask(8, 8, 4, 2)
    ids = window_partition(region_ids(8, 8, 2)[None, :, :, None], 4)[..., 0]
    axes = drawings.mask_kinds(torch.tensor([[0, 1], [2, 3]]), masks, ids).axes
    assert texts(axes[0]) == ["A", "B", "C", "D"]
    assert [axis.get_title() for axis in axes[1:]] == [
        "A: 0 % masked",
        "B: 50 % masked",
        "C: 50 % masked",
        "D: 75 % masked",
    ]
    for axis, mask in zip(axes[1:], masks, strict=True):
        assert np.array_equal(np.ma.getmaskarray(axis.images[0].get_array()), ~mask.numpy())


def test_masked_shares_and_the_lone_square():
    [axes] = drawings.masked_shares([7, 14], [0.0, 43.04], without_rule=74.0).axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[7, 0], [14, 43.04]], [[7, 74]]]
    assert [text.split(":")[0].strip() for text in texts(axes)] == ["0.0", "43.0", "74.0"]


def test_leak_draws_each_way():
    leads = torch.arange(0.0, 11.0)
    [axes] = drawings.leak(leads, {"a": leads / 10, "b": 0 * leads}).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [(leads / 10).tolist(), [0.0] * 11]
    assert texts(axes) == ["a", "b"]


def test_ways_to_forbid_hatches_the_forbidden():
    rows = {"a": torch.tensor([0.75, 0.25]), "b": torch.tensor([0.5, 0.125])}
    for axis, row in zip(
        drawings.ways_to_forbid(rows, torch.tensor([True, False])).axes, rows.values(), strict=True
    ):
        assert [bar.get_height() for bar in axis.patches] == row.tolist()
        assert [bool(bar.get_hatch()) for bar in axis.patches] == [False, True]
        assert axis.get_title().endswith(f"sum {row.sum():.2f}")


def test_padding_orders_hatch_padding():
    [axes] = drawings.padding_orders({"a": [0, 1, 2, None], "b": [2, None, 0, 1]}, window=2).axes
    assert texts(axes) == ["a", "0", "1", "2", "b", "2", "0", "1"]
    assert [(x, y) for x, y, _, _ in hatched(axes)] == [(1, 1.5), (3.5, 0)]


def test_noticed_darkens_the_rest():
    chosen = torch.zeros(8, 8, dtype=torch.bool)
    chosen[2:4, 5] = True
    [axes] = drawings.noticed(SMALL, {"a": chosen}, place=(2, 5)).axes
    picture = SMALL.permute(1, 2, 0).numpy()
    assert np.allclose(drawn_array(axes)[8:16, 20:24], picture[8:16, 20:24])
    assert np.allclose(drawn_array(axes)[:8], 0.35 * picture[:8])
    assert axes.get_title() == "a\n2 tokens"
    assert axes.patches[-1].get_xy() == (20, 8)


def test_token_shift_writes_owners():
    [axes] = drawings.token_shift({"a": torch.tensor([[0, -1], [1, 0]])}).axes
    assert texts(axes) == ["0", "–", "1", "0"]


# Neighbours


def noticing(tokens, shift, place):
    """Who notices: plain, moved, both, by the package's windows and mask; and who is masked."""
    numbers = torch.arange(tokens**2).reshape(1, tokens, tokens, 1)
    whole = torch.zeros(tokens**2, tokens**2, dtype=torch.bool)
    plain, moved, together = whole.clone(), whole.clone(), whole.clone()
    for window in window_partition(numbers, 7)[..., 0]:
        plain[window[:, None], window] = True
    rolled = window_partition(cyclic_shift(numbers, shift), 7)[..., 0]
    for window, mask in zip(rolled, shift_mask(tokens, tokens, 7, shift), strict=True):
        moved[window[:, None], window] = mask
        together[window[:, None], window] = True
    start = place[0] * tokens + place[1]
    both = moved[plain[start]].any(0)
    return [
        x.reshape(tokens, tokens) for x in (plain[start], moved[start], both, together[start] & ~moved[start])
    ]


@pytest.mark.parametrize(
    ("stage", "shift", "place"),
    [
        (2, 3, (13, 20)),
        (2, 3, (0, 27)),
        (2, 5, (27, 2)),
        (3, 1, (7, 0)),
        (3, 6, (13, 13)),
        (3, 0, (3, 9)),
        (4, 0, (6, 6)),
    ],
)
def test_neighbours_are_those_of_the_package(stage, shift, place):
    explorer = Neighbours(IMAGE, stage=stage, shift=shift, row=place[0], column=place[1])
    *expected, masked = noticing(explorer.tokens, shift, place)
    for area, count, truth in zip(explorer.areas(), explorer.counts(), expected, strict=True):
        (top, bottom), (left, right) = area
        found = torch.zeros_like(truth)
        found[top:bottom, left:right] = True
        assert torch.equal(found, truth)
        assert count == truth.sum()
    assert explorer.masked() == masked.nonzero().tolist()


def test_neighbours_equal_python_for_every_setting(page):
    load(page, "neighbours.js", ["spans", "areas", "masked", "describe"])
    explorer = Neighbours(IMAGE)
    asked, expected = [], []
    for stage in range(1, 5):
        explorer.stage = stage
        for shift, place in product(range(explorer.limits()["shift"] + 1), range(explorer.tokens)):
            explorer.shift = shift
            asked.append([place, explorer.tokens, shift])
            expected.append([list(span) for span in explorer.spans(place)])
    answers = page.evaluate("(asked) => asked.map((arguments_) => spans(...arguments_))", asked)
    assert len(asked) == 7 * (56 + 28 + 14) + 7
    assert answers == expected
    states = [
        (1, 3, 0, 55),
        (1, 6, 55, 0),
        (2, 3, 13, 20),
        (2, 0, 27, 27),
        (3, 3, 0, 0),
        (3, 2, 13, 1),
        (4, 0, 2, 5),
    ]
    for state in (dict(zip(("stage", "shift", "row", "column"), values, strict=True)) for values in states):
        explorer = Neighbours(IMAGE, **state)
        said, hidden = page.evaluate("(state) => [describe(state), masked(state)]", state)
        assert said == explorer.describe()
        assert hidden == explorer.masked()


def orange_column(drawn, x):
    """Tell whether the borders of windows run down the panel at `x`."""
    red, green, blue = drawn[32:268, round(x) - 1 : round(x) + 1].reshape(-1, 3).T
    return ((red > 130) & (green > 80) & (blue < 0.6 * red)).mean() > 0.25


@pytest.mark.parametrize("state", [(2, 3, 0, 5), (3, 2, 13, 6)])
def test_neighbours_draw_who_notices_bright(page, state):
    explorer = Neighbours(IMAGE, **dict(zip(("stage", "shift", "row", "column"), state, strict=True)))
    show_live(page, explorer)
    drawn, unit, patch = canvas_pixels(page).astype(int), 240 / explorer.tokens, 224 // explorer.tokens
    still = explorer.still().axes
    hidden = {tuple(place) for place in explorer.masked()}
    for index, (left, area) in enumerate(zip((8, 260, 512), explorer.areas(), strict=True)):
        (top, bottom), (first, last) = area
        for row, column in product(range(explorer.tokens), repeat=2):
            if (row, column) == state[2:] or (index == 1 and (row, column) in hidden):
                continue
            y, x = (30 + (row + 0.5) * unit, left + (column + 0.5) * unit)
            inside = top <= row < bottom and first <= column < last
            spot = explorer.photo[
                int((row + 0.5) * patch) - 2 : int((row + 0.5) * patch) + 2,
                int((column + 0.5) * patch) - 2 : int((column + 0.5) * patch) + 2,
            ].reshape(-1, 3)
            expected = spot * (1 if inside else 0.4)
            assert np.abs(expected - drawn[int(y), int(x)]).sum(1).min() <= 9, (index, row, column)
            shown = drawn_array(still[index])[int((row + 0.5) * patch), int((column + 0.5) * patch)]
            assert np.abs(expected - shown).sum(1).min() <= 3
    assert [axis.get_title().split()[-1] for axis in still] == [str(count) for count in explorer.counts()]
    for index, left in enumerate((8, 260, 512)):
        borders = [0, *range(explorer.shift if index == 1 else 0, explorer.tokens, 7), explorer.tokens]
        assert edges(still[index]) == [sorted({border * patch for border in borders})] * 2
        inner = [token for token in range(1, explorer.tokens) if orange_column(drawn, left + token * unit)]
        assert inner == sorted(set(borders) - {0, explorer.tokens})


def test_pointing_chooses_a_token_in_every_panel(page):
    show_live(page, Neighbours(IMAGE, stage=2))
    box = page.locator("canvas").bounding_box()
    for left, row, column in ((8, 3, 9), (260, 27, 0), (512, 0, 27)):
        unit = 240 / 28
        page.mouse.move(box["x"] + left + (column + 0.5) * unit, box["y"] + 30 + (row + 0.5) * unit)
        said = page.locator("p").inner_text()
        assert f"at row {row}, column {column} is" in said


def test_another_stage_shows_the_same_place(page):
    show_live(page, Neighbours(IMAGE, stage=2, row=13, column=20))
    page.get_by_role("slider", name="Stage").focus()
    page.keyboard.press("ArrowRight")
    assert "at row 6, column 10 is" in page.locator("p").inner_text()
    page.keyboard.press("ArrowLeft")
    assert "at row 12, column 20 is" in page.locator("p").inner_text()


# ShiftMask

SIDES = range(2, 17)
MASK_SETTINGS = [(window, shift) for window in range(2, 9) for shift in range(window)]


def test_shift_mask_equals_torch_for_every_setting(page):
    load(page, "shift_mask.js", ["planOf", "idsOf", "maskOf"])
    packed = """([height, width, settings]) => settings.map(([window, shift]) => {
      const plan = planOf({ height, width, window, shift }), bytes = [];
      let byte = 0, filled = 0;
      for (let chosen = 1; chosen <= plan.count; chosen++)
        for (const allowed of maskOf(idsOf(chosen, plan))) {
          byte = 2 * byte + allowed;
          if (++filled === 8) bytes.push(byte), (byte = filled = 0);
        }
      if (filled) bytes.push(byte << (8 - filled));
      const parts = [];
      for (const byte of bytes) parts.push(String.fromCharCode(byte));
      return [plan.height, plan.width, plan.down, plan.right, plan.count, btoa(parts.join(""))];
    })"""
    compared = 0
    for height, width in product(SIDES, repeat=2):
        answers = page.evaluate(packed, [height, width, MASK_SETTINGS])
        for (window, shift), (*sizes, bits) in zip(MASK_SETTINGS, answers, strict=True):
            plan = Plan.of(height, width, window, shift)
            assert sizes == [plan.height, plan.width, plan.down, plan.right, plan.count]
            expected = np.packbits(plan.mask().numpy()).tobytes()
            assert base64.b64decode(bits) == expected, (height, width, window, shift)
            compared += plan.count
    assert compared > 40_000


@pytest.mark.parametrize(("height", "width"), [(8, 12), (7, 7), (2, 16), (16, 5), (9, 14)])
def test_shift_mask_says_what_python_says(page, height, width):
    load(page, "shift_mask.js", ["describe", "limits"])
    explorer = ShiftMask(IMAGE, height=height, width=width)
    asked, expected = [], []
    for window, shift in MASK_SETTINGS:
        with explorer.hold_trait_notifications():
            explorer.window, explorer.shift = window, shift
            explorer.chosen, explorer.token = 1 + 7 * shift % 64, 13 * shift % 64
        asked.append(explorer.state)
        expected.append([explorer.describe(), explorer.limits()])
    answers = page.evaluate("(asked) => asked.map((state) => [describe(state), limits(state)])", asked)
    assert answers == expected


@pytest.mark.parametrize(
    ("masked", "total", "said"),
    [(9, 16, "56.3"), (0, 4, "0.0"), (1, 16, "6.3"), (1, 3, "33.3"), (2, 3, "66.7")],
)
def test_percent_rounds_half_up(masked, total, said):
    assert percent(torch.arange(total) >= masked) == said


def test_plan_pads_and_leaves_the_shift_off():
    assert Plan.of(5, 16, 8, 3) == Plan(8, 16, 8, 0, 3)
    assert Plan.of(9, 4, 4, 2) == Plan(12, 4, 4, 2, 0)
    assert (Plan.of(9, 8, 4, 1).columns, Plan.of(9, 8, 4, 1).count) == (2, 6)


@pytest.mark.parametrize("state", [(8, 12, 4, 2, 6), (14, 9, 7, 3, 4), (6, 6, 2, 1, 9), (5, 16, 8, 3, 2)])
def test_shift_mask_draws_the_mask_and_the_still_too(page, state):
    explorer = ShiftMask(
        IMAGE, token=0, **dict(zip(("height", "width", "window", "shift", "chosen"), state, strict=True))
    )
    show_live(page, explorer)
    drawn = canvas_pixels(page).astype(int)
    mask, ids = (x[explorer.chosen - 1] for x in (explorer.plan.mask(), explorer.plan.ids()))
    cell = 336 / len(mask)
    colors = [[89, 163, 205], [239, 193, 89], [89, 192, 164], [222, 168, 198]]
    for row, column in product(range(2, len(mask)), range(len(mask))):
        spot = drawn[int(48 + (row + 0.5) * cell), int(404 + (column + 0.5) * cell)]
        free = np.abs(spot - colors[int(ids[row])]).sum() < 6
        assert free == mask[row, column], (row, column)
    left, right = explorer.still().axes
    assert np.array_equal(np.ma.getmaskarray(right.images[0].get_array()), ~mask.numpy())
    plan = explorer.plan
    rolled = np.roll(
        np.pad(
            explorer.photo[: 7 * explorer.height, : 7 * explorer.width],
            ((0, 7 * (plan.height - explorer.height)), (0, 7 * (plan.width - explorer.width)), (0, 0)),
            constant_values=208,
        ),
        (-7 * plan.down, -7 * plan.right),
        (0, 1),
    )
    assert np.array_equal(drawn_array(left), rolled)
    unit, wrong, compared = 352 / max(plan.height, plan.width), 0, 0
    for row, column in product(range(plan.height - plan.down), range(plan.width - plan.right)):
        if row // plan.window * plan.columns + column // plan.window + 1 == explorer.chosen:
            continue
        spot = drawn[int(30 + (row + 0.5) * unit), int(8 + (column + 0.5) * unit)]
        token = rolled[7 * row + 2 : 7 * row + 5, 7 * column + 2 : 7 * column + 5].reshape(-1, 3).astype(int)
        wrong += ((token.min(0) - 20 > spot) | (token.max(0) + 20 < spot)).any()
        compared += 1
    assert compared >= plan.window**2 // 2
    assert wrong <= len(left.texts)  # under the numbers of the regions


def test_shift_mask_marks_window_and_token_in_the_still():
    explorer = ShiftMask(IMAGE, height=8, width=12, window=4, shift=2, chosen=6, token=9)
    left, right = explorer.still().axes
    assert [patch.get_bbox().bounds for patch in left.patches[-3::2]] == [(56, 28, 28, 28), (63, 42, 7, 7)]
    assert right.patches[-1].get_bbox().bounds == (0, 9, 16, 1)
    dark = [patch.get_xy() for patch in left.patches if patch.get_alpha() == 0.6]
    assert len(dark) == 12
    assert not {(56, 42), (63, 42), (56, 49), (63, 49)} & set(dark)


def test_pointing_chooses_window_and_token(page):
    show_live(page, ShiftMask(IMAGE, height=8, width=8, window=4, shift=2, chosen=1, token=0))
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 8 + 5.5 * 44, box["y"] + 30 + 7.5 * 44)
    said = page.locator("p").inner_text()
    assert "Window 4 holds regions 0, 1, 2, 3" in said
    assert "Token 13, of region 2, may look at 4 of 16." in said
    page.mouse.move(box["x"] + 500, box["y"] + 48 + 3.5 * 21)
    assert "Token 3, of region 1" in page.locator("p").inner_text()


def test_shift_is_held_at_0_where_one_window_covers_the_map(page):
    show_live(page, ShiftMask(IMAGE, height=8, width=8, window=7, shift=3))
    height, width = (page.get_by_role("slider", name=name) for name in ("Height", "Width"))
    for slider in (height, width):
        slider.focus()
        page.keyboard.press("ArrowLeft")
    shift = page.get_by_role("slider", name="Shift s, tokens")
    assert shift.get_attribute("aria-valuetext") == "0 down and 0 right, 0.0 percent of pairs masked"
    assert shift.get_attribute("max") == "0"
    width.focus()
    page.keyboard.press("ArrowRight")
    assert shift.get_attribute("aria-valuetext").startswith("0 down and 3 right")


# Steps

STEP_STATES = [
    {"step": step, "shift": shift, "mask": mask}
    for step, shift, mask in product(range(25), range(4), range(2))
]


def mean_of_those_looked_at(explorer):
    """The mean tile of each ragged window, or, without a mask, of each window of the rolled map; by loops."""
    tiles = explorer.photo.astype(float).reshape(8, 28, 8, 28, 3).swapaxes(1, 2)
    result = np.empty_like(tiles)
    for row, column in product(range(8), repeat=2):

        def looks(here, there):
            if explorer.mask:
                return (here - explorer.shift) // 4 == (there - explorer.shift) // 4
            return (here - explorer.shift) % 8 // 4 == (there - explorer.shift) % 8 // 4

        seen = [tiles[y, x] for y, x in product(range(8), repeat=2) if looks(row, y) and looks(column, x)]
        result[row, column] = np.mean(seen, axis=0)
    return result.swapaxes(1, 2).reshape(224, 224, 3)


@pytest.mark.parametrize(("shift", "mask"), list(product(range(4), range(2))))
def test_steps_attend_as_the_package_does_in_python_and_on_the_page(page, shift, mask):
    explorer = Steps(IMAGE, shift=shift, mask=mask)
    expected = mean_of_those_looked_at(explorer)
    assert np.allclose(explorer.attended(), expected, rtol=0, atol=1e-3)
    load(page, "steps.js", ["attended", "unpack", "decode"])
    found = page.evaluate(
        """([arrays, state]) => {
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        return [...attended(state, unpack(arrays)).data]; }""",
        [explorer.stored()["arrays"], explorer.state],
    )
    assert np.abs(np.array(found).reshape(224, 224, 3) - expected).max() <= 0.5 + 1e-9


def test_steps_equal_python_for_every_setting(page):
    load(page, "steps.js", ["arrangement", "place", "describe"])
    explorer = Steps(IMAGE)
    asked, expected = [], []
    for number, state in enumerate(STEP_STATES):
        state = {**state, "row": number % 8, "column": 5 * number % 8}
        with explorer.hold_trait_notifications():
            for name, value in state.items():
                setattr(explorer, name, value)
        asked.append(state)
        windows, pieces = explorer.gaps
        arranged = {"moved": explorer.moved, "windows": windows, "pieces": pieces}
        expected.append([arranged, list(explorer.place), explorer.describe()])
    question = "(asked) => asked.map((state) => [arrangement(state), place(state), describe(state)])"
    assert page.evaluate(question, asked) == expected


@pytest.mark.parametrize(
    ("row", "column", "shift", "mask", "count"),
    [(7, 4, 2, 1, 8), (0, 0, 2, 1, 4), (0, 0, 2, 0, 16), (3, 4, 2, 1, 16), (5, 7, 1, 1, 9)],
)
def test_steps_count_whom_a_token_may_look_at(row, column, shift, mask, count):
    explorer = Steps(IMAGE, row=row, column=column, shift=shift, mask=mask)
    assert explorer.looks_at() == count
    assert f"may look at {count} tokens" in explorer.describe()


@pytest.mark.parametrize(
    "state",
    [
        {"step": 0, "shift": 2, "mask": 1},
        {"step": 3, "shift": 2, "mask": 1},
        {"step": 8, "shift": 3, "mask": 1},
        {"step": 12, "shift": 2, "mask": 1},
        {"step": 12, "shift": 2, "mask": 0},
        {"step": 14, "shift": 1, "mask": 1},
        {"step": 18, "shift": 2, "mask": 1},
        {"step": 22, "shift": 2, "mask": 0},
        {"step": 24, "shift": 2, "mask": 1},
    ],
)
def test_steps_draw_the_map_as_the_still_does(page, state):
    explorer = Steps(IMAGE, row=0, column=0, **state)
    show_live(page, explorer)
    drawn, still = canvas_pixels(page).astype(int), explorer.still().axes[0]
    shown = drawn_array(still).astype(int)
    assert np.array_equal(shown, explorer.shown())
    boxes = [patch.get_bbox() for patch in still.patches]  # marks and hatching lie over the map
    compared = 0
    for y, x in product(range(5, len(shown) - 5, 6), repeat=2):
        if any(b.x0 - 4 <= x <= b.x1 + 4 and b.y0 - 4 <= y <= b.y1 + 4 for b in boxes):
            continue
        spot = drawn[int(10 + 1.5 * (y + 0.5)), int(10 + 1.5 * (x + 0.5))]
        near = shown[y - 1 : y + 2, x - 1 : x + 2].reshape(-1, 3)
        assert np.abs(near - spot).sum(1).min() <= 12, (y, x)
        compared += 1
    assert compared > 300
    hatching = [patch.get_bbox() for patch in still.patches if patch.get_hatch()]
    rolled = explorer.moved == explorer.shift * 28 > 0
    area = sum(box.width * box.height for box in hatching) / 28**2
    assert area == (64 - (8 - explorer.shift) ** 2 if rolled else 0)
    for box in hatching:
        ys, xs = (np.arange(int(low) + 4, int(high) - 4) for low, high in (box.intervaly, box.intervalx))
        here = np.ix_(*((10 + 1.5 * (places + 0.5)).astype(int) for places in (ys, xs)))
        there = np.ix_(ys, xs)
        assert np.abs(drawn[here] - shown[there]).mean() > 15, box
    marked = still.patches[-1].get_xy()
    spot = [int(10 + 1.5 * value) for value in marked]
    assert np.abs(drawn[spot[1], spot[0] + 20] - [0, 114, 178]).sum() < 60


def test_steps_keep_what_they_computed_for_each_photograph_and_setting(page):
    load(page, "steps.js", ["attendedPicture", "attended", "unpack", "decode"])
    differences = page.evaluate(
        """(stored) => {
        const photographs = stored.map((arrays) => {
          for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
          return unpack(arrays);
        });
        const differences = [];
        for (const round of [1, 2])
          for (const data of photographs)
            for (const state of [{ shift: 2, mask: 1 }, { shift: 2, mask: 0 }, { shift: 1, mask: 1 }]) {
              const canvas = attendedPicture(state, data), truth = attended(state, data).data;
              const pixels = canvas.getContext("2d").getImageData(0, 0, 224, 224).data;
              let sum = 0;
              for (let i = 0; i < 224 * 224; i++) sum += Math.abs(pixels[4 * i] - truth[3 * i]);
              differences.push(sum);
            }
        return differences; }""",
        [Steps(image).stored()["arrays"] for image in (IMAGE, 1 - IMAGE)],
    )
    assert differences == [0] * 12


def test_pointing_marks_a_token_where_it_is_now(page):
    show_live(page, Steps(IMAGE, step=12, shift=2, row=0, column=0))
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 10 + 1.5 * 14, box["y"] + 10 + 1.5 * (5.5 * 28 + 16))
    assert "at first in row 7, column 2, is in row 5, column 0" in page.locator("p").inner_text()


@pytest.mark.parametrize("kind", [Neighbours, ShiftMask, Steps])
def test_other_images_are_refused(kind):
    with pytest.raises(
        ValueError, match=r"image has shape \(3, 100, 224\); the explorer takes \(3, 224, 224\)"
    ):
        kind(torch.rand(3, 100, 224))
