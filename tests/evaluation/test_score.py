import json

import pytest
import torch

from fromnoise.data import digits
from fromnoise.errors import UserError
from fromnoise.evaluation.features import features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.evaluation.score import Contest, score


@pytest.fixture(scope="module")
def extract():
    return features("digits")


@pytest.fixture(scope="module")
def parts():
    return {part: digits.load(part) for part in ("train", "val", "heldout")}


def test_fid_is_the_distance_of_the_features(extract, parts):
    generated = parts["train"].draw(200, 0)
    report = score(Contest(generated, parts["heldout"]), extract)
    expected = distance(Moments.of(extract(generated.images)), Moments.of(extract(parts["heldout"].images)))
    assert report["metrics"]["fid"]["value"] == expected
    assert report["metrics"]["fid"]["floor"] is None
    assert any(note.startswith("no floor") for note in report["notes"])


def test_floor_and_copycat_stand_beside_it_at_the_same_size(extract, parts):
    noise = digits.ImageSet("noise", torch.randint(0, 256, (200, 1, 28, 28), dtype=torch.uint8))
    fid = score(Contest(noise, parts["heldout"], parts["val"], parts["train"]), extract)["metrics"]["fid"]
    assert (fid["n"], fid["floor"]["n"], fid["copycat"]["n"]) == (200, 200, 200)
    assert fid["floor"]["draws"] == 5
    assert fid["floor"]["deviation"] > 0
    assert fid["value"] > 20 * fid["floor"]["value"]
    assert fid["ratio"] == fid["value"] / fid["floor"]["value"]
    assert fid["copycat"]["value"] == pytest.approx(fid["floor"]["value"], rel=0.6)


def test_a_floor_of_fewer_images_is_said(extract, parts):
    report = score(Contest(parts["train"].draw(500, 0), parts["heldout"], parts["val"].draw(100, 0)), extract)
    assert report["metrics"]["fid"]["floor"]["n"] == 100
    assert any("floor is of 100 images, fewer than the 500" in note for note in report["notes"])


def test_fewer_images_than_features_is_said(extract, parts):
    notes = score(Contest(parts["train"].draw(60, 0), parts["heldout"]), extract)["notes"]
    assert any("cannot fill the covariance of 64" in note for note in notes)
    assert not any(
        "covariance" in n for n in score(Contest(parts["train"].draw(65, 0), parts["val"]), extract)["notes"]
    )


@pytest.mark.parametrize("role", ["generated", "reference"])
def test_fewer_than_fifty_images_are_refused(extract, parts, role):
    few, many = parts["train"].draw(49, 0), parts["val"]
    contest = Contest(few, many) if role == "generated" else Contest(many, few)
    with pytest.raises(UserError, match=f"{role} .* has 49 images; a score needs at least 50"):
        score(contest, extract)


def test_the_same_seed_gives_the_same_numbers_and_they_are_json(extract, parts):
    contest = Contest(parts["train"].draw(100, 0), parts["heldout"], parts["val"], parts["train"])
    one, again, other = (score(contest, extract, seed) for seed in (0, 0, 1))
    assert one == again
    assert one["metrics"]["fid"]["floor"] != other["metrics"]["fid"]["floor"]
    assert one["metrics"]["fid"]["value"] == other["metrics"]["fid"]["value"]
    assert json.loads(json.dumps(one)) == one
    assert one["protocol"]["reference"]["sha256"] == parts["heldout"].fingerprint
