"""Classes from tables and rules, and folders that come in parts."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fromnoise import tensors
from fromnoise.config import Config, settled
from fromnoise.data import sources
from fromnoise.data.settings import DataSettings
from fromnoise.errors import UserError
from fromnoise.files import read_json, write_json
from fromnoise.say import captured
from fromnoise.training.run_folder import RunFolder


@pytest.fixture
def put(tmp_path):
    """A function that writes images of noise, no two alike, below `photos`, and gives that folder."""
    count = 0

    def write(*names):
        nonlocal count
        for name in names:
            count += 1
            path = tmp_path / "photos" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.random.default_rng(count).integers(0, 256, (8, 8), np.uint8)).save(path)
        return tmp_path / "photos"

    return write


def read(photos, **how):
    with captured() as said:
        images = sources.load(str(photos), **how)
    return images, said[0].removeprefix(f"{photos}: ")


def classes(images):
    """The class of each image by its file's name."""
    names = images.class_names or [str(k) for k in range(images.classes)]
    return {file.rpartition("/")[2]: names[k] for file, k in zip(images.files, images.labels.tolist(), strict=True)}


CSV = "file_name,label\na.png,cat\nb.png,dog\nc.png,cat\n"
JSONL = "".join(json.dumps({"file_name": f"{k}.png", "label": v}) + "\n" for k, v in zip("abc", (2, 0, 2), strict=True))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("metadata.csv", CSV, {"a.png": "cat", "b.png": "dog", "c.png": "cat"}),
        ("metadata.csv", "\ufeff" + CSV.replace("\n", "\r\n"), {"a.png": "cat", "b.png": "dog", "c.png": "cat"}),
        ("metadata.csv", "label,x,file_name\n" + "".join(f"{v},1,{k}.png\n" for k, v in zip("abc", "uvu", strict=True)),
         {"a.png": "u", "b.png": "v", "c.png": "u"}),
        ("metadata.jsonl", JSONL, {"a.png": "2", "b.png": "0", "c.png": "2"}),
        ("metadata.csv", CSV + "gone.png,owl\n", {"a.png": "cat", "b.png": "dog", "c.png": "cat"}),
    ],
)  # fmt: skip
def test_a_table_says_the_classes(put, name, text, expected):
    photos = put("a.png", "b.png", "c.png")
    (photos / name).write_bytes(text.encode())
    images, said = read(photos)
    assert classes(images) == expected
    lost = f"; {name} names 1 file that was not read" if "gone" in text else ""
    assert said == f"3 images, 2 classes, grey, 8×8; classes from {name}{lost}"


def test_the_only_other_column_is_the_class_if_its_values_repeat(put):
    photos = put(*(f"{k}.png" for k in range(4)))
    (photos / "metadata.csv").write_text("file_name,kind\n" + "".join(f"{k}.png,{'ab'[k % 2]}\n" for k in range(4)))
    assert read(photos)[0].class_names == ("a", "b")
    (photos / "metadata.csv").write_text("file_name,text\n" + "".join(f"{k}.png,text {k}\n" for k in range(4)))
    images, said = read(photos)
    assert images.labels is None
    assert said.endswith("ignored: metadata.csv")


def test_several_columns_and_none_called_label_are_refused_with_two_ways_out(put):
    photos = put("cat1.png", "dog1.png")
    (photos / "metadata.csv").write_text("file_name,breed,age\ncat1.png,x,1\ndog1.png,y,2\n")
    with pytest.raises(UserError, match=r"metadata\.csv has no column 'label' but breed, age; rename the one"):
        read(photos)
    assert read(photos, label_by="folder")[0].labels is None
    assert read(photos, label_by="^([a-z]+)")[0].class_names == ("cat", "dog")


def test_one_name_in_two_unicode_forms_is_one_class(put):
    photos = put("caf\u00e9_0.png", "cafe\u0301_1.png", "dog_0.png", "dog_1.png")
    images = sources.load(str(photos), label_by="^(.+)_")
    assert images.class_names == ("caf\u00e9", "dog")
    assert images.labels.bincount().tolist() == [2, 2]


