"""What this machine has of remote configurations: one small file in the data folder, replaced as a whole.

Whenever the power fails, the file says either what it said before or what it was to say next: there is no third state.
"""

from __future__ import annotations

import logging
import os
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.document import Document

log = logging.getLogger(__name__)

FILE = "remote.json"


class Adopted(Struct, frozen=True):
    """A document that was verified; `key`: the fingerprint of the key that had signed it."""

    document: Document
    key: str


class Refusal(Struct, frozen=True):
    """Why one is not used; without a version if nobody knows whose it was."""

    reason: str
    version: int | None = None


class Verdict(Struct, frozen=True):
    """What was found of a document: one of the two, or neither if it was judged before."""

    usable: Adopted | None = None
    refused: Refusal | None = None


class State(Struct, frozen=True, kw_only=True):
    """`trial` runs instead of `applied` until it is kept or refused.

    `starts`: how often it has been started; `ailing`: what was wrong before it. `newest`: the highest version that was
    judged, below which nothing is looked at again.
    """

    applied: Adopted | None = None
    trial: Adopted | None = None
    starts: int = 0
    ailing: tuple[str, ...] = ()
    refused: Refusal | None = None
    newest: int = 0

    @property
    def in_force(self) -> Adopted | None:
        """What lies over the machine's own file."""
        return self.trial or self.applied

    def tried(self, adopted: Adopted, ailing: tuple[str, ...]) -> State:
        """With one on trial."""
        newest = adopted.document.version
        return msgspec.structs.replace(self, trial=adopted, starts=0, ailing=ailing, newest=newest)

    def kept(self) -> State:
        """The trial went well."""
        return msgspec.structs.replace(self, applied=self.trial, trial=None, refused=None)

    def without(self, adopted: Adopted, reason: str) -> State:
        """That one is not used, and not tried again."""
        refused = Refusal(reason, adopted.document.version)
        if adopted is self.trial:
            return msgspec.structs.replace(self, trial=None, refused=refused)
        return msgspec.structs.replace(self, applied=None, refused=refused)

    def refusing(self, refusal: Refusal) -> State:
        """It was never on trial."""
        return msgspec.structs.replace(self, refused=refusal, newest=max(self.newest, refusal.version or 0))


def fingerprint(pem: str) -> str:
    """Names a key."""
    return sha256("".join(pem.split()).encode()).hexdigest()


def load(data: Path) -> State:
    """What the file says; of one that cannot be read as what it is, nothing. Raises OSError."""
    try:
        return msgspec.json.decode((data / FILE).read_bytes(), type=State)
    except FileNotFoundError:
        return State()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        log.error("%s is damaged: the file on the machine counts alone until the platform is asked", data / FILE)
        return State()


def save(data: Path, state: State) -> None:
    """On the disk when it returns. Raises OSError; then the file says what it said before."""
    part = data / f"{FILE}.part"
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(state))
        file.flush()
        os.fsync(file.fileno())
    part.replace(data / FILE)
    folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
