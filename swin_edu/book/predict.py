"""What a trained model finds in pictures, drawn, with JSON beside: ``python3 -m swin_edu predict IMAGE``."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from swin_edu.book import drawings
from swin_edu.book.annotated import fitted
from swin_edu.book.device import device
from swin_edu.book.files import check_out, replace_bytes, replace_text
from swin_edu.book.images import load_image
from swin_edu.book.style import png
from swin_edu.book.trained import Trained, load_trained
from swin_edu.tasks.detection import detect
from swin_edu.tasks.segmentation import segment
from swin_edu.training import answering, normalise

SIDE = 64  # pixels of the square into which a picture is fitted, as those to train on were
STORED = {"classification": "scenes", "detection": "detection", "segmentation": "segmentation"}

Findings = dict[str, Any]


def main(images: Sequence[str], task: str, out: Path, weights: Path | None, threshold: float) -> int:
    """Write what is found in each picture into the folder `out`, or say why not in one sentence."""
    try:
        check_out(out)
        if not 0 < threshold < 1:
            raise ValueError(f"--threshold is {threshold}; it must lie between 0 and 1")
        expert = load_trained(weights or STORED[task])
        if expert.task != task:
            raise ValueError(f"{weights} was trained for {expert.task}; give --task {expert.task}")
        expert.model.to(device())
        for image in images:
            picture = load_image(image)
            findings, drawn = TASKS[task](expert, picture, threshold)
            path = out / f"{Path(image).stem}_{task}.png"
            replace_bytes(path, png(drawn))
            found = {"image": image, "task": task, "width": picture.shape[2], "height": picture.shape[1]}
            text = json.dumps(found | findings, indent=1, ensure_ascii=False) + "\n"
            replace_text(path.with_suffix(".json"), text)
            print(f"{path}\n{path.with_suffix('.json')}")
    except (OSError, ValueError) as problem:
        print(f"swin_edu: {problem}", file=sys.stderr)
        return 1
    return 0


def squared(picture: Tensor) -> tuple[Tensor, float]:
    """Return a picture `(3, H, W)` in [0, 1] fitted into a square, with the scale."""
    pixels = (255 * picture).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return fitted(Image.fromarray(np.ascontiguousarray(pixels)), SIDE)


def classify(expert: Trained, picture: Tensor, threshold: float) -> tuple[Findings, Figure]:
    """Return the share of each class, the likeliest first, and the picture under them."""
    image, _ = squared(picture)
    with answering(expert.model) as where:
        shares = expert.model(normalise(image[None].to(where)))[0].softmax(dim=0).cpu()
    best = {expert.classes[i]: round(shares[i].item(), 4) for i in shares.argsort(descending=True)}
    title = ", ".join(f"{name} {share:.0%}" for name, share in list(best.items())[:3])
    return {"classes": best}, drawings.labelled_images(
        (255 * picture[None]).round().byte(), [title], columns=1
    )


def find(expert: Trained, picture: Tensor, threshold: float) -> tuple[Findings, Figure]:
    """Return the objects with their boxes in the picture's own pixels, and the picture with them."""
    image, scale = squared(picture)
    [objects] = detect(expert.model, image[None], threshold)
    height, width = picture.shape[1:]
    boxes = (objects.boxes / scale).minimum(objects.boxes.new_tensor([width, height, width, height]))
    objects = objects._replace(boxes=boxes)
    listed = [
        {"class": expert.classes[label], "score": round(score, 4), "box": [round(side, 1) for side in box]}
        for box, label, score in zip(*(part.tolist() for part in objects[:3]), strict=True)
    ]
    return {"objects": listed}, drawings.objects_in_picture(picture, objects, expert.classes)


def name_pixels(expert: Trained, picture: Tensor, threshold: float) -> tuple[Findings, Figure]:
    """Return the share of each class in the picture, and the picture beside its classes."""
    image, scale = squared(picture)
    height, width = (max(1, round(side * scale)) for side in picture.shape[1:])
    named = segment(expert.model, image[None])[0, :height, :width]
    counts = named.flatten().long().bincount(minlength=1 + len(expert.classes)) / named.numel()
    shares = dict(zip(("ground", *expert.classes), (round(x, 4) for x in counts.tolist()), strict=True))
    return {"pixels": shares}, drawings.classes_in_picture(picture, named, expert.classes)


TASKS = {"classification": classify, "detection": find, "segmentation": name_pixels}
