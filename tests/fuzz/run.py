"""The fuzz: the real command line on damaged files, each time in a process of its own.

    python tests/fuzz/run.py --cases 2000 --seed 0      # a line of JSON for each case that failed, then a summary
    python tests/fuzz/run.py --only 17 --keep           # case 17 again, its output, and its files kept

Starting Python with PyTorch takes seconds. So everything is imported once, and each case is forked from there.
"""

import argparse
import contextlib
import gc
import importlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import mutations as m
from seeds import PAIR, PLAIN, RUN, fromnoise, plant

SECONDS, BYTES = 10, 1 << 30  # of the processor and of memory: the most that a case may take
ADDRESSES = 12 << 30  # a stop for what would take the machine's memory; BYTES is what counts

SAMPLE = ("sample", "model.safetensors", "--n", "2", "--out", "out.png")
TRAIN = ("train", *PLAIN, "--out", "plain")
WATCHED = ("train", *RUN, "--out", "run")
SCORED = ("run", *RUN, "--out", "run")
EXTENSION = ("train", "--preset", "tiny", "--steps", "+2", "--m", "100", "--log-every", "1", "--out", "plain")


@dataclass(frozen=True)
class Kind:
    """Files of one kind: which are damaged and how, what a case needs beside them, and what is then run."""

    name: str
    weight: int
    files: tuple[str, ...]
    mutations: tuple[m.Mutation, ...]
    commands: tuple[tuple[str, ...], ...]
    needs: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


JSON = (m.json_edit, m.json_edit, m.json_edit, m.flips, m.truncation, m.splice, m.deep)
LINES = (m.line_edit, m.line_edit, m.line_edit, m.flips, m.truncation, m.splice, m.deep)
TENSORS = (m.tensors_about, m.tensors_about, m.tensors_about, m.tensors_header, m.flips, m.truncation, m.splice)
KINDS = (
    Kind("png", 10, ("png/0.png", "png/1.png"), (*m.ANY, m.png_chunk, m.png_chunk),
         (("data", "export", "png", "out"), ("likelihood", "model.safetensors", "png/0.png", "--levels", "2")),
         ("png", "model.safetensors")),
    Kind("jpeg", 8, ("jpeg/0.jpg", "jpeg/1.jpg"), m.ANY, (("data", "export", "jpeg", "out"),), ("jpeg",)),
    Kind("webp", 8, ("webp/0.webp", "webp/1.webp"), m.ANY, (("data", "export", "webp", "out"),), ("webp",)),
    Kind("npz", 14, ("images.npz",), (*m.ANY, m.zip_inside, m.zip_structure, m.npy_header, m.npy_header),
         (("data", "export", "images.npz", "out"), ("data", "export", "images.npz:heldout", "out", "--size", "8"))),
    Kind("npy", 4, ("bare.npz",), (*m.ANY, m.npy_header), (("data", "export", "bare.npz", "out"),)),
    Kind("zip", 5, ("pngs.zip",), (*m.ANY, m.zip_inside, m.zip_structure), (("data", "export", "pngs.zip", "out"),)),
    Kind("tar.gz", 5, ("pngs.tar.gz",), (*m.ANY, m.gzip_inside, m.gzip_inside),
         (("data", "export", "pngs.tar.gz", "out"),)),
    Kind("table", 4, ("tabled/metadata.csv",), m.ANY, (("data", "export", "tabled", "out"),), ("tabled",)),
    Kind("idx", 7, tuple(f"idx/mnist/t10k-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1")), m.ANY,
         (("data", "export", "mnist:test", "out"),), ("idx",)),
    Kind("idx.gz", 7, tuple(f"idx.gz/mnist/t10k-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")),
         (*m.ANY, m.gzip_inside, m.gzip_inside), (("data", "export", "mnist:test", "out"),), ("idx.gz",)),
    Kind("model", 14, ("model.safetensors",), TENSORS,
         (SAMPLE, SAMPLE, ("likelihood", "model.safetensors", "png/0.png", "--levels", "2")), ("png",)),
    Kind("state", 6, ("plain/checkpoints/000004/state.safetensors",), TENSORS, (TRAIN, TRAIN, EXTENSION), ("plain",)),
    Kind("checkpoint", 4, ("plain/checkpoints/000004/model.safetensors",), TENSORS, (TRAIN,), ("plain",)),
    Kind("config", 8, ("plain/config.json",), JSON,
         (TRAIN, ("evaluate", "--generated", "plain", "--reference", "digits:val", "--features", "pixels"),
          ("sample", "plain", "--n", "1", "--out", "out.png"), EXTENSION), ("plain",)),
    Kind("report", 14, ("run/report.json",), JSON,
         (("compare", "run", "other.json"), ("compare", "run", "other.json"), SCORED), ("run", "other.json")),
    Kind("report page", 3, ("run/report.json",), JSON, (SCORED, ("compare", "other.json", "run", "--out", "page.html")),
         ("run", "other.json"), ("run/report.html",)),
    Kind("guidance", 1, ("run/guidance.json",), JSON, (SCORED,), ("run",), ("run/report.json",)),
    Kind("log", 5, ("run/log.jsonl",), LINES, (WATCHED, ("compare", "run", "other.json", "--out", "page.html")),
         ("run", "other.json")),
    Kind("evaluations", 3, ("run/evaluations.jsonl",), LINES, (WATCHED, WATCHED, WATCHED, SCORED), ("run",),
         ("run/report.html",)),
    Kind("best", 3, ("run/checkpoints/best/best.json",), JSON, (WATCHED,), ("run",)),
    Kind("inception", 8, ("inception.pt",), (*m.ANY, m.zip_inside, m.zip_inside, m.zip_structure),
         # Refused as too few once the weights are read: scoring in 2,048 features takes 20 seconds.
         (("evaluate", *PAIR, "--n", "4", "--features", "inception", "--weights", "inception.pt"),), ("images.npz",)),
    Kind("onnx", 8, ("model.onnx",), (*m.ANY, m.onnx_edit, m.onnx_edit, m.onnx_edit),
         (("evaluate", *PAIR, "--features", "onnx:model.onnx", "--json", "-"),), ("images.npz",)),
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """What was done to which file, and how the command took it."""

    number: int
    kind: str
    mutation: str
    words: tuple[str, ...]
    code: int | None
    signal: int | None
    seconds: float
    bytes: int
    output: str

    @property
    def failed(self) -> str | None:
        """Why it may not end so, if it may not."""
        if self.signal is not None:
            return f"killed by signal {self.signal}"
        if self.code not in (0, 2):
            return f"exit code {self.code}"
        if "Traceback" in self.output:
            return "a traceback"
        if self.code == 2 and not self.output.rstrip().splitlines()[-1].startswith("fromnoise: "):
            return "no sentence"
        if self.seconds > SECONDS:
            return f"{self.seconds:.1f} seconds"
        return f"{self.bytes / 1e6:.0f} MB" if self.bytes > BYTES else None


