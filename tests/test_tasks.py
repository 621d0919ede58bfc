"""swin_edu/tasks against loops, formulas and counts: pyramid, segmentation, detection, and their metrics."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from swin_edu.book.device import device
from swin_edu.model import SwinTransformer
from swin_edu.rivals.cnn import ResNet
from swin_edu.rivals.vit import ViT
from swin_edu.tasks.annotated import NOBODY, UNKNOWN, Annotated, turned, turned_at_random
from swin_edu.tasks.detection import (
    Answers,
    Detector,
    Found,
    Places,
    boxes_from,
    centreness,
    detect,
    detection_loss,
    overlap_of_sides,
    places_of,
    responsible,
    sides_from,
    strongest,
)
from swin_edu.tasks.metrics import average_precision, intersection_over_union
from swin_edu.tasks.pyramid import FeaturePyramid, channels_and_strides
from swin_edu.tasks.segmentation import (
    PyramidPooling,
    Segmenter,
    segment,
    segmentation_loss,
)
from swin_edu.training import Recipe

DEVICE = device()
RECIPE = Recipe()
SEEDS = st.integers(0, 2**32 - 1)


pytestmark = pytest.mark.usefixtures("one_thread")


def randomised(module, seed=0):
    """Give every parameter a random value of order one, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.double().parameters():
        scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 1
        parameter.data = scale * torch.randn(parameter.shape, generator=generator, dtype=torch.double)
    return module.eval()


def small_swin(seed=0, **changes):
    torch.manual_seed(seed)
    settings = {"channels": 8, "depths": (1, 1, 1), "heads": (1, 2, 4), "window": 4, "num_classes": 3}
    return SwinTransformer(**settings | changes)


