import math

import pytest
import torch

from fromnoise.faces.figures import evaluation as figures
from fromnoise.faces.figures import style


def test_each_pair_of_densities_has_its_panel_on_one_scale():
    x = torch.linspace(0, 1, 5)
    figure = figures.density_pairs(x, {"near": (x, 2 * x), "far": (x, 3 * x)})
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["near", "far"]
    for axis, factor in zip(figure.axes, (2, 3), strict=True):
        assert axis.lines[0].get_ydata().tolist() == x.tolist()
        assert axis.lines[1].get_ydata().tolist() == (factor * x).tolist()
        assert axis.lines[0].get_linestyle() != axis.lines[1].get_linestyle()
    assert len({axis.get_ylim() for axis in figure.axes}) == 1


def test_every_image_is_a_point_with_its_own_number():
    points, labels = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3
    (axis,) = figures.feature_plane(points, labels, 0.25).axes
    assert "25%" in axis.get_title(loc="left")
    assert len(axis.collections) == 3
    for label, collection in enumerate(axis.collections):
        assert torch.equal(torch.as_tensor(collection.get_offsets().data).float(), points[labels == label])


def test_scores_stand_in_the_order_given_with_their_numbers():
    (axis,) = figures.scores([("model", 12.5, None), ("floor", 0.07, 0.01)]).axes
    assert [text.get_text() for text in axis.texts] == ["12.500", "0.070 ± 0.010"]
    places = dict(zip([label.get_text() for label in axis.get_yticklabels()], axis.get_yticks(), strict=True))
    assert places["model"] > places["floor"]
    assert {line.get_xdata()[0]: line.get_ydata()[0] for line in axis.lines} == {
        12.5: places["model"],
        0.07: places["floor"],
    }
    low, high = axis.get_xlim()
    assert low < 0.07 < 12.5 < high


def test_fid_by_size_has_the_line_through_its_end():
    (axis,) = figures.fid_by_size([100, 1000], [0.4, 0.07], (0.03, 35.0)).axes
    points, line, end = axis.lines
    assert points.get_xdata().tolist() == pytest.approx([0.01, 0.001])
    assert points.get_ydata().tolist() == [0.4, 0.07]
    assert line.get_ydata().tolist() == pytest.approx([0.03, 0.38])
    assert (end.get_xdata()[0], end.get_ydata()[0]) == (0, 0.03)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["∞", "100", "1,000"]


def test_damage_has_a_panel_a_kind_on_one_scale_with_the_floor():
    figure = figures.damage({"noise": ([0, 5], [0.2, 3.0]), "blur": ([0, 1], [0.2, 50.0])}, 0.2)
    assert [axis.get_xlabel() for axis in figure.axes] == ["noise", "blur"]
    for axis, last in zip(figure.axes, (3.0, 50.0), strict=True):
        curve, floor = axis.lines
        assert curve.get_ydata()[-1] == last
        assert set(floor.get_ydata()) == {0.2}
    assert len({axis.get_ylim() for axis in figure.axes}) == 1


def test_classes_stand_beside_what_is_expected_and_unknown_fids_are_left_out():
    counts, fids = figures.class_balance(([9, 11], [10, 10]), [0.5, None], ["0", "1"]).axes
    assert [bar.get_height() for bar in counts.patches] == [9, 11]
    assert counts.lines[0].get_ydata().tolist() == [10, 10]
    assert fids.patches[0].get_height() == 0.5
    assert math.isnan(fids.patches[1].get_height())
    assert len(figures.class_balance(([9, 11], [10, 10]), None, ["0", "1"]).axes) == 1
    (fids,) = figures.class_balance(None, [0.5, None], ["0", "1"]).axes
    assert fids.get_ylabel() == "FID of the class"


def test_the_best_score_over_time_is_marked():
    kids, shares = figures.score_over_time([10, 20, 30], [0.9, 0.2, 0.3], [0.1, 0.1, 0.1], [0.01, None, 0.03]).axes
    best = next(line for line in kids.lines if line.get_label() == "best")
    assert (best.get_xdata()[0], best.get_ydata()[0]) == (20, 0.2)
    assert shares.lines[0].get_ydata()[[0, 2]].tolist() == [1.0, 3.0]
    assert len(figures.score_over_time([10], [0.9], [0.1], [None]).axes) == 1


def test_losses_of_several_runs_differ_in_dashes_too():
    (axis,) = figures.losses({"a": ([0.5, 1.0], [2.0, 1.0]), "b": ([0.5, 1.0], [3.0, 1.0])}).axes
    assert [line.get_label() for line in axis.lines] == ["a", "b"]
    assert axis.lines[0].get_linestyle() != axis.lines[1].get_linestyle()
    assert axis.get_yscale() == "log"


def test_as_svg_the_same_figure_is_the_same_bytes_and_has_no_ground():
    one, again = (style.svg(figures.losses({"a": ([0.5, 1.0], [2.0, 1.0])})) for _ in range(2))
    assert one == again
    assert b"<svg" in one
    assert b"fill: #ffffff" not in one
