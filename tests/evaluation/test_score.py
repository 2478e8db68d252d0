import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from fromnoise.data import digits
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resized
from fromnoise.errors import UserError
from fromnoise.evaluation import score as score_module
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.features import features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.provenance import UsedFeatures
from fromnoise.evaluation.report import SCHEMA, CopySizes, Report
from fromnoise.evaluation.score import Comparison, Sets, noise, score
from fromnoise.evaluation.verdicts import verdicts


@pytest.fixture(scope="module")
def extract():
    return features("digits")


def small(part):
    """Digits at 16×16, a third of the pixels."""
    return resized(digits.load(part), (16, 16))


@pytest.fixture(scope="module")
def parts():
    """Some of each part of the digits: whole ones take seconds."""
    return {part: small(part).subset(n, 0) for part, n in (("train", 900), ("val", 300), ("heldout", 300))}


def projection(name="projection", d=8, known=True):
    """Cheap features: a fixed random projection of the pixels; `seen` counts the images."""

    def extract(images):
        extractor.seen += len(images)
        generator = torch.Generator().manual_seed(0)
        matrix = torch.randn(images[0].numel(), d, dtype=torch.float64, generator=generator)
        return images.flatten(1).double() @ matrix / 1000

    extractor = Features(name, d, "", extract, known=known)
    extractor.seen = 0
    return extractor


def random_digits(n, seed=0):
    """Real digits that are neither held out nor in the floor's source, drawn at random."""
    train = small("train")
    return train.take(np.sort(np.random.default_rng(seed).permutation(len(train))[:n]))


def test_fid_is_the_distance_of_the_features(extract, parts):
    generated, reference = parts["train"].subset(200, 0), parts["heldout"].subset(300, 0)
    report = score(Comparison(generated, reference), extract)
    features = (extract.cached(each.images) for each in (generated, reference))  # rounded as in the score
    assert report.fid.value == pytest.approx(distance(*map(Moments.of, features)), rel=1e-9)
    assert (report.fid.floor, report.excess) == (None, None)
    assert any(note.startswith("no floor") for note in report.notes)


