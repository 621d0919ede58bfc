"""The explorer of chapter 10: what a trained model answers when the digit that it reads is moved."""

import copy

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from swin_edu.block import SwinBlock, SwinBlockV2
from swin_edu.book.explorers.base import Explorer, Slider
from swin_edu.book.style import BLUE, INK, ORANGE, PAPER, box, grid, mark, mosaic, picture
from swin_edu.model import SwinTransformer
from swin_edu.training import normalise

SIDE, CLASSES = 8, 10
FAR = 3  # pixels
PLACES = [(down, right) for down in range(-FAR, FAR + 1) for right in range(-FAR, FAR + 1)]
HOME = PLACES.index((0, 0))
CLEAR, HARD = 18, 6
CLOSE = 0.01
GREY = "#d0d0d0"


class Moves(Explorer):
    """A model trained on digits, and others held out: bytes `(N, 3, 8, 8)`, with their classes `(N,)`.

    Shown are 24 of these: 18 of all classes in turn, then the 6 whose class the model gives least.
    What is sent is computed with 64 bits on the CPU, to be the same on every machine.
    """

    script = "moves.js"
    title = "A handwritten digit is moved, and read again"
    digit = Slider(0, range(CLEAR + HARD), "Digit")
    down = Slider(0, range(-FAR, FAR + 1), "Pixels down")
    right = Slider(2, range(-FAR, FAR + 1), "Pixels right")

    def __init__(self, model: SwinTransformer, images: Tensor, labels: Tensor, **state: int) -> None:
        check(model, images, labels)
        images, labels = images.cpu(), labels.cpu().long()
        exact = copy.deepcopy(model).cpu().double().eval()
        quick = copy.deepcopy(exact).float()
        chosen = selection(probabilities(exact, images).gather(1, labels[:, None])[:, 0], labels)
        self.labels = labels[chosen]
        self.moved = torch.stack([moved(images[chosen], *place) for place in PLACES], dim=1)
        shares = probabilities(exact, self.moved.flatten(0, 1)).unflatten(0, (len(chosen), len(PLACES)))
        self.answers, self.probabilities = shares.argmax(-1), shares.float()
        ink = self.moved.long().sum((2, 3, 4))
        self.ink = [[per_cent(left, max(1, of[HOME])) for left in of] for of in ink.tolist()]
        self.count = len(images)
        batch = 7 * len(images)  # fewer are slow on many threads, more need much memory
        everywhere = torch.cat([moved(images, *place) for place in PLACES])
        found = torch.cat([answers(quick, exact, some) for some in everywhere.split(batch)])
        self.right_answers = (found.view(len(PLACES), -1) == labels).sum(1).tolist()
        block = next(part for part in model.modules() if isinstance(part, (SwinBlock, SwinBlockV2)))
        self.patch = model.embedding.patch
        self.window = min(SIDE, self.patch * block.window)
        arrays = {
            "digits": self.moved[:, HOME].permute(0, 2, 3, 1).flatten(0, 1),  # one below the other
            "labels": self.labels.byte(),
            "answers": self.answers.byte(),
            "probabilities": self.probabilities,
            "ink": torch.tensor(self.ink, dtype=torch.uint8),
            "right": torch.tensor(self.right_answers, dtype=torch.float32),
            "facts": torch.tensor([self.count, self.patch, self.window], dtype=torch.float32),
        }
        super().__init__({name: array.numpy() for name, array in arrays.items()}, **state)

    @property
    def place(self) -> int:
        """The number of the move among PLACES."""
        return PLACES.index((self.down, self.right))

    def by_distance(self) -> list[int]:
        """Return the per cent of right answers of all moves by 0, 1, 2 and 3 pixels, down or across."""
        rings = [
            [
                right
                for right, move in zip(self.right_answers, PLACES, strict=True)
                if max(map(abs, move)) == far
            ]
            for far in range(FAR + 1)
        ]
        return [per_cent(sum(ring), self.count * len(ring)) for ring in rings]

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        truth, answer = int(self.labels[self.digit]), int(self.answers[self.digit, self.place])
        gets = [int(100 * share + 0.5) for share in self.probabilities[self.digit, self.place].tolist()]
        verdict = "right" if answer == truth else f"wrong; {truth} gets {gets[truth]} %"
        home, *away = self.by_distance()
        return (
            f"Digit {self.digit} (class {truth}), {in_words(self.down, self.right)}, "
            f"{self.ink[self.digit][self.place]} % of its ink left: "
            f"the answer is {answer} with {gets[answer]} %, {verdict}. Of all {self.count} digits "
            f"{per_cent(self.right_answers[self.place], self.count)} % are read right so, "
            f"{home} % unmoved; on average {away[0]} % moved by 1 px, {away[1]} % by 2, {away[2]} % by 3."
        )

    def still(self) -> Figure:
        """Draw the moved digit, what each class gets, both maps of all moves, and all 24 digits."""
        pattern = [["digit", "classes", "all", "one"], ["row"] * 4]
        drawn, axes = mosaic(10, 4.1, pattern, height_ratios=[3.4, 1], width_ratios=[5, 5, 6, 6])
        now = self.moved[:, self.place].permute(0, 2, 3, 1).numpy()
        truths, given = self.labels.tolist(), self.answers.tolist()
        truth, answers = truths[self.digit], given[self.digit]
        picture(axes["digit"], now[self.digit], f"digit {self.digit}\n{in_words(self.down, self.right)}")
        left = f"{self.ink[self.digit][self.place]} % of its ink is left"
        notes = f"{left}\nthin: patches, thick: windows"
        axes["digit"].text(SIDE / 2, SIDE + 0.3, notes, ha="center", va="top", fontsize=9)
        grid(axes["digit"], SIDE, SIDE, self.patch, color=ORANGE, linewidth=0.8)
        grid(axes["digit"], SIDE, SIDE, self.window, color=ORANGE, linewidth=2.5)
        probabilities = self.probabilities[self.digit, self.place].tolist()
        classes(axes["classes"], probabilities, answers[self.place], truth)
        shares = [per_cent(right, self.count) for right in self.right_answers]
        colours = [colormaps["cividis"](share / 100)[:3] for share in shares]
        cells(axes["all"], f"right answers of {self.count}, %", colours, [str(share) for share in shares])
        signs = [sign(answer, truth) for answer in answers]
        colours = [to_rgb(BLUE if answer == truth else PAPER) for answer in answers]
        cells(axes["one"], "this digit's answers, ✓: right", colours, signs)
        for name in ("all", "one"):
            box(axes[name], FAR - 1, FAR - 1, 3, 3, edgecolor=PAPER, linewidth=3)
            box(axes[name], FAR - 1, FAR - 1, 3, 3, edgecolor=INK, linewidth=1.5, linestyle="--")
            mark(axes[name], self.right + FAR, self.down + FAR, 1, 1)
        means = ", ".join(map(str, self.by_distance()))
        axes["all"].set_xlabel(f"pixels right\nmean by 0, 1, 2, 3 px: {means} %", fontsize=9)
        axes["one"].set_xlabel("pixels right\ndashed: at most 1 px", fontsize=9)
        space = np.full((SIDE, 1, 3), 255, np.uint8)
        strip = np.concatenate([np.concatenate([digit, space], 1) for digit in now], 1)
        picture(axes["row"], strip, "all 24 so moved, and their answers, ✓: right")
        for number, answers in enumerate(given):
            text = sign(answers[self.place], truths[number])
            axes["row"].text(number * (SIDE + 1) + SIDE / 2, SIDE + 1, text, ha="center", va="top")
        mark(axes["row"], self.digit * (SIDE + 1), 0, SIDE, SIDE)
        return drawn