def test_sub_folders_stand_beside_a_table_without_labels(put):
    photos = put("cat/a.png", "dog/b.png")
    (photos / "metadata.csv").write_text("file_name,text,more\ncat/a.png,x,1\ndog/b.png,y,2\n")
    assert read(photos)[0].class_names == ("cat", "dog")


def test_labels_go_before_sub_folders_unless_a_rule_says_otherwise(put):
    photos = put("one/a.png", "two/b.png", "two/c.png")
    (photos / "metadata.csv").write_text("file_name,label\none/a.png,x\ntwo/b.png,y\n./two/c.png,x\n")
    assert classes(read(photos)[0]) == {"a.png": "x", "b.png": "y", "c.png": "x"}
    images, said = read(photos, label_by="folder")
    assert images.class_names == ("one", "two")
    assert said.endswith("ignored: metadata.csv (classes come from sub-folders)")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("file_name,label\na.png,cat\n", r"no class in metadata\.csv for 1 image, such as b\.png"),
        ("file_name,label\na.png,Smith, Anna\nb.png,x\n", r"the row of a\.png has more values than the header"),
        ("file_name,label\na.png,cat\nb.png,\n", r"no class in metadata\.csv for 1 image, such as b\.png"),
        ('file_name,label\na.png,"cat\nb.png,dog\n', r"metadata\.csv is not a readable table"),
        ("file_name,label\na.png,\x00\xff", r"metadata\.csv is not a readable table"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(put, text, told):
    photos = put("a.png", "b.png")
    (photos / "metadata.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=told) as refused:
        read(photos)
    assert "\n" not in str(refused.value)


def test_empty_cells_at_the_end_of_a_row_are_nothing(put):
    photos = put("a.png", "b.png")
    (photos / "metadata.csv").write_text("file_name,label\na.png,cat,\nb.png,dog\n")
    assert read(photos)[0].class_names == ("cat", "dog")


@pytest.mark.parametrize("text", ["{", "[1]", '{"file_name": "a.png"', "[" * 9000])
def test_damaged_json_lines_are_refused(put, text):
    photos = put("a.png")
    (photos / "metadata.jsonl").write_text(text)
    with pytest.raises(UserError, match=r"metadata\.jsonl is not a readable table"):
        read(photos)


def test_a_rule_names_the_classes(put):
    photos = put("cat_1.png", "cat_2.png", "old/dog_1.png")
    images, said = read(photos, label_by=r"([a-z]+)_\d")
    assert classes(images) == {"cat_1.png": "cat", "cat_2.png": "cat", "dog_1.png": "dog"}
    assert said == "3 images, 2 classes, grey, 8×8"


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("(cat", "--label-by '\\(cat' is not a regular expression"),
        (r"cat_\d", "has no group: put the part that names an image's class in brackets"),
        (r"(cat)_\d", r"matches only 2 of 3 image names; for example, not .old/dog_1\.png"),
        (r"(_)\d", "puts all images into one class, '_'"),
    ],
)
def test_a_rule_that_names_no_classes_is_refused(put, rule, told):
    photos = put("cat_1.png", "cat_2.png", "old/dog_1.png")
    with pytest.raises(UserError, match=told):
        read(photos, label_by=rule)


@pytest.mark.parametrize(("data", "told"), [("digits", "digits has classes already"), ("x.npz", "have no file names")])
def test_there_are_no_classes_by_name_without_names(tmp_path, monkeypatch, data, told):
    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", np.zeros((12, 8, 8), np.uint8))
    with pytest.raises(UserError, match=told):
        sources.prepare(DataSettings(data, label_by="(a)"), seed=0)


@pytest.mark.parametrize("val", ["val", "valid", "validation", "Validation"])
def test_a_folder_that_comes_in_parts_keeps_them(put, val):
    counts = {"train": 6, val: 2, "test": 3}
    names = [f"{part}/{kind}/{k}.png" for part, n in counts.items() for kind in "ab" for k in range(n)]
    photos = put(*names)
    images, said = read(photos)
    assert images.class_names == ("a", "b")
    assert said == "22 images, 2 classes, grey, 8×8; in parts of its own: 12 train, 4 val, 6 heldout"
    parts = sources.prepare(DataSettings(str(photos), size="8"), seed=0)
    for part, folder, n in (("train", "train", 12), ("val", val, 4), ("heldout", "test", 6)):
        found = getattr(parts, part)
        assert (found.name, len(found)) == (f"{photos}:{part}", n)
        assert all(f"/{folder}/" in file for file in found.files)
        assert sources.load(f"{photos}:{part}").fingerprint == found.fingerprint


