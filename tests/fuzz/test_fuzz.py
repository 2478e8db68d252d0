"""No damaged or nonsensical file of any kind ends in a traceback, is killed, or takes seconds or gigabytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="every case is a forked process"),
]
CASES = int(os.environ.get("FROMNOISE_FUZZ", "100"))


def test_a_damaged_file_is_one_sentence_or_no_matter(tmp_path):
    command = [sys.executable, str(Path(__file__).with_name("run.py"))]
    options = ["--cases", str(CASES), "--seed", "0", "--workers", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command + options, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    *failed, summary = [json.loads(line) for line in done.stdout.splitlines()] or [None]
    assert summary, done.stderr
    told = [f"case {each['number']}, {each['kind']}, {each['mutation']}: {each['failed']}" for each in failed]
    assert not told, f"{told}\n{failed[0]['output']}\n{' '.join(command)} --only {failed[0]['number']}"
    assert done.returncode == 0, done.stderr
    assert summary["cases"] == sum(summary["codes"].values()) == CASES
    assert set(summary["codes"]) == {"0", "2"}  # some damage does not matter, and most is refused
