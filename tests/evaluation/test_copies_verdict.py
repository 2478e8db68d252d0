import pytest

from fromnoise.evaluation import copies
from fromnoise.evaluation.report import Both, Closer, Space


def space(closer=0.01, memorised=0.0, identical=0, copying=True):
    none = Both(0.0, 0.0)
    return Space(
        copying=copying,
        closer=Closer(closer, 0.01, 0.5, 0.03, 0.1),
        memorised=Both(memorised, 0.002),
        distance=none,
        relative=none,
        identical=identical,
        closest=(),
    )


@pytest.mark.parametrize(("share", "told"), [(0.0312, "3.1"), (0.0994, "9.9"), (0.0996, "10"), (0.5, "50"), (1, "100")])
def test_the_verdict_names_the_greatest_share_among_the_spaces_that_tell(share, told):
    verdict = copies._verdict([space(memorised=0.02), space(share), space(1.0, copying=False)])
    assert verdict == f"copying: {told} % of the images lie closer to the training set than 99 % of held-out images do"


def test_the_verdict_names_what_it_rests_on():
    assert copies._verdict([space(memorised=0.011), space(copying=False)]) == (
        "copying: 1.1 % of images (0.2 % of held-out ones) are three times closer to one training image than to others"
    )
    assert (
        copies._verdict([space(copying=False, identical=1)])
        == "no sign of copying, but 1 is a training image to the byte"
    )
    assert (
        copies._verdict([space(copying=False, identical=8)])
        == "no sign of copying, but 8 are training images to the byte"
    )
    assert copies._verdict([space(0.5, identical=3)]).endswith("images do; 3 are training images to the byte")
