"""Datasets are whole, their parts are apart, and CIFAR-10 is read only from files that hold it."""

import numpy as np
import pytest
import torch

from swin_edu.book import datasets, drawings
from swin_edu.book.datasets import cifar10, digits, load_dataset, scenes
from swin_edu.book.scenes import CLASSES, draw_scene


def check_kinds(dataset):
    for part in (dataset.training, dataset.held_out):
        assert part.images.dtype == torch.uint8 and part.images.shape[1] == 3
        assert part.labels.dtype == torch.int64 and len(part.labels) == len(part.images)
        assert set(part.labels.tolist()) <= set(range(len(dataset.classes)))


def test_digits_are_all_of_scikit_learns_in_two_parts():
    from sklearn.datasets import load_digits

    found, dataset = load_digits(), digits()
    check_kinds(dataset)
    assert dataset.name == "digits" and dataset.classes == tuple("0123456789")
    assert dataset.training.images.shape == (1347, 3, 8, 8)
    assert dataset.held_out.images.shape == (450, 3, 8, 8)
    grey = torch.cat([dataset.training.images, dataset.held_out.images])
    assert torch.equal(grey, grey[:, :1].expand(-1, 3, -1, -1))
    expected = np.floor(found.images * 255 / 16 + 0.5).astype(np.uint8)
    given = [image.tobytes() + bytes([label]) for image, label in zip(expected, found.target, strict=True)]
    kept = [
        image[0].numpy().tobytes() + bytes([label])
        for part in (dataset.training, dataset.held_out)
        for image, label in zip(part.images, part.labels.tolist(), strict=True)
    ]
    assert sorted(kept) == sorted(given) and len(set(given)) == 1797
    assert kept != given  # shuffled
    assert dataset.held_out.labels.bincount().min() >= 30


def test_a_seed_splits_the_digits_in_one_way():
    assert torch.equal(digits().training.images, digits(0).training.images)
    assert not torch.equal(digits(1).held_out.labels, digits(0).held_out.labels)
    assert digits().training.labels[:10].tolist() == [6, 0, 0, 3, 0, 3, 6, 0, 6, 7]
    assert digits().held_out.labels[:10].tolist() == [6, 6, 6, 2, 5, 6, 6, 2, 2, 1]
    with pytest.raises(ValueError, match="seed is -1; give a whole number from 0 to"):
        digits(-1)


def test_scenes_have_one_object_and_its_class():
    dataset = scenes(30, 20, 32)
    check_kinds(dataset)
    assert dataset.name == "scenes" and dataset.classes == CLASSES
    assert dataset.training.images.shape == (30, 3, 32, 32) and len(dataset.held_out.images) == 20
    for part, first in ((dataset.training, 0), (dataset.held_out, datasets.MOST_SCENES)):
        for number, (image, label) in enumerate(zip(part.images, part.labels, strict=True)):
            scene = draw_scene(first + number, 32, objects=1)
            assert torch.equal(image, scene.image) and [label] == scene.labels.tolist()
    assert scenes(30, 20, 32) is dataset  # drawn once


def test_no_scene_is_both_trained_on_and_held_out(monkeypatch):
    seeds, scene = [], draw_scene(7, 16)
    monkeypatch.setattr(datasets, "draw_scene", lambda seed, size, objects: seeds.append(seed) or scene)
    monkeypatch.setattr(datasets, "MOST_SCENES", 40)  # at the very limit, too
    dataset = scenes.__wrapped__(40, 40)
    assert sorted(seeds) == list(range(80)) == [*seeds[:40], *seeds[40:]]
    assert len(dataset.training.labels) == len(dataset.held_out.labels) == 40


def test_scenes_by_default_are_4000_and_1000(monkeypatch):
    calls, scene = [], draw_scene(7, 16)
    monkeypatch.setattr(datasets, "draw_scene", lambda seed, size, objects: calls.append(size) or scene)
    dataset = scenes.__wrapped__()
    assert len(dataset.training.labels) == 4000 and len(dataset.held_out.labels) == 1000
    assert set(calls) == {64}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"training": 0}, "training is 0; give a whole number from 1 to 1000000"),
        ({"training": 1_000_001}, "training is 1000001; give a whole number from 1 to 1000000"),
        ({"held_out": 0}, "held_out is 0; give a whole number from 1 to 1000000"),
        ({"size": 8}, "size is 8; give a whole number from 16 to 512"),
    ],
)
def test_impossible_numbers_of_scenes_are_refused(arguments, sentence):
    with pytest.raises(ValueError) as caught:
        scenes(**arguments)
    assert str(caught.value) == sentence


FILES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
RECORDS = 3


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Write CIFAR-10's files with 3 records each; return their folder, images and labels."""
    monkeypatch.setattr(datasets, "CIFAR10_RECORDS", RECORDS)
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6 * RECORDS, 3, 32, 32), dtype=np.uint8)
    labels = np.array([0, 9, 4, 1, 2, 3, 5, 6, 7, 8, 0, 1, 2, 3, 4, 9, 8, 0], dtype=np.uint8)
    for number, name in enumerate(FILES):
        records = range(RECORDS * number, RECORDS * (number + 1))
        data = b"".join(bytes([labels[i]]) + images[i].tobytes() for i in records)
        (folder / f"{name}.bin").write_bytes(data)
    return folder, torch.from_numpy(images), torch.from_numpy(labels).long()


