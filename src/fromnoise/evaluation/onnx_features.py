"""Any ONNX model as an extractor of features: uint8 images N×C×H×W in, floats N×d out (the extra `export`)."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fromnoise.data.colour import SEEN, luminance, rgb
from fromnoise.data.resize import resize
from fromnoise.errors import UserError
from fromnoise.evaluation.extractor import BILINEAR, Features
from fromnoise.extras import extra
from fromnoise.files import read_bytes, reading, reason

FLOATS = ("tensor(float)", "tensor(double)", "tensor(float16)")
MOST = 2 << 30  # bytes: what protobuf takes
COLOUR: Mapping[int, tuple[str, Callable[[Tensor], Tensor]]] = {1: ("luminance", luminance), 3: (SEEN, rgb)}
"""What is done to images for a model of so many channels, in words and in deed."""


def load(path: Path) -> Features:
    """The extractor in the file `path`, called onnx:PATH, computing on the CPU.

    Images are resized where the model's input has a fixed height or width; grey ones are repeated for a model of
    3 channels and coloured ones turned to luminance for a model of 1. Raises UserError without onnxruntime, for a
    file that is not such a model, and, once it sees images, for images that the model refuses.
    """
    path = path.expanduser()
    onnx, onnxruntime = extra("onnx", "export"), extra("onnxruntime", "export")
    with reading(path, "an ONNX model"):
        data = read_bytes(path, MOST)
        tensors = list(_parts(onnx.load_model_from_string(data), onnx.TensorProto))
    if any(map(onnx.external_data_helper.uses_external_data, tensors)):
        # They would be looked for in the working folder, and the hash of this file would not tell them.
        raise UserError(f"{path} keeps its weights in another file: export it with external_data=False")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised; nothing need be printed as well
    options.intra_op_num_threads = torch.get_num_threads()
    with reading(path, "an ONNX model that can be run"):
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    channels, height, width = _input(path, session)
    colour, coloured = COLOUR.get(channels, ("as it is", lambda images: images))
    resizing = f"{BILINEAR}, to {height or 'H'}×{width or 'W'}" if height or width else "none"

    def extract(images: Tensor) -> Tensor:
        taken = coloured(images.cpu())
        taken = resize(taken, (height or taken.shape[2], width or taken.shape[3])).contiguous()
        try:
            (found,) = session.run(None, {session.get_inputs()[0].name: taken.numpy()})
        except Exception as error:
            shape = "×".join(str(length) for length in images.shape[1:])
            raise UserError(f"{path} cannot take images of {shape} ({reason(error)})") from error
        features = torch.from_numpy(found)
        if features.ndim != 2 or len(features) != len(images):
            raise UserError(f"{path} gave {list(features.shape)} for {len(images)} images, not N×d")
        return features.float() if features.dtype == torch.float16 else features

    return Features(
        f"onnx:{path}",
        _dimension(path, session),
        hashlib.sha256(data).hexdigest(),
        extract,
        resizing,
        colour,
        known=False,
    )


def _parts(message: Any, kind: type) -> Iterator[Any]:
    """All of a kind within a protobuf message, at any depth: tensors lie in attributes and in branches too."""
    for field, value in message.ListFields():
        if field.message_type:
            for part in [value] if hasattr(value, "ListFields") else value:
                if isinstance(part, kind):
                    yield part
                yield from _parts(part, kind)


def _input(path: Path, session: Any) -> tuple[int, int, int]:
    """Channels, height and width that the model's input demands, 0 for any."""
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type != "tensor(uint8)" or len(inputs[0].shape) != 4:
        raise UserError(f"{path} takes {_about(inputs)}; features need one input of uint8 images, N×C×H×W")
    n, *fixed = (length if isinstance(length, int) else 0 for length in inputs[0].shape)
    if n:
        raise UserError(f"{path} takes exactly {n} images at once: export it with a dynamic batch size")
    channels, height, width = fixed
    if channels not in (0, 1, 3):
        raise UserError(f"{path} takes images of {channels} channels, but fromnoise gives it grey (1) or RGB (3)")
    return channels, height, width


def _dimension(path: Path, session: Any) -> int:
    """The length of the model's features, 0 where it does not say."""
    outputs = session.get_outputs()
    if len(outputs) != 1 or outputs[0].type not in FLOATS or len(outputs[0].shape) not in (0, 2):
        raise UserError(f"{path} gives {_about(outputs)}; features are one output of floats, N×d")
    length = outputs[0].shape[-1] if outputs[0].shape else None
    return length if isinstance(length, int) else 0


def _about(values: Any) -> str:
    return ", ".join(f"{value.name} {value.type} {value.shape}" for value in values) or "nothing"
