"""What all explorers share: controls, arrays sent once, a still picture, a sentence.

An explorer is a pair of files: a JavaScript file that draws (see base.js for what it must define), and a
class here that names the controls, holds the arrays, and draws the same state as a still picture.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.style import png

FOLDER = Path(__file__).parent
STATE_MIME = "application/vnd.swin-edu.explorer+json"


class Control(traitlets.Int):
    """A whole number that the reader sets: its first value, the values it can take, and its label."""

    def __init__(self, value: int, values: Sequence[int], label: str) -> None:
        super().__init__(value)
        self.values = list(values)
        self.tag(sync=True, label=label)

    def validate(self, obj: Any, value: Any) -> int:
        """Return `value` if the control can take it, else raise TraitError with one sentence."""
        number = super().validate(obj, value)
        if number not in self.values:
            choices = ", ".join(map(str, self.values))
            raise traitlets.TraitError(f"{self.name} is {number}; it can be one of {choices}")
        return number

    def stored(self) -> dict[str, Any]:
        """Return what a page needs to make this control, ready for JSON."""
        return {"name": self.name, "label": self.metadata["label"], "values": self.values}


class Slider(Control):
    """A number that the reader moves along its values."""


class Choice(Control):
    """One of a few words, told by its place among them from 0; the page has a radio button for each."""

    def __init__(self, value: int, words: Sequence[str], label: str) -> None:
        super().__init__(value, range(len(words)), label)
        self.words = list(words)

    def stored(self) -> dict[str, Any]:
        """Return what a page needs to make this control, ready for JSON."""
        return super().stored() | {"words": self.words}


class Explorer(anywidget.AnyWidget):
    """A picture with controls. The state is in the traits: ``explorer.shift = 3`` moves the slider.

    Where nothing runs, the notebook shows `still()`; an exported page draws it live from the stored arrays.
    """

    script: ClassVar[str]
    title: ClassVar[str]
    arrays = traitlets.Dict().tag(sync=True)
    controls: Any = traitlets.List().tag(sync=True)
    heading = traitlets.Unicode().tag(sync=True)

    def __init_subclass__(cls, **options: Any) -> None:
        if "script" in vars(cls):  # not in the subclasses that traitlets makes at run time
            cls._esm = module_source(cls.script)
        super().__init_subclass__(**options)

    def __init__(self, arrays: dict[str, np.ndarray], **state: int) -> None:
        controls = [
            trait.stored()
            for kind in reversed(type(self).__mro__)  # in the order of their definition
            for trait in vars(kind).values()
            if isinstance(trait, Control)
        ]
        super().__init__(arrays=pack(arrays), controls=controls, heading=self.title, **state)

    @property
    def state(self) -> dict[str, int]:
        """The value of each control as shown, by name: at most its limit."""
        wished = {control["name"]: getattr(self, control["name"]) for control in self.controls}
        return wished | {name: min(wished[name], limit) for name, limit in self.limits().items()}

    def limits(self) -> dict[str, int]:
        """Return the largest values of those sliders that depend on others."""
        return {}

    def still(self) -> Figure:
        """Draw the present state as a figure."""
        raise NotImplementedError

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        raise NotImplementedError

    def alternative(self) -> str:
        """Say what a reader who cannot see the still picture would miss."""
        return f"{self.title}. {self.describe()}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value}' for name, value in self.state.items())})"

    def stored(self) -> dict[str, Any]:
        """Return all that a page without a kernel needs to draw this explorer, ready for JSON."""
        return {
            "script": self.script,
            "heading": self.title,
            "controls": self.controls,
            "state": self.state,
            "arrays": {
                name: {**array, "bytes": base64.b64encode(array["bytes"]).decode()}
                for name, array in self.arrays.items()
            },
        }

    def _repr_mimebundle_(self, **options: Any) -> tuple[dict, dict]:
        live, metadata = super()._repr_mimebundle_(**options) or ({}, {})
        still = {"text/plain": repr(self), "image/png": base64.b64encode(png(self.still())).decode()}
        alt = {"image/png": {"alt": self.alternative()}}
        return {**live, **still, STATE_MIME: self.stored()}, {**metadata, **alt}


def module_source(script: str) -> str:
    """Return the ES module of an explorer: the shared part, then its own."""
    return "\n".join((FOLDER / name).read_text("utf-8") for name in ("base.js", script))


def as_photograph(image: Tensor) -> np.ndarray:
    """Return an image `(3, H, W)` with values in [0, 1] as bytes `(H, W, 3)`.

    Raises ValueError when a value lies beyond [0, 1] or is not a number.
    """
    lowest, highest = image.min().item(), image.max().item()
    if not (lowest >= 0 and highest <= 1):
        raise ValueError(f"image has values from {lowest:.2f} to {highest:.2f}; they must lie in [0, 1]")
    return (image.permute(1, 2, 0) * 255).round().byte().cpu().numpy()


def pack(arrays: dict[str, np.ndarray]) -> dict[str, dict]:
    """Return the arrays as the page wants them: type, shape and raw bytes, row by row, little-endian."""
    for name, array in arrays.items():
        if array.dtype.name not in ("uint8", "float16", "float32"):
            raise TypeError(f"array {name!r} has type {array.dtype}; use uint8, float16 or float32")
    return {
        name: {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            "bytes": np.ascontiguousarray(array).tobytes(),
        }
        for name, array in arrays.items()
    }
