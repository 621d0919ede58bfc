"""The modules are the chapters' cells, and writing them twice changes nothing."""

import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from swin_edu.book import write

MEND = "mend with: python3 -m swin_edu write"


@pytest.fixture
def book(tmp_path):
    """A small book: one chapter with two headed cells, one plain cell between."""
    cells = [
        nbformat.v4.new_markdown_cell("# A chapter"),
        nbformat.v4.new_code_cell('# swin_edu/one.py\n"""One."""\n\nimport math'),
        nbformat.v4.new_code_cell("print(6 * 7)"),
        nbformat.v4.new_code_cell(
            "# swin_edu/one.py\ndef root(x: float) -> float:\n    return math.sqrt(x)\n"
        ),
    ]
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "01_one.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)), "utf-8")
    return tmp_path


def edit(path, number, change):
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[number].source = change(notebook.cells[number].source)
    path.write_text(nbformat.writes(notebook), "utf-8")


def tree(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("module", list(write.module_sources()))
def test_module_equals_its_cells(module):
    sentences = [sentence for sentence in write.stale_modules() if sentence.startswith(module)]
    assert not sentences, f"{sentences[0]}; {MEND}"


def test_every_module_outside_the_machinery_is_written_by_a_chapter():
    files = {path.relative_to(write.ROOT).as_posix() for path in (write.ROOT / "swin_edu").rglob("*.py")}
    by_hand = {
        path
        for path in files
        if path.startswith("swin_edu/book/") or path.endswith(("__init__.py", "__main__.py"))
    }
    assert files - by_hand == set(write.module_sources())


def test_a_module_is_its_cells_in_reading_order(book):
    assert write.write_modules(book) == ["swin_edu/one.py"]
    expected = '"""One."""\n\nimport math\n\n\ndef root(x: float) -> float:\n    return math.sqrt(x)\n'
    assert (book / "swin_edu/one.py").read_text() == expected


def test_a_changed_cell_is_named(book):
    write.write_modules(book)
    assert write.stale_modules(book) == []
    edit(book / "notebooks/01_one.ipynb", 3, lambda source: source.replace("sqrt", "cbrt"))
    assert write.stale_modules(book) == ["swin_edu/one.py differs from cell 3 of 01_one.ipynb"]
    edit(book / "notebooks/01_one.ipynb", 1, lambda source: source.replace("One.", "Two."))
    assert write.stale_modules(book) == ["swin_edu/one.py differs from cell 1 of 01_one.ipynb"]


def test_a_change_in_the_module_is_noticed(book):
    write.write_modules(book)
    with (book / "swin_edu/one.py").open("a") as file:
        file.write("\n\nextra = 1\n")
    assert write.stale_modules(book) == [
        "swin_edu/one.py differs from its cells: it goes on after cell 3 of 01_one.ipynb"
    ]
    (book / "swin_edu/one.py").unlink()
    assert write.stale_modules(book) == ["swin_edu/one.py differs from cell 1 of 01_one.ipynb"]


def test_writing_twice_changes_nothing(book):
    path = book / "notebooks/01_one.ipynb"
    write.write_modules(book)
    assert write.run_chapter(path)
    first = tree(book)
    assert write.write_modules(book) == []
    assert not write.run_chapter(path)
    assert tree(book) == first
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[2].outputs[0].text == "42\n"
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2, 3]


def test_a_failing_cell_leaves_the_notebook_as_it_was(book):
    path = book / "notebooks/01_one.ipynb"
    edit(path, 2, lambda source: source + "\n1 / 0")
    before = tree(book)
    with pytest.raises(CellExecutionError, match="ZeroDivisionError"):
        write.run_chapter(path)
    assert tree(book) == before


