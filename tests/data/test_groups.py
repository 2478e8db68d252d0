import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from fromnoise.data import digits, sources
from fromnoise.data.groups import groups, nearly_in
from fromnoise.data.resize import resize
from fromnoise.data.settings import DataSettings

SKINS = ((255, 204, 34), (250, 220, 188), (224, 187, 149), (191, 143, 104), (155, 100, 61), (89, 69, 57))


def noise(shape):
    return np.random.default_rng(0).normal(0, 6, shape)


CHANGES = {
    "the same bytes": lambda images: images,
    "noise": lambda images: images + noise(images.shape),
    "darker": lambda images: images * 0.6,
    "brighter": lambda images: images + 40,
    "less contrast": lambda images: 127 + (images - 127) * 0.7,
    "a pixel to the right": lambda images: np.roll(images, 1, 3),
    "a pixel up and left": lambda images: np.roll(images, (-1, -1), (2, 3)),
    "all at once": lambda images: np.roll(images, 1, 2) * 0.8 + 10 + noise(images.shape),
}


def changed(images, change):
    return torch.from_numpy(CHANGES[change](images.numpy().astype(float)).round().clip(0, 255).astype(np.uint8))


def face(skin, left=50, top=20, mouth=20):
    """A person in a few flat colours, 32×32, drawn large and reduced."""
    image = Image.new("RGB", (256, 256))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((40, 190, 216, 300), 40, (60, 120, 220))
    draw.ellipse((left, top, 256 - left, 210), (70, 50, 40))
    draw.ellipse((left + 16, top + 30, 240 - left, 210), skin)
    for x in (98, 158):
        draw.ellipse((x - 9, 110, x + 9, 128), (40, 40, 40))
    draw.chord((98, 150 - mouth, 158, 150 + mouth), 0, 180, (120, 40, 40))
    return torch.from_numpy(np.array(image.resize((32, 32), Image.Resampling.BOX))).permute(2, 0, 1)


@pytest.mark.parametrize("change", CHANGES)
def test_what_a_person_would_not_count_as_a_difference_joins(change):
    images = digits.load("val").images[:200]
    found = groups(torch.cat([images, changed(images, change)])).numpy()
    assert (found[:200] == found[200:]).mean() >= 0.99
    assert nearly_in(changed(images, change), images).float().mean() >= 0.99


@pytest.mark.parametrize("change", ["a pixel to the right", "a pixel up and left", "all at once"])
def test_larger_images_are_found_though_moved_by_half_a_pixel_of_what_is_compared(change):
    images = resize(digits.load("val").images[:200], (64, 64))
    assert nearly_in(changed(images, change), images).float().mean() >= 0.98


def test_different_larger_digits_are_not_taken_for_one_though_they_are_moved():
    images = resize(digits.load("val").images[:200], (64, 64))
    assert not nearly_in(images[:100], images[100:]).any()


def test_different_digits_do_not_join():
    images = digits.load("val").images
    assert np.bincount(groups(images).numpy()).max() == 1
    assert not nearly_in(images[:500], images[500:]).any()


@pytest.mark.parametrize("fainter", [10, 30])
def test_faint_digits_do_not_join_but_with_copies_of_them(fainter):
    faint = torch.div(digits.load("val").images[:200], fainter, rounding_mode="floor")
    assert np.bincount(groups(faint).numpy()).max() == 1
    assert not nearly_in(faint[:100], faint[100:]).any()
    copies = 40 + faint.roll(1, 3)
    assert groups(torch.cat([faint, copies])).tolist() == [*range(200)] * 2
    assert nearly_in(copies, faint).all()


def test_one_person_in_several_skin_tones_is_one_group_and_another_is_none_of_it():
    skins = torch.stack([face(skin) for skin in SKINS])
    other = torch.stack([face(skin, left=70, top=40, mouth=40) for skin in (SKINS[0], SKINS[3])])
    assert groups(torch.cat([skins, other])).tolist() == [0] * 6 + [1] * 2


def test_groups_are_numbered_by_first_appearance():
    one, other = digits.load("val").images[:2]
    assert groups(torch.stack([other, one, other, one, one])).tolist() == [0, 1, 0, 1, 1]


