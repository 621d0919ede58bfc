"""``python3 -m swin_edu train`` writes what it says, goes on after a stop, and tells every mistake."""

import json
import math
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
import torch
from PIL import Image

from swin_edu import training
from swin_edu.book import bench, command, datasets, train
from swin_edu.book.annotated import scenes_of_objects
from swin_edu.book.datasets import Dataset, Labelled
from swin_edu.book.device import device
from swin_edu.book.environment import Environment
from swin_edu.book.tasks import KINDS
from swin_edu.book.trained import load_trained, trained
from swin_edu.checkpoints import read_about, read_weights
from swin_edu.tasks.annotated import UNKNOWN
from swin_edu.training import RECIPES, Recipe, accuracy

NAMES = "classification"
TINY = Recipe(
    channels=8, depths=(1, 1), heads=(1, 2), window=2, epochs=4, batch=8, stochastic_depth=0.3, warmup=0.25
)


def pictures(count, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    noise = torch.randint(0, 40, (count, 3, 8, 8), generator=generator)
    return Labelled((noise + 70 * labels[:, None, None, None]).byte(), labels)


@pytest.fixture(autouse=True)
def data(monkeypatch, one_thread):
    """Tiny pictures that ``train tiny`` finds."""
    dataset = Dataset("tiny", ("dark", "grey", "light"), pictures(1024, 0), pictures(13, 1))
    few = dataset._replace(training=Labelled(*(x[:20] for x in dataset.training)))
    monkeypatch.setitem(datasets.NAMED, "tiny", lambda: few)
    monkeypatch.setitem(RECIPES, "tiny", TINY)
    return few


def run(out, data="tiny", seed=0, epochs=None, quick=False):
    return train.main(data, out, seed, epochs, quick)


def stop_after(monkeypatch, epochs):
    """Press Ctrl-C when the figures of an epoch are shown; 0: within the first."""

    def shown_on(bar, score, shown_on=train.shown_on):
        watch = shown_on(bar, score)

        def then_stop(history):
            watch(history)
            if len(history.losses) == epochs:
                raise KeyboardInterrupt

        return then_stop

    def step(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "shown_on", shown_on)
    if epochs == 0:
        monkeypatch.setattr(training, "train_step", step)


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def sentence(capsys):
    """Return the one line of an error, without the progress bar."""
    told = capsys.readouterr().err
    assert "Traceback" not in told and told.endswith("\n")
    lines = re.split(r"[\r\n]+", told.removesuffix("\n"))
    [line] = [line for line in lines if line.startswith("swin_edu: ")]
    assert lines[-1] == line
    return line.removeprefix("swin_edu: ")


# What is written and said


@pytest.mark.parametrize("quick", [False, True])
def test_the_files_and_what_is_said(tmp_path, monkeypatch, capsys, data, quick):
    out, made_fast = tmp_path / "deep" / "runs", []
    monkeypatch.setattr(train, "fast", lambda model, fast=train.fast: made_fast.append(model) or fast(model))
    assert run(out, quick=quick) == 0
    assert len(made_fast) == quick
    assert names(out) == ["tiny.png", "tiny.safetensors"]
    said, bar = capsys.readouterr()
    model, path = trained(out / "tiny.safetensors"), out / "tiny.safetensors"
    reached = accuracy(model, *data.held_out)
    parameters = sum(x.numel() for x in model.parameters())
    lines = said.splitlines()
    assert lines[0] == f"20 images of tiny, {parameters:,} parameters, {device()}"
    [[best, percent]] = re.findall(r"^epoch (\d) is the best: right (.*)% of 13 held-out images$", lines[1])
    assert percent == f"{100 * reached:.1f}" and 1 <= int(best) <= 4
    assert lines[2:] == [str(path), str(out / "tiny.png")]
    assert "4/4" in bar and f"right={reached:.1%}" in bar and "loss=" in bar
    about = read_about(path)
    command = "python3 -m swin_edu train tiny --seed 0 --epochs 4"
    assert about["command"] == (f"{command} --fast" if quick else command)
    assert float(about["score"]) == pytest.approx(reached, abs=1e-4)
    assert json.loads(about["classes"]) == ["dark", "grey", "light"]
    assert Image.open(BytesIO((out / "tiny.png").read_bytes())).width > 1000


def test_the_curves_are_those_of_the_training(tmp_path, monkeypatch, data):
    drawn = []

    def learning_curves(losses, scores, title, draw=train.learning_curves):
        drawn.append((losses, scores))
        assert title == "right, held-out images"
        return draw(losses, scores, title)

    monkeypatch.setattr(train, "learning_curves", learning_curves)
    run(tmp_path, seed=2)
    torch.manual_seed(2)
    model = training.small_swin(TINY, 3).to(device())
    history = training.train(model, data.training, data.held_out, TINY, 2)
    if device().type == "cpu":
        assert drawn == [(history.losses, history.scores)]
        for name, x in read_weights(tmp_path / "tiny.safetensors").items():
            assert torch.equal(x, model.state_dict()[name])
    assert len(drawn[0][0]) == 4


def test_seed_and_epochs_are_those_asked_for(tmp_path, capsys):
    weights = []
    for seed, epochs in ((0, 1), (3, 1), (3, 2)):
        assert run(tmp_path, seed=seed, epochs=epochs) == 0
        assert f"{epochs}/{epochs}" in capsys.readouterr().err
        path = tmp_path / "tiny.safetensors"
        about = read_about(path)
        assert f"--seed {seed} --epochs {epochs}" in about["command"]
        assert json.loads(about["recipe"])["epochs"] == epochs
        weights.append(read_weights(path)["head.weight"])
    assert not torch.equal(weights[0], weights[1])


# Stopped, and on again


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("quick", [False, True])
def test_the_same_command_goes_on(tmp_path, monkeypatch, capsys, stop, quick):
    full, part = tmp_path / "full", tmp_path / "part"
    assert run(full, quick=quick) == 0
    said_at_once = capsys.readouterr().out.replace("full", "part")
    with monkeypatch.context() as stopping:
        stop_after(stopping, stop)
        assert run(part, quick=quick) == 130
    said = capsys.readouterr().out
    assert said.endswith(f"stopped after {stop} of 4 epochs; the same command goes on\n")
    assert names(part) == ["tiny.png", "tiny.safetensors", "tiny_state.safetensors"]
    assert trained(part / "tiny.safetensors")(torch.zeros(1, 3, 8, 8)).shape == (1, 3)
    assert run(part, quick=quick) == 0
    said, bar = capsys.readouterr()
    assert names(part) == ["tiny.png", "tiny.safetensors"]
    assert "4/4" in bar
    if device().type == "cpu":
        assert said == said_at_once
        assert (part / "tiny.png").read_bytes() == (full / "tiny.png").read_bytes()
        ours, theirs = part / "tiny.safetensors", full / "tiny.safetensors"
        assert read_about(ours) == read_about(theirs)
        for name, x in read_weights(theirs).items():
            assert torch.equal(read_weights(ours)[name], x)


def test_stopped_before_the_first_epoch_is_done(tmp_path, monkeypatch, capsys):
    stop_after(monkeypatch, 0)
    out = tmp_path / "runs"
    assert run(out) == 130
    said = capsys.readouterr().out.splitlines()
    assert said[1:] == ["stopped before the first epoch was done; nothing is written"]
    assert not out.exists() or names(out) == []


def test_the_bar_shows_each_epoch_and_where_it_goes_on():
    class Bar:
        n, shown = 0, ()

        def set_postfix(self, figures, refresh):
            assert refresh is False
            self.shown = figures

        def update(self, steps):
            self.n += steps

    bar = Bar()
    watch = train.shown_on(bar, "right")
    watch(training.History([3.0, 2.0, 1.234], [0.1, 0.3, 0.256]))
    assert bar.n == 3 and bar.shown == {"loss": "1.23", "right": "25.6%"}
    watch(training.History([3.0, 2.0, 1.0, 0.5], [0.1, 0.3, 0.2, 0.9]))
    assert bar.n == 4 and bar.shown == {"loss": "0.50", "right": "90.0%"}


# Other tasks


def few_scenes(monkeypatch, held_out=12, masks=True):
    """Let ``train`` find 40 scenes and one epoch, and judge each epoch on 5 held-out ones."""
    found = scenes_of_objects(40, held_out)
    if not masks:
        blank = torch.full_like(found.training.pixels, UNKNOWN)
        found = found._replace(training=found.training._replace(pixels=blank))
    monkeypatch.setattr(train, "load_annotated", lambda data: found)
    monkeypatch.setattr(train, "WATCHED", 5)
    brief = {
        name: kind._replace(recipe=replace(kind.recipe, epochs=1, batch=20)) for name, kind in KINDS.items()
    }
    monkeypatch.setattr(train, "KINDS", brief)
    return found


@pytest.mark.parametrize(("task", "score"), [("detection", "mAP"), ("segmentation", "mIoU")])
@pytest.mark.parametrize("quick", [False, True])
def test_a_task_begins_with_the_backbone_of_the_one_before(tmp_path, monkeypatch, capsys, task, score, quick):
    found, begun = few_scenes(monkeypatch), []

    def watched(model, training, held_out, *given, train=train.train):
        begun.append({name: x.clone() for name, x in model.state_dict().items()})
        assert len(held_out.images) == 5 and training is found.training
        return train(model, training, held_out, *given)

    monkeypatch.setattr(train, "train", watched)
    assert train.main("scenes", tmp_path, 3, None, quick, task) == 0
    before = trained("scenes") if task == "detection" else trained("detection").backbone
    for name, x in before.state_dict().items():
        assert torch.equal(begun[0][f"backbone.{name}"], x)
    name = f"scenes_{task}"
    assert names(tmp_path) == [f"{name}.png", f"{name}.safetensors"]
    said, bar = capsys.readouterr()
    [percent] = re.findall(rf"^epoch 1 is the best: {score} (.*)% of 7 held-out images$", said, re.MULTILINE)
    again = load_trained(tmp_path / f"{name}.safetensors")
    reached = KINDS[task].task.score(again.model.to(device()), *found.held_out.some(slice(5, None)))
    assert percent == f"{100 * reached:.1f}" and again.task == task
    command = f"python3 -m swin_edu train scenes --task {task} --seed 3 --epochs 1"
    assert read_about(tmp_path / f"{name}.safetensors")["command"] == (
        f"{command} --fast" if quick else command
    )
    assert f"{score}=" in bar


def test_few_held_out_pictures_judge_epochs_and_result(tmp_path, monkeypatch, capsys):
    few_scenes(monkeypatch, held_out=4)
    assert train.main("scenes", tmp_path, 0, None, False, "segmentation") == 0
    assert "of 4 held-out images" in capsys.readouterr().out


def test_segmentation_without_masks_gets_one_sentence(tmp_path, monkeypatch, capsys):
    few_scenes(monkeypatch, masks=False)
    assert train.main("mine", tmp_path, 0, None, False, "segmentation") == 1
    assert sentence(capsys) == "mine holds no masks; segmentation needs them, detection does not"
    assert names(tmp_path) == []


# Mistakes


def test_unknown_data_gets_one_sentence(tmp_path, capsys):
    assert run(tmp_path, "digit") == 1
    assert "'digit', which is neither a dataset nor a folder; use digits, scenes" in sentence(capsys)
    assert names(tmp_path) == []


def test_a_folder_without_cifar_10_gets_one_sentence(tmp_path, capsys):
    (tmp_path / "photos").mkdir()
    assert run(tmp_path / "runs", str(tmp_path / "photos")) == 1
    assert "holds no data_batch_1.bin" in sentence(capsys)
    assert names(tmp_path) == ["photos"]


def test_a_file_in_place_of_the_folder_gets_one_sentence(tmp_path, capsys):
    out = tmp_path / "runs"
    out.write_text("mine")
    assert run(out) == 1
    assert sentence(capsys) == f"--out is {out}, which is no folder; name a folder"
    assert out.read_text() == "mine" and names(tmp_path) == ["runs"]


@pytest.mark.parametrize("name", ["save_trained", "learning_curves"])
def test_a_full_disk_gets_one_sentence_and_loses_nothing(tmp_path, monkeypatch, capsys, name):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as writing:
        writing.setattr(train, name, full)
        assert run(tmp_path) == 1
    assert "No space left on device" in sentence(capsys)
    assert "tiny_state.safetensors" in names(tmp_path)
    monkeypatch.setattr(training, "train_step", None)  # nothing is left to train
    assert run(tmp_path) == 0
    assert names(tmp_path) == ["tiny.png", "tiny.safetensors"]


def test_the_state_of_another_training_gets_one_sentence(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as stopping:
        stop_after(stopping, 2)
        run(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    capsys.readouterr()
    for changes in ({"seed": 1}, {"epochs": 9}):
        assert run(tmp_path, **changes) == 1
        told = sentence(capsys)
        assert "tiny_state.safetensors is the state of another training" in told
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == before


def test_a_damaged_state_gets_one_sentence(tmp_path, capsys):
    (tmp_path / "tiny_state.safetensors").write_bytes(b"half")
    assert run(tmp_path) == 1
    assert "tiny_state.safetensors is damaged" in sentence(capsys)


def test_a_loss_that_is_not_finite_gets_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(RECIPES, "tiny", replace(TINY, learning_rate=math.inf))
    assert run(tmp_path / "runs") == 1
    assert "the loss is nan in step 1" in sentence(capsys)
    assert not (tmp_path / "runs").exists() or names(tmp_path / "runs") == []


def test_fewer_images_than_a_batch_get_one_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(RECIPES, "tiny", replace(TINY, batch=21))
    assert run(tmp_path) == 1
    assert sentence(capsys) == "there are 20 images; a batch needs 21"


@pytest.mark.parametrize("epochs", [0, -1])
def test_less_than_one_epoch_gets_one_sentence(tmp_path, capsys, epochs):
    assert run(tmp_path, epochs=epochs) == 1
    assert sentence(capsys) == f"--epochs is {epochs}; it must be at least 1"
    assert names(tmp_path) == []


@pytest.mark.parametrize("seed", [-1, 1_000_000, 10**30])
def test_a_seed_out_of_range_gets_one_sentence(tmp_path, capsys, seed):
    assert run(tmp_path, seed=seed) == 1
    assert sentence(capsys) == f"--seed is {seed}; it must be at least 0 and below 1,000,000"
    assert run(tmp_path, seed=999_999, epochs=1) == 0


# CIFAR-10


def test_cifar_10_goes_through(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(datasets, "CIFAR10_RECORDS", 10)
    folder = tmp_path / "my data" / datasets.CIFAR10_FOLDER
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    for name in datasets.CIFAR10_FILES:
        records = torch.randint(0, 256, (10, 3073), generator=generator).byte()
        records[:, 0] = torch.arange(10)
        (folder / name).write_bytes(records.numpy().tobytes())
    recipe = replace(RECIPES["CIFAR-10"], channels=12, depths=(1, 1), heads=(1, 2), epochs=1, batch=16)
    monkeypatch.setitem(RECIPES, "CIFAR-10", recipe)
    assert run(tmp_path / "runs", str(folder.parent)) == 0
    assert names(tmp_path / "runs") == ["CIFAR-10.png", "CIFAR-10.safetensors"]
    said = capsys.readouterr().out
    assert said.startswith("50 images of CIFAR-10, ") and "% of 10 held-out images" in said
    about = read_about(tmp_path / "runs" / "CIFAR-10.safetensors")
    assert f"train '{folder.parent}' --seed 0" in about["command"]
    assert json.loads(about["classes"]) == list(datasets.CIFAR10_CLASSES)
    scores = trained(tmp_path / "runs" / "CIFAR-10.safetensors")(torch.zeros(1, 3, 32, 32))
    assert scores.shape == (1, 10)


# The command


@pytest.fixture
def started(monkeypatch):
    calls = []
    monkeypatch.setattr(Environment, "ensure", lambda _, test=False: None)
    monkeypatch.setattr(Environment, "execute", lambda project, *given: calls.append(given) or 5)
    monkeypatch.setattr(Environment, "is_running", lambda project: True)
    monkeypatch.setattr(train, "main", lambda *given: calls.append(given) or 7)
    monkeypatch.setattr(bench, "main", None)
    return calls


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ("digits", Path("runs"), 0, None, False, NAMES, False)),
        (["scenes", "--fast"], ("scenes", Path("runs"), 0, None, True, NAMES, False)),
        (
            ["--seed", "4", "--epochs", "9", "--out", "a/b"],
            ("digits", Path("a/b"), 4, 9, False, NAMES, False),
        ),
        (["/data", "--task", "detection"], ("/data", Path("runs"), 0, None, False, "detection", False)),
        (["--shard"], ("digits", Path("runs"), 0, None, False, NAMES, True)),
    ],
)
def test_the_arguments(started, given, expected):
    assert command.main(["train", *given]) == 7
    assert started == [expected]


def test_it_starts_again_inside_venv(started, monkeypatch):
    monkeypatch.setattr(Environment, "is_running", lambda project: False)
    assert command.main(["train", "scenes", "--seed", "2"]) == 5
    assert started == [("-m", "swin_edu", "train", "scenes", "--seed", "2")]


@pytest.mark.parametrize("given", [["--epochs", "many"], ["--seed", "x"], ["digits", "scenes"], ["--quick"]])
def test_wrong_arguments_are_told(started, given, capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["train", *given])
    assert end.value.code == 2 and started == []
    assert "error: " in capsys.readouterr().err
