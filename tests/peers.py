"""Compare swin_edu with timm, torchvision and transformers: ``.venv/bin/python tests/peers.py``.

Makes `.venv-peers` beside `.venv` (once; it shares PyTorch with it), gives each library's model random
weights of order one, loads them here by the library's own names, and prints the largest difference of the
class scores (there and back) and of the four maps (in units of a map's standard deviation), in single and in
double precision. ``--write`` also stores what small models of each library compute, in tests/references/,
for the tests to compare with where the libraries are not installed.
"""

import argparse
import itertools
import os
import subprocess
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

from swin_edu.book.write import ROOT
from swin_edu.checkpoints import RECOMPUTED, export_weights, load_weights, save_weights
from swin_edu.model import VARIANTS, SwinTransformer

PEERS = ROOT / ".venv-peers"
REFERENCES = Path(__file__).parent / "references"
FULL = {1: VARIANTS["swin_t"], 2: VARIANTS["swin_v2_t"]}
SMALL = {"channels": 8, "depths": (2, 2, 2, 1), "heads": (1, 2, 4, 8), "window": 4, "num_classes": 10}


def prepare() -> None:
    """Go on in an environment that has the libraries; make it if there is none."""
    if Path(sys.prefix) == PEERS:
        return
    python = PEERS / "bin" / "python"
    if not (PEERS / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", PEERS], check=True)
        [packages] = PEERS.glob("lib/python*/site-packages")
        ours = next(path for path in sys.path if path.endswith("site-packages"))
        (packages / "swin_edu.pth").write_text(f"{ours}\n{ROOT}\n")
        install = [python, "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, "transformers>=5"], check=True)
        # Both name a PyTorch of their own; this one serves.
        subprocess.run([*install, "--no-deps", "timm", "torchvision"], check=True)
        (PEERS / "ready").touch()
    os.execv(python, [str(python), *sys.argv])


def declare_operators() -> torch.library.Library:
    """Declare what torchvision's builds for GPUs expect; then they can be imported beside a CPU's PyTorch."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


class Torchvision:
    """torchvision pads, then rolls; the shift is off along an axis that one window covers."""

    layout = "torchvision"
    sizes = ((224, 224), (256, 192), (232, 348), (448, 160), (160, 160), (36, 100))
    differing = {(230, 345): "drops pixels that 4 does not divide"}
    small_sizes = ((72, 100), (40, 40))

    def __init__(self, version, config, size):
        from torchvision.models import swin_transformer as library

        blocks = (library.SwinTransformerBlock, library.SwinTransformerBlockV2)
        merging = (library.PatchMerging, library.PatchMergingV2)
        self.model = library.SwinTransformer(
            patch_size=[4, 4],
            embed_dim=config["channels"],
            depths=list(config["depths"]),
            num_heads=list(config["heads"]),
            window_size=[config["window"]] * 2,
            num_classes=config["num_classes"],
            block=blocks[version - 1],
            downsample_layer=merging[version - 1],
        )

    def maps(self, images):
        maps, x = [], images
        for index, layer in enumerate(self.model.features):
            x = layer(x)
            maps += [x] if index % 2 else []
        return maps

    def scores(self, images):
        return self.model(images)


class Timm:
    """timm fixes the size when the model is built; where padding is needed it rolls before it pads."""

    layout = "timm"
    sizes = ((224, 224), (448, 224))
    sizes_v2 = ((256, 256), (512, 256))
    differing = {(256, 256): "rolls before it pads"}
    differing_v2 = {(320, 320): "rolls before it pads"}
    small_sizes = ((128, 128),)

    def __init__(self, version, config, size):
        from timm.models import swin_transformer, swin_transformer_v2

        kind = (swin_transformer.SwinTransformer, swin_transformer_v2.SwinTransformerV2)[version - 1]
        self.model = kind(
            img_size=size,
            window_size=config["window"],
            embed_dim=config["channels"],
            depths=config["depths"],
            num_heads=config["heads"],
            num_classes=config["num_classes"],
        )

    def maps(self, images):
        x, maps = self.model.patch_embed(images), []
        for layer in self.model.layers:
            x = layer(x)
            maps.append(x)
        return maps

    def scores(self, images):
        return self.model(images)


class Huggingface:
    """transformers pads images and maps; version 2 needs the size of the images when it is built."""

    layout = "huggingface"
    sizes = ((224, 224), (256, 320), (230, 345), (301, 267))
    sizes_v2 = ((256, 256), (512, 320), (302, 514))
    differing = {(224, 448): "turns both shifts off where one side fits"}
    differing_v2 = {(256, 512): "fixes the shifts when the model is built"}
    small_sizes = ((150, 170),)

    def __init__(self, version, config, size):
        import transformers

        prefix = ("Swin", "Swinv2")[version - 1]
        settings = getattr(transformers, f"{prefix}Config")(
            image_size=max(size),
            embed_dim=config["channels"],
            depths=list(config["depths"]),
            num_heads=list(config["heads"]),
            window_size=config["window"],
            num_labels=config["num_classes"],
            drop_path_rate=0.0,
        )
        self.model = getattr(transformers, f"{prefix}ForImageClassification")(settings)

    def maps(self, images):
        inside = self.model.base_model
        x, size = inside.embeddings(images)
        maps = []
        for layer in inside.encoder.layers:
            for block in layer.blocks:
                x = block(x, size)
                x = x[0] if isinstance(x, tuple) else x
            maps.append(x.unflatten(1, size))
            if layer.downsample is not None:
                x = layer.downsample(x, size)
                size = tuple(-(-side // 2) for side in size)
        return maps

    def scores(self, images):
        return self.model(images).logits


LIBRARIES = (Torchvision, Timm, Huggingface)


@torch.no_grad()
def randomise(model: nn.Module, seed: int) -> None:
    """Give all parameters values of order one: with the usual start, many faults would not show."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        values = torch.randn(parameter.shape, generator=generator)
        if "logit_scale" in name:
            values = 2 + values / 2
        elif parameter.ndim == 1:
            gain = name.endswith("weight")  # of a norm
            values = gain + values / 2
        elif "table" not in name:
            values /= parameter[0].numel() ** 0.5
        parameter.copy_(values.half())  # so that references can be stored in half the space, exactly
    model.eval()


def ours_like(version: int, config: dict) -> SwinTransformer:
    """Build our model with the same settings."""
    return SwinTransformer(**config, version=version).eval()


def full_config(version: int) -> dict:
    variant = FULL[version]
    return {name: getattr(variant, name) for name in ("channels", "depths", "heads", "window")} | {
        "num_classes": 1000
    }


@torch.no_grad()
def compare(library, version: int, size: tuple[int, int], dtype: torch.dtype) -> tuple[float, list[float]]:
    """Return the largest difference of the scores, there and back, and of each map."""
    config = full_config(version)
    peer = library(version, config, size)
    randomise(peer.model, seed=sum(size))
    ours, back = ours_like(version, config), library(version, config, size)
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
    """Print one row for each library, version and size; store references when asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    prepare()
    warnings.simplefilter("ignore")
    keep = declare_operators()
    print("library      version  size       scores   maps of the four stages             in double precision")
    worst = 0.0
    for library, version in itertools.product(LIBRARIES, (1, 2)):
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
    del keep
    print(f"largest difference {worst:.1e}, where none is expected")
    sys.exit(worst > 1e-5)


if __name__ == "__main__":
    main()
