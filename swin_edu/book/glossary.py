"""The words of the book: what each means, its Chinese, where it is introduced, and where else it is used.

Meanings and translations are written by hand in ``glossary.txt``; places are looked up in the chapters.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from swin_edu.book.contents import Section, sections

FILE = Path(__file__).with_suffix(".txt")
AT_MOST = 10  # places for a term in the printed index
NOT_INDEXED = ("Summary", "Questions")  # they say again what stands before them


@dataclass(frozen=True)
class Term:
    """A line of the glossary: `words` are the spellings to look for, `names` those that code has too."""

    name: str
    chinese: str
    introduced: str
    words: tuple[str, ...]
    names: tuple[str, ...]
    meaning: str

    def __post_init__(self) -> None:
        if not (self.name and re.search(r"[\u4e00-\u9fff]", self.chinese) and self.meaning.endswith(".")):
            raise ValueError(f"{FILE.name}: {self.name!r} needs a name, Chinese, and a sentence")

    def counts(self, section: Section) -> dict[str, int]:
        """Count the term in each cell that has it: in prose, and its names in code."""
        if not any(word.lower() in section.lowered for word in self.words):
            return {}
        found = {cell: count(self.words, text) for cell, text in section.prose.items()}
        found |= {cell: count(self.names, text) for cell, text in section.code.items() if self.names}
        return {cell: found[cell] for cell in sorted(found, key=reading_order) if found[cell]}


@dataclass(frozen=True)
class Place:
    """A section in which a term stands: the first cell with it, and how often in all."""

    section: Section
    cell: str
    count: int

    def link(self, words: str = "") -> str:
        """Return a Markdown link to the cell; its words are the section's number if none are given."""
        return self.section.link(words, self.cell)


def count(words: tuple[str, ...], text: str) -> int:
    """Count words in a text, in singular and plural; small letters stand for capitals too."""
    return len(pattern(words).findall(text))


def reading_order(cell: str) -> int:
    """Return the number in a cell's id."""
    return int(cell.rpartition("-")[2])


@cache
def pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Return the regular expression for `count`."""
    either = "|".join(f"(?i:{re.escape(word)})" if word.islower() else re.escape(word) for word in words)
    return re.compile(rf"\b(?<!-)(?:{either})(?:e?s)?(?!\w)")


@cache
def terms() -> list[Term]:
    """Return the glossary in alphabetical order."""
    lines = [line for line in FILE.read_text("utf-8").splitlines() if not line.startswith("#")]
    return sorted(map(term_of, lines), key=lambda term: term.name.lower())


def term_of(line: str) -> Term:
    """Return the term that a line of glossary.txt describes; raise ValueError if it is not complete."""
    fields = [part.strip() for part in line.split("|")]
    if len(fields) != 5:
        raise ValueError(f"{FILE.name}: {line!r} has {len(fields)} fields; five are needed")
    name, chinese, introduced, words, meaning = fields
    spellings = re.split("; *", words) if words else [name.partition(" (")[0]]
    names = tuple(word.strip("`") for word in spellings if word.startswith("`"))
    return Term(name, chinese, introduced, tuple(word.strip("`") for word in spellings), names, meaning)


@cache
def places(term: Term) -> tuple[Place, ...]:
    """Return the sections of chapters 1 to 16 in which a term stands, in the order of the book."""
    read = [section for section in sections().values() if section.chapter]
    found = [(section, term.counts(section)) for section in read if section.heading not in NOT_INDEXED]
    return tuple(
        Place(section, next(iter(counts)), sum(counts.values())) for section, counts in found if counts
    )


def glossary_table() -> str:
    """Return the glossary as a Markdown table: term, Chinese, meaning, and where it is introduced."""
    lines = ["| term | Chinese | meaning | introduced in |", "|---|---|---|---|"]
    for term in terms():
        [place] = [place for place in places(term) if place.section.number == term.introduced]
        link = place.link(place.section.title)
        lines.append(f"| {term.name} | {term.chinese} | {term.meaning} | {link} |")
    return "\n".join(lines)


def index_table() -> str:
    """Return the index as a Markdown table: for each term the sections that use it most, in their order."""
    lines = ["| term | sections |", "|---|---|"]
    for term in terms():
        found = places(term)
        most = sorted(found, key=lambda place: -place.count)[:AT_MOST]
        links = ", ".join(place.link() for place in found if place in most)
        more = f" and {len(found) - AT_MOST} more" if len(found) > AT_MOST else ""
        lines.append(f"| {term.name} | {links}{more} |")
    return "\n".join(lines)
