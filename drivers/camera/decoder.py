"""What is in a frame. A wrong product is worse than none, so of bars one reading is never enough.

frame ─► zxing ─► QR, DataMatrix: they correct themselves ───────────────────────► codes
           │ bars                                                                    ▲
           ▼                                                                         │
         around these, and at the finder's places ─► cut out, upright ─► both engines vote
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np
from cv2.typing import MatLike

from drivers.camera import finder
from drivers.camera.engines import ALL, BARS, MATRIX, Code, Reading, zbar, zxing
from drivers.camera.finder import Place
from drivers.camera.votes import Votes

LARGEST, SMALL = 1600, 640
"""Pixels of the long side of a frame that is looked at, and of one that is searched again for QR and DataMatrix."""
DIGITS = frozenset({"EAN13", "UPCA"})
FEWEST = 20
"""Edges of what is worth a vote; a UPC-E has 34."""


def decode(frame: MatLike) -> list[Code]:
    """What can be read in a frame (uint8, height × width × 3, blue first): (text, symbology), each once."""
    if not frame.size:
        return []
    gray = _fitted(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), LARGEST)
    if min(gray.shape) < 3:
        return []
    readings = zxing(gray, ALL)
    matrix = [reading for reading in readings if reading.matrix]
    bars = [reading for reading in readings if not reading.matrix]
    taken = [finder.around(reading.corners) for reading in matrix]
    places = [finder.around(reading.corners) for reading in bars]
    codes = _sure(gray, [*places, *finder.find(gray)], taken, bars)
    if not codes and not matrix:
        matrix = zxing(_even(_fitted(gray, SMALL)), MATRIX, thorough=True)
    return list(dict.fromkeys([reading.code for reading in matrix] + codes))


def _fitted(gray: MatLike, side: int) -> MatLike:
    height, width = gray.shape
    scale = min(1.0, side / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return gray if scale == 1 else cv2.resize(gray, size, interpolation=cv2.INTER_AREA)


def _sure(gray: MatLike, places: Iterable[Place], taken: list[Place], bars: list[Reading]) -> list[Code]:
    """The codes at the places but those in one that is `taken` or has given a code. `bars`: what zxing has seen."""
    codes = []
    for place in places:
        if not any(other.holds(place.x, place.y) for other in taken):
            here = [reading.code for reading in bars if place.holds(*reading.corners.mean(axis=0))]
            if code := _elected(finder.upright(gray, place), here):
                taken.append(place)
                codes.append(code)
    return codes


def _elected(cut: MatLike, seen: list[Code]) -> Code | None:
    if finder.edges(cut) < FEWEST:
        return None
    votes = Votes()
    votes.cast("zxing", "frame", seen)
    for name, picture in _PICTURES:
        shown = picture(cut)
        votes.cast("zxing", name, [reading.code for reading in zxing(shown, BARS)])
        votes.cast("zbar", name, zbar(shown))
        if votes.settled():
            break
    code = votes.elected()
    if code and code[1] in DIGITS and votes.alone(code) and not _throughout(cut, code):
        return None
    return code


def _throughout(cut: MatLike, code: Code) -> bool:
    """Whether it stands in each third of the height: where few lines are whole, all pictures of them err alike."""
    return all(
        any(code in [reading.code for reading in zxing(picture(part), BARS)] for _, picture in _PICTURES)
        for part in np.array_split(cut, 3)
    )


def _smooth(cut: MatLike) -> MatLike:
    """Along the bars: noise and scratches go, edges stay."""
    return cv2.blur(cut, (1, max(3, cut.shape[0] // 12)))


def _even(gray: MatLike) -> MatLike:
    """With as much contrast in the dark and the glare as elsewhere."""
    return cv2.createCLAHE(3, (8, 8)).apply(gray)


def _sharp(cut: MatLike) -> MatLike:
    return cv2.addWeighted(cut, 3, cv2.GaussianBlur(cut, (0, 0), 3), -2, 0)


# What is sharpened twice over errs alike: it is one picture.
_PICTURES: list[tuple[str, Callable[[MatLike], MatLike]]] = [
    ("plain", lambda cut: cut),
    ("even", lambda cut: _even(_smooth(cut))),
    ("smooth", _smooth),
    ("sharp", lambda cut: _sharp(_smooth(cut))),
    ("sharp", lambda cut: _sharp(_even(_smooth(cut)))),
]
