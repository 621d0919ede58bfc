"""The three tasks from several seeds, and detection on Swin beside its rivals: ``compare tasks pyramids``.

Chapter 14 draws what these functions measured.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from swin_edu.book.annotated import scenes_of_objects
from swin_edu.book.compare import SIDE, Figures, cost_of, row, side_by_side, spread
from swin_edu.book.datasets import scenes
from swin_edu.book.device import device
from swin_edu.book.scenes import CLASSES
from swin_edu.book.tasks import KINDS, mean_iou
from swin_edu.book.train import begin, watched_and_judged
from swin_edu.book.trained import trained
from swin_edu.rivals.cnn import ResNet
from swin_edu.rivals.vit import ViT
from swin_edu.tasks.detection import Detector, detect
from swin_edu.tasks.metrics import SIZES, average_precision
from swin_edu.training import (
    Recipe,
    draw_larger_weights,
    parameter_groups,
    small_swin,
    train,
    train_epoch,
)

SEEDS = 3
TASKS = ("classification", "detection", "segmentation")
RECIPE = KINDS["classification"].recipe
EPOCHS = 4  # of detection on each backbone; ten make all better


class LastMap(nn.Module):
    """A backbone of which only the last map is read, as it is to name an image."""

    def __init__(self, backbone: Any) -> None:
        super().__init__()
        self.backbone = backbone

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the last map in a list."""
        return self.backbone.features(images)[-1:]


# Each with its head costs 44 to 50 million operations for a scene.
BACKBONES: dict[str, Callable[[], nn.Module]] = {
    "Swin": lambda: small_swin(RECIPE, len(CLASSES)),
    "ViT": lambda: ViT(64, 6, 4, 8, SIDE, len(CLASSES), class_token=False),
    "CNN": lambda: ResNet(20, (2, 2, 2), len(CLASSES)),
}
LAST_MAP = "Swin, last map only"
FIGURES = ("mAP", "AP50", "AP75", *SIZES, "large")


def solved(task: str, seed: int) -> Figures:
    """Train a task as the command ``train`` does; return its figures on held-out scenes."""
    recipe = KINDS[task].recipe
    torch.manual_seed(seed)
    return figures_of(begin(task, recipe, len(CLASSES), quick=True).to(device()), task, recipe, seed)


def figures_of(model: nn.Module, task: str, recipe: Recipe, seed: int) -> Figures:
    """Train a model; return its figures on held-out scenes that have chosen nothing."""
    if task == "classification":
        named = scenes()
        history = train(model, named.training, named.held_out, recipe, seed)
        return {"right": [history.scores[-1]]}
    data = scenes_of_objects()
    watched, judged = watched_and_judged(data.held_out)
    train(model, data.training, watched, recipe, seed, task=KINDS[task].task)
    if task == "segmentation":
        return {"mIoU": [mean_iou(model, *judged)]}
    figures = average_precision(detect(model, judged.images), judged.boxes, judged.labels)
    return {name: [value] for name, value in figures.items()}


def train_tasks(seeds: int = SEEDS) -> Figures:
    """Train all three tasks from several seeds; return the figures of each."""
    results = side_by_side([partial(solved, task, seed) for task in TASKS for seed in range(seeds)])
    return joined(TASKS, results, seeds)


def time_tasks() -> Figures:
    """Return the minutes that the training of each task takes, from those of one epoch."""
    figures = {}
    for task in TASKS:
        recipe = KINDS[task].recipe
        model = begin(task, recipe, len(CLASSES), quick=True).to(device())
        data: Sequence[Tensor] = (
            scenes().training if task == "classification" else scenes_of_objects().training
        )
        data = [part.to(device()) for part in data]
        optimizer = torch.optim.AdamW(parameter_groups(model, recipe.weight_decay))
        start = time.perf_counter()
        train_epoch(model, optimizer, data, recipe, 0, KINDS[task].task.loss)
        figures[task] = [recipe.epochs * (time.perf_counter() - start) / 60]
    return figures


def joined(names: Sequence[str], results: Sequence[Figures], seeds: int) -> Figures:
    """Return the figures of several seeds, one list for each name and figure."""
    return {
        f"{name}, {what}": [value for each in results[i * seeds : (i + 1) * seeds] for value in each[what]]
        for i, name in enumerate(names)
        for what in results[i * seeds]
    }


def pretrained(name: str) -> dict[str, Tensor]:
    """Train a rival to name scenes, as the stored Swin was trained; return its weights."""
    data = scenes()
    torch.manual_seed(0)
    model = BACKBONES[name]()
    draw_larger_weights(model)
    train(model.to(device()), data.training, data.held_out, RECIPE)
    return {key: x.cpu() for key, x in model.state_dict().items()}


def on_backbone(name: str, weights: dict[str, Tensor], seed: int) -> Figures:
    """Train detection on a backbone of BACKBONES that can name scenes, or on the last map of a Swin."""
    torch.manual_seed(seed)
    model = detector_on(name)
    reader: Any = model.backbone
    (reader.backbone if name == LAST_MAP else reader).load_state_dict(weights)
    recipe = replace(KINDS["detection"].recipe, epochs=EPOCHS)
    return figures_of(model.to(device()), "detection", recipe, seed)


def detector_on(name: str) -> Detector:
    """Return a detector on a backbone of BACKBONES or on the last map of a Swin, with random weights."""
    return Detector(LastMap(BACKBONES["Swin"]()) if name == LAST_MAP else BACKBONES[name](), len(CLASSES))


def train_pyramids(seeds: int = SEEDS) -> Figures:
    """Train detection on Swin, on its last map only, and on its rivals; return mAP by the size of objects."""
    rivals = [name for name in BACKBONES if name != "Swin"]
    weights = dict(zip(rivals, side_by_side([partial(pretrained, name) for name in rivals]), strict=True))
    weights |= {name: trained("scenes").state_dict() for name in ("Swin", LAST_MAP)}
    names = ["Swin", LAST_MAP, *rivals]
    jobs = [partial(on_backbone, name, weights[name], seed) for name in names for seed in range(seeds)]
    return joined(names, side_by_side(jobs), seeds)


def task_table(figures: Figures) -> list[str]:
    """Return a line for each task."""
    return [
        row("held-out scenes, in %", ["mean ± sd"]),
        *(row(name, [spread(of)]) for name, of in figures.items()),
    ]


def pyramid_table(figures: Figures) -> list[str]:
    """Return a line for each backbone."""
    lines = [row("detection, in %", [*FIGURES, "parameters", "MFLOP"])]
    for name in dict.fromkeys(name.rpartition(", ")[0] for name in figures):
        parameters, millions = cost_of(partial(detector_on, name))
        shares = [spread(figures[f"{name}, {what}"]) for what in FIGURES]
        lines.append(row(name, [*shares, f"{parameters:,}", f"{millions:.1f}"]))
    return lines


TABLES: dict[str, tuple[str, Callable[[], Figures], Callable[[Figures], list[str]]]] = {
    "tasks": ("tasks", train_tasks, task_table),
    "pyramids": ("pyramids", train_pyramids, pyramid_table),
}
