"""Instant checks: ``check.window_partition(my_function)`` says whether it is right, if not, where and why.

There is a check for every item of the exercises and assignments, under the name of what is to be written.
"""

from collections.abc import Callable
from functools import partial

import torch

from swin_edu.book.classroom.assignments import ITEMS
from swin_edu.book.classroom.item import Item, Verdict, attempt, judge
from swin_edu.book.drawings import target_and_yours
from swin_edu.book.style import show

SEED = 0


def __getattr__(name: str) -> Callable[[Callable], "Checked"]:
    if name not in ITEMS:
        raise AttributeError(f"there is no check {name!r}; there are {', '.join(sorted(ITEMS))}")
    return partial(check, ITEMS[name])


def __dir__() -> list[str]:
    return sorted(ITEMS)


class Checked:
    """True where the function passed; it shows nothing more, since the check has said all."""

    def __init__(self, passed: bool) -> None:
        self.passed = passed

    def __bool__(self) -> bool:
        return self.passed

    def _ipython_display_(self) -> None:
        pass


def check(item: Item, function: Callable) -> Checked:
    """Run a function on the item's cases and say how its values compare with the target's."""
    if not callable(function):
        raise TypeError(f"check.{item.name} takes the function itself, got a {type(function).__name__}")
    calls = item.calls(SEED)
    with torch.random.fork_rng(devices=[]):
        verdict = judge(item, calls, [attempt(item, function, arguments) for arguments in calls])
    name = getattr(function, "__name__", item.name)
    print(in_words(name, verdict))
    if verdict.picture:
        show(
            target_and_yours(*verdict.picture),
            alt=f"A part of the target beside the same part of what {name} gives: {verdict.message}.",
        )
    return Checked(verdict.outcome == "right")


def in_words(name: str, verdict: Verdict) -> str:
    """Say what came out, and what to look at."""
    if verdict.outcome == "right":
        return f"✓ {name}: {verdict.cases} of {verdict.cases} cases, all {verdict.values:,} values"
    if verdict.outcome == "empty":
        return f"○ {name} {verdict.message}"
    lines = [
        f"✗ {name}: {verdict.share:.0%} of {verdict.values:,} values are right",
        f"  case {verdict.case}, {verdict.given}:",
        f"  {name} {verdict.message}",
    ]
    return "\n".join([*lines, f"  hint: {verdict.hint}"] if verdict.hint else lines)
