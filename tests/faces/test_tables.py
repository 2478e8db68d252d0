from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from msgspec.structs import replace

from fromnoise.errors import Failed
from fromnoise.evaluation.excess import beside
from fromnoise.evaluation.provenance import Protocol, SetOfImages, UsedFeatures
from fromnoise.evaluation.report import (
    SCHEMA,
    Balance,
    Beside,
    Classes,
    Copies,
    CopyBound,
    CopySizes,
    Excess,
    Learned,
    Measured,
    OtherFeatures,
    Overfitting,
    Overlap,
    Overlaps,
    Repeats,
    Report,
)
from fromnoise.evaluation.verdicts import BY_NEIGHBOURS, behind, check
from fromnoise.faces import console
from fromnoise.faces.tables import print_score


@pytest.fixture
def shown(capsys):
    def show(report):
        print_score(report)
        return [" ".join(line.replace("│", " ").split()) for line in capsys.readouterr().out.splitlines()]

    return show


def summary(value, deviation=None):
    return Beside(value, deviation, 2 if deviation else 1, 1000)


def excess(low, high):
    return Excess((low + high) / 2, (high - low) / 4, low, high, 1000, "stratified", 1.3264, 0.07, 18.95)


def report():
    digits = UsedFeatures("digits", 64, "ab" * 32, "luminance", True)
    reference = SetOfImages("digits:heldout", 1000, (1, 28, 28), "cd" * 32)
    protocol = Protocol("a line", "0.1", digits, "none", 0, "stratified", {}, reference, reference, None, None)
    fid = Measured(1.3264, None, 1000, summary(0.07, 0.01))
    return Report(SCHEMA, excess(1.2, 1.3), {"fid": fid}, summary(180.0), None, None, protocol, ("a [note]",))


def test_the_verdict_comes_first_and_the_fid_stands_beside_floor_copycat_and_noise(shown):
    lines = shown(report())
    assert lines[0].startswith(
        "! close to real images: farther from the reference than real images are; excess over the FID of"
    )
    assert "1.250 ± 0.025, 95 % interval 1.200 to 1.300" in " ".join(lines[:3])
    assert "FID in digits features against 1,000 of digits:heldout" in lines
    assert "excess 1.250 ± 0.025 1,000 generated minus floor: 0 means as close as real images" in lines
    assert "generated 1.326 1,000 this model's images" in lines
    assert "floor 0.070 ± 0.010 1,000 real images that the model never saw" in lines
    assert "copycat unknown the training images: a model that only memorised" in lines
    assert lines[-2:] == ["note: a [note]", "protocol: a line"]
    assert "noise 180.000 1,000 random bytes" in lines
    assert not any(line.startswith(("ratio", "classes", "copies", "likelihood")) for line in lines)


@pytest.mark.parametrize(("low", "high", "said"), [
    (-0.1, 0.2, "✓ close to real images: no farther from the reference than real images in the features \"digits\""),
    (-0.3, -0.1, "? close to real images: closer to the reference than real images are: check for reference images"),
    (-0.31, -0.01, "✓ close to real images: no farther from the reference than real images in the features \"digits\""),
    (0.01, 0.31, "? close to real images: perhaps farther from the reference than real images are: by chance, 1 in 40"),
    (0.1, 0.3, "! close to real images: farther from the reference than real images are; excess over the FID of"),
])  # fmt: skip
def test_verdicts_follow_the_excess_and_its_error(shown, low, high, said):
    assert shown(replace(report(), excess=excess(low, high)))[0].startswith(said)


def test_a_reference_of_near_duplicates_leaves_the_verdict_open_unless_the_floor_allows_for_them(shown):
    for real, mark in ((0.05, "✓"), (0.49, "?")):
        repeats = Repeats(0.02, real, 300, 1.0, False, True, "no more than among real images")
        lines = shown(replace(report(), excess=excess(-0.1, 0.2), repeats=repeats))
        assert lines[0].startswith(f"{mark} close to real images: no farther")
        assert ("49 % of the reference are near-duplicates" in " ".join(lines[:4])) == (mark == "?")
    protocol = report().protocol
    for groups, mark in ((170, "✓"), (12, "?")):
        reference = replace(protocol.reference, groups=groups)
        known = replace(report(), protocol=replace(protocol, reference=reference, floor=reference))
        lines = shown(replace(known, excess=excess(-0.1, 0.2), repeats=repeats))
        assert lines[0].startswith(f"{mark} close to real images: no farther")
        assert ("the reference is only 12 groups of images" in " ".join(lines[:4])) == (mark == "?")
        assert any("real images outside the reference" in line for line in lines)


