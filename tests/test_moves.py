"""The explorer of chapter 10 moves digits and asks a model; the page says and draws what Python does."""

import copy
import itertools
import re

import matplotlib as mpl
import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, read_digits, show_live, written
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.patches import Rectangle

from swin_edu.book import style
from swin_edu.book.explorers import Moves
from swin_edu.book.explorers.moves import PLACES, answers, in_words, moved, per_cent, selection
from swin_edu.model import SwinTransformer

GIVEN = read_digits()
MODEL, IMAGES, LABELS = GIVEN["model"], GIVEN["images"], GIVEN["labels"]
EVERY_STATE = [
    {"digit": digit, "down": down, "right": right}
    for digit, (down, right) in itertools.product(range(24), PLACES)
]
LOOKED_AT = [
    {"digit": 0, "down": 0, "right": 2},
    {"digit": 4, "down": 0, "right": 0},  # read right, the others wrong
    {"digit": 7, "down": -3, "right": -3},
    {"digit": 18, "down": 3, "right": -1},
    {"digit": 23, "down": -2, "right": 3},
]


@pytest.fixture(scope="module")
def explorer():
    return Moves(**GIVEN)


def put(explorer, state):
    for name, value in state.items():
        setattr(explorer, name, value)


def one_by_one(image, down, right):
    """Move an image pixel by pixel."""
    _, height, width = image.shape
    result = torch.zeros_like(image)
    for y, x in itertools.product(range(height), range(width)):
        if 0 <= y - down < height and 0 <= x - right < width:
            result[:, y, x] = image[:, y - down, x - right]
    return result


def asked(images):
    """Return what the model gives to each class of images (N, 10), with 64 bits."""
    with torch.no_grad():
        scores = copy.deepcopy(MODEL).double().eval()((images / 127.5 - 1).double())
    return scores.exp() / scores.exp().sum(1, keepdim=True)


def chosen():
    """Return the numbers of the 24 digits shown: classes in turn, then the least sure, the least last."""
    sure = [gets[label].item() for gets, label in zip(asked(IMAGES), LABELS, strict=True)]
    hard = sorted(range(len(sure)), key=lambda i: sure[i])[:6]
    others = [i for i in range(len(sure)) if i not in hard]
    turns = itertools.zip_longest(*([i for i in others if LABELS[i] == label] for label in range(10)))
    return [i for turn in turns for i in turn if i is not None][:18] + hard[::-1]


CHOSEN = chosen()


def home(digit):
    """Return a digit that is shown, unmoved."""
    return IMAGES[CHOSEN[digit]]


def texts(axes):
    return [text.get_text() for text in axes.texts]


def frames(axes):
    """Return the outlined rectangles: colour, left, top, width, height."""
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    return [
        (mpl.colors.to_hex(box.get_edgecolor()), *box.get_xy(), box.get_width(), box.get_height())
        for box in boxes
    ]


# In Python


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(PLACES))
def test_moving_is_a_plain_loop(height, width, place):
    images = torch.arange(1, 1 + 6 * height * width).byte().clamp(min=1).view(2, 3, height, width)
    expected = torch.stack([one_by_one(image, *place) for image in images])
    assert torch.equal(moved(images, *place), expected)
    assert moved(images, *place).dtype == torch.uint8


def test_18_digits_of_all_classes_in_turn_then_the_6_least_sure():
    labels = torch.tensor([9, 9, 9, 9, 3, 3, 0, 0, *[5] * 20])
    sure = torch.ones(28).double()
    sure[[1, 20, 21, 22, 23, 24]] = torch.tensor([0.5, 0.5, 0.3, 0.2, 0.1, 0.4]).double()
    clear = [6, 4, 8, 0, 7, 5, 9, 2, 10, 3, 11, 12, 13, 14, 15, 16, 17, 18]
    assert selection(sure, labels) == [*clear, 20, 1, 24, 21, 22, 23]


def test_the_digits_shown(explorer):
    assert explorer.labels.tolist() == LABELS[CHOSEN].tolist()
    assert set(explorer.labels[:18].tolist()) == set(range(10))
    for (digit, image), (place, move) in itertools.product(enumerate(CHOSEN), enumerate(PLACES)):
        assert torch.equal(explorer.moved[digit, place], one_by_one(IMAGES[image], *move))


