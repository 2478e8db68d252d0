"""Look-up by name: an unknown name is an error that lists the known ones."""

from collections.abc import Mapping
from typing import TypeVar

from fromnoise.errors import UserError

Value = TypeVar("Value")


def lookup(kind: str, name: str, table: Mapping[str, Value]) -> Value:
    """The value called `name`; raises UserError, listing the known names, for any other."""
    if name not in table:
        raise UserError(f"unknown {kind} '{name}'; choose one of: {', '.join(table)}")
    return table[name]
