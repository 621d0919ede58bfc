"""Annotated pictures in COCO's layout: one JSON file describes all that are in a folder."""

import functools
import json
import os
import reprlib
import sys
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pycocotools import mask as runs

from swin_edu.book.annotated import AnnotatedDataset, Page, inside, only, read, reason, scaled
from swin_edu.book.images import LARGEST_SIZE
from swin_edu.book.scenes import whole
from swin_edu.tasks.annotated import UNKNOWN


def coco(folder: str | Path, size: int = 64) -> AnnotatedDataset:
    """Return the pictures of a folder in COCO's layout, in the order of their ids.

    annotations/instances_train*.json describes the pictures to train on, which lie in the folder train* of
    the same name, and instances_val*.json those held out. Classes count in the order of the categories' ids.
    Crowds are no objects, nor is what has a box of width or height 0: their pixels are UNKNOWN. So are those
    in the box of an object without mask. Where masks of objects overlap, the smaller one is in front: COCO
    gives no order, but what is small could not be seen behind what is large.

    Raises FileNotFoundError for what is not there, ValueError for what is wrong in it.
    Source: Lin et al. 2014 (COCO, arXiv 1405.0312).
    """
    whole("size", size, 1, LARGEST_SIZE)
    folder = Path(os.path.expanduser(folder))
    files = [_parsed(only(folder, f"annotations/instances_{part}*.json")) for part in ("train", "val")]
    training, held_out = (_pages(file, size) for file in files)
    by_id = (sorted(file.lists["categories"], key=itemgetter("id")) for file in files)
    classes, others = (tuple(entry["name"] for entry in entries) for entries in by_id)
    if classes != others:
        raise ValueError(
            f"{str(files[1].path)!r}, line 1: its categories are not those of {files[0].path.name}; "
            "give both files the same"
        )
    return AnnotatedDataset(folder.resolve().name, classes, read(training, size), read(held_out, size))


def _numbers(value: Any) -> bool:
    """Return whether a value is a list of finite numbers."""
    most = sys.float_info.max
    return isinstance(value, list) and all(type(one) in (int, float) and abs(one) <= most for one in value)


# What each entry of the lists holds: the key, what its value must be, in words and as a test.
WHOLE = "a whole number", lambda value: type(value) is int
SIDE = "a whole number from 1 to 1000000", lambda value: type(value) is int and 1 <= value <= 1_000_000
TEXT = "a text", lambda value: isinstance(value, str)
FLAG = "0 or 1", lambda value: value in (0, 1)
BOX = (
    "4 finite numbers: x, y, width and height, the last two not below 0",
    lambda value: _numbers(value) and len(value) == 4 and min(value[2:]) >= 0,
)
ENTRIES: dict[str, dict[str, tuple[str, Callable[[Any], bool]]]] = {
    "categories": {"id": WHOLE, "name": TEXT},
    "images": {"id": WHOLE, "file_name": TEXT, "width": SIDE, "height": SIDE},
    "annotations": {"image_id": WHOLE, "category_id": WHOLE, "bbox": BOX, "iscrowd": FLAG},
}


class _File(NamedTuple):
    """An annotation file: its lists, and its text, to find the line of what is wrong in them."""

    path: Path
    text: str
    lists: dict[str, list[dict[str, Any]]]


class _Place(NamedTuple):
    """An entry of a list; as text, its file, line, number and id."""

    file: _File
    part: str
    number: int

    def __str__(self) -> str:
        (path, text, lists), part, number = self
        outer = _starts(text, text.index("{"))  # of a key that is there twice the last counts
        inner = {DECODE(text, key)[0]: value for key, value in zip(outer[::2], outer[1::2], strict=True)}
        line = text.count("\n", 0, _starts(text, inner[part])[number]) + 1
        entry = lists[part][number]
        named = f" (id {reprlib.repr(entry['id'])})" if isinstance(entry, dict) and "id" in entry else ""
        return f"{str(path)!r}, line {line}: {part}[{number}]{named}"


DECODE = json.JSONDecoder().raw_decode


def _starts(text: str, at: int) -> list[int]:
    """Return where the entries start of the list that starts there, or the keys and values of the object."""
    starts, at = [], at + 1
    while text[at] not in "]}":
        if text[at] in " \t\r\n:,":
            at += 1
        else:
            starts.append(at)
            at = DECODE(text, at)[1]
    return starts


