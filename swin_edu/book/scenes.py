"""Drawn scenes: textured shapes with the class, the box and the mask of each, one scene for every seed.

A seed gives the same bytes on every machine. Sines and cosines, whose last bits differ from one library to
the next, are rounded to multiples of 1/1024. All other steps are such that IEEE 754 leaves no choice: basic
operations and square roots of single numbers, and matrix products that float32 holds without rounding.
"""

import functools
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

CLASSES = ("disc", "square", "triangle", "star", "cross", "ring")
TEXTURES = ("plain", "stripes", "checks", "dots")
MOST_OBJECTS = 4
VISIBLE = 0.5  # the least share of an object that the objects in front leave to be seen
LARGEST = 1.5  # the main object has at least so many times the visible pixels of the next one

# Lengths of the shapes that have the area of a disc with radius 1.
REACH = {"disc": 1.0, "square": 1.2533, "triangle": 1.5552, "star": 1.6730, "cross": 1.2533, "ring": 1.25}
SIDES = {
    "square": (4, 0.8862),
    "triangle": (3, 0.7776),
    "star": (5, 0.5170),
}  # how many, how far from the centre
CROSS = (1.1890, 0.3963)  # half the length and half the width of its two bars
RING = 0.25  # half the width of its rim, whose middle line has radius 1

ANGLES = np.radians(np.arange(360))
NORMALS = np.rint(1024 * np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)).astype(np.float32) / 1024
BRIGHTNESS = np.array([2, 5, 1]) / 8  # of red, green and blue


class Scene(NamedTuple):
    """A picture and its objects, from back to front."""

    image: Tensor  # (3, size, size), uint8
    labels: Tensor  # (n,), int64: places in CLASSES
    boxes: Tensor  # (n, 4), int64: x0, y0, x1, y1 around the visible pixels; x1 and y1 lie outside
    masks: Tensor  # (n, size, size), bool: the visible pixels


class Shape(NamedTuple):
    """One object: a square stamp and its place in the picture."""

    label: int
    radius: float  # of a disc of this area
    angle: int
    place: tuple[slice, slice]
    depth: np.ndarray  # (side, side), pixels from the edge, above 0 inside


def draw_scene(seed: int, size: int = 64, objects: int | None = None) -> Scene:
    """Return the scene of a seed: `size` pixels square, with 1 to 4 objects or as many as `objects` says.

    Raises TypeError or ValueError unless seed is a whole number from 0, size from 16 to 512, objects 0 to 4.
    """
    rng = np.random.default_rng(whole("seed", seed, 0, 2**63 - 1))
    whole("size", size, 16, 512)
    count = int(rng.integers(1, MOST_OBJECTS + 1)) if objects is None else objects
    shapes, masks = _arrange(rng, size, whole("objects", count, 0, MOST_OBJECTS))
    return Scene(
        image=torch.from_numpy(_paint(rng, size, shapes)),
        labels=torch.tensor([shape.label for shape in shapes], dtype=torch.int64),
        boxes=torch.tensor([_box(mask) for mask in masks], dtype=torch.int64).reshape(-1, 4),
        masks=torch.from_numpy(masks),
    )


def main_object(scene: Scene) -> int:
    """Return which object has the most visible pixels: at least 1.5 times as many as any other."""
    if not len(scene.labels):
        raise ValueError("scene has no objects, so none is the main one; give a scene with 1 or more")
    return int(scene.masks.sum((1, 2)).argmax())


