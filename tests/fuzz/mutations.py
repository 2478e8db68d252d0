"""Damage, by chance and by malice: each function gives other bytes for a file's, as a generator of numbers decides."""

import gzip
import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

Mutation = Callable[[bytes, Random], bytes]

EXTREMES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 2, 3, 7, 0.5, -0.5, 1e-300, 1e308, -1e308, math.nan, math.inf, -math.inf,
    2**31, -(2**31), 2**63, 10**6, 10**7, 10**8, 10**9, 10**18, 10**400, "", "x", "1", "nan", "\0", "x" * 3000,
    "🙂\n\x1b[31m",
    "../../..", "/dev/zero", "/", [], {}, [None], [1] * 3000, {"x": {}}, [[[[1]]]], ["a", 1, None],
)  # fmt: skip


def flips(data: bytes, chance: Random) -> bytes:
    """One to forty flipped bits."""
    changed = bytearray(data)
    for _ in range(chance.randint(1, 40) if chance.random() < 0.5 else 1):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def head(data: bytes, chance: Random) -> bytes:
    """A byte or a number of the first hundred bytes, where lengths and sizes stand, at an extreme."""
    changed = bytearray(data)
    at = chance.randrange(min(100, len(changed)))
    value = chance.choice([b"\xff", b"\0", b"\x7f", b"\x80", b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff", b"\0\0\1\0"])
    changed[at : at + len(value)] = value
    return bytes(changed)


def truncation(data: bytes, chance: Random) -> bytes:
    """The beginning, or the end."""
    at = chance.randrange(len(data))
    return data[:at] if chance.random() < 0.8 else data[at:]


def splice(data: bytes, chance: Random) -> bytes:
    """A piece of it put elsewhere, doubled, left out, or overwritten by zeros or by chance."""
    a, b = sorted(chance.randrange(len(data) + 1) for _ in range(2))
    b = min(b, a + 4096)
    at = chance.randrange(len(data) + 1)
    kind = chance.randrange(5)
    if kind == 0:
        return data[:at] + data[a:b] + data[at:]
    if kind == 1:
        return data[:at] + data[a:b] + data[at + b - a :]
    if kind == 2:
        return data[:a] + data[b:]
    return data[:a] + (bytes(b - a) if kind == 3 else chance.randbytes(b - a)) + data[b:]


ANY: tuple[Mutation, ...] = (flips, head, truncation, splice)


def edited(value: Any, chance: Random) -> Any:
    """A JSON value with one to three places changed: an extreme, another place's value, or the field left out."""
    for _ in range(chance.randint(1, 3)):
        places = list(_places(value))
        if not places:
            return chance.choice(EXTREMES)
        inner, key = chance.choice(places)
        kind = chance.random()
        if kind < 0.7:
            inner[key] = chance.choice(EXTREMES)
        elif kind < 0.85:
            other, at = chance.choice(places)
            inner[key] = json.loads(json.dumps(other[at]))
        else:
            del inner[key]
    return value


def _places(value: Any) -> Any:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)):
            yield from _places(value[key])


def json_edit(data: bytes, chance: Random) -> bytes:
    """A value of a JSON file at an extreme."""
    if chance.random() < 0.03:
        return json.dumps(chance.choice(EXTREMES)).encode()
    return json.dumps(edited(json.loads(data), chance)).encode()


def line_edit(data: bytes, chance: Random) -> bytes:
    """A value of one line of a file of JSON lines at an extreme."""
    lines = data.splitlines(keepends=True)
    at = chance.randrange(len(lines))
    lines[at] = json_edit(lines[at], chance) + b"\n"
    return b"".join(lines)


def deep(data: bytes, chance: Random) -> bytes:
    """JSON that no parser's stack holds."""
    return chance.choice([b"[", b'{"a":', b'{"config":{"data":']) * chance.choice([500, 5000, 500_000])


def gzip_inside(data: bytes, chance: Random) -> bytes:
    """What is packed, damaged and packed again."""
    return gzip.compress(chance.choice(ANY)(gzip.decompress(data), chance), mtime=0)


