import pytest

from fromnoise.training import pacer as module
from fromnoise.training.pacer import Clock


@pytest.fixture
def now(monkeypatch):
    """The time, in a list that tests set."""
    time = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: time[0])
    return time


def test_the_time_in_which_it_was_stopped_does_not_count(now):
    clock = Clock()
    now[0] += 5
    with clock.stopped():
        now[0] += 60
    now[0] += 2
    assert clock.seconds == 7.0


def test_it_goes_on_after_an_error_too(now):
    clock = Clock()

    def fail():
        now[0] += 60
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), clock.stopped():
        fail()
    now[0] += 2
    assert clock.seconds == 2.0
