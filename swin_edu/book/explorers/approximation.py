"""The explorer of chapter 13: the matrix of exact attention, and what cheaper attentions put in its place."""

import math

import torch
from einops import rearrange
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from swin_edu.attention import attend
from swin_edu.book import drawings
from swin_edu.book.explorers.base import Explorer, Slider
from swin_edu.rivals.linformer import Linformer
from swin_edu.rivals.performer import Performer, random_directions
from swin_edu.rivals.pyramid import Windows
from swin_edu.rivals.routing import Routing, moved, on_sphere
from swin_edu.rivals.vit import Attention

CHANNELS = 16
SIZES = {16: (4, 4), 32: (4, 8), 64: (8, 8), 128: (8, 16)}  # tokens: rows and columns of the map
KNOBS = (1, 2, 4, 8, 16, 32, 64, 128)
METHODS = {1: "Performer", 2: "Linformer", 3: "Routing", 4: "Windows"}
WITH = {1: "{} features", 2: "rank {}", 3: "{} clusters", 4: "{0} × {0} tokens"}


class Approximation(Explorer):
    """Method, knob, length, and the size of queries and keys, which come from a photograph `(3, H, W)`.

    What a Linformer learns is here the mean of neighbours in a row; Routing's centroids are settled.
    """

    script = "approximation.js"
    title = "Exact attention and what cheaper ones put in its place"
    method = Slider(1, list(METHODS), "Method")
    knob = Slider(8, KNOBS, "Knob")
    length = Slider(64, list(SIZES), "Length N, tokens")
    size = Slider(4, range(1, 9), "Size of q and k, quarters")

    def __init__(self, image: Tensor, **state: int) -> None:
        torch_state = torch.get_rng_state()
        torch.manual_seed(0)
        directions = random_directions(max(KNOBS), CHANNELS)
        self.tokens = {n: photograph_tokens(image, *SIZES[n])[:2] for n in SIZES}
        torch.set_rng_state(torch_state)
        self.directions = directions.double()
        self.centroids = {
            (n, count): settled_centroids(*self.tokens[n], count).float().double()
            for n in SIZES
            for count in KNOBS
            if count <= n
        }
        arrays = {"directions": directions.numpy()}
        for n, (q, k) in self.tokens.items():
            arrays |= {f"q{n}": q[0, 0].float().numpy(), f"k{n}": k[0, 0].float().numpy()}
            of_length = [self.centroids[n, count][0] for count in KNOBS if count <= n]
            arrays[f"centroids{n}"] = torch.cat(of_length).float().numpy()  # of 1 cluster, of 2, of 4 …
        super().__init__(arrays, **state)

    def limits(self) -> dict[str, int]:
        """Return the largest knob: all tokens, all rows of the map, or all directions."""
        return {"knob": {1: max(KNOBS), 4: SIZES[self.length][0]}.get(self.method, self.length)}

    def queries_keys(self) -> tuple[Tensor, Tensor]:
        """Return queries and keys in the size shown `(1, 1, N, D)`."""
        q, k = (x * (self.size / 4) for x in self.tokens[self.length])
        return q, k

    def attention(self) -> Attention:
        """Return the method with the knob as shown."""
        knob, (height, width) = self.state["knob"], SIZES[self.length]
        layer: Performer | Linformer | Routing | Windows
        if self.method == 1:
            layer = Performer(CHANNELS, knob).double()
            layer.directions.copy_(self.directions[:knob])
        elif self.method == 2:
            layer = pooling(self.length, knob).double()
        elif self.method == 3:
            layer = Routing(1, CHANNELS, knob).double()
            layer.centroids.copy_(self.centroids[self.length, knob])
        else:
            layer = Windows(height, width, knob)
        return layer.eval()

    @torch.no_grad()
    def matrices(self) -> tuple[Tensor, Tensor]:
        """Return the weights of exact attention and those of the method `(N, N)`."""
        q, k = self.queries_keys()
        return matrix_of(attend, q, k)[0, 0], matrix_of(self.attention(), q, k)[0, 0]

    def describe(self) -> str:
        """Say the present state in words; the page says the same."""
        exact, other = self.matrices()
        knob, tokens = self.state["knob"], self.length
        left_out = int((other == 0).all(dim=1).sum())
        nothing = f" {left_out} queries are in no cluster and get nothing." if left_out else ""
        return (
            f"{METHODS[self.method]}, {WITH[self.method].format(knob)}, for {tokens} tokens; entries of q "
            f"and k of size {self.size / 4:.2f}. {100 * misplaced(exact, other):.1f} % of the weight lies "
            f"wrong. {operations(self.method, knob, tokens):,} operations; exact attention needs "
            f"{operations(0, 0, tokens):,}.{nothing}"
        )

    def still(self) -> Figure:
        """Draw both matrices and their difference."""
        exact, other = self.matrices()
        title = f"{METHODS[self.method]}, {WITH[self.method].format(self.state['knob'])}"
        return drawings.weight_matrices({"exact": exact, title: other}, difference=True)


