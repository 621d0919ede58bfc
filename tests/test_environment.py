"""The two commands on a bare machine: .venv is made, repaired, or one sentence says why it cannot be."""

import errno
import json
import os
import re
import runpy
import subprocess
import sys
import threading
import time
import venv
from pathlib import Path

import pytest

from swin_edu.book import command, environment
from swin_edu.book.environment import Environment, InstallError

ROOT = Path(__file__).resolve().parents[1]
OLD_PYTHONS = [
    path
    for folder in [*os.get_exec_path(), *Path.home().glob(".pyenv/versions/*/bin")]
    for path in Path(folder).glob("python[23].*")
    if re.fullmatch(r"python(2\.7|3\.[0-9]|3\.10)", path.name) and ".pyenv/shims" not in str(path)
]


class FakePip:
    """Stands in for the commands that `Environment.runs` would run."""

    def __init__(self) -> None:
        self.commands: list[list[str]] = []
        self.prints = "Collecting torch\n"
        self.fails: tuple[str, ...] = ()

    def run(self, project: Environment, command: list[str]) -> bool:
        self.commands.append(command)
        project.progress.output.append(self.prints)
        return not any(word in command for word in self.fails)


@pytest.fixture
def pip(monkeypatch):
    fake = FakePip()
    monkeypatch.setattr(Environment, "runs", lambda project, command: fake.run(project, command))
    return fake


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "a projéct"
    folder.mkdir()
    (folder / "requirements.txt").write_text("torch\n")
    (folder / "requirements-test.txt").write_text("-r requirements.txt\npytest\n")
    return Environment(folder)


def state(project):
    return json.loads(project.marker.read_text())["state"]


def leave_mark(project):
    """Put a file into .venv, which only an emptied .venv loses."""
    mark = project.folder / "mark"
    mark.touch()
    return mark


# Which Python


