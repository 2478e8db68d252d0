"""Files of tensors: safetensors with a checksum of their whole content, so that no damaged file is ever used."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fromnoise.errors import UserError
from fromnoise.files import check_name, reason, writing

# A file's metadata is this one entry: safetensors writes several in random order, and equal models would differ.
ENTRY = "fromnoise"


class DamagedFile(UserError):  # noqa: N818 - a state of a file
    """A file that `save` did not write, or not as it is now."""


def save(path: Path, tensors: Mapping[str, Tensor], about: Any = None) -> None:
    """Write tensors, from any device, and JSON values `about` them; the same content always gives the same file.

    Raises UserError if the disk refuses.
    """
    here = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {ENTRY: json.dumps({"about": about, "sha256": checksum(here, about)})}
    with writing(path):
        try:
            save_file(here, path, metadata)
        except SafetensorError as error:
            raise OSError(str(error)) from error


def load(path: Path) -> tuple[dict[str, Tensor], Any]:
    """The tensors, on the CPU, and `about` as given to `save`; raises DamagedFile if anything in the file changed."""
    check_name(path)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if ENTRY not in metadata:
                raise DamagedFile(f"{path} has no checksum: it was not written by this version of fromnoise")
            # Copies: what is mapped, Windows does not let anyone replace.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - it is no mapping
        entry = json.loads(metadata[ENTRY])
        about, expected = entry["about"], entry["sha256"]
    except OSError as error:
        raise DamagedFile(f"{path} cannot be read ({error})") from error
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DamagedFile(f"{path} is not a complete safetensors file ({reason(error)})") from error
    if checksum(tensors, about) != expected:
        raise DamagedFile(f"{path} is damaged (its content does not match its checksum)")
    return tensors, about


def checksum(tensors: Mapping[str, Tensor], about: Any) -> str:
    """SHA-256 over `about` and the tensors' names, types, shapes and bytes."""
    ordered = sorted(tensors.items())
    head = [about, [(name, str(tensor.dtype), tuple(tensor.shape)) for name, tensor in ordered]]
    digest = hashlib.sha256(json.dumps(head).encode())
    for _, tensor in ordered:
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
