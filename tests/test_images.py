"""Every kind of picture that a reader may bring loads whole and right, or is refused in one sentence."""

import importlib.util
import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms, ImageOps

from swin_edu.book.images import FORMATS, SAMPLES, load_image, sample_image

pytestmark = pytest.mark.filterwarnings("error")  # no warning of Pillow may reach the reader

UPRIGHT = np.random.default_rng(0).integers(0, 256, (5, 8, 3), dtype=np.uint8)
GREY = UPRIGHT[..., 0]
Colour = int | tuple[int, ...]
RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)


def flat(colour: Colour, height: int = 8, width: int = 8) -> np.ndarray:
    return np.full((height, width, 3), colour, dtype=np.uint8)


def grey(values: object) -> np.ndarray:
    """Repeat `(H, W)` over the three channels."""
    return np.repeat(np.asarray(values)[..., None], 3, axis=-1)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(tensor: torch.Tensor) -> np.ndarray:
    """Return `(3, H, W)` in [0, 1] as `(H, W, 3)` in [0, 255], unrounded."""
    assert tensor.dtype == torch.float32 and tensor.is_contiguous()
    assert tensor.ndim == 3 and tensor.shape[0] == 3
    assert tensor.min() >= 0 and tensor.max() <= 1
    return np.moveaxis(tensor.double().numpy(), 0, -1) * 255


def turned(orientation: int) -> Image.Image:
    """Return UPRIGHT as a camera stores it: EXIF 2.3, figure 3, names the sides of row 0 and of column 0."""
    stored = {
        1: UPRIGHT,  # top, left
        2: UPRIGHT[:, ::-1],  # top, right
        3: UPRIGHT[::-1, ::-1],  # bottom, right
        4: UPRIGHT[::-1],  # bottom, left
        5: UPRIGHT.transpose(1, 0, 2),  # left, top
        6: np.rot90(UPRIGHT),  # right, top
        7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),  # right, bottom
        8: np.rot90(UPRIGHT, -1),  # left, bottom
    }
    return Image.fromarray(np.ascontiguousarray(stored[orientation]))


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def palette(transparent: bool = False) -> tuple[bytes, np.ndarray]:
    picture = Image.new("P", (3, 1))
    picture.putpalette([*RED, *GREEN, *BLUE])
    picture.putdata([0, 1, 2])
    options = {"transparency": bytes([255, 0, 255])} if transparent else {}
    return encoded(picture, "PNG", **options), np.array([[RED, WHITE if transparent else GREEN, BLUE]])


def gif(transparent: bool) -> tuple[bytes, np.ndarray]:
    first, second = (Image.new("P", (4, 2), index) for index in (0, 1))
    for frame in (first, second):
        frame.putpalette([*RED, *BLUE])
    options = {"transparency": 0} if transparent else {}
    data = encoded(first, "GIF", save_all=True, append_images=[second], duration=40, **options)
    assert getattr(Image.open(io.BytesIO(data)), "n_frames") == 2  # noqa: B009 (it is not in Pillow's types)
    return data, flat(WHITE if transparent else RED, 2, 4)


def translucent(mode: str) -> tuple[bytes, np.ndarray]:
    alpha = np.array([0, 1, 64, 127, 128, 200, 254, 255], dtype=np.uint8)[None].repeat(5, 0)
    colour = UPRIGHT if mode == "RGBA" else GREY[..., None]
    data = encoded(Image.fromarray(np.dstack([colour, alpha])), "PNG")
    share = alpha[..., None] / 255
    over_white = np.floor(colour * share + 255 * (1 - share) + 0.5)
    return data, np.broadcast_to(over_white, (*alpha.shape, 3))


