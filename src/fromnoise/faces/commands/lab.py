"""`fromnoise lab`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fromnoise.errors import UserError
from fromnoise.files import check_new_folder
from fromnoise.say import say


@dataclass(frozen=True)
class LabArguments:
    """Run the lab's notebooks without Jupyter and make a page of them, or handouts or slides.

    fromnoise lab --quick --out lab-page   # about two minutes on two cores
    fromnoise lab --out lab-page           # about twenty: trains a model for ten
    fromnoise lab --run runs/digits --out lab-page
    fromnoise lab handouts handouts/       # runs nothing
    fromnoise lab handouts handouts/ --execute --quick
    fromnoise lab slides slides/ --quick

    Handouts are .ipynb files for students, teachers and nbgrader. Slides are PDFs, one figure per page.
    """

    kind: Annotated[
        tyro.conf.Positional[Literal["page", "handouts", "slides"]], tyro.conf.arg(metavar="[page|handouts|slides]")
    ] = "page"
    """What to make."""
    folder: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[DIR]")] = None
    """A new folder to write; --out does the same."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """A new folder to write."""
    quick: bool = False
    """Fewer samples and fewer steps."""
    execute: bool = False
    """Handouts only: run the notebooks, and include their output in the teacher's files."""
    run: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """A run trained on digits; default: the lab's own, trained in runs/lab-quick or runs/lab-full."""
    only: Annotated[tuple[int, ...], tyro.conf.arg(metavar="N [N ...]")] = ()
    """Numbers of the notebooks to include; default: all."""


def main(arguments: LabArguments) -> None:
    """Make page, handouts or slides of the lab."""
    if (arguments.folder is None) == (arguments.out is None):
        raise UserError("name one new folder, as in `fromnoise lab --quick --out lab-page` (fromnoise lab --help)")
    out = arguments.folder or arguments.out
    assert out is not None
    check_new_folder(out)
    if arguments.execute and arguments.kind != "handouts":
        raise UserError("--execute is for handouts: page and slides always run the notebooks")
    if (arguments.quick or arguments.run) and arguments.kind == "handouts" and not arguments.execute:
        raise UserError("--quick and --run are for notebooks that are run: add --execute")

    import torch

    from fromnoise.experiment import system
    from fromnoise.experiment.find import find_model, is_run
    from fromnoise.files import missing_hint, whole_folder
    from fromnoise.lab import cells, handouts, notebook, page, slides
    from fromnoise.lab.running import run

    if arguments.run is not None:
        if not is_run(arguments.run):
            wanted = "is not a run folder of `fromnoise run` or `train`"
            raise UserError(f"--run {arguments.run} {wanted}{missing_hint(arguments.run)}")
        find_model(arguments.run)
        os.environ[notebook.RUN] = str(arguments.run)
    os.environ[notebook.SETTING] = "quick" if arguments.quick else "full"
    books = cells.chosen(arguments.only)
    with whole_folder(out) as folder:
        chapters = []
        for k, book in enumerate(books if arguments.kind != "handouts" or arguments.execute else ()):
            say(f"notebook {k + 1} of {len(books)}: {book.name}")
            chapters.append(run(book))
        if arguments.kind == "page":
            about = {"command": system.command(), "system": system.about(torch.device("cpu"))}
            page.write(chapters, folder, setting=notebook.setting(), **about)
        elif arguments.kind == "slides":
            slides.write(chapters, folder)
        else:
            handouts.write(books, folder, [chapter.cells for chapter in chapters] or None)
    print(out / "index.html" if arguments.kind == "page" else out)
