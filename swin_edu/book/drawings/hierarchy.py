"""The drawings of chapter 7."""

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.common import as_array, lightness, pixels
from swin_edu.book.drawings.shift import badge
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
    grid,
    hatch,
    mark,
    mosaic,
    picture,
)

NEIGHBOURS = (BLUE, ORANGE, GREEN, PURPLE)  # top left, bottom left, top right, bottom right: Swin's order
STRIDES = (4, 8, 16, 32)  # pixels from one token to the next in stages 1 to 4


def numbers(axes: Axes, values: Tensor, colors: list[str], x: float = 0, y: float = 0) -> None:
    """Write a table of numbers `(rows, columns)` into unit cells from (x, y), each in its colour."""
    for index, value in enumerate(values.flatten().tolist()):
        row, column = divmod(index, values.shape[1])
        fill = colors[index] + "66"
        box(axes, x + column, y + row, 1, 1, fill=True, facecolor=fill, edgecolor=PAPER)
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 10}
        axes.text(x + column + 0.5, y + row + 0.5, f"{value:g}", **style)


def object_sizes(image: Tensor, objects: dict[str, tuple[int, int, int, int]], window: int) -> Figure:
    """Draw objects as boxes (x, y, width, height) on a photograph, and their length in tokens by stage.

    The band holds the lengths from 2 tokens to a whole window.
    """
    drawn, (left, right) = figure(9.6, 4, columns=2, width_ratios=[1, 1.35])
    picture(left, pixels(image), "objects of four sizes")
    stages = range(1, len(STRIDES) + 1)
    right.axhspan(2, window, color=BLUE, alpha=0.18, linewidth=0)
    right.text(-0.6, 2.15, f"band: 2 to {window} tokens", color=MUTED)
    for letter, style, (name, (x, y, width, height)) in zip(
        "ABCD", ("o-", "s--", "^-.", "D:"), objects.items(), strict=False
    ):
        box(left, x, y, width, height, edgecolor=PAPER, linewidth=3.6)
        box(left, x, y, width, height, edgecolor=INK, linewidth=1.6)
        badge(left, x + width, y + height, letter)
        longest = max(width, height)
        lengths = [longest / stride for stride in STRIDES]
        right.plot(stages, lengths, style, markersize=5)
        right.text(0.93, lengths[0], f"{letter}  {name}, {longest} px", ha="right", va="center")
    right.set_yscale("log", base=2)
    right.set(xticks=stages, xlim=(-0.65, 4.1), xlabel="stage", yticks=[0.5, 1, 2, 4, 8, 16, 32])
    right.set_yticklabels(["½", "1", "2", "4", "8", "16", "32"])
    right.set_title("tokens along the longer side")
    right.spines["left"].set_visible(False)
    right.yaxis.tick_right()
    right.minorticks_off()
    return drawn


def toy_merge(x: Tensor, merged: Tensor) -> Figure:
    """Draw a numbered map `(4, 4)` and its merged tokens `(4, 4)`, one a row; a colour for each place."""
    drawn, (left, right) = figure(7.4, 2.9, columns=2)
    owners = [NEIGHBOURS[2 * (column % 2) + row % 2] for row in range(4) for column in range(4)]
    numbers(left, x, owners)
    numbers(right, merged, list(NEIGHBOURS) * 4)
    for index, letter in enumerate("ABCD"):
        row, column = divmod(index, 2)
        box(left, 2 * column, 2 * row, 2, 2, edgecolor=INK, linewidth=1.5)
        badge(left, 2 * column + 1, 2 * row + 1, letter)
        badge(right, -0.5, index + 0.5, letter)
        box(right, 0, index, 4, 1, edgecolor=INK, linewidth=1.5)
    for place, name in enumerate(("top\nleft", "bottom\nleft", "top\nright", "bottom\nright")):
        right.text(place + 0.5, 4.12, name, ha="center", va="top", fontsize=8)
    for axes, title in ((left, "16 tokens, one number each"), (right, "4 tokens, four numbers each")):
        axes.set(xlim=(-0.9, 4.1), ylim=(4.9, -0.1), aspect="equal", title=title)
        axes.axis("off")
    return drawn


