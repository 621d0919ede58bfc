"""Annotated pictures: layouts of COCO and VOC are read whole; what is wrong is named with its line."""

import json
import reprlib
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image, ImageCms, ImageDraw
from pycocotools import mask as runs
from pycocotools.coco import COCO

from swin_edu.book import annotated
from swin_edu.book.annotated import fitted, load_annotated, scaled, scenes_of_objects
from swin_edu.book.coco import _File, _Place, _unpacked, coco
from swin_edu.book.datasets import MOST_SCENES
from swin_edu.book.scenes import CLASSES, draw_scene
from swin_edu.book.voc import VOC_CLASSES, voc
from swin_edu.tasks.annotated import NOBODY, UNKNOWN

SIDE = 32
IDS = (7, 3, 90, 12, 1, 50)  # of the categories, in the order of CLASSES: neither sorted nor consecutive


def expected(scenes):
    """Return what `Annotated` must hold of scenes, put together one number at a time."""
    most = max(1, *(len(scene.labels) for scene in scenes))
    boxes, labels = torch.zeros(len(scenes), most, 4), torch.full((len(scenes), most), NOBODY)
    pixels = torch.zeros(len(scenes), *scenes[0].image.shape[1:], dtype=torch.uint8)
    for n, scene in enumerate(scenes):
        for k, label in enumerate(scene.labels):
            boxes[n, k], labels[n, k] = scene.boxes[k], label
            pixels[n][scene.masks[k]] = 1 + int(label)
    return torch.stack([scene.image for scene in scenes]), boxes, labels, pixels


def check_same(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype == theirs.dtype and torch.equal(ours, theirs)


def save(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(path)


# The scenes


def test_scenes_hold_their_objects():
    dataset = scenes_of_objects(12, 9, SIDE)
    assert dataset.name == "scenes" and dataset.classes == CLASSES
    check_same(dataset.training, expected([draw_scene(seed, SIDE) for seed in range(12)]))
    check_same(dataset.held_out, expected([draw_scene(MOST_SCENES + seed, SIDE) for seed in range(9)]))
    assert {len(labels[labels != NOBODY]) for labels in dataset.training.labels} == {1, 2, 3, 4}
    assert scenes_of_objects(12, 9, SIDE) is dataset  # drawn once


def test_scenes_by_default_are_8000_and_1000_and_never_meet(monkeypatch):
    calls, scene = [], draw_scene(7, 16)
    monkeypatch.setattr(annotated, "draw_scene", lambda *call: calls.append(call) or scene)
    dataset = scenes_of_objects.__wrapped__()
    assert len(dataset.training.labels) == 8000 and len(dataset.held_out.labels) == 1000
    assert calls == [(seed, 64) for seed in (*range(8000), *range(MOST_SCENES, MOST_SCENES + 1000))]


def test_impossible_numbers_of_scenes_are_refused():
    for arguments in ({"training": 0}, {"held_out": MOST_SCENES + 1}, {"size": 8}):
        with pytest.raises(ValueError, match="; give a whole number from"):
            scenes_of_objects(**arguments)


# COCO


def rectangles(mask):
    """Return a mask as polygons: one for each run of pixels in a row."""
    found = []
    for y, row in enumerate(np.asarray(mask)):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], row, [0]])))
        for x0, x1 in edges.reshape(-1, 2).tolist():
            found.append([x0, y, x1, y, x1, y + 1, x0, y + 1])
    return found


def lengths(mask):
    """Return a mask as runs of zeros and ones in turn, down the columns."""
    flat = np.asarray(mask).T.ravel()
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.concatenate([[0], edges, [len(flat)]])).tolist()
    return {"size": list(mask.shape), "counts": [0, *counts] if flat[0] else counts}


def compressed(mask):
    found = runs.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": found["size"], "counts": found["counts"].decode()}


