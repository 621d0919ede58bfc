"""The explorer of chapter 4's first section: who notices a token, in plain and in moved windows."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.shift import moved_lines
from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import figure, grid, hatch, mark, picture
from swin_edu.shift import shift_per_axis

SIDE = 224
WINDOW = 7
Span = tuple[int, int]  # first token, token after the last


class Neighbours(Explorer):
    """One token of a photograph `(3, 224, 224)` and those that notice it: window, moved window, both."""

    script = "neighbours.js"
    title = "Who notices this token: in its window, in the moved window, after both"
    stage = Slider(2, range(1, 5), "Stage")
    shift = Slider(3, range(WINDOW), "Shift s, tokens")
    row = Slider(0, range(56), "Row")
    column = Slider(0, range(56), "Column")

    def __init__(self, image: Tensor, **state: int) -> None:
        if tuple(image.shape) != (3, SIDE, SIDE):
            raise ValueError(f"image has shape {tuple(image.shape)}; the explorer takes (3, {SIDE}, {SIDE})")
        self.photo = as_photograph(image)
        super().__init__({"photo": self.photo}, **state)

    @property
    def tokens(self) -> int:
        """How many tokens stand side by side."""
        return 56 // 2 ** (self.stage - 1)

    def limits(self) -> dict[str, int]:
        """Return the largest shift, 0 where one window covers the map, and the last row and column."""
        largest = shift_per_axis(self.tokens, self.tokens, WINDOW, WINDOW - 1)[0]
        return {"shift": largest, "row": self.tokens - 1, "column": self.tokens - 1}

    def spans(self, place: int) -> list[Span]:
        """Return, along one side, which tokens notice the one at `place`: plain, moved, both."""
        axis, shift = torch.arange(self.tokens), self.state["shift"]
        plain = axis // WINDOW == place // WINDOW
        moved = (axis - shift) // WINDOW == (place - shift) // WINDOW  # -1 before the first edge
        both = torch.isin((axis - shift) // WINDOW, (axis[plain] - shift) // WINDOW)
        places = [chosen.nonzero().flatten().tolist() for chosen in (plain, moved, both)]
        return [(found[0], found[-1] + 1) for found in places]

    def areas(self) -> list[tuple[Span, Span]]:
        """Return the rows and the columns that notice the token: plain, moved, both."""
        return list(zip(self.spans(self.state["row"]), self.spans(self.state["column"]), strict=True))

    def counts(self) -> list[int]:
        """Return how many tokens notice: plain, moved, both."""
        return [(bottom - top) * (right - left) for (top, bottom), (left, right) in self.areas()]

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        state, (plain, moved, both) = self.state, self.counts()
        off = "" if self.limits()["shift"] else " (off: one window covers the map)"
        masked = f", {WINDOW**2 - moved} more are masked" if moved < WINDOW**2 else ""
        return (
            f"Stage {self.stage}: {self.tokens} × {self.tokens} tokens, windows of {WINDOW} × {WINDOW}, "
            f"shift {state['shift']}{off}. The token at row {state['row']}, column {state['column']} "
            f"is noticed by {plain} tokens in its window, by {moved} in its moved window{masked}, "
            f"by {both} after both blocks."
        )

    def still(self) -> Figure:
        """Draw the photograph three times, the tokens that notice bright."""
        drawn, axes = figure(9.6, 3.6, columns=3)
        state, patch = self.state, SIDE // self.tokens
        titles = ("In its window", "In its moved window", "After both blocks")
        for index, (axis, title, area, count) in enumerate(
            zip(axes, titles, self.areas(), self.counts(), strict=True)
        ):
            (top, bottom), (left, right) = area
            shown = self.photo * 0.4
            bright = slice(top * patch, bottom * patch), slice(left * patch, right * patch)
            shown[bright] = self.photo[bright]
            picture(axis, shown.round().astype("uint8"), f"{title}: {count}")
            if self.tokens <= 28:
                grid(axis, SIDE, SIDE, patch, linewidth=0.3, alpha=0.4)
            for y, x in self.masked() if index == 1 else []:
                hatch(axis, x * patch, y * patch, patch, patch)
            moved = state["shift"] * patch if index == 1 else 0
            moved_lines(axis, SIDE, SIDE, WINDOW * patch, moved)
            mark(axis, left * patch, top * patch, (right - left) * patch, (bottom - top) * patch)
            mark(axis, state["column"] * patch, state["row"] * patch, patch, patch)
        return drawn

    def masked(self) -> list[list[int]]:
        """Return row and column of the tokens that share the rolled window, but are masked."""
        axis, shift = torch.arange(self.tokens), self.state["shift"]
        window = ((axis - shift) % self.tokens) // WINDOW  # after the roll
        inside = [window == window[self.state[name]] for name in ("row", "column")]
        (top, bottom), (left, right) = self.areas()[1]
        together = inside[0][:, None] & inside[1]
        together[top:bottom, left:right] = False
        return together.nonzero().tolist()
