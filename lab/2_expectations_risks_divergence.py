# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2 · Expectations, risks, divergence
#
# Training is averaging. This notebook is about averages over a distribution, averages over data, how far apart the two
# are, and how the distance between two distributions becomes an average that data can give.
#
# After this notebook you will be able to
#
# - tell an expectation from a sample mean and say how far apart they are;
# - attach a standard error to whatever you average;
# - say why the loss on the training data is too good, and by how much, in a case where all is exact;
# - compute a Kullback–Leibler divergence in three ways and say what its two directions ask for;
# - derive maximum likelihood from it.
#
# Equations (7)–(21). It builds on the Gaussians of notebook 1; notebook 3 fits the first model with what
# is found here.

# %% tags=["setup"]
# In Colab, or wherever fromnoise is not installed yet, this cell installs the wheel that lies beside the notebook.
import importlib.util
import subprocess
import sys
from pathlib import Path

if importlib.util.find_spec("fromnoise") is None:
    wheels = sorted(map(str, Path().glob("fromnoise-*.whl")))
    assert wheels, "put fromnoise's wheel beside this notebook; in its folder `pip wheel --no-deps .` makes one"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", wheels[-1]], check=True)

# %%
import math
import os  # noqa: F401 - for the switch below

import fromnoise  # noqa: F401 - before torch, for it says how PyTorch's threads wait
import torch

from fromnoise.lab import figures
from fromnoise.lab.notebook import setting, show
from fromnoise.lab import check
from fromnoise.probability.divergence import kl, kl_monte_carlo, kl_quadrature, log_gap
from fromnoise.probability.gaussian import Gaussian
from fromnoise.probability.mixture import Mixture
from fromnoise.probability.risk import SquaredRisk, expectation, sample_mean

# os.environ["FROMNOISE_LAB"] = "full"  # the switch: without the first # this notebook computes more
QUICK = setting() == "quick"
generator = torch.Generator().manual_seed(2)


def normal(mean, variance):
    """N(mean, variance) on the line."""
    return Gaussian.white(torch.tensor([mean], dtype=torch.float64), variance)


# %% [markdown]
# ## Expectations
#
# The expectation of $f(x)$ weights each value by how likely it is:
#
# $$\mathbb{E}_{x\sim p}\,f(x) = \int f(x)\,p(x)\,dx. \tag{7}$$
#
# It is a number that belongs to the distribution; no data are in it. For Gaussians the library's `expectation` finds
# the integral by Gauss–Hermite quadrature, which is exact for polynomials.

# %%
MEAN, VARIANCE = 2.0, 0.25
x = torch.linspace(-0.5, 4.5, 501, dtype=torch.float64)
density = normal(MEAN, VARIANCE).log_prob(x[:, None]).exp()
show(
    figures.weighted(x, density, x**2 / 10, "x²/10"),
    "An expectation is an area. Left: a density and a function. Right: their product. Where x is unlikely the function "
    "does not count, however great it is.",
    alt="Left: a bell curve around 2 and a parabola. Right: their product, a hump near 2 whose area is shaded.",
)
print(f"E x²/10 = {expectation(lambda x: x**2 / 10, MEAN, VARIANCE):.6f}, by hand (μ² + σ²)/10 = {(2**2 + 0.25) / 10}")

# %% [markdown]
# ## Sample means
#
# What data give is the sample mean,
#
# $$\bar f = \frac1N \sum_{n=1}^N f(x_n), \tag{8}$$
#
# which belongs to the data: other data, another mean. The law of large numbers says that for independent draws it comes
# close to the expectation. How close is the question that matters in practice. The variance of a mean of $N$
# independent values is the variance of one, divided by $N$, so the error is $\text{deviation}/\sqrt N$: four times the
# data for half the error.

