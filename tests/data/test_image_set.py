import numpy as np
import pytest
import torch

from fromnoise.data.image_set import ImageSet
from fromnoise.errors import UserError


def counts(images):
    return np.bincount(images.labels.numpy(), minlength=3).tolist()


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 1, 4, 4),
        torch.zeros(2, 4, 4, dtype=torch.uint8),
        torch.zeros(2, 9, 4, 4, dtype=torch.uint8),
        torch.zeros(0, 1, 4, 4, dtype=torch.uint8),
    ],
    ids=["float", "three axes", "nine channels", "none"],
)
def test_images_that_do_not_fit_are_refused(images):
    with pytest.raises(UserError, match=r"^toy: "):
        ImageSet("toy", images)


def test_labels_must_be_as_many_as_the_images(make_images):
    with pytest.raises(UserError, match="3 labels for 4 images"):
        ImageSet("toy", make_images(4), torch.arange(3))


def test_a_set_knows_its_size_shape_and_classes(make_set):
    labelled, unlabelled = make_set((3, 1, 2), (3, 4, 6)), make_set(5)
    assert (len(labelled), labelled.shape, labelled.classes) == (6, (3, 4, 6), 3)
    assert (len(unlabelled), unlabelled.shape, unlabelled.classes) == (5, (1, 8, 8), 0)


@pytest.mark.parametrize(
    ("sizes", "m", "drawn"),
    [
        ((10, 10, 10), 15, [5, 5, 5]),
        ((10, 10, 10), 20, [7, 7, 6]),
        ((10, 10, 10), 2, [1, 1, 0]),
        ((10, 2, 10), 12, [5, 2, 5]),  # a class with fewer than its share gives what it has
        ((10, 2, 10), 13, [6, 2, 5]),
        ((1, 30, 2), 20, [1, 17, 2]),
        ((4, 2, 3), 9, [4, 2, 3]),
    ],
)
def test_a_draw_is_balanced_as_far_as_the_classes_reach(make_set, sizes, m, drawn):
    assert counts(make_set(sizes).subset(m, seed=5)) == drawn


@pytest.mark.parametrize("sizes", [(10, 10, 10), (9, 2, 14), 30])
def test_a_split_is_disjoint_and_complete(make_set, keys, sizes):
    whole = make_set(sizes)
    drawn, rest = whole.split(11, seed=3)
    assert len(drawn) == 11
    assert sorted(keys(drawn) + keys(rest)) == sorted(keys(whole))


def test_a_split_of_everything_leaves_nothing(make_set, keys):
    whole = make_set((4, 5))
    drawn, rest = whole.split(9, seed=0)
    assert rest is None
    assert keys(drawn) == keys(whole)


def test_drawn_images_keep_their_labels(make_set, keys):
    whole = make_set((9, 3, 7))
    label = dict(zip(keys(whole), whole.labels.tolist(), strict=True))
    for part in whole.split(8, seed=1):
        assert part.labels.tolist() == [label[key] for key in keys(part)]


def test_a_draw_depends_on_its_seed_alone(make_set):
    whole = make_set((10, 10))
    torch.manual_seed(0)
    first = whole.subset(6, seed=1)
    torch.manual_seed(1)
    assert whole.subset(6, seed=1).fingerprint == first.fingerprint
    assert whole.subset(6, seed=2).fingerprint != first.fingerprint


@pytest.mark.parametrize("sizes", [10, (5, 5)])
def test_every_image_is_drawn_as_often_as_any_other(make_set, keys, sizes):
    whole = make_set(sizes)
    drawn = [key for seed in range(300) for key in keys(whole.subset(4, seed))]
    often = np.array([drawn.count(key) for key in keys(whole)])
    assert often.sum() == 1200
    assert abs(often - 120).max() < 5 * np.sqrt(300 * 0.4 * 0.6)


@pytest.mark.parametrize("m", [-1, 0, 7])
def test_what_is_not_there_cannot_be_drawn(make_set, m):
    with pytest.raises(UserError, match=f"toy has 6 images; cannot take {m} of them"):
        make_set(6).subset(m, seed=0)


def test_take_keeps_the_order_it_is_given(make_set):
    whole = make_set((3, 3))
    taken = whole.take(np.array([4, 0]), "two")
    assert taken.name == "two"
    assert torch.equal(taken.images, whole.images[[4, 0]])
    assert torch.equal(taken.labels, whole.labels[[4, 0]])


def test_without_removes_what_the_other_set_holds(make_set):
    whole = make_set((6, 6))
    other = ImageSet("other", whole.images[[2, 7, 11]])
    left = whole.without(other)
    kept = [k for k in range(12) if k not in (2, 7, 11)]
    assert torch.equal(left.images, whole.images[kept])
    assert torch.equal(left.labels, whole.labels[kept])


def test_without_keeps_an_image_that_differs_in_one_pixel(make_set):
    whole = make_set(3)
    near = whole.images.clone()
    near[:, 0, 0, 0] ^= 1
    assert len(whole.without(ImageSet("near", near))) == 3


def test_without_keeps_blank_images(make_set):
    whole, blank = make_set(5), torch.zeros(2, *make_set(5).shape, dtype=torch.uint8)
    both = ImageSet("both", torch.cat([whole.images, blank]))
    assert torch.equal(both.without(ImageSet("other", torch.cat([blank, whole.images[:3]]))).images, both.images[3:])


def test_without_says_so_when_nothing_is_left(make_set):
    whole = make_set(5)
    with pytest.raises(UserError, match="every image is also in toy"):
        whole.take(np.array([1, 3])).without(whole)


def test_the_fingerprint_is_that_of_the_data_alone(make_set):
    whole = make_set((3, 3))
    strided = whole.images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert ImageSet("another name", strided, whole.labels.clone()).fingerprint == whole.fingerprint


def test_the_fingerprint_changes_with_pixels_shape_order_and_labels(make_set):
    whole = make_set((3, 3))
    images, labels = whole.images, whole.labels
    pixel, label = images.clone(), labels.clone()
    pixel[5, 0, 7, 7] ^= 1
    label[0] = 1 - label[0]
    sets = [
        whole,
        ImageSet("toy", pixel, labels),
        ImageSet("toy", images.reshape(6, 1, 4, 16), labels),
        ImageSet("toy", images.reshape(24, 1, 4, 4), labels.repeat(4)),
        ImageSet("toy", images.flip(0), labels.flip(0)),
        ImageSet("toy", images.flip(0), labels),
        ImageSet("toy", images, label),
        ImageSet("toy", images),
    ]
    assert len({each.fingerprint for each in sets}) == len(sets)


def test_moving_to_a_device_keeps_everything(make_set):
    whole = make_set((2, 2))
    moved = whole.to(torch.device("cpu"))
    assert (moved.name, moved.fingerprint) == (whole.name, whole.fingerprint)


@pytest.mark.parametrize("m", [1, 10, 55, 110])
def test_a_draw_that_is_not_balanced_keeps_the_shares(make_set, m):
    sizes = np.array([100, 10])
    counts = np.bincount(make_set(sizes).subset(m, seed=3, balanced=False).labels, minlength=2)
    assert counts.sum() == m
    assert np.abs(counts - sizes * m / 110).max() <= 1
