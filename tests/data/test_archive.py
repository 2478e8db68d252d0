"""A zip or tar of images is read as the folder that it was made of, and nothing of it is unpacked."""

import gzip
import io
import shutil
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise import files
from fromnoise.data import archive, folder, sources
from fromnoise.data.settings import DataSettings
from fromnoise.errors import UserError
from fromnoise.say import captured

KINDS = {"zip": "zip", "tar": "tar", "gztar": "tar.gz"}


def png(seed=0, side=8):
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)).save(out, format="PNG")
    return out.getvalue()


def write_tar(path, files, mode="w"):
    """A tar of files, by name; None is a link to the first of them."""
    with tarfile.open(path, mode) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            if content is None:
                info.type, info.linkname = tarfile.SYMTYPE, next(iter(files))
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))


def write_zip(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in files.items():
            file.writestr(name, content)


@pytest.fixture
def photos(tmp_path):
    """A folder of 24 pictures of two classes, in deeper folders too, with a hidden one and a text."""
    for k in range(24):
        place = tmp_path / "photos" / ("cat" if k % 2 else "dog") / ("old" if k % 5 == 0 else "")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{k}.png").write_bytes(png(k))
    (tmp_path / "photos" / "notes.txt").write_text("mine")
    (tmp_path / "photos" / ".hidden.png").write_bytes(b"?")
    return tmp_path / "photos"


def read(name, **how):
    with captured() as said:
        images = sources.load(str(name), **how)
    (line,) = said
    return images, line.removeprefix(f"{name}: ")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("below", [True, False])
def test_an_archive_is_read_as_its_folder(tmp_path, photos, kind, below):
    base = {"root_dir": tmp_path, "base_dir": "photos"} if below else {"root_dir": photos}
    path = shutil.make_archive(str(tmp_path / "packed"), kind, **base)
    images, said = read(path)
    whole, told = read(photos)
    assert torch.equal(images.images, whole.images)
    assert images.labels.tolist() == whole.labels.tolist()
    assert images.class_names == ("cat", "dog")
    assert said == told
    names = [file.removeprefix(str(photos)) for file in whole.files]
    assert [file.removeprefix(path) for file in images.files] == names


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_what_lies_beside_the_folder_of_images_takes_no_classes(tmp_path, kind):
    images = {f"set/{kind}/{k}.png": png(k) for k, kind in enumerate(("cat", "cat", "dog"))}
    more = {"README.md": b"mine", "__MACOSX/set/cat/._0.png": b"?", "set/other/notes.txt": b"mine"}
    (write_zip if kind == "zip" else write_tar)(tmp_path / f"x.{kind}", images | more)
    found, said = read(tmp_path / f"x.{kind}")
    assert said == "3 images, 2 classes, RGB, 8×8; not read: 1 .md, 1 .txt, 1 hidden"
    assert found.class_names == ("cat", "dog")
    tables = {"set/metadata.csv": b"file_name,label\ncat/0.png,x\ncat/1.png,y\ndog/2.png,x\n"}
    (write_zip if kind == "zip" else write_tar)(tmp_path / f"y.{kind}", images | more | tables)
    assert read(tmp_path / f"y.{kind}")[0].labels.tolist() == [0, 1, 0]


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_images_outside_the_parts_of_an_archive_are_left_out(tmp_path, kind):
    images = {f"{part}/{k}.png": png(k) for k, part in enumerate(("train", "train", "test", "unlabeled"))}
    (write_zip if kind == "zip" else write_tar)(tmp_path / f"x.{kind}", images | {"README.md": b"mine"})
    found, said = read(tmp_path / f"x.{kind}")
    assert found.parts == ("heldout", "train", "train")
    assert said == (
        "3 images, no classes, RGB, 8×8; in parts of its own: 2 train, 1 heldout; "
        "left out: unlabeled/ (1 image); not read: 1 .md"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_has_the_parts_that_its_folder_has(tmp_path, photos, kind):
    path = shutil.make_archive(str(tmp_path / "packed"), kind, photos)
    for part in ("train", "val", "heldout"):
        theirs = sources.load(f"{photos}:{part}").fingerprint
        assert sources.load(f"{path}:{part}").fingerprint == theirs
    parts = sources.prepare(DataSettings(path, size="8", group_by=r"(\d+)\.png"), 0)
    assert sum(map(len, (parts.train, parts.val, parts.heldout))) == 24


@pytest.mark.parametrize("name", ["../../evil.png", "/evil.png", "a/../../evil.png", "..\\evil.png"])
@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_nothing_is_unpacked_and_names_that_lead_out_are_left_out(tmp_path, name, kind, monkeypatch):
    place = tmp_path / "a" / "b"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    (write_zip if kind == "zip" else write_tar)(f"x.{kind}", {"a.png": png(1), name: png(2)})
    before = set(tmp_path.rglob("*"))
    images, said = read(f"x.{kind}")
    assert len(images) == 1
    assert said.endswith("not read: 1 outside the archive")
    assert set(tmp_path.rglob("*")) == before


def test_links_in_a_tar_are_not_followed(tmp_path):
    write_tar(tmp_path / "x.tar", {"a.png": png(1), "b.png": None})
    assert read(tmp_path / "x.tar")[1].endswith("not read: 1 links or devices")


@pytest.mark.parametrize("damage", ["cut within a header", "cut between files", "a damaged header"])
def test_a_tar_that_ends_too_early_is_no_smaller_tar(tmp_path, damage):
    write_tar(tmp_path / "x.tar", {f"{k}.png": png(k) for k in range(3)})
    content = bytearray((tmp_path / "x.tar").read_bytes())
    third = content.index(b"2.png")
    if damage == "a damaged header":
        content[third + 148 : third + 156] = b"99999999"  # its checksum
    else:
        del content[third + (100 if damage == "cut within a header" else 0) :]
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.tar is not a readable zip or tar file .*cut off after 2 files"):
        read(tmp_path / "x.tar")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_SPARSE])
