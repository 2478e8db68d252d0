import pytest

from fromnoise.training import pacer as module
from fromnoise.training.pacer import Clock


@pytest.fixture
def now(monkeypatch):
    """The time, in a list that tests set."""
    time = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: time[0])
    return time


def test_a_stopped_clock_stands_still_and_goes_on_from_there(now):
    clock = Clock()
    now[0] += 5
    with clock.stopped():
        now[0] += 60
        assert clock.seconds == 5.0
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
