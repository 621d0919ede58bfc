"""One drawing style for every figure of the book, and the one way to show a figure.

Values are drawn with cividis, values with a sign from blue over white to orange, categories with the four
Okabe–Ito colours below. All stay apart under the common kinds of colour blindness, and a category that
matters also carries a number or a hatch. Importing this module sets the style for the reader's figures too.
"""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from IPython.display import Image, display
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image as PillowImage

BLUE, ORANGE, GREEN, PURPLE = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
INK, MUTED, PAPER = "#1a1a1a", "#767676", "#ffffff"
SIGNED = LinearSegmentedColormap.from_list("signed", [BLUE, PAPER, ORANGE])

mpl.rcParams.update(
    {
        "figure.dpi": 160,  # shown at half size: sharp on dense screens
        "figure.facecolor": PAPER,
        "savefig.facecolor": PAPER,
        "savefig.dpi": "figure",
        "axes.grid": False,
        "font.family": "DejaVu Sans",
        "font.size": 10,
        "axes.titlesize": 10,
        "axes.edgecolor": MUTED,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.prop_cycle": cycler(color=[BLUE, ORANGE, GREEN, PURPLE]),
        "image.cmap": "cividis",
        "image.interpolation": "nearest",
        "svg.hashsalt": "swin_edu",
    }
)


def figure(
    width: float, height: float, columns: int = 1, rows: int = 1, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a new figure of the given size in inches and its axes, row by row."""
    drawn = Figure(figsize=(width, height), layout="constrained")
    return drawn, list(drawn.subplots(rows, columns, squeeze=False, **options).flat)


def mosaic(width: float, height: float, pattern: list[Any], **options: Any) -> tuple[Figure, dict[str, Axes]]:
    """Return a new figure of the given size in inches and its axes by their names in `pattern`."""
    drawn = Figure(figsize=(width, height), layout="constrained")
    return drawn, drawn.subplot_mosaic(pattern, **options)


def png(drawn: Figure) -> bytes:
    """Return the figure as PNG bytes that depend on nothing but what is drawn."""
    buffer, result = io.BytesIO(), io.BytesIO()
    drawn.savefig(buffer, format="png", bbox_inches="tight", pad_inches=0.08)
    in_256_colours(PillowImage.open(buffer).convert("RGB")).save(result, format="png", optimize=True)
    return result.getvalue()


def in_256_colours(
    full: PillowImage.Image, kept: Sequence[str] = (BLUE, ORANGE, INK, PAPER)
) -> PillowImage.Image:
    """Return the picture with a palette, which makes a notebook with photographs four times smaller.

    The colours of marks and lines are kept exactly: a thin mark on a photograph would lose its own.
    """
    house = [tuple(bytes.fromhex(color[1:])) for color in kept]
    quantized = full.quantize(256 - len(house))
    indices, colours = np.array(quantized), np.asarray(full)
    palette = (quantized.getpalette() or [])[: 3 * (256 - len(house))]
    for color in house:
        indices[(colours == color).all(-1)] = len(palette) // 3
        palette += color
    small = PillowImage.fromarray(indices)
    small.putpalette(palette)
    return small


def show(drawn: Figure, alt: str) -> None:
    """Display the figure in the notebook; `alt` says in words what a reader who cannot see it would miss."""
    if not alt.strip():
        raise ValueError("alt is empty; say in one or two sentences what the figure shows")
    display(Image(png(drawn), alt=alt, retina=True))


def picture(axes: Axes, pixels: np.ndarray, title: str = "") -> None:
    """Draw an image `(H, W, 3)` or `(H, W)` without ticks, one unit a pixel, its corner at (0, 0)."""
    height, width = pixels.shape[:2]
    axes.imshow(pixels, extent=(0, width, height, 0))
    axes.set_title(title)
    axes.axis("off")


def grid(axes: Axes, height: float, width: float, step: float, **line: Any) -> None:
    """Rule lines every `step` over a map of the given size, border included."""
    style = {"color": PAPER, "linewidth": 0.8, **line}
    xs = [min(i * step, width) for i in range(int(-(-width // step)) + 1)]
    ys = [min(i * step, height) for i in range(int(-(-height // step)) + 1)]
    axes.vlines(xs, 0, height, **style)
    axes.hlines(ys, 0, width, **style)


def box(axes: Axes, x: float, y: float, width: float, height: float, **style: Any) -> None:
    """Outline a rectangle whose corner is at (x, y)."""
    axes.add_patch(
        Rectangle((x, y), width, height, **{"fill": False, "linewidth": 2, "edgecolor": ORANGE, **style})
    )


def mark(axes: Axes, x: float, y: float, width: float, height: float, linewidth: float = 2) -> None:
    """Outline the one thing that the figure is about: blue with a white edge, to be seen on any picture."""
    box(axes, x, y, width, height, edgecolor=PAPER, linewidth=2 * linewidth)
    box(axes, x, y, width, height, edgecolor=BLUE, linewidth=linewidth)


def hatch(axes: Axes, x: float, y: float, width: float, height: float) -> None:
    """Hatch a rectangle so that it stands out from light and from dark pictures."""
    box(axes, x, y, width, height, fill=True, facecolor=PAPER, alpha=0.4, linewidth=0)
    box(axes, x, y, width, height, hatch="////", edgecolor=INK, alpha=0.7, linewidth=0)
