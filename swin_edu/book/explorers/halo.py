"""The explorer of chapter 15: the windows of one image on several ranks, and the rows that travel."""

from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.shift import badge
from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import BLUE, GREEN, INK, MUTED, ORANGE, PAPER, PURPLE, box, hatch, mosaic, picture
from swin_edu.parallel import split_rows
from swin_edu.shift import shift_per_axis

WINDOW, SHIFT = 7, 3
BYTES = 4  # of a number
COLOURS = [BLUE, ORANGE, GREEN, PURPLE]  # of ranks, over and over; each rank also carries its number
TINT = 0.35  # share of a rank's colour over the photograph
PADDING = "#d0d0d0"
TICKS = {1e4: "10 kB", 1e5: "100 kB", 1e6: "1 MB", 1e7: "10 MB", 1e8: "100 MB", 1e9: "1 GB"}
LEAST, MOST = min(TICKS), max(TICKS)


@dataclass(frozen=True)
class Plan:
    """Who holds which rows of the map of one stage of Swin-T, and what travels in one of its blocks."""

    tokens: int  # a side
    channels: int
    padded: int  # tokens a side after padding
    shift: int  # tokens; 0 in a plain block, and where one window covers the map
    rows: list[range]  # of tokens, of each rank
    travels: list[tuple[int, int]]  # from which rank to which the first rows of the former go
    each: int  # bytes that every rank with rows sends
    total: int  # bytes that all ranks send
    everywhere: int  # bytes that all ranks would send for global attention
    moved: int  # rows of the map before that change their rank, to be merged into this one
    merging: int  # bytes of these rows

    @classmethod
    def of(cls, side: int, stage: int, ranks: int, block: int) -> "Plan":
        """Return the plan for a square image of `side` pixels; block 0 is plain, block 1 shifted."""
        tokens, channels = side // (4 * 2 ** (stage - 1)), 96 * 2 ** (stage - 1)
        padded = -(-tokens // WINDOW) * WINDOW
        shift, _ = shift_per_axis(padded, padded, WINDOW, SHIFT * block)
        rows = split_rows(tokens, WINDOW, ranks)
        working = [rank for rank, own in enumerate(rows) if own]
        borders = shift and len(working) > 1
        travels = [(rank, working[place - 1]) for place, rank in enumerate(working)] if borders else []
        each = 2 * shift * padded * channels * BYTES if travels else 0  # there and back
        total = each * len(travels)
        everywhere = 2 * tokens**2 * channels * BYTES * (ranks - 1)  # keys and values
        moved = 0
        if stage > 1:
            for own, had in zip(rows, split_rows(2 * tokens, WINDOW, ranks), strict=True):
                moved += len(set(range(2 * own.start, 2 * own.stop)) - set(had))
        merging = moved * 2 * tokens * channels // 2 * BYTES
        return cls(tokens, channels, padded, shift, rows, travels, each, total, everywhere, moved, merging)

    @property
    def bands(self) -> dict[int, tuple[int, int]]:
        """The first row of each rank that holds any, and how many rows, with padding."""
        return {
            rank: (own.start, -(-len(own) // WINDOW) * WINDOW) for rank, own in enumerate(self.rows) if own
        }

    @property
    def idle(self) -> str:
        """The ranks that hold nothing, in words."""
        idle = [str(rank) for rank, own in enumerate(self.rows) if not own]
        return f"rank{'s' * (len(idle) > 1)} without rows: {', '.join(idle) or 'none'}"

    @property
    def product(self) -> str:
        """How the bytes sent in windows come about, or why there are none."""
        if len(self.bands) == 1:
            return f"rank {next(iter(self.bands))} holds all rows"
        if not self.shift:
            return "each window lies within one rank"
        count, rows = len(self.travels), 2 * self.shift
        return f"{count} borders × {rows} rows × {self.padded} tokens × {BYTES * self.channels:,} bytes"

    @property
    def global_product(self) -> str:
        """How the bytes sent for global attention come about."""
        others = len(self.rows) - 1
        size = f"{self.tokens} × {self.tokens} tokens × {BYTES * self.channels:,} bytes"
        return f"2 × {size} × {others} other{'s' * (others != 1)}"

    @property
    def token(self) -> str:
        """The size of one token, in words."""
        return f"1 token: {self.channels} channels × {BYTES} bytes = {BYTES * self.channels:,} bytes"

    @property
    def merged(self) -> str:
        """What moved on the way into this stage, in words."""
        if self.channels == 96:
            return "Each rank reads its own rows of the image"
        if not self.moved:
            return "To merge, no row changed its rank"
        return f"To merge, {self.moved} rows changed rank: {self.merging:,} bytes"


class Halo(Explorer):
    """Image side, stage, ranks and block, on a square photograph `(3, H, H)` with values in [0, 1]."""

    script = "halo.js"
    title = "The windows of one image on several ranks, and the rows that travel"
    # From 224 pixels on, stage 1 has a row of windows for each of 8 ranks; the model refuses more ranks.
    side = Slider(224, range(224, 897, 32), "Image side, pixels")
    stage = Slider(1, range(1, 5), "Stage")
    ranks = Slider(4, range(1, 9), "Ranks")
    block = Slider(1, range(2), "Block: 1 is shifted")

    def __init__(self, image: Tensor, **state: int) -> None:
        shape = tuple(image.shape)
        if len(shape) != 3 or shape[0] != 3 or shape[1] != shape[2] or not 1 <= shape[1] <= 224:
            raise ValueError(f"image has shape {shape}; it must be (3, H, H) with H at most 224")
        self.photo = as_photograph(image)
        super().__init__({"photo": self.photo}, **state)

    @property
    def plan(self) -> Plan:
        """Who holds what in the present state, and what travels."""
        return Plan.of(self.side, self.stage, self.ranks, self.block)

    def caption(self) -> str:
        """Return the size of the map, its windows, and what the block does with them."""
        plan = self.plan
        count = (plan.padded // WINDOW) ** 2
        way = (
            f"shifted by {plan.shift}" if plan.shift else "nothing to shift" if self.block else "not shifted"
        )
        return f"{plan.tokens} × {plan.tokens} tokens, {count:,} window{'s' * (count > 1)}, {way}"

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        plan = self.plan
        padding = f", padded to {plan.padded} × {plan.padded}" if plan.padded > plan.tokens else ""
        held = [f"rank {rank}: {in_words(own)}" for rank, own in enumerate(plan.rows) if own]
        travel = f"Nothing travels: {plan.product}."
        if plan.travels:
            ways = ", ".join(f"{giver} to {taker}" for giver, taker in plan.travels)
            travel = f"The first {plan.shift} rows of each travel, rank {ways}, and back: "
            travel += f"{plan.product} = {plan.total:,}."
        return (
            f"{self.side} × {self.side} px, stage {self.stage}: {self.caption()}{padding}; {plan.token}. "
            f"Rows held: {', '.join(held)}; {plan.idle}. {travel} "
            f"Global attention: {plan.global_product} = {plan.everywhere:,}. {plan.merged}."
        )

    def notes(self) -> list[str]:
        """Return what explains the photograph."""
        plan = self.plan
        notes = ["no row travels in this block"]
        if plan.travels:
            notes = [f"hatched: {plan.shift} rows that travel along the arrow, and back"]
        if plan.padded > plan.tokens:
            notes.append(f"grey: padding to {plan.padded} × {plan.padded} tokens")
        return [*notes, plan.idle]

    def still(self) -> Figure:
        """Draw the ranks' rows on the photograph, what each holds and sends, and all bytes against global."""
        pattern = [["photo", "ranks"], ["photo", "bytes"]]
        drawn, axes = mosaic(9.6, 4.6, pattern, width_ratios=[1.2, 1], height_ratios=[1.2, 1])
        self._draw_photo(axes["photo"])
        self._draw_ranks(axes["ranks"])
        self._draw_bytes(axes["bytes"])
        return drawn

    def _draw_photo(self, axes: Axes) -> None:
        """Draw the photograph in windows, the rows of each rank, and where rows travel; one unit a token."""
        plan, size = self.plan, self.plan.padded
        picture(axes, self.photo, self.caption())
        axes.images[0].set_extent((0, plan.tokens, plan.tokens, 0))
        fill: dict[str, Any] = {"fill": True, "linewidth": 0}
        box(axes, plan.tokens, 0, size - plan.tokens, size, facecolor=PADDING, **fill)
        box(axes, 0, plan.tokens, plan.tokens, size - plan.tokens, facecolor=PADDING, **fill)
        for rank, (top, height) in plan.bands.items():
            color, own = COLOURS[rank % 4], len(plan.rows[rank])
            box(axes, 0, top, plan.tokens, own, facecolor=color, alpha=TINT, **fill)
            box(axes, -0.1 * size, top, 0.08 * size, height, facecolor=color, **fill)
            badge(axes, -0.06 * size, top + height / 2, str(rank))
        edges = [0, *range(plan.shift, size, WINDOW), size]
        thin = min(1, 12 * WINDOW / size)  # so that the picture stays to be seen
        for color, thick in ((INK, 2.4 * thin), (ORANGE, 1.3 * thin)):
            axes.hlines(edges, 0, size, color=color, linewidth=thick, zorder=1)
            axes.vlines(edges, 0, size, color=color, linewidth=thick, zorder=1)
        for giver, taker in plan.travels:
            top, (first, height) = plan.bands[giver][0], plan.bands[taker]
            hatch(axes, 0, top, size, plan.shift)
            lane, start, end = (
                size * (1.2 if giver < taker else 1.07),
                top + plan.shift / 2,
                first + height / 2,
            )
            axes.plot([size, lane, lane], [start, start, end], color=INK, linewidth=1.5)
            arrow = {"arrowstyle": "-|>", "color": INK, "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
            axes.annotate("", (size, end), (lane, end), arrowprops=arrow)
            axes.text(lane + 0.01 * size, (start + end) / 2, f"to {taker}", va="center", fontsize=9)
        above = 0.007 * size  # the border hides nothing of what travels
        for top, _ in plan.bands.values():
            for color, thick in ((INK, 4), (PAPER, 2)):
                axes.plot([-0.1 * size, size], [top - above] * 2, color=color, linewidth=thick)
        axes.text(0, 1.02 * size, "\n".join(self.notes()), va="top", fontsize=9)
        axes.set(xlim=(-0.11 * size, 1.33 * size), ylim=(1.01 * size, -0.02 * size))

    def _draw_ranks(self, axes: Axes) -> None:
        """Draw the rows of windows that each rank holds as bars, and write what it sends."""
        plan = self.plan
        count = len(plan.rows)
        longest = max(height for _, height in plan.bands.values()) // WINDOW
        for rank in range(count):
            windows = plan.bands.get(rank, (0, 0))[1] // WINDOW
            axes.barh(rank, windows, color=COLOURS[rank % 4], height=0.6)
            axes.text(windows, rank, f" {windows}", va="center", fontsize=9)
            sent = f"{plan.each if windows else 0:,}"
            axes.text(2 * longest, rank, sent, ha="right", va="center", fontsize=9)
        axes.set(xlim=(0, 2 * longest), ylim=(7.6, -0.6), xticks=[])
        axes.set_yticks(range(count), [f"rank {rank}" for rank in range(count)])
        axes.tick_params(length=0)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_title("rows of windows held", loc="left")
        axes.set_title("bytes sent", loc="right")

    def _draw_bytes(self, axes: Axes) -> None:
        """Draw what all ranks send in windows and would send globally."""
        plan = self.plan
        sums = [("in windows", plan.total, BLUE, plan.product)]
        sums.append(("globally, keys and values", plan.everywhere, ORANGE, plan.global_product))
        for y, (name, count, color, product) in enumerate(sums):
            axes.barh(y, max(0, count - LEAST), left=LEAST, color=color, height=0.25)
            axes.text(LEAST, y - 0.2, f"{name}: {count:,} bytes", fontsize=9)
            axes.text(LEAST, y + 0.38, product, fontsize=8, color=MUTED)
        axes.set(xscale="log", xlim=(LEAST, MOST), ylim=(1.6, -0.5), yticks=[])
        axes.set_xticks(list(TICKS), list(TICKS.values()))
        axes.minorticks_off()
        axes.spines["left"].set_visible(False)
        axes.set_title(f"all ranks together; {plan.token}", loc="left", fontsize=9)
        axes.set_xlabel(plan.merged, fontsize=9, loc="left")


def in_words(rows: range) -> str:
    """Return the first and the last of some rows in words."""
    return f"{rows.start} to {rows.stop - 1}" if len(rows) > 1 else str(rows.start)
