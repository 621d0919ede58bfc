"""Assignment 4: blocks, merging and the assembled model, as functions of tensors and of dicts of weights."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from einops import rearrange
from torch import Generator, Tensor
from torch.nn import functional as F

from swin_edu.book.classroom.item import Arguments, Item, Mistake


def part(weights: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the weights whose names begin with `name` and a dot, under the rest of their names."""
    return {key[len(name) + 1 :]: x for key, x in weights.items() if key.startswith(f"{name}.")}


def linear(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    """Apply the linear layer `name` to the last axis; its bias is left out where there is none."""
    return F.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


def norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    """Apply the layer norm `name` to the last axis."""
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"])


def mlp(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Apply the MLP of a block: linear layer, GELU, linear layer."""
    return linear(F.gelu(linear(x, weights, "mlp.expand")), weights, "mlp.reduce")


def position_bias(table: Tensor, height: int, width: int) -> Tensor:
    """Return the bias of all pairs of `height` × `width` tokens from the table of a window's offsets.

    Shape: ((2·M-1)², heads) -> (heads, N, N), with N = height·width
    """
    side = math.isqrt(len(table))  # 2M - 1
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    offsets = places[:, None] - places[None, :] + side // 2
    return rearrange(table[offsets[..., 0] * side + offsets[..., 1]], "n m heads -> heads n m")


def attention(
    tokens: Tensor,
    weights: dict[str, Tensor],
    heads: int,
    mask: Tensor | None = None,
    width: int | None = None,
) -> Tensor:
    """Attend in each window, with the relative position bias.

    Shape: (B·nW, N, C) -> (B·nW, N, C), with nW windows for each image
    `mask` (nW, N, N) is True where a pair may attend. `width` is that of a window; None means square windows.
    """
    width = width or math.isqrt(tokens.shape[1])
    q, k, v = rearrange(linear(tokens, weights, "qkv"), "b n (t h d) -> t b h n d", t=3, h=heads)
    logits = q @ k.mT / math.sqrt(q.shape[-1])
    logits = logits + position_bias(weights["position.table"], tokens.shape[1] // width, width)
    if mask is not None:
        allowed = mask.repeat(len(tokens) // len(mask), 1, 1)[:, None]
        logits = logits.masked_fill(~allowed, -math.inf)
    return linear(rearrange(logits.softmax(-1) @ v, "b h n d -> b n (h d)"), weights, "project")


def shift_mask(height: int, width: int, window: int, down: int, right: int) -> Tensor:
    """Tell which tokens of each window of the rolled map lay in one piece of the map before the roll.

    Shape: -> (nW, M·M, M·M)
    The roll has brought the first `down` rows to the bottom, and the first `right` columns to the right.
    `height` and `width` are those of the padded map.
    """
    rows, columns = torch.arange(height) >= height - down, torch.arange(width) >= width - right
    pieces = 2 * rows[:, None] + columns.int()
    pieces = rearrange(pieces, "(h m) (w n) -> (h w) (m n)", m=window, n=window)
    return pieces[:, :, None] == pieces[:, None, :]


def embed(images: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Turn images into a map of tokens: patches, linear layer, norm.

    Shape: (B, 3, H, W) -> (B, ceil(H/P), ceil(W/P), C)
    """
    patch = math.isqrt(weights["linear.weight"].shape[1] // 3)
    images = F.pad(images, (0, -images.shape[3] % patch, 0, -images.shape[2] % patch))
    patches = rearrange(images, "b c (h p) (w q) -> b h w (p q c)", p=patch, q=patch)
    return norm(linear(patches, weights, "linear"), weights, "norm")


def spans(size: int, window: int, shift: int) -> list[tuple[int, int]]:
    """Return where a moved grid cuts a side: the first token of each piece, and the one after its last."""
    borders = range(shift, size, window) if size > window else range(0)  # one window is not moved
    edges = sorted({0, *borders, size})
    return list(zip(edges, edges[1:], strict=False))


def swin_block(x: Tensor, weights: dict[str, Tensor], heads: int, window: int, shift: int) -> Tensor:
    """Apply a block of version 1 by its definition: a moved grid cuts the map, and each piece attends alone.

    Shape: (B, H, W, C) -> (B, H, W, C)
    Nothing is rolled or masked; a side that one window covers is not cut.
    """
    height, width = x.shape[1:3]
    y = F.pad(norm(x, weights, "norm1"), (0, 0, 0, -width % window, 0, -height % window))
    out = torch.empty_like(y)
    for top, bottom in spans(y.shape[1], window, shift):
        for left, right in spans(y.shape[2], window, shift):
            piece = y[:, top:bottom, left:right].flatten(1, 2)
            piece = attention(piece, part(weights, "attention"), heads, width=right - left)
            out[:, top:bottom, left:right] = piece.unflatten(1, (bottom - top, right - left))
    x = x + out[:, :height, :width]
    return x + mlp(norm(x, weights, "norm2"), weights)


def merge(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Join each 2 × 2 tokens into one, by four slices: norm, linear layer.

    Shape: (B, H, W, C) -> (B, ceil(H/2), ceil(W/2), 2·C)
    """
    x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
    four = x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]
    return linear(norm(torch.cat(four, -1), weights, "norm"), weights, "reduction")


GIVEN: tuple[Callable, ...] = (
    part,
    linear,
    norm,
    mlp,
    position_bias,
    attention,
    shift_mask,
    embed,
    spans,
    swin_block,
    merge,
)


def drawn(shapes: dict[str, tuple[int, ...]], generator: Generator) -> dict[str, Tensor]:
    """Draw weights: those of a norm around 1, all others around 0, large enough to matter."""
    return {
        name: torch.randn(shape, generator=generator) * (0.7 if len(shape) > 1 else 0.4)
        + ("norm" in name and name.endswith("weight"))
        for name, shape in shapes.items()
    }


def shapes_of_block(channels: int, heads: int, window: int) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the weights of a block, as SwinBlock has them."""
    return {
        "norm1.weight": (channels,),
        "norm1.bias": (channels,),
        "attention.qkv.weight": (3 * channels, channels),
        "attention.qkv.bias": (3 * channels,),
        "attention.position.table": ((2 * window - 1) ** 2, heads),
        "attention.project.weight": (channels, channels),
        "attention.project.bias": (channels,),
        "norm2.weight": (channels,),
        "norm2.bias": (channels,),
        "mlp.expand.weight": (4 * channels, channels),
        "mlp.expand.bias": (4 * channels,),
        "mlp.reduce.weight": (channels, 4 * channels),
        "mlp.reduce.bias": (channels,),
    }


def merge_patches(x: Tensor, weights: dict[str, Tensor], rows: int, columns: int) -> Tensor:
    """Join each rectangle of `rows` × `columns` tokens into one: norm of all their numbers, linear layer.

    Shape: (B, H, W, C) -> (B, ceil(H/rows), ceil(W/columns), K)
    Where rectangles do not cover the map, add rows of zeros at the bottom and columns of zeros at the right.
    The tokens of a rectangle follow each other column by column, each with all its channels.
    `weights` has norm.weight and norm.bias (rows·columns·C), and reduction.weight (K, rows·columns·C).
    """
    x = F.pad(x, (0, 0, 0, -x.shape[2] % columns, 0, -x.shape[1] % rows))
    x = rearrange(x, "b (h p) (w q) c -> b h w (q p c)", p=rows, q=columns)
    return linear(norm(x, weights, "norm"), weights, "reduction")


def merge_by_slices(x: Tensor, weights: dict[str, Tensor], rows: int, columns: int) -> Tensor:
    b, height, width, c = x.shape
    whole = x.new_zeros(b, math.ceil(height / rows) * rows, math.ceil(width / columns) * columns, c)
    whole[:, :height, :width] = x
    slices = [whole[:, row::rows, column::columns] for column in range(columns) for row in range(rows)]
    joined = F.layer_norm(
        torch.cat(slices, -1), (rows * columns * c,), weights["norm.weight"], weights["norm.bias"]
    )
    return joined @ weights["reduction.weight"].mT


def merge_one_by_one(x: Tensor, weights: dict[str, Tensor], rows: int, columns: int) -> Tensor:
    lines = []
    for top in range(0, x.shape[1], rows):
        line = []
        for left in range(0, x.shape[2], columns):
            rectangle = x[:, top : top + rows, left : left + columns]
            missing = rows - rectangle.shape[1], columns - rectangle.shape[2]
            joined = F.pad(rectangle, (0, 0, 0, missing[1], 0, missing[0])).transpose(1, 2).flatten(1)
            mean, spread = joined.mean(-1, keepdim=True), joined.var(-1, keepdim=True, correction=0)
            scaled = (joined - mean) / (spread + 1e-5).sqrt() * weights["norm.weight"] + weights["norm.bias"]
            line.append(F.linear(scaled, weights["reduction.weight"]))
        lines.append(torch.stack(line, 1))
    return torch.stack(lines, 1)


def merge_in_order(
    x: Tensor, weights: dict[str, Tensor], rows: int, columns: int, order: str = "b h w (q p c)"
) -> Tensor:
    """Return what merging in another order gives; the order of the authors is `b h w (q p c)`."""
    x = F.pad(x, (0, 0, 0, -x.shape[2] % columns, 0, -x.shape[1] % rows))
    x = rearrange(x, f"b (h p) (w q) c -> {order}", p=rows, q=columns)
    return linear(norm(x, weights, "norm"), weights, "reduction")


def merge_far_apart(x: Tensor, weights: dict[str, Tensor], rows: int, columns: int) -> Tensor:
    x = F.pad(x, (0, 0, 0, -x.shape[2] % columns, 0, -x.shape[1] % rows))
    x = rearrange(x, "b (p h) (q w) c -> b h w (q p c)", p=rows, q=columns)
    return linear(norm(x, weights, "norm"), weights, "reduction")


def merge_each_normed(x: Tensor, weights: dict[str, Tensor], rows: int, columns: int) -> Tensor:
    x = F.pad(x, (0, 0, 0, -x.shape[2] % columns, 0, -x.shape[1] % rows))
    x = rearrange(F.layer_norm(x, x.shape[-1:]), "b (h p) (w q) c -> b h w (q p c)", p=rows, q=columns)
    return linear(x * weights["norm.weight"] + weights["norm.bias"], weights, "reduction")


def merge_without(x: Tensor, weights: dict[str, Tensor], rows: int, columns: int) -> Tensor:
    x = F.pad(x, (0, 0, 0, -x.shape[2] % columns, 0, -x.shape[1] % rows))
    x = rearrange(x, "b (h p) (w q) c -> b h w (q p c)", p=rows, q=columns)
    return linear(x, weights, "reduction")


def merge_padded_first(x: Tensor, weights: dict[str, Tensor], rows: int, columns: int) -> Tensor:
    x = F.pad(x, (0, 0, -x.shape[2] % columns, 0, -x.shape[1] % rows, 0))
    return merge_patches(x, weights, rows, columns)


def merge_cut(x: Tensor, weights: dict[str, Tensor], rows: int, columns: int) -> Tensor:
    height, width = x.shape[1] // rows * rows, x.shape[2] // columns * columns
    return merge_patches(x[:, :height, :width], weights, rows, columns)


def merge_plain_norm(x: Tensor, weights: dict[str, Tensor], rows: int, columns: int) -> Tensor:
    plain = {
        "norm.weight": torch.ones_like(weights["norm.weight"]),
        "norm.bias": torch.zeros_like(weights["norm.bias"]),
    }
    return merge_patches(x, weights | plain, rows, columns)


def merge_cases(generator: Generator) -> list[Arguments]:
    """Draw maps and rectangles; the first map counts, and its weights leave the order to be seen."""
    numbers = 2 * 2
    plain = {
        "norm.weight": torch.ones(numbers),
        "norm.bias": torch.zeros(numbers),
        "reduction.weight": torch.eye(numbers),
    }
    cases: list[Arguments] = [(torch.arange(1.0, 17).reshape(1, 4, 4, 1) ** 2, plain, 2, 2)]
    sizes = ((2, 4, 6, 3, 2, 2, 6), (2, 5, 7, 2, 2, 2, 4), (1, 6, 5, 2, 2, 1, 4), (3, 4, 8, 2, 1, 3, 5))
    for b, height, width, c, rows, columns, k in (*sizes, (2, 7, 4, 2, 4, 3, 6)):
        numbers = rows * columns * c
        shapes = {"norm.weight": (numbers,), "norm.bias": (numbers,), "reduction.weight": (k, numbers)}
        x = torch.randn(b, height, width, c, generator=generator)
        cases.append((x, drawn(shapes, generator), rows, columns))
    return cases


MERGE_PATCHES = Item(
    merge_patches,
    merge_cases,
    (
        Mistake(
            "tokens listed row by row",
            "The numbers of a rectangle stand row by row; go down its first column, then down the next.",
            lambda x, weights, rows, columns: merge_in_order(x, weights, rows, columns, "b h w (p q c)"),
        ),
        Mistake(
            "channels before tokens",
            "You list the first channel of all tokens, then the second; keep each token's channels together.",
            lambda x, weights, rows, columns: merge_in_order(x, weights, rows, columns, "b h w (c q p)"),
        ),
        Mistake(
            "each token normed by itself",
            "The norm has rows·columns·C weights: it takes mean and spread over all numbers of a rectangle.",
            merge_each_normed,
        ),
        Mistake(
            "norm left out",
            "The joined numbers reach the linear layer as they are; they must be normed first.",
            merge_without,
        ),
        Mistake(
            "norm without its weight and bias",
            "Your norm does not use norm.weight and norm.bias.",
            merge_plain_norm,
        ),
        Mistake(
            "padded at the top and left",
            "Your zeros stand at the top and at the left; of an axis, F.pad takes the beginning first.",
            merge_padded_first,
        ),
        Mistake(
            "incomplete rectangles dropped",
            "Tokens at the bottom or at the right are lost where rectangles do not divide the map; pad it.",
            merge_cut,
        ),
        Mistake(
            "map transposed",
            "Rows and columns of the new map are exchanged.",
            lambda x, weights, rows, columns: merge_patches(x, weights, rows, columns).transpose(1, 2),
        ),
        Mistake(
            "rows and columns exchanged",
            "You use `rows` for columns.",
            lambda x, weights, rows, columns: merge_patches(x, weights, columns, rows),
        ),
        Mistake(
            "tokens far apart",
            "You join tokens that are far apart; inside a rectangle they are neighbours.",
            merge_far_apart,
        ),
    ),
    (merge_by_slices, merge_one_by_one),
)


def shifted_block(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    """Apply a block of version 1 whose windows lie `down` rows lower and `right` columns further right.

    Shape: (B, H, W, C) -> (B, H, W, C)
    First branch: norm1; zeros at the bottom and at the right until windows of M × M tokens divide the map; a
    roll that brings row `down` and column `right` to the corner; attention in each window under the mask of
    this roll; then back. Second branch: norm2, MLP. Each branch is added to the map that it began with.
    `attention` and `shift_mask` take windows row by row, and the tokens of each row by row.
    """
    height, width = x.shape[1:3]
    y = F.pad(norm(x, weights, "norm1"), (0, 0, 0, -width % window, 0, -height % window))
    mask = shift_mask(y.shape[1], y.shape[2], window, down, right)
    h, w = y.shape[1] // window, y.shape[2] // window
    y = torch.roll(y, (-down, -right), (1, 2))
    y = rearrange(y, "b (h m) (w n) c -> (b h w) (m n) c", m=window, n=window)
    y = attention(y, part(weights, "attention"), heads, mask)
    y = rearrange(y, "(b h w) (m n) c -> b (h m) (w n) c", h=h, w=w, m=window)
    x = x + torch.roll(y, (down, right), (1, 2))[:, :height, :width]
    return x + mlp(norm(x, weights, "norm2"), weights)


def block_by_pieces(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    height, width = x.shape[1:3]
    y = F.pad(norm(x, weights, "norm1"), (0, 0, 0, -width % window, 0, -height % window))
    rows = [0, *range(down or window, y.shape[1], window), y.shape[1]]
    columns = [0, *range(right or window, y.shape[2], window), y.shape[2]]
    lines = []
    for top, bottom in zip(rows, rows[1:], strict=False):
        line = []
        for left, end in zip(columns, columns[1:], strict=False):
            piece = y[:, top:bottom, left:end].flatten(1, 2)
            piece = attention(piece, part(weights, "attention"), heads, width=end - left)
            line.append(piece.unflatten(1, (bottom - top, end - left)))
        lines.append(torch.cat(line, 2))
    x = x + torch.cat(lines, 1)[:, :height, :width]
    return x + mlp(norm(x, weights, "norm2"), weights)


def block_by_numbers(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    b, height, width, c = x.shape
    rows, columns = math.ceil(height / window) * window, math.ceil(width / window) * window
    normed = x.new_zeros(b, rows, columns, c)
    normed[:, :height, :width] = norm(x, weights, "norm1")
    numbers = torch.arange(rows * columns).reshape(rows, columns)
    numbers = numbers[(torch.arange(rows) + down) % rows][:, (torch.arange(columns) + right) % columns]
    numbers = numbers.reshape(rows // window, window, columns // window, window).transpose(1, 2).flatten()
    windows = normed.flatten(1, 2)[:, numbers].reshape(-1, window * window, c)
    mask = shift_mask(rows, columns, window, down, right)
    windows = attention(windows, part(weights, "attention"), heads, mask)
    back = torch.empty(b, rows * columns, c)
    back[:, numbers] = windows.reshape(b, -1, c)
    x = x + back.reshape(b, rows, columns, c)[:, :height, :width]
    return x + mlp(norm(x, weights, "norm2"), weights)


def attended(
    y: Tensor,
    weights: dict[str, Tensor],
    heads: int,
    window: int,
    roll: tuple[int, int],
    back: tuple[int, int],
    mask: tuple[int, int] | None,
) -> Tensor:
    """Roll, attend under the mask of a shift or under none, and roll by `back`; for the wrong answers."""
    height, width = y.shape[1:3]
    allowed = None if mask is None else shift_mask(height, width, window, *mask)
    y = rearrange(torch.roll(y, roll, (1, 2)), "b (h m) (w n) c -> (b h w) (m n) c", m=window, n=window)
    y = attention(y, part(weights, "attention"), heads, allowed)
    y = rearrange(y, "(b h w) (m n) c -> b (h m) (w n) c", h=height // window, w=width // window, m=window)
    return torch.roll(y, back, (1, 2))


def to_windows(y: Tensor, window: int) -> Tensor:
    """Add zeros at the bottom and at the right until windows divide the map."""
    return F.pad(y, (0, 0, 0, -y.shape[2] % window, 0, -y.shape[1] % window))


def with_mlp(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Apply the second branch, and add it."""
    return x + mlp(norm(x, weights, "norm2"), weights)


def first_branch(
    x: Tensor,
    weights: dict[str, Tensor],
    heads: int,
    window: int,
    roll: tuple[int, int],
    back: tuple[int, int],
    mask: tuple[int, int] | None,
) -> Tensor:
    """Apply the first branch with a roll, a roll back and a mask of one's choice."""
    y = attended(to_windows(norm(x, weights, "norm1"), window), weights, heads, window, roll, back, mask)
    return y[:, : x.shape[1], : x.shape[2]]


def block_padded_first(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    y = norm(to_windows(x, window), weights, "norm1")
    y = attended(y, weights, heads, window, (-down, -right), (down, right), (down, right))
    return with_mlp(x + y[:, : x.shape[1], : x.shape[2]], weights)


def block_cut_before_roll(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    y = first_branch(x, weights, heads, window, (-down, -right), (0, 0), (down, right))
    return with_mlp(x + torch.roll(y, (down, right), (1, 2)), weights)


def block_rolled_before_padding(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    y = to_windows(torch.roll(norm(x, weights, "norm1"), (-down, -right), (1, 2)), window)
    y = attended(y, weights, heads, window, (0, 0), (0, 0), (down, right))[:, : x.shape[1], : x.shape[2]]
    return with_mlp(x + torch.roll(y, (down, right), (1, 2)), weights)


def block_without_first_norm(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    y = to_windows(x, window)
    y = attended(y, weights, heads, window, (-down, -right), (down, right), (down, right))
    return with_mlp(x + y[:, : x.shape[1], : x.shape[2]], weights)


def block_without_second_sum(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    x = x + first_branch(x, weights, heads, window, (-down, -right), (down, right), (down, right))
    return mlp(norm(x, weights, "norm2"), weights)


def block_added_to_input(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    y = x + first_branch(x, weights, heads, window, (-down, -right), (down, right), (down, right))
    return x + mlp(norm(y, weights, "norm2"), weights)


def block_from_normed(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    y = first_branch(x, weights, heads, window, (-down, -right), (down, right), (down, right))
    x = norm(x, weights, "norm1") + y
    x = norm(x, weights, "norm2")
    return x + mlp(x, weights)


def block_in_parallel(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    y = first_branch(x, weights, heads, window, (-down, -right), (down, right), (down, right))
    return x + y + mlp(norm(x, weights, "norm2"), weights)


def block_without_first_sum(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    return with_mlp(
        first_branch(x, weights, heads, window, (-down, -right), (down, right), (down, right)), weights
    )


def block_without_second_norm(
    x: Tensor, weights: dict[str, Tensor], heads: int, window: int, down: int, right: int
) -> Tensor:
    x = x + first_branch(x, weights, heads, window, (-down, -right), (down, right), (down, right))
    return x + mlp(x, weights)


def block_cases(generator: Generator) -> list[Arguments]:
    """Draw maps with and without padding, with two shifts, one and none; the first counts."""
    row, column = torch.meshgrid(torch.arange(4.0), torch.arange(4.0), indexing="ij")
    counted = torch.stack([row, column, row * column, torch.ones(4, 4)], -1)[None]
    cases: list[Arguments] = [(counted, drawn(shapes_of_block(4, 2, 2), generator), 2, 2, 1, 1)]
    settings = (
        (2, 6, 4, 4, 2, 2, 1, 0),
        (1, 6, 9, 6, 3, 3, 1, 2),
        (2, 5, 7, 4, 1, 3, 2, 1),
        (1, 3, 5, 4, 2, 4, 0, 0),
        (2, 3, 3, 4, 2, 3, 0, 0),
    )
    for b, height, width, c, heads, window, down, right in settings:
        x = torch.randn(b, height, width, c, generator=generator)
        weights = drawn(shapes_of_block(c, heads, window), generator)
        cases.append((x, weights, heads, window, down, right))
    return cases


SHIFTED_BLOCK = Item(
    shifted_block,
    block_cases,
    (
        Mistake(
            "mask left out",
            "After the roll a window may hold tokens from opposite borders; give `attention` the mask.",
            lambda x, weights, heads, window, down, right: with_mlp(
                x + first_branch(x, weights, heads, window, (-down, -right), (down, right), None), weights
            ),
        ),
        Mistake(
            "rolled the other way",
            "You roll down and to the right; the row `down` must come up to the first row.",
            lambda x, weights, heads, window, down, right: with_mlp(
                x + first_branch(x, weights, heads, window, (down, right), (-down, -right), (down, right)),
                weights,
            ),
        ),
        Mistake(
            "not rolled back",
            "After attention the tokens must return to their places before anything is added.",
            lambda x, weights, heads, window, down, right: with_mlp(
                x + first_branch(x, weights, heads, window, (-down, -right), (0, 0), (down, right)), weights
            ),
        ),
        Mistake(
            "down and right exchanged",
            "You move the windows `right` rows down and `down` columns to the right.",
            lambda x, weights, heads, window, down, right: with_mlp(
                x + first_branch(x, weights, heads, window, (-right, -down), (right, down), (right, down)),
                weights,
            ),
        ),
        Mistake(
            "windows not moved",
            "Your windows stay where they are; roll the map by `down` and `right`.",
            lambda x, weights, heads, window, down, right: with_mlp(
                x + first_branch(x, weights, heads, window, (0, 0), (0, 0), None), weights
            ),
        ),
        Mistake(
            "padded before the norm",
            "You norm the padding too, and a norm makes its bias of zeros; norm first, then pad with zeros.",
            block_padded_first,
        ),
        Mistake(
            "padding cut off before rolling back",
            "You cut off the padding while the map is still rolled; roll back first.",
            block_cut_before_roll,
        ),
        Mistake(
            "first sum left out",
            "What attention gives is added to x; you go on with the branch alone.",
            block_without_first_sum,
        ),
        Mistake(
            "added to the normed map",
            "You add each branch to the normed map; the residual way goes past the norm.",
            block_from_normed,
        ),
        Mistake(
            "both branches from the same map",
            "Your MLP gets the map from before attention; it must get the first sum.",
            block_in_parallel,
        ),
        Mistake(
            "second norm left out",
            "The MLP gets the sum as it is; norm2 comes before it.",
            block_without_second_norm,
        ),
        Mistake(
            "rolled before padding",
            "You roll, then pad; pad first, then roll.",
            block_rolled_before_padding,
        ),
        Mistake(
            "first norm left out",
            "The first branch begins with norm1.",
            block_without_first_norm,
        ),
        Mistake(
            "second sum left out",
            "The second branch too is added to the map it began with.",
            block_without_second_sum,
        ),
        Mistake(
            "MLP added to the block's input",
            "The second branch begins with the map after the first sum, and is added to that.",
            block_added_to_input,
        ),
        Mistake(
            "mask without a roll",
            "You mask as for a rolled map, but do not roll.",
            lambda x, weights, heads, window, down, right: with_mlp(
                x + first_branch(x, weights, heads, window, (0, 0), (0, 0), (down, right)), weights
            ),
        ),
    ),
    (block_by_pieces, block_by_numbers),
    points=3,
)


def post_norm_block(x: Tensor, weights: dict[str, Tensor], heads: int, kept: Tensor, rate: float) -> Tensor:
    """Apply a block in the order of version 2 to one window per image, with stochastic depth as in training.

    Shape: (B, M·M, C) -> (B, M·M, C)
    The first branch is attention and norm1, the second MLP and norm2; each is added to what it began with.
    `kept` (2, B) holds True and False: for each branch, which images keep it; to the others it adds nothing.
    `rate` is the share left out in the long run: enlarge what is kept, so that the mean over many draws is
    the branch.
    """
    keep = kept[:, :, None, None] / (1 - rate)
    x = x + keep[0] * norm(attention(x, part(weights, "attention"), heads), weights, "norm1")
    return x + keep[1] * norm(mlp(x, weights), weights, "norm2")


def post_norm_image_by_image(
    x: Tensor, weights: dict[str, Tensor], heads: int, kept: Tensor, rate: float
) -> Tensor:
    results = []
    for image, first, second in zip(x.split(1), *kept.tolist(), strict=True):
        result = image
        if first:
            branch = attention(result, part(weights, "attention"), heads)
            result = result + norm(branch, weights, "norm1") / (1 - rate)
        if second:
            result = result + norm(mlp(result, weights), weights, "norm2") / (1 - rate)
        results.append(result)
    return torch.cat(results)


def post_norm_of_chosen(
    x: Tensor, weights: dict[str, Tensor], heads: int, kept: Tensor, rate: float
) -> Tensor:
    for number, chosen in enumerate(kept):
        some = x[chosen]
        branch = mlp(some, weights) if number else attention(some, part(weights, "attention"), heads)
        branch = F.layer_norm(
            branch,
            (x.shape[-1],),
            weights[f"norm{number + 1}.weight"] / (1 - rate),
            weights[f"norm{number + 1}.bias"] / (1 - rate),
        )
        x = x.index_add(0, chosen.nonzero()[:, 0], branch)
    return x


def with_keep(x: Tensor, weights: dict[str, Tensor], heads: int, first: Tensor, second: Tensor) -> Tensor:
    """Apply the block with factors (B,) of one's choice for the two branches; for the wrong answers."""
    branch = norm(attention(x, part(weights, "attention"), heads), weights, "norm1")
    x = x + first[:, None, None] * branch
    return x + second[:, None, None] * norm(mlp(x, weights), weights, "norm2")


def norm_first(x: Tensor, weights: dict[str, Tensor], heads: int, kept: Tensor, rate: float) -> Tensor:
    keep = kept[:, :, None, None] / (1 - rate)
    x = x + keep[0] * attention(norm(x, weights, "norm1"), part(weights, "attention"), heads)
    return x + keep[1] * mlp(norm(x, weights, "norm2"), weights)


def norm_of_sum(x: Tensor, weights: dict[str, Tensor], heads: int, kept: Tensor, rate: float) -> Tensor:
    keep = kept[:, :, None, None] / (1 - rate)
    x = norm(x + keep[0] * attention(x, part(weights, "attention"), heads), weights, "norm1")
    return norm(x + keep[1] * mlp(x, weights), weights, "norm2")


def enlarged_before_norm(
    x: Tensor, weights: dict[str, Tensor], heads: int, kept: Tensor, rate: float
) -> Tensor:
    keep = kept[:, :, None, None] / (1 - rate)
    x = x + norm(keep[0] * attention(x, part(weights, "attention"), heads), weights, "norm1")
    return x + norm(keep[1] * mlp(x, weights), weights, "norm2")


def post_norm_in_parallel(
    x: Tensor, weights: dict[str, Tensor], heads: int, kept: Tensor, rate: float
) -> Tensor:
    keep = kept[:, :, None, None] / (1 - rate)
    first = norm(attention(x, part(weights, "attention"), heads), weights, "norm1")
    return x + keep[0] * first + keep[1] * norm(mlp(x, weights), weights, "norm2")


def kept_along_channels(
    x: Tensor, weights: dict[str, Tensor], heads: int, kept: Tensor, rate: float
) -> Tensor:
    keep = kept / (1 - rate)
    x = x + keep[0] * norm(attention(x, part(weights, "attention"), heads), weights, "norm1")
    return x + keep[1] * norm(mlp(x, weights), weights, "norm2")


def post_norm_cases(generator: Generator) -> list[Arguments]:
    """Draw windows, and which branches are kept: every one of four combinations, all, and a single image."""
    counted = torch.arange(16.0).reshape(1, 4, 4) ** 2 / 50
    both = torch.ones(2, 1, dtype=torch.bool)
    cases: list[Arguments] = [(counted, drawn(shapes_of_block(4, 2, 2), generator), 2, both, 0.5)]
    four = torch.tensor([[True, False, True, False], [True, True, False, False]])
    for kept, c, heads, window, rate in (
        (four, 4, 2, 2, 0.2),
        (four[:, [1, 2]], 4, 1, 3, 0.5),
        (four[:, [2, 3, 0]], 6, 3, 2, 0.25),
        (four[:, [0, 0]], 4, 2, 2, 0.1),
    ):
        x = torch.randn(kept.shape[1], window * window, c, generator=generator)
        cases.append((x, drawn(shapes_of_block(c, heads, window), generator), heads, kept, rate))
    return cases


POST_NORM_BLOCK = Item(
    post_norm_block,
    post_norm_cases,
    (
        Mistake(
            "norm before the branch",
            "That is the order of version 1; here attention and MLP get x as it is, and a norm comes after.",
            norm_first,
        ),
        Mistake(
            "norm after the sum",
            "You norm the sum, so nothing passes the block unchanged; norm the branch, then add it.",
            norm_of_sum,
        ),
        Mistake(
            "not enlarged",
            "Where a branch is kept, divide it by the share that is kept in the long run.",
            lambda x, weights, heads, kept, rate: with_keep(x, weights, heads, *kept.float()),
        ),
        Mistake(
            "made smaller instead of larger",
            "You multiply what is kept by 1 - rate; over many draws the mean is then too small.",
            lambda x, weights, heads, kept, rate: with_keep(x, weights, heads, *(kept * (1 - rate))),
        ),
        Mistake(
            "enlarged before the norm",
            "The norm undoes your factor, and makes its bias of zeros; drop and enlarge after it.",
            enlarged_before_norm,
        ),
        Mistake(
            "one draw for both branches",
            "You use the first row of `kept` for the MLP too.",
            lambda x, weights, heads, kept, rate: with_keep(x, weights, heads, *(kept[[0, 0]] / (1 - rate))),
        ),
        Mistake(
            "dropped what is kept",
            "True in `kept` means that the branch stays.",
            lambda x, weights, heads, kept, rate: with_keep(x, weights, heads, *(~kept / (1 - rate))),
        ),
        Mistake(
            "nothing left out",
            "You add both branches for all images; `kept` says for which.",
            lambda x, weights, heads, kept, rate: with_keep(
                x, weights, heads, *(torch.ones_like(kept) / (1 - rate))
            ),
        ),
        Mistake(
            "both branches from the same tokens",
            "Your MLP gets the tokens from before attention; it must get the first sum.",
            post_norm_in_parallel,
        ),
        Mistake(
            "kept multiplied along the channels",
            "You multiply along the channels; give `kept` axes for tokens and channels.",
            kept_along_channels,  # raises where there are not as many images as channels
        ),
        Mistake(
            "divided by the share left out",
            "Divide by the share kept, 1 - rate.",
            lambda x, weights, heads, kept, rate: with_keep(x, weights, heads, *(kept / rate)),
        ),
    ),
    (post_norm_image_by_image, post_norm_of_chosen),
)


def tiny_swin(
    images: Tensor,
    weights: dict[str, Tensor],
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    windows: tuple[int, ...],
) -> Tensor:
    """Compute the scores of images with a whole Swin of version 1, from its weights.

    Shape: (B, 3, H, W) -> (B, K)
    `depths`, `heads` and `windows` hold a number for each stage: its blocks, their heads, the side of its
    windows. All stages but the first begin with merging. In each, windows lie still in the first block, are
    moved by half a window (rounded down) in the second, and so on in turn. At the end: norm, mean over all
    tokens, head. The weights are named as in embedding, stages.1.merge, stages.0.blocks.0, norm and head.
    """
    x = embed(images, part(weights, "embedding"))
    for stage, (depth, count, window) in enumerate(zip(depths, heads, windows, strict=True)):
        if stage > 0:
            x = merge(x, part(weights, f"stages.{stage}.merge"))
        for block in range(depth):
            shift = window // 2 if block % 2 == 1 else 0
            x = swin_block(x, part(weights, f"stages.{stage}.blocks.{block}"), count, window, shift)
    return linear(norm(x, weights, "norm").mean((1, 2)), weights, "head")


def swin_by_names(
    images: Tensor,
    weights: dict[str, Tensor],
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    windows: tuple[int, ...],
) -> Tensor:
    x = embed(images, part(weights, "embedding"))
    for name in dict.fromkeys(".".join(key.split(".")[:4]) for key in weights if key.startswith("stages.")):
        _, stage, kind, number = name.split(".")
        if kind == "blocks":
            window = windows[int(stage)]
            shift = int(number) % 2 * (window // 2)
            x = shifted_block(x, part(weights, name), heads[int(stage)], window, *shifts(x, window, shift))
        elif number == "norm":
            x = merge_patches(x, part(weights, f"stages.{stage}.merge"), 2, 2)
    return linear(norm(x, weights, "norm").flatten(1, 2).sum(1) / x.shape[1] / x.shape[2], weights, "head")


def shifts(x: Tensor, window: int, shift: int) -> tuple[int, int]:
    """Return how far windows move down and right: not along a side that one window covers."""
    return (shift if x.shape[1] > window else 0), (shift if x.shape[2] > window else 0)


def swin_back_to_front(
    images: Tensor,
    weights: dict[str, Tensor],
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    windows: tuple[int, ...],
) -> Tensor:
    def after(stage: int) -> Tensor:
        if stage < 0:
            return embed(images, part(weights, "embedding"))
        x, own = after(stage - 1), part(weights, f"stages.{stage}")
        x = merge(x, part(own, "merge")) if stage else x
        for block in range(depths[stage]):
            shift = (0, windows[stage] // 2)[block % 2]
            x = swin_block(x, part(own, f"blocks.{block}"), heads[stage], windows[stage], shift)
        return x

    tokens = norm(after(len(depths) - 1), weights, "norm")
    votes = linear(tokens, weights, "head")  # the head is linear: the mean of votes is the vote of the mean
    return votes.mean((1, 2))


def tokens_with(
    images: Tensor,
    weights: dict[str, Tensor],
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    windows: tuple[int, ...],
    *,
    moved: str = "odd",
) -> Tensor:
    """Return the last map before its norm, with other blocks moved than every second of a stage."""
    x, done = embed(images, part(weights, "embedding")), 0
    for stage, depth in enumerate(depths):
        if stage:
            x = merge(x, part(weights, f"stages.{stage}.merge"))
        for block in range(depth):
            half = windows[stage] // 2
            shift = {
                "odd": block % 2 * half,
                "even": (1 - block % 2) * half,
                "all": half,
                "none": 0,
                "counted on": done % 2 * half,
                "by one": block % 2,
                "rounded up": block % 2 * (windows[stage] - half),
            }[moved]
            x = swin_block(
                x, part(weights, f"stages.{stage}.blocks.{block}"), heads[stage], windows[stage], shift
            )
            done += 1
    return x


def scores_of(x: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Return norm, mean and head of the last map."""
    return linear(norm(x, weights, "norm").mean((1, 2)), weights, "head")


def first_block_repeated(
    images: Tensor,
    weights: dict[str, Tensor],
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    windows: tuple[int, ...],
) -> Tensor:
    x = embed(images, part(weights, "embedding"))
    for stage, depth in enumerate(depths):
        if stage:
            x = merge(x, part(weights, f"stages.{stage}.merge"))
        for block in range(depth):
            shift = block % 2 * (windows[stage] // 2)
            x = swin_block(x, part(weights, f"stages.{stage}.blocks.0"), heads[stage], windows[stage], shift)
    return scores_of(x, weights)


def shapes_of_swin(
    channels: int,
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    windows: tuple[int, ...],
    classes: int,
    patch: int,
) -> dict[str, tuple[int, ...]]:
    """Return the names and shapes of the weights of a whole model, as SwinTransformer has them."""
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.linear.weight": (channels, 3 * patch * patch),
        "embedding.linear.bias": (channels,),
        "embedding.norm.weight": (channels,),
        "embedding.norm.bias": (channels,),
    }
    for stage, (depth, count, window) in enumerate(zip(depths, heads, windows, strict=True)):
        if stage:
            shapes[f"stages.{stage}.merge.norm.weight"] = (4 * channels,)
            shapes[f"stages.{stage}.merge.norm.bias"] = (4 * channels,)
            shapes[f"stages.{stage}.merge.reduction.weight"] = (2 * channels, 4 * channels)
            channels = 2 * channels
        for block in range(depth):
            for name, shape in shapes_of_block(channels, count, window).items():
                shapes[f"stages.{stage}.blocks.{block}.{name}"] = shape
    return shapes | {
        "norm.weight": (channels,),
        "norm.bias": (channels,),
        "head.weight": (classes, channels),
        "head.bias": (classes,),
    }


def swin_cases(generator: Generator) -> list[Arguments]:
    """Draw images and models of one to three stages, with windows that fit and others."""
    settings = (
        ((1, 4, 4), 2, (1,), (1,), (2,), 3, 2),
        ((2, 16, 12), 4, (2, 1), (2, 4), (2, 2), 5, 2),
        ((1, 9, 14), 4, (1, 2), (1, 2), (2, 3), 4, 2),
        ((1, 6, 8), 2, (4, 1, 1), (1, 2, 2), (4, 2, 1), 3, 1),
    )
    cases: list[Arguments] = []
    for (b, height, width), channels, depths, heads, windows, classes, patch in settings:
        images = torch.randn(b, 3, height, width, generator=generator)
        weights = drawn(shapes_of_swin(channels, depths, heads, windows, classes, patch), generator)
        cases.append((images, weights, depths, heads, windows))
    return cases


def scores_with(images: Tensor, weights: dict[str, Tensor], *sizes: Any, moved: str) -> Tensor:
    """Return the scores of a model that moves its windows in another way."""
    return scores_of(tokens_with(images, weights, *sizes, moved=moved), weights)


TINY_SWIN = Item(
    tiny_swin,
    swin_cases,
    (
        Mistake(
            "no windows moved",
            "Your blocks never move their windows; every second block of a stage does.",
            partial(scores_with, moved="none"),
        ),
        Mistake(
            "all windows moved",
            "All your blocks move their windows; the first of a stage does not, then they take turns.",
            partial(scores_with, moved="all"),
        ),
        Mistake(
            "moved blocks first",
            "Your stages begin with moved windows; they begin with windows that are not moved.",
            partial(scores_with, moved="even"),
        ),
        Mistake(
            "turns counted across stages",
            "You count blocks through the whole model; the count begins anew in every stage.",
            partial(scores_with, moved="counted on"),
        ),
        Mistake(
            "moved by one token",
            "Windows move by half their side, so a window of 4 by 2 tokens.",
            partial(scores_with, moved="by one"),
        ),
        Mistake(
            "norm after the mean",
            "You norm the mean of all tokens; norm each token, then take the mean.",
            lambda images, weights, *sizes: linear(
                norm(tokens_with(images, weights, *sizes).mean((1, 2)), weights, "norm"), weights, "head"
            ),
        ),
        Mistake(
            "last norm left out",
            "The tokens are not normed before the mean.",
            lambda images, weights, *sizes: linear(
                tokens_with(images, weights, *sizes).mean((1, 2)), weights, "head"
            ),
        ),
        Mistake(
            "one token instead of the mean",
            "Your scores come from the first token alone; Swin has no class token, take the mean of all.",
            lambda images, weights, *sizes: linear(
                norm(tokens_with(images, weights, *sizes), weights, "norm")[:, 0, 0], weights, "head"
            ),
        ),
        Mistake(
            "weights of the first block for all",
            "All blocks of a stage use the weights of its first; each has its own, blocks.0, blocks.1, …",
            first_block_repeated,
        ),
        Mistake(
            "half a window rounded up",
            "Half of 3 is 1 here: round down.",
            partial(scores_with, moved="rounded up"),
        ),
        Mistake(
            "first window for all stages",
            "Each stage has its own window.",
            lambda images, weights, depths, heads, windows: tiny_swin(
                images, weights, depths, heads, windows[:1] * len(windows)
            ),  # raises where the first window is larger than the position table of another
        ),
    ),
    (swin_by_names, swin_back_to_front),
)


def count_parameters(
    channels: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int, classes: int
) -> int:
    """Count the parameters of a Swin of version 1 with patches of 4 × 4 pixels, without building it.

    Its parts are patches with a norm, blocks, merging between stages, a norm and a head.
    `channels` are those of the first stage, and double from stage to stage. All linear layers have a bias but
    that of merging; all norms have a weight and a bias. The MLP is four times as wide inside. Each block has
    a position table: a number for each head and each offset of two tokens of a window.
    """
    total = 4 * 4 * 3 * channels + channels + 2 * channels  # patches: linear layer, its bias, norm
    for stage, (depth, count) in enumerate(zip(depths, heads, strict=True)):
        if stage > 0:
            total += 8 * channels**2 + 8 * channels  # merging: 4C to 2C, norm of 4C
            channels = 2 * channels
        attention = 4 * channels**2 + 4 * channels + (2 * window - 1) ** 2 * count
        total += depth * (attention + 8 * channels**2 + 5 * channels + 4 * channels)  # MLP, two norms
    return total + 2 * channels + channels * classes + classes


def parameters_from_shapes(
    channels: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int, classes: int
) -> int:
    windows = (window,) * len(depths)
    shapes = shapes_of_swin(channels, depths, heads, windows, classes, patch=4)
    return sum(math.prod(shape) for shape in shapes.values())


def parameters_in_closed_form(
    channels: int, depths: tuple[int, ...], heads: tuple[int, ...], window: int, classes: int
) -> int:
    squares = sum(12 * depth * 4**stage for stage, depth in enumerate(depths))
    rows = sum(13 * depth * 2**stage for stage, depth in enumerate(depths))
    last = 2 ** (len(depths) - 1)
    squares += 8 * sum(4**stage for stage in range(len(depths) - 1))
    rows += 51 + 8 * (last - 1) + last * (2 + classes)
    tables = sum(depth * count for depth, count in zip(depths, heads, strict=True))
    return channels**2 * squares + channels * rows + (2 * window - 1) ** 2 * tables + classes


def counted_with(
    channels: int,
    depths: tuple[int, ...],
    heads: tuple[int, ...],
    window: int,
    classes: int,
    *,
    table: str = "offsets",
    biases: bool = True,
    norms: bool = True,
    without: str = "",
    reduction_bias: bool = False,
    doubled: bool = True,
) -> int:
    """Count with one thing taken for another; for the wrong answers."""
    total = (49 if biases else 48) * channels + (2 * channels if norms and without != "first norm" else 0)
    for stage, (depth, count) in enumerate(zip(depths, heads, strict=True)):
        if stage:
            normed = norms and without != "norms of merging"
            total += 8 * channels**2 + (8 * channels if normed else 0) + (2 * channels * reduction_bias)
            channels *= 2 if doubled else 1
        numbers = {
            "offsets": (2 * window - 1) ** 2 * count,
            "one head": (2 * window - 1) ** 2,
            "pairs": window**4 * count,
            "none": 0,
        }[table]
        block = 12 * channels**2 + (9 * channels if biases else 0) + (4 * channels if norms else 0)
        total += depth * (block + numbers)
    total += 2 * channels if norms and without != "last norm" else 0
    return total + channels * classes + (classes if biases else 0)


def model_cases(generator: Generator) -> list[Arguments]:
    """Draw sizes of models; the last is Swin-T. The others are small, so that a forgotten bias counts."""
    draw = [torch.randint(1, 4, (8,), generator=generator).tolist() for _ in range(2)]
    cases: list[Arguments] = [(4, (1,), (1,), 2, 3), (14, (2, 2), (2, 7), 2, 10), (6, (1, 3), (3, 2), 3, 5)]
    for a, b, c, d, e, f, g, h in draw:
        cases.append((12, (a, b, c), (d, e, f), 2 + g, 4 + h))
    return [*cases, (96, (2, 2, 6, 2), (3, 6, 12, 24), 7, 1000)]


COUNT_PARAMETERS = Item(
    count_parameters,
    model_cases,
    (
        Mistake(
            "position tables left out",
            "Each block has a table of (2M - 1)² offsets for each of its heads.",
            lambda *sizes: counted_with(*sizes, table="none"),
        ),
        Mistake(
            "one position table for all heads",
            "Each head has a table of its own.",
            lambda *sizes: counted_with(*sizes, table="one head"),
        ),
        Mistake(
            "a number for every pair",
            "You count a bias for every pair of tokens; pairs with the same offset share one number.",
            lambda *sizes: counted_with(*sizes, table="pairs"),
        ),
        Mistake(
            "biases left out",
            "Linear layers have a bias too: qkv, projection, both of the MLP, patches and head.",
            lambda *sizes: counted_with(*sizes, biases=False),
        ),
        Mistake(
            "norms left out",
            "A layer norm has two parameters for each channel; there are two in a block, and others outside.",
            lambda *sizes: counted_with(*sizes, norms=False),
        ),
        Mistake(
            "merging with a bias",
            "You count a bias for the linear layer of merging; it has none.",
            lambda *sizes: counted_with(*sizes, reduction_bias=True),
        ),
        Mistake(
            "channels not doubled",
            "After merging there are twice as many channels.",
            lambda *sizes: counted_with(*sizes, doubled=False),
        ),
        Mistake(
            "norm after the patches left out",
            "The norm after the patches has a weight and a bias.",
            lambda *sizes: counted_with(*sizes, without="first norm"),
        ),
        Mistake(
            "norm before the head left out",
            "The norm before the head has a weight and a bias.",
            lambda *sizes: counted_with(*sizes, without="last norm"),
        ),
        Mistake(
            "norms of merging left out",
            "Merging norms 4C numbers.",
            lambda *sizes: counted_with(*sizes, without="norms of merging"),
        ),
    ),
    (parameters_from_shapes, parameters_in_closed_form),
    points=1,
)

ITEMS = (MERGE_PATCHES, SHIFTED_BLOCK, POST_NORM_BLOCK, TINY_SWIN, COUNT_PARAMETERS)
