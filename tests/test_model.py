"""swin_edu/model.py: the models' shapes, sizes and rates, and what PyTorch can do with them."""

import copy
import math
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from swin_edu.book.device import device
from swin_edu.model import VARIANTS, SwinTransformer, per_stage, swin

DEVICE = device()
PRECISE = torch.device("cpu") if DEVICE.type == "mps" else DEVICE  # Apple GPUs have no float64
SMALL = {"channels": 8, "depths": (1, 2, 2), "heads": (1, 2, 4), "window": 4, "num_classes": 5}
VERSIONS = pytest.mark.parametrize("version", [1, 2])


def small(version=1, **changes):
    """Return a small model with random weights of order one, so that every part of it shows."""
    torch.manual_seed(version)
    model = SwinTransformer(**{**SMALL, **changes}, version=version).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            matrix = parameter.ndim == 2 and "table" not in name
            parameter.normal_(std=parameter.shape[1] ** -0.5 if matrix else 1)
    return model


def random_images(batch, height, width):
    generator = torch.Generator().manual_seed(height * 31 + width)
    return torch.rand(batch, 3, height, width, generator=generator)


def on_meta(name, **changes):
    with torch.device("meta"):
        return swin(name, **changes)


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def multiply_adds(model, side):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops() // 2


# The model is its parts, in order.


@VERSIONS
def test_model_is_embedding_stages_norm_mean_and_one_linear_layer(version):
    model = small(version).double().to(PRECISE)
    images = random_images(2, 50, 70).double().to(PRECISE)
    x = model.embedding(images)
    for stage, feature in zip(model.stages, model.features(images), strict=True):
        x = stage.blocks(stage.merge(x))
        assert torch.equal(feature, x)  # no norm between stages
    normed = F.layer_norm(x, (32,), model.norm.weight, model.norm.bias, eps=1e-5)
    tokens = [normed[:, row, column] for row in range(x.shape[1]) for column in range(x.shape[2])]
    expected = F.linear(sum(tokens) / len(tokens), model.head.weight, model.head.bias)
    assert torch.allclose(model(images), expected, rtol=0, atol=1e-12)
    assert list(dict(model.named_children())) == ["embedding", "stages", "norm", "head"]
    assert type(model.head) is nn.Linear


@given(
    batch=st.integers(1, 3),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    version=st.sampled_from([1, 2]),
)
@settings(max_examples=20)
def test_any_size(batch, height, width, version):
    model = small(version).to(DEVICE)
    with torch.no_grad():
        maps = model.features(random_images(batch, height, width).to(DEVICE))
    for stage, x in enumerate(maps):
        sides = [math.ceil(side / 4) for side in (height, width)]
        for _ in range(stage):
            sides = [math.ceil(side / 2) for side in sides]
        assert x.shape == (batch, *sides, 8 * 2**stage)
        assert x.isfinite().all()


@VERSIONS
def test_images_of_a_batch_do_not_meet(version):
    model = small(version).double().to(PRECISE)
    images = random_images(3, 41, 30).double().to(PRECISE)
    with torch.no_grad():
        together, alone = model(images), torch.cat([model(image[None]) for image in images])
    assert torch.allclose(together, alone, rtol=0, atol=1e-12)


@VERSIONS
def test_a_run_leaves_nothing_behind(version):
    model = small(version).to(DEVICE)
    before = copy.deepcopy(model.state_dict())
    images = random_images(1, 64, 64).to(DEVICE)
    with torch.no_grad():
        expected = model(images)
        for size in ((5, 7), (100, 90)):
            model(random_images(1, *size).to(DEVICE))
        assert torch.equal(model(images), expected)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


# The published models.

