"""The drawings of the chapter on many devices: who holds which windows, what travels, and what it costs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator
from torch import Tensor

from swin_edu.book.drawings.common import pixels
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
    hatch,
    picture,
)

COLOURS = (BLUE, ORANGE, GREEN, PURPLE)  # of ranks, beside their numbers


def rows_of_ranks(image: Tensor, rows: Sequence[range], window: int, shift: int, patch: int) -> Figure:
    """Draw an image `(3, H, W)` twice: windows in place, and shifted, with the rows that travel hatched."""
    drawn, axes = figure(10, 4.6, columns=2)
    titles = "plain: every window lies in one rank", f"shifted by {shift}: hatched rows go to another rank"
    height, width = image.shape[1:]
    for place, s, title in zip(axes, (0, shift), titles, strict=True):
        picture(place, pixels(image.mean(0).expand(3, -1, -1)), title)  # grey, for the ranks have colours
        for rank, mine in enumerate(rows):
            top, tall = patch * mine.start, patch * len(mine)
            box(place, 0, top, width, tall, fill=True, facecolor=COLOURS[rank], alpha=0.4, linewidth=0)
            place.text(-6, top + tall / 2, f"rank {rank}", ha="right", va="center")
            if s:
                hatch(place, 0, top, width, patch * s)
                place.text(width + 6, top + patch * s / 2, f"to rank {(rank - 1) % len(rows)}", va="center")
        shifted_lines(place, height, width, patch * window, patch * s)
        for each in rows[1:]:
            for color, thickness in ((INK, 6), (PAPER, 4)):
                place.plot([0, width], [patch * each.start] * 2, color=color, linewidth=thickness)
    return drawn


def shifted_lines(axes: Axes, height: float, width: float, step: float, shift: float) -> None:
    """Rule the borders of windows every `step`, beginning at `shift`; the map's border is left out."""
    for color, thickness in ((INK, 2.4), (PAPER, 1.1)):
        style: dict[str, Any] = {"color": color, "linewidth": thickness}
        axes.vlines(np.arange(shift or step, width, step), 0, height, **style)
        axes.hlines(np.arange(shift or step, height, step), 0, width, **style)


def bytes_by_side(sides: Sequence[int], curves: dict[str, Sequence[float]], title: str) -> Figure:
    """Draw numbers of bytes over the side of the image, both logarithmic, a labelled line for each case."""
    drawn, (axes,) = figure(8, 3.4)
    for (name, values), color, marker in zip(curves.items(), COLOURS, "os^D", strict=False):
        axes.plot(sides, values, color=color, marker=marker, markersize=5)
        axes.text(sides[-1], values[-1], f"  {name}", va="center")
        for side, value in zip(sides, values, strict=True):
            axes.annotate(in_units(value), (side, value), (0, 8), textcoords="offset points", ha="center")
    axes.set(xscale="log", yscale="log", xlabel="side of the image, pixels", title=title)
    axes.xaxis.set_major_locator(FixedLocator(list(sides)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.yaxis.set_major_formatter(lambda value, _: in_units(value))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.margins(x=0.1, y=0.15)
    return drawn


def in_units(size: float) -> str:
    """Return bytes in words, with three digits at most before the unit."""
    for unit in ("bytes", "kB", "MB"):
        if size < 999.5:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def time_lines(messages: Sequence[Sequence[tuple[float, float]]], ends: Sequence[float]) -> Figure:
    """Draw a line for each rank, in ms: it computes until its end, but for its messages `(start, end)`."""
    drawn, (axes,) = figure(10, 0.45 * len(messages) + 1.1)
    end = max(ends)
    axes.barh(range(len(messages)), ends, height=0.6, color=BLUE, label="computes")
    for rank, spans in enumerate(messages):
        parts = [(start, max(stop - start, end / 1500)) for start, stop in spans]
        axes.broken_barh(parts, (rank - 0.3, 0.6), color=ORANGE, label="" if rank else "exchanges or waits")
    axes.set(
        yticks=range(len(messages)),
        yticklabels=[f"rank {rank}" for rank in range(len(messages))],
        xlabel="ms",
        xlim=(0, end),
    )
    axes.invert_yaxis()
    drawn.legend(loc="outside upper center", ncols=2, frameon=False)
    return drawn


def speed_ups(curves: dict[str, tuple[Sequence[int], Sequence[float]]], title: str) -> Figure:
    """Draw how many times as fast several devices are as one, a labelled line for each case."""
    drawn, (axes,) = figure(8, 3.8)
    most = max(max(counts) for counts, _ in curves.values())
    axes.plot([1, most], [1, most], "--", color=MUTED, linewidth=1)
    axes.text(most, most, "ideal", ha="center", va="bottom", color=MUTED)
    styles = zip(COLOURS, ("o", "s", "^", "D"), strict=True)
    for (name, (counts, values)), (color, marker) in zip(curves.items(), styles, strict=False):
        axes.plot(counts, values, color=color, marker=marker, markersize=5)
        axes.text(counts[-1], values[-1], f"  {name}", va="center")
    axes.set(xscale="log", yscale="log", xlabel="devices", ylabel="times as fast as one", title=title)
    ticks = [2**power for power in range(most.bit_length())]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:.0f}")
    return drawn


def interrupted(whole: Sequence[float], first: Sequence[float], second: Sequence[float]) -> Figure:
    """Draw the loss of each epoch of a run without interruption, and of one that went on after it."""
    drawn, (axes,) = figure(7, 3)
    epochs = np.arange(1, len(whole) + 1)
    axes.plot(epochs, whole, color=MUTED, linewidth=5, alpha=0.5, label="without interruption")
    axes.plot(epochs[: len(first)], first, "o-", color=BLUE, label="until a process was killed")
    axes.plot(epochs[len(whole) - len(second) :], second, "s-", color=ORANGE, label="after the restart")
    axes.set(xlabel="epoch", ylabel="loss", ylim=(0, None), xticks=epochs)
    axes.legend(frameon=False)
    return drawn
