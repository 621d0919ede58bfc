"""The figures of the chapter on training draw what they were given."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from swin_edu.book import drawings
from swin_edu.book.style import BLUE, INK, MUTED, ORANGE, png


def points(line):
    return [tuple(map(float, point)) for point in np.column_stack(line.get_data())]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def x_ticks(axes):
    """Return the labels of two numbers on the axis across."""
    return [axes.xaxis.get_major_formatter()(value) for value in (0.5, 0.985)]


def test_learning_curves_mark_the_first_of_the_best_epochs():
    losses, accuracies = [2.5, 1.25, 0.5, 0.75], [0.25, 0.875, 0.875, 0.5]
    drawn = drawings.learning_curves(losses, accuracies)
    left, right = drawn.axes
    [falling] = left.lines
    assert points(falling) == [(1, 2.5), (2, 1.25), (3, 0.5), (4, 0.75)]
    rising, best = right.lines
    assert points(rising) == [(1, 0.25), (2, 0.875), (3, 0.875), (4, 0.5)]
    assert points(best) == [(2, 0.875)] and best.get_marker() == "o"
    assert falling.get_color() == BLUE and rising.get_color() == ORANGE and best.get_color() == INK
    assert texts(right) == ["best: 87.5%, epoch 2"]
    assert right.texts[0].xy == (2, 0.875)
    assert "loss" in left.get_title() and "right answers" in right.get_title()
    assert left.get_xlabel() == right.get_xlabel() == "epoch"
    assert left.get_ylim()[0] == 0 and right.get_ylim() == (0, 1.02)
    assert right.yaxis.get_major_formatter()(0.5) == "50%"
    assert png(drawn) == png(drawings.learning_curves(losses, accuracies))


def test_learning_curves_of_one_epoch():
    left, right = drawings.learning_curves([2.0], [0.1]).axes
    assert points(left.lines[0]) == [(1, 2.0)] and points(right.lines[1]) == [(1, 0.1)]
    assert texts(right) == ["best: 10.0%, epoch 1"]


def test_the_schedule_draws_each_rate_and_the_warm_up():
    rates = [0.5, 1.0, 1.0, 0.75, 0.25]
    [axes] = drawings.rate_schedule(rates, warm=2).axes
    [line] = axes.lines
    assert points(line) == list(zip(range(1, 6), rates, strict=True))
    [warm] = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert (warm.get_x(), warm.get_width()) == (1, 1) and to_hex(warm.get_facecolor()) == ORANGE
    assert texts(axes) == ["warm-up"] and axes.texts[0].xy == (2, 0.25)
    assert axes.get_xlim() == (1, 5) and axes.get_ylim()[0] == 0
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("step", "learning rate")


def test_branches_have_a_line_and_a_mark_for_each_beginning():
    sizes = {"small": [0.125, 0.25, 0.5], "large": [1.0, 0.75, 0.5], "short": [2.0, 1.0]}
    [axes] = drawings.branch_sizes(sizes).axes
    assert [points(line) for line in axes.lines] == [
        list(enumerate(values, start=1)) for values in sizes.values()
    ]
    assert [line.get_marker() for line in axes.lines] == list("os^")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(sizes)
    assert axes.get_xticks().tolist() == [1, 2, 3] and axes.get_ylim()[0] == 0
    assert axes.get_xlabel() == "block" and "length of x" in axes.get_ylabel()


def test_losses_have_a_mark_where_they_are_lowest_within():
    margins = torch.tensor([0.0, 2.0, 4.0, 6.0])
    losses = {"plain": torch.tensor([3.0, 1.0, 0.5, 0.25]), "smoothed": torch.tensor([3.0, 1.5, 1.0, 1.25])}
    [axes] = drawings.smoothed_losses(margins, losses).axes
    plain, smoothed, lowest = axes.lines
    for line, name, style in ((plain, "plain", "-"), (smoothed, "smoothed", "--")):
        assert points(line) == list(zip(margins.tolist(), losses[name].tolist(), strict=True))
        assert line.get_label() == name and line.get_linestyle() == style
    assert points(lowest) == [(4, 1)] and lowest.get_marker() == "o"  # the plain one falls to the edge
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["plain", "smoothed"]
    assert "true class minus" in axes.get_xlabel() and axes.get_ylabel() == "loss"
    assert axes.get_ylim()[0] == 0


def test_spreads_draw_each_seed_their_mean_and_the_baseline():
    results = {
        "digits": {"all": [0.9, 0.95, 1.0], "no shift": [0.8, 0.9, 0.85], "no bias": [0.7, 0.7, 0.7]},
        "scenes": {"all": [0.5, 0.7], "no shift": [0.4, 0.5], "no bias": [0.3, 0.2]},
    }
    drawn = drawings.spreads(results, baseline="no shift")
    assert [axes.get_title() for axes in drawn.axes] == ["digits", "scenes"]
    for axes, variants in zip(drawn.axes, results.values(), strict=True):
        baseline, *rest = axes.lines
        means = [sum(values) / len(values) for values in variants.values()]
        assert baseline.get_xdata() == pytest.approx([means[1]] * 2)
        assert baseline.get_linestyle() == "--" and baseline.get_color() == MUTED
        assert len(rest) == 6
        pairs = zip(rest[::2], rest[1::2], variants.values(), means, strict=True)
        for row, (seeds, mean, values, middle) in enumerate(pairs):
            assert seeds.get_xdata().tolist() == values
            # Equal ones stand below each other, within their row.
            heights = [0, 0.12, 0.24] if values == [0.7] * 3 else [0] * len(values)
            assert (seeds.get_ydata() - row).tolist() == pytest.approx(heights)
            assert seeds.get_linestyle() == "None" and seeds.get_marker() == "o"
            assert mean.get_xdata() == pytest.approx([middle] * 2)
            low, high = mean.get_ydata()
            assert low < row < high and high - low < 1 and mean.get_color() == INK
        assert [place.xy[1] for place in axes.texts] == [0, 1, 2]
        assert axes.get_ylim() == (2.5, -0.5)  # the first on top
        assert x_ticks(axes) == ["50.0%", "98.5%"]
    names = [label.get_text() for label in drawn.axes[0].get_yticklabels()]
    assert names == ["all", "no shift", "no bias"]
    # By hand: the standard deviation of 0.9, 0.95 and 1 around 0.95 is 0.05, with one less than three below.
    assert texts(drawn.axes[0]) == ["95.0% ± 5.0%", "85.0% ± 5.0%", "70.0% ± 0.0%"]
    assert texts(drawn.axes[1]) == ["60.0% ± 14.1%", "45.0% ± 7.1%", "25.0% ± 7.1%"]
