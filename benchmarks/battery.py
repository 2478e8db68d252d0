"""Can the score be fooled? Manipulations that somebody might try to get past it, and what the report says of each.

    python -m benchmarks.battery                    (all: docs/battery.md; about an hour on two CPU cores)
    python -m benchmarks.battery --only copies      (the cases whose kind or name has the word in it)
    python -m benchmarks.battery --real 200         (the draws of real images alone, as far as all cases are judged)

Real images are the packaged digits, and shapes in colour (benchmarks/shapes.py), of which there are as many as one
likes; draws are of shapes and of whole data sets. battery.json keeps what was found: cases in it are not made again,
and the table is written after each.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch

from benchmarks import battery_draws, results
from benchmarks.battery_cases import SAME, Case, cases, world
from benchmarks.battery_draws import drawn, pool
from fromnoise.evaluation.classes import balance, by_class
from fromnoise.evaluation.copies import copy_test
from fromnoise.evaluation.excess import STRICT
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.features import automatic, choosing_features, features
from fromnoise.evaluation.metrics import MOST, measured
from fromnoise.evaluation.repeats import repeats
from fromnoise.evaluation.report import Excess
from fromnoise.evaluation.score import Comparison, Sets, _overlaps, _typical
from fromnoise.evaluation.two_sample import told_apart
from fromnoise.evaluation.verdicts import behind, labels, shares
from fromnoise.faces.cli import script
from fromnoise.files import write_json

HERE = Path(__file__).parent
SEED = 0

Numbers = dict[str, Any]
Finding = Callable[[Comparison, Features], tuple[bool, Numbers]]
"""Whether a part of the score says something against the images, and its numbers."""


def _overlap(sets: Comparison, _: Features) -> tuple[bool, Numbers]:
    found = _overlaps(sets)
    shared = sum(each.identical + each.near + round(each.turned * each.n) for each in found.known)
    return bool(found.found), {"shared": shared}


def _class_shares(sets: Comparison, _: Features) -> tuple[bool, Numbers]:
    ours, theirs = sets.generated.labels, sets.reference.labels
    if ours is None or theirs is None:
        return False, {}
    return shares(balance(ours, theirs)).mark == "!", {}


def _colour(sets: Comparison, _: Features) -> tuple[bool, Numbers]:
    return bool(sets.hidden), {}


def _repeats(sets: Comparison, _: Features) -> tuple[bool, Numbers]:
    found = repeats(sets.generated, _typical(sets), SEED)
    return found.found, {"repeated": [found.share, found.real]}


def _worse(sets: Comparison, extract: Features) -> tuple[bool, Numbers]:
    found = excess_of(sets, extract)
    return found.value > STRICT * found.error, {"excess": [found.value, found.error]}


def _elsewhere(sets: Comparison, _: Features) -> tuple[bool, Numbers]:
    found = excess_of(sets, choosing())
    return found.value > STRICT * found.error, {"excess elsewhere": [found.value, found.error]}


def _behind(sets: Comparison, extract: Features) -> tuple[bool, Numbers]:
    featured = Sets.of(sets, extract, SEED)
    metrics, _ = measured(featured.generated, featured.reference, featured.floor, featured.copycat, SEED)
    return bool(behind(metrics, len(sets.reference))), {}


def _labels(sets: Comparison, extract: Features) -> tuple[bool, Numbers]:
    featured = Sets.of(sets, extract, SEED)
    classes, _ = by_class(featured.generated, featured.reference, featured.copycat[0], MOST, SEED)
    learned = None if classes is None else classes.learned
    if classes is None or learned is None:
        return False, {}
    return labels(classes.balance, learned).mark == "!", {}


def _copying(sets: Comparison, _: Features) -> tuple[bool, Numbers]:
    assert sets.train is not None, "every world has training images"
    found = copy_test(sets.generated, sets.train, sets.reference)
    return bool(found.copying), {} if found.bound is None else {"copied share below": found.bound.share}


def _told_apart(sets: Comparison, _: Features) -> tuple[bool, Numbers]:
    found = told_apart(sets.generated, sets.reference, SEED, sets.train, sets.floor)
    return found.detected, {"AUC": found.auc}


FINDINGS: Mapping[str, Finding] = {
    "overlap": _overlap,
    "class shares": _class_shares,
    "colour": _colour,
    "worse": _worse,
    "worse elsewhere": _elsewhere,
    "behind": _behind,
    "labels": _labels,
    "repeats": _repeats,
    "copying": _copying,
    "told apart": _told_apart,
}
"""What may be found, the cheapest first. Worse: the excess is above 0, at a level of 0.1 %."""


@dataclass(frozen=True)
class Found:
    """What was found in a case. All is asked of real images, of others only until something expected is found."""

    kind: str
    sort: str
    name: str
    expected: list[str]
    found: list[str]
    numbers: Numbers = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether one of the expected findings is there; or, where none is expected, none."""
        return bool(set(self.expected) & set(self.found)) if self.expected else not self.found


@cache
def extractor(name: str) -> Features:
    """One for all cases: it remembers the features of the real images."""
    return features(name)


