import numpy as np
import pytest
import torch
from scipy.stats import kstest, mannwhitneyu, norm, t
from sklearn.metrics import roc_auc_score

from benchmarks.damages import DAMAGES
from benchmarks.shapes import shapes
from fromnoise.data import digits
from fromnoise.data.image_set import ImageSet
from fromnoise.data.resize import resized
from fromnoise.evaluation import two_sample as module
from fromnoise.evaluation.two_sample import auc, told_apart


@pytest.fixture
def brief(monkeypatch):
    """A short training, where nothing is to be found."""
    monkeypatch.setattr(module, "PASSES", 4)


def colours(n, seed, side=12):
    """Coloured shapes on striped grounds."""
    return resized(shapes(n, seed), (side, side))


def test_colours_that_are_lost_are_found_by_pixels_though_luminance_is_the_same(monkeypatch):
    monkeypatch.setattr(module, "STEPS", 60)
    real, grey = colours(100, 0), colours(100, 1)
    grey = ImageSet("grey", module.luminance(grey.images).expand(-1, 3, -1, -1).contiguous())
    found = told_apart(grey, real)
    assert found.detected
    assert found.verdict.startswith("told apart: shown a generated and a real image, a network picks the ")
    assert found.auc > 0.9
    assert found.accuracy > 0.8
    assert found.p < 1e-6
    assert not told_apart(ImageSet("one channel", grey.images[:, :1]), real).detected, (
        "grey beside colour is compared in grey"
    )


def test_a_pattern_of_single_pixels_is_seen_in_larger_images(monkeypatch):
    monkeypatch.setattr(module, "STEPS", 50)
    real, drawn = colours(100, 0, 64), colours(100, 1, 64)
    found = told_apart(ImageSet("checkers", DAMAGES["checkers"](drawn.images, 12)), real)
    assert found.auc > 0.95


def test_the_networks_see_at_most_128_pixels_a_side():
    images = torch.arange(3, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 200, 50)
    taken = module._taken(images, np.array([2, 0]))
    assert taken.shape == (2, 1, 128, 32)
    assert taken.unique(dim=0).flatten(1).unique(dim=1).flatten().tolist() == [0, 2]


def test_what_nobody_sees_is_not_told(brief):
    """A ground of one grey level more or less, such as samplers leave."""
    real, drawn = colours(80, 0), colours(80, 1)
    odd = ImageSet("odd", drawn.images | 1)
    assert not told_apart(odd, real).detected


def test_it_points_at_the_images_that_are_wrong(monkeypatch):
    monkeypatch.setattr(module, "STEPS", 120)
    real, drawn = colours(200, 2), colours(200, 3)
    wrong = np.random.default_rng(0).choice(200, 100, replace=False)
    drawn.images[wrong] = colours(100, 4).images.flip(1).bitwise_and(31)
    found = told_apart(drawn, real)
    assert found.detected
    assert np.isin(found.surest[:16], wrong).mean() > 0.9
    assert len(set(found.surest)) == len(found.surest) == module.SUREST


def test_a_few_strange_images_among_many_are_found_though_the_auc_is_that_of_chance():
    random = np.random.default_rng(0)
    real, group = np.repeat([False, True], [500, 500]), np.arange(1000)
    scores = random.normal(size=1000)
    assert module.strange(scores, real, group).p > 0.01
    scores[:12] += 10
    found = module.strange(scores, real, group)
    assert 12 / 500 <= found.share <= 16 / 500
    assert found.expected == pytest.approx(1 / 501)
    assert found.p < 0.5**11
    assert abs(auc(scores, real, group).value - 0.5) < 0.05
    assert module.strange(scores, real, np.r_[np.full(12, 0), group[12:]]).p > 0.01, "one picture in twelve versions"


def test_the_smaller_p_value_of_two_halves_is_doubled():
    one, other = module.Strange(0.02, 0.003, 1e-4), module.Strange(0, 0.005, 0.7)
    found = module.both([one, other])
    assert (found.share, found.expected, found.p) == (0.01, 0.004, 2e-4)
    assert module.both([other, other]).p == 1


