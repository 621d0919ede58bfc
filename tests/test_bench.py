"""The bench measures what it says, compares equals only, and says what it leaves out."""

import importlib
import itertools
import logging
import math
import os
import sys
import warnings

import pytest
import torch
from torch import nn

from swin_edu.book import bench, command, peers
from swin_edu.book.bench import Case, Row, Sample
from swin_edu.book.environment import Environment, InstallError
from swin_edu.model import VARIANTS, SwinTransformer, Variant
from swin_edu.rivals.vit import ViT

CPU = torch.device("cpu")


class Other(peers.Library):
    """Stands in for a library: its model is ours, under our names."""

    package, layout = "timm", "swin_edu"
    module = "swin_edu.model"

    def build(self, version, config, size):
        assert size == (64, 64)
        return SwinTransformer(**config, version=version)


class Wrong(Other):
    """A library whose scores are others."""

    package = "torchvision"

    def build(self, version, config, size):
        model = super().build(version, config, size)
        model.head.register_forward_hook(lambda layer, inputs, scores: scores + 1e-3)
        return model


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(VARIANTS, "tiny", Variant(1, 8, (1, 2, 1), (1, 2, 4), 2, 0.5))
    monkeypatch.setattr(bench, "SECONDS", 1e-6)
    monkeypatch.setattr(bench, "ViT", lambda *sizes, **options: ViT(8, 1, 2, **options))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # on a busy machine, threads would wait for each other
    yield Case("tiny", 2, 64)
    torch.set_num_threads(threads)


@pytest.fixture
def quiet(monkeypatch):
    """Undo what `bench.silence` sets for the process."""
    monkeypatch.setenv("KINETO_LOG_LEVEL", "0")
    yield
    logging.disable(logging.NOTSET)


def row(name, *milliseconds, dropped=0, megabytes=1.0):
    return Row(name, [each / 1e3 for each in milliseconds], dropped, megabytes)


# The tables


def cells(line):
    """Return the columns of a line of the table."""
    return [line[:28].strip(), *(line[start : start + 12].strip() for start in range(28, len(line), 12))]


def test_a_line_for_each_model():
    rows = [
        row("clear", 60, 20, 30, 40, 50, dropped=3),
        row("fast", 10, megabytes=2.25),
        row("torchvision", 30),
        row("timm", 20),
        row("timm, compiled", 5),
    ]
    differences = {"clear": 0.0, "fast": 3e-6, "torchvision": 1e-5, "timm": 2e-5, "timm, compiled": 0.0}
    lines = bench.table(rows, differences, work=2e9, peak=4e11)
    assert [cells(each) for each in lines] == [
        ["clear", "40.0", "24-56", "0.50", "1.0", "12%", "0e+00", "3 of 8"],
        ["fast", "10.0", "10-10", "2.00", "2.2", "50%", "3e-06", "0 of 1"],
        ["torchvision", "30.0", "30-30", "0.67", "1.0", "17%", "1e-05", "0 of 1"],
        ["timm", "20.0", "20-20", "1.00", "1.0", "25%", "2e-05", "0 of 1"],
        ["timm, compiled", "5.0", "5-5", "4.00", "1.0", "100%", "0e+00", "0 of 1"],
    ]
    assert len(cells(bench.line(bench.HEADINGS))) == len(cells(lines[0]))


def test_without_libraries_speed_is_that_beside_clear():
    rows = [row("clear", 60), row("fast", 20)]
    lines = bench.table(rows, {"clear": 0, "fast": 0}, work=1, peak=1)
    assert [cells(each)[3] for each in lines] == ["1.00", "3.00"]


@pytest.mark.parametrize("power", [0.5, 1, 2])
def test_the_exponent_of_a_power_is_exact(power):
    sizes = (224, 448, 896)
    assert bench.exponent(sizes, [3.7 * size**power for size in sizes]) == pytest.approx(power, abs=1e-12)


def test_the_exponent_is_the_slope_of_least_squares():
    heights = (0.0, 3.0, 3.0)  # at 0, 1, 2 times log 4; the slope between the ends, 1.5
    assert bench.exponent((1, 4, 16), [4**height for height in heights]) == pytest.approx(1.5)


