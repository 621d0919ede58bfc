"""The explorer of chapter 7: which patches can influence a token, and on which way they reach it."""

from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.shift import moved_lines
from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import BLUE, INK, MUTED, ORANGE, box, figure, grid, mark, picture

SIDE, PATCH, WINDOW = 224, 4, 7
DEPTHS = (2, 2, 6, 2)  # blocks in the stages of Swin-T
Span = tuple[int, int]  # first token, token after the last


class Block(NamedTuple):
    """A block of Swin-T, counted from 1; number 0 stands for the patches before the first."""

    stage: int
    tokens: int  # along one side of its map
    shift: int
    first: bool  # of its stage

    @classmethod
    def of(cls, number: int, shifted: bool) -> "Block":
        """Return the block; the shift is off where one window covers the map."""
        stages = [(stage, index) for stage, depth in enumerate(DEPTHS, 1) for index in range(depth)]
        stage, index = stages[max(number - 1, 0)]
        tokens = SIDE // PATCH // 2 ** (stage - 1)
        shift = WINDOW // 2 if shifted and index % 2 and tokens > WINDOW else 0
        return cls(stage, tokens, shift, index == 0)

    def heard(self, span: Span) -> Span:
        """Return the tokens before this block that those of `span` after it hear, along one side."""
        first, past = self.window(span[0])[0], self.window(span[1] - 1)[1]
        return (2 * first, 2 * past) if self.first and self.stage > 1 else (first, past)

    def window(self, token: int) -> Span:
        """Return the part of the map that lies in the window of `token`, along one side."""
        start = (token - self.shift) // WINDOW * WINDOW + self.shift
        return max(0, start), min(self.tokens, start + WINDOW)


class Reach(Explorer):
    """A token of Swin-T after any block, and what of a photograph `(3, 224, 224)` can influence it."""

    script = "reach.js"
    title = "Which part of the photograph can influence a token, block by block"
    block = Slider(3, range(sum(DEPTHS) + 1), "After block")
    shift = Slider(1, range(2), "Shift: 0 off, 1 on")
    row = Slider(16, range(SIDE // PATCH), "Row")
    column = Slider(22, range(SIDE // PATCH), "Column")

    def __init__(self, image: Tensor, **state: int) -> None:
        if tuple(image.shape) != (3, SIDE, SIDE):
            raise ValueError(f"image has shape {tuple(image.shape)}; the explorer takes (3, {SIDE}, {SIDE})")
        self.photo = as_photograph(image)
        super().__init__({"photo": self.photo}, **state)

    def limits(self) -> dict[str, int]:
        """Return the last row and column of the map."""
        last = Block.of(self.block, bool(self.shift)).tokens - 1
        return {"row": last, "column": last}

    def spans(self, place: int) -> list[Span]:
        """Return, along one side, the tokens that lead to the one at `place`, after block, block - 1, … 0."""
        spans = [(place, place + 1)]
        for number in range(self.block, 0, -1):
            spans.append(Block.of(number, bool(self.shift)).heard(spans[-1]))
        return spans

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        block, state = Block.of(self.block, bool(self.shift)), self.state
        (top, bottom), (left, right) = (self.spans(state[name])[-1] for name in ("row", "column"))
        count, whole = (bottom - top) * (right - left), (SIDE // PATCH) ** 2
        hundredths = (20_000 * count + whole) // (2 * whole)  # of a per cent, rounded as the page does
        moved = f"windows moved by {block.shift}" if block.shift else "windows not moved"
        when = f"After block {self.block} (stage {block.stage}, {moved})" if self.block else "Before block 1"
        return (
            f"{when}, with the shift {'on' if self.shift else 'off'}: the token at row {state['row']}, "
            f"column {state['column']} of {block.tokens} × {block.tokens} can be influenced by "
            f"{bottom - top} × {right - left} = {count:,} of {whole:,} patches, "
            f"{hundredths // 100}.{hundredths % 100:02} % of the photograph."
        )

    def still(self) -> Figure:
        """Draw the photograph with what reaches the token, and the way there along its row."""
        drawn, (left, right) = figure(9.6, 4.8, columns=2)
        state, block = self.state, Block.of(self.block, bool(self.shift))
        size = SIDE // block.tokens
        (top, bottom), (first, past) = (self.spans(state[name])[-1] for name in ("row", "column"))
        shown = self.photo * 0.35
        bright = slice(top * PATCH, bottom * PATCH), slice(first * PATCH, past * PATCH)
        shown[bright] = self.photo[bright]
        picture(left, shown.round().astype("uint8"), "Bright: what can influence the outlined token")
        grid(left, SIDE, SIDE, size, linewidth=0.3, alpha=0.4)
        if self.block:
            moved_lines(left, SIDE, SIDE, WINDOW * size, block.shift * size)
        mark(left, state["column"] * size, state["row"] * size, size, size)
        self._cone(right, state["column"])
        return drawn

    def _cone(self, axes: Axes, column: int) -> None:
        spans = dict(zip(range(self.block, -1, -1), self.spans(column), strict=True))
        for number in range(sum(DEPTHS) + 1):
            block = Block.of(number, bool(self.shift))
            y, size = -number, SIDE // block.tokens
            if number in spans:
                first, past = (token * size for token in spans[number])
                box(axes, first, y, past - first, 0.6, fill=True, facecolor=BLUE, linewidth=0)
                if number:  # down to the tokens before this block
                    below = [token * SIDE // Block.of(number - 1, True).tokens for token in spans[number - 1]]
                    shape = [(first, y + 0.6), (past, y + 0.6), (below[1], y + 1), (below[0], y + 1)]
                    axes.fill(*zip(*shape, strict=True), color=BLUE, alpha=0.3, linewidth=0)
            line: dict[str, Any] = {"color": MUTED, "linewidth": 0.4}
            axes.vlines(range(0, SIDE + 1, size), y, y + 0.6, **line)
            axes.hlines([y, y + 0.6], 0, SIDE, **line)
            edges = [*range(block.shift * size, SIDE, WINDOW * size), SIDE, 0] if number else []
            axes.vlines(edges, y + 0.6, y + 1, color=ORANGE, linewidth=2)
            name = f"{number}" if number else "patches"
            axes.text(-4, y + 0.3, name, ha="right", va="center", color=INK if number in spans else MUTED)
            if block.first and number:
                axes.text(SIDE + 4, y + 0.3, f"stage {block.stage}", va="center", color=MUTED)
        axes.set(xlim=(-34, SIDE + 36), ylim=(1.1, -sum(DEPTHS) - 0.2))
        axes.set_title("From the patches up to the token, along its row")
        axes.axis("off")
