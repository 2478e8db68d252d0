"""A training in its folder: everything is checked before work starts."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from accelerate import Accelerator

from fromnoise.config import Config, to_json
from fromnoise.data import sources
from fromnoise.data.clusters import told
from fromnoise.data.image_set import ImageSet
from fromnoise.data.inventory import Say, silent
from fromnoise.errors import UserError
from fromnoise.experiment.find import find_model
from fromnoise.experiment.progress import SILENT, Bar, Reporter, duration
from fromnoise.extras import extra
from fromnoise.files import check_writable
from fromnoise.generation.draw import takes_guidance
from fromnoise.generation.model import Model, Shape, check
from fromnoise.networks.registry import network
from fromnoise.tensors import DamagedFile
from fromnoise.training.batches import rows
from fromnoise.training.choice import Choice
from fromnoise.training.device import GUIDE, accelerator, alone, check_alike, connected
from fromnoise.training.initial import initial
from fromnoise.training.pace import steps_of
from fromnoise.training.profile import Profile, profile
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget
from fromnoise.training.trainer import Outcome, Tick, Trainer
from fromnoise.training.watch import Watch

SEEN_SECONDS = 60  # within which a network file system shows one machine what another wrote


@dataclass(frozen=True)
class Experiment:
    """What is to be trained, and where.

    device             auto, cpu, cuda or mps
    threads            of the CPU; None for as many as help
    inception_weights  the file of Inception's, as `features` takes it
    extension          the budget by which a finished training goes on
    reporter           is told how the work goes
    """

    config: Config
    out: Path
    device: str = "auto"
    threads: int | None = None
    inception_weights: Path | None = None
    extension: Budget | None = None
    reporter: Reporter = SILENT

    @property
    def folder(self) -> RunFolder:
        """The run folder, there or not."""
        return RunFolder(self.out)


@dataclass(frozen=True)
class Training:
    """A training that is done (`outcome`)."""

    config: Config
    parts: sources.Parts
    folder: RunFolder
    outcome: Outcome
    main_process: bool
    reporter: Reporter


def ready(experiment: Experiment) -> Accelerator:
    """The device, once all that can be known without the data is found in order; raises UserError where it is not."""
    check(experiment.config)
    if experiment.config.training.tensorboard:
        extra("tensorboard", "tensorboard")
    folder = experiment.folder
    folder.check_settings(experiment.config)
    _start_file(experiment.config, folder)
    if experiment.extension or not (folder.path.is_dir() and folder.is_finished()):
        check_writable(folder.config_file)
    device = accelerator(experiment.device, experiment.threads)
    rows(experiment.config.training.batch, device.num_processes)
    return device


def prepared(experiment: Experiment, device: Accelerator, tell: Say = silent) -> sources.Parts:
    """The data, read (and downloaded) by the first process before the others, and by each machine's first.

    `tell` is the `say` of `sources.load`.
    """
    with connected(), device.main_process_first(), device.local_main_process_first():
        return sources.prepare(experiment.config.data, experiment.config.seed, say=tell)


@contextmanager
def trained(experiment: Experiment, device: Accelerator, parts: sources.Parts) -> Iterator[Training]:
    """Train as `experiment` says, holding the run folder's lock until the block ends.

    Raises UserError, before anything is written, for settings that do not go together; Interrupted after Ctrl-C.
    """
    config, folder = experiment.config, experiment.folder
    train = _told(parts.train, config)
    model = Model.build(config, Shape.of(train, config))
    model.objective()  # refuses what `check` does not know of
    looks = _watch(experiment, parts, folder, device)
    file = _start_file(config, folder)
    start = None if file is None else initial(model, file)
    quiet = not device.is_main_process
    reporter = SILENT if quiet else experiment.reporter
    bar = reporter.bar("training")
    choice = _choice(experiment, model, train, folder, device, bar)
    with nullcontext() if quiet else folder.open(config, parts.train, start):
        if device.num_processes > 1:
            batch, each = config.training.batch, rows(config.training.batch, device.num_processes)
            reporter.say(f"{device.num_processes} processes share each batch of {batch} images, {each} each")
        if train.clustered:
            reporter.say(
                f"the network is told of {model.shape.told} of like images, not of classes (--clusters 0: of none)"
            )
        with bar, connected():
            _check_shared(folder, parts, config, device)
            trainer = Trainer(
                model,
                train,
                folder,
                device,
                _ticker(bar),
                reporter.say,
                watch=looks,
                choice=choice,
                initial=start,
                extension=experiment.extension,
            )
            outcome = trainer.run()
        if not outcome.already_finished:
            reporter.say(f"trained {outcome.steps:,} steps in {duration(outcome.seconds)}: {folder.model_file()}")
            if outcome.shortfall:
                reporter.say(outcome.shortfall)
        yield Training(config, parts, folder, outcome, not quiet, reporter)


def without_unscored_extension(experiment: Experiment) -> Experiment:
    """`experiment` without its extension where that very one is trained already, and only its score is missing.

    It was stopped after its last step: the same command is to go on there, not to train once more.
    """
    folder, extension = experiment.folder, experiment.extension
    if extension is None or folder.report_file.exists() or not folder.steps():
        return experiment
    step = folder.steps()[-1]
    if folder.aside(folder.report_file, step).exists():
        return experiment  # this step has its score: a further extension was killed before its first checkpoint
    try:
        pace = folder.pace_at(step)
    except DamagedFile:
        return experiment
    trained = pace.total == step and len(pace.budgets) > 1 and str(pace.budget) == str(extension)
    if not trained:
        return experiment
    experiment.reporter.say(
        f"the {extension} are trained already and only to be scored; the same command again goes on for as many more"
    )
    return replace(experiment, extension=None)


def profiled(experiment: Experiment) -> Profile:
    """Where the time of a step of this training would go; nothing is written."""
    check(experiment.config)
    device = alone(experiment.device, experiment.threads)
    train = _told(prepared(experiment, device, experiment.reporter.say).train, experiment.config)
    model = Model.build(experiment.config, Shape.of(train, experiment.config))
    with experiment.reporter.bar("profiling") as bar:
        return profile(model, train, device, bar.show)


def _told(train: ImageSet, config: Config) -> ImageSet:
    """The training images with what the network is told of each: its class, its cluster or nothing."""
    return told(train, config.network.labels, config.data.clusters) if network(config.network).CONDITIONED else train


def _watch(experiment: Experiment, parts: sources.Parts, folder: RunFolder, device: Accelerator) -> Watch | None:
    """The watch that --evaluate-every asks for; raises UserError as `Watcher` does."""
    config = experiment.config
    if config.evaluation.evaluate_every is None:
        return None
    from fromnoise.experiment.validate import Watcher  # imports the metrics, which other trainings need not wait for

    watcher = Watcher(config, parts, folder, device.device, experiment.inception_weights, experiment.reporter.say)
    return Watch(config.evaluation.evaluate_every, watcher.look)


def _choice(
    experiment: Experiment, model: Model, train: ImageSet, folder: RunFolder, device: Accelerator, bar: Bar
) -> Choice | None:
    """The choice of guidance, for a model that can be guided where no flag says how much; raises as `Chooser` does."""
    if experiment.config.sampling.guidance is not None or not takes_guidance(model):
        return None
    from fromnoise.experiment.guidance import FEWEST_STEPS, Chooser  # imports the metrics, as above

    settings = experiment.config.training
    steps = steps_of(settings.budget, len(train), settings.batch)
    if not experiment.extension and not folder.steps() and steps and steps < FEWEST_STEPS:
        return None
    chooser = Chooser(model, train, folder, device.device, bar, experiment.reporter.say, experiment.inception_weights)
    return Choice(chooser.cost, chooser.choose)


def _start_file(config: Config, folder: RunFolder) -> Path | None:
    """The model file that a new training starts from, if any; a training that goes on has weights of its own."""
    return find_model(config.training.init) if config.training.init and not folder.steps() else None


def _ticker(bar: Bar) -> Callable[[Tick], None]:
    def tick(tick: Tick) -> None:
        loss = "" if math.isnan(tick.loss) else f"loss {tick.loss:.4f}  "
        bar.show(tick.step, tick.total, f"{loss}{tick.images_per_second:.0f} images/s", tick.remaining)

    return tick


def _check_shared(folder: RunFolder, parts: sources.Parts, config: Config, device: Accelerator) -> None:
    """Raise UserError unless all processes have the same images and settings and see the run folder of the first."""
    device.wait_for_everyone()
    for _ in range(SEEN_SECONDS):
        if folder.config_file.exists():
            break
        time.sleep(1)
    else:
        raise UserError(f"{folder.path} is not seen here: put --out where all machines see it; {GUIDE}")
    facts = {"training images": parts.train.fingerprint, "settings": to_json(config), "checkpoints": folder.steps()}
    check_alike(device, facts)
