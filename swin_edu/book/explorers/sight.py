"""The explorer of chapter 11: where a token looks, in every block and head, back on the picture."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.drawings.insight import Look, heads_of_token, lit, signed_map
from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import mosaic
from swin_edu.insight import BlockAttention

PICTURES = 8


class Sight(Explorer):
    """Pictures `(B, 3, H, W)` with values in [0, 1], and what `look_inside` returns for them."""

    script = "sight.js"
    title = "Where a token looks, for what is there and for where it is"
    image = Slider(1, range(1, PICTURES + 1), "Picture")
    block = Slider(1, range(1, 25), "Block")
    head = Slider(0, range(49), "Head, 0 for their mean")
    row = Slider(3, range(64), "Row of the token")
    column = Slider(4, range(64), "Column of the token")

    def __init__(self, images: Tensor, blocks: Sequence[BlockAttention], **state: int) -> None:
        seen = len(blocks[0].weights)
        if images.ndim != 4 or not len(images) == seen <= PICTURES:
            raise ValueError(
                f"images has shape {tuple(images.shape)} and the blocks have seen {seen}; "
                f"give both for the same pictures, 1 to {PICTURES} of one size"
            )
        self.images, self.blocks = images.cpu(), [as_sent(block) for block in blocks]
        strides = sorted({block.stride for block in blocks})
        self.stages = [strides.index(block.stride) + 1 for block in blocks]
        arrays = {f"photo{number}": as_photograph(image) for number, image in enumerate(images, 1)}
        for number, block in enumerate(self.blocks, 1):
            facts = [*block.size, block.stride, self.stages[number - 1]]
            arrays[f"facts{number}"] = np.array(facts, dtype=np.float32)
            arrays[f"tokens{number}"] = block.tokens.float().numpy()
            arrays[f"mask{number}"] = block.mask.byte().numpy()
            arrays[f"content{number}"] = block.content.half().numpy()
            arrays[f"bias{number}"] = block.bias[0, 0].half().numpy()
        super().__init__(arrays, **state)

    def limits(self) -> dict[str, int]:
        """Return the last picture, block and head, and the last row and column of the block's map."""
        last = min(self.block, len(self.blocks))
        block = self.blocks[last - 1]
        limits = {"image": len(self.images), "block": len(self.blocks), "head": block.weights.shape[2]}
        return limits | {"row": block.size[0] - 1, "column": block.size[1] - 1}

    def look(self, values: Tensor) -> Look:
        """Return what the chosen token has for the others `(h, H, W)`, of values `(B, nW, h, N, N)`."""
        state = self.state
        block, place = self.blocks[state["block"] - 1], (state["row"], state["column"])
        return Look(block, block.on_map(values[state["image"] - 1], *place), place)

    def chosen(self, look: Look) -> Look:
        """Return it for the chosen head `(H, W)`, or the mean of all."""
        head = self.state["head"]
        return look._replace(values=look.values[head - 1]) if head else look.mean()

    def parts(self) -> dict[str, Look]:
        """Return both parts of the chosen head's logits, each less its mean over what may be looked at."""
        block = self.blocks[self.state["block"] - 1]
        parts = {"content": block.content, "bias": block.bias}
        looks = {name: self.chosen(self.look(values)) for name, values in parts.items()}
        return {name: without_mean(look) for name, look in looks.items()}

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        state, heads = self.state, self.limits()["head"]
        look = self.chosen(self.look(self.blocks[state["block"] - 1].weights))
        (height, width), weights = look.seen.size, look.values
        row, column = divmod(int(weights.argmax()), width)
        moved = "windows moved" if look.seen.tokens[0, 0] else "windows not moved"
        which = f"head {state['head']} of" if state["head"] else "mean of"
        return (
            f"Picture {state['image']}, block {state['block']} of {len(self.blocks)} "
            f"(stage {self.stages[state['block'] - 1]}, {moved}), "
            f"{which} {heads}{'' if state['head'] else ' heads'}: the token in "
            f"row {state['row']}, column {state['column']} of {height} × {width} may look at "
            f"{np.count_nonzero(look.allowed)} tokens of the picture. Most, "
            f"{per_cent(weights[row, column])} %, goes to row {row}, column {column}; "
            f"{per_cent(weights[state['row'], state['column']])} % to itself; "
            f"{per_cent(1 - weights.sum())} % to padding."
        )

    def still(self) -> Figure:
        """Draw the picture, the weights, both parts of the logits, and all heads."""
        state = self.state
        every = self.look(self.blocks[state["block"] - 1].weights)
        weights, parts = self.chosen(every), self.parts()
        drawn, axes = mosaic(10, 4.7, [["photo", "weights", *parts], ["heads"] * 4], height_ratios=[2, 1])
        image, name = self.images[state["image"] - 1], f"head {state['head']}" if state["head"] else "mean"
        lit(axes["photo"], image, weights, "the token and its window", heat=False)
        lit(axes["weights"], image, weights, f"weights, {name}: up to {per_cent(weights.values.max())} %")
        limit = largest(parts)
        for part, look in parts.items():
            signed_map(axes[part], look, limit, f"{part}: −{limit:.1f} to {limit:.1f}")
        heads_of_token(axes["heads"], every, state["head"])
        return drawn


def as_sent(block: BlockAttention) -> BlockAttention:
    """Return a block's attention on the CPU, with its logits rounded to 16 bits as the page gets them.

    Of content only differences within a row matter, so its mean goes first.
    """
    content = (block.content - block.content.mean(-1, keepdim=True)).cpu().half().double()
    bias = block.bias[0, 0].cpu().half().double().expand_as(content)
    mask = block.mask.cpu()
    weights = (content + bias).masked_fill(~mask[:, None], -torch.inf).softmax(-1)
    return dataclasses.replace(
        block, tokens=block.tokens.cpu(), mask=mask, content=content, bias=bias, weights=weights
    )


def without_mean(look: Look) -> Look:
    """Return a part of the logits less its mean over the tokens of the picture that may be looked at."""
    allowed = torch.from_numpy(look.allowed)
    return look._replace(values=(look.values - look.values[allowed].mean()) * allowed)


def largest(parts: dict[str, Look]) -> float:
    """Return the size of the largest value, at least 0.1: the end of the scale of colours."""
    return max(0.1, *(float(look.values.abs().max()) for look in parts.values()))


def per_cent(share: Tensor) -> int:
    """Return a share in whole per cent, rounded as the page does."""
    return int(100 * float(share) + 0.5)
