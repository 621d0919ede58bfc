"""swin_edu/fast.py: the same scores, maps, gradients and random numbers as the clear model, by any way."""

import copy
import gc
import pickle
import time
import weakref
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from swin_edu import fast as module
from swin_edu.block import CosineWindowAttention, SwinBlock, SwinBlockV2
from swin_edu.book.device import device
from swin_edu.checkpoints import export_weights, load_weights
from swin_edu.fast import (
    WAYS,
    Kernels,
    cut_into_chunks,
    fast,
    fastest_linear,
    join,
    linear_by_convolution,
    linear_packed,
    make_plan,
    pack,
    rows_of_tokens,
    take,
    take_turns,
    usable_ways,
    window_order,
)
from swin_edu.hierarchy import merge_neighbours
from swin_edu.model import SwinTransformer, swin
from swin_edu.shift import shift_mask, shift_per_axis

CPU = torch.device("cpu")
DEVICE = device()
PRECISE = CPU if DEVICE.type == "mps" else DEVICE  # Apple GPUs have no float64
ALL = 10**9  # a chunk that holds everything
VERSIONS = pytest.mark.parametrize("version", [1, 2])
SIZES = pytest.mark.parametrize("size", [1, 100, ALL])


USABLE = usable_ways(gradient=False)
EACH_WAY = pytest.mark.parametrize("way", USABLE)
PUBLIC = ["matrix product", "convolution"]


def randomised(model, seed=0):
    """Give all parameters values of order one: with the usual start, many faults would not show."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            if "logit_scale" in name:
                values += 4  # some beyond the limit of log 100
            elif parameter.ndim == 2 and "table" not in name:
                values *= parameter.shape[1] ** -0.5
            parameter.copy_(values)
    return model.eval()


def small(version=1, **changes):
    config = {"channels": 16, "depths": (2, 2, 3), "heads": (1, 2, 4), "window": 4, "num_classes": 10}
    return randomised(SwinTransformer(**config | changes, version=version), seed=version)


def random_images(batch, height, width):
    generator = torch.Generator().manual_seed(height * 31 + width)
    return torch.rand(batch, 3, height, width, generator=generator)


def fast_by(model, way=None, size=2048):
    quick = fast(model)
    quick.kernels.way, quick.size = way, size
    return quick


def differs(found, expected):
    """Return the largest difference, in units of the largest value."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    return ((found - expected).abs().max() / expected.abs().max().clamp(min=1)).item()


@torch.no_grad()
def worst(quick, model, images):
    """Return the largest difference of scores and maps."""
    pairs = [(quick(images), model(images))]
    pairs += zip(quick.features(images), model.features(images), strict=True)
    return max(differs(*pair) for pair in pairs)


@pytest.fixture
def measure_again():
    """Forget which way is fastest, before and after a test that changes what there is to choose from."""
    fastest_linear.cache_clear()
    yield
    fastest_linear.cache_clear()


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Use one thread: small models gain nothing by a second, and lose much where other work wants it too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def two_threads():
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


# The same scores and maps.


@VERSIONS
@EACH_WAY
@SIZES
def test_same_scores_and_maps_by_each_way_in_each_size_of_chunks(version, way, size):
    model = small(version)
    for shape in ((2, 64, 64), (3, 50, 70), (1, 9, 61)):
        assert worst(fast_by(model, way, size), model, random_images(*shape)) <= 2e-5


@VERSIONS
@SIZES
def test_same_scores_and_maps_in_double_precision(version, size):
    model = small(version).double().to(PRECISE)
    for shape in ((2, 64, 64), (3, 50, 70), (1, 9, 61)):
        images = random_images(*shape).double().to(PRECISE)
        assert worst(fast_by(model, size=size), model, images) <= 1e-12


@VERSIONS
def test_same_scores_and_maps_on_the_device_of_the_book(version):
    model = small(version).to(DEVICE)
    assert worst(fast(model), model, random_images(2, 50, 70).to(DEVICE)) <= 2e-5


@given(
    version=st.sampled_from([1, 2]),
    batch=st.integers(1, 3),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    windows=st.tuples(*3 * [st.integers(1, 6)]),
    shift=st.integers(0, 5),
    depths=st.sampled_from([(1, 1, 1), (2, 1, 2), (1, 3, 2)]),
    patch=st.integers(2, 4),
    size=st.integers(100, 1000),  # windows of 1 × 1 would make thousands of smaller chunks
    way=st.sampled_from(USABLE),
    precise=st.booleans(),
)
@settings(max_examples=50)
def test_same_scores_and_maps_for_any_sizes(
    version, batch, height, width, windows, shift, depths, patch, size, way, precise
):
    model = small(version, channels=4, depths=depths, window=windows, patch=patch)
    for stage in model.stages:
        for block in stage.blocks[1::2]:
            block.shift = shift % block.window
    images = random_images(batch, height, width)
    if precise:
        model, images = model.double(), images.double()
    # Norms over four channels enlarge what is rounded; the clear model itself may be 1e-4 from double.
    assert worst(fast_by(model, way, size), model, images) <= (1e-10 if precise else 1e-3)


