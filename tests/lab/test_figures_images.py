import io

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from fromnoise.faces import style
from fromnoise.lab.figures import images as figures


def pictures(n, size=8, channels=1):
    """Images that differ: image k is grey level 10·(k + 1) everywhere."""
    return (10 * torch.arange(1, n + 1)).to(torch.uint8).view(n, 1, 1, 1).expand(n, channels, size, size)


def drawn(figure):
    """The one image in a figure, as it was given to matplotlib."""
    (axis,) = figure.axes
    return np.asarray(axis.images[0].get_array())


def test_rows_hold_the_images_given_where_they_belong():
    figure = figures.picture_rows([("first", pictures(3)), ("second", pictures(2))], ["a", "b", "c"])
    assert isinstance(figure, Figure)
    canvas, step = drawn(figure), 8 + figures.GAP
    assert canvas.shape == (2 * step - figures.GAP, 3 * step - figures.GAP)
    for row, columns in ((0, 3), (1, 2)):
        for k in range(columns):
            assert (canvas[row * step : row * step + 8, k * step : k * step + 8] == 10 * (k + 1)).all()
    assert (canvas[step:, 2 * step :] == 255).all()  # no third picture in the second row
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["first", "second"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a", "b", "c"]


def test_notes_stand_below_their_pictures():
    figure = figures.picture_rows([("row", pictures(2))], notes=[["one", "two"]])
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts] == ["one", "two"]
    one, two = (text.get_position() for text in axis.texts)
    assert one[1] == two[1] > 7
    assert two[0] - one[0] == 8 + figures.GAP


@pytest.mark.parametrize(("name", "side"), [("", 1.9), ("two\nlines", 1.05)])
def test_no_label_is_cut(name, side):
    figure = figures.picture_rows([(name, pictures(3, 32))], ["two\nlines", "above", "all"], side=side)
    with Image.open(io.BytesIO(style.png(figure))) as picture:
        levels = np.asarray(picture.convert("L"))
    edges = levels[0], levels[-1], levels[:, 0], levels[:, -1]
    assert all((edge == 255).all() for edge in edges)


@pytest.mark.parametrize(("n", "columns", "shape"), [(10, None, (3, 4)), (10, 5, (2, 5)), (64, None, (8, 8))])
def test_a_grid_has_every_image_in_order(n, columns, shape):
    canvas, step = drawn(figures.picture_grid(pictures(n), columns)), 8 + figures.GAP
    assert canvas.shape == tuple(k * step - figures.GAP for k in shape)
    for k in range(n):
        top, left = k // shape[1] * step, k % shape[1] * step
        assert (canvas[top : top + 8, left : left + 8] == 10 * (k + 1) % 256).all()


def test_colour_stays_colour():
    red = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    red[:, 0] = 255
    assert drawn(figures.picture_grid(red))[4, 4].tolist() == [255, 0, 0]


def test_grey_levels_are_not_stretched():
    (axis,) = figures.picture_grid(pictures(1)).axes
    assert axis.images[0].get_clim() == (0, 255)


def test_counts_are_drawn_as_given():
    (axis,) = figures.class_counts([3, 3], [4, 2], [3.5, 2.5], [1.0, 0.5]).axes
    bars, errors = axis.containers
    assert [bar.get_height() for bar in bars] == [3, 3]
    assert errors.lines[2][0].get_segments()[0][:, 1].tolist() == [1.5, 5.5]
    (random,) = (line for line in axis.lines if line.get_marker() == "D")
    assert random.get_ydata().tolist() == [4, 2]
    assert len(axis.get_legend().get_texts()) == 3


def test_rows_with_titles_and_notes_are_a_picture():
    figure = figures.picture_rows([("x̂₀", pictures(2))], ["√ᾱ = 0.08", "λ = −9.0"], [["σ", "ε"]])
    assert len(style.png(figure)) > 1000