def scenes(height, width, pictures=3, objects=4, classes=5, seed=0):
    """Random pictures with rectangles of whole pixels, which may overlap; the last rows are NOBODY."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(low, high, *shape):
        return torch.randint(low, high, shape, generator=generator)

    boxes, pixels = torch.zeros(pictures, objects, 4), torch.zeros(pictures, height, width, dtype=torch.uint8)
    labels = torch.full((pictures, objects), NOBODY)
    for picture in range(pictures):
        for number in range(objects - picture):
            (x0, x1), (y0, y1) = (
                sorted(torch.randperm(size + 1, generator=generator)[:2].tolist()) for size in (width, height)
            )
            boxes[picture, number] = torch.tensor([x0, y0, x1, y1])
            labels[picture, number] = label = int(drawn(0, classes, 1))
            pixels[picture, y0:y1, x0:x1] = 1 + label
    pixels[:, 0, 0] = UNKNOWN
    return Annotated(drawn(0, 256, pictures, 3, height, width).byte(), boxes, labels, pixels)


# Annotated pictures


def shown(way, row, column, height, width):
    """Return which pixel of the old picture the new one shows at a row and a column."""
    if way & 4:
        row, column = column, row
    if way & 2:
        row = height - 1 - row
    if way & 1:
        column = width - 1 - column
    return row, column


def turned_pixel_by_pixel(maps, way):
    """Turn maps (…, H, W)."""
    height, width = maps.shape[-2:]
    size = (width, height) if way & 4 else (height, width)
    new = torch.zeros(*maps.shape[:-2], *size, dtype=maps.dtype)
    for row in range(size[0]):
        for column in range(size[1]):
            new[..., row, column] = maps[(..., *shown(way, row, column, height, width))]
    return new


def box_around(mask):
    rows, columns = mask.nonzero().unbind(1)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@pytest.mark.parametrize("way", range(8))
@pytest.mark.parametrize(("height", "width"), [(5, 8), (9, 4), (6, 6)])
def test_boxes_are_turned_as_masks_are(way, height, width):
    data = scenes(height, width)
    new = turned(data, way)
    assert torch.equal(new.images, turned_pixel_by_pixel(data.images, way))
    assert torch.equal(new.pixels, turned_pixel_by_pixel(data.pixels, way))
    assert torch.equal(new.labels, data.labels)
    assert [part.dtype for part in new] == [part.dtype for part in data]
    assert new.boxes.shape == data.boxes.shape
    for picture in range(3):
        for number in range(4):
            box = new.boxes[picture, number].tolist()
            if data.labels[picture, number] == NOBODY:
                assert box == [0, 0, 0, 0]
                continue
            x0, y0, x1, y1 = data.boxes[picture, number].int().tolist()
            mask = torch.zeros(height, width)
            mask[y0:y1, x0:x1] = 1
            assert box == box_around(turned_pixel_by_pixel(mask, way))
    assert (data.labels == NOBODY).any()


def test_way_0_changes_nothing_and_the_8_ways_differ():
    data = scenes(7, 7)
    assert all(torch.equal(*pair) for pair in zip(turned(data, 0), data, strict=True))
    assert len({turned(data, way).images.numpy().tobytes() for way in range(8)}) == 8
    assert len({turned(data, way).boxes.numpy().tobytes() for way in range(8)}) == 8


@pytest.mark.parametrize("way", [-1, 8, 2.5])
def test_another_way_gets_one_sentence(way):
    with pytest.raises(ValueError) as problem:
        turned(scenes(4, 5), way)
    assert str(problem.value) == f"way is {way}; it must be from 0 to 7"


def test_a_random_way_is_one_of_all_8_and_that_of_the_seed():
    data = scenes(4, 5)
    ways = [turned(data, way).images.numpy().tobytes() for way in range(8)]

    def drawn(seed):
        torch.manual_seed(seed)
        return [ways.index(turned_at_random(data).images.numpy().tobytes()) for _ in range(160)]

    counts = np.bincount(drawn(0), minlength=8)
    assert len(counts) == 8 and counts.min() >= 8
    assert drawn(0) == drawn(0) != drawn(1)


def test_some_of_the_pictures():
    data = scenes(4, 5)
    for chosen in (torch.tensor([2, 0]), slice(1, None), data.labels[:, 1] != NOBODY):
        assert all(
            torch.equal(part, whole[chosen]) for part, whole in zip(data.some(chosen), data, strict=True)
        )
        assert isinstance(data.some(chosen), Annotated)


# The feature pyramid


def normed(x, norm):
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt() * norm.weight + norm.bias


def smoothed(x, convolution):
    """A convolution of 3 × 3, as a sum of nine shifted maps; (B, H, W, K) -> (B, H, W, out)."""
    height, width = x.shape[1:3]
    framed = torch.zeros(len(x), height + 2, width + 2, x.shape[3], dtype=x.dtype)
    framed[:, 1:-1, 1:-1] = x
    total = convolution.bias
    for row in range(3):
        for column in range(3):
            part = framed[:, row : row + height, column : column + width]
            total = total + part @ convolution.weight[:, :, row, column].T
    return total


def branch_by_hand(branch, x):
    """A convolution, a norm over each of 8 groups of channels, and ReLU; maps channels last."""
    convolution, norm, _ = branch
    groups = smoothed(x, convolution).unflatten(3, (8, -1))
    groups = groups - groups.mean((1, 2, 4), keepdim=True)
    groups = groups / (groups.square().mean((1, 2, 4), keepdim=True) + 1e-5).sqrt()
    return (groups.flatten(3) * norm.weight + norm.bias).clamp(min=0)


def pyramid_by_hand(pyramid, maps):
    """Levels (B, H, W, K), from fine to coarse."""
    levels = []
    for x, (norm, linear) in zip(maps, pyramid.lateral, strict=True):
        levels.append(normed(x, norm) @ linear.weight.T + linear.bias)
    for fine in range(len(levels) - 2, -1, -1):
        below, above = levels[fine].clone(), levels[fine + 1]
        (height, width), (rows, columns) = below.shape[1:3], above.shape[1:3]
        for row in range(height):
            for column in range(width):
                below[:, row, column] += above[:, row * rows // height, column * columns // width]
        levels[fine] = below
    return [smoothed(x, convolution) for x, convolution in zip(levels, pyramid.smooth, strict=True)]


PYRAMIDS = [
    [(8, 4), (4, 2)],
    [(5, 7), (3, 4)],
    [(5, 7), (3, 4), (2, 2), (1, 1)],
    [(7, 5)],
    [(9, 10), (2, 3)],
]


def maps_of(sizes, dtype=torch.double, channels=3):
    generator = torch.Generator().manual_seed(5)
    return [
        torch.randn(2, *size, channels * 2**level, generator=generator, dtype=dtype)
        for level, size in enumerate(sizes)
    ]


@torch.no_grad()
@pytest.mark.parametrize("sizes", PYRAMIDS)
def test_a_pyramid_place_by_place(sizes):
    maps = maps_of(sizes)
    pyramid = randomised(FeaturePyramid([x.shape[-1] for x in maps], 6))
    found = pyramid(maps)
    for level, expected, size in zip(found, pyramid_by_hand(pyramid, maps), sizes, strict=True):
        assert level.shape == (2, 6, *size)
        assert (level.movedim(1, -1) - expected).abs().max() < 1e-10


def test_what_coarse_maps_know_goes_to_finer_ones_and_not_back():
    maps = [x.requires_grad_() for x in maps_of([(5, 7), (3, 4), (2, 2)])]
    pyramid = randomised(FeaturePyramid([3, 6, 12], 4))
    for level, out in enumerate(pyramid(maps)):
        gradients = torch.autograd.grad(
            (out * torch.randn_like(out)).sum(), maps, allow_unused=True, retain_graph=True
        )
        for source, gradient in enumerate(gradients):
            if source < level:
                assert gradient is None or not gradient.any()
            else:
                assert (gradient != 0).any(-1).all()  # from every place


def test_a_pyramid_learns_with_all_parameters_in_either_precision():
    for dtype in (torch.float32, torch.float64):
        pyramid = FeaturePyramid([3, 6], 4).to(dtype)
        levels = pyramid(maps_of([(5, 7), (3, 4)], dtype))
        assert all(x.dtype == dtype for x in levels)
        sum((x * torch.randn_like(x)).sum() for x in levels).backward()
        for name, parameter in pyramid.named_parameters():
            assert parameter.grad.any() and parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("channels", [(3,), (3, 6, 12), (6, 3), (3, 7)])
def test_other_maps_get_one_sentence(channels):
    with pytest.raises(ValueError) as problem:
        FeaturePyramid([3, 6], 4)([torch.zeros(1, 2, 2, count) for count in channels])
    assert str(problem.value) == f"maps have {channels} channels; the pyramid was made for (3, 6)"


BACKBONES = {
    "swin": (small_swin, [8, 16, 32], [4, 8, 16]),
    "swin_of_patch_2": (lambda: small_swin(patch=2, depths=(1, 1), heads=(1, 2)), [8, 16], [2, 4]),
    "vit": (lambda: ViT(8, 1, 2, patch=8, side=64), [8], [8]),
    "resnet": (lambda: ResNet(8, (1, 1, 1)), [8, 16, 32], [4, 8, 16]),
}
BACKBONE = pytest.mark.parametrize(("make", "channels", "strides"), BACKBONES.values(), ids=BACKBONES)


@BACKBONE
def test_channels_and_strides_of_backbones(make, channels, strides):
    assert channels_and_strides(make()) == (channels, strides)
    assert channels_and_strides(make().to(DEVICE), side=32) == (channels, strides)


def test_asking_for_channels_leaves_a_backbone_alone():
    model = ResNet(8, (1, 1, 1)).train()
    before = {name: x.clone() for name, x in model.state_dict().items()}
    channels_and_strides(model)
    assert model.training
    assert all(torch.equal(x, before[name]) for name, x in model.state_dict().items())


@pytest.mark.parametrize("patch", [3, 5, 7, 14])
def test_patches_that_do_not_divide_64_get_one_sentence(patch):
    backbone = ViT(8, 1, 2, patch=patch, side=2 * patch)
    told = (
        rf"^the maps of 64 pixels have \[{-(-64 // patch)}\] rows; take patches of 1, 2, 4, 8 or 16 pixels$"
    )
    with pytest.raises(ValueError, match=told):
        channels_and_strides(backbone)


def test_channels_of_a_backbone_of_double_precision():
    assert channels_and_strides(small_swin().double()) == ([8, 16, 32], [4, 8, 16])


# Segmentation


def between(x, size):
    """Enlarge maps (B, H, W, C) by straight lines between the middles of their places."""

    def weights(new, old):
        matrix = torch.zeros(new, old, dtype=x.dtype)
        for place in range(new):
            at = min(max((place + 0.5) * old / new - 0.5, 0), old - 1)
            low = min(math.floor(at), max(old - 2, 0))
            matrix[place, low] += 1 - (at - low)
            if old > 1:
                matrix[place, low + 1] += at - low
        return matrix

    return torch.einsum("ir,jc,brck->bijk", weights(size[0], x.shape[1]), weights(size[1], x.shape[2]), x)


def pooled_by_hand(pooling, x):
    x = normed(x, pooling.norm)
    (height, width), parts = x.shape[1:3], [x]
    for side, reduce in zip(pooling.sides, pooling.reduce, strict=True):
        means = torch.zeros(len(x), side, side, x.shape[-1], dtype=x.dtype)
        for row in range(side):
            for column in range(side):
                rows = slice(row * height // side, -(-(row + 1) * height // side))
                columns = slice(column * width // side, -(-(column + 1) * width // side))
                means[:, row, column] = x[:, rows, columns].mean((1, 2))
        means = (means @ reduce.weight.T + reduce.bias).clamp(min=0)
        parts.append(between(means, (height, width)))
    return (torch.cat(parts, dim=-1) @ pooling.join.weight.T + pooling.join.bias).clamp(min=0)


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3), (1, 1), (2, 7)])
@pytest.mark.parametrize("sides", [None, (1, 3), (2,)])
def test_pooling_by_explicit_means(height, width, sides):
    pooling = randomised(PyramidPooling(7, *([sides] if sides else [])))
    assert tuple(pooling.sides) == (sides or (1, 2))
    x = torch.randn(2, height, width, 7, dtype=torch.double)
    found = pooling(x)
    assert found.shape == x.shape and found.any()
    assert (found - pooled_by_hand(pooling, x)).abs().max() < 1e-10


def segmented_by_hand(model, images):
    """The scores, place by place; maps and pyramid as they are, tested above."""
    *finer, coarsest = model.backbone.features(images)
    levels = [x.movedim(1, -1) for x in model.pyramid([*finer, pooled_by_hand(model.pooling, coarsest)])]
    rows, columns = levels[0].shape[1:3]
    joined = branch_by_hand(model.join, torch.cat([between(x, (rows, columns)) for x in levels], dim=-1))
    hidden, _, last = model.classes
    joined = (joined @ hidden.weight[:, :, 0, 0].T + hidden.bias).relu()
    count, patch = last.out_channels // model.patch**2, model.patch
    scores = torch.zeros(len(images), count, *images.shape[2:], dtype=images.dtype)
    for y in range(images.shape[2]):
        for x in range(images.shape[3]):
            for of in range(count):
                row = of * patch**2 + y % patch * patch + x % patch  # of the last layer
                weight, bias = last.weight[row, :, 0, 0], last.bias[row]
                scores[:, of, y, x] = joined[:, y // patch, x // patch] @ weight + bias
    return scores


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(16, 24), (19, 14), (3, 30)])
@pytest.mark.parametrize("name", ["swin", "vit"])
def test_scores_pixel_by_pixel(name, height, width):
    torch.manual_seed(0)
    model = randomised(Segmenter(BACKBONES[name][0](), classes=2, width=16))
    assert model.patch == {"swin": 4, "vit": 8}[name]
    images = torch.rand(2, 3, height, width, dtype=torch.double) * 2 - 1
    scores = model(images)
    assert scores.shape == (2, 3, height, width)
    assert (scores - segmented_by_hand(model, images)).abs().max() < 1e-9


@torch.no_grad()
@BACKBONE
@pytest.mark.parametrize(("height", "width"), [(64, 64), (61, 50)])
def test_every_backbone_gives_a_score_for_every_pixel(make, channels, strides, height, width):
    torch.manual_seed(0)
    model = Segmenter(make(), classes=4).to(DEVICE).eval()
    assert model.patch == strides[0]
    assert model(torch.rand(2, 3, height, width).to(DEVICE)).shape == (2, 5, height, width)


@pytest.mark.parametrize("make", [Segmenter, Detector])
def test_no_classes_get_one_sentence(make):
    with pytest.raises(ValueError) as problem:
        make(small_swin(), 0)
    assert str(problem.value) == "classes is 0; it must be at least 1"


class OfColours(nn.Module):
    """Scores of a pixel that depend on its colours alone: however a picture is turned, its loss is one."""

    def __init__(self, classes):
        super().__init__()
        self.layer = randomised(nn.Conv2d(3, 1 + classes, 1))
        self.seen = []

    def forward(self, images):
        self.seen.append(images)
        return self.layer(images.double()).float()


def loss_pixel_by_pixel(model, images, pixels):
    total = count = 0
    for image, meant in zip(images, pixels, strict=True):
        for row in range(meant.shape[0]):
            for column in range(meant.shape[1]):
                name = int(meant[row, column])
                if name == UNKNOWN:
                    continue
                colours = image[:, row, column].double() / 127.5 - 1
                scores = model.layer.weight[:, :, 0, 0] @ colours + model.layer.bias
                total = total - (scores[name] - scores.exp().sum().log())
                count += 1
    return total / count


def test_the_loss_of_segmentation_pixel_by_pixel():
    data, model = scenes(6, 9), OfColours(5)
    assert (data.pixels == 0).any() and (data.pixels == UNKNOWN).any()
    expected = loss_pixel_by_pixel(model, data.images, data.pixels)
    for seed in range(20):
        torch.manual_seed(seed)
        loss = segmentation_loss(model, RECIPE, *data)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert len({(*x.shape, x.sum((0, 1)).numpy().tobytes()) for x in model.seen}) == 8  # all ways


def test_unknown_pixels_have_no_effect():
    data, model = scenes(6, 9), OfColours(5)
    torch.manual_seed(0)
    before = segmentation_loss(model, RECIPE, *data)
    images = torch.where((data.pixels == UNKNOWN)[:, None], 255 - data.images, data.images)
    assert not torch.equal(images, data.images)
    torch.manual_seed(0)
    assert torch.equal(segmentation_loss(model, RECIPE, *data._replace(images=images)), before)


def test_a_picture_of_unknown_pixels_only():
    """Among others it has no effect; alone there is nothing to take the mean of."""
    data, model = scenes(6, 9), OfColours(5)
    pixels = data.pixels.clone()
    pixels[1] = UNKNOWN
    without = segmentation_loss(model, RECIPE, *data.some(torch.tensor([0, 2])))
    loss = segmentation_loss(model, RECIPE, *data._replace(pixels=pixels))
    assert loss.item() == pytest.approx(without.item(), rel=1e-5)
    alone = data._replace(pixels=torch.full_like(data.pixels, UNKNOWN))
    assert segmentation_loss(model, RECIPE, *alone).isnan()


def test_a_segmenter_learns_in_double_precision():
    model = Segmenter(small_swin(), classes=5).double()
    data = scenes(24, 20)
    batch = (data.images / torch.tensor(255.0, dtype=torch.double), *data[1:])
    assert segmentation_loss(model, RECIPE, *batch).dtype == torch.double


def test_a_segmenter_learns_with_all_its_parameters():
    torch.manual_seed(0)
    model = Segmenter(small_swin(), classes=5).to(DEVICE)
    batch = [part.to(DEVICE) for part in scenes(48, 40)]
    segmentation_loss(model, RECIPE, *batch).backward()
    check_gradients(model, unused=("backbone.norm.", "backbone.head."))


def check_gradients(model, unused):
    for name, parameter in model.named_parameters():
        if name.startswith(unused):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None and parameter.grad.any(), name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("mode", [True, False])
def test_segmenting_in_batches_is_segmenting_one_at_a_time(mode):
    torch.manual_seed(0)
    model = Segmenter(small_swin(stochastic_depth=0.9), classes=4).to(DEVICE).train(mode)
    images = scenes(21, 30, pictures=5, objects=5).images
    found = segment(model, images)
    assert found.shape == (5, 21, 30) and found.dtype == torch.uint8 and found.device.type == "cpu"
    assert model.training is mode and model.backbone.training is mode
    assert torch.equal(found, segment(model, images, batch=2))
    assert torch.equal(found, torch.cat([segment(model, image[None]) for image in images]))
    with torch.no_grad():
        scores = model.eval()(images.to(DEVICE) / 127.5 - 1)
    assert torch.equal(found.long(), scores.argmax(1).cpu()) and len(found.unique()) > 1


# Places, boxes and who answers for what


def test_places_one_by_one():
    sizes, strides = [(3, 5), (2, 3), (1, 2)], [4, 8, 16]
    expected = [
        (stride * (column + 0.5), stride * (row + 0.5), stride, level)
        for level, ((height, width), stride) in enumerate(zip(sizes, strides, strict=True))
        for row in range(height)
        for column in range(width)
    ]
    places = places_of(sizes, strides)
    found = [(*centre, *rest) for centre, *rest in zip(*(part.tolist() for part in places), strict=True)]
    assert found == expected
    with pytest.raises(ValueError):
        places_of(sizes, strides[:2])


def random_boxes(generator, *shape, size=64, step=1.0):
    """Boxes with sides at multiples of `step`, so that some are equal and some touch."""
    ends = torch.randint(0, int(size / step) + 1, (*shape, 2, 2), generator=generator).float() * step
    low, high = ends.amin(-2), ends.amax(-2)
    return torch.cat([low, torch.maximum(high, low + step)], dim=-1)


@settings(max_examples=25)
@given(seed=SEEDS, batch=st.integers(1, 3), count=st.integers(1, 5), boxes=st.integers(1, 4))
def test_sides_and_boxes(seed, batch, count, boxes):
    generator = torch.Generator().manual_seed(seed)
    centres = torch.rand(count, 2, generator=generator) * 64
    drawn = random_boxes(generator, batch, boxes)
    sides = sides_from(centres, drawn)
    assert sides.shape == (batch, count, boxes, 4)
    for b in range(batch):
        for n, (x, y) in enumerate(centres.tolist()):
            for k, (x0, y0, x1, y1) in enumerate(drawn[b].tolist()):
                expected = [x - x0, y - y0, x1 - x, y1 - y]
                assert sides[b, n, k].tolist() == pytest.approx(expected, abs=1e-5)
                assert (sides[b, n, k].min() > 0) == (x0 < x < x1 and y0 < y < y1)
    for k in range(boxes):
        back = boxes_from(centres, sides[:, :, k])
        assert torch.allclose(back, drawn[:, k, None].expand(-1, count, -1), atol=1e-4)


def answers_by_hand(sizes, strides, boxes, labels):
    """For each place of each picture, the object that it answers for."""
    answers = []
    for of_picture, names in zip(boxes.tolist(), labels.tolist(), strict=True):
        row_of_answers = []
        for level, ((height, width), stride) in enumerate(zip(sizes, strides, strict=True)):
            for row in range(height):
                for column in range(width):
                    x, y = stride * (column + 0.5), stride * (row + 0.5)
                    best, smallest = NOBODY, math.inf
                    for number, ((x0, y0, x1, y1), name) in enumerate(zip(of_picture, names, strict=True)):
                        long = max(x1 - x0, y1 - y0)
                        levels = [at for at, s in enumerate(strides) if long <= 4 * s]
                        off = max(abs(x - (x0 + x1) / 2), abs(y - (y0 + y1) / 2))
                        if (
                            name != NOBODY
                            and x0 < x < x1
                            and y0 < y < y1
                            and off < 1.5 * stride
                            and (levels or [len(strides) - 1])[0] == level
                            and (x1 - x0) * (y1 - y0) < smallest
                        ):
                            best, smallest = number, (x1 - x0) * (y1 - y0)
                    row_of_answers.append(best)
        answers.append(row_of_answers)
    return torch.tensor(answers)


@settings(max_examples=60)
@given(seed=SEEDS, levels=st.integers(1, 3), objects=st.integers(1, 6), step=st.sampled_from([0.5, 2.0, 8.0]))
def test_who_answers_for_what_place_by_place(seed, levels, objects, step):
    generator = torch.Generator().manual_seed(seed)
    sizes, strides = [(12, 10), (6, 5), (3, 3)][:levels], [4, 8, 16][:levels]
    boxes = random_boxes(generator, 2, objects, size=48, step=step)
    labels = torch.randint(-1, 3, (2, objects), generator=generator)
    found = responsible(places_of(sizes, strides), boxes, labels)
    assert found.dtype == torch.int64
    assert torch.equal(found, answers_by_hand(sizes, strides, boxes, labels))


def levels_that_answer(boxes, levels=3):
    """Return the levels with a place for each of some boxes, alone in the picture."""
    sizes, strides = [(64, 64), (32, 32), (16, 16)][:levels], [4, 8, 16][:levels]
    places = places_of(sizes, strides)
    which = responsible(places, torch.tensor(boxes)[:, None], torch.zeros(len(boxes), 1, dtype=torch.int64))
    return [set(places.levels[of >= 0].tolist()) for of in which]


def test_a_level_takes_boxes_of_up_to_4_strides():
    wide = [[20.0, 30.0, 20 + long, 30 + min(long, 20)] for long in (8, 16, 16.01, 32, 32.01, 64, 64.01, 200)]
    high = [[y0, x0, y1, x1] for x0, y0, x1, y1 in wide]
    for boxes in (wide, high):
        assert levels_that_answer(boxes) == [{0}, {0}, {1}, {1}, {2}, {2}, {2}, {2}]
        assert levels_that_answer(boxes, levels=1) == 8 * [{0}]


def test_places_near_the_centre_answer_and_those_on_sides_do_not():
    places = Places(
        torch.tensor([[20.0, 20.0], [25.99, 20.0], [26.0, 20.0], [20.0, 14.0], [20.0, 14.01]]),
        torch.full((5,), 4.0),
        torch.zeros(5, dtype=torch.int64),
    )
    label = torch.zeros(1, 1, dtype=torch.int64)
    large, tight = torch.tensor([[[0.0, 0, 40, 40]]]), torch.tensor([[[14.01, 14.01, 25.99, 25.99]]])
    assert responsible(places, large, label).tolist() == [[0, 0, NOBODY, NOBODY, 0]]
    assert responsible(places, tight, label).tolist() == [[0, NOBODY, NOBODY, NOBODY, NOBODY]]


def test_nobody_answers_for_nobody():
    places = places_of([(4, 4)], [4])
    boxes = torch.tensor([[[0.0, 0, 16, 16], [2, 2, 14, 14]]])
    assert (responsible(places, boxes, torch.tensor([[3, 0]])) == 1).any()
    assert set(responsible(places, boxes, torch.tensor([[3, NOBODY]])).flatten().tolist()) == {NOBODY, 0}
    assert (responsible(places, boxes, torch.tensor([[NOBODY, NOBODY]])) == NOBODY).all()
    assert (responsible(places, torch.zeros(2, 3, 4), torch.zeros(2, 3).long()) == NOBODY).all()


def test_of_equal_boxes_the_first_is_answered_for():
    boxes = torch.tensor([[4.0, 4, 12, 12]]).repeat(1, 3, 1)
    found = responsible(places_of([(4, 4)], [4]), boxes, torch.zeros(1, 3, dtype=torch.int64))
    assert set(found.flatten().tolist()) == {NOBODY, 0}


# How well boxes fit


def corners(sides):
    left, top, right, bottom = sides
    return -left, -top, right, bottom


def generalised_iou(one, other):
    """By the definition: IoU less the share of the hull that neither covers."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = one, other
    across = max(0, min(ax1, bx1) - max(ax0, bx0))
    both = across * max(0, min(ay1, by1) - max(ay0, by0))
    union = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0) - both
    hull = (max(ax1, bx1) - min(ax0, bx0)) * (max(ay1, by1) - min(ay0, by0))
    return both / union - (hull - union) / hull


