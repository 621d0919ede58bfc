"""Run a student's cells where they can do no harm, and fetch what the functions in them give.

The sandbox is bubblewrap: read-only Python and packages, no network, no other processes, an empty /tmp of
its own, no privileges; prlimit bounds processes, files and processor time, `inside.py` memory, and a clock
outside ends what lasts too long. Values come out through one pipe, of which only so many bytes are read.
"""

import os
import secrets
import select
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from swin_edu.book.classroom import inside, syscalls
from swin_edu.book.classroom.item import Answer, Arguments

USERS = range(1_900_000_000, 2_000_000_000)  # of sandboxes when root grades; nobody else has these numbers
PACKAGE = Path(__file__).resolve().parents[2]
MOST_HEADER = 2**18  # bytes, of a frame
MOST_AXES = 16  # of a tensor
MOST_TEXT = 500  # characters of an error


class SandboxError(Exception):
    """The sandbox does not work here."""


@dataclass(frozen=True)
class Limits:
    """What one submission may use; seconds on the clock, memory beyond that of torch itself."""

    start_seconds: float = 60
    item_seconds: float = 10
    memory: int = 2**30
    values: int = 1_000_000  # of one answer
    output: int = 2**26  # bytes, of all answers

    def prlimit(self) -> list[str]:
        """Return prlimit's command; a torch on one thread needs one process and few files."""
        limits = {"nproc": 4, "fsize": 2**24, "nofile": 64, "core": 0, "cpu": int(self.start_seconds) + 60}
        return ["prlimit", *(f"--{name}={value}" for name, value in limits.items())]


@dataclass
class Ran:
    """What came out: for each item its answers, or the status that says why there are none."""

    answers: dict[str, list[Answer] | str] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


class EndedError(Exception):
    """The student's process ended before its answers were complete; the text is the status."""


