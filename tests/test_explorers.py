"""The explorers on the Python side: sliders, sentences, still pictures and what a notebook stores."""

import base64
import io
import itertools
import json

import numpy as np
import pytest
import torch
import traitlets
from PIL import Image

from swin_edu.book.explorers import Overview, Patches
from swin_edu.book.explorers.base import STATE_MIME, pack
from swin_edu.book.explorers.overview import Layout
from swin_edu.book.images import sample_image
from swin_edu.patches import patch_partition


@pytest.fixture(scope="module")
def overview():
    return Overview(sample_image())


@pytest.fixture(scope="module")
def patches():
    return Patches(sample_image())


def rolled_windows(plan, chosen):
    """Roll the coordinates of all tokens with torch and cut out windows: (windows, M·M, 2), twice."""
    axis = torch.arange(plan.padded)
    places = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1)
    rolled = places.roll((-plan.shift, -plan.shift), (0, 1))
    windows = [
        x.unfold(0, plan.window, plan.window).unfold(1, plan.window, plan.window) for x in (rolled, places)
    ]
    return [x.permute(0, 1, 3, 4, 2).reshape(-1, plan.window**2, 2)[chosen] for x in windows]


@pytest.mark.parametrize(("stage", "window"), list(itertools.product(range(1, 5), range(2, 15))))
def test_layout_equals_rolling_by_torch(stage, window):
    for shift in range(window):
        plan = Layout.of(stage, window, shift)
        chosen = sorted({0, plan.per_side - 1, plan.per_side**2 - 1, plan.per_side**2 // 2})
        before, after = rolled_windows(plan, chosen)
        # Two tokens belong together where the roll has left their distance as it was.
        same = ((before[:, :, None] - before[:, None]) == (after[:, :, None] - after[:, None])).all(-1)
        masked = 1 - same.double().mean((1, 2))
        for place, index in enumerate(chosen):
            assert plan.masked_share(index + 1) == pytest.approx(masked[place].item(), abs=1e-12)
            tokens = {
                (y + i, x + j) for y, x, h, w in plan.pieces(index + 1) for i in range(h) for j in range(w)
            }
            assert tokens == {tuple(token) for token in before[place].tolist()}


def test_shares_of_the_paper_sizes():
    for stage, expected in ((1, 11.9), (2, 23.0), (3, 43.0), (4, 0.0)):
        plan = Layout.of(stage, 7, 3)
        shares = [plan.masked_share(chosen) for chosen in range(1, plan.per_side**2 + 1)]
        assert round(100 * sum(shares) / len(shares), 1) == expected


def test_sliders_are_traits(overview):
    overview.set_trait("shift", 5)
    assert overview.state["shift"] == 5
    assert "shifted by 5 tokens = 20 px" in overview.describe()
    overview.shift = 3


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("stage", 5, "stage is 5; it can be one of 1, 2, 3, 4"),
        ("shift", -1, "shift is -1; it can be one of 0, 1"),
        ("window", 1, "window is 1; it can be one of 2, 3"),
        ("window", 7.5, "expected an int"),
        ("window", "7", "expected an int"),
    ],
)
def test_a_slider_refuses_what_it_cannot_show(overview, name, value, sentence):
    before = overview.state
    with pytest.raises(traitlets.TraitError, match=sentence.replace("(", r"\(")):
        setattr(overview, name, value)
    assert overview.state == before


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Overview(torch.rand(3, 100, 224)),
            "image has shape (3, 100, 224); the overview takes (3, 224, 224)",
        ),
        (lambda: Patches(torch.rand(3, 100, 224)), "image has shape (3, 100, 224); it must be (3, H, H)"),
        (lambda: Patches(torch.rand(3, 100, 100)), "with H divisible by 16"),
        (lambda: Patches(torch.rand(1, 64, 64)), "image has shape (1, 64, 64)"),
        (lambda: Patches(torch.rand(3, 448, 448)), "load it with load_image(…, size=224)"),
        (lambda: Overview(torch.rand(3, 224, 224) * 3 - 1), "they must lie in [0, 1]"),
        (lambda: Patches(torch.full((3, 32, 32), float("nan"))), "they must lie in [0, 1]"),
    ],
)
def test_bad_images_get_one_sentence(make, sentence):
    with pytest.raises(ValueError) as problem:
        make()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)


def test_arrays_of_other_types_are_refused():
    with pytest.raises(TypeError, match="array 'x' has type float64; use uint8, float16 or float32"):
        pack({"x": np.zeros(3)})


def test_patch_numbers_and_token(patches):
    patches.patch, patches.row, patches.column = 8, 5, 20
    image = torch.from_numpy(patches.photo).permute(2, 0, 1)[None] / 255
    assert np.allclose(patches.numbers(), patch_partition(image, 8)[0, 5, 20].numpy(), atol=1e-6)
    assert np.allclose(patches.token(), patches.embeddings[8](image)[0, 5, 20].detach().numpy(), atol=1e-6)
    patches.patch, patches.row, patches.column = 16, 111, 111
    assert patches.place == (13, 13)
    assert patches.state == {"patch": 16, "row": 13, "column": 13}
    assert repr(patches) == "Patches(patch=16, row=13, column=13)"


def test_making_an_explorer_leaves_the_random_numbers_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Patches(sample_image())
    assert torch.equal(torch.rand(3), expected)


def test_what_a_notebook_stores(overview):
    data, metadata = overview._repr_mimebundle_()
    stored = data[STATE_MIME]
    assert json.loads(json.dumps(stored)) == stored
    assert stored["state"] == overview.state
    photo = np.frombuffer(base64.b64decode(stored["arrays"]["photo"]["bytes"]), np.uint8)
    assert np.array_equal(photo.reshape(224, 224, 3), overview.photo)
    assert metadata["image/png"]["alt"].endswith(overview.describe())
    assert Image.open(io.BytesIO(base64.b64decode(data["image/png"]))).size[0] > 1000
    assert data["text/plain"] == "Overview(stage=1, window=7, shift=3, chosen=64)"


@pytest.mark.parametrize(("stage", "shift"), [(1, 3), (2, 6), (4, 3)])
def test_still_picture_draws_the_rolled_photograph(overview, stage, shift):
    overview.stage, overview.shift = stage, shift
    left, right = overview.still().axes
    pixels = overview.layout_shown.shift * overview.layout_shown.patch
    assert np.array_equal(left.images[0].get_array(), overview.photo)
    assert np.array_equal(right.images[0].get_array(), np.roll(overview.photo, (-pixels, -pixels), (0, 1)))
    numbers = [text.get_text() for text in right.texts]
    assert numbers == [str(i + 1) for i in range(len(overview.layout_shown.pieces(overview.state["chosen"])))]
    overview.stage, overview.shift = 1, 3


def test_still_picture_draws_the_token(patches):
    patches.patch, patches.row, patches.column = 4, 32, 29
    axes = {axis.get_title(): axis for axis in patches.still().axes}
    token = next(axis for title, axis in axes.items() if "token" in title)
    assert np.array_equal(token.images[0].get_array().ravel(), patches.token())
    square = axes["4 × 4 pixels"].images[0].get_array()
    assert np.allclose(square * 255, patches.photo[128:132, 116:120])
