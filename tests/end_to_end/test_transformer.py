"""The transformer wherever the U-Net can be: from training to its likelihood and its ONNX file."""

import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fromnoise.errors import UserError
from fromnoise.generation.likelihood import bound_bits, decode, encode, flow_bits
from fromnoise.generation.model import Model, Shape, check
from fromnoise.training.device import accelerator
from fromnoise.training.initial import initial
from fromnoise.training.interrupt import Interrupted
from fromnoise.training.optimizers import KernelMuon, Optimizers
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.trainer import Trainer

NETWORK = {"network": "transformer", "width": 64, "depth": 2}
WORDS = ("train", "--preset", "tiny", "--network", "transformer", "--width", "64", "--depth", "2", "--steps", "3")


def model_of(config, images):
    """A model whose zero-initialised layers are not zero, so that its output depends on all it is told."""
    model = Model.build(config, Shape.of(images, config))
    torch.manual_seed(1)
    for parameter in model.network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    model.network.eval().requires_grad_(False)
    return model


@pytest.fixture
def model(config_of, images):
    return model_of(config_of(network=NETWORK), images)


@pytest.fixture(scope="module")
def trained(fromnoise, tmp_path_factory):
    place = tmp_path_factory.mktemp("trained")
    fromnoise(*WORDS, "--out", "run", cwd=place)
    return place


def test_a_trained_one_is_sampled(trained, fromnoise):
    model = Model.load(trained / "run" / "checkpoints" / "000003" / "model.safetensors")
    assert type(model.network).__name__ == "Transformer"
    assert model.shape.classes == 10
    fromnoise("sample", "run", "--n", "5", "--label", "3", "--guidance", "2", "--out", "some.npz", cwd=trained)
    images = np.load(trained / "some.npz")["arr_0"]
    assert images.shape[:3] == (5, 16, 16)
    assert images.std() > 1


@pytest.mark.parametrize(("words", "said"), [
    (("--width", "100"), "--width 100: must be a multiple of 64"),
    (("--width", "0"), "--width must be at least 64, not 0"),
    (("--patch", "0"), "--patch must be at least 1, not 0"),
    (("--depth", "0"), "--depth must be at least 1, not 0"),
    (("--patch", "5"), "height and width to be multiples of 5; the nearest is --size 15"),
    (("--size", "18"), "multiples of 4; the nearest is --size 16"),
])  # fmt: skip
def test_one_line_says_what_is_wrong(fromnoise, tmp_path, words, said):
    done = fromnoise(*WORDS, *words, "--out", "run", cwd=tmp_path, code=2)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_its_settings_concern_no_other_network(config_of):
    check(config_of(network={"patch": 5}))
    check(config_of(network=NETWORK, data={"size": "12x20"}))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_training_in_pieces_ends_with_the_same_bits(tmp_path, images, config_of, precision):
    config = config_of(network=NETWORK, training={"steps": 9, "precision": precision})

    def train(name, tick=lambda seen: None):
        folder, model = RunFolder(tmp_path / name), Model.build(config, Shape.of(images, config))
        before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
        with folder.open(config, images):
            Trainer(model, images, folder, accelerator("cpu"), tick).run()
        last = folder.checkpoint(9)
        return before, load_file(last / "model.safetensors") | load_file(last / "state.safetensors")

    def stop(seen):
        if seen.step == 4:
            os.kill(os.getpid(), signal.SIGINT)

    before, whole = train("whole")
    with pytest.raises(Interrupted):
        train("pieces", stop)
    _, pieces = train("pieces")
    assert whole.keys() == pieces.keys()
    assert all(torch.equal(tensor, pieces[name]) for name, tensor in whole.items())
    assert all(not torch.equal(tensor, whole[f"weights.{name}"]) for name, tensor in before.items())


def test_muon_takes_its_hidden_matrices_and_adamw_the_rest(config_of, images):
    config = config_of(network=NETWORK)
    network = model_of(config, images).network
    muon, adamw = Optimizers(network, config.training).members
    assert isinstance(muon, KernelMuon)
    assert [id(matrix) for matrix in muon.kernels] == [id(matrix) for matrix in network.hidden_matrices()]
    rest = [parameter for group in adamw.param_groups for parameter in group["params"]]
    assert len(rest) + len(muon.kernels) == len(list(network.parameters()))
    assert not {id(parameter) for parameter in rest} & {id(matrix) for matrix in muon.kernels}


def test_weights_of_another_shape_do_not_fit(config_of, images, model, tmp_path):
    model.save(tmp_path / "source.safetensors")
    assert initial(model, tmp_path / "source.safetensors").weights.keys() == model.network.state_dict().keys()
    for changed, said in (
        ({"patch": 2, "width": 128, "depth": 1}, "patch: 2, 4; width: 128, 64; depth: 1, 2$"),
        ({"network": "unet"}, "network: unet, transformer; .*patch: None, 4"),
    ):
        other = model_of(config_of(network=NETWORK | changed), images)
        with pytest.raises(UserError, match=said):
            initial(other, tmp_path / "source.safetensors")


def test_its_likelihood_is_told_both_ways_and_its_flow_goes_there_and_back(model, images):
    some = images.images[:2]
    flow, bound = flow_bits(model, some).bits, bound_bits(model, some, 8).bits
    assert flow.isfinite().all()
    assert bound.isfinite().all()
    back = decode(model, encode(model, some))
    assert float((back - (some.float() / 127.5 - 1)).abs().mean()) < 0.02


@pytest.mark.slow
def test_its_exported_denoiser_says_what_the_model_says(model, tmp_path):
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    from fromnoise.faces.onnx_file import save_onnx

    save_onnx(model, tmp_path / "model.onnx")
    x, logsnr, label = torch.randn(5, 1, 16, 16), torch.linspace(-6, 6, 5), torch.tensor([0, 1, 2, 3, 4])
    expected = model.denoiser()(x, logsnr.double(), label)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    found = session.run(["x0", "noise"], {"x": x.numpy(), "logsnr": logsnr.numpy(), "label": label.numpy()})
    for ours, theirs in zip(expected, found, strict=True):
        np.testing.assert_allclose(theirs, ours.numpy(), atol=2e-4)
