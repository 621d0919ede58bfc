"""Drawings of the checks and the assignments."""

from itertools import product
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from swin_edu.book.drawings.common import as_array, coloured, lightness, pixels, window_lines
from swin_edu.book.drawings.position import lit_up
from swin_edu.book.drawings.shift import badge, cuts
from swin_edu.book.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    box,
    figure,
    grid,
    hatch,
    mark,
    mosaic,
    picture,
)

Rows = list[list[float]]
Place = tuple[int, int]
Vector = tuple[float, float]
MOST_NUMBERS = 100  # cells of a map that still have room for their numbers


def target_and_yours(target: Rows, yours: Rows, wrong: list[list[int]]) -> Figure:
    """Draw two maps of numbers on one scale; orange frames mark the wrong places (row, column) of yours."""
    maps = [np.array(rows) for rows in (target, yours)]
    finite = np.concatenate([values[np.isfinite(values)] for values in maps])
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    widest, highest = (max(values.shape[axis] for values in maps) for axis in (1, 0))
    drawn, axes = figure(*size_of_panels(widest, highest), columns=2)
    for place, values, title in zip(axes, maps, ("target", "yours"), strict=True):
        picture(place, values, title)
        place.images[0].set_clim(low, high)
        if values.size <= MOST_NUMBERS:
            write_numbers(place, values, (low + high) / 2)
    for row, column in wrong:
        box(axes[1], column + 0.04, row + 0.04, 0.92, 0.92, edgecolor=ORANGE, linewidth=1.5)
    return drawn


def size_of_panels(columns: int, rows: int) -> tuple[float, float]:
    """Return width and height in inches of two panels side by side whose cells are square."""
    cell = min(0.5, 3.6 / columns, 3.6 / rows)
    return 2 * max(0.8, cell * columns) + 0.2, cell * rows + 0.3


def write_numbers(axes: Axes, values: np.ndarray, middle: float) -> None:
    """Write each number into its cell, light on dark and dark on light."""
    for (row, column), value in np.ndenumerate(values):
        color = INK if value > middle else PAPER
        axes.text(
            column + 0.5,
            row + 0.5,
            f"{value:.3g}",
            color=color,
            ha="center",
            va="center",
            size=7 if len(values[0]) > 5 else 9,
        )


def number(axes: Axes, row: float, column: float, text: str, size: float = 1, fontsize: int = 8) -> None:
    """Write a number into a square cell of a picture, on a plate."""
    plate = {"boxstyle": "round,pad=0.12", "fc": PAPER, "ec": "none", "alpha": 0.85}
    x, y = (column + 0.5) * size, (row + 0.5) * size
    axes.text(x, y, text, ha="center", va="center", fontsize=fontsize, bbox=plate)


def patch_in_planes(image: Tensor, patch: int, place: Place) -> Figure:
    """Draw one patch of an image `(3, H, W)` as its three colours; numbers tell the order in its vector."""
    drawn, axes = figure(10, 2.7, columns=4)
    top, left = (index * patch for index in place)
    picture(axes[0], pixels(image), "one patch")
    mark(axes[0], left, top, patch, patch)
    square = image[:, top : top + patch, left : left + patch]
    for plane, (axis, name) in enumerate(zip(axes[1:], ("red", "green", "blue"), strict=True)):
        first = plane * patch**2
        picture(axis, as_array(square[plane]), f"{name}: {first} to {first + patch**2 - 1}")
        axis.images[0].set_clim(0, 1)
        for row, column in product(range(patch), repeat=2):
            number(axis, row, column, str(first + row * patch + column))
    return drawn


def numbered_windows(image: Tensor, patch: int, height: int, width: int, chosen: int) -> Figure:
    """Draw an image `(3, H, W)` in numbered windows of `height` × `width` tokens, and one with its tokens."""
    drawn, (whole, single) = figure(9, 3.6, columns=2)
    per_row = image.shape[2] // (patch * width)
    picture(whole, pixels(image), f"windows of {height} × {width} tokens, row by row")
    corners = product(range(0, image.shape[1], height * patch), range(0, image.shape[2], width * patch))
    for index, (top, left) in enumerate(corners):
        box(whole, left, top, width * patch, height * patch)
        badge(whole, left + width * patch / 2, top + height * patch / 2, str(index))
    row, column = divmod(chosen, per_row)
    top, left = row * height * patch, column * width * patch
    mark(whole, left, top, width * patch, height * patch)
    square = image[:, top : top + height * patch, left : left + width * patch]
    picture(single, pixels(square), f"window {chosen}: its tokens, row by row")
    grid(single, height * patch, width * patch, patch)
    for place, (row, column) in enumerate(product(range(height), range(width))):
        number(single, row, column, str(place), patch)
    return drawn


