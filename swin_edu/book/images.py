"""Pictures as tensors: three photographs that need no download, and the reader's own files.

Every picture comes back as float32 `(3, H, W)`, red, green, blue, 0 for black and 1 for full brightness, in
steps of 1/255. Nothing is fetched: the three photographs lie inside the packages that the book needs anyway.
"""

import difflib
import importlib.util
import io
import os
import re
import reprlib
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError


class Sample(NamedTuple):
    """One photograph that needs no download, and whom to thank for it."""

    shows: str
    photographer: str
    licence: str
    source: str
    file: str  # the package, then the path inside it


CC_BY = "CC BY 2.0, https://creativecommons.org/licenses/by/2.0/"
# Source: sklearn/datasets/images/README.txt. Its text names danielbuechele for both photographs, but its
# links for the flower lead to vultilion. matplotlib states no licence: the portrait's JPEG comment names its
# page at Wikimedia Commons, and matplotlib's pull request 1599, which added it, calls it public domain.
SAMPLES: Mapping[str, Sample] = {
    "temple": Sample(
        shows="a temple tower above a lake",
        photographer="danielbuechele",
        licence=CC_BY,
        source="https://www.flickr.com/photos/danielbuechele/6061409035/",
        file="sklearn/datasets/images/china.jpg",
    ),
    "flower": Sample(
        shows="an orange dahlia",
        photographer="vultilion",
        licence=CC_BY,
        source="https://www.flickr.com/photos/vultilion/6056698931/",
        file="sklearn/datasets/images/flower.jpg",
    ),
    "portrait": Sample(
        shows="Commodore Grace M. Hopper in 1984",
        photographer="James S. Davis, U.S. Navy",
        licence="public domain, a work of the U.S. Navy",
        source="http://commons.wikimedia.org/wiki/File:Grace_Hopper.jpg",
        file="matplotlib/mpl-data/sample_data/grace_hopper.jpg",
    ),
}

LARGEST_SIZE = 4096  # pixels a side: 200 MB as float32
# Not all that Pillow reads: EPS would start Ghostscript, and a JPEG 2000 cut short can come back half grey.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF", "WEBP", "AVIF")
SIGNATURES = (
    (rb"%PDF|%!PS", "a PDF or PostScript document"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a JPEG 2000 picture"),
    (rb"....ftyp(hei|hev|mif|msf)", "a HEIC picture"),
    (rb"....ftyp", "a video"),
    (rb"PK\x03\x04", "a ZIP archive"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8|BM....\0{4}|II\*\0|MM\0\*|RIFF....WEBP", "a damaged picture"),
    (rb"(?i)\s*(<\?xml.*)?<svg", "an SVG drawing"),
    (rb"(?i)\s*<(!doctype )?html", "a web page"),
    (rb"[^\0-\x08\x0e-\x1f]*\Z", "a text file"),
)


def sample_image(name: str = "temple", size: int = 224) -> torch.Tensor:
    """Return the photograph `name` of SAMPLES as `(3, size, size)` in [0, 1]: its centre square, resized.

    Raises ValueError when the name is unknown, ModuleNotFoundError when the package that carries the file is
    not installed, and what `load_image` raises.
    """
    if not isinstance(name, str) or name not in SAMPLES:
        raise ValueError(f"name is {reprlib.repr(name)}, which is no sample; use one of {', '.join(SAMPLES)}")
    _check_size(size)
    package, inside = SAMPLES[name].file.split("/", 1)
    # importlib.resources would import the package: 1.2 s for scikit-learn, against 0.1 ms to find it
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError(f"sample {name!r} lies in the package {package}; install that package")
    return load_image(Path(found.submodule_search_locations[0]) / inside, size)


def load_image(path: str | Path, size: int | None = None) -> torch.Tensor:
    """Return the picture in a file as `(3, H, W)` in [0, 1]; with `size`, its centre square, resized to that.

    The picture is turned upright (EXIF), its colours are converted to sRGB where it says what they are (ICC),
    transparent parts are laid over white, and of several frames the first is taken. Grey of 16 bits runs from
    0 to 65535, grey of floats from 0 to 1; with any value beyond, it runs from the least to the greatest.
    `~` is the home folder.

    Raises TypeError for a path or size of the wrong type; FileNotFoundError, IsADirectoryError,
    PermissionError or another OSError for a file that cannot be opened; ValueError for all else. It never
    returns a part of a picture.
    """
    if not isinstance(path, str | Path):
        raise TypeError(f"path is {reprlib.repr(path)}; give the path of a picture as str or pathlib.Path")
    if size is not None:
        _check_size(size)
    with _open(path) as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is either harmless here or an error below
        picture = _decode(stream, _shown(path), size)
    if size is not None:
        picture = ImageOps.fit(picture, (size, size))  # bicubic, antialiased
    pixels = rearrange(np.asarray(picture), "height width channel -> channel height width")
    return torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32)).div_(255)


