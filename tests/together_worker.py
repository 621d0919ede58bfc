"""What a process of test_together.py does; torchrun starts it with a folder, and twice again after a kill."""

import json
import os
import signal
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor

from swin_edu import training
from swin_edu.block import SwinBlockV2
from swin_edu.book import datasets, together, train
from swin_edu.book.datasets import Dataset, Labelled
from swin_edu.checkpoints import save_weights
from swin_edu.training import CLASSIFICATION, RECIPES, Recipe, Task, small_swin

# Without randomness; batches of 7, which two processes cannot share evenly. Version 2: in version 1 biases
# of keys have the gradient 0, whose rounding AdamW enlarges to whole steps.
PLAIN = Recipe(
    version=2,
    channels=8,
    depths=(1, 2),
    heads=(1, 2),
    batch=7,
    epochs=3,
    stochastic_depth=0,
    turn=0,
    stretch=0,
    move=0,
)
END = "of what is undisturbed"
RANDOM = replace(PLAIN, version=1, stochastic_depth=0.3, turn=15, stretch=0.1, move=1, epochs=4)


def pictures(count, seed):
    labels = torch.arange(count) % 3
    noise = torch.randint(0, 40, (count, 3, 8, 8), generator=torch.Generator().manual_seed(seed))
    return Labelled((noise + 70 * labels[:, None, None, None]).byte(), labels)


TINY = Dataset("tiny", ("dark", "grey", "light"), pictures(28, 0), pictures(13, 1))


def model_of(recipe, seed=5):
    torch.manual_seed(seed)
    return small_swin(recipe, 3)


def held(values):
    """Return how many numbers this process holds of each."""
    return [(x.to_local() if isinstance(x, DTensor) else x).numel() for x in values]


def alike(group, out):
    """Train whole and in parts; return what is to be the same, and what each process holds of it."""
    told = {}
    for name, shard in (("whole", False), ("parts", True)):
        model, seen = model_of(PLAIN, seed=5 + group.rank), {}  # the first one's weights are those of all

        def score(moving, *held_out, seen=seen):
            seen["model"] = moving
            return training.accuracy(moving, *held_out)

        class Watched(torch.optim.AdamW):
            def __init__(self, *given, seen=seen):
                super().__init__(*given)
                seen["optimizer"] = self  # the last that is made is the one that steps

        torch.optim.AdamW, adamw = Watched, torch.optim.AdamW
        task = CLASSIFICATION._replace(score=score)
        given = (TINY.training, TINY.held_out, PLAIN, 2, None, lambda history: None, task)
        history = together.train_together(group, shard, model, *given)
        torch.optim.AdamW = adamw
        parameters = list(seen["model"].parameters())
        told[name] = {
            "losses": history.losses,
            "scores": history.scores,
            "weights": held(parameters),
            "gradients": held([x.grad for x in parameters]),
            "moments": held([seen["optimizer"].state[x]["exp_avg_sq"] for x in parameters]),
            "blocks": [
                isinstance(x, FSDPModule) for x in seen["model"].modules() if isinstance(x, SwinBlockV2)
            ],
            "left": sum(x.numel() for x in model.parameters() if not x.is_meta),
            "training": model.training,
        }
        if group.first:
            save_weights(model.state_dict(), out / f"{name}.safetensors")
    return told


def drawn(group):
    """Return what a loss draws in two steps, and what all draw alike after it."""
    seen = []

    def loss(model, recipe, images):
        seen.append(float(torch.rand(())))
        return (model.weight * images).sum()

    model = torch.nn.Linear(1, 1, bias=False)
    torch.manual_seed(0)
    for _ in range(2):
        together.shared(group, loss, model)(None, None, torch.ones(4, 1))
    return seen, float(torch.rand(()))


def unused(group):
    """Train a model with a layer that its task does not use; return the losses."""
    model = torch.nn.ModuleDict({"used": torch.nn.Linear(1, 1), "unused": torch.nn.Linear(1, 1)})
    model.forward = lambda images: model["used"](images)
    task = Task(lambda model, recipe, images: model(images).square().mean(), lambda model, images: 0.0)
    images = (torch.arange(28.0)[:, None],)
    recipe = replace(PLAIN, learning_rate=0.1)
    return together.train_together(group, False, model, images, images, recipe, task=task).losses


def problems(group):
    """Return what each process learns of a problem that only the last one has, and of a batch too small."""
    told = []
    try:
        with group.agreeing():
            if not group.first:
                raise FileNotFoundError("only the last one has no file")
    except OSError as problem:
        told.append(str(problem))
    few = replace(PLAIN, batch=1)
    for recipe in (few, replace(few, batch=99)):
        try:
            together.train_together(group, False, model_of(few), TINY.training, TINY.held_out, recipe)
        except ValueError as problem:
            told.append(str(problem))
    return told


def command(group, out, shard=False):
    return train.run(group, "tiny", out, 1, None, False, "classification", shard)


def undisturbed(group, out):
    told = {"alike": alike(group, out), "drawn": drawn(group), "problems": problems(group)}
    told |= {"unused": unused(group), "states": 0}

    def counted(*given, save=together.save_state):
        told["states"] += 1
        save(*given)

    together.save_state = counted
    told["codes"] = [command(group, out / "whole"), command(group, out / "parts", shard=True)]
    (out / "parts" / "tiny_state.safetensors").write_bytes(b"half")
    try:
        command(group, out / "parts")
    except ValueError as problem:
        told["problems"].append(str(problem))
    (out / f"rank{group.rank}.json").write_text(json.dumps(told))


@contextmanager
def at_each_epoch(action):
    """Do something when an epoch is shown, with the number of epochs that are done."""
    before = train.shown_on

    def shown_on(bar, score, shown_on=train.shown_on):
        watch = shown_on(bar, score)

        def then(history):
            watch(history)
            action(len(history.losses))

        return then

    train.shown_on = shown_on
    yield
    train.shown_on = before


def killed(group, out, start):
    """At the first start, the last process is killed in training; at the second the first, in another."""

    def note_and_kill(epoch):
        if group.first:
            with open(out / "epochs", "a") as file:
                file.write(f"{start} {epoch}\n")
        if (start, group.rank, epoch) in ((0, 1, 3), (1, 0, 2)):
            os.kill(os.getpid(), signal.SIGKILL)

    with at_each_epoch(note_and_kill):
        if start < 2:
            command(group, out / "whole")
        if start > 0:
            command(group, out / "parts", shard=True)


def hangs(group, out, start):
    """One process waits in vain for the other; return the exit code."""
    os.environ["TORCHELASTIC_RESTART_COUNT"] = str(start + 1)  # they meet anew, under other names
    together.LONGEST_WAIT = 6
    with at_each_epoch(lambda epoch: None if group.first else time.sleep(60)):
        return train.main("tiny", out, 1, None, False)


if __name__ == "__main__":
    out, start = Path(sys.argv[1]), int(os.environ["TORCHELASTIC_RESTART_COUNT"])
    torch.set_num_threads(1)
    datasets.NAMED["tiny"] = lambda: TINY
    RECIPES["tiny"] = RANDOM
    group = together.group_of_torchrun()
    with together.joined(group):
        if start == 0:
            undisturbed(group, out / "undisturbed")
            if group.first:
                print(END, flush=True)
                print(END, file=sys.stderr, flush=True)
        killed(group, out / "killed", start)
    sys.exit(hangs(group, out / "hangs", start))
