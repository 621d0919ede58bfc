"""The explorer of chapter 14: what is found in a scene, which level found it, and where that token looked."""

import copy
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor, nn
from torch.nn import functional as F

from swin_edu.book.drawings.insight import Look, lit
from swin_edu.book.drawings.tasks import KINDS, LINES
from swin_edu.book.explorers.base import Explorer, Slider
from swin_edu.book.scenes import CLASSES
from swin_edu.book.style import BLUE, INK, MUTED, ORANGE, PAPER, box, mark, mosaic, picture
from swin_edu.insight import look_inside
from swin_edu.tasks.detection import Detector, detect, places_of
from swin_edu.tasks.segmentation import Segmenter, segment
from swin_edu.training import normalise

SIDE, MOST, LEVELS = 64, 6, 3
LEAST, MOST_FOUND = 0.05, 100  # the lowest score, and the most boxes, that `detect` returns
PALETTE = np.array([to_rgb(color) for color in KINDS])
COLOUR = 0.6  # share of a class's colour over the grey scene
NEAR, APART = 5, 16  # pixels: between any two numbers on the classes, and between two of one class
LETTER, LINE = 1.85, 4.4  # pixels of the scene that a letter takes across, and a line of text down


class Box(NamedTuple):
    """A box that was found, with the place that answered."""

    scene: int
    label: int
    score: float
    level: int  # from 1, fine to coarse
    row: int
    column: int
    named: int  # per cent of its pixels that the segmenter gives the same class
    sides: tuple[float, ...]  # x0, y0, x1, y1