# %%
f = lambda x: x**2
exact = expectation(f, MEAN, VARIANCE)
deviation = math.sqrt(expectation(lambda x: f(x) ** 2, MEAN, VARIANCE) - exact**2)
n = torch.arange(2, 10_001)
values = f(normal(MEAN, VARIANCE).sample(5 * 10_000, generator)[:, 0]).view(5, 10_000)
means = values.cumsum(dim=1)[:, 1:] / n
show(
    figures.running_means(n, means, exact, deviation),
    "Sample means of x² over the first N of 10,000 draws, five times. All five come to the expectation (black), and the "
    "funnel in which they do narrows as 1/√N.",
    alt="Five wandering lines against N on a logarithmic axis, inside a grey funnel that narrows to the right "
    "around one value.",
)

# %% [markdown]
# One sequence proves little. Here each mean is taken anew many times, and its error is the root of the mean squared
# distance to the exact expectation.

# %%
REPETITIONS = 300 if QUICK else 2000
sizes = torch.tensor([10, 30, 100, 300, 1000, 3000, 10_000])
functions = {"x": lambda x: x, "x²": lambda x: x**2, "eˣ": torch.exp}
errors = {}
data = normal(MEAN, VARIANCE)
for name, g in functions.items():
    truth = expectation(g, MEAN, VARIANCE)
    spread = math.sqrt(expectation(lambda x, g=g: g(x) ** 2, MEAN, VARIANCE) - truth**2)
    measured = []
    for size in sizes.tolist():
        found = [g(data.sample(size, generator)).mean() - truth for _ in range(REPETITIONS)]
        measured.append(torch.stack(found).square().mean().sqrt())
    errors[name] = (torch.stack(measured), spread / sizes.sqrt())
show(
    figures.falling(sizes, errors, "error of the sample mean"),
    f"The error of the sample mean of three functions over {REPETITIONS} repetitions each. Both axes are logarithmic: "
    "1/√N is a line of slope −1/2. The functions differ in their deviation, not in the slope.",
    alt="Three rows of markers on three parallel straight lines that fall to the right on two logarithmic axes.",
)
for name, (measured, theory) in errors.items():
    logs = torch.stack([sizes.double().log(), torch.ones(len(sizes), dtype=torch.float64)], dim=1)
    slope = torch.linalg.lstsq(logs, measured.log()[:, None]).solution[0].item()
    print(
        f"{name}: slope {slope:.3f}; measured over theory between {(measured / theory).min():.3f} and {(measured / theory).max():.3f}"
    )

# %% [markdown]
# In practice the deviation is not known either, and is estimated from the same data. `sample_mean` returns both: a mean
# and its standard error. A number without one is an anecdote.

# %%
estimate = sample_mean(f(normal(MEAN, VARIANCE).sample(1000, generator)[:, 0]))
print(f"E x² from {estimate.n} draws: {estimate.value:.3f} ± {estimate.standard_error:.3f}; exact {exact:.3f}")

# %% [markdown]
# ## Two risks
#
# A model with parameter $w$ pays the cost $c(\Phi(x, w))$ on data $x$. We have the **empirical risk**, the mean over
# the data, and want the **statistical risk**, the expectation over all data that may come:
#
# $$w^*_{\text{ERM}} = \text{arg}\,\min_w \frac1N\sum_{n=1}^N c(\Phi(x_n, w)), \tag{9}$$
#
# $$w^*_{\text{SRM}} = \text{arg}\,\min_w \mathbb{E}_{x\sim p}\,c(\Phi(x, w)). \tag{10}$$
#
# The smallest example in which both are exact: guess a number that is drawn from $\mathcal N(\mu, \sigma^2)$, at the
# cost $(x-w)^2$. The statistical risk is $(w-\mu)^2 + \sigma^2$. The empirical one is least at the sample mean.

# %%
risk = SquaredRisk(1.5, 4.0)
w = torch.linspace(-1.5, 4.5, 121, dtype=torch.float64)
sets = normal(risk.mean, risk.variance).sample(5 * 10, generator).view(5, 10)
empirical = torch.stack([torch.tensor([risk.empirical(v, x) for v in w.tolist()]) for x in sets])
best = torch.tensor([risk.empirical_minimiser(x) for x in sets])
show(
    figures.risks(
        w,
        torch.tensor([risk.statistical(v) for v in w.tolist()]),
        empirical,
        best,
        torch.tensor([risk.empirical(v, x) for v, x in zip(best.tolist(), sets, strict=True)]),
    ),
    "The risk we want (black) and what five sets of ten samples make of it (dashed). Each set has its own minimum (dot), "
    "off the true one (diamond) both sideways and, on average, downwards.",
    alt="A black parabola with a diamond at its lowest point and five dashed parabolas around it, each with a dot "
    "at its own.",
)

