"""The Swin Transformer, built chapter by chapter: the code cells of the notebooks are its modules.

This file imports nothing, so that ``python3 -m swin_edu`` starts on a Python that has nothing installed.
"""

__version__ = "0.1.0"
