"""What commands print for people: a line for each thing, sizes and times in units one can picture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from edge.aside import Aside

_SIZES = ("B", "kB", "MB", "GB")
_TIMES = (("d", 86400), ("h", 3600), ("min", 60))


def visible(text: str) -> str:
    """Control characters, which a terminal would obey, as escapes. A name may hold any."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def event(body: bytes) -> str:
    """An event without the fields that only programs need."""
    event = msgspec.json.decode(body)
    data = {key: value for key, value in event["data"].items() if key not in ("product", "pseudonym", "session")}
    product = event["data"].get("product")
    if product:
        data["product"] = product["name"]
    kind = event["type"].removeprefix("cartwire.").removesuffix(".v1")
    fields = "  ".join(f"{key}={value}" for key, value in data.items() if value is not None)
    return visible(f"{event['seq']:>8}  {event['time']}  {kind:<20}  {fields}")


def refused(row: Aside) -> str:
    """An event that a sink refused, with what one needs to decide about it."""
    return visible(f"{row.sink:<9} {row.id}  {row.time}  {row.type:<20}  {row.gtin or '-':<14}  {row.reason}")


def status(answer: dict[str, Any]) -> str:
    """The answer of the daemon, a part a line."""
    rows = list(_status(answer))
    width = max(len(name) for name, _ in rows)
    return "\n".join(visible(f"{name:<{width}}  {text}".rstrip()) for name, text in rows)


def _status(s: dict[str, Any]) -> Iterator[tuple[str, str]]:
    takes = "takes taps and scans" if s["trouble"] is None else f"CANNOT take taps and scans: {s['trouble']}"
    yield "gateway", f"{takes} (cartwire {s['version']})"
    yield "clock", "right" if s["clock"]["ok"] else "NOT synchronised; set up time synchronisation"
    space, left = s["space"], s["space"]["hours_left"]
    room = "" if left is None else f", full in {_time(left * 3600)} at this rate if nothing is delivered"
    yield "space", f"{_size(space['used'])} of {_size(space['capacity'])}{room}"
    yield "journal", f"{s['journal']}:{s['seq']}"
    yield "readings", ", ".join(f"{count} {what}" for what, count in s["readings"].items()) + " since the start"
    yield "held", f"{s['held']} scans wait for their customer"
    if "feed" in s:
        yield "feed", "reachable" if s["feed"]["reachable"] else "NOT reachable"
    for name, sink in s["sinks"].items():
        yield name, f"{_state(sink)}{sink['reason'] and ': '}{sink['reason']}"
        yield "", ", ".join(_sink(sink))
    if "remote" in s:
        yield "remote", _remote(s["remote"])
    for driver in s["drivers"]:
        skipped = f", {driver['skipped']} lines skipped" if driver["skipped"] else ""
        reason = f": {driver['reason']}" if driver["reason"] else ""
        yield driver["driver"], f"{_state(driver)} since {driver['since']}{skipped}{reason}"


def _remote(remote: dict[str, Any]) -> str:
    version, trial, refused = (remote[key] for key in ("version", "trial", "refused"))
    text = "no configuration from afar" if version is None else f"version {version}"
    text += "" if trial is None else f", version {trial} on trial"
    return text if refused is None else f"{text}, REFUSED {refused['version'] or 'one'}: {refused['reason']}"


def _state(part: dict[str, Any]) -> str:
    """What is not well stands out."""
    state: str = part["state"]
    return state if state in ("ok", "done") else state.upper()


def _sink(sink: dict[str, Any]) -> Iterator[str]:
    oldest = sink["oldest_seconds"]
    yield f"{sink['queued']} wait" + ("" if oldest is None else f", the oldest for {_time(oldest)}")
    for key, text in (("unconfirmed", "unconfirmed"), ("rejected", "refused"), ("unknown_acks", "acks for nothing")):
        if sink.get(key):
            yield f"{sink[key]} {text}"


def _size(count: float) -> str:
    for unit in _SIZES:
        if count < 1000 or unit == _SIZES[-1]:
            break
        count /= 1000
    return f"{count:.3g} {unit}"


def _time(seconds: float) -> str:
    unit, length = next(((unit, length) for unit, length in _TIMES if seconds >= 2 * length), ("s", 1))
    return f"{seconds / length:.0f} {unit}"
