"""A finished figure turned dark: paper, ink and words change, pictures and the colours of data stay."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import Collection
from matplotlib.colors import to_hex, to_rgb, to_rgba_array
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox, BboxBase

from swin_edu.book.style import BLUE, INK, PAPER

NIGHT, CHALK = "#15181c", "#ececec"  # what paper and ink become
SKY = "#56b4e9"  # Okabe and Ito's light blue: thin lines in the dark one can hardly be seen at night
TURNED = {INK: CHALK, "#000000": CHALK, PAPER: NIGHT}
ENOUGH = 4.5  # WCAG 2.2, success criterion 1.4.3
COARSE = 80  # dots an inch: enough to see what lies behind a word


def darken(drawn: Figure) -> None:
    """Turn a figure dark whose layout is settled; texts keep a contrast of 4.5 : 1 or get one."""
    images = [image for image in drawn.findobj(AxesImage) if image.get_visible()]
    for artist in marks(drawn):
        if not on_picture(artist, images):
            turn(artist)
    for image in images:
        lay_paper_under(image)
    for text, behind in texts_and_paper(drawn):
        if not on_picture(text, images):
            turn_text(text, behind)


def marks(drawn: Figure) -> Iterator[Artist]:
    """Yield the lines, patches and collections of a figure, and the arrows of its annotations."""
    yield from drawn.findobj(lambda artist: isinstance(artist, Line2D | Patch | Collection))
    for note in drawn.findobj(Annotation):
        if note.arrow_patch is not None:
            yield note.arrow_patch


def on_picture(artist: Artist, images: list[AxesImage]) -> bool:
    """Say whether something lies on a picture of its axes: wholly, but for the thickness of a line."""
    if artist.axes is None or artist is artist.axes.patch:
        return False
    one = extent(artist)
    of_axes = [image for image in images if image.axes is artist.axes]
    seen = [Bbox.intersection(image.get_window_extent(), artist.axes.bbox) for image in of_axes]
    return any(lies_in(one, whole.padded(4)) for whole in seen if whole is not None)


def lies_in(one: BboxBase, whole: BboxBase) -> bool:
    """Say whether one box lies in another, borders included."""
    return whole.x0 <= one.x0 and whole.y0 <= one.y0 and one.x1 <= whole.x1 and one.y1 <= whole.y1


def extent(artist: Artist) -> BboxBase:
    """Return where an artist lies, in pixels; a collection of lines does not know it in pixels."""
    if isinstance(artist, Collection) and artist.axes is not None:
        return artist.get_datalim(artist.axes.transData).transformed(artist.axes.transData)
    return artist.get_window_extent()


def turn(artist: Artist) -> None:
    """Give a mark in ink or in the paper's colour the one that stands for it at night."""
    is_line = isinstance(artist, Line2D)
    colors = {**TURNED, BLUE: SKY} if is_line else TURNED
    for part in ("color", "markerfacecolor", "markeredgecolor") if is_line else ("facecolor", "edgecolor"):
        getattr(artist, f"set_{part}")(turned(getattr(artist, f"get_{part}")(), colors))


def turned(found: Any, colors: dict[str, str]) -> Any:
    """Return one colour or several, each replaced by the one that `colors` names, as opaque as it was."""
    if isinstance(found, str) and found in ("none", "auto"):
        return found
    rows = to_rgba_array(found)
    for row in rows:
        row[:3] = to_rgb(colors.get(to_hex(row[:3]), to_hex(row[:3])))
    return rows if len(rows) != 1 else tuple(rows[0])


def lay_paper_under(image: AxesImage) -> None:
    """Put white paper under a picture: where it is empty that means something, such as "not compared"."""
    left, right, bottom, top = image.get_extent()
    paper = Rectangle((left, bottom), right - left, top - bottom, facecolor=PAPER, linewidth=0)
    paper.set(transform=image.get_transform(), zorder=image.get_zorder() - 0.01)
    image.axes.add_artist(paper)


def texts_and_paper(drawn: Figure) -> Iterator[tuple[Text, np.ndarray]]:
    """Yield every visible text of a figure with the colours `(pixels, 3)` of 0 to 1 that lie behind it."""
    fine, texts = drawn.dpi, [text for text in drawn.findobj(Text) if text.get_visible() and text.get_text()]
    drawn.set_dpi(COARSE)
    pixels = without(texts, drawn)
    boxes = [text.get_window_extent() for text in texts]
    drawn.set_dpi(fine)
    for text, box in zip(texts, boxes, strict=True):
        (left, bottom), (right, top) = np.round(box.min).astype(int), np.round(box.max).astype(int)
        behind = pixels[max(len(pixels) - top, 0) : len(pixels) - bottom, max(left, 0) : right].reshape(-1, 3)
        if len(behind):
            yield text, behind


def without(texts: list[Text], drawn: Figure) -> np.ndarray:
    """Return the pixels `(H, W, 3)` of a figure, from 0 to 1, with its texts and their plates left out.

    They become transparent: a text that is not visible counts as empty, and titles would move.
    """
    plates = [plate for text in texts if (plate := text.get_bbox_patch()) is not None]
    alphas = [text.get_alpha() for text in texts]
    for text in texts:
        text.set_alpha(0)
    for plate in plates:
        plate.set_visible(False)
    canvas = FigureCanvasAgg(drawn)
    canvas.draw()
    for text, alpha in zip(texts, alphas, strict=True):
        text.set_alpha(alpha)
    for plate in plates:
        plate.set_visible(True)
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def turn_text(text: Text, behind: np.ndarray) -> None:
    """Make a text readable on what lies behind it; a plate on bare paper gets the colour of the paper."""
    usual, plate = np.median(behind, axis=0), text.get_bbox_patch()
    if plate is not None and to_hex(plate.get_facecolor()) == PAPER:
        if to_hex(usual) != NIGHT:
            return
        turn(plate)
    text.set_color(readable(to_hex(text.get_color()), to_hex(usual)))


def readable(color: str, behind: str) -> str:
    """Return the colour, or one between it and white or black with enough contrast to what is behind."""
    if contrast(color, behind) >= ENOUGH:
        return color
    if color in TURNED:
        return max((INK, CHALK), key=lambda one: contrast(one, behind))
    end = max(("#000000", PAPER), key=lambda one: contrast(one, behind))
    steps = (
        (1 - share) * np.array(to_rgb(color)) + share * np.array(to_rgb(end))
        for share in np.linspace(0, 1, 21)
    )
    return next(found for found in map(to_hex, steps) if contrast(found, behind) >= ENOUGH)


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(color: str) -> float:
    """Return how bright a colour is, from 0 to 1 (WCAG 2.2)."""
    channels = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color))
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), channels, strict=True))
