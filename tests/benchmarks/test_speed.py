import pytest
import torch

from benchmarks import jobs, speed
from benchmarks.jobs import Job
from benchmarks.peers import PEERS
from fromnoise.generation.data_info import DataInfo
from fromnoise.generation.model import Model

PACKAGES = {"diffusers": "diffusers", "ddpm-pytorch": "denoising_diffusion_pytorch"}
FOUND = {
    "parameters": 10,
    "gflop": 0.5,
    "precision": "bf16",
    "channels_last": True,
    "compiled": False,
    "training": 90.0,
    "samplings": [{"sampler": "dpm++", "calls": 20, "timed": 20, "images_per_second": 7.0}],
}
ALL = [pytest.param(name, marks=pytest.mark.slow if name == "ddpm-pytorch" else ()) for name in PEERS]  # of an extra


@pytest.fixture
def peer_of():
    """A peer on a batch of two made-up images; the test is skipped where its package is missing."""

    def make(name, **options):
        pytest.importorskip(PACKAGES[name])
        images = torch.randint(0, 256, (4, 1, 32, 32), dtype=torch.uint8)
        return PEERS[name](images, batch=2, **options)

    return make


@pytest.mark.parametrize("name", ALL)
def test_a_peers_forward_pass_takes_the_operations_of_ours(name, peer_of):
    ours = jobs.size(Model.build(jobs.preset(), DataInfo(1, 32, 32, 1.0, (0.0,), (0.1,) * 10)).network)
    assert jobs.size(peer_of(name).network)["gflop"] == pytest.approx(ours["gflop"], rel=0.15)


@pytest.mark.parametrize("name", ALL)
def test_a_peer_learns_and_draws(name, peer_of):
    peer = peer_of(name)
    before = [parameter.detach().clone() for parameter in peer.network.parameters()]
    losses = [peer.train_step() for _ in range(2)]
    assert all(0 < loss < 10 for loss in losses)
    assert any((old != new).any() for old, new in zip(before, peer.network.parameters(), strict=True))
    images = peer.sample(3, calls=2)
    assert images.shape == (3, 1, 32, 32)
    assert images.dtype == torch.uint8
    assert images.float().std() > 10
    assert peer.default(2, 1).shape == (2, 1, 32, 32)


@pytest.mark.parametrize("name", ALL)
def test_a_peer_takes_labels(name, peer_of):
    peer = peer_of(name, labels=torch.arange(4) % 3, rate=1e-3)
    assert 0 < peer.train_step() < 10
    assert peer.drawn(5).tolist() == [0, 1, 2, 0, 1]
    assert peer.drawn(2, 4).tolist() == [1, 2]
    asked = []
    hook = peer._next_labels
    peer._next_labels = lambda n: asked.append(hook(n)) or asked[-1]
    assert peer.sample(3, calls=4).shape == (3, 1, 32, 32)
    assert torch.cat(asked).tolist() == [0, 1, 2]


def test_warming_up_takes_a_share_of_a_short_training(peer_of):
    """500 steps of warm-up were more than diffusers' example took in the first two minutes."""
    for total, warm_up in ((100, 5), (100_000, 500)):
        peer = peer_of("diffusers", total_steps=total, rate=1e-3)
        for _ in range(warm_up):
            peer._optimizer.step()
            peer._rate.step()
        assert peer._rate.get_last_lr() == [pytest.approx(1e-3)]


def test_too_few_images_for_a_batch_are_refused():
    with pytest.raises(ValueError, match="less than a batch"):
        PEERS["diffusers"](torch.zeros(3, 1, 32, 32, dtype=torch.uint8), batch=4)


def test_the_peers_compiled_in_float32_come_last():
    found = speed.jobs(speed.Settings(steps=1), bf16=True)
    assert [(job.who, job.precision) for job in found[:2]] == [("fromnoise", "auto"), ("fromnoise", "fp32")]
    assert {(job.who, job.precision, job.compiled) for job in found[-2:]} == {(who, "fp32", True) for who in PEERS}
    assert len(found) == 2 + 4 * len(PEERS)
    assert {job.steps for job in found} == {1}


def test_without_bf16_or_compiling_there_is_less_to_measure():
    assert not [job for job in speed.jobs(speed.Settings(), bf16=False) if job.precision == "bf16"]
    assert not [job for job in speed.jobs(speed.Settings(compiled=False), bf16=True) if job.compiled]


def test_the_rows_of_what_was_found():
    training, samplings = speed.rows(Job("fromnoise", "auto"), FOUND)
    assert training.how == "as it runs: bf16, channels-last"
    assert (training.task, training.passes, training.images_per_second) == ("training", 3, 90.0)
    (sampling,) = samplings
    assert (sampling.task, sampling.passes, sampling.images_per_second) == ("dpm++", 20, 7.0)
    shipped, _ = speed.rows(Job("diffusers"), FOUND | {"precision": "fp32", "channels_last": False})
    assert shipped.how == "as shipped: float32"


def test_a_failure_is_a_row_without_numbers():
    training, samplings = speed.rows(Job("diffusers", "bf16", True), {"failure": "InductorError", "message": "no"})
    assert (training.how, training.failure, samplings) == ("bf16, compiled", "none: InductorError", [])


def test_the_better_of_two_limits_counts():
    one, other = {"fp32": {"a": 1.0, "b": 4.0}}, {"fp32": {"a": 2.0, "b": 3.0}}
    assert speed.better(one, other) == {"fp32": {"a": 2.0, "b": 4.0}}


def test_an_error_in_a_job_is_named_by_its_class():
    assert jobs.measure(Job("nobody"))["failure"] == "KeyError"


@pytest.mark.parametrize(
    ("script", "failure"),
    [
        ("kill -SEGV $$", "killed by SIGSEGV"),
        ("exit 3", "exit code 3"),
        ("sleep 60", "out of time"),
        ('echo noise; echo \'{"failure": "ours"}\'', "ours"),
    ],
)
def test_a_process_that_does_not_end_well_leaves_a_reason(tmp_path, monkeypatch, script, failure):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(jobs.sys, "executable", str(program))
    assert jobs.run(Job("nobody"), 0.5 if "sleep" in script else 30)["failure"] == failure
