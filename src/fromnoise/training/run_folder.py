"""A run's folder: its layout, the run that it belongs to, and who may write."""

import math
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from filelock import FileLock, Timeout

from fromnoise import __version__
from fromnoise.config import Config, differences, read, to_json
from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.files import UNFINISHED, check_name, is_writable, move, quoted, read_json, sweep, write_json
from fromnoise.generation.model import CHECKPOINT_FILE, Model
from fromnoise.tensors import DamagedFile
from fromnoise.training import checkpoints
from fromnoise.training.checkpoints import Checkpoint
from fromnoise.training.initial import Initial
from fromnoise.training.interrupt import Interrupted
from fromnoise.training.settings import Budget
from fromnoise.training.step_log import Error, Evaluation, Losses, StepLog

KEPT = 2  # checkpoints: if the last is damaged, training resumes from the one before


@dataclass(frozen=True)
class TrainingImages:
    """The images that a run was trained on; their fingerprint tells them from others."""

    name: str
    fingerprint: str
    n: int
    shape: tuple[int, int, int]
    classes: int


@dataclass(frozen=True)
class Origin:
    """The model file whose weights a training began from."""

    file: str
    sha256: str


@dataclass(frozen=True)
class ConfigFile:
    """config.json; `budgets` are those of a training that was extended."""

    fromnoise: str
    config: Config
    data: TrainingImages
    init: Origin | None = None
    budgets: tuple[Budget, ...] = ()


class Kid(TypedDict):
    """A kernel distance."""

    value: float
    error: float


class Best(TypedDict):
    """best.json: what the model was chosen by, the KID or, of few training images, the denoising error."""

    step: int
    kid: NotRequired[Kid]
    denoising: NotRequired[Error]


class Guidance(TypedDict):
    """What guidance.json has at least."""

    guidance: float