def photograph_tokens(image: Tensor, height: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values `(1, 1, H·W, 16)` of pieces of a photograph, with entries of size 1.

    A token is colour, contrast and place of its piece. Queries and keys are two mixtures of these, made by
    chance but alike, so that a piece looks for pieces like itself; values are a third.
    """
    pieces = rearrange(image.double(), "c (h p) (w q) -> (h w) c (p q)", h=height, w=width)
    places = torch.cartesian_prod(torch.arange(height) / height, torch.arange(width) / width)
    tokens = torch.cat([pieces.mean(-1), pieces.std(-1).mean(-1, keepdim=True), places], dim=1)
    tokens = (tokens - tokens.mean(0)) / tokens.std(0)
    chance = torch.randn(3, tokens.shape[1], CHANNELS, generator=torch.Generator().manual_seed(0)).double()
    mixtures = torch.stack([chance[0], chance[0] + chance[1] / 2, chance[2]])
    mixed = (tokens @ mixtures)[:, None, None]
    sized = mixed / mixed.square().mean(dim=(-2, -1), keepdim=True).sqrt()
    q, k, v = sized.float().double()  # as the page gets them
    return q, k, v


def settled_centroids(q: Tensor, k: Tensor, clusters: int) -> Tensor:
    """Return centroids `(h, K, D)` that have followed tokens `(1, h, N, D)` until they stay."""
    tokens, chosen = torch.cat([q, k], dim=-2), torch.linspace(0, k.shape[-2] - 1, clusters).long()
    centroids = on_sphere(k)[0, :, chosen]
    for _ in range(20):  # fewer are enough, nearly always
        before, centroids = centroids, moved(centroids, tokens, decay=0)
        if torch.equal(before, centroids):
            break
    return centroids


def pooling(tokens: int, rank: int) -> Linformer:
    """Return a Linformer whose mixtures are the means of tokens / rank neighbours in a row."""
    layer = Linformer(tokens, rank, shared=True)
    pool = F.one_hot(torch.arange(tokens) // (tokens // rank), rank) * (rank / tokens)
    layer.to_keys.data.copy_(pool)
    return layer


def matrix_of(attention: Attention, q: Tensor, k: Tensor) -> Tensor:
    """Return the weights of any attention that is linear in v: what it makes of an identity as values.

    Shape: (B, h, N, D), (B, h, N, D) -> (B, h, N, N)
    """
    tokens, channels = q.shape[-2:]
    identity = F.pad(torch.eye(tokens, dtype=q.dtype, device=q.device), (0, -tokens % channels))
    answers = [attention(q, k, v.expand_as(q)) for v in identity.split(channels, dim=1)]
    return torch.cat(answers, dim=-1)[..., :tokens]


def misplaced(exact: Tensor, other: Tensor) -> float:
    """Return the share of the weights `(N, N)` that lies wrong: half the differences, the mean of rows."""
    return (exact - other).abs().sum(dim=-1).mean().item() / 2


def operations(method: int, knob: int, tokens: int, channels: int = CHANNELS) -> int:
    """Return the multiplications and additions of a method for one head; method 0 is exact attention."""
    products = {
        0: 2 * tokens**2 * channels,
        1: 4 * tokens * knob * channels + tokens * knob,
        2: 4 * tokens * knob * channels,
        3: 2 * tokens * knob * channels + 2 * knob * math.ceil(tokens / max(1, knob)) ** 2 * channels,
        4: 2 * tokens * knob**2 * channels,
    }
    return 2 * products[method]