def test_the_live_view_of_a_widget_is_not_stored(book):
    path = book / "notebooks/01_one.ipynb"
    edit(path, 2, lambda source: "import ipywidgets\nipywidgets.IntSlider()")
    write.run_chapter(path)
    text = path.read_text("utf-8")
    assert write.LIVE_VIEW not in text
    assert "widgets" not in nbformat.read(path, as_version=4).metadata


def test_what_is_printed_in_pieces_is_stored_in_one(book):
    path = book / "notebooks/01_one.ipynb"
    slowly = "import sys, time\nfor text in 'ab':\n    print(text, flush=True)\n    time.sleep(0.5)"
    edit(path, 2, lambda source: f"{slowly}\nprint('c', file=sys.stderr, flush=True)\nprint('d')")
    write.run_chapter(path)
    outputs = nbformat.read(path, as_version=4).cells[2].outputs
    assert [(output.name, output.text) for output in outputs] == [
        ("stdout", "a\nb\n"),
        ("stderr", "c\n"),
        ("stdout", "d\n"),
    ]


def test_a_failed_write_leaves_no_half_file(book, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = tree(book)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write.write_modules(book)
    assert tree(book) == before


def test_a_notebook_of_an_older_format_is_renewed(book):
    path = book / "notebooks/01_one.ipynb"
    old = nbformat.read(path, as_version=4)
    old.nbformat_minor = 4
    for cell in old.cells:
        del cell["id"]
    path.write_text(nbformat.writes(old), "utf-8")
    write.run_chapter(path)
    nbformat.validate(nbformat.read(path, as_version=4))


def test_only_the_chapters_named(book):
    shutil.copy(book / "notebooks/01_one.ipynb", book / "notebooks/12_two.ipynb")
    names = [path.name for path in write.chapters(book, ["12"])]
    assert names == ["12_two.ipynb"]
    assert [path.name for path in write.chapters(book)] == ["01_one.ipynb", "12_two.ipynb"]
    assert write.stale_modules(book, ["12"]) == ["swin_edu/one.py differs from cell 1 of 01_one.ipynb"]
    edit(book / "notebooks/12_two.ipynb", 1, lambda _: "plain")
    edit(book / "notebooks/12_two.ipynb", 3, lambda _: "plain")
    assert write.stale_modules(book, ["12"]) == []
    with pytest.raises(ValueError, match="no notebook begins with '99'; there are 01_one, 12_two"):
        write.chapters(book, ["99"])


def test_check_says_which_command_mends(book, monkeypatch, capsys):
    monkeypatch.setattr(
        write, "stale_modules", lambda root, chosen: ["swin_edu/one.py differs from cell 3 of 01_one.ipynb"]
    )
    assert write.main([], check=True) == 1
    assert capsys.readouterr().out == f"swin_edu/one.py differs from cell 3 of 01_one.ipynb\n{MEND}\n"


def imported_too_early(root):
    """Return (module, other) wherever a module imports one that a later chapter, or no chapter, writes."""
    order = list(write.module_sources(root))
    pairs = []
    for module, source in write.module_sources(root).items():
        names = re.findall(r"^from swin_edu\.([\w.]+) import", source, re.MULTILINE)
        others = [f"swin_edu/{name.replace('.', '/')}.py" for name in names]
        pairs += [(module, other) for other in others if other not in order[: order.index(module)]]
    return pairs


def test_modules_import_only_those_of_earlier_chapters(book):
    assert imported_too_early(write.ROOT) == []
    chapter = nbformat.v4.new_code_cell("# swin_edu/rivals/two.py\nfrom swin_edu.one import root")
    path = book / "notebooks/02_two.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[chapter])), "utf-8")
    assert imported_too_early(book) == []
    path.rename(book / "notebooks/00_two.ipynb")
    assert imported_too_early(book) == [("swin_edu/rivals/two.py", "swin_edu/one.py")]


def test_importing_the_package_does_not_import_torch():
    code = "import sys, swin_edu, swin_edu.__main__; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=write.ROOT)
    assert result.stdout == "False\n"
