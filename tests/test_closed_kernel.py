"""The closed kernel for nbgrader: it computes, but reads, writes and reaches nothing it should not."""

import os
import shutil
import sys

import nbformat
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from swin_edu.book.write import ROOT

CODE = {
    "computes": "import torch, swin_edu.book.check\nprint(torch.ones(3).sum().item())",
    "sees its own notebook": "import os\nprint(os.listdir('.'))",
    "sees nothing else of the course": "import os\nprint(os.listdir('../../..'), os.path.exists('../ben'))",
    "sees nothing of the home folder": "import os, pathlib\nprint((pathlib.Path.home() / 'secret').exists())",
    "cannot write": "open('mine', 'w')",
    "cannot reach the network": "import socket\nsocket.create_connection(('127.0.0.1', 1), 1)",
    "has no other processes": "import os\nprint(sum(name.isdigit() for name in os.listdir('/proc')) < 6)",
}

pytestmark = pytest.mark.usefixtures("sandbox")


@pytest.fixture(scope="module")
def said(tmp_path_factory, sandbox):
    base = tmp_path_factory.mktemp("hub")
    here = base / "course" / "autograded" / "anna" / "A1"
    here.mkdir(parents=True)
    (here / "A1.ipynb").touch()
    (base / "course" / "gradebook.db").touch()
    (base / "course" / "autograded" / "ben").mkdir()
    home, runtime = base / "home", base / "runtime"
    home.mkdir()
    (home / "secret").touch()
    runtime.mkdir()
    kernels = base / "kernels"
    shutil.copytree(ROOT / "notebooks" / "assignments" / "scale" / "closed", kernels / "closed")
    cells = [nbformat.v4.new_code_cell(code) for code in CODE.values()]
    notebook = nbformat.v4.new_notebook(cells=cells)
    manager = AsyncKernelManager(
        kernel_name="closed",
        transport="ipc",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(kernels)]),
        connection_file=str(runtime / "kernel.json"),
    )
    client = NotebookClient(
        notebook, km=manager, allow_errors=True, timeout=60, resources={"metadata": {"path": str(here)}}
    )
    path = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
    client.execute(cleanup_kc=True, env=os.environ | {"HOME": str(home), "PATH": path})
    outputs = [cell.outputs[0] for cell in notebook.cells]
    return dict(zip(CODE, (output.get("text") or output.get("ename") for output in outputs), strict=True))


def test_it_computes(said):
    assert said["computes"] == "3.0\n"


def test_it_sees_its_own_notebook_and_no_more(said):
    assert said["sees its own notebook"] == "['A1.ipynb']\n"
    assert said["sees nothing else of the course"] == "['autograded'] False\n"
    assert said["sees nothing of the home folder"] == "False\n"
    assert said["has no other processes"] == "True\n"


def test_it_changes_and_reaches_nothing(said):
    assert said["cannot write"] == "OSError"
    assert said["cannot reach the network"] in ("OSError", "ConnectionRefusedError")
