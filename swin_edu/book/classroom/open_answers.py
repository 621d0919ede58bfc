"""Answers that a person grades: they are collected, and points from a rubric's table are added."""

import base64
import csv
import struct
from pathlib import Path
from typing import Any

from swin_edu.book.classroom.assignments import Assignment
from swin_edu.book.classroom.submissions import UngradableError, clean, grade_id, in_table

MOST_TEXT = 50_000  # characters of one answer
MOST_PICTURES = 8  # of one answer
MOST_PICTURE = 2**20  # bytes
MOST_PIXELS = 4_000  # a side
Record = dict[str, Any]


def collect(assignment: Assignment, cells: list[Record]) -> Record:
    """Return the answers in a notebook as text and pictures; nothing is run."""
    answers = {}
    for cell in cells:
        name = grade_id(cell)
        if name in assignment.rubric:
            printed, pictures = outputs_of(cell)
            answers[name] = {
                "text": clean(cell["source"][:MOST_TEXT]),
                "printed": printed,
                "pictures": pictures,
            }
    if not answers:
        raise UngradableError(
            "cells-not-found", "no answer has the mark of a question; was the notebook rewritten?"
        )
    return {"status": "graded", "answers": answers}


def outputs_of(cell: Record) -> tuple[str, list[str]]:
    """Return what a cell printed, and its pictures in base64: PNG only, of moderate size."""
    printed, pictures = [], []
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else []:
        if not isinstance(output, dict):
            continue
        data = output.get("data")
        data = data if isinstance(data, dict) else {}
        printed.append(as_text(output.get("text", "" if "image/png" in data else data.get("text/plain", ""))))
        if is_picture(picture := as_text(data.get("image/png", "")).replace("\n", "")):
            pictures.append(picture)
    return clean("".join(printed))[:5_000], pictures[:MOST_PICTURES]


def as_text(value: Any) -> str:
    """Return a text that a notebook keeps whole or in lines."""
    parts = value if isinstance(value, list) else [value]
    return "".join(part for part in parts if isinstance(part, str))


def is_picture(text: str) -> bool:
    """Tell whether a text is a PNG file in base64, neither large nor of many pixels."""
    try:
        data = base64.b64decode(text, validate=True)
        signature, width, height = struct.unpack(">8s8x2I", data[:24])
    except (ValueError, struct.error):
        return False
    small = len(data) <= MOST_PICTURE and width <= MOST_PIXELS and height <= MOST_PIXELS
    return small and signature == b"\x89PNG\r\n\x1a\n"


def criteria(assignment: Assignment) -> dict[str, int]:
    """Return the points of each criterion, by `question: criterion`."""
    return {
        f"{question}: {criterion}": points
        for question, of_question in assignment.rubric.items()
        for criterion, points in of_question
    }


def read_rubric(assignment: Assignment, out: Path, records: list[Record]) -> dict[str, dict[str, str]]:
    """Return what a person wrote into rubric.csv, by student and criterion; empty for students it lacks.

    Rows of students who are no longer in the class stay; `notebook` tells which version was marked. Raises
    ValueError for another table, and for what is no points.
    """
    wanted, path = criteria(assignment), out / "rubric.csv"
    if not wanted:
        return {}
    names = {in_table(record["student"]): record["student"] for record in records}
    current = {record["student"]: version(record) for record in records}
    rubric = {student: {"notebook": current[student], **dict.fromkeys(wanted, "")} for student in current}
    for row in read_table(path, ["student", "notebook", *wanted]) if path.exists() else ():
        student = names.get(row["student"], row["student"])
        given = {name: (row[name] or "").strip() for name in wanted}
        marked = row["notebook"] if any(given.values()) else current.get(student, "")
        rubric[student] = {"notebook": marked or current.get(student, ""), **given}
        for name, most in wanted.items():
            check_points(rubric[student][name], most, f"{path}: {student}, {name}")
    return rubric


def version(record: Record) -> str:
    """Return what names the notebook of a record, and no spreadsheet takes for a number."""
    return "v" + str(record["key"])[:8]


def read_table(path: Path, header: list[str]) -> list[dict[str, str]]:
    """Return the rows of a table that a spreadsheet may have saved, with commas, semicolons or tabs."""
    text = path.read_text("utf-8-sig")
    first = text.partition("\n")[0]
    rows = csv.DictReader(text.splitlines(), delimiter=max(",;\t", key=first.count))
    if lacking := [name for name in header if name not in (rows.fieldnames or ())]:
        raise ValueError(f"{path} has no column {lacking[0]!r}; nothing was changed")
    return list(rows)


def check_points(text: str, most: int, where: str) -> None:
    """Raise ValueError where a field holds no points."""
    try:
        fits = not text or 0 <= float(text) <= most
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(f"{where} holds {text!r}; it must be a number from 0 to {most}, or empty")
