"""Assignment 2: shift and mask."""

from itertools import product

import torch
from einops import rearrange
from torch import Generator, Tensor
from torch.nn import functional as F

from swin_edu.book.classroom.item import Arguments, Item, Mistake


def window_partition(x: Tensor, window: int) -> Tensor:
    """Cut maps of tokens into windows, row by row, and list the tokens of each, row by row.

    Shape: (B, H, W, C) -> (B·H·W/M/M, M·M, C)
    """
    return rearrange(x, "b (h m) (w n) c -> (b h w) (m n) c", m=window, n=window)


def window_reverse(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """Put windows back together into maps of `height` × `width` tokens: the inverse of window_partition.

    Shape: (B·H·W/M/M, M·M, C) -> (B, H, W, C)
    """
    h, w = height // window, width // window
    return rearrange(windows, "(b h w) (m n) c -> b (h m) (w n) c", h=h, w=w, m=window)


GIVEN = (window_partition, window_reverse)


def shifted_windows(x: Tensor, window: int, down: int, right: int) -> Tensor:
    """Cut maps into the windows of a shifted block: pad, roll, partition.

    Shape: (B, H, W, C) -> (B·ceil(H/M)·ceil(W/M), M·M, C)
    Zeros are added at the bottom and at the right until M divides both sides, none where it does already.
    Then the token at row `down`, column `right` comes to the upper left corner. Both shifts are 0 to M - 1.
    """
    bottom, side = -x.shape[1] % window, -x.shape[2] % window
    padded = F.pad(x, (0, 0, 0, side, 0, bottom))
    return window_partition(padded.roll((-down, -right), dims=(1, 2)), window)


def windows_by_places(x: Tensor, window: int, down: int, right: int) -> Tensor:
    b, height, width, c = x.shape
    rows, columns = (-(-size // window) * window for size in (height, width))
    windows = torch.zeros(b, rows // window, columns // window, window, window, c)
    for row, column in product(range(rows), range(columns)):
        old_row, old_column = (row + down) % rows, (column + right) % columns
        if old_row < height and old_column < width:
            place = row // window, column // window, row % window, column % window
            windows[:, place[0], place[1], place[2], place[3]] = x[:, old_row, old_column]
    return windows.flatten(3, 4).flatten(0, 2)


def windows_by_slices(x: Tensor, window: int, down: int, right: int) -> Tensor:
    bottom, side = -x.shape[1] % window, -x.shape[2] % window
    x = torch.cat([x, x.new_zeros(x.shape[0], bottom, x.shape[2], x.shape[3])], 1)
    x = torch.cat([x, x.new_zeros(x.shape[0], x.shape[1], side, x.shape[3])], 2)
    x = torch.cat([x[:, down:], x[:, :down]], 1)
    x = torch.cat([x[:, :, right:], x[:, :, :right]], 2)
    squares = x.unfold(1, window, window).unfold(2, window, window)
    return squares.permute(0, 1, 2, 4, 5, 3).flatten(3, 4).flatten(0, 2)


MAP_SIZES = (
    (2, 8, 8, 3, 4, 2, 2),
    (1, 7, 12, 2, 4, 3, 1),
    (3, 5, 3, 2, 3, 0, 1),
    (2, 6, 4, 2, 2, 1, 0),
    (1, 4, 4, 3, 4, 1, 2),
    (2, 2, 5, 2, 4, 2, 1),
)


def map_cases(generator: Generator) -> list[Arguments]:
    """Draw maps of tokens, some to be padded; the first counts its tokens from 1, so that 0 is padding."""
    counted = torch.arange(1.0, 21).reshape(1, 4, 5, 1)
    return [
        (counted, 3, 1, 2),
        *(
            (torch.randn(*sizes, generator=generator), *rest)
            for *sizes, m, d, r in MAP_SIZES
            for rest in [(m, d, r)]
        ),
    ]


def padded(x: Tensor, window: int) -> Tensor:
    """Pad maps at the bottom and at the right."""
    return F.pad(x, (0, 0, 0, -x.shape[2] % window, 0, -x.shape[1] % window))


SHIFTED_WINDOWS = Item(
    shifted_windows,
    map_cases,
    (
        Mistake(
            "rolled before padding",
            "You roll first, then pad: tokens from opposite edges become neighbours, with no padding between "
            "them. The other order keeps the seam where the mask expects it.",
            lambda x, window, down, right: window_partition(
                padded(x.roll((-down, -right), dims=(1, 2)), window), window
            ),
        ),
        Mistake(
            "rolled the wrong way",
            "Your map moves down and right; the token at row `down`, column `right` must come to the corner.",
            lambda x, window, down, right: window_partition(
                padded(x, window).roll((down, right), dims=(1, 2)), window
            ),
        ),
        Mistake(
            "shifts exchanged",
            "You roll the rows by `right` and the columns by `down`.",
            lambda x, window, down, right: window_partition(
                padded(x, window).roll((-right, -down), dims=(1, 2)), window
            ),
        ),
        Mistake(
            "not rolled",
            "These are the windows of a plain block; roll the map before you cut it.",
            lambda x, window, down, right: window_partition(padded(x, window), window),
        ),
        Mistake(
            "only rows rolled",
            "Your rows are rolled, your columns are not.",
            lambda x, window, down, right: window_partition(padded(x, window).roll(-down, dims=1), window),
        ),
        Mistake(
            "rolled inside each window",
            "You roll the tokens inside each window, so the same tokens stay together. Roll the map.",
            lambda x, window, down, right: (
                window_partition(padded(x, window), window)
                .unflatten(1, (window, window))
                .roll((-down, -right), dims=(1, 2))
                .flatten(1, 2)
            ),
        ),
        Mistake(
            "padded at the top and the left",
            "Your zeros stand before the first row and column; they belong behind the last.",
            lambda x, window, down, right: window_partition(
                F.pad(x, (0, 0, -x.shape[2] % window, 0, -x.shape[1] % window, 0)).roll(
                    (-down, -right), dims=(1, 2)
                ),
                window,
            ),
        ),
        Mistake(
            "a whole window of padding",
            "Where M divides a side already, nothing is added; you add M rows or columns there.",
            lambda x, window, down, right: window_partition(
                F.pad(x, (0, 0, 0, window - x.shape[2] % window, 0, window - x.shape[1] % window)).roll(
                    (-down, -right), dims=(1, 2)
                ),
                window,
            ),
        ),
        Mistake(
            "not padded, or other axes",
            "M does not divide the map when you cut it. Pad first; `F.pad` counts from the last axis: "
            "channels, then columns, then rows.",
            lambda x, window, down, right: window_partition(x.roll((-down, -right), dims=(1, 2)), window),
        ),
    ),
    (windows_by_places, windows_by_slices),
)


def unshifted(windows: Tensor, window: int, height: int, width: int, down: int, right: int) -> Tensor:
    """Put the windows of a shifted block back into maps of `height` × `width`: undo shifted_windows.

    Shape: (B·ceil(H/M)·ceil(W/M), M·M, C) -> (B, H, W, C)
    Every token comes to the place where it was before the roll, and what was padding is cut off.
    """
    rows, columns = height + -height % window, width + -width % window
    rolled = window_reverse(windows, window, rows, columns)
    return rolled.roll((down, right), dims=(1, 2))[:, :height, :width]


def unshifted_by_places(
    windows: Tensor, window: int, height: int, width: int, down: int, right: int
) -> Tensor:
    rows, columns = (-(-size // window) for size in (height, width))
    b = len(windows) // (rows * columns)
    x = torch.empty(b, height, width, windows.shape[-1])
    for row, column in product(range(height), range(width)):
        new_row, new_column = (row - down) % (rows * window), (column - right) % (columns * window)
        number = new_row // window * columns + new_column // window
        x[:, row, column] = windows[number :: rows * columns, new_row % window * window + new_column % window]
    return x


def unshifted_by_inverse(
    windows: Tensor, window: int, height: int, width: int, down: int, right: int
) -> Tensor:
    size = -(-height // window) * window, -(-width // window) * window
    numbers = torch.arange(float(size[0] * size[1])).reshape(1, *size, 1)
    order = shifted_windows(numbers, window, down, right).flatten().long()
    tokens = windows.reshape(-1, len(order), windows.shape[-1])
    return tokens[:, order.argsort()].unflatten(1, size)[:, :height, :width]


def shifted_cases(generator: Generator) -> list[Arguments]:
    """Draw the windows of maps as in `map_cases`; but for the first, what stands on padding is no zero."""
    (counted, window, *shifts), *others = map_cases(generator)
    cases = [(shifted_windows(counted, window, *shifts), window, *counted.shape[1:3], *shifts)]
    for x, window, *shifts in others:
        windows = shifted_windows(x, window, *shifts)
        drawn = torch.randn(windows.shape, generator=generator)
        cases.append((drawn, window, *x.shape[1:3], *shifts))
    return cases


def whole_map(windows: Tensor, window: int, height: int, width: int) -> Tensor:
    """Put windows back together into maps with their padding."""
    return window_reverse(windows, window, height + -height % window, width + -width % window)


UNSHIFTED = Item(
    unshifted,
    shifted_cases,
    (
        Mistake(
            "not rolled back",
            "Your map is still rolled: bring every token back to its own place.",
            lambda windows, window, height, width, down, right: whole_map(windows, window, height, width)[
                :, :height, :width
            ],
        ),
        Mistake(
            "rolled on instead of back",
            "You roll once more in the direction of the way in; the way back has the other sign.",
            lambda windows, window, height, width, down, right: whole_map(
                windows, window, height, width
            ).roll((-down, -right), dims=(1, 2))[:, :height, :width],
        ),
        Mistake(
            "cut before rolling back",
            "You cut the padding off while the map is rolled, where it is not at the edge. Undo the steps in "
            "reverse order.",
            lambda windows, window, height, width, down, right: whole_map(windows, window, height, width)[
                :, :height, :width
            ].roll((down, right), dims=(1, 2)),
        ),
        Mistake(
            "padding kept",
            "The tokens are in their places; now cut off what was padding.",
            lambda windows, window, height, width, down, right: whole_map(
                windows, window, height, width
            ).roll((down, right), dims=(1, 2)),
        ),
        Mistake(
            "cut at the top and the left",
            "You keep the last rows and columns; padding was added there, so keep the first.",
            lambda windows, window, height, width, down, right: whole_map(
                windows, window, height, width
            ).roll((down, right), dims=(1, 2))[:, -height:, -width:],
        ),
        Mistake(
            "shifts exchanged",
            "You roll the rows by `right` and the columns by `down`.",
            lambda windows, window, height, width, down, right: whole_map(
                windows, window, height, width
            ).roll((right, down), dims=(1, 2))[:, :height, :width],
        ),
        Mistake(
            "only rows rolled back",
            "Your rows are back in their places, your columns are not.",
            lambda windows, window, height, width, down, right: whole_map(
                windows, window, height, width
            ).roll(down, dims=1)[:, :height, :width],
        ),
        Mistake(
            "windows laid by columns",
            "You lay the windows column by column; they are listed row by row.",
            lambda windows, window, height, width, down, right: rearrange(
                windows,
                "(b w h) (m n) c -> b (h m) (w n) c",
                h=-(-height // window),
                w=-(-width // window),
                m=window,
            ).roll((down, right), dims=(1, 2))[:, :height, :width],
        ),
        Mistake(
            "padding forgotten",
            "The windows are those of the padded map; put them together at its size first.",
            lambda windows, window, height, width, down, right: window_reverse(
                windows, window, height, width
            ).roll((down, right), dims=(1, 2)),
        ),
    ),
    (unshifted_by_places, unshifted_by_inverse),
)


def moved_windows(height: int, width: int, window: int, down: int, right: int) -> Tensor:
    """Tell which window of a shifted block each token belongs to, on the map as it is before the roll.

    Shape: -> (H, W)
    The map is cut before row `down` and every M rows on, before column `right` and every M columns on. So
    windows at the edges can be smaller. They are numbered from 0, row by row, without gaps. Both shifts are
    0 to M - 1.
    """
    rows = (torch.arange(height) - down) // window
    columns = (torch.arange(width) - right) // window
    rows, columns = rows - rows[0], columns - columns[0]
    return rows[:, None] * (columns[-1] + 1) + columns


def moved_windows_by_slices(height: int, width: int, window: int, down: int, right: int) -> Tensor:
    ids = torch.zeros(height, width)
    tops, lefts = (
        sorted({0, *range(shift, size, window)}) for size, shift in ((height, down), (width, right))
    )
    for number, (top, left) in enumerate(product(tops, lefts)):
        ids[top:, left:] = number
    return ids


def moved_windows_by_names(height: int, width: int, window: int, down: int, right: int) -> Tensor:
    names = [
        [((row - down) // window, (column - right) // window) for column in range(width)]
        for row in range(height)
    ]
    order = sorted({name for row in names for name in row})
    return torch.tensor([[order.index(name) for name in row] for row in names])


def size_cases(generator: Generator) -> list[Arguments]:
    """Draw sizes of maps and windows, and two shifts."""
    fixed = [
        (4, 6, 2, 1, 1),
        (5, 8, 3, 1, 2),
        (6, 9, 3, 0, 1),
        (9, 4, 4, 3, 0),
        (4, 4, 4, 1, 3),
        (3, 2, 4, 1, 3),
    ]
    return [*fixed, *(drawn_size(generator) for _ in range(3))]


def drawn_size(generator: Generator) -> tuple[int, int, int, int, int]:
    """Draw the size of a map, a window and two shifts."""
    height, width = torch.randint(3, 11, (2,), generator=generator).tolist()
    window = int(torch.randint(2, 4, (1,), generator=generator))
    down, right = torch.randint(0, window, (2,), generator=generator).tolist()
    return height, width, window, down, right


def crossed(rows: Tensor, columns: Tensor) -> Tensor:
    """Number the crossings of numbered rows and columns."""
    return rows[:, None] * (columns.max() + 1) + columns


def moved(size: int, window: int, shift: int) -> Tensor:
    """Number the pieces of one side."""
    return (torch.arange(size) - shift) // window + (shift > 0)


MOVED_WINDOWS = Item(
    moved_windows,
    size_cases,
    (
        Mistake(
            "windows of a plain block",
            "Your cuts lie as in a plain block. The first belongs before row `down`, and column `right`.",
            lambda height, width, window, down, right: crossed(
                moved(height, window, 0), moved(width, window, 0)
            ),
        ),
        Mistake(
            "moved the wrong way",
            "Your windows are moved up and to the left: look at where the first cut lies.",
            lambda height, width, window, down, right: crossed(
                (torch.arange(height) + down) // window, (torch.arange(width) + right) // window
            ),
        ),
        Mistake(
            "opposite edges joined",
            "You number the windows of the rolled map, where top and bottom rows share a window. In the "
            "picture they are far apart, and the mask parts them.",
            lambda height, width, window, down, right: crossed(
                torch.arange(height + -height % window) // window,
                torch.arange(width + -width % window) // window,
            ).roll((down, right), (0, 1))[:height, :width],
        ),
        Mistake(
            "numbers used twice",
            "Some windows share a number. A shifted row has one window more, where the shift is not 0.",
            lambda height, width, window, down, right: (
                moved(height, window, down)[:, None] * -(-width // window) + moved(width, window, right)
            ),
        ),
        Mistake(
            "numbered by columns",
            "You count the windows down the columns; count along the rows.",
            lambda height, width, window, down, right: (
                crossed(moved(width, window, right), moved(height, window, down)).T
            ),
        ),
        Mistake(
            "shifts exchanged",
            "You use `right` for rows and `down` for columns.",
            lambda height, width, window, down, right: crossed(
                moved(height, window, right), moved(width, window, down)
            ),
        ),
        Mistake(
            "a window before an unmoved side",
            "Where a shift is 0 there is no smaller window at the start; you leave a number free for it.",
            lambda height, width, window, down, right: crossed(
                (torch.arange(height) - down) // window + 1, (torch.arange(width) - right) // window + 1
            ),
        ),
        Mistake(
            "nine regions instead of windows",
            "You have at most three pieces a side. That does for a mask, but here every window has a number.",
            lambda height, width, window, down, right: crossed(
                moved(height, window, down).clamp(max=2), moved(width, window, right).clamp(max=2)
            ),
        ),
        Mistake(
            "counted from 1",
            "Your numbers begin with 1; begin with 0.",
            lambda height, width, window, down, right: moved_windows(height, width, window, down, right) + 1,
        ),
        Mistake(
            "regions of the rolled map",
            "These are the regions of the rolled map; asked are the windows, before the roll.",
            lambda height, width, window, down, right: (
                2 * (torch.arange(height) >= height - down)[:, None]
                + 1 * (torch.arange(width) >= width - right)
            ),
        ),
    ),
    (moved_windows_by_slices, moved_windows_by_names),
)


def additive_mask(height: int, width: int, window: int, down: int, right: int) -> Tensor:
    """Make the mask that the authors' code adds to the logits: 0 where a pair may attend, -100 elsewhere.

    Shape: -> (ceil(H/M)·ceil(W/M), M·M, M·M)
    One table for each window of the padded, rolled map, as shifted_windows lists them. Two tokens of it may
    attend when they belong to one moved window. Padding is not forbidden: the moved windows are those of the
    padded map, and tokens of padding count like others.
    """
    rows, columns = height + -height % window, width + -width % window
    from_top = torch.arange(rows) >= rows - down
    from_left = torch.arange(columns) >= columns - right
    regions = 2 * from_top[:, None] + from_left
    regions = window_partition(regions[None, :, :, None], window)[..., 0]
    same = regions[:, :, None] == regions[:, None, :]
    return torch.where(same, 0.0, -100.0)


def mask_by_moved_windows(height: int, width: int, window: int, down: int, right: int) -> Tensor:
    rows, columns = -(-height // window) * window, -(-width // window) * window
    numbers = moved_windows(rows, columns, window, down, right).reshape(1, rows, columns, 1)
    groups = shifted_windows(numbers, window, down, right)
    return torch.where(groups == groups.transpose(1, 2), 0.0, -100.0)


def mask_pair_by_pair(height: int, width: int, window: int, down: int, right: int) -> Tensor:
    h, w = -(-height // window), -(-width // window)
    lasts = (h - 1) * window, (w - 1) * window
    tokens = list(product(range(window), range(window)))
    mask = torch.zeros(h, w, len(tokens), len(tokens))
    for (query, (y, x)), (key, (v, u)) in product(enumerate(tokens), enumerate(tokens)):
        if (y + lasts[0] < h * window - down) != (v + lasts[0] < h * window - down):
            mask[-1, :, query, key] = -100
        if (x + lasts[1] < w * window - right) != (u + lasts[1] < w * window - right):
            mask[:, -1, query, key] = -100
    return mask.flatten(0, 1)


def mask_cases(generator: Generator) -> list[Arguments]:
    """Draw sizes of maps, windows and shifts, small enough for tables of all pairs."""
    fixed = [
        (4, 4, 2, 1, 1),
        (5, 8, 3, 1, 2),
        (8, 4, 4, 1, 0),
        (4, 4, 4, 1, 3),
        (3, 6, 3, 0, 0),
        (2, 7, 3, 2, 1),
    ]
    return [*fixed, *(drawn_size(generator) for _ in range(2))]


def mask_of(regions: Tensor, window: int) -> Tensor:
    """Return the mask that keeps the regions of a map apart."""
    groups = window_partition(regions[None, :, :, None].float(), window)
    return torch.where(groups == groups.transpose(1, 2), 0.0, -100.0)


def late(size: int, window: int, shift: int) -> Tensor:
    """Tell which rows of the padded, rolled map came from the top."""
    size += -size % window
    return (torch.arange(size) >= size - shift).int()


def numbers_with_padding(height: int, width: int, window: int, down: int, right: int, padding: int) -> Tensor:
    """Number the moved windows of the map, give its padding one number, and roll."""
    numbers = moved_windows(height, width, window, down, right)
    numbers = F.pad(numbers, (0, -width % window, 0, -height % window), value=padding)
    return numbers.roll((-down, -right), (0, 1))


ADDITIVE_MASK = Item(
    additive_mask,
    mask_cases,
    (
        Mistake(
            "mask inverted",
            "You forbid the pairs that belong together, and allow the others.",
            lambda height, width, window, down, right: (
                -100 - additive_mask(height, width, window, down, right)
            ),
        ),
        Mistake(
            "1 and 0 instead of 0 and -100",
            "Your 1 and 0 say which pairs may attend. This mask is added to logits, where 0 changes nothing.",
            lambda height, width, window, down, right: (
                additive_mask(height, width, window, down, right) / 100 + 1
            ),
        ),
        Mistake(
            "minus infinity",
            "You forbid with −∞. The safer choice, but the task asks for the authors' −100.",
            lambda height, width, window, down, right: (
                additive_mask(height, width, window, down, right) * torch.inf
            ).nan_to_num(0.0, neginf=-torch.inf),
        ),
        Mistake(
            "seam of the map without padding",
            "You count the shift from the last row of the map; it is the padded map that is rolled.",
            lambda height, width, window, down, right: mask_of(
                2 * (torch.arange(height + -height % window) >= height - down)[:, None]
                + 1 * (torch.arange(width + -width % window) >= width - right),
                window,
            ),
        ),
        Mistake(
            "two regions with one number",
            "You add a row's number and a column's: upper right and lower left region get the same sum.",
            lambda height, width, window, down, right: mask_of(
                late(height, window, down)[:, None] + late(width, window, right), window
            ),
        ),
        Mistake(
            "only rows parted",
            "Rows from the top are parted from the others; columns from the left are not.",
            lambda height, width, window, down, right: mask_of(
                late(height, window, down)[:, None] + 0 * late(width, window, right), window
            ),
        ),
        Mistake(
            "seam at the wrong edge",
            "You part the first rows and columns; after the roll, those from top and left are the last.",
            lambda height, width, window, down, right: mask_of(
                2 * late(height, window, down).flip(0)[:, None] + late(width, window, right).flip(0), window
            ),
        ),
        Mistake(
            "shifts exchanged",
            "You use `right` for rows and `down` for columns.",
            lambda height, width, window, down, right: mask_of(
                2 * late(height, window, right)[:, None] + late(width, window, down), window
            ),
        ),
        Mistake(
            "windows listed by columns",
            "Each table is right, but they are listed column by column; list the windows row by row.",
            lambda height, width, window, down, right: (
                additive_mask(height, width, window, down, right)
                .unflatten(0, (-(-height // window), -(-width // window)))
                .transpose(0, 1)
                .flatten(0, 1)
            ),
        ),
        Mistake(
            "windows before the roll",
            "You cut the map as it was before the roll; the windows are those of the rolled map.",
            lambda height, width, window, down, right: mask_of(
                moved_windows(height + -height % window, width + -width % window, window, down, right), window
            ),
        ),
        Mistake(
            "padding in the first window",
            "Padding has got the number 0, that of the first window; number the padded map.",
            lambda height, width, window, down, right: mask_of(
                numbers_with_padding(height, width, window, down, right, 0), window
            ),
        ),
        Mistake(
            "padding forbidden",
            "You forbid padding; here it continues the map.",
            lambda height, width, window, down, right: mask_of(
                numbers_with_padding(height, width, window, down, right, -1), window
            ),
        ),
    ),
    (mask_by_moved_windows, mask_pair_by_pair),
)


def heard(height: int, width: int, window: int, shift: int, blocks: int) -> Tensor:
    """Tell of whom each token has heard after some blocks: plain and shifted windows in turn, plain first.

    Shape: -> (H·W, H·W)
    Row i, column j is True when the output of token i depends on the input of token j. Tokens are numbered
    row by row. Every second block moves its windows by `shift`, 0 to M - 1, down and right, and has its mask.
    M need not divide the sides; padding changes nothing here.
    """
    rows, columns = torch.cartesian_prod(torch.arange(height), torch.arange(width)).T
    known = torch.eye(height * width)
    for block in range(blocks):
        moved = shift if block % 2 else 0
        down, right = (rows - moved) // window, (columns - moved) // window
        together = (down[:, None] == down) & (right[:, None] == right)
        known = together.float() @ known  # who hears a token, hears of all that it has heard of
    return known > 0


def heard_by_sets(height: int, width: int, window: int, shift: int, blocks: int) -> Tensor:
    tokens = list(product(range(height), range(width)))
    known = [{token} for token in range(len(tokens))]
    for block in range(blocks):
        start = shift * (block % 2)
        names = [((row - start) // window, (column - start) // window) for row, column in tokens]
        groups: dict[tuple[int, int], set[int]] = {}
        for name, news in zip(names, known, strict=True):
            groups[name] = groups.get(name, set()) | news
        known = [groups[name] for name in names]
    return torch.tensor([[token in news for token in range(len(tokens))] for news in known])


def heard_from_behind(height: int, width: int, window: int, shift: int, blocks: int) -> Tensor:
    windows = (moved_windows(height, width, window, 0, 0), moved_windows(height, width, window, shift, shift))
    result = torch.eye(height * width, dtype=torch.bool)
    for block in reversed(range(blocks)):
        numbers = windows[block % 2].flatten()
        together = numbers[:, None] == numbers
        result = (result[:, :, None] & together[None]).any(1)
    return result


def block_cases(generator: Generator) -> list[Arguments]:
    """Draw small maps and numbers of blocks; the first is a single row."""
    fixed = [
        (1, 8, 2, 1, 2),
        (2, 6, 2, 1, 1),
        (5, 6, 3, 1, 2),
        (3, 9, 3, 2, 3),
        (4, 4, 4, 2, 2),
        (4, 3, 2, 0, 2),
    ]
    height, width = torch.randint(3, 6, (2,), generator=generator).tolist()
    return [*fixed, (height, width, 2, 1, int(torch.randint(2, 5, (1,), generator=generator)))]


def shared(height: int, width: int, window: int, down: int, right: int) -> Tensor:
    """Tell which tokens share a moved window, as 0 and 1."""
    numbers = moved_windows(height, width, window, down, right).flatten()
    return (numbers[:, None] == numbers).float()


def passed_on(first: Tensor, second: Tensor, blocks: int) -> Tensor:
    """Tell who has heard of whom after blocks with two kinds of windows in turn."""
    return ways(first, second, blocks) > 0


def ways(first: Tensor, second: Tensor, blocks: int) -> Tensor:
    """Count the ways of the news through blocks with two kinds of windows in turn."""
    known = torch.eye(len(first))
    for block in range(blocks):
        known = (second if block % 2 else first) @ known
    return known


HEARD = Item(
    heard,
    block_cases,
    (
        Mistake(
            "rows and columns exchanged",
            "Your row i says who has heard of token i. It should say of whom token i has heard.",
            lambda height, width, window, shift, blocks: heard(height, width, window, shift, blocks).T,
        ),
        Mistake(
            "shifted block first",
            "You begin with a shifted block; the first block is plain.",
            lambda height, width, window, shift, blocks: passed_on(
                shared(height, width, window, shift, shift), shared(height, width, window, 0, 0), blocks
            ),
        ),
        Mistake(
            "never shifted",
            "All your blocks have the same windows, and no token hears of another window.",
            lambda height, width, window, shift, blocks: shared(height, width, window, 0, 0) > 0,
        ),
        Mistake(
            "last block only",
            "You tell who attends to whom in the last block. News from the blocks before is passed on.",
            lambda height, width, window, shift, blocks: (
                shared(height, width, window, *[shift * (1 - blocks % 2)] * 2) > 0
            ),
        ),
        Mistake(
            "blocks joined instead of chained",
            "You take the pairs that meet in some block. A token also hears what its partners have heard.",
            lambda height, width, window, shift, blocks: (
                shared(height, width, window, 0, 0)
                + (blocks > 1) * shared(height, width, window, shift, shift)
                > 0
            ),
        ),
        Mistake(
            "one block too many",
            "You let the news go one block further than asked.",
            lambda height, width, window, shift, blocks: heard(height, width, window, shift, blocks + 1),
        ),
        Mistake(
            "no mask",
            "News runs from one edge to the opposite one; the mask of the shifted block forbids that.",
            lambda height, width, window, shift, blocks: passed_on(
                shared(height, width, window, 0, 0),
                (
                    rolled_together(height, window, shift)[:, None, :, None]
                    * rolled_together(width, window, shift)[:, None]
                ).reshape(height * width, height * width),
                blocks,
            ),
        ),
        Mistake(
            "only rows moved",
            "Your windows are moved down, but not to the right.",
            lambda height, width, window, shift, blocks: passed_on(
                shared(height, width, window, 0, 0), shared(height, width, window, shift, 0), blocks
            ),
        ),
        Mistake(
            "moved the wrong way",
            "Your windows are moved up and left; the first cut of a shifted block lies before row `shift`.",
            lambda height, width, window, shift, blocks: passed_on(
                shared(height, width, window, 0, 0),
                shared(height, width, window, *[-shift % window] * 2),
                blocks,
            ),
        ),
        Mistake(
            "ways counted",
            "You count ways; asked is whether there is one.",
            lambda height, width, window, shift, blocks: ways(
                shared(height, width, window, 0, 0), shared(height, width, window, shift, shift), blocks
            ),
        ),
        Mistake(
            "all blocks moved",
            "All your blocks move their windows; the first, third, … are plain.",
            lambda height, width, window, shift, blocks: shared(height, width, window, shift, shift) > 0,
        ),
    ),
    (heard_by_sets, heard_from_behind),
)


def rolled_together(size: int, window: int, shift: int) -> Tensor:
    """Tell which rows share a window after the roll, without mask."""
    places = (torch.arange(size) - shift) % (size + -size % window) // window
    return (places[:, None] == places).float()


ITEMS = (SHIFTED_WINDOWS, UNSHIFTED, MOVED_WINDOWS, ADDITIVE_MASK, HEARD)
