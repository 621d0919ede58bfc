"""``python3 -m swin_edu explain``: any picture gets a PNG and a page, and every fault one sentence."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from swin_edu.book import explain as command
from swin_edu.book.command import make_parser
from swin_edu.book.explain import Expert, as_imagenet, expert, explain, in_words, main, number_of, place_of
from swin_edu.book.scenes import CLASSES as SHAPES
from swin_edu.book.scenes import draw_scene
from swin_edu.book.trained import save_trained
from swin_edu.checkpoints import save_weights
from swin_edu.insight import class_evidence
from swin_edu.model import swin
from swin_edu.training import Recipe, normalise, small_swin

CLASSES = ("disc", "square", "tri & angle", "star", "cross", "ring")
RECIPE = Recipe(channels=8, depths=(2, 1), heads=(1, 2), window=4, patch=4)  # 32 pixels


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file as train writes it, with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_trained(small_swin(RECIPE, len(CLASSES)), path, RECIPE, CLASSES, "none", score=0.0)
    return path


def save(path, *shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return str(path)


@pytest.mark.parametrize(
    "shape",
    [(48, 48, 3), (8, 8, 3), (1, 1), (60, 40), (30, 700, 3), (700, 30), (40, 50, 4), (4000, 3000)],
    ids=str,
)
def test_any_picture_is_explained(tmp_path, weights, capsys, shape):
    assert main(save(tmp_path / "my picture.png", *shape), tmp_path / "new" / "out", weights, None, None) == 0
    written = sorted(path.name for path in (tmp_path / "new" / "out").iterdir())
    assert written == ["my picture_explained.html", "my picture_explained.png"]
    with Image.open(tmp_path / "new" / "out" / written[1]) as picture:
        assert picture.width > 1000
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert [line.split("  ")[-1] in CLASSES for line in lines[:5]] == [True] * 5
    assert lines[5] == f"evidence for: {lines[0].split('  ')[-1]}"
    assert [Path(line).name for line in lines[6:]] == written[::-1]


def test_the_books_own_model_names_a_shape(tmp_path, capsys):
    scene = draw_scene(1_000_005, objects=1)
    Image.fromarray(scene.image.permute(1, 2, 0).numpy()).save(tmp_path / "scene.png")
    assert main(str(tmp_path / "scene.png"), tmp_path, None, None, None) == 0
    assert f"evidence for: {SHAPES[scene.labels[0]]}\n" in capsys.readouterr().out


@pytest.fixture(scope="module")
def found(weights, tmp_path_factory):
    path = save(tmp_path_factory.mktemp("picture") / "a<b>.png", 40, 50, 3)
    return explain(path, expert(weights, None), "tri & angle")


def test_the_page_says_all_in_words(found, page):
    page.route("**/*", lambda route: route.abort())  # it must not need the network
    page.set_content(found.page)
    assert page.locator("h1").inner_text() == "What the model sees in a<b>.png"
    assert page.title() == "What the model sees in a<b>.png"
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("main > img").get_attribute("alt") == found.alt
    assert page.locator("caption").inner_text() == "The highest scores"
    cells = [row.inner_text().split("\t") for row in page.locator("tbody tr").all()]
    assert cells == [[name, f"{100 * share:.1f} %"] for name, share in found.best.items()]
    assert "tri & angle" in found.best
    assert not re.search(r'(src|href)="(?!data:)', found.page)


def test_the_explorer_on_the_page_lives(found, page):
    page.set_content(found.page)
    page.wait_for_selector(".swin-explorer canvas")
    before = page.locator(".swin-explorer p").inner_text()
    page.get_by_role("slider", name="Head, 0 for their mean").focus()
    page.keyboard.press("ArrowRight")
    after = page.locator(".swin-explorer p").inner_text()
    assert before.startswith("Picture 1, block 3 of 3 (stage 2, windows not moved), mean of 2 heads")
    assert after.startswith("Picture 1, block 3 of 3 (stage 2, windows not moved), head 1 of 2")


def test_the_scores_are_the_models(weights, tmp_path):
    who = expert(weights, None)
    path = save(tmp_path / "a.png", who.side, who.side, 3)
    inputs = normalise(torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None]).to(
        who.model.head.weight
    )
    with torch.no_grad():
        shares = who.model(inputs)[0].softmax(-1)
    found = explain(path, who)
    assert found.named == CLASSES[shares.argmax()] == next(iter(found.best))
    expected = {CLASSES[i]: shares[i].item() for i in shares.argsort(descending=True)[:5].tolist()}
    assert found.best == pytest.approx(expected, abs=1e-5)
    assert list(found.best) == list(expected)


def test_another_class_gets_other_evidence(weights, tmp_path, monkeypatch):
    path, asked = save(tmp_path / "a.png", 32, 32, 3), []

    def noticed(model, images, classes, stage=None):
        asked.append((classes.tolist(), stage))
        return class_evidence(model, images, classes, stage)

    monkeypatch.setattr(command, "class_evidence", noticed)
    pictures = {explain(path, expert(weights, None), wanted).picture for wanted in ("ring", "5", "0")}
    assert asked == [([5], None), ([5], 2), ([5], None), ([5], 2), ([0], None), ([0], 2)]
    assert len(pictures) == 2


def test_published_weights(tmp_path, capsys):
    torch.manual_seed(0)
    save_weights(swin("swin_t").state_dict(), tmp_path / "t.safetensors")
    path = save(tmp_path / "a.png", 300, 200, 3)
    assert main(path, tmp_path, tmp_path / "t.safetensors", "swin_t", "tabby") == 0
    assert "evidence for: tabby" in capsys.readouterr().out
    assert main(path, tmp_path, tmp_path / "t.safetensors", "swin_s", None) == 1
    assert capsys.readouterr().err == "swin_edu: the weights are those of swin_t; the model is swin_s\n"
    assert main(path, tmp_path, tmp_path / "t.safetensors", None, None) == 1
    assert "holds no recipe" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "side"), [("swin_t", 224), ("swin_v2_t", 256)])
def test_pictures_get_the_size_of_training(name, side):
    assert Expert(swin(name), [], normalise).side == side


def test_colours_of_imagenet():
    image = torch.tensor([0.485, 0.456, 0.406])[None, :, None, None].expand(1, 3, 2, 2)
    assert torch.allclose(as_imagenet(image), torch.zeros(1, 3, 2, 2), atol=1e-6)
    deviations = torch.tensor([0.229, 0.224, 0.225])[None, :, None, None]
    assert torch.allclose(as_imagenet(image + deviations), torch.ones(1, 3, 2, 2), atol=1e-5)


FAULTS = {  # picture, file of weights, model, class
    "there is no file": ("missing.png", "own", None, None),
    "it seems to be a text file": ("text.png", "own", None, None),
    "cannot be read whole": ("cut.png", "own", None, None),
    "is a folder; give the path of one picture": ("", "own", None, None),
    "there is no file ": ("good.png", "missing.safetensors", None, None),
    "is damaged or no file of weights": ("good.png", "text.safetensors", "swin_t", None),
    "--model swin_t needs its file of weights too: --weights FILE": ("good.png", None, "swin_t", None),
    "name is 'resnet'; it must be one of swin_t": ("good.png", "own", "resnet", None),
    "--class is 'rung'; give a number from 0 to 5 or a name such as ring": ("good.png", "own", None, "rung"),
    "--class is '6'; give a number from 0 to 5": ("good.png", "own", None, "6"),
    "--class is '-1'; give a number from 0 to 5": ("good.png", "own", None, "-1"),
}


@pytest.mark.parametrize("sentence", FAULTS)
def test_a_fault_is_told_in_one_sentence_and_leaves_nothing(tmp_path, weights, capsys, sentence):
    good = Path(save(tmp_path / "good.png", 20, 20, 3))
    (tmp_path / "cut.png").write_bytes(good.read_bytes()[:200])
    for name in ("text.png", "text.safetensors"):
        (tmp_path / name).write_text("neither a picture nor weights")
    image, file, name, wanted = FAULTS[sentence]
    file = weights if file == "own" else file and tmp_path / file
    assert main(str(tmp_path / image), tmp_path / "out", file, name, wanted) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("swin_edu: ")
    assert sentence.strip() in printed.err
    assert printed.err.count("\n") == 1
    assert not printed.out
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder(tmp_path, weights, capsys):
    picture = save(tmp_path / "a.png", 20, 20, 3)
    before = Path(picture).read_bytes()
    assert main(picture, Path(picture), weights, None, None) == 1
    assert capsys.readouterr().err == f"swin_edu: --out is {picture}, which is no folder; name a folder\n"
    assert Path(picture).read_bytes() == before


def test_what_is_there_is_replaced_whole(tmp_path, weights):
    picture = save(tmp_path / "a.png", 20, 20, 3)
    (tmp_path / "a_explained.png").write_text("old")
    assert main(picture, tmp_path, weights, None, None) == 0
    assert (tmp_path / "a_explained.png").read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.png",
        "a_explained.html",
        "a_explained.png",
    ]


def test_numbers_and_names_of_classes():
    assert [number_of(wanted, list(CLASSES)) for wanted in ("0", "5", "star")] == [0, 5, 3]
    assert number_of("7", ["a", "7"]) == 1  # a name goes first


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((0, 0), "the top left"),
        ((5, 3), "the bottom middle"),
        ((3, 5), "the middle right"),
        ((2, 2), "the middle"),
    ],
)
def test_places_in_words(place, words):
    values = torch.zeros(6, 6)
    values[place] = 1
    assert place_of(values) == words


def test_the_alternative_text_says_scores_and_places():
    values = torch.zeros(6, 6)
    values[0, 5] = 1
    assert in_words({"ring": 0.7, "disc": 0.2}, "disc", {"rollout": values}) == (
        "The picture; bars of the highest scores: ring 70 %, disc 20 %; and three maps for disc. "
        "Highest in rollout: the top right."
    )


def test_the_command_line():
    options = make_parser().parse_args(["explain", "a.png"])
    assert (options.image, options.out, options.weights, options.model, options.wanted) == (
        "a.png",
        Path(),
        None,
        None,
        None,
    )
    words = ["explain", "a.png", "--out", "x", "--weights", "w", "--model", "swin_t", "--class", "tabby"]
    options = make_parser().parse_args(words)
    assert (options.out, options.weights, options.model, options.wanted) == (
        Path("x"),
        Path("w"),
        "swin_t",
        "tabby",
    )