@pytest.mark.parametrize(("n", "mark"), [(64, "?"), (65, "✓")])
def test_fewer_images_than_features_leave_the_verdict_open(shown, n, mark):
    protocol = report().protocol
    known = replace(report(), protocol=replace(protocol, features=replace(protocol.features, dimension=64)))
    lines = shown(replace(known, excess=replace(excess(-0.1, 0.2), n=n)))
    assert lines[0].startswith(f"{mark} close to real images: no farther")
    assert ("too few for 64 features" in " ".join(lines[:4])) == (mark == "?")


def test_draws_that_happen_to_agree_accuse_nobody(shown):
    found = Measured(0.88, None, 300, Beside(0.9, 0.001, 9, 300))
    lines = shown(replace(report(), excess=excess(-0.1, 0.2), metrics={**report().metrics, "recall": found}))
    assert lines[0].startswith("✓ close to real images: no farther")


@pytest.mark.parametrize(
    ("recall", "draws", "mark"),
    [(0.7, 9, "!"), (0.85, 9, "✓"), (0.7, 1, "!"), (0.7, 2, "!"), (0.8, 1, "✓"), (1.0, 9, "✓")],
)
def test_variety_that_real_images_have_more_of_is_said_where_the_fid_is_blind(shown, recall, draws, mark):
    found = Measured(recall, None, 300, Beside(0.9, 0.02 if draws > 1 else None, draws, 300))
    lines = shown(replace(report(), excess=excess(-0.1, 0.2), metrics={**report().metrics, "recall": found}))
    assert lines[0].startswith(f"{mark} close to real images: no farther")
    assert ("but worse in recall (0.70, real images 0.90)" in " ".join(lines[:4])) == (mark == "!")


def test_images_that_are_perhaps_farther_away_and_worse_are_not_called_no_farther(shown):
    found = Measured(0.7, None, 300, Beside(0.9, 0.02, 9, 300))
    lines = shown(replace(report(), excess=excess(0.01, 0.2), metrics={**report().metrics, "recall": found}))
    assert " ".join(lines[:4]).startswith(
        "! close to real images: perhaps farther from the reference than real images are, and worse in recall"
    )


def test_recall_of_few_reference_images_varies_as_theirs_do():
    recall = Measured(0.78, None, 600, Beside(0.9, None, 1, 600))
    assert [bool(behind({"recall": recall}, real)) for real in (60, 600)] == [False, True]
    assert behind({"precision": recall}, 60)


@pytest.mark.parametrize("draws", [1, 2, 9])
def test_real_images_are_hardly_ever_found_to_be_worse(draws):
    random, wrong = np.random.default_rng(0), 0
    for _ in range(1000):
        sets = dict(zip(BY_NEIGHBOURS, random.binomial(300, 0.9, (4, draws + 1)) / 300, strict=True))
        balls = random.poisson(random.gamma(2.0, 2.5, (draws + 1, 300))) / 5  # that each image lies in
        sets["density"], error = balls.mean(axis=1), balls[0].std() / 300**0.5
        metrics = {
            name: Measured(ours, float(error) if name == "density" else None, 300, beside(others, 300))
            for name, (ours, *others) in ((name, values.tolist()) for name, values in sets.items())
        }
        wrong += bool(behind(metrics, 300))
    assert wrong < 5


@pytest.mark.parametrize(("least", "mark"), [(0.021, "✓"), (0.15, "?"), (None, "?")])
def test_a_copy_test_that_would_have_noticed_little_leaves_the_verdict_open(shown, least, mark):
    sizes = CopySizes(348, 3101, 1428, 348)
    copies = Copies("no sign of copying: a bound", False, sizes, None, 0, CopyBound(0.037, least, False), (), ())
    assert f"{mark} copies: no sign of copying: a bound" in shown(replace(report(), copies=copies))


@pytest.mark.parametrize(("copying", "mark"), [(True, "!"), (False, "✓"), (None, "?")])
def test_the_mark_of_the_copy_test_is_that_of_its_answer_whatever_the_words(shown, copying, mark):
    sizes = CopySizes(348, 3101, 1428, 348)
    copies = Copies("in other words", copying, sizes, None, 0, CopyBound(0.037, 0.021, False), (), ())
    assert f"{mark} copies: in other words" in shown(replace(report(), copies=copies))


