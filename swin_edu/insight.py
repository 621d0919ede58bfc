"""Insight: where a model looks, what reaches a token, and what speaks for a class.

Source: Liu et al. 2021 (Swin) for the attention; each method names its own.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.block import (
    CosineWindowAttention,
    SwinBlock,
    SwinBlockV2,
    WindowAttention,
    shifted_window_attention,
)
from swin_edu.model import SwinTransformer
from swin_edu.position import relative_position_index


def attention_parts(
    layer: WindowAttention | CosineWindowAttention, windows: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return both parts of the logits, content and bias, and the weights, for nW windows of each image.

    Shape: (B·nW, N, C), (nW, N, N) -> (B, nW, h, N, N), (B, nW, h, N, N), (B, nW, h, N, N)
    Source: Liu et al. 2021, equation 4; Liu et al. 2022 (Swin V2), equation 2.
    """
    q, k, _ = layer.queries_keys_values(windows, mask)
    content = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if layer.scale is None else layer.scale)
    bias = layer.position().expand_as(content)
    return content, bias, (content + bias).masked_fill(~mask[:, None], -torch.inf).softmax(dim=-1)


def windows_and_mask(x: Tensor, window: int, shift: int) -> tuple[Tensor, Tensor]:
    """Return the windows that a block's attention gets, and which of their pairs may attend.

    Shape: (B, H, W, C) -> (B·H·W/M/M, M·M, C), (H·W/M/M, M·M, M·M)
    Raises what shifted_window_attention raises.
    """
    given: list[Tensor] = []

    def keep(windows: Tensor, mask: Tensor | None) -> Tensor:
        pairs = len(windows) // len(x), windows.shape[1], windows.shape[1]
        every = torch.ones(pairs, dtype=torch.bool, device=x.device)
        given.extend([windows, every if mask is None else mask])
        return windows

    shifted_window_attention(x, keep, window, shift)
    windows, mask = given
    return windows, mask


@dataclass(frozen=True)
class BlockAttention:
    """The attention of one block for B images: nW windows of N tokens, h heads.

    `weights` is the softmax of `content + bias` over the keys that `mask` allows.
    """

    stride: int  # pixels from one token of the map to the next
    size: tuple[int, int]  # rows and columns of the map
    tokens: Tensor  # (nW, N): the number of the token at each place of each window, -1 for padding
    mask: Tensor  # (nW, N, N): True where a pair may attend
    content: Tensor  # (B, nW, h, N, N): the part of the logits from queries and keys
    bias: Tensor  # (B, nW, h, N, N): the part from position, the same in all images and windows
    weights: Tensor  # (B, nW, h, N, N)

    def on_map(self, values: Tensor, row: int, column: int, elsewhere: float = 0.0) -> Tensor:
        """Put what one query has for its keys back in their places: `(…, nW, h, N, N) -> (…, h, H, W)`.

        Tokens of other windows get `elsewhere`; padding has no place.
        Raises ValueError when the map has no such row or column.
        """
        height, width = self.size
        if not (0 <= row < height and 0 <= column < width):
            raise ValueError(f"row {row}, column {column} lies outside the map of {height} × {width} tokens")
        window, place = (self.tokens == row * width + column).nonzero()[0].tolist()
        own, tokens = values[..., window, :, place, :], self.tokens[window]
        result = own.new_full((*own.shape[:-1], height * width), elsewhere)
        result[..., tokens[tokens >= 0]] = own[..., tokens >= 0]
        return result.unflatten(-1, self.size)


def look_into(block: SwinBlock | SwinBlockV2, x: Tensor, stride: int) -> BlockAttention:
    """Return the attention of a block on the map `x` `(B, H, W, C)` that it gets."""
    height, width = x.shape[1:3]
    numbers = torch.arange(1, height * width + 1, device=x.device).reshape(1, height, width, 1)
    tokens, _ = windows_and_mask(numbers, block.window, block.shift)  # 0 for padding
    entering = block.norm1(x) if isinstance(block, SwinBlock) else x
    windows, mask = windows_and_mask(entering, block.window, block.shift)
    parts = attention_parts(block.attention, windows, mask)
    return BlockAttention(stride, (height, width), tokens[..., 0] - 1, mask, *parts)


class Step(NamedTuple):
    """One block, on the way of images through a model."""

    stride: int  # pixels from one token of the map to the next
    block: SwinBlock | SwinBlockV2
    before: Tensor  # the map (B, H, W, C) that the block gets
    after: Tensor  # the map that it returns


