"""A training that validation ends before its budget does, to the same step and weights however often it was stopped."""

import signal

import pytest

from fromnoise.training.interrupt import Interrupted
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget
from fromnoise.training.validation import Validation


def validation(then=lambda step, model: None, patience=3):
    """Every second step; the end comes with the `patience`-th line since the budget began."""

    def validate(step, model):
        then(step, model)
        return {"seen": step}, f"seen {step}"

    def ends(records, began):
        return "enough" if len([record for record in records if record["step"] > began]) >= patience else None

    return Validation(2, validate, ends)


@pytest.fixture
def train(train):
    """With a line of the log after every step, and a checkpoint after every fourth."""

    def run(*given, **more):
        return train(*given, log_every=1, checkpoint_every=4, **more)

    run.path = train.path
    return run


@pytest.fixture
def config(config_of):
    return config_of(training={"steps": 20})


def test_it_ends_there_is_finished_and_says_why_once(train, config):
    said = []
    folder, outcome = train(config, validation=validation(), say=said.append)
    assert (outcome.steps, outcome.already_finished, said.count("enough")) == (6, False, 1)
    assert (folder.steps(), folder.is_finished()) == ([4, 6], True)
    assert [record["step"] for record in folder.log.records()] == [1, 2, 3, 4, 5, 6]
    _, again = train(config, validation=validation(), say=said.append)
    assert (again.steps, again.already_finished, said.count("enough")) == (6, True, 1)


def test_its_steps_are_those_of_the_whole_budget(train, config, config_of):
    folder, _ = train(config, validation=validation())
    other, _ = train(config, "other", validation=validation(patience=99))
    assert other.steps()[-1] == 20
    for key in ("loss", "lr"):
        assert folder.log.records()[-1][key] == other.log.records()[5][key]


@pytest.mark.parametrize("stop", [3, 5, 6])
def test_in_pieces_it_ends_alike(train, config, assert_same, stop):
    whole, _ = train(config, "whole", validation=validation())
    with pytest.raises(Interrupted):
        train(config, "pieces", stop, validation=validation())
    pieces, outcome = train(config, "pieces", validation=validation())
    assert outcome.steps == 6
    assert pieces.is_finished()
    assert_same(whole, pieces)


def test_ctrl_c_in_the_last_validation_only_delays_the_end(train, config, assert_same):
    def stop(step, model):
        if step == 6:
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("it went on")

    whole, _ = train(config, "whole", validation=validation())
    for _ in range(2):
        with pytest.raises(Interrupted, match="stopped at step 6"):
            train(config, "pieces", validation=validation(stop))
    said = []
    pieces, outcome = train(config, "pieces", validation=validation(), say=said.append)
    assert (outcome.steps, pieces.is_finished(), said.count("enough")) == (6, True, 1)
    assert pieces.load(6).standing.pace == whole.load(6).standing.pace
    assert_same(whole, pieces)


def test_a_process_killed_after_the_last_line_comes_to_the_same_end(train, config, assert_same, monkeypatch):
    whole, _ = train(config, "whole", validation=validation())

    real = RunFolder.save

    def save(self, model, checkpoint):
        if checkpoint.standing.step == 6:
            raise ZeroDivisionError
        real(self, model, checkpoint)

    monkeypatch.setattr(RunFolder, "save", save)
    with pytest.raises(ZeroDivisionError):
        train(config, "pieces", validation=validation())
    monkeypatch.undo()
    assert len(RunFolder(train.path / "pieces").evaluations.records()) == 3
    pieces, outcome = train(config, "pieces", validation=validation())
    assert outcome.steps == 6
    assert_same(whole, pieces)


def test_more_minutes_go_on_and_may_end_early_too(train, config):
    train(config, validation=validation())
    _, outcome = train(config, validation=validation(), extension=Budget("steps", 3))
    assert outcome.steps == 9
    folder, outcome = train(config, validation=validation(), extension=Budget("steps", 30))
    assert outcome.steps == 14
    assert [budget.step for budget in outcome.pace.budgets] == [0, 6, 9]
    assert folder.is_finished()


def test_minutes_end_early_too(train, config_of, paced):
    paced(lambda k: 1.0)
    folder, outcome = train(config_of(training={"minutes": 2}), validation=validation())
    assert (outcome.steps, folder.is_finished()) == (6, True)
    assert train(config_of(training={"minutes": 2}), validation=validation())[1].already_finished
