"""A new pseudonym key: the one before moves to `[store] old_key_file`, where it is tried second, and goes at the end.

Whenever the power fails, one of the two files holds each key that is needed; the same call again goes on.
"""

from __future__ import annotations

import os
from pathlib import Path

from edge.identity import MIN_KEY
from edge.settings import Store


class CannotRotate(Exception):
    """Why not, and what to do; no key was lost."""


def begin(store: Store, new: Path) -> None:
    """`new` holds the key that counts from the next start on. Raises CannotRotate."""
    old_file = _old_file(store)
    try:
        key, current = new.read_bytes(), store.pseudonym_key_file.read_bytes()
        if len(key) < MIN_KEY:
            raise CannotRotate(f"{new} holds less than {MIN_KEY} bytes; take the platform's new key")
        if key == current:
            raise CannotRotate(f"{new} is the key that is used already")
        if old_file.exists() and old_file.read_bytes() != current:
            raise CannotRotate(f"{old_file} holds an older key still; end that change first with --end")
        _write(old_file, current, store.pseudonym_key_file)
        _write(store.pseudonym_key_file, key, store.pseudonym_key_file)
    except OSError as error:
        raise CannotRotate(f"{error.filename or new}: {os.strerror(error.errno or 0)}") from None


def end(store: Store) -> None:
    """Wipes the old key. Raises CannotRotate."""
    old_file = _old_file(store)
    try:
        with old_file.open("r+b", buffering=0) as file:
            file.write(bytes(old_file.stat().st_size))
            os.fsync(file.fileno())
        old_file.unlink()
    except FileNotFoundError:
        raise CannotRotate(f"{old_file} is not there: no change of the key is under way") from None
    except OSError as error:
        raise CannotRotate(f"{old_file}: {os.strerror(error.errno or 0)}") from None


def _old_file(store: Store) -> Path:
    if store.old_key_file is None:
        raise CannotRotate("[store] old_key_file: is not set; name a file beside pseudonym_key_file")
    return store.old_key_file


def _write(path: Path, key: bytes, like: Path) -> None:
    """As a whole or not at all, for whoever may read `like`."""
    allowed, part = like.stat(), path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fchown(file.fileno(), allowed.st_uid, allowed.st_gid)
        os.fchmod(file.fileno(), allowed.st_mode & 0o440 | 0o400)
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
