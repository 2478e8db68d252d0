"""Random numbers as a function of where they are used, not of what was drawn before.

Every random number of fromnoise comes from a counter-based generator (Philox) keyed by the seed and by a
path of integers and names: `generator(seed, "noise", step)`. So resuming exactly needs no saved state, image k is the
same whatever is drawn beside it, and two paths never share a stream.
"""

import hashlib

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


def generator(seed: int, *path: int | str) -> np.random.Generator:
    """The NumPy generator of `seed` at `path`."""
    return np.random.Generator(np.random.Philox(key=_key(seed, *path)))


def integer(seed: int, *path: int | str) -> int:
    """A 63-bit integer of `seed` at `path`, for libraries that want a seed of their own."""
    return _key(seed, *path) >> 65


def normal(shape: tuple[int, ...], seed: int, *path: int | str) -> Float[Tensor, "..."]:
    """Standard normal float32 numbers of `shape`, on the CPU."""
    return torch.from_numpy(generator(seed, *path).standard_normal(shape, dtype=np.float32))


def _key(seed: int, *path: int | str) -> int:
    # Quotes keep "a/b" apart from "a", "b" and "1" from 1.
    parts = (repr(part) if isinstance(part, str) and not part.isidentifier() else str(part) for part in path)
    text = "/".join((str(seed), *parts))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")
