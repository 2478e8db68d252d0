"""Notebook 5: the two loops for images, and the bugs in somebody else's."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn

from fromnoise.diffusion.schedule import schedule
from fromnoise.lab.checking import Finding, checked, close, shaped
from fromnoise.lab.checks.images import SIDE, TABLE, T, scales, seeded


def _ends(times: Sequence[int]) -> str:
    return f"t = {times[0]}, …, {times[-1]}" if len(times) else "no t"


class _Cheat:
    """A network that knows the clean images, and so the noise; keeps what it was shown."""

    def __init__(self, x0: Tensor) -> None:
        self.x0, self.seen = x0, []  # type: tuple[Tensor, list[tuple[Tensor, Tensor]]]

    def __call__(self, xt: Tensor, t: Tensor) -> Tensor:
        self.seen.append((xt, t))
        a, b = scales(t)
        return (xt - a * self.x0) / b


@checked("exercise 5.2")
def exercise_5_2(batch_loss: Callable[..., Tensor]) -> Iterator[Finding]:
    """batch_loss(network, x0, t, generator): one number."""
    x0 = torch.rand(64, 1, SIDE, SIDE, generator=seeded(0)) * 2 - 1
    t = torch.randint(1, T + 1, (64,), generator=seeded(1))
    zero = float(batch_loss(lambda xt, t: 0 * xt, x0, t, seeded(2)))
    yield Finding(
        abs(zero - 1) < 0.03,
        "an answer of zero costs 1",
        f"a network that answers 0 has loss E ε² = 1, yours says {zero:.2f}",
    )
    cheat = _Cheat(x0)
    loss = float(batch_loss(cheat, x0, t, seeded(2)))
    yield Finding(bool(cheat.seen), "the network is asked", "the loss never asks the network")
    xt = cheat.seen[0][0]
    a, b = scales(t)
    mixed = float(((xt - a * x0) / b).std())
    yield Finding(
        abs(mixed - 1) < 0.03,
        "x_t is the jump",
        f"the network is shown images whose noise has deviation {mixed:.2f}, not 1: x_t = a·x_0 + b·ε",
    )
    more = "this is not the noise in x_t: draw it once" if loss > 1.5 else "compare with the noise itself"
    yield Finding(
        loss < 1e-4, "the true noise costs nothing", f"the very noise in x_t has loss {loss:.2f}, not 0: {more}"
    )


@checked("exercise 5.3")
def exercise_5_3(process: Callable[[int], tuple[Tensor, list[int], list[int]]]) -> Iterator[Finding]:
    """process(T): the table ᾱ_0 … ᾱ_T, the times of training, the times of sampling."""
    for steps in (500, 1000):
        found, training, sampling = process(steps)
        yield Finding(
            len(found) == steps + 1,
            f"{steps + 1} entries for {steps} steps",
            f"{steps} steps lead from level 0 to level {steps}: that is {steps + 1} entries, yours are {len(found)}",
        )
        yield Finding(
            float(found[0]) == 1,
            "entry 0 is clean data",
            f"entry 0 should be ᾱ_0 = 1, clean data; yours is {float(found[0]):.4f}",
        )
        yield Finding(
            close(found, schedule("linear", steps).alphas_cumprod, 1e-5),  # in float32 too
            "the coefficients go from 0.9999 at t = 1 to 0.98 at t = T",
            "the table is not the product of coefficients from α_1 = 0.9999 to α_T = 0.98",
        )
        yield Finding(
            list(sampling) == list(range(steps, 0, -1)),
            "one step from each level, T … 1",
            f"sampling should step from t = {steps}, …, 1, each once; yours has {_ends(sampling)}",
        )
        missing = sorted(set(sampling) - set(training))
        yield Finding(
            sorted(training) == list(range(1, steps + 1)),
            "every level that is used is trained",
            f"levels used but never trained: {missing}"
            if missing
            else "training draws a level that sampling never uses",
        )


class _Weight(nn.Module):
    """ε̂ = w·x, with a note of all it was shown."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[Tensor, Tensor, bool]] = []

    def forward(self, xt: Tensor, t: Tensor) -> Tensor:
        self.seen.append((xt.detach().clone(), torch.as_tensor(t).clone(), self.training))
        return self.w * xt


