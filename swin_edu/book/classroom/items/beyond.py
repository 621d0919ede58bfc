"""Checks of the exercises of chapters 9 to 14."""

import math
from functools import partial

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from swin_edu.attention import attend
from swin_edu.book.classroom.item import Arguments, Item, Mistake
from swin_edu.fast import rows_of_tokens, window_order
from swin_edu.rivals.performer import linear_attention
from swin_edu.rivals.routing import give_back, members, on_sphere, take
from swin_edu.windows import pad_to_window, window_reverse


def count_kinds(height: int, width: int, window: int, shift: int) -> Tensor:
    """Count the windows of a map of `height` × `width` tokens by the kind of their mask.

    Shape: -> (4)
    No seam, one between columns, one between rows, both. The map is padded until windows of M × M divide it;
    along an axis that a single window covers the shift is off.
    """
    rows, columns = math.ceil(height / window), math.ceil(width / window)
    low = 1 if shift > 0 and rows > 1 else 0  # rows of windows with a seam
    right = 1 if shift > 0 and columns > 1 else 0
    plain, beside = rows - low, columns - right
    return torch.tensor([plain * beside, plain * right, low * beside, low * right])


def kinds_from_order(height: int, width: int, window: int, shift: int) -> Tensor:
    return window_order(height, width, window, shift)[1].bincount(minlength=4)


def kinds_one_by_one(height: int, width: int, window: int, shift: int) -> Tensor:
    counts = torch.zeros(4, dtype=torch.int64)
    for top in range(0, height, window):
        for left in range(0, width, window):
            seam_below = shift > 0 and top > 0 and top + window >= height
            seam_beside = shift > 0 and left > 0 and left + window >= width
            counts[2 * seam_below + seam_beside] += 1
    return counts


def kinds_cases(generator: Generator) -> list[Arguments]:
    """Draw sizes of maps, after those of the exercise."""
    drawn = torch.randint(5, 80, (3, 2), generator=generator).tolist()
    sizes = [(14, 28, 7, 3), (7, 28, 7, 3), (30, 8, 8, 4), (5, 16, 6, 2), (6, 9, 3, 0), (15, 14, 7, 1)]
    return [*sizes, *((height, width, 4, 2) for height, width in drawn)]


def counted_kinds(height: int, width: int, window: int, low: int, right: int) -> list[int]:
    plain, beside = math.ceil(height / window) - low, math.ceil(width / window) - right
    return [plain * beside, plain * right, low * beside, low * right]


COUNT_KINDS = Item(
    count_kinds,
    kinds_cases,
    (
        Mistake(
            "incomplete windows dropped",
            "You round down; the map is padded, so round the number of windows up.",
            lambda height, width, window, shift: count_kinds(
                height // window * window, width // window * window, window, shift
            ),
        ),
        Mistake(
            "shift along a single window",
            "Where one window covers an axis, nothing is shifted along it, and no window has a seam there.",
            lambda height, width, window, shift: torch.tensor(
                counted_kinds(height, width, window, int(shift > 0), int(shift > 0))
            ),
        ),
        Mistake(
            "seams without a shift",
            "Without a shift no window has a seam.",
            lambda height, width, window, shift: count_kinds(height, width, window, 1),
        ),
        Mistake(
            "rows and columns exchanged",
            "Kinds 1 and 2 are exchanged: kind 1 has its seam between columns.",
            lambda height, width, window, shift: count_kinds(height, width, window, shift)[[0, 2, 1, 3]],
        ),
        Mistake(
            "corner counted three times",
            "The window in the corner has both seams; do not count it among those with one.",
            lambda height, width, window, shift: (
                (counts := count_kinds(height, width, window, shift)) + counts[3] * torch.tensor([0, 1, 1, 0])
            ),
        ),
        Mistake(
            "all windows without a seam",
            "You count all windows as windows without a seam; those with one are to be taken off.",
            lambda height, width, window, shift: (
                (counts := count_kinds(height, width, window, shift))
                + counts[1:].sum() * torch.tensor([1, 0, 0, 0])
            ),
        ),
        Mistake(
            "seams in the first windows too",
            "Seams are in the last row and the last column of windows only, not in the first.",
            lambda height, width, window, shift: torch.tensor(
                counted_kinds(
                    height,
                    width,
                    window,
                    2 * (shift > 0 and height > window),
                    2 * (shift > 0 and width > window),
                )
            ),
        ),
        Mistake(
            "tokens instead of windows",
            "You count tokens; count windows.",
            lambda height, width, window, shift: count_kinds(height, width, window, shift) * window**2,
        ),
    ),
    (kinds_from_order, kinds_one_by_one),
)


def to_map(tokens: Tensor, order: Tensor, height: int, width: int) -> Tensor:
    """Put the tokens of one image, in window order, back into a map; padding is left out.

    Shape: (N·M·M, C) -> (H, W, C)
    `order` `(N, M·M)` is the first that window_order returns: the number of the token at each place of each
    window, counted row by row, -1 for padding.
    """
    return tokens[rows_of_tokens(order, batch=1)[0]].unflatten(0, (height, width))


def map_by_writing(tokens: Tensor, order: Tensor, height: int, width: int) -> Tensor:
    real = order.flatten() >= 0
    result = torch.empty(height * width, tokens.shape[1])
    result[order.flatten()[real]] = tokens[real]
    return result.reshape(height, width, -1)


def map_by_sorting(tokens: Tensor, order: Tensor, height: int, width: int) -> Tensor:
    sorted_tokens = tokens[order.flatten().argsort()]
    return sorted_tokens[len(tokens) - height * width :].view(height, width, tokens.shape[1])


def map_token_by_token(tokens: Tensor, order: Tensor, height: int, width: int) -> Tensor:
    rows = order.flatten().tolist()
    return torch.stack([tokens[rows.index(number)] for number in range(height * width)]).unflatten(
        0, (height, width)
    )


def order_cases(generator: Generator) -> list[Arguments]:
    """Draw tokens in window order, padding too; the first count by their places in the map."""
    cases = []
    sizes = ((4, 6, 2, 1, 1), (9, 14, 4, 2, 5), (6, 3, 3, 0, 2), (5, 11, 4, 1, 3), (4, 10, 5, 2, 2))
    for height, width, window, shift, channels in sizes:
        order = window_order(height, width, window, shift)[0]
        tokens = torch.randn(order.numel(), channels, generator=generator)
        cases.append((order.reshape(-1, 1).float() if channels == 1 else tokens, order, height, width))
    return cases


