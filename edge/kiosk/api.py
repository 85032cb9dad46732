"""The API's other operations: the floor, what waits to be done, products, and how the parts are."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from aiohttp import web
from msgspec import Meta

from edge import aside, catalogue, intents, staff
from edge.kiosk import words
from edge.kiosk.call import Body, Call, answer, done
from edge.kiosk.problems import Problem
from edge.kiosk.shoppers import Uuid


class _Training(Body, frozen=True):
    on: bool


class _Code(Body, frozen=True):
    text: Annotated[str, Meta(min_length=1, max_length=2048)]


class _Ids(Body, frozen=True):
    ids: Annotated[tuple[Uuid, ...], Meta(max_length=1000)]


async def get_floor(call: Call) -> web.Response:
    return answer(_floor(call))


async def close_store(call: Call) -> web.Response:
    return await call.intent("close")


async def end_session(call: Call) -> web.Response:
    read_point = call.path("read_point")
    await call.work(lambda batch: staff.end(batch, read_point, call.staff))
    return done()


async def train(call: Call) -> web.Response:
    read_point, body = call.path("read_point"), await call.body(_Training)
    if read_point not in [point["read_point"] for point in call.shop.floor()["read_points"] if not point["desk"]]:
        raise Problem("not-found")  # of the desk nothing is kept anyhow
    await call.note("train", read_point=read_point, on=body.on)
    call.shop.train(read_point, body.on)
    return answer(_floor(call))


async def read_at_desk(call: Call) -> web.Response:
    return answer(await call.shop.desk((await call.body(_Code)).text))


async def get_intents(call: Call) -> web.Response:
    pending = await call.read(call.shop.intents.pending)
    return answer({"intents": [intent.shown() for intent in pending]})


async def take_back(call: Call) -> web.Response:
    id = call.path("id")
    if not await call.work(lambda batch: intents.take_back(batch, id, call.staff)):
        raise Problem("not-found")
    return done()


async def find_products(call: Call) -> web.Response:
    q = call.query
    products = await call.read(lambda connection: catalogue.products(connection, q))
    return answer({"products": products, "age_seconds": call.shop.age()})


async def get_product(call: Call) -> web.Response:
    gtin = call.path("gtin")
    product = await call.read(lambda connection: catalogue.product(connection, gtin))
    if product is None:
        raise Problem("not-found")
    return answer({"product": product, "age_seconds": call.shop.age()})


async def get_missing(call: Call) -> web.Response:
    now = call.elapsed
    return answer({"codes": await call.read(lambda connection: catalogue.missing(connection, now))})


async def get_status(call: Call) -> web.Response:
    return answer(await call.shop.status())


async def get_history(call: Call) -> web.Response:
    return answer(await call.shop.history())


async def get_rejected(call: Call) -> web.Response:
    return answer({"rejected": [asdict(row) for row in await call.read(aside.listed)]})


async def retry_rejected(call: Call) -> web.Response:
    count = await call.shop.retry([*(await call.body(_Ids)).ids])
    await call.note("retry", count=count)
    return answer({"count": count})


async def drop_rejected(call: Call) -> web.Response:
    return await call.intent("drop", ids=[*(await call.body(_Ids)).ids])


async def pull_now(call: Call) -> web.Response:
    await call.note("pull")
    call.shop.pull()
    return done()


async def restart_driver(call: Call) -> web.Response:
    driver = call.path("driver")
    if not call.shop.restart(driver):
        raise Problem("not-found")
    await call.note("restart", driver=driver)
    return done()


async def beep(call: Call) -> web.Response:
    driver = call.path("driver")
    if not call.shop.beep(driver):
        raise Problem("not-found")
    await call.note("beep", driver=driver)
    return done()


def _floor(call: Call) -> dict[str, Any]:
    floor = call.shop.floor()
    return floor if call.person and call.person.role != "viewer" else words.for_viewers(floor)
