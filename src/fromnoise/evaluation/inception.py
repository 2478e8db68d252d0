"""Inception's 2048 features as clean-fid computes them, for scores to set beside published ones.

Resizing, normalisation and network are clean-fid's own code ("clean" mode; Parmar, Zhang, Zhu 2022). The weights
are a TorchScript file. That is no pickle of Python objects, but it is a program, which runs when it is called. So a
file is loaded only when somebody names it, or when its hash is that of the file which NVIDIA publishes: clean-fid
keeps its copy in /tmp, where anybody may write.
"""

import hashlib
import io
import platform
import socket
import tempfile
import zipfile
from http.client import HTTPException
from pathlib import Path

import numpy as np
import torch
from cleanfid.downloads_helper import inception_url
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from fromnoise.data.colour import SEEN, rgb
from fromnoise.errors import UserError
from fromnoise.evaluation.extractor import Features
from fromnoise.files import check_deflated, check_writable, read_bytes, reading, reason
from fromnoise.say import say

URL: str = inception_url
NAME = "inception-2015-12-05.pt"
# As k-diffusion checks it (k_diffusion/evaluation.py in github.com/crowsonkb/k-diffusion).
SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
MOST = 1 << 30  # bytes; Inception's are 96 MB
KIND = "Inception as clean-fid has it"
DIMENSION = 2048
SIZE = 299
BATCH = 32  # 256 images would take gigabytes in the first layers
SECONDS = 10.0  # without an answer, or without a byte, until a download is given up


def load(device: torch.device, weights: Path | None = None) -> Features:
    """The extractor with the weights in the file `weights`, else in clean-fid's own copy, downloaded if missing.

    Raises UserError when the weights can be neither found nor downloaded, and for a file that is not clean-fid's
    Inception.
    """
    data = _published(place()) if weights is None else _read(weights)
    network = _network(data, weights or place(), device)
    sha256 = hashlib.sha256(data).hexdigest()
    return Features(
        "inception",
        DIMENSION,
        sha256,
        lambda images: network(prepare(images).to(device)),
        resizing=f"bicubic, antialiased, to {SIZE}×{SIZE} in floating point, not rounded (clean-fid's clean)",
        colour=SEEN,
        known=sha256 == SHA256,
        batch=BATCH,
    )


def prepare(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n 3 299 299"]:
    """Images as clean-fid shows them to the network: RGB, 299×299, float32 from 0 to 255, on the CPU."""
    resize = build_resizer("clean")
    coloured = rgb(images.cpu()).permute(0, 2, 3, 1).numpy()
    resized = torch.from_numpy(np.stack([resize(image) for image in coloured]))
    return resized.permute(0, 3, 1, 2).contiguous()


def place() -> Path:
    """Where clean-fid keeps its copy of the weights."""
    return Path("." if platform.system() == "Windows" else "/tmp") / NAME


def _published(path: Path) -> bytes:
    """The published weights, from `path` or downloaded to there."""
    if not path.exists():
        _download(path)
    data = _read(path)
    if hashlib.sha256(data).hexdigest() != SHA256:
        # Where anybody may write, as in /tmp, it may be theirs, and loading it would run their program.
        way = "delete it, or download that file and pass it as --weights"
        raise UserError(f"{path} is damaged, or not the file at {URL}: {way}")
    return data


def _download(path: Path) -> None:
    """Fetch the weights, whole or not at all; gives up within seconds where nobody answers."""
    check_writable(path)
    say(f"downloading Inception's weights, 96 MB, to {path} ...")
    usual = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS)  # torch.hub has no timeout of its own
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(URL, str(path), hash_prefix=SHA256, progress=False)
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: another hash
        raise UserError(
            f"Inception's weights are not at {path} and could not be downloaded ({reason(error)}): "
            f"download {URL} and pass it as --weights FILE"
        ) from error
    finally:
        socket.setdefaulttimeout(usual)


def _read(path: Path) -> bytes:
    with reading(path, KIND, f"Inception's weights are at {URL}"):
        return read_bytes(path, MOST)


def _network(data: bytes, path: Path, device: torch.device) -> nn.Module:
    """clean-fid's network with the weights `data`, which came from `path`."""
    # clean-fid opens a file of its own name: it is given the very bytes that were hashed, where nobody else writes.
    with reading(path, KIND), tempfile.TemporaryDirectory() as folder:
        _check_whole(data)
        (Path(folder) / NAME).write_bytes(data)
        network: nn.Module = InceptionV3W(folder, download=False).to(device).eval()
        with torch.no_grad():
            network(torch.full((1, 3, SIZE, SIZE), 128.0, device=device))
    return network


def _check_whole(data: bytes) -> None:
    """Raise ValueError for a damaged archive: PyTorch's own reader may end the process over one."""
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = file.infolist()
        check_deflated(sum(member.file_size for member in members), sum(member.compress_size for member in members))
        if damaged := file.testzip():
            raise ValueError(f"{damaged} in it is damaged")
