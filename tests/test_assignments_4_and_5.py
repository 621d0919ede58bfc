"""Assignment 4's pictures show what its items ask; assignment 5's tables are its rubric."""

import re
from itertools import product

import nbformat
import pytest
import torch

from swin_edu.book import drawings
from swin_edu.book.classroom.assignments import ASSIGNMENTS
from swin_edu.book.classroom.items import a4
from swin_edu.book.classroom.items.a5 import RUBRIC
from swin_edu.book.classroom.release import release
from swin_edu.book.images import sample_image

IMAGE = sample_image("temple", 112)


@pytest.mark.parametrize(("rows", "columns"), [(2, 3), (2, 2), (3, 1)])
def test_merged_rectangles_count_as_the_item_does(rows, columns):
    axes = drawings.merged_rectangles(IMAGE[:, :98], 14, rows, columns).axes[0]
    numbers = {
        (int(text.get_position()[1] // 14), int(text.get_position()[0] // 14)): int(text.get_text())
        for text in axes.texts
    }
    height, width = max(numbers)[0] + 1, max(place[1] for place in numbers) + 1
    assert (height, width) == (-(-7 // rows) * rows, -(-8 // columns) * columns)
    count = rows * columns
    weights = {"norm.weight": torch.ones(count), "norm.bias": torch.zeros(count)}
    weights["reduction.weight"] = torch.eye(count)
    tokens = torch.arange(1.0, 57).reshape(1, 7, 8, 1)
    merged = a4.merge_patches(tokens, weights, rows, columns)[0]
    for (row, column), place in numbers.items():
        joined = merged[row // rows, column // columns]
        value = tokens[0, row, column, 0] if row < 7 and column < 8 else torch.zeros(())
        others = [
            at for at in numbers if (at[0] // rows, at[1] // columns) == (row // rows, column // columns)
        ]
        line = torch.tensor([tokens[0, *at, 0] if at[0] < 7 and at[1] < 8 else 0.0 for at in others])
        expected = (value - line.mean()) / (line.var(correction=0) + 1e-5).sqrt()
        torch.testing.assert_close(joined[place], expected, rtol=1e-4, atol=1e-4)
    framed = {
        (*patch.get_xy(), patch.get_width(), patch.get_height())
        for patch in axes.patches
        if not patch.get_fill()
    }
    corners = product(range(0, width, columns), range(0, height, rows))
    assert {(14 * x, 14 * y, 14 * columns, 14 * rows) for x, y in corners} <= framed


def test_merged_rectangles_hatch_what_is_padding():
    hatched = [
        (round(patch.get_y() / 14), round(patch.get_x() / 14))
        for patch in drawings.merged_rectangles(IMAGE[:, :98], 14, 2, 3).axes[0].patches
        if patch.get_hatch()
    ]
    assert set(hatched) == {
        (row, column) for row in range(8) for column in range(9) if row == 7 or column == 8
    }


def test_branches_stand_in_order_and_return_to_sums():
    drawn = drawings.branches(
        {"one": [["norm1", "attention"], ["MLP"]], "two": [["attention", "norm1", "keep?"]]}
    )
    first, second = drawn.axes
    texts = [
        [text.get_text() for text in sorted(axes.texts, key=lambda text: text.get_position())]
        for axes in drawn.axes
    ]
    words = [[word for word in of_axes if word] for of_axes in texts]
    assert words == [["x", "norm1", "attention", "+", "MLP", "+"], ["x", "attention", "norm1", "keep?", "+"]]
    assert (first.get_title(), second.get_title()) == ("one", "two")
    outlined = [patch for patch in first.patches if patch.get_linewidth()]
    assert len(outlined) == 3 and len({patch.get_edgecolor() for patch in outlined}) == 2


TABLE = re.compile(r"\| criterion \| points \|\n\|---\|---\|\n((?:\|.*\|\n?)+)")


def questions():
    """The cells that a person grades, each with the text before it."""
    cells = nbformat.read(ASSIGNMENTS["A5"].source, as_version=4).cells
    marked = [
        (before, cell) for before, cell in zip(cells, cells[1:], strict=False) if "nbgrader" in cell.metadata
    ]
    return {cell.metadata.nbgrader.grade_id: (before, cell) for before, cell in marked}


def test_every_question_has_a_rubric_and_every_rubric_a_question():
    assert list(questions()) == list(RUBRIC) == list(ASSIGNMENTS["A5"].rubric)
    assert ASSIGNMENTS["A5"].points == 40


@pytest.mark.parametrize("name", RUBRIC)
def test_the_table_before_a_question_is_its_rubric(name):
    before, cell = questions()[name]
    rows = [row.strip("| ").split(" | ") for row in TABLE.search(before.source + "\n")[1].strip().split("\n")]
    assert [(criterion, int(points)) for criterion, points in rows] == list(RUBRIC[name])
    marks = cell.metadata.nbgrader
    assert marks.points == sum(points for _, points in RUBRIC[name])
    assert marks.grade and marks.solution and not marks.locked
    assert len({criterion for criterion, _ in RUBRIC[name]}) == len(RUBRIC[name])


def test_the_points_that_the_text_promises():
    for name in ("A4", "A5"):
        opening = nbformat.read(ASSIGNMENTS[name].source, as_version=4).cells[0].source
        assert f"{ASSIGNMENTS[name].points} points" in opening
    each = re.search(
        r"10 points: (.*)\.", nbformat.read(ASSIGNMENTS["A4"].source, as_version=4).cells[0].source
    )
    assert [*map(int, re.findall(r"\d+", each[1]))] == [item.points for item in ASSIGNMENTS["A4"].items]


@pytest.mark.parametrize("name", ["A4", "A5"])
def test_what_is_handed_out_holds_no_answer(name):
    answers = re.compile(r"### BEGIN SOLUTION\n(.*?)### END SOLUTION", re.DOTALL)
    source = nbformat.read(ASSIGNMENTS[name].source, as_version=4)
    handed_out = nbformat.writes(release(ASSIGNMENTS[name]))
    lines = [
        line.strip()
        for cell in source.cells
        for answer in answers.findall(cell.source)
        for line in answer.split("\n")
    ]
    long = [line for line in lines if len(line) > 50]
    assert len(long) > 5
    assert not [line for line in long if line in handed_out]


def test_the_essay_keeps_its_own_limit():
    words = questions()["essay"][1].source.split("SOLUTION")[1].split()
    assert len(words) <= 400
