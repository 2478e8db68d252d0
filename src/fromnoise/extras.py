"""Optional libraries: imported where they are used, with a sentence if they are missing."""

import importlib
from types import ModuleType

from fromnoise.errors import UserError


def extra(module: str, name: str) -> ModuleType:
    """The module of an extra; raises UserError saying how to install it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(f'this needs {module}: pip install "fromnoise[{name}]"') from error
