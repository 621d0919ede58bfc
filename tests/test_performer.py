"""swin_edu/rivals/performer.py against sums in plain loops, the statistics of its draws, and others' code."""

import math

import peers_rivals
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from swin_edu.attention import attend, attend_with_weights
from swin_edu.book.device import device
from swin_edu.rivals.performer import (
    REDRAW,
    Performer,
    exponents,
    linear_attention,
    positive_features,
    random_directions,
    trigonometric_features,
)

DEVICE = device()
ORTHOGONAL = pytest.mark.parametrize("orthogonal", [True, False])
EITHER = [positive_features, trigonometric_features]
FEATURES = pytest.mark.parametrize("features", EITHER)


def tokens(*shape, scale=1.0, seed=0, dtype=torch.double):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=dtype)


def performer(*arguments, seed=0, **settings):
    torch.manual_seed(seed)
    return Performer(*arguments, **settings).double().eval()


class Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor has that is made."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        for made in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(made, torch.Tensor):
                self.numbers = max(self.numbers, made.numel())
        return result


# Directions


@pytest.mark.parametrize(("features", "channels"), [(6, 6), (4, 6), (1, 6), (6, 1), (13, 6), (24, 6), (1, 1)])
def test_directions_are_at_right_angles_block_by_block(features, channels):
    torch.manual_seed(0)
    directions = random_directions(features, channels)
    assert directions.shape == (features, channels)
    cosines = torch.nn.functional.normalize(directions.double(), dim=1)
    cosines = (cosines @ cosines.T).abs()
    block = torch.arange(features) // channels
    same = (block[:, None] == block) & ~torch.eye(features, dtype=torch.bool)
    assert (cosines[same] < 1e-5).all()
    others = block[:, None] != block
    assert not others.any() or (cosines[others] > 1e-3).double().mean() > 0.9


def test_no_more_blocks_are_drawn_than_needed():
    with Largest() as largest:
        random_directions(9, 4)
    assert largest.numbers == 3 * 4 * 4


def test_independent_directions_are_not():
    torch.manual_seed(0)
    directions = random_directions(4, 6, orthogonal=False)
    assert (directions @ directions.T).fill_diagonal_(1).abs().min() > 1e-2


