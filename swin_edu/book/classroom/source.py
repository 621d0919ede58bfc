"""The source notebooks of assignments: their cells of items are made from the items.

So question, solution, check and grading cannot disagree. The metadata are nbgrader's.
"""

import ast
import inspect
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from swin_edu.book.classroom.assignments import ASSIGNMENTS
from swin_edu.book.files import replace_text

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


def write_cells(paths: list[Path]) -> None:
    """Make the cells of items in these notebooks anew."""
    for path in paths:
        notebook = filled(path)
        replace_text(path, nbformat.writes(notebook) + "\n")


def stale_cells(paths: list[Path]) -> list[str]:
    """Return one sentence for every notebook of which a cell is not what its item says."""
    return [
        f"{path.name} differs from its items"
        for path in paths
        if nbformat.read(path, as_version=4) != filled(path)
    ]


def filled(path: Path) -> NotebookNode:
    """Return a notebook with the cells of its items made; raise ValueError where names do not fit."""
    assignment = ASSIGNMENTS[path.name.partition("_")[0]]
    notebook = nbformat.read(path, as_version=4)
    sources = {item.name: solution_cell(item.reference) for item in assignment.items}
    sources |= {f"{item.name}-points": f"assert check.{item.name}({item.name})" for item in assignment.items}
    sources |= {function.__name__: inspect.getsource(function).rstrip() for function in assignment.given}
    points = {f"{item.name}-points": item.points for item in assignment.items}
    for cell in notebook.cells:
        grading = cell.metadata.get("nbgrader")
        if grading and grading.grade_id in sources:
            cell.source = sources.pop(grading.grade_id)
            if grading.grade_id in points:
                grading.points = points[grading.grade_id]
        elif grading and BEGIN not in cell.source:
            raise ValueError(f"{path.name}: no item and no given function {grading.grade_id!r}")
    if sources:
        raise ValueError(f"{path.name} has no cell for {', '.join(sources)}")
    return notebook


def solution_cell(reference: Callable) -> str:
    """Return a function's source with its body, after the docstring, between the marks of a solution."""
    lines = inspect.getsource(reference).rstrip().split("\n")
    definition = ast.parse("\n".join(lines)).body[0]
    assert isinstance(definition, ast.FunctionDef)
    first = definition.body[1].lineno - 1  # after the docstring
    return "\n".join([*lines[:first], f"    {BEGIN}", *lines[first:], f"    {END}"])
