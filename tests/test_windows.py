"""swin_edu/windows.py against loops, its own inverse and a masked attention, on any size."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swin_edu.attention import attend
from swin_edu.book.device import device
from swin_edu.windows import pad_to_window, window_partition, window_reverse

DEVICE = device()
counts = st.integers(1, 4)
window_sizes = st.integers(1, 6)


def random_map(batch, height, width, channels=3):
    generator = torch.Generator().manual_seed(height * 31 + width)
    return torch.rand(batch, height, width, channels, generator=generator).to(DEVICE)


@given(batch=st.integers(1, 3), rows=counts, columns=counts, window=window_sizes)
def test_partition_equals_brute_force(batch, rows, columns, window):
    x = random_map(batch, rows * window, columns * window)
    windows = window_partition(x, window)
    assert windows.shape == (batch * rows * columns, window * window, 3)
    for b in range(batch):
        for row in range(rows):
            for column in range(columns):
                expected = [
                    x[b, row * window + y, column * window + x_].tolist()
                    for y in range(window)
                    for x_ in range(window)
                ]
                assert windows[(b * rows + row) * columns + column].tolist() == expected


@given(batch=st.integers(1, 3), rows=counts, columns=counts, window=window_sizes)
def test_reverse_is_the_inverse_both_ways(batch, rows, columns, window):
    height, width = rows * window, columns * window
    x = random_map(batch, height, width)
    windows = window_partition(x, window)
    assert torch.equal(window_reverse(windows, window, height, width), x)
    other = random_map(batch * rows * columns, window * window, 3)[..., 0].flatten(1).unflatten(1, (-1, 3))
    assert torch.equal(window_partition(window_reverse(other, window, height, width), window), other)


@given(height=st.integers(1, 30), width=st.integers(1, 30), window=window_sizes)
def test_padding_adds_zeros_at_the_right_and_the_bottom_only(height, width, window):
    x = random_map(2, height, width) + 1
    padded = pad_to_window(x, window)
    assert padded.shape[1] % window == padded.shape[2] % window == 0
    assert 0 <= padded.shape[1] - height < window
    assert 0 <= padded.shape[2] - width < window
    assert torch.equal(padded[:, :height, :width], x)
    assert padded.count_nonzero() == x.numel()


def test_nothing_is_copied_where_nothing_is_added():
    x = random_map(1, 14, 21)
    assert pad_to_window(x, 7) is x
    assert pad_to_window(x[:, :, :20], 7) is not x


@given(rows=counts, columns=counts, window=st.integers(1, 4))
def test_attention_in_windows_is_attention_under_a_block_mask(rows, columns, window):
    height, width = rows * window, columns * window
    x = random_map(2, height, width, channels=4)
    windows = window_partition(x, window)[:, None]
    inside = window_reverse(attend(windows, windows, windows)[:, 0], window, height, width)
    place = torch.arange(height * width)
    row, column = place // width // window, place % width // window
    mask = (row[:, None] == row) & (column[:, None] == column)
    tokens = x.flatten(1, 2)[:, None]
    everywhere = attend(tokens, tokens, tokens, mask=mask.to(DEVICE))[:, 0].unflatten(1, (height, width))
    assert torch.allclose(inside, everywhere, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.bool])
def test_any_kind_of_number_is_moved_unchanged(dtype):
    x = (random_map(2, 8, 12) * 3).to(dtype)
    windows = window_partition(x, 4)
    assert windows.dtype == dtype
    assert windows.device == x.device
    assert torch.equal(window_reverse(windows, 4, 8, 12), x)


def test_a_gradient_stays_in_its_window():
    x = random_map(1, 8, 12).requires_grad_()
    window_partition(x, 4)[4].square().sum().backward()  # second row of windows, second column
    reached = x.grad[0].abs().sum(-1) > 0
    assert reached[4:8, 4:8].all()
    assert reached.sum() == 16


def test_no_channels_and_no_images_are_fine():
    assert window_partition(torch.empty(2, 8, 8, 0), 4).shape == (8, 16, 0)
    assert window_reverse(torch.empty(0, 16, 3), 4, 8, 8).shape == (0, 8, 8, 3)


X = torch.rand(1, 50, 70, 3)
WINDOWS = torch.rand(8, 49, 3)
BAD_CALLS = [
    (lambda: window_partition(X, 7), "window 7 does not divide height 50; pad to 56 with pad_to_window"),
    (lambda: window_partition(X, 25), "window 25 does not divide width 70; pad to 75 with pad_to_window"),
    (lambda: window_partition(X, 0), "window is 0; it must be a whole number of at least 1"),
    (lambda: window_partition(X, True), "window is True; it must be a whole number of at least 1"),
    (lambda: window_partition(X, (5, 5)), "window is (5, 5); it must be a whole number of at least 1"),
    (lambda: window_partition(X[0], 5), "x has shape (50, 70, 3); it must be (B, H, W, C), channels last"),
    (lambda: pad_to_window(X, 7.0), "window is 7.0; it must be a whole number of at least 1"),
    (lambda: pad_to_window(X[0], 7), "x has shape (50, 70, 3); it must be (B, H, W, C), channels last"),
    (lambda: window_reverse(WINDOWS, -7, 14, 28), "window is -7; it must be a whole number of at least 1"),
    (lambda: window_reverse(WINDOWS, 7, 15, 28), "height is 15; it must be a multiple of window 7"),
    (lambda: window_reverse(WINDOWS, 7, 14, 27), "width is 27; it must be a multiple of window 7"),
    (lambda: window_reverse(WINDOWS, 7, 0, 28), "height is 0; it must be a multiple of window 7"),
    (
        lambda: window_reverse(WINDOWS, 7, 14, 21),
        "windows has shape (8, 49, 3); for maps of 14 × 21 in windows of 7 × 7 it must be (6·B, 49, C)",
    ),
    (
        lambda: window_reverse(WINDOWS, 14, 28, 56),
        "windows has shape (8, 49, 3); for maps of 28 × 56 in windows of 14 × 14 it must be (8·B, 196, C)",
    ),
    (
        lambda: window_reverse(WINDOWS[0], 7, 14, 28),
        "windows has shape (49, 3); for maps of 14 × 28 in windows of 7 × 7 it must be (8·B, 49, C)",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert str(problem.value) == sentence