def test_growth_has_a_line_of_times_and_one_of_memory():
    rows = {
        "clear": {side: row("clear", side**2 / 100, megabytes=side) for side in (10, 20, 40)},
        bench.VIT: {side: row(bench.VIT, side**4 / 1e3, 1e6, 0) for side in (10, 20)},
    }
    lines = bench.growth_table([10, 20, 40], rows)
    assert [cells(each) for each in lines] == [
        ["", "10 px", "20 px", "40 px", "power of px"],
        ["clear, ms", "1.0", "4.0", "16.0", "1.00"],
        ["clear, MB", "10.0", "20.0", "40.0", "0.50"],
        ["ViT-S/16, ms", "10.0", "160.0", "-", "2.00"],
        ["ViT-S/16, MB", "1.0", "1.0", "-", "0.00"],
    ]


def test_a_vit_that_could_take_too_long_is_not_run():
    assert bench.is_worth_waiting([])
    assert bench.is_worth_waiting([row(bench.VIT, 9000), row(bench.VIT, 3700)])
    assert not bench.is_worth_waiting([row(bench.VIT, 1), row(bench.VIT, 3800)])


# What is compared


@pytest.mark.parametrize("training", [False, True])
def test_all_have_the_weights_of_the_clear_model(tiny, training):
    clear = bench.clear_model("tiny", CPU, torch.float32)
    models = bench.candidates(Case("tiny", 2, 64, train=training), clear, [Other])
    assert list(models) == ["clear", "fast", "timm"]
    assert all(model.training == training for model in models.values())
    for name, parameter in models["timm"].named_parameters():
        assert torch.equal(parameter, clear.get_parameter(name))
    assert clear.stages[0].blocks[0].norm1.weight.std() > 0.1  # none of them without effect


def test_the_libraries_are_compiled_where_it_is_worth_the_wait(tiny, monkeypatch):
    settings = []
    monkeypatch.setattr(torch, "compile", lambda model, **given: settings.append(given) or model)
    case = Case("tiny", 1, 64, compiled=True)
    models = bench.candidates(case, bench.clear_model("tiny", CPU, torch.float32), [Other])
    assert list(models) == ["clear", "fast", "fast, compiled", "timm", "timm, compiled"]
    assert settings[-1] == {"dynamic": False, "options": {"freezing": True}}
    assert bench.compiler(torch.device("cuda")) == {"mode": "reduce-overhead"}


@pytest.mark.parametrize("training", [False, True])
def test_a_model_with_other_scores_is_refused_before_timing(tiny, training, monkeypatch, capsys):
    timed, steps, take_samples = [], set(), bench.take_samples

    def recorded(runs, *rest):
        assert rest == (CPU, bench.SECONDS * len(runs))
        timed.extend(runs)
        steps.update(run.func for run in runs.values())
        return take_samples(runs, *rest)

    monkeypatch.setattr(bench, "take_samples", recorded)
    bench.report(Case("tiny", 2, 64, train=training), [Wrong, Other], CPU, 1e12)
    assert timed == ["clear", "fast", "timm"] and steps == {bench.train if training else bench.infer}
    printed = capsys.readouterr().out
    assert "torchvision is left out: its scores differ by 1e-03, more than 2e-05\n" in printed
    assert [cells(each)[0] for each in printed.splitlines()[4:]] == timed


@pytest.mark.parametrize(("shift", "taken"), [(1.9e-5, True), (2.2e-5, False), (math.nan, False)])
def test_how_much_scores_may_differ(shift, taken, capsys):
    class Shifted(nn.Module):
        def forward(self, images):
            return torch.stack([images.sum() * 0, images.sum() * 0 + shift])

    models = {"clear": Shifted(), "other": Shifted()}
    models["clear"].forward = lambda images: torch.zeros(2)
    found = bench.equal_ones(models, bench.infer, torch.ones(1))
    assert list(found) == ["clear", "other"][: 1 + taken]
    assert ("left out" in capsys.readouterr().out) != taken


def test_a_model_that_fails_gets_one_sentence(capsys):
    class Failing(nn.Module):
        def forward(self, images):
            raise RuntimeError("no C++ compiler\nand much more")

    assert list(bench.equal_ones({"clear": nn.Identity(), "x": Failing()}, bench.infer, torch.ones(1))) == [
        "clear"
    ]
    assert capsys.readouterr().out == "x is left out, for it fails: no C++ compiler\n"


