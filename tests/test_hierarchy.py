"""swin_edu/hierarchy.py against loops, convolutions and the layers one by one, on any size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from swin_edu.block import SwinBlock, SwinBlockV2
from swin_edu.book.device import device
from swin_edu.hierarchy import PatchMerging, PatchMergingV2, Stage, merge_neighbours

DEVICE = device()
PRECISE = torch.device("cpu") if DEVICE.type == "mps" else DEVICE  # Apple GPUs have no float64
sides = st.integers(1, 11)
LAYERS = pytest.mark.parametrize("kind", [PatchMerging, PatchMergingV2])


def random_map(batch, height, width, channels):
    generator = torch.Generator().manual_seed(height * 31 + width)
    return torch.randn(batch, height, width, channels, generator=generator).to(DEVICE)


def randomised(layer):
    """Give every parameter values of order one, so that a wrong layer cannot hide behind zeros and ones."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / parameter.shape[-1] ** 0.5)
    return layer


def padded(x):
    return F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))


@given(batch=st.integers(1, 3), height=sides, width=sides, channels=st.integers(1, 4))
def test_merging_equals_brute_force(batch, height, width, channels):
    x = random_map(batch, height, width, channels)
    merged = merge_neighbours(x)
    rows, columns = -(-height // 2), -(-width // 2)
    assert merged.shape == (batch, rows, columns, 4 * channels)
    for b in range(batch):
        for row in range(rows):
            for column in range(columns):
                numbers = []
                for y, z in ((0, 0), (1, 0), (0, 1), (1, 1)):  # down first
                    inside = 2 * row + y < height and 2 * column + z < width
                    numbers += x[b, 2 * row + y, 2 * column + z].tolist() if inside else [0.0] * channels
                assert merged[b, row, column].tolist() == numbers


def test_the_order_is_the_authors():
    x = torch.arange(8).reshape(1, 2, 2, 2)
    assert merge_neighbours(x).flatten().tolist() == [0, 1, 4, 5, 2, 3, 6, 7]
    slices = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
    assert torch.equal(merge_neighbours(x), torch.cat(slices, -1))


@given(height=sides, width=sides, channels=st.integers(1, 6))
def test_the_first_version_is_norm_then_linear(height, width, channels):
    layer = randomised(PatchMerging(channels)).double().to(PRECISE)
    x = random_map(2, height, width, channels).to(PRECISE).double()
    normed = F.layer_norm(merge_neighbours(x), (4 * channels,), layer.norm.weight, layer.norm.bias, eps=1e-5)
    expected = normed @ layer.reduction.weight.T
    assert expected.shape == (2, -(-height // 2), -(-width // 2), 2 * channels)
    assert torch.allclose(layer(x), expected, rtol=0, atol=1e-12)


@given(height=sides, width=sides, channels=st.integers(1, 6))
def test_the_second_version_is_a_strided_convolution_then_norm(height, width, channels):
    layer = randomised(PatchMergingV2(channels)).double().to(PRECISE)
    x = random_map(2, height, width, channels).to(PRECISE).double()
    kernel = layer.reduction.weight.reshape(2 * channels, 2, 2, channels).permute(0, 3, 2, 1)
    sums = F.conv2d(padded(x).permute(0, 3, 1, 2), kernel, stride=2).permute(0, 2, 3, 1)
    expected = F.layer_norm(sums, (2 * channels,), layer.norm.weight, layer.norm.bias, eps=1e-5)
    assert torch.allclose(layer(x), expected, rtol=0, atol=1e-10)


@LAYERS
def test_parameters_of_the_published_models(kind):
    layer = kind(96)
    shapes = {name: tuple(value.shape) for name, value in layer.state_dict().items()}
    width = 384 if kind is PatchMerging else 192
    assert shapes == {"reduction.weight": (192, 384), "norm.weight": (width,), "norm.bias": (width,)}


@LAYERS
def test_gradients_reach_every_parameter_and_every_token(kind):
    layer = randomised(kind(6)).to(DEVICE)
    x = random_map(1, 5, 4, 6).requires_grad_()
    (layer(x) * random_map(1, 3, 2, 12)).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in layer.parameters())
    assert (x.grad.abs().sum(-1) > 0).all()


@settings(max_examples=15)
@given(
    height=st.integers(1, 12),
    width=st.integers(1, 12),
    window=st.integers(2, 5),
    version=st.sampled_from((1, 2)),
)
def test_a_stage_is_merging_then_blocks_plain_and_shifted(height, width, window, version):
    stage = randomised(Stage(8, 2, window, [0.0, 0.0, 0.0], version=version)).to(DEVICE).eval()
    assert [block.shift for block in stage.blocks] == [0, window // 2, 0]
    assert {block.window for block in stage.blocks} == {window}
    kinds = (PatchMerging, SwinBlock) if version == 1 else (PatchMergingV2, SwinBlockV2)
    assert (type(stage.merge), type(stage.blocks[0])) == kinds
    x = random_map(2, height, width, 4)
    expected = stage.merge(x)
    assert expected.shape == (2, -(-height // 2), -(-width // 2), 8)
    for block in stage.blocks:
        expected = block(expected)
    assert torch.equal(stage(x), expected)


def test_the_first_stage_keeps_its_map():
    stage = Stage(6, 2, 4, [0.0, 0.0], merging=False).to(DEVICE)
    assert isinstance(stage.merge, nn.Identity)
    assert stage(random_map(1, 5, 7, 6)).shape == (1, 5, 7, 6)
    assert Stage(7, 1, 4, [0.0], merging=False).to(DEVICE)(random_map(1, 4, 4, 7)).shape == (1, 4, 4, 7)


def test_a_stage_hands_its_arguments_on():
    stage = Stage(12, 3, 4, [0.0, 0.25, 0.5], version=2, pretrained_window=6)
    assert [block.drop.rate for block in stage.blocks] == [0.0, 0.25, 0.5]
    assert {block.attention.heads for block in stage.blocks} == {3}
    alone = SwinBlockV2(12, 3, 4, 0, 0.0, 6).attention.position
    other = SwinBlockV2(12, 3, 4, 0, 0.0, 0).attention.position
    with torch.no_grad():
        tables = []
        for position in (stage.blocks[0].attention.position, alone, other):
            tables.append(randomised(position)())
    assert torch.equal(tables[0], tables[1])
    assert not torch.equal(tables[0], tables[2])


def test_four_stages_of_swin_t_have_the_published_parameters():
    """28,288,354 in all; the patch embedding, the last norm and the classifier are not of a stage."""
    stages = [
        Stage(96 * 2**i, 3 * 2**i, 7, [0.0] * depth, merging=i > 0) for i, depth in enumerate((2, 2, 6, 2))
    ]
    embedding, head = 48 * 96 + 96 + 2 * 96, 2 * 768 + 768 * 1000 + 1000
    count = sum(p.numel() for stage in stages for p in stage.parameters())
    assert count == 28_288_354 - embedding - head


MAP = torch.rand(1, 4, 6, 5)
BAD_CALLS = [
    (lambda: merge_neighbours(MAP[0]), "x has shape (4, 6, 5); it must be (B, H, W, C), channels last"),
    (lambda: PatchMerging(4)(MAP), "x has shape (1, 4, 6, 5); it must be (B, H, W, 4)"),
    (lambda: PatchMergingV2(8)(MAP), "x has shape (1, 4, 6, 5); it must be (B, H, W, 8)"),
    (lambda: PatchMerging(5)(MAP[0]), "x has shape (4, 6, 5); it must be (B, H, W, 5)"),
    (lambda: Stage(7, 1, 4, [0.0]), "channels is 7; merging doubles channels, so it must be even"),
    (lambda: Stage(8, 2, 4, [0.0], version=3), "version is 3; it must be 1 or 2"),
    (lambda: Stage(8, 2, 4, [0.0], version="2"), "version is '2'; it must be 1 or 2"),
    (lambda: Stage(96, 5, 7, [0.0]), "heads 5 does not divide channels 96"),
    (lambda: Stage(96, 0, 7, [0.0]), "heads is 0; it must be a whole number of at least 1"),
    (lambda: Stage(8, 2, 4, [1.5]), "rate is 1.5; it must be at least 0 and below 1"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
