"""Sets of features that the score does not have, to compare its own with: see benchmarks/features.py."""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fromnoise import rng
from fromnoise.data.colour import by_colour
from fromnoise.data.patterns import packaged
from fromnoise.data.resize import resize
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.features import choosing_features
from fromnoise.evaluation.judge import one_thread, pretrained
from tools.make_patterns import learn

SIDE = 32
PATTERNS = 256
WIDTH, DIMENSION = 32, 128
BATCH, STEPS, RATE, TEMPERATURE = 64, 600, 2e-3, 0.2

Images = UInt8[Tensor, "n c h w"]


def _rgb(images: Images) -> Float[Tensor, "n 3 32 32"]:
    return resize(images, (SIDE, SIDE)).expand(-1, 3, -1, -1).float()


def random_convolutions(reference: Images) -> Features:
    """Those by which guidance and checkpoints are chosen."""
    return choosing_features(torch.device("cpu"))


def pyramid(reference: Images) -> Features:
    """A Laplacian pyramid (Burt & Adelson 1983): in each quarter of each band, how much there is of each colour."""

    def extract(images: Images) -> Float[Tensor, "n d"]:
        x, found = _rgb(images), []
        for _ in range(3):
            low = F.avg_pool2d(x, 2)
            band = x - F.interpolate(low, scale_factor=2, mode="bilinear")
            found += [F.adaptive_avg_pool2d(band.abs(), 2), F.adaptive_avg_pool2d(band.square(), 2).sqrt()]
            x = low
        return torch.cat([each.flatten(1) for each in (*found, x)], dim=1)

    return Features("Laplacian pyramid", 0, "", extract)


def quarters(reference: Images) -> Features:
    """What `general` is, in each quarter of the image: 512 numbers."""

    def extract(images: Images) -> Float[Tensor, "n d"]:
        x = _rgb(images)
        parts = [part for half in x.chunk(2, dim=2) for part in half.chunk(2, dim=3)]
        return torch.cat([by_colour(part, packaged()) for part in parts], dim=1)

    return Features("general in quarters", 0, "", extract, batch=64)


def two_scales(reference: Images) -> Features:
    """What `general` is, of the images and of the same at half their size: 256 numbers."""

    def extract(images: Images) -> Float[Tensor, "n d"]:
        x = _rgb(images)
        return torch.cat([by_colour(each, packaged()) for each in (x, F.avg_pool2d(x, 2))], dim=1)

    return Features("general at two scales", 0, "", extract, batch=64)


def own_dictionary(reference: Images) -> Features:
    """What `general` is, but of patches of the reference (Coates & Ng 2011)."""
    dictionary = learn(_rgb(reference), PATTERNS, 0)
    return Features("own dictionary", 0, "", lambda images: by_colour(_rgb(images), dictionary), batch=64)


def own_network(reference: Images) -> Features:
    """A small network that learns from the reference to know each image again when it is moved and tinted.

    Instance discrimination (Wu et al. 2018), with SimCLR's loss (Chen et al. 2020).
    """
    random, x = rng.generator(0, "instances"), _rgb(reference) / 127.5 - 1
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.default_generator.manual_seed(0)
        body = nn.Sequential(
            *_block(3, WIDTH, 1), *_block(WIDTH, 2 * WIDTH, 2), *_block(2 * WIDTH, DIMENSION, 2),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        head = nn.Linear(DIMENSION, DIMENSION)
        optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], RATE)
        for _ in range(STEPS):
            rows = random.permutation(len(x))[:BATCH]
            one, other = (F.normalize(head(body(_changed(x[rows])))) for _ in range(2))
            alike = one @ other.T / TEMPERATURE
            same = torch.arange(len(rows))
            loss = F.cross_entropy(alike, same) + F.cross_entropy(alike.T, same)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    body.eval().requires_grad_(False)
    return Features("own network", DIMENSION, "", lambda images: body(_rgb(images) / 127.5 - 1))


def _block(channels: int, width: int, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels, width, 3, stride, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()


def _changed(x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Cropped, mirrored, of other brightness and colour."""
    scale = torch.empty(len(x)).uniform_(0.6, 1)
    mirrored = torch.where(torch.rand(len(x)) < 0.5, -1.0, 1.0)
    move = (1 - scale)[:, None] * torch.empty(len(x), 2).uniform_(-1, 1)
    zero = torch.zeros_like(scale)
    rows = [torch.stack([scale * mirrored, zero, move[:, 0]], 1), torch.stack([zero, scale, move[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    cropped = F.grid_sample(x, grid, padding_mode="border", align_corners=False)
    return cropped * torch.empty(len(x), 3, 1, 1).uniform_(0.7, 1.3) + 0.2 * torch.randn(len(x), 1, 1, 1)


def clip_art_network(reference: Images) -> Features:
    """What the packaged start of the two-sample test's networks sees: 64 numbers."""
    network = pretrained(3, SIDE, 0).eval().requires_grad_(False)
    return Features("clip art network", 0, "", lambda images: network.seen(_rgb(images) / 127.5 - 1))


CANDIDATES: Mapping[str, Callable[[Images], Features]] = {
    "random convolutions": random_convolutions,
    "Laplacian pyramid": pyramid,
    "general in quarters": quarters,
    "general at two scales": two_scales,
    "own dictionary": own_dictionary,
    "own network": own_network,
    "clip art network": clip_art_network,
}
"""By name, made with the reference at hand."""
