"""SVHN, house numbers cut to single digits, from its .mat files."""

import numpy as np
import torch

from fromnoise.data.idx import default_root
from fromnoise.data.image_set import ImageSet
from fromnoise.data.source import named
from fromnoise.errors import UserError
from fromnoise.files import check_deflated, reading

FILES = {part: f"{part}_32x32.mat" for part in ("train", "test")}
ADDRESS = "http://ufldl.stanford.edu/housenumbers/"


def load(part: str) -> ImageSet:
    """The part `train` (73,257 images) or `test` (26,032), 3×32×32, from below `idx.default_root`.

    Raises UserError where the file is missing or damaged.
    """
    base = default_root()
    places = [base / "svhn", base / "SVHN", base]
    path = next((place / FILES[part] for place in places if (place / FILES[part]).is_file()), None)
    if path is None:
        raise UserError(f"svhn is not in {base}: fetch {ADDRESS}{FILES[part]} and put it into {places[0]}")
    with reading(path, "a complete file of SVHN", "fetch it again"):
        from scipy.io import loadmat, whosmat  # takes a moment to import

        shapes = {name: shape for name, shape, _ in whosmat(path)}
        n = shapes["X"][-1]
        if shapes["X"] != (32, 32, 3, n) or shapes["y"] != (n, 1):
            raise ValueError(f"its arrays are {shapes}")
        check_deflated(n * 32 * 32 * 3, path.stat().st_size)
        found = loadmat(path, variable_names=["X", "y"])
        images, labels = found["X"], found["y"][:, 0].astype(np.int64)
        if images.dtype != np.uint8 or labels.min() < 1 or labels.max() > 10:
            raise ValueError("its pixels are not bytes, or its labels are not from 1 to 10")
    pixels = torch.from_numpy(np.ascontiguousarray(images.transpose(3, 2, 0, 1)))
    return ImageSet(f"svhn:{part}", pixels, torch.from_numpy(labels % 10))  # 10 is the digit 0


SOURCE = named("svhn", tuple(FILES), load)
