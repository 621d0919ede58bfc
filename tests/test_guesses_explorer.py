"""The explorer of chapter 16 keeps the reader's guesses, and the page says and draws what Python does."""

import itertools
import json
import re

import pytest
import traitlets
from browser import CLAIMS, canvas_pixels, load, show_live, written
from matplotlib.patches import Rectangle

from swin_edu.book.explorers import Guesses, Overview
from swin_edu.book.explorers.base import STATE_MIME
from swin_edu.book.explorers.guesses import BOXES, WORDS
from swin_edu.book.site import live_module

NAMES = ["claim_4", "claim_5", "claim_12"]
STATES = [dict(zip(NAMES, places, strict=True)) for places in itertools.product(range(4), repeat=3)]
EIGHT = {number: f"Claim {number} is true." for number in range(20, 28)}
LONG = {7: "With a window M, W-MSA and SW-MSA cost as much as MSA. " * 4, 8: "It costs $O(n)$."}


def claim(page, number):
    return page.get_by_role("group", name=f"{number}. {CLAIMS[number]}", exact=True)


def button(page, number, word):
    return claim(page, number).get_by_role("radio", name=word, exact=True)


def chosen(page, number):
    buttons = claim(page, number).get_by_role("radio")
    return buttons.evaluate_all("(all) => all.map((button) => button.checked)")


# In Python


def test_the_sentence():
    explorer = Guesses(CLAIMS)
    assert explorer.describe() == "No guess yet: choose for each of 3 claims."
    explorer.claim_12, explorer.claim_4 = 2, 3
    assert explorer.describe() == "You guessed 2 of 3: claim 4 false, claim 12 half true."
    assert Guesses({9: "One."}, claim_9=1).describe() == "You guessed 1 of 1: claim 9 true."


def test_a_guess_is_a_word():
    explorer = Guesses(CLAIMS, claim_5=2)
    assert [explorer.guess(number) for number in CLAIMS] == [None, "half true", None]
    found = []
    for explorer.claim_4 in range(4):
        found.append(explorer.guess(4))
    assert found == [None, "true", "half true", "false"]
    with pytest.raises(ValueError, match=r"^claim 6 is not among those shown: 4, 5, 12$"):
        explorer.guess(6)


def test_each_explorer_has_the_claims_it_was_given():
    one, other = Guesses({4: "Four.", 5: "Five."}), Guesses({5: "Another five.", 6: "Six."}, claim_5=3)
    assert one.state == {"claim_4": 0, "claim_5": 0} and other.state == {"claim_5": 3, "claim_6": 0}
    assert repr(other) == "Guesses(claim_5=3, claim_6=0)"
    assert not one.has_trait("claim_6") and not Guesses.class_traits().keys() & {*NAMES, "claim_6"}
    assert [control["label"] for control in other.controls] == ["5. Another five.", "6. Six."]
    assert {tuple(control["words"]) for control in other.controls} == {WORDS}
    assert {"claim_5", "claim_6"} <= set(other.get_state())  # what the page is sent


@pytest.mark.parametrize("place", [-1, 4])
def test_a_choice_refuses_other_places(place):
    explorer = Guesses(CLAIMS, claim_4=1)
    with pytest.raises(
        traitlets.TraitError, match=rf"claim_4 is {place}; it can be one of 0, 1, 2, 3$"
    ) as problem:
        explorer.claim_4 = place
    assert "\n" not in str(problem.value) and explorer.guess(4) == "true"


@pytest.mark.parametrize(
    ("claims", "kind", "sentence"),
    [
        ({}, ValueError, "claims has 0 sentences; the explorer takes 1 to 8"),
        (
            dict.fromkeys(range(1, 10), "Nine."),
            ValueError,
            "claims has 9 sentences; the explorer takes 1 to 8",
        ),
        ({1: "One.", 2: 2.5}, TypeError, "claims[2] is 2.5; give a sentence as text"),
        ({1: None}, TypeError, "claims[1] is None; give a sentence as text"),
        ({1: " \n"}, ValueError, "claims[1] is empty; give a sentence"),
        ({0: "Zero."}, ValueError, "claims has the number 0; use whole numbers from 1"),
        ({"4": "Four."}, ValueError, "claims has the number '4'; use whole numbers from 1"),
    ],
)
def test_bad_claims_get_one_sentence(claims, kind, sentence):
    with pytest.raises(kind, match=f"^{re.escape(sentence)}$"):
        Guesses(claims)


