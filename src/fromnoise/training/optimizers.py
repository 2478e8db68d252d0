"""Optimisers by name, and their state as plain tensors."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from fromnoise.hardware import precisions
from fromnoise.lookup import lookup
from fromnoise.training.settings import TrainingSettings

BETAS = (0.9, 0.99)


class KernelMuon(torch.optim.Muon):
    """Muon (Jordan et al. 2024) on matrices, and convolution kernels seen as outputs × (inputs·height·width).

    PyTorch's Muon takes matrices only: it is given views of the kernels, which share their memory and gradients, so no
    kernel may move from then on. And it computes in bf16 only, which a CPU without such units emulates, at several
    times the cost of the network's own step: there this one computes in float32. Matrices of one shape are handled
    together, as one small matrix keeps neither a CPU's matrix units nor a GPU busy.
    """

    def __init__(self, kernels: list[nn.Parameter], settings: TrainingSettings) -> None:
        self.kernels = kernels
        device = kernels[0].device
        half = device.type != "mps" and "bf16" in precisions(device)  # bf16 products have not been measured there
        self.dtype = torch.bfloat16 if half else torch.float32
        matrices = [nn.Parameter(_matrix(kernel.detach())) for kernel in kernels]
        super().__init__(matrices, lr=settings.lr, weight_decay=settings.weight_decay)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step from the kernels' gradients."""
        (group,) = self.param_groups
        alike: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}  # matrices and their updates, by shape
        for kernel, matrix in zip(self.kernels, group["params"], strict=True):
            if kernel.grad is None:
                continue
            assert matrix.data_ptr() == kernel.data_ptr(), "a kernel has moved, and would not be trained"
            gradient, state = _matrix(kernel.grad), self.state[matrix]
            if not state:
                state["momentum_buffer"] = torch.zeros_like(gradient)
            momentum = state["momentum_buffer"].lerp_(gradient, 1 - group["momentum"])
            update = gradient.lerp(momentum, group["momentum"])  # Nesterov's
            alike.setdefault(matrix.shape, []).append((matrix, update.to(self.dtype)))
        for shape, members in alike.items():
            matrices, updates = zip(*members, strict=True)
            directions = list(_orthogonal(torch.stack(updates), group))
            share = 0.2 * math.sqrt(max(shape))  # as large as AdamW's updates (Liu et al. 2025)
            torch._foreach_mul_(matrices, 1 - group["lr"] * group["weight_decay"])
            for matrix, direction in zip(matrices, directions, strict=True):
                matrix.add_(direction, alpha=-group["lr"] * share)


def _orthogonal(matrices: Tensor, group: Mapping[str, Any]) -> Tensor:
    """Approximately the closest orthogonal matrix to each, by the Newton–Schulz iteration (Jordan et al. 2024)."""
    a, b, c = group["ns_coefficients"]
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x, keepdim=True).clamp(min=group["eps"])
    for _ in range(group["ns_steps"]):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def _matrix(kernel: Tensor) -> Tensor:
    """The kernel as a matrix without a copy, whichever its memory format; columns in the memory's order."""
    if not kernel.is_contiguous():
        kernel = kernel.permute(0, 2, 3, 1)
    return kernel.view(len(kernel), -1)


def _adamw(parameters: list[nn.Parameter], settings: TrainingSettings) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=settings.lr, betas=BETAS, weight_decay=settings.weight_decay, fused=True)


def _muon(parameters: list[nn.Parameter], settings: TrainingSettings) -> list[torch.optim.Optimizer]:
    """Muon on the hidden kernels, AdamW on the rest: norms, biases, the first and last layer, embeddings.

    The hidden kernels are those of 16 channels or more on both sides: between the first and the last layer, and with a
    stem of 4, or images of four channels, these two as well.
    """
    kernels = [p for p in parameters if p.ndim == 4 and min(p.shape[:2]) >= 16]
    chosen = {id(kernel) for kernel in kernels}
    rest = [p for p in parameters if id(p) not in chosen]
    return [*([KernelMuon(kernels, settings)] if kernels else []), _adamw(rest, settings)]


OPTIMIZERS: Mapping[str, Callable[[list[nn.Parameter], TrainingSettings], list[torch.optim.Optimizer]]] = {
    "muon": _muon,
    "adamw": lambda parameters, settings: [_adamw(parameters, settings)],
    "adam": lambda parameters, settings: [torch.optim.Adam(parameters, lr=settings.lr, fused=True)],
}


class Optimizers:
    """The optimisers of a network as one, under one learning rate."""

    def __init__(self, network: nn.Module, settings: TrainingSettings) -> None:
        self.members = lookup("optimizer", settings.optimizer, OPTIMIZERS)(list(network.parameters()), settings)

    def step(self, rate: float) -> None:
        """One step at the learning rate `rate`."""
        for member in self.members:
            for group in member.param_groups:
                group["lr"] = rate
            member.step()

    def state(self) -> dict[str, Tensor]:
        """Everything that later steps depend on, as tensors named "optimizer.MEMBER.PARAMETER.KEY"."""
        return {
            f"optimizer.{m}.{index}.{key}": value
            for m, member in enumerate(self.members)
            for index, entries in member.state_dict()["state"].items()
            for key, value in entries.items()
        }

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what `state` returned; raises ValueError, KeyError or IndexError for anything else."""
        entries: list[dict[int, dict[str, Tensor]]] = [{} for _ in self.members]
        for name, value in state.items():
            kind, *rest = name.split(".", 3)
            if kind == "optimizer":
                number, place, key = rest
                entries[int(number)].setdefault(int(place), {})[key] = value
        for member, found in zip(self.members, entries, strict=True):
            parameters = dict(enumerate(member.param_groups[0]["params"]))
            # Before the first step there is no state; after it every parameter has the same entries.
            if (any(entries) and found.keys() != parameters.keys()) or len(set(map(frozenset, found.values()))) > 1:
                raise ValueError("the optimiser's state is incomplete")
            for index, values in found.items():
                for key, value in values.items():
                    values[key] = _like(parameters[index], value)
            member.load_state_dict({"state": found, "param_groups": member.state_dict()["param_groups"]})


def _like(parameter: nn.Parameter, value: Tensor) -> Tensor:
    """`value` in the memory format of `parameter`, which fused kernels rely on."""
    if not value.ndim:  # how many steps were taken
        return value
    if value.shape != parameter.shape:
        raise ValueError(f"the optimiser's state is of {tuple(value.shape)}, not {tuple(parameter.shape)}")
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
