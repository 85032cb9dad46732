"""Sightings become presence: in simulated time, on the real intake and journal, with all that comes in between."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import edge.database
from edge import salvage
from edge.intake import GATHER
from edge.model import Lapse, Sighting
from model import Boot
from peers.store import pseudonym
from simulated.disk import Writer
from simulated.world import World
from sync import mqtt

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEACONS = {name: f"e2c56db5-dffb-48d2-b060-d0f5a71096e0/1/{n}" for n, name in enumerate(("ann", "ben", "nobody"))}
OTHER = "2f234454cf6d4a0fadf2f4911ba9ffa600010002"
ANN, BEN = "c-1", "c-2"


@dataclass
class Shop:
    """A world whose shoppers carry beacons."""

    world: World

    @property
    def told(self) -> list[tuple[str, str | None, str]]:
        """Who entered and left where, as the journal has it."""
        return [(kind, data["customer"], data["read_point"]) for kind, data in self.rows()]

    @property
    def now(self) -> float:
        return self.world.clocks.instant

    def rows(self) -> list[tuple[str, dict[str, Any]]]:
        reader = self.world.gateway.reader
        found = reader.execute("SELECT kind, body FROM row WHERE kind GLOB 'presence.*' ORDER BY seq").fetchall()
        return [(kind.removeprefix("presence."), json.loads(body)["data"]) for kind, body in found]

    def commits(self) -> int:
        """Count what is on the disk, in a number that changes with each commit."""
        return int(self.world.gateway.reader.execute("PRAGMA data_version").fetchone()[0])

    def present(self) -> dict[str, str]:
        """Who is where on the disk, which is what memory has."""
        found = self.world.gateway.reader.execute("SELECT customer, read_point FROM present").fetchall()
        stays = self.world.gateway.intake.stays
        assert dict(found) == {who: stay.read_point for who, stay in stays.items()}
        return dict(found)

    def hear(self, name: str = "ann", rssi: float = -60, at: str = "door") -> None:
        self.world.gateway.emit(self.sighting(name, rssi, at))

    def sighting(
        self, name: str = "ann", rssi: float = -60, at: str = "door", instant: float | None = None
    ) -> Sighting:
        return Sighting(read_point=at, type="ibeacon", rssi=rssi, value=BEACONS[name], instant=instant)

    def near(self, name: str = "ann", seconds: int = 5, rssi: float = -60, at: str = "door") -> None:
        for _ in range(seconds):
            self.hear(name, rssi, at)
            self.wait(1)

    def wait(self, seconds: float) -> None:
        self.world.gateway.run_to(self.now + seconds)

    def customer(self, customer: str, *consents: str) -> None:
        self.world.change("customer", customer, (consents,))
        self.pull()

    def pull(self) -> None:
        self.world.broker.nudge()
        self.wait(0.5)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make an empty database, once."""
    path = tmp_path_factory.mktemp("template") / edge.database.FILE
    edge.database.Database(path).close()
    return path