def whole(name: str, value: object, least: int, most: int) -> int:
    """Return an argument that is a whole number in a range, or say in one sentence what it is instead."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}; give a whole number from {least} to {most}")
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}; give a whole number from {least} to {most}")
    return value


def _arrange(rng: np.random.Generator, size: int, count: int) -> tuple[list[Shape], np.ndarray]:
    """Return shapes from back to front and the visible pixels of each, `(count, size, size)`.

    They are drawn anew until enough is seen of each and one is clearly the largest.
    """
    while True:
        shapes = [_shape(rng, size, radius) for radius in _radii(rng, size, count)]
        masks, free = np.zeros((count, size, size), dtype=bool), np.ones((size, size), dtype=bool)
        for mask, shape in zip(masks[::-1], shapes[::-1], strict=True):
            mask[shape.place] = (shape.depth > 0) & free[shape.place]
            free &= ~mask
        seen = [np.count_nonzero(mask) for mask in masks]
        drawn = [np.count_nonzero(shape.depth > 0) for shape in shapes]
        enough = all(0 < VISIBLE * of <= part for part, of in zip(seen, drawn, strict=True))
        if enough and all(max(seen) >= LARGEST * second for second in sorted(seen)[-2:-1]):
            return shapes, masks


def _radii(rng: np.random.Generator, size: int, count: int) -> list[float]:
    """Return radii of discs: the largest from 1/8 to 1/4 of the side, the others down to 1/16."""
    largest = int(rng.integers(64, 129))
    others = [int(rng.integers(32, largest * 4 // 5 + 1)) for _ in range(count - 1)]
    return [int(radius) * size / 512 for radius in rng.permutation([largest, *others][:count])]


def _shape(rng: np.random.Generator, size: int, radius: float) -> Shape:
    """Draw class, angle and place at random, so that the shape lies inside the picture."""
    label, angle = int(rng.integers(len(CLASSES))), int(rng.integers(360))
    side = int(2 * radius * REACH[CLASSES[label]]) + 3  # half a pixel of blended edge on all sides
    top, left = (int(corner) for corner in rng.integers(0, size - side + 1, size=2))
    place = slice(top, top + side), slice(left, left + side)
    return Shape(label, radius, angle, place, _depth(CLASSES[label], radius, angle, side))


def _depth(name: str, radius: float, angle: int, side: int) -> np.ndarray:
    """Return how far inside a shape's edge each pixel of its stamp lies; below 0 outside."""
    if name in SIDES:
        sides, distance = SIDES[name]
        beyond = _across(side, tuple((angle + i * 360 // sides) % 360 for i in range(sides)))
        # inside every side; of a star, whose points lie beyond one of its five lines, inside all but one
        return radius * distance - np.sort(beyond, axis=0)[-2 if name == "star" else -1]
    x, y = np.abs(_across(side, (angle, (angle + 90) % 360)))
    if name == "cross":
        length, width = CROSS
        return np.minimum(radius * length - np.maximum(x, y), radius * width - np.minimum(x, y))
    distance = np.sqrt(x * x + y * y)
    return radius - distance if name == "disc" else radius * RING - np.abs(distance - radius)


def _across(side: int, angles: tuple[int, ...]) -> np.ndarray:
    """Return each pixel's distance from the centre in the direction of each angle, `(n, side, side)`."""
    return (NORMALS[list(angles)] @ _pixels(side)).reshape(-1, side, side)


@functools.cache
def _pixels(side: int) -> np.ndarray:
    """Return x and y of the pixels of a square, seen from its centre, `(2, side·side)`."""
    places = np.arange(side, dtype=np.float32) - (side - 1) / 2
    return np.stack([np.tile(places, side), np.repeat(places, side)]).astype(np.float32)


def _paint(rng: np.random.Generator, size: int, shapes: list[Shape]) -> np.ndarray:
    """Return the picture `(3, size, size)`: objects that are lighter than the background."""
    hue, bright = int(rng.integers(360)), int(rng.integers(15, 40))
    tones = [_colour(hue, tone, pure=0.5) for tone in (bright, bright + 20)]
    period = size * int(rng.integers(4, 8)) / 64
    picture = _textured(rng, size, period, int(rng.integers(360)), *tones)
    for shape in shapes:
        hue += int(rng.integers(60, 76))  # after four objects the first hue is not yet reached again
        bright = int(rng.integers(100, 150))
        tones = [_colour(hue, tone) for tone in (bright, bright + 70)]
        period = max(shape.radius * int(rng.integers(5, 9)) / 8, size / 16)
        stamp = _textured(rng, len(shape.depth), period, shape.angle, *tones)
        under = picture[:, *shape.place]
        under += np.clip(shape.depth + np.float32(0.5), 0, 1) * (stamp - under)  # the edge is blended
    return np.rint(picture).astype(np.uint8)


def _colour(hue: int, brightness: int, pure: float = 1) -> np.ndarray:
    """Return the colour `(3, 1, 1)` of a hue in degrees, made greyer, then mixed with black or white."""
    colour = np.rint(255 * np.clip(np.abs((hue / 60 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1))
    own = float(colour @ BRIGHTNESS)
    colour = own + pure * (colour - own)
    end = 0 if own > brightness else 255
    return (end + (colour - end) * ((brightness - end) / (own - end))).astype(np.float32).reshape(3, 1, 1)


def _textured(
    rng: np.random.Generator, side: int, period: float, angle: int, ground: np.ndarray, pattern: np.ndarray
) -> np.ndarray:
    """Return a square `(3, side, side)` of one colour with a random texture in another."""
    texture = TEXTURES[rng.integers(len(TEXTURES))]
    if texture == "plain":
        return np.broadcast_to(ground, (3, side, side)).copy()
    x, y = _across(side, (angle, (angle + 90) % 360)) / np.float32(period)
    x, y = (np.abs(along - np.floor(along) - np.float32(0.5)) for along in (x, y))
    if texture == "dots":
        depth = np.float32(0.3) - np.sqrt(x * x + y * y)
    else:
        x, y = x - np.float32(0.25), y - np.float32(0.25)
        depth = x if texture == "stripes" else np.maximum(np.minimum(x, y), np.minimum(-x, -y))
    return ground + np.clip(depth * np.float32(period) + np.float32(0.5), 0, 1) * (pattern - ground)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return x0, y0, x1, y1 around the True pixels; x1 and y1 lie outside."""
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
