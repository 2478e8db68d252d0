"""`fromnoise data export` and `fromnoise data inspect`."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from fromnoise.data.settings import NAMED, Alpha, DataSettings, Fit, parse_size
from fromnoise.errors import UserError
from fromnoise.faces.arguments import File, Overwrite, SkipBroken, call, refuse_existing, refuse_unwritable_images
from fromnoise.say import say

if TYPE_CHECKING:
    from fromnoise.data.inspection import Inspection


@dataclass(frozen=True)
class ExportArguments:
    """Write a data set as 8-bit PNG files, or as an .npz, for other tools.

    fromnoise data export mnist:test --n 10000 real/
    fromnoise data export photos/ photos.npz --size 64
    fromnoise data export digits:train train/ --size 32 --by-class

    In a folder, images that came in parts of their own keep them, as sub-folders train, val and heldout.
    """

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SPEC")]
    """What `fromnoise train --data` takes, or a part of it: digits:heldout, mnist:test, photos/, images.zip."""
    out: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR|NPZ")]
    """A new folder, or NAME.npz for an array (arr_0, uint8, N×H×W×C) with the labels and groups."""
    n: int | None = None
    """Write a random subset of this many images, balanced over the classes; default: all, in order."""
    size: str | None = None
    """Resize to "32" or "24x40", as in `train`; default: no resizing."""
    fit: Fit = "stretch"
    """How to fit images of other proportions, as in `train`."""
    alpha: Alpha = "keep"
    """Keep transparency, or put images on a white or black background, as in `train`."""
    by_class: bool = False
    """One sub-folder per class (within each part), which `fromnoise train --data DIR` reads back."""
    seed: int = 0
    """Seed of the subset."""
    group_by: str | None = None
    """How your own images are split into parts, as in `train`."""
    label_by: str | None = None
    """Where your own images' classes come from, as in `train`."""
    skip_broken: SkipBroken = False
    overwrite: Overwrite = False


@dataclass(frozen=True)
class InspectArguments:
    """Show what is in a data set, part by part: images, classes and duplicates; and what training would take here.

    fromnoise data inspect photos/ --size 32 --sheet sheet.png
    fromnoise data inspect mnist --json -

    Parts other than train are never trained on. Images that cannot be read are left out and named.
    Near-duplicates are the same picture to a person, but a little noisy, brighter, shifted by a pixel or recoloured.
    For each part, the table counts images that equal another image in it, and those that are near-duplicates of one
    (equal ones included). Under "elsewhere", it counts the same against the other parts.
    """

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SPEC")]
    """What `fromnoise train --data` takes; or a part of it, as in digits:train."""
    size: str = DataSettings.size
    """Resize to "32" or "24x40", as in `train`."""
    fit: Fit = "stretch"
    """How to fit images of other proportions, as in `train`."""
    alpha: Alpha = "keep"
    """Keep transparency, or put images on a white or black background, as in `train`."""
    group_by: str | None = None
    """How your own images are split into parts, as in `train`."""
    label_by: str | None = None
    """Where your own images' classes come from, as in `train`."""
    sheet: File = None
    """Write a contact sheet as a PNG: at most 100 images of the first part, by class."""
    json: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """Write all of it as JSON, including the files of every part; - is standard output."""
    overwrite: Overwrite = False


HEADS = ("part", "images", "equal", "near", "equal elsewhere", "near elsewhere")
MOST_KINDS, MOST_FILES = 8, 10  # sizes, and files that cannot be read, that are shown; --json has all


def main(words: Sequence[str]) -> None:
    """Export or inspect."""
    commands: dict[str, Callable[..., None]] = {"export": _export, "inspect": _inspect}
    if words and words[0] in commands:
        return call(commands[words[0]], words[1:], f"data {words[0]}")
    if {"-h", "--help"} & set(words):
        with suppress(SystemExit):  # after the first help
            call(_export, ["--help"], "data export")
        return call(_inspect, ["--help"], "data inspect")
    raise UserError("write `fromnoise data export SPEC DIR` or `fromnoise data inspect SPEC` (each has --help)")


