"""Attention: every token asks all tokens, and takes a weighted mean of what they answer.

Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.2.
"""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """Cut the channels of every token into `heads` pieces of D = C / heads numbers.

    Shape: (B, N, C) -> (B, h, N, C/h)
    Raises ValueError when `heads` does not divide the channels.
    Source: Vaswani et al. 2017, section 3.2.2.
    """
    if tokens.ndim != 3:
        raise ValueError(f"tokens has shape {tuple(tokens.shape)}; it must be (B, N, C)")
    if isinstance(heads, bool) or not isinstance(heads, int) or heads < 1:
        raise ValueError(f"heads is {heads!r}; it must be a whole number of at least 1")
    if tokens.shape[-1] % heads:
        raise ValueError(f"heads {heads} does not divide channels {tokens.shape[-1]}")
    return rearrange(tokens, "b n (h d) -> b h n d", h=heads)


def join_heads(pieces: Tensor) -> Tensor:
    """Put the pieces of every token back into one row: the inverse of split_heads.

    Shape: (B, h, N, D) -> (B, N, h·D)
    """
    if pieces.ndim != 4:
        raise ValueError(f"pieces has shape {tuple(pieces.shape)}; it must be (B, heads, N, D)")
    return rearrange(pieces, "b h n d -> b n (h d)")


def check_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, mask: Tensor | None) -> None:
    """Raise ValueError or TypeError when the arguments of attention do not fit together."""
    shapes = f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}"
    if q.ndim < 4 or k.shape != v.shape or q.shape[:-2] != k.shape[:-2] or q.shape[-1] != k.shape[-1]:
        raise ValueError(f"{shapes} do not fit; each must be (B, heads, N, D)")
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(f"mask has type {mask.dtype}; it must be torch.bool, True where a pair may attend")
    if bias is not None and not bias.is_floating_point():
        raise TypeError(f"bias has type {bias.dtype}; it must be floating point; give True and False as mask")
    logits = (*q.shape[:-1], k.shape[-2])
    for name, table in (("bias", bias), ("mask", mask)):
        if table is not None and (
            table.ndim > len(logits)
            or any(a != 1 and a != b for a, b in zip(table.shape[::-1], logits[::-1], strict=False))
        ):
            raise ValueError(f"{name} has shape {tuple(table.shape)}; it must broadcast to {logits}")


def attend_with_weights(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Attend step by step, and return the weights as well: what `attend` computes in one call.

    Shape: (B, h, N, D), (B, h, N, D), (B, h, N, D) -> (B, h, N, D), (B, h, N, N)
    The arguments are those of `attend`.
    Source: Vaswani et al. 2017, section 3.2.1.
    """
    check_attention(q, k, v, bias, mask)
    logits = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if bias is not None:
        logits = logits + bias
    if mask is not None:
        logits = logits.masked_fill(~mask, -torch.inf)
    weights = logits.softmax(dim=-1)
    return weights @ v, weights


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    bias: Tensor | None = None,
    mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """Return, for every query, the mean of the values weighted by softmax(q·k / √D + bias).

    Shape: (B, h, N, D), (B, h, N, D), (B, h, N, D) -> (B, h, N, D)
    More axes may stand before h. `bias` (numbers) and `mask` (True where a pair may attend) need only
    broadcast to the logits `(…, h, N, N)`; `scale` stands for 1/√D. A query that may attend to nothing
    has no mean: what it gets, zeros or NaN, depends on PyTorch's code for the machine.
    Source: Vaswani et al. 2017, equation 1; the bias as in Liu et al. 2021, equation 4.
    """
    check_attention(q, k, v, bias, mask)
    table = bias
    if mask is not None:
        table = mask if bias is None else torch.where(mask, bias, -torch.inf)
    if table is not None:  # the fast kernels want a table with all axes; most of it is the same memory
        table = table.expand(*q.shape[:-1], k.shape[-2]).flatten(0, -4)
    flat_q, flat_k, flat_v = (x.flatten(0, -4) for x in (q, k, v))
    means = F.scaled_dot_product_attention(flat_q, flat_k, flat_v, table, scale=scale)
    return means.unflatten(0, q.shape[:-3])
