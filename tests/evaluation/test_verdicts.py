import re
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fromnoise.errors import Failed, UserError
from fromnoise.evaluation import verdicts
from fromnoise.evaluation.classes import balance
from fromnoise.evaluation.report import Balance, Learned, Overlap, Overlaps


def report(**found):
    absent = dict.fromkeys(("copies", "overfitting", "overlaps", "repeats", "told_apart", "classes"))
    protocol = SimpleNamespace(reference=SimpleNamespace(n=1000))
    return SimpleNamespace(**(absent | {"metrics": {}, "protocol": protocol} | found))


def no_copies(least):
    return SimpleNamespace(verdict="no sign of copying", copying=False, bound=SimpleNamespace(least=least))


def test_names_are_a_comma_list_of_known_ones():
    assert verdicts.named(None) == ()
    assert verdicts.named("copying, overfitting") == ("copying", "overfitting")
    for text in ("copies", "", "copying,"):
        with pytest.raises(UserError, match=r"unknown verdict .*; choose one of: classes, close, copying, "):
            verdicts.named(text)


def test_only_what_was_asked_for_fails_and_all_of_it_is_said():
    bad = report(
        copies=SimpleNamespace(verdict="copying: 9 %", copying=True),
        told_apart=SimpleNamespace(verdict="told apart: AUC 0.7", detected=True),
        overfitting=SimpleNamespace(verdict="overfitting: +21 %", overfitted=True, interval=(0.1, 0.3)),
    )
    verdicts.check(bad, ())
    with pytest.raises(Failed, match=r"^copying: 9 %; overfitting: .21 %$") as failed:
        verdicts.check(bad, ("copying", "overfitting"))
    assert failed.value.code == 3
    with pytest.raises(Failed, match=r"^repeats: 50 of 100$"):
        verdicts.check(report(repeats=SimpleNamespace(found=True, verdict="50 of 100")), ("repeats",))
    good = report(
        copies=no_copies(0.02),
        told_apart=SimpleNamespace(detected=False, verdict="not told apart: 51 %", detectable=0.58),
        overlaps=Overlaps(Overlap(0, 0, 100, "none"), Overlap(0, 1, 100, "1 as near-duplicates"), None, 1.0),
        repeats=SimpleNamespace(found=False, verdict="no more than among real images", noticed=True),
    )
    verdicts.check(good, ("copying", "told-apart", "overlap", "repeats"))


def test_images_that_sets_share_and_images_that_give_themselves_away_fail():
    bad = report(
        told_apart=SimpleNamespace(detected=True, verdict="told apart: 93 %"),
        overlaps=Overlaps(
            Overlap(0, 0, 100, "none"), Overlap(1, 0, 100, "1 to the byte"), Overlap(0, 11, 100, "11 near"), 1.0
        ),
    )
    with pytest.raises(Failed, match=r"^overlap: 1 to the byte; 11 near; told-apart: 93 %$"):
        verdicts.check(bad, ("overlap", "told-apart"))


@pytest.mark.parametrize(("noticed", "mark"), [(0.57, "✓"), (0.3, "?")])
def test_that_nothing_overlaps_counts_where_near_duplicates_are_recognised(noticed, mark):
    none = report(overlaps=Overlaps(Overlap(0, 0, 100, "none"), None, None, noticed))
    [verdict] = verdicts.TESTS["overlap"].ask(none)
    assert verdict.mark == mark
    assert ("57 % of the reference's images would have been recognised" in verdict.words) == (noticed == 0.57)


def drawn(probabilities, n, random):
    """Classes of n images drawn at random, beside a reference of exactly even shares."""
    counts = np.bincount(random.choice(len(probabilities), n, p=probabilities), minlength=len(probabilities))
    even = torch.arange(len(probabilities)).repeat(100)
    return balance(torch.from_numpy(np.repeat(np.arange(len(counts)), counts)), even)


