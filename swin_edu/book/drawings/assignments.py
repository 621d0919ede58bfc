"""Drawings of the checks and the assignments."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from swin_edu.book.style import INK, ORANGE, PAPER, box, figure, picture

Rows = list[list[float]]
MOST_NUMBERS = 100  # cells of a map that still have room for their numbers


def target_and_yours(target: Rows, yours: Rows) -> Figure:
    """Draw two maps of numbers on one scale; where their shapes agree, wrong cells have an orange frame."""
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
    if maps[0].shape == maps[1].shape:
        for row, column in np.argwhere(~np.isclose(maps[1], maps[0], rtol=1e-3, atol=1e-5)):
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
