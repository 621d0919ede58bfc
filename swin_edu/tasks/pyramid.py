"""A feature pyramid: the maps of a backbone in one width, each coarse map added to the finer one below it.

Source: Lin et al. 2017 (FPN, arXiv 1612.03144), section 3.
"""

from collections.abc import Sequence
from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.training import answering


def channels_and_strides(backbone: Any, side: int = 64) -> tuple[list[int], list[int]]:
    """Return the channels of each map of `backbone.features`, and the pixels from place to place.

    Raises ValueError when the maps of an image of `side` pixels do not divide it.
    """
    with answering(backbone):
        maps = backbone.features(next(backbone.parameters()).new_zeros(1, 3, side, side))
    rows = [x.shape[1] for x in maps]
    if any(side % count for count in rows):
        raise ValueError(
            f"the maps of {side} pixels have {rows} rows; take patches of 1, 2, 4, 8 or 16 pixels"
        )
    return [x.shape[-1] for x in maps], [side // count for count in rows]


class FeaturePyramid(nn.Module):
    """Bring all maps to K channels, and hand down what coarse maps know to finer ones.

    Shape: [(B, H, W, C), (B, H/2, W/2, 2·C)] -> [(B, K, H, W), (B, K, H/2, W/2)]
    This is for two maps; there may be any number.
    A linear layer brings each map to K channels (after a norm, which Swin's maps lack); from the coarsest on,
    each is enlarged and added to the next finer one; a convolution smooths every sum.
    Raises ValueError when the maps are not as many, or have not the channels, for which it was made.
    Source: Lin et al. 2017, section 3 and figure 3.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.channels = tuple(channels)
        self.lateral = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(count), nn.Linear(count, width)) for count in channels
        )
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return the levels of the pyramid, channels first, from fine to coarse."""
        found = tuple(x.shape[-1] for x in maps)
        if found != self.channels:
            raise ValueError(f"maps have {found} channels; the pyramid was made for {self.channels}")
        levels = [
            rearrange(lateral(x), "b h w c -> b c h w") for lateral, x in zip(self.lateral, maps, strict=True)
        ]
        for fine in reversed(range(len(levels) - 1)):
            levels[fine] = levels[fine] + F.interpolate(levels[fine + 1], size=levels[fine].shape[2:])
        return [smooth(x) for smooth, x in zip(self.smooth, levels, strict=True)]