def test_grey_saved_as_rgb_is_grey(make_images):
    grey = make_images(5, (1, 16, 16))
    assert nearly_in(grey.expand(-1, 3, -1, -1), grey).all()
    assert nearly_in(grey, grey.expand(-1, 3, -1, -1)).all()


def test_many_copies_of_few_images_are_few_groups():
    images = digits.load("val").images[:6]
    many = images.repeat(60, 1, 1, 1)
    noisy = (many.float() + torch.from_numpy(noise(many.shape))).round().clamp(0, 255).to(torch.uint8)
    assert groups(noisy).tolist() == list(range(6)) * 60


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 4, 4), (3, 8, 24), (3, 70, 40)])
def test_images_of_any_size_are_compared(make_images, shape):
    images = make_images(12, shape)
    assert groups(torch.cat([images, images])).tolist()[12:] == groups(images).tolist()
    if min(shape[1:]) > 4:
        assert len(set(groups(images).tolist())) == 12


def test_one_image_is_one_group(make_images):
    assert groups(make_images(1)).tolist() == [0]


def test_no_images_are_no_groups_and_have_no_near_duplicates(make_images):
    images = make_images(3)
    assert groups(images[:0]).tolist() == []
    assert nearly_in(images, images[:0]).tolist() == [False] * 3


def test_blank_images_are_one_group():
    assert groups(torch.arange(0, 8, dtype=torch.uint8).view(8, 1, 1, 1).expand(8, 1, 8, 8)).tolist() == [0] * 8


def clear(images, shape):
    """RGB images, each seen through a shape drawn by Pillow; premultiplied."""
    drawn = Image.new("L", (32, 32))
    getattr(ImageDraw.Draw(drawn), shape)((6, 6, 25, 25), fill=255)
    alpha = torch.from_numpy(np.array(drawn))
    seen = torch.where(alpha == 255, images, 0).to(torch.uint8)
    return torch.cat([seen, alpha.expand(len(images), 1, 32, 32)], dim=1)


def test_transparent_images_are_alike_by_what_is_seen_and_by_their_shape():
    plain = torch.full((1, 3, 32, 32), 128, dtype=torch.uint8)  # as the grey behind them
    skins = torch.stack([face(skin) for skin in SKINS[:5]])
    several = torch.cat([clear(plain, "ellipse"), clear(plain, "rectangle"), clear(skins, "ellipse")])
    assert groups(several).tolist() == [0, 1] + [2] * 5
    assert nearly_in(several[:1], several[1:2]).tolist() == [False]
    assert nearly_in(several[2:3], several[3:]).tolist() == [True]


@pytest.mark.parametrize("channels", [2, 5])
def test_channels_without_colours_are_compared_all(channels):
    images = digits.load("val").images[: 40 * channels].view(40, channels, 28, 28)
    assert len(groups(torch.cat([images, changed(images, "noise")])).unique()) == 40
    other = images.clone()
    other[:, -1] = images.roll(1, 0)[:, -1]
    assert not nearly_in(other, images).any()


def test_a_class_of_one_image_is_learnt(tmp_path, make_images):
    """Its place among ten was once a held-out one for some numbers of other images."""
    pixels = make_images(120).numpy()
    for rest in range(100, 111):
        labels = np.array([0] * rest + [1])
        np.savez(tmp_path / "some.npz", arr_0=pixels[: rest + 1], labels=labels)
        parts = sources.prepare(DataSettings(str(tmp_path / "some.npz"), size="16"), 0)
        assert parts.train.labels.unique().tolist() == [0, 1]
        assert len(parts.val) >= 9


@pytest.mark.parametrize("n", [200, 300])
def test_fifty_are_held_out_of_rare_classes_too(tmp_path, n):
    pixels = np.random.default_rng(0).integers(0, 256, (n, 16, 16), np.uint8)
    np.savez(tmp_path / "some.npz", arr_0=pixels, labels=np.arange(n) // 2)
    parts = sources.prepare(DataSettings(str(tmp_path / "some.npz"), size="16"), 0)
    assert len(parts.heldout) >= 50
    assert len(parts.train.labels.unique()) == n // 2
