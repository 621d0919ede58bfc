"""The figures of the chapters. Each function takes the tensors that it draws and returns a figure."""

from swin_edu.book.drawings.common import mosaics, side_by_side
from swin_edu.book.drawings.overview import chapter_map, pyramid, reach, walk_to_scale, window_reach
from swin_edu.book.drawings.patches import (
    cost_of_patches,
    equal_tokens,
    kernel_as_row,
    line_responses,
    number_maps,
    padded,
    toy_partition,
    zoom,
)

__all__ = [
    "chapter_map",
    "cost_of_patches",
    "equal_tokens",
    "kernel_as_row",
    "line_responses",
    "mosaics",
    "number_maps",
    "padded",
    "pyramid",
    "reach",
    "side_by_side",
    "toy_partition",
    "walk_to_scale",
    "window_reach",
    "zoom",
]
