import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def fromnoise():
    """The real command line in a process of its own: fromnoise("run", "--preset", "tiny", cwd=..., code=0)."""

    def call(*words, cwd, code=0, environment=None, program=("-m", "fromnoise.faces.cli")):
        done = subprocess.run(
            [sys.executable, *program, *map(str, words)],
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=1800,  # slow CPUs take several minutes for the slow tests
            check=False,
        )
        assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return call


@pytest.fixture(scope="session")
def finished(fromnoise, tmp_path_factory):
    """A folder with a finished tiny run in it, as `run`."""
    place = tmp_path_factory.mktemp("finished")
    fromnoise("run", "--preset", "tiny", "--out", "run", cwd=place)
    return place


@pytest.fixture
def snapshot():
    """Every file below a folder with its bytes' hash and time."""

    def take(folder: Path):
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}

    return take
