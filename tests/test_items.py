"""The graders are graded: each item takes what is right, refuses what is wrong, and names the mistake."""

import ast
import inspect
import io
import json
import re
import signal
import textwrap
from contextlib import redirect_stdout
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

from swin_edu.book import check
from swin_edu.book.classroom import inside
from swin_edu.book.classroom.assignments import ASSIGNMENTS, ITEMS
from swin_edu.book.classroom.item import Answer, attempt, judge, share_right, side_by_side
from swin_edu.book.drawings import target_and_yours

ITEM = pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
SEEDS = (0, 1, 2_024)


def verdict(item, function, seed):
    calls = item.calls(seed)
    return judge(item, calls, [attempt(item, function, arguments) for arguments in calls])


def test_names_are_unique():
    from_assignments = [item.name for assignment in ASSIGNMENTS.values() for item in assignment.items]
    assert len(from_assignments) == len(set(from_assignments)) >= 20
    for assignment in ASSIGNMENTS.values():
        assert len(assignment.items) == 5 or assignment.rubric


@ITEM
def test_the_reference_and_other_right_answers_are_right(item):
    assert len(item.others) >= 2
    for seed in SEEDS:
        for function in (item.reference, *item.others):
            result = verdict(item, function, seed)
            assert (result.outcome, result.share) == ("right", 1.0), (function.__name__, result.message)


@ITEM
def test_every_known_mistake_is_refused_and_named(item):
    names = [mistake.name for mistake in item.mistakes]
    assert len(names) == len(set(names)) >= 6
    for seed in SEEDS:
        for mistake in item.mistakes:
            result = verdict(item, mistake.function, seed)
            assert result.outcome in ("wrong", "raised") and result.share < 1
            assert (result.mistake, result.hint) == (mistake.name, mistake.hint)


@ITEM
def test_no_answer_is_no_right_answer(item):
    def unwritten(*arguments):
        raise NotImplementedError

    assert verdict(item, lambda *arguments: None, 0).outcome == "empty"
    assert verdict(item, unwritten, 0).outcome == "empty"
    for result in (0, torch.zeros(1), torch.tensor(float("nan")), "text", object(), (), [None]):
        assert verdict(item, lambda *arguments, result=result: result, 0).outcome in ("wrong", "raised")


@ITEM
def test_the_task_says_what_comes_out(item):
    assert item.task.partition("\n")[0].endswith((".", ":"))
    call = item.calls(0)[0]
    for name in [*inspect.signature(item.reference).parameters][: len(call)]:
        assert f"{name} " in item.describe(call)


@ITEM
def test_arguments_pass_into_the_sandbox_and_values_out(item):
    """What the functions get inside is what they get here; a pickle is never needed."""
    for call in item.calls(0):
        tensors = {}
        coded = [inside.encode(value, tensors) for value in call]
        header, arrived = inside.unpack(inside.pack({"call": coded}, tensors)[8:])
        there = item.reference(*(inside.decode(value, arrived) for value in header["call"]))
        values = {str(place): value for place, value in enumerate(inside.as_values(there))}
        out = inside.unpack(inside.pack({}, values)[8:])[1]
        assert judge(item, [call], [Answer(tuple(out[name] for name in values))]).outcome == "right"


@ITEM
def test_answers_are_small_and_cases_differ(item):
    calls = item.calls(0)
    for call in calls:
        assert sum(value.numel() for value in inside.as_values(item.reference(*call))) <= 20_000
    assert len({item.describe(call) for call in calls}) > 1


# Mutants that are right all the same: for each item what they change, and why it makes no difference.
EQUIVALENT = json.loads(Path(__file__).with_name("equivalent_mutants.json").read_text("utf-8"))


def mutants(function):
    """What cosmic-ray makes of a function: the changed line and the changed function."""
    source = textwrap.dedent(inspect.getsource(function))
    body = ast.parse(source).body[0].body
    start = body[1].lineno if isinstance(body[0], ast.Expr) else body[0].lineno  # after the docstring
    nodes = [*ast_nodes(get_ast(source))]
    for name in operator_names():
        try:
            operator = get_operator(name)()
        except TypeError:  # an operator that wants to be told what to replace
            continue
        for occurrence in range(sum(len([*operator.mutation_positions(node)]) for node in nodes)):
            mutated = mutate_code(source, operator, occurrence)
            old, new = source.splitlines(), mutated.splitlines()
            changed = next((n for n, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), 0)
            if changed < start - 1:  # a default or a type
                continue
            namespace = dict(function.__globals__)
            try:
                exec(compile(mutated, "<mutant>", "exec"), namespace)
            except SyntaxError:
                continue
            yield f"{old[changed].strip()} -> {new[changed].strip()}", namespace[function.__name__]


@cache
def mutants_of(item):
    """The mutants of the reference, or, where that is the package's own or one pattern, of another answer."""
    own = item.reference.__module__.startswith("swin_edu.book.classroom.items")
    every = ([*mutants(function)] for function in (item.reference, *item.others)[not own :])
    return next(made for made in every if made)


def is_found(item, mutant, targets):
    def too_long(*_):
        raise TimeoutError

    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(2)
    try:
        return any(share_right(target, attempt(item, mutant, call)) < 1 for call, target in targets)
    except (TimeoutError, MemoryError):
        return True
    finally:
        signal.alarm(0)


