"""The explorer of chapter 2: which patches one patch attends to, and the mean of their colours."""

import numpy as np
import torch
from einops import reduce
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from swin_edu.attention import attend_with_weights
from swin_edu.book.explorers.base import Explorer, Slider, as_photograph
from swin_edu.book.style import INK, SIGNED, mark, mosaic, picture

SIDE, PATCH = 224, 8
COUNT = SIDE // PATCH
KINDS = {1: "colour", 2: "place", 3: "colour and place"}
SCALES = (0, 1, 2, 4, 8, 16, 32, 64)
LIMIT = 20  # the logit of full colour


class Attention(Explorer):
    """Query, scale and what is compared, on a photograph `(3, 224, 224)` with values in [0, 1].

    Queries and keys are made by hand, so that a logit is highest for equal features: q = (f, 1) and
    k = (f, -|f|²/2). The values are the mean colours of the patches.
    """

    script = "attention.js"
    title = "What one patch attends to, and the mean that it takes"
    kind = Slider(1, list(KINDS), "Comparison")
    scale = Slider(8, SCALES, "Scale of the logits")
    row = Slider(9, range(COUNT), "Row of the query")
    column = Slider(12, range(COUNT), "Column of the query")

    def __init__(self, image: Tensor, **state: int) -> None:
        if tuple(image.shape) != (3, SIDE, SIDE):
            raise ValueError(f"image has shape {tuple(image.shape)}; attention takes (3, {SIDE}, {SIDE})")
        self.photo = as_photograph(image)
        # in 64 bits, then rounded to 32: the same numbers on every processor
        colours = reduce(image.cpu().double(), "c (h p) (w q) -> (h w) c", "mean", p=PATCH, q=PATCH)
        places = torch.cartesian_prod(torch.arange(COUNT), torch.arange(COUNT)).double()
        self.values = colours.float()
        self.features = {1: unit_variance(colours).float(), 2: unit_variance(places).float()}
        self.features[3] = torch.cat([self.features[1], self.features[2]], dim=1)
        arrays = {"colour": self.features[1], "place": self.features[2], "values": self.values}
        every = [[self.outputs(kind, scale) for scale in SCALES] for kind in KINDS]
        outputs = torch.stack([torch.stack(of_kind) for of_kind in every]).mul(255).round().clamp(0, 255)
        super().__init__(
            {"photo": self.photo, "outputs": outputs.byte().numpy()}
            | {name: x.numpy() for name, x in arrays.items()},
            **state,
        )

    @property
    def query(self) -> int:
        """The number of the token that asks, row by row."""
        return self.row * COUNT + self.column

    def logits(self) -> Tensor:
        """Return the scaled logits of the query `(N,)`."""
        q, k = query_and_key(self.features[self.kind].double())
        return self.scale * (k @ q[self.query])

    def weights(self) -> Tensor:
        """Return the weights of the query `(N,)`."""
        return self.logits().softmax(0)

    def outputs(self, kind: int, scale: int) -> Tensor:
        """Return, for every query, the mean of the values `(N, 3)`."""
        q, k = (x[None, None] for x in query_and_key(self.features[kind].double()))
        weights = attend_with_weights(q, k, k, scale=float(scale))[1][0, 0]
        return weights @ self.values.double()

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        weights = self.weights()
        output, own = weights @ self.values.double(), self.values[self.query]
        return (
            f"Compared by {KINDS[self.kind]}, scale {self.scale}: the patch in row {self.row}, "
            f"column {self.column} gives half of its weight to {heaviest_half(weights)} of {COUNT**2} "
            f"patches, {weights[self.query]:.2f} to itself. Its own colour is {as_rgb(own)}; "
            f"the mean of the values is {as_rgb(output)}."
        )

    def still(self) -> Figure:
        """Draw the four maps, and the weights as shares of a bar in the colours of the values."""
        names = ["photo", "logits", "weights", "outputs"]
        drawn, axes = mosaic(10, 3.7, [names, ["bar"] * 3 + ["swatch"]], height_ratios=[5, 0.8])
        logits, weights, outputs = self.logits(), self.weights(), self.outputs(self.kind, self.scale)
        picture(axes["photo"], self.photo, f"by {KINDS[self.kind]}, scale {self.scale}")
        picture(axes["logits"], as_map(logits), f"1, 2  logits: {logits.min():.1f} to {logits.max():.1f}")
        axes["logits"].images[0].set(cmap=SIGNED, clim=(-LIMIT, LIMIT))
        picture(axes["weights"], as_map(weights), f"3  softmax: weights, up to {weights.max():.3f}")
        axes["weights"].images[0].set_clim(0, float(weights.max()))
        picture(axes["outputs"], as_map(outputs).clip(0, 1), "4  the mean, for every query")
        for name in names:
            unit = PATCH if name == "photo" else 1
            mark(axes[name], self.column * unit, self.row * unit, unit, unit, linewidth=1.5)
        shares(axes["bar"], weights, self.values)
        swatches = torch.stack([self.values[self.query].double(), outputs[self.query]])[None]
        picture(axes["swatch"], swatches.numpy().clip(0, 1), "own colour, mean")
        axes["swatch"].set_aspect("auto")
        return drawn


def unit_variance(features: Tensor) -> Tensor:
    """Return features `(N, n)` around 0, with a mean squared length of 1."""
    centred = features - features.mean(0)
    return centred / centred.square().sum(1).mean().sqrt()


def query_and_key(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return queries and keys `(N, n + 1)` whose logit is highest where the features are equal."""
    ones = torch.ones_like(features[:, :1])
    return torch.cat([features, ones], 1), torch.cat([features, -features.square().sum(1, True) / 2], 1)


def heaviest_half(weights: Tensor) -> int:
    """Return how many of the heaviest weights sum to a half."""
    sums = weights.sort(descending=True).values.cumsum(0)
    return int((sums < 0.5 - 1e-9).sum()) + 1


def as_rgb(color: Tensor) -> str:
    """Say a colour in words."""
    return "red {:.2f}, green {:.2f}, blue {:.2f}".format(*color.tolist())


def as_map(tokens: Tensor) -> np.ndarray:
    """Return tokens in rows and columns."""
    return tokens.reshape(COUNT, COUNT, *tokens.shape[1:]).numpy()


def shares(axes: Axes, weights: Tensor, values: Tensor) -> None:
    """Draw weights as shares of one bar, heaviest first, each in the colour of its value."""
    order = weights.argsort(descending=True, stable=True)
    widths, half = weights[order], heaviest_half(weights)
    axes.barh(0, widths, left=widths.cumsum(0) - widths, color=values[order].clamp(0, 1).numpy(), height=1)
    place = float(widths[:half].sum())
    axes.vlines(place, -0.5, 0.75, color=INK, linewidth=1.5)
    axes.set(xlim=(0, 1), ylim=(-0.5, 0.75), xticks=[place], xticklabels=[f"half: {half} patches"], yticks=[])
    axes.set_title("the weights as shares of 1, in the colours of the values")
    for edge in axes.spines.values():
        edge.set_visible(False)