def test_a_training_step_goes_back_and_leaves_no_gradient():
    model, went_back = nn.Linear(3, 2), []
    model.weight.register_hook(lambda gradient: went_back.append(gradient.abs().sum().item()))
    scores = bench.train(model, torch.ones(4, 3))
    assert went_back and went_back[0] > 0 and model.weight.grad is None and not scores.requires_grad
    assert bench.infer(model, torch.ones(4, 3)).is_inference() and len(went_back) == 1


def test_scores_are_found_inside_an_object():
    class Result:
        logits = torch.ones(1)

    assert peers.scores_of(Result()) is Result.logits and peers.scores_of(Result.logits) is Result.logits


# Measuring


def test_disturbed_samples_are_dropped():
    samples = [Sample(1.0, 0.029), Sample(2.0, 0.059), Sample(3.0, 0.1), Sample(4.0, 0.0)]
    assert sorted(bench.undisturbed(samples)) == [1.0, 2.0, 4.0]


def test_of_disturbed_samples_alone_the_calmest_third_stays():
    samples = [Sample(10.0, 1.0 + number) for number in (3, 0, 1, 2, 4)]
    samples[1:3] = [Sample(11.0, 1.0), Sample(12.0, 1.5)]
    assert bench.undisturbed(samples) == [11.0, 12.0]


def test_waiting_is_read_from_all_threads(tmp_path, monkeypatch):
    monkeypatch.setattr(bench, "THREADS", tmp_path)
    assert bench.seconds_waited() == 0
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "schedstat").write_text(f"7000000000 {number}500000000 12\n")
    assert bench.seconds_waited() == 4.0


def test_a_sample_has_the_time_of_its_run_and_the_waiting_in_it(monkeypatch):
    clock, waited = [10.0], [5.0]
    monkeypatch.setattr(bench.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(bench, "seconds_waited", lambda: waited[0])

    def run():
        clock[0] += 2
        waited[0] += 1

    assert bench.sample(run, CPU) == Sample(2.0, 1.0)


def test_each_turn_begins_with_another(monkeypatch):
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "abc"}
    samples = bench.take_samples(runs, CPU, seconds=0)
    assert "".join(order) == "abcbcacab"
    assert [len(taken) for taken in samples.values()] == [3, 3, 3]
    order.clear()
    bench.take_samples(runs, CPU, seconds=60)
    assert len(order) == 3 * 40


def test_memory_is_that_of_the_tensors_at_the_worst_moment(quiet):
    def run():
        first = torch.ones(2**20)  # 4 MB
        second = first + 1
        del first, second
        return torch.ones(2**18)

    assert bench.tensor_memory(run, CPU) == pytest.approx(8, abs=0.01)
    assert bench.tensor_memory(lambda: None, CPU) == 0


def test_memory_is_counted_for_each_image(tiny, quiet):
    class Twice(nn.Module):
        def forward(self, images):
            return images * 2

    [measured] = bench.measure({"twice": Twice()}, bench.infer, torch.ones(4, 2**18), seconds=0)
    assert measured.megabytes == pytest.approx(1, abs=0.01) and measured.name == "twice"
    assert len(measured.seconds) + measured.dropped == 3


def test_operations_of_swin_t():
    one = bench.flops(Case("swin_t", 1, 224))
    assert one == pytest.approx(8.98e9, rel=2e-3)
    assert bench.flops(Case("swin_t", 8, 224)) == 8 * one
    assert bench.flops(Case("swin_t", 2, 224, train=True)) == 6 * one
    assert bench.flops(Case("swin_t", 1, 448)) == pytest.approx(4 * one, rel=1e-3)


def test_peaks_are_operations_and_bytes_a_second(monkeypatch):
    times = itertools.cycle([0.01, 0.5, 0.5])  # the first size is the best
    monkeypatch.setattr(bench, "best_time", lambda run, where: run() is None or next(times))
    peaks = bench.matrix_peaks(CPU, torch.float32)
    assert {"matrix product", "convolution"} <= set(peaks)
    assert set(peaks.values()) == {2 * 784 * 384 * 1536 / 0.01}
    assert set(bench.matrix_peaks(CPU, torch.bfloat16)) == {"matrix product"}
    monkeypatch.setattr(bench, "best_time", lambda run, where: 0.5)
    assert bench.bandwidth(CPU) == 2 * 2**28 / 0.5


