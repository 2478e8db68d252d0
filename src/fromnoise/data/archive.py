"""Images in a zip or tar file, or in several (WebDataset's shards), read as those of a folder; nothing is unpacked."""

import glob
import gzip
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO

from fromnoise.data.arrays import METHODS
from fromnoise.data.blocks import BLOCK
from fromnoise.data.folder import collected
from fromnoise.data.image_set import ImageSet
from fromnoise.data.labelling import common_folder
from fromnoise.data.listing import Listing, hidden, listed, natural
from fromnoise.data.picture import Unreadable
from fromnoise.data.source import Reading, Source
from fromnoise.errors import UserError
from fromnoise.files import check_deflated, check_size, reading, reason
from fromnoise.say import plural

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")
MOST = 1 << 28  # bytes of a file in an archive
MISSING = 4  # archives that are named
WILD = {"*", "?"}  # for any letters, and for one
NUMBERS, MOST_SHARDS = re.compile(r"\{(\d+)\.\.(\d+)\}"), 10_000
GZIP = b"\x1f\x8b"  # the first bytes of a gzipped tar
ENCRYPTED = 1  # a flag in a zip

Members = dict[str, Callable[[], bytes]]
"""From the name of each file in an archive to a function that reads its bytes."""


def load(name: str, how: Reading) -> ImageSet:
    """The images in the archive `name`, or in all of a pattern, as `folder.load` has them.

    A pattern is, for example, shards-*.tar, shards-00?.tar or WebDataset's shards-{000..009}.tar. If one folder holds
    all files, names begin below it. Raises UserError if an archive is missing or cannot be read.
    """
    with ExitStack() as stack:
        members: Members = {}
        found = Listing()
        paths = _paths(name)
        if missing := [str(path) for path in paths if not path.is_file()]:
            count = f"{len(missing):,} of {plural(len(paths), 'archive')}"
            raise UserError(f"{name}: {count} cannot be found: {listed(missing, MISSING)}")
        for path in paths:
            with reading(path, "a readable zip or tar file"):
                read = _zip if path.suffix.lower() == ".zip" else _tar
                more = read(path, stack, found)
            if twice := sorted(members.keys() & more.keys()):
                raise UserError(f"{path}: {twice[0]} is in another of these archives too; rename one of them")
            members |= more
        inside = common_folder(members)
        names = {full.removeprefix(inside): full for full in members}
        for short in sorted(names, key=lambda short: [natural(part) for part in short.split("/")]):
            found.add(short)

        def opened(short: str) -> BytesIO:
            try:
                return BytesIO(members[names[short]]())
            except Exception as error:  # zlib's and tarfile's own, as `files.reading` says
                raise Unreadable(reason(error)) from error

        return collected(name, found, opened, how)


def _paths(name: str) -> list[Path]:
    found = [path for each in numbered(name) for path in (glob.glob(each) if WILD & set(each) else [each])]
    return [Path(each) for each in sorted(found, key=natural)]


def is_pattern(name: str) -> bool:
    """Whether `name` stands for several files."""
    return bool(NUMBERS.search(name) or WILD & set(name))


def numbered(name: str) -> list[str]:
    """The names that {000..009} in `name` stands for."""
    if not (braces := NUMBERS.search(name)):
        return [name]
    first, last = braces.groups()
    numbers = range(int(first), int(last) + 1)
    if not numbers:
        raise UserError(f"{name}: give the lower number first, {{{last}..{first}}}")
    if len(numbers) > MOST_SHARDS:
        raise UserError(f"{name} names {len(numbers):,} files, more than the {MOST_SHARDS:,} allowed")
    names = (f"{name[: braces.start()]}{k:0{len(first)}}{name[braces.end() :]}" for k in numbers)
    return [each for one in names for each in numbered(one)]


def _kept(name: str, found: Listing) -> str | None:
    """The name of a file, with / between its parts; None, and counted, if it is hidden or leads out of the archive."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0].startswith("/"):
        found.kinds["outside the archive"] += 1
    elif any(map(hidden, parts)):
        found.kinds["hidden"] += 1
    else:
        return "/".join(parts)
    return None


def _zip(path: Path, stack: ExitStack, found: Listing) -> Members:
    file = stack.enter_context(zipfile.ZipFile(path))
    members: Members = {}
    for info in file.infolist():
        if not info.is_dir() and (name := _kept(info.filename, found)):
            if info.flag_bits & ENCRYPTED:
                raise ValueError("encrypted")
            if name in members:
                raise UserError(f"{path} holds {name} twice: rename one of them")
            members[name] = partial(_unzipped, file, info)
    return members


def _unzipped(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of a file in a zip; raises as zipfile does, or ValueError, before it takes memory, for too many."""
    if info.compress_type not in METHODS:
        raise ValueError("compressed by a method other than deflate")
    check_size(info.file_size, MOST)
    check_deflated(info.file_size, info.compress_size)
    with file.open(info) as stream:
        content = stream.read(info.file_size)
        stream.read(1)  # there is none: now zipfile has seen the end, and checks all that was read
    return content


def _tar(path: Path, stack: ExitStack, found: Listing) -> Members:
    file: IO[bytes] = stack.enter_context(path.open("rb"))
    if file.read(len(GZIP)) == GZIP:
        file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
        _inflate(path, file)
    file.seek(0)
    tar = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))  # noqa: SIM115 - the stack closes it
    members: Members = {}
    for info in tar:
        if tar.offset <= info.offset:  # tarfile would read it again for ever (CVE-2025-8194)
            raise ValueError("a file of negative size")
        if info.isreg() and not info.issparse():
            if name := _kept(info.name, found):  # of several, the last counts, as in a tar that was updated
                members[name] = partial(_untarred, tar, info)
        elif not info.isdir():
            found.kinds["links or devices"] += 1
    file.seek(tar.offset)  # where tarfile stopped, which says nothing of a header that is damaged or cut off
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise ValueError(f"damaged or cut off after {len(members):,} files")
    return members


def _untarred(tar: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    check_size(info.size, MOST)
    stream = tar.extractfile(info)
    content = b"" if stream is None else stream.read()
    if len(content) != info.size:
        raise ValueError("cut short")
    return content


def _inflate(path: Path, plain: IO[bytes]) -> None:
    """Unpack a gzipped file into a plain one, which can be read from any place; raises ValueError for a bomb."""
    with gzip.open(path, "rb") as packed:
        while block := packed.read(BLOCK):
            plain.write(block)
            check_deflated(plain.tell(), path.stat().st_size)


SOURCE = Source(
    "a zip or tar of images",
    lambda name: name.lower().endswith(SUFFIXES) and any(path.is_file() for path in _paths(name)),
    load,
    files=lambda name: {f"{k}/{path.name}": path for k, path in enumerate(_paths(name))},  # names may be the same
)
