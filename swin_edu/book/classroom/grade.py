"""``python3 -m swin_edu grade A1 SUBMISSIONS --out RESULTS``: grade a class; ``merge`` joins its shards.

Every graded submission is one line of a results file, written before the next is counted. A run that was
killed goes on where it was; a submission that changed, or an item that did, is graded anew.
"""

import dataclasses
import inspect
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from swin_edu.book.classroom import inside, item, open_answers, pages, submissions
from swin_edu.book.classroom.assignments import Assignment, find_assignment
from swin_edu.book.classroom.item import Item, Verdict, judge
from swin_edu.book.classroom.sandbox import Sandbox, SandboxError
from swin_edu.book.classroom.submissions import Submission, UngradableError, clean

Record = dict[str, Any]
RESULTS = "*-of-*.jsonl"


class GradingError(Exception):
    """Why nothing is graded, in one sentence."""


@dataclasses.dataclass(frozen=True)
class Shard:
    """One of so many parts of a class; each student is in the same part wherever it is graded."""

    number: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Read `i/n`; raise GradingError where it is no part."""
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
            raise GradingError(f"--shard is {text!r}; it must be i/n with i from 1 to n, such as 1/8")
        return cls(int(number), int(count))

    def holds(self, student: str) -> bool:
        """Tell whether a student is in this part."""
        return int(submissions.digest(student.encode()), 16) % self.count == self.number - 1

    def file(self, assignment: str) -> str:
        """Return the name of its results file."""
        return f"{assignment}-{self.number}-of-{self.count}.jsonl"


def main(name: str, folder: Path, out: Path, jobs: int, shard: str, closed: bool) -> int:
    """Grade the submissions in a folder into `out`."""
    try:
        part = Shard.parse(shard)
        assignment = find_assignment(name)
        check_folders(folder, out)
        if jobs < 1:
            raise GradingError(f"--jobs is {jobs}; it must be at least 1")
        sandbox = Sandbox(closed=closed)
        if assignment.items:
            check_sandbox(sandbox)
        grade(assignment, folder, out, sandbox, jobs, part)
        if part.count == 1:
            report(assignment, out)
    except (GradingError, OSError, ValueError) as problem:
        print(f"swin_edu: {problem}", file=sys.stderr)
        return 1
    return 0


def merge(name: str, out: Path) -> int:
    """Write the tables and pages of a class from the results files in `out`."""
    try:
        report(find_assignment(name), out)
    except (GradingError, OSError, ValueError) as problem:
        print(f"swin_edu: {problem}", file=sys.stderr)
        return 1
    return 0


def check_folders(folder: Path, out: Path) -> None:
    """Raise GradingError unless results go elsewhere than submissions, which must be a folder."""
    if not folder.is_dir():
        raise GradingError(f"SUBMISSIONS is {folder}, which is no folder")
    if out.exists() and not out.is_dir():
        raise GradingError(f"--out is {out}, which is no folder")
    if out.resolve().is_relative_to(folder.resolve()):
        raise GradingError(f"--out is {out}, inside SUBMISSIONS; name a folder elsewhere")


def check_results(assignment: Assignment, out: Path) -> None:
    """Raise GradingError where a folder holds the results of another assignment."""
    others = {file.name.partition("-")[0] for file in out.glob(RESULTS)} - {assignment.name}
    if others:
        raise GradingError(f"{out} holds the results of {min(others)}; name another folder")


def check_sandbox(sandbox: Sandbox) -> None:
    """Raise GradingError where the sandbox does not work; without one, say what that means."""
    try:
        sandbox.check()
    except SandboxError as problem:
        if not sandbox.closed:
            raise GradingError(f"no process for students' code: {problem}") from None
        raise GradingError(
            f"no sandbox here ({problem}), so nothing is graded; install bubblewrap on Linux, or, only where "
            "submissions may do anything to this machine, add --no-sandbox"
        ) from None
    if not sandbox.closed:
        print("swin_edu: without a sandbox: submissions can read and change your files", file=sys.stderr)


def grade(
    assignment: Assignment, folder: Path, out: Path, sandbox: Sandbox, jobs: int = 1, shard: Shard = Shard()
) -> None:
    """Grade what is not graded yet, one line each; the last line of the results file says what it covers."""
    found = [submission for submission in submissions.find(folder) if shard.holds(submission.student)]
    check_results(assignment, out)
    with results_file(out / shard.file(assignment.name)) as (done, write):
        keys = {}
        with tqdm(total=len(found), unit="submission", dynamic_ncols=True, disable=None) as bar:
            statuses: Counter[str] = Counter()
            for record in graded(assignment, found, sandbox, jobs, done):
                if done.get(record["key"]) != record:
                    write(record)
                keys[record["student"]] = record["key"]
                statuses[record["status"]] += 1
                bar.set_postfix(dict(statuses.most_common()), refresh=False)
                bar.update()
        write({"assignment": assignment.name, "covers": [keys[student] for student in sorted(keys)]})


def graded(
    assignment: Assignment, found: Sequence[Submission], sandbox: Sandbox, jobs: int, done: dict[str, Record]
) -> Iterator[Record]:
    """Yield the record of each submission, known ones as they are."""
    pool = ThreadPoolExecutor(jobs)
    marker = fingerprint(assignment)
    try:
        for future in as_completed(
            [pool.submit(record_of, assignment, submission, sandbox, done, marker) for submission in found]
        ):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def record_of(
    assignment: Assignment,
    submission: Submission,
    sandbox: Sandbox,
    done: dict[str, Record],
    marker: str,
) -> Record:
    """Return the record of one submission; whatever it holds, it has a status."""
    record: Record = {"student": submission.student, "file": "", "message": "", "items": {}, "answers": {}}
    key = submissions.digest(f"{marker} {submission.student}".encode())
    try:
        path = submission.notebook(assignment.name)
        record["file"] = submissions.printable(str(path.relative_to(submission.entry.parent)))
        data = submissions.read_bytes(path)
        key = submissions.digest(f"{key} {submissions.digest(data)}".encode())
        if key in done and done[key]["status"] != "grader-error":
            return done[key]
        cells = submissions.read_cells(data)
        if assignment.items:
            record |= judged(assignment, cells, sandbox, key)
        else:
            record |= open_answers.collect(assignment, cells)
    except UngradableError as problem:
        record |= {"status": problem.status, "message": str(problem)}
    except Exception as problem:
        record |= {"status": "grader-error", "message": clean(f"{type(problem).__name__}: {problem}")[:500]}
    return {"key": key, **record}


def judged(assignment: Assignment, cells: list[dict[str, Any]], sandbox: Sandbox, key: str) -> Record:
    """Run a notebook and judge each item; inputs are drawn from the submission's own hash."""
    seed = int(key[:15], 16)
    calls = {item.name: item.calls(seed) for item in assignment.items}
    code = [inspect.getsource(function) for function in assignment.given]
    ran = sandbox.run([*IMPORTS, *code, *submissions.code_of(cells)], calls)
    verdicts = {
        item.name: verdict_of(item, calls[item.name], ran.answers[item.name]) for item in assignment.items
    }
    outcomes = [verdict.outcome for verdict in verdicts.values()]
    status, message = "graded", ""
    if set(outcomes) == {"not-found"}:
        names = ", ".join(verdicts)
        failure = f"; {clean(ran.failures[0])}" if ran.failures else ""
        status, message = "cells-not-found", f"none of {names} is defined{failure}"
    else:
        status = next(
            (outcome for outcome in ("too-large", "crashed", "timeout") if outcome in outcomes), status
        )
    return {
        "status": status,
        "message": message,
        "items": {name: dataclasses.asdict(verdict) for name, verdict in verdicts.items()},
    }


