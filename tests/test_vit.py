"""swin_edu/rivals/vit.py against PyTorch's own encoder, loops, and what other libraries computed."""

import math

import peers_rivals
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from swin_edu.attention import attend
from swin_edu.book.device import device
from swin_edu.patches import patch_partition
from swin_edu.rivals.vit import LAYOUTS, TransformerBlock, ViT, export_vit, load_vit

DEVICE = device()
LAYOUT = pytest.mark.parametrize("layout", LAYOUTS)


def random_layer(layer, seed=0):
    """Give every parameter a random value of order one, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    layer = layer.double()
    for parameter in layer.parameters():
        scale = parameter.shape[-1] ** -0.5 if parameter.ndim == 2 else 1
        parameter.data = scale * torch.randn(parameter.shape, generator=generator, dtype=torch.double)
    return layer.eval()


def small(seed=0, **changes):
    settings = {"channels": 8, "depth": 2, "heads": 2, "patch": 4, "side": 12, "num_classes": 5}
    return random_layer(ViT(**settings | changes), seed)


def copies(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


# The block


@pytest.mark.parametrize("heads", [1, 2, 6])
def test_a_block_is_the_one_of_pytorch(heads):
    """nn.TransformerEncoderLayer with the norms first, and our weights under its names."""
    block = random_layer(TransformerBlock(12, heads))
    theirs = nn.TransformerEncoderLayer(
        12, heads, 48, activation="gelu", layer_norm_eps=1e-6, batch_first=True, norm_first=True
    )
    theirs = theirs.double().eval()  # there is dropout otherwise
    names = {"qkv": "self_attn.in_proj_", "project": "self_attn.out_proj.", "mlp.expand": "linear1."}
    names |= {"mlp.reduce": "linear2.", "norm1": "norm1.", "norm2": "norm2."}
    weights = block.state_dict()
    for ours, their in names.items():
        for kind in ("weight", "bias"):
            theirs.get_parameter(f"{their}{kind}").data = weights.pop(f"{ours}.{kind}")
    assert not weights
    tokens = torch.randn(3, 7, 12, dtype=torch.double)
    assert (block(tokens) - theirs(tokens)).abs().max() < 1e-12


def by_hand(block, tokens):
    """The two equations, token by token and head by head, for tokens `(N, C)`."""

    def normed(x, norm):
        x = x - x.mean(-1, keepdim=True)
        return x / (x.square().mean(-1, keepdim=True) + 1e-6).sqrt() * norm.weight + norm.bias

    count, channels = tokens.shape
    size = channels // block.heads
    q, k, v = (normed(tokens, block.norm1) @ block.qkv.weight.T + block.qkv.bias).chunk(3, dim=-1)
    found = torch.zeros_like(tokens)
    for head in range(block.heads):
        part = slice(head * size, (head + 1) * size)
        for i in range(count):
            weights = [math.exp(q[i, part] @ k[j, part] / math.sqrt(size)) for j in range(count)]
            found[i, part] = sum(w * v[j, part] for j, w in enumerate(weights)) / sum(weights)
    tokens = tokens + found @ block.project.weight.T + block.project.bias
    hidden = normed(tokens, block.norm2) @ block.mlp.expand.weight.T + block.mlp.expand.bias
    hidden = hidden * (1 + torch.erf(hidden / math.sqrt(2))) / 2
    return tokens + hidden @ block.mlp.reduce.weight.T + block.mlp.reduce.bias


@torch.no_grad()
@settings(max_examples=15)
@given(count=st.integers(1, 6), heads=st.integers(1, 3), size=st.integers(1, 4), seed=st.integers(0, 99))
def test_a_block_is_its_two_equations(count, heads, size, seed):
    block = random_layer(TransformerBlock(heads * size, heads), seed)
    tokens = torch.randn(
        2, count, heads * size, dtype=torch.double, generator=torch.Generator().manual_seed(seed)
    )
    expected = torch.stack([by_hand(block, each) for each in tokens])
    assert (block(tokens) - expected).abs().max() < 1e-9


def test_a_block_takes_any_attention():
    seen = []

    def own_values(q, k, v):
        seen.append((q, k, v))
        return v

    block = random_layer(TransformerBlock(6, 2, own_values))
    tokens = torch.randn(4, 5, 6, dtype=torch.double)
    result = block(tokens)
    q, k, v = seen[0]
    assert q.shape == k.shape == v.shape == (4, 2, 5, 3)
    for part, x in enumerate((q, k, v)):
        rows = block.qkv.weight[6 * part + 3 : 6 * part + 6], block.qkv.bias[6 * part + 3 : 6 * part + 6]
        assert torch.allclose(x[:, 1], F.linear(block.norm1(tokens), *rows))
    middle = tokens + block.project(F.linear(block.norm1(tokens), block.qkv.weight[12:], block.qkv.bias[12:]))
    assert torch.allclose(result, middle + block.mlp(block.norm2(middle)))
    layer = TransformerBlock(6, 2, nn.MultiheadAttention(6, 2))
    assert any(name.startswith("attention.") for name, _ in layer.named_parameters())


def test_both_branches_are_left_out_in_training():
    torch.manual_seed(0)
    block = random_layer(TransformerBlock(4, 2, drop=0.5))
    tokens = torch.randn(1, 3, 4, dtype=torch.double)
    branches = []
    for first in (0, 2):
        for second in (0, 2):  # kept branches are doubled at rate 0.5
            factors = iter((first, second))
            block.drop.forward = lambda branch, factors=factors: branch * next(factors)
            branches.append(block(tokens)[0])
    del block.drop.forward
    images = block.train()(tokens.expand(64, -1, -1))
    matches = torch.stack([(images - branch).abs().flatten(1).amax(1) < 1e-9 for branch in branches])
    assert (matches.sum(0) == 1).all()
    assert (matches.sum(1) > 4).all()


# The model


@torch.no_grad()
@pytest.mark.parametrize("class_token", [True, False])
@pytest.mark.parametrize(("height", "width"), [(12, 12), (8, 16), (9, 5), (3, 30)])
def test_the_model_in_plain_steps(class_token, height, width):
    model = small(class_token=class_token)
    images = torch.rand(2, 3, height, width, dtype=torch.double)
    rows, columns = -(-height // 4), -(-width // 4)
    padded = torch.zeros(2, 3, 4 * rows, 4 * columns, dtype=torch.double)
    padded[..., :height, :width] = images
    place = model.position.table
    if (rows, columns) != (3, 3):
        place = F.interpolate(place, size=(rows, columns), mode="bicubic", align_corners=False)
    tokens = model.embedding(patch_partition(padded, 4)).flatten(1, 2) + place.flatten(2).mT
    if class_token:
        tokens = torch.cat([model.class_token.expand(2, 1, 8), tokens], dim=1)
    for block in model.blocks:
        tokens = torch.stack([by_hand(block, each) for each in tokens])
    tokens = F.layer_norm(tokens, (8,), model.norm.weight, model.norm.bias, eps=1e-6)
    of_map = tokens[:, 1:] if class_token else tokens
    read = tokens[:, 0] if class_token else of_map.mean(1)
    [found] = model.features(images)
    assert found.shape == (2, rows, columns, 8)
    assert (found - of_map.reshape(found.shape)).abs().max() < 1e-9
    got, map_again = model.tokens(images)
    assert torch.equal(map_again, found) and (got - read).abs().max() < 1e-9
    assert (model(images) - model.head(read)).abs().max() < 1e-9


def test_what_training_starts_from():
    torch.manual_seed(0)
    model = ViT(64, 2, 2, patch=4, side=16, num_classes=10)
    for layer in model.modules():
        if isinstance(layer, nn.Linear):
            assert 0.015 < layer.weight.std() < 0.025
            assert not layer.bias.any()
    assert 0.015 < model.position.table.std() < 0.025
    assert not model.class_token.any()


def test_later_blocks_are_left_out_more_often():
    assert [block.drop.rate for block in ViT(8, 2, 2).blocks] == [0, 0]
    assert [block.drop.rate for block in ViT(8, 2, 2, stochastic_depth=0.2).blocks] == [0, 0.2]
    rates = [block.drop.rate for block in ViT(8, 5, 2, stochastic_depth=0.2).blocks]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert [block.drop.rate for block in ViT(8, 1, 2, stochastic_depth=0.2).blocks] == [0]


@pytest.mark.parametrize(
    ("settings", "count"),
    [((192, 12, 3), 5_717_416), ((384, 12, 6), 22_050_664), ((768, 12, 12), 86_567_656)],
)
def test_parameters_of_published_models(settings, count):
    """ViT-Ti, S and B of 16 × 16 patches have one more vector, the place of the class token."""
    with torch.device("meta"):
        model = ViT(*settings)
        mean = ViT(*settings, class_token=False)
    assert sum(p.numel() for p in model.parameters()) == count - settings[0]
    assert sum(p.numel() for p in mean.parameters()) == count - 2 * settings[0]


def test_gradients_reach_every_parameter_and_the_image():
    torch.manual_seed(0)
    for class_token in (True, False):
        model = ViT(8, 2, 2, patch=4, side=12, num_classes=5, class_token=class_token).to(DEVICE)
        images = torch.rand(2, 3, 11, 14).to(DEVICE).requires_grad_()
        (model(images) * torch.randn(2, 5).to(DEVICE)).sum().backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad.isfinite().all() and parameter.grad.any(), name
        assert (images.grad.abs() > 0).any(dim=1).all()


def test_one_patch_one_block_and_one_class_will_do():
    assert small(side=4, depth=1, num_classes=1)(torch.rand(2, 3, 4, 4).double()).shape == (2, 1)


def test_an_image_does_not_depend_on_its_batch():
    model, images = small(), torch.rand(3, 3, 12, 8, dtype=torch.double)
    alone = torch.cat([model(image[None]) for image in images])
    assert torch.allclose(model(images), alone, atol=1e-12)


def test_the_table_of_positions_tells_places_apart():
    """Without it, the class token sees the patches as a set."""
    model = small()
    images = torch.rand(1, 3, 12, 12, dtype=torch.double)
    turned = images.unflatten(2, (3, 4)).flip(2).flatten(2, 3)
    assert not torch.allclose(model(images), model(turned), atol=1e-3)
    nn.init.zeros_(model.position.table)
    assert torch.allclose(model(images), model(turned), atol=1e-10)


# The libraries


def test_all_references_are_there():
    found = {path.stem for path in peers_rivals.REFERENCES.glob("vit_*")}
    assert found == {f"vit_{layout}" for layout in LAYOUTS}


@LAYOUT
def test_equals_what_other_libraries_computed(layout):
    """Written by peers.py with the libraries' own code; their weights, their names, their results."""
    stored = load_file(peers_rivals.REFERENCES / f"vit_{layout}.safetensors")
    weights = {name[8:]: tensor for name, tensor in stored.items() if name.startswith("weights.")}
    model = ViT(**peers_rivals.SMALL_VIT).eval()
    load_vit(model, weights, layout)
    with torch.no_grad():
        scores = model.to(DEVICE)(stored["images"].to(DEVICE) / 128 - 1)
    assert stored["scores"].std() > 0.3
    assert (scores.cpu() - stored["scores"]).abs().max() < 1e-5
    exported = export_vit(model, layout)
    assert {name: tensor.shape for name, tensor in exported.items()} == {
        name: tensor.shape for name, tensor in weights.items()
    }


