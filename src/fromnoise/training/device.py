"""Where to compute, in how many processes, and how these agree (docs/scale-out.md)."""

import atexit
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState, PartialState
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list, gather_object, parse_flag_from_env

from fromnoise.errors import UserError
from fromnoise.shared import Shared
from fromnoise.threads import fix

# How many processes a launcher says there are: torchrun, and the implementations of MPI that Accelerate reads.
WORLDS = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
PATIENCE = timedelta(minutes=30)  # with a process that neither answers nor has ended
# How gloo, whose errors have no class of their own, says that a process has ended or hangs.
LOST = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "Timed out waiting")
GUIDE = "start N processes with torchrun --nproc_per_node N -m fromnoise ... (docs/scale-out.md)"

Value = TypeVar("Value")


def flags(accelerator: Accelerator, first: bool = False, any_of: bool = False) -> tuple[bool, bool]:
    """The first process's `first`, and whether `any_of` holds in some process; all must ask."""
    if accelerator.num_processes == 1:
        return first, any_of
    mine = torch.tensor([first and accelerator.is_main_process, any_of], dtype=torch.float32, device=accelerator.device)
    one, other = (accelerator.reduce(mine, "sum") > 0).tolist()
    return one, other


def agreed(value: Value) -> Value:
    """The first process's `value`; all must ask."""
    return broadcast_object_list([value])[0]


def accelerator(device: str, threads: int | None = None) -> Accelerator:
    """Accelerate's view of the device `auto`, `cpu`, `cuda` or `mps`, connected to a launcher's other processes.

    On a CPU `threads` threads compute; None for as many as help (`threads.fix`). Raises UserError for a missing device,
    and if a launcher did not start the processes that it promised.
    """
    fix(threads)
    _check_there(device)
    promised = launched()
    useless = not torch.cuda.is_available() and (promised > 1 or not _mps_computes())
    cpu = device == "cpu" or (device == "auto" and useless)
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if not cpu and 0 < gpus < here:
        raise UserError(f"{here} processes need {here} GPUs, but there are {gpus}: start fewer, or use --device cpu")
    with warnings.catch_warnings(), connected():
        warnings.simplefilter("ignore")  # about settings of launchers that nobody chose
        # "no": the plan chooses the precision.
        found = Accelerator(cpu=cpu, mixed_precision="no", kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
    if found.device.type == "cpu":
        found.state.device = torch.device("cpu")  # of several processes cpu:0, to which PyTorch copies what is on cpu
    if device not in ("auto", found.device.type):
        raise UserError(f"--device {device}: Accelerate chose {found.device.type}; leave out --device")
    if found.num_processes != promised:
        raise UserError(
            f"{promised} processes were started, and each would train alone on {found.device.type}; {GUIDE}"
        )
    # `accelerate launch` on CPUs prepares for several processes and then starts a single one.
    prepared = {"ACCELERATE_MIXED_PRECISION", "MASTER_ADDR"} <= os.environ.keys() and "RANK" not in os.environ
    if found.num_processes == 1 and prepared:
        raise UserError(f"accelerate launch should have started several processes but started one: {GUIDE}")
    return found


def _check_there(device: str) -> None:
    there = {"auto": True, "cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there.get(device, False):
        raise UserError(f"--device {device} is not available here; choose --device auto or cpu")


def _mps_computes() -> bool:
    """Whether there is an Apple GPU that does: a virtual machine's may have no memory."""
    try:
        return torch.backends.mps.is_available() and bool(torch.ones(8, device="mps").sum() == 8)
    except RuntimeError:
        return False


def alone(device: str, threads: int | None = None) -> torch.device:
    """The device for work that a single process does, without Accelerate, which would keep to it from then on.

    Raises UserError for a missing device, and where a launcher started several processes.
    """
    if launched() > 1:
        raise UserError(
            f"only training can use several processes, but {launched()} were started: run this without a launcher"
        )
    fix(threads)
    _check_there(device)
    if device == "auto" and parse_flag_from_env("ACCELERATE_USE_CPU"):  # which trainings obey
        device = "cpu"
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if _mps_computes() else "cpu"
    return torch.device(device)


@contextmanager
def _undecided() -> Iterator[None]:
    kinds = (PartialState, AcceleratorState, GradientState) if launched() == 1 else ()
    kept = [(kind._shared_state, dict(kind._shared_state)) for kind in kinds]
    for shared, _ in kept:
        shared.clear()
    try:
        yield
    finally:
        for shared, before in kept:
            shared.clear()
            shared.update(before)


UNDECIDED = Shared(_undecided)
"""Within it Accelerate has not chosen a device yet; what it had chosen before holds again afterwards.

It keeps one device and precision for a process, which may be those of the user's own program. Several processes of a
launcher stay connected as they are.
"""


def launched() -> int:
    """How many processes the launcher of this one says there are; 1 without a launcher."""
    sizes = [os.environ.get(name, "") for name in WORLDS]
    return max([1, *(int(size) for size in sizes if size.isdigit())])


def check_alike(device: Accelerator, facts: Mapping[str, object]) -> None:
    """Raise UserError in every process unless `facts`, each named by what it is, are the same in all of them."""
    if device.num_processes == 1:
        return
    everyone = gather_object([(socket.gethostname(), dict(facts))])
    host, first = everyone[0]
    for number, (other_host, theirs) in enumerate(everyone):
        for name, fact in first.items():
            if theirs[name] != fact:
                pair = f"process {number} on {other_host} does not have the same {name} as process 0 on {host}"
                raise UserError(f"{pair}; {GUIDE}")


def is_lost(error: RuntimeError) -> bool:
    """Whether `error` says that another process is gone."""
    return isinstance(error, torch.distributed.DistError) or any(words in str(error) for words in LOST)


@contextmanager
def connected() -> Iterator[None]:
    """Within it the loss of another process is a UserError."""
    try:
        yield
    except RuntimeError as error:
        if launched() == 1 or not is_lost(error):
            raise
        if torch.distributed.is_initialized():  # its threads still wait for the lost process, and Python's end aborts
            atexit.register(os._exit, UserError.code)
        raise UserError(
            "another process has stopped or cannot be reached, so this one stops too; "
            "run the same command again to resume from the last checkpoint"
        ) from error
