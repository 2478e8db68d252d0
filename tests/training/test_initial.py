import dataclasses

import pytest
import torch
from safetensors.torch import load_file

from fromnoise.config import preset, with_budget
from fromnoise.errors import UserError
from fromnoise.files import read_json
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.generation.pretrained import packaged
from fromnoise.training.batches import Batches
from fromnoise.training.initial import initial
from fromnoise.training.interrupt import Interrupted
from fromnoise.training.run_folder import RunFolder


@pytest.fixture
def source(tiny_model, tmp_path):
    tiny_model.save(tmp_path / "source.safetensors")
    return tmp_path / "source.safetensors"


def test_the_packaged_model_fits_the_default_training_of_digits():
    there = Model.load(packaged("digits"))
    mine = Model.build(with_budget(preset("fast"), "fast"), there.info)
    mine.network.load_state_dict(initial(mine, packaged("digits")).weights)


@pytest.fixture
def train(train, images, config_of, source):
    def run(name="run", start=True, stop=None, **training):
        """Train from `source` in a folder of that name, reading it only at the `start`; returns the folder."""
        config = config_of(training={"init": source, **training})
        model = Model.build(config, DataInfo.of(images, config))
        return train(config, name, stop, log_every=1, initial=initial(model, source) if start else None)[0]

    return run


def test_the_first_loss_is_the_models_own(train, images, source):
    folder = train(steps=1)
    model = Model.load(source)
    batch = Batches(model, images)(0)
    with torch.no_grad():
        errors = model.objective().errors(model.denoiser(), batch.x0, batch.noise, batch.u, batch.label)
    assert folder.log.records()[0]["loss"] == pytest.approx(errors.mean().item(), rel=1e-5)


def test_weights_and_averages_start_from_the_models(train, tensors, source):
    found = tensors(train(steps=1, lr=1e-12))
    for name, tensor in load_file(source).items():
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-9)
        torch.testing.assert_close(found[f"weights.{name}"], tensor, rtol=0, atol=1e-9)


def test_a_resumed_training_needs_the_model_no_more_and_ends_with_the_same_bits(train, assert_same, source):
    whole = train("whole", steps=9)
    with pytest.raises(Interrupted):
        train("pieces", stop=4, steps=9)
    source.unlink()
    assert_same(whole, train("pieces", start=False, steps=9))


def test_the_model_files_hash_is_written_down_and_held_to(train, source, tiny_model, images, config_of, tmp_path):
    begin = initial(tiny_model, source)
    folder, config = RunFolder(tmp_path / "run"), config_of(training={"init": source})
    with folder.open(config, images, begin):
        pass
    assert read_json(folder.config_file)["init"] == {"file": str(source), "sha256": begin.sha256}
    folder.check(config, images, begin)
    with pytest.raises(UserError, match="began from other weights"):
        folder.check(config, images, dataclasses.replace(begin, sha256="0"))
    with pytest.raises(UserError, match=r"init: .*other.*, .*source"):
        folder.check(config_of(training={"init": tmp_path / "other"}), images)


def test_without_a_whole_checkpoint_and_the_model_nothing_starts_at_random(train):
    with pytest.raises(UserError, match="start from --init"):
        train(start=False)


@pytest.mark.parametrize(
    ("rooms", "info", "difference"),
    [
        ({"network": {"channels": (32, 48)}}, {}, "channels: 32 48, 16 32"),
        ({"diffusion": {"prediction": "x0"}}, {}, "prediction: x0, v"),
        ({}, {"channels": 3}, "image: 3×16×16, 1×16×16"),
        ({}, {"width": 24}, "image: 1×16×24, 1×16×16"),
        ({}, {"class_shares": (0.5, 0.5)}, "classes: 2, 4"),
        ({"network": {"blocks": 2, "stem": 1}}, {}, "blocks: 2, 1; stem: 1, 2"),
        ({"training": {"augment": 0.5}}, {}, "augmented: yes, no"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_what_differs(tiny_model, source, config_of, rooms, info, difference):
    model = Model.build(config_of(**rooms), dataclasses.replace(tiny_model.info, **info))
    with pytest.raises(UserError, match=rf"\(this run, that model\): {difference}$"):
        initial(model, source)


def test_augmented_and_plain_models_do_not_fit_each_other(images, config_of, tmp_path):
    plain, augmented = (config_of(training={"augment": share}) for share in (0.0, 0.5))
    for one, other in ((plain, augmented), (augmented, plain)):
        Model.build(one, DataInfo.of(images, one)).save(tmp_path / "model.safetensors")
        with pytest.raises(UserError, match="augmented"):
            initial(Model.build(other, DataInfo.of(images, other)), tmp_path / "model.safetensors")


def test_a_file_that_is_no_model_is_refused(tiny_model, tmp_path):
    (tmp_path / "words").write_text("words")
    with pytest.raises(UserError, match="not a whole safetensors file"):
        initial(tiny_model, tmp_path / "words")
