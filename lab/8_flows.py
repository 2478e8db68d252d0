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
# # 8 · A view from flows
#
# Newer papers hardly mention noise levels. They speak of flows, velocities and straight paths, and their loss looks
# different. It is the same model in other words. This notebook translates.
#
# After this notebook you will be able to
#
# - write noisy data as a place on a path from data to noise, and say what its velocity is;
# - turn a prediction of $\varepsilon$, $x_0$, $v$ or $u$ into each of the others;
# - train a velocity field by flow matching, and sample from it with Euler's method;
# - show that Euler's method on this flow *is* DDIM;
# - say why learned paths bend although every training pair is joined by a straight line.
#
# You need notebook 4. Nothing here is in the chapter; it is what you will meet next.

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
import time
from itertools import pairwise

import fromnoise  # noqa: F401 - before torch, for it says how PyTorch's threads wait
import torch
from torch import nn

from fromnoise.lab import figures
from fromnoise.lab.notebook import follow, setting, show
from fromnoise.lab import check
from fromnoise.plane.distance import floor, transport_distance

# os.environ["FROMNOISE_LAB"] = "full"  # the switch: without the first # this notebook computes more, for some minutes
QUICK = setting() == "quick"


def generator(seed):
    return torch.Generator().manual_seed(seed)


def spiral(m, generator):
    """Notebook 4's m×2 points on two arms."""
    share = torch.rand(m, generator=generator).sqrt()
    arm = torch.where(torch.rand(m, generator=generator) < 0.5, 2.0, -2.0)
    curve = torch.stack([(1.5 * math.pi * share).cos(), (1.5 * math.pi * share).sin()], dim=1)
    return (arm * share)[:, None] * curve + 0.08 * torch.randn(m, 2, generator=generator)


# %% [markdown]
# ## Two paths from data to noise
#
# Fix one data point $x_0$ and one noise $\varepsilon$. The noisy data of notebook 4, at all noise levels, is a path between
# them. Since $a^2 + b^2 = 1$ we may write $a = \cos\varphi$, $b = \sin\varphi$. It is an **arc**, and its velocity has a name:
#
# $$ x_\varphi = \cos\varphi\;x_0 + \sin\varphi\;\varepsilon, \qquad
#    \frac{dx_\varphi}{d\varphi} = a\,\varepsilon - b\,x_0 = v. $$
#
# That is the $v$ of *v-prediction* (Salimans & Ho 2022). Nothing forces us to keep the variance at 1. The simplest path is
# a straight **line**, and its velocity does not even change on the way:
#
# $$ y_s = (1-s)\,x_0 + s\,\varepsilon, \qquad \frac{dy_s}{ds} = \varepsilon - x_0 = u. $$
#
# Learning $u$ along lines is **flow matching** (Lipman et al. 2022), or *rectified flow* (Liu et al. 2022). (Many papers let time
# run the other way, from noise at 0 to data at 1. Then $u$ changes its sign.)

# %%
phi, s = torch.linspace(0, math.pi / 2, 60)[:, None, None], torch.linspace(0, 1, 60)[:, None, None]
data, noise = spiral(5, generator(1)), torch.randn(5, 2, generator=generator(2), dtype=torch.float64)
real = spiral(1500, generator(3))
show(
    figures.trajectories(
        {"arcs: a² + b² = 1": phi.cos() * data + phi.sin() * noise, "lines": (1 - s) * data + s * noise}, real
    ),
    "Five data points (on the spiral, circles) and five noises (squares), joined in two ways.",
    alt="Two panels with a spiral of points. Left, five arcs lead from the spiral to points around it; right, five straight lines.",
)

# %% [markdown]
# Do lines and arcs pass through different noise levels? No. Divide a point of the line by $c = \sqrt{(1-s)^2 + s^2}$:
#
# $$ \frac{y_s}{c} = a\,x_0 + b\,\varepsilon \quad\text{with}\quad a = \frac{1-s}{c},\quad b = \frac{s}{c}, \qquad
#    \lambda = 2\log\frac{1-s}{s}. $$
#
# So the line is one more schedule, seen through a lens. Back from a level to the line: $s = b/(a+b)$ and $c = 1/(a+b)$.