@cache
def choosing() -> Features:
    """The other features of a report."""
    return choosing_features(torch.device("cpu"))


def excess_of(sets: Comparison, extract: Features) -> Excess:
    """The headline of the score."""
    found = Sets.of(sets, extract, SEED).excess(SEED)
    assert found is not None, "every world has a floor"
    return found


def judge(case: Case) -> Found:
    """Ask of the case what is expected."""
    start, extract = time.perf_counter(), extractor("digits" if case.sort == "digits" else "general")
    found, numbers = asked(case.make(world(case.sort)), extract, case.expected)
    if case.twin is not None:
        one, other = (excess_of(make(world(case.sort)), extract) for make in (case.make, case.twin))
        numbers |= {"excess": [one.value, one.error], "twin": [other.value, other.error]}
        if abs(one.value - other.value) <= 1.96 * (one.error**2 + other.error**2) ** 0.5:
            found.append(SAME)
    seconds = time.perf_counter() - start
    return Found(case.kind, case.sort, case.name, list(case.expected), found, numbers, seconds)


def judge_draw(source: str, k: int) -> Found:
    """Ask all of the k-th comparison of real images alone."""
    extract, real = extractor(automatic(pool(source))), pool(source).images
    for each in (extract, choosing()):
        each.cached(real)
    start = time.perf_counter()
    found, numbers = asked(drawn(source, k), extract)
    return Found("draw", source, f"contest {k}", [], found, numbers, time.perf_counter() - start)


def asked(sets: Comparison, extract: Features, expected: Sequence[str] = ()) -> tuple[list[str], Numbers]:
    """What is found, and its numbers: all, or until something expected is found."""
    found: list[str] = []
    numbers: Numbers = {}
    for name, ask in FINDINGS.items():
        if (expected and name not in expected) or set(found) & set(expected):
            continue
        there, more = ask(sets, extract)
        found += [name] * there
        numbers |= more
    return found, numbers


@dataclass(frozen=True)
class Settings:
    """Try to fool the score."""

    only: str = ""
    """A word in the kind, sort or name of the cases to judge; default: all."""
    real: int = 200
    """Draws of fresh real images, to count false accusations."""
    data: tuple[str, ...] = ("mnist:train", "shapes", "families")
    """What they are drawn from in turn: data sets with labels, shapes, and families of them."""
    again: bool = False
    """Judge cases that battery.json has already."""
    out: Path = HERE / "battery.json"
    """Where results are kept."""
    table: Path = HERE.parent / "docs" / "battery.md"
    """The document that holds the tables."""


def main(settings: Settings) -> None:
    """Judge the cases, keep what was found, write the table."""
    kept: dict[str, Any] = json.loads(settings.out.read_text()) if settings.out.exists() else {}
    work: dict[str, Callable[[], Found]] = {}
    for case in cases():
        work[f"{case.kind}, {case.sort}: {case.name}"] = partial(judge, case)
    for each in range(settings.real):
        k, which = divmod(each, len(settings.data))
        source = settings.data[which]
        work[f"draw, {source}: contest {k}"] = partial(judge_draw, source, k)
    for name, make in work.items():
        if settings.only not in name or (name in kept and not settings.again):
            continue
        found = make()
        kept[name] = asdict(found) | {"right": found.right}
        mark = "✓" if found.right else "✗"
        print(f"{mark} {name}: {', '.join(found.found) or 'nothing'} ({found.seconds:.0f} s)", flush=True)
        write_json(settings.out, kept)
        draws = [each for each in kept if each.startswith("draw")]
        judged = [kept[each] for each in dict.fromkeys([*work, *draws]) if each in kept]
        results.put(settings.table, "battery", table(judged))


def table(found: Sequence[Mapping[str, Any]]) -> str:
    """The cases in a table, and false accusations below it."""
    judged, draws = ([each for each in found if (each["kind"] == "draw") == drawn] for drawn in (False, True))
    head = ("kind", "images", "manipulation", "expected", "found", "excess", "copied share", "AUC")
    lines = [f"{sum(each['right'] for each in judged)} of {len(judged)} cases are as expected.", ""]
    lines.append(results.table(head, map(_cells, judged)))
    if draws:
        lines += ["", f"What was found in {len(draws)} draws of fresh real images:", "", battery_draws.table(draws)]
    return "\n".join(lines)


def _cells(of: Mapping[str, Any]) -> list[str]:
    numbers, mark = of["numbers"], "" if of["right"] else " **✗**"
    excess = "{:.3g} ± {:.2g}".format(*numbers["excess"]) if "excess" in numbers else ""
    bound = f"< {numbers['copied share below']:.1%}" if "copied share below" in numbers else ""
    auc = f"{numbers['AUC']:.2f}" if "AUC" in numbers else ""
    wanted, got = " or ".join(of["expected"]) or "nothing", ", ".join(of["found"]) or "nothing"
    return [of["kind"], of["sort"], of["name"], wanted, got + mark, excess, bound, auc]


if __name__ == "__main__":
    script(main, Settings, __doc__)
