"""The drawings of chapter 6."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from torch import Tensor

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
)

# Told apart without colour too: the dashes of a line, or the hatching of a bar.
LINES = (("-", BLUE), ("--", ORANGE), (":", GREEN), ("-.", PURPLE), ((0, (1, 3)), INK))
FILLS = ((BLUE, ""), (GREEN, "//"), (PURPLE, "xx"), (MUTED, ".."), (ORANGE, ""))


def block_walk(rows: dict[str, list[tuple[str, Tensor]]]) -> Figure:
    """Draw one channel `(H, W)` at the stations of each block, with arrows from step to step and to the sums.

    The name of a sum is "+": it adds the last sum, or the input, to the station before.
    """
    drawn, axes = figure(10, 2.1 * len(rows), rows=len(rows))
    for axis, (title, stations) in zip(axes, rows.items(), strict=True):
        trunk = 0.0
        for index, (name, values) in enumerate(stations):
            left, middle = 1.25 * index, 1.25 * index + 0.5
            axis.imshow(values.numpy(), extent=(left, left + 1, 1, 0))
            axis.text(middle, -0.06, name, ha="center", va="bottom", weight="bold" if name == "+" else None)
            if index:
                arrow(axis, [(left - 0.24, 0.5), (left - 0.01, 0.5)], INK)
            if name == "+":
                arrow(
                    axis, [(trunk, 1.01), (trunk, 1.2), (middle - 0.04, 1.2), (middle - 0.04, 1.01)], ORANGE
                )
                trunk = middle + 0.04
            elif not index:
                trunk = middle
        axis.text(-0.1, 0.5, title, ha="right", va="center", rotation=90)
        axis.set(xlim=(-0.3, 1.25 * len(stations) - 0.2), ylim=(1.25, -0.25))
        axis.axis("off")
    return drawn


def arrow(axes: Axes, places: list[tuple[float, float]], color: str) -> None:
    """Draw a line through places (x, y), with an arrow at its end."""
    axes.plot(*zip(*places[:-1], strict=True), color=color, linewidth=1.8, solid_joinstyle="round")
    style = {"arrowstyle": "->", "color": color, "linewidth": 1.8, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", places[-1], places[-2], arrowprops=style)


def trends(
    panels: dict[str, dict[str, Sequence[float]]],
    xs: Sequence[float],
    xlabel: str,
    logarithmic: bool = True,
    same_scale: bool = False,
) -> Figure:
    """Draw lines over `xs` by their names, panel by panel; one legend does where the names are the same."""
    drawn, axes = figure(10, 3.2, columns=len(panels), sharey=same_scale)
    for axis, (title, lines) in zip(axes, panels.items(), strict=True):
        for (name, values), (dashes, color) in zip(lines.items(), LINES, strict=False):
            axis.plot(xs, values, linestyle=dashes, color=color, linewidth=2, label=name)
        if logarithmic:
            axis.set_yscale("log")
            lowest, highest = axis.get_ylim()
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if highest < 300 * lowest else (1,)))
            axis.yaxis.set_major_formatter("{x:,g}")
            axis.minorticks_off()
        axis.set(xlabel=xlabel, title=title)
    if len({tuple(lines) for lines in panels.values()}) == 1:
        axes[-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, handlelength=3)
    else:
        for axis in axes:
            axis.legend(frameon=False, handlelength=3)
    return drawn


def skipped_branches(factors: Tensor) -> Figure:
    """Draw which branches the images of a batch go through: `(images, branches)`, 0 where one is left out."""
    images, branches = factors.shape
    drawn, (axes,) = figure(9.5, 0.34 * images + 0.9)
    for image in range(images):
        for branch in range(branches):
            skipped = float(factors[image, branch]) == 0
            style = {"facecolor": PAPER, "hatch": "////"} if skipped else {"facecolor": BLUE}
            box(axes, branch, image + 0.12, 0.85, 0.76, fill=True, edgecolor=MUTED, linewidth=0.6, **style)
        count = int(factors[image].count_nonzero())
        axes.text(branches + 0.2, image + 0.5, f"{count} of {branches}", va="center", fontsize=9)
    axes.set(xlim=(0, branches + 2.5), ylim=(images, 0), yticks=np.arange(images) + 0.5)
    axes.set(yticklabels=[f"image {index + 1}" for index in range(images)], xlabel="branch")
    axes.set_xticks(np.arange(branches) + 0.43, [str(branch + 1) for branch in range(branches)], fontsize=8)
    axes.tick_params(length=0)
    for edge in axes.spines.values():
        edge.set_visible(False)
    return drawn


def shares_of_block(panels: Mapping[str, dict[str, dict[str, int]]]) -> Figure:
    """Draw how totals are divided: for each panel a bar a row, its parts in per cent, and the total."""
    drawn, axes = figure(10, 2.9, columns=len(panels), sharey=True)
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        for row, parts in enumerate(rows.values()):
            total, left = sum(parts.values()), 0.0
            for (part, number), (color, hatching) in zip(parts.items(), FILLS, strict=True):
                share = 100 * number / total
                axis.barh(
                    row, share, left=left, height=0.7, color=color + "aa", hatch=hatching, edgecolor=PAPER,
                    label=part if row == 0 else None,
                )  # fmt: skip
                if share > 6:
                    text = {"facecolor": PAPER, "linewidth": 0, "pad": 1}
                    axis.text(left + share / 2, row, f"{share:.0f} %", ha="center", va="center", bbox=text)
                left += share
            axis.text(101, row, f"{total:,}", va="center", fontsize=9)
        axis.set(xlim=(0, 128), xticks=[], title=title, yticks=range(len(rows)), yticklabels=list(rows))
        axis.invert_yaxis() if axis is axes[0] else None
        for edge in axis.spines.values():
            edge.set_visible(False)
        axis.tick_params(length=0)
    handles, labels = axes[0].get_legend_handles_labels()
    drawn.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    return drawn


def nested_words(stages: dict[str, list[list[str]]]) -> Figure:
    """Draw what each stage holds: lists of two branches are blocks; a list of one is no block."""
    drawn, (axes,) = figure(10, 2.5)
    left = 0.0
    for stage, parts in stages.items():
        start = left
        for branches in parts:
            is_block = len(branches) > 1
            width = 2.6 if is_block else 1.5
            color, title = (BLUE, "block") if is_block else (MUTED, "")
            box(axes, left + 0.15, 0.55, width, 2.1, edgecolor=color, linestyle="-" if is_block else "--")
            axes.text(left + 0.25, 0.77, title, color=color, weight="bold", va="center")
            for row, name in enumerate(branches):
                y = 1.35 + 0.85 * row if is_block else 1.6
                if is_block:
                    box(axes, left + 0.27, y - 0.37, width - 0.24, 0.74, edgecolor=ORANGE, linewidth=1.5)
                axes.text(left + 0.15 + width / 2, y, name, ha="center", va="center", fontsize=8)
            left += width + 0.15
        left += 0.15
        box(axes, start, 0, left - start, 2.85, edgecolor=INK, linewidth=1.5)
        axes.text(start + 0.15, 0.28, stage, weight="bold", va="center")
        left += 0.2
    axes.set(xlim=(-0.05, left - 0.1), ylim=(2.9, -0.05))
    axes.axis("off")
    return drawn
