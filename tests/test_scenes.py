"""Boxes, masks and classes of a scene belong to what is painted, and a seed always gives the same scene."""

import colorsys
import hashlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.path import Path

from swin_edu.book import drawings, scenes
from swin_edu.book.drawings.training import COLOURS
from swin_edu.book.scenes import CLASSES, TEXTURES, Scene, draw_scene, main_object

SIZES = (16, 33, 64, 96)
SCENES = [draw_scene(seed) for seed in range(400)]
EXAMPLES = SCENES[:100] + [draw_scene(seed, size) for size in SIZES for seed in range(40)]


class Chooses:
    """A generator that always draws the same number."""

    def __init__(self, number):
        self.number = number

    def integers(self, *_):
        return self.number


def brightness(image):
    """Return `(…, H, W)` from the red, green and blue of `(…, 3, H, W)`."""
    red, green, blue = np.moveaxis(np.asarray(image, dtype=np.float64), -3, 0)
    return (2 * red + 5 * green + blue) / 8


def points(side):
    """Return x and y of each pixel of a stamp, seen from its centre."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    return x, y


def turn(x, y, degrees):
    """Return the coordinates of points in a frame turned by an angle."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return cos * x + sin * y, cos * y - sin * x


def star(radius):
    """Return the corners of a five-pointed star with the area of a disc."""
    tips = np.radians(72 * np.arange(5))
    outer, inner = 1.6730, 1.6730 * np.cos(np.radians(72)) / np.cos(np.radians(36))
    circles = [(outer, tips), (inner, tips + np.radians(36))]
    corners = [np.stack([np.cos(at), np.sin(at)], 1) * reach for reach, at in circles]
    return radius * np.stack(corners, 1).reshape(10, 2)


def polygon(sides, radius):
    at = np.radians(360 / sides * (np.arange(sides) + 0.5))
    reach = np.sqrt(2 * np.pi / sides / np.sin(2 * np.pi / sides))
    return radius * reach * np.stack([np.cos(at), np.sin(at)], 1)


def inside(name, radius, angle, side):
    """Return which pixels of a stamp lie in a shape, from its corners or its definition."""
    x, y = turn(*points(side), angle)
    if name in ("square", "triangle", "star"):
        corners = star(radius) if name == "star" else polygon({"square": 4, "triangle": 3}[name], radius)
        return Path(corners).contains_points(np.stack([x.ravel(), y.ravel()], 1)).reshape(side, side)
    if name == "cross":
        long = radius * np.sqrt(np.pi * 9 / 20)
        bars = [(abs(a) < long) & (abs(b) < long / 3) for a, b in ((x, y), (y, x))]
        return bars[0] | bars[1]
    distance = np.hypot(x, y)
    return distance < radius if name == "disc" else abs(distance - radius) < radius / 4


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize(("radius", "angle"), [(4, 0), (9.5, 33), (14, 359), (40, 100)])
def test_a_shape_is_the_one_it_is_called(name, radius, angle):
    side = int(3.5 * radius) + 3
    depth = scenes._depth(name, radius, angle, side)
    clear = abs(depth) > 0.05  # the constants and the directions are rounded
    assert clear.mean() > 0.9
    assert np.array_equal((depth > 0)[clear], inside(name, radius, angle, side)[clear])


@pytest.mark.parametrize("name", CLASSES)
def test_shapes_of_one_radius_have_one_area_and_one_reach(name):
    depth = scenes._depth(name, 50, 17, 201)
    assert (depth > 0).sum() == pytest.approx(np.pi * 50**2, rel=0.01)
    assert np.hypot(*points(201))[depth > 0].max() == pytest.approx(50 * scenes.REACH[name], abs=1.5)


@pytest.mark.parametrize("name", CLASSES)
def test_depth_counts_pixels_from_the_edge(name):
    depth = scenes._depth(name, 30, 0, 121)
    steps = np.hypot(*np.gradient(depth))
    assert np.median(steps) == pytest.approx(1, abs=0.05)  # 1 pixel deeper for each pixel inwards


