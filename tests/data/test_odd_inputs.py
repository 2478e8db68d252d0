"""Odd and broken input, each kind with its outcome: the line that its reading says, or the sentence that refuses it."""

import io
import os
import pickle
import struct
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fromnoise.data import archive as archives
from fromnoise.data import cache, sources
from fromnoise.errors import UserError
from fromnoise.say import captured


def noise(*shape, seed=0):
    return np.random.default_rng([*shape, seed]).integers(0, 256, shape, np.uint8)


def encoded(image, form="PNG", **how):
    """A picture's bytes; `image` is an array, or Pillow's."""
    out = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(out, form, **how)
    return out.getvalue()


def grey(seed=0, height=8, width=8):
    return encoded(noise(height, width, seed=seed))


def rgb(seed=0, height=8, width=8):
    return encoded(noise(height, width, 3, seed=seed))


def rgba(alpha):
    return encoded(np.dstack([noise(8, 8, 3), np.full((8, 8), alpha, np.uint8)]))


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise(6, 8, 3), exif=exif)


def damaged_exif(form, seed=0):
    """A picture with whole pixels."""
    return encoded(noise(8, 8, 3, seed=seed), form, exif=b"Exif\0\0junk, no tags")


BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262


def tiff(tag, was, now):
    """A TIFF of 16 bits, 8×8, with the values 0 to 63, whose `tag` says `now`."""
    entry, raw = struct.Struct("<HHIHH"), encoded(np.arange(64, dtype=np.uint16).reshape(8, 8), "TIFF")
    assert raw.count(entry.pack(tag, 3, 1, was, 0)) == 1
    return raw.replace(entry.pack(tag, 3, 1, was, 0), entry.pack(tag, 3, 1, now, 0))


def frames(form):
    first, *others = (Image.new("RGB", (8, 8), (level, 50, 50)) for level in (200, 100, 0))
    return encoded(first, form, save_all=True, append_images=others, **({"lossless": True} if form == "WEBP" else {}))