@pytest.mark.parametrize("other", ["val", "test"])
def test_the_only_part_beside_train_is_held_out_and_val_comes_from_train(put, other):
    photos = put(*(f"train/{k}.png" for k in range(40)), *(f"{other}/{k}.png" for k in range(5)))
    parts = sources.prepare(DataSettings(str(photos), size="8"), seed=0)
    assert [len(part) for part in (parts.train, parts.val, parts.heldout)] == [36, 4, 5]
    assert {part.name for part in (parts.train, parts.val, parts.heldout)} == {
        f"{photos}:{part}" for part in ("train", "val", "heldout")
    }
    assert not set(parts.train.files) & set(parts.val.files)
    assert parts.train.groups is parts.val.groups is None, "the floor is val alone"
    assert all(f"/{other}/" in file for file in parts.heldout.files)


def test_few_training_images_of_their_own_part_leave_no_val(put):
    photos = put(*(f"train/{k}.png" for k in range(5)), "test/0.png")
    parts = sources.prepare(DataSettings(str(photos), size="8"), seed=0)
    assert (len(parts.train), parts.val, len(parts.heldout)) == (5, None, 1)


@pytest.mark.parametrize("names", [("train/a.png", "cat/b.png"), ("val/a.png", "test/b.png"),
                                   ("train/a.png", "test.png"), ("train/a.png", "training/b.png")])  # fmt: skip
def test_other_folders_are_no_parts(put, names):
    assert read(put(*names))[0].parts == ()


@pytest.mark.parametrize(
    ("others", "told"),
    [
        (["unlabeled/1.png", "unlabeled/deep/2.png"], "unlabeled/ (2 images)"),
        (["preview.png"], "1 image outside folders"),
        (
            ["a.png", "b.png", "more/1.png", "tests/1.png"],
            "2 images outside folders, more/ (1 image), tests/ (1 image)",
        ),
        ([f"{k}/1.png" for k in range(9)], "0/ (1 image), 1/ (1 image), 2/ (1 image), 3/ (1 image) and 5 more"),
    ],
)
@pytest.mark.parametrize("inside", ["", "set/", "my/set/"])
def test_images_outside_the_parts_are_left_out(put, inside, others, told):
    parts = [f"{part}/{kind}/{k}.png" for part in ("train", "test") for kind in "ab" for k in range(2)]
    photos = put(*(inside + name for name in [*parts, *others]))
    (photos / inside / others[0]).write_bytes(b"no image")
    images, said = read(photos)
    assert said == f"8 images, 2 classes, grey, 8×8; in parts of its own: 4 train, 4 heldout; left out: {told}"
    assert images.class_names == ("a", "b")
    assert {file.removeprefix(f"{photos}/{inside}") for file in images.files} == set(parts)
    heldout = sources.prepare(DataSettings(str(photos), size="8"), seed=0).heldout
    assert all("/test/" in file for file in heldout.files)


def test_folders_are_classes_whatever_their_names_if_the_rule_says_so(put):
    photos = put(*(f"{name}/{k}.png" for name in ("train", "test", "unlabeled") for k in range(2)))
    images, said = read(photos, label_by="folder")
    assert (images.class_names, images.parts) == (("test", "train", "unlabeled"), ())
    assert said.endswith("3 classes, grey, 8×8; test/, train/ are classes, not parts (--label-by folder)")
    images, said = read(put("preview.png"), label_by="folder")
    assert (images.class_names, len(images.parts)) == ((), 4)
    assert said.endswith("; left out: 1 image outside folders, unlabeled/ (2 images)")


