"""Segmentation: the class of every pixel, from all levels of a pyramid.

Source: Xiao et al. 2018 (UPerNet, arXiv 1807.10221), section 3.1, as Liu et al. 2021 (Swin) use it.
"""

from collections.abc import Sequence
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.tasks.annotated import UNKNOWN, Annotated, turned_at_random
from swin_edu.tasks.pyramid import FeaturePyramid, channels_and_strides
from swin_edu.training import Recipe, answering, normalise


class PyramidPooling(nn.Module):
    """Join to each place what the whole map, and each quarter of it, holds on average.

    Shape: (B, H, W, C) -> (B, H, W, C)
    Source: Zhao et al. 2017 (PSPNet, arXiv 1612.01105), section 3.2; here with 1 and 2 × 2 means.
    """

    def __init__(self, channels: int, sides: Sequence[int] = (1, 2)) -> None:
        super().__init__()
        self.sides = sides
        self.norm = nn.LayerNorm(channels)
        self.reduce = nn.ModuleList(nn.Linear(channels, channels // len(sides)) for _ in sides)
        self.join = nn.Linear(channels + channels // len(sides) * len(sides), channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the map, every place of which knows of the whole."""
        x = self.norm(x)
        parts = [x]
        for side, reduce in zip(self.sides, self.reduce, strict=True):
            means = F.adaptive_avg_pool2d(x.movedim(-1, 1), side).movedim(1, -1)
            parts.append(enlarged(reduce(means).relu().movedim(-1, 1), x.shape[1:3]).movedim(1, -1))
        return self.join(torch.cat(parts, dim=-1)).relu()


def enlarged(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps at another size, with straight lines between the places.

    Shape: (B, C, H, W) -> (B, C, P, Q)
    """
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


class Segmenter(nn.Module):
    """Images to the score of each class for each pixel, the ground first.

    Shape: (B, 3, H, W) -> (B, 1 + classes, H, W)
    The coarsest map is pooled, all levels of the pyramid are enlarged to the finest and joined; there each
    place names the pixels of its patch.
    Raises ValueError when `classes` is below 1.
    Source: Xiao et al. 2018, figure 4. They enlarge the scores to pixels instead.
    """

    def __init__(self, backbone: Any, classes: int, width: int = 32) -> None:
        super().__init__()
        if classes < 1:
            raise ValueError(f"classes is {classes}; it must be at least 1")
        self.backbone = backbone
        channels, (self.patch, *_) = channels_and_strides(backbone)
        self.pooling = PyramidPooling(channels[-1])
        self.pyramid = FeaturePyramid(channels, width)
        self.join = nn.Sequential(
            nn.Conv2d(len(channels) * width, width, 3, padding=1), nn.GroupNorm(8, width), nn.ReLU()
        )
        self.classes = nn.Sequential(
            nn.Conv2d(width, 4 * width, 1), nn.ReLU(), nn.Conv2d(4 * width, (1 + classes) * self.patch**2, 1)
        )

    def forward(self, images: Tensor) -> Tensor:
        """Return the scores."""
        *finer, coarsest = self.backbone.features(images)
        levels = self.pyramid([*finer, self.pooling(coarsest)])
        joined = self.join(torch.cat([enlarged(x, levels[0].shape[2:]) for x in levels], dim=1))
        scores = rearrange(
            self.classes(joined), "b (c p q) h w -> b c (h p) (w q)", p=self.patch, q=self.patch
        )
        return scores[:, :, : images.shape[2], : images.shape[3]]


def segmentation_loss(model: nn.Module, recipe: Recipe, *batch: Tensor) -> Tensor:
    """Return the mean cross-entropy of all pixels of some annotated pictures, turned at random.

    Shape: (B, 3, H, W), (B, K, 4), (B, K), (B, H, W) -> ()
    """
    data = turned_at_random(Annotated(*batch))
    return F.cross_entropy(model(normalise(data.images)), data.pixels.long(), ignore_index=UNKNOWN)


def segment(model: nn.Module, images: Tensor, batch: int = 100) -> Tensor:
    """Return the class of each pixel, 0 for the ground.

    Shape: (B, 3, H, W) -> (B, H, W)
    """
    with answering(model) as where:
        scores = (model(normalise(some.to(where))) for some in images.split(batch))
        return torch.cat([of.argmax(dim=1).to(torch.uint8).cpu() for of in scores])