@LAYOUT
def test_there_and_back(layout):
    model, other = small(), small(1)
    exported = export_vit(model, layout)
    load_vit(other, exported, layout)
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in copies(model).items())
    for tensor in exported.values():
        tensor.fill_(9.0)  # they are copies
    assert not any((tensor == 9).any() for tensor in model.state_dict().values())


def test_names_of_the_libraries():
    """Spot checks typed from the libraries' own state dicts."""
    expected = {
        "timm": {
            "cls_token",
            "pos_embed",
            "patch_embed.proj.weight",
            "blocks.1.attn.qkv.bias",
            "head.weight",
        },
        "torchvision": {
            "class_token",
            "encoder.pos_embedding",
            "encoder.layers.encoder_layer_1.self_attention.in_proj_weight",
            "encoder.layers.encoder_layer_0.mlp.3.bias",
            "heads.head.bias",
        },
        "huggingface": {
            "vit.embeddings.cls_token",
            "vit.layers.0.attention.k_proj.bias",
            "vit.layers.1.layernorm_after.weight",
            "classifier.weight",
        },
    }
    for layout, names in expected.items():
        assert names <= export_vit(small(), layout).keys(), layout


@torch.no_grad()
@LAYOUT
def test_a_place_of_the_class_token_is_added_to_it(layout):
    model, other = small(), small(1)
    weights = export_vit(model, layout)
    [table] = [tensor for tensor in weights.values() if tensor.shape == (1, 10, 8)]
    assert not table[:, 0].any()
    place = torch.randn(8, dtype=torch.double)
    table[:, 0] = place
    load_vit(other, weights, layout)
    assert torch.equal(other.class_token, model.class_token + place)
    assert torch.equal(other.position.table, model.position.table)


