"""The drawings of chapter 8."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.common import pixels, window_lines
from swin_edu.book.style import (
    BLUE,
    GREEN,
    INK,
    MUTED,
    ORANGE,
    PAPER,
    SIGNED,
    box,
    figure,
    grid,
    hatch,
    mosaic,
    picture,
)

CENTRED: dict[str, Any] = {"ha": "center", "va": "center"}
STEP = 1.24  # from one column of the model to the next; a picture is 1 wide


def whole_model(
    image: Tensor, maps: list[Tensor], depths: tuple[int, ...], heads: tuple[int, ...], scores: Tensor
) -> Figure:
    """Draw an image `(3, H, W)`, the map `(H, W, C)` of each stage above its layers, and the scores `(K,)`.

    A map is drawn by its first channel. Hatched boxes are the blocks whose windows are shifted.
    """
    drawn, (axes,) = figure(10, 4.6)
    last = STEP * (1 + len(maps))
    faces = [pixels(image), *(x.detach().cpu()[..., 0].numpy() for x in maps)]
    shapes = [(*image.shape[1:], 3), *(tuple(x.shape) for x in maps)]
    names = ["picture", *(f"stage {stage}" for stage in range(1, len(maps) + 1))]
    for column, (face, shape, name) in enumerate(zip(faces, shapes, names, strict=True)):
        axes.imshow(face, extent=(STEP * column, STEP * column + 1, 1, 0))
        axes.text(STEP * column + 0.5, -0.2, f"{name}\n{' × '.join(map(str, shape))}", **CENTRED)
        arrow(axes, STEP * (column + 1), 0.5)
    for stage, (depth, count) in enumerate(zip(depths, heads, strict=True)):
        layer(axes, STEP * (stage + 1), 0, "merging" if stage else "patches, linear", GREEN)
        for block in range(depth):
            layer(axes, STEP * (stage + 1), 1 + block, f"block, {count} heads", BLUE, shifted=block % 2 == 1)
    for row, text in enumerate(("norm", "mean", f"linear: {len(scores):,}")):
        layer(axes, last, row, text, ORANGE)
    values = scores.detach().cpu().float()
    heights = 0.5 - 0.45 * values / values.abs().max()
    axes.vlines([last + i / len(values) for i in range(len(values))], 0.5, heights, color=INK, linewidth=0.3)
    axes.text(last + 0.5, -0.2, f"scores\n{len(scores):,}", **CENTRED)
    axes.set(xlim=(-0.05, last + 1.05), ylim=(1.4 + 0.2 * max(*depths, 3), -0.45), aspect="equal")
    axes.axis("off")
    return drawn


def arrow(axes: Axes, x: float, y: float) -> None:
    """Draw an arrow to the right that ends just before x."""
    axes.annotate("", (x - 0.01, y), (x - STEP + 1.01, y), arrowprops={"arrowstyle": "->", "color": INK})


def layer(axes: Axes, x: float, row: int, text: str, color: str, shifted: bool = False) -> None:
    """Draw one layer as a box in the list below a map."""
    y = 1.1 + 0.2 * row
    box(axes, x, y, 1, 0.17, fill=True, facecolor=color + "33", edgecolor=color, linewidth=1)
    if shifted:
        box(axes, x, y, 1, 0.17, hatch="////", edgecolor=color + "66", linewidth=0)
    axes.text(x + 0.5, y + 0.085, text, fontsize=8, **CENTRED)


def stage_maps(maps: list[Tensor], windows: list[int]) -> Figure:
    """Draw the first channel of each stage's map `(H, W, C)` in its windows; hatched: the padding."""
    drawn, axes = figure(10, 10 / len(maps) + 0.6, columns=len(maps))
    for stage, (axis, x, window) in enumerate(zip(axes, maps, windows, strict=True), 1):
        height, width = x.shape[:2]
        high, wide = (-(-side // window) * window for side in (height, width))
        picture(axis, x.detach().cpu()[..., 0].numpy())
        hatch(axis, width, 0, wide - width, high)
        hatch(axis, 0, height, width, high - height)
        window_lines(axis, high, wide, window)
        axis.set(xlim=(-0.02 * wide, 1.02 * wide), ylim=(1.02 * high, -0.02 * high))
        padding = 100 * (1 - height * width / (high * wide))
        axis.set_title(
            f"stage {stage}: {height} × {width}\nwindows: {high // window} × {wide // window}\n"
            f"padding: {padding:.0f} %"
        )
    return drawn


def padding_of_sides(sides: list[int], shares: dict[str, list[float]]) -> Figure:
    """Draw the share of padding, in per cent, against the side of the picture, a line for each name."""
    drawn, (axes,) = figure(9, 3)
    for (name, values), style in zip(shares.items(), (":", "--", "-"), strict=True):
        axes.plot(sides, values, style, label=name)
    axes.set(xlabel="side of the picture, pixels", ylabel="padding, %", ylim=(0, 100))
    axes.set_xticks(range(32, sides[-1] + 1, 32))
    axes.legend(frameon=False, ncols=len(shares))
    return drawn


def models_compared(
    found: dict[tuple[str, int], tuple[int, int]], paper: dict[tuple[str, int], tuple[int, float]]
) -> Figure:
    """Draw multiply-adds against parameters: a dot for what was counted, a ring for the paper's figures.

    The keys are the name and the side of the image.
    """
    drawn, (axes,) = figure(9, 3.8)
    for (name, side), (parameters, work) in found.items():
        millions, billions = paper[name, side]
        axes.plot(millions, billions, "o", markersize=15, markerfacecolor="none", markeredgecolor=ORANGE)
        axes.plot(parameters / 1e6, work / 1e9, "o", markersize=5, color=BLUE)
        axes.annotate(
            f"{name}, {side}", (millions, billions), (11, -3), textcoords="offset points", fontsize=9
        )
    axes.set(xscale="log", yscale="log", xlabel="parameters, M", ylabel="multiply-adds, G", xlim=(24, 300))
    axes.set_xticks([25, 50, 100, 200], ["25", "50", "100", "200"])
    axes.set_yticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
    axes.minorticks_off()
    return drawn


def histogram(values: Tensor, marks: tuple[float, float]) -> Figure:
    """Draw how often values occur; dashed lines at the marks."""
    drawn, (axes,) = figure(8, 2.2)
    axes.hist(values.detach().cpu().flatten().numpy(), bins=100, color=BLUE)
    for place in marks:
        axes.axvline(place, color=ORANGE, linestyle="--", linewidth=2)
    axes.set(xlabel="weight", ylabel="how often")
    return drawn


def where_it_goes(panels: dict[str, dict[str, int]]) -> Figure:
    """Draw what each part of the model has or costs, as shares of the whole: a panel for each title."""
    drawn, axes = figure(10, 2.9, columns=len(panels), sharey=True)
    for axis, (title, parts) in zip(axes, panels.items(), strict=True):
        total = sum(parts.values())
        for place, count in enumerate(parts.values()):
            share = 100 * count / total
            axis.bar(place, share, color=BLUE, width=0.7)
            axis.text(
                place, share + 1, f"{share:.0f} %" if share >= 0.5 else "< 1 %", ha="center", fontsize=9
            )
        axis.set_xticks(range(len(parts)), list(parts), rotation=35)
        axis.set(title=title, ylim=(0, 100))
    axes[0].set_ylabel("share, %")
    return drawn


def cost_of_images(sides: list[int], counts: dict[str, list[int]]) -> Figure:
    """Draw multiply-adds against the side of the image, a line for each name."""
    drawn, (axes,) = figure(9, 3.4)
    for (name, values), style in zip(counts.items(), ("o-", "s--", "^:"), strict=False):
        axes.plot(sides, [value / 1e9 for value in values], style, label=name)
        axes.annotate(
            f"{values[-1] / 1e9:,.0f}", (sides[-1], values[-1] / 1e9), (6, 0), textcoords="offset points"
        )
    axes.set(xscale="log", yscale="log", xlabel="side of the image, pixels", ylabel="multiply-adds, G")
    axes.set_xticks(sides, [str(side) for side in sides])
    axes.minorticks_off()
    axes.legend(frameon=False)
    return drawn


def along_the_blocks(series: dict[str, list[float]], ylabel: str) -> Figure:
    """Draw one number for each block of a model, a line for each name."""
    drawn, (axes,) = figure(9, 2.8)
    for (name, values), style in zip(series.items(), ("o-", "s--", "^:"), strict=False):
        axes.plot(range(1, len(values) + 1), values, style, markersize=4, label=name)
    axes.set(xlabel="block, counted through all stages", ylabel=ylabel)
    axes.set_xticks(range(1, max(map(len, series.values())) + 1))
    axes.legend(frameon=False)
    return drawn


def parameters_changed(kinds: dict[str, tuple[int, int]]) -> Figure:
    """Draw how many parameters of each kind version 1 and version 2 have, with the numbers."""
    drawn, (axes,) = figure(9, 0.62 * len(kinds) + 0.7)
    longest = max(map(max, kinds.values()))
    for row, counts in enumerate(kinds.values()):
        for version, count in enumerate(counts):
            y = row + 0.36 * version
            color, mark = ((BLUE, ""), (ORANGE, "////"))[version]
            axes.barh(y, count, 0.32, color=color + "99", edgecolor=color, hatch=mark, align="edge")
            axes.text(
                count + longest / 100, y + 0.16, f"version {version + 1}: {count:,}", va="center", fontsize=9
            )
    axes.set_yticks([row + 0.34 for row in range(len(kinds))], list(kinds))
    axes.set(xlim=(0, 1.2 * longest), ylim=(len(kinds) - 0.1, -0.2), xticks=[])
    return drawn


def resized_tables(tables: dict[str, Tensor]) -> Figure:
    """Draw position tables `(R, R)` of one head side by side, to one scale of values."""
    drawn, axes = figure(9, 3.3, columns=len(tables))
    limit = max(float(table.detach().abs().max()) for table in tables.values())
    for axis, (title, table) in zip(axes, tables.items(), strict=True):
        picture(axis, table.detach().cpu().numpy(), title)
        axis.images[0].set(cmap=SIGNED, clim=(-limit, limit))
        grid(axis, table.shape[0], table.shape[1], 1, color=MUTED, linewidth=0.3)
    drawn.colorbar(axes[-1].images[0], ax=axes, shrink=0.8)
    return drawn


def pieces_of_weights(weight: Tensor, pieces: list[str], names: dict[str, list[str]]) -> Figure:
    """Draw a weight `(R, C)` in equal pieces, and beside it the names that each library gives to it."""
    drawn, axes = mosaic(10, 3.2, [["weight", "names"]], width_ratios=[1, 2.4])
    rows, columns = weight.shape
    picture(axes["weight"], weight.detach().cpu().numpy(), f"one tensor, {rows} × {columns}")
    limit = float(weight.detach().abs().max())
    axes["weight"].images[0].set(cmap=SIGNED, clim=(-limit, limit))
    axes["weight"].set_aspect("auto")
    for index, piece in enumerate(pieces):
        box(axes["weight"], 0, index * rows / len(pieces), columns, rows / len(pieces), edgecolor=INK)
        label: dict[str, Any] = {"weight": "bold", "bbox": {"fc": PAPER, "ec": "none", "pad": 2}}
        axes["weight"].text(columns / 2, (index + 0.5) * rows / len(pieces), piece, **CENTRED, **label)
    for column, (library, theirs) in enumerate(names.items()):
        axes["names"].text(column + 0.5, -0.06, library, weight="bold", fontsize=9, **CENTRED)
        for row, name in enumerate(theirs):
            y, height = row / len(theirs), 1 / len(theirs)
            box(axes["names"], column + 0.03, y + 0.01, 0.94, height - 0.02, edgecolor=BLUE, linewidth=1)
            block, *rest = name.rsplit(".", 3)
            lines = f"{block}.\n{'.'.join(rest)}"
            axes["names"].text(column + 0.5, y + height / 2, lines, fontsize=8, **CENTRED)
    axes["names"].set(xlim=(0, len(names)), ylim=(1, -0.1))
    axes["names"].axis("off")
    return drawn


def mistakes(errors: dict[str, float], harmless: dict[str, float], limit: float) -> Figure:
    """Draw by how much each change moves the scores, and the limit that a test sets; hatched: no mistake."""
    drawn, (axes,) = figure(9, 0.34 * (len(errors) + len(harmless)) + 0.9)
    ordered = sorted((errors | harmless).items(), key=lambda item: -item[1])
    for row, (name, error) in enumerate(ordered):
        color, mark = (GREEN, "////") if name in harmless else (BLUE, "")
        axes.barh(row, error, 0.7, color=color + "66", edgecolor=color, hatch=mark)
        axes.text(error * 1.6, row, f"{error:.0e}", va="center", fontsize=9)
    axes.axvline(limit, color=ORANGE, linewidth=2, linestyle="--")
    axes.set_yticks(range(len(ordered)), [name for name, _ in ordered])
    axes.set(xscale="log", xlabel="largest difference of a score; dashed: the limit of the test")
    axes.set_xlim(ordered[-1][1] / 30, 100 * ordered[0][1])
    axes.invert_yaxis()
    return drawn