def test_class_shares_are_noticed_as_often_as_the_verdict_says():
    random, even = np.random.default_rng(0), np.full(10, 0.1)
    same = verdicts.shares(drawn(even, 2000, random))
    assert same.mark == "✓"
    off = int(re.search(r"any class (\d+) % too large or too small would be noticed", same.words)[1]) / 100
    other = even * (1 - 0.1 * off / 0.9)
    other[3] = 0.1 * (1 + off)
    other /= other.sum()
    found = [verdicts.shares(drawn(other, 2000, random)) for _ in range(200)]
    assert np.mean([each.mark == "!" for each in found]) > 0.8
    assert any("class 3 makes up 1" in each.words and "instead of 10.0 %" in each.words for each in found)
    accused = [verdicts.shares(drawn(even, 2000, random)).mark == "!" for _ in range(200)]
    assert sum(accused) <= 1


@pytest.mark.parametrize(
    ("n", "mark", "noticed"),
    [(80, "?", "even a missing class might go unnoticed"), (200, "✓", "a missing class would be noticed")],
)
def test_few_images_leave_class_shares_open(n, mark, noticed):
    few = verdicts.shares(drawn(np.full(10, 0.1), n, np.random.default_rng(1)))
    assert few.mark == mark
    assert few.words.endswith(noticed)


def test_a_class_that_nobody_has_is_not_the_one_that_is_named():
    shifted = balance(torch.tensor([1] * 180 + [3] * 20), torch.tensor([1, 3]).repeat(200))
    assert "class 1 makes up 90.0 % instead of 50.0 %" in verdicts.shares(shifted).words
    assert 'class "dogs" makes up 90.0 % instead of 50.0 %' in verdicts.shares(shifted, ("cats", "dogs")).words


@pytest.mark.parametrize("least", [None, 0.2])
def test_a_test_that_would_have_noticed_little_fails(least):
    blind = SimpleNamespace(detected=False, verdict="not told apart: 84 % would have been detected", detectable=0.84)
    with pytest.raises(Failed, match=r"^copying: no sign of copying; told-apart: not told apart: 84 %"):
        verdicts.check(report(copies=no_copies(least), told_apart=blind), ("copying", "told-apart"))


@pytest.mark.parametrize("name", [name for name in verdicts.TESTS if name != "close"])
def test_what_was_not_tested_fails(name):
    with pytest.raises(Failed, match=f"^{name}: not tested"):
        verdicts.check(report(), (name,))
    statistics = SimpleNamespace(reference=SimpleNamespace(n=0))  # which allow no --train
    with pytest.raises(Failed, match=f"^{name}: not tested: the reference is statistics$"):
        verdicts.check(report(protocol=statistics), (name,))


@pytest.mark.parametrize(("copying", "fails"), [(True, True), (False, False), (None, True)])
def test_whether_images_are_copies_is_decided_whatever_the_words(copying, fails):
    bound = SimpleNamespace(least=0.02)
    reworded = report(copies=SimpleNamespace(verdict="in other words", copying=copying, bound=bound))
    with pytest.raises(Failed, match="in other words") if fails else nullcontext():
        verdicts.check(reworded, ("copying",))


@pytest.mark.parametrize(
    ("kid", "copycat", "doubt"),
    [(-0.0104, 0.008, False), (-0.0104, 0.017, True), (0.01, 0.02, False), (0.01, 0.03, True)],
)
def test_training_images_are_doubted_where_the_generated_ones_are_nearer_by_more_than_chance(kid, copycat, doubt):
    """A KID below 0 is chance: those of real digits in even shares against such a reference are."""
    found = SimpleNamespace(value=kid, error=0.0028, copycat=SimpleNamespace(value=copycat))
    fid = SimpleNamespace(value=0.1, copycat=SimpleNamespace(value=0.3))
    assert (verdicts.other_train(report(metrics={"fid": fid, "kid": found})) is not None) == doubt


@pytest.mark.parametrize(
    ("agreement", "real", "mark"),
    [(0.95, 0.96, "✓"), (0.92, 0.96, "✓"), (0.6, 0.99, "!"), (0.88, 0.96, "!"), (0.3, 0.28, "?"), (None, None, "?")],
)
def test_whether_labels_fit_is_said_where_features_tell_classes_apart(agreement, real, mark):
    even = Balance((50,) * 10, (50.0,) * 10, 0.0, 1.0, 1.0, True, 500)
    verdict = verdicts.labels(even, Learned(0.9, 500, real, 500, agreement))
    assert (verdict.question, verdict.mark) == ("classes", mark)
