"""What `run` and `train` share: everything checked before work starts, then the training in its folder."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from accelerate import Accelerator

from fromnoise.config import Config, to_json
from fromnoise.data import sources
from fromnoise.data.clusters import told
from fromnoise.data.image_set import ImageSet
from fromnoise.faces.arguments import TrainingArguments
from fromnoise.faces.console import Bar, duration, results, say
from fromnoise.faces.extras import extra
from fromnoise.faces.runs import find_model
from fromnoise.files import check_writable
from fromnoise.generation.draw import takes_guidance
from fromnoise.generation.model import Model, Shape, check
from fromnoise.training.choice import Choice
from fromnoise.training.device import accelerator
from fromnoise.training.initial import initial
from fromnoise.training.plan import Plan, steps_of
from fromnoise.training.profile import Profile, profile
from fromnoise.training.run_folder import DamagedCheckpoint, RunFolder
from fromnoise.training.trainer import Outcome, Trainer
from fromnoise.training.watch import Watch

Arguments = TypeVar("Arguments", bound=TrainingArguments)


@dataclass(frozen=True)
class Training:
    """A training that is ready to start, or done (`outcome`)."""

    config: Config
    parts: sources.Parts
    folder: RunFolder
    outcome: Outcome
    main_process: bool


def print_configuration(config: Config) -> None:
    """The whole configuration, checked, as JSON on stdout, for --dry-run."""
    check(config)
    results.print_json(json.dumps(to_json(config)))


def ready(arguments: TrainingArguments) -> Accelerator:
    """The device, once all that can be known without the data is found in order; raises UserError where it is not."""
    check(arguments.config)
    if arguments.config.training.tensorboard:
        extra("tensorboard", "tensorboard")
    out = _out(arguments)
    RunFolder(out).check_settings(arguments.config)
    _start_file(arguments.config, RunFolder(out))
    check_writable(out / "config.json")
    return accelerator(arguments.device)


def prepared(arguments: TrainingArguments, device: Accelerator) -> sources.Parts:
    """The data, read (and downloaded) by the first process before the others."""
    with device.main_process_first():
        return sources.prepare(arguments.config.data, arguments.config.seed)


@contextmanager
def trained(arguments: TrainingArguments, device: Accelerator, parts: sources.Parts) -> Iterator[Training]:
    """Train as `arguments` say, holding the run folder's lock until the block ends.

    Raises UserError, before anything is written, for settings that do not go together; Interrupted after Ctrl-C.
    """
    config, folder = arguments.config, RunFolder(_out(arguments))
    train = _told(parts.train, config)
    model = Model.build(config, Shape.of(train, config))
    model.objective()  # refuses what `check` does not know of
    looks = _watch(arguments, parts, folder, device)
    file = _start_file(config, folder)
    start = None if file is None else initial(model, file)
    quiet = not device.is_main_process
    bar = Bar("training", quiet=quiet)
    choice = _choice(arguments, model, train, folder, device, bar)
    with nullcontext() if quiet else folder.open(config, parts.train, start):
        device.wait_for_everyone()
        if train.clustered and not quiet:
            say(f"the network is told of {model.shape.told} of like images, not of classes (--clusters 0: of none)")
        with bar:
            tell = (lambda text: None) if quiet else say
            trainer = Trainer(
                model,
                train,
                folder,
                device,
                bar.tick,
                tell,
                watch=looks,
                choice=choice,
                initial=start,
                extension=arguments.extension,
            )
            outcome = trainer.run()
        if not quiet and not outcome.already_finished:
            say(f"trained {outcome.steps:,} steps in {duration(outcome.seconds)}: {folder.model_file()}")
        yield Training(config, parts, folder, outcome, not quiet)


def without_unscored_extension(arguments: Arguments) -> Arguments:
    """`arguments` without their extension where that very one is trained already, and only its score is missing.

    It was stopped after its last step: the same command is to go on there, not to train once more.
    """
    folder, extension = RunFolder(_out(arguments)), arguments.extension
    if extension is None or folder.report_file.exists() or not folder.steps():
        return arguments
    step = folder.steps()[-1]
    if folder.aside(folder.report_file, step).exists():
        return arguments  # this step has its score: a further extension was killed before its first checkpoint
    try:
        plan = Plan.from_json(folder.load(step)[2]["plan"], arguments.config.training.budget)
    except DamagedCheckpoint:
        return arguments
    trained = plan.total_steps == step and len(plan.phases) > 1 and str(plan.phase) == str(extension)
    if not trained:
        return arguments
    say(f"the {extension} are trained already and only to be scored; the same command again goes on for as many more")
    return replace(arguments, extension=None)


def profiled(arguments: TrainingArguments) -> Profile:
    """Where the time of a step of this training would go; nothing is written."""
    check(arguments.config)
    device = accelerator(arguments.device)
    train = _told(prepared(arguments, device).train, arguments.config)
    model = Model.build(arguments.config, Shape.of(train, arguments.config))
    with Bar("profiling") as bar:
        return profile(model, train, device, bar.show)


def _told(train: ImageSet, config: Config) -> ImageSet:
    """The training images with what the network is told of each: its class, its cluster or nothing."""
    return told(train, config.network.labels, config.data.clusters) if config.network.takes_labels else train


def _watch(arguments: TrainingArguments, parts: sources.Parts, folder: RunFolder, device: Accelerator) -> Watch | None:
    """The watch that --evaluate-every asks for; raises UserError as `Watcher` does."""
    config = arguments.config
    if config.evaluation.evaluate_every is None:
        return None
    from fromnoise.faces.watch import Watcher  # imports the metrics, which other trainings need not wait for

    watcher = Watcher(config, parts, folder, device.device, arguments.inception_weights)
    return Watch(config.evaluation.evaluate_every, watcher.look)


def _choice(
    arguments: TrainingArguments, model: Model, train: ImageSet, folder: RunFolder, device: Accelerator, bar: Bar
) -> Choice | None:
    """The choice of guidance, for a model that can be guided where no flag says how much; raises as `Chooser` does."""
    if arguments.config.sampling.guidance is not None or not takes_guidance(model):
        return None
    from fromnoise.faces.guidance import FEWEST_STEPS, Chooser  # imports the metrics, as above

    settings = arguments.config.training
    steps = steps_of(settings.budget, len(train), settings.batch)
    if not arguments.extension and not folder.steps() and steps and steps < FEWEST_STEPS:
        return None
    chooser = Chooser(model, train, folder, device.device, bar, arguments.inception_weights)
    return Choice(chooser.cost, chooser.choose)


def _start_file(config: Config, folder: RunFolder) -> Path | None:
    """The model file that a new training starts from, if any; a training that goes on has weights of its own."""
    return find_model(config.training.init) if config.training.init and not folder.steps() else None


def _out(arguments: TrainingArguments) -> Path:
    assert arguments.out is not None, "parse_training fills it in"
    return arguments.out
