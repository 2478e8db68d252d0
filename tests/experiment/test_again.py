import dataclasses
import json

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from fromnoise.data import arrays, digits
from fromnoise.data.resize import resized
from fromnoise.errors import UserError
from fromnoise.evaluation.report import Report
from fromnoise.experiment import again
from fromnoise.experiment.comparison import ScoreRequest
from fromnoise.experiment.evaluate import evaluate

CPU = torch.device("cpu")


@pytest.fixture
def scored(tmp_path):
    """What was asked, a report of it, and the file that it is in."""
    for name, part in (("mine", "val"), ("real", "heldout"), ("train", "train")):
        images = resized(digits.load(part).subset(80, 0), (6, 6))
        arrays.save(tmp_path / f"{name}.npz", images.images, images.labels)
    names = [str(tmp_path / f"{name}.npz") for name in ("mine", "real", "train")]
    asked = ScoreRequest(*names, None, "pixels", n=60, seed=3)
    report = evaluate(asked, CPU)[0]
    file = tmp_path / "score.json"
    file.write_text(json.dumps(report.plain()))
    return asked, file, Report.of(json.loads(file.read_text()))


def test_a_report_asks_for_the_same_and_gets_the_same(scored):
    asked, file, report = scored
    assert again.request_of(file, report, {}) == asked
    assert again.request_of(file, report, {}, file) == dataclasses.replace(asked, weights=file)
    now = evaluate(asked, CPU, lambda sets, features: again.check(report, sets, features))[0]
    repeated = again.repeated(report, now)
    assert (repeated.differences, repeated.largest, repeated.missing) == ((), 0.0, ())
    assert str(repeated) == f"scored again: all {repeated.values} values are equal"
    assert repeated.values > 50


def test_weights_that_are_a_program_are_taken_only_from_who_runs_it(scored):
    _, file, report = scored
    named = replace(report.request, weights="their.pt")
    protocol = replace(report.protocol, features=replace(report.protocol.features, name="inception"))
    theirs = replace(report, request=named, protocol=protocol)
    with pytest.raises(UserError, match=r"weights in their\.pt: if you trust that file, name it with --weights"):
        again.request_of(file, theirs, {})
    assert again.request_of(file, theirs, {}, file).weights == file


def test_networks_that_learn_anew_may_find_another_auc_within_its_error(scored):
    _, _, report = scored
    before = replace(report.told_apart, auc=0.62, error=0.03, detected=False)
    report = replace(report, told_apart=before)
    near = again.repeated(report, replace(report, told_apart=replace(before, auc=0.64, p=0.01, surest=(1, 0))))
    assert near.differences == ()
    assert str(near).endswith("; the two-sample test, whose networks learn anew, agrees: AUC 0.620 → 0.640")
    for other in ({"auc": 0.8}, {"auc": 0.64, "detected": True}):
        far = again.repeated(report, replace(report, told_apart=replace(before, **other)))
        assert f"told_apart.auc 0.62 → {other['auc']}" in str(far) or "told_apart.detected False → True" in str(far)


def test_images_that_were_moved_are_named_and_others_are_refused(scored, tmp_path):
    _, file, report = scored
    (tmp_path / "mine.npz").rename(tmp_path / "moved.npz")
    moved = again.request_of(file, report, {"generated": str(tmp_path / "moved.npz"), "train": None})
    assert (moved.generated, moved.train) == (str(tmp_path / "moved.npz"), str(tmp_path / "train.npz"))

    def check(sets, features):
        again.check(report, sets, features)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        evaluate(moved, CPU, check)
    images = arrays.load(tmp_path / "moved.npz")
    images.images[:, 0, 0, 0] ^= 1
    for changes, told in (
        ({"generated": images}, "has changed: its SHA-256"),
        ({"reference": moved.train}, r"train\.npz has changed"),
        ({"train": None}, r"train images, .*train\.npz, cannot be found"),
        ({"features": "digits"}, "cannot be compared"),
    ):
        given = {name: getattr(moved, name) for name in ("generated", "reference", "train", "features")} | changes
        with pytest.raises(UserError, match=told):
            evaluate(ScoreRequest(**given, n=60, seed=3), CPU, check)


def test_images_in_memory_have_to_be_named(scored):
    asked, file, report = scored
    unnamed = replace(
        report, request=dataclasses.replace(asked, generated=arrays.load(file.parent / "mine.npz")).recorded()
    )
    with pytest.raises(UserError, match=r"score\.json scored images in memory: name them with --generated"):
        again.request_of(file, unnamed, {})
    assert again.request_of(file, unnamed, {"generated": "x"}).reference == asked.reference
    with pytest.raises(UserError, match="does not say which images"):
        again.request_of(file, replace(report, request=None), {})


def test_numbers_that_differ_are_shown_and_rounding_is_not(scored):
    _, _, report = scored
    fid = report.metrics["fid"]

    def with_fid(value):
        return replace(report, metrics={**report.metrics, "fid": replace(fid, value=value)})

    rounded = again.repeated(report, with_fid(fid.value * (1 + 1e-9)))
    assert "equal apart from rounding (by at most 1e-09 of a value)" in str(rounded)
    assert not rounded.differences
    other = again.repeated(report, with_fid(2 * fid.value))
    assert other.differences == (("metrics.fid.value", fid.value, 2 * fid.value),)
    assert f"1 of {other.values} values differ: metrics.fid.value {fid.value} → {2 * fid.value}" in str(other)
    gone = again.repeated(report, replace(report, metrics={"fid": fid}))
    assert any(path.startswith("metrics.kid") and now is None for path, _, now in gone.differences)
    assert np.isclose(gone.largest, 0)


def test_ways_to_read_images_are_refused_for_statistics(scored, tmp_path):
    asked, _, _ = scored
    np.savez(tmp_path / "known.npz", mu=np.zeros(36), sigma=np.eye(36))
    asked = dataclasses.replace(asked, reference=str(tmp_path / "known.npz"), label_by="(.)")
    with pytest.raises(UserError, match=r"known\.npz holds statistics, not images: leave out --train, --label-by"):
        evaluate(asked, CPU)
