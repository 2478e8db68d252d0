"""`fromnoise likelihood`."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fromnoise.errors import UserError
from fromnoise.faces.arguments import Device, ModelSource, SkipBroken, Threads
from fromnoise.files import expanded
from fromnoise.say import say

if TYPE_CHECKING:
    from fromnoise.experiment.likelihood import Likelihoods

ASKED = "method levels label n seed skip_broken"


@dataclass(frozen=True)
class LikelihoodArguments:
    """Show how likely images are under a model, in bits per dimension (fewer bits mean likelier): one line per image.

    For a folder, an .npz file or a data set, a last line gives the mean and its standard error. Likelihood is not
    quality: a blank image is often likelier than any digit.

    fromnoise likelihood runs/digits seven.png blank.png
    fromnoise likelihood runs/digits digits:heldout
    fromnoise likelihood runs/digits photos/ --method flow | sort -k2 -n
    """

    source: ModelSource
    images: Annotated[
        tyro.conf.Positional[tuple[str, ...]],
        tyro.conf.arg(metavar="IMAGES", help_behavior_hint="(one or more)"),
    ]
    """Image files, folders of them, .npz files, or data sets such as digits:heldout."""
    method: Literal["bound", "flow"] = "bound"
    """bound: the variational bound; flow: near-exact, by the probability-flow ODE (some 200 network calls)."""
    levels: Annotated[int | Literal["all"] | None, tyro.conf.arg(metavar="INT|all")] = None
    """Random noise levels per image for the bound, or all of them; default: 32. Not for the flow."""
    label: str | None = None
    """Condition on this class, by name or number (or this cluster of a model trained without classes); default: any."""
    n: int | None = None
    """A random subset of this many images of each folder, file or data set; default: all."""
    seed: int = 0
    """Seed of levels, noise and subsets."""
    skip_broken: SkipBroken = False
    json: bool = False
    """Print JSON instead of lines, with the parts of the bound."""
    device: Device = "auto"
    threads: Threads = None


def main(arguments: LikelihoodArguments) -> None:
    """Compute and print."""
    if not arguments.images:
        raise UserError("name the images: files, folders, .npz files or data sets")

    from fromnoise.data.picture import suffixes
    from fromnoise.experiment.find import load_model
    from fromnoise.experiment.likelihood import LikelihoodRequest, likelihoods

    request = LikelihoodRequest(**{name: getattr(arguments, name) for name in ASKED.split()})
    model = load_model(arguments.source, arguments.device, arguments.threads)
    images: list[str] = []
    for named in arguments.images:  # other patterns are a set of shards
        is_picture = Path(named).suffix.lower() in suffixes()
        images += map(str, expanded(Path(named))) if is_picture else [named]
    results = []
    for found in likelihoods(model, arguments.source, images, request):
        results.append(_result(found))
        if not arguments.json:
            _print(results[-1])
    if arguments.json:
        about = {"method": request.method, "levels": request.used_levels(model), "seed": request.seed}
        print(json.dumps({"unit": "bits per dimension", **about, "results": results}, indent=2))
    elif request.method == "bound":
        say("bits per dimension ± standard error; an upper bound on the negative log-likelihood")


def _result(found: "Likelihoods") -> dict[str, Any]:
    """One argument's result as plain JSON values."""
    names = ("bits", "standard_error", "prior", "steps", "decoder")
    columns = {name: getattr(found, name).tolist() for name in names if getattr(found, name) is not None}
    rows = [
        {"name": name} | {key: _finite(column[k]) for key, column in columns.items()}
        for k, name in enumerate(found.names)
    ]
    result: dict[str, Any] = {"name": found.name, "images": rows}
    if found.names != (found.name,):
        result["mean"] = {"bits": _finite(found.mean), "standard_error": _finite(found.error), "n": len(rows)}
    return result


def _finite(number: float) -> float | None:
    """The number; None for one that JSON has no word for."""
    return number if math.isfinite(number) else None


def _print(result: dict[str, Any]) -> None:
    from fromnoise.faces.console import printable

    for row in result["images"]:
        print(f"{printable(row['name'])}\t{_number(row)}")
    if "mean" in result:
        print(f"{printable(result['name'])}\t{_number(result['mean'])}\tmean of {result['mean']['n']}")


def _number(row: dict[str, Any]) -> str:
    if row["bits"] is None:
        return "undefined"
    error = row["standard_error"]
    return f"{row['bits']:.4f}" if error is None else f"{row['bits']:.4f}\t± {error:.4f}"
