"""A training in its folder: everything is checked before work starts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path

from accelerate import Accelerator

from fromnoise.config import Config, flat, to_json
from fromnoise.data import sources
from fromnoise.data.clusters import conditioned
from fromnoise.data.image_set import ImageSet
from fromnoise.data.parts import Parts
from fromnoise.diffusion.samplers import IN_RANGE, ON_SCHEDULE
from fromnoise.errors import UserError
from fromnoise.evaluation.extractor import Features
from fromnoise.experiment import few_images, initial_weights
from fromnoise.extras import extra
from fromnoise.files import check_writable
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model, check
from fromnoise.limits import check_limits, flag
from fromnoise.networks.registry import network
from fromnoise.say import duration, mute, plural, say
from fromnoise.tensors import DamagedFile
from fromnoise.training.batches import rows_each
from fromnoise.training.device import GUIDE, alone, check_alike, connected
from fromnoise.training.device import accelerator as accelerator_on
from fromnoise.training.pace import steps_of
from fromnoise.training.profile import Profile, profile
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget, Recording
from fromnoise.training.trainer import Outcome, Trainer
from fromnoise.training.validation import GuidanceChoice, Validation

SEEN_SECONDS = 60  # within which a network file system shows one machine what another wrote


@dataclass(frozen=True)
class Experiment:
    """A run: its configuration, folder, device, data and features, each made when first used.

    device             auto, cpu, cuda or mps
    threads            of the CPU; None for as many as help
    weights            those of the features, as `features` takes them
    extension          the budget by which a finished training goes on
    recording          how often to log and to save
    skip_broken        leave out images that cannot be read
    """

    config: Config
    out: Path
    device: str = "auto"
    threads: int | None = None
    weights: Path | None = None
    extension: Budget | None = None
    recording: Recording = field(default_factory=Recording)
    skip_broken: bool = False

    @cached_property
    def folder(self) -> RunFolder:
        """The run folder, there or not."""
        return RunFolder(self.out)

    @cached_property
    def accelerator(self) -> Accelerator:
        """The device, after every check that needs no data; raises UserError if one fails.

        From here on all processes but the first are silent.
        """
        check(self.config)
        check_limits(self.recording)
        if self.recording.tensorboard:
            extra("tensorboard", "tensorboard")
        self.folder.check_settings(self.config)
        if not self.folder.steps():  # a new training, whose score and start must be possible
            from fromnoise.evaluation.features import check_name

            check_name(self.config.evaluation.features)
            if (reference := self.config.evaluation.reference) is not None:
                sources.check_name(reference)
            initial_weights.named(self.config.training.init)
        if self.extension or not (self.folder.path.is_dir() and self.folder.is_finished()):
            check_writable(self.folder.config_file)
        found = accelerator_on(self.device, self.threads)
        rows_each(self.config.training.batch, found.num_processes)
        if not found.is_main_process:
            mute()
        return found

    @cached_property
    def parts(self) -> Parts:
        """The data, read (and downloaded) by the first process before the others, and by each machine's first."""
        device = self.accelerator
        with connected(), device.main_process_first(), device.local_main_process_first():
            return sources.prepare(self.config.data, self.config.seed, skip_broken=self.skip_broken)

    @cached_property
    def features(self) -> Features:
        """The extractor of the score; raises UserError if it is not available."""
        from fromnoise.evaluation.features import features

        name, device, images = self.config.evaluation.features, self.accelerator.device, self.parts.train
        return features(name, device, images=images, weights=self.weights)

    @cached_property
    def choosing(self) -> Features:
        """The extractor for validation and the choice of guidance, which is not the score's."""
        from fromnoise.evaluation.features import choosing_features

        return choosing_features(self.accelerator.device)


@contextmanager
def trained(experiment: Experiment) -> Iterator[Outcome]:
    """Train as `experiment` says, holding the run folder's lock until the block ends.

    Raises UserError, before anything is written, for settings that do not go together; Interrupted after Ctrl-C.
    """
    config, folder, device, parts = experiment.config, experiment.folder, experiment.accelerator, experiment.parts
    train, model = untrained(parts.train, config)
    if not folder.steps() and config.sampling.guidance not in (None, 1) and not model.info.classes:
        raise UserError("this network is trained without classes or clusters: leave out --guidance")
    validation = _validation(experiment)
    begins = None if folder.steps() else initial_weights.chosen(model)  # a resumed training has weights of its own
    if begins and (text := initial_weights.split_otherwise(config, parts)):
        say(f"warning: {text}")
    choice = _choice(experiment, model, train)
    with folder.open(config, parts.train, begins) if device.is_main_process else nullcontext():
        if device.num_processes > 1:
            batch, each = config.training.batch, rows_each(config.training.batch, device.num_processes)
            say(f"{device.num_processes} processes share each batch of {batch} images, {each} each")
        begun = folder.steps() and not experiment.extension  # already said when it began
        if not begun:
            texts = few_images.advice(config, parts, _all_steps(experiment)), *idle(config, model.info.classes)
            for text in filter(None, texts):
                say(text)
        if train.clustered:
            groups = f"{model.info.conditioned_on} of similar images, not on classes"
            say(f"conditioning on {groups} (--clusters 0 turns this off)")
        with connected():
            _check_shared(experiment, validation)
            trainer = Trainer(
                model,
                train,
                folder,
                device,
                validation=validation,
                choice=choice,
                initial=begins,
                extension=experiment.extension,
                recording=experiment.recording,
            )
            outcome = trainer.run()
        if not outcome.already_finished:
            say(f"trained {plural(outcome.steps, 'step')} in {duration(outcome.seconds)}: {folder.model_file()}")
            if outcome.shortfall:
                say(outcome.shortfall)
        yield outcome