def test_what_is_left_out_needs_no_class_and_is_not_missed(put):
    photos = put("train/a.png", "train/b.png", "test/c.png", "unlabeled/d.png", "unlabeled/e.png")
    rows = "train/a.png,x\ntrain/b.png,y\ntest/c.png,x\nunlabeled/d.png,\nunlabeled/d.png,z\n"
    (photos / "metadata.csv").write_text(f"file_name,label\n{rows}")
    images, said = read(photos)
    assert classes(images) == {"a.png": "x", "b.png": "y", "c.png": "x"}
    assert said.endswith("left out: unlabeled/ (2 images); classes from metadata.csv")


@pytest.mark.parametrize("inside", ["data", "my/data"])
def test_folders_that_all_images_lie_in_are_no_classes(put, inside):
    photos = put(*(f"{inside}/{name}" for name in ("cat/a.png", "cat/old/b.png", "dog/c.png")))
    (photos / "README.md").write_text("mine")
    images, said = read(photos)
    assert classes(images) == {"a.png": "cat", "b.png": "cat", "c.png": "dog"}
    assert said == "3 images, 2 classes, grey, 8×8; not read: 1 .md"
    assert images.files == tuple(f"{photos}/{inside}/{name}" for name in ("cat/a.png", "cat/old/b.png", "dog/c.png"))
    assert read(photos, label_by=f"^{inside}/([a-z])")[0].class_names == ("c", "d")
    put("data.png")
    assert read(photos)[0].labels is None


def test_folders_within_all_parts_are_no_classes(put):
    photos = put(*(f"set/{part}/images/{kind}/a.png" for part in ("train", "test") for kind in ("cat", "dog")))
    images, said = read(photos)
    assert images.class_names == ("cat", "dog")
    assert said == "4 images, 2 classes, grey, 8×8; in parts of its own: 2 train, 2 heldout"


@pytest.mark.parametrize("place", ["", "data", "data/cat"])
def test_tables_name_images_from_their_own_place(put, place):
    photos = put("data/cat/a.png", "data/cat/b.png")
    cat = "data/cat/".removeprefix(f"{place}/")
    (photos / place / "metadata.csv").write_text(f"file_name,label\n{cat}a.png,x\n{cat}b.png,y\n")
    assert classes(read(photos)[0]) == {"a.png": "x", "b.png": "y"}


def test_tables_may_lie_in_the_parts(put):
    photos = put(*(f"{part}/{k}.png" for part in ("train", "test") for k in range(3)))
    for part in ("train", "test"):
        (photos / part / "metadata.csv").write_text("file_name,label\n0.png,x\n1.png,y\n2.png,x\n")
    images, said = read(photos)
    assert images.labels.tolist() == [0, 1, 0, 0, 1, 0]
    assert said.endswith("in parts of its own: 3 train, 3 heldout; classes from test/metadata.csv, train/metadata.csv")


def test_images_in_parts_are_not_grouped(put):
    photos = put("train/a.png", "test/b.png")
    with pytest.raises(UserError, match="--group-by is for images that fromnoise splits"):
        sources.prepare(DataSettings(str(photos), size="8", group_by="folder"), seed=0)


SMALL = "half of the classes have at most {}: if they are patients or series, train with --no-labels{}"


@pytest.mark.parametrize(
    ("names", "n", "told"),
    [
        ([f"{{}}/{k}.png" for k in range(4)], 21, SMALL.format("4 images", " and --group-by folder")),
        (["{}/a.png"], 30, SMALL.format("1 image", " and --group-by folder")),
        (["{}/x/a.png", "{}/y/b.png"], 21,
         SMALL.format("2 images", " and, if file names tell them apart, --group-by")),
        (["train/{}/a.png", "test/{}/b.png"], 21, SMALL.format("2 images", "")),
        ([f"{{}}/{k}.png" for k in range(4)], 20, ""),
        ([f"{{}}/{k}.png" for k in range(10)], 21, ""),
    ],
)  # fmt: skip
def test_many_classes_of_few_images_may_be_none(put, names, n, told):
    photos = put(*(name.format(f"p{k}") for k in range(n) for name in names))
    said = read(photos)[1]
    assert said.startswith(f"{n * len(names)} images, {n} classes, grey, 8×8")
    assert said.endswith(f"; {told}") if told else "half of" not in said
    assert "half of" not in read(photos, label_by=r"(p\d+)/")[1]


