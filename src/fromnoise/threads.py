"""The number of threads that compute: fewer while other processes keep the cores busy, more again later.

OpenMP shares every operation evenly among its threads, and all wait for the slowest. If another process has taken one
of the cores, one thread less is faster. The system tells how much other processes take; fewer threads are tried out,
and kept only if they are faster (`make bench-busy`).
"""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psutil
import torch
from torch import nn

from fromnoise.errors import UserError

WINDOW = 2.0  # seconds over which a speed is measured
BETTER = 1.1  # the factor by which a trial must win
WORSE, SURELY = 1.5, 0.5  # a trial that is slower by this factor after so many seconds ends early
LITTLE = 0.1  # of a core: if others take less than this, none is given up
PATIENCE = 10.0, 80.0  # seconds until the next trial: the first after one that won, doubled after each that lost
_fixed = False
_shared: "Threads | None" = None


def fix(threads: int | None) -> None:
    """Compute with this many threads whatever the load (None: as many as help); raises UserError for less than one."""
    global _fixed, _shared
    if threads is not None and threads < 1:
        raise UserError(f"--threads must be at least 1, not {threads}")
    if _shared and torch.get_num_threads() == _shared.now:  # not changed by anybody else
        _shared.set(_shared.most)
    _fixed, _shared = threads is not None, None
    if threads is not None:
        torch.set_num_threads(threads)


class Load:
    """How many of this process's cores other processes kept busy, on average, since the last call."""

    def __init__(self) -> None:
        self.cores = cores()
        self._before = self._read()

    def __call__(self) -> float:
        """That number, from 0 to `cores`; 0 if the system does not tell."""
        before, self._before = self._before, self._read()
        wall, busy, own = (now - then for now, then in zip(self._before, before, strict=True))
        return min(max((busy - own) / wall, 0.0), float(len(self.cores))) if wall > 0 else 0.0

    def _read(self) -> tuple[float, float, float]:
        try:
            every = psutil.cpu_times(percpu=True)
        except (OSError, RuntimeError):
            every = []
        mine = [times for core, times in enumerate(every) if core in self.cores]
        return time.perf_counter(), sum(map(_busy, mine)), time.process_time() if mine else 0.0


class Threads:
    """Changes the number of threads by the speed of work that comes in equal pieces.

    most   threads at most, as many as PyTorch has when this is made
    now    threads at present
    cores  of this process
    load   cores that other processes kept busy, as last measured
    """

    def __init__(self, load: Callable[[], float] | None = None) -> None:
        self.most = self.now = torch.get_num_threads()
        self.cores = len(cores())
        self.load = 0.0
        self._read = load or Load()
        self._since: float | None = None
        self._done = 0.0
        self._before: tuple[int, float] | None = None  # a trial's: threads and speed before it
        self._patience, self._next = PATIENCE[0], -math.inf
        self._left = self.most  # threads that had a core to themselves at the last measurement

    def after(self, now: float, pieces: float = 1.0) -> None:
        """Note that `pieces` of work are done at `now`, in seconds of any one clock."""
        if self.most == 1 or _fixed:
            return
        if self._since is not None:
            self._done += pieces
            seconds = now - self._since
            speed = self._done / seconds if seconds > 0 else math.inf
            measured = seconds >= WINDOW and self._done >= 2 * pieces
            if self._before and (measured or (speed * WORSE < self._before[1] and seconds > SURELY)):
                self._judge(speed, now)
            elif measured:
                self._try(speed, now)
            else:
                return
        self._since, self._done = now, 0.0

    @property
    def trying(self) -> bool:
        """Whether the present number is only being tried out."""
        return self._before is not None

    def set(self, threads: int) -> None:
        """Compute with this many threads from here on, `most` at most."""
        self.now = self.most if _fixed else min(threads, self.most)
        torch.set_num_threads(self.now)
        self._before, self._since = None, None

    def _try(self, speed: float, now: float) -> None:
        self.load = self._read()
        before, self._left = self._left, threads_beside(self.load, self.most, self.cores)
        # Only the second window that says so is as slow (or fast) from its beginning.
        if self._left != self.now and self._left == before and now >= self._next:
            trial = self.now, speed
            self.set(self._left)
            self._before = trial

    def _judge(self, speed: float, now: float) -> None:
        assert self._before is not None
        (threads, before), self._before = self._before, None
        self._read()  # what others took meanwhile is no part of the next window
        if speed > BETTER * before:
            self._patience = PATIENCE[0]
        else:
            self._next = now + self._patience
            self._patience = min(2 * self._patience, PATIENCE[1])
            self.set(threads)


def shared() -> Threads:
    """The threads of this process, as its work so far left them."""
    global _shared
    if _shared is None or torch.get_num_threads() != _shared.now:
        _shared = Threads()
    _shared.set(_shared.now)
    return _shared


@contextmanager
def all_threads() -> Iterator[None]:
    """A block in which other work has all threads to itself; afterwards their number is as before."""
    global _shared
    kept, threads = _shared, torch.get_num_threads()
    if kept:
        torch.set_num_threads(kept.most)
    _shared = None
    try:
        yield
    finally:
        _shared = kept
        torch.set_num_threads(threads)


def threads_beside(load: float, most: int, cores: int) -> int:
    """How many of `most` threads have a core to themselves while others keep `load` of `cores` busy."""
    return max(min(cores - math.ceil(load - LITTLE), most), 1)


@contextmanager
def following(network: nn.Module) -> Iterator[None]:
    """A block in which the number of threads follows the load, by the speed at which `network` takes rows."""
    threads = shared()

    def after(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: object) -> None:
        threads.after(time.perf_counter(), len(inputs[0]))

    hook = network.register_forward_hook(after)
    try:
        yield
    finally:
        hook.remove()


def cores() -> set[int]:
    """The numbers of the cores that this process may use."""
    return set(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _busy(times: object) -> float:
    """Seconds that a core has computed: without waiting and stolen time, and without what is counted twice.

    That is guests, which are the user's time, and on Windows interrupts and deferred calls, which are the system's.
    """
    idle = ("idle", "iowait", "steal", "guest", "guest_nice", "interrupt", "dpc")
    fields: dict[str, float] = times._asdict()  # type: ignore[attr-defined]
    return sum(seconds for name, seconds in fields.items() if name not in idle)
