import itertools
import json

import msgspec
import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist

from fromnoise.data import digits, idx
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation import copies
from fromnoise.evaluation.copies import copy_test, tail_p_value
from fromnoise.evaluation.features import features
from fromnoise.evaluation.report import Both, Copies, Pair

NONE = "no sign of copying"


def of(images, name="images"):
    return ImageSet(name, images)


def some(n, shape=(1, 6, 5), seed=0, top=256):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, top, (n, *shape), dtype=np.uint8))


def noisy(images, deviation=8.0, seed=0):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(seed))
    return (images + deviation * noise).round().clamp(0, 255).to(torch.uint8)


def blurred(images):
    """The mean of each 3×3 neighbourhood: what a weak model draws."""
    return torch.nn.functional.avg_pool2d(images.float(), 3, 1, 1).round().to(torch.uint8)


# The exact null distribution


@pytest.mark.parametrize(("n", "m", "rank"), [(3, 4, 1), (4, 3, 2), (5, 5, 3), (6, 4, 4)])
def test_the_p_value_is_the_share_of_all_orders(n, m, rank):
    """Of n + m values of one distribution every order is equally likely: count those as extreme."""
    counts = []
    for held in itertools.combinations(range(n + m), m):
        counts.append(held[rank - 1] - (rank - 1))  # generated values below the rank-th held-out one
    for closer in range(n + 1):
        assert tail_p_value(closer, n, m, rank) == pytest.approx(np.mean(np.array(counts) >= closer), rel=1e-12)


