"""Whether two scores may be compared."""

from typing import Any

from fromnoise.evaluation.report import Report


def differences(one: Report, other: Report) -> list[str]:
    """In what two scores were not taken alike, in a few words each: they may be compared only if there is nothing."""
    ours, theirs = _conditions(one), _conditions(other)
    return [what for what, value in theirs.items() if value != ours[what]]


def _conditions(report: Report) -> dict[str, Any]:
    """Everything that must be equal for two scores to be compared: `protocol.line` without the seed."""
    protocol, excess = report.protocol, report.excess
    return {
        "reference": protocol.reference.sha256,
        "features": (protocol.features.name, protocol.features.sha256),
        "number of images": (protocol.generated.n, excess and excess.n),
        "design": protocol.design,
        "size": protocol.generated.shape,
        "resizing": protocol.resizing,
        "floor": protocol.floor and protocol.floor.sha256,
        "version": protocol.version,
    }