def png16(values: np.ndarray) -> bytes:
    """Return a 16-bit PNG of `(H, W, 3)`, which Pillow reads but does not write."""
    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def swapped_profile() -> bytes:
    """Return an sRGB profile whose red and blue primaries have changed places."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


def profile(kind: bytes, space: bytes, connection: bytes, tags: dict[bytes, bytes]) -> bytes:
    """Return an ICC profile, version 2.4: a header of 128 bytes, the table of tags, the tags."""
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x", start + len(body), 0x02400000, kind, space, connection, b"acsp", *D50
    )
    return head + table + body


D50 = (63190, 65536, 54061)  # in units of 1/65536


def linear_grey_profile() -> bytes:
    white, curve = b"XYZ \0\0\0\0" + struct.pack(">3i", *D50), b"curv" + b"\0" * 8
    return profile(b"mntr", b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": curve})


def white_ink_profile() -> bytes:
    """Return a CMYK profile by which every ink is white: Lab (100, 0, 0)."""
    ramp = bytes(range(256))
    one = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + one + ramp * 4 + bytes([255, 128, 128]) * 2**4 + ramp * 3
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", *D50)
    return profile(b"prtr", b"CMYK", b"Lab ", {b"wtpt": white, b"A2B0": table})


def plain(kind: str, **options: object) -> tuple[bytes, np.ndarray]:
    return encoded(Image.fromarray(UPRIGHT), kind, **options), UPRIGHT


def one_colour(
    mode: str, colour: Colour, kind: str, expected: Colour, **options: object
) -> tuple[bytes, np.ndarray]:
    return encoded(Image.new(mode, (8, 8), colour), kind, **options), flat(expected)


def deep(values: list[float], dtype: str, kind: str, expected: list[float]) -> tuple[bytes, np.ndarray]:
    return encoded(Image.fromarray(np.array([values], dtype=dtype)), kind), grey([expected])


def big_endian_tiff() -> bytes:
    fields = [(256, 3, 1, 3), (257, 3, 1, 1), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1)]
    fields += [(273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 1), (279, 4, 1, 6)]
    entries = b"".join(
        struct.pack(">HHIHH" if kind == 3 else ">HHII", tag, kind, count, value, *([0] if kind == 3 else []))
        for tag, kind, count, value in fields
    )
    values = np.array([0, 1000, 65535], dtype=">u2").tobytes()
    return b"MM\0*" + struct.pack(">I", 14) + values + struct.pack(">H", len(fields)) + entries + b"\0" * 4


SIXTEEN = [0, 1000 * 255 / 65535, 255]

# name: (how it is made, largest difference in steps of 1/255); 1e-4 is float32's own
KINDS: dict[str, tuple[Callable[[], tuple[bytes, np.ndarray]], float]] = {
    **{
        f"EXIF {turn} in {kind}": (
            lambda turn=turn, kind=kind: (  # type: ignore[misc]
                encoded(turned(turn), kind, exif=exif(turn), lossless=True),
                UPRIGHT,
            ),
            1e-4,
        )
        for turn in range(1, 9)
        for kind in ("PNG", "TIFF", "WEBP")
    },
    "EXIF 6 on 16-bit grey": (
        lambda: (
            encoded(Image.fromarray(np.rot90(GREY).astype(np.uint16) * 257), "PNG", exif=exif(6)),
            grey(GREY),
        ),
        1e-4,
    ),
    "EXIF that is rubbish": (lambda: plain("PNG", exif=b"Exif\0\0rubbish"), 1e-4),
    "EXIF that is cut short": (lambda: plain("PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"), 1e-4),
    "BMP": (lambda: plain("BMP"), 1e-4),
    "PPM": (lambda: plain("PPM"), 1e-4),
    "TIFF, compressed": (lambda: plain("TIFF", compression="tiff_lzw"), 1e-4),
    "WebP": (lambda: plain("WEBP", lossless=True), 1e-4),
    "JPEG": (lambda: one_colour("RGB", (200, 100, 50), "JPEG", (200, 100, 50)), 1.5),
    "JPEG, progressive": (
        lambda: one_colour("RGB", RED, "JPEG", RED, progressive=True),
        1.5,
    ),
    "JPEG, two pictures in one": (
        lambda: one_colour(
            "RGB", RED, "MPO", RED, save_all=True, append_images=[Image.new("RGB", (8, 8), BLUE)]
        ),
        1.5,
    ),
    "8-bit grey": (lambda: (encoded(Image.fromarray(GREY), "PNG"), grey(GREY)), 1e-4),
    "1 bit": (
        lambda: (encoded(Image.fromarray(GREY > 127), "PNG"), grey(np.where(GREY > 127, 255, 0))),
        1e-4,
    ),
    "palette": (palette, 1e-4),
    "palette with a transparent entry": (lambda: palette(transparent=True), 1e-4),
    "animated GIF": (lambda: gif(transparent=False), 1e-4),
    "animated GIF, transparent": (lambda: gif(transparent=True), 1e-4),
    "RGBA": (lambda: translucent("RGBA"), 1e-4),
    "grey with alpha": (lambda: translucent("LA"), 1e-4),
    "RGB with a transparent colour": (
        lambda: one_colour("RGB", RED, "PNG", WHITE, transparency=RED),
        1e-4,
    ),
    "CMYK TIFF": (lambda: one_colour("CMYK", (0, 255, 255, 0), "TIFF", RED), 1e-4),
    "CMYK JPEG, inverted as Adobe does": (lambda: one_colour("CMYK", (0, 255, 255, 0), "JPEG", RED), 1.5),
    "CMYK TIFF, black ink": (lambda: one_colour("CMYK", (0, 0, 0, 255), "TIFF", BLACK), 1e-4),
    "YCbCr TIFF": (lambda: one_colour("YCbCr", (76, 85, 255), "TIFF", RED), 1.5),
    "Lab TIFF": (lambda: one_colour("LAB", (255, 128, 128), "TIFF", WHITE), 1.5),
    "16-bit RGB PNG": (lambda: (png16(UPRIGHT.astype(np.uint16) * 257), UPRIGHT), 1e-4),
    "16-bit grey PNG": (lambda: deep([0, 1000, 65535], "u2", "PNG", SIXTEEN), 0.51),
    "16-bit grey TIFF": (lambda: deep([0, 1000, 65535], "u2", "TIFF", SIXTEEN), 0.51),
    "16-bit grey TIFF, big-endian": (lambda: (big_endian_tiff(), grey([SIXTEEN])), 0.51),
    "16-bit grey PGM": (
        lambda: (
            b"P5 3 1 65535\n" + np.array([0, 1000, 65535], ">u2").tobytes(),
            grey([SIXTEEN]),
        ),
        0.51,
    ),
    "32-bit grey TIFF, no more than 65535": (lambda: deep([0, 1000, 65535], "i4", "TIFF", SIXTEEN), 0.51),
    "32-bit grey TIFF, more": (lambda: deep([1000, 2000, 101000], "i4", "TIFF", [0, 2.55, 255]), 0.51),
    "32-bit grey TIFF, below 0": (lambda: deep([-100, 0, 100], "i4", "TIFF", [0, 127.5, 255]), 0.51),
    "32-bit grey TIFF, one value": (lambda: deep([99999, 99999], "i4", "TIFF", [0, 0]), 1e-4),
    "float TIFF in [0, 1]": (lambda: deep([0.2, 0.5, 0.8], "f4", "TIFF", [51, 127.5, 204]), 0.51),
    "float TIFF beyond 1": (lambda: deep([2, 3, 4], "f4", "TIFF", [0, 127.5, 255]), 0.51),
    "ICC profile of other primaries": (
        lambda: one_colour("RGB", RED, "PNG", BLUE, icc_profile=swapped_profile()),
        1.01,
    ),
    "ICC profile under alpha": (
        lambda: one_colour("RGBA", RED, "PNG", BLUE, icc_profile=swapped_profile()),
        1.01,
    ),
    "ICC profile of linear grey": (  # the sRGB curve takes 0.2159 to 0.5
        lambda: one_colour("L", 55, "PNG", (128, 128, 128), icc_profile=linear_grey_profile()),
        1.01,
    ),
    "ICC profile of inks": (
        lambda: one_colour("CMYK", (0, 255, 255, 0), "TIFF", WHITE, icc_profile=white_ink_profile()),
        1.01,
    ),
    "ICC profile that is broken": (lambda: plain("PNG", icc_profile=b"no profile at all"), 1e-4),
    "ICC profile of another mode": (
        lambda: (encoded(Image.fromarray(GREY), "PNG", icc_profile=swapped_profile()), grey(GREY)),
        1e-4,
    ),
    "one pixel": (lambda: (encoded(Image.new("RGB", (1, 1), BLUE), "PNG"), flat(BLUE, 1, 1)), 1e-4),
    "very wide": (lambda: (encoded(Image.new("RGB", (30000, 1), GREEN), "PNG"), flat(GREEN, 1, 30000)), 1e-4),
    "bytes after the end": (lambda: (plain("PNG")[0] + b"rubbish", UPRIGHT), 1e-4),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_loads_with_its_pixels(name: str, tmp_path: Path) -> None:
    make, tolerance = KINDS[name]
    data, expected = make()
    file = tmp_path / "picture"  # without an extension: the bytes alone decide
    file.write_bytes(data)
    with np.errstate(all="raise"):
        found = pixels(load_image(file))
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= tolerance
    assert load_image(file, size=7).shape == (3, 7, 7)


def sentence(error: BaseException, *parts: str) -> str:
    """Assert that the error is one sentence without a full stop that holds every part, and return it."""
    text = str(error)
    assert text and "\n" not in text and ". " not in text and not text.endswith("."), text
    assert len(text) < 700
    for part in parts:
        assert part in text, text
    return text


def header_of(width: int, height: int) -> bytes:
    data = bytearray(encoded(Image.new("L", (1, 1)), "PNG"))
    data[16:24] = struct.pack(">II", width, height)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40
REFUSED: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "empty.png": (b"", ("is empty (0 bytes)", "download")),
    "cut.png": (plain("PNG")[0][:80], ("cannot be read whole (", "truncated")),
    "cut.jpg": (plain("JPEG")[0][:-40], ("cannot be read whole (", "truncated")),
    "head.gif": (plain("GIF")[0][:8], ("seems to be a damaged picture", "use PNG, JPEG, GIF")),
    "head.png": (plain("PNG")[0][:20], ("cannot be read whole (", "Truncated")),
    "half grey.jp2": (plain("JPEG2000")[0], ("seems to be a JPEG 2000 picture",)),
    "drawing.eps": (encoded(Image.fromarray(UPRIGHT), "EPS"), ("seems to be a PDF or PostScript document",)),
    "notes.txt": ("Zürich, 1 May".encode(), ("seems to be a text file", "PNG", "JPEG")),
    "paper.pdf": (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", ("seems to be a PDF or PostScript document",)),
    "phone.heic": (HEIC, ("seems to be a HEIC picture",)),
    "film.mp4": (b"\0\0\0\x18ftypisom\0\0\2\0", ("seems to be a video",)),
    "folder.zip": (b"PK\x03\x04\x14\0", ("seems to be a ZIP archive",)),
    "logo.svg": (b'<?xml version="1.0"?>\n<svg width="9"></svg>', ("seems to be an SVG drawing",)),
    "not found.jpg": (b"<!DOCTYPE html><html></html>", ("seems to be a web page",)),
    "noise.bin": (bytes(range(256)), ("seems to be no picture",)),
    "bomb.png": (header_of(20000, 20000), ("too large", "400000000 pixels", "limit of 178956970 pixels")),
    "nan.tif": (deep([0, float("nan")], "f4", "TIFF", [])[0], ("infinite or no numbers",)),
    "infinite.tif": (deep([0, float("inf")], "f4", "TIFF", [])[0], ("infinite or no numbers",)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_whole_picture_is_refused_in_one_sentence(name: str, tmp_path: Path) -> None:
    data, parts = REFUSED[name]
    (tmp_path / name).write_bytes(data)
    for size in (None, 4):
        with pytest.raises(ValueError) as caught:
            load_image(tmp_path / name, size)
        sentence(caught.value, repr(str(tmp_path / name)), *parts)


def test_several_sentences_of_a_decoder_become_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError("Corrupt data.  Expected 12 bytes,\nread 0. ")

    (tmp_path / "a.png").write_bytes(plain("PNG")[0])
    monkeypatch.setattr(Image, "open", fail)
    with pytest.raises(ValueError) as caught:
        load_image(tmp_path / "a.png")
    sentence(caught.value, "a.png'", "(Corrupt data, Expected 12 bytes, read 0)")


def test_a_missing_file_brings_near_names(tmp_path: Path) -> None:
    (tmp_path / "Kitten.JPG").touch()
    given_path = tmp_path / "kiten.jpg"
    with pytest.raises(FileNotFoundError) as caught:
        load_image(given_path)
    assert sentence(caught.value) == f"there is no file {str(given_path)!r}; did you mean 'Kitten.JPG'?"


def test_a_missing_file_without_near_names_names_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        load_image("cat.jpg")
    assert sentence(caught.value) == f"there is no file 'cat.jpg'; no name in {str(tmp_path)!r} is like it"
    with pytest.raises(FileNotFoundError) as caught:
        load_image("photos/cat.jpg")
    sentence(caught.value, "'photos/cat.jpg'", f"its folder {str(tmp_path / 'photos')!r} is missing")
    with pytest.raises(FileNotFoundError) as caught:
        load_image("~no such user~/cat.jpg")
    sentence(caught.value, "'~no such user~/cat.jpg'")


def test_a_folder_and_a_device_are_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError) as folder:
        load_image(tmp_path)
    sentence(folder.value, repr(str(tmp_path)), "is a folder")
    with pytest.raises(ValueError) as device:
        load_image(os.devnull)
    sentence(device.value, repr(os.devnull), "no ordinary file")


def test_a_file_that_may_not_be_read_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    (tmp_path / "secret.png").write_bytes(plain("PNG")[0])
    monkeypatch.setattr(Path, "open", refuse)  # an administrator may read everything, so chmod would not do
    with pytest.raises(PermissionError) as caught:
        load_image(tmp_path / "secret.png")
    sentence(caught.value, "secret.png'", "permissions")


@pytest.mark.parametrize(
    ("path", "kind"),
    [("x" * 5000 + ".png", OSError), ("a\0b.png", ValueError), ("a\nb.png", OSError), ("", OSError)],
)
def test_odd_paths_are_refused_in_one_sentence(path: str, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        load_image(path)
    sentence(caught.value, *([".png'"] if path else []))


@pytest.mark.parametrize(
    "url", ["https://example.org/cat.jpg", "HTTP://example.org/a b.png", "data:image/png;base64," + "A" * 999]
)
def test_a_url_is_to_be_downloaded_first(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        load_image(url)
    sentence(caught.value, "is the URL '" + url[:30], "download the picture")


@pytest.mark.parametrize("path", [None, 7, b"cat.jpg", ["cat.jpg"], torch.zeros(3)])
def test_a_path_of_another_type_is_a_type_error(path: object) -> None:
    with pytest.raises(TypeError) as caught:
        load_image(path)  # type: ignore[arg-type]
    sentence(caught.value, "path is", "str or pathlib.Path")


def test_a_sample_has_a_size() -> None:
    with pytest.raises(TypeError, match="size is None; give a whole number such as 224"):
        sample_image("temple", None)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [0, -1, 4097, 10**9, 224.0, "224", True, (224, 224)])
def test_a_wrong_size_says_what_it_was(size: int, tmp_path: Path) -> None:
    kind = ValueError if type(size) is int else TypeError
    with pytest.raises(kind) as of_a_file:
        load_image(tmp_path / "a.png", size)
    with pytest.raises(kind) as of_a_sample:
        sample_image("flower", size)
    for error in (of_a_file.value, of_a_sample.value):
        sentence(error, f"size is {size!r}; give ")


def test_size_takes_the_centre_square(tmp_path: Path) -> None:
    wide = np.concatenate([flat(RED, 10, 10), flat(GREEN, 10, 10), flat(BLUE, 10, 10)], axis=1)
    for name, array in (("wide.png", wide), ("tall.png", wide.transpose(1, 0, 2))):
        Image.fromarray(np.ascontiguousarray(array)).save(tmp_path / name)
        assert np.abs(pixels(load_image(tmp_path / name, 10)) - flat(GREEN, 10, 10)).max() < 1e-4


def test_resizing_averages_what_it_leaves_out(tmp_path: Path) -> None:
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "board.png")
    assert np.abs(pixels(load_image(tmp_path / "board.png", 8)) - 127.5).max() < 2


def test_a_picture_of_the_right_size_is_left_as_it_is(tmp_path: Path) -> None:
    Image.fromarray(UPRIGHT[:, :5]).save(tmp_path / "square.png")
    assert torch.equal(load_image(tmp_path / "square.png", 5), load_image(tmp_path / "square.png"))


def test_a_picture_of_108_megapixels_is_reduced_as_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (12000, 9000), 200).save(tmp_path / "large.jpg")
    seen: list[tuple[int, int]] = []
    fit = ImageOps.fit

    def noted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
        seen.append(picture.size)
        return fit(picture, size)

    monkeypatch.setattr(ImageOps, "fit", noted)
    assert np.abs(pixels(load_image(tmp_path / "large.jpg", 224)) - 200).max() < 1.5
    load_image(tmp_path / "large.jpg", 562)
    load_image(tmp_path / "large.jpg", 563)  # an eighth would be less than twice that
    assert seen == [(1500, 1125), (1500, 1125), (3000, 2250)]


def test_the_path_may_be_text_and_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "a.png").write_bytes(plain("PNG")[0])
    for path in (tmp_path / "a.png", str(tmp_path / "a.png"), "~/a.png", Path("~/a.png")):
        assert np.abs(pixels(load_image(path)) - UPRIGHT).max() < 1e-4


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one path to write to again and again."""
    return tmp_path_factory.mktemp("images") / "random"


