"""Grading a class: it resumes, it can be cut into shards, and it refuses where it is not safe."""

import contextlib
import csv
import io
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import hostile
import pytest
import yaml

from swin_edu.book.classroom import grade, submissions
from swin_edu.book.classroom import sandbox as sandbox_module
from swin_edu.book.classroom.assignments import ASSIGNMENTS
from swin_edu.book.classroom.pages import page_name
from swin_edu.book.classroom.sandbox import Sandbox
from swin_edu.book.command import main
from swin_edu.book.write import ROOT

A1 = ASSIGNMENTS["A1"]
MIXED = 'return rearrange(images, "b c (h p) (w q) -> b h w (p q c)", p=patch, q=patch)'  # a known mistake
TRY = Sandbox.check

pytestmark = pytest.mark.usefixtures("sandbox")


@pytest.fixture(autouse=True, scope="module")
def tried_before(sandbox):
    """Let commands start without a trial: the sandbox of the session has had its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sandbox, "check", lambda self: None)
        yield


def run(*words):
    """Run a command in this process."""
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        code = main([*map(str, words)])
    return subprocess.CompletedProcess(words, code, out.getvalue(), error.getvalue())


def outputs(folder):
    """What a teacher gets: the table and all pages."""
    return {
        str(path.relative_to(folder)): path.read_text("utf-8") for path in folder.rglob("*.[ch][st][vm]*")
    }


def table(folder):
    with open(folder / "class.csv", encoding="utf-8", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def rows_of(folder, work):
    """The rows of those whose work this is."""
    return {name: row for name, row in table(folder).items() if (work / f"{name}.ipynb").exists()}


def lines(folder):
    return [
        json.loads(line) for file in folder.glob("*.jsonl") for line in file.read_text("utf-8").splitlines()
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five submissions: right, wrong in a known way, two not written, broken."""
    folder = tmp_path_factory.mktemp("class") / "submissions"
    folder.mkdir()
    for number, body in enumerate(("return None", "raise NotImplementedError", MIXED, "")):
        wrong = A1.items[0].mistakes[number]
        data = hostile.first(body) if body else hostile.right()
        (folder / f"student {number} {wrong.name}.ipynb").write_bytes(data)
    (folder / "broken.ipynb").write_bytes(b"{")
    return folder


@pytest.fixture(scope="module")
def undisturbed(folder, tmp_path_factory, sandbox):
    out = tmp_path_factory.mktemp("undisturbed")
    assert run("grade", "A1", folder, "--out", out, "--jobs", 2).returncode == 0
    return out


def some(folder, out, *names):
    """Copy a part of the class."""
    out.mkdir()
    for name in names:
        shutil.copy(next(folder.glob(f"{name}*")), out)
    return out


def test_the_table(undisturbed):
    rows = table(undisturbed)
    assert len(rows) == 5
    assert {row["points"] for name, row in rows.items() if name != "broken"} == {"8", "10"}
    assert rows["broken"]["status"] == "unreadable" and rows["broken"]["points"] == ""
    assert [row["of"] for row in rows.values()] == ["10"] * 5


def test_a_page_marks_the_wrong_cells(undisturbed):
    """As many as the judge found, and no right ones."""
    total = 0
    lines_of = {line["student"]: line["items"] for line in lines(undisturbed) if line.get("items")}
    for student, items in lines_of.items():
        page = (undisturbed / "feedback" / page_name(student)).read_text("utf-8")
        marked = sum(len(item["picture"][2]) for item in items.values() if item["picture"])
        assert page.count('class="wrong"') == marked
        total += marked
    assert total > 0


def grade_here(folder, out):
    grade.grade(A1, folder, out, Sandbox(), jobs=2)


