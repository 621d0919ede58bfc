"""Where in the site everything lies that a page of the book leads to."""

from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from swin_edu.book.write import ROOT

PICTURES = (".png", ".svg", ".jpg", ".jpeg", ".webp")


class Addresses:
    """The chapters' addresses; `wanted` gathers those of the other files that pages lead to."""

    def __init__(self, chapters: list[Path]) -> None:
        self.chapters = {path: f"{path.stem}.html" for path in chapters}
        self.wanted: dict[Path, str] = {}
        self.leading: dict[str, set[Path]] = {}  # to each address, the chapters that do

    def chapter(self, page: Path, number: int) -> str | None:
        """Return the address of another chapter, None if the site has none of that number."""
        found = next((path for path in self.chapters if path.name.startswith(f"{number:02d}_")), page)
        return None if found == page else self.place(page, found)

    def link(self, page: Path, target: str) -> str | None:
        """Return where a link in the file `page` leads in the site, None if what it names has no page there.

        Raises ValueError when it names a file that does not exist.
        """
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            return target
        fragment = fragment_of(parts.fragment)
        if not parts.path:
            return fragment
        path = (page.parent / unquote(parts.path)).resolve()
        if not path.exists():
            raise ValueError(f"{page.relative_to(ROOT)} links to {target}, which is not there")
        address = self.place(page, path)
        return None if address is None else address + fragment

    def place(self, page: Path, path: Path) -> str | None:
        """Return the address of a file, None if it gets no page; remember that `page` leads there."""
        if path not in self.chapters:
            if path.is_dir() or path.suffix == ".ipynb" or not path.is_relative_to(ROOT):
                return None
            self.wanted.setdefault(path, address_of(path.relative_to(ROOT)))
        address = self.chapters.get(path) or self.wanted[path]
        if page in self.chapters:
            self.leading.setdefault(address, set()).add(page)
        return address


def address_of(path: Path) -> str:
    """Return where a file of the repository that is no chapter lies: all pages lie in one folder."""
    dotted = ".".join(path.parts)
    if path.suffix in PICTURES:
        return f"pictures/{dotted}"
    return f"{dotted.removesuffix('.py').removesuffix('.md')}.html"


def fragment_of(anchor: str) -> str:
    """Return an anchor as the end of an address, quoted once."""
    return "#" + quote(unquote(anchor), safe="=-._~:/?@!$'()*+,;") if anchor else ""
