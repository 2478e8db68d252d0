"""Runs a program for each line of JSON that it reads, in a process forked from where everything is imported already.

A line has the program's source, its words and its folder; the answer is a line with exit code, output, seconds and
kilobytes. A forked process can be killed like any other, and starts without the seconds that PyTorch takes.
"""

import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback

import torch

from fromnoise.faces import cli

SECONDS = 300
# What a training and a score import when they come to it, which takes each process a second or two.
LATER = ("torch._dynamo", "sklearn.decomposition", "sklearn.neighbors")


def run(program: str, words: list[str], cwd: str, out: int, err: int) -> None:
    """What the child does, to its end."""
    code = 1
    try:
        signal.alarm(SECONDS)
        for stream, number in ((os.open(os.devnull, os.O_RDONLY), 0), (out, 1), (err, 2)):
            os.dup2(stream, number)
        sys.stdout, sys.stderr = (open(number, "w", buffering=1, closefd=False) for number in (1, 2))  # noqa: SIM115
        sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
        os.chdir(cwd)
        sys.argv = ["fromnoise", *words]
        exec(program, {"__name__": "__main__"})
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> None:
    """Serve until the input ends."""
    torch.set_num_threads(1)
    for name in cli.COMMANDS:
        importlib.import_module(f"fromnoise.faces.commands.{name}")
    for module in (
        "experiment.train",
        "experiment.score",
        "experiment.validate",
        "experiment.guidance",
        "faces.report",
    ):
        importlib.import_module(f"fromnoise.{module}")
    for name in LATER:
        importlib.import_module(name)
    for line in sys.stdin:
        job = json.loads(line)
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            start = time.perf_counter()
            if not (child := os.fork()):
                run(job["program"], job["words"], job["cwd"], out.fileno(), err.fileno())
            _, status, usage = os.wait4(child, 0)
            done = {"returncode": os.waitstatus_to_exitcode(status), "seconds": time.perf_counter() - start}
            for name, file in (("stdout", out), ("stderr", err)):
                file.seek(0)
                done[name] = file.read().decode(errors="replace")
            print(json.dumps(done | {"kilobytes": usage.ru_maxrss}), flush=True)


if __name__ == "__main__":
    main()
