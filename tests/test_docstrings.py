"""Public functions and classes say their shapes, and the shapes are true on two sizes that are not square."""

import dataclasses
import importlib
import inspect
import math
import pkgutil
import re
from functools import cache, partial

import pytest
import torch
import torch.distributed as dist

import swin_edu
from swin_edu import fast, insight, parallel, training
from swin_edu.attention import attend
from swin_edu.block import SwinBlock, WindowAttention
from swin_edu.book.device import device
from swin_edu.hierarchy import PatchMerging
from swin_edu.model import SwinTransformer
from swin_edu.patches import PatchEmbedding
from swin_edu.rivals import cnn, linformer, performer, pyramid, routing, vit
from swin_edu.tasks import detection, segmentation
from swin_edu.tasks import pyramid as levels

SHAPE = re.compile(r"^\s*Shape: (.*?) ?-> (.+)$", re.MULTILINE)
# What a symbol of a shape line is called as an argument, and its value for the first and for the second size.
SYMBOLS = {
    "B": (2, 1),
    "H": (24, 16),
    "W": (16, 40),
    "C": (12, 6),
    "D": (5, 8),
    "K": (3, 4),
    "M": (8, 4),
    "N": (9, 4),
    "P": (4, 2),
    "Q": (2, 3),
    "h": (2, 3),
    "nW": (3, 2),
    "s": (3, 1),
    # arguments by their own names
    "channels": (12, 6),
    "features": (7, 5),
    "num_classes": (4, 3),
    "classes": (4, 3),
    "size": (2, 3),
    # what stands in no shape line
    "drops": ([0.0, 0.1], [0.1]),
    "rate": (0.5, 0.0),
    "mask": (None, None),
    "attention": 2 * (lambda windows, mask: windows,),
}
ARGUMENTS = {
    "patch": "P",
    "channels": "C",
    "height": "H",
    "width": "W",
    "window": "M",
    "shift": "s",
    "heads": "h",
    **{name: name for name in ("drops", "rate", "mask", "attention", "features")},
}
# Of the whole model: depths and heads of each stage.
STAGES = {"SwinTransformer": {"depths": (2, 1), "heads": (2, 3)}}
# Tables of tensors by name have no shape of their own, nor has what is put into them.
TABLES = "swin_edu.checkpoints"
# Machinery of the book, not of the model; its own tests are elsewhere.
MACHINERY = ("swin_edu.book", "swin_edu.__main__")