EXACT = {
    "swin_t": 28_288_354,
    "swin_s": 49_606_258,
    "swin_b": 87_768_224,
    "swin_l": 196_532_476,
    "swin_v2_t": 28_351_570,
    "swin_v2_s": 49_737_442,
    "swin_v2_b": 87_930_848,
    "swin_v2_l": 196_757_980,
}
BILLIONS = [
    ("swin_t", 7, 224, 4.5),
    ("swin_s", 7, 224, 8.7),
    ("swin_b", 7, 224, 15.4),
    ("swin_b", 12, 384, 47.0),
    ("swin_l", 12, 384, 103.9),
    ("swin_v2_t", 8, 256, 5.9),
    ("swin_v2_s", 8, 256, 11.5),
    ("swin_v2_b", 8, 256, 20.3),
]


@pytest.mark.parametrize("name", VARIANTS)
def test_published_models(name):
    model, variant = on_meta(name), VARIANTS[name]
    assert parameters(model) == EXACT[name]
    assert model.head.out_features == 1000
    blocks = [block for stage in model.stages for block in stage.blocks]
    assert [len(stage.blocks) for stage in model.stages] == list(variant.depths)
    assert {block.attention.qkv.in_features // block.attention.heads for block in blocks} == {32}
    assert {block.window for block in blocks} == {variant.window} == {7 if variant.version == 1 else 8}
    for stage in model.stages:
        assert [block.shift for block in stage.blocks] == [0, variant.window // 2] * (len(stage.blocks) // 2)
    rates = torch.tensor([block.drop.rate for block in blocks], dtype=torch.double)
    last = variant.stochastic_depth
    assert torch.allclose(rates, torch.linspace(0, last, len(blocks), dtype=torch.double), atol=1e-12)
    assert rates[-1] == last


@pytest.mark.parametrize(("name", "window", "side", "billions"), BILLIONS)
def test_multiply_adds_of_the_paper(name, window, side, billions):
    counted = multiply_adds(on_meta(name, window=window), side) / 1e9
    assert abs(counted - billions) < 0.01 * billions


def test_other_windows_and_classes():
    model = on_meta("swin_b", window=12, num_classes=10)
    assert model.stages[3].blocks[0].attention.position.table.shape == (23**2, 32)
    assert model.head.weight.shape == (10, 1024)
    per_stage_windows = on_meta("swin_v2_b", window=(16, 16, 16, 8), pretrained_window=(12, 12, 12, 6))
    assert [stage.blocks[1].window for stage in per_stage_windows.stages] == [16, 16, 16, 8]
    assert [stage.blocks[1].shift for stage in per_stage_windows.stages] == [8, 8, 8, 4]
    assert parameters(per_stage_windows) == EXACT["swin_v2_b"]  # no table that depends on the window


def test_pretrained_window_reaches_each_stage():
    model = small(2, window=(4, 4, 2), pretrained_window=(2, 3, 0))
    farthest = [stage.blocks[0].attention.position.offsets.max().item() for stage in model.stages]
    expected = [math.log2(1 + 8 * 3 / reach) / 3 for reach in (1, 2)] + [math.log2(1 + 8) / 3]
    assert farthest == pytest.approx(expected)


def test_names_of_the_tensors():
    names = list(SwinTransformer(4, (1, 1), (1, 2), 2, num_classes=3).state_dict())
    norm, linear = ("weight", "bias"), ("weight", "bias")
    block = [
        *(f"norm1.{x}" for x in norm),
        *(f"attention.qkv.{x}" for x in linear),
        "attention.position.table",
        *(f"attention.project.{x}" for x in linear),
        *(f"norm2.{x}" for x in norm),
        *(f"mlp.expand.{x}" for x in linear),
        *(f"mlp.reduce.{x}" for x in linear),
    ]
    assert names == [
        *(f"embedding.{x}.{y}" for x in ("linear", "norm") for y in norm),
        *(f"stages.0.blocks.0.{x}" for x in block),
        *("stages.1.merge.norm.weight", "stages.1.merge.norm.bias", "stages.1.merge.reduction.weight"),
        *(f"stages.1.blocks.0.{x}" for x in block),
        *(f"{x}.{y}" for x in ("norm", "head") for y in norm),
    ]


def test_patches_of_another_size():
    model = small(patch=8).to(DEVICE)
    assert [x.shape[1:3] for x in model.features(random_images(1, 33, 64).to(DEVICE))] == [
        (5, 8),
        (3, 4),
        (2, 2),
    ]


def test_one_block_gets_no_stochastic_depth():
    model = SwinTransformer(4, (1,), (1,), 2, stochastic_depth=0.5)
    assert model.stages[0].blocks[0].drop.rate == 0


# What training starts from.


def test_initialisation():
    torch.manual_seed(0)
    model = SwinTransformer(64, (2, 2), (2, 4), 4, version=1)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear):
            assert layer.weight.std().item() == pytest.approx(0.02, rel=0.15), name
            assert layer.bias is None or not layer.bias.any()
        if isinstance(layer, nn.LayerNorm):
            assert (layer.weight == 1).all()
            assert not layer.bias.any()


def test_untrained_version_2_is_embedding_and_merging():
    model = SwinTransformer(**SMALL, version=2).to(DEVICE)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.LayerNorm):
            assert (layer.weight == (0 if "blocks" in name else 1)).all(), name
            assert not layer.bias.any()
    images = random_images(2, 30, 50).to(DEVICE)
    x = model.embedding(images)
    for stage, feature in zip(model.stages, model.features(images), strict=True):
        x = stage.merge(x)
        assert torch.equal(feature, x)


