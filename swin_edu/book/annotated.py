"""Pictures with boxes and masks to train on: drawn scenes, and the reader's own in COCO's or VOC's layout.

All come as one kind of value, an `AnnotatedDataset`, whose pictures are fitted into squares of one size.
Nothing is downloaded, and no file that is read can run code. What is wrong in a file is said in one sentence
that names the file and the line.
"""

import functools
import math
import os
import reprlib
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from swin_edu.book.datasets import MOST_SCENES
from swin_edu.book.images import FORMATS, LARGEST_SIZE, to_rgb
from swin_edu.book.scenes import CLASSES, draw_scene, whole
from swin_edu.tasks.annotated import NOBODY, UNKNOWN, Annotated


class AnnotatedDataset(NamedTuple):
    """Annotated pictures to train on, and others of the same kind that are held out."""

    name: str
    classes: tuple[str, ...]
    training: Annotated
    held_out: Annotated


@functools.cache
def scenes_of_objects(training: int = 8000, held_out: int = 1000, size: int = 64) -> AnnotatedDataset:
    """Return drawn scenes of `size` pixels with 1 to 4 objects each.

    Seeds to train on count up from 0, held-out seeds from 1,000,000: no numbers of scenes make them meet.
    """
    whole("training", training, 1, MOST_SCENES)
    whole("held_out", held_out, 1, MOST_SCENES)
    return AnnotatedDataset(
        name="scenes",
        classes=CLASSES,
        training=_together(_drawn(seed, size) for seed in range(training)),
        held_out=_together(_drawn(seed, size) for seed in range(MOST_SCENES, MOST_SCENES + held_out)),
    )


def _drawn(seed: int, size: int) -> Annotated:
    scene = draw_scene(seed, size)
    pixels = (scene.masks * (1 + scene.labels).view(-1, 1, 1)).sum(0)  # no two masks share a pixel
    return Annotated(scene.image, scene.boxes.float(), scene.labels, pixels.to(torch.uint8))


def _together(pictures: Iterable[Annotated]) -> Annotated:
    """Stack single pictures, each with room for as many objects as the fullest has, at least one."""
    images, boxes, labels, pixels = zip(*pictures, strict=True)
    most = max(1, *map(len, labels))
    return Annotated(
        images=torch.stack(images),
        boxes=torch.stack([F.pad(some, (0, 0, 0, most - len(some))) for some in boxes]),
        labels=torch.stack([F.pad(some, (0, most - len(some)), value=NOBODY) for some in labels]),
        pixels=torch.stack(pixels),
    )


def fitted(picture: Image.Image, size: int) -> tuple[Tensor, float]:
    """Return a picture as uint8 `(3, size, size)` in RGB, and the scale from its pixels to these.

    The longer side becomes `size`; what is then free at the right or at the bottom is black. Colours become
    sRGB and transparent parts are laid over white, as in `load_image`. But the picture is not turned upright
    (EXIF), because annotations refer to the pixels as they are stored: apply `PIL.ImageOps.exif_transpose`
    first to a photograph that has none.

    Raises TypeError or ValueError unless `size` is a whole number from 1 to 4096.
    """
    whole("size", size, 1, LARGEST_SIZE)
    stored = picture.copy()
    stored.info = {key: stored.info[key] for key in ("icc_profile", "transparency") if key in stored.info}
    square = np.array(_squared(to_rgb(stored), size, Image.Resampling.BILINEAR, free=0))
    return torch.from_numpy(square).permute(2, 0, 1).contiguous(), size / max(picture.size)


