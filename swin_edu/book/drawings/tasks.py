"""The drawings of the chapter on tasks: boxes, masks, the places that answer, and how good answers are."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from torch import Tensor

from swin_edu.book.drawings.common import as_array, pixels
from swin_edu.book.drawings.training import COLOURS, named_boxes
from swin_edu.book.style import BLUE, INK, MUTED, PAPER, box, figure, grid, picture
from swin_edu.tasks.annotated import UNKNOWN
from swin_edu.tasks.detection import Found, Places

GROUND = "#ebebeb"
KINDS = (*COLOURS, "#56b4e9", "#d55e00")  # of Okabe and Ito, one for each class
LINES = ("solid", "dashed", "dotted")  # of the levels, from fine to coarse


def answers(
    images: Tensor,
    names: Sequence[str],
    found: Sequence[Found],
    named: Tensor,
    classes: Sequence[str],
    meant: Tensor | None = None,
) -> Figure:
    """Draw images `(n, 3, H, W)` in columns: under their names, with boxes, with the class of each pixel.

    `meant` are the true classes of the pixels, for a row below.
    """
    count = len(images)
    masks = [named] if meant is None else [named, meant]
    drawn, axes = figure(10, (2 + len(masks)) * 10 / count + 0.9, columns=count, rows=2 + len(masks))
    for column, (image, name) in enumerate(zip(images, names, strict=True)):
        plain, boxed, *masked = axes[column::count]
        picture(plain, pixels(image), name)
        picture(boxed, pixels(image))
        for place, of_all in zip(masked, masks, strict=True):
            draw_classes(place, of_all[column])
    for place, text in zip(
        axes[::count], ("scene", "boxes found", "pixels named", "pixels meant"), strict=False
    ):
        place.text(-0.04, 0.5, text, rotation=90, ha="right", va="center", transform=place.transAxes)
    legend(drawn, classes)
    for boxed, objects in zip(axes[count : 2 * count], found, strict=True):
        draw_objects(boxed, objects, classes)
    return drawn


def draw_objects(axes: Axes, objects: Found, classes: Sequence[str]) -> None:
    """Draw boxes in the colours of their classes, each with its class and score in percent."""
    names = [
        f"{classes[label]} {100 * score:.0f}"
        for label, score in zip(objects.labels, objects.scores, strict=True)
    ]
    named_boxes(axes, objects.boxes, names, [KINDS[label % len(KINDS)] for label in objects.labels])


def draw_classes(axes: Axes, named: Tensor) -> None:
    """Draw the class of each pixel `(H, W)`: grey for the ground, white where it is not to be judged."""
    colours = np.array([to_rgb(color) for color in (GROUND, *KINDS)])
    values = as_array(named)
    known = values != UNKNOWN
    index = np.where(values == 0, 0, 1 + (values.astype(int) - 1) % len(KINDS))
    picture(axes, np.where(known[..., None], colours[index], 1.0))


def legend(drawn: Figure, classes: Sequence[str]) -> None:
    """Write under a figure which colour is which class."""
    patches = [Patch(color=color, label=name) for name, color in zip(classes, KINDS, strict=False)]
    drawn.legend(handles=patches, loc="outside lower center", ncols=len(patches), frameon=False)


def objects_in_picture(image: Tensor, objects: Found, classes: Sequence[str]) -> Figure:
    """Draw an image `(3, H, W)` with boxes, classes and scores."""
    height, width = image.shape[1:]
    drawn, (axes,) = figure(6, 6 * height / width)
    picture(axes, pixels(image))
    draw_objects(axes, objects, classes)
    return drawn


def classes_in_picture(image: Tensor, named: Tensor, classes: Sequence[str]) -> Figure:
    """Draw an image `(3, H, W)` and beside it the class of each of its pixels, at any size."""
    height, width = image.shape[1:]
    drawn, (plain, masked) = figure(9, 4.5 * height / width + 0.5, columns=2)
    picture(plain, pixels(image))
    draw_classes(masked, named)
    legend(drawn, classes)
    return drawn


def answering_places(image: Tensor, places: Places, which: Tensor, boxes: Tensor) -> Figure:
    """Draw an image `(3, H, W)` for each level: its places as dots, filled where they answer for a box."""
    strides = places.strides.unique().tolist()
    drawn, axes = figure(10, 10 / len(strides) + 0.3, columns=len(strides))
    for level, (place, stride) in enumerate(zip(axes, strides, strict=True)):
        of_level = places.levels == level
        picture(place, pixels(image), f"level {level + 1}: a place every {stride:.0f} pixels")
        x, y = places.centres[of_level].T.numpy()
        place.scatter(x, y, s=9, facecolors="none", edgecolors=PAPER, linewidths=0.6)
        for number, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
            color = KINDS[number]
            mine = of_level & (which == number)
            if mine.any():
                box(place, x0, y0, x1 - x0, y1 - y0, edgecolor=color)
            x, y = places.centres[mine].T.numpy()
            place.scatter(x, y, s=26, color=color, edgecolors=INK, linewidths=0.8)
    return drawn


def central_places(values: Tensor, stride: float) -> Figure:
    """Draw the centre-ness of places `(H, W)` in a box, as numbers on colours."""
    height, width = values.shape
    drawn, (axes,) = figure(0.62 * width + 1, 0.45 * height + 0.6)
    picture(axes, as_array(values))
    axes.images[0].set_clim(0, 1)
    grid(axes, height, width, 1, color=MUTED)
    for row in range(height):
        for column in range(width):
            value = values[row, column].item()
            color = INK if value > 0.5 else PAPER
            axes.text(
                column + 0.5, row + 0.5, f"{value:.2f}", ha="center", va="center", color=color, fontsize=9
            )
    axes.set_title(f"centre-ness, a place every {stride:.0f} pixels")
    return drawn


def before_and_after(image: Tensor, titles: Sequence[str], found: Sequence[Found]) -> Figure:
    """Draw an image `(3, H, W)` with several sets of boxes, a panel each; no names, only colours."""
    drawn, axes = figure(4 * len(found), 4.2, columns=len(found))
    for place, title, objects in zip(axes, titles, found, strict=True):
        picture(place, pixels(image), title)
        for bounds, label in zip(objects.boxes, objects.labels, strict=True):
            x0, y0, x1, y1 = bounds.tolist()
            box(place, x0, y0, x1 - x0, y1 - y0, edgecolor=KINDS[label % len(KINDS)], linewidth=1.2)
    return drawn


def precision_and_recall(curves: dict[str, tuple[Sequence[float], Sequence[float]]]) -> Figure:
    """Draw precision over recall, a panel for each case; the area under the line is filled."""
    drawn, axes = figure(10, 3, columns=len(curves), sharey=True)
    for place, (title, (recalls, precisions)) in zip(axes, curves.items(), strict=True):
        place.fill_between(recalls, precisions, step="pre", color=BLUE, alpha=0.25, linewidth=0)
        place.step(recalls, precisions, where="pre", color=BLUE)
        place.set(title=title, xlabel="recall", xlim=(0, 1), ylim=(0, 1.05))
        place.xaxis.set_major_formatter(PercentFormatter(1))
        place.yaxis.set_major_formatter(PercentFormatter(1))
    axes[0].set_ylabel("precision")
    return drawn


def pyramid_levels(image: Tensor, before: Sequence[Tensor], after: Sequence[Tensor]) -> Figure:
    """Draw an image and, for each level, how large the numbers of its places are: alone and in the pyramid.

    `before` and `after` are maps `(H, W)`, each drawn from its least to its greatest value.
    """
    drawn, axes = figure(10, 5.4, columns=1 + len(before), rows=2)
    above, below = axes[: 1 + len(before)], axes[1 + len(before) :]
    picture(above[0], pixels(image), "the scene")
    below[0].axis("off")
    for row, name, maps in ((above, "alone", before), (below, "with what came down", after)):
        for level, (place, values) in enumerate(zip(row[1:], maps, strict=True)):
            picture(place, as_array(values), f"level {level + 1} {name}")
    return drawn
