"""A budget in minutes: how it becomes steps, and what happens where the speed changes."""

import os
import signal
import time

import pytest
import torch
from safetensors.torch import load_file

from fromnoise.training.clock import Clock
from fromnoise.training.interrupt import Interrupted
from fromnoise.training.trainer import SETTLING, Trainer


def test_minutes_become_steps_that_fill_them_and_are_written_down(train, config_of):
    said = []
    config = config_of(training={"minutes": 0.1})
    folder, outcome = train(config, say=said.append)
    assert outcome.plan.total_steps == outcome.steps
    assert folder.load(outcome.steps)[2]["plan"]["total_steps"] == outcome.steps
    assert 3 < outcome.seconds < 12  # of 6, on a machine whose other core may turn busy half-way
    assert any("0.1 minutes are" in text for text in said)


def test_a_resumption_measures_the_speed_anew_and_not_by_its_first_step(train, config_of, monkeypatch):
    def stop(seen):
        if seen.step == 5:
            os.kill(os.getpid(), signal.SIGINT)

    config = config_of(training={"minutes": 0.05})
    with pytest.raises(Interrupted):
        train(config, tick=stop)
    first = Trainer._first_step

    def slow(trainer):
        time.sleep(1.0)  # as long as compiling takes
        return first(trainer)

    monkeypatch.setattr(Trainer, "_first_step", slow)
    totals = []
    _, outcome = train(config, tick=lambda seen: totals.append(seen.total))
    assert totals[:SETTLING] == [None] * SETTLING
    assert outcome.steps > 5 + 2 * SETTLING  # by the speed of that step there would be one more


@pytest.fixture
def pace(monkeypatch):
    """Seconds that a step takes by the trainer's clock: at first, and once the number of steps is known."""

    def keep(at_first, later):
        class Paced(Clock):
            seconds = 0.0

        step = Trainer._train_step

        def paced(trainer):
            trainer.clock.seconds += at_first if trainer.plan.total_steps is None else later
            return step(trainer)

        monkeypatch.setattr("fromnoise.training.trainer.Clock", Paced)
        monkeypatch.setattr(Trainer, "_train_step", paced)

    return keep


@pytest.mark.parametrize(("later", "word"), [(4.0, "slower"), (1.0, "faster")])
def test_a_machine_that_changes_its_speed_trains_as_long_as_asked_for(train, config_of, pace, later, word):
    pace(2.0, later)
    said = []
    folder, outcome = train(config_of(training={"minutes": 2}), say=said.append)
    assert outcome.seconds == pytest.approx(120, abs=later)  # to the step
    assert "2 minutes are 60 steps, 960 images at this speed" in said
    assert f"{word} than at first: {outcome.steps} steps instead of 60" in said
    assert not folder.load(outcome.steps)[2]["plan"]["estimated"]
    assert len(folder.steps()) == 2  # from when the steps were fixed for good, and from the end


def test_a_machine_that_gets_faster_ends_with_the_weights_of_so_many_steps(train, config_of, pace):
    pace(2.0, 1.0)
    folder, outcome = train(config_of(training={"minutes": 2}), "minutes")
    whole, _ = train(config_of(training={"steps": outcome.steps}), "steps")
    for file in ("model.safetensors", "state.safetensors"):
        found, wanted = (load_file(each.checkpoint(outcome.steps) / file) for each in (folder, whole))
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_an_estimate_is_made_anew_after_a_resumption_too(train, config_of, pace):
    def stop(seen):
        if seen.step == 30:
            os.kill(os.getpid(), signal.SIGINT)

    pace(1.0, 2.0)
    config = config_of(training={"minutes": 2})
    with pytest.raises(Interrupted):
        train(config, tick=stop)
    said = []
    _, outcome = train(config, say=said.append)
    assert not any("2 minutes are" in text for text in said), "the first estimate holds"
    assert any("slower than at first" in text for text in said)
    assert outcome.seconds == pytest.approx(120, abs=2)
