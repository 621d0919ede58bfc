"""Parallel: the windows of one image on several processes, which send each other only what they need.

Source: not in the papers; to split a map and to exchange its borders, called halos, is usual in simulation.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from swin_edu.block import SwinBlock, SwinBlockV2
from swin_edu.fast import (
    Chunk,
    FastSwinTransformer,
    Layout,
    cut_into_chunks,
    embed,
    join,
    merge,
    run_block,
    stochastic_depth,
    take,
    window_order,
)
from swin_edu.hierarchy import merge_neighbours
from swin_edu.model import SwinTransformer
from swin_edu.patches import check_images, pad_to_patch, patch_partition
from swin_edu.shift import cyclic_shift, region_ids, shift_per_axis
from swin_edu.windows import check_window, pad_to_window, window_partition, window_reverse


def split_rows(height: int, window: int, ranks: int) -> list[range]:
    """Return the rows of a map that each rank holds: whole rows of windows, as evenly as can be.

    With fewer rows of windows than ranks, some hold nothing.
    Raises ValueError when a number is below 1.
    """
    check_window(window)
    for name, value in (("height", height), ("ranks", ranks)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    count = -(-height // window)
    borders = [min(height, count * rank // ranks * window) for rank in range(ranks + 1)]
    return [range(first, end) for first, end in pairwise(borders)]


def numbers_of(rows: Sequence[range]) -> list[Tensor]:
    """Return the rows that each rank holds as tensors.

    Shape: -> (N), (K), one for each rank
    """
    return [torch.arange(each.start, each.stop) for each in rows]


@dataclass(frozen=True)
class Moves:
    """What one rank gives and takes.

    `sends` holds for each rank the places, in what this one has, of the entries that go there; `takes` for
    each rank the places, in what this one gets, of those that come from there. What is sent to oneself stays.
    """

    sends: list[Tensor]
    takes: list[Tensor]
    before: int  # entries that this rank has
    after: int  # entries that it gets

    def back(self) -> "Moves":
        """Return the moves that undo these."""
        return Moves(self.takes, self.sends, self.after, self.before)


def plan_moves(held: Sequence[Tensor], wanted: Sequence[Tensor], rank: int) -> Moves | None:
    """Return what a rank gives and takes, so that each rank gets the entries that it wants, in its order.

    `held` and `wanted` hold for each rank numbers of entries; -1 stands for nothing, which arrives as zeros.
    Return None when nobody wants anything else than it holds.
    Raises ValueError when an entry is wanted that nobody holds.
    """
    if all(torch.equal(have, want) for have, want in zip(held, wanted, strict=True)):
        return None
    count = 1 + max(int(ids.max()) for ids in (*held, *wanted) if len(ids))
    owner, place = torch.full((2, count), -1, device=held[0].device)
    for number, ids in enumerate(held):
        [there] = (ids >= 0).nonzero(as_tuple=True)
        owner[ids[there]], place[ids[there]] = number, there
    owners = [torch.where(ids < 0, -2, owner[ids]) for ids in wanted]
    if any((each == -1).any() for each in owners):
        missing = next(
            int(ids[each == -1][0]) for ids, each in zip(wanted, owners, strict=True) if -1 in each
        )
        raise ValueError(f"entry {missing} is wanted, but no rank holds it")
    sends = [place[ids[of == rank]] for ids, of in zip(wanted, owners, strict=True)]
    takes = [(owners[rank] == number).nonzero()[:, 0] for number in range(len(held))]
    return Moves(sends, takes, len(held[rank]), len(wanted[rank]))


PART = 2**16  # entries that are copied together within a rank: never a second copy of all


@dataclass(frozen=True)
class Message:
    """What a rank gave to the engine at once; seconds of a clock that all processes of a host share."""

    bytes: int
    start: float
    end: float


@dataclass
class Ranks:
    """The processes that share an image: this one's number, how many there are, and what it has sent.

    `group` is a group of `torch.distributed`; None stands for all processes.
    """

    group: Any = None
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rank, self.count = dist.get_rank(self.group), dist.get_world_size(self.group)

    def move(self, x: Tensor, moves: Moves | None) -> Tensor:
        """Return the entries that this rank gets; every rank must call it, in the same order.

        Shape: (N, C) -> (K, C)
        Raises ConnectionError when another rank ends, or does not answer in the group's time.
        """
        return x if moves is None else Exchange.apply(x, moves, self)

    def send_and_take(self, x: Tensor, moves: Moves) -> Tensor:
        """Do what `move` says, without gradients."""
        out = x.new_zeros(moves.after, *x.shape[1:])
        own = zip(moves.takes[self.rank].split(PART), moves.sends[self.rank].split(PART), strict=True)
        for takes, sends in own:
            out.index_add_(0, takes, x[sends])
        given = [places if rank != self.rank else places[:0] for rank, places in enumerate(moves.sends)]
        taken = [places if rank != self.rank else places[:0] for rank, places in enumerate(moves.takes)]
        parcel = x[torch.cat(given)]
        arrived = x.new_empty(sum(map(len, taken)), *x.shape[1:])
        lengths = [*map(len, taken)], [*map(len, given)]  # what comes from each rank, what goes to each
        self.note(parcel.nbytes, partial(dist.all_to_all_single, arrived, parcel, *lengths))
        # Where an entry went to several ranks, its gradients come back to one place and add up.
        return out.index_add_(0, torch.cat(taken), arrived)

    def total(self, x: Tensor) -> Tensor:
        """Return the sum over all ranks, on each of them.

        Shape: (B, C) -> (B, C)
        Raises ConnectionError as `move` does.
        """
        return Total.apply(x, self)

    def note(self, size: int, operation: Callable[..., Any]) -> None:
        """Call an operation of `torch.distributed` and note it; say which rank waited in vain if it fails."""
        start = time.perf_counter()
        try:
            operation(group=self.group)
        except RuntimeError as problem:
            reason = str(problem).splitlines()[0].rpartition("] ")[2]  # without the engine's file and line
            raise ConnectionError(
                f"rank {self.rank} of {self.count} got no answer from another: {reason}"
            ) from problem
        self.messages.append(Message(size if self.count > 1 else 0, start, time.perf_counter()))


class Exchange(torch.autograd.Function):
    """Entries go from rank to rank, and their gradients the same way back."""

    @staticmethod
    def forward(context: Any, x: Tensor, moves: Moves, ranks: Ranks) -> Tensor:
        """Return the entries that this rank gets."""
        context.moves, context.ranks = moves, ranks
        return ranks.send_and_take(x, moves)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the entries that this rank had."""
        return context.ranks.send_and_take(gradient.contiguous(), context.moves.back()), None, None