# %%
s = torch.tensor([0.02, 0.25, 0.5, 0.75, 0.98], dtype=torch.float64)
c = ((1 - s) ** 2 + s**2).sqrt()
a, b = (1 - s) / c, s / c
for row in zip(s, a, b, 2 * (a / b).log(), strict=True):
    print("s = {:.2f}: a = {:.3f}, b = {:.3f}, λ = {:5.2f}".format(*row))
torch.testing.assert_close(b / (a + b), s)
torch.testing.assert_close(1 / (a + b), c)

# %% [markdown]
# ## Four predictions, one network
#
# At a known noisy point $x$ and a known level there is one unknown. Whoever knows $x_0$ knows $\varepsilon$, and $v$, and $u$:
#
# | prediction | $\hat x_0$ | $\hat\varepsilon$ |
# |---|---|---|
# | $\varepsilon$ | $(x - b\,\hat\varepsilon)/a$ | $\hat\varepsilon$ |
# | $x_0$ | $\hat x_0$ | $(x - a\,\hat x_0)/b$ |
# | $v = a\,\varepsilon - b\,x_0$ | $a\,x - b\,\hat v$ | $b\,x + a\,\hat v$ |
# | $u = \varepsilon - x_0$ | $y - s\,\hat u$ | $y + (1-s)\,\hat u$ |
#
# In the last row $y = c\,x$. The third row is a rotation, $(x, v)$ is $(x_0, \varepsilon)$ turned by $\varphi$; that is why it is
# well behaved at both ends, where the first two divide by nearly nothing.


# %%
def pair(kind, output, x, a, b):
    """(x̂_0, ε̂) from a prediction at noisy data x."""
    s, y = b / (a + b), x / (a + b)
    return {
        "eps": lambda: ((x - b * output) / a, output),
        "x0": lambda: (output, (x - a * output) / b),
        "v": lambda: (a * x - b * output, b * x + a * output),
        "u": lambda: (y - s * output, y + (1 - s) * output),
    }[kind]()


def prediction(kind, x0, noise, a, b):
    """What a perfect network of this kind says."""
    return {"eps": noise, "x0": x0, "v": a * noise - b * x0, "u": noise - x0}[kind]


x0, noise = spiral(200, generator(4)).double(), torch.randn(200, 2, generator=generator(5), dtype=torch.float64)
level = torch.linspace(-8, 8, 200, dtype=torch.float64)[:, None]
a, b = level.sigmoid().sqrt(), (-level).sigmoid().sqrt()
x = a * x0 + b * noise
for kind in ("eps", "x0", "v", "u"):
    for found, right in zip(pair(kind, prediction(kind, x0, noise, a, b), x, a, b), (x0, noise), strict=True):
        torch.testing.assert_close(found, right)
print("all four lead to the same x_0 and ε, at every level from λ = −8 to 8")

from fromnoise.diffusion.prediction import TO_PAIR

for kind in ("eps", "x0", "v"):  # the library's
    torch.testing.assert_close(TO_PAIR[kind](prediction(kind, x0, noise, a, b), x, a, b)[0], x0)

# %% [markdown]
# Then are the losses the same too? Up to a weight that depends on the level alone. Let a network be wrong about the noise by
# $\hat\varepsilon - \varepsilon$. Then it is wrong about the others by
#
# $$ \hat x_0 - x_0 = -\tfrac{b}{a}(\hat\varepsilon - \varepsilon), \qquad
#    \hat v - v = \tfrac{1}{a}(\hat\varepsilon - \varepsilon), \qquad
#    \hat u - u = \tfrac{1}{1-s}(\hat\varepsilon - \varepsilon). $$
#
# So $\|\hat u - u\|^2$ is the loss (38) with another $w_t$, and so is $\|\hat v - v\|^2$. To choose what to predict is to choose a
# weight, and what the network finds easy.

# %%
wrong = noise + 0.1 * torch.randn(200, 2, generator=generator(6), dtype=torch.float64)
guess = pair("eps", wrong, x, a, b)
factors = {"eps": 1 + 0 * a, "x0": -b / a, "v": 1 / a, "u": (a + b) / a}  # 1 − s = a/(a + b)
for kind, factor in factors.items():
    off = prediction(kind, *guess, a, b) - prediction(kind, x0, noise, a, b)
    torch.testing.assert_close(off, factor * (wrong - noise))
