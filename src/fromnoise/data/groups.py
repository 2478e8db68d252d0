"""Groups of near-duplicates: images that a person would call the same picture, or the same picture recoloured.

Two images are alike if their **structure** is: in windows of 3×3 pixels the correlation of their colours, averaged over
the windows in which there is something to see, at the best of the nine shifts by at most a pixel. It is the square root
of the RV coefficient (Robert & Escoufier 1976, "A unifying tool for linear multivariate statistical methods: the RV-
coefficient"); of grey images the absolute value of the structure term of SSIM (Wang et al. 2004, "Image quality
assessment: from error visibility to structural similarity"). Brightness, contrast, a little noise and the colours of
whole regions do not count; a stroke, a mouth or a hand in another place does. Transparent images are seen on mid-grey
and on black, and their alpha has to be alike too. Images are reduced to 32×32 pixels at most. For faint sets
the noise thresholds scale down.

Only pairs of neighbours are looked at: those that lie closest in histograms of oriented gradients (Dalal & Triggs
2005, "Histograms of oriented gradients for human detection"), which the same changes hardly move.
"""

import re
from dataclasses import dataclass
from itertools import product
from pathlib import PurePath

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64, UInt8
from torch import Tensor

from fromnoise.data import blocks
from fromnoise.data.colour import luminance
from fromnoise.data.image_set import ImageSet, digests
from fromnoise.data.resize import resize
from fromnoise.errors import UserError
from fromnoise.say import plural, say

SIDE = 8, 32
"""Pixels a side, at least and at most, at which images are compared."""
WINDOW = 3
ALIKE = 0.97
"""Two images are alike if their structural similarity is at least this."""
RESEMBLES = 0.8
"""Minimum structural similarity of a member to its group's first image; below it, colours are not compared."""
BLANK = 64.0
"""Variance in a window (of values from 0 to 255) that may be noise alone: there is nothing to see."""
NOISE = 25.0
"""Variance added to what windows have in common, for noise that does not count."""
VISIBLE, MEASURED = 500.0, 1000
"""An image is faint if its largest variance in a window is below this; and how many images of a set are measured."""
CELLS, ORIENTATIONS = 8, 4
FAINT = 8.0
"""Gradient (luminance per pixel) that may be noise alone: it counts as none."""
NEIGHBOURS, FAR = 8, 1.5
"""How many neighbours of an image are compared, and the distance of histograms beyond which none is."""
FITTED, DIMENSIONS = 5_000, 48
"""With more images, neighbours are sought in principal components fitted to about this many; and their number."""
PAIRS = 512
"""Pairs that are compared at once."""
SHIFTS = sorted(((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)), key=lambda shift: abs(shift[0]) + abs(shift[1]))


def groups(images: UInt8[Tensor, "n c h w"]) -> Int64[Tensor, " n"]:
    """The group of near-duplicates that each image belongs to, numbered by first appearance.

    Images are in one group if pairs of alike ones lead from one to the other, as long as all resemble the group's first
    image: a film, in which every picture is like the next, falls into several groups.
    """
    _, first, whose = np.unique(digests(images, grey=True), return_index=True, return_inverse=True)
    distinct = np.sort(first)
    size = _size(images)
    prepared = _Prepared.of(images, size, _noise(images, size), distinct)
    pairs = np.unique(np.sort(_pairs(prepared, prepared, itself=True), axis=1), axis=0)
    group = _linked(prepared, pairs[_structures(prepared, prepared, pairs) >= ALIKE])
    found = group[np.searchsorted(distinct, first[whose])]
    return torch.from_numpy(np.unique(found, return_inverse=True)[1]).long()


