"""Folders that Hugging Face's `datasets` saved."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.data import sources
from fromnoise.data.settings import DataSettings
from fromnoise.errors import UserError
from fromnoise.say import captured

datasets = pytest.importorskip("datasets")
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # dill warns of what it hashes


def saved(n, seed=0, classes=("dog", "cat"), label=None):
    """A data set of so many grey images, with classes in turn or the one `label`, and the pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 8, 8), np.uint8)
    encoded = []
    for image in pixels:
        out = io.BytesIO()
        Image.fromarray(image).save(out, "PNG")
        encoded.append({"bytes": out.getvalue(), "path": None})
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=list(classes))})
    rows = {"image": encoded, "label": [k % len(classes) if label is None else label for k in range(n)]}
    return datasets.Dataset.from_dict(rows, features=features), torch.from_numpy(pixels)


def read(place, **how):
    with captured() as said:
        images = sources.load(str(place), **how)
    return images, said[0].removeprefix(f"{place}: ")


def test_one_data_set_is_read_in_order_with_its_classes(tmp_path):
    data, pixels = saved(12)
    data.save_to_disk(tmp_path / "saved")
    images, said = read(tmp_path / "saved")
    assert torch.equal(images.images[:, 0], pixels)
    assert [images.class_names[k] for k in images.labels.tolist()] == ["dog", "cat"] * 6
    assert said == "12 images, 2 classes, grey, 8×8; classes from its labels"


def test_splits_are_parts(tmp_path):
    splits = {name: saved(n, seed=n) for name, n in (("train", 20), ("validation", 4), ("test", 6))}
    datasets.DatasetDict({name: data for name, (data, _) in splits.items()}).save_to_disk(tmp_path / "saved")
    parts = sources.prepare(DataSettings(str(tmp_path / "saved"), size="8"), seed=0)
    for part, name in (("train", "train"), ("val", "validation"), ("heldout", "test")):
        assert torch.equal(getattr(parts, part).images[:, 0], splits[name][1])


def test_splits_of_other_names_are_no_classes(tmp_path):
    splits = {name: saved(6, seed=k)[0].remove_columns("label") for k, name in enumerate(("one", "two"))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    images, said = read(tmp_path / "saved")
    assert (len(images), images.labels, images.parts) == (12, None, ())
    assert said == "12 images, no classes, grey, 8×8; splits merged: one, two"


def test_splits_beside_parts_are_left_out(tmp_path):
    splits = {name: saved(n, seed=n)[0] for name, n in (("train", 20), ("test", 6), ("extra", 5))}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    assert read(tmp_path / "saved")[1] == (
        "26 images, 2 classes, grey, 8×8; in parts of its own: 20 train, 6 heldout; "
        "left out: extra/ (5 images); classes from its labels"
    )


def test_a_split_without_labels_is_left_out_unless_it_is_train(tmp_path):
    splits = {"test": saved(6, seed=1, label=-1)[0], "train": saved(20)[0], "validation": saved(4, seed=2)[0]}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    images, said = read(tmp_path / "saved")
    assert (images.class_names, len(images)) == (("cat", "dog"), 24)
    assert said == (
        "24 images, 2 classes, grey, 8×8; in parts of its own: 20 train, 4 val; "
        "left out: test/ (6 images without labels); classes from its labels"
    )
    images, said = read(tmp_path / "saved", label_by="folder")
    assert said == "30 images, no classes, grey, 8×8; in parts of its own: 20 train, 4 val, 6 heldout"
    datasets.DatasetDict(train=splits["test"], test=splits["train"]).save_to_disk(tmp_path / "turned")
    with pytest.raises(UserError, match="no class in its labels for 6 images, such as train/0"):
        sources.load(str(tmp_path / "turned"))


def test_where_no_image_has_a_label_there_are_no_classes(tmp_path):
    splits = {"train": saved(20, label=-1)[0], "test": saved(6, seed=1, label=-1)[0]}
    datasets.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    told = "26 images, no classes, grey, 8×8; in parts of its own: 20 train, 6 heldout; its labels are empty"
    assert read(tmp_path / "saved")[1] == told
    splits["test"].save_to_disk(tmp_path / "test")
    assert read(tmp_path / "test")[1] == "6 images, no classes, grey, 8×8; its labels are empty"


def test_of_several_columns_of_images_the_one_called_image_is_read(tmp_path):
    data, pixels = saved(12)
    both = data.cast_column("image", datasets.Image(decode=False))
    both = both.add_column("mask", both["image"][::-1]).cast_column("mask", datasets.Image())
    both = both.cast_column("image", datasets.Image()).select_columns(["mask", "image"])
    datasets.DatasetDict(train=both, test=both).save_to_disk(tmp_path / "saved")
    images, said = read(tmp_path / "saved")
    assert torch.equal(images.images[:12, 0], pixels)
    assert said.endswith("12 train, 12 heldout; images from its column image, not mask")
    both.rename_column("image", "photo").save_to_disk(tmp_path / "named")
    with pytest.raises(UserError, match="must have one column of images, or one called 'image'; it has mask, photo"):
        sources.load(str(tmp_path / "named"))


def test_a_data_set_without_images_is_refused(tmp_path):
    datasets.Dataset.from_dict({"x": [1, 2]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(UserError, match="must have one column of images, or one called 'image'; it has none"):
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


def test_a_configuration_of_several_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    lines = ["---", "configs:"]
    for name, n in (("small", 12), ("large", 15)):
        lines += [f"- config_name: {name}", f"  data_files: {name}.parquet"]
        saved(n)[0].to_parquet(tmp_path / f"{name}.parquet")
    (tmp_path / "README.md").write_text("\n".join([*lines, "---", ""]))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    assert len(sources.load(f"hf:{tmp_path}#large")) == 15
    with pytest.raises(UserError, match="small"):
        sources.load(f"hf:{tmp_path}")


def test_several_labels_for_an_image_are_no_classes(tmp_path):
    data = saved(6)[0].remove_columns("label").add_column("label", [[0, k] for k in range(6)])
    data.save_to_disk(tmp_path / "saved")
    images, said = read(tmp_path / "saved")
    assert images.labels is None
    assert said == "6 images, no classes, grey, 8×8; no classes: 'label' has several values for an image"


def test_a_picture_beside_the_rows_is_read_from_within_the_folder_alone(tmp_path):
    data, pixels = saved(2)
    data.save_to_disk(tmp_path / "saved")
    (arrow,) = (tmp_path / "saved").glob("*.arrow")
    inside, outside = tmp_path / "saved" / "a.png", tmp_path / "b.png"
    for path in inside, outside:
        Image.fromarray(pixels[0].numpy()).save(path)

    def write(*paths):
        with datasets.arrow_writer.ArrowWriter(path=str(arrow), features=data.features) as writer:
            for path in paths:
                writer.write({"image": {"bytes": None, "path": str(path)}, "label": 0})
            writer.finalize()

    write(inside)
    assert torch.equal(read(tmp_path / "saved")[0].images[:, 0], pixels[:1])
    for path in outside, tmp_path / "saved" / ".." / "b.png", "a\0.png":
        write(inside, path)
        with pytest.raises(UserError, match=r"1 cannot be read .*its picture lies outside the data set"):
            sources.load(str(tmp_path / "saved"))
