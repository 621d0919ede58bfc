"""Small trained models: the weights that are stored with the book, and files that ``train`` has written."""

import json
from dataclasses import asdict
from pathlib import Path

from swin_edu.checkpoints import load_weights, read_about, read_weights, save_weights
from swin_edu.model import SwinTransformer
from swin_edu.training import Recipe, small_swin

FOLDER = Path(__file__).with_name("weights")


def save_trained(
    model: SwinTransformer,
    path: Path,
    recipe: Recipe,
    classes: tuple[str, ...],
    command: str,
    accuracy: float,
) -> None:
    """Write a model with its recipe, its classes, its accuracy and the command that trained it."""
    about = {
        "recipe": json.dumps(asdict(recipe)),
        "classes": json.dumps(classes, ensure_ascii=False),
        "command": command,
        "accuracy": f"{accuracy:.4f}",
    }
    save_weights(model.state_dict(), path, about)


def trained(name_or_path: str | Path) -> SwinTransformer:
    """Return a trained model, ready to be asked: "digits" or "scenes", or a file that ``train`` has written.

    Raises OSError or ValueError when there is no such file, or it is damaged or not one of ``train``.
    """
    path = FOLDER / f"{name_or_path}.safetensors"
    path = path if path.exists() else Path(name_or_path)
    weights = read_weights(path)
    about = notes(path)
    try:
        recipe, classes = Recipe(**json.loads(about["recipe"])), json.loads(about["classes"])
    except (TypeError, ValueError):
        raise ValueError(f"{path} holds a recipe of another version of swin_edu; train again") from None
    model = small_swin(recipe, len(classes))
    load_weights(model, weights)
    return model.eval()


def notes(path: Path) -> dict[str, str]:
    """Return what ``train`` has noted in a file that `read_weights` can read."""
    about = read_about(path) if path.suffix == ".safetensors" else {}
    if not {"recipe", "classes"} <= about.keys():
        raise ValueError(f"{path} holds no recipe; give a file that python3 -m swin_edu train has written")
    return about
