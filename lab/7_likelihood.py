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
# # 7 · Likelihood
#
# The chapter begins with three images of different likelihood, and calls the likelihood of an image intractable. It
# is not: a diffusion model bounds it, term by term, and a differential equation gives it almost exactly.
#
# After this notebook you will be able to
#
# - say what each term of the variational bound costs, in bits per dimension;
# - estimate the bound without bias from a few random noise levels, with a standard error;
# - compute a near-exact likelihood by following the probability-flow equation;
# - encode a digit as noise, and walk between two digits through that noise;
# - explain why a blank image can be likelier than any digit, and what that says about likelihood as a measure of
#   quality.
#
# Equations (11), (21) and (29)–(37) of the chapter. The digits are judged by the packaged model, and by the minute of notebook 5
# beside it, which is trained here if it is not there yet.

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

from fromnoise.data.pixels import normalise, quantise
from fromnoise.data.sources import load
from fromnoise.diffusion.bound import Bound, per_dimension
from fromnoise.diffusion.flow import slerp
from fromnoise.diffusion.ideal import of_mixture
from fromnoise.diffusion.schedule import schedule
from fromnoise.lab import figures
from fromnoise.lab.digit_model import trained
from fromnoise.lab.notebook import run_folder, setting, show
from fromnoise.generation.likelihood import bound_bits, bound_of, decode, encode, flow_bits, labelled
from fromnoise.generation.model import Model
from fromnoise.generation.pretrained import packaged
from fromnoise.lab import check

# os.environ["FROMNOISE_LAB"] = "full"  # the switch: without the first # this notebook computes more, for some minutes
QUICK = setting() == "quick"

# %% [markdown]
# ## The bound
#
# Notebook 4 bounded $-\log p(x_0)$ by walking backwards through the noise levels:
#
# $$ D\big(q(x_T|x_0)\,\|\,p(x_T)\big) + \sum_{t=2}^T \mathbb{E}\, D\big(q(x_{t-1}|x_t,x_0)\,\|\,p(x_{t-1}|x_t)\big)
#    - \mathbb{E} \log p(x_0|x_1). $$
#
# The three terms are the **prior**, the **steps** (33) and the **decoder**.
#
# - The prior compares $q(x_T|x_0) = \mathcal N(a_T x_0, b_T^2 I)$ (28) with $\mathcal N(0, I)$. By the formula for two normals it is
#   $\tfrac12\big(a_T^2\|x_0\|^2 + d\,(b_T^2 - 1 - \ln b_T^2)\big)$ in $d$ dimensions.
# - A step compares two normals with one variance $\sigma_q^2$, (34) and (35). Its divergence is
#   $\|\mu_p-\mu_q\|^2/(2\sigma_q^2) = w_t\|\hat\varepsilon-\varepsilon\|^2$, by (36) and (37).
# - The decoder is one more normal, of variance $1-\alpha_1$. For images its mass is counted between the edges of the 256 grey
#   levels, so that it gives a probability and not a density.
#
# Divided by $d \ln 2$ the sum becomes **bits per dimension**: what a code based on the model pays for each pixel.
#
# <details><summary>Fault 1 of the original, at (36) and (38)</summary>
#
# > It drops the factor $1/(2\sigma_q^2)$ from (36), and the weight that it "ignores" in (38) is not squared. The plain loss (38) is a good
# > training objective, but only the weighted one is a bound.
#
# </details>
#
# First where everything is known: data from $N(0, \tfrac14)$, whose ideal denoiser and exact likelihood have closed
# forms. How much does the bound exceed the exact value?


# %%
def gap(levels, variance=0.25, rows=20_000):
    """The mean bound less the exact −log p over draws of N(0, variance), in nats."""
    generator = torch.Generator().manual_seed(0)
    x0 = torch.randn(rows, 1, generator=generator, dtype=torch.float64) * math.sqrt(variance)
    one = torch.ones(1, dtype=torch.float64)
    denoise = of_mixture(one, torch.zeros(1, 1, dtype=torch.float64), variance * one[:, None, None])
    noise = lambda i: torch.randn(x0.shape, generator=generator, dtype=torch.float64)
    bound = Bound(levels, pixel=None).estimate(denoise, x0, noise).total
    exact = (x0[:, 0] ** 2 / variance + math.log(2 * math.pi * variance)) / 2
    return float((bound - exact).mean())


