"""swin_edu/attention.py against loops, PyTorch's own layer and its own symmetries, on any size."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from swin_edu.attention import attend, attend_with_weights, join_heads, split_heads
from swin_edu.book.device import device

DEVICE = device()
PRECISE = torch.device("cpu") if DEVICE.type == "mps" else DEVICE  # Apple GPUs have no float64
few = st.integers(1, 3)
counts = st.integers(1, 7)
BOTH = pytest.mark.parametrize("function", [attend, lambda *args, **kw: attend_with_weights(*args, **kw)[0]])


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double).to(PRECISE)


def brute_force(q, k, v, bias=None, mask=None, scale=None):
    """One query after another, in plain numbers: q (…, h, N, D) -> the means, the weights."""
    means, weights = torch.zeros(*q.shape[:-1], v.shape[-1]), torch.zeros(*q.shape[:-1], k.shape[-2])
    table = weights.shape
    bias = torch.zeros(table) if bias is None else bias.cpu().expand(table)
    mask = torch.ones(table, dtype=torch.bool) if mask is None else mask.cpu().expand(table)
    for place in torch.cartesian_prod(*(torch.arange(size) for size in q.shape[:-1])).tolist():
        *outer, i = place
        keys, values = k[tuple(outer)].tolist(), v[tuple(outer)].tolist()
        query = q[tuple(place)].tolist()
        exponentials = []
        for j, key in enumerate(keys):
            dot = sum(a * b for a, b in zip(query, key, strict=True))
            logit = dot * (1 / math.sqrt(len(query)) if scale is None else scale) + bias[*place, j].item()
            exponentials.append(math.exp(logit) if mask[*place, j] else 0.0)
        for j, exponential in enumerate(exponentials):
            weights[*place, j] = exponential / sum(exponentials)
            for c, value in enumerate(values[j]):
                means[*place, c] += exponential / sum(exponentials) * value
    return means, weights


@given(batch=few, heads=few, queries=counts, keys=counts, width=counts, scale=st.sampled_from([None, 0.3, 2]))
def test_attention_equals_brute_force(batch, heads, queries, keys, width, scale):
    q, k, v = (random(batch, heads, n, width, seed=seed) for seed, n in enumerate((queries, keys, keys)))
    expected, expected_weights = brute_force(q, k, v, scale=scale)
    means, weights = attend_with_weights(q, k, v, scale=scale)
    assert torch.allclose(weights.cpu().float(), expected_weights, rtol=0, atol=1e-6)
    assert torch.allclose(means.cpu().float(), expected, rtol=0, atol=1e-5)
    assert torch.allclose(attend(q, k, v, scale=scale), means, rtol=0, atol=1e-12)


@pytest.mark.parametrize("leading", [(2,), (1,), (2, 3), (2, 2, 2)])
@pytest.mark.parametrize("shape", ["NN", "hNN", "1NN", "all", "windows", "1N", "one"])
@given(given_bias=st.booleans(), given_mask=st.booleans())
def test_bias_and_mask_broadcast(leading, shape, given_bias, given_mask):
    heads, n, width = 2, 4, 3
    if shape == "windows" and len(leading) < 2:
        return
    table = {
        "NN": (n, n),
        "hNN": (heads, n, n),
        "1NN": (1, n, n),
        "all": (*leading, heads, n, n),
        "windows": (leading[-1], 1, n, n),
        "1N": (1, n),
        "one": (1, 1),
    }[shape]
    q, k, v = random(3, *leading, heads, n, width)
    bias = 2 * random(*table, seed=1) if given_bias else None
    mask = random(*table, seed=2) > -0.5 if given_mask else None
    if mask is not None:
        mask[..., 0] = True  # every query may attend to something
    expected, expected_weights = brute_force(q, k, v, bias, mask)
    means, weights = attend_with_weights(q, k, v, bias, mask)
    assert torch.allclose(weights.cpu().float(), expected_weights, rtol=0, atol=1e-6)
    assert torch.allclose(means.cpu().float(), expected, rtol=0, atol=1e-5)
    assert torch.allclose(attend(q, k, v, bias, mask), means, rtol=0, atol=1e-12)


@BOTH
def test_masked_pairs_have_no_weight_and_no_gradient(function):
    q, k, v = (x.requires_grad_() for x in random(3, 1, 2, 5, 4).unbind(0))
    mask = torch.ones(5, 5, dtype=torch.bool, device=PRECISE)
    mask[:, 3] = False
    function(q, k, v, mask=mask).square().sum().backward()
    for x in (k, v):
        assert torch.isfinite(x.grad).all()
        assert x.grad[:, :, 3].count_nonzero() == 0
        assert (x.grad[:, :, [0, 1, 2, 4]].abs().amax(-1) > 0).all()


@BOTH
def test_a_query_that_may_attend_to_nothing_leaves_the_others_alone(function):
    q, k, v = random(3, 1, 1, 3, 2)
    mask = torch.tensor([[True, True, True], [False, False, False], [True, False, True]], device=PRECISE)
    result = function(q, k, v, mask=mask)[0, 0]
    assert torch.equal(result[1].nan_to_num(), torch.zeros_like(result[1]))
    mask[1] = True
    assert torch.allclose(result[[0, 2]], function(q, k, v, mask=mask)[0, 0, [0, 2]], rtol=0, atol=1e-12)


def test_gradients_of_both_versions_agree():
    gradients = []
    for function in (attend, lambda *args: attend_with_weights(*args)[0]):
        inputs = [x.requires_grad_() for x in (*random(3, 2, 2, 6, 4).unbind(0), random(2, 6, 6, seed=1))]
        (function(*inputs) * random(2, 2, 6, 4, seed=2)).sum().backward()
        gradients.append([x.grad for x in inputs])
    for ours, theirs in zip(*gradients, strict=True):
        assert theirs.abs().sum() > 0
        assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_types_are_kept(function, dtype):
    q, k, v = random(3, 2, 2, 6, 4).to(DEVICE if dtype == torch.float32 else "cpu", dtype)
    bias = torch.zeros(6, 6, dtype=dtype, device=q.device)
    result = function(q, k, v, bias)
    assert (result.dtype, result.device) == (dtype, q.device)


@BOTH
def test_large_logits_stay_numbers(function):
    q, k, v = random(3, 1, 1, 6, 4).float().to(DEVICE)
    assert torch.isfinite(function(1000 * q, 1000 * k, v)).all()


@BOTH
def test_shuffled_tokens_give_shuffled_results(function):
    q, k, v = random(3, 2, 3, 9, 4)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(0)).to(PRECISE)
    shuffled = function(q[:, :, order], k[:, :, order], v[:, :, order])
    assert torch.allclose(shuffled, function(q, k, v)[:, :, order], rtol=0, atol=1e-12)
    assert torch.allclose(function(q, k[:, :, order], v[:, :, order]), function(q, k, v), rtol=0, atol=1e-12)


@given(batch=few, count=counts, heads=st.integers(1, 4), width=st.integers(1, 5))
def test_heads_are_slices_of_the_channels(batch, count, heads, width):
    tokens = random(batch, count, heads * width)
    pieces = split_heads(tokens, heads)
    assert pieces.shape == (batch, heads, count, width)
    for head in range(heads):
        assert torch.equal(pieces[:, head], tokens[:, :, head * width : (head + 1) * width])
    assert torch.equal(join_heads(pieces), tokens)


@pytest.mark.parametrize(("channels", "heads", "count"), [(12, 3, 10), (8, 1, 5), (6, 6, 7)])
def test_the_layer_equals_pytorchs(channels, heads, count):
    torch.manual_seed(0)
    theirs = nn.MultiheadAttention(channels, heads, batch_first=True, dtype=torch.double, device=PRECISE)
    nn.init.normal_(theirs.in_proj_bias)
    tokens = random(2, count, channels)
    qkv = tokens @ theirs.in_proj_weight.T + theirs.in_proj_bias
    q, k, v = (split_heads(x, heads) for x in qkv.chunk(3, -1))
    expected, expected_weights = theirs(tokens, tokens, tokens, average_attn_weights=False)
    means, weights = attend_with_weights(q, k, v)
    assert torch.allclose(weights, expected_weights, rtol=0, atol=1e-12)
    assert torch.allclose(theirs.out_proj(join_heads(means)), expected, rtol=0, atol=1e-12)


Q = torch.rand(2, 3, 5, 4)
BAD_CALLS = [
    (lambda f: f(Q[0], Q[0], Q[0]), ValueError, "q (3, 5, 4), k (3, 5, 4), v (3, 5, 4) do not fit"),
    (lambda f: f(Q, Q[:1], Q[:1]), ValueError, "do not fit; each must be (B, heads, N, D)"),
    (lambda f: f(Q, Q, Q[:, :, :4]), ValueError, "v (2, 3, 4, 4) do not fit"),
    (lambda f: f(Q, Q[..., :3], Q[..., :3]), ValueError, "k (2, 3, 5, 3)"),
    (lambda f: f(Q, Q, Q[..., :3]), ValueError, "v (2, 3, 5, 3) do not fit"),
    (
        lambda f: f(Q, Q, Q, mask=torch.ones(5, 5)),
        TypeError,
        "mask has type torch.float32; it must be torch.bool, True where a pair may attend",
    ),
    (
        lambda f: f(Q, Q, Q, bias=torch.ones(5, 5, dtype=torch.bool)),
        TypeError,
        "bias has type torch.bool; it must be floating point; give True and False as mask",
    ),
    (
        lambda f: f(Q, Q, Q, bias=torch.ones(5, 5, dtype=torch.int64)),
        TypeError,
        "bias has type torch.int64; it must be floating point",
    ),
    (
        lambda f: f(Q, Q, Q, bias=torch.ones(5, 4)),
        ValueError,
        "bias has shape (5, 4); it must broadcast to (2, 3, 5, 5)",
    ),
    (
        lambda f: f(Q, Q, Q, mask=torch.ones(2, 5, 5, dtype=torch.bool)),
        ValueError,
        "mask has shape (2, 5, 5); it must broadcast to (2, 3, 5, 5)",
    ),
    (
        lambda f: f(Q, Q, Q, bias=torch.ones(1, 2, 3, 5, 5)),
        ValueError,
        "bias has shape (1, 2, 3, 5, 5); it must broadcast to (2, 3, 5, 5)",
    ),
]


@BOTH
@pytest.mark.parametrize(("call", "kind", "sentence"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(function, call, kind, sentence):
    with pytest.raises(kind) as problem:
        call(function)
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: split_heads(torch.rand(2, 5, 10), 3), "heads 3 does not divide channels 10"),
        (lambda: split_heads(torch.rand(2, 5, 10), 0), "heads is 0; it must be a whole number of at least 1"),
        (lambda: split_heads(torch.rand(2, 5, 10), -2), "heads is -2; it must be a whole number"),
        (lambda: split_heads(torch.rand(2, 5, 10), 2.0), "heads is 2.0; it must be a whole number"),
        (lambda: split_heads(torch.rand(2, 5, 10), True), "heads is True; it must be a whole number"),
        (lambda: split_heads(torch.rand(5, 10), 2), "tokens has shape (5, 10); it must be (B, N, C)"),
        (
            lambda: join_heads(torch.rand(5, 10, 2)),
            "pieces has shape (5, 10, 2); it must be (B, heads, N, D)",
        ),
    ],
)
def test_bad_heads_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
