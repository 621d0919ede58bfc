"""Assertions that read as sentences: ``expect(tokens).has_shape(1, 56, 56, 48)``.

Each prints one line when it holds, and raises an AssertionError that says by how much when it does not.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Expectation:
    """What is expected of one tensor."""

    value: Tensor

    def has_shape(self, *shape: int) -> None:
        """Assert the shape, axis by axis."""
        actual = tuple(self.value.shape)
        assert len(actual) == len(shape), f"expected {len(shape)} axes {shape}, got {len(actual)}: {actual}"
        wrong = [axis for axis, (a, b) in enumerate(zip(actual, shape, strict=True)) if a != b]
        assert not wrong, f"expected shape {shape}, got {actual}: axis {wrong[0]} differs"
        print(f"✓ shape {actual}")

    def equals(self, other: Tensor) -> None:
        """Assert that every value is the same."""
        self._same_shape(other)
        different = int((self.value != other).sum())
        assert not different, f"{different} of {self.value.numel()} values differ"
        print(f"✓ all {self.value.numel():,} values are equal")

    def is_close_to(self, other: Tensor, within: float) -> None:
        """Assert that no value is further than `within` from its partner (absolute difference)."""
        self._same_shape(other)
        distance = (self.value.cpu().double() - other.cpu().double()).abs().max().item()
        assert distance == distance, "some values are not a number"
        assert distance <= within, f"the largest difference is {distance:.1e}, more than {within:g}"
        print(f"✓ all {self.value.numel():,} values agree within {within:g}")

    def differs_from(self, other: Tensor) -> None:
        """Assert that at least one value is not the same."""
        self._same_shape(other)
        assert not torch.equal(self.value, other), "expected a difference, but all values are equal"
        print(f"✓ {int((self.value != other).sum()):,} of {self.value.numel():,} values differ")

    def _same_shape(self, other: Tensor) -> None:
        ours, theirs = tuple(self.value.shape), tuple(other.shape)
        assert ours == theirs, f"shapes differ: {ours} and {theirs}"


def expect(value: Tensor) -> Expectation:
    """Begin a sentence about `value`."""
    return Expectation(value)
