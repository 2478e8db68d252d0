"""Whole files of every kind that fromnoise reads, in one folder, for the fuzz to damage."""

import contextlib
import gzip
import io
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

RUN = ("--preset", "tiny", "--steps", "4", "--evaluate-every", "2", "--n", "60", "--m", "100", "--log-every", "1")
PLAIN = ("--preset", "tiny", "--steps", "4", "--m", "100", "--log-every", "1")
PAIR = ("--generated", "images.npz", "--reference", "digits:val")


def plant(place: Path) -> None:
    """Write them into the new folder `place`, and go there; the trained model comes from the real command line."""
    place.mkdir(parents=True)
    random = np.random.default_rng(0)
    os.chdir(place)
    fromnoise("run", *RUN, "--out", "run")
    fromnoise("train", *PLAIN, "--out", "plain")
    run = place / "run"
    (run / "guidance.json").write_text(
        json.dumps({"step": 4, "guidance": 1.35, "tried": [{"guidance": 1.0, "fid": 2.0}]})
    )
    shutil.copy(run / "checkpoints" / "000004" / "model.safetensors", place / "model.safetensors")
    shutil.copy(run / "samples" / "images.npz", place / "images.npz")
    fromnoise("evaluate", *PAIR, "--features", "pixels", "--json", "other.json")
    images, labels = random.integers(0, 256, (12, 16, 16), np.uint8), (np.arange(12) % 3).astype(np.uint8)
    with (place / "bare.npz").open("wb") as file:
        np.save(file, images)
    for kind, suffix, save in (("png", "png", {}), ("jpeg", "jpg", {"quality": 90}), ("webp", "webp", {})):
        (place / kind).mkdir()
        for k in range(3):
            colour = images[3 * k : 3 * k + 3].transpose(1, 2, 0)
            Image.fromarray(colour if k else images[k]).save(place / kind / f"{k}.{suffix}", **save)
    for form in ("zip", "gztar"):  # of one picture: several that cannot be read are several lines
        shutil.make_archive(str(place / "pngs"), form, place / "png", "1.png")
    shutil.copytree(place / "png", place / "tabled")
    (place / "tabled" / "metadata.csv").write_text("file_name,label\n0.png,cat\n1.png,dog\n2.png,cat\n")
    for folder, suffix in (("idx", ""), ("idx.gz", ".gz")):
        (place / folder / "mnist").mkdir(parents=True)
        for stem in ("train", "t10k"):
            for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
                raw = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
                file = place / folder / "mnist" / f"{stem}-{kind}-ubyte{suffix}"
                file.write_bytes(gzip.compress(raw, mtime=0) if suffix else raw)
    _inception(place / "inception.pt")
    _onnx(place / "model.onnx")


def fromnoise(*words: str) -> None:
    """Run a command that must succeed, in this process and folder."""
    from accelerate.state import AcceleratorState

    from fromnoise.faces import cli

    sys.argv = ["fromnoise", *words]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        code = cli.main(words)
    AcceleratorState._reset_state(reset_partial_state=True)
    if code:
        raise RuntimeError(f"{' '.join(words)}: exit code {code}: {said.getvalue()}")


def _inception(path: Path) -> None:
    """A stand-in that clean-fid's code can call, without 96 MB of weights."""
    import torch
    from torch import nn

    class Layers(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(3, 2048)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x.mean((2, 3)))

    class StandIn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = Layers()

        def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
            return self.layers((x - 128) / 128)

    torch.jit.save(torch.jit.script(StandIn()), str(path))


def _onnx(path: Path) -> None:
    """Pixels times a matrix; no file without the extra."""
    try:
        from onnx import TensorProto, helper, numpy_helper, save
    except ImportError:
        return
    matrix = np.random.default_rng(0).normal(size=(256, 4)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "features",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", 1, 16, 16])],
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(matrix, "matrix")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
