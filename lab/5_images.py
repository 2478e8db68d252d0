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
# theory changes: the same forward process, the same loss, the same backward walk, with a network that is good at
# pictures.
#
# After this notebook you will be able to
#
# - draw a training set that is balanced over its classes, and say how far a random one is from that;
# - read from a schedule how much of an image is left at step $t$;
# - say what a noise predictor costs, in parameters and in operations;
# - train one on 3,000 digits and read its loss;
# - draw any number of new digits, watch them form, and choose their class.
#
# Tasks 3–6 and equations (25)–(28), (30) and (34)–(40) of the chapter; the theory is in notebook 4. Notebook 6
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

import numpy as np
import fromnoise  # noqa: F401 - before torch, for it says how PyTorch's threads wait
import torch
from torch.utils.flop_counter import FlopCounterMode

from fromnoise.config import Config
from fromnoise.data.pixels import normalise, quantise
from fromnoise.data.sources import load
from fromnoise.diffusion.denoiser import by_logsnr
from fromnoise.diffusion.forward import noisy
from fromnoise.diffusion.samplers import levels_for, sampler, start
from fromnoise.diffusion.schedule import schedule
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.faces import figures
from fromnoise.faces.digit_model import trained
from fromnoise.faces.notebook import run_folder, setting, show
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.sampling import SampleRequest, sample_batches, sample, guidance_of
from fromnoise.generation.model import Model
from fromnoise.networks.chapter import ChapterUNet
from fromnoise.networks.unet import UNet

QUICK = setting() == "quick"
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

# %% [markdown]
# ## Three thousand digits (task 3)
#
# `digits` travels inside the package: 5,000 of MNIST's training digits, 500 of each class. Its part `train` has the
# 3,000 that the task asks for. `load` resizes them from 28 × 28 to 32 × 32 (bilinear, antialiased, rounded to 8
# bits), and `draw` takes a balanced, seeded subset: the same seed, the same images.

# %%
digits = load("digits:train", (32, 32)).subset(3000, seed=0)
counts = digits.labels.bincount()
print(f"{len(digits):,} images, channels × height × width {digits.shape}, pixels {digits.images.dtype}")
print("images of each class:", counts.tolist())
assert counts.tolist() == 10 * [300]

first_of_each = torch.cat([digits.images[digits.labels == label][:2] for label in range(10)])
show(figures.picture_grid(first_of_each, columns=10), "Two of the three hundred training digits of each class.")

# %% [markdown]
# **Fault 7 of the original**, its first part: the chapter asks for 300 images of each class, and its code takes the
# first 3,000 of a random permutation of MNIST's 60,000. Such a draw follows the hypergeometric distribution. With
# $K_c$ of the $N$ images in class $c$, it has $m K_c/N$ of them on average, with variance
#
# $$ m\,\frac{K_c}{N}\Big(1-\frac{K_c}{N}\Big)\frac{N-m}{N-1}. $$
#
# MNIST itself is not balanced either: it has 6,742 ones and 5,421 fives.

# %%
IN_MNIST = np.array([5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949])
m, share = 3000, IN_MNIST / IN_MNIST.sum()
spread = np.sqrt(m * share * (1 - share) * (IN_MNIST.sum() - m) / (IN_MNIST.sum() - 1))
at_random = np.random.default_rng(0).multivariate_hypergeometric(IN_MNIST, m)
show(
    figures.class_counts(counts.tolist(), at_random.tolist(), (m * share).tolist(), spread.tolist()),
    "Images of each class in 3,000 digits: bars, a balanced subset; diamonds, a random one as the chapter's code "
    "makes it; brackets, where random ones lie 19 times in 20. Only the bars are level.",
)
print(f"one random draw has from {at_random.min()} to {at_random.max()} images a class")

# %% [markdown]
# Networks learn from numbers in $[-1, 1]$, not bytes: `normalise` maps 0…255 there, and `quantise` comes back.

# %%
x0 = normalise(digits.images)
print(f"from {x0.min():.0f} to {x0.max():.0f}, mean {x0.mean():.2f}, standard deviation {x0.std():.2f}")
assert torch.equal(quantise(x0), digits.images)

# %% [markdown]
# ## Noise, step by step (task 4)
#
# The jump (27), (28) goes from clean data to any step at once,
#
# $$ x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\varepsilon. $$
#
# $\sqrt{\bar\alpha_t}$ is what is left of the image. On the chapter's schedule $\alpha_t$ falls evenly from 0.9999 at
# $t=1$ to 0.98 at $t=T$. The text says $T = 500$, the code has 1,000 (**fault 2 of the original**): so its picture
# "at $t = 500$" is only half way down, and is not the pure noise that the task promises.

