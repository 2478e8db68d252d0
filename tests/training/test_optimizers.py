import pytest
import torch
from torch import nn

from fromnoise.errors import UserError
from fromnoise.networks.unet import UNet
from fromnoise.training.optimizers import KernelMuon, Optimizers
from fromnoise.training.settings import TrainingSettings


def a_step(optimizers, network, seed, learning_rate=1e-2):
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        grad = torch.randn(parameter.shape, generator=generator)
        parameter.grad = torch.empty_like(parameter).copy_(grad)
    optimizers.step(learning_rate)


def test_an_unknown_optimizer_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match="muon, adamw, adam"):
        Optimizers(nn.Linear(2, 2), TrainingSettings(optimizer="sgd"))


def test_adam_is_the_chapters_plain_adam():
    ours, theirs = nn.Linear(4, 4), nn.Linear(4, 4)
    theirs.load_state_dict(ours.state_dict())
    one = Optimizers(ours, TrainingSettings(optimizer="adam"))
    other = torch.optim.Adam(theirs.parameters(), lr=1e-2)
    for k in range(3):
        a_step(one, ours, k)
        generator = torch.Generator().manual_seed(k)
        for parameter in theirs.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        other.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


def test_muon_on_a_kernel_is_pytorchs_muon_on_the_flattened_kernel():
    settings = TrainingSettings(lr=1e-2, weight_decay=0.1)
    kernel = nn.Parameter(torch.randn(32, 16, 3, 3))
    matrix = nn.Parameter(kernel.detach().reshape(32, 144).clone())
    ours = KernelMuon([kernel], settings)
    theirs = torch.optim.Muon([matrix], lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        kernel.grad = torch.randn(32, 16, 3, 3)
        matrix.grad = kernel.grad.reshape(32, 144).clone()
        ours.step()
        theirs.step()
    assert torch.equal(kernel.detach().reshape(32, 144), matrix.detach())


def test_muon_computes_in_float32_where_bf16_would_be_emulated(monkeypatch):
    kernel = nn.Parameter(torch.zeros(32, 16, 3, 3))
    monkeypatch.setattr("fromnoise.training.optimizers.precisions", lambda device: ("fp32",))
    ours = KernelMuon([kernel], TrainingSettings(weight_decay=0.0))
    kernel.grad = torch.randn(32, 16, 3, 3)
    ours.param_groups[0]["lr"] = 1.0
    ours.step()
    found = kernel.detach().reshape(32, 144)
    left, values, right = torch.linalg.svd(kernel.grad.reshape(32, 144).double(), full_matrices=False)
    x = values / values.norm()
    for _ in range(5):  # the iteration on the singular values alone
        x = 3.4445 * x - 4.7750 * x**3 + 2.0315 * x**5
    torch.testing.assert_close(found.double(), -0.2 * 144**0.5 * left @ x.diag() @ right, atol=1e-5, rtol=1e-5)


def test_muon_does_not_depend_on_the_memory_format():
    settings = TrainingSettings(lr=1e-2)
    first = torch.randn(32, 16, 3, 3)
    kernels = [
        nn.Parameter(first.clone()),
        nn.Parameter(first.clone().contiguous(memory_format=torch.channels_last)),
    ]
    grad = torch.randn(32, 16, 3, 3)
    for kernel in kernels:
        kernel.grad = torch.empty_like(kernel).copy_(grad)
        KernelMuon([kernel], settings).step()
    assert not torch.equal(kernels[0].detach(), first)
    # Newton and Schulz's iteration runs in bfloat16: columns in another order round differently.
    torch.testing.assert_close(kernels[0], kernels[1], atol=5e-4, rtol=0)


@pytest.mark.parametrize("name", ["muon", "adamw", "adam"])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_saved_state_goes_on_to_the_same_bit(name, memory_format):
    settings = TrainingSettings(optimizer=name)

    def fresh():
        torch.manual_seed(0)
        return UNet(1, (16, 32), classes=3).to(memory_format=memory_format)

    through, before = fresh(), fresh()
    one, other = Optimizers(through, settings), Optimizers(before, settings)
    for k in range(2):
        a_step(one, through, k)
        a_step(other, before, k)
    after = fresh()
    after.load_state_dict(before.state_dict())
    resumed = Optimizers(after, settings)
    resumed.load({key: value.clone().contiguous() for key, value in other.state().items()})
    for k in range(2, 4):
        a_step(one, through, k)
        a_step(resumed, after, k)
    for ours, theirs in zip(through.parameters(), after.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_muon_takes_the_kernels_and_adamw_the_rest():
    network = UNet(1, (16, 32), classes=3)
    muon, adamw = Optimizers(network, TrainingSettings()).members
    count = sum(len(group["params"]) for member in (muon, adamw) for group in member.param_groups)
    assert isinstance(muon, KernelMuon)
    assert count == len(list(network.parameters()))
    assert all(kernel.ndim == 4 for kernel in muon.kernels)
    assert not any(kernel is network.last.weight or kernel is network.first.weight for kernel in muon.kernels)
