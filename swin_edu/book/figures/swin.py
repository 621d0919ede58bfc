"""The pictures of chapters 0 to 8: what a Swin is made of."""

import math

import torch
from einops import rearrange
from matplotlib.figure import Figure

from swin_edu.book import contents, drawings
from swin_edu.book.explorers import Attention, Block, Overview, Position, Reach, Windows
from swin_edu.book.explorers.architecture import plan
from swin_edu.book.figures.picture import Picture
from swin_edu.book.images import sample_image
from swin_edu.hierarchy import merge_neighbours
from swin_edu.model import swin
from swin_edu.patches import patch_partition
from swin_edu.position import log_spaced_offsets
from swin_edu.shift import region_ids, shift_mask


def toy_partition() -> Figure:
    """Draw four patches of 2 × 2 whose numbers can be checked by eye."""
    toy = torch.arange(16.0).expand(1, 3, 16).reshape(1, 3, 4, 4)
    return drawings.toy_partition(toy[0, 0], patch_partition(toy, 2)[..., ::3].reshape(4, 4))


def attention_steps() -> Figure:
    """Draw the four steps of attention for six patches of the flower, with numbers to check by hand."""
    places = [(12, 13), (9, 12), (26, 15), (8, 2), (19, 27), (20, 2)]  # heart, two petals, two leaves, dark
    cells = rearrange(sample_image("flower"), "c (h p) (w q) -> h w c (p q)", p=8, q=8)
    grey = cells.mean(2)
    contrast = grey.amax(-1, keepdim=True) - grey.amin(-1, keepdim=True)
    numbers = torch.cat([cells.mean(-1), contrast], dim=-1)
    standardised = (numbers - numbers.mean((0, 1))) / numbers.std((0, 1))
    six = torch.stack([standardised[place] for place in places]).round()
    dots = six @ six.T
    scaled = dots / math.sqrt(4)
    weights = scaled.softmax(-1)
    steps = {"1  compare": dots, "2  scale": scaled, "3  softmax": weights, "4  mean": weights @ six}
    return drawings.tables({"tokens": six, **steps}, query=1)


def mask_kinds() -> Figure:
    """Draw the four masks of the 64 windows of a shifted block."""
    masks, regions = shift_mask(56, 56, window=7, shift=3), region_ids(56, 56, shift=3)
    regions = rearrange(regions, "(h m) (w n) -> (h w) (m n)", m=7, n=7)
    kinds = torch.tensor([[2 * (row == 7) + (column == 7) for column in range(8)] for row in range(8)])
    one_of_each = torch.tensor([0, 7, 56, 63])
    return drawings.mask_kinds(kinds, masks[one_of_each], regions[one_of_each])


def log_spaced() -> Figure:
    """Draw what version 2 does with offsets that no window had in training."""
    far = torch.arange(16.0)
    coordinates = {
        "x": far,
        "log(1 + x), the paper": (1 + far).log(),
        "log-spaced, the code": log_spaced_offsets(16, pretrained_window=8)[-16:, 1],
    }
    lines = {name: (far, values / values[7]) for name, values in coordinates.items()}
    panels = {"grey: seen in training": lines}
    return drawings.curves(panels, "offset in tokens", "coordinate, 1 at 7", known=7)


def merging() -> Figure:
    """Draw 16 numbered tokens and the four that they are merged to."""
    toy = torch.arange(16.0).reshape(1, 4, 4, 1)
    return drawings.toy_merge(toy.reshape(4, 4), merge_neighbours(toy).reshape(4, 4))


def whole_model() -> Figure:
    """Draw Swin-T from the photograph to the scores, with random weights."""
    torch.manual_seed(0)
    model, image = swin("swin_t").eval(), sample_image()
    with torch.no_grad():
        maps, scores = model.features(image[None]), model(image[None])
    return drawings.whole_model(image, [x[0] for x in maps], (2, 2, 6, 2), (3, 6, 12, 24), scores[0])