@ITEM
@pytest.mark.filterwarnings("ignore")
def test_mutants_are_found(item):
    made = mutants_of(item)
    targets = [(call, attempt(item, item.reference, call)) for seed in SEEDS for call in item.calls(seed)]
    survivors = {change for change, mutant in made if not is_found(item, mutant, targets)}
    assert survivors == EQUIVALENT.get(item.name, {}).keys()


def test_nearly_all_mutants_are_found():
    """Even if all of them were wrong, 95 of 100 would be found."""
    equal = sum(len(mutants) for mutants in EQUIVALENT.values())
    assert equal <= 0.05 * sum(len(mutants_of(item)) for item in ITEMS.values())


def said(function, item):
    out = io.StringIO()
    with redirect_stdout(out):
        passed = getattr(check, item)(function)
    return bool(passed), out.getvalue()


def test_a_check_says_what_is_right(capsys):
    passed, text = said(ITEMS["rectangular_windows"].others[0], "rectangular_windows")
    assert passed
    assert re.fullmatch(r"✓ windows_by_reshape: 4 of 4 cases, all 572 values\n", text)


def test_a_check_shows_target_and_yours(monkeypatch):
    shown = []
    monkeypatch.setattr(check, "show", lambda drawn, alt: shown.append((drawn, alt)))
    mistake = ITEMS["rectangular_windows"].mistakes[2]
    passed, text = said(mistake.function, "rectangular_windows")
    assert not passed
    assert text.startswith(
        "✗ <lambda>: 48% of 572 values are right\n  case 1, x (1, 4, 6, 1), height 2, width 3:\n"
    )
    assert text.endswith(f"  hint: {mistake.hint}\n")
    ((drawn, alt),) = shown
    target, yours = (axes.images[0].get_array() for axes in drawn.axes)
    assert target[0].tolist() == [0, 1, 2, 6, 7, 8] and yours[0].tolist() == [0, 6, 1, 7, 2, 8]
    assert "gives 6 instead of 1" in alt


def framed(target, value):
    """The places that the picture of a wrong answer frames, and the numbers that it shows."""
    drawn = target_and_yours(*side_by_side(target, value))
    places = {(round(box.get_y() - 0.04), round(box.get_x() - 0.04)) for box in drawn.axes[1].patches}
    return places, [axes.images[0].get_array() for axes in drawn.axes]


def test_a_picture_frames_what_is_wrong_however_little():
    target = torch.arange(12.0, dtype=torch.float64).reshape(3, 4) + 100
    value = target.clone()
    value[1, 2] += 1
    value[2, 0] *= 1.0003  # more than rounding, less than the digits that are drawn
    places, shown = framed(target, value)
    assert places == {(1, 2), (2, 0)}
    assert shown[0].tolist() == target.tolist() and shown[1][1, 2] == 107
    assert framed(target, target[:2])[0] == set()  # other shapes: nothing to frame


def test_a_picture_shows_a_part_with_a_mistake():
    target = torch.zeros(3, 40, 50, dtype=torch.float64)
    value = target.clone()
    value[2, 39, 45] = 1
    places, shown = framed(target, value)
    assert len(places) == 1 and shown[1].shape == (16, 16)
    assert shown[1][places.pop()] == 1


def test_a_check_of_nothing_is_no_error():
    assert said(lambda *given: None, "attention_pairs") == (False, "○ <lambda> returns nothing\n")


def test_a_function_that_calls_one_that_is_not_written():
    def helper(height):
        raise NotImplementedError

    def mine(height, width, window):
        return helper(height)

    assert said(helper, "attention_pairs")[1].startswith("✗ helper")  # it takes fewer arguments
    _, text = said(mine, "attention_pairs")
    assert "  mine calls helper, which is not written yet\n" in text and text.startswith("✗")


def test_a_check_of_what_is_no_function():
    with pytest.raises(TypeError, match="takes the function itself, got a int"):
        check.attention_pairs(3)
    with pytest.raises(AttributeError, match="there is no check 'nothing'; there are "):
        check.nothing  # noqa: B018
    assert set(dir(check)) == set(ITEMS)


def test_a_check_leaves_no_trace():
    """Neither the random numbers of the notebook nor the inputs of later cases change."""

    def spoiling(height, width, window):
        torch.rand(3)
        return ITEMS["attention_pairs"].reference(height, width, window)

    torch.manual_seed(0)
    before = torch.rand(3)
    torch.manual_seed(0)
    assert said(spoiling, "attention_pairs")[0]
    assert torch.equal(torch.rand(3), before)

    def in_place(x, window):
        result = ITEMS["dilated_windows"].reference(x, window).clone()
        x.zero_()
        return result

    assert said(in_place, "dilated_windows")[0]


def test_infinities_are_equal_and_nan_is_not():
    item = ITEMS["attention_pairs"]
    for value, right in ((float("inf"), True), (float("nan"), False)):
        same = Answer((torch.tensor(value, dtype=torch.float64),))
        fixed = replace(item, reference=lambda value: value, cases=lambda generator: [()], mistakes=())
        assert (judge(fixed, [(value,)], [same]).outcome == "right") == right


def test_whole_numbers_are_exact_and_others_are_not():
    item = replace(ITEMS["attention_pairs"], reference=lambda value: value, mistakes=())
    for target, given, right in (
        (28_288_354, 28_288_355, False),
        (28_288_354, 28_288_354.0, True),
        (2.0, 2.00001, True),
        (2.0, 2.001, False),
        (True, 1.0, True),
    ):
        answer = Answer(inside.as_values(given))
        assert (judge(item, [(target,)], [answer]).outcome == "right") == right
