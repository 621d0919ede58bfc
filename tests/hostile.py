"""A class that does everything to its grader that can be thought of, with what each must get for it."""

import inspect
import json
import os
import socket
import zipfile
from pathlib import Path

import psutil

from swin_edu.book.classroom.items import a1

ITEMS = a1.ITEMS
NAMES = [item.name for item in ITEMS]
FIRST = NAMES[0]
HEAD = (
    "import math\nimport torch\nfrom einops import rearrange\nfrom torch import Tensor\n"
    "from swin_edu.book import check"
)
RIGHT = {item.name: inspect.getsource(item.reference) for item in ITEMS}
STRIPPED = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}

# The body of the first function; the four others are right. Then what the class's table must say.
BODIES = {
    "loops": ("while True: pass", "timeout"),
    "loops and ignores signals": (
        "import signal\n"
        "for number in range(1, 32):\n"
        "    try: signal.signal(number, signal.SIG_IGN)\n"
        "    except OSError: pass\n"
        "while True: pass",
        "timeout",
    ),
    "sleeps": ("import time\ntime.sleep(10_000)", "timeout"),
    "stops itself": ("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "timeout"),
    "bombs with forks": ("import os\nwhile True: os.fork()", "graded"),
    "bombs with threads": (
        "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(1000,)).start()",
        "graded",
    ),
    "bombs memory with tensors": ("keep = []\nwhile True: keep.append(torch.ones(10**8))", "graded"),
    "bombs memory with bytes": ("keep = []\nwhile True: keep.append(bytearray(10**8))", "graded"),
    "fills folders": (
        "for folder in ('/tmp', '/dev/shm', '/var/tmp', '/'):\n"
        "    for number in range(100):\n"
        "        try: open(f'{folder}/{number}', 'wb').write(bytes(10**8))\n"
        "        except OSError: pass",
        "graded",
    ),
    "writes 200 MB into every open file": (
        "import os\nfor number in range(64):\n    try:\n"
        "        for _ in range(200): os.write(number, bytes(10**6))\n"
        "    except OSError: pass",
        "crashed",
    ),
    "says that much follows": (
        "import os\nfor number in range(64):\n    try: os.write(number, (2**60).to_bytes(8, 'little'))\n"
        "    except OSError: pass",
        "too-large",
    ),
    "forges an answer": (
        "import os, json\n"
        "head = json.dumps({'__metadata__': {'header': json.dumps({'problem': ''})}}).encode()\n"
        "body = len(head).to_bytes(8, 'little') + head\n"
        "for number in range(3, 64):\n    try: os.write(number, len(body).to_bytes(8, 'little') + body)\n"
        "    except OSError: pass",
        "crashed",
    ),
    "closes every file": ("import os\nos.closerange(0, 1000)", "crashed"),
    "leaves with os._exit": ("import os\nos._exit(0)", "crashed"),
    "reads at address 0": ("import ctypes\nctypes.string_at(0)", "crashed"),
    "kills everybody": (
        "import contextlib, os\nfor victim in (-1, os.getppid(), os.getpid()):\n"
        "    with contextlib.suppress(OSError):\n        os.kill(victim, 9)",
        "crashed",
    ),
    "leaves in a thread": (
        "import os, threading, time\nthreading.Timer(0.01, os._exit, (0,)).start()\ntime.sleep(1)",
        "crashed",
    ),
    "says what is long": (
        "import os, json\n"
        "head = json.dumps({'__metadata__': {'header': json.dumps({'problem': 'x' * 10**7})}}).encode()\n"
        "body = len(head).to_bytes(8, 'little') + head\n"
        "for number in range(3, 64):\n    try: os.write(number, len(body).to_bytes(8, 'little') + body)\n"
        "    except OSError: pass",
        "too-large",
    ),
    "stays behind": (
        "import os, subprocess, sys\n"
        "subprocess.Popen([sys.executable, '-I', '-S', '-c', 'import time; time.sleep(10_000)  # STAYS'],"
        " start_new_session=True)",
        "graded",
    ),
    "has patched torch": (
        "true = lambda *given, **named: torch.tensor(True)\n"
        "torch.isclose = torch.allclose = torch.equal = torch.Tensor.__eq__ = true\nreturn images",
        "graded",
    ),
}
# Bodies that are only wrong: four of them in a notebook, whose fifth function is right and alone gets points.
WRONG = {
    "prints 200 MB in one line": "print('x' * 200_000_000)",
    "recurses": "return NAME(*given)",
    "asks for input": "return torch.tensor(float(input()))",
    "deletes files": (
        "import shutil\nfor folder in ('CANARY', '/tmp', '/inside.py', '/packages/torch/nn'):\n"
        "    shutil.rmtree(folder, ignore_errors=True)"
    ),
    "writes files": "open('CANARY/mine', 'w').write('x')",
    "reads the reference": (
        "import importlib, sys\nsys.path.insert(0, 'ROOT')\n"
        "return importlib.import_module('swin_edu.book.classroom.items.a1').NAME(*given)"
    ),
    "reads the solution's file": (
        "text = open('ROOT/swin_edu/book/classroom/items/a1.py').read()\n"
        "exec(text.partition('ITEM')[0])\nreturn images"
    ),
    "reads the work of others": "return torch.tensor(len(open('CANARY/others.ipynb').read()))",
    "connects to this machine": (
        "import socket\nsocket.create_connection(('127.0.0.1', PORT), 1).send(b'answer?')\n"
        "return torch.zeros(1)"
    ),
    "connects to the world": "import socket\nsocket.create_connection(('1.1.1.1', 80), 1)",
    "makes a name space": "import os, ctypes\nassert ctypes.CDLL(None).unshare(0x10000000) == 0",
    "reads the keys of the session": (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nassert libc.syscall(250, 0, -3, 0) >= 0"
    ),
    "hides memory in shared segments": (
        "import ctypes\nassert ctypes.CDLL(None).shmget(0, 2**20, 0o1600) >= 0"
    ),
    "talks to the host of a virtual machine": "import socket\nsocket.socket(40, 1, 0)",
    "wants to live longer than others": (
        "open('/proc/self/oom_score_adj', 'w').write('0')\n"
        "assert int(open('/proc/self/oom_score_adj').read()) > 0"
    ),
    "equals everything": (
        "class Same:\n    def __eq__(self, other): return True\n"
        "    def __getattr__(self, name): return self\n    def __call__(self, *given): return self\n"
        "return Same()"
    ),
    "is a tensor that equals everything": (
        "class Same(torch.Tensor):\n    @classmethod\n"
        "    def __torch_function__(cls, function, types, args=(), kwargs=None):\n        return args[0]\n"
        "    def __eq__(self, other): return True\n"
        "return torch.zeros(1).as_subclass(Same)"
    ),
    "looks through the frames": (
        "import sys\nframe, found = sys._getframe(), []\n"
        "while frame:\n    found += [v for v in frame.f_locals.values() if isinstance(v, Tensor)]\n"
        "    frame = frame.f_back\n"
        "return found[-1]"
    ),
    "gives an array bomb": "return torch.zeros(1).expand(10**12)",
    "gives a long list": "return [0.0] * 2_000_000",
    "gives sparse values": "return torch.zeros(3, 3).to_sparse()",
    "gives no numbers": "return images * float('nan')",
    "gives infinity": "return images + float('inf')",
    "gives a script": "raise ValueError('<script>alert(1)</script><img src=x onerror=alert(2)>')",
    "gives a surrogate": "raise ValueError('\\ud800 \\x1b[2J \\u202e')",
}
# Cells after the right ones, and what the table must say: status, points.
CELLS = {
    "leaves at the top": ("import os\nos._exit(0)", "crashed", ""),
    "asks to leave at the top": ("import sys\nsys.exit()", "graded", "10"),
    "does not compile": ("def broken(:", "graded", "10"),
    "has magic": ("%matplotlib inline\n!rm -rf /\n%timeit 1", "graded", "10"),
    "has cell magic": ("%%bash\nrm -rf /", "graded", "10"),
    "has a deep bracket": ("(" * 100_000 + ")" * 100_000, "graded", "10"),
    "says that all checks pass": (
        f"class check:\n    pass\ncheck.{FIRST} = lambda function: True\n"
        f"def {FIRST}(images, patch):\n    raise NotImplementedError()\nassert check.{FIRST}({FIRST})",
        "graded",
        "8",
    ),
    "drops assert": (
        "import ast\nget_ipython().ast_transformers.append(ast.NodeTransformer())\n"
        f"def {FIRST}(images, patch):\n    return images",
        "graded",
        "8",
    ),
    "patches the grader's side": (
        "import __main__, sys\nmain = sys._getframe(1).f_globals\n"
        "main['as_values'] = lambda *given: (torch.zeros(1, dtype=torch.float64),)",
        "graded",
        "0",
    ),
    "patches the builtins": (
        "import builtins\nbuiltins.callable = lambda value: False",
        "cells-not-found",
        "",
    ),
}


def processes() -> list[tuple[int, str]]:
    """Return the parent and the command of every process."""
    every = (process.info for process in psutil.process_iter(["ppid", "cmdline"]))
    return [(info["ppid"], " ".join(info["cmdline"] or ())) for info in every]


def left_behind() -> list[str]:
    """Return the sandboxes whose grader is gone."""
    return [command for parent, command in processes() if parent == 1 and command.startswith("bwrap ")]


def notebook(*codes: str) -> bytes:
    """Return a notebook of code cells without metadata."""
    cells = [STRIPPED | {"source": code} for code in codes]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 4}).encode()