# %%
text, code = schedule("linear", 500), schedule("linear", 1000)
one, at = digits.images[digits.labels == 4][:1], torch.tensor([100, 200, 300, 400, 500])
rows, notes = [], []
for name, table in (("T = 500", text), ("T = 1000", code)):
    xt, _ = noisy(normalise(one).expand(len(at), -1, -1, -1), at, table, torch.Generator().manual_seed(0))
    rows.append((name, torch.cat([one, quantise(xt)])))
    notes.append(["√ᾱ = 1", *(f"√ᾱ = {left:.2f}" for left in table.alphas_cumprod[at].sqrt())])
show(
    figures.picture_rows(rows, ["clean", *(f"t = {t}" for t in at)], notes),
    "One digit at t = 100 … 500, with the same noise in both rows and below each what is left of the digit. Above "
    "T = 500, as the text has it; below T = 1000, as the code has it: there t = 500 is only half way.",
)
print(
    f"√ᾱ at t = 500: {text.alphas_cumprod[500].sqrt():.3f} with T = 500, {code.alphas_cumprod[500].sqrt():.3f} with 1000"
)

# The code's table comes from a float `arange`, which leaves its end out.
rate = (0.98 - 0.9999) / 1000
theirs = torch.arange(0.9999, 0.98, rate)
print(f"the code's last α: {theirs[-1]:.5f}; ours: {code.alphas[-1]:.5f}")
assert theirs[-1] > 0.98001
assert code.alphas[-1] == 0.98

# %% [markdown]
# Is 0.28 much? To the eye both last pictures are noise. But look for the training digit whose clean image, times
# $\sqrt{\bar\alpha_t}$, is nearest to $x_t$: if it is the right one of 3,000, then $x_t$ still knows its origin.

# %%
found = {}
for name, table in (("T = 500", text), ("T = 1000", code)):
    left = table.alphas_cumprod[500].sqrt().float()
    x500, _ = noisy(x0[:300], torch.tensor(500), table, torch.Generator().manual_seed(0))
    nearest = torch.cdist(x500.flatten(1), left * x0.flatten(1)).argmin(dim=1)
    found[name] = (nearest == torch.arange(300)).float().mean().item()
    print(f"{name}: the right one of 3,000 digits is found again from x_500 in {found[name]:.0%} of 300 cases")
assert found["T = 500"] < 0.05 < 0.3 < found["T = 1000"]

# %% [markdown]
# Even at $T = 500$ a trace of 8 % is left. Sampling starts from $N(0, I)$ all the same, so it starts slightly off.
#
# **Fault 3.** The chapter's forward function returns $x_t$ alone, and its training loop then compares the network's
# answer with a `noise` that was never defined. The noise is the target: `noisy` returns both.

# %%
t = torch.tensor([100, 300, 500])
xt, noise = noisy(x0[:3], t, text, torch.Generator().manual_seed(1))
a = text.alphas_cumprod[t].reshape(-1, 1, 1, 1).float()
recovered = (xt - a.sqrt() * x0[:3]) / (1 - a).sqrt()
print(f"largest difference between the noise returned and the noise in x_t: {(recovered - noise).abs().max():.1e}")
assert torch.allclose(recovered, noise, atol=1e-4)

# %% [markdown]
# **Fault 4.** The chapter's tables have no entry for clean data: entry 0 is already $\alpha = 0.9999$. Its training
# draws entries 2 … 999; its sampler walks entries 999 … 1. So entry 1 is used though it was never trained, and entry 0
# is never undone. Our tables have length $T+1$ and are indexed by $t$ itself, with $\bar\alpha_0 = 1$.

# %%
trained_entries, used = set(range(2, 1000)), set(range(999, 0, -1))
print("the chapter's code uses untrained entries:", used - trained_entries)
print("and leaves in the image the noise of entries:", set(range(1000)) - used)
print(f"our table: {len(text.alphas)} entries, ᾱ_0 = {text.alphas_cumprod[0]:g}, ᾱ_1 = {text.alphas_cumprod[1]:g}")
assert len(text.alphas) == text.T + 1

# %% [markdown]
# ### Exercise 5.1
#
# At which $t$ does $\sqrt{\bar\alpha_t}$ first fall below ½, with $T = 500$ and with $T = 1000$? For small
# $1-\alpha_t$ it is nearly $\exp(-\tfrac12\sum_{s\le t}(1-\alpha_s))$: predict both answers by hand first.

