"""`fromnoise likelihood`."""

import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fromnoise.errors import UserError
from fromnoise.faces.arguments import Device, Threads, parse

if TYPE_CHECKING:
    from jaxtyping import UInt8
    from torch import Tensor

    from fromnoise.generation.model import Model


@dataclass(frozen=True)
class LikelihoodArguments:
    """How likely a model thinks images are, in bits per dimension (fewer is likelier): a line for each file.

    A folder, an .npz file or a data set ends with its mean and the mean's standard error. Likelihood is not
    quality: a blank image is often likelier than any digit.

    fromnoise likelihood runs/digits seven.png blank.png
    fromnoise likelihood runs/digits digits:heldout
    fromnoise likelihood runs/digits photos/ --method flow | sort -k2 -n
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """A run folder, a checkpoint in it, a model.safetensors file, or digits, the packaged model."""
    images: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="IMAGES")]
    """Image files, folders of them, .npz files, data sets (digits:heldout)."""
    method: Literal["bound", "flow"] = "bound"
    """bound: the variational bound; flow: near-exact, by the probability-flow ODE (some 200 network calls)."""
    levels: int | Literal["all"] = 32
    """Random noise levels for each image of the bound, or all of them."""
    label: int | None = None
    """Judge as images of this class, or cluster of a model trained without classes; of any when not given."""
    n: int | None = None
    """Judge a seeded draw of this many of each folder, file or data set; all when not given."""
    seed: int = 0
    """Seed of levels and noise."""
    skip_broken: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on without the images that cannot be read, and say how many they are."""
    data_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where mnist and fashion_mnist lie; default: $FROMNOISE_DATA, then ~/.cache/fromnoise."""
    json: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Write JSON instead of lines, with the bound's parts."""
    device: Device = "auto"
    """Where to compute."""
    threads: Threads = None
    """CPU threads to use; default: all, and fewer while other processes are busy."""


@dataclass(frozen=True)
class Batch:
    """Images that one argument named: a single file, or many with a mean."""

    name: str
    names: list[str]
    images: "UInt8[Tensor, 'n c h w']"
    single: bool


def main(words: Sequence[str]) -> int:
    """Judge; returns the exit code."""
    arguments = parse(LikelihoodArguments, words, "likelihood")
    if not arguments.images:
        raise UserError("name the images to judge: files, folders, .npz files or data sets")

    from fromnoise.experiment.find import find_model
    from fromnoise.faces.console import Bar, say
    from fromnoise.generation import likelihood
    from fromnoise.generation.model import Model
    from fromnoise.training.device import alone

    model = Model.load(find_model(arguments.run))
    device = alone(arguments.device, arguments.threads).device
    likelihood.labelled(model, arguments.label, device)
    batches = list(_batches(arguments, model))
    results: list[dict[str, Any]] = []
    for batch in batches:
        with Bar(batch.name) as bar:
            common: dict[str, Any] = {
                "seed": arguments.seed,
                "label": arguments.label,
                "device": device,
                "progress": bar.show,
            }
            if arguments.method == "flow":
                found = likelihood.flow_bits(model, batch.images, **common)
            else:
                levels = None if arguments.levels == "all" else int(arguments.levels)
                found = likelihood.bound_bits(model, batch.images, levels, **common)
        results.append(_told(batch, found))
        if not arguments.json:
            _print(batch, results[-1])
    if arguments.json:
        about = {"method": arguments.method, "levels": arguments.levels, "seed": arguments.seed}
        json.dump({"unit": "bits per dimension", **about, "results": results}, sys.stdout, indent=2)
        print()
    elif arguments.method == "bound":
        say("bits per dimension ± standard error; an upper bound on the negative log-likelihood")
    return 0


def _batches(arguments: LikelihoodArguments, model: "Model") -> Iterator[Batch]:
    from fromnoise.data import folder, picture, sources
    from fromnoise.faces.console import once

    tell = once()
    channels, size = model.shape.channels, (model.shape.height, model.shape.width)
    for spec in arguments.images:
        path = Path(spec)
        single = path.is_file() and path.suffix.lower() in picture.suffixes()
        if single:
            try:
                images, names = folder.load_file(path, size), [spec]
            except UserError as error:
                if not arguments.skip_broken:
                    raise
                tell(f"skipped: {error}")
                continue
        else:
            images = sources.load(spec, size, arguments.data_root, skip_broken=arguments.skip_broken, say=tell)
            names = list(images.files) or [f"{spec}[{k}]" for k in range(len(images))]
            if arguments.n is not None:
                rows = images.rows(arguments.n, arguments.seed, balanced=False)
                images, names = images.take(rows), [names[k] for k in rows]
        if images.shape[0] != channels:
            kinds = {1: "grey", 3: "colour"}
            raise UserError(f"{spec}: the model knows {kinds[channels]} images, these are {kinds[images.shape[0]]}")
        yield Batch(spec, names, images.images, single)


def _told(batch: Batch, found: Any) -> dict[str, Any]:
    """One argument's result as plain JSON values."""
    columns = {"bits": found.bits, "standard_error": found.standard_error}
    columns |= {name: getattr(found, name) for name in ("prior", "steps", "decoder")}
    rows = []
    for k, name in enumerate(batch.names):
        numbers = {key: float(column[k]) for key, column in columns.items() if column is not None}
        rows.append({"name": name} | {key: None if math.isnan(value) else value for key, value in numbers.items()})
    told: dict[str, Any] = {"name": batch.name, "images": rows}
    if not batch.single:
        n = len(rows)
        spread = float(found.bits.std()) / math.sqrt(n) if n > 1 else None
        told["mean"] = {"bits": float(found.bits.mean()), "standard_error": spread, "n": n}
    return told


def _print(batch: Batch, told: dict[str, Any]) -> None:
    for row in told["images"]:
        print(f"{row['name']}\t{_number(row)}")
    if "mean" in told:
        print(f"{batch.name}\t{_number(told['mean'])}\tmean of {told['mean']['n']}")


def _number(row: dict[str, Any]) -> str:
    if row["bits"] is None:
        return "undefined"
    error = row["standard_error"]
    return f"{row['bits']:.4f}" if error is None else f"{row['bits']:.4f}\t± {error:.4f}"
