"""DINOv2's features (Oquab et al. 2023), its smallest model: what Stein et al. 2023 score natural images by.

The network is that of the extra `dinov2`, transformers; its weights are a safetensors file, which holds numbers only.
"""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors.torch import load as read_tensors
from torch import Tensor, nn

from fromnoise.data.colour import SEEN, rgb
from fromnoise.errors import UserError
from fromnoise.evaluation.extractor import Features
from fromnoise.extras import extra
from fromnoise.files import read_bytes, reading, reason
from fromnoise.say import say

REPOSITORY, FILE = "facebook/dinov2-small", "model.safetensors"
URL = f"https://huggingface.co/{REPOSITORY}/resolve/main/{FILE}"
KIND = "DINOv2's ViT-S/14"
MOST = 1 << 30  # bytes; these are 88 MB
DIMENSION = 384
SIZE = 224
BATCH = 32
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of RGB from 0 to 1


def load(device: torch.device, weights: Path | None = None) -> Features:
    """The extractor with the weights in the file `weights`, else in Hugging Face's cache, downloaded if missing.

    Raises UserError without transformers, when the weights can be neither found nor downloaded, and for a file that
    holds others.
    """
    transformers = extra("transformers", "dinov2")
    path = weights or _published()
    with reading(path, KIND, f"its weights are at {URL}"):
        data = read_bytes(path, MOST)
    # The defaults are those of the base model; positions are of 37×37 patches, interpolated to 16×16.
    sizes = transformers.Dinov2Config(hidden_size=DIMENSION, num_attention_heads=6, image_size=518, patch_size=14)
    network: nn.Module = transformers.Dinov2Model(sizes)
    with reading(path, KIND):
        network.load_state_dict(read_tensors(data))
    network = network.to(device).eval().requires_grad_(False)
    return Features(
        "dinov2",
        DIMENSION,
        hashlib.sha256(data).hexdigest(),
        lambda images: network(prepare(images.to(device))).pooler_output,
        resizing=f"bicubic, antialiased, to {SIZE}×{SIZE} in floating point, not rounded",
        colour=SEEN,
        known=weights is None,
        batch=BATCH,
    )


def prepare(images: UInt8[Tensor, "n c h w"]) -> Float[Tensor, "n 3 224 224"]:
    """Images as the network is shown them: RGB, 224×224, normalised."""
    coloured = rgb(images).float()
    sized = F.interpolate(coloured, (SIZE, SIZE), mode="bicubic", antialias=True, align_corners=False)
    sized = sized.clamp(0, 255) / 255
    mean, deviation = (torch.tensor(each, device=images.device).view(3, 1, 1) for each in (MEAN, DEVIATION))
    return (sized - mean) / deviation


def _published() -> Path:
    from huggingface_hub import hf_hub_download  # comes with diffusers

    say(f"DINOv2's weights, 88 MB, from Hugging Face's cache or {URL} ...")
    try:
        return Path(hf_hub_download(REPOSITORY, FILE))
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(
            f"DINOv2's weights could not be downloaded ({reason(error)}): download {URL} and pass it as --weights FILE"
        ) from error
