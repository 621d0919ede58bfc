"""A hostile class: nobody gets what was not earned, nothing is read or changed, everybody has a status."""

import csv
import json
import os
import socket
import stat
from pathlib import Path

import hostile
import pytest
import torch
from safetensors.torch import save

from swin_edu.book.classroom import grade
from swin_edu.book.classroom.assignments import ASSIGNMENTS
from swin_edu.book.classroom.sandbox import Channel, EndedError, Limits, Sandbox
from swin_edu.book.write import ROOT

pytestmark = pytest.mark.usefixtures("sandbox")
LIMITS = Limits(start_seconds=60, item_seconds=4, memory=2**28, output=2**24)


def contents(folder):
    """What a folder holds: every file's kind and bytes."""
    found = {}
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        found[path] = (mode, path.read_bytes() if stat.S_ISREG(mode) else b"")
    return found


@pytest.fixture(scope="module")
def graded(tmp_path_factory, sandbox):
    """The class, graded once: what was expected and what came out."""
    base = tmp_path_factory.mktemp("hostile")
    folder, canary, out = base / "submissions", base / "canary", base / "results"
    folder.mkdir()
    canary.mkdir()
    (canary / "others.ipynb").write_bytes(hostile.right())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        expected = hostile.make(folder, ROOT, canary, server.getsockname()[1])
        before = contents(folder), contents(canary), contents(ROOT / "swin_edu" / "book" / "classroom")
        grade.grade(ASSIGNMENTS["A1"], folder, out, Sandbox(LIMITS), jobs=2)
        grade.report(ASSIGNMENTS["A1"], out)
        with pytest.raises(TimeoutError):
            server.accept()
    after = contents(folder), contents(canary), contents(ROOT / "swin_edu" / "book" / "classroom")
    with open(out / "class.csv", encoding="utf-8", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    return expected, rows, before, after, out


def test_there_are_many():
    assert len(hostile.BODIES) + len(hostile.WRONG) + len(hostile.CELLS) >= 40


def test_each_has_its_status_and_points(graded):
    expected, rows, *_ = graded
    assert {name: (row["status"], row["points"]) for name, row in rows.items()} == expected


def test_no_file_was_changed(graded):
    _, _, before, after, _ = graded
    assert before == after


def test_nothing_was_read(graded):
    """Solutions, other people's work and the network are not there, rather than there and wrong."""
    lines = (graded[-1] / "A1-1-of-1.jsonl").read_text("utf-8").splitlines()
    records = {record["student"]: record for record in map(json.loads, lines) if "student" in record}
    said = {
        attack: records[student]["items"][name]["message"]
        for student, four in hostile.fours().items()
        for name, attack in four.items()
    }
    assert "raises ModuleNotFoundError" in said["reads the reference"]
    for attack in ("reads the solution's file", "reads the work of others", "writes files"):
        assert "raises FileNotFoundError" in said[attack]
    assert "raises OSError" in said["connects to the world"]
    assert "raises ConnectionRefusedError" in said["connects to this machine"]
    for attack in ("makes a name space", "reads the keys of the session", "hides memory in shared segments"):
        assert "raises AssertionError" in said[attack]
    assert "raises PermissionError" in said["talks to the host of a virtual machine"]


def test_no_process_stays(graded):
    del graded
    assert not any("STAYS" in command for _, command in hostile.processes())
    assert hostile.left_behind() == []


def test_pages_hold_no_code_of_students(graded):
    for page in [graded[-1] / "summary.html", *(graded[-1] / "feedback").iterdir()]:
        text = page.read_text("utf-8")
        assert "<script" not in text and "<img src=x" not in text
        assert "default-src 'none'" in text
        assert page.stat().st_size < 100_000
    written = "".join(path.read_text("utf-8") for path in (graded[-1] / "feedback").iterdir())
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in written


def test_pages_are_safe_in_a_browser(graded, page):
    told = []
    page.on("dialog", lambda dialog: told.append(dialog.message) or dialog.dismiss())
    for path in [graded[-1] / "summary.html", *sorted((graded[-1] / "feedback").glob("*script*"))]:
        page.goto(path.as_uri())
    assert told == []


def test_a_frame_of_a_million_values_is_read_and_one_more_is_not():
    """What comes back is bounded by values, and by bytes in all."""
    code = "import torch\ndef values(count):\n    return torch.zeros(count)"
    sandbox = Sandbox(Limits(values=1_000, output=20_000))
    calls = {"values": [(1_000,), (1_001,), (1_000,), (1_000,)]}
    assert sandbox.run([code], calls).answers["values"] == "too-large"
    answers = sandbox.run([code], {"values": calls["values"][:2]}).answers["values"]
    assert torch.equal(answers[0].values[0], torch.zeros(1_000, dtype=torch.float64))
    assert answers[1].problem == "returns too many values"


@pytest.mark.parametrize(
    "frame",
    [
        {"failures": 5},
        {"failures": [], "more": 1},
        ["failures"],
        {"found": True},
        {"failures": "text"},
    ],
)
def test_a_frame_that_is_another(frame):
    """A header of other names or types ends the reading; it is no error of the grader."""
    here, there = os.pipe()
    body = save({}, {"header": json.dumps(frame)})
    os.write(there, len(body).to_bytes(8, "little") + body)
    with pytest.raises(EndedError, match="crashed"):
        Channel(here, 1_000).read(list, "failures", 1)
    os.close(here)
    os.close(there)


def test_long_texts_are_cut():
    code = "def one(): raise ValueError('x' * 10_000)"
    ran = Sandbox(LIMITS).run([code, "raise ValueError('y' * 10_000)"], {"one": [()]})
    assert len(ran.answers["one"][0].problem) <= 500 and len(ran.failures[0]) <= 500


def test_no_file_that_holds_solutions_is_bound():
    from swin_edu.book.classroom.sandbox import PACKAGE, hidden

    inner = PACKAGE.relative_to(ROOT)
    assert hidden([(ROOT, "/python")]) == [f"/python/{inner}", "/python/notebooks"]
    assert hidden([(PACKAGE.parent / "tests", "/python")]) == []


def test_a_function_that_kills_its_process_costs_only_itself():
    code = "import os\ndef one(): return 1\ndef two(): os._exit(1)\ndef three(): return 3"
    ran = Sandbox(LIMITS).run([code], {"one": [()], "two": [()], "three": [()]})
    assert ran.answers["two"] == "crashed"
    assert [ran.answers[name][0].values[0].item() for name in ("one", "three")] == [1, 3]


def test_a_long_statement_is_left_and_the_rest_goes_on():
    code = "import time\ntime.sleep(1000)\nvalue = 1\ndef one(): return value"
    ran = Sandbox().run([code], {"one": [()]})
    assert ran.answers["one"][0].values[0].item() == 1
    assert ran.failures == ["TimeoutError: longer than 5 seconds"]


def test_the_sandbox_shows_nothing_of_the_host():
    code = "import os\ndef names(): raise ValueError(sorted(os.listdir('/')), dict(os.environ), os.getuid())"
    said = Sandbox().run([code], {"names": [()]}).answers["names"][0].problem
    assert "inside.py" in said and str(Path.home()).strip("/") not in said.partition("]")[0]
    assert os.environ["PATH"] not in said and not said.endswith(", 0)")
