"""What a model sees in a picture, as a PNG and as a page: ``python3 -m swin_edu explain IMAGE``."""

import base64
import difflib
import html
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
import torch
from torch import Tensor

from swin_edu.book import drawings
from swin_edu.book.classes import class_names
from swin_edu.book.device import device
from swin_edu.book.explorers import Sight
from swin_edu.book.explorers.base import STATE_MIME
from swin_edu.book.files import check_out, replace_bytes
from swin_edu.book.images import load_image
from swin_edu.book.site import enliven, live_module
from swin_edu.book.style import png
from swin_edu.book.trained import FOLDER, notes, trained
from swin_edu.checkpoints import load_weights
from swin_edu.insight import class_evidence, look_inside, rollout, to_pixels
from swin_edu.model import SwinTransformer, swin
from swin_edu.training import normalise

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #ffffff; }}
main {{ max-width: 60rem; margin: 1rem auto; padding: 0 1rem; }}
img {{ max-width: 100%; height: auto; }}
th, td {{ text-align: left; padding: 0.1rem 1.5rem 0.1rem 0; }}
caption {{ text-align: left; font-weight: bold; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
<img alt="{alt}" src="data:image/png;base64,{picture}">
<p>{reading}</p>
<table>
<caption>The highest scores</caption>
<thead><tr><th scope="col">class</th><th scope="col">probability</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
<h2>Where each token looks</h2>
{explorer}
</main>
<script type="module">
{module}
</script>
</body>
</html>
"""
READING = (
    "Evidence adds up: what the tokens of the last map give to the score of the class, or take from it. "
    "On an earlier map it says, to first order, how far the score would fall if a token's numbers were zero. "
    "Rollout follows attention back from all last tokens; it knows nothing of the class."
)


class Expert(NamedTuple):
    """A trained model, its classes, and what it wants done to an image with values in [0, 1]."""

    model: SwinTransformer
    classes: list[str]
    prepare: Callable[[Tensor], Tensor]

    @property
    def side(self) -> int:
        """The pixels of a picture whose last map one window covers: what the models are trained on."""
        stages: Any = self.model.stages
        return self.model.embedding.patch * stages[-1].blocks[0].window * 2 ** (len(stages) - 1)


class Explanation(NamedTuple):
    """All that is shown of one picture."""

    named: str
    best: dict[str, float]  # the likeliest classes
    alt: str
    picture: bytes
    page: str


def main(image: str, out: Path, weights: Path | None, name: str | None, wanted: str | None) -> int:
    """Explain a picture; write the PNG and the page into the folder `out`, or say why not in one sentence."""
    try:
        check_out(out)
        found = explain(image, expert(weights, name), wanted)
        paths = [out / f"{Path(image).stem}_explained{suffix}" for suffix in (".png", ".html")]
        for path, data in zip(paths, (found.picture, found.page.encode()), strict=True):
            replace_bytes(path, data)
    except (OSError, ValueError) as problem:
        print(f"swin_edu: {problem}", file=sys.stderr)
        return 1
    for class_name, share in found.best.items():
        print(f"{100 * share:5.1f} %  {class_name}")
    print(f"evidence for: {found.named}\n{paths[0]}\n{paths[1]}")
    return 0


def expert(weights: Path | None, name: str | None) -> Expert:
    """Return the published model of that name, else that of a file of ``train``, else the book's own."""
    if name is None:
        path = weights or FOLDER / "scenes.safetensors"
        return Expert(trained(path).to(device()), json.loads(notes(path)["classes"]), normalise)
    if weights is None:
        raise ValueError(f"--model {name} needs its file of weights too: --weights FILE")
    model = swin(name).eval()
    load_weights(model, weights)
    return Expert(model.to(device()), class_names(), as_imagenet)


def as_imagenet(images: Tensor) -> Tensor:
    """Return images with the colours that models trained on ImageNet expect."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return (images - mean[:, None, None]) / deviation[:, None, None]


def explain(path: str, who: Expert, wanted: str | None = None) -> Explanation:
    """Return what a model says of the picture in a file, and why; for the class `wanted`, or its own."""
    image = load_image(path, who.side)
    inputs = who.prepare(image[None]).to(device())
    with torch.no_grad():
        shares = who.model(inputs)[0].softmax(-1).cpu()
    number = int(shares.argmax()) if wanted is None else number_of(wanted, who.classes)
    highest = shares.topk(min(5, len(shares)))
    best = {
        who.classes[i]: share
        for i, share in zip(highest.indices.tolist(), highest.values.tolist(), strict=True)
    }
    blocks, chosen = look_inside(who.model, inputs), torch.tensor([number], device=inputs.device)
    last = class_evidence(who.model, inputs, chosen)
    # Of the earlier maps, that of stage 2 finds the drawn shapes best (chapter 11).
    stage = min(2, len({seen.stride for seen in blocks}))
    start = torch.ones_like(last)[:, None] / last.numel()
    maps = {
        "evidence, last map": (last, blocks[-1].stride),
        f"evidence, stage {stage}": (
            class_evidence(who.model, inputs, chosen, stage),
            who.model.embedding.patch * 2 ** (stage - 1),
        ),
        "rollout": (rollout(blocks, start)[:, 0], blocks[0].stride),
    }
    drawn = {
        title: to_pixels(values, stride, who.side, who.side)[0].cpu()
        for title, (values, stride) in maps.items()
    }
    named = who.classes[number]
    picture = png(drawings.explanation(image, best, named, drawn))
    alt = in_words(best, named, drawn)
    row, column = divmod(int(last.argmax()), last.shape[2])
    first = next(number for number, seen in enumerate(blocks, 1) if seen.stride == blocks[-1].stride)
    sight = Sight(image[None], blocks, block=first, row=row, column=column)
    page = as_page(Path(path).name, picture, alt, best, sight)
    return Explanation(named, best, alt, picture, page)


def number_of(wanted: str, classes: list[str]) -> int:
    """Return the number of a class that is given by its name or its number."""
    if wanted in classes:
        return classes.index(wanted)
    if wanted.isdecimal() and int(wanted) < len(classes):
        return int(wanted)
    near = difflib.get_close_matches(wanted, classes) or [classes[0]]
    numbers = f"a number from 0 to {len(classes) - 1}"
    raise ValueError(f"--class is {wanted!r}; give {numbers} or a name such as {', '.join(near)}")


def in_words(best: dict[str, float], named: str, maps: dict[str, Tensor]) -> str:
    """Say what the figure shows."""
    shares = ", ".join(f"{name} {100 * share:.0f} %" for name, share in best.items())
    places = "; ".join(f"{title}: {place_of(values)}" for title, values in maps.items())
    return (
        f"The picture; bars of the highest scores: {shares}; and three maps for {named}. Highest in {places}."
    )


def place_of(values: Tensor) -> str:
    """Say in which ninth of a map its highest value lies."""
    row, column = divmod(int(values.argmax()), values.shape[1])
    down = ("top", "middle", "bottom")[3 * row // values.shape[0]]
    right = ("left", "middle", "right")[3 * column // values.shape[1]]
    return "the middle" if down == right == "middle" else f"the {down} {right}"


def as_page(name: str, picture: bytes, alt: str, best: dict[str, float], sight: Sight) -> str:
    """Return a page that holds all it needs: the figure, the scores and the explorer."""
    still = base64.b64encode(png(sight.still())).decode()
    said = {"image/png": {"alt": f"{sight.title}. {sight.describe()}"}}
    output = nbformat.from_dict({"data": {STATE_MIME: sight.stored(), "image/png": still}, "metadata": said})
    [script] = enliven(output)
    rows = [
        f'<tr><th scope="row">{html.escape(name)}</th><td>{100 * share:.1f} %</td></tr>'
        for name, share in best.items()
    ]
    return PAGE.format(
        title=html.escape(f"What the model sees in {name}"),
        alt=html.escape(alt),
        picture=base64.b64encode(picture).decode(),
        reading=html.escape(READING),
        rows="\n".join(rows),
        explorer=output.data["text/html"],
        module=live_module(script),
    )
