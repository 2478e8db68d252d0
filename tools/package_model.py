r"""Put a trained run's model into the package: src/fromnoise/generation/NAME.safetensors.

    fromnoise run --data digits --steps 5600 --threads 1 --out runs/packaged
    python -m tools.package_model digits runs/packaged

    python -m tools.make_clipart --out build/clipart
    fromnoise train --data build/clipart --fit pad --skip-broken --augment 0.3 --guidance 1 --init none --minutes 30 \
        --out runs/clipart
    fromnoise train --data build/clipart --fit pad --skip-broken --augment 0.3 --guidance 1 --init none --minutes +58 \
        --threads 1 --out runs/clipart
    python -m tools.package_model clipart runs/clipart
    fromnoise train --data build/clipart --size 64 --fit pad --skip-broken --augment 0.3 --guidance 1 --init clipart \
        --minutes 60 --out runs/clipart64
    python -m tools.package_model clipart64 runs/clipart64

The last training was 4,467 steps, on a machine that was busy for half of the hour.

The averaged weights in half precision, which is half the size; how far that moves the pixels of 64 images is printed.
Refused: a model of other images than the name says, a file above 8 MB, and a run on digits without a report, or whose
report shows a sign of copying. (The clip art is in the public domain, copies too.)
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fromnoise.errors import UserError
from fromnoise.faces.cli import script
from fromnoise.files import read_json
from fromnoise.generation import pretrained
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import SampleRequest, sample
from fromnoise.training.run_folder import RunFolder

LARGEST = 8_000_000  # bytes


@dataclass(frozen=True)
class Arguments:
    """Package the model of a run."""

    name: Annotated[
        tyro.conf.Positional[Literal["digits", "clipart", "clipart64"]], tyro.conf.arg(metavar="digits|clipart…")
    ]
    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


def main(arguments: Arguments) -> None:
    """Check the run, write its model."""
    name, folder, target = arguments.name, RunFolder(arguments.run), pretrained.FILES[arguments.name]
    images = folder.about().data.name
    data = name.removesuffix("64")
    if Path(images.split(":")[0]).name != data:
        raise UserError(f"{folder.path} was trained on {images}, not on {data}")
    report = read_json(folder.report_file) if folder.report_file.exists() else None
    verdict = "no report: its images were not tested for copies" if report is None else report["copies"]["verdict"]
    if name == "digits" and (report is None or report["copies"]["copying"] is not False):
        raise UserError(f"{folder.path}: {verdict}")
    model = Model.load(folder.model_file())
    settings = dataclasses.replace(model.config.data, data=data)  # wherever its images were
    model = dataclasses.replace(model, config=dataclasses.replace(model.config, data=settings))
    weights = {name: value.half() for name, value in model.network.state_dict().items()}
    size = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    if size > LARGEST:
        raise UserError(f"{size:,} bytes of weights are more than {LARGEST:,}: use a smaller network")
    model.save(target, weights)
    first, half = (sample(each, SampleRequest(64)).int() for each in (model, Model.load(target)))
    moved = (first - half).abs()
    print(f"pixels of 64 images move by {moved.max()} grey levels at most, {moved.float().mean():.3f} on average")
    print(f"{target}: {target.stat().st_size:,} bytes")
    if report is not None:
        fid, over = report["metrics"]["fid"], report["excess"]
        print(f"FID {fid['value']:.3f}, {over['value']:.3f} over the floor")
    print(verdict)


if __name__ == "__main__":
    script(main, Arguments, __doc__)
