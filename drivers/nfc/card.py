"""What a card says of itself: its UID, and the texts written on it (NDEF on a Type 2 Tag of the NFC Forum: NTAG21x).

    FF CA 00 00 00       ─► UID
    FF B0 00 page 10     ─► 4 pages of its memory ─► message (TLV 03 … FE) ─► texts and URIs

These commands are for the reader (PC/SC part 3), which carries them out on whatever card it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import ndef
from smartcard import scard

LONGEST = 256
"""Bytes of a card's memory that are read: a code is short, and a tap waits for it."""
TEXTS = 4
"""Texts of a card that are looked at."""

_ATTEMPTS = 3
_FIRST_PAGE, _PAGE, _READ = 4, 4, 16
_GET_UID, _SUCCESS = (0xFF, 0xCA, 0x00, 0x00, 0x00), [0x90, 0x00]
_NULL, _LOCKS, _RESERVED, _MESSAGE, _PROPRIETARY = 0x00, 0x01, 0x02, 0x03, 0xFD
_TYPES = {"urn:nfc:wkt:T": ndef.TextRecord, "urn:nfc:wkt:U": ndef.UriRecord}

_Ask = Callable[[tuple[int, ...]], bytes]
"""Has the reader carry out a command; what it answers, nothing if it could not."""


@dataclass(frozen=True, slots=True)
class Card:
    """`uid`: upper-case hex; empty: it cannot be read, or is a random one, which names nobody."""

    uid: str = ""
    texts: tuple[str, ...] = ()


def read(context: int, reader: str) -> Card:
    """The card on the reader."""
    card = Card()
    for _ in range(_ATTEMPTS):
        code, handle, protocol = scard.SCardConnect(
            context, reader, scard.SCARD_SHARE_SHARED, scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        )
        if code == scard.SCARD_S_SUCCESS:
            ask = partial(transmit, handle, protocol)
            uid = ask(_GET_UID)
            card = Card("" if len(uid) == 4 and uid[0] == 0x08 else uid.hex().upper(), texts(_written(ask)))
            scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
            if len(uid) in (4, 7, 10):
                return card
    return Card(texts=card.texts)


def transmit(handle: int, protocol: int, command: tuple[int, ...]) -> bytes:
    """What the reader answers; nothing if it could not."""
    pci = scard.SCARD_PCI_T0 if protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
    code, answer = scard.SCardTransmit(handle, pci, list(command))
    return bytes(answer[:-2]) if code == scard.SCARD_S_SUCCESS and answer[-2:] == _SUCCESS else b""


def message(memory: bytes) -> bytes | None:
    """The NDEF message in a card's memory from page 4 on, empty if there is none; None: more has to be read."""
    at = 0 if memory.strip(bytes(1)) else LONGEST
    while at + 1 < len(memory):
        kind, length, start = memory[at], memory[at + 1], at + 2
        if kind == _NULL:
            at += 1
            continue
        if length == 0xFF:
            length, start = int.from_bytes(memory[at + 2 : at + 4]), at + 4
        if kind == _MESSAGE and start <= len(memory):
            end = start + length
            return memory[start:end] if end <= len(memory) else None if end <= LONGEST else b""
        if kind not in (_LOCKS, _RESERVED, _MESSAGE, _PROPRIETARY):
            return b""
        at = start + length
    return None if at < LONGEST else b""


def texts(message: bytes) -> tuple[str, ...]:
    """The texts and URIs in an NDEF message, as they are written; none if it is no such message."""
    try:
        records = list(ndef.message_decoder(message, "relax", _TYPES))
    except (ndef.DecodeError, ValueError):
        return ()
    found = (getattr(record, "iri", None) or getattr(record, "text", None) for record in records)
    return tuple(text for text in found if text)[:TEXTS]


def _written(ask: _Ask) -> bytes:
    memory = b""
    while len(memory) < LONGEST:
        pages = ask((0xFF, 0xB0, 0x00, _FIRST_PAGE + len(memory) // _PAGE, _READ))
        if len(pages) != _READ:
            break
        memory += pages
        if (found := message(memory)) is not None:
            return found
    return b""
