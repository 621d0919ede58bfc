"""Linformer: keys and values are mixed along the tokens, N of them into a few, before attention.

Source: Wang et al. 2020 (arXiv 2006.04768), section 4.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.attention import attend


class Linformer(nn.Module):
    """Attention to `rank` mixtures of the keys and values, which are learned sums over all N tokens.

    Shape: (B, h, N, D), (B, h, N, D), (B, h, N, D) -> (B, h, N, D)
    `heads` is 1 when all heads share the mixtures, else their number; with `shared` keys and values have the
    same. The third way to share, one table for all layers, is to give the same Linformer to all blocks.
    Raises ValueError in `forward` when there are not `tokens` tokens: the number is part of the weights.
    Source: Wang et al. 2020, equation 7 and the paragraph "Parameter sharing between projections".
    """

    def __init__(self, tokens: int, rank: int, heads: int = 1, shared: bool = False) -> None:
        super().__init__()
        self.to_keys = nn.Parameter(torch.randn(heads, tokens, rank) / rank**0.5)
        self.to_values = (
            self.to_keys if shared else nn.Parameter(torch.randn(heads, tokens, rank) / rank**0.5)
        )

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return what each token gathers."""
        tokens = self.to_keys.shape[1]
        if k.shape[-2] != tokens:
            raise ValueError(f"there are {k.shape[-2]} tokens; it must be {tokens}, or use resize_mixtures")
        return attend(q, self.to_keys.mT @ k, self.to_values.mT @ v)


def resize_mixtures(mixtures: Tensor, size: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Return the mixtures for maps of another size: each is a picture of `size`, and is resized.

    Shape: (h, H·W, K) -> (h, P·Q, K)
    Weights get smaller as tokens get more, so that keys and values stay as large as they were; where the new
    sides are multiples of the old, the sums over all tokens are the same.
    """
    if size[0] * size[1] != mixtures.shape[1]:
        raise ValueError(
            f"mixtures are for {mixtures.shape[1]} tokens; a map of {size} has {size[0] * size[1]}"
        )
    pictures = rearrange(mixtures, "h (y x) k -> h k y x", y=size[0])
    resized = F.interpolate(pictures, size=new, mode="bilinear", align_corners=False)
    resized = resized * (size[0] * size[1] / (new[0] * new[1]))
    return rearrange(resized, "h k y x -> h (y x) k")
