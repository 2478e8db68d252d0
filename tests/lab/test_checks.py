"""The checks of all notebooks: right answers written differently pass, typical wrong ones are told what is wrong."""

import pytest

from tests.lab.answers import (
    diffusion,
    distributions,
    evaluation,
    expectations,
    images,
    likelihood_and_flows,
    normal_model,
)

NOTEBOOKS = (distributions, expectations, normal_model, diffusion, images, evaluation, likelihood_and_flows)
RIGHT = [answers for notebook in NOTEBOOKS for answers in notebook.RIGHT]
WRONG = [answers for notebook in NOTEBOOKS for answers in notebook.WRONG]


@pytest.mark.parametrize("answers", RIGHT)
def test_right(passes, answers):
    passes(*answers)


@pytest.mark.parametrize("answers", WRONG)
def test_wrong(fails, answers):
    fails(*answers)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.__name__.rpartition(".")[2])
def test_enough(enough, notebook):
    enough(notebook.RIGHT, notebook.WRONG)
