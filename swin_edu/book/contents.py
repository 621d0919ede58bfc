"""The contents of the book: its chapters, their sections, how long they take, and three ways through them."""

import json
import re
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from swin_edu.book.write import ROOT, cells_by_module, chapters

WORDS_A_MINUTE = 150
NO_PROSE = re.compile(r"```.*?```|\$\$.*?\$\$|\$[^$\n]*\$|</?\w[^>]*>|\]\([^)]*\)", re.DOTALL)
STATED = re.compile(r"(\d+) minutes\.")


@dataclass(frozen=True)
class Chapter:
    """One chapter: its number, its title, and the modules of swin_edu that its cells are."""

    number: int
    title: str
    modules: str


CHAPTERS = [
    Chapter(0, "start here", ""),
    Chapter(1, "patches", "patches.py"),
    Chapter(2, "attention", "attention.py"),
    Chapter(3, "windows", "windows.py"),
    Chapter(4, "shift and mask", "shift.py"),
    Chapter(5, "position", "position.py"),
    Chapter(6, "block", "block.py"),
    Chapter(7, "hierarchy", "hierarchy.py"),
    Chapter(8, "the whole model", "model.py, checkpoints.py"),
    Chapter(9, "making it fast", "fast.py"),
    Chapter(10, "training", "training.py"),
    Chapter(11, "what it sees", "insight.py"),
    Chapter(12, "ViT and CNN", "rivals/vit.py, cnn.py"),
    Chapter(13, "other attentions", "rivals/performer.py and three more"),
    Chapter(14, "tasks", "tasks/"),
    Chapter(15, "many devices", "parallel.py"),
    Chapter(16, "claims", ""),
]


@dataclass
class Section:
    """What stands in a notebook from one heading of the first or second level to the next."""

    notebook: str
    heading: str
    first: str  # the id of the cell with the heading
    prose: dict[str, str] = field(default_factory=dict)  # by the cells' ids, without formulas and listings
    code: dict[str, str] = field(default_factory=dict)

    @property
    def chapter(self) -> int:
        """The number of its chapter."""
        return int(self.notebook[:2])

    @property
    def number(self) -> str:
        """The number in its heading: "3.2", or "3" of a title; without one the heading: "3 Exercises"."""
        own = re.match(r"\d+\.\d+|\d+(?= ·)", self.heading)
        return own[0] if own else f"{self.chapter} {self.heading}"

    @property
    def title(self) -> str:
        """Its heading up to a colon, with the chapter's number where it has none of its own."""
        return self.heading.partition(": ")[0] if self.number in self.heading else self.number

    @cached_property
    def lowered(self) -> str:
        """All its text in small letters, to look for words in."""
        return " ".join([*self.prose.values(), *self.code.values()]).lower()

    @property
    def minutes(self) -> float:
        """A minute for 150 words and one for each code cell; exercises take the minutes that they state."""
        text = " ".join(self.prose.values())
        if self.heading == "Exercises":
            return sum(map(int, STATED.findall(text)))
        return len(text.split()) / WORDS_A_MINUTE + len(self.code)

    def link(self, words: str = "", cell: str = "") -> str:
        """Return a Markdown link to one of its cells, the first if none is named."""
        return f"[{words or self.number}]({self.notebook}#cell-id={cell or self.first})"


