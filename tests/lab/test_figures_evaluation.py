import pytest
import torch

from fromnoise.lab import figures


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
