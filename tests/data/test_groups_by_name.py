"""Groups of images that a user names, by files' names or an array, which a split keeps together."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.data import arrays, sources
from fromnoise.data.settings import DataSettings
from fromnoise.errors import UserError
from fromnoise.say import captured


@pytest.fixture
def scans(tmp_path, make_images):
    """A folder of 120 images of 40 patients, three each."""
    (tmp_path / "scans").mkdir()
    for k, image in enumerate(make_images(120).numpy()):
        Image.fromarray(image[0]).save(tmp_path / "scans" / f"patient{k // 3}_{k % 3}.png")
    return tmp_path / "scans"


def patients(images):
    return {Path(file).name.partition("_")[0] for file in images.files}


def test_groups_by_file_name_are_not_divided(scans):
    rule = r"(patient\d+)_"
    parts = sources.prepare(DataSettings(str(scans), group_by=rule, size="8"), seed=0)
    assert [len(part) for part in (parts.train, parts.val, parts.heldout)] == [96, 12, 12]
    assert parts.groups == 40
    assert len(patients(parts.train) | patients(parts.val) | patients(parts.heldout)) == 40
    assert [len(patients(part)) for part in (parts.train, parts.val, parts.heldout)] == [32, 4, 4]
    assert len(sources.load(str(scans), (8, 8), group_by=rule).groups.unique()) == 40
    loaded = sources.load(f"{scans}:heldout", (8, 8), group_by=rule)
    assert loaded.fingerprint == parts.heldout.fingerprint != sources.load(f"{scans}:heldout").fingerprint


def test_groups_may_be_folders(tmp_path, make_images):
    images = make_images(60).numpy()
    for k, image in enumerate(images):
        place = tmp_path / "films" / f"film{k // 5}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(place / f"{k}.png")
    heldout = sources.load(f"{tmp_path / 'films'}:heldout", group_by="folder")
    assert len(heldout) == 5
    assert len({Path(file).parent for file in heldout.files}) == 1


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("(patient", "is not a regular expression"),
        (r"patient\d+", "in brackets"),
        (r"(dog\d+)", r"matches none of the files in .*\(for example, not patient0_0.png\)"),
    ],
)
def test_a_rule_that_names_no_groups_is_refused(scans, rule, told):
    with pytest.raises(UserError, match=told):
        sources.prepare(DataSettings(str(scans), group_by=rule), seed=0)


@pytest.mark.parametrize("rule", [r"(patient[0-8])_", r"^(patient[0-8]_)?"])
def test_a_rule_that_matches_a_few_files_says_so(scans, rule):
    """Those that it does not match are groups of their own, not one together."""
    with captured() as said:
        parts = sources.prepare(DataSettings(str(scans), group_by=rule, size="8"), seed=0)
    assert parts.groups == 9 + 93
    assert any(line.startswith("--group-by: 93 of 120 files match no group, such as patient") for line in said)
    assert f"{scans}: 102 groups by --group-by; each is kept in one part" in said


@pytest.mark.parametrize(("data", "told"), [("digits", "digits has parts already"), ("{npz}", "have no file names")])
def test_there_are_no_groups_by_name_without_names(tmp_path, make_images, data, told):
    arrays.save(tmp_path / "images.npz", make_images(40))
    with pytest.raises(UserError, match=told):
        sources.prepare(DataSettings(data.format(npz=tmp_path / "images.npz"), group_by="folder"), seed=0)


def numbers(names):
    return np.array([int(name.removeprefix("patient")) for name in names])


@pytest.mark.parametrize("groups", [
    np.array, lambda names: np.array(names, "S12"), numbers, lambda names: numbers(names)[:, None].astype(np.uint8)
])  # fmt: skip
def test_an_array_of_groups_divides_images_as_their_file_names_would(scans, groups):
    settings = DataSettings(str(scans), group_by=r"(patient\d+)_", size="8")
    images, parts = sources.load(settings.data, (8, 8)), sources.prepare(settings, seed=0)
    names = [Path(file).name.partition("_")[0] for file in images.files]
    npz = scans.parent / "scans.npz"
    np.savez(npz, arr_0=images.images[:, 0].numpy(), groups=groups(names))
    with captured() as said:
        found = sources.prepare(DataSettings(str(npz), size="8"), seed=0)
    assert said == [
        f"{npz}: 120 images, no classes, grey, 8×8",
        f"{npz}: 40 groups by the array 'groups'; each is kept in one part",
    ]
    assert found.groups == 40
    for part in ("train", "val", "heldout"):
        ours, theirs = getattr(found, part), getattr(parts, part)
        assert ours.fingerprint == theirs.fingerprint
        assert len(ours.groups.unique()) == len(theirs.groups.unique())
        assert sources.load(f"{npz}:{part}", (8, 8)).fingerprint == theirs.fingerprint
    assert len(sources.load(str(npz)).groups.unique()) == 40


def test_groups_of_one_image_each_are_none(tmp_path, make_images):
    """And near-duplicates are not looked for, as the user knows better."""
    images = make_images(40)[:, 0].numpy()
    np.savez(tmp_path / "images.npz", arr_0=np.concatenate([images, images]), groups=np.arange(80))
    parts = sources.prepare(DataSettings(str(tmp_path / "images.npz"), size="8"), seed=0)
    assert parts.groups == 80
    assert parts.train.groups is None
    assert sources.load(str(tmp_path / "images.npz")).groups is None


@pytest.mark.parametrize("groups", [np.arange(39), np.arange(40.0), np.zeros((40, 2), int)])
def test_groups_that_do_not_fit_are_refused(tmp_path, make_images, groups):
    np.savez(tmp_path / "images.npz", arr_0=make_images(40)[:, 0].numpy(), groups=groups)
    with pytest.raises(UserError, match="'groups' must be one whole number or text for each of the 40 images, not "):
        sources.load(str(tmp_path / "images.npz"))


def test_a_runs_rule_is_for_its_own_data_alone(scans):
    settings = DataSettings(str(scans), group_by=r"(patient\d+)_", size="8")
    parts = sources.prepare(settings, seed=0)
    for part in ("heldout", "val"):
        assert sources.load_as(f"{scans}/:{part}", settings, (8, 8)).fingerprint == getattr(parts, part).fingerprint
    (scans.parent / "others").mkdir()
    others = DataSettings(str(scans.parent / "others"), group_by=r"(patient\d+)_")
    other = sources.load_as(f"{scans}:heldout", others, (8, 8))
    assert other.fingerprint == sources.load(f"{scans}:heldout", (8, 8)).fingerprint != parts.heldout.fingerprint


@pytest.mark.parametrize("rules", [{"group_by": r"(patient\d+)_"}, {"label_by": r"(\d)_"}], ids=str)
def test_a_part_of_what_may_be_a_runs_data_in_another_place_is_refused(scans, monkeypatch, rules):
    """It would be split by no rule, so that images held out may be those that the run was trained on."""
    monkeypatch.chdir(scans.parent)
    trained = DataSettings("scans", size="8", **rules)
    assert sources.load_as("scans:heldout", trained, (8, 8)).fingerprint
    monkeypatch.chdir(scans.parent.parent)
    flag, part = f"--{next(iter(rules)).replace('_', '-')}", f"{scans}:heldout"
    with pytest.raises(UserError, match=f"images were split by {flag} and their place, scans, is not here, so these"):
        sources.load_as(part, trained, (8, 8))
    with pytest.raises(UserError, match="'nowhere' is neither a data set"):
        sources.load_as("nowhere:heldout", trained, (8, 8))
    assert len(sources.load_as(str(scans), trained, (8, 8))) == 120
    assert sources.load_as("digits:val", trained, (8, 8)).labels is not None
    plain = sources.load(part, (8, 8)).fingerprint
    assert sources.load_as(part, DataSettings("scans", size="8"), (8, 8)).fingerprint == plain
