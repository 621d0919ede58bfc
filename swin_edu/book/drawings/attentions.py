"""The drawings of chapter 13."""

from collections.abc import Collection, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter
from torch import Tensor

from swin_edu.book.drawings.common import as_array, coloured, pixels
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
    picture,
)

Series = tuple[Sequence[float], Sequence[float]]  # places across, and heights
# One marker, line and colour for each attention in all pictures; other names take those that are left over.
STYLES = {
    "exact": ("o-", INK),
    "windows": ("s-", BLUE),
    "Performer": ("^-", ORANGE),
    "Linformer": ("D-", GREEN),
    "Routing": ("v-", PURPLE),
    "exact, written out": ("o:", MUTED),
}
FEW = 20  # points of a line with markers
OTHERS = (("o-", BLUE), ("s--", ORANGE), ("^-", GREEN), ("D--", PURPLE), ("v-", INK), ("x:", MUTED))


def weight_matrices(matrices: dict[str, Tensor], difference: bool = False) -> Figure:
    """Draw weights `(N, N)`, a row for each query, on the scale of the first; white: never compared.

    With `difference` a last panel holds the second less the first. Colours follow the root of the weights.
    """
    values = [as_array(matrix) for matrix in matrices.values()]
    size, columns, limit = len(values[0]), len(values) + difference, float(values[0].max())
    drawn, axes = figure(10, 10 / max(columns, 3) + 0.4, columns=columns)
    below = [f"dark 0 to bright {limit:.3f}"]
    below += ["same colours" + ", cut above" * bool(v.max() > limit) for v in values[1:]]
    below = [
        text + "; white: not compared" * bool((v == 0).any()) for text, v in zip(below, values, strict=True)
    ]
    for place, title, shown in zip(axes, matrices, values, strict=False):
        coloured(place, root(np.ma.masked_equal(shown, 0) / limit), 1, signed=False, title=title)
    if difference:
        coloured(axes[-1], root((values[1] - values[0]) / limit), 1, signed=True, title="the difference")
        below.append("blue: too little, orange: too much")
    for place, text in zip(axes, below, strict=True):
        box(place, 0, 0, size, size, edgecolor=MUTED, linewidth=0.8)
        place.text(0, -0.03, text, transform=place.transAxes, va="top", fontsize=9, color=MUTED)
    return drawn


def root(values: np.ndarray) -> np.ndarray:
    """Return the roots of values, with their signs."""
    return np.sign(values) * np.abs(values) ** 0.5


def matrices_to_scale(rows: dict[str, dict[str, Tensor]]) -> Figure:
    """Draw matrices side by side, a line for each entry, all to one scale; each has its own colours."""
    widths = [sum(m.shape[1] for m in row.values()) for row in rows.values()]
    heights = [max(m.shape[0] for m in row.values()) for row in rows.values()]
    gap = 0.09 * max(widths)
    across = max(width + gap * (len(row) - 1) for width, row in zip(widths, rows.values(), strict=True))
    unit = min(9.5 / across, 2.2 / max(heights))
    drawn, axes = figure(10, sum(unit * h + 0.55 for h in heights), rows=len(rows), height_ratios=heights)
    for place, (name, row), height in zip(axes, rows.items(), heights, strict=True):
        left = 0.0
        for title, matrix in row.items():
            tall, wide = matrix.shape
            values, top = as_array(matrix), (height - tall) / 2
            signed = bool((values < 0).any())
            place.imshow(
                values / np.abs(values).max(),
                extent=(left, left + wide, top + tall, top),
                cmap=SIGNED if signed else "cividis",
                clim=(-1 if signed else 0, 1),
            )
            box(place, left, top, wide, tall, edgecolor=MUTED, linewidth=0.8)
            text = f"{title}\n{tall} × {wide}"
            place.text(left + wide / 2, top - 0.02 * height, text, ha="center", va="bottom", fontsize=9)
            left += wide + gap
        place.set(xlim=(0, across), ylim=(height, -0.28 * height))
        place.set_title(name, loc="left", fontweight="bold", pad=2)
        place.axis("off")
    return drawn


