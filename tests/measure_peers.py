"""Time and memory beside timm, torchvision and transformers: ``.venv/bin/python tests/measure_peers.py``.

Swin-T at 224 and SwinV2-T at 256 pixels, as PyTorch runs them (no compiling), on this machine's processor.
The models take turns in one process; a row gives each one's median and our ratio to the best other. Memory is
what all tensors of a forward pass hold at most, beyond weights and images, divided by the images.
"""

import time
import warnings
from itertools import accumulate
from statistics import median

import peers
import torch
from torch.profiler import profile

SIZES = {1: (224, 224), 2: (256, 256)}
NAMES = ("ours", *(library.layout for library in peers.LIBRARIES))


def build(name: str, version: int) -> torch.nn.Module:
    """Return one model with its own random weights."""
    config = peers.full_config(version)
    if name == "ours":
        return peers.ours_like(version, config)
    library = next(library for library in peers.LIBRARIES if library.layout == name)
    return library(version, config, SIZES[version]).model


def infer(model: torch.nn.Module, images: torch.Tensor) -> None:
    with torch.inference_mode():
        model(images)


def train(model: torch.nn.Module, images: torch.Tensor) -> None:
    scores = model(images)
    getattr(scores, "logits", scores).square().mean().backward()
    model.zero_grad()


def times(version: int, batch: int, step, rounds: int) -> dict[str, float]:
    """Return the median seconds of each model; they take turns."""
    images = torch.randn(batch, 3, *SIZES[version])
    models = {name: build(name, version).train(step is train) for name in NAMES}
    seconds: dict[str, list[float]] = {name: [] for name in NAMES}
    for model in models.values():
        step(model, images)
    for turn in range(rounds):
        for name in NAMES[turn % len(NAMES) :] + NAMES[: turn % len(NAMES)]:
            start = time.perf_counter()
            step(models[name], images)
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def memory(name: str, version: int, batch: int) -> float:
    """Return the megabytes an image that tensors hold at the worst moment of a forward pass."""
    model, images = build(name, version).eval(), torch.randn(batch, 3, *SIZES[version])
    infer(model, images)
    with profile(profile_memory=True) as record:
        infer(model, images)
    events = [event for event in record.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = accumulate(event.nbytes() for event in sorted(events, key=lambda event: event.start_ns()))
    return max(held) / 2**20 / batch


def row(title: str, values: dict[str, float], unit: float) -> None:
    ratio = values["ours"] / min(value for name, value in values.items() if name != "ours")
    cells = "  ".join(f"{unit * value:11.1f}" for value in values.values())
    print(f"{title:32} {cells}   {ratio:.2f}", flush=True)


def main() -> None:
    """Print the table."""
    peers.prepare()
    warnings.simplefilter("ignore")
    keep = peers.declare_operators()
    print(f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}")
    print(f"{'':32} {'  '.join(f'{name:>11}' for name in NAMES)}   ours / best other")
    for version, model in ((1, "Swin-T"), (2, "SwinV2-T")):
        row(f"{model}, batch 1, ms", times(version, 1, infer, rounds=40), 1e3)
        row(f"{model}, batch 8, ms", times(version, 8, infer, rounds=12), 1e3)
        row(f"{model}, training step of 8, ms", times(version, 8, train, rounds=6), 1e3)
        row(f"{model}, MB an image, batch 8", {name: memory(name, version, 8) for name in NAMES}, 1)
    del keep


if __name__ == "__main__":
    main()
