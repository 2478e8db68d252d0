import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fromnoise import api, rng
from fromnoise.data import arrays
from fromnoise.generation.pretrained import packaged
from fromnoise.training.run_folder import RunFolder

pytestmark = pytest.mark.usefixtures("few_digits")
TRAIN = ("train", "--preset", "tiny", "--steps", "1", "--out", "fine")
# As usual, with little to learn and nothing to measure.
USUAL = ("train", "--steps", "1", "--device", "cpu", "--batch", "4", "--precision", "fp32", "--compile", "off")


def test_a_run_starts_from_another_and_goes_on_without_it(finished, fromnoise, tmp_path):
    shutil.copytree(finished / "run", tmp_path / "first")
    words = (*TRAIN, "--init", "first")
    assert "starting from the weights of first\n" in fromnoise(*words, cwd=tmp_path).stderr
    about = json.loads((tmp_path / "fine" / "config.json").read_text())
    assert about["config"]["training"]["init"] == "first"
    assert len(about["init"]["sha256"]) == 64
    shutil.rmtree(tmp_path / "first")
    assert "nothing to do" in fromnoise(*words, cwd=tmp_path).stderr
    assert "init: auto, first" in fromnoise(*TRAIN, cwd=tmp_path, code=2).stderr


def test_a_start_that_is_not_there_or_does_not_fit_is_one_line(finished, fromnoise, tmp_path):
    refused = fromnoise(*TRAIN, "--init", "nowhere", cwd=tmp_path, code=2)
    assert "nowhere is neither a run folder" in refused.stderr
    words = (*TRAIN, "--init", finished / "run", "--stem", "1", "--channels", "16", "24")
    refused = fromnoise(*words, cwd=tmp_path, code=2)
    assert "(this run, that model): channels: 16 24, 16 32; stem: 1, 2; set --channels 16 32 --stem 2" in refused.stderr
    assert not (tmp_path / "fine").exists()


@pytest.fixture
def starts(fromnoise, tmp_path):
    """Train from the run `first`, learning nothing, twice; what the first time said, and the model's tensors."""

    def run(first, *words):
        words = (*TRAIN, "--init", first, "--lr", "1e-12", *words)
        said = fromnoise(*words, cwd=tmp_path).stderr
        assert "nothing to do" in fromnoise(*words, cwd=tmp_path).stderr
        fromnoise("sample", "fine", "--n", "2", "--out", "two.npz", cwd=tmp_path)
        return said, tensors(tmp_path / "fine")

    return run


def tensors(run):
    return load_file(RunFolder(run).model_file())


def assert_kept(found, source, name):
    torch.testing.assert_close(found[name], source[name], rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--size", "24x16"), "run\n"),
        (("--no-labels",), "run; adapted: classes (10 classes → 4 clusters)\n"),
        (("--augment", "0.3"), "run; adapted: --augment (only here)\n"),
    ],
)
def test_another_size_other_classes_and_changes_start_from_what_fits(finished, starts, words, said):
    told, found = starts(finished / "run", *words)
    assert f"starting from the weights of {finished / said}" in told
    source = tensors(finished / "run")
    for name in source.keys() - {"embedding.label.weight", "embedding.level.bias"}:
        assert_kept(found, source, name)


def test_a_model_that_knows_changes_starts_one_that_does_not(fromnoise, starts, tmp_path):
    fromnoise(*TRAIN[:-1], "first", "--augment", "0.5", cwd=tmp_path)
    told, found = starts("first")
    assert "starting from the weights of first\n" in told
    source = tensors(tmp_path / "first")
    assert source.keys() - found.keys() == {"embedding.change.weight"}
    for name in found:
        assert_kept(found, source, name)


