"""The choice of guidance as a part of the training: its time, what it leaves behind, and what breaks it off."""

import dataclasses
import signal

import pytest
import torch
from safetensors.torch import load_file

from fromnoise.generation.model import Model
from fromnoise.training.interrupt import Interrupted
from fromnoise.training.settings import Budget
from fromnoise.training.validation import GuidanceChoice


@pytest.fixture
def asked():
    """The steps after which guidance was to be chosen."""
    return []


@pytest.fixture
def choice(asked):
    def choose(step, model):
        assert not model.network.training
        asked.append(step)
        return 1.25 + step / 100

    return GuidanceChoice(lambda steps, budget: 7, choose)


def test_the_guidance_is_in_the_finished_model_and_the_weights_stay_as_they_are(train, config_of, choice, asked):
    config = config_of(training={"steps": 6})
    folder, outcome = train(config, checkpoint_every=3, choice=choice)
    assert asked == [6]
    assert outcome.model.guidance == Model.load(folder.model_file()).guidance == 1.31
    assert Model.load(folder.checkpoint(3) / "model.safetensors").guidance is None
    plain, without = train(config, "plain")
    assert without.model.guidance is None
    weights = [load_file(each.model_file()) for each in (folder, plain)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


def test_a_finished_training_is_not_asked_again_but_one_that_goes_on_is(train, config_of, choice, asked):
    config = config_of(training={"steps": 6})
    for _ in range(2):
        _, outcome = train(config, choice=choice)
    assert asked == [6]
    assert outcome.already_finished
    _, outcome = train(config, choice=choice, extension=Budget("steps", 3))
    assert asked == [6, 9]
    assert outcome.model.guidance == 1.34


def test_the_choice_is_kept_where_an_extension_left_no_checkpoint(train, config_of, choice):
    config = config_of(training={"steps": 6})
    folder, _ = train(config, choice=choice)
    folder.guidance_file.write_text('{"guidance": 1.31}')
    folder.set_aside_results(6)  # as an extension does first
    train(config, choice=choice)
    assert folder.about_guidance() == {"guidance": 1.31}


def test_a_model_that_stays_the_best_keeps_its_choice_and_another_does_not(train, config_of, choice, asked):
    config = config_of(training={"steps": 6})
    folder, _ = train(config, choice=choice)
    folder.guidance_file.write_text('{"guidance": 1.31}')
    folder.keep_best(Model.load(folder.model_file()), {"step": 4, "denoising": {"value": 0.1, "n": 9}})
    _, outcome = train(config, choice=choice, extension=Budget("steps", 3))
    assert (outcome.model.guidance, asked) == (1.31, [6])
    assert folder.about_guidance() == {"guidance": 1.31}
    folder.keep_best(dataclasses.replace(outcome.model, guidance=None), {"step": 9, "denoising": {"value": 0, "n": 9}})
    assert train(config, choice=choice, extension=Budget("steps", 2))[1].model.guidance == 1.36
    assert folder.about_guidance() is None  # of an earlier model


def test_an_extension_too_short_to_choose_in_keeps_the_guidance_from_before(train, config_of, choice, asked):
    config = config_of(training={"steps": 6})
    folder, _ = train(config, choice=choice)
    folder.guidance_file.write_text('{"guidance": 1.31}')
    dear = dataclasses.replace(choice, cost=lambda steps, budget: 7 if budget > 3 else 0)
    for _ in range(2):
        _, outcome = train(config, choice=dear, extension=Budget("steps", 3))
        assert (outcome.model.guidance, asked, folder.about_guidance()) == (1.31, [6], {"guidance": 1.31})
    assert train(config, choice=dear, extension=Budget("steps", 4))[1].model.guidance == 1.41


def test_guidance_from_before_outlasts_ctrl_c_at_the_last_step(train, config_of, choice, asked):
    config = config_of(training={"steps": 6})
    folder, _ = train(config, choice=choice)
    folder.guidance_file.write_text('{"guidance": 1.31}')
    dear = dataclasses.replace(choice, cost=lambda steps, budget: 7 if budget > 3 else 0)
    with pytest.raises(Interrupted, match="stopped at step 9"):
        train(config, stop=9, choice=dear, extension=Budget("steps", 3))
    _, outcome = train(config, choice=dear, extension=Budget("steps", 3))
    assert (outcome.steps, outcome.model.guidance, folder.about_guidance()) == (9, 1.31, {"guidance": 1.31})


def test_a_model_that_has_its_score_keeps_how_it_was_drawn_from(train, config_of, choice, asked):
    config = config_of(training={"steps": 6})
    folder, _ = train(config)
    folder.report_file.write_text("{}")
    assert train(config, choice=choice)[1].model.guidance is None
    assert asked == []


def test_nothing_is_chosen_where_it_has_no_cost(train, config_of, choice, asked):
    _, outcome = train(
        config_of(training={"steps": 6}), choice=dataclasses.replace(choice, cost=lambda steps, budget: 0)
    )
    assert outcome.model.guidance is None
    assert asked == []


def test_ctrl_c_breaks_the_choice_off_and_the_same_command_makes_up_for_it(train, config_of, choice, asked):
    def stop(step, model):
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("it went on")

    config = config_of(training={"steps": 6})
    with pytest.raises(Interrupted, match="stopped at step 6"):
        train(config, choice=dataclasses.replace(choice, choose=stop))
    _, outcome = train(config, choice=choice)
    assert asked == [6]
    assert outcome.model.guidance == 1.31


def test_an_extension_whose_choice_was_broken_off_is_not_trained_a_second_time(train, config_of, choice, asked):
    def stop(step, model):
        signal.raise_signal(signal.SIGINT)

    config, extension = config_of(training={"steps": 6}), Budget("steps", 3)
    train(config, choice=choice)
    with pytest.raises(Interrupted, match="stopped at step 9"):
        train(config, choice=dataclasses.replace(choice, choose=stop), extension=extension)
    _, outcome = train(config, choice=choice, extension=extension)
    assert (outcome.steps, outcome.model.guidance) == (9, 1.34)
    assert train(config, choice=choice, extension=extension)[1].steps == 12
    assert asked == [6, 9, 12]


def test_a_budget_of_minutes_holds_the_choice_too(train, config_of, choice, paced):
    paced(lambda k: 1.0)
    config = config_of(training={"minutes": 2})
    assert train(config, "without")[1].steps == 120
    assert train(config, "with", choice=choice)[1].steps == 113


def test_a_budget_that_keeps_time_for_the_choice_uses_it(train, config_of, choice, asked, paced):
    """Though after the steps that remain it would not have been kept."""
    paced(lambda k: 1.0)
    enough = dataclasses.replace(choice, cost=lambda steps, budget: 7 if steps >= 120 else 0)
    for _ in range(2):
        _, outcome = train(config_of(training={"minutes": 2}), choice=enough)
        assert (outcome.steps, asked) == (113, [113])