def _inspect(arguments: InspectArguments) -> None:
    out = None if arguments.json in (None, "-") else Path(str(arguments.json))
    if arguments.sheet is not None and arguments.sheet.suffix.lower() != ".png":
        raise UserError(f"--sheet {arguments.sheet}: name a .png file")
    if arguments.sheet is not None and arguments.sheet == out:
        raise UserError(f"--sheet and --json name the same file, {out}: choose two")
    refuse_existing(arguments.overwrite, arguments.sheet, out)

    from fromnoise.config import Config, with_budget
    from fromnoise.data.inspection import inspected
    from fromnoise.data.pictures import save_grid
    from fromnoise.data.saving import captions
    from fromnoise.experiment.outlook import outlook
    from fromnoise.faces.console import results
    from fromnoise.files import write_json
    from fromnoise.generation.model import check

    rules = ("size", "fit", "alpha", "group_by", "label_by")
    given = DataSettings(arguments.source, **{name: getattr(arguments, name) for name in rules})
    found = inspected(given)
    if arguments.sheet is not None:
        sheet = found.sheet()
        save_grid(arguments.sheet, sheet.images, captions=captions(sheet))
    if arguments.json != "-":
        _print(found)
    config, training = with_budget(Config(data=given), "fast"), None
    try:
        check(config)
        if found.whole:
            say("measuring (a few seconds) ...")
            training = outlook(found.parts[0], config)
    except UserError as error:
        say(f"note: `fromnoise train` would refuse this data: {error}")
    plain = found.plain() | {"training": training and vars(training)}
    if out is not None:
        write_json(out, plain)
    if arguments.json == "-":
        print(json.dumps(plain, indent=2))
    elif training is not None:
        results.sentence(str(training))


def _print(found: "Inspection") -> None:
    from fromnoise.data.listing import listed
    from fromnoise.faces.console import printable

    width = max(len(each.name) for each in found.duplicates)
    print(f"{HEADS[0]:<{width}}", *(f"{head:>{max(8, len(head))}}" for head in HEADS[1:]), sep="  ")
    for name, *counts in found.duplicates:
        numbers = (f"{n:>{max(8, len(head))},}" for n, head in zip(counts, HEADS[1:], strict=True))
        print(f"{name:<{width}}", *numbers, sep="  ")
    for part in found.parts:
        if classes := found.classes(part):
            print(printable(f"{part.name}: {', '.join(f'{name} {n:,}' for name, n in classes.items())}"))
    files = found.files
    for title, what, kinds in (
        ("sizes", "size", files.sizes),
        ("saved as", "form", files.forms),
        ("channels", "number of channels", files.channels),
        ("changed", "change", files.changed),
    ):
        if kinds:
            print(f"{title}: {listed([f'{each} ({n:,})' for each, n in kinds.most_common()], MOST_KINDS, what)}")
    unreadable = list(files.unreadable.items())
    for name, why in unreadable[:MOST_FILES]:
        print(printable(f"unreadable: {name} ({why})"))
    if unreadable[MOST_FILES:]:
        print(f"and {len(unreadable) - MOST_FILES:,} more (--json lists them)")
    mean, deviation = (" ".join(f"{value:.3f}" for value in values) for values in found.moments())
    print(f"mean {mean}, deviation {deviation} (black is 0, white is 1)")
    for note in found.notes():
        say(f"note: {note}")


def _export(arguments: ExportArguments) -> None:
    as_array = arguments.out.suffix.lower() == ".npz"
    if arguments.out.suffix.lower() == ".png":
        raise UserError(f"{arguments.out}: images are exported as a folder or an .npz")
    refuse_unwritable_images(arguments.out, arguments.overwrite)

    from fromnoise.data import folder, saving, sources
    from fromnoise.data.colour import laid
    from fromnoise.files import quoted

    size = None if arguments.size is None else parse_size(arguments.size, arguments.fit)
    sources.check_outside(arguments.out, sources.whole_of(arguments.source))
    rules = ("skip_broken", "group_by", "label_by")
    images = sources.load(arguments.source, size, **{name: getattr(arguments, name) for name in rules})
    own = sources.is_part(arguments.source) and sources.whole_of(arguments.source) not in NAMED
    if own and size is None and arguments.group_by is None and not images.parts:
        say("the split was made at the images' own size; a training splits after resizing, so its split may differ")
    images = laid(images, arguments.alpha)
    if arguments.n is not None and arguments.n != len(images):
        images = images.subset(arguments.n, arguments.seed)
    if arguments.by_class and images.labels is None:
        raise UserError(f"{images.name} has no classes: leave out --by-class")
    parts = images.parts if len(set(images.parts)) > 1 else ()
    if as_array:
        if parts:
            each = quoted(["fromnoise", "data", "export", f"{arguments.source}:train", "train.npz"])
            others = f"{arguments.source}:val and {arguments.source}:heldout"
            say(f"an .npz holds no parts, so they are merged: `{each}` exports one part alone, {others} the others")
        saving.save(arguments.out, images)
    else:
        folders = [parts, saving.places(images) if arguments.by_class else ()]
        inside = ["/".join(names) for names in zip(*filter(None, folders), strict=True)]
        folder.save(arguments.out, images.images, inside or None)
    print(arguments.out)
