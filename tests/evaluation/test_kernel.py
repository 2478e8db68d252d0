import numpy as np
import pytest
import torch

from fromnoise import rng
from fromnoise.evaluation import kernel
from fromnoise.evaluation.kernel import mmd2


def normal(n, d, seed, shift=0.0):
    return torch.from_numpy(rng.generator(seed, "features").standard_normal((n, d)) + shift)


def theirs(x, y):
    """torch-fidelity's MMD² with the KID's kernel."""
    from torch_fidelity.metric_kid import kernel_mmd

    return kernel_mmd(
        x.numpy(), y.numpy(), kid_kernel="poly", kid_kernel_poly_degree=3, kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
    )  # fmt: skip


def exact(d, shift):
    """MMD² of N(0, I) and N(s, I): E(x·y/d + 1)³ needs E x·y = a, E(x·y)² and E(x·y)³ of Gaussians, by Isserlis.

    For x ~ N(u, I), y ~ N(v, I): z = x·y given x is N(x·v, |x|²), so E z² = E(x·v)² + E|x|² and
    E z³ = E(x·v)³ + 3 E (x·v)|x|².
    """

    def moment(u, v):  # u, v multiples of the vector of ones
        uu, vv, uv = d * u * u, d * v * v, d * u * v
        first = uv
        second = uv**2 + vv + uu + d
        third = uv**3 + 3 * uv * vv + 3 * (uv * (uu + d) + 2 * uv)
        return third / d**3 + 3 * second / d**2 + 3 * first / d + 1

    return moment(0, 0) + moment(shift, shift) - 2 * moment(0, shift)


def test_it_is_torch_fidelitys_on_the_same_rows():
    x, y = normal(300, 24, 0), normal(300, 24, 1, 0.2)
    assert mmd2(x, y).value == pytest.approx(theirs(x, y), rel=1e-10)


def test_sets_of_different_sizes_are_summed_by_hand():
    x, y = normal(7, 3, 6), normal(5, 3, 7)

    def k(u, v):
        return (u.dot(v).item() / 3 + 1) ** 3

    own = sum(k(x[i], x[j]) for i in range(7) for j in range(7) if i != j) / 42
    others = sum(k(y[i], y[j]) for i in range(5) for j in range(5) if i != j) / 20
    between = sum(k(u, v) for u in x for v in y) / 35
    assert mmd2(x, y).value == pytest.approx(own + others - 2 * between, rel=1e-12)


def test_the_error_is_the_jackknifes_over_rows():
    x, y = normal(12, 3, 8), normal(9, 3, 9, 0.5)
    variance = 0.0
    for n, without in (
        (12, [mmd2(x[torch.arange(12) != i], y).value for i in range(12)]),
        (9, [mmd2(x, y[torch.arange(9) != i]).value for i in range(9)]),
    ):
        variance += (n - 1) / n * np.square(np.array(without) - np.mean(without)).sum()
    assert mmd2(x, y).error == pytest.approx(np.sqrt(variance), rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_it_is_unbiased_and_its_error_is_honest(shift):
    true, found = exact(6, shift), []
    for k in range(150):
        x, y = normal(100, 6, 2 * k), normal(150, 6, 2 * k + 1, shift)
        found.append((mmd2(x, y).value, mmd2(x, y).error))
    values, errors = np.array(found).T
    assert abs(values.mean() - true) < 4 * values.std() / np.sqrt(150)
    ratio = np.sqrt(np.square(errors).mean()) / values.std()
    assert 0.8 < ratio < (1.25 if shift else 2.0)  # on the careful side where the sets do not differ


def test_one_feature_set_is_not_at_a_distance_from_its_own_distribution_but_from_another():
    x, y = normal(1000, 16, 10), normal(1000, 16, 11)
    assert abs(mmd2(x, y).value) < 3 * mmd2(x, y).error
    far = mmd2(x + 0.3, y)
    assert far.value > 5 * far.error


def test_sets_balanced_by_design_come_out_below_zero():
    """As the module says: it is unbiased for independent draws, and these are closer than those."""
    labels = torch.arange(2, dtype=torch.float64).repeat(100)[:, None]
    values = [mmd2(normal(200, 4, 2 * k) + 4 * labels, normal(200, 4, 2 * k + 1) + 4 * labels).value for k in range(10)]
    assert max(values) < 0


@pytest.mark.parametrize("block", [3, 7, 64, 1000])
def test_blocks_do_not_change_it(block, monkeypatch):
    x, y = normal(130, 8, 12), normal(70, 8, 13, 0.1)
    other = mmd2(x, y)
    monkeypatch.setattr(kernel, "BLOCK", block)
    one = mmd2(x, y)
    assert one.value == pytest.approx(other.value, rel=1e-10)
    assert one.error == pytest.approx(other.error, rel=1e-10)


def test_order_does_not_matter():
    x, y = normal(100, 8, 14), normal(100, 8, 15, 0.2)
    assert mmd2(x.flip(0), y.roll(3, 0)).value == pytest.approx(mmd2(x, y).value, rel=1e-10)
    assert mmd2(y, x).value == pytest.approx(mmd2(x, y).value, rel=1e-10)


def test_float32_features_are_summed_in_float64():
    x, y = normal(200, 8, 18).float(), normal(200, 8, 19, 0.01).float()
    assert mmd2(x, y).value == pytest.approx(theirs(x.double(), y.double()), rel=1e-9)


@pytest.mark.parametrize(("change", "said"), [
    (lambda x, y: mmd2(x[:2], y), "generated: 2 rows; at least 3"),
    (lambda x, y: mmd2(x, y[:, :3]), "4 features generated, 3 in the reference"),
    (lambda x, y: mmd2(x, y / 0), "reference: some features are not finite"),
    (lambda x, y: mmd2(x[0], y), "must be n×d"),
])  # fmt: skip
def test_what_cannot_be_compared_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        change(normal(20, 4, 0), normal(30, 4, 1))
