"""ONNX models as extractors, built by onnx's own helper and recomputed by hand."""

import dataclasses
import hashlib
import importlib

import numpy as np
import pytest
import torch

from fromnoise.data.colour import luminance
from fromnoise.data.resize import resize
from fromnoise.errors import UserError
from fromnoise.evaluation.features import features

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

pytestmark = pytest.mark.slow  # of an extra

BYTE, FLOAT = TensorProto.UINT8, TensorProto.FLOAT


def projection(n_in, n_out=4):
    return np.random.default_rng(0).normal(size=(n_in, n_out)).astype(np.float32)


def save(path, nodes, inputs, outputs, weights=(), **options):
    graph = helper.make_graph(
        nodes,
        "features",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path), **options)
    return path


def linear(path, shape, n_in, kind=FLOAT, declared=("n", 4), **options):
    """Pixels, flattened, times a matrix."""
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=kind),
        helper.make_node("Flatten", ["values"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["features"]),
    ]
    matrix = projection(n_in).astype(helper.tensor_dtype_to_np_dtype(kind))
    return save(path, nodes, [("images", BYTE, shape)], [("features", kind, declared)], [("matrix", matrix)], **options)


def pictures(n, channels, size=8):
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (n, channels, size, size), dtype=np.uint8))


def by_hand(images):
    flat = images.flatten(1).double()
    return (flat @ torch.from_numpy(projection(flat.shape[1])).double()).float()


def test_features_are_what_the_model_computes(tmp_path):
    path = linear(tmp_path / "model.onnx", ["n", 3, 8, 8], 192)
    extract = features(f"onnx:{path}")
    images = pictures(11, 3)
    torch.testing.assert_close(extract(images), by_hand(images), rtol=1e-4, atol=1e-2)
    by_four = dataclasses.replace(extract, batch=4)(images)
    torch.testing.assert_close(by_four, extract(images), rtol=1e-5, atol=1e-3)


def test_a_report_tells_which_model_it_was_and_what_was_done_to_the_images(tmp_path):
    path = linear(tmp_path / "model.onnx", ["n", 1, 8, 8], 64)
    extract = features(f"onnx:{path}")
    assert extract.name == f"onnx:{path}"
    assert extract.dimension == 4
    assert extract.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (extract.resizing, extract.colour) == ("bilinear, antialiased, rounded to 8 bits, to 8×8", "luminance")
    assert not extract.known


def test_images_of_another_size_are_resized(tmp_path):
    path = linear(tmp_path / "model.onnx", ["n", 1, 8, 8], 64)
    images = pictures(3, 1, size=12)
    torch.testing.assert_close(features(f"onnx:{path}")(images), by_hand(resize(images, (8, 8))), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize(("takes", "given"), [(1, 3), (3, 1)])
def test_colour_is_what_the_model_takes(takes, given, tmp_path):
    path = linear(tmp_path / "model.onnx", ["n", takes, 8, 8], 64 * takes)
    images = pictures(3, given)
    taken = luminance(images) if takes == 1 else images.repeat(1, 3, 1, 1)
    torch.testing.assert_close(features(f"onnx:{path}")(images), by_hand(taken), rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_model_of_any_size_is_shown_the_images_as_they_are(channels, tmp_path):
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=FLOAT),
        helper.make_node("ReduceMean", ["values"], ["features"], axes=[2, 3], keepdims=0),
    ]
    path = save(
        tmp_path / "mean.onnx",
        nodes,
        [("images", BYTE, ["n", "c", "h", "w"])],
        [("features", FLOAT, ["n", "d"])],
    )
    extract = features(f"onnx:{path}")
    assert (extract.dimension, extract.resizing, extract.colour) == (0, "none", "as it is")
    images = pictures(5, channels, size=9)
    torch.testing.assert_close(extract(images), images.float().mean((2, 3)))
    assert extract.dimension == channels


@pytest.mark.parametrize(("kind", "dtype"), [(TensorProto.DOUBLE, torch.float64), (TensorProto.FLOAT16, torch.float32)])
def test_doubles_stay_and_halves_are_widened(kind, dtype, tmp_path):
    path = linear(tmp_path / "model.onnx", ["n", 1, 8, 8], 64, kind)
    images = pictures(3, 1) // 16
    found = features(f"onnx:{path}")(images)
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), by_hand(images), rtol=2e-2, atol=0.5)


