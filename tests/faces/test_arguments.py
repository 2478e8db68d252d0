import io
import os
import sys
from pathlib import Path

import pytest

from fromnoise.config import PRESETS, Config, differences, from_json, to_json, with_budget
from fromnoise.errors import UserError
from fromnoise.evaluation.verdicts import TESTS
from fromnoise.faces.arguments import FailOn, TrainingArguments, parse, parse_training, refuse_existing
from fromnoise.faces.commands.data import ExportArguments
from fromnoise.faces.commands.sample import SampleArguments
from fromnoise.files import write_json
from fromnoise.training.settings import Budget


def parsed(*words):
    return parse_training(TrainingArguments, words, "train")


def test_the_preset_is_the_start_and_flags_go_over_it():
    arguments = parsed("--batch", "32", "--preset", "chapter", "--T", "1000")
    assert arguments.config.training.batch == 32
    assert arguments.config.diffusion.T == 1000
    assert arguments.config.training.lr == 1e-4
    assert parsed("--preset=tiny").config.data.size == "16"
    assert parsed("--preset", "tiny", "--preset", "fast") == parsed()  # of a flag given twice, the last counts


def test_the_chapters_preset_is_the_chapters():
    config = parsed("--preset", "chapter").config
    assert (config.diffusion.schedule, config.diffusion.T, config.diffusion.prediction) == ("linear", 500, "eps")
    sampling = config.sampling
    assert (sampling.sampler, sampling.spacing, sampling.sampling_steps) == ("ancestral", "t", 500)
    training = config.training
    assert (training.optimizer, training.lr, training.batch, training.ema) == ("adam", 1e-4, 64, 0.0)
    assert (training.epochs, training.minutes, training.steps) == (200, None, None)


def test_a_budget_given_replaces_the_presets():
    training = parsed("--steps", "7").config.training
    assert (training.steps, training.minutes, training.epochs) == (7, None, None)
    assert parsed().config.training.minutes == 10


def test_two_budgets_or_none_at_all_are_refused():
    with pytest.raises(UserError, match="give one budget, not --minutes and --steps"):
        parsed("--steps", "7", "--minutes", "1")
    with pytest.raises(UserError, match="above 0"):
        parsed("--minutes", "0")


@pytest.mark.parametrize("words", [("--minutes", "+20"), ("--minutes=+20",)])
def test_a_plus_extends_the_run_in_the_folder_by_its_own_budget(tmp_path, words):
    write_json(tmp_path / "config.json", {"config": to_json(with_budget(Config(), "chapter"))})
    arguments = parsed("--out", str(tmp_path), *words, "--batch", "32")
    assert arguments.extension == Budget("minutes", 20)
    training = arguments.config.training
    assert (training.minutes, training.epochs, training.steps, training.batch) == (None, 200, None, 32)
    assert parsed("--minutes", "20").extension is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--minutes", "+20"), "extends a finished run, but .* is not a run"),
        (("--steps", "+2.5"), "expected a number of steps after the ."),
        (("--epochs", "+"), "expected a number of epochs after the ."),
        (("--epochs", "+0"), "above 0"),
        (("--minutes", "+20", "--steps", "5"), "give one budget, not --minutes .20 and --steps"),
        (("--minutes", "+20", "--steps", "+5"), "give one budget, not --minutes .20 and --steps"),
    ],
)
def test_extensions_that_make_no_sense_are_refused(tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        parsed("--out", str(tmp_path), *words)


def test_the_folder_is_named_after_the_data():
    assert str(parsed().out) == "runs/digits-fast"
    assert str(parsed("--data", "some/photos/", "--preset", "tiny").out) == "runs/photos-tiny"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--preset", "slow"), "unknown preset 'slow'; choose one of: fast, chapter, tiny"),
        (("--minuets", "3"), r"Unrecognized options: --minuets, 3; did you mean --minutes\?"),
        (("--sampler", "best"), "invalid choice 'best' for argument '--sampler'.*ddim"),
        (("--m",), "--m needs a value"),
        (("--m", "many"), "Error parsing --m: 'many' is not a whole number"),
        (("--lr", "fast"), "Error parsing --lr: 'fast' is not a number"),
        (("--channels", "48", "few"), r"Error parsing --channels: \['48', 'few'\] are not the numbers it takes"),
        (("--lognormal", "0", "x"), r"Error parsing --lognormal: \['0', 'x'\] are not the numbers it takes"),
    ],
)
def test_words_that_do_not_fit_are_one_line(words, message):
    with pytest.raises(UserError, match=f"^{message}") as refused:
        parsed(*words)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", None])
def test_what_is_missing_is_named_without_its_help(monkeypatch, encoding):
    """tyro's boxes depend on the encoding of the output."""
    output = io.StringIO() if encoding is None else io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", output)
    with pytest.raises(UserError, match=r"^missing: RUN, --out FILE\|DIR \(fromnoise sample --help\)$"):
        parse(SampleArguments, [], "sample")
    with pytest.raises(UserError, match=r"^missing: --out FILE\|DIR; unrecognized: b --c \(fromnoise sample --help"):
        parse(SampleArguments, ["a", "b", "--c"], "sample")
    with pytest.raises(UserError, match=r"^missing: DIR\|NPZ \(fromnoise data export --help\)$"):
        parse(ExportArguments, ["digits"], "data export")


def test_the_help_of_fail_on_names_every_test():
    (about,) = FailOn.__metadata__
    assert about.help.partition("fails: ")[2].startswith(", ".join(TESTS) + ".")


def test_none_can_be_typed():
    assert parsed("--clip", "None").config.training.clip is None
    assert parsed("--preset", "chapter", "--clip", "0.5").config.training.clip == 0.5
    assert parsed("--guidance-interval", "-1", "2.5").config.sampling.guidance_interval == (-1, 2.5)


@pytest.mark.parametrize("name", PRESETS)
def test_a_configuration_survives_json(name):
    config = with_budget(PRESETS[name], name)
    assert from_json(Config, to_json(config)) == config


def test_an_unknown_setting_in_json_is_refused():
    with pytest.raises(UserError, match="unknown setting colour"):
        from_json(Config, {"colour": "red"})


def test_differences_are_named():
    one, other = parsed("--lr", "0.1", "--steps", "3").config, parsed("--steps", "3").config
    assert differences(one, other) == ["lr: 0.1, 0.002"]
    assert differences(one, one) == []


@pytest.mark.parametrize(
    ("written", "data", "out"),
    [
        ("digits", "digits", "digits-fast"),
        ("digits/", "./digits", "digits-fast"),
        ("mnist//", "./mnist", "mnist-fast"),
        ("photos/", "photos", "photos-fast"),
        ("/", "/", "data-fast"),
    ],
)
def test_a_slash_behind_it_makes_a_folder_of_a_name(written, data, out):
    arguments = parsed("--data", written)
    assert (arguments.config.data.data, arguments.out.name) == (data, out)


def test_a_setting_that_a_file_lacks_has_its_default_and_is_told_of(tmp_path):
    value = to_json(Config())
    del value["diffusion"]["prediction"]
    read = from_json(Config, value)
    assert to_json(read) == to_json(Config())
    assert differences(read, Config()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no such files")
def test_links_and_devices_are_not_replaced_by_files(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "link", tmp_path / "pipe", Path("/dev/null"), Path("/dev/stdout")):
        with pytest.raises(UserError, match="is a link or a device, which is never replaced"):
            refuse_existing(True, path)
