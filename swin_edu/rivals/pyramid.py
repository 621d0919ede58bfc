"""One pyramid for all attentions: Swin's stages, in which only the attention is exchanged.

Source: the stages of Liu et al. 2021 (Swin), figure 3a; positions as in Dosovitskiy et al. 2021 (ViT).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from einops import rearrange
from torch import Tensor, nn

from swin_edu.attention import attend
from swin_edu.block import check_heads, shifted_window_attention, split_windows
from swin_edu.hierarchy import PatchMerging
from swin_edu.model import initialise, per_stage
from swin_edu.patches import AbsolutePosition, PatchEmbedding
from swin_edu.rivals.vit import Attention, TransformerBlock


class Windows(nn.Module):
    """Swin's attention in shifted windows, for tokens in a row: the rows of a map, one after the other.

    Shape: (B, h, H·W, D), (B, h, H·W, D), (B, h, H·W, D) -> (B, h, H·W, D)
    There is no position bias: what is compared with others is the window alone.
    Raises ValueError in `forward` when there are not `height` × `width` tokens.
    Source: Liu et al. 2021, section 3.2.
    """

    def __init__(self, height: int, width: int, window: int, shift: int = 0) -> None:
        super().__init__()
        self.height, self.width, self.window, self.shift = height, width, window, shift

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return what each token gathers."""
        heads = q.shape[1]
        if q.shape[-2] != self.height * self.width:
            raise ValueError(f"there are {q.shape[-2]} tokens; it must be {self.height} × {self.width}")

        def attend_inside(windows: Tensor, mask: Tensor | None) -> Tensor:
            q, k, v = split_windows(windows, heads, mask)
            found = attend(q, k, v, mask=None if mask is None else mask[:, None])
            return rearrange(found, "b w h n d -> (b w) n (h d)")

        joined = [rearrange(x, "b h (y x) d -> b y x (h d)", y=self.height) for x in (q, k, v)]
        qkv = rearrange(joined, "three b y x c -> b y x (three c)")
        found = shifted_window_attention(qkv, attend_inside, self.window, self.shift)
        return rearrange(found, "b y x (h d) -> b h (y x) d", h=heads)


@dataclass(frozen=True)
class Place:
    """Where in a pyramid an attention stands: what it needs to know to be built."""

    height: int  # of the map, in tokens
    width: int
    heads: int
    channels: int  # of a head
    block: int  # of the stage, counted from 0


class Pyramid(nn.Module):
    """Images to class scores by Swin's stages, with an attention of your choice in all blocks.

    Shape: (B, 3, H, W) -> (B, num_classes)
    `side` is that of the images. `choose` returns the attention for a Place. Positions are learned and added
    once, after the patches.
    Raises ValueError when `depths` or `heads` do not hold one number for each stage.
    Source: Liu et al. 2021, figure 3a.
    """

    def __init__(
        self,
        side: int,
        channels: int,
        depths: Sequence[int],
        heads: Sequence[int],
        choose: Callable[[Place], Attention],
        num_classes: int,
        patch: int = 4,
    ) -> None:
        super().__init__()
        heads = per_stage(heads, depths, "heads")
        self.embedding = PatchEmbedding(patch, channels)
        size = -(-side // patch)
        self.position = AbsolutePosition(size, size, channels)
        self.merges, self.stages = nn.ModuleList(), nn.ModuleList()
        for stage, depth in enumerate(depths):
            self.merges.append(PatchMerging(channels) if stage else nn.Identity())
            if stage:
                channels, size = 2 * channels, -(-size // 2)
            check_heads(channels, heads[stage])
            places = [
                Place(size, size, heads[stage], channels // heads[stage], block) for block in range(depth)
            ]
            self.stages.append(
                nn.Sequential(*(TransformerBlock(channels, place.heads, choose(place)) for place in places))
            )
        self.norm = nn.LayerNorm(channels)
        self.head = nn.Linear(channels, num_classes)
        self.apply(initialise)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the stages: `(B, H/4, W/4, C)`, then half the sides and twice the channels."""
        x, maps = self.position(self.embedding(images)), []
        for merge, blocks in zip(self.merges, self.stages, strict=True):
            x = merge(x)
            x = blocks(x.flatten(1, 2)).unflatten(1, x.shape[1:3])
            maps.append(x)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Return the score of each class `(B, num_classes)`."""
        return self.head(self.norm(self.features(images)[-1]).mean(dim=(1, 2)))
