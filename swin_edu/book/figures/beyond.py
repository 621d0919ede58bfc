"""The pictures of chapters 9 to 15: what a Swin costs, learns, sees, and stands beside."""

import torch
from matplotlib.figure import Figure

from swin_edu.book import drawings
from swin_edu.book.annotated import scenes_of_objects
from swin_edu.book.datasets import digits
from swin_edu.book.explorers import Halo, Moves, Sight
from swin_edu.book.figures.picture import Picture
from swin_edu.book.images import sample_image
from swin_edu.book.scenes import CLASSES, draw_scene
from swin_edu.book.trained import trained
from swin_edu.fast import window_order
from swin_edu.insight import look_inside
from swin_edu.tasks.detection import detect
from swin_edu.tasks.segmentation import segment
from swin_edu.training import normalise


def sight() -> Figure:
    """Draw where a token of a drawn scene looks, in the second block of the model trained on scenes."""
    images = draw_scene(1, objects=1).image[None] / 255
    return Sight(images, look_inside(trained("scenes"), normalise(images)), block=2, row=8, column=8).still()


def tasks() -> Figure:
    """Draw what the three small models find in three scenes."""
    images = scenes_of_objects(1, 24).held_out.images[[11, 13, 21]]
    with torch.no_grad():
        names = [CLASSES[label] for label in trained("scenes")(normalise(images)).argmax(1)]
    found = detect(trained("detection"), images, threshold=0.45)
    return drawings.answers(images, names, found, segment(trained("segmentation"), images), CLASSES)


BEYOND = (
    Picture(
        "memory",
        9,
        "Tokens that are used together lie together in memory",
        "A map of 56 by 56 tokens three times, coloured by place in memory: row by row, an even gradient;"
        " windows, squares of nearly one colour; shifted windows, the inner squares first. Bars: 49, 7, 7 and"
        " 1 windows of four kinds.",
        lambda: drawings.memory_orders(window_order(56, 56, 7, 0)[0], *window_order(56, 56, 7, 3)),
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
        "moves",
        12,
        "A Swin does not follow a picture that moves",
        "A digit moved two pixels to the right, what the model makes of it, and a table of right answers for"
        " moves of up to three pixels each way: 97 per cent unmoved, far fewer beyond one pixel. Below, all"
        " 24 digits so moved.",
        lambda: Moves(trained("digits"), *digits().held_out).still(),
    ),
    Picture(
        "tasks",
        14,
        "One backbone names pictures, finds objects, names pixels",
        "Scenes of textured shapes in three rows. Above, the name of one class for each. In the middle, a box"
        " around each object. Below, each pixel in the colour of its class.",
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
)
