"""The explorer of chapter 16: is a popular sentence true, half true or false? The reader guesses first."""

import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from swin_edu.book.explorers.base import Choice, Explorer
from swin_edu.book.style import BLUE, INK, MUTED, box, figure

WORDS = ("no guess yet", "true", "half true", "false")
MOST = 8  # claims, so that their numbers have room in every column of the page's picture
# Of the still picture, in inches; three boxes stand beside each sentence.
WIDTH, LINE, GAP, SQUARE = 9.6, 0.2, 0.24, 0.17
BOXES = {"true": 6.75, "half true": 7.55, "false": 8.7}
LETTERS = 80  # of a sentence in one line


class Guesses(Explorer):
    """Popular sentences by their numbers; the reader says of each whether it is true, half true or false.

    The guess about claim 4 is in the trait `claim_4`: its place among WORDS.
    """

    script = "guesses.js"
    title = "True, half true or false? Guess before you run the cells that decide"

    def __init__(self, claims: dict[int, str], **state: int) -> None:
        if not 1 <= len(claims) <= MOST:
            raise ValueError(f"claims has {len(claims)} sentences; the explorer takes 1 to {MOST}")
        for number, sentence in claims.items():
            check(number, sentence)
        self.claims = dict(claims)
        choices = {f"claim_{n}": Choice(0, WORDS, f"{n}. {sentence}") for n, sentence in claims.items()}
        self.add_traits(**choices)
        super().__init__({}, **state)

    def guess(self, number: int) -> str | None:
        """Return the reader's guess about a claim: "true", "half true", "false", or None."""
        if number not in self.claims:
            numbers = ", ".join(map(str, self.claims))
            raise ValueError(f"claim {number} is not among those shown: {numbers}")
        place = getattr(self, f"claim_{number}")
        return WORDS[place] if place else None

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        guesses = {number: self.guess(number) for number in self.claims}
        made = [f"claim {number} {guess}" for number, guess in guesses.items() if guess]
        if not made:
            return f"No guess yet: choose for each of {len(guesses)} claims."
        return f"You guessed {len(made)} of {len(guesses)}: {', '.join(made)}."

    def alternative(self) -> str:
        """Say what a reader who cannot see the still picture would miss: the sentences too."""
        claims = " ".join(f"Claim {number}: {sentence}" for number, sentence in self.claims.items())
        return f"{self.title}. {claims} {self.describe()}"

    def still(self) -> Figure:
        """Draw the sentences, three boxes beside each, and a tick in the box of its guess."""
        texts = {number: textwrap.wrap(text, LETTERS) for number, text in self.claims.items()}
        height = sum(LINE * len(lines) + GAP for lines in texts.values())
        drawn, [axes] = figure(WIDTH, height)
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        axes.axis("off")
        top = 0.0
        for number, lines in texts.items():
            middle = top + (LINE * len(lines) + GAP) / 2
            axes.text(0.3, middle, f"{number}.", ha="right", va="center", weight="bold")
            # A dollar sign is a dollar sign, on the page too.
            axes.text(0.4, middle, "\n".join(lines), va="center", parse_math=False)
            self._boxes(axes, middle, self.guess(number))
            top += LINE * len(lines) + GAP
            axes.axhline(top, color=MUTED, linewidth=0.4)
        return drawn

    def _boxes(self, axes: Axes, middle: float, guess: str | None) -> None:
        for word, left in BOXES.items():
            box(axes, left, middle - SQUARE / 2, SQUARE, SQUARE, edgecolor=INK, linewidth=1)
            ticked = word == guess
            axes.text(left + SQUARE + 0.08, middle, word, va="center", weight="bold" if ticked else "normal")
            if ticked:
                across = [left + share * SQUARE for share in (0.15, 0.4, 1.1)]
                down = [middle + share * SQUARE for share in (0.05, 0.35, -0.55)]
                axes.plot(across, down, color=BLUE, linewidth=2.5)


def check(number: int, sentence: str) -> None:
    """Raise with one sentence unless a claim has a number from 1 and some text."""
    if type(number) is not int or number < 1:
        raise ValueError(f"claims has the number {number!r}; use whole numbers from 1")
    if not isinstance(sentence, str):
        raise TypeError(f"claims[{number}] is {sentence!r}; give a sentence as text")
    if not sentence.strip():
        raise ValueError(f"claims[{number}] is empty; give a sentence")
