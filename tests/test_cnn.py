"""swin_edu/rivals/cnn.py against loops over pixels, and what torchvision computed."""

import peers_rivals
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn

from swin_edu.book.device import device
from swin_edu.rivals.cnn import ResidualBlock, ResNet, convolution

DEVICE = device()
PRECISE = torch.device("cpu") if DEVICE.type == "mps" else DEVICE  # Apple GPUs have no float64


def random_layer(layer, seed=0):
    """Give every weight and every running mean a random value, in double precision."""
    generator = torch.Generator().manual_seed(seed)
    layer = layer.double().eval()
    for name, tensor in layer.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif tensor.is_floating_point():
            scale = tensor[0].numel() ** -0.5 if tensor.ndim > 1 else 1
            tensor.copy_(scale * torch.randn(tensor.shape, generator=generator))
    return layer


def convolve(x, layer, stride):
    """A convolution and the batch norm after it, pixel by pixel, for a map `(C, H, W)`."""
    conv, norm = layer
    reach = conv.kernel_size[0] // 2
    height, width = x.shape[1:]
    out = torch.zeros(conv.out_channels, -(-height // stride), -(-width // stride), dtype=x.dtype)
    for y in range(0, height, stride):
        for z in range(0, width, stride):
            for down in range(-reach, reach + 1):
                for right in range(-reach, reach + 1):
                    if 0 <= y + down < height and 0 <= z + right < width:
                        weight = conv.weight[:, :, down + reach, right + reach]
                        out[:, y // stride, z // stride] += weight @ x[:, y + down, z + right]
    out = out - norm.running_mean[:, None, None]
    out = out / (norm.running_var[:, None, None] + 1e-5).sqrt()
    return out * norm.weight[:, None, None] + norm.bias[:, None, None]


def pooled(x):
    """The largest of 3 × 3 neighbours, at every other pixel."""
    height, width = x.shape[1:]
    rows = [
        torch.stack(
            [
                x[:, max(y - 1, 0) : y + 2, max(z - 1, 0) : z + 2].flatten(1).amax(1)
                for z in range(0, width, 2)
            ]
        )
        for y in range(0, height, 2)
    ]
    return torch.stack(rows).permute(2, 0, 1)


def by_hand(x, block, stride):
    x2 = convolve(convolve(x, block.conv1, stride).clamp(min=0), block.conv2, 1)
    if not isinstance(block.shortcut, nn.Identity):
        x = convolve(x, block.shortcut, stride)
    return (x2 + x).clamp(min=0)


@torch.no_grad()
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 1), (3, 2), (7, 2)])
@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3), (1, 2)])
def test_a_convolution_pixel_by_pixel(kernel, stride, height, width):
    layer = random_layer(convolution(2, 3, kernel, stride))
    x = torch.randn(1, 2, height, width, dtype=torch.double)
    expected = convolve(x[0], layer, stride)
    result = layer(x)[0]
    assert result.shape == expected.shape
    assert (result - expected).abs().max() < 1e-12
    assert layer[0].bias is None


