"""Output that pipes: to readers that leave early, and in encodings that lack some of our letters."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import fromnoise.faces.cli  # noqa: F401 - which tells what stands for a letter

# The command line with a stdout, or stderr, whose reader has gone already.
TO_NOBODY = """
import os, sys
from fromnoise.faces import cli

read, write = os.pipe()
os.close(read)
os.dup2(write, sys.{stream}.fileno())
sys.exit(cli.main())
"""
# Tables as on a narrow terminal, and on a pipe whose encoding lacks letters.
NARROW = """
import importlib, os, sys
from fromnoise.faces import cli, console, tables

os.environ["COLUMNS"] = "40"
for module in (console, tables):  # it is read when they are imported
    importlib.reload(module)
sys.exit(cli.main())
"""
ASCII = """
import sys
from fromnoise.faces import cli

sys.stdout.reconfigure(encoding="ascii")
sys.exit(cli.main())
"""


def test_a_reader_who_leaves_at_once_is_no_error():
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "fromnoise", "--help"]
    try:
        done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not shutil.which("sh"), reason="needs a shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_stream_that_was_closed_from_the_start_is_no_error(tmp_path, closed):
    command = ["sh", "-c", f'"$0" -m fromnoise "$1" {closed}', sys.executable]
    assert subprocess.run([*command, "--help"], capture_output=True, check=False).returncode == 0
    refused = subprocess.run([*command, "nonsense"], capture_output=True, text=True, check=False)
    assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (2, "", int("2>" not in closed))


def test_what_is_mistyped_is_said_in_plain_words_on_a_terminal():
    pty = pytest.importorskip("pty", reason="needs terminals of Unix")
    ours, its = pty.openpty()
    command = [sys.executable, "-m", "fromnoise", "inpaint", "digits", "a.png", "b.png"]
    environment = os.environ | {"TERM": "xterm"}
    try:
        done = subprocess.run(command, stdin=its, stdout=its, stderr=its, env=environment, check=False)
        said = os.read(ours, 10_000).decode()
    finally:
        os.close(ours)
        os.close(its)
    assert (done.returncode, said.splitlines()) == (
        2,
        [
            "fromnoise: missing: --out FILE|DIR, --mask MASK; unrecognized: b.png (fromnoise",
            "inpaint --help)",
        ],
    )


def test_a_reader_who_leaves_a_table_is_no_error(finished, forked, tmp_path):
    for name in ("run", "again"):
        shutil.copytree(finished / "run", tmp_path / name)
    assert not forked("compare", "run", "again", cwd=tmp_path, program=TO_NOBODY.format(stream="stdout")).stderr


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_verdict_fails_and_files_are_written_though_nobody_reads_the_table(forked, tmp_path, stream):
    np.save(tmp_path / "mine.npy", np.random.default_rng(0).integers(0, 256, (60, 8, 8), np.uint8))
    words = ["evaluate", "--generated", "mine.npy", "--reference", "mine.npy", "--train", "mine.npy"]
    words += ["--features", "pixels", "--fail-on", "overlap", "--html", "page.html", "--json", "score.json"]
    forked(*words, cwd=tmp_path, code=3, program=TO_NOBODY.format(stream=stream))
    assert (tmp_path / "page.html").is_file()
    assert (tmp_path / "score.json").is_file()


def test_tables_are_whole_on_a_pipe_whose_encoding_lacks_letters(finished, forked, tmp_path):
    names = [f"a-long-name-of-a-report-{k}.json" for k in range(7)]
    for name in names:
        shutil.copy(finished / "run" / "report.json", tmp_path / name)
    piped = forked("compare", *names, cwd=tmp_path, program=ASCII).stdout
    assert all(name in piped for name in names)
    assert " +/- 0." in piped


def test_a_verdict_that_holds_is_not_taken_for_an_open_one_where_letters_are_lacking():
    assert "✓ close: 0 ± 1, ? copies, ж".encode("ascii", "spelt") == b"+ close: 0 +/- 1, ? copies, ?"
    assert "✓ ± ∞".encode("cp1252", "spelt") == b"+ \xb1 inf"


def test_tables_are_whole_on_a_narrow_terminal(finished, forked, tmp_path):
    names = ["a-long-name-of-a-report.json", "and-of-another.json"]
    for name in names:
        shutil.copy(finished / "run" / "report.json", tmp_path / name)
    narrow = forked("compare", *names, cwd=tmp_path, program=NARROW).stdout
    assert "…" not in narrow
    assert max(map(len, narrow.splitlines())) <= 40
