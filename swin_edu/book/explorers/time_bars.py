"""The explorer of chapter 9: where the time of one forward pass goes, before and after each change."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from swin_edu.book.explorers.base import Explorer, Slider
from swin_edu.book.style import BLUE, INK, MUTED, PAPER, figure

PARTS = ("linear layers", "attention", "GELU", "layer norm", "moving tokens", "everything else")
STEPS, BATCHES = range(5), range(4)
LONGEST = 16  # seconds: as microseconds still a whole number in 32-bit floats
GREY = "#d0d0d0"


class TimeBars(Explorer):
    """The time of each part of one forward pass, after each step from the clear to the fast model.

    `profiles` holds for each batch size the steps in order, the clear model first, and for each step the
    seconds of the PARTS. `bounds` holds for each batch size the seconds that the products of matrices alone
    would take at the processor's measured peak. `machine` says where the times were measured.
    """

    script = "time_bars.js"
    title = "Where the time of one forward pass goes, step by step"
    step = Slider(0, STEPS, "Step")
    batch = Slider(0, BATCHES, "Batch")

    def __init__(
        self,
        profiles: dict[int, dict[str, list[float]]],
        bounds: dict[int, float],
        machine: str = "",
        **state: int,
    ) -> None:
        if not 1 <= len(profiles) <= len(BATCHES):
            raise ValueError(
                f"profiles has {len(profiles)} batch sizes; the explorer shows 1 to {len(BATCHES)}"
            )
        self.sizes, self.names, self.machine = list(profiles), list(next(iter(profiles.values()))), machine
        if not 1 <= len(self.names) <= len(STEPS):
            raise ValueError(f"profiles has {len(self.names)} steps; the explorer shows 1 to {len(STEPS)}")
        for size, profile in profiles.items():
            if list(profile) != self.names:
                raise ValueError(f"profiles[{size}] has the steps {list(profile)}; they must be {self.names}")
            if size not in bounds:
                raise ValueError(f"bounds has no batch size {size}; it must have those of profiles")
        # In whole microseconds, so that the page rounds as Python does.
        self.times = [
            [part_times(times, f"profiles[{size}][{name!r}]") for name, times in profile.items()]
            for size, profile in profiles.items()
        ]
        self.bounds = [microseconds(bounds[size], f"bounds[{size}]") for size in self.sizes]
        texts = "\n".join([machine, *self.names]).encode()
        arrays = {"times": self.times, "bounds": self.bounds, "sizes": self.sizes}
        packed = {name: np.array(values, np.float32) for name, values in arrays.items()}
        super().__init__({**packed, "texts": np.frombuffer(texts, np.uint8)}, **state)
        choices = ", ".join(f"{index} for {images(size)}" for index, size in enumerate(self.sizes))
        self.controls = [
            control | ({"label": f"Batch: {choices}"} if control["name"] == "batch" else {})
            for control in self.controls
        ]

    def limits(self) -> dict[str, int]:
        """Return the last step and the last batch size of the data."""
        return {"step": len(self.names) - 1, "batch": len(self.sizes) - 1}

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        step, batch = self.state["step"], self.state["batch"]
        shown, total, clear = self.times[batch][step], sum(self.times[batch][step]), sum(self.times[batch][0])
        faster = f", {ratio(clear, total)} times as fast as the clear model" if step else ""
        parts = ", ".join(
            f"{part} {milliseconds(time)} ({percent(time, total)})"
            for part, time in zip(PARTS, shown, strict=True)
        )
        return (
            f"Batch {self.sizes[batch]}, step {step} of {len(self.names) - 1} ({self.names[step]}): "
            f"{milliseconds(total)} a batch{faster}; {parts}; "
            f"at the measured peak the products alone would take {milliseconds(self.bounds[batch])}."
        )

    def still(self) -> Figure:
        """Draw the parts of the step shown over those of the clear model, and the sums of all steps."""
        drawn, (upper, lower) = figure(9.6, 4.6, rows=2, height_ratios=(7, len(self.names) + 1.5))
        step, batch = self.state["step"], self.state["batch"]
        scale = max(self.bounds[batch], *map(sum, self.times[batch]))
        self._parts(upper, self.times[batch][step], self.times[batch][0], scale)
        self._sums(lower, step, batch, scale)
        lower.set_title("All parts together, after each step", loc="left", weight="bold")
        upper.set_title(
            f"Batch {self.sizes[batch]}, step {step} of {len(self.names) - 1}: {self.names[step]}",
            loc="left",
            weight="bold",
        )
        for axes in (upper, lower):
            axes.set_xlim(0, 1.6 * scale)
            axes.invert_yaxis()
            axes.set_xticks([])
            axes.tick_params(length=0)
            axes.spines[["left", "bottom"]].set_visible(False)
        return drawn

    def _parts(self, axes: Axes, shown: list[int], clear: list[int], scale: int) -> None:
        axes.barh(range(len(PARTS)), shown, 0.46, color=BLUE, clip_on=False)
        places = [row + 0.37 for row in range(len(PARTS))]
        axes.barh(places, clear, 0.2, color=PAPER, edgecolor=MUTED, linewidth=0.8, clip_on=False)
        axes.set_yticks(range(len(PARTS)), PARTS)
        columns = {1.2: ["this step"], 1.35: ["share"], 1.6: ["clear, outlined"]}
        for time, before in zip(shown, clear, strict=True):
            values = milliseconds(time), percent(time, sum(shown)), milliseconds(before)
            for column, value in zip(columns.values(), values, strict=True):
                column.append(value)
        for (place, column), color in zip(columns.items(), (INK, INK, MUTED), strict=True):
            for row, text in enumerate(column, -1):
                axes.text(place * scale, row, text, ha="right", va="center", color=color)

    def _sums(self, axes: Axes, step: int, batch: int, scale: int) -> None:
        sums, bound = [sum(times) for times in self.times[batch]], self.bounds[batch]
        for row, time in enumerate(sums):
            looked_at = row == step
            weight = "bold" if looked_at else "normal"
            color, edge, thick = (BLUE, INK, 2) if looked_at else (GREY, MUTED, 0.8)
            axes.barh(row, time, 0.6, color=color, edgecolor=edge, linewidth=thick, clip_on=False)
            values = {1.2: milliseconds(time), 1.6: f"{ratio(sums[0], time)} × as fast"}
            for place, text in values.items():
                axes.text(place * scale, row, text, ha="right", va="center", weight=weight)
        axes.set_yticks(range(len(sums)), [f"{row}  {name}" for row, name in enumerate(self.names)])
        axes.get_yticklabels()[step].set_fontweight("bold")
        for color, thick in ((PAPER, 4), (INK, 2)):
            axes.vlines(bound, -0.6, len(sums) - 0.3, color=color, linewidth=thick)
        side = "right" if 3 * bound > 2 * scale else "left"  # where there is room
        text = f"bound: products alone at the measured peak, {milliseconds(bound)}"
        axes.text(bound, len(sums) - 0.2, text, ha=side, va="top")
        axes.set_ylim(-0.7, len(sums) + 0.3)
        if self.machine:
            axes.set_xlabel(f"measured: {self.machine}", color=MUTED, loc="left")


def part_times(times: list[float], name: str) -> list[int]:
    """Return the times of the parts in microseconds.

    Raises ValueError when their number is wrong, a time cannot be shown, or all are 0.
    """
    if len(times) != len(PARTS):
        parts = ", ".join(PARTS)
        raise ValueError(f"{name} has {len(times)} times; it must have {len(PARTS)}: {parts}")
    rounded = [microseconds(time, name) for time in times]
    if not sum(rounded):
        raise ValueError(f"{name} takes no time at all; some part must take a microsecond or more")
    return rounded


def microseconds(seconds: float, name: str) -> int:
    """Return the time in microseconds; raises ValueError when it is not a number from 0 to LONGEST."""
    if not 0 <= seconds <= LONGEST:
        raise ValueError(f"{name} holds {seconds} s; a time must lie from 0 to {LONGEST} s")
    return round(1e6 * seconds)


def milliseconds(time: int) -> str:
    """Say a time in microseconds as milliseconds with one decimal."""
    tenths = (time + 50) // 100
    return f"{tenths // 10:,}.{tenths % 10} ms"


def percent(part: int, whole: int) -> str:
    """Say a share in per cent."""
    return f"{(200 * part + whole) // (2 * whole)} %"


def ratio(time: int, other: int) -> str:
    """Say how many times as long as the other a time is, with two decimals."""
    hundredths = (200 * time + other) // (2 * other)
    return f"{hundredths // 100}.{hundredths % 100:02}"


def images(size: int) -> str:
    """Say a batch size in words."""
    return f"{size} image{'s' if size > 1 else ''}"
