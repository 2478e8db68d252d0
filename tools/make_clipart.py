"""Link the pictures that the packaged model `clipart` learns from into one folder.

    python -m tools.make_clipart                                (fetches two of Debian's packages by `apt-get`, once)

All PNG files of openclipart-png, which are in the public domain, and the icons of 32 pixels of tango-icon-theme, which
are under CC0-1.0, but for the one under the LGPL. Of the drawn stars, which would be a fifth of all, only every eighth.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.own import debian
from fromnoise.errors import UserError
from fromnoise.faces.cli import script

ROOT = Path(__file__).parents[1]
LGPL = Path("mimetypes/application-pdf.png")
STARS = 8


@dataclass(frozen=True)
class Settings:
    """Fetch the packages and link their pictures."""

    packages: Path = ROOT / "build" / "clipart-packages"
    """The folder of the fetched packages; one that is there already is taken as it is."""
    out: Path = ROOT / "build" / "clipart"
    """The new folder of the pictures."""


def main(settings: Settings) -> None:
    """Make the folder."""
    if settings.out.exists():
        raise UserError(f"{settings.out} exists: remove it, or choose another --out")
    openclipart = fetched("openclipart-png", settings.packages) / "usr/share/openclipart/png"
    tango = fetched("tango-icon-theme", settings.packages) / "usr/share/icons/Tango/32x32"
    found = pictures(openclipart, tango)
    settings.out.mkdir(parents=True)
    for name, path in found.items():
        (settings.out / name).symlink_to(path.resolve())
    print(f"{settings.out}: {len(found):,} pictures")


def fetched(package: str, place: Path) -> Path:
    """The folder that the package is unpacked into."""
    folder = place / package
    if not (folder / "usr").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        debian(folder, package)
    return folder


def pictures(openclipart: Path, tango: Path) -> dict[str, Path]:
    """The pictures of both folders by their names in the new one."""
    drawn = below(openclipart, lambda k, path: "stars" not in path.parts or k % STARS == 0)
    icons = below(tango, lambda _, path: path != LGPL and not (tango / path).is_symlink())
    return {f"oc__{name}": path for name, path in drawn} | {f"tango__{name}": path for name, path in icons}


def below(folder: Path, wanted: Callable[[int, Path], bool]) -> Iterator[tuple[str, Path]]:
    """The PNG files below `folder` that are wanted by number and relative path: a name for each, and the file."""
    for k, path in enumerate(sorted(folder.rglob("*.png"))):
        relative = path.relative_to(folder)
        if wanted(k, relative):
            yield "__".join(relative.parts), path


if __name__ == "__main__":
    script(main, Settings, __doc__)
