"""The glossary says what the chapters say, and its index finds every place."""

import re

import pytest

from swin_edu.book import glossary
from swin_edu.book.contents import Section, sections
from swin_edu.book.glossary import Term, count, places, term_of, terms

TERMS = pytest.mark.parametrize("term", terms(), ids=[term.name for term in terms()])
EMPHASISED = re.compile(r"\*\*([^*]+)\*\*|(?<!\*)\*([^*\n]+)\*|^#+ (.*)$", re.MULTILINE)
BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
# Words that chapters need before the one that is about them; the first page explains the first two.
USED_BEFORE = {"block", "layer", "head (of a task)", "ResNet"}
# Bold in a chapter and no term: words for one section only, what is measured there, beginnings of paragraphs.
NO_TERMS = {
    "no sum",
    "swin",
    "knob",
    "floor",
    "what does not fit",
    "on paper",
    "memory",
    "to decide a sentence",
}


def chapter_of(number):
    return int(re.match(r"\d+", number)[0])


def test_no_term_stands_twice_and_all_are_in_order():
    names = [term.name for term in terms()]
    assert names == sorted(set(names), key=str.lower)
    assert len({term.meaning for term in terms()}) == len({term.words for term in terms()}) == len(names)
    assert len(names) >= 120


@TERMS
def test_a_term_stands_in_the_section_that_introduces_it(term):
    assert term.introduced in [place.section.number for place in places(term)]


@TERMS
def test_a_term_is_first_used_or_first_stressed_where_it_is_introduced(term):
    found = places(term)
    stressed = [
        place.section.chapter
        for place in found
        for text in place.section.prose.values()
        if any(count(term.words, " ".join(words)) for words in EMPHASISED.findall(text))
    ]
    firsts = {found[0].section.chapter, *stressed[:1]}
    assert (chapter_of(term.introduced) in firsts) != (term.name in USED_BEFORE), firsts


@TERMS
def test_a_term_says_what_it_means_in_one_sentence_and_in_chinese(term):
    assert re.search(r"[\u4e00-\u9fff]", term.chinese)
    assert not re.search(r"\.\s", term.meaning) and 4 <= len(term.meaning.split()) <= 25
    assert term.meaning[0].isupper()


def bold_names():
    for section in sections().values():
        for text in section.prose.values():
            for name in BOLD.findall(text) if section.chapter else ():
                words = name.lower().split()
                if len(name) > 1 and len(words) < 5 and not re.search(r"[.:?!·×()\d]", name):
                    yield section.number, name.lower()


def test_every_name_that_a_chapter_sets_in_bold_is_explained():
    words = tuple(word.lower() for term in terms() for word in (term.name.partition(" (")[0], *term.words))
    unknown = {name: number for number, name in bold_names() if not count(words, name)}
    assert unknown.keys() == NO_TERMS, {name: unknown.get(name) for name in unknown.keys() ^ NO_TERMS}


@pytest.mark.parametrize(
    ("word", "text", "times"),
    [
        ("window", "Windows, a window; the window's; rewindow sub-window window-based windowed", 4),
        ("branch", "branches branch branched", 2),
        ("AP", "AP, not ap or APs' or gap or AP50", 2),
        ("patch merging", "Patch merging and patch mergings", 2),
    ],
)
def test_spellings(word, text, times):
    assert count((word,), text) == times


def test_names_of_code_are_counted_in_code_and_other_words_are_not():
    term = term_of("roll | 循环移位 | 4.4 | roll; `cyclic_shift` | Moving a map round.")
    section = Section("04_x.ipynb", "4.4 The roll", "cell-01")
    section.prose = {"cell-01": "The roll: `cyclic_shift`.", "cell-100": "A roll."}
    section.code = {"cell-02": "x = cyclic_shift(x)  # roll", "cell-03": "roll(x)"}
    assert list(term.counts(section).items()) == [("cell-01", 2), ("cell-02", 1), ("cell-100", 1)]


def test_the_index_finds_every_section_with_a_rare_word():
    [halo] = [term for term in terms() if term.name == "halo"]
    expected = [
        section.number
        for section in sections().values()
        if section.chapter and section.heading not in ("Summary", "Questions")
        if re.search(r"\bhaloe?s?\b", " ".join(section.prose.values()), re.IGNORECASE)
    ]
    assert [place.section.number for place in places(halo)] == expected and len(expected) > 3


def test_a_place_is_the_first_cell_with_the_word():
    for term in terms()[::10]:
        for place in places(term):
            cells = list(term.counts(place.section).items())
            assert place.cell == cells[0][0] and place.count == sum(number for _, number in cells)
            assert [int(cell[5:]) for cell, _ in cells] == sorted(int(cell[5:]) for cell, _ in cells)


def test_the_index_keeps_the_ten_sections_that_use_a_word_most():
    rows = dict(re.findall(r"^\| ([^|]+) \| (.*) \|$", glossary.index_table(), re.MULTILINE))
    assert set(rows) == {term.name for term in terms()} | {"term"}
    for term in terms():
        found, shown = places(term), re.findall(r"\[([^\]]+)\]", rows[term.name])
        counts = {place.section.number: place.count for place in found}
        left_out = [counts[number] for number in counts if number not in shown]
        assert len(shown) == min(10, len(found))
        assert shown == [number for number in counts if number in shown]
        assert not left_out or max(left_out) <= min(counts[number] for number in shown)
        assert rows[term.name].endswith(f"and {len(left_out)} more") == bool(left_out)


def test_the_glossary_has_a_row_for_every_term():
    _, _, *rows = glossary.glossary_table().splitlines()
    assert len(rows) == len(terms())
    for term, row in zip(terms(), rows, strict=True):
        name, chinese, meaning, introduced = (part.strip() for part in row.strip("|").split(" | "))
        assert (name, chinese, meaning) == (term.name, term.chinese, term.meaning)
        assert introduced.startswith(f"[{term.introduced}")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("mask | 掩码 | 2.8 | A mask.", "glossary.txt: 'mask .*' has 4 fields; five are needed"),
        ("mask | mask | 2.8 | | A mask.", "glossary.txt: 'mask' needs a name, Chinese, and a sentence"),
        ("mask | 掩码 | 2.8 | | A mask", "glossary.txt: 'mask' needs a name, Chinese, and a sentence"),
    ],
)
def test_an_incomplete_line_is_refused_in_one_sentence(line, sentence):
    with pytest.raises(ValueError, match=sentence):
        term_of(line)


def test_a_term_without_spellings_is_looked_for_by_its_name():
    assert term_of("kind (of window) | 类别 | 9.3 | | Windows alike.") == Term(
        "kind (of window)", "类别", "9.3", ("kind",), (), "Windows alike."
    )