def test_probabilities_are_the_models(explorer):
    for place, move in enumerate(PLACES):
        expected = asked(torch.stack([one_by_one(home(digit), *move) for digit in range(24)]))
        assert torch.allclose(explorer.probabilities[:, place].double(), expected, rtol=0, atol=1e-7)
        assert torch.equal(explorer.answers[:, place], expected.argmax(1))


def test_ink_is_what_is_left_of_the_sum_of_all_pixels(explorer):
    for (digit, image), (place, move) in itertools.product(enumerate(CHOSEN), enumerate(PLACES)):
        left, whole = (
            int(pixels.long().sum()) for pixels in (one_by_one(IMAGES[image], *move), IMAGES[image])
        )
        assert explorer.ink[digit][place] == int(100 * left / whole + 0.5)


def test_right_answers_are_counted_over_all_images(explorer):
    assert explorer.count == 60
    for place, move in enumerate(PLACES):
        found = asked(torch.stack([one_by_one(image, *move) for image in IMAGES])).argmax(1)
        assert explorer.right_answers[place] == int((found == LABELS).sum())


@pytest.mark.parametrize("higher", [0, 1])
def test_a_near_tie_is_decided_with_64_bits(higher):
    """Only in 64 bits is one of two equal scores higher by 1e-9."""
    model = copy.deepcopy(MODEL).eval()
    with torch.no_grad():
        model.head.weight[1] = model.head.weight[0]
        model.head.bias[2:] = -1000.0
        model.head.bias[:2] = 0.0
        model.head.bias[higher] = 1e-9
    exact = copy.deepcopy(model).double()
    assert answers(model, exact, IMAGES).tolist() == [higher] * 60


def test_where_nothing_is_close_32_bits_decide():
    model = copy.deepcopy(MODEL).eval()
    with torch.no_grad():
        model.head.bias[:] = torch.arange(10) * 1000.0
    assert answers(model, copy.deepcopy(model).double(), IMAGES[:5]).tolist() == [9] * 5


def test_the_model_is_asked_as_it_is_and_left_as_it_was(explorer):
    model = copy.deepcopy(MODEL).train()
    again = Moves(model, IMAGES, LABELS)
    assert model.training and model.head.weight.dtype == torch.float32
    assert torch.equal(again.probabilities, explorer.probabilities)
    assert again.right_answers == explorer.right_answers


def test_the_mean_by_distance(explorer):
    by_hand = [explorer.right_answers[24]], [], [], []
    for down, right in PLACES:
        for far in (1, 2, 3):
            if far in (abs(down), abs(right)) and abs(down) <= far >= abs(right):
                by_hand[far].append(explorer.right_answers[PLACES.index((down, right))])
    assert [len(ring) for ring in by_hand] == [1, 8, 16, 24]
    assert explorer.by_distance() == [int(100 * sum(ring) / len(ring) / 60 + 0.5) for ring in by_hand]


def test_a_half_per_cent_is_rounded_up():
    assert [per_cent(part, 200) for part in (0, 1, 2, 3, 199, 200)] == [0, 1, 1, 2, 100, 100]
    assert [per_cent(part, 450) for part in (2, 3, 447, 448)] == [0, 1, 99, 100]


def test_moves_in_words():
    assert in_words(0, 0) == "not moved"
    assert in_words(-1, 0) == "moved 1 px up"
    assert in_words(2, -3) == "moved 2 px down and 3 px left"
    assert in_words(0, 3) == "moved 3 px right"


