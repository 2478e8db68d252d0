import math

import numpy as np

from fromnoise.faces import figures, style


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


def test_losses_are_drawn_as_given_and_gaps_left_out():
    figure = figures.training_loss([1, 2, 3], [1.0, 0.5, 0.25], {"low": [1.0, None, 0.5], "high": [2.0, 1.0, 0.1]})
    whole, parts = figure.axes
    assert whole.lines[0].get_ydata().tolist() == [1.0, 0.5, 0.25]
    assert np.isnan(parts.lines[0].get_ydata()).tolist() == [False, True, False]
    assert [text.get_text() for text in parts.get_legend().get_texts()] == ["low", "high"]
    assert whole.get_yscale() == parts.get_yscale() == "log"
