"""The drawings and the explorer of chapter 7 show what they were given, and what the blocks do."""

import itertools

import matplotlib as mpl
import numpy as np
import pytest
import torch
import traitlets
from browser import canvas_pixels, load, show_live

from swin_edu.block import shifted_window_attention
from swin_edu.book import drawings, style
from swin_edu.book.explorers import Reach
from swin_edu.book.explorers.reach import DEPTHS, Block
from swin_edu.book.images import sample_image
from swin_edu.hierarchy import merge_neighbours

IMAGE = sample_image()
BLOCKS = range(sum(DEPTHS) + 1)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def drawn_array(axes, index=0):
    return np.ma.filled(axes.images[index].get_array(), np.nan)


def color_of(patch):
    return mpl.colors.to_hex(patch.get_facecolor())


def test_object_sizes_counts_tokens_along_the_longer_side():
    left, right = drawings.object_sizes(
        IMAGE, {"tree": (10, 20, 32, 16), "lake": (0, 0, 4, 64)}, window=7
    ).axes
    lines = [line.get_ydata().tolist() for line in right.lines]
    assert lines == [[8, 4, 2, 1], [16, 8, 4, 2]]
    assert {patch.get_bbox().bounds for patch in left.patches} == {(10, 20, 32, 16), (0, 0, 4, 64)}
    assert texts(left) == ["A", "B"]
    assert texts(right)[1:] == ["A  tree, 32 px", "B  lake, 64 px"]
    [band] = right.patches
    assert (band.get_y(), band.get_height()) == (2, 5)


def test_toy_merge_gives_a_number_the_same_colour_on_both_sides():
    x = torch.arange(16).reshape(4, 4)
    left, right = drawings.toy_merge(x, merge_neighbours(x[None, ..., None]).reshape(4, 4)).axes
    sides = []
    for axes in (left, right):
        cells = [patch for patch in axes.patches if patch.get_fill()]
        sides.append(dict(zip(texts(axes)[:16], map(color_of, cells), strict=True)))
    assert sides[0] == sides[1]
    assert [int(text) for text in texts(right)[:16]] == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]


def test_merge_orders_colours_numbers_by_token():
    tokens = torch.arange(8).reshape(2, 2, 2)
    orders = {"one": [0, 1, 4, 5, 2, 3, 6, 7], "other": [7, 6, 5, 4, 3, 2, 1, 0]}
    left, right = drawings.merge_orders(tokens, orders).axes
    colors = dict(zip(texts(left), map(color_of, left.patches), strict=True))
    assert [text.get_text() for text in sorted(left.texts, key=lambda text: text.get_position()[::-1])] == [
        str(number) for number in range(8)
    ]
    assert [text for text in texts(right) if text.isdigit()] == [str(n) for o in orders.values() for n in o]
    numbers = [text for text in texts(right) if text.isdigit()]
    assert [color_of(patch) for patch in right.patches] == [colors[number] for number in numbers]
    assert len(set(colors.values())) == 4
    assert colors["0"] == colors["1"] != colors["2"]
    assert [text for text in texts(right) if not text.isdigit()] == list(orders)


def test_merging_on_photo_draws_the_four_neighbours_down_first():
    tokens, merged = torch.randn(56, 56, 96), torch.randn(28, 28, 192)
    drawn = drawings.merging_on_photo(IMAGE, tokens, merged, row=8, column=12)
    axes = {axis.get_label(): axis for axis in drawn.axes}
    four = [tokens[16, 24], tokens[17, 24], tokens[16, 25], tokens[17, 25]]
    for name, vector in zip(
        [*(f"vector {i}" for i in range(4)), "merged"], [*four, merged[8, 12]], strict=True
    ):
        assert np.array_equal(drawn_array(axes[name]).ravel(), vector.numpy())
    photo = axes["photo"]
    assert np.array_equal(drawn_array(photo), IMAGE[:, 52:84, 84:116].permute(1, 2, 0).numpy())
    assert photo.patches[-1].get_bbox().bounds == (12, 12, 8, 8)
    places = {text.get_text(): text.get_position() for text in photo.texts}
    assert places == {"1": (14, 14), "2": (14, 18), "3": (18, 14), "4": (18, 18)}


