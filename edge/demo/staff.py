"""The staff's first set-up, as a technician does it: at their page, with the code that the gateway has printed."""

from __future__ import annotations

import secrets

from aiohttp import ClientError, ClientSession, ClientTimeout, CookieJar

from edge.demo.store import Store, StoreError

NAME = "mina"


async def set_up(store: Store) -> str:
    """The PIN with which `NAME`, a manager, logs in from now on. Raises StoreError."""
    pin = f"{secrets.randbelow(10**6):06}"
    person = {"code": store.setup_code(), "name": NAME, "secret": pin}
    url, jar = f"http://127.0.0.1:{store.page_port}", CookieJar(unsafe=True)  # a jar that keeps those of an address
    try:
        async with ClientSession(url, cookie_jar=jar, timeout=ClientTimeout(30), raise_for_status=True) as session:
            async with session.get("/api/session") as answer:
                csrf = {"X-CSRF-Token": (await answer.json())["csrf"]}
            async with session.post("/api/setup", json=person, headers=csrf):
                return pin
    except (ClientError, TimeoutError) as error:
        raise StoreError(f"the staff's page could not be set up: {error or 'it does not answer'}") from None
