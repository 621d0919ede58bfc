"""The files of a picture: PNG and SVG, on white and on dark paper."""

import base64
import io
import re

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.transforms import Bbox
from PIL import Image

from swin_edu.book.figures.dark import CHALK, NIGHT, darken
from swin_edu.book.figures.picture import Picture
from swin_edu.book.style import BLUE, INK, ORANGE, PAPER, in_256_colours

WIDTH = 1600  # pixels: a slide's
SHARP = 128  # pixels
EMBEDDED = re.compile('(?<=")data:image/png;base64,([^"]+)')
PATH = re.compile('(?<= d=")[^"]+')
NUMBER = re.compile(r"\d+\.\d{3,}")
BOX = re.compile(r'd="M (\S+) (\S+) L (\S+) \2 L \3 (\S+) L \1 \4 z"[^>]* style="fill: #\w{6}"')
NAME = re.compile(r'\bid="([^"]*[0-9a-f]{10}[^"]*)"')
LINE = re.compile('<path d="([^"]+)"([^>]* style="fill: none; stroke: (?![^>]*opacity)[^>]*)/>')


def files_of(picture: Picture) -> dict[str, bytes]:
    """Return the four files of a picture by their names in figures/. It is drawn once."""
    drawn = picture.draw()
    whole = settle(drawn)
    light = {
        f"{picture.name}.png": raster(drawn, whole),
        f"{picture.name}.svg": vector(drawn, whole, picture),
    }
    darken(drawn)
    dark = {"png": raster(drawn, whole), "svg": vector(drawn, whole, picture)}
    return light | {f"dark/{picture.name}.{kind}": content for kind, content in dark.items()}


def settle(drawn: Figure) -> Bbox:
    """Let a figure find its layout once and for all; return, in inches, the part that is drawn on."""
    drawn.draw_without_rendering()
    drawn.set_layout_engine("none")
    return drawn.get_tightbbox().padded(0.08)


def raster(drawn: Figure, whole: Bbox) -> bytes:
    """Return the figure as PNG with a palette, 1600 pixels wide."""
    buffer, result = io.BytesIO(), io.BytesIO()
    drawn.savefig(buffer, dpi=WIDTH / whole.width, bbox_inches=whole, facecolor=drawn.get_facecolor())
    house = (BLUE, ORANGE, INK, PAPER, CHALK, NIGHT)
    in_256_colours(Image.open(buffer).convert("RGB"), house).save(result, format="png", optimize=True)
    return result.getvalue()


def vector(drawn: Figure, whole: Bbox, picture: Picture) -> bytes:
    """Return the figure as SVG. Letters are outlines, as few machines that show slides have our font."""
    for image in drawn.findobj(AxesImage):
        image.set_interpolation("none")  # as many pixels as there are numbers
    buffer = io.StringIO()
    about = {"Title": picture.idea, "Description": picture.alt, "Date": None, "Creator": None}
    with mpl.rc_context({"image.composite_image": False, "svg.fonttype": "path"}):
        drawn.savefig(
            buffer, format="svg", bbox_inches=whole, facecolor=drawn.get_facecolor(), metadata=about
        )
    svg = PATH.sub(lambda found: shorter(found[0]), buffer.getvalue())
    return EMBEDDED.sub(lambda found: smaller(found[1]), named(crisp(joined(svg)))).encode()


def shorter(path: str) -> str:
    """Return a path with its numbers rounded to a hundredth of a point, on one line."""
    return NUMBER.sub(lambda one: f"{float(one[0]):.2f}", " ".join(path.split()))


def joined(svg: str) -> str:
    """Return an SVG in which opaque lines of one style that follow each other are one path."""
    pieces: list[tuple[str, str]] = []  # what is drawn, and the rest of the element; text between has no rest
    end = 0
    for line in LINE.finditer(svg):
        between, end = svg[end : line.start()], line.end()
        if between.strip() or not pieces or pieces[-1][1] != line[2]:
            pieces += [(between, ""), (line[1], line[2])]
        else:
            pieces[-1] = (f"{pieces[-1][0]} {line[1]}", line[2])
    return "".join(f'<path d="{d}"{rest}/>' if rest else d for d, rest in pieces) + svg[end:]


def crisp(svg: str) -> str:
    """Return an SVG whose upright filled boxes have sharp edges: between smooth ones paper shines through."""
    return BOX.sub(r'\g<0> shape-rendering="crispEdges"', svg)


def named(svg: str) -> str:
    """Return an SVG whose parts are named by their order: their hashes hang on the last digit of a number."""
    for number, name in enumerate(dict.fromkeys(NAME.findall(svg))):
        svg = svg.replace(name, f"n{number}")
    return svg


def smaller(encoded: str) -> str:
    """Return an embedded PNG as small as it gets: a photograph as JPEG, a map with a palette.

    A map of few pixels is enlarged, for programs that show slides would smooth it.
    """
    image, result = Image.open(io.BytesIO(base64.b64decode(encoded))).convert("RGBA"), io.BytesIO()
    opaque, scale = image.getchannel("A").getextrema() == (255, 255), round(SHARP / max(image.size))
    kind = "jpeg" if opaque and scale < 2 and image.getcolors(256) is None else "png"
    image = image.convert("RGB") if opaque else image
    if kind == "jpeg":
        image.save(result, kind, quality=85)
    else:
        large = image.resize(
            (max(1, scale) * image.width, max(1, scale) * image.height), Image.Resampling.NEAREST
        )
        (large.quantize(256) if opaque else large).save(result, kind, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(result.getvalue()).decode()}"
