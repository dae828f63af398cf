"""Named ways to damage a package, and how far a reader should get with each.

The runtime in C must answer each with its status; a reader in Python must refuse the same ones.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Members = Mapping[str, bytes]
Build = Callable[[dict[str, Any], dict[str, bytes]], bytes]


@dataclass(frozen=True)
class Entry:
    """A member of an archive, with whatever its two headers are to say instead of the truth."""

    name: str
    data: bytes
    flags: int = 0
    method: int = 0
    crc: int | None = None
    size: int | None = None
    packed_size: int | None = None
    offset: int | None = None
    gap: bytes = b""
    comment: bytes = b""
    disk: int = 0
    local: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> bytes:
        """What both headers say: flags, method, time, date, checksum, sizes, length of the name."""
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        size = len(self.data) if self.size is None else self.size
        packed = size if self.packed_size is None else self.packed_size
        name = self.name.encode()
        return struct.pack(
            "<HHHHIIIH", self.flags, self.method, 0, 33, crc, packed, size, len(name)
        )


def archive(entries: list[Entry], *, tail: bytes = b"", **end: int) -> bytes:
    """A ZIP archive of these entries. `end` replaces numbers of the end record."""
    body, directory = b"", b""
    for entry in entries:
        body += entry.gap
        offset = len(body) if entry.offset is None else entry.offset
        told = replace(entry, **entry.local)
        name = told.name.encode()
        body += b"PK\3\4" + struct.pack("<H", 20) + told.facts() + struct.pack("<H", 0)
        body += name + entry.data
        directory += b"PK\1\2" + struct.pack("<HH", 20, 20) + entry.facts()
        directory += struct.pack("<HHHHII", 0, len(entry.comment), entry.disk, 0, 0, offset)
        directory += entry.name.encode() + entry.comment
    numbers = {
        "disk": 0,
        "first": 0,
        "here": len(entries),
        "count": len(entries),
        "size": len(directory),
        "offset": len(body),
        "comment": 0,
        **end,
    }
    return body + directory + b"PK\5\6" + struct.pack("<HHHHIIH", *numbers.values()) + tail


def entries_of(
    manifest: Mapping[str, Any], members: Members, text: Callable[[str], str] = lambda text: text
) -> list[Entry]:
    """The entries of a whole package; `text` changes the manifest's."""
    listed = [
        {"name": name, "sha256": hashlib.sha256(data).hexdigest(), "size_bytes": len(data)}
        for name, data in members.items()
    ]
    whole = json.dumps({"members": listed, **manifest}, sort_keys=True)
    return [
        Entry("manifest.json", text(whole).encode("utf-8", "surrogatepass")),
        *(Entry(name, data) for name, data in members.items()),
    ]


@dataclass(frozen=True)
class Damage:
    """A way to damage a package.

    Attributes:
        name: in words.
        status: that the C runtime answers with.
        build: from a whole package's manifest and members.
    """

    name: str
    status: str
    build: Build

    @property
    def counts(self) -> bool:
        """Whether it is a number that is far too large."""
        return any(sign in self.name for sign in ("GiB", "MiB", "2^", "65535"))


def _whole(manifest: dict[str, Any], members: dict[str, bytes]) -> bytes:
    return archive(entries_of(manifest, members))


def _archived(change: Callable[[list[Entry]], list[Entry]], **end: int) -> Build:
    return lambda manifest, members: archive(change(entries_of(manifest, members)), **end)


def _ended(**end: int) -> Build:
    return _archived(lambda entries: entries, **end)


def _entry(index: int, **change: Any) -> Build:
    def changed(entries: list[Entry]) -> list[Entry]:
        entries[index] = replace(entries[index], **change)
        return entries

    return _archived(changed)


def _text(change: Callable[[str], str]) -> Build:
    return lambda manifest, members: archive(entries_of(manifest, members, change))


def _told(change: Callable[[dict[str, Any]], object]) -> Build:
    """Change the manifest, the list of members not among it."""

    def build(manifest: dict[str, Any], members: dict[str, bytes]) -> bytes:
        told = json.loads(json.dumps(manifest))
        change(told)
        return _whole(told, members)

    return build


