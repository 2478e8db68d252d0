"""The pages that commands write, and that they tell the same numbers as each other."""

import json
import shutil

import numpy as np
import pytest

from fromnoise.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("few_digits")


def report_of(finished):
    return json.loads((finished / "run" / "report.json").read_text())


def test_a_run_ends_with_its_page_and_film(finished, page_of):
    told = report_of(finished)
    page = page_of((finished / "run" / "report.html").read_text())
    assert f"± {told['excess']['error']:.3f} excess over the FID of as many real images" in page.text
    assert told["overfitting"]["verdict"].partition(":")[0] in page.text.lower()
    assert {
        "images on their way from noise to data",
        "loss against epoch, of all noise levels and of each quarter of them",
    } <= set(page.alternatives)
    assert told["overfitting"]["n"] == 200
    assert (finished / "run" / "samples" / "film.png").is_file()


def test_a_finished_run_without_its_page_writes_it_again_and_the_same(finished, fromnoise):
    file = finished / "run" / "report.html"
    before = file.read_text()
    file.unlink()
    fromnoise("run", "--preset", "tiny", "--out", "run", cwd=finished)
    assert file.read_text() == before


def test_a_report_of_another_version_is_kept_and_the_run_scored_again(finished, fromnoise, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    file = tmp_path / "run" / "report.json"
    before = json.loads(file.read_text())
    file.write_text(json.dumps(before | {"schema": 1}))
    RunFolder(tmp_path / "run").guidance_file.write_text('{"guidance": 1.25}')
    done = fromnoise("run", "--preset", "tiny", "--out", "run", cwd=tmp_path)
    assert "report.json is from another version" in done.stderr
    after = json.loads(file.read_text())
    assert after["metrics"] == before["metrics"]
    assert after["run"]["guidance"] == {"guidance": 1.25}, "the choice stays with its model"
    assert json.loads((tmp_path / "run" / "report-000030.json").read_text())["schema"] == 1


RUN = ("--preset", "tiny", "--out", "run")
EXTENSION = (*RUN, "--steps", "+6")


@pytest.fixture(scope="module")
def extended(finished, fromnoise, tmp_path_factory):
    """A folder with the finished run and its extension in it, as `run`, that is not yet scored; and what was said."""
    place = tmp_path_factory.mktemp("extended")
    shutil.copytree(finished / "run", place / "run")
    return place, fromnoise("train", *EXTENSION, cwd=place).stderr


@pytest.fixture(scope="module")
def scored(extended, fromnoise, tmp_path_factory):
    """The same scored, and what was said."""
    place = tmp_path_factory.mktemp("scored")
    shutil.copytree(extended[0] / "run", place / "run")
    return place, fromnoise("run", *EXTENSION, cwd=place).stderr


def test_a_finished_run_goes_on_and_is_scored_anew(finished, extended, scored, fromnoise):
    assert "resuming from step 30" in extended[1]
    place, said = scored
    assert "training for the extra 6 steps is done and only the score is missing" in said
    training = report_of(place)["run"]["training"]
    assert training["steps"] == 36
    assert [budget["amount"] for budget in training["budgets"]] == [30, 6]
    assert (place / "run" / "report-000030.json").read_text() == (finished / "run" / "report.json").read_text()
    budgets = json.loads((place / "run" / "config.json").read_text())["budgets"]
    assert [budget["step"] for budget in budgets] == [0, 30]
    assert "nothing to do" in fromnoise("run", *RUN, cwd=place).stderr


def test_other_images_to_score_against_are_refused_before_anything_else_is_said(extended, fromnoise, tmp_path):
    shutil.copytree(extended[0] / "run", tmp_path / "run")
    refused = fromnoise("run", *EXTENSION, "--reference", "digits:val", cwd=tmp_path, code=2)
    assert refused.stderr.startswith(
        "fromnoise: run holds a run with different settings (yours, the run's: reference: digits:val,"
    )
    assert "`fromnoise evaluate --generated run --reference digits:val`" in refused.stderr


def test_an_extension_killed_before_its_first_checkpoint_is_trained_by_the_same_command(scored, fromnoise, tmp_path):
    shutil.copytree(scored[0] / "run", tmp_path / "run")
    RunFolder(tmp_path / "run").set_aside_results(36)  # all that a second extension has done by then
    done = fromnoise("run", *EXTENSION, cwd=tmp_path)
    assert "only the score is missing" not in done.stderr
    assert report_of(tmp_path)["run"]["training"]["steps"] == 42


def test_what_cannot_be_extended_is_one_line(fromnoise, tmp_path):
    refused = fromnoise("run", *RUN, "--minutes", "+20", cwd=tmp_path, code=2)
    assert "--minutes +20 extends a finished run, but run is not a run" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_few_images_of_another_shape_than_the_reference_are_scored_without_a_gap(fromnoise, tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (9, 16, 16, 3), dtype=np.uint8)
    np.savez(tmp_path / "few.npz", images)
    words = ("--preset", "tiny", "--m", "None", "--data", "few.npz", "--reference", "digits:heldout", "--steps", "3")
    fromnoise("run", *words, "--n", "60", "--out", "run", cwd=tmp_path)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert "overfitting" not in report
    assert any(note.startswith("no test for overfitting") for note in report["notes"])
    assert (tmp_path / "run" / "report.html").is_file()


def test_evaluate_writes_a_page_of_images_from_anywhere(finished, fromnoise, page_of, tmp_path):
    fromnoise("data", "export", "digits:train", tmp_path / "learnt", "--n", "200", cwd=tmp_path)
    words = ("--generated", "run/samples/images.npz", "--reference", "digits:heldout", "--train", tmp_path / "learnt")
    words, file = ("evaluate", *words), tmp_path / "score.html"
    fromnoise(*words, "--html", file, cwd=finished)
    page = page_of(file.read_text())
    assert "Closest pairs" in page.text
    assert "Training" not in page.text.split()
    before = file.read_text()
    refused = fromnoise(*words, "--html", file, cwd=finished, code=2)
    assert "already exists" in refused.stderr
    assert file.read_text() == before


def test_runs_are_compared_in_a_table_as_json_and_on_a_page(finished, fromnoise, page_of, tmp_path):
    other = tmp_path / "other"
    fromnoise("run", "--preset", "tiny", "--steps", "2", "--out", other, cwd=finished)
    done = fromnoise("compare", "run", other, "--out", tmp_path / "page.html", cwd=finished)
    assert "Settings that differ" in done.stdout
    assert done.stdout.splitlines()[-1] == str(tmp_path / "page.html")
    page = page_of((tmp_path / "page.html").read_text())
    assert {"images of run", "loss of each run against minutes of training"} <= set(page.alternatives)
    told = json.loads(fromnoise("compare", "run", other, "--json", cwd=finished).stdout)
    assert told["warnings"] == []
    assert told["settings"] == {"steps": {"run": "30", str(other): "2"}}
    assert told["runs"]["run"] == report_of(finished)


def test_what_cannot_be_compared_is_one_line(finished, fromnoise):
    for words, message in (
        (("run",), "at least two runs"),
        (("run", "run"), "named twice"),
        (("run", "nowhere"), "nowhere is neither a run folder nor a report"),
        (("run", "run/config.json"), "is not a report of fromnoise"),
    ):
        refused = fromnoise("compare", *words, cwd=finished, code=2)
        assert message in refused.stderr
        assert len(refused.stderr.strip().splitlines()) == 1
        assert "remove" not in refused.stderr  # config.json may have been named by mistake
