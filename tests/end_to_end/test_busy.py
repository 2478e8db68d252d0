"""A training beside a process that computes, on two threads."""

import json
import os
import re
import subprocess
import sys
import threading
import time

import pytest

pytestmark = pytest.mark.slow
WORDS = ("train", "--data", "digits", "--minutes", "1", "--compile", "off", "--device", "cpu")


def train(out, cwd, monkeypatch):
    """A minute of training: the lines of its log, of its pace, and its own time."""
    monkeypatch.setenv("OMP_NUM_THREADS", str(min(2, os.cpu_count())))
    start = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "fromnoise", *WORDS, "--out", out], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    log, pace = (
        [json.loads(line) for line in (cwd / out / name).read_text().splitlines()]
        for name in ("log.jsonl", "pace.jsonl")
    )
    return log, pace, time.monotonic() - start, done.stderr


def test_a_competitor_in_the_middle_third_costs_less_than_half_and_no_time(tmp_path, monkeypatch):
    quiet, _, _, _ = train("quiet", tmp_path, monkeypatch)

    def compete():
        while not (tmp_path / "busy" / "pace.jsonl").exists():
            time.sleep(0.1)
        time.sleep(17)
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
            time.sleep(20)
            other.kill()

    competitor = threading.Thread(target=compete, daemon=True)
    competitor.start()
    busy, pace, _, said = train("busy", tmp_path, monkeypatch)
    competitor.join()
    assert busy[-1]["seconds"] <= 63
    assert pace[-1]["seconds"] + 30 >= 60  # the rest is the choice of guidance
    trained = re.search(r"trained [\d,]+ steps in (\d+):(\d+)", said)
    assert 60 * int(trained[1]) + int(trained[2]) <= 63 if trained else "steps in" in said
    assert busy[-1]["step"] >= quiet[-1]["step"] / 2
    taken = [line["others"] for line in pace if 25 <= line["seconds"] <= 38]
    assert max(taken) > 0.5  # the log tells why
