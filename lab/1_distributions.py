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
# # 1 · Distributions
#
# A generative model is a probability distribution that one can draw from. This notebook is about the distribution of
# which everything later is built, the Gaussian: on a line, in the plane, and in as many dimensions as an image has
# pixels.
#
# After this notebook you will be able to
#
# - check that a formula is a density: it integrates to one;
# - read mean, spread and direction off a mean vector and a covariance matrix;
# - draw from any Gaussian with nothing but standard normal numbers and a Cholesky factor;
# - compare samples with a density in numbers, not only by eye;
# - say why in many dimensions no sample looks like the most likely point.
#
# Equations (1)–(6) and task 1. The numbers of equations, tasks and faults are those of the chapter that this lab
# follows (its README says what is where). Notebook 2 goes on with averages over distributions and with
# distances between them.

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
from itertools import pairwise

import fromnoise  # noqa: F401 - before torch, for it says how PyTorch's threads wait
import torch

from fromnoise.data.sources import load
from fromnoise.lab import figures
from fromnoise.lab.notebook import follow, setting, show
from fromnoise.generation.likelihood import bound_bits
from fromnoise.generation.model import Model
from fromnoise.generation.pretrained import packaged
from fromnoise.lab import check
from fromnoise.probability.gaussian import Gaussian

# os.environ["FROMNOISE_LAB"] = "full"  # the switch: without the first # this notebook computes more
QUICK = setting() == "quick"

# %% [markdown] tags=["note"]
# Start with the bag, before any formula. Ask the class to order the three images of the second figure before you show
# the numbers, and ask what the number would be an answer to. Ten minutes.

# %% [markdown]
# ## A bag of digits
#
# Think of a bag that holds every handwritten digit that anyone might ever write. Reach in and take one. Most of what
# comes out looks ordinary. A digit that is hard to read comes out now and then. A picture of noise never does.
#
# A probability distribution $p(x)$ says all of this in one function: it gives each image $x$ a number, and images with
# a larger number come out more often. Nobody knows the bag's $p(x)$. All we have is what was drawn from it so far: here,
# 3,000 digits. A **generative model** is a distribution that we build from those, as close to the bag's as we can, and
# that we can draw from as often as we like.

# %%
heldout = load("digits:heldout", (32, 32))
handful = torch.randperm(len(heldout), generator=torch.Generator().manual_seed(7))[:40]
show(
    figures.picture_grid(heldout.images[handful], columns=20),
    "Forty draws from the bag.",
    alt="Two rows of twenty small handwritten digits, white on black, in many hands and in no order.",
)

# %% [markdown]
# A model of the bag must be able to tell a likely image from an unlikely one. Here are three, in order of decreasing
# likelihood under the diffusion model that comes with fromnoise: a plain five, a five that is hard to read, and the
# pixels of the first in random order. The number below each is $-\log_2 p(x)$, divided by the number of pixels: how
# many **bits** each pixel costs. Fewer bits mean a likelier image. One bit more for each of 1,024 pixels makes an image
# $2^{1024}$ times less likely. Notebook 7 explains how such a number is found, and what it does not tell.

# %%
model = Model.load(packaged("digits"))
plain, odd = heldout.images[heldout.labels == 5][[42, 5]]
shuffled = plain.flatten()[torch.randperm(32 * 32, generator=torch.Generator().manual_seed(0))].view(1, 32, 32)
three = torch.stack([plain, odd, shuffled])
found = bound_bits(model, three, 128)
show(
    figures.ranked_images(three, found.bits.tolist(), ("a plain five", "an odd five", "its pixels shuffled")),
    "Three images in order of decreasing likelihood, in bits per pixel (an upper bound, from notebook 7).",
    alt="A clear handwritten five, a five that could be another digit, and scattered white pixels on black, from left "
    "to right. The bits below them rise.",
)
assert found.bits[0] < found.bits[1] < found.bits[2]

# %% [markdown]
# The way from here: this notebook makes the simplest distribution precise. Notebook 2 says how far apart two
# distributions are. Notebook 3 fits the first model to digits, and it fails. Notebooks 4 and 5 build one that does not.

