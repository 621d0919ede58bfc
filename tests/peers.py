"""Compare swin_edu with other people's code: ``.venv/bin/python tests/peers.py``.

Gives the models of timm, torchvision and transformers random weights of order one, loads them here by the
library's own names, and prints the largest difference of the class scores (there and back) and of the four
maps (in units of a map's standard deviation), in single and in double precision; then the differences of what
Swin is compared with, as peers_rivals.py finds them. ``--write`` also stores what small models of each
library compute, in tests/references/, for the tests to compare with where the libraries are not installed.
"""

import argparse
import itertools
import sys
import warnings
from pathlib import Path

import peers_rivals
import torch

from swin_edu.book.peers import config_of, importable, prepare, randomise
from swin_edu.book.write import ROOT
from swin_edu.checkpoints import RECOMPUTED, export_weights, load_weights, save_weights
from swin_edu.model import SwinTransformer

REFERENCES = Path(__file__).parent / "references"
FULL = {1: "swin_t", 2: "swin_v2_t"}
SMALL = {"channels": 8, "depths": (2, 2, 2, 1), "heads": (1, 2, 4, 8), "window": 4, "num_classes": 10}


@torch.no_grad()
def compare(library, version: int, size: tuple[int, int], dtype: torch.dtype) -> tuple[float, list[float]]:
    """Return the largest difference of the scores, there and back, and of each map."""
    config = config_of(FULL[version])
    peer = library(version, config, size)
    randomise(peer.model, seed=sum(size))
    ours, back = SwinTransformer(**config, version=version), library(version, config, size)
    load_weights(ours, peer.model.state_dict())
    problems = back.model.load_state_dict(export_weights(ours, library.layout), strict=False)
    assert not problems.missing_keys and not problems.unexpected_keys, problems
    for model in (ours, peer.model, back.model):
        model.eval().to(dtype)
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    scores = peer.scores(images)
    maps = list(zip(ours.features(images), peer.maps(images), strict=True))
    worst = max(distance(ours(images), scores), distance(back.scores(images), scores))
    return worst, [distance(a, b) / b.std().item() for a, b in maps if a.shape == b.shape]


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return (ours - theirs).abs().max().item()


@torch.no_grad()
def store(library, version: int) -> Path:
    """Store what a small model of a library computes: weights, images, scores and maps."""
    path = REFERENCES / f"{library.layout}_v{version}.safetensors"
    tensors = {}
    for number, size in enumerate(library.small_sizes):
        peer = library(version, SMALL, size)
        randomise(peer.model, seed=number)
        generator = torch.Generator().manual_seed(number)
        images = torch.randint(0, 256, (2, 3, *size), generator=generator, dtype=torch.uint8)
        if number == 0:
            weights = {
                name: tensor
                for name, tensor in peer.model.state_dict().items()
                if not name.endswith(RECOMPUTED)
            }
        peer.model.load_state_dict(weights, strict=False)
        tensors |= {f"weights.{name}": tensor.half() for name, tensor in weights.items()}
        tensors |= {f"{number}.images": images, f"{number}.scores": peer.scores(images / 128 - 1)}
        tensors |= {f"{number}.map{i}": part for i, part in enumerate(peer.maps(images / 128 - 1))}
    save_weights(tensors, path)
    return path


def main() -> None:
    """Print one row for each library, version and size, and for each rival; store references when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    prepare(*sys.argv)
    warnings.simplefilter("ignore")
    print("library      version  size       scores   maps of the four stages             in double precision")
    worst = worst_rival = 0.0
    for library, version in itertools.product(importable(), (1, 2)):
        sizes, differing = library.sizes, library.differing
        if version == 2:
            sizes = getattr(library, "sizes_v2", sizes)
            differing = getattr(library, "differing_v2", differing)
        for size in (*sizes, *differing):
            single, maps = compare(library, version, size, torch.float32)
            double, double_maps = compare(library, version, size, torch.float64)
            row = "  ".join(f"{value:.1e}" for value in maps)
            row = f"{library.layout:12} {version}        {size[0]:3} x {size[1]:3}  {single:.1e}  {row}"
            print(f"{row}  {max(double, *double_maps):.1e}  {differing.get(size, '')}")
            if size in sizes:
                worst = max(worst, single, *maps)
        if write:
            print(f"stored {store(library, version).relative_to(ROOT)}")
    print("\nrival                     on                                single   double precision")
    for name, size, single, double in peers_rivals.rows():
        print(f"{name:24}  {size:32}  {single:.1e}  {double:.1e}")
        worst_rival = max(worst_rival, double)
    for path in peers_rivals.store() if write else ():
        print(f"stored {path.relative_to(ROOT)}")
    print(f"largest difference {worst:.1e}, where none is expected")
    print(f"of the rivals {worst_rival:.1e} in double precision")
    sys.exit(worst > 1e-5 or worst_rival > 1e-12)


if __name__ == "__main__":
    main()
