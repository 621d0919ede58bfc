"""``python3 -m swin_edu train``: train a small Swin, watch it, stop it, go on."""

import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from swin_edu.book.datasets import load_dataset
from swin_edu.book.device import device
from swin_edu.book.drawings import learning_curves
from swin_edu.book.files import replace_bytes
from swin_edu.book.style import png
from swin_edu.book.trained import save_trained
from swin_edu.fast import fast
from swin_edu.training import RECIPES, History, small_swin, train

MOST_SEEDS = 1_000_000


def main(data: str, out: Path, seed: int, epochs: int | None, quick: bool) -> int:
    """Train on a dataset, and write the best weights and the curves into the folder `out`."""
    try:
        return run(data, out, seed, epochs, quick)
    except (OSError, ValueError, FloatingPointError) as problem:
        print(f"swin_edu: {problem}", file=sys.stderr)
        return 1


def run(data: str, out: Path, seed: int, epochs: int | None, quick: bool) -> int:
    """Do what `main` says; raise OSError, ValueError or FloatingPointError where that cannot be."""
    if epochs is not None and epochs < 1:
        raise ValueError(f"--epochs is {epochs}; it must be at least 1")
    if not 0 <= seed < MOST_SEEDS:
        raise ValueError(f"--seed is {seed}; it must be at least 0 and below {MOST_SEEDS:,}")
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"--out is {out}, which is no folder; name a folder")
    dataset = load_dataset(data)
    recipe = RECIPES[dataset.name]
    if epochs is not None:
        recipe = replace(recipe, epochs=epochs)
    torch.manual_seed(seed)
    model = small_swin(recipe, len(dataset.classes)).to(device())
    weights, state = out / f"{dataset.name}.safetensors", out / f"{dataset.name}_state.safetensors"
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{len(dataset.training.labels):,} images of {dataset.name}, {count:,} parameters, {device()}")
    with tqdm(total=recipe.epochs, unit="epoch", dynamic_ncols=True) as bar:
        history = train(
            fast(model) if quick else model,
            dataset.training,
            dataset.held_out,
            recipe,
            seed,
            state,
            shown_on(bar),
        )
    if not history.losses:
        print("stopped before the first epoch was done; nothing is written")
        return 130
    options = f"--seed {seed} --epochs {recipe.epochs}{' --fast' if quick else ''}"
    command = f"python3 -m swin_edu train {shlex.quote(data)} {options}"
    accuracy = history.accuracies[history.best]
    save_trained(model, weights, recipe, dataset.classes, command, accuracy)
    replace_bytes(out / f"{dataset.name}.png", png(learning_curves(history.losses, history.accuracies)))
    print(
        f"epoch {history.best + 1} is the best: {accuracy:.1%} of {len(dataset.held_out.labels)} images right"
    )
    print(f"{weights}\n{weights.with_suffix('.png')}")
    if len(history.losses) < recipe.epochs:
        print(f"stopped after {len(history.losses)} of {recipe.epochs} epochs; the same command goes on")
        return 130
    state.unlink()
    return 0


def shown_on(bar: tqdm) -> Callable[[History], None]:
    """Return what shows each epoch's figures on a progress bar."""

    def watch(history: History) -> None:
        bar.set_postfix(
            loss=f"{history.losses[-1]:.2f}", right=f"{history.accuracies[-1]:.1%}", refresh=False
        )
        bar.update(len(history.losses) - bar.n)

    return watch