def test_padded_map_hatches_the_zeros_and_frames_two_by_two():
    padded = torch.arange(48.0).reshape(8, 6)
    [axes] = drawings.padded_map(padded, height=7, width=5).axes
    assert texts(axes) == [str(i) for i in range(48)]
    hatched = [patch.get_bbox().bounds for patch in axes.patches if patch.get_hatch()]
    assert sorted(hatched) == [(0, 7, 5, 1), (5, 0, 1, 8)]
    frames = [patch for patch in axes.patches if not patch.get_fill() and not patch.get_hatch()]
    assert {patch.get_xy() for patch in frames} == set(itertools.product((0, 2, 4), (0, 2, 4, 6)))
    assert {(patch.get_width(), patch.get_height()) for patch in frames} == {(2, 2)}
    assert axes.get_title() == "7 × 5 tokens and hatched zeros: 4 × 3 merged"


def test_pooled_patterns_draws_each_map_and_its_numbers():
    maps = {"a": (torch.eye(4), torch.tensor([1.0, 0, 0.5, 0])), "b": (torch.zeros(4, 4), torch.ones(4))}
    axes = drawings.pooled_patterns(maps, ["map", "vector"]).axes
    assert [axis.get_title() for axis in axes] == ["map", "vector", "", ""]
    for axis, values in zip(axes, itertools.chain(*maps.values()), strict=True):
        assert np.array_equal(drawn_array(axis).ravel(), values.numpy().ravel())
        shown = np.atleast_2d(values.numpy())
        for text in axis.texts[: values.numel()]:
            x, y = (int(place) for place in text.get_position())
            assert text.get_text() == f"{shown[y, x]:g}"
    assert texts(axes[0])[-1] == "a"


def test_stage_costs():
    [axes] = drawings.stage_costs({"same": [2.0, 2, 2, 2], "less": [8.0, 4, 2, 1]}).axes
    assert [line.get_ydata().tolist() for line in axes.lines] == [[2, 2, 2, 2], [8, 4, 2, 1]]
    assert texts(axes) == ["same: 2.0", "less: 1.0"]
    assert axes.get_yscale() == "log"


def test_groupings_frames_each_group():
    first, second = drawings.groupings({"a": [["W", "S"], ["M", "W"]], "b": [["W", "S", "M"], ["W"]]}).axes
    for axes, widths in ((first, [2, 2]), (second, [3, 1])):
        assert [text for text in texts(axes) if text.isalpha()] == ["W", "S", "M", "W"]
        frames = [patch for patch in axes.patches if not patch.get_fill()]
        assert [round(frame.get_width()) for frame in frames] == widths
        assert [round(frame.get_x()) for frame in frames] == [0, widths[0]]
        letters = [text for text in texts(axes) if text.isalpha()]
        colors = [color_of(patch) for patch in axes.patches if patch.get_fill()]
        assert {
            color == style.ORANGE for color, name in zip(colors, letters, strict=True) if name == "M"
        } == {True}
        assert {
            color == style.ORANGE for color, name in zip(colors, letters, strict=True) if name != "M"
        } == {False}
    assert [axes.get_title() for axes in (first, second)] == ["a", "b"]


def test_pyramid_maps_draws_the_first_channel():
    maps = [torch.randn(8, 6, 3), torch.randn(4, 3, 6)]
    axes = drawings.pyramid_maps(maps).axes
    assert all(
        np.array_equal(drawn_array(axis), x[..., 0].numpy()) for axis, x in zip(axes, maps, strict=True)
    )
    assert [axis.get_title() for axis in axes] == [
        "stage 1: 8 × 6 × 3\na token every 4 px",
        "stage 2: 4 × 3 × 6\na token every 8 px",
    ]


def test_who_hears_whom_is_dark_for_one():
    matrix = (torch.rand(16, 16) > 0.5).float()
    first, _ = drawings.who_hears_whom({"a": matrix, "b": 1 - matrix}, side=4).axes
    assert np.array_equal(drawn_array(first), 1 - matrix.numpy())
    assert first.images[0].get_cmap().name == "gray"
    assert first.get_title() == f"a: {100 * matrix.mean():.0f} %"


