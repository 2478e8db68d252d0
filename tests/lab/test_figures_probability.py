import matplotlib as mpl
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from fromnoise.faces.style import STYLE
from fromnoise.lab import figures

X = torch.linspace(-3, 3, 61, dtype=torch.float64)
BELL = torch.exp(-(X**2) / 2)
PLANE = torch.cartesian_prod(X, X).view(61, 61, 2)
HILL = torch.exp(-PLANE.square().sum(dim=-1) / 2)
DOTS = torch.randn(30, 2, generator=torch.Generator().manual_seed(0))
N = torch.tensor([10, 100, 1000])
PAIR = (torch.tensor([0.32, 0.11, 0.03]), torch.tensor([0.31, 0.1, 0.031]))
GAP = (0.0, 0.0, 1.0, "gap")


def drawn(axis):
    """What the labelled lines of the axis show, by name."""
    return {line.get_label(): np.asarray(line.get_ydata()) for line in axis.lines if line.get_label()[0] != "_"}


def legend(axis):
    return [text.get_text() for text in axis.get_legend().get_texts()]


FIGURES = {
    "densities": (lambda: figures.densities(X, {"one": BELL, "two": BELL / 2}), 1),
    "planes": (lambda: figures.planes(PLANE, {"a": HILL, "b": HILL}, {"a": DOTS}), 3),
    "masses": (lambda: figures.masses(X[31:], {"right": BELL[31:]}), 1),
    "followed": (lambda: figures.followed(DOTS, 2 * DOTS), 2),
    "radii": (lambda: figures.radii({2: DOTS.norm(dim=1), 9: DOTS.norm(dim=1) + 3}), 1),
    "weighted": (lambda: figures.weighted(X, BELL, X**2, "x²"), 2),
    "running_means": (lambda: figures.running_means(N, torch.ones(2, 3), 1.0, 2.0), 1),
    "falling": (lambda: figures.falling(N, {"x": PAIR}, "error"), 1),
    "risks": (lambda: figures.risks(X, X**2 + 1, torch.stack([X**2, X**2]), torch.zeros(2), torch.zeros(2)), 1),
    "two_risks": (lambda: figures.two_risks(N, PAIR, PAIR, 1.0), 1),
    "integrand": (lambda: figures.integrand(X, BELL, BELL.sqrt()), 2),
    "estimates": (lambda: figures.estimates([10, 100], {"plain": ([1.0, 2.0], [0.5, 0.1])}, 1.5, "D"), 1),
    "tangent": (lambda: figures.tangent(X[31:], X[31:] - 1 - X[31:].log()), 2),
    "landscapes": (lambda: figures.landscapes(X, X, {"a": 2 - HILL, "b": 3 - HILL}, {"a": [(0.0, 0.0)], "b": []}), 3),
    "objectives": (lambda: figures.objectives(X, {"a": X**2, "b": X**2 + 1}, GAP), 1),
    "descents": (lambda: figures.descents({"a": X}, {"a": BELL}, 0.5), 2),
}  # fmt: skip


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_can_be_drawn_and_says_what_its_axes_are(name):
    draw, panels = FIGURES[name]
    figure = draw()
    assert isinstance(figure, Figure)
    assert len(figure.axes) == panels  # a colour bar is one
    with mpl.rc_context(STYLE):
        figure.canvas.draw()  # warnings are errors here: a missing glyph or a layout that does not fit
    for axis in figure.axes:
        assert axis.get_xlabel() or axis.get_ylabel()


def test_densities_draws_what_it_is_given_and_shades_what_it_is_told():
    (axis,) = figures.densities(X, {"data": BELL, "model": BELL / 2}, shaded="data").axes
    np.testing.assert_array_equal(drawn(axis)["model"], BELL / 2)
    assert legend(axis) == ["data", "model"]


def test_planes_share_one_scale_and_put_samples_where_they_belong():
    figure = figures.planes(PLANE, {"high": 2 * HILL, "low": HILL}, {"low": DOTS})
    high, low, _ = figure.axes
    assert [axis.get_title(loc="left") for axis in (high, low)] == ["high", "low"]
    for axis, density in ((high, 2 * HILL), (low, HILL)):
        mesh = axis.collections[0]
        assert mesh.get_clim() == (0, 2)
        np.testing.assert_array_equal(np.asarray(mesh.get_array()).ravel(), density.ravel())
        levels = [level / float(density.max()) for level in axis.collections[1].levels]
        np.testing.assert_allclose(levels, np.exp([-4.5, -2, -0.5]))
    assert len(high.collections) == 2
    np.testing.assert_allclose(low.collections[2].get_offsets(), DOTS, rtol=1e-6)


