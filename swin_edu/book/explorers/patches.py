"""The explorer of chapter 1: one patch, its numbers, and the vector that becomes its token."""

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import BLUE, PAPER, SIGNED, box, grid, mosaic, picture
from swin_edu.patches import PatchEmbedding, patch_partition

SIZES = (2, 4, 8, 16)


class Patches(Explorer):
    """Patch size and place on a square photograph `(3, H, H)` whose side 16 divides, values in [0, 1].

    `embeddings[patch]` is the layer whose output the page shows, untrained; its weights are kept as 16-bit
    numbers, so that the page can hold those of all sizes.
    """

    script = "patches.js"
    title = "One patch, its numbers and its token"
    patch = Slider(4, SIZES, "Patch size P, pixels")
    row = Slider(0, range(112), "Row")
    column = Slider(0, range(112), "Column")

    def __init__(self, image: Tensor, **state: int) -> None:
        shape = tuple(image.shape)
        if len(shape) != 3 or shape[0] != 3 or shape[1] != shape[2] or shape[1] % SIZES[-1]:
            raise ValueError(f"image has shape {shape}; it must be (3, H, H) with H divisible by 16")
        if shape[1] > 224:
            raise ValueError(f"image has {shape[1]} pixels a side; load it with load_image(…, size=224)")
        self.photo = as_photograph(image)
        self.embeddings = {patch: untrained_embedding(patch) for patch in SIZES}
        weights = {f"weight{p}": layer.linear.weight for p, layer in self.embeddings.items()}
        halves = {name: weight.detach().half().numpy() for name, weight in weights.items()}
        super().__init__({"photo": self.photo, **halves}, **state)

    def limits(self) -> dict[str, int]:
        """Return the last row and column."""
        last = self.photo.shape[0] // self.patch - 1
        return {"row": last, "column": last}

    @property
    def place(self) -> tuple[int, int]:
        """Row and column of the patch shown."""
        return self.state["row"], self.state["column"]

    def numbers(self) -> np.ndarray:
        """Return the P·P·3 numbers of the patch shown, in [0, 1]."""
        image = torch.from_numpy(self.photo).permute(2, 0, 1)[None].double() / 255
        return patch_partition(image, self.patch)[0][self.place].numpy()

    @torch.no_grad()
    def token(self) -> np.ndarray:
        """Return the token of the patch shown `(C,)`."""
        image = torch.from_numpy(self.photo).permute(2, 0, 1)[None].float() / 255
        return self.embeddings[self.patch](image)[0][self.place].numpy()

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        patch, (row, column) = self.patch, self.place
        count = self.photo.shape[0] // patch
        red, green, blue = self.numbers().reshape(-1, 3).mean(0)
        return (
            f"Patches of {patch} × {patch} px: {count} × {count} = {count * count:,} tokens. "
            f"Row {row}, column {column}: {patch * patch * 3:,} numbers, "
            f"mean red {red:.2f}, green {green:.2f}, blue {blue:.2f}; the linear layer turns them into 96."
        )

    def still(self) -> Figure:
        """Draw the photograph, the patch, its numbers and its token."""
        patch, (row, column), numbers = self.patch, self.place, self.numbers()
        pattern = [
            ["photo", "patch", "red", "green", "blue"],
            ["photo", *["numbers"] * 4],
            ["photo", *["token"] * 4],
        ]
        drawn, axes = mosaic(
            9.4, 4.4, pattern, width_ratios=[5.4, 2, 1.1, 1.1, 1.1], height_ratios=[2.2, 0.5, 1.1]
        )
        side = self.photo.shape[0]
        picture(axes["photo"], self.photo, "The photograph, cut into patches")
        grid(axes["photo"], side, side, patch, alpha=0.5, linewidth=0.4)
        for color, width in ((PAPER, 4), (BLUE, 2)):
            box(axes["photo"], column * patch, row * patch, patch, patch, edgecolor=color, linewidth=width)
        square = numbers.reshape(patch, patch, 3)
        picture(axes["patch"], square, f"{patch} × {patch} pixels")
        for index, name in enumerate(("red", "green", "blue")):
            picture(axes[name], square * np.eye(3)[index], name)
        row_of_numbers = np.eye(3)[np.arange(numbers.size) % 3] * numbers[:, None]
        picture(
            axes["numbers"],
            row_of_numbers[None],
            f"the same as {numbers.size:,} numbers in a row, pixel by pixel",
        )
        picture(
            axes["token"], self.token().reshape(4, -1), "linear layer and norm make the token: 96 numbers"
        )
        axes["token"].images[0].set(cmap=SIGNED, clim=(-3, 3))
        for name in ("numbers", "token"):
            axes[name].set_aspect("auto")
        return drawn


def untrained_embedding(patch: int) -> PatchEmbedding:
    """Return a PatchEmbedding with random weights, exact in 16 bits and the same on every processor."""
    with torch.random.fork_rng(devices=[]):  # the reader's own random numbers stay as they were
        layer = PatchEmbedding(patch)
    generator = torch.Generator().manual_seed(0)
    steps = torch.randint(-1024, 1025, layer.linear.weight.shape, generator=generator)
    with torch.no_grad():
        layer.linear.weight.copy_((steps / 1024 / layer.linear.in_features**0.5).half())
        layer.linear.bias.zero_()
    return layer
