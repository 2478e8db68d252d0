"""The machinery of checks: what it prints, that nothing a student writes breaks it, and that grading raises."""

import pytest
import torch

from fromnoise.lab.checking import TODO, Finding, NotPassedError, checked, close, grading


@checked("task 0")
def twice(double):
    yield Finding(double(2) == 4, "two", f"twice 2 is 4, not {double(2)}")
    yield Finding(double(3) == 6, "three", "twice 3 is 6")


@checked("task 00")
def number(value):
    yield Finding(value > 0, "positive", "{negative}")


@checked("task 000")
def shape(zeros):
    yield Finding(zeros().shape == (2,), "two", "not two")


def test_a_right_answer(capsys):
    assert twice(lambda x: x + x) is None
    assert capsys.readouterr().out == "✓ two\n✓ three\n✓ task 0 is right\n"


def test_it_stops_at_the_first_that_is_wrong(capsys):
    twice(lambda x: x)
    assert capsys.readouterr().out == "✗ twice 2 is 4, not 2\n"
    twice(lambda x: x**2)
    assert capsys.readouterr().out == "✓ two\n✗ twice 3 is 6\n"
    number(-1)
    assert capsys.readouterr().out == "✗ {negative}\n"


@pytest.mark.parametrize("stub", [TODO, lambda x: TODO, lambda x: (1, TODO)])
def test_a_stub_is_not_yet(stub, capsys):
    twice(stub)
    assert capsys.readouterr().out == "not yet: task 0\n"


def test_whatever_the_answer_raises_is_said(capsys):
    twice(lambda x: x / 0)
    assert "✗ ZeroDivisionError" in capsys.readouterr().out
    twice(lambda: 4)
    assert "✗ TypeError" in capsys.readouterr().out
    twice(None)
    assert "✗ TypeError" in capsys.readouterr().out


def test_a_missing_return_is_named(capsys):
    def double(x):
        x + x

    twice(double)
    assert capsys.readouterr().out == "✗ TypeError: double returns nothing: is its `return` missing?\n"


def test_the_line_of_the_students_own_cell_is_named(capsys):
    names = {}
    exec(compile("def double(x):\n    return x / 0\n", "<cell>", "exec"), names)
    twice(names["double"])
    assert capsys.readouterr().out == "✗ ZeroDivisionError in line 2 of your code: division by zero\n"


def test_an_answer_that_cannot_be_worked_with_is_not_said_to_be_an_error_of_its_code(capsys):
    shape(lambda: 4.0)
    assert (
        capsys.readouterr().out
        == "✗ AttributeError while checking your answer: 'float' object has no attribute 'shape'\n"
    )


def test_grading_raises_after_printing(capsys):
    with grading():
        twice(lambda x: 2 * x)
        with pytest.raises(NotPassedError, match="not yet: task 0"):
            twice(TODO)
        with pytest.raises(NotPassedError, match="twice 2 is 4"):
            twice(lambda x: x)
    twice(TODO)
    assert capsys.readouterr().out.count("not yet") == 2


def test_close_wants_the_same_shape_and_finite_numbers():
    assert close(1.0, 1)
    assert close(torch.ones(2), torch.ones(2) + 1e-9)
    assert not close(torch.ones(2), torch.ones(2, 1))
    assert not close(torch.tensor(float("nan")), 1)
    assert not close(1.1, 1, 1e-2)