def change(name, to=None):
    """Weights in timm's names, one of them changed or without it."""
    weights = export_vit(small(), "timm")
    if to is None:
        weights.pop(name)
    else:
        weights[name] = to
    return weights


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        (lambda: change("norm.bias"), "the weights lack 'norm.bias', which the model needs"),
        (lambda: change("extra", torch.zeros(1)), "the weights hold 'extra', which the model has not"),
        (lambda: change("norm.bias", torch.zeros(7)), "norm.bias has shape (7,) in the weights and (8,)"),
        (lambda: change("pos_embed", torch.zeros(1, 11, 8)), "pos_embed has shape (1, 11, 8) in the weights"),
        (lambda: change("pos_embed", torch.zeros(1, 17, 8)), "pos_embed has shape (1, 17, 8) in the weights"),
        (lambda: change("patch_embed.proj.weight", torch.zeros(8, 48)), "has shape (8, 48) in the weights"),
        (lambda: change("cls_token", torch.full((1, 1, 8), math.nan)), "no finite numbers"),
        (lambda: export_vit(small(num_classes=4), "timm"), "has shape (4,"),
        (lambda: export_vit(small(), "torchvision"), "the weights lack"),
    ],
)
def test_bad_weights_get_one_sentence_and_change_nothing(weights, sentence):
    model = small(1)
    before = copies(model)
    with pytest.raises(ValueError) as problem:
        load_vit(model, weights(), "timm")
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


