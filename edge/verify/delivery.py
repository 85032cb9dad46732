"""Batches sent to `POST /v1/events`, and what became of each of their events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edge.verify.platform import Answer, shown
from edge.verify.sample import Json, encode
from edge.verify.verdict import Wrong
from edge.verify.visit import Visit

BATCH = "application/cloudevents-batch+json"
PATH = "/v1/events"
RESULTS = '200 {"results":[{"id":…,"status":…}]} with a result for each event'
NEW, KNOWN = ("accepted",), ("accepted", "duplicate")


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one event."""

    event: Json
    status: str
    problem: Any

    def __str__(self) -> str:
        about = f"{self.event.get('type', 'the one without type')} was {shown(self.status)}"
        return f"{about}: {shown(self.problem)}" if self.problem is not None else about


async def send(visit: Visit, events: Sequence[Json], *, zipped: bool = False) -> Answer:
    """One request with all of them."""
    return await visit.platform.post(PATH, encode(list(events)), BATCH, zipped=zipped)


async def deliver(
    visit: Visit,
    events: Sequence[Json],
    wants: str = "accepted",
    statuses: Sequence[str] = NEW,
    *,
    zipped: bool = False,
) -> list[Outcome]:
    """Sends them in as many requests as the limits ask for. Raises Wrong unless each has one of the statuses."""
    outcomes: list[Outcome] = []
    for batch in fitting(visit, events):
        outcomes += settled(await send(visit, batch, zipped=zipped), batch, wants)
    for outcome in outcomes:
        if outcome.status not in statuses:
            raise Wrong(wants, str(outcome) + _advice(outcome))
    return outcomes


def settled(answer: Answer, events: Sequence[Json], wants: str) -> list[Outcome]:
    """The outcome of each event, in the order of the events. Raises Wrong if the answer is not as agreed."""
    if answer.status != 200:
        raise Wrong(wants, str(answer))
    body = answer.json(RESULTS)
    results = body.get("results") if isinstance(body, dict) else None
    if not isinstance(results, list) or not all(isinstance(result, dict) for result in results):
        raise Wrong(RESULTS, str(answer))
    by_id: dict[Any, Json] = {}
    for result in results:
        name, status = result.get("id"), result.get("status")
        if not isinstance(name, str) or not isinstance(status, str):
            raise Wrong("an id and a status, both text, in each result", f"{answer.asked} answered {shown(result)}")
        if by_id.setdefault(name, result).get("status") != status:
            raise Wrong(
                "one result for each event",
                f"{answer.asked}: two for {shown(name)}, {by_id[name].get('status')} and {status}",
            )
    for number, event in enumerate(events, 1):
        if event["id"] not in by_id:
            which = f"event {number} of {len(events)} ({event.get('type', 'without type')})"
            raise Wrong("a result for each event", f"{which} has none, so it is sent again for ever")
    return [Outcome(event, by_id[event["id"]]["status"], by_id[event["id"]].get("problem")) for event in events]


def fitting(visit: Visit, events: Sequence[Json]) -> Iterator[list[Json]]:
    """Batches within the limits; a batch has one event at least."""
    batch: list[Json] = []
    for event in events:
        if batch and (len(batch) == visit.limits.events or len(encode([*batch, event])) > visit.limits.size):
            yield batch
            batch = []
        batch.append(event)
    if batch:
        yield batch


def _advice(outcome: Outcome) -> str:
    if outcome.status == "rejected":
        return "; a gateway puts it aside and asks for staff"
    if outcome.status in KNOWN:
        return "; it was never sent before, so it is lost"
    return "; a status is accepted, duplicate or rejected"