def test_cifar10_is_read_in_order(archive):
    folder, images, labels = archive
    for given in (folder, str(folder), folder.parent):
        dataset = cifar10(given)
        check_kinds(dataset)
        assert dataset.name == "CIFAR-10" and len(dataset.classes) == 10
        assert torch.equal(dataset.training.images, images[:15])
        assert torch.equal(dataset.training.labels, labels[:15])
        assert torch.equal(dataset.held_out.images, images[15:])
        assert torch.equal(dataset.held_out.labels, labels[15:])


def test_cifar10_has_60000_records_of_3073_bytes():
    assert datasets.CIFAR10_RECORDS * len(datasets.CIFAR10_FILES) == 60_000
    assert datasets.CIFAR10_BYTES == 3073
    assert (
        *("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    ) == datasets.CIFAR10_CLASSES


def refused(kind, folder, *parts):
    for read in (cifar10, load_dataset):
        with pytest.raises(kind) as caught:
            read(str(folder))
        text = str(caught.value)
        assert "\n" not in text and not text.endswith(".")
        assert all(part in text for part in parts), text


def test_home_may_be_written_short(archive, monkeypatch):
    monkeypatch.setenv("HOME", str(archive[0].parent))
    monkeypatch.setenv("USERPROFILE", str(archive[0].parent))
    assert len(load_dataset("~/cifar-10-batches-bin").training.labels) == 15
    assert len(cifar10("~").training.labels) == 15


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(archive, name):
    (archive[0] / f"{name}.bin").unlink()
    refused(
        FileNotFoundError, archive[0], f"holds no {name}.bin; unpack cifar-10-binary.tar.gz", "batches-bin'"
    )


def test_an_empty_folder_holds_no_cifar10(tmp_path):
    refused(FileNotFoundError, tmp_path, f"{str(tmp_path)!r} holds no data_batch_1.bin; unpack")


@pytest.mark.parametrize("change", [-1, 1, 3073, -3073, -3 * 3073])
def test_a_file_of_the_wrong_length_is_named(archive, change):
    path = archive[0] / "data_batch_4.bin"
    path.write_bytes((path.read_bytes() + bytes(3073))[: 3 * 3073 + change])
    refused(ValueError, archive[0], f"data_batch_4.bin' has {3 * 3073 + change:,} bytes, not 9,219; unpack")


def test_a_label_above_9_is_named(archive):
    path = archive[0] / "test_batch.bin"
    data = bytearray(path.read_bytes())
    data[3073] = 10
    path.write_bytes(data)
    refused(ValueError, archive[0], "test_batch.bin' has label 10 in record 1, not 0 to 9; unpack")


@pytest.mark.parametrize("below", ["", "cifar-10-batches-py"])
def test_pickles_are_not_read(tmp_path, below):
    (tmp_path / below).mkdir(exist_ok=True)
    (tmp_path / below / "data_batch_1").write_bytes(b"cos\nabort\n(tR.")  # would end the interpreter
    refused(ValueError, tmp_path, "as pickles, which can run code", "cifar-10-binary.tar.gz")


def test_pickles_beside_the_binary_files_do_no_harm(archive):
    (archive[0] / "data_batch_1").touch()
    (archive[0].parent / "cifar-10-batches-py").mkdir()
    assert len(cifar10(archive[0].parent).training.labels) == len(cifar10(archive[0]).training.labels) == 15


def test_a_file_and_nothing_are_no_folder(tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").touch()
    refused(
        NotADirectoryError, tmp_path / "cifar-10-binary.tar.gz", "is a file; unpack it and give the folder"
    )
    with pytest.raises(FileNotFoundError) as caught:
        cifar10(tmp_path / "none")
    shown = repr(str(tmp_path / "none"))
    assert (
        str(caught.value) == f"there is no folder {shown}; give the folder cifar-10-batches-bin of CIFAR-10"
    )


def test_datasets_load_by_name(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()  # a name means the dataset, whatever lies here
    assert load_dataset("digits").name == "digits"
    assert set(datasets.NAMED) == {"digits", "scenes"} and datasets.NAMED["scenes"] is scenes
    with pytest.raises(ValueError) as caught:
        load_dataset("digit")
    assert str(caught.value) == (
        "name_or_folder is 'digit', which is neither a dataset nor a folder; "
        "use digits, scenes or the folder of CIFAR-10"
    )


def test_a_sheet_shows_each_picture_under_its_title():
    images = torch.randint(0, 256, (7, 3, 5, 4), dtype=torch.uint8)
    axes = drawings.labelled_images(images, [f"number {i}" for i in range(7)], columns=4).axes
    assert len(axes) == 8
    for number, (place, image) in enumerate(zip(axes, images, strict=False)):
        assert np.array_equal(place.images[0].get_array(), image.permute(1, 2, 0).numpy())
        assert place.get_title() == f"number {number}"
    assert not axes[7].images and not axes[7].axison
    assert axes[3].get_subplotspec().colspan.start == 3 and axes[4].get_subplotspec().rowspan.start == 1
    with pytest.raises(ValueError):
        drawings.labelled_images(images, ["too few"], columns=4)
