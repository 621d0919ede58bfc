"""The items on window parallelism are the package: the same rows and bytes, and the sums of an all-reduce."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swin_edu.book.classroom.items import devices
from swin_edu.parallel import numbers_of, plan_moves, split_rows
from swin_edu.shift import shift_per_axis

NUMBERS = {"height": st.integers(1, 60), "window": st.integers(1, 9), "ranks": st.integers(1, 9)}


@given(**NUMBERS)
def test_holders_are_those_of_split_rows(height, window, ranks):
    held = devices.holders(height, window, ranks)
    assert (held.shape, held.dtype) == ((height,), torch.int64)
    for rank, rows in enumerate(split_rows(height, window, ranks)):
        assert (held == rank).nonzero()[:, 0].tolist() == list(rows)


def bytes_sent(height, width, channels, window, ranks):
    """Plan what moves as the package does, and count the bytes of all that ranks send to others."""
    rows = height + -height % window
    columns = width + -width % window
    down, _ = shift_per_axis(rows, columns, window, window // 2)
    held = numbers_of(split_rows(rows, window, ranks))
    rolled = [(each + down) % rows for each in held]
    total = 0
    for rank in range(ranks):
        moves = plan_moves(held, rolled, rank)
        for way in (moves, moves.back()) if moves else ():
            total += sum(len(places) for other, places in enumerate(way.sends) if other != rank)
    return total * torch.empty(columns, channels).nbytes


@given(width=st.integers(1, 30), channels=st.integers(1, 5), **NUMBERS)
def test_halo_bytes_are_those_of_the_plan(height, width, channels, window, ranks):
    arguments = (height, width, channels, window, ranks)
    assert devices.halo_bytes(*arguments) == bytes_sent(*arguments)


@pytest.mark.parametrize("ranks", range(1, 8))
def test_the_ring_completes_a_piece_of_each_rank_and_leaves_the_input(ranks):
    parts = torch.randint(-99, 99, (ranks, ranks, 3)).double()
    before, rank = parts.clone(), torch.arange(ranks)
    after = devices.ring_scatter(parts)
    assert torch.equal(parts, before)
    assert torch.equal(after[rank, (rank + 1) % ranks], parts.sum(0)[(rank + 1) % ranks])
    assert torch.equal(after[rank, rank], parts[rank, rank])  # nobody sends a rank its own number