def test_a_score_of_digits_has_torch_fidelitys_numbers(extract, parts):
    """On the same features. Both sets are at random and without labels: by class, KID's estimator is another."""
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kernel_mmd
    from torch_fidelity.metric_prc import prc_features_to_metric

    generated, reference = (replace(parts[part], labels=None) for part in ("val", "heldout"))
    generated = replace(generated, images=generated.images // 3 * 2)  # darker
    found = score(Comparison(generated, reference), extract)
    x, y = (extract.cached(each.images).double() for each in (generated, reference))
    moments = [fid_features_to_statistics(of) for of in (x, y)]
    theirs = {
        **fid_statistics_to_metric(*moments, verbose=False),
        **prc_features_to_metric(x, y, prc_neighborhood=3, prc_batch_size=300, save_cpu_ram=False, verbose=False),
    }
    assert found.fid.value == pytest.approx(theirs["frechet_inception_distance"], rel=1e-6)
    kid = {"kid_kernel_poly_degree": 3, "kid_kernel_poly_gamma": None, "kid_kernel_poly_coef0": 1}
    mmd = kernel_mmd(x.numpy(), y.numpy(), kid_kernel="poly", **kid)
    assert found.metrics["kid"].value == pytest.approx(mmd, rel=1e-9)
    for name in ("precision", "recall"):
        assert found.metrics[name].value == pytest.approx(theirs[name], abs=1e-6)
        assert 0.05 < theirs[name] < 0.98


def test_floor_and_copycat_stand_beside_it_at_the_same_size(parts):
    noise = ImageSet("noise", torch.randint(0, 256, (75, 1, 16, 16), dtype=torch.uint8))
    comparison = Comparison(noise, parts["heldout"], parts["val"], parts["train"].subset(800, 0))
    report = score(comparison, projection())
    fid = report.fid
    assert (fid.n, fid.floor.n, fid.copycat.n) == (75, 75, 75)
    assert (fid.floor.subsets, fid.copycat.subsets) == (3, 9)  # of 300 and 800, with the class shares of chance
    assert fid.floor.deviation > 0
    assert fid.value > 20 * fid.floor.value
    excess = report.excess
    assert excess.value == pytest.approx(fid.value - fid.floor.value)
    assert (excess.fid, excess.floor) == (pytest.approx(fid.value), pytest.approx(fid.floor.value))
    assert excess.ratio == excess.fid / excess.floor
    assert excess.low < excess.value < excess.high
    assert fid.copycat.value == pytest.approx(fid.floor.value, rel=0.6)


def test_draws_are_as_many_as_there_are_up_to_a_number_of_images(parts, monkeypatch):
    comparison = Comparison(parts["train"].subset(50, 0), parts["heldout"], parts["val"], parts["train"])
    for images, draws in ((6000, (6, 18)), (600, (6, 12)), (10, (1, 1))):
        monkeypatch.setattr(score_module, "DRAWN", images)
        drawn = Sets.of(comparison, projection(), 0)
        assert (len(drawn.floor), len(drawn.copycat)) == draws


def test_labels_that_lie_beside_random_images_change_nothing(extract, parts):
    """The ratio to the floor was 2.50 with labels and 1.18 without."""
    labelled = random_digits(300)
    contests = [
        Comparison(generated, parts["heldout"], parts["val"])
        for generated in (labelled, replace(labelled, labels=None))
    ]
    one, other = (score(comparison, extract) for comparison in contests)
    assert one.excess == other.excess
    assert one.protocol.design == other.protocol.design == "random"
    assert one.fid == other.fid
    assert {name: one.metrics[name] for name in other.metrics} == dict(other.metrics)
    assert one.excess.low < 0 < one.excess.high
    assert one.excess.n < 300, "a random draw of the floor's three hundred, thirty of each class, has fewer"


def test_images_drawn_by_class_are_compared_with_floors_drawn_by_class(extract, parts):
    labelled = parts["train"].subset(150, 0)
    found = [
        score(Comparison(generated, parts["heldout"], parts["val"], parts["train"]), extract)
        for generated in (labelled, replace(labelled, labels=None))
    ]
    assert [report.excess.design for report in found] == ["stratified", "random"]
    assert found[0].fid.floor.value < 0.4 * found[1].fid.floor.value
    assert found[0].fid.copycat.value < 0.4 * found[1].fid.copycat.value
    assert found[0].excess.error < found[1].excess.error


def test_the_excess_is_that_of_the_mean_over_subsets_where_the_floor_is_smaller(parts):
    comparison = Comparison(parts["train"].subset(600, 0), parts["heldout"], parts["val"].subset(150, 0))
    report = score(comparison, projection())
    assert (report.fid.n, report.excess.n, report.metrics["recall"].n) == (600, 150, 150)
    assert report.excess.fid > report.fid.value
    assert abs(report.excess.value) < 3 * report.excess.error


def test_a_network_is_asked_whether_it_tells_the_images_apart(parts):
    few = parts["val"].subset(60, 0)
    report = score(Comparison(few, parts["heldout"]), projection())
    assert 0 < report.told_apart.auc < 1
    large = ImageSet("large", few.images.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3))
    mean = Features("mean", 1, "", lambda images: images.double().mean((1, 2, 3))[:, None])
    unasked = score(Comparison(large, parts["heldout"]), mean)
    assert unasked.told_apart is None
    assert any(note.startswith("no two-sample test") for note in unasked.notes)


def test_images_that_sets_share_are_said(parts):
    """600 training digits in the reference gave an FID of 0.004, and nobody was told."""
    train, heldout = parts["train"], parts["heldout"]
    mixed = ImageSet("mixed", torch.cat([train.images[:200], heldout.images[:100]]))
    learnt = ImageSet("learnt", train.images[:60])
    overlaps = score(Comparison(learnt, mixed, parts["val"], train), projection()).overlaps
    assert overlaps.reference_in_train.identical == 200
    assert overlaps.generated_in_reference.identical == 60
    assert overlaps.floor_in_train.identical == 0
    fresh = score(Comparison(parts["val"].subset(60, 0), heldout), projection()).overlaps
    assert fresh.generated_in_reference.identical == 0
    assert (fresh.reference_in_train, fresh.floor_in_train) == (None, None)


