"""What can be wrong with generated images: damages of real ones, each at three strengths, the mildest first."""

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

Apply = Callable[[Float[Tensor, "n c h w"], float, np.random.Generator], Float[Tensor, "n c h w"]]
"""From images from 0 to 255, a strength and random numbers to damaged images."""


@dataclass(frozen=True)
class Damage:
    """A damage of single images: its strengths, how it is done, and whether it needs colour or can be seen at all."""

    strengths: tuple[float, float, float]
    apply: Apply
    colour: bool = False
    seen: bool = True

    def __call__(self, images: UInt8[Tensor, "n c h w"], strength: float) -> UInt8[Tensor, "n c h w"]:
        """The damaged images; the same for the same images and strength."""
        return rounded(self.apply(images.float(), strength, np.random.default_rng(0)))


def rounded(images: Float[Tensor, "n c h w"]) -> UInt8[Tensor, "n c h w"]:
    """To 8 bits."""
    return images.round().clamp(0, 255).to(torch.uint8)


def _luminance(x: Tensor) -> Tensor:
    return (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _grey(x: Tensor, share: float, random: np.random.Generator) -> Tensor:
    return torch.lerp(x, _luminance(x).expand_as(x), share)


def _hue(x: Tensor, degrees: float, random: np.random.Generator) -> Tensor:
    """Colours turned about the grey axis (Rodrigues' formula)."""
    angle = torch.tensor(degrees).deg2rad()
    cos, sin = torch.cos(angle), torch.sin(angle)
    cross = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
    turn = cos * torch.eye(3) + sin * cross + (1 - cos) / 3
    return torch.einsum("ij,njhw->nihw", turn, x)


def _some(x: Tensor, share: float, random: np.random.Generator, change: Callable[[Tensor], Tensor]) -> Tensor:
    """Only a random share of the images is changed."""
    rows = torch.from_numpy(random.permutation(len(x))[: round(share * len(x))])
    changed = x.clone()
    changed[rows] = change(x[rows])
    return changed


def _noise(x: Tensor, deviation: float, random: np.random.Generator) -> Tensor:
    return x + deviation * torch.from_numpy(random.standard_normal(x.shape, np.float32))


def _blur(x: Tensor, deviation: float, random: np.random.Generator) -> Tensor:
    return gaussian_blur(x, [2 * round(3 * deviation) + 1] * 2, [deviation] * 2)


def _jpeg(x: Tensor, quality: float, random: np.random.Generator) -> Tensor:
    def packed(image: Tensor) -> Tensor:
        file = io.BytesIO()
        array = image.permute(1, 2, 0).byte().numpy().squeeze()
        Image.fromarray(array).save(file, "JPEG", quality=int(quality))
        return torch.from_numpy(np.array(Image.open(file))).float().view(*array.shape[:2], -1).permute(2, 0, 1)

    return torch.stack([packed(image) for image in x])


def _elastic(x: Tensor, pixels: float, random: np.random.Generator) -> Tensor:
    n, _, h, w = x.shape
    field = gaussian_blur(torch.from_numpy(random.standard_normal((n, 2, h, w), np.float32)), [13, 13], [3.0, 3.0])
    field = pixels * field / field.std()
    grid = F.affine_grid(torch.eye(2, 3).expand(n, 2, 3), [n, 1, h, w], align_corners=False)
    moved = grid + field.permute(0, 2, 3, 1) * torch.tensor([2 / w, 2 / h])
    return F.grid_sample(x, moved, padding_mode="border", align_corners=False)


def _shift(x: Tensor, pixels: float, random: np.random.Generator) -> Tensor:
    """In one of eight directions; the border is repeated."""
    p, (h, w) = int(pixels), x.shape[2:]
    padded = F.pad(x, (p, p, p, p), mode="replicate")
    places = [(a, b) for a in (0, p, 2 * p) for b in (0, p, 2 * p) if (a, b) != (p, p)]
    chosen = [places[k] for k in random.integers(0, len(places), len(x))]
    return torch.stack([image[:, a : a + h, b : b + w] for image, (a, b) in zip(padded, chosen, strict=True)])


def _halves(x: Tensor) -> Tensor:
    half = x.shape[3] // 2
    return torch.cat([x[..., :half], x.roll(1, 0)[..., half:]], 3)


def _quadrants(x: Tensor) -> Tensor:
    """The upper left quadrant where the lower right one was, and so on round."""
    return x.roll((x.shape[2] // 2, x.shape[3] // 2), (2, 3))


def _holes(x: Tensor, side: float, random: np.random.Generator) -> Tensor:
    holed, s = x.clone(), int(side)
    for image in holed:
        a, b = random.integers(0, x.shape[2] - s), random.integers(0, x.shape[3] - s)
        image[:, a : a + s, b : b + s] = image.mean((1, 2))[:, None, None]
    return holed


def _components(x: Tensor, k: float, random: np.random.Generator) -> Tensor:
    """The nearest images in the span of the images' first k principal components: blobs where things were."""
    flat = x.flatten(1)
    mean = flat.mean(0)
    _, _, directions = torch.svd_lowrank(flat - mean, int(k) + 10, niter=4)
    span = directions[:, : int(k)]
    return (mean + (flat - mean) @ span @ span.T).view_as(x)


def _checkers(x: Tensor, amplitude: float, random: np.random.Generator) -> Tensor:
    rows, columns = torch.arange(x.shape[2])[:, None], torch.arange(x.shape[3])
    return x + amplitude * (1 - 2 * ((rows + columns) % 2))


DAMAGES = {
    "grey": Damage((0.3, 0.6, 1.0), _grey, colour=True),
    "hue turned": Damage((30, 60, 120), _hue, colour=True),
    "channels swapped": Damage((0.25, 0.5, 1), lambda x, s, r: _some(x, s, r, lambda y: y.roll(1, 1)), colour=True),
    "darker": Damage((0.85, 0.7, 0.5), lambda x, s, r: x * s),
    "paler": Damage((0.85, 0.7, 0.5), lambda x, s, r: torch.lerp(x.mean((1, 2, 3), keepdim=True), x, s)),
    "posterised": Damage((8, 4, 2), lambda x, s, r: (x / 255 * (s - 1)).round() * 255 / (s - 1)),
    "blur": Damage((0.5, 1, 2), _blur),
    "noise": Damage((6, 12, 25), _noise),
    "JPEG": Damage((60, 30, 10), _jpeg),
    "checkers": Damage((6, 12, 25), _checkers),
    "elastic": Damage((0.7, 1.2, 2), _elastic),
    "shift": Damage((1, 2, 4), _shift),
    "halves exchanged": Damage((0.25, 0.5, 1), lambda x, s, r: _some(x, s, r, _halves)),
    "quadrants exchanged": Damage((0.25, 0.5, 1), lambda x, s, r: _some(x, s, r, _quadrants)),
    "holes": Damage((4, 8, 12), _holes),
    "two at once": Damage((0.25, 0.5, 1), lambda x, s, r: _some(x, s, r, lambda y: (y + y.roll(1, 0)) / 2)),
    "principal components": Damage((100, 50, 20), _components),
    "noise nobody sees": Damage((0.5, 1, 2), _noise, seen=False),
}


def repeated(images: Tensor, times: float) -> Tensor:
    """As many images, but only so many different ones."""
    return images[: max(1, round(len(images) / times))].repeat(int(times) + 1, 1, 1, 1)[: len(images)]


def mixed(images: Tensor, others: Tensor, share: float) -> Tensor:
    """A share of the images replaced by others."""
    k = round(share * len(images))
    return torch.cat([images[k:], others[:k]])