def test_followed_numbers_the_same_points_in_both_panels():
    left, right = figures.followed(DOTS, 3 * DOTS, marked=4).axes
    for axis, points in ((left, DOTS), (right, 3 * DOTS)):
        np.testing.assert_allclose(axis.collections[0].get_offsets(), points, rtol=1e-6)
        assert {text.get_text(): text.xy for text in axis.texts} == {
            str(k + 1): (float(points[k, 0]), float(points[k, 1])) for k in range(4)
        }


def test_radii_puts_a_mark_at_the_root_of_each_dimension():
    (axis,) = figures.radii({4: DOTS.norm(dim=1), 100: DOTS.norm(dim=1) + 9}).axes
    assert [line.get_xdata()[0] for line in axis.lines] == [2.0, 10.0]
    assert [text.get_text() for text in axis.texts] == ["n = 4", "n = 100"]


def test_weighted_shades_the_product():
    _, right = figures.weighted(X, BELL, X**2, "x²").axes
    np.testing.assert_allclose(right.lines[0].get_ydata(), X**2 * BELL)


def test_falling_has_markers_for_what_was_measured_and_lines_for_theory():
    (axis,) = figures.falling(N, {"x": PAIR, "x²": (2 * PAIR[0], 2 * PAIR[1])}, "error").axes
    markers = [line for line in axis.lines if line.get_linestyle() == "None"]
    lines = [line for line in axis.lines if line.get_linestyle() != "None"]
    np.testing.assert_array_equal(markers[0].get_ydata(), PAIR[0])
    np.testing.assert_array_equal(lines[0].get_ydata(), PAIR[1])
    assert len({line.get_marker() for line in markers}) == len({line.get_linestyle() for line in lines}) == 2
    assert (axis.get_xscale(), axis.get_yscale(), axis.get_ylabel()) == ("log", "log", "error")


def test_the_funnel_of_running_means_is_two_deviations_wide():
    (axis,) = figures.running_means(N, torch.ones(2, 3), 5.0, 3.0).axes
    edge = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert edge.max() == pytest.approx(5 + 2 * 3 / 10**0.5)
    assert edge.min() == pytest.approx(5 - 2 * 3 / 10**0.5)


def test_risks_marks_each_minimum():
    empirical = torch.stack([(X - 1) ** 2, (X + 1) ** 2 + 1])
    (axis,) = figures.risks(X, X**2 + 1, empirical, torch.tensor([1.0, -1.0]), torch.tensor([0.0, 1.0])).axes
    dots = next(line for line in axis.lines if line.get_marker() == "o")
    assert dots.get_xydata().tolist() == [[1, 0], [-1, 1]]
    diamond = next(line for line in axis.lines if line.get_marker() == "D")
    assert diamond.get_xydata()[0] == pytest.approx([0, 1])
    assert legend(axis) == ["empirical (9)", "statistical (10)"]


def test_the_integrand_is_the_divergences():
    p = BELL.sqrt()
    _, right = figures.integrand(X, BELL, p).axes
    np.testing.assert_allclose(right.lines[0].get_ydata(), BELL * (BELL.log() - p.log()), atol=1e-15)


def test_estimates_have_bars_of_two_standard_errors():
    (axis,) = figures.estimates([10, 100], {"plain": ([1.0, 2.0], [0.5, 0.1])}, 1.5, "D").axes
    (bars,) = (collection for collection in axis.collections if len(collection.get_segments()) == 2)
    heights = [segment[:, 1].tolist() for segment in bars.get_segments()]
    np.testing.assert_allclose(heights, [[0, 2], [1.8, 2.2]])
    assert legend(axis) == ["exact", "plain"]


def test_landscapes_put_the_star_on_the_first_minimum():
    minima = [(0.0, 0.5), (1.0, -1.0)]
    axis, _ = figures.landscapes(X, X, {"a": 2 - HILL}, {"a": minima}).axes
    marks = {line.get_marker(): (line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines}
    assert marks == {"*": minima[0], "o": minima[1]}
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("μ", "σ")


def test_objectives_mark_where_each_is_least():
    (axis,) = figures.objectives(X, {"a": (X - 1) ** 2, "b": (X + 1) ** 2 + 1}, GAP).axes
    least = [line.get_xydata()[0] for line in axis.lines if len(line.get_xdata()) == 1]
    np.testing.assert_allclose(least, [[1, 0], [-1, 1]], atol=1e-12)


def test_descents_show_first_steps_and_all_errors():
    path, error = torch.linspace(0, 1, 50), torch.logspace(0, -9, 50)
    left, right = figures.descents({"rate": path}, {"rate": error}, least=1.0).axes
    np.testing.assert_array_equal(left.lines[1].get_ydata(), path[:13])
    assert left.lines[0].get_ydata() == [1.0, 1.0]
    np.testing.assert_array_equal(drawn(right)["rate"], error)
    assert right.get_yscale() == "log"
