"""Explorers: a picture with controls that answers at once, drawn in the page from arrays sent once."""

from swin_edu.book.explorers.approximation import Approximation
from swin_edu.book.explorers.architecture import Architecture
from swin_edu.book.explorers.attention import Attention
from swin_edu.book.explorers.block import Block
from swin_edu.book.explorers.guesses import Guesses
from swin_edu.book.explorers.halo import Halo
from swin_edu.book.explorers.moves import Moves
from swin_edu.book.explorers.neighbours import Neighbours
from swin_edu.book.explorers.objects import Objects
from swin_edu.book.explorers.overview import Overview
from swin_edu.book.explorers.patches import Patches
from swin_edu.book.explorers.position import Position
from swin_edu.book.explorers.reach import Reach
from swin_edu.book.explorers.scales import Scales
from swin_edu.book.explorers.shift_mask import ShiftMask
from swin_edu.book.explorers.sight import Sight
from swin_edu.book.explorers.steps import Steps
from swin_edu.book.explorers.time_bars import TimeBars
from swin_edu.book.explorers.windows import Windows

__all__ = [
    "Approximation",
    "Architecture",
    "Attention",
    "Block",
    "Guesses",
    "Halo",
    "Moves",
    "Neighbours",
    "Objects",
    "Overview",
    "Patches",
    "Position",
    "Reach",
    "Scales",
    "ShiftMask",
    "Sight",
    "Steps",
    "TimeBars",
    "Windows",
]