def loaded(file: Path, data: bytes, size: int | None = None) -> torch.Tensor:
    file.write_bytes(data)
    return load_image(file, size)


@settings(max_examples=80, deadline=None)
@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3])).flatmap(
        lambda shape: arrays(np.uint8, shape)
    )
)
def test_any_png_loads_back_exactly(file: Path, array: np.ndarray) -> None:
    picture = Image.fromarray(array[..., 0] if array.shape[2] == 1 else array)
    expected = torch.from_numpy(np.broadcast_to(array, (*array.shape[:2], 3)).transpose(2, 0, 1).copy()) / 255
    assert torch.equal(loaded(file, encoded(picture, "PNG")), expected)


WHOLE = {
    kind: encoded(Image.fromarray(np.tile(UPRIGHT, (4, 3, 1))), kind)
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM")
}


@pytest.mark.parametrize("kind", WHOLE)
@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=st.sampled_from([None, 4]))
def test_a_file_cut_anywhere_is_whole_or_refused(
    file: Path, kind: str, data: st.DataObject, size: int | None
) -> None:
    end = data.draw(st.integers(0, len(WHOLE[kind])))
    whole = loaded(file, WHOLE[kind], size)
    try:
        assert torch.equal(loaded(file, WHOLE[kind][:end], size), whole)
    except ValueError as error:
        assert end < len(WHOLE[kind])
        sentence(error, repr(str(file)))


