"""The comparison with rivals: who takes part, what is measured, and the tables; all on small sizes."""

import math
import os
import signal
import subprocess
import sys
import time
from functools import partial

import pytest
import torch
from torch import nn

from swin_edu.attention import attend
from swin_edu.book import compare, measured
from swin_edu.book.device import device
from swin_edu.book.scenes import CLASSES, draw_scene
from swin_edu.rivals.pyramid import Place

# Who takes part


@pytest.mark.parametrize("name", [*compare.ATTENTIONS, compare.SWIN])
def test_each_attention_learns_from_scenes(name):
    torch.manual_seed(0)
    model = compare.small_pyramid(name)
    images = torch.randn(2, 3, compare.SIDE, compare.SIDE)
    scores = model(images)
    assert scores.shape == (2, len(CLASSES))
    scores.square().sum().backward()
    still = [key for key, parameter in model.named_parameters() if parameter.grad is None]
    assert not still


def test_all_have_the_parameters_of_exact_attention_except_those_that_need_more():
    counts = {name: compare.cost_of(partial(compare.small_pyramid, name))[0] for name in compare.ATTENTIONS}
    tokens = [256, 64, 16]
    extra = sum(2 * 2 * n * (n // 4) for n in tokens)  # keys and values, two blocks a stage
    assert counts.pop("Linformer") - counts["exact"] == extra
    assert set(counts.values()) == {counts["exact"]}


def test_windows_are_shifted_in_every_second_block():
    first, second = (compare.windows_of(Place(16, 8, 2, 12, block)) for block in (0, 1))
    assert (first.height, first.width, first.window, first.shift) == (16, 8, 4, 0)
    assert (second.window, second.shift) == (4, 2)


def test_what_a_place_decides():
    assert compare.linformer_of(Place(16, 16, 2, 12, 0)).to_keys.shape == (1, 256, 64)
    assert compare.linformer_of(Place(1, 2, 2, 12, 0)).to_keys.shape == (1, 2, 1)
    assert compare.routing_of(Place(16, 16, 2, 12, 0)).centroids.shape == (2, 16, 12)


def test_backbones_cost_about_as_much_as_swin():
    costs = {name: compare.cost_of(partial(compare.cell_reader, name)) for name in compare.BACKBONES}
    parameters, operations = costs["Swin"]
    assert costs["ViT, equal parameters"][0] == pytest.approx(parameters, rel=0.05)
    assert costs["ViT, equal cost"][1] == pytest.approx(operations, rel=0.10)
    assert costs["CNN"] == (pytest.approx(parameters, rel=0.15), pytest.approx(operations, rel=0.10))


def test_the_cost_counts_attention():
    """Exact attention has two products of N × N × C more than windows, in each of two blocks a stage."""
    whole = compare.cost_of(partial(compare.small_pyramid, "exact"))[1]
    windows = compare.cost_of(partial(compare.small_pyramid, "windows"))[1]
    pairs = [(256 * 256 - 256 * 16, 24), (64 * 64 - 64 * 16, 48), (0, 96)]
    assert whole - windows == pytest.approx(sum(2 * 2 * 2 * more * c for more, c in pairs) / 1e6)


# Training


def test_a_short_training_gives_a_share_for_each_seed(monkeypatch):
    """The jobs run here, not in processes of their own, on few scenes."""
    few = compare.scenes(training=64, held_out=20)
    monkeypatch.setattr(compare, "scenes", lambda: few)
    monkeypatch.setattr(compare, "side_by_side", lambda jobs: [job() for job in jobs])
    monkeypatch.setattr(compare, "ATTENTIONS", {"exact": compare.ATTENTIONS["exact"]})
    figures = compare.train_attentions(seeds=2, epochs=1)
    assert list(figures) == ["exact", compare.SWIN] and all(len(shares) == 2 for shares in figures.values())
    assert compare.learned("exact", 1, 1) == figures["exact"][1]
    assert compare.attention_table(figures)[1].startswith("exact")


def test_a_short_training_of_backbones(monkeypatch):
    monkeypatch.setattr(compare, "side_by_side", lambda jobs: [job() for job in jobs])
    monkeypatch.setattr(compare, "TRAINING", 64)
    monkeypatch.setattr(compare, "HELD_OUT", 20)
    monkeypatch.setattr(compare, "BACKBONES", {"CNN": compare.BACKBONES["CNN"]})
    figures = compare.train_backbones(seeds=1, epochs=1)
    assert list(figures) == [f"CNN, {what}" for what in ("small", "medium", "large", "mIoU")]
    assert [share for shares in figures.values() for share in shares] == compare.read_cells("CNN", 0, 1)


def test_jobs_come_back_in_order():
    assert compare.side_by_side([partial(math.pow, 2, power) for power in range(5)]) == [1, 2, 4, 8, 16]


SLOW_JOBS = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where the tests were started
from functools import partial
from swin_edu.book.compare import side_by_side
side_by_side([partial(time.sleep, seconds) for seconds in (0, 600, 600, 600)])
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows sends Ctrl-C in another way")
def test_ctrl_c_ends_all_trainings_at_once():
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW_JOBS], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    said = ""
    while "1/4" not in said:  # from then on workers run
        said += process.stderr.read(1)
    os.killpg(process.pid, signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=30)[1]
    end = time.monotonic() + 20
    with pytest.raises(ProcessLookupError):  # soon no worker is left
        while time.monotonic() < end:
            os.killpg(process.pid, 0)
            time.sleep(0.1)


# Cells


def test_cells_show_what_most_of_their_pixels_show():
    first, count = 3, 6
    images, labels, sizes = compare.scenes_of_cells(first, count)
    assert images.shape == (count, 3, 64, 64) and labels.shape == sizes.shape == (count, 16, 16)
    for seed in range(count):
        scene = draw_scene(first + seed)
        assert images[seed].equal(scene.image)
        for y in range(16):
            for x in range(16):
                shown = [int(mask[4 * y : 4 * y + 4, 4 * x : 4 * x + 4].sum()) for mask in scene.masks]
                ground = 16 - sum(shown)
                best = max(range(len(shown)), key=shown.__getitem__, default=None)
                if best is None or ground >= shown[best]:
                    assert labels[seed, y, x] == sizes[seed, y, x] == 0
                else:
                    assert labels[seed, y, x] == 1 + scene.labels[best]
                    pixels = int(scene.masks[best].sum())
                    assert sizes[seed, y, x] == (1 if pixels < 120 else 2 if pixels < 280 else 3)


def test_a_place_names_the_cells_that_it_covers():
    class Maps(nn.Module):
        def features(self, images):
            torch.manual_seed(0)
            return [torch.randn(len(images), 8, 8, 6), torch.randn(len(images), 4, 4, 10)]

    model, images = compare.CellReader(Maps()), torch.zeros(2, 3, 64, 64)
    fine, coarse = (read(x) for read, x in zip(model.readers, Maps().features(images), strict=True))
    assert fine.shape[-1] == 7 * 4 and coarse.shape[-1] == 7 * 16  # a place covers 2 × 2 or 4 × 4 cells
    scores = model(images)
    assert scores.shape == (2, 7, 16, 16)
    for kind, y, x in ((0, 0, 0), (3, 5, 10), (6, 15, 15), (2, 7, 8)):
        from_fine = fine[:, y // 2, x // 2].view(2, 7, 2, 2)[:, kind, y % 2, x % 2]
        from_coarse = coarse[:, y // 4, x // 4].view(2, 7, 4, 4)[:, kind, y % 4, x % 4]
        assert torch.allclose(scores[:, kind, y, x], from_fine + from_coarse)


def test_shares_and_overlaps():
    class Knows(nn.Module):
        def __init__(self, named):
            super().__init__()
            self.named, self.weight = named, nn.Parameter(torch.zeros(()))

        def forward(self, images):
            return nn.functional.one_hot(self.named, 1 + len(CLASSES)).permute(0, 3, 1, 2)

    images, labels, sizes = compare.scenes_of_cells(0, 20)
    assert compare.cells_right(Knows(labels), images, labels, sizes) == [1, 1, 1, 1]
    named = torch.where(sizes == 1, 0, labels)  # misses all small ones
    small, medium, large, overlap = compare.cells_right(Knows(named), images, labels, sizes)
    wanted = [
        sum(a == b == label for a, b in zip(named.flatten().tolist(), labels.flatten().tolist(), strict=True))
        / sum(label in pair for pair in zip(named.flatten().tolist(), labels.flatten().tolist(), strict=True))
        for label in range(7)
    ]
    assert (small, medium, large) == (0, 1, 1) and overlap == pytest.approx(sum(wanted) / 7)


# Time and memory


def test_every_attention_is_timed_at_every_length(monkeypatch):
    monkeypatch.setattr(compare, "MOST_PAIRS", 256**2)
    figures = compare.time_lengths((256, 1024))
    names = ["exact, written out", "exact", "windows", "Performer", "Linformer", "Routing"]
    assert list(figures) == [f"{name}, {unit}" for name in names for unit in ("ms", "MB")]
    assert all(min(values) > 0 for values in figures.values())
    assert {len(values) for name, values in figures.items() if "written" not in name} == {2}
    assert len(figures["exact, written out, ms"]) == 1
    memory = figures["exact, MB"]
    assert figures["exact, written out, MB"][0] > memory[0]


@pytest.mark.parametrize("tokens", [256, 1024])
def test_the_attentions_that_are_timed_take_that_length(tokens):
    q, k, v = torch.randn(3, 1, compare.LENGTH_HEADS, tokens, compare.LENGTH_CHANNELS, device=device())
    with torch.no_grad():
        found = {name: layer(q, k, v) for name, layer in compare.attentions_of_length(tokens).items()}
    assert {x.shape for x in found.values()} == {q.shape}
    assert torch.allclose(found["exact"], found["exact, written out"], atol=1e-5)
    assert torch.allclose(found["exact"], attend(q, k, v))


def test_every_model_is_timed_at_every_side():
    figures = compare.time_sides((32, 64))
    names = ["Swin-T", "ViT-S/16", "ResNet-34"]
    assert list(figures) == [f"{name}, {unit}" for name in names for unit in ("ms", "MB")]
    assert all(len(values) == 2 and min(values) > 0 for values in figures.values())


SIZES = (1, 10, 100, 1000)


@pytest.mark.parametrize(
    ("first", "second", "where"),
    [
        ([1, 100, 1e4, 1e6], [30, 300, 3e3, 3e4], 30),  # N² and 30 N
        ([1, 10, 100, 1000], [2, 20, 200, 2000], None),
        ([2, 20, 200, 2000], [1, 10, 100, 1000], 1),
        ([2, 5, 200, 2000], [1, 10, 100, 1000], 10 * 10**0.5),  # above, below, above: from the last crossing
    ],
)
def test_where_one_begins_to_take_longer(first, second, where):
    found = compare.crossing(SIZES, first, second)
    assert found == (None if where is None else pytest.approx(where))


# The tables


def test_a_table_of_growth_names_the_power_from_a_thousand_on():
    sides = (10, 40, 80, 160)
    figures = {"a, ms": [7.0, 4.0, 8.0, 16.0], "b, MB": [9.0, 1.0, 4.0]}
    heading, first, second = compare.growth_table("px", sides, [side**2 for side in sides], figures)
    assert heading.split() == ["px", "10", "40", "80", "160", "power"]
    assert first.split() == ["a,", "ms", "7.0", "4.0", "8.0", "16.0", "0.50"]
    assert second.split() == ["b,", "MB", "9.0", "1.0", "4.0", "-", "1.00"]


def test_the_spread_is_in_percent():
    assert compare.spread([0.5, 0.6, 0.7]) == "60.0 ± 10.0" and compare.spread([0.25]) == "25.0 ± 0.0"


def test_a_table_of_backbones_has_shares_by_size():
    figures = {
        f"{name}, {what}": [0.1, 0.3] for name in compare.BACKBONES for what in (*compare.SIZES, "mIoU")
    }
    heading, swin, *others = compare.backbone_table(figures)
    assert swin.split() == ["Swin", *4 * ["20.0", "±", "14.1"], "333,920", "25.0"]
    assert len(others) == 4


def test_the_command_measures_only_what_is_named(monkeypatch, capsys):
    monkeypatch.setattr(compare, "silence", lambda: None)
    monkeypatch.delenv("SWIN_EDU_MEASURE", raising=False)
    monkeypatch.setitem(
        compare.TABLES, "sides", ("backbones by side", lambda: {"a": [1.0]}, lambda figures: ["line"])
    )
    monkeypatch.setattr(measured, "MEASURED_HERE", set())
    assert compare.main(["sides"]) == 0
    assert capsys.readouterr().out.splitlines()[1:] == ["", "backbones by side", "line"]


def test_an_unknown_table_is_one_sentence(capsys):
    assert compare.main(["lenghts"]) == 2
    said = capsys.readouterr().err
    assert (
        said
        == "TABLE is 'lenghts'; it must be one of attentions, lengths, backbones, sides, tasks, pyramids\n"
    )