def walk_blocks(model: SwinTransformer, images: Tensor) -> Iterator[Step]:
    """Go through the blocks of a model as images do.

    Raises ValueError when the model is in training mode.
    """
    check_evaluating(model)
    x = model.embedding(images)
    stage: Any
    for number, stage in enumerate(model.stages):
        x = stage.merge(x)
        for block in stage.blocks:
            before, x = x, block(x)
            yield Step(model.embedding.patch * 2**number, block, before, x)


def check_evaluating(model: SwinTransformer) -> None:
    """Raise ValueError when the model is in training mode."""
    if model.training:
        raise ValueError("model is in training mode, where it leaves out blocks at random; call model.eval()")


@torch.no_grad()
def look_inside(model: SwinTransformer, images: Tensor) -> list[BlockAttention]:
    """Return the attention of every block on images `(B, 3, H, W)`, of any size.

    Raises ValueError when the model is in training mode.
    """
    return [look_into(step.block, step.before, step.stride) for step in walk_blocks(model, images)]


def bias_tables(bias: Tensor) -> Tensor:
    """Return the table of offsets of each head, (2M - 1) rows and columns, from the bias of all pairs.

    Shape: (h, M·M, M·M) -> (h, 2·M-1, 2·M-1)
    Source: Liu et al. 2021, section 3.2.
    """
    window = math.isqrt(bias.shape[-1])
    tables = bias.new_empty(len(bias), (2 * window - 1) ** 2)
    tables[:, relative_position_index(window).flatten().to(bias.device)] = bias.flatten(1)
    return tables.unflatten(1, (2 * window - 1, 2 * window - 1))


def mean_distance(seen: BlockAttention) -> Tensor:
    """Return how far each head looks, in pixels: the mean distance of query and key, by weight; no padding.

    Shape: -> (h)
    Source: Dosovitskiy et al. 2021 (ViT, arXiv 2010.11929), section 4.5.
    """
    side = math.isqrt(seen.tokens.shape[1])
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side)).to(seen.weights)
    real = seen.tokens >= 0
    weights = seen.weights * real[:, None, None]
    distances = (weights * torch.cdist(places, places)).sum(-1) / weights.sum(-1)  # (B, nW, h, N)
    return seen.stride * distances.transpose(1, 2)[:, :, real].mean(dim=(0, 2))


def hand_back(seen: BlockAttention, shares: Tensor, matrix: Tensor) -> Tensor:
    """Hand what each token after a block has to those before it, by the rows of each window's matrix.

    Shape: (B, Q, H, W), (B, H·W/M/M, M·M, M·M) -> (B, Q, H, W)
    """
    flat = F.pad(shares.flatten(2), (0, 1))  # padding has number -1: the last place
    result = torch.zeros_like(flat)
    result[..., seen.tokens] = torch.einsum("b q w i, b w i j -> b q w j", flat[..., seen.tokens], matrix)
    return result[..., :-1].unflatten(2, seen.size)


