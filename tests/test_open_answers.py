"""The open assignment: collected without running anything, graded by a person's table."""

import base64
import csv
import io
import json
import struct

import hostile
import pytest
from PIL import Image

from swin_edu.book.classroom import grade, open_answers, submissions
from swin_edu.book.classroom.assignments import ASSIGNMENTS

A5 = ASSIGNMENTS["A5"]


def picture(width=2, height=2):
    data = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(data, "PNG")
    return base64.b64encode(data.getvalue()).decode()


def answer(name, text, outputs=()):
    marks = {"nbgrader": {"grade_id": name, "grade": True, "solution": True}}
    kind = {"cell_type": "code", "outputs": list(outputs)} if outputs else {"cell_type": "markdown"}
    return {"metadata": marks, "source": text, **kind}


def submission(*cells):
    return json.dumps({"cells": [*cells], "nbformat": 4}).encode()


@pytest.fixture
def graded(tmp_path):
    """Three students, one of whom handed in something else."""
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    shown = {
        "output_type": "display_data",
        "data": {"image/png": [picture() + "\n"], "text/plain": "<Image>"},
    }
    printed = {"output_type": "stream", "text": ["19 of 20\n", "<script>alert(1)</script>"]}
    html = {"output_type": "display_data", "data": {"text/html": "<img src=x onerror=alert(2)>"}}
    (work / "anna.ipynb").write_bytes(
        submission(
            answer("curves", "It *learns*.\n<b>"), answer("training", "train()", [shown, printed, html])
        )
    )
    (work / "ben.ipynb").write_bytes(submission(answer("essay", "Short.")))
    (work / "carl.ipynb").write_bytes(hostile.right())
    assert grade.main("A5", work, out, 2, "1/1", True) == 0
    return work, out


