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
# # 5 · Images
#
# Points in the plane were practice. An image of 32 × 32 pixels is a point in 1,024 dimensions, and nothing in the
# theory changes: the same forward process, the same loss, the same backward walk. Only the network is another, one that is
# good at pictures.
#
# After this notebook you will be able to
#
# - draw a training set that is balanced over its classes, and say how far a random one is from that;
# - read from a schedule how much of an image is left at step $t$;
# - read a small U-Net line by line, and say what a large one costs;
# - write the training loop and the sampling loop for images, and find the bugs in somebody else's;
# - draw any number of new digits, watch them form, and choose their class.
#
# Tasks 3–6 and equations (25)–(28), (30) and (34)–(40) of the chapter; they are derived in notebook 4. Notebook 6
# measures how good the digits are.

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
import dataclasses
import math
import os  # noqa: F401 - for the switch below
import time
from itertools import pairwise

import numpy as np
import fromnoise  # noqa: F401 - before torch, for it says how PyTorch's threads wait
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from fromnoise.config import Config
from fromnoise.data.pixels import normalise, quantise
from fromnoise.data.sources import load
from fromnoise.diffusion.forward import noisy as library_noisy
from fromnoise.diffusion.schedule import schedule
from fromnoise.lab import figures
from fromnoise.lab.digit_model import trained
from fromnoise.lab.notebook import follow, run_folder, setting, show
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.generation.pretrained import packaged
from fromnoise.generation.sampling import SampleRequest, guidance_of
from fromnoise.generation.sampling import sample as library_sample
from fromnoise.lab import check
from fromnoise.networks.chapter import ChapterUNet
from fromnoise.networks.unet import UNet

# os.environ["FROMNOISE_LAB"] = "full"  # the switch: without the first # this notebook trains for ten minutes, not for one
QUICK = setting() == "quick"
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def generator(seed):
    return torch.Generator().manual_seed(seed)


# %% [markdown]
# ## Three thousand digits
#
# `digits` travels inside the package: 5,000 of MNIST's training digits, 500 of each class. Its part `train` has 3,000.
#
# ### Task 3: a balanced training set
#
# Write a function that draws $m$ images, as many of each class, and prepares them: from 28 × 28 to 32 × 32 pixels by
# antialiased bilinear resizing, rounded to whole numbers as 8-bit images are, and scaled from 0…255 to $[-1, 1]$. It gets
# images (uint8, N×1×28×28) and labels (N), and returns the chosen images (float32, m×1×32×32) and their labels. The same
# generator state must give the same images, and none twice.


# %% tags=["stub"]
def training_set(images, labels, m, generator):
    """m prepared images, as many of each class, and their labels."""
    return check.TODO