@checked("task 6")
def task6(train: Callable[..., list[float]]) -> Iterator[Finding]:
    """train(network, x0, epochs, rate, generator): the mean loss of each epoch."""
    n, epochs = 150, 8
    x0 = torch.linspace(-1, 1, n)[:, None, None, None].expand(n, 1, SIDE, SIDE).contiguous()  # each image is one grey
    network = _Weight()
    history = [float(loss) for loss in train(network, x0, epochs, 0.05, seeded(0))]
    yield Finding(
        len(history) == epochs,
        "a loss for each epoch",
        f"{epochs} epochs gave {len(history)} numbers: one mean loss per epoch",
    )
    sizes = [len(xt) for xt, _, _ in network.seen]
    calls = epochs * math.ceil(n / 64)
    yield Finding(
        sum(sizes) == epochs * n and len(sizes) == calls,
        "every image once per epoch, in batches of 64",
        f"{n} images in {epochs} epochs are {epochs * n} answers in {calls} batches; the network gave "
        f"{sum(sizes)} in {len(sizes)}",
    )
    yield Finding(all(mode for *_, mode in network.seen), "in training mode", "the network is not in training mode")
    t = torch.cat([t.reshape(-1) for _, t, _ in network.seen])
    yield Finding(
        len(t) == epochs * n,
        "a time for each image",
        f"a batch of 64 images comes with {len(network.seen[0][1].reshape(-1))} times t",
    )
    low, high = int(t.min()), int(t.max())
    even = abs(float(t.double().mean()) - 250.5) < 5 * T / math.sqrt(12 * len(t))
    yield Finding(
        low >= 1 and high <= T and low < 20 and high > 480 and even,
        "t uniform on 1 … 500",
        f"the times go from {low} to {high} with mean {float(t.double().mean()):.0f}; t is uniform on 1 … "
        "500 (mean 250)",
    )
    xt = torch.cat([xt for xt, *_ in network.seen])
    noise = (xt - xt.mean(dim=(1, 2, 3), keepdim=True)) / scales(t)[1]
    spread = float(noise.std())
    yield Finding(
        abs(spread - 1) < 0.02,
        "x_t is the jump to t",
        f"at the times the network is told, the noise in x_t has deviation {spread:.2f}, not 1: do x_t "
        "and network get the same t?",
    )
    w = float(network.w.detach())
    yield Finding(w != 0, "the weights move", "the weights have not changed: loss.backward() and optimiser.step()")
    # E(ε − w·x)² with E x_0² = 1/3 and t uniform is least at w = Σb/Σ(a²/3 + b²).
    keep = TABLE.alphas_cumprod[1:]
    right = float((1 - keep).sqrt().sum() / (keep / 3 + 1 - keep).sum())
    yield Finding(
        abs(w - right) < 0.08,
        "they move to the minimum of (40)",
        f"a network ε̂ = w·x should learn w = {right:.2f} from these images, yours learns {w:.2f}: is the "
        "noise in x_t the target?",
    )
    yield Finding(
        history[-1] < 0.6 * history[0] and 0.2 < history[0] < 1.1,
        "the loss falls",
        f"the losses go from {history[0]:.2f} to {history[-1]:.2f}; a mean over pixels and batches begins "
        "below E ε² = 1",
    )
    many = _Weight()
    train(many, torch.zeros(6400, 1, SIDE, SIDE), 1, 1e-3, seeded(1))
    t = torch.cat([t.reshape(-1) for _, t, _ in many.seen])
    yield Finding(
        int(t.min()) == 1 and int(t.max()) == T,  # one right answer in 180,000 misses one of them by chance
        "t = 1 and t = 500 are among them",
        f"6,400 times go from {int(t.min())} to {int(t.max())}, not from 1 to 500: torch.randint leaves out its "
        "upper end",
    )