BAD_CALLS = [
    (lambda: TransformerBlock(10, 3), "heads 3 does not divide channels 10"),
    (lambda: TransformerBlock(8, 2)(torch.rand(1, 4, 6)), "shape (1, 4, 6); it must be (B, N, 8)"),
    (lambda: TransformerBlock(8, 2)(torch.rand(1, 4, 4, 8)), "shape (1, 4, 4, 8); it must be (B, N, 8)"),
    (lambda: TransformerBlock(8, 2, attend, drop=1.0), "rate is 1.0; it must be"),
    (lambda: ViT(8, 1, 2, side=40), "side is 40; it must be a multiple of patch 16"),
    (lambda: ViT(8, 1, 2, side=0), "side is 0; it must be a multiple of patch 16"),
    (lambda: ViT(8, 1, 2, patch=0), "patch is 0; it must be"),
    (lambda: ViT(8, 0, 2), "depth is 0"),
    (lambda: ViT(8, 1, 2, num_classes=0), "num_classes 0; both must be at least 1"),
    (lambda: ViT(8, 1, 3), "heads 3 does not divide channels 8"),
    (lambda: small()(torch.rand(3, 8, 8)), "images has shape (3, 8, 8); it must be (B, 3, H, W)"),
    (
        lambda: export_vit(small(), "keras"),
        "layout is 'keras'; it must be one of timm, torchvision, huggingf",
    ),
    (lambda: load_vit(small(), {}, "keras"), "layout is 'keras'"),
    (lambda: export_vit(small(class_token=False), "timm"), "the model has no class token"),
    (lambda: load_vit(small(class_token=False), {}, "timm"), "the model has no class token"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_bad_arguments_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)


@LAYOUT
def test_without_the_head_all_but_the_last_layer_is_loaded(layout):
    torch.manual_seed(0)
    source, model = ViT(12, 2, 3, 8, 32, num_classes=5), ViT(12, 2, 3, 8, 32, num_classes=9)
    before = {name: x.clone() for name, x in model.state_dict().items()}
    exported = export_vit(source, layout)
    with pytest.raises(ValueError, match="has shape"):
        load_vit(model, exported, layout)
    assert all(x.equal(before[name]) for name, x in model.state_dict().items())
    load_vit(model, exported, layout, head=False)
    for name, x in model.state_dict().items():
        assert x.equal(before[name] if name.startswith("head.") else source.state_dict()[name])
