"""Products and shoppers are found by what staff remember of them; on a real database, filled as the feed fills it."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import statistics
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Raw

from edge import catalogue, directory
from edge.database import FILE, Database
from edge.directory import Page
from edge.migrations import main as migrate
from edge.salvage import opened
from peers.day import SEED
from peers.gtin import gtin13, padded

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack
    from pathlib import Path

WON = {"amount": "1200", "currency": "KRW"}
SHELF: dict[int, str | dict[str, str]] = {
    1: {"ko": "서울우유 1L", "en": "Seoul milk 1 l"},
    2: {"ko": "초코파이", "en": "Choco pie"},
    3: "우유 식빵",
    4: "Café ÅNGSTRÖM",
    5: "LG 모니터 27",
    6: 'a %_"* b',
    7: "우유",
    8: "두유 900㎖",
}


class Feed:
    """What the platform would send, applied to a database."""

    def __init__(self, database: Database) -> None:
        """Begin with nothing."""
        self.database = database
        self.cursor: str | None = None

    def page(self, *changes: dict[str, Any], more: bool = False) -> None:
        """Apply the next page."""
        since, self.cursor = self.cursor, f"{int(self.cursor or 0) + 1}"
        page = Page(self.cursor, more, [Raw(json.dumps(change)) for change in changes])
        self.database.write_now(lambda connection: directory.apply(connection, page, since))

    def anew(self) -> None:
        """Let the next page begin a new generation."""
        self.database.write_now(directory.restart)
        self.cursor = None

    def sweep(self) -> None:
        """Delete all that is in no generation in use."""
        while self.database.write_now(lambda connection: directory.sweep(connection, 200)):
            pass


def gtin(number: int) -> str:
    """A GTIN-14."""
    return padded(gtin13(number))


def product(number: int, name: str | dict[str, str] | None, **more: object) -> dict[str, Any]:
    """A change that puts the product, or without a name takes it away."""
    if name is None:
        return {"kind": "product", "op": "delete", "key": gtin(number)}
    return {"kind": "product", "op": "upsert", "key": gtin(number), "value": {"name": name, "price": WON, **more}}


def customer(id: str, display: str | None) -> dict[str, Any]:
    """A change that puts the customer."""
    value = {"cart": "k", "display": display, "language": "ko", "consents": ["cart"]}
    return {"kind": "customer", "op": "upsert", "key": id, "value": value}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the file of a new one once, as its schema takes a process of its own."""
    path = tmp_path_factory.mktemp("empty") / FILE
    Database(path).close()
    return path


@pytest.fixture
def database(tmp_path: Path, empty: Path, ended: ExitStack) -> Database:
    """Open a new one."""
    made = Database(shutil.copy(empty, tmp_path / FILE))
    ended.callback(made.close)
    return made


@pytest.fixture
def feed(database: Database) -> Feed:
    """Put the shelf into it."""
    feed = Feed(database)
    feed.page(*(product(number, name) for number, name in SHELF.items()))
    return feed


@pytest.fixture
def found(database: Database, ended: ExitStack) -> Callable[[str], list[int]]:
    """Search; the numbers of the products."""
    connection = database.reader()
    ended.callback(connection.close)
    numbers = {gtin(number): number for number in range(1, 1000)}
    return lambda q: [numbers[found["gtin"]] for found in catalogue.products(connection, q)]


def texts(database: Database) -> list[str]:
    """What products are found by."""
    with closing(database.reader()) as connection:
        return [text for (text,) in connection.execute("SELECT names || initials FROM product_text ORDER BY rowid")]


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("우유", [7, 3, 1]),  # what begins so, the shorter first; then what has it
        ("우", [7, 3, 1]),
        ("ㅊㅋㅍㅇ", [2]),
        ("ㅊㅋ", [2]),
        ("ㅅㅇ ㅇㅇ", [1]),
        ("ㅇㅇㅅㅃ", [3]),
        ("초코", [2]),
        ("초콮", [2]),
        ("choco", [2]),
        ("pie choco", [2]),
        ("cafe", [4]),
        ("angstrom CAFÉ", [4]),
        ("lg 모", [5]),
        ("27", [5]),
        ('%_"*', [6]),
        ("%", [6]),
        ('"', [6]),
        ("900ml", [8]),
        ("NOT milk", []),
        ("우유*", []),
        ("", []),
        (" ", []),
    ],
)
def test_products_are_found(feed: Feed, found: Callable[[str], list[int]], q: str, expected: list[int]) -> None:
    assert found(q) == expected


