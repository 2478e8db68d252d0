"""A run's folder: its configuration, log, checkpoints and lock."""

import math
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypedDict

from filelock import FileLock, Timeout
from torch import Tensor

from fromnoise import __version__, tensors
from fromnoise.config import Config, differences, from_json, read, to_json
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.files import UNFINISHED, read_json, whole_folder, write_json
from fromnoise.generation.model import CHECKPOINT_FILE, Model
from fromnoise.tensors import DamagedFile
from fromnoise.training.initial import Initial
from fromnoise.training.pace import Pace
from fromnoise.training.settings import Budget
from fromnoise.training.step_log import Look, Losses, StepLog

KEPT = 2  # checkpoints: should the last be damaged, training goes on from the one before
STATE_FILE, STATE_FORMAT = "state.safetensors", 1


@dataclass(frozen=True)
class TrainingImages:
    """What a run was trained on: a fingerprint of the images tells whether others are the same."""

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
class About:
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
    """best.json."""

    step: int
    kid: Kid


class Guidance(TypedDict):
    """What guidance.json has at least."""

    guidance: float


class RunFolder:
    """The folder of one run. Nothing is written before `open` or `checkpoint` is called.

    held  whether it is open: nobody else writes to it then
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = False
        self.config_file = path / "config.json"
        self.log = StepLog(path / "log.jsonl", Losses)
        self.evaluations = StepLog(path / "evaluations.jsonl", Look)
        self.pace = StepLog(path / "pace.jsonl")
        self.guidance_file = path / "guidance.json"
        self.checkpoints = path / "checkpoints"
        self.best = self.checkpoints / "best"
        self.samples = path / "samples"
        self.report_file = path / "report.json"
        self.page_file = path / "report.html"

    def check(self, config: Config, train: ImageSet, initial: Initial | None = None) -> None:
        """Raise UserError unless the folder is new, empty, or this very run's."""
        self.check_settings(config)
        about = self.about() if self.config_file.is_file() else None
        if about and about.data.fingerprint != train.fingerprint:
            raise UserError(f"{self.path} was trained on other images than {train.name} has now: name another --out")
        if about and initial and about.init != _origin(initial):
            raise UserError(f"{self.path} began from other weights than {initial.file} has now: name another --out")

    def check_settings(self, config: Config) -> None:
        """The part of `check` that needs no data."""
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not self.config_file.is_file():
            names = [item.name for item in self.path.iterdir()] if self.path.is_dir() else ["a file"]
            if all(name == "lock" or name.startswith(UNFINISHED) for name in names):
                return  # killed before its first word
            raise UserError(f"{self.path} exists and is not a run folder: name another with --out")
        different = differences(config, self.about().config)
        if different:
            raise UserError(
                f"{self.path} holds a run of other settings (now, then: {'; '.join(different)}): "
                "give the same settings to go on with it, or name another folder with --out"
            )

    @contextmanager
    def open(self, config: Config, train: ImageSet, initial: Initial | None = None) -> Iterator[None]:
        """Hold the folder's lock, with config.json written; raises UserError when another process holds it.

        `initial` are the weights that a new training starts from, if not random ones.
        """
        self.check(config, train, initial)
        if self.config_file.is_file() and not self.is_writable():
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
                about = About(__version__, config, data, _origin(initial) if initial else None)
                write_json(self.config_file, to_json(about))
            self.held = True
            yield
        except UserError as error:
            self.check_there(error)
            raise
        finally:
            self.held = False
            lock.release()

    def is_writable(self) -> bool:
        """Whether anything can be written into the folder, which is there."""
        return os.access(self.path, os.W_OK)

    def check_there(self, error: Exception | None = None) -> None:
        """Raise UserError when the folder has gone since it was opened: what is written now would be no run."""
        if self.held and not self.config_file.is_file():
            raise UserError(
                f"{self.path} was deleted or moved while it was written to: nothing more is kept; start again"
            ) from error

    def is_finished(self) -> bool:
        """Whether the newest checkpoint is whole, and that of the training's last step."""
        steps = self.steps()
        if not steps:
            return False
        try:
            return self.pace_at(steps[-1]).total == steps[-1]
        except DamagedFile:
            return False  # the Trainer sets it aside and goes back to the one before

    def pace_at(self, step: int) -> Pace:
        """The pace of the checkpoint at `step`; raises as `load` does, and UserError for nonsense."""
        about = self.load(step)[2]
        try:
            return from_json(Pace, about.get("pace"))
        except UserError as error:
            raise UserError(f"{self.checkpoint(step) / STATE_FILE}: {error}") from error

    def about(self) -> About:
        """config.json; raises UserError when it is missing or damaged."""
        return read(self.config_file, About)

    def steps(self) -> list[int]:
        """The steps at which there are checkpoints, in order."""
        if not self.checkpoints.is_dir():
            return []
        return sorted(int(item.name) for item in self.checkpoints.iterdir() if re.fullmatch(r"\d{6,}", item.name))

    def checkpoint(self, step: int) -> Path:
        """The folder of the checkpoint at `step`."""
        return self.checkpoints / f"{step:06d}"

    def model_file(self) -> Path:
        """The newest model; raises UserError when there is none yet."""
        steps = self.steps()
        if not steps:
            raise UserError(f"{self.path} has no checkpoint yet: train it first")
        return self.checkpoint(steps[-1]) / CHECKPOINT_FILE

    def save(
        self,
        step: int,
        model: Model,
        weights: dict[str, Tensor],
        state: dict[str, Tensor],
        about: dict[str, Any],
    ) -> None:
        """Write a checkpoint, whole or not at all, and drop all but the newest `KEPT`.

        weights   what the model is used with (averaged); state: all tensors that resuming needs; about: the rest
        """
        self.check_there()
        target = self.checkpoint(step)
        if not target.exists():
            with whole_folder(target) as folder:
                model.save(folder / CHECKPOINT_FILE, weights)
                tensors.save(folder / STATE_FILE, state, {"format": STATE_FORMAT, "step": step, **about})
        for old in self.steps()[:-KEPT]:
            shutil.rmtree(self.checkpoint(old), ignore_errors=True)

    def load(self, step: int) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
        """Weights, state and the rest, as given to `save`.

        Raises DamagedFile for one that is not as it was written, UserError for one made by another version.
        """
        folder = self.checkpoint(step)
        weights, _ = tensors.load(folder / CHECKPOINT_FILE)
        state, about = tensors.load(folder / STATE_FILE)
        if not isinstance(about, dict) or about.get("format") != STATE_FORMAT:
            raise UserError(f"{folder} was made by another version of fromnoise")
        if about.get("step") != step:
            raise DamagedFile(f"{folder / STATE_FILE} is damaged (it is of step {about.get('step')})")
        return weights, state, about

    def keep_best(self, model: Model, about: dict[str, Any]) -> None:
        """Put `model` in the place of the best so far, with best.json to say why."""
        self.check_there()
        model.save(self.best / CHECKPOINT_FILE)
        write_json(self.best / "best.json", about)

    def about_best(self) -> dict[str, Any] | None:
        """best.json of the best model so far; None where there is none. Raises UserError for a damaged one."""
        file = self.best / "best.json"
        return read_json(file, Best) if file.is_file() else None

    def about_guidance(self) -> dict[str, Any] | None:
        """guidance.json; None where there is none."""
        return read_json(self.guidance_file, Guidance) if self.guidance_file.is_file() else None

    def set_aside(self, step: int) -> None:
        """Keep the checkpoint at `step` under a name that is no checkpoint's, so that training can pass it again.

        So are the results of its model, which are made again with it.
        """
        self.checkpoint(step).rename(self.checkpoints / f"{step:06d}.damaged-{time.time_ns()}")
        self.set_aside_results(step)

    def aside(self, results: Path, step: int) -> Path:
        """Where results of a model at `step` that has gone on since are kept."""
        return results.with_stem(f"{results.stem}-{step:06d}")

    def set_aside_results(self, step: int) -> None:
        """Keep what tells of the model at `step`, its score and the choice of guidance, under names that say so."""
        self.set_aside_score(step)
        self._set_aside(step, self.guidance_file)

    def set_aside_score(self, step: int) -> None:
        """Keep the report on the model at `step`, its page and samples/ under names that say so."""
        self._set_aside(step, self.report_file, self.page_file, self.samples)

    def _set_aside(self, step: int, *kept: Path) -> None:
        for results in filter(Path.exists, kept):
            aside, times = self.aside(results, step), 1
            while aside.exists():  # scored, set aside and scored again
                times += 1
                aside = results.with_stem(f"{results.stem}-{step:06d}-{times}")
            results.rename(aside)

    def note_budgets(self, budgets: Sequence[Budget]) -> None:
        """Write into config.json the budgets of a training that was extended."""
        about = self.about()
        if about.budgets != tuple(budgets):
            write_json(self.config_file, to_json(replace(about, budgets=tuple(budgets))))

    def cut(self, step: int) -> None:
        """Drop what the logs say of steps after `step`, where the training goes on.

        The pace stays: it is what the steps to come repeat.
        """
        self.log.cut(step)
        self.evaluations.cut(step)
        self.pace.cut(math.inf)

    def sweep(self) -> None:
        """Remove what a killed writer left half-written."""
        for place in (self.path, self.checkpoints, self.best, self.samples) if self.is_writable() else ():
            for item in place.glob(f"{UNFINISHED}*") if place.is_dir() else ():
                shutil.rmtree(item) if item.is_dir() else item.unlink()


def _origin(initial: Initial) -> Origin:
    return Origin(str(initial.file), initial.sha256)
