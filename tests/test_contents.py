"""The sections of the book, how long they take, and the ways through it."""

import base64
import json
import re
import shutil
from functools import cache

import browser
import nbformat
import pytest
from playwright.sync_api import expect

from swin_edu.book import contents, glossary
from swin_edu.book.figures import FIGURES
from swin_edu.book.write import ROOT, cells_by_module, chapters

FIRST = ROOT / "notebooks" / "00_start_here.ipynb"
MEND = "another notebook or figure changed; mend with: python3 -m swin_edu write 00"
LINK = re.compile(r"\[([^\]]+)\]\(([^)#]+\.ipynb)(?:#cell-id=(cell-\d+))?\)")
WAYS = {"hour": contents.HOUR, "weekend": contents.WEEKEND, "course": contents.COURSE}


@cache
def cells_of(name):
    return nbformat.read(ROOT / "notebooks" / name, as_version=4).cells


def tables():
    ways = map(contents.way, WAYS.values())
    return [*ways, contents.files_by_chapter(), glossary.glossary_table(), glossary.index_table()]


@pytest.fixture
def notebook(tmp_path):
    """Two chapters' worth of trouble: a heading in the middle of a cell, code in prose, exercises."""
    words = "one two three " * 50
    sources = [
        ("markdown", f"# 7 · Some title: long\n\n{words}"),
        ("code", "1 + 1"),
        (
            "markdown",
            "the end of the opening\n\n## 7.1 A section\n\ntwo $a b c$ words\n\n```python\nx = 1\n```",
        ),
        ("code", "2 + 2"),
        ("code", "3 + 3"),
        ("markdown", "### Not a section\n\nof its own"),
        (
            "markdown",
            "## Exercises\n\n**E1.** Difficulty 1 · 10 minutes. Do it.\n\n**E2.** 25 minutes. Do that, too.",
        ),
        ("code", "..."),
    ]
    cells = [
        {"cell_type": kind, "id": f"cell-{number:02d}", "source": source.splitlines(keepends=True)}
        for number, (kind, source) in enumerate(sources)
    ]
    path = tmp_path / "07_some.ipynb"
    path.write_text(json.dumps({"cells": cells}), "utf-8")
    return path


def test_sections_begin_at_headings_wherever_they_stand(notebook):
    opening, section, exercises = contents.sections_of(notebook)
    assert [opening.number, section.number, exercises.number] == ["7", "7.1", "7 Exercises"]
    assert [opening.title, section.title, exercises.title] == [
        "7 · Some title",
        "7.1 A section",
        "7 Exercises",
    ]
    assert [opening.first, section.first, exercises.first] == ["cell-00", "cell-02", "cell-06"]
    assert opening.prose["cell-02"].strip() == "the end of the opening"
    assert list(section.prose) == ["cell-02", "cell-05"]
    assert list(opening.code) == ["cell-01"] and list(section.code) == ["cell-03", "cell-04"]
    assert "x = 1" not in section.lowered and "a b c" not in section.lowered and "2 + 2" in section.lowered
    assert section.link() == "[7.1](07_some.ipynb#cell-id=cell-02)"
    assert section.link("words", "cell-05") == "[words](07_some.ipynb#cell-id=cell-05)"


def test_minutes_follow_the_rule(notebook):
    opening, section, exercises = contents.sections_of(notebook)
    heading, words, end = 6, 150, 5
    assert opening.minutes == pytest.approx((heading + words + end) / 150 + 1)
    assert section.minutes == pytest.approx((4 + 2 + 4 + 3) / 150 + 2)
    assert exercises.minutes == 35


@pytest.mark.parametrize(
    ("minutes", "words"), [(7.4, "7 min"), (60, "60 min"), (61, "1 h"), (122, "2 h"), (127.6, "2 h 10 min")]
)
def test_a_duration_in_words(minutes, words):
    assert contents.duration(minutes).replace("\u00a0", " ") == words


def test_every_section_of_the_book_has_a_number_of_its_own():
    found = [section.number for path in chapters() for section in contents.sections_of(path)]
    assert len(found) == len(set(found)) == len(contents.sections())
    assert all(str(chapter.number) in found for chapter in contents.CHAPTERS[1:])


def test_exercises_state_their_minutes():
    for number, section in contents.sections().items():
        if section.heading == "Exercises":
            asked = re.findall(r"^\*\*E\d\.", "\n".join(section.prose.values()), re.MULTILINE)
            stated = contents.STATED.findall(" ".join(section.prose.values()))
            assert len(stated) == len(asked), number


def test_the_ways_keep_what_they_promise():
    assert 50 <= sum(leg.minutes for leg in contents.HOUR) <= 60
    assert len(contents.WEEKEND) == 2 and all(leg.minutes <= 6 * 60 for leg in contents.WEEKEND)
    assert len(contents.COURSE) == 6 and all(leg.minutes <= 10.5 * 60 for leg in contents.COURSE)