def test_by_digits_of_the_gtin(feed: Feed, found: Callable[[str], list[int]]) -> None:
    code = gtin(3)
    assert found(code) == found(code.lstrip("0")) == [3]
    assert found(code[-4:])[0] == 3
    assert 3 in found(code[2:9])
    feed.page(product(9, f"우유 {code}"))
    assert found(code.lstrip("0")) == [3, 9]


def test_what_is_shown_is_what_the_platform_gave(feed: Feed, database: Database) -> None:
    feed.page(product(2, SHELF[2], stock=7, rating={"average": 4.5}))
    with closing(database.reader()) as connection:
        shown = catalogue.product(connection, gtin(2))
        given = {"price": WON, "stock": 7, "rating": {"average": 4.5}, "reviews": None}
        assert shown == {"gtin": gtin(2), "names": SHELF[2], **given}
        assert catalogue.products(connection, "초코파이") == [shown]
        assert catalogue.product(connection, gtin(99)) is None
        assert catalogue.name(connection, gtin(2), "en") == "Choco pie"
        assert catalogue.name(connection, gtin(3), "en") == "우유 식빵"
        assert catalogue.name(connection, gtin(99), "en") is None


@pytest.mark.parametrize("stock", [b"1e999", b'"\xff"'], ids=ascii)
def test_what_cannot_be_shown_is_refused_and_hides_no_other(feed: Feed, database: Database, stock: bytes) -> None:
    """Of what goes into no event, too: one such product would make a fault of each search that finds it."""
    value = json.dumps(product(1, "우유", stock="?")).encode().replace(b'"?"', stock)
    bad = Page("1", True, [Raw(value)])
    database.write_now(lambda connection: directory.apply(connection, bad, None))
    feed.cursor = "1"
    feed.page(product(3, SHELF[3]))
    with closing(database.reader()) as connection:
        assert [each["gtin"] for each in catalogue.products(connection, "우유")] == [gtin(3)]


def test_a_text_lives_and_goes_with_its_product(
    feed: Feed, database: Database, found: Callable[[str], list[int]]
) -> None:
    before = texts(database)
    feed.page(product(7, "연유"), product(3, None))
    assert found("우유") == [1]
    assert found("연유") == [7]
    assert len(texts(database)) == len(before) - 1


def test_a_new_generation_writes_only_what_goes_by_another_name(
    feed: Feed, database: Database, found: Callable[[str], list[int]]
) -> None:
    def segments() -> list[Any]:
        with closing(database.reader()) as connection:
            return connection.execute("SELECT id, block FROM product_text_data").fetchall()

    before = segments()
    feed.anew()
    feed.page(*(product(number, name, stock=0) for number, name in SHELF.items()), more=True)
    assert found("우유") == [7, 3, 1]
    feed.page(product(7, None), product(8, None), product(9, "새것"), product(9, None))
    assert found("우유") == [3, 1]
    feed.sweep()
    assert len(texts(database)) == len(SHELF) - 2
    assert found("우유") == [3, 1]
    assert found("두유") == []

    feed.page(product(7, SHELF[7]), product(8, SHELF[8]))
    quiet = segments()
    feed.anew()
    feed.page(*(product(number, name, stock=1) for number, name in SHELF.items()))
    feed.sweep()
    assert segments() == quiet != before


