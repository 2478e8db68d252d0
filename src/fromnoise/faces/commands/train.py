"""`fromnoise train`."""

import json
from dataclasses import dataclass

from fromnoise.config import Config, to_json
from fromnoise.errors import UserError
from fromnoise.faces.arguments import TrainingArguments
from fromnoise.say import say


@dataclass(frozen=True)
class TrainArguments(TrainingArguments):
    """Train a model. The same command again resumes where it stopped; Ctrl-C saves first.

    fromnoise train --data mnist --m 3000 --preset chapter --out runs/chapter
    fromnoise train --data photos/ --size 48 --minutes 30
    fromnoise train --data digits --profile --device cpu
    """

    profile: bool = False
    """Show where the time of a few training steps goes (CPU only); write nothing."""


def main(arguments: TrainArguments) -> None:
    """Train."""
    if arguments.dry_run:
        print_configuration(arguments.config)
        return
    if arguments.weights is not None:
        raise UserError("--weights is for a score, and `train` makes none: use `fromnoise run`")
    from fromnoise.experiment.train import profiled, trained
    from fromnoise.training.validation import better_before

    experiment = arguments.experiment()
    if arguments.profile:
        from fromnoise.faces.tables import print_profile

        print_profile(profiled(experiment))
        return
    with trained(experiment) as outcome:
        if not experiment.accelerator.is_main_process:
            return  # the first process alone reports
        if outcome.already_finished:
            say(f"{arguments.out} is already trained ({outcome.steps:,} steps): nothing to do")
        if better := better_before(experiment.folder, outcome.steps):
            say(better)
        print(experiment.folder.model_file())


def print_configuration(config: Config) -> None:
    """Print the whole configuration, checked, as JSON, for --dry-run."""
    from fromnoise.faces.console import results
    from fromnoise.generation.model import check

    check(config)
    results.print_json(json.dumps(to_json(config)), ensure_ascii=True)