def coco_lists(scenes, first, segment):
    """Return annotations of scenes, the pictures in reverse order."""
    images, annotations = [], []
    for number, scene in reversed(list(enumerate(scenes, start=first))):
        rows, columns = scene.image.shape[1:]
        images.append({"id": number, "file_name": f"{number}.png", "width": columns, "height": rows})
        for label, box, mask in zip(scene.labels, scene.boxes, scene.masks, strict=True):
            x0, y0, x1, y1 = box.tolist()
            entry = {"id": len(annotations), "image_id": number, "category_id": IDS[label], "iscrowd": 0}
            entry |= {"bbox": [x0, y0, x1 - x0, y1 - y0], "segmentation": segment(mask.numpy())}
            annotations.append(entry)
    categories = [{"id": id, "name": name} for id, name in zip(IDS, CLASSES, strict=True)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(folder, training, held_out, segment=compressed):
    (folder / "annotations").mkdir(parents=True)
    for part, first, scenes in (("train2017", 5, training), ("val2017", 100, held_out)):
        for number, scene in enumerate(scenes, start=first):
            save(scene.image, folder / part / f"{number}.png")
        text = json.dumps(coco_lists(scenes, first, segment))
        (folder / f"annotations/instances_{part}.json").write_text(text)


def by_id(found):
    """Give labels that count in the order of the categories' ids the order of CLASSES."""
    order = torch.tensor([sorted(IDS).index(id) for id in IDS])
    back = torch.argsort(order)
    there, seen = found.labels != NOBODY, (found.pixels > 0) & (found.pixels < UNKNOWN)
    labels, pixels = found.labels.clone(), found.pixels.clone()
    labels[there] = back[found.labels[there]]
    pixels[seen] = (1 + back[found.pixels[seen].long() - 1]).to(torch.uint8)
    return found._replace(labels=labels, pixels=pixels)


def some_scenes(first, count, side=SIDE):
    return [draw_scene(first + number, side) for number in range(count)]


@pytest.mark.parametrize("segment", [rectangles, lengths, compressed])
def test_coco_gives_back_the_scenes(tmp_path, segment):
    training, held_out = some_scenes(0, 8), [*some_scenes(50, 3), draw_scene(9, SIDE, objects=0)]
    write_coco(tmp_path / "mine", training, held_out, segment)
    dataset = coco(tmp_path / "mine", SIDE)
    assert dataset.name == "mine"
    assert dataset.classes == tuple(CLASSES[IDS.index(id)] for id in sorted(IDS))
    check_same(by_id(dataset.training), expected(training))
    check_same(by_id(dataset.held_out), expected(held_out))
    assert (dataset.held_out.labels[-1] == NOBODY).all()  # kept without an object


def test_pictures_without_any_object_have_room_for_one(tmp_path):
    empty = [draw_scene(seed, SIDE, objects=0) for seed in (1, 2)]
    write_coco(tmp_path, empty, empty)
    training = coco(str(tmp_path), SIDE).training
    assert training.boxes.shape == (2, 1, 4) and not training.boxes.any()
    assert training.labels.tolist() == [[NOBODY]] * 2 and not training.pixels.any()


def change_coco(folder, change, part="train", **layout):
    path = folder / f"annotations/instances_{part}.json"
    lists = json.loads(path.read_text())
    change(lists)
    path.write_text(json.dumps(lists, **layout))
    return path


def blob(rng, width, height, points=7):
    """Return a polygon around a point, with corners between pixels and some outside the picture."""
    turns = np.sort(rng.uniform(0, 2 * np.pi, points))
    radii = rng.uniform(2, 14, points)
    x = rng.uniform(0, width) + radii * np.cos(turns)
    y = rng.uniform(0, height) + radii * np.sin(turns)
    return np.stack([x, y], 1).round(2).ravel().tolist()


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # in pycocotools itself
def test_masks_are_those_of_pycocotools(tmp_path, capsys):
    """Polygons of several parts and crowds; what overlaps is painted here pixel by pixel."""
    rng = np.random.default_rng(0)
    scenes = [draw_scene(seed, 48, objects=0) for seed in range(6)]
    scenes = [scene._replace(image=scene.image[:, :40]) for scene in scenes]  # 48 wide, 40 high
    write_coco(tmp_path, scenes, scenes[:1])

    def change(lists):
        for image in lists["images"]:
            for _ in range(5):
                polygons = [blob(rng, 48, 40) for _ in range(int(rng.integers(1, 3)))]
                corners = np.concatenate(polygons).reshape(-1, 2)
                low, high = corners.min(0), corners.max(0)
                entry = {"id": 1 + len(lists["annotations"]), "image_id": image["id"]}
                entry |= {"category_id": int(rng.choice(IDS)), "iscrowd": 0, "area": 1}
                entry |= {"bbox": [*low.tolist(), *(high - low).tolist()], "segmentation": polygons}
                lists["annotations"].append(entry)
            lists["annotations"][-1]["segmentation"] = lengths(rng.random((40, 48)) < 0.2)
            lists["annotations"][-1]["iscrowd"] = 1

    reader = COCO(change_coco(tmp_path, change, "train2017"))
    capsys.readouterr()
    found, ids = coco(tmp_path, 48).training, sorted(IDS)
    overlaps = 0
    for n, image in enumerate(sorted(reader.imgs)):
        entries = reader.loadAnns(reader.getAnnIds([image]))
        masks = [reader.annToMask(entry) for entry in entries]
        areas = [int(mask.sum()) for mask in masks]
        wanted = np.full((48, 48), UNKNOWN)
        for y in range(40):
            for x in range(48):
                here = [k for k, mask in enumerate(masks) if mask[y, x]]
                overlaps += len(here) > 1
                if any(entries[k]["iscrowd"] for k in here):
                    continue
                front = min(here, key=lambda k: (areas[k], -k), default=None)
                wanted[y, x] = 0 if front is None else 1 + ids.index(entries[front]["category_id"])
        assert np.array_equal(found.pixels[n].numpy(), wanted)
        objects = [entry for entry in entries if not entry["iscrowd"]]
        assert found.labels[n].tolist() == [ids.index(entry["category_id"]) for entry in objects]
        for box, entry in zip(found.boxes[n].tolist(), objects, strict=True):
            x, y, w, h = entry["bbox"]
            assert box == pytest.approx([max(x, 0), max(y, 0), min(x + w, 48), min(y + h, 40)])
    assert overlaps > 100


@pytest.mark.parametrize("nothing", [{}, {"segmentation": None}, {"segmentation": []}])
@pytest.mark.parametrize(
    ("bbox", "inside"),
    [
        ([20, -3, 100, 8], [20, 0, 32, 5]),
        ([-3, 20, 7, 1e300], [0, 20, 4, 32]),
        ([-1e9] * 2 + [2e9] * 2, [0, 0, 32, 32]),
    ],
)
def test_an_object_without_mask_leaves_its_box_unknown(tmp_path, nothing, bbox, inside):
    scenes = some_scenes(0, 1)
    write_coco(tmp_path, scenes, scenes)
    entry = {"image_id": 5, "category_id": 7, "bbox": bbox, **nothing}
    change_coco(tmp_path, lambda lists: lists.update(annotations=[entry]), "train2017")
    found = coco(tmp_path, SIDE).training
    x0, y0, x1, y1 = inside
    wanted = torch.zeros(SIDE, SIDE, dtype=torch.uint8)
    wanted[y0:y1, x0:x1] = UNKNOWN
    assert torch.equal(found.pixels[0], wanted)
    assert found.boxes.tolist() == [[inside]] and found.labels.tolist() == [[sorted(IDS).index(7)]]


@pytest.mark.parametrize(
    "bbox", [[5, 6, 7, 0], [5, 6, 0, 8.5], [5, 6, 0, 0], [30, 0.5, 0, 20], [1e300, -1e300, 1, 0]]
)
@pytest.mark.parametrize("given", [None, [[5, 6, 12, 6, 12, 14]], lengths(np.eye(20, 30, dtype=np.uint8))])
def test_an_object_of_width_or_height_0_is_unknown(small, bbox, given):
    """Two objects of COCO's train2017 have height 0."""
    other = {"image_id": 4, "category_id": 1, "bbox": [0, 0, 10, 10], "segmentation": [[0, 0, 10, 0, 10, 10]]}
    flat = {**other, "bbox": bbox, "segmentation": given}
    change_coco(small, lambda lists: lists.update(annotations=[flat, other]))
    found = coco(small, 30).training
    assert found.labels.tolist() == [[NOBODY], [0]] and found.boxes[1].tolist() == [[0, 0, 10, 10]]
    crowd = {**flat, "bbox": [0, 0, 1, 1], "iscrowd": 1}
    change_coco(small, lambda lists: lists.update(annotations=[other] if given is None else [crowd, other]))
    check_same(found, coco(small, 30).training)
    assert (found.pixels[1, :20] == UNKNOWN).any() == (given is not None)


@given(some.lists(some.integers(0, 70_000), min_size=1, max_size=9))
def test_compressed_runs_are_decoded(counts):
    total = sum(counts)
    packed = runs.frPyObjects({"size": [1, total], "counts": counts}, 1, total)
    assert _unpacked(packed["counts"].decode()) == counts


VALUES = some.recursive(
    some.none() | some.integers() | some.text(max_size=5) | some.sampled_from(['"]', "\\", "[{", "}:,"]),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(
    some.lists(VALUES, min_size=1, max_size=5),
    some.dictionaries(some.text(max_size=3), VALUES, max_size=3),
    some.dictionaries(some.text(max_size=3), VALUES, max_size=3),
    some.sampled_from([None, 0, 3]),
    some.data(),
)
def test_the_line_of_an_entry_is_found(entries, before, after, indent, data):
    number = data.draw(some.integers(0, len(entries) - 1))
    before.pop("list", None), after.pop("list", None)
    lists = {**before, "list": entries, **after}
    text = json.dumps(lists, indent=indent)
    marked = json.dumps(
        {**lists, "list": [*entries[:number], "the mark", *entries[number + 1 :]]}, indent=indent
    )
    line = next(n for n, text in enumerate(marked.split("\n"), start=1) if '"the mark"' in text)
    place = str(_Place(_File("f.json", text, json.loads(text)), "list", number))
    assert place.startswith(f"'f.json', line {line}: list[{number}]")


@pytest.fixture
def small(tmp_path):
    """Write two pictures in COCO's layout, one with an object."""
    folder = tmp_path / "small"
    for part in ("train", "val"):
        for name in ("a", "b"):
            save(torch.zeros(3, 20, 30, dtype=torch.uint8), folder / part / f"{name}.png")
    (folder / "annotations").mkdir()
    images = [
        {"id": n, "file_name": f"{name}.png", "width": 30, "height": 20} for n, name in ((4, "a"), (2, "b"))
    ]
    entry = {"id": 17, "image_id": 4, "category_id": 1, "bbox": [5, 6, 7, 8]}
    entry["segmentation"] = [[5, 6, 12, 6, 12, 14, 5, 14]]
    lists = {"categories": [{"id": 1, "name": "cup"}], "images": images, "annotations": [entry]}
    for part in ("train", "val"):
        (folder / f"annotations/instances_{part}.json").write_text(json.dumps(lists))
    return folder


def refused(read, kind, sentence):
    with pytest.raises(kind) as caught:
        read()
    assert type(caught.value) is kind and str(caught.value) == sentence and "\n" not in sentence


def put(part, number, **values):
    return lambda lists: lists[part][number].update(values)


def drop(part, number, key):
    return lambda lists: lists[part][number].pop(key)


def segmentation(value):
    return put("annotations", 0, segmentation=value)


OBJECT = "annotations[0] (id 17)"
BOX = "give 4 finite numbers: x, y, width and height, the last two not below 0"
OUTSIDE = "has a box of which nothing lies in the 30 × 20 pixels of its picture; mend or remove it"
SEGMENT = (
    f"{OBJECT} has a segmentation that is malformed; give polygons of 3 or more points near the picture, "
    "or runs for its 20 rows and 30 columns"
)
# lines as json.dumps(lists, indent=1) writes them
COCO_MISTAKES = {
    "no list": (
        lambda lists: lists.pop("images"),
        1,
        "it holds no list 'images'; give an object with that list",
    ),
    "list is none": (
        lambda lists: lists.update(annotations={}),
        1,
        "it holds no list 'annotations'; give an object with that list",
    ),
    "no pictures": (
        lambda lists: lists.update(images=[]),
        1,
        "its list 'images' is empty; list at least one picture",
    ),
    "many classes": (
        lambda lists: lists.update(categories=[{"id": id, "name": str(id)} for id in range(255)]),
        1,
        "it has 255 categories; at most 254 can be",
    ),
    "category without name": (
        drop("categories", 0, "name"),
        3,
        "categories[0] (id 1) has no name; give a text",
    ),
    "name of number": (put("categories", 0, name=5), 3, "categories[0] (id 1) has name 5; give a text"),
    "same category": (
        lambda lists: lists["categories"].append({"id": 1, "name": "dog"}),
        7,
        "categories[1] (id 1) has the id of categories[0]; give each an id of its own",
    ),
    "no id": (drop("images", 1, "id"), 15, "images[1] has no id; give a whole number"),
    "id of text": (put("images", 1, id="2"), 15, "images[1] (id '2') has id '2'; give a whole number"),
    "id of truth": (put("images", 1, id=True), 15, "images[1] (id True) has id True; give a whole number"),
    "width of 400 digits": (
        put("images", 1, width=10**400),
        15,
        f"images[1] (id 2) has width {reprlib.repr(10**400)}; give a whole number from 1 to 1000000",
    ),
    "same picture": (
        put("images", 1, id=4),
        15,
        "images[1] (id 4) has the id of images[0]; give each an id of its own",
    ),
    "no file name": (drop("images", 0, "file_name"), 9, "images[0] (id 4) has no file_name; give a text"),
    "no width": (
        drop("images", 1, "width"),
        15,
        "images[1] (id 2) has no width; give a whole number from 1 to 1000000",
    ),
    "height 0": (
        put("images", 1, height=0),
        15,
        "images[1] (id 2) has height 0; give a whole number from 1 to 1000000",
    ),
    "no object": (
        lambda lists: lists["annotations"].append(3),
        46,
        "annotations[1] has no image_id; give a whole number",
    ),
    "no box": (drop("annotations", 0, "bbox"), 23, f"{OBJECT} has no bbox; {BOX}"),
    "3 numbers": (put("annotations", 0, bbox=[1, 2, 3]), 23, f"{OBJECT} has bbox [1, 2, 3]; {BOX}"),
    "text": (put("annotations", 0, bbox=[1, 2, "3", 4]), 23, f"{OBJECT} has bbox [1, 2, '3', 4]; {BOX}"),
    "nan": (
        put("annotations", 0, bbox=[1, 2, 3, float("nan")]),
        23,
        f"{OBJECT} has bbox [1, 2, 3, nan]; {BOX}",
    ),
    "inf": (
        put("annotations", 0, bbox=[1, 2, float("inf"), 3]),
        23,
        f"{OBJECT} has bbox [1, 2, inf, 3]; {BOX}",
    ),
    "minus inf": (
        put("annotations", 0, bbox=[-float("inf"), 2, 3, 3]),
        23,
        f"{OBJECT} has bbox [-inf, 2, 3, 3]; {BOX}",
    ),
    "width -1": (put("annotations", 0, bbox=[1, 2, -1, 3]), 23, f"{OBJECT} has bbox [1, 2, -1, 3]; {BOX}"),
    "height -1": (put("annotations", 0, bbox=[1, 2, 3, -1]), 23, f"{OBJECT} has bbox [1, 2, 3, -1]; {BOX}"),
    "right": (put("annotations", 0, bbox=[30, 2, 3, 3]), 23, f"{OBJECT} {OUTSIDE}"),
    "left": (put("annotations", 0, bbox=[-3, 2, 3, 3]), 23, f"{OBJECT} {OUTSIDE}"),
    "below": (put("annotations", 0, bbox=[3, 20, 3, 3]), 23, f"{OBJECT} {OUTSIDE}"),
    "above": (put("annotations", 0, bbox=[3, -9, 3, 3]), 23, f"{OBJECT} {OUTSIDE}"),
    "thin": (put("annotations", 0, bbox=[3, 3, 1e-9, 3]), 23, f"{OBJECT} {OUTSIDE}"),
    "far": (put("annotations", 0, bbox=[1e308, 3, 1e308, 3]), 23, f"{OBJECT} {OUTSIDE}"),
    "category": (
        put("annotations", 0, category_id=2),
        23,
        f"{OBJECT} has category_id 2, which no entry of categories has as its id; use one that is there",
    ),
    "image": (
        put("annotations", 0, image_id=5),
        23,
        f"{OBJECT} has image_id 5, which no entry of images has as its id; use one that is there",
    ),
    "crowd": (put("annotations", 0, iscrowd=2), 23, f"{OBJECT} has iscrowd 2; give 0 or 1"),
    "segmentation text": (segmentation("abc"), 23, SEGMENT),
    "polygon of numbers": (segmentation([1, 2, 3, 4, 5, 6]), 23, SEGMENT),
    "polygon of 2 points": (segmentation([[1, 2, 3, 4]]), 23, SEGMENT),
    "polygon of 7 numbers": (segmentation([[1, 2, 3, 4, 5, 6, 7]]), 23, SEGMENT),
    "polygon with text": (segmentation([[1, 2, 3, 4, 5, "6"]]), 23, SEGMENT),
    "polygon far right": (segmentation([[1, 2, 61, 4, 5, 6]]), 23, SEGMENT),
    "polygon far left": (segmentation([[1, 2, -31, 4, 5, 6]]), 23, SEGMENT),
    "polygon far below": (segmentation([[1, 2, 3, 4, 5, 41]]), 23, SEGMENT),
    "polygon far above": (segmentation([[1, 2, 3, 4, 5, -21]]), 23, SEGMENT),
    "second polygon": (segmentation([[1, 2, 3, 4, 5, 6], []]), 23, SEGMENT),
    "runs for another size": (segmentation({"size": [30, 20], "counts": [600]}), 23, SEGMENT),
    "no runs": (segmentation({"size": [20, 30]}), 23, SEGMENT),
    "no size": (segmentation({"counts": [600]}), 23, SEGMENT),
    "runs too short": (segmentation({"size": [20, 30], "counts": [1, 598]}), 23, SEGMENT),
    "runs too long": (segmentation({"size": [20, 30], "counts": [1, 600]}), 23, SEGMENT),
    "runs below 0": (segmentation({"size": [20, 30], "counts": [601, -1]}), 23, SEGMENT),
    "runs of halves": (segmentation({"size": [20, 30], "counts": [0.5, 599.5]}), 23, SEGMENT),
    "compressed too short": (segmentation({"size": [20, 30], "counts": "02"}), 23, SEGMENT),
    "compressed with no end": (segmentation({"size": [20, 30], "counts": "oooo"}), 23, SEGMENT),
    "compressed by another": (segmentation({"size": [20, 30], "counts": "é !"}), 23, SEGMENT),
}


@pytest.mark.parametrize("part", ["train", "val"])
@pytest.mark.parametrize("mistake", COCO_MISTAKES)
def test_mistakes_in_coco_are_named(small, mistake, part):
    change, line, sentence = COCO_MISTAKES[mistake]
    path = change_coco(small, change, part, indent=1)
    refused(lambda: coco(small), ValueError, f"{str(path)!r}, line {line}: {sentence}")
    path.write_text(json.dumps(json.loads(path.read_text())))  # all in one line
    refused(lambda: load_annotated(str(small)), ValueError, f"{str(path)!r}, line 1: {sentence}")


def test_categories_that_differ_are_refused(small):
    path = change_coco(small, put("categories", 0, name="dog"), "val")
    refused(
        lambda: coco(small),
        ValueError,
        f"{str(path)!r}, line 1: its categories are not those of instances_train.json; "
        "give both files the same",
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            b'{\n"images": [1,\n2 3]}',
            ", line 3: it is not JSON in UTF-8 (Expecting ',' delimiter: line 3 column 3 (char 18)); mend it",
        ),
        (b"", ", line 1: it is not JSON in UTF-8 (Expecting value: line 1 column 1 (char 0)); mend it"),
        (
            b'{}\n{"images": []}',
            ", line 2: it is not JSON in UTF-8 (Extra data: line 2 column 1 (char 3)); mend it",
        ),
        (
            b'{\n"images\xff": []}',
            ", line 2: it is not JSON in UTF-8 ('utf-8' codec can't decode byte 0xff in position 9: "
            "invalid start byte); mend it",
        ),
        (b"[1]", ", line 1: it holds no list 'categories'; give an object with that list"),
    ],
)
def test_what_is_no_json_is_refused(small, text, sentence):
    path = small / "annotations/instances_train.json"
    path.write_bytes(text)
    refused(lambda: coco(small), ValueError, repr(str(path)) + sentence)


