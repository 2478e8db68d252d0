"""Frozen dataclasses from plain JSON values."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import Any

from fromnoise.errors import UserError


def typed(hint: Any, value: Any, place: str) -> Any:
    """`value`, called `place`, as the type `hint` has it: objects become dataclasses and lists tuples.

    Keys without a field are left out; the field `class_` is of the key `class`. Raises UserError for a missing key.
    """
    if typing.get_origin(hint) is types.UnionType:
        if value is None:
            return None
        hint = next(arm for arm in typing.get_args(hint) if arm is not types.NoneType)
    if dataclasses.is_dataclass(hint):
        return _object(hint, value, place)
    if typing.get_origin(hint) is tuple and isinstance(value, list | tuple):
        return tuple(typed(typing.get_args(hint)[0], item, f"{place}[]") for item in value)
    return value


def _object(cls: Any, value: Any, place: str) -> Any:
    hints, found = typing.get_type_hints(cls), {}
    for item in dataclasses.fields(cls):
        key = item.name.rstrip("_")
        if not isinstance(value, Mapping) or (key not in value and item.default is dataclasses.MISSING):
            raise UserError(f"{place}.{key} is missing")
        if key in value:
            found[item.name] = typed(hints[item.name], value[key], f"{place}.{key}")
    return cls(**found)
