"""METRICS: every metric beside the FID, by its name in the report. A new one is a module with its measure, and a line.

Each is measured on the generated images, and on subsets of floor and copycat for comparison.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fromnoise.evaluation import classes, extrapolation, kernel, neighbours
from fromnoise.evaluation.excess import beside
from fromnoise.evaluation.featured import Featured, Measure, UnavailableError
from fromnoise.evaluation.report import Beside, Measured
from fromnoise.say import counted

MOST = 3000
"""Images of each set at most, in metrics whose time grows with n·m."""


@dataclass(frozen=True)
class Metric:
    """What a metric is called, what it means, and how it is measured.

    `whole`: on all generated images; otherwise on as many as the floor's subsets have, at most `MOST`.
    """

    title: str
    meaning: str
    measure: Measure
    whole: bool = False


METRICS: Mapping[str, Metric] = {
    "fid_matched": Metric(
        "matched FID", "FID against the reference reweighted to the images' class shares", classes.matched, whole=True
    ),
    "fid_infinity": Metric(
        "FID∞", "FID without its bias from the number of images", extrapolation.infinite_fid, whole=True
    ),
    "kid": Metric("KID", "kernel distance, unbiased", kernel.mmd2),
    "precision": Metric("precision", "share of images that look real", neighbours.precision),
    "recall": Metric("recall", "share of real images that the model reaches", neighbours.recall),
    "density": Metric("density", "precision that outliers cannot raise", neighbours.density),
    "coverage": Metric("coverage", "recall that outliers cannot raise", neighbours.coverage),
}


def measured(
    generated: Featured,
    reference: Featured,
    floor: Sequence[Featured],
    copycat: Sequence[Featured],
    seed: int = 0,
) -> tuple[dict[str, Measured], list[str]]:
    """The available metrics, each beside its floor and copycat, and notes on why the others are not."""
    found, notes = {}, []
    few = generated.few(min(len(floor[0]) if floor else len(generated), MOST), seed)
    real = reference.few(MOST, seed)
    beside_it = [(subsets, [subset.few(len(few), seed) for subset in subsets]) for subsets in (floor, copycat)]
    for name, metric in counted(METRICS.items(), "metrics", len(METRICS)):
        ours, theirs = (generated, reference) if metric.whole else (few, real)
        try:
            value, error = metric.measure(ours, theirs, seed)
        except UnavailableError as reason:
            notes.append(f"no {metric.title}: {reason}")
            continue
        others = [_beside(metric, whole if metric.whole else some, theirs, seed) for whole, some in beside_it]
        found[name] = Measured(value, error, len(ours), *others)
    return found, notes


def _beside(metric: Metric, subsets: Sequence[Featured], reference: Featured, seed: int) -> Beside | None:
    try:
        values = [metric.measure(subset, reference, seed).value for subset in subsets]
        return beside(values, len(subsets[0])) if values else None
    except UnavailableError:
        return None
