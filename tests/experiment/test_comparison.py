import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import fromnoise
from fromnoise.data import arrays, digits, folder
from fromnoise.data.colour import with_channels
from fromnoise.data.image_set import ImageSet
from fromnoise.data.settings import DataSettings
from fromnoise.data.sources import prepare
from fromnoise.errors import UserError
from fromnoise.evaluation.score import Comparison
from fromnoise.evaluation.verdicts import verdicts
from fromnoise.experiment.comparison import ScoreRequest, comparison, in_one_colour
from fromnoise.experiment.score import sets_of
from fromnoise.training.run_folder import RunFolder


def some(part, n):
    return digits.load(part).subset(n, 0)


def tinted(images):
    """The same in colour: blue is half as bright."""
    coloured = with_channels(images, 3)
    pixels = coloured.images.clone()
    pixels[:, 2] //= 2
    return replace(coloured, images=pixels)


@pytest.mark.parametrize("how", ["array", "png", "jpeg"])
def test_byte_copies_saved_as_colour_are_copies(tmp_path, how):
    """The copy test was skipped where generated images have three channels and the training images one."""
    train, copies = some("train", 200), with_channels(some("train", 60), 3)
    path = tmp_path / "copies"
    if how == "array":
        path = tmp_path / "copies.npz"
        arrays.save(path, copies.images)
    elif how == "png":
        folder.save(path, copies.images)
    else:
        path.mkdir()
        for k, image in enumerate(copies.images.permute(0, 2, 3, 1).numpy()):
            Image.fromarray(image).save(path / f"{k}.jpg", quality=100, subsampling=0)
    report = fromnoise.evaluate(path, some("heldout", 200), train=train, features="digits", quiet=True)
    assert report.copies.verdict.startswith("copying: ")


def test_colour_is_laid_aside_with_a_word_where_the_reference_is_grey():
    copies, train = tinted(some("train", 60)), some("train", 200)
    report = fromnoise.evaluate(copies, some("heldout", 200), train=train, features="digits", quiet=True)
    assert report.copies.verdict.startswith("copying: ")
    told = "the generated images are coloured and the reference is grey: compared by luminance"
    assert report.hidden == (told,)
    [close] = [verdict for verdict in verdicts(report) if verdict.question == "close to real images"]
    assert close.mark == "!"
    assert close.words.startswith(told)


def test_colour_that_nobody_sees_is_a_note_alone():
    faint = with_channels(some("val", 60), 3).images.clone()
    faint[:, 0] = (faint[:, 0].int() + 12).clamp_max(255).to(torch.uint8)
    sets = in_one_colour(Comparison(ImageSet("faint", faint), some("heldout", 60)))
    assert sets.hidden == []
    assert sets.notes == ["the generated images are coloured and the reference is grey: compared by luminance"]
    faint[7, 0, 3:6, 3:6] = 90
    [hidden] = in_one_colour(Comparison(ImageSet("one red spot", faint), some("heldout", 60))).hidden
    assert hidden.startswith("1 of the 60 generated images is coloured and the reference is grey")


def test_colour_that_real_images_have_too_accuses_nobody():
    sets = in_one_colour(Comparison(tinted(some("val", 60)), some("heldout", 60), tinted(some("train", 60))))
    assert sets.hidden == []
    assert len(sets.notes) == 2


def test_grey_images_are_not_coloured_ones():
    reference = tinted(some("heldout", 200))
    sets = comparison(ScoreRequest(some("val", 60), reference, some("train", 60), some("val", 100)))
    assert {images.shape for images in (sets.generated, sets.reference, sets.train, sets.floor)} == {(3, 28, 28)}
    assert "the generated images are grey and the reference is coloured" in sets.notes
    assert torch.equal(sets.reference.images, reference.images)


