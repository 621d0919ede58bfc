"""What is known of one picture: the idea that it shows, its words, and how it is drawn."""

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True)
class Picture:
    """One picture of figures/: the name of its files, its chapter, its idea, its words, and its drawing."""

    name: str
    chapter: int
    idea: str
    alt: str
    draw: Callable[[], Figure]
