import re
import shlex
from pathlib import Path

import pytest

from fromnoise.faces.arguments import TrainingArguments, parse_training

README = Path(__file__).parents[1] / "README.md"
COMMANDS = re.findall(r"^(fromnoise (?:run|train) [^#\n]*)", README.read_text(), re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_readmes_trainings_are_real_commands(line):
    _, command, *words = shlex.split(line)
    parse_training(TrainingArguments, words, command)


def test_nothing_is_left_to_be_filled_in():
    assert not re.search(r"@[A-Z]+@|TODO", README.read_text())


def test_there_are_some():
    assert len(COMMANDS) >= 2


def test_every_link_in_the_readme_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", README.read_text()):
        assert target.startswith("http") or (README.parent / target).exists(), target