def test_the_file_format_of_grey_images_changes_nothing():
    sets = [some(part, 60) for part in ("val", "heldout", "val", "train")]
    bare = in_one_colour(Comparison(*sets))
    saved = in_one_colour(Comparison(*(with_channels(each, 3) for each in sets)))
    for one, other in zip(
        (bare.generated, bare.reference, bare.floor, bare.train),
        (saved.generated, saved.reference, saved.floor, saved.train),
        strict=True,
    ):
        assert one.fingerprint == other.fingerprint
    assert saved.notes == []


def test_images_of_the_reference_are_no_floor_in_any_colour():
    heldout = some("heldout", 100)
    sets = comparison(ScoreRequest(some("val", 60), with_channels(heldout, 3), floor=heldout))
    assert sets.floor is None


def test_what_was_resized_is_said(tmp_path):
    for k in range(60):
        place = tmp_path / "mixed" / f"{k}.png"
        place.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (20 + k % 2, 24), np.uint8)).save(place)
    generated = ImageSet("mine", torch.randint(0, 256, (60, 1, 16, 16), dtype=torch.uint8))
    sets = comparison(ScoreRequest(generated, "digits:heldout", str(tmp_path / "mixed")))
    said = "reference (from 28×28), floor (from 28×28), training images (from 2 sizes from 20×24 to 21×24)"
    assert sets.notes == [f"resized to the generated images' 16×16: {said}"]
    assert comparison(ScoreRequest(some("val", 60), "digits:heldout")).notes == []


@pytest.fixture
def icons(tmp_path):
    """120 transparent pictures of 16×24 in the folder `icons`, three of each patient, of two kinds."""
    (tmp_path / "icons").mkdir()
    for k in range(120):
        pixels = np.random.default_rng(k).integers(0, 256, (16, 24, 4), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "icons" / f"{'cat' if k < 60 else 'dog'}-{k // 3}-{k}.png")
    return str(tmp_path / "icons")


def test_sets_are_read_as_a_training_would_where_flags_say_so(icons):
    """Without a run: split, classes, proportions and transparency."""
    generated = with_channels(some("val", 60), 3)
    generated = replace(generated, images=generated.images[:, :, 6:22, 6:22].contiguous(), labels=None)
    reading = {"fit": "crop", "alpha": "black", "group_by": r"-(\d+)-", "label_by": "^([a-z]+)"}
    sets = comparison(ScoreRequest(generated, f"{icons}:heldout", f"{icons}:train", **reading))
    parts = prepare(DataSettings(icons, size="16", **reading), 0)
    found = (sets.train, sets.reference)
    assert [one.fingerprint for one in found] == [part.fingerprint for part in (parts.train, parts.heldout)]
    assert len(sets.floor) + len(sets.reference) == 120
    assert sets.reference.class_names == ("cat", "dog")
    plain = comparison(ScoreRequest(generated, f"{icons}:heldout")).reference
    assert (plain.shape, plain.labels) == ((4, 16, 16), None)


def test_rules_are_for_the_references_data_alone(icons, tmp_path):
    folder.save(tmp_path / "mine", torch.zeros(60, 4, 16, 24, dtype=torch.uint8))
    sets = comparison(ScoreRequest(str(tmp_path / "mine"), icons, label_by="^([a-z]+)"))
    assert (sets.generated.labels, sets.reference.classes) == (None, 2)
    with pytest.raises(UserError, match="--label-by is for images of your own: digits has classes already"):
        comparison(ScoreRequest(str(tmp_path / "mine"), "digits:heldout", label_by="(.)"))
    with pytest.raises(UserError, match=r"leave out --label-by and --group-by: .* only to a reference given by name"):
        comparison(ScoreRequest(str(tmp_path / "mine"), some("val", 60), label_by="(.)", group_by="(.)"))


