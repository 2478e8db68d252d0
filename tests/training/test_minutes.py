"""A budget in minutes: it is kept whatever the speed, and what was recorded of it repeats to the bit."""

import dataclasses
import shutil

import pytest
import torch

from fromnoise import threads
from fromnoise.training.interrupt import Interrupted
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.validation import Validation


def test_minutes_become_steps_that_fill_them_and_are_written_down(train, config_of):
    said = []
    folder, outcome = train(config_of(training={"minutes": 0.03}), say=said.append)
    assert 1.5 < outcome.seconds < 5  # of 1.8
    assert dataclasses.asdict(folder.load(outcome.steps).standing.pace.segment) == folder.pace.records()[-1]
    assert sum("fit into 0.03 minutes" in text for text in said) == 1


@pytest.mark.parametrize(
    "seconds_of",
    [
        lambda k: 2.0,
        lambda k: 1.0 if k < 30 else 3.0,
        lambda k: 2.0 if k < 15 else 0.5,
        lambda k: 4.0 if k < 25 else 0.25,  # faster just before the end that was planned
        lambda k: 8.0 if 20 <= k < 24 else 1.0,  # a bad half minute
        lambda k: 6.0 if 90 <= k < 95 else 1.0,  # another, late in the fall
        lambda k: 30.0 if k == 85 else 1.0,  # a single stall
        lambda k: 60.0 if k == 0 else 1.0,  # a slow first step, as compiling makes it
    ],
)
def test_a_budget_is_kept_to_the_step_whatever_the_speed(train, config_of, paced, seconds_of):
    paced(seconds_of)
    folder, outcome = train(config_of(training={"minutes": 2, "warmup": 0}), log_every=1)
    assert 120 - 2 * seconds_of(outcome.steps) <= outcome.seconds <= 120
    records = folder.log.records()
    for record in records[:-1]:
        left = (120 - record["seconds"] + seconds_of(record["step"] - 1)) / 60  # before it, of the falling half
        assert record["lr"] / 2e-3 == pytest.approx(min(1.0, left), abs=0.15)
    assert records[-1]["lr"] <= 2e-3 * 0.12


def test_a_pause_does_not_count(train, config_of, paced):
    said = []
    paced(lambda k: 3600.0 if k == 40 else 1.0)
    folder, outcome = train(config_of(training={"minutes": 2, "warmup": 0}), say=said.append, log_every=1)
    assert said.count("the training was paused for 1:00:00; this time does not count") == 1
    assert outcome.steps >= 118
    assert 118 <= outcome.seconds <= 120
    assert folder.log.records()[-1]["lr"] <= 2e-3 * 0.05


def test_compiling_after_a_resume_is_no_pause(train, config_of, paced):
    config, said = config_of(training={"minutes": 4, "warmup": 0}), []
    paced(lambda k: 1.0)
    with pytest.raises(Interrupted):
        train(config, stop=40)
    first = [100.0]
    paced(lambda k: first.pop() if first else 1.0)
    _, outcome = train(config, say=said.append)
    assert not any("paused" in text for text in said)
    assert 139 <= outcome.steps <= 141


def test_a_training_that_crawls_at_its_end_stops_on_time(train, config_of, paced):
    paced(lambda k: 1.0 if k < 100 else 7.0)
    _, outcome = train(config_of(training={"minutes": 2}))
    assert 113 <= outcome.seconds <= 127


def test_a_shorter_budget_than_a_step_is_one_step(train, config_of, paced):
    paced(lambda k: 500.0)
    _, outcome = train(config_of(training={"minutes": 0.1}))
    assert outcome.steps == 1


def test_what_was_recorded_repeats_to_the_bit(train, config_of, paced, assert_same):
    config = config_of(training={"minutes": 2, "batch": 4})
    paced(lambda k: 3.0 if k < 15 else 5.0, learn=True)
    first, outcome = train(config, "first")
    second = RunFolder(train.path / "second")
    second.path.mkdir()
    for file in (first.config_file, first.pace.file):
        shutil.copy(file, second.path)
    paced(lambda k: 0.5, learn=True)  # the clock has no say
    again, repeated = train(config, "second")
    assert repeated.steps == outcome.steps
    assert repeated.seconds == outcome.seconds
    assert_same(first, again)
    assert first.pace.records() == again.pace.records()


