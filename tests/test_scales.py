"""The explorer of chapter 12: what it counts, says and draws, in Python and on the page."""

import itertools
import math

import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, show_live, written
from torch.utils.flop_counter import FlopCounterMode

from swin_edu.book.explorers import Scales
from swin_edu.book.explorers.scales import NAMES, SIDES, cell_means, cost
from swin_edu.book.images import sample_image
from swin_edu.book.style import BLUE
from swin_edu.model import swin
from swin_edu.rivals.cnn import ResNet
from swin_edu.rivals.vit import ViT

IMAGE = sample_image()
WHOLE = {
    "Swin-T": lambda: swin("swin_t"),
    "ViT-S/16": lambda: ViT(384, 12, 6),
    "ResNet-34": lambda: ResNet(64, (3, 4, 6, 3)),
}
EVERY_STATE = [{"side": side, "stage": stage} for side, stage in itertools.product(SIDES, range(1, 5))]
LOOKED_AT = [{"side": 64, "stage": 4}, {"side": 640, "stage": 3}, {"side": 1792, "stage": 1}]
LEFT = (8, 268, 528)  # of the panels, as in scales.js


@pytest.fixture(scope="module")
def explorer():
    return Scales(IMAGE)


def put(explorer, state):
    for name, value in state.items():
        setattr(explorer, name, value)


def texts(axes):
    return [text.get_text() for text in axes.texts]


# In Python


