"""The pictures of assignments show what their items ask, and the items agree with the package."""

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from swin_edu.attention import attend
from swin_edu.block import shifted_window_attention
from swin_edu.book import drawings
from swin_edu.book.classroom.items import a1, a2, a3
from swin_edu.book.images import sample_image
from swin_edu.position import log_spaced_offsets, relative_position_index
from swin_edu.shift import cyclic_shift, shift_mask
from swin_edu.windows import pad_to_window, window_partition

IMAGE = sample_image("temple", 112)


def texts(axes):
    """Return the texts of a picture with the places where they stand."""
    return {text.get_text(): text.get_position() for text in axes.texts if text.get_text()}


def bright(axes, image, patch):
    """Tell which tokens of an image are drawn as they are, not darkened."""
    drawn = torch.from_numpy(axes.images[0].get_array().data).permute(2, 0, 1)
    same = (drawn.float() - image).abs().amax(0) < 1e-6
    return same.unfold(0, patch, patch).unfold(1, patch, patch).all(-1).all(-1)


def test_patch_in_planes_counts_as_the_item_does():
    image = torch.rand(3, 12, 12)
    drawn = drawings.patch_in_planes(image, patch=4, place=(1, 2))
    patches = a1.patches_channels_first(image[None], 4)[0, 1, 2]
    for axes in drawn.axes[1:]:
        for place, (x, y) in texts(axes).items():
            assert axes.images[0].get_array()[int(y), int(x)] == patches[int(place)]
    assert sum(len(texts(axes)) for axes in drawn.axes) == 48


