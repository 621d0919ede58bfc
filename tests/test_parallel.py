"""swin_edu/parallel.py: several processes against one, and who sends what against brute force."""

import math
import os
import signal
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from swin_edu.block import SwinBlock, SwinBlockV2, shifted_window_attention
from swin_edu.book.workers import Workers
from swin_edu.fast import fast
from swin_edu.model import SwinTransformer
from swin_edu.parallel import (
    Moves,
    ParallelSwin,
    attend_in_rows,
    average_gradients,
    parallel,
    plan_moves,
    plan_of_rank,
    run_block_in_rows,
    split_rows,
)

MOST = 4


@pytest.fixture(scope="module")
def workers():
    with Workers(MOST) as running:
        yield running


def small_model(version, window=4, drop=0.0):
    """A model of three stages in which every part counts."""
    torch.manual_seed(3)
    model = SwinTransformer(
        8, (2, 2, 2), (1, 2, 2), window, num_classes=5, version=version, stochastic_depth=drop
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model.double()


# Who holds which rows


@given(st.integers(1, 90), st.integers(1, 9), st.integers(1, 12))
def test_ranks_hold_whole_rows_of_windows_as_evenly_as_can_be(height, window, ranks):
    rows = split_rows(height, window, ranks)
    assert len(rows) == ranks
    assert [row for each in rows for row in each] == list(range(height))
    assert all(each.start % window == 0 for each in rows if each)
    counts = [math.ceil(len(each) / window) for each in rows]
    assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((0, 7, 2), "height is 0; it must be at least 1"),
        ((56, 7, 0), "ranks is 0; it must be at least 1"),
        ((56, 0, 2), "window is 0; it must be a whole number of at least 1"),
    ],
)
def test_impossible_numbers_of_rows(arguments, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        split_rows(*arguments)


# Who sends what


def delivered(held, plans):
    """What each rank has after all moves, one entry at a time."""
    results = [[0] * moves.after for moves in plans]
    for giver, moves in enumerate(plans):
        for taker, places in enumerate(moves.sends):
            for at, place in zip(plans[taker].takes[giver].tolist(), places.tolist(), strict=True):
                results[taker][at] = held[giver][place].item() + 1
    return results


@st.composite
def lists_of_entries(draw):
    """Entries that each rank holds, and those that each wants; -1 stands for nothing."""
    count, ranks = draw(st.integers(1, 12)), draw(st.integers(1, 4))
    owners = draw(st.lists(st.integers(0, ranks - 1), min_size=count, max_size=count))
    order = draw(st.permutations(range(count)))
    held = [[entry for entry in order if owners[entry] == rank] for rank in range(ranks)]
    for each in held:
        each.insert(draw(st.integers(0, len(each))), -1)
    wanted = [draw(st.lists(st.integers(-1, count - 1), max_size=8)) for _ in range(ranks)]
    return [[torch.tensor(each, dtype=torch.int64) for each in part] for part in (held, wanted)]


@given(lists_of_entries())
def test_every_rank_gets_what_it_wants(lists):
    held, wanted = lists
    plans = [plan_moves(held, wanted, rank) for rank in range(len(held))]
    if plans[0] is None:
        assert all(torch.equal(have, want) for have, want in zip(held, wanted, strict=True))
        return
    assert delivered(held, plans) == [[entry + 1 for entry in each.tolist()] for each in wanted]
    for moves, have in zip(plans, held, strict=True):
        assert moves.before == len(have)
        back = moves.back()
        assert (back.sends, back.takes, back.before, back.after) == (
            moves.takes,
            moves.sends,
            moves.after,
            moves.before,
        )


def test_an_entry_that_nobody_holds_is_named():
    with pytest.raises(ValueError, match=r"^entry 2 is wanted, but no rank holds it$"):
        plan_moves([torch.tensor([0]), torch.tensor([1])], [torch.tensor([0, 2]), torch.tensor([1])], 0)


def gradients_of_move(ranks, held, wanted):
    x = torch.arange(3.0 * len(held[ranks.rank]), dtype=torch.double).view(-1, 3) + 100 * ranks.rank
    moves = plan_moves(held, wanted, ranks.rank)
    x.requires_grad_()
    arrived = ranks.move(x, moves)
    arrived.mul(torch.arange(1.0, 1 + len(arrived))[:, None]).sum().backward()
    return arrived.detach(), x.grad, [message.bytes for message in ranks.messages]


def test_entries_and_gradients_travel(workers):
    held = [torch.tensor([0, 1, -1]), torch.tensor([2]), torch.tensor([], dtype=torch.int64)]
    wanted = [torch.tensor([2, -1]), torch.tensor([1, 0]), torch.tensor([0, 1, 0])]
    results = workers.run(gradients_of_move, held, wanted, ranks=3)
    entries = {0: [0, 1, 2], 1: [3, 4, 5], 2: [100, 101, 102], -1: [0, 0, 0]}
    for (arrived, _, _), numbers in zip(results, wanted, strict=True):
        assert arrived.tolist() == [entries[number] for number in numbers.tolist()]
    # An entry's gradient is the sum of the weights of the places where it arrived.
    assert results[0][1].tolist() == [[2 + 1 + 3] * 3, [1 + 2] * 3, [0] * 3]
    assert results[1][1].tolist() == [[1] * 3]
    assert results[2][1].shape == (0, 3)
    # 5 entries of 3 numbers of 8 bytes leave rank 0, one leaves rank 1; the gradients come back.
    assert [sent for *_, sent in results] == [[120, 24], [24, 48], [0, 72]]


# Blocks


def block_of_rows(ranks, block, x, height):
    mine = split_rows(height, block.window, ranks.count)[ranks.rank]
    part = x[:, mine.start : mine.stop]
    with torch.no_grad():
        attended = attend_in_rows(part, block.attention, block.window, block.shift, height, ranks)
        return attended, run_block_in_rows(block, part, height, ranks)


@pytest.mark.parametrize("kind", [SwinBlock, SwinBlockV2])
@pytest.mark.parametrize(
    ("height", "width", "ranks"), [(12, 12, 3), (11, 5, 2), (30, 3, 4), (4, 9, 1), (3, 9, 2)]
)
@pytest.mark.parametrize("shift", [0, 2])
def test_a_block_of_rows(workers, kind, height, width, ranks, shift):
    block = kind(6, 2, 4, shift).double()
    x = torch.randn(2, height, width, 6, dtype=torch.double)
    attended, done = zip(*workers.run(block_of_rows, block, x, height, ranks=ranks), strict=True)
    with torch.no_grad():
        expected = shifted_window_attention(x, block.attention, 4, shift)
        assert (torch.cat(attended, dim=1) - expected).abs().max() < 1e-12
        assert (torch.cat(done, dim=1) - block(x)).abs().max() < 1e-12


# Models


def run_model(ranks, model, images, quick, seed):
    torch.manual_seed(seed)
    split = parallel(fast(model) if quick else model, ranks)
    scores = split(images)
    sent = sum(message.bytes for message in ranks.messages)
    scores.square().sum().backward()
    average_gradients(model, ranks)
    gradients = [parameter.grad for parameter in model.parameters()]
    with torch.inference_mode():
        again = split.eval()(images)
        maps = [part.clone() for part in split.features(images)]
    return scores.detach(), gradients, again.clone(), maps, sent


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(("height", "width", "window"), [(64, 64, 4), (77, 50, 4), (130, 21, (2, 4, 3))])
def test_scores_maps_and_gradients_are_those_of_one_process(workers, quick, version, height, width, window):
    model = small_model(version, window).eval()
    images = torch.rand(2, 3, height, width, dtype=torch.double)
    scores = model(images)
    scores.square().sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    maps = model.features(images)
    for count in range(1, MOST + 1):
        results = workers.run(run_model, model, images, quick, 0, ranks=count)
        for found, found_gradients, again, _, sent in results:
            assert (found - scores).abs().max() < 1e-10
            assert (again - scores).abs().max() < 1e-10
            for mine, expected in zip(found_gradients, gradients, strict=True):
                assert (mine - expected).abs().max() < 1e-9 * max(1, expected.abs().max())
            assert (sent > 0) == (count > 1)
        for whole, *parts in zip(maps, *(each[3] for each in results), strict=True):
            assert (torch.cat(parts, dim=1) - whole).abs().max() < 1e-10


@pytest.mark.parametrize("quick", [False, True])
def test_stochastic_depth_leaves_out_the_same_branches_on_all_ranks(workers, quick):
    model = small_model(1, drop=0.8).train()
    images = torch.rand(3, 3, 64, 40, dtype=torch.double)
    torch.manual_seed(5)
    expected = (fast(model) if quick else model)(images)
    assert (expected - model.eval()(images)).abs().max() > 1e-3
    model.train()
    for scores, *_ in workers.run(run_model, model, images, quick, 5, ranks=3):
        assert (scores - expected).abs().max() < 1e-10


def too_many(ranks, model, images):
    try:
        ParallelSwin(model, ranks)(images)
    except ValueError as problem:
        return str(problem)


@pytest.mark.parametrize("quick", [False, True])
def test_more_ranks_than_rows_of_windows_are_refused(workers, quick):
    model = fast(small_model(1)) if quick else small_model(1)
    answers = workers.run(too_many, model, torch.zeros(1, 3, 47, 64, dtype=torch.double), ranks=4)
    assert set(answers) == {
        "there are 4 ranks; 12 rows of patches make 3 rows of windows of 4, so there can be at most 3"
    }


# Bytes


def count_bytes(ranks, model, images, quick):
    with torch.no_grad():
        parallel(fast(model) if quick else model, ranks)(images)
    return [message.bytes for message in ranks.messages]


def owners(height, width, window, shift, ranks):
    """The rank of each token: that of its window, one token at a time."""
    padded = math.ceil(height / window) * window
    down = shift if padded > window else 0
    rank_of = {row: rank for rank, rows in enumerate(split_rows(padded, window, ranks)) for row in rows}
    return torch.tensor([[rank_of[(row - down) % padded]] * width for row in range(height)])


@pytest.mark.parametrize(("height", "width", "ranks"), [(16, 16, 2), (19, 7, 3), (33, 10, 4)])
def test_the_fast_model_sends_each_token_that_changes_its_rank(workers, height, width, ranks):
    model = small_model(1)
    images = torch.rand(2, 3, 4 * height, 4 * width, dtype=torch.double)
    sent = sum(map(sum, workers.run(count_bytes, model, images, True, ranks=ranks)))
    before, expected, channels = owners(height, width, 4, 0, ranks), 0, 8
    for stage in range(3):
        for shift in (0, 2):
            if stage and not shift:  # a token of the new map takes its four from where they are
                rows, columns = math.ceil(before.shape[0] / 2), math.ceil(before.shape[1] / 2)
                after = owners(rows, columns, 4, 0, ranks)
                spread = after.repeat_interleave(2, 0).repeat_interleave(2, 1)
                moved = (spread[: before.shape[0], : before.shape[1]] != before).sum()
            else:
                after = owners(*before.shape, 4, shift, ranks)
                moved = (after != before).sum()
            numbers = channels // 2 if stage and not shift else channels
            expected += 2 * 8 * numbers * int(moved)  # 2 images, numbers of 8 bytes
            before = after
        channels *= 2
    expected += ranks * 2 * 8 * (channels // 2)  # the sum for the mean
    assert sent == expected > 0


def test_a_halo_is_s_rows_each_way(workers):
    model = small_model(1)
    images = torch.zeros(1, 3, 4 * 32, 4 * 13, dtype=torch.double)
    results = workers.run(count_bytes, model, images, False, ranks=2)
    # Stage 1: 2 rows of 16 tokens (13 and padding) of 8 channels; each block twice, there and back.
    halos = [2 * width * channels * 8 for width, channels in ((16, 8), (8, 16), (4, 32))]
    total = 32 * 8  # of the last channels, for the mean
    assert results == [[*(size for halo in halos for size in (halo, halo)), total]] * 2


# Plans


def test_a_plan_made_for_inference_serves_training():
    arguments = (1, 8, 8, (((4, 0), (4, 2)),), 10**9, torch.device("cpu"), 0, 2)
    plan_of_rank.cache_clear()
    with torch.inference_mode():
        plan = plan_of_rank(*arguments)
    assert not plan.numbers.is_inference()
    assert plan_of_rank(*arguments) is plan


def test_moves_are_planned_once_for_each_size():
    plan_of_rank.cache_clear()
    for side in (8, 8, 12):
        plan_of_rank(1, side, side, (((4, 0),),), 10**9, torch.device("cpu"), 0, 1)
    assert plan_of_rank.cache_info().misses == 2


# Time-outs and ends


def wait_for_nobody(ranks, what):
    if ranks.rank == 1:
        if what == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(60)
    moves = Moves([torch.tensor([0])] * 2, [torch.tensor([0])] * 2, 1, 1)
    return ranks.move(torch.ones(1, 1), moves)


@pytest.mark.parametrize("what", ["killed", "hanging"])
def test_a_rank_that_is_gone_is_told_in_one_sentence(what):
    with (
        Workers(2, timeout=1 if what == "hanging" else 30) as two,
        pytest.raises(
            ConnectionError, match=r"^rank 0 of 2 got no answer from another: [^\n]+$|^worker 1 has"
        ),
    ):
        two.run(wait_for_nobody, what)
