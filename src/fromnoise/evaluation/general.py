"""Features for any images, offline: how much of each pattern of a packaged dictionary is in an image (`patterns`)."""

import hashlib

import torch

from fromnoise.data import patterns
from fromnoise.data.colour import AVERAGED
from fromnoise.data.patterns import SIDE
from fromnoise.evaluation.extractor import BILINEAR, Features

BATCH = 64


def load(device: torch.device) -> Features:
    """The extractor."""
    dictionary = patterns.packaged().to(device)
    sha256 = hashlib.sha256(patterns.WEIGHTS.read_bytes()).hexdigest()
    return Features(
        "general",
        len(dictionary.centres),
        sha256,
        lambda images: patterns.amounts(images.to(device), dictionary),
        f"{BILINEAR}, to {SIDE}×{SIDE}",
        AVERAGED,
        batch=BATCH,
    )
