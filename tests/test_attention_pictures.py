"""The figures of chapter 2 draw what they were given; its explorer computes what the package does."""

import itertools
import math

import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, show_live
from matplotlib.colors import LogNorm

from swin_edu.attention import attend
from swin_edu.book import drawings
from swin_edu.book.explorers import Attention
from swin_edu.book.explorers.attention import KINDS, SCALES, heaviest_half
from swin_edu.book.images import sample_image
from swin_edu.book.style import BLUE

IMAGE = sample_image("flower")
SMALL = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def drawn_array(axes, index=0):
    return np.asarray(axes.images[index].get_array())


def test_named_patches_marks_each_and_writes_its_token():
    tokens = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    photo, table = drawings.named_patches(
        SMALL, {"leaf": (0, 3), "petal": (2, 1)}, 8, tokens, ["a", "b"]
    ).axes
    assert np.array_equal(drawn_array(photo), SMALL.permute(1, 2, 0).numpy())
    assert {patch.get_xy() for patch in photo.patches} == {(24, 0), (8, 16)}
    assert texts(photo) == ["A", "B"]
    assert texts(table) == ["1", "−2", "0", "3"]
    assert [label.get_text() for label in table.get_yticklabels()] == ["A  leaf", "B  petal"]
    assert [label.get_text() for label in table.get_xticklabels()] == ["a", "b"]


def test_tables_write_every_number_and_frame_the_query():
    dots = torch.tensor([[2.0, -1.0], [-1.0, 4.0]])
    numbers = {"dots": dots, "halves": dots / 2 - 0.001, "weights": torch.tensor([[1.0, 0.0], [0.25, 0.75]])}
    first, second, third, later = drawings.tables(numbers | {"later": 3}, query=1).axes
    assert [axis.get_title() for axis in (first, second, third, later)] == [*numbers, "later"]
    assert texts(first) == ["2", "−1", "−1", "4"]
    assert texts(second) == ["1.00", "−0.50", "−0.50", "2.00"]
    assert texts(third) == ["1.00", "", "0.25", "0.75"]
    assert [len(axis.images) for axis in (first, later)] == [1, 0]
    assert np.array_equal(drawn_array(first), dots.numpy())
    assert {patch.get_bbox().bounds for patch in first.patches} == {(0, 1, 2, 1)}
    assert [patch.get_bbox().bounds for patch in third.patches if patch.get_hatch()] == [(1, 0, 1, 1)]
    assert third.images[0].get_clim() == (0, 1)
    assert sum(first.images[0].get_clim()) == 0


def test_a_number_that_rounds_to_zero_has_no_sign():
    [axes] = drawings.tables({"small": torch.tensor([[-0.001, 0.5], [-0.0, -1.0]])}).axes
    assert texts(axes) == ["0.00", "0.50", "0.00", "−1.00"]


def test_heads_apart_gives_each_head_its_colour():
    tokens = torch.arange(12).reshape(2, 6)
    whole, *heads = drawings.heads_apart(tokens, tokens.reshape(2, 3, 2).transpose(0, 1)).axes
    assert texts(whole) == [str(i) for i in range(12)]
    assert [texts(axis) for axis in heads] == [
        ["0", "1", "6", "7"],
        ["2", "3", "8", "9"],
        ["4", "5", "10", "11"],
    ]
    assert [axis.get_title() for axis in (whole, heads[1])] == ["tokens: 2 × 6", "head 2: 2 × 2"]
    colour_of = {
        text.get_text(): patch.get_facecolor() for text, patch in zip(whole.texts, whole.patches, strict=True)
    }
    assert len(set(colour_of.values())) == 3
    for axis in heads:
        for text, patch in zip(axis.texts, axis.patches, strict=True):
            assert patch.get_facecolor() == colour_of[text.get_text()]


@pytest.mark.parametrize("places", [[(0, 3), (2, 1)], [(2, 1)]])
def test_attention_maps_draw_weights_and_queries(places):
    maps = {"first": torch.rand(4, 4), "second": torch.rand(4, 4) / 9}
    photo, *axes = drawings.attention_maps(SMALL, maps, places, patch=8).axes
    assert texts(photo) == ["A", "B"][: len(places)]
    for index, (axis, (title, weights)) in enumerate(zip(axes, maps.items(), strict=True)):
        row, column = places[index % len(places)]
        assert axis.get_title() == title
        assert np.array_equal(drawn_array(axis), weights.numpy())
        assert axis.images[0].get_clim() == (0, weights.max().item())
        assert {patch.get_xy() for patch in axis.patches} == {(column, row)}


