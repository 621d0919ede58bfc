"""The drawings of chapter 16."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from swin_edu.book.style import BLUE, MUTED, figure

if TYPE_CHECKING:  # it imports the explorers, which import drawings
    from swin_edu.book.claims import Decision

DISCS = {"true": "●", "half true": "◐", "false": "○"}
PLACES = {"claim": 0.7, "parts that hold": 13.7, "verdict": 17.5}


def verdicts(decisions: "Sequence[Decision]") -> Figure:
    """Draw claims as a table; the disc before a verdict is as full as the claim is true."""
    drawn, (axes,) = figure(10, 0.26 * (len(decisions) + 1.5))
    for title, x in PLACES.items():
        axes.text(x, -1, title, weight="bold", va="center")
    for y, each in enumerate(decisions):
        axes.text(0.4, y, str(each.number), ha="right", va="center", weight="bold")
        parts = f"{sum(each.findings.values())} of {len(each.findings)}"
        axes.text(PLACES["claim"], y, each.claim, va="center", fontsize=8.5)
        axes.text(PLACES["parts that hold"] + 0.6, y, parts, va="center")
        axes.text(PLACES["verdict"], y, DISCS[each.verdict], va="center", color=BLUE, fontsize=14)
        axes.text(PLACES["verdict"] + 0.7, y, each.verdict, va="center")
    axes.hlines(np.arange(-1, len(decisions)) + 0.5, -0.2, 20, color=MUTED, linewidth=0.3)
    axes.set(xlim=(-0.3, 20.1), ylim=(len(decisions) - 0.4, -1.6))
    axes.axis("off")
    return drawn