@pytest.mark.parametrize("python", OLD_PYTHONS, ids=lambda path: path.name)
def test_an_old_python_is_told_what_would_work(python):
    start = [python, "-B", "-W", "error", "-m", "swin_edu"]
    done = subprocess.run(start, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert python.name.removeprefix("python") in done.stderr and "3.11, 3.12, 3.13 or 3.14" in done.stderr


@pytest.mark.parametrize(
    ("version", "refused"),
    [((3, 10), True), ((3, 11), False), ((3, 14), False), ((3, 15), True), ((4, 0), True)],
)
def test_pythons_from_3_11_to_3_14_are_taken(version, refused, monkeypatch):
    monkeypatch.setattr(sys, "version_info", (*version, 0))
    monkeypatch.setattr(command, "main", lambda: 7)
    with pytest.raises(SystemExit) as end:
        runpy.run_module("swin_edu", run_name="__main__")
    assert (f"{version[0]}.{version[1]};" in str(end.value)) if refused else end.value.code == 7


def test_starting_imports_only_the_standard_library():
    code = "import sys, swin_edu.book.command; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    nothing = [sys.executable, "-c", "import sys; print(*sys.modules)"]
    bare = subprocess.run(nothing, capture_output=True, text=True, check=True)
    foreign = set(done.stdout.split()) - sys.stdlib_module_names - set(bare.stdout.split())
    assert foreign == {"swin_edu"}


# Making and repairing


def test_a_first_start_makes_a_working_venv(project, pip):
    project.ensure()
    subprocess.run([project.python, "-c", "import sys; assert sys.prefix != sys.base_prefix"], check=True)
    assert state(project) == "ready"
    assert pip.commands[-1][-4:] == ["-r", str(project.root / "requirements.txt"), "-e", str(project.root)]
    assert "Collecting torch" in project.log.read_text()
    assert not project.lock.exists()


def test_the_tests_get_their_own_requirements(project, pip):
    project.ensure()
    project.ensure(test=True)
    assert str(project.root / "requirements-test.txt") in pip.commands[-1]
    count = len(pip.commands)
    project.ensure()
    project.ensure(test=True)
    assert len(pip.commands) == count


def test_braces_in_a_reason_do_no_harm(project):
    assert project.reason("odd {name} in {}") == "odd {name} in {}"


def test_when_all_is_well_nothing_is_run(project, pip, monkeypatch):
    project.ensure(test=True)

    def forbidden(*args, **kwargs):
        raise AssertionError("the quick path started a process or wrote")

    for owner, name in [(subprocess, "Popen"), (Environment, "take_lock"), (os, "replace")]:
        monkeypatch.setattr(owner, name, forbidden)
    Environment(project.root).ensure(test=True)


def test_a_half_made_venv_is_made_again(project, pip):
    pip.fails = ("install",)
    with pytest.raises(InstallError):
        project.ensure()
    assert state(project) == "installing"
    mark = leave_mark(project)
    pip.fails = ()
    project.ensure()
    assert state(project) == "ready" and not mark.exists()


def test_a_venv_that_lost_its_python_is_made_again(project, pip):
    project.ensure()
    mark = leave_mark(project)
    project.python.unlink()
    project.python.symlink_to(project.root / "gone")
    project.ensure()
    assert project.python.exists() and not mark.exists()


@pytest.mark.skipif(os.name == "nt", reason="there, .venv's Python is no link")
@pytest.mark.parametrize(("fits", "rebuilt"), [(True, False), (False, True)])
def test_a_python_that_leads_elsewhere_is_asked_whether_it_fits(project, pip, fits, rebuilt):
    """A new patch release does; a new minor release looks for its packages in another folder."""
    project.ensure()
    mark = leave_mark(project)
    other = project.root / "python3"
    other.write_text(f"#!/bin/sh\nexit {0 if fits else 1}\n")
    other.chmod(0o755)
    project.python.unlink()
    project.python.symlink_to(other)
    project.ensure()
    assert mark.exists() != rebuilt


def test_changed_requirements_are_installed_in_place(project, pip):
    project.ensure()
    mark, count = leave_mark(project), len(pip.commands)
    (project.root / "requirements.txt").write_text("torch\nnumpy\n")
    project.ensure()
    assert len(pip.commands) > count and mark.exists()


def test_a_moved_project_is_installed_again(project, pip):
    """Its editable install would point to the old place."""
    project.ensure()
    count = len(pip.commands)
    moved = project.root.rename(project.root.with_name("moved"))
    Environment(moved).ensure()
    assert pip.commands[-1][-1] == str(moved) and len(pip.commands) > count


def test_the_readers_own_venv_is_never_emptied(project, pip):
    venv.create(project.folder, symlinks=os.name != "nt")
    mark = leave_mark(project)
    project.ensure()
    assert mark.exists() and state(project) == "adopted"
    count = len(pip.commands)
    project.ensure()
    assert len(pip.commands) == count
    project.python.unlink()
    with pytest.raises(InstallError, match="move it away"):
        project.ensure()
    assert mark.exists()


def test_a_failed_installation_into_the_readers_own_venv_leaves_it_theirs(project, pip):
    venv.create(project.folder, symlinks=os.name != "nt")
    mark = leave_mark(project)
    pip.fails = ("install",)
    with pytest.raises(InstallError):
        project.ensure()
    pip.fails = ()
    project.ensure()
    assert mark.exists() and state(project) == "adopted"


def test_inside_venv_nothing_is_emptied(project, pip, monkeypatch):
    project.ensure()
    project.write_marker(state="installing")
    mark = leave_mark(project)
    monkeypatch.setattr(sys, "prefix", str(project.folder))
    project.ensure()
    assert mark.exists() and state(project) == "ready"


def test_the_marker_is_whole_or_absent(project, monkeypatch):
    project.folder.mkdir()
    project.write_marker(state="ready")
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        project.write_marker(state="installing")
    assert state(project) == "ready" and len(list(project.folder.iterdir())) == 1


@pytest.mark.parametrize("windows", [True, False])
def test_where_python_lies(windows, monkeypatch):
    monkeypatch.setattr(environment, "WINDOWS", windows)
    expected = "x/.venv/Scripts/python.exe" if windows else "x/.venv/bin/python"
    assert Environment(Path("x")).python == Path(expected)


# Pip


def test_without_ensurepip_pip_comes_from_elsewhere(project, pip, monkeypatch):
    present = ["ensurepip", "pip", "pip3", "apt-get"]
    monkeypatch.setattr(environment.importlib.util, "find_spec", lambda name: name in present or None)
    monkeypatch.setattr(environment.shutil, "which", lambda name: name if name in present else None)
    sources = [" ".join(source) for source in project.sources_of_pip()]
    words = ["-Im ensurepip", f"{sys.executable} -m pip --python", "pip3 --python", "python3-pip-whl"]
    assert all(word in source for word, source in zip(words, sources, strict=True))
    present[:2] = []
    pip.fails = ("--version", "pip3")
    project.ensure()
    python = str(project.python)
    assert [command[0] for command in pip.commands] == [python, "pip3", "sh", python]


def test_a_python_without_any_pip_is_told_the_package_to_install(project, pip, monkeypatch):
    monkeypatch.setattr(Environment, "sources_of_pip", lambda project: iter(()))
    pip.fails = ("--version",)
    with pytest.raises(InstallError, match="apt install python3-venv"):
        project.ensure()


def test_pip_is_run_and_its_words_are_kept(project):
    code = "import os, sys; print('Collecting ü', os.environ['PIP_USER']); sys.exit(3)"
    assert not project.runs([sys.executable, "-c", code])
    assert project.progress.output[-1] == "Collecting ü 0\n"
    assert project.runs([sys.executable, "-c", "pass"])


# One sentence


@pytest.mark.parametrize(
    ("prints", "sentence"),
    [
        ("WARNING: Retrying after connection broken by 'NewConnectionError'\nERROR: No match\n", "network"),
        ("ERROR: Could not install packages: [Errno 28] Kein Platz mehr\n", "disk is full"),
        ("ERROR: Could not install packages: [Errno 13] Permission denied: 'x'\n", "cannot write to"),
        ("ERROR: ResolutionImpossible\n", "install.log: ERROR: ResolutionImpossible"),
    ],
)
def test_a_failure_is_one_sentence(project, pip, prints, sentence):
    pip.prints, pip.fails = prints, ("install",)
    with pytest.raises(InstallError, match=sentence) as failure:
        project.ensure()
    assert "\n" not in str(failure.value)
    assert prints in project.log.read_text()


@pytest.mark.parametrize(
    ("number", "sentence"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "cannot write to"), (errno.EACCES, "cannot write to")],
)
def test_a_disk_that_refuses_is_one_sentence(project, monkeypatch, number, sentence):
    def refuse(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(venv.EnvBuilder, "create", refuse)
    with pytest.raises(InstallError, match=sentence):
        project.ensure()
    assert state(project) == "installing"


def test_the_sentence_goes_to_stderr_without_a_traceback(monkeypatch, capsys):
    def fail(*args, **kwargs):
        raise InstallError("the disk is full")

    monkeypatch.setattr(Environment, "ensure", fail)
    assert command.main(["test"]) == 1
    assert capsys.readouterr() == ("", "swin_edu: the disk is full\n")


# Two starts, and what they show


def test_a_second_start_waits_for_the_first(project, pip, monkeypatch, capsys):
    project.folder.mkdir()
    project.lock.touch()
    second = threading.Thread(target=project.ensure)
    second.start()
    time.sleep(0.3)
    assert not pip.commands
    project.lock.unlink()
    second.join(10)
    assert state(project) == "ready"
    assert capsys.readouterr().err.count("waiting") == 1


def test_the_lock_of_a_killed_start_is_taken_over(project):
    project.folder.mkdir()
    project.lock.touch()
    os.utime(project.lock, (0, 0))
    assert project.take_lock() and not project.take_lock()


def test_a_long_installation_keeps_its_lock_fresh(project):
    project.folder.mkdir()
    project.lock.touch()
    os.utime(project.lock, (0, 0))
    with environment.ticking(0.01, project.give_sign_of_life):
        time.sleep(0.2)
    assert not project.take_lock()


def test_the_progress_line_counts_packages(capsys):
    progress = environment.Progress()
    progress.output += ["Collecting torch<3 (from x)\n", "  Downloading torch\n"]
    progress.output += ["Processing /a b/numpy-2.0-py3.whl\n"]
    assert re.fullmatch(r"installing: numpy … 2 packages, \d+ s", progress.line())
    progress.output.append("Installing collected packages: torch, numpy\n")
    assert "unpacking … 2 packages" in progress.line()
    progress.output.append("$ the next command\n")
    assert "pip … 0 packages" in progress.line()
    progress.show()
    progress.show()
    assert capsys.readouterr().err.count("\n") == 1


def test_on_a_terminal_the_line_is_updated_in_place(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = environment.Progress()
    progress.show()
    progress.show(last=True)
    err = capsys.readouterr().err
    assert err.count("\r") == 2 and err.count("\n") == 1


# Arguments


@pytest.fixture
def executed(monkeypatch):
    """Return the arguments .venv's Python would be started with, and whether it would have pytest."""
    calls: list[list[str]] = []
    wanted: list[bool] = []
    monkeypatch.setattr(Environment, "ensure", lambda _, test=False: wanted.append(test))
    monkeypatch.setattr(Environment, "execute", lambda _, *arguments: calls.append(list(arguments)) or 5)
    monkeypatch.setattr(Environment, "is_running", lambda project: False)
    monkeypatch.chdir(ROOT)
    return calls, wanted


@pytest.mark.parametrize("arguments", [[], ["-x", "-k", "one or two", "tests/a.py::b", "-n", "2"]])
def test_test_passes_its_arguments_to_pytest(executed, monkeypatch, arguments):
    monkeypatch.setattr(os, "environ", os.environ.copy())
    assert command.main(["test", *arguments]) == 5
    [started], wanted = executed
    assert started[:3] == ["-m", "pytest", "-n"]
    assert started[4:] == ["--dist", "loadfile", "--no-loadscope-reorder", *arguments]
    assert wanted == [True]


@pytest.mark.parametrize(
    ("cores", "threads", "processes"), [(1, 1, 1), (2, 1, 2), (4, 1, 4), (16, 4, 4), (None, 1, 1)]
)
def test_tests_start_no_more_threads_than_cores(executed, monkeypatch, cores, threads, processes):
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(os, "environ", {})
    command.main(["test"])
    assert executed[0][0][3] == str(processes) and os.environ["OMP_NUM_THREADS"] == str(threads)
    monkeypatch.setattr(os, "environ", {"OMP_NUM_THREADS": "3"})
    command.main(["test"])
    assert os.environ["OMP_NUM_THREADS"] == "3"


@pytest.mark.parametrize("arguments", [[], ["open"], ["open", "--no-browser", "--port", "9999"]])
@pytest.mark.parametrize("user", [0, 1000])
def test_open_starts_jupyterlab_at_the_first_page(executed, monkeypatch, arguments, user):
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    command.main(arguments)
    (started,), wanted = executed
    assert started[:3] == ["-m", "jupyterlab", "notebooks/00_start_here.ipynb"]
    assert started[len(started) - len(arguments[1:]) :] == arguments[1:]
    assert ("--allow-root" in started) == (user == 0)
    assert wanted == [False]


@pytest.mark.parametrize("arguments", [["write", "--check", "03"], ["figures"], ["site", "out", "00"]])
def test_the_others_start_again_inside_venv(executed, arguments):
    assert command.main(arguments) == 5
    assert executed == ([["-m", "swin_edu", *arguments]], [False])


@pytest.mark.parametrize(
    ("arguments", "called"),
    [
        (["write"], ("write", [], False)),
        (["write", "--check", "03", "04"], ("write", ["03", "04"], True)),
        (["figures"], ("figures",)),
        (["site", "out", "00"], ("site", Path("out"), ["00"])),
        (["bench", "--peers", "--model", "swin_s"], ("bench", ["swin_s"], True)),
        (["compare", "sides", "lengths"], ("compare", ["sides", "lengths"])),
        (["explain", "a.jpg", "--class", "ring"], ("explain", "a.jpg", Path(), None, None, "ring")),
        (
            ["train", "--seed", "3", "--fast"],
            ("train", "digits", Path("runs"), 3, None, True, "classification", False),
        ),
        (
            ["predict", "a.png", "b.png", "--task", "segmentation"],
            ("predict", ["a.png", "b.png"], "segmentation", Path(), None, 0.3),
        ),
    ],
)
def test_inside_venv_they_call_their_module(executed, monkeypatch, arguments, called):
    calls = []

    class StandIn:
        def __init__(self, name):
            self.name = name

        def main(self, *given):
            calls.append((self.name, *given))
            return 3

    for name in ("write", "figures", "site", "bench", "compare", "explain", "predict", "train"):
        monkeypatch.setitem(sys.modules, f"swin_edu.book.{name}", StandIn(name))
        monkeypatch.setattr(f"swin_edu.book.{name}", StandIn(name), raising=False)
    monkeypatch.setattr(Environment, "is_running", lambda project: True)
    assert command.main(arguments) == 3
    assert calls == [called]


@pytest.mark.parametrize("arguments", [["other"], ["write", "--force"], ["figures", "x"], ["site"]])
def test_an_unknown_argument_is_refused_before_anything_is_made(executed, arguments):
    with pytest.raises(SystemExit) as end:
        command.main(arguments)
    assert end.value.code == 2 and executed == ([], [])


def test_ctrl_c_ends_without_a_traceback(executed, monkeypatch, capsys):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Environment, "ensure", interrupt)
    assert command.main([]) == 130
    assert capsys.readouterr().err == "\nswin_edu: stopped\n"


@pytest.mark.parametrize(
    "arguments", [["train"], ["explain", "photo.jpg"], ["predict", "photo.jpg"], ["bench"], ["compare"]]
)
@pytest.mark.parametrize("name", ["cuda:99", "tpu"])
def test_a_device_that_is_not_here_is_one_sentence(monkeypatch, capsys, arguments, name):
    monkeypatch.setenv("SWIN_EDU_DEVICE", name)
    assert command.run_inside(command.make_parser().parse_args(arguments)) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"swin_edu: SWIN_EDU_DEVICE is {name!r}, ") and said.count("\n") == 1