def test_a_pull_that_was_given_up_leaves_no_text(
    feed: Feed, database: Database, found: Callable[[str], list[int]]
) -> None:
    feed.anew()
    feed.page(product(20, "헛것"), more=True)
    assert found("헛것") == []
    feed.anew()
    feed.page(*(product(number, name) for number, name in SHELF.items()))
    feed.sweep()
    assert len(texts(database)) == len(SHELF)


def test_what_was_written_before_there_was_a_search_is_found(tmp_path: Path, ended: ExitStack) -> None:
    """A database of the version before is brought up to date with all that its products and customers are found by."""
    path = tmp_path / FILE
    Database(path).close()
    with closing(sqlite3.connect(path)) as old:
        for statement in ("TABLE person", "TABLE intent", "VIEW known", "TABLE binding", "TABLE product_text"):
            old.execute(f"DROP {statement}")
        old.execute("ALTER TABLE customer DROP COLUMN found_by")
        old.execute("DELETE FROM _sqlite_migrations WHERE name = 'staff'")
        old.execute("INSERT INTO meta VALUES ('generation', 3)")
        old.execute("INSERT INTO customer VALUES (3, 'c-1', 'k-1', '김하늘', 'ko', ' cart ')")
        value = json.dumps({"name": "초코파이"}).encode()
        old.execute("INSERT INTO product VALUES (3, ?, ?)", (gtin(2), value))
        old.execute("INSERT INTO product VALUES (2, ?, ?)", (gtin(3), value))
        old.execute("INSERT INTO product VALUES (3, ?, ?)", (gtin(4), b"{"))
        old.commit()
    database = Database(path)
    ended.callback(database.close)
    with closing(database.reader()) as connection:
        assert [one["gtin"] for one in catalogue.products(connection, "초코")] == [gtin(2)]
        assert [one["id"] for one in catalogue.shoppers(connection, "ㄱㅎㄴ", {})] == ["c-1"]
    assert migrate(str(path)) == 0


@pytest.mark.parametrize("older", [False, True], ids=["of this version", "of the one before"])
def test_after_a_salvage_all_is_found_again(tmp_path: Path, ended: ExitStack, *, older: bool) -> None:
    damaged = Database(tmp_path / FILE)
    feed = Feed(damaged)
    feed.page(*(product(number, name) for number, name in SHELF.items()))
    feed.page(customer("c-1", "김하늘"), customer("c-2", None), product(1, None))
    damaged.close()
    if older:
        with closing(sqlite3.connect(damaged.path)) as connection:
            connection.execute("ALTER TABLE customer DROP COLUMN found_by")
            connection.commit()
    with damaged.path.open("r+b") as file:
        file.write(bytes(512))
    salvaged = opened(damaged.path)
    ended.callback(salvaged.close)
    with closing(salvaged.reader()) as connection:
        assert [one["id"] for one in catalogue.shoppers(connection, "하늘", {})] == ["c-1"]
        assert {one["id"] for one in catalogue.shoppers(connection, "c-", {})} == {"c-1", "c-2"}
        assert catalogue.products(connection, "초콮")
        assert catalogue.products(connection, "ㅇㅇㅅㅃ")


