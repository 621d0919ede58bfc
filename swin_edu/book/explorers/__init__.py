"""Explorers: a picture with sliders that answers at once, drawn in the page from arrays sent once."""

from swin_edu.book.explorers.attention import Attention
from swin_edu.book.explorers.overview import Overview
from swin_edu.book.explorers.patches import Patches
from swin_edu.book.explorers.reach import Reach

__all__ = ["Attention", "Overview", "Patches", "Reach"]
