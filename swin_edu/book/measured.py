"""Measured times: kept from one run on one machine, so that a stored notebook is the same everywhere.

``SWIN_EDU_MEASURE=1 python3 -m swin_edu write 03`` measures again and keeps the new figures;
``SWIN_EDU_MEASURE=0``, which tests and ``write`` set, takes the kept ones always.
"""

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from swin_edu.book.device import device
from swin_edu.book.files import replace_text

RECORDS = Path(__file__).with_name("measured.json")


MEASURED_HERE: set[str] = set()


def measured(
    name: str, measure: Callable[[], dict[str, list[float]]], here: bool = False
) -> dict[str, list[float]]:
    """Return what `measure()` gave on the machine that `measured_on(name)` names.

    With `here` that is the reader's machine: it measures now, and nothing is kept.
    """
    wish = os.environ.get("SWIN_EDU_MEASURE")
    if here and wish is None:
        MEASURED_HERE.add(name)
        return measure()
    if wish == "1":
        values = {key: [float(f"{value:.3g}") for value in series] for key, series in measure().items()}
        records = records_kept() | {name: {"machine": this_machine(), "values": values}}
        replace_text(RECORDS, json.dumps(dict(sorted(records.items())), indent=1, ensure_ascii=False) + "\n")
        return values
    return kept(name)


def kept(name: str) -> dict[str, list[float]]:
    """Return what was measured and is kept; raise ValueError if nothing is."""
    records = records_kept()
    if name not in records:
        raise ValueError(f"no times are kept for {name!r}; measure with SWIN_EDU_MEASURE=1")
    return records[name]["values"]


def records_kept() -> dict[str, Any]:
    """Return all that is kept, by name: the machine and the values."""
    return json.loads(RECORDS.read_text("utf-8")) if RECORDS.exists() else {}


def measured_on(name: str) -> str:
    """Return the machine on which the times of `name` were measured."""
    if name in MEASURED_HERE:
        return this_machine()
    return records_kept()[name]["machine"]


def this_machine() -> str:
    """Say processor or GPU, threads and PyTorch's release in words."""
    where = device()
    if where.type == "cuda":
        return f"{torch.cuda.get_device_name(where)}, PyTorch {torch.__version__.partition('+')[0]}"
    threads = torch.get_num_threads()
    cores = f"{threads} thread{'s' if threads > 1 else ''}"
    return f"{processor()}, {cores}, PyTorch {torch.__version__.partition('+')[0]}"


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