@pytest.mark.parametrize("size", [-512, -1024])
def test_a_tar_member_of_negative_size_is_refused(kind, size, tmp_path, monkeypatch):
    info = tarfile.TarInfo("a.png")
    info.type = kind
    header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = size.to_bytes(12, "big", signed=True)
    header[148:156] = b"%06o\0 " % (sum(header[:148]) + 8 * ord(" ") + sum(header[156:]))
    (tmp_path / "x.tar").write_bytes(bytes(header) + bytes(1024))
    calls, following = iter(range(9)), tarfile.TarFile.next
    monkeypatch.setattr(tarfile.TarFile, "next", lambda tar: following(tar) if next(calls) >= 0 else None)
    with pytest.raises(UserError, match=r"x\.tar is not a readable zip or tar file .*(negative size|invalid offset)"):
        read(tmp_path / "x.tar")


@pytest.mark.parametrize("suffix", ["zip", "tar", "tar.gz", "tgz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive at all" * 99, b"\x1f\x8b no gzip"])
def test_what_is_no_archive_is_refused_by_name(tmp_path, suffix, content):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"x\.{suffix} is not a readable zip or tar file") as refused:
        sources.load(str(path))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_without_images_is_refused(tmp_path, kind):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("no image")
    path = shutil.make_archive(str(tmp_path / "packed"), kind, tmp_path / "texts")
    with pytest.raises(UserError, match=r"holds no images; not read: 1 \.txt$"):
        sources.load(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_cut_archive_never_raises_anything_else(tmp_path, kind):
    path, files = tmp_path / f"x.{kind}", {f"{k}.png": png(k) for k in range(4)}
    if kind == "zip":
        write_zip(path, files)
    else:
        write_tar(path, files, "w:gz" if kind == "tar.gz" else "w")
    raw, refused = path.read_bytes(), 0
    for end in range(0, len(raw), 97):
        path.write_bytes(raw[:end])
        try:
            assert len(sources.load(str(path))) == 4  # cut behind the end of a tar
        except UserError:
            refused += 1
    assert refused > 5


def test_damaged_files_in_an_archive_are_unreadable_images(tmp_path):
    path = tmp_path / "x.zip"
    content = png(1)
    write_zip(path, {"a.png": png(0), "b.png": content}, zipfile.ZIP_STORED)
    raw = path.read_bytes()
    at = raw.index(content) + 60
    path.write_bytes(raw[:at] + bytes([raw[at] ^ 0xFF]) + raw[at + 1 :])
    with pytest.raises(UserError, match=r"x\.zip/b\.png cannot be read as an image \(Bad CRC-32"):
        sources.load(str(path))
    images, said = read(path, skip_broken=True)
    assert len(images) == 1
    assert said.endswith("1 unreadable, skipped: b.png")


def test_a_bomb_in_a_zip_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MOST", 1 << 20)
    write_zip(tmp_path / "x.zip", {"a.png": png(0), "b.png": bytes(32 << 20)})
    tracemalloc.start()
    with pytest.raises(UserError, match=r"b\.png cannot be read as an image \(34 MB, more than the 1 allowed\)"):
        sources.load(str(tmp_path / "x.zip"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_no_more_of_a_zips_file_is_inflated_than_its_directory_says(tmp_path):
    path = tmp_path / "x.zip"
    write_zip(path, {"a.png": bytes(64 << 20)})
    raw, size = path.read_bytes(), (64 << 20).to_bytes(4, "little")
    path.write_bytes(raw.replace(size, (9999).to_bytes(4, "little")))
    tracemalloc.start()
    with pytest.raises(UserError, match=r"a\.png cannot be read as an image"):
        sources.load(str(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6


def test_a_bomb_in_a_gzipped_tar_is_not_inflated_to_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BOMB", (1 << 20, 100))
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress(bytes(32 << 20)))
    written = []
    monkeypatch.setattr(archive.tempfile, "TemporaryFile", lambda: written.append(io.BytesIO()) or written[0])
    with pytest.raises(UserError, match=r"x\.tar\.gz is not a readable zip or tar file \(.* claim to hold"):
        sources.load(str(tmp_path / "x.tar.gz"))
    assert written[0].closed


def test_other_compressions_are_refused(tmp_path):
    write_zip(tmp_path / "x.zip", {"a.png": png(0)}, zipfile.ZIP_LZMA)
    with pytest.raises(UserError, match="compressed by a method other than deflate"):
        sources.load(str(tmp_path / "x.zip"))


def test_webdatasets_shards_are_one_set_with_the_classes_of_their_tags(tmp_path):
    for shard in (2, 10, 1):
        files = {}
        for k in range(6):
            key = f"{shard:02d}{k:04d}"
            files |= {f"{key}.png": png(100 * shard + k), f"{key}.cls": str(k % 3).encode(), f"{key}.json": b"{}"}
        write_tar(tmp_path / f"shard-{shard}.tar", files)
    images, said = read(tmp_path / "shard-*.tar")
    assert said == ("18 images, 3 classes, RGB, 8×8; classes from .cls files; not read: 18 .json")
    assert images.labels.tolist() == [0, 1, 2] * 6
    assert images.class_names == ()
    alone = read(tmp_path / "shard-2.tar")[0]
    assert torch.equal(alone.images, images.images[6:12])


def test_shards_are_numbered_as_webdataset_numbers_them(tmp_path):
    for k in (8, 9, 10, 11):
        write_tar(tmp_path / f"s-{k:03d}.tar", {f"{k}.png": png(k)})
    numbered = read(tmp_path / "s-{009..011}.tar")[0]
    assert torch.equal(
        numbered.images, torch.cat([read(tmp_path / f"s-0{k}.tar")[0].images for k in ("09", "10", "11")])
    )
    assert len(read(tmp_path / "s-00?.tar")[0].images) == 2
    with pytest.raises(UserError, match=r"2 of 5 archives cannot be found: .*s-012\.tar, .*s-013\.tar$"):
        sources.load(str(tmp_path / "s-{009..013}.tar"))
    with pytest.raises(UserError, match=r"no files match .*, such as .*s-8\.tar$"):
        sources.load(str(tmp_path / "s-{8..11}.tar"))
    with pytest.raises(UserError, match=r"no files match .*x-\*\.tar$"):
        sources.load(str(tmp_path / "x-*.tar"))
    with pytest.raises(UserError, match=r"give the lower number first, \{009..011\}"):
        sources.load(str(tmp_path / "s-{011..009}.tar"))
    with pytest.raises(UserError, match="more than the 10,000 allowed"):
        sources.load(str(tmp_path / "s-{0..99999}.tar"))


def test_one_name_in_two_shards_is_refused(tmp_path):
    for k in range(2):
        write_tar(tmp_path / f"shard-{k}.tar", {"a.png": png(k)})
    with pytest.raises(UserError, match=r"shard-1\.tar: a\.png is in another of these archives too"):
        sources.load(str(tmp_path / "shard-*.tar"))


def test_images_without_a_tag_are_named(tmp_path):
    write_tar(tmp_path / "x.tar", {"a.png": png(0), "a.cls": b"1", "b.png": png(1)})
    with pytest.raises(UserError, match=r"x\.tar: no class in \.cls files for 1 image, such as b\.png"):
        sources.load(str(tmp_path / "x.tar"))


def test_a_folder_beside_an_archive_of_the_same_name_goes_first(tmp_path):
    folder.save(tmp_path / "x.zip", torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    assert len(sources.load(str(tmp_path / "x.zip"))) == 2
    assert not archive.SOURCE.matches(str(tmp_path / "x.zip"))


def test_a_name_that_an_archive_holds_twice_is_refused(tmp_path):
    pixels = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(pixels, "png")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a.png", pixels.getvalue())
        with pytest.warns(UserWarning, match="Duplicate name"):
            file.writestr("a.png", pixels.getvalue())
    with pytest.raises(UserError, match=r"x.zip holds a.png twice"):
        sources.load(str(tmp_path / "x.zip"))
