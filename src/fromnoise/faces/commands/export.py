"""`fromnoise export`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.faces.arguments import ModelSource, Overwrite, refuse_existing


@dataclass(frozen=True)
class ExportArguments:
    """Export a model's denoiser as ONNX, for runtimes without PyTorch (extra: export).

    Inputs: x (n×C×H×W, float32), which is a·x0 + b·noise for pixels x0 in [−1, 1], with a² + b² = 1; logsnr
    (n, float32), λ = log(a²/b²) of each image; and, for models with classes or clusters, label (n, int64; a label equal
    to the number of classes means "any"). Outputs: x0 and noise as the network estimates them, which is what every
    sampler needs. For a model with transparency, the colours of x0 are multiplied by alpha.

    fromnoise export runs/digits digits.onnx
    """

    source: ModelSource
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="FILE")]
    """The .onnx file to write."""
    overwrite: Overwrite = False


def main(arguments: ExportArguments) -> None:
    """Export."""
    refuse_existing(arguments.overwrite, arguments.out)

    from fromnoise.experiment.find import load_model
    from fromnoise.extras import extra
    from fromnoise.generation.onnx_file import save_onnx

    for module in ("onnx", "onnxscript"):
        extra(module, "export")
    save_onnx(load_model(arguments.source), arguments.out)
    print(arguments.out)