IMPORTS = (
    "import math\nimport torch\nfrom einops import rearrange\nfrom torch import Tensor\n"
    "from torch.nn import functional as F",
)


def verdict_of(question: Item, calls: Sequence[item.Arguments], answers: list[item.Answer] | str) -> Verdict:
    """Judge an item's answers; where there are none, the outcome says why."""
    if isinstance(answers, str):
        return Verdict(answers, cases=len(calls))
    verdict = judge(question, calls, answers)
    return dataclasses.replace(verdict, message=clean(verdict.message))


def fingerprint(assignment: Assignment) -> str:
    """Return a hash of what decides about points, so that results of another version are not taken over."""
    modules = {inspect.getmodule(item.reference) for item in assignment.items} | {inside, item, open_answers}
    files = sorted(inspect.getsourcefile(module) or "" for module in modules if module)
    code = b"".join(Path(file).read_bytes() for file in files)
    return submissions.digest(assignment.name.encode() + code)


@contextmanager
def results_file(path: Path) -> Iterator[tuple[dict[str, Record], Any]]:
    """Open a results file: what it holds by key, and what appends a record to it, whole or not at all."""
    import fcntl

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GradingError(f"another run is writing {path}; wait for it") from None
        file.seek(0)
        whole = file.read().rpartition(b"\n")
        file.truncate(len(whole[0]) + len(whole[1]))  # a line that a killed run left unfinished
        records = [json.loads(line) for line in whole[0].splitlines()]

        def write(record: Record) -> None:
            file.write(json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

        yield {record["key"]: record for record in records if "key" in record}, write


def report(assignment: Assignment, out: Path) -> None:
    """Write the class's table and pages from its results files."""
    records = read_results(assignment, out)
    rubric = open_answers.read_rubric(assignment, out, records)
    pages.write(assignment, records, rubric, out)
    statuses = Counter(record["status"] for record in records)
    print(", ".join(f"{count} {status}" for status, count in statuses.most_common()) or "no submissions")
    print(out / "summary.html")


def read_results(assignment: Assignment, out: Path) -> list[Record]:
    """Return the records that the results files cover; raise GradingError where a shard is not complete."""
    check_results(assignment, out)
    files = sorted(out.glob(RESULTS))
    counts = {int(file.stem.rpartition("-")[2]) for file in files}
    if len(counts) != 1:
        held = (
            f"shards of {' and of '.join(map(str, sorted(counts)))}; remove one kind"
            if counts
            else "no results"
        )
        raise GradingError(f"{out} holds {held}")
    records: list[Record] = []
    for number in range(1, max(counts) + 1):
        file = out / Shard(number, max(counts)).file(assignment.name)
        lines = file.read_bytes().splitlines() if file.exists() else []
        last = json.loads(lines[-1]) if lines and lines[-1].endswith(b"}") else {}
        if last.get("assignment") != assignment.name:
            raise GradingError(
                f"{file} is not complete; run grade {assignment.name} --shard {number}/{max(counts)}"
            )
        known = {record.get("key"): record for record in map(json.loads, lines)}
        records += [known[key] for key in last["covers"]]
    return sorted(records, key=lambda record: record["student"])