# %% [markdown]
# Sideways means that what is learnt is not the best: its statistical risk exceeds the least one by $\sigma^2/n$ on
# average, the **excess risk**. Downwards means that the training loss flatters: at its own minimum the empirical risk
# is $\sigma^2(1 - 1/n)$ on average. The two errors are equally large and have opposite signs.

# %%
REPETITIONS = 500 if QUICK else 5000
sizes = torch.tensor([2, 4, 8, 16, 32, 64, 128])
train, test = [], []
for size in sizes.tolist():
    data = normal(risk.mean, risk.variance).sample(REPETITIONS * size, generator).view(REPETITIONS, size)
    learnt = [risk.empirical_minimiser(x) for x in data]
    train.append(sample_mean(torch.tensor([risk.empirical(v, x) for v, x in zip(learnt, data, strict=True)])))
    test.append(sample_mean(torch.tensor([risk.statistical(v) for v in learnt])))
show(
    figures.two_risks(
        sizes,
        (torch.tensor([t.value for t in train]), risk.variance * (1 - 1 / sizes)),
        (torch.tensor([t.value for t in test]), risk.variance * (1 + 1 / sizes)),
        risk.variance,
    ),
    f"Mean risks after learning from n samples, over {REPETITIONS} repetitions, on what is theory (lines). The training "
    "loss starts too low and rises to the least possible risk while the loss on new data falls to it. Only the upper one "
    "says how good the model is.",
    alt="Two rows of markers that approach one horizontal line as n grows, one from above and one from below.",
)
for size, estimate in zip(sizes.tolist(), test, strict=True):
    excess = estimate.value - risk.variance
    print(
        f"n = {size:3d}: excess risk {excess:.4f} ± {estimate.standard_error:.4f}, exact {risk.expected_excess(size):.4f}"
    )
    assert abs(excess - risk.expected_excess(size)) < 4 * estimate.standard_error

# %% [markdown]
# This is why scores are taken on data that no one trained on, and why the packaged digits come in parts.
#
# ## The Kullback–Leibler divergence
#
# How far is a model $p$ from the data's distribution $q$? The divergence averages the logarithm of their ratio over the
# data:
#
# $$D(q\,\|\,p) = \mathbb{E}_{x\sim q}\log\frac{q(x)}{p(x)} = \int q(x)\log\frac{q(x)}{p(x)}\,dx. \tag{11}$$

# %%
q, p = normal(0.0, 1.0), normal(1.0, 4.0)
x = torch.linspace(-8, 10, 1801, dtype=torch.float64)
log_q, log_p = q.log_prob(x[:, None]), p.log_prob(x[:, None])
shown = (x > -5) & (x < 6)
show(
    figures.integrand(x[shown], log_q[shown].exp(), log_p[shown].exp()),
    "A divergence is an area too. Where q is above p the integrand adds to it, where q is below p it takes away. The sum "
    "is never negative.",
    alt="Two bell curves, one narrow and one wide, and the integrand between them: above zero in the middle, "
    "below it at the sides.",
)
print(f"closed form       {kl(q, p):.6f} nats")
print(f"integral          {kl_quadrature(log_q, log_p, x).item():.6f}")
found = kl_monte_carlo(q.sample(100_000, generator), q.log_prob, p.log_prob)
print(f"100,000 samples   {found.value:.6f} ± {found.standard_error:.6f}")
assert abs(found.value - kl(q, p)) < 4 * found.standard_error

# %% [markdown]
# The unit is the nat; divided by $\ln 2$ it is the bit. Three ways, one number. The third, Monte Carlo, needs neither a
# formula nor an integral, only samples of $q$ and two log densities, and is the one that is left in many dimensions. It
# is a sample mean, so all that was said of these holds.

