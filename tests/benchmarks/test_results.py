import dataclasses

import pytest

from benchmarks import results
from benchmarks.results import Row

LIMITS = {
    "fp32": {"matrix product": 0.2, "convolution forward": 0.25, "convolution forward and backward": 0.3},
    "bf16": {"matrix product": 0.4, "convolution forward": 0.5, "convolution forward and backward": 0.6},
}
SLOW = Row("peer", "as shipped: float32", "fp32", parameters=1_500_000, gflop=0.5, images_per_second=40.0)
FAST = dataclasses.replace(SLOW, how="bf16", precision="bf16", images_per_second=80.0)
FAILED = Row("peer", "bf16, compiled", "bf16", failure="none: InductorError")
DEFAULT = dataclasses.replace(SLOW, task="DDPM", passes=1000, timed=10, images_per_second=0.2)
FEW = dataclasses.replace(FAST, task="DDIM", passes=20, timed=20, images_per_second=10.0)


def cells(table, *words):
    """The cells of the one line that has all the words."""
    (line,) = [line for line in table.splitlines() if all(f"| {word} |" in line for word in words)]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_operations_count_all_passes_of_an_image():
    assert SLOW.tflops == pytest.approx(3 * 0.5e9 * 40 / 1e12)
    assert FEW.tflops == pytest.approx(20 * 0.5e9 * 10 / 1e12)


def test_a_share_is_of_the_convolution_in_the_same_precision_and_direction():
    assert SLOW.share(LIMITS) == pytest.approx(0.06 / 0.3)
    assert FAST.share(LIMITS) == pytest.approx(0.12 / 0.6)
    assert FEW.share(LIMITS) == pytest.approx(0.1 / 0.5)
    assert FAILED.share(LIMITS) is None
    assert FAST.share({"fp32": LIMITS["fp32"]}) is None


def test_the_training_table_marks_the_fastest_way_and_says_why_a_number_is_missing():
    table = results.training_table([SLOW, FAST, FAILED], LIMITS)
    assert cells(table, "as shipped: float32") == ["peer", SLOW.how, "1.5 M", "0.50", "40", "0.06", "20%"]
    assert cells(table, "bf16") == ["peer", "bf16", "1.5 M", "0.50", "**80**", "0.12", "20%"]
    assert cells(table, "bf16, compiled") == ["peer", "bf16, compiled", "", "", "none: InductorError", "", ""]


def test_the_sampling_table_says_what_is_extrapolated():
    table = results.sampling_table([DEFAULT, FEW], LIMITS)
    assert cells(table, "DDPM") == ["peer", "DDPM", SLOW.how, "1,000* (10 timed)", "0.2", "0.10", "40%"]
    assert cells(table, "DDIM") == ["peer", "DDIM", "bf16", "20", "10", "0.10", "20%"]


def test_every_line_of_a_table_has_as_many_cells():
    for table in (
        results.training_table([SLOW, FAST, FAILED], LIMITS),
        results.sampling_table([DEFAULT, FEW], LIMITS),
        results.limits_table(LIMITS),
    ):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_the_limits_table_has_a_column_a_precision():
    table = results.limits_table(LIMITS)
    assert cells(table, "matrix product") == ["matrix product", "0.20", "0.40"]
    assert cells(results.limits_table({"fp32": LIMITS["fp32"]}), "matrix product") == ["matrix product", "0.20"]


def test_a_section_is_replaced_in_place_and_all_else_stays(tmp_path):
    path = tmp_path / "RESULTS.md"
    results.put(path, "speed", "first")
    results.put(path, "quality", "other")
    path.write_text(path.read_text() + "\nby hand\n")
    before = path.read_text()
    results.put(path, "speed", "second\n")
    assert path.read_text() == before.replace("first", "second")
    assert before.startswith(results.TITLE)
    assert before.index("first") < before.index("<!-- /speed -->") < before.index("<!-- quality -->")


def test_a_section_without_an_end_is_not_written_over(tmp_path):
    path = tmp_path / "RESULTS.md"
    path.write_text("<!-- speed -->\nby hand\n")
    with pytest.raises(ValueError, match="not followed"):
        results.put(path, "speed", "text")
    assert "by hand" in path.read_text()


def test_the_plot_has_a_bar_a_row_and_the_limits_as_lines():
    figure = results.bars([SLOW, FAST, FAILED], [DEFAULT, FEW], LIMITS)
    training, sampling = figure.axes
    assert [bar.get_width() for bar in training.patches] == pytest.approx([SLOW.tflops, FAST.tflops])
    assert [bar.get_width() for bar in sampling.patches] == pytest.approx([FEW.tflops])
    assert sorted(line.get_xdata()[0] for line in training.lines) == [0.2, 0.3, 0.4, 0.6]
    assert sorted(line.get_xdata()[0] for line in sampling.lines) == [0.2, 0.25, 0.4, 0.5]