def move_rows(x: Tensor, moves: Moves | None, ranks: Ranks) -> Tensor:
    """Return the rows that this rank gets of a map of which every rank holds some.

    Shape: (B, H, W, C) -> (B, P, W, C)
    """
    return ranks.move(x.transpose(0, 1), moves).transpose(0, 1)


def attend_in_rows(
    x: Tensor,
    attention: Callable[[Tensor, Tensor | None], Tensor],
    window: int,
    shift: int,
    height: int,
    ranks: Ranks,
) -> Tensor:
    """Compute shifted_window_attention for the rows that this rank holds of a map of `height` rows.

    Shape: (B, H, W, C) -> (B, H, W, C)
    """
    own, width = x.shape[1:3]
    x = pad_to_window(x, window)
    padded = height + -height % window, x.shape[2]
    down, right = shifts = shift_per_axis(*padded, window, shift)
    held = numbers_of(split_rows(padded[0], window, ranks.count))
    moves = plan_moves(held, [(rows + down) % padded[0] for rows in held], ranks.rank)
    x = move_rows(x, moves, ranks)
    if own:
        mask = None
        if any(shifts):
            ids = region_ids(*padded, shifts, x.device)[held[ranks.rank]]  # of places in the rolled map
            ids = window_partition(ids[None, :, :, None], window)[..., 0]
            mask = ids[:, :, None] == ids[:, None, :]
        windows = attention(window_partition(cyclic_shift(x, (0, right)), window), mask)
        x = cyclic_shift(window_reverse(windows, window, *x.shape[1:3]), (0, -right))
    return move_rows(x, moves and moves.back(), ranks)[:, :own, :width]


def run_block_in_rows(block: SwinBlock | SwinBlockV2, x: Tensor, height: int, ranks: Ranks) -> Tensor:
    """Return the rows that this rank holds after a block; only attention reaches beyond them.

    Shape: (B, H, W, C) -> (B, H, W, C)
    """
    attend = partial(
        attend_in_rows,
        attention=block.attention,
        window=block.window,
        shift=block.shift,
        height=height,
        ranks=ranks,
    )
    if isinstance(block, SwinBlockV2):
        x = x + block.drop(block.norm1(attend(x)))
        return x + block.drop(block.norm2(block.mlp(x)))
    x = x + block.drop(attend(block.norm1(x)))
    return x + block.drop(block.mlp(block.norm2(x)))