def mean(path, shape, kind=BYTE, output=FLOAT, keepdims=0):
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=FLOAT),
        helper.make_node("ReduceMean", ["values"], ["means"], axes=list(range(2, len(shape))), keepdims=keepdims),
        helper.make_node("Cast", ["means"], ["features"], to=output),
    ]
    declared = ["n", "c"] + [1] * (len(shape) - 2) * keepdims
    return save(path, nodes, [("images", kind, shape)], [("features", output, declared)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": ["n", "c", "h", "w"], "kind": FLOAT}, r"takes images tensor\(float\) .* one input of uint8 images"),
        ({"shape": ["n", "c", "l"]}, "features need one input of uint8 images, N×C×H×W"),
        ({"shape": ["n", 4, "h", "w"]}, r"takes images of 4 channels, but fromnoise gives it grey \(1\) or RGB \(3\)"),
        ({"shape": [1, 3, 8, 8]}, "takes exactly 1 images at once: export it with a dynamic batch size"),
        ({"shape": ["n", 3, 8, 8], "output": TensorProto.INT64}, "features are one output of floats, N×d"),
        ({"shape": ["n", 3, 8, 8], "keepdims": 1}, "features are one output of floats, N×d"),
    ],
)
def test_models_that_are_no_extractors_are_refused(options, message, tmp_path):
    path = mean(tmp_path / "model.onnx", **options)
    with pytest.raises(UserError, match=message) as refused:
        features(f"onnx:{path}")
    assert "\n" not in str(refused.value)


def test_images_that_the_model_refuses_are_an_error_of_one_line(tmp_path):
    """Any height and width by its word, 8×8 by its matrix."""
    path = linear(tmp_path / "model.onnx", ["n", 1, "h", "w"], 64)
    assert features(f"onnx:{path}")(pictures(2, 1)).shape == (2, 4)
    with pytest.raises(UserError, match="cannot take images of 1×9×9") as refused:
        features(f"onnx:{path}")(pictures(2, 1, size=9))
    assert "\n" not in str(refused.value)


def test_features_that_are_not_one_vector_an_image_are_refused(tmp_path):
    """A model may declare N×d and give something else: here all images in one vector."""
    nodes = [
        helper.make_node("Cast", ["images"], ["values"], to=FLOAT),
        helper.make_node("Reshape", ["values", "shape"], ["features"]),
    ]
    path = save(
        tmp_path / "model.onnx",
        nodes,
        [("images", BYTE, ["n", "c", "h", "w"])],
        [("features", FLOAT, ["n", "d"])],
        [("shape", np.array([1, -1]))],
    )
    with pytest.raises(UserError, match=r"gave \[1, 128\] for 2 images, not N×d"):
        features(f"onnx:{path}")(pictures(2, 1))


def test_weights_in_another_file_are_refused(tmp_path):
    path = linear(
        tmp_path / "model.onnx",
        ["n", 1, 8, 8],
        64,
        save_as_external_data=True,
        location="weights.data",
        size_threshold=0,
    )
    with pytest.raises(UserError, match="keeps its weights in another file: export it with external_data=False"):
        features(f"onnx:{path}")


@pytest.mark.parametrize("place", ["a branch", "an attribute"])
def test_weights_of_branches_and_attributes_in_another_file_are_refused(place, tmp_path):
    (tmp_path / "weights.data").write_bytes(bytes(16))
    weights = TensorProto(name="w", data_type=FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="weights.data")
    if place == "a branch":
        out = helper.make_tensor_value_info("o", FLOAT, [4])
        branch = helper.make_graph([helper.make_node("Identity", ["w"], ["o"])], "branch", [], [out], [weights])
        node = helper.make_node("If", ["images"], ["features"], then_branch=branch, else_branch=branch)
    else:
        node = helper.make_node("Constant", [], ["features"], value=weights)
    graph = helper.make_graph([node], "features", [], [])
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(UserError, match="keeps its weights in another file: export it with external_data=False"):
        features(f"onnx:{path}")


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_file_that_is_no_model_is_refused(content, tmp_path):
    (tmp_path / "model.onnx").write_bytes(content)
    with pytest.raises(UserError, match=r"is not an ONNX model|cannot be run") as refused:
        features(f"onnx:{tmp_path / 'model.onnx'}")
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(UserError, match=r"there is no file \S*missing\.onnx; it does not exist"):
        features(f"onnx:{tmp_path / 'missing.onnx'}")


def test_without_onnxruntime_the_extra_is_named(tmp_path, monkeypatch):
    real = importlib.import_module

    def without(name):
        if name == "onnxruntime":
            raise ImportError(name)
        return real(name)

    path = linear(tmp_path / "model.onnx", ["n", 1, 8, 8], 64)
    monkeypatch.setattr(importlib, "import_module", without)
    with pytest.raises(UserError, match=r'this needs onnxruntime: pip install "fromnoise\[export\]"'):
        features(f"onnx:{path}")
