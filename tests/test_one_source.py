"""The modules are the chapters' cells, and writing them twice changes nothing."""

import shutil
import subprocess

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
    files = {str(path.relative_to(write.ROOT)) for path in (write.ROOT / "swin_edu").rglob("*.py")}
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


def test_only_the_chapters_named(book):
    shutil.copy(book / "notebooks/01_one.ipynb", book / "notebooks/12_two.ipynb")
    names = [path.name for path in write.chapters(book, ["12"])]
    assert names == ["12_two.ipynb"]
    assert [path.name for path in write.chapters(book)] == ["01_one.ipynb", "12_two.ipynb"]
    with pytest.raises(ValueError, match="no chapter begins with '99'; there are 01_one, 12_two"):
        write.chapters(book, ["99"])


def test_check_says_which_command_mends(book, monkeypatch, capsys):
    monkeypatch.setattr(
        write, "stale_modules", lambda: ["swin_edu/one.py differs from cell 3 of 01_one.ipynb"]
    )
    assert write.main([], check=True) == 1
    assert capsys.readouterr().out == f"swin_edu/one.py differs from cell 3 of 01_one.ipynb\n{MEND}\n"


def test_chapters_import_only_earlier_chapters():
    order = [cell.module for cell in write.headed_cells()]
    for module, source in write.module_sources().items():
        imported = [
            f"swin_edu/{line.split('.')[1].split()[0]}.py"
            for line in source.splitlines()
            if line.startswith("from swin_edu.")
        ]
        assert all(order.index(other) < order.index(module) for other in imported)


def test_importing_the_package_does_not_import_torch():
    code = "import sys, swin_edu, swin_edu.__main__; print('torch' in sys.modules)"
    import sys

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=write.ROOT)
    assert result.stdout == "False\n"
