import pytest

from fromnoise.training.step_log import StepLog


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
