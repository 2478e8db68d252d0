"""The hardware and versions behind a result, for reports and `fromnoise doctor`."""

import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from fromnoise import __version__
from fromnoise.files import quoted
from fromnoise.say import plural
from fromnoise.threads import cores, shared

CPU_INFO = Path("/proc/cpuinfo")  # Linux alone has it
LIBRARIES = ("torch", "torchvision", "diffusers", "accelerate", "numpy")


def processor() -> str:
    """The processor's name and how many cores this process may use; a name without a number gets family and model."""
    pairs = (line.partition(":") for line in CPU_INFO.read_text().splitlines()) if CPU_INFO.exists() else ()
    fields = {key.strip(): value.strip() for key, _, value in pairs}
    name = fields.get("model name") or platform.processor() or platform.machine()
    if not any(letter.isdigit() for letter in name) and {"cpu family", "model"} <= fields.keys():
        name += f" (family {fields['cpu family']}, model {fields['model']})"
    return f"{name}, {plural(len(cores()), 'core')}"


def matrix_units() -> str:
    """The CPU's units for bfloat16, as Linux reports them."""
    flags = set(CPU_INFO.read_text().split()) if CPU_INFO.exists() else set()
    names = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16", "avx512f": "AVX-512", "avx2": "AVX2"}
    return next((name for flag, name in names.items() if flag in flags), "none known")


def about(device: torch.device) -> dict[str, Any]:
    """Hardware and versions as plain JSON values."""
    return {
        "device": device.type,
        "hardware": torch.cuda.get_device_name(device) if device.type == "cuda" else processor(),
        "matrix_units": matrix_units() if device.type == "cpu" else None,
        "threads": shared().most,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {"fromnoise": __version__} | {name: version(name) for name in LIBRARIES},
    }


def command() -> str:
    """The command line that started this process, to repeat it."""
    return quoted(["fromnoise", *sys.argv[1:]])
