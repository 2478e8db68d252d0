"""How a student's answer is checked: line by line, ✓ or ✗ with a sentence that helps, and never an exception.

A check is a generator of `Finding`s. It is stopped at the first one that is wrong, so that what follows may rely on
what came before: `yield Finding(x.shape == (m, 2), "m points in the plane", f"the shape is {x.shape}, not (m, 2)")`.
"""

import functools
import inspect
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np
import torch


class _Todo:
    def __repr__(self) -> str:
        return "TODO"


TODO = _Todo()
"""What a stub returns, or is, until the student writes something else."""
_grading: ContextVar[bool] = ContextVar("grading", default=False)


class Finding(NamedTuple):
    """One line of a check."""

    right: bool
    said: str
    """The line when it is right: what was found to hold."""
    hint: str
    """The line when it is wrong: what was found instead, and where to look."""


Check = Callable[..., Iterator[Finding]]


class NotYetError(Exception):
    """The student's function is still a stub."""


class NotPassedError(AssertionError):
    """Raised while grading by a check that was not passed."""


def checked(name: str) -> Callable[[Check], Callable[..., None]]:
    """The check of `name` ("task 4") as a student calls it: it prints its findings and returns nothing.

    Answers that are still `TODO`, or functions that return it, are "not yet". Inside `grading` a check that is not
    passed raises NotPassedError after it has printed.
    """

    def decorate(check: Check) -> Callable[..., None]:
        @functools.wraps(check)
        def run(*answers: Any) -> None:
            failure = _failure(name, check, tuple(_guarded(answer) for answer in answers))
            print(failure or f"✓ {name} is right")
            if failure and _grading.get():
                raise NotPassedError(failure)

        return run

    return decorate


@contextmanager
def grading() -> Iterator[None]:
    """Checks in this block raise NotPassedError when they are not passed, as autograders want it."""
    token = _grading.set(True)
    try:
        yield
    finally:
        _grading.reset(token)


def close(found: Any, right: Any, within: float = 1e-6) -> bool:
    """Whether numbers or tensors agree in shape, and in value by `within` (relative to the largest of `right`)."""
    found, right = (torch.as_tensor(value).detach().double() for value in (found, right))
    if found.shape != right.shape or not bool(torch.isfinite(found).all()):
        return False
    return bool((found - right).abs().max() <= within * max(1.0, float(right.abs().max()))) if right.numel() else True


def shaped(found: Any, right: tuple[int, ...], said: str, given: str) -> Finding:
    """The finding on a shape; `given` is what it comes from, as in "7 points give"."""
    shape = tuple(found.shape)
    return Finding(shape == right, said, f"{given} shape {shape}, not {right}")


def _failure(name: str, check: Check, answers: tuple[Any, ...]) -> str:
    """Print what is found right; returns the line on what is not, or nothing."""
    try:
        for answer in answers:
            _refuse_todo(answer)
        for right, said, hint in check(*answers):
            if not right:
                return f"✗ {hint}"
            print(f"✓ {said}")
    except NotYetError:
        return f"not yet: {name}"
    except Exception as error:  # whatever the student's code raises, or returns that cannot be worked with
        return f"✗ {type(error).__name__}{_where(error)}: {error}"
    return ""


def _guarded(answer: Any) -> Any:
    """The answer; a function so that a TODO it returns, alone or among others, is NotYetError, None TypeError, and an
    array a tensor."""
    if not inspect.isroutine(answer):
        return answer

    @functools.wraps(answer)
    def called(*args: Any, **kwargs: Any) -> Any:
        result = answer(*args, **kwargs)
        if result is None:
            raise TypeError(f"{answer.__name__} returns nothing: is its `return` missing?")
        _refuse_todo(result)
        return tuple(map(_tensor, result)) if type(result) is tuple else _tensor(result)

    return called


def _tensor(answer: Any) -> Any:
    """NumPy's arrays as tensors, as checks expect them."""
    return torch.as_tensor(answer) if isinstance(answer, np.ndarray) else answer


def _refuse_todo(answer: Any) -> None:
    if answer is TODO or (isinstance(answer, tuple | list) and any(part is TODO for part in answer)):
        raise NotYetError


def _where(error: Exception) -> str:
    """The line of the student's own cell in which it failed; or that the check could not work with the answer."""
    frames = list(traceback.walk_tb(error.__traceback__))
    own = [
        line
        for frame, line in frames
        if "fromnoise" not in frame.f_globals.get("__name__", "")
        and (frame.f_code.co_filename.startswith("<") or "ipykernel" in frame.f_code.co_filename)
    ]
    if own:
        return f" in line {own[-1]} of your code"
    return "" if any(frame.f_code.co_name == "called" for frame, _ in frames) else " while checking your answer"
