"""A finished training that goes on: `--minutes +20`."""

import shutil

import pytest
from safetensors.torch import load_file

from fromnoise.config import to_json
from fromnoise.errors import UserError
from fromnoise.files import read_json
from fromnoise.training.interrupt import Interrupted
from fromnoise.training.pace import steps_of
from fromnoise.training.run_folder import RunFolder
from fromnoise.training.settings import Budget


@pytest.fixture
def train(train, config_of):
    """Train in a folder of that name, or extend it."""

    def run(name="run", extension=None, stop=None, **training):
        config = config_of(training={"warmup": 3, **training})
        return train(config, name, stop, log_every=1, extension=extension)

    return run


def rates(folder, first, last):
    return [record["lr"] for record in folder.log.records() if first <= record["step"] <= last]


def test_an_extension_has_a_rise_a_plateau_and_a_fall_of_its_own(train):
    folder, _ = train(steps=10)
    _, outcome = train(steps=10, extension=Budget("steps", 20))
    assert outcome.steps == 30
    assert not outcome.already_finished
    longer, _ = train("longer", steps=20)
    assert rates(folder, 1, 10) == pytest.approx([2e-3 * f for f in (0.25, 0.5, 0.75, 1, 1, 1, 0.8, 0.6, 0.4, 0.2)])
    assert rates(folder, 11, 30) == rates(longer, 1, 20)


def test_an_extension_starts_from_the_weights_averages_and_optimisers_of_the_old_end(train, tensors):
    folder, _ = train(steps=10)
    before = tensors(folder)
    train(steps=10, extension=Budget("steps", 1), lr=2e-3)
    after = tensors(folder)
    for name in load_file(folder.checkpoint(10) / "model.safetensors"):
        change = (after[f"weights.{name}"] - before[f"weights.{name}"]).norm()
        assert change < 0.2 * before[f"weights.{name}"].norm() + 0.05
    counts = [name for name in before if name.endswith(".step")]
    assert counts
    assert all(after[name] == before[name] + 1 for name in counts)


def test_images_of_an_unfinished_model_are_set_aside_when_its_training_goes_on(train, tmp_path):
    with pytest.raises(Interrupted):
        train(steps=10, stop=6)
    folder = RunFolder(tmp_path / "run")
    folder.samples.mkdir()
    (stopped,) = folder.steps()
    train(steps=10)
    assert [path.name for path in folder.path.glob("samples*")] == [f"samples-{stopped:06d}"]
    folder.samples.mkdir()
    train(steps=10)
    assert folder.samples.exists(), "they are of the finished model"


@pytest.mark.parametrize("stop", [11, 17])
def test_an_extension_in_pieces_ends_with_the_same_bits(train, assert_same, stop):
    more = Budget("steps", 12)
    whole, _ = train("whole", steps=10)
    train("whole", steps=10, extension=more)
    train("pieces", steps=10)
    with pytest.raises(Interrupted):
        train("pieces", steps=10, extension=more, stop=stop)
    pieces, outcome = train("pieces", steps=10, extension=more)
    assert outcome.steps == 22
    assert_same(whole, pieces)
    assert rates(whole, 1, 22) == rates(pieces, 1, 22)


def test_the_first_command_goes_on_with_an_extension_and_finds_it_finished(train):
    train(steps=4)
    with pytest.raises(Interrupted):
        train(steps=4, extension=Budget("steps", 6), stop=7)
    assert train(steps=4)[1].steps == 10
    assert train(steps=4)[1].already_finished


def test_budgets_add_up_and_are_written_down(train):
    folder, first = train(steps=4)
    assert read_json(folder.config_file)["budgets"] == []
    train(steps=4, extension=Budget("epochs", 1.5))
    _, last = train(steps=4, extension=Budget("steps", 2))
    assert last.steps == 4 + 6 + 2
    budgets = read_json(folder.config_file)["budgets"]
    assert [(budget["unit"], budget["amount"], budget["step"]) for budget in budgets] == [
        ("steps", 4, 0), ("epochs", 1.5, 4), ("steps", 2, 10),
    ]  # fmt: skip
    assert 0 < budgets[1]["seconds"] < budgets[2]["seconds"]
    assert to_json(folder.load(12).standing.pace.budgets) == budgets
    assert first.pace.budgets == (Budget("steps", 4),)


def test_minutes_are_those_of_the_extension(train, paced):
    paced(lambda k: 1.0)
    train(minutes=0.5)
    _, outcome = train(minutes=0.5, extension=Budget("minutes", 1))
    assert (outcome.pace.budget.seconds, outcome.seconds) == (30, 90)
    assert (outcome.pace.budget.step, outcome.steps) == (30, 90)


def test_only_a_finished_training_can_be_extended(train):
    with pytest.raises(Interrupted):
        train(steps=9, stop=3)
    with pytest.raises(UserError, match="not finished its 9 steps"):
        train(steps=9, extension=Budget("steps", 5))
    train(steps=9)
    with pytest.raises(Interrupted):
        train(steps=9, extension=Budget("steps", 5), stop=12)
    with pytest.raises(UserError, match="not finished its 5 steps"):
        train(steps=9, extension=Budget("steps", 6))
    with pytest.raises(UserError, match="not finished its 5 steps"):
        train("new", steps=5, extension=Budget("steps", 5))


def test_results_of_the_old_end_are_set_aside(train):
    folder, _ = train(steps=4)
    folder.report_file.write_text("{}")
    folder.samples.mkdir()
    (folder.samples / "grid.png").write_bytes(b"picture")
    (folder.path / "samples-000004").mkdir()
    (folder.path / "samples-000004" / "grid.png").write_bytes(b"scored before")
    train(steps=4, extension=Budget("steps", 1))
    assert not folder.report_file.exists()
    assert not folder.samples.exists()
    assert (folder.path / "report-000004.json").read_text() == "{}"
    assert (folder.path / "samples-000004" / "grid.png").read_bytes() == b"scored before"
    assert (folder.path / "samples-000004-2" / "grid.png").read_bytes() == b"picture"


def test_budgets_in_steps():
    assert steps_of(Budget("epochs", 2.5), 64, 16) == 10
    assert steps_of(Budget("steps", 7), 64, 16) == 7
    assert steps_of(Budget("minutes", 7), 64, 16) is None


def test_results_of_a_model_that_was_deleted_are_set_aside(train):
    folder, _ = train(steps=2)
    shutil.rmtree(folder.checkpoints)
    for file in (folder.report_file, folder.guidance_file):
        file.write_text("{}")
    train(steps=2)
    assert not folder.report_file.exists()  # else the new model would be taken for one whose guidance is chosen
    assert (folder.path / "report-000000.json").exists()
    assert (folder.path / "guidance-000000.json").exists()
