import copy
from itertools import pairwise

import pytest
import torch

from fromnoise.networks.unet import UNet

LEVELS = torch.tensor([-6.0, -1.0, 0.5, 4.0])


@pytest.fixture
def net(randomised):
    """A small net with classes and random weights."""
    return randomised(UNet(1, (16, 32), classes=3)).eval()


def relative(got, wanted):
    return ((got - wanted).norm() / wanted.norm()).item()


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(("images", "size"), [(1, (8, 8)), (3, (8, 8)), (1, (8, 16)), (3, (24, 8))])
def test_the_answer_has_the_shape_of_the_images(randn, randomised, images, size, classes):
    net = randomised(UNet(images, (16, 32, 32), classes=classes))
    x = randn(4, images, *size)
    label = torch.tensor([0, 1, 2, 3]) if classes else None
    out = net(x, LEVELS, label)
    assert out.shape == x.shape
    assert out.isfinite().all()
    assert out.std() > 0.01


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("blocks", [1, 2])
def test_every_stem_and_depth_works(randn, randomised, stem, blocks):
    x = randn(4, 1, 16, 16)
    assert randomised(UNet(1, (8, 16), blocks, stem))(x, LEVELS).shape == x.shape


def test_a_net_made_on_another_device_works_there():
    with torch.device("meta"):
        assert UNet(1, (8, 16), classes=3)(torch.zeros(4, 1, 8, 8), torch.zeros(4)).device.type == "meta"


def test_a_fresh_net_says_nothing(randn):
    assert (UNet(1, (16, 32), classes=3)(randn(4, 1, 8, 8), LEVELS) == 0).all()


def test_norms_take_16_channels_together_or_8_where_16_do_not_divide_them():
    def groups(net):
        return {(m.num_channels, m.num_groups) for m in net.modules() if isinstance(m, torch.nn.GroupNorm)}

    assert groups(UNet(1, (32, 64))) == {(32, 2), (64, 4), (96, 6), (128, 8)}
    assert groups(UNet(1, (8, 16))) == {(8, 1), (16, 1), (24, 3), (32, 2)}


def test_no_label_is_the_null_class(randn, net):
    x = randn(4, 1, 8, 8)
    assert torch.equal(net(x, LEVELS), net(x, LEVELS, torch.full((4,), 3)))


def test_the_label_changes_the_answer(randn, net):
    x = randn(4, 1, 8, 8)
    answers = [net(x, LEVELS, torch.full((4,), label)) for label in range(4)]
    for k in range(4):
        for other in answers[:k]:
            assert relative(answers[k], other) > 0.01


def test_the_change_changes_the_answer_and_zeros_are_none(randn, randomised):
    net, x, change = randomised(UNet(1, (16, 32), classes=3, change=6)), randn(4, 1, 8, 8), randn(4, 6)
    told = net(x, LEVELS, change=change)
    assert torch.equal(net(x, LEVELS, change=torch.zeros(4, 6)), net(x, LEVELS))
    assert relative(told, net(x, LEVELS)) > 0.01
    for k in range(6):
        assert relative(net(x, LEVELS, change=change.index_fill(1, torch.tensor(k), 0.0)), told) > 1e-3


def test_a_fresh_net_that_is_told_of_changes_is_else_the_same():
    torch.manual_seed(0)
    plain = UNet(1, (16, 32), classes=3).state_dict()
    torch.manual_seed(0)
    told = UNet(1, (16, 32), classes=3, change=6).state_dict()
    assert not told.pop("embedding.change.weight").any()
    assert told.keys() == plain.keys()
    assert all(torch.equal(told[name], plain[name]) for name in plain)


def test_the_level_changes_the_answer(randn, net):
    x = randn(4, 1, 8, 8)
    answers = [net(x, torch.full((4,), at)) for at in (-9.0, -0.1, 0.1, 9.0)]
    for answer, other in pairwise(answers):
        assert relative(answer, other) > 0.003


def test_a_row_does_not_depend_on_the_rows_beside_it(randn, net):
    x, label = randn(4, 1, 8, 8), torch.tensor([0, 1, 2, 3])
    together = net(x, LEVELS, label)
    for k in range(4):
        row = slice(k, k + 1)
        assert relative(net(x[row], LEVELS[row], label[row]), together[row]) < 1e-5


def test_every_pixel_can_reach_every_other(randn, net):
    # of an image of the size it is made for, through its levels and normalisation
    x = randn(1, 1, 16, 16).requires_grad_()
    net(x, LEVELS[:1])[0, 0, 0, 0].backward()
    assert (x.grad != 0).all()


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("change", [0, 6])
def test_the_gradient_reaches_every_parameter(randn, randomised, classes, change):
    net = randomised(UNet(1, (16, 32), blocks=2, classes=classes, change=change))
    label = torch.tensor([0, 1, 2, 3]) if classes else None
    net(randn(4, 1, 8, 8), LEVELS, label, randn(4, change) if change else None).square().mean().backward()
    for name, weights in net.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.isfinite().all(), name
        assert (weights.grad.flatten(1) if weights.ndim > 1 else weights.grad[None]).norm() > 1e-5, name


def test_dropout_acts_in_training_alone(randn, randomised):
    net, x = randomised(UNet(1, (16, 32), dropout=0.5)), randn(4, 1, 8, 8)
    torch.manual_seed(0)
    assert relative(net(x, LEVELS), net(x, LEVELS)) > 0.01
    net.eval()
    assert torch.equal(net(x, LEVELS), net(x, LEVELS))


def test_bfloat16_follows_float32(randn, net):
    x, label = randn(4, 1, 16, 16), torch.tensor([0, 1, 2, 3])
    with torch.autocast("cpu", torch.bfloat16):
        out = net(x, LEVELS, label)
    assert 0 < relative(out.float(), net(x, LEVELS, label)) < 3e-2


def test_channels_last_is_the_same_net(randn, net):
    x = randn(4, 1, 16, 16)
    last = copy.deepcopy(net).to(memory_format=torch.channels_last)
    out = last(x.contiguous(memory_format=torch.channels_last), LEVELS)
    assert relative(out, net(x, LEVELS)) < 1e-4


def test_the_gradient_is_bit_for_bit_the_same_each_time(randn, randomised):
    torch.set_num_threads(2)  # whose sums could meet in another order
    net = randomised(UNet(1, (16, 32), classes=3))
    x, logsnr, label = randn(8, 1, 32, 32), LEVELS.repeat(2), torch.arange(8) % 4
    runs = []
    for _ in range(3):
        net.zero_grad()
        net(x, logsnr, label).square().mean().backward()
        runs.append([weights.grad.clone() for weights in net.parameters()])
    for again in runs[1:]:
        assert all(torch.equal(one, two) for one, two in zip(runs[0], again, strict=True))
