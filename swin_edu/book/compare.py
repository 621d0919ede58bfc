"""Swin beside its rivals, on equal terms: ``python3 -m swin_edu compare``.

Chapters 12 and 13 draw what these functions measured.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from math import isqrt, log
from multiprocessing import get_context
from operator import call
from statistics import mean, median, stdev
from typing import Any

import torch
from einops import rearrange, reduce
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from swin_edu.attention import attend, attend_with_weights
from swin_edu.book.bench import exponent, infer, sample, silence, tensor_memory
from swin_edu.book.datasets import MOST_SCENES, scenes
from swin_edu.book.device import device
from swin_edu.book.measured import measured, this_machine
from swin_edu.book.scenes import CLASSES, draw_scene
from swin_edu.model import swin
from swin_edu.rivals.cnn import ResNet
from swin_edu.rivals.linformer import Linformer
from swin_edu.rivals.performer import Performer
from swin_edu.rivals.pyramid import Place, Pyramid, Windows
from swin_edu.rivals.routing import Routing
from swin_edu.rivals.vit import Attention, ViT
from swin_edu.training import (
    RECIPES,
    Recipe,
    draw_larger_weights,
    normalise,
    parameter_groups,
    repeatable,
    small_swin,
    train,
    train_epoch,
)

SEEDS = 3
SIDE = 64  # pixels of a scene
TRAINING, HELD_OUT = 4000, 1000  # scenes
RECIPE = replace(RECIPES["scenes"], epochs=10)

Figures = dict[str, list[float]]


# The same task for all attentions: name the shape in a scene


def windows_of(place: Place) -> Windows:
    """Return Swin's windows; every second block is shifted."""
    return Windows(place.height, place.width, RECIPE.window, RECIPE.window // 2 * (place.block % 2))


def linformer_of(place: Place) -> Linformer:
    """Return a Linformer with as many mixtures as a quarter of the tokens."""
    tokens = place.height * place.width
    return Linformer(tokens, max(1, tokens // 4))


def routing_of(place: Place) -> Routing:
    """Return a Routing attention with √N clusters."""
    return Routing(place.heads, place.channels, isqrt(place.height * place.width))


ATTENTIONS: dict[str, Callable[[Place], Attention]] = {
    "exact": lambda place: attend,
    "windows": windows_of,
    "Performer": lambda place: Performer(place.channels),
    "Performer, ReLU": lambda place: Performer(place.channels, kernel="relu", floor=1e-3),
    "Linformer": linformer_of,
    "Routing": routing_of,
}
SWIN = "windows with bias"  # Swin itself: a relative bias instead of a table of positions


def small_pyramid(name: str) -> nn.Module:
    """Return the small model for scenes with an attention of ATTENTIONS, or Swin itself."""
    if name == SWIN:
        return small_swin(RECIPE, len(CLASSES))
    model = Pyramid(
        SIDE, RECIPE.channels, RECIPE.depths, RECIPE.heads, ATTENTIONS[name], len(CLASSES), RECIPE.patch
    )
    draw_larger_weights(model)
    return model


def learned(name: str, seed: int, epochs: int) -> float:
    """Return the share of held-out scenes that a model names after its last epoch."""
    data = scenes()
    torch.manual_seed(seed)
    model = small_pyramid(name).to(device())
    history = train(model, data.training, data.held_out, replace(RECIPE, epochs=epochs), seed)
    return history.scores[-1]


def train_attentions(seeds: int = SEEDS, epochs: int = RECIPE.epochs) -> Figures:
    """Train every attention from several seeds; return the accuracies of each."""
    names = [*ATTENTIONS, SWIN]
    results = side_by_side([partial(learned, name, seed, epochs) for name in names for seed in range(seeds)])
    return {name: results[i * seeds : (i + 1) * seeds] for i, name in enumerate(names)}


def side_by_side(jobs: Sequence[Callable]) -> list:
    """Return the jobs' results: one job to a core and one thread to a job; on a GPU one after the other."""
    workers = (os.cpu_count() or 1) if device().type == "cpu" else 1
    threads = 1 if workers > 1 else torch.get_num_threads()
    with get_context("spawn").Pool(workers, begin, [threads]) as pool:  # whose end ends all workers
        return list(tqdm(pool.imap(call, jobs), total=len(jobs), unit="training", dynamic_ncols=True))


def begin(threads: int) -> None:
    """Begin a worker: Ctrl-C is for the process that waits for it, not for a training to end early."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(threads)


# The same task for all backbones: name what every cell of a scene shows

BACKBONES: dict[str, Callable[[], nn.Module]] = {
    "Swin": lambda: small_swin(RECIPE, 1),
    "ViT, equal parameters": lambda: ViT(64, 6, 4, 8, SIDE, 1, class_token=False),
    "ViT, equal cost": lambda: ViT(48, 6, 4, 8, SIDE, 1, class_token=False),
    "ViT, patches of 4": lambda: ViT(48, 6, 4, 4, SIDE, 1, class_token=False),
    "CNN": lambda: ResNet(20, (2, 2, 2), 1),
}
CELL = 4  # pixels: the finest map of Swin and of the CNN
SIZES = {"small": 120, "medium": 280, "large": SIDE * SIDE}  # below so many visible pixels


class CellReader(nn.Module):
    """Name what every cell shows, from all maps of a backbone: the sum of what a linear layer reads in each.

    Where a place of a map covers several cells, the layer names each of them.

    Shape: (B, 3, H, W) -> (B, 7, H/4, W/4)
    """

    def __init__(self, backbone: Any) -> None:  # with features()
        super().__init__()
        self.backbone = backbone
        with torch.no_grad():
            maps = self.backbone.features(torch.zeros(2, 3, SIDE, SIDE))
        self.readers = nn.ModuleList(
            nn.Sequential(
                nn.LayerNorm(x.shape[-1]),
                nn.Linear(x.shape[-1], (1 + len(CLASSES)) * (SIDE // CELL // x.shape[1]) ** 2),
            )
            for x in maps
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the score of each class, the ground first."""
        cells = images.shape[2] // CELL
        scores = [
            rearrange(read(x), "b h w (c p q) -> b c (h p) (w q)", c=1 + len(CLASSES), p=cells // x.shape[1])
            for read, x in zip(self.readers, self.backbone.features(images), strict=True)
        ]
        return torch.stack(scores).sum(dim=0)


def cell_reader(name: str) -> CellReader:
    """Return a backbone of BACKBONES that names cells."""
    model = CellReader(BACKBONES[name]())
    draw_larger_weights(model)
    return model


@cache
def scenes_of_cells(first: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return scenes, the class of each cell, and the size of what it shows, 1 to 3; 0 is ground."""
    images, labels, sizes = [], [], []
    for seed in range(first, first + count):
        scene = draw_scene(seed, SIDE)
        pixels = scene.masks.sum((1, 2))
        kinds = 1 + torch.bucketize(pixels, torch.tensor(list(SIZES.values())), right=True)
        layers = torch.cat([1 - scene.masks.any(0, keepdim=True).long(), scene.masks.long()])
        owner = reduce(layers, "n (y p) (x q) -> n y x", "sum", p=CELL, q=CELL).argmax(dim=0)
        images.append(scene.image)
        labels.append(torch.cat([torch.zeros(1, dtype=torch.long), 1 + scene.labels])[owner])
        sizes.append(torch.cat([torch.zeros(1, dtype=torch.long), kinds])[owner])
    return torch.stack(images), torch.stack(labels), torch.stack(sizes)


def cell_loss(model: nn.Module, recipe: Recipe, images: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of all cells; scenes are mirrored at random, all of a batch alike."""
    flips = [axis for axis in (-2, -1) if torch.rand(()) < 0.5]
    return F.cross_entropy(model(normalise(images.flip(flips))), labels.flip(flips))


def read_cells(name: str, seed: int, epochs: int) -> list[float]:
    """Train a backbone to name cells; return the shares that are right, by size, and the mean IoU."""
    where = device()
    images, labels, _ = (x.to(where) for x in scenes_of_cells(0, TRAINING))
    torch.manual_seed(seed)
    model = cell_reader(name).to(where)
    recipe = replace(RECIPE, epochs=epochs)
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe.weight_decay))
    with repeatable(seed, where):
        for epoch in range(epochs):
            train_epoch(model, optimizer, (images, labels), recipe, epoch, cell_loss)
    return cells_right(model.eval(), *scenes_of_cells(MOST_SCENES, HELD_OUT))


@torch.no_grad()
def cells_right(model: nn.Module, images: Tensor, labels: Tensor, sizes: Tensor) -> list[float]:
    """Return the share of cells that are right for each size, and the mean over classes of the IoU."""
    where = next(model.parameters()).device
    named = torch.cat([model(normalise(some.to(where))).argmax(1).cpu() for some in images.split(250)])
    shares = [(named == labels)[sizes == size].double().mean().item() for size in range(1, 1 + len(SIZES))]
    overlaps = [
        ((named == label) & (labels == label)).sum() / ((named == label) | (labels == label)).sum()
        for label in range(1 + len(CLASSES))
    ]
    return [*shares, torch.stack(overlaps).mean().item()]


def train_backbones(seeds: int = SEEDS, epochs: int = RECIPE.epochs) -> Figures:
    """Train every backbone from several seeds; return for each the shares by size and the mean IoU."""
    results = side_by_side(
        [partial(read_cells, name, seed, epochs) for name in BACKBONES for seed in range(seeds)]
    )
    return {
        f"{name}, {what}": [result[column] for result in results[i * seeds : (i + 1) * seeds]]
        for i, name in enumerate(BACKBONES)
        for column, what in enumerate((*SIZES, "mIoU"))
    }


# Time and memory, by the number of tokens and by the side of the image

LENGTHS = tuple(side**2 for side in (8, 16, 24, 32, 48, 64, 96, 128, 192, 256))
MOST_PAIRS = 2**28  # that are written out for a head: 1 GiB
LENGTH_HEADS, LENGTH_CHANNELS, KNOB, WINDOW = 2, 32, 128, 8
LENGTH_SETTINGS = (
    f"{LENGTH_HEADS} heads of {LENGTH_CHANNELS} channels; Performer: {KNOB} features; "
    f"Linformer: rank {KNOB}; Routing: √N clusters of √N; windows: {WINDOW} × {WINDOW}"
)


def attentions_of_length(tokens: int) -> dict[str, Attention]:
    """Return each attention, for so many tokens."""
    side = isqrt(tokens)
    layers: dict[str, Attention] = {
        "exact, written out": lambda q, k, v: attend_with_weights(q, k, v)[0],
        "exact": attend,
        "windows": Windows(side, side, WINDOW),
        "Performer": Performer(LENGTH_CHANNELS, KNOB),
        "Linformer": Linformer(tokens, KNOB),
        "Routing": Routing(LENGTH_HEADS, LENGTH_CHANNELS, side),
    }
    if tokens**2 > MOST_PAIRS:
        del layers["exact, written out"]
    return {
        name: layer.eval().to(device()) if isinstance(layer, nn.Module) else layer
        for name, layer in layers.items()
    }


@torch.inference_mode()
def time_lengths(lengths: Sequence[int] = LENGTHS) -> Figures:
    """Return milliseconds and megabytes of each attention at each length."""
    torch.manual_seed(0)
    figures: Figures = {}
    for tokens in lengths:
        q, k, v = torch.randn(3, 1, LENGTH_HEADS, tokens, LENGTH_CHANNELS).to(device())
        for name, layer in attentions_of_length(tokens).items():
            add_cost(figures, name, partial(layer, q, k, v))
    return figures


SIDES = (224, 448, 896, 1792)


def full_backbones() -> dict[str, nn.Module]:
    """Return three models of about equal size, for images of any size, without weights of worth."""
    models = {
        "Swin-T": swin("swin_t"),
        "ViT-S/16": ViT(384, 12, 6),
        "ResNet-34": ResNet(64, (3, 4, 6, 3)),
    }
    return {name: model.eval().to(device()) for name, model in models.items()}


def time_sides(sides: Sequence[int] = SIDES) -> Figures:
    """Return milliseconds and megabytes of one image at each side, for the three."""
    figures: Figures = {}
    models = full_backbones()
    for side in sides:
        images = torch.randn(1, 3, side, side).to(device())
        for name, model in models.items():
            add_cost(figures, name, partial(infer, model, images))
    return figures


def add_cost(figures: Figures, name: str, run: Callable[[], object]) -> None:
    """Add the median time of a run, of up to 9 within some seconds, and what its tensors hold at most."""
    where = device()
    megabytes = tensor_memory(run, where)  # the first run, which also warms up
    times = [sample(run, where).seconds]
    while len(times) < 9 and sum(times) < 4:
        times.append(sample(run, where).seconds)
    figures.setdefault(f"{name}, ms", []).append(1e3 * median(times))
    figures.setdefault(f"{name}, MB", []).append(megabytes)


def crossing(sizes: Sequence[float], first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return the size from which on `first` stays above `second`; None if it is not at the largest size.

    Between two sizes the logarithms go straight. If `first` is always above, that is the smallest size.
    """
    gaps = [log(a / b) for a, b in zip(first, second, strict=True)]
    if gaps[-1] <= 0:
        return None
    below = [index for index, gap in enumerate(gaps) if gap <= 0]
    if not below:
        return sizes[0]
    i = below[-1]
    share = gaps[i] / (gaps[i] - gaps[i + 1])
    return sizes[i] * (sizes[i + 1] / sizes[i]) ** share


# The tables


def cost_of(build: Callable[[], nn.Module]) -> tuple[int, float]:
    """Return the parameters of a model for scenes, and the millions of operations for one."""
    with torch.device("meta"):  # nothing is computed, and every product is counted
        model, images = build().eval(), torch.zeros(1, 3, SIDE, SIDE)
    with FlopCounterMode(display=False) as counter:
        infer(model, images)
    return sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() / 1e6


def spread(shares: Sequence[float]) -> str:
    """Return mean and standard deviation in percent."""
    return f"{100 * mean(shares):.1f} ± {100 * stdev(shares) if len(shares) > 1 else 0:.1f}"


def row(name: str, cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"{name:24}" + "".join(f"{cell:>13}" for cell in cells)


def attention_table(figures: Figures) -> list[str]:
    """Return a line for each attention on scenes."""
    lines = [row("right, in %", ["mean ± sd", "parameters", "MFLOP"])]
    for name, accuracies in figures.items():
        parameters, millions = cost_of(partial(small_pyramid, name))
        lines.append(row(name, [spread(accuracies), f"{parameters:,}", f"{millions:.1f}"]))
    return lines


def backbone_table(figures: Figures) -> list[str]:
    """Return a line for each backbone on cells."""
    columns = [*SIZES, "mIoU"]
    lines = [row("right cells, in %", [*columns, "parameters", "MFLOP"])]
    for name in BACKBONES:
        parameters, millions = cost_of(partial(cell_reader, name))
        shares = [spread(figures[f"{name}, {what}"]) for what in columns]
        lines.append(row(name, [*shares, f"{parameters:,}", f"{millions:.1f}"]))
    return lines


def growth_table(unit: str, sizes: Sequence[int], amounts: Sequence[int], figures: Figures) -> list[str]:
    """Return a line for each series, with the power of the amount (tokens or pixels) by which it grows.

    Below 1,000 of them fixed costs count most, so the power is taken from there on.
    """
    lines = [row(unit, [*(f"{size:,}" for size in sizes), "power"])]
    first = next(index for index, amount in enumerate(amounts) if amount >= 1000)
    for name, values in figures.items():
        cells = [f"{value:.1f}" for value in values] + ["-"] * (len(sizes) - len(values))
        power = exponent(amounts[first : len(values)], values[first:])
        lines.append(row(name, [*cells, f"{power:.2f}"]))
    return lines


TABLES: dict[str, tuple[str, Callable[[], Figures], Callable[[Figures], list[str]]]] = {
    "attentions": ("attentions on scenes", train_attentions, attention_table),
    "lengths": ("attentions by length", time_lengths, partial(growth_table, "tokens", LENGTHS, LENGTHS)),
    "backbones": ("backbones on scenes", train_backbones, backbone_table),
    "sides": (
        "backbones by side",
        time_sides,
        partial(growth_table, "pixels a side", SIDES, [side**2 for side in SIDES]),
    ),
}


def main(chosen: Sequence[str]) -> int:
    """Measure what is chosen, all if nothing is, and print a table of each."""
    from swin_edu.book import compare_tasks  # here, since it needs this module

    tables = TABLES | compare_tasks.TABLES
    if unknown := set(chosen) - set(tables):
        print(f"TABLE is {min(unknown)!r}; it must be one of {', '.join(tables)}", file=sys.stderr)
        return 2
    silence()
    print(this_machine())
    for name in chosen or tables:
        title, measure, lines = tables[name]
        print(f"\n{title}{f', {LENGTH_SETTINGS}' if name == 'lengths' else ''}", flush=True)
        print("\n".join(lines(measured(title, measure, here=True))), flush=True)
    return 0