def sections_of(path: Path) -> list[Section]:
    """Return the sections of a notebook; the first begins with its title."""
    found: list[Section] = []
    for cell in json.loads(path.read_text("utf-8"))["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            found[-1].code[cell["id"]] = text
            continue
        for part in re.split(r"^(?=##? )", text, flags=re.MULTILINE):
            if heading := re.match(r"##? (.+)", part):
                found.append(Section(path.name, heading[1], cell["id"]))
            if part:
                found[-1].prose[cell["id"]] = NO_PROSE.sub(" ", part)
    return found


@cache
def sections() -> dict[str, Section]:
    """Return the sections of all chapters in the order of the book, by their numbers."""
    return {section.number: section for path in chapters(ROOT) for section in sections_of(path)}


@dataclass(frozen=True)
class Leg:
    """A part of a way through the book: sections or whole chapters, and what can be done afterwards."""

    when: str
    afterwards: str
    sections: tuple[str, ...] = ()
    chapters: tuple[int, ...] = ()
    assignments: tuple[str, ...] = ()
    exercises: bool = False

    @property
    def read(self) -> list[Section]:
        """The sections to read."""
        whole = [section for section in sections().values() if section.chapter in self.chapters]
        chosen = [section for section in whole if self.exercises or section.heading != "Exercises"]
        return [sections()[number] for number in self.sections] + chosen

    @property
    def minutes(self) -> float:
        """How long its sections and assignments take."""
        work = sum(assignment_minutes(assignment(name)) for name in self.assignments)
        return sum(section.minutes for section in self.read) + work

    @property
    def links(self) -> str:
        """What to read, as Markdown."""
        chosen = [sections()[number] for number in self.sections]
        named = [section.link(section.heading.partition(": ")[0]) for section in chosen]
        named += [f"[{CHAPTERS[n].title}]({sections()[str(n)].notebook})" for n in self.chapters if n]
        work = [f"[{name}](assignments/{assignment(name).name})" for name in self.assignments]
        return ", ".join(["this page"] * (0 in self.chapters) + named + work)


def assignment(name: str) -> Path:
    """Return the notebook of an assignment, such as A1."""
    [path] = ROOT.glob(f"notebooks/assignments/{name}_*.ipynb")
    return path


def assignment_minutes(path: Path) -> int:
    """Return the minutes that an assignment says it takes."""
    [(number, unit)] = re.findall(r"About (\d+) (minutes|hours)", path.read_text("utf-8"))
    return int(number) * (60 if unit == "hours" else 1)


STORY = [
    "Start here: Swin on one page",
    "The walk through the shapes",
    "Why windows?",
    "Why the shift, and why a mask?",
    "Patches, windows and the shift: try it",
    "Why stages?",
]
HOUR = (
    Leg(
        "1",
        "say which shapes a picture takes, and what windows and the shift are for",
        tuple(f"0 {s}" for s in STORY),
    ),
    Leg("2", "compute attention by hand", ("2.2",)),
    Leg("3", "tell a window from a patch, and say why windows are cheaper", ("3", "3.2")),
    Leg("4", "explain roll and mask on a picture of four windows", ("4",)),
    Leg("5", "say how Swin knows what is left and what is right", ("5.2",)),
    Leg("6", "follow a map through a block", ("6",)),
    Leg("7", "say which pixels can influence a token", ("7",)),
    Leg("8", "name every layer of Swin-T", ("8", "8.1")),
)
WEEKEND = (
    Leg(
        "Saturday",
        "build attention in shifted windows, and check it against plain loops",
        chapters=(0, 1, 2, 3, 4),
    ),
    Leg("Sunday", "build a whole Swin, count its cost, and load published weights", chapters=(5, 6, 7, 8)),
)
COURSE = (
    Leg(
        "week 1",
        "turn a picture into tokens, and compute attention by hand",
        chapters=(0, 1, 2),
        exercises=True,
    ),
    Leg(
        "week 2",
        "cut, roll and mask a map of any size, and say what that costs",
        chapters=(3, 4),
        assignments=("A1", "A2"),
        exercises=True,
    ),
    Leg(
        "week 3",
        "write a block of either version from its equations",
        chapters=(5, 6),
        assignments=("A3",),
        exercises=True,
    ),
    Leg(
        "week 4",
        "build the published models, and find a mistake that no shape shows",
        chapters=(7, 8),
        assignments=("A4",),
        exercises=True,
    ),
    Leg(
        "week 5",
        "train a small Swin, judge an ablation, and read attention maps with care",
        chapters=(10, 11),
        assignments=("A5",),
        exercises=True,
    ),
    Leg(
        "week 6",
        "choose between Swin, ViT and CNN for a task, and decide claims by a cell",
        chapters=(12, 14, 16),
        exercises=True,
    ),
)


def way(legs: tuple[Leg, ...]) -> str:
    """Return a way through the book as a Markdown table, with its times and their sum."""
    lines = ["| | read | time | afterwards you can |", "|---|---|---|---|"]
    lines += [f"| {leg.when} | {leg.links} | {duration(leg.minutes)} | {leg.afterwards} |" for leg in legs]
    together = sum(round(leg.minutes) for leg in legs)
    return "\n".join([*lines, f"| together | | {duration(together)} | |"])


def duration(minutes: float) -> str:
    """Return minutes in words: whole ones up to an hour, beyond that to the next five."""
    if minutes <= 60:
        return f"{minutes:.0f}\u00a0min"
    hours, rest = divmod(5 * round(minutes / 5), 60)
    return f"{hours}\u00a0h {rest}\u00a0min" if rest else f"{hours}\u00a0h"


def files_by_chapter() -> str:
    """Return a Markdown table of the files of swin_edu that the cells of each chapter are."""
    files: dict[str, list[str]] = {}
    for module, cells in cells_by_module(ROOT).items():
        files.setdefault(cells[0].notebook, []).append(f"[`{module}`](../{module})")
    lines = ["| chapter | files |", "|---|---|"]
    for chapter, path in zip(CHAPTERS, chapters(ROOT), strict=True):
        if written := ", ".join(files.get(path.name, [])):
            lines.append(f"| [{chapter.number} · {chapter.title}]({path.name}) | {written} |")
    return "\n".join(lines)
