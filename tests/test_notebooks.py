"""What a reader finds in the stored notebooks; and the sanitiser hides a device's name, nothing else."""

import ast
import builtins
import itertools
import json
import re
import subprocess
import symtable
import sys
from typing import NamedTuple

import nbformat
import pytest

from swin_edu.book.write import LIVE_VIEW, ROOT, chapters

MEND = "mend with: python3 -m swin_edu write"
CHAPTERS = chapters()
CHAPTER = pytest.mark.parametrize("path", CHAPTERS, ids=[path.stem for path in CHAPTERS])
CHECKS = re.compile(r"^check\.(\w+)\(", re.MULTILINE)


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@CHAPTER
def test_every_picture_has_an_alternative_text(path):
    for cell in code_cells(path):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                assert len(output.metadata["image/png"]["alt"]) > 20, cell.source


@CHAPTER
def test_every_cell_ran_in_order_and_stores_no_live_view(path):
    cells = code_cells(path)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1)), MEND
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert LIVE_VIEW not in path.read_text("utf-8"), MEND


@CHAPTER
def test_a_chapter_opens_and_closes_as_promised(path):
    prose = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    headings = re.findall(r"^(#+) (.+)$", "\n\n".join(prose), re.MULTILINE)
    assert [len(marks) for marks, _ in headings].count(1) == 1
    assert "you can answer:" in prose[0]
    assert {"Summary", "Questions", "Exercises"} <= {title for _, title in headings}
    closing = "\n".join(prose)
    assert closing.count("<summary>Answer</summary>") == 3
    assert closing.count("<summary>Hint</summary>") == closing.count("<summary>Solution</summary>") >= 1


@CHAPTER
def test_links_lead_somewhere(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            for target in re.findall(r"\]\(([^)#]+)", cell.source):
                assert target.startswith("https://") or (path.parent / target).exists(), target


def solutions_in(path):
    prose = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    return "\n".join(re.findall(r"```python\n(.*?)```", "\n".join(prose), re.S))


@CHAPTER
def test_solutions_run_and_pass_their_checks(path, capsys):
    """What stands in a folded solution works in the chapter's own namespace."""
    solutions, namespace = solutions_in(path), {"__name__": "__main__"}
    assert solutions
    exec("\n".join(cells_for(solutions, [cell.source for cell in code_cells(path)])), namespace)
    capsys.readouterr()
    exec(solutions, namespace)
    assert not re.findall(r"^[✗○].*", capsys.readouterr().out, re.MULTILINE)


@CHAPTER
def test_an_exercise_has_a_cell_to_write_into_and_its_check(path):
    """It stands below the text, and what it prints says that nothing is written yet."""
    cells = nbformat.read(path, as_version=4).cells
    checked = []
    for above, cell in itertools.pairwise(cells):
        names = CHECKS.findall(cell.source) if cell.cell_type == "code" else []
        if names and cell.outputs[0].text.startswith("○"):
            checked += names
            functions = re.findall(r"^def (\w+)", cell.source, re.MULTILINE)
            assert cell.outputs[0].text == "".join(f"○ {name} returns nothing\n" for name in functions)
            number = re.findall(r"^\*\*(E\d)\.", above.source, re.MULTILINE)[-1]
            text = above.source.rpartition(f"**{number}.")[2].partition("<details>")[0]
            assert all(f"`{name}(" in text for name in functions)
            assert f"# {number}: write it here" in cell.source
    assert checked and checked == CHECKS.findall(solutions_in(path))


class Names(NamedTuple):
    """What code does with names that stand outside of functions."""

    bound: set[str]
    changed: set[str]  # what they stand for: model.eval() changes model
    used: set[str]  # from cells before
    deferred: set[str]  # used when a function is called


def cells_for(text, code):
    """The cells of modules, those that make the names in a text, and the names in those; no pictures."""
    chosen, names = [], names_in(text)
    needed, deferred = names.used, names.deferred
    fixed = {name for source in code for name in imports(source)} | {*dir(builtins)}
    for source in reversed(code):
        if source.startswith("# swin_edu/"):  # complete without other cells
            chosen.insert(0, source)
            needed -= names_in(source).bound
            continue
        names = names_in(source)
        made = names.bound | names.changed - fixed
        if made & (needed | deferred) and "show(" not in source:
            chosen.insert(0, source)
            needed, deferred = needed - names.bound | names.used, deferred | names.deferred
    return chosen


def names_in(text):
    """The names of code, statement by statement: what one binds, later ones do not take from before."""
    found = Names(set(), set(), set(), set())
    for statement in ast.parse(text).body:
        names = names_of(statement)
        for kind in ("used", "deferred"):
            getattr(found, kind).update(getattr(names, kind) - found.bound)
        found.bound.update(names.bound)
        found.changed.update(names.changed)
    return found


def names_of(statement):
    table = symtable.symtable(ast.unparse(statement), "statement", "exec")
    symbols = table.get_symbols()
    bound = {symbol.get_name() for symbol in symbols if symbol.is_assigned() or symbol.is_imported()}
    used = {symbol.get_name() for symbol in symbols if symbol.is_referenced()}
    deferred = set()
    for inner in table.get_children():
        (used if inner.get_name().endswith(("comp", "genexpr")) else deferred).update(globals_of(inner))
    changed = {
        name.id for node in changing(statement) for name in ast.walk(node) if isinstance(name, ast.Name)
    } & (bound | used | deferred)
    first_used = isinstance(statement, (ast.Assign, ast.AugAssign, ast.AnnAssign))  # such as x = 2 * x
    return Names(bound, changed, used if first_used else used - bound, deferred - bound)


def globals_of(table):
    for symbol in table.get_symbols():
        if symbol.is_global():
            yield symbol.get_name()
    for child in table.get_children():
        yield from globals_of(child)


def changing(statement):
    """What is put something into, or called for its own sake."""
    for node in ast.walk(statement):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.ctx, ast.Store):
            yield node
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            yield node.value.func


