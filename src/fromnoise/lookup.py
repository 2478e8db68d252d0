"""Look-up by name: an unknown name is an error that lists the known ones."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

from fromnoise.errors import UserError

MANY = 30  # known names, of which only one like the unknown is named
Value = TypeVar("Value")


def lookup(kind: str, name: str, table: Mapping[str, Value]) -> Value:
    """The value called `name`; raises UserError, listing the known names, for any other."""
    if name not in table:
        if len(table) > MANY and (near := difflib.get_close_matches(name, table, n=1)):
            raise UserError(f"unknown {kind} '{name}'; did you mean {near[0]}?")
        raise UserError(f"unknown {kind} '{name}'; choose one of: {', '.join(table)}")
    return table[name]
