import numpy as np
import pytest
import torch

from fromnoise.errors import UserError
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.training.batches import Batches


@pytest.fixture
def batches(images, config_of):
    def make(batch=10, rank=0, world=1, augment=0.0):
        config = config_of(training={"batch": batch, "augment": augment})
        return Batches(Model.build(config, DataInfo.of(images, config)), images, rank, world)

    return make


def test_every_epoch_shows_each_image_once_in_a_new_order(batches):
    source = batches(batch=10)  # 64 images: batches lie across epochs
    rows = np.concatenate([source._index(step) for step in range(32)])
    epochs = rows.reshape(5, 64)
    for epoch in epochs:
        assert sorted(epoch) == list(range(64))
    assert not np.array_equal(epochs[0], epochs[1])


def test_a_batch_is_a_function_of_its_number_alone(batches):
    straight = batches()
    for step in range(9):
        straight(step)
    one, other = straight(9), batches()(9)
    assert torch.equal(one.x0, other.x0)
    assert torch.equal(one.noise, other.noise)
    assert torch.equal(one.u, other.u)
    assert torch.equal(one.label, other.label)
    assert not torch.equal(one.noise, batches()(8).noise)


def test_processes_share_one_batch_without_overlap(batches):
    whole = batches(batch=12)(3)
    halves = [batches(batch=12, rank=rank, world=2)(3) for rank in range(2)]
    for rank, half in enumerate(halves):
        assert torch.equal(half.x0, whole.x0[rank::2])
        assert torch.equal(half.u, whole.u[rank::2])
        assert torch.equal(half.label, whole.label[rank::2])
        assert torch.equal(half.noise, whole.noise[rank::2])
    assert not torch.equal(halves[0].noise, halves[1].noise)
    with pytest.raises(UserError, match="shared"):
        batches(batch=3, world=2)


def test_levels_are_stratified_over_the_batch(batches):
    u = batches(batch=10)(5).u
    assert torch.equal((u * 10).floor(), torch.arange(10, dtype=torch.float64))


def test_one_label_in_ten_becomes_the_null_class(batches):
    source = batches(batch=64)
    share = np.mean([(source(step).label == 4).float().mean().item() for step in range(40)])
    assert share == pytest.approx(0.1, abs=4 * (0.1 * 0.9 / 2560) ** 0.5)


def test_images_are_encoded(batches, images):
    source = batches(batch=64)
    assert torch.equal(source(0).x0, source.info.encode(images.images[source._index(0)]))


def test_changing_images_changes_nothing_else_of_a_batch(batches):
    plain, some = batches(batch=64)(3), batches(batch=64, augment=0.5)(3)
    assert plain.change is None
    for name in ("noise", "u", "label"):
        assert torch.equal(getattr(some, name), getattr(plain, name))
    changed = some.change.any(dim=1)
    assert 16 < changed.sum() < 48
    assert torch.equal(some.x0[~changed], plain.x0[~changed])
    assert ((some.x0 - plain.x0)[changed].abs().amax((1, 2, 3)) > 0.1).all()
    assert some.x0.abs().max() <= plain.x0.abs().max() + 1e-6
    assert not torch.equal(some.change, batches(batch=64, augment=0.5)(4).change)


def test_processes_change_the_rows_of_one_batch_alike(batches):
    whole = batches(batch=12, augment=0.7)(3)
    for rank in range(2):
        half = batches(batch=12, rank=rank, world=2, augment=0.7)(3)
        assert half.change.any()
        assert torch.equal(half.change, whole.change[rank::2])
        torch.testing.assert_close(half.x0, whole.x0[rank::2], rtol=0, atol=1e-5)


def test_what_a_change_brings_into_a_transparent_image_is_transparent(blobs_of, config_of):
    images = blobs_of(channels=4)
    images.images.fill_(200)
    images.images[0] = 0  # else all are of one value
    config = config_of(training={"batch": 64, "augment": 1.0})
    info = DataInfo.of(images, config)
    shown = Batches(Model.build(config, info), images)(0).x0
    assert shown.min().item() == pytest.approx(info.encoded_black)
    assert (shown[:, :, 0] < 0.9 * shown.amax()).any(dim=(1, 2)).float().mean() > 0.5
