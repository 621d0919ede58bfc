"""swin_edu/rivals/linformer.py against plain loops, exact attention and what another library computed."""

import math

import peers_rivals
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from swin_edu.attention import attend
from swin_edu.book.device import device
from swin_edu.rivals.linformer import Linformer, resize_mixtures

DEVICE = device()


def tokens(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def linformer(*arguments, seed=0, **settings):
    torch.manual_seed(seed)
    return Linformer(*arguments, **settings).double()


def by_hand(q, k, v, to_keys, to_values):
    """Mix, compare, gather, number by number, for one head."""
    count, channels = k.shape
    rank = to_keys.shape[1]
    keys, values = torch.zeros(2, rank, channels, dtype=torch.double)
    for n in range(count):
        for r in range(rank):
            keys[r] += to_keys[n, r] * k[n]
            values[r] += to_values[n, r] * v[n]
    rows = []
    for query in q:
        weights = [math.exp(query @ key / math.sqrt(channels)) for key in keys]
        rows.append(sum(w * value for w, value in zip(weights, values, strict=True)) / sum(weights))
    return torch.stack(rows)


@torch.no_grad()
@settings(max_examples=15)
@given(
    count=st.integers(1, 7),
    rank=st.integers(1, 7),
    channels=st.integers(1, 4),
    own=st.booleans(),
    shared=st.booleans(),
)
def test_keys_and_values_are_mixed_then_attended_to(count, rank, channels, own, shared):
    layer = linformer(count, rank, heads=2 if own else 1, shared=shared)
    q, k, v = tokens(3, 2, 2, count, channels)
    result = layer(q, k, v)
    assert result.shape == q.shape
    for head in range(2):
        to_keys, to_values = layer.to_keys[own * head], layer.to_values[own * head]
        assert torch.equal(to_keys, to_values) == shared
        for b in range(2):
            expected = by_hand(q[b, head], k[b, head], v[b, head], to_keys, to_values)
            assert torch.allclose(result[b, head], expected, rtol=1e-9, atol=1e-9)


def test_exact_when_nothing_is_mixed():
    layer = linformer(9, 9)
    q, k, v = tokens(3, 2, 3, 9, 4)
    assert not torch.allclose(layer(q, k, v), attend(q, k, v), atol=1e-2)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0))
    for mixtures in (torch.eye(9), torch.eye(9)[:, order]):
        with torch.no_grad():
            layer.to_keys.copy_(mixtures)
            layer.to_values.copy_(mixtures)
        assert torch.allclose(layer(q, k, v), attend(q, k, v), atol=1e-12)


def test_queries_may_be_others():
    layer = linformer(9, 4)
    q, k, v = tokens(3, 2, 3, 9, 4)
    assert torch.equal(layer(q[:, :, :5], k, v), layer(q, k, v)[:, :, :5])


@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("shared", [False, True])
def test_what_is_shared_is_counted_once(heads, shared):
    layer = Linformer(50, 8, heads, shared)
    assert layer.to_keys.shape == layer.to_values.shape == (heads, 50, 8)
    assert sum(parameter.numel() for parameter in layer.parameters()) == heads * 50 * 8 * (2 - shared)
    assert (layer.to_keys is layer.to_values) == shared
    again = Linformer(50, 8, heads, shared)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again.to_values, layer.to_values) and torch.equal(again.to_keys, layer.to_keys)
    assert (again.to_keys is again.to_values) == shared


def test_one_layer_for_all_blocks_is_counted_once():
    layer = Linformer(50, 8)
    assert len(list(nn.ModuleList([layer, layer]).parameters())) == 2


def test_mixtures_keep_lengths_in_the_mean():
    """Drawn with variance 1 / rank, as the lemma of Johnson and Lindenstrauss wants it."""
    torch.manual_seed(0)
    layer = Linformer(400, 100, heads=2)
    for mixtures in layer.parameters():
        assert abs(mixtures.mean()) < 5e-3
        assert mixtures.var().item() == pytest.approx(1 / 100, rel=0.03)
    x = torch.randn(400)
    assert (layer.to_keys.mT @ x).norm(dim=1).tolist() == pytest.approx([x.norm().item()] * 2, rel=0.25)


