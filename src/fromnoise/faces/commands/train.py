"""`fromnoise train`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from fromnoise.faces.arguments import TrainingArguments, parse_training


@dataclass(frozen=True)
class TrainArguments(TrainingArguments):
    """Train a model. The same command again goes on where it stopped; Ctrl-C saves first.

    fromnoise train --data mnist --m 3000 --preset chapter --out runs/chapter
    fromnoise train --data photos/ --size 48 --minutes 30
    fromnoise train --data digits --profile --device cpu
    """

    profile: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Take a few steps on a CPU, tell where their time goes, and write nothing."""


def main(words: Sequence[str]) -> int:
    """Train; returns the exit code."""
    arguments = parse_training(TrainArguments, words, "train")
    from fromnoise.faces import training_run
    from fromnoise.faces.console import results, say

    if arguments.dry_run:
        training_run.print_configuration(arguments.config)
        return 0
    if arguments.profile:
        from fromnoise.faces.tables import print_profile

        print_profile(training_run.profiled(arguments), results)
        return 0
    from fromnoise.faces.runs import better_before

    device = training_run.ready(arguments)
    with training_run.trained(arguments, device, training_run.prepared(arguments, device)) as training:
        if training.outcome.already_finished and training.main_process:
            say(f"{arguments.out} is trained already ({training.outcome.steps:,} steps): nothing to do")
        if training.main_process:
            better = better_before(training.folder, training.outcome.steps)
            if better:
                say(better)
            print(training.folder.model_file())
    return 0
