"""The drawings of the chapter on training, and of the pictures that models are trained on."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.transforms import Bbox
from torch import Tensor

from swin_edu.book.drawings.common import pixels
from swin_edu.book.scenes import CLASSES, Scene
from swin_edu.book.style import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, PURPLE, box, figure, picture

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
        for i, mask in enumerate(scene.masks):
            areas[mask.numpy()] = np.multiply(255, to_rgb(COLOURS[i]))
            tag(masked, *inside(mask), str(i + 1), COLOURS[i], "center")
        picture(masked, areas)
    titles = "the picture", "boxes and classes, from back to front", "masks: the pixels seen of each object"
    for place, title in zip(axes, titles, strict=False):
        place.set_title(title)
    for boxed, scene in zip(axes[1::3], scenes, strict=True):
        names = [f"{i} {CLASSES[label]}" for i, label in enumerate(scene.labels, 1)]
        named_boxes(boxed, scene.boxes, names, COLOURS[: len(names)])
    return drawn


def named_boxes(axes: Axes, boxes: Tensor, names: Sequence[str], colours: Sequence[str]) -> None:
    """Draw boxes `(n, 4)`, each with its name at a corner where it covers no other name, if there is one."""
    for bounds, color in zip(boxes.tolist(), colours, strict=True):
        x0, y0, x1, y1 = bounds
        for edge, width in ((PAPER, 4), (color, 2)):
            box(axes, x0, y0, x1 - x0, y1 - y0, edgecolor=edge, linewidth=width)
    drawn = axes.get_figure(root=True)
    assert drawn is not None
    drawn.draw_without_rendering()  # where names fall depends on the final size of the axes
    taken: list[Bbox] = []
    for (x0, y0, x1, y1), name, color in zip(boxes.tolist(), names, colours, strict=True):
        corners = [(x0, y0, "left"), (x1, y0, "right"), (x0, y1, "left"), (x1, y1, "right")]
        for x, y, align in (*corners, ((x0 + x1) / 2, (y0 + y1) / 2, "center")):
            text = tag(axes, x, y, name, color, align)
            extent = text.get_window_extent().padded(2)
            inside = axes.bbox.x0 <= extent.x0 and extent.x1 <= axes.bbox.x1
            if inside and extent.count_overlaps(taken) == 0:
                break
            text.remove()
        else:
            text = tag(axes, x0, y0, name, color, "left")
        taken.append(extent)


def tag(axes: Axes, x: float, y: float, text: str, color: str, align: str) -> Text:
    """Write text at (x, y) on a white label with a coloured edge."""
    label = {"boxstyle": "round,pad=0.15", "facecolor": PAPER, "edgecolor": color, "linewidth": 1.5}
    return axes.text(x, y, text, fontsize=8, color=INK, ha=align, va="center", bbox=label, in_layout=False)


def inside(mask: Tensor) -> tuple[float, float]:
    """Return the centre of the pixel of a mask that lies nearest to the middle of all of them."""
    seen = mask.nonzero().float()
    y, x = seen[(seen - seen.mean(0)).norm(dim=1).argmin()].tolist()
    return x + 0.5, y + 0.5


def learning_curves(
    losses: list[float], scores: list[float], score: str = "right answers, held-out images"
) -> Figure:
    """Draw the loss and the score after each epoch, the best of them marked."""
    drawn, (left, right) = figure(9, 2.9, columns=2)
    epochs = np.arange(1, len(losses) + 1)
    left.plot(epochs, losses)
    left.set(title="mean loss of an epoch", xlabel="epoch", ylim=(0, None))
    right.plot(epochs, scores, color=ORANGE)
    best = int(np.argmax(scores))
    right.plot(best + 1, scores[best], "o", color=INK)
    text = f"best: {scores[best]:.1%}, epoch {best + 1}"
    right.annotate(
        text,
        (best + 1, scores[best]),
        (0.97, 0.3),
        textcoords="axes fraction",
        ha="right",
        arrowprops={"arrowstyle": "-", "color": MUTED, "shrinkB": 5},
    )
    right.set(title=score, xlabel="epoch", ylim=(0, 1.02))
    right.yaxis.set_major_formatter(PercentFormatter(1))
    return drawn


def rate_schedule(rates: list[float], warm: int) -> Figure:
    """Draw the learning rate of each step; `warm` steps are the warm-up."""
    drawn, (axes,) = figure(8, 2.4)
    axes.plot(np.arange(1, len(rates) + 1), rates)
    axes.axvspan(1, warm, color=ORANGE, alpha=0.25, linewidth=0)
    axes.annotate("warm-up", (warm, max(rates) / 4), (8, 0), textcoords="offset points", va="center")
    axes.set(xlabel="step", ylabel="learning rate", ylim=(0, None), xlim=(1, len(rates)))
    return drawn


def branch_sizes(sizes: dict[str, list[float]]) -> Figure:
    """Draw how much each block adds, beside the length of what it adds to, for several ways to begin."""
    drawn, (axes,) = figure(8, 2.6)
    for marker, (name, values) in zip("os^", sizes.items(), strict=False):
        axes.plot(range(1, len(values) + 1), values, marker=marker, label=name)
    axes.set(
        xlabel="block",
        ylabel="length added / length of x",
        ylim=(0, None),
        xticks=range(1, 1 + max(map(len, sizes.values()))),
    )
    axes.legend(frameon=False)
    return drawn


def smoothed_losses(margins: Tensor, losses: dict[str, Tensor]) -> Figure:
    """Draw the loss of one answer against how far its score lies above the others."""
    drawn, (axes,) = figure(8, 2.6)
    for style, (name, values) in zip(("-", "--"), losses.items(), strict=True):
        axes.plot(margins, values, style, label=name)
        lowest = int(values.argmin())
        if lowest < len(values) - 1:  # else it still falls at the right edge
            axes.plot(margins[lowest], values[lowest], "o", color=INK)
    axes.set(xlabel="score of the true class minus score of each other class", ylabel="loss", ylim=(0, None))
    axes.legend(frameon=False)
    return drawn


def spreads(results: dict[str, dict[str, list[float]]], baseline: str) -> Figure:
    """Draw accuracies of several seeds, a row for each variant, their mean as a line; one panel a task.

    Beside it stand mean and standard deviation. The dashed line is the mean of the variant `baseline`.
    """
    names = list(next(iter(results.values())))
    drawn, axes = figure(10, 0.42 * len(names) + 1.1, columns=len(results), sharey=True)
    for place, (task, variants) in zip(axes, results.items(), strict=True):
        place.axvline(float(np.mean(variants[baseline])), color=MUTED, linestyle="--", linewidth=1)
        for row, name in enumerate(names):
            values = np.array(variants[name])
            before = [int((values[:i] == value).sum()) for i, value in enumerate(values)]  # equal dots: below
            place.plot(values, row + 0.12 * np.array(before), "o", color=BLUE, alpha=0.55, markersize=6)
            place.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color=INK, linewidth=2.5)
            spread = f"{values.mean():.1%} ± {values.std(ddof=1):.1%}"
            place.annotate(spread, (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=9)
        place.set(title=task, yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
        place.xaxis.set_major_locator(MaxNLocator(5 if len(results) == 1 else 3, steps=[1, 2, 5, 10]))
        place.xaxis.set_major_formatter(PercentFormatter(1, decimals=1))
    return drawn
