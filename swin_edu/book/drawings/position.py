"""The drawings of chapter 5."""

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from swin_edu.book.drawings.common import pixels
from swin_edu.book.style import (
    BLUE,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    SIGNED,
    figure,
    grid,
    hatch,
    mark,
    picture,
)

Place = tuple[int, int]


def table_cuts(image: Tensor, table: Tensor, queries: list[Place]) -> Figure:
    """Draw, for each query, its cut of a table `(2M - 1, 2M - 1)`, the cut turned round, and its attention.

    The attention is that of equal keys on a photograph `(3, H, H)` that one window of M × M tokens covers.
    """
    drawn, axes = figure(7.8, 2.6 * len(queries) + 0.1, columns=3, rows=len(queries))
    window = (len(table) + 1) // 2
    for index, (row, column) in enumerate(queries):
        whole, turned, photograph = axes[3 * index : 3 * index + 3]
        cut = table[row : row + window, column : column + window]
        bias = cut.flip(0, 1)
        size = 2 * window - 1
        signed(whole, table, f"the table, {size} × {size}, and one cut")
        mark(whole, column, row, window, window)
        signed(turned, bias, f"turned round: row {row}, column {column}", limit=table.abs().max().item())
        mark(turned, column, row, 1, 1)
        corners = (0.5, window - 0.5)
        for letter, (y, x) in zip("ABCD", [(y, x) for y in corners for x in corners], strict=True):
            for place, at in ((whole, (column + x, row + y)), (turned, (window - x, window - y))):
                place.text(*at, letter, ha="center", va="center", weight="bold", fontsize=9, bbox=PLATE)
        lit_up(photograph, image, bias.flatten().softmax(0).view(window, window), (row, column))
        photograph.set_title("its attention, all keys alike")
        for place in (whole, turned, photograph):
            for outline in place.patches:
                outline.set_clip_on(False)  # those at the border would be cut in half
    return drawn


PLATE = {"boxstyle": "circle,pad=0.15", "fc": PAPER, "ec": MUTED, "lw": 0.6}


def signed(axes: Axes, values: Tensor, title: str, limit: float | None = None) -> None:
    """Draw a map `(H, W)` of values with a sign, cell by cell."""
    picture(axes, values.detach().cpu().numpy(), title)
    limit = limit or float(values.abs().max())
    axes.images[0].set(cmap=SIGNED, clim=(-limit, limit))
    grid(axes, values.shape[0], values.shape[1], 1, color=MUTED, linewidth=0.3)


def lit_up(axes: Axes, image: Tensor, weights: Tensor, query: Place) -> None:
    """Draw an image `(3, H, H)` as bright as the weights `(M, M)` of its tokens; write the largest."""
    window, side = len(weights), image.shape[1]
    size = side / window
    share = (weights / weights.max()).detach().cpu()
    token = torch.arange(side) * window // side
    light = 0.3 + 0.7 * share[token][:, token]
    picture(axes, pixels(image * light))
    grid(axes, side, side, size, linewidth=0.4, alpha=0.6)
    mark(axes, query[1] * size, query[0] * size, size, size)
    y, x = divmod(int(weights.argmax()), window)
    text = f"{100 * weights.max():.0f} %"
    axes.text((x + 0.5) * size, (y + 0.5) * size, text, ha="center", va="center", fontsize=7, bbox=LABEL)


LABEL = {"boxstyle": "round,pad=0.15", "fc": PAPER, "ec": "none", "alpha": 0.85}


def attention_on_photograph(image: Tensor, weights: dict[str, Tensor], query: Place) -> Figure:
    """Draw an image `(3, H, H)` for each attention map `(M, M)` of one query: brighter for more weight."""
    width = min(9.2, 3 * len(weights))
    drawn, axes = figure(width, width / len(weights) + 0.3, columns=len(weights))
    for place, (title, shares) in zip(axes, weights.items(), strict=True):
        lit_up(place, image, shares, query)
        place.set_title(title)
    return drawn


def shuffled_window(image: Tensor, order: Tensor, weights: Tensor, after: Tensor, token: int) -> Figure:
    """Draw an image as M × M tokens and in another order, and the weights `(N, N)` of one token in both."""
    drawn, axes = figure(9, 2.6, columns=4)
    window = round(len(order) ** 0.5)
    size = image.shape[1] // window
    squares = image.unfold(1, size, size).unfold(2, size, size).flatten(1, 2)  # (3, N, size, size)
    moved = squares[:, order].unflatten(1, (window, window)).permute(0, 1, 3, 2, 4).reshape(image.shape)
    new = int((order == token).nonzero())
    highest = weights[token].max().item()
    panels = (("49 tokens", image, weights[token], token), ("the same, shuffled", moved, after[new], new))
    for (title, shown, row, place), (left, right) in zip(panels, (axes[:2], axes[2:]), strict=True):
        y, x = divmod(place, window)
        picture(left, pixels(shown), f"{title}; one is marked")
        grid(left, image.shape[1], image.shape[1], size)
        mark(left, x * size, y * size, size, size)
        picture(right, row.detach().cpu().view(window, window).numpy(), "where it attends")
        right.images[0].set_clim(0, highest)
        mark(right, x, y, 1, 1)
    return drawn


