"""The pictures of figures/ are those that the code draws, light and dark, and can be read."""

import base64
import io
import json
import re
from functools import cache

import numpy as np
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from swin_edu.book import measured, style
from swin_edu.book.figures import FIGURES, dark, files, index
from swin_edu.book.figures.swin import PAPER_SIZES
from swin_edu.book.write import ROOT

FOLDER = ROOT / "figures"
MEND = "mend with: python3 -m swin_edu figures"
NEAR = 5  # of 255: a palette of 256 colours for a photograph
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-\d+)?")
PICTURES = re.compile('data:image/[^"]+')


@cache
def drawn(name):
    """Return a figure and the part of it that is drawn on; it becomes dark in the course of its test."""
    picture = FIGURES[name].draw()
    return picture, files.settle(picture)


def rendered(picture, whole):
    """Return the pixels `(H, 1600, 3)` of a figure."""
    buffer, style = io.BytesIO(), {"bbox_inches": whole, "facecolor": picture.get_facecolor()}
    picture.savefig(buffer, format="rgba", dpi=files.WIDTH / whole.width, **style)
    return np.frombuffer(buffer.getvalue(), np.uint8).reshape(-1, files.WIDTH, 4)[..., :3]


def distance(stored, fresh):
    """Return how far two pictures are apart: the root of the mean square, of 255; sizes must be equal."""
    with Image.open(stored) as kept:
        return np.sqrt(np.square(np.subtract(kept.convert("RGB"), fresh, dtype=np.float32)).mean())


def words_and_numbers(svg):
    """Return an SVG's words without names and embedded pictures, and its numbers."""
    text = PICTURES.sub("", svg)
    return NUMBER.sub("0", text), [float(number) for number in NUMBER.findall(text)]


def unreadable(picture, paper):
    """Return the texts on bare paper that have less contrast to it, or to their plate, than 4.5 : 1."""
    bad = []
    for text, behind in dark.texts_and_paper(picture):
        plate = text.get_bbox_patch()
        ground = to_hex(plate.get_facecolor()) if plate is not None else paper
        bare = (np.abs(behind - dark.to_rgb(paper)).max(axis=1) < 0.01).mean() > 0.9
        bad += [text.get_text()] * bool(bare and dark.contrast(to_hex(text.get_color()), ground) < 4.5)
    return bad


@pytest.mark.parametrize("name", FIGURES)
def test_stored_figure_is_what_the_code_draws_and_can_be_read(name):
    picture, whole = drawn(name)
    light, night, svg = (FOLDER / path for path in (f"{name}.png", f"dark/{name}.png", f"dark/{name}.svg"))
    assert light.exists() and night.exists() and svg.exists(), MEND
    assert not unreadable(picture, style.PAPER)
    assert distance(light, rendered(picture, whole)) < NEAR, MEND
    dark.darken(picture)
    assert not unreadable(picture, dark.NIGHT)
    assert distance(night, rendered(picture, whole)) < NEAR, MEND
    (kept_words, kept), (words, found) = map(
        words_and_numbers, (svg.read_text("utf-8"), files.vector(picture, whole, FIGURES[name]).decode())
    )
    assert kept_words == words, MEND
    assert np.abs(np.subtract(kept, found)).max() < 1, MEND


@pytest.mark.parametrize("name", FIGURES)
def test_light_and_dark_svg_show_the_same(name):
    """The dark one is compared with the code above; letters, pictures and sizes of the light one are its."""
    kept = [(FOLDER / path).read_text("utf-8") for path in (f"{name}.svg", f"dark/{name}.svg")]
    for what in (
        "<use xlink:href=[^>]*transform=[^>]*>",
        'viewBox="[^"]*"',
        'data:image/[^"]*',
        "<dc:title>.*",
    ):
        light, night = (" ".join(re.findall(what, svg)) for svg in kept)
        assert light == night, MEND
    assert style.INK not in re.findall("(?<=<g id=.figure_1.>)(?s:.){600}", kept[1])[0]
    assert all("<text" not in svg and "http-equiv" not in svg and "<dc:date>" not in svg for svg in kept)
    assert all(FIGURES[name].idea in svg for svg in kept)


