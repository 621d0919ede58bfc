"""The figures draw the data that they were given."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from swin_edu.book import contents, drawings, style
from swin_edu.book.images import sample_image

IMAGE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def drawn_array(axes, index=0):
    return np.asarray(axes.images[index].get_array())


def test_zoom_draws_the_patch_and_its_numbers():
    whole, apart, one = drawings.zoom(IMAGE, patch=4, row=4, column=5, around=4).axes
    square = IMAGE[:, 16:20, 20:24]
    assert np.array_equal(drawn_array(whole), IMAGE.permute(1, 2, 0).numpy())
    assert np.array_equal(drawn_array(one), square.permute(1, 2, 0).numpy())
    assert len(apart.images) == 16
    assert texts(one)[1] == "\n".join(f"{100 * v:.0f}" for v in square[:, 0, 1].tolist())


def test_toy_partition_writes_both_orders():
    image, patches = torch.arange(16).reshape(4, 4), torch.arange(16).flip(0).reshape(4, 4)
    left, right = drawings.toy_partition(image, patches).axes
    assert texts(left)[:16] == [str(i) for i in range(16)]
    assert texts(right)[:16] == [str(15 - i) for i in range(16)]
    colours = lambda axes: [patch.get_facecolor() for patch in axes.patches]  # noqa: E731
    assert colours(left)[2] == colours(right)[4]  # pixel 2 belongs to the second patch


def test_kernel_and_row_show_the_same_weights_under_the_same_number():
    kernel = torch.randn(3, 4, 4)
    row = kernel.permute(1, 2, 0).flatten()
    axes = {axis.get_title(): axis for axis in drawings.kernel_as_row(kernel, row).axes}
    in_row = drawn_array(
        axes["the same 48 weights as one row of the linear layer, pixel by pixel: red, green, blue"]
    )
    for index, name in enumerate(("red", "green", "blue")):
        axis = axes[f"kernel, {name}"]
        assert np.array_equal(drawn_array(axis), kernel[index].numpy())
        for text in axis.texts:
            x, y = (int(value) for value in text.get_position())
            assert in_row[0, int(text.get_text())] == kernel[index, y, x]


def test_padded_hatches_what_was_added():
    [axes] = drawings.padded(
        IMAGE[:, :30, :29], torch.nn.functional.pad(IMAGE[:, :30, :29], (0, 3, 0, 2)), patch=4
    ).axes
    hatched = [patch.get_bbox().bounds for patch in axes.patches if patch.get_hatch()]
    assert sorted(hatched) == [(0, 30, 29, 2), (29, 0, 3, 32)]
    assert axes.get_title() == "30 × 29 pixels and hatched zeros: 32 × 32, 8 × 8 patches"


def test_number_maps_share_a_scale():
    tokens = torch.randn(5, 6, 9)
    *axes, _ = drawings.number_maps(tokens, ["first", "second", "third"]).axes
    assert all(np.array_equal(drawn_array(axis), tokens[..., i].numpy()) for i, axis in enumerate(axes))
    assert [axis.get_title() for axis in axes] == ["first", "second", "third"]
    shown = tokens[..., :3]
    assert {axis.images[0].get_clim() for axis in axes} == {(shown.min().item(), shown.max().item())}


def test_mosaics_are_means():
    coarse, fine = drawings.mosaics(IMAGE, patches=(16, 8)).axes
    assert np.allclose(drawn_array(coarse)[1, 0], IMAGE[:, 16:, :16].mean((1, 2)).numpy())
    assert drawn_array(fine).shape == (4, 4, 3)


def test_cost_of_patches():
    [axes] = drawings.cost_of_patches([2, 4], {"all": [1600, 100], "some": [40, 10]}).axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[2, 1600], [4, 100]], [[2, 40], [4, 10]]]
    assert [text.strip() for text in texts(axes)] == ["all", "100", "some", "10"]


def test_line_responses():
    _, response = drawings.line_responses([8, 9, 10], [0, 2, 0], [2, 2, 2]).axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in response.lines}
    assert drawn == {"plain": [0, 2, 0], "overlapping": [2, 2, 2]}


def test_equal_tokens_counts_and_marks_them():
    tokens = torch.zeros(4, 4, 3)
    tokens[1:, :, 0] = torch.arange(12.0).reshape(3, 4) + 1
    _, axes, *_ = drawings.equal_tokens(IMAGE, {"without": tokens}, place=(0, 1)).axes
    assert axes.get_title() == "without position: 4 equal tokens"
    assert {patch.get_xy() for patch in axes.patches} == {(x, 0) for x in range(4)}
    assert drawn_array(axes)[3, 3] == 12


def test_walk_is_to_scale():
    walk = {"a": torch.rand(1, 8, 8, 3), "b": torch.rand(1, 4, 4, 12)}
    [axes] = drawings.walk_to_scale(walk).axes
    widths = [image.get_extent()[1] - image.get_extent()[0] for image in axes.images]
    lengths = [np.ptp(side.get_path().vertices[:, 0]) for side in axes.patches[::2]]
    assert widths == [8, 4]
    assert lengths == [3, 12]
    assert texts(axes) == ["a: 8 × 8 × 3 = 192 numbers", "b: 4 × 4 × 12 = 192 numbers"]


def test_window_reach_darkens_all_but_the_window():
    panels = {
        "all": (8, 0, (5, 2)),
        "window": (4, 0, (5, 2)),
        "masked": (4, 1, (5, 0)),
        "shifted": (4, 1, (5, 4)),
    }
    everywhere, inside, masked, _ = drawings.window_reach(IMAGE, 4, panels).axes
    whole, dark = drawn_array(everywhere), drawn_array(inside)
    assert np.array_equal(whole[16:, :16], dark[16:, :16])
    assert np.allclose(dark[:16], 0.4 * whole[:16])
    assert np.allclose(dark[:, 16:], 0.4 * whole[:, 16:])
    assert [axis.get_title() for axis in (everywhere, inside, masked)] == [
        "all: 64 tokens",
        "window: 16 tokens",
        "masked: 3 tokens",
    ]
    hatched = {patch.get_xy() for patch in masked.patches if patch.get_hatch()}
    both = [(x, y) for x in (0, 5, 6, 7) for y in (0, 5, 6, 7)]
    assert hatched == {(4 * x, 4 * y) for x, y in both if x != 0 or y == 0}


@pytest.mark.parametrize(("window", "shift"), [(7, 3), (4, 2), (7, 0), (14, 5)])
def test_reach_is_what_the_ragged_windows_hold(window, shift):
    """Without roll and mask: cut the picture at the shifted edges, ragged at the border."""
    tokens = 28
    piece = [(row + window - shift) // window for row in range(tokens)]
    for place in [(0, 0), (27, 27), (13, 2), (3, 26)]:
        in_window, seen = drawings.reach(tokens, window, shift, place)
        expected = [
            [(piece[y], piece[x]) == tuple(piece[p] for p in place) for x in range(tokens)]
            for y in range(tokens)
        ]
        assert seen.tolist() == expected
        assert in_window.sum() == window**2


def test_pyramid_and_its_windows():
    axes = drawings.pyramid(sample_image(), window=7).axes
    assert [drawn_array(axis).shape[0] for axis in axes] == [56, 28, 14, 7]
    assert [axis.get_title().split()[-2] for axis in axes] == ["28", "56", "112", "224"]


def test_chapter_map_names_every_chapter_and_its_files():
    [axes] = drawings.chapter_map(contents.CHAPTERS).axes
    assert len(axes.patches) == len(contents.CHAPTERS)
    named = [(f"{chapter.number:02d}", chapter.title, chapter.modules) for chapter in contents.CHAPTERS]
    assert texts(axes) == [text for row in named for text in row]


def test_a_figure_without_words_is_refused():
    with pytest.raises(ValueError, match="alt is empty; say in one or two sentences what the figure shows"):
        style.show(drawings.mosaics(IMAGE, patches=(8,)), alt=" ")


def test_the_same_figure_gives_the_same_bytes():
    first, second = (style.png(drawings.mosaics(IMAGE, patches=(8, 4))) for _ in range(2))
    assert first == second
    assert Image.open(io.BytesIO(first)).mode == "P"


def test_a_thin_mark_keeps_its_colour_and_the_paper_stays_white():
    axes = drawings.side_by_side({"noise": torch.rand(3, 64, 64)}).axes[0]
    style.mark(axes, 30, 30, 2, 2)
    drawn = np.asarray(Image.open(io.BytesIO(style.png(axes.figure))).convert("RGB"))
    assert (drawn == tuple(bytes.fromhex(style.BLUE[1:]))).all(-1).sum() > 20
    assert (drawn[0] == 255).all()
