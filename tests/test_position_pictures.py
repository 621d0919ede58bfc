"""Chapter 5's figures draw the data that they were given; its explorer computes what the package computes."""

import itertools

import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, show_live
from matplotlib.colors import to_hex

from swin_edu.book import drawings
from swin_edu.book.explorers import Position
from swin_edu.book.explorers.position import HEADS, LARGEST, hand_made_tables
from swin_edu.book.images import sample_image
from swin_edu.book.style import BLUE
from swin_edu.position import RelativePositionBias, relative_position_index

IMAGE = sample_image()
SMALL = torch.rand(3, 20, 20, generator=torch.Generator().manual_seed(0)) / 2 + 0.5
TOP, SIDE, LEFTS = 32, 238, {"table": 8, "bias": 261, "photo": 514}  # as PANEL in position.js


def drawn_array(axes, index=0):
    return np.ma.filled(np.ma.asarray(axes.images[index].get_array(), dtype=float), np.nan)


def texts(axes):
    return {text.get_text(): text.get_position() for text in axes.texts}


def marks(axes):
    """Return (x, y, width, height) of what is outlined in blue."""
    outlines = [patch for patch in axes.patches if to_hex(patch.get_edgecolor()) == BLUE]
    return [patch.get_bbox().bounds for patch in outlines]


