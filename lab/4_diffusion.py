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
# # 4 · Forward and backward diffusion
#
# Everything that later happens to images happens here to numbers and to points in the plane, where it can be seen,
# and where the right answer is known.
#
# After this notebook you will be able to
#
# - add noise step by step and in one jump, and say why both give the same distribution;
# - write down the true backward step and check its mean and variance;
# - say what an ideal denoiser is, and use it to run a sampler without any training;
# - measure how fast different samplers approach the right answer;
# - train a small network on points in the plane and tell how far it is from perfect.
#
# Equations (25)–(40) of the chapter. Images follow in notebook 5.

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
import time
from itertools import pairwise

import fromnoise  # noqa: F401 - before torch, for it says how PyTorch's threads wait
import torch

from fromnoise.diffusion import backward, forward, ideal, level
from fromnoise.diffusion.samplers import levels_for, sampler
from fromnoise.diffusion.schedule import rescaled_to_zero_terminal_snr, schedule
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.faces import figures
from fromnoise.faces.notebook import setting, show
from fromnoise.plane.distance import floor, transport_distance
from fromnoise.plane.learn import learn, sample
from fromnoise.plane.sets import MIXTURE, SETS

QUICK = setting() == "quick"


def generator(seed):
    return torch.Generator().manual_seed(seed)


# %% [markdown]
# ## The forward process
#
# One step (25) shrinks what is there and adds a little noise: $x_t = \sqrt{\alpha_t}\,x_{t-1} +
# \sqrt{1-\alpha_t}\,\varepsilon_t$. After many steps only noise is left. How fast is up to the schedule $\alpha_1
# \dots \alpha_T$. The tables here are indexed by $t$ itself, with $\alpha_0 = \bar\alpha_0 = 1$ for clean data.
# (Fault 4 of the original: its tables begin one early, so that two entries are never trained, one of them is used in
# sampling all the same, and one is never undone.)

# %%
tables = {
    "linear, T = 500": schedule("linear", 500),
    "linear, T = 1000": schedule("linear", 1000),
    "cosine, T = 500": schedule("cosine", 500),
}
show(
    figures.schedules(tables),
    "What is left of the signal, and the logarithm of the signal-to-noise ratio, along three schedules. The linear one with "
    "T = 500 ends with a trace of the data left.",
)
for name, table in tables.items():
    print(
        f"{name}: √ᾱ at t = 500 is {table.alphas_cumprod[500].sqrt():.3f}, at the end {table.alphas_cumprod[-1].sqrt():.4f}"
    )
assert tables["linear, T = 500"].alphas[1] == 0.9999

# %% [markdown]
# Two things to note. With T = 500, as the chapter's text has it, $\sqrt{\bar\alpha_T} = 0.080$: sampling starts from
# pure noise although the training never ended there. With T = 1000, as its code has it (fault 2), the picture "at t =
# 500" still holds 0.28 of the signal.
#
# ## Path and jump
#
# A walk of $t$ steps is a sum of normals, so it can be taken in one jump (27), (28):
# $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon$. Below, numbers that are all $-1$ or $1.5$ walk to noise.

# %%
table = tables["linear, T = 500"]
n = 4000 if QUICK else 40_000
x0 = torch.where(torch.rand(n, 1, generator=generator(0)) < 0.5, -1.0, 1.5).double()
walk = forward.path(x0, table, generator(1))[:, :, 0]
ahead = x0[:, 0] > 0
show(
    figures.paths(walk[:, ahead][:, :25], 1.5 * table.alphas_cumprod.sqrt(), (1 - table.alphas_cumprod).sqrt()),
    "Twenty-five walks that start at 1.5. The lines are the mean and two deviations of the jump: √ᾱ·x₀ and √(1 − ᾱ).",
)

# %%
t = 100
jumped, noise = forward.noisy(x0, torch.tensor(t), table, generator(2))
show(
    figures.path_against_jump(walk[t], jumped[:, 0], f"$x_{{{t}}}$"),
    "The distribution at t = 100, reached in a hundred steps and in one jump: the same.",
)
for name, values in (("step by step", walk[t]), ("in one jump", jumped[:, 0])):
    print(f"{name}: mean {values.mean():.3f}, variance {values.var():.3f}")
error = 4 / math.sqrt(n)
assert abs(walk[t].mean() - jumped.mean()) < 2 * error
assert abs(walk[t].var() - jumped.var()) < 2 * error

