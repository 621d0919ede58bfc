"""The book as static pages: ``python3 -m swin_edu site OUT``.

They are made from the stored notebooks; nothing is run again. They need no server, no network and no kernel:
formulas are MathML, explorers are alive, the search reads an index that lies beside the pages.
"""

import base64
import html
import json
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from nbformat import NotebookNode

from swin_edu import __version__
from swin_edu.book.explorers.base import FOLDER, STATE_MIME, module_source
from swin_edu.book.images import SAMPLES
from swin_edu.book.pages.addresses import PICTURES, Addresses
from swin_edu.book.pages.convert import FOLDER as PAGES
from swin_edu.book.pages.convert import Page, file_page, notebook_page
from swin_edu.book.pages.text import Text
from swin_edu.book.write import ROOT, chapters

README = ROOT / "README.md"


def main(out: Path, chosen: list[str]) -> int:
    """Write the site of the chapters chosen (all, if none is) into the folder `out`."""
    try:
        if out.exists() and not out.is_dir():
            raise NotADirectoryError(f"OUT is {out}, which is a file; name a folder")
        files = site(chapters(ROOT, chosen))
        move_in(out, files)
    except (OSError, ValueError) as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"{sum(name.endswith('.html') for name in files)} pages; open {out / 'index.html'}")
    return 0


def site(paths: list[Path]) -> dict[str, bytes]:
    """Return all files of the site by their names, what a page loads before the page itself."""
    if not paths:
        raise ValueError(f"there are no notebooks in {ROOT / 'notebooks'}; run this in a clone of the book")
    addresses = Addresses(paths)
    pictures: dict[str, bytes] = {}
    book = {path: chapter(path, addresses, pictures) for path in paths}
    front = front_page(addresses)
    others = other_pages(addresses, pictures)
    texts = [page for path, page in others.items() if path.suffix == ".md"]
    loaded = {f"files/{path.name}": path.read_bytes() for path in sorted(PAGES.glob("book.*"))}
    loaded["files/passages.js"] = passages([*book.values(), *texts])
    return pictures | loaded | framed(addresses, book, others, front)


def chapter(path: Path, addresses: Addresses, pictures: dict[str, bytes]) -> Page:
    """Return one notebook as a page; put its pictures beside those of the others."""
    notebook, scripts = nbformat.read(path, as_version=4), []
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    drawn = [output for output in outputs if "image/png" in output.get("data", {})]
    for number, output in enumerate(drawn):
        name = f"pictures/{path.stem}.{number:02d}.png"
        pictures[name] = base64.b64decode(output.data["image/png"])
        output.metadata["image/png"]["file"] = name
        scripts += enliven(output, name)
    return notebook_page(path, notebook, addresses, scripts)


def front_page(addresses: Addresses) -> Page:
    """Return what README.md says before its first section; README is a page, too."""
    addresses.place(README, README)
    introduction, _, _ = README.read_text("utf-8").partition("\n## ")
    return Page("index.html", Text(README, addresses).html(introduction))


def other_pages(addresses: Addresses, pictures: dict[str, bytes]) -> dict[Path, Page]:
    """Return pages of the files that pages lead to, and of those that these lead to in turn."""
    pages: dict[Path, Page] = {}
    done: set[Path] = set()
    while waiting := addresses.wanted.keys() - done:
        for path in waiting:
            if path.suffix in PICTURES:
                pictures[addresses.wanted[path]] = path.read_bytes()
            else:
                pages[path] = file_page(path, addresses)
        done |= waiting
    return dict(sorted(pages.items()))


def framed(
    addresses: Addresses, book: dict[Path, Page], others: dict[Path, Page], front: Page
) -> dict[str, bytes]:
    """Return every page in its frame, by its address, the front page last."""

    def leading_to(page: Page) -> list[Page]:
        """Return the other chapters that lead to a page."""
        return [book[path] for path in book if path in addresses.leading.get(page.address, ())]

    environment = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, trim_blocks=True, undefined=StrictUndefined
    )
    environment.globals |= {"book": list(book.values()), "version": __version__, "samples": SAMPLES.values()}
    environment.globals |= {"modules": [page for path, page in others.items() if path.suffix == ".py"]}
    environment.globals |= {"leading_to": leading_to, "live_module": live_module}
    pages = [*book.values(), *others.values(), front]
    templates = {"index.html": environment.get_template("index.html.j2")}
    frame = environment.get_template("page.html.j2")
    return {page.address: templates.get(page.address, frame).render(page=page).encode() for page in pages}


def passages(pages: list[Page]) -> bytes:
    """Return what the search reads, as a script: of every section its address, page, heading and words."""
    found = [
        [page.address, section.anchor, page.title, section.title, section.text]
        for page in pages
        for section in page.sections
    ]
    return f"window.passages = {json.dumps(found, ensure_ascii=False, indent=0)};\n".encode()


def move_in(out: Path, files: dict[str, bytes]) -> None:
    """Write all files beside their places, then move them there, so that none is ever seen half."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".site.") as staged:
        for name, data in files.items():
            path = Path(staged, name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        for name in files:
            (out / name).parent.mkdir(exist_ok=True)
            os.replace(Path(staged, name), out / name)


def enliven(output: NotebookNode, still: str = "") -> list[str]:
    """Give an explorer's output its live form, the still picture inside; return the scripts that it needs.

    `still` is the address of the still picture; without one the page holds it.
    """
    stored = output.get("data", {}).pop(STATE_MIME, None)
    if stored is None:
        return []
    picture, alt = output.data.pop("image/png"), output.metadata["image/png"]["alt"]
    state = json.dumps(stored, ensure_ascii=False).replace("</", "<\\/")
    output.data["text/html"] = (
        f'<div data-script="{stored["script"]}">'
        f'<img alt="{html.escape(alt)}" src="{still or f"data:image/png;base64,{picture.strip()}"}">'
        f'<script type="application/json">{state}</script></div>'
    )
    return [stored["script"]]


def live_module(script: str) -> str:
    """Return the module that brings every explorer of one kind on the page to life."""
    places = f"document.querySelectorAll('[data-script=\"{script}\"]')"
    start = f"for (const place of {places}) start((view) => host(view, explorer), place);"
    return "\n".join([module_source(script), (FOLDER / "page.js").read_text("utf-8"), start])
