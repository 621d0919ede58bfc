"""The three tasks: what each puts on a backbone, and how it is trained and judged."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor, nn

from swin_edu.tasks.detection import Detector, detect, detection_loss
from swin_edu.tasks.metrics import average_precision, intersection_over_union
from swin_edu.tasks.segmentation import Segmenter, segment, segmentation_loss
from swin_edu.training import CLASSIFICATION, RECIPES, Recipe, Task


class Kind(NamedTuple):
    """A task: what stands on a backbone with `features`, how it is trained, what its score is called."""

    build: Callable[[Any, int], nn.Module]  # from the backbone and the number of classes
    task: Task
    score: str
    recipe: Recipe  # for scenes


def mean_ap(model: nn.Module, images: Tensor, boxes: Tensor, labels: Tensor, _: Tensor) -> float:
    """Return the mAP of a detector on annotated pictures."""
    return average_precision(detect(model, images), boxes, labels)["mAP"]


def mean_iou(model: nn.Module, images: Tensor, _: Tensor, labels: Tensor, pixels: Tensor) -> float:
    """Return the mIoU of a segmenter on annotated pictures, over the classes that are there."""
    named = segment(model, images)
    classes = max(int(labels.max()) + 1, int(named.max()))  # some may be named that are not there
    return float(np.nanmean(intersection_over_union(named, pixels, classes)))


NAMING = RECIPES["scenes"]
FINDING = replace(NAMING, epochs=10, learning_rate=4e-3, warmup=0.05)

KINDS = {
    "classification": Kind(lambda backbone, classes: backbone, CLASSIFICATION, "right", NAMING),
    "detection": Kind(Detector, Task(detection_loss, mean_ap), "mAP", FINDING),
    "segmentation": Kind(
        Segmenter, Task(segmentation_loss, mean_iou), "mIoU", replace(FINDING, batch=32, learning_rate=3e-3)
    ),
}
