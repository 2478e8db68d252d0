import json
import shutil

TRAIN = ("train", "--preset", "tiny", "--steps", "3", "--out", "fine")


def test_a_run_starts_from_another_and_goes_on_without_it(finished, fromnoise, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "first")
    words = (*TRAIN, "--init", "first")
    assert "starting from the weights of first" in fromnoise(*words, cwd=tmp_path).stderr
    about = json.loads((tmp_path / "fine" / "config.json").read_text())
    assert about["config"]["training"]["init"] == "first"
    assert len(about["init"]["sha256"]) == 64
    shutil.rmtree(tmp_path / "first")
    assert "nothing to do" in fromnoise(*words, cwd=tmp_path).stderr
    assert "init: None, first" in fromnoise(*TRAIN, cwd=tmp_path, code=2).stderr


def test_a_start_that_is_not_there_or_does_not_fit_is_one_line(finished, fromnoise, tmp_path):
    refused = fromnoise(*TRAIN, "--init", "nowhere", cwd=tmp_path, code=2)
    assert "nowhere is neither a run folder" in refused.stderr
    words = (*TRAIN, "--init", finished / "run", "--size", "24", "--no-labels")
    refused = fromnoise(*words, cwd=tmp_path, code=2)
    assert "image: 1×24×24, 1×16×16; classes: 4, 10" in refused.stderr
    assert not (tmp_path / "fine").exists()
