"""The envelope: CloudEvents 1.0, structured JSON. Rendered once, stored as bytes, sent as it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec

from edge.model import Moment, Row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
"""Milliseconds to the ends of the years that a time can be written in, beyond which a wrong clock may lie."""


class Unreadable(Exception):
    """Bytes that were stored as an event are none any more."""


class _Envelope(msgspec.Struct):
    id: str
    type: str
    time: str
    bootid: str
    clockok: bool
    data: dict[str, Any]


class _Id(msgspec.Struct):
    id: str


_decoder = msgspec.json.Decoder(_Envelope)
_ids = msgspec.json.Decoder(_Id)


def type_of(kind: str) -> str:
    """The CloudEvents `type` of an event row."""
    return f"cartwire.{kind}.v1"


def timestamp(milliseconds: int) -> str:
    """RFC 3339 in UTC with three decimals and `Z`."""
    seconds, rest = divmod(min(max(milliseconds, _FIRST), _LAST), 1000)
    return f"{_second(seconds)}.{rest:03}Z"


@lru_cache(8)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:19]


def milliseconds(timestamp: str) -> int:
    """The inverse, for any RFC 3339 time with an offset. Raises ValueError for anything else."""
    at = datetime.fromisoformat(timestamp)
    if at.tzinfo is None:
        raise ValueError(f"a time without an offset: {timestamp!r}")
    return (at - _EPOCH) // timedelta(milliseconds=1)


def render(row: Row, id: str, seq: int, journal: str, source: str) -> bytes:
    """The row as the bytes that are stored and sent. Inside rows have the same form."""
    customer = row.data.get("customer")
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": id,
            "source": source,
            "type": row.kind if row.inside else type_of(row.kind),
            **({"subject": f"customers/{customer}"} if customer else {}),
            "time": timestamp(row.moment.time),
            "datacontenttype": "application/json",
            "journal": journal,
            "seq": seq,
            "bootid": row.moment.boot,
            "clockok": row.moment.ok,
            "data": row.data,
        }
    )


def id_of(body: bytes) -> str:
    """The id of a stored event. Raises Unreadable."""
    try:
        return _ids.decode(body).id
    except msgspec.MsgspecError as error:
        raise Unreadable(str(error)) from None


def parse(body: bytes, instant: float | None) -> Row:
    """A stored row read back; `instant` is the column beside it (None: not live). Raises Unreadable."""
    try:
        e = _decoder.decode(body)
        time = milliseconds(e.time)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Unreadable(str(error)) from None
    kind = e.type.removeprefix("cartwire.").removesuffix(".v1")
    moment = Moment(instant if instant is not None else 0.0, time, e.clockok, e.bootid)
    return Row(kind, moment, e.data, e.id, instant is not None)
