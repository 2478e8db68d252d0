import contextlib
import signal
import subprocess
import sys

import pytest

from fromnoise import __version__
from fromnoise.errors import UserError
from fromnoise.faces import cli


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["help"]])
def test_help_names_every_command(words, capsys):
    assert cli.main(words) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    for command in cli.COMMANDS:
        assert f"\n  {command}" in shown


def test_nothing_to_do_is_an_error_that_shows_the_help(capsys):
    assert cli.main([]) == 2
    assert "usage" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"fromnoise {__version__}\n"


def test_an_unknown_command_lists_the_known_ones(capsys):
    assert cli.main(["trian"]) == 2
    captured = capsys.readouterr()
    assert "unknown command 'trian'; choose one of: run, train" in captured.err
    assert not captured.out


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_with_what_it_does_and_examples(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([command, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: fromnoise {command}" in shown
    assert f"\n  fromnoise {command}" in shown


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("say what to do"), 2),
        (KeyboardInterrupt(), 130),
        (MemoryError(), 2),
        (RuntimeError("CUDA out of memory. Tried to allocate 9 GiB.\nSee the documents"), 2),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), 2),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), 2),  # on Windows
    ],
    ids=lambda each: type(each).__name__,
)
def test_errors_become_one_line_and_an_exit_code(monkeypatch, capsys, error, code):
    def fail(words):
        raise error

    monkeypatch.setattr(cli, "_answer", fail)
    assert cli.main(["doctor"]) == code
    captured = capsys.readouterr()
    assert captured.err.startswith("fromnoise: ")
    assert captured.err.count("\n") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the current folder")
def test_a_current_folder_that_was_deleted_is_named(tmp_path, capsys):
    here = tmp_path / "here"
    here.mkdir()
    with contextlib.chdir(here):
        here.rmdir()
        assert cli.main(["sample", "digits", "--out", "digits.png"]) == 2
    assert capsys.readouterr().err == "fromnoise: the current folder no longer exists: change to another\n"


@pytest.mark.parametrize("bug", [ZeroDivisionError(), RuntimeError("the sizes of tensors must match")])
def test_a_bug_keeps_its_traceback(monkeypatch, bug):
    def fail(words):
        raise bug

    monkeypatch.setattr(cli, "_answer", fail)
    with pytest.raises(type(bug)):
        cli.main(["doctor"])


def test_the_help_of_data_is_that_of_both_its_commands(capsys):
    with pytest.raises(SystemExit):
        cli.main(["data", "--help"])
    shown = capsys.readouterr().out
    assert "usage: fromnoise data export" in shown
    assert "usage: fromnoise data inspect" in shown


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_help_fits_a_terminal_and_shows_no_value_that_is_none(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main([command, "--help"])
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.replace("│", " ").split())
    for unwanted in ("{None}", "default: None", "(default: )"):
        assert unwanted not in words


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_program_that_is_asked_to_end_cleans_up_as_after_ctrl_c(name):
    if not hasattr(signal, name):
        pytest.skip(f"no {name} here")
    code = f"""
import os, signal
from fromnoise.faces import cli
def work(words):
    try:
        signal.raise_signal(signal.{name})
    finally:
        print("cleaned up")
cli._answer = work
signal.signal(signal.{name}, signal.SIG_DFL)  # under nohup it is ignored
cli.start()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr, done.returncode) == ("cleaned up\n", "fromnoise: stopped\n", 130)
