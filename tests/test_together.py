"""Several processes train like one, go on after a kill, end when one hangs, and write one set of files."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from together_worker import END, PLAIN, RANDOM, TINY, held, model_of

from swin_edu import training
from swin_edu.book import command, datasets, together, train
from swin_edu.book.device import device
from swin_edu.book.together import Group, LostError, joined
from swin_edu.book.trained import trained
from swin_edu.checkpoints import read_about, read_weights
from swin_edu.training import RECIPES

WORKER = Path(__file__).with_name("together_worker.py")
KINDS = ("whole", "parts")  # of the model, in each process


def launch(*arguments, restarts=0):
    """Start two processes with torchrun, on CPUs."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.Popen(
        [*torchrun, "--max-restarts", str(restarts), *map(str, arguments)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "SWIN_EDU_DEVICE": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def ended(launched):
    """Wait for an end; return what was said, what was told as errors, and the exit code."""
    with launched:
        try:
            return *launched.communicate(timeout=300), launched.returncode
        finally:
            launched.terminate()  # and with it what it has started


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


@pytest.fixture(scope="module")
def plays(tmp_path_factory):
    """All that the worker does, in three starts, since each takes long: the folder and what was said."""
    out = tmp_path_factory.mktemp("together")
    for play in ("undisturbed", "killed", "hangs"):
        (out / play).mkdir()
    said, told, code = ended(launch(WORKER, out, restarts=2))
    assert code == 1, told  # of the last play
    return out, said, told


@pytest.fixture(scope="module")
def undisturbed(plays):
    """Trainings without disturbance: their folder, what they said, and what the processes found."""
    out, *words = plays
    said, told = (text.partition(END)[0] for text in words)
    out /= "undisturbed"
    assert (out / "rank1.json").exists(), told
    return out, said, told, [json.loads((out / f"rank{rank}.json").read_text()) for rank in range(2)]


@pytest.fixture(scope="module")
def killed(plays):
    """The folder of two trainings, in each of which one process is killed."""
    return plays[0] / "killed"


@pytest.fixture(scope="module")
def single():
    """The same training in this process, by chapter 10."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model = model_of(PLAIN)
    history = training.train(model, TINY.training, TINY.held_out, PLAIN, 2)
    torch.set_num_threads(threads)
    return model, history


# Two processes and one


@pytest.mark.parametrize("kind", KINDS)
def test_losses_scores_and_weights_are_those_of_one_process(undisturbed, single, kind):
    out, _, _, ranks = undisturbed
    model, history = single
    weights = read_weights(out / f"{kind}.safetensors")
    assert weights.keys() == model.state_dict().keys()
    for name, x in model.state_dict().items():
        torch.testing.assert_close(weights[name], x, atol=1e-5, rtol=0, msg=name)
    for found in ranks:
        assert found["alike"][kind]["losses"] == pytest.approx(history.losses, abs=1e-5)
        assert found["alike"][kind]["scores"] == pytest.approx(history.scores, abs=1e-5)
        assert found["alike"][kind]["training"] is False
    assert len(set(history.losses)) == PLAIN.epochs


def test_each_process_holds_all_or_a_part(undisturbed, single):
    sizes = held(single[0].parameters())
    for what in ("weights", "gradients", "moments"):
        whole, parts = (
            [torch.tensor(found["alike"][kind][what]) for found in undisturbed[3]] for kind in KINDS
        )
        assert all(x.tolist() == sizes for x in whole)
        assert sum(parts).tolist() == sizes
        for x in parts:
            assert 0.4 < x.sum() / sum(sizes) < 0.6
    for found in undisturbed[3]:
        assert found["alike"]["parts"]["blocks"] == [True] * sum(PLAIN.depths)
    left = [found["alike"]["parts"]["left"] for found in undisturbed[3]]
    assert left == [sum(sizes), 0]  # the first keeps a whole model for the files


def test_processes_draw_differently_and_stay_in_step(undisturbed):
    (first, after), (second, also_after) = (found["drawn"] for found in undisturbed[3])
    assert len({*first, *second}) == 4 and after == also_after


def test_a_task_may_leave_layers_unused(undisturbed):
    for found in undisturbed[3]:
        first, *_, last = found["unused"]
        assert len(found["unused"]) == PLAIN.epochs and last < first


def test_all_learn_of_the_problem_of_one(undisturbed):
    for found in undisturbed[3]:
        assert found["problems"][:3] == [
            "only the last one has no file",
            "a batch has 1 images; 2 processes need one each",
            "there are 28 images; a batch needs 99",
        ]
        assert "tiny_state.safetensors is damaged" in found["problems"][3]


# What is written and said


def test_one_set_of_files_and_one_bar(undisturbed):
    out, said, told, ranks = undisturbed
    parameters = sum(x.numel() for x in model_of(RANDOM).parameters())
    assert all(found["codes"] == [0, 0] for found in ranks)
    assert [found["states"] for found in ranks] == [2 * RANDOM.epochs, 0]
    assert said.count(f"28 images of tiny, {parameters:,} parameters, cpu, 2 processes\n") == 3
    assert said.count("% of 13 held-out images\n") == 2
    assert len(re.findall(r"\b0/4 \[", told)) == 4  # where the state is damaged, also at the end
    assert "Warning" not in told
    assert names(out / "whole") == ["tiny.png", "tiny.safetensors"]
    assert names(out / "parts") == ["tiny.png", "tiny.safetensors", "tiny_state.safetensors"]  # the damaged
    for kind, shard in (("whole", ""), ("parts", " --shard")):
        path = out / kind / "tiny.safetensors"
        assert read_about(path)["command"] == (
            f"torchrun --nproc-per-node 2 -m swin_edu train tiny --seed 1 --epochs 4{shard}"
        )
        assert trained(path)(torch.zeros(1, 3, 8, 8)).shape == (1, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_after_a_kill_it_goes_on_as_if_nothing_had_been(undisturbed, killed, kind):
    assert names(killed / kind) == ["tiny.png", "tiny.safetensors"]  # the curves are losses and scores
    assert (killed / kind / "tiny.png").read_bytes() == (undisturbed[0] / kind / "tiny.png").read_bytes()
    paths = [folder / kind / "tiny.safetensors" for folder in (killed, undisturbed[0])]
    found, wanted = (read_weights(path) for path in paths)
    assert all(torch.equal(found[name], x) for name, x in wanted.items())
    assert read_about(paths[0]) == read_about(paths[1])


def test_no_epoch_is_trained_twice(killed):
    whole = ["0 1", "0 2", "0 3", "1 4"]  # of each epoch, which start did it
    assert (killed / "epochs").read_text().splitlines() == [*whole, "1 1", "1 2", "2 3", "2 4"]


# Ends


def test_a_process_that_hangs_ends_all(plays):
    out, _, told = plays
    lines = [line for line in re.split(r"[\r\n]+", told) if line.startswith("swin_edu: ")]
    assert lines == [
        "swin_edu: rank 0 waited 6 seconds for the other processes, one of which hangs or is too slow; "
        "the same command goes on from the last state"
    ]
    assert names(out / "hangs") == ["tiny_state.safetensors"]


def test_the_command_is_interrupted_and_one_process_can_go_on(tmp_path):
    out = tmp_path / "runs"
    launched = launch("-m", "swin_edu", "train", "digits", "--shard", "--out", out)
    state, latest = out / "digits_state.safetensors", time.monotonic() + 90
    while not state.exists() and launched.poll() is None and time.monotonic() < latest:
        time.sleep(0.1)
    launched.send_signal(signal.SIGINT)
    said, told, _ = ended(launched)
    lines = said.splitlines()
    assert lines[0] == "1,347 images of digits, 135,190 parameters, cpu, 2 processes", told
    [done] = re.findall(r"^stopped after (\d+) of 40 epochs; the same command goes on$", lines[-1])
    assert len(lines) == 5 and "swin_edu: " not in told
    assert names(out) == ["digits.png", "digits.safetensors", "digits_state.safetensors"]
    recipe = RECIPES["digits"]
    model = training.small_swin(recipe, 10)
    optimizer = torch.optim.AdamW(training.parameter_groups(model, recipe.weight_decay))
    about = json.dumps({"seed": 0, "images": 1347, **asdict(recipe)})
    history, best = training.load_state(state, about, model, optimizer)
    assert len(history.losses) == int(done) < 40
    written = read_weights(out / "digits.safetensors")
    assert all(torch.equal(x, written[name]) for name, x in best.items())
    steps = {int(each["step"]) for each in optimizer.state.values()}
    assert steps == {int(done) * (1347 // recipe.batch)}


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ("Timed out waiting 4000ms", "rank 1 waited 60 seconds for the other processes, one of which hangs"),
        (
            "gloo/transport/tcp/pair.cc: Connection reset by peer",
            "rank 1 has lost another process, which has",
        ),
        ("timed out connecting: Connection refused", "rank 1 has lost another process, which has ended;"),
        ("NCCL error: unhandled", "rank 1 can no longer talk to the other processes;"),
    ],
)
def test_lost_processes_get_one_sentence(monkeypatch, problem, told):
    def rendezvous(*given, **named):
        raise RuntimeError(problem)

    monkeypatch.setattr(together, "rendezvous", rendezvous)
    monkeypatch.setenv("SWIN_EDU_DEVICE", "cpu")
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(LostError, match=told), joined(Group(1, 2)):
        pass
    assert signal.getsignal(signal.SIGINT) == before


def test_each_start_meets_under_names_of_its_own(monkeypatch):
    store = dist.HashStore()
    monkeypatch.setattr(together, "rendezvous", lambda *given, **named: iter([(store, 0, 2)]))
    for start in "01":
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", start)
        found = together.meeting(Group(1, 2))
        assert not found["store"].check(["address"])
        found["store"].set("address", "x")
        assert (found["rank"], found["world_size"], found["timeout"].seconds) == (1, 2, 60)


def test_other_errors_stay_what_they_are(monkeypatch):
    monkeypatch.setattr(together, "rendezvous", lambda *given, **named: iter([(dist.HashStore(), 1, 2)]))
    monkeypatch.setattr(dist, "init_process_group", lambda *given, **named: None)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    monkeypatch.setenv("SWIN_EDU_DEVICE", "cpu")
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), joined(Group(1, 2)):
        torch.ones(2, 3) @ torch.ones(2, 3)


# Each process


@pytest.mark.parametrize(
    ("group", "problem", "speaks"),
    [
        (Group(0, 2), ValueError("of all"), True),
        (Group(1, 2), ValueError("of all"), False),
        (Group(1, 2), LostError("of this one"), True),
    ],
)
def test_the_first_speaks_for_all(tmp_path, monkeypatch, capsys, group, problem, speaks):
    def joined(group):
        raise problem

    monkeypatch.setattr(train, "group_of_torchrun", lambda: group)
    monkeypatch.setattr(train, "joined", joined)
    assert train.main("tiny", tmp_path, 0, None, False) == 1
    assert capsys.readouterr().err == (f"swin_edu: {problem}\n" if speaks else "")


def test_alone_nothing_changes(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "train_together", None)
    monkeypatch.setattr(together, "rendezvous", None)
    monkeypatch.setitem(datasets.NAMED, "tiny", lambda: TINY)
    monkeypatch.setitem(RECIPES, "tiny", PLAIN)
    before = signal.getsignal(signal.SIGINT)
    assert train.main("tiny", tmp_path, 0, None, False) == 0
    assert signal.getsignal(signal.SIGINT) == before
    assert capsys.readouterr().out.startswith("28 images of tiny, ")
    about = read_about(tmp_path / "tiny.safetensors")
    assert about["command"] == "python3 -m swin_edu train tiny --seed 0 --epochs 3"


def of_torchrun(monkeypatch, device, rank, count):
    names = {"TORCHELASTIC_RUN_ID": "x", "SWIN_EDU_DEVICE": device}
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    for name, value in (names | ranks).items():
        monkeypatch.setenv(name, str(value))


def test_the_place_in_the_group_is_that_of_torchrun(monkeypatch):
    assert together.group_of_torchrun() == Group(0, 1)
    of_torchrun(monkeypatch, "cpu", 2, 3)
    group = together.group_of_torchrun()
    assert group == Group(2, 3) and not group.first


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr("torch.backends.cudnn.allow_tf32", torch.backends.cudnn.allow_tf32)
    for name in ("", "cuda"):
        of_torchrun(monkeypatch, name, 2, 3)
        assert device() == torch.device("cuda:2")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(RuntimeError, match="torchrun starts 3 processes, but torch sees 2 CUDA GPU here"):
        device()


def test_apples_gpu_is_not_for_several(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: True)
    of_torchrun(monkeypatch, "", 1, 2)
    assert device() == torch.device("cpu")
    monkeypatch.setenv("SWIN_EDU_DEVICE", "mps")
    with (
        pytest.raises(ValueError, match="several processes cannot train on mps; set SWIN_EDU_DEVICE=cpu"),
        joined(Group(1, 2)),
    ):
        pass


@pytest.mark.parametrize("rank", [0, 1])
def test_a_device_that_is_not_here_is_told_once(monkeypatch, capsys, rank):
    of_torchrun(monkeypatch, "toaster", rank, 2)
    assert command.run_inside(command.make_parser().parse_args(["train"])) == 2
    assert capsys.readouterr().err.count("toaster") == (rank == 0)


@pytest.mark.parametrize(
    ("group", "quick", "task", "told"),
    [
        (Group(), False, "classification", "there is one; torchrun starts several"),
        (Group(0, 2), True, "classification", "leave out --fast and --task"),
        (Group(0, 2), False, "detection", "leave out --fast and --task"),
    ],
)
def test_what_cannot_be_divided(tmp_path, group, quick, task, told):
    with pytest.raises(ValueError, match=f"--shard divides .*{told}"):
        train.run(group, "tiny", tmp_path, 0, None, quick, task, True)
