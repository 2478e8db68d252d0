"""Images of large folders and archives are decoded once, and never taken from anything but what was written."""

import os
import shutil
import subprocess
import sys
from dataclasses import fields

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise.data import cache, mapped, picture, sources
from fromnoise.data.groups import groups
from fromnoise.data.inspection import inspected
from fromnoise.data.settings import DataSettings, parse_size
from fromnoise.errors import UserError
from fromnoise.say import captured

SIZE = parse_size("8")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """The folder of what is kept; all files are large."""
    monkeypatch.setattr(cache, "LARGE", 1)
    monkeypatch.setenv("FROMNOISE_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept"


@pytest.fixture
def photos(tmp_path, make_images):
    """Twelve pictures of two classes, of equally many bytes; one of another size, and a text."""
    for k, image in enumerate(make_images(12, (3, 10, 10)).permute(0, 2, 3, 1).numpy()):
        place = tmp_path / "photos" / ("cat" if k % 3 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[: 9 if k == 5 else 10]).save(place / f"{k}.bmp")
    (tmp_path / "photos" / "read.txt").write_text("me")
    return tmp_path / "photos"


@pytest.fixture
def decoded(monkeypatch):
    """The pictures that are decoded, one after another."""
    seen, real = [], picture.read
    monkeypatch.setattr(picture, "read", lambda path, size: seen.append(path) or real(path, size))
    return seen


@pytest.fixture
def load(photos):
    """A function that loads them, or what is named, and gives the set and what was said."""

    def call(name=photos, size=SIZE, **how):
        with captured() as said:
            images = sources.load(str(name), size, **how)
        return images, said

    return call


def same(one, other):
    plain = [{each.name: getattr(of, each.name) for each in fields(of)} for of in (one, other)]
    pixels = [each.pop("images") for each in plain]
    labels = [each.pop("labels") for each in plain]
    return plain[0] == plain[1] and torch.equal(*pixels) and torch.equal(*labels)


def test_the_second_start_decodes_nothing_and_has_the_same(load, decoded, home):
    one, first = load()
    assert len(decoded) == 12
    other, second = load()
    assert len(decoded) == 12
    assert same(one, other)
    assert (one.class_names, one.was) == (("cat", "dog"), "2 sizes from 9×10 to 10×10")
    assert second == [f"{first[0]}; decoded before"]
    assert first[0].endswith("; not read: 1 .txt")
    assert sorted(file.suffix for file in home.iterdir()) == [".json", ".npy"]


def test_what_is_kept_can_be_written_to_and_stays_as_it_is(load):
    one, _ = load()
    other, _ = load()
    other.images[0] = 7
    assert same(one, load()[0])


def test_what_was_mapped_by_one_range_is_not_taken_for_another(load, tmp_path):
    (tmp_path / "scans").mkdir()
    for k in range(3):
        Image.fromarray(np.full((8, 8), 900 + 100 * k, np.uint16)).save(tmp_path / "scans" / f"{k}.png")
    for within, first, values_range in ((None, 0, (900, 1100)), ((300, 4000), 41, (300, 4000)), (None, 0, (900, 1100))):
        images, _ = load(tmp_path / "scans", within=within)
        assert (int(images.images[0].unique()), images.range) == (first, values_range)


def test_a_warning_is_said_at_every_start(load, tmp_path):
    (tmp_path / "scans").mkdir()
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save(tmp_path / "scans" / "a.png")
    _, first = load(tmp_path / "scans", within=(10, 40))
    assert first[0].endswith("scans: values from 0 to 63 clipped to the training images' range, 10 to 40")
    assert len(first) == 2
    moved = (tmp_path / "scans").rename(tmp_path / "moved")
    _, second = load(moved, within=(10, 40))
    assert second == [first[0].replace("scans:", "moved:"), first[1].replace("scans:", "moved:") + "; decoded before"]


def test_a_folder_that_was_moved_is_known_by_its_new_name(load, photos, decoded):
    load()
    moved = photos.rename(photos.with_name("icons"))
    found, said = load(f"{moved}/")
    assert len(decoded) == 12
    assert (found.name, found.files[0]) == (str(moved), str(moved / "cat" / "1.bmp"))
    assert said[0].startswith(f"{moved}: 12 images, 2 classes, RGB")


def test_another_picture_of_the_same_size_and_time_is_seen(load, photos):
    before, _ = load()
    file = photos / "cat" / "1.bmp"
    time = file.stat()
    raw = bytearray(file.read_bytes())
    raw[-8] ^= 255
    file.write_bytes(raw)
    os.utime(file, ns=(time.st_atime_ns, time.st_mtime_ns))
    assert file.stat().st_size == time.st_size
    after, said = load()
    assert not torch.equal(before.images, after.images)
    assert not said[0].endswith(cache.KNOWN)


@pytest.mark.parametrize(
    "how", [{"size": (10, 10)}, {"size": parse_size("8x12", "pad")}, {"label_by": r"(\d+)"}, {"skip_broken": True}]
)
def test_other_ways_to_read_are_other_images(load, decoded, how):
    load(size=parse_size("8x12"))
    found, _ = load(**{"size": parse_size("8x12")} | how)
    assert len(decoded) == 24
    assert same(found, load(**{"size": parse_size("8x12")} | how)[0])
    assert len(decoded) == 24
    shutil.rmtree(mapped.folder())
    assert same(found, load(**{"size": parse_size("8x12")} | how)[0])


def cut(file):
    os.truncate(file, file.stat().st_size - 9)


def turn(file):
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)