def _squared(picture: Image.Image, size: int, method: Image.Resampling, free: int) -> Image.Image:
    """Scale a picture until its longer side is `size`, and fill up to a square with the value `free`.

    Both sides are scaled alike. Where the shorter one ends inside a pixel, that pixel is partly `free`.
    """
    longer, colour = max(picture.size), (free,) * len(picture.getbands())
    columns, rows = (-(-side * size // longer) for side in picture.size)  # rounded up
    width, height = columns * longer / size, rows * longer / size  # what they cover of the picture
    extended = Image.new(picture.mode, (math.ceil(width), math.ceil(height)), colour)
    extended.paste(picture)
    square = Image.new(picture.mode, (size, size), colour)
    square.paste(extended.resize((columns, rows), method, box=(0, 0, width, height)))
    return square


class Page(NamedTuple):
    """What files say of one picture."""

    place: object  # what names the picture; as text, its file and line, looked up for errors alone
    picture: Path
    sides: tuple[float, float]  # width and height
    boxes: list[list[float]]  # from `scaled`
    labels: list[int]
    pixels: Callable[[], np.ndarray]  # as in `Annotated`, but `(height, width)`; called when these are sure

    def __str__(self) -> str:
        return f"{self.place} names the picture {str(self.picture)!r}, which"


def read(pages: list[Page], size: int) -> Annotated:
    """Return the pictures of some pages with all that belongs to them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is harmless here or an error below
        return _together(_read(page, size) for page in pages)


def _read(page: Page, size: int) -> Annotated:
    if not os.path.isfile(page.picture):
        raise FileNotFoundError(f"{page} is missing; put it there")
    try:
        with Image.open(page.picture, formats=FORMATS) as picture:
            sides = picture.size
            image = fitted(picture, size)[0] if sides == page.sides else None
    except Exception as error:  # what a decoder raises on damaged bytes is not documented
        raise ValueError(f"{page} cannot be read whole ({reason(error)}); save or copy it again") from error
    if image is None:
        found, said = (f"{width:g} × {height:g}" for width, height in (sides, page.sides))
        raise ValueError(
            f"{page} has {found} pixels, not {said} as is said; put the one there that was annotated"
        )
    pixels = _squared(Image.fromarray(page.pixels()), size, Image.Resampling.NEAREST, free=UNKNOWN)
    return Annotated(
        images=image,
        boxes=torch.tensor(page.boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(page.labels, dtype=torch.int64),
        pixels=torch.from_numpy(np.array(pixels)),
    )


def reason(error: Exception) -> str:
    """Return what an error of another library says, on one line."""
    return " ".join(str(error).split())


def scaled(corners: tuple[float, ...], sides: tuple[float, float], size: int, place: object) -> list[float]:
    """Return x0, y0, x1, y1, cut off where the picture ends and scaled as the picture is."""
    scale = size / max(sides)
    kept = [min(max(corner, 0), end) * scale for corner, end in zip(corners, sides * 2, strict=True)]
    x0, y0, x1, y1 = np.array(kept, dtype=np.float32).tolist()
    if x0 >= x1 or y0 >= y1:
        raise ValueError(
            f"{place} has a box of which nothing lies in the {sides[0]:g} × {sides[1]:g} pixels of its "
            "picture; mend or remove it"
        )
    return [x0, y0, x1, y1]


def only(folder: Path, *patterns: str) -> Path:
    """Return the one path that a folder holds of these."""
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{str(folder)!r} holds no {patterns[0]}; give a folder that does")
    if len(found) > 1:
        names = " and ".join(path.relative_to(folder).as_posix() for path in found)
        raise ValueError(f"{str(folder)!r} holds {names}; keep one and move what else there is of its kind")
    return found[0]


def inside(folder: Path, name: str, place: object) -> Path:
    """Return the path of a named file, which must not lead out of the folder."""
    path = PureWindowsPath(name)  # splits at / as well as at \, and knows drives
    if path.anchor or ".." in path.parts:
        raise ValueError(f"{place} names the file {reprlib.repr(name)}; give a path inside {str(folder)!r}")
    return folder / name


def load_annotated(name_or_folder: str, size: int = 64) -> AnnotatedDataset:
    """Return the scenes by name, or the pictures of a folder in COCO's or VOC's layout.

    Raises ValueError where the text is neither, and what `coco` and `voc` raise.
    """
    from swin_edu.book.coco import coco  # here, because these two modules begin with this one
    from swin_edu.book.voc import LISTS, voc

    if name_or_folder == "scenes":
        return scenes_of_objects(size=size)
    folder = Path(os.path.expanduser(name_or_folder))
    if any(folder.glob("annotations/instances_*.json")):
        return coco(folder, size)
    if any(any(folder.glob(pattern)) for pattern in LISTS):
        return voc(folder, size)
    raise ValueError(
        f"name_or_folder is {name_or_folder!r}, which is neither 'scenes' nor a folder that holds "
        "annotations/instances_train*.json (COCO) or ImageSets/Main (VOC); use one of these"
    )
