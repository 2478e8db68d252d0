"""Files that are written whole or not at all, and read without trust."""

import errno
import json
import math
import os
import secrets
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from glob import glob
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin

import msgspec

from fromnoise.errors import UserError

T = TypeVar("T")
UNFINISHED = ".fromnoise-"  # how the names of unfinished files begin
MOST_JSON = 64 << 20  # bytes of a JSON file
MOST_DEFLATED = 1_100  # bytes that one byte may inflate to: deflate reaches 1,032
WAITS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6) if os.name == "nt" else ()
"""Seconds before each new try to open a file or put it in its place: on Windows a virus scanner may still read it."""
NO_RIGHT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR)
BOMB = 1 << 28, 100  # from so many bytes on, one may inflate to no more than this: even sparse drawings stay far below


class Unwritten(UserError):  # noqa: N818 - a state of a file
    """A file or folder that could not be written, as on a full disk; nothing half-written is left."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be written ({reason})")
        self.reason = reason


def check_writable(path: Path) -> None:
    """Raise UserError when nothing can be written at `path`, before the work that would be lost."""
    place = path.absolute().parent
    while not place.exists() and place != place.parent:
        place = place.parent
    if not is_writable(place):
        raise UserError(f"{path} cannot be written: {place} is not a folder you may write to")


def check_new_folder(path: Path) -> None:
    """Raise UserError unless `path` is free, or an empty folder, and can be written."""
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise UserError(f"{path} already exists; name a new folder")
    check_writable(path)


def is_writable(folder: Path) -> bool:
    """Whether you may make files in `folder`: one is made, as permissions tell little on Windows and in /proc."""
    file = folder / f"{UNFINISHED}{secrets.token_hex(4)}"
    try:
        file.touch(exist_ok=False)
    except OSError as error:
        return error.errno not in NO_RIGHT
    with suppress(OSError):  # on Windows a virus scanner may still read it
        file.unlink()
    return True


def patiently(work: Callable[[], T]) -> T:
    """What `work` returns, tried again while another program holds its file."""
    for wait in WAITS:
        try:
            return work()
        except PermissionError:
            time.sleep(wait)
    return work()


def move(path: Path, target: Path) -> None:
    """Rename `path`, replacing a file at `target`."""
    patiently(lambda: os.replace(path, target))


def expanded(path: Path) -> list[Path]:
    """The paths that a pattern such as runs/* stands for, which Windows' shells leave to the command.

    Just `path` if it exists, or if nothing matches.
    """
    found = [] if path.exists() else sorted(map(Path, glob(str(path))))
    return found or [path]


def without_slash(name: str) -> str:
    """The name of a folder as given, but for slashes at its end."""
    return name.rstrip("/" + os.sep) or "/"


def quoted(words: Sequence[str]) -> str:
    """A command line of these words, for the shell of this system."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def check_name(path: Path | str) -> None:
    """Raise UserError for a path that is not UTF-8, which reports cannot hold and safetensors cannot open."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path}: its name is not UTF-8: rename it") from error


def missing_hint(path: Path) -> str:
    """The end of a sentence that refuses `path`: a hint if nothing is there, else empty."""
    return "" if path.exists() else "; it does not exist: was it deleted or moved?"


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path with the name of `path` that takes its place only when the block ends without an error.

    What was at `path` before stays until then.
    """
    with _making(path) as temporary:
        yield temporary
        _flush(temporary)
        move(temporary, path)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder that is renamed to `path`, which is new or empty, once the block ends without an error.

    If an empty folder cannot be replaced, it is filled instead.
    """
    with _making(path) as temporary:
        temporary.mkdir()
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        if path.is_dir() and not _removed(path):
            _fill(path, temporary)
        else:
            move(temporary, path)


def _removed(path: Path) -> bool:
    """Remove an empty folder; False, and it stays, if it is in use as the current folder or as a disk's mount point."""
    try:
        (Path() if path.samefile(".") else path).rmdir()  # by its own name, Linux would remove it below your feet
    except OSError:
        if any(path.iterdir()):
            raise
        return False
    return True


def _fill(path: Path, temporary: Path) -> None:
    """Move all that is in `temporary` into the empty folder `path`, perhaps on another disk; all of it or nothing."""
    children = list(temporary.iterdir())
    try:
        for child in children:
            shutil.move(child, path / child.name)
    except BaseException:
        for child in children:
            shutil.rmtree(path / child.name, ignore_errors=True)
            with suppress(OSError):
                (path / child.name).unlink()
        raise


@contextmanager
def _making(path: Path) -> Iterator[Path]:
    """A path with the same name in a hidden folder beside `path`."""
    with writing(path):
        place = path.absolute()  # "." has no name
        folder = place.parent / f"{UNFINISHED}{secrets.token_hex(4)}"
        try:
            folder.mkdir(parents=True)  # not by tempfile, whose folders on Windows nobody else may read
            yield folder / place.name
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, older: float = 0.0) -> None:
    """Remove what killed writers left half-written in `folder`, if it is at least so many seconds old."""
    for left in folder.glob(f"{UNFINISHED}*"):
        with suppress(OSError):
            if not older or time.time() - left.stat().st_mtime > older:
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def write_file(path: Path, content: str | bytes) -> None:
    """Write bytes, or text as UTF-8 (with ? for what is not, as in some file names), whole or not at all."""
    with whole(path) as temporary:
        temporary.write_bytes(content.encode(errors="replace") if isinstance(content, str) else content)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    write_file(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(
    path: Path, form: type = dict, kind: str = "a complete JSON file of fromnoise", advice: str = ""
) -> dict[str, Any]:
    """The JSON object in the file `path`; raises UserError, as `reading` has it, for anything else.

    `form` is a TypedDict of what the object must have at least.
    """
    with reading(path, kind, advice):
        return decode(read_bytes(path, MOST_JSON), form)


def decode(text: bytes | str, form: type) -> dict[str, Any]:
    """The whole of a JSON object that has the fields of `form`; raises what msgspec does for anything else.

    Numbers that are not finite are no JSON.
    """
    value: dict[str, Any] = msgspec.json.decode(text)
    msgspec.convert(value, form)
    return value


def with_nan(value: Any, kind: Any) -> Any:
    """`value` with NaN for null where the type `kind` is of numbers that cannot be null."""
    arguments = get_args(kind)
    if get_origin(kind) in (Union, UnionType):
        inner = [each for each in arguments if each is not type(None)]
        return value if value is None else with_nan(value, inner[0])
    if value is None and kind is float:
        return math.nan
    if isinstance(value, list | tuple) and get_origin(kind) is tuple:
        return [with_nan(each, arguments[0]) for each in value]
    if isinstance(value, Mapping) and get_origin(kind) is Mapping:
        return {name: with_nan(each, arguments[1]) for name, each in value.items()}
    if isinstance(value, Mapping) and isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        types = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
        return {name: with_nan(each, types.get(name)) for name, each in value.items()}
    return value


def read_bytes(path: Path, most: int) -> bytes:
    """The bytes of the file `path`; raises ValueError, before there is memory for them, for more than `most`."""
    check_size(path.stat().st_size, most)
    return path.read_bytes()


def check_size(size: int, most: int) -> None:
    """Raise ValueError for more than `most` bytes."""
    if size > most:
        raise ValueError(f"{size / 1e6:,.0f} MB, more than the {most / 1e6:,.0f} allowed")


def check_deflated(size: int, packed: int) -> None:
    """Raise ValueError where `packed` bytes cannot inflate to `size`, or only as a bomb would."""
    if size > MOST_DEFLATED * (packed + 1) or (size > BOMB[0] and size > BOMB[1] * packed):
        raise ValueError(f"{packed:,} bytes claim to hold {size:,}")


@contextmanager
def reading(path: Path | str, kind: str, advice: str = "") -> Iterator[None]:
    """Turn whatever is raised while `path` is read into one sentence: it cannot be read, or is not `kind`.

    Other libraries' parsers raise what they like for nonsense (NumPy's TokenError and MemoryError, zipfile's
    NotImplementedError, struct.error, RecursionError): no list of exceptions would be complete.
    """
    advice = advice and f"; {advice}"
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.strerror and error.errno != errno.EINVAL:  # a seek to nowhere
            raise UserError(f"{path} cannot be read ({error.strerror}){advice}") from error
        raise UserError(f"{path} is not {kind} ({reason(error)}){advice}") from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn the system's refusal to write, as on a full disk, into a sentence that names `path`."""
    try:
        yield
    except Unwritten as error:  # of a file in a folder in the making
        raise Unwritten(path, error.reason) from error
    except OSError as error:
        raise Unwritten(path, error.strerror or reason(error)) from error


def reason(error: Exception) -> str:
    """An exception's message, in one line of printable letters."""
    said = " ".join("".join(letter if letter.isprintable() else " " for letter in str(error)).split())[:200]
    if isinstance(error, KeyError):
        return f"it lacks {said}"
    return said or type(error).__name__


def _flush(path: Path) -> None:
    with path.open("rb+") as file:  # Windows flushes no file that is open for reading alone
        os.fsync(file.fileno())
