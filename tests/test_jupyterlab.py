"""The explorers in a real JupyterLab, by keyboard and by mouse."""

import shutil

import browser
import pytest

from swin_edu.book.write import ROOT

EXPLORER = """from swin_edu.book.explorers import Overview
from swin_edu.book.images import sample_image

explorer = Overview(sample_image())
explorer"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "notebooks" / "00_start_here.ipynb", folder)
    browser.write_notebook(folder / "explorer.ipynb", EXPLORER, "print(explorer.state)")
    return folder


@pytest.fixture(scope="module")
def address(folder):
    with browser.jupyterlab(folder) as address:
        yield address


def canvas(explorer):
    return explorer.evaluate('(root) => root.querySelector("canvas").toDataURL()')


def test_before_anything_runs_the_still_picture_stands_there(page, address):
    browser.open_notebook(page, address, "00_start_here.ipynb")
    pictures = page.locator(".jp-Notebook .jp-RenderedImage img")
    pictures.first.wait_for()
    page.wait_for_function('document.querySelectorAll(".jp-Notebook .jp-RenderedImage img").length >= 6')
    assert page.locator(".jp-Notebook").get_by_text("model not found").count() == 0


def test_sliders_in_jupyterlab(page, address):
    browser.open_notebook(page, address, "explorer.ipynb")
    browser.run_all(page)
    explorer = page.locator(".swin-explorer")
    explorer.wait_for(timeout=60_000)
    slider = explorer.get_by_role("slider", name="Shift s, tokens")
    sentence = explorer.locator("p")
    before = canvas(explorer)

    # By keyboard: the arrow moves the slider, not JupyterLab's cell cursor; a letter inserts no cell.
    slider.focus()
    cells = page.locator(".jp-Notebook .jp-CodeCell").count()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    assert slider.get_attribute("aria-valuetext") == "4 tokens, 16 pixels"
    assert "shifted by 4 tokens = 16 px" in sentence.inner_text()
    assert canvas(explorer) != before
    assert page.locator(".jp-Notebook .jp-CodeCell").count() == cells
    assert slider.evaluate("(node) => node === document.activeElement")

    # By mouse: a slow drag shows every value, and never a blank picture.
    seen = browser.drag(page, slider)
    assert {f"{shift} tokens, {4 * shift} pixels" for shift in range(7)} <= set(seen["values"])
    assert seen["blank"] == 0 and seen["frames"] > 60

    # Python holds the state, and moves the slider in its turn.
    # A cell may overtake the last message of a drag, so it looks until the message is there.
    wait = (
        "import time\nfor _ in range(50):\n    time.sleep(0.1 * (explorer.shift != 6))\nprint(explorer.shift)"
    )
    assert browser.run_cell(page, 1, wait) == "6"
    assert browser.run_cell(page, 1, "explorer.shift = 2; print('moved')") == "moved"
    page.wait_for_function(
        "() => document.querySelector('.swin-explorer p').innerText.includes('shifted by 2 tokens')"
    )
    assert slider.get_attribute("aria-valuetext") == "2 tokens, 8 pixels"
