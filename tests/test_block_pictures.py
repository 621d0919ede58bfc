"""The figures and the explorer of chapter 6 show what the package computes."""

import itertools
import json

import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, show_live
from torch.utils.flop_counter import FlopCounterMode

from swin_edu.block import SwinBlock, SwinBlockV2
from swin_edu.book import drawings
from swin_edu.book.explorers import Block
from swin_edu.book.explorers.block import IN_WINDOWS, ORDER, set_weights, sums, window_edges
from swin_edu.book.images import sample_image

IMAGE = sample_image()
MODES = list(itertools.product((1, 2), (0, 1)))


@pytest.fixture(scope="module")
def explorer():
    return Block(IMAGE)


def texts(axes):
    return [text.get_text() for text in axes.texts]


def by_name(stations):
    return {station.name: station.map for station in stations}


def test_walk_draws_each_map_and_an_arrow_to_each_sum():
    maps = torch.rand(6, 3, 4)
    rows = {"first": [*zip("abc+d+", maps, strict=True)], "second": [("a", maps[4])]}
    first, second = drawings.block_walk(rows).axes
    assert all(np.array_equal(image.get_array(), maps[i]) for i, image in enumerate(first.images))
    assert np.array_equal(second.images[0].get_array(), maps[4])
    middles = [image.get_extent()[0] + 0.5 for image in first.images]
    assert [text for text in texts(first) if text] == ["a", "b", "c", "+", "d", "+", "first"]
    bypasses = [line.get_xydata()[[0, -1], 0] for line in first.lines if len(line.get_xydata()) == 3]
    assert np.allclose(bypasses, [[middles[0], middles[3]], [middles[3], middles[5]]], atol=0.05)


def test_trends_draw_the_values():
    panels = {
        "left": {"a": [1.0, 10.0, 100.0], "b": [2.0, 2.0, 3.0]},
        "right": {"a": [3, 2, 1], "b": [1, 1, 1]},
    }
    left, right = drawings.trends(panels, [0, 1, 2], "step").axes
    for axis, lines in zip((left, right), panels.values(), strict=True):
        assert {line.get_label(): list(line.get_ydata()) for line in axis.lines} == lines
        assert axis.get_yscale() == "log"
    assert left.get_legend() is None
    assert [text.get_text() for text in right.get_legend().get_texts()] == ["a", "b"]
    assert len({line.get_linestyle() for line in left.lines}) == 2  # told apart without colour
    different = drawings.trends({"l": {"a": [0, 1]}, "r": {"b": [5, 1]}}, [0, 1], "step", logarithmic=False)
    assert [axis.get_yscale() for axis in different.axes] == ["linear"] * 2
    assert all(axis.get_legend() for axis in different.axes)
    same = drawings.trends(panels, [0, 1, 2], "step", same_scale=True).axes
    assert same[0].get_ylim() == same[1].get_ylim()


def test_skipped_branches_are_hatched_and_counted():
    factors = torch.tensor([[1.25, 0, 1.25], [0, 0, 1.25]])
    [axes] = drawings.skipped_branches(factors).axes
    hatched = {
        (int(patch.get_y()), int(patch.get_x())) for patch in axes.patches if patch.get_hatch() is not None
    }
    assert len(axes.patches) == 6
    assert hatched == {(0, 1), (1, 0), (1, 1)}
    assert texts(axes) == ["2 of 3", "1 of 3"]


def test_shares_are_drawn_in_per_cent():
    parts = {"a": 50, "b": 30, "c": 15, "d": 4, "e": 1}
    left, right = drawings.shares_of_block(
        {"one": {"x": parts, "y": dict.fromkeys("abcde", 2_000)}, "two": {"x": parts, "y": parts}}
    ).axes
    widths = [bar.get_width() for bar in left.patches]
    assert widths[:5] == pytest.approx([50, 30, 15, 4, 1])
    assert widths[5:] == pytest.approx([20] * 5)
    assert left.patches[6].get_x() == pytest.approx(20)
    assert texts(left) == ["50 %", "30 %", "15 %", "100", *["20 %"] * 5, "10,000"]
    assert left.yaxis_inverted()
    assert left.get_ylim() == right.get_ylim()
    assert len({bar.get_hatch() for bar in left.patches[1:4]}) == 3


def test_words_are_boxes_in_boxes():
    [axes] = drawings.nested_words({"s": [["a", "b"]], "t": [["m"], ["c", "d"]]}).axes
    assert texts(axes) == ["block", "a", "b", "s", "", "m", "block", "c", "d", "t"]
    boxes = [patch.get_bbox() for patch in axes.patches]
    inner, first, second, stage = boxes[0], boxes[1], boxes[2], boxes[3]
    for small, large in ((first, inner), (second, inner), (inner, stage)):
        assert large.x0 < small.x0 < small.x1 < large.x1
        assert large.y0 < small.y0 < small.y1 < large.y1
    assert boxes[-1].x0 > stage.x1


