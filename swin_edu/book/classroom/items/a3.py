"""Assignment 3: position and attention."""

import math
from itertools import product

import torch
from einops import rearrange
from torch import Generator, Tensor
from torch.nn import functional as F

from swin_edu.book.classroom.item import Arguments, Item, Mistake


def rectangular_index(height: int, width: int) -> Tensor:
    """Return, for each pair of tokens of a window of `height` × `width`, its row in the table of offsets.

    Shape: -> (height·width, height·width)
    A row of the result for each query, a column for each key; tokens are numbered row by row. The offset is
    query minus key. The table begins with rows' offset 1 - height and all columns' offsets, from 1 - width to
    width - 1; then comes the next rows' offset, up to height - 1.
    """
    rows = torch.arange(height).repeat_interleave(width)
    columns = torch.arange(width).repeat(height)
    down = rows[:, None] - rows + height - 1
    right = columns[:, None] - columns + width - 1
    return down * (2 * width - 1) + right


def index_by_cuts(height: int, width: int) -> Tensor:
    table = torch.arange((2 * height - 1) * (2 * width - 1)).reshape(2 * height - 1, 2 * width - 1)
    cuts = table.unfold(0, height, 1).unfold(1, width, 1)  # one for each query, turned by half a turn
    return cuts.flip(2, 3).flatten(2).flatten(0, 1)


def index_by_search(height: int, width: int) -> Tensor:
    offsets = list(product(range(1 - height, height), range(1 - width, width)))
    tokens = list(product(range(height), range(width)))
    return torch.tensor([[offsets.index((y - v, x - u)) for v, u in tokens] for y, x in tokens])


def window_cases(generator: Generator) -> list[Arguments]:
    """Draw windows that are not square, and a few that are."""
    drawn = [tuple(torch.randint(1, 6, (2,), generator=generator).tolist()) for _ in range(3)]
    return [(2, 3), (4, 2), (1, 5), (5, 1), (3, 3), (1, 1), *drawn]


