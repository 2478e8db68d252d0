"""What `fromnoise data inspect` finds."""

import dataclasses
import os

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.data import arrays, folder
from fromnoise.data.image_set import ImageSet
from fromnoise.data.inspection import inspected
from fromnoise.data.inventory import duplicates
from fromnoise.data.settings import DataSettings
from fromnoise.data.sources import prepare
from fromnoise.errors import UserError
from fromnoise.faces import cli


def test_every_part_is_shown(tmp_path, make_images, write_idx_set, monkeypatch):
    write_idx_set(tmp_path / "mnist")
    monkeypatch.setenv("FROMNOISE_DATA", str(tmp_path))
    assert [each.name for each in inspected(DataSettings("mnist")).duplicates] == ["mnist:train", "mnist:test"]
    assert [part.shape for part in inspected(DataSettings("mnist", size="8")).parts] == 2 * [(1, 8, 8)]
    npz = tmp_path / "images.npz"
    arrays.save(npz, make_images(40))
    found = inspected(DataSettings(str(npz), size="8")).duplicates
    assert found == [(f"{npz}:{part}", n, 0, 0, 0, 0) for part, n in (("train", 32), ("val", 4), ("heldout", 4))]
    assert inspected(DataSettings(f"{npz}:val", size="8")).duplicates == [(f"{npz}:val", 4, 0, 0, 0, 0)]


def test_what_is_not_held_out_or_held_out_in_vain_is_noted(tmp_path, make_images):
    images = make_images(40)
    arrays.save(tmp_path / "few.npz", images[:5])
    assert inspected(DataSettings(str(tmp_path / "few.npz"), size="8")).notes() == [
        "too few groups of images to hold some out: there is nothing to validate or score with"
    ]
    folder.save(tmp_path / "photos" / "train", images)
    folder.save(tmp_path / "photos" / "test", images[30:])
    (note,) = inspected(DataSettings(str(tmp_path / "photos"), size="8")).notes()
    assert "10 of 10 images in" in note
    assert note.endswith("photos:heldout are in other parts too: a score will be too good")
    arrays.save(tmp_path / "images.npz", images)
    assert not inspected(DataSettings(str(tmp_path / "images.npz"), size="8")).notes()
    assert not inspected(DataSettings(f"{tmp_path / 'images.npz'}:val", size="8")).notes()


def test_classes_are_counted_by_name_in_each_part(tmp_path, make_images):
    for k, image in enumerate(make_images(60).numpy()):
        place = tmp_path / "photos" / ("cat" if k % 3 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(place / f"{k}.png")
    found = inspected(DataSettings(str(tmp_path / "photos"), size="8"))
    assert [found.classes(part) for part in found.parts] == [
        {"cat": 32, "dog": 16}, {"cat": 4, "dog": 2}, {"cat": 4, "dog": 2}
    ]  # fmt: skip
    plain = found.plain()
    assert plain["reading"] == [f"{tmp_path / 'photos'}: 60 images, 2 classes, grey, 8×8"]
    files = [file for part in plain["parts"] for file in part["files"]]
    assert len(files) == len(set(files)) == 60


def test_moments_are_those_of_all_values(tmp_path, make_images):
    images = make_images(30, (3, 8, 8))
    folder.save(tmp_path / "photos", images)
    mean, deviation = inspected(DataSettings(str(tmp_path / "photos"), size="8")).moments()
    values = images.numpy() / 255
    np.testing.assert_allclose(mean, values.mean(axis=(0, 2, 3)), rtol=1e-9)
    np.testing.assert_allclose(deviation, values.std(axis=(0, 2, 3)), rtol=1e-9)


def test_a_sheet_shows_a_hundred_images_by_class(tmp_path, make_images):
    folder.save(tmp_path / "photos", make_images(300), [k % 3 for k in range(300)])
    sheet = inspected(DataSettings(str(tmp_path / "photos"), size="8")).sheet()
    assert torch.bincount(sheet.labels).tolist() == [34, 33, 33]
    assert sheet.labels.tolist() == sorted(sheet.labels.tolist())


def test_files_are_counted_by_size_and_unreadable_ones_named(tmp_path, make_images):
    folder.save(tmp_path / "photos", make_images(12))
    folder.save(tmp_path / "photos" / "more", make_images(3, (3, 8, 12)))
    (tmp_path / "photos" / "bad.png").write_bytes(b"no image")
    found = inspected(DataSettings(str(tmp_path / "photos"), size="8")).plain()["files"]
    assert found["sizes"] == {"8×8": 12, "8×12": 3}
    assert found["channels"] == {"1": 12, "3": 3}
    assert found["unreadable"] == {"bad.png": "not an image in a supported format"}


def test_a_sheet_and_the_json_are_two_files(tmp_path, make_images, capsys):
    arrays.save(tmp_path / "images.npz", make_images(20))
    same = str(tmp_path / "same.png")
    assert cli.main(["data", "inspect", str(tmp_path / "images.npz"), "--sheet", same, "--json", same]) == 2
    assert "--sheet and --json name the same file" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="Windows refuses such names")