def test_the_score_in_other_features_stands_beside(parts):
    comparison = Comparison(parts["train"].subset(100, 0), parts["heldout"], parts["val"])
    other = projection("other", 5)
    (also,) = score(comparison, projection(), also=other).also
    alone = score(comparison, other)
    assert (also.features.name, also.features.dimension) == ("other", 5)
    assert (also.fid, also.excess) == (alone.fid, alone.excess)


def test_the_protocol_is_a_line_to_cite(parts):
    comparison = Comparison(parts["train"].subset(100, 0), parts["heldout"], parts["val"])
    protocol = score(comparison, projection()).protocol
    assert protocol.line == (
        f"projection; n = 100 stratified; resizing none; reference {parts['heldout'].name}@"
        f"{parts['heldout'].fingerprint[:8]} of 300; floor {parts['val'].name}@{parts['val'].fingerprint[:8]}; seed 0; "
        f"fromnoise {protocol.version}, schema {SCHEMA}"
    )
    assert score(comparison, projection(), seed=1).protocol.line != protocol.line


def test_a_floor_of_fewer_images_is_said(parts):
    report = score(
        Comparison(parts["train"].subset(300, 0), parts["heldout"], parts["val"].subset(100, 0)), projection()
    )
    assert report.fid.floor.n == 100
    assert any("floor has 100 images, fewer than the 300" in note for note in report.notes)


def test_a_floor_without_labels_is_said(parts):
    bare = replace(parts["val"], labels=None)
    report = score(Comparison(parts["train"].subset(300, 0), parts["heldout"], bare), projection())
    assert report.excess.ratio is None
    assert any("has no labels, so the floor is drawn at random" in note for note in report.notes)


def test_fewer_images_than_features_is_said(extract, parts):
    for n, said in ((60, True), (64, True), (65, False)):
        notes = score(Comparison(parts["train"].subset(n, 0), parts["val"].subset(100, 0)), extract).notes
        told = f"{n} images are too few for 64 features: the FID is far too high"
        assert (told in notes) == said


def test_classes_in_other_shares_than_the_references_are_said(parts):
    few, reference, train = parts["val"].subset(200, 0), parts["heldout"], parts["train"].subset(150, 0)
    some = few.take(np.flatnonzero(few.labels < 5))
    for generated, said in ((some, True), (few, False)):
        report = score(Comparison(generated, reference, train=train), projection())
        shares, *_ = [verdict for verdict in verdicts(report) if verdict.question == "classes"]
        assert shares.mark == ("!" if said else "✓")
        assert shares.words.startswith(f"the class shares {'differ from' if said else 'match'} the reference's")
        assert not any(note.startswith("the copy test takes") for note in report.notes)
    lacking = reference.take(np.flatnonzero(reference.labels != 3))
    notes = score(Comparison(few, lacking, train=train), projection()).notes
    assert sum(note.startswith("the copy test takes all held-out images") for note in notes) == 1


@pytest.mark.parametrize("role", ["generated", "reference"])
def test_fewer_than_fifty_images_are_refused(extract, parts, role):
    few, many = parts["train"].subset(49, 0), parts["val"]
    comparison = Comparison(few, many) if role == "generated" else Comparison(many, few)
    with pytest.raises(UserError, match=f"{role} .* has 49 images; a score needs at least 50"):
        score(comparison, extract)


def test_the_same_seed_gives_the_same_numbers_and_they_are_json(parts):
    extract = projection()
    comparison = Comparison(
        parts["train"].subset(100, 0), parts["heldout"], parts["val"], parts["train"].subset(500, 0)
    )
    one, again, other = (score(comparison, extract, seed) for seed in (0, 0, 1))
    assert one == again
    assert one.fid.floor != other.fid.floor
    assert one.fid.value == other.fid.value
    assert Report.of(json.loads(json.dumps(one.plain()))) == one
    assert one.protocol.reference.sha256 == parts["heldout"].fingerprint