@pytest.mark.parametrize("legs", WAYS.values(), ids=WAYS)
def test_a_way_never_goes_back(legs):
    read = [section.chapter for leg in legs for section in leg.read]
    assert read == sorted(read) and read[0] == 0
    headings = [section.heading for leg in legs for section in leg.read]
    assert ("Exercises" in headings) == (legs is contents.COURSE)


def test_assignments_come_when_their_chapters_are_read():
    rows = re.findall(
        r"^\| (A\d) \|[^|]*\| ([^|]*) \|", (FIRST.parent / "assignments/README.md").read_text("utf-8"), re.M
    )
    needed = {name: [int(n) for n in re.findall(r"\d+", after)] for name, after in rows}
    done, given = set(), []
    for leg in contents.COURSE:
        done |= {section.chapter for section in leg.read}
        given += leg.assignments
        assert all(set(needed[name]) <= done for name in leg.assignments), leg.when
    assert given == sorted(needed)


def test_a_leg_counts_its_sections_and_assignments():
    both = contents.Leg("now", "say it", sections=("3.2",), assignments=("A1", "A2"))
    assert both.minutes == contents.sections()["3.2"].minutes + 90 + 120
    plain, whole = (contents.Leg("now", "say it", chapters=(3,), exercises=x) for x in (False, True))
    assert whole.minutes == pytest.approx(plain.minutes + contents.sections()["3 Exercises"].minutes)


def test_every_link_of_the_tables_leads_to_a_cell():
    links = set(LINK.findall("\n".join(tables())))
    assert len(links) > 500
    names = {name: cells_of(name) for _, name, _ in links}
    for words, name, cell in links:
        assert not cell or any(one.id == cell for one in names[name]), (words, name, cell)


def test_a_link_named_by_a_section_leads_into_it():
    inside: dict[tuple[str, str], list[str]] = {}  # which sections a cell has something of
    for path in chapters():
        number = ""
        for cell in cells_of(path.name):
            found = (
                re.findall(r"^## (\d+\.\d+|\w+)", cell.source, re.M) if cell.cell_type == "markdown" else []
            )
            inside[path.name, cell.id] = [number, *found]
            number = found[-1] if found else number
    for words, name, cell in LINK.findall("\n".join(tables())):
        if number := re.match(r"\d+\.\d+", words):
            assert number[0] in inside[name, cell], (words, name, cell)


def test_a_link_opens_its_section_in_jupyterlab(page, tmp_path):
    section = contents.sections()["3.5"]
    shutil.copy(FIRST.parent / section.notebook, tmp_path)
    start = nbformat.read(FIRST, as_version=4)
    start.cells = [nbformat.v4.new_markdown_cell(section.link("go there"))]
    (tmp_path / "start.ipynb").write_text(nbformat.writes(start), "utf-8")
    with browser.jupyterlab(tmp_path) as address:
        page.goto(f"{address}/lab/tree/start.ipynb?reset")
        page.get_by_role("link", name="go there").click()
        expect(page.get_by_role("heading", name=section.heading)).to_be_in_viewport(timeout=60_000)


def test_the_first_page_shows_what_the_notebooks_say_now():
    outputs = [output for cell in cells_of(FIRST.name) for output in cell.get("outputs", [])]
    shown = [output.data["text/markdown"] for output in outputs if "text/markdown" in output.get("data", {})]
    assert shown[: len(tables())] == tables(), MEND


def test_the_first_page_shows_a_picture_for_every_chapter_and_none_twice():
    headings, names = [], []
    for cell in cells_of(FIRST.name):
        headings += re.findall(r"^### (\d+) · ", cell.source, re.M) if cell.cell_type == "markdown" else []
        names += re.findall(r'^picture\("(\w+)"\)', cell.source, re.M)
    assert headings == [str(number) for number in range(1, 17)]
    assert [FIGURES[name].chapter for name in names] == list(range(1, 16))  # that of 16 is drawn there
    assert len(set(names)) == len(names)


def test_the_first_page_shows_the_stored_figures():
    for cell in cells_of(FIRST.name):
        if named := re.match(r'picture\("(\w+)"\)', cell.source):
            [output] = cell.outputs
            stored = (ROOT / "figures" / f"{named[1]}.png").read_bytes()
            assert output.data["image/png"].replace("\n", "") == base64.b64encode(stored).decode(), MEND
            assert output.metadata["image/png"]["alt"] == FIGURES[named[1]].alt, MEND


def test_every_file_that_chapters_write_stands_with_the_first_that_does():
    table = contents.files_by_chapter()
    modules = cells_by_module()
    assert table.count("](../swin_edu/") == len(modules) >= 20
    for module, cells in modules.items():
        [row] = [line for line in table.splitlines() if f"[`{module}`](../{module})" in line]
        assert f"]({cells[0].notebook})" in row and (ROOT / module).exists()
