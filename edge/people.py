"""Who may use the staff's page: names, roles, and secrets as argon2id hashes.

A secret is a PIN of 4 digits or more, or a password of 8 characters or more. There is always a manager once there was
one. Functions that take a batch refuse with a code of the page's problems.
"""

from __future__ import annotations

import secrets
import sqlite3
import unicodedata
from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING, Literal, get_args

from edge import staff
from edge.batch import Batch

if TYPE_CHECKING:
    from argon2 import PasswordHasher

Role = Literal["viewer", "clerk", "manager"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do what those before it may."""

CHANGED, DISMISSED, NEW_SECRET = "person", "dismiss", "secret"
"""Actions in `inside.staff` whose `name` is the person that they concern."""

MACHINE = "machine"
"""Who did it, where it was a command on the machine."""

_PIN, _PASSWORD, _LONGEST = 4, 8, 200
_DECOY = "$argon2id$v=19$m=19456,t=2,p=1$6akIcE8N/WIfujVIxxVa8w$jZCbk1wGRQRTQJDsvBmfA8OUvti15pEVz7aBE69drrI"


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    role: Role


def may(role: Role | None, least: Role) -> bool:
    """Whether somebody with `role` (None: nobody) may do what needs `least`."""
    return role is not None and ROLES.index(role) >= ROLES.index(least)


def listed(connection: sqlite3.Connection) -> list[Person]:
    return [Person(*row) for row in connection.execute("SELECT name, role FROM person ORDER BY name")]


def found(connection: sqlite3.Connection, name: str) -> tuple[Person, str] | None:
    """The person and the hash of the secret."""
    row = connection.execute("SELECT name, role, secret FROM person WHERE name = ?", (name,)).fetchone()
    return (Person(row[0], row[1]), row[2]) if row else None


def hashed(secret: str) -> str:
    """Its hash, which takes 19 MiB and a while. Raises Refused: it is too short."""
    digits = secret.isascii() and secret.isdecimal()
    if not (_PIN if digits else _PASSWORD) <= len(secret) <= _LONGEST:
        raise staff.Refused("weak-secret")
    return _hasher().hash(_composed(secret))


def verified(hash: str | None, secret: str) -> bool:
    """Whether the hash is the secret's; without one it takes as long to say no."""
    from argon2.exceptions import InvalidHashError, VerificationError

    try:
        return _hasher().verify(hash or _DECOY, _composed(secret)) and hash is not None
    except (VerificationError, InvalidHashError):
        return False


def first(batch: Batch, name: str, hash: str) -> None:
    """The first person of all, a manager. Refused if there is anybody."""
    if listed(batch.connection):
        raise staff.Refused("set-up-already")
    batch.connection.execute("INSERT INTO person VALUES (?, 'manager', ?)", (name, hash))
    staff.note(batch, name, CHANGED, name=name, role="manager")


def put(batch: Batch, name: str, role: Role, hash: str | None, by: str) -> bool:
    """Adds the person, or changes the role and, with a hash, the secret; whether it is a new one."""
    there = found(batch.connection, name)
    if not there and hash is None:
        raise staff.Refused("weak-secret")
    if role != "manager":
        _not_last(batch.connection, name)
    secret = hash or (there[1] if there else "")
    batch.connection.execute("INSERT OR REPLACE INTO person VALUES (?, ?, ?)", (name, role, secret))
    staff.note(batch, by, CHANGED, name=name, role=role)
    return there is None


def renew(batch: Batch, name: str, hash: str) -> None:
    """The person's own new secret."""
    batch.connection.execute("UPDATE person SET secret = ? WHERE name = ?", (hash, name))
    staff.note(batch, name, NEW_SECRET, name=name)


def dismiss_all(batch: Batch) -> int:
    """Nobody may log in any more, by the word of whoever has the machine; how many could."""
    gone = listed(batch.connection)
    batch.connection.execute("DELETE FROM person")
    for person in gone:
        staff.note(batch, MACHINE, DISMISSED, name=person.name)
    return len(gone)


def _not_last(connection: sqlite3.Connection, name: str) -> None:
    if [person.name for person in listed(connection) if person.role == "manager"] == [name]:
        raise staff.Refused("last-manager")


class SetupCode:
    """With it the first person is made. 8 digits in two groups; worth nothing once it was used."""

    def __init__(self) -> None:
        self._code: str | None = None

    def make(self) -> str:
        digits = f"{secrets.randbelow(10**8):08}"
        self._code = digits
        return f"{digits[:4]} {digits[4:]}"

    def fits(self, text: str) -> bool:
        """Whether that is it; what is no digit is passed over."""
        typed = "".join(filter(str.isdecimal, text))
        return self._code is not None and compare_digest(typed.encode(), self._code.encode())

    def used(self) -> None:
        self._code = None


def _composed(secret: str) -> str:
    """Keyboards differ in how they put Hangul and accents together."""
    return unicodedata.normalize("NFC", secret)


def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
