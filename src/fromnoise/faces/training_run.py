"""What `run` and `train` share: everything checked before work starts, then the training in its folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from fromnoise.config import Config, to_json
from fromnoise.data import sources
from fromnoise.faces.arguments import TrainingArguments
from fromnoise.faces.console import Bar, duration, results, say
from fromnoise.faces.extras import extra
from fromnoise.generation.model import Model, Shape, check
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.trainer import Outcome, Trainer, accelerator


@dataclass(frozen=True)
class Training:
    """A training that is ready to start, or done (`outcome`)."""

    config: Config
    parts: sources.Parts
    folder: RunFolder
    outcome: Outcome
    main_process: bool


def print_configuration(config: Config) -> None:
    """The whole configuration as JSON on stdout, for --dry-run."""
    results.print_json(json.dumps(to_json(config)))


@contextmanager
def trained(arguments: TrainingArguments, parts: sources.Parts) -> Iterator[Training]:
    """Train as `arguments` say, holding the run folder's lock until the block ends.

    Raises UserError, before anything is written, for settings that do not go together; Interrupted after Ctrl-C.
    """
    config, out = arguments.config, arguments.out
    assert out is not None, "parse_training fills it in"
    check(config)
    if config.training.tensorboard:
        extra("tensorboard", "tensorboard")
    folder = RunFolder(Path(out))
    model = Model.build(config, Shape.of(parts.train, config))
    model.objective()  # refuses what `check` does not know of
    device = accelerator(arguments.device)
    with folder.open(config, parts.train) if device.is_main_process else nullcontext():
        device.wait_for_everyone()
        quiet = not device.is_main_process
        with Bar("training", quiet=quiet) as bar:
            tell = (lambda text: None) if quiet else say
            trainer = Trainer(model, parts.train, folder, device, bar.tick, tell)
            outcome = trainer.run()
        if not quiet and not outcome.already_finished:
            say(f"trained {outcome.steps:,} steps in {duration(outcome.seconds)}: {folder.model_file()}")
        yield Training(config, parts, folder, outcome, device.is_main_process)
