"""Annotated pictures in VOC's layout: an XML file describes each, and a list names those of each part."""

import functools
import os
import reprlib
import sys
from contextlib import suppress
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

import numpy as np
from PIL import Image

from swin_edu.book.annotated import AnnotatedDataset, Page, inside, only, read, reason, scaled
from swin_edu.book.images import LARGEST_SIZE
from swin_edu.book.scenes import whole
from swin_edu.tasks.annotated import UNKNOWN

VOC_CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train"),
    "tvmonitor",
)
LISTS = [f"{below}ImageSets/Main" for below in ("", "VOC20[0-9][0-9]/", "VOCdevkit/VOC20[0-9][0-9]/")]


def voc(folder: str | Path, size: int = 64) -> AnnotatedDataset:
    """Return the pictures of a folder in VOC's layout, or of VOC20xx below it, in the order of their names.

    ImageSets/Main/train.txt lists the pictures to train on, val.txt those held out. Objects marked as
    difficult are no objects here, as VOC leaves them out of its score. Pixels are those of
    SegmentationClass/*.png, whose borders of 255 are UNKNOWN; without that file all pixels are.

    Raises FileNotFoundError for what is not there, ValueError for what is wrong in it.
    Source: Everingham et al. 2010 (The Pascal Visual Object Classes Challenge).
    """
    whole("size", size, 1, LARGEST_SIZE)
    folder = only(Path(os.path.expanduser(folder)), *LISTS).parents[1]
    training, held_out = (_pages(folder, part, size) for part in ("train", "val"))
    return AnnotatedDataset(folder.resolve().name, VOC_CLASSES, read(training, size), read(held_out, size))


def _pages(folder: Path, part: str, size: int) -> list[Page]:
    path = only(folder, f"ImageSets/Main/{part}.txt")
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
        _page(folder, name, f"{str(path)!r}, line {line}: the list", size)
        for name, line in sorted(lines.items())
    ]


def _page(folder: Path, name: str, listed: str, size: int) -> Page:
    path = inside(folder / "Annotations", f"{name}.xml", listed)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"{listed} names {name!r}, but there is no {str(path)!r}; put it there")
    root, boxes, labels = _parsed(path), [], []
    file_name, named = _text(root, "filename")
    sized = _part(root, "size")
    sides = _number(sized, "width", least=1), _number(sized, "height", least=1)
    for found in root.iterfind("object"):
        (label, place), corners = _text(found, "name"), _part(found, "bndbox")
        if label not in VOC_CLASSES:
            raise ValueError(f"{place} is {label!r}; give one of {', '.join(VOC_CLASSES)}")
        x0, y0, x1, y1 = (_number(corners, side) for side in ("xmin", "ymin", "xmax", "ymax"))
        if x1 <= x0 or y1 <= y0:
            raise ValueError(
                f"{corners.attrib['place']} goes from x {x0:g} to {x1:g} and from y {y0:g} to {y1:g}; "
                "give xmax above xmin and ymax above ymin"
            )
        # corners count from 1, and xmax and ymax lie inside
        box = scaled((x0 - 1, y0 - 1, x1, y1), sides, size, corners.attrib["place"])
        if found.find("difficult") is None or not _number(found, "difficult"):
            boxes.append(box)
            labels.append(VOC_CLASSES.index(label))
    picture = inside(folder / "JPEGImages", file_name, named)
    pixels = functools.partial(_pixels, folder / f"SegmentationClass/{name}.png", listed, *sides)
    return Page(named, picture, sides, boxes, labels, pixels)


def _pixels(path: Path, listed: str, width: float, height: float) -> np.ndarray:
    if not os.path.isfile(path):
        return np.full((int(height), int(width)), UNKNOWN, dtype=np.uint8)
    mask = f"{listed} leads to the mask {str(path)!r}, which"
    try:
        with Image.open(path, formats=["PNG"]) as picture:
            mode, (columns, rows), pixels = picture.mode, picture.size, np.array(picture)
    except Exception as error:
        raise ValueError(f"{mask} cannot be read whole ({reason(error)}); save or copy it again") from error
    if mode not in ("P", "L") or (columns, rows) != (width, height):
        raise ValueError(
            f"{mask} has {columns} × {rows} pixels of mode {mode}; "
            f"give {width:g} × {height:g} with a palette (P) or in grey (L)"
        )
    wrong = np.argwhere((pixels > len(VOC_CLASSES)) & (pixels != UNKNOWN))
    if len(wrong):
        row, column = wrong[0]
        raise ValueError(
            f"{mask} holds {pixels[row, column]} in row {row}, column {column}; "
            f"give 0 to {len(VOC_CLASSES)}, or {UNKNOWN} where it is unknown"
        )
    return pixels


def _parsed(path: Path) -> Element:
    """Return the outermost element of an XML file. In place of attributes, each element has its place.

    A document type is refused: only in one can entities be defined, of which a few lines make gigabytes.
    """
    parser, builder = expat.ParserCreate(), TreeBuilder()

    def start(tag: str, attributes: dict[str, str]) -> None:
        builder.start(tag, {"place": f"{str(path)!r}, line {parser.CurrentLineNumber}: <{tag}>"})

    def refuse(*declared: object) -> None:
        raise ValueError("a DOCTYPE can hide gigabytes in a few lines")

    parser.StartElementHandler, parser.EndElementHandler = start, builder.end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = builder.data, refuse
    try:
        parser.Parse(path.read_bytes(), True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the last two: an encoding it cannot read
        line = f"line {parser.CurrentLineNumber}"
        raise ValueError(f"{str(path)!r}, {line}: it is not read ({reason(error)}); mend it") from None
    return builder.close()


def _part(element: Element, tag: str) -> Element:
    """Return the first part with this tag."""
    found = element.find(tag)
    if found is None:
        raise ValueError(f"{element.attrib['place']} holds no <{tag}>; add it")
    return found


def _text(element: Element, tag: str) -> tuple[str, str]:
    """Return the text of a part, and its place."""
    part = _part(element, tag)
    return (part.text or "").strip(), part.attrib["place"]


def _number(element: Element, tag: str, least: float = -sys.float_info.max) -> float:
    text, place = _text(element, tag)
    with suppress(ValueError):
        if least <= float(text) <= sys.float_info.max:
            return float(text)
    wanted = f"a number from {least}" if least == 1 else "a finite number"
    raise ValueError(f"{place} holds {reprlib.repr(text)}; give {wanted}")
