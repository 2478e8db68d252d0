"""fromnoise from Python, as its users write it."""

import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from PIL import Image

import fromnoise
from fromnoise import threads
from fromnoise.data import arrays, digits
from fromnoise.evaluation.extractor import Features
from fromnoise.faces.cli import main
from fromnoise.generation.sampling import sample

pytestmark = pytest.mark.usefixtures("few_digits")
WORDS = ["--data", "digits", "--preset", "tiny", "--steps", "3", "--n", "60", "--device", "cpu"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "tiny"
    return fromnoise.train("digits", preset="tiny", steps=3, n=60, out=out, device="cpu", quiet=True)


def test_importing_it_imports_no_pytorch():
    code = "import sys, fromnoise; dir(fromnoise); print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        fromnoise.trian  # noqa: B018
    assert set(fromnoise.__all__) <= set(dir(fromnoise))
    assert all(getattr(fromnoise, name) for name in fromnoise.__all__)


def test_a_run_is_short_to_look_at_and_may_be_pickled(run):
    assert repr(run) == f"<Run {run.folder}: 1×16×16, 10 classes>"
    run.evaluate()
    again = pickle.loads(pickle.dumps(run))
    assert np.array_equal(again.sample(2, steps=2), run.sample(2, steps=2))


def test_it_goes_together_with_a_program_that_uses_accelerate(packaged, tmp_path):
    """Accelerate keeps one precision and one device for a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        packaged.sample(2, steps=2)
        assert Accelerator(cpu=True, mixed_precision="bf16").mixed_precision == "bf16"
        packaged.sample(2, steps=2)
        fromnoise.train("digits", preset="tiny", steps=1, out=tmp_path / "run", quiet=True)
        assert Accelerator(cpu=True, mixed_precision="bf16").mixed_precision == "bf16"
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def test_pytorchs_settings_change_nothing_and_stay(packaged, tmp_path):
    plain = packaged.vary(packaged.sample(1, steps=2), seed=1)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode(), torch.autocast("cpu"):
            assert np.array_equal(packaged.vary(packaged.sample(1, steps=2), seed=1), plain)
            fromnoise.train("digits", preset="tiny", steps=1, out=tmp_path / "run", quiet=True)
            assert torch.is_inference_mode_enabled()
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_threads_do_not_take_each_others_settings_away(packaged, tmp_path):
    torch.set_default_dtype(torch.float64)
    try:
        with ThreadPoolExecutor(3) as pool:
            trainings = [pool.submit(train_tiny, tmp_path / str(k), steps) for k, steps in enumerate((40, 4))]
            sampled = pool.submit(packaged.sample, 64)
            assert [training.result().folder.name for training in trainings] == ["0", "1"]
            assert sampled.result().shape == (64, 32, 32, 1)
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def train_tiny(out, steps):
    return fromnoise.train("digits", preset="tiny", steps=steps, out=out, device="cpu", quiet=True)


def test_pytorchs_random_numbers_go_on_as_they_would(tmp_path):
    torch.manual_seed(7)
    expected = torch.randn(3)
    torch.manual_seed(7)
    fromnoise.train("digits", preset="tiny", steps=2, dropout=0.1, out=tmp_path / "run", quiet=True)
    fromnoise.load("digits", quiet=True)
    assert torch.equal(torch.randn(3), expected)


def test_sentences_name_arguments_as_python_does(tmp_path, capsys):
    fromnoise.train("digits", preset="tiny", steps=1, levels="uniform", lognormal=(0, 2), out=tmp_path / "run")
    said = capsys.readouterr().err
    assert "lognormal has no effect" in said
    assert "--lognormal" not in said


def test_images_are_those_of_the_command_line(packaged, tmp_path, capsys):
    assert main(["sample", "digits", "--n", "3", "--steps", "4", "--seed", "5", "--out", str(tmp_path / "a.npz")]) == 0
    theirs = arrays.load(tmp_path / "a.npz")
    capsys.readouterr()
    images = packaged.sample(3, seed=5, steps=4)
    assert np.array_equal(images, theirs.images.permute(0, 2, 3, 1).numpy())
    assert np.array_equal(images.labels, theirs.labels.numpy())
    assert capsys.readouterr().out == ""


def test_a_number_of_steps_may_be_numpys(packaged):
    assert np.array_equal(packaged.sample(1, steps=np.int64(2)), packaged.sample(1, steps=2))


@pytest.mark.parametrize("interval", [[-3, 2], np.array([-3.0, 2.0]), torch.tensor([-3.0, 2.0], requires_grad=True)])
def test_an_interval_is_any_two_numbers(packaged, interval):
    same = packaged.sample(2, steps=2, guidance=2.0, guidance_interval=(-3, 2))
    assert np.array_equal(packaged.sample(2, steps=2, guidance=2.0, guidance_interval=interval), same)


@pytest.mark.parametrize(
    "wrong",
    [{"sampling_steps": "5"}, {"spacing": 3}, {"guidance_interval": ("a", "b")}, {"guidance_interval": (1, (2, 3))}],
)
def test_settings_of_another_type_are_refused(packaged, wrong):
    with pytest.raises(fromnoise.UserError, match=next(iter(wrong))):
        packaged.sample(1, **wrong)


def test_likelihoods_are_those_of_the_command_line(packaged, tmp_path, capsys):
    images = packaged.sample(5, steps=2)
    arrays.save(tmp_path / "five.npz", torch.from_numpy(np.array(images)).permute(0, 3, 1, 2))
    assert main(["likelihood", "digits", str(tmp_path / "five.npz"), "--levels", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["results"][0]
    for given in (images, np.array(images[..., 0]), tmp_path / "five.npz"):
        found = packaged.likelihood(given, levels=3)
        assert isinstance(found, fromnoise.Likelihoods)
        for name in ("bits", "standard_error", "prior", "steps", "decoder"):
            assert getattr(found, name).tolist() == pytest.approx([row[name] for row in told["images"]], rel=1e-5)
        assert found.mean == pytest.approx(told["mean"]["bits"])
        assert found.error == pytest.approx(told["mean"]["standard_error"])
    some = packaged.likelihood(tmp_path / "five.npz", n=2, levels=3)
    rows = [found.names.index(name) for name in some.names]
    assert len(rows) == 2
    assert some.bits == pytest.approx(found.bits[rows], rel=1e-5)
    flow = packaged.likelihood(images[:1], method="flow")
    assert flow.prior is None
    assert np.isnan([*flow.standard_error, flow.error]).all()
    assert capsys.readouterr().out == ""


def test_images_without_a_likelihood_are_refused(packaged, tmp_path):
    images = packaged.sample(2, steps=2)
    Image.fromarray(np.array(images[0, ..., 0])).save(tmp_path / "one.png")
    for given, how, message in (
        (images[:, :16], {}, r"^the model is for images of 1×32×32 \(channels, height, width\), not 1×16×32"),
        (images / 255, {}, "^images: the training images' values are bytes, and these are from 0 to 0"),
        (images, {"levels": 1}, "^levels must be from 2 to"),
        (images, {"levels": 4, "method": "flow"}, "^levels is for the bound"),
        (images, {"levels": "some"}, "levels must be a whole number or None or one of all, not 'some'"),
        (images, {"label": 10}, "^label 10"),
        (images, {"n": 3}, "^images has 2 images; cannot take 3"),
        (tmp_path / "one.png", {"n": 1}, "^n is for folders"),
        (tmp_path / "none", {}, "is neither a data set"),
    ):
        with pytest.raises(fromnoise.UserError, match=message):
            packaged.likelihood(given, **how)


def test_likelihoods_go_by_the_range_of_the_training_images(tmp_path):
    values = np.random.default_rng(0).uniform(-2, 3, (40, 16, 16, 2))
    np.savez(tmp_path / "bands.npz", images=values)
    run = fromnoise.train(
        tmp_path / "bands.npz", preset="tiny", steps=1, out=tmp_path / "run", device="cpu", quiet=True
    )
    least, most = values.min(), values.max()
    by_hand = np.round((values[:3] / 2 - least) / (most - least) * 255).astype(np.uint8)
    assert run.likelihood(values[:3] / 2, levels=2).bits.tolist() == run.likelihood(by_hand, levels=2).bits.tolist()


def test_what_a_model_cannot_do_is_refused(packaged):
    with pytest.raises(fromnoise.UserError, match=r"^label 10"):
        packaged.sample(1, label=10)
    with pytest.raises(fromnoise.UserError, match="precision must be one of auto, fp32, bf16, fp16, not 'half'"):
        packaged.sample(1, precision="half")
    with pytest.raises(fromnoise.UserError, match="neither a run folder"):
        fromnoise.load("nowhere")


def test_too_few_images_in_memory_are_named_once():
    with pytest.raises(fromnoise.UserError, match=r"^the generated set has 10 images; a score needs at least 50$"):
        fromnoise.evaluate(np.zeros((10, 28, 28), np.uint8), "digits:heldout", quiet=True)


def test_arrays_may_lie_in_files(packaged, tmp_path):
    images = packaged.sample(2, steps=2)
    np.save(tmp_path / "images.npy", images)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    assert packaged.likelihood(images[0], levels=2).bits.shape == (1,)
    assert packaged.likelihood(mapped, levels=2).bits.tolist() == packaged.likelihood(images, levels=2).bits.tolist()


def test_an_unknown_way_to_read_images_is_refused():
    for how in ({"fit": "squeeze"}, {"alpha": "grey"}):
        with pytest.raises(fromnoise.UserError, match=r"(fit|alpha) must be None or one of (stretch|keep), .*, not '"):
            fromnoise.evaluate(np.zeros((60, 28, 28), np.uint8), "digits:heldout", quiet=True, **how)


def test_a_training_on_images_in_memory_is_told_to_save_them(images):
    with pytest.raises(fromnoise.UserError, match=r"numpy.savez\('mine.npz', images=images, labels=labels\)"):
        fromnoise.train(images, preset="tiny", quiet=True)


def test_a_training_is_that_of_the_command_line(run, tmp_path, capsys):
    assert main(["train", *WORDS, "--out", str(tmp_path / "tiny")]) == 0
    capsys.readouterr()
    for ours, theirs in zip(
        run.model.network.parameters(), fromnoise.load(tmp_path / "tiny").model.network.parameters(), strict=True
    ):
        assert (ours == theirs).all()
    again = fromnoise.train("digits", preset="tiny", steps=3, n=60, out=run.folder, device="cpu")
    assert again.config == run.config
    assert run.config.training.steps == 3
    told = capsys.readouterr()
    assert told.out == ""


def test_a_report_is_read_in_words():
    noise = np.random.default_rng(0).integers(0, 256, (60, 28, 28), np.uint8)
    card = fromnoise.evaluate(noise, "digits:heldout", quiet=True)
    assert repr(card).startswith("<Report of generated: FID ")
    assert len(repr(card)) < 100
    first, *others = fromnoise.verdicts(card)
    assert (first.question, first.mark) == ("close to real images", "!")
    assert isinstance(first, fromnoise.Verdict)
    assert str(first).startswith("! close to real images: ")
    (copies,) = [each for each in others if each.question == "copies"]
    assert copies.words == "not tested, because the training images are not known (train)"


def test_a_busy_machine_leaves_the_callers_threads_as_they_were(packaged, monkeypatch):
    def draw_beside_others(*args):
        threads.shared().set(1)
        return sample(*args)

    monkeypatch.setattr("fromnoise.experiment.sample.sample", draw_beside_others)
    torch.set_num_threads(2)
    packaged.sample(1, steps=1)
    assert torch.get_num_threads() == 2


def test_settings_go_by_the_names_of_flags(tmp_path):
    with pytest.raises(fromnoise.UserError, match="unknown setting 'minuets'"):
        fromnoise.train("digits", minuets=10, out=tmp_path / "run")
    with pytest.raises(fromnoise.UserError, match="batch must be at least 1"):
        fromnoise.train("digits", batch=0, out=tmp_path / "run")
    with pytest.raises(fromnoise.UserError, match="give one budget"):
        fromnoise.train("digits", minutes=1, steps=1, out=tmp_path / "run")
    with pytest.raises(fromnoise.UserError, match="nearest is size"):
        fromnoise.train("digits", size=30, channels=[16, 32], out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_is_evaluated_as_by_the_command_line(run, capsys):
    assert run.report is None
    card = run.evaluate()
    assert run.report is None
    assert card.fid.n == 60
    assert card.fid.value > card.fid.floor.value
    assert card.copies.copying is not True
    assert card.protocol.reference.name == "digits:heldout"
    assert capsys.readouterr().out == ""
    assert main(["run", *WORDS, "--out", str(run.folder)]) == 0
    assert run.report.metrics == card.metrics
    assert run.report.copies == card.copies
    assert run.report.overfitting == card.overfitting
    assert run.report.likelihood == card.likelihood


def test_a_run_keeps_its_extractors(run, monkeypatch):
    made = []
    mean = Features("mean", 1, "", lambda images: images.double().mean((1, 2, 3))[:, None])
    again = fromnoise.load(run.folder, device="cpu", quiet=True)
    monkeypatch.setattr("fromnoise.api.extractor_of", lambda *args, **how: made.append("score's") or mean)
    monkeypatch.setattr("fromnoise.api.choosing_features", lambda device: made.append("choosing") or mean)
    reports = [again.evaluate(n=50, features="pixels") for _ in range(2)]
    assert made == ["score's", "choosing"]
    assert reports[0] == reports[1]


def test_training_and_evaluation_say_what_they_read(tmp_path, capsys):
    arrays.save(tmp_path / "some.npz", digits.load("train").images[:260])
    run = fromnoise.train(tmp_path / "some.npz", preset="tiny", steps=1, out=tmp_path / "run", device="cpu")
    assert capsys.readouterr().err.count("260 images, no classes") == 1
    run.evaluate(n=50)
    assert capsys.readouterr().err.count("260 images, no classes") == 1


def test_anybodys_images_are_evaluated():
    train, heldout = (digits.load(part).subset(200, 0) for part in ("train", "heldout"))
    copies = train.images[:80].permute(0, 2, 3, 1).numpy()
    card = fromnoise.evaluate(copies, heldout, train=train, quiet=True)
    assert card.copies.verdict.startswith("copying")
    assert card.copies.identical == 80
    assert card.protocol.generated.shape == (1, 28, 28)
    grey = heldout.images[:60, 0].numpy()
    bare = fromnoise.evaluate(grey, heldout, n=55, quiet=True)
    assert bare.fid.n == 55
    assert bare.copies is None
    assert bare.fid.floor is None


def test_named_sets_are_read_as_they_are_asked_to_be(tmp_path):
    clear = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 4), np.uint8)
    np.savez(tmp_path / "clear.npz", images=clear)
    card = fromnoise.evaluate(clear[..., :3], str(tmp_path / "clear.npz"), alpha="white", quiet=True)
    assert card.protocol.reference.shape == (3, 8, 8)
    assert not any("transparent" in note for note in card.notes)


@pytest.mark.parametrize(
    "images", [np.zeros((60, 8, 8), float), np.zeros((60, 8), np.uint8), np.zeros((60, 8, 8, 2), np.uint8)]
)
def test_arrays_of_another_form_are_refused(images):
    with pytest.raises(fromnoise.UserError, match=r"N×H×W|2 channels|values from"):
        fromnoise.evaluate(images, "digits:heldout", quiet=True)


def test_sampling_takes_what_the_command_line_takes(packaged, tmp_path, capsys):
    how = ["--guidance-interval", "-3", "2", "--spacing", "karras", "--steps", "3", "--sampler", "heun"]
    assert main(["sample", "digits", "--per-class", "1", *how, "--out", str(tmp_path / "a.npz")]) == 0
    settings = {"guidance_interval": (-3.0, 2.0), "spacing": "karras", "steps": 3, "sampler": "heun"}
    images = packaged.sample(per_class=1, **settings)
    theirs = arrays.load(tmp_path / "a.npz")
    assert np.array_equal(images, theirs.images.permute(0, 2, 3, 1).numpy())
    assert list(images.labels) == list(range(10))
    with pytest.raises(fromnoise.UserError, match="already says how many"):
        packaged.sample(8, per_class=1)
    with pytest.raises(fromnoise.UserError, match=r"needs a run folder.*there is none"):
        packaged.sample(8, reject_copies=True)
    with pytest.raises(fromnoise.UserError, match="unknown sampler settings: colour"):
        packaged.sample(8, colour=None)
    with pytest.raises(fromnoise.UserError, match="guidance_interval takes two λ, not 3"):
        packaged.sample(8, guidance_interval=3)
    assert np.array_equal(packaged.sample(2, sampling_steps=3), packaged.sample(2, steps=3))


def test_two_words_for_one_setting_are_refused(packaged):
    with pytest.raises(fromnoise.UserError, match="steps and sampling_steps are the same"):
        packaged.sample(1, steps=4, sampling_steps=5)


def test_images_in_groups_may_move(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (600, 16, 16), np.uint8)
    np.savez(tmp_path / "old.npz", images=pixels, groups=np.arange(600) // 2)
    how = {"preset": "tiny", "steps": 1, "device": "cpu", "quiet": True, "out": tmp_path / "run"}
    fromnoise.train(tmp_path / "old.npz", **how)
    (tmp_path / "old.npz").rename(tmp_path / "new.npz")
    fromnoise.train(tmp_path / "new.npz", **how)
    assert fromnoise.load(tmp_path / "run", quiet=True).evaluate(n=50).excess is not None


def test_a_checkpoint_is_scored_by_its_runs_images(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (600, 16, 16), np.uint8)
    np.savez(tmp_path / "some.npz", images=pixels)
    how = {"preset": "tiny", "steps": 1, "n": 50, "device": "cpu", "quiet": True}
    run = fromnoise.train(tmp_path / "some.npz", out=tmp_path / "run", **how)
    assert not any("weights" in note for note in run.evaluate().notes)
    other = fromnoise.train(tmp_path / "some.npz", out=tmp_path / "other", init=run.folder, seed=1, **how)
    assert any("starting weights" in note for note in other.evaluate().notes)
    np.savez(tmp_path / "some.npz", images=pixels[:580])
    checkpoint = fromnoise.load(tmp_path / "run" / "checkpoints" / "000001", quiet=True)
    for each in (run, checkpoint):
        with pytest.raises(fromnoise.UserError, match="have changed"):
            each.evaluate()
