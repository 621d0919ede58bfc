"""What runs inside the sandbox: a student's cells, then the student's functions on inputs from outside.

This file is alone in there. It reads one frame from standard input, and answers in frames on standard output;
what the student's code prints goes nowhere. A frame is its length in eight bytes, then a safetensors file of
that length, whose metadata says what it is. No expected value is in here, and what comes out is not trusted.
"""

import ast
import gc
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any, NoReturn

if __name__ == "__main__":
    gc.disable()  # nothing that is imported here is ever freed
    sys.path.append(sys.argv[1])

import torch
from safetensors.torch import load, save
from torch import Tensor

STATEMENT_SECONDS = 5
MOST_PARTS = 1_000  # of a tuple or list
MAGIC = re.compile(r"^(\s*)[%!?].*$", re.MULTILINE)


class NoValuesError(Exception):
    """A result that is no tensor and no number."""


def as_values(result: Any, most: float = float("inf")) -> tuple[Tensor, ...]:
    """Return a result as tensors of whole numbers or of double precision; raise NoValuesError else."""
    if result is None:
        raise NoValuesError("returns nothing")
    values = []
    parts = result if isinstance(result, (tuple, list)) else (result,)
    if len(parts) > MOST_PARTS:
        raise NoValuesError(f"returns a list of {len(parts):,} values; a tensor is wanted")
    for part in parts:
        try:
            value = torch.as_tensor(part).detach()
        except (TypeError, ValueError, RuntimeError):
            raise NoValuesError(f"returns {type(part).__name__}, which is no tensor and no number") from None
        if value.is_complex() or value.layout != torch.strided:
            kind = f"{value.dtype}, {value.layout}"
            raise NoValuesError(f"returns a tensor of {kind}; it must be of plain numbers")
        if (most := most - value.numel()) < 0:
            raise NoValuesError("returns too many values")
        exact = torch.float64 if value.is_floating_point() else torch.int64
        values.append(value.to(device="cpu", dtype=exact, copy=True).contiguous())
    return tuple(values)


def problem_of(error: BaseException, function: Any) -> str:
    """Say what kept a function from giving values."""
    if isinstance(error, NotImplementedError) and not str(error):  # torch raises it too, with a text
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        inner = frame.f_code.co_name
        own = inner == getattr(function, "__name__", inner)
        return "is not written yet" if own else f"calls {inner}, which is not written yet"
    if isinstance(error, NoValuesError):
        return str(error)
    return f"raises {type(error).__name__}: {error}"


def pack(header: dict[str, Any], tensors: dict[str, Tensor]) -> bytes:
    """Return a frame."""
    body = save(tensors, {"header": json.dumps(header)})
    return len(body).to_bytes(8, "little") + body


def unpack(body: bytes) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return what is in a frame, its length left out; raise ValueError where it is none."""
    try:
        length = int.from_bytes(body[:8], "little")
        metadata = json.loads(body[8 : 8 + length])["__metadata__"]
        return json.loads(metadata["header"]), load(body)
    except Exception as error:
        raise ValueError(f"no frame: {error}") from None


def encode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return an argument as JSON can hold it; its tensors go into `tensors`."""
    if isinstance(value, Tensor):
        tensors[str(len(tensors))] = value.clone().contiguous()
        return {"tensor": str(len(tensors) - 1)}
    if isinstance(value, tuple):
        return {"tuple": [encode(inner, tensors) for inner in value]}
    if isinstance(value, dict):
        return {"dict": {key: encode(inner, tensors) for key, inner in value.items()}}
    return value


def decode(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return what `encode` was given."""
    if not isinstance(value, dict):
        return value
    if "tensor" in value:
        return tensors[value["tensor"]].clone()
    if "tuple" in value:
        return tuple(decode(inner, tensors) for inner in value["tuple"])
    return {key: decode(inner, tensors) for key, inner in value["dict"].items()}


def statements(cells: list[str], failures: list[str]) -> Iterator[ast.stmt]:
    """Yield the statements of all cells in order; of a cell that does not compile, keep the error only."""
    for number, cell in enumerate(cells, 1):
        if cell.lstrip().startswith("%%"):
            continue
        try:
            yield from ast.parse(MAGIC.sub(r"\1pass", cell)).body
        except (SyntaxError, ValueError) as error:
            failures.append(f"code cell {number} does not compile: {error}")


def too_long(*_: object) -> NoReturn:
    """Interrupt a statement."""
    raise TimeoutError(f"longer than {STATEMENT_SECONDS} seconds")


def run_cells(cells: list[str], namespace: dict[str, Any], failures: list[str]) -> None:
    """Run cells as a notebook does from the top, but go on after errors and after statements that last."""
    signal.signal(signal.SIGALRM, too_long)
    for statement in statements(cells, failures):
        signal.alarm(STATEMENT_SECONDS)
        try:
            exec(compile(ast.Module([statement], []), "<notebook>", "exec"), namespace)
        except BaseException as error:
            failures.append(f"{type(error).__name__}: {error}")
        finally:
            signal.alarm(0)


def limit_memory(beyond: int) -> None:
    """Allow so many bytes more than are mapped now, with torch loaded."""
    import resource  # not on Windows, where this file is imported too

    with open("/proc/self/statm") as pages:
        mapped = int(pages.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + beyond, mapped + beyond))


def main() -> None:
    """Run the notebook, then answer every call of every item."""
    channel = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    with open(0, "rb", closefd=False) as inputs:
        job, tensors = unpack(inputs.read()[8:])
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)

    process = os.getpid()

    def tell(header: dict[str, Any], values: tuple[Tensor, ...] = ()) -> None:
        if os.getpid() != process:  # a student's function has forked
            os._exit(1)
        frame = memoryview(pack(header, {str(place): value for place, value in enumerate(values)}))
        while frame:
            frame = frame[os.write(channel, frame) :]

    torch.set_num_threads(1)
    limit_memory(job["memory"])
    namespace: dict[str, Any] = {"__name__": "__main__"}
    failures: list[str] = []
    run_cells(job["cells"], namespace, failures)
    tell({"failures": [text[:300] for text in failures[:20]]})
    for item in job["items"]:
        function = namespace.get(item["name"])
        tell({"found": callable(function)})
        if not callable(function):
            continue
        for arguments in item["calls"]:
            values: tuple[Tensor, ...] = ()
            problem = ""
            try:
                values = as_values(function(*(decode(value, tensors) for value in arguments)), job["values"])
            except BaseException as error:
                problem = problem_of(error, function)[:500]
            tell({"problem": problem}, values)
    os._exit(0)  # taking torch down lasts longer than most answers


if __name__ == "__main__":
    main()
