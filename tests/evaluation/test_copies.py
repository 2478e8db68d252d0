import json
from functools import cache

import msgspec
import numpy as np
import pytest
import torch
from scipy import stats

from fromnoise.data import digits, idx
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation import copies
from fromnoise.evaluation.copies import copy_test
from fromnoise.evaluation.design import most_apart
from fromnoise.evaluation.report import Closer, Copies, CopyBound
from fromnoise.evaluation.tail import tail_p_value

NONE = "no sign of copying: "
FOUND = "copying: "


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


def moved(images, down, right):
    return torch.roll(images, (down, right), (2, 3))


def false_accusations(groups, alone, tail=0):
    """How many of 2,000 sets of fresh images lie significantly closer than held-out ones of which groups are alike."""
    found = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copies, "tail_p_value", cache(tail_p_value))  # for few numbers
        for seed in range(2000):
            random = np.random.default_rng(seed)
            theirs, ours = random.random(groups.max() + 1)[groups], random.random(350)
            scale = {("among", "as it is"): theirs}
            found += copies._comparisons(alone, {("among", "as it is"): ours}, scale, scale)[tail].p < 0.01
    return found


def test_held_out_images_in_groups_do_not_make_the_test_sure_of_itself():
    groups = np.concatenate([np.arange(175), 175 + np.arange(175) // 4])
    assert false_accusations(groups, most_apart(groups)) <= 30
    assert false_accusations(groups, 350) > 40
    assert false_accusations(np.arange(350), 350) <= 30


def test_groups_of_three_share_a_rank_that_is_not_rounded_down():
    groups = np.arange(351) // 3  # the tenth smallest value of all is the fourth smallest of the groups
    assert false_accusations(groups, most_apart(groups), tail=1) <= 30


# The test on digits


@pytest.fixture(scope="module")
def pool():
    """The 5,000 packaged digits in one, to be split anew for each seed."""
    return torch.cat([digits.load(part).images for part in ("train", "val", "heldout")])


@pytest.fixture(scope="module")
def parts(pool):
    return split(pool, 0)


def split(pool, seed, train=600, held_out=200, fresh=200):
    order = torch.randperm(len(pool), generator=torch.Generator().manual_seed(seed))
    edges = np.cumsum([train, held_out, fresh])
    return of(pool[order[: edges[0]]], "train"), of(pool[order[edges[0] : edges[1]]]), pool[order[edges[1] : edges[2]]]


@pytest.mark.parametrize("seed", range(2))
def test_fresh_real_digits_are_no_copies(pool, seed):
    train, held_out, fresh = split(pool, seed)
    report = copy_test(of(fresh), train, held_out)
    assert report.copying is False
    assert report.verdict.startswith(f"{NONE}at most ")
    assert report.identical == 0
    assert report.bound.view == "mirrored"
    assert 0.01 < report.bound.share < 0.07
    assert report.bound.least < 0.09
    assert min(each.p for each in report.closer) > 0.001


def test_fresh_images_are_no_copies_where_held_out_ones_come_in_groups(pool):
    train, held_out, fresh = split(pool, 0, held_out=80)
    films = ImageSet("films", noisy(held_out.images.repeat_interleave(5, dim=0)), groups=torch.arange(400) // 5)
    report = copy_test(of(fresh), train, films, turned=False)
    assert report.copying is False
    assert max(each.share for each in report.closer) < 0.1
    one = ImageSet("film", films.images[:100], groups=torch.zeros(100, dtype=torch.long))
    assert copy_test(of(fresh), train, one).verdict.endswith("all held-out images are of one group")


def test_a_fresh_image_that_is_repeated_counts_once(pool):
    train, held_out, fresh = split(pool, 0, fresh=1000)
    near = copies.views(copies.gallery(train), fresh[150:], copies.RANK, most=1)[0].relative
    closest = fresh[150 + int(near.argmin())].expand(50, -1, -1, -1)
    report = copy_test(of(torch.cat([fresh[:150], noisy(closest)])), train, held_out, turned=False)
    assert report.copying is False
    assert "of the 151 different images are copies" in report.verdict


@pytest.mark.slow
def test_fresh_digits_of_the_whole_mnist_are_no_copies(mnist_root):
    train, held_out = digits.load("train"), digits.load("heldout")
    fresh = idx.load("mnist", "test", mnist_root)
    for seed in range(3):
        report = copy_test(fresh.subset(1000, seed), train, held_out)
        assert report.copying is False
        assert report.identical == 0


@pytest.mark.parametrize("damage", [
    lambda images: images,
    lambda images: noisy(images, 40),
    blurred,
    lambda images: (0.6 * images).to(torch.uint8),
    lambda images: (0.5 * images + 100).to(torch.uint8),
    lambda images: moved(images, 1, 0),
    lambda images: moved(images, -2, 2),
    lambda images: images.flip(3),
    lambda images: noisy(moved(0.6 * images.flip(3), 1, 1), 20),
    lambda images: images.expand(-1, 3, -1, -1),
    lambda images: images.flip(2),
    lambda images: images.rot90(1, (2, 3)),
    lambda images: noisy(images.rot90(3, (2, 3)).flip(3)),
], ids=["bytes", "noise", "blur", "darker", "paler", "moved", "moved far", "mirrored", "all", "rgb", "upside down",
        "a quarter", "a quarter and mirrored"])  # fmt: skip
def test_copies_are_found_whatever_a_person_would_not_call_a_difference(parts, damage):
    train, held_out, _ = parts
    report = copy_test(of(damage(train.images[:100])), train, held_out)
    assert report.copying is True
    assert report.verdict.startswith(FOUND)
    assert max(each.share for each in report.closer) > 0.85
    assert min(each.p for each in report.closer) < 1e-20


@pytest.mark.slow
def test_shifted_copies_of_21_000_training_images_are_found():
    smooth = blurred(blurred(some(21_300, (1, 10, 10))))
    real = torch.clamp((smooth.float() - 128) * 4 + 128, 0, 255).to(torch.uint8)
    train, held, fresh = real.split([21_000, 200, 100])
    assert copy_test(of(fresh), of(train), of(held)).copying is False
    assert copy_test(of(moved(train[:100], 1, 0)), of(train), of(held)).copying


def test_copies_of_what_the_training_set_holds_six_times_are_found(pool):
    train, held_out, _ = split(pool, 1, 200)
    twins = of(torch.cat([noisy(train.images, 4, k) for k in range(6)]), "twins")
    report = copy_test(of(noisy(train.images[:200], 6, 9)), twins, held_out)
    assert report.n.distinct < 270
    assert report.copying is True
    assert all(each.share > 0.9 for each in report.closer)


@pytest.mark.slow
def test_a_hundred_noisy_copies_among_three_thousand_images_are_found(pool):
    train, held_out, fresh = split(pool, 0, 2500, 1000, 1450)
    images = torch.cat([fresh, fresh.flip(3), noisy(train.images[:100], 40)])
    report = copy_test(of(images), train, held_out)
    assert report.copying is True
    assert 1 / 30 <= report.bound.share < 0.1


def test_one_copy_in_ten_is_found_and_named(parts):
    train, held_out, fresh = parts
    report = copy_test(of(torch.cat([fresh[:180], noisy(train.images[200:220])])), train, held_out)
    assert report.copying is True
    assert 0.1 <= report.bound.share < 0.25
    best = [pair for pair in report.closest if pair.generated >= 180]
    assert len(best) > copies.SHOWN - 4
    assert all(pair.train == pair.generated + 20 for pair in best)
    assert [pair.relative for pair in report.closest] == sorted(pair.relative for pair in report.closest)


def test_turned_copies_among_fresh_images_are_the_pairs_that_are_shown(parts):
    train, held_out, fresh = parts
    turned = train.images[:40].rot90(1, (2, 3))
    report = copy_test(of(torch.cat([fresh[:160], turned])), train, held_out)
    assert report.copying is True
    assert all(pair.generated - 160 == pair.train for pair in report.closest[:8])
    assert "images (mirrored and rotated views included) are closer" in report.verdict
    assert copy_test(of(turned), train, held_out, turned=False).copying is not True


def test_a_single_image_that_is_one_to_the_byte_is_a_copy_unless_held_out_ones_are_too(parts):
    train, held_out, fresh = parts
    fresh = fresh[:100]
    one = of(torch.cat([fresh, train.images[:1]]))
    found = copy_test(one, train, held_out)
    assert found.copying is True
    assert found.verdict.startswith("copying: 1 is a training image byte for byte, and no held-out image is; at most ")
    by_nature = copy_test(one, train, of(torch.cat([held_out.images, train.images[1:2]])))
    assert by_nature.copying is False
    assert by_nature.verdict.startswith("no sign of copying, but 1 is a training image byte for byte")
    turned = copy_test(of(torch.cat([fresh, train.images[:2].rot90(1, (2, 3))])), train, held_out)
    assert turned.verdict.startswith(
        "copying: 2 are training images byte for byte if mirrored or rotated, and no held-out"
    )
    blank = torch.zeros_like(fresh[:1])
    with_blank = [of(torch.cat([images, blank])) for images in (fresh, train.images)]
    found = copy_test(*with_blank, held_out)
    assert (found.copying, found.identical) == (False, 1)


def test_a_weak_model_is_no_copyist_but_its_copies_are_found(parts):
    train, held_out, fresh = parts
    weak = noisy(blurred(fresh), 40)
    assert copy_test(of(weak), train, held_out).copying is False
    assert copy_test(of(torch.cat([weak, blurred(train.images[:30])])), train, held_out).copying is True


def test_the_bound_holds_for_copies_that_are_too_few_to_be_called(parts):
    train, held_out, fresh = parts
    planted = copies.plant(train.images)[:5]
    for k in (0, 5):
        report = copy_test(of(torch.cat([fresh, planted[:k]])), train, held_out)
        assert report.bound.share > k / (200 + k)


def test_a_test_that_would_find_no_copies_says_so(parts):
    """Each held-out image has a near-duplicate among the training images, as fresh ones would."""
    train, _, _ = parts
    report = copy_test(of(noisy(train.images[:200], 30)), train, of(noisy(train.images[200:500], 10)))
    assert (report.copying, report.bound) == (None, None)
    found = "copying cannot be judged: the test finds only "
    assert report.verdict.startswith(found)


def test_without_held_out_images_it_judges_nothing(parts):
    train, _, fresh = parts
    report = copy_test(of(torch.cat([fresh[:97], train.images[:3]])), of(train.images[:500], "train"), None)
    assert report.verdict == "copying cannot be judged: 0 held-out images; at least 50 are needed"
    assert (report.copying, report.identical, report.closer) == (None, 3, ())
    assert {(pair.generated, pair.train) for pair in report.closest[:3]} == {(97, 0), (98, 1), (99, 2)}
    assert max(pair.distance for pair in report.closest[:3]) < 0.02
    assert 0.1 < min(pair.distance for pair in report.closest[3:]) < 1.2  # of standardised images: unrelated at √2


@pytest.mark.parametrize(("n", "m", "t", "few"), [
    (49, 60, 60, "49 generated images"), (60, 49, 60, "49 held-out images"),
    (60, 60, 49, "49 distinct training images"), (4, 60, 3, "4 generated images, 3 distinct training images"),
])  # fmt: skip
def test_too_few_images_are_said(n, m, t, few):
    report = copy_test(of(some(n)), of(some(t, seed=1), "train"), of(some(m, seed=2)))
    assert report.verdict == f"copying cannot be judged: {few}; at least 50 are needed"


def test_held_out_images_that_were_trained_on_are_left_out(parts):
    train, held_out, _ = parts
    generated = of(noisy(train.images[:60]))
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
    assert copy_test(of(photos(200, 3)), train, held_out).copying is False
    assert copy_test(of(noisy(train.images[:200], 5)), train, held_out).copying is True
    larger = train.images[:200].repeat_interleave(3, 2).repeat_interleave(3, 3)
    assert copy_test(of(larger), train, held_out).copying is True


def test_a_report_is_json(parts):
    train, held_out, fresh = parts
    report = copy_test(of(fresh[:60]), train, of(held_out.images[:60]))
    assert msgspec.convert(json.loads(msgspec.json.encode(report)), Copies) == report
    assert len(report.closer) == 6  # of 60 held-out images both tails are the least


def test_images_of_one_class_are_held_against_held_out_ones_of_it():
    """Ones differ in fewer ways than other digits do, and lie closer to each other."""
    train, held_out, fresh = (digits.load(part) for part in ("train", "heldout", "val"))
    ones = fresh.take(np.flatnonzero(fresh.labels == 1))
    found = copy_test(ones, train.subset(1000, 0), held_out)
    assert (found.copying, found.by_class, found.n.held_out) == (False, True, 100)


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


# The verdict


def closer(share=0.003, found=1.0, view="mirrored", least=0.02):
    return Closer(
        scale="among",
        view=view,
        n=1000,
        share=share,
        expected=0.003,
        p=0.5,
        least=least,
        threshold=0.4,
        found=found,
    )


def test_the_bound_is_clopper_and_pearsons_over_the_share_of_planted_copies_found():
    bound = copies._bound((closer(0.01, 0.9),), 500)
    below = stats.beta.ppf(0.975, 11, 990)
    found = stats.beta.ppf(0.025, 450, 51)
    assert bound.share == pytest.approx(below / found, rel=1e-6)
    assert stats.binom.sf(19, 1000, bound.least * 0.9) == pytest.approx(0.9)
    assert bound.least > 0.02 / 0.9
    assert copies._bound((closer(least=0.999, found=0.9),), 500).least is None


def test_the_comparison_that_sees_most_gives_the_bound():
    assert copies._bound((closer(found=0.4), closer(found=0.1)), 500) is None
    assert copies._bound((closer(found=0.4), closer(found=0.7, view="as it is")), 500).view == "as it is"
    assert copies._bound((closer(found=0.6), closer(view="as it is")), 500).view == "mirrored"
    best, other = closer(0.01, 0.9), closer(0.0, 0.6)  # that the other is lower in the end is not looked at
    assert copies._bound((best, other), 500) == copies._bound((best,), 500)


def test_the_verdict_says_what_was_looked_at_and_what_would_have_been_found():
    bound = CopyBound(0.0123, 0.0212, "mirrored")
    none = (
        "at most 1.2 % of the images are copies (95 % confidence), including copies shifted by up to 2 pixels, "
        "changed in brightness or mirrored"
    )
    assert copies._verdict([], (closer(),), bound, 0) == f"{NONE}{none}; 2.1 % would have been noticed"
    few = copies._verdict([], (closer(),), CopyBound(0.0123, 0.15, "mirrored"), 0)
    assert few == f"{NONE}{none}; fewer than 15 % could have gone unnoticed"
    none_at_all = copies._verdict([], (closer(),), CopyBound(0.0123, None, "mirrored"), 0)
    assert none_at_all == f"{NONE}{none}; even a set of nothing but copies would have gone unnoticed"
    assert copies._verdict([], (closer(),), bound, 1).startswith(
        "no sign of copying, but 1 is a training image byte for byte: at most"
    )
    assert copies._verdict([closer(0.31)], (closer(0.31),), bound, 8) == (
        "copying: 31 % of the images are closer to the training set than 99.7 % of held-out images are (0.3 % "
        "expected by chance); copies that are merely shifted by up to 2 pixels, changed in brightness or mirrored make "
        "up at most 1.2 % (95 % confidence); 8 are training images byte for byte"
    ), "they may be blurred, which the bound knows nothing of"
    assert copies._verdict([], (closer(found=0.12), closer(found=0.3)), None, 0) == (
        "copying cannot be judged: the test finds only 30 % of the copies planted to check it"
    )
