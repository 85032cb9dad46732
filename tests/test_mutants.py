"""The tests have teeth: with any one protection taken out of the daemon, the test for it fails, and says why."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from mutants import ROOT, Mutant
from mutants.protections import (
    ACK_FIRST,
    BINDING_STAYS,
    CURSOR_FIRST,
    CURSORS_FIRST,
    DROP_REFUSED,
    GIVEN_AGAIN,
    GO_ON,
    IN_PLACE,
    LEFT_IN_TLS,
    LOGGED,
    NEW_IDS,
    NO_SYNC,
    NO_SYNC_AT_COMMIT,
    NO_SYNC_BUT_ASSERTED,
    NONE_MISSING,
    OLD_TLS,
    OVERREACHING,
    PUBLISH_FIRST,
    PUSHED_ON,
    READ_ONCE,
    REMOVED_AGAIN,
    UNCOUNTED,
    UNSIGNED,
    UNVERIFIED,
)
from peers.day import SEED

if TYPE_CHECKING:
    from pathlib import Path

IMAGES = "test_crash_images.py"
ORDER = "test_order.py"
KILLS = "test_kills.py::test_fifty_power_cuts[mosquitto]"
OURS = ("PYTHONDONTWRITEBYTECODE", "CARTWIRE_FAULTS", "CARTWIRE_KILLS", "CARTWIRE_SCANS", "CARTWIRE_IMAGES")
"""What a run of mutants does not take over from the environment."""
STRIKES = "test_strikes.py::test_struck_at_each_call_in_turn"
FULL = "test_strikes.py::test_a_disk_that_cannot_write_again_and_again"
TROUBLES = "test_troubles.py::test_whatever_the_platform_answers"
LINKS = "test_links.py::test_every_bad_link"
START = "test_links.py::test_a_start_with_no_server_in_sight"
ONCE = "test_staff.py::test_an_item_is_taken_out_of_the_cart_once"
CLOSED = "test_staff.py::test_an_item_that_no_app_has_yet_is_not_pushed_after_its_removal"
GIVEN = "test_staff.py::test_an_unclaimed_scan_is_given_once"
DECIDES = "test_staff.py::test_the_platform_decides_conflicts"
TLS = "test_tls.py"
STRANGER = f"{TLS}::test_an_authority_that_is_not_ours"
EXPIRED = f"{TLS}::test_a_certificate_that_is_not_the_servers"
OLD = f"{TLS}::test_what_is_older_than_tls_1_2"
RENEWED = "test_renewal.py::test_the_page_shows_its_new_certificate"
RAW = "test_byte_search.py"
DOCUMENT = "test_remote_document.py"
FORGED = f"{DOCUMENT}::test_what_is_too_long_or_cut_or_changed_is_refused"
OWN = f"{DOCUMENT}::test_what_is_the_machines_own_stays_so"
HALVED = f"{DOCUMENT}::test_killed_at_each_step_the_file_is_the_old_or_the_new_one"
STEPS_BACK = f"{DOCUMENT}::test_what_cannot_be_used_steps_back"
SHORT = {"CARTWIRE_SCANS": "6", "CARTWIRE_IMAGES": "12"}
TWENTY = {"CARTWIRE_KILLS": "20"}
"""Kills enough to hit the moment that matters."""
MANY = {"CARTWIRE_SCANS": "100", "CARTWIRE_IMAGES": "400"}


@dataclass(frozen=True)
class Proof:
    """With the protection missing these tests fail, and say something; or, if nothing is said, they pass."""

    missing: Mutant
    tests: tuple[str, ...]
    says: str | None
    settings: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Name it by what is missing and who says so."""
        return "-".join([self.missing.name, *(test.partition("::")[0] for test in self.tests)])