def test_killed_at_6_random_moments_it_goes_on(folder, undisturbed, tmp_path):
    """All of them while it grades: a server starts the processes, with all that they import."""
    draw, done = random.Random(0), []
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([grade.__name__])
    for _ in range(6):
        process = context.Process(target=grade_here, args=(folder, tmp_path))
        process.start()
        while process.is_alive() and not (tmp_path / "A1-1-of-1.jsonl").exists():
            time.sleep(0.01)
        time.sleep(draw.uniform(0, 2.5))
        process.kill()
        process.join()
        done.append(sum("key" in line for line in whole_lines(tmp_path)))
    assert done == sorted(done)
    assert run("grade", "A1", folder, "--out", tmp_path, "--jobs", 2).returncode == 0
    assert outputs(tmp_path) == outputs(undisturbed)
    keys = [line["key"] for line in lines(tmp_path) if "key" in line]
    assert len(keys) == len(set(keys)) == 5
    assert hostile.left_behind() == []


def whole_lines(folder):
    file = folder / "A1-1-of-1.jsonl"
    text = file.read_text("utf-8") if file.exists() else ""
    return [json.loads(line) for line in text.rpartition("\n")[0].splitlines()]


def test_a_line_cut_off_is_graded_again(folder, undisturbed, tmp_path):
    shutil.copytree(undisturbed, tmp_path, dirs_exist_ok=True)
    file = tmp_path / "A1-1-of-1.jsonl"
    file.write_bytes(file.read_bytes()[:-400])
    assert run("grade", "A1", folder, "--out", tmp_path).returncode == 0
    assert outputs(tmp_path) == outputs(undisturbed)


def test_only_changed_work_is_graded_anew(folder, undisturbed, tmp_path):
    work, out = tmp_path / "work", tmp_path / "out"
    shutil.copytree(folder, work)
    shutil.copytree(undisturbed, out)
    (work / "broken.ipynb").write_bytes(hostile.right())
    (work / "late.ipynb").write_bytes(hostile.right())
    gone = next(work.glob("student 3*"))
    gone.unlink()
    before = len(lines(out))
    assert run("grade", "A1", work, "--out", out).returncode == 0
    assert len(lines(out)) == before + 3  # two submissions and the new end
    rows = table(out)
    assert rows["broken"]["points"] == rows["late"]["points"] == "10" and gone.stem not in rows
    assert len(list((out / "feedback").iterdir())) == 5


