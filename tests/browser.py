"""A real Chromium and a real JupyterLab for the tests of the explorers."""

import base64
import inspect
import io
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import nbformat
import numpy as np
import torch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from swin_edu.book import explorers
from swin_edu.book.annotated import scenes_of_objects
from swin_edu.book.datasets import digits
from swin_edu.book.explorers.base import STATE_MIME, Explorer
from swin_edu.book.images import sample_image
from swin_edu.book.site import enliven, live_module
from swin_edu.book.trained import trained
from swin_edu.insight import look_inside
from swin_edu.model import SwinTransformer
from swin_edu.training import RECIPES, small_swin

# Look at the explorer's canvas and slider in every frame.
RECORD = """(input) => {
  const canvas = input.closest(".swin-explorer").querySelector("canvas");
  const seen = (window.seen = { values: new Set(), blank: 0, frames: 0 });
  const frame = () => {
    if (window.seen !== seen) return;
    const [, , , alpha] = canvas.getContext("2d").getImageData(100, 60, 1, 1).data;
    seen.frames += 1;
    seen.blank += alpha === 0 || !canvas.isConnected;
    seen.values.add(input.getAttribute("aria-valuetext"));
    requestAnimationFrame(frame);
  };
  frame();
}"""
# Every text that the page writes, where, how large, in which colour, and whether it is bold.
WRITTEN = """() => {
  window.written = [];
  const write = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
    const width = this.measureText(text).width;
    const left = x - { left: 0, center: width / 2, right: width }[this.textAlign];
    const size = parseFloat(/([0-9.]+)px/.exec(this.font)[1]);
    const bold = /bold|700/.test(this.font), color = this.fillStyle;
    window.written.push({ text, left, right: left + width, y, size, color, bold });
    write.call(this, text, x, y);
  };
  window.dispatchEvent(new Event("resize"));
}"""
NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "msedge",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)
# Seconds of the parts after each step, for the explorer of times.
PROFILES = {
    1: {
        "clear": [0.0661, 0.0072, 0.0031, 0.0014, 0.0047, 0.0052],
        "faster product": [0.0584, 0.0071, 0.0031, 0.0014, 0.0046, 0.0051],
        "window order": [0.0585, 0.0070, 0.0030, 0.0015, 0.0019, 0.0049],
        "chunks": [0.0571, 0.0066, 0.0012, 0.0015, 0.0018, 0.0048],
        "one pass": [0.0532, 0.0061, 0.0001, 0.0017, 0.0016, 0.0026],
    },
    8: {
        "clear": [0.470, 0.052, 0.022, 0.010, 0.036, 0.010],
        "faster product": [0.402, 0.051, 0.022, 0.010, 0.035, 0.009],
        "window order": [0.401, 0.049, 0.021, 0.011, 0.014, 0.008],
        "chunks": [0.385, 0.046, 0.006, 0.012, 0.013, 0.007],
        "one pass": [0.370, 0.043, 0.0005, 0.013, 0.012, 0.004],
    },
}
BOUNDS = {1: 0.0419, 8: 0.335}
# Sentences to guess about.
CLAIMS = {
    4: "Attention runs in a sliding window.",
    5: "The mask of the shifted windows costs as much time as attention itself, so leave it out.",
    12: "Swin has no position embedding.",
}
# A browser that stays at home: no start-up look-ups, no sandbox where root or a container forbids it.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
]


def executable() -> str | None:
    """Return the path of an installed Chromium, if there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a headless Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=OPTIONS)
        yield browser
        browser.close()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def jupyterlab(folder: Path) -> Iterator[str]:
    """Serve `folder` by JupyterLab; yield its address."""
    port = free_port()
    settings = [
        "--IdentityProvider.token=",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
    ]
    command = [
        sys.executable,
        "-m",
        "jupyterlab",
        "--no-browser",
        "--allow-root",
        f"--port={port}",
        *settings,
    ]
    private = {
        "JUPYTER_CONFIG_DIR": str(folder / ".config"),
        "JUPYTERLAB_SETTINGS_DIR": str(folder / ".settings"),
    }
    with (folder / "jupyterlab.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **private})
    try:
        wait_for(f"http://127.0.0.1:{port}/api", server)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def wait_for(address: str, server: subprocess.Popen, seconds: float = 60) -> None:
    """Wait until `address` answers; fail when the server ends or the time is up."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert server.poll() is None, f"JupyterLab ended with code {server.returncode}"
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {address} within {seconds} s")


