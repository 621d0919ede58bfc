"""The figures of chapter 13 draw what they were given; its explorer computes what the package does."""

import itertools
import math

import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, show_live
from matplotlib.colors import to_hex
from torch.utils.flop_counter import FlopCounterMode

from swin_edu.attention import attend
from swin_edu.book import drawings
from swin_edu.book.explorers import Approximation
from swin_edu.book.explorers.approximation import (
    KNOBS,
    METHODS,
    SIZES,
    matrix_of,
    misplaced,
    operations,
    photograph_tokens,
    pooling,
    settled_centroids,
)
from swin_edu.book.images import sample_image
from swin_edu.book.style import BLUE, INK, MUTED, ORANGE, PURPLE, SIGNED
from swin_edu.rivals.linformer import Linformer
from swin_edu.rivals.performer import Performer
from swin_edu.rivals.pyramid import Windows
from swin_edu.rivals.routing import Routing, members, on_sphere

IMAGE = sample_image("flower")
SMALL = torch.rand(3, 8, 16, generator=torch.Generator().manual_seed(0))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def shown(axes, index=0):
    return np.ma.getdata(axes.images[index].get_array())


def legend(drawn):
    [found] = drawn.legends
    return [text.get_text() for text in found.get_texts()]


def test_weights_share_the_scale_of_the_first_and_their_difference_has_a_sign():
    exact = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    other = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    axes = drawings.weight_matrices({"a": exact, "b": other}, difference=True).axes
    assert [place.get_title() for place in axes] == ["a", "b", "the difference"]
    assert np.allclose(shown(axes[0]) ** 2 * 0.75, exact)
    assert np.ma.getmaskarray(axes[1].images[0].get_array()).tolist() == [[False, True], [False, False]]
    assert np.allclose(shown(axes[1])[1] ** 2 * 0.75, other[1])
    assert [place.images[0].get_clim() for place in axes] == [(0, 1), (0, 1), (-1, 1)]
    assert np.allclose(shown(axes[2]) * abs(shown(axes[2])) * 0.75, other - exact)
    assert axes[2].images[0].get_cmap() == SIGNED and axes[0].images[0].get_cmap() != SIGNED
    assert [texts(place) for place in axes] == [
        ["dark 0 to bright 0.750"],
        ["same colours, cut above; white: not compared"],
        ["blue: too little, orange: too much"],
    ]
    [_, within] = drawings.weight_matrices({"a": exact, "b": exact / 2}).axes
    assert texts(within) == ["same colours"]
    assert len(drawings.weight_matrices({"a": exact, "b": other}).axes) == 2


def test_matrices_stand_side_by_side_to_one_scale():
    rows = {
        "first": {"tall": torch.rand(6, 2), "wide": torch.rand(1, 4) - 1},
        "second": {"square": torch.rand(3, 3)},
    }
    one, two = drawings.matrices_to_scale(rows).axes
    assert [one.get_title(loc="left"), two.get_title(loc="left")] == ["first", "second"]
    (l0, r0, b0, t0), (l1, r1, b1, t1) = (image.get_extent() for image in one.images)
    assert (r0 - l0, b0 - t0, r1 - l1, b1 - t1) == (2, 6, 4, 1)
    assert l1 > r0 and (t0 + b0) / 2 == (t1 + b1) / 2 == 3
    assert texts(one) == ["tall\n6 × 2", "wide\n1 × 4"] and texts(two) == ["square\n3 × 3"]
    assert [image.get_cmap() == SIGNED for image in one.images] == [False, True]
    for image, matrix in zip(one.images, rows["first"].values(), strict=True):
        assert np.allclose(image.get_array(), matrix / matrix.abs().max())
    assert one.get_xlim() == two.get_xlim()
    lengths = [place.get_position().height / abs(np.diff(place.get_ylim()).item()) for place in (one, two)]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.2)


def test_estimates_are_shares_of_the_truth_with_their_intervals():
    truth, means, halves = (torch.tensor(x) for x in ([1.0, 2.0], [1.5, 1.0], [0.5, 0.2]))
    left, right = drawings.estimates({"a": (truth, means, halves), "b": (truth, truth, halves)}).axes
    assert (left.get_title(), right.get_title()) == ("a", "b")
    [line, *_] = left.containers[0]
    assert np.allclose(line.get_xydata(), [[1, 1.5], [2, 0.5]])
    [bars] = left.containers[0][2]
    assert np.allclose([s[:, 1] for s in bars.get_segments()], [[1, 2], [0.4, 0.6]])
    assert set(left.lines[0].get_ydata()) == {1} and left.get_xscale() == "log"


