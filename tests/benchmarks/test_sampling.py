"""The quality-time curve of samplers: what a setting means, and that every setting is drawn and scored."""

import dataclasses

import pytest
import torch

from benchmarks import sampling
from benchmarks.sampling import Row, Settings
from fromnoise.errors import UserError
from fromnoise.evaluation.features import features
from fromnoise.evaluation.frechet import Moments, distance
from fromnoise.faces.cli import script
from fromnoise.generation.sampling import SampleRequest, network_calls, own_precision, sample

CPU = torch.device("cpu")


@pytest.mark.parametrize(("spec", "weight", "interval"), [
    ("1", 1.0, (-30, 30)),
    ("1.5:-4:2", 1.5, (-4.0, 2.0)),
])  # fmt: skip
def test_guidance_is_a_weight_and_where_it_holds(tiny_model, spec, weight, interval):
    how = sampling.guided(tiny_model.config.sampling, spec)
    assert (how.guidance, how.guidance_interval) == (weight, interval)


def test_own_guidance_is_what_the_model_has_by_itself(tiny_model):
    own = tiny_model.config.sampling
    assert sampling.guided(own, "own") == own


@pytest.mark.parametrize("spec", ["", "much", "1.5:-4", "1.5:-4:2:6", "1.5:-4:"])
def test_guidance_that_is_none_is_refused(tiny_model, spec):
    with pytest.raises(UserError, match="WEIGHT or WEIGHT:FROM:TO"):
        sampling.guided(tiny_model.config.sampling, spec)


def test_what_no_sampler_can_do_is_refused_before_work(tiny_model, tmp_path):
    with pytest.raises(UserError, match="at least 1 step"):
        sampling.asked(Settings(tmp_path, steps=(6, 0)), tiny_model)


def test_the_script_refuses_in_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["sampling", "digits", "--guidance", "much", "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        script(sampling.main, Settings, None)
    sentence = "fromnoise: guidance is own, WEIGHT or WEIGHT:FROM:TO, as 1.5:-4:2, not 'much'\n"
    assert (left.value.code, capsys.readouterr().err) == (2, sentence)
    assert not list(tmp_path.iterdir())


def test_every_setting_is_drawn_from_the_same_noise_and_scored(tiny_model, tmp_path):
    extract = features("digits", CPU)
    real = Moments.of(extract(torch.randint(0, 256, (40, 1, 16, 16), dtype=torch.uint8)))
    settings = Settings(tmp_path, tmp_path, 20, ("ddim", "heun"), ("logsnr",), ("1",), (2, 3))
    grid = sampling.asked(settings, tiny_model)
    rows = sampling.measure(grid, settings.n, tiny_model, extract, real)
    assert [(row.sampler, row.steps) for row in rows] == [("ddim", 2), ("heun", 2), ("ddim", 3), ("heun", 3)]
    how = dataclasses.replace(
        sampling.guided(tiny_model.config.sampling, "1"), sampler="ddim", spacing="logsnr", sampling_steps=3
    )
    images = sample(tiny_model, SampleRequest(20, precision=own_precision(tiny_model), sampler=how))
    assert rows[2].fid == pytest.approx(distance(Moments.of(extract(images)), real))
    assert rows[2].calls == network_calls(tiny_model, how) == 3
    assert all(row.seconds > 0 for row in rows)


def test_the_table_has_a_row_for_a_sampler_and_the_best_of_each_column_in_bold():
    rows = [Row("ddim", "logsnr", "1", 6, 6, 2.0, 1.0), Row("ddim", "logsnr", "1", 8, 8, 0.5, 1.0)]
    rows += [Row("heun", "logsnr", "1", 6, 11, 1.0, 1.0), Row("heun", "logsnr", "1", 8, 15, 0.75, 1.0)]
    lines = sampling.table(rows).splitlines()
    assert lines[0] == "| sampler | spacing | guidance | 6 steps | 8 steps |"
    assert lines[2:] == [
        "| ddim | logsnr | 1 | 2.000 (6) | **0.500** (8) |",
        "| heun | logsnr | 1 | **1.000** (11) | 0.750 (15) |",
    ]