class _Constant(nn.Module):
    """The perfect network for images that are `value` everywhere, with a note of what it was shown."""

    def __init__(self, value: float = -1.0) -> None:
        super().__init__()
        self.value = value
        self.unused = nn.Parameter(torch.zeros(()))
        self.seen: list[tuple[Tensor, int, bool]] = []

    def forward(self, xt: Tensor, t: Tensor) -> Tensor:
        at = torch.as_tensor(t).reshape(-1)
        self.seen.append((xt.detach(), int(at[0]), self.training))
        a, b = scales(at.expand(len(xt)) if len(at) == 1 else at)
        return (xt - a * self.value) / b + 0 * self.unused


def _sampler(sample: Callable[..., Tensor]) -> Iterator[Finding]:
    """sample(network, m, generator): m×1×32×32; asks for shapes, times, each step's mean and variance, the end."""
    m = 3
    network = _Constant()
    found = sample(network, m, seeded(0))
    yield shaped(found, (m, 1, SIDE, SIDE), "the images have the right shape", "the images have")
    yield Finding(
        not found.requires_grad, "without gradients", "the images carry gradients: sample under torch.no_grad()"
    )
    times = [t for _, t, _ in network.seen]
    yield Finding(
        times == list(range(T, 0, -1)),
        "T steps, from t = 500 to 1",
        f"the network is asked at {_ends(times)} ({len(times)} times), not at 500, …, 1 (500 times)",
    )
    yield Finding(
        not any(mode for *_, mode in network.seen),
        "in evaluation mode",
        "the network runs in training mode: network.eval() first",
    )
    states = [*(x for x, *_ in network.seen), found]
    first = float(states[0].std())
    yield Finding(abs(first - 1) < 0.07, "from pure noise", f"the first x_t has deviation {first:.2f}, not 1")
    noises = {}
    for x, t, after in zip(states, times, states[1:], strict=False):
        a, b = scales(torch.full((m,), t))
        mean = (x - (1 - TABLE.alphas[t]) / b * (x - a * network.value) / b) / TABLE.alphas[t].sqrt()
        noises[t] = (after - mean).double()
    middle = torch.stack([noises[t] / TABLE.posterior_variance[t].sqrt() for t in range(200, 400)])
    shown = torch.stack([x for x, t in zip(states, times, strict=False) if 200 <= t < 400]).flip(0).double()
    off, spread = float(middle.mean()), float(middle.std())
    slope = float((middle * shown).mean() / shown.square().mean())
    yield Finding(
        abs(off) < 0.02 and abs(spread - 1) < 0.05 and abs(slope) < 0.01,
        "the mean (37)",
        f"around t = 300 a step lies {off:.2f} ± {spread:.2f} of the noise's deviation off the mean (37), not 0 ± 1, "
        f"and grows with x_t by {slope:.3f}, not 0",
    )
    left = float(noises[1].std())
    yield Finding(
        left < 1e-3,
        "no noise after the last step",
        f"the step from t = 1 adds noise of deviation {left:.3f}: σ_q²(1) = 0, because ᾱ_0 = 1",
    )
    near, posterior = float(noises[2].var()), float(TABLE.posterior_variance[2])
    yield Finding(
        abs(near / posterior - 1) < 0.12,
        "the posterior variance (30)",
        f"the step from t = 2 adds noise of variance {near:.6f}; σ_q² (30) is {posterior:.6f}, 1 − α_t is "
        f"{1 - TABLE.alphas[2]:.6f}",
    )
    end = float((found - network.value).abs().max())
    yield Finding(
        end < 1e-3,
        "black is black",
        f"for data that is −1 everywhere the result is off by up to {end:.3f}: leave it as it is",
    )
    single = sample(_Constant(), 1, seeded(0))
    yield shaped(single, (1, 1, SIDE, SIDE), "one image has its batch axis too", "one image has")


task5, exercise_5_4 = checked("task 5")(_sampler), checked("exercise 5.4")(_sampler)
