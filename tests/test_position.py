"""swin_edu/position.py against brute force, formulas written again, and what a table must do."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from swin_edu.attention import attend
from swin_edu.book.device import device
from swin_edu.position import (
    ContinuousPositionBias,
    RelativePositionBias,
    log_spaced_offsets,
    relative_position_index,
    resize_table,
)

DEVICE = device()
WINDOWS = range(1, 10)
windows = st.integers(1, 9)


def places(window):
    return [(row, column) for row in range(window) for column in range(window)]


@pytest.mark.parametrize("window", WINDOWS)
def test_index_equals_brute_force(window):
    """Number the offsets row by row, from the most negative one, and look each pair up."""
    reach = range(1 - window, window)
    number = {offset: i for i, offset in enumerate((dy, dx) for dy in reach for dx in reach)}
    expected = [[number[y - v, x - u] for v, u in places(window)] for y, x in places(window)]
    assert relative_position_index(window).tolist() == expected


@pytest.mark.parametrize("window", WINDOWS)
def test_every_offset_appears_and_swapping_reads_backwards(window):
    index = relative_position_index(window)
    assert index.dtype == torch.int64
    assert index.unique().tolist() == list(range((2 * window - 1) ** 2))
    assert (index + index.T == (2 * window - 1) ** 2 - 1).all()
    assert (index.diagonal() == ((2 * window - 1) ** 2) // 2).all()


def test_the_index_of_two_by_two():
    assert relative_position_index(2).tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]


@given(window=windows, heads=st.integers(1, 5))
def test_bias_looks_each_pair_up(window, heads):
    torch.manual_seed(0)
    layer = RelativePositionBias(window, heads).to(DEVICE)
    assert layer.table.shape == ((2 * window - 1) ** 2, heads)
    bias, table, size = layer(), layer.table.view(2 * window - 1, 2 * window - 1, heads), 2 * window - 1
    assert bias.shape == (heads, window**2, window**2)
    for n, (y, x) in enumerate(places(window)):
        for m, (v, u) in enumerate(places(window)):
            assert torch.equal(bias[:, n, m], table[(y - v) % size - window, (x - u) % size - window])


def test_a_fresh_table_is_small_and_not_zero():
    torch.manual_seed(0)
    table = RelativePositionBias(7, 24).table
    assert 0.018 < table.std() < 0.022
    assert abs(table.mean()) < 0.002


@given(window=windows)
def test_gradient_reaches_each_entry_once_for_each_pair(window):
    layer = RelativePositionBias(window, 2).to(DEVICE)
    layer().sum().backward()
    reach = range(1 - window, window)
    counts = [(window - abs(dy)) * (window - abs(dx)) for dy in reach for dx in reach]
    assert layer.table.grad.tolist() == [[count, count] for count in counts]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_index_stays_whole_under_other_types(dtype):
    for layer in (RelativePositionBias(3, 2), ContinuousPositionBias(3, 2)):
        expected = layer.to(DEVICE)()
        layer = layer.to(dtype)
        assert layer.index.dtype == torch.int64
        assert layer().dtype == dtype
        assert torch.allclose(layer().float(), expected, atol=0.1)


def test_only_what_is_learned_is_saved():
    assert set(RelativePositionBias(7, 3).state_dict()) == {"table"}
    names = {"mlp.0.weight", "mlp.0.bias", "mlp.2.weight"}
    assert set(ContinuousPositionBias(8, 3).state_dict()) == names


def test_a_table_can_look_left():
    layer = RelativePositionBias(3, 1).to(DEVICE)
    with torch.no_grad():
        layer.table.fill_(-50)
        layer.table[2 * 5 + 3] = 50  # dy = 0, dx = 1: the key is one column to the left
    values = torch.arange(9.0).reshape(1, 1, 9, 1).to(DEVICE)
    out = attend(torch.zeros_like(values), torch.zeros_like(values), values, layer())
    inside = [n for n in range(9) if n % 3]
    assert torch.allclose(out[0, 0, inside, 0].cpu(), torch.tensor(inside) - 1.0, atol=1e-4)


@given(window=windows, heads=st.integers(1, 3))
def test_resizing_to_the_same_window_changes_nothing(window, heads):
    torch.manual_seed(window)
    table = torch.randn((2 * window - 1) ** 2, heads).to(DEVICE)
    assert torch.allclose(resize_table(table, window), table, rtol=0, atol=1e-6)


@given(old=windows, new=windows)
def test_a_constant_stays_constant_and_heads_stay_apart(old, new):
    table = torch.tensor([0.25, -3.0]).expand((2 * old - 1) ** 2, 2).to(DEVICE)
    expected = torch.tensor([0.25, -3.0]).expand((2 * new - 1) ** 2, 2).to(DEVICE)
    assert torch.allclose(resize_table(table, new), expected, rtol=0, atol=1e-5)


def cubic(t):
    """The bicubic kernel with a = -3/4, which PyTorch uses."""
    t, a = abs(t), -0.75
    if t <= 1:
        return (a + 2) * t**3 - (a + 3) * t**2 + 1
    return a * (t**3 - 5 * t**2 + 8 * t - 4) if t < 2 else 0.0


@pytest.mark.parametrize(("old", "new"), [(7, 12), (12, 7), (2, 3), (4, 9)])
def test_resizing_is_bicubic_about_the_middle(old, new):
    torch.manual_seed(0)
    size, larger = 2 * old - 1, 2 * new - 1
    table = torch.randn(size, size, dtype=torch.double)
    rows = torch.zeros(larger, size, dtype=torch.double)
    for i in range(larger):
        middle = (i - (new - 1)) * size / larger + old - 1  # the middle entry stays in the middle
        for j in range(math.floor(middle) - 1, math.floor(middle) + 3):
            rows[i, min(max(j, 0), size - 1)] += cubic(j - middle)
    result = resize_table(table.reshape(-1, 1), new).view(larger, larger)
    assert torch.allclose(result, rows @ table @ rows.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("window", "pretrained"), [(1, 0), (2, 0), (7, 0), (8, 0), (16, 8), (7, 12), (9, 9)])
def test_log_spaced_offsets_equal_the_formula(window, pretrained):
    offsets = log_spaced_offsets(window, pretrained)
    farthest = max((pretrained or window) - 1, 1)
    reach = range(1 - window, window)
    expected = [
        [math.copysign(math.log2(1 + abs(8 * d / farthest)) / math.log2(8), d) for d in (dy, dx)]
        for dy in reach
        for dx in reach
    ]
    assert torch.allclose(offsets, torch.tensor(expected), rtol=0, atol=1e-6)


def test_the_farthest_offset_is_a_little_more_than_one():
    assert log_spaced_offsets(8).max().item() == pytest.approx(math.log2(9) / 3)
    assert log_spaced_offsets(16, 8).max().item() / log_spaced_offsets(8).max().item() == pytest.approx(
        1.319, abs=1e-3
    )


@given(window=st.integers(1, 6), pretrained=st.integers(0, 8), heads=st.integers(1, 4))
def test_continuous_bias_asks_the_network_for_each_pair(window, pretrained, heads):
    torch.manual_seed(0)
    layer = ContinuousPositionBias(window, heads, pretrained)
    farthest = max((pretrained or window) - 1, 1)
    bias = layer.to(DEVICE)().cpu()
    layer = layer.cpu()
    assert bias.shape == (heads, window**2, window**2)
    assert ((bias > 0) & (bias < 16)).all()
    offsets = [[[y - v, x - u] for v, u in places(window)] for y, x in places(window)]
    scaled = torch.tensor(offsets) * 8 / farthest
    coordinates = scaled.sign() * torch.log2(1 + scaled.abs()) / 3
    first, _, second = layer.mlp
    hidden = (coordinates @ first.weight.T + first.bias).clamp(min=0)
    expected = 16 / (1 + torch.exp(-(hidden @ second.weight.T)))
    assert torch.allclose(bias, expected.permute(2, 0, 1), rtol=0, atol=1e-4)


def test_a_network_serves_any_window():
    small, large = ContinuousPositionBias(8, 3), ContinuousPositionBias(16, 3, pretrained_window=8)
    large.load_state_dict(small.state_dict())
    inner = large().view(3, 16, 16, 16, 16)[:, :8, :8, :8, :8].reshape(3, 64, 64)
    assert torch.allclose(inner, small(), rtol=0, atol=1e-5)
    assert sum(p.numel() for p in small.parameters()) == 3 * 512 + 512 * 3


def test_gradients_reach_every_parameter_of_the_network():
    layer = ContinuousPositionBias(4, 3).to(DEVICE)
    (layer() * torch.rand(3, 16, 16).to(DEVICE)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters())


COUNT = "it must be a whole number of at least 1"
TABLE = "it must be ((2M - 1)², heads), such as (169, heads) for M = 7"
BAD_CALLS = [
    (lambda: relative_position_index(0), f"window is 0; {COUNT}"),
    (lambda: relative_position_index(7.0), f"window is 7.0; {COUNT}"),
    (lambda: relative_position_index(True), f"window is True; {COUNT}"),
    (lambda: RelativePositionBias(-7, 3), f"window is -7; {COUNT}"),
    (lambda: RelativePositionBias((7, 7), 3), f"window is (7, 7); {COUNT}"),
    (lambda: RelativePositionBias(7, 0), f"heads is 0; {COUNT}"),
    (lambda: resize_table(torch.rand(169, 3), 0), f"window is 0; {COUNT}"),
    (lambda: resize_table(torch.rand(168, 3), 12), f"table has shape (168, 3); {TABLE}"),
    (lambda: resize_table(torch.rand(144, 3), 12), f"table has shape (144, 3); {TABLE}"),
    (lambda: resize_table(torch.rand(0, 3), 12), f"table has shape (0, 3); {TABLE}"),
    (lambda: resize_table(torch.rand(169), 12), f"table has shape (169,); {TABLE}"),
    (lambda: resize_table(torch.rand(169, 3, 1), 12), f"table has shape (169, 3, 1); {TABLE}"),
    (lambda: resize_table(torch.tensor(1.0), 12), f"table has shape (); {TABLE}"),
    (lambda: log_spaced_offsets(0), f"window is 0; {COUNT}"),
    (lambda: log_spaced_offsets(8, -1), f"pretrained_window is -1; {COUNT}"),
    (lambda: log_spaced_offsets(8, None), f"pretrained_window is None; {COUNT}"),
    (lambda: ContinuousPositionBias(8, 2.5), f"heads is 2.5; {COUNT}"),
    (lambda: ContinuousPositionBias(0, 3), f"window is 0; {COUNT}"),
    (lambda: ContinuousPositionBias(8, 3, 6.0), f"pretrained_window is 6.0; {COUNT}"),
]


@pytest.mark.parametrize(("call", "sentence"), BAD_CALLS)
def test_errors_name_argument_value_and_remedy(call, sentence):
    with pytest.raises(ValueError) as problem:
        call()
    assert str(problem.value) == sentence
