"""The chapters as static pages: explorers alive with no kernel and no network.

``python3 -m swin_edu site OUT`` converts the stored notebooks; nothing is run again.
"""

import html
import json
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from swin_edu.book.explorers.base import FOLDER, STATE_MIME, module_source
from swin_edu.book.files import replace_text
from swin_edu.book.write import ROOT, chapters

LINK = re.compile(r"\((\d\d_\w+)\.ipynb(#[^)]*)?\)")


def main(out: Path, chosen: list[str]) -> int:
    """Write one page for each chapter chosen (all, if none is) into the folder `out`."""
    try:
        paths = chapters(ROOT, chosen)
        for path in paths:
            replace_text(out / f"{path.stem}.html", page(path))
    except (OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"{len(paths)} pages in {out}; open {out / paths[0].stem}.html")
    return 0


def page(path: Path) -> str:
    """Return one notebook as a page that holds all it needs."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = LINK.sub(r"(\1.html\2)", cell.source)
    scripts = [
        script for cell in notebook.cells for output in cell.get("outputs", []) for script in enliven(output)
    ]
    exporter = HTMLExporter(
        mathjax_url="", require_js_url="", jquery_url="", mermaid_js_url="", template_name="lab"
    )
    body, _ = exporter.from_notebook_node(notebook, resources={"metadata": {"name": heading(notebook)}})
    modules = "\n".join(
        f'<script type="module">\n{live_module(script)}\n</script>' for script in dict.fromkeys(scripts)
    )
    return body.replace("</body>", f"{modules}\n</body>")


def heading(notebook: NotebookNode) -> str:
    """Return the first heading of the notebook, for the page's title."""
    return notebook.cells[0].source.partition("\n")[0].lstrip("# ")


def enliven(output: NotebookNode) -> list[str]:
    """Give an explorer's output its live form, the still picture inside; return the scripts that it needs."""
    stored = output.get("data", {}).pop(STATE_MIME, None)
    if stored is None:
        return []
    picture, alt = output.data.pop("image/png"), output.metadata["image/png"]["alt"]
    state = json.dumps(stored, ensure_ascii=False).replace("</", "<\\/")
    output.data["text/html"] = (
        f'<div data-script="{stored["script"]}">'
        f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{picture.strip()}">'
        f'<script type="application/json">{state}</script></div>'
    )
    return [stored["script"]]


def live_module(script: str) -> str:
    """Return the module that brings every explorer of one kind on the page to life."""
    places = f"document.querySelectorAll('[data-script=\"{script}\"]')"
    start = f"for (const place of {places}) start((view) => host(view, explorer), place);"
    return "\n".join([module_source(script), (FOLDER / "page.js").read_text("utf-8"), start])
