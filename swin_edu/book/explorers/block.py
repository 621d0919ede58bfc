"""The explorer of chapter 6: what stands at each station of a block, in both versions."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.block import SwinBlock, SwinBlockV2
from swin_edu.book.explorers.base import Explorer, Slider
from swin_edu.book.style import BLUE, INK, MUTED, ORANGE, PAPER, box, mosaic, picture
from swin_edu.patches import PatchEmbedding
from swin_edu.position import RelativePositionBias
from swin_edu.shift import cyclic_shift_reverse
from swin_edu.windows import window_reverse

SIDE, COUNT, CHANNELS, HEADS, WINDOW, SHIFT = 224, 28, 192, 6, 7, 3  # stage 2 of Swin-T
SHOWN = 4  # channels that the page gets
IN_WINDOWS = ("cut into windows", "queries, keys, values", "attention", "linear layer")
ATTENTION = (*IN_WINDOWS, "put together")
MLP = ("expand, GELU", "reduce")
ORDER = {
    1: ("input", "norm 1", *ATTENTION, "add the input", "norm 2", *MLP, "add again"),
    2: ("input", *ATTENTION, "norm 1", "add the input", *MLP, "norm 2", "add again"),
}
NOTES = {
    "input": "What the block is given: here what an earlier block returned.",
    "norm 1": "Each token gets mean 0 and variance 1 across its channels.",
    "cut into windows": "16 windows of 49 tokens.",
    "queries, keys, values": "One linear layer makes three vectors of each token; drawn are queries.",
    "attention": "Each token takes a weighted mean of the values in its window, head by head.",
    "linear layer": "It mixes the heads.",
    "put together": "The windows become a map again.",
    "add the input": "Input plus what the first branch made of it.",
    "norm 2": "Mean 0 and variance 1 again.",
    "expand, GELU": "The MLP, each token on its own: four times as many numbers, bent by the GELU.",
    "reduce": "And back to the old width.",
    "add again": "The first sum plus what the second branch made of it: the output.",
}
ROLLED = {
    "cut into windows": "The map is rolled by 3 tokens, then cut into 16 windows of 49.",
    "put together": "The windows become a map again, which is rolled back.",
}


@dataclass(frozen=True)
class Station:
    """What stands at one station of a block, and what coming from the one before costs."""

    name: str
    note: str
    map: Tensor  # (H, W, numbers a token)
    parameters: int
    multiply_adds: int

    def channel(self, channel: int) -> np.ndarray:
        """Return one channel in 255 steps from its lowest value to its highest, as the page gets it."""
        values = self.map[..., channel]
        lowest, highest = values.aminmax()
        return (255 * (values - lowest) / (highest - lowest)).round().byte().numpy()

    @property
    def deviation(self) -> float:
        """The standard deviation of all its numbers."""
        return self.map.std(correction=0).item()

    def record(self) -> dict[str, str | list[str]]:
        """Return what the page writes about the station."""
        shown = self.map[..., :SHOWN].flatten(0, 1)
        return {
            "name": self.name,
            "note": self.note,
            "shape": " × ".join(map(str, self.map.shape)),
            "deviation": f"{self.deviation:.2f}",
            "parameters": f"{self.parameters:,}",
            "adds": f"{self.multiply_adds / 1e6:.1f}",
            "lowest": [f"{value:.2f}" for value in shown.amin(0)],
            "highest": [f"{value:.2f}" for value in shown.amax(0)],
        }


class Block(Explorer):
    """Version, windows, station and channel of an untrained block, on a photograph `(3, 224, 224)`.

    The sizes are those of Swin-T's second stage: 28 × 28 tokens of 192 numbers, windows of 7. The norms of
    version 2 have gain 1 here; before training they have gain 0.
    """

    script = "block.js"
    title = "A block, station by station"
    version = Slider(1, (1, 2), "Version")
    shifted = Slider(0, (0, 1), "Windows: 0 plain, 1 shifted")
    station = Slider(3, range(1, 13), "Station")
    channel = Slider(0, range(SHOWN), "Channel drawn")

    def __init__(self, image: Tensor, **state: int) -> None:
        if tuple(image.shape) != (3, SIDE, SIDE):
            raise ValueError(f"image has shape {tuple(image.shape)}; the block takes (3, {SIDE}, {SIDE})")
        self.walks = {
            (version, shifted): walk(version, shifted, image) for version in (1, 2) for shifted in (0, 1)
        }
        records = [[station.record() for station in stations] for stations in self.walks.values()]
        text = json.dumps(records, ensure_ascii=False).encode()
        maps = [
            [station.channel(channel) for station in stations for channel in range(SHOWN)]
            for stations in self.walks.values()
        ]
        super().__init__({"text": np.frombuffer(text, np.uint8), "maps": np.array(maps)}, **state)

    @property
    def stations(self) -> list[Station]:
        """The stations of the block shown."""
        return self.walks[self.version, self.shifted]

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        record = self.stations[self.station - 1].record()
        windows = "shifted" if self.shifted else "plain"
        lowest, highest = (record[end][self.channel] for end in ("lowest", "highest"))
        return (
            f"Version {self.version}, {windows} windows, station {self.station} of 12: {record['name']}. "
            f"{record['note']} {record['shape']} numbers, standard deviation {record['deviation']}; "
            f"channel {self.channel} from {lowest} to {highest}. "
            f"This step: {record['parameters']} parameters, {record['adds']} million multiply-adds."
        )

    def still(self) -> Figure:
        """Draw the list of stations with their standard deviations, and one channel of the map."""
        drawn, axes = mosaic(9.4, 4.5, [["list", "map"]], width_ratios=[1.15, 1])
        self._list(axes["list"])
        station = self.stations[self.station - 1]
        title = f"{station.name}: channel {self.channel} of {station.map.shape[-1]}"
        picture(axes["map"], station.channel(self.channel), title)
        axes["map"].images[0].set_clim(0, 255)
        for edges, style in window_edges(station.name, self.shifted):
            axes["map"].vlines(edges, 0, COUNT, **style)
            axes["map"].hlines(edges, 0, COUNT, **style)
        lowest, highest = station.map[..., self.channel].aminmax()
        caption = f"dark blue {lowest:.2f}, yellow {highest:.2f}"
        axes["map"].text(0, COUNT + 1.2, caption, fontsize=8, color=MUTED)
        return drawn

    def _list(self, axes: Axes) -> None:
        deviations = [station.deviation for station in self.stations]
        unit = 3.2 / max(deviations)
        for row, (station, deviation) in enumerate(zip(self.stations, deviations, strict=True)):
            chosen = row == self.station - 1
            face, ink = (BLUE, PAPER) if chosen else (PAPER, INK)
            box(axes, 0, row + 0.1, 4, 0.8, fill=True, facecolor=face, edgecolor=MUTED, linewidth=1)
            axes.text(0.15, row + 0.5, f"{row + 1}  {station.name}", color=ink, va="center", fontsize=9)
            box(axes, 4.3, row + 0.25, unit * deviation, 0.5, fill=True, facecolor=MUTED, linewidth=0)
            axes.text(4.4 + unit * deviation, row + 0.5, f"{deviation:.2f}", va="center", fontsize=8)
        for start, end in sums(self.version):
            axes.plot([0, -0.5, -0.5], [start + 0.5, start + 0.5, end + 0.5], color=ORANGE, linewidth=2)
            arrow = {"arrowstyle": "->", "color": ORANGE, "linewidth": 2}
            axes.annotate("", (0, end + 0.5), (-0.5, end + 0.5), arrowprops=arrow)
        axes.set(xlim=(-0.6, 8.4), ylim=(12, -0.1))
        axes.set_title(f"version {self.version}; bars: standard deviation", loc="left")
        axes.axis("off")


def sums(version: int) -> list[tuple[int, int]]:
    """Return from which row to which the input of a branch goes to its sum."""
    first = ORDER[version].index("add the input")
    return [(0, first), (first, 11)]


def window_edges(name: str, shifted: int) -> list[tuple[list[int], dict[str, Any]]]:
    """Return the lines to be drawn over a map, in tokens, and how: windows, and the seam of the roll."""
    windows: dict[str, Any] = {"color": ORANGE}
    if name in IN_WINDOWS:
        every = (list(range(0, COUNT + 1, WINDOW)), windows)
        return [every, ([COUNT - SHIFT], {"color": INK, "linestyle": "dashed"})] if shifted else [every]
    return [(list(range(SHIFT * shifted, COUNT + 1, WINDOW)), windows)] if name == "put together" else []


@torch.no_grad()
def walk(version: int, shifted: int, image: Tensor) -> list[Station]:
    """Return what stands at each station of a block on its way over the tokens of a photograph."""
    kind: Callable[..., SwinBlock | SwinBlockV2] = SwinBlock if version == 1 else SwinBlockV2
    with torch.random.fork_rng(devices=[]):  # the reader's own random numbers stay as they were
        before = nn.Sequential(PatchEmbedding(SIDE // COUNT, CHANNELS), SwinBlock(CHANNELS, HEADS, WINDOW))
        block = kind(CHANNELS, HEADS, WINDOW, SHIFT * shifted)
    for layer in (before, block):
        set_weights(layer)
    taken, given = {}, {}
    for name in ("norm1", "attention", "attention.project", "norm2", "mlp", "mlp.reduce"):

        def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor, name: str = name) -> None:
            taken[name], given[name] = inputs[0], output

        block.get_submodule(name).register_forward_hook(keep)
    x = before(image[None].cpu().double())
    output = block(x)
    attended = as_map(given["attention"])
    maps = {
        "input": x,
        "norm 1": given["norm1"],
        "cut into windows": as_map(taken["attention"]),
        "queries, keys, values": as_map(F.linear(taken["attention"], block.attention.qkv.weight)),
        "attention": as_map(taken["attention.project"]),
        "linear layer": attended,
        "put together": cyclic_shift_reverse(attended, SHIFT * shifted),
        "add the input": taken["norm2" if version == 1 else "mlp"],
        "norm 2": given["norm2"],
        "expand, GELU": taken["mlp.reduce"],
        "reduce": given["mlp"],
        "add again": output,
    }
    notes, costs = NOTES | ROLLED if shifted else NOTES, station_costs(block)
    return [Station(name, notes[name], maps[name][0], *costs.get(name, (0, 0))) for name in ORDER[version]]


def set_weights(layer: nn.Module) -> None:
    """Give a layer random weights that are the same on every processor, in double precision; biases are 0."""
    layer.double()
    generator = torch.Generator().manual_seed(0)
    for part in layer.modules():
        if isinstance(part, nn.Linear):
            steps = torch.randint(-1024, 1025, part.weight.shape, generator=generator)
            part.weight.copy_(steps / 1024 * (3 / part.in_features) ** 0.5)  # outputs as large as inputs
            if part.bias is not None:
                part.bias.zero_()
        if isinstance(part, RelativePositionBias):
            part.table.copy_(torch.randint(-1024, 1025, part.table.shape, generator=generator) / 1024)


def as_map(windows: Tensor) -> Tensor:
    """Put windows side by side, where they stand after the roll."""
    return window_reverse(windows, WINDOW, COUNT, COUNT)


def station_costs(block: SwinBlock | SwinBlockV2) -> dict[str, tuple[int, int]]:
    """Return parameters and multiply-adds of those steps that have any; norms and sums count as none."""
    attention, mlp = block.attention, block.mlp
    linear = {
        "queries, keys, values": attention.qkv,
        "linear layer": attention.project,
        "expand, GELU": mlp.expand,
        "reduce": mlp.reduce,
    }
    costs = {name: (size(layer), COUNT**2 * layer.weight.numel()) for name, layer in linear.items()}
    costs |= {"norm 1": (size(block.norm1), 0), "norm 2": (size(block.norm2), 0)}
    pairs = COUNT**2 * WINDOW**2
    network = [layer for layer in attention.position.modules() if isinstance(layer, nn.Linear)]
    bias = sum((2 * WINDOW - 1) ** 2 * layer.weight.numel() for layer in network)
    others = size(attention) - size(attention.qkv) - size(attention.project)
    return costs | {"attention": (others, 2 * pairs * CHANNELS + bias)}


def size(layer: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(p.numel() for p in layer.parameters())