def test_numbered_windows_are_those_of_the_item():
    whole, single = drawings.numbered_windows(IMAGE[:, :84], 14, 2, 4, chosen=2).axes[:2]
    numbers = torch.arange(48.0).reshape(1, 6, 8, 1)
    windows = a1.rectangular_windows(numbers, 2, 4)[..., 0]
    for number, (x, y) in texts(whole).items():
        assert int(y // 14) * 8 + int(x // 14) in windows[int(number)]
    row, column = divmod(int(windows[2, 0]), 8)
    for place, (x, y) in texts(single).items():
        assert windows[2, int(place)] == (row + int(y // 14)) * 8 + column + int(x // 14)


@pytest.mark.parametrize("first", [(1, 1), (0, 1), (1, 0)])
def test_spread_group_is_that_of_the_item(first):
    axes = drawings.spread_group(IMAGE, 14, 4, first).axes[1]
    groups = a1.dilated_windows(torch.arange(64).reshape(1, 8, 8, 1), 4)[..., 0]
    group = groups[2 * first[0] + first[1]]
    for place, (x, y) in texts(axes).items():
        assert group[int(place)] == int(y // 14) * 8 + int(x // 14)
    assert torch.equal(bright(axes, IMAGE, 14).flatten().nonzero()[:, 0], group.sort().values)


def test_pad_roll_cut_moves_its_marks():
    panels = drawings.pad_roll_cut(IMAGE[:, :98], 14, 3, 1, 2).axes
    places = [{name: (int(y // 14), int(x // 14)) for name, (x, y) in texts(axes).items()} for axes in panels]
    assert places[0] == {"a": (0, 0), "b": (1, 2)}
    assert places[1] == {"a": (8, 7), "b": (0, 0)}
    windows = a2.window_partition(torch.arange(81).reshape(1, 9, 9, 1), 3)[..., 0]
    for number in range(9):
        row, column = places[2][str(number)]
        assert row * 9 + column in windows[number]


def test_moved_windows_are_numbered_as_in_the_item():
    shifts = [(1, 2), (0, 2), (2, 0)]
    for axes, shift in zip(
        drawings.moved_on_photograph(IMAGE[:, :84], 14, 3, shifts).axes, shifts, strict=True
    ):
        numbers = a2.moved_windows(6, 8, 3, *shift)
        found = {int(number): numbers[int(y // 14), int(x // 14)] for number, (x, y) in texts(axes).items()}
        assert found == {number: number for number in range(int(numbers.max()) + 1)}


@pytest.mark.parametrize("sizes", [(8, 8, 4, 1, 2), (5, 7, 3, 2, 0)])
def test_added_masks_are_those_of_the_item(sizes):
    masks = [axes.images[0].get_array() for axes in drawings.added_masks(*sizes).axes]
    np.testing.assert_array_equal(masks, a2.additive_mask(*sizes))


def test_heard_and_hearers_are_rows_and_columns_of_the_item():
    by_item = a2.heard(8, 8, 4, 1, 2).reshape(8, 8, 8, 8)
    heard, hearers = drawings.heard_and_hearers(IMAGE, 14, 4, 1, (5, 3)).axes
    assert torch.equal(bright(heard, IMAGE, 14), by_item[5, 3])
    assert torch.equal(bright(hearers, IMAGE, 14), by_item[:, :, 5, 3])


@pytest.mark.parametrize("query", [(0, 1), (1, 2)])
def test_table_leaves_the_rows_of_the_query_free(query):
    window, table = drawings.offsets_and_table(2, 3, query).axes
    assert {text.split("\n")[0] for text in texts(window)} == set("012345")
    hatched = {int(box.get_y()) * 5 + int(box.get_x()) for box in table.patches if box.get_hatch()}
    used = a3.rectangular_index(2, 3)[query[0] * 3 + query[1]].tolist()
    assert hatched == set(range(15)) - set(used)


def test_means_are_those_of_the_item():
    logits, table, looked_up = (
        torch.from_numpy(axes.images[0].get_array().data)
        for axes in drawings.means_on_photograph(IMAGE, 7).axes[:3]
    )
    means = a3.mean_by_offset(logits[None], 7, 7)
    torch.testing.assert_close(table.flatten().float(), means[:, 0].float())
    torch.testing.assert_close(looked_up, table.flatten()[relative_position_index(7)])


def test_log_ruler_has_the_values_of_the_package():
    axes = drawings.log_ruler(16, 8).axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2]
    spaced = log_spaced_offsets(16, pretrained_window=8)[-16:, 1]
    np.testing.assert_allclose([line.get_xdata()[1] for line in lines], spaced, rtol=1e-6)


def test_mask_on_photograph_keeps_the_region_of_the_token():
    axes = drawings.mask_on_photograph(IMAGE, 4, 2, (3, 0)).axes[2]
    hatched = {(int(box.get_y()) // 14, int(box.get_x()) // 14) for box in axes.patches if box.get_hatch()}
    allowed = shift_mask(8, 8, 4, 2)[-1, 12].reshape(4, 4)
    assert hatched == {place for place in product(range(4), repeat=2) if not allowed[place]}


def test_arrows_say_products_and_cosines():
    table = drawings.arrows((2, 2), {"A": (6, 1), "B": (-2, 1)}).axes[1]
    assert [text.get_text() for text in table.texts[3:]] == ["A", "14.0", "0.81", "B", "−2.0", "−0.32"]


@pytest.mark.parametrize(("height", "width"), [(8, 8), (6, 9), (7, 5)])
def test_windows_and_masks_are_those_of_the_package(height, width):
    x = torch.randn(2, height, width, 3)
    padded = pad_to_window(x, 4)
    windows = a2.shifted_windows(x, 4, 2, 1)
    assert torch.equal(windows, window_partition(cyclic_shift(padded, (2, 1)), 4))
    assert torch.equal(a2.unshifted(windows, 4, height, width, 2, 1), x)
    allowed = shift_mask(*padded.shape[1:3], 4, (2, 1))
    assert torch.equal(a2.additive_mask(height, width, 4, 2, 1) == 0, allowed)


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_heard_is_what_moves_in_the_network(blocks):
    height, width, window, shift = 5, 7, 3, 1
    torch.manual_seed(0)
    weights = nn.Linear(4, 12).requires_grad_(False)

    def attention(windows, mask):
        q, k, v = weights(windows)[:, None].chunk(3, -1)
        masks = None if mask is None else mask.repeat(len(windows) // len(mask), 1, 1)[:, None]
        return attend(q, k, v, mask=masks)[:, 0]

    def network(x):
        for block in range(blocks):
            x = x + shifted_window_attention(x, attention, window, shift * (block % 2))
        return x

    x = torch.randn(height * width, 4).double()
    weights.double()
    changed = x.repeat(len(x), 1, 1)
    changed[range(len(x)), range(len(x))] += 1  # image j: token j is another one
    before = network(x.reshape(1, height, width, 4))
    after = network(changed.reshape(-1, height, width, 4))
    moves = ((after - before).abs().amax(-1) > 1e-9).flatten(1).T
    assert torch.equal(moves, a2.heard(height, width, window, shift, blocks))


@pytest.mark.parametrize("sizes", [(5, 7, 3), (2, 9, 4), (3, 2, 4)])
def test_padding_changes_nothing_for_who_is_heard(sizes):
    height, width, window = sizes
    padded = [size + -size % window for size in (height, width)]
    for shift, blocks in product(range(window), range(1, 5)):
        with_padding = a2.heard(*padded, window, shift, blocks).reshape(*padded, *padded)
        ours = with_padding[:height, :width, :height, :width].flatten(2).flatten(0, 1)
        assert torch.equal(ours, a2.heard(height, width, window, shift, blocks))


def test_index_and_offsets_of_squares_are_those_of_the_package():
    assert torch.equal(a3.rectangular_index(5, 5), relative_position_index(5))
    ours = a3.log_offsets(6, 6, 4).flatten(0, 1)
    torch.testing.assert_close(ours, log_spaced_offsets(6, pretrained_window=4))
