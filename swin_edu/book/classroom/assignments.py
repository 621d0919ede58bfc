"""The assignments, and all items by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from swin_edu.book.classroom.item import Item
from swin_edu.book.classroom.items import a1

FOLDER = Path(__file__).resolve().parents[3] / "notebooks" / "assignments"


@dataclass(frozen=True)
class Assignment:
    """A notebook that is handed out: its items, and the functions that it gives."""

    name: str
    title: str
    items: tuple[Item, ...] = ()
    given: tuple[Callable, ...] = ()

    @property
    def source(self) -> Path:
        """The notebook with solutions."""
        return FOLDER / f"{self.name}_{self.title.replace(' ', '_')}.ipynb"

    @property
    def points(self) -> int:
        """The points of all items that are graded by their values."""
        return sum(item.points for item in self.items)


ASSIGNMENTS = {
    assignment.name: assignment for assignment in (Assignment("A1", "patches and windows", a1.ITEMS),)
}
ITEMS = {item.name: item for assignment in ASSIGNMENTS.values() for item in assignment.items}
