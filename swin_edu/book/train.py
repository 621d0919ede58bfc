"""``python3 -m swin_edu train``: train a small Swin for a task, watch it, stop it, go on."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from swin_edu.book.annotated import AnnotatedDataset, load_annotated
from swin_edu.book.datasets import Dataset, load_dataset
from swin_edu.book.device import device
from swin_edu.book.drawings import learning_curves
from swin_edu.book.files import check_out, replace_bytes
from swin_edu.book.style import png
from swin_edu.book.tasks import KINDS
from swin_edu.book.together import Group, LostError, group_of_torchrun, joined, train_together
from swin_edu.book.trained import save_trained, trained
from swin_edu.fast import fast
from swin_edu.tasks.annotated import UNKNOWN, Annotated
from swin_edu.training import RECIPES, History, Recipe, small_swin, train

MOST_SEEDS = 1_000_000
WATCHED = 200  # held-out pictures that judge every epoch of a task whose metric takes long


def main(
    data: str,
    out: Path,
    seed: int,
    epochs: int | None,
    quick: bool,
    task: str = "classification",
    shard: bool = False,
) -> int:
    """Train on a dataset, and write the best weights and the curves into the folder `out`."""
    group = group_of_torchrun()
    try:
        with joined(group):
            return run(group, data, out, seed, epochs, quick, task, shard)
    except (OSError, ValueError, FloatingPointError) as problem:
        if group.first or isinstance(problem, LostError):
            print(f"swin_edu: {problem}", file=sys.stderr)
        return 1


def run(
    group: Group, data: str, out: Path, seed: int, epochs: int | None, quick: bool, task: str, shard: bool
) -> int:
    """Do what `main` says; raise OSError, ValueError or FloatingPointError where that cannot be."""
    if epochs is not None and epochs < 1:
        raise ValueError(f"--epochs is {epochs}; it must be at least 1")
    if not 0 <= seed < MOST_SEEDS:
        raise ValueError(f"--seed is {seed}; it must be at least 0 and below {MOST_SEEDS:,}")
    if shard and group.count == 1:
        raise ValueError("--shard divides a model among processes, but there is one; torchrun starts several")
    if shard and (quick or task != "classification"):
        raise ValueError(
            "--shard divides only the clear model that names pictures; leave out --fast and --task"
        )
    kind = KINDS[task]
    with group.agreeing():
        check_out(out)
        dataset, recipe = data_and_recipe(data, task)
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    torch.manual_seed(seed)
    model = begin(task, recipe, len(dataset.classes), quick).to(device())
    name = dataset.name if task == "classification" else f"{dataset.name}_{task}"
    weights, state = out / f"{name}.safetensors", out / f"{name}_state.safetensors"
    if group.first:
        count = sum(parameter.numel() for parameter in model.parameters())
        images = len(dataset.training.images)
        processes = f", {group.count} processes" if group.count > 1 else ""
        print(f"{images:,} images of {dataset.name}, {count:,} parameters, {device()}{processes}")
    watched, judged = watched_and_judged(dataset.held_out)
    how = partial(train_together, group, shard) if group.count > 1 else train
    with tqdm(total=recipe.epochs, unit="epoch", dynamic_ncols=True, disable=not group.first) as bar:
        history = how(
            model,
            dataset.training,
            watched,
            recipe,
            seed,
            state,
            shown_on(bar, kind.score),
            kind.task,
        )
    if not group.first:
        return 0 if len(history.losses) == recipe.epochs else 130
    if not history.losses:
        print("stopped before the first epoch was done; nothing is written")
        return 130
    chosen = "" if task == "classification" else f"--task {task} "
    options = f"{chosen}--seed {seed} --epochs {recipe.epochs}{' --fast' if quick else ''}"
    python = "python3" if group.count == 1 else f"torchrun --nproc-per-node {group.count}"
    command = f"{python} -m swin_edu train {shlex.quote(data)} {options}{' --shard' if shard else ''}"
    score = history.scores[history.best] if judged is watched else kind.task.score(model, *judged)
    save_trained(model, weights, recipe, dataset.classes, command, score, task)
    curves = learning_curves(history.losses, history.scores, f"{kind.score}, held-out images")
    replace_bytes(out / f"{name}.png", png(curves))
    print(
        f"epoch {history.best + 1} is the best: {kind.score} {score:.1%} "
        f"of {len(judged.images)} held-out images"
    )
    print(f"{weights}\n{weights.with_suffix('.png')}")
    if len(history.losses) < recipe.epochs:
        print(f"stopped after {len(history.losses)} of {recipe.epochs} epochs; the same command goes on")
        return 130
    state.unlink()
    return 0


def data_and_recipe(data: str, task: str) -> tuple[Dataset | AnnotatedDataset, Recipe]:
    """Return the pictures that a task needs, and how it is trained on them."""
    if task == "classification":
        dataset = load_dataset(data)
        return dataset, RECIPES[dataset.name]
    annotated = load_annotated(data)
    if task == "segmentation" and (annotated.training.pixels == UNKNOWN).all():
        raise ValueError(f"{data} holds no masks; segmentation needs them, detection does not")
    return annotated, KINDS[task].recipe


def watched_and_judged(held_out: Any) -> tuple[Any, Any]:
    """Return the held-out pictures that judge every epoch, and those that judge the result.

    Of many annotated ones these are others; with labels alone, which are quick to judge, all serve both.
    """
    if isinstance(held_out, Annotated) and len(held_out.images) > WATCHED:
        return held_out.some(slice(WATCHED)), held_out.some(slice(WATCHED, None))
    return held_out, held_out


def begin(task: str, recipe: Recipe, classes: int, quick: bool = False) -> nn.Module:
    """Return a model to train; each task after the first begins with the backbone of the one before."""
    if task == "classification":
        model = small_swin(recipe, classes)
        return fast(model) if quick else model
    backbone: Any = trained("scenes") if task == "detection" else trained("detection").backbone
    return KINDS[task].build(fast(backbone) if quick else backbone, classes)


def shown_on(bar: tqdm, score: str) -> Callable[[History], None]:
    """Return what shows each epoch's figures on a progress bar."""

    def watch(history: History) -> None:
        figures = {"loss": f"{history.losses[-1]:.2f}", score: f"{history.scores[-1]:.1%}"}
        bar.set_postfix(figures, refresh=False)
        bar.update(len(history.losses) - bar.n)

    return watch
