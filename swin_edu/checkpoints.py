"""Checkpoints: weights in the names of other libraries, in and out; files without pickle; published files.

A layout is the way one library names the tensors of a Swin: the authors' repository ("original"), timm,
torchvision, Hugging Face transformers ("huggingface"; "huggingface 4" before its release 5), or "swin_edu".
"""

import math
import os
import pickle
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from einops import rearrange
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.hub import download_url_to_file

from swin_edu.model import VARIANTS, SwinTransformer, swin
from swin_edu.position import resize_table

# Beginnings of our names, and what a layout puts there. {stage} counts from 0, {before} is one less, {even}
# and {odd} count torchvision's list of layers. Where a layout splits one of our tensors there are several
# names, in the order of the pieces; None stands for zeros that it does not store.
Rules = dict[str, str | tuple[str | None, ...]]
ORIGINAL: Rules = {
    "embedding.linear": "patch_embed.proj",
    "embedding.norm": "patch_embed.norm",
    "stages.{stage}": "layers.{stage}",
    "stages.{stage}.merge": "layers.{before}.downsample",
    "attention": "attn",
    "attention.project": "attn.proj",
    "attention.position.table": "attn.relative_position_bias_table",
    "attention.position.mlp": "attn.cpb_mlp",
    "mlp.expand": "mlp.fc1",
    "mlp.reduce": "mlp.fc2",
}
TIMM = ORIGINAL | {"stages.{stage}.merge": "layers.{stage}.downsample", "head": "head.fc"}
TORCHVISION = ORIGINAL | {
    "embedding.linear": "features.0.0",
    "embedding.norm": "features.0.2",
    "stages.{stage}.blocks": "features.{odd}",
    "stages.{stage}.merge": "features.{even}",
    "attention.position.index": "attn.relative_position_index",
    "attention.position.offsets": "attn.relative_coords_table",
    "mlp.expand": "mlp.0",
    "mlp.reduce": "mlp.3",
}
HUGGINGFACE_4: Rules = {
    "embedding.linear": "swin.embeddings.patch_embeddings.projection",
    "embedding.norm": "swin.embeddings.norm",
    "stages.{stage}": "swin.encoder.layers.{stage}",
    "stages.{stage}.merge": "swin.encoder.layers.{before}.downsample",
    "stages.{stage}.merge.norm": "swin.encoder.layers.{before}.downsample.norm",
    "norm": "swin.layernorm",
    "head": "classifier",
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attention": "attention.self",
    "attention.qkv": ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.project": "attention.output.dense",
    "attention.position.table": "attention.self.relative_position_bias_table",
    "attention.position.mlp": "attention.self.continuous_position_bias_mlp",
    "mlp.expand": "intermediate.dense",
    "mlp.reduce": "output.dense",
}
HUGGINGFACE = HUGGINGFACE_4 | {
    "attention.qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
    "attention.project": "attention.o_proj",
    "attention.position.table": "attention.relative_position_bias.relative_position_bias_table",
    "mlp.expand": "mlp.fc1",
    "mlp.reduce": "mlp.fc2",
}
# In version 2 keys have no bias, and transformers kept its older names.
NO_KEY_BIAS: Rules = {"attention.qkv.bias": ("attn.q_bias", None, "attn.v_bias")}
HUGGINGFACE_V2 = {
    ours: theirs.replace("swin.", "swinv2.") if isinstance(theirs, str) else theirs
    for ours, theirs in HUGGINGFACE_4.items()
} | {"attention.qkv.bias": ("attention.self.query.bias", None, "attention.self.value.bias")}
LAYOUTS: dict[tuple[str, int], Rules] = {
    ("swin_edu", 1): {},
    ("swin_edu", 2): {},
    ("original", 1): ORIGINAL,
    ("original", 2): ORIGINAL | NO_KEY_BIAS,
    ("timm", 1): TIMM,
    ("timm", 2): TIMM | NO_KEY_BIAS,
    ("torchvision", 1): TORCHVISION,
    ("torchvision", 2): TORCHVISION,
    ("huggingface", 1): HUGGINGFACE,
    ("huggingface 4", 1): HUGGINGFACE_4,
    ("huggingface", 2): HUGGINGFACE_V2,
}

# What other libraries store although it follows from the window and the map.
RECOMPUTED = ("relative_position_index", "relative_coords_table", "attn_mask")


def their_names(ours: str, rules: Rules) -> list[str | None]:
    """Return the names that a layout gives to one of our tensors."""
    number = int(re.sub(r"stages\.(\d+)\..*|.*", r"\1", ours, count=1) or 0)
    names = renamed(re.sub(r"^stages\.\d+", "stages.{stage}", ours), rules)
    counts = {"stage": number, "before": number - 1, "even": 2 * number, "odd": 2 * number + 1}
    return [name if name is None else name.format(**counts) for name in names]