def test_stochastic_depth_acts_in_training_only():
    model = small(stochastic_depth=0.9).to(DEVICE)
    images = random_images(8, 32, 32).to(DEVICE)
    with torch.no_grad():
        assert torch.equal(model(images), model(images))
        model.train()
        assert not torch.equal(model(images), model(images))
        still = small().to(DEVICE)
        assert torch.equal(still.train()(images), still.eval()(images))


# In the hands of PyTorch.


@VERSIONS
def test_gradients_equal_differences_of_the_loss(version):
    model = small(version).double().to(PRECISE)
    images = random_images(2, 25, 38).double().to(PRECISE)
    model(images).square().sum().backward()
    for name, parameter in model.named_parameters():
        unused = version == 2 and name.endswith("qkv.bias")  # its middle third: keys have no bias
        nonzero = parameter.grad.count_nonzero().item()
        assert nonzero > (0.3 if "position" in name or unused else 0.9) * parameter.numel(), name
    generator = torch.Generator().manual_seed(0)
    steps = [
        torch.randn(p.shape, generator=generator, dtype=torch.double).to(PRECISE) for p in model.parameters()
    ]
    slope = sum((p.grad * step).sum() for p, step in zip(model.parameters(), steps, strict=True))
    losses = []
    with torch.no_grad():
        for factor in (1e-6, -2e-6):
            for parameter, step in zip(model.parameters(), steps, strict=True):
                parameter += factor * step
            losses.append(model(images).square().sum())
    assert ((losses[0] - losses[1]) / 2e-6).item() == pytest.approx(slope.item(), rel=1e-5)


@VERSIONS
def test_gradient_checkpointing(version):
    model = small(version).to(DEVICE).train()
    images = random_images(2, 30, 30).to(DEVICE)
    usual = torch.autograd.grad(model(images).square().sum(), list(model.parameters()))
    x = model.embedding(images)
    for stage in model.stages:
        for layer in (stage.merge, *stage.blocks):
            x = checkpoint(layer, x, use_reentrant=False)
    scores = model.head(model.norm(x).mean(dim=(1, 2)))
    for a, b in zip(usual, torch.autograd.grad(scores.square().sum(), list(model.parameters())), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


@VERSIONS
def test_mixed_precision(version):
    model, images = small(version).to(DEVICE), random_images(2, 40, 30).to(DEVICE)
    with torch.autocast(DEVICE.type, dtype=torch.bfloat16):
        rough = model(images)
    rough.float().square().sum().backward()
    assert rough.dtype == torch.bfloat16
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())
    assert (rough.float() - model(images)).abs().max() < 0.05 * model(images).abs().max()


