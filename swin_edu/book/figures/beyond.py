"""The pictures of chapters 9 to 15: what a Swin costs, learns, sees, and stands beside."""

import torch
from matplotlib.figure import Figure

from swin_edu.book import compare, drawings
from swin_edu.book.annotated import scenes_of_objects
from swin_edu.book.datasets import digits
from swin_edu.book.explorers import Halo, Moves, Sight
from swin_edu.book.explorers.approximation import photograph_tokens
from swin_edu.book.figures.picture import Picture
from swin_edu.book.images import sample_image
from swin_edu.book.measured import kept, measured_on
from swin_edu.book.scenes import CLASSES, draw_scene
from swin_edu.book.trained import trained
from swin_edu.fast import window_order
from swin_edu.insight import effective_field, look_inside, reachable, to_pixels
from swin_edu.rivals.performer import linear_attention, positive_features, random_directions
from swin_edu.tasks.detection import detect
from swin_edu.tasks.segmentation import segment
from swin_edu.training import normalise


def learning() -> Figure:
    """Draw how the small Swin of chapter 10 learned to read digits."""
    return drawings.learning_curves(kept("digits")["losses"], kept("digits")["accuracies"])


def ablations() -> Figure:
    """Draw what the model reaches without one part or with another, for five seeds."""
    shares = {"held-out digits right, last epoch, five seeds": kept("ablations")}
    return drawings.spreads(shares, "the recipe")


def sight() -> Figure:
    """Draw where a token of a drawn scene looks, in the second block of the model trained on scenes."""
    images = draw_scene(1, objects=1).image[None] / 255
    return Sight(images, look_inside(trained("scenes"), normalise(images)), block=2, row=8, column=8).still()