names = {"eps": "ε: 1", "x0": "x₀: b²/a²", "v": "v: 1/a²", "u": "u: 1/(1 − s)²"}
show(
    figures.lines(
        level[:, 0],
        {names[kind]: (factor**2)[:, 0] for kind, factor in factors.items()},
        "λ (clearer to the right)",
        "weight of an error in ε",
        log=True,
    ),
    "What an error in the noise counts at each level, in the four losses. At clear levels v and u count it as ε does; at noisy ones "
    "they count what it means for the data.",
    alt="On a logarithmic axis, four curves over λ: level for ε, falling for x₀, v and u; v and u meet the level line at the right.",
)

# %% [markdown]
# ## The mean velocity is enough
#
# Lines cross: through one point $y$ at time $s$ pass the lines of many pairs, each with its own $u$. A network cannot follow all.
# Trained by least squares it learns their mean, $\mathbb E[u|y_s = y]$. Is that any use?
#
# *Claim.* Move every point by the mean velocity, and at each $s$ the points are distributed as $y_s$.
#
# *Proof.* Take any smooth function $f$. As $s$ grows, its mean over $y_s$ changes by
#
# $$ \frac{d}{ds}\,\mathbb E f(y_s) = \mathbb E\big[\nabla f(y_s)\cdot u\big]
#    = \mathbb E\big[\nabla f(y_s)\cdot\mathbb E[u|y_s]\big]. $$
#
# The first step is the chain rule, for $dy_s/ds = u$. The second averages over all pairs that pass through $y_s$. The right-hand side is
# how the mean changes for points that move with the mean velocity. So both sets of points have the same means of all functions, and so
# the same distribution. $\blacksquare$
#
# Try it where the mean velocity is known. For data $\mathcal N(0, \tfrac14)$ all is jointly normal, and
#
# $$ \mathbb E[u|y] = \frac{\mathrm{cov}(u, y_s)}{\mathrm{var}(y_s)}\,y = \frac{s - \frac14(1-s)}{\frac14(1-s)^2 + s^2}\,y. $$
#
# Start from noise at $s = 1$ and follow it to $s = 0$ with Euler's method. Noise of deviation 1 should become data of deviation ½.


# %%
@torch.no_grad()
def euler(velocity, y, steps):
    """From noise y at s = 1 to data at s = 0 along the velocity field, in equal steps."""
    for s, r in pairwise(torch.linspace(1, 0, steps + 1, dtype=y.dtype)):
        y = y + (r - s) * velocity(y, s.expand(len(y), 1))
    return y


def exact_velocity(y, s):
    return (s - (1 - s) / 4) / ((1 - s) ** 2 / 4 + s**2) * y


one = torch.ones(1, 1, dtype=torch.float64)
ends = {steps: float(euler(exact_velocity, one, steps)) for steps in (10, 100, 1000)}
print("deviation at the end:", ", ".join(f"{end:.5f} after {steps} steps" for steps, end in ends.items()))
assert abs(ends[1000] - 0.5) < 1e-3
assert 8 < abs(ends[10] - 0.5) / abs(ends[100] - 0.5) < 12  # of first order

# %% [markdown]
# ## Train a velocity
#
# The training loop of notebook 4, with three lines changed: $s$ is drawn evenly from $(0, 1)$, the point lies on the line, and the
# target is $u$.


# %%
class Net(nn.Module):
    """A field over the plane: from places y (N×2) and s (N×1) to arrows (N×2)."""

    def __init__(self, width=96):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(30, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 2),
        )

    def forward(self, y, s):
        place = (y[:, :, None] * 2 * math.pi / torch.tensor([4.0, 2.0, 1.0])).flatten(1)
        time = math.pi * s * 2.0 ** torch.arange(-1, 7)
        return self.layers(torch.cat([y, place.sin(), place.cos(), time.sin(), time.cos()], dim=1))