def fetched(tokens: Tensor, rows: Tensor, height: int, width: int) -> Tensor:
    return tokens[rows][: height * width].unflatten(0, (height, width))


TO_MAP = Item(
    to_map,
    order_cases,
    (
        Mistake(
            "order instead of its inverse",
            "`order` says which token stands at a place. You need the place where a token stands.",
            lambda tokens, order, height, width: fetched(tokens, order.flatten(), height, width),
        ),
        Mistake(
            "tokens left in their order",
            "You only give the tokens another shape; they are still in window order.",
            lambda tokens, order, height, width: tokens[: height * width].unflatten(0, (height, width)),
        ),
        Mistake(
            "windows taken row by row",
            "You put the windows together row by row; these were rolled, and stand by their kind.",
            lambda tokens, order, height, width: window_reverse(
                tokens.unflatten(0, order.shape),
                math.isqrt(order.shape[1]),
                *pad_to_window(torch.empty(1, height, width, 1), math.isqrt(order.shape[1])).shape[1:3],
            )[0, :height, :width],
        ),
        Mistake(
            "padding comes first",
            "Padding has number -1, so sorting puts it in front; leave it out before.",
            lambda tokens, order, height, width: fetched(tokens, order.flatten().argsort(), height, width),
        ),
        Mistake(
            "map transposed",
            "Your map has its rows and columns exchanged.",
            lambda tokens, order, height, width: to_map(tokens, order, height, width).transpose(0, 1),
        ),
        Mistake(
            "written column by column",
            "Tokens are counted row by row; you fill the map column by column.",
            lambda tokens, order, height, width: (
                to_map(tokens, order, height, width).reshape(width, height, -1).transpose(0, 1)
            ),
        ),
        Mistake(
            "windows and places exchanged",
            "Row r holds place r % M² of window r // M²; you have the two exchanged.",
            lambda tokens, order, height, width: map_by_writing(
                tokens.unflatten(0, order.shape).transpose(0, 1).flatten(0, 1), order, height, width
            ),
        ),
        Mistake(
            "off by one",
            "Your tokens stand one place further; they are counted from 0.",
            lambda tokens, order, height, width: (
                to_map(tokens, order, height, width).flatten(0, 1).roll(1, 0).unflatten(0, (height, width))
            ),
        ),
    ),
    (map_by_writing, map_by_sorting, map_token_by_token),
)


def mixed(images: Tensor, labels: Tensor, share: float, classes: int) -> tuple[Tensor, Tensor]:
    """Mix each image with the one before it in the batch, and their labels too; the first with the last.

    Shape: (B, 3, H, W), (B) -> (B, 3, H, W), (B, classes)
    `share` is that of the image before. Labels become shares of the classes, which sum to 1.
    """
    wanted = F.one_hot(labels, classes).float()
    return images.lerp(images.roll(1, 0), share), wanted.lerp(wanted.roll(1, 0), share)


def mixed_one_by_one(images: Tensor, labels: Tensor, share: float, classes: int) -> tuple[Tensor, Tensor]:
    pictures, wanted = torch.empty_like(images), torch.zeros(len(labels), classes)
    for number in range(len(images)):
        pictures[number] = (1 - share) * images[number] + share * images[number - 1]
        wanted[number, labels[number]] += 1 - share
        wanted[number, labels[number - 1]] += share
    return pictures, wanted


def mixed_by_matrix(images: Tensor, labels: Tensor, share: float, classes: int) -> tuple[Tensor, Tensor]:
    own = torch.eye(len(images))
    weights = (1 - share) * own + share * own.roll(-1, 1)
    return torch.einsum("ij,jchw->ichw", weights, images), weights @ torch.eye(classes)[labels]


def batch_cases(generator: Generator) -> list[Arguments]:
    """Draw batches of images, labels and shares; the last class has no image."""
    counted = torch.arange(12.0).reshape(2, 3, 1, 2)
    cases: list[Arguments] = [(counted, torch.tensor([0, 1]), 0.25, 3)]
    for b, height, width, share, classes in ((5, 2, 3, 0.3, 4), (4, 3, 2, 0.9, 7), (7, 1, 4, 0.6, 9)):
        images = torch.rand(b, 3, height, width, generator=generator)
        others = torch.randint(0, classes - 1, (b - 3,), generator=generator)
        cases.append((images, torch.cat([torch.tensor([0, 1, 2]), others]), share, classes))
    return cases


def mixed_with(
    images: Tensor,
    labels: Tensor,
    share: float,
    classes: int,
    back: int = 1,
    label_share: float | None = None,
) -> tuple[Tensor, Tensor]:
    wanted = torch.eye(classes)[labels]
    weight = share if label_share is None else label_share
    return images.lerp(images.roll(back, 0), share), wanted.lerp(wanted.roll(back, 0), weight)


MIXED = Item(
    mixed,
    batch_cases,
    (
        Mistake(
            "shares exchanged",
            "Your shares are exchanged: `share` is that of the image before, the image itself has the rest.",
            lambda images, labels, share, classes: mixed_with(images, labels, 1 - share, classes),
        ),
        Mistake(
            "next image instead of the one before",
            "You mix with the next image; take the one before.",
            lambda images, labels, share, classes: mixed_with(images, labels, share, classes, back=-1),
        ),
        Mistake(
            "labels not mixed",
            "You mix the images only. Whoever sees 30 % of a dog should answer 30 % dog.",
            lambda images, labels, share, classes: mixed_with(images, labels, share, classes, label_share=0),
        ),
        Mistake(
            "images not mixed",
            "You mix the labels only.",
            lambda images, labels, share, classes: (
                images,
                mixed_with(images, labels, share, classes)[1],
            ),
        ),
        Mistake(
            "labels with the other shares",
            "Your images are right, but the labels have their shares exchanged.",
            lambda images, labels, share, classes: mixed_with(
                images, labels, share, classes, label_share=1 - share
            ),
        ),
        Mistake(
            "first image left alone",
            "The first image has none before it in the batch; mix it with the last.",
            lambda images, labels, share, classes: tuple(
                torch.cat([alone[:1], both[1:]])
                for alone, both in zip(
                    (images, torch.eye(classes)[labels]),
                    mixed_with(images, labels, share, classes),
                    strict=True,
                )
            ),
        ),
        Mistake(
            "pixels rolled instead of images",
            "`roll(1)` without an axis moves single numbers on; give it the axis of the batch.",
            lambda images, labels, share, classes: (
                images.lerp(images.roll(1), share),
                mixed_with(images, labels, share, classes)[1],
            ),
        ),
        Mistake(
            "added without taking off",
            "Your shares sum to more than 1: what the image before adds, the image itself loses.",
            lambda images, labels, share, classes: (
                images + share * images.roll(1, 0),
                torch.eye(classes)[labels] + share * torch.eye(classes)[labels.roll(1)],
            ),
        ),
        Mistake(
            "number of classes guessed",
            "You count the classes by the labels of the batch; it need not hold all `classes` of them.",
            lambda images, labels, share, classes: mixed_with(images, labels, share, int(labels.max()) + 1),
        ),
        Mistake(
            "numbers of the classes mixed",
            "You mix the numbers of the classes. Halfway between class 2 and class 4 is not class 3.",
            lambda images, labels, share, classes: (
                images.lerp(images.roll(1, 0), share),
                labels.float().lerp(labels.float().roll(1), share),
            ),
        ),
    ),
    (mixed_one_by_one, mixed_by_matrix),
)