def fields() -> Figure:
    """Draw which pixels can move the middle token after each block, and how strongly they do."""
    model, reached = trained("scenes"), {}
    scenes = torch.stack([draw_scene(seed, objects=1).image for seed in range(1_000_000, 1_000_004)])
    inputs = normalise(scenes / 255)
    blocks = look_inside(model, inputs)
    for number, seen in enumerate(blocks, 1):
        tokens = reachable(blocks[:number], seen.size[0] // 2, seen.size[1] // 2)
        reached[f"block {number}"] = to_pixels(tokens, model.embedding.patch, 64, 64)
    strengths = effective_field(model, inputs, sums=4)
    return drawings.fields(reached, {name: strengths[index] for index, name in enumerate(reached)})


def sides() -> Figure:
    """Draw how long one image takes, and how much memory, as it grows."""
    costs, names = kept("backbones by side"), ("Swin-T", "ViT-S/16", "ResNet-34")
    panels = {"milliseconds": "ms", "megabytes that tensors hold at most": "MB"}
    lines = {title: {name: costs[f"{name}, {unit}"] for name in names} for title, unit in panels.items()}
    return drawings.by_side(lines, compare.SIDES, about=f"measured on {measured_on('backbones by side')}")


def matrices() -> Figure:
    """Draw the products of exact attention and of Performer to scale."""
    q, k, v = (x[0, 0] for x in photograph_tokens(sample_image("flower"), 8, 8))
    torch.manual_seed(0)
    directions = random_directions(16, 16).double()
    f, g = (positive_features(x / 2, directions) for x in (q, k))  # 2 is the fourth root of 16
    exact = {"Q": q, "Kᵀ": k.T, "weights": (q @ k.T / 4).softmax(-1), "V": v}
    cheap = {"φ(Q)": f, "φ(K)ᵀ": g.T, "V": v, "[φ(K)ᵀ V]": g.T @ v, "out": linear_attention(f, g, v)}
    rows = {"exact: softmax of QKᵀ, times V": exact, "Performer: φ(Q) times [φ(K)ᵀ V]": cheap}
    return drawings.matrices_to_scale(rows)


def lengths() -> Figure:
    """Draw what each attention costs as there are more tokens."""
    times, names = kept("attentions by length"), ("exact", "windows", "Performer", "Linformer", "Routing")
    panels = {"milliseconds": "ms", "megabytes at most": "MB"}
    return drawings.lines(
        {
            title: {name: (compare.LENGTHS, times[f"{name}, {unit}"]) for name in names}
            for title, unit in panels.items()
        },
        across="tokens N",
        up="measured",
        note=f"measured on {measured_on('attentions by length')}",
    )


def restart() -> Figure:
    """Draw the loss of a training that was killed, and of one that was not."""
    losses = kept("restart")
    known = int(losses["known at the kill"][0])
    return drawings.interrupted(losses["whole"], losses["killed"][:known], losses["killed"][known:])


def tasks() -> Figure:
    """Draw what the three small models find in five scenes."""
    images = scenes_of_objects(1, 28).held_out.images[[1, 11, 13, 21, 27]]
    with torch.no_grad():
        names = [CLASSES[label] for label in trained("scenes")(normalise(images)).argmax(1)]
    found = detect(trained("detection"), images, threshold=0.45)
    return drawings.answers(images, names, found, segment(trained("segmentation"), images), CLASSES)


BEYOND = (
    Picture(
        "steps",
        9,
        "The same model faster, step by step",
        "Bars in milliseconds for batches of 1 and of 8 images: the clear model at the top, below it the"
        " steps window order, chunks, faster product and one pass, each with how many times as fast as the"
        " clear model it is.",
        lambda: drawings.ladder(kept("steps"), [1, 8], measured_on("steps")),
    ),
    Picture(
        "memory",
        9,
        "Tokens that are used together lie together in memory",
        "A map of 56 by 56 tokens three times, coloured by place in memory: row by row, an even gradient;"
        " windows, squares of nearly one colour; shifted windows, the inner squares first. Bars: 49, 7, 7"
        " and 1 windows of four kinds.",
        lambda: drawings.memory_orders(window_order(56, 56, 7, 0)[0], *window_order(56, 56, 7, 3)),
    ),
    Picture(
        "learning",
        10,
        "A small Swin learns to read digits",
        "Two curves over 40 epochs. Left, the mean loss falls, steeply at first. Right, the share of"
        " held-out digits that are answered right rises within ten epochs to above nine in ten, then slowly"
        " to almost all; the best epoch is marked.",
        learning,
    ),
    Picture(
        "ablations",
        10,
        "What each part is worth, and how sure that is",
        "Twelve rows of five dots, one for each seed, with their means: the recipe, and the same without"
        " shift, mask, position or merging, with other starts and other recipes.",
        ablations,
    ),
    Picture(
        "sight",
        11,
        "Where a token looks, from content and from position",
        "A drawn star with one token and its window marked; the mean weights in that window, largest on the"
        " star; the logits from content and from position apart; below, the weights of each head.",
        sight,
    ),
    Picture(
        "fields",
        11,
        "What can reach a token, and what moves it",
        "Six pairs of maps, for blocks 1 to 6. Above: the pixels that can reach the middle token, a square"
        " that grows to the whole picture at block 4. Below: how strongly they do, uneven from patch to"
        " patch, strongest around the token.",
        fields,
    ),
    Picture(
        "scales",
        12,
        "A pyramid of maps, or one",
        "A photograph in mean colours, five times. Swin and a CNN: cells of 4, 8, 16 and 32 pixels, from 56"
        " by 56 to 7 by 7. ViT: cells of 16 pixels, 14 by 14. The cell at one place is marked in each.",
        lambda: drawings.cells_to_scale(
            sample_image(), {"Swin, CNN": (4, 8, 16, 32), "ViT": (16,)}, row=104, column=88
        ),
    ),
    Picture(
        "sides",
        12,
        "What a Swin, a ViT and a CNN cost as the image grows",
        "Measured milliseconds and megabytes of one image against its side, 224 to 1792 pixels, on"
        " logarithmic axes. Time of Swin-T and ResNet-34 rises in step with the pixels, that of ViT-S/16"
        " more steeply; memory rises alike for all three.",
        sides,
    ),
    Picture(
        "moves",
        12,
        "A Swin does not follow a picture that moves",
        "A digit moved two pixels to the right, what the model makes of it, and a table of right answers"
        " for moves of up to three pixels each way: 99 per cent unmoved, far fewer beyond one pixel. Below,"
        " all 24 digits so moved.",
        lambda: Moves(trained("digits"), *digits().held_out).still(),
    ),
    Picture(
        "matrices",
        13,
        "Performer never makes the large matrix",
        "Two rows of matrices to scale. Exact: Q of 64 by 16, K transposed of 16 by 64, the weights of 64"
        " by 64, V of 64 by 16. Performer: features of the queries and of the keys, V, their product of only"
        " 16 by 16, and the output of 64 by 16.",
        matrices,
    ),
    Picture(
        "lengths",
        13,
        "Which attention is cheaper depends on the number of tokens",
        "Measured milliseconds and megabytes against 64 to 65,536 tokens, both logarithmic. Exact attention"
        " rises twice as steeply as windows, Performer and Linformer; Routing lies between.",
        lengths,
    ),
    Picture(
        "tasks",
        14,
        "One backbone names pictures, finds objects, names pixels",
        "Scenes of textured shapes in three rows. Above, the name of one class for each. In the middle, a"
        " box around each object. Below, each pixel in the colour of its class.",
        tasks,
    ),
    Picture(
        "halo",
        15,
        "Processes that share an image exchange only a few rows",
        "A photograph in windows, its rows held by four ranks in four colours; hatched rows travel along"
        " arrows to the rank before. Bars: the bytes sent in windows, and globally fourteen times as many.",
        lambda: Halo(sample_image()).still(),
    ),
    Picture(
        "restart",
        15,
        "Training goes on after a crash as if nothing had been",
        "The loss of eight epochs, falling. A second run, killed after the third epoch, goes on along the"
        " same line.",
        restart,
    ),
)