def train_flow(network, x0, steps, rate=4e-3, batch=512, seed=0):
    """Train network(y_s, s) to predict the velocity u; returns the loss of each step."""
    random, optimiser, losses = generator(seed), torch.optim.Adam(network.parameters(), lr=rate), []
    for step in range(steps):
        x = x0[torch.randint(len(x0), (batch,), generator=random)]
        s = torch.rand(batch, 1, generator=random)
        noise = torch.randn(x.shape, generator=random)
        y = (1 - s) * x + s * noise
        loss = (network(y, s) - (noise - x)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        losses.append(loss.item())
    return losses


points, count = spiral(10_000, generator(3)), 2000 if QUICK else 6000
torch.manual_seed(0)  # the network's first weights
flow = Net()
begin = time.perf_counter()
losses = train_flow(flow, points, count)
print(f"trained in {time.perf_counter() - begin:.0f} s; loss of the last hundred steps {sum(losses[-100:]) / 100:.3f}")

# %% [markdown]
# Beside it the diffusion model of notebook 4, with the same network, as many steps, and DDIM. It is told the level by $s = b/(a+b)$.

# %%
T = 500
alphas_cumprod = torch.cat([torch.ones(1), torch.linspace(0.9999, 0.98, T, dtype=torch.float64)]).cumprod(0)
a, b = alphas_cumprod.sqrt().float(), (1 - alphas_cumprod).sqrt().float()
told = (b / (a + b))[:, None]


def train_noise(network, x0, steps, rate=4e-3, batch=512, seed=0):
    """Notebook 4's training loop (40)."""
    random, optimiser = generator(seed), torch.optim.Adam(network.parameters(), lr=rate)
    for step in range(steps):
        x = x0[torch.randint(len(x0), (batch,), generator=random)]
        t = torch.randint(1, T + 1, (batch,), generator=random)
        noise = torch.randn(x.shape, generator=random)
        loss = (network(a[t, None] * x + b[t, None] * noise, told[t]) - noise).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)


@torch.no_grad()
def ddim(network, x, steps):
    """Notebook 4's deterministic sampler."""
    for t, s in pairwise([round(T - k * T / steps) for k in range(steps + 1)]):
        noise = network(x, told[t].expand(len(x), 1))
        x = a[s] * (x - b[t] * noise) / a[t] + b[s] * noise
    return x


torch.manual_seed(0)
diffusion = Net()
train_noise(diffusion, points, count)
m = 400 if QUICK else 1000
begun = [torch.randn(m, 2, generator=generator(20 + k)) for k in range(2)]
fresh = [spiral(m, generator(30 + k)) for k in range(2)]


def distance(sampler, network, steps):
    """The mean transport distance of what a sampler makes of two starts to real points."""
    return sum(transport_distance(sampler(network, x, steps), real) for x, real in zip(begun, fresh, strict=True)) / 2


ladder = [1, 2, 4, 8, 16, 64]
least = floor(spiral, m, draws=3)
distances = {
    "flow, Euler": [distance(euler, flow, k) for k in ladder],
    "diffusion, DDIM": [distance(ddim, diffusion, k) for k in ladder],
}
print("network calls    " + "".join(f"{k:8}" for k in ladder))
for name, row in distances.items():
    print(f"{name:17}" + "".join(f"{value:8.3f}" for value in row))
print(f"floor             {least.mean:.3f} ± {least.deviation:.3f}")
show(
    figures.convergence(ladder, distances, "distance to real points", orders=()),
    "Distance of the samples to real points against the number of network calls, for the flow and for the diffusion model with the same "
    "network and training.",
    alt="Two falling curves on logarithmic axes that level off near the floor.",
)

# %% [markdown]
# With few steps both are coarse, with many both are good, and at every number of steps they are about equally far. That is no
# accident.
#
# ## Euler's method is DDIM
#
# Look at one Euler step from $s$ to $r$, and write $\hat u = \hat\varepsilon - \hat x_0$ and $y_s = (1-s)\,\hat x_0 + s\,\hat\varepsilon$:
#
# $$ y_s + (r - s)\,\hat u = (1-r)\,\hat x_0 + r\,\hat\varepsilon. $$
#
# The same data and the same noise at the new level: that is DDIM. So hand our velocity network to the library's DDIM, at the levels
# of the same $s$. All it needs is the translation above.

# %%
from fromnoise.diffusion.steps import DDIM, DPMSolver2M


def as_denoiser(x, logsnr):
    """The flow as the library's denoiser: (x, λ) → (x̂_0, ε̂)."""
    a, b = logsnr.sigmoid().sqrt().float(), (-logsnr).sigmoid().sqrt().float()
    s, y = b / (a + b), x / (a + b)
    velocity = flow(y, s.expand(len(x), 1))
    return y - s * velocity, y + (1 - s) * velocity


with torch.no_grad():
    s = torch.linspace(1, 0, 21, dtype=torch.float64)
    by_ddim = DDIM()(as_denoiser, begun[0], 2 * ((1 - s) / s).log(), lambda k: None)
    better = DPMSolver2M()(as_denoiser, begun[0], 2 * ((1 - s[::2]) / s[::2]).log(), lambda k: None)
