"""Chapter 11's figures draw what they were given; its explorer shows what the package computes."""

import itertools

import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, seen_pictures, show_live
from matplotlib import colormaps
from matplotlib.colors import to_hex

from swin_edu.block import SwinBlock
from swin_edu.book import drawings
from swin_edu.book.drawings import Look
from swin_edu.book.explorers import Sight
from swin_edu.book.images import sample_image
from swin_edu.book.style import BLUE, INK, ORANGE, SIGNED
from swin_edu.insight import look_into
from swin_edu.patches import PatchEmbedding

SQUARE = seen_pictures()
RAGGED = seen_pictures(height=44, width=76)  # 11 × 19 tokens: padding, masked pairs, wide
SECOND = seen_pictures(version=2, height=36, width=32)
ALL = [SQUARE, RAGGED, SECOND]
PANELS = {"photo": 8, "weights": 197, "content": 386, "bias": 575}  # as PANEL in sight.js
TOP, SIDE = 34, 176


def look(seen, row, column, head=0, image=0):
    return Look(seen, seen.on_map(seen.weights[image], row, column)[head], (row, column))


def drawn_array(axes, index=0):
    return np.ma.filled(np.ma.asarray(axes.images[index].get_array(), dtype=float), np.nan)


def hatched(axes):
    return sorted(patch.get_bbox().bounds for patch in axes.patches if patch.get_hatch())


def outlined(axes, color):
    return [
        patch.get_bbox().bounds
        for patch in axes.patches
        if to_hex(patch.get_edgecolor()) == color and not patch.get_hatch()
    ]


def border(axes, color=ORANGE):
    """Return the unit lines that are drawn in one color, as ((x, y), (x, y))."""
    return {
        tuple(map(tuple, np.round(segment, 6)))
        for lines in axes.collections
        if to_hex(lines.get_color()[0]) == color
        for segment in lines.get_segments()
    }


def window_by_hand(seen, row, column):
    """Return the tokens in the window of one query, and those of them it may look at, as sets of places."""
    number = row * seen.size[1] + column
    [[window, place]] = (seen.tokens == number).nonzero().tolist()
    tokens = {token: j for j, token in enumerate(seen.tokens[window].tolist()) if token >= 0}
    inside = {divmod(token, seen.size[1]) for token in tokens}
    free = {divmod(token, seen.size[1]) for token, j in tokens.items() if seen.mask[window, place, j]}
    return inside, free


def border_by_hand(inside, unit):
    lines = set()
    for row, column in inside:
        for beside, line in (
            ((row - 1, column), ((column, row), (column + 1, row))),
            ((row + 1, column), ((column, row + 1), (column + 1, row + 1))),
            ((row, column - 1), ((column, row), (column, row + 1))),
            ((row, column + 1), ((column + 1, row), (column + 1, row + 1))),
        ):
            if beside not in inside:
                lines.add(tuple(tuple(float(unit * x) for x in point) for point in line))
    return lines


@pytest.mark.parametrize(
    ("given", "block", "place"),
    [
        (SQUARE, 1, (15, 15)),
        (SQUARE, 2, (5, 2)),
        (RAGGED, 1, (0, 18)),
        (RAGGED, 3, (5, 0)),
        (SECOND, 5, (2, 1)),
    ],
)
def test_lit_maps_light_the_window_and_hatch_what_is_masked(given, block, place):
    seen, image = given["blocks"][block], given["images"][0]
    [axes] = drawings.lit_maps(image, {"one": look(seen, *place)}).axes
    weights = seen.on_map(seen.weights[0], *place)[0]
    inside, free = window_by_hand(seen, *place)
    drawn, stride = drawn_array(axes), seen.stride
    for row, column in itertools.product(*map(range, seen.size)):
        cell = slice(row * stride, (row + 1) * stride), slice(column * stride, (column + 1) * stride)
        expected = 0.6 * image.permute(1, 2, 0).numpy()[cell]
        if (row, column) in inside:
            heat = colormaps["cividis"]((weights[row, column] / weights.max()).item())[:3]
            expected = expected / 2 + 0.7 * np.array(heat)
        assert np.allclose(drawn[cell], expected, atol=0.01)
    sizes = image.shape[1:]
    expected = [
        (c * stride, r * stride, min(stride, sizes[1] - c * stride), min(stride, sizes[0] - r * stride))
        for r, c in inside - free
    ]
    assert hatched(axes) == sorted(expected)
    assert border(axes) == border_by_hand(inside, stride)
    [marked] = set(outlined(axes, BLUE))
    assert marked[:2] == (place[1] * stride, place[0] * stride)
    assert axes.get_title() == f"one: up to {100 * weights.max():.0f} %"


