"""MNIST and Fashion-MNIST from their IDX files, gzipped or not, downloaded by torchvision where they are missing."""

import gzip
import hashlib
import math
import os
import struct
from pathlib import Path

import numpy as np
import torch

from fromnoise.data.blocks import BLOCK
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.files import check_deflated, reading

# name -> (torchvision's class, the folders below the data root where its files may lie)
SETS = {
    "mnist": ("MNIST", ("MNIST/raw", "mnist", ".")),
    "fashion_mnist": ("FashionMNIST", ("FashionMNIST/raw", "fashion_mnist", ".")),
}
STEMS = {"train": "train", "test": "t10k"}
# The two sets' files have the same names: what lies loose in the root is distinguished by its labels.
MNIST_TEST_LABELS_MD5 = "27ae3e4e09519cfbb04c329615203637"


def default_root() -> Path:
    """Where data sets lie when nobody says so: $FROMNOISE_DATA, else ~/.cache/fromnoise."""
    return Path(os.environ.get("FROMNOISE_DATA") or Path.home() / ".cache" / "fromnoise").expanduser()


def find(name: str, root: Path) -> Path | None:
    """The folder below `root` that holds the four files of the set `name`, or None."""
    for folder in SETS[name][1]:
        place = root / folder
        files = [_file(place, stem, kind) for stem in STEMS.values() for kind in ("images-idx3", "labels-idx1")]
        if all(file.is_file() for file in files) and (folder != "." or _whose(place) == name):
            return place
    return None


def load(name: str, part: str, root: Path | None = None) -> ImageSet:
    """The part `train` or `test` of the set `name`, 1×28×28.

    Read from below `root` (default: `default_root`), downloaded there by torchvision if it is missing. Raises
    UserError when it can be neither found nor downloaded.
    """
    base = root or default_root()
    place = find(name, base) or _download(name, base)
    images, labels = (read_idx(_file(place, STEMS[part], kind)) for kind in ("images-idx3", "labels-idx1"))
    return ImageSet(f"{name}:{part}", torch.from_numpy(images)[:, None], torch.from_numpy(labels).long())


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in an IDX file; raises UserError when the file is damaged or not IDX."""
    opened = gzip.open if path.suffix == ".gz" else open
    with reading(path, "a whole IDX file of bytes", "fetch it again"), opened(path, "rb") as file:
        magic = file.read(4)
        if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not magic[3]:
            raise ValueError("it does not begin as one")
        shape = struct.unpack(f">{magic[3]}I", file.read(4 * magic[3]))
        size, values = math.prod(shape), bytearray()
        check_deflated(size, path.stat().st_size)
        while len(values) <= size and (block := file.read(BLOCK)):
            values += block
        return np.frombuffer(values, np.uint8).reshape(shape)


def _file(place: Path, stem: str, kind: str) -> Path:
    plain = place / f"{stem}-{kind}-ubyte"
    return plain if plain.is_file() else plain.with_name(f"{plain.name}.gz")


def _whose(place: Path) -> str:
    labels = read_idx(_file(place, STEMS["test"], "labels-idx1"))
    digest = hashlib.md5(np.array([0, 0, 8, 1], np.uint8).tobytes() + np.array([len(labels)], ">u4").tobytes())
    digest.update(labels.tobytes())
    return "mnist" if digest.hexdigest() == MNIST_TEST_LABELS_MD5 else "fashion_mnist"


def _download(name: str, root: Path) -> Path:
    from torchvision import datasets

    class_name = SETS[name][0]
    try:
        getattr(datasets, class_name)(root, download=True)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())  # torchvision's has a line for each mirror
        raise UserError(
            f"{name} is not in {root} and could not be downloaded ({reason}); put its four IDX files "
            f"(.gz is fine) into {root / class_name / 'raw'}, or name their folder in $FROMNOISE_DATA"
        ) from error
    return root / class_name / "raw"