@pytest.mark.parametrize(("found", "low", "mark"), [(True, 0.1, "!"), (False, 0.1, "?"), (False, -0.1, "✓")])
def test_the_mark_of_overfitting_is_that_of_its_answer_whatever_the_words(shown, found, low, mark):
    gap = Overfitting("in other words", found, 0.2, (low, 0.4), 0.08, 0.031, (), 200, 0)
    assert f"{mark} overfitting: in other words" in " ".join(shown(replace(report(), overfitting=gap)))


@pytest.mark.parametrize(
    ("detected", "detectable", "mark"), [(True, 0.71, "!"), (False, 0.57, "✓"), (False, 0.71, "?")]
)
def test_a_network_that_would_have_found_little_leaves_the_verdict_open(shown, detected, detectable, mark):
    verdict = SimpleNamespace(detected=detected, detectable=detectable, verdict="a sentence")
    assert f"{mark} told apart from real images: a sentence" in shown(replace(report(), told_apart=verdict))


def test_without_a_floor_the_fid_stands_alone(shown):
    lines = shown(replace(report(), excess=None))
    assert lines[0].startswith("? close to real images: no floor to compare the FID with")
    assert "excess unknown generated minus floor: 0 means as close as real images" in lines


@pytest.mark.parametrize(("identical", "near", "said"), [
    (1, 0, "! overlap: some"), (0, 11, "! overlap: some"), (0, 2, "? overlap: some"),
    (0, 1, "✓ overlap: hardly any: some"), (0, 0, "✓ overlap: no generated image and"),
])  # fmt: skip
def test_images_that_sets_share_are_a_verdict(shown, identical, near, said):
    overlaps = Overlaps(Overlap(0, 0, 100, "none"), Overlap(identical, near, 100, "some"), None, 1.0)
    assert any(line.startswith(said) for line in shown(replace(report(), overlaps=overlaps)))


def test_inceptions_weights_are_named(shown):
    scored = report()
    inception = replace(scored.protocol.features, name="inception", sha256="0123456789abcdef" * 4)
    lines = shown(replace(scored, protocol=replace(scored.protocol, features=inception)))
    assert "(weights SHA-256 0123456789abcdef…)" in " ".join(lines)


def test_the_other_metrics_features_and_classes_follow(shown):
    whole = report()
    kid = Measured(0.5, 0.02, 1000, summary(0.0014, 0.0005))
    classes = Classes(Balance((1, 2), (1.5, 1.5), 0.333, 0.5637, 1.0, True, 1000), (), Learned(0.9, 1000, 0.99, 800))
    general = OtherFeatures(UsedFeatures("general", 512, "", "", True), Measured(7.0, 0.5, 1000), excess(2, 3))
    lines = shown(replace(whole, metrics={**whole.metrics, "kid": kid}, classes=classes, also=(general,)))
    assert "KID 0.500 ± 0.020 0.00140 ± 0.00050 unknown kernel distance, unbiased" in lines
    assert not any("FID∞" in line for line in lines)
    assert "excess in general features 2.500 ± 0.250 1,000 the same in other features" in lines
    assert "generated in general features 7.000 ± 0.500 1,000 512 numbers per image" in lines
    assert "as far as 3 images can tell (p = 1)" in " ".join(lines)
    learnt = "a linear classifier trained on 1,000 generated images gets 90.0 % of the reference right"
    assert f"{learnt} (99.0 % when trained on 800 real images)" in lines


def test_colons_in_a_name_make_no_emoji(shown, capsys):
    named = SetOfImages("photos:train:0", 1000, (1, 28, 28), "")
    whole = replace(report(), protocol=replace(report().protocol, reference=named))
    assert any("of photos:train:0" in line for line in shown(whole))
    console.say("photos:train: 9 images")
    assert capsys.readouterr().err == "photos:train: 9 images\n"


def test_names_from_others_files_cannot_command_the_terminal(capsys):
    named = SetOfImages("cat\x1b[2J", 1000, (1, 28, 28), "")
    print_score(replace(report(), protocol=replace(report().protocol, reference=named, line="a\nline")))
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert r"cat\x1b[2J" in printed
    assert printed.endswith("protocol: a\\nline\n")


def test_statistics_are_no_images_to_count(shown):
    whole = report()
    published = SetOfImages("stats.npz", 0, (), "cd" * 32)
    lines = shown(replace(whole, protocol=replace(whole.protocol, reference=published)))
    assert "FID in digits features against the statistics in stats.npz" in lines
    assert not any("--floor" in line for line in lines)  # which is refused
    assert not any("not tested" in line for line in lines)


