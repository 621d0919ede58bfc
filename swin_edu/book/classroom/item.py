"""What an item asks, and how an answer to it is judged: by its values, beside those of a reference."""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor

from swin_edu.book.classroom.inside import as_values, problem_of

Arguments = tuple[Any, ...]  # tensors, numbers, text, and tuples or dicts of them
Rows = list[list[float]]
Picture = tuple[Rows, Rows, list[list[int]]]  # target, answer, and the places (row, column) where they differ


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give: its name for the teacher, and a hint for the student."""

    name: str
    hint: str
    function: Callable


@dataclass(frozen=True)
class Item:
    """One function to write.

    `reference` gives the item its name, its docstring is the task. `cases` draws the arguments of some calls,
    the smallest first. `others` are right too, but written in another way.
    """

    reference: Callable
    cases: Callable[[Generator], Sequence[Arguments]]
    mistakes: tuple[Mistake, ...]
    others: tuple[Callable, ...]
    points: int = 2

    @property
    def name(self) -> str:
        """The name of the function to write."""
        return self.reference.__name__

    @property
    def task(self) -> str:
        """What is asked."""
        return inspect.getdoc(self.reference) or ""

    def calls(self, seed: int) -> list[Arguments]:
        """Draw the arguments of all cases."""
        return [tuple(case) for case in self.cases(Generator().manual_seed(seed))]

    def answer(self, function: Callable, arguments: Arguments) -> Any:
        """Return what a function gives for copies of the arguments."""
        return function(*copied(arguments))

    def describe(self, arguments: Arguments) -> str:
        """Say what a case is: `x (1, 4, 6, 2), window 2`; of small tensors, the values too."""
        names = list(inspect.signature(self.reference).parameters)
        return ", ".join(f"{name} {described(value)}" for name, value in zip(names, arguments, strict=False))


def copied(value: Any) -> Any:
    """Return a copy whose tensors may be written to."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, tuple):
        return tuple(map(copied, value))
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return value


def described(value: Any) -> str:
    """Return the shape of a tensor, the number of a dict's entries, or the value itself."""
    if isinstance(value, Tensor):
        return str(tuple(value.shape))
    return f"of {len(value)} tensors" if isinstance(value, dict) else repr(value)


@dataclass(frozen=True)
class Answer:
    """What a function gave for one case: values, or why there are none."""

    values: tuple[Tensor, ...] = ()
    problem: str = ""


EMPTY, NOTHING = "empty", ("is not written yet", "returns nothing")


@dataclass(frozen=True)
class Verdict:
    """How an answer to an item was judged; `outcome` is right, wrong, raised, empty, not-found or a status.

    `share` of all values is right; `case` is the first that is not, `given` says what it was; `mistake` is
    the name of a known one, with its `hint`; `picture` shows a part of the target and of the answer there.
    """

    outcome: str
    share: float = 0.0
    values: int = 0
    cases: int = 0
    case: int = 0
    given: str = ""
    message: str = ""
    mistake: str = ""
    hint: str = ""
    picture: Picture | None = None


def judge(item: Item, calls: Sequence[Arguments], answers: Sequence[Answer]) -> Verdict:
    """Judge the answers to some calls beside those of the reference."""
    targets = [attempt(item, item.reference, arguments) for arguments in calls]
    right = [share_right(target, answer) for target, answer in zip(targets, answers, strict=True)]
    sizes = [sum(value.numel() for value in target.values) for target in targets]
    share = sum(part * size for part, size in zip(right, sizes, strict=True)) / sum(sizes)
    wrong = [case for case, part in enumerate(right) if part < 1]
    if not wrong:
        return Verdict("right", 1.0, sum(sizes), len(calls))
    first = wrong[0]
    target, answer = targets[first], answers[first]
    known = next(
        (mistake for mistake in item.mistakes if gives(item, mistake.function, calls, answers)), None
    )
    picture = None
    if len(target.values) == len(answer.values) == 1 and target.values[0].numel() > 1:
        picture = side_by_side(target.values[0], answer.values[0])
    return Verdict(
        outcome=EMPTY if answer.problem in NOTHING else "raised" if answer.problem else "wrong",
        share=min(share, math.nextafter(1, 0)),
        values=sum(sizes),
        cases=len(calls),
        case=first + 1,
        given=item.describe(calls[first]),
        message=answer.problem or difference(target.values, answer.values),
        mistake=known.name if known else "",
        hint=known.hint if known else "",
        picture=picture,
    )


