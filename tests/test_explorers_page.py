"""The explorers' JavaScript in a bare page: it computes what the package computes, and draws it."""

import itertools

import numpy as np
import pytest
from browser import canvas_pixels, example, load, show_live

from swin_edu.book import explorers
from swin_edu.book.explorers import Overview, Patches
from swin_edu.book.explorers.overview import Layout
from swin_edu.book.images import sample_image

IMAGE = sample_image()
EVERY_SETTING = [
    {"stage": stage, "window": window, "shift": shift}
    for stage, window in itertools.product(range(1, 5), range(2, 15))
    for shift in range(window)
]


def test_overview_equals_python_for_every_setting(page):
    load(page, "overview.js", ["layout", "pieces", "maskedShare"])
    expected, asked = [], []
    for setting in EVERY_SETTING:
        plan = Layout.of(**setting)
        for chosen in {1, plan.per_side, plan.per_side**2, plan.per_side**2 // 2 + 1}:
            asked.append({**setting, "chosen": chosen})
            parts = [
                dict(zip(("row", "column", "height", "width"), piece, strict=True))
                for piece in plan.pieces(chosen)
            ]
            expected.append([plan.tokens, plan.padded, plan.shift, parts, plan.masked_share(chosen)])
    answers = page.evaluate(
        """(asked) => asked.map((state) => { const plan = layout(state), parts = pieces(state.chosen, plan);
        return [plan.tokens, plan.padded, plan.shift, parts, maskedShare(parts, plan.window)]; })""",
        asked,
    )
    assert len(answers) > 1000
    for setting, answer, truth in zip(asked, answers, expected, strict=True):
        assert answer[:4] == truth[:4], setting
        assert answer[4] == pytest.approx(truth[4], abs=1e-12), setting


def test_overview_says_what_python_says(page):
    load(page, "overview.js", ["describe"])
    explorer = Overview(IMAGE)
    asked = [{**setting, "chosen": 1} for setting in EVERY_SETTING]
    for setting, sentence in zip(
        asked, page.evaluate("(asked) => asked.map((s) => describe(s))", asked), strict=True
    ):
        with explorer.hold_trait_notifications():
            for name, value in setting.items():
                setattr(explorer, name, value)
        assert sentence == explorer.describe()


@pytest.mark.parametrize("patch", [2, 4, 8, 16])
def test_patches_equals_python(page, patch):
    explorer = Patches(IMAGE, patch=patch)
    load(page, "patches.js", ["numbers", "embed", "describe", "unpack", "decode"])
    stored = explorer.stored()["arrays"]
    for row, column in ((0, 0), (3, 11), (13, 13)):
        explorer.row, explorer.column = row, column
        values, token, sentence = page.evaluate(
            """([arrays, state]) => {
            for (const array of Object.values(arrays)) array.bytes = decode(array.bytes);
            const data = unpack(arrays);
            const values = numbers(state, data);
            return [values, embed(values, data[`weight${state.patch}`]), describe(state, data)]; }""",
            [stored, explorer.state],
        )
        assert np.allclose(values, explorer.numbers(), rtol=0, atol=1e-12)
        assert np.allclose(token, explorer.token(), rtol=0, atol=1e-4)
        assert sentence == explorer.describe()


@pytest.mark.parametrize(("stage", "shift"), [(2, 3), (3, 5), (3, 0)])
def test_overview_draws_the_rolled_photograph(page, stage, shift):
    explorer = Overview(IMAGE, stage=stage, window=7, shift=shift, chosen=1)
    show_live(page, explorer)
    drawn, plan = canvas_pixels(page), explorer.layout_shown
    rolled = np.roll(explorer.photo, (-plan.shift * plan.patch,) * 2, (0, 1)).astype(int)
    unit = 356 / plan.padded  # as PANEL.side in overview.js
    compared = 0
    for row, column in itertools.product(range(plan.tokens - plan.shift), repeat=2):
        if row < 7 and column < 7:
            continue  # under the chosen window
        x, y = (int((place + 0.5) * unit) for place in (column, row))
        here = drawn[30 + y, 396 + x].astype(int)
        source = rolled[int((row + 0.5) * plan.patch) - 2 :, int((column + 0.5) * plan.patch) - 2 :][
            :4, :4
        ].reshape(-1, 3)
        assert np.abs(source - here).sum(1).min() <= 6, (row, column)
        compared += 1
    assert compared > 30


def test_keyboard_moves_a_slider_and_everything_follows(page):
    show_live(page, Overview(IMAGE, stage=1, window=7, shift=3, chosen=64))
    slider = page.get_by_role("slider", name="Shift s, tokens")
    before = canvas_pixels(page)
    slider.focus()
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") == "4 tokens, 16 pixels"
    sentence = page.locator(".swin-explorer p").inner_text()
    assert "shifted by 4 tokens = 16 px" in sentence
    assert page.locator("canvas").get_attribute("aria-label") == sentence
    assert (canvas_pixels(page) != before).any()
    page.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") == "6 tokens, 24 pixels"  # never as large as the window


def test_a_smaller_window_takes_the_shift_along(page):
    show_live(page, Overview(IMAGE, window=7, shift=6, chosen=64))
    page.get_by_role("slider", name="Window size M, tokens").focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert (
        page.get_by_role("slider", name="Shift s, tokens").get_attribute("aria-valuetext")
        == "2 tokens, 8 pixels"
    )


def test_pointing_chooses_the_patch(page):
    show_live(page, Patches(IMAGE, patch=16))
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + 8 + 336 * 3.5 / 14, box["y"] + 30 + 336 * 9.5 / 14)
    assert (
        page.get_by_role("slider", name="Row").get_attribute("aria-valuetext")
        == "row 9 of 14, counted from 0"
    )
    assert (
        page.get_by_role("slider", name="Column").get_attribute("aria-valuetext")
        == "column 3 of 14, counted from 0"
    )


