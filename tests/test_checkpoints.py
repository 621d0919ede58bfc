"""Weights of other libraries, in and out, and weights that are no good."""

import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from swin_edu import checkpoints
from swin_edu.book.classes import class_names
from swin_edu.book.device import device
from swin_edu.checkpoints import (
    LAYOUTS,
    download_weights,
    export_weights,
    load_weights,
    read_about,
    read_weights,
    save_weights,
)
from swin_edu.model import SwinTransformer, swin

REFERENCES = sorted((Path(__file__).parent / "references").glob("*.safetensors"))
SMALL = {"channels": 8, "depths": (2, 2, 2, 1), "heads": (1, 2, 4, 8), "window": 4, "num_classes": 10}
EVERY_LAYOUT = [pytest.param(*key, id=f"{key[0]}-v{key[1]}") for key in LAYOUTS]


def small(version=1, **changes):
    torch.manual_seed(version)
    model = SwinTransformer(**{**SMALL, **changes}, version=version).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def copies(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def unchanged(model, before):
    return all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_all_references_are_there():
    libraries = ("huggingface", "timm", "torchvision")
    assert [path.stem for path in REFERENCES] == [f"{name}_v{v}" for name in libraries for v in (1, 2)]


@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.stem)
def test_equals_what_other_libraries_computed(path):
    """Written by peers.py with the libraries' own code; their weights, their names, their results."""
    stored = load_file(path)
    weights = {name[8:]: tensor for name, tensor in stored.items() if name.startswith("weights.")}
    model = SwinTransformer(**SMALL, version=int(path.stem[-1])).eval()
    load_weights(model, weights)
    model = model.to(device())
    numbers = {name[0] for name in stored if name.endswith(".images")}
    for number in sorted(numbers):
        images = stored[f"{number}.images"].to(device()) / 128 - 1
        with torch.no_grad():
            maps, scores = model.features(images), model(images)
        assert (scores.cpu() - stored[f"{number}.scores"]).abs().max() < 1e-5
        for index, ours in enumerate(maps):
            theirs = stored[f"{number}.map{index}"]
            assert ours.shape == theirs.shape
            assert (ours.cpu() - theirs).abs().max() < 1e-5 * theirs.std()


@pytest.mark.parametrize(("layout", "version"), EVERY_LAYOUT)
def test_there_and_back(layout, version):
    model, other = small(version), small(version)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    exported = export_weights(model, layout)
    load_weights(other, exported)
    images = torch.rand(1, 3, 50, 70)
    assert torch.equal(model(images), other(images))
    kept = {"huggingface", "original", "timm"} if version == 2 else set()
    for name, tensor in copies(model).items():
        if layout in kept and name.endswith("qkv.bias"):  # those of the keys are not stored
            tensor[len(tensor) // 3 : 2 * len(tensor) // 3] = 0
        assert torch.equal(other.state_dict()[name], tensor), name


def test_names_of_the_libraries():
    """Spot checks typed from the libraries' own state dicts."""
    expected = {
        ("original", 1): (
            "layers.0.downsample.reduction.weight",
            "layers.3.blocks.0.mlp.fc2.bias",
            "head.bias",
        ),
        ("original", 2): ("layers.0.blocks.1.attn.q_bias", "layers.2.blocks.1.attn.cpb_mlp.2.weight"),
        ("timm", 1): ("layers.1.downsample.norm.weight", "head.fc.weight", "patch_embed.norm.bias"),
        ("timm", 2): ("layers.3.downsample.norm.bias", "layers.0.blocks.0.attn.logit_scale"),
        ("torchvision", 1): (
            "features.2.reduction.weight",
            "features.7.0.attn.relative_position_index",
            "features.3.1.mlp.3.weight",
        ),
        ("torchvision", 2): ("features.1.1.attn.relative_coords_table", "features.0.2.weight"),
        ("huggingface", 1): (
            "swin.encoder.layers.0.blocks.1.attention.k_proj.bias",
            "swin.encoder.layers.2.downsample.norm.weight",
            "classifier.weight",
        ),
        ("huggingface", 2): (
            "swinv2.encoder.layers.1.blocks.0.attention.self.value.bias",
            "swinv2.encoder.layers.1.blocks.0.attention.self.continuous_position_bias_mlp.0.bias",
            "swinv2.layernorm.bias",
        ),
        ("huggingface 4", 1): (
            "swin.encoder.layers.1.blocks.0.attention.self.relative_position_bias_table",
            "swin.encoder.layers.1.blocks.0.intermediate.dense.weight",
        ),
    }
    for (layout, version), names in expected.items():
        assert set(names) <= export_weights(small(version), layout).keys(), layout
    assert "layers.0.blocks.0.attn.qkv.bias" not in export_weights(small(2), "timm")


def test_buffers_of_other_libraries_are_passed_over():
    weights = export_weights(small(), "original")
    weights["layers.0.blocks.1.attn_mask"] = torch.zeros(4, 16, 16)
    weights["layers.0.blocks.1.attn.relative_position_index"] = torch.zeros(16, 16)
    load_weights(small(), weights)


def wrong(change, version=1, **changes):
    weights = export_weights(small(version, **changes), "timm")
    change(weights)
    return weights


def set_to(name, value):
    return lambda weights: weights.__setitem__(name, value)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (
            wrong(lambda w: w.pop("norm.weight")),
            "the weights lack 'norm.weight', which the model needs",
        ),
        (
            wrong(lambda w: [w.pop(f"layers.0.blocks.0.norm{i}.bias") for i in (1, 2)]),
            "the weights lack 'layers.0.blocks.0.norm1.bias' and 1 more, which the model needs",
        ),
        (
            wrong(lambda w: w.pop("layers.2.blocks.0.attn.q_bias"), version=2),
            "the weights are those of a version 2 with 8 channels and depths 2 2 2 1",
        ),
        (
            wrong(set_to("extra.weight", torch.zeros(3))),
            "the weights hold 'extra.weight', which the model has not",
        ),
        (
            wrong(set_to("layers.0.blocks.0.norm1.bias", torch.zeros(7))),
            "stages.0.blocks.0.norm1.bias has shape (7,) in the weights and (8,) in the model",
        ),
        (
            wrong(set_to("layers.0.blocks.0.norm1.bias", torch.full((8,), torch.nan))),
            "stages.0.blocks.0.norm1.bias holds values that are no finite numbers; the weights are damaged",
        ),
        (
            export_weights(small(num_classes=5), "torchvision"),
            "head.weight has shape (5, 64) in the weights and (10, 64) in the model; head=False keeps",
        ),
        (
            export_weights(small(depths=(2, 2, 4, 1)), "original"),
            "the weights are those of a version 1 with 8 channels and depths 2 2 4 1; the model is a version",
        ),
        (
            {"conv1.weight": torch.zeros(3), "fc.bias": torch.zeros(3)},
            "the weights have no name that a Swin has in any layout: swin_edu, original, timm, torchvision",
        ),
        ({}, "the weights have no name that a Swin has"),
        ({"model": 3}, "they must be tensors by name"),
        (
            wrong(set_to("layers.0.blocks.0.attn.relative_position_bias_table", torch.zeros(48, 1))),
            "48",
        ),
    ],
)
def test_bad_weights_get_one_sentence_and_change_nothing(weights, sentence):
    model = small()
    before = copies(model)
    with torch.no_grad(), pytest.raises(ValueError) as problem:
        load_weights(model, weights)
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
    assert unchanged(model, before)


