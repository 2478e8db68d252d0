import dataclasses
import re
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from fromnoise import tensors
from fromnoise.errors import UserError
from fromnoise.generation.sampling import SampleRequest, sample
from fromnoise.training import plan, probe
from fromnoise.training import step as module
from fromnoise.training.device import accelerator
from fromnoise.training.interrupt import Interrupted
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget
from fromnoise.training.step import Step
from fromnoise.training.validation import Validation


def test_training_lowers_the_loss_and_logs_it_by_quartile_of_noise(train, config_of):
    folder, outcome = train(config_of(training={"steps": 60}))
    records = folder.log.records()
    assert outcome.steps == 60
    assert [record["step"] for record in records] == list(range(3, 61, 3))
    for record in records:
        quartiles = [record[f"loss_q{k}"] for k in range(1, 5)]
        assert record["loss"] == pytest.approx(sum(quartiles) / 4, rel=1e-5)
    assert records[-1]["loss"] < records[0]["loss"] / 1.5
    assert records[-1]["epoch"] == pytest.approx(60 * 16 / 64)


def test_the_model_saved_is_the_averaged_one(train, config_of):
    folder, _ = train(config_of(training={"steps": 10}))
    last = folder.checkpoint(10)
    used, state = load_file(last / "model.safetensors"), load_file(last / "state.safetensors")
    assert any(not torch.equal(used[name], state[f"weights.{name}"]) for name in used)
    folder, _ = train(config_of(training={"steps": 10, "ema": 0.0}), "plain")
    last = folder.checkpoint(10)
    used, state = load_file(last / "model.safetensors"), load_file(last / "state.safetensors")
    assert all(torch.equal(used[name], state[f"weights.{name}"]) for name in used)


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_a_training_in_pieces_ends_with_the_same_bits(train, config_of, optimizer, assert_same):
    config = config_of(training={"steps": 14, "optimizer": optimizer}, network={"dropout": 0.1})
    whole, _ = train(config, "whole")
    for step in (3, 9):
        with pytest.raises(Interrupted):
            train(config, "pieces", stop=step)
    pieces, _ = train(config, "pieces")
    assert_same(whole, pieces)
    exact = [[{k: v for k, v in r.items() if k not in ("seconds", "images_per_second")} for r in folder.log.records()]
             for folder in (whole, pieces)]  # fmt: skip
    assert exact[0] == exact[1]


def test_a_training_on_changed_images_learns_how_they_were_and_draws_without(train, config_of):
    _, outcome = train(config_of(training={"steps": 40, "augment": 0.5}))
    network, drawn = outcome.model.network, sample(outcome.model, SampleRequest(4))
    x, at = torch.zeros(1, 1, 8, 8), torch.zeros(1)
    assert not torch.allclose(network(x, at, change=torch.ones(1, 6)), network(x, at), rtol=0, atol=1e-3)
    torch.nn.init.zeros_(network.embedding.change.weight)
    assert torch.equal(sample(outcome.model, SampleRequest(4)), drawn)


def test_a_finished_training_does_nothing_more(train, config_of):
    folder, _ = train(config_of(training={"steps": 5}))
    before = {path: path.stat().st_mtime_ns for path in folder.checkpoints.rglob("*")}
    _, outcome = train(config_of(training={"steps": 5}))
    assert outcome.already_finished
    assert before == {path: path.stat().st_mtime_ns for path in folder.checkpoints.rglob("*")}


def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_checkpoint(train, config_of):
    config = config_of(training={"steps": 40, "lr": 1e9, "optimizer": "adamw", "clip": None})
    with pytest.raises(UserError, match="no longer finite"):
        train(config, log_every=2, checkpoint_every=1)


def test_the_seed_decides_everything(train, config_of, assert_same):
    one, _ = train(config_of(training={"steps": 5}), "one")
    again, _ = train(config_of(training={"steps": 5}), "again")
    other, _ = train(config_of(training={"steps": 5}, seed=1), "other")
    assert_same(one, again)
    with pytest.raises(AssertionError):
        assert_same(one, other)


@pytest.mark.parametrize("diffusion", [
    {"prediction": "eps", "levels": "uniform", "schedule": "linear", "T": 500},
    {"prediction": "x0"},
])  # fmt: skip
def test_every_kind_of_objective_learns(train, config_of, diffusion):
    folder, _ = train(config_of(diffusion=diffusion, training={"steps": 40}), log_every=5)
    records = folder.log.records()
    assert records[-1]["loss"] < records[0]["loss"]


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_sixteen_bits_learn_what_float32_does(train, config_of, precision):
    plain, _ = train(config_of(training={"steps": 20}), log_every=5)
    half, outcome = train(config_of(training={"steps": 20, "precision": precision}), precision, log_every=5)
    assert outcome.model.precision == precision
    for mine, theirs in zip(half.log.records(), plain.log.records(), strict=True):
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=0.03)
        assert mine["gradient_norm"] == pytest.approx(theirs["gradient_norm"], rel=0.3)  # fp16's scale is undone


