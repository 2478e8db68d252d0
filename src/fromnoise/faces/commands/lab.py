"""`fromnoise lab`."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from fromnoise.errors import UserError
from fromnoise.faces.arguments import Flag, folder_is_new, parse


@dataclass(frozen=True)
class LabArguments:
    """Run the lab's notebooks without Jupyter, and put all their figures on one page.

    fromnoise lab --quick --out lab-page          # a minute or two on two cores
    fromnoise lab --out lab-page                  # a quarter of an hour: trains the fast preset for ten minutes
    fromnoise lab --run runs/digits --out lab-page
    """

    out: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """A new folder for index.html and figures/."""
    quick: Flag = False
    """Fewer samples, fewer steps, and a small network trained for under a minute."""
    run: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """A run on digits to use; by default the lab trains its own in runs/lab-quick or runs/lab-full."""
    only: tuple[int, ...] = ()
    """Numbers of the notebooks to run; default: all seven."""


def main(words: Sequence[str]) -> None:
    """Run the lab."""
    arguments = parse(LabArguments, words, "lab")
    folder_is_new(arguments.out)

    import torch

    from fromnoise.experiment import system
    from fromnoise.experiment.find import find_model, is_run
    from fromnoise.faces import html, lab, notebook
    from fromnoise.files import lost, whole_folder

    if arguments.run is not None:
        if not is_run(arguments.run):
            wanted = "is not a run folder of `fromnoise run` or `train`"
            raise UserError(f"--run {arguments.run} {wanted}{lost(arguments.run)}")
        find_model(arguments.run)
        os.environ[notebook.RUN] = str(arguments.run)
    os.environ[notebook.SETTING] = "quick" if arguments.quick else "full"
    if arguments.out.is_dir():
        arguments.out.rmdir()
    with whole_folder(arguments.out) as folder:
        chapters = lab.run_all(sorted(set(arguments.only)) or list(lab.notebooks()), folder)
        about = {"command": system.command(), "system": system.about(torch.device("cpu"))}
        page = html.render("lab.html", setting=notebook.setting(), chapters=chapters, **about)
        (folder / "index.html").write_text(page, encoding="utf-8")
    print(arguments.out / "index.html")