def test_images_in_colour_start_from_transparent_ones(fromnoise, starts, tmp_path):
    for name, channels in (("rgba.npz", 4), ("rgb.npz", 3)):
        pixels = torch.from_numpy(rng.generator(0, name).integers(0, 256, (80, channels, 16, 16), np.uint8))
        arrays.save(tmp_path / name, pixels, None if channels == 4 else torch.arange(80) % 4)
    fromnoise(*TRAIN[:-1], "first", "--data", "rgba.npz", "--m", "None", cwd=tmp_path)
    told, found = starts("first", "--data", "rgb.npz", "--m", "None")
    assert "adapted: classes (no classes → 4 classes), channels (RGBA → RGB)\n" in told
    source = tensors(tmp_path / "first")
    colours, alpha = source["first.weight"][:, :12], source["first.weight"][:, 12:]
    expected = colours + alpha.repeat(1, 3, 1, 1) / 3
    torch.testing.assert_close(found["first.weight"], expected, rtol=0, atol=1e-7)
    torch.testing.assert_close(found["last.weight"], source["last.weight"][:12], rtol=0, atol=1e-9)


def test_images_in_colour_start_from_clip_art_unless_told_otherwise(fromnoise, tmp_path):
    pixels = torch.from_numpy(rng.generator(0, "colour").integers(0, 256, (40, 3, 16, 16), np.uint8))
    arrays.save(tmp_path / "rgb.npz", pixels, None)
    fast = (*USUAL, "--data", "rgb.npz", "--size", "16", "--lr", "1e-12")
    said = fromnoise(*fast, "--out", "usual", cwd=tmp_path).stderr
    assert "starting from the weights of clipart; adapted: classes" in said
    assert "; --init none starts afresh\n" in said
    assert len(json.loads((tmp_path / "usual" / "config.json").read_text())["init"]["sha256"]) == 64
    assert "nothing to do" in fromnoise(*fast, "--out", "usual", cwd=tmp_path).stderr
    for words in (("--init", "none"), ("--channels", "48", "96")):
        assert "starting from" not in fromnoise(*fast, *words, "--out", words[1], cwd=tmp_path).stderr
    large = fromnoise(*fast, "--size", "48", "--out", "large", cwd=tmp_path).stderr
    assert "starting from the weights of clipart64; adapted: " in large
    found, afresh = tensors(tmp_path / "usual"), tensors(tmp_path / "none")
    source = load_file(packaged("clipart"))
    name = "embedding.out.weight"
    torch.testing.assert_close(found[name], source[name].float(), rtol=0, atol=1e-6)
    assert (afresh[name] - source[name]).abs().max() > 1e-3


def test_the_report_says_that_the_training_began_from_other_weights(finished, fromnoise, tmp_path):
    words = ("run", "--preset", "tiny", "--steps", "1", "--n", "50", "--out", "run")
    fromnoise(*words, "--init", finished / "run", cwd=tmp_path)
    notes = json.loads((tmp_path / "run" / "report.json").read_text())["notes"]
    assert any(f"started from the weights of {finished / 'run'}, which" in note for note in notes)
    notes = json.loads((finished / "run" / "report.json").read_text())["notes"]
    assert not any("started from" in note for note in notes)


def test_grey_images_start_afresh(fromnoise, tmp_path):
    said = fromnoise(*USUAL, "--m", "40", "--out", "grey", cwd=tmp_path).stderr
    assert "starting from" not in said


def test_python_starts_from_a_run_too(finished, tmp_path):
    first = finished / "run"
    run = api.train(preset="tiny", steps=1, size=24, init=first, out=tmp_path / "fine", device="cpu", quiet=True)
    assert run.config.training.init == str(first)


def test_a_start_from_the_same_data_split_otherwise_is_said(finished, fromnoise, tmp_path):
    """With more images others are held out. Those of digits are always the same."""
    words = ("train", "--preset", "tiny", "--steps", "1")
    assert "warning" not in fromnoise(*words, "--m", "150", "--init", finished / "run", cwd=tmp_path).stderr
    pixels = rng.generator(0, "photos").integers(0, 256, (300, 16, 16), dtype=np.uint8)
    told = "may have been trained on images of photos.npz held out here"
    for count, out in ((280, "first"), (280, "same"), (300, "more")):
        np.savez(tmp_path / "photos.npz", images=pixels[:count])
        init = () if out == "first" else ("--init", "first")
        said = fromnoise(*words, "--m", "1000", "--data", "photos.npz", *init, "--out", out, cwd=tmp_path).stderr
        assert (told in said) == (out == "more")
