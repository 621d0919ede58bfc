"""The drawings of the pictures that models are trained on."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.common import pixels
from swin_edu.book.scenes import CLASSES, Scene
from swin_edu.book.style import BLUE, GREEN, INK, ORANGE, PAPER, PURPLE, box, figure, picture

COLOURS = (BLUE, ORANGE, GREEN, PURPLE)


def labelled_images(images: Tensor, titles: list[str], columns: int) -> Figure:
    """Draw images `(N, 3, H, W)`, uint8, row by row, each under its title."""
    rows = -(-len(images) // columns)
    drawn, axes = figure(10, rows * (10 / columns + 0.25), columns=columns, rows=rows)
    for place, image, title in zip(axes[: len(images)], images, titles, strict=True):
        picture(place, pixels(image), title)
    for place in axes[len(images) :]:
        place.axis("off")
    return drawn


def scene_layers(scenes: list[Scene]) -> Figure:
    """Draw each scene, its boxes with number and class, and its masks, each in one colour with its number."""
    drawn, axes = figure(9, 3 * len(scenes) + 0.3, columns=3, rows=len(scenes))
    for row, scene in enumerate(scenes):
        plain, boxed, masked = axes[3 * row : 3 * row + 3]
        picture(plain, pixels(scene.image))
        picture(boxed, pixels(scene.image))
        areas = np.full_like(pixels(scene.image), 235)
        for i, (label, bounds, mask) in enumerate(zip(scene.labels, scene.boxes, scene.masks, strict=True)):
            x0, y0, x1, y1 = bounds.tolist()
            for color, width in ((PAPER, 4), (COLOURS[i], 2)):
                box(boxed, x0, y0, x1 - x0, y1 - y0, edgecolor=color, linewidth=width)
            right, bottom = i % 2, i // 2  # another corner for each, to keep names apart
            name = f"{i + 1} {CLASSES[label]}"
            tag(boxed, (x0, x1)[right], (y0, y1)[bottom], name, COLOURS[i], ("left", "right")[right])
            areas[mask.numpy()] = np.multiply(255, to_rgb(COLOURS[i]))
            tag(masked, *inside(mask), str(i + 1), COLOURS[i], "center")
        picture(masked, areas)
    titles = "the picture", "boxes and classes, from back to front", "masks: the pixels seen of each object"
    for place, title in zip(axes, titles, strict=False):
        place.set_title(title)
    return drawn


def tag(axes: Axes, x: float, y: float, text: str, color: str, align: str) -> None:
    """Write text at (x, y) on a white label with a coloured edge."""
    label = {"boxstyle": "round,pad=0.15", "facecolor": PAPER, "edgecolor": color, "linewidth": 1.5}
    axes.text(x, y, text, fontsize=8, color=INK, ha=align, va="center", bbox=label, in_layout=False)


def inside(mask: Tensor) -> tuple[float, float]:
    """Return the centre of the pixel of a mask that lies nearest to the middle of all of them."""
    seen = mask.nonzero().float()
    y, x = seen[(seen - seen.mean(0)).norm(dim=1).argmin()].tolist()
    return x + 0.5, y + 0.5