by_euler = euler(flow, begun[0], 20)
print(f"largest difference between Euler's method and DDIM, 20 steps: {(by_euler - by_ddim).abs().max():.1e}")
print(
    f"and DPM-Solver++ takes the flow too, 10 steps: distance {transport_distance(better, fresh[0]):.3f}; Euler, 10 steps: {transport_distance(euler(flow, begun[0], 10), fresh[0]):.3f}"
)
torch.testing.assert_close(by_ddim, by_euler, rtol=0, atol=1e-3)

# %% [markdown] tags=["note"]
# Ask for a sketch of the learned paths before the figure is shown. Most draw straight lines.

# %% [markdown]
# ## Straight pairs, bent paths
#
# The lines of the training pairs cross. The learned paths cannot: at one place and time there is one velocity, so two paths that meet
# stay together. They set out towards the middle of the data, where the mean velocity points as long as nothing is known, and turn as
# more becomes clear.


# %%
def path(y, steps=60):
    """Euler's method with all places on the way: (steps + 1)×N×2."""
    places = [y]
    with torch.no_grad():
        for s, r in pairwise(torch.linspace(1, 0, steps + 1)):
            places.append(places[-1] + (r - s) * flow(places[-1], s.expand(len(y), 1)))
    return torch.stack(places)


few = torch.randn(14, 2, generator=generator(7))
s = torch.linspace(1, 0, 61)[:, None, None]
pairs = (1 - s) * points[:14] + s * few
learned = path(few)
show(
    figures.trajectories({"training pairs": pairs.flip(0), "learned paths": learned.flip(0)}, real),
    "Left: fourteen random pairs of data and noise, as in training. Right: where the flow takes the same fourteen noises.",
    alt="Left, straight lines that cross at random. Right, hooked curves that do not cross: they start towards the middle and turn to the nearest arm.",
)
long = path(begun[0])
length = (long[1:] - long[:-1]).norm(dim=2).sum(dim=0)
print(
    f"a learned path is {float((length / (long[-1] - long[0]).norm(dim=1)).median()):.2f} times as long as the straight way (median of {m:,})"
)

# %% [markdown]
# If all learned paths were straight, one Euler step would be exact. They are not: at $s = 1$ the point is pure noise, the best guess of
# the data is its mean, and all first steps point near the middle. Rectified flow trains again on the pairs that the flow itself
# makes, which do not cross, and straightens it. Turn a line of
# starts and see where they go:


# %%
def from_line(angle):
    """The learned paths from nine noises on a line through the middle."""
    direction = torch.tensor([math.cos(math.radians(angle)), math.sin(math.radians(angle))])
    return figures.trajectories({f"{angle}°": path(torch.linspace(-2.2, 2.2, 9)[:, None] * direction).flip(0)}, real)


follow(
    from_line,
    "angle",
    list(range(0, 180, 15)),
    "Nine noises on a line through the middle (squares), and where the flow takes them (circles).",
    alt="Nine hooked curves from squares on a straight line to circles on the arms of the spiral.",
    at=30,
)

# %% [markdown]
# ## The packaged digits are a flow
#
# The model of digits in this package predicts $v$. So it is a velocity field along arcs already, with $dx/d\varphi = \hat v$, and Euler's
# method draws digits with it. No sampler is needed:

# %%
from fromnoise.generation.model import Model
from fromnoise.generation.pretrained import packaged

model = Model.load(packaged("digits"))
assert model.config.diffusion.prediction == "v"


@torch.no_grad()
def draw_digits(steps, m=10, seed=0):
    """Digits 0 … 9 by Euler's method in φ, from noise (φ near π/2) to data (φ = 0)."""
    label = torch.arange(m) % 10
    angles = torch.linspace(math.atan(math.exp(4.5)), 0, steps + 1)  # from λ = −9
    mean = torch.tensor(model.info.encoded_mean)[:, None, None]
    x = angles[0].cos() * mean + angles[0].sin() * torch.randn(m, 1, 32, 32, generator=generator(seed))
    for now, then in pairwise(angles):
        logsnr = (-2 * now.tan().log()).expand(m)
        x = x + (then - now) * model.network(x, logsnr, label)
    return model.info.decode(x)