STARTS = [
    b"",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"GIF89a",
    b"II*\0",
    b"BM",
    b"P6 ",
    b"RIFF\x40\0\0\0WEBP",
]


@settings(max_examples=200, deadline=None)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=200))
def test_random_bytes_are_a_picture_or_refused(file: Path, start: bytes, rest: bytes) -> None:
    try:
        pixels(loaded(file, start + rest))
    except ValueError as error:
        sentence(error, repr(str(file)))


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_a_real_picture_of_the_size_asked_for(name: str) -> None:
    for size in (1, 33, 224):
        picture = sample_image(name, size)
        pixels(picture)
        assert picture.shape == (3, size, size)
        assert torch.equal(picture, sample_image(name, size))
    assert picture.std() > 0.1 and len(set(picture.flatten().tolist())) > 200
    assert all(not torch.equal(picture, sample_image(other)) for other in SAMPLES if other != name)


def test_the_first_sample_is_the_temple() -> None:
    assert torch.equal(sample_image(), sample_image("temple", 224))
    assert tuple(SAMPLES) == ("temple", "flower", "portrait")


@pytest.mark.parametrize("name", ["cat", "", "Temple", None, 3, ["temple"]])
def test_an_unknown_sample_lists_the_known_ones(name: object) -> None:
    with pytest.raises(ValueError) as caught:
        sample_image(name)  # type: ignore[arg-type]
    known = "temple, flower, portrait"
    assert sentence(caught.value) == f"name is {name!r}, which is no sample; use one of {known}"


