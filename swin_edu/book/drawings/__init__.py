"""The figures of the chapters. Each function takes the tensors that it draws and returns a figure."""

from swin_edu.book.drawings.attention import (
    attention_maps,
    cost_of_attention,
    heads_apart,
    named_patches,
    tables,
    two_normalisations,
    who_noticed,
    width_of_queries,
)
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
    "attention_maps",
    "chapter_map",
    "cost_of_attention",
    "cost_of_patches",
    "equal_tokens",
    "heads_apart",
    "kernel_as_row",
    "line_responses",
    "mosaics",
    "named_patches",
    "number_maps",
    "padded",
    "pyramid",
    "reach",
    "side_by_side",
    "tables",
    "toy_partition",
    "two_normalisations",
    "walk_to_scale",
    "who_noticed",
    "width_of_queries",
    "window_reach",
    "zoom",
]
