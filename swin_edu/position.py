"""Position: a number for each pair of tokens that depends only on how far apart they are.

Source: Liu et al. 2021 (Swin), section 3.2; Liu et al. 2022 (Swin V2, arXiv 2111.09883), section 3.3.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F


def relative_position_index(window: int) -> Tensor:
    """Return, for each pair of tokens of a window, its row in the table of (2M - 1)² offsets.

    Shape: -> (M·M, M·M)
    The offset is query minus key; offsets are counted row by row.
    Raises ValueError when `window` is no window size.
    """
    check_count("window", window)
    places = torch.cartesian_prod(torch.arange(window), torch.arange(window))
    offsets = places[:, None] - places[None, :] + window - 1  # (N, N, 2), each from 0 to 2M - 2
    return offsets[..., 0] * (2 * window - 1) + offsets[..., 1]


def check_count(name: str, value: int) -> None:
    """Raise ValueError when `value` is no whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}; it must be a whole number of at least 1")


class RelativePositionBias(nn.Module):
    """A learned number for each head and each offset of two tokens of a window, added to the logits.

    Shape: -> (h, M·M, M·M)
    Raises ValueError when `window` or `heads` is no whole number of at least 1.
    Source: Liu et al. 2021, section 3.2, equation 4.
    """

    index: Tensor

    def __init__(self, window: int, heads: int) -> None:
        super().__init__()
        check_count("window", window)
        check_count("heads", heads)
        table = torch.empty((2 * window - 1) ** 2, heads)
        self.table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        self.register_buffer("index", relative_position_index(window), persistent=False)

    def forward(self) -> Tensor:
        """Return the bias of every pair, for each head."""
        return rearrange(self.table[self.index], "n m h -> h n m")


def resize_table(table: Tensor, window: int) -> Tensor:
    """Stretch a table of offsets to another window size, bicubically, as the authors' code does.

    Shape: ((2·K-1)**2, h) -> ((2·M-1)**2, h)
    Raises ValueError when `table` is not the table of a window or `window` no window size.
    Source: Liu et al. 2021, section 3.2.
    """
    check_count("window", window)
    size = round(table.shape[0] ** 0.5) if table.ndim == 2 else 0
    if size % 2 == 0 or size**2 != len(table):
        shape = tuple(table.shape)
        raise ValueError(
            f"table has shape {shape}; it must be ((2M - 1)², heads), such as (169, heads) for M = 7"
        )
    square = rearrange(table, "(y x) h -> 1 h y x", y=size)
    square = F.interpolate(square, size=(2 * window - 1, 2 * window - 1), mode="bicubic", align_corners=False)
    return rearrange(square, "1 h y x -> (y x) h")


def log_spaced_offsets(window: int, pretrained_window: int = 0) -> Tensor:
    """Return the (2M - 1)² offsets of a window, logarithmically spaced: from -1.06 to 1.06.

    Shape: -> ((2·M-1)**2, 2)
    With `pretrained_window` that is the range of a window of that size, whose network is to be used, and
    farther offsets lie beyond it; 0 stands for none.
    Raises ValueError when one of the two is no window size.
    Source: Liu et al. 2022, section 3.3; the scale is that of the authors' code.
    """
    check_count("window", window)
    if pretrained_window != 0:
        check_count("pretrained_window", pretrained_window)
    farthest = max((pretrained_window or window) - 1, 1)
    steps = torch.arange(1 - window, window) / farthest * 8
    steps = steps.sign() * (1 + steps.abs()).log2() / 3  # log2(8) = 3
    return torch.cartesian_prod(steps, steps)


class ContinuousPositionBias(nn.Module):
    """A small network that gives the bias of any offset, so that a larger window needs no new table.

    Shape: -> (h, M·M, M·M)
    `pretrained_window` is the window that the network was trained with, when it is not `window`.
    Raises ValueError when `window`, `heads` or `pretrained_window` does not fit.
    Source: Liu et al. 2022, section 3.3; 512 and 16·sigmoid are in the authors' code.
    """

    offsets: Tensor
    index: Tensor

    def __init__(self, window: int, heads: int, pretrained_window: int = 0) -> None:
        super().__init__()
        check_count("heads", heads)
        self.mlp = nn.Sequential(nn.Linear(2, 512), nn.ReLU(), nn.Linear(512, heads, bias=False))
        self.register_buffer("offsets", log_spaced_offsets(window, pretrained_window), persistent=False)
        self.register_buffer("index", relative_position_index(window), persistent=False)

    def forward(self) -> Tensor:
        """Return the bias of every pair, for each head: between 0 and 16."""
        table = 16 * self.mlp(self.offsets).sigmoid()
        return rearrange(table[self.index], "n m h -> h n m")
