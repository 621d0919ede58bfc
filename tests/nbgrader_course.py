"""The assignments in nbgrader, unchanged: handed out, handed in, graded; and how long that takes beside ours.

``.venv/bin/python tests/nbgrader_course.py [STUDENTS]`` sets nbgrader up in ``.venv-nbgrader``. Ends with an
error where nbgrader refuses an assignment, hands out something else than `release`, or gives other points.
"""

import csv
import os
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import nbformat

from swin_edu.book.classroom import grade
from swin_edu.book.classroom.assignments import ASSIGNMENTS
from swin_edu.book.classroom.release import release
from swin_edu.book.classroom.sandbox import Sandbox
from swin_edu.book.write import ROOT

FOLDER = ROOT / ".venv-nbgrader"


def set_up() -> None:
    """Make an environment with nbgrader and this package, once."""
    if not FOLDER.exists():
        venv.create(FOLDER, with_pip=True)
        pip = [FOLDER / "bin" / "python", "-m", "pip", "install", "--quiet", "nbgrader==0.9.*"]
        subprocess.run([*pip, "-r", ROOT / "requirements.txt", "-e", ROOT], check=True)


def nbgrader(course: Path, *words: str) -> None:
    """Run a command of nbgrader in a course."""
    path = f"{FOLDER / 'bin'}:{os.environ['PATH']}"
    subprocess.run(
        [FOLDER / "bin" / "nbgrader", *words, "--log-level=ERROR"],
        cwd=course,
        env=os.environ | {"PATH": path, "SWIN_EDU_DEVICE": "cpu"},
        check=True,
    )


def hand_out(course: Path) -> None:
    """Generate every assignment, and compare with what `release` writes."""
    for name, assignment in ASSIGNMENTS.items():
        (course / "source" / name).mkdir(parents=True)
        shutil.copy(assignment.source, course / "source" / name)
        nbgrader(course, "generate_assignment", name)
        theirs = nbformat.read(course / "release" / name / assignment.source.name, as_version=4)
        ours = release(assignment)
        assert [cell.source for cell in theirs.cells] == [cell.source for cell in ours.cells], name
        print(f"{name}: handed out by nbgrader as by release, {len(ours.cells)} cells")


def hand_in(course: Path, students: int) -> None:
    """Hand in A1: the solutions; every second student has left out the first."""
    assignment = ASSIGNMENTS["A1"]
    first = assignment.items[0].name
    for number in range(students):
        notebook = nbformat.read(course / "release" / "A1" / assignment.source.name, as_version=4)
        whole = nbformat.read(assignment.source, as_version=4)
        for cell, solved in zip(notebook.cells, whole.cells, strict=True):
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name and (number % 2 == 0 or name != first):
                cell.source = solved.source
        folder = course / "submitted" / f"student{number:03d}" / "A1"
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / assignment.source.name)


def points_of_nbgrader(course: Path) -> dict[str, float]:
    """Return each student's points from nbgrader's table."""
    nbgrader(course, "export", "--to", "grades.csv")
    with open(course / "grades.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["assignment"] == "A1"]
    return {row["student_id"]: float(row["score"]) for row in rows}


def points_of_ours(course: Path) -> dict[str, float]:
    """Return each student's points from our table, for the same folder of submissions."""
    with open(course / "results" / "class.csv", newline="") as file:
        return {row["student"]: float(row["points"]) for row in csv.DictReader(file)}


def main(students: int) -> None:
    """Do all of it, and print both speeds."""
    set_up()
    with tempfile.TemporaryDirectory() as folder:
        course = Path(folder)
        hand_out(course)
        hand_in(course, students)
        started = time.monotonic()
        nbgrader(course, "autograde", "A1")
        theirs = time.monotonic() - started
        for jobs in (1, 2):
            shutil.rmtree(course / "results", ignore_errors=True)
            started = time.monotonic()
            grade.grade(ASSIGNMENTS["A1"], course / "submitted", course / "results", Sandbox(), jobs=jobs)
            grade.report(ASSIGNMENTS["A1"], course / "results")
            ours = time.monotonic() - started
            print(f"ours, {jobs} at once: {students / ours * 3600:,.0f} submissions an hour")
        print(f"nbgrader: {students / theirs * 3600:,.0f} submissions an hour")
        assert points_of_nbgrader(course) == points_of_ours(course)
        print("the same points for every student")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
