import dataclasses

import pytest

from benchmarks import peer_rates, quality, results
from benchmarks.quality import Cell
from fromnoise.errors import UserError
from fromnoise.files import write_json

CELL = Cell(
    "fromnoise",
    5,
    0,
    301.0,
    900,
    3000,
    "mnist:test",
    0.6,
    0.05,
    0.03,
    0.08,
    20,
    "no sign of copying",
    (0.5, 0.25),
    "a CPU",
)
PEER = dataclasses.replace(CELL, contender="diffusers", fid=30.0, error=1.0)


def line(table, *words):
    (found,) = [line for line in table.splitlines() if line.startswith(f"| {' | '.join(words)} |")]
    return [cell.strip() for cell in found.strip("|").split("|")]


def test_seeds_of_one_budget_share_a_line():
    cells = [
        CELL,
        dataclasses.replace(CELL, seed=1, fid=0.9, seconds=303.0),
        dataclasses.replace(CELL, minutes=10),
        PEER,
    ]
    table = quality.table(cells)
    five = line(table, "fromnoise", "5")
    assert five[2:8] == ["A", "2", "302", "900", "0.75 ± 0.21", "25 ± 7.1"]
    assert five[8:] == ["no sign of copying", "0.25; 0.25"]
    assert line(table, "fromnoise", "10")[6:8] == ["0.6 (0.05)", "20"]
    assert line(table, "diffusers", "5")[6:8] == ["30 (1)", "1,000"]


def test_a_copying_seed_is_not_hidden_by_the_others():
    copying = dataclasses.replace(CELL, seed=1, verdict="copying: 9 % of the images lie closer")
    assert line(quality.table([CELL, copying]), "fromnoise", "5")[8] == "copying; no sign of copying"


def test_seeds_on_different_cpus_are_not_averaged():
    other = dataclasses.replace(CELL, seed=1, fid=0.3, system="another CPU")
    table = quality.table([CELL, other])
    assert line(table, "fromnoise", "5", "A")[6] == "0.6 (0.05)"
    assert line(table, "fromnoise", "5", "B")[6] == "0.3 (0.05)"


def test_a_section_and_a_plot_are_written_and_cells_come_back(tmp_path):
    settings = quality.Settings(out=tmp_path)
    quality.write([CELL, PEER], settings)
    text = (tmp_path / "RESULTS.md").read_text()
    assert "<!-- quality -->" in text
    assert line(text, "diffusers", "5")
    assert (tmp_path / "quality.png").stat().st_size > 5000
    assert results.known(tmp_path / "quality.json", Cell) == [CELL, PEER]


def test_an_unknown_contender_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such contender: nobody"):
        quality.main(quality.Settings(contenders=("nobody",), out=tmp_path))


def test_peers_train_with_what_was_best(tmp_path):
    with pytest.raises(UserError, match=r"python -m benchmarks.peer_rates --peers diffusers"):
        peer_rates.best("diffusers", tmp_path)
    tried = [
        {"peer": "diffusers", "minutes": 5.0, "rate": 1e-4, "guidance": None, "fid": 9.0},
        {"peer": "diffusers", "minutes": 5.0, "rate": 3e-4, "guidance": None, "fid": 2.0},
        {"peer": "ddpm-pytorch", "minutes": 5.0, "rate": 1e-3, "guidance": 2.0, "fid": 1.0},
    ]
    write_json(tmp_path / peer_rates.FILE, {"tried": tried})
    assert peer_rates.best("diffusers", tmp_path) == (3e-4, None)
    assert peer_rates.best("ddpm-pytorch", tmp_path) == (1e-3, 2.0)
    settings = peer_rates.Settings(peers=("diffusers",), rates=(1e-4, 3e-4), out=tmp_path)
    peer_rates.main(settings)  # trains nothing again


def test_peers_of_quality_have_labels_and_as_many_seeds(tmp_path):
    with pytest.raises(UserError, match=r"no such contender: diffusers; choose of .*diffusers, labels"):
        quality.main(quality.Settings(contenders=("diffusers",), out=tmp_path))
