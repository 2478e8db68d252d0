"""What the figures of diffusion and likelihood show is what they were given."""

import numpy as np
import pytest
import torch

from fromnoise.diffusion.schedule import schedule
from fromnoise.faces import style
from fromnoise.lab import figures


def points(n=20, seed=0):
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def curve(axis, label):
    (line,) = [line for line in axis.lines if line.get_label() == label]
    return np.asarray(line.get_xdata(), dtype=float), np.asarray(line.get_ydata(), dtype=float)


def test_schedules_show_the_signal_and_lambda_of_each_table():
    table = schedule("linear", 30)
    share, logsnr = figures.schedules({"linear": table}).axes
    t, values = curve(share, "linear")
    np.testing.assert_array_equal(t, np.arange(31))
    np.testing.assert_allclose(values, table.alphas_cumprod.sqrt())
    np.testing.assert_allclose(curve(logsnr, "linear")[1], table.logsnr[1:])


def test_paths_show_every_walk_and_two_deviations():
    walks = torch.randn(11, 3, generator=torch.Generator().manual_seed(0))
    (axis,) = figures.paths(walks, torch.zeros(11), torch.ones(11)).axes
    for line, walk in zip(axis.lines, walks.T, strict=False):
        np.testing.assert_allclose(line.get_ydata(), walk)
    np.testing.assert_allclose(curve(axis, "mean ± 2 deviations")[1], 2)


def test_path_and_jump_share_their_bins():
    (axis,) = figures.path_against_jump(points()[:, 0], points(seed=1)[:, 0], "x").axes
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["step by step", "in one jump"]
    areas = sum(bar.get_width() * bar.get_height() for bar in axis.patches[:49])
    assert areas == pytest.approx(1)


def test_a_histogram_stands_under_its_normal_density():
    (axis,) = figures.histogram_under_normal(points()[:, 0], 1.0, 0.25, "x").axes
    x, density = curve(axis, "normal density")
    assert x[density.argmax()] == pytest.approx(1, abs=0.01)
    assert np.trapezoid(density, x) == pytest.approx(1, abs=1e-3)
    assert axis.get_legend().get_texts()[0].get_text() == "20 walks"


def test_lines_carry_their_values():
    x = torch.arange(3)
    for log in (False, True):
        (axis,) = figures.lines(x, {"one": x + 1.0, "two": x + 2.0}, "t", "y", log=log).axes
        assert curve(axis, "two")[1].tolist() == [2, 3, 4]
        assert axis.get_yscale() == ("log" if log else "linear")


def test_trajectories_lead_from_data_to_noise():
    paths = torch.stack([points(3, seed) for seed in range(4)])
    (axis,) = figures.trajectories({"flow": paths}, points()).axes
    *ways, data, noise = axis.lines
    np.testing.assert_allclose([way.get_xdata() for way in ways], paths[..., 0].T)
    np.testing.assert_allclose(data.get_xydata(), paths[0])
    np.testing.assert_allclose(noise.get_xydata(), paths[-1])


def test_clouds_stand_where_their_points_are():
    films = figures.films({"rings": [points(), points(seed=1)], "spiral": [points(), points()]}, ["t = 0", "t = 1"])
    assert len(films.axes) == 4
    assert [axis.get_title("center") for axis in films.axes[:2]] == ["t = 0", "t = 1"]
    np.testing.assert_allclose(films.axes[1].collections[0].get_offsets(), points(seed=1))
    pairs = figures.real_and_sampled({"a": (points(), points(seed=1)), "b": (points(), points())})
    np.testing.assert_allclose(pairs.axes[2].collections[0].get_offsets(), points(seed=1))


def test_fields_are_drawn_to_one_scale():
    figure = figures.fields(points(), {"exact": points(seed=1), "learnt": 2 * points(seed=1)}, points(seed=2))
    arrows = [next(item for item in axis.collections if hasattr(item, "U")) for axis in figure.axes]
    assert arrows[0].scale == arrows[1].scale
    np.testing.assert_allclose(arrows[1].U, 2 * arrows[0].U)


def test_curves_over_counts_carry_their_values_and_ticks():
    steps = [4, 8, 16]
    (axis,) = figures.convergence(steps, {"ddim": [0.4, 0.2, 0.1]}, "error").axes
    x, y = curve(axis, "ddim")
    assert x.tolist() == steps
    assert y.tolist() == [0.4, 0.2, 0.1]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["4", "8", "16"]
    assert axis.get_xscale() == axis.get_yscale() == "log"


def test_counts_too_near_to_each_other_have_one_tick():
    (axis,) = figures.convergence([8, 10, 18, 19, 28], {"ddim": [0.5, 0.4, 0.3, 0.2, 0.1]}, "error").axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["8", "10", "18", "28"]


def test_ranked_images_carry_names_and_bits():
    images = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
    figure = figures.ranked_images(images, [1.234, 2.0], ["one", "two"], [0.1, 0.2])
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_xticklabels()] == ["one\n1.23 ± 0.10 bits", "two\n2.00 ± 0.20 bits"]
    np.testing.assert_array_equal(axis.images[0].get_array()[:, -4:], images[1, 0])


def test_bound_by_level_runs_from_clear_to_noisy():
    (axis,) = figures.bound_by_level(torch.tensor([10.0, 0.0, -10.0]), {"digits": torch.tensor([0.3, 0.1, 0.0])}).axes
    assert axis.xaxis_inverted()
    np.testing.assert_allclose(curve(axis, "digits")[1], [0.3, 0.1, 0.0], rtol=1e-6)


def test_histogram_counts_every_image_and_marks_the_single_one():
    (axis,) = figures.bits_histogram({"digits": torch.linspace(1, 3, 40)}, {"blank": 0.5}).axes
    assert sum(bar.get_height() for bar in axis.patches) == 40
    assert axis.lines[0].get_xdata() == [0.5, 0.5]


def test_a_figure_is_the_same_whatever_the_users_own_style_is():
    import matplotlib as mpl

    draw = lambda: style.png(figures.convergence([4, 8], {"ddim": [0.4, 0.2]}, "error"))  # noqa: E731
    plain = draw()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert draw() == plain


def test_colours_differ_in_lightness_and_lines_in_dashes():
    """Readable in greyscale: neighbours in the cycle differ in their dashes, and the palette spans light to dark."""
    from matplotlib.colors import to_rgb

    lightness = [float(np.dot(to_rgb(colour), (0.299, 0.587, 0.114))) for colour in style.COLOURS]
    assert max(lightness) - min(lightness) > 0.6
    assert len(set(map(str, style.DASHES))) == len(style.COLOURS)
