"""Chapter 8's figures draw what they were given; its explorer equals counts of the model itself."""

import itertools

import numpy as np
import pytest
import torch
from browser import canvas_pixels, load, show_live

from swin_edu.book import drawings
from swin_edu.book.explorers import Architecture
from swin_edu.book.explorers.architecture import NAMES, SIDES, WINDOWS, plan
from swin_edu.book.images import sample_image
from swin_edu.model import VARIANTS, swin

IMAGE = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))


def texts(axes):
    return [text.get_text() for text in axes.texts if text.get_text()]  # arrows are texts without text


def drawn_array(axes, index=0):
    return np.asarray(axes.images[index].get_array())


def hatched(axes):
    return [patch.get_bbox().bounds for patch in axes.patches if patch.get_hatch()]


# Figures.


def test_whole_model_draws_maps_layers_and_scores():
    maps, scores = [torch.rand(8, 8, 4), torch.rand(4, 4, 8)], torch.tensor([0.5, -2.0, 1.0])
    [axes] = drawings.whole_model(IMAGE, maps, (2, 4), (1, 2), scores).axes
    assert np.array_equal(drawn_array(axes), IMAGE.permute(1, 2, 0).numpy())
    for index, x in enumerate(maps, 1):
        assert np.array_equal(drawn_array(axes, index), x[..., 0].numpy())
    said = texts(axes)
    assert said[:3] == ["picture\n32 × 32 × 3", "stage 1\n8 × 8 × 4", "stage 2\n4 × 4 × 8"]
    assert [said.count(layer) for layer in ("block, 1 heads", "block, 2 heads")] == [2, 4]
    assert [said.count(layer) for layer in ("patches, linear", "merging", "norm", "mean", "linear: 3")] == [
        1
    ] * 5
    assert [round(place[1], 2) for place in hatched(axes)] == [1.5, 1.5, 1.9]  # every second block
    [lines] = axes.collections
    heights = [segment[1][1] for segment in lines.get_segments()]
    assert heights == pytest.approx([0.5 - 0.45 * score / 2 for score in scores.tolist()])


def test_stage_maps_hatch_the_padding():
    maps = [torch.rand(8, 9, 2), torch.rand(4, 5, 2)]
    first, second = drawings.stage_maps(maps, [4, 4]).axes
    assert np.array_equal(drawn_array(first), maps[0][..., 0].numpy())
    assert [place for place in hatched(first) if place[2] and place[3]] == [(9, 0, 3, 8)]
    assert first.get_title() == "stage 1: 8 × 9\nwindows: 2 × 3\npadding: 25 %"
    assert second.get_title() == "stage 2: 4 × 5\nwindows: 1 × 2\npadding: 38 %"
    high = drawings.stage_maps([torch.rand(5, 3, 1)], [4]).axes[0]
    assert sorted(hatched(high)) == [(0, 5, 3, 3), (3, 0, 1, 8)]


def test_lines_draw_their_values():
    padding = {"a": [1, 2, 3], "b": [3, 2, 1], "c": [0, 0, 0]}
    [axes] = drawings.padding_of_sides([32, 33, 34], padding).axes
    assert {line.get_label(): list(line.get_ydata()) for line in axes.lines} == padding
    [axes] = drawings.along_the_blocks({"a": [0.5, 1], "b": [2]}, ylabel="rate").axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[1, 0.5], [2, 1]], [[1, 2]]]
    assert axes.get_ylabel() == "rate"
    [axes] = drawings.cost_of_images([10, 20], {"a": [10**9, 4 * 10**9], "b": [2 * 10**9, 32 * 10**9]}).axes
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[10, 1], [20, 4]], [[10, 2], [20, 32]]]
    assert texts(axes) == ["4", "32"]


def test_models_compared_sets_a_dot_in_every_ring():
    found = {("swin_t", 224): (28_000_000, 4_400_000_000)}
    [axes] = drawings.models_compared(found, {("swin_t", 224): (29, 4.5)}).axes
    ring, dot = (line.get_xydata()[0].tolist() for line in axes.lines)
    assert (ring, dot) == ([29, 4.5], [28, 4.4])
    assert texts(axes) == ["swin_t, 224"]


def test_where_it_goes_draws_shares():
    panels = {"parameters": {"stage 1": 1, "stage 2": 3}, "multiply-adds": {"stage 1": 299, "stage 2": 1}}
    first, second = drawings.where_it_goes(panels).axes
    assert [bar.get_height() for bar in first.patches] == [25, 75]
    assert texts(first) == ["25 %", "75 %"]
    assert texts(second) == ["100 %", "< 1 %"]
    assert second.get_title() == "multiply-adds"


def test_histogram_counts_every_value():
    [axes] = drawings.histogram(torch.randn(30, 40), marks=(-1, 2)).axes
    assert sum(bar.get_height() for bar in axes.patches) == 1200
    assert [line.get_xdata()[0] for line in axes.lines] == [-1, 2]


