"""Routing Transformer: tokens attend to tokens of their own cluster; the clusters are learned.

Source: Roy et al. 2021 (arXiv 2003.05997), section 4.1 and algorithm 1.
"""

import math

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.attention import attend

DECAY = 0.999  # the share of a centroid that a training step keeps


def on_sphere(x: Tensor) -> Tensor:
    """Bring every vector to mean 0 and length 1, for the comparison with centroids.

    Shape: (B, h, N, D) -> (B, h, N, D)
    Source: Roy et al. 2021, section 4.1: a layer norm without scale and bias.
    """
    return F.normalize(x - x.mean(dim=-1, keepdim=True), dim=-1)


def members(x: Tensor, centroids: Tensor, size: int) -> Tensor:
    """Return for each cluster the places of the `size` tokens that are nearest to its centroid.

    Shape: (B, h, N, D), (h, K, D) -> (B, h, K, size)
    All clusters have the same size; a token may be in several of them, or in none.
    Source: Roy et al. 2021, algorithm 1.
    """
    nearness = on_sphere(x) @ centroids.mT  # (B, h, N, K)
    return nearness.topk(size, dim=-2).indices.mT


def moved(centroids: Tensor, x: Tensor, decay: float) -> Tensor:
    """Return the centroids a little nearer to the mean of those tokens that are nearest to each.

    Shape: (h, K, D), (B, h, N, D) -> (h, K, D)
    A centroid to which no token is nearest stays where it is.
    Source: Roy et al. 2021, section 4.1.
    """
    tokens = rearrange(on_sphere(x), "b h n d -> h (b n) d")
    nearest = F.one_hot((tokens @ centroids.mT).argmax(dim=-1), centroids.shape[1]).to(x.dtype)  # (h, B·N, K)
    sums, counts = nearest.mT @ tokens, nearest.sum(dim=1)[..., None]
    nearer = F.normalize(decay * centroids + (1 - decay) * sums / counts.clamp(min=1), dim=-1)
    return torch.where(counts > 0, nearer, centroids)


def take(x: Tensor, places: Tensor) -> Tensor:
    """Return the tokens at these places, cluster by cluster.

    Shape: (B, h, N, D), (B, h, K, Q) -> (B, h, K, Q, D)
    """
    index = repeat(places, "b h k q -> b h (k q) d", d=x.shape[-1])
    return x.gather(-2, index).unflatten(-2, places.shape[2:])


def give_back(found: Tensor, places: Tensor, tokens: int) -> Tensor:
    """Return for each token the mean of what it found in its clusters, and 0 if it was in none.

    Shape: (B, h, K, Q, D), (B, h, K, Q) -> (B, h, N, D)
    """
    batch, heads, channels = found.shape[0], found.shape[1], found.shape[-1]
    index = repeat(places, "b h k q -> b h (k q) d", d=channels)
    sums = found.new_zeros(batch, heads, tokens, channels).scatter_add(-2, index, found.flatten(2, 3))
    counts = found.new_zeros(batch, heads, tokens).scatter_add(
        -1, places.flatten(2), torch.ones_like(found[..., 0]).flatten(2)
    )
    return sums / counts.clamp(min=1)[..., None]


class Routing(nn.Module):
    """Exact attention inside each of `clusters` clusters of N / `clusters` tokens (rounded up).

    Shape: (B, h, N, D), (B, h, N, D), (B, h, N, D) -> (B, h, N, D)
    A query that is in several clusters gets the mean of what it finds there; a query in none gets 0.
    Centroids have no gradient; in training they follow the tokens.
    Source: Roy et al. 2021, section 4.1 and algorithm 1.
    """

    centroids: Tensor

    def __init__(self, heads: int, channels: int, clusters: int) -> None:
        super().__init__()
        self.register_buffer("centroids", on_sphere(torch.randn(1, heads, clusters, channels))[0])

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return what each token gathers."""
        if self.training:
            with torch.no_grad():
                self.centroids.copy_(moved(self.centroids, torch.cat([q, k], dim=-2), DECAY))
        size = math.ceil(q.shape[-2] / self.centroids.shape[1])
        asking, asked = (members(x.detach(), self.centroids, size) for x in (q, k))
        found = attend(take(q, asking), take(k, asked), take(v, asked))
        return give_back(found, asking, q.shape[-2])