@pytest.mark.parametrize(("n", "m", "rank"), [(1000, 1000, 10), (3000, 100, 1), (3000, 2000, 20)])
def test_the_p_value_is_beta_binomial_and_not_binomial(n, m, rank):
    null = stats.betabinom(n, rank, m - rank + 1)
    for closer in {0, 1, n // 100, n // 50, n // 30}:
        assert tail_p_value(closer, n, m, rank) == pytest.approx(null.sf(closer - 1), rel=1e-6, abs=1e-10)
    most = n // 30  # a threshold taken for known would make too much of this many
    assert stats.binom.sf(most - 1, n, rank / (m + 1)) < tail_p_value(most, n, m, rank) / 2


def test_a_great_number_of_copies_still_has_a_p_value():
    assert 0 < tail_p_value(500, 1000, 1000, 10) < 1e-100


@pytest.mark.parametrize(("m", "rank"), [(50, 1), (99, 1), (198, 1), (199, 2), (999, 10), (1000, 10), (10_000, 100)])
def test_the_threshold_is_beyond_99_percent_of_the_held_out(m, rank):
    assert copies._rank(m) == rank
    assert m - rank >= 0.98 * m
    assert m < 99 or rank / (m + 1) <= 0.01


# The test on digits


@pytest.fixture(scope="module")
def pool():
    """The 5,000 packaged digits in one, to be split anew for each seed."""
    return torch.cat([digits.load(part).images for part in ("train", "val", "heldout")])


@pytest.fixture(scope="module")
def parts(pool):
    return split(pool, 0)


def split(pool, seed, train=3000, held_out=1000, fresh=1000):
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    edges = np.cumsum([train, held_out, fresh])
    return of(pool[order[: edges[0]]], "train"), of(pool[order[edges[0] : edges[1]]]), pool[order[edges[1] : edges[2]]]


@pytest.mark.parametrize("seed", range(4))
def test_fresh_real_digits_are_no_copies(pool, seed):
    train, held_out, fresh = split(pool, seed)
    report = copy_test(of(fresh), train, held_out)
    assert report.verdict == NONE
    pixels = report.pixels
    assert pixels.closer.share < 0.02
    assert pixels.closer.p > 0.01
    assert pixels.effect.superiority == pytest.approx(0.5, abs=0.04)
    assert pixels.identical == 0
    assert pixels.memorised.generated < 0.003


def test_fresh_digits_of_the_whole_mnist_are_no_copies(mnist_root):
    train, held_out = digits.load("train"), digits.load("heldout")
    fresh = idx.load("mnist", "test", mnist_root)
    for seed in range(3):
        assert copy_test(fresh.subset(1000, seed), train, held_out).verdict == NONE


def test_a_weak_model_is_no_copyist_but_its_copies_are_found(parts):
    train, held_out, fresh = parts
    weak = noisy(blurred(fresh), 40)
    report = copy_test(of(weak), train, held_out)
    assert report.verdict == NONE
    distance = report.pixels.distance
    assert distance.generated > 1.1 * distance.held_out
    for copied in (noisy(train.images[:100]), blurred(train.images[:100])):
        report = copy_test(of(torch.cat([weak[:900], copied])), train, held_out)
        assert report.verdict.startswith("copying: ")
        distance = report.pixels.distance
        assert distance.generated > distance.held_out  # still farther, on the whole
        assert report.pixels.effect.superiority < 0.5


@pytest.mark.parametrize("deviation", [0, 8, 20])
def test_training_images_with_noise_are_copies(parts, deviation):
    train, held_out, _ = parts
    report = copy_test(of(noisy(train.images[:500], deviation)), train, held_out)
    share = report.pixels.closer.share
    assert share > 0.9
    found = f"copying: {100 * share:.0f} % of the images lie closer to the training set than 99 % of held-out images do"
    assert report.verdict == found + ("" if deviation else "; 500 are training images to the byte")
    assert report.pixels.effect.superiority > 0.98
    assert report.pixels.identical == (500 if deviation == 0 else 0)


@pytest.mark.parametrize("seed", range(3))
def test_one_copy_in_ten_is_found_and_named(pool, seed):
    train, held_out, fresh = split(pool, seed)
    report = copy_test(of(torch.cat([fresh[:900], noisy(train.images[200:300], seed=seed)])), train, held_out)
    share = report.pixels.closer.share
    assert 0.1 <= share < 0.125
    assert report.verdict.startswith(f"copying: {100 * share:.0f} % of the images lie closer")
    closest = report.pixels.closest
    assert len(closest) == copies.GALLERY
    assert all(pair.generated >= 900 and pair.train == pair.generated - 700 for pair in closest)
    assert [pair.relative for pair in closest] == sorted(pair.relative for pair in closest)


def test_a_hundred_memorised_images_are_found_alone_repeated_and_among_others(parts):
    train, held_out, fresh = parts
    memorised = noisy(train.images[:100])
    for images in (memorised, memorised.repeat(10, 1, 1, 1), noisy(train.images[:100].repeat(10, 1, 1, 1))):
        assert copy_test(of(images), train, held_out).verdict.startswith("copying: ")
    report = copy_test(of(torch.cat([fresh, fresh.flip(0), memorised])), train, held_out)  # 100 of 2,100
    share = report.pixels.closer.share
    assert report.verdict.startswith(f"copying: {100 * share:.1f} % of the images")
    assert 0.04 < share < 0.07


def test_few_but_plain_copies_are_found(pool):
    """Too few for three times what is expected; yet no held-out image is three times closer to one than to others."""
    train, held_out, fresh = split(pool, 2)
    report = copy_test(of(torch.cat([fresh[:986], noisy(train.images[:14], 2)])), train, held_out)
    assert report.pixels.closer.share < copies.MATERIAL * report.pixels.closer.expected
    assert report.pixels.memorised.generated >= 0.014
    assert report.verdict.startswith("copying: ")


def test_copies_of_what_the_training_set_holds_three_times_are_found(parts):
    train, held_out, _ = parts
    twins = of(torch.cat([train.images, noisy(train.images, 4, 1), noisy(train.images, 4, 2)]), "twins")
    report = copy_test(of(noisy(train.images[:500], 8, 3)), twins, held_out)
    assert report.pixels.closer.share > 0.9
    assert report.pixels.memorised.generated < 0.1  # d_1/d_2 is blind to them


def test_moved_copies_are_found_in_features(pool):
    train, held_out, fresh = split(pool, 0, 800, 400, 300)
    moved = torch.roll(train.images[:300], 1, dims=3)
    extract = features("digits")
    known = {id(train.images): extract(train.images), id(held_out.images): extract(held_out.images)}

    def cached(images):
        return known[id(images)] if id(images) in known else extract(images)

    report = copy_test(of(moved), train, held_out, cached)
    assert report.features.copying
    assert report.features.closer.share > 0.3
    assert report.features.closer.share > 3 * report.pixels.closer.share
    assert report.verdict.startswith(f"copying: {100 * report.features.closer.share:.0f} %")
    report = copy_test(of(fresh), train, held_out, cached)
    assert report.verdict == NONE
    assert not report.features.copying
    assert report.features.distance.held_out < 10 < report.pixels.distance.held_out


def test_its_numbers_are_what_they_say(parts):
    train, held_out, fresh = (images[:120] for images in (parts[0].images, parts[1].images, parts[2]))
    images = torch.cat([fresh[:80], noisy(train[:20], 20), train[20:23]])
    report = copy_test(of(images), of(train, "train"), of(held_out)).pixels

    def relative(x):
        d = np.sort(cdist(x.flatten(1).double().numpy(), train.flatten(1).double().numpy()), axis=1)
        return d[:, 0] / d[:, 4], d

    (ours, d), (theirs, _) = relative(images), relative(held_out)
    assert report.closer.threshold == pytest.approx(np.sort(theirs)[0])
    assert report.closer.expected == pytest.approx(1 / 121)
    assert report.closer.share == np.mean(ours < np.sort(theirs)[0])
    assert report.identical == 3
    assert report.memorised.generated == np.mean(d[:, 0] < d[:, 1] / 3)
    assert report.distance.generated == pytest.approx(np.median(d[:, 0]))
    assert report.relative.held_out == pytest.approx(np.median(theirs))
    wins = (ours[:, None] < theirs).mean() + (ours[:, None] == theirs).mean() / 2
    assert report.effect.superiority == pytest.approx(wins)
    assert report.effect.rank_biserial == pytest.approx(2 * wins - 1)
    least = report.closer.least * len(images)
    level = copies.LEVEL / 2
    assert (
        tail_p_value(round(least), len(images), 120, 1) < level <= tail_p_value(round(least) - 1, len(images), 120, 1)
    )


def test_without_held_out_images_it_judges_nothing(parts):
    train, _, fresh = parts
    report = copy_test(of(torch.cat([fresh[:97], train.images[:3]])), of(train.images[:500], "train"), None)
    assert report.verdict == "copying cannot be judged: 0 held-out images; at least 50 are needed"
    pixels = report.pixels
    assert pixels.identical == 3
    assert pixels.memorised == Both(0.03, None)
    assert Pair(97, 0, 0.0) in pixels.closest
    assert pixels.closer is None


@pytest.mark.parametrize(("n", "m", "t", "few"), [
    (49, 60, 60, "49 generated images"), (60, 49, 60, "49 held-out images"), (60, 60, 49, "49 training images"),
    (4, 60, 3, "4 generated images, 3 training images"),
])  # fmt: skip
def test_too_few_images_are_said(n, m, t, few):
    report = copy_test(of(some(n)), of(some(t, seed=1), "train"), of(some(m, seed=2)))
    assert report.verdict == f"copying cannot be judged: {few}; at least 50 are needed"
    assert (report.pixels is None) == (t < copies.RANK)


def test_held_out_images_that_were_trained_on_are_left_out(parts):
    train, held_out, _ = parts
    generated = of(noisy(train.images[:200]))
    clean = copy_test(generated, train, held_out)
    assert copy_test(generated, train, of(torch.cat([held_out.images, train.images[:500]]))) == clean
    report = copy_test(generated, train, train)
    assert report.verdict == "copying cannot be judged: 0 held-out images; at least 50 are needed"


def test_colour_images_of_any_size():
    random = np.random.default_rng(0)
    basis = random.normal(0, 1, (12, 3, 9, 14))

    def photos(n, seed):
        mixed = np.tensordot(np.random.default_rng(seed).normal(0, 30, (n, 12)), basis, 1)
        return torch.from_numpy((128 + mixed).clip(0, 255).astype(np.uint8))

    train, held_out = of(photos(300, 1), "train"), of(photos(200, 2))
    assert copy_test(of(photos(200, 3)), train, held_out).verdict == NONE
    assert copy_test(of(noisy(train.images[:200], 5)), train, held_out).verdict.startswith("copying: 100 %")


def test_a_report_is_json_and_shapes_must_fit(parts):
    train, held_out, fresh = parts
    report = copy_test(of(fresh[:60]), train, of(held_out.images[:60]))
    assert msgspec.convert(json.loads(msgspec.json.encode(report)), Copies) == report
    with pytest.raises(UserError, match=r"little is of shape \(1, 6, 5\), train of \(1, 28, 28\)"):
        copy_test(of(some(60), "little"), train, held_out)


def test_images_of_one_class_are_held_against_held_out_ones_of_it():
    """Ones lie closer to each other than other digits do: beside those, fresh ones look like copies."""
    train, held_out, fresh = (digits.load(part) for part in ("train", "heldout", "val"))
    ones = fresh.take(np.flatnonzero(fresh.labels == 1))
    found = copy_test(ones, train, held_out)
    assert (found.verdict, found.by_class, found.n.held_out) == (NONE, True, 100)
    share = found.pixels.closer.share
    beside_all = copy_test(of(ones.images), train, held_out)
    assert (beside_all.by_class, beside_all.n.held_out) == (None, 1000)
    assert share < beside_all.pixels.closer.share


@pytest.mark.parametrize(("counts", "by_class", "left"), [
    ((60, 30), True, 60),  # 40 and 20
    ((60, 0, 0, 30), False, 200),  # there are none of the last
    ((89, 0, 1), False, 200),  # would leave 40
])  # fmt: skip
def test_held_out_images_have_the_generated_shares_unless_that_leaves_too_few(counts, by_class, left):
    def labelled(seed, *counts):
        return ImageSet(
            "some", some(sum(counts), seed=seed), torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        )

    found = copy_test(labelled(1, *counts), of(some(60, seed=2)), labelled(3, 40, 100, 60))
    assert (found.by_class, found.n.held_out) == (by_class, left)
