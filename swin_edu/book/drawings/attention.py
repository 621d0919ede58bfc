"""The drawings of chapter 2."""

import math
from itertools import pairwise

import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
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
    SIGNED,
    box,
    figure,
    hatch,
    mark,
    mosaic,
    picture,
)

LETTERS = "ABCDEFGHIJ"


def named_patches(
    image: Tensor, places: dict[str, tuple[int, int]], patch: int, tokens: Tensor, columns: list[str]
) -> Figure:
    """Draw an image `(3, H, W)` with patches at (row, column), lettered, and their tokens as a table."""
    drawn, axes = mosaic(9, 3.7, [["photo", "table"]], width_ratios=[1, 1.2])
    photograph_with_letters(axes["photo"], image, list(places.values()), patch)
    table(axes["table"], tokens, "the six tokens", columns)
    rows = [f"{letter}  {name}" for letter, name in zip(LETTERS, places, strict=False)]
    axes["table"].set_yticklabels(rows, fontsize=10)
    return drawn


def photograph_with_letters(axes: Axes, image: Tensor, places: list[tuple[int, int]], patch: int) -> None:
    """Draw an image `(3, H, W)` and outline the patches at the places (row, column), each with its letter."""
    picture(axes, pixels(image), "the photograph")
    for letter, (row, column) in zip(LETTERS, places, strict=False):
        x, y = column * patch, row * patch
        mark(axes, x, y, patch, patch, linewidth=1.5)
        left = x > patch * 2
        axes.text(
            x - 3 if left else x + patch + 3,
            y + patch / 2,
            letter,
            ha="right" if left else "left",
            va="center",
            fontsize=9,
            weight="bold",
            bbox={"boxstyle": "round,pad=0.15", "fc": PAPER, "ec": BLUE},
        )


def tables(numbers: dict[str, Tensor | int], query: int | None = None) -> Figure:
    """Draw tables `(N, columns)` side by side and frame the row of one query; an int keeps a place that wide.

    A table whose rows sum to 1 holds weights: dark for 0 to bright for 1, pairs that may not attend hatched.
    Others are blue below zero and orange above.
    """
    widths = [value if isinstance(value, int) else value.shape[1] for value in numbers.values()]
    drawn, axes = figure(10, 2.6, columns=len(numbers), width_ratios=widths)
    for axis, width, (title, values) in zip(axes, widths, numbers.items(), strict=True):
        if isinstance(values, int):
            axis.set(title=title, xlim=(0, 1), ylim=(0, 1))
            box(axis, 0, 0, 1, 1, edgecolor=MUTED, linestyle="--", linewidth=1)
            axis.axis("off")
            continue
        table(axis, values, title)
        if query is not None:
            mark(axis, 0, query, width, 1)
        if holds_weights(values):
            for row, column in (values == 0).nonzero().tolist():
                hatch(axis, column, row, 1, 1)
    return drawn


def holds_weights(values: Tensor) -> bool:
    """Say whether every row is a set of weights: nothing negative, sum 1."""
    return bool((values >= 0).all()) and torch.allclose(values.sum(-1), torch.ones(len(values)), atol=1e-4)


def table(axes: Axes, values: Tensor, title: str, columns: list[str] | None = None) -> None:
    """Draw a table of numbers `(N, columns)` with a letter a row; square ones have the letters on top too."""
    values = values.detach().cpu().float()
    rows, width = values.shape
    limit = 1.3 * float(values.abs().max())  # beyond the largest: pale enough for the numbers
    weights = holds_weights(values)
    axes.imshow(
        values.numpy(),
        extent=(0, width, rows, 0),
        cmap="cividis" if weights else SIGNED,
        vmin=0 if weights else -limit,
        vmax=1 if weights else limit,
        aspect="auto",
    )
    whole = not weights and bool((values == values.round()).all())
    for row in range(rows):
        for column in range(width):
            value = float(values[row, column])
            text = "" if weights and value == 0 else in_words(value, digits=0 if whole else 2)
            color = "white" if weights and value < 0.5 else INK
            axes.text(
                column + 0.5,
                row + 0.5,
                text,
                ha="center",
                va="center",
                color=color,
                fontsize=9 if whole else 7,
            )
    names = columns or (list(LETTERS[:rows]) if width == rows else [""] * width)
    axes.set_xticks([c + 0.5 for c in range(width)], names, fontsize=9)
    axes.set_yticks([r + 0.5 for r in range(rows)], list(LETTERS[:rows]), fontsize=9)
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.set_title(title)
    for edge in axes.spines.values():
        edge.set_visible(False)


def in_words(value: float, digits: int) -> str:
    """Write a number with a true minus sign, and none before a zero."""
    return f"{round(value, digits) + 0.0:.{digits}f}".replace("-", "−")