def test_width_of_queries_draws_both_lines_in_every_panel():
    plain, scaled = {"a": [1.0, 4.0], "b": [0.5, 0.9]}, {"a": [1.0, 1.0], "b": [0.5, 0.5]}
    axes = drawings.width_of_queries([1, 4], plain, scaled).axes
    for axis in axes:
        drawn = {line.get_label(): line.get_xydata().tolist() for line in axis.lines}
        title = axis.get_title()
        assert drawn == {
            "q · k": [[1, plain[title][0]], [4, plain[title][1]]],
            "q · k / √D": [[1, scaled[title][0]], [4, scaled[title][1]]],
        }
    assert [axis.get_title() for axis in axes] == ["a", "b"]


def test_two_normalisations_draw_quotient_and_softmax():
    axes = drawings.two_normalisations({"one": [2.0, 1.0, -1.0], "none": [2.0, -1.0, -1.0]}).axes
    heights = [[patch.get_height() for patch in axis.patches] for axis in axes]
    assert heights[0] == [2, 1, -1]
    assert heights[2] == [1, 0.5, -0.5]
    assert np.allclose(heights[4], torch.tensor([2.0, 1.0, -1.0]).softmax(0), atol=1e-6)
    assert texts(axes[2]) == ["1.00", "0.50", "−0.50"]
    assert texts(axes[3]) == ["none"] * 3
    assert heights[3] == [0, 0, 0]
    assert sum(heights[5]) == pytest.approx(1)
    assert [axis.get_title() for axis in axes[:2]] == ["one", "none"]


def test_who_noticed_leaves_unchanged_tokens_white():
    before, after = torch.zeros(4, 4), torch.full((4, 4), 0.01)
    before[1, 2] = 2.0
    photo, *maps, _ = drawings.who_noticed(SMALL, (1, 2), 8, {"before": before, "after": after}).axes
    assert np.array_equal(drawn_array(photo), SMALL.permute(1, 2, 0).numpy())
    shown = np.ma.filled(maps[0].images[0].get_array(), math.nan)
    assert np.isnan(shown).sum() == 15
    assert shown[1, 2] == 2
    assert np.allclose(drawn_array(maps[1]), 0.01)
    for axis in maps:
        assert isinstance(axis.images[0].norm, LogNorm)
        assert np.allclose(axis.images[0].get_clim(), (0.01, 2))
    assert {patch.get_xy() for patch in photo.patches} == {(16, 8)}


def test_cost_of_attention_writes_the_exponents():
    counts = {"all": [20, 300], "linear layers": [10, 100]}
    counted, timed = drawings.cost_of_attention([10, 100], counts, {10: 0.1, 100: 10.0}, "a machine").axes
    drawn = {line.get_label(): line.get_xydata().tolist() for line in counted.lines}
    assert drawn == {"all": [[10, 20], [100, 300]], "linear layers": [[10, 10], [100, 100]]}
    assert timed.lines[0].get_xydata().tolist() == [[10, 0.1], [100, 10]]
    assert texts(timed) == ["N^2.0"]
    assert timed.get_title() == "measured on a machine"


@pytest.fixture(scope="module")
def explorer():
    return Attention(IMAGE)


def set_state(explorer, **state):
    with explorer.hold_trait_notifications():
        for name, value in state.items():
            setattr(explorer, name, value)


def means_shown(explorer):
    return explorer.outputs(explorer.kind, explorer.scale)