# %% [markdown]
# The jump also hands back the noise it used. Training needs it, because the noise is what the network learns to tell
# (38). (Fault 3 of the original: its function does not return the noise, and its training loop compares with a
# variable that does not exist.)
#
# ## The true backward step
#
# Where did $x_t$ come from? If $x_0$ is known, the answer is a normal distribution (29) with variance
# $\sigma_q^2(t)\,I$ (30) and a mean that can be written with $x_0$ (31) or with the noise (32). (Fault 1: the
# original writes $\sigma_q$ where the covariance $\sigma_q^2 I$ belongs.)

# %%
t = 40
clearer, noisier = table.logsnr[t - 1 : t], table.logsnr[t : t + 1]
one = torch.tensor([[1.0]], dtype=torch.float64)
epsilon = torch.tensor([[0.7]], dtype=torch.float64)
xt = forward.jump(one, epsilon, noisier)
mean = backward.posterior_mean(xt, one, clearer, noisier)
again = backward.posterior_mean_from_noise(xt, epsilon, clearer, noisier)
variance = backward.posterior_variance(clearer, noisier)
wide = torch.tensor([table.logsnr[10]])
show(
    figures.normals(
        {
            "one step back, t = 39": (float(mean), float(variance)),
            "thirty steps back, t = 10": (
                float(backward.posterior_mean(xt, one, wide, noisier)),
                float(backward.posterior_variance(wide, noisier)),
            ),
        },
        {"$x_{40}$": float(xt), "$x_0$": 1.0},
    ),
    "The true backward distribution from t = 40, one step and thirty steps back, for a number whose clean value is 1. One step "
    "moves little; many steps at once move almost to the clean value.",
)
print(f"mean from x0 (31): {float(mean):.12f}, from the noise (32): {float(again):.12f}")
assert torch.allclose(mean, again, rtol=1e-12)
assert torch.isclose(variance[0], table.posterior_variance[t], rtol=1e-10)

# %% [markdown]
# ## The ideal denoiser
#
# In truth $x_0$ is not known. The best guess is the mean of what it may be, $E[x_0|x_t]$, and it follows from the
# data's distribution alone. For a mixture of Gaussians there is a formula. So a sampler can be run with no training
# at all, and whatever is wrong at its end is the sampler's own doing.
#
# For Gaussian data the whole way back is linear, and its variance can be followed exactly. The chapter's text steps
# back with the posterior variance $\sigma_q^2$, its code with $1-\alpha_t$ (fault 5), and the code adds noise even
# after the last step (fault 5 again). Data of variance 1 should come out with variance 1, and data that do not vary at
# all, as the black corner of every digit does not, with none:

# %%


def final_variance(table, name, noise_at_the_end=False, data=1.0):
    """Variance of what ancestral sampling makes of N(0, 1) through the ideal denoiser of N(0, data)."""
    denoise = ideal.of_mixture(torch.ones(1), torch.zeros(1, 1), data * torch.ones(1, 1, 1))
    total = 1.0
    for t in range(table.T, 0, -1):
        clearer, noisier = table.logsnr[t - 1 : t], table.logsnr[t : t + 1]
        unit = torch.ones(1, 1, dtype=torch.float64)
        shrink = backward.posterior_mean(unit, denoise(unit, noisier)[0], clearer, noisier)
        last = clearer == level.CLEAN
        added = backward.variance(name, clearer, noisier) if not last or noise_at_the_end else 0.0
        total = float(shrink) ** 2 * total + float(added)
    return total


for name, noisy_end in (("posterior", False), ("forward", False), ("forward", True)):
    varied, constant = (final_variance(table, name, noisy_end, data) for data in (1.0, 1e-10))  # nearly none
    print(f"{name}, noise at the end {noisy_end}: {varied:.4f} where 1 is right, {constant:.4f} where 0 is")
assert abs(final_variance(table, "posterior") - 0.9875) < 5e-5
assert abs(final_variance(table, "forward") - 0.9999) < 5e-5
assert abs(final_variance(table, "forward", True, 1e-10) - 1e-4) < 1e-6

# %% [markdown]
# Of $N(0, 1)$ the code's last noise happens to add just what was missing. Where the data do not vary it stays: a
# deviation of 0.01 in $[-1, 1]$, or 1.3 grey levels of noise on every black pixel.