def test_the_work_of_another_version_is_not_taken_over(folder, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(grade, "fingerprint", lambda assignment: "another version")
    work, out = some(folder, tmp_path / "work", "student 3", "broken"), tmp_path / "out"
    shutil.copytree(undisturbed, out)
    before = len(lines(out))
    grade.grade(A1, work, out, Sandbox())
    assert len(lines(out)) == before + 3  # both submissions and the new end


def test_shards_make_the_same_class(folder, undisturbed, tmp_path):
    for number in (3, 1):
        assert run("grade", "A1", folder, "--out", tmp_path, "--shard", f"{number}/3").returncode == 0
    early = run("merge", "A1", tmp_path)
    assert early.returncode == 1
    assert early.stderr.endswith("A1-2-of-3.jsonl is not complete; run grade A1 --shard 2/3\n")
    assert not (tmp_path / "class.csv").exists()
    assert run("grade", "A1", folder, "--out", tmp_path, "--shard", "2/3").returncode == 0
    assert run("merge", "A1", tmp_path).returncode == 0
    assert outputs(tmp_path) == outputs(undisturbed)
    assert run("grade", "A1", folder, "--out", tmp_path, "--shard", "2/4").returncode == 0
    assert "shards of 3 and of 4; remove one kind" in run("merge", "A1", tmp_path).stderr


def test_each_student_is_in_one_shard():
    for name in ("Anna", "学生", "=1"):
        assert sum(grade.Shard(number, 7).holds(name) for number in range(1, 8)) == 1


@pytest.mark.parametrize("text", ["0/3", "4/3", "1", "a/b", "1/0", "-1/2", "1/2/3"])
def test_what_is_no_shard(text):
    with pytest.raises(grade.GradingError, match="it must be i/n with i from 1 to n"):
        grade.Shard.parse(text)


def test_two_runs_at_once(folder, tmp_path):
    with grade.results_file(tmp_path / "A1-1-of-1.jsonl"):
        second = run("grade", "A1", folder, "--out", tmp_path)
    assert second.returncode == 1
    assert "another run is writing" in second.stderr


def test_without_a_sandbox_nothing_is_graded(folder, tmp_path, monkeypatch):
    """Where bwrap is missing, and where it does not work, one sentence says so."""
    monkeypatch.setattr(Sandbox, "check", TRY)
    tools = tmp_path / "tools"
    tools.mkdir()
    for content in (None, "#!/bin/sh\nexit 1\n"):
        if content:
            (tools / "bwrap").write_text(content)
            (tools / "bwrap").chmod(0o755)
        monkeypatch.setenv("PATH", str(tools))
        result = run("grade", "A1", folder, "--out", tmp_path / "out")
        assert result.returncode == 1
        assert re.fullmatch(
            r"swin_edu: no sandbox here \(.+\), so nothing is graded; .+--no-sandbox\n", result.stderr
        )
        assert not (tmp_path / "out").exists()


def test_no_sandbox_in_so_many_words(folder, undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(Sandbox, "check", TRY)
    monkeypatch.setattr(sandbox_module, "privileges", None)  # bwrap is not used
    work, out = some(folder, tmp_path / "work", "student 2", "student 3"), tmp_path / "out"
    result = run("grade", "A1", work, "--out", out, "--no-sandbox")
    assert result.returncode == 0
    assert "submissions can read and change your files" in result.stderr
    assert table(out) == rows_of(undisturbed, work)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["A9", "."], "there is no assignment 'A9'; there are A1"),
        (["A1", "nowhere"], "SUBMISSIONS is nowhere, which is no folder"),
        (["A1", ".", "--jobs", "0"], "--jobs is 0; it must be at least 1"),
        (["A1", ".", "--shard", "5/4"], "--shard is '5/4'; it must be i/n"),
    ],
)
def test_errors_are_one_sentence(words, said, tmp_path, capsys):
    assert main(["grade", *words, "--out", str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_results_do_not_go_among_submissions(folder, capsys):
    assert grade.main("A1", folder, folder / "out", 1, "1/1", True) == 1
    assert "inside SUBMISSIONS; name a folder elsewhere" in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_results_of_another_assignment_stay(folder, undisturbed, capsys):
    before = outputs(undisturbed)
    assert grade.main("A2", folder, undisturbed, 1, "1/1", True) == grade.merge("A2", undisturbed) == 1
    said = f"swin_edu: {undisturbed} holds the results of A1; name another folder\n"
    assert capsys.readouterr().err == 2 * said
    assert outputs(undisturbed) == before


def test_merge_without_results(tmp_path, capsys):
    assert grade.merge("A1", tmp_path) == 1
    assert capsys.readouterr().err == f"swin_edu: {tmp_path} holds no results\n"


def test_an_error_of_the_grader_is_a_status_and_is_tried_again(tmp_path, monkeypatch):
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    (work / "anna.ipynb").write_bytes(hostile.right())
    with monkeypatch.context() as patch:
        patch.setattr(grade, "judge", lambda *given: 1 / 0)
        grade.grade(A1, work, out, Sandbox())
        grade.report(A1, out)
    assert table(out)["anna"]["status"] == "grader-error" and table(out)["anna"]["points"] == ""
    assert "ZeroDivisionError" in table(out)["anna"]["message"]
    grade.grade(A1, work, out, Sandbox())
    grade.report(A1, out)
    assert table(out)["anna"]["points"] == "10"


def test_inputs_differ_from_student_to_student_and_not_from_run_to_run(tmp_path, monkeypatch):
    seeds = []
    monkeypatch.setattr(type(A1.items[0]), "calls", lambda item, seed: seeds.append(seed) or [])
    monkeypatch.setattr(Sandbox, "run", lambda *given, **named: 1 / 0)
    for name in ("anna", "ben"):
        (tmp_path / f"{name}.ipynb").write_bytes(hostile.right())
    for out in ("one", "two"):
        grade.grade(A1, tmp_path, tmp_path.parent / f"{tmp_path.name} {out}", Sandbox())
    assert len(set(seeds)) == 2 and len(seeds) == 20


def test_names_that_are_the_same(tmp_path):
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna.ipynb").touch()
    (tmp_path / ".hidden.ipynb").touch()
    assert [submission.student for submission in submissions.find(tmp_path)] == ["anna", "anna.ipynb"]
    for name in ("be\n", "be\\n"):  # two files that look the same in a table
        (tmp_path / f"{name}.ipynb").touch()
    names = [submission.student for submission in submissions.find(tmp_path)]
    assert len(set(names)) == 4 and all(name.isprintable() for name in names)


def test_a_class_graded_again_adds_nothing(tmp_path):
    work, out = tmp_path / "work", tmp_path / "out"
    (work / "empty").mkdir(parents=True)
    (work / "link.ipynb").symlink_to(work / "empty")
    for _ in range(2):
        grade.grade(A1, work, out, Sandbox())
    assert [line.get("status", "end") for line in lines(out)] == ["missing", "unreadable", "end", "end"]


def test_a_slurm_array_and_a_kubernetes_job_grade_the_same_class(folder, undisturbed, tmp_path):
    """The commands of the files to copy, run as the cluster would, make the class's table."""
    work = some(folder, tmp_path / "work", "student 1", "student 2", "broken")
    scale = ROOT / "notebooks" / "assignments" / "scale"
    program = tmp_path / "python3"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)
    settings = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ASSIGNMENT": "A1"}
    slurm, kubernetes = tmp_path / "slurm", tmp_path / "kubernetes"
    for number in (1, 2):
        named = {
            "SLURM_ARRAY_TASK_ID": str(number),
            "SLURM_ARRAY_TASK_COUNT": "2",
            "SLURM_CPUS_PER_TASK": "2",
        }
        named |= {"SUBMISSIONS": str(work), "RESULTS": str(slurm)}
        subprocess.run(["bash", scale / "grade.slurm"], env=settings | named, cwd=ROOT, check=True)
    job = next(yaml.safe_load_all((scale / "grade.yaml").read_text("utf-8")))
    container = job["spec"]["template"]["spec"]["containers"][0]
    assert job["spec"]["completionMode"] == "Indexed"
    given = {entry["name"]: entry["value"] for entry in container["env"]}
    assert given["PARTS"] == str(job["spec"]["completions"])
    for index in (0, 1):
        named = given | {"PARTS": "2", "JOB_COMPLETION_INDEX": str(index)}
        named |= {"SUBMISSIONS": str(work), "RESULTS": str(kubernetes)}
        subprocess.run(container["command"], env=settings | named, cwd=ROOT, check=True)
    for out in (slurm, kubernetes):
        assert run("merge", "A1", out).returncode == 0
        assert table(out) == rows_of(undisturbed, work)


def test_the_class_is_found_where_nbgrader_keeps_it(tmp_path):
    for name in ("anna", "ben"):
        (tmp_path / name / "A1" / ".ipynb_checkpoints").mkdir(parents=True)
        (tmp_path / name / "A1" / ".ipynb_checkpoints" / "A1-checkpoint.ipynb").touch()
        (tmp_path / name / "A1" / "notes.ipynb").touch()
        (tmp_path / name / "A1" / "A1_patches_and_windows.ipynb").touch()
    for submission in submissions.find(tmp_path):
        assert submission.notebook("A1").name == "A1_patches_and_windows.ipynb"
    assert Path(tmp_path / "anna") == submissions.find(tmp_path)[0].entry
