"""Models that travel inside the package, by name: to sample images within seconds of installing, and to start from."""

from pathlib import Path

FILES = {name: Path(__file__).with_name(f"{name}.safetensors") for name in ("digits", "clipart")}
