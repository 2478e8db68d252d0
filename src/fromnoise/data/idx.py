"""Sets in MNIST's format from their IDX files, gzipped or not; torchvision downloads the two oldest if missing."""

import gzip
import hashlib
import math
import os
import struct
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from fromnoise.data.blocks import BLOCK
from fromnoise.data.image_set import ImageSet
from fromnoise.data.mapped import home
from fromnoise.data.source import named
from fromnoise.errors import UserError
from fromnoise.files import check_deflated, reading

STEMS = {"train": "train", "test": "t10k"}
KINDS = ("images-idx3", "labels-idx1")


class IdxSet(NamedTuple):
    """A set of four files.

    folders  below the data root, where its files may lie
    stems    how the files of each part begin
    fetch    where to fetch them; "" if torchvision does, whose class is named as the first folder
    first    the label that is the first class
    classes  the classes' names, if they are not numbers
    turned   whether rows are stored as columns
    """

    folders: tuple[str, ...]
    stems: dict[str, str] = STEMS
    fetch: str = ""
    first: int = 0
    classes: str = ""
    turned: bool = False


def _emnist(split: str, first: int, classes: str) -> IdxSet:
    stems = {part: f"emnist-{split}-{part}" for part in ("train", "test")}
    where = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    return IdxSet(("EMNIST/raw", "emnist", "emnist/gzip"), stems, where, first, classes, turned=True)


SETS = {
    "mnist": IdxSet(("MNIST/raw", "mnist", ".")),
    "fashion_mnist": IdxSet(("FashionMNIST/raw", "fashion_mnist", ".")),
    "kmnist": IdxSet(("KMNIST/raw", "kmnist"), fetch="http://codh.rois.ac.jp/kmnist/dataset/kmnist/"),
    "emnist_letters": _emnist("letters", 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
    "emnist_balanced": _emnist("balanced", 0, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabdefghnqrt"),
}
# The first two sets' files have the same names: what lies loose in the root is distinguished by its labels.
MNIST_TEST_LABELS_MD5 = "27ae3e4e09519cfbb04c329615203637"


def default_root() -> Path:
    """Where data sets lie by default: $FROMNOISE_DATA, else ~/.cache/fromnoise."""
    return Path(os.environ.get("FROMNOISE_DATA") or home() / ".cache" / "fromnoise").expanduser()


def find(name: str, root: Path) -> Path | None:
    """The folder below `root` that holds the four files of the set `name`, or None."""
    for folder in SETS[name].folders:
        place = root / folder
        files = [_file(place, stem, kind) for stem in SETS[name].stems.values() for kind in KINDS]
        if all(file.is_file() for file in files) and (folder != "." or _whose(place) == name):
            return place
    return None


def load(name: str, part: str, root: Path | None = None) -> ImageSet:
    """The part `train` or `test` of the set `name`, 1×28×28.

    Read from below `root` (default: `default_root`); MNIST and Fashion-MNIST are downloaded there by torchvision if
    they are missing. Raises UserError if it can be neither found nor downloaded.
    """
    base, about = root or default_root(), SETS[name]
    place = find(name, base) or _download(name, base)
    images, labels = (read_idx(_file(place, about.stems[part], kind)) for kind in KINDS)
    if about.turned and images.ndim == 3:
        images = np.ascontiguousarray(images.transpose(0, 2, 1))
    if about.classes and not np.isin(labels, np.arange(len(about.classes)) + about.first).all():
        raise UserError(f"{_file(place, about.stems[part], KINDS[1])} holds the labels of another set, not of {name}")
    numbers = torch.from_numpy(labels).long() - about.first
    return ImageSet(f"{name}:{part}", torch.from_numpy(images)[:, None], numbers, class_names=tuple(about.classes))


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array in an IDX file; raises UserError if the file is damaged or not IDX."""
    opened = gzip.open if path.suffix == ".gz" else open
    with reading(path, "a complete IDX file of bytes", "fetch it again"), opened(path, "rb") as file:
        magic = file.read(4)
        if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not magic[3]:
            raise ValueError("it does not begin like one")
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
    folders, stems, fetch, *_ = SETS[name]
    if fetch:
        files = ", ".join(f"{stem}-{kind}-ubyte.gz" for stem in stems.values() for kind in KINDS)
        raise UserError(f"{name} is not in {root}: fetch {files} from {fetch} and put them into {root / folders[1]}")
    from torchvision import datasets

    class_name = folders[0].partition("/")[0]
    try:
        getattr(datasets, class_name)(root, download=True)
    except (RuntimeError, OSError) as error:
        reason = " ".join(str(error).split())  # torchvision's has a line for each mirror
        raise UserError(
            f"{name} is not in {root} and could not be downloaded ({reason}); put its four IDX files "
            f"(.gz is fine) into {root / class_name / 'raw'}, or name their folder in $FROMNOISE_DATA"
        ) from error
    return root / class_name / "raw"


SOURCES = tuple(named(name, tuple(STEMS), partial(load, name)) for name in SETS)
