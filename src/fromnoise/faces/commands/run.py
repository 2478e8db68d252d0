"""`fromnoise run`: train → sample → score → summary."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fromnoise.faces.arguments import TrainingArguments, parse_training

if TYPE_CHECKING:
    from fromnoise.faces.training_run import Training


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
    from fromnoise.evaluation.score import SCHEMA
    from fromnoise.faces import scoring
    from fromnoise.faces.console import say
    from fromnoise.files import read_json

    arguments = training_run.without_unscored_extension(arguments)
    device = training_run.ready(arguments)
    weights = arguments.inception_weights
    features(config.evaluation.features, inception_weights=weights, say=say)  # found, or refused, before training
    parts = training_run.prepared(arguments, device)
    reference, n = scoring.reference_of(config, parts)
    with training_run.trained(arguments, device, parts) as training:
        if not training.main_process:
            return 0
        folder = training.folder
        if folder.report_file.exists() and read_json(folder.report_file).get("schema") != SCHEMA:
            say("its report is of another version: it is scored again, and the old report kept beside the new one")
            folder.set_aside_score(training.outcome.steps)
        scored = training.outcome.already_finished and folder.report_file.exists()
        if not scored:
            scoring.sample_and_score(training, reference, n, weights)
        if not scored or not folder.page_file.exists():
            from fromnoise.faces import report  # imports Matplotlib, which the training need not wait for

            report.write(folder, parts.train)
        else:
            say(f"{arguments.out} is finished: nothing to do")
        _summary(training)
    return 0


def _summary(training: "Training") -> None:
    from fromnoise.faces.console import duration, results
    from fromnoise.faces.runs import better_before
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
        soft_wrap=True,
    )
    folder = training.folder
    better = better_before(folder, training.outcome.steps)
    if better:
        results.print(better, markup=False, soft_wrap=True)
    for file in (folder.samples / "grid.png", folder.page_file, folder.report_file, folder.model_file()):
        results.print(str(file), markup=False, soft_wrap=True)