def nearly_in(images: UInt8[Tensor, "n c h w"], others: UInt8[Tensor, "m c h w"]) -> Bool[Tensor, " n"]:
    """Which images are near-duplicates of any of the others, or equal to one.

    Images larger than 32×32 may also be moved by about half a pixel of that size, which `groups` does not look for.
    """
    (height, width), (theirs_high, theirs_wide) = _size(images), _size(others)
    size = min(height, theirs_high), min(width, theirs_wide)
    noise = max(_noise(images, size), _noise(others, size))
    theirs, found = _Prepared.of(others, size, noise), torch.zeros(len(images), dtype=torch.bool)
    halves = [{0, round(own / side / 2)} for own, side in zip(images.shape[2:], size, strict=True)]
    for moved in product(*halves):
        ours = _Prepared.of(images, size, noise, moved=moved)
        pairs = _pairs(ours, theirs)
        found[pairs[_structures(ours, theirs, pairs) >= ALIKE, 0]] = True
    return found


def by_name(images: ImageSet, rule: str) -> Int64[np.ndarray, " n"]:
    """The group of each image by its file's name, numbered by first appearance.

    `rule` is "folder", or a regular expression for paths within the images' folder, whose first group (...) names the
    group; a file that it does not match is a group of its own. Raises UserError for another rule, one that matches no
    file, and images that have no files.
    """
    if not images.files:
        raise UserError(
            f"--group-by is for a folder of images: those in {images.name} have no file names; "
            "an .npz names each image's group in an array 'groups'"
        )
    names = [PurePath(file).relative_to(images.name).as_posix() for file in images.files]
    if rule == "folder":
        keys = [(name.rpartition("/")[0], "") for name in names]
    else:
        found = [pattern(rule).search(name) for name in names]
        if not any(found):
            raise UserError(
                f"--group-by {rule!r} matches none of the files in {images.name} (for example, not {names[0]})"
            )
        named = [match[1] if match else None for match in found]
        keys = [("", name) if key is None else (key, "") for name, key in zip(names, named, strict=True)]
        if alone := [name for name, key in zip(names, named, strict=True) if key is None]:
            say(f"--group-by: {len(alone):,} of {plural(len(names), 'file')} match no group, such as {alone[0]}")
    number: dict[tuple[str, str], int] = {}
    return np.array([number.setdefault(key, len(number)) for key in keys])


def pattern(rule: str, flag: str = "--group-by", what: str = "group") -> re.Pattern[str]:
    """The regular expression `rule`, which has a group; raises UserError, naming the flag, for anything else."""
    try:
        found = re.compile(rule)
    except re.error as error:
        raise UserError(f"{flag} {rule!r} is not a regular expression: {error}") from error
    if not found.groups:
        raise UserError(f"{flag} {rule!r} has no group: put the part that names an image's {what} in brackets")
    return found


@dataclass(frozen=True)
class _Prepared:
    """What is compared: the images at one size, their luminance, and histograms of its gradients.

    `noise` is the amplitude that noise may have, 1 where pictures are not faint.
    """

    images: UInt8[Tensor, "n c h w"]
    luminance: UInt8[Tensor, "n 1 h w"]
    histograms: Float[np.ndarray, "n d"]
    noise: float

    @classmethod
    def of(
        cls,
        images: UInt8[Tensor, "n c h w"],
        size: tuple[int, int],
        noise: float,
        rows: Int64[np.ndarray, " k"] | None = None,
        moved: tuple[int, ...] = (0, 0),
    ) -> "_Prepared":
        """The images, or those at the positions `rows`, prepared for comparison at one size.

        moved  how many of their own pixels they are moved down and right
        """
        n = len(images) if rows is None else len(rows)
        parts = (torch.roll(part.cpu(), moved, (2, 3)) for part in blocks.parts(images, rows))
        sized = blocks.join((resize(part, size) for part in parts), n)
        grey = blocks.join((luminance(part) for part in blocks.parts(sized)), n)
        histograms = blocks.join((_histograms(part.float(), noise) for part in grey.split(PAIRS)), n)
        return cls(sized, grey, histograms.numpy(), noise)


def _size(images: Tensor) -> tuple[int, int]:
    least, most = SIDE
    height, width = (min(max(side, least), most) for side in images.shape[2:])
    return height, width


