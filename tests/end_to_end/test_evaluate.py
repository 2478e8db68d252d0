import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.data import arrays, digits, folder, idx, saving
from fromnoise.evaluation.report import SCHEMA
from fromnoise.experiment.comparison import ScoreRequest, comparison
from fromnoise.faces.commands import doctor
from fromnoise.training import probe

pytestmark = pytest.mark.usefixtures("few_digits")

HELD = {"schema", "excess", "metrics", "noise", "classes", "copies", "protocol", "notes"}
HELD |= {"also", "told_apart", "overlaps", "repeats"}


def test_a_run_is_scored_as_it_scored_itself(finished, fromnoise, tmp_path):
    words = ("--generated", finished / "run", "--reference", "digits:heldout", "--json", "-")
    done = fromnoise("evaluate", *words, cwd=tmp_path)
    ours = json.loads(done.stdout)
    theirs = json.loads((finished / "run" / "report.json").read_text())
    assert ours["excess"] == theirs["excess"]
    assert ours["metrics"] == theirs["metrics"]
    assert ours["protocol"]["line"] == theirs["protocol"]["line"]
    assert ours["copies"] == theirs["copies"]
    assert ours["protocol"] | {"generated": None} == theirs["protocol"] | {"generated": None}
    assert ours["protocol"]["generated"]["sha256"] == theirs["protocol"]["generated"]["sha256"]
    assert ours["protocol"]["train"] == theirs["protocol"]["train"]


def test_every_metric_is_in_a_runs_report_and_in_its_table(finished, fromnoise):
    report = json.loads((finished / "run" / "report.json").read_text())
    assert report["schema"] == SCHEMA
    assert set(report) == HELD | {"overfitting", "likelihood", "run"}
    metrics = report["metrics"]
    for name in ("kid", "precision", "recall", "density", "coverage"):
        entry = metrics[name]
        assert (entry["n"], entry["floor"]["n"], entry["copycat"]["n"]) == (100, 100, 100)
        assert (entry["floor"]["subsets"], entry["copycat"]["subsets"]) == (4, 2)
    assert metrics["kid"]["value"] > 10 * metrics["kid"]["copycat"]["value"]
    assert metrics["coverage"]["value"] < metrics["coverage"]["floor"]["value"]
    assert "fid_infinity" not in metrics
    assert any(note.startswith("no FID∞: 100 images") for note in report["notes"])
    assert report["noise"]["value"] > 20 * metrics["fid"]["floor"]["value"]  # the tiny model is no better
    assert report["excess"]["low"] > 0
    assert (report["excess"]["design"], report["excess"]["n"]) == ("stratified", 100)
    assert report["classes"]["learned"]["accuracy"] < report["classes"]["learned"]["real_accuracy"]
    assert sum(report["classes"]["balance"]["counts"]) == 100
    assert (report["copies"]["by_class"], report["copies"]["n"]["held_out"] > 300) == (True, True)
    shown = fromnoise("run", "--preset", "tiny", "--out", "run", cwd=finished).stdout
    for word in ("noise", "KID", "precision", "recall", "density", "coverage", "excess", "classes:"):
        assert word in shown
    assert f"copies: {report['copies']['verdict']}\n" in shown
    assert shown.index("close to real images:") < shown.index("FID in digits features")
    assert f"protocol: {report['protocol']['line']}" in shown


def test_images_are_scored_in_pixels(fromnoise, tmp_path):
    for name, part in (("real.npz", "heldout"), ("mine.npz", "val")):
        images = digits.load(part).subset(80, 0)
        arrays.save(tmp_path / name, images.images[:, :, 8:20:2, 8:20:2].contiguous(), images.labels)
    words = ("--generated", "mine.npz", "--reference", "real.npz", "--features", "pixels", "--json", "-")
    report = json.loads(fromnoise("evaluate", *words, cwd=tmp_path).stdout)
    assert set(report) == HELD | {"also", "request", "command", "system"}
    assert report["excess"] is None
    assert report["protocol"]["features"] == {
        "name": "pixels", "dimension": 36, "sha256": "", "colour": "as it is", "known": True,
    }  # fmt: skip
    assert report["metrics"]["kid"]["floor"] is None
    assert report["copies"] is None


def test_a_part_of_the_images_has_the_classes_shares_of_all(tmp_path):
    train = digits.load("train")
    few = np.sort(np.concatenate([np.flatnonzero(train.labels == 0)[:270], np.flatnonzero(train.labels == 1)[:30]]))
    arrays.save(tmp_path / "mine.npz", train.images[few], train.labels[few])
    sets = comparison(ScoreRequest(str(tmp_path / "mine.npz"), "digits:heldout", n=100))
    assert sets.generated.labels.bincount().tolist() == [90, 10]


