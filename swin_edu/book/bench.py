"""How fast the models are here: ``python3 -m swin_edu bench``; ``--peers`` adds what other libraries have.

The models of a group have equal weights and equal scores, which is checked first, and take turns.
"""

import importlib.metadata
import logging
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import linear_regression, median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from swin_edu.book.device import device
from swin_edu.book.measured import this_machine
from swin_edu.book.peers import LIBRARIES, Library, config_of, importable, prepare, randomise, scores_of
from swin_edu.checkpoints import export_weights
from swin_edu.fast import WAYS, fast
from swin_edu.model import VARIANTS, SwinTransformer
from swin_edu.rivals.vit import ViT

Step = Callable[[nn.Module, Tensor], Tensor]

TOLERANCES = {torch.float32: 2e-5, torch.bfloat16: 0.1}
SECONDS = 5.0  # for each model of a group
WAITED = 0.03  # of a sample's time; quiet machines stay below half of that
TOO_LONG = 60.0  # seconds for one image
VIT = "ViT-S/16"
THREADS = Path("/proc/self/task")
HEADINGS = ("", "ms", "10-90 %", "speed", "MB/image", "of peak", "difference", "dropped")
EXPLAINED = """
ms          median time of a batch; 10-90 %: the range without the lowest and highest tenth
speed       times as fast as {}
MB/image    what tensors hold at most while the model runs, beyond weights and images
of peak     multiplications and additions of the clear model (training: three times as many), per second,
            as a share of the fastest matrix product
difference  the largest, of a score, from clear's; more than {:.0e} is not timed
dropped     samples left out: its threads waited for a core more than {:.0%} of the time (known on Linux)
"""


@dataclass(frozen=True)
class Case:
    """A group of the table: one model and size of images, for inference or a training step."""

    name: str
    batch: int
    side: int
    dtype: torch.dtype = torch.float32
    train: bool = False
    compiled: bool = False

    def title(self) -> str:
        """Say what is measured."""
        step = "forward and backward" if self.train else "inference"
        return f"{self.name}, batch {self.batch}, {self.side} x {self.side} px, {step}, {self.dtype}"


@dataclass(frozen=True)
class Sample:
    """One timed run, and how long the threads waited meanwhile for cores that other processes had."""

    seconds: float
    waited: float


@dataclass(frozen=True)
class Row:
    """What was measured of one model."""

    name: str
    seconds: list[float]
    dropped: int
    megabytes: float


# The candidates


def cases(name: str, where: torch.device) -> list[Case]:
    """Return what is measured of a model on a device; only small images are worth the wait for a compiler."""
    side = 32 * VARIANTS[name].window  # the smallest images without padding
    if where.type == "cuda":
        sizes = [Case(name, batch, side, torch.bfloat16, compiled=True) for batch in (1, 64, 256)]
        return [*sizes, Case(name, 64, side, torch.bfloat16, train=True)]
    small = [Case(name, batch, side, compiled=True) for batch in (1, 8)]
    large = [Case(name, batch, 2 * side) for batch in (1, 8)]
    return [*small, *large, *(Case(name, batch, side, train=True) for batch in (1, 8))]


def clear_model(name: str, where: torch.device, dtype: torch.dtype) -> SwinTransformer:
    """Return the model of the book with weights that let every part count."""
    model = SwinTransformer(**config_of(name), version=VARIANTS[name].version)
    randomise(model, seed=0)
    return model.to(where, dtype)


def candidates(
    case: Case, clear: SwinTransformer, libraries: Sequence[type[Library]]
) -> dict[str, nn.Module]:
    """Return the models to compare, all with the weights of `clear`."""
    where = next(clear.parameters()).device
    models: dict[str, Any] = {"clear": clear, "fast": fast(clear)}
    if case.compiled:
        models["fast, compiled"] = fast(clear, compiled=True)
    for library in libraries:
        version, size = VARIANTS[case.name].version, (case.side, case.side)
        peer = library(version, config_of(case.name), size).model.to(where, case.dtype)
        peer.load_state_dict(export_weights(clear, library.layout), strict=False)
        models[library.package] = peer
        if case.compiled:
            models[f"{library.package}, compiled"] = torch.compile(peer, dynamic=False, **compiler(where))
    return {name: model.train(case.train) for name, model in models.items()}


