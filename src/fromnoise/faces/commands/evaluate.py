"""`fromnoise evaluate`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.errors import UserError
from fromnoise.faces.arguments import Device, File, Overwrite, SkipBroken, Threads, parse, refuse_existing

Spec = tyro.conf.arg(metavar="SPEC")


@dataclass(frozen=True)
class EvaluateArguments:
    """Score any images against real ones: FID and other metrics, each beside its floor and its copycat at the same
    number of images, and a test for copies of training images.

    fromnoise evaluate --generated runs/digits --reference digits:heldout
    fromnoise evaluate --generated out/ --reference mnist:test --train digits --json score.json
    fromnoise evaluate --generated out/ --reference mnist:test --train digits --html score.html
    fromnoise evaluate --generated out.npz --reference photos:heldout --json - | jq .excess.value
    """

    generated: Annotated[str, Spec]
    """A folder of images, an .npz file, a run folder, or a data set."""
    reference: Annotated[str, Spec]
    """Real images: digits:heldout, mnist:test, PATH, PATH:heldout ..."""
    train: Annotated[str | None, Spec] = None
    """Training images, for the copycat and the copy test, and kept out of the floor; known for run folders."""
    floor: Annotated[str | None, Spec] = None
    """Real images outside the reference, for the floor; known for named sets and PATH:heldout."""
    features: str = "digits"
    """Features in which images are compared: digits, inception, pixels, onnx:PATH."""
    inception_weights: File = None
    """Inception's weights; default: clean-fid's copy, downloaded if missing."""
    n: int | None = None
    """Score a random subset of this many of the generated images; default: all."""
    seed: int = 0
    """Seed of all subsets."""
    skip_broken: SkipBroken = False
    json: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the score as JSON; - prints it instead of the table."""
    html: File = None
    """Write the score as an HTML page, with the closest pairs as pictures; needs no network."""
    device: Device = "auto"
    threads: Threads = None
    overwrite: Overwrite = False


def main(words: Sequence[str]) -> None:
    """Evaluate."""
    arguments = parse(EvaluateArguments, words, "evaluate")
    file = None if arguments.json in (None, "-") else Path(str(arguments.json))
    if arguments.html in (Path("-"), Path(arguments.json or "-")):
        raise UserError(f"--html {arguments.html}: give the page a file of its own")
    for path in (file, arguments.html):
        if path is not None:
            refuse_existing(path, arguments.overwrite)

    from msgspec.structs import replace

    from fromnoise.evaluation.features import features
    from fromnoise.evaluation.score import score
    from fromnoise.experiment import system
    from fromnoise.experiment.contest import contest
    from fromnoise.experiment.progress import once
    from fromnoise.faces.console import Bar, say
    from fromnoise.faces.tables import print_score
    from fromnoise.files import write_json
    from fromnoise.training.device import alone

    device = alone(arguments.device, arguments.threads).device
    extractor = features(arguments.features, device, inception_weights=arguments.inception_weights, say=say)
    sets = contest(
        arguments.generated,
        arguments.reference,
        arguments.train,
        arguments.floor,
        n=arguments.n,
        seed=arguments.seed,
        skip_broken=arguments.skip_broken,
        say=once(say),
    )
    with Bar("scoring") as bar:
        found = score(sets, extractor, arguments.seed, lambda role, done, total: bar.show(done, total, role))
    report = replace(found, command=system.command(), system=system.about(device))
    if file is not None:
        write_json(file, report.plain())
    if arguments.html is not None:
        from fromnoise.faces import html  # imports Matplotlib
        from fromnoise.faces import report as pages

        shown = pages.Shown(sets.generated, sets.train)
        html.save(arguments.html, pages.page(report, shown, sets.generated.name))
    if arguments.json == "-":
        print(json.dumps(report.plain(), indent=2))
    else:
        print_score(report)