def test_look_means_over_heads():
    seen = SQUARE["blocks"][2]
    every = Look(seen, seen.on_map(seen.weights[1], 3, 4), (3, 4))
    assert torch.equal(every.mean().values, every.values.mean(0))
    assert every.mean().place == (3, 4)


def test_parts_of_token_writes_every_number_that_counts():
    seen, image, place = RAGGED["blocks"][1], RAGGED["images"][0], (10, 18)
    weights = look(seen, *place)
    values = torch.randn(seen.size, generator=torch.Generator().manual_seed(0))
    parts = {"content": Look(seen, values, place), "bias": Look(seen, 2 * values, place)}
    content, bias, lit = drawings.parts_of_token(image, parts, weights).axes
    inside, free = window_by_hand(seen, *place)
    assert free < inside
    for axes, factor in ((content, 1), (bias, 2)):
        drawn = drawn_array(axes)
        for row, column in itertools.product(*map(range, seen.size)):
            expected = factor * values[row, column].item() if (row, column) in free else np.nan
            assert np.isclose(drawn[row, column], expected, equal_nan=True)
        written = {text.get_position(): text.get_text() for text in axes.texts}
        assert written == {
            (c + 0.5, r + 0.5): f"{factor * values[r, c]:.1f}".replace("-0.0", "0.0").replace("-", "−")
            for r, c in free
        }
        limit = (2 * values).abs().max().item()
        assert np.allclose(axes.images[0].get_clim(), (-limit, limit))
        assert axes.images[0].get_cmap().name == SIGNED.name
        assert len(hatched(axes)) == len(inside - free)
    assert lit.get_title() == "weights: softmax of the sum"


@pytest.mark.parametrize("place", [(18, 7), (0, 0), (9, 9), (18, 18)])
def test_unrolling_shows_the_window_before_and_after(place):
    image = sample_image(size=76)
    torch.manual_seed(0)
    seen = look_inside_one_block(image)
    rolled, wrong, right = drawings.unrolling(image, look(seen, *place), window=4).axes
    pixels = image.permute(1, 2, 0).numpy()
    inside, free = window_by_hand(seen, *place)
    padded = np.zeros((80, 80, 3), dtype=np.float32)
    padded[:76, :76] = pixels
    back = np.roll(padded, (-8, -8), (0, 1))
    y, x = ((4 * axis - 8) % 80 for axis in place)  # where the roll has put the token
    top, left = y // 16 * 16, x // 16 * 16
    real = np.roll(np.pad(np.ones((76, 76), bool), (0, 4))[:80, :80], (-8, -8), (0, 1))
    shown = drawn_array(rolled)
    bright = np.zeros((80, 80), bool)
    bright[top : top + 16, left : left + 16] = True
    assert np.allclose(shown[bright & real], back[bright & real])
    assert np.allclose(shown[~bright & real], 0.35 * back[~bright & real], atol=1e-6)
    assert len(hatched(rolled)) == 20 * 20 - 19 * 19
    assert set(outlined(rolled, BLUE)) == {(x, y, 4, 4)}
    cut = bright[:76, :76]
    assert np.allclose(drawn_array(wrong)[cut], pixels[cut])
    assert np.allclose(drawn_array(wrong)[~cut], 0.35 * pixels[~cut], atol=1e-6)
    cells = np.zeros((19, 19), bool)
    cells[tuple(zip(*inside, strict=True))] = True
    cells = cells.repeat(4, 0).repeat(4, 1)
    assert np.allclose(drawn_array(right)[cells], pixels[cells])
    assert len(hatched(right)) == len(inside - free)
    assert set(outlined(right, BLUE)) == {(4 * place[1], 4 * place[0], 4, 4)}


def look_inside_one_block(image):
    with torch.no_grad():
        return look_into(SwinBlock(8, 2, 4, 2), PatchEmbedding(4, 8)(image[None]), stride=4)


