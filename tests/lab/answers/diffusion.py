"""Notebook 4's checks: right answers written differently pass, typical wrong ones are told what is wrong."""

import torch

from fromnoise.lab import check


def by_hand(alphas):
    variances = [0.0]
    for alpha in alphas[1:].tolist():
        variances.append(alpha * variances[-1] + 1 - alpha)
    return torch.tensor(variances, dtype=torch.float64)


def rescale(alphas_cumprod):
    root = alphas_cumprod.sqrt()[1:]
    return torch.cat([alphas_cumprod[:1], ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2])


def rescale_in_place(alphas_cumprod):
    root = alphas_cumprod.sqrt()
    root[1:] -= root[-1].clone()
    root[1:] *= alphas_cumprod[1].sqrt() / root[1].clone()
    return root**2


def rescaled(squared=False, all_of_it=False, scaled=True):
    """Rescaling with a mistake."""

    def wrong(alphas_cumprod):
        table = alphas_cumprod if squared else alphas_cumprod.sqrt()
        tail = table if all_of_it else table[1:]
        tail = (tail - tail[-1]) * (tail[0] / (tail[0] - tail[-1]) if scaled else 1)
        tail = tail if squared else tail**2
        return tail if all_of_it else torch.cat([alphas_cumprod[:1], tail])

    return wrong


def down(x, noise, from_level, to_level, eta, z, of_sigma=lambda s: s**0.5, of_eta=lambda e: e**2, rest=True):
    (a_t, b_t), (a_s, b_s) = from_level, to_level
    sigma2 = of_eta(eta) * (1 - a_t**2 / a_s**2) * b_s**2 / b_t**2
    left = b_s**2 - sigma2 if rest else b_s**2
    return a_s * (x - b_t * noise) / a_t + left**0.5 * noise + of_sigma(sigma2) * z


def forward_down(x, noise, from_level, to_level, eta, z):
    (a_t, b_t), (a_s, b_s) = from_level, to_level
    sigma2 = eta**2 * (1 - a_t**2 / a_s**2)
    return a_s * (x - b_t * noise) / a_t + (b_s**2 - sigma2).clamp(min=0) ** 0.5 * noise + sigma2**0.5 * z


def memory(x, points, a, b):
    logits = -((x[:, None] - a * points) ** 2).sum(dim=2) / (2 * b**2)
    weights = (logits - logits.logsumexp(dim=1, keepdim=True)).exp()
    return torch.einsum("mk,kd->md", weights, points)


def remembered(of=lambda distance, b: -(distance**2) / (2 * b**2), scaled=True, weights=lambda w: w.softmax(dim=1)):
    return lambda x, points, a, b: weights(of(torch.cdist(x, a * points if scaled else points), b)) @ points


RIGHT = [
    (check.exercise_4_1, by_hand),
    (check.exercise_4_1, lambda alphas: torch.tensor(by_hand(alphas).tolist())),  # in float32
    (check.exercise_4_1, lambda alphas: 1 - torch.cumprod(alphas, 0)),
    (check.exercise_4_3, rescale),
    (check.exercise_4_3, rescale_in_place),
    (check.exercise_4_3, lambda table: torch.tensor(rescale(table).tolist())),
    (check.exercise_4_4, down),
    (check.exercise_4_5, memory),
    (check.exercise_4_5, remembered()),
]
WRONG = [
    (r"not \(41,\)", check.exercise_4_1, lambda alphas: by_hand(alphas)[1:]),
    ("at t = 0 nothing", check.exercise_4_1, lambda alphas: 1 - torch.cumprod(alphas * 0.99, 0)),
    ("second step", check.exercise_4_1, lambda alphas: (1 - alphas).cumsum(0)),
    ("after one step", check.exercise_4_1, lambda alphas: (1 - alphas.cumprod(0)).sqrt()),
    ("ᾱ_T should be 0", check.exercise_4_3, lambda table: table),
    ("stayed|ᾱ₁ was", check.exercise_4_3, rescaled(scaled=False)),
    ("the middle is not", check.exercise_4_3, rescaled(squared=True)),
    ("ᾱ₁ was", check.exercise_4_3, rescaled(all_of_it=True)),
    ("with η = 0", check.exercise_4_4, lambda x, noise, t, s, eta, z: s[0] * x + s[1] * noise),
    ("takes its root", check.exercise_4_4, lambda *answer: down(*answer, of_sigma=lambda s: s)),
    ("beside σ", check.exercise_4_4, lambda *answer: down(*answer, rest=False)),
    ("η is squared", check.exercise_4_4, lambda *answer: down(*answer, of_eta=lambda e: e)),
    ("factor b_s²", check.exercise_4_4, forward_down),
    ("add up to one", check.exercise_4_5, remembered(weights=torch.exp)),
    ("that of x to a·p_i", check.exercise_4_5, remembered(of=lambda d, b: d**2 / (2 * b**2))),
    ("the weights between", check.exercise_4_5, remembered(of=lambda d, b: -(d**2) / b**2)),
    ("compared with a·p_i", check.exercise_4_5, remembered(scaled=False)),
    (r"not \(7, 2\)", check.exercise_4_5, lambda x, points, a, b: memory(x, points, a, b)[0]),
]