def test_the_shortest_of_ten_times(monkeypatch):
    seconds = iter([3.0, 1.0, *8 * [2.0]])
    monkeypatch.setattr(bench, "sample", lambda run, where: Sample(next(seconds), 0))
    assert bench.best_time(lambda: None, CPU) == 1.0 and next(seconds, None) is None


@pytest.mark.parametrize("where", ["cpu", "cuda"])
@pytest.mark.parametrize(("name", "side"), [("swin_b", 224), ("swin_v2_t", 256)])
def test_the_cases(where, name, side):
    cases = bench.cases(name, torch.device(where))
    inference = [(case.batch, case.side, case.compiled) for case in cases if not case.train]
    if where == "cuda":
        assert {case.dtype for case in cases} == {torch.bfloat16}
        assert inference == [(batch, side, True) for batch in (1, 64, 256)]
    else:
        sizes = [(1, side, True), (8, side, True), (1, 2 * side, False), (8, 2 * side, False)]
        assert inference == sizes and {case.dtype for case in cases} == {torch.float32}
    assert [case.compiled for case in cases if case.train] in ([False], [False, False])
    assert {case.name for case in cases} == {name}


# The whole


def test_all_tables_of_a_tiny_model(tiny, quiet, monkeypatch, capsys):
    half = Case("tiny", 1, 64, torch.bfloat16)
    monkeypatch.setattr(bench, "cases", lambda name, where: [tiny, half, Case("tiny", 1, 64, train=True)])
    monkeypatch.setattr(bench, "device", lambda: CPU)
    monkeypatch.setattr(bench, "best_time", lambda run, where: 0.5)
    with warnings.catch_warnings():
        assert bench.main(["tiny"], peers=False) == 0
    assert os.environ["KINETO_LOG_LEVEL"] == "99"
    printed, told = capsys.readouterr()
    assert told == "" and "PyTorch" in printed and "1 GB/s" in printed and "times as fast as clear" in printed
    titles = ("inference, torch.float32", "inference, torch.bfloat16", "forward and backward, torch.float32")
    assert [printed.count(f"64 x 64 px, {title}") for title in titles] == [1, 1, 1]
    assert sum(each.startswith("fast ") for each in printed.splitlines()) == 3
    assert "64 px      128 px      256 px      512 px power of px" in printed
    assert {"clear, ms", "fast, MB", "ViT-S/16, ms"} <= {cells(each)[0] for each in printed.splitlines()}


def test_the_heading_names_the_libraries(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda package: "1.2.3")
    heading = bench.heading([Other], {"packed": 5e11}, 2e10, 2e-5)
    assert "timm 1.2.3" in heading and "packed 500 GFLOP/s" in heading and "20 GB/s" in heading
    assert "the fastest library that is not compiled" in heading and "more than 2e-05" in heading


def test_an_unknown_model_is_told_what_would_work(capsys):
    assert bench.main(["swin_x", "swin_t"], peers=True) == 2
    assert "--model is 'swin_x'; it must be one of swin_t, swin_s" in capsys.readouterr().err


# The libraries, and where they live


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "ROOT", tmp_path)
    monkeypatch.setattr(Environment, "execute", lambda project, *given: [project.folder.name, *given])
    return Environment(tmp_path, ".venv-peers")


def test_the_libraries_are_installed_once_into_an_environment_of_their_own(project, monkeypatch, capsys):
    commands = []
    monkeypatch.setattr(Environment, "runs", lambda project, command: commands.append(command) or True)
    for _ in range(2):
        with pytest.raises(SystemExit) as end:
            peers.prepare("-m", "swin_edu", "bench")
        assert end.value.code == [".venv-peers", "-m", "swin_edu", "bench"]
    assert [command[0] for command in commands] == [str(project.python)] * 3
    assert commands[0][-1] == "transformers>=5" and commands[1][-3:] == ["--no-deps", "timm", "torchvision"]
    assert "linformer==0.2.3" in commands[2] and commands[2][4] == "--no-deps"
    [shared] = project.folder.glob("**/site-packages/swin_edu.pth")
    assert shared.read_text().splitlines()[1] == str(project.root)
    assert importlib.util.find_spec("torch").origin.startswith(shared.read_text().splitlines()[0])
    assert capsys.readouterr().out.count("installing") == 1


