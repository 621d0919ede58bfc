"""ViT: patches as tokens, one map at one scale, and every token attends to every other.

Source: Dosovitskiy et al. 2021 (arXiv 2010.11929), section 3.1.
"""

import math
import re
from collections.abc import Callable, Mapping

import torch
from einops import rearrange
from torch import Tensor, nn

from swin_edu.attention import attend, join_heads
from swin_edu.block import MLP, StochasticDepth, check_heads
from swin_edu.checkpoints import Rules, check_names, check_tensors, renamed
from swin_edu.model import initialise
from swin_edu.patches import AbsolutePosition, check_patch, pad_to_patch, patch_partition

Attention = Callable[[Tensor, Tensor, Tensor], Tensor]  # q, k and v `(B, h, N, D)` to what tokens gather


class TransformerBlock(nn.Module):
    """A block of tokens in a row: norm, attention, add; norm, MLP, add. Which attention, is free.

    Shape: (B, N, C) -> (B, N, C)
    `attention` is a function or a layer that takes q, k and v `(B, h, N, C/h)` and returns `(B, h, N, C/h)`.
    `drop` is the rate of stochastic depth, for each of the two branches.
    Raises ValueError when `heads` does not divide `channels`, or in `forward` when tokens have others.
    Source: Dosovitskiy et al. 2021, equations 2 and 3.
    """

    def __init__(self, channels: int, heads: int, attention: Attention = attend, drop: float = 0.0) -> None:
        super().__init__()
        check_heads(channels, heads)
        self.heads = heads
        self.norm1 = nn.LayerNorm(channels, eps=1e-6)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.attention = attention
        self.project = nn.Linear(channels, channels)
        self.norm2 = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = MLP(channels)
        self.drop = StochasticDepth(drop)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the tokens after both branches."""
        channels = self.qkv.in_features
        if tokens.ndim != 3 or tokens.shape[-1] != channels:
            raise ValueError(f"tokens has shape {tuple(tokens.shape)}; it must be (B, N, {channels})")
        qkv = self.qkv(self.norm1(tokens))
        q, k, v = rearrange(qkv, "b n (three h d) -> three b h n d", three=3, h=self.heads)
        tokens = tokens + self.drop(self.project(join_heads(self.attention(q, k, v))))
        return tokens + self.drop(self.mlp(self.norm2(tokens)))


class ViT(nn.Module):
    """Images to class scores, by way of one map of tokens.

    Shape: (B, 3, H, W) -> (B, 1000)
    `side` is that of the images for which the table of positions is made; for others the table is resized,
    and sides that `patch` does not divide are padded. The head reads one more token, the class token, or with
    `class_token=False` the mean of all tokens. `stochastic_depth` is the rate of the last block.
    Raises ValueError when `side` is no multiple of `patch`, or an argument is too small.
    Source: Dosovitskiy et al. 2021, section 3.1 and table 1; the mean instead of the token: appendix D.3.
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        heads: int,
        patch: int = 16,
        side: int = 224,
        num_classes: int = 1000,
        class_token: bool = True,
        stochastic_depth: float = 0.0,
    ) -> None:
        super().__init__()
        check_patch(patch)
        if side < patch or side % patch:
            raise ValueError(f"side is {side}; it must be a multiple of patch {patch}")
        if min(depth, num_classes) < 1:
            raise ValueError(f"depth is {depth}, num_classes {num_classes}; both must be at least 1")
        self.patch = patch
        self.embedding = nn.Linear(patch * patch * 3, channels)
        self.position = AbsolutePosition(side // patch, side // patch, channels)
        self.class_token = nn.Parameter(torch.zeros(1, 1, channels)) if class_token else None
        drops = [stochastic_depth * block / max(1, depth - 1) for block in range(depth)]
        self.blocks = nn.Sequential(*(TransformerBlock(channels, heads, drop=drop) for drop in drops))
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.head = nn.Linear(channels, num_classes)
        self.apply(initialise)

    def tokens(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the head reads `(B, C)` and the map `(B, H/P, W/P, C)`, after blocks and norm."""
        patches = patch_partition(pad_to_patch(images, self.patch), self.patch)
        x = self.position(self.embedding(patches))
        batch, height, width, channels = x.shape
        tokens = x.flatten(1, 2)
        if self.class_token is not None:
            tokens = torch.cat([self.class_token.expand(batch, 1, channels), tokens], dim=1)
        tokens = self.norm(self.blocks(tokens))
        of_map = tokens[:, -height * width :]
        read = of_map.mean(dim=1) if self.class_token is None else tokens[:, 0]
        return read, of_map.unflatten(1, (height, width))

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the one map `(B, H/P, W/P, C)` in a list, as the maps of a Swin come."""
        return [self.tokens(images)[1]]

    def forward(self, images: Tensor) -> Tensor:
        """Return the score of each class `(B, num_classes)`."""
        return self.head(self.tokens(images)[0])


TIMM: Rules = {
    "embedding": "patch_embed.proj",
    "class_token": "cls_token",
    "position.table": "pos_embed",
    "qkv": "attn.qkv",
    "project": "attn.proj",
    "mlp.expand": "mlp.fc1",
    "mlp.reduce": "mlp.fc2",
}
TORCHVISION: Rules = {
    "embedding": "conv_proj",
    "position.table": "encoder.pos_embedding",
    "blocks": "encoder.layers",
    "norm": "encoder.ln",
    "head": "heads.head",
    "norm1": "ln_1",
    "qkv.weight": "self_attention.in_proj_weight",
    "qkv.bias": "self_attention.in_proj_bias",
    "project": "self_attention.out_proj",
    "norm2": "ln_2",
    "mlp.expand": "mlp.0",
    "mlp.reduce": "mlp.3",
}
HUGGINGFACE: Rules = {
    "embedding": "vit.embeddings.patch_embeddings.projection",
    "class_token": "vit.embeddings.cls_token",
    "position.table": "vit.embeddings.position_embeddings",
    "blocks": "vit.layers",
    "norm": "vit.layernorm",
    "head": "classifier",
    "norm1": "layernorm_before",
    "qkv": ("attention.q_proj", "attention.k_proj", "attention.v_proj"),
    "project": "attention.o_proj",
    "norm2": "layernorm_after",
    "mlp.expand": "mlp.fc1",
    "mlp.reduce": "mlp.fc2",
}
LAYOUTS = {"timm": TIMM, "torchvision": TORCHVISION, "huggingface": HUGGINGFACE}


def their_names(ours: str, layout: str) -> list[str]:
    """Return the names that a layout gives to one of our tensors, or to its pieces."""
    names = [str(name) for name in renamed(ours, LAYOUTS[layout])]
    if layout == "torchvision":
        names = [re.sub(r"layers\.(\d+)", r"layers.encoder_layer_\1", name) for name in names]
    return names


def export_vit(model: ViT, layout: str) -> dict[str, Tensor]:
    """Return copies of a ViT's weights under the names, and in the shapes, of a library.

    The libraries add a position to the class token as well; ours is the sum, so theirs is 0.
    Raises ValueError when the layout is unknown or the model has no class token.
    """
    check_layout(model, layout)
    weights = model.state_dict()
    theirs: dict[str, Tensor] = {}
    place = rearrange(weights["position.table"], "1 c h w -> 1 (h w) c")
    weights["position.table"] = torch.cat([torch.zeros_like(place[:, :1]), place], dim=1)
    weights["embedding.weight"] = rearrange(
        weights["embedding.weight"], "out (p q c) -> out c p q", p=model.patch, q=model.patch
    )
    for ours, tensor in weights.items():
        names = their_names(ours, layout)
        theirs |= {name: piece.clone() for name, piece in zip(names, tensor.chunk(len(names)), strict=True)}
    return theirs


def load_vit(model: ViT, weights: Mapping[str, Tensor], layout: str, head: bool = True) -> None:
    """Copy the weights of a library's ViT into ours; all tensors must have the model's sizes.

    `head=False` leaves the last layer as it is, for other classes.
    Raises ValueError when a tensor is missing, left over or of another shape; then nothing has changed.
    """
    check_layout(model, layout)
    wanted = export_vit(model, layout)
    if not head:
        kept = [name for ours in ("head.weight", "head.bias") for name in their_names(ours, layout)]
        weights = {**weights, **{name: wanted[name] for name in kept}}
    check_names(
        [name for name in wanted if name not in weights], [name for name in weights if name not in wanted]
    )
    check_tensors(weights, wanted)
    table = {name: their_names(name, layout) for name in model.state_dict()}
    ours = {name: torch.cat([weights[their] for their in names]) for name, names in table.items()}
    ours["embedding.weight"] = rearrange(ours["embedding.weight"], "out c p q -> out (p q c)")
    token, place = ours["position.table"].split([1, ours["position.table"].shape[1] - 1], dim=1)
    ours["class_token"] = ours["class_token"] + token.to(model.position.table.dtype)
    ours["position.table"] = rearrange(place, "1 (h w) c -> 1 c h w", h=math.isqrt(place.shape[1]))
    model.load_state_dict(ours)


def check_layout(model: ViT, layout: str) -> None:
    """Raise ValueError when the layout is unknown, or the model not the one that libraries have."""
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; it must be one of {', '.join(LAYOUTS)}")
    if model.class_token is None:
        raise ValueError("the model has no class token; build it with class_token=True")