def case(number: int, seed: int, seeds: Path, work: Path, kinds: tuple[Kind, ...], keep: bool = False) -> Case:
    """Damage a file and run a command on it in a forked process; `number` and `seed` decide which and how."""
    chance = Random(f"{seed} {number}")
    kind = chance.choices(kinds, [kind.weight for kind in kinds])[0]
    place = work / str(number)
    place.mkdir()
    for name in {Path(file).parts[0] for file in kind.files} | set(kind.needs):
        copy = shutil.copytree if (seeds / name).is_dir() else shutil.copy
        copy(seeds / name, place / name)
    for name in kind.without:
        (place / name).unlink()
    file = place / chance.choice(kind.files)
    words = chance.choice(kind.commands)
    output = work / f"{number}.output"
    child = os.fork()
    if child == 0:
        _child(place, words, file, kind, chance, output)
    _, status, usage = os.wait4(child, 0)
    # Of the processor, lest a busy machine be blamed; waiting ends in SIGALRM.
    seconds = usage.ru_utime + usage.ru_stime
    told = output.read_text(errors="replace")
    mutation, _, told = told.partition("\n")
    if not keep:
        shutil.rmtree(place)
        output.unlink()
    stopped = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    code = None if stopped is not None else os.WEXITSTATUS(status)
    return Case(number, kind.name, mutation, words, code, stopped, seconds, usage.ru_maxrss * 1024, told)


def _child(place: Path, words: tuple[str, ...], file: Path, kind: Kind, chance: Random, output: Path) -> None:
    code = 1
    try:
        stream = os.open(output, os.O_WRONLY | os.O_CREAT)
        os.dup2(stream, 1)
        os.dup2(stream, 2)
        mutation = m.damaged(file, kind.mutations, chance)
        os.write(2, f"{mutation}\n".encode())
        os.chdir(place)
        os.environ["FROMNOISE_DATA"] = kind.name  # the folder of those kinds that are read from there
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(6 * SECONDS)
        sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(k, "w"), write_through=True) for k in (1, 2))
        sys.argv = ["fromnoise", *words]
        from fromnoise.faces import cli

        code = cli.main(words)
    except SystemExit as stop:
        code = 3 if stop.code is None else int(stop.code)
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def load() -> None:
    """Import all that the commands import."""
    import torch

    torch.set_num_threads(1)
    from fromnoise.faces import cli

    for name in cli.COMMANDS:
        importlib.import_module(f"fromnoise.faces.commands.{name}")
    for module in ("experiment.train", "experiment.score", "experiment.validate", "faces.report"):
        importlib.import_module(f"fromnoise.{module}")
    from fromnoise.data import digits
    from fromnoise.evaluation import two_sample
    from fromnoise.experiment import score

    # Files are what is asked about here: no network need learn to tell images apart, and scores take few images.
    two_sample.PASSES, score.LIKELIHOOD_IMAGES = 0, 16
    digits.PARTS |= {"val": (3000, 3300), "heldout": (4000, 4300)}