def check(model: SwinTransformer, images: Tensor, labels: Tensor) -> None:
    """Raise ValueError with one sentence when these cannot be shown."""
    shape = tuple(images.shape)
    if images.dtype != torch.uint8 or shape[1:] != (3, SIDE, SIDE) or len(images) < CLEAR + HARD:
        raise ValueError(
            f"images has shape {shape} and type {images.dtype}; "
            f"it must be (N, 3, {SIDE}, {SIDE}) with N at least {CLEAR + HARD}, and torch.uint8"
        )
    if tuple(labels.shape) != shape[:1] or not ((labels >= 0) & (labels < CLASSES)).all():
        raise ValueError(
            f"labels has shape {tuple(labels.shape)}; it must be {shape[:1]}, each from 0 to {CLASSES - 1}"
        )
    if model.head.out_features != CLASSES:
        raise ValueError(f"model has {model.head.out_features} classes; it must have {CLASSES}")


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """Return images `(N, 3, H, W)` moved by up to 3 pixels, with 0 where nothing came from."""
    height, width = images.shape[-2:]
    wide = F.pad(images, (FAR, FAR, FAR, FAR))
    return wide[..., FAR - down : FAR - down + height, FAR - right : FAR - right + width]


@torch.no_grad()
def probabilities(exact: SwinTransformer, images: Tensor) -> Tensor:
    """Return what a model of 64 bits gives to each class `(N, 10)`."""
    return exact(normalise(images).double()).softmax(1)


