import pytest
import torch
from diffusers.models.attention_processor import Attention
from torch.utils.flop_counter import FlopCounterMode

from fromnoise.diffusion.denoiser import ByStep, Denoiser
from fromnoise.diffusion.schedule import schedule
from fromnoise.networks.chapter import WIDTHS, ChapterUNet

TINY = (64,) * 6  # with 32, each of its 32 groups is one channel, and normalisation takes the step away


@pytest.fixture(scope="module")
def published():
    """The network at its published widths, without memory for its weights."""
    with torch.device("meta"):
        return ChapterUNet(1, (32, 32))


def test_it_has_the_chapters_113_7_million_parameters(published):
    count = sum(weights.numel() for weights in published.parameters())
    assert round(count / 1e6, 1) == 113.7


def test_a_forward_pass_takes_the_chapters_7_76_gflop(published):
    with FlopCounterMode(display=False) as counter:
        published(torch.zeros(1, 1, 32, 32, device="meta"), torch.zeros(1, dtype=torch.int64, device="meta"))
    assert round(counter.get_total_flops() / 1e9, 2) == 7.76


def test_it_has_the_chapters_widths_and_attention_in_the_fifth_level_alone(published):
    assert WIDTHS == published.model.config.block_out_channels == (128, 128, 256, 256, 512, 512)

    def attends(blocks):
        return [any(isinstance(part, Attention) for part in block.modules()) for block in blocks]

    assert attends(published.model.down_blocks) == [False] * 4 + [True, False]
    assert attends(published.model.up_blocks) == [False, True] + [False] * 4


@pytest.mark.parametrize(("images", "size"), [(1, (32, 32)), (3, (32, 64))])
def test_the_answer_has_the_shape_of_the_images_and_depends_on_the_step(randn, randomised, images, size):
    net = randomised(ChapterUNet(images, size, TINY)).eval()
    x = randn(2, images, *size)
    with torch.no_grad():
        first, last = net(x, torch.tensor([0, 0])), net(x, torch.tensor([499, 499]))
    assert first.shape == x.shape
    assert first.isfinite().all()
    assert (first - last).norm() > 0.01 * first.norm()


def test_our_step_t_reaches_it_as_diffusers_step_t_minus_one(randn, randomised):
    net, table = randomised(ChapterUNet(1, (32, 32), TINY)).eval(), schedule("linear", 500)
    x, t = randn(2, 1, 32, 32), torch.tensor([1, 500])
    with torch.no_grad():
        ours = Denoiser(net, "eps", condition=ByStep(table))(x, table.logsnr[t])[1]
        theirs = net.model(x, torch.tensor([0, 499])).sample
    assert torch.equal(ours, theirs)