def test_what_flags_say_goes_before_a_runs_own_way(icons, tmp_path, config_of):
    config = config_of(data={"data": icons, "m": None, "alpha": "white", "fit": "crop"})
    run = RunFolder(tmp_path / "run")
    parts = prepare(config.data, 0)
    with run.open(config, parts.train):
        arrays.save(run.samples / "images.npz", parts.train.images[:60])
    own = comparison(ScoreRequest(str(run.path), f"{icons}:heldout")).reference
    assert own.fingerprint == parts.heldout.fingerprint
    with pytest.raises(UserError, match=r"leave out --label-by: .* only to \S*icons, which the run was trained on"):
        comparison(ScoreRequest(str(run.path), "digits:heldout", label_by="(.)"))
    other = comparison(ScoreRequest(str(run.path), f"{icons}:heldout", fit="stretch")).reference
    assert other.fingerprint == prepare(replace(config.data, fit="stretch"), 0).heldout.fingerprint != own.fingerprint


def clear(images, level=255):
    """The same in RGBA, transparent where it is dark."""
    shown = with_channels(images, 4)
    alpha = (images.images > 64).to(torch.uint8) * level
    return replace(shown, images=torch.cat([torch.minimum(shown.images[:, :3], alpha), alpha], dim=1))


def test_transparency_on_one_side_alone_is_said():
    opaque, transparent = some("heldout", 60), clear(some("val", 60))
    sets = in_one_colour(Comparison(transparent, opaque))
    assert sets.generated.shape == sets.reference.shape == (1, 28, 28)
    assert sets.hidden == ["the generated images are transparent and the reference is not: compared on mid-grey"]
    assert sets.notes == []
    assert sets.generated.images[0, 0, 0, 0] == 128
    sets = in_one_colour(Comparison(opaque, transparent, train=transparent))
    assert sets.generated.shape == sets.train.shape == sets.reference.shape == (4, 28, 28)
    assert sets.notes == ["the generated images are opaque and the reference is transparent"]
    assert in_one_colour(Comparison(transparent, transparent)).notes == []
    assert in_one_colour(Comparison(with_channels(opaque, 4), opaque)).notes == []


def test_transparent_copies_are_copies():
    train, reference = clear(some("train", 120)), clear(some("heldout", 100))
    report = fromnoise.evaluate(clear(some("train", 60)), reference, train=train, quiet=True)
    assert report.copies.verdict.startswith("copying: ")
    assert report.copies.identical == 60
    assert "RGBA on mid-grey" in report.protocol.features.colour
    fresh = fromnoise.evaluate(clear(some("val", 100)), reference, train=train, quiet=True)
    assert not fresh.copies.verdict.startswith("copying: ")


def test_values_of_another_range_are_said():
    generated, reference = (replace(some(part, 60), range=(0.0, 4.0)) for part in ("val", "heldout"))
    sets = in_one_colour(Comparison(generated, reference, train=replace(some("train", 60), range=(0.0, 3.0))))
    told = "the training images' values were mapped to 8 bits by a different range from the reference's"
    assert sets.notes == [told]


@pytest.mark.parametrize(("low", "high", "formula"), [
    (-1.0, 1.1, "((images + 1) * 127.5)"),
    (0.0, 1.0, "(255 * images)"),
    (-0.02, 1.03, "(255 * images)"),
    (0.3, 254.8, "images"),
    (-3.0, 2.0, "(255 * (images + 3) / 5)"),
    (0.0, 65535.0, "(255 * (images - 0) / 65535)"),
])  # fmt: skip
def test_another_range_is_refused_with_the_formula_for_it(low, high, formula):
    told = f"has values from {low:g} to {high:g} and 60 of digits:heldout, seed 0 has bytes: first convert the values "
    told += f"to bytes with {formula}.round().clip(0, 255).astype('uint8')"
    with pytest.raises(UserError, match=re.escape(told)):
        in_one_colour(Comparison(replace(some("val", 60), range=(low, high)), some("heldout", 60)))
    levels = np.linspace(low, high, 7)
    found = eval(formula, {"images": levels}).round().clip(0, 255)
    assert (found[0], found[-1]) == (pytest.approx(0, abs=5), pytest.approx(255, abs=13))