def huge():
    """A PNG that says it has 60,000 × 60,000 pixels."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b""))]
    packed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def archive(kind, files):
    """The bytes of a zip or tar of files."""
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as file:
            for name, content in files.items():
                file.writestr(name, content)
        return out.getvalue()
    with tarfile.open(fileobj=out, mode=kind) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()


def encrypted():
    raw = bytearray(archive("zip", {"a.png": rgb()}))
    raw[6] |= 1
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(raw)


def npz(**arrays):
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def npy(array):
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def linked(folder):
    (folder / "cat").mkdir()
    (folder / "cat" / "a.png").write_bytes(grey())
    os.symlink(folder, folder / "cat" / "round")
    os.symlink(folder / "nowhere", folder / "cat" / "broken.png")


def piped(folder):
    (folder / "a.png").write_bytes(grey())
    os.mkfifo(folder / "b.png")


def three(**more):
    """Three grey pictures and what else there is."""
    tables = {name.replace("__", "."): text.encode() for name, text in more.items()}
    return {f"{k}.png": grey(k) for k in range(3)} | tables


MEDICAL = {f"{part}_{what}": noise(n, 8, 8, seed=n) if what == "images" else np.arange(n)[:, None] % 2
           for part, n in (("train", 6), ("val", 2), ("test", 4)) for what in ("images", "labels")}  # fmt: skip

# What it is, the files of a folder (or what makes them; or one file's name and bytes), and what is said. Refusals begin
# with "refused"; sizes are read as they are, unless the name ends in "@HEIGHTxWIDTH".
TABLE = [
    ("no such thing", None, "refused: neither a data set"),
    ("tables of a hub's data set", {"data/train-00000.parquet": b"PAR1"}, "refused: name it hf:"),
    ("an empty folder", {}, "refused: holds no images"),
    ("a folder of texts", {"a.txt": b"mine"}, "refused: holds no images; not read: 1 .txt"),
    ("one picture", {"a.png": grey()}, "1 image, no classes, grey, 8×8"),
    ("one pixel", {"a.png": grey(0, 1, 1)}, "1 image, no classes, grey, 1×1"),
    ("a line of pixels", {"a.png": grey(0, 1, 300)}, "1 image, no classes, grey, 1×300"),
    ("grey among colour", {"a.png": grey(), "b.png": rgb()}, "2 images, no classes, RGB, 8×8"),
    ("black and white", {"a.png": encoded(Image.fromarray(noise(8, 8) > 127))}, "1 image, no classes, grey, 8×8"),
    ("a palette", {"a.gif": encoded(noise(8, 8, 3), "GIF")}, "1 image, no classes, RGB, 8×8"),
    ("opaque RGBA", {"a.png": rgba(255)}, "1 image, no classes, RGB, 8×8"),
    ("RGBA", {"a.png": rgba(128)}, "1 image, no classes, RGBA, 8×8; with transparency (1 image)"),
    ("transparent among opaque", {"a.png": rgba(128), "b.png": grey()},
     "2 images, no classes, RGBA, 8×8; with transparency (1 image)"),
    ("grey of 16 bits", {"a.png": encoded(np.arange(64, dtype=np.uint16).reshape(8, 8) + 500)},
     "1 image, no classes, grey, 8×8; values from 500 to 563 mapped to 8 bits"),
    ("a TIFF of 64 bits", {"a.tif": tiff(BITS_PER_SAMPLE, 16, 64)},
     "refused: TIFF files hold grey, RGB or RGBA of 8 or 16 bits, or float32: save other arrays as one .npy file"),
    ("8 bits and 16", {"a.png": grey(), "b.png": encoded(np.arange(64, dtype=np.uint16).reshape(8, 8))},
     "refused: mixes grey of more than 8 bits with other images: "
     "8-bit grey (1 file, such as a.png), 16-bit grey (1 file, such as b.png); convert all to 8 bits, or all to more"),
    ("print colours", {"a.jpg": encoded(Image.new("CMYK", (8, 8), (0, 200, 0, 0)), "JPEG")},
     "1 image, no classes, RGB, 8×8; colour spaces such as CMYK converted to RGB (1 image)"),
    ("a camera held sideways", {"a.png": turned()},
     "1 image, no classes, RGB, 8×6; turned upright, as EXIF says (1 image)"),
    ("damaged EXIF", {"a.png": damaged_exif("PNG"), "b.webp": damaged_exif("WEBP", 1),
                      "c.jpg": damaged_exif("JPEG", 2)}, "3 images, no classes, RGB, 8×8"),
    ("a film as GIF", {"a.gif": frames("GIF")}, "1 image, no classes, RGB, 8×8; first frame only (1 image)"),
    ("a film as WebP", {"a.webp": frames("WEBP")}, "1 image, no classes, RGB, 8×8; first frame only (1 image)"),
    ("a TIFF of pages", {"a.tif": frames("TIFF")}, "1 image, no classes, RGB, 8×8; first frame only (1 image)"),
    ("a PNG called .jpg", {"a.jpg": grey()}, "1 image, no classes, grey, 8×8"),
    ("capital letters", {"A.PNG": grey(), "B.Jpeg": encoded(noise(8, 8), "JPEG")}, "2 images, no classes, grey, 8×8"),
    ("names of any letters", {"Ünï 漢字.png": grey(), "new\nline.png": grey(1)}, "2 images, no classes, grey, 8×8"),
    ("a file of no bytes", {"a.png": b""}, "refused: a.png cannot be read as an image"),
    ("half a file", {"a.png": rgb(0, 32, 32)[:900]}, "refused: a.png cannot be read as an image"),
    ("a web page for a picture", {"a.jpg": b"<html>404</html>"}, "refused: not an image in a supported format"),
    ("more pixels than there is memory for", {"a.png": huge()}, "refused: pixels): repair or remove it"),
    ("two sizes", {"a.png": grey(), "b.png": grey(0, 9, 7)}, "refused: b.png is 9×7, but a.png is 8×8; make them"),
    ("two sizes@8x8", {"a.png": grey(), "b.png": grey(0, 9, 7)},
     "2 images, no classes, grey, 2 sizes from 9×7 to 8×8 → 8×8; "
     "stretched to other proportions; --fit crop or pad keeps them (1 image)"),
    ("vector graphics and phones' pictures", {"a.png": grey(), "b.svg": b"<svg/>", "c.heic": b"?"},
     "1 image, no classes, grey, 8×8; not read: 1 .heic, 1 .svg"),
    ("hidden files", {"a.png": grey(), ".b.png": b"?", "__MACOSX/._a.png": b"?", ".git/c.png": b"?"},
     "1 image, no classes, grey, 8×8; not read: 3 hidden"),
    ("a folder called like a picture", {"a.png/b.png": grey()}, "1 image, no classes, grey, 8×8"),
    ("links in a circle, and to nowhere", linked,
     "1 image, no classes, grey, 8×8; not read: 1 broken links or devices, 1 links to a folder above"),
    ("a pipe called like a picture", piped, "1 image, no classes, grey, 8×8; not read: 1 broken links or devices"),
    ("the same picture again", {"a.png": grey(), "b.bmp": encoded(noise(8, 8), "BMP")},
     "2 images, no classes, grey, 8×8; 1 duplicate, 1 distinct"),
    ("classes in deeper folders", {"cat/x/a.png": grey(), "dog/b.png": grey(1)}, "2 images, 2 classes, grey, 8×8"),
    ("one sub-folder alone", {"cat/a.png": grey()}, "1 image, no classes, grey, 8×8"),
    ("a picture outside the sub-folders", {"cat/a.png": grey(), "dog/b.png": grey(1), "c.png": grey(2)},
     "3 images, no classes, grey, 8×8; sub-folders are not classes (1 image outside them)"),
    ("1 and 01 as classes", {"1/a.png": grey(), "01/b.png": grey(1)}, "2 images, 2 classes, grey, 8×8"),
    ("a folder in parts", {"train/a.png": grey(), "validation/b.png": grey(1), "test/c.png": grey(2)},
     "3 images, no classes, grey, 8×8; in parts of its own: 1 train, 1 val, 1 heldout"),
    ("a folder in parts, and more", {"train/a.png": grey(), "test/b.png": grey(1), "new/c.png": rgb(), "d.png": b"?"},
     "2 images, no classes, grey, 8×8; in parts of its own: 1 train, 1 heldout; "
     "left out: 1 image outside folders, new/ (1 image)"),
    ("classes in a folder", {"mine/cat/a.png": grey(), "mine/dog/b.png": grey(1), "notes.txt": b"mine"},
     "2 images, 2 classes, grey, 8×8; not read: 1 .txt"),
    ("a table of classes", three(metadata__csv="file_name,label\n0.png,x\n1.png,y\n2.png,x\n"),
     "3 images, 2 classes, grey, 8×8; classes from metadata.csv"),
    ("a table of JSON lines", three(metadata__jsonl='{"file_name":"0.png","label":4}\n{"file_name":"1.png","label":7}\n'
                                    '{"file_name":"2.png","label":7}\n'),
     "3 images, 2 classes, grey, 8×8; classes from metadata.jsonl"),
    ("a table that lacks a row", three(metadata__csv="file_name,label\n0.png,x\n1.png,y\n"),
     "refused: no class in metadata.csv for 1 image, such as 2.png; add what is missing"),
    ("a spreadsheet's table", three(metadata__csv="file_name;label\n0.png;x\n1.png;y\n2.png;x\n"),
     "3 images, 2 classes, grey, 8×8; classes from metadata.csv"),
    ("a table of tabs", three(metadata__csv="file_name\tlabel\n0.png\tx, y\n1.png\ty\n2.png\ty\n"),
     "3 images, 2 classes, grey, 8×8; classes from metadata.csv"),
    ("a table of one class", three(metadata__csv="file_name,label\n0.png,x\n1.png,x\n2.png,x\n"),
     "3 images, no classes, grey, 8×8; metadata.csv has one class only"),
    ("a table of two minds", three(metadata__csv="file_name,label\n0.png,x\n1.png,y\n2.png,x\n0.png,y\n"),
     "refused: metadata.csv gives 0.png two classes: remove one of its rows"),
    ("a table that names no images", three(metadata__csv="image,label\n0.png,x\n1.png,y\n2.png,x\n"),
     "3 images, no classes, grey, 8×8; metadata.csv has no column 'file_name' but "
     "image, label; ignored: metadata.csv"),
    ("a table of captions", three(metadata__csv="file_name,text\n0.png,a cat\n1.png,a dog\n2.png,an owl\n"),
     "3 images, no classes, grey, 8×8; ignored: metadata.csv"),
    ("a table of several columns", three(metadata__csv="file_name,breed,age\n0.png,x,1\n1.png,y,2\n2.png,x,3\n"),
     "refused: no column 'label' but breed, age; rename the one that holds the classes"),
    ("a table of no text", {"a.png": grey(), "metadata.csv": b"file_name,label\n\xff"},
     "refused: metadata.csv is not a readable table (not in UTF-8: save it in that encoding)"),
    ("another tool's table", three(labels__csv="0.png,1\n"),
     "3 images, no classes, grey, 8×8; ignored: labels.csv"),
    ("a zip", ("x.zip", archive("zip", {"cat/a.png": grey(), "dog/b.png": grey(1)})), "2 images, 2 classes, grey, 8×8"),
    ("a zip of a folder, by a Mac", ("x.zip", archive("zip", {
        "mine/cat/a.png": grey(), "mine/dog/b.png": grey(1), "__MACOSX/mine/cat/._a.png": b"?"})),
     "2 images, 2 classes, grey, 8×8; not read: 1 hidden"),
    ("a zip that leads out of itself", ("x.zip", archive("zip", {"a.png": grey(), "../b.png": grey(1)})),
     "1 image, no classes, grey, 8×8; not read: 1 outside the archive"),
    ("a zip in a zip", ("x.zip", archive("zip", {"a.png": grey(), "y.zip": archive("zip", {"b.png": grey()})})),
     "1 image, no classes, grey, 8×8; not read: 1 .zip"),
    ("a zip with a password", ("x.zip", encrypted()), "refused: (encrypted)"),
    ("half a zip", ("x.zip", archive("zip", {"a.png": rgb()})[:200]), "refused: x.zip is not a readable zip or tar"),
    ("a tar, gzipped", ("x.tar.gz", archive("w:gz", {"./a.png": grey()})), "1 image, no classes, grey, 8×8"),
    ("half a tar, gzipped", ("x.tgz", archive("w:gz", {"a.png": rgb(0, 32, 32)})[:900]),
     "refused: x.tgz is not a readable zip or tar"),
    ("WebDataset's tar", ("x.tar", archive("w", {"0.png": grey(), "0.cls": b"3", "1.png": grey(1), "1.cls": b"5\n"})),
     "2 images, 2 classes, grey, 8×8; classes from .cls files"),
    ("an array", ("x.npz", npz(arr_0=noise(5, 8, 8, 3))), "5 images, no classes, RGB, 8×8"),
    ("a bare array", ("x.npy", npy(noise(5, 8, 8))), "5 images, no classes, grey, 8×8"),
    ("an array with its channels first", ("x.npz", npz(arr_0=noise(5, 3, 8, 8))), "5 images, no classes, RGB, 8×8"),
    ("an array of floats", ("x.npz", npz(arr_0=np.linspace(-1, 1, 320).reshape(5, 8, 8))),
     "5 images, no classes, grey, 8×8; values from -1 to 1 mapped to 8 bits"),
    ("a scan with a hot pixel", ("x.npy", npy(np.append(np.arange(1279.0) % 100, 4000).reshape(5, 16, 16))),
     "5 images, no classes, grey, 16×16; values from 0 to 4000 mapped to 8 bits "
     "(99.8 % of the values to 7 of 256 levels: if the others are outliers, np.clip(images, 0, 102) beforehand gives "
     "finer steps)"),
    ("floats in a quarter of their range",
     ("x.npy", npy(np.append(np.linspace(0, 0.24, 1279), 1).reshape(5, 16, 16))),
     "5 images, no classes, grey, 16×16; values from 0 to 1 mapped to 8 bits "
     "(99.8 % of the values to 62 of 256 levels: if the others are outliers, np.clip(images, 0, 0.2412) beforehand "
     "gives finer steps)"),
    ("floats in a third of their range", ("x.npy", npy(np.append(np.linspace(0, 0.3, 1279), 1).reshape(5, 16, 16))),
     "5 images, no classes, grey, 16×16; values from 0 to 1 mapped to 8 bits"),
    ("channels of other units", ("x.npy", npy(np.stack([noise(5, 8, 8) / 255, noise(5, 8, 8) + 273.0], axis=-1))),
     "5 images, no classes, 2 channels, 8×8; values from 0 to 527 mapped to 8 bits "
     "(99.8 % of the values of channel 1 to 1 of 256 levels: scale each channel for finer steps)"),
    ("an array of complex numbers", ("x.npy", npy(noise(5, 8, 8) * 1j)), "refused: images must be numbers"),
    ("MedMNIST's arrays", ("x.npz", npz(**MEDICAL)),
     "12 images, 2 classes, grey, 8×8; in parts of its own: 6 train, 2 val, 4 heldout"),
    ("an array of no images", ("x.npz", npz(arr_0=noise(0, 8, 8))), "refused: no images"),
    ("arrays of other names", ("x.npz", npz(x_train=noise(5, 8, 8))), "refused: no array 'arr_0' or 'images'"),
    ("fewer labels than images", ("x.npz", npz(arr_0=noise(5, 8, 8), labels=np.arange(4))), "refused: 4 labels for 5"),
    ("an array of volumes", ("x.npz", npz(train_images=noise(2, 9, 9, 9))), "refused: images must be"),
    ("an array of objects", ("x.npz", npz(arr_0=np.array([None] * 4))), "refused: holds pickled objects"),
    ("an array cut short", ("x.npy", npy(noise(5, 8, 8))[:-7]), "refused: x.npy is not a readable .npy file"),
    ("a pickle", ("x.pkl", pickle.dumps([1, 2])), "refused: x.pkl is a pickle: opening it may run any program"),
    ("a file of another kind", ("x.toml", b""), "refused: neither a data set"),
    ("Hugging Face's folder, without its library", {"state.json": b"{}", "dataset_info.json": b"{}"},
     'refused: this needs datasets: pip install "fromnoise[hf]"'),
]  # fmt: skip


@pytest.fixture
def no_datasets(monkeypatch):
    """As if the library `datasets` were not installed."""
    monkeypatch.setitem(sys.modules, "datasets", None)


@pytest.mark.parametrize(("what", "made", "outcome"), TABLE, ids=[row[0] for row in TABLE])
@pytest.mark.usefixtures("no_datasets")
def test_each_has_its_outcome(tmp_path, what, made, outcome):
    place, size = placed(tmp_path, what, made)
    before = sorted(tmp_path.rglob("*"))
    if outcome.startswith("refused: "):
        with pytest.raises(UserError) as refused, captured() as said:
            sources.load(str(place), size)
        assert outcome.removeprefix("refused: ") in str(refused.value)
        assert place.name in str(refused.value) or "pip install" in outcome
        assert "\n" not in str(refused.value)
        assert not said
    else:
        with captured() as said:
            images = sources.load(str(place), size)
        assert said == [f"{place}: {outcome}"]
        assert outcome.startswith(f"{len(images)} image")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(("what", "made", "outcome"), TABLE, ids=[row[0] for row in TABLE])
@pytest.mark.usefixtures("no_datasets")
def test_each_has_the_same_outcome_where_it_was_decoded_before(tmp_path, monkeypatch, what, made, outcome):
    monkeypatch.setattr(cache, "LARGE", 1)
    monkeypatch.setenv("FROMNOISE_CACHE", str(tmp_path / "kept"))
    place, size = placed(tmp_path, what, made)
    kept = not isinstance(made, tuple) or made[0].endswith(archives.SUFFIXES)
    for start in range(2):
        try:
            with captured() as said:
                sources.load(str(place), size)
        except UserError as refused:
            said = [f"refused: {refused}"]
            assert outcome.removeprefix("refused: ") in said[0]
        else:
            assert said == [f"{place}: {outcome}{f'; {cache.KNOWN}' if kept and start else ''}"]


def placed(folder: Path, what, made):
    """The path of a row, once it is made, and the size to read it at."""
    place = folder / "photos"
    if isinstance(made, tuple):
        place = folder / made[0]
        place.write_bytes(made[1])
    elif made is not None:
        place.mkdir()
        try:
            write(place, made)
        except (OSError, AttributeError):
            pytest.skip("not on this system")
    return place, tuple(map(int, what.partition("@")[2].split("x"))) if "@" in what else None


def write(folder: Path, made):
    """The files of a row."""
    if callable(made):
        made(folder)
        return
    for name, content in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def test_the_table_is_long_enough():
    assert len(TABLE) >= 40
    assert len({row[0] for row in TABLE}) == len(TABLE)


def test_white_is_zero_in_a_tiff_that_says_so(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff(PHOTOMETRIC, 1, 0))
    images = sources.load(str(tmp_path))
    assert images.range == (65535 - 63, 65535)
    assert images.images[0, 0, 0, 0] == 255
    assert images.images[0, 0, -1, -1] == 0