@pytest.mark.parametrize(("name", "side"), [(name, side) for name in NAMES for side in (64, 448)])
def test_costs_are_those_of_the_whole_model(name, side):
    with torch.device("meta"):
        model, images = WHOLE[name]().eval(), torch.empty(1, 3, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    found = cost(name, side)
    pairs = counter.get_flop_counts()["Global"].get(torch.ops.aten.bmm, 0) // 2
    assert (found.multiply_adds, found.pairs) == (counter.get_total_flops() // 2, pairs)
    shapes = [x.shape for x in model.features(images)]
    assert found.maps == tuple((shape[1], shape[3]) for shape in shapes)
    assert found.numbers == sum(math.prod(shape) for shape in shapes)
    assert [found.shown(stage) for stage in (1, 4)] == [found.maps[0], found.maps[-1]]


def test_weights_of_one_attention_by_hand():
    assert cost("Swin-T", 224).weights == 3 * 64 * 49 * 49  # 64 windows, 3 heads
    assert cost("ViT-S/16", 224).weights == 6 * 197 * 197  # 196 patches and the class token
    assert cost("ResNet-34", 224).weights == 0


@pytest.mark.parametrize("cells", [1, 2, 7, 10, 56, 160, 224, 448])
def test_cells_have_the_mean_of_their_pixels(cells):
    photo = np.random.default_rng(0).integers(0, 256, (224, 224, 3)).astype(np.uint8)
    count = min(cells, 224)
    fine = math.lcm(count, 224)  # so many rows that a cell holds whole ones
    rows = np.repeat(photo.astype(float), fine // 224, axis=0).reshape(count, -1, 224, 3).mean(1)
    both = np.repeat(rows, fine // 224, axis=1).reshape(count, count, -1, 3).mean(2)
    means = cell_means(photo, cells)
    assert means.shape == (count, count, 3) and means.dtype == np.uint8
    assert np.abs(means - both).max() <= 0.5 + 1e-9


def test_the_sentence(explorer):
    put(explorer, {"side": 448, "stage": 4})
    assert explorer.describe() == (
        "Image of 448 × 448 px. Swin-T, stage 4: 14 × 14 × 768, a cell every 32 px; "
        "ViT-S/16: 28 × 28 × 384, a cell every 16 px; ResNet-34, stage 4: 14 × 14 × 512, a cell every 32 px. "
        "Multiply-adds: 17.96 G, 22.58 G, 14.65 G; "
        "pairs of tokens take 3.1 % of Swin's and 25.2 % of ViT's."
    )
    assert repr(explorer) == "Scales(side=448, stage=4)"


@pytest.mark.parametrize("shape", [(3, 224, 200), (1, 224, 224), (3, 112, 112)])
def test_another_size_is_refused_in_one_sentence(shape):
    with pytest.raises(ValueError) as problem:
        Scales(torch.rand(shape))
    assert str(problem.value) == f"image has shape {shape}; it must be (3, 224, 224)"


@pytest.mark.parametrize("state", LOOKED_AT)
def test_the_still_picture_draws_the_state(explorer, state):
    put(explorer, state)
    axes = explorer.still().axes
    costs = [cost(name, state["side"]) for name in NAMES]
    adds = max(of.multiply_adds for of in costs)
    numbers = max(of.numbers + of.weights for of in costs)
    for name, of, above, below in zip(NAMES, costs, axes[:3], axes[3:], strict=True):
        cells, channels = of.maps[0] if name == "ViT-S/16" else of.maps[state["stage"] - 1]
        assert np.array_equal(above.images[0].get_array(), cell_means(explorer.photo, cells))
        assert above.get_title() == (name if name == "ViT-S/16" else f"{name}, stage {state['stage']}")
        step = state["side"] // cells
        assert texts(above) == [f"{cells} × {cells} × {channels}, a cell every {step} px"]
        widths = [bar.get_width() for bar in below.patches]
        expected = [1, of.rest / adds, of.pairs / adds, 1, of.numbers / numbers, of.weights / numbers]
        assert widths == pytest.approx(expected)
        assert [bar.get_x() for bar in below.patches] == pytest.approx([0, 0, widths[1], 0, 0, widths[4]])
        assert [bool(bar.get_hatch()) for bar in below.patches] == [False, False, True] * 2
        heading, memory = texts(below)
        assert heading.startswith(f"multiply-adds {of.multiply_adds / 1e9:.2f} G")
        assert memory.startswith(f"maps {4 * of.numbers / 1e6:.1f} MB")
        assert ("pairs" in heading) == ("weights" in memory) == (name != "ResNet-34")
        if of.pairs:
            assert heading.endswith(f", pairs {100 * of.pairs / of.multiply_adds:.1f} %")
            assert memory.endswith(f" + weights {4 * of.weights / 1e6:.1f} MB")


# On the page


def test_the_page_counts_and_says_what_python_does_in_every_state(page, explorer):
    load(page, "scales.js", ["costs", "describe"])
    counted = page.evaluate("(sides) => sides.map(costs)", list(SIDES))
    for side, models in zip(SIDES, counted, strict=True):
        for name, found in zip(NAMES, models, strict=True):
            truth = cost(name, side)
            assert found == {
                "maps": [list(of) for of in truth.maps],
                "rest": truth.rest,
                "pairs": truth.pairs,
                "weights": truth.weights,
                "all": truth.multiply_adds,
                "numbers": truth.numbers,
            }
    sentences = page.evaluate("(states) => states.map((state) => describe(state))", EVERY_STATE)
    for state, sentence in zip(EVERY_STATE, sentences, strict=True):
        put(explorer, state)
        assert sentence == explorer.describe()


def test_the_page_has_the_same_means(page, explorer):
    load(page, "scales.js", ["cellMeans", "unpack", "decode"])
    counts = [2, 5, 40, 112, 160, 224, 448]
    found = page.evaluate(
        """([arrays, counts]) => {
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        const { photo } = unpack(arrays);
        const means = counts.map((count) => cellMeans(photo, count));
        return means.map(({ data, shape }) => [[...data], shape]); }""",
        [explorer.stored()["arrays"], counts],
    )
    for count, (data, shape) in zip(counts, found, strict=True):
        truth = cell_means(explorer.photo, count)
        assert tuple(shape) == truth.shape
        assert np.abs(truth.ravel().astype(int) - data).max() <= 1  # where a mean ends in a half


@pytest.mark.parametrize("state", LOOKED_AT)
def test_the_page_draws_maps_and_bars(page, explorer, state):
    put(explorer, state)
    show_live(page, explorer)
    drawn = canvas_pixels(page).astype(int)
    costs = [cost(name, state["side"]) for name in NAMES]
    adds = max(of.multiply_adds for of in costs)
    numbers = max(of.numbers + of.weights for of in costs)
    blue = np.array(list(bytes.fromhex(BLUE[1:])))
    for left, of in zip(LEFT, costs, strict=True):
        means = cell_means(explorer.photo, of.shown(state["stage"])[0])
        middles = ((np.arange(len(means)) + 0.5) * 224 / len(means)).astype(int)
        shown = drawn[(52 + middles)[:, None], (left + middles)[None]]
        assert np.abs(shown - means).max() <= 1
        for top, first, second in (
            (330, of.rest / adds, of.pairs / adds),
            (376, of.numbers / numbers, of.weights / numbers),
        ):
            bar = drawn[top + 1 : top + 13, left + 1 : left + 223]
            is_blue = (np.abs(bar - blue).sum(2) < 30).all(0)
            assert is_blue.sum() == pytest.approx(max(0, 224 * first - 1), abs=2)
            # the second part is pale orange, and begins where the first ends
            pale = (bar[:, :, 0] - bar[:, :, 2] > 40).any(0) & ~is_blue
            assert pale.sum() == pytest.approx(min(224 * second, 222), abs=3)
            if pale.sum() > 10:
                assert bar[:, pale].max(2).min() < 200 < 235 < bar[:, pale].max()  # dark lines on pale orange
            if pale.any():
                assert np.flatnonzero(pale)[0] == pytest.approx(224 * first - 1, abs=2)


@pytest.mark.parametrize("state", [*LOOKED_AT, {"side": 1280, "stage": 2}])
def test_texts_are_pythons_readable_and_apart(page, explorer, state):
    put(explorer, state)
    said = written(page, explorer)
    axes = explorer.still().axes
    expected = [text for panel in axes for text in [panel.get_title(), *texts(panel)] if text]
    assert {text["text"] for text in said} >= {
        *expected,
        f"Image of {state['side']} × {state['side']} pixels",
    }
    assert len(said) == len(expected) + 2
    height, width, _ = canvas_pixels(page).shape
    assert all(text["left"] >= 0 and text["right"] <= width and text["y"] + 4 <= height for text in said)
    assert all(text["size"] >= 12 for text in said)
    for one, other in itertools.combinations(said, 2):
        beneath = abs(one["y"] - other["y"]) >= 14
        beside = one["right"] + 1 <= other["left"] or other["right"] + 1 <= one["left"]
        assert beneath or beside, (one, other)


def test_every_step_changes_the_picture(page, explorer):
    put(explorer, {"side": 224, "stage": 1})
    show_live(page, explorer)
    spoken = {
        "Image side, pixels": [f"{side} by {side} pixels" for side in SIDES],
        "Stage of Swin and ResNet": [
            f"stage {stage} of 4, a cell every {2 * 2**stage} pixels" for stage in (1, 2, 3, 4)
        ],
    }
    for name, words in spoken.items():
        slider = page.get_by_role("slider", name=name)
        slider.focus()
        page.keyboard.press("Home")
        seen, heard = {canvas_pixels(page).tobytes()}, [slider.get_attribute("aria-valuetext")]
        for _ in words[1:]:
            page.keyboard.press("ArrowRight")
            seen.add(canvas_pixels(page).tobytes())
            heard.append(slider.get_attribute("aria-valuetext"))
        assert len(seen) == len(words) and heard == words