def unmerge(shares: Tensor, size: tuple[int, int]) -> Tensor:
    """Split what each merged token has evenly among the up to four tokens of a map of `size` it was made of.

    Shape: (B, Q, ceil(H/2), ceil(W/2)) -> (B, Q, H, W)
    """
    if shares.shape[-2:] == size:  # nothing was merged
        return shares
    rows, columns = (torch.arange(side, device=shares.device) // 2 for side in size)
    made_of = rows.bincount()[rows, None] * columns.bincount()[columns]
    return shares[..., rows[:, None], columns] / made_of


def mixing(seen: BlockAttention) -> Tensor:
    """Return rollout's matrices: residual and the heads' mean, half each, no padding; rows sum to 1.

    Shape: -> (B, H·W/M/M, M·M, M·M)
    Source: Abnar and Zuidema 2020 (arXiv 2005.00928), section 3.
    """
    weights = seen.weights.mean(2) * (seen.tokens >= 0)[:, None]
    matrix = weights + torch.eye(weights.shape[-1], device=weights.device)
    return matrix / matrix.sum(-1, keepdim=True)


def rollout(blocks: list[BlockAttention], start: Tensor) -> Tensor:
    """Follow attention and residuals from tokens of the last map back to those of the first.

    Shape: (B, Q, ceil(H/2), ceil(W/2)) -> (B, Q, H, W)
    `start` holds Q sets of shares of the last map's tokens; sums stay as they are. The sizes are those of two
    stages. Source: Abnar and Zuidema 2020, section 3, here through windows and merging.
    """
    for seen in reversed(blocks):
        start = hand_back(seen, unmerge(start, seen.size), mixing(seen))
    return start


def to_pixels(values: Tensor, stride: int, height: int, width: int) -> Tensor:
    """Repeat the value of each token on its pixels; what lies beyond the picture is cut off.

    Shape: (B, ceil(H/P), ceil(W/P)) -> (B, H, W)
    """
    return values.repeat_interleave(stride, -2).repeat_interleave(stride, -1)[..., :height, :width]


def split_at(model: SwinTransformer, stage: int | None) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the layers up to the map that the blocks of a stage get, and those after it, without the head.

    Without a stage: all layers up to the last map after its norm, and none.
    """
    layers: list[nn.Module] = [model.embedding]
    each: Any
    for each in model.stages:
        layers += [each.merge, each.blocks]
    layers.append(model.norm)
    count = len(layers) if stage is None else 2 * stage
    return nn.Sequential(*layers[:count]), nn.Sequential(*layers[count:])


def class_evidence(
    model: SwinTransformer, images: Tensor, classes: Tensor, stage: int | None = None
) -> Tensor:
    """Return how much each token speaks for a class `(B,)`, or against it: value times gradient of the score.

    Shape: (B, 3, H, W), (B) -> (B, ceil(H/P/2), ceil(W/P/2))
    `stage` (1 is the first) takes the map that its blocks get. Without it: the last map after its norm, where
    the sum is exactly the score less the bias of the class. The size is that of a model of two stages.
    Raises ValueError when there is no such stage or class, or when the model is in training mode.
    Source: Zhou et al. 2016 (arXiv 1512.04150); for earlier maps Shrikumar et al. 2016 (arXiv 1605.01713).
    """
    check_evidence(model, classes, stage)
    before, after = split_at(model, stage)
    with torch.no_grad():
        tokens = before(images)
    with torch.enable_grad():
        tokens.requires_grad_()
        scores = model.head(after(tokens).mean(dim=(1, 2))).gather(1, classes[:, None])
        (gradient,) = torch.autograd.grad(scores.sum(), tokens)
    return (tokens * gradient).sum(-1).detach()


def check_evidence(model: SwinTransformer, classes: Tensor, stage: int | None) -> None:
    """Raise ValueError when there is no such stage or class, or when the model is in training mode."""
    check_evaluating(model)
    stages, count = len(model.stages), model.head.out_features
    if stage is not None and not 1 <= stage <= stages:
        raise ValueError(f"stage is {stage}; the model has stages 1 to {stages}")
    if not 0 <= int(classes.min()) <= int(classes.max()) < count:
        raise ValueError(f"classes holds {classes.tolist()}; they must be from 0 to {count - 1}")


def reachable(blocks: list[BlockAttention], row: int, column: int) -> Tensor:
    """Tell which tokens of the first map can reach a token after the last of the blocks.

    Shape: -> (H, W)
    Source: Liu et al. 2021, section 3.2: windows, shifted windows and their mask.
    """
    reached = torch.zeros(1, 1, *blocks[-1].size, device=blocks[-1].mask.device)
    reached[..., row, column] = 1
    for seen in reversed(blocks):
        reached = hand_back(seen, unmerge(reached, seen.size), seen.mask[None].float()).sign()
    return reached[0, 0] > 0


@torch.enable_grad()
def effective_field(model: SwinTransformer, images: Tensor, sums: int = 8) -> Tensor:
    """Return how strongly each pixel moves the middle token after each of K blocks: mean over images.

    Shape: (B, 3, H, W) -> (K, H, W)
    It is the root mean square of the gradients of `sums` random sums of the token's channels. An even map has
    no middle token; the one below and to the right of the middle is taken.
    Source: Luo et al. 2016 (arXiv 1701.04128), with random sums for one unit.
    """
    images, fields = images.detach().clone().requires_grad_(), []
    generator = torch.Generator().manual_seed(0)
    for step in walk_blocks(model, images):
        middle = step.after[:, step.after.shape[1] // 2, step.after.shape[2] // 2]
        weights = torch.randn(middle.shape[1], sums, generator=generator).to(middle)
        results = (middle @ weights).sum(0)
        gradients = [torch.autograd.grad(one, images, retain_graph=True)[0] for one in results]
        fields.append(torch.stack(gradients).square().mean((0, 1, 2)).sqrt())
    return torch.stack(fields)
