import math
from dataclasses import replace

import pytest

from fromnoise.training.pace import Pace, Segment, shortfall
from fromnoise.training.settings import Budget, Recording, TrainingSettings


def of_steps(steps, began=0):
    return Pace((Budget("steps", steps, began),), Segment(began, 0.0, 1), steps)


def test_the_rate_rises_stays_and_falls_to_nearly_zero():
    settings = TrainingSettings(lr=1.0, warmup=9, decay=0.5)
    rates = [of_steps(100).rate(k, settings) for k in range(100)]
    assert rates[:10] == pytest.approx([0.1 * (k + 1) for k in range(10)])
    assert rates[10:51] == [1.0] * 41
    assert rates[51:] == pytest.approx([(100 - k) / 50 for k in range(51, 100)])


def test_an_unknown_speed_keeps_the_rate_on_its_plateau():
    pace = Pace((Budget("minutes", 1),), Segment(0, 0.0, 1), None)
    assert pace.rate(10**6, TrainingSettings(lr=1.0, warmup=0)) == 1.0
    assert pace.total is None


def test_minutes_at_an_even_speed_have_the_rates_of_so_many_steps():
    settings = TrainingSettings(lr=1.0, warmup=9)
    for first in range(20, 100, 5):
        segment = Segment(first, 0.6 * first, 1, step_seconds=0.6, left=60 - 0.6 * first)
        minutes = Pace((Budget("minutes", 1),), segment, None)
        assert minutes.total == 100
        steps = range(first, first + (5 if first < 80 else 1))
        rates = [of_steps(100).rate(k, settings) for k in steps]
        assert [minutes.rate(k, settings) for k in steps] == pytest.approx(rates)


def test_the_rate_never_falls_further_than_the_clock_can_before_it_is_read_again():
    settings = TrainingSettings(lr=1.0, warmup=0)
    pace = Pace((Budget("minutes", 1),), Segment(20, 30.0, 1, step_seconds=10.0, left=30.0), None)
    assert [pace.rate(k, settings) for k in (20, 21, 22)] == [1.0, 0.9, 0.9]


def test_an_extension_has_the_rates_of_a_training_of_its_length():
    settings = TrainingSettings(lr=1.0, warmup=9)
    more = of_steps(40).extended(Budget("steps", 100, 40, 3.0), 100)
    assert more.total == 140
    assert [more.rate(k, settings) for k in range(40, 140)] == [of_steps(100).rate(k, settings) for k in range(100)]


def test_no_decay_keeps_the_rate_constant():
    assert of_steps(100).rate(99, TrainingSettings(lr=1.0, warmup=0, decay=0.0)) == 1.0


def segments(*step_seconds, others=0.0, every=5.0):
    """Readings every five seconds, at these speeds."""
    step, made = 0, []
    for k, seconds in enumerate(step_seconds):
        step += math.floor(every / seconds)
        made.append(Segment(step, (k + 1) * every, 2, seconds, 60.0 - (k + 1) * every, others))
    return made


def test_a_training_of_as_many_steps_as_could_be_has_no_shortfall():
    pace = Pace((Budget("minutes", 1),), Segment(0, 0.0, 2), None)
    assert shortfall(pace, segments(*[0.1] * 12), 2, 2) is None
    assert shortfall(pace, segments(*[0.1] * 8, *[0.15] * 4), 2, 2) is None
    assert shortfall(pace, [], 2, 2) is None
    assert shortfall(of_steps(10), segments(*[0.1] * 2, *[1.0] * 10, others=1.0), 2, 2) is None


def test_a_shortfall_names_the_steps_and_who_took_them():
    pace = Pace((Budget("minutes", 1),), Segment(0, 0.0, 2), None)
    text = shortfall(pace, segments(*[0.1] * 2, *[1.0] * 10, others=1.0), 2, 2)
    assert text == (
        "only 150 steps in 1 minute; about 600 were possible: other processes used 1.0 of 2 cores. "
        "For better images, continue with --minutes +N"
    )
    text = shortfall(pace, segments(*[1.0] * 12, others=1.5), 2, 2)
    assert "only 60 steps in 1 minute: other processes used 1.5 of 2" in text


def test_time_for_planning_is_no_slowdown():
    pace = Pace((Budget("minutes", 1),), Segment(0, 0.0, 2), None)
    late = [replace(s, seconds=s.seconds + 45) for s in segments(*[0.5] * 3)]
    assert shortfall(pace, late, 2, 2) is None
    assert shortfall(pace, late[:1], 2, 2) is None


def test_a_thread_that_has_a_core_to_itself_lacks_nothing():
    pace = Pace((Budget("minutes", 1),), Segment(0, 0.0, 1), None)
    assert shortfall(pace, segments(*[0.1] * 12, others=1.0), 1, 2) is None


@pytest.mark.parametrize(
    ("asked", "steps", "every"), [(None, None, 50), (None, 10_000, 50), (None, 160, 8), (None, 4, 1), (7, 4, 7)]
)
def test_short_trainings_are_logged_more_often(asked, steps, every):
    assert Recording(log_every=asked).log_interval(steps) == every