def _check_size(size: object) -> None:
    if not isinstance(size, int) or isinstance(size, bool):
        raise TypeError(f"size is {reprlib.repr(size)}; give a whole number such as 224")
    if not 1 <= size <= LARGEST_SIZE:
        raise ValueError(f"size is {size}; give a number of pixels from 1 to {LARGEST_SIZE}")


def _shown(path: str | Path) -> str:
    """Return the path for use in a sentence: on one line, its middle left out when it is long."""
    text = str(path)
    return repr(text if len(text) <= 300 else f"{text[:100]}…{text[-199:]}")


def _open(path: str | Path) -> BinaryIO:
    """Open an ordinary file for reading, or say in one sentence why that cannot be."""
    shown, file = _shown(path), Path(os.path.expanduser(path))
    if re.match(r"(https?|ftp|file|data|s3|gs):", str(path), re.IGNORECASE):
        raise ValueError(f"path is the URL {shown}; download the picture, then give the path of that file")
    if os.path.isdir(file):
        raise IsADirectoryError(f"{shown} is a folder; give the path of one picture in it")
    if os.path.exists(file) and not os.path.isfile(file):  # a named pipe would wait for ever
        raise ValueError(f"{shown} is no ordinary file; give the path of a picture")
    try:
        return file.open("rb")
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"there is no file {shown}; {_advice(file)}") from None
    except PermissionError:
        raise PermissionError(f"{shown} may not be read by you; change its permissions or copy it") from None
    except (OSError, ValueError) as error:
        kind = OSError if isinstance(error, OSError) else ValueError
        raise kind(f"{shown} cannot be opened ({_reason(error)}); give the path of a picture") from None


def _advice(missing: Path) -> str:
    folder = os.path.abspath(missing.parent)
    try:
        names = {name.lower(): name for name in os.listdir(folder)}
    except OSError:
        return f"its folder {_shown(folder)} is missing too, or closed to you"
    near = [repr(names[name]) for name in difflib.get_close_matches(missing.name.lower(), names)]
    return f"did you mean {' or '.join(near)}?" if near else f"no name in {_shown(folder)} is like it"


def _reason(error: Exception) -> str:
    """Return what an error of another library says, as a part of one sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(text.split()).rstrip(".").replace(". ", ", ")


def _decode(stream: BinaryIO, shown: str, size: int | None) -> Image.Image:
    """Return the whole picture in RGB; a JPEG may be reduced on reading, to sides of 2·size or more."""
    head = stream.read(1024)
    if not head:
        raise ValueError(f"{shown} is empty (0 bytes); copy or download it again")
    try:
        with Image.open(stream, formats=FORMATS) as picture:
            if size is not None:
                picture.draft(None, (2 * size, 2 * size))  # 108 megapixels in 30 ms
            picture.load()  # here, so that no error of the pixels is taken for one of the EXIF
            return to_rgb(picture)
    except UnidentifiedImageError:
        kind = next((kind for start, kind in SIGNATURES if re.match(start, head, re.DOTALL)), "no picture")
        raise ValueError(f"{shown} cannot be read: it seems to be {kind}; use {', '.join(FORMATS)}") from None
    except Image.DecompressionBombError as error:
        numbers = _reason(error).split(",")[0].lower()
        raise ValueError(f"{shown} is too large to open safely, {numbers}; make it smaller first") from None
    except Exception as error:  # what a decoder raises on damaged bytes is not documented
        raise ValueError(f"{shown} cannot be read whole ({_reason(error)}); save or copy it again") from error


def to_rgb(picture: Image.Image) -> Image.Image:
    """Return a picture upright, in sRGB and over white, as `load_image` says; it may change the one given."""
    profile = picture.info.get("icc_profile")
    with suppress(Exception):  # unreadable EXIF says nothing about which side is up
        ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode == "F" or picture.mode.startswith("I"):
        picture = _grey(np.asarray(picture, dtype=np.float64), white=1 if picture.mode == "F" else 65535)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    if picture.mode not in ("L", "CMYK"):  # the two other modes that a profile can describe
        picture = picture.convert("RGB")
    if profile:
        with suppress(OSError, ImageCms.PyCMSError):  # a broken profile, or one for another mode
            source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            return ImageCms.profileToProfile(picture, source, target, outputMode="RGB") or picture
    return picture.convert("RGB")


def _grey(values: np.ndarray, white: float) -> Image.Image:
    """Return `(H, W)` values as 8-bit grey: from 0 to `white`, or from least to greatest if any is beyond."""
    least, greatest = values.min(), values.max()
    if not np.isfinite(least + greatest):
        raise ValueError("it holds values that are infinite or no numbers")
    if least < 0 or greatest > white:
        values, white = values - least, (greatest - least) or 1
    return Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8))