def zip_inside(data: bytes, chance: Random) -> bytes:
    """One member damaged, with a checksum that fits."""
    members = _members(data)
    name = chance.choice(sorted(members))
    return _zip(members | {name: chance.choice(ANY)(members[name] or b"\0", chance)}, chance)


def zip_structure(data: bytes, chance: Random) -> bytes:
    """A number in the directory at an extreme, a member left out, doubled, renamed or otherwise compressed."""
    kind = chance.randrange(4)
    if kind == 0:
        changed = bytearray(data)
        starts = [match.start() for match in re.finditer(rb"PK\x01\x02|PK\x05\x06|PK\x03\x04", data)]
        at = chance.choice(starts) + chance.randrange(4, 46)
        value = chance.choice([b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\x01", b"\x0e\0", b"\x63\0"])
        changed[at : at + len(value)] = value
        return bytes(changed)
    members = _members(data)
    name = chance.choice(sorted(members))
    content = members.pop(name)
    if kind == 1:
        return _zip(members, chance)
    if kind == 2:
        return _zip(
            members | {chance.choice(["arr_0.npy", "labels.npy", "images", "/abs", "../up", "é"]): content}, chance
        )
    return _zip(members | {name: content}, chance, chance.choice([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))


def npy_header(data: bytes, chance: Random) -> bytes:
    """A header's text edited, its length put right; of a bare array or of one in an archive."""
    if data.startswith(b"PK"):
        members = _members(data)
        name = chance.choice(sorted(members))
        return _zip(members | {name: npy_header(members[name], chance)}, chance)
    length = struct.unpack("<H", data[8:10])[0]
    text, values = data[10 : 10 + length].decode("latin1"), data[10 + length :]
    kind = chance.randrange(5)
    if kind == 0:
        numbers = [match.span() for match in re.finditer(r"\d+", text)]
        a, b = chance.choice(numbers)
        text = (
            text[:a]
            + str(chance.choice([0, -1, 1, 3, 2**31, 2**63, 10**18, 10**30, "1" * 5000, 0.5, "True"]))
            + text[b:]
        )
    elif kind == 1:
        text = chance.choice(["(", "[", "-", "{'a':", "'", "\\", "9", "f'{", "\0"]) * chance.choice([1, 100, 9000])
    elif kind == 2:
        descr = chance.choice(["|O", "<f8", "<U1000000000", "|V2000000000", "M8[s]", ">u1", "|b1", "nonsense", ""])
        text = re.sub(r"'[^']*u1'|'[<>][^']*'", repr(descr), text, count=1)
    elif kind == 3:
        a, b = sorted(chance.randrange(len(text)) for _ in range(2))
        text = text[:a] + text[b:]
    else:
        text = text.replace("False", chance.choice(["True", "None", "1", "x"]))
    packed = text.encode("latin1")[:65535]
    version = chance.choice([b"\x01\0", b"\x01\0", b"\x02\0", b"\x03\0", b"\x09\0"])
    size = struct.pack("<H" if version[0] == 1 else "<I", len(packed))
    return data[:6] + version + size + packed + values


def png_chunk(data: bytes, chance: Random) -> bytes:
    """A chunk damaged, doubled, left out or put elsewhere, with checksums that fit."""
    chunks, at = [], 8
    while at < len(data):
        length = struct.unpack(">I", data[at : at + 4])[0]
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    k, kind = chance.randrange(len(chunks)), chance.randrange(5)
    name, content = chunks[k]
    if kind < 2 and content:
        chunks[k] = (name, chance.choice((flips, head, truncation))(content, chance))
    elif kind == 2:
        del chunks[k]
    elif kind == 3:
        chunks.insert(chance.randrange(len(chunks)), chunks[k])
    else:
        text = zlib.compress(bytes(chance.choice([100, 10**6, 5 * 10**7])))
        extra = chance.choice([(b"zTXt", b"a\0\0" + text), (b"iCCP", b"a\0\0" + text), (b"acTL", b"\xff" * 8),
                               (b"tRNS", b"\0" * 7), (b"PLTE", b"\1" * 5), (b"eXIf", chance.randbytes(40)),
                               (b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 2, 0, 0, 0)),
                               (b"IHDR", struct.pack(">IIBBBBB", 13000, 13000, 8, 6, 0, 0, 0))])  # fmt: skip
        chunks.insert(chance.randint(0, len(chunks) - 1), extra)
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )


def tensors_about(data: bytes, chance: Random) -> bytes:
    """What a file of tensors says about them edited, or the tensors, with a checksum that fits."""
    import torch
    from safetensors.torch import load, save

    from fromnoise.tensors import ENTRY, checksum

    tensors = load(data)
    length = struct.unpack("<Q", data[:8])[0]
    about = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][ENTRY])["about"]
    if chance.random() < 0.7:
        about = edited(about, chance)
    else:
        name = chance.choice(sorted(tensors))
        changed = chance.choice([
            lambda x: x.flatten(),
            lambda x: x[None],
            lambda x: x.double(),
            lambda x: x.to(torch.int8),
            lambda x: torch.full_like(x, chance.choice([0, 100])),
            lambda x: x.float() * chance.choice([math.nan, math.inf, 1e30]),
            lambda x: torch.zeros(0),
            lambda x: torch.zeros([1] * 70),
        ])  # fmt: skip
        if chance.random() < 0.2:
            del tensors[name]
        else:
            tensors[name if chance.random() < 0.9 else "more"] = changed(tensors[name]).contiguous()
    entry = {"about": about, "sha256": checksum(tensors, about)}
    return save(tensors, {ENTRY: json.dumps(entry)})


