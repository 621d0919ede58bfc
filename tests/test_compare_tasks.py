"""The figures of chapter 14: short trainings give one for each seed, and rivals cost about as much."""

from dataclasses import replace
from functools import partial

import pytest
import torch

from swin_edu.book import compare_tasks, train
from swin_edu.book.annotated import scenes_of_objects
from swin_edu.book.compare import cost_of
from swin_edu.book.compare_tasks import BACKBONES, FIGURES, LAST_MAP, TASKS, detector_on
from swin_edu.book.datasets import scenes
from swin_edu.book.tasks import KINDS


@pytest.fixture(autouse=True)
def short(monkeypatch, one_thread):
    """Few scenes, one epoch, and all jobs in this process."""
    few = scenes_of_objects(64, 12)
    named = scenes(64, 20)
    monkeypatch.setattr(compare_tasks, "scenes_of_objects", lambda: few)
    monkeypatch.setattr(compare_tasks, "scenes", lambda: named)
    monkeypatch.setattr(compare_tasks, "RECIPE", replace(compare_tasks.RECIPE, epochs=1))
    brief = {name: kind._replace(recipe=replace(kind.recipe, epochs=1)) for name, kind in KINDS.items()}
    monkeypatch.setattr(compare_tasks, "KINDS", brief)
    monkeypatch.setattr(compare_tasks, "EPOCHS", 1)
    monkeypatch.setattr(train, "WATCHED", 5)
    monkeypatch.setattr(compare_tasks, "side_by_side", lambda jobs: [job() for job in jobs])


def test_every_task_has_its_figures_for_each_seed():
    figures = compare_tasks.train_tasks(seeds=2)
    scores = {"classification": "right", "detection": "mAP", "segmentation": "mIoU"}
    for task in TASKS:
        values = figures[f"{task}, {scores[task]}"]
        assert len(values) == 2 and all(0 <= value <= 1 for value in values)
    lines = compare_tasks.task_table(figures)
    assert any(line.startswith("detection, AP50") for line in lines)


def test_the_minutes_of_a_training_are_those_of_its_epochs(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(compare_tasks.time, "perf_counter", lambda: 6 * next(clock))
    longer = compare_tasks.KINDS["detection"]
    longer = longer._replace(recipe=replace(longer.recipe, epochs=10))
    monkeypatch.setitem(compare_tasks.KINDS, "detection", longer)
    minutes = compare_tasks.time_tasks()
    assert minutes == {"classification": [0.1], "detection": [1.0], "segmentation": [0.1]}


def test_every_backbone_has_its_figures():
    figures = compare_tasks.train_pyramids(seeds=1)
    assert set(figures) == {f"{name}, {what}" for name in (*BACKBONES, LAST_MAP) for what in FIGURES}
    lines = compare_tasks.pyramid_table(figures)
    assert [line.split("  ")[0] for line in lines[1:]] == ["Swin", LAST_MAP, "ViT", "CNN"]


def test_the_same_seed_gives_the_same_figures():
    one, other = (compare_tasks.solved("segmentation", 3)["mIoU"] for _ in range(2))
    assert one == other


def test_rivals_cost_about_as_much_as_swin():
    costs = {name: cost_of(partial(detector_on, name))[1] for name in (*BACKBONES, LAST_MAP)}
    for name in ("ViT", "CNN"):
        assert costs[name] == pytest.approx(costs["Swin"], rel=0.1)
    assert all(44 <= costs[name] <= 50 for name in BACKBONES) and costs[LAST_MAP] < 0.6 * costs["Swin"]


def test_the_last_map_is_the_last():
    model = detector_on(LAST_MAP)
    assert model.strides == [16]
    images = torch.rand(1, 3, 64, 64)
    [only] = model.backbone.features(images)
    assert torch.equal(only, model.backbone.backbone.features(images)[-1])
