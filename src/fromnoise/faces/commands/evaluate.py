"""`fromnoise evaluate`."""

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fromnoise.data.settings import Alpha, Fit
from fromnoise.errors import Failed, UserError
from fromnoise.faces.arguments import Device, FailOn, File, Overwrite, SkipBroken, Threads, refuse_existing
from fromnoise.limits import flag
from fromnoise.say import say

if TYPE_CHECKING:
    from fromnoise.evaluation.report import Report
    from fromnoise.experiment.comparison import ScoreRequest

Spec = tyro.conf.arg(metavar="SPEC")
HOW = ("features", "n", "seed", "skip_broken")


@dataclass(frozen=True)
class EvaluateArguments:
    """Score any images against real ones: FID and other metrics, each beside the score of real images (floor) and of
    training images (copycat), and a test for copies of training images.

    fromnoise evaluate --generated runs/digits --reference digits:heldout
    fromnoise evaluate --generated out/ --reference mnist:test --train digits
    fromnoise evaluate --generated out.npz --reference photos:heldout --json -
    fromnoise evaluate --generated out/ --reference real/ --html score.html
    fromnoise evaluate --again score.json --fail-on copying
    """

    generated: Annotated[str | None, Spec] = None
    """A folder of images, an .npz or .npy file, a run folder, or a data set."""
    reference: Annotated[str | None, Spec] = None
    """Real images: digits:heldout, mnist:test, a PATH, or a part of it such as PATH:heldout. Or an .npz
    file of published statistics (mu, sigma), which gives an FID and nothing else."""
    train: Annotated[str | None, Spec] = None
    """Training images, for the copycat and the copy test; they are kept out of the floor. Run folders know theirs."""
    floor: Annotated[str | None, Spec] = None
    """Real images outside the reference, for the floor. digits:heldout, mnist:test and PATH:heldout
    bring their own, unless --train names them all."""
    features: str = "auto"
    """Features in which images are compared: auto, digits, general, inception, dinov2, pixels, onnx:PATH.
    auto: digits if the reference is of handwritten digits, else general."""
    weights: File = None
    """Weights file for --features inception or dinov2; default: the published ones, downloaded if missing."""
    n: int | None = None
    """Score a random subset of this many generated images; default: all."""
    seed: int = 0
    """Seed of all subsets."""
    fit: Fit | None = None
    """How to fit images of other proportions; default: stretch, or as the run was trained."""
    alpha: Alpha | None = None
    """Keep transparency, or put images on a white or black background; default: keep, or as the run was trained."""
    label_by: str | None = None
    """Where the classes of the reference's data come from, as in `train`; run folders know theirs."""
    group_by: str | None = None
    """How the data of a reference such as photos:heldout is split, as in `train`; run folders know theirs."""
    skip_broken: SkipBroken = False
    again: File = None
    """Repeat the score in this report.json, and say whether the numbers are the same (exit code 3 if not).
    If its files have moved, --generated, --reference, --train, --floor and --weights say where they are now."""
    fail_on: FailOn = None
    json: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the score as JSON; - prints it instead of the table."""
    html: File = None
    """Write the score as an HTML page, with pictures of the closest pairs; it opens offline."""
    device: Device = "auto"
    threads: Threads = None
    overwrite: Overwrite = False


def main(arguments: EvaluateArguments) -> None:
    """Evaluate."""
    file = None if arguments.json in (None, "-") else Path(str(arguments.json))
    if arguments.html in (Path("-"), Path(arguments.json or "-")):
        raise UserError(f"--html {arguments.html}: name another file for the page")
    refuse_existing(arguments.overwrite, file, arguments.html)

    from msgspec.structs import replace

    from fromnoise.evaluation import verdicts
    from fromnoise.experiment import again, system
    from fromnoise.experiment.evaluate import evaluate
    from fromnoise.faces.tables import print_score
    from fromnoise.files import write_file, write_json
    from fromnoise.training.device import alone

    failing = verdicts.named(arguments.fail_on)
    request, before = _request(arguments)
    device = alone(arguments.device, arguments.threads)
    check = None if before is None else partial(again.check, before)
    report, generated, train = evaluate(request, device, check)
    report = replace(report, command=system.command(), system=system.about(device))
    if file is not None:
        write_json(file, report.plain())
    if arguments.html is not None:
        from fromnoise.faces import report as pages  # imports Matplotlib

        write_file(arguments.html, pages.page(report, generated.name, generated, train))
    if arguments.json == "-":
        print(json.dumps(report.plain(), indent=2))
    else:
        print_score(report)
    if before is not None:
        repeated = again.repeated(before, report)
        if repeated.differences:
            raise Failed(str(repeated))
        say(str(repeated))
    verdicts.check(report, failing)


def _request(arguments: EvaluateArguments) -> tuple["ScoreRequest", "Report | None"]:
    """What the flags ask for, and the report that is to be repeated, if one is."""
    from fromnoise.evaluation.report import Report
    from fromnoise.experiment import again
    from fromnoise.experiment.comparison import READING, ScoreRequest

    sets = {role: getattr(arguments, role) for role in again.ROLES}
    if arguments.again is not None:
        if given := [name for name in (*HOW, *READING) if getattr(arguments, name) != getattr(EvaluateArguments, name)]:
            flags = ", ".join(map(flag, given))
            raise UserError(f"--again scores as {arguments.again} says: leave out {flags}")
        before = Report.read(arguments.again)
        return again.request_of(arguments.again, before, sets, arguments.weights), before
    if arguments.generated is None or arguments.reference is None:
        raise UserError("name the images to compare with --generated and --reference, or a report with --again")
    how = {name: getattr(arguments, name) for name in (*HOW, *READING, "weights")}
    return ScoreRequest(**sets, **how), None