@pytest.mark.parametrize(("version", "shifted"), MODES)
def test_walk_is_the_blocks_own(explorer, version, shifted):
    """Each station follows from the one before, and the last is what the block returns."""
    stations = explorer.walks[version, shifted]
    maps = by_name(stations)
    assert [station.name for station in stations] == list(ORDER[version])
    assert all(station.map.shape[:2] == (28, 28) for station in stations)
    widths = {"queries, keys, values": 576, "expand, GELU": 768}
    assert {name: x.shape[2] for name, x in maps.items()} == {name: widths.get(name, 192) for name in maps}
    first, second = ("put together", "reduce") if version == 1 else ("norm 1", "norm 2")
    assert torch.allclose(maps["add the input"], maps["input"] + maps[first], atol=1e-12)
    assert torch.allclose(maps["add again"], maps["add the input"] + maps[second], atol=1e-12)
    before_norm = ("input", "add the input") if version == 1 else ("put together", "reduce")
    for norm, before in zip(("norm 1", "norm 2"), before_norm, strict=True):
        assert torch.allclose(maps[norm], torch.nn.functional.layer_norm(maps[before], (192,)), atol=1e-12)
    rolled = maps["norm 1" if version == 1 else "input"].roll((-3 * shifted, -3 * shifted), (0, 1))
    assert torch.equal(maps["cut into windows"], rolled)
    assert torch.equal(maps["put together"], maps["linear layer"].roll((3 * shifted, 3 * shifted), (0, 1)))
    block = {1: SwinBlock, 2: SwinBlockV2}[version](192, 6, 7, 3 * shifted)
    with torch.no_grad():
        set_weights(block)
        assert torch.equal(block(maps["input"][None])[0], maps["add again"])
        vectors = maps["cut into windows"] @ block.attention.qkv.weight.T
        assert torch.allclose(vectors, maps["queries, keys, values"], atol=1e-12)
        assert torch.allclose(block.attention.project(maps["attention"]), maps["linear layer"], atol=1e-12)
        assert torch.allclose(block.mlp.reduce(maps["expand, GELU"]), maps["reduce"], atol=1e-12)


@pytest.mark.parametrize(("version", "kind"), [(1, SwinBlock), (2, SwinBlockV2)])
def test_costs_are_those_that_torch_counts(explorer, version, kind):
    with torch.device("meta"):
        block, x = kind(192, 6, 7), torch.empty(1, 28, 28, 192)
    with FlopCounterMode(display=False) as counter:
        block(x)
    stations = explorer.walks[version, 0]
    assert sum(station.multiply_adds for station in stations) == counter.get_total_flops() // 2
    assert sum(station.parameters for station in stations) == sum(p.numel() for p in block.parameters())
    costs = {station.name: (station.parameters, station.multiply_adds) for station in stations}
    assert costs["reduce"] == (4 * 192**2 + 192, 28**2 * 4 * 192**2)
    assert costs["norm 2"] == (384, 0)
    assert costs["add again"] == (0, 0)


def test_sums_begin_at_the_input_and_at_the_first_sum():
    assert sums(1) == [(0, 7), (7, 11)]
    assert sums(2) == [(0, 7), (7, 11)]


def test_a_station_in_words(explorer):
    explorer.version, explorer.shifted, explorer.station, explorer.channel = 1, 1, 3, 2
    shown = by_name(explorer.stations)["cut into windows"]
    assert explorer.describe() == (
        "Version 1, shifted windows, station 3 of 12: cut into windows. "
        "The map is rolled by 3 tokens, then cut into 16 windows of 49. "
        f"28 × 28 × 192 numbers, standard deviation {shown.std(correction=0):.2f}; "
        f"channel 2 from {shown[..., 2].min():.2f} to {shown[..., 2].max():.2f}. "
        "This step: 0 parameters, 0.0 million multiply-adds."
    )
    explorer.shifted, explorer.version, explorer.station = 0, 2, 6
    assert "station 6 of 12: put together. The windows become a map again. " in explorer.describe()