def write_notebook(path: Path, *cells: str) -> None:
    """Write a notebook with the given code cells, not yet run."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(nbformat.writes(notebook), "utf-8")


def open_notebook(page: Page, address: str, name: str) -> None:
    """Open a notebook in a fresh workspace and wait until its cells stand there and its kernel is idle."""
    page.goto(f"{address}/lab/workspaces/{Path(name).stem}/tree/{name}?reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    kernel = "window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status"
    page.wait_for_function(f"() => {kernel} === 'idle'", timeout=60_000)


def run_all(page: Page) -> None:
    """Start to run all cells; wait for what they show, since a dialog can hold up JupyterLab's promise."""
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")


def run_cell(page: Page, number: int, source: str) -> str:
    """Replace a cell's source, run it, and return what it printed."""
    page.evaluate(
        """([number, source]) => {
        const notebook = window.jupyterapp.shell.currentWidget.content;
        notebook.activeCellIndex = number;
        notebook.activeCell.model.sharedModel.setSource(source);
        notebook.activeCell.model.clearExecution();
        window.jupyterapp.commands.execute("notebook:run-cell");
        }""",
        [number, source],
    )
    cell = page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    output = cell.locator(".jp-OutputArea-output").last
    output.wait_for()
    return output.inner_text().strip()


def drag(page: Page, slider: Locator) -> dict:
    """Drag a slider from end to end, a frame at a time; return the values and blank pictures seen."""
    box = slider.bounding_box()
    assert box
    middle, left, right = box["y"] + box["height"] / 2, int(box["x"]) + 6, int(box["x"] + box["width"]) - 6
    page.mouse.move(left, middle)
    page.mouse.down()
    slider.evaluate(RECORD)
    for x in range(left, right + 1):
        page.mouse.move(x, middle)
        page.evaluate("() => new Promise(requestAnimationFrame)")
    page.mouse.up()
    return page.evaluate("() => ({ ...window.seen, values: [...window.seen.values] })")


def example(name: str) -> Explorer:
    """Make an explorer of the book as it first stands; those that take a photograph get the first one."""
    kind = getattr(explorers, name)
    given = {"image": sample_image(), "profiles": PROFILES, "bounds": BOUNDS, "claims": CLAIMS}
    if name == "Sight":
        given |= seen_pictures()
    if name == "Moves":
        given |= read_digits()
    if name == "Objects":
        given |= seen_scenes()
    return kind(**{key: given[key] for key in inspect.signature(kind).parameters if key in given})


def seen_pictures(version: int = 1, height: int = 64, width: int = 64) -> dict:
    """Return two pictures, and what a small model with weights of order one does with them."""
    torch.manual_seed(0)
    model = SwinTransformer(24, (2, 2, 2), (2, 4, 8), window=4, num_classes=6, version=version).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:  # tables of 2 to 8 heads: 1
                parameter.normal_(std=parameter.shape[1] ** -0.5 if parameter.shape[1] > 8 else 1)
    images = torch.stack([sample_image(name, size=128) for name in ("temple", "flower")])
    images = images[:, :, 32 : 32 + height, :width]
    return {"images": images, "blocks": look_inside(model, 2 * images - 1)}


def read_digits() -> dict:
    """Return a small model as it stands before training, and 60 digits with their classes."""
    torch.manual_seed(0)
    model = small_swin(replace(RECIPES["digits"], channels=8, heads=(1, 2)), 10)
    images, labels = digits().held_out
    return {"model": model, "images": images[:60], "labels": labels[:60]}


def seen_scenes() -> dict:
    """Return six scenes, and the book's detector and segmenter."""
    images = scenes_of_objects(1, 6).held_out.images
    return {"images": images, "detector": trained("detection"), "segmenter": trained("segmentation")}


def load(page: Page, script: str, names: list[str]) -> None:
    """Give the page the functions of an explorer's module as globals."""
    source = f"{live_module(script)}\nObject.assign(window, {{ {', '.join(names)}, ready: true }});"
    page.set_content(f'<script type="module">{source}</script>')
    page.wait_for_function("window.ready")


def show_live(page: Page, explorer: Explorer) -> None:
    """Put the explorer on the page as an exported page holds it, and wait until it lives."""
    data = {STATE_MIME: explorer.stored(), "image/png": ""}
    output = nbformat.from_dict({"data": data, "metadata": {"image/png": {"alt": "the still picture"}}})
    [script] = enliven(output)
    page.set_content(f'{output.data["text/html"]}<script type="module">{live_module(script)}</script>')
    page.wait_for_selector(".swin-explorer canvas")


def written(page: Page, explorer: Explorer) -> list[dict]:
    """Show the explorer; return every text that it writes on its canvas, with its place."""
    show_live(page, explorer)
    page.evaluate(WRITTEN)
    return page.evaluate("() => window.written")


def canvas_pixels(page: Page) -> np.ndarray:
    """Return the canvas as an array (height, width, 3)."""
    address = page.evaluate('document.querySelector("canvas").toDataURL()')
    picture = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2])))
    return np.asarray(picture.convert("RGB"))