def test_what_is_new_is_installed_beside_the_rest(project, monkeypatch):
    commands, kept, everything = [], project.folder / "kept", peers.WANTED
    monkeypatch.setattr(Environment, "runs", lambda project, command: commands.append(command) or True)
    for wanted in (everything[:2], everything):
        monkeypatch.setattr(peers, "WANTED", wanted)
        with pytest.raises(SystemExit):
            peers.prepare()
        assert kept.exists() == (wanted is everything)
        kept.touch()
    assert len(commands) == 2 + 3
    assert project.read_marker()["installed"] == wanted


def test_a_failed_installation_is_told_and_tried_again(project, monkeypatch):
    monkeypatch.setattr(Environment, "runs", lambda project, command: "timm" not in command)
    for _ in range(2):
        with pytest.raises(InstallError, match="could not install timm"):
            peers.prepare()


def test_with_the_libraries_it_goes_on(project, monkeypatch):
    monkeypatch.setattr(sys, "prefix", str(project.folder))
    assert peers.prepare("x") is None


def test_a_library_that_cannot_be_imported_gets_its_sentence(monkeypatch, capsys):
    class Broken(Other):
        package, module = "torchvision", "broken"

    class Missing(Other):
        package, module = "transformers", "missing_library"

    def load(name, load=importlib.import_module):
        if name == "broken":
            raise RuntimeError("operator x does not exist")
        return load(name)

    monkeypatch.setattr(importlib, "import_module", load)
    monkeypatch.setattr(peers, "declare_operators", lambda: None)
    monkeypatch.setattr(peers, "LIBRARIES", (Broken, Missing, Other))
    assert peers.importable() == [Other]
    assert capsys.readouterr().out.splitlines() == [
        "torchvision is left out, for it cannot be imported: operator x does not exist",
        "transformers is left out, for it cannot be imported: No module named 'missing_library'",
    ]


@pytest.mark.parametrize(
    ("error", "declared"), [(None, False), (ImportError, False), (RuntimeError("no operator nms"), True)]
)
def test_operators_are_declared_where_torchvision_cannot_load_them(error, declared, monkeypatch):
    def load(name):
        if error:
            raise error

    monkeypatch.setattr(importlib, "import_module", load)
    library = peers.declare_operators.__wrapped__()
    assert (library is not None) == declared
    assert hasattr(torch.ops.torchvision, "nms") == declared


# The command


@pytest.fixture
def started(monkeypatch):
    calls = []
    monkeypatch.setattr(Environment, "ensure", lambda _, test=False: None)
    monkeypatch.setattr(Environment, "execute", lambda project, *given: calls.append(given) or 5)
    monkeypatch.setattr(bench, "main", lambda names, peers: calls.append((names, peers)) or 0)
    return calls


@pytest.mark.parametrize("given", [["bench"], ["bench", "--peers", "--model", "swin_s", "swin_v2_t"]])
def test_bench_starts_again_inside_venv(started, given, monkeypatch):
    monkeypatch.setattr(Environment, "is_running", lambda project: False)
    assert command.main(given) == 5 and started == [("-m", "swin_edu", *given)]


@pytest.mark.parametrize("folder", [".venv", ".venv-peers"])
def test_inside_either_environment_bench_runs(started, folder, monkeypatch):
    monkeypatch.setattr(Environment, "is_running", lambda project: project.folder.name == folder)
    assert command.main(["bench", "--peers", "--model", "swin_s", "swin_v2_t"]) == 0
    assert command.main(["bench"]) == 0
    assert started == [(["swin_s", "swin_v2_t"], True), ([], False)]


def test_with_peers_bench_goes_on_beside_them(monkeypatch):
    class Stopped(Exception):
        """Stands in for the other Python that goes on."""

    given = []

    def stop(*arguments):
        given.extend(arguments)
        raise Stopped

    monkeypatch.setattr(bench, "prepare", stop)
    with pytest.raises(Stopped):
        bench.main(["swin_s"], peers=True)
    assert given == ["-m", "swin_edu", "bench", "--peers", "--model", "swin_s"]
