"""The explorer of chapter 8: the whole model, its maps, its parameters and its multiply-adds."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from swin_edu.book.drawings.common import window_lines
from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import BLUE, MUTED, box, hatch, mosaic, picture
from swin_edu.model import VARIANTS, SwinTransformer
from swin_edu.shift import shift_per_axis

SIDES = (32, 64, 112, 150, 192, 224, 256, 320, 384, 512)
WINDOWS = (4, 7, 8, 12, 16)
NAMES = list(VARIANTS)
PARTS = ("queries, keys, values", "q·k and weights·v", "projection", "MLP", "position network")


@dataclass(frozen=True)
class StagePlan:
    """What one stage holds and costs; `parts` are the multiply-adds of one block, in the order of PARTS."""

    tokens: int
    padded: int
    channels: int
    heads: int
    blocks: int
    windows: int
    shift: int
    parameters: int
    multiply_adds: int
    parts: tuple[int, ...]


@cache
def one_block_each(version: int, channels: int, heads: tuple[int, ...], window: int) -> SwinTransformer:
    """Return a model with one block in each stage, whose weights take no memory."""
    with torch.device("meta"):
        return SwinTransformer(channels, (1, 1, 1, 1), heads, window, version=version)


@cache
def multiply_adds(
    version: int, channels: int, heads: tuple[int, ...], window: int, side: int
) -> tuple[Counter[str], Counter[str]]:
    """Count the multiply-adds of every module, and of those products of matrices that hold no weights."""
    model = one_block_each(version, channels, heads, window)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, side, side, device="meta"))
    weighted = (torch.ops.aten.addmm, torch.ops.aten.mm)
    every, without_weights = Counter[str](), Counter[str]()
    for name, operations in counter.get_flop_counts().items():
        short = name.removeprefix("SwinTransformer").removeprefix(".")
        every[short] = sum(operations.values()) // 2
        without_weights[short] = sum(n for of, n in operations.items() if of not in weighted) // 2
    return every, without_weights


def plan(name: str, window: int, side: int) -> tuple[list[StagePlan], int, int]:
    """Return the plans of the stages, and the whole model's parameters and multiply-adds, all counted."""
    variant = VARIANTS[name]
    kind = variant.version, variant.channels, variant.heads, window
    model, (counted, pairs) = one_block_each(*kind), multiply_adds(*kind, side)
    stages, tokens = [], math.ceil(side / 4)
    for index, blocks in enumerate(variant.depths):
        tokens = math.ceil(tokens / 2) if index else tokens
        padded = math.ceil(tokens / window) * window
        path = f"stages.{index}"
        attention = f"{path}.blocks.0.attention"
        projection, position = counted[f"{attention}.project"], counted[f"{attention}.position"]
        queries = counted[attention] - pairs[attention] - projection - position
        mlp = counted[f"{path}.blocks.0.mlp"]
        stages.append(
            StagePlan(
                tokens,
                padded,
                variant.channels * 2**index,
                variant.heads[index],
                blocks,
                (padded // window) ** 2,
                shift_per_axis(padded, padded, window, window // 2)[0],
                parameters(model, f"{path}.merge") + blocks * parameters(model, f"{path}.blocks"),
                counted[f"{path}.merge"] + blocks * counted[f"{path}.blocks.0"],
                (queries, pairs[attention], projection, mlp, position),
            )
        )
    rest = sum(parameters(model, path) for path in ("embedding", "norm", "head"))
    return (
        stages,
        rest + sum(stage.parameters for stage in stages),
        counted["embedding"] + counted["head"] + sum(stage.multiply_adds for stage in stages),
    )


def parameters(model: SwinTransformer, path: str) -> int:
    """Count the parameters of a part of the model."""
    return sum(parameter.numel() for parameter in model.get_submodule(path).parameters())


class Architecture(Explorer):
    """Version and size of the model, window size, side of the image, and one stage to look at.

    Takes a square photograph `(3, H, H)` with values in [0, 1].
    """

    script = "architecture.js"
    title = "The whole model: maps, parameters, multiply-adds"
    version = Slider(1, (1, 2), "Version")
    size = Slider(1, (1, 2, 3, 4), "Size: 1 T, 2 S, 3 B, 4 L")
    window = Slider(7, WINDOWS, "Window size M, tokens")
    side = Slider(224, SIDES, "Image side, pixels")
    stage = Slider(1, (1, 2, 3, 4), "Stage looked at")

    def __init__(self, image: Tensor, **state: int) -> None:
        if image.ndim != 3 or image.shape[0] != 3 or image.shape[1] != image.shape[2]:
            raise ValueError(f"image has shape {tuple(image.shape)}; it must be (3, H, H)")
        self.photo = as_photograph(image)
        rows = [[v.version, v.channels, *v.depths, *v.heads] for v in VARIANTS.values()]
        super().__init__({"photo": self.photo, "variants": np.array(rows, np.float32)}, **state)

    @property
    def name(self) -> str:
        """The name of the model shown."""
        return NAMES[4 * (self.version - 1) + self.size - 1]

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        stages, held, cost = plan(self.name, self.window, self.side)
        shown = stages[self.stage - 1]
        padding = f", padded to {shown.padded} × {shown.padded}" if shown.padded > shown.tokens else ""
        windows = f"{shown.windows} window{'s' if shown.windows > 1 else ''}"
        return (
            f"{self.name} with window {self.window}: {held:,} parameters; "
            f"{cost:,} multiply-adds for {self.side} × {self.side} pixels. "
            f"Stage {self.stage}: {shown.tokens} × {shown.tokens} × {shown.channels}{padding}; "
            f"{shown.blocks} blocks of {shown.heads} heads, {windows}, {shift_in_words(shown)}. "
            f"It holds {100 * shown.parameters / held:.1f} % of the parameters "
            f"and does {100 * shown.multiply_adds / cost:.1f} % of the multiply-adds."
        )

    def still(self) -> Figure:
        """Draw the maps in windows, what the stages hold and cost, and one block of the stage shown."""
        stages, held, cost = plan(self.name, self.window, self.side)
        drawn, axes = mosaic(10, 5.4, [[*"1234"], [*"abcd"], [*"pppp"]], height_ratios=[2.8, 0.9, 1.1])
        for index, counts in enumerate(stages):
            self._map(axes[str(index + 1)], index, counts)
            shares = {
                f"parameters {counts.parameters / 1e6:.1f} M": counts.parameters / held,
                f"mult.-adds {counts.multiply_adds / 1e9:.2f} G": counts.multiply_adds / cost,
            }
            self._shares(axes["abcd"[index]], shares)
        shown = stages[self.stage - 1].parts
        names = [f"{part}, {n / 1e6:.2f} M" for part, n in zip(PARTS, shown, strict=True)]
        axes["p"].barh(names, [100 * part / sum(shown) for part in shown], color=BLUE)
        axes["p"].invert_yaxis()
        axes["p"].set_xlabel(f"share of the multiply-adds of one block of stage {self.stage}, %")
        drawn.suptitle(f"{self.name}: {held / 1e6:.1f} M parameters, {cost / 1e9:.2f} G multiply-adds")
        return drawn

    def _shares(self, axes: Axes, shares: dict[str, float]) -> None:
        for row, (text, share) in enumerate(shares.items()):
            axes.barh(row, 1, 0.3, color="white", edgecolor=MUTED, linewidth=0.8)
            axes.barh(row, share, 0.3, color=BLUE)
            axes.text(0, row - 0.25, text, fontsize=8)
            axes.text(1, row - 0.25, f"{100 * share:.1f} %", fontsize=8, ha="right")
        axes.set(xlim=(-0.01, 1.01), ylim=(len(shares) - 0.7, -0.7))
        axes.axis("off")

    def _map(self, axes: Axes, index: int, shown: StagePlan) -> None:
        tokens = self.side / (4 * 2**index)
        looked_at = index + 1 == self.stage
        picture(axes, self.photo)
        axes.set_title(
            f"stage {index + 1}{', looked at' if looked_at else ''}", weight="bold" if looked_at else "normal"
        )
        axes.images[0].set_extent((0, tokens, tokens, 0))
        box(axes, 0, 0, shown.padded, shown.padded, edgecolor=MUTED, linewidth=1)
        hatch(axes, shown.tokens, 0, shown.padded - shown.tokens, shown.padded)
        hatch(axes, 0, shown.tokens, shown.tokens, shown.padded - shown.tokens)
        window_lines(axes, shown.padded, shown.padded, self.window)
        axes.set(xlim=(0, shown.padded), ylim=(shown.padded, 0))
        blocks = f"{shown.blocks} blocks, {shown.heads} heads"
        under = f"{shown.tokens} × {shown.tokens} × {shown.channels}\n{blocks}, {shift_in_words(shown)}"
        axes.text(0.5, -0.04, under, transform=axes.transAxes, ha="center", va="top", fontsize=9)


def shift_in_words(shown: StagePlan) -> str:
    """Say how far every second block is shifted."""
    return f"shift {shown.shift}" if shown.shift else "shift off"
