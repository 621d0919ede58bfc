"""swin_edu/insight.py against the definitions in plain Python, on ragged maps, in both versions."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from swin_edu.block import SwinBlock, SwinBlockV2
from swin_edu.book.device import device
from swin_edu.insight import (
    attention_parts,
    bias_tables,
    class_evidence,
    effective_field,
    hand_back,
    look_inside,
    look_into,
    mean_distance,
    mixing,
    reachable,
    rollout,
    to_pixels,
    unmerge,
    walk_blocks,
    windows_and_mask,
)
from swin_edu.model import SwinTransformer

DEVICE = device()
PRECISE = torch.device("cpu") if DEVICE.type == "mps" else DEVICE  # Apple GPUs have no float64
VERSIONS = pytest.mark.parametrize("version", [1, 2])
# Height, width, window, shift: odd, tall, padded, smaller than the window, shifted along one axis only.
MAPS = [(8, 8, 4, 2), (5, 7, 4, 2), (9, 3, 3, 1), (4, 11, 4, 2), (3, 2, 4, 2), (7, 7, 4, 0), (1, 6, 2, 1)]


def of_order_one(module):
    """Give every parameter random values of order one, so that each part counts; in 64 bits."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            scale = parameter.shape[1] ** -0.5 if parameter.ndim == 2 and parameter.shape[1] > 4 else 1
            parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
    return module.double().to(PRECISE).eval()


def small_block(version, window, shift, channels=8, heads=2):
    kind = SwinBlock if version == 1 else SwinBlockV2
    return of_order_one(kind(channels, heads, window, shift))


def small_model(version=1, window=2, depths=(2, 2)):
    return of_order_one(SwinTransformer(8, depths, (2,) * len(depths), window, 5, version))


def random(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.double).to(PRECISE)


def piece(place, size, window, shift):
    """Number the piece of a moved cut that a row or column lies in; no shift where one window is enough."""
    padded = math.ceil(size / window) * window
    return (place - (shift if padded > window else 0)) // window


def logits_of_pair(layer, query, key, offset, version, window):
    """Return content and bias of one pair of tokens (C,) in every head, from the parameters."""
    channels = len(query)
    weight, added = layer.qkv.weight, layer.qkv.bias
    q = (weight[:channels] @ query + added[:channels]).reshape(layer.heads, -1)
    k = weight[channels : 2 * channels] @ key
    if version == 1:
        k = (k + added[channels : 2 * channels]).reshape(layer.heads, -1)
        row = (offset[0] + window - 1) * (2 * window - 1) + offset[1] + window - 1
        return (q * k).sum(1) / math.sqrt(channels / layer.heads), layer.position.table[row]
    k = k.reshape(layer.heads, -1)
    cosine = (q * k).sum(1) / q.norm(dim=1) / k.norm(dim=1).clamp(min=1e-12)  # 0 for padding
    scale = layer.logit_scale.flatten().clamp(max=math.log(100)).exp()
    steps = [8 * x / max(window - 1, 1) for x in offset]
    steps = [math.copysign(math.log2(1 + abs(x)) / 3, x) for x in steps]
    bias = 16 * torch.sigmoid(layer.position.mlp(torch.tensor(steps, dtype=torch.double, device=PRECISE)))
    return scale * cosine, bias


def look_by_hand(block, x, version, row, column):
    """Return weights, content and bias (h, H, W) of one query of a map (H, W, C), token by token, or NaN.

    Padding takes part as zeros, in the last pieces at the bottom and at the right.
    """
    (height, width), layer, window = x.shape[:2], block.attention, block.window
    padded = [math.ceil(side / window) * window for side in (height, width)]
    inner = block.norm1(x) if version == 1 else x
    zero = torch.zeros_like(inner[0, 0])

    def token(r, c):
        return inner[r, c] if r < height and c < width else zero

    def pieces(r, c):
        return piece(r, height, window, block.shift), piece(c, width, window, block.shift)

    logits = {}
    for r, c in itertools.product(*map(range, padded)):
        if pieces(r, c) == pieces(row, column):
            offset = (row - r, column - c)
            logits[r, c] = logits_of_pair(layer, token(row, column), token(r, c), offset, version, window)
    weights = torch.stack([content + bias for content, bias in logits.values()]).softmax(0)
    result = torch.full((3, layer.heads, height, width), torch.nan, dtype=torch.double, device=PRECISE)
    result[0] = 0
    for (r, c), weight in zip(logits, weights, strict=True):
        if r < height and c < width:
            result[:, :, r, c] = torch.stack([weight, *logits[r, c]])
    return result


