"""The drawings of the chapter on tasks draw the data that they are given."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex, to_rgb

from swin_edu.book import drawings
from swin_edu.book.drawings import tasks
from swin_edu.book.scenes import CLASSES, draw_scene
from swin_edu.tasks.annotated import UNKNOWN
from swin_edu.tasks.detection import Found, places_of, responsible

SCENE = draw_scene(4)
OBJECTS = Found(
    SCENE.boxes.float(),
    SCENE.labels,
    torch.linspace(0.9, 0.5, len(SCENE.labels)),
    torch.zeros(len(SCENE.labels)),
)
PIXELS = (SCENE.masks * (1 + SCENE.labels).view(-1, 1, 1)).sum(0).to(torch.uint8)


def bounds_of(axes):
    """The rectangles of an axes: x0, y0, x1, y1, and their colours."""
    return [
        (*(round(side, 3) for side in patch.get_bbox().extents.tolist()), to_hex(patch.get_edgecolor()))
        for patch in axes.patches
        if hasattr(patch, "get_bbox")
    ]


def test_answers_stand_in_columns():
    images = torch.stack([SCENE.image, SCENE.image.flip(-1)])
    drawn = drawings.answers(
        images, ["one", "two"], [OBJECTS, OBJECTS], torch.stack([PIXELS, PIXELS.T]), CLASSES
    )
    axes = drawn.axes
    assert [place.get_title() for place in axes[:2]] == ["one", "two"] and len(axes) == 6
    assert np.array_equal(axes[1].images[0].get_array(), images[1].permute(1, 2, 0).numpy())
    for boxed in axes[2:4]:
        expected = {
            (*box, tasks.KINDS[label]) for box, label in zip(SCENE.boxes.tolist(), SCENE.labels, strict=True)
        }
        assert expected <= set(bounds_of(boxed))
        names = [
            f"{CLASSES[label]} {100 * score:.0f}"
            for label, score in zip(SCENE.labels, OBJECTS.scores, strict=True)
        ]
        assert [text.get_text() for text in boxed.texts][-len(names) :] == names
    assert [place.texts[0].get_text() for place in axes[::2]] == ["scene", "boxes found", "pixels named"]
    for masked, named in zip(axes[4:], (PIXELS, PIXELS.T), strict=True):
        colours = np.array([to_rgb(color) for color in (tasks.GROUND, *tasks.KINDS)])
        assert np.allclose(masked.images[0].get_array(), colours[named.numpy()])
    [legend] = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == list(CLASSES)
    assert [to_hex(patch.get_facecolor()) for patch in legend.get_patches()] == list(tasks.KINDS)


def test_the_true_classes_stand_below_those_that_were_named():
    drawn = drawings.answers(SCENE.image[None], [""], [OBJECTS], PIXELS[None], CLASSES, PIXELS.T[None])
    named, meant = drawn.axes[2:4]
    colours = np.array([to_rgb(color) for color in (tasks.GROUND, *tasks.KINDS)])
    assert np.allclose(named.images[0].get_array(), colours[PIXELS.numpy()])
    assert np.allclose(meant.images[0].get_array(), colours[PIXELS.T.numpy()])
    assert meant.texts[0].get_text() == "pixels meant"


def test_names_of_boxes_leave_each_other_legible():
    around = torch.tensor(
        [[20.0, 20, 40, 40], [20, 20, 40, 40], [20, 20, 40, 40], [2, 20, 8, 40], [56, 2, 62, 8]]
    )
    objects = Found(around, torch.tensor([2, 2, 2, 2, 2]), torch.full((5,), 0.5), torch.zeros(5))
    drawn = drawings.objects_in_picture(SCENE.image, objects, CLASSES)
    [axes] = drawn.axes
    extents = [text.get_window_extent() for text in axes.texts]
    assert len(extents) == 5 and {text.get_text() for text in axes.texts} == {"triangle 50"}
    for number, extent in enumerate(extents):
        assert extent.count_overlaps(extents[:number]) == 0
        assert axes.bbox.x0 <= extent.x0 and extent.x1 <= axes.bbox.x1
    corners = {(x, y) for box in around.tolist() for x in box[::2] for y in box[1::2]}
    assert all(text.get_position() in corners for text in axes.texts)


def test_unknown_pixels_are_white_and_more_classes_begin_again():
    drawn = drawings.classes_in_picture(SCENE.image, torch.tensor([[0, UNKNOWN], [1, 7]]).byte(), CLASSES)
    shown = drawn.axes[1].images[0].get_array()
    assert shown[0, 1].tolist() == [1, 1, 1] and to_hex(shown[0, 0]) == tasks.GROUND
    assert to_hex(shown[1, 0]) == to_hex(shown[1, 1]) == tasks.KINDS[0]


def test_objects_in_a_picture():
    drawn = drawings.objects_in_picture(SCENE.image / 255, OBJECTS, CLASSES)
    boxes = [each[:4] for each in bounds_of(drawn.axes[0])]
    assert {tuple(box) for box in SCENE.boxes.float().tolist()} == set(boxes)


def test_answering_places_are_filled():
    places = places_of([(16, 16), (8, 8), (4, 4)], [4, 8, 16])
    which = responsible(places, SCENE.boxes[None].float(), SCENE.labels[None])[0]
    drawn = drawings.answering_places(SCENE.image, places, which, SCENE.boxes)
    shown = set()
    for level, axes in enumerate(drawn.axes):
        every, *mine = axes.collections
        assert torch.equal(torch.tensor(every.get_offsets()).float(), places.centres[places.levels == level])
        for number, dots in enumerate(mine):
            shown |= {(level, number, *place) for place in dots.get_offsets().tolist()}
    expected = {
        (int(places.levels[i]), int(which[i]), *places.centres[i].tolist())
        for i in (which >= 0).nonzero().flatten()
    }
    assert shown == expected and expected


def test_centreness_is_written_into_its_place():
    values = torch.tensor([[0.1, 0.9, 0.4], [0.55, 0.0, 1.0]])
    drawn = drawings.central_places(values, 4)
    texts = {(*text.get_position(),): text.get_text() for text in drawn.axes[0].texts}
    assert texts == {(x + 0.5, y + 0.5): f"{values[y, x]:.2f}" for y in range(2) for x in range(3)}
    assert "every 4 pixels" in drawn.axes[0].get_title()


def test_before_and_after_draws_every_box():
    few = Found(*(part[:1] for part in OBJECTS))
    drawn = drawings.before_and_after(SCENE.image, ["all", "few"], [OBJECTS, few])
    assert [len(axes.patches) for axes in drawn.axes] == [len(SCENE.labels), 1]
    assert [axes.get_title() for axes in drawn.axes] == ["all", "few"]


def test_precision_over_recall():
    curves = {"one": ([0, 0.5, 1], [1, 0.5, 0.25]), "two": ([0, 1], [1, 1])}
    drawn = drawings.precision_and_recall(curves)
    for axes, (title, (recalls, precisions)) in zip(drawn.axes, curves.items(), strict=True):
        assert axes.get_title() == title
        [line] = axes.lines
        assert line.get_xdata().tolist() == recalls and line.get_ydata().tolist() == precisions


def test_levels_before_and_after():
    before, after = [[torch.rand(2**n, 2**n) for n in (3, 2)] for _ in range(2)]
    drawn = drawings.pyramid_levels(SCENE.image, before, after)
    shown = [axes.images[0].get_array() for axes in drawn.axes if axes.images]
    assert len(shown) == 5
    for array, values in zip(shown[1:], [*before, *after], strict=True):
        assert np.array_equal(array, values.numpy())


@pytest.mark.parametrize("empty", [Found(*(part[:0] for part in OBJECTS))])
def test_nothing_found_is_drawn_too(empty):
    assert not drawings.objects_in_picture(SCENE.image, empty, CLASSES).axes[0].patches
