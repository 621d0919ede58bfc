"""Block: attention in windows, then a small network for each token; in the first and the second version.

Source: Liu et al. 2021 (Swin), section 3.2 and figure 3b; Liu et al. 2022 (Swin V2), sections 3.2 and 3.3.
"""

import math
from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.attention import attend
from swin_edu.position import ContinuousPositionBias, RelativePositionBias, check_count
from swin_edu.shift import cyclic_shift, cyclic_shift_reverse, shift_mask, shift_per_axis
from swin_edu.windows import pad_to_window, window_partition, window_reverse


def split_windows(qkv: Tensor, heads: int, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values; the windows of one image get an axis of their own if there is a mask.

    Shape: (B, N, 3·C) -> (B, 1, h, N, C/h), (B, 1, h, N, C/h), (B, 1, h, N, C/h)
    With a mask of nW windows: `(B·nW, N, 3·C) -> (B, nW, h, N, C/h)`, three times.
    Raises ValueError when the windows are not those of whole images.
    """
    count = 1 if mask is None else len(mask)
    if qkv.shape[0] % count:
        raise ValueError(f"there are {qkv.shape[0]} windows; for this mask it must be a multiple of {count}")
    q, k, v = rearrange(qkv, "(b w) n (three h d) -> three b w h n d", w=count, three=3, h=heads)
    return q, k, v


def check_heads(channels: int, heads: int) -> None:
    """Raise ValueError when the heads do not divide the channels."""
    check_count("channels", channels)
    check_count("heads", heads)
    if channels % heads:
        raise ValueError(f"heads {heads} does not divide channels {channels}; use a multiple of {heads}")


class WindowAttention(nn.Module):
    """Multi-head attention in each window, with a relative position bias.

    Shape: (B·H·W/M/M, M·M, C) -> (B·H·W/M/M, M·M, C)
    Raises ValueError when `heads` does not divide `channels`.
    Source: Liu et al. 2021, equation 4.
    """

    scale = None  # of the logits: 1/√D

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        check_heads(channels, heads)
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.position = RelativePositionBias(window, heads)
        self.project = nn.Linear(channels, channels)

    def queries_keys_values(self, windows: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is compared with what, and what is gathered, as split_windows does."""
        return split_windows(self.qkv(windows), self.heads, mask)

    def forward(self, windows: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the windows after attention; `mask` `(nW, N, N)` is True where a pair may attend."""
        q, k, v = self.queries_keys_values(windows, mask)
        out = attend(q, k, v, self.position(), None if mask is None else mask[:, None], self.scale)
        return self.project(rearrange(out, "b w h n d -> (b w) n (h d)"))


def shifted_window_attention(
    x: Tensor, attention: Callable[[Tensor, Tensor | None], Tensor], window: int, shift: int
) -> Tensor:
    """Pad, roll, cut into windows, attend in each, put together, roll back, cut off the padding.

    Shape: (B, H, W, C) -> (B, H, W, C)
    `attention` takes windows `(B·nW, M·M, C)` and a mask `(nW, M·M, M·M)` or None, and returns windows.
    Raises ValueError when `x` is no map, `window` no window size, or `shift` not 0 to M - 1.
    Source: Liu et al. 2021, section 3.2 and figure 4.
    """
    height, width = x.shape[1:3]
    x = pad_to_window(x, window)
    padded = x.shape[1], x.shape[2]
    shifts = shift_per_axis(*padded, window, shift)
    if not any(shifts):
        windows = attention(window_partition(x, window), None)
        return window_reverse(windows, window, *padded)[:, :height, :width]
    mask = shift_mask(*padded, window, shifts, x.device)
    windows = attention(window_partition(cyclic_shift(x, shifts), window), mask)
    return cyclic_shift_reverse(window_reverse(windows, window, *padded), shifts)[:, :height, :width]


class MLP(nn.Module):
    """Two linear layers for each token on its own, four times as wide in between, with a GELU.

    Shape: (B, H, W, C) -> (B, H, W, C)
    Source: Liu et al. 2021, section 3.2; the exact GELU (Hendrycks and Gimpel 2016, arXiv 1606.08415).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.expand = nn.Linear(channels, 4 * channels)
        self.reduce = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the tokens after both layers."""
        return self.reduce(F.gelu(self.expand(x)))


class StochasticDepth(nn.Module):
    """In training, leave out a whole branch for some images of the batch, and enlarge it for the others.

    Shape: (B, H, W, C) -> (B, H, W, C)
    Raises ValueError when `rate`, the share that is left out, is not at least 0 and below 1.
    Source: Huang et al. 2016 (arXiv 1603.09382); Liu et al. 2021, section 4.1.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"rate is {rate!r}; it must be at least 0 and below 1")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Return the branch, with zeros for the images that go without it."""
        if not self.training or self.rate == 0:
            return x
        keep = x.new_empty(len(x), *[1] * (x.ndim - 1)).bernoulli_(1 - self.rate)
        return x * keep / (1 - self.rate)


class SwinBlock(nn.Module):
    """A block of the first version: norm, attention, add; norm, MLP, add.

    Shape: (B, H, W, C) -> (B, H, W, C)
    `drop` is the rate of stochastic depth, for each of the two branches.
    Raises ValueError when `heads` does not divide `channels`, or in `forward` when `x` has other channels.
    Source: Liu et al. 2021, equation 3.
    """

    def __init__(self, channels: int, heads: int, window: int, shift: int = 0, drop: float = 0.0) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = MLP(channels)
        self.drop = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map after both branches."""
        check_channels(x, self.norm1)
        x = x + self.drop(shifted_window_attention(self.norm1(x), self.attention, self.window, self.shift))
        return x + self.drop(self.mlp(self.norm2(x)))


def check_channels(x: Tensor, norm: nn.LayerNorm) -> None:
    """Raise ValueError when `x` is no map of tokens with the channels of `norm`."""
    channels = norm.normalized_shape[0]
    if x.ndim != 4 or x.shape[-1] != channels:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (B, H, W, {channels}), channels last")


class CosineWindowAttention(nn.Module):
    """Multi-head attention in each window by cosines, with a learned scale and a continuous position bias.

    Shape: (B·H·W/M/M, M·M, C) -> (B·H·W/M/M, M·M, C)
    Keys have no bias, as in the authors' code: the part of `qkv.bias` that would be theirs is not used.
    Raises ValueError when `heads` does not divide `channels`.
    Source: Liu et al. 2022, equation 2; the scale is there 1/τ, with τ above 0.01.
    """

    scale = 1.0  # of the logits: the queries hold the learned one

    def __init__(self, channels: int, heads: int, window: int, pretrained_window: int = 0) -> None:
        super().__init__()
        check_heads(channels, heads)
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels)
        self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10)))
        self.position = ContinuousPositionBias(window, heads, pretrained_window)
        self.project = nn.Linear(channels, channels)

    def qkv_bias(self) -> Tensor:
        """Return the bias of queries, keys and values, with zeros for the keys."""
        q, k, v = self.qkv.bias.chunk(3)
        return torch.cat([q, torch.zeros_like(k), v])

    def queries_keys_values(self, windows: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return queries of the learned length, keys of length 1, and values, as split_windows does."""
        q, k, v = split_windows(F.linear(windows, self.qkv.weight, self.qkv_bias()), self.heads, mask)
        q = F.normalize(q, dim=-1) * self.logit_scale.clamp(max=math.log(100)).exp()
        return q, F.normalize(k, dim=-1), v

    def forward(self, windows: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return the windows after attention; `mask` `(nW, N, N)` is True where a pair may attend."""
        q, k, v = self.queries_keys_values(windows, mask)
        out = attend(q, k, v, self.position(), None if mask is None else mask[:, None], self.scale)
        return self.project(rearrange(out, "b w h n d -> (b w) n (h d)"))


class SwinBlockV2(nn.Module):
    """A block of the second version: attention, norm, add; MLP, norm, add.

    Shape: (B, H, W, C) -> (B, H, W, C)
    `drop` is the rate of stochastic depth; `pretrained_window` is that of ContinuousPositionBias. In the
    authors' code training starts with both norms at 0, so that a block returns what it was given; here the
    whole model sets them so.
    Raises ValueError when `heads` does not divide `channels`, or in `forward` when `x` has other channels.
    Source: Liu et al. 2022, section 3.2 (res-post-norm).
    """

    def __init__(
        self,
        channels: int,
        heads: int,
        window: int,
        shift: int = 0,
        drop: float = 0.0,
        pretrained_window: int = 0,
    ) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.attention = CosineWindowAttention(channels, heads, window, pretrained_window)
        self.norm1 = nn.LayerNorm(channels)
        self.mlp = MLP(channels)
        self.norm2 = nn.LayerNorm(channels)
        self.drop = StochasticDepth(drop)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map after both branches."""
        check_channels(x, self.norm1)
        x = x + self.drop(self.norm1(shifted_window_attention(x, self.attention, self.window, self.shift)))
        return x + self.drop(self.norm2(self.mlp(x)))