def test_a_format_that_is_only_emulated_is_named_at_the_start_and_on_resuming(train, config_of):
    """No CPU computes in fp16 by its own choice."""
    config = config_of(training={"steps": 2, "precision": "fp16"})
    said = []
    train(config, say=said.append)
    train(config, say=said.append)
    assert [text.partition(" here")[0] for text in said if "emulated" in text] == ["fp16 is only emulated"]
    train(config, say=said.append, extension=Budget("steps", 1))
    assert said[-3:-1] == ["resuming from step 2", next(text for text in said if "began in fp16" in text)]


def test_gradients_too_large_for_fp16_are_not_learnt_from_and_said(train, config_of, monkeypatch, assert_same):
    training = {"precision": "fp16", "decay": 0.0, "ema": 0.0}
    before, _ = train(config_of(training={"steps": 3, **training}), "before")
    steps = []
    undo = module.unscale

    def overflowing(parameters, precision):
        parameters = list(parameters)
        steps.append(None)
        if len(steps) > 3:
            parameters[0].grad.fill_(torch.inf)
        return undo(parameters, precision)

    monkeypatch.setattr(module, "unscale", overflowing)
    said = []
    after, _ = train(config_of(training={"steps": 6, **training}), "after", log_every=3, say=said.append)
    assert [text for text in said if "overflowed in fp16" in text] == [
        "3 of the steps up to 6 overflowed in fp16 and were skipped; if this continues, train with --precision fp32"
    ]
    assert_same(before, after)  # momentum is there, and moves nothing by itself
    assert [record["gradient_norm"] is None for record in after.log.records()] == [False, True]


def test_a_device_that_is_not_there_is_refused():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(UserError, match="--device cuda is not available"):
        accelerator("cuda")


def test_a_compiler_that_fails_leaves_an_eager_training(train, config_of, monkeypatch):
    def broken(network, **how):
        def call(*args):
            raise RuntimeError("no such instruction")

        return call

    monkeypatch.setattr(torch, "compile", broken)
    monkeypatch.setattr(probe, "compiler", lambda: "g++")
    monkeypatch.setattr(probe, "compiled", lambda *args: probe.Compiled(2.0, 0.01, "last.bias"))
    monkeypatch.setattr(plan, "LONG", {})
    monkeypatch.setattr(probe, "matrix_rate", lambda device, precision: 1e18)
    said = []
    folder, outcome = train(config_of(training={"steps": 8, "compile": "auto"}), say=said.append)
    assert "compiling failed (no such instruction): continuing without" in said
    assert not outcome.plan.compiled
    plain, _ = train(config_of(training={"steps": 8, "compile": "off"}), "plain")
    assert outcome.steps == 8
    # Compiling would have trained channels-last, where kernels round differently.
    assert folder.log.records()[-1]["loss"] == pytest.approx(plain.log.records()[-1]["loss"], rel=0.01)
    with pytest.raises(RuntimeError, match="no such instruction"):
        train(config_of(training={"steps": 8, "compile": "on"}), "on")


def test_a_damaged_checkpoint_is_said_and_the_one_before_goes_on(train, config_of, assert_same):
    config = config_of(training={"steps": 10})
    whole, _ = train(config, "whole")
    folder, _ = train(config, checkpoint_every=4)
    state = folder.checkpoint(10) / "state.safetensors"
    state.write_bytes(state.read_bytes()[:100])
    said = []
    train(config, say=said.append)
    assert any("000010/state.safetensors is not a complete" in text for text in said)
    assert any(text.endswith("using the one before it") for text in said)
    assert "resuming from step 8" in said
    assert len(list(folder.checkpoints.glob("000010.damaged-*"))) == 1  # nothing is thrown away
    assert_same(whole, folder)


def test_where_the_only_checkpoint_is_damaged_it_is_said_that_the_training_starts_afresh(train, config_of):
    config = config_of(training={"steps": 2})
    folder, _ = train(config)
    (folder.checkpoint(2) / "state.safetensors").unlink()
    said = []
    train(config, say=said.append)
    assert any(text.endswith("no other is left, so starting afresh") for text in said)


def test_a_quartile_without_images_is_null_in_the_log(train, config_of):
    folder, _ = train(config_of(training={"steps": 2, "batch": 1}))
    records = folder.log.records()
    assert sum(records[0][f"loss_q{k}"] is None for k in range(1, 5)) == 3
    assert "NaN" not in folder.log.file.read_text()


@pytest.fixture
def poisoned(monkeypatch):
    """The third step ends with a weight that is not finite."""
    real = Step.__call__

    def poisoned(self, k, rate):
        norm = real(self, k, rate)
        if k == 2:
            next(self.network.parameters()).data.fill_(float("nan"))
        return norm

    monkeypatch.setattr(Step, "__call__", poisoned)


def test_what_is_not_finite_is_never_saved(train, config_of, poisoned):
    with pytest.raises(UserError, match="no longer finite at step 3"):
        train(config_of(training={"steps": 9}), log_every=100, checkpoint_every=1)
    assert RunFolder(train.path / "run").steps() == [1, 2]