rows = [(f"{steps} steps", draw_digits(steps)) for steps in (5, 10, 20, 40)]
show(
    figures.picture_rows(rows),
    "Digits drawn by the packaged model as a flow: Euler's method in φ with 5 to 40 steps, from the same noises. Five are enough to read them.",
    alt="Four rows of the digits 0 to 9 that hardly differ.",
)

# %% [markdown]
# ## What to remember
#
# | you read | it means |
# |---|---|
# | flow matching, rectified flow | noise levels $\lambda = 2\log\frac{1-s}{s}$ with $s$ uniform, and $u$ as the prediction |
# | velocity field, vector field | the network, after a translation |
# | conditional path | the jump, from one $x_0$ and one $\varepsilon$ |
# | Euler's method | DDIM |
# | probability-flow ODE | the same flow, from the side of diffusion (notebook 7) |
#
# What remains are three choices, whatever the words: how often each level is trained, how much its error counts, and where the sampler
# stops on its way.
#
# ## Exercises
#
# ### Exercise 8.1
#
# A network of notebook 4 predicts the noise. Turn what it says into the velocity $u$. The function gets noisy data $x = a\,x_0 + b\,\varepsilon$,
# the predicted noise and the level, and returns $\hat u$.


# %% tags=["stub"]
def velocity_from_noise(x, noise, a, b):
    """û from ε̂. x, noise: N×d; a, b: numbers with a² + b² = 1."""
    return check.TODO


# %% [markdown] tags=["hint"]
# $u = \varepsilon - x_0$ holds on the line and on the arc alike. Only $x_0$ is missing.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 8.1
def velocity_from_noise(x, noise, a, b):
    return noise - (x - b * noise) / a


# %% tags=["check"]
check.exercise_8_1(velocity_from_noise)

# %% [markdown]
# ### Exercise 8.2
#
# Heun's method. Take an Euler step, look at the velocity at its end, and take the step again with the mean of the two velocities.
# Write it in the form of `euler`, for any velocity field. How much smaller is its error with the exact velocity above?


# %% tags=["stub"]
def heun(velocity, y, steps):
    """From y at s = 1 to s = 0 in equal steps of Heun's method. velocity: (y, s of shape N×1) → like y."""
    return check.TODO


# %% [markdown] tags=["hint"]
# Two calls of `velocity` a step: at $(y, s)$ and at $(y + (r-s)\,\hat u,\ r)$.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 8.2
@torch.no_grad()
def heun(velocity, y, steps):
    for s, r in pairwise(torch.linspace(1, 0, steps + 1, dtype=y.dtype)):
        s, r = s.expand(len(y), 1), r.expand(len(y), 1)
        first = velocity(y, s)
        second = velocity(y + (r - s) * first, r)
        y = y + (r - s) * (first + second) / 2
    return y


for steps in (10, 20, 40):
    errors = [abs(float(method(exact_velocity, one, steps)) - 0.5) for method in (euler, heun)]
    print(f"{steps} steps: Euler is off by {errors[0]:.5f}, Heun by {errors[1]:.5f}")

# %% tags=["check"]
check.exercise_8_2(heun)

# %% [markdown]
# ### Exercise 8.3
#
# Follow the flow with a single Euler step from $s = 1$. Which points can come out, whatever the start? And why does a second step
# help so much?

# %% [markdown] tags=["solution"]
# ### Solution to 8.3
#
# At $s = 1$ the point is noise alone and says nothing about $x_0$. So $\mathbb E[u|y] = y - \mathbb E[x_0]$, and one step of length 1 leads every start
# to $y - (y - \mathbb E[x_0]) = \mathbb E[x_0]$: all end at the mean of the data. With two steps the second begins at $s = \tfrac12$, where the
# place already says which part of the data is near.

# %% [markdown]
# ## References
#
# - Salimans, Ho (2022), *Progressive distillation for fast sampling of diffusion models*: $v$.
# - Lipman, Chen, Ben-Hamu, Nickel, Le (2022), *Flow matching for generative modeling*.
# - Liu, Gong, Liu (2022), *Flow straight and fast: learning to generate and transfer data with rectified flow*.
# - Albergo, Vanden-Eijnden (2022), *Building normalizing flows with stochastic interpolants*.
# - Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole (2021), *Score-based generative modeling through stochastic differential equations*.
# - Gao, Hoogeboom, Heek, De Bortoli, Murphy, Salimans (2024), *Diffusion meets flow matching: two sides of the same coin*.