def compiler(where: torch.device) -> dict[str, Any]:
    """Return the settings with which libraries gain most: CUDA graphs, or weights that may not change."""
    return {"mode": "reduce-overhead"} if where.type == "cuda" else {"options": {"freezing": True}}


def infer(model: nn.Module, images: Tensor) -> Tensor:
    """Return the scores."""
    with torch.inference_mode():
        return scores_of(model(images))


def train(model: nn.Module, images: Tensor) -> Tensor:
    """Return the scores, after the way back."""
    scores = scores_of(model(images))
    scores.square().mean().backward()
    model.zero_grad()
    return scores.detach()


def equal_ones(models: Mapping[str, nn.Module], step: Step, images: Tensor) -> dict[str, float]:
    """Return how much the scores of each model differ from the first one's; tell which are left out.

    These are models that fail, as where there is no compiler, and models whose scores are others.
    """
    wanted, limit = step(next(iter(models.values())), images), TOLERANCES[images.dtype]
    differences = {}
    for name, model in models.items():
        try:
            difference = (step(model, images) - wanted).abs().max().item()
        except Exception as error:  # compilers fail in many ways
            reason = (str(error) or type(error).__name__).splitlines()[0]
            print(f"{name} is left out, for it fails: {reason}")
            continue
        if difference <= limit:
            differences[name] = difference
        else:
            print(f"{name} is left out: its scores differ by {difference:.0e}, more than {limit:.0e}")
    return differences


# Measuring


def seconds_waited() -> float:
    """Return how long the threads of this process have waited for a core; 0 where only Linux would know."""
    nanoseconds = 0
    for path in THREADS.glob("*/schedstat"):
        with suppress(OSError):  # a thread that has ended
            nanoseconds += int(path.read_text().split()[1])
    return nanoseconds / 1e9


def sample(run: Callable[[], Any], where: torch.device) -> Sample:
    """Time one run, to the end of what it started on the device."""
    waited, start = seconds_waited(), time.perf_counter()
    run()
    if where.type != "cpu":
        torch.accelerator.synchronize()
    seconds = time.perf_counter() - start
    return Sample(seconds, seconds_waited() - waited)


def take_samples(
    runs: Mapping[str, Callable[[], Any]], where: torch.device, seconds: float
) -> dict[str, list[Sample]]:
    """Time all in turns, each turn beginning with another, for about so many seconds; 3 to 40 turns."""
    names, end = list(runs), time.perf_counter() + seconds
    samples: dict[str, list[Sample]] = {name: [] for name in names}
    for turn in range(40):
        if turn >= 3 and time.perf_counter() > end:
            break
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(sample(runs[name], where))
    return samples


def undisturbed(samples: Sequence[Sample]) -> list[float]:
    """Return the seconds of the samples with cores of their own; at least of the calmest third."""
    shares = sorted((taken.waited / taken.seconds, taken.seconds) for taken in samples)
    calm = sum(share <= WAITED for share, _ in shares)
    return [seconds for _, seconds in shares[: max(calm, math.ceil(len(shares) / 3))]]