class Objects(Explorer):
    """Up to 6 scenes, bytes `(n, 3, 64, 64)`, and what a detector and a segmenter find in them.

    What is sent is computed with 64 bits on the CPU, to be the same on every machine.
    """

    script = "objects.js"
    title = "Objects in a scene: boxes, the class of each pixel, and where the answering token looked"
    scene = Slider(0, range(MOST), "Scene")
    threshold = Slider(30, range(5, 100, 5), "Threshold, %")
    level = Slider(0, range(LEVELS + 1), "Level, 0 for all")
    object = Slider(1, range(1, MOST_FOUND + 1), "Box")

    def __init__(self, images: Tensor, detector: Detector, segmenter: Segmenter, **state: int) -> None:
        check(images, detector, segmenter)
        scenes = images.cpu().double() / 255
        exact = exactly(detector)
        self.images, self.pixels = scenes.float(), segment(exactly(segmenter), scenes)
        self.strides: list[int] = exact.strides
        of_stride = {seen.stride: seen for seen in look_inside(exact.backbone, normalise(scenes))}
        self.seen = [of_stride[stride] for stride in self.strides]  # of the last block of each stage
        self.found = found_boxes(exact, scenes, self.pixels)
        self.numbers = [numbers_of(pixels) for pixels in self.pixels]
        self.overlays = [overlay(*of_scene) for of_scene in zip(scenes, self.pixels, strict=True)]
        every = [each for found in self.found for each in found]
        windows = [in_window(self.look(each)) for each in every]
        longest = max(seen.tokens.shape[1] for seen in self.seen)
        arrays: dict[str, np.ndarray] = {
            "facts": np.array([each[:-1] for each in every], np.float32).reshape(-1, 7),
            "boxes": np.array([each.sides for each in every], np.float32).reshape(-1, 4),
            "numbers": np.array(
                [(scene, *each) for scene, numbers in enumerate(self.numbers) for each in numbers], np.float32
            ).reshape(-1, 4),
            "palette": (255 * PALETTE).round().astype(np.uint8),
            "strides": np.array(self.strides, np.float32),
        }
        for place, name in enumerate(("keys", "weights", "allowed")):
            rows = [
                np.pad(each[place], (0, longest - len(each[place])), constant_values=-1) for each in windows
            ]
            arrays[name] = np.array(rows, np.float32).reshape(-1, longest)
        for number, (image, named) in enumerate(zip(images.cpu(), self.overlays, strict=True)):
            arrays |= {f"photo{number}": image.permute(1, 2, 0).numpy(), f"named{number}": named}
        super().__init__(arrays, **state)

    def limits(self) -> dict[str, int]:
        """Return the last scene, and the number of boxes shown, or 1 when there are none."""
        return {"scene": len(self.found) - 1, "object": max(1, len(self.shown()))}

    def above(self) -> list[Box]:
        """Return the boxes of the scene above the threshold, the surest first."""
        found = self.found[min(self.scene, len(self.found) - 1)]
        return [each for each in found if each.score > self.threshold / 100]

    def shown(self) -> list[Box]:
        """Return those of them that the chosen level answered, or all levels."""
        return [each for each in self.above() if self.level in (0, each.level)]

    def chosen(self) -> Box | None:
        """Return the box that is looked at, if any is shown."""
        shown = self.shown()
        return shown[self.state["object"] - 1] if shown else None

    def look(self, found: Box) -> Look:
        """Return where the token that answered looks in the last block of its stage: mean of the heads."""
        seen, place = self.seen[found.level - 1], (found.row, found.column)
        return Look(seen, seen.on_map(seen.weights[found.scene], *place).mean(0).float(), place)

    def counts(self) -> list[int]:
        """Return how many boxes above the threshold each level answered."""
        levels = [each.level for each in self.above()]
        return [levels.count(level) for level in range(1, LEVELS + 1)]

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        state, counts = self.state, self.counts()
        by_level = ", ".join(f"{count or 'none'} from level {level}" for level, count in enumerate(counts, 1))
        begin = f"Scene {state['scene']}, threshold {self.threshold} %: {in_words(sum(counts))}, {by_level}."
        found, of_level = self.chosen(), f" from level {self.level}" if self.level else ""
        if not found:
            return f"{begin} No box{of_level} is shown."
        name, weights = CLASSES[found.label], self.look(found).values
        row, column = divmod(int(weights.argmax()), weights.shape[1])
        where = "itself" if (row, column) == found[4:6] else f"row {row}, column {column}"
        return (
            f"{begin} Box {state['object']} of {len(self.shown())}{of_level}: {name}, "
            f"{per_cent(found.score)} %, from level {found.level}, "
            f"place row {found.row}, column {found.column}; the segmenter names {found.named} % "
            f"of its pixels {name}. That token attends most to {where} ({per_cent(weights.max())} %)."
        )

    def still(self) -> Figure:
        """Draw the boxes, the class of each pixel, where the token looks, and the scores by level."""
        pattern = [["scene", "classes", "token"], ["scores"] * 3]
        drawn, axes = mosaic(10, 5.3, pattern, height_ratios=[3.4, 1])
        self._scene(axes["scene"])
        self._classes(axes["classes"])
        self._token(axes["token"])
        self._scores(axes["scores"])
        return drawn

    def _scene(self, axes: Axes) -> None:
        scene, shown, chosen = self.state["scene"], self.shown(), self.chosen()
        which = f"level {self.level}" if self.level else "all levels"
        picture(axes, self.images[scene].permute(1, 2, 0).numpy(), f"boxes above {self.threshold} %, {which}")
        for found in sorted(shown, key=lambda each: (each is chosen, each.score)):  # the surest on top
            outline(axes, found, thick=found is chosen)
        if chosen:
            stride = self.strides[chosen.level - 1]
            mark(axes, chosen.column * stride, chosen.row * stride, stride, stride, linewidth=1.5)
        for number, x, y in names_at(shown, self.state["object"] - 1):
            own, text = shown[number] is chosen, name_of(shown[number])
            style: dict[str, Any] = {"fill": True, "linewidth": 0, "facecolor": BLUE if own else PAPER}
            box(axes, x, y, LETTER * (len(text) + 1), LINE, **style)
            style = {"ha": "left", "va": "center", "fontsize": 8, "color": PAPER if own else INK}
            axes.text(x + LETTER / 2, y + LINE / 2, text, **style)
        below(axes, "blue square: the place that answered")

    def _classes(self, axes: Axes) -> None:
        scene, chosen = self.state["scene"], self.chosen()
        picture(axes, self.overlays[scene], "class of each pixel")
        if chosen:
            outline(axes, chosen, thick=False)
        for number, x, y in self.numbers[scene]:
            badge = {"boxstyle": "circle,pad=0.15", "facecolor": PAPER, "linewidth": 0}
            axes.text(x, y, str(number), ha="center", va="center", fontsize=8, color=INK, bbox=badge)
        names = [f"{number} {name}" for number, name in enumerate(CLASSES, 1)]
        below(axes, "\n".join(", ".join(part) for part in (names[:3], names[3:])))

    def _token(self, axes: Axes) -> None:
        image, chosen = self.images[self.state["scene"]], self.chosen()
        if not chosen:
            picture(axes, 0.6 * image.permute(1, 2, 0).numpy(), "no box is shown")
            return
        look = self.look(chosen)
        lit(axes, image, look, f"where the token looks, level {chosen.level}")
        below(axes, f"dark 0, bright {per_cent(look.values.max())} %; orange: window")

    def _scores(self, axes: Axes) -> None:
        chosen, shown = self.chosen(), self.shown()
        for level, (count, stride) in enumerate(zip(self.counts(), self.strides, strict=True), 1):
            line: dict[str, Any] = {"color": INK, "linewidth": 2, "linestyle": LINES[level - 1]}
            axes.plot([-0.5, -0.44], [level] * 2, **line)
            color = INK if self.level in (0, level) else MUTED
            text = f"level {level} ({stride} px): {in_words(count)}"
            axes.text(-0.42, level, text, va="center", color=color)
            axes.hlines(level, 0, 1, color=MUTED, linewidth=0.5)
        for found in self.found[self.state["scene"]]:
            fill = BLUE if found is chosen else INK if found in shown else PAPER
            size = 9 if found is chosen else 6
            axes.plot(found.score, found.level, "o", color=fill, markeredgecolor=INK, markersize=size)
        threshold = self.threshold / 100
        for color, width in ((INK, 3.4), (ORANGE, 2)):
            axes.vlines(threshold, 0.4, LEVELS + 0.6, color=color, linewidth=width)
        side = "right" if threshold > 0.5 else "left"
        axes.text(threshold, 0.1, f"threshold {self.threshold} %", ha=side, va="center")
        ticks = np.arange(0, 1.01, 0.25)
        axes.set(xlim=(-0.52, 1.03), ylim=(LEVELS + 0.6, -0.4), yticks=[])
        axes.set_xticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks])
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.set_title("Scores of all boxes of the scene, by the level that answered", loc="left")


