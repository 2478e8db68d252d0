"""`fromnoise lab`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.faces.arguments import folder_is_new, parse


@dataclass(frozen=True)
class LabArguments:
    """All figures of the lab on one page, without Jupyter: from one Gaussian to a bag of digits.

    fromnoise lab --quick --out lab-page          # a minute or two on two cores
    fromnoise lab --out lab-page                  # a quarter of an hour: trains the fast recipe for ten minutes
    fromnoise lab --run runs/digits --out lab-page
    """

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A new folder for index.html and figures/."""
    quick: Annotated[bool, tyro.conf.FlagCreatePairsOff] = False
    """Fewer samples, fewer steps, and a small network trained for under a minute."""
    run: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """The folder of a trained run on digits to use; when not given the lab trains its own in runs/lab-quick or
    runs/lab-full."""
    only: tuple[int, ...] = ()
    """Numbers of the notebooks to run; all seven when not given."""


def main(words: Sequence[str]) -> int:
    """Run the lab; returns the exit code."""
    arguments = parse(LabArguments, words, "lab")
    folder_is_new(arguments.out)

    import torch

    from fromnoise.errors import UserError
    from fromnoise.experiment import system
    from fromnoise.experiment.find import find_model, is_run
    from fromnoise.faces import html, lab, notebook
    from fromnoise.faces.console import say
    from fromnoise.files import lost, whole, whole_folder

    if arguments.run is not None:
        if not is_run(arguments.run):
            raise UserError(
                f"--run {arguments.run} is not a run folder, as `fromnoise run` or `train` writes one"
                f"{lost(arguments.run)}"
            )
        find_model(arguments.run)
        os.environ[notebook.RUN] = str(arguments.run)
    os.environ[notebook.SETTING] = "quick" if arguments.quick else "full"
    numbers = sorted(set(arguments.only)) or list(lab.notebooks())
    if arguments.out.is_dir():
        arguments.out.rmdir()
    with whole_folder(arguments.out) as folder:
        told = lambda done, name: say(f"notebook {done + 1} of {len(numbers)}: {name}")  # noqa: E731
        chapters = list(lab.run_all(numbers, folder, told))
        page = html.render(
            "lab.html",
            setting=notebook.setting(),
            chapters=chapters,
            command=system.command(),
            system=system.about(torch.device("cpu")),
        )
        with whole(folder / "index.html") as temporary:
            temporary.write_text(page, encoding="utf-8")
    print(arguments.out / "index.html")
    return 0