@pytest.mark.parametrize(("version", "shifted"), MODES)
def test_still_picture_draws_the_station(explorer, version, shifted):
    explorer.version, explorer.shifted, explorer.channel = version, shifted, 1
    for number in (1, 4, 7, 12):
        explorer.station = number
        station = explorer.walks[version, shifted][number - 1]
        listed, shown = explorer.still().axes
        values = station.map[..., 1]
        drawn = np.asarray(shown.images[0].get_array()) / 255
        assert np.allclose(
            drawn, (values - values.min()) / (values.max() - values.min()), atol=0.5 / 255 + 1e-9
        )
        assert f"{number}  {station.name}" in texts(listed)
        deviations = [f"{s.map.std(correction=0):.2f}" for s in explorer.walks[version, shifted]]
        assert texts(listed)[1:24:2] == deviations
        assert shown.get_title().startswith(station.name)
    explorer.version, explorer.shifted, explorer.station, explorer.channel = 1, 0, 3, 0


def test_lines_over_the_map():
    every = [0, 7, 14, 21, 28]
    for name in ORDER[1]:
        inside = name in IN_WINDOWS
        moved = {"put together": [3, 10, 17, 24]}.get(name)
        assert [edges for edges, _ in window_edges(name, 0)] == ([every] if inside or moved else [])
        assert [edges for edges, _ in window_edges(name, 1)] == (
            [every, [25]] if inside else [moved] if moved else []
        )


def test_what_is_sent_is_the_same_on_every_processor(explorer):
    """Double precision, and weights that are multiples of 1/1024: rounding to 255 steps hides the rest."""
    assert all(s.map.dtype == torch.double for stations in explorer.walks.values() for s in stations)
    before = torch.random.get_rng_state()
    again = Block(IMAGE).stored()
    assert torch.equal(before, torch.random.get_rng_state())
    assert json.dumps(again) == json.dumps(Block(IMAGE).stored())


def test_other_images_are_refused():
    with pytest.raises(ValueError, match=r"image has shape \(3, 100, 224\); the block takes \(3, 224, 224\)"):
        Block(torch.rand(3, 100, 224))


def test_page_says_and_draws_what_python_does_for_every_setting(page, explorer):
    load(page, "block.js", ["describe", "values", "sums", "edges", "records", "unpack", "decode"])
    settings = [
        {"version": version, "shifted": shifted, "station": station, "channel": channel}
        for (version, shifted), station, channel in itertools.product(MODES, range(1, 13), range(4))
    ]
    answers = page.evaluate(
        """([arrays, settings]) => {
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        const data = unpack(arrays);
        return settings.map((state) => {
          const stations = records(state, data);
          const lines = edges(stations[state.station - 1].name, state.shifted);
          return [describe(state, data), values(state, data), sums(stations), lines];
        }); }""",
        [explorer.stored()["arrays"], settings],
    )
    for state, (sentence, values, ends, lines) in zip(settings, answers, strict=True):
        with explorer.hold_trait_notifications():
            for name, value in state.items():
                setattr(explorer, name, value)
        station = explorer.stations[state["station"] - 1]
        assert sentence == explorer.describe()
        assert np.allclose(np.reshape(values, (28, 28)), station.channel(state["channel"]) / 255, atol=1e-12)
        assert [tuple(pair) for pair in ends] == sums(state["version"])
        expected = [edges for edges, _ in window_edges(station.name, state["shifted"])]
        assert [edges for edges in (lines["windows"], lines["seam"]) if edges] == expected


def test_page_paints_the_map(page, explorer):
    state = {"version": 1, "shifted": 0, "station": 1, "channel": 3}
    show_live(page, Block(IMAGE, **state))
    drawn = canvas_pixels(page).astype(int)
    values = explorer.walks[1, 0][0].channel(3)
    low, high = (
        np.unravel_index(values.argmin(), values.shape),
        np.unravel_index(values.argmax(), values.shape),
    )
    for (row, column), color in ((low, [0, 34, 78]), (high, [254, 232, 56])):
        assert np.abs(drawn[34 + 12 * row + 6, 396 + 12 * column + 6] - color).max() <= 3


def test_pointing_at_the_list_chooses_the_station(page):
    show_live(page, Block(IMAGE))
    box = page.locator("canvas").bounding_box()
    slider = page.get_by_role("slider", name="Station", exact=True)
    page.mouse.move(box["x"] + 100, box["y"] + 34 + 28 * 9.5)
    assert slider.get_attribute("aria-valuetext") == "station 10 of 12: expand, GELU"
    page.mouse.move(box["x"] + 600, box["y"] + 40)  # over the map nothing changes
    assert slider.get_attribute("aria-valuetext") == "station 10 of 12: expand, GELU"
    page.mouse.move(box["x"] + 100, box["y"] + 34 + 14)
    assert slider.get_attribute("aria-valuetext") == "station 1 of 12: input"
