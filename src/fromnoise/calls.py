"""What Python calls: arguments are checked before work starts, and errors name them as Python does."""

import inspect
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import torch

from fromnoise.errors import UserError
from fromnoise.faces.console import TERMINAL
from fromnoise.say import Reporter
from fromnoise.shared import Shared
from fromnoise.threads import all_threads

FLAG = re.compile(r"(?<![\w/.-])--(no-)?([A-Za-z][\w-]*)(?: (\d[\d.]*)(?=[ )]|$)(?! -?\d))?")
P = ParamSpec("P")
T = TypeVar("T")

TYPES: dict[Any, tuple[type, str]] = {
    bool: (bool, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
    str: (str, "text"),
    Path: (Path, "a path"),
    NoneType: (NoneType, "None"),
}
"""The types that are checked: what an argument must be an instance of, and what to call that."""


def called_from_python(unchecked: Collection[str] = ()) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """A decorator for the functions of the API, which get all threads.

    They raise UserError for arguments of another type than they declare, but for those `unchecked` and for arrays.
    Errors name arguments as Python does: per_class for --per-class.
    """

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        hints, signature = get_type_hints(function), inspect.signature(function)
        checked = {name: kind for name, kind in hints.items() if name not in unchecked}

        @wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                with all_threads(), _plain_pytorch():
                    for name, value in signature.bind(*args, **kwargs).arguments.items():
                        check(name, value, checked.get(name))
                    return function(*args, **kwargs)
            except UserError as error:
                error.args = (as_python(str(error)),)
                raise

        return called

    return decorated


@contextmanager
def _float32() -> Iterator[None]:
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)


_FLOAT32 = Shared(_float32)
"""Within it PyTorch's default type, which all threads have in common, is float32."""


@contextmanager
def _plain_pytorch() -> Iterator[None]:
    """Within it PyTorch's settings are its defaults: what the caller has set would stop or change our work."""
    with ExitStack() as stack:
        stack.enter_context(_FLOAT32)
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        yield


def reporter_of(quiet: bool) -> Reporter:
    """Where progress goes: to stderr, or nowhere if `quiet`."""
    return Reporter() if quiet else Reporter(_say, TERMINAL.bar)


def _say(line: str) -> None:
    TERMINAL.say(as_python(line))


def as_python(words: str) -> str:
    """A sentence that names arguments as Python does, but in `commands`."""
    return "`".join(part if k % 2 else FLAG.sub(_named, part) for k, part in enumerate(words.split("`")))


def _named(flag: re.Match[str]) -> str:
    off, name, number = flag.groups()
    return f"{name.replace('-', '_')}{'=False' if off else ''}{f'={number}' if number else ''}"


def check(name: str, value: object, kind: Any) -> None:
    """Raise UserError for a value that is of none of the types in `kind`, if all of these can be checked."""
    kinds = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    choices = [choice for each in kinds if get_origin(each) is Literal for choice in get_args(each)]
    plain = [each for each in kinds if get_origin(each) is not Literal]
    if any(each not in TYPES for each in plain) or (isinstance(value, str) and value in choices):
        return
    # True is no whole number here.
    if not any(isinstance(value, TYPES[each][0]) and isinstance(value, bool) <= (each is bool) for each in plain):
        wanted = [TYPES[each][1] for each in plain] + ([f"one of {', '.join(choices)}"] if choices else [])
        raise UserError(f"{name} must be {' or '.join(wanted)}, not {value!r:.60}")
