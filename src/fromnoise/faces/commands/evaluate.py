"""`fromnoise evaluate`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fromnoise.errors import UserError
from fromnoise.faces.arguments import Device, Threads, parse, refuse_existing


@dataclass(frozen=True)
class EvaluateArguments:
    """Score images, whoever made them, against real ones: FID and other metrics, each with its floor and copycat at
    the same size, and whether they are copies of training images.

    fromnoise evaluate --generated runs/digits --reference digits:heldout
    fromnoise evaluate --generated out/ --reference mnist:test --train digits --json score.json
    fromnoise evaluate --generated out/ --reference mnist:test --train digits --html score.html
    fromnoise evaluate --generated out.npz --reference photos:heldout --json - | jq .metrics.fid.value
    """

    generated: Annotated[str, tyro.conf.arg(metavar="SPEC")]
    """A folder of images, an .npz file, a run folder, or a data set."""
    reference: Annotated[str, tyro.conf.arg(metavar="SPEC")]
    """Real images: digits:heldout, mnist:test, PATH, PATH:heldout ..."""
    train: Annotated[str | None, tyro.conf.arg(metavar="SPEC")] = None
    """What the model was trained on, for copycat and copy test, and kept out of the floor; a run folder knows."""
    floor: Annotated[str | None, tyro.conf.arg(metavar="SPEC")] = None
    """Real images not in the reference, to draw the floor from; known for named sets and PATH:heldout."""
    features: str = "digits"
    """Features in which images are compared: digits, inception, pixels, onnx:PATH."""
    inception_weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Inception's weights; clean-fid's own copy, downloaded if missing, when not given."""
    n: int | None = None
    """Score a seeded draw of this many of the generated images; all when not given."""
    seed: int = 0
    """Seed of the draws."""
    skip_broken: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Go on without the images of a folder that cannot be read, and say how many they are."""
    data_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where mnist and fashion_mnist lie; default: $FROMNOISE_DATA, then ~/.cache/fromnoise."""
    json: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the score as JSON; - for stdout, instead of the table."""
    html: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the score as one page, with the closest pairs as pictures; needs no network."""
    device: Device = "auto"
    """Where to compute the features."""
    threads: Threads = None
    """CPU threads to use; default: all, and fewer while other processes are busy."""
    overwrite: bool = False
    """Replace the files FILE if they are there."""


def main(words: Sequence[str]) -> int:
    """Evaluate; returns the exit code."""
    arguments = parse(EvaluateArguments, words, "evaluate")
    if arguments.json not in (None, "-"):
        refuse_existing(Path(str(arguments.json)), arguments.overwrite)
    if arguments.html is not None:
        if arguments.html in (Path("-"), Path(arguments.json or "-")):
            raise UserError(f"--html {arguments.html}: name a file of its own for the page")
        refuse_existing(arguments.html, arguments.overwrite)

    from fromnoise.evaluation.features import features
    from fromnoise.evaluation.score import score
    from fromnoise.experiment import system
    from fromnoise.experiment.contest import contest
    from fromnoise.faces.console import Bar, once, results, say
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
        root=arguments.data_root,
        skip_broken=arguments.skip_broken,
        say=once(),
    )
    with Bar("scoring") as bar:
        report: dict[str, Any] = score(
            sets, extractor, arguments.seed, lambda role, done, total: bar.show(done, total, role)
        )
    report["command"], report["system"] = system.command(), system.about(device)
    if arguments.json not in (None, "-"):
        write_json(Path(str(arguments.json)), report)
    if arguments.html is not None:
        from fromnoise.faces import report as page  # imports Matplotlib

        shown = page.Shown(sets.generated, sets.train)
        page.save(arguments.html, page.page(report, shown, sets.generated.name))
    if arguments.json == "-":
        json.dump(report, sys.stdout, indent=2)
        print()
    else:
        print_score(report, results)
    return 0
