"""Folders that Hugging Face's `datasets` saved."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.data import sources
from fromnoise.data.settings import DataSettings
from fromnoise.errors import UserError
from fromnoise.say import heard

datasets = pytest.importorskip("datasets")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # dill warns of what it hashes


def saved(n, seed=0, classes=("dog", "cat")):
    """A data set of so many grey images, with classes, and the pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 8, 8), np.uint8)
    encoded = []
    for image in pixels:
        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG")
        encoded.append({"bytes": out.getvalue(), "path": None})
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(classes))})
    rows = {"image": encoded, "label": [k % len(classes) for k in range(n)]}
    return datasets.Dataset.from_dict(rows, features=features), torch.from_numpy(pixels)


def test_one_data_set_is_read_in_order_with_its_classes(tmp_path):
    data, pixels = saved(12)
    data.save_to_disk(tmp_path / "saved")
    with heard() as said:
        images = sources.load(str(tmp_path / "saved"))
    assert torch.equal(images.images[:, 0], pixels)
    assert [images.class_names[k] for k in images.labels.tolist()] == ["dog", "cat"] * 6
    assert said == [f"{tmp_path / 'saved'}: 12 images, 2 classes, grey, 8×8; classes from its labels"]


def test_splits_are_parts(tmp_path):
    splits = {name: saved(n, seed=n) for name, n in (("train", 20), ("validation", 4), ("test", 6))}
    datasets.DatasetDict({name: data for name, (data, _) in splits.items()}).save_to_disk(tmp_path / "saved")
    parts = sources.prepare(DataSettings(str(tmp_path / "saved"), size="8"), seed=0)
    for part, name in (("train", "train"), ("val", "validation"), ("heldout", "test")):
        assert torch.equal(getattr(parts, part).images[:, 0], splits[name][1])


def test_splits_of_other_names_are_no_classes(tmp_path):
    splits = {name: saved(6, seed=k)[0].remove_columns("label") for k, name in enumerate(("one", "two"))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    images = sources.load(str(tmp_path / "saved"))
    assert (len(images), images.labels, images.parts) == (12, None, ())


def test_a_data_set_without_images_is_refused(tmp_path):
    datasets.Dataset.from_dict({"x": [1, 2]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match="must have one column of images, not 0"):
        sources.load(str(tmp_path / "saved"))


def test_a_damaged_folder_is_refused(tmp_path):
    data, _ = saved(12)
    data.save_to_disk(tmp_path / "saved")
    (arrow,) = (tmp_path / "saved").glob("*.arrow")
    arrow.write_bytes(arrow.read_bytes()[:100])
    with pytest.raises(UserError, match="is not a readable data set of Hugging Face's `datasets`"):
        sources.load(str(tmp_path / "saved"))


def test_a_name_on_the_hub_is_loaded_by_the_library(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data, pixels = saved(12)
    (tmp_path / "there" / "data").mkdir(parents=True)
    data.to_parquet(tmp_path / "there" / "data" / "train-00000-of-00001.parquet")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    images = sources.load(f"hf:{tmp_path / 'there'}")
    assert torch.equal(images.images[:, 0], pixels)
    assert images.class_names == ("cat", "dog")