@torch.no_grad()
@pytest.mark.parametrize(("out", "stride", "projected"), [(None, 1, 0), (3, 1, 0), (5, 1, 1), (3, 2, 1)])
@pytest.mark.parametrize(("height", "width"), [(4, 5), (3, 1)])
def test_a_block_pixel_by_pixel(out, stride, projected, height, width):
    block = random_layer(ResidualBlock(3, out, stride))
    x = torch.randn(1, 3, height, width, dtype=torch.double)
    result = block(x)[0]
    assert isinstance(block.shortcut, nn.Sequential) == projected
    assert result.shape == (out or 3, -(-height // stride), -(-width // stride))
    assert (result - by_hand(x[0], block, stride)).abs().max() < 1e-12
    assert result.min() == 0 and result.max() > 0


@torch.no_grad()
@pytest.mark.parametrize(("height", "width"), [(16, 24), (21, 9)])
def test_the_model_in_plain_steps(height, width):
    model = random_layer(ResNet(2, (1, 2), num_classes=3))
    images = torch.rand(2, 3, height, width, dtype=torch.double)
    maps = []
    for image in images:
        x, stages = pooled(convolve(image, model.stem[0], 2).clamp(min=0)), []
        for index, stage in enumerate(model.stages):
            for number, block in enumerate(stage):
                x = by_hand(x, block, 2 if index and not number else 1)
            stages.append(x.permute(1, 2, 0))
        maps.append(stages)
    found = model.features(images)
    for index, (ours, theirs) in enumerate(zip(found, zip(*maps, strict=True), strict=True)):
        side = 4 * 2**index
        assert ours.shape == (2, -(-height // side), -(-width // side), 2 * 2**index)
        assert (ours - torch.stack(theirs)).abs().max() < 1e-11
    mean = torch.stack([stages[-1].flatten(0, 1).mean(0) for stages in maps])
    expected = mean @ model.head.weight.T + model.head.bias
    assert (model(images) - expected).abs().max() < 1e-11


@torch.no_grad()
@settings(max_examples=12)
@given(height=st.integers(1, 70), width=st.integers(1, 70), stages=st.integers(1, 4))
def test_sides_halve_rounded_up(height, width, stages):
    model = ResNet(2, (1,) * stages, num_classes=3).eval()
    maps = model.features(torch.zeros(2, 3, height, width))
    sides = -(-height // 4), -(-width // 4)
    for index, x in enumerate(maps):
        assert x.shape == (2, *sides, 2 * 2**index)
        sides = -(-sides[0] // 2), -(-sides[1] // 2)


@torch.no_grad()
def test_equals_what_torchvision_computed():
    """Written by peers.py with torchvision's own code; its weights, its names, its results."""
    stored = load_file(peers_rivals.REFERENCES / "resnet.safetensors")
    weights = {name[8:]: tensor for name, tensor in stored.items() if name.startswith("weights.")}
    model = ResNet(**peers_rivals.SMALL_RESNET).eval()
    model.load_state_dict(peers_rivals.resnet_names(weights))
    # in double precision: GPUs round what enters a convolution in single precision
    scores = model.double().to(PRECISE)(stored["images"].double().to(PRECISE) / 128 - 1).cpu()
    assert stored["scores"].std() > 0.3
    assert (scores - stored["scores"]).abs().max() < 1e-5 * stored["scores"].std()


@pytest.mark.parametrize(
    ("depths", "count", "layers"), [((2, 2, 2, 2), 11_689_512, 18), ((3, 4, 6, 3), 21_797_672, 34)]
)
def test_published_numbers(depths, count, layers):
    with torch.device("meta"):
        model = ResNet(64, depths)
    assert sum(p.numel() for p in model.parameters()) == count
    weighted = [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, (nn.Conv2d, nn.Linear)) and "shortcut" not in name
    ]
    assert len(weighted) == layers


def test_what_training_starts_from():
    """He's rule: the variance of weights is 2 over the numbers that each input pixel reaches."""
    torch.manual_seed(0)
    model = ResNet(32, (1, 1), num_classes=10)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d):
            reached = layer.out_channels * layer.kernel_size[0] ** 2
            assert layer.weight.std().item() == pytest.approx((2 / reached) ** 0.5, rel=0.1), name


def test_training_and_gradients():
    torch.manual_seed(0)
    model = ResNet(4, (1, 2), num_classes=5).to(DEVICE)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    images = torch.rand(3, 3, 33, 27).to(DEVICE).requires_grad_()
    (model(images) * torch.randn(3, 5).to(DEVICE)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name
    assert images.grad.any()
    assert all(not torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())


def test_one_class_will_do():
    assert ResNet(2, (1,), num_classes=1).eval()(torch.rand(2, 3, 9, 9)).shape == (2, 1)


def test_an_image_does_not_depend_on_its_batch():
    model = random_layer(ResNet(4, (1, 1), num_classes=5))
    images = torch.rand(3, 3, 20, 17, dtype=torch.double)
    alone = torch.cat([model(image[None]) for image in images])
    assert torch.allclose(model(images), alone, atol=1e-12)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: ResNet(8, (2, 0)), "depths is (2, 0); it must hold the blocks of each stage, at least 1"),
        (lambda: ResNet(8, ()), "depths is (); it must hold"),
        (lambda: ResNet(8, (1,), num_classes=0), "num_classes is 0; it must be at least 1"),
        (lambda: ResNet(8, (1,))(torch.rand(3, 8, 8)), "images has shape (3, 8, 8); it must be (B, 3, H, W)"),
        (lambda: ResNet(8, (1,))(torch.rand(1, 4, 8, 8)), "images has shape (1, 4, 8, 8); it must be"),
    ],
)
def test_bad_arguments_get_one_sentence(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert sentence in str(problem.value)
    assert "\n" not in str(problem.value)
