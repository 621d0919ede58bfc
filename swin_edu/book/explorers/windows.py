"""The explorer of chapter 3: windows on one photograph, one window enlarged, and what they cost."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.common import window_lines
from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import BLUE, MUTED, ORANGE, PAPER, hatch, mark, mosaic, picture

SIDES = range(64, 897, 32)  # pixels: every stage has whole tokens
SIZES = range(4, 17)
PLACES = 28  # along a side of the photograph


@dataclass(frozen=True)
class Cost:
    """Sizes in tokens of the map of one stage, and what one attention layer on it costs."""

    token: int  # pixels a side
    tokens: int  # a side
    padded: int  # tokens a side after padding
    per_side: int  # windows
    pairs: int
    global_pairs: int
    adds: int  # multiply-adds
    global_adds: int

    @classmethod
    def of(cls, side: int, stage: int, window: int) -> "Cost":
        """Return the sizes and costs of one layer of Swin-T: padded tokens are paid for like all others."""
        token, channels = 4 * 2 ** (stage - 1), 96 * 2 ** (stage - 1)
        tokens = side // token
        padded = math.ceil(tokens / window) * window
        pairs, global_pairs = padded**2 * window**2, tokens**4
        adds = 4 * padded**2 * channels**2 + 2 * pairs * channels
        global_adds = 4 * tokens**2 * channels**2 + 2 * global_pairs * channels
        return cls(token, tokens, padded, padded // window, pairs, global_pairs, adds, global_adds)

    @property
    def windows(self) -> str:
        """The number of windows, in words."""
        return "1 window" if self.per_side == 1 else f"{self.per_side**2:,} windows"


class Windows(Explorer):
    """Image side, stage and window size, on a square photograph `(3, H, H)` with values in [0, 1]."""

    script = "windows.js"
    title = "Windows and what they cost"
    side = Slider(224, SIDES, "Image side, pixels")
    stage = Slider(1, range(1, 5), "Stage")
    window = Slider(7, SIZES, "Window size M, tokens")
    place = Slider(463, range(1, PLACES**2 + 1), "Place looked at")

    def __init__(self, image: Tensor, **state: int) -> None:
        shape = tuple(image.shape)
        if len(shape) != 3 or shape[0] != 3 or shape[1] != shape[2] or not 1 <= shape[1] <= 224:
            raise ValueError(f"image has shape {shape}; it must be (3, H, H) with H at most 224")
        self.photo = as_photograph(image)
        super().__init__({"photo": self.photo}, **state)

    @property
    def cost(self) -> Cost:
        """Sizes and costs of the present state."""
        return Cost.of(self.side, self.stage, self.window)

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        cost, window = self.cost, self.window
        padding = f", padded to {cost.padded} × {cost.padded}" if cost.padded > cost.tokens else ""
        ratio = math.floor(100 * cost.global_adds / cost.adds + 0.5) / 100
        return (
            f"{self.side} × {self.side} px, stage {self.stage}: {cost.tokens} × {cost.tokens} tokens "
            f"of {cost.token} × {cost.token} px{padding}. "
            f"{cost.windows} of {window} × {window} tokens = "
            f"{window * cost.token} × {window * cost.token} px. "
            f"Pairs of tokens: {cost.pairs:,} in windows, {cost.global_pairs:,} globally. "
            f"One layer: {millions(cost.adds)} multiply-adds in windows, "
            f"{millions(cost.global_adds)} globally, {ratio:.2f} times as many."
        )

    def still(self) -> Figure:
        """Draw the photograph in windows, the one looked at, the pairs as bars, and the cost as curves."""
        pattern = [["photo", "window", "curve"], ["photo", "bars", "curve"]]
        drawn, axes = mosaic(9.6, 4.1, pattern, width_ratios=[3, 2, 2.4], height_ratios=[2, 1])
        self._draw_photo(axes["photo"])
        self._draw_window(axes["window"])
        cost = self.cost
        for y, (name, pairs, color) in enumerate(
            (("in windows", cost.pairs, BLUE), ("globally", cost.global_pairs, ORANGE))
        ):
            axes["bars"].barh(y, pairs, color=color, height=0.5)
            axes["bars"].text(0, y - 0.33, f"{name}: {pairs:,}", fontsize=9)
        axes["bars"].set(title="pairs of tokens", ylim=(1.4, -0.9))
        axes["bars"].axis("off")
        self._draw_curve(axes["curve"])
        return drawn

    def looked_at(self) -> tuple[float, float, int, int, int]:
        """Return the place looked at, in tokens, the first row and column of its window, and its number."""
        y, x = ((2 * index + 1) * self.cost.tokens / (2 * PLACES) for index in divmod(self.place - 1, PLACES))
        row, column = int(y // self.window), int(x // self.window)
        return y, x, row * self.window, column * self.window, row * self.cost.per_side + column + 1

    def _draw_photo(self, axes: Axes) -> None:
        """Draw the photograph, one unit a token."""
        cost = self.cost
        picture(axes, self.photo, f"{cost.tokens} × {cost.tokens} tokens, {cost.windows}")
        axes.images[0].set_extent((0, cost.tokens, cost.tokens, 0))
        hatch(axes, cost.tokens, 0, cost.padded - cost.tokens, cost.padded)
        hatch(axes, 0, cost.tokens, cost.tokens, cost.padded - cost.tokens)
        window_lines(axes, cost.padded, cost.padded, self.window)
        y, x, row, column, _ = self.looked_at()
        mark(axes, column, row, self.window, self.window)
        axes.plot(x, y, "o", color=BLUE, markeredgecolor=PAPER, markersize=6)
        axes.set(
            xlim=(-0.01 * cost.padded, 1.01 * cost.padded), ylim=(1.01 * cost.padded, -0.01 * cost.padded)
        )

    def _draw_window(self, axes: Axes) -> None:
        """Draw the window looked at and mark the token looked at."""
        cost, window = self.cost, self.window
        y, x, row, column, number = self.looked_at()
        axes.imshow(self.photo, extent=(0, cost.tokens, cost.tokens, 0))
        hatch(axes, cost.tokens, 0, cost.padded - cost.tokens, cost.padded)
        hatch(axes, 0, cost.tokens, cost.tokens, cost.padded - cost.tokens)
        axes.set(xlim=(column, column + window), ylim=(row + window, row))
        inside = np.arange(window + 1)
        axes.vlines(column + inside, row, row + window, color=PAPER, linewidth=0.8, zorder=0.5)
        axes.hlines(row + inside, column, column + window, color=PAPER, linewidth=0.8, zorder=0.5)
        mark(axes, int(x), int(y), 1, 1)
        title = f"window {number:,} of {cost.per_side**2:,}"
        axes.set_title(f"{title}\noutlined: one token, {cost.token} × {cost.token} px")
        axes.axis("off")

    def _draw_curve(self, axes: Axes) -> None:
        """Draw the multiply-adds of one layer against the image side."""
        costs = [Cost.of(side, self.stage, self.window) for side in SIDES]
        cost = self.cost
        axes.plot(SIDES, [c.global_adds for c in costs], "--", color=ORANGE, label="globally")
        axes.plot(SIDES, [c.adds for c in costs], "-", color=BLUE, label="in windows")
        axes.plot(self.side, cost.global_adds, "s", color=ORANGE)
        axes.plot(self.side, cost.adds, "o", color=BLUE)
        axes.axvline(self.side, color=MUTED, linewidth=0.8)
        axes.set(xscale="log", yscale="log", ylim=(4e6, 1e12), title="multiply-adds of one layer")
        axes.set_xticks([64, 128, 224, 448, 896], ["64", "128", "224", "448", "896"])
        axes.set_xlabel("image side, pixels")
        axes.minorticks_off()
        axes.legend(frameon=False, loc="upper left")


def millions(count: int) -> str:
    """Return a count in millions, in words."""
    return f"{(count + 500_000) // 1_000_000:,} million"
