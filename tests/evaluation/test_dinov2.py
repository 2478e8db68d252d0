"""DINOv2's features on a stand-in for its weights: random ones, in a file of the same form."""

import hashlib

import pytest
import torch
from safetensors.torch import save_file

from fromnoise.errors import UserError
from fromnoise.evaluation import dinov2
from fromnoise.evaluation.features import features


@pytest.fixture(scope="module")
def published():
    """The published network, with random weights."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = transformers.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14)
    return transformers.Dinov2Model(sizes).eval()


@pytest.fixture(scope="module")
def weights(published, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_file(published.state_dict(), path)
    return path


def pictures(n, channels=3, side=32):
    return torch.randint(
        0, 256, (n, channels, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )


@pytest.mark.slow
def test_features_are_the_networks_summary_of_the_image(published, weights):
    images = pictures(3)
    extract = features("dinov2", weights=weights)
    with torch.no_grad():
        theirs = published(dinov2.prepare(images)).last_hidden_state[:, 0]
    torch.testing.assert_close(extract(images), theirs, rtol=1e-4, atol=1e-4)
    assert (extract.dimension, extract.known) == (384, False)
    assert extract.sha256 == hashlib.sha256(weights.read_bytes()).hexdigest()


@pytest.mark.slow
def test_other_weights_are_refused_in_one_line(published, weights, tmp_path):
    (tmp_path / "text").write_text("no weights")
    save_file({"weight": torch.zeros(3)}, tmp_path / "other")
    for name in ("text", "other"):
        with pytest.raises(UserError, match=r"is not DINOv2's ViT-S/14") as refused:
            features("dinov2", weights=tmp_path / name)
        assert "\n" not in str(refused.value)


def test_images_are_prepared_as_imagenets(monkeypatch):
    grey = torch.full((1, 1, 20, 30), 255, dtype=torch.uint8)
    prepared = dinov2.prepare(grey)
    assert prepared.shape == (1, 3, 224, 224)
    white = [(1 - mean) / deviation for mean, deviation in zip(dinov2.MEAN, dinov2.DEVIATION, strict=True)]
    torch.testing.assert_close(prepared[0, :, 100, 100], torch.tensor(white))


def test_without_its_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "transformers", None)
    with pytest.raises(UserError, match=r'needs transformers: pip install "fromnoise\[dinov2\]"'):
        features("dinov2")
