"""Worker processes of a notebook: ranks of PyTorch's distributed engine that run what they are told."""

import os
import pickle
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import cloudpickle
import torch
import torch.distributed as dist
from torch.multiprocessing import get_context

from swin_edu.book.device import BACKENDS
from swin_edu.parallel import Ranks

GRACE = 2.0  # seconds for the other workers to say what they know when one fails


class Workers:
    """Processes of this machine, one for each rank; use it in a `with` statement, or call `close`.

    Tensors on GPUs, if there is one for each, go by NCCL, those on the CPU by gloo. A message that does not
    come within `timeout` seconds ends in an error.
    """

    def __init__(self, count: int, timeout: float = 60.0) -> None:
        if count < 1:
            raise ValueError(f"count is {count}; it must be at least 1")
        self.folder = Path(tempfile.mkdtemp())
        context = get_context("spawn")
        self.pipes: list[Connection] = []
        self.processes = []
        for rank in range(count):
            ours, theirs = context.Pipe()
            arguments = (theirs, rank, count, self.folder / "store", timeout)
            process = context.Process(target=serve, args=arguments, daemon=True)
            process.start()
            theirs.close()  # so that the end of the process ends the pipe
            self.pipes.append(ours)
            self.processes.append(process)

    def run(self, work: Callable[..., Any], *arguments: Any, ranks: int | None = None) -> list[Any]:
        """Let the first `ranks` workers, or all, call `work(Ranks, *arguments)`; return what each returned.

        Functions and classes of the notebook may be sent too.
        Raises what a worker raised; then all workers end.
        """
        if not self.processes:
            raise RuntimeError("the workers have ended; start new ones")
        count = len(self.pipes) if ranks is None else ranks
        if not 1 <= count <= len(self.pipes):
            raise ValueError(f"ranks is {ranks}; there are {len(self.pipes)} workers")
        task = cloudpickle.dumps((work, arguments, count))
        try:
            for pipe in self.pipes[:count]:
                pipe.send_bytes(task)
            return self.answers(count)
        except BaseException:
            self.close()
            raise

    def answers(self, count: int) -> list[Any]:
        """Return what the workers answer; raise the first error among them."""
        results: dict[int, Any] = {}
        problems: list[BaseException] = []
        waiting = {pipe: rank for rank, pipe in enumerate(self.pipes[:count])}
        while waiting:
            ready = wait(list(waiting), timeout=GRACE if problems else None)
            if not ready:
                break
            for pipe in [each for each in waiting if each in ready]:
                rank = waiting.pop(pipe)
                try:
                    results[rank], problem = pickle.loads(pipe.recv_bytes())
                except (EOFError, ConnectionResetError):
                    problem = ConnectionError(f"worker {rank} has ended")
                if problem is not None:
                    problems.append(problem)
        if problems:
            raise problems[0]
        return [results[rank] for rank in range(count)]

    def close(self) -> None:
        """End all processes."""
        for process in self.processes:
            process.kill()
            process.join()
        self.processes = []
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def serve(pipe: Connection, rank: int, count: int, store: Path, timeout: float) -> None:
    """Be one rank: do what comes through the pipe until it ends."""
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # what libraries print would come into the notebook in any order
        os.dup2(silence, stream)
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
    on_gpus = torch.cuda.is_available() and torch.cuda.device_count() >= count
    if on_gpus:
        torch.cuda.set_device(rank)
    limit = timedelta(seconds=timeout)
    dist.init_process_group(
        BACKENDS["cuda" if on_gpus else "cpu"],
        init_method=store.as_uri(),
        rank=rank,
        world_size=count,
        timeout=limit,
    )
    groups = [dist.new_group(range(size), timeout=limit) for size in range(1, count + 1)]
    while True:
        try:
            task = pipe.recv_bytes()
        except EOFError:
            return
        pipe.send_bytes(answer(task, groups))


def answer(task: bytes, groups: Sequence[Any]) -> bytes:
    """Do a task; return what came of it, and None or what was raised."""
    try:
        work, arguments, size = pickle.loads(task)
        return pickle.dumps((work(Ranks(groups[size - 1]), *arguments), None))
    except Exception as problem:
        return pickle.dumps((None, problem))
