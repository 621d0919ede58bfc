"""The drawings of chapter 11."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.common import as_array, coloured, lightness, pixels
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
    picture,
)
from swin_edu.insight import BlockAttention
from swin_edu.windows import window_reverse

Place = tuple[int, int]  # row and column of a token
DARK, HEAT = 0.6, 0.7  # shares of the picture outside the window, and of the weights' colours inside


class Look(NamedTuple):
    """What one token has for the tokens of its map, `(h, w)` or `(heads, h, w)`, in one block."""

    seen: BlockAttention
    values: Tensor
    place: Place

    @property
    def window(self) -> np.ndarray:
        """The tokens `(h, w)` in the window of this one."""
        return self._mask() >= 0

    @property
    def hidden(self) -> np.ndarray:
        """Those of them that the mask hides from it."""
        return self._mask() == 0

    @property
    def allowed(self) -> np.ndarray:
        """Those that it may look at."""
        return self._mask() == 1

    def mean(self) -> "Look":
        """The mean over the heads."""
        return self._replace(values=self.values.mean(0))

    def _mask(self) -> np.ndarray:
        return as_array(self.seen.on_map(self.seen.mask[:, None].float(), *self.place, elsewhere=-1)[0])


def outline(axes: Axes, inside: np.ndarray, unit: float = 1, color: str = ORANGE, edge: str = INK) -> None:
    """Draw the border of all True cells of a map, in a color with an edge."""
    padded = np.pad(inside, 1)
    ys, xs = np.nonzero(padded[1:-1, :-1] != padded[1:-1, 1:])
    rows, columns = np.nonzero(padded[:-1, 1:-1] != padded[1:, 1:-1])
    for paint, linewidth in ((edge, 2.6), (color, 1.3)):
        style: dict[str, Any] = {
            "color": paint,
            "linewidth": linewidth,
            "capstyle": "projecting",
            "zorder": 0.8,
        }
        axes.vlines(xs * unit, ys * unit, (ys + 1) * unit, **style)
        axes.hlines(rows * unit, columns * unit, (columns + 1) * unit, **style)


def frame(axes: Axes, look: Look, unit: int, height: float, width: float) -> None:
    """Outline the window of a token and the token itself, and hatch what the mask hides from it."""
    for row, column in np.argwhere(look.hidden) * unit:
        hatch(axes, column, row, min(unit, width - column), min(unit, height - row))
    outline(axes, look.window, unit)
    row, column = (unit * place for place in look.place)
    mark(axes, column, row, min(unit, width - column), min(unit, height - row), linewidth=1.5)
    axes.set(xlim=(-0.02 * width, 1.02 * width), ylim=(1.02 * height, -0.02 * height))


def lit(axes: Axes, image: Tensor, look: Look, title: str, heat: bool = True) -> None:
    """Draw an image `(3, H, W)`, darker outside the window of one token; inside its weights as colours."""
    height, width = image.shape[1:]
    stride, weights = look.seen.stride, as_array(look.values)
    window, colors = (
        values.repeat(stride, 0).repeat(stride, 1)[:height, :width]
        for values in (look.window[..., None], colormaps["cividis"](weights / weights.max())[..., :3])
    )
    shown = pixels(image)
    inside = (1 - HEAT) * shown + HEAT * colors if heat else shown
    picture(axes, np.where(window, inside, DARK * shown), title)
    frame(axes, look, stride, height, width)


def lit_maps(image: Tensor, looks: dict[str, Look]) -> Figure:
    """Draw an image `(3, H, W)` once for each look; the title says the largest weight."""
    width = 10 / len(looks)
    drawn, axes = figure(10, width * image.shape[1] / image.shape[2] + 0.3, columns=len(looks))
    for place, (title, look) in zip(axes, looks.items(), strict=True):
        lit(place, image, look, f"{title}: up to {100 * look.values.max().item():.0f} %")
    return drawn


def signed_map(axes: Axes, look: Look, limit: float, title: str = "") -> None:
    """Draw what one token has for those of its window, from blue at -limit to orange at limit."""
    height, width = look.seen.size
    shown = np.ma.masked_where(~look.allowed, as_array(look.values))
    coloured(axes, shown, limit, signed=True, title=title)
    box(axes, 0, 0, width, height, edgecolor=MUTED, linewidth=0.6)
    frame(axes, look, 1, height, width)


def parts_of_token(image: Tensor, parts: dict[str, Look], weights: Look) -> Figure:
    """Draw parts of one token's logits on one scale of colours, numbers written, and the weights."""
    drawn, axes = figure(10, 10 / (len(parts) + 1) + 0.35, columns=len(parts) + 1)
    limit = max(float(np.nanmax(np.abs(as_array(look.values)))) for look in parts.values())
    for place, (title, look) in zip(axes, parts.items(), strict=False):
        signed_map(place, look, limit, title)
        for row, column in np.argwhere(look.allowed):
            number = f"{as_array(look.values)[row, column]:.1f}".replace("-0.0", "0.0").replace("-", "−")
            place.text(column + 0.5, row + 0.5, number, ha="center", va="center", fontsize=6)
    lit(axes[-1], image, weights, "weights: softmax of the sum")
    return drawn