def planted(seeds: Path) -> None:
    """`plant`, in a process of its own: forking after a training is not safe."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            plant(seeds)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitpid(child, 0)[1]:
        raise RuntimeError("there are no whole files to damage")


def warm(seeds: Path) -> None:
    """Let the commands have whole files once: what they import and remember then, each case has from the beginning."""
    slow, refused = ("state", "config", "onnx"), ("inception", "webp", "npy")
    commands = [kind.commands[0] for kind in KINDS if kind.name not in slow + refused]
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(seeds, "seeds")
        os.chdir("seeds")
        Path("run/report.html").unlink()
        os.environ["FROMNOISE_DATA"] = "idx"
        for words in dict.fromkeys([*commands, SCORED]):
            shutil.rmtree("out", ignore_errors=True)
            fromnoise(*words)
    gc.collect()
    gc.freeze()  # else each process's collector would touch, and so copy, all that they share


def cases(
    seed: int, numbers: list[int], seeds: Path, workers: int, kinds: tuple[Kind, ...]
) -> Iterator[dict[str, Any]]:
    """What became of each case, in the order in which `workers` processes come to their ends."""
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        results, ends = os.pipe()
        children = []
        for k in range(workers):
            child = os.fork()
            if child == 0:
                os.close(results)
                with os.fdopen(ends, "w", buffering=1) as file:
                    for number in numbers[k::workers]:
                        done = case(number, seed, seeds, Path(folder), kinds)
                        told = vars(done) | {"failed": done.failed, "output": done.output[-3000:]}
                        os.write(file.fileno(), (json.dumps(told) + "\n").encode())
                os._exit(0)
            children.append(child)
        os.close(ends)
        with os.fdopen(results) as file:
            for line in file:
                yield json.loads(line)
        for child in children:
            os.waitpid(child, 0)


def main() -> None:
    """Run the cases; the exit code is 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seeds", type=Path, help="whole files of an earlier run, or where to make them")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kinds", nargs="+", help="only these")
    parser.add_argument("--all", action="store_true", help="a line for each case, whether it failed or not")
    parser.add_argument("--only", type=int, help="this case alone, with its output")
    parser.add_argument("--keep", action="store_true", help="keep the files of --only")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="fuzz") as folder:
        seeds = (arguments.seeds or Path(folder) / "seeds").absolute()
        load()
        if not seeds.exists():
            planted(seeds)
        kinds = tuple(kind for kind in KINDS if (seeds / kind.files[0]).exists())
        kinds = tuple(kind for kind in kinds if not arguments.kinds or kind.name in arguments.kinds)
        warm(seeds)
        if arguments.only is not None:
            place = Path(tempfile.mkdtemp(prefix="fuzz"))
            done = case(arguments.only, arguments.seed, seeds, place, kinds, arguments.keep)
            print(done.output, done, done.failed, place, sep="\n")
            sys.exit(bool(done.failed))
        start, codes, failed, longest, largest, took = time.perf_counter(), Counter(), 0, 0.0, 0, Counter()
        for told in cases(arguments.seed, list(range(arguments.cases)), seeds, arguments.workers, kinds):
            codes[told["code"]] += 1
            took[told["kind"]] += told["seconds"]
            longest, largest = max(longest, told["seconds"]), max(largest, told["bytes"])
            failed += bool(told["failed"])
            if told["failed"] or arguments.all:
                print(json.dumps(told), flush=True)
        summary = {
            "cases": arguments.cases,
            "failed": failed,
            "codes": {str(code): n for code, n in sorted(codes.items(), key=str)},
            "seconds": round(time.perf_counter() - start, 1),
            "longest": round(longest, 2),
            "largest_mb": round(largest / 1e6),
            "kinds": {kind: round(seconds, 1) for kind, seconds in took.most_common()},
        }
        print(json.dumps(summary))
        sys.exit(bool(failed))


if __name__ == "__main__":
    main()
