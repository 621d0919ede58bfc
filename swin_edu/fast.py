"""Fast: the same model with the same weights and scores, arranged so that the machine waits less.

Source: not in the papers. The roofline is that of Williams, Waterman and Patterson 2009 (Communications of
the ACM 52(4)).
"""

import math
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from statistics import median
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.block import CosineWindowAttention, SwinBlock, SwinBlockV2
from swin_edu.hierarchy import PatchMerging, PatchMergingV2, merge_neighbours
from swin_edu.model import SwinTransformer
from swin_edu.patches import PatchEmbedding, check_images, pad_to_patch, patch_partition
from swin_edu.shift import cyclic_shift, region_ids, shift_mask, shift_per_axis
from swin_edu.windows import pad_to_window, window_partition


def window_order(
    height: int,
    width: int,
    window: int,
    shift: int,
    device: torch.device | None = None,
    rows: slice = slice(None),
) -> tuple[Tensor, Tensor]:
    """Return which token stands at each place of each window, -1 for padding, and each window's kind of mask.

    Shape: -> (ceil(H/M)·ceil(W/M), M·M), (ceil(H/M)·ceil(W/M))
    Windows of one kind stand side by side: kind 0 has no seam, 1 has one between columns, 2 between rows,
    3 both. `rows` are rows of whole windows after padding and roll; other windows are left out.
    """
    numbers = torch.arange(1, height * width + 1, device=device).view(1, height, width, 1)
    numbers = pad_to_window(numbers, window)
    shifts = shift_per_axis(numbers.shape[1], numbers.shape[2], window, shift)
    order = window_partition(cyclic_shift(numbers, shifts)[:, rows], window)[..., 0] - 1
    regions = region_ids(numbers.shape[1], numbers.shape[2], shifts, device)
    kinds = window_partition(regions[None, rows, :, None], window)[..., 0].amax(dim=1)
    by_kind = kinds.argsort(stable=True)
    return order[by_kind], kinds[by_kind]


def table_of_kinds(block: SwinBlock | SwinBlockV2) -> Tensor:
    """Return the bias of each pair, or -inf where it may not attend, for windows of each kind.

    Shape: -> (4, h, M·M, M·M)
    """
    position, window = block.attention.position, block.window
    # A map of 2 × 2 windows has one window of each kind.
    mask = shift_mask(2 * window, 2 * window, window, block.shift, position.index.device)
    return torch.where(mask[:, None], position(), -torch.inf)


def rows_of_tokens(order: Tensor, batch: int) -> Tensor:
    """Return the row of each token of each image, where the images of a window follow each other.

    Shape: (ceil(H/M)·ceil(W/M), M·M) -> (B, H·W)
    """
    window, place = (order >= 0).nonzero(as_tuple=True)
    images = torch.arange(batch, device=order.device)[:, None]
    rows = order.new_empty(batch, len(window))
    rows[:, order[window, place]] = (window * batch + images) * order.shape[1] + place
    return rows


@dataclass(frozen=True)
class Chunk:
    """Windows that go through a block together: whence their tokens come, and what they are."""

    source: Tensor | slice  # rows of the tokens before; after a merging four for each token
    missing: Tensor | None  # True for a neighbour beyond the border, which merging takes as zeros
    padding: Tensor | None  # True for a token that is padding
    kinds: tuple[int, ...]  # the number of windows of each kind of mask
    images: Tensor  # the image of each window


