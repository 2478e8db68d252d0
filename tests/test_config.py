"""The settings of all rooms."""

from fromnoise.config import Config, flat, to_json


def test_there_are_few_enough_settings_to_know_them_all():
    assert len(flat(to_json(Config()))) <= 49
