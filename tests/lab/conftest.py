import re
from collections import Counter

import pytest


@pytest.fixture
def passes(capsys):
    """That a check finds the answers right: passes(check.task1, density, draw)."""

    def run(check, *answers):
        assert check(*answers) is None  # nothing that would show beside what is printed
        printed = capsys.readouterr().out.splitlines()
        assert all(line.startswith("✓") for line in printed), printed[-1]
        assert printed[-1].endswith("is right")

    return run


@pytest.fixture
def fails(capsys):
    """That a check finds them wrong, with a sentence in which `said` is found: fails(said, check.task1, ...)."""

    def run(said, check, *answers):
        check(*answers)
        last = capsys.readouterr().out.splitlines()[-1]
        assert last.startswith("✗")
        assert re.search(said, last), last

    return run


@pytest.fixture
def enough():
    """That each check has a right answer and at least three wrong ones."""

    def run(right, wrong):
        assert {check for check, *_ in right} == {check for _, check, *_ in wrong}
        assert min(Counter(check for _, check, *_ in wrong).values()) >= 3

    return run