def heads_apart(tokens: Tensor, pieces: Tensor) -> Figure:
    """Draw tokens `(N, C)` as a table, and the same in heads `(h, N, D)`, each head in its colour."""
    count, rows, width = pieces.shape
    drawn, axes = figure(
        9, 0.45 * rows + 0.7, columns=1 + count, width_ratios=[tokens.shape[1]] + [width] * count
    )
    colors = (BLUE, ORANGE, GREEN, PURPLE)
    for axis, values, title, first in [
        (axes[0], tokens, f"tokens: {rows} × {tokens.shape[1]}", 0),
        *((axes[1 + h], pieces[h], f"head {h + 1}: {rows} × {width}", h) for h in range(count)),
    ]:
        for row, column in torch.cartesian_prod(torch.arange(rows), torch.arange(values.shape[1])).tolist():
            color = colors[first + column // width]
            box(axis, column, row, 1, 1, fill=True, facecolor=color + "55", edgecolor=PAPER)
            number = f"{int(values[row, column])}"
            axis.text(column + 0.5, row + 0.5, number, ha="center", va="center", fontsize=10)
        axis.set(xlim=(0, values.shape[1]), ylim=(rows, 0), title=title)
        axis.axis("off")
    return drawn


def attention_maps(
    image: Tensor, maps: dict[str, Tensor], places: list[tuple[int, int]], patch: int
) -> Figure:
    """Draw an image `(3, H, W)` with lettered queries, and maps of weights `(H, W)`, each to its own scale.

    Map number i belongs to query number i, or all maps to the one query; its place is framed.
    """
    drawn, axes = figure(10, 10 / (1 + len(maps)) + 0.3, columns=1 + len(maps))
    photograph_with_letters(axes[0], image, places, patch)
    for index, (axis, (title, weights)) in enumerate(zip(axes[1:], maps.items(), strict=True)):
        picture(axis, weights.detach().cpu().numpy(), title)
        axis.images[0].set_clim(0, float(weights.max()))
        row, column = places[index % len(places)]
        mark(axis, column, row, 1, 1, linewidth=1.5)
    return drawn


def width_of_queries(
    widths: list[int], plain: dict[str, list[float]], scaled: dict[str, list[float]]
) -> Figure:
    """Draw, against D, what `plain` and `scaled` logits have under the same title, a panel for each title."""
    drawn, axes = figure(10, 3, columns=len(plain))
    for axis, title in zip(axes, plain, strict=True):
        for values, name, style in ((plain, "q · k", "s--"), (scaled, "q · k / √D", "o-")):
            axis.plot(widths, values[title], style, color=ORANGE if values is plain else BLUE, label=name)
        axis.set_xscale("log", base=2)
        axis.set(title=title, xlabel="D", xticks=widths, xticklabels=widths)
        axis.minorticks_off()
    axes[0].set_yscale("log")
    axes[0].legend(frameon=False)
    return drawn


def two_normalisations(logits: dict[str, list[float]]) -> Figure:
    """Draw logits, the same divided by their sum, and their softmax, as bars: a column for each list."""
    drawn, axes = figure(9, 4.6, columns=len(logits), rows=3, sharey="row")
    for column, (title, numbers) in enumerate(logits.items()):
        values = torch.tensor(numbers)
        rows = {
            "logits": values,
            "divided by their sum": values / values.sum(),
            "softmax": values.softmax(0),
        }
        for axis, (name, shown) in zip(axes[column :: len(logits)], rows.items(), strict=True):
            finite = bool(shown.isfinite().all())
            heights = shown.tolist() if finite else [0.0] * len(numbers)
            axis.bar(
                range(len(numbers)), heights, color=[BLUE if v >= 0 else ORANGE for v in heights], width=0.6
            )
            axis.axhline(0, color=INK, linewidth=0.8)
            for place, height in enumerate(heights):
                where = "bottom" if height >= 0 else "top"
                label = in_words(height, digits=0 if name == "logits" else 2)
                axis.text(place, height, label if finite else "none", ha="center", va=where, fontsize=9)
            axis.set(xticks=[])
            axis.margins(y=0.45)
            if column == 0:
                axis.set_ylabel(name)
            if name == "logits":
                axis.set_title(title)
    return drawn


def who_noticed(image: Tensor, place: tuple[int, int], patch: int, changes: dict[str, Tensor]) -> Figure:
    """Draw an image with one changed patch, and how much each token `(H, W)` changed; white: not at all."""
    drawn, axes = figure(10, 3.4, columns=1 + len(changes))
    picture(axes[0], pixels(image), "one patch is painted over")
    mark(axes[0], place[1] * patch, place[0] * patch, patch, patch)
    highest = max(float(change.max()) for change in changes.values())
    lowest = min(float(change[change > 0].min()) for change in changes.values())
    for axis, (title, change) in zip(axes[1:], changes.items(), strict=True):
        shown = change.detach().cpu()
        picture(axis, shown.masked_fill(shown == 0, math.nan).numpy(), title)
        axis.images[0].set_norm(LogNorm(lowest, highest))
        box(axis, 0, 0, shown.shape[1], shown.shape[0], edgecolor=MUTED, linewidth=1)
        mark(axis, place[1], place[0], 1, 1, linewidth=1.5)
    drawn.colorbar(axes[-1].images[0], ax=axes[1:], shrink=0.8, label="change of the token")
    return drawn


def cost_of_attention(
    tokens: list[int], counts: dict[str, list[int]], seconds: dict[int, float], machine: str
) -> Figure:
    """Draw multiply-adds and measured seconds against the number of tokens, with the slopes of the time."""
    drawn, (count_axes, time_axes) = figure(10, 3.8, columns=2)
    for (title, values), style in zip(counts.items(), ("s--", "o-"), strict=False):
        count_axes.plot(tokens, values, style, label=title)
    count_axes.set(ylabel="multiply-adds", title="counted")
    count_axes.legend(frameon=False)
    times = list(seconds.items())
    time_axes.plot(*zip(*times, strict=True), "o-", color=BLUE)
    for (n0, t0), (n1, t1) in pairwise(times):
        slope = math.log(t1 / t0) / math.log(n1 / n0)
        time_axes.annotate(
            f"N^{slope:.1f}",
            (math.sqrt(n0 * n1), math.sqrt(t0 * t1)),
            xytext=(-6, 6),
            textcoords="offset points",
            ha="right",
            fontsize=9,
        )
    time_axes.set(ylabel="seconds", title=f"measured on {machine}")
    for axes in (count_axes, time_axes):
        axes.set(xlabel="tokens N", xscale="log", yscale="log")
        axes.set_xticks(tokens, [f"{n:,}" for n in tokens], rotation=30)
        axes.minorticks_off()
    return drawn
