"""People of the staff's page: the first of them, their secrets, wrong tries."""

from __future__ import annotations

import asyncio
import unicodedata
from typing import TYPE_CHECKING

import pytest

from edge import people
from edge.staff import Refused
from edge.tries import STRANGERS, Tries
from kiosk import SECRET, Kiosk, kiosk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from kiosk import Browser


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Kiosk]:
    async with kiosk(tmp_path) as served:
        yield served


async def set_up(browser: Browser, code: str, name: str = "boss") -> tuple[int, str]:
    """Try to set the page up."""
    await browser.session()
    answer = await browser.ask("POST", "/api/setup", {"code": code, "name": name, "secret": SECRET})
    return answer.status, "" if answer.status == 201 else answer.code


async def test_the_first_manager_comes_in_with_the_code_and_no_second(page: Kiosk) -> None:
    browser, other = await page.browser(), await page.browser()
    assert (await browser.session())["setup"] is True
    assert await set_up(browser, "0000 0000") == (403, "wrong-code")
    assert await set_up(browser, page.code.replace(" ", "")) == (201, "")
    said = await browser.session()
    assert (said["setup"], said["person"], said["people"]) == (False, {"name": "boss", "role": "manager"}, ["boss"])
    assert await set_up(other, page.code, "other") == (403, "wrong-code")
    assert page.rows("inside.staff") == [{"staff": "boss", "action": "person", "name": "boss", "role": "manager"}]


async def test_a_setup_code_cannot_be_guessed(page: Kiosk) -> None:
    browser = await page.browser()
    for _ in range(5):
        assert await set_up(browser, "1234") == (403, "wrong-code")
    assert await set_up(browser, page.code) == (429, "wait")
    page.now += 30
    assert await set_up(browser, page.code) == (201, "")


async def test_five_wrong_tries_then_waiting(page: Kiosk) -> None:
    await page.manager()
    for name in ("boss", "nobody"):
        browser = await page.browser()
        for _ in range(5):
            answer = await browser.log_in(name, "0000")
            assert (answer.status, answer.code) == (401, "wrong-secret")
        assert answer.json["wait_seconds"] == 30
        answer = await browser.log_in(name)
        assert (answer.status, answer.code, answer.json["wait_seconds"]) == (429, "wait", 30)
        assert answer.headers["Retry-After"] == "30"
        page.now += 30
        assert (await browser.log_in(name, "0000")).json["wait_seconds"] == 60
        page.now += 59.5
        assert (await browser.log_in(name)).headers["Retry-After"] == "1"
        page.now += 0.5
    assert (await browser.log_in("boss")).status == 200


def test_waiting_doubles_up_to_a_quarter_of_an_hour() -> None:
    tries, now, waits = Tries(), 0.0, []
    for _ in range(12):
        now += tries.wait("kim", now)
        tries.wrong("kim", now)
        waits.append(tries.wait("kim", now))
    assert waits == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900]
    tries.right("kim")
    assert tries.wait("kim", now) == 0


def test_names_of_nobody_push_no_persons_count_out() -> None:
    tries = Tries()
    for _ in range(5):
        tries.wrong("kim", 0)
        tries.wrong("stranger", 0, known=False)
    for number in range(STRANGERS):
        tries.wrong(f"s-{number}", 0, known=False)
    assert tries.wait("kim", 0) == 30
    assert tries.wait("stranger", 0) == 0


async def test_many_at_once_have_no_more_tries_than_one(page: Kiosk) -> None:
    await page.manager()
    browsers = [await page.browser() for _ in range(12)]
    answers = await asyncio.gather(*(browser.log_in("boss", "0000") for browser in browsers))
    assert sorted(answer.status for answer in answers) == [401] * 5 + [429] * 7


@pytest.mark.parametrize("secret", ["123", "abcdefg", "12a4", "", "한글일곱자리"])
def test_what_is_no_secret(secret: str) -> None:
    with pytest.raises(Refused, match="weak-secret"):
        people.hashed(secret)


@pytest.mark.parametrize("secret", ["1234", "12345678", "long enough", "한글도 여덟 자면"])
def test_what_is_a_secret(secret: str) -> None:
    hash = people.hashed(secret)
    assert hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert secret not in hash
    assert people.verified(hash, unicodedata.normalize("NFD", secret))
    assert not people.verified(hash, secret + "x")
    assert not people.verified(None, secret)


async def test_people_come_and_change_and_their_sessions_end(page: Kiosk) -> None:
    boss, kim = await page.manager(), await page.browser()
    weak = await boss.ask("PUT", "/api/people/kim", {"role": "clerk", "secret": "abcd"})
    assert (weak.status, weak.code) == (400, "weak-secret")
    assert (await boss.ask("PUT", "/api/people/kim", {"role": "clerk"})).code == "weak-secret"
    assert (await boss.ask("PUT", "/api/people/kim", {"role": "clerk", "secret": "4712"})).status == 201
    assert (await kim.log_in("kim", "4712")).json["person"] == {"name": "kim", "role": "clerk"}
    assert (await kim.ask("GET", "/api/people")).code == "forbidden"
    assert (await boss.ask("PUT", "/api/people/kim", {"role": "manager"})).status == 200
    assert (await kim.ask("GET", "/api/floor")).code == "not-logged-in"
    assert (await kim.log_in("kim", "4712")).json["person"]["role"] == "manager"
    assert (await kim.ask("GET", "/api/people")).json["people"] == [
        {"name": "boss", "role": "manager"},
        {"name": "kim", "role": "manager"},
    ]


async def test_somebody_is_always_a_manager(page: Kiosk) -> None:
    boss = await page.manager()
    demoted = await boss.ask("PUT", "/api/people/boss", {"role": "clerk"})
    assert (demoted.status, demoted.code) == (409, "last-manager")
    assert (await boss.ask("PUT", "/api/people/kim", {"role": "manager", "secret": SECRET})).status == 201
    assert (await boss.ask("PUT", "/api/people/boss", {"role": "clerk"})).status == 200


async def test_ones_own_new_secret_ends_ones_other_sessions(page: Kiosk) -> None:
    here, there = await page.manager(), await page.browser()
    assert (await there.log_in("boss")).status == 200
    wrong = await here.ask("PUT", "/api/session/secret", {"secret": "0000", "new": "new secret"})
    assert (wrong.status, wrong.code) == (401, "wrong-secret")
    assert (await here.ask("PUT", "/api/session/secret", {"secret": SECRET, "new": "new secret"})).status == 204
    assert (await here.ask("GET", "/api/floor")).status == 200
    assert (await there.ask("GET", "/api/floor")).code == "not-logged-in"
    assert (await there.log_in("boss")).code == "wrong-secret"
    assert (await there.log_in("boss", "new secret")).status == 200


async def test_who_logs_out_is_out(page: Kiosk) -> None:
    boss = await page.manager()
    cookie = next(iter(boss.client.cookie_jar)).value
    assert (await boss.ask("DELETE", "/api/session")).status == 204
    thief = await page.browser()
    assert (await thief.ask("GET", "/api/floor", Cookie=f"cartwire={cookie}")).code == "not-logged-in"


async def test_no_secret_in_the_database(page: Kiosk) -> None:
    boss = await page.manager()
    await boss.ask("PUT", "/api/people/kim", {"role": "clerk", "secret": "a very long secret"})
    folder = page.database.path.parent
    assert all(b"a very long secret" not in path.read_bytes() for path in folder.iterdir())