def test_the_published_models_are_named():
    with torch.device("meta"):
        tiny, big = swin("swin_t"), swin("swin_v2_b")
    with pytest.raises(ValueError, match="the weights are those of swin_v2_b; the model is swin_t"):
        load_weights(tiny, big.state_dict())


def test_own_classes_keep_the_last_layer():
    model = small(num_classes=3)
    head = model.head.weight.clone()
    other = small()
    load_weights(model, export_weights(other, "huggingface"), head=False)
    assert torch.equal(model.head.weight, head)
    assert torch.equal(model.norm.weight, other.norm.weight)
    without = {name: tensor for name, tensor in other.state_dict().items() if not name.startswith("head.")}
    load_weights(small(num_classes=3), without, head=False)
    with pytest.raises(ValueError, match="the weights lack 'head.bias' and 1 more"):
        load_weights(small(), without)


def test_tables_of_another_window_are_resized():
    """As F.interpolate does it, one head at a time, seen as a square picture."""
    four, seven = small(), small(window=7)
    load_weights(seven, export_weights(four, "timm"))
    name = "stages.1.blocks.0.attention.position.table"
    before, after = four.state_dict()[name], seven.state_dict()[name]
    for head in range(2):
        picture = before[:, head].reshape(1, 1, 7, 7)
        expected = torch.nn.functional.interpolate(
            picture, size=(13, 13), mode="bicubic", align_corners=False
        )
        assert torch.allclose(after[:, head].reshape(13, 13), expected[0, 0], atol=1e-6)
    assert torch.equal(four.head.weight, seven.head.weight)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "wrapped.pth", "dict.pt"])
def test_files(tmp_path, name):
    model, other, path = small(), small(2), tmp_path / name
    weights = export_weights(model, "original")
    if name.endswith("safetensors"):
        save_weights(weights, path)
    else:
        wrapper = {"wrapped.pth": {"model": weights, "epoch": 300}, "dict.pt": {"state_dict": weights}}
        torch.save(wrapper.get(name, weights), path)
    other = small()
    load_weights(other, str(path))
    assert torch.equal(other.head.weight, model.head.weight)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", [".pth", ".bin", ".safetensors"])
