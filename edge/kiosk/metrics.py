"""`/metrics`: the status in the Prometheus text format 0.0.4, without any identifier of a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

from edge.envelope import milliseconds
from edge.health import DriverState, SinkState, Trouble, TroubleCode

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SINK_STATES, _DRIVER_STATES, _TROUBLES = get_args(SinkState), get_args(DriverState), get_args(TroubleCode)


def render(trouble: Trouble | None, status: dict[str, Any]) -> str:
    """`trouble`: what `/healthz` says; `status`: what `cartwire status --json` prints, empty at the start."""
    return "".join(f"{line}\n" for line in (*_health(trouble), *(_lines(status) if status else ())))


def _health(trouble: Trouble | None) -> Iterator[str]:
    yield from _family("up", "gauge", "Whether taps and scans are taken.", [(trouble is None, {})])
    troubles = [(trouble is not None and trouble.code == code, {"code": code}) for code in _TROUBLES]
    yield from _family("trouble", "gauge", "1 for the reason why they are not.", troubles)


def _lines(status: dict[str, Any]) -> Iterator[str]:
    info = {key: status[key] for key in ("version", "journal")}
    yield from _family("info", "gauge", "Version and journal.", [(1, info)])
    space, writer, hours = status["space"], status["writer"], status["space"]["hours_left"]
    for name, text, value in (
        ("journal_seq", "Newest row of the journal.", status["seq"]),
        ("clock_synchronised", "Whether the clock is right.", status["clock"]["ok"]),
        ("held_scans", "Scans that wait for their customer.", status["held"]),
        ("space_used_bytes", "Bytes in the data folder.", space["used"]),
        ("space_capacity_bytes", "Bytes there may be.", space["capacity"]),
        ("space_left_bytes", "Bytes until taps and scans are refused.", space["left"]),
        ("space_left_seconds", "Seconds until then at the last day's rate.", hours and hours * 3600),
        ("commit_at_work_seconds", "How long the commit at work has taken by now.", writer["at_work_seconds"]),
        ("pages_open", "Pages of staff that are open.", status["pages"]),
    ):
        yield from _family(name, "gauge", text, [] if value is None else [(value, {})])
    yield from _family("commits_total", "counter", "Commits since the start.", [(writer["commits"], {})])
    yield from _family("commit_seconds_total", "counter", "Seconds that they took.", [(writer["seconds"], {})])
    readings = [(count, {"what": what}) for what, count in status["readings"].items()]
    yield from _family("readings_total", "counter", "Readings since the start, and what was not kept.", readings)
    sinks = status["sinks"].items()
    for key, name, text in _SINK:
        yield from _family(name, "gauge", text, [(sink[key] or 0, {"sink": of}) for of, sink in sinks])
    states = [(sink["state"] == state, {"sink": of, "state": state}) for of, sink in sinks for state in _SINK_STATES]
    yield from _family("sink_state", "gauge", "1 for the state that a sink is in.", states)
    since = [(_seconds(sink), {"sink": of}) for of, sink in sinks]
    yield from _family("sink_state_since_timestamp_seconds", "gauge", _SINCE, since)
    yield from _platform(status)
    yield from _remote(status)
    unknown = [(sink["unknown_acks"], {"sink": of}) for of, sink in sinks if "unknown_acks" in sink]
    yield from _family("unknown_acks_total", "counter", "Acks of apps for ids that wait for none.", unknown)
    skipped = [(driver["skipped"], {"driver": driver["driver"]}) for driver in status["drivers"]]
    yield from _family("driver_skipped_total", "counter", "What a driver got that was no reading.", skipped)
    drivers = [
        (driver["state"] == state, {"driver": driver["driver"], "state": state})
        for driver in status["drivers"]
        for state in _DRIVER_STATES
    ]
    yield from _family("driver_state", "gauge", "1 for the state that a driver is in.", drivers)
    since = [(_seconds(driver), {"driver": driver["driver"]}) for driver in status["drivers"]]
    yield from _family("driver_state_since_timestamp_seconds", "gauge", _SINCE, since)


def _platform(status: dict[str, Any]) -> Iterator[str]:
    if "line" in status:
        line = status["line"]
        yield from _family("line_up", "gauge", "Whether the platform is reached.", [(line["up"] is True, {})])
        yield from _family("line_since_timestamp_seconds", "gauge", _SINCE, [(_seconds(line), {})])
    if "feed" in status:
        reachable = status["feed"]["reachable"] is True
        yield from _family("feed_reachable", "gauge", "Whether the last pull came through.", [(reachable, {})])
    if (age := status.get("feed", {}).get("age_seconds")) is not None:
        yield from _family("feed_age_seconds", "gauge", "Seconds since the feed had nothing more.", [(age, {})])


def _remote(status: dict[str, Any]) -> Iterator[str]:
    if "remote" in status:
        remote = status["remote"]
        for name, text, value in (
            ("version", "Version that was kept; 0: none.", remote["version"] or 0),
            ("trial", "Version on trial; 0: none.", remote["trial"] or 0),
            ("refused", "Whether the last one that came is refused.", remote["refused"] is not None),
        ):
            yield from _family(f"remote_configuration_{name}", "gauge", text, [(value, {})])


_SINCE = "When it came into it, in seconds since 1970."
_SINK = (
    ("queued", "sink_queued_events", "Events that a sink does not have yet."),
    ("oldest_seconds", "sink_oldest_seconds", "Age of the oldest of these."),
    ("unconfirmed", "sink_unconfirmed_items", "Items that no app has confirmed."),
    ("rejected", "sink_rejected_events", "Events that were refused and put aside."),
)


def _seconds(part: dict[str, Any]) -> float:
    return milliseconds(part["since"]) / 1000


def _family(name: str, kind: str, text: str, samples: list[tuple[float, dict[str, str]]]) -> Iterator[str]:
    yield f"# HELP cartwire_{name} {text}"
    yield f"# TYPE cartwire_{name} {kind}"
    for value, labels in samples:
        inside = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
        yield f"cartwire_{name}{{{inside}}} {float(value)}" if inside else f"cartwire_{name} {float(value)}"


def _escaped(label: str) -> str:
    return label.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
