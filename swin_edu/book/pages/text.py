"""Markdown as HTML for a page that loads nothing from elsewhere."""

import html
import re
from collections import Counter
from pathlib import Path
from typing import Any

from math_core import LatexError, LatexToMathML
from mistune.plugins.table import render_table, render_table_cell, render_table_row
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from swin_edu.book.pages.addresses import Addresses
from swin_edu.book.write import ROOT

CHAPTERS = re.compile(r"\b[Cc]hapters? \d+(?:(?:, | and | or | to )\d+)*")
ADDRESS = re.compile(r'(?<=\s)(href|src|srcset)="([^"]*)"')
ANCHOR = re.compile(r"</?a\b[^>]*>")
CHINESE = re.compile(r"[\u4e00-\u9fff]+")
TAG = re.compile(r"<[^>]*>")
AS_MATHML = LatexToMathML(fancy_error=False)


class Text(IPythonRenderer):
    """Formulas as MathML, addresses of the site, a language for Chinese, headers for the rows of tables."""

    def __init__(self, page: Path, addresses: Addresses) -> None:
        super().__init__(escape=False)
        self.page, self.addresses = page, addresses
        self.taken: Counter[str] = Counter()

    def html(self, source: str) -> str:
        """Return one piece of Markdown as HTML; anchors stay different from those of earlier pieces."""
        return MarkdownWithMath(renderer=self).render(source)

    def heading(self, text: str, level: int, **attrs: Any) -> str:
        """Give a heading the anchor that JupyterLab gives it: its words with hyphens between."""
        title = ANCHOR.sub("", text)
        anchor = html.unescape(TAG.sub("", title)).replace(" ", "-")
        self.taken[anchor] += 1
        if self.taken[anchor] > 1:
            anchor += f"-{self.taken[anchor]}"
        return f'<h{level} id="{html.escape(anchor)}">{title}</h{level}>\n'

    def text(self, text: str) -> str:
        """Link the chapters that are named by number; say which words are Chinese."""
        written = CHAPTERS.sub(self.linked_chapters, super().text(text))
        return CHINESE.sub(r'<span lang="zh">\g<0></span>', written)

    def linked_chapters(self, found: re.Match) -> str:
        """Return "chapter 3", or the numbers in "chapters 3 and 4", as links to those chapters."""
        pattern = r"\d+" if found[0][7] == "s" else r".+ (\d+)"
        return re.sub(pattern, self.linked_chapter, found[0])

    def linked_chapter(self, found: re.Match) -> str:
        """Return the words found as a link to the chapter of that number, if it has a page."""
        address = self.addresses.chapter(self.page, int(found[found.re.groups]))
        return f'<a href="{address}">{found[0]}</a>' if address else found[0]

    def codespan(self, text: str) -> str:
        """Link a file of the package that is named by its path."""
        written = super().codespan(text)
        named = re.fullmatch(r"swin_edu/[a-z0-9_/]+\.py", text)
        address = self.addresses.place(self.page, ROOT / text) if named and (ROOT / text).exists() else None
        return f'<a href="{address}">{written}</a>' if address else written

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Return a link into the site, or the text alone where the site has no such page."""
        text, address = ANCHOR.sub("", text), self.addresses.link(self.page, url)
        return text if address is None else super().link(text, address, title)

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Return a picture that lies in the site."""
        return super().image(text, self.addresses.link(self.page, url) or url, title)

    def block_html(self, html: str) -> str:
        """Let addresses in HTML lead into the site too."""
        return super().block_html(ADDRESS.sub(self.readdressed, html))

    def inline_html(self, html: str) -> str:
        """Let addresses in HTML lead into the site too."""
        return super().inline_html(ADDRESS.sub(self.readdressed, html))

    def readdressed(self, found: re.Match) -> str:
        """Return an attribute with the address in the site; without it a link is mere text."""
        address = self.addresses.link(self.page, html.unescape(found[2]))
        return "" if address is None else f'{found[1]}="{html.escape(address)}"'

    def table(self, text: str) -> str:
        """Let a wide table scroll by itself, not the page."""
        return f'<div class="scroll">{render_table(self, text)}</div>\n'

    def table_row(self, text: str) -> str:
        """Make the first cell of a row its header."""
        first = re.sub(r"^(\s*)<td(.*?)</td>", r'\1<th scope="row"\2</th>', text, count=1, flags=re.DOTALL)
        return render_table_row(self, first)

    def table_cell(self, text: str, align: str | None = None, head: bool = False) -> str:
        """Make what heads a column a header, unless it is empty."""
        written = render_table_cell(self, text, align, head and bool(text.strip()))
        return written.replace("<th", '<th scope="col"', 1)

    def inline_math(self, body: str) -> str:
        """Return a formula within a line."""
        return mathml(body, displayed=False)

    def block_math(self, body: str) -> str:
        """Return a formula on its own."""
        return f'<div class="scroll formula">{mathml(body, displayed=True)}</div>\n'


def mathml(formula: str, displayed: bool) -> str:
    """Return a formula in TeX as MathML; raise ValueError if it cannot be read."""
    try:
        return AS_MATHML.convert_with_local_state(formula.strip(), displaystyle=displayed)
    except LatexError as problem:
        raise ValueError(f"the formula {formula!r} cannot be read: {problem}") from problem


def words(written: str) -> str:
    """Return what HTML says, without marks, scripts and the names of files above code."""
    spoken = re.sub(r'<script.*?</script>|<p class="file">.*?</p>', " ", written, flags=re.DOTALL)
    apart = re.sub(r"</(?:p|li|h\d|t[dhr]|pre|summary)>", " ", spoken)
    return " ".join(html.unescape(TAG.sub("", apart)).split())
