"""Checks of the exercises of chapter 16."""

import torch
from einops import rearrange
from torch import Generator, Tensor
from torch.nn import functional as F

from swin_edu.book.classroom.item import Arguments, Item, Mistake


def sliding_mask(height: int, width: int, window: int) -> Tensor:
    """Return which keys each query of a map may see if the window slides with the query.

    Shape: -> (H·W, H·W)
    True where the key lies at most window // 2 rows and columns from the query; tokens in order, row by row.
    """
    rows, columns = torch.arange(height), torch.arange(width)
    return joined(near(rows, window), near(columns, window))


def near(places: Tensor, window: int) -> Tensor:
    """Tell which places along a side are at most half a window apart."""
    return (places[:, None] - places).abs() <= window // 2


def joined(down: Tensor, across: Tensor) -> Tensor:
    """Return the pairs of tokens that are near in both directions."""
    return rearrange(down[:, None, :, None] & across[None, :, None], "h w y x -> (h w) (y x)")


def sliding_mask_by_loops(height: int, width: int, window: int) -> Tensor:
    result = torch.zeros(height, width, height, width, dtype=torch.bool)
    for row in range(height):
        for column in range(width):
            top, left = max(0, row - window // 2), max(0, column - window // 2)
            result[row, column, top : row + window // 2 + 1, left : column + window // 2 + 1] = True
    return result.reshape(height * width, height * width)


def sliding_mask_by_pooling(height: int, width: int, window: int) -> Tensor:
    reach = window // 2
    ones = torch.eye(height * width).view(-1, 1, height, width)
    return F.max_pool2d(ones, 2 * reach + 1, stride=1, padding=reach).flatten(1) > 0


def map_cases(generator: Generator) -> list[Arguments]:
    """Draw maps, after some small ones: one row, a window larger than the map, and one of a single token."""
    drawn = torch.randint(4, 9, (3, 2), generator=generator).tolist()
    return [(1, 5, 3), (3, 4, 3), (3, 3, 9), (4, 3, 1), *((*size, 5) for size in drawn)]


def wrapped(height: int, width: int, window: int) -> Tensor:
    """Let the window go on at the opposite border."""
    apart = [(torch.arange(size)[:, None] - torch.arange(size)).abs() for size in (height, width)]
    around = [torch.minimum(each, len(each) - each) <= window // 2 for each in apart]
    return joined(*around)


SLIDING_MASK = Item(
    sliding_mask,
    map_cases,
    (
        Mistake(
            "a whole window each way",
            "Your window reaches too far. It goes window // 2 to each side of its query.",
            lambda height, width, window: sliding_mask(height, width, 2 * window),
        ),
        Mistake(
            "around the border",
            "Your window goes on at the opposite border. A window that slides is cut off there.",
            wrapped,
        ),
        Mistake(
            "fixed windows",
            "Your windows are Swin's, in which many tokens see the same keys. Here each query has its own.",
            lambda height, width, window: joined(
                *(
                    torch.arange(size)[:, None] // window == torch.arange(size) // window
                    for size in (height, width)
                )
            ),
        ),
        Mistake(
            "a diamond",
            "You add the distances of rows and columns. A square window asks that each be small.",
            lambda height, width, window: sum_of_distances(height, width) <= window // 2,
        ),
        Mistake(
            "the other way round",
            "Your mask is True where a key is too far away. True means that the pair may attend.",
            lambda height, width, window: ~sliding_mask(height, width, window),
        ),
        Mistake(
            "tokens in a line",
            "You compare token numbers. The first of a row is no neighbour of the last of the "
            "row before; compare rows with rows and columns with columns.",
            lambda height, width, window: near(torch.arange(height * width), window),
        ),
        Mistake(
            "column by column",
            "You count the tokens column by column; count them row by row.",
            lambda height, width, window: sliding_mask(width, height, window),
        ),
    ),
    (sliding_mask_by_loops, sliding_mask_by_pooling),
)


def sum_of_distances(height: int, width: int) -> Tensor:
    """Return how many steps along rows and columns lie between two tokens."""
    places = torch.cartesian_prod(torch.arange(height), torch.arange(width))
    return (places[:, None] - places).abs().sum(-1)


ITEMS = (SLIDING_MASK,)
