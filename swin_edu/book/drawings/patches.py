"""The drawings of chapter 1."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.common import pixels
from swin_edu.book.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
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


def zoom(image: Tensor, patch: int, row: int, column: int, around: int = 8) -> Figure:
    """Draw an image `(3, H, W)` under its grid, `around`² patches pulled apart, and one with its numbers."""
    drawn, (whole, apart, one) = figure(10, 3.7, columns=3)
    height, width = image.shape[1:]
    top, left = row - around // 2, column - around // 2
    picture(whole, pixels(image), f"{height} × {width} pixels, {height // patch} × {width // patch} patches")
    grid(whole, height, width, patch, linewidth=0.3, alpha=0.7)
    mark(whole, left * patch, top * patch, around * patch, around * patch)
    gap = 0.25 * patch
    for r in range(around):
        for c in range(around):
            square = image[
                :, (top + r) * patch : (top + r + 1) * patch, (left + c) * patch : (left + c + 1) * patch
            ]
            x, y = c * (patch + gap), r * (patch + gap)
            apart.imshow(pixels(square), extent=(x, x + patch, y + patch, y), vmin=0, vmax=1)
            if (top + r, left + c) == (row, column):
                mark(apart, x, y, patch, patch)
    apart.set(xlim=(-gap, around * (patch + gap)), ylim=(around * (patch + gap), -gap), aspect="equal")
    apart.set_title(f"{around} × {around} of the patches")
    apart.axis("off")
    patch_with_numbers(one, image[:, row * patch : (row + 1) * patch, column * patch : (column + 1) * patch])
    return drawn


def patch_with_numbers(axes: Axes, square: Tensor) -> None:
    """Draw a patch `(3, P, P)` with the red, green and blue of each pixel in per cent."""
    size = square.shape[1]
    picture(axes, pixels(square), "one patch: red, green, blue in per cent")
    dark = square.mean(0) < 0.55
    for y in range(size):
        for x in range(size):
            text = "\n".join(f"{100 * value:.0f}" for value in square[:, y, x].tolist())
            color = "white" if dark[y, x] else INK
            axes.text(
                x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=8, color=color, linespacing=1.3
            )
    grid(axes, size, size, 1, linewidth=1)


def toy_partition(image: Tensor, patches: Tensor) -> Figure:
    """Draw a numbered image `(4, 4)` and its patches as rows `(4, 4)`; one colour and one letter a patch."""
    colors, letters = (BLUE, ORANGE, GREEN, PURPLE), "ABCD"
    drawn, (left, right) = figure(7, 2.8, columns=2)
    for axes, numbers, owner in (
        (left, image, lambda y, x: 2 * (y // 2) + x // 2),
        (right, patches, lambda y, x: y),
    ):
        for y in range(4):
            for x in range(4):
                box(axes, x, y, 1, 1, fill=True, facecolor=colors[owner(y, x)] + "66", edgecolor="white")
                axes.text(x + 0.5, y + 0.5, f"{int(numbers[y, x])}", ha="center", va="center", fontsize=11)
        axes.set(xlim=(-0.7, 4.1), ylim=(4.1, -0.1), aspect="equal")
        axes.axis("off")
    left.set_title("the image, four patches of 2 × 2")
    right.set_title("each patch as one vector")
    for index, letter in enumerate(letters):
        style: dict[str, Any] = {
            "ha": "center",
            "va": "center",
            "weight": "bold",
            "bbox": {"boxstyle": "circle", "fc": "white", "ec": colors[index]},
        }
        left.text(2 * (index % 2) + 1, 2 * (index // 2) + 1, letter, **style)
        right.text(-0.4, index + 0.5, letter, **style)
    return drawn


def kernel_as_row(kernel: Tensor, row: Tensor) -> Figure:
    """Draw a convolution kernel `(3, 4, 4)` above the same weights as a row `(48,)` of a linear layer."""
    drawn, axes = mosaic(9, 3.4, [["red", "green", "blue"], ["row", "row", "row"]], height_ratios=[3, 0.8])
    kernel, row = kernel.detach().cpu(), row.detach().cpu()
    limit = 1.3 * float(kernel.abs().max())  # beyond the largest weight: pale enough for the numbers
    for index, name in enumerate(("red", "green", "blue")):
        picture(axes[name], kernel[index].numpy(), f"kernel, {name}")
        axes[name].images[0].set(cmap=SIGNED, clim=(-limit, limit))
        numbered(axes[name], [(y, x) for y in range(4) for x in range(4)], [3 * i + index for i in range(16)])
    picture(
        axes["row"],
        row[None].numpy(),
        "the same 48 weights as one row of the linear layer, pixel by pixel: red, green, blue",
    )
    axes["row"].images[0].set(cmap=SIGNED, clim=(-limit, limit))
    axes["row"].set_aspect("auto")
    numbered(axes["row"], [(0, x) for x in range(48)], list(range(48)))
    return drawn


def numbered(axes: Axes, places: list[tuple[int, int]], numbers: list[int]) -> None:
    """Write a number into each unit cell (row, column)."""
    for (y, x), number in zip(places, numbers, strict=True):
        axes.text(x + 0.5, y + 0.5, str(number), ha="center", va="center", fontsize=9)


def padded(image: Tensor, with_padding: Tensor, patch: int) -> Figure:
    """Draw an image `(3, H, W)` after padding, its patches ruled and the padding hatched."""
    drawn, (axes,) = figure(6, 4.2)
    (height, width), (full_height, full_width) = image.shape[1:], with_padding.shape[1:]
    picture(axes, pixels(with_padding))
    grid(axes, full_height, full_width, patch, linewidth=0.6)
    hatch(axes, width, 0, full_width - width, full_height)
    hatch(axes, 0, height, width, full_height - height)
    counts = f"{full_height // patch} × {full_width // patch} patches"
    axes.set_title(f"{height} × {width} pixels and hatched zeros: {full_height} × {full_width}, {counts}")
    return drawn


def number_maps(tokens: Tensor, titles: list[str]) -> Figure:
    """Draw the first numbers of all tokens of a map `(H, W, C)`, each as a small picture, to one scale."""
    drawn, axes = figure(10, 3, columns=len(titles))
    shown = tokens[..., : len(titles)].detach().cpu().numpy()
    for index, (place, title) in enumerate(zip(axes, titles, strict=True)):
        picture(place, shown[..., index], title)
        place.images[0].set_clim(shown.min(), shown.max())
    drawn.colorbar(axes[-1].images[0], ax=axes, shrink=0.7)
    return drawn


def cost_of_patches(patches: list[int], pairs: dict[str, list[int]]) -> Figure:
    """Draw the pairs of tokens against the patch size, on logarithmic axes, a line for each of `pairs`."""
    drawn, (axes,) = figure(8, 3.4)
    for (title, counts), style in zip(pairs.items(), ("o-", "s--"), strict=False):
        axes.plot(patches, counts, style)
        axes.annotate(f"  {title}", (patches[0], counts[0]), xytext=(8, 2), textcoords="offset points")
        axes.annotate(
            f"{counts[-1]:,}", (patches[-1], counts[-1]), xytext=(8, -3), textcoords="offset points"
        )
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set(xlabel="patch size, pixels", ylabel="pairs of tokens", xticks=patches, xticklabels=patches)
    axes.minorticks_off()
    return drawn


def line_responses(columns: list[int], plain: list[float], overlapping: list[float]) -> Figure:
    """Draw what plain and overlapping patches see of a row of pixels, and their response to a line in it."""
    drawn, (seen, response) = figure(8, 4.2, rows=2, sharex=True, height_ratios=[1, 1.2])
    first, last = columns[0], columns[-1]
    for start in range(first - 4, last + 8, 4):
        lane = 1.5 + (start // 4 % 2) * 0.55  # two lanes, so that the bars do not hide each other
        seen.barh(0.4, 4, left=start - 0.5, height=0.5, color=BLUE + "88", edgecolor="white")
        seen.barh(lane, 7, left=start - 3.5, height=0.45, color=ORANGE + "aa", edgecolor="white", hatch="//")
    labels = ["plain: 4 pixels", "overlapping: 7 pixels"]
    seen.set(yticks=[0.4, 1.8], yticklabels=labels, xlim=(first - 3.5, last + 3.5))
    seen.set_title("one bar a token: the pixels of one row that it sees")
    response.plot(columns, overlapping, "s", color=ORANGE, markersize=9, label="overlapping")
    response.vlines(columns, 0, plain, color=BLUE, linewidth=1)
    response.plot(columns, plain, "o", color=BLUE, markersize=5, label="plain")
    response.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    response.set(xlabel="column of the line, in pixels", ylabel="response", xticks=columns, yticks=[0, 1, 2])
    response.set_title("strongest response of a detector for thin lines")
    return drawn


def equal_tokens(image: Tensor, maps: dict[str, Tensor], place: tuple[int, int]) -> Figure:
    """Draw how far each token of a map `(H, W, C)` is from the one at `place`, and mark the equal ones."""
    drawn, axes = figure(10, 3.7, columns=1 + len(maps))
    distances = {
        title: (tokens - tokens[place]).norm(dim=-1).detach().cpu().numpy() for title, tokens in maps.items()
    }
    highest = max(distance.max() for distance in distances.values())
    patch = image.shape[1] / next(iter(distances.values())).shape[0]
    picture(axes[0], pixels(image), "the tiled picture and one token")
    mark(axes[0], place[1] * patch, place[0] * patch, patch, patch)
    for axis, (title, distance) in zip(axes[1:], distances.items(), strict=True):
        equal = np.argwhere(distance < 1e-3).tolist()
        picture(axis, distance, f"{title} position: {len(equal)} equal token{'s' if len(equal) > 1 else ''}")
        axis.images[0].set_clim(0, highest)
        for y, x in equal:
            mark(axis, x, y, 1, 1)
    drawn.colorbar(axes[-1].images[0], ax=axes[1:], shrink=0.8, label="Euclidean distance to it")
    return drawn