def test_many_classes_of_few_images_from_a_table_may_be_none(put):
    photos = put(*(f"{k}.png" for k in range(42)))
    (photos / "metadata.csv").write_text("file_name,label\n" + "".join(f"{k}.png,{k // 2}\n" for k in range(42)))
    told = SMALL.format("2 images", " and, if file names tell them apart, --group-by")
    assert read(photos)[1] == f"42 images, 21 classes, grey, 8×8; classes from metadata.csv; {told}"


def test_a_runs_reference_has_its_classes(put):
    photos = put(*(f"{'cat' if k % 2 else 'dog'}_{k}.png" for k in range(40)))
    trained = DataSettings(str(photos), size="8", label_by="([a-z]+)_")
    parts = sources.prepare(trained, seed=0)
    spec = sources.reference_for(trained.data)
    found = sources.load_as(spec, trained, (8, 8))
    assert found.class_names == ("cat", "dog")
    assert found.fingerprint == parts.heldout.fingerprint
    assert torch.bincount(found.labels).tolist() == [2, 2]


def test_classes_whose_names_are_not_utf_8_are_told_apart_and_can_be_written(put, tmp_path):
    names = [os.fsdecode(name) for name in (b"\xe4hre", b"\xf6l")]  # as from an old archive
    try:
        images, _ = read(put(*(f"{name}/{k}.png" for name in names for k in range(2))))
    except OSError:
        pytest.skip("this disk takes only names in UTF-8")
    assert images.class_names == (r"\udce4hre", r"\udcf6l")
    write_json(tmp_path / "report.json", {"classes": images.class_names, "file": names[0]})
    assert read_json(tmp_path / "report.json") == {"classes": list(images.class_names), "file": "?hre"}
    for refused in (
        lambda: settled(Config(data=DataSettings(data=names[0])), None),
        lambda: RunFolder(Path(names[0])).check_settings(Config()),
        lambda: tensors.load(Path(names[0])),
    ):
        with pytest.raises(UserError, match="its name is not UTF-8: rename it"):
            refused()


def test_two_classes_of_an_image_are_refused_in_any_column(put):
    photos = put("a.png", "b.png", "c.png", "d.png")
    rows = "a.png,x\nb.png,y\nc.png,x\nd.png,y\n"
    (photos / "metadata.csv").write_text(f"file_name,kind\n{rows}a.png,x\n")
    assert classes(read(photos)[0])["a.png"] == "x"
    (photos / "metadata.csv").write_text(f"file_name,kind\n{rows}a.png,y\n")
    with pytest.raises(UserError, match=r"metadata.csv gives a.png two classes"):
        read(photos)


def test_a_column_of_splits_is_said_not_to_be_used(put):
    photos = put("a.png", "b.png", "c.png", "d.png")
    rows = "".join(f"{k}.png,{v},train\n" for k, v in zip("abcd", "xyxy", strict=True))
    (photos / "metadata.csv").write_text(f"file_name,kind,split\n{rows}")
    images, said = read(photos)
    assert classes(images) == {"a.png": "x", "b.png": "y", "c.png": "x", "d.png": "y"}
    assert "the column 'split' is not used" in said


def test_json_lines_may_hold_any_letter_but_no_list_of_classes(put):
    photos = put("a.png", "b.png")
    lines = [{"file_name": f"{k}.png", "label": f"{k}\u2028\x85", "objects": {"bbox": [1, 2]}} for k in "ab"]
    (photos / "metadata.jsonl").write_text("\n".join(json.dumps(line, ensure_ascii=False) for line in lines))
    assert read(photos)[0].classes == 2
    (photos / "metadata.jsonl").write_text(json.dumps({"file_name": "a.png", "label": [0, 1]}))
    with pytest.raises(UserError, match="'label' must be one name or number, not several"):
        read(photos)


def test_names_in_a_table_may_differ_in_case_and_in_how_accents_are_written(put):
    photos = put("e\u0301.png", "b.PNG")
    (photos / "metadata.csv").write_text("file_name,label\n\u00e9.png,x\nB.png,y\n")
    assert list(classes(read(photos)[0]).values()) == ["y", "x"]
