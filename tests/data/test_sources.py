import numpy as np
import pytest
import torch

from fromnoise import rng
from fromnoise.data import arrays, folder, sources
from fromnoise.data.groups import groups
from fromnoise.data.parts import SPLIT_SEED, unseen
from fromnoise.data.resize import resize
from fromnoise.data.settings import NAMED, DataSettings, parse_size
from fromnoise.errors import UserError
from fromnoise.say import captured


@pytest.fixture
def photos(tmp_path, make_images):
    """A folder of 40 images of two classes."""
    path = tmp_path / "photos"
    folder.save(path, make_images(40), [k % 2 for k in range(40)])
    return path


@pytest.fixture
def npz(tmp_path, make_images):
    """An .npz file of 40 unlabelled images."""
    path = tmp_path / "images.npz"
    arrays.save(path, make_images(40))
    return path


@pytest.fixture
def root(tmp_path, write_idx_set, monkeypatch):
    """The data root, with both IDX sets, 20 images to train and 10 to test each."""
    write_idx_set(tmp_path / "root" / "mnist", 1)
    write_idx_set(tmp_path / "root" / "fashion_mnist", 2)
    monkeypatch.setenv("FROMNOISE_DATA", str(tmp_path / "root"))
    return tmp_path / "root"


def fingerprints(parts):
    return [None if part is None else part.fingerprint for part in (parts.train, parts.val, parts.heldout)]


@pytest.mark.parametrize(
    ("spec", "name", "n"),
    [
        ("digits", "digits:train", 3000),
        ("digits:train", "digits:train", 3000),
        ("digits:val", "digits:val", 1000),
        ("digits:heldout", "digits:heldout", 1000),
        ("mnist", "mnist:train", 20),
        ("mnist:train", "mnist:train", 20),
        ("mnist:test", "mnist:test", 10),
        ("fashion_mnist", "fashion_mnist:train", 20),
        ("fashion_mnist:train", "fashion_mnist:train", 20),
        ("fashion_mnist:test", "fashion_mnist:test", 10),
    ],
)
def test_a_named_set_is_found_by_name_and_part(root, spec, name, n):
    images = sources.load(spec)
    assert (images.name, len(images), images.shape) == (name, n, (1, 28, 28))


@pytest.mark.parametrize(("part", "n"), [("", 40), (":train", 32), (":val", 4), (":heldout", 4)])
@pytest.mark.parametrize("source", ["photos", "npz"])
def test_a_path_is_read_whole_or_in_parts(request, source, part, n):
    path = request.getfixturevalue(source)
    assert len(sources.load(f"{path}{part}")) == n


def test_a_path_may_have_a_colon_in_it(tmp_path, make_images):
    folder.save(tmp_path / "2024:photos", make_images(3))
    assert len(sources.load(str(tmp_path / "2024:photos"))) == 3


@pytest.mark.parametrize("spec", ["digits:val", "mnist:test", "{photos}", "{npz}", "{npz}:heldout"])
def test_images_are_resized_where_a_size_is_said(root, photos, npz, spec):
    spec = spec.format(photos=photos, npz=npz)
    resized = sources.load(spec, (12, 10))
    assert torch.equal(resized.images, resize(sources.load(spec).images, (12, 10)))


@pytest.mark.parametrize("source", ["photos", "npz"])
def test_the_parts_of_a_users_images_are_disjoint_and_complete(request, keys, source):
    path = request.getfixturevalue(source)
    parts = [sources.load(f"{path}:{part}") for part in ("train", "val", "heldout")]
    assert sorted(key for part in parts for key in keys(part)) == sorted(keys(sources.load(str(path))))


@pytest.mark.parametrize("source", ["photos", "npz"])
def test_the_parts_of_a_users_images_are_the_same_for_every_run(request, source):
    path = str(request.getfixturevalue(source))
    torch.manual_seed(0)
    first = sources.prepare(DataSettings(path, size="8"), seed=1)
    torch.manual_seed(1)
    assert fingerprints(sources.prepare(DataSettings(path, size="8"), seed=2)) == fingerprints(first)
    loaded = [sources.load(f"{path}:{part}").fingerprint for part in ("train", "val", "heldout")]
    assert loaded == fingerprints(first)


