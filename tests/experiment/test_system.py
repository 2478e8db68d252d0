import pytest

from fromnoise.experiment import system


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ("cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\n", "AMD EPYC (family 26, model 2)"),
        ("cpu family\t: 6\nmodel\t\t: 207\nmodel name\t: Xeon Platinum 8592\n", "Xeon Platinum 8592"),
        ("model name\t: Some CPU\n", "Some CPU"),
    ],
)
def test_a_processor_whose_name_has_no_number_gets_family_and_model(told, name, tmp_path, monkeypatch):
    info = tmp_path / "cpuinfo"
    info.write_text(told)
    monkeypatch.setattr(system, "CPU_INFO", info)
    monkeypatch.setattr(system, "cores", lambda: {0, 1})
    assert system.processor() == f"{name}, 2 cores"
    monkeypatch.setattr(system, "cores", lambda: {1})
    assert system.processor() == f"{name}, 1 core"


def test_without_cpu_info_there_is_a_name_still(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "CPU_INFO", tmp_path / "none")
    assert system.processor().endswith((" core", " cores"))
    assert system.matrix_units() == "none known"