# %%
q, p = normal(0.0, 1.0), normal(0.3, 0.81)
sizes = [10, 30, 100, 300, 1000, 3000, 10_000]
found = [kl_monte_carlo(q.sample(m, generator), q.log_prob, p.log_prob) for m in sizes]
show(
    figures.estimates(
        sizes,
        {"mean of log q/p": ([e.value for e in found], [e.standard_error for e in found])},
        kl(q, p),
        "D(q‖p) (nats)",
    ),
    "Monte Carlo estimates of a small divergence, with bars of two standard errors. With few samples the estimate may even "
    "be negative, which the divergence cannot.",
    alt="Estimates with error bars against the number of samples; the bars shrink around a horizontal line, and "
    "the first reach below zero.",
)

# %% [markdown]
# ### Never negative
#
# $D(q\,\|\,p) \ge 0$, and zero only for equal distributions (12). All of it follows from
# one picture: the logarithm lies below its tangent at 1, $\log r \le r - 1$. With $r = p/q$,
#
# $$D(q\,\|\,p) = -\int q\log\frac pq \;\ge\; -\int q\left(\frac pq - 1\right) = -\int p + \int q = 0. \tag{13–15}$$
#
# The last step is the normalisation (1), twice. And where $r \ne 1$ the inequality is strict: the divergence is zero
# only if $p = q$ wherever $q$ has mass.

# %%
r = torch.linspace(0.02, 4, 400, dtype=torch.float64)
show(
    figures.tangent(r, log_gap(r)),
    "Left: log r never exceeds r − 1 and touches it at r = 1 alone. Right: the gap. The divergence is the mean of this gap "
    "over x ~ q, with r = p(x)/q(x): a mean of numbers none of which is negative.",
    alt="Left: the logarithm below its tangent at r = 1, touching it there. Right: the gap between them, a valley "
    "that reaches zero at r = 1.",
)

# %% [markdown]
# ### Not symmetric
#
# In general $D(q\,\|\,p) \ne D(p\,\|\,q)$ (16). The difference is no blemish: the two directions ask for different
# things. To see it, fit one Gaussian to data with two bumps, once by each.

# %%
data = Mixture(torch.tensor([0.6, 0.4]), torch.tensor([[-2.0], [3.5]]), torch.full((2, 1, 1), 0.5, dtype=torch.float64))
x = torch.linspace(-25, 25, 1251, dtype=torch.float64)
log_q = data.log_prob(x[:, None])
mu = torch.linspace(-4, 5, 91, dtype=torch.float64)
sigma = torch.linspace(0.4, 3.6, 65, dtype=torch.float64)
log_p = lambda mu, sigma: torch.distributions.Normal(mu[:, None], sigma).log_prob(x)
forward = torch.stack([kl_quadrature(log_q, log_p(mu, s), x) for s in sigma])
reverse = torch.stack([kl_quadrature(log_p(mu, s), log_q, x) for s in sigma])


