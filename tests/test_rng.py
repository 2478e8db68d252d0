import numpy as np
import pytest
import torch

from fromnoise import rng

PATHS = [
    (0,),
    (1,),
    (-1,),
    (0, 0),
    (0, 1),
    (1, 0),
    (11,),
    (1, 1),
    (0, ""),
    (0, "a"),
    (0, "a", "b"),
    (0, "b", "a"),
    (0, "ab"),
    (0, "a/b"),
    (0, "a", 1),
    (0, "a", "1"),
    (0, "a/1"),
    (0, "a1"),
    (0, "'a'"),
    (0, "a", "b/c"),
    (0, "a/b", "c"),
    (0, "a", ""),
]


def numbers(*path):
    return rng.generator(*path).random(8).tolist()


def test_the_same_path_gives_the_same_numbers():
    assert numbers(3, "noise", 7) == numbers(3, "noise", 7)
    assert rng.integer(3, "noise", 7) == rng.integer(3, "noise", 7)
    assert torch.equal(rng.normal((2, 3), 3, "noise", 7), rng.normal((2, 3), 3, "noise", 7))


def test_no_two_paths_share_a_stream():
    assert len({tuple(numbers(*path)) for path in PATHS}) == len(PATHS)
    assert len({rng.integer(*path) for path in PATHS}) == len(PATHS)
    assert len({tuple(rng.normal((4,), *path).tolist()) for path in PATHS}) == len(PATHS)


def test_steps_and_images_all_have_their_own_numbers():
    assert len({rng.integer(0, "image", k, step) for k in range(50) for step in range(50)}) == 2500


def test_streams_have_not_moved_since_the_first_release():
    """Whoever changes how keys are made ends exact resume and repetition of earlier runs."""
    assert rng.integer(0, "weights") == 7643841449783288259
    assert rng.integer(1, "image", 2, 3) == 3209629044445167139


def test_an_integer_of_another_kind_is_the_same_integer():
    assert numbers(np.int64(3), "noise", np.int32(7)) == numbers(3, "noise", 7)


def test_global_seeds_neither_matter_nor_move():
    seen = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        np.random.seed(seed)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        seen.append((numbers(5, "a"), rng.normal((3,), 5, "a").tolist(), rng.integer(5, "a")))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])
    assert seen[0] == seen[1]


def test_what_is_drawn_beside_does_not_matter():
    one, other = rng.generator(0, "one"), rng.generator(0, "other")
    mixed = [(one.random(), other.random())[0] for _ in range(8)]
    assert mixed == numbers(0, "one")


def test_normal_numbers_are_float32_of_the_shape_asked_for():
    drawn = rng.normal((2, 3, 4), 0, "a")
    assert (drawn.shape, drawn.dtype, drawn.device.type) == ((2, 3, 4), torch.float32, "cpu")


def test_normal_numbers_are_standard_normal():
    n = 400_000
    x = rng.normal((n,), 0, "a").double()
    for moment, expected, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float(x.pow(moment).mean()) - expected) < 5 * (variance / n) ** 0.5
    for edge in (-2.0, -1.0, 0.0, 0.5, 1.5):
        share = float(torch.special.ndtr(torch.tensor(edge, dtype=torch.float64)))
        assert abs(float((x < edge).double().mean()) - share) < 5 * (share * (1 - share) / n) ** 0.5


def test_first_numbers_of_many_streams_are_standard_normal_and_uncorrelated():
    first = torch.stack([rng.normal((2,), 0, "image", k) for k in range(10_000)]).double()
    assert float(first.mean(0).abs().max()) < 5 * 0.01
    assert float((first.var(0) - 1).abs().max()) < 5 * 0.01 * 2**0.5
    assert abs(float((first[:, 0] * first[:, 1]).mean())) < 5 * 0.01
    assert abs(float((first[1:, 0] * first[:-1, 0]).mean())) < 5 * 0.01


def test_integers_fill_63_bits_evenly():
    drawn = np.array([rng.integer(0, k) for k in range(4000)], dtype=np.int64)
    assert drawn.min() >= 0
    bits = (drawn[:, None] >> np.arange(63)) & 1
    assert abs(bits.mean(0) - 0.5).max() < 5 * 0.5 / 4000**0.5


def test_an_integer_is_a_seed_that_torch_takes():
    torch.Generator().manual_seed(rng.integer(0, "weights"))


@pytest.mark.parametrize("shape", [(), (0,), (5,)])
def test_any_shape_can_be_drawn(shape):
    assert rng.normal(shape, 0).shape == shape