def test_the_most_claims_are_taken():
    assert len(Guesses(EIGHT).controls) == 8


def test_what_a_notebook_stores():
    explorer = Guesses(CLAIMS, claim_5=1)
    data, metadata = explorer._repr_mimebundle_()
    assert json.loads(json.dumps(data[STATE_MIME])) == data[STATE_MIME]
    assert data[STATE_MIME]["state"] == {"claim_4": 0, "claim_5": 1, "claim_12": 0}
    alt = metadata["image/png"]["alt"]
    assert alt.startswith(f"{Guesses.title}. Claim 4: Attention runs in a sliding window. Claim 5: ")
    assert all(sentence in alt for sentence in CLAIMS.values())
    assert alt.endswith("You guessed 1 of 3: claim 5 true.")


def test_sliders_store_what_they_stored():
    assert Overview.stage.stored() == {"name": "stage", "label": "Stage", "values": [1, 2, 3, 4]}


@pytest.mark.parametrize("state", STATES[::7])
def test_the_still_picture_ticks_the_guesses(state):
    explorer = Guesses(CLAIMS, **state)
    [axes] = explorer.still().axes
    boxes = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    rows = sorted({box.get_y() for box in boxes})
    assert [(box.get_x(), rows.index(box.get_y())) for box in boxes] == [
        (left, row) for row in range(3) for left in BOXES.values()
    ]
    ticks = [line for line in axes.lines if len(line.get_xdata()) == 3]
    ticked = []
    for tick in ticks:  # the lowest point of a tick lies in its box
        x, y = tick.get_xdata()[1], max(tick.get_ydata())
        [(word, row)] = [
            (word, row)
            for row, top in enumerate(rows)
            for word, left in BOXES.items()
            if left < x < left + boxes[0].get_width() and top < y < top + boxes[0].get_height()
        ]
        ticked.append((row, word))
    assert ticked == [(row, WORDS[place]) for row, place in enumerate(state.values()) if place]
    bold = [text.get_text() for text in axes.texts if text.get_weight() == "bold"]
    assert [text for text in bold if text in BOXES] == [word for _, word in ticked]


@pytest.mark.parametrize("claims", [CLAIMS, EIGHT, LONG])
def test_in_the_still_picture_nothing_is_cut_off_or_overlaps(claims):
    drawn = Guesses(claims, **{f"claim_{number}": 2 for number in claims}).still()
    drawn.draw_without_rendering()
    [axes] = drawn.axes
    said = " ".join(text.get_text().replace("\n", " ") for text in axes.texts)
    assert all(" ".join(sentence.split()) in said for sentence in claims.values())
    assert all("$" not in text.get_text() or not text.get_parse_math() for text in axes.texts)
    drawings = [part.get_window_extent() for part in [*axes.texts, *axes.patches]]
    for one, other in itertools.combinations(drawings, 2):
        assert not one.overlaps(other)
    whole = drawn.bbox
    assert all(whole.x0 <= part.x0 and part.x1 <= whole.x1 for part in drawings)
    assert all(whole.y0 <= part.y0 and part.y1 <= whole.y1 for part in drawings)


# On the page


def test_the_page_says_what_python_says(page):
    load(page, "guesses.js", ["describe"])
    said = page.evaluate("(states) => states.map((state) => describe(state))", STATES)
    assert len(said) == 64
    assert said == [Guesses(CLAIMS, **state).describe() for state in STATES]


