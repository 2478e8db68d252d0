"""Limits of numbers: a field's type names them, as in `m: Annotated[int, Limits(1)]`."""

import dataclasses
from collections.abc import Callable
from math import inf, isfinite
from numbers import Real
from typing import Any, NamedTuple, get_args, get_type_hints

from fromnoise.errors import UserError


class Limits(NamedTuple):
    """The least and the largest number that a field takes."""

    least: float
    largest: float = inf


def flag(name: str) -> str:
    """The flag of the setting `name`."""
    return "--" + name.replace("_", "-")


def check_limits(settings: Any, called: Callable[[str], str] = flag) -> None:
    """Raise UserError for a number in a dataclass, or in one within it, that is outside its limits or not finite.

    `called` says what a field is called in the message.
    """
    for name, kind in get_type_hints(type(settings), include_extras=True).items():
        value = getattr(settings, name)
        limits = _limits(kind)
        least, largest = limits or (-inf, inf)
        for number in value if isinstance(value, tuple) else (value,):
            if dataclasses.is_dataclass(number):
                check_limits(number, called)
            if isinstance(number, Real) and not (least <= float(number) <= largest and isfinite(number)):
                within = f"at least {least:g}" if largest == inf else f"from {least:g} to {largest:g}"
                raise UserError(f"{called(name)} must be {within if limits else 'finite'}, not {number:g}")


def _limits(kind: Any) -> Limits | None:
    """The limits in a type such as Annotated[int, Limits(1)] | None."""
    parts = (*getattr(kind, "__metadata__", ()), *get_args(kind))
    return next((found for part in parts if (found := part if isinstance(part, Limits) else _limits(part))), None)
