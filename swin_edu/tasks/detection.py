"""Detection: every place of every level says what is there, and how far away the sides of its box are.

Source: Tian et al. 2019 (FCOS, arXiv 1904.01355), section 3.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from einops import rearrange
from kornia.geometry.bbox import nms
from kornia.losses import binary_focal_loss_with_logits
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.tasks.annotated import NOBODY, Annotated, turned_at_random
from swin_edu.tasks.pyramid import FeaturePyramid, channels_and_strides
from swin_edu.training import Recipe, answering, normalise

LONGEST = 4.0  # strides: a level looks for objects up to this length, the coarsest for all longer ones
NEAR = 1.5  # strides: how far from an object's centre a place may be that answers for it
RARE = 0.01  # what the score of every class is at the beginning, for almost all places show ground


class Places(NamedTuple):
    """Where N places stand in the image, level after level, from fine to coarse."""

    centres: Tensor  # (N, 2): x, y in pixels
    strides: Tensor  # (N,): pixels from one place of the level to the next
    levels: Tensor  # (N,): from 0


def places_of(sizes: Sequence[Sequence[int]], strides: Sequence[int]) -> Places:
    """Return the places of levels with these sizes `(H, W)` and strides."""
    centres = [
        torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy"), dim=-1)
        for height, width in sizes
    ]
    counts = torch.tensor([height * width for height, width in sizes])
    return Places(
        torch.cat(
            [(each.flatten(0, 1) + 0.5) * stride for each, stride in zip(centres, strides, strict=True)]
        ),
        torch.tensor(strides, dtype=torch.float32).repeat_interleave(counts),
        torch.arange(len(strides)).repeat_interleave(counts),
    )


def sides_from(centres: Tensor, boxes: Tensor) -> Tensor:
    """Return how far each box's left, top, right and bottom side are from each centre; below 0 outside.

    Shape: (N, 2), (B, K, 4) -> (B, N, K, 4)
    """
    x, y = centres[:, None].unbind(-1)
    x0, y0, x1, y1 = boxes[:, None].unbind(-1)
    return torch.stack([x - x0, y - y0, x1 - x, y1 - y], dim=-1)


def boxes_from(centres: Tensor, sides: Tensor) -> Tensor:
    """Return the boxes whose sides are so far from the centres.

    Shape: (N, 2), (B, N, 4) -> (B, N, 4)
    """
    return torch.cat([centres - sides[..., :2], centres + sides[..., 2:]], dim=-1)


def responsible(places: Places, boxes: Tensor, labels: Tensor) -> Tensor:
    """Return which object each place answers for, or NOBODY.

    Shape: (B, K, 4), (B, K) -> (B, N)
    A place answers for an object when it lies in the box, near its centre, and the level is the finest with
    strides so large that the box is no longer than 4 of them (the coarsest takes all others; strides double
    from level to level). Of several objects it takes the smallest.
    Source: Tian et al. 2019, section 3.2, and the centre sampling of their code.
    """
    limits = torch.where(places.levels == places.levels.max(), math.inf, LONGEST * places.strides)
    shortest = torch.where(places.levels == 0, 0.0, LONGEST * places.strides / 2)  # what a finer level takes
    sizes = boxes[..., 2:] - boxes[..., :2]  # (B, K, 2)
    longest = sizes.amax(dim=-1)[:, None]
    centres = (boxes[..., :2] + boxes[..., 2:])[:, None] / 2
    inside = sides_from(places.centres, boxes).amin(dim=-1) > 0
    near = (places.centres[:, None] - centres).abs().amax(dim=-1) < NEAR * places.strides[:, None]
    fits = (longest > shortest[:, None]) & (longest <= limits[:, None])
    answers = inside & near & fits & (labels != NOBODY)[:, None]
    area, which = torch.where(answers, sizes.prod(dim=-1)[:, None], math.inf).min(dim=-1)
    return torch.where(area.isinf(), NOBODY, which)


def overlap_of_sides(sides: Tensor, targets: Tensor) -> Tensor:
    """Return the generalised IoU of pairs of boxes around one place: from -1 to 1, 1 where they are equal.

    Shape: (N, 4), (N, 4) -> (N)
    Source: Rezatofighi et al. 2019 (arXiv 1902.09630), algorithm 1.
    """

    def area(sides: Tensor) -> Tensor:
        left, top, right, bottom = sides.unbind(-1)
        return (left + right) * (top + bottom)

    both, hull = area(torch.minimum(sides, targets)), area(torch.maximum(sides, targets))
    union = area(sides) + area(targets) - both
    return both / union - (hull - union) / hull


def centreness(sides: Tensor) -> Tensor:
    """Return 1 for a place in the centre of its box, less towards the sides, 0 on them.

    Shape: (N, 4) -> (N)
    Source: Tian et al. 2019, equation 3.
    """
    left, top, right, bottom = sides.unbind(-1)
    across = torch.minimum(left, right) / torch.maximum(left, right)
    down = torch.minimum(top, bottom) / torch.maximum(top, bottom)
    return (across * down).sqrt()


class Answers(NamedTuple):
    """What N places say of B images."""

    classes: Tensor  # (B, N, classes), logits
    sides: Tensor  # (B, N, 4): left, top, right, bottom, in pixels from the place
    centre: Tensor  # (B, N), logits of the centre-ness
    places: Places


class Detector(nn.Module):
    """Images to what every place of every level says, with one head for all levels.

    Raises ValueError when `classes` is below 1.
    Source: Tian et al. 2019, figure 2; here with one convolution in each branch instead of four.
    """

    def __init__(self, backbone: Any, classes: int, width: int = 32) -> None:
        super().__init__()
        if classes < 1:
            raise ValueError(f"classes is {classes}; it must be at least 1")
        self.backbone = backbone
        channels, self.strides = channels_and_strides(backbone)
        self.pyramid = FeaturePyramid(channels, width)
        self.what, self.where = (
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.ReLU())
            for _ in range(2)
        )
        self.classes = nn.Conv2d(width, classes, 3, padding=1)
        self.sides = nn.Conv2d(width, 4, 3, padding=1)
        self.centre = nn.Conv2d(width, 1, 3, padding=1)
        assert self.classes.bias is not None
        nn.init.constant_(self.classes.bias, math.log(RARE / (1 - RARE)))

    def forward(self, images: Tensor) -> Answers:
        """Return what the places say."""
        levels = self.pyramid(self.backbone.features(images))
        classes, sides, centre = [], [], []
        for x, stride in zip(levels, self.strides, strict=True):
            what, where = self.what(x), self.where(x)
            classes.append(rearrange(self.classes(what), "b c h w -> b (h w) c"))
            sides.append(rearrange(F.softplus(self.sides(where)) * stride, "b c h w -> b (h w) c"))
            centre.append(rearrange(self.centre(where), "b 1 h w -> b (h w)"))
        places = places_of([x.shape[2:] for x in levels], self.strides)
        return Answers(
            torch.cat(classes, dim=1),
            torch.cat(sides, dim=1),
            torch.cat(centre, dim=1),
            Places(*(part.to(images.device) for part in places)),
        )


def detection_loss(model: nn.Module, recipe: Recipe, *batch: Tensor) -> Tensor:
    """Return the loss of some annotated pictures, turned at random: of classes, boxes and centre-ness.

    Shape: (B, 3, H, W), (B, K, 4), (B, K), (B, H, W) -> ()
    Source: Tian et al. 2019, equation 2, with the generalised IoU and weights of their code.
    """
    images, boxes, labels, _ = turned_at_random(Annotated(*batch))
    answers: Answers = model(normalise(images))
    which = responsible(answers.places, boxes, labels)
    image, place = (which != NOBODY).nonzero(as_tuple=True)  # those that answer for an object
    object = which[image, place]
    wanted = torch.zeros_like(answers.classes)
    wanted[image, place, labels[image, object]] = 1
    classes = binary_focal_loss_with_logits(
        rearrange(answers.classes, "b n c -> b c n"), rearrange(wanted, "b n c -> b c n"), reduction="sum"
    ) / max(1, len(place))
    if not len(place):
        return classes
    targets = sides_from(answers.places.centres, boxes)[image, place, object]
    central = centreness(targets)
    apart = 1 - overlap_of_sides(answers.sides[image, place], targets)
    sides = (apart * central).sum() / central.sum()
    return classes + 2 * sides + F.binary_cross_entropy_with_logits(answers.centre[image, place], central)


class Found(NamedTuple):
    """The objects found in one image, the surest first."""

    boxes: Tensor  # (n, 4): x0, y0, x1, y1 in pixels
    labels: Tensor  # (n,)
    scores: Tensor  # (n,), from 0 to 1
    places: Tensor  # (n,): the number of the place that answered


def detect(
    model: nn.Module, images: Tensor, threshold: float = 0.05, overlap: float = 0.5, batch: int = 100
) -> list[Found]:
    """Return what is found in each image: no more than 100 objects each, with scores above `threshold`.

    Shape: (B, 3, H, W) -> B times (n, 4), (n), (n), (n)
    A score is the geometric mean of class and centre-ness. Of boxes of one class that overlap by more than
    `overlap` (IoU) the one with the highest score stays.
    """
    found = []
    height, width = images.shape[2:]
    with answering(model) as where:
        for some in images.split(batch):
            answers: Answers = model(normalise(some.to(where)))
            boxes = boxes_from(answers.places.centres, answers.sides)
            boxes = boxes.clamp(min=0).minimum(boxes.new_tensor([width, height, width, height]))
            scores = (answers.classes.sigmoid() * answers.centre.sigmoid().unsqueeze(-1)).sqrt()
            for of_image in zip(boxes.cpu(), scores.cpu(), strict=True):
                found.append(strongest(*of_image, threshold, overlap))
    return found


def strongest(boxes: Tensor, scores: Tensor, threshold: float, overlap: float, most: int = 100) -> Found:
    """Return the surest of all answers, without those that repeat a surer one.

    Shape: (N, 4), (N, C) -> (n, 4), (n), (n), (n)
    Only the surest answers are looked at, 3 times as many as boxes are wanted. A box outside the image has no
    area left, and goes.
    """
    inside = (boxes[:, 2:] > boxes[:, :2]).all(dim=1, keepdim=True)
    place, label = ((scores > threshold) & inside).nonzero(as_tuple=True)
    surest = scores[place, label].argsort(descending=True, stable=True)[: 3 * most]
    place, label = place[surest], label[surest]
    apart = boxes.max() + 1  # so that boxes of different classes never overlap
    kept = nms(boxes[place] + apart * label.unsqueeze(-1), scores[place, label], overlap)[:most]
    place, label = place[kept], label[kept]
    return Found(boxes[place], label, scores[place, label], place)
