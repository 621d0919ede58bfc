"""The two commands of the README in a clean clone, the first one twice, with their times.

``python3 tests/clean_clone.py [PYTEST ARGUMENTS]``; what stands after it is passed on to the tests. Ends with
an error when a page does not answer, a test fails, or the clone's files differ afterwards.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

PAGE = "lab/tree/notebooks/00_start_here.ipynb"


def seconds_to_first_page(clone: Path) -> float:
    """Open the book, wait until its first page answers, end it with Ctrl-C, and return the seconds."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    options = ["--no-browser", f"--port={port}", "--IdentityProvider.token="]
    started = time.monotonic()
    book = subprocess.Popen([sys.executable, "-m", "swin_edu", "open", *options], cwd=clone)
    while not answers(f"http://127.0.0.1:{port}/{PAGE}"):
        assert book.poll() is None, f"the book ended with code {book.returncode}"
        assert time.monotonic() - started < 600, "no page within ten minutes"
        time.sleep(0.05)
    seconds = time.monotonic() - started
    close(book)
    return seconds


def close(book: subprocess.Popen) -> None:
    """End the book by Ctrl-C; Python drops one that lands in a clean-up callback, so try three times."""
    for _ in range(3):
        book.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            assert book.wait(10) == 0, f"after Ctrl-C the book ended with code {book.returncode}"
            return
    book.kill()
    raise AssertionError("the book goes on after three times Ctrl-C")


def answers(address: str) -> bool:
    """Tell whether a page is served at `address`."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def seconds_of_tests(clone: Path, arguments: list[str]) -> float:
    """Run the tests, which must pass, and return the seconds."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-m", "swin_edu", "test", "-q", *arguments], cwd=clone, check=True)
    return time.monotonic() - started


def main(arguments: list[str]) -> None:
    """Clone, run the commands, and print the times."""
    root = Path(__file__).resolve().parents[1]
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"  # no space: PyTorch's compiler cannot link then
        subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
        opened = [seconds_to_first_page(clone) for _ in range(2)]
        tested = seconds_of_tests(clone, arguments)
        changed = subprocess.run(["git", "status", "--short"], cwd=clone, capture_output=True, text=True)
        assert not changed.stdout, f"files changed: {changed.stdout}"
    print(
        f"first page: {opened[0]:.1f} s the first time, {opened[1]:.1f} s the second; tests: {tested:.1f} s"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
