import dataclasses
import json
import math
from types import SimpleNamespace

import pytest
import torch

from fromnoise import rng
from fromnoise.evaluation.features import features as extractor
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.experiment import guidance as module
from fromnoise.experiment.guidance import FACTOR, FEWEST_REAL, FEWEST_STEPS, LAST, Chooser, lowest, whitening
from fromnoise.experiment.train import Experiment, _choice, _validation
from fromnoise.generation import sampling
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model
from fromnoise.generation.sampling import SampleRequest, network_calls, sample
from fromnoise.training.run_folder import RunFolder


@pytest.mark.parametrize("best", [0.0, 0.3, 0.9, 1.0, 1.4, 2.0, 2.6, 3.5, 4.0])
def test_the_vertex_of_a_parabola_is_found_wherever_it_lies(best):
    asked = []

    def value(k):
        asked.append(k)
        return (k - best) ** 2 + 5.0

    found, tried = lowest(value, LAST)
    assert found == pytest.approx(best)
    assert tried == {k: (k - best) ** 2 + 5.0 for k in tried}
    assert len(asked) == len(tried) <= 4, "nothing is tried twice"


@pytest.mark.parametrize(("value", "least"), [(lambda k: k, 0), (lambda k: -k, LAST), (lambda k: math.exp(k), 0)])
def test_what_only_rises_or_falls_is_least_at_its_end(value, least):
    assert lowest(value, LAST)[0] == least


def test_what_does_not_change_is_left_near_where_it_began():
    assert lowest(lambda k: 1.0, LAST)[0] in (1, 2)


@pytest.fixture
def chooser_of(tiny_model, images, tmp_path):
    def make(model=tiny_model, train=images, seed=0, features="pixels", **training):
        config = model.config
        room = dataclasses.replace(config.evaluation, features=features)
        config = dataclasses.replace(
            config, seed=seed, evaluation=room, training=dataclasses.replace(config.training, **training)
        )
        model, folder = dataclasses.replace(model, config=config), RunFolder(tmp_path / "run")
        return Chooser(model, train, folder, extractor(features))

    return make


@pytest.fixture
def drawn(monkeypatch):
    """Images in place of a model's: the training images, faded as guidance is away from `best`."""
    fake = SimpleNamespace(best=1.0, real=None, drawings=[])

    def draw(model, wanted):
        fake.drawings.append(wanted)
        share = 1 - abs(math.log(wanted.guidance / fake.best, FACTOR)) / 10
        return (fake.real.images.double() * share).round().to(torch.uint8)

    monkeypatch.setattr(module, "sample", draw)
    return fake


@pytest.mark.parametrize("best", [1.0, FACTOR, FACTOR**3, 10.0])
def test_the_guidance_of_the_closest_images_is_chosen_and_written_down(chooser_of, drawn, tiny_model, images, best):
    drawn.best, drawn.real = best, images
    chooser = chooser_of()
    chosen = chooser.choose(700, tiny_model)
    assert chosen == pytest.approx(min(best, FACTOR**LAST), rel=0.01)
    about = json.loads(chooser.folder.guidance_file.read_text())
    assert (about["step"], about["guidance"], about["features"]) == (700, chosen, "pixels")
    assert [each["guidance"] for each in about["tried"]] == sorted(round(each.guidance, 2) for each in drawn.drawings)
    nearest = min(about["tried"], key=lambda each: each["fid"])
    assert nearest["guidance"] == pytest.approx(chosen, rel=0.01)


def test_distances_are_those_of_images_from_one_noise_that_is_no_later_drawings(
    chooser_of, tiny_model, images, monkeypatch
):
    monkeypatch.setattr(module, "IMAGES_PER_VALUE", (70, 70))
    chooser = chooser_of(seed=3)
    chooser.choose(700, tiny_model)
    seed = rng.integer(3, "guidance")
    assert seed != 3
    pixels = extractor("pixels")
    real = pixels(images.images)
    whiten = whitening(real)
    for each in json.loads(chooser.folder.guidance_file.read_text())["tried"]:
        k = round(math.log(each["guidance"], FACTOR))
        mine = pixels(sample(tiny_model, SampleRequest(70, seed, guidance=FACTOR**k)))
        wanted = distance(Moments.of(mine.double() @ whiten), Moments.of(real.double() @ whiten))
        assert each["fid"] == pytest.approx(wanted, rel=1e-9)