def test_a_sample_whose_package_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError) as caught:
        sample_image("portrait")
    sentence(caught.value, "'portrait'", "the package matplotlib", "install")


def folder_above(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None and found.origin is not None
    return Path(found.origin).parent.parent


def test_the_credits_are_those_of_the_packages() -> None:
    readme = (folder_above("sklearn") / "sklearn/datasets/images/README.txt").read_text()
    for name in ("temple", "flower"):
        _, photographer, licence, source, file = SAMPLES[name]
        entry = readme.split("Image: " + Path(file).name)[1].split("Image: ")[0]
        assert f"https://www.flickr.com/photos/{photographer}/\n" in entry
        assert source in entry
        assert licence.startswith("CC BY 2.0, ") and licence.split(", ")[1] in entry
    _, photographer, licence, source, file = SAMPLES["portrait"]
    with Image.open(folder_above("matplotlib") / file) as portrait:
        comment = portrait.info["comment"]
    assert comment.decode().endswith(source)
    assert "U.S. Navy" in photographer and "public domain" in licence
    assert all(all(sample) for sample in SAMPLES.values())


def test_samples_are_found_without_importing_their_packages() -> None:
    code = (
        "import sys; from swin_edu.book.images import *; [*map(sample_image, SAMPLES)]; print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "PIL.Image" in ran.stdout.split()
    assert not {"sklearn", "matplotlib", "scipy"} & set(ran.stdout.split())


def test_every_format_is_one_that_pillow_knows() -> None:
    Image.init()
    assert set(FORMATS) <= set(Image.OPEN)
