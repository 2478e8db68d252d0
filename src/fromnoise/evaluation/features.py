"""Features in which images are compared, by name: uint8 images in, one vector for each out."""

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fromnoise.choices import choose
from fromnoise.data import blocks
from fromnoise.data.pixels import normalise
from fromnoise.data.resize import resize
from fromnoise.errors import UserError
from fromnoise.evaluation import digit_network
from fromnoise.moving import channels_last
from fromnoise.threads import shared

BATCH = 256
BILINEAR = "bilinear, antialiased, rounded to 8 bits"  # what fromnoise.data.resize does

Say = Callable[[str], None]


@dataclass(eq=False)
class Features:
    """An extractor: the map from images to vectors, and what a report has to say of it.

    name       what it was asked for by
    dimension  the length of its vectors; 0, where that depends on the images, until the first were seen
    sha256     of the file its weights come from; empty where there are none
    extract    the map itself, for one batch of images
    resizing   how images of another size are resized
    colour     what is done to images with other channels than it takes
    known      whether the weights are the published ones that the name stands for, not a file of one's own
    batch      how many images are mapped at once
    """

    name: str
    dimension: int
    sha256: str
    extract: Callable[[Tensor], Tensor]
    resizing: str = "none"
    colour: str = "as it is"
    known: bool = True
    batch: int = BATCH

    def __call__(
        self, images: UInt8[Tensor, "n c h w"], progress: Callable[[int, int], None] | None = None
    ) -> Float[Tensor, "n d"]:
        """The features of images of any number, on the CPU; `progress` is told (done, all).

        Raises UserError for features that are not finite, or of another length than those before.
        """

        def found() -> Iterator[Tensor]:
            done = 0
            for part in self.stream(blocks.parts(images)):
                yield part
                done += len(part)
                if progress:
                    progress(done, len(images))

        return blocks.join(found(), len(images))

    def stream(self, parts: Iterable[UInt8[Tensor, "_ c h w"]]) -> Iterator[Float[Tensor, "_ d"]]:
        """The same numbers a batch at a time, for images that come in parts of any length: constant memory.

        Batches are of a fixed size whatever the parts are, so that results do not depend on how images come.
        """
        threads = shared()
        for batch in _batches(parts, self.batch):
            with torch.no_grad():
                features = self.extract(batch).cpu()
            if not bool(features.isfinite().all()):
                raise UserError(f"{self.name}: some features are not finite")
            threads.after(time.perf_counter(), len(batch))
            self.dimension = self.dimension or features.shape[1]
            if features.shape[1] != self.dimension:
                raise UserError(
                    f"{self.name}: images of {_size(batch)} give {features.shape[1]} features, not {self.dimension}: "
                    "all must be of one size, and all grey or all in colour"
                )
            yield features


def digits(device: torch.device) -> Features:
    """The packaged digit network's 64 features: grey 32×32; colour is turned to luminance, other sizes resized."""
    network = digit_network.packaged().to(device)
    if device.type == "cpu":
        network = channels_last(network)  # about 1.4 times as fast, with or without AVX-512

    def extract(images: Tensor) -> Tensor:
        sized = resize(luminance(images.to(device)), (digit_network.SIZE, digit_network.SIZE))
        return network.features(normalise(sized))

    sha256 = hashlib.sha256(digit_network.packaged_file().read_bytes()).hexdigest()
    return Features("digits", digit_network.FEATURES, sha256, extract, BILINEAR, "luminance")


def pixels() -> Features:
    """The images' own values, 0 to 255, as they are: float64 vectors of length C·H·W."""
    return Features("pixels", 0, "", lambda images: images.flatten(1).double())


def features(
    name: str, device: torch.device | None = None, *, inception_weights: Path | None = None, say: Say | None = None
) -> Features:
    """The extractor called `name`: digits, inception, pixels or onnx:PATH, computing on `device` (the CPU).

    `inception_weights` is the file with Inception's weights, where they are not to be looked for or downloaded;
    `say` is told, in a sentence, before a download begins. Raises UserError for a name that is not known and for
    weights that are missing or wrong.
    """
    if inception_weights is not None and name != "inception":
        raise UserError(f"--inception-weights is for the features inception, not for {name}")
    where = device or torch.device("cpu")
    kind, _, path = name.partition(":")
    makers: dict[str, Callable[[], Features]] = {
        "digits": lambda: digits(where),
        "inception": lambda: _inception(where, inception_weights, say),
        "pixels": pixels,
        "onnx:PATH": lambda: _onnx(Path(path)),
    }
    return choose("features", "onnx:PATH" if kind == "onnx" and path else name, makers)()


def luminance(images: UInt8[Tensor, "n c h w"]) -> UInt8[Tensor, "n 1 h w"]:
    """RGB as grey, by ITU-R 601's weights, rounded; grey as it is."""
    if images.shape[1] == 1:
        return images
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(1, 3, 1, 1)
    return (images.float() * weights).sum(dim=1, keepdim=True).round().to(torch.uint8)


def _inception(device: torch.device, weights: Path | None, say: Say | None) -> Features:
    from fromnoise.evaluation import inception  # imports clean-fid, which others need not wait for

    return inception.load(device, weights, say)


def _onnx(path: Path) -> Features:
    from fromnoise.evaluation import onnx_features  # needs the extra `export`

    return onnx_features.load(path)


def _batches(parts: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    """The same images in the same order, `size` at a time, the last batch what is left."""
    held: list[Tensor] = []
    room = size
    for part in parts:
        while len(part):
            taken, part = part[:room], part[room:]
            held.append(taken)
            room -= len(taken)
            if not room:
                yield _plain(torch.cat(held))
                held, room = [], size
    if held:
        yield _plain(torch.cat(held))


def _plain(images: Tensor) -> Tensor:
    """The same images laid out channel by channel: kernels round differently for other layouts, which C = 1 hides."""
    return images.flatten(1).view(images.shape)


def _size(images: Tensor) -> str:
    return "×".join(str(length) for length in images.shape[1:])