def test_lines_keep_an_attention_s_colour_and_write_plain_numbers():
    exact, other = ([1, 10, 1000], [2.0, 1.0, 0.5]), ([1, 100, 1000], [1.0, 3.0, 5.0])
    panels = {"a": {"one": other, "exact": exact}, "b": {"Routing": other, "one": exact}}
    drawn = drawings.lines(panels, across="tokens", up="ms", dots={"one"}, note="measured on x")
    left, right = drawn.axes
    for place, series in zip((left, right), panels.values(), strict=True):
        for line, (name, points) in zip(place.lines, series.items(), strict=True):
            assert line.get_label() == name
            assert np.allclose(line.get_data(), points)
            assert (line.get_linestyle() == "None") == (name == "one")
    colors = {line.get_label(): to_hex(line.get_color()) for place in drawn.axes for line in place.lines}
    assert colors == {"one": BLUE, "exact": INK, "Routing": PURPLE}
    assert legend(drawn) == ["one", "exact", "Routing"]
    assert drawn.get_supxlabel() == "measured on x"
    assert (left.get_xlabel(), left.get_ylabel(), left.get_title()) == ("tokens", "ms", "a")
    assert left.get_xscale() == left.get_yscale() == "log"
    write = left.xaxis.get_major_formatter()
    assert [write(value) for value in (0.01, 1, 20, 65536)] == ["0.01", "1", "20", "65,536"]
    assert {1, 10, 100, 1000} <= set(left.get_xticks()) and 2 not in left.get_xticks()
    assert {1, 2} <= set(left.get_yticks())
    assert left.xaxis.get_minor_formatter()(2) == ""


def test_lines_without_logarithms_and_with_many_points():
    many, few = (range(1, 22),) * 2, (range(1, 21),) * 2
    drawn = drawings.lines({"": {"windows": many, "Performer": few}}, "x", "y", log="y")
    [axes] = drawn.axes
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")
    assert [line.get_marker() for line in axes.lines] == ["None", "^"]
    assert [to_hex(line.get_color()) for line in axes.lines] == [BLUE, ORANGE]
    assert axes.lines[0].get_linestyle() == "-" and drawn.get_supxlabel() == ""
    dotted = drawings.lines({"": {"exact, written out": few}}, "x", "y").axes[0].lines[0]
    assert to_hex(dotted.get_color()) == MUTED and dotted.get_linestyle() == ":"


def test_clusters_are_lit_and_the_last_panel_counts():
    chosen = torch.tensor([[0, 1, 2], [2, 6, 7]])  # of 2 × 4 tokens of 4 × 4 pixels; 3, 4 and 5 in none
    *lit, counts = drawings.clusters_on_photograph(SMALL, chosen, (2, 4)).axes
    original = SMALL.permute(1, 2, 0).numpy()
    assert [place.get_title() for place in lit] == ["cluster 1: 3 tokens", "cluster 2: 3 tokens"]
    for place, tokens in zip(lit, chosen.tolist(), strict=True):
        picture = shown(place)
        for token in range(8):
            here = np.s_[token // 4 * 4 : token // 4 * 4 + 4, token % 4 * 4 : token % 4 * 4 + 4]
            pale = 1 if token in tokens else 0.15  # what is left of the distance to white
            assert np.allclose(1 - picture[here], pale * (1 - original[here]), atol=1e-6)
    assert counts.get_title() == "hatched: in none, 38%"
    hatched = {patch.get_xy() for patch in counts.patches if patch.get_hatch()}
    assert hatched == {(12, 0), (0, 4), (4, 4)}
    [two] = counts.texts
    assert two.get_text() == "2" and two.get_position() == (10, 2)


def test_matrix_of_is_what_an_attention_does_to_any_values():
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 10, 4, dtype=torch.float64)  # 4 does not divide 10
    layers = [attend, Performer(4, 5).double(), Linformer(10, 3).double(), Routing(3, 4, 3).double().eval()]
    for layer in [*layers, Windows(2, 5, 2, 1)]:
        matrix = matrix_of(layer, q, k)
        assert matrix.shape == (2, 3, 10, 10)
        assert torch.allclose(matrix @ v, layer(q, k, v), atol=1e-9)