def renamed(name: str, rules: Rules) -> list[str | None]:
    """Replace the longest beginning of `name` that a rule knows, or keep its first word; then go on."""
    fitting = [begin for begin in rules if f"{name}.".startswith(f"{begin}.")]
    begin = max(fitting, key=len) if fitting else name.split(".")[0]
    theirs = rules.get(begin, begin)
    targets = theirs if isinstance(theirs, tuple) else (theirs,)
    if name == begin:
        return list(targets)
    rests = renamed(name[len(begin) + 1 :], rules)
    return [None if None in (target, rest) else f"{target}.{rest}" for target in targets for rest in rests]


def export_weights(model: SwinTransformer, layout: str) -> dict[str, Tensor]:
    """Return copies of the model's weights under the names, and in the shapes, of a layout."""
    weights = model.state_dict()
    version = version_of(weights)
    if (layout, version) not in LAYOUTS:
        known = ", ".join(name for name, of in LAYOUTS if of == version)
        raise ValueError(f"layout is {layout!r}; for version {version} it must be one of {known}")
    if layout == "torchvision":  # it stores what follows from the window as well
        weights |= dict(model.named_buffers())
    theirs = {}
    for ours, tensor in weights.items():
        names = their_names(ours, LAYOUTS[layout, version])
        for name, piece in zip(names, tensor.chunk(len(names)), strict=True):
            if name is not None:
                theirs[name] = in_their_shape(ours, piece, layout).clone()
    return theirs


