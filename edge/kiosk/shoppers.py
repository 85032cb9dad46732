"""The API's operations on shoppers, their items and bands, and on scans that nobody claimed."""

from __future__ import annotations

import sqlite3
from http import HTTPStatus
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta

from edge import catalogue, journal, staff, visits
from edge.envelope import timestamp
from edge.kiosk.call import Body, Call, answer, done
from edge.kiosk.problems import Problem

Uuid = Annotated[str, Meta(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z")]


class _Item(Body, frozen=True):
    id: Uuid


class _Gift(Body, frozen=True):
    id: Uuid
    customer: Annotated[str, Meta(min_length=1, max_length=200)]


class _Band(Body, frozen=True):
    pseudonym: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


async def find_shoppers(call: Call) -> web.Response:
    there, q = _there(call), call.query
    return answer({"shoppers": await call.read(lambda connection: catalogue.shoppers(connection, q, there))})


async def get_shopper(call: Call) -> web.Response:
    return answer(await _shopper(call, call.path("id")))


async def erase_shopper(call: Call) -> web.Response:
    return await call.intent("erase", customer=call.path("id"))


async def export_shopper(call: Call) -> web.Response:
    customer, now = call.path("id"), timestamp(call.shop.intake.clock.now().time)
    exported = await call.read(lambda connection: visits.export(connection, customer, now))
    if exported is None:
        raise Problem("not-found")
    await call.note("export", customer=customer)
    response = answer(exported)
    response.headers["Content-Disposition"] = 'attachment; filename="shopper.json"'
    return response


async def bind_band(call: Call) -> web.Response:
    customer, band = call.path("id"), await call.body(_Band)
    bound = call.shop.attribution
    await call.work(lambda batch: staff.bind(batch, bound, customer, band.pseudonym, call.staff))
    return answer(await _shopper(call, customer), HTTPStatus.CREATED)


async def unbind_band(call: Call) -> web.Response:
    return await call.intent("unbind", customer=call.path("id"), pseudonym=call.path("pseudonym"))


async def remove_item(call: Call) -> web.Response:
    item = await call.body(_Item)
    return await call.intent("remove", seq=int(call.path("seq")), id=item.id)


async def push_again(call: Call) -> web.Response:
    seq, item = int(call.path("seq")), await call.body(_Item)
    await call.work(lambda batch: staff.push_again(batch, seq, item.id, call.staff))
    return done()


async def get_unclaimed(call: Call) -> web.Response:
    now, language = call.elapsed, call.shop.store.language
    return answer({"scans": await call.read(lambda connection: visits.unclaimed(connection, now, language))})


async def give_scan(call: Call) -> web.Response:
    seq, gift = int(call.path("seq")), await call.body(_Gift)
    await call.work(lambda batch: staff.give(batch, seq, gift.id, gift.customer, call.staff))
    return done()


async def _shopper(call: Call, id: str) -> dict[str, Any]:
    """What the store knows, and where the shopper is now. Raises Problem."""
    now, intake = call.elapsed, call.shop.intake

    def look(connection: sqlite3.Connection) -> dict[str, Any] | None:
        cursor = None
        if "cart" in intake.journal.sinks:
            kept = intake.cursor("cart")
            cursor = journal.cursor_of(connection, "cart") if kept is None else kept
        return visits.shopper(connection, id, cursor, now)

    found = await call.read(look)
    if found is None:
        raise Problem("not-found")
    points = _points(call)
    sessions = [
        {"read_point": point["read_point"], "left_seconds": point["session"]["left_seconds"]}
        for point in points
        if point["session"] and point["session"]["customer"] == id
    ]
    zones = (point["read_point"] for point in points if id in [each["customer"] for each in point["here"]])
    return {**found, "sessions": sessions, "presence": next(zones, None)}


def _there(call: Call) -> dict[str, list[str]]:
    """Where those are who hold a read point or are in a zone, by their ids."""
    there: dict[str, list[str]] = {}
    for point in _points(call):
        here = [*point["here"], *([point["session"]] if point["session"] else [])]
        for id in {each["customer"] for each in here if each["customer"]}:
            there.setdefault(id, []).append(point["read_point"])
    return there


def _points(call: Call) -> list[dict[str, Any]]:
    """The read points of the floor; a session of a rehearsal is none."""
    points = call.shop.floor()["read_points"]
    return [point if point["training"] is None else {**point, "session": None} for point in points]
