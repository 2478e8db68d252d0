"""A score against published statistics: the mean and covariance of features, without the images behind them.

An .npz file with `mu` and `sigma`, as pytorch-fid, clean-fid and guided-diffusion write it. It suffices for the FID and
for nothing else: floors, copies and all other metrics need images.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from fromnoise.data import arrays
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation.design import design_of
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.provenance import SetOfImages
from fromnoise.evaluation.report import FEWEST, SCHEMA, Measured, Report
from fromnoise.evaluation.score import about, cited, noise, protocol, too_few, unpublished

KEYS = ("mu", "sigma")
ASYMMETRY = 1e-3  # of a covariance, in shares of its largest entry: more than any rounding
INCEPTION = 2048  # features of Inception, which nearly all published statistics are of


@dataclass(frozen=True)
class Statistics:
    """The moments in a file (of how many images is not known), and the SHA-256 of both arrays."""

    name: str
    moments: Moments
    fingerprint: str


def load(path: Path) -> Statistics | None:
    """The statistics in a file; None for a file that holds none, or images as well.

    Raises UserError where they cannot be a mean and a covariance.
    """
    if path.suffix.lower() != ".npz" or not path.is_file():
        return None
    found = arrays.numbers(path, KEYS)
    if found is None:
        return None
    mean, covariance = found
    d = len(mean) if mean.ndim == 1 else 0
    if not d or covariance.shape != (d, d):
        raise UserError(f"{path}: mu must be d numbers and sigma d×d, not {mean.shape} and {covariance.shape}")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise UserError(f"{path}: mu and sigma must be finite")
    if np.abs(covariance - covariance.T).max() > ASYMMETRY * np.abs(covariance).max():
        raise UserError(f"{path}: sigma is not symmetric, so it is not a covariance")
    fingerprint = hashlib.sha256(mean.tobytes() + covariance.tobytes()).hexdigest()
    return Statistics(str(path), Moments(torch.from_numpy(mean), torch.from_numpy(covariance), 0), fingerprint)


def score(generated: ImageSet, published: Statistics, features: Features, seed: int = 0) -> Report:
    """The FID of images against published statistics, and that of noise.

    Raises UserError for too few images, and for statistics of another number of features.
    """
    if len(generated) < FEWEST:
        raise UserError(f"generated {generated.name} has {len(generated)} images; a score needs at least {FEWEST}")
    found = features.cached(generated.images)
    (n, d), theirs = found.shape, len(published.moments.mean)
    if d != theirs:
        raise UserError(
            f"{published.name} holds statistics of {theirs} features, and {features.name} has {d}"
            + (": they are probably Inception's (--features inception)" if theirs == INCEPTION else "")
        )
    line = [f"n = {n}", f"resizing {features.resizing}", f"statistics {cited(published.name, published.fingerprint)}"]
    reference = SetOfImages(published.name, 0, (), published.fingerprint)
    return Report(
        SCHEMA,
        None,
        {"fid": Measured(distance(published.moments, Moments.of(found)), None, n)},
        noise(generated.shape, n, features, published.moments, seed),
        None,
        None,
        protocol(line, features, seed, design_of(generated.labels), about(generated), reference, None, None),
        (
            "against statistics there is an FID and nothing else: floor, copy test and other metrics need real images",
            "how the images behind the statistics were chosen and resized is not known here",
            *unpublished(features),
            *too_few(n, d),
        ),
    )
