import dataclasses
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from fromnoise import rng
from fromnoise.data import sources
from fromnoise.data.image_set import ImageSet
from fromnoise.data.parts import Parts
from fromnoise.errors import UserError
from fromnoise.evaluation.copies import copy_test
from fromnoise.evaluation.featured import Featured
from fromnoise.evaluation.features import features as extractor
from fromnoise.evaluation.kernel import mmd2
from fromnoise.experiment import few_images
from fromnoise.experiment import validate as module
from fromnoise.experiment.train import Experiment, _validation
from fromnoise.experiment.validate import Validator
from fromnoise.generation.sampling import SampleRequest, sample
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.validation import better_before

IMAGES = 64


@pytest.fixture(autouse=True)
def fewer_images(monkeypatch):
    """A validation in a quarter of its time, of as many training images as there mostly are."""
    monkeypatch.setattr(module, "IMAGES", IMAGES)
    monkeypatch.setattr(few_images, "FEW", 0)


@pytest.fixture
def parts(blobs_of):
    """Without held-out images: nothing may be chosen by them."""
    return Parts(blobs_of(80), blobs_of(60, seed=1), None)


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


@pytest.fixture
def validator_of(config_of, parts, folder):
    def make(parts=parts, seed=0, features="pixels"):
        config = config_of(seed=seed, evaluation={"features": features})
        return Validator(config, parts, folder, extractor(features))

    return make


@pytest.fixture
def drawn(monkeypatch):
    """Images that are drawn in place of a model's; the drawings asked for."""
    fake = SimpleNamespace(images=None, drawings=[])

    def draw(model, wanted):
        fake.drawings.append(wanted)
        return fake.images

    monkeypatch.setattr(module, "sample", draw)
    return fake


def test_kid_and_copy_test_are_those_of_images_that_the_model_draws(validator_of, parts, tiny_model):
    record = validator_of(features="digits").validate(7, tiny_model)[0]
    images = sample(tiny_model, SampleRequest(IMAGES, rng.integer(0, "watch")))
    extract = extractor("digits")
    expected = mmd2(Featured(extract(images)), Featured(extract(parts.val.images)))
    assert record["kid"]["value"] == pytest.approx(expected.value, rel=1e-5)
    assert record["kid"]["error"] == pytest.approx(expected.error, rel=1e-5)
    report = copy_test(ImageSet("drawn", images), parts.train, parts.val)
    assert record["copies"]["verdict"] == report.verdict
    assert record["copies"]["p"] == min(closer.p for closer in report.closer)
    assert record["images"] == IMAGES


