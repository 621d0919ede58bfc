"""The explorer of chapter 5: which part of the table of offsets one query uses, and what that does."""

import torch
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book import drawings
from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.position import relative_position_index

HEADS = ("near", "one to the left", "the same row", "far")
LARGEST = 12


class Position(Explorer):
    """Window, query and head on a photograph `(3, 224, 224)` that one window covers, values in [0, 1].

    Each head's table is made by hand for the largest window; smaller windows use the middle of it.
    """

    script = "position.js"
    title = "One query and its part of the table of offsets"
    window = Slider(7, range(2, LARGEST + 1), "Window size M, tokens")
    row = Slider(3, range(LARGEST), "Row of the query")
    column = Slider(3, range(LARGEST), "Column of the query")
    head = Slider(1, range(1, len(HEADS) + 1), "Head")

    def __init__(self, image: Tensor, **state: int) -> None:
        if tuple(image.shape) != (3, 224, 224):
            raise ValueError(f"image has shape {tuple(image.shape)}; the explorer takes (3, 224, 224)")
        self.image = image
        self.tables = hand_made_tables()
        super().__init__({"photo": as_photograph(image), "tables": self.tables.numpy()}, **state)

    def limits(self) -> dict[str, int]:
        """Return the last row and column."""
        return {"row": self.window - 1, "column": self.window - 1}

    @property
    def place(self) -> tuple[int, int]:
        """Row and column of the query shown."""
        return self.state["row"], self.state["column"]

    def table(self) -> Tensor:
        """Return the table of the head shown `(2M - 1, 2M - 1)`."""
        rim = LARGEST - self.window
        size = 2 * self.window - 1
        return self.tables[self.head - 1, rim : rim + size, rim : rim + size]

    def entries(self) -> Tensor:
        """Return which entry of the table the query uses for each key `(M·M,)`."""
        row, column = self.place
        return relative_position_index(self.window)[row * self.window + column]

    def bias(self) -> Tensor:
        """Return the query's bias for each key `(M·M,)`."""
        return self.table().flatten()[self.entries()]

    def weights(self) -> Tensor:
        """Return the query's attention weights when all keys are alike `(M·M,)`."""
        return self.bias().double().softmax(0)

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        window, (row, column) = self.window, self.place
        size, last = 2 * window - 1, window - 1
        weights = self.weights()
        best = int(weights.argmax())
        return (
            f"Window of {window} × {window} tokens: {window**4:,} pairs, "
            f"{size} × {size} = {size * size} offsets. "
            f"The query in row {row}, column {column} uses rows {row} to {row + last}, "
            f"columns {column} to {column + last} of the table, turned round. "
            f"Head {self.head}, {HEADS[self.head - 1]}: largest weight {weights[best]:.2f}, "
            f"first in row {best // window}, column {best % window}."
        )

    def still(self) -> Figure:
        """Draw the table, the query's cut of it, and the attention."""
        return drawings.table_cuts(self.image, self.table(), [self.place])


def hand_made_tables() -> Tensor:
    """Return the tables of the four heads for the largest window `(4, 23, 23)`."""
    steps = torch.arange(1 - LARGEST, LARGEST)
    dy, dx = torch.meshgrid(steps, steps, indexing="ij")
    distance = (dy**2 + dx**2).sqrt()
    left = 5.0 * ((dy == 0) & (dx == 1))
    return torch.stack([-distance, left, -1.5 * dy.abs(), 0.8 * distance])
