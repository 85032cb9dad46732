"""A remote configuration as it is signed, and the one error that it can end in."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

LONGEST = 65_536
"""Bytes of a document, signature and all."""
NEWEST = 10**15 - 1
"""The highest version there can be: what a structured field of HTTP (RFC 9651) holds."""
Version = Annotated[int, Meta(ge=1, le=NEWEST)]


class Refused(Exception):
    """A document that is not to be used: why, on one line."""


class Document(Struct, frozen=True, forbid_unknown_fields=True):
    """What a signature covers: for which gateway it is, which version, and the tables, as TOML."""

    version: Version
    store: str
    gateway: str
    toml: str


def read(payload: bytes) -> Document:
    """The JSON object that was signed. Raises Refused."""
    try:
        return msgspec.json.decode(payload, type=Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"what was signed is no configuration: {error}") from None
