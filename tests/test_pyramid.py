"""swin_edu/rivals/pyramid.py: windows against loops and chapter 6, and the pyramid with every attention."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from swin_edu.attention import attend
from swin_edu.block import WindowAttention, shifted_window_attention
from swin_edu.book.device import device
from swin_edu.rivals.linformer import Linformer
from swin_edu.rivals.performer import Performer
from swin_edu.rivals.pyramid import Place, Pyramid, Windows
from swin_edu.rivals.routing import Routing

DEVICE = device()


def tokens(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def by_hand(q, k, v, height, width, window, down, right):
    """Each token with those of its moved window, for one head; tokens of the padding are zeros."""
    rows, columns = (-(-side // window) * window for side in (height, width))
    places = [(y, x) for y in range(rows) for x in range(columns)]
    piece = {(y, x): ((y - down) // window, (x - right) // window) for y, x in places}
    nothing = torch.zeros(q.shape[-1], dtype=torch.double)

    def of(x, place):
        inside = place[0] < height and place[1] < width
        return x[place[0] * width + place[1]] if inside else nothing

    result = []
    for place in places:
        if place[0] < height and place[1] < width:
            own = [other for other in places if piece[other] == piece[place]]
            weights = [math.exp(of(q, place) @ of(k, other) / math.sqrt(q.shape[-1])) for other in own]
            result.append(sum(w * of(v, other) for w, other in zip(weights, own, strict=True)) / sum(weights))
    return torch.stack(result)


@pytest.mark.parametrize(
    ("height", "width", "window", "shift", "moved"),
    [
        (6, 6, 3, 0, (0, 0)),
        (6, 6, 3, 1, (1, 1)),
        (4, 8, 4, 2, (0, 2)),  # one window covers the height: no shift there
        (8, 4, 4, 3, (3, 0)),
        (4, 4, 4, 2, (0, 0)),
        (5, 7, 3, 1, (1, 1)),  # padded
        (2, 5, 4, 2, (0, 2)),
        (1, 1, 2, 1, (0, 0)),
        (3, 4, 1, 0, (0, 0)),
    ],
)
def test_windows_equal_a_loop_over_tokens(height, width, window, shift, moved):
    q, k, v = tokens(3, 2, 2, height * width, 3)
    result = Windows(height, width, window, *[shift][: shift > 0])(q, k, v)  # 0 is the default
    assert result.shape == v.shape
    for b in range(2):
        for head in range(2):
            expected = by_hand(q[b, head], k[b, head], v[b, head], height, width, window, *moved)
            assert (result[b, head] - expected).abs().max() < 1e-12


@torch.no_grad()
@settings(max_examples=20)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    window=st.integers(1, 4),
    shift=st.integers(0, 3),
    heads=st.integers(1, 3),
)
def test_windows_are_those_of_the_swin_block(height, width, window, shift, heads):
    """Without position bias, without biases of the layers, and with linear layers that change nothing."""
    shift, channels = min(shift, window - 1), 2 * heads
    layer = WindowAttention(channels, heads, window).double()
    for parameter in layer.parameters():
        parameter.zero_()
    layer.qkv.weight.copy_(torch.eye(channels).repeat(3, 1))
    layer.project.weight.copy_(torch.eye(channels))
    x = tokens(2, height, width, channels)
    expected = shifted_window_attention(x, layer, window, shift)
    piece = x.view(2, height * width, heads, 2).transpose(1, 2)
    result = Windows(height, width, window, shift)(piece, piece, piece)
    assert torch.allclose(result.transpose(1, 2).reshape(x.shape), expected, atol=1e-12)


def test_one_window_for_all_is_exact():
    q, k, v = tokens(3, 2, 3, 25, 4)
    assert torch.allclose(Windows(5, 5, 5)(q, k, v), attend(q, k, v), atol=1e-12)


def test_windows_have_gradients_and_no_parameters():
    layer = Windows(3, 4, 2, 1)
    assert not layer.state_dict()
    assert torch.autograd.gradcheck(layer, tuple(x.requires_grad_() for x in tokens(3, 1, 2, 12, 2)))


# The pyramid

CHOICES = {
    "exact": lambda place: attend,
    "windows": lambda place: Windows(place.height, place.width, 3, place.block % 2),
    "performer": lambda place: Performer(place.channels),
    "linformer": lambda place: Linformer(place.height * place.width, 4),
    "routing": lambda place: Routing(
        place.heads, place.channels, clusters=math.isqrt(place.height * place.width)
    ),
}
SETTINGS = {"channels": 8, "depths": (1, 2, 1), "heads": (1, 2, 4), "num_classes": 5}


def pyramid(side, choose=CHOICES["exact"], **changes):
    torch.manual_seed(0)
    return Pyramid(side, choose=choose, **SETTINGS | changes)


@pytest.mark.parametrize("side", [32, 29, 41])
@pytest.mark.parametrize("name", CHOICES)
def test_every_attention_fits(name, side):
    model = pyramid(side, CHOICES[name]).to(DEVICE)
    images = torch.rand(2, 3, side, side).to(DEVICE)
    width, channels = -(-side // 4), 8
    for x in model.features(images):
        assert x.shape == (2, width, width, channels)
        width, channels = -(-width // 2), 2 * channels
    scores = model(images)
    assert scores.shape == (2, 5)
    (scores * torch.randn(2, 5).to(DEVICE)).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), parameter_name


def test_each_attention_is_told_where_it_stands():
    told = []
    pyramid(
        50, lambda place: told.append(place) or attend, depths=(2, 1, 3), heads=(2, 2, 8), channels=8, patch=2
    )
    assert told == [
        Place(25, 25, heads=2, channels=4, block=0),
        Place(25, 25, heads=2, channels=4, block=1),
        Place(13, 13, heads=2, channels=8, block=0),
        *(Place(7, 7, heads=8, channels=4, block=block) for block in range(3)),
    ]
    assert len(set(told)) == 6  # so that attentions can be kept by place


def test_what_is_told_is_what_comes():
    """The sizes that an attention is told are those of the q, k and v that it gets."""
    calls = []

    def choose(place):
        def attention(q, k, v):
            calls.append(place)
            for x in (q, k, v):
                assert x.shape == (2, place.heads, place.height * place.width, place.channels)
            return attend(q, k, v)

        return attention

    model = pyramid(37, choose)
    model(torch.rand(2, 3, 37, 37))
    assert [place.block for place in calls] == [0, 0, 1, 0] and len(set(map(id, calls))) == 4


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(32, 32), (21, 50)])
def test_the_model_in_plain_steps(height, width):
    model = pyramid(32).double()
    for parameter in model.parameters():
        parameter.copy_(torch.randn_like(parameter) / 3)
    images = torch.rand(2, 3, height, width, dtype=torch.double)
    x, maps = model.position(model.embedding(images)), model.features(images)
    assert model.position.table.shape == (1, 8, 8, 8)
    for index, blocks in enumerate(model.stages):
        if index:
            x = model.merges[index](x)
        batch, rows, columns, channels = x.shape
        row = x.reshape(batch, rows * columns, channels)
        for block in blocks:
            row = block(row)
        x = row.reshape(x.shape)
        assert torch.allclose(maps[index], x, atol=1e-10)
    last = nn.functional.layer_norm(x, (32,), model.norm.weight, model.norm.bias)
    expected = model.head(last.flatten(1, 2).mean(1))
    assert torch.allclose(model(images), expected, atol=1e-10)


def test_only_what_the_attention_brings_differs():
    """The same stages: parameters of Swin's less its position biases, plus those of the attention."""
    counts = {
        name: sum(p.numel() for p in pyramid(32, choose).parameters()) for name, choose in CHOICES.items()
    }
    extra = sum(2 * 4 * side * side * depth for side, depth in ((8, 1), (4, 2), (2, 1)))
    assert counts.pop("linformer") == counts["exact"] + extra
    assert len(set(counts.values())) == 1
    weights = [pyramid(32, CHOICES[name]).stages[2][0].qkv.weight for name in ("exact", "windows")]
    assert torch.equal(*weights)


