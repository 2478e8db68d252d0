from fromnoise.faces import console
from fromnoise.say import bar, captured, reporting_to, say


def test_each_piece_of_work_has_its_own_title_and_time_left_and_what_is_within_it_is_not_shown(monkeypatch, capsys):
    clock = iter((0, 16, 400, 420))  # begun, then shown
    monkeypatch.setattr(console.time, "perf_counter", lambda: next(clock))
    with reporting_to(console.TERMINAL):
        for title, total in (("metrics", 3), ("telling apart", 5)):
            with bar(title) as outer, bar("sampling") as inner:
                inner.show(7, 9)
                outer.show(1, total)
    said = capsys.readouterr().err.splitlines()
    assert said == ["metrics: 1/3  ETA 32 s", "telling apart: 1/5  ETA 1:20"]


def test_on_a_terminal_lines_break_between_words_but_not_within_commands_nor_between_indented_lines(
    monkeypatch, capsys
):
    monkeypatch.setattr(console.sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "24")
    error = "2 are unreadable:\n  a/very/long/path/of/photo.png (no image)\n  run `fromnoise data inspect cats/` too"
    Console = type(console.errors)
    Console(stderr=True, highlight=False).sentence(error)
    assert capsys.readouterr().err.splitlines() == [
        "2 are unreadable:",
        "  a/very/long/path/of/photo.png",
        "  (no image)",
        "  run",
        "  `fromnoise data inspect cats/`",
        "  too",
    ]
    monkeypatch.setenv("COLUMNS", "0")
    Console(stderr=True, highlight=False).sentence("no width")
    assert capsys.readouterr().err == "no width\n"


def test_on_a_dumb_terminal_nothing_moves(monkeypatch):
    monkeypatch.setattr(console.sys.stderr, "isatty", lambda: True)
    assert [console.Bar("").watched for term in ("xterm", "dumb") if not monkeypatch.setenv("TERM", term)] == [
        True,
        False,
    ]


def test_a_sentence_is_said_once_to_whoever_listens(capsys):
    say("to nobody")
    with reporting_to(console.TERMINAL):
        with captured() as lines:
            say("photos: 9 images")
        for line in ("photos: 9 images", "photos: 9 images", "ready"):
            say(line)
    assert lines == ["photos: 9 images"]
    assert capsys.readouterr().err.splitlines() == ["photos: 9 images", "ready"]


def test_names_cannot_command_the_terminal_nor_forge_lines(capsys):
    console.say("cat\x1b[2J\x9b0m\r\nfromnoise: \u202eall is fine\n  dog.png")
    console.say("Käse\xa0🧑‍🍳\u202f猫")
    assert capsys.readouterr().err.split("\n") == [
        r"cat\x1b[2J\x9b0m\r\nfromnoise: \u202eall is fine",
        "  dog.png",
        "Käse\xa0🧑‍🍳\u202f猫",
        "",
    ]