def test_images_from_anywhere_are_scored(fromnoise, tmp_path):
    fromnoise("data", "export", "digits:val", "real", "--n", "60", "--by-class", cwd=tmp_path)
    fromnoise("data", "export", "digits:train", "learnt", "--n", "200", "--by-class", cwd=tmp_path)
    (tmp_path / "real" / "config.json").write_text("{}")  # another tool's
    words = ("--generated", "real", "--reference", "digits:heldout", "--train", "learnt", "--json", "score.json")
    shown = fromnoise("evaluate", *words, cwd=tmp_path).stdout
    for word in ("generated", "floor", "copycat", "excess", "note: 60 images are too few", "KID", "coverage"):
        assert word in shown
    excess = json.loads((tmp_path / "score.json").read_text())["excess"]
    assert excess["low"] < 0 < excess["high"]
    assert "copies: no sign of copying" in shown
    refused = fromnoise("evaluate", *words, cwd=tmp_path, code=2)
    assert "score.json already exists" in refused.stderr


def test_folders_of_some_classes_are_scored_as_those_and_of_others_without(fromnoise, tmp_path):
    images = digits.load("val")
    some = images.take(np.flatnonzero((images.labels == 3) | (images.labels == 8)))
    folder.save(tmp_path / "some", some.images, some.labels.tolist())
    words = ("evaluate", "--reference", "digits:heldout", "--json", "-", "--generated")
    report = json.loads(fromnoise(*words, "some", cwd=tmp_path).stdout)
    assert report["classes"]["balance"]["counts"] == [0, 0, 0, 40, 0, 0, 0, 0, 40, 0]
    for name in ("cat", "dog"):
        folder.save(tmp_path / "ours" / name, some.images[:30])
        folder.save(tmp_path / "theirs" / name.replace("cat", "ape"), some.images[:30])
    words = ("evaluate", "--reference", "theirs", "--json", "-", "--generated", "ours")
    report = json.loads(fromnoise(*words, cwd=tmp_path).stdout)
    assert any("class names differ from the reference's" in note for note in report["notes"])
    assert report["classes"] is None


def test_a_run_whose_images_are_gone_is_scored_without_copycat(fromnoise, tmp_path):
    random = np.random.default_rng(0)
    arrays = {"arr_0": random.integers(0, 255, (600, 16, 16, 1), dtype=np.uint8)}
    np.savez(tmp_path / "mine.npz", **arrays)
    words = ("run", "--preset", "tiny", "--data", "mine.npz", "--steps", "3", "--n", "60", "--out", "run")
    report = fromnoise(*words, cwd=tmp_path).stdout
    assert "say little about images other than digits" not in report  # --features auto took general ones
    (tmp_path / "mine.npz").rename(tmp_path / "moved.npz")
    done = fromnoise("evaluate", "--generated", "run", "--reference", "moved.npz:heldout", "--json", "-", cwd=tmp_path)
    score = json.loads(done.stdout)
    assert score["metrics"]["fid"]["copycat"] is None
    assert any("are missing or have changed" in note for note in score["notes"])
    ours = json.loads((tmp_path / "run" / "report.json").read_text())
    assert score["metrics"]["fid"]["value"] == ours["metrics"]["fid"]["value"]


def test_a_floor_that_was_all_trained_on_is_none(finished, fromnoise):
    words = ("--generated", "run", "--reference", "digits:heldout", "--train", "digits:val", "--json", "-")
    report = json.loads(fromnoise("evaluate", *words, cwd=finished).stdout)
    assert report["metrics"]["fid"]["floor"] is None
    assert any(note.startswith("no floor") for note in report["notes"])


def test_an_export_is_true_to_the_byte_and_reads_back_with_its_classes(fromnoise, tmp_path):
    fromnoise("data", "export", "digits:heldout", "out", "--n", "200", "--by-class", cwd=tmp_path)
    back, real = folder.load(tmp_path / "out"), digits.load("heldout").subset(200, 0)

    def labelled(images):
        return {(image.tobytes(), int(k)) for image, k in zip(images.images.numpy(), images.labels, strict=True)}

    assert back.classes == 10
    assert labelled(back) == labelled(real)


