"""The pictures of the README and of slides, drawn by the package: ``python3 -m swin_edu figures``."""

from collections.abc import Callable
from pathlib import Path

import torch
from matplotlib.figure import Figure

from swin_edu.book import contents, drawings
from swin_edu.book.annotated import scenes_of_objects
from swin_edu.book.datasets import digits
from swin_edu.book.explorers import (
    Attention,
    Block,
    Halo,
    Moves,
    Overview,
    Patches,
    Position,
    Reach,
    ShiftMask,
    Sight,
    Windows,
)
from swin_edu.book.images import sample_image
from swin_edu.book.scenes import CLASSES, draw_scene
from swin_edu.book.style import png
from swin_edu.book.trained import trained
from swin_edu.book.write import ROOT
from swin_edu.fast import window_order
from swin_edu.insight import look_inside
from swin_edu.patches import patch_partition
from swin_edu.shift import shift_mask
from swin_edu.tasks.detection import detect
from swin_edu.tasks.segmentation import segment
from swin_edu.training import normalise


def toy_partition() -> Figure:
    """Draw four patches of 2 × 2 whose numbers can be checked by eye."""
    toy = torch.arange(16.0).expand(1, 3, 16).reshape(1, 3, 4, 4)
    return drawings.toy_partition(toy[0, 0], patch_partition(toy, 2)[..., ::3].reshape(4, 4))


def sight() -> Figure:
    """Draw where a token of a drawn scene looks, in the second block of the model trained on scenes."""
    images = draw_scene(1, objects=1).image[None] / 255
    return Sight(images, look_inside(trained("scenes"), normalise(images)), block=2, row=8, column=8).still()


def tasks() -> Figure:
    """Draw what the three small models find in three scenes."""
    images = scenes_of_objects(1, 24).held_out.images[[11, 13, 21]]
    with torch.no_grad():
        names = [CLASSES[label] for label in trained("scenes")(normalise(images)).argmax(1)]
    found = detect(trained("detection"), images, threshold=0.45)
    return drawings.answers(images, names, found, segment(trained("segmentation"), images), CLASSES)


# The same token everywhere, in its window, in the shifted window; and one at the border, under the mask.
REACH = {
    "all windows": (56, 0, (27, 27)),
    "its window": (7, 0, (27, 27)),
    "its shifted window": (7, 3, (27, 27)),
    "at the border": (7, 3, (1, 27)),
}
FIGURES: dict[str, Callable[[], Figure]] = {
    "attention": lambda: Attention(sample_image("flower"), row=8, column=17).still(),
    "block": lambda: Block(sample_image()).still(),
    "chapters": lambda: drawings.chapter_map(contents.CHAPTERS, contents.written()),
    "moves": lambda: Moves(trained("digits"), *digits().held_out).still(),
    "patches": lambda: Patches(sample_image(), patch=4, row=32, column=29).still(),
    "position": lambda: Position(sample_image(), window=7, row=3, column=3, head=1).still(),
    "halo": lambda: Halo(sample_image()).still(),
    "memory": lambda: drawings.memory_orders(window_order(56, 56, 7, 0)[0], *window_order(56, 56, 7, 3)),
    "pyramid": lambda: drawings.pyramid(sample_image(), window=7),
    "reach": lambda: Reach(sample_image()).still(),
    "shift_and_mask": lambda: drawings.shift_at_a_glance(
        sample_image(), tokens=8, window=4, shift=2, mask=shift_mask(8, 8, 4, 2)[-1]
    ),
    "shift_mask": lambda: ShiftMask(sample_image()).still(),
    "sight": sight,
    "tasks": tasks,
    "toy_partition": toy_partition,
    "window_reach": lambda: drawings.window_reach(sample_image(), 4, REACH),
    "windows": lambda: Windows(sample_image(), side=224, stage=1, window=7, place=463).still(),
    "windows_and_shift": lambda: Overview(sample_image(), stage=1, window=7, shift=3, chosen=64).still(),
    "zoom": lambda: drawings.zoom(sample_image(), patch=4, row=32, column=29),
}


def main(folder: Path = ROOT / "figures") -> int:
    """Draw every figure into `folder` as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in FIGURES.items():
        (folder / f"{name}.png").write_bytes(png(draw()))
        print(f"{folder.name}/{name}.png")
    return 0