@pytest.fixture(scope="module", autouse=True)
def alone():
    """Be the only process of a group; what several of them compute is tested elsewhere."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def public_objects():
    for module in pkgutil.walk_packages(swin_edu.__path__, "swin_edu."):
        if module.name.startswith(MACHINERY):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            ours = getattr(value, "__module__", "") == module.name
            if ours and not name.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value)):
                yield pytest.param(value, id=f"{module.name}.{name}")


def has_shape_line(value):
    """A function that returns tensors, or a layer, must say its shapes."""
    layer = inspect.isclass(value)
    if layer and not issubclass(value, torch.nn.Module):
        return False
    returned = str(inspect.signature(value.forward if layer else value).return_annotation)
    return value.__module__ != TABLES and "Tensor" in returned and "dict[str" not in returned


def sizes(text, symbols):
    """Evaluate '(B, H/P, W/P, P·P·3), (B, N)' to tuples of whole numbers, one for each tensor."""
    return [size_of(axes, symbols) for axes in re.findall(r"\((?:[^()]|\([^()]*\))*\)", text)]


def size_of(text, symbols):
    axes = [axis for axis in text[1:-1].replace("·", "*").split(",") if axis]
    values = [eval(axis, {"ceil": math.ceil}, symbols) for axis in axes]
    assert all(value == int(value) for value in values), f"{text} is no whole number for {symbols}"
    return tuple(int(value) for value in values)


@cache  # some hold a model each; every test takes its own
def examples(B, H, W, C, D, K, M, N, P, Q, h, nW, s, features, num_classes, size):
    """Arguments for what takes more than tensors and numbers, by function or class."""
    block = SwinBlock(C, h, M, s, drop=0.5).to(device())
    order, kinds = fast.window_order(H, W, M, s, device())
    source = torch.arange(H * W, device=device()).view(len(order), 1, M * M)
    [chunk] = fast.cut_into_chunks(source, order, kinds, size=H * W)
    few = torch.zeros(K, dtype=torch.long, device=device())
    kernels, random = fast.Kernels("matrix product"), partial(torch.rand, device=device())
    attention = WindowAttention(C, h, math.isqrt(N)).to(device())
    free = torch.ones(nW, N, N, dtype=torch.bool, device=device())
    seen, merged = (insight.look_into(block, random(B, H // n, W // n, C), n) for n in (1, 2))
    shares = random(B, Q, H // 2, W // 2)
    model = SwinTransformer(C, (K - 1, 1), (h, h), M, patch=P).to(device()).eval()
    images, classes = random(B, 3, H, W), torch.zeros(B, dtype=torch.long, device=device())
    places = torch.randint(0, N, (B, h, K, Q), device=device())
    backbone = SwinTransformer(C, (1, 1), (1, 1), 4, patch=P).to(device())
    annotated = (
        images,
        random(B, K, 4),
        classes[:, None].expand(B, K),
        torch.zeros(B, H, W, device=device()).long(),
    )
    segmenter = segmentation.Segmenter(backbone, num_classes, width=8).to(device())
    detector = detection.Detector(backbone, num_classes, width=8).to(device())
    centres = detection.Places(random(N, 2), torch.ones(N), torch.zeros(N))
    ranks = parallel.Ranks()
    return {
        insight.attention_parts: (attention, random(B * nW, N, C), free),
        insight.windows_and_mask: (random(B, H, W, C), M, s),
        insight.bias_tables: (random(h, M * M, M * M),),
        insight.mean_distance: (seen,),
        insight.hand_back: (seen, random(B, Q, H, W), insight.mixing(seen)),
        insight.unmerge: (shares, (H, W)),
        insight.mixing: (seen,),
        insight.rollout: ([seen, merged], shares),
        insight.to_pixels: (random(B, math.ceil(H / P), math.ceil(W / P)), P, H, W),
        insight.class_evidence: (model, images, classes),
        insight.reachable: ([seen, merged], 0, 0),
        insight.effective_field: (model, images),
        fast.rows_of_tokens: (order, B),
        fast.take: (random(N, C), dataclasses.replace(chunk, source=few)),
        fast.join: ([random(N, C), random(K, C)],),
        fast.pack: (torch.rand(K, C),),
        fast.linear_packed: (torch.rand(N, C), fast.pack(torch.rand(K, C)), torch.rand(K)),
        fast.table_of_kinds: (block,),
        fast.attend_in_windows: (*random(3, B, h, N, D), random(h, N, N), None),
        fast.attend: (kernels, block, random(H * W, C), chunk),
        fast.add: (random(N, C), random(N, C), None, few),
        fast.run_block: (kernels, block, random(H * W, C), chunk, (None, None)),
        fast.stochastic_depth: (block, random(B, 1, 1, 1)),
        fast.embed: (kernels, PatchEmbedding(P, C).to(device()), random(N, P * P * 3)),
        fast.merge: (kernels, PatchMerging(C).to(device()), random(4 * N, C)),
        training.vary: (images.byte(), training.Recipe()),
        training.classification_loss: (model, training.Recipe(), images.byte(), classes),
        levels.FeaturePyramid: ((C, 2 * C), K),
        segmentation.PyramidPooling: (C,),
        segmentation.enlarged: (random(B, C, H, W), (P, Q)),
        segmentation.Segmenter: (backbone, num_classes, 8),
        segmentation.segmentation_loss: (segmenter, training.Recipe(), *annotated),
        segmentation.segment: (segmenter, images),
        detection.responsible: (centres, random(B, K, 4), classes[:, None].expand(B, K)),
        detection.detection_loss: (detector, training.Recipe(), *annotated),
        cnn.ResNet: (C, (1, 1)),
        linformer.Linformer: (N, K, h),
        linformer.resize_mixtures: (random(h, H * W, K), (H, W), (P, Q)),
        performer.Performer: (D, features),
        pyramid.Pyramid: (H, C, (2, 1), (h, h), lambda place: attend, num_classes),
        pyramid.Windows: (H, W, M, s),
        routing.Routing: (h, D, K),
        routing.members: (random(B, h, N, D), random(h, K, D), size),
        routing.moved: (random(h, K, D), random(B, h, N, D), 0.5),
        routing.take: (random(B, h, N, D), places),
        routing.give_back: (random(B, h, K, Q, D), places, N),
        vit.TransformerBlock: (C, h),
        vit.ViT: (C, 1, h, P, 2 * P),
        fast.FastSwinTransformer: (SwinTransformer(C, (2, 1), (h, h), M),),
        parallel.numbers_of: ([range(N), range(K)],),
        parallel.move_rows: (
            random(B, H, W, C),
            parallel.plan_moves([torch.arange(H)], [torch.arange(P)], 0),
            ranks,
        ),
        parallel.attend_in_rows: (random(B, H, W, C), lambda windows, mask: windows, M, s, H, ranks),
        parallel.run_block_in_rows: (block, random(B, H, W, C), H, ranks),
        parallel.of_images: (few[None].expand(N, K), B, H * W),
        parallel.ParallelSwin: (model, ranks),
        parallel.FastParallelSwin: (fast.fast(model), ranks),
    }


@pytest.mark.parametrize("value", list(public_objects()))
def test_docstring(value):
    assert value.__doc__, f"{value.__qualname__} has no docstring"
    if has_shape_line(value):
        assert SHAPE.search(value.__doc__), f"{value.__qualname__} has no line 'Shape: (…) -> (…)'"


@pytest.mark.parametrize("size", [0, 1])
@pytest.mark.parametrize("value", [p for p in public_objects() if has_shape_line(p.values[0])])
def test_shape_line(value, size):
    symbols = {name: values[size] for name, values in SYMBOLS.items()}
    before, after = SHAPE.search(value.__doc__).groups()
    inputs = [torch.rand(size).to(device()) for size in sizes(before, symbols)]
    inputs = [inputs] if before.startswith("[") else inputs
    layer = inspect.isclass(value)
    example = examples(**{name: symbols[name] for name in inspect.signature(examples).parameters}).get(value)
    arguments = {
        name: symbols[ARGUMENTS[name]] for name in inspect.signature(value).parameters if name in ARGUMENTS
    }
    arguments |= STAGES.get(value.__name__, {})
    if example:
        result = value(*example).to(device())(*inputs) if layer else value(*example)
    else:
        result = value(**arguments).to(device())(*inputs) if layer else value(*inputs, **arguments)
    results = result if isinstance(result, (tuple, list)) else [result]
    assert [tuple(tensor.shape) for tensor in results] == sizes(after, symbols)


def test_a_wrong_shape_line_is_noticed():
    def transpose(x: torch.Tensor) -> torch.Tensor:
        """Shape: (B, H, W) -> (B, H, W)"""
        return x.transpose(1, 2)

    with pytest.raises(AssertionError):
        test_shape_line(transpose, 0)