@pytest.mark.parametrize("suffix", [".npy", ".json"])
@pytest.mark.parametrize("harm", [cut, turn, os.unlink, lambda file: file.write_bytes(b"")])
def test_what_is_damaged_is_made_anew(load, decoded, home, suffix, harm):
    one, _ = load()
    (file,) = home.glob(f"*{suffix}")
    whole = file.read_bytes()
    harm(file)
    assert same(one, load()[0])
    assert len(decoded) == 24
    assert file.read_bytes() == whole
    assert same(one, load()[0])
    assert len(decoded) == 24


TWO = """
import multiprocessing
import sys

from fromnoise.data import cache, sources

context = multiprocessing.get_context("fork")
both, real, cache.LARGE = context.Barrier(2), cache._keep, 1


def keep(*what):
    both.wait(20)  # now both have decoded, and neither has written
    real(*what)


def load():
    sys.stdout.write(sources.load(sys.argv[1], (8, 8)).fingerprint + "\\n")


cache._keep = keep
workers = [context.Process(target=load) for _ in range(2)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
sys.exit(max(abs(worker.exitcode) for worker in workers))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_two_processes_at_once_keep_the_same(load, photos, decoded, home):
    done = subprocess.run([sys.executable, "-c", TWO, photos], capture_output=True, text=True, check=True, timeout=60)
    assert sorted(file.suffix for file in home.iterdir()) == [".json", ".npy"]
    found, said = load(size=(8, 8))
    assert not decoded
    assert said[0].endswith(cache.KNOWN)
    assert done.stdout.split() == [found.fingerprint] * 2


def test_archives_are_kept_too(load, photos, decoded):
    for kind in ("zip", "tar"):
        decoded.clear()
        file = shutil.make_archive(str(photos), kind, photos)
        one, _ = load(file)
        other, said = load(file)
        assert len(decoded) == 12
        assert same(one, other)
        assert said[0].startswith(f"{file}: 12 images, 2 classes, RGB")


def test_a_change_in_any_of_several_archives_is_seen(load, photos, tmp_path):
    """Also where they lie in folders of their own and are called the same."""
    for k, kind in enumerate(("cat", "dog")):
        shutil.make_archive(str(tmp_path / f"shards-{k}" / "data"), "tar", photos, kind)
    one, _ = load(tmp_path / "shards-*" / "data.tar")
    Image.new("RGB", (10, 10)).save(photos / "cat" / "1.bmp")
    shutil.make_archive(str(tmp_path / "shards-0" / "data"), "tar", photos, "cat")
    other, said = load(tmp_path / "shards-*" / "data.tar")
    assert not same(one, other)
    assert cache.KNOWN not in said[0]
    assert same(other, load(tmp_path / "shards-*" / "data.tar")[0])


def test_small_folders_and_other_sources_are_read_as_they_are(load, photos, tmp_path, home, monkeypatch, make_images):
    np.save(tmp_path / "x.npy", make_images(5)[:, 0].numpy())
    sources.load(str(tmp_path / "x.npy"))
    sources.load("digits")
    monkeypatch.setattr(cache, "LARGE", 1 << 20)
    load()
    assert not home.exists()


def test_an_inspection_looks_at_the_files_themselves(load, photos, decoded):
    load()
    found = inspected(DataSettings(str(photos), size="8"))
    assert len(decoded) == 24
    assert found.files.sizes == {"10×10": 11, "9×10": 1}


def test_where_nothing_can_be_kept_images_are_read_all_the_same(load, home):
    home.write_text("in the way")
    one, said = load()
    assert len(one) == 12
    assert "; not kept for the next start: " in said[0]


def test_images_whose_names_are_not_utf_8_are_not_kept(load, photos, decoded, home):
    """Their names would come back changed, and their groups with them."""
    for name in (b"\xe4", b"\xf6"):
        try:
            shutil.copy(photos / "cat" / "1.bmp", photos / f"{os.fsdecode(name)}.bmp")
        except OSError:
            pytest.skip("this disk takes only names in UTF-8")
    first, said = load()
    assert "; not kept for the next start: " in said[0]
    assert said[0].endswith("its name is not UTF-8: rename it")
    assert load()[0].files == first.files
    assert len(decoded) == 28
    assert not list(home.glob("*"))


def test_a_picture_that_cannot_be_read_is_refused_as_ever_and_nothing_kept(load, photos, home):
    (photos / "cat" / "bad.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"bad\.png cannot be read"):
        load()
    assert not home.exists()


def test_what_a_killed_process_left_is_swept_once_it_is_old(load, home):
    home.mkdir()
    for name, age in (("old", 2 * cache.STALE), ("new", 0)):
        left = home / f".fromnoise-{name}"
        left.mkdir()
        (left / "images.npy").write_bytes(b"part")
        os.utime(left, (left.stat().st_mtime - age,) * 2)
    load()
    assert [file.name for file in home.glob(".fromnoise-*")] == [".fromnoise-new"]


def test_groups_of_many_are_kept_by_their_images(load, home, monkeypatch):
    images, _ = load()
    found = []

    def find(pixels):
        found.append(len(pixels))
        return groups(pixels)

    monkeypatch.setattr(cache, "groups", find)
    assert torch.equal(cache.grouped(images), groups(images.images))
    monkeypatch.setattr(cache, "MANY", 12)
    kept = [cache.grouped(images) for _ in range(2)]
    assert torch.equal(*kept)
    assert found == [12, 12]
    (file,) = home.glob("*.groups")
    cut(file)
    assert torch.equal(cache.grouped(images), kept[0])
    assert found == [12, 12, 12]
    assert torch.equal(cache.grouped(images.take(np.arange(11, -1, -1))), groups(images.images.flip(0)))
    assert found == [12, 12, 12, 12]


def test_the_folder_is_the_users(monkeypatch, tmp_path):
    assert mapped.folder() == tmp_path / "kept"
    monkeypatch.delenv("FROMNOISE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert mapped.folder() == tmp_path / "fromnoise" / "images"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert mapped.folder() == tmp_path / ".cache" / "fromnoise" / "images"
