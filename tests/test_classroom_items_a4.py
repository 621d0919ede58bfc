"""The functions of assignment 4 are the package: the same weights give the same numbers."""

import ast
import inspect

import pytest
import torch
from torch import nn

from swin_edu.block import SwinBlock, SwinBlockV2, WindowAttention
from swin_edu.book.classroom.items import a4
from swin_edu.hierarchy import PatchMerging
from swin_edu.model import SwinTransformer, swin

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def randomised(layer):
    """Draw all parameters so large that each one matters."""
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, mean=float(parameter.ndim == 1), std=0.4)
    return layer.eval()


@torch.no_grad()
@pytest.mark.parametrize("merging", [a4.merge, lambda x, weights: a4.merge_patches(x, weights, 2, 2)])
@pytest.mark.parametrize("size", [(4, 6), (5, 7), (6, 5)])
def test_merging_is_the_package(merging, size):
    layer = randomised(PatchMerging(6))
    x = torch.randn(2, *size, 6)
    torch.testing.assert_close(merging(x, layer.state_dict()), layer(x), **CLOSE)


SIZES = [((8, 12), 4, 2), ((9, 14), 4, 2), ((10, 7), 3, 1), ((9, 5), 4, 0), ((4, 4), 4, 0)]


@torch.no_grad()
@pytest.mark.parametrize(("size", "window", "shift"), SIZES)
def test_both_blocks_are_the_package(size, window, shift):
    layer = randomised(SwinBlock(8, 2, window, shift))
    x = torch.randn(2, *size, 8)
    weights = layer.state_dict()
    torch.testing.assert_close(a4.shifted_block(x, weights, 2, window, shift, shift), layer(x), **CLOSE)
    torch.testing.assert_close(a4.swin_block(x, weights, 2, window, shift), layer(x), **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("size", [(4, 4), (3, 9), (9, 4)])
def test_the_given_block_leaves_a_side_of_one_window_whole(size):
    layer = randomised(SwinBlock(8, 2, 4, 2))
    x = torch.randn(2, *size, 8)
    torch.testing.assert_close(a4.swin_block(x, layer.state_dict(), 2, 4, 2), layer(x), **CLOSE)


@torch.no_grad()
def test_unequal_shifts_attend_within_the_pieces_of_the_moved_grid():
    weights = randomised(SwinBlock(8, 2, 4)).state_dict()
    x = torch.randn(2, 10, 13, 8)
    pieces = a4.block_by_pieces(x, weights, 2, 4, 1, 3)
    torch.testing.assert_close(a4.shifted_block(x, weights, 2, 4, 1, 3), pieces, **CLOSE)


class Given(nn.Module):
    """Leaves out what it is told to, as StochasticDepth does by chance."""

    def __init__(self, keeps, rate):
        super().__init__()
        self.keeps, self.rate = iter(keeps), rate

    def forward(self, x):
        return x * next(self.keeps)[:, None, None, None] / (1 - self.rate)


@torch.no_grad()
def test_the_post_norm_block_is_version_2_around_the_attention_of_version_1():
    layer = SwinBlockV2(8, 2, window=3)
    layer.attention = WindowAttention(8, 2, 3)
    randomised(layer)
    kept = torch.tensor([[True, False, True, False], [True, True, False, False]])
    layer.drop = Given(kept, 0.2)
    x = torch.randn(4, 3, 3, 8)
    ours = a4.post_norm_block(x.flatten(1, 2), layer.state_dict(), 2, kept, 0.2)
    torch.testing.assert_close(ours, layer(x).flatten(1, 2), **CLOSE)


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 48), (30, 41)])
@pytest.mark.parametrize(
    ("depths", "heads", "windows"), [((2, 3), (1, 2), (4, 2)), ((1, 2, 2), (2, 4, 4), (2, 3, 2))]
)
def test_the_assembled_model_is_the_package(size, depths, heads, windows):
    model = randomised(SwinTransformer(8, depths, heads, windows, num_classes=5, patch=2))
    images = torch.rand(2, 3, *size)
    scores = a4.tiny_swin(images, model.state_dict(), depths, heads, windows)
    torch.testing.assert_close(scores, model(images), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "sizes", [(4, (1,), (1,), 2, 3), (12, (2, 1, 3), (3, 2, 4), 3, 5), (8, (2, 2), (2, 4), 4, 10)]
)
def test_the_count_is_that_of_the_package(sizes):
    channels, depths, heads, window, classes = sizes
    model = SwinTransformer(channels, depths, heads, window, classes)
    assert a4.count_parameters(*sizes) == sum(parameter.numel() for parameter in model.parameters())


def test_the_count_of_swin_t():
    with torch.device("meta"):
        model = swin("swin_t")
    assert a4.count_parameters(96, (2, 2, 6, 2), (3, 6, 12, 24), 7, 1000) == sum(
        parameter.numel() for parameter in model.parameters()
    )


def test_the_drawn_weights_are_those_of_the_package():
    model = SwinTransformer(4, (1, 2), (1, 2), (2, 3), num_classes=5, patch=2)
    shapes = a4.shapes_of_swin(4, (1, 2), (1, 2), (2, 3), 5, 2)
    assert {name: tuple(x.shape) for name, x in model.state_dict().items()} == shapes


@pytest.mark.parametrize(
    "function", [*a4.GIVEN, *(item.reference for item in a4.ITEMS)], ids=lambda f: f.__name__
)
def test_references_need_nothing_but_what_is_given(function):
    known = {"math", "torch", "Tensor", "rearrange", "F", *(given.__name__ for given in a4.GIVEN)}
    names = set(inspect.getclosurevars(function).globals) | {
        node.id for node in ast.walk(ast.parse(inspect.getsource(function))) if isinstance(node, ast.Name)
    } & set(vars(a4))
    assert names <= known
    assert "swin_edu" not in inspect.getsource(function)