def tensors_header(data: bytes, chance: Random) -> bytes:
    """The header of a file of tensors edited, its length put right."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.dumps(edited(json.loads(data[8 : 8 + length]), chance)).encode()
    return struct.pack("<Q", len(header)) + header + data[8 + length :]


def onnx_edit(data: bytes, chance: Random) -> bytes:
    """A number, a name or a list in the model's own form changed."""
    from onnx import ModelProto

    model = ModelProto.FromString(data)
    for _ in range(chance.randint(1, 2)):
        _edit_message(model, chance)
    return model.SerializeToString()


def _edit_message(message: Any, chance: Random) -> None:
    fields = message.ListFields()
    if not fields:
        return
    field, value = chance.choice(fields)
    repeated = hasattr(value, "append") or hasattr(value, "add")
    if repeated and chance.random() < 0.2:
        del value[chance.randrange(len(value))]
    elif repeated and field.message_type:
        _edit_message(chance.choice(value), chance)
    elif field.message_type:
        _edit_message(value, chance)
    else:
        numbers = [0, 1, -1, 3, 7, 16, 2**20, 2**31 - 1, -(2**31)] + ([2**62, 10**10] if field.cpp_type == 2 else [])
        other = {
            field.CPPTYPE_STRING: ["", "x", "features", "Loop", "ConstantOfShape", "images", "flat"],
            field.CPPTYPE_FLOAT: [0.0, 1e30, math.nan],
        }.get(field.cpp_type, numbers)
        chosen = chance.choice(other)
        if field.type == field.TYPE_BYTES:
            chosen = chance.randbytes(chance.choice([0, 5, 4096]))
        if repeated:
            value[chance.randrange(len(value))] = chosen
        else:
            setattr(message, field.name, chosen)


def _members(data: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        return {name: file.read(name) for name in file.namelist()}


def _zip(members: dict[str, bytes], chance: Random, method: int | None = None) -> bytes:
    packed = io.BytesIO()
    method = chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]) if method is None else method
    with zipfile.ZipFile(packed, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return packed.getvalue()


def damaged(path: Path, mutations: tuple[Mutation, ...], chance: Random) -> str:
    """Put other bytes in the place of the file `path`; returns the mutation's name."""
    data = path.read_bytes()
    mutation = chance.choice(mutations)
    try:
        changed = mutation(data, chance)
    except (ValueError, TypeError, OverflowError, RuntimeError):  # an edit that its format cannot hold
        mutation, changed = flips, flips(data, chance)
    path.write_bytes(changed)
    return mutation.__name__
