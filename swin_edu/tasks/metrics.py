"""How good answers are: the metrics of COCO and of semantic segmentation, computed by their libraries."""

import io
import math
from collections.abc import Sequence
from contextlib import redirect_stdout
from itertools import pairwise

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from swin_edu.tasks.annotated import NOBODY, UNKNOWN
from swin_edu.tasks.detection import Found

SIZES = {"small": 16, "medium": 32}  # up to such a square of pixels; all others are large


def average_precision(found: Sequence[Found], boxes: Tensor, labels: Tensor) -> dict[str, float]:
    """Return mAP (the mean over classes and over IoU .5 to .95), AP50, AP75, and mAP by the size of objects.

    Shape: B times Found, (B, K, 4), (B, K) -> numbers from 0 to 1, nan where there are no such objects
    Source: Lin et al. 2014 (COCO, arXiv 1405.0312) and pycocotools, which computes them.
    """
    objects = [
        {"image_id": image, "category_id": int(label), "bbox": as_coco(box), "area": area(box), "iscrowd": 0}
        for image, of_image in enumerate(zip(boxes, labels, strict=True))
        for box, label in zip(*of_image, strict=True)
        if label != NOBODY
    ]
    truth, answers = (
        COCO(),
        [
            [image, *as_coco(box), float(score), int(label)]
            for image, of_image in enumerate(found)
            for box, label, score in zip(of_image.boxes, of_image.labels, of_image.scores, strict=True)
        ],
    )
    truth.dataset = {
        "images": [{"id": image} for image in range(len(found))],
        "categories": [{"id": int(label)} for label in labels.unique() if label != NOBODY],
        "annotations": [{"id": number, **each} for number, each in enumerate(objects, 1)],
    }
    with redirect_stdout(io.StringIO()):  # the library prints tables
        truth.createIndex()
        given = truth.loadRes(np.array(answers).reshape(-1, 7)) if answers else COCO()
        judge = COCOeval(truth, given, "bbox")
        edges = [0, *(side**2 for side in SIZES.values()), 1e10]
        judge.params.areaRng = [[0, 1e10], *map(list, pairwise(edges))]
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    names = ("mAP", "AP50", "AP75", *SIZES, "large")
    values = [float(value) if value >= 0 else math.nan for value in judge.stats[: len(names)]]  # -1: none
    return dict(zip(names, values, strict=True))


def as_coco(box: Tensor) -> list[float]:
    """Return x, y, width and height."""
    x0, y0, x1, y1 = box.tolist()
    return [x0, y0, x1 - x0, y1 - y0]


def area(box: Tensor) -> float:
    """Return the pixels in a box."""
    x0, y0, x1, y1 = box.tolist()
    return (x1 - x0) * (y1 - y0)


def intersection_over_union(named: Tensor, pixels: Tensor, classes: int) -> list[float]:
    """Return for the ground and each class: pixels named and meant, by pixels named or meant.

    Shape: (B, H, W), (B, H, W) -> 1 + classes numbers from 0 to 1, nan for a class neither named nor meant
    UNKNOWN pixels are not judged. The mean of the numbers is the mIoU.
    """
    from sklearn.metrics import jaccard_score  # here: the import takes a second

    judged = pixels != UNKNOWN
    meant, said = pixels[judged].numpy(), named[judged].numpy()
    present = np.union1d(meant, said)
    shares = np.full(1 + classes, np.nan)
    if len(present):
        shares[present] = jaccard_score(meant, said, labels=present, average=None)
    return shares.tolist()
