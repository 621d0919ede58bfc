"""swin_edu/shift.py against the definition in plain Python, and a shifted block against ragged windows."""

from itertools import pairwise, product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swin_edu.attention import attend
from swin_edu.book.device import device
from swin_edu.shift import (
    check_shift,
    cyclic_shift,
    cyclic_shift_reverse,
    pair,
    region_ids,
    shift_mask,
    shift_per_axis,
)
from swin_edu.windows import pad_to_window, window_partition, window_reverse

DEVICE = device()
PRECISE = torch.device("cpu") if DEVICE.type == "mps" else DEVICE  # Apple GPUs have no float64


@st.composite
def settings_of_a_map(draw):
    """Height, width, window and shift, where the window divides the map; the shift is one number or two."""
    window = draw(st.integers(1, 6))
    rows, columns = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    numbers = st.integers(0, window - 1)
    shift = draw(numbers | st.tuples(numbers, numbers))
    return rows * window, columns * window, window, shift


def two(shift):
    return shift if isinstance(shift, tuple) else (shift, shift)


def random_map(batch, height, width, channels=3):
    generator = torch.Generator().manual_seed(height * 31 + width)
    return torch.randn(batch, height, width, channels, generator=generator, dtype=torch.double).to(PRECISE)


def old_places(height, width, window, shift):
    """For each window of the rolled map: the places (row, column) where its tokens stood before the roll."""
    down, right = two(shift)
    return [
        [((top + y + down) % height, (left + x + right) % width) for y, x in product(range(window), repeat=2)]
        for top in range(0, height, window)
        for left in range(0, width, window)
    ]


@settings(max_examples=300)
@given(sizes=settings_of_a_map())
def test_mask_is_true_where_the_roll_left_the_offset(sizes):
    window = sizes[2]
    inside = list(product(range(window), repeat=2))
    mask = shift_mask(*sizes)
    assert mask.dtype == torch.bool
    expected = [
        [
            [
                (a[0] - b[0], a[1] - b[1]) == (i[0] - j[0], i[1] - j[1])
                for b, j in zip(old, inside, strict=True)
            ]
            for a, i in zip(old, inside, strict=True)
        ]
        for old in old_places(*sizes)
    ]
    assert mask.tolist() == expected


