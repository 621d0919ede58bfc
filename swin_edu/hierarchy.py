"""Hierarchy: patch merging makes the map coarser and wider; a stage is merging and blocks.

Source: Liu et al. 2021 (Swin), section 3.1 and figure 3a; Liu et al. 2022 (Swin V2) for the norm's place.
"""

from collections.abc import Sequence

from einops import rearrange
from torch import Tensor, nn

from swin_edu.block import SwinBlock, SwinBlockV2
from swin_edu.windows import pad_to_window


def merge_neighbours(x: Tensor) -> Tensor:
    """Join each 2 × 2 tokens into one: top left, bottom left, top right, bottom right.

    Shape: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), 4·C)
    Odd sides get a row or column of zeros first, at the bottom or at the right.
    Raises ValueError when `x` is no map of tokens.
    Source: Liu et al. 2021, section 3.1; the order is that of the authors' code (PatchMerging).
    """
    return rearrange(pad_to_window(x, 2), "b (h p) (w q) c -> b h w (q p c)", p=2, q=2)


def check_tokens(x: Tensor, channels: int) -> None:
    """Raise ValueError when `x` is no map of tokens with that many channels."""
    if x.ndim != 4 or x.shape[-1] != channels:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (B, H, W, {channels}), channels last")


class PatchMerging(nn.Module):
    """Halve height and width, double the channels: norm, then one linear layer.

    Shape: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), 2·C)
    Raises ValueError when the map has other channels.
    Source: Liu et al. 2021, section 3.1; the norm is in the authors' code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the coarser map."""
        check_tokens(x, self.reduction.in_features // 4)
        return self.reduction(self.norm(merge_neighbours(x)))


class PatchMergingV2(nn.Module):
    """Halve height and width, double the channels: one linear layer, then norm.

    Shape: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), 2·C)
    Raises ValueError when the map has other channels.
    Source: Liu et al. 2022, section 3.2, and the authors' code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduction = nn.Linear(4 * channels, 2 * channels, bias=False)
        self.norm = nn.LayerNorm(2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the coarser map."""
        check_tokens(x, self.reduction.in_features // 4)
        return self.norm(self.reduction(merge_neighbours(x)))


class Stage(nn.Module):
    """Patch merging (not in the first stage), then blocks; every second block is shifted by half a window.

    Shape: (B, H, W, C/2) -> (B, ceil(H/2), ceil(W/2), C)
    `channels` are those of the blocks; merging takes half as many. With `merging=False` the map keeps its
    shape. `drops` holds each block's rate of stochastic depth, so its length is the number of blocks.
    `pretrained_window` is for version 2 only (see ContinuousPositionBias).
    Raises ValueError when `version` is neither 1 nor 2, when merging should give an odd number of channels,
    and where the blocks do, for example when `heads` does not divide the channels.
    Source: Liu et al. 2021, figure 3a: merging stands at the beginning of a stage.
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        window: int,
        drops: Sequence[float],
        merging: bool = True,
        version: int = 1,
        pretrained_window: int = 0,
    ) -> None:
        super().__init__()
        if version not in (1, 2):
            raise ValueError(f"version is {version!r}; it must be 1 or 2")
        if merging and channels % 2:
            raise ValueError(f"channels is {channels}; merging doubles channels, so it must be even")
        merge = PatchMerging if version == 1 else PatchMergingV2
        self.merge = merge(channels // 2) if merging else nn.Identity()
        shifts = [0 if block % 2 == 0 else window // 2 for block in range(len(drops))]
        self.blocks = nn.Sequential(
            *(
                SwinBlock(channels, heads, window, shift, drop)
                if version == 1
                else SwinBlockV2(channels, heads, window, shift, drop, pretrained_window)
                for shift, drop in zip(shifts, drops, strict=True)
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the map after merging and all blocks."""
        return self.blocks(self.merge(x))