def _noise(images: UInt8[Tensor, "n c h w"], size: tuple[int, int]) -> float:
    """The amplitude that noise may have, from 0.1 to 1: in proportion to the images' median contrast."""
    if not len(images):
        return 1.0
    few = np.arange(0, len(images), -(-len(images) // MEASURED))
    grey = (luminance(resize(part.cpu(), size)).float() for part in blocks.parts(images, few))
    shown = torch.cat([_shared(x, x).flatten(1).amax(dim=1) for x in grey]).median()
    return min(1.0, max(0.1, (shown.item() / VISIBLE) ** 0.5))


def _histograms(x: Float[Tensor, "n 1 h w"], noise: float) -> Float[Tensor, "n d"]:
    """Histograms of unsigned gradients in overlapping cells, relative to the mean gradient around."""
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    down = (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2
    steep = (across.square() + down.square()).sqrt()
    twice = torch.atan2(down, across) * 2  # so that opposite directions are one
    angles = torch.arange(ORIENTATIONS).view(1, -1, 1, 1) * (2 * torch.pi / ORIENTATIONS)
    steep = (steep / noise - FAINT).clamp_min(0)
    shares = F.avg_pool2d(steep * (1 + torch.cos(twice - angles)) / 2, 5, 1, 2)
    cells = F.adaptive_avg_pool2d(shares, CELLS)
    around = F.avg_pool2d(cells.sum(dim=1, keepdim=True), 3, 1, 1, count_include_pad=False)
    return (cells / (around + 1)).flatten(1)


def _pairs(ours: _Prepared, theirs: _Prepared, itself: bool = False) -> Int64[np.ndarray, "p 2"]:
    """Pairs of each image and its nearest neighbours by histograms, none farther than `FAR`."""
    from sklearn.decomposition import PCA  # takes a second to import
    from sklearn.neighbors import NearestNeighbors

    near, bank = ours.histograms, theirs.histograms
    k = min(NEIGHBOURS, len(bank) - itself)
    if k < 1:
        return np.empty((0, 2), dtype=np.int64)
    if len(bank) > FITTED:  # distances in fewer dimensions are only smaller
        reduce = PCA(DIMENSIONS, svd_solver="full").fit(bank[:: len(bank) // FITTED])
        near, bank = reduce.transform(near), reduce.transform(bank)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(bank)
    distances, found = search.kneighbors(None if itself else near)
    row, column = np.nonzero(distances <= FAR)
    return np.stack([row, found[row, column]], axis=1)


def _linked(prepared: _Prepared, pairs: Int64[np.ndarray, "p 2"]) -> Int64[np.ndarray, " n"]:
    """The first image of each one's group, as `pairs` of alike images link them."""
    from scipy.sparse import coo_array  # as above
    from scipy.sparse.csgraph import connected_components

    n = len(prepared.images)
    group = np.arange(n)
    while len(pairs):
        links = coo_array((np.ones(len(pairs)), pairs.T), shape=(n, n))
        _, first, whose = np.unique(connected_components(links)[1], return_index=True, return_inverse=True)
        linked = np.unique(pairs)
        ends = np.stack([first[whose[linked]], linked], axis=1)
        resembles = (ends[:, 0] == ends[:, 1]) | (_structures(prepared, prepared, ends) >= RESEMBLES)
        group[linked[resembles]] = ends[resembles, 0]
        pairs = pairs[~np.isin(pairs, linked[resembles]).any(axis=1)]
    return group


def _structures(ours: _Prepared, theirs: _Prepared, pairs: Int64[np.ndarray, "p 2"]) -> Float64[np.ndarray, " p"]:
    """How alike the structure of each pair (positions in both) is, in luminance or in colour."""
    found = np.zeros(len(pairs))
    coloured = max(ours.images.shape[1], theirs.images.shape[1]) > 1
    transparent = ours.images.shape[1] == theirs.images.shape[1] == 4
    for at in range(0, len(pairs), PAIRS):
        a, b = pairs[at : at + PAIRS].T
        shift = _best_shift(ours.luminance[a], theirs.luminance[b])
        part = _structure(ours.luminance[a], theirs.luminance[b], shift, ours.noise)
        if transparent:  # dark things show on grey, mid-grey ones on black
            one, other = (luminance(of.images[rows, :3]) for of, rows in ((ours, a), (theirs, b)))
            part = np.maximum(part, _structure(one, other, shift, ours.noise))
        unsure = np.flatnonzero((part >= RESEMBLES) & (part < ALIKE))
        if coloured and len(unsure):
            seen = [of.images[rows[unsure]] for of, rows in ((ours, a), (theirs, b))]
            widest = max(each.shape[1] for each in seen)
            one, other = (each.expand(-1, widest, -1, -1) for each in seen)
            part[unsure] = np.maximum(part[unsure], _structure(one, other, shift[unsure], ours.noise))
        if transparent:  # else things of the ground's own grey would be all alike
            part = np.minimum(part, _structure(ours.images[a, 3:], theirs.images[b, 3:], shift, 1.0))
        found[at : at + PAIRS] = part
    return found


def _structure(
    a: UInt8[Tensor, "p c h w"], b: UInt8[Tensor, "p c h w"], shift: Int64[Tensor, " p"], noise: float
) -> Float64[np.ndarray, " p"]:
    """How alike the structure of each pair of images is, from 0 to 1, at a shift each (its position in `SHIFTS`)."""
    height, width = a.shape[2:]
    still, moved = a[:, :, 1:-1, 1:-1].float(), torch.empty(*a.shape[:2], height - 2, width - 2)
    for k, (y, x) in enumerate(SHIFTS):
        chosen = shift == k
        moved[chosen] = b[chosen, :, 1 + y : height - 1 + y, 1 + x : width - 1 + x].float()
    shared, ours, theirs = _shared(still, moved), _shared(still, still), _shared(moved, moved)
    added = NOISE * noise**2
    alike = (shared + added) / ((ours * theirs).sqrt() + added)
    weight = (torch.maximum(ours, theirs) - BLANK * noise**2).clamp_min(0).sqrt()
    weighted, weights = (alike * weight).flatten(1).sum(dim=1), weight.flatten(1).sum(dim=1)
    return torch.where(weights > 0, weighted / weights.clamp_min(1e-9), 1.0).numpy()


def _shared(a: Float[Tensor, "p c h w"], b: Float[Tensor, "p c h w"]) -> Float64[Tensor, "p h w"]:
    """The size of the matrix of covariances of both images' channels in each window; of grey ones |covariance|."""
    n, sum_a, sum_b = WINDOW * WINDOW, _sums(a), _sums(b)
    squares = torch.zeros(())
    for i, j in np.ndindex(a.shape[1], b.shape[1]):
        squares = squares + (n * _sums(a[:, i] * b[:, j]) - sum_a[:, i] * sum_b[:, j]).double().square()
    return squares.sqrt() / (n**2 * a.shape[1])


def _sums(x: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b h2 w2"]:
    """The sum over each window; exact, since the values are whole numbers."""
    rows = x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]


def _best_shift(a: UInt8[Tensor, "p 1 h w"], b: UInt8[Tensor, "p 1 h w"]) -> Int64[Tensor, " p"]:
    """The position in `SHIFTS` of the shift at which the edges of both images correlate most."""
    height, width = a.shape[2:]
    edges_a, edges_b = _edges(a.float()), _edges(b.float())
    still = edges_a[:, 1:-1, 1:-1]
    fits = []
    for y, x in SHIFTS:
        moved = edges_b[:, 1 + y : height - 1 + y, 1 + x : width - 1 + x]
        norm = moved.square().sum(dim=(1, 2)).sqrt()
        fits.append((still * moved).sum(dim=(1, 2)) / (norm + 1))
    return torch.stack(fits).argmax(dim=0)


def _edges(x: Float[Tensor, "p 1 h w"]) -> Float64[Tensor, "p h w"]:
    padded = F.pad(x, (0, 1, 0, 1), mode="replicate")[:, 0]
    return (
        (padded[:, 1:, :-1] - padded[:, :-1, :-1]).abs() + (padded[:, :-1, 1:] - padded[:, :-1, :-1]).abs()
    ).double()
