"""What the processes of a training agree on: the first one's word, and a request to stop to any of them."""

from typing import TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list

Value = TypeVar("Value")


class Agreement:
    """Between the processes of an accelerator; each has to ask for the same things in the same order.

    alone  whether there is only one
    first  whether this is the first, whose clock counts and which writes
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self.alone = accelerator.num_processes == 1
        self.first = accelerator.is_main_process

    def flags(self, *first: bool, any_of: bool) -> tuple[bool, ...]:
        """The first process's `first`, and whether `any_of` holds in some process."""
        if self.alone:
            return *first, any_of
        values = [*(flag and self.first for flag in first), any_of]
        flags = torch.tensor(values, dtype=torch.float32, device=self._accelerator.device)
        return tuple((self._accelerator.reduce(flags, "sum") > 0).tolist())

    def shared(self, value: Value) -> Value:
        """The first process's `value`."""
        return value if self.alone else broadcast_object_list([value])[0]

    def wait(self) -> None:
        """Until every process is here."""
        self._accelerator.wait_for_everyone()
