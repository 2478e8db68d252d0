import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from accelerate.state import AcceleratorState

from fromnoise.faces import cli


def in_a_process_of_its_own(*words, cwd, code=0, environment=None, program=("-m", "fromnoise")):
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


@contextlib.contextmanager
def no_device_chosen():
    """Accelerate chooses the device once a process: within, and after, it has not yet chosen any."""
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        yield
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def in_this_process(*words, cwd, code=0, environment=None):
    words = list(map(str, words))
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        mock.patch.dict(os.environ, environment or {}),
        mock.patch("urllib.request._opener", None),  # it would keep this call's proxies for the rest of the process
        mock.patch.object(sys, "argv", ["fromnoise", *words]),
        no_device_chosen(),
    ):
        returned = cli.main(words)
    done = subprocess.CompletedProcess(words, returned, out.getvalue(), err.getvalue())
    assert returned == code, f"exit {returned}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def process():
    """The real command line in a process of its own: process("run", "--preset", "tiny", cwd=..., code=0)."""
    return in_a_process_of_its_own


@pytest.fixture(scope="session")
def fromnoise():
    """The same command line in this process, without the seconds that a new one spends on imports."""
    return in_this_process


@pytest.fixture(scope="session")
def forked():
    """The same in a process of its own, forked where all is imported: with another program, killed, or measured."""
    if not hasattr(os, "fork"):
        pytest.skip("needs processes that fork")
    command = [sys.executable, Path(__file__).with_name("forking.py")]
    wide = {name: value for name, value in os.environ.items() if name != "COLUMNS"}  # readline may have set it
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=wide) as server:

        def run(*words, cwd, code=0, program="import sys; from fromnoise.faces import cli; sys.exit(cli.main())"):
            job = {"program": program, "words": list(map(str, words)), "cwd": str(cwd)}
            print(json.dumps(job), file=server.stdin, flush=True)
            done = SimpleNamespace(**json.loads(server.stdout.readline()))
            assert done.returncode == code, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
            return done

        yield run


@pytest.fixture(scope="session")
def finished(fromnoise, fewer_digits, tmp_path_factory):
    """A folder with a finished tiny run in it, as `run`."""
    place = tmp_path_factory.mktemp("finished")
    with fewer_digits():
        fromnoise("run", "--preset", "tiny", "--out", "run", cwd=place)
    return place


@pytest.fixture
def snapshot():
    """Every file below a folder with its bytes and time, but for a lock's, which some versions of filelock renew."""

    def take(folder: Path):
        files = [path for path in folder.rglob("*") if path.is_file()]
        return {path: (path.name != "lock" and path.stat().st_mtime_ns, path.read_bytes()) for path in files}

    return take


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs the extra `browser`")
    if BROWSER is None:
        pytest.skip("needs Chromium or Chrome on the path")
    with api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()
