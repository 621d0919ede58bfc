"""The figures of the chapters. Each function takes the tensors that it draws and returns a figure."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PURPLE,
    SIGNED,
    box,
    figure,
    grid,
    mark,
    mosaic,
    picture,
)


def pixels(image: Tensor) -> np.ndarray:
    """Return an image `(3, H, W)` as an array `(H, W, 3)`, the order that matplotlib draws."""
    return image.detach().cpu().permute(1, 2, 0).numpy()


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
    picture(axes, pixels(square), f"one patch: {square.numel()} numbers, in %")
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
    style: dict[str, Any] = {"hatch": "////", "edgecolor": ORANGE, "linewidth": 0}
    box(axes, width, 0, full_width - width, full_height, **style)
    box(axes, 0, height, width, full_height - height, **style)
    axes.set_title(
        f"{height} × {width} pixels padded to {full_height} × {full_width}: "
        f"{full_height // patch} × {full_width // patch} patches"
    )
    return drawn


def channel_maps(tokens: Tensor, count: int) -> Figure:
    """Draw the first `count` channels of a map of tokens `(H, W, C)`, each between its own extremes."""
    drawn, axes = figure(9, 4.9, columns=4, rows=-(-count // 4))
    for channel, place in enumerate(axes[:count]):
        picture(place, tokens[..., channel].numpy(), f"channel {channel}")
    return drawn


def mosaics(image: Tensor, patches: tuple[int, ...]) -> Figure:
    """Draw an image `(3, H, W)` with the mean colour of each patch, once for each patch size."""
    means = {}
    for patch in patches:
        mean = image.unfold(1, patch, patch).unfold(2, patch, patch).mean((-1, -2))
        means[f"patch {patch}: {mean.shape[1]} × {mean.shape[2]} tokens"] = mean
    return side_by_side(means)


def cost_of_patches(patches: list[int], pairs: list[int]) -> Figure:
    """Draw the pairs of tokens against the patch size, both axes logarithmic."""
    drawn, (axes,) = figure(7, 3.2)
    axes.loglog(patches, pairs, "o-", base=2)
    axes.set_yscale("log", base=10)
    for patch, count in zip(patches, pairs, strict=True):
        axes.annotate(f"{count:,}", (patch, count), xytext=(8, 3), textcoords="offset points")
    axes.set(
        xlabel="patch size, pixels",
        ylabel="pairs of tokens",
        xticks=patches,
        xticklabels=patches,
        xlim=(1.7, 60),
    )
    axes.minorticks_off()
    return drawn


def side_by_side(images: dict[str, Tensor]) -> Figure:
    """Draw images `(3, H, W)` in a row, each under its title."""
    drawn, axes = figure(10, 10 / len(images) + 0.3, columns=len(images))
    for place, (title, image) in zip(axes, images.items(), strict=True):
        picture(place, pixels(image).astype(np.float32), title)
    return drawn


def line_responses(columns: list[int], plain: list[float], overlapping: list[float]) -> Figure:
    """Draw what plain and overlapping patches see of a row of pixels, and their response to a line in it."""
    drawn, (seen, response) = figure(8, 4.2, rows=2, sharex=True, height_ratios=[1, 1.2])
    first, last = columns[0], columns[-1]
    for start in range(first - 4, last + 8, 4):
        lane = 1.5 + (start // 4 % 2) * 0.55
        seen.barh(0.4, 4, left=start - 0.5, height=0.5, color=BLUE + "88", edgecolor="white")
        seen.barh(lane, 7, left=start - 3.5, height=0.45, color=ORANGE + "aa", edgecolor="white", hatch="//")
    seen.set(
        yticks=[0.4, 1.8],
        yticklabels=["plain: 4 pixels", "overlapping: 7 pixels"],
        xlim=(first - 0.5, last + 0.5),
    )
    seen.set_title("what each token sees of one row of pixels")
    response.step(columns, plain, where="mid", color=BLUE, linewidth=2)
    response.plot(columns, overlapping, "s--", color=ORANGE, markersize=5)
    response.text(last + 0.7, overlapping[-1], "overlapping", color=INK, va="center")
    response.text(last + 0.7, plain[-1], "plain", color=INK, va="center")
    response.set(
        xlabel="column of the line, in pixels", ylabel="strongest response", xticks=columns, yticks=[0, 1, 2]
    )
    response.set_title("response of a detector for thin lines")
    return drawn


def equal_tokens(image: Tensor, maps: dict[str, Tensor], place: tuple[int, int]) -> Figure:
    """Draw how far each token of a map `(H, W, C)` is from the one at `place`, and mark the equal ones."""
    drawn, axes = figure(10, 3.7, columns=1 + len(maps))
    rows = next(iter(maps.values())).shape[0]
    patch = image.shape[1] / rows
    picture(axes[0], pixels(image), "the tiled picture and one token")
    mark(axes[0], place[1] * patch, place[0] * patch, patch, patch)
    for axis, (title, tokens) in zip(axes[1:], maps.items(), strict=True):
        distance = (tokens - tokens[place]).norm(dim=-1)
        equal = (distance < 1e-3).nonzero().tolist()
        picture(axis, distance.numpy(), f"distance {title} position: {len(equal)} equal")
        for y, x in equal:
            mark(axis, x, y, 1, 1)
        drawn.colorbar(axis.images[0], ax=axis, shrink=0.8).outline.set_edgecolor(MUTED)
    return drawn


def walk_to_scale(tensors: dict[str, Tensor]) -> Figure:
    """Draw maps `(1, H, W, C)` as boxes H high, W wide and C long, to one scale, the map itself in front.

    The front shows the picture where C is 3, else the length of each place's vector.
    """
    drawn, (axes,) = figure(10, 6.6)
    top, widest = 0.0, max(tensor.shape[2] for tensor in tensors.values())
    for name, tensor in tensors.items():
        height, width, channels = tensor.shape[1:]
        left, front = widest - width, tensor[0].detach().cpu()
        face = front.numpy() if channels == 3 else front.norm(dim=-1).numpy()
        slope = 0.12 * channels
        side = [
            (widest, top),
            (widest + channels, top - slope),
            (widest + channels, top - slope + height),
            (widest, top + height),
        ]
        roof = [(left, top), (left + channels, top - slope), (widest + channels, top - slope), (widest, top)]
        axes.fill(*zip(*side, strict=True), color=BLUE, alpha=0.55, linewidth=0)
        axes.fill(*zip(*roof, strict=True), color=BLUE, alpha=0.3, linewidth=0)
        axes.imshow(face, extent=(left, widest, top + height, top))
        text = f"{name}: {height} × {width} × {channels}" + f"  =  {tensor.numel():,} numbers"
        axes.text(widest + channels + 14, top - slope + height / 2, text, va="center", fontsize=10)
        top += height + 34 + 0.12 * next_length(tensors, name)
    axes.set(xlim=(0, widest + 1150), ylim=(top - 20, -30), aspect="equal")
    axes.axis("off")
    return drawn


def next_length(tensors: dict[str, Tensor], name: str) -> int:
    """Return the channels of the map after `name`, which rise above its front; 0 after the last."""
    lengths = [tensor.shape[-1] for tensor in tensors.values()] + [0]
    return lengths[list(tensors).index(name) + 1]


def window_reach(image: Tensor, patch: int, window: int, place: tuple[int, int]) -> Figure:
    """Draw what a token at `place` (row, column) may look at: the whole map, or its window."""
    height, width = image.shape[1] // patch, image.shape[2] // patch
    reach = np.zeros((height, width), bool)
    top, left = (start // window * window for start in place)
    reach[top : top + window, left : left + window] = True
    drawn, axes = figure(8.6, 4.5, columns=2)
    for axis, visible, title in zip(
        axes,
        (np.ones_like(reach), reach),
        ("everywhere", f"in its window of {window} × {window}"),
        strict=True,
    ):
        light = np.where(visible, 1.0, 0.3).repeat(patch, 0).repeat(patch, 1)[..., None]
        picture(axis, pixels(image) * light, f"attention {title}: {visible.sum():,} tokens")
        grid(axis, height * patch, width * patch, patch, linewidth=0.25, alpha=0.5)
        mark(axis, place[1] * patch, place[0] * patch, patch, patch)
    grid(axes[1], height * patch, width * patch, patch * window, color=ORANGE, linewidth=1)
    return drawn


def pyramid(image: Tensor, window: int) -> Figure:
    """Draw the four maps of Swin as mean colours, with their windows."""
    drawn = mosaics(image, patches=(4, 8, 16, 32))
    for stage, axis in enumerate(drawn.axes, 1):
        patch = 2 ** (stage + 1)
        side = image.shape[1] // patch
        grid(axis, side, side, window, color=ORANGE, linewidth=1.6)
        axis.set_title(f"stage {stage}: {side} × {side} tokens,\na window covers {window * patch} px")
    return drawn


def chapter_map(chapters: list, written: set[int]) -> Figure:
    """Draw the chapters in two columns; those written are filled, those planned are dashed."""
    drawn, (axes,) = figure(10, 4.9)
    rows = -(-len(chapters) // 2)
    for index, chapter in enumerate(chapters):
        x, y = divmod(index, rows)
        ready = chapter.number in written
        style: dict[str, Any] = {
            "fill": ready,
            "facecolor": BLUE + "33",
            "edgecolor": BLUE if ready else MUTED,
            "linewidth": 1.2,
        }
        box(axes, x, y, 0.96, 0.8, linestyle="-" if ready else "--", **style)
        axes.text(
            x + 0.02,
            y + 0.4,
            f"{chapter.number:02d}",
            va="center",
            weight="bold",
            color=INK if ready else MUTED,
        )
        axes.text(x + 0.08, y + 0.4, chapter.title, va="center", color=INK if ready else MUTED)
        axes.text(
            x + 0.37,
            y + 0.4,
            chapter.modules,
            va="center",
            family="DejaVu Sans Mono",
            fontsize=8,
            color=INK if ready else MUTED,
        )
    axes.set(xlim=(-0.01, 2), ylim=(rows, -0.7))
    axes.text(
        0,
        -0.3,
        "filled: written    dashed: planned    in type: the modules of swin_edu that the chapter's cells are",
        color=MUTED,
        fontsize=9,
    )
    axes.axis("off")
    return drawn
