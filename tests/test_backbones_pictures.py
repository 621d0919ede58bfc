"""The figures of chapter 12 draw what they were given."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex

from swin_edu.book import drawings
from swin_edu.book.style import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, PURPLE, png

IMAGE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))


def array(axes):
    return np.asarray(axes.images[0].get_array())


def texts(axes):
    return [text.get_text() for text in axes.texts]


def boxes(axes, color):
    """Return left, top, width and height of the rectangles with edges of a colour."""
    return [
        (*patch.get_xy(), patch.get_width(), patch.get_height())
        for patch in axes.patches
        if to_hex(patch.get_edgecolor()) == color and patch.get_linewidth() > 0
    ]


def points(line):
    return [tuple(map(float, point)) for point in np.column_stack(line.get_data())]


def test_cells_are_drawn_in_their_mean_colours_and_one_place_is_marked():
    drawn = drawings.cells_to_scale(IMAGE, {"all": (4, 16), "one": (8,)}, row=9, column=23)
    titles = [("all", 4), ("all", 16), ("one", 8)]
    for axes, (name, side) in zip(drawn.axes, titles, strict=True):
        count = 32 // side
        means = IMAGE.view(3, count, side, count, side).mean((2, 4)).permute(1, 2, 0)
        assert np.allclose(array(axes), means)
        assert axes.get_title() == f"{name}: {side} px\n{count} × {count}"
        assert boxes(axes, BLUE) == [(23 // side, 9 // side, 1, 1)]
    assert png(drawn) == png(drawings.cells_to_scale(IMAGE, {"all": (4, 16), "one": (8,)}, 9, 23))


def test_a_tiny_convolution_writes_all_numbers_and_frames_one_sum():
    x, kernel = torch.arange(1.0, 21).reshape(4, 5), torch.arange(-4.0, 5).reshape(3, 3)
    result = torch.arange(20.0).reshape(4, 5) - 9
    drawn = drawings.tiny_convolution(x, kernel, result, row=1, column=3)
    first, second, third = drawn.axes
    around = np.pad(x.numpy(), 1)
    for axes, table in ((first, around), (second, kernel.numpy()), (third, result.numpy())):
        assert np.array_equal(array(axes), table)
        numbers = [f"{value:g}".replace("-", "−") for value in table.ravel()]
        assert texts(axes) == numbers
        places = [(column + 0.5, row + 0.5) for row, column in np.ndindex(*table.shape)]
        assert [text.get_position() for text in axes.texts] == places
        low, high = axes.images[0].get_clim()
        assert -low == high > np.abs(table).max()  # 0 is white, and no number is on full colour
    # The sum at row 1, column 3 is over rows 0 to 2 and columns 2 to 4: from (3, 1) on with the border.
    assert boxes(first, BLUE) == [(3, 1, 3, 3)]
    assert boxes(first, INK) == [(1, 1, 5, 4)]
    assert boxes(third, BLUE) == [(3, 1, 1, 1)]


def test_what_a_cell_has_not_heard_of_is_dark():
    reached = torch.zeros(32, 32, dtype=torch.bool)
    reached[8:20, 4:12] = True
    panels = {"some": (reached, 4), "all": (torch.ones(32, 32, dtype=torch.bool), 16)}
    drawn = drawings.heard_of(IMAGE, panels, row=10, column=21)
    for axes, (title, (heard, side)) in zip(drawn.axes, panels.items(), strict=True):
        assert axes.get_title() == title
        light = torch.where(heard, 1.0, 0.3)
        assert np.allclose(array(axes), (IMAGE * light).permute(1, 2, 0), atol=1e-6)
        assert boxes(axes, BLUE) == [(21 // side * side, 10 // side * side, side, side)]


def test_maps_stand_in_the_column_of_their_cells():
    torch.manual_seed(0)
    fine, coarse, single = torch.rand(8, 8, 3), torch.rand(4, 4, 5), torch.rand(4, 4, 2)
    fine[..., 1] *= 3  # varies most
    coarse[..., 4] *= 3
    single[..., 0] *= 3
    rows = {"pyramid": [fine, coarse], "single": [single]}
    drawn = drawings.maps_by_stride(rows, side=32)
    first, second, third, fourth = drawn.axes
    assert np.array_equal(array(first), fine[..., 1]) and np.array_equal(array(second), coarse[..., 4])
    assert not third.images and np.array_equal(array(fourth), single[..., 0])
    assert [axes.get_title() for axes in drawn.axes] == ["a cell every 4 px", "a cell every 8 px", "", ""]
    assert texts(first) == ["pyramid", "8 × 8 × 3"] and texts(second) == ["4 × 4 × 5"]
    assert texts(third) == ["single"] and texts(fourth) == ["4 × 4 × 2"]


def test_costs_by_side_have_a_line_for_each_backbone():
    panels = {
        "work": {"Swin-T": [4.0, 16], "ViT-S/16": [5.0, 40], "ResNet-34": [3.0, 12]},
        "share": {"Swin-T": [3.0, 3], "ViT-S/16": [8.0, 50]},
    }
    drawn = drawings.by_side(panels, (224, 448), linear="share", about="a machine")
    looks = {"Swin-T": ("o", BLUE), "ViT-S/16": ("s", ORANGE), "ResNet-34": ("^", GREEN)}
    for axes, (title, lines) in zip(drawn.axes, panels.items(), strict=True):
        assert axes.get_title() == title and axes.get_xscale() == "log"
        assert "side" in axes.get_xlabel() and "pixels" in axes.get_xlabel()
        for line, (name, costs) in zip(axes.lines, lines.items(), strict=True):
            assert points(line) == [(224, costs[0]), (448, costs[1])]
            assert (line.get_marker(), line.get_color()) == looks[name]
        assert [label.get_text() for label in axes.get_xticklabels()] == ["224", "448"]
    work, share = drawn.axes
    assert [text.get_text() for text in work.get_legend().get_texts()] == list(panels["work"])
    assert work.get_yscale() == "log" and work.yaxis.get_major_formatter()(1000) == "1,000"
    assert share.get_yscale() == "linear" and share.get_ylim() == (0, 100)
    assert drawn.get_supxlabel() == "a machine"


def test_overtaking_marks_where_the_lines_cross():
    costs = {"pairs": [1e6, 2e6, 4e6], "rest": [3e6, 3e6, 3e6]}
    [axes] = drawings.overtaking([100, 200, 400], costs, crossing=300, patch=10).axes
    pairs, rest, dot = axes.lines
    assert points(pairs) == [(100, 1), (200, 2), (400, 4)] and points(rest) == [(100, 3), (200, 3), (400, 3)]
    assert (pairs.get_color(), rest.get_color()) == (ORANGE, BLUE)
    assert pairs.get_linestyle() != rest.get_linestyle()
    assert points(dot) == [(300, 3)]
    assert [text.strip() for text in texts(axes)] == ["pairs", "rest", "300 tokens,\n170 × 170 px"]
    assert [text.get_position() for text in axes.texts[:2]] == [(400, 4), (400, 3)]
    assert axes.texts[2].xy == (300, 3)
    assert axes.get_ylim()[0] == 0 and axes.get_xlim() == (0, 400)
    assert axes.get_xlabel() == "tokens" and "million multiply-adds" in axes.get_ylabel()


def test_cells_inside_an_object_are_framed_and_counted():
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[6:24, 4:17] = True
    drawn = drawings.cells_inside(IMAGE, mask, (4, 8, 16))
    for axes, side in zip(drawn.axes, (4, 8, 16), strict=True):
        assert np.array_equal(array(axes), IMAGE.permute(1, 2, 0))
        inside = [
            (column, row, side, side)
            for row in range(0, 32, side)
            for column in range(0, 32, side)
            if mask[row : row + side, column : column + side].all()
        ]
        assert boxes(axes, INK) == boxes(axes, PAPER) == inside
        assert [bool(p.get_hatch()) for p in axes.patches] == [False, True] * len(inside)
        assert axes.get_title() == f"cells of {side} px: {len(inside)} inside"
        ruled = {segment[0][0] for segment in axes.collections[0].get_segments()}
        assert ruled == set(range(0, 33, side))
    assert drawn.axes[0].get_title() == "cells of 4 px: 12 inside"


def test_moved_maps_draw_both_pictures_and_all_lines():
    moved = IMAGE.flip(2)
    errors = {
        "Swin": [0.0, 0.5, 0.25],
        "ViT": [0.0, 0.125, 0.5],
        "CNN": [0.0, 0.0, 0.0],
        "ViT without table": [0.0, 0.0, 0.75],
    }
    still, error, after = drawings.moved_maps(IMAGE, moved, [0, 16, 40], errors).axes
    assert np.array_equal(array(still), IMAGE.permute(1, 2, 0))
    assert np.array_equal(array(after), moved.permute(1, 2, 0))
    looks = [("o", BLUE), ("s", ORANGE), ("^", GREEN), ("D", PURPLE)]
    zero, *lines = sorted(error.lines, key=lambda line: line.get_color() != MUTED)
    assert set(zero.get_ydata()) == {0}
    for line, (name, values), look in zip(lines, errors.items(), looks, strict=True):
        assert points(line) == list(zip([0, 16, 40], values, strict=True))
        assert (line.get_marker(), line.get_color()) == look and line.get_label() == name
    assert [text.get_text() for text in error.get_legend().get_texts()] == list(errors)
    assert error.get_xticks().tolist() == [0, 16, 32]
    assert "pixels moved" in error.get_xlabel() and "difference" in error.get_ylabel()


def test_sizes_of_objects_have_a_dot_for_each_seed_and_a_line_at_the_mean():
    results = {
        "small": {"Swin": [0.5, 0.75], "ViT, equal parameters": [0.25, 0.25], "CNN": [0.5, 0.25]},
        "large": {"Swin": [0.75, 1.0], "ViT, equal parameters": [0.5, 0.75], "CNN": [1.0, 0.875]},
    }
    drawn = drawings.sizes_of_objects(results, "a machine")
    [axes] = drawn.axes
    looks = [("o", BLUE), ("s", ORANGE), ("^", GREEN)]
    pairs = iter(zip(axes.lines[::2], axes.lines[1::2], axes.texts, strict=True))
    for group, of in enumerate(results.values()):
        xs = []
        for (seeds, mean, text), (_, values), look in zip(
            [next(pairs) for _ in of], of.items(), looks, strict=True
        ):
            assert list(seeds.get_ydata()) == values and len(set(seeds.get_xdata())) == 1
            assert (seeds.get_marker(), seeds.get_color()) == look and seeds.get_linestyle() == "None"
            middle = sum(values) / len(values)
            assert list(mean.get_ydata()) == pytest.approx([middle] * 2)
            x = seeds.get_xdata()[0]
            assert mean.get_xdata()[0] < x < mean.get_xdata()[1]
            assert text.get_text() == f"{100 * middle:.0f}"
            assert text.get_position()[0] == x and text.get_position()[1] > max(values)
            xs.append(x)
        assert xs == sorted(xs) and sum(xs) / len(xs) == pytest.approx(group)
        assert max(xs) - min(xs) < 1
    assert [label.get_text() for label in axes.get_xticklabels()] == ["small", "large"]
    names = ["Swin", "ViT, equal parameters", "CNN"]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == names
    assert axes.get_ylim()[0] == 0 and axes.yaxis.get_major_formatter()(0.5) == "50%"
    assert drawn.get_supxlabel() == "a machine"


def test_each_of_three_vits_has_a_look_of_its_own():
    names = "ViT, equal parameters", "ViT, equal cost", "ViT, patches of 4"
    [axes] = drawings.sizes_of_objects({"small": {name: [0.5] for name in names}}, "").axes
    looks = [(line.get_color(), line.get_marker()) for line in axes.lines[::2]]
    assert looks == [(ORANGE, "s"), (PURPLE, "D"), (INK, "v")]


def test_maps_are_white_where_they_do_not_differ():
    table = torch.zeros(4, 6)
    table[1, 2], table[3, 5], table[0, 0] = 2, 1, 1e-6  # the last is rounding
    drawn = drawings.where_maps_differ({"one": table, "other": table + 1})
    one, other = drawn.axes
    shown = one.images[0].get_array()
    assert (~np.ma.getmaskarray(shown)).sum() == 2 and not np.ma.getmaskarray(shown)[[1, 3], [2, 5]].any()
    assert shown[1, 2] == 2 and one.images[0].get_clim() == (0, 2)
    assert not np.ma.getmaskarray(other.images[0].get_array()).any()
    assert boxes(one, MUTED) == [(0, 0, 6, 4)]
    assert [axes.get_title() for axes in drawn.axes] == ["one", "other"]


def test_stages_have_a_line_each_and_ticks_at_their_steps():
    errors = {"one": [[0.0, 0.5], [0.0, 0.25], [0.0, 1.0]], "other": [[0.0, 0.0], [0.0, 0.75], [0.0, 0.5]]}
    drawn = drawings.stages_moved([0, 60], errors, {"one": 28, "other": 16})
    for axes, (name, rows), ticks in zip(
        drawn.axes, errors.items(), ([0, 28, 56], [0, 16, 32, 48]), strict=True
    ):
        assert axes.get_title() == name and axes.get_xticks().tolist() == ticks
        *lines, zero = axes.lines
        for line, row, look in zip(lines, rows, [("o", BLUE), ("s", ORANGE), ("^", INK)], strict=True):
            assert points(line) == [(0, row[0]), (60, row[1])]
            assert (line.get_marker(), line.get_color()) == look
        assert set(zero.get_ydata()) == {0} and zero.get_color() == MUTED
        assert "pixels moved" in axes.get_xlabel()
    assert "difference" in drawn.axes[0].get_ylabel()
    names = [text.get_text() for text in drawn.axes[1].get_legend().get_texts()]
    assert names == ["stage 1", "stage 2", "stage 3"]
