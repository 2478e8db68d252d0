import json
import shutil

RUN = ("run", "--preset", "tiny", "--out", "run")


def test_a_finished_run_goes_on_and_is_scored_anew(finished, fromnoise, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "run")
    before = (tmp_path / "run" / "report.json").read_text()
    done = fromnoise(*RUN, "--steps", "+5", cwd=tmp_path)
    assert "resuming from step 30" in done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["run"]["training"]["steps"] == 35
    assert [budget["amount"] for budget in report["run"]["training"]["budgets"]] == [30, 5]
    assert (tmp_path / "run" / "report-000030.json").read_text() == before
    assert [budget["step"] for budget in json.loads((tmp_path / "run" / "config.json").read_text())["budgets"]] == [
        0,
        30,
    ]
    assert "nothing to do" in fromnoise(*RUN, cwd=tmp_path).stderr


def test_what_cannot_be_extended_is_one_line(fromnoise, tmp_path):
    refused = fromnoise(*RUN, "--minutes", "+20", cwd=tmp_path, code=2)
    assert "--minutes +20 extends a finished run, but run is not a run" in refused.stderr
    assert not (tmp_path / "run").exists()