def test_same_scores_of_a_published_model():
    torch.manual_seed(0)
    model = randomised(swin("swin_t"))
    images = random_images(1, 224, 224)
    assert worst(fast(model), model, images) <= 2e-5


@VERSIONS
def test_images_of_a_batch_do_not_meet(version):
    quick, images = fast_by(small(version).double(), size=100), random_images(3, 41, 30).double()
    together, alone = quick(images), torch.cat([quick(image[None]) for image in images])
    assert differs(together, alone) <= 1e-12


@VERSIONS
def test_bfloat16(version):
    model, images = small(version), random_images(2, 40, 30)
    exact = model(images)
    rough = copy.deepcopy(model).bfloat16()
    expected, found = rough(images.bfloat16()), fast(rough)(images.bfloat16())
    assert found.dtype == torch.bfloat16
    assert differs(found.float(), exact) < 0.1
    assert differs(found.float(), expected.float()) < 0.1


@VERSIONS
def test_mixed_precision(version):
    model, images = small(version), random_images(2, 40, 30)
    quick = fast(model)
    exact = model(images)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert differs(quick(images).float(), exact) < 0.1


BAD_IMAGES = [
    torch.rand(3, 32, 32),
    torch.rand(1, 4, 32, 32),
    torch.rand(1, 32, 32, 3),
    torch.rand(1, 3, 0, 32),
    torch.rand(2, 1, 3, 8, 8),
    torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
    torch.zeros(1, 3, 8, 8, dtype=torch.double),
    [[0.0]],
    None,
]


@pytest.mark.parametrize("images", BAD_IMAGES, ids=range(len(BAD_IMAGES)))
def test_wrong_images_get_the_sentence_of_the_clear_model(images):
    model = small()
    quick = fast(model)
    for ours, theirs in ((quick, model), (quick.features, model.features)):
        with pytest.raises((TypeError, ValueError, RuntimeError)) as expected:
            theirs(images)
        with pytest.raises(expected.type) as found:
            ours(images)
        assert str(found.value) == str(expected.value)


# Which token stands where.