@dataclass(frozen=True)
class Sandbox:
    """Where students' code runs; with `closed=False` it is a plain process, which can do harm."""

    limits: Limits = Limits()
    closed: bool = True

    def check(self) -> None:
        """Raise SandboxError unless code runs in here and its values come out."""
        if sys.platform != "linux":
            raise SandboxError("it needs Linux")
        try:
            ran = self.run(["def one():\n    return 1"], {"one": [()]})
        except OSError as problem:
            raise SandboxError(f"{problem.filename}: {problem.strerror}") from None
        answers = ran.answers["one"]
        if isinstance(answers, str) or not answers[0].values:
            raise SandboxError("a first trial in it failed")

    def run(self, cells: Sequence[str], calls: Mapping[str, Sequence[Arguments]]) -> Ran:
        """Run the cells, then each function on its calls; after a function that kills its process, go on."""
        ran, names = Ran(), list(calls)
        while names:
            with self.process(cells, {name: calls[name] for name in names}) as channel:
                try:
                    said, _ = channel.read(list, "failures", self.limits.start_seconds)
                    ran.failures = [str(failure)[:MOST_TEXT] for failure in said[:20]]
                except EndedError as problem:
                    return Ran(ran.answers | dict.fromkeys(names, str(problem)), ran.failures)
                while names:
                    name = names.pop(0)
                    try:
                        ran.answers[name] = self.answers(channel, len(calls[name]))
                    except EndedError as problem:
                        ran.answers[name] = str(problem)
                        break
        return ran

    def answers(self, channel: "Channel", count: int) -> list[Answer] | str:
        """Return the answers to all calls of one item."""
        until = time.monotonic() + self.limits.item_seconds
        if not channel.read(bool, "found", self.limits.item_seconds)[0]:
            return "not-found"
        answers = []
        for _ in range(count):
            problem, values = channel.read(str, "problem", until - time.monotonic())
            if sum(value.numel() for value in values) > self.limits.values:
                raise EndedError("too-large")
            answers.append(Answer(values, problem[:MOST_TEXT]))
        return answers

    @contextmanager
    def process(self, cells: Sequence[str], calls: Mapping[str, Sequence[Arguments]]) -> Iterator["Channel"]:
        """Start a process on a job; whatever happens, it has ended afterwards."""
        tensors: dict[str, Tensor] = {}
        items = [
            {"name": name, "calls": [[inside.encode(value, tensors) for value in call] for call in of_item]}
            for name, of_item in calls.items()
        ]
        job = {
            "cells": list(cells),
            "items": items,
            "values": self.limits.values,
            "memory": self.limits.memory,
        }
        forbidding = syscalls.program() if self.closed else b""
        with sealed(inside.pack(job, tensors)) as inputs, sealed(forbidding) as forbidden:
            process = subprocess.Popen(
                self.command(forbidden),
                stdin=inputs,
                pass_fds=[forbidden],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for the grader
            )
        assert process.stdout
        try:
            yield Channel(process.stdout.fileno(), self.limits.output)
        finally:
            process.kill()
            process.stdout.close()
            process.wait()

    def command(self, forbidden: int) -> list[str]:
        """Return the command that runs `inside.py`; `forbidden` is the file of system calls that fail."""
        python = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]
        packages = Path(sysconfig.get_path("platlib"))
        options = ("-I", "-S", "-B")  # nothing from the environment, no site, no files written
        if not self.closed:
            return [*self.limits.prlimit(), str(python), *options, inside.__file__, str(packages)]
        base = Path(sys.base_prefix).resolve()
        program = [f"/python/{python.relative_to(base)}", *options, "/inside.py", "/packages"]
        binds = [
            ("/usr", "/usr"),
            (base, "/python"),
            (packages, "/packages"),
            (inside.__file__, "/inside.py"),
        ]
        user, become = privileges()
        return [
            *("bwrap", *user, "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
            *("--unshare-cgroup-try", "--die-with-parent", "--new-session", "--clearenv"),
            *(word for place, target in links() for word in ("--symlink", target, place)),
            *(word for place, target in binds for word in ("--ro-bind", str(place), str(target))),
            *(word for place in hidden(binds) for word in ("--tmpfs", place)),
            *("--proc", "/proc", "--dev", "/dev", *bounded("/dev/shm", 2**20), "--remount-ro", "/dev"),
            *bounded("/tmp", 2**26),
            *("--remount-ro", "/", "--chdir", "/tmp", "--seccomp", str(forbidden)),
            *(word for name, value in ENVIRONMENT.items() for word in ("--setenv", name, value)),
            *("--", "choom", "--adjust", "1000", "--", *self.limits.prlimit(), *become, *program),
        ]


ENVIRONMENT = {
    "PATH": "/usr/bin",
    "HOME": "/tmp",
    "LANG": "C.UTF-8",
    "LD_LIBRARY_PATH": "/python/lib",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def bounded(folder: str, size: int) -> list[str]:
    """Return bwrap's options for an empty folder of its own, of so many bytes, that anybody may write to."""
    return ["--size", str(size), "--perms", "1777", "--tmpfs", folder]


def privileges() -> tuple[list[str], list[str]]:
    """Return bwrap's options, and the command before the program, that leave it no privileges.

    The program gets a name space of users in which it can make no other. For root it becomes another user
    before, since the kernel does not count root's processes; each time another one, so that processes that
    are still ending do not count.
    """
    alone = ["--unshare-user", "--disable-userns", "--cap-drop", "ALL"]
    if os.geteuid():
        return [*alone, "--uid", "65534", "--gid", "65534"], []
    user = str(secrets.choice(USERS))
    become = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--bounding-set=-all"]
    keep = ("SETUID", "SETGID", "SETPCAP", "SYS_RESOURCE")  # the last: the program cannot undo choom
    drop = ["--cap-drop", "ALL", *(word for name in keep for word in ("--cap-add", f"CAP_{name}"))]
    return drop, [*become, "bwrap", "--dev-bind", "/", "/", *alone, "--"]


def links() -> list[tuple[str, str]]:
    """Return the folders of the system that are links into /usr, with what they link to."""
    folders = [Path("/bin"), Path("/lib"), Path("/lib64")]
    return [(str(folder), os.readlink(folder)) for folder in folders if folder.is_symlink()]


def hidden(binds: Sequence[tuple[Any, Any]]) -> list[str]:
    """Return where the sandbox would hold swin_edu or its notebooks, and with them the solutions."""
    secret = (PACKAGE, PACKAGE.parent / "notebooks")
    places = [(path, Path(source).resolve(), target) for path in secret for source, target in binds]
    return [
        str(Path(target) / path.relative_to(source))
        for path, source, target in places
        if path.is_dir() and path.is_relative_to(source)
    ]


@contextmanager
def sealed(data: bytes) -> Iterator[int]:
    """Hold bytes in a nameless file that nobody can change."""
    import fcntl

    descriptor = os.memfd_create("job", os.MFD_ALLOW_SEALING)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


class Channel:
    """The pipe from a student's process: frames that are expected, in time, up to some bytes."""

    def __init__(self, descriptor: int, most: int) -> None:
        self.descriptor, self.left = descriptor, most
        os.set_blocking(descriptor, False)

    def read(self, kind: type, name: str, seconds: float) -> tuple[Any, tuple[Tensor, ...]]:
        """Return what the next frame says under `name`, with its tensors.

        Raises EndedError where none comes in time, or another. Nothing large is parsed.
        """
        until = time.monotonic() + seconds
        length = int.from_bytes(self.bytes(8, until), "little")
        if length > self.left:
            raise EndedError("too-large")
        start = self.bytes(min(8, length), until)
        if int.from_bytes(start, "little") > MOST_HEADER:
            raise EndedError("too-large")
        try:
            header, tensors = inside.unpack(start + self.bytes(length - len(start), until))
            values = tuple(tensors[str(place)] for place in range(len(tensors)))
            if header.keys() != {name} or not isinstance(header[name], kind):
                raise ValueError
            if any(
                value.dtype not in (torch.float64, torch.int64) or value.ndim > MOST_AXES for value in values
            ):
                raise ValueError
        except (ValueError, TypeError, KeyError, AttributeError):
            raise EndedError("crashed") from None
        return header[name], values

    def bytes(self, count: int, until: float) -> bytes:
        """Return exactly so many bytes."""
        data = bytearray()
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        while len(data) < count:
            if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
                raise EndedError("timeout")
            part = os.read(self.descriptor, min(count - len(data), 2**20))
            if not part:
                raise EndedError("crashed")
            data += part
        self.left -= count
        return bytes(data)