def test_every_image_is_judged_once_by_a_network_that_has_not_seen_it(brief, monkeypatch):
    learnt, asked = [], []
    learning, judged = module.learning, module.judged

    def watched(judge, images, wanted, sides, *rest):
        learnt.append({image.numpy().tobytes() for rows in sides for image in images[rows]})
        return learning(judge, images, wanted, sides, *rest)

    def asking(judge, images):
        asked.append({image.numpy().tobytes() for image in images})
        return judged(judge, images)

    monkeypatch.setattr(module, "learning", watched)
    monkeypatch.setattr(module, "judged", asking)
    sets = [colours(n, seed) for n, seed in ((70, 0), (60, 1), (90, 2))]
    found = told_apart(*sets[:2], train=sets[2])
    generated, reference, train = ({image.numpy().tobytes() for image in each.images} for each in sets)
    assert asked[0] | asked[1] == generated | reference
    assert not asked[0] & asked[1]
    assert learnt == [asked[1] | train, asked[0] | train]
    assert (found.n, found.m) == (70, 60)


def test_a_share_of_strange_images_is_told_apart(monkeypatch):
    monkeypatch.setattr(module, "STEPS", 150)
    real, drawn = colours(400, 2), colours(400, 3)
    drawn.images[:30] = resized(digits.load("val"), (12, 12)).images[:30].expand(-1, 3, -1, -1)
    found = told_apart(drawn, real)
    assert found.detected
    assert found.p > module.SIGNIFICANCE
    assert found.strange_p < module.SIGNIFICANCE
    assert "of the generated images look less real to the network than 99.5 % of real ones do" in found.verdict
    assert np.isin(found.surest[:8], np.arange(30)).all()


def test_images_of_one_kind_are_not_told_apart(brief):
    found = [told_apart(colours(60, 2 * k), colours(60, 2 * k + 1), seed=k) for k in range(3)]
    assert not any(each.detected for each in found)
    assert np.mean([each.auc for each in found]) == pytest.approx(0.5, abs=0.13)  # three deviations
    assert "% would have been detected" in found[0].verdict
    assert all(0.5 < each.detectable <= 1 for each in found)


@pytest.mark.slow
def test_the_p_values_of_real_digits_are_those_of_chance(monkeypatch):
    """Beside images of the floor, and taught by training images, in turn."""
    monkeypatch.setattr(module, "STEPS", 60)
    pool, p = resized(digits.load("train"), (14, 14)).images, []
    for seed in range(40):
        order = np.random.default_rng(seed).permutation(len(pool))
        sets = [ImageSet("some", pool[order[k:120:2]]) for k in (0, 1)]
        more = {"train" if seed % 2 else "floor": ImageSet("more", pool[order[120:320]])}
        p.append(told_apart(*sets, seed, **more).p)
    assert min(p) > 0.0005
    assert kstest(p, "uniform", alternative="greater").pvalue > 0.01, "too many are small"


def test_training_images_teach_it_what_is_real(monkeypatch):
    """Upper halves of digits on the lower halves of others: few images hardly tell what is wrong with them."""
    monkeypatch.setattr(module, "STEPS", 200)
    pool = resized(digits.load("train"), (16, 16)).images
    order = np.random.default_rng(0).permutation(len(pool))
    drawn, real, train = (pool[order[k]] for k in (slice(80), slice(80, 160), slice(160, 1660)))
    joined = ImageSet("joined", torch.cat([drawn[:, :, :8], drawn.roll(1, 0)[:, :, 8:]], dim=2))
    alone, taught = (told_apart(joined, ImageSet("real", real), train=each) for each in (None, ImageSet("t", train)))
    assert taught.p < alone.p / 100
    assert taught.n + taught.m == pytest.approx(alone.n + alone.m, abs=2), "none of them is judged"


def test_the_packaged_start_finds_sooner_what_is_wrong(monkeypatch):
    monkeypatch.setattr(module, "STEPS", 80)
    real, bent = shapes(300, 2), ImageSet("bent", DAMAGES["elastic"](shapes(300, 3).images, 2))
    alone, begun = (told_apart(bent, real, judge=judge) for judge in (module.Judge, module.pretrained))
    assert begun.p < alone.p / 100