def attention_only(weights: Tensor, tokens: Tensor) -> Tensor:
    """Return rollout's matrices without the identity: the mean of the heads, no padding; rows sum to 1.

    Shape: (B, N, h, M·M, M·M), (N, M·M) -> (B, N, M·M, M·M)
    `weights` and `tokens` are those of a BlockAttention: what queries (rows) give to keys (columns), and the
    number of the token at each place of each window, -1 for padding. Every row gives something to a token.
    """
    weights = weights.mean(2) * (tokens >= 0)[:, None]
    return weights / weights.sum(-1, keepdim=True)


def attention_head_by_head(weights: Tensor, tokens: Tensor) -> Tensor:
    total = torch.zeros_like(weights[:, :, 0])
    for head in weights.unbind(2):
        total += head.masked_fill((tokens < 0)[:, None], 0)
    return F.normalize(total, p=1, dim=-1)


def attention_window_by_window(weights: Tensor, tokens: Tensor) -> Tensor:
    result = torch.zeros_like(weights[:, :, 0])
    for window, numbers in enumerate(tokens):
        keys = torch.nonzero(numbers != -1)[:, 0]
        found = torch.einsum("bhij->bij", weights[:, window][..., keys])
        result[:, window, :, keys] = found / found.sum(-1, keepdim=True)
    return result


def weight_cases(generator: Generator) -> list[Arguments]:
    """Draw weights of heads, in windows with padding and without."""
    one = torch.tensor([[4.0, 3.0, 2.0, 1.0]]) / 10
    heads = torch.stack(
        [torch.cat([one.roll(row, 1) for row in rows]) for rows in ((0, 1, 2, 3), (0, 3, 2, 1))]
    )
    cases = [(heads.repeat(1, 2, 1, 1, 1), window_order(2, 3, 2, 0)[0])]
    sizes = ((2, 5, 7, 4, 2, 3), (3, 4, 6, 2, 1, 2), (1, 3, 3, 3, 0, 4))
    for b, height, width, window, shift, count in sizes:
        tokens = window_order(height, width, window, shift)[0]
        logits = torch.randn(b, len(tokens), count, window**2, window**2, generator=generator)
        cases.append((logits.softmax(-1), tokens))
    return cases


def divided(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True)


def without_padding(weights: Tensor, tokens: Tensor) -> Tensor:
    return weights * (tokens >= 0)[:, None]


ATTENTION_ONLY = Item(
    attention_only,
    weight_cases,
    (
        Mistake(
            "identity still there",
            "You still add the identity, the residual way; leave it out.",
            lambda weights, tokens: divided(
                without_padding(weights.mean(2), tokens) + torch.eye(weights.shape[-1])
            ),
        ),
        Mistake(
            "padding still there",
            "You leave weight on padding; set the columns of padding to 0 before you divide.",
            lambda weights, tokens: weights.mean(2),
        ),
        Mistake(
            "rows not divided",
            "Your rows sum to less than 1 where padding was; divide each by its sum.",
            lambda weights, tokens: without_padding(weights.mean(2), tokens),
        ),
        Mistake(
            "columns divided",
            "Your columns sum to 1; the rows should.",
            lambda weights, tokens: (
                (kept := without_padding(weights.mean(2), tokens))
                / kept.sum(-2, keepdim=True).clamp(min=1e-9)
            ),
        ),
        Mistake(
            "first head only",
            "You take the first head; take the mean of all.",
            lambda weights, tokens: divided(without_padding(weights[:, :, 0], tokens)),
        ),
        Mistake(
            "largest head",
            "You take the largest of the heads' weights; take their mean.",
            lambda weights, tokens: divided(without_padding(weights.amax(2), tokens)),
        ),
        Mistake(
            "queries of padding removed",
            "You set the rows of padding to 0; it is the keys, the columns, that are left out.",
            lambda weights, tokens: weights.mean(2) * (tokens >= 0)[..., None],
        ),
        Mistake(
            "keys and queries exchanged",
            "Your matrices are transposed: a row belongs to a query.",
            lambda weights, tokens: attention_only(weights, tokens).mT,
        ),
        Mistake(
            "token 0 taken for padding",
            "Token 0 is no padding; padding has number -1.",
            lambda weights, tokens: divided(weights.mean(2) * (tokens > 0)[:, None]),
        ),
    ),
    (attention_head_by_head, attention_window_by_window),
)


