"""Models that travel inside the package, by name: to sample images within seconds of installing, and to start from."""

from pathlib import Path

FILES = {name: Path(__file__).with_name(f"{name}.safetensors") for name in ("digits", "clipart", "clipart64")}


def packaged(name: str) -> Path | None:
    """The model file of a packaged model; None for a name that is not one's."""
    return FILES.get(name)
