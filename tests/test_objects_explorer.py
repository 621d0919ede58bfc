"""The explorer of found objects shows what the models compute, in Python and on a page."""

import functools
import itertools
import math

import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, show_live, written
from matplotlib import colormaps
from matplotlib.colors import to_hex, to_rgb

from swin_edu.book.annotated import scenes_of_objects
from swin_edu.book.drawings.tasks import KINDS
from swin_edu.book.explorers import Objects
from swin_edu.book.explorers.objects import Box, names_at, numbers_of
from swin_edu.book.scenes import CLASSES
from swin_edu.book.style import BLUE, INK, PAPER
from swin_edu.model import SwinTransformer
from swin_edu.tasks.detection import Detector, detect
from swin_edu.tasks.segmentation import Segmenter, segment
from swin_edu.training import draw_larger_weights, normalise

UNIT, TOP = 232 / 64, 34  # pixels of the canvas for one of the scene, as in objects.js
LEFTS = {"scene": 8, "classes": 264, "token": 520}


@functools.cache
def given(window=4, count=3):
    """Return scenes and small models with large random weights, which find some boxes on every level."""
    torch.manual_seed(0)
    backbone = SwinTransformer(8, (2, 2, 2), (2, 2, 4), window=window, num_classes=6)
    draw_larger_weights(backbone)
    detector, segmenter = (kind(backbone, 6, width=8).eval() for kind in (Detector, Segmenter))
    with torch.no_grad():
        detector.classes.weight.mul_(14)
        detector.classes.bias.fill_(-12)
        detector.sides.bias.fill_(2)
        segmenter.classes[-1].bias[:16] += 0.4
    return {
        "images": scenes_of_objects(1, count).held_out.images,
        "detector": detector,
        "segmenter": segmenter,
    }


@functools.cache
def explorer(window=4):
    return Objects(**given(window))


def stand(shown, **state):
    """Move the sliders; those not named go where they first stand."""
    for name, value in {"scene": 0, "threshold": 30, "level": 0, "object": 1, **state}.items():
        setattr(shown, name, value)
    return shown


def array(shown, name):
    sent = shown.arrays[name]
    return np.frombuffer(sent["bytes"], sent["dtype"]).reshape(sent["shape"])