def test_reach_panels_darkens_what_does_not_reach_and_marks_the_token():
    maps = [torch.rand(56, 56) > 0.5 for _ in range(4)]
    axes = drawings.reach_panels(IMAGE, {"a": maps[:2], "b": maps[2:]}, [2, 5], (27, 30), list(DEPTHS)).axes
    photo = IMAGE.permute(1, 2, 0).numpy()
    for axis, reached, size in zip(axes, maps, (4, 16, 4, 16), strict=True):
        light = np.where(reached.numpy(), 1, 0.3).repeat(4, 0).repeat(4, 1)[..., None]
        assert np.allclose(drawn_array(axis), photo * light)
        assert axis.patches[-1].get_bbox().bounds == (120 // size * size, 108 // size * size, size, size)
    share = f"{100 * maps[1].float().mean():.2f} %"
    assert axes[1].get_title() == f"block 5: {share}"
    assert axes[3].get_title() == f"{100 * maps[3].float().mean():.2f} %"
    assert [texts(axes[0]), texts(axes[2])] == [["a"], ["b"]]


def test_reach_curve_bands_every_second_stage():
    lines = {"a": [0, 1, 2, 3], "b": [0, 0, 1, 1], "c": [0, 0, 0, 9]}
    [axes] = drawings.reach_curve(lines, [1, 2]).axes
    assert {line.get_label(): line.get_ydata().tolist() for line in axes.lines} == lines
    assert [(patch.get_x(), patch.get_width()) for patch in axes.patches] == [(1.5, 2)]
    assert [text.get_position()[0] for text in axes.texts] == [1, 2.5]


def test_gradient_and_reach_hatches_zeros_only():
    gradient = torch.tensor([[0.0, 1.0], [1e-4, 0.0]])
    left, right, _ = drawings.gradient_and_reach(IMAGE[:, :2, :2], gradient, gradient > 0).axes
    shown = drawn_array(right)
    assert np.isnan(shown).tolist() == [[True, False], [False, True]]
    assert shown[0, 1] == 0
    assert shown[1, 0] == pytest.approx(-4)
    assert (right.get_title(), left.get_title()) == (
        "by derivatives: 2 are not 0",
        "by names: 2 pixels reach the token",
    )
    light = np.array([[0.3, 1], [1, 0.3]])[..., None]
    assert np.allclose(drawn_array(left), IMAGE[:, :2, :2].permute(1, 2, 0).numpy() * light)
    assert any(patch.get_hatch() for patch in right.patches)


def names_heard(shift):
    """Send names through the blocks of Swin-T: which patches each token has heard of, after each block."""

    def union(windows, mask):
        allowed = windows.new_ones(1, windows.shape[1], windows.shape[1]) if mask is None else mask.float()
        return (allowed @ windows).clamp(max=1)

    x = torch.eye(56 * 56).reshape(1, 56, 56, -1)
    yield x[0].bool()
    for stage, depth in enumerate(DEPTHS):
        if stage:
            x = merge_neighbours(x).unflatten(-1, (4, -1)).amax(-2)
        for block in range(depth):
            x = shifted_window_attention(x, union, 7, shift * (block % 2))
            yield x[0].bool()


@pytest.mark.parametrize("shift", [0, 1])
def test_reach_equals_the_boolean_matrices_for_every_token(shift):
    explorer = Reach(IMAGE, shift=shift)
    for block, heard in zip(BLOCKS, names_heard(3 * shift), strict=True):
        explorer.block = block
        tokens = len(heard)
        line = torch.zeros(tokens, 56, dtype=torch.bool)
        for place in range(tokens):
            line[place, slice(*explorer.spans(place)[-1])] = True
        apart = line[:, None, :, None] & line[None, :, None, :]
        assert torch.equal(apart, heard.unflatten(-1, (56, 56))), block


def test_the_way_leads_over_all_blocks_before():
    explorer = Reach(IMAGE, block=6, shift=1)
    assert explorer.spans(11) == [(11, 12), (10, 14), (14, 28), (10, 28), (14, 56), (10, 56), (7, 56)]
    explorer.shift = 0
    assert explorer.spans(11) == [(11, 12), (7, 14), (14, 28), (14, 28), (28, 56), (28, 56), (28, 56)]
    assert Block.of(12, True).shift == 0  # one window covers the map
    assert [Block.of(number, True).shift for number in BLOCKS] == [0, 0, 3, 0, 3, 0, 3, 0, 3, 0, 3, 0, 0]


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            {"block": 0, "row": 5, "column": 55},
            "Before block 1, with the shift on: the token at row 5, column 55 of 56 × 56 can be "
            "influenced by 1 × 1 = 1 of 3,136 patches, 0.03 % of the photograph.",
        ),
        (
            {"block": 5, "shift": 0, "row": 20, "column": 0},
            "After block 5 (stage 3, windows not moved), with the shift off: the token at row 13, column 0 "
            "of 14 × 14 can be influenced by 28 × 28 = 784 of 3,136 patches, 25.00 % of the photograph.",
        ),
        (
            {"block": 2, "row": 0, "column": 5},
            "After block 2 (stage 1, windows moved by 3), with the shift on: the token at row 0, column 5 of "
            "56 × 56 can be influenced by 7 × 14 = 98 of 3,136 patches, 3.13 % of the photograph.",
        ),
        (
            {"block": 2, "row": 5, "column": 5},
            "After block 2 (stage 1, windows moved by 3), with the shift on: the token at row 5, column 5 of "
            "56 × 56 can be influenced by 14 × 14 = 196 of 3,136 patches, 6.25 % of the photograph.",
        ),
    ],
)
def test_reach_says_its_state(state, sentence):
    assert Reach(IMAGE, **state).describe() == sentence


