"""What takes minutes: the chapter's own network, compiling, several processes, and whether digits are learnt."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.slow


def test_the_chapters_recipe_runs_with_its_113_million_parameters(fromnoise, process, tmp_path):
    process("train", "--preset", "chapter", "--batch", "2", "--steps", "1", "--out", "chapter", cwd=tmp_path)
    model = tmp_path / "chapter" / "checkpoints" / "000001" / "model.safetensors"
    assert sum(tensor.numel() for tensor in load_file(model).values()) == pytest.approx(113.7e6, rel=5e-4)
    fromnoise("sample", model, "--n", "1", "--steps", "2", "--out", "one.npz", "--precision", "fp32", cwd=tmp_path)
    refused = fromnoise(
        "sample", model, "--n", "1", "--steps", "5", "--spacing", "karras", "--precision", "fp32", "--out", "x.png",
        cwd=tmp_path, code=2,
    )  # fmt: skip
    assert "--spacing t" in refused.stderr


def test_a_compiled_training_learns_the_same_and_resumes_to_the_bit(fromnoise, process, tmp_path):
    """In bf16, where inductor lost gradients; a lost one is an error of `--compile on`."""
    words = ("train", "--preset", "tiny", "--precision", "bf16", "--checkpoint-every", "5", "--steps", "10")
    fromnoise(*words, "--compile", "off", "--out", "eager", cwd=tmp_path)
    process(*words, "--compile", "on", "--out", "whole", cwd=tmp_path)
    shutil.copytree(tmp_path / "whole", tmp_path / "pieces")
    shutil.rmtree(tmp_path / "pieces" / "checkpoints" / "000010")
    resumed = process(*words, "--compile", "on", "--out", "pieces", cwd=tmp_path)
    assert "resuming from step 5" in resumed.stderr
    eager, whole, pieces = (
        load_file(tmp_path / name / "checkpoints" / "000010" / "model.safetensors")
        for name in ("eager", "whole", "pieces")
    )
    for name, tensor in whole.items():
        assert torch.equal(tensor, pieces[name])
        torch.testing.assert_close(tensor, eager[name], atol=5e-3, rtol=0.05)


TWO = """
import sys, time
import torch
from fromnoise.faces import cli
from fromnoise.training import step, trainer

take, train = step.Step.__call__, trainer.Trainer._train

def slow(self, k, rate):
    time.sleep(0.05 * self.accelerator.process_index)  # clocks that do not agree
    return take(self, k, rate)

def compared(self, guard):
    train(self, guard)
    weights = torch.cat([p.detach().flatten() for p in self.take_step.network.parameters()])
    everyone = self.accelerator.gather(weights[None])
    if self.accelerator.is_main_process:
        print(f"processes {len(everyone)} alike {bool((everyone[0] == everyone[-1]).all())}", file=sys.stderr)

step.Step.__call__, trainer.Trainer._train = slow, compared
sys.exit(cli.main(sys.argv[1:]))
"""


def test_two_processes_agree_on_steps_checkpoints_and_weights(process, tmp_path):
    (tmp_path / "two.py").write_text(TWO)
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", "two.py")
    words = ("train", "--preset", "tiny", "--device", "cpu", "--minutes", "0.1", "--evaluate-every", "20")
    done = process(*words, "--out", "two", cwd=tmp_path, program=launch)
    assert done.stderr.count("processes 2 alike True") == 1
    assert done.stderr.count("fit into 0.1 minutes") == 1
    steps = sorted(int(path.name) for path in (tmp_path / "two" / "checkpoints").glob("0*"))
    records = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    assert len(steps) == 1  # from the end; the first of the two processes writes it
    assert records[-1]["step"] == steps[-1]
    looks = [json.loads(line)["step"] for line in (tmp_path / "two" / "evaluations.jsonl").read_text().splitlines()]
    assert looks == [*range(20, steps[-1], 20), steps[-1]]  # by one of the two


def test_a_minute_of_training_is_on_its_way_to_digits(fromnoise, tmp_path):
    words = ("--data", "digits", "--size", "16", "--steps", "150", "--compile", "off", "--n", "300", "--out", "run")
    fromnoise("run", *words, cwd=tmp_path)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    fid = report["metrics"]["fid"]
    assert fid["n"] == fid["floor"]["n"] == fid["copycat"]["n"] == 300
    assert fid["value"] < 25  # measured 17; noise is beyond 100
    assert report["copies"]["copying"] is False
