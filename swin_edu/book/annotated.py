"""Pictures with boxes and masks to train on: drawn scenes, and the reader's own in COCO's or VOC's layout.

All come as one kind of value, an `AnnotatedDataset`, whose pictures are fitted into squares of one size.
Nothing is downloaded, and no file that is read can run code. What is wrong in a file is said in one sentence
that names the file and the line.
"""

import functools
import json
import math
import os
import reprlib
import sys
import warnings
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple
from xml.parsers import expat

import numpy as np
import torch
from PIL import Image
from pycocotools import mask as runs
from torch import Tensor
from torch.nn import functional as F

from swin_edu.book.datasets import MOST_SCENES
from swin_edu.book.images import FORMATS, LARGEST_SIZE, _to_rgb
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
    square = np.array(_squared(_to_rgb(stored), size, Image.Resampling.BILINEAR, free=0))
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


def load_annotated(name_or_folder: str, size: int = 64) -> AnnotatedDataset:
    """Return the scenes by name, or the pictures of a folder in COCO's or VOC's layout.

    Raises ValueError where the text is neither, and what `coco` and `voc` raise.
    """
    if name_or_folder == "scenes":
        return scenes_of_objects(size=size)
    folder = Path(os.path.expanduser(name_or_folder))
    if any(folder.glob("annotations/instances_*.json")):
        return coco(folder, size)
    if any(any(folder.glob(pattern)) for pattern in VOC_LISTS):
        return voc(folder, size)
    raise ValueError(
        f"name_or_folder is {name_or_folder!r}, which is neither 'scenes' nor a folder that holds "
        "annotations/instances_train*.json (COCO) or ImageSets/Main (VOC); use one of these"
    )


def _only(folder: Path, *patterns: str) -> Path:
    """Return the one path that a folder holds of these."""
    found = sorted(path for pattern in patterns for path in folder.glob(pattern))
    if not found:
        raise FileNotFoundError(f"{str(folder)!r} holds no {patterns[0]}; give a folder that does")
    if len(found) > 1:
        names = " and ".join(path.relative_to(folder).as_posix() for path in found)
        raise ValueError(f"{str(folder)!r} holds {names}; keep one and move what else there is of its kind")
    return found[0]


class _Page(NamedTuple):
    """What is written of one picture; the places, which name a file and a line, are for errors alone."""

    picture: Path
    named: Callable[[], str]  # the place that names the picture
    width: float
    height: float
    sized: Callable[[], str]  # the place that gives its size
    boxes: list[list[float]]  # scaled already
    labels: list[int]
    pixels: Callable[[], np.ndarray]  # as in `Annotated`, but `(height, width)`; called when these are sure


def _dataset(
    name: str, classes: tuple[str, ...], training: list[_Page], held_out: list[_Page], size: int
) -> AnnotatedDataset:
    return AnnotatedDataset(
        name=name,
        classes=classes,
        training=_together(_read(page, size) for page in training),
        held_out=_together(_read(page, size) for page in held_out),
    )


def _read(page: _Page, size: int) -> Annotated:
    image = _read_picture(page, size)
    pixels = _squared(Image.fromarray(page.pixels()), size, Image.Resampling.NEAREST, free=UNKNOWN)
    return Annotated(
        images=image,
        boxes=torch.tensor(page.boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor(page.labels, dtype=torch.int64),
        pixels=torch.from_numpy(np.array(pixels)),
    )


def _read_picture(page: _Page, size: int) -> Tensor:
    shown = repr(str(page.picture))
    if not os.path.isfile(page.picture):
        raise FileNotFoundError(f"{page.named()} names the picture {shown}, which is missing; put it there")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow warns of is harmless here or an error below
            with Image.open(page.picture, formats=FORMATS) as picture:
                width, height = picture.size
                if (width, height) == (page.width, page.height):
                    return fitted(picture, size)[0]
    except Exception as error:  # what a decoder raises on damaged bytes is not documented
        raise ValueError(
            f"{page.named()} names the picture {shown}, which cannot be read whole ({_reason(error)}); "
            "save or copy it again"
        ) from error
    raise ValueError(
        f"{page.sized()} gives a size of {page.width:g} × {page.height:g} pixels, but the picture "
        f"{shown} has {width} × {height}; put the picture there that was annotated"
    )


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())


