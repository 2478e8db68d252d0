"""The settings of all rooms."""

from pathlib import Path

import pytest

from fromnoise.config import Config, flat, folder_for, to_json
from fromnoise.data.settings import DataSettings


def test_there_are_few_enough_settings_to_know_them_all():
    assert len(flat(to_json(Config()))) <= 45


@pytest.mark.parametrize(
    ("data", "folder"),
    [
        ("photos", "photos-tiny"),
        ("there/icons.zip", "icons-tiny"),
        ("shards*.tar", "shards-tiny"),
        ("shards-00?.tar", "shards-00-tiny"),
        ("hf:user/cats", "cats-tiny"),
        ("hf:user/cats#large", "cats-large-tiny"),
        ("shards-{000..009}.tar", "shards--tiny"),
        (".", "data-tiny"),
    ],
)
def test_a_run_is_called_after_its_data(data, folder):
    assert folder_for(Config(data=DataSettings(data)), "tiny") == Path("runs") / folder