def test_whitened_features_are_uncorrelated_and_of_variances_below_one():
    mixing = torch.randn(5, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    features = torch.randn(400, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ mixing
    variances = torch.linalg.eigvalsh(torch.cov(features.T))
    found = torch.cov((features @ whitening(features)).T)
    torch.testing.assert_close(found, torch.diag(variances / (variances + variances.mean())))
    turned, _ = torch.linalg.qr(mixing)  # distances do not depend on the axes
    other = torch.randn(300, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)

    def far(features, other):
        whiten = whitening(features)
        return distance(Moments.of(features @ whiten), Moments.of(other @ whiten))

    assert far(features, other) == pytest.approx(far(features @ turned, other @ turned), rel=1e-9)


def test_equal_real_images_can_be_chosen_by():
    assert bool(whitening(torch.ones(60, 4)).isfinite().all())


@pytest.mark.parametrize(("has", "taken"), [(("fp32", "bf16"), "bf16"), (("fp32",), "fp32")])
def test_it_takes_the_precision_that_the_model_was_trained_in_where_the_device_has_it(
    chooser_of, drawn, tiny_model, images, monkeypatch, has, taken
):
    monkeypatch.setattr(sampling, "precisions", lambda device: has)
    drawn.real = images
    chooser_of().choose(700, dataclasses.replace(tiny_model, precision="bf16"))
    assert {wanted.precision for wanted in drawn.drawings} == {taken}


def test_its_cost_is_that_of_its_network_calls_and_nothing_where_nothing_is_chosen(
    chooser_of, tiny_model, images, blobs_of
):
    calls = network_calls(tiny_model, dataclasses.replace(tiny_model.config.sampling, guidance=2.0))
    forward = module.VALUES_TRIED * 256 * calls
    costs = [chooser_of(batch=batch).cost(1000, 1000) for batch in (16, 64)]
    assert costs == [round(forward / 4 / batch) for batch in (16, 64)]
    assert chooser_of().cost(5 * 512, 5 * 512) == 2 * costs[0]
    assert chooser_of(batch=64).cost(FEWEST_STEPS, FEWEST_STEPS) == costs[1]
    assert chooser_of(batch=64).cost(FEWEST_STEPS - 1, FEWEST_STEPS - 1) == 0
    least = math.ceil(costs[0] / module.MOST_SHARE_OF_TRAINING)
    assert [chooser_of().cost(1000, budget) for budget in (least - 1, least)] == [0, costs[0]], (
        "a fifth of the budget at most"
    )
    assert chooser_of(train=blobs_of(FEWEST_REAL - 1)).cost(1000, 1000) == 0


@pytest.mark.parametrize(("steps", "count"), [(1, 256), (1599, 256), (1600, 320), (2700, 512), (10**6, 1024)])
def test_more_images_are_drawn_after_more_steps_up_to_a_thousand(chooser_of, drawn, tiny_model, images, steps, count):
    drawn.real = images
    chooser_of().choose(steps, tiny_model)
    assert {wanted.n for wanted in drawn.drawings} == {count}


def test_only_some_of_many_training_images_are_looked_at(chooser_of, images, monkeypatch):
    assert chooser_of().real.name == images.name
    monkeypatch.setattr(module, "MOST_REAL", 40)
    assert len(chooser_of().real) == 40
    uneven = dataclasses.replace(images, labels=(torch.arange(len(images)) % 8 == 0).long())
    assert chooser_of(train=uneven).real.labels.bincount().tolist() == [35, 5], "as many of each class as are generated"


@pytest.mark.parametrize(
    ("rooms", "chosen"),
    [
        ({}, True),
        ({"training": {"minutes": 0.1, "steps": None}}, True),
        ({"sampling": {"guidance": 1.5}}, False),
        ({"network": {"labels": False}, "data": {"clusters": 0}}, False),
        ({"data": {"clusters": 4}}, False),
    ],
)
def test_it_chooses_for_models_that_can_be_guided_where_nobody_says_how_much(
    config_of, images, tmp_path, rooms, chosen
):
    config = config_of(**rooms)
    images = dataclasses.replace(images, clustered=bool(rooms.get("data", {}).get("clusters")))
    model = Model.build(config, DataInfo.of(images, config))
    found = _choice(Experiment(config, tmp_path / "run", "cpu"), model, images)
    assert (found is not None) == chosen


def test_guidance_and_the_best_model_are_chosen_in_other_features_than_the_scores(config_of, images, tmp_path):
    config = config_of(evaluation={"evaluate_every": 9, "features": "digits"})
    model = Model.build(config, DataInfo.of(images, config))
    experiment = Experiment(config, tmp_path / "run", "cpu")
    choosers = _choice(experiment, model, images).choose.__self__, _validation(experiment).validate.__self__
    assert experiment.features.name == "digits"
    assert {chooser.features.name for chooser in choosers} == {experiment.choosing.name} != {"digits"}
