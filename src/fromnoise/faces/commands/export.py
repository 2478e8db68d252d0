"""`fromnoise export`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.faces.arguments import parse, refuse_existing


@dataclass(frozen=True)
class ExportArguments:
    """Write a model's denoiser as ONNX, for runtimes without PyTorch (extra: export).

    Inputs x (n×C×H×W, float32, noisy images), logsnr (n, float32, λ of each) and, for models with classes or clusters,
    label (n, int64; their number means any). Outputs x0 and noise, the estimates that every sampler works with.

    fromnoise export runs/digits digits.onnx
    """

    source: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder, a checkpoint in it, a model.safetensors file, or digits, the packaged model."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """The .onnx file to write."""
    overwrite: bool = False
    """Replace FILE if it is there."""


def main(words: Sequence[str]) -> int:
    """Export; returns the exit code."""
    arguments = parse(ExportArguments, words, "export")
    refuse_existing(arguments.out, arguments.overwrite)

    from fromnoise.experiment.find import find_model
    from fromnoise.extras import extra
    from fromnoise.faces.onnx_file import save_onnx
    from fromnoise.generation.model import Model

    for module in ("onnx", "onnxscript"):
        extra(module, "export")
    save_onnx(Model.load(find_model(arguments.source)), arguments.out)
    print(arguments.out)
    return 0