def check(images: Tensor, detector: Detector, segmenter: Segmenter) -> None:
    """Raise ValueError when the images are no scenes, or a model has other levels or classes."""
    if not (
        images.ndim == 4
        and 1 <= len(images) <= MOST
        and images.shape[1:] == (3, SIDE, SIDE)
        and images.dtype == torch.uint8
    ):
        raise ValueError(
            f"images has shape {tuple(images.shape)} and type {images.dtype}; "
            f"give 1 to {MOST} scenes (n, 3, {SIDE}, {SIDE}) of type torch.uint8"
        )
    if len(detector.strides) != LEVELS:
        raise ValueError(f"detector has {len(detector.strides)} levels; the explorer shows {LEVELS}")
    last: Any = segmenter.classes[-1]
    detects, names = detector.classes.out_channels, last.out_channels // segmenter.patch**2 - 1
    if not detects == names == len(CLASSES):
        raise ValueError(
            f"detector knows {detects} classes and segmenter {names}; "
            f"both must know the {len(CLASSES)} of the scenes"
        )


def exactly(model: nn.Module) -> Any:
    """Return a copy of a model that computes with 64 bits on the CPU."""
    return copy.deepcopy(model).cpu().double().eval()


def found_boxes(detector: Any, scenes: Tensor, pixels: Tensor) -> list[list[Box]]:
    """Return the boxes of each scene, the surest first; numbers are rounded to the 32 bits that are sent."""
    places = places_of([(SIDE // stride,) * 2 for stride in detector.strides], detector.strides)
    columns, rows = (places.centres // places.strides[:, None]).long().unbind(-1)
    result = []
    for scene, found in enumerate(detect(detector, scenes, LEAST)):
        at, boxes = found.places, found.boxes.float().tolist()
        named = [share_named(pixels[scene], *each) for each in zip(found.labels.tolist(), boxes, strict=True)]
        parts = (found.labels, found.scores.float(), places.levels[at] + 1, rows[at], columns[at])
        facts = zip(*(part.tolist() for part in parts), named, map(tuple, boxes), strict=True)
        result.append([Box(scene, *fact) for fact in facts])
    return result


def share_named(pixels: Tensor, label: int, sides: list[float]) -> int:
    """Return how many per cent of the pixels in a box have a class."""
    x0, y0, x1, y1 = sides
    middle = torch.arange(SIDE) + 0.5
    inside = pixels[(middle > y0) & (middle < y1)][:, (middle > x0) & (middle < x1)]
    return per_cent(int((inside == 1 + label).sum()) / max(1, inside.numel()))


def in_window(look: Look) -> tuple[np.ndarray, ...]:
    """Return the tokens in the window of one, its weights for them, and which of them it may look at."""
    keys = np.flatnonzero(look.window)
    return keys, look.values.flatten().numpy()[keys], look.allowed.ravel()[keys]


def numbers_of(pixels: Tensor) -> list[tuple[int, float, float]]:
    """Return where to write the number of a class `(number, x, y)`: amid pixels of it, never too close."""
    of_class = pixels == torch.arange(1, len(CLASSES) + 1)[:, None, None]
    shares = F.avg_pool2d(of_class.float(), 5, stride=1, padding=2).numpy()
    ys, xs = np.mgrid[:SIDE, :SIDE]
    result = []
    while shares.max() > 0.39:  # the thinnest rim of a ring has two pixels of five
        label, y, x = (int(place) for place in np.unravel_index(shares.argmax(), shares.shape))
        distance = np.maximum(abs(ys - y), abs(xs - x))
        shares[label][distance < APART] = 0
        shares[:, distance < NEAR] = 0
        result.append((label + 1, x + 0.5, y + 0.5))
    return result


def overlay(image: Tensor, pixels: Tensor) -> np.ndarray:
    """Return a scene in grey, with the colours of the classes over it, as bytes `(H, W, 3)`."""
    grey = image.mean(0).numpy()[..., None].repeat(3, axis=-1)
    colours = np.vstack([[0, 0, 0], PALETTE])[pixels.numpy()]
    shown = np.where(pixels.numpy()[..., None] > 0, (1 - COLOUR) * grey + COLOUR * colours, grey)
    return (255 * shown).round().astype(np.uint8)


def names_at(shown: list[Box], chosen: int) -> list[tuple[int, float, float]]:
    """Return which boxes get their names, and where `(number, x, y)`: those that leave the others legible.

    The chosen box comes first, then the surest. A name stands above its box, below it, or in it.
    """
    result: list[tuple[int, float, float]] = []
    taken: list[tuple[float, float, float]] = []
    for number in sorted(range(len(shown)), key=lambda number: number != chosen):
        x0, y0, x1, y1 = shown[number].sides
        width = LETTER * (len(name_of(shown[number])) + 1)
        for x, y in ((x0, y0 - LINE), (x1 - width, y0 - LINE), (x0, y1), (x1 - width, y1), (x0, y0)):
            x = max(0.0, min(x, SIDE - width))
            free = all(x + width <= u or u + w <= x or abs(y - v) >= LINE for u, v, w in taken)
            if 0 <= y <= SIDE - LINE and free:
                result.append((number, x, y))
                taken.append((x, y, width))
                break
    return result


def outline(axes: Axes, found: Box, thick: bool) -> None:
    """Draw a box in the colour of its class, with the line of its level."""
    x0, y0, x1, y1 = found.sides
    width = 3.0 if thick else 1.6
    box(axes, x0, y0, x1 - x0, y1 - y0, edgecolor=PAPER, linewidth=width + 2)
    line: dict[str, Any] = {"edgecolor": KINDS[found.label], "linestyle": LINES[found.level - 1]}
    box(axes, x0, y0, x1 - x0, y1 - y0, linewidth=width, **line)


def below(axes: Axes, text: str) -> None:
    """Write below a scene."""
    axes.text(SIDE / 2, SIDE + 1.5, text, ha="center", va="top", fontsize=9, color=MUTED)


def name_of(found: Box) -> str:
    """Return class and score."""
    return f"{CLASSES[found.label]} {per_cent(found.score)} %"


def in_words(count: int) -> str:
    """Return a number of boxes."""
    return f"{count} box" if count == 1 else f"{count} boxes"


def per_cent(share: float | Tensor) -> int:
    """Return a share in whole per cent, rounded as the page does."""
    return int(100 * float(share) + 0.5)