@settings(max_examples=200)
@given(seed=st.integers(0, 10**6), size=st.integers(16, 512), radius=st.integers(32, 112))
def test_a_stamp_holds_its_whole_shape_and_lies_in_the_picture(seed, size, radius):
    shape = scenes._shape(np.random.default_rng(seed), size, radius * size / 512)
    assert all(place.start >= 0 and place.stop <= size for place in shape.place)
    assert shape.depth.shape == tuple(place.stop - place.start for place in shape.place)
    border = np.concatenate([shape.depth[0], shape.depth[-1], shape.depth[:, 0], shape.depth[:, -1]])
    assert (border < 0).all() and (size < 32 or (shape.depth > 0).any())
    name = CLASSES[shape.label]
    assert np.array_equal(shape.depth, scenes._depth(name, shape.radius, shape.angle, len(shape.depth)))


def test_shapes_come_everywhere_at_every_angle_and_in_every_class():
    rng = np.random.default_rng(0)
    shapes = [scenes._shape(rng, 64, 4) for _ in range(3000)]
    assert {shape.label for shape in shapes} == set(range(6))
    assert {shape.angle // 10 for shape in shapes} == set(range(36))
    assert {shape.place[0].start for shape in shapes} >= set(range(50))
    assert {shape.place[1].stop for shape in shapes} >= set(range(14, 65))


@pytest.mark.parametrize("count", range(5))
def test_radii_run_from_small_to_large_with_one_clearly_the_largest(count):
    rng = np.random.default_rng(0)
    many = [scenes._radii(rng, 64, count) for _ in range(2000)]
    assert all(len(radii) == count for radii in many)
    if count:
        largest = [max(radii) for radii in many]
        assert max(largest) == 16 and min(largest) == 8
        assert min(map(min, many)) == (8 if count == 1 else 4)
    if count > 1:
        assert all(sorted(radii)[-1] >= 1.25 * sorted(radii)[-2] for radii in many)
        assert len({radii.index(max(radii)) for radii in many}) == count  # at the back, in front, between


def test_a_scene_has_the_shapes_and_kinds_it_promises():
    for scene, size in [
        *zip(SCENES, [64] * 400, strict=True),
        *((draw_scene(3, size), size) for size in SIZES),
    ]:
        count = len(scene.labels)
        assert scene.image.shape == (3, size, size) and scene.image.dtype == torch.uint8
        assert scene.labels.shape == (count,) and scene.labels.dtype == torch.int64
        assert scene.boxes.shape == (count, 4) and scene.boxes.dtype == torch.int64
        assert scene.masks.shape == (count, size, size) and scene.masks.dtype == torch.bool


def test_boxes_are_the_tightest_around_the_masks():
    for scene in EXAMPLES:
        for (x0, y0, x1, y1), mask in zip(scene.boxes.tolist(), scene.masks, strict=True):
            rows, columns = mask.nonzero().T
            assert [x0, y0] == [columns.min(), rows.min()]
            assert [x1, y1] == [columns.max() + 1, rows.max() + 1]


def test_masks_are_disjoint_and_one_is_clearly_the_largest():
    for scene in EXAMPLES:
        assert scene.masks.sum(0).max() <= 1
        seen = scene.masks.sum((1, 2))
        main = main_object(scene)
        others = torch.cat([seen[:main], seen[main + 1 :]])
        assert (seen[main] >= 1.5 * others).all()


@pytest.mark.parametrize("size", SIZES)
def test_what_lies_in_front_hides_what_lies_behind_but_never_half_of_it(size):
    hidden = 0
    for seed in range(60):
        shapes, masks = scenes._arrange(np.random.default_rng(seed), size, 4)
        free = np.ones((size, size), dtype=bool)
        for shape, mask in zip(shapes[::-1], masks[::-1], strict=True):
            alone = np.zeros((size, size), dtype=bool)
            alone[shape.place] = shape.depth > 0
            assert np.array_equal(mask, alone & free)
            assert mask.sum() >= 0.5 * alone.sum() > 0
            hidden += mask.sum() < alone.sum()
            free &= ~alone
    assert 20 < hidden < 180  # scenes with and without occlusion


def test_labels_and_masks_of_a_scene_are_those_of_its_shapes():
    for seed in range(50):
        rng = np.random.default_rng(seed)
        shapes, masks = scenes._arrange(rng, 64, int(rng.integers(1, 5)))
        assert draw_scene(seed).labels.tolist() == [shape.label for shape in shapes]
        assert np.array_equal(draw_scene(seed).masks.numpy(), masks)


def test_every_number_of_objects_and_every_class_is_as_likely():
    counts = torch.bincount(torch.tensor([len(scene.labels) for scene in SCENES]), minlength=5)
    assert counts[0] == 0 and counts[1:].min() > 75 and len(counts) == 5
    main = torch.bincount(torch.tensor([int(scene.labels[main_object(scene)]) for scene in SCENES]))
    assert len(main) == 6 and main.min() > 45
    labels = torch.bincount(torch.cat([scene.labels for scene in SCENES]))
    assert labels.min() > 130


def test_small_and_large_objects_can_be_recognised():
    sides = torch.cat([scene.boxes[:, 2:] - scene.boxes[:, :2] for scene in SCENES]).amax(1)
    assert sides.min() >= 7 and 7 <= sides.float().quantile(0.1) <= 12
    assert sides.max() >= 32


@pytest.mark.parametrize("objects", range(5))
def test_as_many_objects_as_asked_for(objects):
    for size in SIZES:
        assert len(draw_scene(5, size, objects).labels) == objects


def far_inside(mask, pixels):
    """Return where all pixels of a mask lie that have nothing else so many pixels around them."""
    others = (~mask)[None].float()
    return ~torch.nn.functional.max_pool2d(others, 2 * pixels + 1, 1, padding=pixels)[0].bool()


def test_objects_stand_out_from_the_background_also_without_colour():
    for scene in SCENES:
        grey = brightness(scene.image)
        objects = scene.masks.any(0)
        ground = grey[far_inside(~objects, 4)]  # the points of a star fade out slowly
        drawn = np.concatenate([grey[far_inside(mask, 1)] for mask in scene.masks])
        assert np.ptp(ground) <= 22  # its texture is no rival to the shapes,
        colours = scene.image[:, far_inside(~objects, 4)].int()
        assert (colours.amax(0) - colours.amin(0)).max() <= 128  # nor are its colours
        if drawn.size:
            assert drawn.min() - ground.max() > 38


@pytest.mark.parametrize("seed", range(6))
def test_plain_objects_have_hues_far_apart(seed, monkeypatch):
    monkeypatch.setattr(scenes, "TEXTURES", ("plain",))
    scene = draw_scene(seed, 512, objects=4)
    places = [far_inside(~scene.masks.any(0), 4), *(far_inside(mask, 4) for mask in scene.masks)]
    found = [scene.image[:, place].unique(dim=1) for place in places]
    assert all(colours.shape == (3, 1) for colours in found)
    hues = [360 * colorsys.rgb_to_hsv(*(colour[:, 0] / 255).tolist())[0] for colour in found]
    gaps = [abs((a - b + 180) % 360 - 180) for i, a in enumerate(hues) for b in hues[:i]]
    assert min(gaps) > 45  # a dark background's few bytes round its hue by several degrees


def test_edges_are_blended(monkeypatch):
    monkeypatch.setattr(scenes, "TEXTURES", ("plain",))
    side = 33
    for name in CLASSES:
        depth = scenes._depth(name, 8.25, 20, side)
        place = slice(4, 4 + side), slice(9, 9 + side)
        shape = scenes.Shape(CLASSES.index(name), 8.25, 20, place, depth)
        image = brightness(scenes._paint(np.random.default_rng(1), 64, [shape]))
        ground = image[0, 0]
        share = (image - ground) / (image[place][depth.argmax() // side, depth.argmax() % side] - ground)
        assert share.sum() == pytest.approx(np.pi * 8.25**2, rel=0.02)
        assert ((share > 0.1) & (share < 0.9)).sum() > 20
        assert np.array_equal(share[place] > 0.5, depth > 0) or abs(share[place] - 0.5).min() < 0.02
        outside = np.ones((64, 64), dtype=bool)
        outside[place] = False
        assert not share[outside].any()


def test_a_texture_keeps_to_its_two_colours_and_its_period():
    ground, pattern = scenes._colour(200, 100), scenes._colour(200, 160)
    along, across = turn(*points(96), 30)
    for number, name in enumerate(TEXTURES):
        drawn = scenes._textured(Chooses(number), 96, 12, 30, ground, pattern)
        share = ((drawn - ground) / (pattern - ground)).mean(0)
        assert np.allclose(drawn, ground + share * (pattern - ground), atol=1e-3)
        x, y = along % 12, across % 12
        stripe, other = abs(x - 6) > 3, abs(y - 6) > 3
        expected = {
            "plain": np.zeros_like(stripe),
            "stripes": stripe,
            "checks": stripe == other,
            "dots": np.hypot(x - 6, y - 6) < 0.3 * 12,
        }[name]
        clear = (share < 0.01) | (share > 0.99)
        assert clear.mean() > 0.6
        assert np.array_equal(share[clear] > 0.5, expected[clear])
        assert share.mean() == pytest.approx(expected.mean(), abs=0.02)


@pytest.mark.parametrize("size", SIZES)
def test_textures_grow_with_the_picture_and_turn_with_the_object(size, monkeypatch):
    calls, textured = [], scenes._textured
    monkeypatch.setattr(
        scenes, "_textured", lambda rng, *known: calls.append(known[:3]) or textured(rng, *known)
    )
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shapes, _ = scenes._arrange(rng, size, 2)
        scenes._paint(rng, size, shapes)
        (side, period, _), *objects = calls[-3:]
        assert side == size and 4 <= 64 * period / size <= 7
        for shape, (side, period, angle) in zip(shapes, objects, strict=True):
            assert side == len(shape.depth) and angle == shape.angle
            assert size / 16 <= period <= max(shape.radius, size / 16)
    periods = [period / size for _, period, _ in calls]
    assert max(periods) > 0.15  # 10 pixels of 64


@pytest.mark.parametrize("pure", [1, 0.5])
@settings(max_examples=60)
@given(hue=st.integers(0, 720), bright=st.integers(15, 240))
def test_a_colour_has_its_hue_and_brightness(pure, hue, bright):
    colour = scenes._colour(hue, bright, pure)
    assert colour.shape == (3, 1, 1) and colour.dtype == np.float32
    assert colour.min() >= 0 and colour.max() <= 255
    assert brightness(colour).item() == pytest.approx(bright, abs=0.01)
    found, saturation, _ = colorsys.rgb_to_hsv(*(colour.ravel() / 255).tolist())
    assert abs((360 * found - hue + 180) % 360 - 180) < 1
    assert saturation > 0.02


def test_half_pure_colours_are_greyer():
    for hue in range(0, 360, 30):
        assert np.ptp(scenes._colour(hue, 120, pure=0.5)) < 0.8 * np.ptp(scenes._colour(hue, 120))


def same(a: Scene, b: Scene) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_seed_gives_one_scene_and_another_seed_another():
    assert all(same(draw_scene(seed), SCENES[seed]) for seed in range(20))
    assert len({scene.image.numpy().tobytes() for scene in SCENES}) == len(SCENES)


def test_a_seed_gives_the_same_bytes_on_every_machine():
    digest = hashlib.sha256()
    for size in SIZES:
        for seed in range(25):
            for part in draw_scene(seed, size):
                digest.update(part.numpy().astype(part.numpy().dtype.newbyteorder("<")).tobytes())
    assert digest.hexdigest()[:16] == "b8468a3d823c88cd"


def test_no_direction_lies_between_two_steps_of_rounding():
    exact = 1024 * np.stack([np.cos(scenes.ANGLES), np.sin(scenes.ANGLES)], 1)
    assert abs(exact % 1 - 0.5).min() > 1e-6  # so that the last bits of a cosine decide nothing
    assert np.array_equal(scenes.NORMALS * 1024, np.rint(exact))


def test_distances_across_a_stamp_are_exact():
    for side in (511, 512):  # the largest pictures have the largest numbers
        x, y = points(side)
        across = scenes._across(side, (1, 200))
        for index, angle in enumerate((1, 200)):
            cos, sin = scenes.NORMALS[angle].astype(np.float64)
            assert np.array_equal(across[index], cos * x + sin * y)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"seed": -1}, "seed is -1; give a whole number from 0 to 9223372036854775807"),
        ({"seed": 0, "size": 15}, "size is 15; give a whole number from 16 to 512"),
        ({"seed": 0, "size": 513}, "size is 513; give a whole number from 16 to 512"),
        ({"seed": 0, "objects": 5}, "objects is 5; give a whole number from 0 to 4"),
        ({"seed": 0, "objects": -1}, "objects is -1; give a whole number from 0 to 4"),
        ({"seed": 0.5}, "seed is 0.5; give a whole number from 0 to 9223372036854775807"),
        ({"seed": None}, "seed is None; give a whole number from 0 to 9223372036854775807"),
        ({"seed": 0, "size": "64"}, "size is '64'; give a whole number from 16 to 512"),
        ({"seed": 0, "objects": True}, "objects is True; give a whole number from 0 to 4"),
    ],
)
def test_wrong_arguments_are_refused_in_one_sentence(arguments, sentence):
    kind = ValueError if all(type(value) is int for value in arguments.values()) else TypeError
    with pytest.raises(kind) as caught:
        draw_scene(**arguments)
    assert str(caught.value) == sentence