def test_gradients():
    layer = linformer(4, 3, heads=2)
    q, k, v = (x.requires_grad_() for x in tokens(3, 1, 2, 4, 3))
    inputs = (q, k, v, layer.to_keys, layer.to_values)
    assert torch.autograd.gradcheck(lambda q, k, v, *_: layer(q, k, v), inputs)
    shared = Linformer(5, 3, shared=True).to(DEVICE)
    shared(*torch.randn(3, 2, 2, 5, 4).to(DEVICE)).square().sum().backward()
    assert shared.to_keys.grad.any(dim=-1).all()


# Maps of another size


@settings(max_examples=25)
@given(
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    down=st.integers(1, 3),
    right=st.integers(1, 3),
    heads=st.integers(1, 2),
)
def test_resized_to_multiples_the_sums_are_kept(height, width, down, right, heads):
    mixtures = tokens(heads, height * width, 3)
    resized = resize_mixtures(mixtures, (height, width), (down * height, right * width))
    assert resized.shape == (heads, down * height * right * width, 3)
    assert torch.allclose(resized.sum(1), mixtures.sum(1))
    if (down, right) == (1, 1):
        assert torch.allclose(resized, mixtures, atol=1e-15)


@given(
    height=st.integers(1, 6),
    width=st.integers(1, 6),
    new=st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_an_even_mixture_stays_even_and_keeps_its_sum(height, width, new):
    mixtures = torch.full((1, height * width, 2), 0.5, dtype=torch.double)
    resized = resize_mixtures(mixtures, (height, width), new)
    assert torch.allclose(resized, torch.tensor(0.5 * height * width / (new[0] * new[1]), dtype=torch.double))


def test_each_mixture_is_resized_as_a_picture():
    """Bilinearly: each new token lies between four old ones."""
    mixtures, size, new = tokens(2, 3 * 4, 2), (3, 4), (5, 7)
    resized = resize_mixtures(mixtures, size, new).view(2, *new, 2)
    pictures = mixtures.view(2, *size, 2)
    for y in range(5):
        for x in range(7):
            down, right = (min(max((n + 0.5) * a / b - 0.5, 0), a - 1) for n, a, b in ((y, 3, 5), (x, 4, 7)))
            expected = 0
            for row in (0, 1, 2):
                for column in (0, 1, 2, 3):
                    share = max(0, 1 - abs(row - down)) * max(0, 1 - abs(column - right))
                    expected = expected + share * pictures[:, row, column]
            assert torch.allclose(resized[:, y, x], expected * 12 / 35)


def test_on_an_enlarged_map_attention_is_nearly_the_same():
    """Mixtures and map enlarged alike, for a smooth map: what each place gathers stays nearly the same."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 8), torch.linspace(0, 1, 8), indexing="ij")
    smooth = torch.stack([(y + i * x / 3).sin() for i in range(4)], dim=-1).double()
    large = smooth.repeat_interleave(3, 0).repeat_interleave(3, 1)
    layer, other = linformer(64, 5, seed=1), linformer(24 * 24, 5)
    with torch.no_grad():
        for name, parameter in layer.named_parameters():
            other.get_parameter(name).copy_(resize_mixtures(parameter, (8, 8), (24, 24)))
    few, many = (map.reshape(1, 1, -1, 4) for map in (smooth, large))
    before, after = layer(few, few, few), other(many, many, many).view(8, 3, 8, 3, 4)
    assert (after[:, 1, :, 1].reshape(before.shape) - before).abs().max() < 0.15 * before.std()


def test_equals_what_linformer_computed():
    """Written by peers.py with the library's own code, from the same mixtures."""
    stored = load_file(peers_rivals.REFERENCES / "linformer.safetensors")
    layer = peers_rivals.attentions(*peers_rivals.SMALL)["linformer"]
    layer.load_state_dict({key[8:]: value for key, value in stored.items() if key.startswith("weights.")})
    with torch.no_grad():
        result = layer.to(DEVICE)(*(stored[part].to(DEVICE) for part in "qkv")).cpu()
    assert (result - stored["theirs"]).abs().max() < 1e-5 * stored["theirs"].std()


BAD_CALLS = [
    (
        lambda: Linformer(9, 3)(*torch.rand(3, 1, 2, 8, 4)),
        "there are 8 tokens; it must be 9, or use resize_mix",
    ),
    (
        lambda: resize_mixtures(torch.rand(1, 9, 2), (3, 4), (3, 3)),
        "mixtures are for 9 tokens; a map of (3, 4)",
    ),
    (lambda: resize_mixtures(torch.rand(1, 9, 2), (3, 4), (3, 3)), "has 12"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
