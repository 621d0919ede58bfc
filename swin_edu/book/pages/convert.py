"""Notebooks, texts and modules as the bodies of pages."""

import html
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from nbconvert.exporters import TemplateExporter
from nbformat import NotebookNode
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer, TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

from swin_edu.book.pages.addresses import Addresses
from swin_edu.book.pages.text import Text, words
from swin_edu.book.write import HEADER, ROOT

FOLDER = Path(__file__).parent
CELLS = TemplateExporter(
    template_name="base",
    template_file="notebook.html.j2",
    extra_template_paths=[str(FOLDER)],
    default_preprocessors=[],  # none is needed, and each would validate the notebook once more
)
CODE, FORMATTER = PythonLexer(), HtmlFormatter()
HEADING = re.compile(r'<h([1-6]) id="([^"]*)">(.*?)</h\1>', re.DOTALL)
FIRST = re.compile(r"<p>(.*?)</p>", re.DOTALL)


class Section(NamedTuple):
    """A heading with the words that stand below it."""

    level: int
    anchor: str
    title: str
    text: str


@dataclass
class Page:
    """One page of the site: its address, and what `page.html.j2` puts into its frame."""

    address: str
    body: str
    scripts: tuple[str, ...] = ()  # of its explorers

    @cached_property
    def sections(self) -> list[Section]:
        """What stands on the page, heading by heading, without what is before the first."""
        _, *parts = HEADING.split(self.body)
        found = zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True)
        return [
            Section(int(level), html.unescape(anchor), words(title), words(text))
            for level, anchor, title, text in found
        ]

    @property
    def title(self) -> str:
        """The first heading."""
        return self.sections[0].title

    @property
    def name(self) -> str:
        """The first heading up to its colon."""
        return self.title.partition(": ")[0]

    @property
    def opening(self) -> str:
        """The first paragraph."""
        found = FIRST.search(self.body)
        return words(found[1]) if found else ""


def notebook_page(path: Path, notebook: NotebookNode, addresses: Addresses, scripts: list[str]) -> Page:
    """Return a notebook, whose outputs are ready for a page, as a page."""

    def code(source: str) -> str:
        header = HEADER.match(source)
        file = addresses.place(path, ROOT / header[1]) if header else None
        link = f'<p class="file"><a href="{file}">{header[1]}</a></p>\n' if header else ""
        return link + highlight(source, CODE, FORMATTER)

    CELLS.register_filter("markdown2html", Text(path, addresses).html)
    CELLS.register_filter("code", code)
    body, _ = CELLS.from_notebook_node(notebook)
    return Page(addresses.chapters[path], body, tuple(dict.fromkeys(scripts)))


def file_page(path: Path, addresses: Addresses) -> Page:
    """Return a file that is no notebook as a page: Markdown as text, all else as code."""
    source = path.read_text("utf-8")
    if path.suffix == ".md":
        return Page(addresses.wanted[path], Text(path, addresses).html(source))
    try:
        lexer = get_lexer_for_filename(path.name)
    except ClassNotFound:
        lexer = TextLexer()
    name = path.relative_to(ROOT).as_posix()
    return Page(addresses.wanted[path], f'<h1 id="top">{name}</h1>\n' + highlight(source, lexer, FORMATTER))
