"""The whole model: patches, four stages, mean over all tokens, one linear layer.

Source: Liu et al. 2021 (Swin), section 3.3; Liu et al. 2022 (Swin V2), section 4.1; the authors' code.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from swin_edu.block import SwinBlockV2
from swin_edu.hierarchy import Stage
from swin_edu.patches import PatchEmbedding


@dataclass(frozen=True)
class Variant:
    """What tells the published models apart; channels are those of the first stage."""

    version: int
    channels: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    stochastic_depth: float


T, S = (2, 2, 6, 2), (2, 2, 18, 2)
VARIANTS = {
    "swin_t": Variant(1, 96, T, (3, 6, 12, 24), 7, 0.2),
    "swin_s": Variant(1, 96, S, (3, 6, 12, 24), 7, 0.3),
    "swin_b": Variant(1, 128, S, (4, 8, 16, 32), 7, 0.5),
    "swin_l": Variant(1, 192, S, (6, 12, 24, 48), 7, 0.2),
    "swin_v2_t": Variant(2, 96, T, (3, 6, 12, 24), 8, 0.2),
    "swin_v2_s": Variant(2, 96, S, (3, 6, 12, 24), 8, 0.3),
    "swin_v2_b": Variant(2, 128, S, (4, 8, 16, 32), 8, 0.5),
    "swin_v2_l": Variant(2, 192, S, (6, 12, 24, 48), 8, 0.2),
}


def per_stage(value: int | Sequence[int], depths: Sequence[int], name: str = "value") -> Sequence[int]:
    """Return one number for each stage."""
    values = [value] * len(depths) if isinstance(value, int) else value
    if len(values) != len(depths):
        raise ValueError(f"{name} is {tuple(values)}; it must hold {len(depths)} numbers, one for each stage")
    return values


def initialise(layer: nn.Module) -> None:
    """Set a layer to what training starts from: small random weights; the norms of V2 at zero."""
    if isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    if isinstance(layer, SwinBlockV2):
        for norm in (layer.norm1, layer.norm2):
            nn.init.zeros_(norm.weight)


class SwinTransformer(nn.Module):
    """Images to class scores, for images of any size.

    Shape: (B, 3, H, W) -> (B, 1000)
    `channels` are those of the first stage; each later one has twice as many. `depths` are the blocks of each
    stage. `window` and `pretrained_window` may hold one number for each stage. `stochastic_depth` is the rate
    of the last block; it grows evenly from 0 at the first.
    Raises ValueError when an argument does not hold one number for each stage, or is too small.
    Source: Liu et al. 2021, section 3.3 and figure 3a; the norm and the mean are in the authors' code.
    """

    def __init__(
        self,
        channels: int,
        depths: Sequence[int],
        heads: Sequence[int],
        window: int | Sequence[int],
        num_classes: int = 1000,
        version: int = 1,
        stochastic_depth: float = 0.0,
        patch: int = 4,
        pretrained_window: int | Sequence[int] = 0,
    ) -> None:
        super().__init__()
        if min(depths, default=0) < 1:
            raise ValueError(f"depths is {tuple(depths)}; it must hold the blocks of each stage, at least 1")
        if num_classes < 1:
            raise ValueError(
                f"num_classes is {num_classes}; it must be at least 1 (features() needs no head)"
            )
        heads, windows = per_stage(heads, depths, "heads"), per_stage(window, depths, "window")
        pretrained = per_stage(pretrained_window, depths, "pretrained_window")
        starts = [sum(depths[:index]) for index in range(len(depths) + 1)]  # the first block of each stage
        drops = [stochastic_depth * block / max(1, starts[-1] - 1) for block in range(starts[-1])]
        self.embedding = PatchEmbedding(patch, channels)
        self.stages = nn.ModuleList(
            Stage(
                channels * 2**index,
                heads[index],
                windows[index],
                drops[starts[index] : starts[index + 1]],
                merging=index > 0,
                version=version,
                pretrained_window=pretrained[index],
            )
            for index in range(len(depths))
        )
        self.norm = nn.LayerNorm(channels * 2 ** (len(depths) - 1))
        self.head = nn.Linear(self.norm.normalized_shape[0], num_classes)
        self.apply(initialise)

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the maps of the stages: `(B, H/4, W/4, C)`, then half the sides and twice the channels."""
        x, maps = self.embedding(images), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps

    def forward(self, images: Tensor) -> Tensor:
        """Return the score of each class `(B, num_classes)`."""
        tokens = self.norm(self.features(images)[-1])
        return self.head(tokens.mean(dim=(1, 2)))


def swin(
    name: str,
    num_classes: int = 1000,
    window: int | Sequence[int] | None = None,
    pretrained_window: int | Sequence[int] = 0,
) -> SwinTransformer:
    """Build a published model by name, with random weights: swin_t, _s, _b, _l or swin_v2_t, _s, _b, _l.

    Raises ValueError when the name is not one of VARIANTS, and what SwinTransformer raises.
    """
    if name not in VARIANTS:
        raise ValueError(f"name is {name!r}; it must be one of {', '.join(VARIANTS)}")
    variant = VARIANTS[name]
    return SwinTransformer(
        variant.channels,
        variant.depths,
        variant.heads,
        variant.window if window is None else window,
        num_classes,
        variant.version,
        variant.stochastic_depth,
        pretrained_window=pretrained_window,
    )