def test_a_small_reference_is_joined_by_the_images_of_the_floor(brief, monkeypatch):
    drawn, real, floor = colours(60, 0), colours(60, 1), colours(90, 2)
    alone, joined = (told_apart(drawn, real, floor=each) for each in (None, floor))
    assert (alone.n, alone.m, joined.n, joined.m) == (60, 60, 60, 150)
    assert joined.detectable < alone.detectable
    assert told_apart(drawn, real, floor=resized(floor, (8, 8))) == alone
    monkeypatch.setattr(module, "MOST", 100)
    assert told_apart(drawn, real, floor=floor).m == 100


def test_images_of_one_known_group_are_in_one_half_and_not_learnt_from_where_they_are_judged(brief, monkeypatch):
    sets, groups = [colours(n, seed) for n, seed in ((60, 0), (60, 1), (60, 2), (90, 3))], {}
    for images, of in zip(sets[1:], (np.arange(60), 60 + np.arange(60) // 2, np.arange(90) + 80), strict=True):
        object.__setattr__(images, "groups", torch.from_numpy(of))
        groups |= zip([each.numpy().tobytes() for each in images.images], of.tolist(), strict=True)
    halves, judged = [], module.judged

    def asking(judge, images):
        halves.append({groups[each] for each in (image.numpy().tobytes() for image in images) if each in groups})
        return judged(judge, images)

    learnt, learning = set(), module.learning

    def watched(judge, images, wanted, sides, *rest):
        learnt.update(groups.get(images[k].numpy().tobytes()) for k in sides[1])
        return learning(judge, images, wanted, sides, *rest)

    monkeypatch.setattr(module, "judged", asking)
    monkeypatch.setattr(module, "learning", watched)
    generated, reference, floor, train = sets
    told_apart(generated, reference, train=train, floor=floor)
    assert halves[0] | halves[1] == set(range(90))
    assert not halves[0] & halves[1]
    assert learnt == set(range(170)), "of the training images' groups, 80 to 169, those that are judged add nothing"


def test_groups_are_merged_where_either_numbering_connects_them():
    near, known = np.array([0, 0, 1, 2, 3, 4]), np.array([-1, 7, 7, -1, 5, -1])
    merged = module.merged(near, known)
    assert merged[0] == merged[1] == merged[2]
    assert len(set(merged[2:])) == 4
    np.testing.assert_array_equal(np.unique(module.merged(near, np.full(6, -1))), np.arange(5))


def test_families_of_real_images_count_for_less_than_as_many_single_ones():
    random = np.random.default_rng(0)
    scores, real = random.normal(size=2000), np.repeat([False, True], [500, 1500])
    scores[:12] += 10
    alone, families = np.arange(2000), np.r_[np.arange(500), 500 + np.arange(1500) // 30]
    few, many = (module.strange(scores, real, group) for group in (families, alone))
    assert few.share == many.share
    assert many.p < 1e-5 < few.p / 100


def test_it_learns_from_no_training_image_that_it_judges_a_copy_of(brief):
    """A reference that was trained on would be known by heart."""
    real, drawn = colours(80, 0), colours(80, 1)
    spoilt = ImageSet("train", torch.cat([real.images, drawn.images]))
    assert told_apart(drawn, real, train=spoilt) == told_apart(drawn, real)


def test_pictures_that_are_there_in_many_versions_are_not_known_by_heart(monkeypatch):
    """Three of each, all in one set, and no picture in both: as so many pictures they are told apart (p = 1e-14)."""
    monkeypatch.setattr(module, "STEPS", 100)

    def versions(n, seed):
        images = colours(n, seed).images
        return ImageSet("versions", torch.cat([(images * scale).byte() for scale in (1, 0.98, 0.95)]))

    assert not told_apart(versions(60, 0), versions(60, 1)).detected


def test_the_auc_is_that_of_scikit_learn_and_its_error_counts_a_group_once():
    random = np.random.default_rng(0)
    real = np.repeat([False, True], [40, 60])
    scores = random.normal(size=100).round(1) + 0.5 * ~real
    alone = auc(scores, real, np.arange(100))
    assert alone.value == pytest.approx(roc_auc_score(~real, scores))
    below = scores[~real][:, None] - scores[real]
    placed = np.where(below > 0, 1.0, np.where(below == 0, 0.5, 0.0))
    wanted = placed.mean(axis=1).var(ddof=1) / 40 + placed.mean(axis=0).var(ddof=1) / 60
    assert alone.error == pytest.approx(wanted**0.5, rel=0.02)
    np.testing.assert_allclose(alone.beaten, np.r_[placed.mean(axis=1), placed.mean(axis=0)])
    twice = auc(np.tile(scores, 3), np.tile(real, 3), np.tile(np.arange(100), 3))
    assert twice.value == pytest.approx(alone.value)
    assert twice.error == pytest.approx(alone.error)
    assert (alone.df, twice.df) == (np.inf, 39)
    perfect = auc(np.arange(100.0)[::-1], real, np.arange(100))
    assert (perfect.value, perfect.error) == (1.0, 0.0)
    p = mannwhitneyu(np.arange(60, 100), np.arange(60), alternative="greater", use_continuity=False).pvalue
    assert module.norm.sf(0.5 / perfect.null) == pytest.approx(p)


@pytest.mark.parametrize("df", [np.inf, 5.0])
def test_of_few_groups_the_auc_must_be_larger(brief, monkeypatch, df):
    known = module.Auc(0.6, 0.03, 0.03, df, np.zeros(70))
    monkeypatch.setattr(module, "auc", lambda scores, real, group: known._replace(beaten=np.zeros(len(scores))))
    found = told_apart(colours(70, 0), colours(70, 1))
    assert found.p == pytest.approx(2 * t.sf(0.1 / 0.03, df), rel=0.01)
    assert found.detectable == pytest.approx(0.5 + 0.03 * (t.isf(0.0005, df) + norm.isf(0.1)))


def test_groups_are_dealt_whole_and_evenly():
    random = np.random.default_rng(0)
    group = np.r_[np.arange(100), 100 + random.integers(0, 30, 90), np.arange(10)]
    real = np.repeat([False, True], [100, 100])
    parts = module._halves(real, group, seed=0)
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(200))
    assert sum(len(np.unique(group[part])) for part in parts) == len(np.unique(group))
    assert all(42 <= (~real[part]).sum() <= 58 for part in parts)
    assert {tuple(part) for part in module._halves(real, group, seed=1)} != {tuple(part) for part in parts}


def test_the_seed_decides_and_the_number_of_threads_does_not(brief):
    sets = colours(60, 0), colours(80, 1)
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    one = told_apart(*sets)
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), state)
    torch.set_num_threads(1)
    assert told_apart(*sets) == one
    assert told_apart(*sets, seed=1).auc != one.auc


def test_large_sets_are_drawn_from_and_large_images_reduced(brief, monkeypatch, bars):
    monkeypatch.setattr(module, "MOST", 50)
    found = told_apart(colours(90, 0, side=70), colours(60, 1, side=70))
    assert (found.n, found.m) == (50, 50)
    assert max(found.surest) > 50, "positions are those of the whole set"
    _, done, total = zip(*bars, strict=True)
    assert done == tuple(range(1, total[0] + 1))


@pytest.mark.parametrize(("generated", "reference", "said"), [
    (colours(49, 0), colours(60, 1), r"at least 50 in each set, not 49 of 3×12×12 and 60 of 3×12×12"),
    (colours(60, 0, side=20), colours(60, 1), r"of one size, .* 60 of 3×20×20 and"),
    (ImageSet("one", colours(1, 0).images.repeat(60, 1, 1, 1)), colours(60, 1), "different images of each kind"),
])  # fmt: skip
def test_what_cannot_be_told_is_refused(generated, reference, said):
    with pytest.raises(ValueError, match=said):
        told_apart(generated, reference)