@pytest.fixture
def shop(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Open it; ann and ben have beacons and want to be found by them, ben for nothing else."""
    monkeypatch.setattr(edge.database, "ThreadPoolExecutor", Writer)
    monkeypatch.setattr(mqtt, "connect", mqtt.connect)
    world = World(tmp_path, template, ok=True)
    for name, customer in (("ann", ANN), ("ben", BEN)):
        identifier = pseudonym("ibeacon", BEACONS[name]), {"type": "ibeacon", "customer": customer}
        world.platform.change("identifier", *identifier)
    shop = Shop(world)
    world.change("customer", ANN, (("cart", "presence"),))
    shop.customer(BEN, "presence")
    yield shop
    if world.gateway._tasks:
        world.kill()


def test_a_customer_enters_and_leaves(shop: Shop) -> None:
    shop.near(seconds=10)
    assert shop.told == [("entered", ANN, "door")]
    assert shop.present() == {ANN: "door"}
    shop.wait(20)
    assert shop.told == [("entered", ANN, "door"), ("left", ANN, "door")]
    assert shop.present() == {}
    assert shop.rows()[-1][1]["dwell_seconds"] == pytest.approx(22, abs=0.1)


def test_a_thousand_sightings_are_two_rows(shop: Shop) -> None:
    for _ in range(500):
        shop.hear()
        shop.wait(0.01)
    commits = shop.commits()
    for _ in range(500):
        shop.hear()
        shop.wait(0.01)
    assert shop.commits() == commits, "nothing is written while nothing changes"
    shop.wait(20)
    assert len(shop.told) == 2


def test_who_is_nobody_or_does_not_consent_leaves_nothing(shop: Shop) -> None:
    shop.customer(BEN, "cart", "personalisation")
    rows = shop.world.gateway.reader.execute("SELECT max(seq) FROM row").fetchone()
    shop.near("ben", 10)
    shop.near("nobody", 10)
    assert shop.world.gateway.reader.execute("SELECT max(seq) FROM row").fetchone() == rows
    assert not shop.world.gateway.zones._tracks
    assert not any(shop.world.gateway.reception.counts.values())


@pytest.mark.parametrize("rssi", [127, -127, 21, 1e308, -1e308])
def test_what_no_radio_can_say_is_not_heard(shop: Shop, rssi: float) -> None:
    shop.near(seconds=10, rssi=rssi)
    assert shop.told == []


def test_a_restart_goes_on(shop: Shop) -> None:
    shop.near()
    shop.world.kill()
    shop.world.start(2.0)
    shop.near()
    assert shop.told == [("entered", ANN, "door")]
    shop.world.kill()
    shop.world.start(2.0)
    shop.wait(14)
    assert shop.present() == {ANN: "door"}, "silence counts from the start"
    shop.wait(2)
    assert shop.told == [("entered", ANN, "door"), ("left", ANN, "door")]


def test_whoever_has_just_left_does_not_enter_at_once_after_a_restart(shop: Shop) -> None:
    shop.near(seconds=5)
    while len(shop.told) < 2:
        shop.wait(0.1)
    shop.world.kill()
    shop.world.start()
    while len(shop.told) < 3:
        shop.hear()
        shop.wait(0.1)
    found = shop.world.gateway.reader.execute("SELECT instant FROM row WHERE kind GLOB 'presence.*' ORDER BY seq")
    _, left, entered = (instant for (instant,) in found.fetchall())
    assert 3 <= entered - left < 3.5


def test_after_a_reboot_it_has_ended_with_what_was_seen_of_it(shop: Shop) -> None:
    shop.near(seconds=8)
    shop.near("ben", 1)
    shop.world.see(("till-1", "product"))  # the last row of this boot
    shop.world.kill()
    clocks = shop.world.clocks.reboot(3000.0, ok=True)
    shop.world.clocks = clocks
    shop.world.model.reboot(Boot(clocks.boot, gap=3000.0), clocks.instant, ok=True)
    shop.world.start()
    shop.near(seconds=8)
    assert [kind for kind, _, _ in shop.told] == ["entered", "left", "entered"]
    assert shop.rows()[1][1]["dwell_seconds"] == pytest.approx(7, abs=1)
    assert shop.present() == {ANN: "door"}


def test_whoever_takes_the_consent_back_is_gone_without_an_event(shop: Shop) -> None:
    shop.near(seconds=5)
    shop.customer(ANN, "cart")
    assert shop.present() == {}
    shop.near(seconds=30)
    assert shop.told == [("entered", ANN, "door")]
    shop.customer(ANN, "cart", "presence")
    shop.near(seconds=5)
    assert shop.told == [("entered", ANN, "door"), ("entered", ANN, "door")]


def test_a_delete_blanks_what_was_written_and_the_loss_of_the_cart_does_not(shop: Shop) -> None:
    shop.near(seconds=5)
    shop.near("ben", 5)
    shop.customer(ANN, "presence")
    shop.world.change("customer", BEN, (None,))
    shop.pull()
    shop.wait(30)
    assert shop.told == [("entered", ANN, "door"), ("entered", None, "door"), ("left", ANN, "door")]
    who = shop.world.gateway.reader.execute("SELECT who FROM row WHERE kind GLOB 'presence.*' ORDER BY seq").fetchall()
    assert who == [(ANN,), (None,), (ANN,)]


@pytest.mark.parametrize("gone", [("cart",), None], ids=["no consent", "deleted"])
@pytest.mark.parametrize("early", [0.0, 0.2, 0.4, 0.6, 1.0])
def test_a_stay_that_is_due_just_as_the_consent_goes(shop: Shop, gone: tuple[str, ...] | None, early: float) -> None:
    shop.near(seconds=5)
    shop.wait(15 - 1 - early)
    shop.world.change("customer", ANN, (gone,))
    shop.pull()
    shop.wait(5)
    assert shop.present() == {}
    shop.near("ben", 5)
    assert shop.told[-1] == ("entered", BEN, "door"), "the daemon lives"


def test_consent_is_asked_for_at_the_write(shop: Shop) -> None:
    """While the change is gathered with others a page takes the consent away."""
    shop.near(seconds=2)
    shop.hear()
    assert shop.world.gateway.zones._waiting
    shop.customer(ANN, "cart")
    shop.wait(GATHER)
    assert not shop.world.gateway.zones._waiting
    assert shop.told == []


def test_a_commit_that_fails_leaves_memory_and_disk_as_they_were(shop: Shop) -> None:
    shop.world.gateway.disk.full = True
    shop.near(seconds=10)
    assert shop.told == []
    assert shop.present() == {}
    shop.world.gateway.disk.full = False
    shop.near(seconds=5)
    assert shop.present() == {ANN: "door"}
    shop.world.gateway.disk.full = True
    shop.wait(60)
    assert shop.present() == {ANN: "door"}
    shop.world.gateway.disk.full = False
    shop.wait(5)
    assert shop.told == [("entered", ANN, "door"), ("left", ANN, "door")]


def test_presence_does_not_take_the_reserve(shop: Shop) -> None:
    space = shop.world.gateway.space
    space.reserve, reserve = 10**10, space.reserve
    shop.near(seconds=10)
    assert shop.told == []
    space.reserve = reserve
    shop.near(seconds=5)
    assert shop.told == [("entered", ANN, "door")]


def test_the_wall_clock_may_jump(shop: Shop) -> None:
    shop.near(seconds=5)
    shop.world.clocks.jump(-86_400.0)
    shop.near(seconds=5)
    shop.world.clocks.jump(172_800.0)
    shop.near(seconds=5)
    shop.wait(20)
    assert [kind for kind, _, _ in shop.told] == ["entered", "left"]
    assert shop.rows()[-1][1]["dwell_seconds"] == pytest.approx(27, abs=0.1)


def test_another_read_point_takes_over(shop: Shop) -> None:
    shop.near(seconds=5, rssi=-69)
    for _ in range(12):
        shop.hear(rssi=-69)
        shop.hear(rssi=-55, at="till-1")
        shop.wait(1)
    assert shop.told == [("entered", ANN, "door"), ("left", ANN, "door"), ("entered", ANN, "till-1")]
    assert shop.present() == {ANN: "till-1"}


def test_a_recording_has_its_own_time(shop: Shop) -> None:
    """As fast as it is taken, with gaps in which stays end."""
    start = shop.now
    shop.world.gateway._telling = list, list
    shop.world.gateway.emit(Lapse(read_point="film", instant=float("inf")))

    async def play() -> None:
        for visit in range(20):
            for second in range(60):
                await shop.world.gateway.reception.emit(shop.sighting(at="film", instant=start + visit * 100 + second))
        await shop.world.gateway.reception.emit(Lapse(read_point="film", instant=float("inf")))

    assert shop.world.gateway.do(play()).done()
    assert shop.now < start + 10
    assert [kind for kind, _, _ in shop.told] == ["entered", "left"] * 20
    dwells = [data["dwell_seconds"] for kind, data in shop.rows() if kind == "left"]
    assert dwells == [pytest.approx(72)] * 20
    assert shop.present() == {}
    shop.near(seconds=5)
    assert shop.told[-1] == ("entered", ANN, "door"), "here it is now again"


def test_of_whom_nothing_is_heard_nothing_is_kept(shop: Shop) -> None:
    shop.near(seconds=2)
    assert list(shop.world.gateway.zones._tracks) == [ANN]
    shop.wait(20)
    assert not shop.world.gateway.zones._tracks


def test_the_database_of_the_version_before_is_brought_up_to_date(template: Path, tmp_path: Path) -> None:
    path = tmp_path / edge.database.FILE
    shutil.copy(template, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DROP TABLE present")
        connection.execute("DELETE FROM _sqlite_migrations WHERE name = 'presence'")
    edge.database.Database(path).close()
    with closing(edge.database.reader(path)) as reader:
        assert reader.execute("SELECT count(*) FROM present").fetchone() == (0,)


def test_a_salvage_knows_who_is_there(shop: Shop) -> None:
    shop.near(seconds=5)
    shop.near("ben", 5)
    shop.near(seconds=5)
    assert shop.present() == {ANN: "door"} | {BEN: "door"}
    shop.world.kill()
    path = shop.world._data / edge.database.FILE
    edge.database.suspect(path).write_text("damaged")
    database = salvage.opened(path)
    found = database.reader().execute("SELECT customer, read_point FROM present").fetchall()
    database.close()
    assert dict(found) == {ANN: "door", BEN: "door"}
