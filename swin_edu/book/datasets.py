"""Labelled pictures to train on: handwritten digits, drawn scenes, and CIFAR-10 where the reader has it.

All come as one kind of value, a `Dataset`. Nothing is downloaded: the digits lie inside scikit-learn, the
scenes are drawn, and CIFAR-10 is read from the reader's own folder.
"""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from swin_edu.book.scenes import CLASSES, draw_scene, whole


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
MOST_SCENES = 1_000_000
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10_FOLDER = "cifar-10-batches-bin"
CIFAR10_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
CIFAR10_PICKLES = ("data_batch_1", "cifar-10-batches-py")
CIFAR10_RECORDS = 10_000  # in each file
CIFAR10_BYTES = 1 + 3 * 32 * 32  # of a record: the label, then the red, the green and the blue rows


def digits(seed: int = 0) -> Dataset:
    """Return scikit-learn's 1,797 handwritten digits, 8 × 8 grey pixels, split at random by `seed`.

    Source: E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits  # here: the import takes a second

    rng = np.random.default_rng(whole("seed", seed, 0, 2**63 - 1))
    found = load_digits()
    grey = (found.images.astype(np.int64) * 255 + 8) // 16  # 0 to 16 become 0 to 255, rounded
    images = torch.from_numpy(grey.astype(np.uint8)).unsqueeze(1).repeat(1, 3, 1, 1)
    labels = torch.from_numpy(found.target.astype(np.int64))
    order = torch.from_numpy(rng.permutation(len(labels)))
    held_out, training = order[:DIGITS_HELD_OUT], order[DIGITS_HELD_OUT:]
    return Dataset(
        name="digits",
        classes=tuple("0123456789"),
        training=Labelled(images[training], labels[training]),
        held_out=Labelled(images[held_out], labels[held_out]),
    )


@functools.cache
def scenes(training: int = 4000, held_out: int = 1000, size: int = 64) -> Dataset:
    """Return drawn scenes of `size` pixels with one object each, and its class.

    Seeds to train on count up from 0, held-out seeds from 1,000,000: no numbers of scenes make them meet.
    """
    whole("training", training, 1, MOST_SCENES)
    whole("held_out", held_out, 1, MOST_SCENES)
    return Dataset(
        name="scenes",
        classes=CLASSES,
        training=_drawn(range(training), size),
        held_out=_drawn(range(MOST_SCENES, MOST_SCENES + held_out), size),
    )


def _drawn(seeds: range, size: int) -> Labelled:
    images, labels = [], []
    for seed in seeds:
        scene = draw_scene(seed, size, objects=1)
        images.append(scene.image)
        labels.append(scene.labels[0])
    return Labelled(torch.stack(images), torch.stack(labels))


def cifar10(folder: str | Path) -> Dataset:
    """Return CIFAR-10 from the files of its binary archive, in `folder` or in cifar-10-batches-bin below it.

    The archive for Python is refused: it consists of pickles, and reading a pickle can run code.

    Raises FileNotFoundError or NotADirectoryError for what is not there, ValueError for what is damaged.
    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    folder = os.path.expanduser(folder)
    if os.path.isfile(folder):
        raise NotADirectoryError(f"{folder!r} is a file; unpack it and give the folder {CIFAR10_FOLDER}")
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"there is no folder {folder!r}; give the folder {CIFAR10_FOLDER} of CIFAR-10"
        )
    below = os.path.join(folder, CIFAR10_FOLDER)
    place = Path(below if os.path.isdir(below) else folder)
    pickled = any((place / name).exists() for name in CIFAR10_PICKLES)
    if pickled and not any((place / name).exists() for name in CIFAR10_FILES):
        raise ValueError(
            f"{folder!r} holds CIFAR-10 as pickles, which can run code when they are read; "
            "unpack the archive cifar-10-binary.tar.gz instead"
        )
    *training, held_out = (_cifar10_file(place / name) for name in CIFAR10_FILES)
    images, labels = zip(*training, strict=True)
    return Dataset("CIFAR-10", CIFAR10_CLASSES, Labelled(torch.cat(images), torch.cat(labels)), held_out)


def _cifar10_file(path: Path) -> Labelled:
    again = "unpack cifar-10-binary.tar.gz again"
    if not path.is_file():
        raise FileNotFoundError(f"{str(path.parent)!r} holds no {path.name}; {again}")
    length, expected = path.stat().st_size, CIFAR10_RECORDS * CIFAR10_BYTES
    if length != expected:
        raise ValueError(f"{str(path)!r} has {length:,} bytes, not {expected:,}; {again}")
    records = torch.from_numpy(np.fromfile(path, dtype=np.uint8)).view(CIFAR10_RECORDS, CIFAR10_BYTES)
    labels, images = records[:, 0].long(), records[:, 1:].reshape(-1, 3, 32, 32)
    if labels.max() >= len(CIFAR10_CLASSES):
        record = int(labels.argmax())
        raise ValueError(f"{str(path)!r} has label {labels[record]} in record {record}, not 0 to 9; {again}")
    return Labelled(images, labels)


def load_dataset(name_or_folder: str) -> Dataset:
    """Return the digits or the scenes by name, or CIFAR-10 from the reader's folder.

    Raises ValueError where the text is neither a name nor a folder or file, and what `cifar10` raises.
    """
    if name_or_folder in NAMED:
        return NAMED[name_or_folder]()
    if not os.path.exists(os.path.expanduser(name_or_folder)):
        raise ValueError(
            f"name_or_folder is {name_or_folder!r}, which is neither a dataset nor a folder; "
            f"use {', '.join(NAMED)} or the folder of CIFAR-10"
        )
    return cifar10(name_or_folder)


NAMED: dict[str, Callable[[], Dataset]] = {"digits": digits, "scenes": scenes}
