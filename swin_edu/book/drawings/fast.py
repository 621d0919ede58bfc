"""The drawings of chapter 9."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    PURPLE,
    SIGNED,
    figure,
    grid,
    hatch,
    picture,
)
from swin_edu.fast import StagePlan

COLORS = (BLUE, ORANGE, GREEN, "#e8e8e8", PURPLE, MUTED)


def ladder(seconds: dict[str, list[float]], batches: Sequence[int], machine: str) -> Figure:
    """Draw the time of each step as a bar, a panel for each batch size, and how many times as fast it is."""
    drawn, axes = figure(10, 3.1, columns=len(batches))
    for index, (axis, batch) in enumerate(zip(axes, batches, strict=True)):
        times = {name: 1e3 * values[index] for name, values in seconds.items()}
        first = next(iter(times.values()))
        texts = [f"{time:.0f} ms   {first / time:.2f} ×" for time in times.values()]
        labelled_bars(axis, times, texts)
        axis.set_title(f"batch of {batch}, ms")
    drawn.supxlabel(f"measured on {machine}", fontsize=9, color=MUTED)
    return drawn


def labelled_bars(axes: Axes, values: dict[str, float], texts: Sequence[str]) -> None:
    """Draw one bar below the other, the text of each behind its end."""
    axes.barh(list(values), list(values.values()), color=BLUE)
    for row, (value, text) in enumerate(zip(values.values(), texts, strict=True)):
        axes.text(value, row, f"  {text}", va="center", fontsize=9)
    axes.set_xlim(0, 1.4 * max(values.values()))
    axes.invert_yaxis()


def bars(values: dict[str, float], title: str) -> Figure:
    """Draw one bar for each name."""
    drawn, (axes,) = figure(7.5, 0.4 + 0.38 * len(values))
    labelled_bars(
        axes, values, [f"{value:.1f}" if value < 100 else f"{value:.0f}" for value in values.values()]
    )
    axes.set_title(title)
    return drawn


def roofline(rates: dict[str, list[float]], machine: str) -> Figure:
    """Draw the roof of a machine, its "operations" and "bytes" a second, and operations below it.

    Each other entry holds what it reached, in operations a second, and its operations for each byte.
    """
    drawn, (axes,) = figure(8.4, 4.2)
    [peak], [bandwidth] = rates["operations"], rates["bytes"]
    x = np.geomspace(0.03, 1000, 200)
    axes.plot(x, np.minimum(peak, bandwidth * x) / 1e9, color=INK, label="roof")
    axes.text(0.04, bandwidth * 0.04 / 1e9 * 1.5, f"{bandwidth / 1e9:.0f} GB/s", rotation=28, fontsize=9)
    axes.text(950, peak / 1e9 * 1.12, f"{peak / 1e9:.0f} GFLOP/s with F.linear", fontsize=9, ha="right")
    for index, ((name, values), marker) in enumerate(zip(list(rates.items())[2:], "osD^v", strict=False)):
        rate, intensity = values
        axes.plot(intensity, rate / 1e9, marker, color=BLUE, markersize=8)
        side, place = ("right", (-9, -4)) if index == 1 else ("left", (9, -11))
        text = axes.annotate(name, (intensity, rate / 1e9), xytext=place, textcoords="offset points", ha=side)
        text.set_bbox({"fc": PAPER, "ec": "none", "pad": 0.5})
    axes.set(xscale="log", yscale="log", xlabel="operations for each byte of memory", xlim=(0.03, 1000))
    axes.set(ylabel="billion operations a second", ylim=(None, 2.2 * peak / 1e9))
    axes.set_title(f"measured on {machine}", color=MUTED, fontsize=9)
    return drawn


def amdahl_curves(shares: dict[str, float]) -> Figure:
    """Draw how many times as fast the whole becomes when a part becomes 1 to 10 times as fast."""
    drawn, (axes,) = figure(7, 3.3)
    times = np.linspace(1, 10, 100)
    for (name, share), line in zip(shares.items(), ("-", "--"), strict=True):
        gain = 1 / (1 - share + share / times)
        axes.plot(times, gain, line, label=f"{name}: {100 * share:.0f} % of the time")
        axes.annotate(f"{gain[-1]:.2f} ×", (10, gain[-1]), xytext=(4, -3), textcoords="offset points")
    axes.set(
        xlabel="the part: times as fast", ylabel="the whole: times as fast", xlim=(1, 10), ylim=(1, None)
    )
    axes.legend(frameon=False)
    return drawn


def shares_of_work_and_time(work: dict[str, float], time: dict[str, float], machine: str) -> Figure:
    """Draw two bars in parts: shares of the operations, and of the seconds, of the same names."""
    drawn, (axes,) = figure(9.6, 2.5)
    styles = dict(zip(time, zip(("", "//", "..", "", "xx", ""), COLORS, strict=True), strict=True))
    for row, shares in enumerate((work, time)):
        left = 0.0
        for name, share in shares.items():
            line, color = styles[name]
            axes.barh(row, 100 * share, left=left, color=color, hatch=line, edgecolor=PAPER, label=name)
            if share > 0.025:
                text = f"{100 * share:.0f} %"
                plate = {"boxstyle": "round,pad=0.15", "fc": PAPER, "ec": "none"}
                axes.text(left + 50 * share, row, text, ha="center", va="center", fontsize=9, bbox=plate)
            left += 100 * share
    axes.set_yticks([0, 1], ["operations", "seconds"])
    axes.set(xlim=(0, 100), xlabel=f"per cent; seconds measured on {machine}")
    axes.invert_yaxis()
    handles, names = axes.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    drawn.legend(unique.values(), unique, loc="outside upper center", ncols=6, frameon=False, fontsize=9)
    return drawn


def memory_orders(plain: Tensor, shifted: Tensor, kinds: Tensor) -> Figure:
    """Draw a square map, each token's colour its place in memory: row by row, and in both window orders.

    `kinds` are those of the shifted windows; how many there are of each stands beside.
    """
    drawn, axes = figure(10, 3.2, columns=4, width_ratios=[1, 1, 1, 0.55])
    rows = torch.arange(plain.numel())
    titles = ("row by row", "windows", "shifted windows, sorted by kind")
    for axis, title, order in zip(axes, titles, (rows, plain.cpu(), shifted.cpu()), strict=False):
        side = math.isqrt(len(rows))
        picture(axis, order.flatten().argsort().reshape(side, side).numpy(), title)
    counts = kinds.cpu().bincount(minlength=4).tolist()
    bars_of = {f"kind {kind}": count for kind, count in enumerate(counts)}
    labelled_bars(axes[-1], bars_of, [str(count) for count in counts])
    axes[-1].set(title="windows of each kind", xticks=[])
    return drawn


def chunk_maps(stage: StagePlan, order: Tensor) -> Figure:
    """Draw, for one image, the chunk in which each token of the stage's second block goes."""
    drawn, (axes,) = figure(4.6, 4.3)
    numbers = [number for number, chunk in enumerate(stage.blocks[1]) for _ in range(sum(chunk.kinds))]
    chunk_of = torch.empty(order.numel(), dtype=torch.long)
    chunk_of[order.flatten()] = torch.tensor(numbers).repeat_interleave(order.shape[1])
    chunk_of = chunk_of.reshape(stage.height, stage.width)
    picture(axes, chunk_of.numpy(), "the chunk of each token, 0 first")
    half = math.isqrt(order.shape[1]) / 2
    for tokens, number in zip(order.tolist(), numbers, strict=True):
        row, column = divmod(tokens[0], stage.width)
        x, y = min(column + half, stage.width - 1.5), min(row + half, stage.height - 1.5)
        text = axes.text(x, y, str(number), ha="center", va="center", fontsize=9)
        text.set_color(PAPER if number < numbers[-1] / 2 else INK)
    return drawn


