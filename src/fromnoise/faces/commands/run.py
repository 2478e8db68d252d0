"""`fromnoise run`: train → sample → score → summary."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fromnoise.faces.arguments import TrainingArguments, parse_training
from fromnoise.faces.commands.train import print_configuration

if TYPE_CHECKING:
    from fromnoise.experiment.train import Training


@dataclass(frozen=True)
class RunArguments(TrainingArguments):
    """From images to a scored model: train, draw images, score them against held-out ones.

    fromnoise run --data digits --out runs/digits --minutes 10
    fromnoise run --data photos/ --size 32 --out runs/photos
    """


def main(words: Sequence[str]) -> int:
    """Run; returns the exit code."""
    arguments = parse_training(RunArguments, words, "run")
    if arguments.dry_run:
        return print_configuration(arguments.config)
    from fromnoise.evaluation.features import features
    from fromnoise.evaluation.score import KIND, SCHEMA, read_report
    from fromnoise.experiment.score import reference_of, sample_and_score
    from fromnoise.experiment.train import prepared, ready, trained, without_unscored_extension
    from fromnoise.faces.console import once, say
    from fromnoise.files import reading

    experiment = without_unscored_extension(arguments.experiment())
    device = ready(experiment)
    config, weights = experiment.config, experiment.inception_weights
    features(config.evaluation.features, inception_weights=weights, say=say)  # found, or refused, before training
    tell = once(quiet=not device.is_main_process)
    parts = prepared(experiment, device, tell)
    reference, n = reference_of(config, parts, tell)
    with trained(experiment, device, parts) as training:
        if not training.main_process:
            return 0
        folder = training.folder
        if folder.report_file.exists() and read_report(folder.report_file).get("schema") != SCHEMA:
            say("its report is of another version: it is scored again, and the old report kept beside the new one")
            folder.set_aside_score(training.outcome.steps)
        scored = training.outcome.already_finished and folder.report_file.exists()
        if not scored:
            sample_and_score(training, reference, n, weights)
        # What is wrong with a report that was just made is a bug; an old one may be damaged.
        with reading(folder.report_file, KIND, "remove it and score again") if scored else nullcontext():
            if not scored or not folder.page_file.exists():
                from fromnoise.faces import report  # imports Matplotlib, which the training need not wait for

                report.write(folder, parts.train)
            else:
                say(f"{arguments.out} is finished: nothing to do")
            _summary(training)
    return 0


def _summary(training: "Training") -> None:
    from fromnoise.experiment.find import better_before
    from fromnoise.experiment.progress import duration
    from fromnoise.faces.console import results
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
    if run["training"]["shortfall"]:
        results.print(run["training"]["shortfall"], markup=False, soft_wrap=True)
    folder = training.folder
    better = better_before(folder, training.outcome.steps)
    if better:
        results.print(better, markup=False, soft_wrap=True)
    for file in (folder.samples / "grid.png", folder.page_file, folder.report_file, folder.model_file()):
        results.print(str(file), markup=False, soft_wrap=True)