def features_by_hand(kind):
    """Colours and places around 0, with a mean squared length of 1."""
    colours = IMAGE.double().reshape(3, 28, 8, 28, 8).mean((2, 4)).reshape(3, 784).T
    places = torch.tensor([[row, column] for row in range(28) for column in range(28)]).double()
    chosen = {1: [colours], 2: [places], 3: [colours, places]}[kind]
    centred = [x - x.mean(0) for x in chosen]
    return colours, torch.cat([x / (x**2).sum(1).mean().sqrt() for x in centred], 1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scale", [0, 1, 16, 64])
def test_weights_are_a_softmax_of_distances(explorer, kind, scale):
    """The softmax does not see what all keys of a query share: the logits may be minus half the distances."""
    set_state(explorer, kind=kind, scale=scale, row=9, column=12)
    colours, features = features_by_hand(kind)
    distances = (features[:, None] - features).square().sum(-1)
    expected = (-scale / 2 * distances).softmax(-1)
    assert torch.allclose(explorer.weights(), expected[9 * 28 + 12], rtol=0, atol=1e-5)
    assert torch.allclose(means_shown(explorer), expected @ colours, rtol=0, atol=1e-4)


def test_the_output_is_what_attend_gives(explorer):
    set_state(explorer, kind=1, scale=8, row=3, column=20)
    _, f = features_by_hand(1)
    q = torch.cat([f, torch.ones(784, 1)], 1)
    k = torch.cat([f, -f.square().sum(1, keepdim=True) / 2], 1)
    v = torch.cat([explorer.values.double(), torch.ones(784, 1)], 1)
    output = attend(*(x[None, None] for x in (q, k, v)), scale=8.0)[0, 0]
    assert torch.allclose(means_shown(explorer), output[:, :3], rtol=0, atol=1e-5)


def test_heaviest_half():
    assert heaviest_half(torch.full((784,), 1 / 784)) == 392
    assert heaviest_half(torch.tensor([0.1, 0.6, 0.3])) == 1
    assert heaviest_half(torch.tensor([0.3, 0.4, 0.3])) == 2


def test_a_scale_of_zero_gives_the_mean_colour(explorer):
    set_state(explorer, kind=3, scale=0, row=0, column=0)
    assert torch.allclose(
        means_shown(explorer), IMAGE.mean((1, 2)).double().expand(784, 3), rtol=0, atol=1e-5
    )
    assert "gives half of its weight to 392 of 784 patches, 0.00 to itself" in explorer.describe()


def test_bad_images_get_one_sentence():
    with pytest.raises(ValueError) as problem:
        Attention(torch.rand(3, 100, 224))
    assert str(problem.value) == "image has shape (3, 100, 224); attention takes (3, 224, 224)"


@pytest.mark.parametrize("kind", KINDS)
def test_still_picture_draws_the_four_steps(explorer, kind):
    set_state(explorer, kind=kind, scale=4, row=5, column=25)
    photo, logits, weights, outputs, bar, swatch = explorer.still().axes
    assert np.array_equal(drawn_array(photo), explorer.photo)
    assert np.allclose(drawn_array(logits).ravel(), explorer.logits())
    assert logits.images[0].get_clim() == (-20, 20)
    own = explorer.weights()
    assert np.allclose(drawn_array(weights).ravel(), own)
    assert weights.images[0].get_clim() == (0, own.max().item())
    assert np.allclose(drawn_array(outputs).reshape(-1, 3), means_shown(explorer))
    widths = [patch.get_width() for patch in bar.patches]
    assert np.allclose(widths, own.sort(descending=True).values)
    colours = np.array([patch.get_facecolor()[:3] for patch in bar.patches])
    assert np.allclose(np.array(widths) @ colours, means_shown(explorer)[5 * 28 + 25], atol=1e-5)
    assert np.allclose(drawn_array(swatch)[0, 1], means_shown(explorer)[5 * 28 + 25])
    assert np.allclose(drawn_array(swatch)[0, 0], explorer.values[5 * 28 + 25])
    for axis, unit in ((photo, 8), (logits, 1), (weights, 1), (outputs, 1)):
        assert {patch.get_xy() for patch in axis.patches} == {(25 * unit, 5 * unit)}


def evaluate(page, explorer, program, *arguments):
    """Run a program in the page that may use `data`, the explorer's arrays as the page unpacks them."""
    return page.evaluate(
        f"""([arrays, ...given]) => {{
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        const data = unpack(arrays);
        return ({program})(data, ...given); }}""",
        [explorer.stored()["arrays"], *arguments],
    )


def test_page_equals_python_for_every_kind_and_scale(page, explorer):
    load(page, "attention.js", ["logits", "softmax", "mean", "outputs", "unpack", "decode"])
    states = [{"kind": kind, "scale": scale} for kind, scale in itertools.product(KINDS, SCALES)]
    answers = evaluate(
        page,
        explorer,
        """(data, states) => states.map((state) => {
        const scores = logits(264, state, data);
        const weights = softmax(scores);
        return [scores, weights, mean(weights, data), outputs(state, data)].map((x) => Array.from(x)); })""",
        states,
    )
    for state, (scores, weights, mean, means) in zip(states, answers, strict=True):
        set_state(explorer, row=9, column=12, **state)
        assert np.allclose(scores, explorer.logits(), rtol=0, atol=1e-9), state
        assert np.allclose(weights, explorer.weights(), rtol=0, atol=1e-9), state
        assert np.allclose(mean, means_shown(explorer)[264], rtol=0, atol=1e-9), state
        in_bytes = np.reshape(means, (784, 3)) / 255
        assert np.allclose(in_bytes, means_shown(explorer), rtol=0, atol=0.501 / 255), state


def test_page_says_what_python_says(page, explorer):
    load(page, "attention.js", ["describe", "unpack", "decode"])
    settings = itertools.product(KINDS, SCALES, range(0, 28, 9), range(0, 28, 9))
    states = [dict(zip(("kind", "scale", "row", "column"), setting, strict=True)) for setting in settings]
    sentences = evaluate(
        page, explorer, "(data, states) => states.map((state) => describe(state, data))", states
    )
    for state, sentence in zip(states, sentences, strict=True):
        set_state(explorer, **state)
        assert sentence == explorer.describe()


def panel(drawn, left):
    """The middle pixel of each of the 28 × 28 cells of a panel of the canvas."""
    places = [int((i + 0.5) * 176 / 28) for i in range(28)]
    return drawn[34:210, left : left + 176][np.ix_(places, places)].astype(int)


@pytest.mark.parametrize("kind", KINDS)
def test_page_draws_logits_weights_and_means(page, kind):
    explorer = Attention(IMAGE, kind=kind, scale=16, row=20, column=3)
    show_live(page, explorer)
    drawn = canvas_pixels(page)
    free = np.ones((28, 28), bool)
    free[19:22, 2:5] = False  # under the frame
    shares = np.clip(explorer.logits().reshape(28, 28, 1).numpy() / 20, -1, 1)
    ends = np.where(shares < 0, [0, 114, 178], [230, 159, 0])
    assert np.abs(panel(drawn, 197) - (255 + abs(shares) * (ends - 255)))[free].max() <= 2
    weights = explorer.weights().reshape(28, 28)
    brightness = panel(drawn, 386)[free].sum(-1)
    order = weights.numpy()[free].argsort()
    assert (np.diff(brightness[order]) >= -3).all()  # brighter for more weight
    assert brightness.max() - brightness.min() > 300
    means = means_shown(explorer).reshape(28, 28, 3).numpy() * 255
    assert np.abs(panel(drawn, 575) - means)[free].max() <= 2


def test_page_mixes_the_bar_into_the_output(page):
    explorer = Attention(IMAGE, kind=2, scale=4, row=14, column=20)
    show_live(page, explorer)
    drawn = canvas_pixels(page)
    mixed = drawn[270, 9:562].astype(float).mean(0) / 255
    assert np.allclose(mixed, means_shown(explorer)[14 * 28 + 20], atol=0.03)
    assert np.allclose(drawn[262, 700] / 255, means_shown(explorer)[14 * 28 + 20], atol=0.005)
    assert np.allclose(drawn[262, 610] / 255, explorer.values[14 * 28 + 20], atol=0.005)
    half = explorer.weights().sort(descending=True).values
    place = 8 + 555 * half[: heaviest_half(half)].sum().item()
    assert (drawn[252:255, int(place) - 1 : int(place) + 2] < 120).all(-1).any()


@pytest.mark.parametrize("left", [8, 197, 386, 575])
def test_pointing_at_any_panel_chooses_the_query(page, left):
    show_live(page, Attention(IMAGE))
    box = page.locator("canvas").bounding_box()
    unit = 176 / 28
    page.mouse.move(box["x"] + left + 4.5 * unit, box["y"] + 34 + 21.5 * unit)
    for name, expected in (("Row", 21), ("Column", 4)):
        slider = page.get_by_role("slider", name=f"{name} of the query")
        assert slider.get_attribute("aria-valuetext") == f"{name.lower()} {expected} of 28, counted from 0"
    page.mouse.move(box["x"] + left - 4, box["y"] + 40)  # between the panels
    page.mouse.move(box["x"] + left + 40, box["y"] + 230)  # below them
    slider = page.get_by_role("slider", name="Row of the query")
    assert slider.get_attribute("aria-valuetext") == "row 21 of 28, counted from 0"
    x, y = int(left + 4 * unit), int(34 + 21.5 * unit)
    blue = tuple(bytes.fromhex(BLUE[1:]))
    assert (canvas_pixels(page)[y, x - 2 : x + 3] == blue).all(-1).any()


def test_every_step_of_every_slider_changes_the_picture(page):
    show_live(page, Attention(IMAGE))
    for name in ("Comparison", "Scale of the logits", "Row of the query", "Column of the query"):
        slider = page.get_by_role("slider", name=name)
        slider.focus()
        page.keyboard.press("Home")
        before = canvas_pixels(page)
        for _ in range(int(slider.get_attribute("max"))):
            page.keyboard.press("ArrowRight")
            after = canvas_pixels(page)
            assert (after != before).any(), name
            before = after
