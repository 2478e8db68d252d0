import io
from itertools import pairwise

import pytest
import torch
from msgspec.structs import replace
from PIL import Image

from fromnoise.config import TINY, to_json
from fromnoise.data import digits
from fromnoise.data.image_set import ImageSet
from fromnoise.evaluation.extractor import Features
from fromnoise.evaluation.provenance import RunFacts, SamplingFacts, TrainingFacts
from fromnoise.evaluation.report import Balance, Bits, Classes, DenoisingError, Overfitting
from fromnoise.evaluation.score import Comparison, score
from fromnoise.faces import report
from fromnoise.training.settings import Budget

SYSTEM = {
    "device": "cpu",
    "hardware": "an abacus, 2 cores",
    "matrix_units": "AVX2",
    "threads": 2,
    "system": "Linux",
    "python": "3.11.2",
    "versions": {"fromnoise": "0.1.0", "torch": "2.13.0"},
}

EAGER = {"reason": "eager"}


def sampling_of(seed):
    return SamplingFacts(80, 3.0, {"sampler": "dpm++"}, 1.0, 5, seed)


@pytest.fixture(scope="module")
def halves():
    return Features("halves", 2, "ab" * 32, lambda images: images.double().mean(3).reshape(len(images), 2, -1).mean(2))


@pytest.fixture(scope="module")
def scored(halves):
    """Images of which the first is a training image, and their score."""
    train, val, heldout = (digits.load(part).subset(160, 0) for part in ("train", "val", "heldout"))
    fresh = val.subset(80, 0)
    images = torch.cat([train.images[7:8], fresh.images[1:]])
    generated = ImageSet("theirs & <ours>", images, fresh.labels)
    told = score(Comparison(generated, heldout, val, train, ["a note of <b>weight</b>"]), halves)
    return replace(told, command="fromnoise evaluate ...", system=SYSTEM), generated, train


@pytest.fixture(scope="module")
def text(scored):
    """Their page."""
    told, generated, train = scored
    return report.page(told, "<script>alert(1)</script>", generated, train)


def lines(n):
    quartiles = {f"loss_q{k}": 1 / k for k in range(1, 5)}
    return [{"step": k, "epoch": k / 10, "loss": 1 / k, "seconds": float(k), **quartiles} for k in range(1, n + 1)]


def watched(step, kid):
    copies = {"verdict": "no sign of copying", "copying": False, "share": 0.01, "p": 0.4}
    return {"step": step, "kid": {"value": kid, "error": 0.01}, "copies": copies, "cost_seconds": 2.5}


def test_it_tells_the_score_and_fetches_nothing(scored, text, page_of):
    told, _, train = scored
    page = page_of(text)
    assert f"{told.fid.value:.3f} FID of 80 images in halves features against 160 of 160 of digits:heldout" in page.text
    excess = f"{told.excess.value:.3f} ± {told.excess.error:.3f}".replace("-", "−")
    assert f"{excess} excess over the FID of as many real images" in page.text
    assert "no farther from the reference than real images" in page.text
    assert told.copies.verdict.removeprefix("copying: ") in page.text
    assert told.protocol.line in page.text
    assert "an abacus, 2 cores, 2 threads; AVX2" in page.text
    assert f"SHA-256 {train.fingerprint[:16]}…" in page.text
    assert "fromnoise evaluate ..." in page.text
    assert all(page.alternatives)


def test_what_comes_from_outside_is_escaped(text, page_of):
    assert "<script>" not in text
    page = page_of(text)
    assert "a note of <b>weight</b>" in page.text
    assert "theirs & <ours>: 80 images of 1×28×28" in page.text


def test_the_closest_pairs_are_shown_nearest_first_and_byte_for_byte(scored, text, page_of):
    told, generated, train = scored
    page = page_of(text)
    pairs = [
        Image.open(io.BytesIO(content)).tobytes()
        for content, said in zip(page.pictures(), page.alternatives, strict=True)
        if said.startswith(("generated image", "its nearest"))
    ]
    copied = train.images[7].numpy().tobytes()
    assert pairs[:2] == [copied, copied]
    closest = told.copies.closest
    assert pairs[2] == generated.images[closest[1].generated].numpy().tobytes()
    assert pairs[3] == train.images[closest[1].train].numpy().tobytes()
    assert len(pairs) == 2 * report.PAIRS