@settings(max_examples=300)
@given(sizes=settings_of_a_map())
def test_mask_is_true_inside_one_ragged_window(sizes):
    _, _, window, shift = sizes
    down, right = two(shift)
    piece = [[((y - down) // window, (x - right) // window) for y, x in old] for old in old_places(*sizes)]
    assert shift_mask(*sizes).tolist() == [[[a == b for b in window] for a in window] for window in piece]


@given(sizes=settings_of_a_map())
def test_every_token_may_look_at_itself_and_looks_are_mutual(sizes):
    mask = shift_mask(*sizes)
    assert mask.diagonal(dim1=1, dim2=2).all()
    assert torch.equal(mask, mask.transpose(1, 2))
    assert shift_mask(*sizes[:3], 0).all()


def sides(size, window, shift):
    return list(pairwise(sorted({0, size, *range(shift, size, window)})))


def ragged_attention(q, k, v, window, shift):
    """Cut the moved windows without any roll, and attend in each by the formula."""
    down, right = two(shift)
    result = torch.empty_like(v)
    for top, bottom in sides(q.shape[1], window, down):
        for left, end in sides(q.shape[2], window, right):
            queries, keys, values = (x[:, top:bottom, left:end].flatten(1, 2) for x in (q, k, v))
            weights = (queries @ keys.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
            result[:, top:bottom, left:end] = (weights @ values).unflatten(1, (bottom - top, end - left))
    return result


def rolled_attention(q, k, v, window, shift):
    """Roll, cut, mask, attend, join, roll back."""
    height, width = q.shape[1:3]
    mask = shift_mask(height, width, window, shift, q.device)[:, None]
    cut = (
        window_partition(cyclic_shift(x, shift), window).unflatten(0, (len(q), -1))[:, :, None]
        for x in (q, k, v)
    )
    windows = attend(*cut, mask=mask)[:, :, 0].flatten(0, 1)
    return cyclic_shift_reverse(window_reverse(windows, window, height, width), shift)


@settings(max_examples=200)
@given(
    height=st.integers(1, 14),
    width=st.integers(1, 14),
    window=st.integers(1, 5),
    batch=st.integers(1, 2),
    data=st.data(),
)
def test_roll_and_mask_equal_ragged_windows(height, width, window, batch, data):
    """On any size: a map that the window does not divide is padded first."""
    numbers = st.integers(0, window - 1)
    shift = data.draw(numbers | st.tuples(numbers, numbers))
    x = pad_to_window(random_map(batch, height, width, 9), window)
    q, k, v = x.chunk(3, dim=-1)
    expected = ragged_attention(q, k, v, window, shift)
    assert torch.allclose(rolled_attention(q, k, v, window, shift), expected, rtol=0, atol=1e-12)


@given(
    height=st.integers(1, 9), width=st.integers(1, 9), down=st.integers(-12, 12), right=st.integers(-12, 12)
)
def test_roll_moves_every_token_to_its_place_and_back(height, width, down, right):
    x = random_map(2, height, width)
    rolled = cyclic_shift(x, (down, right))
    for row, column in product(range(height), range(width)):
        assert torch.equal(rolled[:, row, column], x[:, (row + down) % height, (column + right) % width])
    assert torch.equal(cyclic_shift_reverse(rolled, (down, right)), x)


def test_one_number_stands_for_both():
    x = random_map(1, 6, 9)
    assert pair(2) == pair((2, 2)) == (2, 2)
    assert torch.equal(cyclic_shift(x, 2), cyclic_shift(x, (2, 2)))
    assert torch.equal(cyclic_shift_reverse(x, 2), cyclic_shift_reverse(x, (2, 2)))
    assert torch.equal(region_ids(6, 9, 2), region_ids(6, 9, (2, 2)))
    assert torch.equal(shift_mask(6, 9, 3, 2), shift_mask(6, 9, 3, (2, 2)))


def test_gradients_go_back_to_the_token_they_belong_to():
    x = random_map(1, 5, 7).requires_grad_()
    weight = random_map(1, 5, 7)
    (cyclic_shift(x, (1, 3)) * weight).sum().backward()
    assert torch.equal(x.grad, cyclic_shift_reverse(weight, (1, 3)))


@given(sizes=settings_of_a_map())
def test_regions_are_numbered_by_the_side_they_came_from(sizes):
    height, width, _, shift = sizes
    down, right = two(shift)
    ids = region_ids(height, width, shift)
    for row, column in product(range(height), range(width)):
        from_top, from_left = row + down >= height, column + right >= width
        assert ids[row, column] == 2 * from_top + from_left


@pytest.mark.parametrize(
    ("size", "shift", "share"), [(56, 3, 11.9), (28, 3, 23.0), (14, 3, 43.0), (7, 0, 0.0), (7, 3, 74.0)]
)
def test_masked_shares_of_the_paper_sizes(size, shift, share):
    assert round(100 * (~shift_mask(size, size, 7, shift)).double().mean().item(), 1) == share


@pytest.mark.parametrize(("height", "width"), [(14, 14), (56, 56), (21, 35), (112, 14)])
def test_four_different_masks_at_every_size(height, width):
    assert len({mask.numpy().tobytes() for mask in shift_mask(height, width, 7, 3)}) == 4


@pytest.mark.parametrize(
    ("height", "width", "window", "expected"),
    [
        (56, 56, 7, (3, 3)),
        (7, 7, 7, (0, 0)),
        (7, 14, 7, (0, 3)),
        (14, 7, 7, (3, 0)),
        (8, 8, 7, (3, 3)),
        (4, 5, 7, (0, 0)),
    ],
)
def test_shift_is_off_along_an_axis_that_one_window_covers(height, width, window, expected):
    assert shift_per_axis(height, width, window, 3) == expected


def test_masks_are_made_on_the_device():
    assert shift_mask(8, 8, 4, 2, DEVICE).device.type == DEVICE.type
    assert region_ids(8, 8, 2, DEVICE).device.type == DEVICE.type
    assert torch.equal(shift_mask(8, 8, 4, 2, DEVICE).cpu(), shift_mask(8, 8, 4, 2))


WHOLE = "it must be a whole number, or two: (down, right)"
BAD_CALLS = [
    (lambda: cyclic_shift(torch.rand(8, 8, 3), 2), "x has shape (8, 8, 3); it must be (B, H, W, C)"),
    (lambda: cyclic_shift_reverse(torch.rand(8, 8), 2), "x has shape (8, 8); it must be (B, H, W, C)"),
    (lambda: cyclic_shift(torch.rand(1, 8, 8, 3), 2.0), f"shift is 2.0; {WHOLE}"),
    (lambda: cyclic_shift(torch.rand(1, 8, 8, 3), True), f"shift is True; {WHOLE}"),
    (lambda: cyclic_shift_reverse(torch.rand(1, 8, 8, 3), (1, 2, 3)), f"shift is (1, 2, 3); {WHOLE}"),
    (lambda: pair((1, 0.5)), f"shift is (1, 0.5); {WHOLE}"),
    (lambda: pair([1, 2]), f"shift is [1, 2]; {WHOLE}"),
    (lambda: region_ids(8, 4, 4), "shift is 4 along width 4; it must be at least 0 and less than 4"),
    (lambda: region_ids(4, 8, 4), "shift is 4 along height 4; it must be at least 0 and less than 4"),
    (lambda: region_ids(8, 8, (0, -1)), "shift is -1 along width 8; it must be at least 0 and less than 8"),
    (lambda: region_ids(0, 8, 0), "shift is 0 along height 0"),
    (lambda: shift_mask(10, 8, 4, 2), "window 4 does not divide height 10; pad the map and take height 12"),
    (lambda: shift_mask(8, 9, 4, 2), "window 4 does not divide width 9; pad the map and take width 12"),
    (lambda: shift_mask(8, 8, 4, 4), "shift is 4; for window 4 it must lie between 0 and 3"),
    (lambda: shift_mask(8, 8, 4, -1), "shift is -1; for window 4 it must lie between 0 and 3"),
    (lambda: shift_mask(8, 8, 4, (0, 5)), "shift is (0, 5); for window 4 it must lie between 0 and 3"),
    (lambda: shift_mask(8, 8, 4, (-2, 0)), "shift is (-2, 0); for window 4 it must lie between 0 and 3"),
    (lambda: shift_mask(8, 8, 0, 0), "window is 0; it must be a whole number of at least 1"),
    (lambda: shift_mask(8, 8, 4.0, 2), "window is 4.0; it must be a whole number of at least 1"),
    (lambda: shift_mask(8, 8, True, 0), "window is True; it must be a whole number of at least 1"),
    (lambda: shift_mask(0, 8, 4, 2), "height is 0 and width is 8; both must be at least 1"),
    (lambda: shift_mask(8, -4, 4, 2), "height is 8 and width is -4; both must be at least 1"),
    (lambda: shift_mask(8, 8, 4, "2"), f"shift is '2'; {WHOLE}"),
    (lambda: shift_per_axis(8, 8, 4, 4), "shift is 4; for window 4 it must lie between 0 and 3"),
    (lambda: shift_per_axis(8, 8, -1, 0), "window is -1; it must be a whole number of at least 1"),
    (lambda: check_shift(8, 0, 4, 2), "height is 8 and width is 0; both must be at least 1"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
