"""Chapter 16: verdicts follow from what cells find, and turn when the package does what a claim says."""

import re

import nbformat
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from swin_edu import block, insight
from swin_edu.block import SwinBlock, WindowAttention
from swin_edu.book import drawings
from swin_edu.book.claims import Claims, Decision
from swin_edu.book.write import ROOT
from swin_edu.model import SwinTransformer
from swin_edu.patches import AbsolutePosition, PatchEmbedding
from swin_edu.rivals import routing
from swin_edu.rivals.linformer import Linformer
from swin_edu.rivals.routing import Routing
from swin_edu.shift import cyclic_shift
from swin_edu.windows import pad_to_window, window_partition, window_reverse

CELLS = nbformat.read(ROOT / "notebooks" / "16_claims.ipynb", as_version=4).cells
TEXTS = {1: "Water is wet.", 2: "Ice is hot.", 3: "Steam is cold and dry."}


def cells_of(number):
    """The code cells below the heading of a claim, without the verdict."""
    headings = [place for place, cell in enumerate(CELLS) if re.search(r"^##", cell.source, re.MULTILINE)]
    first = next(place for place in headings if f"### Claim {number}:" in CELLS[place].source)
    following = next(place for place in headings if place > first)
    code = [cell.source for cell in CELLS[first:following] if cell.cell_type == "code"]
    return "\n".join(
        re.sub(rf"^claims\.decide\({number}, (.+)\)$", r"holds = \1", cell, flags=re.M) for cell in code
    )


def verdict(number, names):
    """Run the cells of a claim as the package stands, and return their verdict."""
    code = [cell.source for cell in CELLS if cell.cell_type == "code"]
    before = code[: next(place for place, cell in enumerate(code) if "def hears" in cell) + 1]
    tools = [cell for cell in code if re.search(r"^def (multiply_adds|growth_of)", cell, re.MULTILINE)]
    namespace = {"row": 26, "column": 22}
    exec("\n".join([*before, *tools, cells_of(number)]), namespace)
    claims = Claims()
    claims.ask({number: names})
    claims.decide(number, namespace["holds"])
    return claims.decided[number].verdict


def test_each_of_27_claims_is_asked_has_a_heading_and_is_decided_once():
    everything = "\n".join(cell.source for cell in CELLS)
    for pattern in (r"^### Claim (\d+): ", r"^ +(\d+): \"", r"^claims\.decide\((\d+), "):
        assert [int(number) for number in re.findall(pattern, everything, re.MULTILINE)] == list(range(1, 28))


def sliding(self, x):
    """Let each token take the mean of the 7 × 7 around it."""
    return x + F.avg_pool2d(x.movedim(-1, 1), 7, stride=1, padding=3).movedim(1, -1)


def cut_then_rolled(x, attention, window, shift):
    """Roll the tokens inside each window."""
    x = pad_to_window(x, window)
    squares = window_partition(x, window).unflatten(1, (window, window))
    return window_reverse(attention(cyclic_shift(squares, shift).flatten(1, 2), None), window, *x.shape[1:3])


def left_rolled(x, attention, window, shift):
    """Do not roll back."""
    return cyclic_shift(attended(x, attention, window, shift), shift)


attended = block.shifted_window_attention


def after(kind, change):
    """Return an `__init__` that builds what a kind builds, and changes it."""
    build = kind.__init__

    def changed(self, *arguments, **options):
        build(self, *arguments, **options)
        change(self, *arguments)

    return changed


def give_hidden_layer(model, channels, *_):
    width = model.head.in_features
    model.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, model.head.out_features))