def test_the_sentence():
    explorer = Moves(**GIVEN)
    explorer.right_answers[24] = 59
    explorer.right_answers[17], explorer.ink[5][17] = 31, 87
    explorer.probabilities[5, 17] = torch.tensor([0.02, 0.5, 0.1, 0, 0, 0.375, 0, 0, 0, 0.005])
    explorer.answers[5, 17] = 1
    put(explorer, {"digit": 5, "down": -1, "right": 0})
    assert explorer.describe().startswith(
        "Digit 5 (class 5), moved 1 px up, 87 % of its ink left: the answer is 1 with 50 %, wrong; "
        "5 gets 38 %. Of all 60 digits 52 % are read right so, 98 % unmoved; on average "
    )
    means = explorer.by_distance()[1:]
    assert explorer.describe().endswith("on average {} % moved by 1 px, {} % by 2, {} % by 3.".format(*means))
    explorer.answers[5, 17] = 5
    assert "the answer is 5 with 38 %, right. Of all" in explorer.describe()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"images": IMAGES / 255}, "images has shape (60, 3, 8, 8) and type torch.float32; it must be"),
        ({"images": IMAGES[:, :1]}, "images has shape (60, 1, 8, 8) and type torch.uint8; it must be"),
        ({"images": IMAGES[:23]}, "it must be (N, 3, 8, 8) with N at least 24, and torch.uint8"),
        ({"labels": LABELS[:59]}, "labels has shape (59,); it must be (60,), each from 0 to 9"),
        ({"labels": LABELS + 1}, "labels has shape (60,); it must be (60,), each from 0 to 9"),
        ({"labels": LABELS - 1}, "labels has shape (60,); it must be (60,), each from 0 to 9"),
        (
            {"model": SwinTransformer(8, (1,), (1,), 2, 11, patch=2)},
            "model has 11 classes; it must have 10",
        ),
    ],
)
def test_what_cannot_be_shown_gets_one_sentence(change, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)) as problem:
        Moves(**{**GIVEN, **change})
    assert "\n" not in str(problem.value)


def test_24_digits_are_enough_and_a_black_one_has_no_ink():
    images = IMAGES[:24].clone()
    images[3] = 0
    explorer = Moves(MODEL, images, LABELS[:24].int())
    assert [0] * 49 in explorer.ink
    assert sorted(explorer.labels.tolist()) == sorted(LABELS[:24].tolist())


@pytest.mark.parametrize("state", LOOKED_AT)
def test_the_still_picture_draws_the_state(explorer, state):
    put(explorer, state)
    digit, bars, everything, one, row = explorer.still().axes
    number, place, move = state["digit"], explorer.place, (state["down"], state["right"])
    truth, given = LABELS[CHOSEN[number]].item(), explorer.answers[number].tolist()
    now = one_by_one(home(number), *move).permute(1, 2, 0).numpy()
    assert np.array_equal(digit.images[0].get_array(), now)
    assert digit.get_title() == f"digit {number}\n{in_words(*move)}"
    [note] = texts(digit)
    assert note == f"{explorer.ink[number][place]} % of its ink is left\nthin: patches, thick: windows"
    ruled = [
        sorted({line[0][i] for line in lines.get_segments()}) for lines in digit.collections for i in (0, 1)
    ]
    assert ruled[0] == ruled[3] == [0, 2, 4, 6, 8]
    assert ruled[4] == ruled[7] == [0, 4, 8]
    assert digit.collections[0].get_linewidth() < digit.collections[2].get_linewidth()

    gets = explorer.probabilities[number, place].tolist()
    assert [bar.get_width() for bar in bars.patches] == pytest.approx(gets)
    colours = [mpl.colors.to_hex(bar.get_facecolor()) for bar in bars.patches]
    assert [color == style.BLUE for color in colours] == [given[place] == i for i in range(10)]
    right = given[place] == truth
    assert right == (number == 4)
    said = {round(text.get_position()[1]): text.get_text() for text in bars.texts[10:]}
    assert said == ({truth: "✓ answer"} if right else {given[place]: "× answer", truth: "true"})
    assert texts(bars)[:10] == [f"{int(100 * share + 0.5)} %" for share in gets]
    framed = [label.get_text() for label in bars.get_yticklabels() if label.get_bbox_patch()]
    assert framed == [str(truth)]
    assert bars.get_ylim()[0] > bars.get_ylim()[1]  # class 0 at the top

    shares = [int(100 * count / 60 + 0.5) for count in explorer.right_answers]
    assert texts(everything) == [str(share) for share in shares]
    expected = mpl.colormaps["cividis"]([share / 100 for share in shares])[:, :3]
    assert np.allclose(everything.images[0].get_array().reshape(49, 3), expected)
    assert texts(one) == ["✓" if answer == truth else str(answer) for answer in given]
    blue = (one.images[0].get_array().reshape(49, 3) == mpl.colors.to_rgb(style.BLUE)).all(1)
    assert blue.tolist() == [answer == truth for answer in given]
    for axes in (everything, one):
        assert frames(axes)[1::2] == [
            (style.INK, 2, 2, 3, 3),
            (style.BLUE, state["right"] + 3, state["down"] + 3, 1, 1),
        ]
        centres = [text.get_position() for text in axes.texts]
        assert centres == [(x + 0.5, y + 0.5) for y in range(7) for x in range(7)]
        names = ["−3", "−2", "−1", "0", "1", "2", "3"]
        assert [label.get_text() for label in axes.get_xticklabels()] == names
        assert [label.get_text() for label in axes.get_yticklabels()] == names
    means = ", ".join(map(str, explorer.by_distance()))
    assert everything.get_xlabel() == f"pixels right\nmean by 0, 1, 2, 3 px: {means} %"
    assert everything.get_title() == "right answers of 60, %"

    strip = row.images[0].get_array().reshape(8, 24, 9, 3)
    for other in range(24):
        shown = one_by_one(home(other), *move).permute(1, 2, 0).numpy()
        assert np.array_equal(strip[:, other, :8], shown)
        answer = explorer.answers[other, place].item()
        sign = "✓" if answer == LABELS[CHOSEN[other]] else str(answer)
        assert (texts(row)[other], row.texts[other].get_position()[0]) == (sign, 9 * other + 4)
    assert (strip[:, :, 8] == 255).all()
    assert frames(row)[1] == (style.BLUE, 9 * number, 0, 8, 8)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_numbers_stand_out_from_their_cells(share):
    explorer = Moves(**GIVEN)
    explorer.right_answers = [round(60 * share)] * 49
    [number, *_] = explorer.still().axes[2].texts
    assert number.get_color() == (style.INK if share else style.PAPER)