def test_tables_of_heads_have_a_row_and_a_scale_each():
    tables = {"first": torch.randn(2, 5, 5), "second": 9 * torch.randn(2, 5, 5)}
    axes = drawings.tables_of_heads(tables).axes
    for row, table in enumerate(tables.values()):
        limit = table.abs().max().item()
        for head in range(2):
            assert np.allclose(drawn_array(axes[2 * row + head]), table[head])
            assert np.allclose(axes[2 * row + head].images[0].get_clim(), (-limit, limit))
        assert axes[2 * row].texts[0].get_text() == f"{list(tables)[row]}\n±{limit:.2f}"
    assert [axis.get_title() for axis in axes] == ["head 1", "head 2", "", ""]


def test_distances_of_heads_puts_each_head_at_its_distance():
    distances = {"a": torch.tensor([3.0, 5.0]), "b": torch.tensor([7.0])}
    [axes] = drawings.distances_of_heads(distances, {"a": 4.0, "b": 6.0}).axes
    assert [line.get_ydata()[0] for line in axes.lines] == [3, 5, 7]
    assert [round(line.get_xdata()[0]) for line in axes.lines] == [0, 0, 1]
    assert [(text.get_text(), text.get_position()[1]) for text in axes.texts] == [
        ("1", 3),
        ("2", 5),
        ("1", 7),
    ]
    assert [lines.get_segments()[0][0][1] for lines in axes.collections] == [4, 6]
    assert axes.get_ylim()[1] > 7


def test_maps_of_objects_outline_the_object_in_each():
    images, inside = torch.rand(2, 3, 8, 8), torch.zeros(2, 8, 8, dtype=torch.bool)
    inside[0, 2:4, 3:6] = inside[1, :2] = True
    maps = {"a": torch.rand(2, 8, 8), "b": torch.randn(2, 8, 8)}
    axes = drawings.maps_of_objects(images, inside, maps, signed={"b"}).axes
    for row in (0, 1):
        photo, a, b = axes[3 * row : 3 * row + 3]
        assert np.allclose(drawn_array(photo), images[row].permute(1, 2, 0))
        assert np.allclose(drawn_array(a), maps["a"][row])
        assert np.allclose(a.images[0].get_clim(), (0, maps["a"][row].max()))
        limit = maps["b"][row].abs().max().item()
        assert np.allclose(b.images[0].get_clim(), (-limit, limit))
        assert [axis.images[0].get_cmap().name for axis in (a, b)] == ["cividis", SIGNED.name]
        places = {tuple(place) for place in inside[row].nonzero().tolist()}
        assert border(photo, INK) == border(a, INK) == border(b, INK) == border_by_hand(places, 1)
    assert axes[-1].texts[0].get_text() == "orange: for, blue: against"


