from fromnoise.experiment.progress import stages
from fromnoise.faces import console


def test_each_stage_of_a_score_has_its_own_title_and_time_left(monkeypatch, capsys):
    clock = iter((0, 0, 100, 116, 400, 420))  # made, titled; then a title and a line for each stage
    monkeypatch.setattr(console.time, "perf_counter", lambda: next(clock))
    show = stages(console.Bar("scoring"))
    show("copies", 1, 3)
    show("telling apart", 1, 5)
    said = capsys.readouterr().err.splitlines()
    assert said == ["scoring, copies: 1/3  ETA 32 s", "scoring, telling apart: 1/5  ETA 1:20"]