def without_unscored_extension(experiment: Experiment) -> Experiment:
    """`experiment` without its extension if that is trained already and only its score is missing.

    It was stopped after its last step: the same command then scores, and does not train once more.
    """
    folder, extension = experiment.folder, experiment.extension
    if extension is None or folder.report_file.exists() or not folder.steps():
        return experiment
    folder.check_settings(experiment.config)
    step = folder.steps()[-1]
    if folder.aside(folder.report_file, step).exists():
        return experiment  # this step has its score: a further extension was killed before its first checkpoint
    try:
        pace = folder.load(step).standing.pace
    except DamagedFile:
        return experiment
    if pace.total != step or len(pace.budgets) < 2 or str(pace.budget) != str(extension):
        return experiment
    say(
        f"training for the extra {extension} is done and only the score is missing; after scoring, the same command "
        f"trains for another {extension}"
    )
    return replace(experiment, extension=None)


def profiled(experiment: Experiment) -> Profile:
    """Where the time of a step of this training would go; nothing is written."""
    config = experiment.config
    check(config)
    alone(experiment.device, experiment.threads)
    device = accelerator_on(experiment.device, experiment.threads)
    parts = sources.prepare(config.data, config.seed, skip_broken=experiment.skip_broken)
    train, model = untrained(parts.train, config)
    return profile(model, train, device)


def untrained(train: ImageSet, config: Config) -> tuple[ImageSet, Model]:
    """The training images, each with its condition (its class, its cluster or none), and a new model of them."""
    if network(config.network).TAKES_LABELS:
        train = conditioned(train, config.network.labels, config.data.clusters)
    return train, Model.build(config, DataInfo.of(train, config))


def _validation(experiment: Experiment) -> Validation | None:
    """The validation that --evaluate-every asks for or few images need; raises UserError as `Validator` does."""
    asked = experiment.config.evaluation.evaluate_every
    every = asked or few_images.validate_every(experiment.parts, _all_steps(experiment))
    if every is None:
        return None
    from fromnoise.experiment.validate import Validator  # imports the metrics, which other trainings need not wait for

    features = experiment.choosing if asked else None
    validator = Validator(experiment.config, experiment.parts, experiment.folder, features)
    return Validation(every, validator.validate, partial(few_images.should_stop, groups=validator.real.groups))


def _choice(experiment: Experiment, model: Model, train: ImageSet) -> GuidanceChoice | None:
    """The choice of guidance by class, unless a flag gives the strength.

    By cluster, guidance is fixed at 2: the distance used for classes would choose none, and images would look worse.
    """
    if experiment.config.sampling.guidance is not None or not model.info.classes or model.info.clustered:
        return None
    from fromnoise.experiment.guidance import Chooser  # imports the metrics, as above

    chooser = Chooser(model, train, experiment.folder, experiment.choosing)
    return GuidanceChoice(chooser.cost, chooser.choose)


def _all_steps(experiment: Experiment) -> int | None:
    """The training's steps in all; None where the clock decides, or if it was validated before and goes on to be."""
    folder, extension, settings = experiment.folder, experiment.extension, experiment.config.training

    def steps_in(budget: Budget) -> int | None:
        return steps_of(budget, len(experiment.parts.train), settings.batch)

    done, steps = max(folder.steps(), default=0), steps_in(extension or settings.budget)
    if not done or folder.about_best():
        return None if done else steps
    last = folder.about().budgets[-1:]
    if last and extension in (None, replace(last[0], step=0, seconds=0.0)):  # under way, if not finished
        own = steps_in(last[0])
        if extension is None or own is None or done < last[0].step + own:
            return None if own is None else last[0].step + own
    return steps and steps + done * (extension is not None)


def idle(config: Config, classes: int) -> Iterator[str]:
    """A sentence for each setting that is not the default and has no effect here."""
    levels, spacing = config.diffusion.levels, config.sampling.spacing
    ours, plain = flat(to_json(config)), flat(to_json(Config()))
    own = "uniform" in levels or spacing in ON_SCHEDULE, "--levels uniform or --spacing " + " or ".join(ON_SCHEDULE)
    needs = {
        "schedule": own,
        "T": own,
        "lognormal": (levels == "lognormal", "--levels lognormal"),
        "logsnr_range": (spacing in IN_RANGE, "--spacing " + " or ".join(IN_RANGE)),
        "guidance_interval": (classes > 0, "classes or clusters"),
    }
    for name, (used, by) in needs.items():
        if not used and ours[name] != plain[name]:
            yield f"{flag(name)} has no effect: it is used only with {by}"
    for name in network(config.network).unused(config.network):
        yield f"{flag(name)} has no effect: --network {config.network.network} ignores it"


def _check_shared(experiment: Experiment, validation: Validation | None) -> None:
    """Raise UserError unless all processes have the same images and settings and see the run folder of the first."""
    folder, device = experiment.folder, experiment.accelerator
    device.wait_for_everyone()
    for _ in range(SEEN_SECONDS):
        if folder.config_file.exists():
            break
        time.sleep(1)
    else:
        raise UserError(f"{folder.path} is not visible here: put --out on storage that all machines share; {GUIDE}")
    images, settings = experiment.parts.train.fingerprint, to_json([experiment.config, experiment.recording])
    every = None if validation is None else validation.every
    facts = {"training images": images, "settings": settings, "checkpoints": folder.steps(), "validations": every}
    check_alike(device, facts)