def test_reach_refuses_what_it_cannot_show():
    with pytest.raises(
        ValueError, match=r"image has shape \(3, 100, 100\); the explorer takes \(3, 224, 224\)"
    ):
        Reach(torch.rand(3, 100, 100))
    with pytest.raises(traitlets.TraitError, match="block is 13; it can be one of 0, 1"):
        Reach(IMAGE, block=13)


def test_reach_still_draws_what_is_bright_and_the_way_there():
    explorer = Reach(IMAGE, block=4, shift=1, row=16, column=22)
    left, right = explorer.still().axes
    spans = {name: explorer.spans(explorer.state[name]) for name in ("row", "column")}
    (top, bottom), (first, past) = (span[-1] for span in spans.values())
    light = np.full((224, 224, 1), 0.35)
    light[4 * top : 4 * bottom, 4 * first : 4 * past] = 1
    assert np.abs(drawn_array(left).astype(float) - explorer.photo * light).max() <= 0.5
    assert left.patches[-1].get_bbox().bounds == (22 * 8, 16 * 8, 8, 8)
    bars = [patch.get_bbox().bounds for patch in right.patches if isinstance(patch, mpl.patches.Rectangle)]
    sizes = [Block.of(number, True).tokens for number in range(4, -1, -1)]
    expected = {
        (224 // tokens * a, -number, 224 // tokens * (b - a), 0.6)
        for number, tokens, (a, b) in zip(range(4, -1, -1), sizes, spans["column"], strict=True)
    }
    assert {tuple(round(value, 6) for value in bar) for bar in bars} == expected


def every_setting():
    for block, shift in itertools.product(BLOCKS, (0, 1)):
        for place in range(Block.of(block, bool(shift)).tokens):
            yield {"block": block, "shift": shift, "row": place, "column": place * 5 % 7}


def test_the_page_equals_python_for_every_setting(page):
    load(page, "reach.js", ["blockOf", "spans", "describe"])
    explorer, asked, expected = Reach(IMAGE), list(every_setting()), []
    for state in asked:
        with explorer.hold_trait_notifications():
            for name, value in state.items():
                setattr(explorer, name, value)
        block = Block.of(state["block"], bool(state["shift"]))
        spans = [list(span) for span in explorer.spans(state["row"])]
        expected.append([list(block), spans, explorer.describe()])
    answers = page.evaluate(
        """(asked) => asked.map((state) => {
        const { stage, tokens, shift, first } = blockOf(state.block, state.shift);
        return [[stage, tokens, shift, first], spans(state.row, state), describe(state)]; })""",
        asked,
    )
    assert len(answers) > 600
    for state, answer, truth in zip(asked, answers, expected, strict=True):
        assert answer == truth, state


@pytest.mark.parametrize(
    "state", [{"block": 2}, {"block": 4}, {"block": 6, "shift": 0}, {"block": 9}, {"block": 0}]
)
def test_the_page_darkens_what_does_not_reach_and_draws_the_way(page, state):
    explorer = Reach(IMAGE, **state)
    show_live(page, explorer)
    drawn = canvas_pixels(page).astype(int)
    spans = {name: explorer.spans(explorer.state[name]) for name in ("row", "column")}
    (top, bottom), (first, past) = (span[-1] for span in spans.values())
    size = 352 / 56  # as PHOTO.side in reach.js
    for row, column in itertools.product(range(0, 56, 5), range(0, 56, 5)):
        y, x = (int(30 + (row + 0.4) * size), int(8 + (column + 0.4) * size))
        source = explorer.photo[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].reshape(-1, 3).astype(int)
        inside = top <= row < bottom and first <= column < past
        light = 1 if inside else 0.35
        near_line = np.abs(drawn[y, x] - style_rgb(style.ORANGE)).sum() < 90
        near_mark = np.abs(drawn[y, x] - style_rgb(style.BLUE)).sum() < 90
        if not (near_line or near_mark):
            low, high = light * source.min(0) - 40, light * source.max(0) + 40
            assert ((low <= drawn[y, x]) & (drawn[y, x] <= high)).all(), (row, column)
    for number, (start, end) in zip(range(explorer.block, -1, -1), spans["column"], strict=True):
        tokens, y = Block.of(number, True).tokens, 30 + (12 - number) * 27 + 7  # as CONE in reach.js
        for token in range(tokens):
            x = int(424 + (token + 0.5) * 280 / tokens)
            blue = np.abs(drawn[y, x] - style_rgb(style.BLUE)).sum() < 12
            assert blue == (start <= token < end), (number, token)
    assert explorer.block == 0 or drawn_fan(drawn, explorer.block, spans["column"])
    for number in range(1, 13):
        block, y = Block.of(number, bool(explorer.shift)), 30 + (12 - number) * 27 + 21  # between two bars
        borders = [0, *range(block.shift, block.tokens, 7), block.tokens]
        for token in range(block.tokens + 1):
            x = int(424 + token * 280 / block.tokens)
            orange = np.abs(drawn[y, x - 1 : x + 2] - style_rgb(style.ORANGE)).sum(1).min() < 90
            assert orange == (token in borders), (number, token)


def drawn_fan(drawn, block, spans):
    """Tell whether the space under the token's own bar is light blue, in the middle between both bars."""
    edges = [
        (424 + a * 280 / Block.of(number, True).tokens, 424 + b * 280 / Block.of(number, True).tokens)
        for number, (a, b) in zip((block, block - 1), spans[:2], strict=True)
    ]
    x = int(sum(sum(edge) for edge in edges) / 4)
    near = drawn[30 + (12 - block) * 27 + 21, x - 2 : x + 3]
    return np.abs(near - (0.7 * 255 + 0.3 * style_rgb(style.BLUE))).sum(1).min() < 20


def style_rgb(color):
    return np.array(list(bytes.fromhex(color[1:])))


def test_pointing_chooses_the_token(page):
    show_live(page, Reach(IMAGE, block=6))
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 8 + 352 * 3.5 / 14, box["y"] + 30 + 352 * 9.5 / 14)
    for name, place in (("Row", 9), ("Column", 3)):
        slider = page.get_by_role("slider", name=name)
        assert slider.get_attribute("aria-valuetext") == f"{name.lower()} {place} of 14, counted from 0"
    page.mouse.move(box["x"] + 424 + 100, box["y"] + 200)  # beside the photograph nothing changes
    assert "row 9, column 3 of 14" in page.locator(".swin-explorer p").inner_text()


def test_another_stage_keeps_the_place(page):
    show_live(page, Reach(IMAGE, block=4, row=17, column=22))
    page.get_by_role("slider", name="After block").focus()
    page.keyboard.press("ArrowRight")
    assert "row 8, column 11 of 14 × 14" in page.locator(".swin-explorer p").inner_text()
    page.keyboard.press("ArrowLeft")
    assert "row 16, column 22 of 28 × 28" in page.locator(".swin-explorer p").inner_text()
