"""Output that pipes: to readers that leave early, and in encodings that lack some of our letters."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest


def to_nobody(*words, cwd):
    """The command line with a stdout whose reader has gone already."""
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "fromnoise", *map(str, words)]
    try:
        return subprocess.run(command, cwd=cwd, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(write)


@pytest.mark.parametrize("words", [("--help",), ("compare", "run", "again")])
def test_a_reader_who_leaves_is_no_error(finished, tmp_path, words):
    for name in ("run", "again"):
        shutil.copytree(finished / "run", tmp_path / name)
    done = to_nobody(*words, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_page_is_written_though_nobody_reads_the_table(tmp_path):
    for name, seed in (("mine.npy", 0), ("real.npy", 1)):
        np.save(tmp_path / name, np.random.default_rng(seed).integers(0, 256, (60, 8, 8), np.uint8))
    words = ("evaluate", "--generated", "mine.npy", "--reference", "real.npy", "--features", "pixels")
    assert to_nobody(*words, "--html", "page.html", cwd=tmp_path).returncode == 0
    assert (tmp_path / "page.html").is_file()


def test_tables_are_whole_on_a_pipe_whose_encoding_lacks_letters(finished, process, tmp_path):
    names = [f"a-long-name-of-a-report-{k}.json" for k in range(7)]
    for name in names:
        shutil.copy(finished / "run" / "report.json", tmp_path / name)
    pipe = {"COLUMNS": "", "PYTHONIOENCODING": "ascii"}
    piped = process("compare", *names, cwd=tmp_path, environment=pipe).stdout
    assert all(name in piped for name in names)
    assert " ? 0." in piped


def test_tables_are_whole_on_a_narrow_terminal(finished, process, tmp_path):
    names = ["a-long-name-of-a-report.json", "and-of-another.json"]
    for name in names:
        shutil.copy(finished / "run" / "report.json", tmp_path / name)
    narrow = process("compare", *names, cwd=tmp_path, environment={"COLUMNS": "40"}).stdout
    assert "…" not in narrow
    assert max(map(len, narrow.splitlines())) <= 40