@pytest.mark.parametrize("text", ["[" * 200_000, "[" + "1" * 5000 + "]"])
def test_too_deep_and_too_long_is_refused(small, text):
    path = small / "annotations/instances_train.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r", line 1: it is not JSON in UTF-8 \(.*\); mend it$") as caught:
        coco(small)
    assert str(caught.value).startswith(repr(str(path))) and "\n" not in str(caught.value)


def test_a_byte_order_mark_does_no_harm(small):
    path = small / "annotations/instances_train.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(coco(small).training.images) == 2


@pytest.mark.parametrize(
    "name", ["../a.png", "/a.png", "x/../../a.png", "C:a.png", "\\a.png", "..\\a.png", ".."]
)
def test_no_picture_is_read_from_elsewhere(small, name):
    save(torch.zeros(3, 20, 30, dtype=torch.uint8), small / "a.png")
    path = change_coco(small, put("images", 0, file_name=name), indent=1)
    sentence = (
        f"line 9: images[0] (id 4) names the file {name!r}; give a path inside {str(small / 'train')!r}"
    )
    refused(lambda: coco(small), ValueError, f"{str(path)!r}, {sentence}")


def test_pictures_may_lie_in_folders_below(small):
    (small / "train/x").mkdir()
    (small / "train/a.png").rename(small / "train/x/a.png")
    change_coco(small, put("images", 0, file_name="x/a.png"))
    assert len(coco(small).training.images) == 2