def right(*more: str, without: tuple[str, ...] = ()) -> bytes:
    """Return a notebook whose functions are all right, but for those that are left out."""
    return notebook(HEAD, *(code for name, code in RIGHT.items() if name not in without), *more)


def first(body: str) -> bytes:
    """Return a notebook whose first function has this body."""
    return right(f"def {FIRST}(images, patch):\n{indent(body)}", without=(FIRST,))


def indent(body: str) -> str:
    """Return the lines of a function's body."""
    return "\n".join(f"    {line}" for line in body.split("\n"))


def fours() -> dict[str, dict[str, str]]:
    """Return by the student's name what is wrong with each of the first four functions."""
    every = list(WRONG)
    groups = [every[start : start + 4] for start in range(0, len(every), 4)]
    return {", ".join(group): dict(zip(NAMES, group, strict=False)) for group in groups}


def wrong(bodies: dict[str, str]) -> bytes:
    """Return a notebook of functions with these bodies; the others are right."""
    codes = [
        f"def {name}(*given):\n    images, patch = given[0], given[-1]\n{indent(body.replace('NAME', name))}"
        for name, body in bodies.items()
    ]
    return right(*codes, without=tuple(bodies))


def make(folder: Path, root: Path, canary: Path, port: int) -> dict[str, tuple[str, str]]:
    """Write the submissions; return each one's status and points, by the name that the table gives it."""
    expected: dict[str, tuple[str, str]] = {}

    def add(name: str, data: bytes, status: str, points: str = "", shown: str = "") -> None:
        (folder / f"{name}.ipynb").write_bytes(data)
        expected[shown or name] = (status, points)

    def here(body: str) -> str:
        return body.replace("CANARY", str(canary)).replace("ROOT", str(root)).replace("PORT", str(port))

    for name, (body, status) in BODIES.items():
        # a forged frame stands where the second function's should: the forger pays for it
        add(name, first(here(body)), status, "6" if name.startswith("forges") else "8")
    for student, four in fours().items():
        bodies = {name: here(WRONG[attack]) for name, attack in four.items()}
        add(student, wrong(bodies), "graded", str(10 - 2 * len(bodies)))
    for name, (code, status, points) in CELLS.items():
        add(name, right(code), status, points)

    add("deleted a cell", right(without=(FIRST,)), "graded", "8")
    add("doubled every cell", right(*RIGHT.values(), *RIGHT.values()), "graded", "10")
    add("deleted all cells", notebook(), "cells-not-found")
    add(
        "renamed all functions",
        notebook(HEAD, *(RIGHT[name].replace(name, "mine") for name in RIGHT)),
        "cells-not-found",
    )
    add("a notebook of version 3", as_version_3(right()), "graded", "10")
    add("=1+1", b"", "unreadable", shown="'=1+1")
    add("Zoë 学生 🙂", right(), "graded", "10")
    add("a\nline\u202e", b"", "unreadable", shown="a\\nline\\u202e")
    add("<script>alert(1)<", right(), "graded", "10")
    add("n" * 249, b"", "unreadable")
    add("empty", b"", "unreadable")
    add("blank", b" \n\n", "unreadable")
    add("cut off", right()[:1000], "unreadable")
    add("random", os.urandom(10_000), "unreadable")
    add("a list", b"[1, 2, 3]", "unreadable")
    add("cells that are none", b'{"cells": [1, null, {"cell_type": 3, "source": {"a": 1}}]}', "unreadable")
    add("deep", b'{"cells": ' + b"[" * 200_000 + b"]" * 200_000 + b"}", "unreadable")
    add(
        "a large output",
        right().replace(b'"outputs": []', b'"outputs": ["' + b"x" * 30_000_000 + b'"]', 1),
        "too-large",
    )
    (folder / os.fsdecode(b"bytes \xff\xfe.ipynb")).touch()
    expected["bytes \\udcff\\udcfe"] = ("unreadable", "")

    os.mkfifo(folder / "a pipe.ipynb")
    (folder / "a link.ipynb").symlink_to(folder / "Zoë 学生 🙂.ipynb")
    (folder / "a link to a folder").symlink_to(canary)
    (folder / "a folder.ipynb").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(folder)  # paths of sockets must be short
        server.bind("a socket.ipynb")
        os.chdir(here)
    with zipfile.ZipFile(folder / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.ipynb", bytes(50_000_000))
    (folder / "no notebook.txt").write_text("hello")
    (folder / "an empty folder").mkdir()
    for name in ("one", "two"):
        (folder / "two notebooks").mkdir(exist_ok=True)
        (folder / "two notebooks" / f"{name}.ipynb").write_bytes(right())
    (folder / "as nbgrader keeps it" / "A1").mkdir(parents=True)
    (folder / "as nbgrader keeps it" / "A1" / "A1_patches_and_windows.ipynb").write_bytes(right())
    (folder / "a full folder").mkdir()
    for number in range(1_100):
        (folder / "a full folder" / f"{number}.txt").touch()
    expected |= {
        "a pipe": ("unreadable", ""),
        "a link": ("unreadable", ""),
        "a link to a folder": ("unreadable", ""),
        "a folder": ("missing", ""),
        "a socket": ("unreadable", ""),
        "bomb.zip": ("unreadable", ""),
        "no notebook.txt": ("unreadable", ""),
        "an empty folder": ("missing", ""),
        "two notebooks": ("unreadable", ""),
        "as nbgrader keeps it": ("graded", "10"),
        "a full folder": ("unreadable", ""),
    }
    return expected


def as_version_3(data: bytes) -> bytes:
    """Return a notebook in the format of 2013."""
    cells = [
        {"cell_type": "code", "input": cell["source"].splitlines(True)} for cell in json.loads(data)["cells"]
    ]
    return json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3}).encode()
