"""The drawings of chapter 3."""

import math
from itertools import product
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.common import lightness, pixels, window_lines
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
    hatch,
    mark,
    picture,
)

Place = tuple[int, int]


def window_zoom(image: Tensor, patch: int, window: int, place: Place) -> Figure:
    """Draw an image `(3, H, W)` in windows, the window of the token at `place`, and that token's patch."""
    drawn, (whole, one_window, one_patch) = figure(10, 3.7, columns=3)
    height, width = (size // patch for size in image.shape[1:])
    row, column = place
    top, left, side = row // window * window * patch, column // window * window * patch, window * patch
    picture(
        whole,
        pixels(image),
        f"map: {height} × {width} tokens, {height // window * (width // window)} windows",
    )
    window_lines(whole, height * patch, width * patch, side)
    mark(whole, left, top, side, side)
    picture(
        one_window,
        pixels(image[:, top : top + side, left : left + side]),
        f"window: {window} × {window} tokens = {side} × {side} pixels",
    )
    grid(one_window, side, side, patch, linewidth=1.2, zorder=0.5)
    mark(one_window, column * patch - left, row * patch - top, patch, patch)
    square = image[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch]
    picture(one_patch, pixels(square), f"patch: {patch} × {patch} pixels, one token")
    grid(one_patch, patch, patch, 1, linewidth=1.2)
    return drawn


def window_grids(image: Tensor, window: int, tokens: list[int]) -> Figure:
    """Draw an image `(3, H, H)` in windows, once for each number of tokens a side; the last window marked."""
    drawn, axes = figure(10, 3.1, columns=len(tokens))
    for axis, count in zip(axes, tokens, strict=True):
        side = image.shape[1] * window // count
        windows = "1 window" if count == window else f"{(count // window) ** 2} windows"
        picture(axis, pixels(image), f"{count} × {count} tokens\n{windows} of {side} × {side} px")
        window_lines(axis, image.shape[1], image.shape[1], side)
        corner = image.shape[1] - side
        inside = np.linspace(corner, image.shape[1], window + 1)
        axis.vlines(inside, corner, image.shape[1], color=PAPER, linewidth=0.6, zorder=0.5)
        axis.hlines(inside, corner, image.shape[1], color=PAPER, linewidth=0.6, zorder=0.5)
        mark(axis, corner, corner, side, side)
    return drawn


def toy_windows(maps: Tensor, windows: Tensor) -> Figure:
    """Draw numbered maps `(B, 4, 4)` in windows of 2 × 2, and the windows as rows `(B·4, 4)`, lettered."""
    colors, letters = (BLUE, ORANGE, GREEN, PURPLE), "ABCDEFGHIJKL"
    drawn, axes = figure(9, 3.6, columns=len(maps) + 1)
    for image, axis in enumerate(axes[:-1]):
        for y in range(4):
            for x in range(4):
                numbered_cell(axis, x, y, int(maps[image, y, x]), colors[2 * (y // 2) + x // 2])
        for index in range(4):
            letter(axis, 2 * (index % 2) + 1, 2 * (index // 2) + 1, letters[4 * image + index], colors[index])
        axis.set(
            xlim=(-0.1, 4.1), ylim=(4.1, -0.1), aspect="equal", title=f"image {image + 1}: 4 windows of 2 × 2"
        )
    for index, row in enumerate(windows.tolist()):
        for x, number in enumerate(row):
            numbered_cell(axes[-1], x, index, number, colors[index % 4])
        letter(axes[-1], -0.5, index + 0.5, letters[index], colors[index % 4])
    axes[-1].set(xlim=(-1, 4.1), ylim=(len(windows) + 0.1, -0.1), aspect="equal")
    axes[-1].set_title(f"one batch of {len(windows)} windows")
    for axis in axes:
        axis.axis("off")
    return drawn


def numbered_cell(axes: Axes, x: float, y: float, number: int, color: str) -> None:
    """Draw a pale unit square with a number."""
    box(axes, x, y, 1, 1, fill=True, facecolor=color + "66", edgecolor=PAPER)
    axes.text(x + 0.5, y + 0.5, str(number), ha="center", va="center", fontsize=10)


def letter(axes: Axes, x: float, y: float, text: str, color: str) -> None:
    """Write a letter in a white circle with an edge of the given colour."""
    circle = {"boxstyle": "circle", "fc": PAPER, "ec": color}
    axes.text(x, y, text, ha="center", va="center", weight="bold", fontsize=9, bbox=circle)


def window_batch(windows: Tensor) -> Figure:
    """Draw windows of pixels `(nW, H, H, 3)` in their order, 16 in a row, each with its number, from 0."""
    drawn, axes = figure(
        10, 0.68 * math.ceil(len(windows) / 16), columns=16, rows=math.ceil(len(windows) / 16)
    )
    for number, (axis, window) in enumerate(zip(axes, windows, strict=True)):
        picture(axis, window.cpu().numpy())
        plate = {"boxstyle": "round,pad=0.15", "fc": PAPER, "ec": "none"}
        axis.text(1, 1, str(number), va="top", fontsize=7, bbox=plate)
    return drawn


def pairs_to_scale(pairs: dict[int, tuple[int, int]]) -> Figure:
    """Draw, for each image side, the pairs of tokens globally and in windows as squares of that area."""
    drawn, (axes,) = figure(8.4, 4.6)
    largest = math.sqrt(max(everywhere for everywhere, _ in pairs.values()))
    left = 0.0
    for side, (everywhere, inside) in pairs.items():
        text: dict[str, Any] = {"fontsize": 9, "va": "bottom"}
        label = f"{side} px\nglobally {everywhere:,}\nin windows {inside:,}"
        axes.text(left, math.sqrt(everywhere) + 0.02 * largest, label, **text)
        for count, color, line in ((everywhere, ORANGE, "//"), (inside, BLUE, "")):
            size = math.sqrt(count)
            box(
                axes,
                left,
                0,
                size,
                size,
                fill=True,
                facecolor=color,
                hatch=line,
                edgecolor=PAPER,
                linewidth=0,
            )
            left += size + 0.02 * largest
        left += 0.2 * largest
    axes.set(xlim=(0, left - 0.2 * largest), ylim=(0, 1.2 * largest), aspect="equal")
    axes.axis("off")
    return drawn


def pair_tables(masks: dict[str, Tensor]) -> Figure:
    """Draw tables of pairs `(N, N)`, a row for each query, a column for each key; filled: may attend."""
    drawn, axes = figure(10, 3.7, columns=len(masks))
    for axis, (title, mask) in zip(axes, masks.items(), strict=True):
        count = len(mask)
        axis.imshow(mask.cpu().numpy(), ListedColormap(["#e8e8e8", BLUE]), extent=(0, count, count, 0))
        axis.set(title=title, xlabel="key", ylabel="query", xticks=[0, count], yticks=[0, count])
    return drawn


def key_sets(masks: dict[str, Tensor], size: int, queries: list[Place]) -> Figure:
    """Draw, for masks `(N, N)` on a square map of `size` tokens, what three queries see as a frame each."""
    drawn, axes = figure(8.4, 4.2, columns=len(masks))
    styles = list(zip((BLUE, ORANGE, GREEN), ("-", "--", ":"), "abc", strict=True))
    for axis, (title, mask) in zip(axes, masks.items(), strict=True):
        grid(axis, size, size, 1, color="#c8c8c8", linewidth=0.6)
        for index, ((row, column), (color, line, name)) in enumerate(zip(queries, styles, strict=True)):
            keys = np.argwhere(mask[row * size + column].reshape(size, size).cpu().numpy())
            (top, left), (bottom, right) = keys.min(0).tolist(), (keys.max(0) + 1).tolist()
            inset = 0.07 * (index + 1)  # frames of equal sets lie inside each other
            frame = (left + inset, top + inset, right - left - 2 * inset, bottom - top - 2 * inset)
            box(
                axis,
                *frame,
                fill=True,
                facecolor=color + "22",
                edgecolor=color,
                linestyle=line,
                linewidth=2.4,
            )
            letter(axis, column + 0.5, row + 0.5, name, color)
        sets = len(mask.unique(dim=0))
        axis.set(xlim=(-0.1, size + 0.1), ylim=(size + 0.1, -0.1), aspect="equal")
        axis.set_title(f"{title}: {sets} sets of keys for {size * size} queries")
        axis.axis("off")
    return drawn


def reached_tokens(image: Tensor, window: int, reached: dict[str, Tensor], place: Place) -> Figure:
    """Draw an image `(3, H, H)`, bright where a map `(n, n)` is not 0; mark the token at `place`."""
    drawn, axes = figure(10, 3.9, columns=len(reached))
    for axis, (title, gradient) in zip(axes, reached.items(), strict=True):
        token = image.shape[1] // len(gradient)
        bright = gradient.cpu().numpy() != 0
        light = lightness(bright, token, 0.35)
        picture(axis, pixels(image) * light, f"{title}: {bright.sum():,} tokens")
        window_lines(axis, image.shape[1], image.shape[1], window * token)
        mark(axis, place[1] * token, place[0] * token, token, token, linewidth=1)
    return drawn


def cost_against_side(
    counts: dict[str, dict[int, float]], seconds: dict[str, dict[int, float]], machine: str
) -> Figure:
    """Draw multiply-adds and measured seconds against the image side, with the exponent of the last step."""
    drawn, axes = figure(10, 4.1, columns=2)
    for axis, series in zip(axes, (counts, seconds), strict=True):
        for title, style in zip(counts, ("o-", "s--"), strict=True):
            values = series[title]
            axis.plot(list(values), list(values.values()), style, label=title)
            (side, cost), (last, highest) = list(values.items())[-2:]
            power = math.log(highest / cost) / math.log(last / side)
            place: dict[str, Any] = {"xytext": (-8, 4), "textcoords": "offset points", "ha": "right"}
            axis.annotate(f"side^{power:.1f}", (math.sqrt(side * last), math.sqrt(cost * highest)), **place)
        sides = sorted({side for values in series.values() for side in values})
        axis.set(xlabel="image side, pixels", xscale="log", yscale="log")
        axis.set_xticks(sides, [str(side) for side in sides])
        axis.minorticks_off()
        axis.legend(frameon=False, loc="upper left")
    axes[0].set(title="counted", ylabel="multiply-adds of one layer")
    axes[1].set(title=f"measured once:\n{machine}", ylabel="seconds of one layer")
    return drawn


def cost_shares(panels: dict[str, dict[str, tuple[int, int]]]) -> Figure:
    """Draw multiply-adds as bars, linear layers and pairs apart: a panel for each title, a bar a name."""
    drawn, axes = figure(10, 3.9, columns=len(panels))
    for axis, (title, bars) in zip(axes, panels.items(), strict=True):
        linear, pairs = np.array(list(bars.values())).T / 1e6
        axis.barh(list(bars), linear, color=BLUE, label="four linear layers")
        axis.barh(
            list(bars), pairs, left=linear, color=ORANGE, hatch="//", edgecolor=PAPER, label="pairs of tokens"
        )
        for y, (layers, of_pairs) in enumerate(zip(linear, pairs, strict=True)):
            share = of_pairs / (layers + of_pairs)
            axis.text(
                layers + of_pairs, y, f"  {100 * share:.0f} % pairs", va="center", color=INK, fontsize=9
            )
        axis.set(title=title, xlabel="million multiply-adds", xlim=(0, 1.3 * (linear + pairs).max()))
        axis.invert_yaxis()
    handles, names = axes[0].get_legend_handles_labels()
    drawn.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    return drawn


def padded_windows(image: Tensor, patch: int, window: int, ratios: list[float]) -> Figure:
    """Draw an image `(3, H, W)` in windows, the padding hatched, and ratios for maps of side 1, 2, …"""
    drawn, (left, right) = figure(10, 4, columns=2, width_ratios=[1, 1.5])
    height, width = (size // patch for size in image.shape[1:])
    full_height, full_width = (math.ceil(size / window) * window for size in (height, width))
    picture(left, pixels(image), f"{height} × {width} tokens, padded to {full_height} × {full_width}")
    window_lines(left, full_height * patch, full_width * patch, window * patch)
    hatch(left, width * patch, 0, (full_width - width) * patch, full_height * patch)
    hatch(left, 0, height * patch, width * patch, (full_height - height) * patch)
    left.set(xlim=(-1, full_width * patch + 1), ylim=(full_height * patch + 1, -1))
    right.axhline(1, color=MUTED, linewidth=1)
    right.plot(range(1, len(ratios) + 1), ratios, ".-", color=BLUE, linewidth=1)
    for side in (window + 1, 2 * window + 1, 8 * window + 1):
        above: dict[str, Any] = {"xytext": (2, 7), "textcoords": "offset points"}
        right.annotate(f"side {side}: × {ratios[side - 1]:.2f}", (side, ratios[side - 1]), **above)
    right.set(title=f"tokens after padding / tokens before, M = {window}", xlabel="side of the map, tokens")
    right.set(yscale="log", xticks=range(0, len(ratios) + 1, window), yticks=[1, 2, 5, 10, 50])
    right.set_yticklabels(["1", "2", "5", "10", "50"])
    right.minorticks_off()
    return drawn


def weights_on_padding(window: Tensor, weights: Tensor, real: Tensor) -> Figure:
    """Draw a window `(3, H, H)` and the weights `(M, M)` of its keys, in per cent; hatched: not `real`."""
    drawn, (left, right) = figure(7.2, 3.7, columns=2)
    count = len(real)
    picture(left, pixels(window), "the last window, padding hatched")
    token = window.shape[1] // count
    grid(left, window.shape[1], window.shape[1], token, color=MUTED)
    picture(right, weights.cpu().numpy(), "weight of each key, per cent")
    right.images[0].set_clim(0, weights.max().item())
    for row, column in product(range(count), repeat=2):
        text: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 9}
        right.text(column + 0.5, row + 0.5, f"{100 * weights[row, column]:.1f}", **text)
        if not real[row, column]:
            hatch(left, column * token, row * token, token, token)
    return drawn
