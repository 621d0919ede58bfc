"""The explorer of the first page: patches, windows and the shift on one photograph."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import BLUE, MUTED, ORANGE, PAPER, box, figure, grid, hatch, picture

SIDE = 224


@dataclass(frozen=True)
class Layout:
    """Sizes in tokens, for a photograph of 224 × 224 pixels in one of Swin's four stages."""

    patch: int
    tokens: int
    window: int
    padded: int
    shift: int

    @classmethod
    def of(cls, stage: int, window: int, shift: int) -> "Layout":
        """Return the layout; the shift is off where the window covers the map."""
        patch = 4 * 2 ** (stage - 1)
        tokens = SIDE // patch
        padded = math.ceil(tokens / window) * window
        return cls(patch, tokens, window, padded, min(shift, window - 1) if window < tokens else 0)

    @property
    def per_side(self) -> int:
        """How many windows stand side by side."""
        return self.padded // self.window

    def spans(self, index: int) -> list[tuple[int, int]]:
        """Cut one side of a window where it wraps round the picture: (first token, how many)."""
        start = index * self.window + self.shift
        inside = min(self.window, self.padded - start)
        return (
            [(start, inside), (0, self.window - inside)] if inside < self.window else [(start, self.window)]
        )

    def pieces(self, chosen: int) -> list[tuple[int, int, int, int]]:
        """Return (row, column, height, width) of each piece of the picture in window `chosen`, from 1."""
        row, column = divmod(chosen - 1, self.per_side)
        return [(y, x, h, w) for y, h in self.spans(row) for x, w in self.spans(column)]

    def masked_share(self, chosen: int) -> float:
        """Return the share of the window's token pairs whose ends lie in different pieces."""
        together = sum((height * width) ** 2 for _, _, height, width in self.pieces(chosen))
        return 1 - together / self.window**4


class Overview(Explorer):
    """Stage, window size and shift on a photograph `(3, 224, 224)` with values in [0, 1]."""

    script = "overview.js"
    title = "Patches, windows and the shift on one photograph"
    stage = Slider(1, range(1, 5), "Stage")
    window = Slider(7, range(2, 15), "Window size M, tokens")
    shift = Slider(3, range(14), "Shift s, tokens")
    chosen = Slider(64, range(1, 28 * 28 + 1), "Window looked at")

    def __init__(self, image: Tensor, **state: int) -> None:
        if tuple(image.shape) != (3, SIDE, SIDE):
            raise ValueError(f"image has shape {tuple(image.shape)}; the overview takes (3, {SIDE}, {SIDE})")
        self.photo = as_photograph(image)
        super().__init__({"photo": self.photo}, **state)

    @property
    def layout_shown(self) -> Layout:
        """The sizes of the present state."""
        return Layout.of(self.stage, self.window, self.shift)

    def limits(self) -> dict[str, int]:
        """Return the largest shift and the last window."""
        return {"shift": self.window - 1, "chosen": self.layout_shown.per_side**2}

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        plan, state = self.layout_shown, self.state
        chosen = state["chosen"]
        parts = len(plan.pieces(chosen))
        off = " (off: the window covers the map)" if plan.shift < state["shift"] else ""
        padding = f", padded to {plan.padded} × {plan.padded}" if plan.padded > plan.tokens else ""
        return (
            f"Stage {self.stage}: {plan.tokens} × {plan.tokens} tokens "
            f"of {plan.patch} × {plan.patch} px{padding}. "
            f"{plan.per_side**2} windows of {plan.window} × {plan.window} tokens, "
            f"shifted by {plan.shift} tokens = {plan.shift * plan.patch} px{off}. "
            f"Window {chosen} holds {parts} piece{'s' if parts > 1 else ''} of the picture; "
            f"{100 * plan.masked_share(chosen):.1f} % of its token pairs are masked."
        )

    def still(self) -> Figure:
        """Draw the picture before and after the roll."""
        plan = self.layout_shown
        padded = np.full((plan.padded * plan.patch,) * 2 + (3,), 208, np.uint8)
        padded[:SIDE, :SIDE] = self.photo
        rolled = np.roll(padded, (-plan.shift * plan.patch,) * 2, axis=(0, 1))
        drawn, (left, right) = figure(9, 4.6, columns=2)
        self._panel(left, padded, "On the picture: the windows of the shifted block", plan.shift)
        self._panel(right, rolled, "After the roll: windows of equal size", 0)
        if plan.shift:
            kept, moved = (plan.padded - plan.shift) * plan.patch, plan.shift * plan.patch
            hatch(right, kept, 0, moved, kept + moved)
            hatch(right, 0, kept, kept, moved)
        for number, (row, column, height, width) in enumerate(plan.pieces(self.state["chosen"]), 1):
            rolled_place = [(place - plan.shift) % plan.padded for place in (row, column)]
            for axes, (y, x) in ((left, (row, column)), (right, rolled_place)):
                place = [value * plan.patch for value in (x, y, width, height)]
                box(axes, *place, edgecolor=BLUE, facecolor=BLUE + "c8", fill=True)
                style: dict[str, Any] = {"color": PAPER, "weight": "bold", "ha": "center", "va": "center"}
                axes.text(place[0] + place[2] / 2, place[1] + place[3] / 2, str(number), **style)
        return drawn

    def _panel(self, axes: Axes, pixels: np.ndarray, title: str, offset: int) -> None:
        plan = self.layout_shown
        size, step = plan.padded * plan.patch, plan.window * plan.patch
        picture(axes, pixels, title)
        edges = [edge for k in range(plan.per_side + 1) if (edge := k * step + offset * plan.patch) <= size]
        for color, width in ((MUTED, 2.4), (ORANGE, 1.3)):
            axes.vlines(edges, 0, size, color=color, linewidth=width)
            axes.hlines(edges, 0, size, color=color, linewidth=width)
        if plan.padded <= 28:
            grid(axes, size, size, plan.patch, alpha=0.35, linewidth=0.5)
