"""Patches: images become maps of tokens, and back.

Source: Dosovitskiy et al. 2021 (ViT), section 3.1; Liu et al. 2021 (Swin), section 3.1.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


def patch_partition(images: Tensor, patch: int) -> Tensor:
    """Cut images into squares and line up the numbers of each, pixel by pixel, every pixel red, green, blue.

    Shape: (B, 3, H, W) -> (B, H/P, W/P, P·P·3)
    Raises ValueError when the patch does not divide the height or the width.
    Source: Liu et al. 2021, section 3.1, with P = 4.
    """
    check_images(images)
    check_patch(patch)
    for axis, size in zip(("height", "width"), images.shape[2:], strict=True):
        if size % patch:
            next_size = (size // patch + 1) * patch
            raise ValueError(
                f"patch {patch} does not divide {axis} {size}; pad to {next_size} with pad_to_patch"
            )
    return rearrange(images, "b c (h p) (w q) -> b h w (p q c)", p=patch, q=patch)


def check_patch(patch: int) -> None:
    """Raise ValueError when `patch` is no patch size."""
    if isinstance(patch, bool) or not isinstance(patch, int) or patch < 1:
        raise ValueError(f"patch is {patch!r}; it must be a whole number of at least 1")


def check_images(images: Tensor) -> None:
    """Raise TypeError or ValueError when `images` is no batch of RGB images."""
    if not isinstance(images, Tensor):
        raise TypeError(f"images is of type {type(images).__name__}; it must be a tensor (B, 3, H, W)")
    if images.ndim != 4 or images.shape[1] != 3:
        advice = "; add the batch axis with images[None]" if images.ndim == 3 else ", three colours"
        raise ValueError(f"images has shape {tuple(images.shape)}; it must be (B, 3, H, W){advice}")
    if 0 in images.shape[2:]:
        raise ValueError(f"images has shape {tuple(images.shape)}; height and width must be at least 1")


def patch_reverse(patches: Tensor, patch: int) -> Tensor:
    """Put patches back together: the inverse of patch_partition.

    Shape: (B, H/P, W/P, P·P·3) -> (B, 3, H, W)
    Raises ValueError when the last axis does not hold P·P·3 numbers.
    """
    check_patch(patch)
    numbers = patch * patch * 3
    if patches.ndim != 4 or patches.shape[-1] != numbers:
        shape = tuple(patches.shape)
        raise ValueError(f"patches has shape {shape}; for patch {patch} it must be (B, H, W, {numbers})")
    return rearrange(patches, "b h w (p q c) -> b c (h p) (w q)", p=patch, q=patch)


def pad_to_patch(images: Tensor, patch: int) -> Tensor:
    """Add zeros at the right and at the bottom until the patch divides both sides.

    Shape: (B, 3, H, W) -> (B, 3, ceil(H/P)·P, ceil(W/P)·P)
    """
    check_images(images)
    check_patch(patch)
    height, width = images.shape[2:]
    return F.pad(images, (0, -width % patch, 0, -height % patch))  # left, right, top, bottom


class PatchEmbedding(nn.Module):
    """Turn images into a map of tokens: patches, one linear layer, one layer norm.

    Shape: (B, 3, H, W) -> (B, ceil(H/P), ceil(W/P), C)
    Sides that the patch does not divide are padded with zeros at the right and at the bottom.
    Source: Liu et al. 2021, section 3.1; the norm is in the authors' code (PatchEmbed).
    """

    def __init__(self, patch: int = 4, channels: int = 96) -> None:
        super().__init__()
        check_patch(patch)
        self.patch = patch
        self.linear = nn.Linear(patch * patch * 3, channels)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return one token of C numbers for each patch."""
        patches = patch_partition(pad_to_patch(images, self.patch), self.patch)
        return self.norm(self.linear(patches))


class OverlappingPatchEmbedding(nn.Module):
    """Turn images into a map of tokens whose patches overlap: a convolution of kernel 2P - 1 and stride P.

    Shape: (B, 3, H, W) -> (B, ceil(H/P), ceil(W/P), C)
    Source: Wang et al. 2022 (PVT v2, arXiv 2106.13797).
    """

    def __init__(self, patch: int = 4, channels: int = 96) -> None:
        super().__init__()
        check_patch(patch)
        self.convolution = nn.Conv2d(3, channels, 2 * patch - 1, stride=patch, padding=patch - 1)
        self.norm = nn.LayerNorm(channels)

    def forward(self, images: Tensor) -> Tensor:
        """Return one token of C numbers for each patch and its surroundings."""
        check_images(images)
        return self.norm(rearrange(self.convolution(images), "b c h w -> b h w c"))


class AbsolutePosition(nn.Module):
    """Add a learned vector to every place of a map of tokens; the table is resized to maps of another size.

    Shape: (B, H, W, C) -> (B, H, W, C)
    Source: Dosovitskiy et al. 2021, section 3.1; optional in Liu et al. 2021, table 4.
    """

    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.table = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, channels, height, width), std=0.02))

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens with their places added."""
        if tokens.ndim != 4 or tokens.shape[-1] != self.table.shape[1]:
            raise ValueError(
                f"tokens has shape {tuple(tokens.shape)}; it must be (B, H, W, {self.table.shape[1]})"
            )
        # the table is kept channels first, as F.interpolate wants it
        table = F.interpolate(self.table, size=tokens.shape[1:3], mode="bicubic", align_corners=False)
        return tokens + rearrange(table, "1 c h w -> 1 h w c")
