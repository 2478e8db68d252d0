"""`fromnoise evaluate`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from fromnoise.faces.arguments import parse, refuse_existing

if TYPE_CHECKING:
    from fromnoise.data.image_set import ImageSet


@dataclass(frozen=True)
class EvaluateArguments:
    """Score images, whoever made them, against real ones: FID with its floor and copycat at the same size.

    fromnoise evaluate --generated runs/digits --reference digits:heldout
    fromnoise evaluate --generated out/ --reference mnist:test --train digits --json score.json
    fromnoise evaluate --generated out.npz --reference photos:heldout --json - | jq .metrics.fid.value
    """

    generated: Annotated[str, tyro.conf.arg(metavar="SPEC")]
    """A folder of images, an .npz file, a run folder, or a data set."""
    reference: Annotated[str, tyro.conf.arg(metavar="SPEC")]
    """Real images: digits:heldout, mnist:test, PATH, PATH:heldout ..."""
    train: Annotated[str | None, tyro.conf.arg(metavar="SPEC")] = None
    """What the model was trained on, for the copycat and kept out of the floor; a run folder knows."""
    floor: Annotated[str | None, tyro.conf.arg(metavar="SPEC")] = None
    """Real images not in the reference, to draw the floor from; known for named sets and PATH:heldout."""
    features: str = "digits"
    """Features in which images are compared: digits."""
    n: int | None = None
    """Score a seeded draw of this many of the generated images; all when not given."""
    seed: int = 0
    """Seed of the draws."""
    data_root: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Where mnist and fashion_mnist lie; default: $FROMNOISE_DATA, then ~/.cache/fromnoise."""
    json: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the score as JSON; - for stdout, instead of the table."""
    overwrite: bool = False
    """Replace FILE if it is there."""


def main(words: Sequence[str]) -> int:
    """Evaluate; returns the exit code."""
    arguments = parse(EvaluateArguments, words, "evaluate")
    if arguments.json not in (None, "-"):
        refuse_existing(Path(str(arguments.json)), arguments.overwrite)

    import torch

    from fromnoise.evaluation.features import features
    from fromnoise.evaluation.score import score
    from fromnoise.faces import system
    from fromnoise.faces.console import Bar, results
    from fromnoise.faces.tables import score_table
    from fromnoise.files import write_json

    extractor = features(arguments.features)
    contest = _contest(arguments)
    with Bar("scoring") as bar:
        report: dict[str, Any] = score(
            contest, extractor, arguments.seed, lambda role, done, total: bar.show(done, total, role)
        )
    report["command"], report["system"] = system.command(), system.about(torch.device("cpu"))
    if arguments.json == "-":
        json.dump(report, sys.stdout, indent=2)
        print()
        return 0
    if arguments.json:
        write_json(Path(arguments.json), report)
    results.print(score_table(report))
    for note in report["notes"]:
        results.print(f"note: {note}", markup=False, soft_wrap=True)
    return 0


def _contest(arguments: EvaluateArguments) -> "Any":
    from fromnoise.config import Config, from_json
    from fromnoise.data import sources
    from fromnoise.evaluation.score import Contest
    from fromnoise.faces.runs import find_images, is_run
    from fromnoise.training.run_folder import RunFolder

    path = Path(arguments.generated)
    train: ImageSet | None = None
    if is_run(path):
        generated = sources.load(str(find_images(path)), root=arguments.data_root)
        config = from_json(Config, RunFolder(path).about()["config"])
        if arguments.train is None:
            train = sources.prepare(config.data, config.seed).train
    else:
        generated = sources.load(arguments.generated, root=arguments.data_root)
    if arguments.n is not None:
        generated = generated.draw(arguments.n, arguments.seed)
    size = generated.shape[1:]

    def load(spec: str) -> "ImageSet":
        return sources.load(spec, size, arguments.data_root)

    reference = load(arguments.reference)
    if arguments.train is not None:
        train = load(arguments.train)
    spec = arguments.floor or sources.floor_for(arguments.reference)
    floor = None if spec is None else load(spec)
    if floor is not None and train is not None:
        floor = floor.without(train)
    return Contest(generated, reference, floor, train)