def offsets_of(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Return the offset of rows and of columns of all pairs."""
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    down, right = (places[:, None] - places).unbind(-1)
    return down, right


RECTANGULAR_INDEX = Item(
    rectangular_index,
    window_cases,
    (
        Mistake(
            "key minus query",
            "Your table is read backwards: the offset is the query's place minus the key's.",
            lambda height, width: rectangular_index(height, width).T,
        ),
        Mistake(
            "row times the height of the table",
            "You multiply the row's offset by the table's height; one step down passes a row of its width.",
            lambda height, width: (
                (offsets_of(height, width)[0] + height - 1) * (2 * height - 1)
                + offsets_of(height, width)[1]
                + width
                - 1
            ),
        ),
        Mistake(
            "row times the width of the window",
            "Different offsets get the same number: the table is wider than the window.",
            lambda height, width: (
                (offsets_of(height, width)[0] + height - 1) * width + offsets_of(height, width)[1] + width - 1
            ),
        ),
        Mistake(
            "not multiplied",
            "You add the two offsets, and many pairs share a number that should not.",
            lambda height, width: sum(offsets_of(height, width)) + height + width - 2,
        ),
        Mistake(
            "negative numbers",
            "Offsets begin below 0, a table's rows at 0: move both before you put them together.",
            lambda height, width: (
                offsets_of(height, width)[0] * (2 * width - 1) + offsets_of(height, width)[1]
            ),
        ),
        Mistake(
            "moved one too far",
            "The least offset is 1 - height, or 1 - width; you add one more than brings it to 0.",
            lambda height, width: rectangular_index(height, width) + 2 * width,
        ),
        Mistake(
            "offsets listed by columns",
            "Your table lists the offsets column by column; it is read row by row.",
            lambda height, width: (
                (offsets_of(height, width)[1] + width - 1) * (2 * height - 1)
                + offsets_of(height, width)[0]
                + height
                - 1
            ),
        ),
        Mistake(
            "tokens numbered by columns",
            "You number the tokens of the window down its columns; number them along its rows.",
            lambda height, width: rearrange(
                rectangular_index(height, width),
                "(y x) (v u) -> (x y) (u v)",
                y=height,
                v=height,
            ),
        ),
        Mistake(
            "offsets without sign",
            "Left and right, or above and below, get the same number; keep the sign of the offset.",
            lambda height, width: (
                (offsets_of(height, width)[0].abs() + height - 1) * (2 * width - 1)
                + offsets_of(height, width)[1].abs()
                + width
                - 1
            ),
        ),
    ),
    (index_by_cuts, index_by_search),
)


def mean_by_offset(logits: Tensor, height: int, width: int) -> Tensor:
    """Average the logits of all pairs that share an offset: the table that comes closest to these logits.

    Shape: (h, N, N) -> ((2·height-1)·(2·width-1), h)
    The logits of one window of N = height·width tokens: a row for each query, a column for each key, tokens
    row by row. The table lists the offsets, query minus key, as `rectangular_index` counts them.
    """
    rows = torch.arange(height).repeat_interleave(width)
    columns = torch.arange(width).repeat(height)
    means = []
    for down in range(1 - height, height):
        for right in range(1 - width, width):
            pairs = (rows[:, None] - rows == down) & (columns[:, None] - columns == right)
            means.append(logits[:, pairs].mean(dim=1))
    return torch.stack(means)


def mean_by_adding(logits: Tensor, height: int, width: int) -> Tensor:
    index = index_by_cuts(height, width).flatten()
    table = torch.zeros((2 * height - 1) * (2 * width - 1), len(logits))
    sums = table.index_add(0, index, logits.flatten(1).T)
    return sums / index.bincount()[:, None]


def mean_of_slices(logits: Tensor, height: int, width: int) -> Tensor:
    pairs = logits.reshape(len(logits), height, width, height, width)
    table = []
    for down, right in product(range(1 - height, height), range(1 - width, width)):
        part = pairs.diagonal(-down, 1, 3).diagonal(-right, 1, 2)  # (h, rows, columns) of this offset
        table.append(part.mean((1, 2)))
    return torch.stack(table)


def logit_cases(generator: Generator) -> list[Arguments]:
    """Draw the logits of windows; the first counts its pairs."""
    sizes = ((3, 3, 2), (2, 1, 4), (1, 2, 5), (2, 3, 3), (4, 4, 1))
    return [
        (torch.arange(16.0).reshape(1, 4, 4), 2, 2),
        *((torch.randn(h, y * x, y * x, generator=generator), y, x) for h, y, x in sizes),
    ]


def counts_of(height: int, width: int) -> Tensor:
    """Count the pairs of each offset."""
    return rectangular_index(height, width).flatten().bincount()[:, None]


def last_by_offset(logits: Tensor, height: int, width: int) -> Tensor:
    """Keep the last pair of each offset."""
    table = torch.zeros((2 * height - 1) * (2 * width - 1), len(logits))
    for place, values in zip(rectangular_index(height, width).flatten(), logits.flatten(1).T, strict=True):
        table[place] = values
    return table


MEAN_BY_OFFSET = Item(
    mean_by_offset,
    logit_cases,
    (
        Mistake(
            "sum instead of mean",
            "You add up the pairs of an offset, as training does with gradients; here the mean is asked.",
            lambda logits, height, width: mean_by_offset(logits, height, width) * counts_of(height, width),
        ),
        Mistake(
            "one pair instead of all",
            "Each offset keeps only one of its pairs: `table[index] = …` overwrites. Take the mean of all.",
            last_by_offset,
        ),
        Mistake(
            "key minus query",
            "Your table is listed backwards: the offset is the query's place minus the key's.",
            lambda logits, height, width: mean_by_offset(logits, height, width).flip(0),
        ),
        Mistake(
            "divided by the number of tokens",
            "You divide every sum by N. Only offset (0, 0) has N pairs; others have fewer.",
            lambda logits, height, width: (
                mean_by_offset(logits, height, width) * counts_of(height, width) / (height * width)
            ),
        ),
        Mistake(
            "heads first",
            "The values are right; the table has a row for each offset, and a column for each head.",
            lambda logits, height, width: mean_by_offset(logits, height, width).T,
        ),
        Mistake(
            "heads averaged",
            "You average the heads as well; each head has a column of its own.",
            lambda logits, height, width: mean_by_offset(
                logits.mean(0, keepdim=True).expand(logits.shape), height, width
            ),
        ),
        Mistake(
            "offsets listed by columns",
            "You list the offsets column by column; list them row by row.",
            lambda logits, height, width: rearrange(
                mean_by_offset(logits, height, width), "(y x) h -> (x y) h", y=2 * height - 1
            ),
        ),
        Mistake(
            "height and width exchanged",
            "You take the window for one of `width` × `height` tokens.",
            lambda logits, height, width: mean_by_offset(logits, width, height),
        ),
        Mistake(
            "means of the weights",
            "You average weights after the softmax; the task is about logits.",
            lambda logits, height, width: mean_by_offset(logits.softmax(-1), height, width),
        ),
    ),
    (mean_by_adding, mean_of_slices),
)


def log_offsets(height: int, width: int, pretrained: int) -> Tensor:
    """Return the log-spaced offsets of a window of `height` × `width`, as Swin V2's network gets them.

    Shape: -> (2·height-1, 2·width-1, 2)
    The last axis holds dy, from 1 - height to height - 1, and dx, from 1 - width to width - 1. Of each take
    x = 8 · offset / (pretrained - 1), then sign(x) · log2(1 + |x|) / log2(8). The network was trained with
    windows of `pretrained` × `pretrained`, at least 2.
    """
    rows, columns = torch.arange(1 - height, height), torch.arange(1 - width, width)
    offsets = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), dim=-1)
    steps = 8 * offsets / (pretrained - 1)
    return steps.sign() * (1 + steps.abs()).log2() / 3


def log_offsets_by_halves(height: int, width: int, pretrained: int) -> Tensor:
    sides = []
    for size in (height, width):
        half = torch.log1p(torch.arange(size) * 8 / (pretrained - 1)) / math.log(8)
        sides.append(torch.cat([-half[1:].flip(0), half]))
    return torch.cartesian_prod(*sides).reshape(2 * height - 1, 2 * width - 1, 2)


def log_offsets_in_loops(height: int, width: int, pretrained: int) -> Tensor:
    def spaced(offset: int) -> float:
        return math.copysign(math.log(1 + abs(offset) * 8 / (pretrained - 1), 8), offset)

    return torch.tensor(
        [[(spaced(y), spaced(x)) for x in range(1 - width, width)] for y in range(1 - height, height)]
    )


def pretrained_cases(generator: Generator) -> list[Arguments]:
    """Draw windows, and windows that a network was trained with; with 9, x is the offset itself."""
    drawn = [tuple(torch.randint(2, 8, (3,), generator=generator).tolist()) for _ in range(3)]
    return [(2, 4, 9), (3, 5, 4), (8, 8, 8), (12, 4, 7), (1, 6, 3), (2, 2, 16), *drawn]


def spaced(steps: Tensor) -> Tensor:
    """Return log-spaced steps."""
    return steps.sign() * (1 + steps.abs()).log2() / 3


def linear(height: int, width: int) -> Tensor:
    """Return the offsets as they are."""
    return torch.stack(
        torch.meshgrid(torch.arange(1.0 - height, height), torch.arange(1.0 - width, width), indexing="ij"),
        -1,
    )


LOG_OFFSETS = Item(
    log_offsets,
    pretrained_cases,
    (
        Mistake(
            "sign lost",
            "Above and below, left and right look the same: put the sign back after the logarithm.",
            lambda height, width, pretrained: log_offsets(height, width, pretrained).abs(),
        ),
        Mistake(
            "no logarithm",
            "Your offsets are evenly spaced.",
            lambda height, width, pretrained: 8 * linear(height, width) / (pretrained - 1),
        ),
        Mistake(
            "natural logarithm",
            "The logarithm has base 2, or is divided by that of 8 in the same base.",
            lambda height, width, pretrained: log_offsets(height, width, pretrained) * math.log(2),
        ),
        Mistake(
            "divided by its own window",
            "You divide by the farthest offset of this window; the network knows the pretrained one's.",
            lambda height, width, pretrained: spaced(
                8 * linear(height, width) / torch.tensor([max(height - 1, 1), max(width - 1, 1)])
            ),
        ),
        Mistake(
            "divided by the size of the window",
            "The farthest offset of a window of M tokens is M - 1, not M.",
            lambda height, width, pretrained: spaced(8 * linear(height, width) / pretrained),
        ),
        Mistake(
            "columns before rows",
            "The last axis holds dx before dy; rows come first.",
            lambda height, width, pretrained: log_offsets(height, width, pretrained).flip(-1),
        ),
        Mistake(
            "map transposed",
            'Your first axis runs along columns; `meshgrid` wants `indexing="ij"` for rows first.',
            lambda height, width, pretrained: log_offsets(height, width, pretrained).transpose(0, 1),
        ),
        Mistake(
            "not times 8",
            "You take the logarithm of offsets between -1 and 1, where it is nearly a straight line.",
            lambda height, width, pretrained: spaced(linear(height, width) / (pretrained - 1)),
        ),
        Mistake(
            "brought to 1",
            "You divide by log2(9), which brings the farthest offset to 1. The task divides by log2(8).",
            lambda height, width, pretrained: log_offsets(height, width, pretrained) * 3 / math.log2(9),
        ),
        Mistake(
            "one row for all offsets",
            "The values are right; keep rows and columns of the map as two axes.",
            lambda height, width, pretrained: log_offsets(height, width, pretrained).flatten(0, 1),
        ),
    ),
    (log_offsets_by_halves, log_offsets_in_loops),
)


def masked_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
    """Attend in the windows of B images: softmax(q·k / √D + bias), where the window's mask allows.

    Shape: (B·nW, h, N, D), (B·nW, h, N, D), (B·nW, h, N, D), (h, N, N), (nW, N, N) -> (B·nW, h, N, D)
    All windows of the first image come first, then those of the second. `mask` holds one table for each of
    the nW windows of an image, for every head: True where a query (row) may attend to a key (column).
    Forbidden keys get no weight at all, however large their logit.
    """
    logits = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 + bias
    logits = rearrange(logits, "(b w) h n m -> b w h n m", w=len(mask))
    logits = logits.masked_fill(~mask[:, None], -torch.inf)
    weights = logits.softmax(dim=-1).flatten(0, 1)
    return weights @ v


def attention_by_torch(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
    masks = mask.repeat(len(q) // len(mask), 1, 1)[:, None]
    return F.scaled_dot_product_attention(q, k, v, torch.where(masks, bias, -torch.inf))


def attention_row_by_row(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, mask: Tensor) -> Tensor:
    result = torch.empty_like(q)
    for window, head, query in product(*map(range, q.shape[:3])):
        allowed = mask[window % len(mask), query]
        logits = k[window, head, allowed] @ q[window, head, query] / math.sqrt(q.shape[-1])
        logits = logits + bias[head, query, allowed]
        exponentials = (logits - logits.max()).exp()
        result[window, head, query] = exponentials @ v[window, head, allowed] / exponentials.sum()
    return result


def attention_cases(generator: Generator) -> list[Arguments]:
    """Draw windows with masks; in the first only the masks matter, and values are counted.

    Every query may attend to itself and may not to some other. One allowed logit and one forbidden are large.
    """
    nothing, pairs = torch.zeros(2, 1, 4, 2), torch.tensor([[0, 0, 1, 1], [0, 1, 0, 1]])
    counted = torch.arange(16.0).reshape(2, 1, 4, 2)
    cases = [(nothing, nothing, counted, torch.zeros(1, 4, 4), pairs[:, :, None] == pairs[:, None])]
    for b, w, h, n, d in ((2, 3, 2, 4, 3), (3, 1, 1, 5, 2), (1, 4, 3, 3, 4), (2, 2, 2, 4, 8)):
        q, k, v = torch.randn(3, b * w, h, n, d, generator=generator)
        bias = 2 * torch.randn(h, n, n, generator=generator)
        mask = torch.rand(w, n, n, generator=generator) < 0.5
        mask[:, range(n), range(n)] = True
        mask[:, range(n), [*range(1, n), 0]] = False
        mask[0, 1] = torch.arange(n) == 1  # only itself
        bias[:, 0, 1], bias[:, 2, 2] = 150, 130  # forbidden, and allowed
        cases.append((q, k, v + 1, bias, mask))
    return cases


def attended(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | float,
    forbidden: Tensor | float,
    scale: float,
    axis: int = -1,
) -> Tensor:
    """Attend with one addend for each window."""
    return (q @ k.transpose(-2, -1) * scale + bias + forbidden).softmax(axis) @ v


def addends(mask: Tensor, count: int, value: float = -torch.inf) -> Tensor:
    """Return what forbids, for all windows."""
    masks = mask.repeat(count // len(mask), 1, 1)[:, None]
    return torch.where(masks, 0.0, value)


def root(q: Tensor) -> float:
    """Return 1/√D."""
    return q.shape[-1] ** -0.5


MASKED_ATTENTION = Item(
    masked_attention,
    attention_cases,
    (
        Mistake(
            "mask ignored",
            "Every token attends to its whole window; the mask changes nothing.",
            lambda q, k, v, bias, mask: attended(q, k, v, bias, 0, root(q)),
        ),
        Mistake(
            "mask inverted",
            "Your tokens attend to what is forbidden only: True means may attend.",
            lambda q, k, v, bias, mask: attended(q, k, v, bias, addends(~mask, len(q)), root(q)),
        ),
        Mistake(
            "minus 100",
            "You add −100. A forbidden logit that is more than 100 above the others still gets the weight.",
            lambda q, k, v, bias, mask: attended(q, k, v, bias, addends(mask, len(q), -100), root(q)),
        ),
        Mistake(
            "logits times 0",
            "A logit of 0 is no veto: e⁰ is 1. A forbidden key must get no weight.",
            lambda q, k, v, bias, mask: (
                ((q @ k.transpose(-2, -1) * root(q) + bias) * addends(mask, len(q), -1).add(1)).softmax(-1)
                @ v
            ),
        ),
        Mistake(
            "weights times 0",
            "You set weights to 0 after the softmax. What is left no longer sums to 1.",
            lambda q, k, v, bias, mask: (
                ((q @ k.transpose(-2, -1) * root(q) + bias).softmax(-1) * addends(mask, len(q), -1).add(1))
                @ v
            ),
        ),
        Mistake(
            "masks of the wrong windows",
            "You repeat each mask, then take the next. But all windows of one image stand together.",
            lambda q, k, v, bias, mask: attended(
                q,
                k,
                v,
                bias,
                addends(mask.repeat_interleave(len(q) // len(mask), 0), len(q)),
                root(q),
            ),
        ),
        Mistake(
            "one mask for all windows",
            "You use the first mask for every window; each window of an image has its own.",
            lambda q, k, v, bias, mask: attended(q, k, v, bias, addends(mask[:1], len(q)), root(q)),
        ),
        Mistake(
            "mask transposed",
            "A mask's row is a query, its column a key; you have them the other way round.",
            lambda q, k, v, bias, mask: attended(
                q, k, v, bias, addends(mask.transpose(1, 2), len(q)), root(q)
            ),
        ),
        Mistake(
            "softmax over the queries",
            "Your weights sum to 1 along the queries; each query shares out its 1 among the keys.",
            lambda q, k, v, bias, mask: attended(q, k, v, bias, addends(mask, len(q)), root(q), axis=-2),
        ),
        Mistake(
            "no scale",
            "The logits are not divided by √D.",
            lambda q, k, v, bias, mask: attended(q, k, v, bias, addends(mask, len(q)), 1),
        ),
        Mistake(
            "divided by D",
            "You divide by D; it is the root of D.",
            lambda q, k, v, bias, mask: attended(q, k, v, bias, addends(mask, len(q)), root(q) ** 2),
        ),
        Mistake(
            "bias ignored",
            "The bias changes nothing in your weights.",
            lambda q, k, v, bias, mask: attended(q, k, v, 0, addends(mask, len(q)), root(q)),
        ),
        Mistake(
            "bias scaled",
            "You divide the bias by √D as well; only the products are divided.",
            lambda q, k, v, bias, mask: attended(q, k, v, bias * root(q), addends(mask, len(q)), root(q)),
        ),
    ),
    (attention_by_torch, attention_row_by_row),
)


def cosine_attention(q: Tensor, k: Tensor, v: Tensor, logit_scale: Tensor, bias: Tensor) -> Tensor:
    """Attend by cosines, as Swin V2 does: softmax(scale · cosine(q, k) + bias).

    Shape: (B, h, N, D), (B, h, N, D), (B, h, N, D), (h,), (h, N, N) -> (B, h, N, D)
    `logit_scale` holds the natural logarithm of each head's scale; a scale above 100 counts as 100. A vector
    of zeros, as padding can have it, has cosine 0 with every other.
    """
    cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
    scale = logit_scale.clamp(max=math.log(100)).exp()
    logits = scale[:, None, None] * cosines + bias
    return logits.softmax(dim=-1) @ v


def cosine_by_lengths(q: Tensor, k: Tensor, v: Tensor, logit_scale: Tensor, bias: Tensor) -> Tensor:
    lengths = q.norm(dim=-1)[..., :, None] * k.norm(dim=-1)[..., None, :]
    products = torch.einsum("bhnd, bhmd -> bhnm", q, k)
    cosines = torch.where(lengths > 0, products / lengths, 0.0)
    scale = torch.minimum(logit_scale.exp(), torch.tensor(100.0))
    return (scale.reshape(-1, 1, 1) * cosines + bias).softmax(3) @ v


def cosine_head_by_head(q: Tensor, k: Tensor, v: Tensor, logit_scale: Tensor, bias: Tensor) -> Tensor:
    heads = []
    for head, scale in enumerate(logit_scale.exp().clamp(max=100)):
        cosines = F.cosine_similarity(q[:, head, :, None], k[:, head, None], dim=-1)
        heads.append(torch.softmax(scale * cosines + bias[head], -1) @ v[:, head])
    return torch.stack(heads, 1)


def cosine_cases(generator: Generator) -> list[Arguments]:
    """Draw queries, keys and values, long and short, some keys of zeros; the first case shows its weights.

    Of the scales, some are below 1, some above 100. In each head a cosine of 1 meets a bias of 100 elsewhere.
    """
    q, k = torch.tensor([[3.0, 0.0], [0.0, 4.0]]), torch.tensor([[1.0, 0.0], [3.0, 4.0]])
    first = q[None, None], k[None, None], torch.eye(2)[None, None], torch.zeros(1), torch.zeros(1, 2, 2)
    cases: list[Arguments] = [first]
    for (b, h, n, d), scales in {
        (2, 3, 4, 2): (math.log(10), 7.0, -1.0),
        (3, 2, 3, 5): (1.0, 2.5),
        (1, 4, 5, 3): (0.5, 5.0, 2.0, 4.0),
        (2, 1, 6, 4): (6.0,),
    }.items():
        q, k, v = torch.randn(3, b, h, n, d, generator=generator)
        lengths = 4 * torch.rand(2, b, h, n, 1, generator=generator)
        k[:, :, 0], lengths[1, :, :, -1] = q[:, :, 0], 0
        bias = torch.randn(h, n, n, generator=generator)
        bias[:, 0, -1] = 100
        cases.append((q * lengths[0], k * lengths[1], v + 1, torch.tensor(scales), bias))
    return cases


def by_cosines(q: Tensor, k: Tensor, v: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Attend by cosines with the given scales."""
    cosines = F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).transpose(-2, -1)
    return (scale[:, None, None] * cosines + bias).softmax(-1) @ v


