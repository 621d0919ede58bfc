"""The models that are stored with the book know their pictures, and every file of ``train`` is read back."""

import json
import re
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import save_file

from swin_edu.book import trained as module
from swin_edu.book.annotated import scenes_of_objects
from swin_edu.book.datasets import digits, scenes
from swin_edu.book.device import device
from swin_edu.book.scenes import CLASSES as SHAPES
from swin_edu.book.tasks import KINDS
from swin_edu.book.trained import FOLDER, load_trained, notes, save_trained, trained
from swin_edu.checkpoints import read_about, read_weights, save_weights
from swin_edu.training import RECIPES, Recipe, accuracy, small_swin

SMALL = Recipe(channels=8, depths=(1, 2), heads=(1, 2), window=3, patch=2, stochastic_depth=0.2)
CLASSES = ("ä", "b", "c")


pytestmark = pytest.mark.usefixtures("one_thread")


def small(version=1):
    torch.manual_seed(version)
    recipe = Recipe(**{**asdict(SMALL), "version": version})
    model = small_swin(recipe, 3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model, recipe


def test_the_stored_model_knows_the_digits():
    dataset = digits()
    model = trained("digits").to(device())
    reached = accuracy(model, *dataset.held_out)
    assert reached >= 0.98
    assert reached == pytest.approx(float(notes(FOLDER / "digits.safetensors")["score"]), abs=1 / 450)


def test_the_stored_model_knows_scenes():
    dataset = scenes(1, 300)
    assert accuracy(trained("scenes").to(device()), *dataset.held_out) >= 0.97


@pytest.mark.parametrize(("name", "data"), [("digits", digits), ("scenes", lambda: scenes(1, 1))])
def test_the_stored_files(name, data):
    path, dataset = FOLDER / f"{name}.safetensors", data()
    assert path.stat().st_size <= 2_000_000
    about = read_about(path)
    assert about.keys() == {"task", "recipe", "classes", "command", "score"}
    recipe = RECIPES[name]
    assert json.loads(about["recipe"]) == json.loads(json.dumps(asdict(recipe)))
    assert json.loads(about["classes"]) == list(dataset.classes)
    command = rf"python3 -m swin_edu train {name} --seed \d+ --epochs {recipe.epochs}"
    assert re.fullmatch(command, about["command"])
    assert float(about["score"]) >= 0.97
    assert {x.dtype for x in read_weights(path).values()} == {torch.float32}
    model = trained(name)
    assert not model.training and model.head.out_features == len(dataset.classes)


@pytest.mark.parametrize(("name", "least"), [("detection", 0.55), ("segmentation", 0.85)])
def test_the_stored_models_of_the_other_tasks(name, least):
    path = FOLDER / f"{name}.safetensors"
    assert path.stat().st_size <= 3_000_000
    about = read_about(path)
    assert about["task"] == name and json.loads(about["classes"]) == list(SHAPES)
    assert json.loads(about["recipe"]) == json.loads(json.dumps(asdict(KINDS[name].recipe)))
    command = (
        f"python3 -m swin_edu train scenes --task {name} --seed 0 --epochs {KINDS[name].recipe.epochs} --fast"
    )
    assert about["command"] == command
    found = load_trained(name)
    assert found.task == name and found.classes == SHAPES and not found.model.training
    assert float(about["score"]) >= least
    data = scenes_of_objects(1, 300)
    score = KINDS[name].task.score(found.model.to(device()), *data.held_out)
    assert score == pytest.approx(float(about["score"]), abs=0.03)  # on other scenes, and fewer


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_there_and_back_with_a_task(tmp_path, task):
    torch.manual_seed(0)
    model, path = KINDS[task].build(small_swin(SMALL, 3), 3), tmp_path / "mine.safetensors"
    save_trained(model, path, SMALL, CLASSES, "", 0.5, task)
    again = load_trained(path)
    assert again.task == task and again.classes == CLASSES
    for name, x in model.state_dict().items():
        assert torch.equal(again.model.state_dict()[name], x)
    other = {"detection": "segmentation", "segmentation": "detection"}[task]
    save_weights(model.state_dict(), path, {**read_about(path), "task": other})
    with pytest.raises(ValueError) as problem:
        load_trained(path)
    assert "\n" not in str(problem.value)


def test_every_stored_file_is_one_of_these():
    assert sorted(path.stem for path in FOLDER.iterdir()) == ["detection", "digits", "scenes", "segmentation"]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kind", [str, lambda path: path])
def test_there_and_back(tmp_path, version, kind):
    model, recipe = small(version)
    path = tmp_path / "deep" / "mine.safetensors"
    save_trained(model, path, recipe, CLASSES, "python3 -m swin_edu train x", 0.98765)
    again = trained(kind(path))
    assert not again.training and again.state_dict().keys() == model.state_dict().keys()
    for name, x in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], x)
    images = torch.rand(2, 3, 14, 10)
    assert torch.equal(again(images), model.eval()(images))
    about = notes(path)
    assert json.loads(about["classes"]) == list(CLASSES) and "ä" in about["classes"]
    assert Recipe(**json.loads(about["recipe"])) == Recipe(
        **{**asdict(recipe), "depths": [1, 2], "heads": [1, 2]}
    )
    assert about["command"] == "python3 -m swin_edu train x" and about["score"] == "0.9877"
    assert [block.drop.rate for stage in again.stages for block in stage.blocks] == pytest.approx(
        [0, 0.1, 0.2]
    )


