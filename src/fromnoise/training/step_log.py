"""A file of JSON lines, each of a step of the training, that goes on where the training does."""

import json
from pathlib import Path
from typing import Any

from fromnoise.files import whole


class StepLog:
    """Lines with at least `step`, in the order of the steps. No file is made before the first line."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def append(self, record: dict[str, Any]) -> None:
        """Add one line."""
        with self.file.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def records(self) -> list[dict[str, Any]]:
        """The lines; a last one cut short by a crash is left out."""
        records = []
        for line in self._text().splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                break
        return records

    def cut(self, step: int) -> None:
        """Drop what is said of steps after `step`, and a line cut short."""
        kept = "".join(json.dumps(record) + "\n" for record in self.records() if record["step"] <= step)
        if kept != self._text():
            with whole(self.file) as temporary:
                temporary.write_text(kept)

    def _text(self) -> str:
        return self.file.read_text() if self.file.exists() else ""