def limited(logit_scale: Tensor) -> Tensor:
    """Return the scales."""
    return logit_scale.exp().clamp(max=100)


COSINE_ATTENTION = Item(
    cosine_attention,
    cosine_cases,
    (
        Mistake(
            "products instead of cosines",
            "Your logits grow with the lengths of queries and keys; cosines do not.",
            lambda q, k, v, logit_scale, bias: (
                (limited(logit_scale)[:, None, None] * (q @ k.transpose(-2, -1)) + bias).softmax(-1) @ v
            ),
        ),
        Mistake(
            "only queries normalised",
            "Long keys still get larger logits; bring the keys to length 1 as well.",
            lambda q, k, v, logit_scale, bias: (
                (
                    limited(logit_scale)[:, None, None] * (F.normalize(q, dim=-1) @ k.transpose(-2, -1))
                    + bias
                ).softmax(-1)
                @ v
            ),
        ),
        Mistake(
            "normalised along the wrong axis",
            "`F.normalize` takes axis 1 unless you say which; a vector's numbers lie along the last.",
            lambda q, k, v, logit_scale, bias: (
                (
                    limited(logit_scale)[:, None, None] * (F.normalize(q) @ F.normalize(k).transpose(-2, -1))
                    + bias
                ).softmax(-1)
                @ v
            ),
        ),
        Mistake(
            "no limit",
            "A head whose scale is above 100 must use 100. Mind that you are given logarithms.",
            lambda q, k, v, logit_scale, bias: by_cosines(q, k, v, logit_scale.exp(), bias),
        ),
        Mistake(
            "limit at the logarithm of 100",
            "You limit the scale to 4.6, the logarithm of 100; it is the scale that is at most 100.",
            lambda q, k, v, logit_scale, bias: by_cosines(
                q, k, v, logit_scale.exp().clamp(max=math.log(100)), bias
            ),
        ),
        Mistake(
            "logarithm as scale",
            "You multiply by the logarithm; the scale is its exponential.",
            lambda q, k, v, logit_scale, bias: by_cosines(
                q, k, v, logit_scale.clamp(max=math.log(100)), bias
            ),
        ),
        Mistake(
            "lower limit instead of upper",
            "Your scales are at least 100; they should be at most 100.",
            lambda q, k, v, logit_scale, bias: by_cosines(q, k, v, logit_scale.exp().clamp(min=100), bias),
        ),
        Mistake(
            "bias scaled",
            "You multiply the bias by the scale as well; only cosines are scaled.",
            lambda q, k, v, logit_scale, bias: by_cosines(
                q, k, v, limited(logit_scale), limited(logit_scale)[:, None, None] * bias
            ),
        ),
        Mistake(
            "divided by the root of D",
            "Cosines need no √D: they lie between −1 and 1 however many channels there are.",
            lambda q, k, v, logit_scale, bias: by_cosines(
                q, k, v, limited(logit_scale) / q.shape[-1] ** 0.5, bias
            ),
        ),
        Mistake(
            "one scale for all heads",
            "All your heads use the first head's scale; each has its own.",
            lambda q, k, v, logit_scale, bias: by_cosines(
                q, k, v, limited(logit_scale)[:1].expand(len(logit_scale)), bias
            ),
        ),
        Mistake(
            "bias ignored",
            "The bias changes nothing in your weights.",
            lambda q, k, v, logit_scale, bias: by_cosines(q, k, v, limited(logit_scale), 0 * bias),
        ),
    ),
    (cosine_by_lengths, cosine_head_by_head),
)

ITEMS = (RECTANGULAR_INDEX, MEAN_BY_OFFSET, LOG_OFFSETS, MASKED_ATTENTION, COSINE_ATTENTION)
