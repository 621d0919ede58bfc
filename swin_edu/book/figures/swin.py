"""The pictures of chapters 0 to 8: what a Swin is made of."""

import torch
from matplotlib.figure import Figure

from swin_edu.book import contents, drawings
from swin_edu.book.explorers import Attention, Block, Overview, Position, Reach, Windows
from swin_edu.book.figures.picture import Picture
from swin_edu.book.images import sample_image
from swin_edu.patches import patch_partition
from swin_edu.shift import shift_mask

# The same token everywhere, in its window, in the shifted window; and one at the border, under the mask.
REACH = {
    "all windows": (56, 0, (27, 27)),
    "its window": (7, 0, (27, 27)),
    "its shifted window": (7, 3, (27, 27)),
    "at the border": (7, 3, (1, 27)),
}


def toy_partition() -> Figure:
    """Draw four patches of 2 × 2 whose numbers can be checked by eye."""
    toy = torch.arange(16.0).expand(1, 3, 16).reshape(1, 3, 4, 4)
    return drawings.toy_partition(toy[0, 0], patch_partition(toy, 2)[..., ::3].reshape(4, 4))


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
        lambda: drawings.chapter_map(contents.CHAPTERS, contents.written()),
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
        "A 4 by 4 square of the numbers 0 to 15 in four colours, and its four patches as rows: 0 1 4 5, 2 3 6"
        " 7, 8 9 12 13, 10 11 14 15.",
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
        "windows",
        3,
        "Inside windows the cost grows in step with the picture",
        "Left: a photograph in 8 by 8 windows. Middle: one window enlarged, and bars of the pairs of tokens:"
        " 153,664 in windows, 9,834,496 globally. Right: multiply-adds against the image side, steeper"
        " globally than in windows.",
        lambda: Windows(sample_image(), side=224, stage=1, window=7, place=463).still(),
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
        "window_reach",
        4,
        "Whom one token attends to",
        "A photograph four times, one token outlined. All 3,136 tokens are bright; only the 49 of its window;"
        " the 49 of the shifted window; and for a token at the upper border 21, its window's other 28,"
        " hatched, lie at the lower border.",
        lambda: drawings.window_reach(sample_image(), 4, REACH),
    ),
    Picture(
        "position",
        5,
        "One table of offsets serves every token of the window",
        "Left: a table of 13 by 13 values with a frame of 7 by 7. Middle: the frame's values turned by half a"
        " turn, the query marked. Right: the photograph, bright where attention lies: around the query.",
        lambda: Position(sample_image(), window=7, row=3, column=3, head=1).still(),
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
        "reach",
        7,
        "Block by block a token hears of more",
        "Left: a photograph, bright where it can influence the outlined token of the third block. Right:"
        " twelve rows of windows, one for each block; blue widens from the token down to the patches.",
        lambda: Reach(sample_image()).still(),
    ),
)