steps = [25, 50, 100, 200] if QUICK else [25, 50, 100, 200, 400, 800]
even = [gap(torch.linspace(13, -10, T, dtype=torch.float64)) for T in steps]
linear = [gap(schedule("linear", T).logsnr[1:]) for T in steps]
show(
    figures.convergence(
        steps, {"even in λ": even, "linear schedule": linear}, "bound less exact (nats)", "steps T", orders=(1,)
    ),
    "The bound on −log p for data from N(0, ¼), through the ideal denoiser: how far it stays above the exact value. "
    "With steps even in λ the gap halves when the steps double; with the linear schedule it does not close.",
    alt="On logarithmic axes one line falls with slope −1, the other stays nearly level.",
)
print("gap in nats, even in λ: ", [round(value, 3) for value in even])
print("gap in nats, linear:    ", [round(value, 3) for value in linear])

# %% [markdown]
# Steps even in λ close the gap at first order; the linear schedule keeps one (0.58 nats at T = 500), because its first
# steps stay long in λ however many there are: $\alpha_1$ is 0.9999 for every T, so that from t = 1 to t = 2 the noise's
# variance at least doubles. So digits are judged along 1,000 levels even in λ.
#
# ## Three images in order of decreasing likelihood
#
# The chapter's first figure shows a typical five, a five that is hard to read, and something that is no digit, in
# order of decreasing likelihood. Here the order is not asserted but computed: the bound of all fives among some
# held-out digits, and of the same pixels shuffled. The judge is the packaged model.

# %%
model = Model.load(packaged("digits"))
heldout = load("digits:heldout", (32, 32)).subset(60 if QUICK else 400, seed=1)
levels = 12 if QUICK else 32
digits = bound_bits(model, heldout.images, levels)
fives = heldout.images[heldout.labels == 5]
ranked = bound_bits(model, fives, 128).bits.argsort()
shuffle = torch.randperm(32 * 32, generator=torch.Generator().manual_seed(0))
shuffled = fives[ranked[0]].flatten()[shuffle].reshape(1, 1, 32, 32)
three = torch.cat([fives[ranked[[0, -1]]], shuffled])
found = bound_bits(model, three, 128, seed=1)  # with other noise: what they were chosen by is partly luck
show(
    figures.ranked_images(
        three,
        found.bits.tolist(),
        ("a likely five", "a less likely five", "its pixels shuffled"),
        found.standard_error.tolist(),
    ),
    "Three images in order of decreasing likelihood under the trained model, in bits per dimension (fewer is likelier; "
    "± the standard error of the estimate): the likeliest and the least likely five of the held-out digits, and the "
    "first one's pixels in random order.",
    alt="Three pictures: a plainly written five, an odd one, and scattered grey dots, with rising numbers of bits above them.",
)
assert found.bits[0] < found.bits[1] < found.bits[2]

# %% [markdown]
# Each number is an estimate: a few random levels for each image stand for all thousand. The estimate is unbiased, and
# its standard error is the price of the shortcut.
#
# A better model pays less for digits that it has never seen. The minute of notebook 5 beside the packaged model:

# %%
minute, _ = trained(run_folder(), QUICK)
bits = {"the minute": bound_bits(minute, heldout.images, levels).bits, "packaged": digits.bits}
for name, values in bits.items():
    print(
        f"{name:10}: {values.mean():.3f} ± {values.std() / len(values) ** 0.5:.3f} bits per dimension over {len(values)} held-out digits"
    )
saved = bits["the minute"] - bits["packaged"]
print(f"digit by digit the packaged model saves {saved.mean():.3f} ± {saved.std() / len(saved) ** 0.5:.3f}")

# %% [markdown]
# ## Where the bits go
#
# The same sum, level by level. At the right (much noise) nothing is known and nothing is lost. The middle decides
# what kind of image it is; the left pays for the last shades of grey.

# %%
judge, denoise = bound_of(model), labelled(model)


def by_level(images, count):
    """The mean term of the bound at `count` levels, in bits per dimension and unit of λ."""
    generator = torch.Generator().manual_seed(2)
    x0 = model.info.encode(images)
    at = torch.linspace(2, judge.T, count).round().long()
    width = float(judge.levels[0] - judge.levels[1])
    with torch.inference_mode():
        terms = [
            judge.step(denoise, x0, torch.randn(x0.shape, generator=generator), t.expand(len(x0))).mean() for t in at
        ]
    return judge.levels[at - 1], per_dimension(torch.stack(terms), x0[0].numel()) / width


blank = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
count = 24 if QUICK else 60
some = heldout.images[:12] if QUICK else heldout.images[:64]
at, digit_terms = by_level(some, count)
_, blank_terms = by_level(blank.expand(4, -1, -1, -1), count)
_, shuffled_terms = by_level(shuffled.expand(4, -1, -1, -1), count)
show(
    figures.bound_by_level(
        at, {"digits": digit_terms, "a blank image": blank_terms, "shuffled pixels": shuffled_terms}
    ),
    "The terms of the bound by noise level: the area under a curve is what an image costs. Shuffled pixels "
    "cost most at the "
    "middle levels, where the model expects strokes; a blank image costs next to nothing anywhere.",
    alt="Three curves over the noise level. That of shuffled pixels towers in the middle, that of digits is lower, the blank image's lies near 0.",
)