def in_their_shape(ours: str, tensor: Tensor, layout: str) -> Tensor:
    """Return a tensor in the shape that others give it: the patch embedding as a convolution."""
    if ours == "embedding.linear.weight" and layout != "swin_edu":
        patch = math.isqrt(tensor.shape[1] // 3)
        return rearrange(tensor, "out (p q c) -> out c p q", p=patch, q=patch)
    if ours.endswith("position.index"):
        return tensor.flatten()
    if ours.endswith("position.offsets"):
        side = math.isqrt(len(tensor))
        return rearrange(tensor, "(y x) two -> 1 y x two", y=side)
    return tensor


def translate(
    state: Mapping[str, Tensor], target: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Return the tensors of `state` under our names, what is missing by their names, and what is left."""
    ours = {version: {*target, *published_names(version)} for version in (1, 2)}
    tables = [
        {name: their_names(name, rules) for name in sorted(ours[version])}
        for (_, version), rules in LAYOUTS.items()
    ]
    table = max(tables, key=lambda table: sum(name in state for names in table.values() for name in names))
    result, missing, left_over = {}, [], dict.fromkeys(state)
    for name, names in table.items():
        there = [their for their in names if their is not None and their in state]
        absent = [their for their in names if their is not None and their not in state]
        if absent and (there or name in target):
            missing += absent
        elif there:
            zeros = torch.zeros_like(state[there[0]])
            pieces = [zeros if their is None else state[their] for their in names]
            result[name] = in_our_shape(name, torch.cat(pieces) if len(pieces) > 1 else pieces[0])
        for their in there:
            del left_over[their]
    extra = [name for name in result if name not in target]
    return result, missing, [*extra, *(name for name in left_over if not name.endswith(RECOMPUTED))]


def in_our_shape(ours: str, tensor: Tensor) -> Tensor:
    """Return a tensor in the shape that we give it: the patch embedding as a linear layer."""
    if ours == "embedding.linear.weight" and tensor.ndim == 4:
        return rearrange(tensor, "out c p q -> out (p q c)")
    return tensor


@cache
def published_names(version: int) -> list[str]:
    """Return our name of every tensor of the largest published model."""
    with torch.device("meta"):
        return list(swin("swin_s" if version == 1 else "swin_v2_s").state_dict())


def check_model(ours: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    """Raise ValueError when the weights are those of another model, and name it."""
    if not ours:
        raise ValueError(
            "the weights have no name that a Swin has in any layout: "
            + ", ".join(dict.fromkeys(name for name, _ in LAYOUTS))
        )
    if "embedding.linear.weight" in ours and describe(ours) != describe(target):
        raise ValueError(f"the weights are those of {describe(ours)}; the model is {describe(target)}")


def describe(names: Mapping[str, Tensor]) -> str:
    """Say which model has these tensors."""
    blocks = {
        match.groups() for name in names if (match := re.match(r"stages\.(\d+)\.blocks\.(\d+)\.", name))
    }
    depths = tuple(Counter(int(stage) for stage, _ in sorted(blocks)).values())
    version, channels = version_of(names), len(names["embedding.linear.weight"])
    for name, variant in VARIANTS.items():
        if (variant.version, variant.channels, variant.depths) == (version, channels, depths):
            return name
    return f"a version {version} with {channels} channels and depths {' '.join(map(str, depths))}"


def version_of(names: Iterable[str]) -> int:
    """Return 2 when there are learned scales of cosines, else 1."""
    return 2 if any(name.endswith("logit_scale") for name in names) else 1


def check_names(missing: list[str], left_over: list[str]) -> None:
    """Raise ValueError when the model needs other tensors than there are."""
    for names, fault in (
        (missing, "lack {}, which the model needs"),
        (left_over, "hold {}, which the model has not"),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ValueError(f"the weights {fault.format(repr(names[0]) + more)}")


def check_tensors(ours: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> None:
    """Raise ValueError when a tensor has another shape than the model's, or holds what is no number."""
    for name, tensor in target.items():
        theirs, wanted = tuple(ours[name].shape), tuple(tensor.shape)
        if theirs != wanted:
            hint = "; head=False keeps the model's own last layer" if name.startswith("head.") else ""
            raise ValueError(f"{name} has shape {theirs} in the weights and {wanted} in the model{hint}")
        if not ours[name].isfinite().all():
            raise ValueError(f"{name} holds values that are no finite numbers; the weights are damaged")


def load_weights(
    model: SwinTransformer, weights: Mapping[str, Tensor] | str | Path, head: bool = True
) -> None:
    """Copy weights into the model, from a state dict or a file, in any layout; it is recognised by its names.

    Position tables for another window are resized, as the authors' code does. `head=False` leaves the last
    layer as it is, for other classes. Raises ValueError or OSError when anything is missing, left over, of
    another shape or of another model; then nothing has changed.
    """
    state = read_weights(weights) if isinstance(weights, (str, Path)) else unwrapped(weights)
    target = model.state_dict()
    ours, missing, left_over = translate(state, target)
    check_model(ours, target)
    if not head:
        missing = [name for name in missing if not name.startswith(("head.", "classifier."))]
        ours |= {name: tensor for name, tensor in target.items() if name.startswith("head.")}
    check_names(missing, left_over)
    for name, tensor in ours.items():
        if name.endswith("position.table") and tensor.shape != target[name].shape:
            ours[name] = resize_table(tensor, window=(math.isqrt(len(target[name])) + 1) // 2)
    check_tensors(ours, target)
    model.load_state_dict(ours)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Read a `.safetensors` file, or one that `torch.save` wrote; whatever else it holds is never run."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        if Path(path).suffix == ".safetensors":
            return load_file(path)
        return unwrapped(torch.load(path, map_location="cpu", weights_only=True))
    except pickle.UnpicklingError:
        raise ValueError(
            f"{path} holds more than tensors and is not read: it could run code; use a .safetensors file"
        ) from None
    except (SafetensorError, RuntimeError, EOFError) as problem:
        reason = (str(problem) or "it ends too early").splitlines()[0]
        raise ValueError(f"{path} is damaged or no file of weights: {reason}") from None


def unwrapped(state: Any) -> dict[str, Tensor]:
    """Return the table of tensors, which some files keep under the key "model" or "state_dict"."""
    for wrapper in ("model", "state_dict"):
        if isinstance(state, Mapping) and isinstance(state.get(wrapper), Mapping):
            state = state[wrapper]
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ValueError(f"the weights are of type {type(state).__name__}; they must be tensors by name")
    return dict(state)


def save_weights(
    weights: Mapping[str, Tensor], path: str | Path, about: Mapping[str, str] | None = None
) -> None:
    """Write weights to a `.safetensors` file, with notes `about` them; others see the old or the new file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
        save_file(tensors, Path(folder) / path.name, dict(about or {}))
        os.replace(Path(folder) / path.name, path)


def read_about(path: str | Path) -> dict[str, str]:
    """Return the notes in a `.safetensors` file that `read_weights` can read."""
    with safe_open(path, framework="pt") as file:
        return file.metadata() or {}


# The eight digits begin the file's SHA-256, which is checked.
PUBLISHED = {
    "swin_t": "swin_t-704ceda3.pth",
    "swin_s": "swin_s-5e29d889.pth",
    "swin_b": "swin_b-68c6b09e.pth",
    "swin_v2_t": "swin_v2_t-b137f0e2.pth",
    "swin_v2_s": "swin_v2_s-637d8ceb.pth",
    "swin_v2_b": "swin_v2_b-781e5279.pth",
}


def download_weights(name: str, folder: str | Path | None = None) -> Path:
    """Fetch a published file of weights, once, with a progress bar; return where it lies.

    The files are torchvision's, trained on ImageNet-1k; they lie in PyTorch's own folder, or in `folder`.
    """
    if name not in PUBLISHED:
        raise ValueError(f"name is {name!r}; published files are known for {', '.join(PUBLISHED)}")
    path = Path(folder or Path(torch.hub.get_dir()) / "checkpoints") / PUBLISHED[name]
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        address = f"https://download.pytorch.org/models/{path.name}"
        try:
            download_url_to_file(address, str(path), hash_prefix=path.stem[-8:])
        except OSError as problem:
            raise OSError(
                f"{address} cannot be reached ({problem}); put the file at {path} by hand"
            ) from None
        except RuntimeError:
            raise OSError(f"{address} arrived damaged; nothing was kept, try again") from None
    return path