class RunFolder:
    """The folder of one run. Nothing is written before it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._held = False  # whether it is open: nobody else writes to it then
        self.config_file = path / "config.json"
        self.log = StepLog(path / "log.jsonl", Losses)
        self.evaluations = StepLog(path / "evaluations.jsonl", Evaluation)
        self.pace = StepLog(path / "pace.jsonl")
        self.guidance_file = path / "guidance.json"
        self.checkpoints = path / "checkpoints"
        self.best = self.checkpoints / "best"
        self.samples = path / "samples"
        self.report_file = path / "report.json"
        self.page_file = path / "report.html"

    def check(self, config: Config, train: ImageSet, initial: Initial | None = None) -> None:
        """Raise UserError unless the folder is new, empty, or already holds this run."""
        self.check_settings(config)
        about = self.about() if self.config_file.is_file() else None
        if about and about.data.fingerprint != train.fingerprint:
            then, now = about.config.data.data, config.data.data
            raise UserError(
                f"{self.path} was trained on {then}, and {now} holds other images: choose another --out"
                if then != now
                else f"{train.name} holds different images from those that {self.path} was trained on: the files have "
                "changed, or this version of fromnoise splits them differently; choose another --out"
            )
        if about and initial and (about.init is None or about.init.sha256 != initial.sha256):
            raise UserError(
                f"{initial.name} has changed since {self.path} started from its weights: choose another --out"
            )

    def check_settings(self, config: Config) -> None:
        """The part of `check` that needs no data."""
        check_name(self.path)
        if not self.config_file.is_file():
            sources.check_outside(self.path, config.data.data)
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not self.config_file.is_file():
            names = [item.name for item in self.path.iterdir()] if self.path.is_dir() else ["a file"]
            if all(name == "lock" or name.startswith(UNFINISHED) for name in names):
                return  # killed before config.json was written
            raise UserError(f"{self.path} exists and is not a run folder: choose another with --out")
        then, reference = self.about().config, config.evaluation.reference
        different = differences(config, then)
        if different and not _moved(config, then):
            words = ["fromnoise", "evaluate", "--generated", str(self.path), "--reference", str(reference)]
            score = f", or score its images with `{quoted(words)}`"
            raise UserError(
                f"{self.path} holds a run with different settings (yours, the run's: {'; '.join(different)}): "
                "use the run's settings to resume it, or choose another folder with --out"
                + score
                * (reference is not None and replace(config, evaluation=then.evaluation) == then)
            )

    @contextmanager
    def open(self, config: Config, train: ImageSet, initial: Initial | None = None) -> Iterator[None]:
        """Hold the folder's lock, with config.json written; raises UserError when another process holds it."""
        self.check(config, train, initial)
        if self.config_file.is_file() and not is_writable(self.path):
            yield  # nobody writes here
            return
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise UserError(f"another process is writing to {self.path}: wait for it or stop it") from error
        try:
            self.check(config, train, initial)
            if not self.config_file.exists():
                data = TrainingImages(train.name, train.fingerprint, len(train), train.shape, train.classes)
                origin = Origin(str(initial.file), initial.sha256) if initial else None
                about = ConfigFile(__version__, config, data, origin)
                write_json(self.config_file, to_json(about))
            elif (about := self.about()).config.data != config.data:  # the images have moved
                write_json(self.config_file, to_json(replace(about, config=config)))
            self._held = True
            yield
        except UserError as error:
            self.check_there(error)
            raise
        except KeyboardInterrupt as stop:
            if str(stop):
                raise
            raise Interrupted("stopped; run the same command again to resume") from stop
        finally:
            self._held = False
            lock.release()

    def check_there(self, error: Exception | None = None) -> None:
        """Raise UserError if the folder has gone since it was opened: what is written now would not make a run."""
        if self._held and not self.config_file.is_file():
            raise UserError(
                f"{self.path} was deleted or moved during the training: nothing more can be saved; start again"
            ) from error

    def is_finished(self) -> bool:
        """Whether the newest checkpoint is intact, and from the training's last step."""
        steps = self.steps()
        try:
            return bool(steps) and self.load(steps[-1]).standing.pace.total == steps[-1]
        except DamagedFile:
            return False  # the Trainer sets it aside and goes back to the one before

    def about(self) -> ConfigFile:
        """config.json; raises UserError when it is missing or damaged."""
        return read(self.config_file, ConfigFile)

    def steps(self) -> list[int]:
        """The steps at which there are checkpoints, in order."""
        if not self.checkpoints.is_dir():
            return []
        return sorted(int(item.name) for item in self.checkpoints.iterdir() if re.fullmatch(r"\d{6,}", item.name))

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint at `step`."""
        return self.checkpoints / f"{step:06d}"

    def model_file(self) -> Path:
        """The model to use: the newest, or with few images the one with the lowest denoising error.

        Raises UserError when there is none yet.
        """
        steps = self.steps()
        if not steps:
            raise UserError(f"{self.path} has no checkpoint yet: train it first")
        best = self.about_best()
        if best and "denoising" in best and best["step"] < steps[-1]:
            return self.best / CHECKPOINT_FILE
        return self.checkpoint(steps[-1]) / CHECKPOINT_FILE

    def save(self, model: Model, checkpoint: Checkpoint) -> None:
        """Write a checkpoint of `model`, whole or not at all, and drop all but the newest `KEPT`.

        If this step already has a checkpoint, only its state is rewritten: a validation that was interrupted there may
        have ended the training since.
        The budgets of a training that was extended are written into config.json too.
        """
        self.check_there()
        step, budgets = checkpoint.standing.step, checkpoint.standing.pace.budgets
        if step not in self.steps():
            checkpoints.save(self.checkpoint(step), model, checkpoint)
        else:
            checkpoints.save_state(self.checkpoint(step), checkpoint)
        for old in self.steps()[:-KEPT]:
            shutil.rmtree(self.checkpoint(old), ignore_errors=True)
        if len(budgets) > 1 and (about := self.about()).budgets != budgets:
            write_json(self.config_file, to_json(replace(about, budgets=budgets)))

    def load(self, step: int) -> Checkpoint:
        """The checkpoint at `step`; raises as `checkpoints.load` does."""
        return checkpoints.load(self.checkpoint(step))

    def keep_best(self, model: Model, about: dict[str, Any]) -> None:
        """Save `model` as the best so far, with `about` in best.json to say why."""
        self.check_there()
        model.save(self.best / CHECKPOINT_FILE)
        write_json(self.best / "best.json", about)

    def about_best(self) -> dict[str, Any] | None:
        """best.json of the best model so far; None where there is none. Raises UserError for a damaged one."""
        file = self.best / "best.json"
        best = read_json(file, Best) if file.is_file() else None
        if best is not None and not best.keys() & {"kid", "denoising"}:
            raise UserError(f"{file} does not say what the model was chosen by: remove it")
        return best

    def about_guidance(self) -> dict[str, Any] | None:
        """guidance.json; None where there is none."""
        return read_json(self.guidance_file, Guidance) if self.guidance_file.is_file() else None

    def set_aside(self, step: int) -> None:
        """Rename the checkpoint at `step`, and the results of its model, so that training can make them again."""
        move(self.checkpoint(step), self.checkpoints / f"{step:06d}.damaged-{time.time_ns()}")
        self.set_aside_results(step)

    def set_aside_results(self, step: int) -> None:
        """Rename the results of the model at `step`, its score and the choice of guidance, so that they are kept."""
        self.set_aside_score(step)
        self._set_aside(step, self.guidance_file)

    def has_kept_guidance(self, step: int) -> bool:
        """Whether a choice of guidance was set aside where an extension began, at `step`."""
        return step > 0 and self.aside(self.guidance_file, step).exists()

    def keep_guidance(self, step: int) -> float | None:
        """Put back the choice of guidance that was set aside at `step`, and return it."""
        aside = self.aside(self.guidance_file, step)
        if aside.exists() and not self.guidance_file.exists():
            move(aside, self.guidance_file)
        about = self.about_guidance()
        return None if about is None else float(about["guidance"])

    def set_aside_score(self, step: int) -> None:
        """Rename the report on the model at `step`, its page and samples/, so that they are kept."""
        for results in (self.report_file, self.page_file, self.samples):
            self._set_aside(step, results)

    def aside(self, results: Path, step: int) -> Path:
        """Where the results of the model at `step` are kept once the training has gone on."""
        return results.with_stem(f"{results.stem}-{step:06d}")

    def _set_aside(self, step: int, results: Path) -> None:
        if results.exists():
            aside, times = self.aside(results, step), 1
            while aside.exists():  # scored, set aside and scored again
                times += 1
                aside = results.with_stem(f"{results.stem}-{step:06d}-{times}")
            move(results, aside)

    def cut(self, step: int) -> None:
        """Drop the logs' lines on steps after `step`, where the training resumes; pace.jsonl stays, to be followed."""
        self.log.cut(step)
        self.evaluations.cut(step)
        self.pace.cut(math.inf)

    def sweep(self) -> None:
        """Remove what a killed writer left half-written."""
        for place in (self.path, self.checkpoints, self.best, self.samples):
            sweep(place)


def _moved(config: Config, then: Config) -> bool:
    """Whether the settings differ only in where the images are, and these have moved. `check` compares the images."""
    there = Path(config.data.data).exists() and not Path(then.data.data).exists()
    return there and replace(then, data=replace(then.data, data=config.data.data)) == config
