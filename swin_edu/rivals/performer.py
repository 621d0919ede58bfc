"""Performer: softmax attention estimated with random features, so that no N × N matrix is made.

Source: Choromanski et al. 2021 (arXiv 2009.14794); FAVOR+, sections 2.2 to 2.4.
"""

import math

import torch
from torch import Tensor, nn

REDRAW = 1000  # training steps after which new directions are drawn


def random_directions(features: int, channels: int, orthogonal: bool = True) -> Tensor:
    """Draw directions ω from N(0, I); `orthogonal`: at right angles to each other, C at a time.

    Shape: -> (features, channels)
    Each block of C directions is an orthonormal basis; each row gets the length of a Gaussian vector, so that
    every row alone is still drawn from N(0, I).
    Source: Choromanski et al. 2021, section 2.4.
    """
    gaussian = torch.randn(features, channels)
    if not orthogonal:
        return gaussian
    blocks = torch.randn(-(-features // channels), channels, channels)
    q, r = torch.linalg.qr(blocks)
    signs = r.diagonal(dim1=-2, dim2=-1).sign()  # makes each basis as likely as any other
    return (q * signs[:, None]).mT.flatten(0, 1)[:features] * gaussian.norm(dim=1, keepdim=True)


def exponents(x: Tensor, directions: Tensor) -> Tensor:
    """Return ω·x − |x|²/2 for each direction ω.

    Shape: (B, h, N, D), (Q, D) -> (B, h, N, Q)
    """
    return x @ directions.T - x.square().sum(dim=-1, keepdim=True) / 2


def positive_features(x: Tensor, directions: Tensor) -> Tensor:
    """Return φ(x) with positive entries, so that the mean over ω of φ(q)·φ(k) is exp(q·k).

    Shape: (B, h, N, D), (Q, D) -> (B, h, N, Q)
    Source: Choromanski et al. 2021, lemma 1 and equation 7.
    """
    return exponents(x, directions).exp() / math.sqrt(len(directions))


def trigonometric_features(x: Tensor, directions: Tensor) -> Tensor:
    """Return the other features with the same mean: sines and cosines, of both signs.

    Shape: (B, h, N, D), (Q, D) -> (B, h, N, 2·Q)
    Source: Choromanski et al. 2021, section 2.3.
    """
    angles = x @ directions.T
    waves = torch.cat([angles.sin(), angles.cos()], dim=-1)
    return waves * (x.square().sum(dim=-1, keepdim=True) / 2).exp() / math.sqrt(len(directions))


def linear_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with features of queries and keys, from right to left: first keys with values, then queries.

    Shape: (B, h, N, Q), (B, h, N, Q), (B, h, N, D) -> (B, h, N, D)
    Source: Choromanski et al. 2021, equation 4.
    """
    gathered = k.mT @ v  # (B, h, Q, D): N is gone
    return q @ gathered / (q @ k.sum(dim=-2, keepdim=True).mT)


class Performer(nn.Module):
    """Attention with random features: time and memory grow with N, not with N².

    Shape: (B, h, N, D), (B, h, N, D), (B, h, N, D) -> (B, h, N, D)
    `channels` is D, `features` their number, D·log D if none is given. `kernel` "softmax" estimates softmax
    attention; "relu" does not: it attends with another kernel, ReLU(ω·q)·ReLU(ω·k). `floor` is added to all
    features. In training the directions are drawn anew after every 1000 steps.
    Raises ValueError when `kernel` is neither, or in `forward` when q has other channels.
    Source: Choromanski et al. 2021, section 2 and appendix B; the floors are those of the authors' code.
    """

    directions: Tensor
    steps: Tensor

    def __init__(
        self, channels: int, features: int | None = None, kernel: str = "softmax", floor: float = 1e-4
    ) -> None:
        super().__init__()
        if kernel not in ("softmax", "relu"):
            raise ValueError(f"kernel is {kernel!r}; it must be 'softmax' or 'relu'")
        features = max(1, round(channels * math.log(channels))) if features is None else features
        self.kernel, self.floor = kernel, floor
        self.register_buffer("directions", random_directions(features, channels))
        self.register_buffer("steps", torch.tensor(0))

    def redraw(self) -> None:
        """Draw new directions; the old ones stay as they are for a backward pass that still needs them."""
        self.directions = random_directions(*self.directions.shape).to(self.directions)

    def features(self, x: Tensor, over: tuple[int, ...]) -> Tensor:
        """Return the features of queries or keys; the largest of those `over` these axes becomes 1.

        A factor for each query, or one for all keys, cancels in attention; without it, exp would overflow.
        """
        x = x * x.shape[-1] ** -0.25  # the square root of 1/√D, for queries and keys each
        if self.kernel == "relu":
            return (x @ self.directions.T).relu() + self.floor
        logarithms = exponents(x, self.directions)
        return (logarithms - logarithms.amax(dim=over, keepdim=True).detach()).exp() + self.floor

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Return what each token gathers."""
        if q.shape[-1] != self.directions.shape[1]:
            raise ValueError(f"q has {q.shape[-1]} channels a head; it must be {self.directions.shape[1]}")
        if self.training:
            self.steps += 1
            if self.steps % REDRAW == 0:
                self.redraw()
        return linear_attention(self.features(q, (-1,)), self.features(k, (-2, -1)), v)
