"""The drawings of the chapter on many devices draw the data that they are given."""

import numpy as np
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex

from swin_edu.book import drawings
from swin_edu.parallel import split_rows


def lines(axes):
    """The places of all vertical lines, and of all horizontal ones."""
    segments = [
        segment
        for each in axes.collections
        if isinstance(each, LineCollection)
        for segment in each.get_segments()
    ]
    return (
        {s[0, 0] for s in segments if s[0, 0] == s[1, 0]},
        {s[0, 1] for s in segments if s[0, 1] == s[1, 1]},
    )


def test_rows_of_ranks_and_what_travels():
    image = torch.rand(3, 40, 64)
    rows = split_rows(10, 4, 3)
    drawn = drawings.rows_of_ranks(image, rows, window=4, shift=2, patch=4)
    plain, shifted = drawn.axes
    for axes in (plain, shifted):
        assert np.array_equal(axes.images[0].get_array()[..., 1], image.mean(0).numpy())
        tinted = [
            p.get_bbox().extents.tolist()
            for p in axes.patches
            if p.get_alpha() == 0.4 and to_hex(p.get_facecolor()) != "#ffffff"
        ]
        assert tinted == [[0, 4 * each.start, 64, 4 * each.stop] for each in rows]
    assert [text.get_text() for text in plain.texts] == ["rank 0", "rank 1", "rank 2"]
    assert [text.get_text() for text in shifted.texts[1::2]] == ["to rank 2", "to rank 0", "to rank 1"]
    hatched = [p.get_bbox().extents.tolist() for p in shifted.patches if p.get_hatch()]
    assert hatched == [[0, 4 * each.start, 64, 4 * each.start + 8] for each in rows]
    assert not [p for p in plain.patches if p.get_hatch()]
    assert lines(plain) == ({16, 32, 48}, {16, 32})
    assert lines(shifted) == ({8, 24, 40, 56}, {8, 24})


def test_bytes_stand_beside_their_points():
    curves = {"one": [12.0, 3456.0], "two": [999_700.0, 7.25e9]}
    [axes] = drawings.bytes_by_side([10, 20], curves, "bytes").axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [
        [[10, 12.0], [20, 3456.0]],
        [[10, 999_700.0], [20, 7.25e9]],
    ]
    assert [text.get_text().strip() for text in axes.texts] == [
        "one",
        "12 bytes",
        "3.46 kB",
        "two",
        "1 MB",
        "7.25 GB",
    ]
    assert (axes.get_xscale(), axes.get_yscale(), axes.get_title()) == ("log", "log", "bytes")


def test_time_lines_have_a_part_for_each_message():
    spans = [[(1.0, 3.0), (5.0, 5.0)], [(0.5, 4.0)]]
    [axes] = drawings.time_lines(spans, [30.0, 25.0]).axes
    assert [bar.get_width() for bar in axes.patches] == [30.0, 25.0]
    parts = [
        [path.get_extents().extents[[0, 2]].tolist() for path in each.get_paths()]
        for each in axes.collections
    ]
    assert parts == [[[1.0, 3.0], [5.0, pytest.approx(5.02)]], [[0.5, 4.0]]]
    assert axes.get_xlim() == (0, 30)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["rank 0", "rank 1"]


def test_speed_ups_end_at_their_names():
    curves = {"small": ([1, 2, 4], [1.0, 1.5, 1.6]), "large": ([1, 2, 4, 8], [1.0, 2.0, 3.9, 7.0])}
    [axes] = drawings.speed_ups(curves, "on paper").axes
    ideal, *drawn = axes.lines
    assert ideal.get_xydata().tolist() == [[1, 1], [8, 8]]
    assert [line.get_xydata().tolist() for line in drawn] == [
        list(map(list, zip(*curve, strict=True))) for curve in curves.values()
    ]
    assert [(text.get_text().strip(), *text.get_position()) for text in axes.texts[1:]] == [
        ("small", 4, 1.6),
        ("large", 8, 7.0),
    ]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "4", "8"]


def test_an_interrupted_run_is_drawn_over_a_whole_one():
    [axes] = drawings.interrupted([3.0, 2.0, 1.5, 1.2], [3.0, 2.0], [1.5, 1.2]).axes
    whole, first, second = (line.get_xydata().tolist() for line in axes.lines)
    assert whole == [[1, 3.0], [2, 2.0], [3, 1.5], [4, 1.2]]
    assert first == [[1, 3.0], [2, 2.0]] and second == [[3, 1.5], [4, 1.2]]