@pytest.mark.parametrize("size", [1, 2, 30])
def test_of_validation_images_in_groups_each_counts_once(validator_of, parts, drawn, tiny_model, blobs_of, size):
    drawn.images = blobs_of(IMAGES, seed=2).images
    real = dataclasses.replace(parts.val, groups=torch.arange(60) // size)
    validator = validator_of(dataclasses.replace(parts, val=real), features="digits")
    error = validator.validate(1, tiny_model)[0]["kid"]["error"]
    extract, groups = extractor("digits"), None if size == 30 else real.groups  # two groups cannot tell
    expected = mmd2(Featured(extract(drawn.images)), Featured(extract(real.images), groups=groups))
    assert error == pytest.approx(expected.error, rel=1e-5)
    assert validator.real.groups.tolist() == real.groups.tolist()


def test_one_model_validates_alike_twice(validator_of, tiny_model):
    validator = validator_of()
    assert validator.validate(1, tiny_model)[0] == validator.validate(2, tiny_model)[0]
    assert validator_of().validate(1, tiny_model)[0] == validator.validate(2, tiny_model)[0]


def test_the_images_that_choose_are_no_later_drawings(validator_of, drawn, tiny_model, blobs_of):
    drawn.images = blobs_of(IMAGES, seed=2).images
    for seed in (0, 1):
        validator_of(seed=seed).validate(1, tiny_model)
    seeds = {wanted.seed for wanted in drawn.drawings}
    assert len(seeds) == 2
    assert not seeds & set(range(1_000_000))


def test_the_models_own_precision_and_sampler_are_used(validator_of, drawn, tiny_model, blobs_of):
    drawn.images = blobs_of(IMAGES, seed=2).images
    validator_of().validate(1, SimpleNamespace(precision="bf16", save=lambda path: None))
    assert (drawn.drawings[0].precision, drawn.drawings[0].sampler) == ("bf16", None)


@pytest.mark.parametrize("features", ["digits", "pixels"])
def test_a_model_that_copies_is_told(validator_of, parts, drawn, tiny_model, features):
    drawn.images = parts.train.images[:IMAGES]
    record, words = validator_of(features=features).validate(1, tiny_model)
    copies = record["copies"]
    assert copies["copying"] is True
    assert copies["verdict"].startswith("copying: 100 %")
    assert copies["share"] == 1.0
    assert copies["p"] < 1e-6
    assert copies["verdict"] in words


def test_fresh_images_are_no_copies(validator_of, drawn, tiny_model, blobs_of):
    drawn.images = blobs_of(IMAGES, seed=5).images
    copies = validator_of().validate(1, tiny_model)[0]["copies"]
    assert copies["copying"] is not True


def test_with_few_training_images_copies_cannot_be_judged(validator_of, drawn, tiny_model, blobs_of, parts):
    drawn.images = blobs_of(IMAGES, seed=2).images
    copies = validator_of(Parts(blobs_of(20), parts.val, None)).validate(1, tiny_model)[0]["copies"]
    assert copies["verdict"].startswith("copying cannot be judged: 20 distinct training images")
    assert (copies["copying"], copies["share"], copies["p"]) == (None, None, None)


def test_the_best_is_kept_and_replaced_by_a_better_one_only(validator_of, folder, drawn, parts, blobs_of, tiny_model):
    def images(share):
        """So much of them like the validation images, the rest black."""
        some = blobs_of(IMAGES, seed=2).images.clone()
        some[int(share * IMAGES) :] = 0
        return some

    validator, kept = validator_of(), []
    for step, share in enumerate((0.2, 0.6, 0.4, 0.6, 0.9), 1):
        drawn.images = images(share)
        with torch.no_grad():
            next(tiny_model.network.parameters()).fill_(float(step))
        record, words = validator.validate(step, tiny_model)
        kept.append(folder.about_best()["step"])
        assert ("the best so far" in words) == (kept[-1] == step)
        if kept[-1] == step:
            assert folder.about_best() == {"step": step, "kid": record["kid"]}
    assert kept == [1, 2, 2, 2, 5]
    name = next(iter(dict(tiny_model.network.named_parameters())))
    assert load_file(folder.best / "model.safetensors")[name].unique().item() == 5.0
    # Whoever goes on knows the best from the folder.
    drawn.images = images(0.6)
    validator_of().validate(6, tiny_model)
    assert folder.about_best()["step"] == 5
    assert better_before(folder, 5) is None
    assert "step 5 (KID " in better_before(folder, 6)


def test_features_of_real_images_are_computed_once_and_of_drawn_ones_not_kept(
    validator_of, drawn, tiny_model, blobs_of, monkeypatch
):
    validator, computed = validator_of(features="digits"), []
    real = validator.features.extract
    monkeypatch.setattr(validator.features, "extract", lambda images: computed.append(len(images)) or real(images))
    for seed in (2, 3, 2):
        drawn.images = blobs_of(IMAGES, seed=seed).images
        validator.validate(seed, tiny_model)
    assert computed == [IMAGES, 60, IMAGES, IMAGES]


def test_of_many_validation_images_a_draw_is_taken(validator_of, parts, blobs_of, monkeypatch):
    monkeypatch.setattr(module, "MOST_REAL", 52)
    assert len(validator_of().real) == 52
    assert torch.equal(validator_of().real.images, validator_of().real.images)


def test_too_few_validation_images_are_refused(validator_of, parts, blobs_of):
    for val, n in ((None, 0), (blobs_of(49), 49)):
        with pytest.raises(UserError, match=f"--evaluate-every needs 50 validation images, but digits has {n}"):
            validator_of(Parts(parts.train, val, None))


def test_features_that_cannot_be_had_are_refused(config_of, folder):
    with pytest.raises(UserError, match="choose one of"):
        _ = Experiment(config_of(evaluation={"features": "clip"}), folder.path).features


def test_nothing_is_validated_unless_asked(config_of, parts, folder, monkeypatch):
    monkeypatch.setattr(sources, "prepare", lambda *given, **how: parts)
    asked = Experiment(config_of(evaluation={"evaluate_every": 3}), folder.path, "cpu")
    assert _validation(Experiment(config_of(), folder.path)) is None
    assert _validation(asked).every == 3
    assert better_before(folder, 3) is None
