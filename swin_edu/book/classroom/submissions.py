"""Find and read what students handed in: files of any kind under any name, opened for reading only."""

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

MOST_BYTES = 20 * 2**20  # of a notebook
MOST_ENTRIES = 1_000  # of a student's folder


class UngradableError(Exception):
    """Why a submission cannot be graded: a status, and a sentence."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Submission:
    """One entry of the folder of submissions, a notebook or a student's folder."""

    student: str
    entry: Path

    def notebook(self, assignment: str) -> Path:
        """Return the path of the notebook; raise UngradableError where there is none, or no telling which."""
        kind = self.entry.lstat().st_mode
        if stat.S_ISLNK(kind):
            raise UngradableError("unreadable", "a link; hand in the notebook itself")
        if not stat.S_ISDIR(kind):
            if self.entry.suffix != ".ipynb":
                raise UngradableError(
                    "unreadable", f"no notebook but a file {printable(self.entry.suffix)!r}"
                )
            return self.entry
        found = list(notebooks_in(self.entry))
        chosen = [path for path in found if path.name.startswith(assignment)] or found
        if not chosen:
            raise UngradableError("missing", "a folder without a notebook")
        if len(chosen) > 1:
            names = ", ".join(sorted(printable(path.name) for path in chosen)[:5])
            raise UngradableError("unreadable", f"several notebooks ({names}); leave one")
        return chosen[0]


def printable(text: str) -> str:
    """Return a text with everything written out that a page, a table or a terminal could trip over."""
    parts = (
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )
    return "".join(parts)


def clean(text: str) -> str:
    """Return a text that can be written as UTF-8, lines kept."""
    return "\n".join(map(printable, text.split("\n")))


def in_table(text: str) -> str:
    """Return a text as a table holds it: what a spreadsheet would take for a formula gets an apostrophe.

    So does what begins with an apostrophe, or two names could look the same.
    """
    return re.sub(r"(^|[;,\t\r\n])(\s*[=+\-@'])", r"\1'\2", text)


def find(folder: Path) -> list[Submission]:
    """Return the submissions in a folder by the students' names; hidden files are none.

    A name is that of the file without `.ipynb`, or of the folder; the whole name where two would be the same.
    """
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    stems = [printable(path.name.removesuffix(".ipynb")) for path in entries]
    whole = [printable(path.name) for path in entries]
    names = [name if stems.count(name) == 1 else other for name, other in zip(stems, whole, strict=True)]
    return [
        Submission(name if names.count(name) == 1 else f"{name} {digest(os.fsencode(path))[:8]}", path)
        for name, path in zip(names, entries, strict=True)
    ]


def notebooks_in(folder: Path, depth: int = 3) -> Iterator[Path]:
    """Yield the notebooks in a folder and the folders in it; nothing hidden, no links."""
    with os.scandir(folder) as listed:
        entries = list(islice(listed, MOST_ENTRIES + 1))
    if len(entries) > MOST_ENTRIES:
        raise UngradableError("unreadable", f"a folder of more than {MOST_ENTRIES:,} files")
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            if depth:
                yield from notebooks_in(Path(entry.path), depth - 1)
        elif entry.name.endswith(".ipynb"):
            yield Path(entry.path)


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a plain file of moderate size; raise UngradableError for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        reason = "a link" if path.is_symlink() else problem.strerror
        raise UngradableError("unreadable", f"cannot be opened: {reason}") from None
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise UngradableError("unreadable", "no plain file")
        data = file.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        size = f"more than {MOST_BYTES // 2**20} MB"
        raise UngradableError("too-large", f"{size}; clear the outputs and hand in again")
    return data


def digest(data: bytes) -> str:
    """Return the hash that names these bytes."""
    return hashlib.sha256(data).hexdigest()


def read_cells(data: bytes) -> list[dict[str, Any]]:
    """Return the cells of a notebook: `cell_type`, `source` as one text, and what else they hold."""
    if not data.strip():
        raise UngradableError("unreadable", "the file is empty")
    try:
        notebook = json.loads(data.decode("utf-8"))
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        return [cell | {"cell_type": str(cell["cell_type"]), "source": source_of(cell)} for cell in cells]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError) as problem:
        raise UngradableError("unreadable", f"no notebook: {type(problem).__name__}") from None


def source_of(cell: dict[str, Any]) -> str:
    """Return the text of a cell, as this or an older format keeps it."""
    source = cell.get("source", cell.get("input", ""))
    return source if isinstance(source, str) else "".join(source)


def code_of(cells: list[dict[str, Any]]) -> list[str]:
    """Return the texts of the code cells."""
    return [cell["source"] for cell in cells if cell["cell_type"] == "code"]


def grade_id(cell: dict[str, Any]) -> str:
    """Return nbgrader's name of a cell; empty where it has none."""
    metadata = cell.get("metadata")
    nbgrader = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    return str(nbgrader.get("grade_id", "")) if isinstance(nbgrader, dict) else ""
