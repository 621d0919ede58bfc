"""Labelled pictures to train on: handwritten digits, drawn scenes, and CIFAR-10 where the reader has it.

All come as one kind of value, a `Dataset`. Nothing is downloaded: the digits lie inside scikit-learn, the
scenes are drawn, and CIFAR-10 is read from the reader's own folder.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Labelled(NamedTuple):
    """Pictures, uint8 `(N, 3, H, W)`, and the number of each one's class, int64 `(N,)`."""

    images: Tensor
    labels: Tensor


class Dataset(NamedTuple):
    """Pictures to train on, and others of the same kind that are held out to test what was learned."""

    name: str
    classes: tuple[str, ...]
    training: Labelled
    held_out: Labelled


DIGITS_HELD_OUT = 450  # a quarter of the 1,797


def digits(seed: int = 0) -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits, 8 × 8 pixels in grey, split at random by `seed`.

    Source: sklearn/datasets/descr/digits.rst (E. Alpaydin and C. Kaynak, UCI, 1998).
    """
    from sklearn.datasets import load_digits  # here: the import takes a second

    found = load_digits()
    grey = (found.images.astype(np.int64) * 255 + 8) // 16  # 0 to 16 become 0 to 255, rounded
    images = torch.from_numpy(grey.astype(np.uint8)).unsqueeze(1).repeat(1, 3, 1, 1)
    labels = torch.from_numpy(found.target.astype(np.int64))
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(labels)))
    held_out, training = order[:DIGITS_HELD_OUT], order[DIGITS_HELD_OUT:]
    return Dataset(
        name="digits",
        classes=tuple("0123456789"),
        training=Labelled(images[training], labels[training]),
        held_out=Labelled(images[held_out], labels[held_out]),
    )
