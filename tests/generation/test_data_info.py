"""What a model knows of its data, and that its scale is known nowhere else."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from fromnoise import tensors
from fromnoise.config import PRESETS
from fromnoise.data.pixels import normalise
from fromnoise.diffusion import forward
from fromnoise.errors import UserError
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model

SOURCE = Path(__file__).parents[2] / "src" / "fromnoise"


def info_of(scale):
    return DataInfo(1, 16, 16, scale, (-0.4,))


def test_no_other_module_of_the_process_knows_the_scale():
    rooms = ("probability", "diffusion", "networks", "plane", "generation", "training")
    files = [file for room in rooms for file in (SOURCE / room).glob("*.py") if file.name != "data_info.py"]
    assert len(files) > 40
    for file in files:
        assert not re.search(r"\.scale\b|\bscale:", file.read_text()), file


def test_the_mean_of_each_channel_is_known(config_of, blobs_of):
    images = blobs_of(channels=3)
    brighter = dataclasses.replace(images, images=images.images.clone())
    brighter.images[:, 2] = 255
    info = DataInfo.of(brighter, config_of())
    assert info.mean == pytest.approx([float(normalise(brighter.images[:, c]).mean()) for c in range(3)], abs=1e-6)
    assert info.mean[2] == 1.0
    assert info.mean[0] < 0
    assert info.encoded_mean == pytest.approx(info.encode(brighter.images).mean(dim=(0, 2, 3)).tolist(), abs=1e-6)


def test_encoded_images_are_of_unit_scale_but_for_the_chapters_network(config_of, images):
    info = DataInfo.of(images, config_of())
    encoded = info.encode(images.images)
    assert encoded.dtype == torch.float32
    assert encoded.square().mean().item() == pytest.approx(1, rel=1e-5)
    torch.testing.assert_close(info.pixels(encoded), normalise(images.images), rtol=0, atol=1e-6)
    chapters = DataInfo.of(images, PRESETS["chapter"])
    assert torch.equal(chapters.encode(images.images), normalise(images.images))


@pytest.mark.parametrize("scale", [1.0, 0.9375095367431641, 0.3, 0.017])
def test_every_8_bit_value_survives_the_way_there_and_back(scale):
    info, values = info_of(scale), torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(info.decode(info.encode(values)), values)
    assert info.decode(torch.tensor([[[[-3.0, 3.0]]]]) / scale).flatten().tolist() == [0, 255]
    assert info.encode(values).flatten().diff().mean().item() == pytest.approx(info.pixel_width, rel=1e-5)


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_noisy_pixels_are_noisy_encoded_data_at_a_level_of_its_own(scale):
    info, generator = info_of(scale), torch.Generator().manual_seed(0)
    pixels, noise = torch.randn(2, 5, 1, 4, 4, generator=generator, dtype=torch.float64)
    levels = torch.tensor([-6.0, -1.0, 0.0, 2.0, 7.0], dtype=torch.float64)
    x, logsnr = info.encode_noisy(forward.jump(pixels, noise, levels), levels)
    torch.testing.assert_close(x, forward.jump(pixels / scale, noise, logsnr), rtol=0, atol=1e-12)
    assert [info.encoded_level(float(level)) for level in levels] == pytest.approx(logsnr.tolist())


def test_class_shares_are_counted(config_of, blobs_of):
    images = blobs_of(n=10, classes=4)
    assert DataInfo.of(images, config_of()).class_shares == (0.3, 0.3, 0.2, 0.2)
    assert DataInfo.of(images, config_of(network={"labels": False})).class_shares == ()
    clustered = dataclasses.replace(images, clustered=True)
    infos = [
        DataInfo.of(clustered, config_of(network=settings)) for settings in ({"labels": False}, {"network": "chapter"})
    ]
    assert [(info.classes, info.clustered) for info in infos] == [(4, True), (0, False)]


def test_constant_images_are_refused(config_of, images):
    images.images.fill_(7)
    with pytest.raises(UserError, match="nothing to learn"):
        DataInfo.of(images, config_of())


def test_no_decoded_colour_is_above_its_alpha(config_of, blobs_of):
    info = DataInfo.of(blobs_of(channels=4), config_of())
    images = info.decode(torch.randn(8, 4, 16, 16, generator=torch.Generator().manual_seed(0)))
    assert (images[:, :3] <= images[:, 3:]).all()
    assert (images[:, :3] == images[:, 3:]).any()
    assert images[:, 3].float().std() > 50
    transparent = torch.zeros(1, 4, 16, 16, dtype=torch.uint8)
    assert torch.equal(info.encode(transparent).unique(), torch.tensor([info.encoded_black]))


def test_samples_are_transparent_where_the_training_images_are(config_of, blobs_of, tmp_path):
    images = blobs_of(channels=4)
    images.images[:, 3] = torch.where(images.images[:, 3] > 100, 255, 0)  # transparent or not, nothing between
    info = DataInfo.of(images, config_of())
    noise = torch.randn(images.images.shape, generator=torch.Generator().manual_seed(0))
    noisy = info.encode(images.images) + 2 / 127.5 / info.scale * noise
    decoded, rounded = (each.decode(noisy) for each in (info, dataclasses.replace(info, decoder=())))
    right = [(each[:, 3] == images.images[:, 3]).double().mean().item() for each in (decoded, rounded)]
    assert right[0] > 0.999
    assert right[1] < 0.7
    Model.build(config_of(), info).save(tmp_path / "model.safetensors")
    assert Model.load(tmp_path / "model.safetensors").info == info
    assert DataInfo.of(images, PRESETS["chapter"]).decoder == ()


def test_a_decoder_has_a_byte_for_each_byte_of_each_channel(config_of):
    good = tuple(range(256))
    for bad in ((good, good), (good[1:],), ((*good[1:], 256),)):
        with pytest.raises(UserError, match="256 values from 0 to 255"):
            dataclasses.replace(info_of(1.0), decoder=bad).check(config_of())
    dataclasses.replace(info_of(1.0), decoder=(good,)).check(config_of())


def test_the_range_that_became_bytes_is_known_and_saved(config_of, images, tmp_path):
    deep = dataclasses.replace(images, range=(12.5, 4000.0))
    info = DataInfo.of(deep, config_of())
    Model.build(config_of(), info).save(tmp_path / "model.safetensors")
    assert Model.load(tmp_path / "model.safetensors").info.range == (12.5, 4000.0)
    assert DataInfo.of(images, config_of()).range is None


@pytest.mark.parametrize("channels", [0, 9])
def test_other_channels_are_no_images(config_of, channels):
    with pytest.raises(UserError, match="not 1 to 8 of both"):
        DataInfo(channels, 16, 16, 1.0, (0.0,) * channels).check(config_of())


NAMES = ("cat", "dog", "owl", "Persian cat")


@pytest.fixture
def named(blobs_of):
    return dataclasses.replace(blobs_of(n=12), class_names=NAMES)


def test_the_names_of_classes_go_with_the_model(config_of, named, tmp_path):
    Model.build(config_of(), DataInfo.of(named, config_of())).save(tmp_path / "model.safetensors")
    info = Model.load(tmp_path / "model.safetensors").info
    assert info.class_names == NAMES
    assert [info.called(k) for k in range(4)] == list(NAMES)


def test_a_model_file_from_before_names_still_loads(config_of, named, tmp_path):
    model = Model.build(config_of(), DataInfo.of(named, config_of()))
    model.save(tmp_path / "new.safetensors")
    weights, about = tensors.load(tmp_path / "new.safetensors")
    del about["info"]["class_names"]
    tensors.save(tmp_path / "old.safetensors", weights, about)
    back = Model.load(tmp_path / "old.safetensors")
    assert back.info == dataclasses.replace(model.info, class_names=())
    assert back.info.called(2) == "2"
    assert all(torch.equal(weights[name], value) for name, value in back.network.state_dict().items())


def test_names_are_of_classes_only(config_of, named):
    unlabelled = config_of(network={"labels": False})
    assert DataInfo.of(named, unlabelled).class_names == ()
    assert DataInfo.of(dataclasses.replace(named, clustered=True), config_of()).class_names == ()
    assert DataInfo.of(dataclasses.replace(named, class_names=(*NAMES, "unseen")), config_of()).class_names == NAMES
    assert DataInfo.of(dataclasses.replace(named, class_names=NAMES[:2]), config_of()).class_names == ()


def test_a_class_is_found_by_name_or_number(config_of, named):
    info = DataInfo.of(named, config_of())
    assert [info.label_of(wanted) for wanted in ("owl", "2", 2, "Persian cat")] == [2, 2, 2, 3]
    assert dataclasses.replace(info, class_names=("1", "0", "x", "y")).label_of("1") == 0  # a name goes before a number
    assert dataclasses.replace(info, class_names=("1", "0", "x", "y")).label_of(1) == 1  # a number is a class first
    assert dataclasses.replace(info, class_names=("1", "0", "x", "y")).label_of(np.int64(1)) == 1
    assert dataclasses.replace(info, class_names=("2019", "2020", "x", "y")).label_of(2020) == 1
    assert dataclasses.replace(info, class_names=("\u00fc", "e\u0301", "x", "y")).label_of("u\u0308") == 0  # NFC, NFD
    assert dataclasses.replace(info, class_names=("\u00fc", "e\u0301", "x", "y")).label_of("\u00e9") == 1
    with pytest.raises(UserError, match=r"--label a b{58}: this model has"):
        info.label_of("a\n" + 100 * "b")
    with pytest.raises(UserError, match=r"4 classes: cat, dog, owl, Persian cat; did you mean Persian cat\?"):
        info.label_of("persian cats")
    with pytest.raises(UserError, match=r"--label 4: this model has 4 classes: cat, dog, owl, Persian cat$"):
        info.label_of(4)
    with pytest.raises(UserError, match="--label dog: no training image had this class"):
        dataclasses.replace(info, class_shares=(0.5, 0.0, 0.25, 0.25)).label_of("dog")
    with pytest.raises(UserError, match="--label cat: this model has 4 classes, counted from 0"):
        dataclasses.replace(info, class_names=()).label_of("cat")


def test_names_of_other_classes_are_refused(config_of, named, tmp_path):
    info = dataclasses.replace(DataInfo.of(named, config_of()), class_names=NAMES[:3])
    with pytest.raises(UserError, match="names 3 classes and has 4"):
        info.check(config_of())
