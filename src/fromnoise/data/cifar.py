"""CIFAR-10 from the files of its binary version. (The Python version is pickled.)"""

from pathlib import Path

import numpy as np
import torch

from fromnoise.data.idx import default_root
from fromnoise.data.image_set import ImageSet
from fromnoise.data.source import named
from fromnoise.errors import UserError
from fromnoise.files import read_bytes, reading

FOLDER = "cifar-10-batches-bin"
PICKLED = "cifar-10-batches-py"
FILES = {"train": tuple(f"data_batch_{k}.bin" for k in range(1, 6)), "test": ("test_batch.bin",)}
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = 3, 32, 32
RECORD = 1 + 3 * 32 * 32  # bytes: a label, then one image, channel by channel
MOST = 50_000 * RECORD  # bytes of a file, which has 10,000 images


def load(part: str) -> ImageSet:
    """The part `train` (50,000 images) or `test` (10,000), 3×32×32, from below `idx.default_root`.

    Raises UserError where the files are missing or damaged.
    """
    base = default_root()
    place = base / FOLDER
    if missing := [name for names in FILES.values() for name in names if not (place / name).is_file()]:
        hint = f" ({PICKLED} is there, but it is pickled, and no pickle is opened)" if (base / PICKLED).exists() else ""
        raise UserError(
            f"cifar10 is not in {base}: {FOLDER}/{missing[0]} is missing; fetch the binary version, "
            f"cifar-10-binary.tar.gz, from https://www.cs.toronto.edu/~kriz/cifar.html and unpack it there{hint}"
        )
    records = np.concatenate([_records(place / name) for name in FILES[part]])
    images = torch.from_numpy(records[:, 1:].reshape(-1, *SHAPE).copy())
    return ImageSet(f"cifar10:{part}", images, torch.from_numpy(records[:, 0]).long(), class_names=CLASSES)


def _records(path: Path) -> np.ndarray:
    with reading(path, "a complete file of CIFAR-10's binary version", "fetch it again"):
        records = np.frombuffer(read_bytes(path, MOST), np.uint8).reshape(-1, RECORD)
        if not len(records) or records[:, 0].max() >= len(CLASSES):
            raise ValueError("its labels are not from 0 to 9")
    return records


SOURCE = named("cifar10", tuple(FILES), load)