def merge_orders(tokens: Tensor, orders: dict[str, list[int]]) -> Figure:
    """Draw a map `(2, 2, C)` of numbered channels, and the order in which each method joins the numbers."""
    channels = tokens.shape[-1]
    drawn, (left, right) = figure(9, 2.6, columns=2, width_ratios=[1, 2.3])
    colors: dict[int, str] = {}
    for place, (column, row) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):  # down first
        cells = tokens[row, column]
        colors |= dict.fromkeys(cells.tolist(), NEIGHBOURS[place])
        numbers(left, cells[None], [NEIGHBOURS[place]] * channels, column * (channels + 0.2), row * 1.2)
    for row, (name, order) in enumerate(orders.items()):
        for place, number in enumerate(order):
            numbers(right, tokens.new_tensor([[number]]), [colors[number]], place, 1.25 * row)
        right.text(-0.3, 1.25 * row + 0.5, name, ha="right", va="center")
    left.set(xlim=(-0.2, 2 * channels + 0.4), ylim=(2.4, -0.2), title=f"2 × 2 tokens of {channels} channels")
    right.set(xlim=(-4.6, 4 * channels + 0.1), ylim=(1.25 * len(orders), -0.2), title="joined to one row")
    for axes in (left, right):
        axes.set_aspect("equal")
        axes.axis("off")
    return drawn


def merging_on_photo(image: Tensor, tokens: Tensor, merged: Tensor, row: int, column: int) -> Figure:
    """Draw four neighbours of a map `(H, W, C)`, their vectors in Swin's order, and the token they become.

    `row` and `column` count tokens of `merged`, `(H/2, W/2, 2C)`.
    """
    pattern = [["photo", *[f"vector {place}" for _ in "ab"], "merged"] for place in range(4)]
    drawn, axes = mosaic(9.8, 3.6, pattern, width_ratios=[1.5, 1, 1, 2])
    patch, around = image.shape[1] // tokens.shape[0], 3  # tokens on each side of the four
    top, left = 2 * row - around, 2 * column - around
    size = 2 * around + 2
    cut = image[:, top * patch : (top + size) * patch, left * patch : (left + size) * patch]
    picture(axes["photo"], pixels(cut), f"{size} × {size} tokens of the photograph")
    grid(axes["photo"], size * patch, size * patch, patch, linewidth=0.5)
    mark(axes["photo"], around * patch, around * patch, 2 * patch, 2 * patch)
    for place, (right, down) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        x, y = (around + right + 0.5) * patch, (around + down + 0.5) * patch
        badge(axes["photo"], x, y, str(place + 1))
        vector = tokens[2 * row + down, 2 * column + right]
        title = f"joined: {4 * vector.numel()} numbers" if place == 0 else ""
        signed_vector(axes[f"vector {place}"], vector, title)
        badge(axes[f"vector {place}"], -1.4, 2, str(place + 1))
    token = merged[row, column]
    signed_vector(axes["merged"], token, f"norm and linear layer: {token.numel()}")
    return drawn


