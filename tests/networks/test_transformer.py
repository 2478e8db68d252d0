import math
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F

from fromnoise.networks.transformer import HEAD, Attention, Transformer, patchify, unpatchify

LEVELS = torch.tensor([-6.0, -1.0, 0.5, 4.0])


@pytest.fixture
def net(randomised):
    """A small net with classes and random weights, for images of 8×12 in 2×3 patches."""
    return randomised(Transformer(1, (8, 12), width=128, depth=2, classes=3)).eval()


def relative(got, wanted):
    return ((got - wanted).norm() / wanted.norm()).item()


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize(
    ("images", "size", "patch"), [(1, (8, 8), 4), (3, (8, 12), 4), (1, (7, 14), 7), (3, (4, 2), 1)]
)
def test_the_answer_has_the_shape_of_the_images(randn, randomised, images, size, patch, classes):
    net = randomised(Transformer(images, size, patch, width=64, depth=2, classes=classes))
    x = randn(4, images, *size)
    label = torch.tensor([0, 1, 2, 3]) if classes else None
    out = net(x, LEVELS, label)
    assert out.shape == x.shape
    assert out.isfinite().all()
    assert out.std() > 0.01


@pytest.mark.parametrize(("channels", "grid", "patch"), [(1, (2, 3), 4), (3, (3, 1), 2), (3, (2, 2), 1)])
def test_a_token_is_a_patch_and_the_patches_make_the_image_again(randn, channels, grid, patch):
    x = randn(2, channels, grid[0] * patch, grid[1] * patch)
    tokens = patchify(x, patch)
    assert tokens.shape == (2, math.prod(grid), channels * patch**2)
    for k in range(math.prod(grid)):
        row, column = (side * patch for side in divmod(k, grid[1]))
        assert torch.equal(tokens[:, k], x[:, :, row : row + patch, column : column + patch].flatten(1))
    assert torch.equal(unpatchify(tokens, grid, patch), x)


def test_attention_is_the_softmax_of_normalised_queries_and_keys(randn, randomised):
    attention, x = randomised(Attention(2 * HEAD)), randn(2, 5, 2 * HEAD)
    heads = []
    for h in (slice(0, HEAD), slice(HEAD, None)):
        query, key = attention.query(x)[..., h], attention.key(x)[..., h]
        query = query / query.square().mean(dim=-1, keepdim=True).sqrt() * attention.query_norm.weight
        key = key / key.square().mean(dim=-1, keepdim=True).sqrt() * attention.key_norm.weight
        heads.append(F.softmax(query @ key.mT / HEAD**0.5, dim=-1) @ attention.value(x)[..., h])
    torch.testing.assert_close(attention(x), attention.out(torch.cat(heads, dim=-1)))


def test_a_fresh_net_says_nothing_and_its_blocks_are_the_identity(randn):
    net = Transformer(1, (8, 8), width=64, depth=2, classes=3)
    assert (net(randn(4, 1, 8, 8), LEVELS) == 0).all()
    tokens, embedding = randn(4, 4, 64), net.embedding(LEVELS, None)
    assert all(torch.equal(block(tokens, embedding), tokens) for block in net.blocks)


def test_sizes_that_do_not_divide_are_refused():
    with pytest.raises(ValueError, match="multiple of 64"):
        Transformer(1, (8, 8), width=100)
    with pytest.raises(ValueError, match="multiples of the patch's 4"):
        Transformer(1, (8, 10))


def test_no_label_is_the_null_class(randn, net):
    x = randn(4, 1, 8, 12)
    assert torch.equal(net(x, LEVELS), net(x, LEVELS, torch.full((4,), 3)))


def test_the_label_changes_the_answer(randn, net):
    x = randn(4, 1, 8, 12)
    answers = [net(x, LEVELS, torch.full((4,), label)) for label in range(4)]
    for k in range(4):
        for other in answers[:k]:
            assert relative(answers[k], other) > 0.01


def test_the_level_changes_the_answer(randn, net):
    x = randn(4, 1, 8, 12)
    answers = [net(x, torch.full((4,), at)) for at in (-9.0, -0.1, 0.1, 9.0)]
    for answer, other in pairwise(answers):
        assert relative(answer, other) > 0.003


def test_places_differ_by_their_position_alone(randn, net):
    x, order = randn(4, 1, 8, 12), torch.tensor([3, 1, 5, 0, 2, 4])

    def moved(images):
        return unpatchify(patchify(images, 4)[:, order], (2, 3), 4)

    assert relative(net(moved(x), LEVELS), moved(net(x, LEVELS))) > 0.01
    torch.nn.init.zeros_(net.position)
    assert relative(net(moved(x), LEVELS), moved(net(x, LEVELS))) < 1e-5


def test_a_row_does_not_depend_on_the_rows_beside_it(randn, net):
    x, label = randn(4, 1, 8, 12), torch.tensor([0, 1, 2, 3])
    together = net(x, LEVELS, label)
    for k in range(4):
        row = slice(k, k + 1)
        assert relative(net(x[row], LEVELS[row], label[row]), together[row]) < 1e-5


def test_every_pixel_can_reach_every_other(randn, net):
    x = randn(1, 1, 8, 12).requires_grad_()
    net(x, LEVELS[:1])[0, 0, 0, 0].backward()
    assert (x.grad != 0).all()


@pytest.mark.parametrize("classes", [0, 3])
def test_the_gradient_reaches_every_parameter(randn, randomised, classes):
    net = randomised(Transformer(1, (8, 8), width=64, depth=2, classes=classes))
    label = torch.tensor([0, 1, 2, 3]) if classes else None
    net(randn(4, 1, 8, 8), LEVELS, label).square().mean().backward()
    for name, weights in net.named_parameters():
        assert weights.grad is not None, name
        assert weights.grad.isfinite().all(), name
        assert weights.grad.norm() > 1e-5, name


def test_the_hidden_matrices_are_those_of_attention_and_perceptron():
    net = Transformer(1, (8, 8), width=64, depth=2, classes=3)
    names = {id(weights): name for name, weights in net.named_parameters()}
    layers = [f"attention.{layer}" for layer in ("query", "key", "value", "out")] + ["rise", "fall"]
    expected = {f"blocks.{k}.{layer}.weight" for k in range(2) for layer in layers}
    hidden = net.hidden_matrices()
    assert len(hidden) == len(expected)
    assert {names[id(matrix)] for matrix in hidden} == expected


def test_bfloat16_follows_float32(randn, net):
    x, label = randn(4, 1, 8, 12), torch.tensor([0, 1, 2, 3])
    with torch.autocast("cpu", torch.bfloat16):
        out = net(x, LEVELS, label)
    assert 0 < relative(out.float(), net(x, LEVELS, label)) < 3e-2


def test_the_gradient_is_bit_for_bit_the_same_each_time(randn, randomised):
    torch.set_num_threads(2)  # whose sums could meet in another order
    net = randomised(Transformer(1, (32, 32), width=128, depth=2, classes=3))
    x, logsnr, label = randn(8, 1, 32, 32), LEVELS.repeat(2), torch.arange(8) % 4
    runs = []
    for _ in range(3):
        net.zero_grad()
        net(x, logsnr, label).square().mean().backward()
        runs.append([weights.grad.clone() for weights in net.parameters()])
    for again in runs[1:]:
        assert all(torch.equal(one, two) for one, two in zip(runs[0], again, strict=True))