@pytest.mark.parametrize(
    "save", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing, protocol=2))]
)
def test_code_in_a_pickle_is_never_run(tmp_path, save, suffix):
    path, crater = tmp_path / f"bomb{suffix}", tmp_path / "crater"
    save({"model": Bomb(crater), "head.weight": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=re.escape(str(path))) as problem:
        read_weights(path)
    assert not crater.exists()
    assert "\n" not in str(problem.value)
    if suffix != ".safetensors":
        assert "holds more than tensors and is not read: it could run code" in str(problem.value)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.999])
def test_a_damaged_file_gets_one_sentence(tmp_path, name, share):
    path, model = tmp_path / name, small()
    (save_file if name.endswith("safetensors") else torch.save)(dict(model.state_dict()), path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    before = copies(model)
    with pytest.raises(ValueError) as problem:
        load_weights(model, path)
    assert str(path) in str(problem.value) and "damaged" in str(problem.value)
    assert "\n" not in str(problem.value)
    assert unchanged(model, before)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"there is no file {tmp_path / 'none.pth'}")):
        load_weights(small(), tmp_path / "none.pth")


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_weights({"a": torch.ones(2)}, path)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoints, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        save_weights({"a": torch.zeros(2)}, path)
    assert torch.equal(load_file(path)["a"], torch.ones(2))
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]


def test_a_write_cut_short_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    save_weights({"a": torch.ones(2)}, path, {"note": "old"})
    before = path.read_bytes()

    def half(tensors, path, about):
        save_file(tensors, path, about)
        Path(path).write_bytes(Path(path).read_bytes()[:50])
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save_file", half)
    with pytest.raises(KeyboardInterrupt):
        save_weights({"a": torch.zeros(2)}, path, {"note": "new"})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]


@pytest.mark.parametrize("about", [{"recipe": '{"epochs": 3}', "classes": "ä, 猫"}, {}, None])
def test_a_file_holds_notes_about_its_weights(tmp_path, about):
    path = tmp_path / "new" / "folder" / "weights.safetensors"
    weights = {"a": torch.arange(6.0).view(2, 3).T, "b": torch.ones((), dtype=torch.int64)}
    for _ in range(2):  # anew, then over the old file
        save_weights(weights, path, about)
        assert read_about(path) == read_about(str(path)) == (about or {})
        assert read_weights(path).keys() == weights.keys()
        assert all(torch.equal(x, weights[name]) for name, x in read_weights(path).items())
    assert [entry.name for entry in path.parent.iterdir()] == ["weights.safetensors"]


def test_a_file_of_others_holds_no_notes(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "x.safetensors")
    assert read_about(tmp_path / "x.safetensors") == {}


def test_a_layout_that_nobody_knows():
    with pytest.raises(ValueError, match="layout is 'keras'; for version 2 it must be one of swin_edu"):
        export_weights(small(2), "keras")


def test_exported_tensors_are_copies():
    model = small()
    export_weights(model, "swin_edu")["head.bias"].fill_(9.0)
    assert not (model.head.bias == 9).any()


def test_download(tmp_path, monkeypatch):
    """The file is asked for by its address, checked by its digest, and fetched once."""
    asked = []

    def fetch(address, path, hash_prefix):
        asked.append((address, hash_prefix))
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(checkpoints, "download_url_to_file", fetch)
    for _ in range(2):
        path = download_weights("swin_v2_s", tmp_path / "new")
        assert path == tmp_path / "new" / "swin_v2_s-637d8ceb.pth"
    assert asked == [("https://download.pytorch.org/models/swin_v2_s-637d8ceb.pth", "637d8ceb")]


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (
            OSError("Name or service not known"),
            "cannot be reached (Name or service not known); put",
        ),
        (RuntimeError("invalid hash value"), "arrived damaged; nothing was kept, try again"),
    ],
)
def test_a_failed_download_gets_one_sentence(tmp_path, monkeypatch, fault, sentence):
    def fail(*_, **__):
        raise fault

    monkeypatch.setattr(checkpoints, "download_url_to_file", fail)
    with pytest.raises(OSError) as problem:
        download_weights("swin_t", tmp_path)
    assert sentence in str(problem.value)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_download_is_not_kept(tmp_path, monkeypatch):
    """PyTorch's own function, given a file whose digest is another."""
    source = tmp_path / "source.pth"
    source.write_bytes(b"not the weights")
    fetch = checkpoints.download_url_to_file

    def fetch_it(_, path, hash_prefix):
        fetch(source.as_uri(), path, hash_prefix, progress=False)

    monkeypatch.setattr(checkpoints, "download_url_to_file", fetch_it)
    with pytest.raises(OSError, match="arrived damaged"):
        download_weights("swin_t", tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


def test_unknown_names_list_the_published_ones():
    with pytest.raises(ValueError, match="name is 'swin_l'; published files are known for swin_t, swin_s"):
        download_weights("swin_l")


def test_class_names():
    names = class_names()
    assert len(names) == len(set(names)) == 1000
    assert (names[0], names[281], names[999]) == ("tench", "tabby", "toilet tissue")