def test_the_parts_of_labelled_images_are_balanced(photos):
    for part, n in (("train", 16), ("val", 2), ("heldout", 2)):
        assert torch.bincount(sources.load(f"{photos}:{part}").labels).tolist() == [n, n]


def test_too_few_images_have_no_parts_but_can_be_learnt(tmp_path, make_images):
    path = tmp_path / "few.npz"
    arrays.save(path, make_images(9))
    parts = sources.prepare(DataSettings(str(path)), seed=0)
    assert (len(parts.train), parts.val, parts.heldout) == (9, None, None)
    for part in ("val", "heldout"):
        with pytest.raises(UserError, match=rf"few\.npz has too few images for a part '{part}' \(about 10"):
            sources.load(f"{path}:{part}")


def test_digits_are_prepared_in_their_three_parts():
    parts = sources.prepare(DataSettings(), seed=0)
    loaded = [sources.load(f"digits:{part}", (32, 32)).fingerprint for part in ("train", "val", "heldout")]
    assert fingerprints(parts) == loaded
    assert parts.train.shape == (1, 32, 32)


def test_m_draws_from_the_training_part_alone_by_the_runs_seed():
    whole = sources.prepare(DataSettings(size="28"), seed=1)
    one, same, other = (sources.prepare(DataSettings(m=100, size="28"), seed) for seed in (1, 1, 2))
    assert torch.bincount(one.train.labels).tolist() == [10] * 10
    assert one.train.fingerprint == same.train.fingerprint != other.train.fingerprint
    assert fingerprints(one)[1:] == fingerprints(other)[1:] == fingerprints(whole)[1:]
    with pytest.raises(UserError, match="every image is also in"):
        one.train.without(whole.train)


@pytest.mark.parametrize("data", ["digits", "mnist", "{npz}"])
def test_fewer_images_than_m_are_all_taken_and_it_is_said(root, npz, data):
    whole = sources.prepare(DataSettings(data.format(npz=npz), size="28"), seed=0)
    with captured() as said:
        parts = sources.prepare(DataSettings(data.format(npz=npz), m=100_000, size="28"), seed=0)
    assert fingerprints(parts) == fingerprints(whole)
    assert f": training on all {len(parts.train):,} images" in said[-1]
    assert said[-1].endswith(", fewer than the 100,000 that --m allows")


@pytest.mark.parametrize("data", ["digits", "mnist", "{npz}"])
@pytest.mark.parametrize("m", [0, -5])
def test_an_m_that_cannot_be_drawn_is_refused(root, npz, data, m):
    with pytest.raises(UserError, match=f"cannot take {m} of them"):
        sources.prepare(DataSettings(data.format(npz=npz), m=m), seed=0)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize(("m", "train", "val"), [(None, 18, 2), (5, 5, 10), (10, 10, 10), (19, 19, 1)])
def test_an_idx_set_is_trained_on_its_train_and_scored_on_its_test(root, keys, name, m, train, val):
    parts = sources.prepare(DataSettings(name, m=m, size="28"), seed=3)
    assert (len(parts.train), len(parts.val)) == (train, val)
    used = keys(parts.train) + keys(parts.val)
    assert len(set(used)) == len(used)
    assert set(used) <= set(keys(sources.load(name)))
    assert parts.heldout.fingerprint == sources.load(f"{name}:test").fingerprint


def test_training_on_a_whole_idx_set_leaves_nothing_to_choose_by(root):
    with captured() as said:
        assert sources.prepare(DataSettings("mnist", m=20), seed=0).val is None
    assert "mnist: --m 20 leaves 0 images for validation and the floor of the score" in said


@pytest.mark.parametrize("data", ["digits", "mnist", "{photos}", "{npz}"])
def test_every_part_has_the_size_that_was_said(root, photos, npz, data):
    settings = DataSettings(data.format(photos=photos, npz=npz), size="24x40")
    parts = sources.prepare(settings, seed=0)
    assert {part.shape for part in (parts.train, parts.val, parts.heldout)} == {(1, 24, 40)}