def test_names_cannot_command_the_terminal(tmp_path, make_images, capsys):
    for name in ("cat\x1b[2J", "dog"):
        folder.save(tmp_path / name, make_images(20))
    (tmp_path / "dog" / "bad\nline.png").write_bytes(b"")
    cli.main(["data", "inspect", str(tmp_path), "--size", "8"])
    said = "".join(capsys.readouterr())
    assert "\x1b" not in said
    assert r"cat\x1b[2J" in said
    assert r"unreadable: dog/bad\nline.png" in said


def test_files_are_counted_by_the_form_that_they_are_saved_in(tmp_path, make_images):
    grey, colour = make_images(1, (1, 8, 8))[0, 0].numpy(), make_images(1, (3, 8, 8))[0].permute(1, 2, 0).numpy()
    forms = {
        "8-bit RGB": Image.fromarray(colour),
        "8-bit grey": Image.fromarray(grey),
        "1-bit grey": Image.fromarray(grey > 99),
        "palette": Image.fromarray(colour).quantize(16),
        "8-bit RGBA": Image.fromarray(colour).convert("RGBA"),
        "8-bit CMYK": Image.fromarray(colour).convert("CMYK"),
    }
    for form, image in forms.items():
        image.save(tmp_path / f"{form}.{'tif' if 'CMYK' in form else 'png'}")
    assert inspected(DataSettings(str(tmp_path), size="8")).files.forms == dict.fromkeys(forms, 1)
    (tmp_path / "deep").mkdir()
    Image.fromarray(grey.astype(np.uint16) * 9).save(tmp_path / "deep" / "a.png")
    Image.fromarray(grey.astype(np.float32)).save(tmp_path / "deep" / "b.tif")
    found = inspected(DataSettings(str(tmp_path / "deep"), size="8"))
    assert found.files.forms == {"16-bit grey": 1, "float grey": 1}
    with pytest.raises(UserError, match=r"8-bit RGB \(1 file, such as 8-bit RGB.png\).*16-bit grey \(1 file, such as"):
        inspected(DataSettings(str(tmp_path), size="8"))


def test_it_is_looked_at_as_training_would_take_it(tmp_path):
    (tmp_path / "icons").mkdir()
    for k in range(40):
        pixels = np.random.default_rng(k).integers(0, 256, (8, 12, 4), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "icons" / f"{k}.png")
    settings = DataSettings(str(tmp_path / "icons"), size="8", fit="crop", alpha="black", group_by=r"^(\d)")
    parts, trained = inspected(settings).parts, prepare(settings, 0)
    assert [part.fingerprint for part in parts] == [
        part.fingerprint for part in (trained.train, trained.val, trained.heldout) if part is not None
    ]
    (held,) = inspected(dataclasses.replace(settings, data=f"{tmp_path / 'icons'}:train")).parts
    assert held.fingerprint == parts[0].fingerprint
    assert held.shape == (3, 8, 8)


def test_rules_for_images_of_ones_own_are_refused_for_named_data():
    with pytest.raises(UserError, match="--group-by is for images of your own: digits has parts already"):
        inspected(DataSettings("digits", group_by="folder"))


def test_repeated_images_are_counted_within_and_across_parts(make_images):
    train, val = ImageSet("a", make_images(6, (1, 16, 16))), make_images(4, (1, 16, 16), seed=1)
    brighter = (train.images[:2].float() * 0.8 + 20).round().to(torch.uint8)
    val = ImageSet("b", torch.cat([val, val[:1], train.images[3:4], brighter]))
    assert duplicates([train, val]) == [("a", 6, 0, 0, 1, 3), ("b", 8, 2, 2, 1, 3)]
