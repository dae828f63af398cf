"""Measurements out of a store and in again, as lines of JSON, in memory that does not grow with
their samples."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import BinaryIO

from pydantic import TypeAdapter

from edgetvm.base.errors import ConfigurationError
from edgetvm.measure.measurement import Measurement, from_json
from edgetvm.measure.samples import Samples, Spool
from edgetvm.measure.store import Store, without_samples

_BLOCK_BYTES = 1 << 20
# Inside a text of JSON the quotes would be escaped.
_SAMPLES = re.compile(rb'"samples_ns"\s*:\s*\[')
# The end of a block may be the beginning of that, and no longer.
_KEY_BYTES = 64
_NUMBERS = TypeAdapter(Samples)


def exported(measurement: Measurement) -> Iterator[bytes]:
    """A measurement as one line of JSON with all its samples, piece by piece."""
    head, tail = without_samples(measurement).split(b'"samples_ns":[0]')
    yield head + b'"samples_ns":['
    for index, chunk in enumerate(measurement.samples_ns.chunks()):
        yield (b"," if index else b"") + ",".join(map(str, chunk.tolist())).encode()
    yield b"]" + tail + b"\n"


def imported(store: Store, measurements: Iterable[Measurement]) -> tuple[int, int]:
    """Keep measurements that were exported, or written by an edgetvm before there was a database.

    Returns:
        how many were added, and how many were there before.

    Raises:
        StorageError: see `Store`; those before it are kept.
        whatever giving the next measurement raises, likewise.
    """
    known = set(store.ids())
    added = total = 0
    for measurement in measurements:
        total += 1
        if measurement.id not in known:
            store.save(measurement)
            known.add(measurement.id)
            added += 1
    return added, total - added


def read_measurements(file: BinaryIO, where: str) -> Iterator[Measurement]:
    """The measurements of an exported file, one a line; of an old file, the one that it is.

    Args:
        file: at its beginning.
        where: what it is called in errors.

    Raises:
        ConfigurationError: what comes next is no measurement.
    """
    by_line = _is_by_line(file)
    reader = _Reader(file, by_line)
    number = found = 0
    while not reader.is_at_end:
        number += 1
        place = f"{where}, line {number}" if by_line else where
        try:
            document, samples = reader.document()
        except ValueError as error:
            raise ConfigurationError(
                "not a measurement of edgetvm", where=place, mend="was it cut off or edited?"
            ) from error
        if document.strip() or not by_line:
            found += 1
            measurement = from_json(document, place)
            yield measurement if samples is None else replace(measurement, samples_ns=samples)
    if not found:
        from_json(b"", where)


def _is_by_line(file: BinaryIO) -> bool:
    """Whether the first line is a whole document. The file is at its beginning, again after."""
    last = b""
    while block := file.read(_BLOCK_BYTES):
        line, newline, _ = block.partition(b"\n")
        last = line.rstrip()[-1:] or last
        if newline:
            break
    file.seek(0)
    return last == b"}"


class _Reader:
    """A file's documents, their samples kept apart.

    Attributes:
        is_at_end: whether nothing is left.
    """

    def __init__(self, file: BinaryIO, by_line: bool) -> None:
        self._file, self._by_line = file, by_line
        self._left = b""
        self.is_at_end = not self._more()

    def _more(self) -> bool:
        block = self._file.read(_BLOCK_BYTES)
        self._left += block
        return bool(block)

    def document(self) -> tuple[bytes, Samples | None]:
        """The next document, one number standing for its samples, and the samples.

        Raises:
            ValueError: its samples are no samples, or have no end.
        """
        head, has_samples = self._text()
        if not has_samples:
            return head, None
        samples = self._numbers()
        tail, has_more = self._text()
        if has_more:
            raise ValueError("samples twice")
        return head + (b"0]" if len(samples) else b"]") + tail, samples

    def _text(self) -> tuple[bytes, bool]:
        """What comes before samples or the document's end, and whether it was samples."""
        text = bytearray()
        while True:
            key = _SAMPLES.search(self._left)
            end = self._left.find(b"\n") if self._by_line else -1
            if key is not None and not 0 <= end < key.start():
                text += self._taken(key.end())
                return bytes(text), True
            if end >= 0:
                text += self._taken(end + 1)
                self.is_at_end = not self._left and not self._more()
                return bytes(text), False
            text += self._taken(max(0, len(self._left) - _KEY_BYTES))
            if not self._more():
                text += self._taken(len(self._left))
                self.is_at_end = True
                return bytes(text), False

    def _taken(self, count: int) -> bytes:
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def _numbers(self) -> Samples:
        spool = Spool()
        while True:
            end = self._left.find(b"]")
            part = self._taken(max(0, self._left.rfind(b",") if end < 0 else end))
            if part.strip():
                for chunk in _NUMBERS.validate_json(b"[" + part + b"]").chunks():
                    spool.add(chunk)
            self._taken(1 if part or end >= 0 else 0)
            if end >= 0:
                return spool.samples()
            if not self._more():
                raise ValueError("samples without an end")