def _scaled(
    corners: tuple[float, ...], width: float, height: float, size: int, place: Callable[[], str]
) -> list[float]:
    """Return x0, y0, x1, y1, cut off where the picture ends and scaled as the picture is."""
    scale, ends = size / max(width, height), (width, height, width, height)
    kept = [min(max(corner, 0), end) * scale for corner, end in zip(corners, ends, strict=True)]
    x0, y0, x1, y1 = np.array(kept, dtype=np.float32).tolist()
    if x0 >= x1 or y0 >= y1:
        raise ValueError(
            f"{place()} has a box of which nothing lies in the {width:g} × {height:g} pixels of its picture; "
            "mend or remove it"
        )
    return [x0, y0, x1, y1]


def _inside(folder: Path, name: str, place: Callable[[], str]) -> Path:
    """Return the path of a named file, which must not lead out of the folder."""
    path = PureWindowsPath(name)  # splits at / as well as at \\, and knows drives
    if path.anchor or ".." in path.parts:
        raise ValueError(f"{place()} names the file {reprlib.repr(name)}; give a path inside {str(folder)!r}")
    return folder / name


def _numbers(value: Any) -> bool:
    """Return whether a value is a list of finite numbers."""
    most = sys.float_info.max
    return isinstance(value, list) and all(
        type(one) in (int, float) and -most <= one <= most for one in value
    )


# What each entry of COCO's lists holds: the key, what its value must be, in words and as a test.
WHOLE = "a whole number", lambda value: type(value) is int
SIDE = "a whole number from 1 to 1000000", lambda value: type(value) is int and 1 <= value <= 1_000_000
TEXT = "a text", lambda value: isinstance(value, str)
FLAG = "0 or 1", lambda value: value in (0, 1)
BOX = (
    "4 finite numbers: x, y, width and height, the last two above 0",
    lambda value: _numbers(value) and len(value) == 4 and value[2] > 0 and value[3] > 0,
)
COCO_ENTRIES: dict[str, dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "categories": {"id": WHOLE, "name": TEXT},
    "images": {"id": WHOLE, "file_name": TEXT, "width": SIDE, "height": SIDE},
    "annotations": {"image_id": WHOLE, "category_id": WHOLE, "bbox": BOX, "iscrowd": FLAG},
}
MOST_CLASSES = UNKNOWN - 1  # one byte holds 0 for the ground, 1 + the class, and UNKNOWN


class _Coco(NamedTuple):
    """An annotation file of COCO: its lists, and its text, to find the line of what is wrong in them."""

    path: Path
    text: str
    lists: dict[str, list[dict[str, Any]]]

    def place(self, part: str, number: int) -> str:
        """Return file, line, number and id of an entry. The text, which is valid, is read again up to it."""
        decode, at = json.JSONDecoder().raw_decode, _next(self.text, self.text.index("{") + 1)
        while self.text[at] != "}":
            key, at = decode(self.text, at)
            at = _next(self.text, at)
            if key == part:
                start = at + 1  # behind the bracket; of a key that is there twice the last counts
            at = _next(self.text, decode(self.text, at)[1])
        at = _next(self.text, start)
        for _ in range(number):
            at = _next(self.text, decode(self.text, at)[1])
        entry, line = self.lists[part][number], self.text.count("\n", 0, at) + 1
        named = f" (id {reprlib.repr(entry['id'])})" if isinstance(entry, dict) and "id" in entry else ""
        return f"{str(self.path)!r}, line {line}: {part}[{number}]{named}"

    def numbers(self, part: str) -> dict[int, int]:
        """Return the number of the entry with each id."""
        found: dict[int, int] = {}
        for number, entry in enumerate(self.lists[part]):
            first = found.setdefault(entry["id"], number)
            if first != number:
                raise ValueError(
                    f"{self.place(part, number)} has the id of {part}[{first}]; give each an id of its own"
                )
        return found


def _next(text: str, at: int) -> int:
    while text[at] in " \t\r\n:,":
        at += 1
    return at


def coco(folder: str | Path, size: int = 64) -> AnnotatedDataset:
    """Return the pictures of a folder in COCO's layout, in the order of their ids.

    annotations/instances_train*.json describes the pictures to train on, which lie in the folder train* of
    the same name, and instances_val*.json those held out. Classes count in the order of the categories' ids.
    Crowds are no objects, and their pixels are UNKNOWN; so are those in the box of an object without mask.
    Where masks of objects overlap, the smaller one is in front: COCO gives no order, but what is small could
    not be seen behind what is large.

    Raises FileNotFoundError for what is not there, ValueError for what is wrong in it.
    Source: Lin et al. 2014 (COCO, arXiv 1405.0312).
    """
    whole("size", size, 1, LARGEST_SIZE)
    folder = Path(os.path.expanduser(folder))
    files = [_coco_file(_only(folder, f"annotations/instances_{part}*.json")) for part in ("train", "val")]
    training, held_out = (_coco_pages(file, size) for file in files)
    classes, others = (_coco_classes(file) for file in files)
    if classes != others:
        raise ValueError(
            f"{str(files[1].path)!r}, line 1: its categories are not those of {files[0].path.name}; "
            "give both files the same"
        )
    return _dataset(folder.resolve().name, classes, training, held_out, size)