def vit_products(side: int, patch: int, channels: int, depth: int) -> tuple[int, int]:
    """Count the multiply-adds of a ViT for an image of `side` × `side` pixels: between pairs, and all else.

    The patch divides the side. The ViT has a class token and 1000 classes. Only products count: no norms, no
    softmax, no sums.
    """
    patches = (side // patch) ** 2
    tokens = patches + 1
    pairs = depth * 2 * tokens**2 * channels
    blocks = depth * tokens * 12 * channels**2
    return pairs, patches * 3 * patch**2 * channels + blocks + channels * 1000


def vit_layer_by_layer(side: int, patch: int, channels: int, depth: int) -> tuple[int, int]:
    patches, pairs = side * side // (patch * patch), 0
    layers = [(patches, 3 * patch * patch, channels), (1, channels, 1000)]
    for _ in range(depth):
        for outputs in (3 * channels, channels):
            layers.append((patches + 1, channels, outputs))
        layers += [(patches + 1, channels, 4 * channels), (patches + 1, 4 * channels, channels)]
        pairs += 2 * channels * (patches + 1) * (patches + 1)
    return pairs, sum(math.prod(layer) for layer in layers)


def vit_by_shapes(side: int, patch: int, channels: int, depth: int) -> tuple[int, int]:
    patches = torch.empty(side // patch, side // patch, patch * patch * 3).flatten(0, 1)
    tokens = torch.empty(len(patches) + 1, channels)
    of_a_token = channels * (3 + 1 + 4 + 4) * channels
    embedding, head = patches.numel() * channels, channels * 1000
    return 2 * depth * len(tokens) * tokens.numel(), embedding + depth * len(tokens) * of_a_token + head


def vit_cases(generator: Generator) -> list[Arguments]:
    """Draw small ViTs, after ViT-S/16 and the one of the exercise."""
    drawn = torch.randint(1, 9, (3, 4), generator=generator).tolist()
    small = [(8 * side + 16, 4, 8 * channels + 8, depth) for side, _, channels, depth in drawn]
    return [(224, 16, 384, 12), (224, 8, 384, 12), (64, 16, 16, 1), (48, 8, 24, 3), (8, 8, 8, 1), *small]


def products_with(
    side: int,
    patch: int,
    channels: int,
    depth: int,
    more: int = 1,
    products: int = 2,
    linear: int = 12,
    colours: int = 3,
    classes: int = 1000,
) -> tuple[int, int]:
    patches = (side // patch) ** 2
    tokens = patches + more
    blocks = depth * tokens * linear * channels**2
    embedding = patches * colours * patch**2 * channels
    return depth * products * tokens**2 * channels, embedding + blocks + channels * classes


VIT_PRODUCTS = Item(
    vit_products,
    vit_cases,
    (
        Mistake(
            "class token forgotten",
            "The class token is one more token in every block.",
            partial(products_with, more=0),
        ),
        Mistake(
            "weights times values forgotten",
            "Between pairs there are two products: q·k, and weights times values.",
            partial(products_with, products=1),
        ),
        Mistake(
            "MLP forgotten",
            "Besides 4C² for queries, keys, values and projection, a block has the 8C² of its MLP.",
            partial(products_with, linear=4),
        ),
        Mistake(
            "projection forgotten",
            "Attention has a fourth linear layer, the projection: 4C² a token, with the MLP 12C².",
            partial(products_with, linear=11),
        ),
        Mistake(
            "embedding forgotten",
            "The first linear layer makes tokens of patches: 3P² times C for each patch.",
            partial(products_with, colours=0),
        ),
        Mistake(
            "colours forgotten",
            "A patch has three numbers for each of its pixels.",
            partial(products_with, colours=1),
        ),
        Mistake(
            "head forgotten",
            "The head makes 1000 scores of the C numbers of one token.",
            partial(products_with, classes=0),
        ),
        Mistake(
            "one block only",
            "You count one block; there are `depth` of them.",
            lambda side, patch, channels, depth: products_with(side, patch, channels, min(depth, 1)),
        ),
        Mistake(
            "number of tokens not squared",
            "Every token meets every token: the number of pairs is the square of the number of tokens.",
            lambda side, patch, channels, depth: (
                2 * depth * ((side // patch) ** 2 + 1) * channels,
                vit_products(side, patch, channels, depth)[1],
            ),
        ),
        Mistake(
            "pairs and the rest exchanged",
            "Your two numbers are exchanged: the pairs come first.",
            lambda side, patch, channels, depth: vit_products(side, patch, channels, depth)[::-1],
        ),
    ),
    (vit_layer_by_layer, vit_by_shapes),
)


def causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend backwards with features of queries and keys: token i gathers from tokens 0 to i.

    Shape: (N, Q), (N, Q), (N, D) -> (N, D)
    The weight of a pair is the dot product of its features; those of a token are divided by their sum.
    """
    gathered = (k[:, :, None] * v[:, None]).cumsum(0)  # (N, Q, D)
    return (q[:, None] @ gathered)[:, 0] / (q * k.cumsum(0)).sum(-1, keepdim=True)


def causal_by_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    pairs = (q @ k.T).tril()
    return pairs / pairs.sum(-1, keepdim=True) @ v


def causal_token_by_token(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    memory, total, found = torch.zeros(k.shape[1], v.shape[1]), torch.zeros(k.shape[1]), []
    for query, key, value in zip(q, k, v, strict=True):
        memory, total = memory + torch.outer(key, value), total + key
        found.append(query @ memory / (query @ total))
    return torch.stack(found)


def feature_cases(generator: Generator) -> list[Arguments]:
    """Draw positive features and values; in the first all features are 1, and the values count."""
    return [
        (torch.ones(4, 1), torch.ones(4, 1), torch.arange(8.0).reshape(4, 2)),
        *(
            (
                0.1 + torch.rand(n, m, generator=generator),
                0.1 + torch.rand(n, m, generator=generator),
                torch.randn(n, d, generator=generator),
            )
            for n, m, d in ((20, 6, 4), (7, 3, 5), (5, 8, 1))
        ),
    ]


CAUSAL = Item(
    causal,
    feature_cases,
    (
        Mistake(
            "looks at all tokens",
            "Your tokens gather from all tokens; token i may gather from tokens 0 to i only.",
            linear_attention,
        ),
        Mistake(
            "looks forwards",
            "Your tokens look forwards, from i to the last; they may look backwards only.",
            lambda q, k, v: causal(*(x.flip(0) for x in (q, k, v))).flip(0),
        ),
        Mistake(
            "not divided",
            "Your weights do not sum to 1: divide by the sum of q·k over the tokens that are gathered from.",
            lambda q, k, v: (q @ k.T).tril() @ v,
        ),
        Mistake(
            "divided by the sum over all tokens",
            "You divide by the sum over all tokens; it must run with the other sum, from 0 to i.",
            lambda q, k, v: (q @ k.T).tril() @ v / (q @ k.sum(0, keepdim=True).T),
        ),
        Mistake(
            "divided by a running sum of all that is gathered",
            "Your sum below the fraction runs, but the one above it takes all tokens.",
            lambda q, k, v: q @ k.T @ v / (q @ k.T).tril().sum(-1, keepdim=True),
        ),
        Mistake(
            "running sum over the features",
            "Your sum runs along the features; let it run along the tokens, the first axis.",
            lambda q, k, v: (
                torch.einsum("im,imd->id", q, (k[:, :, None] * v[:, None]).cumsum(1))
                / (q * k.cumsum(1)).sum(-1, keepdim=True)
            ),
        ),
        Mistake(
            "queries summed as well",
            "You sum the queries along the tokens too; each query asks for itself.",
            lambda q, k, v: causal(q.cumsum(0), k, v),
        ),
        Mistake(
            "divided by the number of tokens",
            "You divide by the number of tokens; divide by the sum of their weights.",
            lambda q, k, v: (q @ k.T).tril() @ v / torch.arange(1, len(q) + 1)[:, None],
        ),
        Mistake(
            "softmax of the features",
            "You take the softmax of the products; the features are made so that they need none.",
            lambda q, k, v: (
                (q @ k.T).masked_fill(~torch.ones(len(q), len(q)).tril().bool(), -torch.inf).softmax(-1) @ v
            ),
        ),
    ),
    (causal_by_mask, causal_token_by_token),
)


def nearest_only(q: Tensor, k: Tensor, v: Tensor, centroids: Tensor) -> Tensor:
    """Let each query attend to the keys that have the same nearest centroid; if there are none, to all keys.

    Shape: (N, D), (N, D), (N, D), (K, D) -> (N, D)
    Nearest is the centroid with the largest dot product, after on_sphere of q and k. What attends are q and k
    themselves, scaled by 1/√D.
    """
    asking, asked = ((on_sphere(x) @ centroids.T).argmax(-1) for x in (q, k))
    mask = asking[:, None] == asked
    mask |= ~mask.any(-1, keepdim=True)
    return attend(q[None, None], k[None, None], v[None, None], mask=mask)[0, 0]


def nearest_cluster_by_cluster(q: Tensor, k: Tensor, v: Tensor, centroids: Tensor) -> Tensor:
    asking, asked = ((on_sphere(x) @ centroids.T).argmax(-1) for x in (q, k))
    out = torch.empty_like(v)
    for cluster in range(len(centroids)):
        queries, keys = asking == cluster, asked == cluster
        keys = keys if keys.any() else torch.ones_like(keys)
        weights = (q[queries] @ k[keys].T / math.sqrt(q.shape[1])).softmax(-1)
        out[queries] = weights @ v[keys]
    return out


def nearest_query_by_query(q: Tensor, k: Tensor, v: Tensor, centroids: Tensor) -> Tensor:
    def cluster(x: Tensor) -> list[int]:
        centred = x - x.mean(-1, keepdim=True)
        return torch.einsum("nd,kd->nk", centred, centroids).max(-1)[1].tolist()

    found, asked = [], cluster(k)
    for query, own in zip(q, cluster(q), strict=True):
        keys = [number for number, other in enumerate(asked) if other == own] or list(range(len(k)))
        shares = (k[keys] @ query / len(query) ** 0.5).exp()
        found.append(shares @ v[keys] / shares.sum())
    return torch.stack(found)


def cluster_cases(generator: Generator) -> list[Arguments]:
    """Draw tokens and centroids; keys never are nearest to the last centroid, though some queries are."""
    cases: list[Arguments] = []
    for n, d, clusters in ((6, 4, 2), (20, 6, 3), (15, 3, 4), (24, 8, 5)):
        centroids = on_sphere(torch.randn(1, 1, clusters, d, generator=generator))[0, 0]
        q, k, v = torch.randn(3, n, d, generator=generator)
        q[0] = 2 * centroids[-1] + 1
        nearness = on_sphere(k) @ centroids[:-1].T
        k = k - 3 * (nearness.amax(-1, keepdim=True) < on_sphere(k) @ centroids[-1:].T) * centroids[-1]
        cases.append((q, k, v, centroids))
    return cases


def routed(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float | None = None) -> Tensor:
    mask = mask | ~mask.any(-1, keepdim=True)
    return attend(q[None, None], k[None, None], v[None, None], mask=mask, scale=scale)[0, 0]


def clusters_of_one_size(q: Tensor, k: Tensor, v: Tensor, centroids: Tensor) -> Tensor:
    tokens, size = len(q), math.ceil(len(q) / len(centroids))
    asking, asked = (members(x[None, None], centroids[None], size) for x in (q, k))
    q, k, v = (take(x[None, None], places) for x, places in ((q, asking), (k, asked), (v, asked)))
    return give_back(attend(q, k, v), asking, tokens)[0, 0]


def nearest(x: Tensor, centroids: Tensor) -> Tensor:
    return (on_sphere(x) @ centroids.T).argmax(-1)


def together(asking: Tensor, asked: Tensor, centroids: Tensor) -> Tensor:
    return nearest(asking, centroids)[:, None] == nearest(asked, centroids)


NEAREST_ONLY = Item(
    nearest_only,
    cluster_cases,
    (
        Mistake(
            "all keys",
            "Your queries attend to all keys, not to those of their cluster.",
            lambda q, k, v, centroids: routed(q, k, v, torch.ones(len(q), len(k), dtype=torch.bool)),
        ),
        Mistake(
            "mask turned around",
            "Your queries attend to the keys of all other clusters: True stands where a pair may attend.",
            lambda q, k, v, centroids: routed(q, k, v, ~together(q, k, centroids)),
        ),
        Mistake(
            "nothing where a cluster has no keys",
            "Queries whose cluster has no keys get nothing from you; let them attend to all keys.",
            lambda q, k, v, centroids: (
                nearest_only(q, k, v, centroids) * together(q, k, centroids).any(-1, keepdim=True)
            ),
        ),
        Mistake(
            "farthest centroid",
            "You take the centroid with the smallest dot product; the nearest one has the largest.",
            lambda q, k, v, centroids: routed(q, k, v, together(q, k, -centroids)),
        ),
        Mistake(
            "each centroid's nearest queries",
            "You give every centroid its nearest queries; here every query has its nearest centroid.",
            clusters_of_one_size,
        ),
        Mistake(
            "attends on the sphere",
            "Your queries and keys went through on_sphere for attention too; it is for the comparison only.",
            lambda q, k, v, centroids: routed(on_sphere(q), on_sphere(k), v, together(q, k, centroids)),
        ),
        Mistake(
            "clusters of the queries for the keys",
            "You let token j stand for its query as well as its key; the cluster of a key is that of k.",
            lambda q, k, v, centroids: routed(q, k, v, together(q, q, centroids)),
        ),
        Mistake(
            "no scale",
            "Your logits are too large: divide them by √D.",
            lambda q, k, v, centroids: routed(q, k, v, together(q, k, centroids), 1.0),
        ),
    ),
    (nearest_cluster_by_cluster, nearest_query_by_query),
)


def box_iou(one: Tensor, other: Tensor) -> Tensor:
    """Return the IoU of all pairs of boxes: the area of their intersection by that of their union.

    Shape: (N, 4), (K, 4) -> (N, K)
    A box is x0, y0, x1, y1, with x0 < x1 and y0 < y1. Boxes that do not meet have 0.
    """
    (x0, y0, x1, y1), (u0, v0, u1, v1) = one.T[:, :, None], other.T
    across = (torch.minimum(x1, u1) - torch.maximum(x0, u0)).clamp(min=0)
    both = across * (torch.minimum(y1, v1) - torch.maximum(y0, v0)).clamp(min=0)
    return both / ((x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - both)


def iou_pair_by_pair(one: Tensor, other: Tensor) -> Tensor:
    result = torch.zeros(len(one), len(other))
    for row, (x0, y0, x1, y1) in enumerate(one.tolist()):
        for column, (u0, v0, u1, v1) in enumerate(other.tolist()):
            across, down = min(x1, u1) - max(x0, u0), min(y1, v1) - max(y0, v0)
            if across > 0 and down > 0:
                areas = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0)
                result[row, column] = across * down / (areas - across * down)
    return result


def iou_by_corners(one: Tensor, other: Tensor) -> Tensor:
    low = torch.max(one[:, None, :2], other[None, :, :2])
    high = torch.min(one[:, None, 2:], other[None, :, 2:])
    both = torch.relu(high - low).prod(dim=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(dim=1) for boxes in (one, other)]
    return both / (areas[0].unsqueeze(1) + areas[1].unsqueeze(0) - both)


def random_boxes(generator: Generator, count: int, size: float) -> Tensor:
    """Draw boxes in a square, of a tenth of its side to nearly half."""
    sides = size * (0.1 + 0.35 * torch.rand(count, 2, generator=generator))
    low = (size - sides) * torch.rand(count, 2, generator=generator)
    return torch.cat([low, low + sides], dim=1)


def pair_cases(generator: Generator) -> list[Arguments]:
    """Draw boxes, after some that are equal, nested, touching, and apart along one axis and along both."""
    one = torch.tensor([[0.0, 0, 4, 4], [2, 2, 6, 4]])
    other = torch.tensor([[0.0, 0, 4, 4], [1, 1, 3, 2], [4, 0, 8, 4], [9, 1, 10, 3], [7, 7, 9, 10]])
    sizes = ((4, 4, 1.0), (5, 3, 30.0), (1, 6, 8.0), (7, 1, 8.0))
    drawn = [[random_boxes(generator, count, size) for count in (n, k)] for n, k, size in sizes]
    return [(one, other), *((first, second) for first, second in drawn)]


def lengths(one: Tensor, other: Tensor) -> Tensor:
    """Return how far each pair of boxes overlaps across and down, below 0 where they are apart."""
    return torch.minimum(one[:, None, 2:], other[:, 2:]) - torch.maximum(one[:, None, :2], other[:, :2])


def area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def over_union(both: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return both / (area(one)[:, None] + area(other) - both)


def shared(one: Tensor, other: Tensor) -> Tensor:
    return lengths(one, other).clamp(min=0).prod(-1)


def hull(one: Tensor, other: Tensor) -> Tensor:
    """Return the area of the smallest box around each pair."""
    far = torch.maximum(one[:, None, 2:], other[:, 2:]) - torch.minimum(one[:, None, :2], other[:, :2])
    return far.prod(-1)


def row_by_row(one: Tensor, other: Tensor) -> Tensor:
    low, high = torch.maximum(one[:, :2], other[:, :2]), torch.minimum(one[:, 2:], other[:, 2:])
    both = (high - low).clamp(min=0).prod(-1)
    return both / (area(one) + area(other) - both)


BOX_IOU = Item(
    box_iou,
    pair_cases,
    (
        Mistake(
            "negative lengths",
            "Where boxes are apart, the length that they share is negative; make it 0.",
            lambda one, other: over_union(lengths(one, other).prod(-1), one, other),
        ),
        Mistake(
            "product made 0 instead of its lengths",
            "Of boxes apart along both axes, both lengths are negative and the area is positive again; "
            "make each length 0 before you multiply.",
            lambda one, other: over_union(lengths(one, other).prod(-1).clamp(min=0), one, other),
        ),
        Mistake(
            "intersection counted twice",
            "The sum of both areas counts the intersection twice; take it off once for the union.",
            lambda one, other: shared(one, other) / (area(one)[:, None] + area(other)),
        ),
        Mistake(
            "share of the first box",
            "You divide by the area of the first box; divide by that of the union.",
            lambda one, other: shared(one, other) / area(one)[:, None],
        ),
        Mistake(
            "share of the smaller box",
            "You divide by the smaller area; divide by that of the union.",
            lambda one, other: shared(one, other) / torch.minimum(area(one)[:, None], area(other)),
        ),
        Mistake(
            "hull instead of union",
            "You divide by the box around both; the union is only what the two cover.",
            lambda one, other: shared(one, other) / hull(one, other),
        ),
        Mistake(
            "hull instead of intersection",
            "An intersection begins at the larger of both beginnings and ends at the smaller of both ends.",
            lambda one, other: over_union(hull(one, other), one, other),
        ),
        Mistake(
            "widths and heights",
            "You read x0, y0, width, height; the last two numbers are x1 and y1.",
            lambda one, other: box_iou(
                *(torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1) for boxes in (one, other))
            ),
        ),
        Mistake(
            "one pixel more",
            "You add 1 to each side. Here x1 and y1 are where a box ends: its width is x1 - x0.",
            lambda one, other: box_iou(*(boxes + torch.tensor([0, 0, 1, 1]) for boxes in (one, other))),
        ),
        Mistake(
            "one axis only",
            "You compare the boxes along x only; they must overlap along y too.",
            lambda one, other: box_iou(
                *(boxes * torch.tensor([1, 0, 1, 0]) + torch.tensor([0, 0, 0, 1]) for boxes in (one, other))
            ),
        ),
        Mistake(
            "transposed",
            "Your rows and columns are exchanged: a row belongs to a box of `one`.",
            lambda one, other: box_iou(other, one),
        ),
        Mistake(
            "row by row",
            "You compare box i with box i only. Give `one` another axis, `one[:, None]`, for all pairs.",
            row_by_row,
        ),
    ),
    (iou_pair_by_pair, iou_by_corners),
)


def dice(named: Tensor, pixels: Tensor, classes: int) -> Tensor:
    """Return the Dice coefficient of the ground and of each class: 2 · both / (named + meant).

    Shape: (H, W), (H, W) -> (1 + classes)
    `named` and `pixels` hold for each pixel the class that was named and the one that is meant, 0 for the
    ground. All three are counts of pixels. A class that is neither named nor meant has 0.
    """
    said, meant = (F.one_hot(of.flatten(), 1 + classes).float() for of in (named, pixels))
    both = (said * meant).sum(0)
    return (2 * both / (said.sum(0) + meant.sum(0))).nan_to_num()


def dice_class_by_class(named: Tensor, pixels: Tensor, classes: int) -> Tensor:
    result = torch.zeros(1 + classes)
    for number in range(1 + classes):
        said, meant = named == number, pixels == number
        if said.any() or meant.any():
            result[number] = 2 * (said & meant).sum() / (said.sum() + meant.sum())
    return result


def dice_by_table(named: Tensor, pixels: Tensor, classes: int) -> Tensor:
    kinds = 1 + classes
    table = (kinds * pixels + named).flatten().bincount(minlength=kinds * kinds).view(kinds, kinds)
    return 2 * table.diagonal() / (table.sum(0) + table.sum(1)).clamp(min=1)


def dice_of_sets(named: Tensor, pixels: Tensor, classes: int) -> Tensor:
    def places(of: Tensor, number: int) -> set[int]:
        return {place for place, name in enumerate(of.flatten().tolist()) if name == number}

    pairs = [(places(named, number), places(pixels, number)) for number in range(1 + classes)]
    return torch.tensor([2 * len(said & meant) / max(1, len(said) + len(meant)) for said, meant in pairs])


def pixel_cases(generator: Generator) -> list[Arguments]:
    """Draw classes of pixels; one is never named, one never meant, then the last neither."""
    named, pixels = torch.tensor([[[0, 1, 1], [0, 2, 4]], [[0, 0, 1], [1, 2, 3]]])
    cases: list[Arguments] = [(named, pixels, 4)]
    for height, width, classes in ((5, 4, 6), (3, 9, 7), (8, 8, 4), (1, 30, 5)):
        pixels = torch.randint(0, classes - 2, (height, width), generator=generator)
        named = torch.where(torch.rand(height, width, generator=generator) < 0.3, 0, pixels)
        named[0, :3], pixels[0, :4] = torch.tensor([1, 1, classes - 1]), torch.tensor([0, 1, 1, classes - 2])
        named[-1, -1], pixels[-1, -1] = 1, 0
        cases.append((named, pixels, classes))
    return cases


def counts(named: Tensor, pixels: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return how many pixels of each class are named and meant, named, meant."""
    both = named[named == pixels]
    said, meant, both = (of.flatten().bincount(minlength=1 + classes) for of in (named, pixels, both))
    return both, said, meant


def share(part: Tensor, whole: Tensor) -> Tensor:
    return part / whole.clamp(min=1)


def dice_with_nan(named: Tensor, pixels: Tensor, classes: int) -> Tensor:
    both, said, meant = counts(named, pixels, classes)
    return 2 * both / (said + meant)


def dice_as_iou(named: Tensor, pixels: Tensor, classes: int) -> Tensor:
    both, said, meant = counts(named, pixels, classes)
    return share(both, said + meant - both)


def share_of_named(named: Tensor, pixels: Tensor, classes: int) -> Tensor:
    both, said, _ = counts(named, pixels, classes)
    return share(both, said)


def dice_of_objects(named: Tensor, pixels: Tensor, classes: int) -> Tensor:
    return dice(named[pixels > 0], pixels[pixels > 0], classes)


DICE = Item(
    dice,
    pixel_cases,
    (
        Mistake(
            "IoU instead",
            "That is the IoU. Dice counts what both hold twice, and divides by the sum of both counts.",
            dice_as_iou,
        ),
        Mistake(
            "2 forgotten",
            "You forgot the 2: where all is right, named + meant is 2 · both.",
            lambda named, pixels, classes: dice(named, pixels, classes) / 2,
        ),
        Mistake(
            "nan for a class that does not occur",
            "A class that is neither named nor meant gives 0 / 0; let it have 0.",
            dice_with_nan,
        ),
        Mistake(
            "1 for a class that does not occur",
            "A class that is neither named nor meant has 1 with you; here it has 0.",
            lambda named, pixels, classes: dice_with_nan(named, pixels, classes).nan_to_num(nan=1.0),
        ),
        Mistake(
            "ground left out",
            "The ground, 0, comes first, before the classes.",
            lambda named, pixels, classes: dice(named, pixels, classes)[1:],
        ),
        Mistake(
            "last class left out",
            "There are 1 + classes numbers: the ground has 0, the last class has number `classes`.",
            lambda named, pixels, classes: dice(named, pixels, classes)[:-1],
        ),
        Mistake(
            "share of what is named",
            "You divide by the pixels named only; add those meant.",
            share_of_named,
        ),
        Mistake(
            "share of what is meant",
            "You divide by the pixels meant only; add those named.",
            lambda named, pixels, classes: share_of_named(pixels, named, classes),
        ),
        Mistake(
            "mean of the classes",
            "You take the mean; give the number of each class.",
            lambda named, pixels, classes: dice(named, pixels, classes).mean(),
        ),
        Mistake(
            "classes counted",
            "You count the classes that occur; there are `classes` of them, whether they occur or not.",
            lambda named, pixels, classes: dice(named, pixels, int(torch.maximum(named, pixels).max())),
        ),
        Mistake(
            "pixels of the ground not judged",
            "You judge the pixels of objects only. A class named on the ground is wrong too.",
            dice_of_objects,
        ),
    ),
    (dice_class_by_class, dice_by_table, dice_of_sets),
)


def suppress(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    """Return which boxes stay, the surest first: those that no surer one that stays overlaps too much.

    Shape: (N, 4), (N) -> (K)
    Boxes are x0, y0, x1, y1. Too much is an IoU above `overlap`. The answer holds the numbers of the boxes,
    int64. No two scores are equal.
    """
    apart = box_iou(boxes, boxes) <= overlap
    stay: list[int] = []
    for number in scores.argsort(descending=True).tolist():
        if apart[number, stay].all():
            stay.append(number)
    return torch.tensor(stay, dtype=torch.int64)


def suppress_by_striking_out(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    left, stay = scores.clone(), []
    while (left > -math.inf).any():
        surest = int(left.argmax())
        stay.append(surest)
        left[iou_by_corners(boxes[surest : surest + 1], boxes)[0] > overlap] = -math.inf
        left[surest] = -math.inf
    return torch.tensor(stay).long()


def suppress_all_at_once(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    order = scores.sort(descending=True).indices
    strikes = (iou_pair_by_pair(boxes[order], boxes[order]) > overlap).tril(-1)
    stay = torch.ones(len(order), dtype=torch.bool)
    for _ in order:  # after step k, the first k are decided
        stay = ~(strikes & stay).any(1)
    return order[stay]


def answer_cases(generator: Generator) -> list[Arguments]:
    """Draw boxes and scores, after a chain of three, equal ones, and an overlap of just as much as may be."""
    chain = torch.tensor([[0.0, 0, 8, 4], [9, 5, 12, 9], [6, 0, 14, 4], [3, 0, 11, 4], [0, 10, 4, 12]])
    more = torch.tensor([[0.0, 10, 4, 14], [9, 5, 12, 9]])
    boxes = torch.cat([chain, more])
    scores = torch.tensor([0.9, 0.3, 0.7, 0.8, 0.2, 0.6, 0.5])
    cases: list[Arguments] = [(chain, scores[:5], 0.3), (boxes, scores, 0.5), (boxes, scores, 1.0)]
    for count, overlap in ((12, 0.0), (30, 0.15), (25, 0.4), (1, 0.5)):
        drawn = torch.randperm(count, generator=generator) / 64
        cases.append((random_boxes(generator, count, 8.0), drawn + 1 / 64, overlap))
    return cases


def surest_first(boxes: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
    """Return the order of the boxes, and the IoU of all pairs in it."""
    order = scores.argsort(descending=True)
    return order, box_iou(boxes[order], boxes[order])


def against_all(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    order, pairs = surest_first(boxes, scores)
    return order[~(pairs > overlap).tril(-1).any(1)]


def against_the_first(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    order, pairs = surest_first(boxes, scores)
    struck = pairs[:, :1].flatten() > overlap
    struck[:1] = False
    return order[~struck]


def against_the_last(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    order, pairs = surest_first(boxes, scores)
    stay: list[int] = []
    for number in range(len(order)):
        if not stay or pairs[number, stay[-1]] <= overlap:
            stay.append(number)
    return order[stay]


def struck_at_equality(boxes: Tensor, scores: Tensor, overlap: float) -> Tensor:
    return suppress(boxes, scores, math.nextafter(overlap, -1) - 1e-6)


SUPPRESS = Item(
    suppress,
    answer_cases,
    (
        Mistake(
            "compared with boxes that are gone",
            "You compare with all surer boxes. One that is gone itself no longer drives others out.",
            against_all,
        ),
        Mistake(
            "compared with the surest only",
            "You only take out what overlaps the surest box; go on with the next that is left.",
            against_the_first,
        ),
        Mistake(
            "compared with the last one only",
            "You compare with the last box that stayed; compare with all that stayed.",
            against_the_last,
        ),
        Mistake(
            "least sure first",
            "You begin with the lowest score; begin with the highest.",
            lambda boxes, scores, overlap: suppress(boxes, -scores, overlap),
        ),
        Mistake(
            "in the order of the boxes",
            "You go through the boxes as they come; sort them by their scores first.",
            lambda boxes, scores, overlap: suppress(boxes, -torch.arange(len(boxes)), overlap),
        ),
        Mistake(
            "numbers sorted",
            "The right boxes stay, but give them by their scores, the surest first.",
            lambda boxes, scores, overlap: suppress(boxes, scores, overlap).sort().values,
        ),
        Mistake(
            "numbers in the sorted list",
            "Your numbers count the sorted boxes; give those that the boxes had before you sorted them.",
            lambda boxes, scores, overlap: suppress(
                boxes[scores.argsort(descending=True)], -torch.arange(len(boxes)), overlap
            ),
        ),
        Mistake(
            "gone at equality",
            "A box goes when its IoU is above `overlap`; one of just as much stays.",
            struck_at_equality,
        ),
        Mistake(
            "true and false instead of numbers",
            "You say of each box whether it stays; give the numbers of those that do.",
            lambda boxes, scores, overlap: torch.isin(
                torch.arange(len(boxes)), suppress(boxes, scores, overlap)
            ),
        ),
        Mistake(
            "boxes instead of numbers",
            "You give the boxes that stay; give their numbers.",
            lambda boxes, scores, overlap: boxes[suppress(boxes, scores, overlap)],
        ),
        Mistake(
            "those that go",
            "You give the boxes that go; give those that stay.",
            lambda boxes, scores, overlap: (order := scores.argsort(descending=True))[
                ~torch.isin(order, suppress(boxes, scores, overlap))
            ],
        ),
        Mistake(
            "chosen by score",
            "You compare the scores with `overlap`; compare the IoU of the boxes.",
            lambda boxes, scores, overlap: (order := scores.argsort(descending=True))[
                scores[order] > overlap
            ],
        ),
    ),
    (suppress_by_striking_out, suppress_all_at_once),
)


ITEMS = (
    COUNT_KINDS,
    TO_MAP,
    MIXED,
    ATTENTION_ONLY,
    VIT_PRODUCTS,
    CAUSAL,
    NEAREST_ONLY,
    BOX_IOU,
    DICE,
    SUPPRESS,
)