# Millions of parameters and thousand millions of multiply-adds, as the papers round them.
PAPER_SIZES = {("swin_t", 224): (29, 4.5), ("swin_s", 224): (50, 8.7), ("swin_b", 224): (88, 15.4)}
PAPER_SIZES |= {("swin_b", 384): (88, 47.0), ("swin_l", 384): (197, 103.9), ("swin_v2_t", 256): (28, 5.9)}
PAPER_SIZES |= {("swin_v2_s", 256): (50, 11.5), ("swin_v2_b", 256): (88, 20.3)}


def models() -> Figure:
    """Draw what the published models hold and compute, counted."""
    windows = {224: 7, 256: 8, 384: 12}
    counted = {(name, side): plan(name, windows[side], side)[1:] for name, side in PAPER_SIZES}
    return drawings.models_compared(counted, PAPER_SIZES)


SWIN = (
    Picture(
        "windows_and_shift",
        0,
        "Attention inside windows, moved in every second block",
        "A photograph of a temple twice. Left: orange lines mark the windows of a shifted block, ragged at"
        " the border; four blue pieces lie in the four corners. Right: the same after the roll, all windows"
        " equally large; the four pieces now meet in the last window.",
        lambda: Overview(sample_image(), stage=1, window=7, shift=3, chosen=64).still(),
    ),
    Picture(
        "chapters",
        0,
        "The chapters, and the files that they write",
        "A list of the chapters 0 to 16 with the files of swin_edu that each writes.",
        lambda: drawings.chapter_map(contents.CHAPTERS),
    ),
    Picture(
        "zoom",
        1,
        "A picture is cut into patches; a patch is 48 numbers",
        "Left: a photograph of a temple under a grid of 56 by 56 squares. Middle: 64 of the squares pulled"
        " apart. Right: one square of 4 by 4 pixels, each with its three colour values.",
        lambda: drawings.zoom(sample_image(), patch=4, row=32, column=29),
    ),
    Picture(
        "toy_partition",
        1,
        "Cutting only reorders numbers",
        "A 4 by 4 square of the numbers 0 to 15 in four colours, and its four patches as rows: 0 1 4 5, 2 3"
        " 6 7, 8 9 12 13, 10 11 14 15.",
        toy_partition,
    ),
    Picture(
        "attention",
        2,
        "Attention: compare, scale, softmax, mean",
        "A photograph of a flower with one petal marked. Beside it its logits, brightest on petals; its"
        " weights, a bright ring; and the mean colour that each patch receives. Below, the weights as shares"
        " of one bar, in the colours that they bring.",
        lambda: Attention(sample_image("flower"), row=8, column=17).still(),
    ),
    Picture(
        "attention_steps",
        2,
        "Attention by hand: six tokens, four tables",
        "Six tokens A to F of four whole numbers each, their dot products, these divided by 2, the weights"
        " after softmax, and the outputs. Row B is framed: it gives 0.58 of its weight to C and 0.35 to"
        " itself, so it becomes nearly a mean of the two.",
        attention_steps,
    ),
    Picture(
        "windows",
        3,
        "Inside windows the cost grows in step with the picture",
        "Left: a photograph in 8 by 8 windows. Middle: one window enlarged, and bars of the pairs of"
        " tokens: 153,664 in windows, 9,834,496 globally. Right: multiply-adds against the image side,"
        " steeper globally than in windows.",
        lambda: Windows(sample_image(), side=224, stage=1, window=7, place=463).still(),
    ),
    Picture(
        "pairs",
        3,
        "All pairs of tokens, and the pairs in windows",
        "Three pairs of squares to one scale, for images of 224, 336 and 448 pixels. Pairs over the whole"
        " map: a small, a larger and a huge square, 9.8, 50 and 157 million. Pairs in windows: specks, 154,"
        " 346 and 615 thousand.",
        lambda: drawings.pairs_to_scale(
            {side: ((side // 4) ** 4, (side // 4) ** 2 * 49) for side in (224, 336, 448)}
        ),
    ),
    Picture(
        "shift_and_mask",
        4,
        "Move the windows, roll the map, mask what does not belong together",
        "Four panels. A photograph in 4 windows. The same in 9 windows moved by 2 tokens, the outer ones"
        " smaller. Rolled up and left, 4 windows again, the moved strips hatched. The mask of the last"
        " window: 16 by 16 pairs, of which only those of one region are filled.",
        lambda: drawings.shift_at_a_glance(
            sample_image(), tokens=8, window=4, shift=2, mask=shift_mask(8, 8, 4, 2)[-1]
        ),
    ),
    Picture(
        "mask_kinds",
        4,
        "However many windows, there are four masks",
        "8 by 8 windows, of kind A but the last column B, the last row C and the corner D. The masks: A all"
        " free; B small blocks of two regions; C two large blocks; D four regions. 0, 49, 49 and 74 per cent"
        " of the pairs are masked.",
        mask_kinds,
    ),
    Picture(
        "position",
        5,
        "One table of offsets serves every token of the window",
        "Left: a table of 13 by 13 values with a frame of 7 by 7. Middle: the frame's values turned by half"
        " a turn, the query marked. Right: the photograph, bright where attention lies: around the query.",
        lambda: Position(sample_image(), window=7, row=3, column=3, head=1).still(),
    ),
    Picture(
        "log_spaced",
        5,
        "Version 2 squeezes large offsets, so that larger windows are less new",
        "Three curves over offsets 0 to 15; a grey band up to 7 was seen in training. All are 1 at 7. At 15"
        " the straight line is at 2.14, the two logarithmic curves lie together at 1.33.",
        log_spaced,
    ),
    Picture(
        "block",
        6,
        "A block adds twice to what it was given",
        "Twelve steps of a block as a list, two orange arrows from the input past a branch to a sum; a bar"
        " beside each step for its standard deviation; and one channel of the map, cut into windows.",
        lambda: Block(sample_image()).still(),
    ),
    Picture(
        "pyramid",
        7,
        "Four stages, each half as fine; the window stays 7 by 7",
        "A photograph as 56 by 56, 28 by 28, 14 by 14 and 7 by 7 squares of mean colour. Orange lines mark"
        " windows of 7 by 7 tokens: 64, 16, 4 and 1 of them.",
        lambda: drawings.pyramid(sample_image(), window=7),
    ),
    Picture(
        "merging",
        7,
        "Patch merging: four tokens become one, column by column",
        "A 4 by 4 map of the numbers 0 to 15 in four squares A to D, and the merged tokens as rows: 0 4 1"
        " 5, 2 6 3 7, 8 12 9 13, 10 14 11 15.",
        merging,
    ),
    Picture(
        "reach",
        7,
        "Block by block a token hears of more",
        "Left: a photograph, bright where it can influence the outlined token of the third block. Right:"
        " twelve rows of windows, one for each block; blue widens from the token down to the patches.",
        lambda: Reach(sample_image()).still(),
    ),
    Picture(
        "whole_model",
        8,
        "The whole model: patches, four stages, a mean, a linear layer",
        "From left to right: a photograph, the maps of stages 1 to 4, from 56 by 56 by 96 to 7 by 7 by 768,"
        " and 1000 scores as thin lines. Below each map its layers: patches or merging, then 2, 2, 6 and 2"
        " blocks, every second one hatched.",
        whole_model,
    ),
    Picture(
        "models",
        8,
        "The published models: what they hold and what they compute",
        "Eight models, multiply-adds against parameters, both logarithmic; each dot, counted, lies inside"
        " the ring of the paper's values. From Swin-T at 28 million and 4.5 thousand million to Swin-L at"
        " 197 million and 104 thousand million.",
        models,
    ),
)
