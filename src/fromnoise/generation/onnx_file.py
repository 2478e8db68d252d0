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


class _Denoise(nn.Module):
    """(x, λ, label) → (x̂_0, ε̂) for pixels in [−1, 1], as a module whose levels travel with the data."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.network = model.network
        self.denoiser, self.info = model.denoiser(), model.info

    def forward(
        self, x: Float[Tensor, "n c h w"], logsnr: Float[Tensor, " n"], label: Int64[Tensor, " n"] | None = None
    ) -> tuple[Float[Tensor, "n c h w"], Float[Tensor, "n c h w"]]:
        encoded, level = self.info.encode_noisy(x, logsnr)
        output = self.denoiser.output(encoded, level, label)
        x0, noise = prediction.to_pair(self.denoiser.prediction, output, encoded, level)
        return self.info.pixels(x0), noise


def save_onnx(model: Model, path: Path) -> None:
    """Write the denoiser for any number of images; raises UserError for a network conditioned on steps."""
    if model.denoiser().levels is not None:
        why = "this network is conditioned on steps, not noise levels, so it cannot be exported"
        raise UserError(f"{why}: train one with --network unet")
    inputs: dict[str, Tensor] = {"x": torch.zeros(2, *model.info.image), "logsnr": torch.zeros(2)}
    if model.info.classes:
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