def test_curves_are_there_once_there_is_something_to_draw(scored, page_of):
    told, generated, train = scored
    training = TrainingFacts(40, 61.0, 3000, EAGER, (vars(Budget("steps", 40)),), None, 290_692, "10 classes")
    command, config = "fromnoise run --preset tiny", {"data": {"data": "digits"}}
    run = RunFacts(command, config, training, sampling_of(0), 2.0, 1.0, SYSTEM)
    bits = Bits(2.5, 0.01, 200, 0.0, 2.0, 0.5)
    levels = tuple(DenoisingError(level, 0.0168, 0.0204) for level in (1.0, 0.0))
    gap = Overfitting("no sign of overfitting", False, 0.21, (-0.1, 0.4), 0.08, 0.031, levels, 200, 0)
    told = replace(told, run=run, overfitting=gap, likelihood=bits)
    none = page_of(report.page(told, "run", generated, train, log=lines(1)))
    assert not any(said.startswith("loss") for said in none.alternatives)
    evaluations = [watched(20, 0.5), watched(40, 0.2)]
    page = page_of(report.page(told, "run", generated, train, log=lines(9), evaluations=evaluations))
    assert any(said.startswith("loss against epoch") for said in page.alternatives)
    assert "validation took 5 s" in page.text
    assert "40 steps in 1:01 on 3,000 images; 290,692 parameters, conditioned on 10 classes; eager" in page.text
    assert "No sign of overfitting; p = 0.08, 200 images of each set." in page.text
    assert "error on held-out images 0.0204 0.0204" in page.text
    assert "2.500 ± 0.010 bits per dimension" in page.text
    assert "fromnoise evaluate --again 'theirs & <ours>/report.json'" in page.text


def test_a_class_that_the_reference_lacks_is_told(scored, page_of):
    told, generated, train = scored
    told = replace(told, classes=Classes(Balance((79, 1), (80.0, 0.0), None, 0.0, 0.0, True, 80), (), None))
    told = replace(told, protocol=replace(told.protocol, design="random"))
    text = report.page(told, "theirs", generated, train)
    assert "shares differ from the reference's: class 1 makes up 1.2 % instead of 0.0 %." in page_of(text).text
    assert 'class="adapts single"' in text, "one panel is as large as one of two"


def test_class_shares_and_what_a_classifier_learns_are_told(text, page_of):
    page = page_of(text)
    assert "the class shares match the reference's, as far as" in page.text
    assert "A linear classifier trained on" in page.text


def test_the_commands_make_the_numbers_again(scored, page_of):
    told, generated, train = scored
    config = to_json(TINY) | {"seed": 3}
    budgets = vars(Budget("steps", 30)), vars(Budget("steps", 20, 30, 2.0))
    shortfall = "10 minutes were only 50 steps"
    training = TrainingFacts(50, 4.0, 3000, EAGER, budgets, shortfall, 1, "no classes")
    command = "fromnoise run --preset tiny --steps +20"
    run = RunFacts(command, config, training, sampling_of(3), 1.0, 1.0, SYSTEM)
    told = replace(told, run=run)
    page = page_of(report.page(told, "theirs", generated, train))
    assert f"{command} # goes on from a run of 30 steps" in page.text
    assert "10 minutes were only 50 steps." in page.text
    assert "fromnoise evaluate --again 'theirs & <ours>/report.json'" in page.text


def test_the_style_sheet_is_not_escaped(text):
    assert '"Segoe UI"' in text.partition("</style>")[0]


def test_without_training_images_and_labels_it_says_less(halves, page_of):
    heldout = digits.load("heldout").subset(100, 0)
    bare = ImageSet("bare", digits.load("val").subset(60, 0).images)
    told = replace(score(Comparison(bare, heldout), halves), command="fromnoise evaluate ...", system=SYSTEM)
    page = page_of(report.page(told, "bare", bare))
    assert "No copy test" in page.text
    assert "no copy test: the training images are not known (--train)" in page.text
    assert "Classes" not in page.text.split()


@pytest.mark.parametrize(("n", "kept"), [(3, 3), (200, 200), (201, 101), (1000, 200)])
def test_long_curves_are_thinned_evenly_to_their_end(n, kept):
    steps = [record["step"] for record in report.thinned(lines(n))]
    assert len(steps) == kept
    assert steps[-1] == n
    assert len({b - a for a, b in pairwise(steps)}) == 1


def test_the_images_that_give_themselves_away_are_shown(scored, page_of):
    told, generated, train = scored
    judged = replace(told.told_apart, detected=True, verdict="told apart: at a glance", surest=(3, 1))
    page = page_of(report.page(replace(told, told_apart=judged), "theirs", generated, train))
    assert "! Told apart from real images at a glance" in page.text
    assert "the generated images that the networks are surest about" in page.alternatives
    unsure = replace(told, told_apart=replace(judged, detected=False))
    page = page_of(report.page(unsure, "theirs", generated, train))
    assert "the generated images that the networks are surest about" not in page.alternatives


def test_classes_have_names_in_the_figure_if_its_font_has_their_letters(scored, monkeypatch):
    drawn, real = [], report.figures.class_balance
    monkeypatch.setattr(report.figures, "class_balance", lambda *given: drawn.append(given[2]) or real(*given))
    balance = Balance((30, 30, 20), (30.0, 30.0, 20.0), 0.0, 1.0, 1.0, True, 80)
    told = replace(scored[0], protocol=replace(scored[0].protocol, design="random"))
    assert report._classes(replace(told, classes=Classes(balance, (), None, ("chien", "猫"))))
    assert drawn == [["chien", "1", "2"]]