def inputs(page, control):
    """Return the slider of a control, or its radio buttons."""
    if "words" in control:
        return page.get_by_role("group", name=control["label"], exact=True).get_by_role("radio")
    return page.get_by_role("slider", name=control["label"], exact=True)


def where(found):
    """Return the place among its values at which a control stands."""
    return found.evaluate_all(
        "(all) => all.length > 1 ? all.findIndex((button) => button.checked) : all[0].valueAsNumber"
    )


@pytest.mark.parametrize("name", explorers.__all__)
def test_every_control_has_a_name_and_the_picture_a_description(page, name):
    explorer = example(name)
    show_live(page, explorer)
    assert page.get_by_role("group", name=explorer.title).count() == 1
    assert page.get_by_role("img", name=explorer.describe(), exact=True).count() == 1
    for control in explorer.controls:
        found = inputs(page, control)
        assert found.count() == len(control.get("words", ["one slider"]))
        for input_ in found.all():
            assert input_.get_attribute("data-lm-suppress-shortcuts") == "true"
        for word in control.get("words", []):
            assert found.and_(page.get_by_role("radio", name=word, exact=True)).count() == 1
        assert "words" in control or found.get_attribute("aria-valuetext")


@pytest.mark.parametrize("name", explorers.__all__)
def test_every_step_of_a_control_changes_the_picture_and_the_sentence_is_pythons(page, name):
    explorer = example(name)
    show_live(page, explorer)
    for control in explorer.controls:
        found = inputs(page, control)
        before, first = canvas_pixels(page), where(found)
        found.nth(first if "words" in control else 0).focus()
        at_the_end = "words" not in control and found.evaluate("(input) => input.value === input.max")
        page.keyboard.press("ArrowLeft" if at_the_end else "ArrowRight")
        assert (canvas_pixels(page) != before).any(), control["name"]
        index = where(found)
        assert index == first + (-1 if at_the_end else 1)
        setattr(explorer, control["name"], control["values"][index])
        assert page.locator(".swin-explorer p").inner_text() == explorer.describe()
        page.keyboard.press("ArrowRight" if at_the_end else "ArrowLeft")
        setattr(explorer, control["name"], control["values"][index + (1 if at_the_end else -1)])


def test_another_patch_size_shows_the_same_place(page):
    show_live(page, Patches(IMAGE, patch=4, row=32, column=28))
    row, column = (page.get_by_role("slider", name=name) for name in ("Row", "Column"))
    page.get_by_role("slider", name="Patch size").focus()
    page.keyboard.press("ArrowRight")
    assert row.get_attribute("aria-valuetext") == "row 16 of 28, counted from 0"
    assert column.get_attribute("aria-valuetext") == "column 14 of 28, counted from 0"
    page.keyboard.press("ArrowLeft")
    assert row.get_attribute("aria-valuetext") == "row 32 of 56, counted from 0"


def test_a_detour_brings_the_chosen_window_back(page):
    show_live(page, Overview(IMAGE, stage=1, chosen=60))
    page.get_by_role("slider", name="Stage").focus()
    page.keyboard.press("ArrowRight")
    assert "Window 16 holds" in page.locator("p").inner_text()
    page.keyboard.press("ArrowLeft")
    assert "Window 60 holds" in page.locator("p").inner_text()


def test_a_tap_chooses_too(page):
    show_live(page, Patches(IMAGE, patch=16))
    box = page.locator("canvas").bounding_box()
    place = {"clientX": box["x"] + 8 + 336 * 5.5 / 14, "clientY": box["y"] + 30 + 336 * 2.5 / 14}
    page.locator("canvas").dispatch_event("pointerdown", place)
    assert (
        page.get_by_role("slider", name="Row").get_attribute("aria-valuetext")
        == "row 2 of 14, counted from 0"
    )


def test_zooming_keeps_the_picture_sharp(page):
    show_live(page, Overview(IMAGE))
    before = canvas_pixels(page)
    page.evaluate("""() => { Object.defineProperty(window, "devicePixelRatio", { value: 2 });
    window.dispatchEvent(new Event("resize")); }""")
    after = canvas_pixels(page)
    assert after.shape[0] == 2 * before.shape[0]
    assert (after != after[0, 0]).any()


def test_a_phone_scrolls_the_picture_instead_of_shrinking_its_text(page):
    page.set_viewport_size({"width": 360, "height": 640})
    show_live(page, Overview(IMAGE))
    assert page.locator("canvas").bounding_box()["width"] == 560
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
