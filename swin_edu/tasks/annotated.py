"""Pictures with what is in them: the box and the class of each object, and the class of each pixel."""

from typing import NamedTuple

import torch
from torch import Tensor

NOBODY = -1  # the label where a picture has fewer objects than others
UNKNOWN = 255  # the class of a pixel that is not to be judged


class Annotated(NamedTuple):
    """N pictures of one size, each with at most K objects of C classes."""

    images: Tensor  # (N, 3, H, W), uint8
    boxes: Tensor  # (N, K, 4), float32: x0, y0, x1, y1 in pixels; x1 and y1 lie outside; zeros for NOBODY
    labels: Tensor  # (N, K), int64: 0 to C - 1, or NOBODY
    pixels: Tensor  # (N, H, W), uint8: 0 ground, 1 + the class, or UNKNOWN

    def some(self, chosen: Tensor | slice) -> "Annotated":
        """Return some of the pictures."""
        return Annotated(*(part[chosen] for part in self))


def turned(data: Annotated, way: int) -> Annotated:
    """Turn and mirror all pictures in one of 8 ways, and what belongs to them; way 0 changes nothing.

    Bit 0 mirrors left and right, bit 1 top and bottom, bit 2 exchanges rows and columns afterwards.
    Raises ValueError when `way` is not from 0 to 7.
    """
    if way not in range(8):
        raise ValueError(f"way is {way}; it must be from 0 to 7")
    images, boxes, labels, pixels = data
    height, width = images.shape[-2:]
    there = (labels != NOBODY).unsqueeze(-1)
    x0, y0, x1, y1 = boxes.unbind(-1)
    if way & 1:
        images, pixels = images.flip(-1), pixels.flip(-1)
        x0, x1 = width - x1, width - x0
    if way & 2:
        images, pixels = images.flip(-2), pixels.flip(-2)
        y0, y1 = height - y1, height - y0
    if way & 4:
        images, pixels = images.transpose(-2, -1), pixels.transpose(-2, -1)
        x0, y0, x1, y1 = y0, x0, y1, x1
    return Annotated(images, torch.stack([x0, y0, x1, y1], dim=-1) * there, labels, pixels)


def turned_at_random(data: Annotated) -> Annotated:
    """Turn and mirror all pictures in one way drawn at random."""
    return turned(data, int(torch.randint(8, ())))
