"""The drawings of the first page."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.common import lightness, mosaics, pixels
from swin_edu.book.style import BLUE, ORANGE, box, figure, grid, hatch, mark, picture

if TYPE_CHECKING:  # it reads notebooks, by a library that takes seconds to import
    from swin_edu.book.contents import Chapter


def walk_to_scale(tensors: dict[str, Tensor]) -> Figure:
    """Draw maps `(1, H, W, C)` as boxes H high, W wide and C long, to one scale, the map itself in front.

    The front shows the picture where C is 3, else the first channel.
    """
    drawn, (axes,) = figure(9, 6.6)
    top, widest = 0.0, max(tensor.shape[2] for tensor in tensors.values())
    for name, tensor in tensors.items():
        height, width, channels = tensor.shape[1:]
        left, right, rise = widest - width, widest + channels, 0.12 * channels
        front = tensor[0].detach().cpu()
        side = [(widest, top), (right, top - rise), (right, top - rise + height), (widest, top + height)]
        roof = [(left, top), (left + channels, top - rise), (right, top - rise), (widest, top)]
        axes.fill(*zip(*side, strict=True), color=BLUE, alpha=0.55, linewidth=0)
        axes.fill(*zip(*roof, strict=True), color=BLUE, alpha=0.3, linewidth=0)
        face = front.numpy() if channels == 3 else front[..., 0].numpy()
        axes.imshow(face, extent=(left, widest, top + height, top))
        text = f"{name}: {height} × {width} × {channels} = {tensor.numel():,} numbers"
        beside = channels < 100  # long boxes rise and leave room below them
        place = (right + 14, top - rise + height / 2) if beside else (widest + 90, top + height)
        axes.text(*place, text, va="center" if beside else "top")
        top += height + 40 + 0.12 * next_length(tensors, name)
    axes.set(xlim=(0, widest + 800), ylim=(top - 20, -30), aspect="equal")
    axes.axis("off")
    return drawn


def next_length(tensors: dict[str, Tensor], name: str) -> int:
    """Return the channels of the map after `name`, which rise above its front; 0 after the last."""
    lengths = [tensor.shape[-1] for tensor in tensors.values()] + [0]
    return lengths[list(tensors).index(name) + 1]


def reach(tokens: int, window: int, shift: int, place: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Tell which tokens of a square map share the window of the one at `place`, and which it may look at.

    After the roll a token may look at those of its window that lay at the same distance before it.
    """
    rows = np.arange(tokens)
    rolled = (rows - shift) % tokens
    together = [rolled // window == rolled[p] // window for p in place]
    near = [rolled - rolled[p] == rows - p for p in place]
    in_window = np.outer(*together)
    return in_window, in_window & np.outer(*near)


def window_reach(image: Tensor, patch: int, panels: dict[str, tuple[int, int, tuple[int, int]]]) -> Figure:
    """Draw what one token may look at: a panel for each title, with window, shift and the token's place.

    Bright: it may; hatched: in its window, but masked; dark: in another window.
    """
    drawn, axes = figure(8.4, 4.5 * (len(panels) // 2), columns=2, rows=len(panels) // 2)
    size = image.shape[1]
    for axis, (title, (window, shift, place)) in zip(axes, panels.items(), strict=True):
        in_window, seen = reach(size // patch, window, shift, place)
        light = lightness(in_window, patch, 0.4)
        picture(axis, pixels(image) * light, f"{title}: {seen.sum():,} tokens")
        for row, column in np.argwhere(in_window & ~seen):
            hatch(axis, column * patch, row * patch, patch, patch)
        edges = [edge * patch for edge in range(shift, size // patch, window)]
        for line in (axis.vlines, axis.hlines):
            line(edges, 0, size, color=ORANGE, linewidth=1)
        mark(axis, place[1] * patch, place[0] * patch, patch, patch, linewidth=0.9)
    return drawn


def pyramid(image: Tensor, window: int) -> Figure:
    """Draw the four maps of Swin as mean colours, with their windows."""
    drawn = mosaics(image, patches=(4, 8, 16, 32))
    for stage, axis in enumerate(drawn.axes, 1):
        patch = 2 ** (stage + 1)
        side = image.shape[1] // patch
        grid(axis, side, side, window, color=ORANGE, linewidth=1.6)
        axis.set_title(
            f"stage {stage}: {side} × {side} tokens,\na window covers {window * patch} × {window * patch} px"
        )
    return drawn


def chapter_map(chapters: "Sequence[Chapter]") -> Figure:
    """Draw the chapters in two columns, each with the files of swin_edu that it writes."""
    drawn, (axes,) = figure(10, 4.7)
    rows = -(-len(chapters) // 2)
    for index, chapter in enumerate(chapters):
        x, y = divmod(index, rows)
        box(axes, x, y, 0.96, 0.8, fill=True, facecolor=BLUE + "33", edgecolor=BLUE, linewidth=1.2)
        middle = y + 0.4
        axes.text(x + 0.02, middle, f"{chapter.number:02d}", va="center", weight="bold")
        axes.text(x + 0.08, middle, chapter.title, va="center")
        axes.text(x + 0.37, middle, chapter.modules, va="center", family="DejaVu Sans Mono", fontsize=8)
    axes.set(xlim=(-0.01, 2), ylim=(rows, -0.2))
    axes.axis("off")
    return drawn
