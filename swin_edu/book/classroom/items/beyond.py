"""Checks of the exercises of chapters 9 to 13."""

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


ITEMS = (COUNT_KINDS, TO_MAP, MIXED, ATTENTION_ONLY, VIT_PRODUCTS, CAUSAL, NEAREST_ONLY)
