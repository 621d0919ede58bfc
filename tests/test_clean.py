"""The code is clean: ruff and mypy find nothing."""

import subprocess
import sys

import pytest

from swin_edu.book.write import ROOT


@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "mypy"])
def test_nothing_to_mend(command):
    result = subprocess.run(
        [sys.executable, "-m", *command.split()], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stdout + result.stderr