LENGTH = st.floats(0.01, 100)
BOX = st.tuples(LENGTH, LENGTH, LENGTH, LENGTH)


@settings(max_examples=60)
@given(one=BOX, other=BOX)
def test_overlap_is_the_generalised_iou(one, other):
    sides = torch.tensor([one, other, one], dtype=torch.double)
    targets = torch.tensor([other, one, one], dtype=torch.double)
    found = overlap_of_sides(sides, targets)
    expected = generalised_iou(corners(one), corners(other))
    assert found.shape == (3,)
    assert found.tolist() == pytest.approx([expected, expected, 1], abs=1e-9)
    assert found.min() >= -1 and found.max() <= 1 + 1e-9


def test_overlap_of_a_bar_and_its_turn():
    sides = torch.tensor([[50.0, 0.5, 50.0, 0.5]])
    expected = 1 / 199 - (10_000 - 199) / 10_000
    assert overlap_of_sides(sides, sides[:, [1, 0, 3, 2]]).item() == pytest.approx(expected, abs=1e-5)


@settings(max_examples=60)
@given(box=BOX)
def test_centreness_is_that_of_equation_3(box):
    left, top, right, bottom = box
    found = centreness(torch.tensor([box], dtype=torch.double))
    expected = math.sqrt(min(left, right) / max(left, right) * min(top, bottom) / max(top, bottom))
    assert found.tolist() == pytest.approx([expected])