# %% [markdown]
# ## How samplers converge
#
# For data $N(0, \tfrac14)$ a deterministic sampler multiplies its starting noise by one number, which should be the
# data's deviation. With few steps it is not. DDIM nears it at first order, DPM-Solver++ at second: twice the steps, a
# quarter of the error.

# %%


def factor(name, steps, variance=0.25):
    """What the sampler multiplies its starting noise by, through the ideal denoiser of N(0, variance)."""
    denoise = ideal.of_mixture(torch.ones(1), torch.zeros(1, 1), variance * torch.ones(1, 1, 1))
    settings = SamplerSettings(sampler=name, sampling_steps=steps, spacing="logsnr")
    levels = levels_for(settings, table) - math.log(variance)  # where data of unit variance has its levels
    return float(sampler(settings)(denoise, torch.ones(1, 1, dtype=torch.float64), levels, lambda k: None))


steps = [4, 8, 16, 32, 64] if QUICK else [4, 8, 16, 32, 64, 128]
exact = factor("dpm++", 2000)
errors = {name: [abs(factor(name, k) - exact) for k in steps] for name in ("ddim", "dpm++")}
show(
    figures.convergence(steps, {"DDIM": errors["ddim"], "DPM-Solver++(2M)": errors["dpm++"]}, "error of the deviation"),
    "How far the deviation of the samples is from that of 2,000 steps, for data from N(0, ¼) and the ideal denoiser. The better "
    "sampler's error is half as large with 4 network calls, and more than ten times smaller from 32 on.",
)
for name, values in errors.items():
    orders = [math.log2(one / two) for one, two in pairwise(values)]
    print(f"{name}: the order of convergence, from each doubling: {', '.join(f'{order:.2f}' for order in orders)}")
assert 0.8 < math.log2(errors["ddim"][-2] / errors["ddim"][-1]) < 1.3
assert errors["dpm++"][-1] < errors["ddim"][-1] / 10

# %% [markdown]
# ## In the plane
#
# Points in two dimensions show what happens to shapes. Forward, every shape melts into the same round cloud.
# Backward, with the exact denoiser of a mixture of five Gaussians, the cloud separates into the five again.

# %%
m = 800 if QUICK else 2000
denoise = ideal.of_mixture(MIXTURE.weights, MIXTURE.means, MIXTURE.covariances)
times = [0, 50, 120, 250, 500]
melting = {
    name: [forward.noisy(SETS[name](m, generator(0)), torch.tensor(t), table, generator(1))[0] for t in times]
    for name in ("rings", "spiral")
}
show(
    figures.films(melting, [f"t = {t}" for t in times]),
    "Forward: two sets of points and their noisy versions along the linear schedule, T = 500. At the end they cannot be told apart.",
)
seen = []
drawn = sample(denoise, m, SamplerSettings(sampling_steps=20), callback=lambda visit: seen.append(visit))
at = [0, 6, 10, 14]
show(
    figures.films(
        {
            "$x_t$": [seen[k].x for k in at] + [drawn],
            "$\\hat{x}_0$": [seen[k].x0 for k in at] + [drawn],
        },
        [f"call {k + 1}" for k in at] + ["end"],
    ),
    "Backward, with the exact denoiser of the mixture: the noisy points, and the denoiser's guess of where they come from. At first "
    "every guess is the mean of all data; the five groups part in the middle of the way.",
)

# %% [markdown]
# ## Learning it
#
# Without the formula a network has to learn it from points, through the same levels, objective (38) and samplers that
# serve images later. The yardstick is the transport distance: the least root-mean-square way that takes one set of
# points into another. Two sets of real points are not at distance zero either: that is the floor.

# %%
learning = {name: SETS[name](10_000, generator(3)) for name in SETS}
training = {"steps": 400} if QUICK else {}
models, pairs = {}, {}
for name, points in learning.items():
    start = time.perf_counter()
    models[name] = learn(points, **training)
    seconds = time.perf_counter() - start
    apart = [
        transport_distance(sample(models[name], 1000, seed=k), SETS[name](1000, generator(10 + k))) for k in range(3)
    ]
    least = floor(SETS[name], draws=3)
    pairs[name] = (SETS[name](1000, generator(4)), sample(models[name], 1000))
    print(
        f"{name:8} trained in {seconds:4.1f} s: distance {sum(apart) / 3:.3f}, floor {least.mean:.3f} ± {least.deviation:.3f}, "
        f"ratio {sum(apart) / 3 / least.mean:.2f}"
    )