def test_misplaced_weight():
    exact = torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    assert misplaced(exact, exact) == 0
    assert misplaced(exact, torch.tensor([[1.0, 0.0], [0.0, 1.0]])) == 0.75
    assert misplaced(exact, torch.tensor([[0.5, 0.5], [0.0, 0.0]])) == 0.25


@pytest.mark.parametrize("tokens", SIZES)
def test_operations_are_those_that_pytorch_counts(tokens):
    height, width = SIZES[tokens]
    for knob in (1, 4, 8):
        side = min(knob, height)
        layers = {
            0: attend,
            1: Performer(16, knob).eval(),
            2: Linformer(tokens, knob),
            3: Routing(1, 16, knob).eval(),
            4: Windows(height, width, side),
        }
        for method, layer in layers.items():
            layer = layer if method == 0 else layer.to("meta")
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                layer(*torch.empty(3, 1, 1, tokens, 16, device="meta"))
            found = operations(method, side if method == 4 else knob, tokens)
            assert found == counter.get_total_flops(), (method, knob)


def test_tokens_of_a_photograph_have_size_one_and_see_their_piece():
    q, k, v = photograph_tokens(IMAGE, 4, 8)
    for x in (q, k, v):
        assert x.shape == (1, 1, 32, 16) and x.dtype == torch.float64
        assert x.square().mean().item() == pytest.approx(1, abs=1e-6)
    changed = IMAGE.clone()
    changed[:, 60:100, 30:50] = 0  # in row 1, column 1
    moved = (photograph_tokens(changed, 4, 8)[0] - q).abs().sum(-1)[0, 0]
    assert moved.argmax() == 9
    # Alike: the queries' own keys are among the nearest.
    cosines = torch.nn.functional.normalize(q, dim=-1) @ torch.nn.functional.normalize(k, dim=-1).mT
    assert cosines[0, 0].diagonal().mean() > cosines.mean() + 0.5


@pytest.mark.parametrize("clusters", [1, 3, 8])
def test_settled_centroids_are_the_means_of_those_nearest_to_them(clusters):
    q, k, _ = photograph_tokens(IMAGE, 8, 8)
    centroids = settled_centroids(q, k, clusters)
    tokens = on_sphere(torch.cat([q, k], dim=-2))[0, 0]
    nearest = (tokens @ centroids[0].T).argmax(1)
    for cluster in range(clusters):
        mean = tokens[nearest == cluster].mean(0)
        assert torch.allclose(centroids[0, cluster], mean / mean.norm(), atol=1e-9)


def test_pooling_takes_means_of_neighbours():
    x = torch.arange(12.0).reshape(1, 1, 6, 2)
    assert (pooling(6, 3).to_keys.mT @ x)[0, 0].tolist() == [[1, 2], [5, 6], [9, 10]]


@pytest.fixture(scope="module")
def explorer():
    return Approximation(IMAGE)


def set_state(explorer, **state):
    with explorer.hold_trait_notifications():
        for name, value in state.items():
            setattr(explorer, name, value)


def settings():
    for method, length in itertools.product(METHODS, SIZES):
        last = {1: 128, 4: SIZES[length][0]}.get(method, length)
        yield from ({"method": method, "length": length, "knob": n} for n in KNOBS if n <= last)


def test_the_explorer_is_exact_where_a_method_is(explorer):
    for state in ({"method": 2, "knob": 64}, {"method": 3, "knob": 1}, {"method": 4, "knob": 8}):
        set_state(explorer, length=64, size=6, **state)
        exact, other = explorer.matrices()
        assert torch.allclose(exact, other, atol=1e-6)
        assert "0.0 % of the weight lies wrong" in explorer.describe()
    q, k = explorer.queries_keys()
    assert torch.allclose(exact, (q @ k.mT / 4).softmax(-1)[0, 0], atol=1e-6)
    assert torch.allclose(q, 1.5 * photograph_tokens(IMAGE, 8, 8)[0])


def test_the_knob_has_a_limit_for_each_method(explorer):
    set_state(explorer, knob=128, length=32)
    for method, limit in ((1, 128), (2, 32), (3, 32), (4, 4)):
        explorer.method = method
        assert explorer.state["knob"] == limit