def test_what_training_starts_from():
    model = pyramid(32)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            assert layer.weight.std() < 0.03
            assert layer.bias is None or not layer.bias.any()


def test_a_seed_gives_the_same_model():
    images = torch.rand(1, 3, 32, 32)
    for choose in CHOICES.values():
        assert torch.equal(pyramid(32, choose).eval()(images), pyramid(32, choose).eval()(images))


BAD_CALLS = [
    (lambda: Windows(3, 4, 2)(*torch.rand(3, 1, 2, 11, 4)), "there are 11 tokens; it must be 3 × 4"),
    (
        lambda: Windows(4, 4, 2, 2)(*torch.rand(3, 1, 2, 16, 4)),
        "shift is 2; for window 2 it must lie between 0",
    ),
    (lambda: Windows(4, 4, 0)(*torch.rand(3, 1, 2, 16, 4)), "window is 0; it must be a whole number"),
    (lambda: pyramid(32, heads=(1, 2)), "heads is (1, 2); it must hold 3 numbers, one for each stage"),
    (lambda: pyramid(32, heads=(1, 2, 3)), "heads 3 does not divide channels 32"),
    (lambda: pyramid(32, heads=(1, 0, 4)), "heads is 0; it must be a whole number of at least 1"),
    (lambda: pyramid(32, patch=0), "patch is 0; it must be a whole number of at least 1"),
    (lambda: pyramid(32)(torch.rand(3, 32, 32)), "images has shape (3, 32, 32); it must be (B, 3, H, W)"),
    (
        lambda: pyramid(32, CHOICES["linformer"])(torch.rand(1, 3, 36, 36)),
        "there are 81 tokens; it must be 64",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