@torch.no_grad()
def answers(quick: SwinTransformer, exact: SwinTransformer, images: Tensor) -> Tensor:
    """Return the class with the highest score `(N,)`.

    A model of 32 bits takes a third of the time; where its two highest are close, that of 64 bits decides.
    """
    highest, classes = quick(normalise(images)).topk(2)
    result, close = classes[:, 0], highest[:, 0] - highest[:, 1] < CLOSE
    result[close] = exact(normalise(images[close]).double()).argmax(1)
    return result


def selection(sure: Tensor, labels: Tensor) -> list[int]:
    """Return 18 images of all classes in turn, in the order given, then the 6 with the lowest `sure`."""
    hard = sure.argsort(stable=True)[:HARD].tolist()
    turns, seen = [], [0] * CLASSES
    for image, label in enumerate(labels.tolist()):
        if image not in hard:
            turns.append((seen[label], label, image))
            seen[label] += 1
    return [image for *_, image in sorted(turns)[:CLEAR]] + hard[::-1]


def per_cent(part: int, whole: int) -> int:
    """Return a share in whole per cent, a half rounded up, as the page does."""
    return (200 * part + whole) // (2 * whole)


def in_words(down: int, right: int) -> str:
    """Say a move in words."""
    parts = [
        f"{abs(pixels)} px {positive if pixels > 0 else negative}"
        for pixels, negative, positive in ((down, "up", "down"), (right, "left", "right"))
        if pixels
    ]
    return f"moved {' and '.join(parts)}" if parts else "not moved"


def sign(answer: int, truth: int) -> str:
    """Return a tick for the right answer, else the answer."""
    return "✓" if answer == truth else str(answer)


def classes(axes: Axes, shares: list[float], answer: int, truth: int) -> None:
    """Draw what each class gets as a bar; the answer has a tick or a cross, the true class a frame."""
    colours = [BLUE if number == answer else GREY for number in range(CLASSES)]
    axes.barh(range(CLASSES), shares, color=colours, height=0.7)
    for number, share in enumerate(shares):
        axes.text(1.45, number, f"{int(100 * share + 0.5)} %", ha="right", va="center")
    axes.text(1.55, answer, "✓ answer" if answer == truth else "× answer", va="center")
    if answer != truth:
        axes.text(1.55, truth, "true", va="center")
    axes.set(xlim=(0, 2.4), ylim=(CLASSES - 0.5, -0.5), xticks=[], yticks=range(CLASSES))
    axes.tick_params(length=0)
    axes.get_yticklabels()[truth].set_bbox({"facecolor": PAPER, "edgecolor": INK, "pad": 1.5})
    axes.set_title("what each class gets")
    axes.spines["bottom"].set_visible(False)
    axes.set_box_aspect(1)


def cells(axes: Axes, title: str, colours: list, texts: list[str]) -> None:
    """Draw one cell for each move, with its text."""
    count = 2 * FAR + 1
    picture(axes, np.reshape(colours, (count, count, 3)), title)
    for index, (color, text) in enumerate(zip(colours, texts, strict=True)):
        row, column = divmod(index, count)
        ink = INK if np.mean(color) > 0.5 else PAPER
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8, color=ink)
    ticks, names = np.arange(count) + 0.5, [f"{pixels}".replace("-", "−") for pixels in range(-FAR, FAR + 1)]
    axes.axis("on")
    axes.set(xticks=ticks, yticks=ticks, xticklabels=names, yticklabels=names, ylabel="pixels down")
    axes.tick_params(length=0, labelsize=9)
