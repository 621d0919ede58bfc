"""Windows: a map of tokens becomes squares that attend each on its own, and back.

Source: Liu et al. 2021 (Swin), section 3.2.
"""

from einops import rearrange
from torch import Tensor
from torch.nn import functional as F


def window_partition(x: Tensor, window: int) -> Tensor:
    """Cut maps of tokens into windows, row by row, and list the tokens of each, row by row.

    Shape: (B, H, W, C) -> (B·H·W/M/M, M·M, C)
    Raises ValueError when the window does not divide the height or the width.
    Source: Liu et al. 2021, section 3.2, with M = 7.
    """
    check_map(x, window)
    for axis, size in zip(("height", "width"), x.shape[1:3], strict=True):
        if size % window:
            next_size = (size // window + 1) * window
            raise ValueError(
                f"window {window} does not divide {axis} {size}; pad to {next_size} with pad_to_window"
            )
    return rearrange(x, "b (h m) (w n) c -> (b h w) (m n) c", m=window, n=window)


def window_reverse(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """Put windows back together into maps of `height` × `width` tokens: the inverse of window_partition.

    Shape: (B·H·W/M/M, M·M, C) -> (B, H, W, C)
    Raises ValueError when the windows are not those of whole maps of this size.
    """
    check_windows(windows, window, height, width)
    h, w = height // window, width // window
    return rearrange(windows, "(b h w) (m n) c -> b (h m) (w n) c", h=h, w=w, m=window)


def check_window(window: int) -> None:
    """Raise ValueError when `window` is no window size."""
    if isinstance(window, bool) or not isinstance(window, int) or window < 1:
        raise ValueError(f"window is {window!r}; it must be a whole number of at least 1")


def check_map(x: Tensor, window: int) -> None:
    """Raise ValueError when `x` is no map of tokens or `window` no window size."""
    check_window(window)
    if x.ndim != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (B, H, W, C), channels last")


def check_windows(windows: Tensor, window: int, height: int, width: int) -> None:
    """Raise ValueError when `windows` are not those of whole maps of `height` × `width` tokens."""
    check_window(window)
    for axis, size in (("height", height), ("width", width)):
        if size < 1 or size % window:
            raise ValueError(f"{axis} is {size}; it must be a multiple of window {window}")
    count, shape = height // window * (width // window), tuple(windows.shape)
    if windows.ndim != 3 or shape[1] != window * window or shape[0] % count:
        raise ValueError(
            f"windows has shape {shape}; for maps of {height} × {width} in windows of {window} × {window} "
            f"it must be ({count}·B, {window * window}, C)"
        )


def pad_to_window(x: Tensor, window: int) -> Tensor:
    """Add zeros at the bottom and at the right until the window divides both sides.

    Shape: (B, H, W, C) -> (B, ceil(H/M)·M, ceil(W/M)·M, C)
    """
    check_map(x, window)
    bottom, right = -x.shape[1] % window, -x.shape[2] % window
    if bottom == right == 0:
        return x  # F.pad would copy
    return F.pad(x, (0, 0, 0, right, 0, bottom))  # the last axis first: channels, width, height
