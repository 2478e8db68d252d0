"""`fromnoise train`."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from fromnoise.config import Config, to_json
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
    if arguments.dry_run:
        return print_configuration(arguments.config)
    from fromnoise.experiment.train import prepared, profiled, ready, trained
    from fromnoise.faces.console import once, results, say

    experiment = arguments.experiment()
    if arguments.profile:
        from fromnoise.faces.tables import print_profile

        print_profile(profiled(experiment), results)
        return 0
    from fromnoise.experiment.find import better_before

    device = ready(experiment)
    parts = prepared(experiment, device, once(quiet=not device.is_main_process))
    with trained(experiment, device, parts) as training:
        if training.outcome.already_finished and training.main_process:
            say(f"{arguments.out} is trained already ({training.outcome.steps:,} steps): nothing to do")
        if training.main_process:
            better = better_before(training.folder, training.outcome.steps)
            if better:
                say(better)
            print(training.folder.model_file())
    return 0


def print_configuration(config: Config) -> int:
    """The whole configuration, checked, as JSON on stdout, for --dry-run; returns the exit code."""
    from fromnoise.faces.console import results
    from fromnoise.generation.model import check

    check(config)
    results.print_json(json.dumps(to_json(config)))
    return 0
