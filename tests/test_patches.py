"""swin_edu/patches.py against loops, a convolution and its own inverse, on any size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from swin_edu.book.device import device
from swin_edu.patches import (
    AbsolutePosition,
    OverlappingPatchEmbedding,
    PatchEmbedding,
    pad_to_patch,
    patch_partition,
    patch_reverse,
)

DEVICE = device()
PRECISE = torch.device("cpu") if DEVICE.type == "mps" else DEVICE  # Apple GPUs have no float64
counts = st.integers(1, 5)
patch_sizes = st.integers(1, 6)


def random_images(batch, height, width):
    generator = torch.Generator().manual_seed(height * 31 + width)
    return torch.rand(batch, 3, height, width, generator=generator).to(DEVICE)


@given(batch=st.integers(1, 3), rows=counts, columns=counts, patch=patch_sizes)
def test_partition_equals_brute_force(batch, rows, columns, patch):
    images = random_images(batch, rows * patch, columns * patch)
    patches = patch_partition(images, patch)
    assert patches.shape == (batch, rows, columns, patch * patch * 3)
    for b in range(batch):
        for row in range(rows):
            for column in range(columns):
                numbers = [
                    images[b, colour, row * patch + y, column * patch + x].item()
                    for y in range(patch)
                    for x in range(patch)
                    for colour in range(3)
                ]
                assert patches[b, row, column].tolist() == numbers


@given(batch=st.integers(1, 3), rows=counts, columns=counts, patch=patch_sizes)
def test_reverse_is_the_inverse(batch, rows, columns, patch):
    images = random_images(batch, rows * patch, columns * patch)
    assert torch.equal(patch_reverse(patch_partition(images, patch), patch), images)


@given(height=st.integers(1, 40), width=st.integers(1, 40), patch=patch_sizes)
def test_padding_adds_zeros_at_the_right_and_the_bottom_only(height, width, patch):
    images = random_images(1, height, width) + 1
    padded = pad_to_patch(images, patch)
    assert padded.shape[2] % patch == padded.shape[3] % patch == 0
    assert 0 <= padded.shape[2] - height < patch
    assert 0 <= padded.shape[3] - width < patch
    assert torch.equal(padded[:, :, :height, :width], images)
    assert padded.count_nonzero() == images.numel()


@given(
    height=st.integers(1, 30), width=st.integers(1, 30), patch=st.integers(1, 5), channels=st.integers(2, 9)
)
def test_embedding_is_a_strided_convolution_and_a_norm(height, width, patch, channels):
    torch.manual_seed(0)
    embedding = PatchEmbedding(patch, channels).double().to(PRECISE)
    nn.init.normal_(embedding.norm.weight)
    nn.init.normal_(embedding.norm.bias)
    images = random_images(2, height, width).to(PRECISE).double()
    kernel = embedding.linear.weight.reshape(channels, patch, patch, 3).permute(0, 3, 1, 2)
    padded = F.pad(images, (0, -width % patch, 0, -height % patch))
    maps = F.conv2d(padded, kernel, embedding.linear.bias, stride=patch).permute(0, 2, 3, 1)
    expected = F.layer_norm(maps, (channels,), embedding.norm.weight, embedding.norm.bias, eps=1e-5)
    assert torch.allclose(embedding(images), expected, rtol=0, atol=1e-12)


@given(height=st.integers(1, 30), width=st.integers(1, 30), patch=st.integers(1, 5))
def test_overlapping_embedding_sees_its_surroundings(height, width, patch):
    torch.manual_seed(0)
    embedding = OverlappingPatchEmbedding(patch, channels=4).double().to(PRECISE)
    images = random_images(1, height, width).to(PRECISE).double()
    tokens = embedding(images)
    assert tokens.shape == (1, -(-height // patch), -(-width // patch), 4)
    reach = patch - 1
    wide = F.pad(images, (reach, reach + patch, reach, reach + patch))
    for row in range(tokens.shape[1]):
        for column in range(tokens.shape[2]):
            top, left = row * patch, column * patch
            seen = wide[0, :, top : top + 2 * patch - 1, left : left + 2 * patch - 1]
            sums = (embedding.convolution.weight * seen).sum((1, 2, 3)) + embedding.convolution.bias
            expected = F.layer_norm(sums, (4,), eps=1e-5)
            assert torch.allclose(tokens[0, row, column], expected, rtol=0, atol=1e-9)


def test_swin_t_numbers():
    embedding = PatchEmbedding()
    assert embedding.to(DEVICE)(random_images(1, 224, 224)).shape == (1, 56, 56, 96)
    assert sum(p.numel() for p in embedding.parameters()) == 48 * 96 + 96 + 2 * 96


def test_position_is_added_at_its_own_size_and_resized_at_others():
    position = AbsolutePosition(6, 4, channels=5).to(DEVICE)
    tokens = torch.rand(2, 6, 4, 5).to(DEVICE)
    assert torch.allclose(
        position(tokens) - tokens, position.table.permute(0, 2, 3, 1).expand(2, -1, -1, -1), atol=1e-6
    )
    constant = AbsolutePosition(6, 4, channels=5).to(DEVICE)
    nn.init.constant_(constant.table, 0.25)
    larger = torch.rand(1, 9, 11, 5).to(DEVICE)
    assert torch.allclose(constant(larger), larger + 0.25, atol=1e-6)


def test_gradients_reach_every_parameter():
    for layer in (PatchEmbedding(4, 8), OverlappingPatchEmbedding(4, 8), AbsolutePosition(3, 3, 8)):
        inputs = torch.rand(1, 3, 3, 8) if isinstance(layer, AbsolutePosition) else torch.rand(1, 3, 10, 10)
        (layer.to(DEVICE)(inputs.to(DEVICE)) * torch.rand(1, 3, 3, 8).to(DEVICE)).sum().backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


IMAGES = torch.rand(1, 3, 50, 70)
BAD_CALLS = [
    (
        lambda: patch_partition(IMAGES, 4),
        ValueError,
        "patch 4 does not divide height 50; pad to 52 with pad_to_patch",
    ),
    (
        lambda: patch_partition(IMAGES, 25),
        ValueError,
        "patch 25 does not divide width 70; pad to 75 with pad_to_patch",
    ),
    (lambda: patch_partition(IMAGES, 0), ValueError, "patch is 0; it must be a whole number of at least 1"),
    (lambda: patch_partition(IMAGES, -4), ValueError, "patch is -4; it must be a whole number of at least 1"),
    (
        lambda: patch_partition(IMAGES, 2.0),
        ValueError,
        "patch is 2.0; it must be a whole number of at least 1",
    ),
    (
        lambda: patch_partition(IMAGES, True),
        ValueError,
        "patch is True; it must be a whole number of at least 1",
    ),
    (
        lambda: patch_partition(IMAGES.numpy(), 2),
        TypeError,
        "images is of type ndarray; it must be a tensor (B, 3, H, W)",
    ),
    (
        lambda: patch_partition(None, 2),
        TypeError,
        "images is of type NoneType; it must be a tensor (B, 3, H, W)",
    ),
    (
        lambda: patch_partition(IMAGES[0], 2),
        ValueError,
        "images has shape (3, 50, 70); it must be (B, 3, H, W); add the batch axis with images[None]",
    ),
    (
        lambda: patch_partition(torch.rand(1, 1, 8, 8), 2),
        ValueError,
        "images has shape (1, 1, 8, 8); it must be (B, 3, H, W), three colours",
    ),
    (
        lambda: patch_partition(torch.rand(1, 3, 0, 8), 2),
        ValueError,
        "images has shape (1, 3, 0, 8); height and width must be at least 1",
    ),
    (
        lambda: patch_partition(torch.rand(1, 8, 8, 3), 2),
        ValueError,
        "images has shape (1, 8, 8, 3); it must be (B, 3, H, W), three colours",
    ),
    (
        lambda: patch_reverse(torch.rand(1, 2, 2, 47), 4),
        ValueError,
        "patches has shape (1, 2, 2, 47); for patch 4 it must be (B, H, W, 48)",
    ),
    (
        lambda: patch_reverse(torch.rand(2, 2, 48), 4),
        ValueError,
        "patches has shape (2, 2, 48); for patch 4 it must be (B, H, W, 48)",
    ),
    (lambda: pad_to_patch(IMAGES[0], 4), ValueError, "add the batch axis with images[None]"),
    (lambda: PatchEmbedding()(IMAGES[0]), ValueError, "add the batch axis with images[None]"),
    (lambda: PatchEmbedding(patch=0), ValueError, "patch is 0; it must be a whole number of at least 1"),
    (
        lambda: OverlappingPatchEmbedding(patch="4"),
        ValueError,
        "patch is '4'; it must be a whole number of at least 1",
    ),
    (lambda: OverlappingPatchEmbedding()(IMAGES[0]), ValueError, "add the batch axis with images[None]"),
    (
        lambda: AbsolutePosition(4, 4, 8)(torch.rand(1, 4, 4, 9)),
        ValueError,
        "tokens has shape (1, 4, 4, 9); it must be (B, H, W, 8)",
    ),
]


@pytest.mark.parametrize(("call", "kind", "sentence"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(call, kind, sentence):
    with pytest.raises(kind) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