def _coco_classes(file: _Coco) -> tuple[str, ...]:
    return tuple(entry["name"] for entry in sorted(file.lists["categories"], key=lambda entry: entry["id"]))


def _coco_file(path: Path) -> _Coco:
    """Read an annotation file and make sure that its lists hold what they must."""
    shown, data = repr(str(path)), path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
        lists = json.loads(text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{shown}, line {line}: it is not in UTF-8; save it in that encoding") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"{shown}, line {error.lineno}: it is not JSON ({error.msg}); mend it") from None
    except (ValueError, RecursionError) as error:  # thousands of digits or brackets
        raise ValueError(f"{shown} cannot be read as JSON ({_reason(error)}); export it again") from None
    file = _Coco(path, text, lists)
    for part, keys in COCO_ENTRIES.items():
        if not isinstance(lists, dict) or not isinstance(lists.get(part), list):
            raise ValueError(f"{shown}, line 1: it holds no list {part!r}; give an object with that list")
        for number, entry in enumerate(lists[part]):
            held = {"iscrowd": 0, **entry} if isinstance(entry, dict) else {}
            for key, (wanted, fits) in keys.items():
                if key not in held:
                    raise ValueError(f"{file.place(part, number)} has no {key}; give {wanted}")
                if not fits(held[key]):
                    has = f"has {key} {reprlib.repr(held[key])}"
                    raise ValueError(f"{file.place(part, number)} {has}; give {wanted}")
    if not lists["images"]:
        raise ValueError(f"{shown}, line 1: its list 'images' is empty; list at least one picture")
    if len(lists["categories"]) > MOST_CLASSES:
        raise ValueError(f"{shown}, line 1: it has {len(lists['categories'])} categories; at most 254 can be")
    return file


def _coco_pages(file: _Coco, size: int) -> list[_Page]:
    images, categories = file.numbers("images"), file.numbers("categories")
    class_of = {identity: place for place, identity in enumerate(sorted(categories))}
    belonging: dict[int, list[int]] = {identity: [] for identity in sorted(images)}
    for number, entry in enumerate(file.lists["annotations"]):
        for key, known, part in (("image_id", images, "images"), ("category_id", categories, "categories")):
            if entry[key] not in known:
                has = f"has {key} {reprlib.repr(entry[key])}, which no entry of {part} has as its id"
                raise ValueError(f"{file.place('annotations', number)} {has}; use one that is there")
        belonging[entry["image_id"]].append(number)
    return [
        _coco_page(file, images[identity], numbers, class_of, size) for identity, numbers in belonging.items()
    ]


def _coco_page(file: _Coco, image: int, numbers: list[int], class_of: dict[int, int], size: int) -> _Page:
    entry, boxes, labels = file.lists["images"][image], [], []
    width, height = entry["width"], entry["height"]
    for number in numbers:
        annotation = file.lists["annotations"][number]
        x, y, wide, high = annotation["bbox"]
        place = functools.partial(file.place, "annotations", number)
        box = _scaled((x, y, x + wide, y + high), width, height, size, place)
        if not annotation.get("iscrowd"):
            boxes.append(box)
            labels.append(class_of[annotation["category_id"]])
    place = functools.partial(file.place, "images", image)
    folder = file.path.parents[1] / file.path.stem.removeprefix("instances_")
    pixels = functools.partial(_coco_pixels, file, numbers, class_of, width, height)
    return _Page(
        _inside(folder, entry["file_name"], place), place, width, height, place, boxes, labels, pixels
    )


def _coco_pixels(
    file: _Coco, numbers: list[int], class_of: dict[int, int], width: int, height: int
) -> np.ndarray:
    """Return the class of each pixel: larger objects first, smaller ones over them, crowds last."""
    masks = []
    for number in numbers:
        entry = file.lists["annotations"][number]
        given, crowd = entry.get("segmentation"), entry.get("iscrowd", 0)
        unmasked = given in (None, [])
        lengths = _runs([_outline(entry["bbox"], width, height)] if unmasked else given, width, height)
        if lengths is None:
            raise ValueError(
                f"{file.place('annotations', number)} has a segmentation that is malformed; give polygons of "
                f"3 or more points near the picture, or runs for its {height} rows and {width} columns"
            )
        value = UNKNOWN if crowd or unmasked else 1 + class_of[entry["category_id"]]
        masks.append((crowd, -sum(lengths[1::2]), value, lengths))
    pixels = np.zeros((width, height), dtype=np.uint8)  # runs go down the columns
    for *_, value, lengths in sorted(masks, key=lambda mask: mask[:2]):
        inside = np.arange(len(lengths)) % 2 == 1
        pixels[np.repeat(inside, lengths).reshape(width, height)] = value
    return pixels.T


def _outline(bbox: list[float], width: int, height: int) -> list[float]:
    """Return the part of a box inside the picture as a polygon."""
    x, y, wide, high = bbox
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + wide, width), min(y + high, height)
    return [x0, y0, x1, y0, x1, y1, x0, y1]


