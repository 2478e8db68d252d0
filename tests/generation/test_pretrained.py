import subprocess
import sys

import pytest
import torch

from fromnoise.config import PRESETS
from fromnoise.generation.model import Model
from fromnoise.generation.pretrained import packaged
from fromnoise.generation.sampling import SampleRequest, sample
from fromnoise.training.settings import CLIPARTS


@pytest.mark.parametrize(
    ("name", "image", "condition"),
    [
        ("digits", (1, 32, 32), "10 classes"),
        ("clipart", (4, 32, 32), "40 clusters"),
        ("clipart64", (4, 64, 64), "40 clusters"),
    ],
)
def test_packaged_models_are_small_and_of_the_default_network(name, image, condition):
    file = packaged(name)
    assert file.stat().st_size <= 8_000_000
    model = Model.load(file)
    assert model.info.image == image
    assert model.info.conditioned_on == condition
    assert model.config.network == PRESETS["fast"].network
    assert model.config.data.data == name.removesuffix("64")
    assert all(value.dtype == torch.float32 for value in model.network.state_dict().values())


@pytest.mark.skipif(torch.__version__ < "2.13", reason="older versions of PyTorch import it by themselves")
def test_loading_a_model_imports_no_sympy():
    imports = "import sys; from fromnoise.generation import model, pretrained"
    code = f"{imports}; model.Model.load(pretrained.packaged('digits')); print('sympy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"  # importing it takes 0.8 s


def test_another_name_is_no_packaged_model():
    assert packaged("cats") is None


@pytest.mark.parametrize("name", CLIPARTS)
def test_clip_art_is_in_colour_on_nothing(name):
    drawn = sample(Model.load(packaged(name)), SampleRequest(16, seed=1)).float() / 255
    colours, alpha = drawn[:, :3], drawn[:, 3]
    middle = slice(3 * CLIPARTS[name] // 8, 5 * CLIPARTS[name] // 8)
    assert 0.2 < (alpha > 0.5).float().mean() < 0.8
    assert alpha[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean() < alpha[:, middle, middle].mean() - 0.2  # corners, middle
    assert (colours.amax(dim=1) - colours.amin(dim=1)).mean() > 0.05