@pytest.mark.parametrize("state", STATES[::9])
def test_each_number_stands_in_the_column_of_its_guess(page, state):
    said = written(page, Guesses(CLAIMS, **state))
    places = list(state.values())
    titles = [f"{word}: {places.count(place)}" for place, word in enumerate(WORDS)]
    lefts = [text["left"] for title in titles for text in said if text["text"] == title]
    assert len(lefts) == 4 and lefts == sorted(lefts)
    edges = [*lefts, 760]
    for number, place in zip(CLAIMS, places, strict=True):
        [text] = [text for text in said if text["text"] == str(number)]
        assert edges[place] < text["left"] and text["right"] < edges[place + 1]
        assert text["color"] == ("#ffffff" if place else "#1a1a1a")
    assert len(said) == 4 + 3


@pytest.mark.parametrize("place", range(4))
def test_eight_numbers_have_room_in_one_column(page, place):
    explorer = Guesses(EIGHT, **{f"claim_{number}": place for number in EIGHT})
    said = written(page, explorer)
    assert all(text["left"] >= 0 and text["right"] <= 760 and 12 <= text["y"] <= 108 for text in said)
    assert all(text["size"] >= 12 for text in said)
    for one, other in itertools.combinations(said, 2):
        beneath = abs(one["y"] - other["y"]) >= 14
        assert beneath or one["right"] + 2 <= other["left"] or other["right"] + 2 <= one["left"], (one, other)


def test_a_click_is_a_guess(page):
    show_live(page, Guesses(CLAIMS))
    before, sentence = canvas_pixels(page), page.locator(".swin-explorer p")
    claim(page, 12).get_by_text("half true").click()  # on the word, not on the small circle
    assert chosen(page, 12) == [False, False, True, False]
    assert chosen(page, 4) == chosen(page, 5) == [True, False, False, False]
    assert sentence.inner_text() == "You guessed 1 of 3: claim 12 half true."
    assert page.locator("canvas").get_attribute("aria-label") == sentence.inner_text()
    assert (canvas_pixels(page) != before).any()
    button(page, 12, "no guess yet").click()
    assert sentence.inner_text() == "No guess yet: choose for each of 3 claims."
    assert (canvas_pixels(page) == before).all()


def test_the_keyboard_guesses(page):
    show_live(page, Guesses(CLAIMS))
    sentence = page.locator(".swin-explorer p")
    page.keyboard.press("Tab")
    for words in ("claim 4 true", "claim 4 half true", "claim 4 false"):
        page.keyboard.press("ArrowRight")
        assert sentence.inner_text() == f"You guessed 1 of 3: {words}."
    outline = page.evaluate(
        "() => { const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement); "
        "return [outlineStyle, outlineWidth]; }"
    )
    assert outline == ["solid", "2px"]
    page.keyboard.press("Tab")  # one stop a claim
    page.keyboard.press("ArrowDown")
    assert sentence.inner_text() == "You guessed 2 of 3: claim 4 false, claim 5 true."


def test_two_explorers_on_a_page_do_not_disturb_each_other(page):
    places = []
    for claims in (CLAIMS, {4: "Four.", 6: "Six."}):
        state = json.dumps(Guesses(claims).stored())
        places.append(f'<div data-script="guesses.js"><script type="application/json">{state}</script></div>')
    page.set_content(f'{"".join(places)}<script type="module">{live_module("guesses.js")}</script>')
    button(page, 4, "false").click()
    page.get_by_role("group", name="4. Four.").get_by_role("radio", name="true", exact=True).click()
    assert chosen(page, 4) == [False, False, False, True]
    assert page.locator(".swin-explorer p").all_inner_texts() == [
        "You guessed 1 of 3: claim 4 false.",
        "You guessed 1 of 2: claim 4 true.",
    ]


@pytest.mark.parametrize("width", [360, 760])
def test_the_choices_fit(page, width):
    page.set_viewport_size({"width": width, "height": 900})
    show_live(page, Guesses({**CLAIMS, **LONG}))
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for label in page.locator(".choice label").all():
        box = label.bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= width and box["height"] >= 24
    rows = {label.bounding_box()["y"] for label in claim(page, 4).locator("label").all()}
    assert len(rows) == 1
