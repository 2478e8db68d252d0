"""The experiment on features, on shapes in colour and in grey."""

import dataclasses
import json

import numpy as np
import pytest
import torch

from benchmarks import candidates, features
from benchmarks.features import Real, Settings, damages, fid, main, ruler
from benchmarks.shapes import shapes
from fromnoise.data.groups import nearly_in
from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError
from fromnoise.evaluation import two_sample
from fromnoise.evaluation.frechet import Moments, distance


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A file of 150 shapes, each there twice."""
    images, path = shapes(150, 5), tmp_path_factory.mktemp("shapes") / "shapes.npz"
    pixels = images.images.permute(0, 2, 3, 1).numpy()
    np.savez(path, images=np.concatenate([pixels, pixels]), labels=np.tile(images.labels.numpy(), 2))
    return path


@pytest.fixture(scope="module")
def real(data):
    return Real.of(str(data), 60)


def settings(data, folder, *names):
    return Settings((f"shapes={data}",), names, n=60, out=folder / "features.json", table=folder / "features.md")


def test_the_distance_of_many_features_is_the_same_by_way_of_their_products():
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 90, generator=random), 2 * torch.randn(50, 90, generator=random) + 1
    assert fid(x, y) == pytest.approx(distance(Moments.of(x), Moments.of(y)), rel=1e-6)
    assert fid(x[:, :9], y[:, :9]) == pytest.approx(distance(Moments.of(x[:, :9]), Moments.of(y[:, :9])))


def test_the_halves_have_no_picture_in_common(real):
    assert len(real.whole) == len(real.reference) == 60
    assert not nearly_in(real.whole.images, real.reference.images).any()


@pytest.mark.parametrize("name", candidates.CANDIDATES)
def test_undamaged_images_are_at_the_floor_and_grey_ones_are_not(real, name, monkeypatch):
    monkeypatch.setattr(candidates, "STEPS", 20)
    monkeypatch.setattr(candidates, "BATCH", 16)
    monkeypatch.setattr(candidates, "PATTERNS", 20)
    ratio = ruler(features.extractor(name, real.reference.images), real)
    assert ratio(real.whole.images) == pytest.approx(1)
    assert ratio(real.whole.images[:30]) == pytest.approx(1)
    grey = real.whole.images.float().mean(dim=1, keepdim=True).byte()
    assert ratio(grey) == pytest.approx(ratio(grey.expand(-1, 3, -1, -1)))
    assert ratio(grey) > 1.5


def test_every_damage_is_done_and_the_strongest_changes_most(real):
    whole = real.whole.images
    for name, (strengths, change) in damages(real.whole).items():
        mild, _, strong = (change(real.whole, strength) for strength in strengths)
        same = [sum((image == whole).flatten(1).all(1).any() for image in images) for images in (mild, strong)]
        assert strong.shape[1:] == whole.shape[1:], name
        assert same[0] >= same[1], name
        assert strong.shape != whole.shape or not torch.equal(strong, whole), name


def test_grey_images_lose_no_colour_and_classes_go_by_labels():
    grey = ImageSet("grey", shapes(60, 1).images[:, :1].contiguous(), torch.arange(60) % 6)
    found = damages(grey)
    assert not {"grey", "hue turned", "channels swapped"} & set(found)
    without = found["classes missing"][1](grey, 2)
    assert torch.equal(without, grey.images[grey.labels < 4])


def test_what_is_measured_is_kept_and_not_measured_again(data, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SINGLE", ("grey", "blur"))
    main(settings(data, tmp_path, "random convolutions"))
    kept = json.loads((tmp_path / "features.json").read_text())
    assert set(kept["shapes"]["ratios"]["grey"]) == {"random convolutions"}
    monkeypatch.setattr(features, "ruler", lambda extract, real: lambda images: {"pixels": 3.0}[extract.name])
    main(settings(data, tmp_path, "random convolutions", "pixels"))
    ratios = json.loads((tmp_path / "features.json").read_text())["shapes"]["ratios"]["grey"]
    assert ratios == kept["shapes"]["ratios"]["grey"] | {"pixels": [3.0] * 3}
    page = (tmp_path / "features.md").read_text()
    assert "| pixels | 5 of 5, 100% | 5 of 5, 100% | 0 of 5, 0% |" in page
    assert "| grey | 0.3, 0.6, 1 |" in page


def test_what_general_features_miss_is_looked_for_elsewhere(data, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SINGLE", ())
    monkeypatch.setattr(features, "ruler", lambda extract, real: lambda images: 1.5)
    monkeypatch.setattr(two_sample, "STEPS", 10)
    main(settings(data, tmp_path, "general"))
    found = json.loads((tmp_path / "features.json").read_text())["shapes"]["elsewhere"]["each repeated"]
    assert found["strength"] == 20
    assert found["repeats"]
    assert found["told"] is False  # three different images are too few for a network
    assert found["recall"][0] < found["recall"][1]
    assert "| shapes | each repeated, 20 | 1.5 |" in (tmp_path / "features.md").read_text()


def test_a_set_needs_a_name(tmp_path):
    with pytest.raises(UserError, match="write NAME=DATA"):
        main(Settings(("mnist:train",), out=tmp_path / "features.json"))


def test_images_of_models_have_a_row_of_their_own(data, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SINGLE", ())
    good, bad = tmp_path / "good.npy", tmp_path / "bad.npy"
    fresh = shapes(60, 6).images
    np.save(good, fresh.numpy())
    np.save(bad, (fresh // 2).numpy())
    chosen = settings(data, tmp_path, "random convolutions")
    main(dataclasses.replace(chosen, generated=(f"shapes=900:{good},90:{bad}",)))
    ratios = json.loads((tmp_path / "features.json").read_text())["shapes"]
    assert ratios["strengths"][features.MODELS] == [900, 90]
    ratios = ratios["ratios"][features.MODELS]["random convolutions"]
    assert ratios[0] < 2 < ratios[1]


def test_sets_may_have_other_channels(data, tmp_path, monkeypatch):
    monkeypatch.setattr(features, "SINGLE", ())
    grey = tmp_path / "grey.npy"
    np.save(grey, shapes(150, 7).images[:, :1].numpy())
    chosen = settings(data, tmp_path, "pixels")
    main(dataclasses.replace(chosen, data=(*chosen.data, f"grey={grey}")))
    kept = json.loads((tmp_path / "features.json").read_text())
    assert [of["shape"][0] for of in kept.values()] == [3, 1]
