"""Drawings that several chapters use."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.style import INK, ORANGE, SIGNED, figure, grid, picture


def pixels(image: Tensor) -> np.ndarray:
    """Return an image `(3, H, W)` as an array `(H, W, 3)`, the order that matplotlib draws."""
    return image.detach().cpu().permute(1, 2, 0).numpy()


def as_array(values: Tensor) -> np.ndarray:
    """Return a tensor as an array."""
    return values.detach().cpu().numpy()


def lightness(bright: np.ndarray, stride: int, dark: float) -> np.ndarray:
    """Return factors `(H, W, 1)` for pixels: 1 where the token of `stride` pixels is bright, else `dark`."""
    return np.where(bright, 1.0, dark).repeat(stride, 0).repeat(stride, 1)[..., None]


def coloured(axes: Axes, values: np.ndarray, limit: float, signed: bool, title: str = "") -> None:
    """Draw values from blue at -limit to orange at limit, or without a sign from dark at 0 to bright."""
    picture(axes, values, title)
    axes.images[0].set(cmap=SIGNED if signed else "cividis", clim=(-limit if signed else 0, limit))


def mosaics(image: Tensor, patches: tuple[int, ...]) -> Figure:
    """Draw an image `(3, H, W)` with the mean colour of each patch, once for each patch size."""
    means = {}
    for patch in patches:
        mean = image.unfold(1, patch, patch).unfold(2, patch, patch).mean((-1, -2))
        means[f"patch {patch}: {mean.shape[1]} × {mean.shape[2]} tokens"] = mean
    return side_by_side(means)


def side_by_side(images: dict[str, Tensor]) -> Figure:
    """Draw images `(3, H, W)` in a row, each under its title."""
    drawn, axes = figure(10, 10 / len(images) + 0.3, columns=len(images))
    for place, (title, image) in zip(axes, images.items(), strict=True):
        picture(place, pixels(image).astype(np.float32), title)
    return drawn


def window_lines(axes: Axes, height: float, width: float, step: float) -> None:
    """Rule the borders of windows every `step`, and the map's: orange with a dark edge, under marks."""
    for color, thickness in ((INK, 2.4), (ORANGE, 1.3)):
        grid(axes, height, width, step, color=color, linewidth=thickness, zorder=0.5)
