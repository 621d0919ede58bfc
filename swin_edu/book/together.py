"""Training by several processes together, each on its share of every batch.

``torchrun --nproc-per-node 2 -m swin_edu train`` starts them. The whole model is in each (PyTorch's
DistributedDataParallel), or a part of it (FSDP2, ``fully_shard``). Batches, steps and files are those of one
process: the first process alone reads and writes.

Source: Li et al. 2020 (PyTorch Distributed, VLDB 13(12)); Rajbhandari et al. 2020 (ZeRO, arXiv 1910.02054).
"""

import copy
import json
import math
import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from swin_edu.block import SwinBlock, SwinBlockV2
from swin_edu.book.device import BACKENDS, device
from swin_edu.training import (
    CLASSIFICATION,
    History,
    Loss,
    Recipe,
    Task,
    classification_loss,
    copy_of,
    load_state,
    parameter_groups,
    repeatable,
    save_state,
    train_epoch,
)

LONGEST_WAIT = 60  # seconds that a process waits for the others


class LostError(OSError):
    """Another process hangs or has ended; each of those left tells so."""


@dataclass
class Group:
    """This process among those that train together; alone without torchrun."""

    rank: int = 0
    count: int = 1
    interrupted: bool = False  # by Ctrl-C, since this process joined

    @property
    def first(self) -> bool:
        """Tell whether this is the process that reads, writes and speaks."""
        return self.rank == 0

    def mean(self, value: float) -> float:
        """Return the mean of the values of all; raise KeyboardInterrupt in all where one was interrupted."""
        told = torch.tensor([value, self.interrupted], dtype=torch.float64)
        dist.all_reduce(told)
        if told[1]:
            raise KeyboardInterrupt
        return told[0].item() / self.count

    def from_first(self, value: Any) -> Any:
        """Return the value that the first process has."""
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """Raise in all processes what went wrong in one, so that the others do not wait for it."""
        problems: list[Exception | None] = [None] * self.count
        try:
            yield
        except (OSError, ValueError) as problem:
            problems[self.rank] = problem
        if self.count > 1:
            dist.all_gather_object(problems, problems[self.rank])
        for found in problems:
            if found is not None:
                raise found


def group_of_torchrun() -> Group:
    """Return which of the processes of torchrun this one is."""
    if not dist.is_torchelastic_launched():
        return Group()
    return Group(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))


@contextmanager
def joined(group: Group) -> Iterator[None]:
    """Let the processes of a group talk to each other, and act on Ctrl-C in the same step.

    Raises LostError when another one hangs or has ended.
    """
    if group.count == 1:
        yield
        return

    def note(*_: object) -> None:
        group.interrupted = True

    where = device()
    if where.type not in BACKENDS:
        raise ValueError(f"several processes cannot train on {where}; set SWIN_EDU_DEVICE=cpu")
    before = signal.signal(signal.SIGINT, note)
    if where.type == "cuda":
        torch.cuda.set_device(where)
    try:
        dist.init_process_group(BACKENDS[where.type], **meeting(group))
        yield
    except RuntimeError as problem:
        what = what_is_lost(str(problem))
        if what is None:
            raise
        told = f"rank {group.rank} {what}; the same command goes on from the last state"
        raise LostError(told) from problem
    finally:
        signal.signal(signal.SIGINT, before)
        time.sleep(0.2)  # a thread of gloo may still hold the last message; it crashes if Python ends first
        if dist.is_initialized():
            dist.destroy_process_group()


def meeting(group: Group) -> dict[str, Any]:
    """Return where and how long the processes of this start wait for each other.

    torchrun keeps one store for all its starts: without names of its own, a restart would find the addresses
    of processes that have ended.
    """
    wait = timedelta(seconds=LONGEST_WAIT)
    store, *_ = next(rendezvous("env://", timeout=wait))
    own: Any = dist.PrefixStore(f"start {os.environ['TORCHELASTIC_RESTART_COUNT']}", store)  # type: ignore[attr-defined]
    return {"store": own, "rank": group.rank, "world_size": group.count, "timeout": wait}


def what_is_lost(problem: str) -> str | None:
    """Return what a problem of gloo, NCCL or their store is; only its text tells. None: it is another."""
    if re.search("refused|reset|closed", problem):
        return "has lost another process, which has ended"
    if re.search("timed out|timeout", problem, re.IGNORECASE):
        return f"waited {LONGEST_WAIT} seconds for the other processes, one of which hangs or is too slow"
    if re.search("gloo|nccl", problem, re.IGNORECASE):
        return "can no longer talk to the other processes"
    return None


def shared(group: Group, loss_of: Loss, runner: nn.Module) -> Loss:
    """Return a loss whose value is that of the whole batch, and whose gradient that of this process's share.

    The gradients of all have the batch's gradient as their mean, which `runner` forms. Random numbers differ
    between the processes: else their first images would all be turned alike.
    """

    def loss(model: nn.Module, recipe: Recipe, *batch: Tensor) -> Tensor:
        share = [part[group.rank :: group.count] for part in batch]
        number = int(torch.randint(2**31, ()))  # the same in all
        with repeatable(number + group.rank, batch[0].device):
            own = loss_of(runner, recipe, *share)
        own = own * (group.count * len(share[0]) / len(batch[0]))  # shares may differ by one image
        return own + (group.mean(own.item()) - own).detach()

    return loss