def imports(text):
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, (ast.Import, ast.ImportFrom))]
    return {(alias.asname or alias.name).partition(".")[0] for node in nodes for alias in node.names}


@CHAPTER
def test_a_chapter_stays_small(path):
    assert path.stat().st_size < 2_000_000


STORED = "working on: cpu\ntensor([1.25, 2.50])\n19.9 % on cpu\n"
PRINTED = {
    "passes_on_cuda": STORED.replace("cpu", "cuda:0").replace("])", "], device='cuda:0')"),
    "passes_on_mps": STORED.replace("cpu", "mps:0"),
    "fails_by_a_digit_of_a_tensor": STORED.replace("2.50", "2.51").replace("cpu", "cuda:0"),
    "fails_by_a_digit": STORED.replace("19.9", "19.8"),
    "fails_by_a_line": STORED + "one line more\n",
}


def test_the_sanitiser_hides_the_device_and_nothing_else(tmp_path):
    cells = []
    for count, printed in enumerate(PRINTED.values(), 1):
        cell = nbformat.v4.new_code_cell(f"print({json.dumps(printed[:-1])})", execution_count=count)
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=STORED)]
        cells.append(cell)
    notebook = nbformat.v4.new_notebook(cells=cells)
    (tmp_path / "on_a_gpu.ipynb").write_text(nbformat.writes(notebook), "utf-8")
    settings = ["-rA", "-p", "no:cacheprovider", "-c", ROOT / "pyproject.toml"]
    command = [sys.executable, "-m", "pytest", *settings, tmp_path]
    said = subprocess.run([*map(str, command)], capture_output=True, encoding="utf-8", cwd=ROOT).stdout
    for number, name in enumerate(PRINTED):
        word = "PASSED" if name.startswith("passes") else "FAILED"
        assert re.search(rf"^{word} .*on_a_gpu\.ipynb::Cell {number}", said, re.MULTILINE), (name, said)
