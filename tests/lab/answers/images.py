"""Notebook 5's checks: right answers written differently pass, typical wrong ones are told what is wrong."""

import dataclasses

import torch
import torch.nn.functional as F

from fromnoise.config import Config
from fromnoise.lab import check

T = 500
ALPHAS = torch.cat([torch.ones(1), torch.linspace(0.9999, 0.98, T, dtype=torch.float64)])
BAR = ALPHAS.cumprod(0)
LATE = torch.linspace(0.9999, 0.98, 1000, dtype=torch.float64).cumprod(0)
SIGMA2 = torch.cat([torch.zeros(1), (1 - ALPHAS[1:]) * (1 - BAR[:-1]) / (1 - BAR[1:])])


def prepared(images, size=(32, 32), whole=True, scale=127.5, mode="bilinear"):
    larger = F.interpolate(images.float(), size, mode=mode)
    return (larger.round() if whole else larger).clamp(0, 255) / scale - 1


def rows_of(labels, m, generator, replacement=False):
    for c in labels.unique():
        rows, n = (labels == c).nonzero()[:, 0], m // len(labels.unique())
        if replacement:
            yield rows[torch.randint(len(rows), (n,), generator=generator)]
        else:
            yield rows[torch.randperm(len(rows), generator=generator)[:n]]


def training_set(images, labels, m, generator, **how):
    chosen = torch.cat(list(rows_of(labels, m, generator)))
    return prepared(images[chosen], **how), labels[chosen]