@VERSIONS
@pytest.mark.parametrize(("height", "width", "window", "shift"), MAPS)
def test_maps_equal_the_definition(version, height, width, window, shift):
    block = small_block(version, window, shift)
    x = random(2, height, width, 8)
    seen = look_into(block, x, stride=4)
    assert (seen.stride, seen.size) == (4, (height, width))
    every = list(itertools.product(range(height), range(width)))
    with torch.no_grad():
        for row, column in every[:: max(1, len(every) // 12)]:
            for image in (0, 1):
                weights, content, bias = look_by_hand(block, x[image], version, row, column)
                assert torch.allclose(seen.on_map(seen.weights[image], row, column), weights, atol=1e-12)
                allowed = seen.on_map(seen.mask[:, None].double(), row, column)[0] > 0
                assert torch.equal(allowed, ~content[0].isnan())
                for part, expected in ((seen.content, content), (seen.bias, bias)):
                    found = seen.on_map(part[image], row, column)[:, allowed]
                    assert torch.allclose(found, expected[:, allowed], atol=1e-9)


@VERSIONS
@pytest.mark.parametrize(("height", "width", "window", "shift"), MAPS)
def test_the_weights_are_the_models_own(version, height, width, window, shift):
    block = small_block(version, window, shift)
    x = random(2, height, width, 8)
    windows, mask = windows_and_mask(x, window, shift)
    content, bias, weights = attention_parts(block.attention, windows, mask)
    assert content.shape == bias.shape == weights.shape == (2, len(mask), 2, window**2, window**2)
    values = block.attention.queries_keys_values(windows, mask)[2]
    joined = (weights @ values).transpose(2, 3).flatten(3).flatten(0, 1)
    own = block.attention(windows, None if mask.all() else mask)
    assert (block.attention.project(joined) - own).abs().max() < 1e-12
    assert torch.allclose(weights.sum(-1), torch.ones_like(weights[..., 0]), atol=1e-12)
    assert not weights.masked_select(~mask[:, None]).any()


@settings(max_examples=60)
@given(height=st.integers(1, 12), width=st.integers(1, 12), window=st.integers(1, 5), data=st.data())
def test_every_token_stands_in_one_place_and_padding_in_none(height, width, window, data):
    block = SwinBlock(2, 1, window, data.draw(st.integers(0, window - 1)))
    with torch.no_grad():
        seen = look_into(block, torch.randn(1, height, width, 2), stride=1)
    numbers = seen.tokens.flatten().tolist()
    assert sorted(number for number in numbers if number >= 0) == list(range(height * width))
    assert set(numbers) - set(range(height * width)) <= {-1}
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    values = torch.randn(3, *seen.weights.shape[1:])
    on_map = seen.on_map(values, row, column, elsewhere=7)
    window_number, place = (seen.tokens == row * width + column).nonzero()[0].tolist()
    for token in range(height * width):
        if token in seen.tokens[window_number]:
            key = seen.tokens[window_number].tolist().index(token)
            expected = values[:, window_number, :, place, key]
        else:
            expected = torch.full((3, 1), 7.0)
        assert torch.equal(on_map[:, :, token // width, token % width], expected)


@pytest.mark.parametrize(("row", "column"), [(-1, 0), (5, 0), (0, 7), (0, -1)])
def test_a_place_outside_the_map_is_refused(row, column):
    seen = look_into(small_block(1, 4, 2), random(1, 5, 7, 8), stride=1)
    with pytest.raises(ValueError) as problem:
        seen.on_map(seen.weights, row, column)
    assert str(problem.value) == f"row {row}, column {column} lies outside the map of 5 × 7 tokens"


@VERSIONS
@pytest.mark.parametrize(("height", "width"), [(32, 32), (29, 46), (8, 8), (1, 70)])
def test_look_inside_follows_the_model(version, height, width):
    model = small_model(version, depths=(2, 1, 2))
    images = random(2, 3, height, width)
    seen, walked = look_inside(model, images), list(walk_blocks(model, images))
    assert [view.stride for view in seen] == [stride for stride, *_ in walked] == [4, 4, 8, 16, 16]
    maps = model.features(images)
    for after, number in zip(maps, (1, 2, 4), strict=True):
        assert torch.allclose(walked[number][3], after, atol=1e-12)
    for view, (_, block, before, _) in zip(seen, walked, strict=True):
        assert view.size == tuple(before.shape[1:3])
        assert torch.allclose(view.weights, look_into(block, before, 1).weights, atol=1e-9)
        assert not view.weights.requires_grad


@pytest.mark.parametrize("ask", [look_inside, effective_field, lambda m, x: class_evidence(m, x, None)])
def test_a_model_in_training_is_refused(ask):
    with pytest.raises(ValueError, match=r"^model is in training mode, .* call model.eval\(\)$"):
        ask(small_model().train(), random(1, 3, 16, 16))


@VERSIONS
def test_tables_hold_the_bias_of_each_offset(version):
    block = small_block(version, window=3, shift=1)
    bias = block.attention.position().detach()
    tables = bias_tables(bias)
    assert tables.shape == (2, 5, 5)
    for i, j in itertools.product(range(9), repeat=2):
        down, right = i // 3 - j // 3, i % 3 - j % 3
        assert torch.equal(tables[:, down + 2, right + 2], bias[:, i, j])


@VERSIONS
@pytest.mark.parametrize(("height", "width", "window", "shift"), MAPS)
def test_mean_distance_is_the_mean_over_queries(version, height, width, window, shift):
    seen = look_into(small_block(version, window, shift), random(2, height, width, 8), stride=4)
    sums, count = torch.zeros(2, dtype=torch.double), 0
    for image, row, column in itertools.product(range(2), range(height), range(width)):
        weights = seen.on_map(seen.weights[image], row, column).detach().cpu()
        for head in range(2):
            for r, c in itertools.product(range(height), range(width)):
                share = weights[head, r, c] / weights[head].sum()
                sums[head] += 4 * share * math.hypot(row - r, column - c)
        count += 1
    assert torch.allclose(mean_distance(seen).detach().cpu(), sums / count, atol=1e-9)


def dense_block(seen, image):
    """Return how each token after a block consists of those before, (T, T), from the maps of every query."""
    height, width = seen.size
    rows = []
    for row, column in itertools.product(range(height), range(width)):
        weights = seen.on_map(seen.weights[image], row, column).mean(0).flatten()
        weights[row * width + column] += 1
        rows.append(weights / weights.sum())
    return torch.stack(rows)


def dense_merging(before, after):
    rows = []
    for row, column in itertools.product(range(after[0]), range(after[1])):
        square = torch.zeros(before, dtype=torch.double, device=PRECISE)
        square[2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 1
        rows.append(square.flatten() / square.sum())
    return torch.stack(rows)


@VERSIONS
@pytest.mark.parametrize(("height", "width"), [(32, 32), (28, 46), (8, 8), (4, 40)])
def test_rollout_equals_the_product_of_all_matrices(version, height, width):
    blocks = look_inside(small_model(version, depths=(2, 1, 2)), random(2, 3, height, width))
    last = blocks[-1].size
    tokens = last[0] * last[1]
    start = (
        torch.eye(tokens, dtype=torch.double, device=PRECISE).reshape(1, tokens, *last).expand(2, -1, -1, -1)
    )
    found = rollout(blocks, start)
    assert found.shape == (2, tokens, *blocks[0].size)
    assert torch.allclose(found.sum((2, 3)), torch.ones(2, tokens).to(found), atol=1e-12)
    for image in (0, 1):
        product = torch.eye(tokens, dtype=torch.double, device=PRECISE)
        for before, seen in itertools.pairwise([None, *reversed(blocks)]):
            if before and before.size != seen.size:
                product = product @ dense_merging(seen.size, before.size)
            product = product @ dense_block(seen, image)
        assert torch.allclose(found[image].flatten(1), product, atol=1e-12)


def test_rollout_keeps_the_sums_of_its_start():
    blocks = look_inside(small_model(), random(2, 3, 20, 36))
    start = random(2, 3, *blocks[-1].size).abs()
    assert torch.allclose(rollout(blocks, start).sum((2, 3)), start.sum((2, 3)), atol=1e-9)


def test_mixing_leaves_padding_out():
    seen = look_into(small_block(1, 4, 2), random(2, 5, 7, 8), stride=1)
    matrix = mixing(seen)
    assert torch.allclose(matrix.sum(-1), torch.ones_like(matrix[..., 0]), atol=1e-12)
    real = seen.tokens >= 0
    assert not matrix[(real[:, :, None] & ~real[:, None, :]).expand_as(matrix)].any()
    assert (matrix.diagonal(dim1=-2, dim2=-1)[:, real] >= 0.5).all()


@pytest.mark.parametrize("size", [(6, 4), (5, 7), (1, 3), (1, 1)])
def test_unmerge_splits_evenly(size):
    merged = [math.ceil(side / 2) for side in size]
    shares = random(2, 3, *merged)
    split = unmerge(shares, size)
    assert split.shape == (2, 3, *size)
    for row, column in itertools.product(*map(range, merged)):
        square = split[..., 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        expected = shares[..., row, column] / (square.shape[-1] * square.shape[-2])
        assert torch.allclose(square, expected[..., None, None].expand_as(square), atol=1e-12)


def test_hand_back_asks_nothing_of_padding():
    seen = look_into(small_block(1, 4, 2), random(1, 5, 7, 8), stride=1)
    shares = random(1, 2, 5, 7)
    every = torch.ones(1, *seen.mask.shape, dtype=torch.double, device=PRECISE)
    found = hand_back(seen, shares, every)
    for tokens in seen.tokens:
        real = tokens[tokens >= 0]
        total = shares.flatten(2)[..., real].sum(-1, keepdim=True)
        assert torch.allclose(found.flatten(2)[..., real], total.expand(-1, -1, len(real)), atol=1e-12)


def test_to_pixels_repeats_and_cuts():
    values = torch.arange(6.0).reshape(1, 2, 3)
    found = to_pixels(values, 4, 7, 10)
    assert found.shape == (1, 7, 10)
    assert all(found[0, y, x] == values[0, y // 4, x // 4] for y in range(7) for x in range(10))


@VERSIONS
@pytest.mark.parametrize(("height", "width"), [(32, 32), (27, 41), (8, 8)])
def test_evidence_of_the_last_map_is_the_score_less_its_bias(version, height, width):
    model, images = small_model(version), random(3, 3, height, width)
    classes = torch.tensor([4, 0, 2], device=PRECISE)
    evidence = class_evidence(model, images, classes)
    with torch.no_grad():
        scores, last = model(images), model.norm(model.features(images)[-1])
    expected = scores[range(3), classes] - model.head.bias[classes]
    assert torch.allclose(evidence.sum((1, 2)), expected, atol=1e-9)
    own = (last * model.head.weight[classes][:, None, None]).sum(-1) / last[0, ..., 0].numel()
    assert torch.allclose(evidence, own, atol=1e-12)


def layers_of(model):
    """Return the layers one by one: patches, then merging and blocks of each stage, and the norm."""
    stages = [(stage.merge, stage.blocks) for stage in model.stages]
    return [model.embedding, *itertools.chain(*stages), model.norm]


def run(layers, x):
    for layer in layers:
        x = layer(x)
    return x


@VERSIONS
@pytest.mark.parametrize("stage", [1, 2, 3])
def test_early_evidence_is_how_the_score_moves_when_a_token_grows(version, stage):
    model, images = small_model(version, depths=(2, 2, 1)), random(1, 3, 20, 28)
    evidence = class_evidence(model, images, torch.tensor([3], device=PRECISE), stage)
    layers = layers_of(model)
    with torch.no_grad():
        x = run(layers[: 2 * stage], images)
        assert evidence.shape == x.shape[:3]
        for row, column in itertools.product(range(x.shape[1]), range(x.shape[2])):
            scores = []
            for factor in (1 + 1e-5, 1 - 1e-5):
                y = x.clone()
                y[:, row, column] *= factor
                scores.append(model.head(run(layers[2 * stage :], y).mean((1, 2)))[0, 3])
            slope = (scores[0] - scores[1]) / 2e-5
            assert evidence[0, row, column].item() == pytest.approx(slope.item(), abs=1e-6)


@VERSIONS
def test_evidence_before_a_merging_cancels_in_every_square(version):
    """Why `stage` takes the map after its merging: growing all four joined tokens moves nothing."""
    model, images = small_model(version), random(2, 3, 32, 32)
    layers = layers_of(model)
    before = run(layers[:3], images).detach().requires_grad_()
    score = model.head(run(layers[3:], before).mean((1, 2)))[:, 1].sum()
    products = (before * torch.autograd.grad(score, before)[0]).sum(-1)
    squares = products.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).sum((2, 4))
    assert products.abs().max() > 1e-2
    assert squares.abs().max() < 1e-3 * products.abs().max()  # the norm's eps leaves a little
    after = class_evidence(model, images, torch.tensor([1, 1], device=PRECISE), stage=2)
    assert after.abs().max() > 100 * squares.abs().max()


def test_evidence_works_without_gradients_and_leaves_none():
    model, images = small_model(), random(2, 3, 16, 16)
    with torch.no_grad():
        evidence = class_evidence(model, images, torch.tensor([1, 2], device=PRECISE), stage=1)
    assert not evidence.requires_grad
    assert not images.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("stage", [-1, 0, 3])
def test_a_stage_that_is_not_there_is_refused(stage):
    with pytest.raises(ValueError) as problem:
        class_evidence(small_model(), random(1, 3, 16, 16), torch.tensor([0]), stage)
    assert str(problem.value) == f"stage is {stage}; the model has stages 1 to 2"


@pytest.mark.parametrize("number", [-1, 5])
def test_a_class_that_is_not_there_is_refused(number):
    with pytest.raises(ValueError) as problem:
        class_evidence(small_model(), random(1, 3, 16, 16), torch.tensor([number]))
    assert str(problem.value) == f"classes holds [{number}]; they must be from 0 to 4"


@VERSIONS
@pytest.mark.parametrize(("height", "width"), [(32, 32), (48, 28), (8, 8)])
def test_reachable_is_what_a_product_of_masks_reaches(version, height, width):
    blocks = look_inside(small_model(version, depths=(2, 1, 2)), random(1, 3, height, width))
    for count in range(1, len(blocks) + 1):
        row, column = (side // 2 for side in blocks[count - 1].size)
        heard = {(row, column)}
        for before, seen in itertools.pairwise([None, *reversed(blocks[:count])]):
            if before and before.size != seen.size:
                heard = {
                    (2 * r + down, 2 * c + right)
                    for r, c in heard
                    for down, right in itertools.product((0, 1), repeat=2)
                    if 2 * r + down < seen.size[0] and 2 * c + right < seen.size[1]
                }
            free = [seen.on_map(seen.mask[:, None].double(), *place)[0] > 0 for place in heard]
            heard = {tuple(place) for allowed in free for place in allowed.nonzero().tolist()}
        found = reachable(blocks[:count], row, column)
        assert found.shape == blocks[0].size
        assert {tuple(place) for place in found.nonzero().tolist()} == heard


@VERSIONS
def test_influence_lies_within_reach(version):
    model, images = small_model(version, depths=(2, 2, 1)), random(2, 3, 32, 44)
    with torch.no_grad():  # it needs gradients, wherever it is called
        fields, blocks = effective_field(model, images), look_inside(model, images)
    assert fields.shape == (5, 32, 44)
    for count, field in enumerate(fields, 1):
        middle = (side // 2 for side in blocks[count - 1].size)
        reach = to_pixels(reachable(blocks[:count], *middle), 4, 32, 44)
        assert torch.equal(field > 0, reach)  # with random weights, all that can be is


def test_sums_stand_for_all_channels(monkeypatch):
    """With one sum for each channel, instead of random ones, the whole gradient comes out."""
    model, images = small_model(window=4, depths=(1, 1)), random(2, 3, 16, 12)
    monkeypatch.setattr(
        torch, "randn", lambda channels, sums, **_: math.sqrt(sums) * torch.eye(channels, sums)
    )
    for number, channels in enumerate((8, 16)):

        def middle(x, number=number):
            after = [after for *_, after in walk_blocks(model, x)][number]
            return after[:, after.shape[1] // 2, after.shape[2] // 2].sum(0)

        jacobian = torch.autograd.functional.jacobian(middle, images)  # (C, B, 3, H, W)
        exact = jacobian.square().sum(0).mean((0, 1)).sqrt()
        assert torch.allclose(effective_field(model, images, sums=channels)[number], exact, atol=1e-12)


def test_effective_field_is_the_same_every_time_and_leaves_the_images_alone():
    model, images = small_model(), random(1, 3, 16, 16)
    assert torch.equal(effective_field(model, images, sums=2), effective_field(model, images, sums=2))
    assert not images.requires_grad
    assert not torch.equal(effective_field(model, images, sums=2), effective_field(model, images, sums=3))