SHORT_PROOFS = (
    Proof(NONE_MISSING, (IMAGES, ORDER), None, SHORT),
    Proof(NO_SYNC, (IMAGES,), r"lost [1-9]", SHORT),
    Proof(NO_SYNC_BUT_ASSERTED, (ORDER,), r"PRAGMA synchronous is 0, not 2", SHORT),
    Proof(CURSOR_FIRST, (IMAGES,), r"ahead [1-9]", SHORT),
    Proof(PUBLISH_FIRST, (ORDER,), r"told by sendto to socket:\S+ before the WAL was synced", SHORT),
    Proof(ACK_FIRST, (ORDER,), r"acknowledged before its confirmation was synced", SHORT),
    Proof(NONE_MISSING, (ONCE, CLOSED, GIVEN, DECIDES), None),
    Proof(GIVEN_AGAIN, (GIVEN,), r"already-given"),
    Proof(REMOVED_AGAIN, (ONCE,), r"already-removed"),
    Proof(PUSHED_ON, (CLOSED,), r"was pushed after its removal"),
    Proof(BINDING_STAYS, (DECIDES,), r"Left contains one more item"),
    Proof(UNVERIFIED, (STRANGER, EXPIRED), r" *ok +platform "),
    Proof(OLD_TLS, (OLD,), r" *ok +platform "),
    Proof(READ_ONCE, (RENEWED,), r"assert False"),
    Proof(UNSIGNED, (FORGED,), r" *Failed: DID NOT RAISE"),
    Proof(OVERREACHING, (OWN,), r" *assert None is not None"),
    Proof(IN_PLACE, (HALVED,), r" *AssertionError: \('write', 1\)"),
    Proof(UNCOUNTED, (STEPS_BACK,), r" *assert 0 == \(0 \+ 1\)"),
)
LONG_PROOFS = (
    Proof(NONE_MISSING, (IMAGES, ORDER), None, MANY),
    Proof(NONE_MISSING, (KILLS,), None, TWENTY),
    Proof(NO_SYNC_AT_COMMIT, (IMAGES,), r"lost [1-9]"),
    Proof(CURSOR_FIRST, (KILLS,), r"lost [1-9]|all on the platform", TWENTY),
    Proof(CURSORS_FIRST, (KILLS,), r"lost [1-9]|all on the platform", TWENTY),
    Proof(PUBLISH_FIRST, (KILLS,), r"wrong cart [1-9]", TWENTY),
    Proof(PUBLISH_FIRST, (IMAGES,), r"lost [1-9]"),
    Proof(LOGGED, (RAW,), r".*a UID in .*cartwire.log as b'04A1B2C3D4E5F6'"),
)
FAULT_PROOFS = (
    Proof(NONE_MISSING, (STRIKES, FULL, TROUBLES, LINKS, START), None),
    Proof(PUBLISH_FIRST, (STRIKES,), r"wrong cart [1-9]"),
    Proof(PUBLISH_FIRST, (FULL,), r"wrong cart [1-9]"),
    Proof(GO_ON, (STRIKES,), r"the end by \w+:error=EIO"),
    Proof(CURSORS_FIRST, (TROUBLES,), r"lost [1-9]"),
    Proof(DROP_REFUSED, (TROUBLES,), r"lost [1-9]"),
    Proof(NEW_IDS, (TROUBLES,), r"doubled [1-9]"),
    Proof(NEW_IDS, (LINKS,), r"doubled [1-9]"),
    Proof(LEFT_IN_TLS, (START,), r"all told and confirmed"),
)


@pytest.mark.parametrize("proof", SHORT_PROOFS, ids=str)
def test_a_missing_protection_is_missed(proof: Proof, tmp_path: Path) -> None:
    """On a short recording."""
    check(proof, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("proof", LONG_PROOFS, ids=str)
def test_a_missing_protection_is_missed_at_length(proof: Proof, tmp_path: Path) -> None:
    """On a long recording, and by the kill test."""
    check(proof, tmp_path)


@pytest.mark.long
@pytest.mark.faults
@pytest.mark.parametrize("proof", FAULT_PROOFS, ids=str)
def test_a_missing_protection_is_missed_by_the_fault_bench(proof: Proof, tmp_path: Path) -> None:
    """In the short cut that `make test` runs."""
    check(proof, tmp_path)


def check(proof: Proof, folder: Path) -> None:
    """Plant the mutant, run the tests on it, and look at what they say."""
    root = folder / "mutant"
    proof.missing.plant(root)
    code, said = run(proof, root, folder)
    assert proof.missing.ran(root), f"the mutated files were not loaded:\n{said}"
    if proof.says is None:
        assert code == pytest.ExitCode.OK, said
    else:
        assert code == pytest.ExitCode.TESTS_FAILED, said
        assert re.search(rf"^(E  .*|lost .*)?({proof.says})", said, re.MULTILINE), said


def run(proof: Proof, root: Path, folder: Path) -> tuple[int, str]:
    """Run the tests in a pytest whose daemons are the mutant; return its exit code and what it said."""
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    environment |= proof.settings | {"PYTHONPATH": str(root), "CARTWIRE_SEED": str(SEED)}
    tests = [str(ROOT / "tests" / test) for test in proof.tests]
    options = ["-p", "no:cacheprovider", f"--basetemp={folder / 'run'}", "-q", "-s"]
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "pytest", *options, *tests],  # -P: the mutant's files come before those here
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        said, _ = child.communicate(timeout=280)
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGINT)  # so that it ends its own children
            child.communicate(timeout=60)
    return child.returncode, said
