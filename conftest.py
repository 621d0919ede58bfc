"""Tests draw the times that are kept with the book, not those of the machine that runs the tests."""

import os

os.environ.setdefault("SWIN_EDU_MEASURE", "0")
