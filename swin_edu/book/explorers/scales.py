"""The explorer of chapter 12: the maps of three backbones, and what they cost as the image grows."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import BLUE, INK, MUTED, ORANGE, mosaic, picture
from swin_edu.model import SwinTransformer
from swin_edu.rivals.cnn import ResNet
from swin_edu.rivals.vit import ViT

SIDES = (64, 96, 128, 160, 192, 224, 320, 448, 640, 896, 1280, 1792)
PIXELS = 224  # of the photograph
NAMES = ("Swin-T", "ViT-S/16", "ResNet-34")
# Which block of the models below stands for others, and for how many more.
REPEATED = {
    "Swin-T": {
        "stages.0.blocks.0": 1,
        "stages.1.blocks.0": 1,
        "stages.2.blocks.0": 5,
        "stages.3.blocks.0": 1,
    },
    "ViT-S/16": {"blocks.0": 11},
    "ResNet-34": {"stages.0.1": 1, "stages.1.1": 2, "stages.2.1": 4, "stages.3.1": 1},
}
HEAD_CHANNELS = {"Swin-T": 32, "ViT-S/16": 64, "ResNet-34": 1}


@dataclass(frozen=True)
class Cost:
    """The maps as cells along a side and channels, multiply-adds, and one block's attention weights."""

    maps: tuple[tuple[int, int], ...]
    rest: int  # multiply-adds of linear layers and convolutions
    pairs: int  # multiply-adds of q·k and weights·v
    weights: int

    @property
    def multiply_adds(self) -> int:
        """All multiply-adds."""
        return self.rest + self.pairs

    @property
    def numbers(self) -> int:
        """How many numbers all maps hold."""
        return sum(cells**2 * channels for cells, channels in self.maps)

    def shown(self, stage: int) -> tuple[int, int]:
        """Return cells and channels of the map of a stage; the only map, if there is one."""
        return self.maps[min(stage, len(self.maps)) - 1]


@cache
def few_blocks(name: str) -> SwinTransformer | ViT | ResNet:
    """Return a model with one block of each kind, whose weights take no memory."""
    with torch.device("meta"):
        if name == "Swin-T":
            return SwinTransformer(96, (1, 1, 1, 1), (3, 6, 12, 24), 7).eval()
        return (ViT(384, 1, 6) if name == "ViT-S/16" else ResNet(64, (2, 2, 2, 2))).eval()


