import signal

import pytest

from fromnoise.training.interrupt import InterruptGuard


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def ctrl_c_twice():
    try:
        ctrl_c()
    finally:
        ctrl_c()


def test_the_first_is_noted_and_the_second_stops():
    before = signal.getsignal(signal.SIGINT)  # ignored, where a shell started this in the background
    with InterruptGuard() as guard:
        ctrl_c()
        assert guard.stop_requested
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()
    assert signal.getsignal(signal.SIGINT) is before


def test_work_that_can_be_done_without_is_broken_off_by_the_first():
    reached = []

    def work():
        ctrl_c()
        reached.append("the end of the work")

    with InterruptGuard() as guard:
        assert guard.unless_stopped(work) is None
        assert guard.stop_requested
        with pytest.raises(KeyboardInterrupt):
            ctrl_c()
    assert not reached


def test_a_signal_just_before_such_work_breaks_it_off_too():
    class Early(InterruptGuard):
        def __setattr__(self, name, value):
            super().__setattr__(name, value)
            if name == "_breaking" and value:
                ctrl_c()

    with Early() as guard:
        assert guard.unless_stopped(lambda: "done") is None
        assert guard.stop_requested


def test_the_second_stops_even_while_the_first_breaks_off():
    with pytest.raises(KeyboardInterrupt), InterruptGuard() as guard:
        guard.unless_stopped(ctrl_c_twice)


def test_after_such_work_the_first_is_only_noted():
    with InterruptGuard() as guard:
        assert guard.unless_stopped(lambda: "done") == "done"
        ctrl_c()
        assert guard.stop_requested
        assert guard.unless_stopped(lambda: "done") is None


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_terminal_that_closes_counts_as_ctrl_c_unless_nohup_ignores_it():
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        with InterruptGuard() as guard:
            assert callable(signal.getsignal(signal.SIGHUP))  # else it would kill the tests
            signal.raise_signal(signal.SIGHUP)
            assert guard.stop_requested
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        with InterruptGuard() as guard:
            signal.raise_signal(signal.SIGHUP)
            assert not guard.stop_requested
    finally:
        signal.signal(signal.SIGHUP, before)