def test_sets_of_two_ranges_are_each_brought_to_bytes_by_their_own_formula():
    sets = [replace(some(part, 60), range=(-1.0, 1.0), name=part) for part in ("val", "heldout")]
    told = r"convert both to bytes, val with \(255 \* images\).* and heldout with \(\(images"
    with pytest.raises(UserError, match=told):
        in_one_colour(Comparison(replace(sets[0], range=(0.0, 0.9)), sets[1]))
    with pytest.raises(UserError, match=r"first convert both to bytes with \(\(images \+ 1\) \* 127\.5\)"):
        in_one_colour(Comparison(replace(sets[0], range=(-1.0, 1.1)), sets[1]))


def test_bytes_beside_a_reference_of_another_range_are_said():
    reference = replace(some("heldout", 60), range=(0.0, 0.5))
    told = "the reference's values from 0 to 0.5 were mapped to 8 bits; the generated images are bytes"
    assert in_one_colour(Comparison(some("val", 60), reference)).notes == [told]


@pytest.mark.parametrize("channels", [1, 4])
def test_a_reference_in_which_nothing_shows_is_refused(channels):
    """Masks of 0 and 1, and icons of the grey on which transparent images are compared."""
    digit = some("heldout", 60)
    mask = (digit.images > 127).to(torch.uint8)
    if channels == 4:
        mask = torch.cat([(mask * 127).expand(-1, 3, -1, -1), mask * 255], dim=1)
    faint = replace(digit, images=mask)
    with pytest.raises(UserError, match=r"has no contrast: its values go from .* to \d+ of 255; scale them"):
        comparison(ScoreRequest(some("val", 60), faint))
    if channels == 4:
        assert comparison(ScoreRequest(clear(some("val", 60)), faint, alpha="white")).reference.shape[0] == 1


def test_generated_images_in_which_nothing_shows_are_scored_with_a_note():
    """They may be a model's that has collapsed, or masks of 0 and 1 that were never meant as bytes."""
    digit = some("val", 60)
    faint = replace(digit, images=(digit.images > 127).to(torch.uint8))
    told = "the generated images have no contrast: their values go from 0 to 1 of 255"
    assert told in comparison(ScoreRequest(faint, some("heldout", 60))).notes
    assert not any("no contrast" in note for note in comparison(ScoreRequest(digit, some("heldout", 60))).notes)


def test_labels_of_training_images_are_those_of_the_reference_or_none():
    """Two folders number their classes by their names: 0 may be a cat in one and a dog in the other."""
    named = replace(some("heldout", 60), class_names=tuple("abcdefghij"))
    others = replace(some("train", 60), class_names=tuple("bcdefghijk"))
    sets = comparison(ScoreRequest(some("val", 60), named, others))
    assert sets.train.labels is None
    assert sets.generated.labels is not None
    assert "labels were ignored: the training images' class names differ from the reference's" in sets.notes


@pytest.mark.parametrize(("folders", "told"), [
    (("0", "1", "2"), None),
    (("000000", "000020", "000040"), "numbers"),  # EDM's --subdirs
    (("rank0", "rank1", "rank2"), "names"),
])  # fmt: skip
def test_folders_that_are_no_classes_of_the_reference_are_not_labels(tmp_path, folders, told):
    digit = some("val", 60)
    for name, part in zip(folders, digit.images.split(20), strict=True):
        folder.save(tmp_path / name, part)
    found = comparison(ScoreRequest(str(tmp_path), some("heldout", 60)))
    assert (found.generated.labels is None) is (told is not None)
    note = f"labels were ignored: the generated images' class {told} differ from the reference's"
    assert (note in found.notes) is (told is not None)


def test_channels_without_colours_are_not_compared_with_colours():
    five = ImageSet("five", torch.randint(0, 256, (60, 5, 28, 28), dtype=torch.uint8))
    with pytest.raises(UserError, match="five is of 5 channels, and not of grey"):
        in_one_colour(Comparison(five, some("heldout", 60)))
    assert in_one_colour(Comparison(five, five)).generated is five