def test_no_image_is_mapped_twice(parts):
    extract = projection()
    score(Comparison(parts["val"].subset(60, 0), parts["heldout"], parts["val"], parts["train"]), extract)
    assert extract.seen <= 60 + 300 + 300 + 900 + 60  # generated, reference, floor, train, noise
    extract = projection()
    everything = ImageSet("all", torch.cat([parts["heldout"].images, parts["val"].images]))
    score(Comparison(everything, parts["heldout"]), extract)
    assert extract.seen == 600 + 600  # all images and noise; the reference is among them


def test_noise_is_uniform_bytes(parts):
    mean = Features("mean", 1, "", lambda images: images.flatten(1).double().mean(dim=1, keepdim=True))
    reference = parts["heldout"]
    noise = score(Comparison(parts["val"], reference), mean).noise
    values = reference.images.flatten(1).double().mean(dim=1)
    deviation = ((256**2 - 1) / 12 / 16**2) ** 0.5  # of the mean of 16² independent uniform bytes
    expected = (127.5 - values.mean()) ** 2 + (deviation - values.std()) ** 2
    assert noise.value == pytest.approx(float(expected), rel=0.01)
    assert (noise.n, noise.subsets, noise.deviation) == (300, 1, None)


def test_noise_is_of_a_thousand_images_at_most(parts):
    mean = Features("mean", 1, "", lambda images: images.double().mean((1, 2, 3))[:, None])
    reference = Moments.of(mean(parts["val"].images[:60]))
    drawn = noise(parts["val"].shape, 3000, mean, reference, seed=0)
    assert (drawn.n, drawn.subsets) == (1000, 1)


def test_copies_and_fresh_images_are_told_apart_in_the_verdicts_own_words(parts):
    extract = projection()
    train, heldout = parts["train"].subset(600, 0), parts["heldout"].subset(300, 0)
    copied = score(Comparison(train.subset(200, 0), heldout, None, train), extract).copies
    assert copied.verdict.startswith("copying: 100 % of the images are closer to the training set than 99.7 % of held")
    assert copied.verdict.endswith("; 200 are training images byte for byte")
    assert copied.identical == 200
    fresh = score(Comparison(parts["val"].subset(200, 0), heldout, None, train), extract).copies
    assert fresh.verdict.startswith("no sign of copying: at most ")
    assert fresh.n == CopySizes(200, 600, fresh.n.distinct, 300)
    unjudged = score(Comparison(parts["val"].subset(200, 0), train.subset(300, 1), None, train), extract).copies
    assert unjudged.verdict == "copying cannot be judged: 0 held-out images; at least 50 are needed"


def test_where_copies_are_not_looked_for_a_note_says_so(parts):
    generated, heldout, train = parts["val"].subset(60, 0), parts["heldout"], parts["train"].subset(100, 0)
    unknown = score(Comparison(generated, heldout), projection())
    assert unknown.copies is None
    assert any(note.startswith("no copy test: the training images are not known") for note in unknown.notes)
    colour = ImageSet("colour", train.images.expand(-1, 3, -1, -1))
    mean = Features("mean", 1, "", lambda images: images.flatten(1).double().mean(dim=1, keepdim=True))
    assert score(Comparison(generated, heldout, None, colour), mean).copies.copying is False


def test_what_is_infinite_is_null_and_a_note(parts):
    generated = parts["val"].subset(100, 0)
    stranger = replace(generated, labels=torch.where(generated.labels == 3, 10, generated.labels))
    report = score(Comparison(stranger, parts["heldout"]), projection())
    balance = report.classes.balance
    assert (balance.chi2, balance.p) == (None, 0.0)
    assert (balance.counts[10], balance.expected[10]) == (10, 0.0)
    assert any(note.startswith("classes.balance.chi2 is infinite") for note in report.notes)
    json.dumps(report.plain(), allow_nan=False)