def test_a_checkpoint_of_another_version_is_refused_and_left_alone(train, config_of):
    config = config_of(training={"steps": 6})
    folder, _ = train(config)
    file = folder.checkpoint(6) / "state.safetensors"
    state, about = tensors.load(file)
    tensors.save(file, state, about | {"format": 99})
    with pytest.raises(UserError, match="another version"):
        train(config)
    assert folder.steps() == [6]


class Validator:
    """Validates by sampling an image; keeps the weights that it was shown. `then` is called within each validation."""

    def __init__(self, then=lambda step, model: None):
        self.then, self.seen = then, {}

    def __call__(self, step, model):
        self.seen[step] = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
        mean = float(sample(model, SampleRequest(1)).float().mean())
        self.then(step, model)
        return {"mean": mean}, f"mean {mean}"


def validations(folder):
    """The lines of evaluations.jsonl but for times."""
    times = ("seconds_of_training", "cost_seconds")
    return [{k: v for k, v in record.items() if k not in times} for record in folder.evaluations.records()]


@pytest.mark.parametrize("settings", [{}, {"channels_last": True}, {"ema": 0.0}])
def test_a_validated_training_ends_with_the_same_bits(train, config_of, settings, monkeypatch, assert_same):
    if settings.pop("channels_last", False):
        real = plan.make
        monkeypatch.setattr(plan, "make", lambda *args: dataclasses.replace(real(*args), channels_last=True))
    config = config_of(training={"steps": 10, **settings}, network={"dropout": 0.1})

    def destroy(step, model):
        assert not model.network.training
        torch.manual_seed(99)
        for tensor in model.network.state_dict().values():
            tensor.fill_(1.0)

    plain, _ = train(config, "plain")
    validator = Validator(destroy)
    validated, _ = train(config, "validated", validation=Validation(4, validator))
    assert list(validator.seen) == [4, 8, 10]
    assert_same(plain, validated)
    assert plain.log.records()[-1]["loss"] == validated.log.records()[-1]["loss"]
    saved = load_file(validated.checkpoint(10) / "model.safetensors")
    assert all(torch.equal(saved[name], tensor) for name, tensor in validator.seen[10].items())


def test_validation_takes_none_of_the_trainings_time(train, config_of):
    said = []
    start = time.perf_counter()
    validation = Validation(1, Validator(lambda step, model: time.sleep(0.3)))
    folder, outcome = train(config_of(training={"steps": 5}), validation=validation, say=said.append)
    wall = time.perf_counter() - start
    assert outcome.seconds <= wall - 5 * 0.3
    assert folder.load(5).standing.seconds <= wall - 5 * 0.3
    for record, line in zip(folder.evaluations.records(), folder.log.records(), strict=True):
        assert record["cost_seconds"] >= 0.3
        assert record["seconds_of_training"] <= line["seconds"]
    last = folder.log.records()
    assert 16 / last[-1]["images_per_second"] <= last[-1]["seconds"] - last[-2]["seconds"] + 0.02
    cost = sum(record["cost_seconds"] for record in folder.evaluations.records())
    seconds = folder.evaluations.records()[-1]["seconds_of_training"]  # rounded to hundredths, of few of them
    told = float(re.search(r"all validation so far: (\d+)%", said[-1])[1])
    assert told == pytest.approx(100 * cost / seconds, rel=0.02 + 0.006 / seconds, abs=1)


def test_validation_goes_on_where_the_training_does(train, config_of, assert_same):
    """Stopped between validations, in the midst of one, in one made up for, and killed after one."""
    config = config_of(training={"steps": 12})
    whole, _ = train(config, "whole", validation=Validation(3, Validator()))
    assert [record["step"] for record in validations(whole)] == [3, 6, 9, 12]

    def stop_in(*steps):
        return Validation(
            3, Validator(lambda step, model: signal.raise_signal(signal.SIGINT) if step in steps else None)
        )

    folder, validated_at = RunFolder(train.path / "pieces"), []
    for _ in range(2):
        with pytest.raises(Interrupted, match="stopped at step 6"):
            train(config, "pieces", validation=stop_in(6))
        validated_at.append([record["step"] for record in validations(folder)])
        assert folder.steps()[-1] == 6
    assert validated_at == [[3], [3]]

    def kill(step, model):
        if step == 9:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(config, "pieces", validation=Validation(3, Validator(kill)))
    assert [record["step"] for record in validations(folder)] == [3, 6]
    folder.evaluations.append({"step": 9, "mean": -1.0, "cost_seconds": 0.0})  # of a future that is not saved
    with pytest.raises(Interrupted, match="stopped at step 12"):
        train(config, "pieces", validation=stop_in(12))
    _, outcome = train(config, "pieces", validation=Validation(3, Validator()))
    assert outcome.already_finished
    assert validations(folder) == validations(whole)
    assert_same(whole, folder)


def test_what_is_not_finite_is_never_validated(train, config_of, poisoned):
    validator = Validator()
    with pytest.raises(UserError, match="no longer finite at step 3"):
        train(config_of(training={"steps": 9}), log_every=100, validation=Validation(1, validator))
    assert list(validator.seen) == [1, 2]
