"""The disk after a power cut, from what QEMU really logs: all that was flushed, and some of the rest."""

from __future__ import annotations

import json
import random
import subprocess
from typing import TYPE_CHECKING

from machine.powerlog import replay

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = 4096
WORDS = ("write -P 1 0 4k", "write -P 2 8k 4k", "flush", "write -P 3 0 4k", "write -z 8k 4k", "sigraise 9")


def test_what_was_flushed_is_there_and_any_part_of_the_rest(tmp_path: Path) -> None:
    disk, run, log = (tmp_path / name for name in ("disk", "run", "log"))
    run.write_bytes(bytes(3 * BLOCK))
    log.touch()
    node = {"driver": "blklogwrites", "log-super-update-interval": 1}
    files = {name: {"driver": "file", "filename": str(path)} for name, path in (("file", run), ("log", log))}
    options = [word for words in WORDS for word in ("-c", words)]
    image = f"json:{json.dumps({**node, **files})}"
    done = subprocess.run(["qemu-io", "-t", "writeback", *options, image], timeout=60, check=False, capture_output=True)
    assert done.returncode == -9, done

    seen = set()
    for seed in range(50):
        disk.write_bytes(bytes(3 * BLOCK))
        replay(log, disk, random.Random(seed))
        seen.add(disk.read_bytes()[::BLOCK])
    assert seen == {bytes((first, 0, third)) for first in (1, 3) for third in (2, 0)}
