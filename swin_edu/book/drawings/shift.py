"""The drawings of chapter 4."""

from itertools import groupby, pairwise, product
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.common import as_array, lightness, pixels
from swin_edu.book.drawings.overview import reach
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
    mosaic,
    picture,
)

REGIONS = (BLUE, ORANGE, GREEN, PURPLE)  # colours of the regions 0 to 3; each also carries its number


def cuts(size: int, window: int, shift: int) -> list[tuple[int, int]]:
    """Return (first token, token after the last) of each piece of a side that is cut every `window`."""
    return list(pairwise(sorted({0, size, *range(shift, size, window)})))


def badge(axes: Axes, x: float, y: float, text: str) -> None:
    """Write a short text on a white plate, to be read on any picture."""
    style: dict[str, Any] = {"boxstyle": "round,pad=0.25", "fc": PAPER, "ec": INK, "lw": 0.8}
    axes.text(x, y, text, ha="center", va="center", fontsize=9, weight="bold", bbox=style)


def moved_lines(axes: Axes, height: float, width: float, window: float, shift: float = 0) -> None:
    """Rule the borders of moved windows, and those of the map: orange with a dark edge, under later marks."""
    ys, xs = ([0, *np.arange(shift, size, window), size] for size in (height, width))
    for color, thick in ((INK, 3.2), (ORANGE, 1.7)):
        axes.hlines(ys, 0, width, color=color, linewidth=thick, zorder=1)
        axes.vlines(xs, 0, height, color=color, linewidth=thick, zorder=1)


def mask_matrix(axes: Axes, mask: Tensor, ids: Tensor) -> None:
    """Draw a mask `(N, N)`: what may attend in the colour of its region, `ids` `(N,)`; the rest hatched."""
    count = len(ids)
    strip = 0.09 * count
    hatch(axes, 0, 0, count, count)
    shown = np.ma.masked_where(~mask.numpy(), np.broadcast_to(ids.numpy()[:, None], mask.shape))
    pale = [[0.35 + 0.65 * value for value in to_rgb(color)] for color in REGIONS]
    axes.imshow(shown, ListedColormap(pale), vmin=0, vmax=3, extent=(0, count, count, 0), zorder=1)
    start = 0
    for region, run in groupby(ids.tolist()):
        length = len(list(run))
        for x, y, w, h in ((-strip, start, strip, length), (start, -strip, length, strip)):
            box(axes, x, y, w, h, fill=True, facecolor=REGIONS[region], edgecolor=PAPER, linewidth=0.4)
            if length >= count / 20:
                style: dict[str, Any] = {
                    "ha": "center",
                    "va": "center_baseline",
                    "fontsize": 7,
                    "weight": "bold",
                }
                axes.text(x + w / 2, y + h / 2, str(region), color=INK if region % 3 else PAPER, **style)
        start += length
    axes.set(xlim=(-strip, count), ylim=(count, -strip), aspect="equal")
    axes.axis("off")