# %% [markdown] tags=["note"]
# Let the class bet before the cell runs: where does a blank image lie, left of the digits or right?

# %% [markdown]
# ## The blank image wins
#
# How finely should one look? Any clearest level gives a valid bound. Take it at λ = 7, where the noise is still four grey levels strong,
# or at λ = 10: an image without a stroke is likelier than every digit, though the model was trained on digits alone and does not draw
# blank images. Nothing is broken. Most pixels of every digit are plain background, which the model predicts very well, and the blank
# image is all background. It saves the bits that a digit spends on where its strokes run. A likelihood is a density, not a vote: there
# is only one blank image, and there are so many digits that a draw is practically always one of them.

# %%
coarse = bound_of(model, clearest=7)
shown_bits = bound_bits(model, heldout.images, levels, judge=coarse).bits
nothing = bound_bits(model, blank, 64, judge=coarse).bits[0]
show(
    figures.bits_histogram({"held-out digits": shown_bits}, {"blank image": float(nothing)}),
    "Bits per dimension of held-out digits, with the blank image marked (bound from λ = 7 on): it is likelier than every "
    "digit. Likelihood alone does not say whether an image looks like the data.",
    alt="A histogram of digits with a dotted line for the blank image, to the left of all of them.",
)
finest = bound_bits(model, blank, 64).bits[0]
for name, ours, its in (("from λ = 7", shown_bits, nothing), ("from λ = 10", digits.bits, finest)):
    error, beaten = ours.std() / len(ours) ** 0.5, (ours > its).double().mean()
    print(f"{name}: digits {ours.mean():.3f} ± {error:.3f}, blank {its:.3f}, likelier than {beaten:.0%} of the digits")
assert nothing < shown_bits.min()

# %% [markdown]
# ## Near-exact: the flow
#
# DDIM's step (notebook 4) keeps the data and the noise, and changes the level: $x_s = a_s\hat x_0 + b_s\hat\varepsilon$. Let the steps
# become small. With $a^2 = 1/(1+e^{-\lambda})$ we have $da/d\lambda = \tfrac12 ab^2$ and $db/d\lambda = -\tfrac12 a^2b$, so
#
# $$ \frac{dx}{d\lambda} = \tfrac12 ab^2\,\hat x_0 - \tfrac12 a^2b\,\hat\varepsilon
#    = \tfrac12\big(b^2 x - b\,\hat\varepsilon(x,\lambda)\big), $$
#
# where the last step puts in $a\,\hat x_0 = x - b\,\hat\varepsilon$ and $a^2 + b^2 = 1$. This is the **probability-flow equation** (Song et al. 2021).
# It leads every image to a noise $z$ and back, without chance. On the way it stretches or squeezes the space around the image, and density
# thins out as volume grows: $\log p$ changes at the rate of minus the trace of the Jacobian of the right-hand side. Add that up, add
# $\log \mathcal N(z; 0, I)$, and $\log p(x)$ is known without a bound's gap. The trace is estimated with one random probe $\eta$ of entries
# $\pm1$, as $\eta^T J\eta$ (Hutchinson).

# %%
few = heldout.images[:4] if QUICK else heldout.images[:32]
flow, bound = flow_bits(model, few), bound_bits(model, few, 64 if QUICK else 256)
print("bits per dimension   flow   bound")
for k in range(4):
    print(f"digit {k}              {flow.bits[k]:.3f}  {bound.bits[k]:.3f} ± {bound.standard_error[k]:.3f}")
print(f"mean over {len(few)}:        {flow.bits.mean():.3f}  {bound.bits.mean():.3f}")

# %% [markdown]
# ## Through the noise from one digit to another
#
# The flow can be undone, so it is a code: every digit has its noise. Between two such codes lies a path on the sphere
# where normal noise lives, and decoding it morphs one digit into the other. The average of the two images, pixel by
# pixel, is two faint digits on top of each other.

# %%
one, other = (int((heldout.labels == digit).nonzero()[0, 0]) for digit in (3, 8))
pair = heldout.images[[one, other]]
codes = encode(model, pair)
weights = torch.linspace(0, 1, 7)
through = decode(model, torch.stack([slerp(codes[0], codes[1], float(weight)) for weight in weights]))
mixed = torch.stack([torch.lerp(*normalise(pair), float(weight)) for weight in weights])
show(
    figures.picture_rows([("through\nnoise", quantise(through)), ("pixel by\npixel", quantise(mixed))]),
    "From one held-out digit to another. Above: through the latent noise of the flow, every image on the way "
    "is made by the "
    "model. Below: the plain average of the pixels.",
    alt="Two rows of seven pictures from a three to an eight. Above, every picture is a digit; below, two faint digits overlap.",
)
back = (through[[0, -1]] - normalise(pair)).abs().mean()
print(f"encoded and decoded again, a pixel is off by {float(back) * 127.5:.2f} of 255 grey levels on average")

