"""What figures/ tells about itself: a page that lists the pictures, and all of them on one sheet."""

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import matplotlib as mpl
from PIL import Image, ImageDraw, ImageFont

from swin_edu.book.contents import CHAPTERS
from swin_edu.book.figures.dark import CHALK, NIGHT
from swin_edu.book.figures.picture import Picture
from swin_edu.book.style import INK, PAPER

SIZE, EDGE, HEAD = (360, 240), 12, 46  # pixels of a picture on the sheet, around it, and of the words above
ABREAST = 3  # pictures, each twice

START = """# Figures

One picture for each idea, drawn by the package: `python3 -m swin_edu figures` draws all of them again,
and writes this page. [contact_sheet.png](contact_sheet.png) shows them all.

Each comes on white and, under the same name in `dark/`, on dark paper; as SVG for slides (letters are
outlines, so that no font is needed) and as PNG, 1,600 pixels wide. For the authors of the photographs see
the [README](../README.md).
"""


def page(pictures: Iterable[Picture]) -> str:
    """Return figures/README.md: every picture by its chapter, with its idea, its words and its files."""
    parts = [START]
    for number, group in groupby(pictures, key=lambda picture: picture.chapter):
        parts.append(f"## {number:02} {CHAPTERS[number].title}\n")
        parts += [entry(picture) for picture in group]
    return "\n".join(parts)


def entry(picture: Picture) -> str:
    """Return the lines of one picture; a reader in dark mode sees the dark one."""
    name = picture.name
    kinds = (f"{where}{name}.{kind}" for where in ("", "dark/") for kind in ("svg", "png"))
    links = ", ".join(f"[{path}]({path})" for path in kinds)
    return (
        f"### {picture.idea}\n\n<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="dark/{name}.png">\n'
        f'  <img src="{name}.png" alt="{picture.alt}" width="800">\n</picture>\n\n{picture.alt}\n\n{links}\n'
    )


def contact_sheet(pictures: Iterable[Picture], folder: Path) -> Image.Image:
    """Return a sheet of the PNGs in a folder, light and dark beside each other, under name and idea."""
    shown = list(pictures)
    width, height = 2 * SIZE[0] + 3 * EDGE, HEAD + SIZE[1] + 2 * EDGE
    sheet = Image.new("RGB", (ABREAST * width, -(-len(shown) // ABREAST) * height), PAPER)
    for index, picture in enumerate(shown):
        row, column = divmod(index, ABREAST)
        place(sheet, picture, folder, column * width, row * height)
    return sheet.quantize(256)


def place(sheet: Image.Image, picture: Picture, folder: Path, left: int, top: int) -> None:
    """Put one picture and its words on the sheet."""
    pen, below = ImageDraw.Draw(sheet), top + HEAD
    pen.text(
        (left + EDGE, top + 6), f"{picture.chapter:02}  {picture.name}", INK, font("DejaVuSans-Bold", 15)
    )
    pen.text((left + EDGE, top + 26), picture.idea, INK, font("DejaVuSans", 14))
    dark = left + SIZE[0] + 3 * EDGE // 2
    pen.rectangle((dark, below, dark + SIZE[0] + EDGE, below + SIZE[1] + EDGE), NIGHT, CHALK)
    for x, path in ((left + EDGE, f"{picture.name}.png"), (dark + EDGE // 2, f"dark/{picture.name}.png")):
        small = Image.open(folder / path).convert("RGB")
        small.thumbnail(SIZE, Image.Resampling.BOX)
        across, down = (SIZE[0] - small.width) // 2, (SIZE[1] - small.height) // 2
        sheet.paste(small, (x + across, below + EDGE // 2 + down))


def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """Return a font that matplotlib brings along."""
    return ImageFont.truetype(Path(mpl.get_data_path(), "fonts", "ttf", f"{name}.ttf"), size)