def heads_of_token(axes: Axes, look: Look, chosen: int = 0) -> None:
    """Draw the weights of every head, `look.values` `(heads, h, w)`, on one scale; `chosen` is framed."""
    (height, width), weights = look.seen.size, as_array(look.values)
    for number, head in enumerate(weights, 1):
        left = (number - 1) * 1.15 * width
        colors = np.where(look.window[..., None], colormaps["cividis"](head / weights.max())[..., :3], 0.92)
        axes.imshow(colors, extent=(left, left + width, height, 0))
        style = {"edgecolor": BLUE, "linewidth": 3} if number == chosen else {"edgecolor": MUTED}
        box(axes, left, 0, width, height, **{"linewidth": 0.6, **style})
        axes.text(left + width / 2, -0.06 * height, str(number), ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(-0.05 * width, len(weights) * 1.15 * width), ylim=(1.06 * height, -0.3 * height))
    axes.set_title(f"all heads: dark 0 to bright {100 * weights.max():.0f} %")
    axes.axis("off")


def unrolling(image: Tensor, look: Look, window: int) -> Figure:
    """Draw the rolled picture with the window of one token, and the same window back in its places."""
    drawn, axes = figure(9.4, 3.4, columns=3)
    (height, width), stride = look.seen.size, look.seen.stride
    tokens = look.seen.tokens
    padded = [-(-side // window) * window for side in (height, width)]
    rolled = as_array(window_reverse(tokens[..., None], window, *padded)[0, ..., 0])
    patches = pixels(image).reshape(height, stride, width, stride, 3).swapaxes(1, 2)
    patches = patches.reshape(-1, stride, stride, 3)[rolled.clip(0)]
    whole = patches.swapaxes(1, 2).reshape(padded[0] * stride, padded[1] * stride, 3)
    number = look.place[0] * width + look.place[1]
    chosen = int((tokens == number).any(1).nonzero())
    top, left = (window * place for place in divmod(chosen, padded[1] // window))
    wrong = np.zeros(padded, bool)
    wrong[top : top + window, left : left + window] = True
    right = np.isin(np.arange(height * width), as_array(tokens[chosen])).reshape(height, width)
    titles = ("rolled, with its window", "the window where the roll left it", "back in its places")
    for place, shown, inside, title in zip(
        axes,
        (whole, pixels(image), pixels(image)),
        (wrong, wrong[:height, :width], right),
        titles,
        strict=True,
    ):
        light = lightness(inside, stride, 0.35)
        picture(place, shown * light, title)
        grid(place, shown.shape[0], shown.shape[1], stride, linewidth=0.25, alpha=0.5)
        outline(place, inside, stride)
    for row, column in np.argwhere(rolled < 0) * stride:
        hatch(axes[0], column, row, stride, stride)
    row, column = np.argwhere(rolled == number)[0] * stride
    mark(axes[0], column, row, stride, stride, linewidth=1.5)
    frame(axes[2], look, stride, *image.shape[1:])
    return drawn


def tables_of_heads(tables: dict[str, Tensor]) -> Figure:
    """Draw tables `(heads, 2M - 1, 2M - 1)`, a row for each entry, each row on its own scale."""
    heads = max(len(table) for table in tables.values())
    drawn, axes = figure(1.5 * heads + 1.2, 1.75 * len(tables), columns=heads, rows=len(tables))
    for row, (name, table) in enumerate(tables.items()):
        limit, middle = float(table.abs().max()), table.shape[-1] / 2
        for head, values in enumerate(table):
            place = axes[row * heads + head]
            coloured(place, as_array(values), limit, signed=True, title="" if row else f"head {head + 1}")
            box(place, 0, 0, 2 * middle, 2 * middle, edgecolor=MUTED, linewidth=0.6)
            place.plot(middle, middle, ".", color=INK, markersize=3)
        text = f"{name}\n±{limit:.2f}"
        axes[row * heads].text(-0.6, middle, text, ha="right", va="center")
    return drawn


def distances_of_heads(distances: dict[str, Tensor], alike: dict[str, float]) -> Figure:
    """Draw the mean distance of each head in pixels, a column for each block; a line for equal weights."""
    drawn, (axes,) = figure(8.6, 3)
    for x, (values, line) in enumerate(zip(distances.values(), alike.values(), strict=True)):
        axes.hlines(line, x - 0.4, x + 0.4, color=ORANGE, linewidth=2, label="" if x else "equal weights")
        for head, value in enumerate(values.tolist(), 1):
            at = x - 0.35 + 0.7 * (head - 0.5) / len(values)
            axes.plot(at, value, "o", color=BLUE, markersize=10)
            axes.text(at, value, str(head), ha="center", va="center", fontsize=7, color=PAPER)
    axes.set(xticks=range(len(distances)), xticklabels=list(distances), xlim=(-0.5, len(distances) - 0.5))
    axes.set_ylabel("mean distance, pixels")
    axes.set_ylim(0, 1.15 * max(float(values.max()) for values in distances.values()))
    axes.legend(loc="upper left", frameon=False)
    return drawn


def maps_of_objects(
    images: Tensor, objects: Tensor, maps: dict[str, Tensor], signed: Collection[str] = ()
) -> Figure:
    """Draw images `(n, 3, H, W)` in rows, maps `(n, H, W)` beside them, and the object's outline in each.

    Maps named in `signed` are blue below zero and orange above, the others dark to bright; each to its scale.
    """
    rows, columns = len(images), len(maps) + 1
    drawn, axes = figure(1.9 * columns, 1.9 * rows + 0.3, columns=columns, rows=rows)
    for row, (image, inside) in enumerate(zip(images, objects, strict=True)):
        places = axes[row * columns : (row + 1) * columns]
        picture(places[0], pixels(image), "" if row else "picture")
        for place, (title, values) in zip(places[1:], maps.items(), strict=True):
            limit = float(values[row].abs().max())
            coloured(place, as_array(values[row]), limit, title in signed, "" if row else title)
        for place in places:
            outline(place, as_array(inside), color=INK, edge=PAPER)
            box(place, 0, 0, inside.shape[1], inside.shape[0], edgecolor=MUTED, linewidth=0.6)
    if signed:
        axes[-1].text(
            1, -0.04, "orange: for, blue: against", transform=axes[-1].transAxes, ha="right", va="top"
        )
    return drawn


def explanation(image: Tensor, best: dict[str, float], named: str, maps: dict[str, Tensor]) -> Figure:
    """Draw an image `(3, H, W)`, bars of the likeliest classes, and maps `(H, W)` of what speaks for one.

    Evidence is blue against the class and orange for it, other maps are dark to bright.
    """
    drawn, axes = figure(11, 2.5, columns=2 + len(maps))
    picture(axes[0], pixels(image), "picture")
    colors = [ORANGE if name == named else BLUE for name in best]
    axes[1].barh(range(len(best)), list(best.values()), color=colors, height=0.4)
    for row, (name, share) in enumerate(best.items()):
        axes[1].text(0, row - 0.28, f"{name} {100 * share:.0f} %", va="bottom", fontsize=9)
    axes[1].set(xlim=(0, 1), ylim=(len(best) - 0.5, -0.9), title="likeliest classes")
    axes[1].axis("off")
    for place, (title, values) in zip(axes[2:], maps.items(), strict=True):
        signed = title.startswith("evidence")
        limit = float(values.abs().max())
        coloured(place, as_array(values), limit, signed, title + signed * f"\nfor {named}")
        box(place, 0, 0, values.shape[1], values.shape[0], edgecolor=MUTED, linewidth=0.6)
    return drawn


def dots(values: dict[str, Tensor], label: str, others: dict[str, Tensor]) -> Figure:
    """Draw one dot for each number in `(n,)`, in a row for each entry, and lines at both means."""
    drawn, (axes,) = figure(8.8, 0.5 * len(values) + 1.2)
    for row, (name, numbers) in enumerate(values.items()):
        ordered = as_array(numbers.sort().values)
        height = 0.28 * np.sin(np.arange(len(ordered)) * 2.4)  # so that no dot hides another
        axes.plot(ordered, row + height, "o", color=BLUE, alpha=0.55, markersize=3.5, markeredgewidth=0)
        means = float(ordered.mean()), float(others[name].mean())
        for mean, color, style, title in zip(
            means, (ORANGE, INK), ("-", ":"), ("mean", "mean on another scene's shape"), strict=True
        ):
            axes.vlines(
                mean,
                row - 0.4,
                row + 0.4,
                color=color,
                linestyle=style,
                linewidth=2.5,
                label="" if row else title,
            )
        text = f"{means[0]:.2f}, other {means[1]:.2f}"
        axes.text(1.01, row, text, va="center", transform=axes.get_yaxis_transform())
    axes.set(
        yticks=range(len(values)), yticklabels=list(values), ylim=(len(values) - 0.5, -0.5), xlabel=label
    )
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False, ncols=2)
    return drawn


def hidden_patches(counts: Sequence[int], shares: dict[str, dict[str, list[float]]], patches: int) -> Figure:
    """Draw shares of pictures named otherwise against the patches hidden: panels, a line for each entry."""
    drawn, panels = figure(10, 3.6, columns=len(shares))
    styles = (("o--", MUTED), ("s-", BLUE), ("^-", ORANGE), ("D-", GREEN))
    for axes, (title, lines) in zip(panels, shares.items(), strict=True):
        for (name, values), (line, color) in zip(lines.items(), styles, strict=False):
            axes.plot(counts, values, line, color=color, label=name)
        axes.set(xticks=counts, ylim=(0, 1.5), yticks=(0, 0.5, 1), title=title)
        axes.set_xlabel(f"patches hidden, of {patches}")
        axes.legend(loc="upper left", frameon=False, fontsize=9)
    panels[0].set_ylabel("share named otherwise")
    return drawn


def fields(reached: dict[str, Tensor], gradients: dict[str, Tensor]) -> Figure:
    """Draw which pixels `(H, W)` can reach a token, and below how strongly they do, on a log scale."""
    count = len(reached)
    drawn, axes = figure(10, 4.1, columns=count, rows=2)
    for place, title, inside in zip(axes, reached, reached.values(), strict=False):
        picture(place, as_array(inside).astype(float), title)
        place.images[0].set(cmap="gray", clim=(-0.6, 1.25))
    for place, title, size in zip(axes[count:], gradients, gradients.values(), strict=True):
        picture(place, np.log10(as_array(size / size.max()).clip(1e-6)), title)
        place.images[0].set(cmap=colormaps["cividis"].resampled(8), clim=(-4, 0))
    for place, inside in zip(axes, 2 * list(reached.values()), strict=True):
        outline(place, as_array(inside))
        box(place, 0, 0, inside.shape[1], inside.shape[0], edgecolor=MUTED, linewidth=0.6)
    for place, name in ((axes[0], "reachable"), (axes[count], "effective")):
        place.text(-0.06 * inside.shape[1], inside.shape[0] / 2, name, ha="right", va="center", rotation=90)
    return drawn
