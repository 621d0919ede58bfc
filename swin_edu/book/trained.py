"""Small trained models: the weights that are stored with the book, and files that ``train`` has written."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from torch import nn

from swin_edu.book.tasks import KINDS
from swin_edu.checkpoints import (
    check_names,
    check_tensors,
    load_weights,
    read_about,
    read_weights,
    save_weights,
)
from swin_edu.training import Recipe, small_swin

FOLDER = Path(__file__).with_name("weights")


class Trained(NamedTuple):
    """A model, ready to be asked, with its task and what its classes are called."""

    task: str
    model: Any  # a SwinTransformer, a Detector or a Segmenter
    classes: tuple[str, ...]


def save_trained(
    model: nn.Module,
    path: Path,
    recipe: Recipe,
    classes: tuple[str, ...],
    command: str,
    score: float,
    task: str = "classification",
) -> None:
    """Write a model with its recipe, its classes, its task, its score and the command that trained it."""
    about = {
        "task": task,
        "recipe": json.dumps(asdict(recipe)),
        "classes": json.dumps(classes, ensure_ascii=False),
        "command": command,
        "score": f"{score:.4f}",
    }
    save_weights(model.state_dict(), path, about)


def load_trained(name_or_path: str | Path) -> Trained:
    """Return one of the stored models, "digits", "scenes", "detection" or "segmentation", or that of a file.

    Raises OSError or ValueError when there is no such file, or it is damaged or not one of ``train``.
    """
    path = FOLDER / f"{name_or_path}.safetensors"
    path = path if path.exists() else Path(name_or_path)
    weights = read_weights(path)
    about = notes(path)
    try:
        task, recipe = about["task"], Recipe(**json.loads(about["recipe"]))
        classes = tuple(json.loads(about["classes"]))
        build = KINDS[task].build
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} holds a recipe of another version of swin_edu; train again") from None
    backbone = small_swin(recipe, len(classes))
    model = build(backbone, len(classes))
    if model is backbone:
        load_weights(backbone, weights)
    else:
        wanted = model.state_dict()
        check_names(
            [name for name in wanted if name not in weights], [name for name in weights if name not in wanted]
        )
        check_tensors(weights, wanted)
        model.load_state_dict(weights)
    return Trained(task, model.eval(), classes)


def trained(name_or_path: str | Path) -> Any:
    """Return the model of `load_trained`."""
    return load_trained(name_or_path).model


def notes(path: Path) -> dict[str, str]:
    """Return what ``train`` has noted in a file that `read_weights` can read."""
    about = read_about(path) if path.suffix == ".safetensors" else {}
    if not {"recipe", "classes"} <= about.keys():
        raise ValueError(f"{path} holds no recipe; give a file that python3 -m swin_edu train has written")
    return about