show(
    figures.real_and_drawn(pairs),
    "Four sets of points: real ones above, points drawn from a network that learnt each set below.",
)

# %% [markdown]
# For the mixture the exact score is known, so the learnt one can be laid beside it: at a middle noise level both
# say where the data is from here, and how strongly.

# %%
grid = torch.linspace(-2.4, 2.4, 13, dtype=torch.float64)
places = torch.cartesian_prod(grid, grid)
middle = torch.tensor([0.5], dtype=torch.float64)
cloud = forward.jump(
    MIXTURE.sample(m, generator(5)), torch.randn(m, 2, generator=generator(6), dtype=torch.float64), middle
)
with torch.no_grad():
    learnt = ideal.score(models["mixture"])(places.float(), middle).double()
    right = ideal.score(denoise)(places, middle)
show(
    figures.fields(places, {"exact score": right, "learnt score": learnt}, cloud),
    "The score of the noisy mixture at λ = 0.5, exact and learnt from ten thousand points, over noisy points. They "
    "agree where there is data; far outside nothing was learnt.",
)

# %%
ladder = [25, 50, 100, 200] if QUICK else [25, 50, 100, 250, 500, 1000, 2000]
real = [SETS["mixture"](1000, generator(20 + k)) for k in range(3)]


def distance(denoiser):
    return sum(transport_distance(sample(denoiser, 1000, seed=k), real[k]) for k in range(3)) / 3


distances = [distance(learn(learning["mixture"], steps=k)) for k in ladder]
least = floor(SETS["mixture"], draws=5)
show(
    figures.distance_to_floor(ladder, distances, (least.mean, least.deviation), distance(denoise)),
    "The learnt mixture's distance to real points against the length of its training: it falls to the floor, which the exact "
    "denoiser reaches with the same sampler.",
)
assert distances[-1] < distances[0]

# %% [markdown]
# ## What a perfect loss would give
#
# The ideal denoiser of the *training points themselves* is known too: a weighted mean of the points. A network that
# made the loss (38) as small as it can be would compute it, and draw nothing but training points. That a network
# draws new ones is owed to what it cannot learn exactly. Notebook 6 tests for copies.

# %%
few = learning["spiral"][:60]
copies = sample(ideal.of_points(few), 500)
nearest = torch.cdist(copies, few).min(dim=1).values
print(
    f"500 draws through the ideal denoiser of 60 points: the farthest lies {float(nearest.max()):.1e} from a training point"
)
assert nearest.quantile(0.95) < 0.05

# %% [markdown]
# ## Exercises
#
# ### Exercise 4.1
#
# Show with the tables that the variance of the jump is what the walk adds up to: $1-\bar\alpha_t =
# \alpha_t(1-\bar\alpha_{t-1}) + (1-\alpha_t)$.

# %%
# Your turn

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 4.1
built = [0.0]
for alpha in table.alphas[1:]:
    built.append(float(alpha) * built[-1] + 1 - float(alpha))
assert torch.allclose(torch.tensor(built, dtype=torch.float64), 1 - table.alphas_cumprod, rtol=1e-10, atol=1e-14)
print("one recursion, the same numbers to ten digits")

# %% [markdown]
# ### Exercise 4.2
#
# The chapter's text starts its training at t = 2. Which step of sampling then relies on a level that was never
# trained? What does the true backward variance (30) become there?

# %%
# Your turn

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 4.2
print(
    f"the last one, from t = 1 to clean data; its variance (30) is {float(table.posterior_variance[1])}: no noise is added"
)
assert table.posterior_variance[1] == 0

# %% [markdown]
# ### Exercise 4.3
#
# Rescale the linear schedule to zero terminal signal-to-noise ratio (`rescaled_to_zero_terminal_snr`). What is
# $\sqrt{\bar\alpha_T}$ then, and why can a network that predicts the noise not start there?

# %%
# Your turn

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 4.3
rescaled = rescaled_to_zero_terminal_snr(schedule("linear", 500))
print(f"√ᾱ at the end: {float(rescaled.alphas_cumprod[-1].sqrt())}; (x − b·ε)/a would divide by it")
assert rescaled.alphas_cumprod[-1] == 0
