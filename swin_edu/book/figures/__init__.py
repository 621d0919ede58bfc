"""The pictures of the README and of slides, drawn by the package: ``python3 -m swin_edu figures``."""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from swin_edu.book.figures.beyond import BEYOND
from swin_edu.book.figures.files import files_of
from swin_edu.book.figures.index import contact_sheet, page
from swin_edu.book.figures.picture import Picture
from swin_edu.book.figures.swin import SWIN
from swin_edu.book.write import ROOT

__all__ = ["FIGURES", "Picture", "main"]

FIGURES: dict[str, Picture] = {picture.name: picture for picture in (*SWIN, *BEYOND)}


def main(folder: Path = ROOT / "figures") -> int:
    """Draw every figure into `folder`, light and dark, as SVG and PNG; then the sheet and the page of all."""
    (folder / "dark").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor(min(4, os.cpu_count() or 1)) as processes:
        for name in processes.map(partial(draw, folder), FIGURES):
            print(f"{folder.name}/{name}")
    contact_sheet(FIGURES.values(), folder).save(folder / "contact_sheet.png", optimize=True)
    (folder / "README.md").write_text(page(FIGURES.values()), "utf-8", newline="\n")
    return 0


def draw(folder: Path, name: str) -> str:
    """Write the four files of one figure and return its name."""
    for path, content in files_of(FIGURES[name]).items():
        (folder / path).write_bytes(content)
    return name