# %%
# Your turn

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.1
# Σ(1 − α_s) ≈ 0.0001 t + 0.0199 t²/(2T) = 2 ln 2 is a quadratic equation in t.
for table in (text, code):
    slope = 0.0199 / (2 * table.T)
    by_hand = (-0.0001 + (0.0001**2 + 4 * slope * 2 * np.log(2)) ** 0.5) / (2 * slope)
    half = int((table.alphas_cumprod.sqrt() < 0.5).nonzero()[0])
    print(f"T = {table.T}: √ᾱ_t < ½ from t = {half} on; by hand t ≈ {by_hand:.0f}")
    assert abs(half - by_hand) < 5

# %% [markdown]
# ## The noise predictor
#
# The network takes a noisy image and its noise level and returns an image of the same size: a **U-Net**, convolutions
# that go down to a coarse view and back up, with the fine views handed across. The chapter takes diffusers'
# `UNet2DModel` with channels (128, 128, 256, 256, 512, 512) and attention in the fifth level. Ours has three levels
# and no attention, for CPUs. Counting needs no training and no memory: on PyTorch's `meta` device tensors have shapes
# only.


# %%
def costs(network, condition):
    """Parameters, and floating-point operations of one image's forward pass."""
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 1, 32, 32), condition)
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops()


with torch.device("meta"):
    table_of_costs = {
        "the chapter's UNet2DModel": costs(ChapterUNet(1, (32, 32)), torch.zeros(1, dtype=torch.int64)),
        "ours, ten minutes (48, 96, 96)": costs(UNet(1, (48, 96, 96), classes=10), torch.zeros(1)),
        "ours, quick (32, 48, 48)": costs(UNet(1, (32, 48, 48), classes=10), torch.zeros(1)),
    }
print(f"{'network':34} {'parameters':>12} {'GFLOP an image':>15}")
for name, (parameters, operations) in table_of_costs.items():
    print(f"{name:34} {parameters:12,} {operations / 1e9:15.2f}")

# %% [markdown]
# ## Training (task 6)
#
# The loss (40) is the mean square error of the predicted noise, at a random $t$ for each image. With a network that
# still answers zero it is $\mathbb{E}\,\varepsilon^2 = 1$.
#
# ### Exercise 5.2
#
# Write the loop: draw images and $t$, make $x_t$, compare the network's answer with the noise, take a step. Train
# `UNet(1, (32, 48, 48))` with Adam on the schedule `text` for a few dozen steps, and see the loss fall below 1. Our
# network is conditioned on $\lambda_t$: `network(xt, by_logsnr(text.logsnr[t]))`.

# %%
# Your turn

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.2
generator = torch.Generator().manual_seed(0)
torch.manual_seed(0)  # the network's first weights
network = UNet(1, (32, 48, 48))
optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
losses = []
for _ in range(40 if QUICK else 200):
    rows = torch.randint(len(x0), (16,), generator=generator)
    t = torch.randint(1, text.T + 1, (16,), generator=generator)
    xt, noise = noisy(x0[rows], t, text, generator)
    loss = (network(xt, by_logsnr(text.logsnr[t])) - noise).square().mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
print(f"loss at the first step {losses[0]:.2f}, mean of the last ten {np.mean(losses[-10:]):.2f}")
assert abs(losses[0] - 1) < 0.05
assert np.mean(losses[-10:]) < 0.5

# %% [markdown]
# The library's Trainer is this loop with what makes it good in minutes on two cores: the network predicts
# $v = a\,\varepsilon - b\,x_0$ instead of $\varepsilon$ alone, noise levels are drawn where there is most to learn, the
# weights are averaged (EMA), and the class is an input, now and then withheld. `fromnoise train` runs the same code. The
# cell below trains into a run folder, or finds what is there: quick, under a minute on two slow cores, strokes that
# begin to be digits; full, ten minutes.
#
# The chapter's own recipe is `fromnoise train --preset chapter --out runs/chapter`; on a GPU, train that, set
# `FROMNOISE_LAB_RUN=runs/chapter`, and the rest of this notebook shows its digits.

# %%
model, run = trained(run_folder(), QUICK)
records = run.log.records()
settings = model.config.training
print(f"{sum(p.numel() for p in model.network.parameters()):,} parameters, saved in {run.model_file()}")
print(f"{records[-1]['step']:,} steps of {settings.batch} images, {records[-1]['epoch']:.1f} epochs")
print(f"loss at the end {records[-1]['loss']:.4f}")