def estimates(panels: dict[str, tuple[Tensor, Tensor, Tensor]]) -> Figure:
    """Draw means of estimates with their 95 % intervals against the truth, all as shares of the truth."""
    drawn, axes = figure(10, 2.9, columns=len(panels))
    for place, (title, (truth, means, halves)) in zip(axes, panels.items(), strict=True):
        x, y, bars = (as_array(values) for values in (truth, means / truth, halves / truth))
        place.axhline(1, color=INK, linewidth=1)
        place.errorbar(x, y, bars, fmt="o", color=BLUE, markersize=4, capsize=2, elinewidth=1)
        place.set(xscale="log", title=title, xlabel="exp(q · k)")
        plain_numbers(place.xaxis)
    axes[0].set_ylabel("mean of the estimates / truth")
    return drawn


def lines(
    panels: dict[str, dict[str, Series]],
    across: str,
    up: str,
    log: str = "xy",
    dots: Collection[str] = (),
    note: str = "",
) -> Figure:
    """Draw a line for each name in each panel, only its points for those in `dots`; `note` stands below all.

    `log` names the axes with logarithms.
    """
    drawn, axes = figure(10, 3.4, columns=len(panels))
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    others = iter(OTHERS)
    styles = {name: STYLES[name] if name in STYLES else next(others) for name in names}
    for place, (title, series) in zip(axes, panels.items(), strict=True):
        for name, (x, y) in series.items():
            form, color = styles[name]
            form = form[0] if name in dots else form[len(x) > FEW :]  # many points: the line alone
            place.plot(x, y, form, color=color, label=name, markersize=5)
        place.set(title=title, xlabel=across)
        if "x" in log:
            place.set_xscale("log")
            plain_numbers(place.xaxis)
        if "y" in log:
            place.set_yscale("log")
            plain_numbers(place.yaxis)
    axes[0].set_ylabel(up)
    every = [place.get_legend_handles_labels() for place in axes]
    handles = {name: handle for found, text in every for handle, name in zip(found, text, strict=True)}
    drawn.legend(handles.values(), handles, loc="outside upper center", ncols=6, frameon=False)
    if note:
        drawn.supxlabel(note, fontsize=9, color=MUTED)
    return drawn


def plain_numbers(axis: Axis) -> None:
    """Write plain numbers on an axis with logarithms: 1, 2, 5, 10 … if it is short, else powers of ten."""
    low, high = axis.get_data_interval()
    axis.set_major_locator(LogLocator(10, (1, 2, 5) if high / low < 200 else (1,)))
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axis.set_minor_formatter(NullFormatter())


def clusters_on_photograph(image: Tensor, members: Tensor, size: tuple[int, int]) -> Figure:
    """Draw the tokens of each cluster `(K, w)` on a photograph, and in how many clusters each token is.

    Tokens in none are hatched, tokens in several have their number.
    """
    (height, width), shown = size, pixels(image)
    tall, wide = image.shape[1] // height, image.shape[2] // width
    drawn, axes = figure(10, 10 / (len(members) + 1) + 0.4, columns=len(members) + 1)
    counts = np.zeros(height * width, int)
    for number, (place, chosen) in enumerate(zip(axes, as_array(members), strict=False), 1):
        counts[chosen] += 1
        inside = np.isin(np.arange(height * width), chosen).reshape(height, width)
        light = np.where(inside, 1, 0.15).repeat(tall, 0).repeat(wide, 1)[..., None]
        picture(place, 1 - light * (1 - shown), f"cluster {number}: {len(chosen)} tokens")
    in_how_many(axes[-1], shown, counts.reshape(height, width), tall, wide)
    return drawn


def in_how_many(axes: Axes, shown: np.ndarray, counts: np.ndarray, tall: int, wide: int) -> None:
    """Draw a photograph with the tokens in no cluster hatched, and numbers on those in several."""
    picture(axes, 0.5 + 0.5 * shown, f"hatched: in none, {(counts == 0).mean():.0%}")
    for row, column in np.argwhere(counts == 0):
        hatch(axes, column * wide, row * tall, wide, tall)
    for row, column in np.argwhere(counts > 1):
        x, y = (column + 0.5) * wide, (row + 0.5) * tall
        box(axes, column * wide, row * tall, wide, tall, fill=True, facecolor=PAPER, linewidth=0, alpha=0.6)
        axes.text(x, y, str(counts[row, column]), ha="center", va="center", fontsize=7, color=INK)