def _runs(given: Any, width: int, height: int) -> list[int] | None:
    """Return how many pixels outside and inside a mask follow each other, or None where it is malformed.

    Runs are not left to pycocotools: of those that end too soon it makes a mask of whatever lies in memory.
    """
    if isinstance(given, dict):
        counts = given.get("counts")
        lengths = _unpacked(counts) if isinstance(counts, str) else counts
        if given.get("size") != [height, width] or not isinstance(lengths, list):
            return None
        fits = all(type(one) is int and one >= 0 for one in lengths) and sum(lengths) == width * height
        return lengths if fits else None
    if not isinstance(given, list) or not all(_near(polygon, width, height) for polygon in given):
        return None
    return _unpacked(runs.merge(runs.frPyObjects(given, height, width))["counts"].decode())


def _near(polygon: Any, width: int, height: int) -> bool:
    """Return whether a polygon is one, and no further outside than a picture's side: its edges are walked."""
    if not _numbers(polygon) or len(polygon) < 6 or len(polygon) % 2:
        return False
    x, y = polygon[::2], polygon[1::2]
    return -width <= min(x) and max(x) <= 2 * width and -height <= min(y) and max(y) <= 2 * height


def _unpacked(counts: str) -> list[int]:
    """Return the lengths in COCO's compressed runs: characters from 48 with 5 bits each, the lowest first.

    Bit 5 says that more follow. From the fourth on, a length is given as the difference to the last but one.
    """
    lengths: list[int] = []
    value = shift = 0
    for code in (ord(character) - 48 for character in counts):
        value |= (code & 31) << shift
        shift += 5
        if not code & 32:
            value -= bool(code & 16) << shift  # the highest bit is the sign
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return lengths


VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)
VOC_LISTS = tuple(
    f"{below}ImageSets/Main" for below in ("", "VOC20[0-9][0-9]/", "VOCdevkit/VOC20[0-9][0-9]/")
)


def voc(folder: str | Path, size: int = 64) -> AnnotatedDataset:
    """Return the pictures of a folder in VOC's layout, or of VOC20xx below it, in the order of their names.

    ImageSets/Main/train.txt lists the pictures to train on, val.txt those held out. Objects marked as
    difficult are no objects here, as VOC leaves them out of its score. Pixels are those of
    SegmentationClass/*.png, whose borders of 255 are UNKNOWN; without that file all pixels are.

    Raises FileNotFoundError for what is not there, ValueError for what is wrong in it.
    Source: Everingham et al. 2010 (The Pascal Visual Object Classes Challenge).
    """
    whole("size", size, 1, LARGEST_SIZE)
    folder = _only(Path(os.path.expanduser(folder)), *VOC_LISTS).parents[1]
    training, held_out = (_voc_pages(folder, part, size) for part in ("train", "val"))
    return _dataset(folder.resolve().name, VOC_CLASSES, training, held_out, size)


def _voc_pages(folder: Path, part: str, size: int) -> list[_Page]:
    path = _only(folder, f"ImageSets/Main/{part}.txt")
    lines: dict[str, int] = {}
    for line, text in enumerate(path.read_text("utf-8", errors="replace").split("\n"), start=1):
        name = text.strip()
        if name and lines.setdefault(name, line) != line:
            raise ValueError(
                f"{str(path)!r}, line {line}: {name!r} is listed in line {lines[name]} too; list it once"
            )
    if not lines:
        raise ValueError(f"{str(path)!r}, line 1: no picture is listed; list at least one")
    return [
        _voc_page(folder, name, f"{str(path)!r}, line {line}: the list", size)
        for name, line in sorted(lines.items())
    ]


