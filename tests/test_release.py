"""What is handed out: everything but the solutions, in a form that nbgrader knows."""

import ast
import re

import nbformat
import pytest

from swin_edu.book.classroom import release, source
from swin_edu.book.classroom.assignments import ASSIGNMENTS
from swin_edu.book.classroom.source import BEGIN, END
from swin_edu.book.command import main

ASSIGNMENT = pytest.mark.parametrize("assignment", ASSIGNMENTS.values(), ids=ASSIGNMENTS)
KEYS = {"grade", "grade_id", "locked", "schema_version", "solution", "task"}


def read(assignment):
    return nbformat.read(assignment.source, as_version=4)


def graded_cells(notebook):
    return [cell for cell in notebook.cells if "nbgrader" in cell.metadata]


@ASSIGNMENT
def test_no_solution_is_handed_out(assignment, tmp_path, capsys):
    assert main(["release", assignment.name, str(tmp_path)]) == 0
    path = tmp_path / assignment.source.name
    assert capsys.readouterr().out == f"{path}\n"
    text = path.read_text("utf-8")
    released = nbformat.read(path, as_version=4)
    assert BEGIN not in text and END not in text
    after = "\n".join(cell.source for cell in released.cells)
    public = "\n".join(cell.source for cell in read(assignment).cells if BEGIN not in cell.source)
    for cell in graded_cells(read(assignment)):
        if BEGIN in cell.source:
            solution = cell.source.partition(BEGIN)[2].partition(END)[0]
            lines = [line.strip() for line in solution.splitlines() if len(line.strip()) > 12]
            secret = [line for line in lines if line not in public]
            assert secret and not any(line in after for line in secret)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in released.cells)
    nbformat.validate(released)


@ASSIGNMENT
def test_what_is_handed_out_is_complete(assignment):
    """Every cell stays, and what is to be written says so, with its arguments and its task."""
    whole, released = read(assignment).cells, release.release(assignment).cells
    assert [cell.metadata for cell in whole] == [cell.metadata for cell in released]
    assert [cell.source for cell in whole if BEGIN not in cell.source] == [
        after.source for before, after in zip(whole, released, strict=True) if BEGIN not in before.source
    ]
    by_name = {
        cell.metadata.nbgrader.grade_id: cell.source for cell in released if "nbgrader" in cell.metadata
    }
    for item in assignment.items:
        stub = by_name[item.name]
        assert stub.endswith("    # YOUR CODE HERE\n    raise NotImplementedError()")
        assert ast.get_docstring(ast.parse(stub).body[0]) == item.task
        assert by_name[f"{item.name}-points"] == f"assert check.{item.name}({item.name})"
    for question in assignment.rubric:
        assert "YOUR ANSWER HERE" in by_name[question] or "# YOUR CODE HERE" in by_name[question]


@ASSIGNMENT
def test_cells_are_marked_as_nbgrader_marks_them(assignment):
    cells = graded_cells(read(assignment))
    names = [cell.metadata.nbgrader.grade_id for cell in cells]
    assert len(names) == len(set(names))
    total = 0
    for cell in cells:
        mark = cell.metadata.nbgrader
        assert mark.keys() == KEYS | ({"points"} if mark.grade else set())
        assert re.fullmatch(r"[\w-]+", mark.grade_id) and mark.schema_version == 3 and not mark.task
        assert mark.locked != mark.solution  # what students write is open, all else is not
        assert (BEGIN in cell.source) == mark.solution
        total += mark.get("points", 0)
    assert total == assignment.points


@ASSIGNMENT
def test_the_cells_of_items_are_made_from_the_items(assignment):
    assert source.stale_cells([assignment.source]) == []


def test_a_cell_that_is_not_what_its_item_says(tmp_path):
    assignment = ASSIGNMENTS["A1"]
    notebook = read(assignment)
    cell = next(cell for cell in graded_cells(notebook) if BEGIN in cell.source)
    cell.source = cell.source.replace("return", "return 1 +")
    path = tmp_path / assignment.source.name
    nbformat.write(notebook, path)
    assert source.stale_cells([path]) == [f"{path.name} differs from its items"]
    source.write_cells([path])
    assert nbformat.read(path, as_version=4) == read(assignment)
    notebook.cells.remove(cell)
    nbformat.write(notebook, path)
    with pytest.raises(ValueError, match=f"has no cell for {assignment.items[0].name}"):
        source.filled(path)


def test_another_file_is_not_overwritten(tmp_path, capsys):
    assert main(["release", "A1", str(tmp_path)]) == main(["release", "A1", str(tmp_path)]) == 0
    path = tmp_path / ASSIGNMENTS["A1"].source.name
    path.write_text("the work of a week", "utf-8")
    capsys.readouterr()
    assert main(["release", "A1", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error == f"swin_edu: {path} holds something else; move it away or name another folder\n"
    assert path.read_text("utf-8") == "the work of a week"


def test_errors_are_one_sentence(tmp_path, capsys):
    assert main(["release", "A7", str(tmp_path)]) == 2
    assert "there is no assignment 'A7'; there are A1, A2, A3, A4, A5\n" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main(["release", "A1", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