def _parsed(path: Path) -> _File:
    """Read an annotation file and make sure that its lists hold what they must."""
    shown, data = repr(str(path)), path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
        lists = json.loads(text)
    except (ValueError, RecursionError) as error:  # also of thousands of digits or brackets
        line = getattr(error, "lineno", data.count(b"\n", 0, getattr(error, "start", 0)) + 1)
        raise ValueError(
            f"{shown}, line {line}: it is not JSON in UTF-8 ({reason(error)}); mend it"
        ) from None
    file = _File(path, text, lists)
    for part, keys in ENTRIES.items():
        if not isinstance(lists, dict) or not isinstance(lists.get(part), list):
            raise ValueError(f"{shown}, line 1: it holds no list {part!r}; give an object with that list")
        for number, entry in enumerate(lists[part]):
            held = {"iscrowd": 0, **entry} if isinstance(entry, dict) else {}
            for key, (wanted, fits) in keys.items():
                if key not in held or not fits(held[key]):
                    has = f"has {key} {reprlib.repr(held[key])}" if key in held else f"has no {key}"
                    raise ValueError(f"{_Place(file, part, number)} {has}; give {wanted}")
    if not lists["images"]:
        raise ValueError(f"{shown}, line 1: its list 'images' is empty; list at least one picture")
    if len(lists["categories"]) >= UNKNOWN:  # one byte holds 0 for the ground, 1 + the class, and UNKNOWN
        raise ValueError(f"{shown}, line 1: it has {len(lists['categories'])} categories; at most 254 can be")
    return file


def _by_id(file: _File, part: str) -> dict[int, int]:
    """Return the number of the entry with each id, in the order of the ids."""
    found: dict[int, int] = {}
    for number, entry in enumerate(file.lists[part]):
        first = found.setdefault(entry["id"], number)
        if first != number:
            place = _Place(file, part, number)
            raise ValueError(f"{place} has the id of {part}[{first}]; give each an id of its own")
    return dict(sorted(found.items()))


def _pages(file: _File, size: int) -> list[Page]:
    images, categories = _by_id(file, "images"), _by_id(file, "categories")
    class_of = {identity: label for label, identity in enumerate(categories)}
    belonging: dict[int, list[int]] = {identity: [] for identity in images}
    for number, entry in enumerate(file.lists["annotations"]):
        for key, known, part in (("image_id", images, "images"), ("category_id", categories, "categories")):
            if entry[key] not in known:
                has = f"has {key} {reprlib.repr(entry[key])}, which no entry of {part} has as its id"
                raise ValueError(f"{_Place(file, 'annotations', number)} {has}; use one that is there")
        belonging[entry["image_id"]].append(number)
    return [_page(file, images[identity], numbers, class_of, size) for identity, numbers in belonging.items()]


def _page(file: _File, image: int, numbers: list[int], class_of: dict[int, int], size: int) -> Page:
    picture, place = file.lists["images"][image], _Place(file, "images", image)
    sides, boxes, labels = (picture["width"], picture["height"]), [], []
    for number in numbers:
        entry = file.lists["annotations"][number]
        x, y, width, height = entry["bbox"]
        if width and height:
            corners = x, y, x + width, y + height
            box = scaled(corners, sides, size, _Place(file, "annotations", number))
            if not entry.get("iscrowd"):
                boxes.append(box)
                labels.append(class_of[entry["category_id"]])
    path = inside(file.path.parents[1] / file.path.stem[len("instances_") :], picture["file_name"], place)
    pixels = functools.partial(_pixels, file, numbers, class_of, *sides)
    return Page(place, path, sides, boxes, labels, pixels)


def _pixels(file: _File, numbers: list[int], class_of: dict[int, int], width: int, height: int) -> np.ndarray:
    """Return the class of each pixel: larger objects first, smaller ones over them, crowds last."""
    masks = []
    for number in numbers:
        entry = file.lists["annotations"][number]
        given, (x, y, wide, high) = entry.get("segmentation"), entry["bbox"]
        unmasked, crowd = given in (None, []), bool(entry.get("iscrowd") or not (wide and high))
        if unmasked:
            x0, x1 = (min(max(at, 0), width) for at in (x, x + wide))
            y0, y1 = (min(max(at, 0), height) for at in (y, y + high))
            given = [[x0, y0, x1, y0, x1, y1, x0, y1]]
        lengths = _runs(given, width, height)
        if lengths is None:
            raise ValueError(
                f"{_Place(file, 'annotations', number)} has a segmentation that is malformed; give polygons "
                f"of 3 or more points near the picture, or runs for its {height} rows and {width} columns"
            )
        value = UNKNOWN if crowd or unmasked else 1 + class_of[entry["category_id"]]
        masks.append((crowd, -sum(lengths[1::2]), value, lengths))
    pixels = np.zeros((width, height), dtype=np.uint8)  # runs go down the columns
    for *_, value, lengths in sorted(masks, key=itemgetter(0, 1)):
        inner = np.arange(len(lengths)) % 2 == 1
        pixels[np.repeat(inner, lengths).reshape(width, height)] = value
    return pixels.T


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
