"""`fromnoise likelihood`."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from fromnoise.data.settings import NAMED, Size
from fromnoise.errors import UserError
from fromnoise.faces.arguments import Device, ModelSource, SkipBroken, Threads, parse
from fromnoise.say import say

if TYPE_CHECKING:
    from fromnoise.data.image_set import ImageSet
    from fromnoise.generation.likelihood import Likelihood
    from fromnoise.generation.model import Model


LEVELS = 32  # a usual number of random levels


@dataclass(frozen=True)
class LikelihoodArguments:
    """Show how likely a model finds images, in bits per dimension (fewer bits mean likelier): one line per image.

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
    """Random noise levels per image for the bound, or all of them; default: 32. The flow takes none."""
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


def main(words: Sequence[str]) -> None:
    """Compute and print."""
    arguments = parse(LikelihoodArguments, words, "likelihood")
    if not arguments.images:
        raise UserError("name the images: files, folders, .npz files or data sets")
    if arguments.method == "flow" and arguments.levels is not None:
        raise UserError("--levels is for the bound: leave it out with --method flow")

    from fromnoise.experiment.find import load_model
    from fromnoise.generation import likelihood

    model = load_model(arguments.source, arguments.device, arguments.threads)
    likelihood.labelled(model, arguments.label)
    asked = LEVELS if arguments.levels is None else arguments.levels
    levels = None if asked == "all" else int(asked)
    common: dict[str, Any] = {"seed": arguments.seed, "label": arguments.label}
    results = []
    if arguments.n is not None and all(map(_is_image, arguments.images)):
        raise UserError("--n is for folders, .npz files and data sets: leave it out for single images")
    sets = [(spec, images) for spec in arguments.images if (images := _images(spec, arguments, model))]
    for spec, images in sets:
        if arguments.method == "flow":
            found = likelihood.flow_bits(model, images.images, **common)
        else:
            found = likelihood.bound_bits(model, images.images, levels, **common)
        results.append(_result(spec, images, found))
        if not arguments.json:
            _print(results[-1])
    if arguments.json:
        used = asked if arguments.method == "bound" else None
        about = {"method": arguments.method, "levels": used, "seed": arguments.seed}
        print(json.dumps({"unit": "bits per dimension", **about, "results": results}, indent=2))
    elif arguments.method == "bound":
        say("bits per dimension ± standard error; an upper bound on the negative log-likelihood")


def _is_image(spec: str) -> bool:
    from fromnoise.data.picture import suffixes

    return Path(spec).is_file() and Path(spec).suffix.lower() in suffixes()


def _images(spec: str, arguments: LikelihoodArguments, model: "Model") -> "ImageSet | None":
    """The images that `spec` names, with their names in `files`; None for one that is skipped."""
    from fromnoise.data import folder, sources
    from fromnoise.data.colour import kind, laid, with_channels
    from fromnoise.experiment.find import parts_of, run_of, unchecked
    from fromnoise.files import without_slash
    from fromnoise.training.run_folder import RunFolder

    info, run = model.info, run_of(arguments.source)
    data = model.config.data if run is None else RunFolder(run).about().config.data  # which may have moved
    size = Size(info.height, info.width, data.fit)
    if _is_image(spec):
        try:
            images, changes = folder.load_file(Path(spec), size, info.range)
            images = replace(images, files=(spec,))
            if changes:
                say(f"{spec}: {'; '.join(changes)}")
        except UserError as error:
            if not arguments.skip_broken:
                raise
            say(f"skipped: {error}")
            return None
    else:
        whole = sources.whole_of(spec)
        if whole != without_slash(spec) and sources.is_same(whole, data) and data.data not in NAMED:
            if run is not None:
                parts_of(run)  # raises UserError if the data has changed: it would be split otherwise
            for note in unchecked(model, arguments.source):
                say(note)
        images = sources.load_as(spec, data, size, skip_broken=arguments.skip_broken)
        images = replace(images, files=images.files or tuple(f"{spec}[{k}]" for k in range(len(images))))
        if arguments.n is not None:
            images = images.take(images.subset_rows(arguments.n, arguments.seed, balanced=False))
    images = laid(images, data.alpha)
    if info.channels == 4 and images.shape[0] in (1, 3):
        images = with_channels(images, 4)
    if images.shape[0] != info.channels:
        ours, theirs = kind(info.channels), kind(images.shape[0])
        raise UserError(f"{spec}: the model was trained on {ours} images, but these are {theirs}: convert them")
    if images.range != info.range:
        both = info.range, images.range
        trained, given = ("bytes" if each is None else "from {:g} to {:g}".format(*each) for each in both)
        raise UserError(f"{spec}: the training images' values are {trained}, and these are {given}: scale them alike")
    return images


def _result(spec: str, images: "ImageSet", found: "Likelihood") -> dict[str, Any]:
    """One argument's result as plain JSON values."""
    from fromnoise.evaluation.design import error_of_mean

    names = ("bits", "standard_error", "prior", "steps", "decoder")
    columns = {name: getattr(found, name).tolist() for name in names if getattr(found, name) is not None}
    rows = [
        {"name": name} | {key: None if math.isnan(column[k]) else column[k] for key, column in columns.items()}
        for k, name in enumerate(images.files)
    ]
    result: dict[str, Any] = {"name": spec, "images": rows}
    if images.files != (spec,):
        n = len(rows)
        groups = None if images.groups is None else images.groups.numpy()
        spread = error_of_mean(found.bits.double().numpy(), groups) if n > 1 else math.nan
        result["mean"] = {
            "bits": float(found.bits.mean()),
            "standard_error": None if math.isnan(spread) else spread,
            "n": n,
        }
    return result


def _print(result: dict[str, Any]) -> None:
    for row in result["images"]:
        print(f"{row['name']}\t{_number(row)}")
    if "mean" in result:
        print(f"{result['name']}\t{_number(result['mean'])}\tmean of {result['mean']['n']}")


def _number(row: dict[str, Any]) -> str:
    if row["bits"] is None:
        return "undefined"
    error = row["standard_error"]
    return f"{row['bits']:.4f}" if error is None else f"{row['bits']:.4f}\t± {error:.4f}"