def test_shoppers_are_found(feed: Feed, database: Database) -> None:
    names = {"c-1": "김하늘", "c-2": "하늘이", "c-3": "이각하", "c-4": None, "d-1": "Zoë Kim"}
    feed.page(*(customer(id, name) for id, name in names.items()))
    with closing(database.reader()) as connection:

        def found(q: str, **there: list[str]) -> list[str]:
            here = {id.replace("_", "-"): read_points for id, read_points in there.items()}
            return [one["id"] for one in catalogue.shoppers(connection, q, here)]

        assert found("하늘") == ["c-2", "c-1"]
        assert found("하늘", c_1=["till-1"]) == ["c-1", "c-2"]
        assert found("ㄱㅎ") == ["c-1", "c-3"]
        assert found("ㅎㄴ") == ["c-2", "c-1"]
        assert sorted(found("c-")) == ["c-1", "c-2", "c-3", "c-4"]
        assert found("-1") == []
        assert found("zoe") == ["d-1"]
        assert found("kim zoë") == ["d-1"]
        assert found("%") == found("'") == found("\udcff\x00") == []
        assert found("") == found(" ") == []
        (line,) = catalogue.shoppers(connection, "", {"c-4": ["till-1", "door"], "stranger": ["door"]})
        assert line == {"id": "c-4", "display": None, "here": ["till-1", "door"]}
        assert len(catalogue.shoppers(connection, "c", {}, limit=2)) == 2
    feed.page({"kind": "customer", "op": "delete", "key": "c-1"}, customer("c-2", "박바다"))
    with closing(database.reader()) as connection:
        assert catalogue.shoppers(connection, "하늘", {}) == []
    for file in database.path.parent.iterdir():
        assert "ㅎㅏㄴㅡㄹ".encode() not in file.read_bytes() or file.name.endswith(("-wal", "-shm"))


@given(st.text(max_size=100))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_may_be_searched_for(feed: Feed, database: Database, q: str) -> None:
    with closing(database.reader()) as connection:
        catalogue.products(connection, q)
        catalogue.shoppers(connection, q, {})


MANY, PAGE, LIMIT = 50_000, 500, 0.1
WORDS = {
    "ko": """서울 매일 남양 오리온 롯데 해태 농심 삼양 오뚜기 풀무원 CJ 비비고 LG 동원 빙그레 크라운 청정원 하림 Café
        우유 초코파이 라면 김치 두부 콩나물 사이다 콜라 요구르트 치즈 버터 식빵 딸기잼 참치 만두 커피 녹차 샴푸 치약""",
    "en": """milk pie ramen kimchi tofu sprouts cider cola yogurt cheese butter bread jam tuna dumpling coffee tea soap
        fresh sweet hot mild large small""",
}
QUERIES = tuple("ㅇ z ㅆㅆ zz 1 우 우유 초코파이 ㅊㅋㅍㅇ ㅇㅇ ㄱ 880 8801 cafe milk 없는것 lg".split())  # noqa: SIM905


def test_search_over_fifty_thousand_products(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each search takes 100 ms at most, also one that finds nothing or nearly all; of the thread's own time."""
    dice, feed, held = random.Random(SEED), Feed(database), list[float]()
    for first in range(0, MANY, PAGE):
        changes = [product(number, a_name(dice)) for number in range(first + 1, first + PAGE + 1)]
        began = time.perf_counter()
        feed.page(*changes, more=first + PAGE < MANY)
        held.append(time.perf_counter() - began)
    size = (tmp_path / FILE).stat().st_size
    lines = [f"{MANY} products: {size / 1e6:.0f} MB; a page of {PAGE} holds the writer {ms(held)}"]
    with closing(database.reader()) as connection:
        for q in [
            *QUERIES,
            "lg 모",
            "서울 우유 1",
            gtin(777),
            gtin(777)[-4:],
            "우유 " * 50,
            WORDS["ko"][:100],
            WORDS["en"],
        ]:
            times = []
            for _ in range(3):
                began = time.thread_time()
                found = catalogue.products(connection, q)
                times.append(time.thread_time() - began)
            lines.append(f"  {q[:20]!r:24} {len(found):3} found, {ms(times)}")
            assert statistics.median(times) <= LIMIT, lines[-1]
    with capsys.disabled():
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


def a_name(dice: random.Random) -> dict[str, str]:
    """A name as a store has them, in two languages."""
    words = {language: " ".join(dice.choices(words.split(), k=3)) for language, words in WORDS.items()}
    return {language: f"{name} {dice.randint(1, 2000)} g" for language, name in words.items()}


def ms(seconds: list[float]) -> str:
    """Median and worst."""
    return f"{statistics.median(seconds) * 1000:.1f} ms, at most {max(seconds) * 1000:.1f} ms"
