"""What every command says, and where, of the images that it was given."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from fromnoise.experiment import outlook

pytestmark = pytest.mark.usefixtures("few_digits")
TRAIN = ("train", "--preset", "tiny", "--steps", "2", "--m", "100", "--out", "run")
PIXELS = ("--features", "pixels")


@pytest.fixture
def photos(tmp_path):
    """A folder of 140 pictures of two classes: in deeper folders, as .webp, with other files; 7 cannot be read."""
    random = np.random.default_rng(0)
    for k in range(140):
        place = tmp_path / "photos" / ("cat" if k % 2 else "dog") / ("old" if k % 5 == 0 else "")
        place.mkdir(parents=True, exist_ok=True)
        path = place / f"{k}{'.webp' if k % 3 == 0 else '.png'}"
        Image.fromarray(random.integers(0, 256, (24, 24, 3), np.uint8)).save(path)
        if k % 20 == 19:
            path.write_bytes(path.read_bytes()[:100])
    (tmp_path / "photos" / "metadata.csv").write_text("file_name,text\n")
    (tmp_path / "photos" / "notes.txt").write_text("mine")
    return tmp_path / "photos"


FOUND = (
    "photos: 133 images, 2 classes, RGB, 24×24{size}; 7 unreadable, skipped: cat/19.png, cat/39.webp, cat/59.png "
    "and 4 more; not read: 1 .txt; ignored: metadata.csv (classes come from sub-folders)"
)


@pytest.mark.parametrize("words", [
    TRAIN,
    ("run", "--preset", "tiny", "--steps", "2", "--out", "run"),
    ("evaluate", "--generated", "photos", "--reference", "digits:heldout"),
    ("evaluate", "--generated", "digits:val", "--reference", "photos"),
    ("evaluate", "--generated", "digits:val", "--reference", "digits:heldout", "--train", "photos"),
    ("evaluate", "--generated", "digits:val", "--reference", "digits:heldout", "--floor", "photos"),
    ("likelihood", "digits", "photos"),
    ("data", "export", "photos", "out"),
], ids=lambda words: " ".join(words[:2] + words[-2:]))  # fmt: skip
def test_unreadable_images_end_every_command_before_its_work(fromnoise, photos, words):
    data = ("--data", "photos") if words[0] in ("train", "run") else ()
    refused = fromnoise(*words, *data, cwd=photos.parent, code=2)
    first, *named = refused.stderr.splitlines()
    assert first == (
        "fromnoise: photos: 7 of 140 image files cannot be read: repair or remove them, or skip them (--skip-broken)"
    )
    assert [line.split()[0] for line in named] == [
        f"photos/cat/{k}{'.webp' if k % 3 == 0 else '.png'}" for k in range(19, 140, 20)
    ]
    assert refused.stdout == ""
    assert not (photos.parent / "run").exists()
    assert not (photos.parent / "out").exists()


def test_a_training_goes_on_without_them_and_again(fromnoise, photos):
    words = (*TRAIN, "--data", "photos", "--skip-broken")
    done = fromnoise(*words, cwd=photos.parent)
    assert done.stderr.splitlines()[0] == FOUND.format(size=" → 16×16")
    assert len(done.stdout.splitlines()) == 1
    assert "nothing to do" in fromnoise(*words, cwd=photos.parent).stderr


def test_a_scored_run_tells_it_once(fromnoise, photos):
    words = ("run", *TRAIN[1:], "--data", "photos", "--skip-broken", "--n", "60", "--reference", "photos")
    done = fromnoise(*words, cwd=photos.parent)
    assert done.stderr.count("photos: 133 images") == 1
    assert "133 images, " not in done.stdout
    again = fromnoise("evaluate", "--generated", "run", "--reference", "photos", "--skip-broken", cwd=photos.parent)
    assert again.stderr.count("photos: 133 images") == 1
    assert again.stderr.count("images.npz: 60 images, 2 classes, RGB, 16×16\n") == 1


def test_an_evaluation_tells_it_once_and_not_among_its_results(fromnoise, photos):
    words = ("evaluate", "--generated", "photos:train", "--reference", "photos", "--train", "photos:val")
    done = fromnoise(*words, "--json", "-", "--skip-broken", cwd=photos.parent)
    json.loads(done.stdout)
    assert done.stderr.splitlines().count(FOUND.format(size="")) == 1
    assert done.stderr.count("photos: ") == 1


def test_likelihoods_are_of_the_files_that_were_read(fromnoise, tmp_path):
    (tmp_path / "grey").mkdir()
    for k in range(8):
        Image.fromarray(np.full((16, 16), 30 * k, np.uint8)).save(tmp_path / "grey" / f"{k}.png")
    (tmp_path / "grey" / "2.png").write_bytes(b"no image")
    words = ("likelihood", "digits", "grey", "grey/2.png", "grey/5.png", "--levels", "2")
    refused = fromnoise(*words, cwd=tmp_path, code=2)
    assert "grey/2.png cannot be read as an image" in refused.stderr
    done = fromnoise(*words, "--skip-broken", "--json", cwd=tmp_path)
    folder, single = json.loads(done.stdout)["results"]
    assert [row["name"] for row in folder["images"]] == [f"grey/{k}.png" for k in (0, 1, 3, 4, 5, 6, 7)]
    assert single["name"] == "grey/5.png"
    assert "grey: 7 images, no classes, grey, 16×16 → 32×32; enlarged, so pixel art blurs: --size 16 " in done.stderr
    assert "; 1 unreadable, skipped: 2.png\n" in done.stderr
    assert "skipped: grey/2.png cannot be read as an image" in done.stderr
    nothing = fromnoise("likelihood", "digits", "grey/2.png", "--skip-broken", cwd=tmp_path, code=2)
    assert nothing.stderr.splitlines()[1:] == ["fromnoise: none of the images can be read"]


def test_an_export_says_what_it_took_on_stderr_alone(fromnoise, photos):
    done = fromnoise("data", "export", "photos", "out", "--size", "8", "--skip-broken", cwd=photos.parent)
    assert done.stdout == "out\n"
    assert done.stderr == FOUND.format(size=" → 8×8") + "\n"
    assert len(list((photos.parent / "out").iterdir())) == 133


def test_too_few_images_are_blamed_on_their_duplicates(fromnoise, tmp_path):
    (tmp_path / "few").mkdir()
    random = np.random.default_rng(0)
    for k in range(40):
        image = Image.fromarray(random.integers(0, 256, (16, 16), np.uint8))
        for copy in range(10):
            image.save(tmp_path / "few" / f"{k}-{copy}.png")
    refused = fromnoise("run", "--preset", "tiny", "--data", "few", "--out", "run", cwd=tmp_path, code=2)
    found, split, error = refused.stderr.splitlines()
    assert found == "few: 400 images, no classes, grey, 16×16; 360 duplicates, 40 distinct"
    assert split == "few: 400 of 400 images are near-duplicates of others; each group is kept in one part"
    assert "few has too few images to hold out 50 for the score (the 400 images form 40 groups, and groups" in error


def test_two_hundred_images_are_enough_for_a_report(fromnoise, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (210, 16, 16), np.uint8)
    np.save(tmp_path / "few.npy", images)
    fromnoise("run", "--preset", "tiny", "--data", "few.npy", "--steps", "2", *PIXELS, "--out", "run", cwd=tmp_path)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["copies"]["n"]["held_out"] == report["protocol"]["reference"]["n"] == 50
    assert report["excess"] is None
    assert any(note.startswith("no floor") for note in report["notes"])


def test_rejecting_copies_leaves_stdout_to_the_images(fromnoise, photos):
    fromnoise(*TRAIN, "--data", "photos", "--skip-broken", cwd=photos.parent)
    words = ("sample", "run", "--n", "4", "--out", "new.npz", "--reject-copies")
    done = fromnoise(*words, cwd=photos.parent)
    assert done.stdout == "new.npz\n"
    assert done.stderr.splitlines()[0] == FOUND.format(size=" → 16×16")


def test_inspecting_shows_what_training_would_take(fromnoise, photos, monkeypatch):
    monkeypatch.setattr(outlook, "SECONDS", 0.1)
    words = ("data", "inspect", "photos", "--size", "24", "--label-by", "(cat|dog)")
    shown = fromnoise(*words, "--sheet", "sheet.png", cwd=photos.parent)
    head, *rows = shown.stdout.splitlines()
    assert head.split()[:2] == ["part", "images"]
    counts = {row.split()[0]: int(row.split()[1]) for row in rows[:3]}
    assert list(counts) == ["photos:train", "photos:val", "photos:heldout"]
    assert sum(counts.values()) == 133
    assert "7 unreadable, skipped: cat/19.png" in shown.stderr
    assert "refuse" not in shown.stderr
    assert rows[3].startswith("photos:train: cat ")
    assert "sizes: 24×24 (133)" in rows
    assert "saved as: 8-bit RGB (133)" in rows
    assert any(row.startswith("channels: ") and row.endswith("(133)") for row in rows)
    assert sum(row.startswith("unreadable: ") for row in rows) == 7
    assert rows[-2].startswith("mean 0.")
    assert rows[-1].startswith("training would start from weights of clipart, conditioned on 2 classes; at about ")
    with Image.open(photos.parent / "sheet.png") as sheet:
        assert sheet.mode == "RGB"
        assert sheet.height > sheet.width  # 10×10 square images, with captions
    refused = fromnoise(*words, "--sheet", "sheet.png", cwd=photos.parent, code=2)
    assert "sheet.png already exists" in refused.stderr
    found = json.loads(fromnoise(*words, "--json", "-", cwd=photos.parent).stdout)
    assert {part["name"]: part["n"] for part in found["parts"]} == counts
    assert sum(len(part["files"]) for part in found["parts"]) == 133
    training = found["training"]
    assert (training["condition"], training["init"], training["minutes"]) == ("2 classes", "clipart", 10)
    assert training["steps"] == round(600 * training["images_per_second"] / 64)
    part = fromnoise(words[0], words[1], "photos:train", *words[3:], "--json", "-", cwd=photos.parent)
    assert json.loads(part.stdout)["training"] is None


def test_an_inspection_of_many_sizes_and_broken_files_stays_short(fromnoise, tmp_path):
    (tmp_path / "photos").mkdir()
    random = np.random.default_rng(0)
    for k in range(30):
        pixels = random.integers(0, 256, (8, 8 + k % 11), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{k}.png")
    for k in range(12):
        (tmp_path / "photos" / f"bad{k}.png").write_bytes(b"no image")
    rows = fromnoise("data", "inspect", "photos", "--size", "8", cwd=tmp_path).stdout.splitlines()
    assert f"sizes: {', '.join(f'8×{width} (3)' for width in range(8, 16))} and 3 more sizes" in rows
    assert sum(row.startswith("unreadable: ") for row in rows) == 10
    assert "and 2 more (--json lists them)" in rows
    piped = fromnoise("data", "inspect", "photos", "--size", "12", "--json", "-", cwd=tmp_path)
    assert "`fromnoise train` would refuse this" in piped.stderr
    assert piped.stderr.endswith("the nearest is --size 16\n")
    found = json.loads(piped.stdout)
    assert len(found["files"]["sizes"]) == 11
    assert len(found["files"]["unreadable"]) == 12
    assert found["training"] is None


def test_a_model_learns_from_a_zip_and_a_rule_and_is_scored_on_the_rest(fromnoise, tmp_path):
    random = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "icons.zip", "w") as file:
        for k in range(250):
            out = io.BytesIO()
            Image.fromarray(random.integers(0, 256, (16, 16), np.uint8)).save(out, "PNG")
            file.writestr(f"icons/{'cat' if k % 2 else 'dog'}-{k}.png", out.getvalue())
    words = ("--preset", "tiny", "--steps", "2", "--data", "icons.zip", "--label-by", "(cat|dog)-", "--out", "run")
    words += PIXELS
    done = fromnoise("run", *words, cwd=tmp_path)
    assert "icons.zip: 250 images, 2 classes, grey, 16×16" in done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["protocol"]["reference"]["name"] == "icons.zip:heldout"
    assert "nothing to do" in fromnoise("train", *words, cwd=tmp_path).stderr