@cache
def cost(name: str, side: int) -> Cost:
    """Count what a model of NAMES costs for one image of side × side pixels."""
    model, images = few_blocks(name), torch.empty(1, 3, side, side, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(images)
    every: dict[str, int] = {}  # by path; the whole model is ""
    pairs: dict[str, int] = {}
    for path, operations in counter.get_flop_counts().items():
        short = path.partition(".")[2]
        every[short] = sum(operations.values()) // 2
        pairs[short] = operations.get(torch.ops.aten.bmm, 0) // 2
    of_all, of_pairs = (
        counted[""] + sum(times * counted[block] for block, times in REPEATED[name].items())
        for counted in (every, pairs)
    )
    maps = tuple((x.shape[1], x.shape[3]) for x in model.features(images))
    weights = max(pairs[block] for block in REPEATED[name]) // (2 * HEAD_CHANNELS[name])
    return Cost(maps, of_all - of_pairs, of_pairs, weights)


def cell_means(photo: np.ndarray, cells: int) -> np.ndarray:
    """Return the mean colour of each cell, bytes `(cells, cells, 3)`; no more cells than pixels."""
    count = min(cells, PIXELS)
    edges = np.arange(count + 1) * PIXELS / count
    pixels = np.arange(PIXELS)
    overlaps = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares = overlaps.clip(0) * count / PIXELS
    down = np.tensordot(shares, photo, 1)
    return np.rint(shares @ down).astype(np.uint8)


class Scales(Explorer):
    """Three backbones for one photograph `(3, 224, 224)` with values in [0, 1], shown at any size."""

    script = "scales.js"
    title = "Maps and costs of Swin-T, ViT-S/16 and ResNet-34"
    side = Slider(224, SIDES, "Image side, pixels")
    stage = Slider(1, (1, 2, 3, 4), "Stage of Swin and ResNet")

    def __init__(self, image: Tensor, **state: int) -> None:
        if image.shape != (3, PIXELS, PIXELS):
            raise ValueError(f"image has shape {tuple(image.shape)}; it must be (3, {PIXELS}, {PIXELS})")
        self.photo = as_photograph(image)
        super().__init__({"photo": self.photo}, **state)

    def costs(self) -> dict[str, Cost]:
        """Return what each model costs in the present state."""
        return {name: cost(name, self.side) for name in NAMES}

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        costs = self.costs()
        maps = []
        for name, of in costs.items():
            cells, channels = of.shown(self.stage)
            where = "" if len(of.maps) == 1 else f", stage {self.stage}"
            maps.append(
                f"{name}{where}: {cells} × {cells} × {channels}, a cell every {self.side // cells} px"
            )
        adds = ", ".join(f"{of.multiply_adds / 1e9:.2f} G" for of in costs.values())
        swin, vit, _ = costs.values()
        shares = [f"{100 * of.pairs / of.multiply_adds:.1f} %" for of in (swin, vit)]
        return (
            f"Image of {self.side} × {self.side} px. {'; '.join(maps)}. Multiply-adds: {adds}; "
            f"pairs of tokens take {shares[0]} of Swin's and {shares[1]} of ViT's."
        )

    def still(self) -> Figure:
        """Draw each model's map as mean colours, and below it its costs on one scale for all."""
        costs = self.costs()
        drawn, axes = mosaic(10, 5.2, [[*"123"], [*"abc"]], height_ratios=[3.3, 1.5])
        most_adds = max(of.multiply_adds for of in costs.values())
        most_numbers = max(of.numbers + of.weights for of in costs.values())
        for above, below, (name, of) in zip("123", "abc", costs.items(), strict=True):
            cells, channels = of.shown(self.stage)
            means = cell_means(self.photo, cells)
            picture(axes[above], means, name if len(of.maps) == 1 else f"{name}, stage {self.stage}")
            text = f"{cells} × {cells} × {channels}, a cell every {self.side // cells} px"
            axes[above].text(0.5, -0.03, text, ha="center", va="top", transform=axes[above].transAxes)
            share = f", pairs {100 * of.pairs / of.multiply_adds:.1f} %" if of.pairs else ""
            bar(axes[below], 0, f"multiply-adds {of.multiply_adds / 1e9:.2f} G{share}")
            parts(axes[below], 0, of.rest / most_adds, of.pairs / most_adds)
            weights = f" + weights {megabytes(of.weights)}" if of.weights else ""
            bar(axes[below], 1, f"maps {megabytes(of.numbers)}{weights}")
            parts(axes[below], 1, of.numbers / most_numbers, of.weights / most_numbers)
            axes[below].set(xlim=(-0.01, 1.01), ylim=(1.4, -0.7))
            axes[below].axis("off")
        drawn.suptitle(
            f"Image of {self.side} × {self.side} pixels; hatched: pairs of tokens, "
            "their products and the weights of one block"
        )
        return drawn


def megabytes(numbers: int) -> str:
    """Say how much memory numbers of 32 bits take."""
    return f"{4 * numbers / 1e6:.1f} MB"


def bar(axes: Axes, row: int, text: str) -> None:
    """Draw an empty bar under its text."""
    axes.barh(row, 1, 0.35, color="white", edgecolor=MUTED, linewidth=0.8)
    axes.text(0, row - 0.26, text, fontsize=9)


def parts(axes: Axes, row: int, first: float, second: float) -> None:
    """Fill a bar with two parts; the second is hatched."""
    axes.barh(row, first, 0.35, color=BLUE)
    axes.barh(row, second, 0.35, left=first, color=ORANGE, edgecolor=INK, hatch="///", linewidth=0)
