"""swin_edu/block.py against loops over tokens and heads, without roll and mask, on maps of any size."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from swin_edu.block import (
    MLP,
    CosineWindowAttention,
    StochasticDepth,
    SwinBlock,
    SwinBlockV2,
    WindowAttention,
    shifted_window_attention,
    split_windows,
)
from swin_edu.book.device import device
from swin_edu.shift import shift_mask
from swin_edu.windows import window_partition

DEVICE = device()
PRECISE = torch.device("cpu") if DEVICE.type == "mps" else DEVICE  # Apple GPUs have no float64
BLOCKS = pytest.mark.parametrize("kind", [SwinBlock, SwinBlockV2])
ATTENTIONS = pytest.mark.parametrize("kind", [WindowAttention, CosineWindowAttention])


def random_layer(layer, seed=0):
    """Give every parameter a random value of order one, in double precision: zeros would hide mistakes."""
    generator = torch.Generator().manual_seed(seed)
    layer = layer.double()
    for parameter in layer.parameters():
        scale = parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 1
        parameter.data = scale * torch.randn(parameter.shape, generator=generator, dtype=torch.double)
    return layer.to(PRECISE)


def random_map(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.double).to(PRECISE)


def logits_of(layer, head, query, keys):
    """The logits of one query, without bias."""
    if isinstance(layer, WindowAttention):
        return keys @ query / math.sqrt(len(query))
    lengths = keys.norm(dim=1) * query.norm()
    cosines = torch.where(
        lengths > 0, keys @ query / lengths.clamp(min=1e-300), 0
    )  # padding has a key of zeros
    return min(layer.logit_scale[head].exp().item(), 100) * cosines


def bias_table(layer):
    """The bias of every offset and head."""
    if isinstance(layer, WindowAttention):
        return layer.position.table
    hidden = layer.position.offsets @ layer.position.mlp[0].weight.T + layer.position.mlp[0].bias
    return 16 * (hidden.clamp(min=0) @ layer.position.mlp[2].weight.T).sigmoid()


@torch.no_grad()
def attend_by_hand(x, layer, window, down, right):
    """Attend on a map `(H, W, C)`: each token with those of its moved window, token by token."""
    height, width, channels = x.shape
    places = [
        (y, x) for y in range(-(-height // window) * window) for x in range(-(-width // window) * window)
    ]
    inside = lambda y, z: y < height and z < width  # noqa: E731
    tokens = [x[place] if inside(*place) else torch.zeros_like(x[0, 0]) for place in places]
    weight, bias = layer.qkv.weight, layer.qkv.bias.clone()
    if isinstance(layer, CosineWindowAttention):
        bias[channels : 2 * channels] = 0
    q, k, v = torch.stack([weight @ token + bias for token in tokens]).chunk(3, dim=-1)
    size = channels // layer.heads
    mixed, table = torch.empty_like(q), bias_table(layer)
    for i, (y, z) in enumerate(places):
        piece = (y - down) // window, (z - right) // window
        own = [j for j, (b, a) in enumerate(places) if ((b - down) // window, (a - right) // window) == piece]
        offsets = [(y - places[j][0] + window - 1, z - places[j][1] + window - 1) for j in own]
        rows = [row * (2 * window - 1) + column for row, column in offsets]
        for head in range(layer.heads):
            part = slice(head * size, (head + 1) * size)
            logits = logits_of(layer, head, q[i, part], k[own, part]) + table[rows, head]
            mixed[i, part] = logits.softmax(0) @ v[own, part]
    result = mixed @ layer.project.weight.T + layer.project.bias
    kept = [inside(*place) for place in places]
    return result[kept].reshape(x.shape)


def norm_by_hand(x, norm):
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias


def mlp_by_hand(x, mlp):
    hidden = x @ mlp.expand.weight.T + mlp.expand.bias
    return hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2 @ mlp.reduce.weight.T + mlp.reduce.bias


def close(a, b, within=1e-11):
    return a.shape == b.shape and (a - b).abs().max() <= within


@ATTENTIONS
@pytest.mark.parametrize("seed", [0, 1])
def test_attention_equals_a_loop_over_tokens_and_heads(kind, seed):
    layer = random_layer(kind(channels=6, heads=3, window=3), seed)
    if seed and kind is CosineWindowAttention:
        layer.logit_scale.data[:2, 0, 0] = torch.tensor([4.0, 6.0])  # below and beyond the limit of log 100
    x = random_map(2, 6, 3, 6, seed=seed)
    windows = layer(window_partition(x, 3))
    expected = torch.stack([attend_by_hand(image, layer, 3, 0, 0) for image in x])
    assert close(windows, window_partition(expected, 3))


@ATTENTIONS
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
        (4, 2, 2, 1, (1, 0)),
    ],
)
def test_moved_windows_without_roll_and_mask(kind, height, width, window, shift, moved):
    layer = random_layer(kind(channels=4, heads=2, window=window))
    x = random_map(2, height, width, 4)
    result = shifted_window_attention(x, layer, window, shift)
    for n in range(2):
        assert close(result[n], attend_by_hand(x[n], layer, window, *moved))


@given(
    height=st.integers(1, 17),
    width=st.integers(1, 17),
    window=st.integers(1, 6),
    shift=st.integers(0, 5),
    images=st.integers(1, 3),
)
def test_every_token_comes_back_to_its_place(height, width, window, shift, images):
    shift = min(shift, window - 1)
    x = random_map(images, height, width, 3)
    assert torch.equal(shifted_window_attention(x, lambda windows, mask: windows, window, shift), x)


@pytest.mark.parametrize(("size", "shift", "masked"), [(12, 2, True), (12, 0, False), (4, 2, False)])
def test_there_is_a_mask_only_where_windows_move(size, shift, masked):
    seen = []
    shifted_window_attention(
        random_map(1, size, size, 2), lambda windows, mask: seen.append(mask) or windows, 4, shift
    )
    assert len(seen) == 1
    if masked:
        assert torch.equal(seen[0], shift_mask(size, size, 4, shift, PRECISE))
    else:
        assert seen == [None]


@BLOCKS
@settings(max_examples=12)  # the loops are slow
@given(height=st.integers(1, 5), width=st.integers(1, 5), shift=st.integers(0, 1))
def test_block_is_its_two_equations(kind, height, width, shift):
    block = random_layer(kind(channels=4, heads=2, window=2, shift=shift))
    z = random_map(1, height, width, 4)
    down, right = shift * (height > 2), shift * (width > 2)
    attention = lambda x: attend_by_hand(x[0], block.attention, 2, down, right)[None]  # noqa: E731
    if kind is SwinBlock:
        middle = attention(norm_by_hand(z, block.norm1)) + z
        expected = mlp_by_hand(norm_by_hand(middle, block.norm2), block.mlp) + middle
    else:
        middle = norm_by_hand(attention(z), block.norm1) + z
        expected = norm_by_hand(mlp_by_hand(middle, block.mlp), block.norm2) + middle
    assert close(block(z), expected, within=1e-8)


@ATTENTIONS
def test_an_image_does_not_depend_on_its_batch(kind):
    layer = random_layer(kind(channels=8, heads=2, window=3))
    mask = shift_mask(9, 6, 3, 1, PRECISE)
    x = random_map(5, 9, 6, 8)
    together = layer(window_partition(x, 3), mask)
    alone = torch.cat([layer(window_partition(image[None], 3), mask) for image in x])
    assert close(together, alone)


def test_split_windows_gives_each_head_its_own_channels():
    qkv = torch.arange(2 * 3 * 4 * 24.0).reshape(6, 4, 24)  # two images of three windows; 24 = 3 · 2 · 4
    q, k, v = split_windows(qkv, 2, torch.ones(3, 4, 4, dtype=torch.bool))
    assert q.shape == k.shape == v.shape == (2, 3, 2, 4, 4)
    assert torch.equal(q[1, 2, 1], qkv[5, :, 4:8])
    assert torch.equal(k[0, 1, 0], qkv[1, :, 8:12])
    assert torch.equal(v[1, 0, 1], qkv[3, :, 20:24])
    assert torch.equal(split_windows(qkv, 2, None)[1][4, 0, 1], qkv[4, :, 12:16])


def test_mlp_uses_the_exact_gelu():
    mlp = random_layer(MLP(5))
    x = random_map(2, 3, 4, 5)
    assert close(mlp(x), mlp_by_hand(x, mlp))
    by_tanh = mlp.reduce(nn.functional.gelu(mlp.expand(x), approximate="tanh"))
    assert not close(mlp(x), by_tanh, within=1e-5)
    assert mlp.expand.out_features == 20


def test_a_bias_of_the_keys_changes_nothing():
    """In version 1 the softmax does not see it; in version 2 it is not used."""
    windows = random_map(4, 9, 6)
    for kind in (WindowAttention, CosineWindowAttention):
        layer = random_layer(kind(channels=6, heads=2, window=3))
        before = layer(windows)
        before.square().sum().backward()
        assert layer.qkv.bias.grad[6:12].abs().max() < 1e-9
        assert min(layer.qkv.bias.grad[:6].abs().max(), layer.qkv.bias.grad[12:].abs().max()) > 1e-3
        with torch.no_grad():
            layer.qkv.bias[6:12] += 3
        assert close(layer(windows), before)
        with torch.no_grad():
            layer.qkv.bias[:6] += 3
        assert not close(layer(windows), before, within=1e-3)


def test_cosine_attention_does_not_see_the_size_of_queries_and_keys():
    layer = random_layer(CosineWindowAttention(channels=6, heads=2, window=3))
    windows = random_map(2, 9, 6)
    before = layer(windows)
    with torch.no_grad():
        layer.qkv.weight[:12] *= 50
        layer.qkv.bias[:12] *= 50
    assert close(layer(windows), before)


def test_scale_starts_at_ten_and_stays_below_a_hundred():
    torch.manual_seed(0)
    layer = CosineWindowAttention(channels=6, heads=2, window=3).double()
    assert torch.allclose(layer.logit_scale.exp(), torch.full((2, 1, 1), 10.0, dtype=torch.double))
    windows = torch.randn(2, 9, 6, dtype=torch.double)
    results = []
    for scale in (99.0, 100.0, 101.0, 1000.0):
        nn.init.constant_(layer.logit_scale, math.log(scale))
        results.append(layer(windows))
    assert not close(results[0], results[1], within=1e-9)
    assert close(results[1], results[2], within=1e-12)
    assert close(results[1], results[3], within=1e-12)


def test_what_version_2_adds_does_not_depend_on_the_size_of_weights():
    x = random_map(1, 4, 4, 8)
    changes = {}
    for kind in (SwinBlock, SwinBlockV2):
        block = random_layer(kind(channels=8, heads=2, window=2))
        for norm in (block.norm1, block.norm2):
            nn.init.ones_(norm.weight)
            nn.init.zeros_(norm.bias)
        before = block(x)
        with torch.no_grad():
            for layer in (block.attention.project, block.mlp.reduce):
                layer.weight *= 100
                layer.bias *= 100
        changes[kind] = (block(x) - before).abs().max()
        if kind is SwinBlockV2:
            assert ((before - x).square().mean() - 2).abs() < 1.5  # two branches of variance 1
    assert changes[SwinBlockV2] < 1e-3
    assert changes[SwinBlock] > 10


def test_version_2_with_norms_at_zero_returns_its_input():
    block = random_layer(SwinBlockV2(channels=6, heads=2, window=2, shift=1))
    x = random_map(2, 4, 6, 6)
    assert not torch.equal(block(x), x)
    for norm in (block.norm1, block.norm2):
        nn.init.zeros_(norm.weight)
        nn.init.zeros_(norm.bias)
    assert torch.equal(block(x), x)


def test_stochastic_depth_leaves_out_whole_images_and_keeps_the_mean():
    torch.manual_seed(0)
    x = torch.rand(4000, 2, 3, 1) + 1
    dropped = StochasticDepth(0.25)(x)
    factors = (dropped / x).flatten(1)
    assert torch.allclose(factors, factors[:, :1].expand_as(factors))
    skipped = factors[:, 0] == 0
    assert torch.allclose(factors[~skipped], torch.tensor(4 / 3))
    assert 0.22 < skipped.double().mean() < 0.28
    assert 0.95 < factors.mean() < 1.05


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_stochastic_depth_is_off_after_training(rate):
    x = torch.rand(50, 2, 2, 1)
    assert torch.equal(StochasticDepth(rate).eval()(x), x)
    assert torch.equal(StochasticDepth(0.0)(x), x)
    if rate:
        assert not torch.equal(StochasticDepth(rate)(x), x)


@BLOCKS
def test_the_two_branches_are_left_out_independently(kind):
    torch.manual_seed(0)
    block = random_layer(kind(channels=4, heads=2, window=2, drop=0.5))
    x = random_map(1, 2, 2, 4)
    branches = []
    for first in (0, 2):
        for second in (0, 2):  # kept branches are doubled at rate 0.5
            factors = iter((first, second))
            block.drop.forward = lambda branch, factors=factors: branch * next(factors)
            branches.append(block(x)[0])
    del block.drop.forward
    images = block(x.expand(64, -1, -1, -1))
    matches = torch.stack([(images - branch).abs().flatten(1).amax(1) < 1e-9 for branch in branches])
    assert (matches.sum(0) == 1).all()
    assert (matches.sum(1) > 4).all()
    assert close(block.eval()(x), kind.forward(block, x))


@BLOCKS
def test_gradients_reach_every_parameter_and_the_input(kind):
    torch.manual_seed(0)
    block = kind(channels=8, heads=2, window=4, shift=2).to(DEVICE)
    x = torch.randn(2, 9, 7, 8).to(DEVICE).requires_grad_()
    (block(x) * torch.randn(2, 9, 7, 8).to(DEVICE)).sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name
    assert (x.grad.abs() > 0).any(dim=-1).all()


@BLOCKS
def test_a_pair_of_blocks_sees_four_windows(kind):
    torch.manual_seed(0)
    pair = nn.Sequential(kind(8, 2, 4), kind(8, 2, 4, shift=2)).to(DEVICE)
    x = torch.randn(1, 16, 16, 8).to(DEVICE).requires_grad_()
    weights = torch.randn(8).to(DEVICE)  # a plain sum over channels has no gradient through a norm
    (pair(x)[0, 7, 7] * weights).sum().backward()
    seen = (x.grad[0] != 0).any(-1).cpu()
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[4:12, 4:12] = True
    assert torch.equal(seen, expected)


@BLOCKS
def test_bfloat16_is_close(kind):
    torch.manual_seed(0)
    block = kind(channels=16, heads=2, window=4, shift=2).to(DEVICE)
    x = torch.randn(2, 8, 10, 16).to(DEVICE)
    exact = block(x)
    with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
        result = block(x)
    assert result.shape == exact.shape
    assert 0 < (result.float() - exact).abs().max() < 0.1


@pytest.mark.skipif(DEVICE.type == "mps", reason="the compiler for Apple GPUs is experimental")
@BLOCKS
def test_compiled_as_one_graph(kind):
    torch.manual_seed(0)
    block = kind(channels=8, heads=2, window=2, shift=1).to(DEVICE).eval()
    x = torch.randn(1, 5, 4, 8).to(DEVICE)
    graphs = []

    def count(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(block, fullgraph=True, backend=count)
    assert torch.allclose(compiled(x), block(x), atol=1e-5)
    assert len(graphs) == 1


def test_names_of_weights_are_those_that_checkpoints_expect():
    shared = [
        f"{layer}.{kind}"
        for layer in ("norm1", "norm2", "attention.qkv", "attention.project", "mlp.expand", "mlp.reduce")
        for kind in ("weight", "bias")
    ]
    position = ["logit_scale", "position.mlp.0.weight", "position.mlp.0.bias", "position.mlp.2.weight"]
    assert set(SwinBlock(8, 2, 4).state_dict()) == {*shared, "attention.position.table"}
    assert set(SwinBlockV2(8, 2, 4).state_dict()) == {*shared, *(f"attention.{name}" for name in position)}


@pytest.mark.parametrize("stage", [1, 2, 3, 4])
def test_swin_t_numbers(stage):
    channels, heads = 96 * 2 ** (stage - 1), 3 * 2 ** (stage - 1)
    with torch.device("meta"):
        block = SwinBlock(channels, heads, window=7)
        block2 = SwinBlockV2(channels, heads, window=8)
    common = 12 * channels**2 + 13 * channels
    assert sum(p.numel() for p in block.parameters()) == common + 169 * heads
    assert sum(p.numel() for p in block2.parameters()) == common + heads + 512 * (3 + heads)


def test_the_network_of_a_larger_window_may_come_from_a_smaller_one():
    larger = SwinBlockV2(6, 2, window=4, pretrained_window=2).attention.position.offsets
    assert not torch.equal(larger, SwinBlockV2(6, 2, window=4).attention.position.offsets)
    fixed = CosineWindowAttention(6, 2, 4, pretrained_window=2).position.offsets
    assert torch.equal(larger, fixed)


WINDOWS = torch.rand(6, 9, 4)
MASK = torch.ones(4, 9, 9, dtype=torch.bool)
BAD_CALLS = [
    (lambda: WindowAttention(10, 3, 7), "heads 3 does not divide channels 10"),
    (lambda: CosineWindowAttention(10, 4, 7), "heads 4 does not divide channels 10"),
    (lambda: SwinBlock(96, 0, 7), "heads is 0; it must be a whole number of at least 1"),
    (lambda: SwinBlock(0, 3, 7), "channels is 0; it must be a whole number of at least 1"),
    (lambda: SwinBlockV2(96, 3, 0), "window is 0; it must be a whole number of at least 1"),
    (lambda: WindowAttention(4, 2, 3)(WINDOWS, MASK), "there are 6 windows; for this mask it must be"),
    (lambda: CosineWindowAttention(4, 2, 3)(WINDOWS, MASK), "a multiple of 4"),
    (lambda: SwinBlock(4, 2, 3)(torch.rand(1, 4, 6, 6)), "x has shape (1, 4, 6, 6); it must be (B, H, W, 4)"),
    (lambda: SwinBlockV2(4, 2, 3)(torch.rand(6, 6, 4)), "x has shape (6, 6, 4); it must be (B, H, W, 4)"),
    (lambda: SwinBlock(4, 2, 3, shift=3)(torch.rand(1, 6, 6, 4)), "shift is 3; for window 3 it must lie"),
    (lambda: StochasticDepth(1.0), "rate is 1.0; it must be at least 0 and below 1"),
    (lambda: StochasticDepth(-0.1), "rate is -0.1; it must be at least 0 and below 1"),
    (lambda: SwinBlock(4, 2, 3, drop=2), "rate is 2; it must be at least 0 and below 1"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