def attention_by_hand(backbone, images, stage, window):
    """Return the tokens of each window of a stage's last block, and the weights, mean of the heads."""
    taken = []
    block = backbone.stages[stage].blocks[-1]
    handle = block.attention.register_forward_hook(lambda layer, args, _: taken.extend([layer, *args]))
    with torch.no_grad():
        backbone.features(images)
    handle.remove()
    layer, windows, mask = taken
    q, k, _ = layer.qkv(windows).chunk(3, dim=-1)
    q, k = (x.unflatten(-1, (layer.heads, -1)).transpose(1, 2) for x in (q, k))
    logits = (q @ k.transpose(-2, -1)) / math.sqrt(q.shape[-1]) + layer.position()
    side = 16 // 2**stage
    padded = -(-side // window) * window
    tokens = torch.full((padded, padded), -1)
    tokens[:side, :side] = torch.arange(side * side).view(side, side)
    if mask is not None:
        logits = logits.masked_fill(~mask.repeat(len(images), 1, 1)[:, None], -torch.inf)
        tokens = tokens.roll((-(window // 2),) * 2, (0, 1))
    tokens = tokens.unfold(0, window, window).unfold(1, window, window).reshape(-1, window**2)
    return tokens, logits.softmax(-1).mean(1).unflatten(0, (len(images), -1)).detach(), mask


@pytest.mark.parametrize("window", [4, 3])
def test_what_is_sent_is_what_the_models_compute(window):
    of, shown = given(window), explorer(window)
    found, named = detect(of["detector"], of["images"], 0.05), segment(of["segmenter"], of["images"])
    images = normalise(of["images"])
    by_hand = [attention_by_hand(of["detector"].backbone, images, stage, window) for stage in range(3)]
    facts, boxes, keys, weights, allowed = (
        array(shown, name) for name in ("facts", "boxes", "keys", "weights", "allowed")
    )
    assert array(shown, "strides").tolist() == [4, 8, 16]
    assert len(facts) == sum(len(each.labels) for each in found) > 40
    assert set(facts[:, 3]) == {1, 2, 3}
    first, sent = [0, 256, 256 + 64], iter(range(len(facts)))
    for scene, each in enumerate(found):
        for box, label, score, place in zip(*each, strict=True):
            i = next(sent)
            level = sum(place.item() >= start for start in first)
            side = 16 // 2 ** (level - 1)
            number = place.item() - first[level - 1]
            assert facts[i, [0, 1, 3, 4, 5]].tolist() == [scene, label, level, *divmod(number, side)]
            assert math.isclose(facts[i, 2], score, abs_tol=1e-4)
            assert np.allclose(boxes[i], box, atol=1e-2)
            x0, y0, x1, y1 = boxes[i]
            inside = [
                named[scene, y, x].item() == label.item() + 1
                for y, x in itertools.product(range(64), repeat=2)
                if x0 < x + 0.5 < x1 and y0 < y + 0.5 < y1
            ]
            assert abs(facts[i, 6] - 100 * sum(inside) / max(1, len(inside))) <= 0.51
            tokens, truth, mask = by_hand[level - 1]
            [[w, query]] = (tokens == number).nonzero().tolist()
            order = [j for j in tokens[w].argsort().tolist() if tokens[w, j] >= 0]
            assert keys[i].tolist() == tokens[w, order].tolist() + [-1] * (window**2 - len(order))
            assert np.allclose(weights[i, : len(order)], truth[scene, w, query, order], atol=1e-4)
            free = torch.ones(window**2) if mask is None else mask[w, query]
            assert allowed[i, : len(order)].tolist() == free[order].tolist()
    assert (keys < 0).any() == (window == 3)
    assert (allowed == 0).any()


def test_pixels_wear_the_colours_of_their_classes():
    of, shown = given(), explorer()
    named = segment(of["segmenter"], of["images"])
    assert len(named.unique()) >= 5
    for scene, (image, pixels) in enumerate(zip(of["images"], named, strict=True)):
        assert np.array_equal(array(shown, f"photo{scene}"), image.permute(1, 2, 0))
        sent = array(shown, f"named{scene}")
        for y, x in itertools.product(range(0, 64, 3), repeat=2):
            color = np.full(3, image[:, y, x].float().mean().item())
            if pixels[y, x]:
                color = 0.4 * color + 0.6 * 255 * np.array(to_rgb(KINDS[pixels[y, x] - 1]))
            assert np.allclose(sent[y, x], color, atol=0.6)
        numbers = array(shown, "numbers")
        assert numbers[numbers[:, 0] == scene, 1:].tolist() == [
            list(map(float, n)) for n in numbers_of(pixels)
        ]
    assert [to_hex(color / 255) for color in array(shown, "palette")] == list(KINDS)


def test_numbers_stand_amid_their_class_and_apart():
    truth = scenes_of_objects(1, 30).held_out
    for pixels, labels in zip(truth.pixels, truth.labels, strict=True):
        numbers = numbers_of(pixels)
        assert {number for number, *_ in numbers} == set((1 + labels[labels >= 0]).tolist())
        for number, x, y in numbers:
            around = pixels[int(max(0, y - 2.5)) : int(y + 2.5), int(max(0, x - 2.5)) : int(x + 2.5)]
            assert (around == number).sum() >= 10
        for (a, x, y), (b, u, v) in itertools.combinations(numbers, 2):
            assert max(abs(x - u), abs(y - v)) >= (16 if a == b else 5)
    assert numbers_of(torch.zeros(64, 64, dtype=torch.uint8)) == []


def every_setting(shown):
    for scene, threshold, level in itertools.product((0, 2), range(5, 100, 5), range(4)):
        stand(shown, scene=scene, threshold=threshold, level=level)
        for number in range(1, min(6, shown.limits()["object"]) + 1):
            yield {"scene": scene, "threshold": threshold, "level": level, "object": number}


@pytest.mark.parametrize("window", [4, 3])
def test_page_equals_python_for_every_setting(page, window):
    load(page, "objects.js", ["describe", "limits", "shownOf", "namesAt", "look", "unpack", "decode"])
    shown = explorer(window)
    asked = list(every_setting(shown))
    answers = page.evaluate(
        """([arrays, asked]) => {
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        const data = unpack(arrays);
        return asked.map((state) => {
          const shown = shownOf(state, data), names = namesAt(shown, state.object - 1);
          const seen = shown.length ? look(shown[state.object - 1], data) : null;
          const beyond = limits({ ...state, scene: 5 }, data);
          return [describe(state, data), beyond, limits(state, data), names, seen];
        }); }""",
        [shown.stored()["arrays"], asked],
    )
    assert len(answers) > 300
    for state, (sentence, beyond, limits, names, seen) in zip(asked, answers, strict=True):
        stand(shown, **state)
        assert sentence == shown.describe(), state
        assert limits == shown.limits(), state
        assert names == [list(place) for place in names_at(shown.shown(), state["object"] - 1)], state
        chosen = shown.chosen()
        assert (seen is None) == (chosen is None)
        if chosen:
            look = shown.look(chosen)
            assert (seen["stride"], seen["width"]) == (look.seen.stride, look.seen.size[1])
            for key, weight, free in zip(seen["keys"], seen["weights"], seen["allowed"], strict=True):
                if key >= 0:
                    row, column = divmod(int(key), seen["width"])
                    assert weight == look.values[row, column].item()
                    assert free == look.allowed[row, column]
        if state["scene"] == 2:
            assert beyond == limits, state
    words = {answer[0] for answer in answers}
    assert len(words) == len(asked)  # every step changes the sentence


def test_sentence_counts_boxes_by_level():
    shown = stand(explorer(), scene=1, threshold=20)
    found = detect(given()["detector"], given()["images"][1:2], 0.2)[0]
    levels = [1 + (place >= 256).item() + (place >= 320).item() for place in found.places]
    counts = [levels.count(level) or "none" for level in (1, 2, 3)]
    begin = f"Scene 1, threshold 20 %: {len(levels)} boxes, " + ", ".join(
        f"{count} from level {level}" for level, count in enumerate(counts, 1)
    )
    assert shown.describe().startswith(f"{begin}. Box 1 of {len(levels)}: ")
    name, score = CLASSES[found.labels[0]], int(100 * found.scores[0].item() + 0.5)
    assert f": {name}, {score} %, from level {levels[0]}, place row " in shown.describe()
    shown.level = 2
    assert f"Box 1 of {counts[1]} from level 2: " in shown.describe()
    most = max(shown.look(shown.chosen()).values.flatten().tolist())
    assert shown.describe().endswith(f"({int(100 * most + 0.5)} %).")
    stand(shown, threshold=95)
    assert shown.describe() == (
        "Scene 0, threshold 95 %: 0 boxes, none from level 1, none from level 2, none from level 3. "
        "No box is shown."
    )
    shown.level = 3
    assert shown.describe().endswith(" No box from level 3 is shown.")


def test_a_token_may_attend_most_to_itself():
    shown, seen = explorer(), set()
    for state in every_setting(shown):
        chosen = stand(shown, **state).chosen()
        if chosen:
            weights = shown.look(chosen).values
            itself = weights[chosen.row, chosen.column] == weights.max()
            assert ("attends most to itself (" in shown.describe()) == itself
            seen.add(itself.item())
    assert seen == {True, False}


def test_limits_follow_scene_threshold_and_level():
    shown = stand(explorer(), scene=5, threshold=5, object=100)
    assert shown.state["scene"] == 2
    assert shown.state["object"] == min(
        100, len(detect(given()["detector"], given()["images"], 0.05)[2].labels)
    )
    shown.threshold = 95
    assert shown.state["object"] == 1
    assert shown.chosen() is None


def a_box(label=0, score=0.5, sides=(10.0, 20.0, 30.0, 40.0)):
    return Box(0, label, score, 1, 0, 0, 0, sides)


def test_names_never_overlap_and_the_chosen_one_is_always_there():
    for scene, threshold, chosen in itertools.product(range(3), (5, 20), range(0, 20, 3)):
        boxes = stand(explorer(), scene=scene, threshold=threshold).shown()
        names = names_at(boxes, chosen)
        assert names[0][0] == chosen
        places = []
        for number, x, y in names:
            text = f"{CLASSES[boxes[number].label]} {int(100 * boxes[number].score + 0.5)} %"
            width = 1.85 * (len(text) + 1)
            assert 0 <= x <= 64 - width + 1e-9
            assert 0 <= y <= 64 - 4.4 + 1e-9
            places.append((x, y, x + width, y + 4.4))
        for (a, b, c, d), (e, f, g, h) in itertools.combinations(places, 2):
            assert c <= e + 1e-9 or g <= a + 1e-9 or d <= f + 1e-9 or h <= b + 1e-9


def test_names_stand_above_below_or_in_their_box():
    width = 1.85 * len("disc 50 % ")
    assert names_at([a_box()], 0) == [(0, 10, pytest.approx(15.6))]
    assert (
        names_at([a_box(), a_box()], 0)[1] == (1, pytest.approx(30 - width), pytest.approx(15.6))
        or width > 10
    )
    assert names_at([a_box(sides=(10.0, 2.0, 30.0, 40.0))], 0) == [(0, 10, 40)]
    assert names_at([a_box(sides=(0.0, 0.0, 64.0, 64.0))], 0) == [(0, 0, 0)]
    assert names_at([a_box(), a_box()], 1)[0][0] == 1
    crowd = [a_box() for _ in range(9)]
    assert [number for number, *_ in names_at(crowd, 0)] == [0, 1, 2]  # above, below, in the box


# The still picture and the page


def outlines(axes):
    """Return the boxes in the colours of classes: (colour, line, width, sides)."""
    found = []
    for patch in axes.patches:
        color = to_hex(patch.get_edgecolor())
        if color in KINDS and not patch.get_fill() and patch.get_linewidth() in (1.6, 3.0):
            x, y, width, height = patch.get_bbox().bounds
            sides = tuple(round(side, 3) for side in (x, y, x + width, y + height))
            found.append((color, patch.get_linestyle(), patch.get_linewidth(), sides))
    return found


def expected_outline(found, width):
    sides = tuple(round(side, 3) for side in found.sides)
    return KINDS[found.label], ["solid", "dashed", "dotted"][found.level - 1], width, sides


@pytest.mark.parametrize(
    "state",
    [{"threshold": 20}, {"scene": 1, "threshold": 10, "level": 2, "object": 2}, {"scene": 2, "object": 2}],
)
def test_still_draws_the_present_state(state):
    shown = stand(explorer(), **state)
    scene, classes, token, scores = shown.still().axes
    boxes, chosen, number = shown.shown(), shown.chosen(), shown.state["scene"]
    others = [expected_outline(each, 1.6) for each in boxes if each is not chosen]
    drawn = [each for each in outlines(scene) if each[2] == 1.6]
    assert sorted(each for each in drawn if each in others) == sorted(others)
    assert expected_outline(chosen, 3.0) in outlines(scene)
    assert expected_outline(chosen, 1.6) in outlines(classes)
    stride = {1: 4, 2: 8, 3: 16}[chosen.level]
    place = (chosen.column * stride, chosen.row * stride, stride, stride)
    for axes in (scene, token):
        assert any(
            to_hex(patch.get_edgecolor()) == BLUE and patch.get_bbox().bounds == place
            for patch in axes.patches
        )
    assert np.array_equal(classes.images[0].get_array(), array(shown, f"named{number}"))
    assert np.array_equal((scene.images[0].get_array() * 255).round(), array(shown, f"photo{number}"))
    named = {text.get_text() for text in scene.texts} - {"blue square: the place that answered"}
    assert named == {
        f"{CLASSES[boxes[i].label]} {int(100 * boxes[i].score + 0.5)} %"
        for i, *_ in names_at(boxes, shown.state["object"] - 1)
    }
    *texts, names = classes.texts
    assert [(int(text.get_text()), *text.get_position()) for text in texts] == shown.numbers[number]
    assert names.get_text() == "1 disc, 2 square, 3 triangle\n4 star, 5 cross, 6 ring"
    look = shown.look(chosen)
    best = look.values == look.values.max()
    y, x = (stride * int(place) for place in best.nonzero()[0])
    bright = 0.3 * given()["images"][number][:, y, x].numpy() / 255 + 0.7 * np.array(
        colormaps["cividis"](1.0)[:3]
    )
    assert np.allclose(token.images[0].get_array()[y, x], bright, atol=0.01)
    assert {int(100 * look.values.max() + 0.5)} == {
        int(token.texts[0].get_text().split("bright ")[1].split()[0])
    }
    dots = [line for line in scores.lines if line.get_marker() == "o"]
    expected = []
    for each in shown.found[number]:
        fill = BLUE if each is chosen else INK if each in boxes else PAPER
        expected.append((each.score, each.level, fill))
    assert [(*map(float, line.get_xydata()[0]), line.get_color()) for line in dots] == expected
    texts = [text.get_text() for text in scores.texts]
    above = [each.level for each in shown.found[number] if each.score > shown.threshold / 100]
    for level in (1, 2, 3):
        count = above.count(level)
        assert f"level {level} ({2 ** (level + 1)} px): {count} box{'' if count == 1 else 'es'}" in texts
    assert f"threshold {shown.threshold} %" in texts
    lines = scores.collections[-1].get_segments()[0]
    assert lines[:, 0].tolist() == [shown.threshold / 100] * 2


def test_without_a_box_the_still_says_so():
    scene, _, token, scores = stand(explorer(), threshold=95).still().axes
    assert token.get_title() == "no box is shown"
    assert outlines(scene) == []
    assert all(line.get_color() == PAPER for line in scores.lines if line.get_marker() == "o")


def middle_of(name, x, y):
    """Return the pixel of the canvas amid a pixel of the scene."""
    return TOP + int((y + 0.5) * UNIT), LEFTS[name] + int((x + 0.5) * UNIT)


def seen_on(drawn, color, left, top, right, bottom):
    """Return the largest share of a row, or of a column where these are longer, that has a colour."""
    part = drawn[round(top) : round(bottom), round(left) : round(right)].astype(int)
    same = np.abs(part - color).max(-1) < 12
    return same.mean(int(right - left > bottom - top)).max()


@pytest.mark.parametrize("state", [{"threshold": 40}, {"scene": 1, "threshold": 20, "level": 1, "object": 2}])
def test_canvas_shows_boxes_classes_and_weights(page, state):
    shown = stand(explorer(), **state)
    show_live(page, shown)
    drawn, number, chosen = canvas_pixels(page), shown.state["scene"], shown.chosen()
    assert page.locator(".swin-explorer p").inner_text() == shown.describe()
    overlay, photo = array(shown, f"named{number}"), array(shown, f"photo{number}").astype(float)
    covered = np.zeros((64, 64), bool)
    x0, y0, x1, y1 = chosen.sides
    for x in (x0, x1):
        covered[:, max(0, int(x) - 2) : int(x) + 3] = True
    for y in (y0, y1):
        covered[max(0, int(y) - 2) : int(y) + 3] = True
    for _, x, y in shown.numbers[number]:
        covered[max(0, int(y) - 4) : int(y) + 4, max(0, int(x) - 4) : int(x) + 4] = True
    free = np.argwhere(~covered)
    assert len(free) > 500
    for y, x in free:
        assert np.abs(drawn[middle_of("classes", x, y)].astype(int) - overlay[y, x]).max() <= 2
    look = shown.look(chosen)
    stride, compared = look.seen.stride, 0
    for row, column in np.argwhere(look.window & look.allowed):
        if (row, column) == (chosen.row, chosen.column):
            continue
        y, x = row * stride + stride // 2, column * stride + stride // 2
        share = (look.values[row, column] / look.values.max()).item()
        color = 0.3 * photo[y, x] + 0.7 * 255 * np.array(colormaps["cividis"](share)[:3])
        assert np.abs(drawn[middle_of("token", x, y)] - color).max() < 8, (row, column)
        compared += 1
    assert compared >= 3
    outside = np.argwhere(~look.window)
    for row, column in outside[:: max(1, len(outside) // 20)]:
        y, x = row * stride + stride // 2, column * stride + stride // 2
        beside = [(row, column + 1), (row + 1, column), (row, column - 1), (row - 1, column)]
        if not any(look.window[place] for place in beside if max(place) < 64 // stride and min(place) >= 0):
            assert np.abs(drawn[middle_of("token", x, y)] - 0.6 * photo[y, x]).max() < 3
    blue = np.array([0, 114, 178])
    top, left = TOP + chosen.row * stride * UNIT, LEFTS["token"] + chosen.column * stride * UNIT
    assert seen_on(drawn, blue, left + 3, top - 3, left + stride * UNIT - 3, top + 3) > 0.9
    for found in shown.found[number]:  # its dot
        y, x = 362 + (found.level - 0.5) * 24, 262 + 470 * found.score
        if abs(found.score - shown.threshold / 100) < 0.03:
            continue
        near = [each.score for each in shown.found[number] if each.level == found.level and each is not found]
        if min((abs(found.score - score) for score in near), default=1) > 0.03:
            fill = [blue, np.array([26] * 3), np.array([255] * 3)]
            kind = 0 if found is chosen else 1 if found in shown.shown() else 2
            assert seen_on(drawn, fill[kind], x - 1, y - 1, x + 2, y + 1) == 1
    line = 262 + 470 * shown.threshold / 100
    assert seen_on(drawn, np.array([230, 159, 0]), line - 2, 362, line + 2, 430) == 1


def test_levels_have_their_lines_and_boxes_their_colours(page):
    load(page, "objects.js", ["outline"])
    shares = page.evaluate(
        """() => [1, 2, 3].map((level) => {
        const context = new OffscreenCanvas(400, 300).getContext("2d");
        const palette = { data: new Uint8Array([0, 114, 178, 10, 200, 30]) };
        outline(context, { left: 20, top: 30 }, { sides: [0, 0, 64, 32], label: 1, level }, { palette }, 4);
        const { data } = context.getImageData(20, 30, 232, 1);
        let own = 0, white = 0;
        for (let i = 0; i < 232; i++) {
          own += data[4 * i] === 10 && data[4 * i + 1] === 200 && data[4 * i + 2] === 30;
          white += data[4 * i] === 255 && data[4 * i + 2] === 255;
        }
        return [own / 232, white / 232];
        })"""
    )
    assert [own for own, _ in shares] == pytest.approx([1, 8 / 13, 1 / 3], abs=0.1)
    assert [white for _, white in shares] == pytest.approx([0, 5 / 13, 2 / 3], abs=0.1)


def test_the_chosen_box_is_outlined_on_the_canvas(page):
    shown = stand(explorer(), scene=1, threshold=45)
    assert len(shown.shown()) >= 3
    for number, found in enumerate(shown.shown()[:5], 1):
        shown.object = number
        show_live(page, shown)
        drawn, color = canvas_pixels(page), 255 * np.array(to_rgb(KINDS[found.label]))
        x0, y0, x1, y1 = (side * UNIT for side in found.sides)
        sides = [(8 + x0, TOP + y - 3, 8 + x1, TOP + y + 3) for y in (y0, y1)]
        sides += [(8 + x - 3, TOP + y0, 8 + x + 3, TOP + y1) for x in (x0, x1)]
        assert max(seen_on(drawn, color, *side) for side in sides) > 0.3, found


@pytest.mark.parametrize(
    "state", [{"threshold": 5}, {"threshold": 60}, {"threshold": 95}, {"scene": 2, "level": 1}]
)
def test_texts_are_large_enough_and_never_overlap(page, state):
    shown = stand(explorer(), **state)
    texts = written(page, shown)
    for text in texts:
        assert text["size"] >= 12, text
        assert text["left"] >= 0, text
        assert text["right"] <= 760, text
        assert text["y"] <= 456, text
    for a, b in itertools.combinations(texts, 2):
        apart = a["right"] <= b["left"] or b["right"] <= a["left"] or abs(a["y"] - b["y"]) >= 11
        assert apart, (a, b)
    said = [text["text"] for text in texts]
    level = f"level {shown.level}" if shown.level else "all levels"
    assert f"boxes above {shown.threshold} %, {level}" in said
    chosen = shown.chosen()
    assert ("no box is shown" in said) == (chosen is None)
    if chosen:
        assert f"{CLASSES[chosen.label]} {int(100 * chosen.score + 0.5)} %" in said
        assert f"where the token looks, level {chosen.level}" in said
    for number, name in enumerate(CLASSES, 1):
        assert f"{number} {name}" in said
    assert sorted(text for text in said if text in "123456") == sorted(
        str(number) for number, *_ in shown.numbers[shown.state["scene"]]
    )
    above = [each.level for each in shown.above()]
    for level in (1, 2, 3):
        count = above.count(level)
        assert f"level {level} ({2 ** (level + 1)} px): {count} box{'' if count == 1 else 'es'}" in said


def test_keys_choose_a_box_and_its_words_follow(page):
    shown = stand(explorer(), scene=0, threshold=20)
    show_live(page, shown)
    slider = page.get_by_role("slider", name="Box")
    before = canvas_pixels(page)
    slider.focus()
    page.keyboard.press("ArrowRight")
    shown.object = 2
    assert page.locator(".swin-explorer p").inner_text() == shown.describe()
    count, chosen = len(shown.shown()), shown.chosen()
    assert slider.get_attribute("aria-valuetext") == (
        f"box 2 of {count}, {CLASSES[chosen.label]} {int(100 * chosen.score + 0.5)} %"
    )
    assert (canvas_pixels(page) != before).any()
    page.get_by_role("slider", name="Threshold").focus()
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "no box is shown"
    assert "No box is shown." in page.locator(".swin-explorer p").inner_text()
    words = {
        "Scene": "scene 0 of 0 to 2",
        "Threshold": "boxes above 95 %",
        "Level": "all levels",
    }
    for name, text in words.items():
        assert page.get_by_role("slider", name=name).get_attribute("aria-valuetext") == text
    page.get_by_role("slider", name="Level").focus()
    page.keyboard.press("End")
    level = page.get_by_role("slider", name="Level").get_attribute("aria-valuetext")
    assert level == "level 3, a place every 16 pixels"


def test_pointing_chooses_the_smallest_box(page):
    load(page, "objects.js", ["point", "unpack", "decode"])
    shown = stand(explorer(), scene=1, threshold=10)
    boxes = shown.shown()
    places = list(itertools.product(range(1, 64, 4), repeat=2))
    answers = page.evaluate(
        """([arrays, state, places]) => {
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        const data = unpack(arrays), unit = 232 / 64;
        return places.map(([x, y]) => point(8 + x * unit, 34 + y * unit, state, data)); }""",
        [shown.stored()["arrays"], shown.state, places],
    )
    chosen = set()
    for (x, y), answer in zip(places, answers, strict=True):
        around = [
            ((x1 - x0) * (y1 - y0), number)
            for number, (x0, y0, x1, y1) in enumerate((each.sides for each in boxes), 1)
            if x0 <= x <= x1 and y0 <= y <= y1
        ]
        assert answer == ({"object": min(around)[1]} if around else None), (x, y)
        chosen.add(min(around)[1] if around else 0)
    assert len(chosen) > 3


# What is refused


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(7, 3, 64, 64, dtype=torch.uint8),
        torch.zeros(0, 3, 64, 64, dtype=torch.uint8),
        torch.zeros(2, 3, 64, 48, dtype=torch.uint8),
        torch.zeros(3, 64, 64, dtype=torch.uint8),
        torch.zeros(2, 3, 64, 64),
    ],
)
def test_other_images_are_refused(images):
    with pytest.raises(ValueError) as problem:
        Objects(**{**given(), "images": images})
    assert str(problem.value) == (
        f"images has shape {tuple(images.shape)} and type {images.dtype}; "
        "give 1 to 6 scenes (n, 3, 64, 64) of type torch.uint8"
    )


def test_other_models_are_refused():
    of = given()
    two_stages = Detector(SwinTransformer(8, (1, 1), (2, 2), 4), 6, width=8)
    with pytest.raises(ValueError, match="^detector has 2 levels; the explorer shows 3$"):
        Objects(of["images"], two_stages, of["segmenter"])
    backbone = SwinTransformer(8, (1, 1, 1), (2, 2, 2), 4)
    sentence = "^detector knows {} classes and segmenter {}; both must know the 6 of the scenes$"
    with pytest.raises(ValueError, match=sentence.format(5, 6)):
        Objects(of["images"], Detector(backbone, 5, width=8), of["segmenter"])
    with pytest.raises(ValueError, match=sentence.format(6, 4)):
        Objects(of["images"], of["detector"], Segmenter(backbone, 4, width=8))


def test_scenes_without_any_box_and_models_stay_as_they_are(page):
    of = given()
    backbone = SwinTransformer(8, (1, 1, 1), (2, 2, 2), 4)
    blind = Detector(backbone, 6, width=8).train()
    with torch.no_grad():
        blind.classes.bias.fill_(-20)
    shown = Objects(of["images"][:1], blind, of["segmenter"], threshold=5)
    assert blind.training
    assert next(blind.parameters()).dtype == torch.float32
    assert shown.state == {"scene": 0, "threshold": 5, "level": 0, "object": 1}
    show_live(page, shown)
    assert page.locator(".swin-explorer p").inner_text() == shown.describe()
    assert shown.describe().endswith("No box is shown.")
    shown.still()