def test_tests_that_were_not_made_stay_open(shown):
    said = " ".join(shown(report()))
    assert "? copies: not tested, because the training images are not known (--train)" in said
    assert "? told apart from real images: not tested: the report's notes say why" in said


@pytest.mark.parametrize("numbers", [(0.0, 0.0), (1e-9, 1e-9), (float("nan"), 0.1), (-0.1, float("nan"))])
def test_features_that_see_nothing_call_nothing_close(shown, numbers):
    value, error = numbers
    blind = replace(excess(-0.1, 0.2), value=value, error=error)
    lines = shown(replace(report(), excess=blind))
    assert lines[0].startswith("? close to real images: these features see no difference between any of the images")


@pytest.mark.parametrize(("noticed", "mark"), [(True, "✓"), (False, "?")])
def test_repeats_that_too_few_real_images_would_not_show_stay_open(shown, noticed, mark):
    repeats = Repeats(0.11, 0.0, 150, 0.003, False, noticed, "no more than among real images")
    scored = replace(report(), repeats=repeats)
    assert f"{mark} repeats: no more than among real images" in " ".join(shown(scored))
    with pytest.raises(Failed, match="even if every image appeared twice") if mark == "?" else nullcontext():
        check(scored, ("repeats",))


@pytest.mark.parametrize(("low", "high", "fails"), [(-0.1, 0.2, False), (0.01, 0.31, True), (0.1, 0.3, True)])
def test_images_that_are_not_close_for_sure_fail(low, high, fails):
    with pytest.raises(Failed, match=r"^close: (perhaps )?farther") if fails else nullcontext():
        check(replace(report(), excess=excess(low, high)), ("close",))


def test_a_floor_that_is_not_of_the_references_kind_says_nothing(shown):
    for value, mark in ((0.03, "✓"), (0.2, "?")):
        kid = Measured(0.19, 0.02, 400, Beside(value, 0.01, 4, 400))
        scored = replace(report(), excess=excess(-0.1, 0.2), metrics={**report().metrics, "kid": kid})
        assert shown(scored)[0].startswith(f"{mark} close to real images: ")
    assert "? close to real images: the floor's real images are a different kind of image" in shown(scored)[0]
    kid = Measured(0.19, 0.02, 400, Beside(0.2, 0.01, 4, 400))
    for low, high, mark in ((0.1, 0.4, "?"), (0.2, 0.3, "!")):  # 3.3 and 9.8 errors, of which chance explains 1.4 more
        scored = replace(report(), excess=excess(low, high), metrics={**report().metrics, "kid": kid})
        assert shown(scored)[0].startswith(f"{mark} close to real images: ")


@pytest.mark.parametrize(("copycat", "mark"), [
    ((1.0, 0.1), "✓"), ((9.0, 0.3), "?"), ((9.0, 0.21), "✓"), ((2.0, 0.9), "✓"),
])  # fmt: skip
def test_training_images_that_the_model_was_not_trained_on_leave_copying_open(shown, copycat, mark):
    fid, kid = (summary(value) for value in copycat)
    sizes = CopySizes(348, 3101, 1428, 348)
    copies = Copies("no sign of copying", False, sizes, None, 0, CopyBound(0.037, 0.021, False), (), ())
    metrics = {"fid": Measured(1.3, 0.1, 400, None, fid), "kid": Measured(0.2, 0.01, 400, None, kid)}
    scored = replace(report(), copies=copies, metrics=metrics)
    assert f"{mark} copies: no sign of copying" in " ".join(shown(scored))
    with pytest.raises(Failed, match="was this model trained on them") if mark == "?" else nullcontext():
        check(scored, ("copying",))


@pytest.mark.parametrize(("accuracy", "real", "warned"), [(0.1, 0.99, True), (0.98, 0.99, False), (0.3, 0.5, False)])
def test_labels_that_do_not_fit_their_images_are_said(shown, accuracy, real, warned):
    balance = Balance((50, 50), (50.0, 50.0), 0.0, 1.0, 1.0, True, 1000)
    classes = Classes(balance, (), Learned(0.9, 1000, real, 800, accuracy))
    said = " ".join(shown(replace(report(), classes=classes)))
    wrong = "! classes: labels or images are wrong: a classifier trained on real images agrees with 10 %"
    assert (wrong in said) == warned