# %% [markdown]
# ## Exercises
#
# ### Exercise 7.1
#
# The prior's term has a closed form (above). Write it, in bits per dimension, for images $x_0$ of unit scale at a given
# $\bar\alpha_T$. Then compare the linear schedule with $T = 500$ with the last of the levels used here.


# %% tags=["stub"]
def prior_bits(x0, alpha_bar):
    """D(q(x_T|x_0) ‖ N(0, I)) of each image, in bits per dimension. x0: N×C×H×W; alpha_bar: one number."""
    return check.TODO


# %% [markdown] tags=["hint"]
# $a_T^2 = \bar\alpha_T$ and $b_T^2 = 1-\bar\alpha_T$. Sum over all pixels of an image first; a bit is $\ln 2$ nats.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 7.1
def prior_bits(x0, alpha_bar):
    squares, d, b2 = x0.double().square().flatten(1).sum(dim=1), x0[0].numel(), 1 - alpha_bar
    return (alpha_bar * squares + d * (b2 - 1 - math.log(b2))) / (2 * d * math.log(2))


some = model.info.encode(heldout.images[:1])
for name, table in (("linear, T = 500", schedule("linear", 500).logsnr[1:]), ("even in λ", judge.levels)):
    print(f"{name}: {float(prior_bits(some, float(table[-1].sigmoid()))):.6f} bits per dimension")

# %% tags=["check"]
check.exercise_7_1(prior_bits)

# %% [markdown]
# ### Exercise 7.2
#
# The bound takes its few random levels evenly: one from each $k$-th of the range. Write that. The function gets $u$, N×k numbers
# that are uniform on $(0, 1)$. It returns N×k numbers, the $i$-th of each row uniform on $((i-1)/k,\ i/k)$. Then double $k$ a
# few times. How does the standard error of `bound_bits(model, images, k)` fall, and how would it fall with independent levels?


# %% tags=["stub"]
def strata(u):
    """From N×k numbers uniform on (0, 1) to one in each k-th of it."""
    return check.TODO


# %% [markdown] tags=["hint"]
# Shrink all numbers to the width $1/k$, and move the $i$-th column to its place.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 7.2
def strata(u):
    k = u.shape[1]
    return (torch.arange(k) + u) / k


errors = {k: float(bound_bits(model, heldout.images[:4], k).standard_error.mean()) for k in (4, 8, 16, 32)}
for k, error in errors.items():
    print(f"{k:3} levels: ± {error:.4f} bits per dimension")
print("independent levels would fall as 1/√k; one from each part falls faster, the terms being smooth in λ")
assert errors[32] < errors[4] / 2

# %% tags=["check"]
check.exercise_7_2(strata)

# %% [markdown]
# ### Exercise 7.3
#
# Take a digit and paint its lower half black. Is the result likelier or less likely? Decide, and say why. Then write the function that paints
# (without changing the images it is given) and compute the difference for some held-out digits.


# %% tags=["stub"]
def lower_half_black(images):
    """New images, like these (uint8 N×C×H×W), with the lower half 0."""
    return check.TODO


# %% [markdown] tags=["hint"]
# Rows are counted from the top. `clone` makes a copy.


# %% cellView="form" jupyter={"source_hidden": true} tags=["solution"]
# @title Solution to 7.3
def lower_half_black(images):
    painted = images.clone()
    painted[:, :, images.shape[2] // 2 :] = 0
    return painted


whole, levels = (heldout.images[:32], 32) if QUICK else (heldout.images[:64], 64)
saved = bound_bits(model, whole, levels).bits - bound_bits(model, lower_half_black(whole), levels).bits
error = saved.std() / len(saved) ** 0.5
print(f"without its lower half a digit costs {saved.mean():.3f} ± {error:.3f} bits per dimension less: it is likelier.")
print(
    "The cut edge is a surprise: no digit ends in a straight line. The strokes that are not there save more than that."
)
assert saved.mean() > 2 * error

# %% tags=["check"]
check.exercise_7_3(lower_half_black)

# %% [markdown]
# ## References
#
# - Ho, Jain, Abbeel (2020), *Denoising diffusion probabilistic models*: the bound and the discretised decoder.
# - Kingma, Salimans, Poole, Ho (2021), *Variational diffusion models*: the bound as a function of $\lambda$, and random levels.
# - Song et al. (2021), *Score-based generative modeling through stochastic differential equations*: the probability-flow equation.
# - Nalisnick et al. (2019), *Do deep generative models know what they don't know?*: the likelihood of what is not data.