def attempt(item: Item, function: Callable, arguments: Arguments) -> Answer:
    """Return a function's answer to a call, also where it raises."""
    try:
        return Answer(as_values(item.answer(function, arguments)))
    except Exception as error:
        return Answer(problem=problem_of(error, function))


def share_right(target: Answer, answer: Answer) -> float:
    """Return the share of the target's values that the answer has; 0 where shapes differ."""
    if answer.problem or shapes(target.values) != shapes(answer.values):
        return 0.0
    same = [close(*pair) for pair in zip(target.values, answer.values, strict=True)]
    return sum(int(places.sum()) for places in same) / max(1, sum(places.numel() for places in same))


def close(target: Tensor, value: Tensor) -> Tensor:
    """Tell where values are the target's: whole numbers exactly, others up to single precision's rounding."""
    if not target.is_floating_point():
        return value.double() == target
    return torch.isclose(value.double(), target, rtol=1e-4, atol=1e-5)


def shapes(values: Sequence[Tensor]) -> list[tuple[int, ...]]:
    """Return the shape of each."""
    return [tuple(value.shape) for value in values]


def gives(item: Item, mistake: Callable, calls: Sequence[Arguments], answers: Sequence[Answer]) -> bool:
    """Tell whether a known mistake gives these very answers."""
    for arguments, answer in zip(calls, answers, strict=True):
        known = attempt(item, mistake, arguments)
        if (
            bool(known.problem) != bool(answer.problem)
            or known.problem.split(":")[0] != answer.problem.split(":")[0]
        ):
            return False
        if shapes(known.values) != shapes(answer.values):
            return False
        pairs = zip(known.values, answer.values, strict=True)
        if not all(bool((close(*pair) | (pair[0].isnan() & pair[1].isnan())).all()) for pair in pairs):
            return False
    return True


def difference(target: Sequence[Tensor], values: Sequence[Tensor]) -> str:
    """Say in one sentence how values differ from the target."""
    if len(target) != len(values):
        return f"returns {len(values)} values instead of {len(target)}"
    for wanted, value in zip(target, values, strict=True):
        if wanted.shape != value.shape:
            return f"returns shape {tuple(value.shape)} instead of {tuple(wanted.shape)}"
        wrong = ~close(wanted, value)
        if wrong.any():
            place = tuple(wrong.nonzero()[0].tolist())
            where = f"at {place} " if place else ""
            return f"{where}gives {in_digits(value[place])} instead of {in_digits(wanted[place])}"
    return ""


def in_digits(number: Tensor) -> str:
    """Return whole numbers as they are, others with six digits."""
    return f"{number.item():g}" if number.is_floating_point() else str(number.item())


MOST_ROWS = 16  # and columns, of the part that is drawn


def side_by_side(target: Tensor, value: Tensor) -> Picture:
    """Return a part of two tensors and where they differ; where shapes agree, a part in which they do."""
    targets, values = as_maps(target), as_maps(value)
    if target.shape != value.shape:
        return rows(targets[0]), rows(values[0]), []
    wrong = ~close(targets, values)
    worst = int(wrong.sum((1, 2)).argmax())
    first = wrong[worst].nonzero().amin(0).tolist()
    row, column = (
        min(place, max(0, size - MOST_ROWS)) for place, size in zip(first, wrong.shape[1:], strict=True)
    )
    part = (worst, slice(row, row + MOST_ROWS), slice(column, column + MOST_ROWS))
    return rows(targets[part]), rows(values[part]), wrong[part].nonzero().tolist()


def as_maps(value: Tensor) -> Tensor:
    """Return a tensor as maps of rows and columns: its last two axes that are longer than 1, or one row."""
    value = value.squeeze()
    if 0 in value.shape:
        return torch.zeros(1, 1, 1)
    return value.reshape(-1, *value.shape[-2:]) if value.ndim > 1 else value.reshape(1, 1, -1)


def rows(part: Tensor) -> Rows:
    """Return the first rows and columns as numbers of four digits."""
    return [[float(f"{number:.4g}") for number in row] for row in part[:MOST_ROWS, :MOST_ROWS].tolist()]
