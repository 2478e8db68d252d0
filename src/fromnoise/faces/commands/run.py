"""`fromnoise run`: train → sample → score → summary."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fromnoise.faces.arguments import FailOn, TrainingArguments
from fromnoise.faces.commands.train import print_configuration
from fromnoise.say import captured, duration, plural, say

if TYPE_CHECKING:
    from fromnoise.evaluation.report import Report
    from fromnoise.training.run_folder import RunFolder


@dataclass(frozen=True)
class RunArguments(TrainingArguments):
    """From images to a scored model: train, sample, and score against held-out images.

    fromnoise run --data digits --out runs/digits --minutes 10
    fromnoise run --data photos/ --size 32 --out runs/photos
    """

    fail_on: FailOn = None


def main(arguments: RunArguments) -> None:
    """Run."""
    if arguments.dry_run:
        print_configuration(arguments.config)
        return
    from fromnoise.data import arrays
    from fromnoise.evaluation import verdicts
    from fromnoise.experiment.score import reference_of, sample_and_score, scored_before
    from fromnoise.experiment.train import trained, without_unscored_extension

    failing = verdicts.named(arguments.fail_on)
    experiment = without_unscored_extension(arguments.experiment())
    replace(experiment.features)(experiment.parts.train.images[:2])  # found, or refused, before training
    reference, n = reference_of(experiment.config, experiment.parts, experiment.skip_broken)
    folder = experiment.folder
    with trained(experiment) as outcome:
        if not experiment.accelerator.is_main_process:
            return  # the first process alone reports and scores
        report, generated = scored_before(folder, outcome.steps) if outcome.already_finished else None, None
        if report is None:
            report, generated = sample_and_score(experiment, outcome, reference, n)
        if generated is None and folder.page_file.exists():
            say(f"{arguments.out} is finished: nothing to do")
        else:
            from fromnoise.faces import report as pages  # imports Matplotlib, which the training need not wait for

            with captured():  # these are the run's own images
                generated = generated or arrays.load(folder.samples / "images.npz")
            pages.write(folder, report, generated, experiment.parts.train)
        _summary(folder, report, outcome.steps)
    verdicts.check(report, failing)


def _summary(folder: "RunFolder", report: "Report", steps: int) -> None:
    from fromnoise.faces.console import results
    from fromnoise.faces.tables import print_score
    from fromnoise.training.validation import better_before

    assert report.run is not None, "the report of a run"
    trained, sampling = report.run.training, report.run.sampling
    print_score(report)
    results.sentence(
        f"trained {plural(trained.steps, 'step')} in {duration(trained.seconds)}, "
        f"sampled {sampling.n:,} images in {duration(sampling.seconds)} on {report.run.system.get('hardware')}"
    )
    for sentence in (trained.shortfall, better_before(folder, steps)):
        if sentence:
            results.sentence(sentence)
    print(folder.samples / "grid.png", folder.page_file, folder.report_file, folder.model_file(), sep="\n")