# %% [markdown] tags=["hint"]
# Class by class: `(labels == c).nonzero()` are its rows, and `torch.randperm` puts them in random order.
# `F.interpolate(..., mode="bilinear", antialias=True)` wants floats.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to task 3
def training_set(images, labels, m, generator):
    classes = labels.unique()
    chosen = []
    for c in classes:
        rows = (labels == c).nonzero()[:, 0]
        chosen.append(rows[torch.randperm(len(rows), generator=generator)[: m // len(classes)]])
    chosen = torch.cat(chosen)
    larger = F.interpolate(images[chosen].float(), size=(32, 32), mode="bilinear", antialias=True)
    return larger.round().clamp(0, 255) / 127.5 - 1, labels[chosen]


# %% tags=["check"]
check.task3(training_set)

# %% [markdown]
# The library's `load` and `subset` do the same. All that follows uses theirs, so it runs whether your task is done or not.

# %%
digits = load("digits:train", (32, 32)).subset(3000, seed=0)
x0 = normalise(digits.images)  # from 0…255 to [−1, 1]
counts = digits.labels.bincount()
print(f"{len(digits):,} images, channels × height × width {digits.shape}")
print("images of each class:", counts.tolist())
print(f"pixels from {x0.min():.0f} to {x0.max():.0f}, mean {x0.mean():.2f}, standard deviation {x0.std():.2f}")
assert counts.tolist() == 10 * [300]

first_of_each = torch.cat([digits.images[digits.labels == label][:2] for label in range(10)])
show(
    figures.picture_grid(first_of_each, columns=10),
    "Two of the three hundred training digits of each class.",
    alt="Twenty handwritten digits, white on black, two of each from 0 to 9.",
)

# %% [markdown]
# Why draw class by class? A random draw of $m$ from $N$ images with $K_c$ in class $c$ follows the hypergeometric
# distribution. It has $m K_c/N$ of that class on average, with variance
#
# $$ m\,\frac{K_c}{N}\Big(1-\frac{K_c}{N}\Big)\frac{N-m}{N-1}. $$
#
# And MNIST itself is not balanced: it has 6,742 ones and 5,421 fives.

# %%
IN_MNIST = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
m, share = 3000, IN_MNIST / IN_MNIST.sum()
spread = np.sqrt(m * share * (1 - share) * (IN_MNIST.sum() - m) / (IN_MNIST.sum() - 1))
at_random = np.random.default_rng(0).multivariate_hypergeometric(IN_MNIST, m)
show(
    figures.class_counts(counts.tolist(), at_random.tolist(), (m * share).tolist(), spread.tolist()),
    "Images of each class in 3,000 digits: bars, a balanced subset; diamonds, a random one; brackets, where random ones lie 19 "
    "times in 20. Only the bars are level.",
    alt="Ten bars of equal height at 300. Diamonds scatter around them, from about 265 for class 5 to 340 for class 1.",
)
print(f"one random draw has from {at_random.min()} to {at_random.max()} images a class")

# %% [markdown]
# <details><summary>Fault 7 of the original, its first part: a subset that is not balanced</summary>
#
# > The chapter asks for 300 images of each class. Its code takes the first 3,000 of a random permutation of MNIST's 60,000.
#
# </details>
#
# ## Noise, step by step
#
# The jump (27), (28) goes from clean data to any step at once,
#
# $$ x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon. $$
#
# Here is the chapter's schedule again, as notebook 4 built it: $T + 1$ entries, and entry 0 is clean data.

# %%
T = 500
alphas = torch.cat([torch.ones(1), torch.linspace(0.9999, 0.98, T, dtype=torch.float64)])
alphas_cumprod = alphas.cumprod(0)
posterior_variance = torch.cat(
    [torch.zeros(1), (1 - alphas[1:]) * (1 - alphas_cumprod[:-1]) / (1 - alphas_cumprod[1:])]
)

# %% [markdown]
# ### Task 4: noisy versions of a digit
#
# Write the jump for a batch of images, each with a time of its own. The function gets images $x_0$ (N×C×H×W), N whole numbers
# $t$ and a generator. It returns the noisy images $x_t$ **and** the noise in them, both of the images' shape and type.


# %% tags=["stub"]
def noisy(x0, t, generator):
    """x_t and the noise in it. x0: N×C×H×W, t: N whole numbers."""
    return check.TODO


# %% [markdown] tags=["hint"]
# `alphas_cumprod[t]` has shape N. To multiply images it must have shape N×1×1×1: `[:, None, None, None]`. Tables are float64;
# images are not.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to task 4
def noisy(x0, t, generator):
    keep = alphas_cumprod[t].to(x0)[:, None, None, None]
    noise = torch.randn(x0.shape, generator=generator, dtype=x0.dtype)
    return keep.sqrt() * x0 + (1 - keep).sqrt() * noise, noise


# %% tags=["check"]
check.task4(noisy)

# %% [markdown]
# One digit at five times. The upper row is the chapter's text, with $T = 500$. The lower row has $T = 1000$.

# %%
text, code = schedule("linear", 500), schedule("linear", 1000)
one, at = digits.images[digits.labels == 4][:1], torch.tensor([100, 200, 300, 400, 500])
rows, notes = [], []
for name, table in (("T = 500", text), ("T = 1000", code)):
    xt, _ = library_noisy(normalise(one).expand(len(at), -1, -1, -1), at, table, generator(0))
    rows.append((name, torch.cat([one, quantise(xt)])))
    notes.append(["√ᾱ = 1", *(f"√ᾱ = {left:.2f}" for left in table.alphas_cumprod[at].sqrt())])
show(
    figures.picture_rows(rows, ["clean", *(f"t = {t}" for t in at)], notes),
    "One digit at t = 100 … 500, with the same noise in both rows, and below each what is left of the digit. With T = 1000, t = 500 "
    "is only half way.",
    alt="Two rows of a handwritten four that disappears in noise from left to right, faster in the upper row.",
)
print(
    f"√ᾱ at t = 500: {text.alphas_cumprod[500].sqrt():.3f} with T = 500, {code.alphas_cumprod[500].sqrt():.3f} with T = 1000"
)

# %% [markdown]
# Where does the four disappear for you? Slide along $t$.


# %%
def at_time(t):
    """The four, the four at time t, and its noise."""
    xt, noise = library_noisy(normalise(one), torch.tensor([t]), text, generator(0))
    return figures.picture_rows(
        [("", torch.cat([one, quantise(xt), quantise(noise / 3)]))], ["x₀", f"x at t = {t}", "ε"], side=1.6
    )


follow(
    at_time,
    "t",
    list(range(0, 501, 50)),
    "A digit, its noisy version, and the noise in it.",
    alt="Three pictures: a four, the four under noise, and the noise alone.",
    at=200,
)

# %% [markdown]
# Is 0.28 much? To the eye both last pictures are noise. But look for the training digit whose clean image, times
# $\sqrt{\bar\alpha_t}$, is nearest to $x_t$: if it is the right one of 3,000, then $x_t$ still knows its origin.

# %%
found = {}
for name, table in (("T = 500", text), ("T = 1000", code)):
    left = table.alphas_cumprod[500].sqrt().float()
    x500, _ = library_noisy(x0[:300], torch.tensor(500), table, generator(0))
    nearest = torch.cdist(x500.flatten(1), left * x0.flatten(1)).argmin(dim=1)
    found[name] = (nearest == torch.arange(300)).float().mean().item()
    print(f"{name}: the right one of 3,000 digits is found again from x_500 in {found[name]:.0%} of 300 cases")
assert found["T = 500"] < 0.05 < 0.3 < found["T = 1000"]

# %% [markdown]
# <details><summary>Fault 2 of the original: T = 500 in the text, 1,000 in the code</summary>
#
# > Its picture "at $t = 500$" is therefore not the pure noise that the task promises. Besides, its table comes from a
# > float `arange`, which leaves its end out: the last coefficient is 0.98002, not 0.98.
#
# </details>
#
# ### Exercise 5.1
#
# At which $t$ does $\sqrt{\bar\alpha_t}$ first fall below ½, for the chapter's schedule with any $T$? For small
# $1-\alpha_t$ it is nearly $\exp(-\tfrac12\sum_{s\le t}(1-\alpha_s))$: predict the answer for $T = 500$ by hand first.


# %% tags=["stub"]
def half_life(T):
    """The first t at which √ᾱ_t < ½, with α falling evenly from 0.9999 at t = 1 to 0.98 at t = T."""
    return check.TODO


# %% [markdown] tags=["hint"]
# By hand: $\sum_{s \le t}(1-\alpha_s) \approx 0.0001\,t + 0.0199\,t^2/2T$, which should be $2\ln 2$. By machine: a cumulative product, and
# mind where the counting begins.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.1
def half_life(T):
    root = torch.linspace(0.9999, 0.98, T, dtype=torch.float64).cumprod(0).sqrt()
    return int((root < 0.5).nonzero()[0]) + 1  # the table begins at t = 1


for steps in (500, 1000):
    slope = 0.0199 / (2 * steps)
    by_hand = (-0.0001 + (0.0001**2 + 4 * slope * 2 * math.log(2)) ** 0.5) / (2 * slope)
    print(f"T = {steps}: √ᾱ_t < ½ from t = {half_life(steps)} on; by hand t ≈ {by_hand:.0f}")

# %% tags=["check"]
check.exercise_5_1(half_life)

# %% [markdown] tags=["note"]
# The four bug hunts (5.2–5.5) go well in pairs: one looks for the bug, the other may only ask questions. Ten minutes each. All
# four bugs stood in a published lab.

# %% [markdown]
# ### Exercise 5.2: bug hunt
#
# A colleague has written the loss of a batch, (40). Training with it "does not really get anywhere". What the cell prints shows
# how bad it is: a network that cheats, and knows the very noise that is in $x_t$, has a *larger* loss than one that always answers
# zero. Find the bug, and fix the function.


# %% tags=["stub", "hunt"]
def forward_process(x0, t, generator):
    keep = alphas_cumprod[t].to(x0)[:, None, None, None]
    noise = torch.randn(x0.shape, generator=generator)
    return keep.sqrt() * x0 + (1 - keep).sqrt() * noise


def batch_loss(network, x0, t, generator):
    """The mean square error of the predicted noise. network(x_t, t) → like x_t."""
    xt = forward_process(x0, t, generator)
    noise = torch.randn(x0.shape, generator=generator)
    return (network(xt, t) - noise).square().mean()


def cheat(xt, t):
    keep = alphas_cumprod[t].float()[:, None, None, None]
    return (xt - keep.sqrt() * x0[:64]) / (1 - keep).sqrt()


t = torch.randint(1, T + 1, (64,), generator=generator(0))
print(f"loss of a network that knows the noise: {batch_loss(cheat, x0[:64], t, generator(1)):.2f}")
print(f"loss of a network that answers zero:    {batch_loss(lambda xt, t: 0 * xt, x0[:64], t, generator(1)):.2f}")

# %% [markdown] tags=["hint"]
# Two different normal numbers differ by $\mathbb E(\varepsilon-\varepsilon')^2 = 2$. How many noises are drawn?


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.2
def batch_loss(network, x0, t, generator):
    keep = alphas_cumprod[t].to(x0)[:, None, None, None]
    noise = torch.randn(x0.shape, generator=generator)  # once: the noise in x_t is the target
    xt = keep.sqrt() * x0 + (1 - keep).sqrt() * noise
    return (network(xt, t) - noise).square().mean()


print(f"fixed: {batch_loss(cheat, x0[:64], t, generator(1)):.1e}")

# %% tags=["check"]
check.exercise_5_2(batch_loss)

# %% [markdown]
# <details><summary>Fault 3 of the original</summary>
#
# > Its forward function keeps the noise to itself, and its training loop compares with a variable `noise` that does not exist
# > there. Had it existed, it would have been another noise, as here.
#
# </details>
#
# ## A network small enough to read
#
# The network takes a noisy image, its noise level and its class, and returns an image of the same size. A **U-Net** goes down to a
# coarse view, where few pixels see the whole image, and back up, and hands the fine views across. This one fits on a page. It
# looks at the image at 16 × 16, 8 × 8 and 4 × 4 pixels.


# %%
def zero(layer):
    """The layer with all its weights 0: at first it adds nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Block(nn.Module):
    """Two 3×3 convolutions that are told the level and the class, plus a short cut."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.norm1, self.one = nn.GroupNorm(inputs // 16, inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.two = nn.GroupNorm(outputs // 16, outputs), zero(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.told, self.skip = zero(nn.Linear(128, 2 * outputs)), nn.Conv2d(inputs, outputs, 1)

    def forward(self, x, told):
        scale, shift = self.told(told)[:, :, None, None].chunk(2, dim=1)
        h = self.norm2(self.one(F.silu(self.norm1(x))))
        return self.skip(x) + self.two(F.silu(h * (1 + scale) + shift))


class SmallUNet(nn.Module):
    """From noisy images (N×1×32×32), their λ (N) and their classes (N, or None) to a prediction like the images."""

    def __init__(self, width=32):
        super().__init__()
        self.register_buffer("waves", torch.logspace(-1, 0.5, 8))
        self.level = nn.Sequential(nn.Linear(16, 128), nn.SiLU(), nn.Linear(128, 128))
        self.label = nn.Embedding(10, 128)
        self.first = nn.Conv2d(4, width, 3, padding=1)
        self.down1, self.down2 = Block(width, width), Block(width, 2 * width)
        self.middle = Block(2 * width, 2 * width)
        self.up2, self.up1 = Block(4 * width, 2 * width), Block(3 * width, width)
        self.last = zero(nn.Conv2d(width, 4, 3, padding=1))

    def forward(self, x, logsnr, label=None):
        phase = logsnr[:, None] * self.waves
        told = self.level(torch.cat([phase.sin(), phase.cos()], dim=1))
        told = F.silu(told if label is None else told + self.label(label))
        fine = self.down1(self.first(F.pixel_unshuffle(x, 2)), told)  # 16×16: of 2×2 pixels each becomes a channel
        coarse = self.down2(F.avg_pool2d(fine, 2), told)  # 8×8
        whole = self.middle(F.avg_pool2d(coarse, 2), told)  # 4×4
        coarse = self.up2(torch.cat([coarse, F.interpolate(whole, scale_factor=2.0)], dim=1), told)
        fine = self.up1(torch.cat([fine, F.interpolate(coarse, scale_factor=2.0)], dim=1), told)
        return F.pixel_shuffle(self.last(fine), 2)


# %% [markdown]
# And this is what others cost. Counting needs no training and no memory: on PyTorch's `meta` device tensors have shapes only.


# %%
def costs(network, condition):
    """Parameters, and floating-point operations of one image's forward pass."""
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, 32, 32), condition)
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops()


with torch.device("meta"):
    table_of_costs = {
        "the one above": costs(SmallUNet(), torch.zeros(1)),
        "the library's, quick (32, 48, 48)": costs(UNet(1, (32, 48, 48), classes=10), torch.zeros(1)),
        "the library's (48, 96, 96)": costs(UNet(1, (48, 96, 96), classes=10), torch.zeros(1)),
        "the chapter's UNet2DModel": costs(ChapterUNet(1, (32, 32)), torch.zeros(1, dtype=torch.int64)),
    }
print(f"{'network':34} {'parameters':>12} {'GFLOP an image':>15}")
for name, (parameters, operations) in table_of_costs.items():
    print(f"{name:34} {parameters:12,} {operations / 1e9:15.2f}")

# %% [markdown]
# ## The two loops, on digits
#
# Notebook 4's loops once more, with three changes that save time. The level is drawn as a $\lambda$ from a normal distribution around
# the levels where a digit's form is decided. The network is told the class. And it predicts $v = a\,\varepsilon - b\,x_0$, a mixture
# of noise and data that is about equally hard at all levels; $x_0 = a\,x - b\,v$ and $\varepsilon = b\,x + a\,v$ follow from it (notebook 8).


# %%
def scales(logsnr):
    """a and b of levels λ, shaped to multiply images."""
    return logsnr.sigmoid().sqrt()[:, None, None, None], (-logsnr).sigmoid().sqrt()[:, None, None, None]


def train_small(network, x0, labels, steps, rate=6e-3, batch=32, seed=0):
    """Train the network in place; returns the loss of each step."""
    random, optimiser = generator(seed), torch.optim.Adam(network.parameters(), lr=rate, betas=(0.9, 0.99))
    losses = []
    for step in range(steps):
        rows = torch.randint(len(x0), (batch,), generator=random)
        logsnr = -0.5 + 2.2 * torch.randn(batch, generator=random)
        a, b = scales(logsnr)
        noise = torch.randn(x0[rows].shape, generator=random)
        xt, v = a * x0[rows] + b * noise, a * noise - b * x0[rows]
        loss = (network(xt, logsnr, labels[rows]) - v).square().mean()  # (40), of v
        optimiser.zero_grad()
        loss.backward()
        optimiser.param_groups[0]["lr"] = rate * min(1, (step + 1) / 20, 2 * (1 - step / steps))
        optimiser.step()
        losses.append(loss.item())
    return losses


@torch.no_grad()
def draw_small(network, label, steps=20, seed=0):
    """New images of the given classes by DDIM, from λ = −8 to 6."""
    x = torch.randn(len(label), 1, 32, 32, generator=generator(seed))
    for now, then in pairwise(torch.linspace(-8, 6, steps)):
        (a, b), (a_s, b_s) = scales(now[None]), scales(then[None])
        v = network(x, now.expand(len(label)), label)
        x = a_s * (a * x - b * v) + b_s * (b * x + a * v)  # a_s·x̂_0 + b_s·ε̂
    return quantise(x)


torch.manual_seed(0)  # the network's first weights
small, steps = SmallUNet(), 300 if QUICK else 3000
begin = time.perf_counter()
losses = train_small(small, x0, digits.labels, steps)
print(f"{steps} steps of 32 images in {time.perf_counter() - begin:.0f} s")
print(f"loss at first {losses[0]:.2f}, mean of the last thirty {np.mean(losses[-30:]):.3f}")
ours = draw_small(small, torch.arange(30) % 10)
show(
    figures.picture_grid(ours, columns=10),
    "Three times 0 to 9 from the two loops above, none selected. In the quick setting the network has seen each image about three "
    "times: many can be read, others are strokes that begin to be a digit.",
    alt="Three rows of ten white shapes on black. Many can be read as the digit they should be.",
)

# %% [markdown]
# Everything that makes a digit model is on this page now. Write the chapter's version yourself.
#
# ### Task 6: the training loop
#
# Train a network on (40): $\varepsilon$ as the target, $t$ uniform on $1 \dots T$, Adam. One epoch takes every image once, in random order and in batches
# of 64. The function gets a network, called as `network(xt, t)`, the images, the number of epochs, the learning rate and a generator. It returns the
# mean loss of each epoch. (Use your `noisy`.)


# %% tags=["stub"]
def train(network, x0, epochs, rate, generator):
    """Train network(x_t, t) in place; returns a list, the mean loss of each epoch."""
    return check.TODO


# %% [markdown] tags=["hint"]
# `torch.randperm(len(x0), generator=generator).split(64)` gives an epoch's batches. For each: draw $t$, make $x_t$, compare the answer
# with the noise, and take a step.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to task 6
def train(network, x0, epochs, rate, generator):
    network.train()
    optimiser = torch.optim.Adam(network.parameters(), lr=rate)
    history = []
    for _ in range(epochs):
        losses = []
        for rows in torch.randperm(len(x0), generator=generator).split(64):
            t = torch.randint(1, T + 1, (len(rows),), generator=generator)
            xt, noise = noisy(x0[rows], t, generator)
            loss = (network(xt, t) - noise).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        history.append(sum(losses) / len(losses))
    return history


class ByTime(SmallUNet):
    """The small network, told t instead of λ."""

    def forward(self, x, t):
        return super().forward(x, text.logsnr[t].float())


torch.manual_seed(0)
by_time = ByTime()
history = train(by_time, x0[:500] if QUICK else x0, 3 if QUICK else 15, 2e-3, generator(0))
print("mean loss of each epoch:", [round(loss, 3) for loss in history])

# %% tags=["check"]
check.task6(train)

# %% [markdown]
# The chapter asks for 200 epochs of its large network, which takes a GPU. `fromnoise train --preset chapter --out runs/chapter` does it; then set
# `FROMNOISE_LAB_RUN=runs/chapter`, and the rest of this notebook shows its digits.
#
# ### Exercise 5.3: bug hunt
#
# These tables have no entry for clean data. A step of the sampler goes from entry $t$ to entry $t-1$. The cell prints what is
# wrong: one entry is used although it was never trained, and the walk does not end at clean data. Mend all three lines.


# %% tags=["stub", "hunt"]
def process(T):
    """ᾱ as a table, the times that training draws from, and those from which the sampler takes a step, in order."""
    table = torch.linspace(0.9999, 0.98, T, dtype=torch.float64).cumprod(0)
    training = list(range(2, T))
    sampling = list(range(T - 1, 0, -1))
    return table, training, sampling


its_table, its_training, its_sampling = process(1000)
print("used, but never trained:", sorted(set(its_sampling) - set(its_training)))
last = its_table[its_sampling[-1] - 1]
print(f"where the walk ends: ᾱ = {last:.4f}, noise of deviation {(1 - last).sqrt():.3f} is never undone")

# %% [markdown] tags=["hint"]
# Put clean data where it belongs, at $t = 0$. Then $T$ steps need $T + 1$ entries.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.3
def process(T):
    alphas = torch.cat([torch.ones(1), torch.linspace(0.9999, 0.98, T, dtype=torch.float64)])
    return alphas.cumprod(0), list(range(1, T + 1)), list(range(T, 0, -1))


# %% tags=["check"]
check.exercise_5_3(process)

# %% [markdown]
# <details><summary>Fault 4 of the original</summary>
#
# > These are its tables and its loops. The damage is small, since $1 - \alpha$ is 0.0001 there, and so it was never noticed.
#
# </details>
#
# ### Task 5: the sampling loop
#
# Draw $m$ images by the backward process (35), with the mean (37) and the posterior variance (30). The function gets a network,
# called as `network(xt, t)` with $t$ of shape m, the number $m$ and a generator. It returns the images as the process leaves them: m×1×32×32, near
# $[-1, 1]$.


# %% tags=["stub"]
def sample(network, m, generator):
    """m new images, float32 m×1×32×32, by T steps of the learned backward process."""
    return check.TODO


# %% [markdown] tags=["hint"]
# Notebook 4 has the loop for points. Put the network in evaluation mode, keep no gradients, and look at (30) at $t = 1$.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to task 5
@torch.no_grad()
def sample(network, m, generator):
    network.eval()
    x = torch.randn(m, 1, 32, 32, generator=generator)
    for t in range(T, 0, -1):
        noise = network(x, torch.full((m,), t))
        mean = (x - (1 - alphas[t]) / (1 - alphas_cumprod[t]).sqrt() * noise) / alphas[t].sqrt()  # (37)
        x = mean + posterior_variance[t].sqrt() * torch.randn(x.shape, generator=generator)  # (35); 0 at t = 1
    return x


show(
    figures.picture_grid(quantise(sample(by_time, 8, generator(0))), columns=8),
    "Eight images from the network of task 6, after a few epochs: strokes at best. Train longer for digits.",
    alt="Eight blurred, digit-like strokes.",
)

# %% tags=["check"]
check.task5(sample)

# %% [markdown]
# ### Exercise 5.4: bug hunt
#
# Another sampler. Its digits look right, but there is dust in their black corners. The cell lets it draw from a perfect network for
# data that is black everywhere. What comes out should be black to the last bit, and is not. There are three bugs. (One shows in another
# way: a network with dropout gives other images each time.)


# %% tags=["stub", "hunt"]
def dusty(network, m, generator):
    """m new images, float32 m×1×32×32."""
    with torch.no_grad():
        x = torch.randn(m, 1, 32, 32, generator=generator)
        for t in range(T, 0, -1):
            noise = network(x, torch.full((m,), t))
            mean = (x - (1 - alphas[t]) / (1 - alphas_cumprod[t]).sqrt() * noise) / alphas[t].sqrt()
            x = mean + (1 - alphas[t]).sqrt() * torch.randn(x.shape, generator=generator)
    return x


class Black(nn.Module):
    """The perfect network for images that are −1 everywhere."""

    def forward(self, x, t):
        keep = alphas_cumprod[t].float()[:, None, None, None]
        return (x + keep.sqrt()) / (1 - keep).sqrt()


drawn, perfect = dusty(Black(), 4, generator(0)), Black()
dusty(perfect, 1, generator(0))
print(
    f"pixels that should be −1 deviate by {(drawn + 1).square().mean().sqrt():.4f}: {(drawn + 1).square().mean().sqrt() * 127.5:.1f} grey levels"
)
print("the network was in training mode:", perfect.training)

# %% [markdown] tags=["hint"]
# Compare line by line with (30), (35) and (37). Which variance belongs to the text? What is it at $t = 1$? And what does PyTorch want to know
# before a network is used?


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.4
def dusty(network, m, generator):
    network.eval()  # (iii) no dropout
    with torch.no_grad():
        x = torch.randn(m, 1, 32, 32, generator=generator)
        for t in range(T, 0, -1):
            noise = network(x, torch.full((m,), t))
            mean = (x - (1 - alphas[t]) / (1 - alphas_cumprod[t]).sqrt() * noise) / alphas[t].sqrt()
            # (ii) the posterior variance, (i) which is 0 at t = 1
            x = mean + posterior_variance[t].sqrt() * torch.randn(x.shape, generator=generator)
    return x


# %% tags=["check"]
check.exercise_5_4(dusty)

# %% [markdown]
# <details><summary>Fault 5 of the original</summary>
#
# > Its sampler adds noise after the last step, takes $1-\alpha_t$ where its text has $\sigma_q^2(t)$, and leaves the network in training mode.
# > The second is a choice that others make too; the two variances differ only at the very end of the walk, as the next cell shows.
#
# </details>

# %%
for t in (1, 2, 5, 20, 500):
    posterior, forward = posterior_variance[t], 1 - alphas[t]
    print(f"t = {t:3}: σ_q² = {posterior:.6f}, 1 − α_t = {forward:.6f}, ratio {posterior / forward:.3f}")

# %% [markdown]
# ### Exercise 5.5: bug hunt
#
# From samples to pictures. The function works for ten images. For one, the loop over its result sees 32 pictures. Mend it.


# %% tags=["stub", "hunt"]
def pictures(x):
    """Samples near [−1, 1] (m×1×32×32) as m pictures with values in 0 … 1 (m×32×32)."""
    return (x / 2 + 0.5).clamp(0, 1).squeeze().squeeze()


for m in (10, 1):
    print(f"{m} samples become {len(pictures(torch.zeros(m, 1, 32, 32)))} pictures")

# %% [markdown] tags=["hint"]
# `squeeze()` drops every axis of length one. Say which one you mean.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.5
def pictures(x):
    return (x / 2 + 0.5).clamp(0, 1)[:, 0]


# %% tags=["check"]
check.exercise_5_5(pictures)

# %% [markdown]
# <details><summary>Fault 6 of the original</summary>
#
# > Its sampling function ends with `.squeeze().squeeze()`, so a single sample loses its batch axis.
#
# </details>
#
# ## With the library
#
# The library's Trainer is the loop above with what makes it good in minutes on two cores: the weights are averaged (EMA), the class is
# an input, now and then withheld, and the images are changed a little each time. Two of its models follow us through this notebook and the next two:
#
# - **the minute**: trained here, now, in under a minute (in the full setting ten minutes), or found if it was trained before;
# - **the packaged model**: part of the package, trained by the same code for longer.

# %% [markdown] tags=["note"]
# With two hours in all, skip tasks 5 and 6 here, and show what follows: it needs no training when the model was trained beforehand
# (`FROMNOISE_LAB_RUN`).

# %%
minute, run = trained(run_folder(), QUICK)
package = Model.load(packaged("digits"))
models = {"the minute": minute.to(device), "packaged": package.to(device)}
records, settings = run.log.records(), minute.config.training
print(
    f"the minute: {records[-1]['step']:,} steps of {settings.batch} images, {records[-1]['epoch']:.1f} epochs, in {run.model_file()}"
)
for name, model in models.items():
    print(f"{name}: {sum(p.numel() for p in model.network.parameters()):,} parameters")

quarters = ("least noise", "less", "more", "most noise")
by_level = {name: [record[f"loss_q{k}"] for record in records] for k, name in enumerate(quarters, 1)}
show(
    figures.training_loss([record["epoch"] for record in records], [record["loss"] for record in records], by_level),
    "The minute's training loss against the epoch: of all noise levels (left), and of each quarter of them (right). Each point "
    "is a mean over the steps since the one before. The middle levels, where the digit's form is decided, fall furthest.",
    alt="Left, one falling curve on a logarithmic axis. Right, four falling curves at different heights.",
)

# %% [markdown]
# Two losses can be compared only if they are of the same thing. These are of $v$ at their own noise levels. The chapter's
# 0.0155 is of $\varepsilon$ at uniform $t$, most of which are nearly pure noise and easy.
#
# <details><summary>Fault 7 of the original, its second part: 100 epochs</summary>
#
# > Its text asks for 200 epochs, its code trains 100.
#
# </details>


# %%
def ten(model):
    """Ten digits, 0 to 9 where the model knows classes."""
    if model.info.classes != 10:
        return library_sample(model, SampleRequest(10, seed=0))
    each = [library_sample(model, SampleRequest(1, seed=0, first=k, label=k)) for k in range(10)]
    return torch.cat(each)


show(
    figures.picture_rows([("our loops", ours[:10]), *((name, ten(model)) for name, model in models.items())]),
    "Digits from three trainings, none selected: the two loops on this page, the library's minute, and the packaged model.",
    alt="Three rows of ten digits. The upper two are rough; the packaged model's look handwritten.",
)
grid = library_sample(package, SampleRequest(64, seed=0))
show(
    figures.picture_grid(grid),
    "64 digits drawn by the packaged model: seed 0, none selected.",
    alt="An eight by eight grid of handwritten-looking digits.",
)

# %% [markdown]
# Image $k$ of a seed stays the same however many are drawn with it:

# %%
assert torch.equal(library_sample(package, SampleRequest(1, seed=0, first=5))[0], grid[5])

# %% [markdown]
# ## Watching digits form
#
# Before each step the sampler shows a callback what it sees: $x_t$, its level, and the guess $\hat x_0$. The guess is
# blurred as long as much is open, since it is a mean over all digits that $x_t$ may become.

# %%
visits = []
library_sample(package, SampleRequest(2, seed=0), callback=visits.append)
kept = [visits[round(k)] for k in np.linspace(0, len(visits) - 1, 8)]
film = []
for k in range(2):
    film.append((f"x, image {k}", torch.cat([package.info.decode(visit.x[k : k + 1]).cpu() for visit in kept])))
    film.append((f"x̂₀, image {k}", torch.cat([package.info.decode(visit.x0[k : k + 1]).cpu() for visit in kept])))
show(
    figures.picture_rows(film, [f"λ = {round(visit.logsnr.item(), 1) + 0:.1f}".replace("-", "−") for visit in kept]),
    "Two digits on their way from noise (left) to data (right), through the packaged model: what the sampler holds, and under it what the "
    "network takes the clean image to be.",
    alt="Four rows of eight pictures. Noise turns into two digits; the guesses go from a grey blur to the same digits, much earlier.",
)

# %% [markdown]
# ## The same noise, another class
#
# The network is told the class, so the same noise can become any digit. Slant, weight and place come from the noise;
# the class changes the rest. **Guidance** (Ho & Salimans 2022) multiplies the difference that the class makes to the
# network's answer. It makes digits plainer, and too much of it makes them all alike.


# %%
def classes(guidance, model=package, noises=3):
    """One noise for each row, one class for each column."""
    columns = [
        library_sample(model, SampleRequest(noises, seed=2, label=label, guidance=guidance))
        for label in range(model.info.classes)
    ]
    rows = [(f"noise {k}", torch.stack([column[k] for column in columns])) for k in range(noises)]
    return figures.picture_rows(rows, [str(label) for label in range(model.info.classes)])


guidance = guidance_of(package, package.config.sampling)
follow(
    classes,
    "guidance",
    sorted({1.0, guidance, 2.0, 3.0, 5.0, 8.0}),
    "One noise for each row, one class for each column: the packaged model. 1 is the model as it was trained.",
    alt="Three rows of the digits 0 to 9. Within a row they share slant and weight.",
    at=guidance,
)

# %% [markdown]
# ## Exercises
#
# ### Exercise 5.6
#
# How many steps are enough? The sampler `dpm++` is deterministic: from the same noise, more steps only follow the same curve more closely. Write a
# function that gets images drawn with few steps and with many (both uint8, N×C×H×W) and returns the root of their mean square difference in
# grey levels. Then draw eight digits without guidance with 2, 5, 10, 20 and 40 steps and compare. (`SampleRequest(8, seed=0, sampler=…)` takes settings
# as `package.config.sampling` has them; `dataclasses.replace` changes them.)


# %% tags=["stub"]
def difference(few, many):
    """The root mean square difference of two sets of uint8 images, in grey levels."""
    return check.TODO


# %% [markdown] tags=["hint"]
# What is `torch.tensor(3, dtype=torch.uint8) - 5`? Look at it before you subtract.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.6
def difference(few, many):
    return (few.float() - many.float()).square().mean().sqrt().item()


drawn = {}
for steps in (2, 5, 10, 20, 40):
    how = dataclasses.replace(package.config.sampling, sampler="dpm++", sampling_steps=steps, guidance=1.0)
    drawn[steps] = library_sample(package, SampleRequest(8, seed=0, sampler=how))
show(
    figures.picture_rows([(f"{steps} steps", images) for steps, images in drawn.items()]),
    "The same eight noises with 2 to 40 network calls each: the images soon stop changing.",
    alt="Five rows of eight digits; the rows from ten steps on look alike.",
)
apart = {steps: difference(images, drawn[40]) for steps, images in drawn.items()}
print({steps: round(error, 1) for steps, error in apart.items()}, "grey levels from 40 steps")
assert apart[2] > apart[10] > apart[20]

# %% tags=["check"]
check.exercise_5_6(difference)

# %% [markdown]
# ### Exercise 5.7
#
# `Config()` is the library's ten-minute recipe. Build the configuration that predicts $\varepsilon$ on the chapter's schedule with uniform
# $t$, and all else the same. What is the loss of a network that still answers zero, for $\varepsilon$ and for $v$?


# %% tags=["stub"]
def chapters_recipe():
    """Config() with the chapter's process: ε, the linear schedule with T = 500, t uniform."""
    return check.TODO


# %% [markdown] tags=["hint"]
# `dataclasses.replace(Config(), diffusion=dataclasses.replace(Config().diffusion, …))`; `Config().diffusion` shows the names.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.7
def chapters_recipe():
    process = dataclasses.replace(Config().diffusion, schedule="linear", T=500, prediction="eps", levels="uniform")
    return dataclasses.replace(Config(), diffusion=process)


for recipe in (chapters_recipe(), Config()):
    fresh = Model.build(recipe, DataInfo.of(digits, recipe))
    noise = torch.randn(64, 1, 32, 32, generator=generator(0))
    even = (torch.arange(64, dtype=torch.float64) + 0.5) / 64
    with torch.no_grad():
        loss = fresh.objective().errors(fresh.denoiser(), fresh.info.encode(digits.images[:64]), noise, even).mean()
    print(f"{recipe.diffusion.prediction}: {loss:.3f}")
print("E ε² = 1; and E v² = a²·E ε² + b²·E x_0² = 1 for data of unit scale")

# %% tags=["check"]
check.exercise_5_7(chapters_recipe)

# %% [markdown]
# ## References
#
# - Ronneberger, Fischer, Brox (2015), *U-Net: convolutional networks for biomedical image segmentation*.
# - Ho, Jain, Abbeel (2020), *Denoising diffusion probabilistic models* (DDPM).
# - Nichol, Dhariwal (2021), *Improved denoising diffusion probabilistic models*: which variance, which levels.
# - Salimans, Ho (2022), *Progressive distillation for fast sampling of diffusion models*: $v$.
# - Ho, Salimans (2022), *Classifier-free diffusion guidance*.
# - Karras, Aittala, Aila, Laine (2022), *Elucidating the design space of diffusion-based generative models* (EDM): levels where there is most to learn.
# - Lu et al. (2022), *DPM-Solver++*.
