import threading

import numpy as np
import pytest
import torch

from benchmarks.shapes import shapes
from fromnoise import tensors
from fromnoise.data.resize import resized
from fromnoise.evaluation.judge import WEIGHTS, Judge, in_parallel, judged, learning, one_thread, pretrained

STEPS = 5
IMAGES = resized(shapes(80, 0), (16, 16)).images
WANTED = torch.arange(80).remainder(2).float()


def learner(seed):
    judge = Judge(3, 16, seed)
    sides = [np.flatnonzero(each == WANTED) for each in (0, 1)]
    return judge, learning(judge, IMAGES, WANTED, sides, STEPS, np.random.default_rng(seed))


@pytest.fixture
def threads():
    """PyTorch's number of threads is the same after the test, which may set it."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_networks_that_learn_at_once_are_the_same_as_one_after_the_other(threads):
    state, found, used = torch.get_rng_state(), [], []
    for count in (2, 1):
        threads(count)
        judges, works = zip(*[learner(seed) for seed in (1, 2)], strict=True)
        on = set()
        assert len(list(in_parallel([noted(work, on) for work in works], STEPS))) == 2 * STEPS
        assert torch.get_num_threads() == count
        used.append(len(on))
        with one_thread():
            found.append([judged(judge, IMAGES) for judge in judges])
    assert used[1] == 1, "no more threads than PyTorch is allowed"
    np.testing.assert_array_equal(*found)
    assert not np.array_equal(*found[0]), "the seeds differ"
    assert torch.equal(torch.get_rng_state(), state)


def noted(work, on):
    """The work, and the threads that do it."""
    for each in work:
        on.add(threading.get_ident())
        assert torch.get_num_threads() == 1
        yield each


def test_what_goes_wrong_on_a_thread_is_raised():
    def broken():
        yield
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(in_parallel([learner(0)[1], broken()], STEPS))


def test_dropout_leaves_the_mean_as_it_is():
    """As PyTorch's, which takes no generator."""
    judge = Judge(3, 16, 0, classes=7)
    x = judge.with_noise(IMAGES[:20])
    judge.body.eval()
    with torch.inference_mode():
        alike = torch.stack([judge(x) for _ in range(500)])
        judge.eval()
        once = judge(x)
    assert alike.std(dim=0).min() > 0
    torch.testing.assert_close(alike.mean(dim=0), once, atol=0.03, rtol=0)


def test_the_packaged_start_sees_grey_as_it_sees_the_same_in_rgb():
    grey = torch.linspace(-1, 1, 1024).reshape(1, 1, 32, 32).sin()
    one, three = (pretrained(channels, 32, 0).eval() for channels in (1, 3))
    torch.testing.assert_close(one(grey), three(grey.expand(-1, 3, -1, -1)))


def test_larger_images_are_judged_fewer_at_a_time(monkeypatch):
    """Too many at once would take gigabytes."""
    seen = []
    monkeypatch.setattr(Judge, "forward", lambda self, x: seen.append(len(x)) or x.mean((1, 2, 3)))
    for side, n in ((32, 300), (64, 300), (128, 80)):
        assert judged(Judge(1, side, 0), torch.zeros(n, 1, side, side, dtype=torch.uint8)).shape == (n,)
    assert seen == [256] * 4 + [44] * 4 + [256] * 4 + [44] * 4 + [64] * 4 + [16] * 4


def test_with_unusual_channels_only_the_first_layer_starts_at_random():
    weights, started = tensors.load(WEIGHTS)[0], [pretrained(5, 32, seed).state_dict() for seed in (0, 1)]
    same = {name for name in weights if torch.equal(started[0][name], weights[name])}
    assert weights.keys() - same == {"body.0.weight"}
    assert not torch.equal(*(each["body.0.weight"] for each in started))
    assert pretrained(4, 32, 0).state_dict().keys() == weights.keys()
