"""A model's denoiser as an ONNX file."""

import contextlib
import io
import warnings
from pathlib import Path

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fromnoise.diffusion import prediction
from fromnoise.errors import UserError
from fromnoise.files import whole
from fromnoise.generation.model import Model
from fromnoise.networks.registry import network


class _Denoise(nn.Module):
    """(x, λ, label) → (x̂_0, ε̂) as a module, whose levels travel with the data."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = model.network
        self.denoiser = model.denoiser()

    def forward(
        self, x: Float[Tensor, "n c h w"], logsnr: Float[Tensor, " n"], label: Int64[Tensor, " n"] | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
        denoiser = self.denoiser
        output = denoiser.output(x, logsnr, label)
        seen, level = denoiser.shrink(x, logsnr), denoiser.inner(logsnr)
        x0, noise = prediction.to_pair(denoiser.prediction, output, seen, level)
        return x0 * denoiser.scale, noise


def save_onnx(model: Model, path: Path) -> None:
    """Write the denoiser for any number of images; raises UserError for a network conditioned on steps."""
    if network(model.config.network).BY_STEP:
        raise UserError("the chapter's network is conditioned on steps, not noise levels: it cannot be exported")
    inputs: dict[str, Tensor] = {"x": torch.zeros(2, *model.shape.image), "logsnr": torch.zeros(2)}
    if model.shape.classes:
        inputs["label"] = torch.zeros(2, dtype=torch.int64)
    batch = torch.export.Dim("n")
    with whole(path) as temporary, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's own deprecations
        torch.onnx.export(
            _Denoise(model).eval(),
            tuple(inputs.values()),
            str(temporary),
            input_names=list(inputs),
            output_names=["x0", "noise"],
            dynamic_shapes=tuple({0: batch} for _ in inputs),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
