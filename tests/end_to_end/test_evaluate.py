import json

import numpy as np
import pytest
from PIL import Image


def test_a_run_is_scored_as_it_scored_itself(finished, fromnoise, tmp_path):
    done = fromnoise(
        "evaluate", "--generated", finished / "run", "--reference", "digits:heldout", "--json", "-", cwd=tmp_path
    )
    ours = json.loads(done.stdout)
    theirs = json.loads((finished / "run" / "report.json").read_text())
    assert ours["metrics"] == theirs["metrics"]
    assert ours["protocol"]["train"] == theirs["protocol"]["train"]


def test_images_from_anywhere_are_scored(fromnoise, tmp_path):
    fromnoise("data", "export", "digits:val", "real", "--n", "60", cwd=tmp_path)
    words = ("--generated", "real", "--reference", "digits:heldout", "--train", "digits", "--json", "score.json")
    shown = fromnoise("evaluate", *words, cwd=tmp_path).stdout
    for word in ("generated", "floor", "copycat", "ratio", "note: 60 images cannot fill"):
        assert word in shown
    fid = json.loads((tmp_path / "score.json").read_text())["metrics"]["fid"]
    assert 0.3 < fid["ratio"] < 3
    refused = fromnoise("evaluate", *words, cwd=tmp_path, code=2)
    assert "score.json is already there" in refused.stderr


def test_a_run_whose_images_are_gone_is_scored_without_copycat(fromnoise, tmp_path):
    random = np.random.default_rng(0)
    arrays = {"arr_0": random.integers(0, 255, (600, 16, 16, 1), dtype=np.uint8)}
    np.savez(tmp_path / "mine.npz", **arrays)
    words = ("run", "--preset", "tiny", "--data", "mine.npz", "--steps", "3", "--n", "60", "--out", "run")
    report = fromnoise(*words, cwd=tmp_path).stdout
    assert "say little of images other than digits" in report
    (tmp_path / "mine.npz").rename(tmp_path / "moved.npz")
    done = fromnoise("evaluate", "--generated", "run", "--reference", "moved.npz:heldout", "--json", "-", cwd=tmp_path)
    score = json.loads(done.stdout)
    assert score["metrics"]["fid"]["copycat"] is None
    assert any("not there any more, or have changed" in note for note in score["notes"])
    ours = json.loads((tmp_path / "run" / "report.json").read_text())
    assert score["metrics"]["fid"]["value"] == ours["metrics"]["fid"]["value"]


def test_an_export_is_true_to_the_byte_and_reads_back_with_its_classes(fromnoise, tmp_path):
    fromnoise("data", "export", "digits:heldout", "out", "--by-class", cwd=tmp_path)
    from fromnoise.data import digits, folder

    back, real = folder.load(tmp_path / "out"), digits.load("heldout")
    assert back.classes == 10
    assert {image.numpy().tobytes() for image in back.images} == {image.numpy().tobytes() for image in real.images}


def test_the_mnist_test_set_is_exported_whole(fromnoise, mnist_root, tmp_path):
    fromnoise(
        "data",
        "export",
        "mnist:test",
        "real",
        "--n",
        "10000",
        cwd=tmp_path,
        environment={"FROMNOISE_DATA": str(mnist_root)},
    )
    from fromnoise.data import idx

    real = idx.load("mnist", "test", mnist_root).images
    assert len(list((tmp_path / "real").iterdir())) == 10000
    for k in (0, 4321, 9999):
        with Image.open(tmp_path / "real" / f"{k:06d}.png") as image:
            assert np.array_equal(np.asarray(image), real[k, 0].numpy())


@pytest.mark.parametrize(("words", "message"), [
    (("--generated", "nowhere", "--reference", "digits:heldout"), "neither a data set"),
    (("--generated", "empty", "--reference", "digits:heldout"), "holds no .png"),
    (("--generated", "bad", "--reference", "digits:heldout"), "cannot be read as an image"),
    (("--generated", "digits:test", "--reference", "digits:heldout"), "there is no part 'test'"),
    (("--generated", "digits:val", "--reference", "digits:heldout", "--n", "49"), "needs at least 50"),
    (("--generated", "digits:val", "--reference", "digits:heldout", "--n", "4000"), "cannot draw 4000"),
    (("--generated", "digits:val", "--reference", "digits:heldout", "--features", "clip"), "choose one of: digits"),
    (("--generated", "digits:val", "--reference", "mnist:test", "--data-root", "empty"), "put its four IDX files"),
])  # fmt: skip
def test_nonsense_is_one_line_exit_code_2_and_writes_nothing(fromnoise, tmp_path, words, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"not a picture")
    offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    refused = fromnoise("evaluate", *words, "--json", "out.json", cwd=tmp_path, code=2, environment=offline)
    assert message in refused.stderr
    assert refused.stderr.strip().splitlines()[-1].startswith("fromnoise: ")
    assert not (tmp_path / "out.json").exists()


def test_the_doctor_looks(fromnoise, tmp_path):
    shown = fromnoise("doctor", "--device", "cpu", cwd=tmp_path).stdout
    for word in ("device", "compiler", "digits", "mnist", "precision", "images/s", "TFLOP/s"):
        assert word in shown