def halve_queries(layer, channels, *_):
    layer.qkv, layer.project = nn.Linear(channels, 3 * channels // 2), nn.Linear(channels // 2, channels)


def place_and_widen(layer, patch, channels):
    wide = nn.Sequential(nn.Linear(channels, 2 * channels), nn.Linear(2 * channels, channels))
    layer.norm = nn.Sequential(AbsolutePosition(56, 56, channels), wide, layer.norm)
    nn.init.normal_(layer.norm[0].table)


def two_maps(x, attention, window, shift):
    """Give attention the same windows a second time, as the source of its keys."""
    return attended(x, lambda windows, mask: attention(windows, mask, windows), window, shift)


def with_keys(forward):
    return lambda self, windows, mask=None, keys=None: forward(self, windows, mask)


def decomposed(self, q, k, v):
    """Compute all pairs, and keep as many singular values as there are mixtures."""
    left, values, right = torch.linalg.svd((q @ k.mT * q.shape[-1] ** -0.5).softmax(dim=-1))
    rank = self.to_keys.shape[-1]
    return left[..., :rank] * values[..., None, :rank] @ right[..., :rank, :] @ v


def bias_alone(parts):
    """Leave the dot products out."""

    def changed(layer, windows, mask):
        content, bias, _ = parts(layer, windows, mask)
        return torch.zeros_like(content), bias, bias.softmax(dim=-1)

    return changed


def routed_twice(self, q, k, v, of=Routing.forward):
    """Move the centroids all the way to the tokens before these are routed."""
    self.centroids = routing.moved(self.centroids, torch.cat([q, k], dim=-2), decay=0)
    return of(self, q, k, v)


CHANGES = {
    2: [(PatchEmbedding, "__init__", after(PatchEmbedding, place_and_widen))],
    6: [(SwinBlock, "forward", sliding)],
    7: [(insight, "attention_parts", bias_alone(insight.attention_parts))],
    8: [(torch.Tensor, "softmax", lambda x, dim: x / x.sum(dim, keepdim=True))],
    9: [(WindowAttention, "__init__", after(WindowAttention, halve_queries))],
    12: [
        (block, "shifted_window_attention", two_maps),
        (WindowAttention, "forward", with_keys(WindowAttention.forward)),
    ],
    14: [(block, "shifted_window_attention", left_rolled)],
    15: [(block, "shifted_window_attention", cut_then_rolled)],
    18: [(SwinTransformer, "__init__", after(SwinTransformer, give_hidden_layer))],
    23: [(SwinTransformer, "features", lambda self, x, of=SwinTransformer.features: of(self, x)[::-1])],
    25: [(Linformer, "forward", decomposed)],
    26: [(Routing, "forward", routed_twice)],
}


@pytest.mark.parametrize("number", CHANGES)
def test_a_verdict_turns_when_the_package_does_what_the_claim_says(number, monkeypatch, capsys):
    for place, name, changed in CHANGES[number]:
        monkeypatch.setattr(place, name, changed)
    assert verdict(number, "as changed") == "true"
    stored = "".join(output.get("text", "") for cell in CELLS for output in cell.get("outputs", []))
    assert re.search(rf"^Claim {number} is (half true|false)\.$", stored, re.MULTILINE)


def test_all_parts_some_or_none(capsys):
    claims = Claims()
    claims.ask(TEXTS)
    claims.decide(1, {"it wets": True, "paper too": torch.tensor(True)})
    claims.decide(3, {"it is cold": torch.tensor(False), "it is dry": True})
    claims.decide(2, {"it burns": False})
    printed = capsys.readouterr().out.splitlines()
    assert printed[:3] == ["yes  it wets", "yes  paper too", "Claim 1 is true."]
    assert printed[3:] == [
        "no   it is cold",
        "yes  it is dry",
        "Claim 3 is half true.",
        "no   it burns",
        "Claim 2 is false.",
    ]
    assert claims.decisions() == [
        Decision(1, "Water is wet.", {"it wets": True, "paper too": True}),
        Decision(2, "Ice is hot.", {"it burns": False}),
        Decision(3, "Steam is cold and dry.", {"it is cold": False, "it is dry": True}),
    ]


def test_the_verdict_answers_the_guess(capsys):
    claims = Claims()
    guesses = claims.ask(TEXTS)
    guesses.claim_1, guesses.claim_2 = 1, 2
    claims.decide(1, {"it wets": True})
    claims.decide(2, {"it burns": False})
    printed = capsys.readouterr().out.splitlines()
    assert printed[1] == "Claim 1 is true. You guessed true: right."
    assert printed[3] == "Claim 2 is false. You guessed half true."


def test_what_was_not_asked_or_not_found_out_is_one_sentence():
    claims = Claims()
    claims.ask(TEXTS)
    with pytest.raises(ValueError, match=r"^claim 9 was not asked; there are 1, 2, 3$"):
        claims.decide(9, {"x": True})
    with pytest.raises(ValueError, match=r"^nothing was found out about claim 1; give its parts and whether"):
        claims.decide(1, {})
    with pytest.raises(ValueError, match=r"^not yet decided: 1, 2, 3; run the cells of these claims$"):
        claims.decisions()


def test_the_table_holds_every_row():
    given = [
        (Decision(7, "A claim.", {"a": True, "b": False, "c": False}), "1 of 3", "half true", "◐"),
        (Decision(12, "Another.", {"a": True, "b": True}), "2 of 2", "true", "●"),
        (Decision(13, "No.", {"a": False}), "0 of 1", "false", "○"),
    ]
    [axes] = drawings.verdicts([decision for decision, *_ in given]).axes
    written = {(round(text.get_position()[1]), text.get_text()) for text in axes.texts}
    for y, (decision, *words) in enumerate(given):
        for text in (str(decision.number), decision.claim, *words):
            assert (y, text) in written


def test_bright_is_what_is_heard():
    image, bright = torch.rand(3, 8, 12), torch.zeros(2, 3, dtype=torch.bool)
    bright[1, 2] = True
    drawn = drawings.noticed(image, {"one": bright, "all": torch.ones(2, 3, dtype=torch.bool)}, (1, 2))
    one, every = (torch.from_numpy(axes.images[0].get_array().data) for axes in drawn.axes)
    assert torch.allclose(every.permute(2, 0, 1).float(), image)
    share = one / every
    assert torch.allclose(share[4:, 8:], torch.ones(1, dtype=share.dtype))
    share[4:, 8:] = 0.35
    assert torch.allclose(share, torch.full_like(share, 0.35), atol=1e-6)
    assert [axes.get_title() for axes in drawn.axes] == ["one\n1 tokens", "all\n6 tokens"]