def _voc_page(folder: Path, name: str, listed: str, size: int) -> _Page:
    path = _inside(folder / "Annotations", f"{name}.xml", lambda: listed)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{listed} names {name!r}, but there is no {str(path)!r}; put it there")
    root, boxes, labels = _parsed(path), [], []
    named, sized = root.part("filename"), root.part("size")
    width, height = sized.part("width").number(least=1), sized.part("height").number(least=1)
    for found in root.parts:
        if found.tag != "object":
            continue
        label, corners = found.part("name"), found.part("bndbox")
        if label.text not in VOC_CLASSES:
            raise ValueError(f"{label.place()} is {label.text!r}; give one of {', '.join(VOC_CLASSES)}")
        x0, y0, x1, y1 = (corners.part(side).number() for side in ("xmin", "ymin", "xmax", "ymax"))
        if x1 <= x0 or y1 <= y0:
            raise ValueError(
                f"{corners.place()} goes from x {x0:g} to {x1:g} and from y {y0:g} to {y1:g}; "
                "give xmax above xmin and ymax above ymin"
            )
        # corners count from 1, and xmax and ymax lie inside
        box = _scaled((x0 - 1, y0 - 1, x1, y1), width, height, size, corners.place)
        if not any(part.tag == "difficult" and part.number() for part in found.parts):
            boxes.append(box)
            labels.append(VOC_CLASSES.index(label.text))
    picture = _inside(folder / "JPEGImages", named.text, named.place)
    mask = folder / "SegmentationClass" / f"{name}.png"
    pixels = functools.partial(_voc_pixels, mask, listed, width, height)
    return _Page(picture, named.place, width, height, sized.place, boxes, labels, pixels)


def _voc_pixels(path: Path, listed: str, width: float, height: float) -> np.ndarray:
    if not os.path.isfile(path):
        return np.full((int(height), int(width)), UNKNOWN, dtype=np.uint8)
    mask = f"{listed} leads to the mask {str(path)!r}, which"
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            mode, pixels = picture.mode, np.array(picture)
    except Exception as error:
        raise ValueError(f"{mask} cannot be read whole ({_reason(error)}); save or copy it again") from error
    if mode not in ("P", "L"):
        raise ValueError(f"{mask} is of mode {mode}; save it with a palette (P) or in grey (L)")
    if pixels.shape != (height, width):
        rows, columns = pixels.shape
        raise ValueError(
            f"{mask} has {columns} × {rows} pixels, not {width:g} × {height:g}; put that of the picture there"
        )
    wrong = np.argwhere((pixels > len(VOC_CLASSES)) & (pixels != UNKNOWN))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{mask} holds {pixels[row, column]} in row {row}, column {column}; "
            f"give 0 to {len(VOC_CLASSES)}, or {UNKNOWN} where it is unknown"
        )
    return pixels


class _Element:
    """An element of an XML file."""

    def __init__(self, path: Path, line: int, tag: str) -> None:
        self.path, self.line, self.tag, self.text = path, line, tag, ""
        self.parts: list[_Element] = []

    def place(self) -> str:
        return f"{str(self.path)!r}, line {self.line}: <{self.tag}>"

    def part(self, tag: str) -> "_Element":
        """Return the first part with this tag."""
        for part in self.parts:
            if part.tag == tag:
                return part
        raise ValueError(f"{self.place()} holds no <{tag}>; add it")

    def number(self, least: float = -sys.float_info.max) -> float:
        with suppress(ValueError):
            if least <= float(self.text) <= sys.float_info.max:
                return float(self.text)
        wanted = f"a number from {least}" if least == 1 else "a finite number"
        raise ValueError(f"{self.place()} holds {reprlib.repr(self.text)}; give {wanted}")


def _parsed(path: Path) -> _Element:
    """Return the outermost element of an XML file.

    A document type is refused: only in one can entities be defined, of which a few lines make gigabytes.
    """
    parser = expat.ParserCreate()
    parser.buffer_text = True
    around = [_Element(path, 1, "")]

    def start(tag: str, attributes: dict[str, str]) -> None:
        element = _Element(path, parser.CurrentLineNumber, tag)
        around[-1].parts.append(element)
        around.append(element)

    def end(tag: str) -> None:
        around[-1].text = around[-1].text.strip()
        around.pop()

    def text(characters: str) -> None:
        around[-1].text += characters

    def refuse(*declared: object) -> None:
        raise ValueError("a DOCTYPE can hide gigabytes in a few lines")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding it cannot read
        line = f"line {parser.CurrentLineNumber}"
        raise ValueError(f"{str(path)!r}, {line}: it is not read ({_reason(error)}); mend it") from None
    return around[0].parts[0]