quarters = ("least noise", "less", "more", "most noise")
by_level = {name: [record[f"loss_q{k}"] for record in records] for k, name in enumerate(quarters, 1)}
show(
    figures.training_loss([record["epoch"] for record in records], [record["loss"] for record in records], by_level),
    "The training loss against the epoch: of all noise levels (left), and of each quarter of them (right). Each point "
    "is a mean over the steps since the one before. The middle levels, where the digit's form is decided, fall furthest.",
)

# %% [markdown]
# Two losses can be compared only if they are of the same thing. Ours is that of $v$ at its own noise levels; the
# chapter's 0.0155 (100 epochs, where its text asks for 200: fault 7 again) is that of $\varepsilon$ at uniform $t$,
# most of which are nearly pure noise and easy.
#
# ## Sampling digits (task 5)
#
# A sampler walks from noise to data along a list of levels and asks the network at each for
# $(\hat x_0, \hat\varepsilon)$. It begins at noise whose mean is that of noisy data at the first level, $a\mu$ with
# the mean $\mu$ of all pixels; $a$ is small there, but not 0. The network knows images as `model.info` encodes them,
# divided by their root mean square, and `model.info.decode` undoes that. The whole of `sample_by_hand(model, m)`:


# %%
def sample_by_hand(model, m, seed=0):
    """m new images, uint8 m × 1 × 32 × 32."""
    settings = model.config.sampling
    network = model.network.to(device).eval()  # not in training mode: fault 5
    denoiser, classes = model.denoiser(network), model.info.classes
    label = torch.arange(m, device=device) % classes if classes else None
    generator = torch.Generator().manual_seed(seed)

    def normal(k=None):
        return torch.randn(m, *model.info.image, generator=generator).to(device)

    levels = levels_for(settings, model.table)
    x = start(settings, levels[0], normal(), model.info.encoded_mean)
    with torch.no_grad():
        x = sampler(settings)(lambda x, logsnr: denoiser(x, logsnr, label), x, levels, normal)
    return model.info.decode(x).cpu()


few = sample_by_hand(model, 10)
print(tuple(few.shape), few.dtype, "in training mode:", model.network.training)
assert few.shape == (10, 1, 32, 32)
assert not model.network.training

# %% [markdown]
# The library's `sample` does the same in micro-batches of 64, with guidance (below) where the model knows classes;
# image $k$ of a seed stays the same however many are drawn with it.

# %%
grid = sample(model, SampleRequest(64, seed=0), device)
show(figures.picture_grid(grid), "64 digits drawn by the model: seed 0, none selected.")

# %% [markdown]
# **Fault 5 of the original**: its sampler (i) adds noise even after the last step, (ii) takes $1-\alpha_t$ for the
# variance where its text has $\sigma_q^2(t)$ (30), and (iii) runs the network in training mode. Ours asks for no noise
# at the last step, which counting shows; both variances can be had (`steps.Ancestral("posterior")` or `"forward"`), and they
# differ only at the very end of the walk.

# %%
asked = []


def counted(k):
    asked.append(k)
    return torch.zeros(1, 1, 32, 32)


ancestral = SamplerSettings("ancestral", sampling_steps=5, spacing="t")
levels = levels_for(ancestral, text)
sampler(ancestral)(lambda x, logsnr: (x, x), torch.zeros(1, 1, 32, 32), levels, counted)
print(f"{len(levels) - 1} steps, noise asked for at steps {asked}: none at the last")
assert asked == [0, 1, 2, 3]
for t in (1, 2, 5, 20, 500):
    posterior, forward = text.posterior_variance[t], 1 - text.alphas[t]
    print(f"t = {t:3}: σ_q² = {posterior:.6f}, 1 − α_t = {forward:.6f}, ratio {posterior / forward:.3f}")

# %% [markdown]
# **Fault 6**: the chapter ends with `.squeeze().squeeze()`, which drops every axis of length one. Of one grey image
# the batch axis goes too, and whatever loops over images then loops over rows of pixels.

# %%
single = sample_by_hand(model, 1)
print("ours:", tuple(single.shape), "  after squeeze:", tuple(single.squeeze().shape))
assert single.shape == (1, 1, 32, 32)

# %% [markdown]
# ## Watching digits form
#
# Before each step the sampler shows a callback what it sees: $x_t$, its level, and the guess $\hat x_0$. The guess is
# blurred as long as much is open, since it is a mean over all digits that $x_t$ may become.

