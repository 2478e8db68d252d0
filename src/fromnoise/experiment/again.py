"""Scoring again from a report: whether its sets and features are still the same, and whether the numbers are."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from fromnoise.config import Config, from_json
from fromnoise.errors import UserError
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.provenance import Request
from fromnoise.evaluation.report import Report, ToldApart
from fromnoise.experiment.comparison import ScoreRequest, reference_name
from fromnoise.experiment.evaluate import ScoredSets
from fromnoise.experiment.find import is_run

ROLES = ("generated", "reference", "floor", "train")
ELSEWHERE = ("schema", "protocol", "notes", "run", "request", "command", "system")
"""Parts of a report that are not results."""
ROUNDING = 1e-6
"""Relative difference of numbers up to which hardware and libraries that round otherwise may be the cause."""
LEARNT = "told_apart"
"""What networks find that learn anew: rounding makes others of them, so their AUC is compared with its error."""
ERRORS = 3
"""Standard errors of the difference up to which two AUCs agree."""


def request_of(
    file: Path, report: Report, moved: Mapping[str, str | None], weights: Path | None = None
) -> ScoreRequest:
    """The request behind the report in `file`; a run's report is a score of its folder.

    `moved` names sets that lie elsewhere now, and `weights` the file of the features' weights. Raises UserError where
    the report does not say what it scored, and where its weights are a program that nobody named here.
    """
    if report.request is not None:
        request = report.request
    elif report.run is not None and is_run(file.parent):
        config, used = from_json(Config, report.run.config), report.run.weights
        of = str(file.parent), reference_name(config), None, None, config.evaluation.features, used, None
        request = Request(*of, skip_broken=True)
    else:
        raise UserError(f"{file} does not say which images it scored: score them with --generated and --reference")
    sets: dict[str, Any] = {role: moved.get(role) or getattr(request, role) for role in ROLES}
    for role in ("generated", "reference"):
        if sets[role] is None:
            raise UserError(f"{file} scored images in memory: name them with --{role}")
    own = None if request.weights is None else Path(request.weights)
    features = report.protocol.features.name  # what auto stood for
    if features == "inception" and own is not None and weights is None:  # TorchScript may run any program
        raise UserError(f"{file} scored with the weights in {own}: if you trust that file, name it with --weights")
    given = asdict(request) | sets | {"features": features, "weights": weights or own, "seed": report.protocol.seed}
    return ScoreRequest(**given)


def check(before: Report, sets: ScoredSets, features: Features) -> None:
    """Raise UserError unless the sets and the features are those of the report."""
    for role in ROLES:
        was, now = getattr(before.protocol, role), sets.get(role)
        if was is None and now is not None:
            raise UserError(f"the report was made without --{role}: leave out --{role} {now.name}")
        if was is not None and now is None:
            raise UserError(f"the report's {role} images, {was.name}, cannot be found: name them with --{role}")
        if was is not None and now is not None and was.sha256 != now.fingerprint:
            raise UserError(
                f"{now.name} has changed: its SHA-256 is {now.fingerprint[:16]}…, in the report {was.sha256[:16]}… "
                f"(if the same images are elsewhere, name them with --{role})"
            )
    used = before.protocol.features
    if (used.name, used.sha256) != (features.name, features.sha256):
        raise UserError(
            f"the report's features are {used.name} {used.sha256[:16]}, but here they are {features.name} "
            f"{features.sha256[:16]}: scores in them cannot be compared; "
            "score the images anew with --generated and --reference"
        )


@dataclass(frozen=True)
class Repeated:
    """How a score compares with the report that it repeats.

    values       how many there are in both
    differences  path, value before and value now, of those that differ by more than rounding
    largest      the largest relative difference of numbers that rounding explains
    missing      parts of the report that were not made again, such as tests that need the model
    learnt       the AUC before and now, if networks that learn anew found another within its error
    """

    values: int
    differences: tuple[tuple[str, Any, Any], ...]
    largest: float
    missing: tuple[str, ...]
    learnt: tuple[float, float] | None = None

    def __str__(self) -> str:
        left = f"; not repeated: {', '.join(self.missing)}" if self.missing else ""
        if self.learnt:
            left += "; the two-sample test, whose networks learn anew, agrees: AUC {:.3f} → {:.3f}".format(*self.learnt)
        if self.differences:
            some = [f"{path} {was} → {now}" for path, was, now in self.differences[:3]]
            more = ", …" if self.differences[3:] else ""
            return f"{len(self.differences):,} of {self.values:,} values differ: {', '.join(some)}{more}{left}"
        but = f" apart from rounding (by at most {self.largest:.0e} of a value)" if self.largest else ""
        return f"scored again: all {self.values:,} values are equal{but}{left}"


def repeated(before: Report, now: Report) -> Repeated:
    """The results of two reports, value by value."""
    one, other = (dict(_values(_results(report))) for report in (before, now))
    missing = tuple(sorted(_results(before).keys() - _results(now).keys()))
    learnt = _learnt(before.told_apart, now.told_apart)
    left_out = {*missing, LEARNT} if learnt else {*missing}
    paths = [path for path in one if path.split(".")[0] not in left_out]
    differences, largest = [], 0.0
    for path in paths:
        was, is_now = one[path], other.get(path)
        difference = _relative(was, is_now)
        if difference > ROUNDING:
            differences.append((path, was, is_now))
        else:
            largest = max(largest, difference)
    return Repeated(len(paths), tuple(differences), largest, missing, learnt)


def _learnt(before: ToldApart | None, now: ToldApart | None) -> tuple[float, float] | None:
    """The two AUCs, if they differ by no more than their errors allow and lead to the same verdict."""
    if before is None or now is None or before == now or before.detected != now.detected:
        return None
    error = math.hypot(before.error, now.error)
    return (before.auc, now.auc) if abs(before.auc - now.auc) <= ERRORS * error else None


def _results(report: Report) -> dict[str, Any]:
    return {name: value for name, value in report.plain().items() if name not in ELSEWHERE}


def _values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Path and value of everything that holds nothing else."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            yield from _values(part, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for k, part in enumerate(value):
            yield from _values(part, f"{path}[{k}]")
    else:
        yield path, value


def _relative(was: Any, now: Any) -> float:
    """The difference of two numbers relative to the larger one; of anything else 0 or ∞."""
    if was == now:
        return 0.0
    if not all(isinstance(value, float | int) and not isinstance(value, bool) for value in (was, now)):
        return math.inf
    return float(abs(was - now) / max(abs(was), abs(now)))
