"""A file of JSON lines, each about a step; it resumes with the training."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from fromnoise.files import decode, patiently, reading, whole, writing


class Line(TypedDict):
    """What a line has at least."""

    step: int


class Losses(Line):
    """A line of log.jsonl."""

    epoch: float
    loss: float
    seconds: float


class Error(TypedDict):
    """A denoising error."""

    value: float


class Evaluation(Line):
    """A line of evaluations.jsonl; with few images, the denoising error and its part of each validation image."""

    cost_seconds: float
    denoising: NotRequired[Error]
    errors: NotRequired[list[float]]


@dataclass(frozen=True)
class StepLog:
    """Lines with at least `step`, in the order of the steps. The first line creates the file.

    form  the fields that a line must have
    """

    file: Path
    form: type = Line

    def append(self, record: dict[str, Any]) -> None:
        """Add one line, whole or not at all."""
        with writing(self.file):
            before = self.file.stat().st_size if self.file.exists() else 0
            try:
                with patiently(lambda: self.file.open("a")) as file:
                    file.write(json.dumps(record) + "\n")
            except OSError:
                if self.file.exists():
                    os.truncate(self.file, before)
                raise

    def records(self) -> list[dict[str, Any]]:
        """The lines; a last one cut short by a crash is left out. Raises UserError for other damage."""
        with reading(self.file, "a log of fromnoise", "repair or remove it"):
            records = []
            for k, line in enumerate(self._text().split("\n")[:-1], start=1):
                with reading(f"line {k} of {self.file}", "what fromnoise wrote", "repair or remove it"):
                    records.append(decode(line, self.form))
            return records

    def cut(self, step: float) -> None:
        """Drop the lines of steps after `step`, and a line cut short."""
        kept = "".join(json.dumps(record) + "\n" for record in self.records() if record["step"] <= step)
        if kept != self._text():
            with whole(self.file) as temporary:
                temporary.write_text(kept)

    def _text(self) -> str:
        return self.file.read_text(encoding="utf-8") if self.file.exists() else ""