@pytest.mark.slow
def test_the_mnist_test_set_is_exported_whole(fromnoise, mnist_root, tmp_path):
    fromnoise("data", "export", "mnist:test", "real", "--n", "10000", cwd=tmp_path)
    real = idx.load("mnist", "test", mnist_root).images
    assert len(list((tmp_path / "real").iterdir())) == 10000
    for k in (0, 4321, 9999):
        with Image.open(tmp_path / "real" / f"{k:06d}.png") as image:
            assert np.array_equal(np.asarray(image), real[k, 0].numpy())


@pytest.mark.parametrize(("words", "message"), [
    (("--generated", "nowhere", "--reference", "digits:heldout"), "neither a data set"),
    (("--generated", "empty", "--reference", "digits:heldout"), "holds no images"),
    (("--generated", "bad", "--reference", "digits:heldout"), "cannot be read as an image"),
    (("--generated", "mixed", "--reference", "digits:heldout"), "1.png is 9×8, but 0.png is 8×8; make them"),
    (("--generated", "deep", "--reference", "digits:heldout"), "mixes grey of more than 8"),
    (("--generated", "complex.npz", "--reference", "digits:heldout"), "complex128 (60, 8, 8); images must be numbers"),
    (("--generated", "digits:val", "--reference", "empty"), "holds no images"),
    (("--generated", "digits:val", "--reference", "digits:heldout", "--train", "bad"), "cannot be read as an image"),
    (("--generated", "digits:val", "--reference", "digits:heldout", "--floor", "deep"), "mixes grey of more than 8"),
    (("--generated", "mine.pt", "--reference", "digits:heldout"), "mine.pt is a pickle"),
    (("--generated", "digits:val", "--reference", "mine.pkl"), "found = pickle.load(open(old, 'rb'))"),
    (("--generated", "digits:test", "--reference", "digits:heldout"), "there is no part 'test'"),
    (("--generated", "digits:val", "--reference", "digits:heldout", "--n", "49"), "needs at least 50"),
    (("--generated", "digits:val", "--reference", "digits:heldout", "--n", "4000"), "cannot take 4000"),
    (("--generated", "digits:val", "--reference", "digits:heldout", "--features", "clip"), "choose one of: auto"),
    (("--generated", "digits:val", "--reference", "digits:heldout", "--weights", "x"), "not auto"),
    (("--generated", "digits:val", "--reference", "digits:val", "--features", "inception", "--weights", "x"), "x can"),
    (("--generated", "digits:val", "--reference", "mnist:test"), "put its four IDX files"),
    (("--generated", "digits:val"), "name the images to compare with --generated and --reference, or a report"),
    (("--again", "nowhere.json"), "nowhere.json cannot be read"),
    (("--again", "s.json", "--n", "60", "--label-by", "folder"), "scores as s.json says: leave out --n, --label-by"),
])  # fmt: skip
def test_nonsense_is_one_line_exit_code_2_and_writes_nothing(fromnoise, tmp_path, words, message):
    for name in ("empty", "bad", "mixed", "deep"):
        (tmp_path / name).mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"not a picture")
    for k in range(2):
        Image.fromarray(np.zeros((8 + k, 8), dtype=np.uint8)).save(tmp_path / "mixed" / f"{k}.png")
    for k, depth in enumerate((np.uint8, np.uint16)):
        Image.fromarray(np.zeros((8, 8), depth)).save(tmp_path / "deep" / f"{k}.png")
    np.savez(tmp_path / "complex.npz", np.zeros((60, 8, 8), complex))
    for name in ("mine.pt", "mine.pkl"):
        (tmp_path / name).write_bytes(b"whatever")
    offline = {"FROMNOISE_DATA": "empty", "http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    refused = fromnoise("evaluate", *words, "--json", "out.json", cwd=tmp_path, code=2, environment=offline)
    assert message in refused.stderr
    assert refused.stderr.strip().splitlines()[-1].startswith("fromnoise: ")
    assert not (tmp_path / "out.json").exists()


def test_features_that_are_not_finite_are_refused(fromnoise, tmp_path, monkeypatch):
    from fromnoise.evaluation import features
    from fromnoise.evaluation.extractor import Features

    broken = Features("pixels", 0, "", lambda images: images.flatten(1) / 0.0)
    monkeypatch.setattr(features, "pixels", lambda: broken)
    words = ("--generated", "digits:val", "--reference", "digits:heldout", "--features", "pixels", "--json", "out.json")
    refused = fromnoise("evaluate", *words, cwd=tmp_path, code=2)
    assert refused.stderr == "fromnoise: pixels: some features are not finite\n"
    assert not list(tmp_path.iterdir())


def test_images_of_another_size_and_colour_are_scored_and_the_report_tells_how(fromnoise, tmp_path):
    random = np.random.default_rng(0)
    np.savez(tmp_path / "mine.npz", random.integers(0, 255, (60, 16, 20, 3), dtype=np.uint8))
    arrays.save(tmp_path / "train.npz", digits.load("train").subset(100, 0).images)
    words = ("--generated", "mine.npz", "--reference", "digits:heldout", "--train", "train.npz", "--json", "-")
    report = json.loads(fromnoise("evaluate", *words, cwd=tmp_path).stdout)
    assert report["copies"]["verdict"].startswith("no sign of copying: at most ")
    told = "the generated images are coloured and the reference is grey: compared by luminance"
    assert told in report["hidden"]
    protocol = report["protocol"]
    for role in ("generated", "reference", "floor", "train"):
        assert protocol[role]["shape"] == [1, 16, 20]
    assert protocol["features"]["colour"] == "luminance"
    assert protocol["resizing"].startswith("bilinear, antialiased")


def test_the_doctor_looks(fromnoise, tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "ROWS", 4)
    monkeypatch.setattr(doctor, "SECONDS", 0.1)
    shown = fromnoise("doctor", "--device", "cpu", cwd=tmp_path).stdout
    for word in ("device", "compiler", "digits", "mnist", "precision", "images/s", "TFLOP/s"):
        assert word in shown


def test_programs_get_exit_code_3_and_the_report_all_the_same(fromnoise, tmp_path):
    train = digits.load("train").subset(300, 0).images
    for name, images in (("train", train), ("copies", train[:60]), ("val", digits.load("val").images)):
        arrays.save(tmp_path / f"{name}.npz", images)
    words = ("evaluate", "--reference", "digits:heldout", "--train", "train.npz")
    copied = (*words, "--generated", "copies.npz", "--json", "score.json")
    failed = fromnoise(*copied, "--fail-on", "copying", cwd=tmp_path, code=3)
    assert failed.stderr.splitlines()[-1].startswith("fromnoise: copying: ")
    assert json.loads((tmp_path / "score.json").read_text())["copies"]["verdict"].startswith("copying")
    fresh = (*words, "--generated", "val.npz", "--fail-on", "copying")
    assert fromnoise(*fresh, cwd=tmp_path).returncode == 0
    shared = ("evaluate", "--generated", "copies.npz", "--reference", "copies.npz")
    failed = fromnoise(*shared, "--fail-on", "repeats,overlap", cwd=tmp_path, code=3)
    assert failed.stderr.splitlines()[-1].startswith("fromnoise: overlap: 60 of the 60 generated images are in ")
    refused = fromnoise(*words, "--generated", "val.npz", "--fail-on", "copies", cwd=tmp_path, code=2)
    assert "unknown verdict 'copies'" in refused.stderr


def test_a_score_is_made_again_from_its_report(fromnoise, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (3, 60, 6, 6), np.uint8)
    for name, each in zip(("mine", "real", "other"), images, strict=True):
        np.save(tmp_path / f"{name}.npy", each)
    words = ("--generated", "mine.npy", "--reference", "real.npy", "--features", "pixels")
    fromnoise("evaluate", *words, "--json", "score.json", cwd=tmp_path)
    done = fromnoise("evaluate", "--again", "score.json", "--json", "-", cwd=tmp_path)
    assert "values are equal" in done.stderr
    report = json.loads((tmp_path / "score.json").read_text())
    assert json.loads(done.stdout)["metrics"] == report["metrics"]
    report["metrics"]["fid"]["value"] *= 2
    (tmp_path / "score.json").write_text(json.dumps(report))
    differs = fromnoise("evaluate", "--again", "score.json", cwd=tmp_path, code=3)
    assert "values differ: metrics.fid.value" in differs.stderr
    changed = fromnoise("evaluate", "--again", "score.json", "--reference", "other.npy", cwd=tmp_path, code=2)
    assert "other.npy has changed" in changed.stderr


def test_a_runs_score_is_made_again_from_its_folder(finished, fromnoise):
    done = fromnoise("evaluate", "--again", "run/report.json", cwd=finished)
    assert "values are equal" in done.stderr


def test_published_statistics_are_enough_for_an_fid(fromnoise, tmp_path):
    pixels = digits.load("heldout").images[:, 0, 8:20:2, 8:20:2].flatten(1).double()
    np.savez(tmp_path / "stats.npz", mu=pixels.mean(0).numpy(), sigma=pixels.T.cov().numpy())
    np.save(tmp_path / "mine.npy", digits.load("val").images[:90, 0, 8:20:2, 8:20:2].numpy())
    words = ("--generated", "mine.npy", "--reference", "stats.npz", "--features", "pixels")
    shown = fromnoise("evaluate", *words, "--html", "page.html", "--json", "score.json", cwd=tmp_path).stdout
    assert "an FID and nothing else" in shown
    assert (tmp_path / "page.html").stat().st_size > 1000
    report = json.loads((tmp_path / "score.json").read_text())
    assert list(report["metrics"]) == ["fid"]
    assert fromnoise("evaluate", "--again", "score.json", cwd=tmp_path).returncode == 0


def test_a_floor_of_images_in_groups_is_of_all_but_the_reference(fromnoise, tmp_path):
    images = digits.load("train").images[:600]
    arrays.save(tmp_path / "real.npz", torch.cat([images, images[::3], images[::3] // 2]))
    arrays.save(tmp_path / "mine.npz", digits.load("val").images[:90])
    words = ("--generated", "mine.npz", "--reference", "real.npz:heldout", "--json", "score.json")
    shown = fromnoise("evaluate", *words, cwd=tmp_path).stdout
    report = json.loads((tmp_path / "score.json").read_text())
    floor, reference = (report["protocol"][role] for role in ("floor", "reference"))
    assert floor["name"] == "real.npz:val and real.npz:train"
    assert (floor["n"] + reference["n"], floor["groups"] + reference["groups"]) == (1000, 600)
    beside = report["metrics"]["fid"]["floor"]
    assert (beside["n"], beside["subsets"]) == (90, floor["n"] // 90)
    assert report["excess"]["low"] < 0 < report["excess"]["high"]
    assert report["overlaps"]["floor_in_train"] is None
    assert "real images outside the reference" in " ".join(shown.split())
    assert "note: the real images come in groups" in shown
    again = fromnoise("evaluate", "--again", "score.json", cwd=tmp_path)
    assert "values are equal" in again.stderr


def test_flags_say_how_sets_are_read_and_a_report_remembers(fromnoise, tmp_path):
    for k in range(600):
        place = tmp_path / "wide" / f"{'ab'[k % 2]}{k // 3}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (6, 9), np.uint8)).save(place / f"{k}.png")
    np.savez(tmp_path / "mine.npz", arr_0=np.random.default_rng(0).integers(0, 256, (60, 6, 6, 1), np.uint8))
    words = ("--generated", "mine.npz", "--reference", "wide:heldout", "--features", "pixels")
    reading = ("--fit", "crop", "--alpha", "white", "--group-by", r"(\d+)/", "--label-by", "^(.)")
    fromnoise("evaluate", *words, *reading, "--json", "score.json", cwd=tmp_path)
    report = json.loads((tmp_path / "score.json").read_text())
    asked = {"fit": "crop", "alpha": "white", "group_by": r"(\d+)/", "label_by": "^(.)"}
    assert {name: report["request"][name] for name in asked} == asked
    assert [report["protocol"][role]["n"] for role in ("reference", "floor")] == [60, 540]
    assert "scored again: all" in fromnoise("evaluate", "--again", "score.json", cwd=tmp_path).stderr
    (tmp_path / "score.json").write_text(json.dumps(report | {"request": report["request"] | {"fit": "shrink"}}))
    refused = fromnoise("evaluate", "--again", "score.json", cwd=tmp_path, code=2).stderr
    assert "score.json is not a complete report: " in refused


def test_a_run_scored_against_other_classes_is_scored_again_as_it_was(fromnoise, blobs_of, tmp_path):
    for name, classes in (("pets", ("cat", "dog")), ("zoo", ("ant", "cat"))):
        saving.save(tmp_path / name, dataclasses.replace(blobs_of(n=240, classes=2), class_names=classes))
    words = ("--preset", "tiny", "--steps", "2", "--data", "pets", "--reference", "zoo", "--n", "50", "--out", "run")
    fromnoise("run", *words, "--features", "pixels", cwd=tmp_path)
    notes = json.loads((tmp_path / "run" / "report.json").read_text())["notes"]
    assert sum(note.startswith("labels were ignored") for note in notes) == 2
    fromnoise("evaluate", "--again", "run/report.json", cwd=tmp_path)  # exit code 3 if it differed
