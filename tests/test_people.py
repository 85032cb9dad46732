"""People of the staff's page: the first of them, their secrets, wrong tries."""

from __future__ import annotations

import unicodedata
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from edge import people
from edge.staff import Refused
from edge.tries import STRANGERS, Tries
from kiosk import SECRET, Kiosk, kiosk

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from peers.staff import Staff


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Kiosk]:
    with kiosk(tmp_path) as served:
        yield served


def set_up(hand: Staff, code: str, name: str = "boss") -> tuple[int, str]:
    """Try to set the page up."""
    hand.does("getSession")
    answer = hand.ask("setUp", {"code": code, "name": name, "secret": SECRET})
    return answer.status, "" if answer.status == 201 else answer.code


def test_the_first_manager_comes_in_with_the_code_and_no_second(page: Kiosk) -> None:
    hand, other = page.stranger(), page.stranger()
    assert hand.does("getSession")["setup"] is True
    assert set_up(hand, "0000 0000") == (403, "wrong-code")
    assert set_up(hand, page.code.replace(" ", "")) == (201, "")
    said = hand.does("getSession")
    assert (said["setup"], said["person"], said["people"]) == (False, {"name": "boss", "role": "manager"}, ["boss"])
    assert set_up(other, page.code, "other") == (403, "wrong-code")
    assert page.rows("inside.staff") == [{"staff": "boss", "action": "person", "name": "boss", "role": "manager"}]


def test_a_setup_code_cannot_be_guessed(page: Kiosk) -> None:
    hand = page.stranger()
    for _ in range(5):
        assert set_up(hand, "1234") == (403, "wrong-code")
    assert set_up(hand, page.code) == (429, "wait")
    page.now += 30
    assert set_up(hand, page.code) == (201, "")


def test_five_wrong_tries_then_waiting(page: Kiosk) -> None:
    page.manager()
    for name in ("boss", "nobody"):
        hand = page.stranger()
        for _ in range(5):
            answer = hand.try_in(name, "0000")
            assert (answer.status, answer.code) == (401, "wrong-secret")
        assert answer.json["wait_seconds"] == 30
        answer = hand.try_in(name, SECRET)
        assert (answer.status, answer.code, answer.json["wait_seconds"]) == (429, "wait", 30)
        assert answer.headers["retry-after"] == "30"
        page.now += 30
        assert hand.try_in(name, "0000").json["wait_seconds"] == 60
        page.now += 59.5
        assert hand.try_in(name, SECRET).headers["retry-after"] == "1"
        page.now += 0.5
    assert hand.try_in("boss", SECRET).status == 200


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


def test_many_at_once_have_no_more_tries_than_one(page: Kiosk) -> None:
    page.manager()
    hands = [page.stranger() for _ in range(12)]
    with ThreadPoolExecutor(len(hands)) as at_once:
        answers = list(at_once.map(lambda hand: hand.try_in("boss", "0000"), hands))
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


def test_people_come_and_change_and_their_sessions_end(page: Kiosk) -> None:
    boss, kim = page.manager(), page.stranger()
    weak = boss.ask("putPerson", {"role": "clerk", "secret": "abcd"}, name="kim")
    assert (weak.status, weak.code) == (400, "weak-secret")
    assert boss.ask("putPerson", {"role": "clerk"}, name="kim").code == "weak-secret"
    assert boss.ask("putPerson", {"role": "clerk", "secret": "4712"}, name="kim").status == 201
    assert kim.try_in("kim", "4712").json["person"] == {"name": "kim", "role": "clerk"}
    assert kim.ask("getPeople").code == "forbidden"
    assert boss.ask("putPerson", {"role": "manager"}, name="kim").status == 200
    assert kim.ask("getFloor").code == "not-logged-in"
    assert kim.try_in("kim", "4712").json["person"]["role"] == "manager"
    assert kim.ask("getPeople").json["people"] == [
        {"name": "boss", "role": "manager"},
        {"name": "kim", "role": "manager"},
    ]


def test_somebody_is_always_a_manager(page: Kiosk) -> None:
    boss = page.manager()
    demoted = boss.ask("putPerson", {"role": "clerk"}, name="boss")
    assert (demoted.status, demoted.code) == (409, "last-manager")
    assert boss.ask("putPerson", {"role": "manager", "secret": SECRET}, name="kim").status == 201
    assert boss.ask("putPerson", {"role": "clerk"}, name="boss").status == 200


def test_ones_own_new_secret_ends_ones_other_sessions(page: Kiosk) -> None:
    here, there = page.manager(), page.stranger()
    assert there.try_in("boss", SECRET).status == 200
    wrong = here.ask("changeSecret", {"secret": "0000", "new": "new secret"})
    assert (wrong.status, wrong.code) == (401, "wrong-secret")
    assert here.ask("changeSecret", {"secret": SECRET, "new": "new secret"}).status == 204
    assert here.ask("getFloor").status == 200
    assert there.ask("getFloor").code == "not-logged-in"
    assert there.try_in("boss", SECRET).code == "wrong-secret"
    assert there.try_in("boss", "new secret").status == 200


def test_who_logs_out_is_out(page: Kiosk) -> None:
    boss = page.manager()
    cookie = boss.cookies["cartwire"]
    assert boss.ask("logOut").status == 204
    thief = page.stranger()
    thief.cookies["cartwire"] = cookie
    assert thief.ask("getFloor").code == "not-logged-in"


def test_no_secret_in_the_database(page: Kiosk) -> None:
    boss = page.manager()
    boss.ask("putPerson", {"role": "clerk", "secret": "a very long secret"}, name="kim")
    folder = page.database.path.parent
    assert all(b"a very long secret" not in path.read_bytes() for path in folder.iterdir())
