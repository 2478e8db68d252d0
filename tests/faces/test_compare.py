import json

import pytest
from msgspec.structs import replace

from fromnoise.data import digits
from fromnoise.errors import UserError
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.provenance import RunFacts, SamplingFacts, TrainingFacts
from fromnoise.evaluation.report import SCHEMA, Report
from fromnoise.evaluation.score import Comparison, score
from fromnoise.faces import compare
from fromnoise.faces.compare import Scored
from fromnoise.training.run_folder import RunFolder


@pytest.fixture(scope="module")
def told():
    halves = Features("halves", 2, "", lambda images: images.double().mean(3).reshape(len(images), 2, -1).mean(2))
    train, val, heldout = (digits.load(part).subset(120, 0) for part in ("train", "val", "heldout"))
    return score(Comparison(val.subset(60, 0), heldout, val, train), halves)


def changed(report, path, value):
    plain = report.plain()
    *parts, last = path.split(".")
    inner = plain
    for part in parts:
        inner = inner[part]
    inner[last] = value
    return Report.of(plain)


def run_of(report, batch, hardware):
    config = {"seed": 0, "training": {"batch": batch}, "data": {"data": "digits"}}
    training = TrainingFacts(1200, 65.0, 3000, {}, (), None, 4_100_000, "no classes")
    sampling = SamplingFacts(60, 2.0, {}, 1.0, 10, 0)
    return replace(report, run=RunFacts("", config, training, sampling, 1.0, 1.0, {"hardware": hardware}))


def test_a_row_tells_what_the_report_says(told):
    row = Scored("a", run_of(told, 64, "abacus")).cells
    assert row["excess"] == f"{told.excess.value:.3f} ± {told.excess.error:.3f}"
    assert row["FID"] == f"{told.fid.value:.3f} ± {told.fid.error:.3f}"
    assert row["KID"].startswith(f"{told.metrics['kid'].value:.3f} ±")
    assert row["copies"] == "no sign of copying"
    assert (row["parameters"], row["steps"], row["training"]) == ("4,100,000", "1,200", "1:05")
    assert row["bits, held out"] == ""


@pytest.mark.parametrize(("path", "value", "said"), [
    ("protocol.reference.sha256", "other", "reference"),
    ("protocol.features.sha256", "other", "features"),
    ("protocol.generated.n", 61, "number of images"),
    ("protocol.generated.shape", [3, 32, 32], "size"),
    ("protocol.floor", None, "floor"),
    ("protocol.design", "random", "design"),
    ("protocol.version", "0.0", "version"),
    ("excess.n", 50, "number of images"),
])  # fmt: skip
def test_scores_that_were_not_taken_alike_are_warned_of(told, path, value, said):
    one, other = Scored("a", told), Scored("b", changed(told, path, value))
    assert compare.warnings([one, one]) == []
    assert compare.warnings([one, other]) == [f"b and a were not scored alike ({said}): do not compare"]


def test_settings_that_differ_are_told_and_no_others(told):
    one, other = (Scored(name, run_of(told, batch, "abacus")) for name, batch in (("a", 32), ("b", 64)))
    assert compare.settings([one, other]) == [("batch", ["32", "64"])]
    elsewhere = Scored("c", run_of(told, 32, "sundial"))
    assert compare.settings([one, elsewhere]) == [("hardware", ["abacus", "sundial"])]


def test_unknown_settings_are_not_different_ones(told):
    scored = [Scored("a", run_of(told, 32, "abacus")), Scored("s.json", told), Scored("b", run_of(told, 64, "abacus"))]
    assert compare.settings(scored[:2]) == []
    assert compare.settings(scored) == [("batch", ["32", "", "64"])]
    assert compare.warnings(scored) == ["the settings of s.json are not known"]


def test_names_are_shortened_only_while_they_stay_apart():
    long = "a" * 40
    assert compare._labels([f"x/{long}1", "short"]) == [f"…{'a' * 30}1", "short"]
    same = [f"x/{long}", f"y/{long}"]
    assert compare._labels(same) == same


def test_dollars_in_names_are_no_mathematics(told):
    names = [r"a$\x^$b", "c"]
    assert compare._labels(names) == [r"a\$\x^\$b", "c"]
    assert compare.page([Scored(name, told) for name in names], "")


def test_the_page_tells_the_table_and_fetches_nothing(told, page_of):
    scored = [Scored("a <b>", run_of(told, 32, "abacus")), Scored("c", changed(told, "protocol.generated.n", 61))]
    page = page_of(compare.page(scored, "fromnoise compare a c"))
    assert "Warning: c and a <b> were not scored alike (number of images)" in page.text
    assert "copies: no sign of copying" in page.text
    assert "1,200" in page.text
    assert "bits, held out" not in page.text  # nobody has it
    assert len(page.pictures()) == 1  # the scores on their axis; there are no folders with grids and logs


def test_only_pictures_are_on_the_page(told, tmp_path, page_of):
    folder = RunFolder(tmp_path / "run")
    folder.samples.mkdir(parents=True)
    scored, counts = [Scored("a", told, folder), Scored("b", told)], []
    for content in (b"\x89PNG\r\n\x1a\n...", b"a secret"):
        (folder.samples / "grid.png").write_bytes(content)
        counts.append(len(page_of(compare.page(scored, "")).pictures()))
    assert counts == [2, 1]  # the scores on their axis, and the grid


@pytest.mark.parametrize(("content", "message"), [
    ("{}", "is not a report of fromnoise"),
    ("no JSON", "is not a report of fromnoise"),
    (None, "neither a run folder nor a report"),
])  # fmt: skip
def test_what_is_no_report_is_refused(tmp_path, content, message):
    file = tmp_path / "report.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UserError, match=message):
        Scored.of(file)


def test_reports_of_another_schema_are_refused(tmp_path, told):
    file = tmp_path / "report.json"
    file.write_text(json.dumps(told.plain() | {"schema": SCHEMA - 1}))
    with pytest.raises(UserError, match=r"another version .*: score again"):
        Scored.of(file)
    file.write_text(json.dumps(told.plain()))
    assert Scored.of(file).report == told
