"""What takes minutes: the chapter's own network, compiling, several processes, and whether digits are learnt."""

import json

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow


def test_the_chapters_recipe_runs_with_its_113_million_parameters(fromnoise, tmp_path):
    fromnoise("train", "--preset", "chapter", "--steps", "2", "--out", "chapter", cwd=tmp_path)
    model = tmp_path / "chapter" / "checkpoints" / "000002" / "model.safetensors"
    assert sum(tensor.numel() for tensor in load_file(model).values()) == pytest.approx(113.7e6, rel=5e-4)
    fromnoise("sample", model, "--n", "1", "--steps", "2", "--out", "one.npz", "--precision", "fp32", cwd=tmp_path)
    refused = fromnoise(
        "sample", model, "--n", "1", "--steps", "5", "--spacing", "karras", "--precision", "fp32", "--out", "x.png",
        cwd=tmp_path, code=2,
    )  # fmt: skip
    assert "--spacing t" in refused.stderr


def test_a_compiled_training_learns_the_same_and_resumes_to_the_bit(fromnoise, tmp_path):
    words = ("train", "--preset", "tiny", "--checkpoint-every", "5")
    fromnoise(*words, "--steps", "10", "--compile", "off", "--out", "eager", cwd=tmp_path)
    fromnoise(*words, "--steps", "10", "--compile", "on", "--out", "whole", cwd=tmp_path)
    fromnoise(*words, "--steps", "10", "--compile", "on", "--out", "pieces", cwd=tmp_path)
    last = tmp_path / "pieces" / "checkpoints" / "000010"
    for file in last.iterdir():
        file.unlink()
    last.rmdir()
    assert "going on from step 5" in fromnoise(
        *words, "--steps", "10", "--compile", "on", "--out", "pieces", cwd=tmp_path
    ).stderr  # fmt: skip
    eager, whole, pieces = (
        load_file(tmp_path / name / "checkpoints" / "000010" / "model.safetensors")
        for name in ("eager", "whole", "pieces")
    )
    for name, tensor in whole.items():
        assert torch.equal(tensor, pieces[name])
        torch.testing.assert_close(tensor, eager[name], atol=5e-3, rtol=0.05)


def test_two_processes_train_as_one(fromnoise, tmp_path):
    program = (
        "-m",
        "accelerate.commands.launch",
        "--cpu",
        "--num_processes",
        "2",
        "--num_cpu_threads_per_process",
        "1",
    )
    program += ("--mixed_precision", "no", "--dynamo_backend", "no", "--num_machines", "1", "--module")
    words = ("fromnoise.faces.cli", "train", "--preset", "tiny", "--steps", "6", "--out", "two")
    fromnoise(*words, cwd=tmp_path, program=program)
    records = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in records] == [5, 6]
    assert sorted(item.name for item in (tmp_path / "two" / "checkpoints").iterdir()) == ["000006"]


def test_two_minutes_of_training_are_on_their_way_to_digits(fromnoise, tmp_path):
    fromnoise("run", "--data", "digits", "--steps", "300", "--compile", "off", "--out", "run", cwd=tmp_path)
    fid = json.loads((tmp_path / "run" / "report.json").read_text())["metrics"]["fid"]
    assert fid["n"] == fid["floor"]["n"] == 1000
    assert fid["ratio"] < 200
