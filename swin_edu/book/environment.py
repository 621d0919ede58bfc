"""Makes and repairs ``.venv`` with nothing but the standard library.

A marker inside ``.venv`` says whose it is and how far it has come:

- none: the reader's own environment, or an empty folder; installed into, never deleted
- "installing": made here, not finished; emptied and made again
- "ready": made here, complete
- "adopted": the reader's own, complete
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

WINDOWS = os.name == "nt"
STALE_AFTER = 20.0  # seconds without a sign of life, after which a lock belongs to a killed process
HAS_ITS_LIBRARY = "import os, sys, sysconfig; sys.exit(not os.path.isdir(sysconfig.get_path('purelib')))"
PIP_FROM_DEBIAN = """cd "$(mktemp -d)" && trap 'rm -r "$PWD"' EXIT && apt-get download python3-pip-whl &&
dpkg-deb -x python3-pip-whl_*.deb . && wheel=$(echo usr/share/python-wheels/pip-*.whl) &&
"$0" "$wheel/pip" install --no-index "$wheel" """
REASONS = {
    r"Errno (28|122)\b|WinError 112\b|No space left": "the disk is full: free about 2 GB and start again",
    r"Errno (1|13|30)\b|WinError 5\b": "cannot write to {root}: copy the project to a folder of yours",
    r"connection broken|Max retries|imed out|Temporary failure|getaddrinfo": (
        "the package index cannot be reached: check the network and start again"
    ),
}


class InstallError(Exception):
    """The environment cannot be made. The message is the one sentence that tells the reader why."""


class Environment:
    """The folder ``.venv`` of the project in `root`, or another one beside it."""

    def __init__(self, root: Path, name: str = ".venv") -> None:
        self.root = root
        self.folder = root / name
        self.python = self.folder / ("Scripts/python.exe" if WINDOWS else "bin/python")
        self.marker = self.folder / "swin_edu.json"
        self.lock = self.folder / "swin_edu.lock"
        self.log = self.folder / "install.log"
        self.progress = Progress()

    def is_running(self) -> bool:
        """Tell whether the present interpreter is the one of .venv."""
        return Path(sys.prefix).resolve() == self.folder.resolve()

    def execute(self, *arguments: str) -> int:
        """Go on as .venv's Python, which replaces this process: Ctrl-C and the exit code are its own."""
        command = [str(self.python), *arguments]
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or every kernel would compile torch again
        if not WINDOWS:
            os.execv(command[0], command)
        with subprocess.Popen(command) as process:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both, and is the child's
            return process.wait()

    def ensure(self, test: bool = False) -> None:
        """Make, repair or update .venv; return at once when all is well. Raises InstallError."""
        wanted = ["requirements.txt", "requirements-test.txt"][: 1 + test]
        try:
            if self.is_complete(wanted):
                return
            self.folder.mkdir(exist_ok=True)
            with self.locked(), self.logged(), ticking(0.5, self.give_sign_of_life):
                if not self.is_complete(wanted):  # another start may have completed it while this one waited
                    self.make(wanted)
        except (ImportError, OSError, ValueError) as error:  # no venv here; a path with a colon
            raise InstallError(self.reason(str(error))) from error

    def is_complete(self, wanted: list[str]) -> bool:
        """Tell whether the wanted requirement files are installed as they are now, and Python is there."""
        marker = self.read_marker()
        installed = marker.get("installed", {})
        current = all(installed.get(name) == self.fingerprint(name) for name in wanted)
        return marker.get("state") in ("ready", "adopted") and current and self.has_python()

    def fingerprint(self, name: str) -> str:
        """Return a digest of a requirement file and of the folder that the editable install points to."""
        return hashlib.sha256(f"{self.root}\n".encode() + (self.root / name).read_bytes()).hexdigest()

    def has_python(self) -> bool:
        """Tell whether .venv's Python still fits; it is run only if its link leads elsewhere than it did."""
        if self.is_running():
            return True
        unchanged = str(self.python.resolve()) == self.read_marker().get("interpreter")
        if unchanged and self.python.is_symlink() and self.python.exists():
            return True
        with suppress(OSError, subprocess.CalledProcessError):
            subprocess.run([str(self.python), "-Ic", HAS_ITS_LIBRARY], capture_output=True, check=True)
            return True
        return False

    def read_marker(self) -> dict[str, Any]:
        """Return what the marker says: nothing if there is none, or none that was written here."""
        with suppress(FileNotFoundError, json.JSONDecodeError):
            return dict(json.loads(self.marker.read_text(encoding="utf-8")))
        return {}

    def write_marker(self, **content: object) -> None:
        """Write the marker in one step, so that no reader ever sees half of it."""
        new = self.marker.with_suffix(".new")
        try:
            new.write_text(json.dumps(content, indent=1), encoding="utf-8")
            os.replace(new, self.marker)
        finally:
            new.unlink(missing_ok=True)

    def make(self, wanted: list[str]) -> None:
        """Make .venv anew if it is half made or has lost its Python, then install what is wanted."""
        marker = self.read_marker()
        state = marker.get("state")
        ours = state in ("installing", "ready") or not self.contents()
        if not self.is_running() and (state == "installing" or not self.has_python()):
            if not ours:
                raise InstallError(f"{self.folder} has no working Python: move it away and start again")
            self.create()
            marker = {}
        self.install(wanted[-1])
        installed = marker.get("installed", {}) | {name: self.fingerprint(name) for name in wanted}
        state = "ready" if ours else "adopted"
        self.write_marker(state=state, interpreter=str(self.python.resolve()), installed=installed)

    def contents(self) -> list[Path]:
        """Return what .venv holds beside the lock."""
        return [path for path in self.folder.iterdir() if path != self.lock]

    def create(self) -> None:
        """Empty .venv and make it again, without pip yet."""
        import venv  # slow to import, and missing from the smallest Pythons

        for path in self.contents():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        self.write_marker(state="installing")
        venv.EnvBuilder(symlinks=not WINDOWS).create(self.folder)

    def install(self, requirements: str) -> None:
        """Install pip if it is missing, then a requirement file and the package itself, editable."""
        pip = [str(self.python), "-Im", "pip"]
        if not self.runs([*pip, "--version"]) and not any(map(self.runs, self.sources_of_pip())):
            raise InstallError(self.reason("no pip was found: on Debian or Ubuntu, apt install python3-venv"))
        # Compiling all 100 packages takes longer than unpacking them; the first import compiles what is used.
        options = ["--no-input", "--no-compile", "--progress-bar", "off"]
        what = ["-r", str(self.root / requirements), "-e", str(self.root)]
        if not self.runs([*pip, "install", *options, *what]):
            errors = [line.strip() for line in self.progress.output if line.startswith("ERROR: ")]
            raise InstallError(self.reason(f"pip failed, see {self.log}: {errors[-1] if errors else ''}"))

    def sources_of_pip(self) -> Iterator[list[str]]:
        """Yield commands that put pip into .venv, the nearest first. Plain Debian has only the last."""
        python = str(self.python)
        if importlib.util.find_spec("ensurepip"):
            yield [python, "-Im", "ensurepip", "--default-pip"]
        if importlib.util.find_spec("pip"):
            yield [sys.executable, "-m", "pip", "--python", python, "install", "pip"]
        if other := shutil.which("pip3"):
            yield [other, "--python", python, "install", "pip"]
        if shutil.which("apt-get"):
            yield ["sh", "-c", PIP_FROM_DEBIAN, python]

    def runs(self, command: list[str]) -> bool:
        """Run a command, keep what it prints, and tell whether it succeeded."""
        self.progress.output.append(f"$ {' '.join(command)}\n")
        settings = os.environ | {"PIP_USER": "0", "PYTHONIOENCODING": "utf-8"}
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        with subprocess.Popen(command, env=settings, encoding="utf-8", errors="replace", **pipes) as process:
            try:
                self.progress.output.extend(process.stdout or ())
                return process.wait() == 0
            finally:
                process.kill()  # after Ctrl-C; without effect on a process that has ended

    def reason(self, otherwise: str) -> str:
        """Return why the installation failed, from the last lines of its log."""
        tail = "".join(self.progress.output[-20:]) + otherwise
        known = (sentence for pattern, sentence in REASONS.items() if re.search(pattern, tail))
        return next(known, otherwise).replace("{root}", str(self.root))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let one process at a time change .venv; the others wait."""
        told = False
        while not self.take_lock():
            if not told:
                print("another start is installing into .venv; waiting for it", file=sys.stderr, flush=True)
            told = True
            time.sleep(0.5)
        try:
            yield
        finally:
            self.lock.unlink(missing_ok=True)

    def take_lock(self) -> bool:
        """Create the lock file, in place of one whose owner was killed; return False if its owner lives."""
        with suppress(FileNotFoundError):
            if time.time() - self.lock.stat().st_mtime > STALE_AFTER:
                self.lock.unlink()
        with suppress(FileExistsError):
            self.lock.touch(exist_ok=False)
            return True
        return False

    def give_sign_of_life(self) -> None:
        """Keep the lock fresh and the reader informed."""
        with suppress(OSError):
            os.utime(self.lock)
        self.progress.show()

    @contextmanager
    def logged(self) -> Iterator[None]:
        """Keep in the log what pip printed, however it ends."""
        try:
            yield
        finally:
            if self.progress.output:
                self.progress.show(last=True)
                with suppress(OSError):  # a full disk
                    self.log.write_text("".join(self.progress.output), encoding="utf-8")


class Progress:
    """What pip printed, and a line about it: updated in place on a terminal, elsewhere every ten seconds."""

    def __init__(self) -> None:
        self.output: list[str] = []
        self.started = time.monotonic()
        self.shown = -10.0

    def line(self) -> str:
        """Return how far the installation is."""
        command = "".join(self.output).rpartition("\n$ ")[2]  # the running one, with what it has printed
        found = re.findall(r"^Collecting ([\w.-]+)|^Processing .*/(\w+)-", command, re.MULTILINE)
        names = ["".join(name) for name in found]
        unpacking = "\nInstalling collected packages" in command
        step = "unpacking" if unpacking else names[-1] if names else "pip"
        return f"installing: {step} … {len(set(names))} packages, {time.monotonic() - self.started:.0f} s"

    def show(self, last: bool = False) -> None:
        """Show the line, if it is time to."""
        if sys.stderr.isatty():
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{self.line()[:width]:<{width}}", end="\n" if last else "", file=sys.stderr, flush=True)
        elif last or time.monotonic() - self.started - self.shown >= 10:
            self.shown = time.monotonic() - self.started
            print(self.line(), file=sys.stderr, flush=True)


@contextmanager
def ticking(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Call the action in the background every so many seconds."""
    done = threading.Event()

    def tick() -> None:
        while not done.wait(seconds):
            action()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
