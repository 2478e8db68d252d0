"""Models that travel inside the package, by name: to sample images within seconds of installing, and to start from."""

from pathlib import Path

FILES = {"digits": Path(__file__).with_name("digits.safetensors")}


def packaged(name: str) -> Path | None:
    """The model file of a packaged model; None for a name that is not one's."""
    return FILES.get(name)
