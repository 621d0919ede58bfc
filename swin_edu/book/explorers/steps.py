"""The explorer of the six steps: roll, cut, mask, attend, join, roll back."""

from itertools import pairwise, product

import numpy as np
import torch
from einops import rearrange
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.attention import attend
from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import BLUE, INK, MUTED, box, figure, hatch, mark, picture
from swin_edu.shift import cyclic_shift, cyclic_shift_reverse, shift_mask
from swin_edu.windows import window_partition, window_reverse

TOKENS, WINDOW, PATCH = 8, 4, 28
SIDE = TOKENS * PATCH
STOPS = 4  # of the slider, in each step
BETWEEN_WINDOWS, BETWEEN_PIECES = 16, 8  # pixels of the photograph
STEPS = (
    ("roll", "cyclic_shift"),
    ("cut into windows", "window_partition"),
    ("mask", "shift_mask"),
    ("attend", "attend"),
    ("join the windows", "window_reverse"),
    ("roll back", "cyclic_shift_reverse"),
)


class Steps(Explorer):
    """A photograph `(3, 224, 224)` as 8 × 8 tokens on its way through a shifted block without weights."""

    script = "steps.js"
    title = "A shifted block, step by step"
    step = Slider(12, range(len(STEPS) * STOPS + 1), "Step (four stops each)")
    shift = Slider(2, range(WINDOW), "Shift s, tokens")
    mask = Slider(1, range(2), "Mask (1 on, 0 off)")
    row = Slider(7, range(TOKENS), "Row")
    column = Slider(4, range(TOKENS), "Column")

    def __init__(self, image: Tensor, **state: int) -> None:
        if tuple(image.shape) != (3, SIDE, SIDE):
            raise ValueError(f"image has shape {tuple(image.shape)}; the explorer takes (3, 224, 224)")
        self.photo = as_photograph(image)
        super().__init__({"photo": self.photo}, **state)

    def progress(self, number: int) -> float:
        """Return how much of step `number`, from 1, is done: 0 to 1."""
        return min(max(self.step / STOPS - number + 1, 0.0), 1.0)

    @property
    def gaps(self) -> tuple[int, int]:
        """Pixels of the photograph between windows, and between the pieces that the mask keeps apart."""
        windows = BETWEEN_WINDOWS * (self.progress(2) - self.progress(5))
        pieces = BETWEEN_PIECES * (self.progress(3) - self.progress(5)) if self.mask and self.shift else 0
        return int(windows), int(pieces)

    @property
    def moved(self) -> int:
        """By how many pixels of the photograph the map is rolled now."""
        return round(self.shift * PATCH * (self.progress(1) - self.progress(6)))

    @property
    def place(self) -> tuple[int, int]:
        """Row and column of the marked token now: elsewhere from the end of the roll to the way back's."""
        moved = self.shift if self.progress(1) == 1 and self.progress(6) < 1 else 0
        return (self.row - moved) % TOKENS, (self.column - moved) % TOKENS

    def looks_at(self) -> int:
        """Return how many tokens the marked one may look at."""
        rolled = [(place - self.shift) % TOKENS for place in (self.row, self.column)]
        window = rolled[0] // WINDOW * 2 + rolled[1] // WINDOW
        token = rolled[0] % WINDOW * WINDOW + rolled[1] % WINDOW
        mask = shift_mask(TOKENS, TOKENS, WINDOW, self.shift)
        return int(mask[window, token].sum()) if self.mask else WINDOW**2

    def attended(self) -> np.ndarray:
        """Return the photograph `(224, 224, 3)` after attention with equal weights, every token in place."""
        tiles = rearrange(self.photo.astype(np.float32), "(h p) (w q) c -> 1 h w (p q c)", p=PATCH, q=PATCH)
        windows = window_partition(cyclic_shift(torch.from_numpy(tiles), self.shift), WINDOW)[:, None]
        mask = shift_mask(TOKENS, TOKENS, WINDOW, self.shift)[:, None] if self.mask else None
        nothing = torch.zeros_like(windows)  # queries and keys of 0: all weights are equal
        result = window_reverse(attend(nothing, nothing, windows, mask=mask)[:, 0], WINDOW, TOKENS, TOKENS)
        joined = cyclic_shift_reverse(result, self.shift)
        return rearrange(joined, "1 h w (p q c) -> (h p) (w q) c", p=PATCH, q=PATCH).numpy()

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        says = (
            "8 × 8 tokens, as the block receives them",
            f"all tokens move up and left by {self.shift}; what falls off comes back on the other side",
            "four windows of 4 × 4 tokens",
            "tokens that came from other sides of the picture are kept apart"
            if self.mask
            else "switched off, so that all tokens of a window may look at each other",
            "each token becomes the mean of those that it may look at",
            "the windows become one map again",
            f"all tokens move down and right by {self.shift}, to their old places",
        )
        number = -(-self.step // STOPS)
        heading = f"Step {number} of {len(STEPS)}, {STEPS[number - 1][0]}" if number else "Start"
        row, column = self.place
        return (
            f"{heading}: {says[number]}. The marked token, at first in row {self.row}, column {self.column}, "
            f"is in row {row}, column {column} and may look at {self.looks_at()} tokens."
        )

    def shown(self) -> np.ndarray:
        """Return the map as it is now, in pixels of the photograph, gaps white."""
        pixels = self.photo + self.progress(4) * (self.attended() - self.photo)
        pixels = np.roll(pixels, (-self.moved, -self.moved), (0, 1)).round().astype(np.uint8)
        for axis in (0, 1):
            for token, gap in ((TOKENS - self.shift, self.gaps[1]), (WINDOW, self.gaps[0])):
                strip = np.full(np.insert(np.delete(pixels.shape, axis), axis, gap), 255, np.uint8)
                before, after = np.split(pixels, [token * PATCH], axis)
                pixels = np.concatenate([before, strip, after], axis)
        return pixels

    def apart(self, position: int) -> int:
        """Return where a pixel of the rolled photograph stands in the picture shown."""
        windows, pieces = self.gaps
        return (
            position
            + windows * (position >= WINDOW * PATCH)
            + pieces * (position >= SIDE - self.shift * PATCH)
        )

    def still(self) -> Figure:
        """Draw the map as it is now beside the list of the steps."""
        drawn, (left, right) = figure(8.6, 4.4, columns=2, width_ratios=[1.25, 1])
        moved = self.moved
        picture(left, self.shown())
        if self.shift and moved == self.shift * PATCH:
            self.hatch_moved(left)
        x, y = (self.apart((token * PATCH - moved) % SIDE) for token in (self.column, self.row))
        mark(left, x, y, PATCH, PATCH)
        largest = SIDE + BETWEEN_WINDOWS + BETWEEN_PIECES + 2
        left.set(xlim=(-2, largest), ylim=(largest, -2))
        for number, (name, function) in enumerate(STEPS, 1):
            done = self.progress(number)
            current = number == -(-self.step // STOPS)
            box(right, 0, number, 1, 0.16, edgecolor=MUTED, linewidth=0.8)
            box(right, 0, number, done, 0.16, fill=True, facecolor=BLUE, linewidth=0)
            text = f"{number}  {name}" + (" (off)" if number == 3 and not self.mask else "")
            right.text(0, number - 0.12, text, weight="bold" if current else "normal", color=INK)
            right.text(1, number - 0.12, function, ha="right", family="DejaVu Sans Mono", fontsize=8)
        right.set(xlim=(-0.02, 1.02), ylim=(6.4, 0.4))
        right.axis("off")
        return drawn

    def hatch_moved(self, axes: Axes) -> None:
        """Hatch what the roll brought from the opposite side, and leave the gaps white."""
        joint = SIDE - self.shift * PATCH
        cuts = list(pairwise(sorted({0, WINDOW * PATCH, joint, SIDE})))
        for (top, bottom), (left, right) in product(cuts, repeat=2):
            if top >= joint or left >= joint:
                hatch(axes, self.apart(left), self.apart(top), right - left, bottom - top)
