"""What must stand nowhere, in whatever form it might: text in either case, bytes, base64, hashed without a key."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HASHES = (hashlib.md5, hashlib.sha1, hashlib.sha256)


def forms(value: str | bytes) -> set[bytes]:
    """Return what to look for; texts in upper case."""
    raw = {value if isinstance(value, bytes) else value.encode()}
    text = value.decode(errors="ignore") if isinstance(value, bytes) else value
    raw |= {text.upper().encode(), text.lower().encode()}
    bare = text.replace("-", "").replace(":", "")
    if len(bare) % 2 == 0 and all(digit in "0123456789abcdefABCDEF" for digit in bare):
        data = bytes.fromhex(bare)
        raw |= {data, bare.encode(), data.hex(":").encode(), data.hex(" ").encode(), data[::-1].hex().encode()}
    found = set(raw)
    for each in raw:
        found.add(base64.b64encode(each).rstrip(b"="))
        found.add(each.hex().encode())
        found |= {hashed(each).hexdigest().encode() for hashed in HASHES}
        found |= {hashed(each).digest() for hashed in HASHES}
    return {each.upper() for each in found if len(each) > 3} | found


def words_in(text: str, *words: str) -> list[str]:
    """Return those of the words that stand in the text, but for those in a UUID, which may well have a `c-1` in it."""
    return [word for word in words if re.search(rf"(?<![0-9a-f-]){re.escape(word)}(?![0-9a-f-])", text)]


def contents(folder: Path) -> dict[Path, bytes]:
    """Return what the files of a folder hold in all its depth; one that goes meanwhile is left out."""
    found = {}
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names):
            with suppress(FileNotFoundError):
                if path.is_file():
                    found[path] = path.read_bytes()
    return found


def found_in(folder: Path, *words: str) -> set[str]:
    """Return those of the words that stand in its files: in rows, free pages, the WAL, anywhere."""
    files = contents(folder).values()
    return {word for word in words if any(word.encode() in data for data in files)}


@dataclass
class Needles:
    """By what they are."""

    kinds: dict[str, list[str | bytes]]
    searched: list[str] = field(default_factory=list)
    """What was looked through and held something."""

    def __post_init__(self) -> None:
        """Work the forms out once."""
        self._forms = [(kind, form) for kind, values in self.kinds.items() for v in values for form in forms(v)]

    def in_bytes(self, where: str, data: bytes) -> Iterator[str]:
        """Say what stands there."""
        if data:
            self.searched.append(where)
        upper = data.upper()
        for kind, form in self._forms:
            if form in data or form in upper:
                yield f"{kind} in {where} as {form[:80]!r}"

    def in_files(self, *roots: Path) -> Iterator[str]:
        """Say what stands in these files and in all files below these folders."""
        for root in roots:
            for path in sorted([root] if root.is_file() else root.rglob("*")):
                if path.is_file():
                    yield from self.in_bytes(str(path), path.read_bytes())

    def in_texts(self, where: str, texts: Iterable[str | bytes]) -> Iterator[str]:
        """Say what stands in any of them."""
        for text in texts:
            yield from self.in_bytes(where, text if isinstance(text, bytes) else text.encode())
