"""One place that decides where tensors live."""

import os
import re

import torch
import torch.distributed as dist

# What processes talk by, for tensors on each kind of device; also on GPUs, some messages lie on the CPU.
BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}


def device() -> torch.device:
    """Return the device of the book: SWIN_EDU_DEVICE if set, else CUDA, else MPS, else the CPU.

    On CUDA, convolutions are set to full float32: the default TF32 keeps 10 bits of mantissa, and the
    equalities of the chapters would hold to three digits only. Processes of torchrun have a GPU each.

    Raises ValueError when SWIN_EDU_DEVICE names no device, RuntimeError when this machine does not have it
    or has fewer GPUs than processes.
    """
    name = os.environ.get("SWIN_EDU_DEVICE") or best_available()
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", name):
        raise ValueError(f"SWIN_EDU_DEVICE is {name!r}, which is no device of the book; use cpu, cuda or mps")
    chosen = torch.device(name)
    if name == "cuda" and dist.is_torchelastic_launched():
        processes, gpus = int(os.environ["LOCAL_WORLD_SIZE"]), torch.cuda.device_count()
        if processes > gpus:
            raise RuntimeError(
                f"torchrun starts {processes} processes, but torch sees {gpus or 'no'} CUDA GPU here; "
                "start one for each, or set SWIN_EDU_DEVICE=cpu"
            )
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
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
    together = dist.is_torchelastic_launched()  # which Apple's GPUs cannot
    return "mps" if torch.backends.mps.is_available() and not together else "cpu"