def _held(change: Callable[[dict[str, bytes]], object]) -> Build:
    """Change the members; the manifest says what they then are."""

    def build(manifest: dict[str, Any], members: dict[str, bytes]) -> bytes:
        held = dict(members)
        change(held)
        return _whole(manifest, held)

    return build


def _bytes(change: Callable[[bytes], bytes]) -> Build:
    return lambda manifest, members: change(_whole(manifest, members))


def _flipped(name: str) -> Build:
    """One bit of a member's middle."""

    def build(manifest: dict[str, Any], members: dict[str, bytes]) -> bytes:
        whole = bytearray(_whole(manifest, members))
        data = members.get(name) or entries_of(manifest, members)[0].data
        whole[whole.index(data) + len(data) // 2] ^= 4
        return bytes(whole)

    return build


def _first(manifest: dict[str, Any], kind: str) -> dict[str, Any]:
    found: dict[str, Any] = manifest["signature"][kind][0]
    return found


def _larger_output(manifest: dict[str, Any], members: dict[str, bytes]) -> bytes:
    """One element more than the code computes, in the signature and in the sample."""
    told = json.loads(json.dumps(manifest))
    _first(told, "outputs").update(shape=[1, 6])
    return _whole(told, {**members, "sample/output-0.bin": bytes(6 * 4)})


def _twice_an_output(manifest: dict[str, Any], members: dict[str, bytes]) -> bytes:
    """With a sample for each."""
    told = json.loads(json.dumps(manifest))
    told["signature"]["outputs"] *= 2
    held = {}
    for name, data in members.items():
        held[name] = data
        if name == "sample/output-0.bin":
            held["sample/output-1.bin"] = data
    return _whole(told, held)


def _targets(**change: Any) -> Build:
    return _told(lambda told: [one.update(change) for one in told["targets"]])


def _state(dtype: str, initial: float, copies: int = 1) -> Build:
    """A model of one input and output that is its state."""
    tensor = {"shape": [4], "dtype": dtype}
    signature = {
        "inputs": [{"name": "x", **tensor}],
        "outputs": [{"name": "y", **tensor}],
        "states": [{"input": "x", "output": "y", "initial": initial}] * copies,
    }

    def build(manifest: dict[str, Any], members: dict[str, bytes]) -> bytes:
        size = 4 * {"bool": 1, "int8": 1, "uint16": 2, "int32": 4}[dtype]
        samples = {f"sample/{kind}-0.bin": bytes(size) for kind in ("input", "output")}
        return _whole({**manifest, "signature": signature}, {**members, **samples})

    return build


ARCHIVES = (
    Damage("nothing", "not_a_package", lambda *_: b""),
    Damage("one byte", "not_a_package", lambda *_: b"P"),
    Damage("not an archive", "not_a_package", lambda *_: bytes(range(256)) * 40),
    Damage("cut off by one byte", "not_a_package", _bytes(lambda data: data[:-1])),
    Damage("cut off in the middle", "not_a_package", _bytes(lambda data: data[: len(data) // 2])),
    Damage("the begin lost", "bad_archive", _bytes(lambda data: data[100:])),
    Damage("a byte after its end", "not_a_package", _bytes(lambda data: data + b"\n")),
    Damage("a comment", "not_a_package", _archived(list, comment=3)),
    Damage("an empty archive", "bad_archive", _archived(lambda _: [])),
    Damage("more members than there are", "bad_archive", _ended(here=99, count=99)),
    Damage("fewer members than there are", "bad_archive", _ended(here=1, count=1)),
    Damage("65535 members", "too_large", _ended(here=65535, count=65535)),
    Damage("counts that differ", "bad_archive", _ended(here=1)),
    Damage("several disks", "bad_archive", _ended(disk=1)),
    Damage("a directory beyond the begin", "bad_archive", _ended(size=1 << 30)),
    Damage("a directory of 4 GiB", "bad_archive", _ended(size=(1 << 32) - 1)),
    Damage("a directory that begins late", "bad_archive", _ended(offset=(1 << 32) - 1)),
    Damage("a member of 4 GiB", "too_large", _entry(1, size=(1 << 32) - 1)),
    Damage("a manifest of 4 GiB", "too_large", _entry(0, size=(1 << 32) - 1)),
    Damage("compressed", "bad_archive", _entry(1, method=8)),
    Damage("encrypted", "bad_archive", _entry(1, flags=1)),
    Damage("sizes after the data", "bad_archive", _entry(1, flags=8)),
    Damage("two sizes", "bad_archive", _entry(1, packed_size=7)),
    Damage("on another disk", "bad_archive", _entry(1, disk=1)),
    Damage("told with two names", "bad_archive", _entry(1, local={"name": "local/model.sO"})),
    Damage("told with two sizes", "bad_archive", _entry(1, local={"size": 9})),
    Damage("told with two checksums", "bad_archive", _entry(1, local={"crc": 9})),
    Damage("told with two methods", "bad_archive", _entry(1, local={"method": 8})),
    Damage("overlapping members", "bad_archive", _entry(2, offset=0)),
    Damage("a gap between members", "bad_archive", _entry(2, gap=b"hidden")),
    Damage("a gap before the first", "bad_archive", _entry(0, gap=b"hidden", offset=0)),
    Damage("one upwards", "bad_archive", _entry(1, name="../model.so")),
    Damage("one absolute", "bad_archive", _entry(1, name="/etc/passwd")),
    Damage("one in a hidden folder", "bad_archive", _entry(1, name="local/.model.so")),
    Damage("one with an empty word", "bad_archive", _entry(1, name="local//model.so")),
    Damage("a folder", "bad_archive", _entry(1, name="local/")),
    Damage("one with a backslash", "bad_archive", _entry(1, name="local\\model.so")),
    Damage("one with a null", "bad_archive", _entry(1, name="local/model\0.so")),
    Damage("one without a name", "bad_archive", _entry(1, name="")),
    Damage("one with a long name", "bad_archive", _entry(1, name="a" * 300)),
    Damage("the manifest not first", "bad_archive", _archived(lambda one: [*one[1:], one[0]])),
    Damage("the manifest twice", "bad_archive", _archived(lambda one: [*one, one[0]])),
    Damage("out of order", "bad_archive", _archived(lambda one: [*one[:2], *reversed(one[2:])])),
    Damage("one too few", "bad_archive", _archived(lambda one: one[:-1])),
    Damage("one too many", "bad_archive", _archived(lambda one: [*one, Entry("more", b"")])),
    Damage("a member twice", "bad_archive", _archived(lambda one: [*one, one[-1]])),
    Damage(
        "a signature that is large",
        "bad_archive",
        _archived(lambda one: [*one, Entry("signature.json", bytes(5000))]),
    ),
    Damage(
        "a signature in the middle",
        "bad_archive",
        _archived(lambda one: [*one[:-1], Entry("signature.json", b"{}"), one[-1]]),
    ),
    Damage("a bit of the manifest", "altered", _flipped("manifest.json")),
    Damage("a bit of the code", "altered", _flipped("local/model.so")),
    Damage("a bit of a sample", "altered", _flipped("sample/input-0.bin")),
    Damage("a bit of the labels", "altered", _flipped("labels.txt")),
    Damage(
        "another size than the manifest's",
        "altered",
        _archived(lambda one: [*one[:-1], replace(one[-1], data=one[-1].data + b"!")]),
    ),
)

MANIFESTS = (
    Damage("nothing", "bad_manifest", _text(lambda _: "")),
    Damage("not JSON", "bad_manifest", _text(lambda _: "{")),
    Damage("a list", "bad_manifest", _text(lambda _: "[]")),
    Damage("empty", "bad_manifest", _text(lambda _: "{}")),
    Damage("more after its end", "bad_manifest", _text(lambda text: text + "x")),
    Damage("a comma too many", "bad_manifest", _text(lambda text: text[:-1] + ",}")),
    Damage("nested deeply", "bad_manifest", _text(
        lambda text: text[:-1] + ', "x": ' + "[" * 40000)),
    Damage("nested and closed", "bad_manifest", _text(
        lambda text: text[:-1] + ', "x": ' + "[" * 40 + "]" * 40 + "}")),
    Damage("a key twice", "bad_manifest", _text(lambda text: text[:-1] + ', "name": "other"}')),
    Damage("a lone surrogate", "bad_manifest", _text(lambda text: text[:-1] + ', "x": "\\ud800"}')),
    Damage("a null in a text", "bad_manifest", _text(lambda text: text[:-1] + ', "x": "\\u0000"}')),
    Damage("a text not UTF-8", "bad_manifest", _text(lambda text: text[:-1] + ', "x": "\ud800"}')),
    Damage("a line feed in a text", "bad_manifest", _text(lambda text: text[:-1] + ', "x": "\n"}')),
    Damage("NaN", "bad_manifest", _text(lambda text: text[:-1] + ', "x": NaN}')),
    Damage("a broken number", "bad_manifest", _text(lambda text: text[:-1] + ', "x": 1.}')),
    Damage("a padded number", "bad_manifest", _text(lambda text: text[:-1] + ', "x": 01}')),
    Damage("a mark of its byte order", "bad_manifest", _text(lambda text: "\ufeff" + text)),
    Damage("an infinite number", "bad_manifest", _text(lambda text: text[:-1] + ', "x": 1e999}')),
    Damage("a size in quotes", "bad_manifest", _text(
        lambda text: re.sub(r'("size_bytes": )(\d+)', r'\1"\2"', text))),
    Damage("a size with a fraction", "bad_manifest", _text(
        lambda text: re.sub(r'("size_bytes": \d+)', r"\1.0", text))),
    Damage("a number for a truth", "bad_manifest", _targets(emulated=1)),
    Damage("a tolerance in quotes", "bad_manifest", _told(
        lambda told: told["targets"][0]["correctness"].update(tolerance="0.1"))),
    Damage("a zero point of 2^70", "bad_manifest", _told(
        lambda told: _first(told, "inputs").update(
            quantisation={"scale": 1.0, "zero_point": 1 << 70}))),
    Damage("5 MiB", "too_large", _text(lambda text: text + " " * (5 << 20))),
    Damage("format 2", "other_format", _told(lambda told: told.update(format_version=2))),
    Damage("format 0", "other_format", _told(lambda told: told.update(format_version=0))),
    Damage("format true", "bad_manifest", _told(lambda told: told.update(format_version=True))),
    Damage("no format", "bad_manifest", _told(lambda told: told.pop("format_version"))),
    Damage("no signature", "bad_manifest", _told(lambda told: told.pop("signature"))),
    Damage("no members", "bad_manifest", _text(lambda text: text.replace('"members"', '"m"'))),
    Damage("no name", "bad_manifest", _told(lambda told: told.pop("name"))),
    Damage("a number for a name", "bad_manifest", _told(lambda told: told.update(name=7))),
    Damage("no targets", "bad_manifest", _told(lambda told: told.pop("targets"))),
    Damage("none of the targets", "bad_manifest", _told(lambda told: told.update(targets=[]))),
    Damage("a library not there", "bad_manifest", _targets(library="local/other.so")),
    Damage("labels not there", "bad_manifest", _told(lambda told: told.update(labels="l.txt"))),
    Damage("a checksum too short", "bad_manifest", _text(
        lambda text: text.replace('"sha256": "', '"sha256": "" , "x": "', 1))),
    Damage("a size below zero", "bad_manifest", _text(
        lambda text: text.replace('"size_bytes": ', '"size_bytes": -', 1))),
    Damage("a size of 2^64", "bad_manifest", _text(
        lambda text: text.replace('"size_bytes": ', '"size_bytes": 18446744073709551616', 1))),
    Damage("a sample missing", "bad_manifest", _held(lambda held: held.pop("sample/input-0.bin"))),
    Damage("a sample too short", "bad_manifest", _held(
        lambda held: held.update({"sample/output-0.bin": b"1234"}))),
    Damage("an unknown type", "bad_manifest", _told(
        lambda told: _first(told, "inputs").update(dtype="float8"))),
    Damage("a shape below zero", "bad_manifest", _told(
        lambda told: _first(told, "inputs").update(shape=[-1, 4]))),
    Damage("a shape of 2^80", "bad_manifest", _told(
        lambda told: _first(told, "inputs").update(shape=[1 << 40, 1 << 40]))),
    Damage("17 axes", "bad_manifest", _told(
        lambda told: _first(told, "inputs").update(shape=[1] * 17))),
    Damage("an empty axis beside two of 2^62", "bad_manifest", _told(
        lambda told: _first(told, "inputs").update(shape=[0, 1 << 62, 1 << 62]))),
    Damage("17 axes of a sample that fits", "bad_manifest", _told(
        lambda told: _first(told, "inputs").update(
            shape=[1] * 16 + [math.prod(_first(told, "inputs")["shape"])]))),
    Damage("two outputs of one name", "bad_manifest", _twice_an_output),
    Damage("two states of one input", "bad_manifest", _state("int8", 0, copies=2)),
    Damage("a state that begins with half a truth", "bad_manifest", _state("bool", 0.5)),
    Damage("a state that begins with half a number", "bad_manifest", _state("int8", 0.5)),
    Damage("a state that begins below its type", "bad_manifest", _state("int8", -129)),
    Damage("a state that begins below zero", "bad_manifest", _state("uint16", -1)),
    Damage("a state that begins beyond its type", "bad_manifest", _state("uint16", 65536)),
    Damage("a state that begins beyond 32 bits", "bad_manifest", _state("int32", 1e10)),
    Damage("two inputs of one name", "bad_manifest", _told(
        lambda told: told["signature"]["inputs"].append(_first(told, "inputs")))),
    Damage("a state of nothing", "bad_manifest", _told(
        lambda told: told["signature"].update(
            states=[{"input": "x", "output": "y", "initial": 0.0}]))),
    Damage("a state that differs", "bad_manifest", _told(
        lambda told: told["signature"].update(states=[{
            "input": _first(told, "inputs")["name"],
            "output": _first(told, "outputs")["name"],
        }]))),
    Damage("1000 CPU features", "bad_manifest", _targets(required_cpu_flags=["sse2"] * 1000)),
    Damage("the virtual machine", "needs_vm", _targets(executor="relax-vm")),
    Damage("another architecture", "wrong_architecture", _targets(architecture="riscv64")),
    Damage("a missing CPU feature", "missing_cpu_feature", _targets(
        required_cpu_flags=["sse2", "warp9"])),
    Damage("other tensors than the code's", "bad_library", _larger_output),
)  # fmt: skip


def _patched(change: Callable[[bytearray], object]) -> Build:
    """Change the code; the manifest's checksum is that of the changed one."""

    def build(manifest: dict[str, Any], members: dict[str, bytes]) -> bytes:
        library = bytearray(members["local/model.so"])
        changed = change(library)
        held = {**members, "local/model.so": bytes(changed if changed is not None else library)}
        # The sample's members follow the code, as they did.
        return _whole(manifest, held)

    return build


_HEADER_BYTES, _SEGMENT_BYTES = 64, 56
_LOAD, _DYNAMIC, _TLS, _STACK = 1, 2, 7, 0x6474E551
_RELATIVE, _IRELATIVE = 8, 37


def _segments(library: bytearray, kind: int) -> list[int]:
    """Where the program headers of a kind lie."""
    (begin,) = struct.unpack_from("<Q", library, 32)
    (count,) = struct.unpack_from("<H", library, 56)
    places = [begin + index * _SEGMENT_BYTES for index in range(count)]
    return [at for at in places if struct.unpack_from("<I", library, at)[0] == kind]


def _segment(kind: int, offset: int, form: str, value: int, which: int = 0) -> Build:
    """Change a program header: 0 type, 4 flags, 8 offset, 16 address, 32 and 40 sizes."""
    return _patched(
        lambda library: struct.pack_into(
            form, library, _segments(library, kind)[which] + offset, value
        )
    )


def _dynamic(tag: int, value: int | None = None, new_tag: int | None = None) -> Build:
    """Change an entry of the dynamic section; the last, which ends it, for tag 0."""

    def change(library: bytearray) -> None:
        (at,) = struct.unpack_from("<Q", library, _segments(library, _DYNAMIC)[0] + 8)
        while struct.unpack_from("<q", library, at)[0] != tag:
            at += 16
        if new_tag is not None:
            struct.pack_into("<q", library, at, new_tag)
        if value is not None:
            struct.pack_into("<Q", library, at + 8, value)

    return _patched(change)


def _relocation(offset: int, form: str, value: int) -> Build:
    """Change the first relocation of the calls: 0 place, 8 type, 12 symbol, 16 addend."""

    def change(library: bytearray) -> None:
        struct.pack_into(form, library, _dynamic_value(library, 23) + offset, value)

    return _patched(change)


def _dynamic_value(library: bytearray, tag: int) -> int:
    (at,) = struct.unpack_from("<Q", library, _segments(library, _DYNAMIC)[0] + 8)
    while struct.unpack_from("<q", library, at)[0] != tag:
        at += 16
    found: int = struct.unpack_from("<Q", library, at + 8)[0]
    return found


def _renamed(old: bytes, new: bytes) -> Build:
    return _patched(lambda library: library.replace(old + b"\0", new + b"\0"))


def _number(name: bytes, form: str, value: int) -> Build:
    """Change what a constant that the code exports says."""

    def change(library: bytearray) -> None:
        symbols, names = _dynamic_value(library, 6), _dynamic_value(library, 5)
        for at in range(symbols, names, 24):
            begin = names + struct.unpack_from("<I", library, at)[0]
            if library[begin : library.index(b"\0", begin)] == name:
                (place,) = struct.unpack_from("<Q", library, at + 8)
                struct.pack_into(form, library, place, value)
                return
        raise LookupError(name)

    return _patched(change)


# Of x86-64, in the one segment where places in the file are places in memory.
LIBRARIES = (
    Damage("nothing", "bad_library", _patched(lambda _: b"")),
    Damage("no ELF", "bad_library", _patched(lambda library: b"MZ" + library[2:])),
    Damage("of 32 bits", "bad_library", _patched(lambda library: library.__setitem__(4, 1))),
    Damage("big-endian", "bad_library", _patched(lambda library: library.__setitem__(5, 2))),
    Damage("a program", "bad_library", _patched(lambda library: library.__setitem__(16, 2))),
    Damage("of another machine", "bad_library", _patched(
        lambda library: library.__setitem__(18, 183))),
    Damage("its header alone", "bad_library", _patched(lambda library: library[:_HEADER_BYTES])),
    Damage("half of it", "bad_library", _patched(lambda library: library[: len(library) // 2])),
    Damage("65535 segments", "bad_library", _patched(
        lambda library: struct.pack_into("<H", library, 56, 65535))),
    Damage("no segments", "bad_library", _patched(
        lambda library: struct.pack_into("<H", library, 56, 0))),
    Damage("segments beyond the file", "bad_library", _patched(
        lambda library: struct.pack_into("<Q", library, 32, 1 << 62))),
    Damage("a segment beyond the file", "bad_library", _segment(_LOAD, 32, "<Q", 1 << 40)),
    Damage("a segment larger than memory", "bad_library", _segment(_LOAD, 40, "<Q", 1 << 63)),
    Damage("a segment of half a petabyte", "no_memory", _segment(_LOAD, 40, "<Q", 1 << 49, -1)),
    Damage("a segment at the end of all", "bad_library", _segment(_LOAD, 16, "<Q", 2**64 - 4096)),
    Damage("segments on one page", "bad_library", _segment(_LOAD, 16, "<Q", 64, 1)),
    Damage("segments out of order", "bad_library", _segment(_LOAD, 8, "<Q", 0, 1)),
    Damage("code that can be written", "bad_library", _segment(_LOAD, 4, "<I", 7, 1)),
    Damage("code that cannot be read", "bad_library", _segment(_LOAD, 4, "<I", 1, 1)),
    Damage("code that cannot be run", "bad_library", _segment(_LOAD, 4, "<I", 4, 1)),
    Damage("a stack for code", "bad_library", _segment(_STACK, 4, "<I", 7)),
    Damage("data of each thread", "bad_library", _segment(_STACK, 0, "<I", _TLS)),
    Damage("no dynamic section", "bad_library", _segment(_DYNAMIC, 0, "<I", 0)),
    Damage("a dynamic section elsewhere", "bad_library", _segment(_DYNAMIC, 16, "<Q", 1 << 40)),
    Damage("no hash table", "bad_library", _dynamic(4, new_tag=0x70000000)),
    Damage("a hash table elsewhere", "bad_library", _dynamic(4, value=1 << 50)),
    Damage("symbols elsewhere", "bad_library", _dynamic(6, value=2**64 - 8)),
    Damage("symbols of another size", "bad_library", _dynamic(11, value=16)),
    Damage("names elsewhere", "bad_library", _dynamic(5, value=1 << 50)),
    Damage("names without an end", "bad_library", _dynamic(10, value=1 << 50)),
    Damage("no names", "bad_library", _dynamic(10, value=0)),
    Damage("code to run at once", "bad_library", _dynamic(20, new_tag=12)),
    Damage("an array of code to run at once", "bad_library", _dynamic(20, new_tag=27)),
    Damage("code to change", "bad_library", _dynamic(20, new_tag=22)),
    Damage("packed relocations", "bad_library", _dynamic(20, new_tag=36)),
    Damage("relocations elsewhere", "bad_library", _dynamic(23, value=1 << 50)),
    Damage("relocations without an end", "bad_library", _dynamic(2, value=1 << 50)),
    Damage("a relocation of the code", "bad_library", _relocation(0, "<Q", 64)),
    Damage("a relocation of nothing", "bad_library", _relocation(0, "<Q", 2**64 - 4)),
    Damage("a relocation that calls code", "bad_library", _relocation(8, "<I", _IRELATIVE)),
    Damage("a relocation of an unknown kind", "bad_library", _relocation(8, "<I", 77)),
    Damage("a relocation to no symbol", "bad_library", _relocation(12, "<I", 1 << 30)),
    Damage("a relocation to the empty symbol", "missing_function", _relocation(12, "<I", 0)),
    Damage("no function to run", "bad_library", _renamed(b"edgetvm_run", b"edgetvm_rum")),
    Damage("no count of kernels", "bad_library", _renamed(b"edgetvm_calls", b"edgetvm_cells")),
    Damage("no count of blocks", "bad_library", _renamed(b"edgetvm_blocks", b"edgetvm_bricks")),
    Damage("no sizes", "bad_library", _renamed(b"edgetvm_block_bytes", b"edgetvm_block_bites")),
    Damage("no names of kernels", "bad_library", _renamed(b"edgetvm_names", b"edgetvm_nemas")),
    Damage("a function of TVM that is not here", "missing_function", _renamed(
        b"__tvm_ffi_edgetvm_call", b"__TVMBackendFreeMemory")),
    Damage("2^31 blocks", "bad_library", _number(b"edgetvm_blocks", "<i", 2**31 - 1)),
    Damage("-1 blocks", "bad_library", _number(b"edgetvm_blocks", "<i", -1)),
    Damage("one block too few", "bad_library", _number(b"edgetvm_blocks", "<i", 2)),
    Damage("-1 kernels", "bad_library", _number(b"edgetvm_calls", "<i", -1)),
    Damage("2^20 kernels", "bad_library", _number(b"edgetvm_calls", "<i", 1 << 20)),
    Damage("an arena of -1 bytes", "bad_library", _number(b"edgetvm_block_bytes", "<q", -1)),
    Damage("an arena of 2^62 bytes", "no_memory", _number(b"edgetvm_block_bytes", "<q", 1 << 62)),
    Damage("an arena of 2^61 bytes", "no_memory", _number(b"edgetvm_block_bytes", "<q", 1 << 61)),
)  # fmt: skip