@pytest.mark.parametrize("name", ["c.png", "", ".", "a\0.png", "x" * 300])
def test_a_missing_picture_is_named(small, name):
    path = change_coco(small, put("images", 1, file_name=name), indent=1)
    sentence = f"names the picture {str(small / 'train' / name)!r}, which is missing; put it there"
    refused(lambda: coco(small), FileNotFoundError, f"{str(path)!r}, line 15: images[1] (id 2) {sentence}")


def check_pictures(read, picture, named):
    """See that a picture of another size, one cut short and no picture are refused."""
    whole, shown = picture.read_bytes(), repr(str(picture))
    Image.new("RGB", (30, 21)).save(picture)
    size = "which has 30 × 21 pixels, not 30 × 20 as is said; put the one there that was annotated"
    refused(read, ValueError, f"{named} names the picture {shown}, {size}")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(picture)
    noise = picture.read_bytes()
    Image.new("RGB", (30, 20)).save(picture, format="PCX")  # Pillow reads it, `load_image` does not
    for data in (noise[: len(noise) // 2], picture.read_bytes(), b"%!PS", b""):
        picture.write_bytes(data)
        with pytest.raises(ValueError) as caught:
            read()
        text = str(caught.value)
        assert text.startswith(f"{named} names the picture {shown}, which cannot be read whole (")
        assert text.endswith("); save or copy it again") and "\n" not in text
    picture.write_bytes(whole)
    read()


def test_pictures_of_coco_are_checked(small):
    place = f"{str(small / 'annotations/instances_train.json')!r}, line 1: images[0] (id 4)"
    check_pictures(lambda: coco(small), small / "train/a.png", place)


@pytest.mark.parametrize("read", [coco, voc])
def test_no_warning_of_pillow_reaches_the_reader(small, devkit, monkeypatch, read):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # of more it warns, of twice as many it raises
    with pytest.warns(Image.DecompressionBombWarning):
        Image.open(small / "train/a.png").close()
    read(small if read is coco else devkit)


def test_coco_needs_one_file_for_each_part(small):
    path = small / "annotations/instances_val.json"
    (small / "annotations/instances_val2.json").write_bytes(path.read_bytes())
    names = "annotations/instances_val.json and annotations/instances_val2.json"
    refused(
        lambda: coco(small),
        ValueError,
        f"{str(small)!r} holds {names}; keep one and move what else there is of its kind",
    )
    path.unlink(), (small / "annotations/instances_val2.json").unlink()
    wanted = f"{str(small)!r} holds no annotations/instances_val*.json; give a folder that does"
    refused(lambda: coco(small), FileNotFoundError, wanted)
    refused(lambda: load_annotated(str(small)), FileNotFoundError, wanted)


# VOC


def xml(name, width, height, objects):
    """Return an annotation, an element in each line; its objects are (class, corners, difficult)."""
    lines = ["<annotation>", f"<filename>{name}.png</filename>"]
    lines += [
        "<size>",
        f"<width>{width}</width>",
        f"<height>{height}</height>",
        "<depth>3</depth>",
        "</size>",
    ]
    for label, corners, difficult in objects:
        lines += ["<object>", f"<name>{label}</name>", f"<difficult>{difficult}</difficult>", "<bndbox>"]
        lines += [
            f"<{side}>{n}</{side}>" for side, n in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
        ]
        lines += ["</bndbox>", "</object>"]
    return "\n".join([*lines, "</annotation>"])


def write_voc(folder, training, held_out, masks=True):
    for below in ("Annotations", "JPEGImages", "ImageSets/Main", "SegmentationClass"):
        (folder / below).mkdir(parents=True)
    for part, scenes in (("train", training), ("val", held_out)):
        names = [f"{part}_{number:03}" for number in range(len(scenes))]
        (folder / f"ImageSets/Main/{part}.txt").write_text("\n".join(reversed(names)) + "\n\n")
        for name, scene in zip(names, scenes, strict=True):
            save(scene.image, folder / f"JPEGImages/{name}.png")
            rows, columns = scene.image.shape[1:]
            objects = [
                (VOC_CLASSES[label], (x0 + 1, y0 + 1, x1, y1), 0)
                for label, (x0, y0, x1, y1) in zip(scene.labels, scene.boxes.tolist(), strict=True)
            ]
            (folder / f"Annotations/{name}.xml").write_text(xml(name, columns, rows, objects))
            pixels = np.zeros((rows, columns), dtype=np.uint8)
            for label, mask in zip(scene.labels, scene.masks, strict=True):
                pixels[mask] = 1 + int(label)
            picture = Image.fromarray(pixels)
            picture.putpalette(
                [value for index in range(256) for value in (index, 255 - index, 7 * index % 256)]
            )
            if masks:
                picture.save(folder / f"SegmentationClass/{name}.png")


@pytest.mark.parametrize("below", ["", "VOC2012", "VOCdevkit/VOC2007"])
def test_voc_gives_back_the_scenes(tmp_path, below):
    training, held_out = some_scenes(0, 8), [*some_scenes(50, 3), draw_scene(9, SIDE, objects=0)]
    write_voc(tmp_path / "mine" / below, training, held_out)
    dataset = voc(tmp_path / "mine", SIDE)
    assert dataset.name == (below[-7:] or "mine") and dataset.classes == VOC_CLASSES
    check_same(dataset.training, expected(training))
    check_same(dataset.held_out, expected(held_out))


def test_the_classes_of_voc_are_in_its_order():
    assert len(VOC_CLASSES) == 20 and list(VOC_CLASSES) == sorted(VOC_CLASSES)
    assert VOC_CLASSES[14] == "person" and VOC_CLASSES[19] == "tvmonitor"


def test_without_masks_all_pixels_are_unknown(tmp_path):
    scenes = some_scenes(0, 2)
    write_voc(tmp_path, scenes, scenes, masks=False)
    assert (voc(tmp_path, SIDE).training.pixels == UNKNOWN).all()
    (tmp_path / "SegmentationClass").rmdir()
    check_same(voc(tmp_path, SIDE).training[:3], expected(scenes)[:3])


@pytest.fixture
def devkit(tmp_path):
    """Write two pictures in VOC's layout, one with two objects."""
    empty = draw_scene(0, 32, objects=0)
    scene = empty._replace(image=empty.image[:, :20, :30], masks=torch.zeros(0, 20, 30, dtype=torch.bool))
    write_voc(tmp_path / "devkit", [scene, scene], [scene])
    objects = [("dog", (6, 7, 12, 14), 0), ("cat", (1.5, 2, 40, 19), 1), ("sofa", (-4, 3, 30.5, 99), 0)]
    text = xml("train_001", 30, 20, objects)
    head = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part></object>"  # VOC's persons have such
    (tmp_path / "devkit/Annotations/train_001.xml").write_text(text.replace("</object>", head))
    return tmp_path / "devkit"


def test_difficult_objects_are_left_out_and_boxes_are_cut(devkit):
    found = voc(devkit, 30).training
    assert found.labels.tolist() == [[NOBODY] * 2, [VOC_CLASSES.index("dog"), VOC_CLASSES.index("sofa")]]
    assert found.boxes[1].tolist() == [[5, 6, 12, 14], [0, 2, 30, 20]]


def test_space_around_a_text_does_no_harm(devkit):
    path, before = devkit / "Annotations/train_001.xml", voc(devkit).training
    path.write_text(
        path.read_text().replace(">dog<", ">\n dog\t<").replace(">train_001.png<", "> train_001.png\n<")
    )
    check_same(voc(devkit).training, before)


XML = [
    ("<width>30</width>", "", 3, "<size> holds no <width>; add it"),
    ("<width>30</width>", "<width>x</width>", 4, "<width> holds 'x'; give a number from 1"),
    ("<height>20</height>", "<height>0</height>", 5, "<height> holds '0'; give a number from 1"),
    ("<height>20</height>", "<height>20.5</height>", 2, None),
    ("<filename>train_001.png</filename>", "", 1, "<annotation> holds no <filename>; add it"),
    ("<name>dog</name>", "", 8, "<object> holds no <name>; add it"),
    ("<name>dog</name>", "<name>Dog</name>", 9, f"<name> is 'Dog'; give one of {', '.join(VOC_CLASSES)}"),
    ("<xmin>6</xmin>", "", 11, "<bndbox> holds no <xmin>; add it"),
    ("<xmin>6</xmin>", "<xmin>nan</xmin>", 12, "<xmin> holds 'nan'; give a finite number"),
    ("<xmin>6</xmin>", "<xmin>-inf</xmin>", 12, "<xmin> holds '-inf'; give a finite number"),
    ("<xmin>6</xmin>", "<xmin/>", 12, "<xmin> holds ''; give a finite number"),
    (
        "<xmax>12</xmax>",
        "<xmax>6</xmax>",
        11,
        "<bndbox> goes from x 6 to 6 and from y 7 to 14; give xmax above xmin and ymax above ymin",
    ),
    (
        "<ymax>14</ymax>",
        "<ymax>5.5</ymax>",
        11,
        "<bndbox> goes from x 6 to 12 and from y 7 to 5.5; give xmax above xmin and ymax above ymin",
    ),
    (
        "<xmin>6</xmin>\n<ymin>7</ymin>\n<xmax>12<",
        "<xmin>31</xmin>\n<ymin>7</ymin>\n<xmax>33<",
        11,
        "<bndbox> " + OUTSIDE,
    ),
    ("</size>", "</sizes>", 7, "it is not read (mismatched tag: line 7, column 2); mend it"),
    ("</annotation>", "", 38, "it is not read (no element found: line 38, column 0); mend it"),
    (
        "<annotation>",
        '<?xml version="1.0" encoding="none"?>\n<annotation>',
        1,
        "it is not read (unknown encoding: none); mend it",
    ),
    (
        "<filename>train_001.png",
        "<filename>../train_001.png",
        2,
        "<filename> names the file '../train_001.png'; give a path inside {folder!r}",
    ),
]


@pytest.mark.parametrize(("old", "new", "line", "sentence"), XML)
def test_mistakes_in_xml_are_named(devkit, old, new, line, sentence):
    path = devkit / "Annotations/train_001.xml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    picture = repr(str(devkit / "JPEGImages/train_001.png"))
    sentence = sentence or (
        f"<filename> names the picture {picture}, which has 30 × 20 pixels, not 30 × 20.5 as is said; "
        "put the one there that was annotated"
    )
    sentence = sentence.replace("{folder!r}", repr(str(devkit / "JPEGImages")))
    refused(lambda: voc(devkit), ValueError, f"{str(path)!r}, line {line}: {sentence}")
    if "encoding" not in sentence:
        with pytest.raises(ValueError, match=f"line {line}: "):
            load_annotated(str(devkit))


def test_entities_cannot_grow(devkit):
    path = devkit / "Annotations/train_001.xml"
    bomb = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">\n' for n in range(1, 30))
    path.write_text(f'<?xml version="1.0"?>\n<!DOCTYPE x [\n<!ENTITY a0 "ha">\n{bomb}]>\n<x>&a29;</x>')
    sentence = "line 2: it is not read (a DOCTYPE can hide gigabytes in a few lines); mend it"
    refused(lambda: voc(devkit), ValueError, f"{str(path)!r}, {sentence}")


def test_pictures_of_voc_are_checked(devkit):
    place = f"{str(devkit / 'Annotations/train_001.xml')!r}, line "
    picture = devkit / "JPEGImages/train_001.png"
    check_pictures(lambda: voc(devkit), picture, f"{place}2: <filename>")
    picture.unlink()
    refused(
        lambda: voc(devkit),
        FileNotFoundError,
        f"{place}2: <filename> names the picture {str(picture)!r}, which is missing; put it there",
    )


def test_masks_of_voc_are_checked(devkit):
    path = devkit / "SegmentationClass/train_001.png"
    place = f"{str(devkit / 'ImageSets/Main/train.txt')!r}, line 1"
    listed = f"{place}: the list leads to the mask {str(path)!r}, which"
    pixels = np.zeros((20, 30), dtype=np.uint8)
    pixels[3:5, 7:9] = UNKNOWN
    Image.fromarray(pixels).save(path)
    assert np.array_equal(voc(devkit, 30).training.pixels[1, :20], pixels)
    pixels[17, 29] = 21
    Image.fromarray(pixels).save(path)
    refused(
        lambda: voc(devkit),
        ValueError,
        f"{listed} holds 21 in row 17, column 29; give 0 to 20, or 255 where it is unknown",
    )
    Image.new("P", (20, 30)).save(path)
    refused(
        lambda: voc(devkit),
        ValueError,
        f"{listed} has 20 × 30 pixels of mode P; give 30 × 20 with a palette (P) or in grey (L)",
    )
    Image.new("RGB", (30, 20)).save(path)
    refused(
        lambda: voc(devkit),
        ValueError,
        f"{listed} has 30 × 20 pixels of mode RGB; give 30 × 20 with a palette (P) or in grey (L)",
    )
    path.write_bytes(b"none")
    with pytest.raises(ValueError, match="which cannot be read whole .*; save or copy it again$") as caught:
        voc(devkit)
    assert str(caught.value).startswith(listed)


@pytest.mark.parametrize(
    ("text", "kind", "sentence"),
    [
        ("train_000\n\ntrain_000\n", ValueError, "line 3: 'train_000' is listed in line 1 too; list it once"),
        ("\n \n", ValueError, "line 1: no picture is listed; list at least one"),
        (
            "train_000\nother\n",
            FileNotFoundError,
            "line 2: the list names 'other', but there is no {below}other.xml'; put it there",
        ),
        (
            "../x\n",
            ValueError,
            "line 1: the list names the file '../x.xml'; give a path inside {below}",
        ),
    ],
)
def test_mistakes_in_lists_are_named(devkit, text, kind, sentence):
    path, below = devkit / "ImageSets/Main/train.txt", repr(str(devkit / "Annotations"))
    path.write_text(text)
    below = below[:-1] + "/" if "other" in sentence else below
    refused(lambda: voc(devkit), kind, f"{str(path)!r}, {sentence.replace('{below}', below)}")


def test_voc_needs_both_lists_and_one_year(devkit):
    (devkit / "ImageSets/Main/val.txt").rename(devkit / "val.txt")
    refused(
        lambda: voc(devkit),
        FileNotFoundError,
        f"{str(devkit)!r} holds no ImageSets/Main/val.txt; give a folder that does",
    )
    for year in (2007, 2012):
        (devkit.parent / f"VOCdevkit/VOC{year}/ImageSets/Main").mkdir(parents=True)
    names = "VOCdevkit/VOC2007/ImageSets/Main and VOCdevkit/VOC2012/ImageSets/Main"
    for read in (voc, lambda folder: load_annotated(str(folder))):
        refused(
            lambda read=read: read(devkit.parent),
            ValueError,
            f"{str(devkit.parent)!r} holds {names}; keep one and move what else there is of its kind",
        )


# One picture


@pytest.mark.parametrize(
    ("width", "height", "size"), [(64, 48, 32), (48, 64, 16), (30, 20, 60), (32, 32, 32)]
)
def test_fitted_pictures_are_those_of_torch(width, height, size):
    """Where both sides become whole numbers, nothing but a resized picture and black is there."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found, scale = fitted(Image.fromarray(pixels), size)
    assert (
        found.dtype == torch.uint8 and found.shape == (3, size, size) and scale == size / max(width, height)
    )
    rows, columns = int(height * scale), int(width * scale)
    assert not found[:, rows:].any() and not found[:, :, columns:].any()
    wanted = torch.nn.functional.interpolate(
        torch.from_numpy(pixels).permute(2, 0, 1)[None].float(),
        (rows, columns),
        mode="bilinear",
        antialias=True,
    )
    assert (found[:, :rows, :columns] - wanted[0]).abs().max() <= 1.01


SIDES = some.integers(1, 90)


@given(SIDES, SIDES, some.integers(1, 80), some.data())
def test_boxes_fit_what_is_in_the_picture(width, height, size, data):
    """Of a white rectangle, all light stays in its scaled box and at most one pixel around."""
    x0, y0 = data.draw(some.integers(0, width - 1)), data.draw(some.integers(0, height - 1))
    x1, y1 = data.draw(some.integers(x0 + 1, width)), data.draw(some.integers(y0 + 1, height))
    picture = Image.new("L", (width, height))
    ImageDraw.Draw(picture).rectangle((x0, y0, x1 - 1, y1 - 1), fill=255)
    found, scale = fitted(picture, size)
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    box = scaled((x0, y0, x1, y1), (width, height), size, "")
    assert box == pytest.approx([x0 * scale, y0 * scale, x1 * scale, y1 * scale])
    around, at = max(1, scale), torch.arange(size) + 0.5  # bilinear light reaches as far
    near = [(at > box[k] - around) & (at < box[k + 2] + around) for k in (0, 1)]
    well = [(at > box[k] + around) & (at < box[k + 2] - around) for k in (0, 1)]
    assert not found[0][~(near[1][:, None] & near[0])].any()
    assert (found[0][well[1][:, None] & well[0]] >= 254).all()


@given(SIDES, SIDES, some.integers(1, 80))
def test_masks_are_scaled_by_the_nearest_pixel(width, height, size):
    pixels = np.random.default_rng(0).integers(0, 21, (height, width), dtype=np.uint8)
    found = np.asarray(annotated._squared(Image.fromarray(pixels), size, Image.Resampling.NEAREST, UNKNOWN))
    longer = max(width, height)
    for row in range(size):
        for column in range(size):
            (y, at_y), (x, at_x) = (divmod((2 * at + 1) * longer, 2 * size) for at in (row, column))
            if at_y and at_x:  # else two pixels are equally near
                inside = y < height and x < width
                assert found[row, column] == (pixels[y, x] if inside else UNKNOWN)


@pytest.mark.parametrize("read", ["coco", "voc"])
def test_datasets_are_scaled(tmp_path, read):
    """48 × 32 pixels in 24: every second one, boxes by half, and black or unknown below."""
    scenes = []
    for seed in range(30):
        scene = draw_scene(seed, 48)
        if scene.boxes[:, 3].max() <= 32:
            scenes.append(scene._replace(image=scene.image[:, :32], masks=scene.masks[:, :32]))
    assert len(scenes) > 2
    (write_coco if read == "coco" else write_voc)(tmp_path, scenes, scenes)
    dataset = load_annotated(str(tmp_path), 24)
    images, boxes, labels, pixels = by_id(dataset.training) if read == "coco" else dataset.training
    _, whole_boxes, whole_labels, whole_pixels = expected(scenes)
    assert torch.equal(boxes, whole_boxes / 2) and torch.equal(labels, whole_labels)
    assert torch.equal(pixels[:, :16], whole_pixels[:, 1::2, 1::2]) and (pixels[:, 16:] == UNKNOWN).all()
    for image, scene in zip(images, scenes, strict=True):
        assert torch.equal(image, fitted(Image.fromarray(scene.image.permute(1, 2, 0).numpy()), 24)[0])
        assert not image[:, 16:].any()


COLOURS = [
    ("L", 128, (128, 128, 128)),
    ("1", 1, (255, 255, 255)),
    ("LA", (100, 0), (255, 255, 255)),
    ("RGBA", (10, 20, 30, 255), (10, 20, 30)),
    ("RGBA", (10, 20, 30, 0), (255, 255, 255)),
    ("CMYK", (0, 255, 255, 0), (255, 0, 0)),
    ("I;16", 32896, (128, 128, 128)),
]


@pytest.mark.parametrize(("mode", "colour", "wanted"), COLOURS)
def test_all_pictures_become_rgb(mode, colour, wanted):
    found, _ = fitted(Image.new(mode, (4, 2), colour), 4)
    assert torch.equal(found[:, :2], torch.tensor(wanted, dtype=torch.uint8).view(3, 1, 1).expand(3, 2, 4))
    assert not found[:, 2:].any()


def test_palettes_become_rgb():
    picture = Image.new("P", (2, 1))
    picture.putpalette([9, 8, 7, 200, 100, 50])
    picture.putpixel((1, 0), 1)
    assert fitted(picture, 2)[0][:, 0].T.tolist() == [[9, 8, 7], [200, 100, 50]]
    picture.info["transparency"] = 1
    assert fitted(picture, 2)[0][:, 0].T.tolist() == [[9, 8, 7], [255, 255, 255]]


def test_a_profile_of_colours_is_respected():
    picture = Image.new("RGB", (2, 2), (200, 30, 60))
    picture.info["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert fitted(picture, 2)[0][:, 0, 0].tolist() == pytest.approx([200, 30, 60], abs=1)
    profile = bytearray(picture.info["icc_profile"])
    count = struct.unpack_from(">I", profile, 128)[0]
    tags = {bytes(profile[at : at + 4]): at + 4 for at in range(132, 132 + 12 * count, 12)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red : red + 8], profile[blue : blue + 8] = profile[blue : blue + 8], profile[red : red + 8]
    picture.info["icc_profile"] = bytes(profile)  # its red is blue
    assert fitted(picture, 2)[0][:, 0, 0].tolist() == pytest.approx([60, 30, 200], abs=30)


def test_stored_pixels_are_not_turned(small):
    """A camera's note that the picture lies on its side changes nothing: boxes refer to what is stored."""
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = small / "train/a.png"
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as picture:
        assert picture.getexif()[0x0112] == 6
        found, _ = fitted(picture, 30)
        assert picture.info["exif"]  # and the picture given stays as it was
    assert np.array_equal(found[:, :20].permute(1, 2, 0), pixels)
    assert torch.equal(coco(small, 30).training.images[1], found)


@pytest.mark.parametrize("size", [0, 4097])
def test_impossible_sizes_are_refused(small, devkit, size):
    sentence = f"size is {size}; give a whole number from 1 to 4096"
    for read in (
        lambda: fitted(Image.new("L", (2, 2)), size),
        lambda: coco(small, size),
        lambda: voc(devkit, size),
    ):
        refused(read, ValueError, sentence)


# By name


def test_datasets_load_by_name_or_folder(small, devkit, monkeypatch):
    monkeypatch.setattr(annotated, "scenes_of_objects", lambda size: ("scenes", size))
    assert load_annotated("scenes", 40) == ("scenes", 40)
    assert load_annotated(str(small)).training.images.shape == (2, 3, 64, 64)
    assert load_annotated(str(devkit), 16).training.images.shape == (2, 3, 16, 16)
    monkeypatch.setenv("HOME", str(small.parent))
    monkeypatch.setenv("USERPROFILE", str(small.parent))
    assert load_annotated("~/small").classes == coco("~/small").classes == ("cup",)
    assert load_annotated("~/devkit").name == voc("~/devkit").name == "devkit"


def test_other_folders_are_refused(tmp_path, small):
    file = small / "annotations/instances_train.json"
    for name in ("scene", str(tmp_path), str(tmp_path / "none"), str(file)):
        refused(
            lambda name=name: load_annotated(name),
            ValueError,
            f"name_or_folder is {name!r}, which is neither 'scenes' nor a folder that holds "
            "annotations/instances_train*.json (COCO) or ImageSets/Main (VOC); use one of these",
        )
