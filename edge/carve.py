"""Records out of a damaged SQLite file: every page is looked at by itself, so no broken tree hides what is whole.

The file format is that of https://sqlite.org/fileformat2.html: table leaf pages (13), index pages (2, 10), varints,
records, overflow chains, and the frames of a WAL up to its last commit. A page of another form, a cell that leads
nowhere and a record that cannot be read are passed over; whoever asks has to judge what the rest means.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

Record = tuple[int | None, tuple[Any, ...]]
"""The rowid (None in an index or a table without one) and the columns."""

_INDEX_INTERIOR, _INDEX_LEAF, _TABLE_LEAF = 2, 10, 13
_WIDTHS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


class _Unreadable(Exception):
    """Not a record."""


class Pages:
    """The pages of a file, `size` bytes each, with those over them that its WAL has committed."""

    def __init__(self, path: Path, size: int) -> None:
        self.size = size
        self._data: bytes | mmap.mmap = b""
        if path.stat().st_size:
            with path.open("rb") as file:
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        wal = path.with_name(f"{path.name}-wal")
        self._over = dict(_committed(wal.read_bytes(), size)) if wal.exists() else {}

    def __len__(self) -> int:
        return max([len(self._data) // self.size, *self._over])

    def __getitem__(self, number: int) -> bytes:
        """The page, numbers beginning at 1. Raises _Unreadable."""
        page = self._over.get(number) or self._data[(number - 1) * self.size : number * self.size]
        if number < 1 or len(page) != self.size:
            raise _Unreadable
        return bytes(page)

    def records(self) -> Iterator[Record]:
        """All that can be read, in the order of the pages."""
        for number in range(1, len(self) + 1):
            with suppress(_Unreadable):
                yield from self._cells(self[number], 100 if number == 1 else 0)

    def _cells(self, page: bytes, start: int) -> Iterator[Record]:
        kind, count = page[start], int.from_bytes(page[start + 3 : start + 5], "big")
        if kind not in (_INDEX_INTERIOR, _INDEX_LEAF, _TABLE_LEAF):
            return
        pointers = start + (12 if kind == _INDEX_INTERIOR else 8)
        for at in range(pointers, min(pointers + 2 * count, self.size - 1), 2):
            with suppress(_Unreadable, IndexError, struct.error, UnicodeDecodeError):
                yield self._cell(page, int.from_bytes(page[at : at + 2], "big"), kind)

    def _cell(self, page: bytes, at: int, kind: int) -> Record:
        at += 4 if kind == _INDEX_INTERIOR else 0
        length, at = _varint(page, at)
        rowid = None
        if kind == _TABLE_LEAF:
            rowid, at = _varint(page, at)
        most = self.size - 35 if kind == _TABLE_LEAF else (self.size - 12) * 64 // 255 - 23
        least = (self.size - 12) * 32 // 255 - 23
        local = length
        if length > most:
            local = least + (length - least) % (self.size - 4)
            local = local if local <= most else least
        payload = page[at : at + local]
        if length > local:
            payload += self._overflow(int.from_bytes(page[at + local : at + local + 4], "big"), length - local)
        if len(payload) != length:
            raise _Unreadable
        return rowid, tuple(_columns(payload))

    def _overflow(self, number: int, length: int) -> bytes:
        parts = []
        if length > len(self) * self.size:
            raise _Unreadable
        while length > 0:
            page = self[number]
            parts.append(page[4 : 4 + length])
            length -= self.size - 4
            number = int.from_bytes(page[:4], "big")
        return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for i in range(9):
        byte = data[at + i]
        if i == 8:
            value = value << 8 | byte
            return value - (1 << 64) if value >> 63 else value, at + 9
        value = value << 7 | byte & 0x7F
        if not byte & 0x80:
            return value, at + i + 1
    raise _Unreadable


def _columns(payload: bytes) -> Iterator[Any]:
    header, at = _varint(payload, 0)
    body = header
    while at < header:
        kind, at = _varint(payload, at)
        value, body = _value(payload, kind, body)
        yield value
    if body != len(payload) or at != header:
        raise _Unreadable


def _value(payload: bytes, kind: int, at: int) -> tuple[Any, int]:
    if kind in (0, 8, 9):
        return (None if kind == 0 else kind - 8), at
    if kind == 7:
        return struct.unpack(">d", payload[at : at + 8])[0], at + 8
    if kind in _WIDTHS:
        end = at + _WIDTHS[kind]
        return int.from_bytes(payload[at:end], "big", signed=True), end
    end = at + (kind - 12) // 2
    if kind < 12 or end > len(payload):
        raise _Unreadable
    return (payload[at:end].decode() if kind % 2 else payload[at:end]), end


def _committed(wal: bytes, size: int) -> Iterator[tuple[int, bytes]]:
    """The frames up to the last valid commit, in order: page number and content."""
    if len(wal) < 32 or int.from_bytes(wal[8:12], "big") != size:
        return
    order = ">" if int.from_bytes(wal[:4], "big") & 1 else "<"
    sums = _checksum(wal[:24], (0, 0), order)
    waiting: list[tuple[int, bytes]] = []
    for at in range(32, len(wal) - size - 23, size + 24):
        frame = wal[at : at + 24 + size]
        sums = _checksum(frame[24:], _checksum(frame[:8], sums, order), order)
        if frame[8:16] != wal[16:24] or sums != struct.unpack(">II", frame[16:24]):
            return
        waiting.append((int.from_bytes(frame[:4], "big"), frame[24:]))
        if int.from_bytes(frame[4:8], "big"):
            yield from waiting
            waiting.clear()


def _checksum(data: bytes, sums: tuple[int, int], order: str) -> tuple[int, int]:
    first, second = sums
    for a, b in struct.iter_unpack(f"{order}II", data):
        first = (first + a + second) & 0xFFFFFFFF
        second = (second + b + first) & 0xFFFFFFFF
    return first, second