def minima(surface):
    """(μ, σ) wherever the surface is lower than at all eight neighbours on the grid, the least first."""
    inner = surface[1:-1, 1:-1]
    rows, columns = inner.shape
    shifted = [surface[i : i + rows, j : j + columns] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    found = (inner < torch.stack(shifted)).all(dim=0).nonzero().tolist()
    found.sort(key=lambda place: inner[tuple(place)].item())
    return [(mu[column + 1].item(), sigma[row + 1].item()) for row, column in found]


forward_minima, reverse_minima = minima(forward), minima(reverse)
covering, seeking = forward_minima[0], reverse_minima[0]
show(
    figures.landscapes(
        mu,
        sigma,
        {"D(q‖p): data to model": forward, "D(p‖q): model to data": reverse},
        {"D(q‖p): data to model": forward_minima, "D(p‖q): model to data": reverse_minima},
    ),
    "The two divergences between two-bumped data q and a Gaussian p = N(μ, σ²), over μ and σ. Left: one minimum (star), "
    "wide and between the bumps. Right: three, one on each bump, the star on the heavier, and a shallow one in between.",
    alt="Two maps over mean and deviation in shades of one colour with contour lines. The left one has one marked "
    "minimum, the right one three.",
)
fits = {"data q": log_q.exp()}
fits["least D(q‖p)"] = normal(covering[0], covering[1] ** 2).log_prob(x[:, None]).exp()
fits["least D(p‖q)"] = normal(seeking[0], seeking[1] ** 2).log_prob(x[:, None]).exp()
shown = x.abs() < 8
show(
    figures.densities(x[shown], {name: values[shown] for name, values in fits.items()}, shaded="data q"),
    "The two fits. D(q‖p) must put mass wherever there are data and covers both bumps, and the gap between them. D(p‖q) "
    "must not put mass where there are no data and settles on one bump.",
    alt="A grey curve with two bumps, a wide bell over both of them, and a narrow bell on the higher bump.",
)
print(f"least D(q‖p) at μ, σ = {covering[0]:.2f}, {covering[1]:.2f}; mean and deviation of the data: "
      f"{data.mean.item():.2f}, {data.covariance.sqrt().item():.2f}")  # fmt: skip
print(
    f"least D(p‖q) at μ, σ = {seeking[0]:.2f}, {seeking[1]:.2f}: {reverse.min().item():.3f} nats; −log 0.6 = {-math.log(0.6):.3f}"
)
assert (len(forward_minima), len(reverse_minima)) == (1, 3)
assert abs(covering[0] - data.mean.item()) < 0.06
assert abs(covering[1] - data.covariance.sqrt().item()) < 0.03

# %% [markdown]
# The fit by $D(q\,\|\,p)$ has the mean and the deviation of the data; that is no accident (notebook 3). Generative
# models are trained in this direction because it needs only samples of $q$: the other direction would need the density
# $q(x)$, which nobody has.
#
# ## From divergence to likelihood
#
# Training a generative model is statistical risk minimisation with the divergence for a loss (17). Its empirical
# version (18) still has the unknown $q(x_n)$ in it. Split the logarithm (19):
#
# $$D(q\,\|\,p_w) = \mathbb{E}_{x\sim q}\log q(x) - \mathbb{E}_{x\sim q}\log p(x, w).$$
#
# The first term does not depend on $w$. What is left to minimise is
#
# $$-\mathbb{E}_{x\sim q}\log p(x, w), \tag{20}$$
#
# $$-\frac1N\sum_{n=1}^N\log p(x_n, w), \tag{21}$$
#
# the second being its empirical version: **maximum likelihood**. No $q(x_n)$ is left in it.

# %%
q = normal(1.0, 1.0)
w = torch.linspace(-1.5, 3.5, 201, dtype=torch.float64)
models = [normal(v, 1.0) for v in w.tolist()]
samples = q.sample(50, generator)
divergence = torch.tensor([kl(q, p) for p in models])
cross = torch.tensor([-expectation(lambda x, p=p: p.log_prob(x[:, None]), 1.0, 1.0) for p in models])
likelihood = torch.stack([-p.log_prob(samples).mean() for p in models])
entropy = 0.5 * math.log(2 * math.pi * math.e)
at = 100  # w = 1
show(
    figures.objectives(
        w,
        {"D(q‖p_w) (17)": divergence, "−E log p_w (20)": cross, "−mean log p_w(x_n), N = 50 (21)": likelihood},
        (w[at].item(), divergence[at].item(), cross[at].item(), f"H(q) = {entropy:.2f}"),
    ),
    "Data from N(1, 1), models N(w, 1). (20) is (17) moved up by the entropy of the data, 1.42 nats for every w, so both are "
    "least at w = 1. (21) is (20) seen through 50 samples, and its minimum, their mean, is a little off.",
    alt="Three parabolas of the same shape over w. The upper two lie near each other; an arrow of length 1.42 "
    "leads from the lowest to the next.",
)
assert (cross - divergence - entropy).abs().max() < 1e-6
print(f"minimum of (21): w = {w[likelihood.argmin()].item():.3f}; mean of the 50 samples: {samples.mean().item():.3f}")

# %% [markdown]
# Which distribution minimises (20), if it may be any? It is $q$: $-\mathbb{E}_{x\sim q}\log p(x)$ exceeds the entropy of
# $q$ by $D(q\,\|\,p)$, whatever $p$ is, and reaches it for $p = q$ alone.
#
# <details><summary>Fault 1 of the original, at (20)</summary>
#
# The chapter says that the minimum is at $p$. It is at $q$.
#
# </details>

# %%
candidates = {
    "N(1, 1), which is q": q,
    "N(0, 1)": normal(0.0, 1.0),
    "N(1, 2)": normal(1.0, 2.0),
    "N(1, ½)": normal(1.0, 0.5),
    "two bumps": Mixture(torch.tensor([0.5, 0.5]), torch.tensor([[0.3], [1.7]]), torch.full((2, 1, 1), 0.51)),
}
for name, p in candidates.items():
    value = -expectation(lambda x, p=p: p.log_prob(x[:, None]), 1.0, 1.0)
    print(f"{name:20s} −E log p = {value:.4f} = {entropy:.4f} + {abs(value - entropy):.4f}")
    assert value > entropy - 1e-9

# %% [markdown]
# The last candidate has the mean and the variance of $q$ and still loses.
#
# Unlike the divergence, $-\log p$ may be negative, for a density may exceed one, and it changes with the units of $x$.
# That is harmless while comparing models on the same data. It matters when numbers are reported: notebook 7 counts bits
# of 8-bit images, where it cannot go wrong.

# %%
narrow = normal(0.0, 0.01)
print(
    f"−E log p of N(0, 0.01) on its own samples: {-expectation(lambda x: narrow.log_prob(x[:, None]), 0.0, 0.01):.3f} nats"
)

# %% [markdown]
# ## Exercises
#
# ### Exercise 2.1: is the standard error honest?
#
# If it is, the interval mean ± 2 standard errors holds the expectation about 95 times in a hundred. Write the interval.
# The solution counts how often it holds $\mathbb{E}\,x^2$ for $N = 100$.


# %% tags=["stub"]
def interval(values):
    """The two ends of mean ± 2 standard errors. values: N numbers."""
    return check.TODO, check.TODO


# %% [markdown] tags=["hint"]
# How far does *one* value lie from the mean, and how far the mean of $N$ of them from the expectation?


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 2.1
def interval(values):
    """The two ends of mean ± 2 standard errors. values: N numbers."""
    error = values.std() / math.sqrt(len(values))
    return values.mean() - 2 * error, values.mean() + 2 * error


held = 0
for _ in range(1000):
    low, high = interval(normal(MEAN, VARIANCE).sample(100, generator)[:, 0] ** 2)
    held += bool(low < exact < high)
print(f"{held / 10:.1f} % of 1,000 intervals hold the expectation")

# %% tags=["check"]
check.exercise_2_1(interval)

# %% [markdown]
# ### Exercise 2.2: a mean that never settles
#
# The law of large numbers asks for an expectation to exist. The Cauchy distribution has none. Draw from it (the ratio
# of two standard normal numbers) and measure how the spread of the sample mean depends on $N$. Take the distance
# between the quartiles of many means, since a standard deviation does not exist either. What do you expect?


# %% tags=["stub"]
def spread(n, repetitions, generator):
    """The distance between the quartiles of `repetitions` means, each of n Cauchy numbers."""
    return check.TODO


# %% [markdown] tags=["hint"]
# Draw `repetitions` × `n` numbers at once and take the mean over one axis. `torch.quantile` takes the shares 0.25 and
# 0.75 as a tensor of the same dtype.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 2.2
def spread(n, repetitions, generator):
    """The distance between the quartiles of `repetitions` means, each of n Cauchy numbers."""
    a, b = torch.randn(2, repetitions, n, dtype=torch.float64, generator=generator)
    low, high = torch.quantile((a / b).mean(dim=1), torch.tensor([0.25, 0.75], dtype=torch.float64))
    return (high - low).item()


for size in (10, 100, 1000):
    print(f"N = {size:4d}: half of the means lie within {spread(size, 2000, generator):.2f}")
print("The mean of N Cauchy numbers is distributed as one of them: averaging does not help.")

# %% tags=["check"]
check.exercise_2_2(spread)

# %% [markdown]
# ### Exercise 2.3: an estimate that is never negative
#
# The text found $D(q\,\|\,p)$ to be the mean of $(r-1) - \log r$ over $x \sim q$, with $r = p/q$. That is another Monte
# Carlo estimate. Write it, with its standard error. Then compare it with the plain one.


# %% tags=["stub"]
def estimate(log_q, log_p):
    """D(q‖p) as the mean of (r − 1) − log r, and its standard error. Both get N numbers, at draws x_n of q."""
    return check.TODO, check.TODO


# %% [markdown] tags=["hint"]
# $\log r$ is a difference of what you get. The error is that of any sample mean.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 2.3
# Mind: where p has much heavier tails than q, r has a large variance or none, and the plain mean is the better one.
def estimate(log_q, log_p):
    """D(q‖p) as the mean of (r − 1) − log r, and its standard error. Both get N numbers, at draws x_n of q."""
    found = sample_mean(log_gap((log_p - log_q).exp()))
    return found.value, found.standard_error


q, p = normal(0.0, 1.0), normal(0.3, 0.81)
plain, gaps = [], []
for m in sizes:
    drawn = q.sample(m, generator)
    ordinary = kl_monte_carlo(drawn, q.log_prob, p.log_prob)
    plain.append((ordinary.value, ordinary.standard_error))
    gaps.append(estimate(q.log_prob(drawn), p.log_prob(drawn)))
show(
    figures.estimates(
        sizes,
        {
            name: tuple(zip(*found, strict=True))
            for name, found in {"mean of log q/p": plain, "mean of (r − 1) − log r": gaps}.items()
        },
        kl(q, p),
        "D(q‖p) (nats)",
    ),
    "Two estimates from the same samples. The gap is never negative, and here its error is far smaller: r − 1 has mean "
    "zero and cancels most of what log r varies by.",
    alt="Two rows of estimates with error bars around one horizontal line; the bars of the second are much shorter.",
)

# %% tags=["check"]
check.exercise_2_3(estimate)

# %% [markdown]
# ### Exercise 2.4: two Gaussians of one variance
#
# Derive $D(\mathcal N(\mu_q, \sigma^2 I)\,\|\,\mathcal N(\mu_p, \sigma^2 I))$ in $n$ dimensions on paper, and write it.
# This is the step from (33) to (36): a diffusion model's steps have equal variances, so their divergence is a squared
# distance of means.


# %% tags=["stub"]
def divergence_of_means(mean_q, mean_p, variance):
    """D in nats. mean_q, mean_p: n numbers; variance: the σ² of both."""
    return check.TODO


# %% [markdown] tags=["hint"]
# Write $\log q(x) - \log p(x)$: the constants cancel. Then take its mean over $x = \mu_q + \sigma\varepsilon$.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 2.4
def divergence_of_means(mean_q, mean_p, variance):
    """D in nats. mean_q, mean_p: n numbers; variance: the σ² of both."""
    return (mean_q - mean_p).square().sum().item() / (2 * variance)


# %% tags=["check"]
check.exercise_2_4(divergence_of_means)

# %% [markdown] tags=["solution"]
# ### Solution to 2.4, on paper
#
# $\log q - \log p = (\|x-\mu_p\|^2 - \|x-\mu_q\|^2)/2\sigma^2$. Over $x \sim q$ the first square has mean
# $n\sigma^2 + \|\mu_q-\mu_p\|^2$ and the second $n\sigma^2$. What is left is $\|\mu_q-\mu_p\|^2/2\sigma^2$. (The chapter
# drops the $1/2\sigma_q^2$ in (36): its fault 1 again.)

# %% [markdown]
# ## References
#
# - D. J. C. MacKay, *Information Theory, Inference, and Learning Algorithms*, 2003, chapters 2 and 33: the divergence,
#   and its two directions.
# - T. M. Cover and J. A. Thomas, *Elements of Information Theory*, 2nd edition 2006, chapter 2: (12)–(16).
# - T. Hastie, R. Tibshirani and J. Friedman, *The Elements of Statistical Learning*, 2nd edition 2009, chapter 7: the two
#   risks, and why the first is too low.
# - J. Schulman, *Approximating KL Divergence*, 2020: the estimate of exercise 2.3.
