"""``python3 -m swin_edu release A1 OUT``: an assignment without its solutions."""

import re
import sys
import textwrap
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from swin_edu.book.classroom.assignments import Assignment, find_assignment
from swin_edu.book.classroom.source import BEGIN, END
from swin_edu.book.files import replace_text

SOLUTION = re.compile(rf"^([ \t]*){BEGIN}\n.*?{END}$", re.MULTILINE | re.DOTALL)
CODE_STUB = "# YOUR CODE HERE\nraise NotImplementedError()"
TEXT_STUB = "YOUR ANSWER HERE"


def main(name: str, out: Path) -> int:
    """Write what students get of an assignment into the folder `out`, unless another file is there."""
    try:
        assignment = find_assignment(name)
    except ValueError as problem:
        print(f"swin_edu: {problem}", file=sys.stderr)
        return 2
    path = out / assignment.source.name
    text = nbformat.writes(release(assignment)) + "\n"
    try:
        if path.exists() and path.read_text("utf-8") != text:
            print(
                f"swin_edu: {path} holds something else; move it away or name another folder", file=sys.stderr
            )
            return 1
        replace_text(path, text)
    except (OSError, UnicodeDecodeError) as problem:
        print(f"swin_edu: {problem}", file=sys.stderr)
        return 1
    print(path)
    return 0


def release(assignment: Assignment) -> NotebookNode:
    """Return an assignment as it is handed out: no solutions, no outputs."""
    notebook = nbformat.read(assignment.source, as_version=4)
    for cell in notebook.cells:
        stub = CODE_STUB if cell.cell_type == "code" else TEXT_STUB
        parts = SOLUTION.split(cell.source)  # text, indent, text, indent, … text
        indented = [textwrap.indent(stub, indent) for indent in parts[1::2]]
        cell.source = "".join(part for pair in zip(parts[::2], [*indented, ""], strict=True) for part in pair)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook
