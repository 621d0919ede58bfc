"""Training does what the recipe says, step by step, and goes on after any end as if there had been none."""

import copy
import json
import math
import os
import random
import signal
import subprocess
import sys
import warnings
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from swin_edu import training
from swin_edu.book.datasets import digits
from swin_edu.book.device import device
from swin_edu.checkpoints import read_about, read_weights
from swin_edu.fast import fast
from swin_edu.model import SwinTransformer
from swin_edu.training import (
    RECIPES,
    History,
    Recipe,
    Task,
    accuracy,
    answering,
    classification_loss,
    learning_rate,
    normalise,
    parameter_groups,
    repeatable,
    small_swin,
    train,
    train_epoch,
    train_step,
    vary,
)

CPU = torch.device("cpu")
TINY = Recipe(
    channels=8,
    depths=(1, 1),
    heads=(1, 2),
    window=2,
    stochastic_depth=0.3,
    epochs=4,
    batch=8,
    warmup=0.25,
    mirror=0.5,
)
STILL = Recipe(turn=0, stretch=0, move=0, mirror=0)  # varies nothing


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pictures(count, height=8, width=8, classes=3, seed=0):
    """Random images whose class is how light they are, and these classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    noise = torch.randint(0, 40, (count, 3, height, width), generator=generator)
    return (noise + 70 * labels[:, None, None, None]).byte(), labels


SEEN, UNSEEN = pictures(20), pictures(13, seed=1)


def tiny(recipe=TINY, seed=0):
    torch.manual_seed(seed)
    return small_swin(recipe, 3)


def copies(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def stop_after(epochs):
    def watch(history):
        if len(history.losses) == epochs:
            raise KeyboardInterrupt

    return watch


# Images


def seen_by_hand(image, x, y, beyond):
    """Return the colour at a place of an image, in pixels: a mean of the four pixels around it."""
    height, width = image.shape[1:]
    if beyond == "reflection":
        x, y = folded(x, width), folded(y, height)
    else:
        x, y = x - 0.5, y - 0.5
    left, top, colour = math.floor(x), math.floor(y), np.zeros(3)
    for column, across in ((left, left + 1 - x), (left + 1, x - left)):
        for row, down in ((top, top + 1 - y), (top + 1, y - top)):
            if 0 <= row < height and 0 <= column < width:
                colour += across * down * image[:, row, column]
    return colour


def folded(x, size):
    """Return the place, counted in pixel centres, that a mirror at each border shows."""
    x = x % (2 * size)
    return min(max(min(x, 2 * size - x) - 0.5, 0), size - 1)


def varied_by_hand(images, recipe, seed):
    batch, _, height, width = images.shape
    torch.manual_seed(seed)
    turns, stretches, rights, downs = (2 * torch.rand(4, batch) - 1).tolist()
    mirrors = (torch.rand(batch) < recipe.mirror).tolist()
    result = np.zeros(images.shape)
    for number, image in enumerate(images.double().numpy() / 255):
        angle, size = math.radians(recipe.turn * turns[number]), 1 + recipe.stretch * stretches[number]
        for row in range(height):
            for column in range(width):
                x, y = column + 0.5 - width / 2, row + 0.5 - height / 2  # from the centre, in pixels
                if mirrors[number]:
                    x = -x
                x, y = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
                x, y = size * x + recipe.move * rights[number], size * y + recipe.move * downs[number]
                place = x + width / 2, y + height / 2
                result[number, :, row, column] = seen_by_hand(image, *place, recipe.beyond)
    return result


@pytest.mark.parametrize("beyond", ["zeros", "reflection"])
@pytest.mark.parametrize(
    ("height", "width", "changes"),
    [
        (7, 7, {"turn": 180, "stretch": 0.4, "move": 3, "mirror": 0.5}),
        (6, 6, {"turn": 15, "stretch": 0.1, "move": 1, "mirror": 0}),
        (5, 9, {"turn": 180, "stretch": 0.3, "move": 4, "mirror": 0.5}),
        (8, 3, {"turn": 40, "stretch": 0, "move": 2.5, "mirror": 1}),
    ],
)
def test_images_vary_as_by_hand(double, beyond, height, width, changes):
    images = torch.randint(0, 256, (6, 3, height, width), dtype=torch.uint8)
    recipe = Recipe(**changes, beyond=beyond)
    torch.manual_seed(5)
    varied = vary(images, recipe)
    assert np.allclose(varied.numpy(), varied_by_hand(images, recipe, 5), atol=1e-12)


def test_what_does_not_vary_stays():
    images = torch.randint(0, 256, (4, 3, 5, 6), dtype=torch.uint8)
    for beyond in ("zeros", "reflection"):
        assert torch.allclose(vary(images, replace(STILL, beyond=beyond)), images / 255, atol=1e-6)
    mirrored = vary(images, replace(STILL, mirror=1))
    assert torch.allclose(mirrored, images.flip(3) / 255, atol=1e-6)


def test_about_as_many_images_are_mirrored_as_the_recipe_says():
    images = (torch.arange(4) * 60).byte().expand(400, 3, 4, 4)
    mirrored = (vary(images, replace(STILL, mirror=0.25))[:, 0, 0, 0] > 0.5).sum()
    assert 70 <= mirrored <= 130


def test_images_move_by_as_many_pixels_as_the_recipe_says():
    image = torch.zeros(300, 3, 9, 9, dtype=torch.uint8)
    image[:, :, 4, 4] = 255
    places = vary(image, replace(STILL, move=2))[:, 0].flatten(1)
    rows = (places * torch.arange(9).repeat_interleave(9)).sum(1) - 4
    columns = (places * torch.arange(9).repeat(9)).sum(1) - 4
    for far in (rows, columns):
        assert -2 <= far.min() < -1.8 and 1.8 < far.max() <= 2 + 1e-5
    assert torch.corrcoef(torch.stack([rows, columns]))[0, 1].abs() < 0.2


def test_normalise():
    images = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    expected = torch.linspace(-1, 1, 256).view(1, 1, 16, 16)
    assert torch.allclose(normalise(images), expected, atol=1e-6)
    assert torch.allclose(normalise(images / 255), expected, atol=1e-6)
    for ends in (images, images / 255):
        assert normalise(ends).min() == -1 and normalise(ends).max() == 1


# The model, and what decays


@pytest.mark.parametrize("version", [1, 2])
def test_a_small_model_begins_with_outputs_as_large_as_its_inputs(version):
    recipe = Recipe(channels=48, depths=(1, 2), heads=(2, 4), window=3, patch=4, version=version)
    torch.manual_seed(0)
    model = small_swin(recipe, 7)
    assert model(torch.rand(2, 3, 20, 28)).shape == (2, 7)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    for layer in layers:
        spread = layer.weight.std().item() * layer.in_features**0.5
        assert abs(spread - 1) < 4 / (2 * layer.weight.numel()) ** 0.5 + 0.02
        assert layer.bias is None or not layer.bias.any()
    norms = {name: layer for name, layer in model.named_modules() if isinstance(layer, nn.LayerNorm)}
    for name, norm in norms.items():
        at_zero = version == 2 and name.endswith((".norm1", ".norm2"))
        assert (norm.weight == (0 if at_zero else 1)).all() and not norm.bias.any()
    assert len(layers) > 12 and len(norms) > 8


def test_a_small_model_is_that_of_its_recipe():
    recipe = Recipe(
        channels=6, depths=(1, 2, 1), heads=(1, 2, 3), window=5, patch=3, version=2, stochastic_depth=0.2
    )
    model = small_swin(recipe, 11)
    blocks = [block for stage in model.stages for block in stage.blocks]
    expected = SwinTransformer(6, (1, 2, 1), (1, 2, 3), 5, 11, 2, 0.2, 3)
    assert {name: x.shape for name, x in model.state_dict().items()} == {
        name: x.shape for name, x in expected.state_dict().items()
    }
    assert [block.drop.rate for block in blocks] == pytest.approx([0, 0.2 / 3, 0.4 / 3, 0.2])
    assert [block.window for block in blocks] == 4 * [5]
    assert [block.attention.heads for block in blocks] == [1, 2, 2, 3]


@pytest.mark.parametrize(("name", "size"), [("digits", 8), ("scenes", 64), ("CIFAR-10", 32)])
def test_the_recipes_fit_their_images(name, size):
    torch.manual_seed(0)
    model = small_swin(RECIPES[name], 10).eval()
    scores = model(torch.rand(2, 3, size, size))
    assert scores.shape == (2, 10) and not torch.equal(scores[0], scores[1])


@pytest.mark.parametrize("version", [1, 2])
def test_what_decays_is_what_decays_in_the_authors_code(version):
    """The rule of set_weight_decay, with what each version of the authors' model lists as exceptions."""
    model = small_swin(Recipe(depths=(2, 1), version=version), 3)
    keywords = {1: ("position.table",), 2: ("position.mlp", "logit_scale", "position.table")}[version]
    decays, stays = [], []
    for name, parameter in model.named_parameters():
        exception = parameter.ndim == 1 or name.endswith(".bias") or any(word in name for word in keywords)
        (stays if exception else decays).append(id(parameter))
    first, second = parameter_groups(model, 0.07)
    assert [id(parameter) for parameter in first["params"]] == decays
    assert [id(parameter) for parameter in second["params"]] == stays
    assert (first["weight_decay"], second["weight_decay"]) == (0.07, 0)
    assert len(set(decays + stays)) == len(decays + stays) == len(list(model.parameters()))
    assert decays and stays


# The learning rate


@pytest.mark.parametrize(("steps", "warmup"), [(40, 0.1), (21, 0.5), (100, 0.13), (7, 0.3), (12, 0)])
def test_the_rate_is_that_of_torchs_schedulers(steps, warmup):
    recipe = Recipe(warmup=warmup, learning_rate=0.02)
    warm = round(warmup * steps)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.02)
    scheduler = cosine = CosineAnnealingLR(optimizer, steps - warm)
    if warm:
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.02)
        linear = LinearLR(optimizer, 1 / warm, total_iters=warm - 1)
        cosine = CosineAnnealingLR(optimizer, steps - warm)
        scheduler = SequentialLR(optimizer, [linear, cosine], [warm])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the order of steps, and how SequentialLR calls the others
        for step in range(steps):
            assert learning_rate(step, steps, recipe) == pytest.approx(optimizer.param_groups[0]["lr"], 1e-9)
            optimizer.step()
            scheduler.step()


@given(st.integers(1, 300), st.floats(0, 1), st.floats(1e-6, 1))
def test_the_rate_rises_to_its_peak_then_falls(steps, warmup, peak):
    recipe = Recipe(warmup=warmup, learning_rate=peak)
    rates = [learning_rate(step, steps, recipe) for step in range(steps)]
    warm = round(warmup * steps)
    assert max(rates) == pytest.approx(peak) and min(rates) > 0
    assert all(a < b for a, b in zip(rates[:warm], rates[1:warm], strict=False))
    assert all(a > b for a, b in zip(rates[warm:], rates[warm + 1 :], strict=False))
    if 1 < warm < steps:
        assert rates[0] == pytest.approx(peak / warm) and rates[warm - 1] == pytest.approx(rates[warm])
    if warm < steps - 4:
        assert rates[-1] < peak / 8


# One step


def smoothed(scores, labels, smoothing):
    """Return the cross-entropy with `smoothing` of each label shared out among all classes."""
    logs = scores - scores.logsumexp(1, keepdim=True)
    wanted = torch.full_like(logs, smoothing / logs.shape[1])
    wanted[range(len(labels)), labels] += 1 - smoothing
    return -(wanted * logs).sum(1).mean()


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("limit", [0.05, 1e9])
def test_a_step_is_that_of_adamw_by_hand(double, version, limit):
    """Written out from the paper on AdamW (Loshchilov and Hutter 2019), and with torch's own."""
    recipe = replace(TINY, version=version, largest_gradient=limit, weight_decay=0.3, label_smoothing=0.2)
    images, labels = pictures(6)
    model = tiny(recipe)
    mine, theirs = copy.deepcopy(model), copy.deepcopy(model)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.3), lr=0.01)
    names = [name for name, x in mine.named_parameters() if x.ndim == 2 and ".position." not in name]
    parameters = dict(theirs.named_parameters())
    torchs = torch.optim.AdamW(
        [
            {"params": [x for name, x in parameters.items() if name in names], "weight_decay": 0.3},
            {"params": [x for name, x in parameters.items() if name not in names], "weight_decay": 0},
        ],
        lr=0.01,
    )
    mean = {name: torch.zeros_like(x) for name, x in mine.named_parameters()}
    square = copy.deepcopy(mean)
    for step in range(1, 4):
        torch.manual_seed(step)
        loss = train_step(model, optimizer, (images, labels), recipe)

        torch.manual_seed(step)
        expected = smoothed(mine(vary(images, recipe) * 2 - 1), labels, 0.2)
        assert loss == pytest.approx(expected.item(), abs=1e-12)
        named = dict(mine.named_parameters())
        gradients = torch.autograd.grad(expected, list(named.values()))
        length = sum(gradient.square().sum() for gradient in gradients).sqrt()
        assert length > 0.06  # so that the smaller limit has an effect
        factor = min(1, limit / (length.item() + 1e-6))
        with torch.no_grad():
            for (name, x), gradient in zip(named.items(), gradients, strict=True):
                mean[name] = 0.9 * mean[name] + 0.1 * factor * gradient
                square[name] = 0.999 * square[name] + 0.001 * (factor * gradient) ** 2
                x -= 0.01 * (0.3 if name in names else 0) * x
                root = (square[name] / (1 - 0.999**step)).sqrt() + 1e-8
                x -= 0.01 * mean[name] / (1 - 0.9**step) / root

        torch.manual_seed(step)
        scores = theirs(vary(images, recipe) * 2 - 1)
        torchs.zero_grad()
        F.cross_entropy(scores, labels, label_smoothing=0.2).backward()
        for x in theirs.parameters():
            x.grad *= factor
        torchs.step()
    for name, x in model.named_parameters():
        assert torch.allclose(x, parameters[name], rtol=0, atol=1e-9), name
        assert torch.allclose(x, mine.get_parameter(name), rtol=0, atol=1e-9), name


@pytest.mark.parametrize(("limit", "length"), [(0.02, 0.02), (1e9, None)])
def test_no_step_is_longer_than_the_largest_gradient(limit, length):
    model, (images, labels) = tiny(), pictures(8)
    before = torch.cat([x.detach().flatten() for x in model.parameters()])
    train_step(
        model,
        torch.optim.SGD(model.parameters(), lr=1),
        (images, labels),
        replace(TINY, largest_gradient=limit),
    )
    moved = (torch.cat([x.detach().flatten() for x in model.parameters()]) - before).norm().item()
    assert moved == pytest.approx(length, rel=1e-2) if length else moved > 0.1


# Accuracy


class Counting(nn.Module):
    """Says class 0 for dark images and class 1 for light ones; in training, always class 2."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.sizes = []

    def forward(self, x):
        assert not torch.is_grad_enabled()
        self.sizes.append(len(x))
        light = x.mean((1, 2, 3)) * self.weight
        return torch.stack([-light, light, torch.full_like(light, 2.0 if self.training else -2.0)], dim=1)


@pytest.mark.parametrize("training_before", [True, False])
def test_accuracy_counts_right_answers(training_before):
    model = Counting().train(training_before)
    images = torch.full((10, 3, 4, 4), 120, dtype=torch.uint8)
    images[4:] = 135  # and 127.5 is in the middle
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 0, 1, 2, 1])
    assert accuracy(model, images, labels, batch=4) == 0.7
    assert accuracy(model, images / 255, labels) == 0.7
    assert model.sizes == [4, 4, 2, 10] and model.training == training_before
    assert accuracy(model, images[:3], labels[:3]) == 1 and accuracy(model, images[3:4], labels[3:4]) == 0


def test_accuracy_is_that_of_one_image_after_the_other():
    recipe = replace(TINY, stochastic_depth=0.9)
    model, (images, _) = tiny(recipe).to(device()).train(), pictures(23)
    labels = torch.arange(23) % 3
    right = 0
    model.eval()
    for image, label in zip(images, labels, strict=True):
        with torch.no_grad():
            scores = model((image[None].float() / 255 * 2 - 1).to(device())).tolist()[0]
        right += scores.index(max(scores)) == label
    model.train()
    before = torch.get_rng_state()
    assert accuracy(model, images, labels, batch=7) == right / 23 and 0 < right < 23
    assert model.training and all(layer.training for layer in model.modules())
    assert torch.equal(torch.get_rng_state(), before)


# An epoch


def epoch_of(monkeypatch, epoch, seed, recipe=TINY, count=20):
    """Return what a step is given in an epoch: the numbers of the images, and the rates."""
    chosen, rates = [], []
    model = tiny().eval()
    optimizer = torch.optim.AdamW(parameter_groups(model, 0))

    def step(stepped, used, batch, given, loss_of):
        assert stepped is model and used is optimizer and given is recipe and model.training
        assert loss_of is classification_loss
        images, labels = batch
        assert torch.equal(images[:, 0, 0, 0].long(), labels)  # each image with its own label
        chosen.append(labels.tolist())
        rates.append([group["lr"] for group in optimizer.param_groups])
        return float(len(chosen))

    monkeypatch.setattr(training, "train_step", step)
    labels = torch.arange(count)
    images = labels.byte()[:, None, None, None].expand(-1, 3, 4, 4)
    with repeatable(seed, CPU):
        loss = train_epoch(model, optimizer, (images, labels), recipe, epoch)
    assert loss == (len(chosen) + 1) / 2  # the mean of 1, 2, …
    return chosen, rates


@pytest.mark.parametrize(("count", "batch"), [(20, 8), (24, 8), (8, 8), (15, 8), (21, 5)])
def test_an_epoch_takes_each_image_at_most_once(monkeypatch, count, batch):
    recipe = replace(TINY, batch=batch)
    chosen, rates = epoch_of(monkeypatch, 2, 1, recipe, count)
    assert [len(each) for each in chosen] == count // batch * [batch]
    numbers = [number for each in chosen for number in each]
    assert len(set(numbers)) == len(numbers) and set(numbers) <= set(range(count))
    steps = count // batch
    expected = [learning_rate(2 * steps + step, 4 * steps, recipe) for step in range(steps)]
    assert rates == [[rate, rate] for rate in expected]


def test_each_epoch_has_another_order(monkeypatch):
    orders = [epoch_of(monkeypatch, 0, seed)[0] for seed in (1, 2, 3, 1)]
    assert orders[0] == orders[3] and orders[0] != orders[1] != orders[2] != orders[0]
    left_out = [set(range(20)) - {number for batch in order for number in batch} for order in orders[:3]]
    assert len({frozenset(each) for each in left_out}) == 3
    assert orders[0] != [list(range(8)), list(range(8, 16))]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_loss_that_is_not_finite_ends_the_epoch(monkeypatch, loss):
    losses = iter([1.0, loss])
    monkeypatch.setattr(training, "train_step", lambda *_: next(losses))
    model = tiny()
    optimizer = torch.optim.AdamW(parameter_groups(model, 0))
    assert learning_rate(3, 8, TINY) == pytest.approx(2.8e-3, abs=5e-5)
    with pytest.raises(FloatingPointError) as problem:
        train_epoch(model, optimizer, SEEN, TINY, epoch=1)
    assert str(problem.value) == f"the loss is {loss} in step 3, at learning rate 2.8e-03; take a smaller one"


# Random numbers


@pytest.mark.parametrize("before", [False, True])
def test_the_callers_random_numbers_and_setting_stay(before):
    torch.use_deterministic_algorithms(before)
    try:
        torch.manual_seed(3)
        expected = torch.rand(2)
        torch.manual_seed(3)
        for fault in (None, ValueError):
            state = torch.get_rng_state()
            try:
                with repeatable(4, CPU):
                    drawn = torch.rand(2)
                    assert torch.are_deterministic_algorithms_enabled()
                    if fault:
                        raise fault
            except ValueError:
                assert fault
            assert torch.equal(torch.get_rng_state(), state)
            assert torch.are_deterministic_algorithms_enabled() == before
        assert torch.equal(torch.rand(2), expected)
        with repeatable(4, CPU):
            assert torch.equal(torch.rand(2), drawn)
        with repeatable(5, CPU):
            assert not torch.equal(torch.rand(2), drawn)
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_even_a_setting_that_only_warns_stays(mode):
    torch.set_deterministic_debug_mode(mode)
    try:
        with repeatable(4, CPU):
            assert torch.get_deterministic_debug_mode() == 2
        assert torch.get_deterministic_debug_mode() == mode
    finally:
        torch.set_deterministic_debug_mode(0)


@pytest.mark.parametrize("before", [False, True])
def test_on_a_gpu_the_setting_stays(monkeypatch, before):
    devices, fork = [], torch.random.fork_rng
    monkeypatch.setattr(torch.random, "fork_rng", lambda given: devices.extend(given) or fork([]))
    torch.use_deterministic_algorithms(before)
    try:
        with repeatable(4, torch.device("cuda", 0)):
            assert torch.are_deterministic_algorithms_enabled() == before
        assert torch.are_deterministic_algorithms_enabled() == before
    finally:
        torch.use_deterministic_algorithms(False)
    assert devices == [torch.device("cuda", 0)]


def test_training_leaves_the_callers_random_numbers(tmp_path):
    model, state = tiny(), torch.get_rng_state()
    train(model, SEEN, UNSEEN, replace(TINY, epochs=2), state=tmp_path / "x.safetensors")
    assert torch.equal(torch.get_rng_state(), state)


# The whole, and its ends


def whole(seed, state, recipe=TINY):
    """Train without a stop."""
    model = tiny(recipe)
    return model, train(model, SEEN, UNSEEN, recipe, seed, state)


def test_training_takes_all_epochs_and_keeps_the_best(tmp_path):
    model, seen = tiny(), []

    def watch(history):
        seen.append((copy.deepcopy(history), copies(model)))

    history = train(model, SEEN, UNSEEN, TINY, watch=watch)
    assert [len(each.losses) for each, _ in seen] == [len(each.scores) for each, _ in seen] == [1, 2, 3, 4]
    assert seen[-1][0] == history and all(math.isfinite(loss) for loss in history.losses)
    assert same(copies(model), seen[history.best][1])
    assert not model.training
    assert accuracy(model, *UNSEEN) == max(history.scores)


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [([0.2, 0.9, 0.9, 0.1], 1), ([0.5, 0.5, 0.5, 0.5], 0), ([0, 0.1, 0.2, 0.3], 3), ([0, 0, 0, 0], 0)],
)
@pytest.mark.parametrize("stop", [None, 1, 2, 3])
def test_of_equal_epochs_the_first_is_the_best(tmp_path, accuracies, best, stop):
    reached, after, state = iter(accuracies), [], tmp_path / "x.safetensors"

    def record(model, *held_out):
        assert held_out[0] is UNSEEN[0] and held_out[1] is UNSEEN[1]
        after.append(copies(model))
        return next(reached)

    task = Task(classification_loss, record)
    if stop:
        model = tiny()
        history = train(model, SEEN, UNSEEN, TINY, 0, state, stop_after(stop), task)
        assert same(copies(model), after[history.best])
        assert history.best == accuracies.index(max(accuracies[:stop]))
    model = tiny(seed=stop or 0)
    history = train(model, SEEN, UNSEEN, TINY, 0, state, task=task)
    assert history.best == best and history.scores == accuracies
    assert same(copies(model), after[best])


@pytest.mark.parametrize("version", [1, 2])
def test_stopped_and_resumed_is_as_never_stopped(tmp_path, version):
    """Weights, best weights, the optimiser's numbers and the history stand in the file: equal to the bit."""
    recipe = replace(TINY, version=version, learning_rate=0.01)
    rng = random.Random(version)
    for seed in (0, 7):
        full = tmp_path / f"full{seed}.safetensors"
        model, history = whole(seed, full, recipe)
        stops = (
            [{1}, {2}, {3}, {4}] if seed == 0 else [{rng.randint(1, 4), rng.randint(1, 4)} for _ in range(6)]
        )
        for number, at in enumerate(stops):
            part = tmp_path / f"{seed}-{number}.safetensors"
            for epochs in sorted(at):
                stopped = tiny(recipe, seed=rng.randint(0, 9999) if part.exists() else 0)
                so_far = train(stopped, SEEN, UNSEEN, recipe, seed, part, stop_after(epochs))
                assert so_far == History(history.losses[:epochs], history.scores[:epochs])
            resumed = small_swin(recipe, 3).train()
            assert train(resumed, SEEN, UNSEEN, recipe, seed, part) == history
            assert same(copies(resumed), copies(model)) and not resumed.training
            assert part.read_bytes() == full.read_bytes()
        if version == 1 and seed == 0:
            assert history.best < 2  # some stops came when the weights were not the best
    weights = read_weights(full)
    assert same({name[5:]: x for name, x in weights.items() if name.startswith("best.")}, copies(model))
    assert not same(copies(model), copies(tiny(recipe)))
    assert sum(name.endswith(".exp_avg_sq") for name in weights) == len(list(model.parameters()))
    assert {weights[name].item() for name in weights if name.endswith(".step")} == {8}