@ORTHOGONAL
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_each_direction_alone_is_gaussian(channels, orthogonal):
    """Its first moments, each within five standard errors; those of pairs tell angles from lengths."""
    torch.manual_seed(0)
    count = 40_000
    x = random_directions(count, channels, orthogonal).double()
    close = lambda value, expected, variance: abs(value - expected) < 5 * (variance / count) ** 0.5  # noqa: E731
    for i in range(channels):
        assert close(x[:, i].mean(), 0, 1)
        assert close(x[:, i].square().mean(), 1, 2)
        assert close(x[:, i].pow(3).mean(), 0, 15)
        assert close(x[:, i].pow(4).mean(), 3, 96)
        for j in range(i):
            assert close((x[:, i] * x[:, j]).mean(), 0, 1)
            assert close((x[:, i] * x[:, j]).square().mean(), 1, 8)
    lengths = x.square().sum(1)
    assert close(lengths.mean(), channels, 2 * channels)
    assert abs(lengths.var() / (2 * channels) - 1) < 0.1
    # every place of a block, and the first block alone in many draws
    places = x[: count // channels * channels].view(-1, channels, channels)
    assert (places.mean(0).abs() < 5 * (channels / count) ** 0.5).all()
    assert (places.square().mean(0) - 1).abs().max() < 5 * (2 * channels / count) ** 0.5


def test_lengths_of_one_block_do_not_depend_on_each_other():
    torch.manual_seed(0)
    lengths = random_directions(20_000, 4).norm(dim=1).view(-1, 4)
    correlations = torch.corrcoef(lengths.T).fill_diagonal_(0)
    assert correlations.abs().max() < 5 / 5000**0.5


# Features


@FEATURES
def test_features_are_their_formulas(features):
    x, directions = tokens(2, 3, 4, 5), tokens(7, 5, seed=1)
    result = features(x, directions)
    for b, h, n in ((0, 0, 0), (1, 2, 3), (0, 1, 2)):
        vector = x[b, h, n].tolist()
        half = sum(value * value for value in vector) / 2
        dots = [sum(a * c for a, c in zip(w, vector, strict=True)) for w in directions.tolist()]
        if features is positive_features:
            expected = [math.exp(dot - half) for dot in dots]
            assert exponents(x, directions)[b, h, n].tolist() == pytest.approx([dot - half for dot in dots])
        else:
            expected = [math.exp(half) * wave(dot) for wave in (math.sin, math.cos) for dot in dots]
        assert result[b, h, n].tolist() == pytest.approx([value / 7**0.5 for value in expected])


def kernels(features, orthogonal, q, k, count=20_000):
    """The estimates of exp(q·k) from many draws of as many directions as there are channels."""
    torch.manual_seed(0)
    channels = len(q)
    directions = random_directions(channels * count, channels, orthogonal).double()
    products = [features(x[None, None, None], directions)[0, 0, 0] for x in (q, k)]
    sums = (products[0] * products[1]).view(-1, count, channels).sum(0)
    return sums.sum(-1) * count  # features are divided by the root of all of them


@FEATURES
@ORTHOGONAL
@pytest.mark.parametrize(("size", "angle"), [(0.5, 0.3), (0.8, 1.6), (1.0, 3.0)])
def test_the_mean_over_draws_is_the_kernel(features, orthogonal, size, angle):
    q, k = torch.zeros(2, 6, dtype=torch.double)
    q[0], k[0], k[3] = size, size * math.cos(angle), size * math.sin(angle)
    estimates = kernels(features, orthogonal, q, k)
    error = estimates.std() / len(estimates) ** 0.5
    assert abs(estimates.mean() - torch.exp(q @ k)) < 4 * error
    assert error < 0.03 * torch.exp(q @ k)


def error(features, orthogonal, scale, count, draws):
    """The mean squared error of attention with `count` directions, over several draws."""
    torch.manual_seed(0)
    q, k, v = tokens(3, 1, 1, 64, 8)
    exact, root = attend(scale * q, scale * k, v), scale * 8**-0.25
    total = 0
    for directions in random_directions(count * draws, 8, orthogonal).double().split(count):
        of_queries, of_keys = (features(root * x, directions) for x in (q, k))
        total += (linear_attention(of_queries, of_keys, v) - exact).square().mean().item() / draws
    return total


@pytest.mark.parametrize(("features", "least"), [(positive_features, 1.1), (trigonometric_features, 2)])
def test_right_angles_lower_the_error(features, least):
    with_them, without = (error(features, orthogonal, 0.5, 8, draws=200) for orthogonal in (True, False))
    assert without > least * with_them


def test_positive_features_are_positive_and_the_others_are_not():
    x, directions = tokens(1, 1, 50, 4), tokens(9, 4, seed=1)
    assert (positive_features(x, directions) > 0).all()
    waves = trigonometric_features(x, directions)
    assert (waves < 0).any() and waves.shape[-1] == 18


@pytest.mark.parametrize(("scale", "better"), [(0.5, trigonometric_features), (2.0, positive_features)])
def test_which_features_are_better(scale, better):
    """Trigonometric ones where attention is soft, positive ones where it is sharp."""
    errors = {features: error(features, True, scale, 64, draws=20) for features in EITHER}
    assert 2 * errors.pop(better) < min(errors.values())


# Attention


def by_hand(q, k, v, directions, feature):
    """Σ φ(q)·φ(k) v / Σ φ(q)·φ(k), pair by pair, for one head."""
    size = len(q[0])
    fq, fk = ([[feature(w, x / size**0.25) for w in directions] for x in tokens] for tokens in (q, k))
    rows = []
    for i in range(len(q)):
        weights = [sum(a * b for a, b in zip(fq[i], fk[j], strict=True)) for j in range(len(k))]
        rows.append(sum(w * x for w, x in zip(weights, v, strict=True)) / sum(weights))
    return torch.stack(rows)


FORMULAS = {
    "softmax": lambda w, x: torch.exp(w @ x - x @ x / 2),
    "relu": lambda w, x: (w @ x).clamp(min=0) + 1e-2,
}


@pytest.mark.parametrize("kernel", FORMULAS)
@settings(max_examples=8)
@given(
    count=st.integers(1, 6), channels=st.integers(1, 5), features=st.integers(1, 7), seed=st.integers(0, 99)
)
def test_attention_is_a_mean_over_all_pairs(kernel, count, channels, features, seed):
    layer = performer(channels, features, kernel, floor=1e-2 if kernel == "relu" else 0.0, seed=seed)
    q, k, v = tokens(3, 1, 2, count, channels, seed=seed)
    result = layer(q, k, v)
    assert result.shape == v.shape
    for head in range(2):
        expected = by_hand(q[0, head], k[0, head], v[0, head], layer.directions, FORMULAS[kernel])
        assert torch.allclose(result[0, head], expected, rtol=1e-9, atol=1e-9)


def test_the_floor_is_added_to_features_of_at_most_one():
    layer = performer(4, 5, floor=0.25)
    q, k, v = tokens(3, 2, 3, 6, 4)
    of_queries, of_keys = layer.features(q, (-1,)), layer.features(k, (-2, -1))
    for features, axes in ((of_queries, -1), (of_keys, (-2, -1))):
        assert torch.allclose(features.amax(axes), torch.tensor(1.25, dtype=torch.double))
        assert features.min() > 0.25
    x = exponents(q / 4**0.25, layer.directions)
    assert torch.allclose(of_queries, (x - x.amax(-1, keepdim=True)).exp() + 0.25)
    x = exponents(k / 4**0.25, layer.directions)
    assert torch.allclose(of_keys, (x - x.amax((2, 3), keepdim=True)).exp() + 0.25)
    assert torch.allclose(layer(q, k, v), linear_attention(of_queries, of_keys, v))
    assert Performer(4).floor == 1e-4


def test_linear_attention_is_the_product_from_left_to_right():
    q, k = tokens(2, 2, 3, 5, 4).abs()
    v = tokens(2, 3, 5, 7, seed=1)
    weights = q @ k.mT
    assert torch.allclose(linear_attention(q, k, v), weights / weights.sum(-1, keepdim=True) @ v)
    assert torch.allclose(linear_attention(q, k, torch.ones_like(v)), torch.ones_like(v))


def test_more_features_come_nearer():
    """The error falls about as 1 / features."""
    q, k, v = tokens(3, 4, 2, 64, 16)
    q, k = 0.3 * q, 0.3 * k
    exact = attend(q, k, v)
    errors = [
        sum(
            (performer(16, count, floor=0.0, seed=seed)(q, k, v) - exact).square().mean() for seed in range(4)
        )
        for count in (16, 128, 1024)
    ]
    for before, after in zip(errors, errors[1:], strict=False):
        assert 4 < before / after < 16
    assert errors[-1] / 4 < 1e-5


@pytest.mark.parametrize("kernel", ["softmax", "relu"])
def test_the_order_of_tokens_does_not_matter(kernel):
    layer = performer(4, 9, kernel)
    q, k, v = tokens(3, 2, 3, 8, 4)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(layer(q, k[:, :, order], v[:, :, order]), layer(q, k, v))
    assert torch.allclose(layer(q[:, :, order], k, v), layer(q, k, v)[:, :, order])


def test_relu_is_another_kernel():
    q, k, v = tokens(3, 2, 2, 30, 8)
    exact = attend(q / 2, k / 2, v)
    softmax, relu = (performer(8, 2048, kernel)(q / 2, k / 2, v) for kernel in ("softmax", "relu"))
    assert (softmax - exact).square().mean() < (relu - exact).square().mean() / 50


@pytest.mark.parametrize("scale", [1e2, 1e4])
@pytest.mark.parametrize("kernel", ["softmax", "relu"])
def test_large_queries_and_keys_do_not_overflow(scale, kernel):
    torch.manual_seed(0)
    layer = Performer(8, 16, kernel).to(DEVICE)
    q, k, v = tokens(3, 2, 2, 10, 8, dtype=torch.float).to(DEVICE)
    q, k, v = ((x * scale).requires_grad_() for x in (q, k, v / scale))
    result = layer(q, k, v)
    result.square().sum().backward()
    assert result.isfinite().all() and result.abs().max() <= v.abs().max() * 1.001
    assert all(x.grad.isfinite().all() for x in (q, k, v))
    if kernel == "softmax":
        assert (
            not linear_attention(*(positive_features(x, layer.directions) for x in (q, k)), v)
            .isfinite()
            .all()
        )


def test_gradients():
    """Largest exponents have no gradient of their own; without a floor they cancel."""
    q, k, v = (x.requires_grad_() for x in tokens(3, 1, 2, 3, 4))
    assert torch.autograd.gradcheck(performer(4, 5, floor=0.0), (q, k, v))
    assert torch.autograd.gradcheck(performer(4, 5, "relu"), (q, k, v))


@pytest.mark.parametrize("kernel", ["softmax", "relu"])
def test_no_matrix_of_all_pairs_is_made(kernel):
    layer = performer(8, 16, kernel)
    for count in (128, 256):
        q, k, v = (x.requires_grad_() for x in tokens(3, 2, 3, count, 8))
        with Largest() as largest:
            layer(q, k, v).sum().backward()
        assert largest.numbers == 2 * 3 * count * 16
        with Largest() as exact:
            attend_with_weights(q, k, v)
        assert exact.numbers == 2 * 3 * count * count


# The layer


@pytest.mark.parametrize(("channels", "features"), [(1, 1), (2, 1), (16, 44), (32, 111), (64, 266)])
def test_the_number_of_features_grows_a_little_faster_than_channels(channels, features):
    layer = Performer(channels)
    assert layer.directions.shape == (features, channels)
    assert Performer(channels, 3).directions.shape == (3, channels)
    assert not list(layer.parameters())


def test_directions_are_drawn_anew_in_training():
    layer = performer(4, 6)
    q, k, v = tokens(3, 1, 1, 3, 4)
    seen = [layer.directions.clone()]
    for _ in range(3):
        layer(q, k, v)  # not in training
    assert layer.steps == 0
    layer.train()
    for _ in range(2 * REDRAW + 1):
        layer(q, k, v)
        if not torch.equal(seen[-1], layer.directions):
            assert layer.steps % REDRAW == 0
            seen.append(layer.directions.clone())
    assert REDRAW == 1000 and layer.steps == 2 * REDRAW + 1 and len(seen) == 3
    for directions in seen:
        assert directions.dtype == torch.double and directions.shape == (6, 4)
        across = (directions[:4] @ directions[:4].T).fill_diagonal_(0)
        assert across.abs().max() < 1e-5
    layer.eval().steps.fill_(REDRAW - 1)
    layer(q, k, v)
    assert torch.equal(seen[-1], layer.directions)


def test_drawing_anew_leaves_earlier_steps_their_directions():
    """Two steps, then one backward pass: the first needs the directions it was made with."""
    layer = performer(4, 6).train()
    q, k, v = (x.requires_grad_() for x in tokens(3, 1, 1, 3, 4))
    [expected] = torch.autograd.grad(layer(q, k, v).square().sum(), q)
    layer.steps.fill_(REDRAW - 2)
    first, second = layer(q, k, v), layer(q, k, v)
    assert not torch.equal(first, second)
    [grad] = torch.autograd.grad(first.square().sum() + 0 * second.sum(), q)
    assert torch.allclose(grad, expected)


def test_a_state_restores_everything():
    layer, other = performer(4, 6, seed=0).train(), performer(4, 6, seed=1).train()
    q, k, v = tokens(3, 1, 2, 5, 4)
    layer(q, k, v)
    layer.steps += REDRAW - 3
    other.load_state_dict(layer.state_dict())
    assert set(layer.state_dict()) == {"directions", "steps"}
    for _ in range(3):
        results = []
        for each in (layer, other):
            torch.manual_seed(5)  # the next directions come from the usual source of random numbers
            results.append(each(q, k, v))
        assert torch.equal(*results)
    assert layer.steps == other.steps == REDRAW + 1


@pytest.mark.parametrize("name", ["performer", "performer_relu"])
def test_equals_what_performer_pytorch_computed(name):
    """Written by peers.py with the library's own code, from the same directions."""
    stored = load_file(peers_rivals.REFERENCES / f"{name}.safetensors")
    layer = peers_rivals.attentions(*peers_rivals.SMALL)[name.replace("_", ", ")].eval()
    layer.load_state_dict({key[8:]: value for key, value in stored.items() if key.startswith("weights.")})
    result = layer.to(DEVICE)(*(stored[part].to(DEVICE) for part in "qkv")).cpu()
    assert stored["theirs"].std() > 0.1
    assert (result - stored["theirs"]).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: Performer(8, kernel="exp"), "kernel is 'exp'; it must be 'softmax' or 'relu'"),
        (lambda: Performer(8)(*torch.rand(3, 1, 2, 5, 4)), "q has 4 channels a head; it must be 8"),
    ],
)
def test_bad_arguments_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