def test_a_score_of_a_run_reads_its_data_as_its_training_did(tmp_path, config_of):
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (120, 4, 16, 24), np.uint8))
    folder.save(tmp_path / "icons", arrays.from_array("", pixels.permute(0, 2, 3, 1).numpy()).images)
    data = {"data": str(tmp_path / "icons"), "m": None, "fit": "crop", "alpha": "white"}
    config = config_of(data=data)
    parts = prepare(config.data, 0)
    run = RunFolder(tmp_path / "run")
    with run.open(config, parts.train):
        arrays.save(run.samples / "images.npz", parts.train.images[:50])
    sets = comparison(ScoreRequest(str(run.path), f"{tmp_path / 'icons'}:heldout"))
    found = (sets.train, sets.floor, sets.reference)
    assert [one.fingerprint for one in found] == [part.fingerprint for part in (parts.train, parts.val, parts.heldout)]
    assert sets.reference.shape == (3, 16, 16)


@pytest.mark.parametrize("m", [None, 60])
def test_the_floor_of_images_in_groups_is_the_same_in_a_run_and_after_it(tmp_path, config_of, m):
    images = some("train", 100).images
    twins = torch.cat([images, images[:50], images[:50]])
    arrays.save(tmp_path / "twins.npz", twins)
    config = config_of(data={"data": str(tmp_path / "twins.npz"), "m": m})
    parts = prepare(config.data, 0)
    run = RunFolder(tmp_path / "run")
    with run.open(config, parts.train):
        arrays.save(run.samples / "images.npz", some("val", 50).images[:, :, 6:22, 6:22])
    reference = f"{tmp_path / 'twins.npz'}:heldout"
    sets = comparison(ScoreRequest(str(run.path), reference)), sets_of(config, parts, parts.heldout, parts.heldout)
    assert all(each.dealt for each in sets)
    assert not comparison(ScoreRequest(str(run.path), reference, floor=reference)).dealt
    after, own = (each.floor for each in sets)
    assert after.fingerprint == own.fingerprint
    assert len(own) == 200 - len(parts.heldout)
    assert len(own.groups) == len(own)
    assert not set(own.groups.tolist()) & set(parts.heldout.groups.tolist())


def test_the_floor_of_images_that_came_divided_is_the_same_in_a_run_and_after_it(tmp_path, config_of):
    """Nobody has kept their parts apart: some validation images are trained on or held out too."""
    train, heldout = some("train", 90), some("heldout", 60)
    shared = (train.images[:7], heldout.images[:5])
    val = torch.cat([some("val", 80).images, *shared])
    parts = {"train": train.images, "val": val, "test": heldout.images}
    np.savez(tmp_path / "own.npz", **{f"{name}_images": arrays.to_array(each) for name, each in parts.items()})
    config = config_of(data={"data": str(tmp_path / "own.npz"), "m": None, "size": "28"})
    parts = prepare(config.data, 0)
    run = RunFolder(tmp_path / "run")
    with run.open(config, parts.train):
        arrays.save(run.samples / "images.npz", some("val", 50).images)
    reference = f"{tmp_path / 'own.npz'}:heldout"
    sets = comparison(ScoreRequest(str(run.path), reference)), sets_of(config, parts, parts.heldout, parts.heldout)
    assert not any(each.dealt for each in sets), "the parts may be of different kinds"
    after, own = (each.floor for each in sets)
    assert after.fingerprint == own.fingerprint
    assert len(own) == 80


def test_transparency_is_laid_aside_in_images_in_memory_too():
    transparent = clear(some("val", 60))
    sets = comparison(ScoreRequest(transparent, clear(some("heldout", 60)), floor=transparent, alpha="black"))
    assert sets.generated.shape == sets.reference.shape == (1, 28, 28)
    assert sets.notes == []