def shift_at_a_glance(image: Tensor, tokens: int, window: int, shift: int, mask: Tensor) -> Figure:
    """Draw windows, moved windows, the rolled picture with the same pieces, and the mask of its last window.

    `mask` (N, N) belongs to the last window of a square map of `tokens` × `tokens`.
    """
    drawn, axes = figure(10.4, 3, columns=4)
    side = image.shape[1]
    patch = side // tokens
    rolled = np.roll(pixels(image), (-shift * patch, -shift * patch), (0, 1))
    for axis, shown, moved in zip(axes, (pixels(image), pixels(image), rolled), (0, shift, 0), strict=False):
        picture(axis, shown)
        moved_lines(axis, side, side, window * patch, moved * patch)
    pieces = list(product(cuts(tokens, window, shift), repeat=2))
    for number, ((top, bottom), (left, right)) in enumerate(pieces, 1):
        half_height, half_width = (bottom - top) / 2, (right - left) / 2
        badge(axes[1], (left + half_width) * patch, (top + half_height) * patch, str(number))
        x, y = (left - shift) % tokens + half_width, (top - shift) % tokens + half_height
        badge(axes[2], x * patch, y * patch, str(number))
    hatch_moved(axes[2], side, shift * patch)
    inside = np.arange(window) >= window - shift  # of the last window: what came round the border
    mask_matrix(axes[3], mask, torch.from_numpy(2 * inside[:, None] + inside).flatten())
    regular = (tokens // window) ** 2
    axes[0].set_title(f"1  windows: {regular}")
    axes[1].set_title(f"2  moved by {shift} tokens: {len(pieces)}")
    axes[2].set_title(f"3  the map rolled: {regular} again")
    axes[3].set_title("4  the mask of its last window")
    return drawn


def hatch_moved(axes: Axes, side: float, moved: float) -> None:
    """Hatch what a roll brought from the opposite side of a square picture."""
    if moved:
        hatch(axes, side - moved, 0, moved, side)
        hatch(axes, 0, side - moved, side - moved, moved)


def token_maps(maps: dict[str, Tensor], place: tuple[int, int], window: int) -> Figure:
    """Draw maps of True and False `(H, W)`: a dot for True, windows ruled, the token at `place` marked."""
    drawn, axes = figure(2.9 * len(maps), 2.9, columns=len(maps))
    for axis, (title, chosen) in zip(axes, maps.items(), strict=True):
        height, width = chosen.shape
        for row, column in np.argwhere(chosen.cpu().numpy()).tolist():
            box(axis, column, row, 1, 1, fill=True, facecolor=BLUE + "55", linewidth=0)
            axis.plot(column + 0.5, row + 0.5, "o", color=INK, markersize=3)
        grid(axis, height, width, 1, color=MUTED, linewidth=0.4)
        moved_lines(axis, height, width, window)
        mark(axis, place[1], place[0], 1, 1)
        axis.set(xlim=(-0.1, width + 0.1), ylim=(height + 0.1, -0.1), aspect="equal")
        axis.set_title(f"{title}: {int(chosen.sum())} of {chosen.numel()}")
        axis.axis("off")
    return drawn


def ragged_windows(image: Tensor, tokens: int, window: int, shift: int) -> Figure:
    """Draw the pieces that a moved grid cuts, with their sizes, and each of them padded to a whole window."""
    drawn, (left, right) = figure(8, 4, columns=2)
    side, pieces = image.shape[1], cuts(tokens, window, shift)
    patch = side // tokens
    picture(left, pixels(image), f"moved by {shift}: {len(pieces) ** 2} windows, sizes in tokens")
    grid(left, side, side, patch, linewidth=0.4, alpha=0.6)
    moved_lines(left, side, side, window * patch, shift * patch)
    gap, whole = 0.5 * patch, window * patch
    for row, (top, bottom) in enumerate(pieces):
        for column, (first, last) in enumerate(pieces):
            height, width = (bottom - top) * patch, (last - first) * patch
            text = f"{bottom - top} × {last - first}"
            badge(left, first * patch + width / 2, top * patch + height / 2, text)
            x, y = column * (whole + gap), row * (whole + gap)
            square = image[:, top * patch : bottom * patch, first * patch : last * patch]
            right.imshow(pixels(square), extent=(x, x + width, y + height, y), vmin=0, vmax=1)
            hatch(right, x + width, y, whole - width, whole)
            hatch(right, x, y + height, width, whole - height)
            box(right, x, y, whole, whole)
    end = len(pieces) * (whole + gap)
    right.set(xlim=(-gap, end), ylim=(end, -gap), aspect="equal")
    right.set_title(f"each padded to {window} × {window}; padding hatched")
    right.axis("off")
    return drawn


def token_moves(image: Tensor, patch: int, window: int, shift: int, place: tuple[int, int]) -> Figure:
    """Draw where a token goes when the map is rolled, and who shares its window before, during and after.

    Bright: it may look at these; hatched: in its window, but masked; dark: in another window.
    """
    drawn, axes = figure(8.6, 3.3, columns=3)
    side = image.shape[1]
    tokens = side // patch
    plain, _ = reach(tokens, window, 0, place)
    together, seen = reach(tokens, window, shift, place)
    roll = lambda x, step: np.roll(x, (-step, -step), (0, 1))  # noqa: E731
    panels = (
        ("before: its window", pixels(image), plain, plain, place, 0),
        (
            "rolled: its window now",
            roll(pixels(image), shift * patch),
            roll(together, shift),
            roll(seen, shift),
            tuple((p - shift) % tokens for p in place),
            0,
        ),
        ("rolled back: who it looked at", pixels(image), together, seen, place, shift),
    )
    for axis, (title, shown, inside, bright, where, moved) in zip(axes, panels, strict=True):
        light = lightness(inside, patch, 0.4)
        picture(
            axis,
            shown * light,
            f"{title}\n{int(bright.sum())} tokens bright; row {where[0]}, column {where[1]}",
        )
        for row, column in np.argwhere(inside & ~bright).tolist():
            hatch(axis, column * patch, row * patch, patch, patch)
        grid(axis, side, side, patch, linewidth=0.3, alpha=0.5)
        moved_lines(axis, side, side, window * patch, moved * patch)
        mark(axis, where[1] * patch, where[0] * patch, patch, patch)
    return drawn


def label_maps(maps: dict[str, Tensor], window: int) -> Figure:
    """Draw maps of whole numbers `(H, W)`: equal numbers in one colour, each written out, windows ruled."""
    drawn, axes = figure(3.4 * len(maps), 3.5, columns=len(maps))
    for axis, (title, labels) in zip(axes, maps.items(), strict=True):
        height, width = labels.shape
        for row, column in product(range(height), range(width)):
            label = int(labels[row, column])
            face = REGIONS[label % 4] + ("66" if label < 4 else "33")
            box(axis, column, row, 1, 1, fill=True, facecolor=face, edgecolor=PAPER, linewidth=0.6)
            axis.text(column + 0.5, row + 0.5, str(label), ha="center", va="center", fontsize=10)
        moved_lines(axis, height, width, window)
        axis.set(xlim=(-0.1, width + 0.1), ylim=(height + 0.1, -0.1), aspect="equal")
        axis.set_title(title)
        axis.axis("off")
    return drawn


def mask_kinds(kinds: Tensor, masks: Tensor, ids: Tensor) -> Figure:
    """Draw which mask each window has, `kinds` `(n, m)`, as letters, and the masks `(K, N, N)` themselves."""
    drawn, axes = mosaic(
        10, 2.9, [["map", *map(str, range(len(masks)))]], width_ratios=[1.1] + [1] * len(masks)
    )
    height, width = kinds.shape
    for row, column in product(range(height), range(width)):
        kind = int(kinds[row, column])
        box(
            axes["map"],
            column,
            row,
            1,
            1,
            fill=kind > 0,
            facecolor=MUTED + "44",
            edgecolor=ORANGE,
            linewidth=1.5,
        )
        axes["map"].text(column + 0.5, row + 0.5, "ABCD"[kind], ha="center", va="center", fontsize=9)
    axes["map"].set(xlim=(-0.1, width + 0.1), ylim=(height + 0.1, -0.1), aspect="equal")
    axes["map"].set_title(f"{height} × {width} windows")
    axes["map"].axis("off")
    for kind, (mask, regions) in enumerate(zip(masks, ids, strict=True)):
        mask_matrix(axes[str(kind)], mask, regions)
        axes[str(kind)].set_title(f"{'ABCD'[kind]}: {100 * (~mask).double().mean():.0f} % masked")
    return drawn


def masked_shares(sides: list[int], shares: list[float], without_rule: float) -> Figure:
    """Draw the share of masked pairs against the side of a map; the first side is where the shift is off."""
    drawn, (axes,) = figure(8, 3.3)
    axes.plot(sides, shares, "o-")
    for side, share in zip(sides, shares, strict=True):
        place = (0, 7) if share else (16, -4)
        axes.annotate(f"{share:.1f}", (side, share), xytext=place, textcoords="offset points", ha="center")
    axes.plot(sides[:1], [without_rule], "s", color=ORANGE, markersize=9)
    text = f"  {without_rule:.1f}: shifted although one window covers the map"
    axes.annotate(text, (sides[0], without_rule), xytext=(6, -3), textcoords="offset points")
    axes.set(xlabel="side of the map, tokens", ylabel="pairs masked, %", xticks=sides, ylim=(-4, 85))
    return drawn


def leak(leads: Tensor, weights: dict[str, Tensor]) -> Figure:
    """Draw the weight of a forbidden token against its logit's lead, a line for each way to forbid it."""
    drawn, (axes,) = figure(8, 3.2)
    for (title, weight), style in zip(weights.items(), ("-", "--"), strict=True):
        axes.plot(leads, weight, style, linewidth=2)
        at = int(0.78 * len(leads))
        axes.annotate(title, (leads[at], weight[at]), xytext=(0, 7), textcoords="offset points", ha="center")
    axes.set(
        xlabel="by how much the forbidden token's logit is the larger one",
        ylabel="its weight",
        ylim=(-0.05, 1.15),
    )
    return drawn


def ways_to_forbid(weights: dict[str, Tensor], allowed: Tensor) -> Figure:
    """Draw the weights of one query as bars, a panel for each title; forbidden keys are hatched."""
    drawn, axes = figure(10, 2.7, columns=len(weights), sharey=True)
    for axis, (title, row) in zip(axes, weights.items(), strict=True):
        for key, weight in enumerate(row.tolist()):
            free = bool(allowed[key])
            axis.bar(key, weight, color=BLUE if free else PAPER, edgecolor=INK, hatch="" if free else "////")
            axis.text(key, weight + 0.02, f"{weight:.2f}", ha="center", fontsize=9)
        axis.set(xticks=range(len(row)), xlabel="key", ylim=(0, 0.95))
        axis.set_title(f"{title}\nsum {row.sum():.2f}")
    axes[0].set_ylabel("weight")
    return drawn


def padding_orders(rows: dict[str, list[int | None]], window: int) -> Figure:
    """Draw rows of numbered tokens, None for padding, in windows; mark where neighbours were none before."""
    drawn, (axes,) = figure(9, 0.75 * len(rows) + 0.3)
    for line, (title, tokens) in enumerate(rows.items()):
        y = 1.5 * line
        axes.text(-0.3, y + 0.5, title, ha="right", va="center")
        for place, token in enumerate(tokens):
            x = place + 0.5 * (place // window)
            face = PAPER if token is None else BLUE + "33"
            box(axes, x, y, 1, 1, fill=True, facecolor=face, edgecolor=MUTED, linewidth=0.8)
            if token is None:
                hatch(axes, x, y, 1, 1)
            else:
                axes.text(x + 0.5, y + 0.5, str(token), ha="center", va="center", fontsize=11)
            if place % window == window - 1:
                box(axes, x - window + 1, y, window, 1)
    axes.set(xlim=(-5.5, place + 0.5 * (place // window) + 1.2), ylim=(y + 1.2, -0.2), aspect="equal")
    axes.axis("off")
    return drawn


def noticed(image: Tensor, maps: dict[str, Tensor], place: tuple[int, int]) -> Figure:
    """Draw an image with the True tokens of each map `(H, W)` bright, and the token at `place` marked."""
    drawn, axes = figure(2.5 * len(maps), 3, columns=len(maps))
    for axis, (title, chosen) in zip(axes, maps.items(), strict=True):
        patch = image.shape[1] // len(chosen)
        light = lightness(as_array(chosen), patch, 0.35)
        picture(axis, pixels(image) * light, f"{title}\n{int(chosen.sum()):,} tokens")
        mark(axis, place[1] * patch, place[0] * patch, patch, patch, linewidth=1)
    return drawn


def token_shift(maps: dict[str, Tensor]) -> Figure:
    """Draw tokens `(N, C)`, one column a token; the number in each cell tells whose channel it was."""
    drawn, axes = figure(10, 2.2, columns=len(maps))
    for axis, (title, tokens) in zip(axes, maps.items(), strict=True):
        count, channels = tokens.shape
        for token, channel in product(range(count), range(channels)):
            owner = int(tokens[token, channel])
            face = "#eeeeee" if owner < 0 else REGIONS[owner % 4] + "66"
            box(axis, token, channel, 0.92, 1, fill=True, facecolor=face, edgecolor=PAPER, linewidth=0.6)
            text = "–" if owner < 0 else str(owner)
            axis.text(token + 0.46, channel + 0.5, text, ha="center", va="center", fontsize=9)
        axis.set(xlim=(-0.1, count), ylim=(channels, 0))
        axis.set_title(title)
        axis.axis("off")
    return drawn