# %%
visits = []
list(sample_batches(model, SampleRequest(2, seed=0), device, callback=visits.append))
kept = [visits[round(k)] for k in np.linspace(0, len(visits) - 1, 8)]
film = []
for k in range(2):
    film.append((f"x_t, image {k}", torch.cat([model.info.decode(visit.x[k : k + 1]).cpu() for visit in kept])))
    film.append((f"x̂₀, image {k}", torch.cat([model.info.decode(visit.x0[k : k + 1]).cpu() for visit in kept])))
show(
    figures.picture_rows(film, [f"λ = {round(visit.logsnr.item(), 1) + 0:.1f}".replace("-", "−") for visit in kept]),
    "Two digits on their way from noise (left) to data (right): what the sampler holds, x_t, and under it what the "
    "network takes the clean image to be, x̂₀. λ is the log signal-to-noise ratio.",
)

# %% [markdown]
# ## The same noise, another class
#
# The network is conditioned on the class, so the same noise can become any digit. Slant, weight and place come from the noise;
# the class changes the rest. **Guidance** (Ho & Salimans 2022) multiplies the difference that the class makes to the
# network's answer: it makes digits plainer, and too much of it makes them all alike. The recipe draws with a little of it
# at middle noise levels; a network that was trained for a minute makes little of the class, and needs more. (A model
# trained without classes, as the chapter's is, has no such figure.)

# %%
if model.info.classes and not model.info.clustered:
    guidance = 3.0 if QUICK else guidance_of(model, model.config.sampling)
    columns = [
        sample(model, SampleRequest(4, seed=2, label=label, guidance=guidance), device)
        for label in range(model.info.classes)
    ]
    rows = [(f"noise {k}", torch.stack([column[k] for column in columns])) for k in range(4)]
    show(
        figures.picture_rows(rows, [str(label) for label in range(model.info.classes)]),
        f"One noise for each row, one class for each column, with guidance {guidance:g}. How plainly the class shows "
        "tells how far the training went.",
    )
else:
    print("this model was trained without classes")

# %% [markdown]
# ### Exercise 5.3
#
# The sampler `dpm++` is deterministic: from the same noise, more steps only follow the same curve more closely. Draw
# eight digits without guidance (`guidance=1.0`) with 2, 5, 10 and 20 steps (`SampleRequest(8, sampler=...)` takes settings as
# `model.config.sampling` has them), compare them with 40 steps by the root of the mean square difference in grey levels,
# and show them. How many steps are enough?

# %%
# Your turn

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.3
drawn = {}
for steps in (2, 5, 10, 20, 40):
    how = dataclasses.replace(model.config.sampling, sampler="dpm++", sampling_steps=steps, guidance=1.0)
    drawn[steps] = sample(model, SampleRequest(8, seed=0, sampler=how), device)
errors = {steps: (images.float() - drawn[40].float()).square().mean().sqrt().item() for steps, images in drawn.items()}
show(
    figures.picture_rows([(f"{steps} steps", images) for steps, images in drawn.items()]),
    "The same eight noises with 2 to 40 network calls each: the images soon stop changing.",
)
print({steps: round(error, 1) for steps, error in errors.items()}, "grey levels from 40 steps")
assert errors[2] > errors[10] > errors[20]

# %% [markdown]
# ### Exercise 5.4
#
# `Config()` is the ten-minute recipe. Which settings must change to make it predict $\varepsilon$ on the chapter's
# schedule with uniform $t$? Build that configuration and check its loss at a zero answer against theory. (A model is
# `Model.build(recipe, DataInfo.of(digits, recipe))`, and its answer zero as long as it is not trained; its losses are
# `model.objective().errors(model.denoiser(), x0, noise, u)`, with `x0 = model.info.encode(images)` and `u` evenly
# spread in (0, 1).)

# %%
# Your turn

# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 5.4
recipe = dataclasses.replace(
    Config(),
    diffusion=dataclasses.replace(Config().diffusion, schedule="linear", T=500, prediction="eps", levels="uniform"),
)
fresh = Model.build(recipe, DataInfo.of(digits, recipe))
noise = torch.randn(64, 1, 32, 32, generator=torch.Generator().manual_seed(0))
spread_u = (torch.arange(64, dtype=torch.float64) + 0.5) / 64
with torch.no_grad():
    encoded = fresh.info.encode(digits.images[:64])
    loss = fresh.objective().errors(fresh.denoiser(), encoded, noise, spread_u).mean()
print(f"loss of a network whose last layer is still zero: {loss:.3f}; E ε² = 1")
assert abs(loss - 1) < 0.02