def one_by_one(images, labels, m, generator):
    """Walks through a permutation and takes what its class still has room for."""
    left = dict.fromkeys(labels.unique().tolist(), m // len(labels.unique()))
    chosen = []
    for k in torch.randperm(len(labels), generator=generator).tolist():
        if left[labels[k].item()] > 0:
            left[labels[k].item()] -= 1
            chosen.append(k)
    return prepared(images[chosen]), labels[chosen]


def at_random(images, labels, m, generator):
    chosen = torch.randperm(len(labels), generator=generator)[:m]
    return prepared(images[chosen]), labels[chosen]


def twice(images, labels, m, generator):
    chosen = torch.cat(list(rows_of(labels, m, generator, replacement=True)))
    return prepared(images[chosen]), labels[chosen]


def mislabelled(images, labels, m, generator):
    found, of = training_set(images, labels, m, generator)
    return found, of.roll(1)


def noisy(x0, t, generator, table=BAR, one=False, each=True):
    keep = table[t].to(x0)[:, None, None, None] if each else table[t[0]].to(x0)
    noise = torch.randn(x0.shape[1:] if one else x0.shape, generator=generator).expand(x0.shape)
    return keep.sqrt() * x0 + (1 - keep).sqrt() * noise, noise


def scaled_noise(x0, t, generator):
    xt, noise = noisy(x0, t, generator)
    return xt, (1 - BAR[t]).sqrt().float()[:, None, None, None] * noise


def without_roots(x0, t, generator):
    keep, noise = BAR[t].float()[:, None, None, None], torch.randn(x0.shape, generator=generator)
    return keep * x0 + (1 - keep) * noise, noise


def by_einsum(x0, t, generator):
    noise = torch.randn(x0.shape, generator=generator)
    mix = lambda k, x: torch.einsum("n,nchw->nchw", k.float(), x)  # noqa: E731
    return [mix(BAR[t] ** 0.5, x0) + mix((1 - BAR[t]) ** 0.5, noise), noise]


def half_life(steps, first=1, power=0.5):
    root = torch.linspace(0.9999, 0.98, steps, dtype=torch.float64).cumprod(0) ** power
    return int((root < 0.5).nonzero()[0]) + first


def counted(steps):
    product, t = 1.0, 0
    while product**0.5 >= 0.5:
        t += 1
        product *= 0.9999 - (t - 1) * 0.0199 / (steps - 1)
    return t


def batch_loss(network, x0, t, generator):
    xt, noise = noisy(x0, t, generator)
    return (network(xt, t) - noise).square().mean()


def mse(network, x0, t, generator):
    xt, noise = by_einsum(x0, t, generator)
    return F.mse_loss(network(xt, t), noise).item()


def another_noise(network, x0, t, generator):
    xt, _ = noisy(x0, t, generator)
    return (network(xt, t) - torch.randn(x0.shape, generator=generator)).square().mean()


def loss_of(target, shown=noisy, mean=True):
    def loss(network, x0, t, generator):
        xt, noise = shown(x0, t, generator)
        off = (network(xt, t) - target(x0, xt, noise)).square()
        return off.mean() if mean else off.sum()

    return loss


def process(steps, start=1, first=True, last=1):
    alphas = torch.linspace(0.9999, 0.98, steps, dtype=torch.float64)
    alphas = torch.cat([torch.ones(1), alphas]) if first else alphas
    end = steps if first else steps - 1
    return alphas.cumprod(0), list(range(start, end + 1)), list(range(end, last - 1, -1))


def train(
    network, x0, epochs, rate, generator, jump=noisy, first=1, end=T + 1, target=lambda x, e: e, told=lambda t: t,
    step=True,
):  # fmt: skip
    optimiser, history = torch.optim.Adam(network.parameters(), lr=rate), []
    for _ in range(epochs):
        losses = []
        for rows in torch.randperm(len(x0), generator=generator).split(64):
            t = torch.randint(first, end, (len(rows),), generator=generator)
            xt, noise = jump(x0[rows], t, generator)
            loss = F.mse_loss(network(xt, told(t)), target(x0[rows], noise))
            optimiser.zero_grad()
            loss.backward()
            if step:
                optimiser.step()
            losses.append(loss.item())
        history.append(sum(losses) / len(losses))
    return history


def by_loader(network, x0, epochs, rate, generator):
    """Right, with a DataLoader, and a last batch that counts by its size."""
    network.train()
    optimiser, history = torch.optim.Adam(network.parameters(), lr=rate), []
    data = torch.utils.data.TensorDataset(x0)
    for _ in range(epochs):
        total = 0.0
        for (x,) in torch.utils.data.DataLoader(data, 64, shuffle=True, generator=generator):
            t = torch.randint(1, 501, (len(x),))
            xt, noise = by_einsum(x, t, None)
            optimiser.zero_grad()
            loss = ((network(xt, t) - noise) ** 2).mean()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(x)
        history.append(total / len(x0))
    return history


def fresh_noise(x0, t, generator):
    return noisy(x0, t, generator)[0], torch.randn(x0.shape, generator=generator)


def every_loss(network, x0, epochs, rate, generator):
    return [loss for _ in range(epochs) for loss in train(network, x0, 1, rate, generator)] * 2


def one_time(network, x0, epochs, rate, generator):
    return train(
        network, x0, epochs, rate, generator, told=lambda t: t[:1], jump=lambda x, t, g: noisy(x, t * 0 + t[0], g)
    )


def posterior_mean(x, noise, t):
    return (x - (1 - ALPHAS[t]) / (1 - BAR[t]).sqrt() * noise) / ALPHAS[t].sqrt()


def wrong_mean(x, noise, t):
    return posterior_mean(x, noise, t) * ALPHAS[t]


def all_noise_off(x, noise, t):
    return (x - (1 - ALPHAS[t]).sqrt() * noise) / ALPHAS[t].sqrt()


def sample(
    network,
    m,
    generator,
    variance=SIGMA2,
    mode=False,
    last=1,
    squeeze=False,
    start=1.0,
    clamp=None,
    mean=posterior_mean,
):
    network.train(mode)
    with torch.no_grad():
        x = start * torch.randn(m, 1, 32, 32, generator=generator)
        for t in range(T, last - 1, -1):
            noise = network(x, torch.full((m,), t))
            x = mean(x, noise, t) + variance[t].sqrt() * torch.randn(x.shape, generator=generator)
    x = x if clamp is None else x.clamp(*clamp)
    return x.squeeze() if squeeze else x


def by_x0(network, m, generator):
    """Right, by way of x̂_0 and (31), with noise only where t > 1."""
    network.eval()
    x = torch.randn((m, 1, 32, 32), generator=generator)
    for t in reversed(range(1, T + 1)):
        with torch.no_grad():
            noise = network(x, t * torch.ones(m, dtype=torch.int64))
        x0 = (x - (1 - BAR[t]) ** 0.5 * noise) / BAR[t] ** 0.5
        x = (ALPHAS[t] ** 0.5 * (1 - BAR[t - 1]) * x + BAR[t - 1] ** 0.5 * (1 - ALPHAS[t]) * x0) / (1 - BAR[t])
        if t > 1:
            x = x + SIGMA2[t] ** 0.5 * torch.randn(x.shape, generator=generator)
    return x


def with_gradients(network, m, generator):
    x = sample(network, m, generator)
    return x + 0 * network(x, torch.full((m,), 1))


FORWARD, NOT_LAST = 1 - ALPHAS, torch.cat([torch.zeros(2), 1 - ALPHAS[2:]])


def recipe(**changes):
    return lambda: dataclasses.replace(Config(), diffusion=dataclasses.replace(Config().diffusion, **changes))


CHAPTER = {"schedule": "linear", "T": 500, "prediction": "eps", "levels": "uniform"}


def another_seed():
    return dataclasses.replace(recipe(**CHAPTER)(), seed=1)


RIGHT = [
    (check.task3, training_set),
    (check.task3, one_by_one),
    (check.task4, noisy),
    (check.task4, by_einsum),
    (check.exercise_5_1, half_life),
    (check.exercise_5_1, counted),
    (check.exercise_5_2, batch_loss),
    (check.exercise_5_2, mse),
    (check.exercise_5_3, process),
    (check.exercise_5_3, lambda n: (process(n)[0].float(), *process(n)[1:])),
    (check.exercise_5_3, lambda n: (process(n)[0], range(1, n + 1), range(n, 0, -1))),
    (check.task6, train),
    (check.task6, by_loader),
    (check.task5, sample),
    (check.task5, by_x0),
    (check.exercise_5_4, sample),
    (check.exercise_5_5, lambda x: (x / 2 + 0.5).clamp(0, 1)[:, 0]),
    (check.exercise_5_5, lambda x: ((x.squeeze(1) + 1) / 2).clip(0, 1).numpy()),
    (check.exercise_5_6, lambda few, many: (few.float() - many.float()).square().mean().sqrt().item()),
    (check.exercise_5_6, lambda few, many: F.mse_loss(few.double(), many.double()) ** 0.5),
    (check.exercise_5_7, recipe(**CHAPTER)),
]
WRONG = [
    ("yours are", check.task3, at_random),
    ("draw without replacement", check.task3, twice),
    ("belong to other images", check.task3, mislabelled),
    ("0 should become −1", check.task3, lambda *a: training_set(*a, scale=255)),
    ("off by", check.task3, lambda *a: training_set(*a, mode="nearest")),
    ("not rounded", check.task3, lambda *a: training_set(*a, whole=False)),
    ("gives different images", check.task3, lambda i, n, m, g: training_set(i, n, m, None)),
    (r"not \(100, 1, 32, 32\)", check.task3, lambda *a: training_set(*a, size=(28, 28))),
    ("training needs the noise too", check.task4, lambda *a: noisy(*a)[0]),
    ("return ε itself", check.task4, scaled_noise),
    ("entry 0 of the table", check.task4, lambda x, t, g: noisy(x, t.clamp(max=499), g, BAR[1:])),
    ("is T = 500", check.task4, lambda *a: noisy(*a, table=torch.cat([torch.ones(1), LATE]))),
    ("both factors roots", check.task4, without_roots),
    ("the same noise", check.task4, lambda *a: noisy(*a, one=True)),
    ("its own t|is T = 500", check.task4, lambda *a: noisy(*a, each=False)),
    ("hand it to torch.randn", check.task4, lambda x, t, g: noisy(x, t, None)),
    ("where your table begins", check.exercise_5_1, lambda n: half_life(n, 0)),
    ("where your table begins", check.exercise_5_1, lambda n: half_life(n, 2)),
    ("the root", check.exercise_5_1, lambda n: half_life(n, power=1)),
    ("draw it once", check.exercise_5_2, another_noise),
    ("never asks the network", check.exercise_5_2, lambda _, x0, t, g: torch.randn(x0.shape, generator=g).var()),
    ("has loss E ε² = 1", check.exercise_5_2, loss_of(lambda x0, xt, noise: noise, mean=False)),
    ("has loss E ε² = 1", check.exercise_5_2, loss_of(lambda x0, xt, noise: x0)),
    ("x_t = a·x_0", check.exercise_5_2, loss_of(lambda x0, xt, noise: noise, shown=without_roots)),
    ("yours are 500", check.exercise_5_3, lambda n: process(n, first=False)),
    ("never trained: .1.", check.exercise_5_3, lambda n: process(n, start=2)),
    ("each once", check.exercise_5_3, lambda n: process(n, last=2)),
    ("yours has no t", check.exercise_5_3, lambda n: (*process(n)[:2], [])),
    ("should be ᾱ_0 = 1", check.exercise_5_3, lambda n: (LATE.new_full((n + 1,), 0.5), *process(n)[1:])),
    ("not the product", check.exercise_5_3, lambda n: (BAR.new_ones(n + 1), *process(n)[1:])),
    ("the target", check.task6, lambda *a: train(*a, jump=fresh_noise)),
    ("the target", check.task6, lambda *a: train(*a, target=lambda x, noise: x)),
    ("have not changed", check.task6, lambda *a: train(*a, step=False)),
    ("uniform on 1", check.task6, lambda *a: train(*a, first=250)),
    ("its upper end", check.task6, lambda *a: train(*a, end=T)),
    ("its upper end", check.task6, lambda *a: train(*a, first=2)),
    ("the same t", check.task6, lambda *a: train(*a, told=lambda t: 501 - t)),
    ("the same t", check.task6, lambda *a: train(*a, jump=without_roots)),
    ("one mean loss per epoch", check.task6, every_loss),
    ("comes with 1 times", check.task6, one_time),
    ("answers in", check.task6, lambda network, x0, *a: train(network, x0[:100], *a)),
    ("σ_q²\\(1\\) = 0", check.task5, lambda *a: sample(*a, variance=FORWARD)),
    ("1 − α_t is", check.task5, lambda *a: sample(*a, variance=NOT_LAST)),
    ("training mode", check.task5, lambda *a: sample(*a, mode=True)),
    ("not at 500, …, 1", check.task5, lambda *a: sample(*a, last=2)),
    ("asked at no t", check.task5, lambda _, m, g: torch.randn(m, 1, 32, 32, generator=g)),
    ("carry gradients", check.task5, with_gradients),
    ("off the mean", check.task5, lambda *a: sample(*a, mean=wrong_mean)),
    ("off the mean", check.task5, lambda *a: sample(*a, mean=all_noise_off)),
    ("off the mean", check.task5, lambda *a: sample(*a, variance=SIGMA2**2)),
    ("leave it as it is", check.task5, lambda *a: sample(*a, clamp=(0, 1))),
    ("deviation 0.50", check.task5, lambda *a: sample(*a, start=0.5)),
    (r"not \(3, 1, 32, 32\)", check.task5, lambda *a: sample(*a, squeeze=True)),
    ("σ_q²\\(1\\) = 0", check.exercise_5_4, lambda *a: sample(*a, variance=FORWARD)),
    ("1 − α_t is", check.exercise_5_4, lambda *a: sample(*a, variance=NOT_LAST)),
    ("training mode", check.exercise_5_4, lambda *a: sample(*a, mode=True)),
    ("m = 1 gives", check.exercise_5_5, lambda x: (x / 2 + 0.5).clamp(0, 1).squeeze()),
    ("m = 10 gives", check.exercise_5_5, lambda x: (x / 2 + 0.5).clamp(0, 1)),
    ("the values are off", check.exercise_5_5, lambda x: x.clamp(0, 1)[:, 0]),
    ("the values are off", check.exercise_5_5, lambda x: (x / 2 + 0.5)[:, 0]),
    ("wraps round", check.exercise_5_6, lambda few, many: (few - many).float().square().mean().sqrt()),
    ("root of the mean", check.exercise_5_6, lambda few, many: (few.float() - many.float()).abs().mean()),
    ("differ by 20", check.exercise_5_6, lambda few, many: (few.float() - many.float()).square().mean()),
    ("prediction is", check.exercise_5_7, Config),
    ("T is 1000", check.exercise_5_7, recipe(**CHAPTER | {"T": 1000})),
    ("levels is", check.exercise_5_7, recipe(**CHAPTER | {"levels": "lognormal"})),
    ("seed", check.exercise_5_7, another_seed),
]  # fmt: skip
