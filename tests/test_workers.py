"""swin_edu/book/workers.py: processes that run what they are told, and end when one of them fails."""

import os
import time

import pytest
import torch

from swin_edu.book.workers import Workers


@pytest.fixture(scope="module")
def workers():
    with Workers(3) as running:
        yield running


def test_each_rank_answers_in_order(workers):
    offset = 10.0

    def work(ranks, factor):  # a function inside another one, as those of a notebook, is sent whole
        total = ranks.total(torch.tensor([offset + factor * ranks.rank]))
        return ranks.rank, ranks.count, total.item(), os.getpid()

    answers = workers.run(work, 2.0)
    assert [answer[:3] for answer in answers] == [(rank, 3, 36.0) for rank in range(3)]
    assert len({os.getpid(), *(answer[3] for answer in answers)}) == 4
    assert [answer[:3] for answer in workers.run(work, 2.0, ranks=2)] == [(0, 2, 22.0), (1, 2, 22.0)]
    assert workers.run(work, 2.0, ranks=2)[0][3] == answers[0][3]  # the same process as before


def test_impossible_numbers_of_workers(workers):
    with pytest.raises(ValueError, match=r"^count is 0; it must be at least 1$"):
        Workers(0)
    for ranks in (0, 4):
        with pytest.raises(ValueError, match=rf"^ranks is {ranks}; there are 3 workers$"):
            workers.run(print, ranks=ranks)


def test_what_one_raises_is_raised_and_ends_all():
    def work(ranks):
        if ranks.rank == 1:
            raise KeyError("lost")
        return ranks.total(torch.ones(1))  # waits for the other in vain

    with Workers(2) as two:
        processes = two.processes
        started = time.monotonic()
        with pytest.raises(KeyError, match="lost"):
            two.run(work)
        assert time.monotonic() - started < 30  # not the minute of the time-out
        assert not any(process.is_alive() for process in processes)
        assert not two.folder.exists()
        with pytest.raises(RuntimeError, match=r"^the workers have ended; start new ones$"):
            two.run(work)


def test_an_answer_that_cannot_be_sent_is_an_error():
    with Workers(1) as one, pytest.raises(Exception, match="lambda"):
        one.run(lambda ranks: lambda: None)
