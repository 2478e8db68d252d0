"""Images changed and completed by a model as it is: varied, filled in, enlarged, and blended into each other.

Result j of image i depends only on the seed, i and j, not on what is made beside it. The network computes in float32.
Without a label, a model of classes gets the null class.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, UInt8
from torch import Tensor

from fromnoise import rng
from fromnoise.data.colour import is_grey, laid, with_channels
from fromnoise.data.image_set import ImageSet
from fromnoise.data.pixels import quantise
from fromnoise.diffusion import conditional, forward, level
from fromnoise.diffusion.conditional import Known
from fromnoise.diffusion.flow import slerp
from fromnoise.diffusion.samplers import levels_for, sampler, start
from fromnoise.diffusion.settings import SamplerSettings
from fromnoise.diffusion.steps import Denoise, Sampler, StochasticDPMSolver2M, Visit
from fromnoise.errors import UserError
from fromnoise.generation.likelihood import check, decode, encode, labelled
from fromnoise.generation.model import Model
from fromnoise.say import Bar, bar, say
from fromnoise.threads import following

MICRO_BATCH = 16
STEPS = 20  # to complete an image: more bring it no nearer to the exact conditional


@dataclass(frozen=True)
class Edit:
    """How to edit: `n` results of each image.

    label      the images' class; None for any
    guidance   how much the label counts, as in `SampleRequest`
    steps      network calls for each result; None for as many as the model's own sampler takes, or `STEPS` to complete

    Raises UserError for less than one result, or guidance without a label.
    """

    n: int = 1
    seed: int = 0
    label: int | str | None = None
    guidance: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UserError(f"n must be at least 1, not {self.n}")
        if self.guidance is not None and self.label is None:
            raise UserError("guidance strengthens a label: give --label too")


def as_trained(model: Model, images: ImageSet, changes: Sequence[str] = ()) -> ImageSet:
    """Images in the model's channels, with transparency as in its training images.

    Says what that changes, after the `changes` that reading made. Raises UserError for images of zeros and ones.
    """
    if int(images.images[:, :3].max()) == 1:
        raise UserError(f"{images.name}: no value is above 1, and white is 255: scale it first")
    alpha, channels, changes = model.config.data.alpha, model.info.channels, list(changes)
    found = laid(images, alpha)
    if images.shape[0] == 4 != found.shape[0]:
        changes.append(f"transparent parts put on {alpha}")
    if found.shape[0] == 4 != channels:
        found = with_channels(found, 3)
        changes.append("transparent parts put on mid-grey")
    if channels == 1 and not is_grey(found.images):
        changes.append("colours left out")
    if changes:
        say(f"{images.name}: {'; '.join(changes)}")
    return with_channels(found, channels)


def vary(model: Model, images: UInt8[Tensor, "n c h w"], strength: float, how: Edit) -> UInt8[Tensor, "m c h w"]:
    """Variants of images: noise is added to them and removed again (SDEdit, Meng et al. 2022).

    The noise's share of the variance is sin²(π/2·`strength`): at 0 the images come back as they are, at 1 they are new
    samples. Raises UserError for a strength outside 0…1, images of another shape than the model's, or a label or a
    number of steps that the model does not have.
    """
    check(model, images)
    if not 0 <= strength <= 1:
        raise UserError(f"strength must be from 0 to 1, not {strength:g}")
    settings = model.config.sampling.but(sampling_steps=how.steps)
    angle = torch.tensor(strength, dtype=torch.float64) * math.pi / 2
    noisiest = float(-2 * angle.tan().log()) if strength < 1 else level.NOISE  # tan = b/a
    levels = levels_for(settings, model.table, noisiest)
    run, denoise = sampler(settings), labelled(model, how.label, settings.but(guidance=how.guidance))
    if len(levels) == 1:  # clean data
        if strength:
            say(f"strength {strength:g} changes nothing: it adds less noise than the sampler's last level has")
        return images.repeat_interleave(how.n, 0)
    afresh = settings if strength == 1 else None
    return model.info.decode(_sampled(model, images, how, run, levels, afresh, lambda _: denoise))


def inpaint(
    model: Model, images: UInt8[Tensor, "n c h w"], fill: Bool[Tensor, "h w"], how: Edit
) -> UInt8[Tensor, "m c h w"]:
    """Images with the pixels where `fill` is true replaced, to go with the rest.

    All other pixels come back exactly as given. Raises UserError as `vary` does, and for a mask of another size or
    with nothing to fill.
    """
    check(model, images)
    if fill.shape != images.shape[2:]:
        raise UserError(f"the mask is {_size(fill.shape)} and the images are {_size(images.shape[2:])}")
    if not fill.any():
        raise UserError("the mask marks nothing to fill in: paint what to replace in white (255)")
    project = conditional.pixels(~fill)
    found = model.info.decode(_completed(model, images, project, how))
    return torch.where(fill, found, images.repeat_interleave(how.n, 0))


def upscale(model: Model, images: UInt8[Tensor, "n c h w"], how: Edit) -> UInt8[Tensor, "m c H W"]:
    """Images of half the model's size, enlarged to it. The means of their 2×2 blocks are exactly the pixels given.

    Raises UserError as `vary` does.
    """
    doubled = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    if tuple(doubled.shape[1:]) != model.info.image:
        half = model.info.height // 2, model.info.width // 2
        raise UserError(f"the model enlarges images of {_size(half)}, half its own size, not {_size(images.shape[2:])}")
    found = model.info.grey_levels(_completed(model, doubled, conditional.means, how))
    return exact_means(found, images.repeat_interleave(how.n, 0))


def interpolate(
    model: Model, one: UInt8[Tensor, "1 c h w"], other: UInt8[Tensor, "1 c h w"], n: int, label: int | str | None = None
) -> UInt8[Tensor, "n c h w"]:
    """n images from `one` to `other`, both included, along the sphere between the noises behind them.

    The probability-flow ODE takes images to noise and back. Raises UserError for fewer than 2 images, as `vary` does,
    and for a network that works only at its schedule's steps.
    """
    for end in (one, other):
        check(model, end)
        if len(end) != 1:
            raise UserError(f"an interpolation goes from one image to one other, not from or to {len(end)}")
    if n < 2:
        raise UserError(f"an interpolation has at least 2 images, not {n}")
    with following(model.network), bar("editing") as shown:
        noise = encode(model, torch.cat([one, other]), label)
        shown.show(1, 2)
        path = [slerp(noise[0], noise[1], float(weight)) for weight in torch.linspace(0, 1, n)]
        return model.info.cleaned(quantise(decode(model, torch.stack(path), label))).cpu()


def exact_means(pixels: Float[Tensor, "n c H W"], wanted: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n c H W"]:
    """8-bit images near `pixels`, numbers of 0…255, whose means of 2×2 pixels are exactly `wanted`.

    Colours of RGBA stay within their alpha.
    """
    pixels, wanted = pixels.cpu().double(), wanted.cpu().double()
    if pixels.shape[1] != 4:
        return _with_means(pixels, wanted, torch.full_like(pixels, 255))
    alpha = _with_means(pixels[:, 3:], wanted[:, 3:], torch.full_like(pixels[:, 3:], 255))
    colours = _with_means(pixels[:, :3], wanted[:, :3], alpha.double().expand(-1, 3, -1, -1))
    return torch.cat([colours, alpha], dim=1)


def _with_means(
    pixels: Float64[Tensor, "n c H W"], wanted: Float64[Tensor, "n c h w"], most: Float64[Tensor, "n c H W"]
) -> UInt8[Tensor, "n c H W"]:
    """Each block of 2×2 shifted until its mean, within 0…`most`, is right; then rounded down, except the largest
    remainders."""
    blocks, most = (F.pixel_unshuffle(each, 2).unflatten(1, (-1, 4)) for each in (pixels.clamp(0, 255), most))
    total = 4 * wanted[:, :, None]
    low, high = torch.full_like(total, -255), torch.full_like(total, 255)
    for _ in range(40):
        shift = (low + high) / 2
        short = (blocks + shift).clamp(min=0).minimum(most).sum(2, keepdim=True) < total
        low, high = torch.where(short, shift, low), torch.where(short, high, shift)
    blocks = (blocks + high).clamp(min=0).minimum(most)
    whole = blocks.floor()
    place = (blocks - whole).argsort(2, descending=True).argsort(2)
    whole += place < total - whole.sum(2, keepdim=True)
    return F.pixel_shuffle(whole.flatten(1, 2), 2).to(torch.uint8)


def _completed(
    model: Model, images: UInt8[Tensor, "n c h w"], project: conditional.Projection, how: Edit
) -> Float[Tensor, "m c h w"]:
    """Samples, as encoded data, whose projection by `project` is that of the images."""
    settings = model.config.sampling.but(sampler="dpm++", sampling_steps=STEPS if how.steps is None else how.steps)
    levels = levels_for(settings, model.table)
    denoise = labelled(model, how.label, settings.but(guidance=how.guidance))

    def completing(x0: Tensor) -> Denoise:
        return conditional.given(denoise, Known(project, project(x0)))

    run = StochasticDPMSolver2M()
    return _sampled(model, images, how, run, levels, settings, completing)


def _sampled(
    model: Model,
    images: UInt8[Tensor, "n c h w"],
    how: Edit,
    run: Sampler,
    levels: Float64[Tensor, " steps1"],
    afresh: SamplerSettings | None,
    denoiser_for: Callable[[Tensor], Denoise],
) -> Float[Tensor, "m c h w"]:
    """`how.n` samples of each image as encoded data along `levels`.

    They start from noise as `afresh` says, or, if None, from the images with noise added.
    """
    rows = [(i, j) for i in range(len(images)) for j in range(how.n)]
    steps = len(levels) - 1
    total = -(-len(rows) // MICRO_BATCH) * steps

    def part(before: int, shown: Bar) -> Tensor:
        of = rows[before : before + MICRO_BATCH]

        def noise(step: int | str) -> Tensor:
            shape = model.info.image
            return torch.stack([rng.normal(shape, how.seed, "edit", i, j, step) for i, j in of]).to(model.device)

        def visit(seen: Visit) -> None:
            shown.show(before // MICRO_BATCH * steps + seen.k + 1, total)

        x0, x = model.info.encode(images[[i for i, _ in of]]).to(model.device), noise("start")
        x = start(afresh, levels[0], x, model.info.encoded_mean) if afresh else forward.jump(x0, x, levels[:1])
        with torch.no_grad():
            return run(denoiser_for(x0), x, levels, noise, visit).cpu()

    with following(model.network), bar("editing") as shown:
        return torch.cat([part(before, shown) for before in range(0, len(rows), MICRO_BATCH)])


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