def tensor_memory(run: Callable[[], Any], where: torch.device) -> float:
    """Return the megabytes that the tensors made by a run hold at its worst moment."""
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        run()
    profiler: Any = record.profiler
    events = [event for event in profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(accumulate((event.nbytes() for event in events), initial=0)) / 2**20


def measure(models: Mapping[str, nn.Module], step: Step, images: Tensor, seconds: float) -> list[Row]:
    """Measure models that have run once already."""
    where, runs = images.device, {name: partial(step, model, images) for name, model in models.items()}
    rows = []
    for name, samples in take_samples(runs, where, seconds * len(runs)).items():
        kept = undisturbed(samples)
        megabytes = tensor_memory(runs[name], where) / len(images)
        rows.append(Row(name, kept, len(samples) - len(kept), megabytes))
    return rows


def flops(case: Case) -> int:
    """Return 2 × the multiply-adds of a case; the way back has two products for each one of the way there."""
    with torch.device("meta"):
        model = SwinTransformer(**config_of(case.name), version=VARIANTS[case.name].version)
        images = torch.empty(1, 3, case.side, case.side)
    with FlopCounterMode(display=False) as counter:
        model(images)
    return counter.get_total_flops() * case.batch * (3 if case.train else 1)


def matrix_peaks(where: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Return the operations a second of each way to multiply matrices, at the best of a few sizes."""
    scale = 1 if where.type == "cpu" else 4
    peaks: dict[str, float] = {}
    for name, (prepare_weight, compute) in WAYS.items():
        if name != "matrix product" and (where.type, dtype) != ("cpu", torch.float32):
            continue
        for sizes in ((784, 384, 1536), (3136, 384, 1536), (2048, 2048, 2048)):
            tokens, inputs, outputs = (scale * size for size in sizes)
            x, weight = (torch.ones(n, inputs, device=where, dtype=dtype) for n in (tokens, outputs))
            with suppress(AttributeError, RuntimeError), torch.inference_mode():  # a way that is not here
                seconds = best_time(partial(compute, x, prepare_weight(weight), None), where)
                peaks[name] = max(peaks.get(name, 0), 2 * tokens * inputs * outputs / seconds)
    return peaks


def bandwidth(where: torch.device) -> float:
    """Return the bytes a second, read and written, of a copy too large for any cache."""
    source = torch.ones(2**26, device=where)
    target = torch.empty_like(source)
    return 2 * source.nbytes / best_time(partial(target.copy_, source), where)


def best_time(run: Callable[[], Any], where: torch.device) -> float:
    """Return the shortest of ten times."""
    return min(sample(run, where).seconds for _ in range(10))


# The tables


def line(cells: Sequence[str]) -> str:
    """Return a row with its columns in place."""
    return f"{cells[0]:28}{''.join(f'{cell:>12}' for cell in cells[1:])}".rstrip()


def table(rows: Sequence[Row], differences: Mapping[str, float], work: float, peak: float) -> list[str]:
    """Return a line for each model: time, speed beside the fastest library that is not compiled, and more.

    Where no library takes part, speed is that beside clear. `work` is what a run computes.
    """
    libraries = {library.package for library in LIBRARIES}
    rivals = [row for row in rows if row.name in libraries] or [row for row in rows if row.name == "clear"]
    best = min(median(row.seconds) for row in rivals)
    lines = []
    for row in rows:
        low, middle, high = np.quantile(row.seconds, (0.1, 0.5, 0.9))
        cells = [row.name, f"{1e3 * middle:.1f}", f"{1e3 * low:.0f}-{1e3 * high:.0f}", f"{best / middle:.2f}"]
        cells += [f"{row.megabytes:.1f}", f"{work / middle / peak:.0%}", f"{differences[row.name]:.0e}"]
        lines.append(line([*cells, f"{row.dropped} of {len(row.seconds) + row.dropped}"]))
    return lines


def report(case: Case, libraries: Sequence[type[Library]], where: torch.device, peak: float) -> None:
    """Measure a case and print its part of the table."""
    torch.compiler.reset()  # or the second batch size would be compiled for any, and slower
    print(f"\n{case.title()}", flush=True)
    images = torch.randn(case.batch, 3, case.side, case.side, dtype=case.dtype).to(where)
    models = candidates(case, clear_model(case.name, where, case.dtype), libraries)
    step = train if case.train else infer
    differences = equal_ones(models, step, images)
    rows = measure({name: models[name] for name in differences}, step, images, SECONDS)
    print("\n".join([line(HEADINGS), *table(rows, differences, flops(case), peak)]), flush=True)


def report_growth(name: str, sides: Sequence[int], where: torch.device, dtype: torch.dtype) -> None:
    """Print how time and memory of one image grow with its area, beside a ViT."""
    print(f"\n{name} and {VIT}, one image, inference, {dtype}", flush=True)
    clear = clear_model(name, where, dtype)
    swins = {"clear": clear, "fast": fast(clear)}
    vit = ViT(384, 12, 6, class_token=False).eval().to(where, dtype)
    rows: dict[str, dict[int, Row]] = {}
    for side in sides:
        images = torch.randn(1, 3, side, side, dtype=dtype).to(where)
        models: dict[str, nn.Module] = {key: swins[key] for key in equal_ones(swins, infer, images)}
        if is_worth_waiting(list(rows.get(VIT, {}).values())):
            models[VIT] = vit
            infer(vit, images)
        else:
            print(f"{VIT} is left out at {side} px: it could take more than {TOO_LONG:.0f} s")
        for row in measure(models, infer, images, SECONDS):
            rows.setdefault(row.name, {})[side] = row
    print("\n".join(growth_table(sides, rows)), flush=True)


def is_worth_waiting(smaller: Sequence[Row]) -> bool:
    """Tell whether a ViT can be run at twice the side; its time grows at most 16 times."""
    return not smaller or 16 * median(smaller[-1].seconds) <= TOO_LONG


def growth_table(sides: Sequence[int], rows: Mapping[str, Mapping[int, Row]]) -> list[str]:
    """Return a line of times and one of memory for each model, each with the power of its growth."""
    lines = [line(("", *(f"{side} px" for side in sides), "power of px"))]
    for name, by_side in rows.items():
        times = {side: 1e3 * median(row.seconds) for side, row in by_side.items()}
        memory = {side: row.megabytes for side, row in by_side.items()}
        for unit, values in (("ms", times), ("MB", memory)):
            cells = [f"{values[side]:.1f}" if side in values else "-" for side in sides]
            power = exponent([side**2 for side in values], list(values.values()))
            lines.append(line((f"{name}, {unit}", *cells, f"{power:.2f}")))
    return lines


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Return the power of the size with which values grow: the slope of a line through the logarithms."""
    return linear_regression([math.log(size) for size in sizes], [math.log(value) for value in values]).slope


def heading(
    libraries: Sequence[type[Library]], peaks: Mapping[str, float], copied: float, limit: float
) -> str:
    """Say where and with what everything is measured, and how fast this machine is at best."""
    releases = [f"{each.package} {importlib.metadata.version(each.package)}" for each in libraries]
    speeds = ", ".join(f"{way} {peak / 1e9:.0f} GFLOP/s" for way, peak in peaks.items())
    peak_line = f"fastest product of matrices: {speeds}; fastest copy: {copied / 1e9:.0f} GB/s"
    rival = "the fastest library that is not compiled" if libraries else "clear"
    legend = EXPLAINED.format(rival, limit, WAITED)
    return "\n".join([", ".join([this_machine(), *releases]), peak_line, legend])


def silence() -> None:
    """Keep the libraries, the compiler and the profiler from talking between the lines of the table."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    os.environ["KINETO_LOG_LEVEL"] = "99"


def main(names: Sequence[str], peers: bool) -> int:
    """Print the tables of some models, else of those for this device."""
    if unknown := set(names) - set(VARIANTS):
        print(f"--model is {min(unknown)!r}; it must be one of {', '.join(VARIANTS)}", file=sys.stderr)
        return 2
    if peers:
        prepare("-m", "swin_edu", "bench", "--peers", "--model", *names)
    silence()
    where, libraries = device(), importable() if peers else []
    on_gpu = where.type == "cuda"
    dtype = torch.bfloat16 if on_gpu else torch.float32
    peaks = matrix_peaks(where, dtype)
    print(heading(libraries, peaks, bandwidth(where), TOLERANCES[dtype]))
    for name in names or (["swin_t", "swin_b"] if on_gpu else ["swin_t"]):
        for case in cases(name, where):
            report(case, libraries, where, max(peaks.values()))
        side = 32 * VARIANTS[name].window
        report_growth(name, [side, 2 * side, 4 * side, 8 * side], where, dtype)
    return 0
