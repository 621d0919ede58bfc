"""The contents of the book: its chapters, the modules that they build, and which are written."""

from dataclasses import dataclass

from swin_edu.book.write import ROOT, chapters


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


def written() -> set[int]:
    """Return the numbers of the chapters whose notebooks exist."""
    return {int(path.name[:2]) for path in chapters(ROOT)}


def summary() -> str:
    """Say in words which chapters are written."""
    numbers = sorted(written())
    return f"Written: {', '.join(map(str, numbers))}; planned: the other {len(CHAPTERS) - len(numbers)}."