def test_a_killed_training_repeats_what_it_had_recorded(train, config_of, paced):
    """It is killed fifteen steps after its last checkpoint, and the machine is twice as fast afterwards."""

    class KilledError(Exception):
        pass

    def kill(step, remaining):
        if step == 37:
            raise KilledError

    config, how = config_of(training={"minutes": 2, "batch": 4}), {"log_every": 1, "checkpoint_every": 22}
    paced(lambda k: 3.0, learn=True)
    with pytest.raises(KilledError):
        train(config, show=kill, **how)
    folder = RunFolder(train.path / "run")
    before = folder.log.records()
    recorded = folder.pace.records()
    assert folder.steps() == [22]
    assert recorded[-1]["step"] > 34
    paced(lambda k: 1.5, learn=True)
    said = []
    folder, outcome = train(config, say=said.append, **how)
    assert "resuming from step 22" in said
    assert folder.pace.records()[: len(recorded)] == recorded
    after = {record["step"]: record for record in folder.log.records()}
    for record in before:
        assert after[record["step"]]["loss"] == record["loss"]
        assert after[record["step"]]["lr"] == record["lr"]
    assert 118 <= outcome.seconds <= 120
    assert outcome.steps > 42


def test_a_training_that_was_stopped_goes_on_with_the_time_that_is_left(train, config_of, paced):
    paced(lambda k: 2.0)
    config = config_of(training={"minutes": 2})
    with pytest.raises(Interrupted):
        train(config, stop=30)
    seen = []
    _, outcome = train(config, show=lambda step, remaining: seen.append(remaining))
    assert outcome.steps == 60
    assert seen[0] == pytest.approx(56)


def test_far_too_few_steps_are_said(train, config_of, paced):
    paced(lambda k: 0.25 if k < 60 else 4.0)
    _, outcome = train(config_of(training={"minutes": 2}))
    assert "in 2 minutes; about 47" in outcome.shortfall


@pytest.fixture
def busy(monkeypatch, paced):
    """A machine of two cores, one of which another process takes from step 10 to 25; a single thread computes."""
    step, number = [0], [2]
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: number.__setitem__(0, threads))
    monkeypatch.setattr(torch, "get_num_threads", lambda: number[0])

    def seconds_of(k):
        step[0] = k
        taken = 10 <= k < 25
        return {1: 2.4, 2: 4.8 if taken else 1.5}[torch.get_num_threads()]

    def begin():
        threads.fix(None)
        torch.set_num_threads(2)
        monkeypatch.setattr(threads, "Load", lambda: lambda: 1.0 if 10 <= step[0] < 25 else 0.0)

    monkeypatch.setattr(threads, "cores", lambda: {0, 1})
    paced(seconds_of, learn=True)
    return begin


def test_fewer_threads_while_the_machine_is_busy_are_said_logged_and_repeated_to_the_bit(
    train, config_of, busy, monkeypatch, assert_same
):
    config, said = config_of(training={"minutes": 2, "batch": 4}), []
    busy()
    first, outcome = train(config, "first", say=said.append, log_every=1)
    logged = [record["threads"] for record in first.log.records()]
    assert set(logged[:10]) == {2}
    assert set(logged[16:25]) == {1}
    assert logged[-1] == 2
    assert sum("training continues with 1 thread, and with 2 again once they finish" in text for text in said) == 1
    again = RunFolder(train.path / "again")
    again.path.mkdir()
    for file in (first.config_file, first.pace.file):
        shutil.copy(file, again.path)
    busy()
    monkeypatch.setattr(threads, "Load", lambda: lambda: 0.0)
    again, repeated = train(config, "again", log_every=1)
    assert repeated.steps == outcome.steps
    assert [record["threads"] for record in again.log.records()] == logged
    assert_same(first, again)


def test_validation_leaves_the_trainings_threads_alone(train, config_of, busy, assert_same):
    def validate(step, model):
        assert torch.get_num_threads() == 2
        threads.shared().set(1)
        return {}, "seen"

    config = config_of(training={"minutes": 2, "batch": 4})
    busy()
    validated, _ = train(config, "validated", validation=Validation(6, validate))
    busy()
    plain, _ = train(config, "plain")
    pace = [[record | {"others": None} for record in folder.pace.records()] for folder in (validated, plain)]
    assert pace[0] == pace[1]
    assert_same(validated, plain)