def same_offset(pairs: dict[Place, list[tuple[Place, Place]]], window: int) -> Figure:
    """Draw all pairs of a window that share an offset, as arrows from query to key, for each offset."""
    drawn, axes = figure(3.2 * len(pairs), 3.4, columns=len(pairs))
    for place, (offset, arrows) in zip(axes, pairs.items(), strict=True):
        place.plot(*np.indices((window, window)).reshape(2, -1), "o", color=MUTED, markersize=4)
        for (y, x), (key_y, key_x) in arrows:
            style: dict[str, Any] = {"arrowstyle": "->", "color": BLUE, "shrinkA": 2, "shrinkB": 2}
            place.annotate("", (key_x, key_y), (x, y), arrowprops=style)
        place.set(xlim=(-0.6, window - 0.4), ylim=(window - 0.4, -0.6), aspect="equal")
        place.set(xticks=range(window), yticks=range(window))
        count = f"{len(arrows)} pair{'s' if len(arrows) > 1 else ''}"
        place.set_title(f"offset {offset}: {count}".replace("-", "−"))
    axes[0].set_ylabel("row")
    for place in axes:
        place.set_xlabel("column")
    return drawn


def pair_numbers(steps: dict[str, Tensor]) -> Figure:
    """Draw small matrices `(N, N)` of whole numbers, a row for each query and a column for each key."""
    drawn, axes = figure(10, 2.5, columns=len(steps))
    for place, (title, numbers) in zip(axes, steps.items(), strict=True):
        picture(place, numbers.numpy(), title)
        bound = 2 * int(numbers.abs().max())  # pale enough for the numbers
        place.images[0].set(cmap=SIGNED, clim=(-bound, bound))
        for (y, x), number in np.ndenumerate(numbers.numpy()):
            place.text(x + 0.5, y + 0.5, str(number).replace("-", "−"), ha="center", va="center", fontsize=11)
        grid(place, len(numbers), len(numbers), 1)
    axes[0].axis("on")
    axes[0].set(xticks=[], yticks=[], xlabel="keys", ylabel="queries")
    return drawn


def pair_matrices(matrices: dict[str, Tensor]) -> Figure:
    """Draw matrices `(N, N)`, a row for each query and a column for each key, ruled every M tokens."""
    drawn, axes = figure(9, 9 / len(matrices) + 0.4, columns=len(matrices))
    for place, (title, matrix) in zip(axes, matrices.items(), strict=True):
        picture(place, matrix.detach().cpu().numpy(), title)
        grid(place, len(matrix), len(matrix), round(len(matrix) ** 0.5), linewidth=0.7)
        place.axis("on")
        place.set(xticks=[], yticks=[], xlabel=f"{len(matrix)} keys", ylabel=f"{len(matrix)} queries")
    return drawn


def offset_tables(tables: dict[str, Tensor]) -> Figure:
    """Draw tables `(2M - 1, 2M - 1)` over their offsets, to one scale; what is no number is hatched."""
    drawn, axes = figure(10, 10 / len(tables) + 0.5, columns=len(tables))
    limit = max(float(table.nan_to_num().abs().max()) for table in tables.values())
    for place, (title, table) in zip(axes, tables.items(), strict=True):
        farthest = len(table) // 2
        values = table.detach().cpu().numpy()
        edge = farthest + 0.5
        place.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit, extent=(-edge, edge, edge, -edge))
        for y, x in np.argwhere(np.isnan(values)) - farthest:
            hatch(place, x - 0.5, y - 0.5, 1, 1)
        place.set(xticks=[-farthest, 0, farthest], yticks=[-farthest, 0, farthest], xlabel="dx")
        place.set_title(title)
    axes[0].set_ylabel("dy")
    drawn.colorbar(axes[-1].images[0], ax=axes, shrink=0.7)
    return drawn


def use_counts(counts: Tensor) -> Figure:
    """Draw how many pairs use each entry of a table `(2M - 1, 2M - 1)`, with the numbers."""
    drawn, (axes,) = figure(5.6, 4.6)
    size = len(counts)
    farthest = size // 2
    axes.imshow(counts.numpy(), extent=(-farthest - 0.5, farthest + 0.5, farthest + 0.5, -farthest - 0.5))
    for (y, x), count in np.ndenumerate(counts.numpy()):
        color = INK if count > counts.max() / 2 else PAPER
        axes.text(x - farthest, y - farthest, str(count), ha="center", va="center", fontsize=8, color=color)
    ticks = range(-farthest, farthest + 1, 2)
    axes.set(xlabel="dx", ylabel="dy", xticks=ticks, yticks=ticks)
    axes.set_title(f"pairs of a window with each offset; all together {counts.sum():,}")
    return drawn


def curves(
    panels: dict[str, dict[str, tuple[Tensor, Tensor]]],
    xlabel: str,
    ylabel: str,
    known: int | None = None,
    logarithmic: bool = False,
) -> Figure:
    """Draw curves `(x, y)` by their names, panel by panel; a band marks the offsets up to `known`."""
    drawn, axes = figure(max(6.0, 1.4 + 2.9 * len(panels)), 3, columns=len(panels), sharey=True)
    styles = (("o-", INK, 5), ("s--", BLUE, 4), ("^:", ORANGE, 4))
    for place, (title, lines) in zip(axes, panels.items(), strict=True):
        for (name, (x, y)), (line, color, size) in zip(lines.items(), styles, strict=False):
            place.plot(x.numpy(), y.numpy(), line, color=color, markersize=size, linewidth=1, label=name)
        if known is not None:
            left = max(-known, int(x.min()))
            place.axvspan(left, known, color=MUTED, alpha=0.15, linewidth=0)
        if logarithmic:
            place.set_yscale("log")
            place.yaxis.set_major_formatter("{x:g}")
        place.set(xlabel=xlabel, title=title)
        place.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[0].set_ylabel(ylabel)
    axes[-1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    return drawn
