"""Swin as timm, torchvision and transformers have it, in an environment of its own beside ``.venv``.

The libraries are no part of the project: they serve to compare results, time and memory. Three more, of which
nothing new is to come, have the attentions that Swin is compared with.
"""

import importlib
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from swin_edu.book.environment import Environment, InstallError
from swin_edu.book.write import ROOT
from swin_edu.model import VARIANTS

Size = tuple[int, int]

# What pip is asked for, one call after the other.
WANTED = [
    ["transformers>=5"],
    ["--no-deps", "timm", "torchvision"],  # they name a PyTorch of their own; this one serves
    [
        *("--no-deps", "performer-pytorch==1.1.4", "linformer==0.2.3", "routing-transformer==1.6.1"),
        # what these import, without that which only their other parts need
        *("axial-positional-embedding==0.3.12", "colt5-attention==0.11.2", "hyper-connections==0.4.11"),
        *("local-attention==1.11.2", "mixture-of-experts==0.2.3", "product-key-memory==0.3.0", "setuptools"),
    ],
]


def prepare(*arguments: str) -> None:
    """Go on with these arguments in the Python that has the libraries; install those that it lacks."""
    peers = Environment(ROOT, ".venv-peers")
    if peers.is_running():
        return
    if peers.read_marker().get("installed") != WANTED:
        install(peers)
    sys.exit(peers.execute(*arguments))


def install(peers: Environment) -> None:
    """Make the environment, or add to it; PyTorch and pip are those of the running one.

    Raises InstallError when pip fails.
    """
    names = "timm, torchvision, transformers and libraries of other attentions"
    print(f"installing {names} into {peers.folder.name}, once", flush=True)
    if peers.read_marker().get("state") != "ready":
        peers.folder.mkdir(exist_ok=True)
        peers.create()
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(peers.folder)}))
    (packages / "swin_edu.pth").write_text(f"{sysconfig.get_path('purelib')}\n{ROOT}\n")
    pip = [str(peers.python), "-m", "pip", "install"]
    if not all(peers.runs([*pip, *packages]) for packages in WANTED):
        raise InstallError(peers.reason(f"pip could not install {names}"))
    peers.write_marker(state="ready", installed=WANTED)


@cache  # keeps the declaration alive
def declare_operators() -> torch.library.Library | None:
    """Declare what torchvision's build for GPUs expects; then it can be imported beside a CPU's PyTorch."""
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return None
    except RuntimeError:  # operator torchvision::nms does not exist
        library = torch.library.Library("torchvision", "DEF")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None