class Total(torch.autograd.Function):
    """A sum over all ranks. Its gradient is the sum of those of all ranks, each of which uses the sum."""

    @staticmethod
    def forward(context: Any, x: Tensor, ranks: Ranks) -> Tensor:
        """Return the sum."""
        context.ranks, x = ranks, x.clone()
        ranks.note(x.nbytes, partial(dist.all_reduce, x, dist.ReduceOp.SUM))
        return x

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return the gradient of this rank's part."""
        return Total.apply(gradient, context.ranks), None


def average_gradients(model: nn.Module, ranks: Ranks) -> None:
    """Give every rank the mean of all ranks' gradients; where a parameter was not used, that is zero."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            parameter.grad = ranks.total(gradient) / ranks.count


class ParallelSwin(nn.Module):
    """A model whose windows are spread over ranks, with another one's parameters and scores.

    Shape: (B, 3, H, W) -> (B, 1000)
    Every rank is given whole images, of which it reads its own rows, and returns the scores. The gradients of
    the parameters are those of one process after `average_gradients`. In training, seed all ranks alike, so
    that stochastic depth leaves out the same branches.
    Raises ValueError when there are more ranks than rows of windows in the first stage, and ConnectionError
    as Ranks does.
    """

    def __init__(self, model: SwinTransformer, ranks: Ranks) -> None:
        super().__init__()
        self.model, self.ranks = model, ranks

    def own_part(self, images: Tensor) -> Tensor:
        """Return the rows of the images that this rank reads.

        Shape: (B, 3, H, W) -> (B, 3, P, W)
        """
        check_images(images)
        model: Any = self.model
        patch, window = model.embedding.patch, model.stages[0].blocks[0].window
        height = -(-images.shape[2] // patch)
        most = -(-height // window)
        if self.ranks.count > most:
            raise ValueError(
                f"there are {self.ranks.count} ranks; {height} rows of patches make {most} rows of windows "
                f"of {window}, so there can be at most {most}"
            )
        rows = split_rows(height, window, self.ranks.count)[self.ranks.rank]
        return images[:, :, rows.start * patch : rows.stop * patch]

    def features(self, images: Tensor) -> list[Tensor]:
        """Return this rank's rows of the map after each stage: `(B, H/4, W/4, C)`, then coarser."""
        x, maps = self.model.embedding(self.own_part(images)), []
        height = -(-images.shape[2] // self.model.embedding.patch)
        held = None
        stage: Any
        for stage in self.model.stages:
            if held is not None:
                x = self.rows_to_merge(x, held, height, stage.blocks[0].window)
                height = -(-height // 2)
            x = stage.merge(x)
            for block in stage.blocks:
                x = run_block_in_rows(block, x, height, self.ranks)
            held = split_rows(height, stage.blocks[-1].window, self.ranks.count)
            maps.append(x)
        return maps

    def rows_to_merge(self, x: Tensor, held: list[range], height: int, window: int) -> Tensor:
        """Return both rows of each that this rank will hold after merging.

        Shape: (B, H, W, C) -> (B, P, W, C)
        """
        coarse = split_rows(-(-height // 2), window, self.ranks.count)
        wanted = [range(2 * rows.start, min(2 * rows.stop, height)) for rows in coarse]
        return move_rows(x, plan_moves(numbers_of(held), numbers_of(wanted), self.ranks.rank), self.ranks)

    def forward(self, images: Tensor) -> Tensor:
        """Return the score of each class `(B, num_classes)`."""
        model: Any = self.model
        x = model.norm(self.features(images)[-1])
        height = -(-images.shape[2] // (model.embedding.patch * 2 ** (len(model.stages) - 1)))
        return model.head(self.ranks.total(x.sum(dim=(1, 2))) / (height * x.shape[2]))


@dataclass(frozen=True)
class RankPlan:
    """The way of one rank's tokens: before each block what moves and its chunks; at the end their numbers."""

    stages: list[list[tuple[Moves | None, list[Chunk]]]]
    numbers: Tensor  # -1 for padding
    tokens: int  # of an image, in the last map


def of_images(tokens: Tensor, batch: int, count: int) -> Tensor:
    """Return the tokens of windows for each image: `count` more for each image, -1 stays.

    Shape: (N, K) -> (N, B, K)
    """
    images = torch.arange(batch, device=tokens.device).view(1, -1, *[1] * (tokens.ndim - 1))
    return torch.where(tokens[:, None] < 0, -1, tokens[:, None] + count * images)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # the first call may be for inference, and a later one for training
def plan_of_rank(
    batch: int,
    height: int,
    width: int,
    layout: Layout,
    size: int,
    device: torch.device,
    rank: int,
    ranks: int,
) -> RankPlan:
    """Return the way of a rank's tokens through the model, for images of `height` × `width` patches."""
    patches = torch.arange(height * width, device=device).view(height, width)
    rows = split_rows(height, layout[0][0][0], ranks)
    held = [
        of_images(patches[r.start : r.stop].reshape(1, -1), batch, height * width).flatten() for r in rows
    ]
    source, count = torch.arange(height * width, device=device)[:, None], height * width
    stages: list[list[tuple[Moves | None, list[Chunk]]]] = []
    for settings in layout:
        if stages:  # a token is made of four
            # Padding is 0, so tokens are numbered from 1, and -1 makes padding -1.
            [four] = merge_neighbours(torch.arange(1, count + 1, device=device).view(1, height, width, 1)) - 1
            (height, width), source = four.shape[:2], four.flatten(0, 1)
        blocks = []
        for window, shift in settings:
            bands = split_rows(height + -height % window, window, ranks)
            orders = [
                window_order(height, width, window, shift, device, slice(band.start, band.stop))
                for band in bands
            ]
            wanted = [
                of_images(torch.where(order[..., None] < 0, -1, source[order]), batch, count)
                for order, _ in orders
            ]
            moves = plan_moves(held, [each.flatten() for each in wanted], rank)
            order, kinds = orders[rank]
            in_line = torch.arange(wanted[rank].numel(), device=device).view(wanted[rank].shape)
            blocks.append((moves, cut_into_chunks(in_line, order, kinds, size) if len(order) else []))
            source, count = torch.arange(height * width, device=device)[:, None], height * width
            held = [of_images(order, batch, count).flatten() for order, _ in orders]
        stages.append(blocks)
    return RankPlan(stages, held[rank], height * width)


class FastParallelSwin(ParallelSwin):
    """The same for a fast model: tokens live where their window is, in window order.

    Shape: (B, 3, H, W) -> (B, 1000)
    """

    model: FastSwinTransformer

    def plan(self, images: Tensor) -> RankPlan:
        """Return the way of this rank's tokens; it is made once for each size of images."""
        return plan_of_rank(*self.model.outline(images), self.ranks.rank, self.ranks.count)

    def tokens(self, images: Tensor) -> tuple[Tensor, RankPlan]:
        """Return this rank's tokens after the last stage, in window order, and how they came there."""
        model, plan = self.model, self.plan(images)
        stage: Any
        patch = model.embedding.patch
        x = patch_partition(pad_to_patch(self.own_part(images), patch), patch).flatten(0, 2)
        enter: Callable[[Tensor], Tensor] = partial(embed, model.kernels, model.embedding)
        for number, (stage, blocks) in enumerate(zip(model.stages, plan.stages, strict=True)):
            if number:
                enter = partial(merge, model.kernels, stage.merge)
            for block, (moves, chunks) in zip(stage.blocks, blocks, strict=True):
                x = self.ranks.move(x, moves)
                keeps = stochastic_depth(block, x.new_ones(len(images), 1, 1, 1))
                if chunks:
                    parts = ((enter(take(x, chunk)), chunk) for chunk in chunks)
                    x = join([run_block(model.kernels, block, part, chunk, keeps) for part, chunk in parts])
                else:  # `x` stays in the graph, for this rank passes its neighbours' gradients on
                    x = x.sum() + x.new_empty(0, block.norm1.normalized_shape[0])
                enter = nn.Identity()
        return x, plan

    def forward(self, images: Tensor) -> Tensor:
        """Return the score of each class `(B, num_classes)`."""
        x, plan = self.tokens(images)
        real = plan.numbers >= 0
        image = plan.numbers[real] // plan.tokens
        sums = x.new_zeros(len(images), x.shape[1]).index_add(0, image, self.model.norm(x[real]))
        return self.model.head(self.ranks.total(sums) / plan.tokens)


def parallel(model: SwinTransformer, ranks: Ranks) -> ParallelSwin:
    """Return the model with its windows spread over ranks; it shares its parameters with `model`."""
    return (
        FastParallelSwin(model, ranks)
        if isinstance(model, FastSwinTransformer)
        else ParallelSwin(model, ranks)
    )