def test_sentence_counts_queries_in_no_cluster(explorer):
    set_state(explorer, method=3, knob=8, length=64, size=4)
    q, k = explorer.queries_keys()
    chosen = members(q, explorer.centroids[64, 8], 8)
    outside = 64 - len(chosen.unique())
    assert outside > 0
    assert explorer.describe().endswith(f" {outside} queries are in no cluster and get nothing.")
    set_state(explorer, method=1, knob=1)
    assert explorer.describe().startswith(
        "Performer, 1 features, for 64 tokens; entries of q and k of size 1.00."
    )
    assert explorer.describe().endswith("8,320 operations; exact attention needs 262,144.")


def test_still_draws_both_matrices_and_the_difference(explorer):
    set_state(explorer, method=4, knob=2, length=16, size=4)
    exact, other = explorer.matrices()
    axes = explorer.still().axes
    assert [place.get_title() for place in axes] == ["exact", "Windows, 2 × 2 tokens", "the difference"]
    assert np.allclose(shown(axes[0]) ** 2 * float(exact.max()), exact)
    assert int((other > 0).sum()) == 64


def test_making_the_explorer_leaves_the_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Approximation(IMAGE)
    assert torch.equal(torch.rand(3), expected)


# A matrix is compared by its product with some numbers: few to send, and different for every other matrix.
COMPARED = """([arrays, states]) => {
  for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
  const data = unpack(arrays);
  const times = (matrix) => matrix.map((row) => row.reduce((sum, x, j) => sum + x * Math.cos(j * j), 0));
  return states.map((state) => [describe(state, data), limits(state).knob, words("knob", state),
    ...[exact(state, data), approximated(state, data)].map(times)]);
}"""


def test_the_page_computes_what_python_computes_for_every_setting(page, explorer):
    load(
        page, "approximation.js", ["exact", "approximated", "describe", "limits", "words", "unpack", "decode"]
    )
    states = [{**state, "size": size} for state in settings() for size in (1, 4, 8)]
    answers = page.evaluate(COMPARED, [explorer.stored()["arrays"], states])
    assert len(answers) == 3 * (4 * 8 + 2 * (5 + 6 + 7 + 8) + 3 + 3 + 4 + 4)
    for state, (sentence, limit, words, *products) in zip(states, answers, strict=True):
        set_state(explorer, **state)
        assert sentence == explorer.describe(), state
        assert limit == explorer.limits()["knob"] and words in sentence
        numbers = torch.arange(state["length"]).double().square().cos()
        for ours, theirs in zip(explorer.matrices(), products, strict=True):
            assert np.allclose(theirs, ours @ numbers, rtol=0, atol=1e-9), state


def test_the_page_draws_the_matrices(page, explorer):
    set_state(explorer, method=4, knob=2, length=16, size=4)
    show_live(page, explorer)
    picture = canvas_pixels(page).astype(int)
    exact, other = explorer.matrices()
    unit = 238 / 16  # as PANEL.side in approximation.js
    for row, column in itertools.product(range(16), repeat=2):
        x, y = (int((place + 0.5) * unit) for place in (column, row))
        cells = [picture[34 + y, left + x] for left in (8, 261, 514)]
        assert (cells[1] == 255).all() == (other[row, column].item() == 0)
        share = math.sqrt(exact[row, column] / exact.max())
        assert abs(cells[0][0] - 254 * share) < 60  # red grows along cividis
        gap = (other - exact)[row, column].item()
        if abs(gap) > 0.01:
            assert (cells[2][0] < cells[2][2]) == (gap < 0)  # blue below zero, orange above
    blue = (abs(picture[343] - [0, 114, 178]).max(1) < 10).sum()  # the bar of operations
    assert blue == pytest.approx(430 * operations(4, 2, 16) / operations(0, 0, 16), abs=3)
    orange = (abs(picture[319] - [230, 159, 0]).max(1) < 10).sum()
    assert orange == pytest.approx(430 * misplaced(exact, other), abs=3)


def test_every_step_changes_picture_and_sentence(page, explorer):
    set_state(explorer, method=1, knob=1, length=64, size=4)
    show_live(page, explorer)
    seen = {canvas_pixels(page).tobytes()}
    sentences = {page.locator(".swin-explorer p").inner_text()}
    for name, presses in (
        ("Knob", 7),
        ("Method", 3),
        ("Size of q and k, quarters", 4),
        ("Length N, tokens", 1),
    ):
        slider = page.get_by_role("slider", name=name)
        slider.focus()
        for _ in range(presses):
            page.keyboard.press("ArrowRight")
            seen.add(canvas_pixels(page).tobytes())
            sentences.add(page.locator(".swin-explorer p").inner_text())
    assert len(seen) == len(sentences) == 16