def test_centreness_is_1_in_the_centre_and_0_on_a_side():
    sides = torch.tensor([[3.0, 5, 3, 5], [0, 5, 3, 5], [3, 5, 3, 0], [1, 1, 4, 1], [1, 1, 4, 9]])
    assert centreness(sides).tolist() == pytest.approx([1, 0, 0, 1 / 2, 1 / 6])


# The detector


@torch.no_grad()
@pytest.mark.parametrize(
    ("height", "width", "sizes"),
    [(64, 64, [(16, 16), (8, 8), (4, 4)]), (50, 61, [(13, 16), (7, 8), (4, 4)])],
)
def test_what_a_detector_says_place_by_place(height, width, sizes):
    torch.manual_seed(0)
    model = randomised(Detector(small_swin(), classes=3, width=16))
    assert model.strides == [4, 8, 16]
    images = torch.rand(2, 3, height, width, dtype=torch.double)
    answers = model(images)
    count = sum(rows * columns for rows, columns in sizes)
    assert [tuple(x.shape) for x in answers[:3]] == [(2, count, 3), (2, count, 4), (2, count)]
    for part, expected in zip(answers.places, places_of(sizes, [4, 8, 16]), strict=True):
        assert torch.equal(part, expected)
    place = 0
    for x, stride, (rows, columns) in zip(
        model.pyramid(model.backbone.features(images)), model.strides, sizes, strict=True
    ):
        assert x.shape[2:] == (rows, columns)
        what, where = (branch_by_hand(branch, x.movedim(1, -1)) for branch in (model.what, model.where))
        classes, sides = smoothed(what, model.classes), smoothed(where, model.sides)
        centre = smoothed(where, model.centre)
        for row in range(rows):
            for column in range(columns):
                assert torch.allclose(answers.classes[:, place], classes[:, row, column])
                expected = (1 + sides[:, row, column].exp()).log() * stride
                assert torch.allclose(answers.sides[:, place], expected)
                assert torch.allclose(answers.centre[:, place], centre[:, row, column, 0])
                place += 1
    assert place == count