def cut_into_chunks(source: Tensor, order: Tensor, kinds: Tensor, size: int) -> list[Chunk]:
    """Return the windows of a block in chunks of about `size` tokens.

    `source` `(N, B, M·M, …)` holds the rows of the tokens before, -1 for none.
    """
    batch, tokens = source.shape[1:3]
    source, images = source.flatten(0, 1), torch.arange(batch, device=source.device).repeat(len(order))
    padding, kinds = (order < 0).repeat_interleave(batch, dim=0), kinds.repeat_interleave(batch)
    chunks = []
    for part in torch.arange(len(source)).split(max(1, size // tokens)):
        rows = source[part].flatten()
        in_line = bool((rows.diff() == 1).all())  # as in the map before; then no gather is needed
        chunks.append(
            Chunk(
                source=slice(int(rows[0]), int(rows[-1]) + 1) if in_line else rows.clamp(min=0),
                missing=(rows < 0)[:, None] if (rows < 0).any() else None,
                padding=padding[part].reshape(-1, 1) if padding[part].any() else None,
                kinds=tuple(kinds[part].bincount(minlength=4).tolist()),
                images=images[part],
            )
        )
    return chunks


@dataclass(frozen=True)
class StagePlan:
    """The chunks of each block of a stage, its map's size, and each token's row after it `(B, H·W)`."""

    blocks: list[list[Chunk]]
    height: int
    width: int
    rows: Tensor


Layout = tuple[tuple[tuple[int, int], ...], ...]  # window and shift of each block of each stage


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # the first call may be for inference, and a later one for training
def make_plan(
    batch: int, height: int, width: int, layout: Layout, size: int, device: torch.device
) -> list[StagePlan]:
    """Return the way of all tokens through the model, for images of `height` × `width` patches."""
    rows = torch.arange(batch * height * width, device=device).view(batch, -1)
    plan: list[StagePlan] = []
    for settings in layout:
        if plan:
            numbers = torch.arange(1, height * width + 1, device=device).view(1, height, width, 1)
            [four] = merge_neighbours(numbers) - 1
            height, width = four.shape[:2]
            rows = rows[:, four.clamp(min=0)].masked_fill(four < 0, -1).flatten(1, 2)
        blocks = []
        for window, shift in settings:
            order, kinds = window_order(height, width, window, shift, device)
            source = rows[:, order.clamp(min=0)].transpose(0, 1)
            blocks.append(cut_into_chunks(source, order, kinds, size))
            rows = rows_of_tokens(order, batch)
        plan.append(StagePlan(blocks, height, width, rows))
    return plan


def take(x: Tensor, chunk: Chunk) -> Tensor:
    """Return the tokens of a chunk: one gather, or none at all where they stand in line.

    Shape: (N, C) -> (K, C)
    """
    if isinstance(chunk.source, slice):
        return x[chunk.source]
    x = x.index_select(0, chunk.source)
    return x if chunk.missing is None else x.masked_fill(chunk.missing, 0)


def join(parts: list[Tensor]) -> Tensor:
    """Put parts one after the other; a single one is not copied.

    Shape: (N, C), (K, C) -> (N+K, C)
    """
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def take_turns(runs: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each; they take turns, so that other work hits all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(values) for name, values in seconds.items()}


def linear_by_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Compute a linear layer as a 1 × 1 convolution, which PyTorch gives to another library, oneDNN.

    Shape: (N, C), (K, C), (K) -> (N, K)
    """
    picture = x[None, :, None].permute(0, 3, 1, 2)  # (1, C, N, 1): a view, the numbers stay where they are
    # A dilation means nothing to a single pixel, but keeps PyTorch from another, slower code for one thread.
    picture = F.conv2d(picture, weight[:, :, None, None], bias, dilation=(1, 2))
    return picture.permute(0, 2, 3, 1).reshape(len(x), -1)


def pack(weight: Tensor) -> Tensor:
    """Return the weight with its numbers in the order in which oneDNN reads them.

    Shape: (K, C) -> (K, C)
    """
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach(), 1024)


def linear_packed(
    x: Tensor, packed: Tensor, bias: Tensor | None, gelu: bool = False, other: Tensor | None = None
) -> Tensor:
    """Compute a linear layer, then GELU or a sum while the result is still in cache; without gradients.

    Shape: (N, C), (K, C), (K) -> (N, K)
    These are the operators that PyTorch's compiler calls; they are not public, so they are tried before use.
    """
    linear = torch.ops.mkldnn._linear_pointwise
    if other is not None:
        return linear.binary(x, other, packed, bias, "add")
    return linear(x, packed, bias, "gelu" if gelu else "none", [], "none")


# Ways to compute a linear layer on a CPU: what to do with the weight beforehand, and how to compute.
WAYS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[..., Tensor]]] = {
    "matrix product": (lambda weight: weight, F.linear),
    "convolution": (lambda weight: weight, linear_by_convolution),
    "packed": (pack, linear_packed),
}


def usable_ways(gradient: bool) -> list[str]:
    """Return those of WAYS that run here and give the right result; with `gradient` only public ones."""
    x, weight, usable = torch.eye(3, 16), torch.arange(128.0).view(8, 16), []
    for name, (prepare, compute) in WAYS.items():
        try:
            right = torch.equal(compute(x, prepare(weight), None), F.linear(x, weight))
        except (AttributeError, RuntimeError):  # an operator that this release, or this build, does not have
            continue
        if right and not (gradient and name == "packed"):
            usable.append(name)
    return usable


def there_and_back(run: Callable[[], Tensor]) -> None:
    """Compute something, then its gradients."""
    run().sum().backward()


@cache
def fastest_linear(gradient: bool, threads: int, tokens: int) -> str:
    """Return the fastest of WAYS for so many tokens on this machine's processor, timed once.

    With `gradient` the way back counts too.
    """
    x, weight = (torch.ones(size, 384).requires_grad_(gradient) for size in (tokens, 1536))
    runs: dict[str, Callable[[], Any]] = {}
    for name in usable_ways(gradient):
        prepare, compute = WAYS[name]
        run = partial(compute, x, prepare(weight), None)
        runs[name] = partial(there_and_back, run) if gradient else run
    seconds = take_turns(runs, rounds=9)
    return min(seconds, key=seconds.__getitem__)


def is_autocast(x: Tensor) -> bool:
    """Tell whether PyTorch chooses the types of numbers itself, where `x` lies."""
    return torch.is_autocast_enabled(x.device.type)


class Kernels:
    """How linear layers are computed, and what is kept of the parameters while they stay the same.

    `way` is a name in WAYS; None stands for the fastest on this machine.
    """

    def __init__(self, way: str | None = None) -> None:
        self.way = way
        self.kept: dict[tuple[str, nn.Module], tuple[list[tuple[int, int]], list[Tensor], Tensor]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        # A copied model begins with nothing kept: packed weights cannot be copied.
        return Kernels, (self.way,)

    def keep(self, name: str, owner: nn.Module, compute: Callable[[], Tensor]) -> Tensor:
        """Return `compute()`, from an earlier call if the owner's tensors have not changed since."""
        tensors = [*owner.parameters(), *owner.buffers()]
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or is_autocast(tensors[0]):
            return compute()
        state = [(each.data_ptr(), 0 if each.is_inference() else each._version) for each in tensors]
        known = self.kept.get((name, owner))
        if known is None or known[0] != state:
            # Holding the tensors keeps others from being put in their place, where they would look the same.
            known = self.kept[name, owner] = (state, [each.detach() for each in tensors], compute())
        return known[2]

    def way_for(self, x: Tensor) -> str:
        """Return how to compute a linear layer; there is a choice for single precision on a CPU."""
        if (
            x.device.type != "cpu"
            or x.dtype != torch.float32
            or is_autocast(x)
            or torch.compiler.is_compiling()
        ):
            return "matrix product"
        gradient = torch.is_grad_enabled()
        if self.way is None or (gradient and self.way == "packed"):
            tokens = min(1024, 1 << (len(x) - 1).bit_length())  # the next power of two: few are timed
            return fastest_linear(gradient, torch.get_num_threads(), tokens)
        return self.way

    def linear(
        self,
        x: Tensor,
        layer: nn.Linear,
        gelu: bool = False,
        other: Tensor | None = None,
        bias: Tensor | None = None,
    ) -> Tensor:
        """Return layer(x), then GELU or plus `other` if asked for; `bias` stands for the layer's own."""
        bias, way = layer.bias if bias is None else bias, self.way_for(x)
        if way == "packed":
            packed = self.keep("packed", layer, lambda: pack(layer.weight))
            return linear_packed(x, packed, bias, gelu, other)
        y = WAYS[way][1](x, layer.weight, bias)
        if gelu:
            return F.gelu(y)
        if other is None:
            return y
        return y.add_(other) if y.dtype == other.dtype else y + other


def attend_in_windows(q: Tensor, k: Tensor, v: Tensor, table: Tensor, scale: float | None) -> Tensor:
    """Attend in windows of one kind; `table` holds what is added to the logits: the bias, or -inf.

    Shape: (B, h, N, D), (B, h, N, D), (B, h, N, D), (h, N, N) -> (B, h, N, D)
    """
    if torch.is_grad_enabled() and q.device.type == "cpu":
        # With gradients PyTorch's function takes these steps too, and looks for rows that are all masked.
        logits = (q * (q.shape[-1] ** -0.5 if scale is None else scale)) @ k.transpose(-2, -1) + table
        return logits.softmax(dim=-1) @ v
    return F.scaled_dot_product_attention(q, k, v, table[None], scale=scale)


def attend(kernels: Kernels, block: SwinBlock | SwinBlockV2, x: Tensor, chunk: Chunk) -> Tensor:
    """Return what each token of a chunk gathers in its window, all heads side by side.

    Shape: (H·W, C) -> (H·W, C)
    """
    attention, scale, bias = block.attention, None, None
    if chunk.padding is not None:
        x = x.masked_fill(chunk.padding, 0)
    if isinstance(attention, CosineWindowAttention):
        bias = kernels.keep("bias", attention.qkv, attention.qkv_bias)
    qkv = kernels.linear(x, attention.qkv, bias=bias)
    q, k, v = rearrange(qkv, "(w n) (t h d) -> t w h n d", n=block.window**2, t=3, h=attention.heads)
    if isinstance(attention, CosineWindowAttention):
        q = F.normalize(q, dim=-1) * attention.logit_scale.clamp(max=math.log(100)).exp()
        k, scale = F.normalize(k, dim=-1), 1.0
    tables = kernels.keep("tables", attention.position, lambda: table_of_kinds(block))
    parts = zip(*(each.split(chunk.kinds) for each in (q, k, v)), tables, strict=True)
    means = [attend_in_windows(q, k, v, table, scale).transpose(1, 2) for q, k, v, table in parts if len(q)]
    return rearrange(join(means), "w n h d -> (w n) (h d)")


def add(x: Tensor, y: Tensor, keep: Tensor | None, images: Tensor) -> Tensor:
    """Return x + y; with stochastic depth each window's `y` counts by as much as its image `keep`s.

    Shape: (N, C), (N, C) -> (N, C)
    """
    if keep is not None:
        y = y.view(len(images), -1) * keep[images][:, None]
    return x + y.view_as(x)


def run_block(
    kernels: Kernels, block: SwinBlock | SwinBlockV2, x: Tensor, chunk: Chunk, keeps: Sequence[Tensor | None]
) -> Tensor:
    """Return the tokens of a chunk after a block; `keeps` is what `stochastic_depth` gave.

    Shape: (H·W, C) -> (H·W, C)
    """
    branches = (
        (lambda y: attend(kernels, block, y, chunk), block.attention.project, block.norm1),
        (lambda y: kernels.linear(y, block.mlp.expand, gelu=True), block.mlp.reduce, block.norm2),
    )
    for (branch, last, norm), keep in zip(branches, keeps, strict=True):
        if isinstance(block, SwinBlockV2):
            x = add(x, norm(kernels.linear(branch(x), last)), keep, chunk.images)
        elif keep is None:
            x = kernels.linear(branch(norm(x)), last, other=x)  # the sum while the result is in cache
        else:
            x = add(x, kernels.linear(branch(norm(x)), last), keep, chunk.images)
    return x


def stochastic_depth(block: SwinBlock | SwinBlockV2, ones: Tensor) -> Sequence[Tensor | None]:
    """Return by how much each image's two branches count: what the block's own layer makes of ones.

    Shape: (B, 1, 1, 1) -> (B), (B)
    Nothing is returned where nothing is left out: None, None.
    """
    if not block.drop.training or block.drop.rate == 0:
        return None, None
    return block.drop(ones).flatten(), block.drop(ones).flatten()


def embed(kernels: Kernels, embedding: PatchEmbedding, patches: Tensor) -> Tensor:
    """Return tokens from patches.

    Shape: (N, P·P·3) -> (N, C)
    """
    return embedding.norm(kernels.linear(patches, embedding.linear))


def merge(kernels: Kernels, layer: PatchMerging | PatchMergingV2, four: Tensor) -> Tensor:
    """Return tokens, each from four rows of the stage before.

    Shape: (4·N, C) -> (N, 2·C)
    """
    four = four.view(len(four) // 4, 4 * four.shape[1])
    if isinstance(layer, PatchMergingV2):
        return layer.norm(kernels.linear(four, layer.reduction))
    return kernels.linear(layer.norm(four), layer.reduction)


class FastSwinTransformer(SwinTransformer):
    """A model with another one's parameters and scores, whose tokens lie in window order.

    Shape: (B, 3, H, W) -> (B, 1000)
    Without gradients, on a CPU, about `size` tokens go through a block together. What `kernels` keeps is
    computed again when a parameter changes; after writing into `parameter.data`, which PyTorch does not
    notice, call this model's `eval()`.
    """

    def __init__(self, model: SwinTransformer) -> None:
        nn.Module.__init__(self)  # not SwinTransformer's, which would make parameters of its own
        self.embedding, self.stages = model.embedding, model.stages
        self.norm, self.head = model.norm, model.head
        self.kernels, self.size = Kernels(), 4096
        self.runner = FastSwinTransformer.run  # or what a compiler makes of it
        self.train(model.training)

    def train(self, mode: bool = True) -> "FastSwinTransformer":
        """Prepare for training or for inference, and forget what was kept."""
        self.kernels.kept.clear()
        return super().train(mode)

    def plan(self, images: Tensor) -> list[StagePlan]:
        """Return the way of all tokens through the model; it is made once for each size of images."""
        return make_plan(*self.outline(images))

    def outline(self, images: Tensor) -> tuple[int, int, int, Layout, int, torch.device]:
        """Return what a plan depends on: the images, the windows, and how many tokens go together."""
        check_images(images)
        batch, _, *sides = images.shape
        height, width = (-(-side // self.embedding.patch) for side in sides)
        stages: Any = self.stages
        layout = tuple(tuple((block.window, block.shift) for block in stage.blocks) for stage in stages)
        in_chunks = images.device.type == "cpu" and not torch.is_grad_enabled()
        return batch, height, width, layout, self.size if in_chunks else sys.maxsize, images.device

    def run(self, images: Tensor, plan: list[StagePlan]) -> list[Tensor]:
        """Return the tokens after each stage, in window order."""
        patch = self.embedding.patch
        x = patch_partition(pad_to_patch(images, patch), patch).flatten(0, 2)
        enter: Callable[[Tensor], Tensor] = partial(embed, self.kernels, self.embedding)
        results: list[Tensor] = []
        stage: Any
        for stage, stage_plan in zip(self.stages, plan, strict=True):
            if results:
                enter = partial(merge, self.kernels, stage.merge)
            for block, chunks in zip(stage.blocks, stage_plan.blocks, strict=True):
                keeps = stochastic_depth(block, x.new_ones(len(images), 1, 1, 1))
                parts = ((enter(take(x, chunk)), chunk) for chunk in chunks)
                x = join([run_block(self.kernels, block, part, chunk, keeps) for part, chunk in parts])
                enter = nn.Identity()
            results.append(x)
        return results

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the stages, row by row like the clear model's."""
        plan = self.plan(images)
        return [
            x[stage.rows].unflatten(1, (stage.height, stage.width))
            for x, stage in zip(self.runner(self, images, plan), plan, strict=True)
        ]

    def forward(self, images: Tensor) -> Tensor:
        """Return the score of each class `(B, num_classes)`."""
        plan = self.plan(images)
        tokens = self.runner(self, images, plan)[-1][plan[-1].rows]
        return self.head(self.norm(tokens).mean(dim=1))


def fast(model: SwinTransformer, compiled: bool = False) -> FastSwinTransformer:
    """Return the model made fast; it shares its parameters with `model`.

    `compiled` lets PyTorch's compiler write the code, on a GPU as CUDA graphs: the first call with images of
    a size takes long, and a CPU needs a C++ compiler.
    """
    result = FastSwinTransformer(model)
    if compiled:
        mode = "reduce-overhead" if next(model.parameters()).is_cuda else "default"
        result.runner = torch.compile(FastSwinTransformer.run, fullgraph=True, mode=mode)
    return result
