"""What other people's code makes of the rivals in swin_edu/rivals; peers.py prints how far ours is from it.

ViT is compared with timm, torchvision and transformers, the CNN with torchvision's ResNet, the attentions
with performer-pytorch, linformer and routing-transformer. The libraries are imported only where they are
used: the tests take from here how the models were built whose results are stored.
"""

import importlib
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from swin_edu.attention import join_heads, split_heads
from swin_edu.book.peers import randomise, scores_of
from swin_edu.checkpoints import save_weights
from swin_edu.rivals.cnn import ResNet
from swin_edu.rivals.linformer import Linformer
from swin_edu.rivals.performer import Performer
from swin_edu.rivals.routing import Routing
from swin_edu.rivals.vit import LAYOUTS, ViT, export_vit, load_vit

REFERENCES = Path(__file__).parent / "references" / "rivals"
FULL_VIT = {
    "channels": 192,
    "depth": 12,
    "heads": 3,
    "patch": 16,
    "side": 224,
    "num_classes": 1000,
}  # DeiT-Ti's
SMALL_VIT = {"channels": 16, "depth": 2, "heads": 2, "patch": 4, "side": 16, "num_classes": 5}
SMALL_RESNET = {"channels": 4, "depths": (2, 1, 1, 2), "num_classes": 5}
HEADS, TOKENS, CHANNELS = SMALL = 2, 21, 8
FULL = 3, 196, 64


