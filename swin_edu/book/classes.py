"""The names of ImageNet's 1,000 classes, in the order of published models' scores.

Each is the first word that WordNet 3.0 (Princeton University) gives for the class.
"""

from pathlib import Path


def class_names() -> list[str]:
    """Return the 1,000 names; number 281 is the tabby."""
    return Path(__file__).with_name("imagenet_classes.txt").read_text("utf-8").splitlines()
