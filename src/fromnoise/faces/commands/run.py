"""`fromnoise run`: train → sample → score → summary."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fromnoise.faces.arguments import TrainingArguments, parse_training
from fromnoise.faces.commands.train import print_configuration

if TYPE_CHECKING:
    from fromnoise.experiment.train import Training


@dataclass(frozen=True)
class RunArguments(TrainingArguments):
    """From images to a scored model: train, sample, and score against held-out images.

    fromnoise run --data digits --out runs/digits --minutes 10
    fromnoise run --data photos/ --size 32 --out runs/photos
    """


def main(words: Sequence[str]) -> None:
    """Run."""
    arguments = parse_training(RunArguments, words, "run")
    if arguments.dry_run:
        print_configuration(arguments.config)
        return
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
            return
        folder = training.folder
        if folder.report_file.exists() and read_report(folder.report_file).get("schema") != SCHEMA:
            say("report.json is from another version: scoring again, and keeping the old report beside the new one")
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


def _summary(training: "Training") -> None:
    from fromnoise.experiment.find import better_before
    from fromnoise.experiment.progress import duration
    from fromnoise.faces.tables import print_score
    from fromnoise.files import read_json

    folder = training.folder
    report = read_json(folder.report_file)
    trained, sampling, system = (report["run"][name] for name in ("training", "sampling", "system"))
    print_score(report)
    print(
        f"trained {trained['steps']:,} steps in {duration(trained['seconds'])}, "
        f"sampled {sampling['n']:,} images in {duration(sampling['seconds'])} on {system['hardware']}"
    )
    for sentence in (trained["shortfall"], better_before(folder, training.outcome.steps)):
        if sentence:
            print(sentence)
    print(folder.samples / "grid.png", folder.page_file, folder.report_file, folder.model_file(), sep="\n")
