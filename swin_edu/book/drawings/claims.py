"""The drawings of chapter 16."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.common import as_array, pixels
from swin_edu.book.style import BLUE, MUTED, figure, mark, picture

DARK = 0.3  # of the picture, where the token hears nothing
DISCS = {"true": "●", "half true": "◐", "false": "○"}
PLACES = {"claim": 0.7, "parts that hold": 13.7, "verdict": 17.5}


class Row(NamedTuple):
    """A claim in a table: its number and text, how many of its parts hold, of how many, and the verdict."""

    number: int
    claim: str
    held: int
    parts: int
    verdict: str


def heard(image: Tensor, panels: Mapping[str, Tensor], place: tuple[int, int]) -> Figure:
    """Draw an image `(3, H, W)` once for each title, bright where the token at `place` hears from.

    Each panel is a map `(H/P, W/P)` of True and False.
    """
    drawn, axes = figure(10, 10 / len(panels) + 0.5, columns=len(panels))
    for axis, (title, bright) in zip(axes, panels.items(), strict=True):
        size = image.shape[1] // bright.shape[0]
        light = np.where(as_array(bright), 1.0, DARK).repeat(size, 0).repeat(size, 1)[..., None]
        picture(axis, pixels(image) * light, f"{title}:\n{int(bright.sum()):,} tokens")
        mark(axis, place[1] * size, place[0] * size, size, size, linewidth=1)
    return drawn


def verdicts(rows: Sequence[Row]) -> Figure:
    """Draw claims as a table; the disc before a verdict is as full as the claim is true."""
    drawn, (axes,) = figure(10, 0.26 * (len(rows) + 1.5))
    for title, x in PLACES.items():
        axes.text(x, -1, title, weight="bold", va="center")
    for y, row in enumerate(rows):
        axes.text(0.4, y, str(row.number), ha="right", va="center", weight="bold")
        axes.text(PLACES["claim"], y, row.claim, va="center", fontsize=8.5)
        axes.text(PLACES["parts that hold"] + 0.6, y, f"{row.held} of {row.parts}", va="center")
        axes.text(PLACES["verdict"], y, DISCS[row.verdict], va="center", color=BLUE, fontsize=14)
        axes.text(PLACES["verdict"] + 0.7, y, row.verdict, va="center")
    axes.hlines(np.arange(-1, len(rows)) + 0.5, -0.2, 20, color=MUTED, linewidth=0.3)
    axes.set(xlim=(-0.3, 20.1), ylim=(len(rows) - 0.4, -1.6))
    axes.axis("off")
    return drawn