def spread_group(image: Tensor, patch: int, window: int, first: Place) -> Figure:
    """Draw the window of the token at `first`, and the spread group of tokens that starts there."""
    drawn, axes = figure(8, 4, columns=2)
    height, width = (size // patch for size in image.shape[1:])
    corner = [index // window * window for index in first]
    panels = {
        "a window: neighbours": (corner, (1, 1)),
        "a group: far apart": (first, (height // window, width // window)),
    }
    for axis, (title, (start, steps)) in zip(axes, panels.items(), strict=True):
        inside = np.zeros((height, width))
        tokens = [
            (start[0] + row * steps[0], start[1] + column * steps[1])
            for row, column in product(range(window), repeat=2)
        ]
        for token in tokens:
            inside[token] = 1
        light = lightness(inside, patch, 0.45)
        picture(axis, pixels(image) * light, title)
        grid(axis, image.shape[1], image.shape[2], patch, linewidth=0.4)
        for place, (row, column) in enumerate(tokens):
            mark(axis, column * patch, row * patch, patch, patch, linewidth=1)
            number(axis, row, column, str(place), patch)
    return drawn


def pad_roll_cut(image: Tensor, patch: int, window: int, down: int, right: int) -> Figure:
    """Draw an image `(3, H, W)` padded, then rolled, then its windows as they are listed; padding hatched."""
    bottom, side = (-(size // patch) % window * patch for size in image.shape[1:])
    padded = F.pad(image, (0, side, 0, bottom), value=1.0)
    real = F.pad(torch.ones(image.shape[1:]), (0, side, 0, bottom))
    steps = (-down * patch, -right * patch)
    height, width = padded.shape[1:]
    drawn, axes = figure(10, 3.6, columns=3)
    titles = ("padded", f"rolled: {down} up, {right} to the left", "its windows, in their order")
    for axis, title, moved in zip(axes, titles, (False, True, True), strict=True):
        shown, there = ((part.roll(steps, (-2, -1)) if moved else part) for part in (padded, real))
        picture(axis, pixels(shown), title)
        for row, column in np.argwhere(as_array(there)[::patch, ::patch] == 0).tolist():
            hatch(axis, column * patch, row * patch, patch, patch)
        window_lines(axis, height, width, window * patch)
        for token, (row, column) in {"a": (0, 0), "b": (down, right)}.items():
            places = (row - down * moved) % (height // patch), (column - right * moved) % (width // patch)
            mark(axis, places[1] * patch, places[0] * patch, patch, patch, linewidth=1)
            number(axis, *places, token, patch, 10)
    for index, (top, left) in enumerate(
        product(range(0, height, window * patch), range(0, width, window * patch))
    ):
        badge(axes[2], left + window * patch / 2, top + window * patch / 2, str(index))
    return drawn


def moved_on_photograph(image: Tensor, patch: int, window: int, shifts: list[Place]) -> Figure:
    """Draw an image `(3, H, W)` in the windows of shifted blocks, each with its number."""
    drawn, axes = figure(9, 9 / len(shifts) * image.shape[1] / image.shape[2] + 0.3, columns=len(shifts))
    for axis, shift in zip(axes, shifts, strict=True):
        sides = [cuts(size // patch, window, s) for size, s in zip(image.shape[1:], shift, strict=True)]
        picture(axis, pixels(image), f"down {shift[0]}, right {shift[1]}")
        grid(axis, image.shape[1], image.shape[2], patch, linewidth=0.4)
        for index, ((top, bottom), (left, right)) in enumerate(product(*sides)):
            box(axis, left * patch, top * patch, (right - left) * patch, (bottom - top) * patch)
            badge(axis, (left + right) * patch / 2, (top + bottom) * patch / 2, str(index))
    return drawn


def added_masks(height: int, width: int, window: int, down: int, right: int) -> Figure:
    """Draw the additive mask of every window of a map: dark is −100, white is 0."""
    counts = [-(-size // window) for size in (height, width)]
    number_of_windows = counts[0] * counts[1]
    drawn, axes = figure(2.4 * number_of_windows, 2.7, columns=number_of_windows)
    sides = [
        [(np.arange(window) + (index - count) * window) >= -shift for index in range(count)]
        for count, shift in zip(counts, (down, right), strict=True)
    ]
    for index, (axis, (rows, columns)) in enumerate(zip(axes, product(*sides), strict=True)):
        regions = np.add.outer(2 * rows, columns).flatten()
        mask = np.where(regions[:, None] == regions, 0, -100)
        axis.imshow(mask, "gray", extent=(0, len(mask), len(mask), 0), vmin=-140, vmax=0)
        grid(axis, len(mask), len(mask), window, color=MUTED, linewidth=0.5)
        box(axis, 0, 0, len(mask), len(mask), edgecolor=MUTED, linewidth=1)
        axis.set_title(f"window {index}")
        axis.axis("off")
    return drawn


def heard_and_hearers(image: Tensor, patch: int, window: int, shift: int, place: Place) -> Figure:
    """Draw of whom one token has heard after a plain and a shifted block, and who has heard of it."""
    drawn, axes = figure(8, 4.1, columns=2)
    height, width = (size // patch for size in image.shape[1:])
    rows, columns = np.indices((height, width))
    plain = rows // window * width + columns // window
    moved = (rows - shift + window) // window * width + (columns - shift + window) // window
    panels = {
        "it has heard of": np.isin(plain, plain[moved == moved[place]]),
        "have heard of it": np.isin(moved, moved[plain == plain[place]]),
    }
    for axis, (title, chosen) in zip(axes, panels.items(), strict=True):
        light = lightness(chosen, patch, 0.35)
        picture(axis, pixels(image) * light, f"{title}: {chosen.sum()} tokens")
        grid(axis, image.shape[1], image.shape[2], patch, linewidth=0.4)
        window_lines(axis, image.shape[1], image.shape[2], window * patch)
        mark(axis, place[1] * patch, place[0] * patch, patch, patch)
    return drawn


def offsets_and_table(height: int, width: int, query: Place) -> Figure:
    """Draw a window with the offset of each key, query minus key, and where these stand in the table."""
    drawn, axes = mosaic(9, 2.9, [["window", "table"]], width_ratios=[width + 1, 2 * width])
    for row, column in product(range(height), range(width)):
        offset = f"({query[0] - row}, {query[1] - column})".replace("-", "−")
        pale_cell(axes["window"], row, column, f"{row * width + column}\n{offset}", used=True)
    for place, (row, column) in enumerate(product(range(2 * height - 1), range(2 * width - 1))):
        used = 0 <= row - query[0] < height and 0 <= column - query[1] < width
        pale_cell(axes["table"], row, column, str(place), used)
    mark(axes["window"], query[1], query[0], 1, 1)
    mark(axes["table"], width - 1, height - 1, 1, 1)
    titles = {"window": "tokens and their offsets", "table": "rows of the table, by dy and dx"}
    for (name, axis), (rows, columns) in zip(
        axes.items(), ((height, width), (2 * height - 1, 2 * width - 1)), strict=True
    ):
        axis.set(xlim=(-0.1, columns + 0.1), ylim=(rows + 0.1, -0.1), aspect="equal", title=titles[name])
        axis.axis("off")
    return drawn


def pale_cell(axes: Axes, row: int, column: int, text: str, used: bool) -> None:
    """Draw a unit square with a text; hatched where it is not used."""
    box(
        axes,
        column,
        row,
        1,
        1,
        fill=True,
        facecolor=BLUE + "33" if used else PAPER,
        edgecolor=MUTED,
        linewidth=1,
    )
    if not used:
        box(axes, column, row, 1, 1, hatch="////", edgecolor=MUTED, alpha=0.35, linewidth=0)
    axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9)


def means_on_photograph(image: Tensor, window: int) -> Figure:
    """Draw the logits of a photograph as one window, the mean of each offset, and what that table says."""
    patch = image.shape[1] // window
    squares = image.unfold(1, patch, patch).unfold(2, patch, patch).permute(1, 2, 0, 3, 4)
    tokens = F.layer_norm(squares.flatten(0, 1).flatten(1), (3 * patch**2,))
    logits = as_array(tokens @ tokens.T / (3 * patch**2) ** 0.5)
    rows, columns = np.indices((window, window)).reshape(2, -1)
    down, right = (np.subtract.outer(places, places) + window - 1 for places in (rows, columns))
    sums, counts = np.zeros((2, 2 * window - 1, 2 * window - 1))
    np.add.at(sums, (down, right), logits)
    np.add.at(counts, (down, right), 1)
    table = sums / counts
    drawn, axes = figure(10, 3.7, columns=3)
    limit = float(np.abs(logits).max())
    many = window**2
    coloured(axes[0], logits, limit, True, f"logits of the photograph, {many} × {many}")
    coloured(axes[1], table, limit, True, f"mean of each offset, {2 * window - 1} × {2 * window - 1}")
    coloured(axes[2], table[down, right], limit, True, "the same table for all pairs")
    drawn.colorbar(axes[0].images[0], ax=axes, shrink=0.7)
    return drawn


def log_ruler(window: int, pretrained: int) -> Figure:
    """Draw the offsets 0 to `window` - 1, and where log spacing puts them; hollow: not pretrained."""
    drawn, (axes,) = figure(9, 2.2)
    farthest = pretrained - 1
    for offset in range(window):
        spaced = np.log2(1 + 8 * offset / farthest) / 3
        seen = offset < pretrained
        color = BLUE if seen else ORANGE
        axes.plot([offset / farthest, spaced], [1, 0], color=color, linewidth=1)
        for x, y in ((offset / farthest, 1), (spaced, 0)):
            axes.plot(x, y, "o", color=color, markerfacecolor=color if seen else PAPER, markersize=7)
        if offset < pretrained or offset == window - 1:
            axes.text(offset / farthest, 1.14, str(offset), ha="center", va="bottom", fontsize=9)
            below = offset in (0, farthest, window - 1)
            axes.text(spaced, -0.16, f"{spaced:.2f}" if below else "", ha="center", va="top", fontsize=9)
    axes.set(yticks=[0, 1], yticklabels=["log-spaced", "offset"], ylim=(-0.55, 1.5), xticks=[])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return drawn


def mask_on_photograph(image: Tensor, window: int, shift: int, place: Place) -> Figure:
    """Draw the last window of a rolled photograph, and what one token attends to without and with mask.

    The map has 2 × 2 windows. Logits are how alike two tokens are.
    """
    patch = image.shape[1] // (2 * window)
    rolled = image.roll((-shift * patch, -shift * patch), (1, 2))
    last = rolled[:, window * patch :, window * patch :]
    squares = last.unfold(1, patch, patch).unfold(2, patch, patch).permute(1, 2, 0, 3, 4).flatten(2)
    tokens = F.layer_norm(squares, squares.shape[-1:])
    logits = tokens @ tokens[place] / squares.shape[-1] ** 0.5 / 12
    inside = torch.arange(window) >= window - shift
    same = (inside == inside[place[0]])[:, None] & (inside == inside[place[1]])
    drawn, axes = figure(9.4, 3.3, columns=3)
    picture(axes[0], pixels(rolled), "the rolled map, its last window")
    window_lines(axes[0], image.shape[1], image.shape[2], window * patch)
    mark(axes[0], window * patch, window * patch, window * patch, window * patch)
    panels = {"without mask": torch.ones(window, window, dtype=torch.bool), "with its mask": same}
    for axis, (title, allowed) in zip(axes[1:], panels.items(), strict=True):
        weights = logits.masked_fill(~allowed, -torch.inf).flatten().softmax(0).unflatten(0, (window, window))
        lit_up(axis, last, weights, place)
        for row, column in (~allowed).nonzero().tolist():
            hatch(axis, column * patch, row * patch, patch, patch)
        axis.set_title(f"{title}: {int(allowed.sum())} keys")
    return drawn


def arrows(query: Vector, keys: dict[str, Vector]) -> Figure:
    """Draw a query and some keys as arrows, with their products and their cosines."""
    drawn, (axes, table) = figure(8, 2.6, columns=2, width_ratios=[1.5, 1])
    rows = []
    colors = (BLUE, ORANGE, GREEN, MUTED)
    for (name, vector), color in zip({"query": query, **keys}.items(), colors, strict=False):
        style: dict[str, Any] = {
            "arrowstyle": "-|>",
            "color": color,
            "linewidth": 2,
            "shrinkA": 0,
            "shrinkB": 0,
        }
        axes.annotate("", vector, (0, 0), arrowprops=style)
        left = query[0] * vector[1] > query[1] * vector[0]
        x, side = vector[0] + (-0.15 if left else 0.15), "right" if left else "left"
        axes.text(x, vector[1], name, ha=side, va="center")
        product_of = float(np.dot(query, vector))
        cosine = product_of / float(np.linalg.norm(query) * np.linalg.norm(vector))
        rows.append((name, f"{product_of:.1f}", f"{cosine:.2f}"))
    vectors = np.array([query, *keys.values(), (0, 0)])
    low, high = vectors.min(0) - 0.5, vectors.max(0) + 0.5
    axes.set(xlim=(low[0] - 1, high[0] + 1), ylim=(low[1], high[1]), aspect="equal")
    axes.axis("off")
    for y, texts in enumerate((("", "product", "cosine"), *rows[1:])):
        for x, text in enumerate(texts):
            table.text(
                x, -y, text.replace("-", "−"), ha="center", va="center", weight="bold" if y == 0 else None
            )
    table.set(xlim=(-0.6, 2.6), ylim=(0.4 - len(rows), 0.6))
    table.axis("off")
    return drawn


def merged_rectangles(image: Tensor, patch: int, rows: int, columns: int) -> Figure:
    """Draw an image `(3, H, W)` in rectangles of tokens, and each token's place in its rectangle's line."""
    sides = zip(image.shape[1:], (rows, columns), strict=True)
    bottom, side = (-(size // patch) % step * patch for size, step in sides)
    padded = F.pad(image, (0, side, 0, bottom), value=1.0)
    height, width = padded.shape[1:]
    drawn, (axes,) = figure(5, 5 * height / width)
    picture(axes, pixels(padded))
    for row, column in product(range(height // patch), range(width // patch)):
        if row * patch >= image.shape[1] or column * patch >= image.shape[2]:
            hatch(axes, column * patch, row * patch, patch, patch)
        number(axes, row, column, str(column % columns * rows + row % rows), patch)
    grid(axes, height, width, patch, linewidth=0.4)
    for top, left in product(range(0, height, rows * patch), range(0, width, columns * patch)):
        box(axes, left, top, columns * patch, rows * patch, linewidth=2.5)
    return drawn


def branches(ways: dict[str, list[list[str]]]) -> Figure:
    """Draw for each way the branches of a block: their steps in order, and the sum that each returns to."""
    drawn, axes = figure(9, 1.25 * len(ways), rows=len(ways), sharex=True)
    for axis, (title, of_block) in zip(axes, ways.items(), strict=True):
        x = 1.0
        for steps in of_block:
            end = x + 1.25 * len(steps) + 0.3
            flow(axis, [(x, 0), (x, 1), (end, 1), (end, 0.16)], MUTED)
            for place, step in enumerate(steps):
                left = x + 0.2 + 1.25 * place
                color = GREEN if step.startswith("norm") else BLUE if step in ("attention", "MLP") else ORANGE
                box(axis, left, 0.72, 1.15, 0.56, fill=True, facecolor=PAPER, linewidth=0)
                box(axis, left, 0.72, 1.15, 0.56, fill=True, facecolor=color + "33", edgecolor=color)
                axis.text(left + 0.575, 1, step, ha="center", va="center", fontsize=9)
            axis.text(end, 0, "+", ha="center", va="center", fontsize=11, bbox=PLUS, zorder=3)
            x = end + 0.5
        flow(axis, [(0.4, 0), (x + 0.1, 0)], INK)
        axis.text(0.3, 0, "x", ha="right", va="center", style="italic")
        axis.set(ylim=(-0.25, 1.35), title=title)
        axis.axis("off")
    return drawn


PLUS = {"boxstyle": "circle,pad=0.1", "fc": PAPER, "ec": INK}


def flow(axes: Axes, places: list[Vector], color: str) -> None:
    """Draw a line through places (x, y), with an arrow at its end."""
    axes.plot(*zip(*places, strict=True), color=color, linewidth=1.2, zorder=0.5)
    axes.annotate("", places[-1], places[-2], arrowprops={"arrowstyle": "->", "color": color})
