"""Shift and mask: windows across the borders of windows, by a cyclic roll and a mask.

Source: Liu et al. 2021 (Swin), section 3.2 and figure 4.
"""

import torch
from einops import rearrange
from torch import Tensor

from swin_edu.windows import check_window

Shift = int | tuple[int, int]  # tokens down and to the right; one number stands for both


def cyclic_shift(x: Tensor, shift: Shift) -> Tensor:
    """Roll the map: the token at row s, column s comes to the corner, the first rows and columns to the end.

    Shape: (B, H, W, C) -> (B, H, W, C)
    Raises ValueError when `x` is no map of tokens.
    Source: Liu et al. 2021, section 3.2, figure 4.
    """
    down, right = pair(shift)
    if x.ndim != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (B, H, W, C), channels last")
    return torch.roll(x, (-down, -right), dims=(1, 2))


def cyclic_shift_reverse(x: Tensor, shift: Shift) -> Tensor:
    """Roll the map back: the inverse of cyclic_shift.

    Shape: (B, H, W, C) -> (B, H, W, C)
    """
    down, right = pair(shift)
    return cyclic_shift(x, (-down, -right))


def pair(shift: Shift) -> tuple[int, int]:
    """Return the shift of rows and of columns; raise ValueError when it is not made of whole numbers."""
    both = shift if isinstance(shift, tuple) else (shift, shift)
    if len(both) != 2 or any(isinstance(s, bool) or not isinstance(s, int) for s in both):
        raise ValueError(f"shift is {shift!r}; it must be a whole number, or two: (down, right)")
    return both


def region_ids(height: int, width: int, shift: Shift, device: torch.device | None = None) -> Tensor:
    """Number the pieces of the rolled map that were not neighbours before the roll: 0 to 3.

    Shape: -> (H, W)
    Raises ValueError when the shift is negative, or not smaller than the map.
    """
    down, right = pair(shift)
    for axis, size, s in (("height", height, down), ("width", width, right)):
        if not 0 <= s < size:
            raise ValueError(f"shift is {s} along {axis} {size}; it must be at least 0 and less than {size}")
    rows = torch.arange(height, device=device) >= height - down  # came from the top
    columns = torch.arange(width, device=device) >= width - right  # came from the left
    return 2 * rows[:, None] + columns.int()


def shift_mask(
    height: int, width: int, window: int, shift: Shift, device: torch.device | None = None
) -> Tensor:
    """Return, for each window of the rolled map, which pairs of its tokens may attend: those of one region.

    Shape: -> (H·W/M/M, M·M, M·M)
    Raises ValueError when the window does not divide the map, or the shift is not 0 to M - 1.
    Source: Liu et al. 2021, section 3.2, figure 4; there nine regions make the same mask.
    """
    check_shift(height, width, window, shift)
    for axis, size in (("height", height), ("width", width)):
        if size % window:
            next_size = (size // window + 1) * window
            raise ValueError(
                f"window {window} does not divide {axis} {size}; pad the map and take {axis} {next_size}"
            )
    ids = rearrange(
        region_ids(height, width, shift, device), "(h m) (w n) -> (h w) (m n)", m=window, n=window
    )
    return ids[:, :, None] == ids[:, None, :]


def check_shift(height: int, width: int, window: int, shift: Shift) -> None:
    """Raise ValueError when there is no such map, no such window, or when the shift is not 0 to M - 1."""
    if height < 1 or width < 1:
        raise ValueError(f"height is {height} and width is {width}; both must be at least 1")
    check_window(window)
    if not all(0 <= s < window for s in pair(shift)):
        raise ValueError(f"shift is {shift!r}; for window {window} it must lie between 0 and {window - 1}")


def shift_per_axis(height: int, width: int, window: int, shift: int) -> tuple[int, int]:
    """Return the shift of rows and of columns: none along an axis that a single window covers.

    Raises ValueError when the shift is not 0 to M - 1.
    Source: the authors' code (SwinTransformerBlock), there for both axes together.
    """
    check_shift(height, width, window, shift)
    return (shift if height > window else 0), (shift if width > window else 0)
