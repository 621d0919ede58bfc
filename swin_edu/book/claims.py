"""Sentences about Swin: the reader guesses, a cell finds out, and what it found decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from swin_edu.book.explorers import Guesses
from swin_edu.book.explorers.guesses import WORDS

_, TRUE, HALF, FALSE = WORDS


@dataclass(frozen=True)
class Decision:
    """What a cell found out about each part of a claim."""

    number: int
    claim: str
    findings: dict[str, bool]

    @property
    def verdict(self) -> str:
        """True when every part holds, false when none does, otherwise half true."""
        held = sum(self.findings.values())
        return TRUE if held == len(self.findings) else HALF if held else FALSE


class Claims:
    """The claims of a chapter: what was asked, and what was decided."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.guesses: dict[int, Guesses] = {}
        self.decided: dict[int, Decision] = {}

    def ask(self, texts: Mapping[int, str]) -> Guesses:
        """Return an explorer that takes the reader's guesses for some claims."""
        guesses = Guesses(dict(texts))
        self.texts |= texts
        self.guesses |= dict.fromkeys(texts, guesses)
        return guesses

    def decide(self, number: int, findings: Mapping[str, Any]) -> None:
        """Print what was found out about each part of a claim, and the verdict that follows.

        Raises ValueError when nobody has asked for the claim, or nothing was found out.
        """
        if number not in self.texts:
            raise ValueError(f"claim {number} was not asked; there are {', '.join(map(str, self.texts))}")
        if not findings:
            raise ValueError(
                f"nothing was found out about claim {number}; give its parts and whether each holds"
            )
        decision = Decision(number, self.texts[number], {part: bool(held) for part, held in findings.items()})
        self.decided[number] = decision
        for part, held in decision.findings.items():
            print(f"{'yes' if held else 'no ':3}  {part}")
        print(f"Claim {number} is {decision.verdict}.{self.beside(decision)}")

    def decisions(self) -> list[Decision]:
        """Return what was decided, in the order of the numbers.

        Raises ValueError when a claim that was asked is not decided.
        """
        missing = sorted(self.texts.keys() - self.decided.keys())
        if missing:
            raise ValueError(
                f"not yet decided: {', '.join(map(str, missing))}; run the cells of these claims"
            )
        return [self.decided[number] for number in sorted(self.decided)]

    def beside(self, decision: Decision) -> str:
        """Say what the reader guessed, if anything."""
        guess = self.guesses[decision.number].guess(decision.number)
        if guess is None:
            return ""
        return f" You guessed {guess}{': right' if guess == decision.verdict else ''}."