def windows_by_hand(height, width, window, shift):
    """List the windows of the moved grid: (kind, tokens, pairs that may attend), row by row."""
    rows, columns = -(-height // window), -(-width // window)
    down, right = shift * (rows > 1), shift * (columns > 1)
    result = []
    for i in range(rows):
        for j in range(columns):
            tokens, sides = [], []
            for a in range(window):
                for b in range(window):
                    y, x = i * window + a + down, j * window + b + right
                    sides.append((y >= rows * window, x >= columns * window))  # beyond the border: came round
                    y, x = y % (rows * window), x % (columns * window)
                    tokens.append(y * width + x if y < height and x < width else -1)
            kind = 2 * any(y for y, _ in sides) + any(x for _, x in sides)
            result.append((kind, tokens, [[one == two for two in sides] for one in sides]))
    return result


MAPS = given(
    height=st.integers(1, 15), width=st.integers(1, 15), window=st.integers(1, 5), shift=st.integers(0, 4)
)


@MAPS
def test_order_of_windows_is_that_of_a_loop(height, width, window, shift):
    shift = min(shift, window - 1)
    order, kinds = window_order(height, width, window, shift, CPU)
    expected = sorted(windows_by_hand(height, width, window, shift), key=lambda each: each[0])
    assert kinds.tolist() == [kind for kind, _, _ in expected]
    assert order.tolist() == [tokens for _, tokens, _ in expected]


@MAPS
def test_one_table_for_each_kind_of_windows(height, width, window, shift):
    shift = min(shift, window - 1)
    block = randomised(SwinBlock(6, 3, window, shift))
    tables, bias = module.table_of_kinds(block), block.attention.position()
    assert tables.shape == (4, 3, window**2, window**2)
    by_hand = windows_by_hand(height, width, window, shift)
    padded = [-(-side // window) * window for side in (height, width)]
    masks = shift_mask(*padded, window, shift_per_axis(*padded, window, shift))
    assert len(masks) == len(by_hand)
    for mask, (kind, _, pairs) in zip(masks, by_hand, strict=True):
        assert mask.tolist() == pairs
        assert torch.equal(tables[kind], torch.where(mask, bias, -torch.inf))


def test_table_of_version_2():
    block = randomised(SwinBlockV2(6, 3, 4, shift=1))
    tables, bias = module.table_of_kinds(block), block.attention.position()
    assert torch.equal(tables, torch.where(shift_mask(8, 8, 4, 1)[:, None], bias, -torch.inf))


@MAPS
def test_rows_of_tokens_is_the_inverse(height, width, window, shift):
    order, _ = window_order(height, width, window, min(shift, window - 1))
    images = torch.arange(3)[None, :, None] * 1000
    stand = torch.where(order[:, None] < 0, -1, order[:, None] + images).flatten()
    rows = rows_of_tokens(order, 3)
    assert rows.shape == (3, height * width)
    expected = [[image * 1000 + token for token in range(height * width)] for image in range(3)]
    assert stand[rows].tolist() == expected


def check_chunks(chunks, x, wanted, order, kinds, size):
    """Check a block's chunks: `x` holds a number for each row, `wanted` `(N, B, M·M, …)` what is to come."""
    count, batch, tokens = wanted.shape[:3]
    each = max(1, size // tokens)
    lengths = [sum(chunk.kinds) for chunk in chunks]
    assert sum(lengths) == count * batch
    assert all(length == each for length in lengths[:-1])
    assert 0 < lengths[-1] <= each
    start = 0
    for chunk, length in zip(chunks, lengths, strict=True):
        part = range(start, start + length)
        assert chunk.images.tolist() == [number % batch for number in part]
        own = kinds[[number // batch for number in part]]
        assert chunk.kinds == tuple((own == kind).sum().item() for kind in range(4))
        padding = (order < 0)[[number // batch for number in part]].reshape(-1, 1)
        assert (chunk.padding is None) == (not padding.any())
        assert chunk.padding is None or torch.equal(chunk.padding, padding)
        numbers = take(x, chunk).view(len(padding), -1)
        expected = wanted.flatten(0, 1)[start : start + length].reshape(len(padding), -1)
        real = ~padding[:, 0]
        assert torch.equal(numbers[real], expected[real])
        assert (chunk.missing is None) or chunk.missing.any()
        start += length


@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 13),
    width=st.integers(1, 13),
    windows=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    shift=st.integers(0, 4),
    size=st.integers(20, 200),
)
@settings(max_examples=40)
def test_the_plan_takes_every_token_where_it_belongs(batch, height, width, windows, shift, size):
    layout = tuple(((w, 0), (w, shift % w), (w, 0), (w, 0)) for w in windows)
    plan = make_plan(batch, height, width, layout, size, CPU)
    numbers = torch.arange(1, batch * height * width + 1).view(batch, height, width, 1)
    x = numbers.view(-1, 1)  # at first the tokens stand row by row
    assert len(plan) == len(layout)
    for stage, settings_of_blocks in zip(plan, layout, strict=True):
        if stage is not plan[0]:
            numbers = merge_neighbours(numbers)  # beyond the border there are zeros
        height, width = numbers.shape[1:3]
        assert (stage.height, stage.width) == (height, width)
        assert stage.rows.shape == (batch, height * width)
        for (window, moved), chunks in zip(settings_of_blocks, stage.blocks, strict=True):
            order, kinds = window_order(height, width, window, moved)
            wanted = numbers.flatten(1, 2)[:, order.clamp(min=0)].transpose(0, 1)
            check_chunks(chunks, x, wanted, order, kinds, size)
            # After the block tokens have new numbers, in the order in which the chunks leave them.
            rows = rows_of_tokens(order, batch)
            x = torch.zeros(order.numel() * batch, 1, dtype=torch.long)
            numbers = torch.arange(1, batch * height * width + 1).view(batch, height, width, 1)
            x[rows.flatten()] = numbers.view(-1, 1)
        assert torch.equal(x[stage.rows.flatten()], numbers.view(-1, 1))


def test_tokens_that_stand_in_line_are_not_gathered():
    [stage] = make_plan(2, 8, 8, (((4, 0), (4, 0), (4, 2)),), ALL, CPU)
    first, second, moved = (chunk for [chunk] in stage.blocks)
    assert second.source == slice(0, 128)
    assert isinstance(first.source, torch.Tensor)
    assert isinstance(moved.source, torch.Tensor)
    [stage] = make_plan(2, 8, 8, (((4, 0), (4, 0)),), 48, CPU)
    assert [chunk.source for chunk in stage.blocks[1]] == [slice(0, 48), slice(48, 96), slice(96, 128)]
    x = torch.rand(128, 3)
    assert take(x, second).data_ptr() == x.data_ptr()
    assert join([x]) is x
    assert torch.equal(join([x, 2 * x]), torch.cat([x, 2 * x]))


def test_sizes_of_chunks():
    order, kinds = window_order(12, 12, 4, 2)
    source = order[:, None].expand(9, 5, 16)
    for size, lengths in ((1, 45 * [1]), (31, 45 * [1]), (32, [*22 * [2], 1]), (720, [45]), (ALL, [45])):
        chunks = cut_into_chunks(source, order, kinds, size)
        assert [len(chunk.images) for chunk in chunks] == lengths


def test_what_is_missing_and_what_is_padding():
    """A map of 3 × 5 tokens becomes one of 2 × 3, in windows of 2 × 2."""
    first, second = make_plan(1, 3, 5, (((5, 0),), ((2, 0),)), ALL, CPU)
    [[chunk]] = first.blocks
    assert chunk.missing is None
    assert chunk.padding.flatten().tolist() == 15 * [False] + 10 * [True]
    [[chunk]] = second.blocks
    # Each token takes top left, bottom left, top right, bottom right; below row 2 and right of column 4 is
    # nothing. The second window holds a token and a padding on both lines.
    real = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1], None, [0, 1, 1, 1], None]
    missing = chunk.missing.view(8, 4).int().tolist()
    assert [a for a, b in zip(missing, real, strict=True) if b] == [b for b in real if b]
    assert chunk.padding.flatten().tolist() == [each is None for each in real]


def test_a_plan_is_made_once_for_each_size():
    make_plan.cache_clear()
    quick = fast(small())
    with torch.no_grad():
        for height, width in ((20, 30), (20, 30), (30, 20), (20, 30)):
            quick(random_images(1, height, width))
    assert (make_plan.cache_info().misses, make_plan.cache_info().hits) == (2, 2)


def test_the_plan_of_a_gpu_or_of_training_has_one_chunk(monkeypatch):
    asked = []
    monkeypatch.setattr(module, "make_plan", lambda *arguments: asked.append(arguments))
    quick = fast_by(small(), size=100)
    with torch.no_grad():
        for where in ("cpu", "meta"):
            quick.plan(torch.empty(2, 3, 33, 40, device=where))
    quick.plan(torch.empty(2, 3, 33, 40))
    layout = (((4, 0), (4, 2)), ((4, 0), (4, 2)), ((4, 0), (4, 2), (4, 0)))
    assert asked[0] == (2, 9, 10, layout, 100, CPU)
    assert asked[1][:4] == asked[0][:4]
    assert asked[1][4] >= ALL
    assert asked[2][4] >= ALL  # with gradients all is kept for the way back anyway


# The same gradients, and the same training.


def gradients(model, images):
    scores = model(images)
    weights = torch.arange(scores.numel(), dtype=scores.dtype, device=scores.device).view_as(scores).cos()
    (scores * weights).sum().backward()
    result = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    return scores.detach(), result


def check_gradients(quick, model, images, within):
    scores, found = gradients(quick, images)
    expected_scores, expected = gradients(model, images)
    assert differs(scores, expected_scores) <= within
    assert list(found) == list(expected)
    for name, gradient in expected.items():
        assert "logit_scale" in name or gradient.abs().max() > 0, name  # beyond log 100 it has none
        assert differs(found[name], gradient) <= within, name


@VERSIONS
@pytest.mark.parametrize("way", PUBLIC)
@SIZES
def test_same_gradients(version, way, size):
    model = small(version).double()
    quick = fast_by(model, size=size)
    quick.kernels.way_for = lambda x: way  # it would take the convolution for single precision only
    check_gradients(quick, model, random_images(2, 50, 37).double(), 1e-9)
    assert not quick.kernels.kept


@VERSIONS
def test_same_gradients_on_the_device_of_the_book(version):
    model = small(version).double().to(PRECISE)
    check_gradients(fast(model), model, random_images(2, 50, 37).double().to(PRECISE), 1e-9)


@VERSIONS
@EACH_WAY
def test_same_gradients_in_single_precision(version, way):
    model = small(version)
    check_gradients(fast_by(model, way), model, random_images(2, 50, 37), 1e-4)


@VERSIONS
def test_gradient_of_the_images(version):
    model = small(version).double()
    images = random_images(2, 33, 21).double().requires_grad_()
    [found] = torch.autograd.grad(fast_by(model, size=50)(images).square().sum(), images)
    [expected] = torch.autograd.grad(model(images).square().sum(), images)
    assert differs(found, expected) <= 1e-9


@VERSIONS
@SIZES
def test_stochastic_depth_draws_the_same_numbers(version, size):
    model = small(version, stochastic_depth=0.7).double().train()
    quick = fast_by(model, size=size)
    images = random_images(5, 30, 41).double()
    results = []
    for each in (quick, model):
        torch.manual_seed(3)
        results.append((*gradients(each, images), torch.get_rng_state()))
    (found, found_gradients, state), (expected, expected_gradients, expected_state) = results
    assert torch.equal(state, expected_state)
    assert differs(found, expected) <= 1e-11
    for name, gradient in expected_gradients.items():
        assert differs(found_gradients[name], gradient) <= 1e-9, name
    with torch.no_grad():
        torch.manual_seed(4)
        assert differs(quick(images), found) > 1e-3  # other numbers
        assert worst(quick.eval(), model.eval(), images) <= 1e-11


@VERSIONS
def test_same_training(version):
    models = [small(version, stochastic_depth=0.3).double().train() for _ in range(2)]
    trained = models[0], fast_by(models[1], size=100)
    images = random_images(4, 30, 30).double()
    for each in trained:
        torch.manual_seed(0)
        optimizer = torch.optim.SGD(each.parameters(), lr=0.01, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad()
            F.cross_entropy(each(images), torch.arange(4)).backward()
            optimizer.step()
    for a, b in zip(*(each.parameters() for each in trained), strict=True):
        assert differs(b, a) <= 1e-9


@VERSIONS
def test_a_plan_that_was_made_for_inference_serves_training(version):
    make_plan.cache_clear()
    model = small(version)
    quick, images = fast(model), random_images(2, 30, 41)
    with torch.inference_mode():
        quick(images)
    with torch.no_grad():
        quick(images)
    check_gradients(quick, model, images, 1e-4)


# What is kept.


def test_what_is_kept_is_computed_once(monkeypatch):
    calls = []

    def counted(owner, name):
        real = getattr(owner, name)
        return lambda *arguments: calls.append(name) or real(*arguments)

    for owner, name in (
        (module, "table_of_kinds"),
        (CosineWindowAttention, "qkv_bias"),
        (module, "pack"),
    ):
        monkeypatch.setattr(owner, name, counted(owner, name))
    model = small(2)
    quick, images = (
        fast_by(model, "packed" if "packed" in USABLE else None, size=64),
        random_images(1, 50, 50),
    )
    linear = (1 + 2 + 4 * 7) if "packed" in USABLE else 0  # embedding, mergings, four in each block
    with torch.no_grad():
        quick(images)
        assert [calls.count(name) for name in ("table_of_kinds", "qkv_bias", "pack")] == [7, 7, linear]
        quick(images)
        quick(random_images(2, 30, 30))
        assert len(calls) == 14 + linear
        model.stages[1].blocks[0].attention.position.mlp[0].bias.add_(1)
        quick(images)
        assert calls[14 + linear :] == ["table_of_kinds"]
    calls.clear()
    quick(images)
    quick(images)
    assert calls.count("qkv_bias") >= 14  # with gradients nothing is kept, since it belongs to a graph
    assert "pack" not in calls


def step_of_optimizer(model, images):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(images).square().mean().backward()
    optimizer.step()


def in_place(model, images):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(-0.7).add_(0.1)


def write_data(model, images):
    for parameter in model.parameters():
        parameter.data.mul_(-0.7)
    model.eval()


def other_weights(model):
    twin = copy.deepcopy(model)
    in_place(twin, None)
    return twin


CHANGES = {
    "optimizer": step_of_optimizer,
    "state dict": lambda model, images: model.load_state_dict(other_weights(model).state_dict()),
    "state dict, assigned": lambda model, images: model.load_state_dict(
        other_weights(model).state_dict(), assign=True
    ),
    "weights of a library": lambda model, images: load_weights(
        model, export_weights(other_weights(model), "torchvision")
    ),
    "in place": in_place,
    "data, then eval": write_data,
}


@VERSIONS
@EACH_WAY
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_follows_every_change_of_the_parameters(version, way, change):
    model, images = small(version), random_images(2, 40, 30)
    quick = fast_by(model, way)
    for changed in (quick,) if change is write_data else (model, quick):
        with torch.no_grad():
            before = quick(images)
        change(changed, images)
        assert worst(quick, model, images) <= 2e-5
        with torch.no_grad():
            assert differs(quick(images), before) > 1e-3


@VERSIONS
@EACH_WAY
def test_it_follows_into_other_types(version, way):
    model, images = small(version), random_images(2, 40, 30)
    quick = fast_by(model, way)
    assert worst(quick, model, images) <= 2e-5
    model.double()
    assert worst(quick, model, images.double()) <= 1e-12
    quick.bfloat16()
    with torch.no_grad():
        assert differs(quick(images.bfloat16()).float(), model(images.bfloat16()).float()) < 0.1
    quick.float().eval()
    assert worst(quick, model, images) <= 2e-5


@VERSIONS
def test_training_and_inference_in_turns(version):
    model, images = small(version, stochastic_depth=0.5), random_images(3, 40, 30)
    quick = fast(model)
    assert not quick.training
    for mode in (True, False, True):
        assert quick.train(mode) is quick
        assert quick.training == model.stages[0].blocks[0].training == mode
        results = []
        for each in (quick, model):
            torch.manual_seed(0)
            with torch.no_grad():
                results.append(each(images))
        assert differs(*results) <= 2e-5
    assert fast(model.train()).training
    assert not fast(model.eval()).training


def test_train_and_eval_forget_what_was_kept():
    quick = fast(small())
    for forget in (quick.train, quick.eval):
        with torch.no_grad():
            quick(random_images(1, 20, 20))
        assert quick.kernels.kept
        forget()
        assert not quick.kernels.kept


def test_keep_compares_owner_and_name():
    kernels, numbers = Kernels(), iter(range(100))
    one, two, layer = torch.nn.LayerNorm(2), torch.nn.LayerNorm(2), SwinBlock(4, 2, 2)
    with torch.no_grad():
        ask = lambda name, owner: kernels.keep(name, owner, lambda: next(numbers))  # noqa: E731
        assert [ask("a", one), ask("a", two), ask("b", one), ask("a", layer)] == [0, 1, 2, 3]
        assert [ask("a", layer), ask("b", one), ask("a", two), ask("a", one)] == [3, 2, 1, 0]
        one.bias.add_(1)
        assert [ask("a", one), ask("b", one), ask("a", two), ask("a", layer)] == [4, 5, 1, 3]
        layer.mlp.expand.bias.zero_()
        assert [ask("a", layer), ask("a", layer)] == [6, 6]
        two.weight.data = torch.ones(2)
        assert ask("a", two) == 7
        layer.attention.position.index.add_(1)  # a buffer
        assert [ask("a", layer), ask("a", layer)] == [8, 8]
        with torch.autocast(device().type, torch.bfloat16):
            assert [ask("a", one), ask("a", one)] == [9, 10]  # its types are not those of later calls
    assert [ask("a", one), ask("a", one)] == [11, 12]  # with gradients nothing is kept
    with torch.inference_mode():
        three = torch.nn.LayerNorm(2)  # its parameters count no versions
        assert [ask("a", three), ask("a", three)] == [13, 13]


def test_a_tensor_in_the_place_of_an_old_one_is_not_mistaken_for_it():
    """Freed memory is given out again, and a new tensor's count of changes begins anew."""
    model, images = small(2), random_images(1, 40, 30)
    quick = fast(model)
    with torch.no_grad():
        for _ in range(4):
            for parameter in model.parameters():
                parameter.data = parameter.data + 0.01  # the old memory is free for the next parameter
            model.half(), model.float()
            assert torch.allclose(quick(images), model(images), atol=2e-5)


def test_autocast_leaves_nothing_behind():
    model, images = small(2), random_images(1, 40, 30)
    quick = fast(model)
    with torch.no_grad():
        with torch.autocast(device().type, torch.bfloat16):
            assert torch.allclose(quick(images).float(), model(images).float(), atol=0.2)
        assert torch.allclose(quick(images), model(images), atol=2e-5)


def test_an_owner_lives_as_long_as_what_is_kept_of_it():
    """Python may give the number that `id` returned to a new object once the old one is gone."""
    kernels, owner = Kernels(), torch.nn.LayerNorm(2)
    watched = weakref.ref(owner)
    with torch.no_grad():
        kernels.keep("a", owner, lambda: 1)
    del owner
    gc.collect()
    assert watched() is not None


def copied(model):
    return pickle.loads(pickle.dumps(model))


@VERSIONS
@EACH_WAY
@pytest.mark.parametrize("copied", [copy.deepcopy, copied])
def test_a_copy_is_independent(version, way, copied):
    model, images = small(version), random_images(2, 40, 30)
    quick = fast_by(model, way, size=77)
    with torch.no_grad():
        before = quick(images)
        twin = copied(quick)
        assert (twin.kernels.way, twin.size) == (way, 77)
        assert not twin.kernels.kept
        assert twin.kernels is not quick.kernels
        assert torch.equal(twin(images), before)
        in_place(twin, images)
        assert torch.equal(quick(images), before)
        assert differs(twin(images), before) > 1e-3
        in_place(model, images)
        assert torch.equal(quick(images), twin(images))


@VERSIONS
def test_it_has_the_parameters_of_the_model_and_no_other(version):
    model = small(version)
    quick = fast(model)
    assert list(quick.state_dict()) == list(model.state_dict())
    ours, theirs = dict(quick.named_parameters()), dict(model.named_parameters())
    assert list(ours) == list(theirs)
    assert all(ours[name] is theirs[name] for name in ours)
    assert isinstance(quick, SwinTransformer)
    exported = export_weights(quick, "original")
    assert all(
        torch.equal(tensor, exported[name]) for name, tensor in export_weights(model, "original").items()
    )


# Ways to compute a linear layer.

SHAPES = pytest.mark.parametrize(
    ("rows", "before", "after"), [(1, 1, 1), (7, 3, 5), (49, 96, 288), (130, 64, 16)]
)


def some(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape) + shape[0]))


def check_linear(rows, before, after):
    x, weight = some(rows, before), some(after, before)
    for bias in (None, some(after)):
        expected = F.linear(x, weight, bias)
        assert differs(linear_by_convolution(x, weight, bias), expected) <= 1e-5
        strided = some(before, rows).T
        assert differs(linear_by_convolution(strided, weight, bias), F.linear(strided, weight, bias)) <= 1e-5
        if "packed" not in USABLE:
            continue
        packed = pack(weight.requires_grad_())
        assert not packed.requires_grad
        weight.requires_grad_(False)
        other = some(rows, after)
        assert differs(linear_packed(x, packed, bias), expected) <= 1e-5
        assert differs(linear_packed(x, packed, bias, gelu=True), F.gelu(expected)) <= 1e-5
        untouched = other.clone()
        assert differs(linear_packed(x, packed, bias, other=other), expected + other) <= 1e-5
        assert torch.equal(other, untouched)


@SHAPES
def test_linear_layers_by_other_ways_with_one_thread(rows, before, after):
    check_linear(rows, before, after)


@SHAPES
def test_linear_layers_by_other_ways_with_two_threads(rows, before, after, two_threads):
    check_linear(rows, before, after)


@SHAPES
def test_gradients_of_the_convolution(rows, before, after):
    results = []
    for compute in (linear_by_convolution, F.linear):
        inputs = [
            each.double().requires_grad_() for each in (some(rows, before), some(after, before), some(after))
        ]
        results.append(torch.autograd.grad(compute(*inputs).square().sum(), inputs))
    assert all(differs(a, b) <= 1e-12 for a, b in zip(*results, strict=True))


@EACH_WAY
@torch.no_grad()
def test_layers_with_what_follows(way):
    kernels, layer = Kernels(way), torch.nn.Linear(12, 20)
    x, other, bias = some(9, 12), some(9, 20), some(20)
    untouched = x.clone(), other.clone()
    assert differs(kernels.linear(x, layer), layer(x)) <= 1e-5
    assert differs(kernels.linear(x, layer, gelu=True), F.gelu(layer(x))) <= 1e-5
    assert differs(kernels.linear(x, layer, other=other), layer(x) + other) <= 1e-5
    assert differs(kernels.linear(x, layer, bias=bias), F.linear(x, layer.weight, bias)) <= 1e-5
    assert torch.equal(x, untouched[0])
    assert torch.equal(other, untouched[1])


def test_gelu_is_the_exact_one():
    x = torch.linspace(-4, 4, 101)[:, None]
    layer = torch.nn.Linear(1, 1)
    torch.nn.init.ones_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    for way in USABLE:
        with torch.no_grad():
            found = Kernels(way).linear(x, layer, gelu=True)
        assert (found - F.gelu(x)).abs().max() < 1e-5
        assert (found - F.gelu(x, approximate="tanh")).abs().max() > 1e-4


# Choosing a way.


def test_take_turns(monkeypatch):
    clock, done = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def runs(name, *seconds):
        each = iter(seconds)

        def run():
            done.append(name)
            clock[0] += next(each)

        return run

    medians = take_turns({"a": runs("a", 1.0, 100.0, 3.0), "b": runs("b", 5.0, 2.0, 4.0)}, rounds=3)
    assert medians == {"a": 3.0, "b": 4.0}
    assert done == ["a", "b", "a", "b", "a", "b"]


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("winner", ["matrix product", "convolution", "slow", "packed"])
def test_the_fastest_of_those_that_work(monkeypatch, measure_again, gradient, winner):
    def fail(kind):
        def compute(*arguments):
            raise kind("no such operator")

        return compute

    weights = []

    def remember(weight):
        weights.append(weight)
        return weight

    monkeypatch.setitem(WAYS, "no attribute", (fail(AttributeError), F.linear))
    monkeypatch.setitem(WAYS, "fails", (lambda weight: weight, fail(RuntimeError)))
    monkeypatch.setitem(WAYS, "wrong", (lambda weight: weight, lambda x, w, b: F.linear(x, w, b) * 1.001))
    monkeypatch.setitem(WAYS, "slow", (remember, F.linear))
    asked = {}

    def pretend(runs, rounds):
        asked.update(runs)
        for run in runs.values():
            run()
        return {name: 1.0 if name == winner else 2.0 for name in runs}

    monkeypatch.setattr(module, "take_turns", pretend)
    assert {"slow"} < set(usable_ways(gradient)) <= {"slow", *USABLE}
    weights.clear()
    chosen = fastest_linear(gradient, torch.get_num_threads(), 64)
    wanted = {"matrix product", "convolution", "slow"} | ({"packed"} & set(USABLE) if not gradient else set())
    assert set(asked) == wanted
    assert chosen == (winner if winner in wanted else "matrix product")
    weight, count = weights[-1], len(weights)
    assert weight.requires_grad == gradient
    assert (weight.grad is not None) == gradient  # the way back was run
    assert fastest_linear(gradient, torch.get_num_threads(), 64) == chosen
    assert len(weights) == count  # from the first call


def test_what_is_measured_is_a_way_that_works(measure_again):
    assert fastest_linear(False, 2, 64) in USABLE
    assert fastest_linear(True, 2, 64) in PUBLIC


@pytest.mark.parametrize("way", [None, "convolution", "packed"])
def test_other_types_and_devices_take_the_matrix_product(way):
    kernels = Kernels(way)
    for x in (
        torch.ones(2, 2, dtype=torch.double),
        torch.ones(2, 2, dtype=torch.bfloat16),
        torch.ones(2, 2, device="meta"),
    ):
        assert kernels.way_for(x) == "matrix product"
        with torch.no_grad():
            assert kernels.way_for(x) == "matrix product"


def test_way_for(monkeypatch):
    monkeypatch.setattr(module, "fastest_linear", lambda *asked: asked)
    x, threads = torch.ones(2, 2), torch.get_num_threads()
    assert Kernels().way_for(x) == (True, threads, 2)
    assert Kernels("packed").way_for(x) == (True, threads, 2)
    assert [Kernels(way).way_for(x) for way in PUBLIC] == PUBLIC
    with torch.no_grad():
        assert Kernels().way_for(x) == (False, threads, 2)
        assert [Kernels(way).way_for(x) for way in WAYS] == list(WAYS)
        tokens = [Kernels().way_for(torch.ones(count, 2))[2] for count in (1, 3, 49, 64, 65, 1000, 5000)]
        assert tokens == [1, 4, 64, 64, 128, 1024, 1024]  # a few sizes are timed, not each


@VERSIONS
def test_without_the_private_operators_all_works(monkeypatch, measure_again, version):
    monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
    with pytest.raises(AttributeError):
        pack(torch.ones(2, 2))
    model, images = small(version), random_images(2, 40, 30)
    quick = fast(model)
    assert worst(quick, model, images) <= 2e-5
    check_gradients(quick, model, images, 1e-4)
    assert fastest_linear(False, torch.get_num_threads(), 64) in PUBLIC


# Compiled.


def compile_without_a_compiler(monkeypatch, backend="aot_eager"):
    """Let torch.compile record the graph, and run it without translation to machine code."""
    torch._dynamo.reset()
    compiler, modes = torch.compile, []

    def compiled(run, fullgraph, mode):
        assert fullgraph  # it raises where the graph would break
        modes.append(mode)
        return compiler(run, fullgraph=True, backend=backend)

    monkeypatch.setattr(torch, "compile", compiled)
    return modes


def tiny(version):
    model = small(version, channels=4, depths=(1, 1), heads=(1, 2), num_classes=3)
    model.stages[0].blocks[0].shift = 2
    return model.to(DEVICE)


@VERSIONS
def test_compiled_in_one_piece(monkeypatch, version):
    modes = compile_without_a_compiler(monkeypatch)
    model = tiny(version)
    quick = fast(model, compiled=True)
    assert modes == ["reduce-overhead" if DEVICE.type == "cuda" else "default"]
    images = random_images(3, 30, 50).to(DEVICE)  # padded and moved
    assert worst(quick, model, images) <= 2e-5
    assert not quick.kernels.kept
    in_place(model, images)
    assert worst(quick, model, images) <= 2e-5


def test_compiled_for_a_second_size_and_for_training(monkeypatch):
    compile_without_a_compiler(monkeypatch, "eager")  # the other takes long for sizes left open
    model = small(2, channels=4, depths=(1,), heads=(1,), num_classes=3).to(DEVICE)
    model.stages[0].blocks[0].shift = 2
    quick = fast(model, compiled=True)
    for height, width in ((30, 50), (41, 37)):
        images = random_images(2, height, width).to(DEVICE)
        with torch.no_grad():
            assert differs(quick(images), model(images)) <= 2e-5
    check_gradients(quick, model, images, 1e-4)


def test_compiled_only_where_asked_for(monkeypatch):
    modes = compile_without_a_compiler(monkeypatch)
    fast(small())
    assert not modes
    quick, ran = fast(small()), []
    real = quick.runner
    quick.runner = lambda *arguments: ran.append(1) or real(*arguments)
    quick(random_images(1, 20, 20))
    quick.features(random_images(1, 20, 20))
    assert len(ran) == 2  # both go through what may be compiled
