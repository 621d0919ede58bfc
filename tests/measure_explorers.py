"""How fast the explorers answer in a real JupyterLab.

``.venv/bin/python tests/measure_explorers.py [NAME …]`` measures those named, or all.

Prints, for each explorer, the milliseconds from the key press to the changed picture and to the frame that
shows it (median and 95th percentile over 36 steps of every slider), and what a drag over a slider showed.
"""

import os
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles

import browser

from swin_edu.book import explorers

NOTEBOOK = """import browser

browser.example("{0}")"""
# Listens before the explorer to the key, and after it to the slider.
LISTEN = """(root) => {
  const canvas = root.querySelector("canvas");
  window.steps = [];
  let pressed = 0, before = "";
  for (const input of root.querySelectorAll("input")) {
    input.addEventListener("keydown", () => {
      before = canvas.toDataURL();
      pressed = performance.now();
    }, true);
    input.addEventListener("input", () => {
      const step = { painted: performance.now() - pressed };
      requestAnimationFrame(() => setTimeout(() => {
        step.shown = performance.now() - pressed;
        step.changed = canvas.toDataURL() !== before;
        window.steps.push(step);
      }));
    });
  }
}"""


def measure(page):
    """Return the steps of 36 key presses a slider, and what a drag over the last slider showed."""
    explorer = page.locator(".swin-explorer")
    explorer.wait_for(timeout=60_000)
    explorer.evaluate(LISTEN)
    sliders = explorer.get_by_role("slider")
    for number in range(sliders.count()):
        slider = sliders.nth(number)
        slider.focus()
        for _ in range(36):
            key = "ArrowLeft" if slider.evaluate("(input) => input.value === input.max") else "ArrowRight"
            count = page.evaluate("() => window.steps.length")
            page.keyboard.press("Home" if key == "ArrowLeft" else key)
            page.wait_for_function(f"() => window.steps.length > {count}")
    steps = page.evaluate("() => window.steps")
    seen = browser.drag(page, sliders.last)
    possible = int(sliders.last.get_attribute("max")) + 1
    return steps, seen, possible


def main():
    """Print one row for each explorer."""
    names = sys.argv[1:] or [name for name in explorers.__all__ if name != "Guesses"]  # has no sliders
    print("explorer        steps  painted, ms     shown, ms       unchanged  drag: values  blank frames")
    os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # the notebooks import browser
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            browser.write_notebook(Path(folder) / f"{name}.ipynb", NOTEBOOK.format(name))
        with browser.jupyterlab(Path(folder)) as address, browser.chromium() as chromium:
            for name in names:
                page = chromium.new_page(viewport={"width": 1100, "height": 900})
                browser.open_notebook(page, address, f"{name}.ipynb")
                browser.run_all(page)
                steps, seen, possible = measure(page)
                columns = [[step[key] for step in steps] for key in ("painted", "shown")]
                times = "  ".join(f"{median(c):5.1f} / {quantiles(c, n=20)[-1]:5.1f}" for c in columns)
                unchanged = sum(not step["changed"] for step in steps)
                drag = f"{len(seen['values']):4} of {possible:3}   {seen['blank']} of {seen['frames']}"
                print(f"{name:15} {len(steps):4}   {times}   {unchanged:6}     {drag}")


if __name__ == "__main__":
    main()
