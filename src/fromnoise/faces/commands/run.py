"""`fromnoise run`: train → sample → score → summary."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fromnoise.faces.arguments import TrainingArguments, parse_training

if TYPE_CHECKING:
    from fromnoise.config import Config
    from fromnoise.data.image_set import ImageSet
    from fromnoise.data.sources import Parts
    from fromnoise.faces.training_run import Training

MOST = 3000  # images scored when nobody says how many
GRID = 64


@dataclass(frozen=True)
class RunArguments(TrainingArguments):
    """From images to a scored model: train, draw images, score them against held-out ones.

    fromnoise run --data digits --out runs/digits --minutes 10
    fromnoise run --data photos/ --size 32 --out runs/photos
    """


def main(words: Sequence[str]) -> int:
    """Run; returns the exit code."""
    arguments = parse_training(RunArguments, words, "run")
    from fromnoise.faces import training_run

    config = arguments.config
    if arguments.dry_run:
        training_run.print_configuration(config)
        return 0
    from fromnoise.evaluation.features import features
    from fromnoise.faces.console import say

    device = training_run.ready(arguments)
    features(config.evaluation.features, say=say)  # found, or refused, before hours of training
    parts = training_run.prepared(arguments, device)
    reference, n = _reference(config, parts)
    with training_run.trained(arguments, device, parts) as training:
        if not training.main_process:
            return 0
        if training.outcome.already_finished and training.folder.report_file.exists():
            say(f"{arguments.out} is finished: nothing to do")
        else:
            _sample_and_score(training, reference, n)
        _summary(training)
    return 0


def _reference(config: "Config", parts: "Parts") -> tuple["ImageSet", int]:
    """The images to score against, and how many to draw; both checked before anything is trained."""
    from fromnoise.data import sources
    from fromnoise.errors import UserError
    from fromnoise.evaluation.score import FEWEST

    settings = config.evaluation
    if settings.reference is None:
        if parts.heldout is None or len(parts.heldout) < FEWEST:
            raise UserError(
                f"{config.data.data} has too few images to hold {FEWEST} back for the score: use `fromnoise train`, "
                "or name real images with --reference"
            )
        reference = parts.heldout
    else:
        reference = sources.load(settings.reference, parts.train.shape[1:], config.data.data_root)
    n = min(MOST, len(reference)) if settings.n is None else settings.n
    if n < FEWEST or len(reference) < FEWEST:
        raise UserError(f"a score needs at least {FEWEST} images: --n {n}, reference {len(reference)}")
    return reference, n


def _sample_and_score(training: "Training", reference: "ImageSet", n: int) -> None:
    from fromnoise.config import to_json
    from fromnoise.data import arrays, sources
    from fromnoise.data.image_set import ImageSet
    from fromnoise.evaluation.features import features
    from fromnoise.evaluation.score import Contest, score
    from fromnoise.faces import system
    from fromnoise.faces.console import Bar
    from fromnoise.faces.pictures import save_grid
    from fromnoise.files import write_json
    from fromnoise.generation.draw import Drawing, draw_all, labels_for

    config, folder, outcome = training.config, training.folder, training.outcome
    device = outcome.device
    drawing = Drawing(n, config.seed, precision=outcome.plan.precision)
    start = time.perf_counter()
    with Bar("sampling") as bar:
        images = draw_all(outcome.model, drawing, device, bar.show)
    sampling_seconds = time.perf_counter() - start
    labels = labels_for(outcome.model, drawing)
    arrays.save(folder.samples / "images.npz", images, labels)
    save_grid(folder.samples / "grid.png", images[:GRID])
    start = time.perf_counter()
    spec = config.evaluation.reference or sources.reference_for(config.data.data)
    floor = floor_images(spec, training.parts, config)
    with Bar("scoring") as bar:
        contest = Contest(ImageSet(f"{folder.path}", images.cpu(), labels), reference, floor, training.parts.train)
        report = score(
            contest,
            features(config.evaluation.features, device),
            config.seed,
            lambda role, done, total: bar.show(done, total, role),
        )
    report["run"] = {
        "command": system.command(),
        "config": to_json(config),
        "training": {
            "steps": outcome.steps,
            "seconds": outcome.seconds,
            "images": len(training.parts.train),
            "plan": dataclasses.asdict(outcome.plan),
            "parameters": sum(p.numel() for p in outcome.model.network.parameters()),
        },
        "sampling": {"n": n, "seconds": sampling_seconds, "sampler": to_json(config.sampling), "seed": config.seed},
        "scoring": {"seconds": time.perf_counter() - start},
        "system": system.about(device),
    }
    write_json(folder.report_file, report)


def floor_images(spec: str, parts: "Parts", config: "Config") -> "ImageSet | None":
    """Real images that are neither in the reference `spec` nor trained on; None where they are not known."""
    from fromnoise.data import sources

    if spec == sources.reference_for(config.data.data):
        return parts.val
    source = sources.floor_for(spec)
    if source is None:
        return None
    return sources.load(source, parts.train.shape[1:], config.data.data_root).without(parts.train)


def _summary(training: "Training") -> None:
    from fromnoise.faces.console import duration, results
    from fromnoise.faces.tables import print_score
    from fromnoise.files import read_json

    report: dict[str, Any] = read_json(training.folder.report_file)
    run = report["run"]
    print_score(report, results)
    results.print(
        f"trained {run['training']['steps']:,} steps in {duration(run['training']['seconds'])}, "
        f"drew {run['sampling']['n']:,} images in {duration(run['sampling']['seconds'])} "
        f"on {run['system']['hardware']}",
        markup=False,
    )
    for file in (training.folder.samples / "grid.png", training.folder.report_file, training.folder.model_file()):
        results.print(str(file), markup=False, soft_wrap=True)
