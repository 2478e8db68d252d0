"""A training beside a process that computes, on two threads."""

import json
import os
import re
import statistics
import subprocess
import sys
import threading

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.alone]
WORDS = ("train", "--data", "digits", "--minutes", "1", "--compile", "off", "--device", "cpu")


def train(out, cwd, monkeypatch):
    """A minute of training: the lines of its log and of its pace, and its seconds, the choice of guidance included."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(min(2, os.cpu_count())))
    done = subprocess.run(
        [sys.executable, "-m", "fromnoise", *WORDS, "--out", out], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    log, pace = (
        [json.loads(line) for line in (cwd / out / name).read_text().splitlines()]
        for name in ("log.jsonl", "pace.jsonl")
    )
    minutes, seconds = re.search(r"trained [\d,]+ steps in (?:(\d+):)?(\d+)", done.stderr).groups()
    return log, pace, 60 * int(minutes or 0) + int(seconds)


def test_a_competitor_for_a_third_of_the_minute_costs_less_than_half_and_no_time(tmp_path, monkeypatch):
    quiet, over = [], threading.Event()

    def compete():
        while len(quiet) < 3:  # on a slow machine the first comes late
            if over.wait(0.1):
                return
            path = tmp_path / "busy" / "pace.jsonl"
            lines = path.read_text().splitlines(keepends=True) if path.exists() else []
            read = [json.loads(line) for line in lines if line.endswith("\n")]
            quiet[:] = [line for line in read if line["step_seconds"]]
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
            over.wait(20)
            other.kill()

    competitor = threading.Thread(target=compete)
    competitor.start()
    try:
        log, pace, seconds = train("busy", tmp_path, monkeypatch)
    finally:
        over.set()
        competitor.join()
    assert 50 <= seconds <= 63
    assert len(quiet) >= 3
    usual = statistics.median(line["step_seconds"] for line in quiet)
    first, last = quiet[0], log[-1]
    assert last["step"] - first["step"] >= (last["seconds"] - first["seconds"]) / usual / 2
    since = quiet[-1]["seconds"]
    assert max(line["others"] for line in pace if since < line["seconds"] < since + 25) > 0.5  # the log tells why