def test_a_folder_of_mixed_sizes_is_prepared(photos, make_images):
    folder.save(photos / "large", make_images(4, (1, 9, 12)))
    parts = sources.prepare(DataSettings(str(photos), size="16"), seed=0)
    assert len(parts.train) + len(parts.val) + len(parts.heldout) == 44
    assert parts.train.shape == (1, 16, 16)


@pytest.mark.parametrize("data", ["digits:val", "mnist:test", "photos:train"])
def test_a_part_cannot_be_prepared(data):
    with pytest.raises(UserError, match=f"name the whole source, '{data.split(':')[0]}'"):
        sources.prepare(DataSettings(data), seed=0)


@pytest.mark.parametrize("name", ["celeba", "celeba:all", "nowhere/photos", "images.npz", "pyproject.toml"])
def test_an_unknown_name_is_told_what_there_is(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("a file, but not of images")
    told = rf"'{name}' is neither a data set \({', '.join(NAMED)}\), .* a folder of images, .* nor an"
    with pytest.raises(UserError, match=told):
        sources.load(name)
    with pytest.raises(UserError, match=told):
        sources.load(f"{name}:train")
    with pytest.raises(UserError, match=told):
        sources.prepare(DataSettings(name), seed=0)


@pytest.mark.parametrize(
    ("spec", "known"),
    [
        ("digits:test", "train, val, heldout"),
        ("mnist:val", "train, test"),
        ("fashion_mnist:heldout", "train, test"),
        ("{photos}:test", "train, val, heldout"),
        ("{npz}:test", "train, val, heldout"),
        ("digits:valid", "train, val, heldout"),
        ("{photos}:held", "train, val, heldout"),
    ],
)
def test_an_unknown_part_is_told_which_there_are(root, photos, npz, spec, known):
    with pytest.raises(UserError, match=f"there is no part '{spec.split(':')[1]}'; choose one of: {known}$"):
        sources.load(spec.format(photos=photos, npz=npz))


@pytest.mark.parametrize(
    ("data", "reference", "floor"),
    [
        ("digits", "digits:heldout", "digits:val"),
        ("mnist", "mnist:test", "mnist:train"),
        ("fashion_mnist", "fashion_mnist:test", "fashion_mnist:train"),
        ("a/photos", "a/photos:heldout", "a/photos:val"),
        ("images.npz", "images.npz:heldout", "images.npz:val"),
    ],
)
def test_every_source_has_a_reference_and_a_floor(data, reference, floor):
    assert sources.reference_for(data) == reference
    assert sources.floor_for(reference) == floor


@pytest.mark.parametrize("reference", ["digits", "digits:val", "mnist:train", "photos", "photos:test"])
def test_a_reference_whose_floor_is_not_known_has_none(reference):
    assert sources.floor_for(reference) is None


@pytest.mark.parametrize("data", ["digits", "mnist", "fashion_mnist", "{photos}", "{npz}"])
def test_no_image_of_a_floor_is_in_its_reference(root, photos, npz, keys, data):
    reference = sources.reference_for(data.format(photos=photos, npz=npz))
    floor = sources.load(sources.floor_for(reference))
    assert set(keys(floor)).isdisjoint(keys(sources.load(reference)))


@pytest.mark.parametrize(("text", "size"), [("32", (32, 32)), ("24x40", (24, 40)), ("24X40", (24, 40))])
def test_a_size_is_height_and_width(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "32x", "x32", "32x0", "1x2x3", "-8", "8.5", "big"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(UserError, match="write 32 or 24x40"):
        parse_size(text)


def test_the_whole_mnist_is_prepared_balanced(mnist, mnist_root):
    parts = sources.prepare(DataSettings("mnist", m=3000, size="28"), seed=0)
    assert np.bincount(parts.train.labels).tolist() == [300] * 10
    assert parts.heldout.fingerprint == mnist["test"].fingerprint


@pytest.mark.parametrize(("m", "n"), [(None, 5_990), (3000, 56_000), (50_000, 4_000)])
def test_what_training_leaves_of_mnist_has_its_classes_shares(mnist, mnist_root, m, n):
    """There are 5,421 fives and 6,742 ones: a balanced draw of 50,000 leaves four times as many of these."""
    parts = sources.prepare(DataSettings("mnist", m=m, size="28"), seed=0)
    shares, left = (np.bincount(each.labels) / len(each) for each in (mnist["train"], parts.val))
    assert np.abs(left - shares).max() < 1e-3
    assert len(parts.val) >= n
    rest = unseen(mnist["train"], parts.train)
    assert np.abs(np.bincount(rest.labels) / len(rest) - shares).max() < 1e-3


def test_what_is_unseen_keeps_the_shares_of_the_classes_that_are_left(make_set, keys):
    whole = make_set([40, 20, 10])
    train = whole.take(np.flatnonzero(whole.labels.numpy() == 2))
    some = whole.take(np.flatnonzero(whole.labels.numpy() == 1)[:15])
    assert np.bincount(unseen(whole, some).labels).tolist() == [10, 5, 3]
    assert np.bincount(unseen(whole, train).labels).tolist() == [40, 20]
    assert not set(keys(unseen(whole, some))) & set(keys(some))
    assert unseen(whole, None) is whole
    assert unseen(whole, whole) is None
    assert len(unseen(make_set(30), make_set(30).take(np.arange(12)))) == 18


def test_a_named_set_goes_before_a_folder_of_its_name(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    photos.rename(photos.parent / "digits")
    assert sources.load("digits").name == "digits:train"
    assert len(sources.load("./digits")) == 40


def test_the_names_of_sets_are_those_that_can_be_loaded():
    assert tuple(source.what for source in sources.SOURCES if source.parts) == NAMED


def test_a_rare_class_is_mostly_learnt(tmp_path, make_images):
    images = make_images(210)
    labels = torch.cat([torch.zeros(200), torch.ones(10)]).long()
    arrays.save(tmp_path / "rare.npz", images, labels)
    counts = [
        torch.bincount(sources.load(f"{tmp_path / 'rare.npz'}:{part}").labels, minlength=2).tolist()
        for part in ("train", "val", "heldout")
    ]
    assert counts == [[133, 6], [20, 1], [47, 3]]


def test_an_image_that_is_there_twice_is_in_no_other_part_than_train(tmp_path, make_images):
    images = make_images(40)
    arrays.save(tmp_path / "twice.npz", torch.cat([images, images]))
    parts = sources.prepare(DataSettings(str(tmp_path / "twice.npz"), size="12x10"), seed=0)
    learnt = {image.numpy().tobytes() for image in parts.train.images}
    for part in (parts.val, parts.heldout):
        assert part is None or not learnt & {image.numpy().tobytes() for image in part.images}


def test_near_duplicates_are_in_one_part_and_a_line_says_so(tmp_path, make_images):
    images = make_images(60)
    noisy = (images.float() + torch.randn(images.shape, generator=torch.Generator().manual_seed(0)) * 3).clamp(0, 255)
    path = tmp_path / "near.npz"
    arrays.save(path, torch.cat([images, noisy.to(torch.uint8), make_images(30, seed=1)]))
    with captured() as said:
        parts = sources.prepare(DataSettings(str(path), size="8"), seed=0)
    assert said[1] == f"{path}: 120 of 150 images are near-duplicates of others; each group is kept in one part"
    found = groups(torch.cat([parts.train.images, parts.val.images, parts.heldout.images])).tolist()
    sizes = [len(part) for part in (parts.train, parts.val, parts.heldout)]
    assert sum(sizes) == 150
    assert parts.groups == 90
    each = [set(part.tolist()) for part in torch.tensor(found).split(sizes)]
    assert [len(part) for part in each] == [72, 9, 9]
    assert len(set.union(*each)) == 90


def test_parts_without_near_duplicates_are_as_they_always_were(npz):
    order = rng.generator(SPLIT_SEED, "parts", 40).permutation(40)
    whole = sources.load(str(npz)).images
    assert torch.equal(sources.load(f"{npz}:heldout").images, whole[np.sort(order[9::10])])
    assert torch.equal(sources.load(f"{npz}:val").images, whole[np.sort(order[5::10])])
