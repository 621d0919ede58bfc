"""Checks of the exercises of chapters 0 to 8."""

import math

import torch
from einops import rearrange
from torch import Generator, Tensor
from torch.nn import functional as F

from swin_edu.attention import attend
from swin_edu.book.classroom.item import Arguments, Item, Mistake
from swin_edu.hierarchy import merge_neighbours
from swin_edu.patches import patch_partition, patch_reverse
from swin_edu.position import relative_position_index, resize_table
from swin_edu.shift import cyclic_shift, shift_mask
from swin_edu.windows import pad_to_window, window_partition, window_reverse


def walk_shapes(height: int, width: int) -> Tensor:
    """Return the shapes of a picture on its walk: the picture, its patches, the tokens of stages 1 to 4.

    Shape: -> (6, 3)
    A row holds height, width and channels. 32 divides both sides of the picture.
    """
    patches = [height // 4, width // 4, 48]
    stages = [[height // side, width // side, 24 * side] for side in (4, 8, 16, 32)]
    return torch.tensor([[height, width, 3], patches, *stages])


def shapes_step_by_step(height: int, width: int) -> Tensor:
    shapes = [(height, width, 3), (height // 4, width // 4, 4 * 4 * 3), (height // 4, width // 4, 96)]
    for _ in range(3):
        height_before, width_before, channels = shapes[-1]
        shapes.append((height_before // 2, width_before // 2, 2 * channels))
    return torch.tensor(shapes)


def shapes_of_maps(height: int, width: int) -> Tensor:
    picture = torch.zeros(1, 3, height, width)
    patches = patch_partition(picture, 4)
    maps = [picture.movedim(1, -1), patches, torch.cat([patches, patches], dim=-1)]
    for _ in range(3):
        maps.append(merge_neighbours(maps[-1])[..., ::2])
    return torch.tensor([each.shape[1:] for each in maps])


def picture_cases(generator: Generator) -> list[Arguments]:
    """Draw sides that 32 divides; the smallest come first."""
    sides = 32 * torch.randint(1, 12, (2, 2), generator=generator)
    return [(32, 64), (224, 320), (96, 32), *(tuple(pair) for pair in sides.tolist())]


def walk(
    height: int, width: int, first: int = 4, pixels: int = 48, channels: int = 96, growth: int = 2
) -> list[list[int]]:
    stages = [
        [height // (first * 2**stage), width // (first * 2**stage), channels * growth**stage]
        for stage in range(4)
    ]
    return [[height, width, 3], [height // 4, width // 4, pixels], *stages]


WALK_SHAPES = Item(
    walk_shapes,
    picture_cases,
    (
        Mistake(
            "picture's shape in every row",
            "Every row has the picture's shape; patches and mergings make the map smaller and deeper.",
            lambda height, width: torch.tensor([[height, width, 3]] * 6),
        ),
        Mistake(
            "linear layer left out",
            "Stage 1 has 96 channels: the linear layer makes them of the 48 numbers of a patch.",
            lambda height, width: torch.tensor(walk(height, width, channels=48)),
        ),
        Mistake(
            "merging makes four times the channels",
            "Merging puts 4C numbers side by side, but its linear layer makes 2C of them.",
            lambda height, width: torch.tensor(walk(height, width, growth=4)),
        ),
        Mistake(
            "channels stay the same",
            "Your maps shrink, but keep their channels; each merging doubles them.",
            lambda height, width: torch.tensor(walk(height, width, growth=1)),
        ),
        Mistake(
            "merged before stage 1",
            "You merge four times; there are three mergings, and stage 1 keeps the map of the patches.",
            lambda height, width: torch.tensor(walk(height, width, first=8)),
        ),
        Mistake(
            "colours not counted",
            "A patch has 4 × 4 pixels, and every pixel three numbers.",
            lambda height, width: torch.tensor(walk(height, width, pixels=16)),
        ),
        Mistake(
            "width before height",
            "You have the width in front; rows hold height, width, channels.",
            lambda height, width: torch.tensor(walk(width, height)),
        ),
        Mistake(
            "channels first",
            "You have the channels in front; rows hold height, width, channels.",
            lambda height, width: torch.tensor(walk(height, width)).roll(1, dims=1),
        ),
    ),
    (shapes_step_by_step, shapes_of_maps),
)


def partition_by_permute(images: Tensor, patch: int) -> Tensor:
    b, c, height, width = images.shape
    split = images.reshape(b, c, height // patch, patch, width // patch, patch)
    return split.permute(0, 2, 4, 3, 5, 1).flatten(3)


def partition_in_loops(images: Tensor, patch: int) -> Tensor:
    rows = [
        [square.movedim(1, -1).flatten(1) for square in strip.split(patch, dim=3)]
        for strip in images.split(patch, dim=2)
    ]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)


def image_cases(generator: Generator) -> list[Arguments]:
    """Draw images that are not square; the first counts its numbers."""
    counted = torch.arange(3.0 * 4 * 4).reshape(1, 3, 4, 4)
    sizes = ((2, 2, 3, 3), (1, 5, 2, 4), (3, 1, 2, 1))
    return [
        (counted, 2),
        *((torch.rand(b, 3, h * p, w * p, generator=generator), p) for b, h, w, p in sizes),
    ]


PATCH_PARTITION = Item(
    patch_partition,
    image_cases,
    (
        Mistake(
            "colours apart",
            "You list all reds, then all greens, all blues; keep the three numbers of a pixel together.",
            lambda images, patch: rearrange(images, "b c (h p) (w q) -> b h w (c p q)", p=patch, q=patch),
        ),
        Mistake(
            "pixels read in columns",
            "Inside a patch your pixels run down its columns; let them run along its rows.",
            lambda images, patch: rearrange(images, "b c (h p) (w q) -> b h w (q p c)", p=patch, q=patch),
        ),
        Mistake(
            "map transposed",
            "Your map has its rows and columns exchanged: H/P comes before W/P.",
            lambda images, patch: rearrange(images, "b c (h p) (w q) -> b w h (p q c)", p=patch, q=patch),
        ),
        Mistake(
            "pixels far apart",
            "Your patches hold pixels that lie far apart. When a side is split in two, the patch's number "
            "comes first, the place inside the patch second.",
            lambda images, patch: rearrange(images, "b c (p h) (q w) -> b h w (p q c)", p=patch, q=patch),
        ),
        Mistake(
            "one row for all patches",
            "Your patches stand in one long row; they are a map, with H/P and W/P as two axes.",
            lambda images, patch: rearrange(images, "b c (h p) (w q) -> b (h w) (p q c)", p=patch, q=patch),
        ),
        Mistake(
            "reshape without permute",
            "A reshape leaves all numbers in their order; between two of them, permute must move the axes.",
            lambda images, patch: images.reshape(
                len(images), images.shape[2] // patch, images.shape[3] // patch, patch * patch * 3
            ),
        ),
        Mistake(
            "axes only of the pixels moved",
            "You moved the colours to the end, but not the rows of the patch behind the columns of the map.",
            lambda images, patch: images.movedim(1, -1).reshape(
                len(images), images.shape[2] // patch, images.shape[3] // patch, patch * patch * 3
            ),
        ),
    ),
    (partition_by_permute, partition_in_loops),
)


def convolution_kernel(weight: Tensor, patch: int) -> Tensor:
    """Return the weight of the nn.Conv2d that does what a linear layer with this weight does on patches.

    Shape: (C, P·P·3) -> (C, 3, P, P)
    The linear layer takes patches as patch_partition lists their numbers.
    """
    return rearrange(weight, "out (p q c) -> out c p q", p=patch, q=patch)


def kernel_by_permute(weight: Tensor, patch: int) -> Tensor:
    return weight.unflatten(1, (patch, patch, 3)).permute(0, 3, 1, 2)


def kernel_as_picture(weight: Tensor, patch: int) -> Tensor:
    return patch_reverse(weight[:, None, None], patch)


def kernel_number_by_number(weight: Tensor, patch: int) -> Tensor:
    kernel = torch.empty(len(weight), 3, patch, patch)
    for place in range(weight.shape[1]):
        pixel, colour = divmod(place, 3)
        kernel[:, colour, pixel // patch, pixel % patch] = weight[:, place]
    return kernel


def linear_cases(generator: Generator) -> list[Arguments]:
    """Draw weights of linear layers; the first counts its numbers."""
    sizes = ((5, 3), (2, 4), (7, 1), (12, 2))
    return [
        (torch.arange(24.0).reshape(2, 12), 2),
        *((torch.randn(out, patch * patch * 3, generator=generator), patch) for out, patch in sizes),
    ]


CONVOLUTION_KERNEL = Item(
    convolution_kernel,
    linear_cases,
    (
        Mistake(
            "reshape without permute",
            "Your colours are mixed: a patch lists pixel after pixel, a kernel colour after colour.",
            lambda weight, patch: weight.reshape(-1, 3, patch, patch),
        ),
        Mistake(
            "rows and columns exchanged",
            "Your kernels are transposed: patches list their pixels row by row.",
            lambda weight, patch: rearrange(weight, "out (q p c) -> out c p q", p=patch, q=patch),
        ),
        Mistake(
            "colours last",
            "The weight of an nn.Conv2d has its colours before rows and columns: (C, 3, P, P).",
            lambda weight, patch: rearrange(weight, "out (p q c) -> out p q c", p=patch, q=patch),
        ),
        Mistake(
            "kernel turned around",
            "You turned the kernels by 180°. PyTorch's convolutions do not turn their kernels.",
            lambda weight, patch: rearrange(weight, "out (p q c) -> out c p q", p=patch, q=patch).flip(2, 3),
        ),
        Mistake(
            "outputs and colours exchanged",
            "The first axis of a kernel counts its outputs, the second the colours that come in.",
            lambda weight, patch: rearrange(weight, "out (p q c) -> c out p q", p=patch, q=patch),
        ),
        Mistake(
            "blue first",
            "You have blue first; the patches have red, green, blue.",
            lambda weight, patch: rearrange(weight, "out (p q c) -> out c p q", p=patch, q=patch).flip(1),
        ),
        Mistake(
            "mean instead of sum",
            "A convolution adds up all products as the linear layer does; nothing is divided.",
            lambda weight, patch: (
                rearrange(weight, "out (p q c) -> out c p q", p=patch, q=patch) / weight.shape[1]
            ),
        ),
    ),
    (kernel_by_permute, kernel_as_picture, kernel_number_by_number),
)


def attend_by_einsum(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    logits = torch.einsum("bhid,bhjd->bhij", q, k) / q.shape[-1] ** 0.5
    return torch.einsum("bhij,bhjd->bhid", logits.softmax(-1), v)


def attend_query_by_query(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out = torch.empty_like(q)
    for query in range(q.shape[2]):
        shares = ((q[:, :, query, None] * k).sum(-1) / math.sqrt(q.shape[3])).exp()
        out[:, :, query] = (shares[..., None] * v).sum(2) / shares.sum(2)[..., None]
    return out


def logits_of(q: Tensor, k: Tensor) -> Tensor:
    return q @ k.mT / math.sqrt(q.shape[-1])


def token_cases(generator: Generator) -> list[Arguments]:
    """Draw queries, keys and values; the first have one head of two channels, and values that count."""
    q = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, -1.0]])[None, None]
    sizes = ((2, 3, 10, 10, 8), (3, 2, 4, 9, 3), (1, 4, 7, 5, 1))
    return [
        (q, q.flip(2), torch.arange(1.0, 7).reshape(1, 1, 3, 2)),
        *(
            tuple(torch.randn(b, h, n, d, generator=generator) for n in (queries, keys, keys))
            for b, h, queries, keys, d in sizes
        ),
    ]


ATTEND = Item(
    attend,
    token_cases,
    (
        Mistake(
            "no scale",
            "Your logits are too large: divide them by √D before the softmax.",
            lambda q, k, v: (q @ k.mT).softmax(-1) @ v,
        ),
        Mistake(
            "divided by D",
            "You divide the logits by D; it is √D.",
            lambda q, k, v: (q @ k.mT / q.shape[-1]).softmax(-1) @ v,
        ),
        Mistake(
            "divided by the root of the tokens",
            "You divide by the root of the number of tokens; D is the last axis, the channels of a head.",
            lambda q, k, v: (q @ k.mT / math.sqrt(k.shape[-2])).softmax(-1) @ v,
        ),
        Mistake(
            "divided by the root of all channels",
            "You divide by the root of the channels of all heads; take those of one head.",
            lambda q, k, v: (q @ k.mT / math.sqrt(q.shape[1] * q.shape[-1])).softmax(-1) @ v,
        ),
        Mistake(
            "softmax over the queries",
            "Your softmax runs over the queries; the weights of one query, over all keys, must sum to 1.",
            lambda q, k, v: logits_of(q, k).softmax(-2) @ v,
        ),
        Mistake(
            "softmax over the heads",
            "Your softmax runs over the heads; each head has weights of its own, over its keys.",
            lambda q, k, v: logits_of(q, k).softmax(1) @ v,
        ),
        Mistake(
            "no softmax",
            "Your weights are the logits themselves; softmax makes them positive, with sum 1.",
            lambda q, k, v: logits_of(q, k) @ v,
        ),
        Mistake(
            "weights do not sum to 1",
            "You take the exponential but do not divide by the sum over the keys.",
            lambda q, k, v: logits_of(q, k).exp() @ v,
        ),
        Mistake(
            "softmax after the values",
            "You take the softmax of what was gathered; it belongs to the logits, before the values come in.",
            lambda q, k, v: (logits_of(q, k) @ v).softmax(-1),
        ),
        Mistake(
            "queries and keys exchanged",
            "Your rows belong to keys. A row of the logits belongs to a query, a column to a key.",
            lambda q, k, v: logits_of(k, q).softmax(-1) @ v,
        ),
    ),
    (attend_by_einsum, attend_query_by_query),
)


def blockwise(q: Tensor, k: Tensor, v: Tensor, block: int) -> Tensor:
    """Attend as `attend` does, with `block` keys at a time, and never more than that.

    Shape: (B, h, N, D), (B, h, N, D), (B, h, N, D) -> (B, h, N, D)
    The last block may be smaller. There may be more keys than queries.
    """
    largest = torch.full_like(q[..., :1], -torch.inf)
    total, gathered = torch.zeros_like(largest), torch.zeros_like(q)
    for keys, values in zip(k.split(block, -2), v.split(block, -2), strict=True):
        logits = logits_of(q, keys)
        larger = torch.maximum(largest, logits.amax(-1, keepdim=True))
        old, new = (largest - larger).exp(), (logits - larger).exp()
        total, gathered = total * old + new.sum(-1, keepdim=True), gathered * old + new @ values
        largest = larger
    return gathered / total


def blockwise_by_logarithms(q: Tensor, k: Tensor, v: Tensor, block: int) -> Tensor:
    mean, total = torch.zeros_like(q), torch.full_like(q[..., :1], -torch.inf)
    for start in range(0, k.shape[2], block):
        keys, values = k[:, :, start : start + block], v[:, :, start : start + block]
        logits = logits_of(q, keys)
        part = logits.logsumexp(-1, keepdim=True)
        mean = mean + (logits.softmax(-1) @ values - mean) * (part - total).sigmoid()
        total = torch.logaddexp(total, part)
    return mean


def blockwise_in_two_rounds(q: Tensor, k: Tensor, v: Tensor, block: int) -> Tensor:
    pieces = list(zip(k.split(block, -2), v.split(block, -2), strict=True))
    largest = torch.stack([logits_of(q, keys).amax(-1, keepdim=True) for keys, _ in pieces]).amax(0)
    parts = [((logits_of(q, keys) - largest).exp(), values) for keys, values in pieces]
    total = torch.stack([shares.sum(-1, keepdim=True) for shares, _ in parts]).sum(0)
    return torch.stack([shares @ values for shares, values in parts]).sum(0) / total


def block_cases(generator: Generator) -> list[Arguments]:
    """Draw tokens whose keys come in whole blocks, and in others; some logits are too large for exp."""
    sizes = ((2, 2, 6, 12, 4, 4, 1), (1, 3, 9, 10, 2, 3, 3), (2, 1, 5, 5, 3, 8, 1), (1, 2, 8, 23, 8, 7, 9))
    cases = [(*token_cases(generator)[0], 2)]
    for b, h, queries, keys, d, block, factor in sizes:
        q, k, v = (torch.randn(b, h, n, d, generator=generator) for n in (queries, keys, keys))
        cases.append((factor * q, factor * k, v, block))
    return cases


def accumulated(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    block: int,
    shrink_total: bool = True,
    shrink_gathered: bool = True,
    scale: float | None = None,
) -> Tensor:
    largest, total, gathered = torch.full_like(q[..., :1], -torch.inf), torch.tensor(0.0), torch.zeros_like(q)
    for keys, values in zip(k.split(block, -2), v.split(block, -2), strict=True):
        logits = q @ keys.mT * (q.shape[-1] ** -0.5 if scale is None else scale)
        larger = torch.maximum(largest, logits.amax(-1, keepdim=True))
        old, new = (largest - larger).exp(), (logits - larger).exp()
        total = (total * old if shrink_total else total) + new.sum(-1, keepdim=True)
        gathered = (gathered * old if shrink_gathered else gathered) + new @ values
        largest = larger
    return gathered / total


BLOCKWISE = Item(
    blockwise,
    block_cases,
    (
        Mistake(
            "sums not rescaled",
            "When the largest logit grows, both sums so far must shrink by e^(m − m′).",
            lambda q, k, v, block: accumulated(q, k, v, block, shrink_total=False, shrink_gathered=False),
        ),
        Mistake(
            "only the values rescaled",
            "You rescale the sum of the values, but not that of the exponentials.",
            lambda q, k, v, block: accumulated(q, k, v, block, shrink_total=False),
        ),
        Mistake(
            "only the exponentials rescaled",
            "You rescale the sum of the exponentials, but not that of the values.",
            lambda q, k, v, block: accumulated(q, k, v, block, shrink_gathered=False),
        ),
        Mistake(
            "mean of the blocks",
            "You take the mean of what the blocks give. A block whose logits are larger must count for more.",
            lambda q, k, v, block: torch.stack(
                [
                    attend(q, keys, values)
                    for keys, values in zip(k.split(block, -2), v.split(block, -2), strict=True)
                ]
            ).mean(0),
        ),
        Mistake(
            "sum of the blocks",
            "You add what the blocks give; their weights then sum to more than 1.",
            lambda q, k, v, block: torch.stack(
                [
                    attend(q, keys, values)
                    for keys, values in zip(k.split(block, -2), v.split(block, -2), strict=True)
                ]
            ).sum(0),
        ),
        Mistake(
            "first block only",
            "You use the first block of keys only.",
            lambda q, k, v, block: attend(q, k[:, :, :block], v[:, :, :block]),
        ),
        Mistake(
            "last block only",
            "Only the last block is left in your result: add to the sums, do not replace them.",
            lambda q, k, v, block: attend(q, k.split(block, -2)[-1], v.split(block, -2)[-1]),
        ),
        Mistake(
            "keys beyond the last whole block dropped",
            "Your result misses the keys after the last whole block; it may be smaller than the others.",
            lambda q, k, v, block: attend(
                q, *(x[:, :, : max(1, x.shape[2] // block) * block] for x in (k, v))
            ),
        ),
        Mistake(
            "no scale",
            "Your logits are too large: divide them by √D.",
            lambda q, k, v, block: accumulated(q, k, v, block, scale=1.0),
        ),
    ),
    (blockwise_by_logarithms, blockwise_in_two_rounds),
)


def windows_by_permute(x: Tensor, window: int) -> Tensor:
    b, height, width, c = x.shape
    split = x.reshape(b, height // window, window, width // window, window, c)
    return split.permute(0, 1, 3, 2, 4, 5).reshape(-1, window * window, c)


def windows_one_by_one(x: Tensor, window: int) -> Tensor:
    squares = [
        x[:, row : row + window, column : column + window]
        for row in range(0, x.shape[1], window)
        for column in range(0, x.shape[2], window)
    ]
    return torch.stack(squares, dim=1).flatten(2, 3).flatten(0, 1)


def map_cases(generator: Generator) -> list[Arguments]:
    """Draw maps of tokens that are not square; the first counts its tokens."""
    sizes = ((2, 3, 2, 2, 3), (3, 2, 4, 3, 2), (1, 1, 5, 4, 1))
    return [
        (torch.arange(24.0).reshape(1, 4, 6, 1), 2),
        *((torch.randn(b, h * m, w * m, c, generator=generator), m) for b, h, w, m, c in sizes),
    ]


WINDOW_PARTITION = Item(
    window_partition,
    map_cases,
    (
        Mistake(
            "reshape without permute",
            "A reshape alone cuts rows into strips; before the last one, m and w must change places.",
            lambda x, window: x.reshape(-1, window * window, x.shape[-1]),
        ),
        Mistake(
            "windows listed by columns",
            "Your windows are right, but listed column by column; list them row by row.",
            lambda x, window: rearrange(x, "b (h m) (w n) c -> (b w h) (m n) c", m=window, n=window),
        ),
        Mistake(
            "tokens listed by columns",
            "Inside a window your tokens run down its columns; let them run along its rows.",
            lambda x, window: rearrange(x, "b (h m) (w n) c -> (b h w) (n m) c", m=window, n=window),
        ),
        Mistake(
            "tokens far apart",
            "Your windows gather tokens from all over the map. When a side is split, its window comes "
            "first, the place inside it second.",
            lambda x, window: rearrange(x, "b (m h) (n w) c -> (b h w) (m n) c", m=window, n=window),
        ),
        Mistake(
            "images mixed",
            "The images are mixed: all windows of the first image come first.",
            lambda x, window: rearrange(x, "b (h m) (w n) c -> (h w b) (m n) c", m=window, n=window),
        ),
        Mistake(
            "an axis of its own for the image",
            "Your windows are right, but the images have an axis of their own; put all windows in one list.",
            lambda x, window: rearrange(x, "b (h m) (w n) c -> b (h w) (m n) c", m=window, n=window),
        ),
        Mistake(
            "windows left as squares",
            "Your windows still have rows and columns; list the M·M tokens of each along one axis.",
            lambda x, window: rearrange(x, "b (h m) (w n) c -> (b h w) m n c", m=window, n=window),
        ),
    ),
    (windows_by_permute, windows_one_by_one),
)


def reverse_by_permute(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    split = windows.reshape(-1, height // window, width // window, window, window, windows.shape[-1])
    return split.permute(0, 1, 3, 2, 4, 5).reshape(-1, height, width, windows.shape[-1])


def reverse_by_places(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    numbers = torch.arange(height * width).reshape(1, height, width, 1)
    order = windows_one_by_one(numbers, window).flatten()
    tokens = windows.reshape(-1, height * width, windows.shape[-1])
    return tokens[:, order.argsort()].unflatten(1, (height, width))


def windows_cases(generator: Generator) -> list[Arguments]:
    """Draw the windows of the maps of `map_cases`."""
    return [(window_partition(x, m), m, x.shape[1], x.shape[2]) for x, m in map_cases(generator)]


WINDOW_REVERSE = Item(
    window_reverse,
    windows_cases,
    (
        Mistake(
            "reshape without permute",
            "A reshape alone lays window after window; before the last one, w and m must change places.",
            lambda windows, window, height, width: windows.reshape(-1, height, width, windows.shape[-1]),
        ),
        Mistake(
            "windows laid by columns",
            "You lay the windows column by column; they are listed row by row.",
            lambda windows, window, height, width: rearrange(
                windows, "(b w h) (m n) c -> b (h m) (w n) c", h=height // window, w=width // window, m=window
            ),
        ),
        Mistake(
            "tokens laid by columns",
            "Inside a window you lay the tokens down its columns; they are listed row by row.",
            lambda windows, window, height, width: rearrange(
                windows, "(b h w) (n m) c -> b (h m) (w n) c", h=height // window, w=width // window, m=window
            ),
        ),
        Mistake(
            "tokens far apart",
            "You spread each window over the whole map. Where two axes become one, the window's number comes "
            "first, the place inside it second.",
            lambda windows, window, height, width: rearrange(
                windows, "(b h w) (m n) c -> b (m h) (n w) c", h=height // window, w=width // window, m=window
            ),
        ),
        Mistake(
            "images mixed",
            "The images are mixed: the first windows of the list are all of the first image.",
            lambda windows, window, height, width: rearrange(
                windows, "(h w b) (m n) c -> b (h m) (w n) c", h=height // window, w=width // window, m=window
            ),
        ),
        Mistake(
            "map transposed",
            "Your map has its rows and columns exchanged.",
            lambda windows, window, height, width: rearrange(
                windows, "(b h w) (m n) c -> b (w n) (h m) c", h=height // window, w=width // window, m=window
            ),
        ),
        Mistake(
            "tokens in a row",
            "Your tokens stand in one row; a map has rows and columns.",
            lambda windows, window, height, width: window_reverse(windows, window, height, width).flatten(
                1, 2
            ),
        ),
    ),
    (reverse_by_permute, reverse_by_places),
)


def mask_by_distances(height: int, width: int, window: int, shift: int) -> Tensor:
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width)).reshape(1, height, width, 2)
    new, old = window_partition(places, window), window_partition(cyclic_shift(places, shift), window)
    same = (new[:, :, None] - new[:, None]) == (old[:, :, None] - old[:, None])
    return same.all(-1)


def mask_of_nine_regions(height: int, width: int, window: int, shift: int) -> Tensor:
    regions = torch.zeros(1, height, width, 1)
    edges = [(0, size - window, size - shift, size) for size in (height, width)]
    for row in range(3):
        for column in range(3):
            rows, columns = (slice(*edge[n : n + 2]) for edge, n in zip(edges, (row, column), strict=True))
            regions[:, rows, columns] = 3 * row + column
    ids = window_partition(regions, window)[..., 0]
    return ids[:, :, None] == ids[:, None]


def regions_below(height: int, width: int, down: int, right: int) -> Tensor:
    rows, columns = torch.arange(height) >= height - down, torch.arange(width) >= width - right
    return (2 * rows[:, None] + columns.int())[None, :, :, None]


def meeting(regions: Tensor, window: int) -> Tensor:
    ids = window_partition(regions, window)[..., 0]
    return ids[:, :, None] == ids[:, None]


def size_cases(generator: Generator) -> list[Arguments]:
    """List maps that are square and not, of one window and of several; nothing is random in them."""
    return [(4, 4, 2, 1), (6, 4, 2, 1), (8, 12, 4, 1), (9, 6, 3, 2), (4, 8, 4, 3), (6, 6, 3, 0)]


SHIFT_MASK = Item(
    shift_mask,
    size_cases,
    (
        Mistake(
            "no mask",
            "You let all pairs of a window attend. In the last row and column of windows, the roll brought "
            "tokens together that were far apart.",
            lambda height, width, window, shift: meeting(regions_below(height, width, 0, 0), window),
        ),
        Mistake(
            "mask turned around",
            "Your mask is turned around: True stands where a pair may attend.",
            lambda height, width, window, shift: ~shift_mask(height, width, window, shift),
        ),
        Mistake(
            "-100 instead of False",
            "You return what is added to the logits; return True and False.",
            lambda height, width, window, shift: -100.0 * ~shift_mask(height, width, window, shift),
        ),
        Mistake(
            "roll in the other direction",
            "You roll the other way; the map goes up and to the left, the first rows come to the end.",
            lambda height, width, window, shift: mask_by_distances(height, width, window, -shift),
        ),
        Mistake(
            "only rows compared",
            "You compare the rows only; columns can be torn apart as well.",
            lambda height, width, window, shift: meeting(regions_below(height, width, shift, 0), window),
        ),
        Mistake(
            "only columns compared",
            "You compare the columns only; rows can be torn apart as well.",
            lambda height, width, window, shift: meeting(regions_below(height, width, 0, shift), window),
        ),
        Mistake(
            "rows or columns",
            "You let a pair attend if its rows or its columns kept their distance; both must.",
            lambda height, width, window, shift: (
                meeting(regions_below(height, width, shift, 0), window)
                | meeting(regions_below(height, width, 0, shift), window)
            ),
        ),
        Mistake(
            "off by one",
            "Your seam lies one token off: as many rows and columns as the shift come to the end.",
            lambda height, width, window, shift: meeting(
                regions_below(height, width, shift + 1, shift + 1), window
            ),
        ),
        Mistake(
            "height and width exchanged",
            "Your windows are listed column by column, or height and width are exchanged.",
            lambda height, width, window, shift: shift_mask(width, height, window, shift),
        ),
    ),
    (mask_by_distances, mask_of_nine_regions),
)


def index_by_arithmetic(window: int) -> Tensor:
    n = torch.arange(window**2)
    rows = (n // window)[:, None] - n // window
    columns = (n % window)[:, None] - n % window
    return (rows + window - 1) * (2 * window - 1) + columns + window - 1


def index_by_one_number(window: int) -> Tensor:
    n = torch.arange(window**2)
    place = n // window * (2 * window - 1) + n % window
    return place[:, None] - place + 2 * window * (window - 1)


def offsets_of(window: int) -> tuple[Tensor, Tensor]:
    n = torch.arange(window**2)
    return (n // window)[:, None] - n // window, (n % window)[:, None] - n % window


def numbered(window: int, stride: int, rows: int | None = None, columns: int | None = None) -> Tensor:
    down, right = offsets_of(window)
    first, second = (window - 1 if start is None else start for start in (rows, columns))
    return (down + first) * stride + right + second


def window_cases(generator: Generator) -> list[Arguments]:
    """List windows; nothing is random in them."""
    return [(2,), (3,), (1,), (4,), (6,)]


RELATIVE_POSITION_INDEX = Item(
    relative_position_index,
    window_cases,
    (
        Mistake(
            "key minus query",
            "Your offsets have the wrong sign: take the place of the query minus that of the key.",
            lambda window: relative_position_index(window).T,
        ),
        Mistake(
            "counted column by column",
            "You count the offsets column by column; it is the offset of the rows that is multiplied.",
            lambda window: (
                (offsets_of(window)[1] + window - 1) * (2 * window - 1) + offsets_of(window)[0] + window - 1
            ),
        ),
        Mistake(
            "negative rows of the table",
            "Some of your numbers are negative: move both offsets up by M − 1 before you count.",
            lambda window: numbered(window, 2 * window - 1, rows=0, columns=0),
        ),
        Mistake(
            "only columns moved up",
            "You move up the offsets of the columns, but not those of the rows.",
            lambda window: numbered(window, 2 * window - 1, rows=0),
        ),
        Mistake(
            "only rows moved up",
            "You move up the offsets of the rows, but not those of the columns.",
            lambda window: numbered(window, 2 * window - 1, columns=0),
        ),
        Mistake(
            "row of M offsets",
            "Different offsets have the same number: a row of the table holds 2M − 1 offsets, not M.",
            lambda window: numbered(window, window),
        ),
        Mistake(
            "row of 2M offsets",
            "Some numbers are left out: a row of the table holds 2M − 1 offsets, not 2M.",
            lambda window: numbered(window, 2 * window),
        ),
        Mistake(
            "moved up by M",
            "The first offset has number 0: move up by M − 1, not by M.",
            lambda window: numbered(window, 2 * window - 1, rows=window, columns=window),
        ),
        Mistake(
            "offsets added",
            "You only add the two offsets, so that different ones get the same number.",
            lambda window: numbered(window, 1),
        ),
    ),
    (index_by_arithmetic, index_by_one_number),
)


def crop_table(table: Tensor, window: int) -> Tensor:
    """Return the table of a smaller window: the entries of a larger one's table for the offsets that it has.

    Shape: ((2·K-1)**2, h) -> ((2·M-1)**2, h)
    The order of the offsets stays. M may also be K.
    """
    size = math.isqrt(len(table))
    rim = size // 2 - (window - 1)
    square = table.unflatten(0, (size, size))
    return square[rim : size - rim, rim : size - rim].flatten(0, 1)


def crop_by_offsets(table: Tensor, window: int) -> Tensor:
    middle = (math.isqrt(len(table)) - 1) // 2
    steps = range(1 - window, window)
    places = [(down + middle) * (2 * middle + 1) + right + middle for down in steps for right in steps]
    return table[places]


def crop_by_mask(table: Tensor, window: int) -> Tensor:
    size = math.isqrt(len(table))
    near = (torch.arange(size) - size // 2).abs() < window
    return table[(near[:, None] & near).flatten()]


def crop_by_pairs(table: Tensor, window: int) -> Tensor:
    large = (math.isqrt(len(table)) + 1) // 2
    first = torch.arange(window)
    chosen = (large * first[:, None] + first).flatten()
    cropped = torch.empty((2 * window - 1) ** 2, table.shape[1])
    cropped[relative_position_index(window)] = table[relative_position_index(large)[chosen][:, chosen]]
    return cropped


def table_cases(generator: Generator) -> list[Arguments]:
    """Draw tables of windows; the first counts its numbers."""
    sizes = ((4, 2, 3), (7, 4, 2), (5, 1, 4), (3, 3, 2), (6, 5, 1))
    return [
        (torch.arange(50.0).reshape(25, 2), 2),
        *(
            (torch.randn((2 * large - 1) ** 2, heads, generator=generator), small)
            for large, small, heads in sizes
        ),
    ]


def cropped_at(table: Tensor, window: int, row: int, column: int) -> Tensor:
    square, length = table.unflatten(0, (math.isqrt(len(table)), -1)), 2 * window - 1
    return square[row : row + length, column : column + length].flatten(0, 1)


CROP_TABLE = Item(
    crop_table,
    table_cases,
    (
        Mistake(
            "cut at the first corner",
            "You keep the first rows and columns; offset (0, 0) is in the middle of both tables.",
            lambda table, window: cropped_at(table, window, 0, 0),
        ),
        Mistake(
            "cut at the last corner",
            "You keep the last rows and columns; offset (0, 0) is in the middle of both tables.",
            lambda table, window: cropped_at(table, window, *[math.isqrt(len(table)) - (2 * window - 1)] * 2),
        ),
        Mistake(
            "first entries of the list",
            "You keep the first entries of the list; it is a square, so give it two axes before you cut.",
            lambda table, window: table[: (2 * window - 1) ** 2],
        ),
        Mistake(
            "middle of the list",
            "You keep the middle of the list; it is a square, so give it two axes before you cut.",
            lambda table, window: table[(len(table) - (2 * window - 1) ** 2) // 2 :][: (2 * window - 1) ** 2],
        ),
        Mistake(
            "only rows cut",
            "You cut rows, but not columns.",
            lambda table, window: table.unflatten(0, (math.isqrt(len(table)), -1))[
                math.isqrt(len(table)) // 2 - window + 1 : math.isqrt(len(table)) // 2 + window
            ].flatten(0, 1),
        ),
        Mistake(
            "stretched instead of cut",
            "You stretch the table; here entries are kept as they are, and the others dropped.",
            resize_table,
        ),
        Mistake(
            "table transposed",
            "You cut the right part, but its rows and columns are exchanged.",
            lambda table, window: (
                crop_table(table, window).unflatten(0, (2 * window - 1, -1)).transpose(0, 1).flatten(0, 1)
            ),
        ),
        Mistake(
            "still a square",
            "You return a square; a table has one row for each offset.",
            lambda table, window: crop_table(table, window).unflatten(0, (2 * window - 1, -1)),
        ),
    ),
    (crop_by_offsets, crop_by_mask, crop_by_pairs),
)


def both_sides(x: Tensor, weight: Tensor) -> Tensor:
    """Add a branch that has a norm before it and another after it; the branch is a linear layer without bias.

    Shape: (B, H, W, C), (C, C) -> (B, H, W, C)
    `weight` is that of the nn.Linear. A norm gives each token mean 0 and variance 1, and has no parameters.
    """
    return x + normed(F.linear(normed(x), weight))


def normed(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:])


def both_sides_by_hand(x: Tensor, weight: Tensor) -> Tensor:
    def by_hand(x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    return x + by_hand(by_hand(x) @ weight.T)


def both_sides_by_layers(x: Tensor, weight: Tensor) -> Tensor:
    channels = x.shape[-1]
    norm, linear = torch.nn.LayerNorm(channels), torch.nn.Linear(channels, channels, bias=False)
    linear.load_state_dict({"weight": weight})
    return x + torch.nn.Sequential(norm, linear, norm)(x)


def branch_cases(generator: Generator) -> list[Arguments]:
    """Draw maps and weights of linear layers; the first map counts its numbers."""
    counted = torch.arange(8.0).reshape(1, 1, 2, 4).square()
    turned = 2 * torch.eye(4).roll(1, 0)
    sizes = ((2, 3, 2, 6), (1, 2, 5, 3), (3, 1, 4, 8))
    return [
        (counted, turned),
        *(
            (3 * torch.randn(b, h, w, c, generator=generator) + 1, torch.randn(c, c, generator=generator))
            for b, h, w, c in sizes
        ),
    ]


BOTH_SIDES = Item(
    both_sides,
    branch_cases,
    (
        Mistake(
            "norm before the branch only",
            "You have the norm before the branch; here another one follows it.",
            lambda x, weight: x + F.linear(normed(x), weight),
        ),
        Mistake(
            "norm after the branch only",
            "You have the norm after the branch; here another one comes before it.",
            lambda x, weight: x + normed(F.linear(x, weight)),
        ),
        Mistake(
            "norm after the sum",
            "Your second norm takes the sum; let it take the branch alone.",
            lambda x, weight: normed(x + F.linear(normed(x), weight)),
        ),
        Mistake(
            "no sum",
            "You return the branch alone; add it to what came in.",
            lambda x, weight: normed(F.linear(normed(x), weight)),
        ),
        Mistake(
            "normed input added",
            "You add the branch to the normed input; add it to the input itself.",
            lambda x, weight: normed(x) + normed(F.linear(normed(x), weight)),
        ),
        Mistake(
            "weight transposed",
            "You multiply by W; a linear layer multiplies each token by Wᵀ.",
            lambda x, weight: x + normed(normed(x) @ weight),
        ),
        Mistake(
            "norm over the whole map",
            "Your norms take mean and variance of the whole map; each token has its own, over its channels.",
            lambda x, weight: x + F.layer_norm(F.linear(F.layer_norm(x, x.shape[1:]), weight), x.shape[1:]),
        ),
        Mistake(
            "deviation with n - 1",
            "Your variance divides by C − 1, as `std` does by default; a norm divides by C.",
            lambda x, weight: (
                x
                + (y := F.linear((x - x.mean(-1, keepdim=True)) / x.std(-1, keepdim=True), weight)).sub(
                    y.mean(-1, keepdim=True)
                )
                / y.std(-1, keepdim=True)
            ),
        ),
    ),
    (both_sides_by_hand, both_sides_by_layers),
)


def merge_slices(x: Tensor) -> Tensor:
    x = pad_to_window(x, 2)
    top_left, bottom_left = x[:, 0::2, 0::2], x[:, 1::2, 0::2]
    top_right, bottom_right = x[:, 0::2, 1::2], x[:, 1::2, 1::2]
    return torch.cat([top_left, bottom_left, top_right, bottom_right], dim=-1)


def merge_by_permute(x: Tensor) -> Tensor:
    b, height, width, c = x.shape
    padded = torch.zeros(b, height + height % 2, width + width % 2, c)
    padded[:, :height, :width] = x
    split = padded.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))
    return split.permute(0, 1, 3, 4, 2, 5).flatten(3)


def joined(x: Tensor, pattern: str) -> Tensor:
    return rearrange(pad_to_window(x, 2), pattern, p=2, q=2)


def merging_cases(generator: Generator) -> list[Arguments]:
    """Draw maps with even and odd sides; the first counts its tokens."""
    sizes = ((2, 6, 4, 3), (1, 5, 8, 2), (3, 2, 7, 1), (2, 3, 3, 4))
    return [
        (torch.arange(24.0).reshape(1, 4, 6, 1),),
        *((torch.randn(*size, generator=generator),) for size in sizes),
    ]


MERGE_NEIGHBOURS = Item(
    merge_neighbours,
    merging_cases,
    (
        Mistake(
            "row by row",
            "You join the four row by row; the order is top left, bottom left, top right, bottom right.",
            lambda x: joined(x, "b (h p) (w q) c -> b h w (p q c)"),
        ),
        Mistake(
            "channels mixed",
            "Your four tokens are mixed number by number; put one whole token behind the other.",
            lambda x: joined(x, "b (h p) (w q) c -> b h w (c q p)"),
        ),
        Mistake(
            "map transposed",
            "Your map has its rows and columns exchanged.",
            lambda x: joined(x, "b (h p) (w q) c -> b w h (q p c)"),
        ),
        Mistake(
            "tokens far apart",
            "Your four tokens lie half a map apart; neighbours are at 2i and 2i + 1.",
            lambda x: joined(x, "b (p h) (q w) c -> b h w (q p c)"),
        ),
        Mistake(
            "reshape without permute",
            "A reshape alone joins four tokens of a row; two of them belong to the next row.",
            lambda x: pad_to_window(x, 2).reshape(
                len(x), (x.shape[1] + 1) // 2, (x.shape[2] + 1) // 2, 4 * x.shape[3]
            ),
        ),
        Mistake(
            "padded in front",
            "You pad at the top and at the left; zeros come at the bottom and at the right.",
            lambda x: joined(
                F.pad(x, (0, 0, x.shape[2] % 2, 0, x.shape[1] % 2, 0)), "b (h p) (w q) c -> b h w (q p c)"
            ),
        ),
        Mistake(
            "odd rows and columns dropped",
            "You drop the last row or column of an odd side; pad it with zeros instead.",
            lambda x: joined(
                x[:, : x.shape[1] // 2 * 2, : x.shape[2] // 2 * 2], "b (h p) (w q) c -> b h w (q p c)"
            ),
        ),
        Mistake(
            "mean of the four",
            "You return the mean of the four tokens; put them side by side, 4C numbers.",
            lambda x: rearrange(pad_to_window(x, 2), "b (h p) (w q) c -> b h w (q p) c", p=2, q=2).mean(3),
        ),
    ),
    (merge_slices, merge_by_permute),
)


def reordered(weight: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a merging's linear layer and the norm before it, for tokens that are joined row by row.

    Shape: (2·C, 4·C), (4·C), (4·C) -> (2·C, 4·C), (4·C), (4·C)
    `weight` is that of `reduction`, `gain` and `bias` are those of `norm`, for tokens joined as
    merge_neighbours joins them.
    """
    order = "(q p c) -> (p q c)"
    gain, bias = (rearrange(each, order, p=2, q=2) for each in (gain, bias))
    return rearrange(weight, "out (q p c) -> out (p q c)", p=2, q=2), gain, bias


def reordered_by_chunks(weight: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    def exchanged(x: Tensor) -> Tensor:
        top_left, bottom_left, top_right, bottom_right = x.chunk(4, dim=-1)
        return torch.cat([top_left, top_right, bottom_left, bottom_right], dim=-1)

    return exchanged(weight), exchanged(gain), exchanged(bias)


def reordered_by_places(weight: Tensor, gain: Tensor, bias: Tensor) -> tuple[Tensor, ...]:
    places = torch.arange(len(gain)).reshape(4, -1)[[0, 2, 1, 3]].flatten()
    return weight[:, places], gain[places], bias[places]


def norm_cases(generator: Generator) -> list[Arguments]:
    """Draw the parameters of mergings; the first count."""
    counted = torch.arange(32.0).reshape(4, 8)
    return [
        (counted, torch.arange(8.0), 10 + torch.arange(8.0)),
        *(
            tuple(torch.randn(*shape, generator=generator) for shape in ((2 * c, 4 * c), (4 * c,), (4 * c,)))
            for c in (1, 5, 6)
        ),
    ]


REORDERED = Item(
    reordered,
    norm_cases,
    (
        Mistake(
            "nothing moved",
            "You return everything as it was; the second and the third of the four tokens change places.",
            lambda weight, gain, bias: (weight, gain, bias),
        ),
        Mistake(
            "norm left as it was",
            "You moved the weight only; the norm has a gain and a bias for each of the 4C numbers.",
            lambda weight, gain, bias: (reordered(weight, gain, bias)[0], gain, bias),
        ),
        Mistake(
            "norm's bias left as it was",
            "You moved the gain but not the bias of the norm.",
            lambda weight, gain, bias: (*reordered(weight, gain, bias)[:2], bias),
        ),
        Mistake(
            "weight left as it was",
            "You moved the norm's parameters, but not the columns of the weight.",
            lambda weight, gain, bias: (weight, *reordered(weight, gain, bias)[1:]),
        ),
        Mistake(
            "rows of the weight moved",
            "You moved rows of the weight, which are its outputs; the tokens are in its columns.",
            lambda weight, gain, bias: (
                weight.unflatten(0, (2, -1)).flip(0).flatten(0, 1),
                *reordered(weight, gain, bias)[1:],
            ),
        ),
        Mistake(
            "order turned around",
            "You turned the order of all four around; the first and the last keep their places.",
            lambda weight, gain, bias: tuple(
                x.unflatten(-1, (4, -1)).flip(-2).flatten(-2) for x in (weight, gain, bias)
            ),
        ),
        Mistake(
            "next token instead of exchanged",
            "You moved each token on by one place; only the second and the third change places.",
            lambda weight, gain, bias: tuple(
                x.unflatten(-1, (4, -1)).roll(1, -2).flatten(-2) for x in (weight, gain, bias)
            ),
        ),
        Mistake(
            "gain and bias exchanged",
            "Your gain and bias are exchanged: return weight, gain, bias.",
            lambda weight, gain, bias: reordered(weight, bias, gain),
        ),
    ),
    (reordered_by_chunks, reordered_by_places),
)


def strongest_vote(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return, for each image, the row and the column of the place that votes most for the winning class.

    Shape: (B, H, W, C), (K, C), (K) -> (B, 2)
    `tokens` come from the model's norm; weight and bias are the head's, which gives each token K votes.
    The class with the highest mean of votes wins.
    """
    votes = F.linear(tokens, weight, bias).flatten(1, 2)  # (B, H·W, K)
    winner = votes.mean(1).argmax(1)
    places = votes[torch.arange(len(votes)), :, winner].argmax(1)
    return torch.stack([places // tokens.shape[2], places % tokens.shape[2]], dim=1)


def vote_image_by_image(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    found = []
    for image in tokens:
        winner = int((weight @ image.mean((0, 1)) + bias).argmax())
        found.append(divmod(int((image @ weight[winner]).argmax()), image.shape[1]))
    return torch.tensor(found)


def vote_by_masks(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    votes = torch.einsum("bhwc,kc->bkhw", tokens, weight) + bias[:, None, None]
    means = votes.mean((2, 3))
    winning = votes[means == means.amax(1, keepdim=True)]
    return (winning == winning.amax((1, 2), keepdim=True)).nonzero()[:, 1:]


def vote_cases(generator: Generator) -> list[Arguments]:
    """Draw tokens and heads; in the first the tokens count, and the classes are the channels."""
    counted = torch.tensor([[[0.0, 6.0], [4.0, 0.0], [3.0, 0.0]], [[2.0, 0.0], [1.0, 0.0], [5.0, 1.0]]])[None]
    sizes = ((24, 4, 7, 6, 9), (12, 5, 2, 4, 5), (12, 3, 3, 8, 12))
    return [
        (counted, torch.eye(2), torch.zeros(2)),
        *(
            tuple(torch.randn(*shape, generator=generator) for shape in ((b, h, w, c), (k, c), (k,)))
            for b, h, w, c, k in sizes
        ),
    ]


def rows_and_columns(places: Tensor, width: int) -> Tensor:
    return torch.stack([places // width, places % width], dim=1)


def votes_for(tokens: Tensor, weight: Tensor, bias: Tensor, winner: Tensor) -> Tensor:
    return F.linear(tokens, weight, bias).flatten(1, 2)[torch.arange(len(tokens)), :, winner]


def winner_of(tokens: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(tokens.mean((1, 2)), weight, bias).argmax(1)


STRONGEST_VOTE = Item(
    strongest_vote,
    vote_cases,
    (
        Mistake(
            "highest vote of all",
            "You look for the highest vote for any class; find the winning class first.",
            lambda tokens, weight, bias: rows_and_columns(
                F.linear(tokens, weight, bias).amax(-1).flatten(1).argmax(1), tokens.shape[2]
            ),
        ),
        Mistake(
            "class of most places wins",
            "You let the class win that most places prefer; the one with the highest mean of votes wins.",
            lambda tokens, weight, bias: rows_and_columns(
                votes_for(
                    tokens, weight, bias, F.linear(tokens, weight, bias).argmax(-1).flatten(1).mode(1)[0]
                ).argmax(1),
                tokens.shape[2],
            ),
        ),
        Mistake(
            "one winner for all images",
            "You take the class that wins in the first image for all; each image has its own.",
            lambda tokens, weight, bias: rows_and_columns(
                votes_for(
                    tokens, weight, bias, winner_of(tokens, weight, bias)[:1].expand(len(tokens))
                ).argmax(1),
                tokens.shape[2],
            ),
        ),
        Mistake(
            "lowest vote",
            "You return the place of the lowest vote.",
            lambda tokens, weight, bias: rows_and_columns(
                votes_for(tokens, weight, bias, winner_of(tokens, weight, bias)).argmin(1), tokens.shape[2]
            ),
        ),
        Mistake(
            "divided by the height",
            "To make row and column of a place's number, divide by the number of columns, not of rows.",
            lambda tokens, weight, bias: rows_and_columns(
                votes_for(tokens, weight, bias, winner_of(tokens, weight, bias)).argmax(1), tokens.shape[1]
            ),
        ),
        Mistake(
            "column before row",
            "You return the column first; the row comes first.",
            lambda tokens, weight, bias: strongest_vote(tokens, weight, bias).flip(1),
        ),
        Mistake(
            "head's bias left out",
            "Without the head's bias another class can win.",
            lambda tokens, weight, bias: strongest_vote(tokens, weight, torch.zeros_like(bias)),
        ),
        Mistake(
            "number of the place",
            "You return the number of the place; make a row and a column of it.",
            lambda tokens, weight, bias: votes_for(
                tokens, weight, bias, winner_of(tokens, weight, bias)
            ).argmax(1),
        ),
    ),
    (vote_image_by_image, vote_by_masks),
)


ITEMS = (
    WALK_SHAPES,
    PATCH_PARTITION,
    CONVOLUTION_KERNEL,
    ATTEND,
    BLOCKWISE,
    WINDOW_PARTITION,
    WINDOW_REVERSE,
    SHIFT_MASK,
    RELATIVE_POSITION_INDEX,
    CROP_TABLE,
    BOTH_SIDES,
    MERGE_NEIGHBOURS,
    REORDERED,
    STRONGEST_VOTE,
)