def attentions(heads: int, tokens: int, channels: int) -> dict[str, nn.Module]:
    """Return ours, for q, k and v of these sizes."""
    return {
        "performer": Performer(channels, features=5 * channels // 2, floor=0.0),
        "performer, relu": Performer(channels, features=5 * channels // 2, kernel="relu", floor=1e-3),
        "linformer": Linformer(tokens, rank=tokens // 3),
        "routing": Routing(heads, channels, clusters=4),
    }


def vit_of(layout: str, ours: dict[str, int]) -> nn.Module:
    """Return a library's ViT with the settings of ours."""
    channels, depth, heads, patch, side, classes = ours.values()
    if layout == "timm":
        return importlib.import_module("timm.models").VisionTransformer(
            side, patch, num_classes=classes, embed_dim=channels, depth=depth, num_heads=heads
        )
    if layout == "torchvision":
        library = importlib.import_module("torchvision.models")
        return library.VisionTransformer(
            side, patch, depth, heads, channels, 4 * channels, num_classes=classes
        )
    library = importlib.import_module("transformers")
    settings = library.ViTConfig(
        hidden_size=channels,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        intermediate_size=4 * channels,
        image_size=side,
        patch_size=patch,
        num_labels=classes,
        layer_norm_eps=1e-6,
    )
    return library.ViTForImageClassification(settings)


@torch.no_grad()
def compare_vit(layout: str, size: tuple[int, int], dtype: torch.dtype) -> float:
    """Return the largest difference of the scores, there and back."""
    theirs, back, ours = vit_of(layout, FULL_VIT), vit_of(layout, FULL_VIT), ViT(**FULL_VIT)
    randomise(theirs, seed=sum(size))
    load_vit(ours, theirs.state_dict(), layout)
    back.load_state_dict(export_vit(ours, layout))
    theirs, back, ours = (model.eval().to(dtype) for model in (theirs, back, ours))
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    # only transformers takes images of another size than the table's, and only when told
    more = {} if size == (FULL_VIT["side"],) * 2 else {"interpolate_pos_encoding": True}
    return max(distance(ours(images), scores_of(model(images, **more))) for model in (theirs, back))


def resnet_of(ours: dict) -> nn.Module:
    """Return torchvision's ResNet with the settings of ours; its own constructor knows only 64 channels."""
    library = importlib.import_module("torchvision.models.resnet")
    channels, model = ours["channels"], library.ResNet(library.BasicBlock, [1, 1, 1, 1], ours["num_classes"])
    model.conv1 = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
    model.bn1 = nn.BatchNorm2d(channels)
    model.inplanes = channels
    for index, depth in enumerate(ours["depths"]):
        stage = model._make_layer(library.BasicBlock, channels * 2**index, depth, stride=1 + (index > 0))
        setattr(model, f"layer{index + 1}", stage)
    model.fc = nn.Linear(model.inplanes, ours["num_classes"])
    randomise(model, seed=1)
    generator = torch.Generator().manual_seed(2)
    for name, buffer in model.named_buffers():  # of a network that has been trained
        if name.endswith("running_mean"):
            buffer.copy_(torch.randn(buffer.shape, generator=generator).half())
        if name.endswith("running_var"):
            buffer.copy_((0.5 + torch.rand(buffer.shape, generator=generator)).half())
    return model


def resnet_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of torchvision's ResNet under our names."""
    rules = {
        r"^conv1\.": "stem.0.0.",
        r"^bn1\.": "stem.0.1.",
        r"^layer(\d)": lambda found: f"stages.{int(found[1]) - 1}",
        r"conv(\d)\.weight": r"conv\1.0.weight",
        r"bn(\d)": r"conv\1.1",
        "downsample": "shortcut",
        r"^fc\.": "head.",
    }
    renamed = {}
    for name, tensor in weights.items():
        for theirs, ours in rules.items():
            name = re.sub(theirs, ours, name)
        renamed[name] = tensor
    return renamed


@torch.no_grad()
def compare_resnet(depths: tuple[int, ...], size: tuple[int, int], dtype: torch.dtype) -> float:
    """Return the largest difference of the scores, in units of their standard deviation."""
    settings = {"channels": 64, "depths": depths, "num_classes": 1000}
    theirs, ours = resnet_of(settings).to(dtype), ResNet(**settings).to(dtype).eval()
    ours.load_state_dict(resnet_names(theirs.state_dict()))
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0)).to(dtype)
    scores = theirs(images)
    return distance(ours(images), scores) / scores.std().item()


def queries_keys_values(heads: int, tokens: int, channels: int) -> Tensor:
    """Return q, k and v that can be stored in half the space, exactly."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 2, heads, tokens, channels, generator=generator).half().float()


def centred(x: Tensor) -> Tensor:
    """Bring every vector to mean 0: here it is part of the clustering, in routing-transformer it is not."""
    return x - x.mean(dim=-1, keepdim=True)


def performer_of(ours: Performer, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return what performer-pytorch makes of q, k and v with the directions of ours."""
    library = importlib.import_module("performer_pytorch.performer_pytorch")
    if ours.kernel == "relu":
        features = partial(
            library.generalized_kernel, projection_matrix=ours.directions, kernel_epsilon=ours.floor
        )
        return library.linear_attention(features(q), features(k), v)
    features = partial(library.softmax_kernel, projection_matrix=ours.directions, eps=ours.floor)
    return library.linear_attention(features(q, is_query=True), features(k, is_query=False), v)


def linformer_of(ours: Linformer, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return what linformer makes of q, k and v with the mixtures of ours.

    Its layer makes q, k and v from tokens: these get the channels of all three, and it picks them out.
    """
    library = importlib.import_module("linformer.linformer")
    _, heads, tokens, channels = q.shape
    width, rank = heads * channels, ours.to_keys.shape[2]
    layer = library.LinformerSelfAttention(3 * width, tokens, rank, heads, channels).to(q.dtype)
    pick = torch.eye(3 * width).split(width)
    for linear, weight in zip((layer.to_q, layer.to_k, layer.to_v), pick, strict=True):
        linear.weight.copy_(weight)
    layer.to_out.weight.copy_(pick[0].T)
    layer.to_out.bias.zero_()
    layer.proj_k.copy_(ours.to_keys[0])
    layer.proj_v.copy_(ours.to_values[0])
    found = layer(torch.cat([join_heads(x) for x in (q, k, v)], dim=-1))
    return split_heads(found[..., :width], heads)


def routing_of(ours: Routing, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Return what routing-transformer makes of q, k and v with the centroids of ours.

    It adds 1e-5 to the number of a token's clusters before dividing; what is added here does not show.
    """
    library = importlib.import_module("routing_transformer.routing_transformer")
    heads, clusters, channels = ours.centroids.shape
    layer = library.KmeansAttention(clusters, -(-q.shape[2] // clusters), heads, channels)
    layer = layer.eval().to(q.dtype)
    layer.kmeans.initted.fill_(True)
    layer.kmeans.means.copy_(ours.centroids)
    mean = library.scatter_mean
    library.scatter_mean = partial(mean, eps=1e-30)
    try:
        return layer(q, k, v)[0]
    finally:
        library.scatter_mean = mean


THEIRS = {Performer: performer_of, Linformer: linformer_of, Routing: routing_of}


@torch.no_grad()
def theirs_of(ours: nn.Module, q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the q and k that both can be given, and what the library makes of them."""
    if isinstance(ours, Routing):
        q, k = centred(q), centred(k)
    return q, k, THEIRS[type(ours)](ours, q, k, v)


@torch.no_grad()
def compare_attentions(size: tuple[int, int, int], dtype: torch.dtype) -> Iterator[tuple[str, float]]:
    """Yield each attention's name and its largest difference, in units of the standard deviation."""
    torch.manual_seed(0)
    for name, ours in attentions(*size).items():
        ours = ours.eval().to(dtype)
        q, k, v = queries_keys_values(*size).to(dtype)
        q, k, theirs = theirs_of(ours, q, k, v)
        yield name, distance(ours(q, k, v), theirs) / theirs.std().item()


def distance(ours: Tensor, theirs: Tensor) -> float:
    return (ours - theirs).abs().max().item()


def rows() -> Iterator[tuple[str, str, float, float]]:
    """Yield what is compared, on what, and the differences in single and in double precision."""
    both = torch.float32, torch.float64
    for layout in LAYOUTS:
        for size in ((224, 224), (160, 288))[: 1 + (layout == "huggingface")]:
            yield f"ViT, {layout}", "{} x {}".format(*size), *(compare_vit(layout, size, d) for d in both)
    for depths in ((2, 2, 2, 2), (3, 4, 6, 3)):
        for size in ((224, 224), (97, 130)):
            single, double = (compare_resnet(depths, size, dtype) for dtype in both)
            yield f"ResNet-{2 + 2 * sum(depths)}, torchvision", "{} x {}".format(*size), single, double
    for size in (SMALL, FULL):
        for (name, single), (_, double) in zip(*(compare_attentions(size, d) for d in both), strict=True):
            yield name, "{} heads, {} tokens, {} channels".format(*size), single, double


@torch.no_grad()
def store() -> Iterator[Path]:
    """Store what small models of the libraries compute; yield the files."""
    images = torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
    for layout in LAYOUTS:
        theirs = vit_of(layout, SMALL_VIT)
        randomise(theirs, seed=0)
        weights = {f"weights.{name}": tensor.half() for name, tensor in theirs.state_dict().items()}
        scores = scores_of(theirs(images / 128 - 1))
        yield keep(f"vit_{layout}", weights | {"images": images, "scores": scores})
    theirs = resnet_of(SMALL_RESNET)
    images = torch.randint(0, 256, (2, 3, 70, 101), generator=torch.Generator().manual_seed(0)).byte()
    weights = {f"weights.{name}": tensor.half() for name, tensor in theirs.state_dict().items()}
    yield keep("resnet", weights | {"images": images, "scores": theirs(images / 128 - 1)})
    torch.manual_seed(0)
    for name, ours in attentions(*SMALL).items():
        for tensor in ours.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())
        q, k, v = queries_keys_values(*SMALL)
        q, k, theirs = theirs_of(ours.eval(), q, k, v)
        weights = {f"weights.{key}": tensor for key, tensor in ours.state_dict().items()}
        yield keep(name.replace(", ", "_"), weights | {"q": q, "k": k, "v": v, "theirs": theirs})


def keep(name: str, tensors: dict[str, Tensor]) -> Path:
    path = REFERENCES / f"{name}.safetensors"
    save_weights({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
    return path