def test_another_seed_trains_otherwise(tmp_path):
    histories = [whole(seed, None)[1].losses for seed in (0, 1, 0)]
    assert histories[0] == histories[2] != histories[1]
    assert set(histories[0]).isdisjoint(histories[1])


def test_each_epoch_of_each_seed_has_an_order_of_its_own(monkeypatch):
    orders = []
    monkeypatch.setattr(training, "train_step", lambda *given: orders.append(given[2][1].tolist()) or 1.0)
    numbered = SEEN[0], torch.arange(20)
    for seed in (0, 1):
        train(tiny(), numbered, UNSEEN, TINY, seed)
    assert len(orders) == 16 == len({tuple(order) for order in orders})


def test_a_finished_training_is_read_back(tmp_path, monkeypatch):
    model, history = whole(0, tmp_path / "x.safetensors")
    monkeypatch.setattr(training, "train_epoch", None)  # would fail if called
    other = tiny(seed=1)
    assert train(other, SEEN, UNSEEN, TINY, 0, tmp_path / "x.safetensors") == history
    assert same(copies(other), copies(model))


def test_the_state_is_written_after_each_epoch_before_anyone_looks(tmp_path):
    state = tmp_path / "new" / "x.safetensors"
    lengths = []
    train(
        tiny(),
        SEEN,
        UNSEEN,
        TINY,
        0,
        state,
        lambda h: lengths.append(len(read_weights(state)["history.losses"])),
    )
    assert lengths == [1, 2, 3, 4]
    assert [entry.name for entry in state.parent.iterdir()] == ["x.safetensors"]
    assert json.loads(read_about(state)["training"]) == json.loads(
        json.dumps({"seed": 0, "images": 20, **asdict(TINY)})
    )


