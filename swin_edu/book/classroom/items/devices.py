"""Checks of the exercises of chapter 15."""

import math

import torch
from torch import Generator, Tensor

from swin_edu.book.classroom.item import Arguments, Item, Mistake


def holders(height: int, window: int, ranks: int) -> Tensor:
    """Return the rank that holds each row of a map of `height` rows.

    Shape: -> (height)
    The map has ceil(height / window) rows of windows, the last of which may be incomplete. Rank r begins with
    row of windows count · r // ranks, where count is their number, and ends where rank r + 1 begins.
    """
    count = math.ceil(height / window)
    result = torch.zeros(height, dtype=torch.int64)
    for rank in range(ranks):
        result[count * rank // ranks * window :] = rank  # the next ranks overwrite theirs
    return result


def holders_row_by_row(height: int, window: int, ranks: int) -> Tensor:
    count = len(range(0, height, window))
    begins = [count * rank // ranks for rank in range(ranks)]
    return torch.tensor(
        [max(rank for rank in range(ranks) if begins[rank] <= row // window) for row in range(height)]
    )


def holders_by_borders(height: int, window: int, ranks: int) -> Tensor:
    borders = (height + window - 1) // window * torch.arange(1, ranks) // ranks * window
    return torch.bucketize(torch.arange(height), borders, right=True)


def holders_by_division(height: int, window: int, ranks: int) -> Tensor:
    return ((torch.arange(height) // window + 1) * ranks - 1) // -(-height // window)


def row_cases(generator: Generator) -> list[Arguments]:
    """Draw heights, windows and ranks, after some with idle ranks and one with an incomplete window only."""
    drawn = torch.randint(20, 60, (3,), generator=generator).tolist()
    sizes = [(10, 4, 2), (56, 7, 4), (14, 7, 5), (5, 8, 3), (9, 3, 1), (45, 4, 5)]
    return [*sizes, *((height, window, 4) for height, window in zip(drawn, (3, 5, 7), strict=True))]


def filled(height: int, borders: list[int]) -> Tensor:
    """Give rank r the rows from border r to border r + 1; rows that nobody holds have 0."""
    result = torch.zeros(height, dtype=torch.int64)
    for rank, first in enumerate(borders[:-1]):
        result[first : borders[rank + 1]] = rank
    return result


def first_take_more(height: int, window: int, ranks: int) -> Tensor:
    each, more = divmod(math.ceil(height / window), ranks)
    return filled(height, [window * (each * rank + min(rank, more)) for rank in range(ranks + 1)])


HOLDERS = Item(
    holders,
    row_cases,
    (
        Mistake(
            "windows cut apart",
            "You split the rows without regard to windows, and some windows lie on two ranks. "
            "Split the rows of windows.",
            lambda height, window, ranks: filled(
                height, [height * rank // ranks for rank in range(ranks + 1)]
            ),
        ),
        Mistake(
            "incomplete windows forgotten",
            "You round the number of rows of windows down; round it up, the last, incomplete one counts too.",
            lambda height, window, ranks: filled(
                height, [height // window * rank // ranks * window for rank in range(ranks + 1)]
            ),
        ),
        Mistake(
            "rows of incomplete windows dropped",
            "The rows of the last, incomplete windows are missing; they have a rank too.",
            lambda height, window, ranks: holders(height // window * window, window, ranks),
        ),
        Mistake(
            "incomplete windows given to the last rank",
            "You count only complete windows and give the last rows to the last rank. "
            "Count the incomplete ones too before you split.",
            lambda height, window, ranks: filled(
                height, [*(height // window * rank // ranks * window for rank in range(ranks)), height]
            ),
        ),
        Mistake(
            "as many as the fullest rank holds",
            "You give every rank as many rows of windows as the fullest has, so few or none are left for the "
            "last. Rank r begins at count · r // ranks.",
            lambda height, window, ranks: (
                torch.arange(height) // window // math.ceil(math.ceil(height / window) / ranks)
            ),
        ),
        Mistake(
            "last rank takes the rest",
            "Your last rank takes all that is left of the division. "
            "Multiply by r before you divide: count · r // ranks.",
            lambda height, window, ranks: filled(
                height,
                [*(math.ceil(height / window) // ranks * rank * window for rank in range(ranks)), height],
            ),
        ),
        Mistake(
            "first ranks take the rest",
            "Your split is as even, but its borders are others: rank r begins at count · r // ranks.",
            first_take_more,
        ),
        Mistake(
            "borders rounded up",
            "You round the borders up; rank r begins at count · r // ranks, rounded down.",
            lambda height, window, ranks: (
                torch.arange(height) // window * ranks // math.ceil(height / window)
            ),
        ),
        Mistake(
            "dealt out in turn",
            "You deal the rows of windows out in turn; each rank holds neighbours.",
            lambda height, window, ranks: torch.arange(height) // window % ranks,
        ),
        Mistake(
            "ranks counted from 1",
            "You count the ranks from 1; the first is rank 0.",
            lambda height, window, ranks: holders(height, window, ranks) + 1,
        ),
        Mistake(
            "rows of windows instead of rows",
            "You give one number for each row of windows; give one for each row of tokens.",
            lambda height, window, ranks: holders(height, window, ranks)[::window],
        ),
        Mistake(
            "borders not times the window",
            "Your borders count rows of windows; multiply them by the window to get rows of tokens.",
            lambda height, window, ranks: filled(
                height, [math.ceil(height / window) * rank // ranks for rank in range(ranks + 1)]
            ),
        ),
        Mistake(
            "rows of padding too",
            "You give a rank to rows of padding too; stop after the `height` rows of the map.",
            lambda height, window, ranks: holders(math.ceil(height / window) * window, window, ranks),
        ),
    ),
    (holders_row_by_row, holders_by_borders, holders_by_division),
)


def halo_bytes(height: int, width: int, channels: int, window: int, ranks: int) -> int:
    """Count the bytes that all ranks together send in one shifted block, for a map of numbers in float32.

    The map has `height` × `width` tokens. It is padded until windows divide it, and its rows are spread as
    `holders` does. The roll is by window // 2: of the ranks that hold rows, each sends its first window // 2
    rows, with their padding, to the one before, the first to the last; after attention they go back. Where
    one rank holds all rows, nothing is sent.
    """
    holding = min(ranks, math.ceil(height / window))
    borders = holding if holding > 1 else 0
    tokens = window // 2 * math.ceil(width / window) * window  # at one border
    return 2 * borders * tokens * channels * 4


def halo_row_by_row(height: int, width: int, channels: int, window: int, ranks: int) -> int:
    rows = height + -height % window
    held, total = holders_by_division(rows, window, ranks).tolist(), 0
    for place in range(rows):
        row = (place + window // 2) % rows  # that stands here after the roll
        if held[row] != held[place]:
            total += len(range(0, width, window)) * window * channels
    return total * 4 + total * 4


def halo_by_roll(height: int, width: int, channels: int, window: int, ranks: int) -> Tensor:
    held = holders_by_borders((height + window - 1) // window * window, window, ranks)
    moved = torch.cat([held.roll(-(window // 2)) != held, held.roll(window // 2) != held])
    return moved.sum() * torch.empty((width + window - 1) // window, window, channels).nbytes


def halo_cases(generator: Generator) -> list[Arguments]:
    """Draw small maps; before them one of Swin-T, idle ranks, one row of windows, one rank, and no shift."""
    drawn = torch.randint(6, 40, (4, 2), generator=generator).tolist()
    sizes = [(8, 6, 3, 4, 2), (56, 56, 96, 7, 4), (14, 25, 2, 6, 5), (6, 20, 4, 8, 3), (30, 15, 2, 7, 1)]
    return [*sizes, (9, 5, 6, 1, 3), *((*side, 5, 3 + number, 3) for number, side in enumerate(drawn))]


def halo_with(
    height: int,
    width: int,
    channels: int,
    window: int,
    ranks: int,
    borders: int | None = None,
    rows: int | None = None,
    tokens: int | None = None,
) -> int:
    """Count as halo_bytes does, but with other borders, rows at each, or tokens in a row."""
    holding = min(ranks, math.ceil(height / window))
    borders = holding * (holding > 1) if borders is None else borders
    rows = window // 2 if rows is None else rows
    tokens = math.ceil(width / window) * window if tokens is None else tokens
    return 8 * borders * rows * tokens * channels


HALO_BYTES = Item(
    halo_bytes,
    halo_cases,
    (
        Mistake(
            "one way only",
            "You count one way only; after attention the rows go back.",
            lambda height, width, channels, window, ranks: (
                halo_bytes(height, width, channels, window, ranks) // 2
            ),
        ),
        Mistake(
            "4 bytes forgotten",
            "You count numbers; each has 4 bytes in float32.",
            lambda height, width, channels, window, ranks: (
                halo_bytes(height, width, channels, window, ranks) // 4
            ),
        ),
        Mistake(
            "channels forgotten",
            "You count one number for each token; it has `channels` of them.",
            lambda height, width, channels, window, ranks: halo_bytes(height, width, 1, window, ranks),
        ),
        Mistake(
            "no border between first and last",
            "You count one border too few: the roll wraps round, so the first rank sends rows to the last.",
            lambda height, width, channels, window, ranks: halo_with(
                height,
                width,
                channels,
                window,
                ranks,
                borders=min(ranks, math.ceil(height / window)) - 1,
            ),
        ),
        Mistake(
            "one rank only",
            "You count what one rank sends; multiply by the number of ranks that send.",
            lambda height, width, channels, window, ranks: halo_with(
                height,
                width,
                channels,
                window,
                ranks,
                borders=int(min(ranks, math.ceil(height / window)) > 1),
            ),
        ),
        Mistake(
            "idle ranks counted",
            "You count ranks that hold no rows; they send nothing. "
            "There are never more ranks with rows than rows of windows.",
            lambda height, width, channels, window, ranks: halo_with(
                height, width, channels, window, ranks, borders=ranks * (ranks > 1 and height > window)
            ),
        ),
        Mistake(
            "as many borders as ranks",
            "You count as many borders as ranks. Ranks without rows send nothing, "
            "and where one rank holds all rows, nothing is sent at all.",
            lambda height, width, channels, window, ranks: halo_with(
                height, width, channels, window, ranks, borders=ranks * (ranks > 1)
            ),
        ),
        Mistake(
            "shift of a single row of windows",
            "Where one window covers the height, one rank holds all rows and they are not shifted: 0 bytes.",
            lambda height, width, channels, window, ranks: halo_with(
                height,
                width,
                channels,
                window,
                ranks,
                borders=min(ranks, math.ceil(height / window)) * (ranks > 1),
            ),
        ),
        Mistake(
            "a single rank sends",
            "With one rank the rolled rows stay where they are: 0 bytes.",
            lambda height, width, channels, window, ranks: halo_with(
                height,
                width,
                channels,
                window,
                ranks,
                borders=min(ranks, math.ceil(height / window)) * (height > window),
            ),
        ),
        Mistake(
            "a rank sends to itself",
            "Where only one rank holds rows, you let it send to itself; that is 0 bytes.",
            lambda height, width, channels, window, ranks: halo_with(
                height, width, channels, window, ranks, borders=min(ranks, math.ceil(height / window))
            ),
        ),
        Mistake(
            "width not padded",
            "Padding is sent too: round the width up to a multiple of the window.",
            lambda height, width, channels, window, ranks: halo_with(
                height, width, channels, window, ranks, tokens=width
            ),
        ),
        Mistake(
            "width rounded down",
            "You round the width down to a multiple of the window; round it up, since the map is padded.",
            lambda height, width, channels, window, ranks: halo_bytes(
                height, width // window * window, channels, window, ranks
            ),
        ),
        Mistake(
            "incomplete row of windows forgotten",
            "You round the number of rows of windows down; an incomplete one has a rank too, so round up.",
            lambda height, width, channels, window, ranks: halo_bytes(
                height // window * window, width, channels, window, ranks
            ),
        ),
        Mistake(
            "height instead of width",
            "Rows are sent, and a row is as long as the map is wide; you take the height.",
            lambda height, width, channels, window, ranks: halo_with(
                height, width, channels, window, ranks, tokens=math.ceil(height / window) * window
            ),
        ),
        Mistake(
            "whole rows of windows sent",
            "You send whole rows of windows; the roll moves window // 2 rows over each border.",
            lambda height, width, channels, window, ranks: halo_with(
                height, width, channels, window, ranks, rows=window
            ),
        ),
        Mistake(
            "shift rounded up",
            "You round the shift up; it is window // 2, rounded down.",
            lambda height, width, channels, window, ranks: halo_with(
                height, width, channels, window, ranks, rows=math.ceil(window / 2)
            ),
        ),
        Mistake(
            "all rows sent",
            "You let every rank send all of its rows; only the first window // 2 of them leave it.",
            lambda height, width, channels, window, ranks: halo_with(
                height,
                width,
                channels,
                window,
                ranks,
                borders=int(min(ranks, math.ceil(height / window)) > 1),
                rows=math.ceil(height / window) * window,
            ),
        ),
    ),
    (halo_row_by_row, halo_by_roll),
)


def ring_scatter(parts: Tensor) -> Tensor:
    """Return what each rank has after the first half of an all-reduce in a ring.

    Shape: (R, R, K) -> (R, R, K)
    At first rank r has the R pieces `parts[r]` of K numbers. In each step t = 0, …, R - 2 all ranks send at
    once: rank r sends its piece (r - t) mod R to rank (r + 1) mod R, which adds it to its own piece of that
    number. At the end piece (r + 1) mod R of rank r is complete: the sum over all ranks.
    """
    parts, rank = parts.clone(), torch.arange(len(parts))
    for step in range(len(parts) - 1):
        piece = (rank - step) % len(parts)
        parts[(rank + 1) % len(parts), piece] += parts[rank, piece]
    return parts


def ring_by_messages(parts: Tensor) -> Tensor:
    ranks = len(parts)
    held = [list(pieces.unbind()) for pieces in parts]
    for step in range(1, ranks):
        pieces = [(rank + 1 - step) % ranks for rank in range(ranks)]
        messages = [held[rank][piece] for rank, piece in enumerate(pieces)]
        for rank in range(ranks):
            held[rank][pieces[rank - 1]] = held[rank][pieces[rank - 1]] + messages[rank - 1]
    return torch.stack([torch.stack(pieces) for pieces in held])


def ring_by_sums(parts: Tensor) -> Tensor:
    """Sum piece p of rank r over the ranks from p, where its way begins, to r."""
    ranks = len(parts)
    result = torch.empty_like(parts)
    for rank in range(ranks):
        for piece in range(ranks):
            way = [(piece + step) % ranks for step in range((rank - piece) % ranks + 1)]
            result[rank, piece] = parts[way, piece].sum(0)
    return result


def ring_cases(generator: Generator) -> list[Arguments]:
    """Draw pieces; in the first case a sum's places tell which ranks are in it, its digits which piece."""
    told = torch.tensor([1.0, 10.0, 100.0])[:, None, None] * torch.tensor([1.0, 2.0, 3.0])[:, None]
    sizes = ((2, 3), (1, 2), (5, 3), (4, 1), (6, 2))
    return [(told,), *((torch.randn(ranks, ranks, k, generator=generator),) for ranks, k in sizes)]


def around(parts: Tensor, steps: int, after: int = 1, turn: int = -1, sent: Tensor | None = None) -> Tensor:
    """Send pieces so many steps and so many ranks on; with `sent` always its pieces, never sums."""
    parts, rank = parts.clone(), torch.arange(len(parts))
    for step in range(steps):
        piece = (rank + turn * step) % len(parts)
        parts[(rank + after) % len(parts), piece] += (parts if sent is None else sent)[rank, piece]
    return parts


def rank_after_rank(parts: Tensor) -> Tensor:
    parts, ranks = parts.clone(), len(parts)
    for rank in range(ranks):
        for step in range(ranks - 1):
            piece = (rank - step) % ranks
            parts[(rank + 1) % ranks, piece] += parts[rank, piece]
    return parts


def ring_that_replaces(parts: Tensor) -> Tensor:
    parts, rank = parts.clone(), torch.arange(len(parts))
    for step in range(len(parts) - 1):
        piece = (rank - step) % len(parts)
        parts[(rank + 1) % len(parts), piece] = parts[rank, piece]
    return parts


def ring_that_gives_away(parts: Tensor) -> Tensor:
    parts, rank = parts.clone(), torch.arange(len(parts))
    for step in range(len(parts) - 1):
        piece = (rank - step) % len(parts)
        parts[(rank + 1) % len(parts), piece] += parts[rank, piece]
        parts[rank, piece] = 0
    return parts


def open_ring(parts: Tensor) -> Tensor:
    parts, rank = parts.clone(), torch.arange(len(parts) - 1)
    for step in range(len(parts) - 1):
        piece = (rank - step) % len(parts)
        parts[rank + 1, piece] += parts[rank, piece]
    return parts


RING_SCATTER = Item(
    ring_scatter,
    ring_cases,
    (
        Mistake(
            "one rank after the other",
            "You let a rank send all its pieces before the next begins, so it sends sums that lack parts. "
            "Make the steps the outer loop.",
            rank_after_rank,
        ),
        Mistake(
            "pieces of the beginning sent",
            "You always send the pieces of the beginning; send on what has been added to them since.",
            lambda parts: around(parts, len(parts) - 1, sent=parts),
        ),
        Mistake(
            "sent to the rank before",
            "You send to rank r - 1; send to rank (r + 1) mod R.",
            lambda parts: around(parts, len(parts) - 1, after=-1),
        ),
        Mistake(
            "ring the other way round",
            "Your ring runs the other way round: send piece (r - t) mod R to rank (r + 1) mod R.",
            lambda parts: around(parts, len(parts) - 1, after=-1, turn=1),
        ),
        Mistake(
            "one step too many",
            "You go R steps, and the last one counts parts of the sums twice; go R - 1.",
            lambda parts: around(parts, len(parts)),
        ),
        Mistake(
            "one step too few",
            "You go R - 2 steps, and no piece is complete; go R - 1.",
            lambda parts: around(parts, len(parts) - 2),
        ),
        Mistake(
            "one step only",
            "You go one step only; go R - 1.",
            lambda parts: around(parts, min(1, len(parts) - 1)),
        ),
        Mistake(
            "always the same piece",
            "Each rank sends the same piece in every step; in step t send piece (r - t) mod R.",
            lambda parts: around(parts, len(parts) - 1, turn=0),
        ),
        Mistake(
            "piece r + t",
            "You send piece (r + t) mod R; send (r - t) mod R, the one that has just arrived.",
            lambda parts: around(parts, len(parts) - 1, turn=1),
        ),
        Mistake(
            "replaced instead of added",
            "What arrives replaces the piece; add it to the piece.",
            ring_that_replaces,
        ),
        Mistake(
            "sent and gone",
            "A rank loses what it sends; it keeps its piece and sends a copy.",
            ring_that_gives_away,
        ),
        Mistake(
            "last rank sends nothing",
            "Your ring is open: the last rank sends to rank 0.",
            open_ring,
        ),
        Mistake(
            "all sums everywhere",
            "You give every rank all sums. After this half, only piece (r + 1) mod R of rank r is complete.",
            lambda parts: parts.sum(0).expand_as(parts),
        ),
        Mistake(
            "complete pieces only",
            "You give the complete piece of each rank only; give all that each rank has.",
            lambda parts: parts.sum(0).roll(-1, 0),
        ),
        Mistake(
            "ranks and pieces exchanged",
            "You take the first axis for the pieces; it is that of the ranks.",
            lambda parts: ring_scatter(parts.transpose(0, 1)).transpose(0, 1),
        ),
    ),
    (ring_by_messages, ring_by_sums),
)


ITEMS = (HOLDERS, HALO_BYTES, RING_SCATTER)
