"""The assignments, and all items by name."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from swin_edu.book.classroom.item import Item
from swin_edu.book.classroom.items import a1, a2, a3, a4, a5, basics, beyond, claims, devices

FOLDER = Path(__file__).resolve().parents[3] / "notebooks" / "assignments"


@dataclass(frozen=True)
class Assignment:
    """A notebook that is handed out: its items, and the functions that it gives.

    `rubric` holds what a person grades: for each question its criteria with their points.
    """

    name: str
    title: str
    items: tuple[Item, ...] = ()
    given: tuple[Callable, ...] = ()
    rubric: dict[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)

    @property
    def source(self) -> Path:
        """The notebook with solutions."""
        return FOLDER / f"{self.name}_{self.title.replace(' ', '_')}.ipynb"

    @property
    def points(self) -> int:
        """The points of all items and of the whole rubric."""
        by_person = (points for criteria in self.rubric.values() for _, points in criteria)
        return sum(item.points for item in self.items) + sum(by_person)


ASSIGNMENTS = {
    assignment.name: assignment
    for assignment in (
        Assignment("A1", "patches and windows", a1.ITEMS),
        Assignment("A2", "shift and mask", a2.ITEMS, a2.GIVEN),
        Assignment("A3", "position and attention", a3.ITEMS),
        Assignment("A4", "block merging and model", a4.ITEMS, a4.GIVEN),
        Assignment("A5", "train ablate explain", rubric=a5.RUBRIC),
    )
}
EXERCISES = (*basics.ITEMS, *beyond.ITEMS, *devices.ITEMS, *claims.ITEMS)  # of the chapters
ITEMS = {
    item.name: item
    for items in (EXERCISES, *(assignment.items for assignment in ASSIGNMENTS.values()))
    for item in items
}


def find_assignment(name: str) -> Assignment:
    """Return the assignment of this name; raise ValueError where there is none."""
    if name not in ASSIGNMENTS:
        raise ValueError(f"there is no assignment {name!r}; there are {', '.join(ASSIGNMENTS)}")
    return ASSIGNMENTS[name]
