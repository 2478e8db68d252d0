"""Fewer threads while other processes are busy, more again later: by a clock and a load that the tests set."""

import os
import subprocess
import sys
import time
from collections import namedtuple

import pytest
import torch

from fromnoise import threads as module
from fromnoise.errors import UserError
from fromnoise.generation.sampling import SampleRequest, sample
from fromnoise.threads import Load, Threads, fix, shared


class Machine:
    """Work in equal pieces on a machine of so many cores, with others taking `load` of them."""

    def __init__(self, speed, cores=2):
        torch.set_num_threads(cores)
        self.speed, self.load, self.now, self.history = speed, 0.0, 0.0, []
        self.threads = Threads(lambda: self.load)
        self.threads.cores = cores

    def work(self, seconds):
        end = self.now + seconds
        while self.now < end:
            self.now += 1 / self.speed(torch.get_num_threads(), self.load)
            self.threads.after(self.now)
            self.history.append(torch.get_num_threads())


def waiting(threads, load):
    """Pieces a second where all threads wait for the slowest: measured on two cores."""
    return {1: 2.3, 2: 3.8}[threads] if load < 0.5 else {1: 2.2, 2: 1.2}[threads]


def test_an_idle_machine_computes_with_all_threads_all_the_time():
    machine = Machine(waiting)
    machine.work(100)
    assert set(machine.history) == {2}


def test_fewer_threads_while_others_are_busy_and_all_again_when_they_are_done():
    machine = Machine(waiting)
    machine.work(10)
    machine.load = 1.0
    machine.work(9)
    assert torch.get_num_threads() == 1
    machine.history.clear()
    machine.work(60)
    assert set(machine.history) == {1}
    machine.load = 0.0
    machine.work(9)
    assert torch.get_num_threads() == 2


def test_of_eight_threads_only_those_are_given_up_that_have_no_core():
    machine = Machine(lambda threads, load: threads if threads <= 8 - load else threads / 2, cores=8)
    machine.load = 3.0
    machine.work(10)
    assert torch.get_num_threads() == 5


def test_where_fewer_threads_are_no_faster_all_go_on_and_it_is_tried_ever_more_seldom():
    machine = Machine(lambda threads, load: float(threads))
    machine.load = 1.0
    machine.work(600)
    assert torch.get_num_threads() == 2
    assert machine.history.count(1) / len(machine.history) < 0.04
    tries = sum(now < before for before, now in zip(machine.history, machine.history[1:], strict=False))
    assert 4 <= tries <= 12


def test_a_trial_that_goes_badly_ends_with_its_first_piece():
    machine = Machine(lambda threads, load: 1.0 if threads == 2 else 0.05)
    machine.load = 1.0
    machine.work(60)
    assert machine.history.count(1) == 1 + machine.history[10:].count(1) <= 3


def test_a_number_that_was_asked_for_stays():
    fix(2)
    try:
        machine = Machine(waiting)
        machine.load = 1.0
        machine.work(20)
        assert set(machine.history) == {2}
    finally:
        fix(None)
    with pytest.raises(UserError, match="--threads must be at least 1, not 0"):
        fix(0)
    fix(None)


def test_a_busy_process_is_load():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
        time.sleep(0.3)
        load = Load()
        time.sleep(1.0)
        busy = load()
        other.kill()
    assert busy > 0.4


def test_own_work_waiting_and_other_cores_are_none(monkeypatch):
    """Two seconds, in which each of two cores computed for 1.5, half of that for this process."""
    core = namedtuple("core", "user nice system idle iowait steal")
    times = [core(0, 0, 0, 0, 0, 0)] * 3
    clock = {"wall": 0.0, "own": 0.0}
    monkeypatch.setattr(module, "cores", lambda: {0, 1})
    monkeypatch.setattr(module.psutil, "cpu_times", lambda percpu: times)
    monkeypatch.setattr(module.time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(module.time, "process_time", lambda: clock["own"])
    load = Load()
    times[:] = [core(1.0, 0.25, 0.25, 0.25, 0.125, 0.125)] * 2 + [core(2.0, 0, 0, 0, 0, 0)]
    clock.update(wall=2.0, own=1.5)
    assert load() == 0.75


def test_a_system_that_tells_nothing_is_no_load(monkeypatch):
    def fail(**how):
        raise OSError

    monkeypatch.setattr(module.psutil, "cpu_times", fail)
    assert Load()() == 0.0


WAITING = "import os, fromnoise; print(*(os.environ.get(name) for name in ('GOMP_SPINCOUNT', 'KMP_BLOCKTIME')))"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, "5000 1"),
        ({"GOMP_SPINCOUNT": "7"}, "7 1"),
        ({"KMP_BLOCKTIME": "200"}, "5000 200"),
        ({"OMP_WAIT_POLICY": "active"}, "None None"),
    ],
)
def test_threads_wait_shortly_unless_the_user_says_how(given, found):
    done = subprocess.run([sys.executable, "-c", WAITING], env=_clean() | given, capture_output=True, text=True)
    assert done.stdout.strip() == found


def _clean():
    names = ("GOMP_SPINCOUNT", "KMP_BLOCKTIME", "OMP_WAIT_POLICY")
    return {name: value for name, value in os.environ.items() if name not in names}


def test_sampling_follows_the_load_and_draws_the_same_images(tiny_model, monkeypatch):
    """By a clock on which every call of the network takes as long as the machine of above would."""
    plain = sample(tiny_model, SampleRequest(256))
    torch.set_num_threads(2)
    clock, used = [0.0], set()

    def now():
        clock[0] += 1 / waiting(torch.get_num_threads(), 1.0)
        used.add(torch.get_num_threads())
        return clock[0]

    monkeypatch.setattr(module, "_shared", Threads(lambda: 1.0))
    monkeypatch.setattr(module.time, "perf_counter", now)
    drawn = sample(tiny_model, SampleRequest(256))
    assert used == {1, 2}
    assert torch.get_num_threads() == 1
    assert torch.equal(drawn, plain)
    assert not tiny_model.network._forward_hooks


def test_work_goes_on_with_as_many_threads_as_the_work_before_it_was_left_with(monkeypatch):
    torch.set_num_threads(2)
    monkeypatch.setattr(module, "_shared", None)
    shared().set(1)
    assert (shared().now, shared().most) == (1, 2)
    torch.set_num_threads(2)  # by somebody else
    assert (shared().now, shared().most) == (2, 2)