def test_the_folder_holds_the_figures_and_nothing_else():
    expected = {
        f"{where}{name}.{kind}" for name in FIGURES for where in ("", "dark/") for kind in ("png", "svg")
    }
    paths = {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}
    assert set(paths) == expected | {"README.md", "contact_sheet.png"}, MEND
    sizes = {name: path.stat().st_size for name, path in paths.items()}
    assert max(sizes[name] for name in expected) < 300_000
    assert sum(sizes.values()) < 8_200_000


def test_page_and_sheet_are_those_of_the_figures():
    assert (FOLDER / "README.md").read_text("utf-8") == index.page(FIGURES.values()), MEND
    sheet = index.contact_sheet(FIGURES.values(), FOLDER).convert("RGB")
    assert distance(FOLDER / "contact_sheet.png", sheet) < 1, MEND


def test_each_chapter_has_a_figure_and_each_figure_words_of_its_own():
    every = list(FIGURES.values())
    assert {picture.chapter for picture in every} >= set(range(16))
    assert [picture.chapter for picture in every] == sorted(picture.chapter for picture in every)
    assert len({picture.idea for picture in every}) == len({picture.alt for picture in every}) == len(every)
    assert all(60 < len(picture.alt) < 400 and len(picture.idea) < 80 for picture in every)
    assert not any(set('"<>&') & set(picture.alt + picture.idea) for picture in every)


def test_numbers_of_steps_merging_and_offsets():
    texts = [[text.get_text() for text in axes.texts] for axes in drawn("attention_steps")[0].axes]
    assert {"0.05", "0.35", "0.58"} <= set(texts[3]) and {"1.87", "1.45", "1.10"} <= set(texts[4])
    order = (0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15)
    merged = [text.get_text() for text in drawn("merging")[0].axes[1].texts]
    assert [one for one in merged if one.isdigit()] == list(map(str, order))
    ends = [line.get_ydata()[15] for line in drawn("log_spaced")[0].axes[0].lines]
    assert ends == pytest.approx([15 / 7, 4 / 3, 4 / 3], rel=0.02)


def test_models_lie_in_the_rings_of_the_paper():
    points = [line.get_xydata()[0] for line in drawn("models")[0].axes[0].lines]
    rings, dots = points[::2], points[1::2]
    assert [tuple(ring) for ring in rings] == list(PAPER_SIZES.values())
    assert np.abs(np.divide(dots, rings) - 1).max(axis=0) == pytest.approx((0.03, 0.01), abs=0.01)


def test_measured_figures_draw_what_was_measured():
    records = json.loads(measured.RECORDS.read_text("utf-8"))
    for name, record in (("lengths", "attentions by length"), ("sides", "backbones by side")):
        milliseconds = drawn(name)[0].axes[0].lines
        assert len(milliseconds) > 2
        for line in milliseconds:
            assert list(line.get_ydata()) == records[record]["values"][f"{line.get_label()}, ms"]
    assert list(drawn("learning")[0].axes[0].lines[0].get_ydata()) == records["digits"]["values"]["losses"]
    assert [bar.get_width() for bar in drawn("steps")[0].axes[1].patches] == [
        1e3 * seconds[1] for seconds in records["steps"]["values"].values()
    ]