def test_the_books_models_come_before_the_readers_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").write_text("something else")
    assert trained("digits").head.out_features == 10


def test_a_name_is_looked_up_in_the_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    model, recipe = small()
    save_trained(model, tmp_path / "mine.safetensors", recipe, CLASSES, "", 1)
    assert torch.equal(trained("mine").head.weight, model.head.weight)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_damaged_file_gets_one_sentence(tmp_path, share):
    path = tmp_path / "x.safetensors"
    data = (FOLDER / "digits.safetensors").read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError) as problem:
        trained(path)
    assert str(problem.value).startswith(f"{path} is damaged or no file of weights")
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("about", [{}, {"recipe": "{}"}, {"classes": "[]"}, {"training": "{}"}])
def test_a_file_without_recipe_gets_one_sentence(tmp_path, about):
    model, path = small()[0], tmp_path / "x.safetensors"
    save_weights(model.state_dict(), path, about)
    sentence = f"^{path} holds no recipe; give a file that python3 -m swin_edu train has written$"
    with pytest.raises(ValueError, match=sentence):
        trained(path)
    save_file(model.state_dict(), path)
    with pytest.raises(ValueError, match=sentence):
        trained(str(path))


@pytest.mark.parametrize("recipe", ['{"heat": 3}', "no", "[]", "3"])
def test_a_recipe_of_another_version_gets_one_sentence(tmp_path, recipe):
    path = tmp_path / "x.safetensors"
    save_weights(
        small()[0].state_dict(), path, {"task": "classification", "recipe": recipe, "classes": '["a"]'}
    )
    sentence = f"^{path} holds a recipe of another version of swin_edu; train again$"
    with pytest.raises(ValueError, match=sentence):
        trained(path)


def test_a_file_of_another_kind_gets_one_sentence(tmp_path):
    path = tmp_path / "x.pth"
    torch.save(small()[0].state_dict(), path)
    with pytest.raises(ValueError, match=f"^{path} holds no recipe; give a file"):
        trained(path)


def test_weights_of_another_recipe_get_one_sentence(tmp_path):
    model, path = small()[0], tmp_path / "x.safetensors"
    save_trained(model, path, Recipe(), CLASSES, "", 1)
    with pytest.raises(ValueError, match="the weights are those of a version 1 with 8 channels") as problem:
        trained(path)
    assert "\n" not in str(problem.value)


@pytest.mark.parametrize("name", ["digit", "runs/none.safetensors", "."])
def test_a_missing_file_is_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"^there is no file {re.escape(name)}$"):
        trained(name)
