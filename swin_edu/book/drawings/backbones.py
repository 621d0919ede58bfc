"""The drawings of chapter 12: Swin, ViT and a CNN beside each other."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator, PercentFormatter
from torch import Tensor
from torch.nn import functional as F

from swin_edu.book.drawings.common import as_array, coloured, pixels
from swin_edu.book.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    box,
    figure,
    grid,
    mark,
    mosaic,
    picture,
)

SWIN, VIT, CNN, OTHER = ("o-", BLUE), ("s--", ORANGE), ("^-.", GREEN), ("D:", PURPLE)
LOOKS = {"Swin": SWIN, "Swin-T": SWIN, "CNN": CNN, "ResNet-34": CNN} | dict.fromkeys(
    ("ViT", "ViT-S/16", "ViT, equal parameters"), VIT
)
LOOKS["ViT, patches of 4"] = ("v:", INK)
STAGES = (("o-", BLUE), ("s--", ORANGE), ("^:", INK))
SAME = 1e-4  # below that a difference is rounding


def cells_to_scale(image: Tensor, groups: dict[str, Sequence[int]], row: int, column: int) -> Figure:
    """Draw an image `(3, H, W)` in the mean colours of its cells, a panel for each side of a cell, in groups.

    The cell that holds the pixel at `row` and `column` is marked in each.
    """
    strides = [(name, stride) for name, group in groups.items() for stride in group]
    drawn, axes = figure(10, 10 / len(strides) + 0.5, columns=len(strides))
    for place, (name, stride) in zip(axes, strides, strict=True):
        means = F.avg_pool2d(image, stride)
        picture(place, pixels(means), f"{name}: {stride} px\n{means.shape[1]} × {means.shape[2]}")
        mark(place, column // stride, row // stride, 1, 1, linewidth=1.5)
    return drawn


def tiny_convolution(x: Tensor, kernel: Tensor, result: Tensor, row: int, column: int) -> Figure:
    """Draw a map `(H, W)`, a kernel `(3, 3)` and their convolution; one sum is framed, zeros lie around."""
    drawn, axes = figure(9, 2.9, columns=3, width_ratios=[x.shape[1] + 2, 4, x.shape[1]])
    padded = F.pad(x, (1, 1, 1, 1))
    values(axes[0], padded, "the map, and zeros around it")
    box(axes[0], 1, 1, x.shape[1], x.shape[0], edgecolor=INK, linewidth=1.5)
    mark(axes[0], column, row, 3, 3)
    values(axes[1], kernel, "× nine weights")
    values(axes[2], result, "= one sum for each place")
    mark(axes[2], column, row, 1, 1)
    return drawn


def values(axes: Axes, table: Tensor, title: str) -> None:
    """Draw numbers `(H, W)` as cells, blue below zero and orange above, each with its number."""
    limit = max(1.0, table.abs().max().item())
    height, width = table.shape
    coloured(axes, as_array(table), 1.6 * limit, signed=True, title=title)  # pale, for the numbers on them
    grid(axes, height, width, 1, color=MUTED, linewidth=0.5)
    for index, value in enumerate(table.flatten().tolist()):
        y, x = divmod(index, width)
        text = f"{value:g}".replace("-", "−")
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=9)


def heard_of(image: Tensor, panels: dict[str, tuple[Tensor, int]], row: int, column: int) -> Figure:
    """Draw which pixels `(H, W)` one cell has heard of; all others are dark. The cell is marked.

    Each panel holds these pixels and the cell's side; the cell is the one with the pixel at `row`, `column`.
    """
    drawn, axes = figure(10, 10 / len(panels) + 0.3, columns=len(panels))
    for place, (title, (reached, side)) in zip(axes, panels.items(), strict=True):
        light = np.where(reached.cpu().numpy(), 1.0, 0.3)[..., None]
        picture(place, pixels(image) * light, title)
        mark(place, column // side * side, row // side * side, side, side, linewidth=1.5)
    return drawn


def maps_by_stride(backbones: dict[str, list[Tensor]], side: int) -> Figure:
    """Draw the channel of each map `(H, W, C)` that varies most, from its least value to its greatest.

    There is a row for each backbone and a column for each side of a cell.
    """
    strides = sorted({side // x.shape[0] for maps in backbones.values() for x in maps})
    drawn, axes = figure(8, 1.9 * len(backbones) + 0.3, columns=len(strides), rows=len(backbones))
    places = iter(axes)
    for index, (name, maps) in enumerate(backbones.items()):
        by_stride = {side // x.shape[0]: x.detach().cpu() for x in maps}
        for stride in strides:
            place = next(places)
            place.axis("off")
            if stride == strides[0]:
                place.text(-0.08, 0.5, name, ha="right", va="center", transform=place.transAxes)
            if stride in by_stride:
                x = by_stride[stride]
                height, width, channels = x.shape
                picture(place, x[..., int(x.var(dim=(0, 1)).argmax())].numpy())
                text = f"{height} × {width} × {channels}"
                place.text(width / 2, 1.03 * height, text, ha="center", va="top", fontsize=9)
            if index == 0:
                place.set_title(f"a cell every {stride} px")
    return drawn


def by_side(
    panels: dict[str, dict[str, list[float]]],
    sides: Sequence[int],
    linear: str | None = None,
    about: str = "",
) -> Figure:
    """Draw how costs grow with the side of the image, on logarithmic axes; a panel for each kind of cost.

    The panel called `linear` holds per cent, on an even axis from 0 to 100.
    """
    drawn, axes = figure(4.9 * len(panels), 3.4, columns=len(panels))
    for place, (title, lines) in zip(axes, panels.items(), strict=True):
        for name, costs in lines.items():
            line, color = LOOKS.get(name, OTHER)
            place.plot(sides, costs, line, color=color, label=name, markersize=5)
        place.set(xscale="log", title=title, xlabel="side of the image, pixels")
        place.set_xticks(sides, [str(side) for side in sides])
        place.xaxis.set_minor_locator(NullLocator())
        if title == linear:
            place.set_ylim(0, 100)
        else:
            place.set_yscale("log")
            place.yaxis.set_major_formatter("{x:,.0f}")
    axes[0].legend(frameon=False)
    drawn.supxlabel(about, fontsize=8, color=MUTED)
    return drawn


def overtaking(tokens: Sequence[int], costs: dict[str, list[float]], crossing: int, patch: int) -> Figure:
    """Draw what one token costs in a block against the number of tokens, and where the two lines cross."""
    drawn, (axes,) = figure(8.4, 3.3)
    for (name, line), (style, color) in zip(costs.items(), (("--", ORANGE), ("-", BLUE)), strict=True):
        axes.plot(tokens, [cost / 1e6 for cost in line], style, color=color, linewidth=2)
        axes.text(tokens[-1], line[-1] / 1e6, f"  {name}", va="center")
    height = float(np.interp(crossing, tokens, next(iter(costs.values())))) / 1e6
    axes.plot(crossing, height, "o", color=INK)
    side = round(crossing**0.5) * patch
    axes.annotate(
        f"{crossing:,} tokens,\n{side} × {side} px",
        (crossing, height),
        (-12, 16),
        textcoords="offset points",
        ha="right",
    )
    axes.set(xlabel="tokens", ylabel="million multiply-adds\nof a block, for each token", ylim=(0, None))
    axes.set_xlim(0, tokens[-1])
    axes.xaxis.set_major_formatter("{x:,.0f}")
    return drawn


def cells_inside(image: Tensor, mask: Tensor, sides: Sequence[int]) -> Figure:
    """Draw an image `(3, H, W)` in cells, once for each side of a cell.

    Outlined are the cells that lie wholly inside the object `(H, W)` of True and False.
    """
    drawn, axes = figure(10, 10 / len(sides) + 0.3, columns=len(sides))
    for place, side in zip(axes, sides, strict=True):
        inside = -F.max_pool2d(-mask.float()[None], side)[0]
        count = int(inside.sum())
        picture(place, pixels(image), f"cells of {side} px: {count} inside")
        grid(place, mask.shape[0], mask.shape[1], side, linewidth=0.7)
        for row, column in inside.nonzero().tolist():
            box(place, column * side, row * side, side, side, edgecolor=PAPER, linewidth=2.6)
            box(place, column * side, row * side, side, side, edgecolor=INK, linewidth=1.3, hatch="//")
    return drawn


def moved_maps(image: Tensor, moved: Tensor, shifts: Sequence[int], errors: dict[str, list[float]]) -> Figure:
    """Draw an image `(3, H, W)`, moved as well, and how far the maps differ after moving them back."""
    drawn, axes = mosaic(10, 3.7, [["still", "error"], ["moved", "error"]], width_ratios=[1, 4])
    picture(axes["still"], pixels(image), "the photograph")
    picture(axes["moved"], pixels(moved), "moved, on a torus")
    for name, line in errors.items():
        style, color = LOOKS.get(name, OTHER)
        axes["error"].plot(shifts, line, style, color=color, label=name, markersize=4)
    axes["error"].set(xlabel="pixels moved to the right", ylabel="difference of the maps", ylim=(-0.02, None))
    axes["error"].set_xticks(range(0, shifts[-1] + 1, 16))
    axes["error"].axhline(0, color=MUTED, linewidth=0.8)
    axes["error"].legend(frameon=False, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return drawn


def sizes_of_objects(results: dict[str, dict[str, list[float]]], about: str) -> Figure:
    """Draw shares of several seeds as dots and their mean as a line: a group for each entry, names beside."""
    drawn, (axes,) = figure(9.4, 3.6)
    names = list(next(iter(results.values())))
    for group, of in enumerate(results.values()):
        for index, name in enumerate(names):
            marker, color = LOOKS.get(name, OTHER)
            x = group + 0.75 * ((index + 0.5) / len(names) - 0.5)
            seeds = of[name]
            axes.plot([x] * len(seeds), seeds, marker[0], color=color, alpha=0.6, label="" if group else name)
            mean = sum(seeds) / len(seeds)
            axes.plot([x - 0.06, x + 0.06], [mean] * 2, color=INK, linewidth=2)
            axes.text(x, max(seeds) + 0.02, f"{100 * mean:.0f}", ha="center", va="bottom", fontsize=8)
    axes.set(xticks=range(len(results)), xticklabels=list(results), ylim=(0, 1.05), ylabel="share")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.legend(frameon=False, ncols=len(names), loc="lower center", bbox_to_anchor=(0.5, 1))
    drawn.supxlabel(about, fontsize=8, color=MUTED)
    return drawn


def where_maps_differ(panels: dict[str, Tensor]) -> Figure:
    """Draw how much each cell of a map `(H, W)` differs, white where not at all; each to its own scale."""
    drawn, axes = figure(3 * len(panels), 3.3, columns=len(panels))
    for place, (title, table) in zip(axes, panels.items(), strict=True):
        height, width = table.shape
        picture(place, np.ma.masked_where(table.numpy() < SAME, table.numpy()), title)
        place.images[0].set_clim(0, float(table.max()))
        box(place, 0, 0, width, height, edgecolor=MUTED, linewidth=0.8)
    return drawn


def stages_moved(
    shifts: Sequence[int], errors: dict[str, list[list[float]]], steps: dict[str, int]
) -> Figure:
    """Draw how far the maps of each stage differ after a move: a panel for each model, a line for each stage.

    `steps` are the pixels from one tick to the next.
    """
    drawn, axes = figure(10, 3.2, columns=len(errors), sharey=True)
    for place, (name, rows) in zip(axes, errors.items(), strict=True):
        for stage, (row, (style, color)) in enumerate(zip(rows, STAGES, strict=True), 1):
            place.plot(shifts, row, style, color=color, label=f"stage {stage}", markersize=4)
        place.set(title=name, xlabel="pixels moved to the right")
        place.set_xticks(range(0, shifts[-1] + 1, steps[name]))
        place.axhline(0, color=MUTED, linewidth=0.8)
    axes[0].set_ylabel("difference of the maps")
    axes[-1].legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    return drawn
