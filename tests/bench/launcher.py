"""The product's own command, with the instant of each tap and scan noted where a driver hands it to `Reception.emit`.

So what is measured begins where a driver is done: the FIFO by which the bench makes scans is not ours. The marks are in
`emitted`, beside the configuration. With COUNTED in the environment, a library made by `bench.instructions`, SIGUSR1
has the instructions since the last one dumped, and that is noted in `counted`.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bench.marks import Marks, now
from edge import cli, reception
from edge.model import Scan, Tap

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from edge.model import Reading
    from edge.reception import Reception


def main() -> int:
    """Do what `cartwire` does with these arguments."""
    config = Path(sys.argv[sys.argv.index("--config") + 1])
    marks, emit = Marks(config.with_name("emitted")), reception.Reception.emit

    def marked(self: Reception, reading: Reading) -> Coroutine[object, object, None]:
        if isinstance(reading, Tap | Scan):
            marks.add(now())
        return emit(self, reading)

    reception.Reception.emit = marked  # type: ignore[method-assign]
    if library := os.environ.get("COUNTED"):
        counted, dumped = ctypes.CDLL(library), Marks(config.with_name("counted"))
        signal.signal(signal.SIGUSR1, lambda *_: (counted.mark(), dumped.add(now())))
    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
