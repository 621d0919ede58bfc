"""``python3 -m swin_edu predict`` writes a picture and JSON, in the picture's own pixels."""

import json
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from swin_edu.book import predict
from swin_edu.book.device import device
from swin_edu.book.scenes import CLASSES, draw_scene
from swin_edu.book.trained import FOLDER, save_trained, trained
from swin_edu.tasks.detection import detect
from swin_edu.tasks.segmentation import segment
from swin_edu.training import RECIPES, normalise, small_swin

SCENE = draw_scene(1_000_001)


pytestmark = pytest.mark.usefixtures("one_thread")


def saved(path, image=SCENE.image, size=None):
    """Save an image `(3, H, W)` as PNG, each pixel enlarged to `size`."""
    picture = Image.fromarray(np.ascontiguousarray(image.permute(1, 2, 0).numpy()))
    (picture.resize(size, Image.Resampling.NEAREST) if size else picture).save(path)
    return str(path)


def run(image, task, out, weights=None, threshold=0.3):
    images = [image] if isinstance(image, str) else image
    return predict.main(images, task, out, weights, threshold)


def read(out, name, task):
    drawn = Image.open(BytesIO((out / f"{name}_{task}.png").read_bytes()))
    assert min(drawn.size) > 200
    return json.loads((out / f"{name}_{task}.json").read_text("utf-8"))


def sentence(capsys):
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0].removeprefix("swin_edu: ")


def test_objects(tmp_path, capsys):
    image, out = saved(tmp_path / "scene.png"), tmp_path / "deep" / "out"
    assert run(image, "detection", out) == 0
    said = capsys.readouterr().out.splitlines()
    assert said == [str(out / "scene_detection.png"), str(out / "scene_detection.json")]
    found = read(out, "scene", "detection")
    assert [found[key] for key in ("image", "task", "width", "height")] == [image, "detection", 64, 64]
    [expected] = detect(trained("detection").to(device()), SCENE.image[None], 0.3)
    assert found["objects"]
    assert [each["class"] for each in found["objects"]] == [CLASSES[label] for label in expected.labels]
    assert [each["score"] for each in found["objects"]] == pytest.approx(expected.scores.tolist(), abs=1e-4)
    for each, box in zip(found["objects"], expected.boxes.tolist(), strict=True):
        assert each["box"] == pytest.approx(box, abs=0.051)


def test_boxes_are_those_of_the_picture_whatever_its_size(tmp_path):
    """A scene above, ground below: half as wide as high, three times as large."""
    tall = torch.cat([SCENE.image, SCENE.image[:, :1].expand(-1, 64, -1)], dim=1)
    image = saved(tmp_path / "tall.png", tall, (192, 384))
    assert run(image, "detection", tmp_path, threshold=0.05) == 0
    found = read(tmp_path, "tall", "detection")
    assert (found["width"], found["height"]) == (192, 384)
    for each in found["objects"]:
        x0, y0, x1, y1 = each["box"]
        assert 0 <= x0 <= x1 <= 192 and 0 <= y0 <= y1 <= 384
    centres = [(each["box"][1] + each["box"][3]) / 2 for each in found["objects"][:1]]
    assert centres and centres[0] < 192  # the surest lies in the upper half, where the scene is


def test_a_higher_threshold_finds_no_more(tmp_path):
    image, found = saved(tmp_path / "scene.png"), []
    for threshold in (0.05, 0.3, 0.9):
        assert run(image, "detection", tmp_path, threshold=threshold) == 0
        found.append(read(tmp_path, "scene", "detection")["objects"])
    assert len(found[0]) > len(found[1]) >= len(found[2])
    assert found[0][: len(found[1])] == found[1]
    assert all(each["score"] > 0.3 for each in found[1])


def test_pixels(tmp_path):
    image = saved(tmp_path / "scene.png")
    assert run(image, "segmentation", tmp_path) == 0
    shares = read(tmp_path, "scene", "segmentation")["pixels"]
    assert list(shares) == ["ground", *CLASSES] and sum(shares.values()) == pytest.approx(1, abs=1e-3)
    [expected] = segment(trained("segmentation").to(device()), SCENE.image[None])
    for number, share in enumerate(shares.values()):
        assert share == pytest.approx((expected == number).double().mean().item(), abs=1e-4)


def test_what_fills_up_the_square_is_not_counted(tmp_path):
    image = saved(tmp_path / "wide.png", SCENE.image[:, :16])
    assert run(image, "segmentation", tmp_path) == 0
    shares = read(tmp_path, "wide", "segmentation")["pixels"]
    padded = torch.cat([SCENE.image[:, :16], torch.zeros(3, 48, 64, dtype=torch.uint8)], dim=1)
    [expected] = segment(trained("segmentation").to(device()), padded[None])
    assert shares["ground"] == pytest.approx((expected[:16] == 0).double().mean().item(), abs=1e-4)


def test_the_class_of_a_picture(tmp_path):
    scene = draw_scene(1_000_000, objects=1)
    image = saved(tmp_path / "one.png", scene.image)
    assert run(image, "classification", tmp_path) == 0
    shares = read(tmp_path, "one", "classification")["classes"]
    with torch.no_grad():
        expected = trained("scenes")(normalise(scene.image[None]))[0].softmax(0)
    assert list(shares)[0] == CLASSES[expected.argmax()]
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    for name, share in shares.items():
        assert share == pytest.approx(expected[CLASSES.index(name)].item(), abs=1e-3)


def test_several_pictures_and_own_weights(tmp_path):
    torch.manual_seed(0)
    weights = tmp_path / "mine.safetensors"
    save_trained(small_swin(RECIPES["scenes"], 2), weights, RECIPES["scenes"], ("cat", "dog"), "", 0.5)
    images = [saved(tmp_path / f"{name}.png") for name in ("a", "b")]
    assert run(images, "classification", tmp_path, weights) == 0
    for name in ("a", "b"):
        assert set(read(tmp_path, name, "classification")["classes"]) == {"cat", "dog"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"image": "none.png"}, "there is no file 'none.png'"),
        ({"threshold": 1.5}, "--threshold is 1.5; it must lie between 0 and 1"),
        (
            {"weights": FOLDER / "segmentation.safetensors"},
            f"{FOLDER / 'segmentation.safetensors'} was trained for segmentation; give --task segmentation",
        ),
        ({"weights": "gone.safetensors"}, "there is no file gone.safetensors"),
        ({"out": "scene.png"}, "--out is scene.png, which is no folder; name a folder"),
    ],
)
def test_mistakes_get_one_sentence_and_write_nothing(tmp_path, monkeypatch, capsys, changes, told):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "scene.png")
    given = {"image": "scene.png", "task": "detection", "out": tmp_path / "out", **changes}
    if isinstance(given["out"], str):
        given["out"] = type(tmp_path)(given["out"])
    assert run(**given) == 1
    assert sentence(capsys).startswith(told)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.png"]
