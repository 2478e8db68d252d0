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
# Equations (1)–(6) and task 1 of the chapter. Notebook 2 goes on with averages over distributions and with distances
# between them.

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
from itertools import pairwise

import fromnoise  # noqa: F401 - before torch, for it says how PyTorch's threads wait
import torch

from fromnoise.faces import figures
from fromnoise.faces.notebook import setting, show
from fromnoise.probability.gaussian import Gaussian

QUICK = setting() == "quick"

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
)

# %% [markdown]
# The three are one ellipse, turned: their covariances have the same eigenvalues, 4 and 36, and so the same determinant
# and the same greatest density. The eigenvectors are the axes of the ellipse.
#
# *Fault 1 of the original, in its prose:* it says that $\sigma_{11}^2 = 4$, $\sigma_{22}^2 = 36$ spreads along the
# horizontal axis. $\sigma_{11}^2$ belongs to the horizontal $x_1$, so the first ellipse is tall and the second wide.

# %%
for name, g in coloured.items():
    eigenvalues = ", ".join(f"{value:.0f}" for value in torch.linalg.eigvalsh(g.covariance).tolist())
    across, up = g.sample(10_000, generator).std(dim=0).tolist()
    print(f"{name}: eigenvalues {eigenvalues}; deviation of 10,000 samples {across:.2f} across, {up:.2f} up")

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
)
print("L =", [[round(entry, 3) for entry in row] for row in tilted.cholesky.tolist()])
print("covariance of the 1,000 points:", [[round(entry, 2) for entry in row] for row in drawn.T.cov().tolist()])

# %% [markdown]
# Remember the form $x = \mu + L\varepsilon$: mean plus scaled noise. A diffusion model's forward jump (27) and each of
# its backward steps (35) are of this form.
#
# ## Task 1: samples over their density
#
# One thousand draws of the standard normal in the plane.

# %%
standard = Gaussian.standard(2)
samples = standard.sample(1000, generator)
axis = torch.linspace(-4, 4, 201, dtype=torch.float64)
points = torch.cartesian_prod(axis, axis).view(201, 201, 2)
show(
    figures.planes(points, {"N(0, I)": standard.log_prob(points).exp()}, {"N(0, I)": samples}),
    "1,000 samples crowd where the density is high. The lines at 1, 2 and 3 deviations hold 39 %, 86 % and 99 % of the "
    "mass.",
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
# The most samples are not in the middle disc, where the density is greatest, but in a ring around it: the ring is
# larger. Density times volume decides, and in many dimensions the volume wins entirely.

# %%
M = 2000 if QUICK else 20_000
dimensions = (2, 10, 100, 1024)
norms = {n: Gaussian.standard(n).sample(M, generator).norm(dim=1) for n in dimensions}
show(
    figures.radii(norms),
    "How far samples of N(0, I) lie from the most likely point, 0. The distance grows as √n and its spread hardly at "
    "all: in 1,024 dimensions, a 32×32 image of noise, all samples lie on a thin shell of radius 32.",
)
for n, norm in norms.items():
    print(f"n = {n:4d}: ‖x‖ = {norm.mean().item():6.3f} ± {norm.std().item():.3f}, √n = {math.sqrt(n):6.3f}")

# %% [markdown]
# A sample is *typical*, not *most likely*. The most likely image of noise is the flat grey one at the centre of the
# shell, and nobody ever draws it. Notebook 7 finds the same of digits.
#
# ## Fault 1: formulas that are no densities
#
# *Fault 1 of the original, in its formulas.* Printed are
#
# - in (2) the exponent $-(x-\mu^2)/2\sigma^2$: the square is on $\mu$ alone;
# - in (3) the exponent $-\tfrac12(x-\mu)^T C\,(x-\mu)$: $C$ where $C^{-1}$ belongs;
# - before (5), for $C = \sigma^2 I$, that the product in the exponent is $\|x-\mu\|^2$: the factor $1/\sigma^2$ is
#   dropped. (Formula (5) itself is right.)
#
# Equation (1) finds all three. The mass of each is taken over $[-r, r]$ on every axis, with $r$ growing.

# %%
tall = coloured["σ₁₁² = 4, σ₂₂² = 36, σ₁₂ = 0"]
constant = 1 / (2 * math.pi * torch.linalg.det(tall.covariance).sqrt())


def mass(density, r, n):
    """The integral of the density over [−r, r]ⁿ by the trapezoidal rule."""
    axis = torch.linspace(-r, r, 401, dtype=torch.float64)
    values = density(torch.cartesian_prod(*[axis] * n).view(*[401] * n, n))
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
)
for name, values in found.items():
    print(f"{name}: {values[-1].item():.5g}")