def rows(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def fill(out, student, points):
    """Write a table back as a spreadsheet does, with a mark at its beginning and other line ends."""
    table = rows(out / "rubric.csv")
    table[student] |= points
    with open(out / "rubric.csv", "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(table[student]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(table.values())


def test_answers_are_collected_as_text_and_pictures(graded):
    _, out = graded
    page = next((out / "feedback").glob("anna*")).read_text("utf-8")
    assert "It *learns*.\n&lt;b&gt;" in page and "19 of 20\n&lt;script&gt;" in page
    assert f'src="data:image/png;base64,{picture()}"' in page
    assert "<script>" not in page and "onerror" not in page
    for criterion, _ in A5.rubric["curves"]:
        assert criterion in page
    table = rows(out / "class.csv")
    assert table["anna"]["status"] == "graded" and table["anna"]["points"] == ""
    assert table["carl"]["status"] == "cells-not-found"


def test_the_points_of_a_person_are_added(graded, capsys):
    work, out = graded
    every = {name: str(most) for name, most in open_answers.criteria(A5).items()}
    fill(out, "anna", every)
    fill(out, "ben", dict.fromkeys(every, "0.5"))
    assert grade.merge("A5", out) == 0
    table = rows(out / "class.csv")
    assert table["anna"]["points"] == table["anna"]["of"] == str(A5.points)
    assert float(table["ben"]["points"]) == len(every) / 2 and table["carl"]["points"] == ""
    page = next((out / "feedback").glob("anna*")).read_text("utf-8")
    assert f"<strong>{A5.points} of {A5.points} points</strong>" in page
    (work / "dora.ipynb").write_bytes(submission(answer("essay", "Late.")))
    assert grade.main("A5", work, out, 1, "1/1", True) == 0
    assert rows(out / "class.csv")["anna"]["points"] == str(A5.points)  # nothing that was filled in is lost
    assert set(rows(out / "rubric.csv")) == {"anna", "ben", "carl", "dora"}


def test_a_notebook_that_changed_after_it_was_marked_is_told(graded):
    work, out = graded
    every = dict.fromkeys(open_answers.criteria(A5), "1")
    fill(out, "ben", every)
    (work / "ben.ipynb").write_bytes(submission(answer("essay", "Longer.")))
    (work / "anna.ipynb").write_bytes(submission(answer("essay", "Not marked yet.")))
    for _ in range(2):
        assert grade.main("A5", work, out, 1, "1/1", True) == 0
        table = rows(out / "class.csv")
        assert table["ben"]["points"] == str(len(every))
        assert table["ben"]["message"].startswith("the notebook changed after it was marked")
        assert table["anna"]["message"] == ""
    fill(out, "ben", {"notebook": ""})
    assert grade.merge("A5", out) == 0
    assert rows(out / "class.csv")["ben"]["message"] == ""


def test_a_part_without_points_has_no_sum(graded):
    _, out = graded
    name = next(iter(open_answers.criteria(A5)))
    fill(out, "anna", {name: "1"})
    assert grade.merge("A5", out) == 0
    assert rows(out / "class.csv")["anna"]["points"] == ""


def test_a_table_with_semicolons_is_read_and_another_table_is_left_alone(graded, capsys):
    work, out = graded
    (work / "=1+1.ipynb").write_bytes(submission(answer("essay", "Formula.")))
    assert grade.main("A5", work, out, 1, "1/1", True) == 0
    name = next(iter(open_answers.criteria(A5)))
    fill(out, "'=1+1", {name: "1"})
    path = out / "rubric.csv"
    with open(path, encoding="utf-8-sig", newline="") as file:
        table = list(csv.reader(file))
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=";").writerows([*table, ["gone", "", "1", *[""] * (len(table[0]) - 3)]])
    assert grade.merge("A5", out) == 0
    assert rows(path)["'=1+1"][name] == rows(path)["gone"][name] == "1"
    path.write_text("student,other\nanna,3\n", "utf-8")
    capsys.readouterr()
    assert grade.merge("A5", out) == 1
    assert "has no column 'notebook'; nothing was changed" in capsys.readouterr().err
    assert path.read_text("utf-8") == "student,other\nanna,3\n"


@pytest.mark.parametrize("points", ["much", "-1", "99", "nan", "inf"])
def test_what_is_no_points_is_told_and_kept(graded, capsys, points):
    _, out = graded
    name = next(iter(open_answers.criteria(A5)))
    fill(out, "ben", {name: points})
    before = (out / "rubric.csv").read_bytes()
    assert grade.merge("A5", out) == 1
    error = capsys.readouterr().err
    assert f"ben, {name} holds '{points}'; it must be a number from 0 to" in error and error.count("\n") == 1
    assert (out / "rubric.csv").read_bytes() == before


@pytest.mark.parametrize(
    "text",
    [
        "no base 64!",
        base64.b64encode(b"GIF89a" + bytes(30)).decode(),
        base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(8) + struct.pack(">2I", 100_000, 1)).decode(),
        picture() + "=" * 2**21,
        base64.b64encode(bytes(2**21)).decode(),
        "",
    ],
)
def test_what_is_no_picture(text):
    assert not open_answers.is_picture(text)
    assert open_answers.is_picture(picture(3, 5))


def test_names_that_a_table_could_confuse():
    names = ["=x", "'=x", "''=x", "x;=1+1", "x;'=1+1", "x", "\t=x"]
    shown = [submissions.in_table(name) for name in names]
    assert len(set(shown)) == len(names)
    assert not any(part.lstrip().startswith("=") for text in shown for part in text.split(";"))


def test_broken_outputs_do_no_harm(tmp_path):
    odd = [
        None,
        3,
        {"data": 5},
        {"data": {"image/png": {"a": 1}}},
        {"text": [1, "two"]},
        {"data": {"text/plain": None}},
    ]
    cell = answer("curves", "text") | {"cell_type": "code", "outputs": odd}
    assert open_answers.outputs_of(cell) == ("two", [])
    assert open_answers.outputs_of(cell | {"outputs": "text"}) == ("", [])
