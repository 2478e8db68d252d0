import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.data import arrays, folder
from fromnoise.data.saving import captions, class_folders, places, save
from fromnoise.say import captured

NAMES = ("cat", "dog", "big owl", "ox")


@pytest.fixture
def named(blobs_of):
    return dataclasses.replace(blobs_of(8), class_names=NAMES)


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_an_array_keeps_the_names_of_classes_and_the_groups(named, tmp_path):
    save(tmp_path / "images.npz", dataclasses.replace(named, groups=torch.arange(8) // 2))
    back = arrays.load(tmp_path / "images.npz")
    assert back.class_names == NAMES
    assert back.groups.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert torch.equal(back.images, named.images)
    assert torch.equal(back.labels, named.labels)


def test_a_single_image_is_written_as_it_is(named, tmp_path):
    random = np.random.default_rng(0)
    clear = random.integers(0, 256, (1, 16, 24, 4), np.uint8)
    clear[..., 3] = 255 * random.integers(0, 2, (1, 16, 24))
    clear[clear[..., 3] == 0] = 0
    for one in (arrays.from_array("clear", clear), named.take(np.array([3]))):
        save(tmp_path / "one.png", one, per_class=1)
        assert np.array_equal(pixels(tmp_path / "one.png"), arrays.to_array(one.images)[0].squeeze())
    save(tmp_path / "one.png", arrays.from_array("stains", clear[..., :2]))
    assert pixels(tmp_path / "one.png").shape == (36, 52), "PNG files cannot hold two channels"


def test_a_folder_by_class_is_read_back_as_it_was(named, tmp_path):
    save(tmp_path / "images", named, first=3)
    back = folder.load(tmp_path / "images")
    assert back.class_names == ("big owl", "cat", "dog", "ox")
    for file, image, label in zip(back.files, back.images, back.labels, strict=True):
        k = int(file[-10:-4]) - 3
        assert torch.equal(image, named.images[k])
        assert back.class_names[label] == NAMES[named.labels[k]]


def test_images_of_one_class_or_of_classes_without_names_lie_side_by_side(named, tmp_path):
    save(tmp_path / "cats", dataclasses.replace(named, labels=torch.zeros(8, dtype=torch.int64)))
    save(tmp_path / "numbers", dataclasses.replace(named, class_names=()))
    save(tmp_path / "clusters", dataclasses.replace(named, clustered=True))
    for name in ("cats", "numbers", "clusters"):
        assert len(list((tmp_path / name).glob("*.png"))) == 8
    save(tmp_path / "by number", dataclasses.replace(named, class_names=()), per_class=2)
    assert sorted(path.name for path in (tmp_path / "by number").iterdir()) == ["0", "1", "2", "3"]


def test_the_images_of_a_grid_are_the_same_above_their_captions(named, tmp_path):
    save(tmp_path / "plain.png", dataclasses.replace(named, class_names=()))
    save(tmp_path / "named.png", named)
    plain, with_names = pixels(tmp_path / "plain.png"), pixels(tmp_path / "named.png")
    taller = (len(with_names) - len(plain)) // 3
    assert len(with_names) == len(plain) + 3 * taller
    for row in range(3):
        ours = with_names[row * (34 + taller) : row * (34 + taller) + 34]
        assert np.array_equal(ours, plain[row * 34 : row * 34 + 34])
    line = with_names[34 : 34 + taller - 2, 2:34]
    assert (line < 60).any(), "the name of the first class"
    assert captions(named)[:3] == ["cat", "dog", "big owl"]


def test_names_whose_letters_the_font_lacks_are_numbers_below_a_grid(named):
    with captured() as said:
        shown = captions(dataclasses.replace(named, class_names=("chien", "猫", "über ж", "🐂")))
    assert set(shown) == {"chien", "1", "über ж", "3"}
    assert said == ["the caption font cannot show these class names, so their numbers are used: 1 is 猫, 3 is 🐂"]


def test_a_grid_of_so_many_of_each_class_has_a_row_for_each(named, tmp_path):
    save(tmp_path / "rows.png", named, per_class=2)
    shown = pixels(tmp_path / "rows.png")
    height = (len(shown) - 2) // 4
    for label in range(4):
        both = named.images[named.labels == label][:, 0].numpy()
        for k in range(2):
            place = shown[2 + label * height : 34 + label * height, 2 + 34 * k : 34 + 34 * k]
            assert np.array_equal(place[::2, ::2], both[k])


@pytest.mark.parametrize("names", [
    ("../../etc", "/root", "a\0b"), ("", ".", ".."), ("Cat", "cat", "CAT"), ("a/b", "a:b", "a\\b"), ("x" * 300, "y"),
    ("🐱" * 300, "\ud83d"), ("con", "_con", "Aux.old"),
])  # fmt: skip
def test_any_names_give_different_folders_inside_the_one(names, tmp_path):
    found = class_folders(names)
    assert len({name.lower() for name in found}) == len(names)
    for name in found:
        (tmp_path / name).mkdir()
    assert len(list(tmp_path.iterdir())) == len(names)


def test_no_folder_is_called_like_one_of_windows_devices():
    assert class_folders(["con", "Aux.old", "lpt1", "content"]) == ["_con", "_Aux.old", "_lpt1", "content"]


def test_no_folder_is_called_like_the_report_beside_them():
    assert class_folders(["augment.json", "x"]) == ["_augment.json", "x"]
    assert class_folders(["Augment.JSON ", "x"]) == ["_Augment.JSON", "x"]


def test_plain_names_stay_as_they_are(named):
    plain = ["Größe 3", "T-shirt (red)", "猫", "🐶 Hund", "d'Artagnan & 2", "Ka\u0308tzchen", "हिन्दी"]
    assert class_folders(plain) == plain
    assert places(named)[:4] == list(NAMES)


@pytest.mark.parametrize("odd", [np.arange(4), np.array(["only", "two"]), np.array([["cat"] * 4])])
def test_names_that_do_not_fit_are_not_read(named, odd, tmp_path):
    np.savez(tmp_path / "odd.npz", arr_0=named.images.numpy()[:, 0], labels=named.labels.numpy(), class_names=odd)
    with captured() as said:
        back = arrays.load(tmp_path / "odd.npz")
    assert back.class_names == ()
    assert torch.equal(back.labels, named.labels)
    assert "arrays not read: class_names" in said[0]