def divided(
    model: nn.Module, optimizer: torch.optim.Optimizer, recipe: Recipe, where: torch.device
) -> tuple[nn.Module, torch.optim.AdamW]:
    """Return a copy of a model, and of its optimiser, of which each process holds a part.

    A block is whole in all processes while it computes, then divided again.
    """
    mesh = init_device_mesh(where.type, (dist.get_world_size(),))
    part = copy.deepcopy(model)
    for layer in list(part.modules()):
        if isinstance(layer, SwinBlock | SwinBlockV2):
            fully_shard(layer, mesh=mesh)
    fully_shard(part, mesh=mesh)
    its_optimizer = torch.optim.AdamW(parameter_groups(part, recipe.weight_decay))
    state = optimizer.state_dict()
    divided_alike = [parameter for each in its_optimizer.param_groups for parameter in each["params"]]
    state["state"] = {
        number: {
            name: distribute_tensor(x.to(where), mesh, divided_alike[number].placements) if x.ndim else x
            for name, x in values.items()
        }
        for number, values in state["state"].items()
    }
    its_optimizer.load_state_dict(state)
    return part, its_optimizer


def gather(
    group: Group,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    part: nn.Module,
    its_optimizer: torch.optim.Optimizer,
) -> None:
    """Put a model and its optimiser together in the first process, from the parts that all have."""

    def whole(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        full = ((name, x.full_tensor() if isinstance(x, DTensor) else x) for name, x in values.items())
        return {name: x.cpu() for name, x in full if group.first}

    weights, state = whole(part.state_dict()), its_optimizer.state_dict()
    state["state"] = {number: whole(values) for number, values in state["state"].items()}
    if group.first:
        model.load_state_dict(weights)
        optimizer.load_state_dict(state)


def load_in_all(
    group: Group,
    state: Path | None,
    about: str,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    where: torch.device,
) -> tuple[History, dict[str, Tensor]]:
    """Let the first process load a state if it is there, and give it to all; the best weights stay there."""
    model.cpu()  # for the way to the others
    history, best = History(), copy_of(model.state_dict()) if group.first else {}
    with group.agreeing():
        if group.first and state is not None and state.exists():
            history, best = load_state(state, about, model, optimizer)
    loaded = history, model.state_dict(), optimizer.state_dict()
    history, weights, moments = group.from_first(loaded)
    model.to(where).load_state_dict(weights)
    optimizer.load_state_dict(moments)
    return history, best


def train_together(
    group: Group,
    shard: bool,
    model: nn.Module,
    training: Sequence[Tensor],
    held_out: Sequence[Tensor],
    recipe: Recipe,
    seed: int = 0,
    state: Path | None = None,
    watch: Callable[[History], None] = lambda history: None,
    task: Task = CLASSIFICATION,
) -> History:
    """Do what chapter 10's `train` does, in all processes of a group; the first has the best weights then.

    With `shard`, each holds a part of weights, gradients and optimiser; the first also keeps them whole, on
    the CPU, for the files. Any number of processes can go on from a state, also one without torchrun.
    Raises what `train` raises, and ValueError when a batch has fewer images than there are processes.
    """
    where = next(model.parameters()).device
    training, count = [part.to(where) for part in training], len(training[0])
    if count < recipe.batch:
        raise ValueError(f"there are {count} images; a batch needs {recipe.batch}")
    if recipe.batch < group.count:
        raise ValueError(f"a batch has {recipe.batch} images; {group.count} processes need one each")
    about = json.dumps({"seed": seed, "images": count, **asdict(recipe)})
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe.weight_decay))
    place = torch.device("cpu") if shard else where  # of the whole model
    history, best = load_in_all(group, state, about, model, optimizer, place)
    part, its_optimizer = model, optimizer
    if shard:
        part, its_optimizer = divided(model, optimizer, recipe, where)
    if shard and not group.first:
        model.to("meta")  # which holds no numbers
        optimizer = its_optimizer
    # A task that does not name pictures leaves the head that names them unused.
    unused = task.loss is not classification_loss
    runner = part if shard else DistributedDataParallel(model, find_unused_parameters=unused)
    loss_of = shared(group, task.loss, runner)
    try:
        for epoch in range(len(history.losses), recipe.epochs):
            with repeatable(1_000_003 * seed + epoch, where):
                loss = train_epoch(part, its_optimizer, training, recipe, epoch, loss_of)
            score = task.score(part, *held_out)
            if shard:
                gather(group, model, optimizer, part, its_optimizer)
            if group.first and score > max(history.scores, default=-math.inf):
                best = copy_of(model.state_dict())
            history.add(loss, score)
            with group.agreeing():
                if group.first and state is not None:
                    save_state(state, about, model, optimizer, history, best)
            watch(history)
    except KeyboardInterrupt:
        pass
    finally:
        if group.first:
            model.to(where).load_state_dict(best)
        model.eval()
    return history