def kind_tables(tables: Tensor) -> Figure:
    """Draw tables `(4, N, N)` of what is added to the logits: a sign as colour, -inf hatched."""
    drawn, axes = figure(10, 2.9, columns=4)
    values = tables.detach().cpu().numpy()
    largest = np.abs(values[np.isfinite(values)]).max()
    for kind, (axis, table) in enumerate(zip(axes, values, strict=True)):
        size, blocked = len(table), np.isinf(table)
        picture(axis, np.where(blocked, np.nan, table), f"kind {kind}: {blocked.mean():.0%} masked")
        axis.images[0].set(cmap=SIGNED, clim=(-largest, largest))
        edges = [[0, *(np.flatnonzero(np.diff(line)) + 1), size] for line in blocked]
        for row, cuts in enumerate(edges):
            for left, right in zip(cuts, cuts[1:], strict=False):
                if blocked[row, left]:
                    hatch(axis, left, row, right - left, 1)
        grid(axis, size, size, size, color=MUTED)
    return drawn


def by_piece(sizes: Sequence[int], seconds: dict[str, list[float]], title: str, machine: str) -> Figure:
    """Draw milliseconds against the size of a piece, a line for each name; a square marks its fastest."""
    drawn, (axes,) = figure(7.5, 3.2)
    styles = (("o-", BLUE, 9), ("^--", ORANGE, -17))
    for (name, values), (style, color, above) in zip(seconds.items(), styles, strict=False):
        times = [1e3 * value for value in values]
        axes.plot(sizes, times, style, color=color, label=name)
        best = int(np.argmin(times))
        axes.plot(sizes[best], times[best], "s", color=color, markersize=9, zorder=3)
        text: dict[str, Any] = {"xytext": (0, above), "textcoords": "offset points", "ha": "center"}
        axes.annotate(f"{sizes[best]:,}: {times[best]:.3g} ms", (sizes[best], times[best]), **text)
    largest = 1e3 * max(map(max, seconds.values()))
    axes.set(xscale="log", ylim=(-0.12 * largest, 1.1 * largest), title=title)
    axes.set_xlabel(f"tokens in a piece, logarithmic; measured on {machine}")
    axes.set_xticks(list(sizes), [f"{size:,}" for size in sizes], fontsize=8)
    axes.minorticks_off()
    if len(seconds) > 1:
        axes.legend(frameon=False, loc="upper left")
    return drawn


