"""The explorer of the mask: the rolled map, its regions, and which pairs of a window may attend."""

from dataclasses import dataclass

import numpy as np
from einops import rearrange
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.shift import badge, cuts, mask_matrix, moved_lines
from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import INK, box, figure, grid, hatch, mark, picture
from swin_edu.shift import region_ids, shift_mask, shift_per_axis

LARGEST = 16  # tokens a side
PATCH = 7  # pixels a token has in the picture that is sent


@dataclass(frozen=True)
class Plan:
    """The padded map and its shift, in tokens."""

    height: int
    width: int
    window: int
    down: int
    right: int

    @classmethod
    def of(cls, height: int, width: int, window: int, shift: int) -> "Plan":
        """Pad the map; the shift is off along an axis that one window covers."""
        padded = height + -height % window, width + -width % window
        return cls(*padded, window, *shift_per_axis(*padded, window, shift))

    @property
    def columns(self) -> int:
        """How many windows stand side by side."""
        return self.width // self.window

    @property
    def count(self) -> int:
        """How many windows there are."""
        return self.height // self.window * self.columns

    def mask(self) -> Tensor:
        """Return the mask of all windows."""
        return shift_mask(self.height, self.width, self.window, (self.down, self.right))

    def ids(self) -> Tensor:
        """Return the region of each token of all windows."""
        ids = region_ids(self.height, self.width, (self.down, self.right))
        return rearrange(ids, "(h m) (w n) -> (h w) (m n)", m=self.window, n=self.window)


class ShiftMask(Explorer):
    """Sizes, shift, window and token; the map is cut from a photograph `(3, 224, 224)`."""

    script = "shift_mask.js"
    title = "The rolled map and the mask of one of its windows"
    height = Slider(8, range(2, LARGEST + 1), "Height H, tokens")
    width = Slider(12, range(2, LARGEST + 1), "Width W, tokens")
    window = Slider(4, range(2, 9), "Window size M, tokens")
    shift = Slider(2, range(8), "Shift s, tokens")
    chosen = Slider(6, range(1, 65), "Window looked at")
    token = Slider(9, range(64), "Token that looks")

    def __init__(self, image: Tensor, **state: int) -> None:
        if tuple(image.shape) != (3, 224, 224):
            raise ValueError(f"image has shape {tuple(image.shape)}; the explorer takes (3, 224, 224)")
        four = rearrange(as_photograph(image).astype(int), "(h p) (w q) c -> h w (p q) c", p=2, q=2)
        self.photo = ((four.sum(2) + 2) // 4).astype(np.uint8)  # half the size, rounded
        super().__init__({"photo": self.photo}, **state)

    @property
    def plan(self) -> Plan:
        """The padded map and its shift."""
        return Plan.of(self.height, self.width, self.window, self.state["shift"])

    def limits(self) -> dict[str, int]:
        """Return the largest shift, 0 where one window covers the map, the last window and the last token."""
        plan = Plan.of(self.height, self.width, self.window, self.window - 1)
        return {"shift": max(plan.down, plan.right), "chosen": plan.count, "token": self.window**2 - 1}

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        plan, state = self.plan, self.state
        masks, ids = plan.mask(), plan.ids()[state["chosen"] - 1]
        mask = masks[state["chosen"] - 1]
        padded = (plan.height, plan.width) != (self.height, self.width)
        padding = f", padded to {plan.height} × {plan.width}" if padded else ""
        regions = ids.unique().tolist()
        token = state["token"]
        return (
            f"{self.height} × {self.width} tokens{padding}: {plan.count} window{'s' * (plan.count > 1)} of "
            f"{self.window} × {self.window}, shifted by {plan.down} down and {plan.right} right; "
            f"{percent(masks)} % of all pairs are masked. "
            f"Window {state['chosen']} holds region{'s' * (len(regions) > 1)} "
            f"{', '.join(map(str, regions))}: {percent(mask)} % masked. "
            f"Token {token}, of region {ids[token]}, may look at {mask[token].sum()} of {self.window**2}."
        )

    def still(self) -> Figure:
        """Draw the rolled map and the mask of the chosen window."""
        plan, state = self.plan, self.state
        drawn, (left, right) = figure(9.4, 4.7, columns=2)
        height, width = plan.height * PATCH, plan.width * PATCH
        padded = np.full((height, width, 3), 208, np.uint8)
        shown = slice(self.height * PATCH), slice(self.width * PATCH)
        padded[shown] = self.photo[shown]
        rolled = np.roll(padded, (-plan.down * PATCH, -plan.right * PATCH), (0, 1))
        picture(left, rolled, f"After the roll: {plan.count} windows")
        left.images[0].set_interpolation("bilinear")
        hatch(left, width - plan.right * PATCH, 0, plan.right * PATCH, height)
        hatch(left, 0, height - plan.down * PATCH, width - plan.right * PATCH, plan.down * PATCH)
        grid(left, height, width, PATCH, linewidth=0.3, alpha=0.6)
        moved_lines(left, height, width, self.window * PATCH)
        ids = region_ids(plan.height, plan.width, (plan.down, plan.right))
        for top, bottom in pieces(plan.height, self.window, plan.down):
            for first, last in pieces(plan.width, self.window, plan.right):
                badge(left, (first + last) / 2 * PATCH, (top + bottom) / 2 * PATCH, str(int(ids[top, first])))
        mask, token = plan.mask()[state["chosen"] - 1], state["token"]
        row, column = divmod(state["chosen"] - 1, plan.columns)
        x, y = column * self.window, row * self.window
        for other in (~mask[token]).nonzero().flatten().tolist():
            i, j = divmod(other, self.window)
            place = (x + j) * PATCH, (y + i) * PATCH, PATCH, PATCH
            box(left, *place, fill=True, facecolor=INK, alpha=0.6, linewidth=0)
        mark(left, x * PATCH, y * PATCH, self.window * PATCH, self.window * PATCH)
        i, j = divmod(token, self.window)
        mark(left, (x + j) * PATCH, (y + i) * PATCH, PATCH, PATCH)
        mask_matrix(right, mask, plan.ids()[state["chosen"] - 1])
        mark(right, 0, token, self.window**2, 1)
        right.set_title(f"The mask of window {state['chosen']}: row looks at column")
        return drawn


def pieces(size: int, window: int, shift: int) -> list[tuple[int, int]]:
    """Cut a side of the rolled map at the borders of windows and where the roll joined it."""
    edges = {edge for first, last in cuts(size, window, 0) for edge in (first, last)} | {size - shift}
    ordered = sorted(edges)
    return list(zip(ordered, ordered[1:], strict=False))


def percent(mask: Tensor) -> str:
    """Return the share of False in per cent, rounded half up as the page rounds it."""
    per_mille = (2000 * int((~mask).sum()) + mask.numel()) // (2 * mask.numel())
    return f"{per_mille // 10}.{per_mille % 10}"