def test_parameters_changed_writes_both_versions():
    [axes] = drawings.parameters_changed({"tables": (1200, 0), "scales": (0, 30)}).axes
    assert [bar.get_width() for bar in axes.patches] == [1200, 0, 0, 30]
    assert texts(axes) == ["version 1: 1,200", "version 2: 0", "version 1: 0", "version 2: 30"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["tables", "scales"]


def test_resized_tables_share_a_scale():
    tables = {"small": torch.tensor([[-1.0, 0.5]]), "large": torch.tensor([[0.0, 2.0], [1.0, 1.0]])}
    *axes, _ = drawings.resized_tables(tables).axes
    assert [axis.get_title() for axis in axes] == ["small", "large"]
    for axis, table in zip(axes, tables.values(), strict=True):
        assert np.array_equal(drawn_array(axis), table.numpy())
        assert axis.images[0].get_clim() == (-2, 2)


def test_pieces_of_weights_name_every_piece():
    weight = torch.randn(6, 4)
    names = {"one": ["layers.0.attn.qkv.weight"], "three": [f"a.b.{x}.c.weight" for x in "qkv"]}
    axes = {axis.get_title(): axis for axis in drawings.pieces_of_weights(weight, [*"QKV"], names).axes}
    left, right = axes["one tensor, 6 × 4"], axes[""]
    assert np.array_equal(drawn_array(left), weight.numpy())
    assert [patch.get_bbox().bounds for patch in left.patches] == [(0, 0, 4, 2), (0, 2, 4, 2), (0, 4, 4, 2)]
    assert texts(left) == ["Q", "K", "V"]
    said = ["one", "layers.0.\nattn.qkv.weight", "three", *(f"a.b.\n{x}.c.weight" for x in "qkv")]
    assert texts(right) == said
    assert len(right.patches) == 4


def test_mistakes_are_ordered_and_only_harmless_ones_hatched():
    [axes] = drawings.mistakes({"small": 1e-6, "large": 2.0}, {"none": 1e-15}, limit=1e-12).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["large", "small", "none"]
    assert [bar.get_width() for bar in axes.patches] == [2.0, 1e-6, 1e-15]
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [False, False, True]
    assert texts(axes) == ["2e+00", "1e-06", "1e-15"]
    assert axes.lines[0].get_xdata()[0] == 1e-12


# The explorer on the Python side.


def parameters(layer):
    return sum(parameter.numel() for parameter in layer.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_plan_counts_the_model(name):
    with torch.device("meta"):
        model = swin(name)
    variant = VARIANTS[name]
    stages, held, _ = plan(name, variant.window, 224)
    assert held == parameters(model)
    for shown, stage in zip(stages, model.stages, strict=True):
        assert shown.parameters == parameters(stage)
        assert (shown.blocks, shown.heads) == (len(stage.blocks), stage.blocks[0].attention.heads)


@pytest.mark.parametrize(
    ("name", "window", "side", "counted"),
    [
        ("swin_t", 7, 224, 4_490_566_656),
        ("swin_s", 7, 224, 8_740_875_264),
        ("swin_l", 12, 384, 103_919_087_616),
        ("swin_v2_t", 8, 256, 5_939_690_496),
        ("swin_t", 7, 112, 1_341_970_944),
    ],
)
def test_plan_counts_the_work(name, window, side, counted):
    stages, _, work = plan(name, window, side)
    assert work == counted
    for shown in stages:
        assert all(part >= 0 for part in shown.parts)
        assert (shown.parts[-1] > 0) == (VARIANTS[name].version == 2)  # the position network


@pytest.mark.parametrize(("side", "window"), list(itertools.product(SIDES, WINDOWS)))
def test_plan_equals_shapes(side, window):
    tokens = [-(-side // 4)]
    while len(tokens) < 4:
        tokens.append(-(-tokens[-1] // 2))
    stages, *_ = plan("swin_t", window, side) if side in (150, 224) else ([], 0, 0)
    for shown, count in zip(stages, tokens, strict=False):
        padded = -(-count // window) * window
        assert (shown.tokens, shown.padded, shown.windows) == (count, padded, (padded // window) ** 2)
        assert shown.shift == (window // 2 if padded > window else 0)


def test_description_and_names():
    explorer = Architecture(IMAGE, version=2, size=3, window=8, side=256, stage=4)
    assert explorer.name == "swin_v2_b"
    assert explorer.describe().startswith("swin_v2_b with window 8: 87,930,848 parameters; 20,325,134,336 ")
    assert "Stage 4: 8 × 8 × 1024; 2 blocks of 32 heads, 1 window, shift off." in explorer.describe()
    assert "padded to 7 × 7" in Architecture(IMAGE, side=112, stage=4).describe()
    with pytest.raises(ValueError, match=r"image has shape \(3, 4, 5\); it must be \(3, H, H\)"):
        Architecture(torch.rand(3, 4, 5))


def test_still_picture_draws_every_count():
    explorer = Architecture(IMAGE, side=112, stage=4)
    stages, held, cost = plan("swin_t", 7, 112)
    *axes, parts = explorer.still().axes
    for index, (panel, bars) in enumerate(zip(axes[:4], axes[4:], strict=True)):
        assert np.array_equal(drawn_array(panel), explorer.photo)
        assert panel.images[0].get_extent() == pytest.approx((0, 28 / 2**index, 28 / 2**index, 0))
        shown = stages[index]
        assert texts(panel)[0].startswith(f"{shown.tokens} × {shown.tokens} × {shown.channels}\n")
        widths = [bar.get_width() for bar in bars.patches]
        assert widths == pytest.approx([1, shown.parameters / held, 1, shown.multiply_adds / cost])
    shares = [bar.get_width() for bar in parts.patches]
    assert shares == pytest.approx([100 * part / sum(stages[3].parts) for part in stages[3].parts])
    assert sum(shares) == pytest.approx(100)
    assert axes[3].get_title() == "stage 4, looked at"
    assert [place for place in hatched(axes[3]) if place[2] and place[3]] == [(4, 0, 3, 7), (0, 4, 4, 3)]


# The explorer in a page.

# Every version with every size; every window; every side; and some of them together.
SETTINGS = [
    *(
        {"version": v, "size": s, "window": 7 + (v == 2), "side": 224, "stage": s}
        for v in (1, 2)
        for s in (1, 2, 3, 4)
    ),
    *({"version": v, "size": 1, "window": w, "side": 150, "stage": 2} for v in (1, 2) for w in WINDOWS),
    *({"version": 1, "size": 2, "window": 7, "side": side, "stage": 3} for side in SIDES),
    *(
        {"version": 2, "size": 4, "window": w, "side": side, "stage": 4}
        for w, side in ((16, 512), (4, 32), (12, 320))
    ),
]


def test_page_equals_counts_of_the_model(page):
    load(page, "architecture.js", ["plan", "describe", "unpack", "decode"])
    explorer = Architecture(IMAGE)
    answers = page.evaluate(
        """([arrays, settings]) => {
        for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
        const data = unpack(arrays);
        return settings.map((state) => [plan(state, data), describe(state, data)]); }""",
        [explorer.stored()["arrays"], SETTINGS],
    )
    fields = ("tokens", "padded", "channels", "heads", "blocks", "windows", "shift", "parameters")
    for setting, (answer, sentence) in zip(SETTINGS, answers, strict=True):
        with explorer.hold_trait_notifications():
            for name, value in setting.items():
                setattr(explorer, name, value)
        stages, held, work = plan(explorer.name, explorer.window, explorer.side)
        assert (answer["parameters"], answer["multiplyAdds"]) == (held, work), setting
        for found, counted in zip(answer["stages"], stages, strict=True):
            assert [found[name] for name in fields] == [getattr(counted, name) for name in fields], setting
            assert found["multiplyAdds"] == counted.multiply_adds, setting
            assert found["parts"] == list(counted.parts), setting
        assert sentence == explorer.describe()


def test_page_draws_windows_padding_and_bars(page):
    explorer = Architecture(sample_image(), side=112, stage=4)
    show_live(page, explorer)
    drawn = canvas_pixels(page).astype(int)
    stages, held, cost = plan("swin_t", 7, 112)
    blue = (np.abs(drawn - [0, 114, 178]).sum(-1) < 30).astype(int)
    for index, shown in enumerate(stages):
        left = 8 + 188 * index
        for top, share in ((284, shown.parameters / held), (328, shown.multiply_adds / cost)):
            assert abs(blue[top + 6, left : left + 173].sum() - 172 * share) <= 2
    whole = sum(stages[3].parts)
    for row, part in enumerate(stages[3].parts):
        assert abs(blue[390 + 22 + 20 * row - 4, 312:750].sum() - 436 * part / whole) <= 2
    unit, corner = 172 / 7, (44, 8 + 3 * 188)
    photo, grey = (drawn[corner[0] + int(y * unit), corner[1] + int(y * unit)] for y in (1.5, 3.7))
    source = explorer.photo[int(1.5 / 3.5 * 224) - 3 :, int(1.5 / 3.5 * 224) - 3 :][:6, :6].reshape(-1, 3)
    assert np.abs(source.astype(int) - photo).sum(1).min() <= 12
    assert np.ptp(grey) == 0  # padding has no colour
    for y, x in ((1, 5), (5, 1), (5, 5)):  # and is hatched
        top, left = corner[0] + int(y * unit), corner[1] + int(x * unit)
        assert np.ptp(drawn[top : top + 20, left : left + 20]) > 80


def test_page_shows_the_model_that_the_sliders_name(page):
    show_live(page, Architecture(sample_image()))
    page.get_by_role("slider", name="Size: 1 T, 2 S, 3 B, 4 L").focus()
    page.keyboard.press("End")
    slider = page.get_by_role("slider", name="Size: 1 T, 2 S, 3 B, 4 L")
    assert slider.get_attribute("aria-valuetext") == "swin_l"
    assert "swin_l with window 7: 196,532,476 parameters" in page.locator(".swin-explorer p").inner_text()
