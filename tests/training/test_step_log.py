import errno
import os
import re

import pytest

from fromnoise.errors import UserError
from fromnoise.training.step_log import Line, StepLog


class Loss(Line):
    loss: float


@pytest.fixture
def log(tmp_path):
    return StepLog(tmp_path / "log.jsonl")


def test_it_is_cut_back_to_a_step_and_survives_a_torn_line(log):
    for step in (5, 10, 15):
        log.append({"step": step})
    with log.file.open("a") as file:
        file.write('{"step": 20, "lo')
    assert [record["step"] for record in log.records()] == [5, 10, 15]
    log.cut(10)
    assert log.file.read_text() == '{"step": 5}\n{"step": 10}\n'


def test_a_torn_line_alone_is_cut_too(log):
    log.append({"step": 5})
    with log.file.open("a") as file:
        file.write('{"st')
    log.cut(5)
    log.append({"step": 6})
    assert log.records() == [{"step": 5}, {"step": 6}]


def test_without_a_line_there_is_no_file_and_without_need_none_is_written(log):
    assert log.records() == []
    log.cut(3)
    assert not log.file.exists()
    log.append({"step": 1})
    before = log.file.stat().st_mtime_ns
    log.cut(3)
    assert log.file.stat().st_mtime_ns == before


@pytest.mark.parametrize("line", ["", "{", "[1]", '{"loss": 1}', '{"step": "5"}', '{"step": 5, "loss": NaN}', "\0\0"])
def test_damage_before_the_last_line_is_refused_by_name_and_nothing_is_cut(tmp_path, line):
    log = StepLog(tmp_path / "log.jsonl", Loss)
    log.append({"step": 1, "loss": 0.5})
    with log.file.open("a") as file:
        file.write(f"{line}\n")
    log.append({"step": 9, "loss": 0.5})
    before = log.file.read_text()
    for read in (log.records, lambda: log.cut(5)):
        with pytest.raises(UserError, match=re.escape(f"line 2 of {log.file} is not what fromnoise wrote")):
            read()
    assert log.file.read_text() == before


def test_a_log_that_is_no_text_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "log.jsonl").write_bytes(b"\xff\n")
    with pytest.raises(UserError, match=r"log\.jsonl is not a log of fromnoise .*; repair or remove it"):
        StepLog(tmp_path / "log.jsonl", Loss).records()


def test_a_full_disk_names_the_log_and_leaves_no_part_of_a_line(log, monkeypatch):
    log.append({"step": 1})
    before = log.file.read_bytes()

    class Full:
        """A file of which the disk takes the first letters only."""

        def __init__(self, file):
            self.file = file

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.file.close()

        def write(self, text):
            self.file.write(text[:5])
            self.file.flush()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    original = type(log.file).open
    monkeypatch.setattr(type(log.file), "open", lambda path, mode: Full(original(path, mode)))
    with pytest.raises(UserError, match=re.escape(f"{log.file} cannot be written (No space left on device)")):
        log.append({"step": 2})
    monkeypatch.undo()
    assert log.file.read_bytes() == before