# %% [markdown]
# ## Exercises
#
# ### Exercise 1.1
#
# On a line, 95.4 % of the draws lie within two deviations of the mean. How many in the plane, and how many in ten
# dimensions? Count, and compare with theory: $\|\varepsilon\|^2$ has the $\chi^2$ distribution with $n$ degrees of
# freedom, whose distribution function at $x$, the squared radius, is
# `torch.special.gammainc(torch.tensor(n / 2), torch.tensor(x / 2))`.

# %%
# Your turn

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 1.1
for n in (1, 2, 10):
    inside = (Gaussian.standard(n).sample(20_000, generator).norm(dim=1) < 2).double().mean().item()
    theory = torch.special.gammainc(torch.tensor(n / 2), torch.tensor(4 / 2)).item()
    print(f"n = {n}: {inside:.4f} counted, {theory:.4f} in theory")
    assert abs(inside - theory) < 4 * math.sqrt(theory * (1 - theory) / 20_000)

# %% [markdown]
# ### Exercise 1.2
#
# The Cholesky factor is one square root of $C$ among many. With $C = V \Lambda V^T$, the factor $V\Lambda^{1/2}$ is
# another. Show that it has the right square and that its samples have the covariance $C$. Why may two different maps of
# the same noise have the same distribution?

# %%
# Your turn

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 1.2
eigenvalues, vectors = torch.linalg.eigh(tilted.covariance)
root = vectors * eigenvalues.sqrt()
torch.testing.assert_close(root @ root.T, tilted.covariance)
rotation = torch.linalg.solve(tilted.cholesky, root)
torch.testing.assert_close(rotation @ rotation.T, torch.eye(2, dtype=torch.float64))
found_covariance = (torch.randn(100_000, 2, dtype=torch.float64, generator=generator) @ root.T).T.cov()
print("covariance of 100,000 samples:", [[round(entry, 2) for entry in row] for row in found_covariance.tolist()])
assert (found_covariance - tilted.covariance).abs().max() < 0.5
print("The two roots differ by a rotation or reflection, and turned white noise is white noise.")

# %% [markdown]
# ### Exercise 1.3
#
# Draw from the third coloured density and keep the samples whose $x_1$ is near 3. What is the distribution of their
# $x_2$? Theory: a part of a Gaussian, given the rest, is Gaussian, with mean $\sigma_{12}/\sigma_{11}^2 \cdot x_1$ and
# variance $\sigma_{22}^2 - \sigma_{12}^2/\sigma_{11}^2$ (here the means are zero). The true backward process (29)–(31)
# of a diffusion model is this fact, applied to $x_{t-1}$ given $x_t$ and $x_0$.

# %%
# Your turn

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 1.3
many = tilted.sample(400_000, generator)
chosen = many[(many[:, 0] - 3).abs() < 0.1, 1]
mean, variance = 16 / 20 * 3, 20 - 16**2 / 20
print(
    f"{len(chosen)} samples: mean {chosen.mean():.3f}, variance {chosen.var():.3f}; theory {mean:.1f}, {variance:.1f}"
)
assert abs(chosen.mean() - mean) < 4 * math.sqrt(variance / len(chosen))
assert abs(chosen.var() - variance) < 4 * variance * math.sqrt(2 / len(chosen)) + 0.01