@pytest.mark.parametrize(("patch", "window", "pixels"), [(4, 4, 8), (1, 4, 4), (2, 1, 2)])
def test_other_patches_and_windows_are_ruled(patch, window, pixels):
    """A window is no larger than the picture."""
    explorer = Moves(SwinTransformer(8, (1,), (1,), window, 10, patch=patch), IMAGES, LABELS)
    assert (explorer.patch, explorer.window) == (patch, pixels)
    lines = [lines.get_segments() for lines in explorer.still().axes[0].collections]
    assert [len(across) for across in lines] == [8 // step + 1 for step in (patch, patch, pixels, pixels)]


# On the page


def test_the_page_says_and_knows_what_python_does_in_every_state(page, explorer):
    load(page, "moves.js", ["describe", "reading", "shares", "byDistance", "unpack", "decode"])
    sentences, readings, percents, means = page.evaluate(
        """([arrays, states]) => {
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        const data = unpack(arrays), place = ({ down, right }) => 7 * (down + 3) + right + 3;
        return [states.map((state) => describe(state, data)),
          states.map((state) => reading(state.digit, place(state), data)),
          shares(data), byDistance(data)]; }""",
        [explorer.stored()["arrays"], EVERY_STATE],
    )
    for state, sentence, reading in zip(EVERY_STATE, sentences, readings, strict=True):
        put(explorer, state)
        assert sentence == explorer.describe()
        number, place = state["digit"], explorer.place
        assert reading == {
            "truth": explorer.labels[number].item(),
            "answer": explorer.answers[number, place].item(),
            "gets": explorer.probabilities[number, place].tolist(),
            "ink": explorer.ink[number][place],
        }
    assert percents == [per_cent(right, 60) for right in explorer.right_answers]
    assert means == explorer.by_distance()


def at(left, top, unit, count=8):
    """Return the middles of count × count squares on the canvas, as indices."""
    middles = ((np.arange(count) + 0.5) * unit).astype(int)
    return (top + middles)[:, None], (left + middles)[None]


@pytest.mark.parametrize("state", LOOKED_AT)
def test_the_page_draws_the_digits(page, explorer, state):
    put(explorer, state)
    show_live(page, explorer)
    drawn, move = canvas_pixels(page), (state["down"], state["right"])
    shown = one_by_one(home(state["digit"]), *move).permute(1, 2, 0).numpy()
    assert np.array_equal(drawn[at(8, 34, 21)], shown)
    for number in range(24):
        small = one_by_one(home(number), *move).permute(1, 2, 0).numpy()
        edge = 1 if number == state["digit"] else 0  # under the mark
        inner = slice(edge, 8 - edge)
        assert np.array_equal(drawn[at(8 + 31 * number, 288, 3.5)][inner, inner], small[inner, inner])
    # Thin lines are grey pixels mixed with orange, thick ones are four pixels of orange.
    across = drawn[34 + 10, 8 : 8 + 168].astype(int)
    coloured = np.flatnonzero(across[:, 0] - across[:, 2] > 60)
    thin, thick = [42 * i + side for i in (1, 3) for side in (-1, 0)], [0, 1, *range(82, 86), 166, 167]
    assert coloured.tolist() == sorted([*thin, *thick])
    assert (across[thick] == list(bytes.fromhex(style.ORANGE[1:]))).all()
    down = drawn[34 : 34 + 168, 8 + 10].astype(int)
    assert np.flatnonzero(down[:, 0] - down[:, 2] > 60).tolist() == coloured.tolist()


@pytest.mark.parametrize("state", LOOKED_AT)
def test_the_page_draws_bars_and_maps(page, explorer, state):
    put(explorer, state)
    show_live(page, explorer)
    drawn, number = canvas_pixels(page).astype(int), state["digit"]
    given, truth = explorer.answers[number].tolist(), explorer.labels[number].item()
    gets = explorer.probabilities[number, explorer.place].tolist()
    blue = np.array(list(bytes.fromhex(style.BLUE[1:])))
    for row, share in enumerate(gets):
        color = blue if row == given[explorer.place] else np.array([0xD0] * 3)
        bar = np.abs(drawn[34 + round(16.8 * row) + 8, 210:272] - color).sum(1) < 30
        assert bar.sum() == pytest.approx(60 * share, abs=1.1)
        frame = drawn[34 + round(16.8 * row) + 3 : 34 + round(16.8 * row) + 13, 193]
        assert (frame < 140).all() == (row == truth)
    shares = np.array([per_cent(right, 60) for right in explorer.right_answers])
    expected = {404: mpl.colormaps["cividis"](shares / 100)[:, :3] * 255}
    expected[584] = np.where((np.array(given) == truth)[:, None], blue, 255)
    for left, colours in expected.items():
        for place, color in enumerate(colours):
            y, x = 34 + 24 * (place // 7), left + 24 * (place % 7)
            assert np.abs(drawn[y + 4, x + 12] - color).max() < 12, place
        x, y = left + 24 * (state["right"] + 3), 34 + 24 * (state["down"] + 3)
        for edge in ([y + 12, x], [y + 12, x + 24], [y, x + 12], [y + 24, x + 12]):
            assert np.abs(drawn[tuple(edge)] - blue).sum() < 30
        for near, far in ((46, 50), (118, 122)):  # the dashed frame, two sides at a time
            for edge in (
                drawn[82:154, left + near : left + far],
                drawn[34 + near : 34 + far, left + 48 : left + 120],
            ):
                assert {3 * 0x1A, 3 * 255} <= set(edge.sum(2).ravel())


@pytest.mark.parametrize("state", LOOKED_AT)
def test_the_page_writes_the_numbers(page, explorer, state):
    put(explorer, state)
    said = written(page, explorer)
    digit, bars, everything, one, row = explorer.still().axes
    ticks = [label.get_text() for label in one.get_xticklabels()]
    expected = [
        *(texts(bars) + texts(everything) + texts(one) + texts(row) + 3 * ticks),
        *(axes.get_title() for axes in (bars, everything, row)),
        *("this digit's answers", f"digit {state['digit']}", "✓: right", "dashed: at most 1 px"),
        *(in_words(state["down"], state["right"]), *texts(digit)[0].split("\n")),
        *map(str, range(10)),
        *("→ right, ↓ down, in pixels", everything.get_xlabel().split("\n")[1]),
    ]
    assert sorted(text["text"] for text in said) == sorted(expected)

    # Each at its place: the cells row by row, the answers below their digits.
    for left, axes in ((404, everything), (584, one)):
        inside = [
            text for text in said if text["left"] >= left and text["right"] <= left + 168 and text["y"] < 202
        ]
        cells = sorted((t for t in inside if t["y"] > 34), key=lambda t: (t["y"], t["left"]))
        expected = [(text.get_text(), text.get_color()) for text in axes.texts]
        assert [(text["text"], text["color"]) for text in cells] == expected
    below = sorted((text for text in said if text["y"] > 320), key=lambda text: text["left"])
    assert [text["text"] for text in below] == texts(row)
    assert [text["bold"] for text in below] == [number == state["digit"] for number in range(24)]
    beside = sorted((t for t in said if 34 < t["y"] < 202 and 300 < t["right"] < 306), key=lambda t: t["y"])
    assert [text["text"] for text in beside] == texts(bars)[:10]
    tags = {round((t["y"] - 47) / 16.8): t["text"] for t in said if t["left"] == 310}
    assert tags == {round(text.get_position()[1]): text.get_text() for text in bars.texts[10:]}


@pytest.mark.parametrize(
    "state", [{"digit": 23, "down": -3, "right": -3}, {"digit": 10, "down": 0, "right": 0}]
)
def test_no_text_is_cut_off_or_overlaps(page, state):
    explorer = Moves(**GIVEN, **state)
    place, arrays = explorer.place, dict(explorer.arrays)
    arrays["right"] = {**arrays["right"], "bytes": np.full(49, 60, np.float32).tobytes()}
    gets = explorer.probabilities.numpy().copy()
    gets[state["digit"], place] = 1  # as wide as it gets
    arrays["probabilities"] = {**arrays["probabilities"], "bytes": gets.tobytes()}
    explorer.arrays = arrays
    said = written(page, explorer)
    assert any("100, 100, 100, 100 %" in text["text"] for text in said)
    height, width, _ = canvas_pixels(page).shape
    assert all(text["left"] >= 0 and text["right"] <= width and text["y"] + 4 <= height for text in said)
    assert all(text["size"] >= 12 for text in said)
    for one, other in itertools.combinations(said, 2):
        beneath = abs(one["y"] - other["y"]) >= 14
        beside = one["right"] + 1 <= other["left"] or other["right"] + 1 <= one["left"]
        assert beneath or beside, (one, other)


def test_pointing_at_a_map_moves_and_at_the_row_chooses(page, explorer):
    put(explorer, {"digit": 0, "down": 0, "right": 0})
    show_live(page, explorer)
    bounds = page.locator("canvas").bounding_box()
    scale = bounds["width"] / 760

    def move_to(x, y):
        page.mouse.move(bounds["x"] + x * scale, bounds["y"] + y * scale)
        sliders = [page.get_by_role("slider", name=name) for name in ("Digit", "Pixels down", "Pixels right")]
        return [slider.get_attribute("aria-valuetext") for slider in sliders]

    zero = f"digit 0 of 24, counted from 0: class {explorer.labels[0]}"
    assert move_to(404 + 24 * 6.5, 34 + 24 * 1.5) == [zero, "2 px up", "3 px right"]
    assert move_to(404 + 24 * 0.5, 34 + 24 * 3.5) == [zero, "neither up nor down", "3 px left"]
    assert move_to(584 + 24 * 3.5, 34 + 24 * 6.5) == [zero, "3 px down", "neither left nor right"]
    for x, y in ((577, 120), (100, 100), (660, 220), (660, 30), (380, 280), (380, 318), (756, 300), (4, 300)):
        assert move_to(x, y) == [zero, "3 px down", "neither left nor right"]
    last = f"digit 23 of 24, counted from 0: class {explorer.labels[23]}"
    assert move_to(8 + 31 * 23 + 14, 300) == [last, "3 px down", "neither left nor right"]
    assert move_to(12, 290)[0] == zero


def test_every_step_changes_the_picture(page, explorer):
    put(explorer, {"digit": 0, "down": 0, "right": 0})
    show_live(page, explorer)
    for name, count in (("Digit", 24), ("Pixels down", 7), ("Pixels right", 7)):
        page.get_by_role("slider", name=name).focus()
        page.keyboard.press("Home")
        seen = {canvas_pixels(page).tobytes()}
        for _ in range(count - 1):
            page.keyboard.press("ArrowRight")
            seen.add(canvas_pixels(page).tobytes())
        assert len(seen) == count
