"""The pictures of the README and of slides, drawn by the package: ``python3 -m swin_edu figures``."""

from pathlib import Path

from swin_edu.book.figures.beyond import BEYOND
from swin_edu.book.figures.picture import Picture
from swin_edu.book.figures.swin import SWIN
from swin_edu.book.style import png
from swin_edu.book.write import ROOT

__all__ = ["FIGURES", "Picture", "main"]

FIGURES: dict[str, Picture] = {picture.name: picture for picture in (*SWIN, *BEYOND)}


def main(folder: Path = ROOT / "figures") -> int:
    """Draw every figure into `folder` as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in FIGURES.items():
        (folder / f"{name}.png").write_bytes(png(picture.draw()))
        print(f"{folder.name}/{name}.png")
    return 0
