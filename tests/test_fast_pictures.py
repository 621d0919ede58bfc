"""The drawings of chapter 9 show what they were given."""

import math

import numpy as np
import pytest
import torch

from swin_edu.block import SwinBlock
from swin_edu.book import drawings
from swin_edu.fast import make_plan, table_of_kinds, window_order

STEPS = {"clear": [0.08, 0.6], "chunks": [0.06, 0.5], "one pass": [0.05, 0.4]}


def texts(axes):
    return [text.get_text().strip() for text in axes.texts]


def widths(axes):
    return [bar.get_width() for bar in axes.patches]


def heights(axes):
    return [bar.get_height() for bar in axes.patches]


def titles(figure):
    return [axes.get_title() for axes in figure.axes]


def test_ladder_gives_milliseconds_and_gains_for_each_batch():
    figure = drawings.ladder(STEPS, [1, 8], "a laptop")
    assert titles(figure) == ["batch of 1, ms", "batch of 8, ms"]
    assert widths(figure.axes[0]) == pytest.approx([80, 60, 50])
    assert texts(figure.axes[1]) == ["600 ms   1.00 ×", "500 ms   1.20 ×", "400 ms   1.50 ×"]
    assert "a laptop" in figure.get_supxlabel()


def test_bars_are_labelled():
    [axes] = drawings.bars({"a": 3.14159, "b": 271.8}, "MB").axes
    assert widths(axes) == [3.14159, 271.8] and texts(axes) == ["3.1", "272"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_roofline_is_the_lower_of_both_limits_and_holds_every_point():
    rates = {"operations": [2e11], "bytes": [1e10], "sum": [1e9, 0.1], "product": [1.5e11, 40.0]}
    [axes] = drawings.roofline(rates, "a laptop").axes
    roof, *points = axes.lines
    x, y = roof.get_data()
    assert y == pytest.approx(np.minimum(200, 10 * x))
    assert [(float(*p.get_xdata()), float(*p.get_ydata())) for p in points] == [(0.1, 1), (40, 150)]
    assert texts(axes) == ["10 GB/s", "200 GFLOP/s with F.linear", "sum", "product"]


def test_amdahl_curves_follow_the_law():
    [axes] = drawings.amdahl_curves({"a": 0.8, "b": 0.2}).axes
    for line, share in zip(axes.lines, (0.8, 0.2), strict=True):
        x, y = line.get_data()
        assert y == pytest.approx([1 / (1 - share + share / times) for times in x])
    assert texts(axes) == ["3.57 ×", "1.22 ×"]


def test_shares_stand_side_by_side_and_add_up():
    work = {"linear layers": 0.9, "attention": 0.1}
    time = {"linear layers": 0.7, "attention": 0.2, "GELU": 0.05, "norm": 0.03, "moves": 0.01, "rest": 0.01}
    figure = drawings.shares_of_work_and_time(work, time, "a laptop")
    [axes] = figure.axes
    assert widths(axes) == pytest.approx([90, 10, 70, 20, 5, 3, 1, 1])
    assert [bar.get_x() for bar in axes.patches] == pytest.approx([0, 90, 0, 70, 90, 95, 98, 99])
    assert texts(axes) == ["90 %", "10 %", "70 %", "20 %", "5 %", "3 %"]
    assert axes.patches[1].get_facecolor() == axes.patches[3].get_facecolor()
    assert axes.patches[1].get_hatch() == axes.patches[3].get_hatch() == "//"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(time)


def test_memory_orders_show_the_place_of_each_token():
    plain, (shifted, kinds) = window_order(8, 8, 4, 0)[0], window_order(8, 8, 4, 2)
    figure = drawings.memory_orders(plain, shifted, kinds)
    rows, windows, sorted_windows = (axes.images[0].get_array() for axes in figure.axes[:3])
    assert rows.tolist() == torch.arange(64).view(8, 8).tolist()
    assert windows[0].tolist() == [0, 1, 2, 3, 16, 17, 18, 19]
    for row, column in ((0, 0), (2, 2), (7, 5)):
        place = sorted_windows[row, column]
        assert shifted.flatten()[place] == 8 * row + column
    assert widths(figure.axes[3]) == [1, 1, 1, 1]


def test_chunk_maps_number_every_token_with_its_chunk():
    layout = (((4, 0), (4, 2)),)
    [stage] = make_plan(1, 12, 16, layout, 48, torch.device("cpu"))
    order = window_order(12, 16, 4, 2)[0]
    [axes] = drawings.chunk_maps(stage, order).axes
    drawn = axes.images[0].get_array()
    for window, tokens in enumerate(order.tolist()):
        assert {int(drawn[divmod(token, 16)]) for token in tokens} == {window // 3}
    assert [int(text) for text in texts(axes)] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_kind_tables_hatch_what_may_not_attend():
    tables = table_of_kinds(SwinBlock(8, 2, 4, shift=1))[:, 0]
    figure = drawings.kind_tables(tables)
    for kind, (axes, table) in enumerate(zip(figure.axes, tables.detach(), strict=True)):
        blocked = table.isinf()
        hatched = torch.zeros(16, 16, dtype=torch.bool)
        for box in axes.patches:
            x, y, width, height = (round(value) for value in box.get_bbox().bounds)
            hatched[y : y + height, x : x + width] = True
        assert torch.equal(hatched, blocked)
        shown = np.ma.filled(axes.images[0].get_array(), np.nan)
        assert np.allclose(shown[~blocked.numpy()], table[~blocked].numpy())
        assert axes.get_title() == f"kind {kind}: {blocked.float().mean():.0%} masked"


def test_by_piece_marks_the_fastest():
    seconds = {"new": [0.003, 0.001, 0.002], "old": [0.001, 0.002, 0.0005]}
    [axes] = drawings.by_piece([10, 100, 1000], seconds, "sum", "a laptop").axes
    curves, best = axes.lines[::2], axes.lines[1::2]
    assert [curve.get_ydata() for curve in curves] == [pytest.approx([3, 1, 2]), pytest.approx([1, 2, 0.5])]
    assert [(float(*p.get_xdata()), float(*p.get_ydata())) for p in best] == [(100, 1), (1000, 0.5)]
    assert texts(axes) == ["100: 1 ms", "1,000: 0.5 ms"]
    assert axes.get_xlabel().endswith("measured on a laptop")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["new", "old"]


def test_rates_of_ways_are_grouped_by_layer_and_batch():
    rates = {"one": [1e9, 2e9, 3e9, 4e9], "two": [20e9, 30e9, 40e9, 50e9], "three": [5e9, 6e9, 7e9, 8e9]}
    figure = drawings.rates_of_ways(rates, ["s1", "s2"], [1, 8], "a laptop")
    assert heights(figure.axes[0]) == [1, 2, 20, 30, 5, 6]
    assert heights(figure.axes[1]) == [3, 4, 40, 50, 7, 8]
    assert texts(figure.axes[1]) == ["3", "4", "40", "50", "7", "8"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(rates)


def test_predicted_stands_beside_measured():
    figure = drawings.predicted_and_measured(
        ["a", "b"], {1: [1.1, 1.2], 8: [1.3, 1.4]}, {1: [1.0, 1.25], 8: [1.5, 0.9]}, "a laptop"
    )
    assert heights(figure.axes[1]) == [1.3, 1.4, 1.5, 0.9]
    assert texts(figure.axes[0]) == ["1.10", "1.20", "1.00", "1.25"]
    assert titles(figure) == ["batch of 1", "batch of 8"]


def test_shares_of_peak_in_per_cent():
    figure = drawings.shares_of_peak({"clear": [50, 60], "fast": [70, 80]}, [1, 8], 2e11, "a laptop")
    assert widths(figure.axes[1]) == [60, 80] and texts(figure.axes[0]) == ["50 %", "70 %"]
    assert titles(figure)[0] == "batch of 1: % of the peak, 200 GFLOP/s"


def test_growth_names_the_exponent_of_each_line():
    sides = [224, 448, 896]
    seconds = {
        name: [(side / 224) ** (2 * e) for side in sides] for name, e in (("a", 1), ("b", 1.5), ("c", 2))
    }
    [axes] = drawings.growth(sides, seconds, "a laptop").axes
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels == [
        f"{name}: pixels^{e}, at the end ^{e}"
        for name, e in zip("abc", ("1.00", "1.50", "2.00"), strict=True)
    ]
    assert axes.lines[1].get_ydata() == pytest.approx(seconds["b"])
    assert axes.lines[0].get_xdata() == pytest.approx([math.prod((side, side)) for side in sides])
