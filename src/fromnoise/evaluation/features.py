"""Features in which images are compared, by name."""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from fromnoise import rng
from fromnoise.data import patterns
from fromnoise.data.colour import AVERAGED, by_colour, luminance
from fromnoise.data.image_set import ImageSet
from fromnoise.data.pixels import normalise
from fromnoise.data.resize import resize
from fromnoise.errors import UserError
from fromnoise.evaluation import digit_network, dinov2, onnx_features
from fromnoise.evaluation.extractor import BILINEAR, Features
from fromnoise.files import missing_hint
from fromnoise.hardware import channels_last
from fromnoise.lookup import lookup

NAMES = ("auto", "digits", "general", "inception", "dinov2", "pixels", "onnx:PATH")
WEIGHED = ("inception", "dinov2")
"""Features whose weights are a file of their own."""
SIDE, SCALES, FILTERS, WIDTH = 32, (1, 2, 4), 32, 5  # of the random convolutions


def features(
    name: str, device: torch.device | None = None, *, images: ImageSet | None = None, weights: Path | None = None
) -> Features:
    """The extractor called `name`, on `device` (the CPU): auto, digits, general, inception, dinov2, pixels, onnx:PATH.

    `auto` is what `automatic` says of `images`, real ones that the others are compared with; `weights` the file with
    Inception's or DINOv2's weights, where they are not to be looked for or downloaded. Raises UserError for a name that
    is not known and for weights that are missing or wrong.
    """
    if weights is not None and name not in WEIGHED:
        raise UserError(f"--weights is for --features {' and '.join(WEIGHED)}, not {name}")
    where = device or torch.device("cpu")
    check_name(name)
    if name.startswith("onnx:"):
        return onnx_features.load(Path(name.removeprefix("onnx:")))
    if name == "inception":
        from fromnoise.evaluation import inception  # imports clean-fid, which takes a tenth of a second

        return inception.load(where, weights)
    if name == "dinov2":
        return dinov2.load(where, weights)
    if name == "pixels":
        return pixels()
    chosen = automatic(images) if name == "auto" else name
    return digits(where) if chosen == "digits" else general(where)


def check_name(name: str) -> None:
    """Raise UserError for a name of no features, and for an ONNX file that is not there."""
    kind, _, path = name.partition(":")
    lookup("features", "onnx:PATH" if kind == "onnx" and path else name, dict.fromkeys(NAMES))
    if kind == "onnx" and not (file := Path(path).expanduser()).is_file():
        raise UserError(f"--features {name}: there is no file {file}{missing_hint(file)}")


def automatic(images: ImageSet | None) -> str:
    """What `auto` stands for: "digits" for images of handwritten digits, "general" for all others."""
    if images is None:
        raise ValueError("auto goes by the images: name them, or the features")
    return "digits" if digit_network.are_digits(images.images) else "general"


def digits(device: torch.device) -> Features:
    """The packaged digit network's 64 features: grey 32×32; colour is turned to luminance, other sizes resized."""
    network = digit_network.packaged().to(device)
    if device.type == "cpu":
        network = channels_last(network)  # about 1.4 times as fast, with or without AVX-512

    def extract(images: Tensor) -> Tensor:
        sized = resize(luminance(images.to(device)), (digit_network.SIZE, digit_network.SIZE))
        return network.features(normalise(sized))

    sha256 = hashlib.sha256(digit_network.WEIGHTS.read_bytes()).hexdigest()
    return Features("digits", digit_network.FEATURES, sha256, extract, BILINEAR, "luminance")


def general(device: torch.device) -> Features:
    """For any images, offline: how much of each pattern of a packaged dictionary is in an image (`data.patterns`)."""
    dictionary = patterns.packaged().to(device)

    def extract(images: Tensor) -> Tensor:
        return patterns.amounts(images.to(device), dictionary)

    sha256 = hashlib.sha256(patterns.WEIGHTS.read_bytes()).hexdigest()
    resizing = f"{BILINEAR}, to {patterns.SIDE}×{patterns.SIDE}"
    return Features("general", len(dictionary.centres), sha256, extract, resizing, AVERAGED, batch=64)


def pixels() -> Features:
    """The images' own values, 0 to 255, as they are: float64 vectors of length C·H·W."""
    return Features("pixels", 0, "", lambda images: images.flatten(1).double())


def choosing_features(device: torch.device) -> Features:
    """The features that choose a model's guidance and its best checkpoint: random convolutions.

    They are never those of the score, which the choice would flatter. Random filters find edges, spots and colours
    (Jarrett et al. 2009, "What is the best multi-stage architecture for object recognition?") in any images, without a
    download. The mean and deviation of each filter's rectified response over the image, at three scales: 192 numbers.
    """
    filters = rng.normal((FILTERS, 3, WIDTH, WIDTH), 0, "random convolutions") / (3 * WIDTH * WIDTH) ** 0.5
    there = filters.to(device)

    def seen(rgb: Tensor) -> Tensor:
        x = normalise(resize(rgb, (SIDE, SIDE)))
        responses = [F.conv2d(F.avg_pool2d(x, scale), there).relu().flatten(2) for scale in SCALES]
        return torch.cat([of for each in responses for of in (each.mean(dim=2), each.std(dim=2))], dim=1)

    def extract(images: Tensor) -> Tensor:
        return by_colour(images.to(device), seen)

    sha256 = hashlib.sha256(filters.numpy().tobytes()).hexdigest()
    return Features("random convolutions", 2 * FILTERS * len(SCALES), sha256, extract, BILINEAR, AVERAGED)