class Library:
    """A library's model, built with the settings of ours for images of one size."""

    package: str  # what pip calls it
    module: str  # where its models lie
    layout: str  # what swin_edu.checkpoints calls its names
    sizes: tuple[Size, ...]  # at which its results are ours
    differing: dict[Size, str]  # at which they are not, and why
    small_sizes: tuple[Size, ...]

    def __init__(self, version: int, config: dict[str, Any], size: Size) -> None:
        self.model = self.build(version, config, size)

    def build(self, version: int, config: dict[str, Any], size: Size) -> nn.Module:
        """Return the library's own model."""
        raise NotImplementedError

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the four stages."""
        raise NotImplementedError

    def scores(self, images: Tensor) -> Tensor:
        """Return the score of each class."""
        return scores_of(self.model(images))


class Torchvision(Library):
    """torchvision pads, then rolls; the shift is off along an axis that one window covers."""

    package = layout = "torchvision"
    module = "torchvision.models.swin_transformer"
    sizes = ((224, 224), (256, 192), (232, 348), (448, 160), (160, 160), (36, 100))
    differing = {(230, 345): "drops pixels that 4 does not divide"}
    small_sizes = ((72, 100), (40, 40))

    def build(self, version: int, config: dict[str, Any], size: Size) -> nn.Module:
        """Return the library's own model."""
        library = importlib.import_module(self.module)
        blocks = (library.SwinTransformerBlock, library.SwinTransformerBlockV2)
        merging = (library.PatchMerging, library.PatchMergingV2)
        model: nn.Module = library.SwinTransformer(
            patch_size=[4, 4],
            embed_dim=config["channels"],
            depths=list(config["depths"]),
            num_heads=list(config["heads"]),
            window_size=[config["window"]] * 2,
            num_classes=config["num_classes"],
            stochastic_depth_prob=0.0,
            block=blocks[version - 1],
            downsample_layer=merging[version - 1],
        )
        return model

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the four stages."""
        features: Any = self.model.features
        maps, x = [], images
        for index, layer in enumerate(features):
            x = layer(x)
            maps += [x] if index % 2 else []
        return maps


class Timm(Library):
    """timm fixes the size when the model is built; where padding is needed it rolls before it pads."""

    package = layout = "timm"
    module = "timm.models"
    sizes = ((224, 224), (448, 224))
    sizes_v2 = ((256, 256), (512, 256))
    differing = {(256, 256): "rolls before it pads"}
    differing_v2 = {(320, 320): "rolls before it pads"}
    small_sizes = ((128, 128),)

    def build(self, version: int, config: dict[str, Any], size: Size) -> nn.Module:
        """Return the library's own model."""
        library = importlib.import_module(self.module)
        kinds = (library.swin_transformer.SwinTransformer, library.swin_transformer_v2.SwinTransformerV2)
        model: nn.Module = kinds[version - 1](
            img_size=size,
            window_size=config["window"],
            embed_dim=config["channels"],
            depths=config["depths"],
            num_heads=config["heads"],
            num_classes=config["num_classes"],
            drop_path_rate=0.0,
        )
        return model

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the four stages."""
        model: Any = self.model
        x, maps = model.patch_embed(images), []
        for layer in model.layers:
            x = layer(x)
            maps.append(x)
        return maps


class Huggingface(Library):
    """transformers pads images and maps; version 2 needs the size of the images when it is built."""

    package, layout = "transformers", "huggingface"
    module = "transformers.models.swinv2.modeling_swinv2"
    sizes = ((224, 224), (256, 320), (230, 345), (301, 267))
    sizes_v2 = ((256, 256), (512, 320), (302, 514))
    differing = {(224, 448): "turns both shifts off where one side fits"}
    differing_v2 = {(256, 512): "fixes the shifts when the model is built"}
    small_sizes = ((150, 170),)

    def build(self, version: int, config: dict[str, Any], size: Size) -> nn.Module:
        """Return the library's own model."""
        library, prefix = importlib.import_module(self.package), ("Swin", "Swinv2")[version - 1]
        settings = getattr(library, f"{prefix}Config")(
            image_size=max(size),
            embed_dim=config["channels"],
            depths=list(config["depths"]),
            num_heads=list(config["heads"]),
            window_size=config["window"],
            num_labels=config["num_classes"],
            drop_path_rate=0.0,
        )
        model: nn.Module = getattr(library, f"{prefix}ForImageClassification")(settings)
        return model

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the four stages."""
        inside: Any = self.model.base_model
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


LIBRARIES: tuple[type[Library], ...] = (Torchvision, Timm, Huggingface)


def scores_of(result: Any) -> Tensor:
    """Return the scores, which transformers wraps into an object of its own."""
    return getattr(result, "logits", result)


def importable() -> list[type[Library]]:
    """Return the libraries that can be imported; say of each other one why it cannot."""
    declare_operators()
    found = []
    for library in LIBRARIES:
        try:
            importlib.import_module(library.module)
        except Exception as error:  # builds that do not fit together fail in many ways
            print(f"{library.package} is left out, for it cannot be imported: {error}")
        else:
            found.append(library)
    return found


def config_of(name: str) -> dict[str, Any]:
    """Return the settings of a published model, without stochastic depth: then training can be compared."""
    variant = VARIANTS[name]
    settings = {key: getattr(variant, key) for key in ("channels", "depths", "heads", "window")}
    return settings | {"num_classes": 1000}


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