def test_dark_turns_paper_and_ink_but_no_picture_and_no_words_on_colour():
    picture, (photo, plot) = style.figure(6, 3, columns=2)
    photo.imshow(np.ma.masked_less(np.array([[0.0, 1, 2]]), 1), extent=(0, 30, 10, 0))
    photo.plot([5, 25], [5, 5], color=style.INK)
    photo.plot([0, 30], [14, 14], color=style.INK)
    photo.set_ylim(20, 0)
    title = photo.set_title("title")
    bar = plot.bar([0], [1], color=style.BLUE)[0]
    on_bar = plot.text(0, 0.5, "1", color="white", ha="center")
    grey = plot.text(1, 0.5, "grey", color=style.MUTED)
    plate = plot.text(2, 0.5, "A", bbox={"fc": "white", "ec": style.INK})
    curve = plot.plot([1, 3], [0, 1], color=style.BLUE)[0]
    files.settle(picture)
    dark.darken(picture)
    colours = [to_hex(line.get_color()) for line in (*photo.lines, curve)]
    assert colours == [style.INK, dark.CHALK, dark.SKY]
    assert (to_hex(bar.get_facecolor()), to_hex(on_bar.get_color())) == (style.BLUE, style.PAPER)
    assert to_hex(title.get_color()) == to_hex(plate.get_color()) == dark.CHALK
    assert to_hex(plate.get_bbox_patch().get_facecolor()) == dark.NIGHT
    assert dark.contrast(to_hex(grey.get_color()), dark.NIGHT) >= 4.5
    paper = [patch for patch in photo.patches if to_hex(patch.get_facecolor()) == style.PAPER]
    assert [patch.get_bbox().bounds for patch in paper] == [(0, 10, 30, -10)]  # the masked value stays white


def test_contrast_is_that_of_the_guidelines():
    assert dark.contrast("#000000", "#ffffff") == 21
    assert dark.contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert dark.readable("#0072b2", "#ffffff") == "#0072b2"
    assert 4.5 <= dark.contrast(dark.readable("#0072b2", dark.NIGHT), dark.NIGHT) < 5


def test_lines_of_one_style_become_one_path():
    line = '<path d="{}" style="fill: none; stroke: #000000"/>'.format
    faint = '<path d="{}" style="fill: none; stroke: #000000; stroke-opacity: 0.5"/>'.format
    assert files.joined(line("A") + "\n" + line("B") + "<g/>" + line("C")) == line("A B") + "<g/>" + line("C")
    assert files.joined(faint("A") + faint("B")) == faint("A") + faint("B")
    assert files.shorter("M 1.23456 2\nL 0.5 100.999") == "M 1.23 2 L 0.5 101.00"


def test_only_upright_boxes_without_edge_are_crisp():
    path = '<path d="M 1 2 L 3.5 2 L 3.5 4 L {} 4 z" style="fill: #ffffff{}"/>'.format
    assert files.crisp(path(1, "")) == path(1, "").replace("/>", ' shape-rendering="crispEdges"/>')
    assert files.crisp(path(2, "")) == path(2, "")
    assert files.crisp(path(1, "; stroke: #000000")) == path(1, "; stroke: #000000")


def test_parts_are_named_by_their_order():
    svg = '<clipPath id="p{0}"/><use id="DejaVuSans-41"/><pattern id="h{1}"/><path clip="url(#p{0})"/>'.format
    assert files.named(svg("0123456789", "abcdef0123")) == files.named(svg("9876543210", "abcdef9999"))
    assert '<use id="DejaVuSans-41"/><pattern id="n1"/><path clip="url(#n0)"/>' in files.named(
        svg("0" * 10, "f" * 10)
    )


@pytest.mark.parametrize(("side", "kind", "size"), [(200, "JPEG", 200), (7, "PNG", 126), (50, "PNG", 150)])
def test_embedded_photographs_are_jpegs_and_small_maps_are_enlarged(side, kind, size):
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).save(buffer, "png")
    result = files.smaller(base64.b64encode(buffer.getvalue()).decode())
    image = Image.open(io.BytesIO(base64.b64decode(result.partition(",")[2])))
    assert (image.format, image.size) == (kind, (size, size))


def test_the_same_figure_gives_the_same_four_files():
    first, second = (files.files_of(FIGURES["pairs"]) for _ in range(2))
    assert list(first) == ["pairs.png", "pairs.svg", "dark/pairs.png", "dark/pairs.svg"]
    assert first == second