@VERSIONS
def test_lower_precision_throughout(version):
    model, images = small(version), random_images(2, 40, 30)
    expected = model(images)
    found = copy.deepcopy(model).bfloat16()(images.bfloat16())
    assert (found.float() - expected).abs().max() < 0.1 * expected.abs().max()


@VERSIONS
def test_compiles_in_one_piece(version):
    """fullgraph=True raises where the graph would break; the backend "eager" runs what was recorded."""
    torch._dynamo.reset()
    model = small(version, depths=(2, 1), heads=(1, 2)).to(DEVICE)
    images = random_images(2, 30, 22).to(DEVICE)  # 8 × 6 tokens in windows of 4: padded and shifted
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, dynamic=False, backend="eager")
        assert torch.allclose(compiled(images), model(images), atol=1e-5)


@pytest.mark.skipif(DEVICE.type == "cpu" and not shutil.which("c++"), reason="there is no C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, while it imports its compiler
def test_compiles_to_machine_code():
    torch._dynamo.reset()
    model = small(depths=(2,), heads=(1,)).to(DEVICE)
    images = random_images(1, 30, 22).to(DEVICE)
    with torch.no_grad():
        assert torch.allclose(torch.compile(model, fullgraph=True)(images), model(images), atol=1e-4)


@VERSIONS
def test_exports_for_any_number_of_images(version):
    model = small(version).to(DEVICE)
    images, others = (random_images(batch, 50, 30).to(DEVICE) for batch in (2, 5))
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (images,), dynamic_shapes={"images": {0: batch}}).module()
    with torch.no_grad():
        for given in (images, others):
            assert torch.allclose(program(given), model(given), atol=1e-5)


# Errors.

BAD_CALLS = [
    (
        lambda: swin("swin_x"),
        "name is 'swin_x'; it must be one of swin_t, swin_s, swin_b, swin_l, swin_v2_t, swin_v2_s, "
        "swin_v2_b, swin_v2_l",
    ),
    (
        lambda: SwinTransformer(8, (1, 1), (1,), 4),
        "heads is (1,); it must hold 2 numbers, one for each stage",
    ),
    (
        lambda: SwinTransformer(8, (1, 1), (1, 2), (4, 4, 4)),
        "window is (4, 4, 4); it must hold 2 numbers, one for each stage",
    ),
    (
        lambda: SwinTransformer(8, (1, 1), (1, 2), 4, version=2, pretrained_window=(4,)),
        "pretrained_window is (4,); it must hold 2 numbers, one for each stage",
    ),
    (
        lambda: SwinTransformer(8, (), (), 4),
        "depths is (); it must hold the blocks of each stage, at least 1",
    ),
    (
        lambda: SwinTransformer(8, (2, 0), (1, 2), 4),
        "depths is (2, 0); it must hold the blocks of each stage, at least 1",
    ),
    (
        lambda: SwinTransformer(8, (1,), (1,), 4, num_classes=0),
        "num_classes is 0; it must be at least 1 (features() needs no head)",
    ),
    (lambda: SwinTransformer(8, (1,), (1,), 4, version=3), "version is 3; it must be 1 or 2"),
    (lambda: SwinTransformer(8, (1,), (3,), 4), "heads 3 does not divide channels 8"),
    (
        lambda: SwinTransformer(8, (1, 1), (1, 1), 4, stochastic_depth=1.0),
        "rate is 1.0; it must be at least 0 and below 1",
    ),
    (lambda: small()(torch.rand(3, 32, 32)), "add the batch axis with images[None]"),
    (lambda: per_stage((1, 2), (1,)), "value is (1, 2); it must hold 1 numbers, one for each stage"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)


def test_one_number_stands_for_all_stages():
    assert list(per_stage(7, (2, 2, 6, 2))) == [7, 7, 7, 7]
    assert list(per_stage((1, 2), (3, 4))) == [1, 2]
