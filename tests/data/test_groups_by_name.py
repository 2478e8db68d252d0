"""Groups of images by their files' names, which a split keeps together."""

from pathlib import Path

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
        (r"(dog\d+)", "matches no file of .*such as patient0_0.png"),
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


def test_a_runs_rule_is_for_its_own_data_alone(scans):
    settings = DataSettings(str(scans), group_by=r"(patient\d+)_", size="8")
    parts = sources.prepare(settings, seed=0)
    for part in ("heldout", "val"):
        assert sources.load_as(f"{scans}/:{part}", settings, (8, 8)).fingerprint == getattr(parts, part).fingerprint
    other = sources.load_as(f"{scans}:heldout", DataSettings("others", group_by=r"(patient\d+)_"), (8, 8))
    assert other.fingerprint == sources.load(f"{scans}:heldout", (8, 8)).fingerprint != parts.heldout.fingerprint
