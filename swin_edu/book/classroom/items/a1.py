"""Assignment 1: patches and windows."""

import math
from collections.abc import Callable

import torch
from einops import rearrange
from torch import Generator, Tensor

from swin_edu.book.classroom.item import Arguments, Item, Mistake


def patches_channels_first(images: Tensor, patch: int) -> Tensor:
    """Cut images into patches, each as three squares of numbers: all red, all green, all blue.

    Shape: (B, 3, H, W) -> (B, H/P, W/P, 3·P·P)
    """
    b, c, height, width = images.shape
    squares = images.reshape(b, c, height // patch, patch, width // patch, patch)
    return squares.permute(0, 2, 4, 1, 3, 5).flatten(3)


def patches_in_loops(images: Tensor, patch: int) -> Tensor:
    b, c, height, width = images.shape
    out = torch.empty(b, height // patch, width // patch, c * patch * patch)
    for row in range(height // patch):
        for column in range(width // patch):
            square = images[:, :, row * patch :, column * patch :][:, :, :patch, :patch]
            out[:, row, column] = square.flatten(1)
    return out


def patches_by_unfold(images: Tensor, patch: int) -> Tensor:
    columns = torch.nn.functional.unfold(images, patch, stride=patch)
    return rearrange(columns, "b n (h w) -> b h w n", h=images.shape[2] // patch)


def image_cases(generator: Generator) -> list[Arguments]:
    """Draw images of odd sizes; the first counts its numbers."""
    counted = torch.arange(3.0 * 4 * 6).reshape(1, 3, 4, 6)
    sizes = ((2, 2, 3, 3), (1, 5, 2, 4), (3, 1, 2, 1))
    return [
        (counted, 2),
        *((torch.rand(b, 3, h * p, w * p, generator=generator), p) for b, h, w, p in sizes),
    ]


PATCHES_CHANNELS_FIRST = Item(
    patches_channels_first,
    image_cases,
    (
        Mistake(
            "colours of a pixel together",
            "You keep a pixel's red, green and blue together, like patch_partition; here all red come first.",
            lambda images, patch: rearrange(images, "b c (h p) (w q) -> b h w (p q c)", p=patch, q=patch),
        ),
        Mistake(
            "patches read in columns",
            "Inside a patch your numbers run down its columns; let them run along its rows.",
            lambda images, patch: rearrange(images, "b c (h p) (w q) -> b h w (c q p)", p=patch, q=patch),
        ),
        Mistake(
            "map transposed",
            "Rows and columns of the map are exchanged: H/P comes before W/P.",
            lambda images, patch: rearrange(images, "b c (h p) (w q) -> b w h (c p q)", p=patch, q=patch),
        ),
        Mistake(
            "pixels far apart",
            "Your patches hold pixels that lie H/P apart: in `(h p)` the patch's number comes first.",
            lambda images, patch: rearrange(images, "b c (p h) (q w) -> b h w (c p q)", p=patch, q=patch),
        ),
        Mistake(
            "one row for all patches",
            "The values are right, but the patches stand in one long row; keep H/P and W/P as two axes.",
            lambda images, patch: rearrange(images, "b c (h p) (w q) -> b (h w) (c p q)", p=patch, q=patch),
        ),
        Mistake(
            "reshape without permute",
            "A reshape alone never moves a number; exchange the axes of rows and columns with permute.",
            lambda images, patch: images.reshape(
                len(images), images.shape[2] // patch, images.shape[3] // patch, 3 * patch * patch
            ),
        ),
    ),
    (patches_in_loops, patches_by_unfold),
)


def rectangular_windows(x: Tensor, height: int, width: int) -> Tensor:
    """Cut maps of tokens into windows of `height` × `width` tokens, listed row by row, as are their tokens.

    Shape: (B, H, W, C) -> (B·H·W/height/width, height·width, C)
    """
    return rearrange(x, "b (h m) (w n) c -> (b h w) (m n) c", m=height, n=width)


def windows_by_reshape(x: Tensor, height: int, width: int) -> Tensor:
    b, rows, columns, c = x.shape
    squares = x.reshape(b, rows // height, height, columns // width, width, c)
    return squares.transpose(2, 3).reshape(-1, height * width, c)


def windows_by_slices(x: Tensor, height: int, width: int) -> Tensor:
    windows = [
        image[row : row + height, column : column + width].flatten(0, 1)
        for image in x
        for row in range(0, x.shape[1], height)
        for column in range(0, x.shape[2], width)
    ]
    return torch.stack(windows)


def map_cases(generator: Generator) -> list[Arguments]:
    """Draw maps of tokens and windows that are not square; the first map counts its tokens."""
    counted = torch.arange(24.0).reshape(1, 4, 6, 1)
    sizes = ((2, 3, 2, 2, 4, 3), (3, 2, 5, 3, 1, 2), (1, 1, 2, 5, 2, 4))
    return [
        (counted, 2, 3),
        *((torch.randn(b, h * m, w * n, c, generator=generator), m, n) for b, h, w, m, n, c in sizes),
    ]


RECTANGULAR_WINDOWS = Item(
    rectangular_windows,
    map_cases,
    (
        Mistake(
            "height and width of the window exchanged",
            "Your windows are `width` tokens high and `height` wide.",
            lambda x, height, width: rearrange(
                x[:, : x.shape[1] // width * width, : x.shape[2] // height * height],
                "b (h m) (w n) c -> (b h w) (m n) c",
                m=width,
                n=height,
            ),
        ),
        Mistake(
            "windows listed by columns",
            "Each window is right, but you list them column by column; list them row by row.",
            lambda x, height, width: rearrange(x, "b (h m) (w n) c -> (b w h) (m n) c", m=height, n=width),
        ),
        Mistake(
            "tokens listed by columns",
            "Inside a window your tokens run down its columns; let them run along its rows.",
            lambda x, height, width: rearrange(x, "b (h m) (w n) c -> (b h w) (n m) c", m=height, n=width),
        ),
        Mistake(
            "reshape without permute",
            "A reshape alone cuts rows into strips; exchange the axes inside and outside the window first.",
            lambda x, height, width: x.reshape(-1, height * width, x.shape[-1]),
        ),
        Mistake(
            "tokens far apart",
            "Your windows hold tokens that lie far apart; in `(h m)` the window's number comes first.",
            lambda x, height, width: rearrange(x, "b (m h) (n w) c -> (b h w) (m n) c", m=height, n=width),
        ),
        Mistake(
            "images mixed",
            "You count windows before images; all windows of the first image come first: `(b h w)`.",
            lambda x, height, width: rearrange(x, "b (h m) (w n) c -> (h w b) (m n) c", m=height, n=width),
        ),
    ),
    (windows_by_reshape, windows_by_slices),
)


def rectangular_reverse(windows: Tensor, height: int, width: int, rows: int, columns: int) -> Tensor:
    """Put windows of `height` × `width` tokens back together into maps of `rows` × `columns` tokens.

    Shape: (B·H·W/height/width, height·width, C) -> (B, H, W, C)
    """
    h, w = rows // height, columns // width
    return rearrange(windows, "(b h w) (m n) c -> b (h m) (w n) c", h=h, w=w, m=height)


def reverse_by_reshape(windows: Tensor, height: int, width: int, rows: int, columns: int) -> Tensor:
    c = windows.shape[-1]
    squares = windows.reshape(-1, rows // height, columns // width, height, width, c)
    return squares.permute(0, 1, 3, 2, 4, 5).reshape(-1, rows, columns, c)


def reverse_by_slices(windows: Tensor, height: int, width: int, rows: int, columns: int) -> Tensor:
    per_row = columns // width
    count = rows // height * per_row
    x = torch.empty(len(windows) // count, rows, columns, windows.shape[-1])
    for number, window in enumerate(windows):
        image, place = divmod(number, count)
        row, column = place // per_row * height, place % per_row * width
        x[image, row : row + height, column : column + width] = window.unflatten(0, (height, width))
    return x


def window_cases(generator: Generator) -> list[Arguments]:
    """Draw the windows of the maps of `map_cases`."""
    return [
        (rectangular_windows(x, height, width), height, width, x.shape[1], x.shape[2])
        for x, height, width in map_cases(generator)
    ]


def laid(pattern: str) -> Callable:
    """Return a function that lays windows by a pattern."""
    return lambda windows, height, width, rows, columns: rearrange(
        windows, pattern, h=rows // height, w=columns // width, m=height
    )


RECTANGULAR_REVERSE = Item(
    rectangular_reverse,
    window_cases,
    (
        Mistake(
            "reshape without permute",
            "A reshape alone lays window after window; exchange the axes inside and outside first.",
            lambda windows, height, width, rows, columns: windows.reshape(
                -1, rows, columns, windows.shape[-1]
            ),
        ),
        Mistake(
            "windows laid by columns",
            "You lay the windows column by column; they are listed row by row.",
            laid("(b w h) (m n) c -> b (h m) (w n) c"),
        ),
        Mistake(
            "tokens laid by columns",
            "Inside a window you lay the tokens down its columns; they are listed row by row.",
            laid("(b h w) (n m) c -> b (h m) (w n) c"),
        ),
        Mistake(
            "rows and columns exchanged",
            "Your maps are transposed: rows come before columns.",
            laid("(b h w) (m n) c -> b (w n) (h m) c"),
        ),
        Mistake(
            "tokens far apart",
            "You spread each window over the whole map; in `(h m)` the window's number comes first.",
            laid("(b h w) (m n) c -> b (m h) (n w) c"),
        ),
        Mistake(
            "images mixed",
            "You take the images as the last count; all windows of the first image come first: `(b h w)`.",
            laid("(h w b) (m n) c -> b (h m) (w n) c"),
        ),
    ),
    (reverse_by_reshape, reverse_by_slices),
)


def dilated_windows(x: Tensor, window: int) -> Tensor:
    """Group tokens that lie H/M rows or W/M columns apart, M × M to a group: windows that span the map.

    Shape: (B, H, W, C) -> (B·H·W/M/M, M·M, C)
    Groups are listed by the place of their first token, row by row; so are the tokens of each.
    Source: Tu et al. 2022 (MaxViT, arXiv 2204.01697), grid attention.
    """
    return rearrange(x, "b (m h) (n w) c -> (b h w) (m n) c", m=window, n=window)


def dilated_by_strides(x: Tensor, window: int) -> Tensor:
    h, w = x.shape[1] // window, x.shape[2] // window
    groups = [x[:, row::h, column::w].flatten(1, 2) for row in range(h) for column in range(w)]
    return torch.stack(groups, 1).flatten(0, 1)


def dilated_by_reshape(x: Tensor, window: int) -> Tensor:
    b, height, width, c = x.shape
    spread = x.reshape(b, window, height // window, window, width // window, c)
    return spread.permute(0, 2, 4, 1, 3, 5).reshape(-1, window * window, c)


def square_cases(generator: Generator) -> list[Arguments]:
    """Draw maps of tokens for square windows; the first map counts its tokens."""
    counted = torch.arange(24.0).reshape(1, 4, 6, 1)
    sizes = ((2, 3, 2, 2, 3), (3, 2, 4, 3, 2), (1, 5, 1, 2, 4))
    return [
        (counted, 2),
        *((torch.randn(b, h * m, w * m, c, generator=generator), m) for b, h, w, m, c in sizes),
    ]


DILATED_WINDOWS = Item(
    dilated_windows,
    square_cases,
    (
        Mistake(
            "plain windows",
            "These are the usual windows, of neighbours; here the tokens of a group lie H/M and W/M apart.",
            lambda x, window: rearrange(x, "b (h m) (w n) c -> (b h w) (m n) c", m=window, n=window),
        ),
        Mistake(
            "M tokens apart",
            "Your tokens lie M rows apart; they should lie H/M apart, so that each group has M × M of them.",
            lambda x, window: rearrange(x, "b (h m) (w n) c -> (b m n) (h w) c", m=window, n=window),
        ),
        Mistake(
            "groups listed by columns",
            "Each group is right, but you list them column by column; list them row by row.",
            lambda x, window: rearrange(x, "b (m h) (n w) c -> (b w h) (m n) c", m=window, n=window),
        ),
        Mistake(
            "tokens listed by columns",
            "Inside a group your tokens run down the columns; let them run along the rows.",
            lambda x, window: rearrange(x, "b (m h) (n w) c -> (b h w) (n m) c", m=window, n=window),
        ),
        Mistake(
            "spread along the rows only",
            "Your groups are spread from left to right, but not from top to bottom.",
            lambda x, window: rearrange(x, "b (h m) (n w) c -> (b h w) (m n) c", m=window, n=window),
        ),
        Mistake(
            "images mixed",
            "You count groups before images; all groups of the first image come first: `(b h w)`.",
            lambda x, window: rearrange(x, "b (m h) (n w) c -> (h w b) (m n) c", m=window, n=window),
        ),
    ),
    (dilated_by_strides, dilated_by_reshape),
)


def attention_pairs(height: int, width: int, window: int) -> int:
    """Count the pairs of query and key of window attention on one map, padded tokens included.

    A map of `height` × `width` tokens is padded at the bottom and at the right until M divides both sides.
    """
    windows = math.ceil(height / window) * math.ceil(width / window)
    return windows * window**4


def pairs_of_padded_map(height: int, width: int, window: int) -> int:
    padded = (height + -height % window) * (width + -width % window)
    return padded * window * window


def pairs_window_by_window(height: int, width: int, window: int) -> int:
    starts = [(row, column) for row in range(0, height, window) for column in range(0, width, window)]
    return sum((window * window) ** 2 for _ in starts)


def size_cases(generator: Generator) -> list[Arguments]:
    """Draw sizes of maps that windows divide, and others."""
    draw = [tuple(torch.randint(1, 60, (2,), generator=generator).tolist()) for _ in range(4)]
    return [(4, 6, 2), (5, 6, 3), (56, 56, 7), (7, 3, 7), (8, 15, 7), *((*sides, 4) for sides in draw)]


ATTENTION_PAIRS = Item(
    attention_pairs,
    size_cases,
    (
        Mistake(
            "tokens instead of pairs",
            "You count tokens; each of them meets M² keys.",
            lambda height, width, window: math.ceil(height / window) * math.ceil(width / window) * window**2,
        ),
        Mistake(
            "padding left out",
            "Where windows do not divide the map, padded tokens are queries and keys like all others.",
            lambda height, width, window: height * width * window**2,
        ),
        Mistake(
            "incomplete windows dropped",
            "You round down; the map is padded, so round the number of windows up.",
            lambda height, width, window: (height // window) * (width // window) * window**4,
        ),
        Mistake(
            "global attention",
            "You let every token meet every token; here a token meets those of its window.",
            lambda height, width, window: (height * width) ** 2,
        ),
        Mistake(
            "side of the window instead of its area",
            "A window of M × M tokens has M² queries and M² keys, so M⁴ pairs.",
            lambda height, width, window: (
                math.ceil(height / window) * math.ceil(width / window) * window**2 * window
            ),
        ),
        Mistake(
            "one window too many",
            "Where the window divides the map, nothing is padded; `height // window + 1` is too many there.",
            lambda height, width, window: (height // window + 1) * (width // window + 1) * window**4,
        ),
        Mistake(
            "area rounded instead of sides",
            "You pad the area; it is each side that is padded to a multiple of M.",
            lambda height, width, window: math.ceil(height * width / window**2) * window**4,
        ),
    ),
    (pairs_of_padded_map, pairs_window_by_window),
)

ITEMS = (PATCHES_CHANNELS_FIRST, RECTANGULAR_WINDOWS, RECTANGULAR_REVERSE, DILATED_WINDOWS, ATTENTION_PAIRS)