def test_the_ends_of_each_range_are_allowed():
    assert draw_scene(2**63 - 1, 16).image.shape == (3, 16, 16)
    assert draw_scene(0, 512, 4).image.shape == (3, 512, 512)


def test_an_empty_scene_has_no_main_object():
    empty = draw_scene(0, objects=0)
    assert empty.image.float().std() > 0
    with pytest.raises(ValueError, match="scene has no objects, so none is the main one"):
        main_object(empty)


def test_layers_draw_the_picture_the_boxes_and_the_masks():
    shown = [draw_scene(0, objects=4), draw_scene(1, objects=2), draw_scene(2, objects=0)]
    axes = drawings.scene_layers(shown).axes
    assert len(axes) == 9 and all(place.get_title() for place in axes[:3])
    for scene, plain, boxed, masked in zip(shown, axes[::3], axes[1::3], axes[2::3], strict=True):
        image = scene.image.permute(1, 2, 0).numpy()
        for place in (plain, boxed):
            assert np.array_equal(place.images[0].get_array(), image)
        outlines = boxed.patches[1::2]  # over the white ones
        corners = [[*outline.get_xy(), *outline.get_bbox().max] for outline in outlines]
        assert corners == scene.boxes.tolist()
        edges = [outline.get_edgecolor()[:3] for outline in outlines]
        assert edges == [to_rgb(color) for color in COLOURS[: len(corners)]]
        names = [f"{i + 1} {CLASSES[label]}" for i, label in enumerate(scene.labels)]
        assert [text.get_text() for text in boxed.texts] == names
        for (x0, y0, x1, y1), text in zip(scene.boxes.tolist(), boxed.texts, strict=True):
            x, y = text.get_position()
            assert x in (x0, x1) and y in (y0, y1)
        areas = np.asarray(masked.images[0].get_array())
        for i, mask in enumerate(scene.masks.numpy()):
            assert np.array_equal(
                (areas == np.multiply(255, to_rgb(COLOURS[i])).astype(np.uint8)).all(-1), mask
            )
            x, y = masked.texts[i].get_position()
            assert mask[int(y), int(x)] and masked.texts[i].get_text() == str(i + 1)
            rows, columns = mask.nonzero()
            distances = np.hypot(rows - rows.mean(), columns - columns.mean())
            assert np.hypot(y - 0.5 - rows.mean(), x - 0.5 - columns.mean()) <= distances.min() + 1e-4
        assert (areas[~scene.masks.any(0).numpy()] == 235).all()
