"""One place that decides where tensors live."""

import os
import re

import torch


def device() -> torch.device:
    """Return the device of the book: SWIN_EDU_DEVICE if set, else CUDA, else MPS, else the CPU.

    On CUDA, convolutions are set to full float32: the default TF32 keeps 10 bits of mantissa, and the
    equalities of the chapters would hold to three digits only.

    Raises ValueError when SWIN_EDU_DEVICE names no device, RuntimeError when this machine does not have it.
    """
    name = os.environ.get("SWIN_EDU_DEVICE") or best_available()
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise ValueError(f"SWIN_EDU_DEVICE is {name!r}, which is no device of the book; use cpu, cuda or mps")
    chosen = torch.device(name)
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count() or "no"
        raise RuntimeError(f"SWIN_EDU_DEVICE is {name!r}, but torch sees {count} CUDA GPU here; use cpu")
    if chosen.type == "mps" and not torch.backends.mps.is_available():
        raise RuntimeError(f"SWIN_EDU_DEVICE is {name!r}, but torch sees no Apple GPU here; use cpu")
    if chosen.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return chosen


def best_available() -> str:
    """Return the name of the fastest kind of device that torch can use here."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"