def bias_of(table):
    """Return the bias `(N, N)` that the package makes of a table `(2M - 1, 2M - 1)`."""
    layer = RelativePositionBias((len(table) + 1) // 2, 1)
    with torch.no_grad():
        layer.table.copy_(table.reshape(-1, 1))
    return layer()[0].detach()


def light(drawn, image, window, token):
    """Return how bright a token of a picture is drawn: the factor on its pixels."""
    size = image.shape[1] // window
    y, x = divmod(token, window)
    place = slice(y * size, (y + 1) * size), slice(x * size, (x + 1) * size)
    factor = drawn[place] / image.permute(1, 2, 0).numpy()[place]
    assert np.ptp(factor) < 1e-5
    return factor.mean()


@pytest.mark.parametrize("query", [(0, 0), (3, 1), (4, 4)])
def test_table_cuts_draw_the_packages_bias(query):
    table = torch.randn(9, 9, generator=torch.Generator().manual_seed(1))
    whole, turned, photograph = drawings.table_cuts(SMALL, table, [query]).axes
    row, column = query
    bias = bias_of(table)[row * 5 + column]
    assert np.allclose(drawn_array(whole), table)
    assert np.allclose(drawn_array(turned), bias.view(5, 5))
    assert whole.images[0].get_clim() == turned.images[0].get_clim()
    assert marks(whole) == [(column, row, 5, 5)]
    assert marks(turned) == [(column, row, 1, 1)]
    assert marks(photograph) == [(4 * column, 4 * row, 4, 4)]
    for letter in "ABCD":  # a letter stands at the same value on both sides
        (x, y), (u, v) = texts(whole)[letter], texts(turned)[letter]
        assert table[int(y), int(x)] == bias.view(5, 5)[int(v), int(u)]
    weights = bias.softmax(0)
    for token in range(25):
        expected = 0.3 + 0.7 * (weights[token] / weights.max()).item()
        assert light(drawn_array(photograph), SMALL, 5, token) == pytest.approx(expected, abs=1e-4)


def test_attention_on_photograph_writes_the_largest_weight_where_it_is():
    weights = torch.rand(5, 5, generator=torch.Generator().manual_seed(2))
    weights[1, 3] = 2
    weights /= weights.sum()
    first, second = drawings.attention_on_photograph(SMALL, {"a": weights, "b": weights.T}, (2, 0)).axes
    assert [axis.get_title() for axis in (first, second)] == ["a", "b"]
    assert texts(first) == {f"{100 * weights.max():.0f} %": (3.5 * 4, 1.5 * 4)}
    assert texts(second) == {f"{100 * weights.max():.0f} %": (1.5 * 4, 3.5 * 4)}
    assert marks(first) == marks(second) == [(0, 8, 4, 4)]
    assert light(drawn_array(first), SMALL, 5, 8) == pytest.approx(1)


def test_a_picture_that_no_window_divides_is_lit_too():
    [axes] = drawings.attention_on_photograph(SMALL, {"a": torch.eye(3)}, (0, 0)).axes
    assert np.allclose(drawn_array(axes)[:6, :6], SMALL.permute(1, 2, 0)[:6, :6])
    assert np.allclose(drawn_array(axes)[14:, :6], 0.3 * SMALL.permute(1, 2, 0)[14:, :6])


def test_shuffled_window_moves_the_tokens_and_the_mark():
    order = torch.randperm(25, generator=torch.Generator().manual_seed(3))
    before, after = torch.rand(25, 25), torch.rand(25, 25)
    plain, seen, shuffled, seen_after = drawings.shuffled_window(SMALL, order, before, after, token=7).axes
    assert np.allclose(drawn_array(plain), SMALL.permute(1, 2, 0))
    for new, old in enumerate(order.tolist()):
        (y, x), (v, u) = divmod(new, 5), divmod(old, 5)
        expected = drawn_array(plain)[4 * v : 4 * v + 4, 4 * u : 4 * u + 4]
        assert np.allclose(drawn_array(shuffled)[4 * y : 4 * y + 4, 4 * x : 4 * x + 4], expected)
    new = order.tolist().index(7)
    assert np.allclose(drawn_array(seen).ravel(), before[7])
    assert np.allclose(drawn_array(seen_after).ravel(), after[new])
    assert marks(plain) == [(8, 4, 4, 4)]
    assert marks(seen_after) == [(new % 5, new // 5, 1, 1)]
    assert seen.images[0].get_clim() == seen_after.images[0].get_clim()


def test_same_offset_draws_an_arrow_from_query_to_key():
    pairs = {(0, 1): [((0, 1), (0, 0)), ((2, 2), (2, 1))], (1, -1): [((1, 0), (0, 1))]}
    first, second = drawings.same_offset(pairs, window=3).axes
    assert [(text.xyann, text.xy) for text in first.texts] == [((1, 0), (0, 0)), ((2, 2), (1, 2))]
    assert [(text.xyann, text.xy) for text in second.texts] == [((0, 1), (1, 0))]
    assert [axis.get_title() for axis in (first, second)] == [
        "offset (0, 1): 2 pairs",
        "offset (1, −1): 1 pair",
    ]


def test_pair_numbers_writes_them():
    numbers = torch.tensor([[0, -1], [2, 3]])
    [axes] = drawings.pair_numbers({"numbers": numbers}).axes
    assert np.array_equal(drawn_array(axes), numbers)
    assert texts(axes) == {"0": (0.5, 0.5), "−1": (1.5, 0.5), "2": (0.5, 1.5), "3": (1.5, 1.5)}


def test_pair_matrices_are_ruled_by_the_window():
    index, other = relative_position_index(3), torch.rand(4, 4)
    first, second = drawings.pair_matrices({"index": index, "other": other}).axes
    assert np.array_equal(drawn_array(first), index)
    assert np.allclose(drawn_array(second), other)
    ruled = [[line[0][0] for line in axis.collections[0].get_segments()] for axis in (first, second)]
    assert ruled == [[0, 3, 6, 9], [0, 2, 4]]
    assert (first.get_xlabel(), first.get_ylabel()) == ("9 keys", "9 queries")


def test_offset_tables_share_a_scale_and_hatch_the_unknown():
    small, large = torch.randn(3, 3), torch.full((5, 5), torch.nan)
    large[1:4, 1:4] = 7.0
    first, second, _ = drawings.offset_tables({"small": small, "large": large}).axes
    assert np.allclose(drawn_array(first), small)
    assert np.allclose(drawn_array(second), large, equal_nan=True)
    assert first.images[0].get_clim() == second.images[0].get_clim() == (-7, 7)
    assert list(first.images[0].get_extent()) == [-1.5, 1.5, 1.5, -1.5]
    hatched = {patch.get_xy() for patch in second.patches if patch.get_hatch()}
    rim = [(x, y) for x in range(-2, 3) for y in range(-2, 3) if max(abs(x), abs(y)) == 2]
    assert hatched == {(x - 0.5, y - 0.5) for x, y in rim}


def test_use_counts_writes_each_count_at_its_offset():
    counts = torch.arange(9).reshape(3, 3)
    [axes] = drawings.use_counts(counts).axes
    assert np.array_equal(drawn_array(axes), counts)
    assert texts(axes) == {str(3 * (y + 1) + x + 1): (x, y) for y in (-1, 0, 1) for x in (-1, 0, 1)}
    assert axes.get_title().endswith("all together 36")


@pytest.mark.parametrize(("first", "band"), [(-5, (-3, 3)), (0, (0, 3))])
def test_curves_draw_their_points_and_the_known_band(first, band):
    x = torch.arange(first, 6)
    panels = {"one": {"a": (x, x + 1.0), "b": (x, 2.0 * x)}, "two": {"a": (x, x * 0.0)}}
    one, two = drawings.curves(panels, "offset", "bias", known=3).axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in one.lines}
    assert drawn == {"a": [[v, v + 1] for v in x.tolist()], "b": [[v, 2 * v] for v in x.tolist()]}
    assert two.lines[0].get_ydata().tolist() == [0] * len(x)
    [grey] = one.patches
    assert (grey.get_x(), grey.get_x() + grey.get_width()) == band
    assert one.get_yscale() == "linear"


def test_curves_on_a_logarithmic_axis():
    [axes] = drawings.curves({"": {"a": (torch.arange(3), torch.ones(3))}}, "x", "y", logarithmic=True).axes
    assert axes.get_yscale() == "log"
    assert not axes.patches


def every_setting():
    for window, head in itertools.product(range(2, LARGEST + 1), range(1, len(HEADS) + 1)):
        for row, column in itertools.product(range(window), repeat=2):
            yield {"window": window, "row": row, "column": column, "head": head}


def stand(explorer, state):
    for name, value in state.items():
        if getattr(explorer, name) != value:
            setattr(explorer, name, value)


def test_hand_made_tables_do_what_their_names_say():
    near, left, same_row, far = hand_made_tables()
    middle = LARGEST - 1
    assert near.argmax() == same_row[middle].argmax() + middle * near.shape[1] + middle
    assert left.count_nonzero() == 1
    assert left[middle, middle + 1] > 0
    assert (same_row[middle] == 0).all()
    assert (same_row[middle + 1] < 0).all()
    assert far.argmax() == 0


def test_explorer_equals_the_layer():
    explorer = Position(IMAGE)
    for state in (
        {"window": 7, "row": 6, "column": 2, "head": 1},
        {"window": 2, "row": 0, "column": 1, "head": 4},
    ):
        stand(explorer, state)
        bias = bias_of(explorer.table())[state["row"] * state["window"] + state["column"]]
        assert torch.equal(explorer.bias(), bias)
        assert torch.allclose(explorer.weights(), bias.double().softmax(0))
    full = hand_made_tables()
    stand(explorer, {"window": LARGEST, "head": 3})
    assert torch.equal(explorer.table(), full[2])
    stand(explorer, {"window": 3, "head": 2})
    assert torch.equal(explorer.table(), full[1, 9:14, 9:14])


def test_page_equals_python_for_every_setting(page):
    load(page, "position.js", ["entries", "table", "bias", "weights", "describe", "unpack", "decode"])
    explorer = Position(IMAGE)
    asked = list(every_setting())
    answers = page.evaluate(
        """([arrays, asked]) => {
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        const data = unpack(arrays);
        return asked.map((s) => [entries(s), bias(s, data), weights(s, data), describe(s, data)]); }""",
        [explorer.stored()["arrays"], asked],
    )
    assert len(answers) == 4 * sum(window**2 for window in range(2, LARGEST + 1))
    indices = {window: relative_position_index(window) for window in range(2, LARGEST + 1)}
    for state, (entries, bias, weights, sentence) in zip(asked, answers, strict=True):
        stand(explorer, state)
        index = indices[state["window"]][state["row"] * state["window"] + state["column"]]
        expected = explorer.table().flatten()[index]
        assert entries == index.tolist(), state
        assert bias == expected.tolist(), state
        assert np.allclose(weights, expected.double().softmax(0), rtol=0, atol=1e-12), state
        assert sentence == explorer.describe()


def test_still_draws_the_present_state():
    explorer = Position(IMAGE, window=4, row=1, column=3, head=4)
    whole, turned, photograph = explorer.still().axes
    assert np.allclose(drawn_array(whole), explorer.table())
    assert np.allclose(drawn_array(turned).ravel(), explorer.bias())
    assert marks(photograph) == [(168, 56, 56, 56)]


def test_limits_follow_the_window():
    explorer = Position(IMAGE, window=3, row=11, column=11)
    assert explorer.state == {"window": 3, "row": 2, "column": 2, "head": 1}
    assert "row 2, column 2 uses rows 2 to 4, columns 2 to 4" in explorer.describe()


@pytest.mark.parametrize("shape", [(3, 100, 224), (1, 224, 224), (3, 448, 448)])
def test_other_images_are_refused(shape):
    with pytest.raises(ValueError) as problem:
        Position(torch.rand(shape))
    assert str(problem.value) == f"image has shape {shape}; the explorer takes (3, 224, 224)"


def signed_rgb(share):
    end = np.array([0, 114, 178] if share < 0 else [230, 159, 0])
    return 255 + min(1, abs(share)) * (end - 255)


@pytest.mark.parametrize(
    "state",
    [
        {"window": 12, "row": 3, "column": 10, "head": 1},
        {"window": 7, "row": 6, "column": 0, "head": 4},
        {"window": 3, "row": 0, "column": 2, "head": 3},
    ],
)
def test_canvas_shows_table_bias_and_attention(page, state):
    explorer = Position(IMAGE, **state)
    show_live(page, explorer)
    drawn, window = canvas_pixels(page).astype(float), state["window"]
    highest = explorer.table().abs().max().item()
    maps = {"table": explorer.table(), "bias": explorer.bias().view(window, window)}
    for name, values in maps.items():
        step = SIDE / len(values)
        matching = 0
        for (y, x), value in np.ndenumerate(values.numpy()):
            # right of the middle of the upper half: beside the numbers, the letters and the outline
            pixel = drawn[int(TOP + (y + 0.3) * step), int(LEFTS[name] + (x + 0.75) * step)]
            matching += np.abs(pixel - signed_rgb(value / highest)).max() <= 3
        assert matching >= 0.9 * values.numel(), name
    weights = explorer.weights().view(window, window)
    photo = IMAGE.permute(1, 2, 0).numpy() * 255
    step, close = SIDE / window, 0
    for (y, x), weight in np.ndenumerate(weights.numpy()):
        inside = [
            slice(int(start) + 4, int(start + step) - 4)
            for start in (TOP + y * step, LEFTS["photo"] + x * step)
        ]
        pixels = [
            slice(int(place * 224 / window) + 4, int((place + 1) * 224 / window) - 4) for place in (y, x)
        ]
        expected = photo[tuple(pixels)].mean((0, 1)) * (0.3 + 0.7 * weight / weights.max().item())
        close += np.abs(drawn[tuple(inside)].mean((0, 1)) - expected).max() < 12
    assert close >= 0.9 * window**2


def test_outlines_stand_at_the_cut_and_at_the_query(page):
    show_live(page, Position(IMAGE, window=7, row=2, column=5, head=2))
    blue = (canvas_pixels(page) == [0, 114, 178]).all(-1)
    small, large = SIDE / 13, SIDE / 7
    for left, x, y, side in (
        (LEFTS["table"], 5 * small, 2 * small, 7 * small),
        (LEFTS["bias"], 5 * large, 2 * large, large),
        (LEFTS["photo"], 5 * large, 2 * large, large),
    ):
        rows, columns = np.nonzero(blue[:, left - 4 : left + SIDE + 4])
        box = [columns.min() - 4, rows.min() - TOP, columns.max() - 4, rows.max() - TOP]
        assert np.allclose(box, [x, y, x + side, y + side], atol=2.5)


@pytest.mark.parametrize("panel", ["bias", "photo"])
def test_pointing_chooses_the_query(page, panel):
    show_live(page, Position(IMAGE, window=7, row=0, column=0))
    box = page.locator("canvas").bounding_box()
    scale = box["width"] / 760
    page.mouse.move(
        box["x"] + scale * (LEFTS[panel] + SIDE * 2.5 / 7), box["y"] + scale * (TOP + SIDE * 5.5 / 7)
    )
    sentence = page.locator(".swin-explorer p").inner_text()
    assert "The query in row 5, column 2 uses rows 5 to 11, columns 2 to 8" in sentence
    page.mouse.move(box["x"] + scale * (LEFTS["table"] + 100), box["y"] + scale * (TOP + 100))
    assert page.locator(".swin-explorer p").inner_text() == sentence  # the table is not a window
    row, column = (page.get_by_role("slider", name=f"{name} of the query") for name in ("Row", "Column"))
    assert row.get_attribute("aria-valuetext") == "row 5 of 7, counted from 0"
    assert column.get_attribute("aria-valuetext") == "column 2 of 7, counted from 0"


def test_sliders_speak(page):
    show_live(page, Position(IMAGE, window=7))
    window, head = (page.get_by_role("slider", name=name) for name in ("Window size M", "Head"))
    assert window.get_attribute("aria-valuetext") == "7 by 7 tokens, 169 offsets"
    assert head.get_attribute("aria-valuetext") == "head 1, near"