@torch.no_grad()
@BACKBONE
def test_every_backbone_can_detect_and_begins_by_seeing_nothing(make, channels, strides):
    torch.manual_seed(0)
    model = Detector(make(), classes=4).to(DEVICE).eval()
    answers = model(torch.rand(2, 3, 64, 64).to(DEVICE) * 2 - 1)
    count = sum((64 // stride) ** 2 for stride in strides)
    assert answers.classes.shape == (2, count, 4)
    assert {part.device.type for part in (*answers[:3], *answers.places)} == {DEVICE.type}
    assert (answers.sides > 0).all()
    assert torch.allclose(model.classes.bias.sigmoid(), torch.tensor(0.01, device=DEVICE))
    assert 0.005 < answers.classes.sigmoid().mean() < 0.02


class Given(nn.Module):
    """Says what it was given, for pictures of any size whose places are as many."""

    def __init__(self, classes, sides, centre, strides=(4, 8), dtype=torch.double):
        super().__init__()
        self.strides = strides
        self.classes, self.sides, self.centre = (nn.Parameter(x.to(dtype)) for x in (classes, sides, centre))
        self.seen = []

    def forward(self, images):
        self.seen.append(images)
        sizes = [[side // stride for side in images.shape[2:]] for stride in self.strides]
        part = slice(len(images))
        return Answers(
            self.classes[part], self.sides[part], self.centre[part], places_of(sizes, self.strides)
        )


def focal(logit, wanted):
    """Lin et al. 2017 (RetinaNet), equation 5, with their 0.25 and 2."""
    p = 1 / (1 + math.exp(-logit))
    return -0.25 * (1 - p) ** 2 * math.log(p) if wanted else -0.75 * p**2 * math.log(1 - p)


def detection_by_hand(answers, data):
    """The three parts of the loss, place by place."""
    which = responsible(answers.places, data.boxes, data.labels)
    classes = fits = weights = bce = count = 0
    for picture, of_places in enumerate(which.tolist()):
        for place, number in enumerate(of_places):
            label = NOBODY if number == NOBODY else int(data.labels[picture, number])
            for of, logit in enumerate(answers.classes[picture, place].tolist()):
                classes += focal(logit, of == label)
            if number == NOBODY:
                continue
            x, y = answers.places.centres[place].tolist()
            x0, y0, x1, y1 = data.boxes[picture, number].tolist()
            left, top, right, bottom = answers.sides[picture, place].tolist()
            wanted = (x - x0, y - y0, x1 - x, y1 - y)
            centre = math.sqrt(
                min(wanted[0], wanted[2])
                / max(wanted[0], wanted[2])
                * min(wanted[1], wanted[3])
                / max(wanted[1], wanted[3])
            )
            fit = generalised_iou((x - left, y - top, x + right, y + bottom), (x0, y0, x1, y1))
            fits, weights, count = fits + (1 - fit) * centre, weights + centre, count + 1
            p = 1 / (1 + math.exp(-answers.centre[picture, place].item()))
            bce -= centre * math.log(p) + (1 - centre) * math.log(1 - p)
    return classes / max(1, count), 2 * fits / weights if count else 0, bce / count if count else 0


def a_model_and_scenes(height=24, width=32, seed=0):
    data = scenes(height, width, seed=seed)
    data = data._replace(boxes=data.boxes.double())
    generator = torch.Generator().manual_seed(seed)
    count = height * width // 16 + height * width // 64
    model = Given(
        torch.randn(3, count, 5, generator=generator),
        torch.rand(3, count, 4, generator=generator) * 20 + 0.1,
        torch.randn(3, count, generator=generator),
    )
    return model, data


@pytest.mark.parametrize("seed", range(6))
def test_the_loss_of_detection_place_by_place(seed):
    model, data = a_model_and_scenes(seed=seed)
    torch.manual_seed(seed)
    loss = detection_loss(model, RECIPE, *data)
    torch.manual_seed(seed)
    there = turned(data, int(torch.randint(8, ())))
    [images] = model.seen
    assert torch.allclose(images, there.images / 127.5 - 1)
    parts = detection_by_hand(model(images), there)
    assert min(parts) > 0.01
    assert loss.item() == pytest.approx(sum(parts), rel=1e-5)


def test_pictures_to_detect_in_are_turned_in_all_ways():
    model, data = a_model_and_scenes()
    for _ in range(60):
        detection_loss(model, RECIPE, *data)
    assert len({(*x.shape, x[0, 0].numpy().tobytes()) for x in model.seen}) == 8


def test_pictures_without_any_object_teach_that_there_is_none():
    model, data = a_model_and_scenes()
    empty = data._replace(boxes=torch.zeros_like(data.boxes), labels=torch.full_like(data.labels, NOBODY))
    loss = detection_loss(model, RECIPE, *empty)
    expected = sum(focal(logit, False) for logit in model.classes.flatten().tolist())
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    loss.backward()
    assert (model.classes.grad > 0).all() and model.classes.grad.isfinite().all()
    assert model.sides.grad is None and model.centre.grad is None


def test_what_was_right_costs_next_to_nothing():
    """Sides as they are, sure of the classes; centre-ness costs its entropy, the least that it can."""
    data = scenes(32, 32)._replace(
        boxes=torch.tensor([[[4.0, 4, 12, 12]], [[10, 8, 30, 28]], [[0, 0, 0, 0]]])
    )
    data = data._replace(labels=torch.tensor([[2], [0], [NOBODY]]))
    for seed in range(4):
        torch.manual_seed(seed)
        there = turned(data, int(torch.randint(8, ())))
        model, central = perfect(there)
        torch.manual_seed(seed)
        least = (-central * central.log() - (1 - central) * (1 - central).clamp(min=1e-9).log()).mean()
        loss = detection_loss(model, RECIPE, *data)
        assert loss.item() == pytest.approx(least.item(), abs=1e-3)


def perfect(data, classes=3):
    """A model that knows all of some pictures, and the centre-ness of its places that answer."""
    sizes = [[side // stride for side in data.images.shape[2:]] for stride in (4, 8)]
    places = places_of(sizes, (4, 8))
    which = responsible(places, data.boxes, data.labels)
    picture, place = (which != NOBODY).nonzero(as_tuple=True)
    number = which[picture, place]
    logits = torch.full((*which.shape, classes), -12.0)
    logits[picture, place, data.labels[picture, number]] = 12
    sides = torch.ones(*which.shape, 4)
    sides[picture, place] = sides_from(places.centres, data.boxes)[picture, place, number]
    central = centreness(sides[picture, place])
    centre = torch.full(which.shape, -5.0)
    centre[picture, place] = central.clamp(max=1 - 1e-6).logit()
    return Given(logits, sides, centre, dtype=torch.float32), central


def test_a_detector_learns_with_all_its_parameters():
    torch.manual_seed(0)
    model = Detector(small_swin(), classes=5).to(DEVICE)
    data = scenes(64, 48)
    loss = detection_loss(model, RECIPE, *(part.to(DEVICE) for part in data))
    loss.backward()
    check_gradients(model, unused=("backbone.norm.", "backbone.head."))


def test_a_detector_learns_from_pictures_without_objects_too():
    torch.manual_seed(0)
    model = Detector(small_swin(), classes=5)
    images = scenes(40, 48).images
    loss = detection_loss(
        model, RECIPE, images, torch.zeros(3, 2, 4), torch.full((3, 2), NOBODY), torch.zeros(3, 40, 48)
    )
    loss.backward()
    assert loss.isfinite() and loss > 0
    check_gradients(model, unused=("backbone.norm.", "backbone.head.", "where.", "sides.", "centre."))


# What is found


def found_rows(found):
    return [(box, label) for box, label in zip(found.boxes.tolist(), found.labels.tolist(), strict=True)]


def test_who_knows_all_finds_all():
    """The boxes come back, once each, with the centre-ness of the place that knows it best."""
    boxes = torch.tensor(
        [[[4.0, 4, 12, 12], [20, 10, 30, 24]], [[1, 2, 32, 30], [0, 0, 0, 0]], [[0, 0, 0, 0], [0, 0, 0, 0]]]
    )
    data = scenes(32, 40)._replace(boxes=boxes, labels=torch.tensor([[2, 1], [0, NOBODY], [NOBODY, NOBODY]]))
    model, _ = perfect(data)
    found = detect(model, data.images)
    assert [isinstance(each, Found) for each in found] == [True] * 3
    assert torch.allclose(model.seen[0], data.images / 127.5 - 1)
    places = model(data.images).places
    for each, of, labels in zip(found, data.boxes, data.labels, strict=True):
        there = [(box, label) for box, label in zip(of.tolist(), labels.tolist(), strict=True) if label >= 0]
        assert sorted(found_rows(each)) == sorted(there)
        assert each.scores.tolist() == sorted(each.scores.tolist(), reverse=True)
        for box, score, place in zip(each.boxes, each.scores, each.places, strict=True):
            sides = sides_from(places.centres[place][None], box[None, None])[0, 0]
            assert score.item() == pytest.approx(centreness(sides).sqrt().item(), abs=1e-3)


def test_boxes_end_where_the_picture_does():
    count = 24 * 40 // 16 + 24 * 40 // 64
    for height, width in ((24, 40), (40, 24)):
        model = Given(torch.zeros(1, count, 2), torch.full((1, count, 4), 90.0), torch.zeros(1, count))
        [found] = detect(model, torch.zeros(1, 3, height, width), threshold=0.1)
        assert found.boxes.tolist() == 2 * [[0, 0, width, height]]
        assert found.labels.tolist() == [0, 1]
        assert found.scores.tolist() == [0.5, 0.5]  # √(½ · ½)


def test_the_score_is_the_geometric_mean_of_class_and_centreness():
    model, _ = a_model_and_scenes()
    [found] = detect(model, torch.zeros(1, 3, 24, 32), threshold=0, overlap=1)
    for label, score, place in zip(found.labels, found.scores, found.places, strict=True):
        values = model.classes[0, place, label].sigmoid() * model.centre[0, place].sigmoid()
        assert score.item() == pytest.approx(values.sqrt().item(), rel=1e-5)
    assert not found.scores.requires_grad


def test_what_is_left_out_is_as_asked():
    """Three scores above 0.05 and one below; an IoU with the surest above 0.5 and one below."""
    scores = torch.tensor([0.06, 0.055, 0.049, 0.051])
    boxes = torch.tensor([[0.0, 0, 10, 8], [0, 0, 10, 4.2], [10, 7, 11, 8], [0, 0, 4.75, 8]])
    centres = places_of([(2, 2)], [4]).centres
    model = Given(
        scores.square().logit()[None, :, None],
        torch.cat([centres - boxes[:, :2], boxes[:, 2:] - centres], dim=1)[None],
        torch.full((1, 4), 40.0),
        strides=(4,),
    )

    def places(**asked):
        [found] = detect(model, torch.zeros(1, 3, 8, 11), **asked)
        return found.places.tolist()

    assert places() == [0, 3]
    assert places(overlap=0.53) == [0, 1, 3] and places(overlap=0.47) == [0]
    assert places(threshold=0.0485) == [0, 3, 2] and places(threshold=0.052) == [0]


@pytest.mark.parametrize("mode", [True, False])
def test_detecting_in_batches_is_detecting_one_at_a_time(mode):
    torch.manual_seed(0)
    model = Detector(small_swin(stochastic_depth=0.9), classes=4).to(DEVICE).train(mode)
    nn.init.constant_(model.classes.bias, 0)  # so that it finds something
    images = scenes(50, 61, pictures=5, objects=5).images
    found = detect(model, images, threshold=0.45)
    assert len(found) == 5 and all(0 < len(each.boxes) <= 100 for each in found)
    assert model.training is mode and model.backbone.training is mode
    assert {part.device.type for each in found for part in each} == {"cpu"}
    for alone in (
        detect(model, images, threshold=0.45, batch=2),
        [each for image in images for each in detect(model, image[None], threshold=0.45)],
    ):
        for one, other in zip(found, alone, strict=True):
            assert torch.equal(one.labels, other.labels) and torch.equal(one.places, other.places)
            assert torch.allclose(one.boxes, other.boxes, atol=1e-3)
            assert torch.allclose(one.scores, other.scores, atol=1e-5)


@pytest.mark.parametrize("threshold", [0, 0.05, 1])
def test_a_detector_that_knows_nothing_on_pictures_of_nothing(threshold):
    torch.manual_seed(0)
    model = Detector(small_swin(), classes=4)
    for found in detect(model, torch.zeros(2, 3, 64, 64, dtype=torch.uint8), threshold):
        assert len(found.boxes) == len(found.labels) == len(found.scores) == len(found.places) <= 100
        assert len(found.boxes) == 0 or threshold < 1
        assert (found.boxes >= 0).all() and (found.boxes <= 64).all()
    assert detect(model, torch.zeros(0, 3, 64, 64)) == []


def plain_iou(one, other):
    across = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    both = across * max(0, min(one[3], other[3]) - max(one[1], other[1]))
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (one, other)]
    return both / (sum(areas) - both)


def strongest_by_hand(boxes, scores, threshold, overlap, most):
    """Take the surest answer again and again, unless one of its class that was taken overlaps it too much."""
    sure = [
        (-score, place, label)
        for place, of in enumerate(scores.tolist())
        for label, score in enumerate(of)
        if score > threshold
    ]
    boxes, taken = boxes.tolist(), []
    for _, place, label in sorted(sure)[: 3 * most]:
        if all(label != of or plain_iou(boxes[place], boxes[at]) <= overlap for at, of in taken):
            taken.append((place, label))
    return taken[:most]


@settings(max_examples=60)
@given(
    seed=SEEDS,
    count=st.integers(1, 30),
    threshold=st.sampled_from([0.0, 0.31, 0.91]),
    overlap=st.sampled_from([0.0, 0.25, 0.5, 0.75]),
    most=st.sampled_from([2, 5, 100]),
)
def test_the_strongest_one_by_one(seed, count, threshold, overlap, most):
    generator = torch.Generator().manual_seed(seed)
    boxes = random_boxes(generator, count, size=8)
    scores = (torch.randperm(3 * count, generator=generator).reshape(count, 3) + 0.5) / (3 * count)
    expected = strongest_by_hand(boxes, scores, threshold, overlap, most)
    found = strongest(boxes, scores, threshold, overlap, most)
    assert list(zip(found.places.tolist(), found.labels.tolist(), strict=True)) == expected
    places, labels = found.places, found.labels
    assert torch.equal(found.boxes, boxes[places]) and torch.equal(found.scores, scores[places, labels])
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_of_two_boxes_at_one_place_the_surer_stays_and_other_classes_do():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 10, 11], [20, 20, 30, 30]])
    scores = torch.tensor([[0.8, 0.0], [0.9, 0.0], [0.0, 0.7], [0.1, 0.6]])
    found = strongest(boxes, scores, 0.1, 0.5)
    assert found.places.tolist() == [1, 2, 3] and found.labels.tolist() == [0, 1, 1]  # 0.1 is not above 0.1


def test_no_more_than_100_are_found_the_surest():
    corner = torch.arange(150.0)[:, None] * 3
    boxes = torch.cat([corner, corner, corner + 2, corner + 2], dim=1)
    scores = torch.rand(150, 1, generator=torch.Generator().manual_seed(0)) * 0.9 + 0.1
    found = strongest(boxes, scores, 0.05, 0.5)
    assert torch.equal(found.scores, scores[:, 0].sort(descending=True).values[:100])
    assert torch.equal(found.places, scores[:, 0].argsort(descending=True)[:100])


def test_nothing_is_found_where_all_scores_are_low():
    found = strongest(torch.rand(6, 4), torch.full((6, 2), 0.04), 0.05, 0.5)
    assert [tuple(part.shape) for part in found] == [(0, 4), (0,), (0,), (0,)]
    assert found.labels.dtype == found.places.dtype == torch.int64


# Average precision

OVERLAPS = np.linspace(0.5, 0.95, 10)
KEYS = ["mAP", "AP50", "AP75", "small", "medium", "large"]


def answers_of(*rows):
    """One Found of rows (box, label, score)."""
    boxes, labels, scores = zip(*rows, strict=True) if rows else ([], [], [])
    return Found(
        torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        torch.tensor(labels, dtype=torch.int64),
        torch.tensor(scores, dtype=torch.float32),
        torch.zeros(len(labels), dtype=torch.int64),
    )


def objects_of(*pictures):
    """Boxes and labels of pictures, each a list of rows (box, label)."""
    most = max(1, *map(len, pictures))
    boxes, labels = torch.zeros(len(pictures), most, 4), torch.full((len(pictures), most), NOBODY)
    for picture, rows in enumerate(pictures):
        for number, (box, label) in enumerate(rows):
            boxes[picture, number], labels[picture, number] = torch.tensor(box), label
    return boxes, labels


SMALL, MEDIUM, LARGE = [0.0, 0, 10, 10], [20.0, 20, 40, 40], [0.0, 0, 60, 50]


def test_who_finds_all_has_1_in_everything():
    pictures = [[(SMALL, 0), (MEDIUM, 7)], [], [(LARGE, 7)]]
    found = [answers_of(*((*row, 0.5) for row in rows)) for rows in pictures]
    scores = average_precision(found, *objects_of(*pictures))
    assert scores == pytest.approx(dict.fromkeys(KEYS, 1)) and list(scores) == KEYS
    assert all(type(score) is float for score in scores.values())


def test_who_finds_nothing_has_0():
    boxes, labels = objects_of([(SMALL, 0), (MEDIUM, 7)], [(LARGE, 7)])
    assert average_precision([answers_of()] * 2, boxes, labels) == dict.fromkeys(KEYS, 0.0)
    wrong = [answers_of((SMALL, 7, 0.9)), answers_of((LARGE, 0, 0.9))]  # the classes exchanged
    assert average_precision(wrong, boxes, labels) == dict.fromkeys(KEYS, 0.0)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("found", [answers_of(), answers_of((SMALL, 0, 0.9))], ids=["nothing", "something"])
def test_without_any_object_there_is_nothing_to_judge(found, capsys):
    scores = average_precision([found] * 2, torch.zeros(2, 3, 4), torch.full((2, 3), NOBODY))
    assert list(scores) == KEYS and all(math.isnan(score) for score in scores.values())
    assert capsys.readouterr().out == ""


def test_a_box_found_twice():
    """It costs what stands after it: nothing as the last, more as the first that fits badly."""
    boxes, labels = objects_of([(LARGE, 0), (MEDIUM, 0)])
    right = [(LARGE, 0, 0.9), (MEDIUM, 0, 0.7)]

    def score(*more):
        return average_precision([answers_of(*right, *more)], boxes, labels)

    assert score()["mAP"] == pytest.approx(1)
    assert score((LARGE, 0, 0.6))["mAP"] == pytest.approx(1)  # after all that is there was found
    between = 51 / 101 + 50 / 101 * 2 / 3  # up to recall ½, and beyond
    assert score((LARGE, 0, 0.8))["mAP"] == pytest.approx(between)
    assert score((LARGE, 0, 0.95))["mAP"] == pytest.approx(between)  # then the first is the right one
    off = [0.0, 0, 60, 36]  # IoU 0.72: it counts up to 0.7, and from 0.75 on the other one does
    worse = score((off, 0, 0.95))
    assert worse["AP50"] == pytest.approx(between)
    assert worse["AP75"] == pytest.approx(2 / 3)
    assert worse["mAP"] == pytest.approx((5 * between + 5 * 2 / 3) / 10)


def test_false_boxes_in_pictures_without_objects_count():
    boxes, labels = objects_of([(LARGE, 0)], [])
    right = answers_of((LARGE, 0, 0.5))
    assert average_precision([right, answers_of()], boxes, labels)["mAP"] == pytest.approx(1)
    assert average_precision([right, answers_of((MEDIUM, 0, 0.4))], boxes, labels)["mAP"] == pytest.approx(1)
    assert average_precision([right, answers_of((MEDIUM, 0, 0.6))], boxes, labels)["mAP"] == pytest.approx(
        1 / 2
    )
    # of a class that no picture holds, nothing can be right, and nothing counts
    assert average_precision([right, answers_of((MEDIUM, 3, 0.6))], boxes, labels)["mAP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("width", "height", "sizes"),
    [
        (15, 17, {"small"}),
        (16, 16, {"small", "medium"}),  # a limit belongs to both sides, as in pycocotools
        (8, 32, {"small", "medium"}),
        (16, 17, {"medium"}),
        (31, 33, {"medium"}),
        (32, 32, {"medium", "large"}),
        (33, 32, {"large"}),
    ],
)
def test_sizes_go_by_area(width, height, sizes):
    box = [3.0, 5.0, 3.0 + width, 5.0 + height]
    scores = average_precision([answers_of((box, 2, 0.3))], *objects_of([(box, 2)]))
    assert {name for name in KEYS[3:] if scores[name] == pytest.approx(1)} == sizes
    assert all(math.isnan(scores[name]) for name in KEYS[3:] if name not in sizes)


def matched(objects, answers, least, low, high):
    """Which answers of one picture are right: True, False, or None where neither counts."""
    ignored = [not low <= (x1 - x0) * (y1 - y0) <= high for x0, y0, x1, y1 in objects]
    free, judged = set(range(len(objects))), []
    for box, _ in answers:
        fits = {number: plain_iou(box, objects[number]) for number in free}
        fits = {number: fit for number, fit in fits.items() if fit >= least - 1e-10}
        counted = [number for number in fits if not ignored[number]]
        best = max(counted or fits, key=lambda number: (fits[number], number), default=None)
        area = (box[2] - box[0]) * (box[3] - box[1])
        if best is None:
            judged.append(False if low <= area <= high else None)
        else:
            free.remove(best)
            judged.append(None if ignored[best] else True)
    return judged, ignored.count(False)


def precision_by_hand(found, boxes, labels, limits=(0, 1e10), overlaps=OVERLAPS):
    """The mean, over classes and overlaps, of the best precision at 101 recalls or beyond each."""
    values = []
    for label in sorted(set(labels.flatten().tolist()) - {NOBODY}):
        for least in overlaps:
            ranked, count = [], 0
            for picture, of in enumerate(found):
                objects = boxes[picture][labels[picture] == label].tolist()
                rows = zip(of.boxes.tolist(), of.labels.tolist(), of.scores.tolist(), strict=True)
                answers = sorted(
                    ((box, s) for box, name, s in rows if name == label), key=lambda row: -row[1]
                )
                judged, there = matched(objects, answers, least, *limits)
                count += there
                ranked += [(-s, right) for (_, s), right in zip(answers, judged, strict=True)]
            if not count:
                continue
            judged = [right for _, right in sorted(ranked, key=lambda row: row[0]) if right is not None]
            points = [
                (sum(judged[:end]) / count, sum(judged[:end]) / end) for end in range(1, len(judged) + 1)
            ]
            values.append(
                sum(
                    max((precision for reached, precision in points if reached >= recall), default=0)
                    for recall in np.linspace(0, 1, 101)
                )
                / 101
            )
    return sum(values) / len(values) if values else math.nan


@pytest.mark.parametrize("seed", range(25))
def test_average_precision_from_its_definition(seed):
    generator = torch.Generator().manual_seed(seed)
    pictures, most = 3, 4
    boxes = random_boxes(generator, pictures, most, size=56, step=4)
    labels = torch.tensor([NOBODY, 0, 2, 5])[torch.randint(0, 4, (pictures, most), generator=generator)]
    found = []
    for picture in range(pictures):  # near what is there, or anywhere
        near = boxes[picture].repeat(3, 1) + torch.randint(-2, 3, (12, 4), generator=generator)
        near[:, 2:] = torch.maximum(near[:, 2:], near[:, :2] + 1)
        near = torch.cat([near, random_boxes(generator, 5, size=56)])
        names = torch.cat([labels[picture].repeat(3), torch.tensor([0, 2, 5, 1, 0])])
        names = torch.where(torch.rand(17, generator=generator) < 0.2, 0, names)
        scores = torch.rand(17, generator=generator)
        some = names != NOBODY
        found.append(Found(near[some], names[some], scores[some], names[some]))
    scores = average_precision(found, boxes, labels)
    expected = {
        "mAP": precision_by_hand(found, boxes, labels),
        "AP50": precision_by_hand(found, boxes, labels, overlaps=[0.5]),
        "AP75": precision_by_hand(found, boxes, labels, overlaps=[0.75]),
        "small": precision_by_hand(found, boxes, labels, (0, 256)),
        "medium": precision_by_hand(found, boxes, labels, (256, 1024)),
        "large": precision_by_hand(found, boxes, labels, (1024, 1e10)),
    }
    assert scores == pytest.approx(expected, abs=1e-9, nan_ok=True)


# Intersection over union


def shares_by_hand(named, meant, classes):
    shares = []
    for of in range(1 + classes):
        said = {place for place, name in enumerate(named) if name == of and meant[place] != UNKNOWN}
        there = {place for place, name in enumerate(meant) if name == of}
        shares.append(len(said & there) / len(said | there) if said | there else math.nan)
    return shares


@settings(max_examples=60)
@given(seed=SEEDS, classes=st.integers(1, 4), height=st.integers(1, 4), width=st.integers(1, 5))
def test_intersection_over_union_of_sets(seed, classes, height, width):
    generator = torch.Generator().manual_seed(seed)
    named, meant = torch.randint(0, 1 + classes, (2, 2, height, width), generator=generator).byte()
    meant[torch.rand(meant.shape, generator=generator) < 0.2] = UNKNOWN
    shares = intersection_over_union(named, meant, classes)
    expected = shares_by_hand(named.flatten().tolist(), meant.flatten().tolist(), classes)
    assert shares == pytest.approx(expected, nan_ok=True)


def test_classes_neither_named_nor_meant_have_no_share():
    pixels = torch.tensor([[[0, 0, 2, UNKNOWN]]], dtype=torch.uint8)
    named = torch.tensor([[[0, 2, 2, 3]]], dtype=torch.uint8)
    assert intersection_over_union(named, pixels, 4) == pytest.approx(
        [1 / 2, math.nan, 1 / 2, math.nan, math.nan], nan_ok=True
    )
    perfect = intersection_over_union(pixels.clamp(max=4), pixels, 4)
    assert perfect == pytest.approx([1, math.nan, 1, math.nan, math.nan], nan_ok=True)
    nothing = intersection_over_union(named, torch.full_like(pixels, UNKNOWN), 4)
    assert len(nothing) == 5 and all(map(math.isnan, nothing))
