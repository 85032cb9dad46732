"""How a folder of photographs is read: `make bench-barcodes FOLDER=…`.

The folder holds pictures and a `truth.csv` of the columns file, symbology and expected: the text, or nothing for a
picture without a code; a file with several codes has several lines. Right: an expected text is read; wrong: only
others, or any where nothing is expected; beside: right, and another one too. A picture's group is its name up to `__`.
"""

from __future__ import annotations

import csv
import statistics
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from drivers.camera import decode
from peers.bars import ean13, printed, seen
from peers.gtin import gtin13

RETAIL = {"EAN13", "EAN8", "UPCA", "UPCE", "DATABAR", "DATABARLTD"}


@dataclass
class Group:
    verdicts: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    def line(self, name: str) -> str:
        right, wrong, missed, beside = (self.verdicts[word] for word in ("right", "wrong", "missed", "beside"))
        ms = statistics.median(self.times)
        return f"{name:28} {len(self.times):5} {right:6} {wrong:6} {missed:7} {beside:7} {ms:8.1f}"


def forms(text: str, symbology: str) -> set[str]:
    """What counts as this text: a GTIN however many zeros are before it, an add-on left out."""
    if symbology not in RETAIL:
        return {" ".join(text.replace("\x1d", "").replace("(", "").replace(")", "").split())}
    digits = "".join(filter(str.isdigit, text))
    found = {digits.zfill(14), *(digits[:size].zfill(14) for size in (12, 13) if len(digits) in (size + 2, size + 5))}
    if symbology == "UPCE" and len(digits) == 8:
        found.add(expanded(digits).zfill(14))
    if symbology.startswith("DATABAR") and digits.startswith("01"):
        found.add(digits[2:16])
    return found


def expanded(digits: str) -> str:
    """A UPC-E as the UPC-A that it stands for."""
    system, six, check = digits[0], digits[1:7], digits[7]
    if six[5] in "012":
        return f"{system}{six[:2]}{six[5]}0000{six[2:5]}{check}"
    if six[5] in "34":
        kept = int(six[5])
        return f"{system}{six[:kept]}{'0' * (8 - kept)}{six[kept:5]}{check}"
    return f"{system}{six[:5]}0000{six[5]}{check}"


def verdict(texts: list[str], expected: list[str], symbology: str) -> str:
    wanted = {form for text in expected for form in forms(text, symbology)}
    hits = [bool(forms(text, symbology) & wanted) for text in texts]
    if not texts:
        return "missed" if wanted else "right"
    return "wrong" if not any(hits) else "right" if all(hits) else "beside"


def truth(folder: Path) -> dict[str, tuple[str, list[str]]]:
    found: dict[str, tuple[str, list[str]]] = {}
    with (folder / "truth.csv").open(newline="") as lines:
        for row in csv.DictReader(lines):
            _, texts = found.setdefault(row["file"], (row["symbology"], []))
            texts += [row["expected"]] if row["expected"] else []
    return found


def timed(frame: cv2.typing.MatLike) -> tuple[list[str], float]:
    """What is read, and the milliseconds of one core that it took."""
    begun = time.thread_time()
    texts = [text for text, _ in decode(frame)]
    return texts, (time.thread_time() - begun) * 1e3


def main(folder: Path) -> None:
    groups: defaultdict[str, Group] = defaultdict(Group)
    print(f"{'':28} {'files':>5} {'right':>6} {'wrong':>6} {'missed':>7} {'beside':>7} {'ms':>8}")
    for file, (symbology, expected) in sorted(truth(folder).items()):
        frame = cv2.imread(str(folder / file), cv2.IMREAD_COLOR)
        if frame is None:
            sys.exit(f"{folder / file} cannot be read")
        texts, ms = timed(frame)
        said = verdict(texts, expected, symbology)
        for name in (file.partition("__")[0], "all of them"):
            groups[name].verdicts.update({said} | ({"right"} if said == "beside" else set()))
            groups[name].times.append(ms)
    total = groups.pop("all of them")
    for name, group in sorted(groups.items()):
        print(group.line(name))
    print(total.line("all of them"))
    held, empty = seen(printed(ean13(gtin13(1)))), seen(None, size=(720, 1280))
    for name, frame in (("held, 640 × 480", held), ("empty, 1280 × 720", empty)):
        print(f"{name:28} {statistics.median(timed(frame)[1] for _ in range(100)):42.1f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("make bench-barcodes FOLDER=…: a folder of photographs with a truth.csv")
    main(Path(sys.argv[1]))