def signed_vector(axes: Axes, vector: Tensor, title: str) -> None:
    """Draw a vector as rows of 24 numbers, from blue at -3 over white to orange at 3."""
    picture(axes, vector.detach().cpu().reshape(-1, 24).numpy(), title)
    axes.images[0].set(cmap=SIGNED, clim=(-3, 3))
    axes.set_aspect("auto")
    box(axes, 0, 0, 24, vector.numel() // 24, edgecolor=MUTED, linewidth=0.8)


def padded_map(padded: Tensor, height: int, width: int) -> Figure:
    """Draw a numbered map `(H, W)` after padding; `height` × `width` tokens were there before."""
    drawn, (axes,) = figure(4.2, 3.4)
    rows, columns = padded.shape
    numbers(axes, padded, [MUTED] * padded.numel())
    hatch(axes, width, 0, columns - width, rows)
    hatch(axes, 0, height, width, rows - height)
    for row in range(0, rows, 2):
        for column in range(0, columns, 2):
            box(axes, column, row, 2, 2, edgecolor=INK, linewidth=1.6)
    title = f"{height} × {width} tokens and hatched zeros: {rows // 2} × {columns // 2} merged"
    axes.set(xlim=(-0.1, columns + 0.1), ylim=(rows + 0.1, -0.1), aspect="equal", title=title)
    axes.axis("off")
    return drawn


def pooled_patterns(patterns: dict[str, tuple[Tensor, ...]], columns: list[str]) -> Figure:
    """Draw, for each pattern, maps `(H, W)` of values from 0 to 1 and vectors `(4,)`, under `columns`."""
    drawn, axes = figure(8, 4.6, columns=len(columns), rows=len(patterns))
    for row, (name, maps) in enumerate(patterns.items()):
        for column, (title, values) in enumerate(zip(columns, maps, strict=True)):
            place = axes[row * len(columns) + column]
            table = values if values.ndim == 2 else values[None]
            picture(place, table.numpy(), title if row == 0 else "")
            place.images[0].set_clim(0, 1)
            grid(place, table.shape[0], table.shape[1], 1, color=MUTED, linewidth=0.8)
            for index, value in enumerate(table.flatten().tolist()):
                y, x = divmod(index, table.shape[1])
                color = INK if value > 0.4 else PAPER
                place.text(x + 0.5, y + 0.5, f"{value:g}", ha="center", va="center", color=color, fontsize=9)
        axes[row * len(columns)].text(-0.25, 2, name, ha="right", va="center")
    return drawn


def stage_costs(costs: dict[str, list[float]]) -> Figure:
    """Draw multiply-adds of one block, in millions, against the stage, a line for each entry."""
    drawn, (axes,) = figure(8.6, 3.3)
    for (name, values), style in zip(costs.items(), ("o-", "s--", "^-.", "D:"), strict=False):
        axes.plot(range(1, 5), values, style)
        lowest = values[-1] == min(line[-1] for line in costs.values())
        axes.text(4.1, values[-1], f"{name}: {values[-1]:,.1f}", va="top" if lowest else "bottom")
    axes.set_yscale("log")
    axes.set(xticks=range(1, 5), xlim=(0.9, 6.3), xlabel="stage")
    axes.set_ylabel("millions of multiply-adds\nof one block")
    axes.set_yticks([1, 10, 100, 1000, 10_000], ["1", "10", "100", "1,000", "10,000"])
    axes.minorticks_off()
    return drawn


def groupings(ways: dict[str, list[list[str]]]) -> Figure:
    """Draw the same layers in a row, once for each way to group them: M merging, W and S blocks."""
    drawn, axes = figure(9.6, 1.25 * len(ways), rows=len(ways))
    for axis, (title, groups) in zip(axes, ways.items(), strict=True):
        x = 0.0
        for number, group in enumerate(groups, 1):
            start = x
            for name in group:
                color = ORANGE if name == "M" else BLUE
                box(axis, x, 0, 1, 1, fill=True, facecolor=color + "66", edgecolor=PAPER)
                axis.text(x + 0.5, 0.5, name, ha="center", va="center")
                x += 1
            box(axis, start + 0.04, -0.12, x - start - 0.08, 1.24, edgecolor=INK, linewidth=1.6)
            axis.text((start + x) / 2, 1.24, str(number), ha="center", va="top", weight="bold")
        axis.set(xlim=(-0.1, x + 0.1), ylim=(1.9, -0.3), title=title)
        axis.axis("off")
    return drawn


def pyramid_maps(maps: list[Tensor]) -> Figure:
    """Draw one channel of each stage's map `(H, W, C)`, each to its own scale of values."""
    drawn, axes = figure(10, 2.9, columns=len(maps))
    for stage, (axis, x) in enumerate(zip(axes, maps, strict=True), 1):
        height, width, channels = x.shape
        title = f"stage {stage}: {height} × {width} × {channels}\na token every {STRIDES[stage - 1]} px"
        picture(axis, x[..., 0].detach().cpu().numpy(), title)
    return drawn


def who_hears_whom(matrices: dict[str, Tensor], side: int) -> Figure:
    """Draw matrices `(tokens, tokens)` of 0 and 1, dark for 1; lines part the rows of a map `side` wide."""
    drawn, axes = figure(10, 2.9, columns=len(matrices))
    for axis, (title, matrix) in zip(axes, matrices.items(), strict=True):
        count = len(matrix)
        picture(axis, 1 - matrix.cpu().numpy(), f"{title}: {100 * matrix.mean().item():.0f} %")
        axis.images[0].set(cmap="gray", clim=(-0.25, 1))
        grid(axis, count, count, side, color=MUTED, linewidth=0.4)
    axes[0].axis("on")
    axes[0].set(xticks=[], yticks=[], xlabel="heard of: 64 tokens", ylabel="who hears: 64 tokens")
    return drawn


def reach_panels(
    image: Tensor, rows: dict[str, list[Tensor]], blocks: list[int], place: tuple[int, int], depths: list[int]
) -> Figure:
    """Draw which patches reach the token that covers patch `place`: a row of panels for each entry of `rows`.

    Each entry holds a map `(H, W)` of True and False for each of `blocks`; what does not reach is dark.
    """
    drawn, axes = figure(10, 1.95 * len(rows), columns=len(blocks), rows=len(rows))
    sides: dict[int, int] = {}  # of the token after each block, in patches
    for stage, depth in enumerate(depths):
        sides |= dict.fromkeys(range(len(sides) + 1, len(sides) + depth + 1), 2**stage)
    for index, (axis, reached) in enumerate(zip(axes, sum(rows.values(), []), strict=True)):
        block = blocks[index % len(blocks)]
        patch = image.shape[1] // reached.shape[0]
        light = lightness(as_array(reached), patch, 0.3)
        share = f"{100 * reached.float().mean().item():.2f} %"
        picture(axis, pixels(image) * light, f"block {block}: {share}" if index < len(blocks) else share)
        side = sides[block]
        y, x = (side * (value // side) * patch for value in place)
        mark(axis, x, y, side * patch, side * patch, linewidth=1.2)
    for row, name in enumerate(rows):
        axes[row * len(blocks)].text(-12, image.shape[1] / 2, name, ha="right", va="center", rotation=90)
    return drawn


def reach_curve(shares: dict[str, list[float]], depths: list[int]) -> Figure:
    """Draw per cent of the patches that reach a token after each block, a line for each entry."""
    drawn, (axes,) = figure(9, 3.4)
    first = 0.5
    for stage, depth in enumerate(depths, 1):
        if stage % 2 == 0:
            axes.axvspan(first, first + depth, color=MUTED, alpha=0.13, linewidth=0)
        axes.text(first + depth / 2, 107, f"stage {stage}", ha="center", color=MUTED)
        first += depth
    for (name, values), style, color in zip(
        shares.items(), ("o-", "o--", "s-"), (BLUE, BLUE, ORANGE), strict=True
    ):
        axes.plot(range(len(values)), values, style, color=color, label=name, markersize=5)
    axes.set(xticks=range(len(values)), xlim=(-0.3, first), ylim=(-3, 118), xlabel="after block")
    axes.set_ylabel("% of the patches")
    axes.set_yticks([0, 25, 50, 75, 100])
    axes.legend(loc="center", bbox_to_anchor=(0.62, 0.44))
    return drawn


def gradient_and_reach(image: Tensor, gradient: Tensor, reached: Tensor) -> Figure:
    """Draw the photograph with the reached pixels bright, and the gradient's size `(H, W)` on a log scale.

    Where the gradient is exactly 0, the right picture is hatched.
    """
    drawn, (left, right) = figure(8.2, 3.8, columns=2)
    light = np.where(reached.cpu().numpy(), 1.0, 0.3)[..., None]
    picture(left, pixels(image) * light, f"by names: {int(reached.sum()):,} pixels reach the token")
    size = gradient.detach().cpu().numpy()
    zero = size == 0
    hatch(right, 0, 0, *size.shape[::-1])
    picture(right, np.ma.masked_where(zero, np.log10(np.where(zero, 1, size))))
    right.images[0].set(cmap=mpl.colormaps["cividis"].resampled(6), clim=(-6, 0), zorder=3)
    right.set_title(f"by derivatives: {int((~zero).sum()):,} are not 0")
    bar = drawn.colorbar(right.images[0], ax=right, shrink=0.8, ticks=[-6, -4, -2, 0])
    bar.ax.set_yticklabels(["≤ 10⁻⁶", "10⁻⁴", "10⁻²", "1"])
    return drawn