@pytest.mark.parametrize("name", ["inception", "dinov2"])
def test_the_protocol_tells_the_features(parts, name):
    comparison = Comparison(parts["val"].subset(60, 0), parts["heldout"].subset(60, 0))
    extract = Features(name, 8, "abc", projection().extract, "bicubic", "RGB; grey repeated", known=False)
    report = score(comparison, extract)
    assert report.protocol.features == UsedFeatures(name, 8, "abc", "RGB; grey repeated", False)
    assert report.protocol.resizing == "bicubic"
    assert f"these may not be the published weights of {name}: do not compare with published scores" in report.notes
    published = Features(name, 8, "abc", projection().extract)
    assert not any("published weights" in note for note in score(comparison, published).notes)


def test_pixels_are_features_of_a_length_that_shows_only_then(parts):
    small = [ImageSet(name, parts[name].images[:60, :, 6:10, 6:10]) for name in ("val", "heldout")]
    report = score(Comparison(*small), features("pixels"))
    assert report.protocol.features.dimension == 16
    assert report.protocol.resizing == "none"
    assert report.noise.value > report.fid.value


@pytest.fixture(scope="module")
def in_groups():
    """Digits in parts as a split leaves them: every third image has two noisy twins, in the same part."""

    def twins(name, rows, first):
        images = small("train").images[rows]
        noisy = [(images[::3].float() + 6 * torch.randn(images[::3].shape)).round().clamp(0, 255).byte() for _ in "12"]
        groups = torch.arange(len(images))
        groups = first + torch.cat([groups, groups[::3], groups[::3]])
        return ImageSet(name, torch.cat([images, *noisy]), groups=groups)

    torch.manual_seed(0)
    made = {"train": (slice(0, 1200), 0), "val": (slice(1200, 1350), 1200), "heldout": (slice(1350, 1500), 1350)}
    return {name: twins(name, *where) for name, where in made.items()}


def test_images_in_groups_have_a_floor_of_all_other_groups(in_groups, parts):
    reference, val, train = (in_groups[name] for name in ("heldout", "val", "train"))
    pool = replace(
        val,
        name="val and train",
        images=torch.cat([val.images, train.images]),
        groups=torch.cat([val.groups, train.groups]),
    )
    generated = replace(parts["val"].subset(250, 0), labels=None)
    report = score(Comparison(generated, reference, pool, train), projection())
    assert (report.fid.floor.n, report.fid.floor.subsets) == (250, 9)
    assert (report.protocol.reference.groups, report.protocol.floor.groups) == (150, 1350)
    assert report.protocol.generated.groups is None
    assert report.overlaps.floor_in_train is None
    assert any(
        note.startswith("the real images come in groups, so floor and copycat are drawn") for note in report.notes
    )
    assert not any("floor may contain" in note for note in report.notes)
    assert report.fid.copycat.value == pytest.approx(report.fid.floor.value, rel=0.4)
    few = score(Comparison(generated, replace(reference, groups=None), replace(val, groups=None), train), projection())
    assert report.fid.floor.value < few.fid.floor.value
    assert report.excess.value > few.excess.value
    assert Report.of(json.loads(json.dumps(report.plain()))) == report


def test_a_model_may_repeat_itself_as_real_images_in_groups_do_at_random_and_no_more(in_groups, parts):
    """A reference of whole groups holds 100 repeats in 250 images; of images drawn at random few are of one group."""
    twice = ImageSet("twice", parts["val"].images[:125].repeat(2, 1, 1, 1))
    reference, train = in_groups["heldout"], in_groups["train"]
    assert not score(Comparison(twice, replace(reference, groups=None)), projection()).repeats.found
    assert score(Comparison(twice, reference, train), projection()).repeats.found


def test_no_draw_of_images_in_groups_is_larger_than_lets_them_apart(in_groups):
    train = in_groups["train"]
    report = score(Comparison(train.subset(1500, 0), in_groups["heldout"], train), projection())
    assert report.fid.floor.n == 2000**2 // (400 * 9 + 800)
