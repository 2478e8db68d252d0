"""Models that travel inside the package, by name: to sample images within seconds of installing, and to start from."""

from importlib import resources
from pathlib import Path

FILES = {"digits": "digits.safetensors"}


def packaged(name: str) -> Path | None:
    """The model file of a packaged model; None for a name that is not one's."""
    if name not in FILES:
        return None
    return Path(str(resources.files("fromnoise.generation").joinpath(FILES[name])))
