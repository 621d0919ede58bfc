"""One source: the chapters are the package.

A code cell whose first line is a path, such as ``# swin_edu/patches.py``, belongs to that file; the file is
those cells in reading order. ``python3 -m swin_edu write`` writes the modules from the cells, then runs the
chapters and stores what they printed and drew.
"""

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from swin_edu.book.files import replace_text

ROOT = Path(__file__).resolve().parents[2]
HEADER = re.compile(r"# (swin_edu/[a-z0-9_/]+\.py)")
LIVE_VIEW = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Cell:
    """One headed cell: where it stands, which module it belongs to, and its code without the header."""

    notebook: str
    number: int
    module: str
    code: str


def chapters(root: Path = ROOT, chosen: list[str] | None = None) -> list[Path]:
    """Return the chapters' notebooks in order, or those whose names begin with one of `chosen`.

    Raises ValueError when a choice names no chapter.
    """
    return named(sorted(root.glob("notebooks/[0-9][0-9]_*.ipynb")), chosen)


def notebooks(root: Path = ROOT, chosen: list[str] | None = None) -> list[Path]:
    """Return the notebooks of chapters and assignments, as `chapters` does."""
    return named(chapters(root) + sorted(root.glob("notebooks/assignments/*.ipynb")), chosen)


def named(every: list[Path], chosen: list[str] | None) -> list[Path]:
    """Return the paths whose names begin with one of `chosen`, or all; raise ValueError if one has none."""
    for choice in chosen or []:
        if not any(path.name.startswith(choice) for path in every):
            known = ", ".join(path.stem for path in every)
            raise ValueError(f"no notebook begins with {choice!r}; there are {known}")
    return [path for path in every if not chosen or path.name.startswith(tuple(chosen))]


def headed_cells(root: Path = ROOT) -> list[Cell]:
    """Return the headed cells of all chapters, in reading order."""
    cells = []
    for path in chapters(root):
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
            first, _, code = cell.source.partition("\n")
            header = HEADER.fullmatch(first.rstrip())
            if cell.cell_type == "code" and header:
                cells.append(Cell(path.name, number, header[1], code.strip("\n")))
    return cells


def cells_by_module(root: Path = ROOT) -> dict[str, list[Cell]]:
    """Return the cells of every module that the chapters build, by the module's path."""
    modules: dict[str, list[Cell]] = {}
    for cell in headed_cells(root):
        modules.setdefault(cell.module, []).append(cell)
    return modules


def joined(cells: list[Cell]) -> str:
    """Return the text of the module whose cells these are."""
    return "\n\n\n".join(cell.code for cell in cells) + "\n"


def module_sources(root: Path = ROOT) -> dict[str, str]:
    """Return the text of every module that the chapters build, by its path."""
    return {module: joined(cells) for module, cells in cells_by_module(root).items()}


def stale_modules(root: Path = ROOT, chosen: list[str] | None = None) -> list[str]:
    """Return one sentence for every module, of the chapters chosen, that differs from its cells."""
    names = {path.name for path in chapters(root, chosen)}
    sentences = []
    for module, cells in cells_by_module(root).items():
        path = root / module
        text = path.read_text("utf-8") if path.exists() else ""
        if text != joined(cells) and any(cell.notebook in names for cell in cells):
            sentences.append(f"{module} differs from {first_difference(text, cells)}")
    return sentences


def first_difference(text: str, cells: list[Cell]) -> str:
    """Name the first of the cells whose code `text` does not hold in its place."""
    for cell in cells:
        if not text.startswith(cell.code + "\n"):
            return f"cell {cell.number} of {cell.notebook}"
        text = text[len(cell.code) :].lstrip("\n")
    return f"its cells: it goes on after cell {cells[-1].number} of {cells[-1].notebook}"


def write_modules(root: Path = ROOT, chosen: list[str] | None = None) -> list[str]:
    """Write the modules, of the chapters chosen, that differ from their cells; return their paths."""
    names = {path.name for path in chapters(root, chosen)}
    return [
        module
        for module, cells in cells_by_module(root).items()
        if any(cell.notebook in names for cell in cells) and replace_text(root / module, joined(cells))
    ]


def run_chapter(path: Path) -> bool:
    """Run one notebook from top to bottom and store its outputs; return whether the file changed.

    Raises CellExecutionError, and leaves the file as it was, when a cell fails.
    """
    notebook = nbformat.read(path, as_version=4)
    measuring = os.environ.get("SWIN_EDU_MEASURE") == "1"
    client = NotebookClient(
        notebook,
        timeout=None if measuring else 300,  # seconds a cell
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        store_widget_state=False,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
    )
    client.execute(env={"SWIN_EDU_MEASURE": "0", **os.environ, "SWIN_EDU_DEVICE": "cpu"})
    tidy(notebook)
    return replace_text(path, nbformat.writes(notebook) + "\n")


def tidy(notebook: NotebookNode) -> None:
    """Drop what would differ in the next run or on the next machine.

    The live view of a widget goes too: its model dies with the kernel, and a stored view without a model
    would hide the still picture beside it.
    """
    notebook.nbformat_minor = 5  # the first with cell ids
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict(
            {k: v for k, v in cell.metadata.items() if k in ("tags", "jupyter", "nbgrader")}
        )
        if "outputs" in cell:
            cell.outputs = in_one_piece(cell.outputs)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(LIVE_VIEW, None)


def in_one_piece(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what was printed in a row: a slow cell's lines come in one piece or in several, as time allows."""
    result: list[NotebookNode] = []
    for output in outputs:
        last = result[-1] if result else None
        if last and last.output_type == output.output_type == "stream" and last.name == output.name:
            last.text += output.text
        else:
            result.append(output)
    return result


def main(chosen: list[str], check: bool = False) -> int:
    """Write the modules and run the notebooks chosen (all, if none is); with `check`, only compare."""
    try:
        paths = notebooks(ROOT, chosen)
    except ValueError as problem:
        print(problem, file=sys.stderr)
        return 2
    numbers = [path.name for path in paths if path in chapters(ROOT)]
    assignments = [path for path in paths if path.name not in numbers]
    if check:
        sentences = stale_modules(ROOT, numbers) if numbers else []
        if assignments:
            from swin_edu.book.classroom.source import stale_cells

            sentences += stale_cells(assignments)
        print(
            "\n".join(sentences) + "\nmend with: python3 -m swin_edu write"
            if sentences
            else "modules and cells agree"
        )
        return 1 if sentences else 0
    for module in write_modules(ROOT, numbers) if numbers else []:
        print(f"wrote {module}")
    if assignments:
        from swin_edu.book.classroom.source import write_cells  # imports modules, so after they are written

        write_cells(assignments)
    for path in paths:
        try:
            print(f"{path.name}: {'outputs stored' if run_chapter(path) else 'unchanged'}", flush=True)
        except CellExecutionError as problem:
            print(f"{path.name}: a cell failed, nothing was stored\n{problem}", file=sys.stderr)
            return 1
    return 0
