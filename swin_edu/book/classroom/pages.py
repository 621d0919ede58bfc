"""What a teacher and the students get: a table of the class, a summary, and one page of feedback each.

All that a student wrote is escaped, and the pages allow neither scripts nor anything from elsewhere.
"""

import csv
import io
import re
from collections import Counter
from pathlib import Path
from typing import Any

import jinja2
from matplotlib import colormaps
from matplotlib.colors import Normalize, to_hex

from swin_edu.book.classroom.assignments import Assignment
from swin_edu.book.classroom.open_answers import version
from swin_edu.book.classroom.submissions import digest, in_table
from swin_edu.book.files import replace_text

Record = dict[str, Any]
TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def write(
    assignment: Assignment, records: list[Record], rubric: dict[str, dict[str, str]], out: Path
) -> None:
    """Write class.csv, summary.html, a page for each student, and, for open answers, rubric.csv."""
    rows = [row_of(assignment, record, rubric.get(record["student"], {})) for record in records]
    if rubric:
        header = ["student", *next(iter(rubric.values()))]
        replace_text(
            out / "rubric.csv", table(header, [{"student": name, **row} for name, row in rubric.items()])
        )
    replace_text(out / "class.csv", table(list(columns(assignment)), rows))
    replace_text(out / "summary.html", summary(assignment, records, rows))
    page = TEMPLATES.get_template("feedback.html")
    current = set()
    for record, row in zip(records, rows, strict=True):
        current.add(name := page_name(record["student"]))
        text = page.render(
            assignment=assignment,
            record=record,
            row=row,
            given=rubric.get(record["student"], {}),
            tasks={item.name: item.task for item in assignment.items},
            coloured=coloured,
            in_words=IN_WORDS,
        )
        replace_text(out / "feedback" / name, text)
    for old in (out / "feedback").glob("*.html"):
        if old.name not in current:
            old.unlink()


IN_WORDS = {
    "right": "right",
    "wrong": "not right yet",
    "raised": "stops with an error",
    "empty": "not written yet",
    "not-found": "not found: no function of this name is defined when the notebook is run from the top",
    "timeout": "not done in time",
    "crashed": "ended the process that ran it",
    "too-large": "gives more than is read",
}


def columns(assignment: Assignment) -> tuple[str, ...]:
    """Return the header of the class's table."""
    names = (*(item.name for item in assignment.items), *assignment.rubric)
    return ("student", "file", "status", "points", "of", *names, "message")


def row_of(assignment: Assignment, record: Record, given: dict[str, str]) -> dict[str, str]:
    """Return one line of the class's table; points are empty where nothing was graded."""
    row = {"student": record["student"], "file": record["file"], "status": record["status"]}
    row |= {"message": record["message"], "of": str(assignment.points)}
    if given and given["notebook"] != version(record):
        row["message"] = "the notebook changed after it was marked; look again, and empty the field notebook"
    points: list[float] = []
    for item in assignment.items:
        outcome = record["items"][item.name]["outcome"] if item.name in record["items"] else ""
        earned = {"right": item.points, "wrong": 0, "raised": 0, "empty": 0}
        row[item.name] = str(earned.get(outcome, outcome))
        if outcome in earned:
            points.append(earned[outcome])
    for question in assignment.rubric:
        fields = [text for name, text in given.items() if name.startswith(f"{question}: ")]
        row[question] = f"{sum(map(float, fields)):g}" if fields and all(fields) else ""
        if row[question]:
            points.append(float(row[question]))
    complete = all(row[question] for question in assignment.rubric)
    row["points"] = f"{sum(points):g}" if points and complete else ""
    return row


def table(header: list[str], rows: list[dict[str, str]]) -> str:
    """Return a table as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: in_table(value) for name, value in row.items()})
    return text.getvalue()


def page_name(student: str) -> str:
    """Return the name of a student's page, which any file system can hold."""
    readable = re.sub(r"[^\w-]", "_", student)[:40]
    return f"{readable}-{digest(student.encode())[:8]}.html"


def summary(assignment: Assignment, records: list[Record], rows: list[dict[str, str]]) -> str:
    """Return the teacher's page: how each item went, the commonest mistakes, who needs a look."""
    items = []
    for item in assignment.items:
        verdicts = [record["items"][item.name] for record in records if item.name in record["items"]]
        outcomes = Counter(verdict["outcome"] for verdict in verdicts)
        mistakes = Counter(verdict["mistake"] for verdict in verdicts if verdict["mistake"])
        items.append((item, outcomes.most_common(), mistakes.most_common(), len(verdicts)))
    points = [float(row["points"]) for row in rows if row["points"]]
    return TEMPLATES.get_template("summary.html").render(
        assignment=assignment,
        items=items,
        rows=[(row, f"feedback/{page_name(row['student'])}") for row in rows],
        statuses=Counter(row["status"] for row in rows).most_common(),
        histogram=[
            (value, sum(int(point) == value for point in points)) for value in range(assignment.points + 1)
        ],
        mean=f"{sum(points) / len(points):.1f}" if points else "",
        count=len(points),
        in_words=IN_WORDS,
    )


def coloured(target: list[list[float]], values: list[list[float]]) -> list[list[tuple[float, str, str]]]:
    """Return the numbers of a map with their colours on the scale of the target: ground and ink."""
    numbers = [number for row in target for number in row if abs(number) != float("inf")] or [0.0]
    scale, colours = Normalize(min(numbers), max(numbers) + 1e-12, clip=True), colormaps["cividis"]
    return [
        [
            (number, to_hex(colours(scale(number))), "#000" if scale(number) > 0.5 else "#fff")
            for number in row
        ]
        for row in values
    ]