def test_dots_draw_every_number_and_both_means():
    values = {"a": torch.tensor([0.6, 0.1, 0.2]), "b": torch.tensor([0.9])}
    others = {"a": torch.tensor([0.1, 0.3]), "b": torch.tensor([0.8])}
    [axes] = drawings.dots(values, "share", others).axes
    assert [len(line.get_xdata()) for line in axes.lines] == [3, 1]
    assert [x for line in axes.lines for x in line.get_xdata()] == pytest.approx([0.1, 0.2, 0.6, 0.9])
    lines = [lines.get_segments()[0][0][0] for lines in axes.collections]
    assert lines == pytest.approx([0.3, 0.2, 0.9, 0.8])
    assert [text.get_text() for text in axes.texts] == ["0.30, other 0.20", "0.90, other 0.80"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b"]


def test_hidden_patches_draws_a_line_each_in_panels():
    shares = {"small": {"at random": [0.1, 0.2], "a": [0.5, 0.9]}, "large": {"at random": [0.3, 0.4]}}
    small, large = drawings.hidden_patches((8, 16), shares, patches=256).axes
    assert {line.get_label(): line.get_xydata().tolist() for line in small.lines} == {
        "at random": [[8, 0.1], [16, 0.2]],
        "a": [[8, 0.5], [16, 0.9]],
    }
    assert [line.get_xydata().tolist() for line in large.lines] == [[[8, 0.3], [16, 0.4]]]
    assert [axes.get_title() for axes in (small, large)] == ["small", "large"]
    assert small.get_xlabel() == "patches hidden, of 256"


def test_fields_draw_reach_above_and_strength_below():
    field = torch.full((8, 8), 1e-9)
    field[2, 2:5] = torch.tensor([4.0, 2.0, 1.0])
    reached = torch.zeros(8, 8, dtype=torch.bool)
    reached[1:4, 1:6] = True
    first, second, below, beside = drawings.fields(
        {"one": reached, "two": ~reached}, {"a": field, "b": field.T}
    ).axes
    assert np.array_equal(drawn_array(first), reached)
    assert np.array_equal(drawn_array(second), ~reached)
    assert np.allclose(drawn_array(below), (field / 4).clamp(min=1e-6).log10(), atol=1e-5)
    assert np.allclose(drawn_array(beside), (field.T / 4).clamp(min=1e-6).log10(), atol=1e-5)
    assert [axes.get_title() for axes in (first, second, below, beside)] == ["one", "two", "a", "b"]
    places = {tuple(place) for place in reached.nonzero().tolist()}
    assert border(first) == border(below) == border_by_hand(places, 1)
    assert border(second) == border(beside) == border_by_hand({*np.ndindex(8, 8)} - places, 1)


def test_explanation_draws_scores_and_maps():
    maps = {"evidence": torch.randn(8, 8), "rollout": torch.rand(8, 8)}
    best = {"ring": 0.7, "disc": 0.2}
    photo, bars, evidence, rolled = drawings.explanation(torch.rand(3, 8, 8), best, "disc", maps).axes
    assert photo.get_title() == "picture"
    assert [bar.get_width() for bar in bars.patches] == [0.7, 0.2]
    assert [to_hex(bar.get_facecolor()) for bar in bars.patches] == [BLUE, ORANGE]
    assert [text.get_text() for text in bars.texts] == ["ring 70 %", "disc 20 %"]
    assert np.allclose(drawn_array(evidence), maps["evidence"])
    assert np.allclose(drawn_array(rolled), maps["rollout"])
    assert [axis.images[0].get_cmap().name for axis in (evidence, rolled)] == [SIGNED.name, "cividis"]
    assert [axis.get_title() for axis in (evidence, rolled)] == ["evidence\nfor disc", "rollout"]


# The explorer


def every_setting(given):
    images, blocks = given["images"], given["blocks"]
    for image, (number, seen) in itertools.product(range(1, len(images) + 1), enumerate(blocks, 1)):
        for head in range(seen.weights.shape[2] + 1):
            for row, column in itertools.product(*map(range, seen.size)):
                yield {"image": image, "block": number, "head": head, "row": row, "column": column}


def stand(explorer, state):
    for name, value in state.items():
        if getattr(explorer, name) != value:
            setattr(explorer, name, value)


def test_what_is_sent_is_what_the_model_computes():
    for given in ALL:
        explorer = Sight(**given)
        for sent, seen in zip(explorer.blocks, given["blocks"], strict=True):
            assert torch.allclose(sent.weights.float(), seen.weights, atol=0.01)
            assert torch.equal(sent.tokens, seen.tokens)
            difference = (sent.content - seen.content).float()
            assert (
                difference - difference.mean(-1, keepdim=True)
            ).abs().max() < 0.05  # a number for each row


@pytest.mark.parametrize("given", ALL, ids=["square", "ragged", "version 2"])
def test_page_equals_python_for_one_setting_in_five(page, given):
    load(page, "sight.js", ["query", "parts", "summary", "describe", "limits", "unpack", "decode"])
    explorer = Sight(**given)
    every = list(every_setting(given))
    asked = every[::5]
    for name in every[0]:  # no row, column, head, block or image is left out
        assert {state[name] for state in asked} == {state[name] for state in every}
    answers = page.evaluate(
        """([arrays, asked]) => {
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        const data = unpack(arrays);
        return asked.map((state) => {
          const found = query(state, data);
          const { keys, allowed, weights } = found;
          const said = describe(state, data);
          return [keys, allowed, weights, parts(found, state.head), said, limits(state, data)];
        }); }""",
        [explorer.stored()["arrays"], asked],
    )
    assert len(answers) > 200
    words = set()
    for number, (state, answer) in enumerate(zip(asked, answers, strict=True)):
        keys, allowed, weights, parts, sentence, limits = answer
        seen = explorer.blocks[state["block"] - 1]
        [[window, place]] = (seen.tokens == state["row"] * seen.size[1] + state["column"]).nonzero().tolist()
        assert keys == seen.tokens[window].tolist(), state
        assert allowed == seen.mask[window, place].tolist(), state
        truth = seen.weights[state["image"] - 1, window, :, place]
        assert np.allclose(weights, truth, rtol=0, atol=1e-12), state
        words.add(sentence)
        if number % 7 == 0:  # matplotlib's side is slower
            stand(explorer, state)
            assert sentence == explorer.describe(), state
            assert limits == explorer.limits(), state
            for values, look in zip(parts, explorer.parts().values(), strict=True):
                on_map = torch.zeros(seen.size, dtype=torch.double).flatten()
                for key, value in zip(keys, values, strict=True):
                    if key >= 0:
                        on_map[key] = value
                assert np.allclose(on_map.reshape(seen.size), look.values, rtol=0, atol=1e-9), state
    assert len(words) == len(asked)


@pytest.mark.parametrize(
    "state", [{}, {"block": 2, "row": 10, "column": 18, "head": 1}, {"block": 6, "head": 8}]
)
def test_still_draws_the_present_state(state):
    explorer = Sight(**RAGGED, **state)
    photo, weights, content, bias, heads = explorer.still().axes
    now = explorer.state
    seen, place = explorer.blocks[now["block"] - 1], (now["row"], now["column"])
    inside, free = window_by_hand(seen, *place)
    every = seen.on_map(seen.weights[0], *place)
    shown = every[now["head"] - 1] if now["head"] else every.mean(0)
    row, column = next(iter(inside))
    y, x = row * seen.stride, column * seen.stride
    picture, heat = RAGGED["images"][0].permute(1, 2, 0).numpy(), shown[row, column] / shown.max()
    expected = 0.3 * picture[y, x] + 0.7 * np.array(colormaps["cividis"](heat.item())[:3])
    assert np.allclose(drawn_array(weights)[y, x], expected, atol=0.01)
    assert np.allclose(drawn_array(photo)[y, x], picture[y, x], atol=1e-5)
    for axes, part in ((content, seen.content), (bias, seen.bias)):
        values = seen.on_map(part[0], *place)
        values = values[now["head"] - 1] if now["head"] else values.mean(0)
        allowed = torch.zeros(seen.size, dtype=torch.bool)
        allowed[tuple(zip(*free, strict=True))] = True
        drawn = drawn_array(axes)
        assert np.allclose(drawn[allowed], values[allowed] - values[allowed].mean())
        assert np.isnan(drawn[~allowed]).all()
        assert len(hatched(axes)) == len(inside - free)
    assert len(heads.images) == len(every)
    for number, drawn in enumerate(heads.images):
        colors = colormaps["cividis"]((every[number] / every.max()).numpy())[..., :3]
        colors[
            ~np.isin(
                np.arange(np.prod(seen.size)).reshape(seen.size), [r * seen.size[1] + c for r, c in inside]
            )
        ] = 0.92
        assert np.allclose(drawn.get_array(), colors)
    framed = [patch for patch in heads.patches if to_hex(patch.get_edgecolor()) == BLUE]
    assert len(framed) == (now["head"] > 0)


def test_limits_follow_the_block():
    explorer = Sight(**RAGGED, block=24, head=48, row=63, column=63, image=8)
    assert explorer.state == {"image": 2, "block": 6, "head": 8, "row": 2, "column": 4}
    explorer.block = 1
    assert explorer.state == {"image": 2, "block": 1, "head": 2, "row": 10, "column": 18}


@pytest.mark.parametrize(
    "images", [torch.rand(1, 3, 64, 64), torch.rand(3, 64, 64), torch.rand(9, 3, 64, 64)]
)
def test_pictures_that_the_blocks_have_not_seen_are_refused(images):
    with pytest.raises(ValueError) as problem:
        Sight(images, SQUARE["blocks"])
    assert str(problem.value) == (
        f"images has shape {tuple(images.shape)} and the blocks have seen 2; "
        "give both for the same pictures, 1 to 8 of one size"
    )


@pytest.mark.parametrize(
    ("given", "state"),
    [
        (SQUARE, {"block": 4, "row": 7, "column": 7, "head": 0}),
        (RAGGED, {"block": 4, "row": 0, "column": 9, "head": 3, "image": 2}),
        (SECOND, {"block": 6, "row": 1, "column": 1, "head": 8}),
    ],
)
def test_canvas_shows_weights_and_both_parts(page, given, state):
    explorer = Sight(**given, **state)
    show_live(page, explorer)
    drawn, seen = canvas_pixels(page).astype(float), explorer.blocks[explorer.block - 1]
    image = given["images"][explorer.image - 1].permute(1, 2, 0).numpy() * 255
    scale, place = SIDE / max(image.shape[:2]), (explorer.row, explorer.column)
    inside, free = window_by_hand(seen, *place)
    weights = explorer.chosen(explorer.look(seen.weights)).values
    parts = explorer.parts()
    limit = max(0.1, *(part.values.abs().max().item() for part in parts.values()))
    close = dict.fromkeys(PANELS, 0)
    for row, column in free:
        ends = [min((p + 1) * seen.stride, side) for p, side in zip((row, column), image.shape, strict=False)]
        y0, x0 = (
            int(scale * p * seen.stride) + 5 for p in (row, column)
        )  # without the lines around the token
        y1, x1 = (int(scale * end) - 3 for end in ends)
        ys, xs = (((np.arange(a, b) + 0.5) / scale).astype(int) for a, b in ((y0, y1), (x0, x1)))
        source = image[ys][:, xs].mean((0, 1))
        for name, left in PANELS.items():
            found = drawn[TOP + y0 : TOP + y1, left + x0 : left + x1].mean((0, 1))
            if name in parts:
                share = parts[name].values[row, column].item() / limit
                end = np.array([0, 114, 178] if share < 0 else [230, 159, 0])
                close[name] += np.abs(found - (255 + abs(share) * (end - 255))).max() < 4
            else:
                heat = 255 * np.array(colormaps["cividis"]((weights[row, column] / weights.max()).item())[:3])
                expected = source if name == "photo" else 0.3 * source + 0.7 * heat
                close[name] += np.abs(found - expected).max() < 12
    for name, count in close.items():  # but for the token itself, under its mark
        assert count >= len(free) - 1, (name, count, len(free))
    blue = (drawn == [0, 114, 178]).all(-1)
    y, x = TOP + place[0] * seen.stride * scale, 8 + place[1] * seen.stride * scale
    assert blue[round(y + 3) : round(y + seen.stride * scale - 3), round(x) - 1 : round(x) + 2].any()


def test_pointing_chooses_token_and_head(page):
    show_live(page, Sight(**SQUARE, block=3))
    box = page.locator("canvas").bounding_box()
    scale = box["width"] / 760
    for left in PANELS.values():
        page.mouse.move(box["x"] + scale * (left + SIDE * 2.5 / 8), box["y"] + scale * (TOP + SIDE * 5.5 / 8))
        assert "the token in row 5, column 2 of 8 × 8" in page.locator(".swin-explorer p").inner_text()
        page.mouse.move(box["x"] + scale * (left + SIDE * 6.5 / 8), box["y"] + scale * (TOP + SIDE * 0.5 / 8))
        assert "the token in row 0, column 6 of 8 × 8" in page.locator(".swin-explorer p").inner_text()
    page.mouse.move(
        box["x"] + scale * (8 + 108 * 2 + 50), box["y"] + scale * 340
    )  # the third of 4 small maps
    assert "head 3 of 4: the token in row 0, column 6" in page.locator(".swin-explorer p").inner_text()
    page.mouse.move(box["x"] + scale * 755, box["y"] + scale * 395)
    assert "head 3 of 4: the token in row 0, column 6" in page.locator(".swin-explorer p").inner_text()


def test_another_block_keeps_the_place_on_the_picture(page):
    show_live(page, Sight(**SQUARE, block=2, row=9, column=14))
    slider = page.get_by_role("slider", name="Block")
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert "row 4, column 7 of 8 × 8" in page.locator(".swin-explorer p").inner_text()
    page.keyboard.press("End")
    assert "row 2, column 3 of 4 × 4" in page.locator(".swin-explorer p").inner_text()
    page.keyboard.press("Home")
    assert "row 10, column 14 of 16 × 16" in page.locator(".swin-explorer p").inner_text()


@pytest.mark.parametrize(("heads", "size"), [(1, 64), (3, 56), (24, 7), (48, 7)])
def test_all_heads_fit_below_the_panels(page, heads, size):
    load(page, "sight.js", ["sizeOfHeads", "placeOfHead"])
    found = {"heads": heads, "width": size, "height": size}
    boxes = page.evaluate(
        """(found) => { const size = sizeOfHeads(found);
        const box = (_, head) => [...placeOfHead(head, size), ...size.slice(0, 2)];
        return Array.from({ length: found.heads }, box); }""",
        found,
    )
    for x, y, width, height in boxes:
        assert x >= 8
        assert x + width <= 752.01
        assert y >= 292
        assert y + height <= 392.01
        assert width == height > 20
    for (x, y, width, height), (u, v, *_) in itertools.combinations(boxes, 2):
        assert x + width <= u or u + width <= x or y + height + 14 <= v or v + height + 14 <= y