# %% [markdown]
# ## Densities
#
# A density $p(x)$ says how likely values near $x$ are. One draw has one outcome, so the whole mass is one:
#
# $$\int p(x)\,dx = 1. \tag{1}$$
#
# Probabilities are areas under the curve. The height of the curve is no probability: it may exceed one, and it changes
# when $x$ is measured in other units.
#
# The Gaussian with mean $\mu$ and variance $\sigma^2$ is
#
# $$p(x) = \frac{1}{\sqrt{2\pi}\,\sigma}\exp\left[-\frac{(x-\mu)^2}{2\sigma^2}\right]. \tag{2}$$
#
# In the library a Gaussian is an object with `log_prob` and `sample`. It returns the logarithm because densities in
# many dimensions are too small, or too large, for floating-point numbers, while their logarithms are harmless.

# %%
x = torch.linspace(-4, 11, 1501, dtype=torch.float64)
line = {
    "N(0, 1)": Gaussian.white(torch.tensor([0.0]), 1),
    "N(4, 1)": Gaussian.white(torch.tensor([4.0]), 1),
    "N(8, ¼)": Gaussian.white(torch.tensor([8.0]), 0.25),
}
curves = {name: gaussian.log_prob(x[:, None]).exp() for name, gaussian in line.items()}
show(
    figures.densities(x, curves),
    "Three Gaussian densities. The mean moves the bell. The variance sets its width, and so its height: a quarter of "
    "the variance is half the width and twice the height, since the area stays one.",
    alt="Three bell curves over x, at 0, 4 and 8; the third is half as wide as the others and twice as high.",
)
for name, values in curves.items():
    print(f"{name}: area {torch.trapezoid(values, x).item():.6f}, greatest density {values.max().item():.3f}")

# %% [markdown]
# The area of the first misses one in the fifth decimal because the picture cuts its left tail off at $-4$, four
# deviations from the mean.

# %%
generator = torch.Generator().manual_seed(1)
draws = line["N(4, 1)"].sample(100_000, generator)[:, 0]
for k in (1, 2, 3):
    within = ((draws - 4).abs() < k).double().mean().item()
    print(f"within {k} deviation{'s' * (k > 1)}: {within:.4f} of the draws, {math.erf(k / math.sqrt(2)):.4f} expected")

# %% [markdown]
# ## More than one dimension
#
# For $x \in \mathbb{R}^n$ the mean is a vector and the variance a symmetric, positive definite matrix $C$:
#
# $$p(x) = \frac{1}{(2\pi)^{n/2}\det^{1/2}(C)}\exp\left[-\tfrac12 (x-\mu)^T C^{-1} (x-\mu)\right]
# = \mathcal{N}(x;\mu,C). \tag{3, 4}$$
#
# The exponent is half the squared distance from the mean, measured in deviations: $C^{-1}$ divides by the spread in
# each direction. Written out, the formula gives what `log_prob` gives:

# %%
gaussian = Gaussian(torch.tensor([1.0, -2.0]), torch.tensor([[20.0, 16.0], [16.0, 20.0]]))
point = torch.tensor([7.0, 3.0], dtype=torch.float64)
off = point - gaussian.mean
exponent = -0.5 * off @ torch.linalg.inv(gaussian.covariance) @ off
constant = -0.5 * (2 * math.log(2 * math.pi) + torch.logdet(gaussian.covariance))
print(f"by formula (3)  log p = {(exponent + constant).item():.10f}")
print(f"log_prob        log p = {gaussian.log_prob(point).item():.10f}")

# %% [markdown]
# A matrix that is no covariance is refused. This one claims that two variables of variance 1 have covariance 2:

# %%
try:
    Gaussian(torch.zeros(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
except ValueError as error:
    print(error)

# %% [markdown]
# ### White and coloured
#
# With $C = \sigma^2 I$ the density depends on the distance to the mean alone. Such a Gaussian is **white**:
#
# $$p(x) = \frac{1}{(2\pi\sigma^2)^{n/2}}\exp\left[-\frac{1}{2\sigma^2}\|x-\mu\|^2\right]; \tag{5}$$
#
# with $\mu = 0$ and $\sigma^2 = 1$ it is the **standard** one, and the noise of every diffusion model. All others are
# **coloured**. In the plane,
#
# $$C = \begin{pmatrix}\sigma_{11}^2 & \sigma_{12}\\ \sigma_{12} & \sigma_{22}^2\end{pmatrix}. \tag{6}$$

# %%
axis = torch.linspace(-20, 20, 241, dtype=torch.float64)
points = torch.cartesian_prod(axis, axis).view(241, 241, 2)
coloured = {}
for a, b, c in ((4, 36, 0), (36, 4, 0), (20, 20, 16)):
    name = f"σ₁₁² = {a}, σ₂₂² = {b}, σ₁₂ = {c}"
    coloured[name] = Gaussian(torch.zeros(2), torch.tensor([[a, c], [c, b]], dtype=torch.float64))
clouds = {name: gaussian.sample(200, generator) for name, gaussian in coloured.items()}
show(
    figures.planes(points, {name: g.log_prob(points).exp() for name, g in coloured.items()}, clouds),
    "Three coloured densities and 200 samples of each; the lines lie 1, 2 and 3 deviations from the mean. The entries "
    "on the diagonal are the spreads along the axes, the one beside it tilts the ellipse.",
    alt="Three planes with a cloud of points inside elliptic contour lines: a tall ellipse, a wide one, and one that "
    "is tilted by 45 degrees, rising to the right.",
)

# %% [markdown]
# The three are one ellipse, turned: their covariances have the same eigenvalues, 4 and 36, and so the same determinant
# and the same greatest density. The eigenvectors are the axes of the ellipse.
#
# <details><summary>Fault 1 of the original, in its prose</summary>
#
# The chapter says that $\sigma_{11}^2 = 4$, $\sigma_{22}^2 = 36$ spreads along the horizontal axis. $\sigma_{11}^2$
# belongs to the horizontal $x_1$, so the first ellipse is tall and the second wide.
#
# </details>

# %%
for name, g in coloured.items():
    eigenvalues = ", ".join(f"{value:.0f}" for value in torch.linalg.eigvalsh(g.covariance).tolist())
    across, up = g.sample(10_000, generator).std(dim=0).tolist()
    print(f"{name}: eigenvalues {eigenvalues}; deviation of 10,000 samples {across:.2f} across, {up:.2f} up")


# %%
def tilted_by(sigma12, points=points):
    """The plane with σ₁₁² = σ₂₂² = 20 and the covariance `sigma12`."""
    gaussian = Gaussian(torch.zeros(2), torch.tensor([[20.0, sigma12], [sigma12, 20.0]]))
    name = f"σ₁₂ = {sigma12}"
    return figures.planes(
        points, {name: gaussian.log_prob(points).exp()}, {name: gaussian.sample(200, torch.Generator().manual_seed(4))}
    )


follow(
    tilted_by,
    "σ₁₂",
    (-19, -16, -8, 0, 8, 16, 19),
    "Equal spreads along both axes, and what the third number does.",
    alt="A cloud of points and elliptic lines. They are round for 0, long and falling for a negative number, long and "
    "rising for a positive one.",
    at=-16,
)

# %% [markdown]
# ## Sampling from a Gaussian
#
# A computer gives standard normal numbers $\varepsilon$. If $L L^T = C$, then $x = \mu + L\varepsilon$ has mean $\mu$
# and covariance $\mathbb{E}\,L\varepsilon\varepsilon^T L^T = L L^T = C$. The Cholesky factor is the $L$ that is lower
# triangular: $x_1$ comes from $\varepsilon_1$ alone, $x_2$ from both.

# %%
tilted = coloured["σ₁₁² = 20, σ₂₂² = 20, σ₁₂ = 16"]
noise = torch.randn(1000, 2, dtype=torch.float64, generator=generator)
drawn = tilted.mean + noise @ tilted.cholesky.T
show(
    figures.followed(noise, drawn),
    "Left: 1,000 standard normal points. Right: the same points after x = L ε. Follow the numbers: the map stretches "
    "and shears the round cloud into the tilted one and no point is lost.",
    alt="A round cloud of points on the left and a tilted, long one on the right; six numbered points appear in both.",
)
print("L =", [[round(entry, 3) for entry in row] for row in tilted.cholesky.tolist()])
print("covariance of the 1,000 points:", [[round(entry, 2) for entry in row] for row in drawn.T.cov().tolist()])

# %% [markdown]
# Remember the form $x = \mu + L\varepsilon$: mean plus scaled noise. A diffusion model's forward jump (27) and each of
# its backward steps (35) are of this form.

# %% [markdown]
# ### Task 1: samples over their density
#
# Write a Gaussian yourself. `density` is formula (3) for $N$ points at once. `draw` turns standard normal numbers into
# $m$ draws of $\mathcal N(\mu, C)$. Both get `mean` ($n$ numbers) and `covariance` ($n \times n$) in float64.


# %% tags=["stub"]
def density(x, mean, covariance):
    """p(x) of (3), N numbers. x: N×n points."""
    return check.TODO


def draw(mean, covariance, m, generator):
    """m draws of N(mean, covariance), m×n. Draw all random numbers with `generator`."""
    return check.TODO


# %% [markdown] tags=["hint"]
# For `density`, take `x - mean`, and let `torch.linalg.solve` or `torch.linalg.inv` divide by $C$. One number is wanted
# for each row, not an $N \times N$ table. For `draw`, start from `torch.randn(m, n, dtype=torch.float64,
# generator=generator)`. Points are rows here, so $L\varepsilon$ becomes `noise @ L.T`.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to task 1
def density(x, mean, covariance):
    """p(x) of (3), N numbers. x: N×n points."""
    off = x - mean
    exponent = -0.5 * (off @ torch.linalg.inv(covariance) * off).sum(dim=1)
    return exponent.exp() / ((2 * math.pi) ** (len(mean) / 2) * torch.linalg.det(covariance).sqrt())


def draw(mean, covariance, m, generator):
    """m draws of N(mean, covariance), m×n. Draw all random numbers with `generator`."""
    noise = torch.randn(m, len(mean), dtype=torch.float64, generator=generator)
    return mean + noise @ torch.linalg.cholesky(covariance).T


# %% tags=["check"]
check.task1(density, draw)

# %% [markdown]
# One thousand draws of the standard normal in the plane, over its density. (The figure uses the library, so that it is
# there whether your functions are done or not. Put yours in its place.)

# %%
standard = Gaussian.standard(2)
samples = standard.sample(1000, generator)
axis = torch.linspace(-4, 4, 201, dtype=torch.float64)
points = torch.cartesian_prod(axis, axis).view(201, 201, 2)
show(
    figures.planes(points, {"N(0, I)": standard.log_prob(points).exp()}, {"N(0, I)": samples}),
    "1,000 samples crowd where the density is high. The lines at 1, 2 and 3 deviations hold 39 %, 86 % and 99 % of the "
    "mass.",
    alt="A round cloud of a thousand points over a density that is bright in the middle, with circles of radius 1, 2 "
    "and 3.",
)

# %% [markdown]
# The eye is easily pleased. Counting is stricter: within radius $r$ lies the mass $1 - e^{-r^2/2}$, and a count of $N$
# draws of which each falls inside with probability $P$ has deviation $\sqrt{NP(1-P)}$.

# %%
edges = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, math.inf]
radius = samples.norm(dim=1)
for inner, outer in pairwise(edges):
    share = math.exp(-(inner**2) / 2) - math.exp(-(outer**2) / 2)
    counted = int(((radius >= inner) & (radius < outer)).sum())
    deviation = math.sqrt(1000 * share * (1 - share))
    print(f"{inner:.1f} ≤ ‖x‖ < {outer:.1f}: {counted:4d} counted, {1000 * share:6.1f} ± {deviation:4.1f} expected")
    assert abs(counted - 1000 * share) < 4 * deviation

# %% [markdown]
# Most samples lie not in the middle disc, where the density is greatest, but in rings around it, which have more room.
# Density times volume decides, and in many dimensions the volume wins entirely.

# %%
M = 2000 if QUICK else 20_000
dimensions = (2, 10, 100, 1024)
norms = {n: Gaussian.standard(n).sample(M, generator).norm(dim=1) for n in dimensions}
show(
    figures.radii(norms),
    "How far samples of N(0, I) lie from the most likely point, 0. The distance grows as √n and its spread hardly at "
    "all: in 1,024 dimensions, a 32×32 image of noise, all samples lie on a thin shell of radius 32.",
    alt="Four humps over the distance from the mean, for 2, 10, 100 and 1,024 dimensions: equally narrow, and each "
    "centred near the root of its dimension, up to 32.",
)
for n, norm in norms.items():
    print(f"n = {n:4d}: ‖x‖ = {norm.mean().item():6.3f} ± {norm.std().item():.3f}, √n = {math.sqrt(n):6.3f}")

# %% [markdown]
# A sample is *typical*, not *most likely*. The most likely image of noise is the flat grey one at the centre of the
# shell, and nobody ever draws it. Notebook 7 finds the same of digits.
#
# ## Is it a density?
#
# Formulas get misprinted. Equation (1) is a test that finds out: a density must hold a mass of one.
#
# <details><summary>Fault 1 of the original, in its formulas</summary>
#
# The chapter prints
#
# - in (2) the exponent $-(x-\mu^2)/2\sigma^2$: the square is on $\mu$ alone;
# - in (3) the exponent $-\tfrac12(x-\mu)^T C\,(x-\mu)$: $C$ where $C^{-1}$ belongs;
# - before (5), for $C = \sigma^2 I$, that the product in the exponent is $\|x-\mu\|^2$: the factor $1/\sigma^2$ is
#   dropped. (Formula (5) itself is right.)
#
# </details>
#
# Three formulas as the chapter prints them, and two right ones. The mass of each is taken over $[-r, r]$ on every axis,
# with $r$ growing. Which three are no densities, and what is wrong with each?

# %%
tall = coloured["σ₁₁² = 4, σ₂₂² = 36, σ₁₂ = 0"]
constant = 1 / (2 * math.pi * torch.linalg.det(tall.covariance).sqrt())


def mass(formula, r, n):
    """The integral of the formula over [−r, r]ⁿ by the trapezoidal rule."""
    axis = torch.linspace(-r, r, 401, dtype=torch.float64)
    values = formula(torch.cartesian_prod(*[axis] * n).view(*[401] * n, n))
    for _ in range(n):
        values = torch.trapezoid(values, axis)
    return values


standard_line = line["N(0, 1)"]
formulas = {
    "(2) right": (1, lambda x: standard_line.log_prob(x).exp()),
    "(3) right": (2, lambda x: tall.log_prob(x).exp()),
    "(2) as printed": (1, lambda x: torch.exp(-(x[..., 0] - 0**2) / 2) / math.sqrt(2 * math.pi)),
    "(3) as printed": (2, lambda x: constant * torch.exp(-0.5 * (x @ tall.covariance * x).sum(dim=-1))),
    "σ² dropped": (2, lambda x: torch.exp(-0.5 * x.square().sum(dim=-1)) / (2 * math.pi * 4)),
}
r = torch.linspace(0.5, 22, 44, dtype=torch.float64)
found = {name: torch.stack([mass(f, float(size), n) for size in r]) for name, (n, f) in formulas.items()}
show(
    figures.masses(r, found),
    "Mass within [−r, r] on every axis: μ = 0 and σ² = 1 for (2), C = diag(4, 36) for (3), C = 4 I in the plane for "
    "the last. The right formulas end at 1 (grey line). As printed, (2) grows beyond all bounds, (3) ends at "
    "1/det C = 1/144, and without σ² the mass is 1/4.",
    alt="Mass against r on a logarithmic axis: two curves level off at 1, one shoots up beyond it, and two level off "
    "below it.",
)
for name, values in found.items():
    print(f"{name}: {values[-1].item():.5g}")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1.1: within two deviations
#
# On a line, 95.4 % of the draws lie within two deviations of the mean. How many in the plane, and how many in ten
# dimensions? Guess first. Then write `within`, which draws and counts.


# %% tags=["stub"]
def within(n, radius, m, generator):
    """The share of m draws of N(0, I) in n dimensions whose distance to 0 is less than radius."""
    return check.TODO


# %% [markdown] tags=["hint"]
# The distance to 0 is one number for each draw: `x.norm(dim=1)`.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 1.1
def within(n, radius, m, generator):
    """The share of m draws of N(0, I) in n dimensions whose distance to 0 is less than radius."""
    x = torch.randn(m, n, dtype=torch.float64, generator=generator)
    return (x.norm(dim=1) < radius).double().mean().item()


for n in (1, 2, 10):
    theory = torch.special.gammainc(torch.tensor(n / 2), torch.tensor(4 / 2)).item()  # ‖ε‖² is χ² with n degrees
    print(f"n = {n}: {within(n, 2.0, 20_000, generator):.4f} counted, {theory:.4f} in theory")

# %% tags=["check"]
check.exercise_1_1(within)

# %% [markdown]
# ### Exercise 1.2: another root
#
# The Cholesky factor is one square root of $C$ among many. Build another from the eigenvectors, $C = V\Lambda V^T$.
# Then answer in words: why may two different maps of the same noise have the same distribution?


# %% tags=["stub"]
def root(covariance):
    """An n×n matrix R with R·Rᵀ = C that is not the Cholesky factor."""
    return check.TODO


# %% [markdown] tags=["hint"]
# `torch.linalg.eigh` returns $\Lambda$ (as a vector) and $V$. Which of $V\Lambda^{1/2}$ and $\Lambda^{1/2}V^T$ has the
# right square?


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 1.2
def root(covariance):
    """An n×n matrix R with R·Rᵀ = C that is not the Cholesky factor."""
    eigenvalues, vectors = torch.linalg.eigh(covariance)
    return vectors * eigenvalues.sqrt()


rotation = torch.linalg.solve(tilted.cholesky, root(tilted.covariance))
print("L⁻¹R times its transpose:", [[round(entry, 6) for entry in row] for row in (rotation @ rotation.T).tolist()])

# %% tags=["check"]
check.exercise_1_2(root)

# %% [markdown] tags=["solution"]
# ### Solution to 1.2, in words
#
# Two roots differ by an orthogonal matrix: $R = LQ$ with $QQ^T = I$. It turns or reflects the noise, and white noise
# that is turned is white noise, since its density depends on the distance to 0 alone.

# %% [markdown]
# ### Exercise 1.3: one part, given the other
#
# Draw from the third coloured density and keep the samples whose $x_1$ is near 3. How is their $x_2$ distributed? A part
# of a Gaussian, given the rest, is Gaussian again. Write its mean and variance for any Gaussian in the plane. The true
# backward process (29)–(31) of a diffusion model is this fact, applied to $x_{t-1}$ given $x_t$ and $x_0$.


# %% tags=["stub"]
def conditional(mean, covariance, x1):
    """Mean and variance of x₂ given x₁ = x1, two numbers. mean: 2 numbers; covariance: 2×2."""
    return check.TODO, check.TODO


# %% [markdown] tags=["hint"]
# Write $x_2 - \mu_2 = c\,(x_1 - \mu_1) + r$, and choose $c$ so that the rest $r$ has covariance 0 with $x_1$. For
# Gaussians that makes $r$ independent of $x_1$. What is its variance?


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 1.3
def conditional(mean, covariance, x1):
    """Mean and variance of x₂ given x₁ = x1, two numbers. mean: 2 numbers; covariance: 2×2."""
    slope = covariance[0, 1] / covariance[0, 0]
    return mean[1] + slope * (x1 - mean[0]), covariance[1, 1] - slope * covariance[0, 1]


near = tilted.sample(400_000, generator)
near = near[(near[:, 0] - 3).abs() < 0.1, 1]
centre, variance = conditional(tilted.mean, tilted.covariance, 3)
print(f"{len(near)} samples: mean {near.mean():.3f}, variance {near.var():.3f}; theory {centre:.1f}, {variance:.1f}")

# %% tags=["check"]
check.exercise_1_3(conditional)

# %% [markdown]
# ## References
#
# - C. M. Bishop, *Pattern Recognition and Machine Learning*, 2006, section 2.3: Gaussians, their parts and conditionals.
# - G. H. Golub and C. F. Van Loan, *Matrix Computations*, 4th edition 2013, section 4.2: the Cholesky factor.
# - R. Vershynin, *High-Dimensional Probability*, 2018, chapter 3: why samples lie on a thin shell.
