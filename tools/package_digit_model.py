"""Put a trained run's model into the package: src/fromnoise/generation/digits.safetensors.

    fromnoise run --data digits --minutes 30 --out runs/packaged
    python tools/package_digit_model.py runs/packaged

The averaged weights in half precision, which is half the size; how far that moves the pixels of 64 images is printed.
Refused: a model of other images than the packaged digits, a file above 8 MB, and a run whose report shows a sign of
copying.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.errors import UserError
from fromnoise.experiment.find import parts_of
from fromnoise.faces.cli import script
from fromnoise.files import read_json
from fromnoise.generation import pretrained
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import SampleRequest, sample
from fromnoise.training.run_folder import RunFolder

LARGEST = 8_000_000  # bytes


@dataclass(frozen=True)
class Arguments:
    """Package the model of a run on the packaged digits."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


def main(arguments: Arguments) -> None:
    """Check the run, write its model."""
    folder, target = RunFolder(arguments.run), pretrained.packaged("digits")
    assert target is not None, "it has a name"
    report, parts = read_json(folder.report_file), parts_of(arguments.run)
    if parts.train.name.split(":")[0] != "digits":
        raise UserError(f"{arguments.run} was trained on {parts.train.name}, not on the packaged digits")
    verdict = report["copies"]["verdict"]
    if report["copies"]["copying"] is not False:
        raise UserError(f"{arguments.run}: {verdict}")
    model = Model.load(folder.model_file())
    weights = {name: value.half() for name, value in model.network.state_dict().items()}
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    if size > LARGEST:
        raise UserError(f"{size:,} bytes of weights are more than {LARGEST:,}: use a smaller network")
    model.save(target, weights)
    first, half = (sample(each, SampleRequest(64)).int() for each in (model, Model.load(target)))
    moved = (first - half).abs()
    print(f"pixels of 64 images move by {moved.max()} grey levels at most, {moved.float().mean():.3f} on average")
    fid, over = report["metrics"]["fid"], report["excess"]
    print(f"{target}: {target.stat().st_size:,} bytes; FID {fid['value']:.3f}, {over['value']:.3f} over the floor")
    print(verdict)


if __name__ == "__main__":
    script(main, Arguments, __doc__)
