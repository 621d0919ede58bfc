"""Training as it happens: a progress bar and two curves that grow in place, in the notebook."""

import time
from typing import Any

import anywidget
import traitlets

from swin_edu.book.explorers.base import module_source
from swin_edu.training import History


class LiveTraining(anywidget.AnyWidget):
    """Shows what each epoch reached: ``train(..., watch=live.show)`` after ``display(live)``."""

    _esm = module_source("live.js")
    epochs = traitlets.Int().tag(sync=True)
    losses = traitlets.List(traitlets.Float()).tag(sync=True)
    accuracies = traitlets.List(traitlets.Float()).tag(sync=True)
    seconds = traitlets.Float().tag(sync=True)  # since the start
    seconds_left = traitlets.Float().tag(sync=True)  # if all epochs take as long as those shown

    def __init__(self, epochs: int) -> None:
        super().__init__(epochs=epochs)
        self.begin = time.perf_counter()
        self.shown = 0  # fewer than epochs done where training goes on from a file

    def show(self, history: History) -> None:
        """Draw what was reached until now."""
        self.shown += 1
        seconds = time.perf_counter() - self.begin
        with self.hold_sync():  # one message
            self.losses, self.accuracies = history.losses, history.scores
            self.seconds_left = seconds / self.shown * (self.epochs - len(history.losses))
            self.seconds = seconds

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict]:
        live, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        return {**live, "text/plain": repr(self)}, metadata

    def __repr__(self) -> str:
        return f"LiveTraining(epochs={self.epochs})"