def rates_of_ways(
    rates: dict[str, list[float]], layers: Sequence[str], batches: Sequence[int], machine: str
) -> Figure:
    """Draw the operations a second of each way as bars, grouped by layer, a panel for each batch size."""
    drawn, axes = figure(10, 3.4, columns=len(batches), sharey=True)
    styles = ((MUTED, ""), (ORANGE, "//"), (BLUE, ""))
    for index, (axis, batch) in enumerate(zip(axes, batches, strict=True)):
        part = slice(index * len(layers), (index + 1) * len(layers))
        grouped_bars(
            axis, layers, {name: [v / 1e9 for v in values[part]] for name, values in rates.items()}, styles
        )
        axis.set_title(f"batch of {batch}")
    label_panels(drawn, axes, "billion operations a second", machine)
    return drawn


def label_panels(drawn: Figure, axes: Sequence[Axes], label: str, machine: str) -> None:
    """Label panels that share an axis and a legend, and say where their figures are from."""
    axes[0].set_ylabel(label)
    handles, names = axes[0].get_legend_handles_labels()
    drawn.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
    drawn.supxlabel(f"measured on {machine}", fontsize=9, color=MUTED)


def grouped_bars(
    axes: Axes, groups: Sequence[str], values: dict[str, list[float]], styles: Sequence[tuple[str, str]]
) -> None:
    """Draw bars side by side for each group, each with its number."""
    width = 0.84 / len(values)
    digits = 2 if max(map(max, values.values())) < 10 else 0
    for index, ((name, heights), (color, line)) in enumerate(zip(values.items(), styles, strict=False)):
        x = np.arange(len(groups)) + (index - (len(values) - 1) / 2) * width
        axes.bar(x, heights, width, color=color, hatch=line, edgecolor=PAPER, label=name)
        for place, height in zip(x, heights, strict=True):
            axes.text(place, height, f"{height:.{digits}f}", ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(groups)), groups)


def predicted_and_measured(
    steps: Sequence[str], predicted: dict[int, list[float]], measured: dict[int, list[float]], machine: str
) -> Figure:
    """Draw the gain of each step, predicted and measured, a panel for each batch size."""
    drawn, axes = figure(10, 3.4, columns=len(predicted), sharey=True)
    for axis, batch in zip(axes, predicted, strict=True):
        both = {"predicted": predicted[batch], "measured": measured[batch]}
        grouped_bars(axis, steps, both, ((ORANGE, "//"), (BLUE, "")))
        axis.axhline(1, color=INK, linewidth=0.8, zorder=0)
        axis.set_title(f"batch of {batch}")
    label_panels(drawn, axes, "times as fast as the step before", machine)
    return drawn


def shares_of_peak(
    shares: dict[str, list[float]], batches: Sequence[int], peak: float, machine: str
) -> Figure:
    """Draw what share of the peak each step reaches, in per cent, a panel for each batch size."""
    drawn, axes = figure(10, 2.9, columns=len(batches))
    for index, (axis, batch) in enumerate(zip(axes, batches, strict=True)):
        values = {name: share[index] for name, share in shares.items()}
        labelled_bars(axis, values, [f"{share:.0f} %" for share in values.values()])
        axis.axvline(100, color=INK, linestyle="--", linewidth=1)
        axis.set(title=f"batch of {batch}: % of the peak, {peak / 1e9:.0f} GFLOP/s", xlim=(0, 118))
    drawn.supxlabel(f"measured on {machine}", fontsize=9, color=MUTED)
    return drawn


def growth(sides: Sequence[int], seconds: dict[str, list[float]], machine: str) -> Figure:
    """Draw seconds against the pixels of a square image, with the exponents of all and of the last step."""
    drawn, (axes,) = figure(8, 4)
    pixels = np.array(sides, float) ** 2
    for (name, values), line in zip(seconds.items(), ("o-", "s-", "^--"), strict=True):
        slopes = [np.polyfit(np.log(pixels[n:]), np.log(values[n:]), 1)[0] for n in (0, -2)]
        label = f"{name}: pixels^{slopes[0]:.2f}, at the end ^{slopes[1]:.2f}"
        axes.plot(pixels, values, line, label=label)
    axes.set(xscale="log", yscale="log", xlabel="image", ylabel="seconds")
    axes.set_xticks(pixels, [f"{side} × {side}" for side in sides])
    axes.minorticks_off()
    axes.legend(frameon=False)
    axes.set_title(f"measured on {machine}", fontsize=9, color=MUTED)
    return drawn