KILLED = """
import hashlib, json, os, random, select, signal, sys, time
from pathlib import Path

import torch

torch.set_num_threads(1)
sys.path.insert(0, sys.argv[2])
import test_training as ours
from swin_edu.checkpoints import read_about, read_weights

folder = Path(sys.argv[1])

# What torch loads at the first step, loaded once; a process that has gone backward could not be copied.
weights = list(ours.tiny().parameters())
for each in weights:
    each.grad = torch.zeros_like(each)
torch.optim.AdamW(weights).step()

def start(state, then=None):
    "Train in a process of its own, which tells by a byte that it begins."
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            model = ours.tiny(seed=3)
            os.write(writing, b".")
            ours.train(model, ours.SEEN, ours.UNSEEN, ours.TINY, 5, state)
            if then is not None:
                ours.save_file(ours.copies(model), then)
            else:
                signal.pause()
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writing)
    assert os.read(reading, 1) == b"."
    os.close(reading)
    return child

def end(child):
    assert os.waitpid(child, 0)[1] == 0

random.seed(int(sys.argv[3]))
full = folder / "full.safetensors"
for _ in range(2):  # the first time takes longer
    full.unlink(missing_ok=True)
    begin = time.perf_counter()
    end(start(full, folder / "full_model.safetensors"))
    duration = time.perf_counter() - begin
epochs = []
for attempt in range(20):
    state = folder / f"{attempt}.safetensors"
    child = start(state)
    time.sleep(random.uniform(0, duration))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    epochs.append(len(read_weights(state)["history.losses"]) if state.exists() else 0)
    if epochs[-1]:
        assert read_about(state) == read_about(full)
    model = folder / f"{attempt}_model.safetensors"
    end(start(state, model))
    assert state.read_bytes() == full.read_bytes(), attempt
    assert model.read_bytes() == (folder / "full_model.safetensors").read_bytes(), attempt
print(json.dumps(epochs))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are copied to start them at once")
def test_killed_at_any_moment_and_resumed_is_as_never_stopped(tmp_path):
    here = Path(__file__).parent
    result = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(here), "0"],
        capture_output=True,
        text=True,
        cwd=here.parent,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    epochs = json.loads(result.stdout)
    assert len(epochs) == 20 and any(0 < each < TINY.epochs for each in epochs)


def test_a_real_interrupt_within_an_epoch_only_ends_training(tmp_path, monkeypatch):
    full, part = tmp_path / "full.safetensors", tmp_path / "part.safetensors"
    model, history = whole(0, full)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for step_to_end in (1, 2, 4, 5):  # of two in each epoch; counted on when resumed
            steps = 0

            def step(*given, train_step=train_step, last=step_to_end):
                nonlocal steps
                steps += 1
                if steps == last:
                    signal.raise_signal(signal.SIGINT)
                return train_step(*given)

            monkeypatch.setattr(training, "train_step", step)
            stopped, start, state = tiny(), tiny(), torch.get_rng_state()
            flag = torch.are_deterministic_algorithms_enabled()
            done = (step_to_end - 1) // 2
            so_far = train(stopped, SEEN, UNSEEN, TINY, 0, part)
            assert so_far == History(history.losses[:done], history.scores[:done])
            assert torch.equal(torch.get_rng_state(), state) and not stopped.training
            assert torch.are_deterministic_algorithms_enabled() == flag
            if done:
                best = read_weights(part)
                assert same(copies(stopped), {n[5:]: x for n, x in best.items() if n.startswith("best.")})
                part.unlink()
            else:
                assert same(copies(stopped), copies(start)) and not part.exists()
    finally:
        signal.signal(signal.SIGINT, before)
    monkeypatch.setattr(training, "train_step", train_step)
    train(tiny(), SEEN, UNSEEN, TINY, 0, part, stop_after(3))
    resumed = tiny(seed=2)
    assert train(resumed, SEEN, UNSEEN, TINY, 0, part) == history
    assert same(copies(resumed), copies(model)) and part.read_bytes() == full.read_bytes()


@pytest.mark.parametrize("fault", [ValueError, FloatingPointError])
def test_any_other_end_leaves_the_best_weights_too(tmp_path, monkeypatch, fault):
    """From the third epoch on all weights are NaN; or who watches makes a mistake."""
    state, after = tmp_path / "x.safetensors", []

    def watch(history):
        after.append(copies(model))
        if len(after) == 2 and fault is ValueError:
            raise ValueError("a mistake")
        if len(after) == 2:
            with torch.no_grad():
                model.head.weight.fill_(math.nan)

    model = tiny()
    before = copies(model)
    with pytest.raises(fault, match="a mistake|the loss is nan in step 4, at learning rate"):
        train(model, SEEN, UNSEEN, TINY, 0, state, watch)
    accuracies = read_weights(state)["history.scores"].tolist()
    assert len(accuracies) == len(after) == 2
    assert same(copies(model), after[accuracies.index(max(accuracies))])
    assert not same(copies(model), before) and not model.training


def test_without_one_good_epoch_the_weights_stay():
    model = tiny()
    with torch.no_grad():
        model.embedding.linear.bias[0] = math.inf
    before = copies(model)
    with pytest.raises(FloatingPointError, match="the loss is nan in step 0"):
        train(model, SEEN, UNSEEN, TINY)
    assert same(copies(model), before)


# States that are no good


def written(path, recipe=TINY, seed=0, images=SEEN):
    train(tiny(recipe), images, UNSEEN, recipe, seed, path, stop_after(1))


def refused(path, **changes):
    """Return the one sentence with which a state is refused; nothing has changed."""
    model, before_file = tiny(seed=4), path.read_bytes()
    before = copies(model)
    with pytest.raises(ValueError) as problem:
        train(model, SEEN, UNSEEN, TINY, 0, path, **changes)
    assert same(copies(model), before) and path.read_bytes() == before_file
    sentence = str(problem.value)
    assert sentence.startswith(str(path)) and "\n" not in sentence
    return sentence


@pytest.mark.parametrize("changes", [{"learning_rate": 0.1}, {"epochs": 5}, {"beyond": "reflection"}])
def test_the_state_of_another_recipe_is_refused(tmp_path, changes):
    path = tmp_path / "x.safetensors"
    written(path, replace(TINY, **changes))
    sentence = refused(path)
    [(name, value)] = changes.items()
    assert f"{path} is the state of another training" in sentence
    assert str(value) in sentence and str(getattr(TINY, name)) in sentence


def test_the_state_of_another_seed_or_of_other_images_is_refused(tmp_path):
    written(tmp_path / "seed.safetensors", seed=1)
    assert "is the state of another training" in refused(tmp_path / "seed.safetensors")
    written(tmp_path / "images.safetensors", images=pictures(21))
    assert "is the state of another training" in refused(tmp_path / "images.safetensors")


def test_what_differs_is_told(tmp_path):
    path = tmp_path / "x.safetensors"
    written(path, replace(TINY, epochs=5, learning_rate=0.1), seed=3)
    assert refused(path) == (
        f"{path} is the state of another training, with seed 3, not 0, epochs 5, not 4, "
        "learning_rate 0.1, not 0.003; remove or rename it"
    )


@pytest.mark.parametrize("version", [1, 2])
def test_the_state_of_another_model_is_refused(tmp_path, version):
    path = tmp_path / "x.safetensors"
    written(path)
    model = small_swin(replace(TINY, version=version), 5)
    before = copies(model)
    with pytest.raises(ValueError, match=f"^{path} is the state of another model; remove or rename it$"):
        train(model, SEEN, UNSEEN, TINY, 0, path)
    assert same(copies(model), before)


@pytest.mark.parametrize("name", ["x", "x.pth", "x.safetensors.old"])
def test_the_name_of_a_state_is_checked_before_training(tmp_path, name):
    with pytest.raises(ValueError, match=r"; its name must end in \.safetensors$"):
        train(tiny(), SEEN, UNSEEN, TINY, 0, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", [2, 3, 4, 5])
def test_an_interrupt_between_two_epochs_leaves_the_best_weights_too(monkeypatch, call):
    """The first copy is that of the beginning; then there is one for each epoch."""
    after, calls = [], 0

    def interrupted(weights, copy_of=training.copy_of):
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return copy_of(weights)

    reached = iter([0.1, 0.2, 0.3, 0.4])
    task = Task(classification_loss, lambda *_: next(reached))
    monkeypatch.setattr(training, "copy_of", interrupted)
    model = tiny()
    before = copies(model)
    history = train(model, SEEN, UNSEEN, TINY, watch=lambda _: after.append(copies(model)), task=task)
    assert len(history.losses) == call - 2 == len(after)
    assert same(copies(model), after[history.best] if after else before)


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.9, 0.9999])
def test_a_state_cut_short_is_refused(tmp_path, share):
    path = tmp_path / "x.safetensors"
    written(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert "is damaged or no file of weights" in refused(path)


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    path.write_text("notes about a training\n" * 20)
    assert "is damaged or no file of weights" in refused(path)
    torch.save({"model": tiny().state_dict()}, path)
    assert "is damaged or no file of weights" in refused(path)
    save_file(tiny().state_dict(), path)
    assert "is the state of another training" in refused(path)


def test_a_folder_in_place_of_the_state_is_refused(tmp_path):
    (tmp_path / "x.safetensors").mkdir()
    with pytest.raises(FileNotFoundError, match="there is no file"):
        train(tiny(), SEEN, UNSEEN, TINY, 0, tmp_path / "x.safetensors")


def test_too_few_images_get_one_sentence():
    model = tiny().train()
    before = copies(model)
    with pytest.raises(ValueError, match=r"^there are 7 images; a batch needs 8$"):
        train(model, pictures(7), UNSEEN, TINY)
    assert same(copies(model), before)
    assert len(train(model, pictures(8), UNSEEN, replace(TINY, epochs=1)).losses) == 1


def test_history():
    history = History()
    shown = history.losses
    history.add(2.0, 0.5)
    history.add(1.0, 0.75)
    history.add(0.5, 0.75)
    assert history == History([2.0, 1.0, 0.5], [0.5, 0.75, 0.75])
    assert shown == []  # the lists that others hold do not grow
    assert history.best == 1 and History() == History([], [])
    assert History().losses is not History().losses


# The fast model, devices, and that it learns


@pytest.mark.parametrize("version", [1, 2])
def test_the_fast_model_trains_and_goes_on_where_the_clear_one_stopped(tmp_path, version):
    recipe = replace(TINY, version=version, learning_rate=1e-3)
    clear = tiny(recipe)
    history = train(clear, SEEN, UNSEEN, recipe)
    for first, second in ((fast, lambda model: model), (lambda model: model, fast), (fast, fast)):
        path = tmp_path / "x.safetensors"
        begun, ended = tiny(recipe), tiny(recipe, seed=1)
        assert list(first(begun).state_dict()) == list(second(begun).state_dict())
        train(first(begun), SEEN, UNSEEN, recipe, 0, path, stop_after(2))
        both = train(second(ended), SEEN, UNSEEN, recipe, 0, path)
        assert both.losses == pytest.approx(history.losses, abs=1e-3)
        assert both.scores == pytest.approx(history.scores, abs=2 / 13)
        images = normalise(UNSEEN[0])
        if both.best == history.best:
            assert torch.allclose(ended.eval()(images), clear(images), atol=1e-2)
        path.unlink()


def test_training_stays_where_the_model_is(tmp_path):
    path, model = tmp_path / "x.safetensors", tiny().to(device())
    train(model, SEEN, UNSEEN, TINY, 0, path, stop_after(2))
    assert {parameter.device for parameter in model.parameters()} == {next(model.parameters()).device}
    assert next(model.parameters()).device.type == device().type
    other = tiny(seed=1).to(device())
    history = train(other, SEEN, UNSEEN, TINY, 0, path)
    assert len(history.losses) == 4 and next(other.parameters()).device.type == device().type
    assert accuracy(other, *UNSEEN) == max(history.scores)
    assert history.losses == pytest.approx(whole(0, None)[1].losses, abs=1e-2)


def test_it_learns_the_digits():
    recipe = replace(RECIPES["digits"], epochs=12)
    _, classes, seen, held_out = digits()
    torch.manual_seed(0)
    model = small_swin(recipe, len(classes)).to(device())
    history = train(model, seen, held_out, recipe)
    assert accuracy(model, *held_out) == max(history.scores) >= 0.95
    assert history.losses[-1] < history.losses[0] / 2


# Other tasks


def numbered(count, first=0):
    """Images of one colour, which is their number, and two things that belong to each of them."""
    numbers = torch.arange(first, first + count)
    images = numbers.byte()[:, None, None, None].expand(-1, 3, 8, 8)
    return images, 2.0 * numbers, torch.stack([numbers, -numbers], dim=1)


def test_a_step_lowers_the_loss_that_it_is_given(double):
    model = tiny()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    before, batch, freely = copies(model), numbered(5), replace(TINY, largest_gradient=1e9)

    def loss_of(given, recipe, images, scales, pairs):
        assert given is model and recipe is freely and images is batch[0]
        assert scales is batch[1] and pairs is batch[2]
        return given.norm.bias.dot(torch.arange(16.0)) * scales[1] + 7

    loss = train_step(model, optimizer, batch, freely, loss_of)
    assert loss == 7
    for name, x in model.state_dict().items():
        expected = before[name] - (torch.arange(16.0) if name == "norm.bias" else 0)
        assert torch.equal(x, expected), name


def test_training_uses_the_loss_and_the_score_of_its_task(tmp_path):
    """Two things belong to each image; the scores are given, and the loss asks for something of its own."""
    training, held_out = numbered(20), numbered(6, first=100)
    losses, seen, reached = [], [], iter([0.3, 0.8, 0.8, 0.1])
    weights = []

    def loss_of(model, recipe, images, scales, pairs):
        assert model.training and recipe is TINY and len(images) == 8
        numbers = images[:, 0, 0, 0].long()  # each image with what belongs to it
        assert torch.equal(scales, 2.0 * numbers) and torch.equal(pairs, torch.stack([numbers, -numbers], 1))
        seen.extend(numbers.tolist())
        loss = (model(normalise(images)).mean(1) - scales / 10).square().mean()
        losses.append(loss.item())
        return loss

    def score_of(model, *given):
        assert all(ours is theirs for ours, theirs in zip(given, held_out, strict=True))
        weights.append(copies(model))
        return next(reached)

    model, state = tiny(), tmp_path / "x.safetensors"
    task = Task(loss_of, score_of)
    train(model, training, held_out, TINY, 0, state, stop_after(2), task)
    resumed = tiny(seed=1)
    history = train(resumed, training, held_out, TINY, 0, state, task=task)
    assert history.scores == [0.3, 0.8, 0.8, 0.1] and history.best == 1
    assert history.losses == pytest.approx([sum(losses[at : at + 2]) / 2 for at in (0, 2, 4, 6)])
    assert len(seen) == 64 and set(seen) == set(range(20))
    assert same(copies(model), weights[1]) and same(copies(resumed), weights[1])


def test_a_task_can_be_learned():
    torch.manual_seed(0)
    images, scales, _ = numbered(16)
    images, model = 16 * images, nn.Sequential(nn.Flatten(), nn.Linear(192, 1))
    recipe = Recipe(epochs=40, batch=16, learning_rate=0.01, weight_decay=0)

    def error(model, images, scales):
        return (model(normalise(images))[:, 0] - scales / 30).square().mean()

    task = Task(lambda model, recipe, *batch: error(model, *batch), lambda *given: 1 / error(*given).item())
    history = train(model, (images, scales), (images, scales), recipe, task=task)
    assert history.losses[-1] < history.losses[0] / 4


def test_scores_may_be_negative():
    reached, weights = iter([-2.0, -5.0, -3.0, -4.0]), []

    def score_of(model, *given):
        weights.append(copies(model))
        return next(reached)

    model = tiny()
    history = train(model, SEEN, UNSEEN, TINY, task=Task(classification_loss, score_of))
    assert history.best == 0 and same(copies(model), weights[0])


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("gradients", [True, False])
def test_a_model_answers_and_goes_on_as_before(mode, gradients):
    model = tiny().train(mode)
    with torch.set_grad_enabled(gradients):
        with answering(model) as where:
            assert where == CPU
            assert not any(layer.training for layer in model.modules())
            assert not model(torch.zeros(1, 3, 8, 8)).requires_grad
        assert torch.is_grad_enabled() is gradients
        assert all(layer.training is mode for layer in model.modules())


def test_a_model_goes_on_as_before_after_an_error():
    model = tiny().train()
    with pytest.raises(KeyError), answering(model):
        raise KeyError
    assert torch.is_grad_enabled()
    assert all(layer.training for layer in model.modules())
