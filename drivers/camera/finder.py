"""Where bars are: parts of a picture whose edges all run one way. They are cut out, turned upright and enlarged."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from cv2.typing import MatLike

SIDE = 480
"""Pixels of the long side of the small picture in which bars are looked for."""
MOST = 3
"""Places that are looked at, those with the strongest edges first."""
ALIKE, STRONG = 0.6, 30.0
"""How far the edges of bars run one way (0 to 1), and their least energy where contrast is 1."""
CELL, AROUND, FEW = 4, 5, 8
"""Pixels of a side of its cells, over how many of which edges are summed up, and how many a code has at least."""
NOISE = 4.0
"""Gray values that are no contrast."""
WIDE, TALL = 600, 150
"""Pixels of an upright cut: a small one is enlarged up to three times to that width, a tall one squeezed."""


@dataclass(frozen=True, slots=True)
class Place:
    """A turned rectangle: its middle, the angle of its long side, which crosses the bars, and its two sides."""

    x: float
    y: float
    angle: float
    along: float
    across: float

    def holds(self, x: float, y: float) -> bool:
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        right, down = x - self.x, y - self.y
        return bool(
            abs(right * cos + down * sin) <= self.along / 2 and abs(down * cos - right * sin) <= self.across / 2
        )


def find(gray: MatLike) -> list[Place]:
    """Places that may be bar codes: where the structure tensor of the picture, its contrast evened out, is strong."""
    scale = 1 / math.ceil(max(gray.shape) / SIDE)  # a whole number of pixels become one: that is quick
    small = cv2.resize(gray, _size(gray, scale), interpolation=cv2.INTER_AREA).astype(np.float32)
    wide = (max(small.shape) // 8 | 1,) * 2
    small -= cv2.blur(small, wide)
    small /= cv2.sqrt(cv2.blur(small * small, wide)) + NOISE
    right, down = cv2.Scharr(small, -1, 1, 0), cv2.Scharr(small, -1, 0, 1)
    xx, yy, xy = (_in_cells(product) for product in (right * right, down * down, right * down))
    energy, tensor = xx + yy, np.dstack([xx - yy, 2 * xy])
    alike = np.hypot(*np.moveaxis(tensor, 2, 0)) > ALIKE * energy
    count, labels = cv2.connectedComponents((alike & (energy > STRONG)).astype(np.uint8))
    parts = [labels == n for n in range(1, count)]
    parts = [part for part in parts if np.count_nonzero(part) >= FEW]
    strongest = sorted(parts, key=lambda part: float(energy[part].sum()), reverse=True)[:MOST]
    places = [_place(part, tensor[part].sum(axis=0), CELL / scale) for part in strongest]
    return [place for place in places if place.along > place.across / 3]


def _size(gray: MatLike, scale: float) -> tuple[int, int]:
    return max(1, round(gray.shape[1] * scale)), max(1, round(gray.shape[0] * scale))


def _in_cells(product: MatLike) -> MatLike:
    return cv2.blur(cv2.resize(product, _size(product, 1 / CELL), interpolation=cv2.INTER_AREA), (AROUND, AROUND))


def _place(part: MatLike, direction: MatLike, cell: float) -> Place:
    """The rectangle around a part of the cells, with quiet zones."""
    angle = np.arctan2(direction[1], direction[0]) / 2
    axes = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (np.argwhere(part)[:, ::-1] + 0.5) @ axes
    low, high = points.min(axis=0), points.max(axis=0)
    (x, y), (along, across) = axes @ (low + high) / 2 * cell, (high - low) * cell
    return Place(float(x), float(y), float(angle), float(along + AROUND * cell) * 1.1, float(across + cell / 2))


def around(corners: MatLike) -> Place:
    """The place of a code that an engine saw there: as wide and a quarter, and no flatter than it would be printed."""
    (x, y), edge = corners.mean(axis=0), corners[1] + corners[2] - corners[0] - corners[3]
    along, down = float(np.hypot(*edge)) / 2, corners[2] + corners[3] - corners[0] - corners[1]
    across = max(float(np.hypot(*down)) / 2 * 1.2, along / 4)
    return Place(float(x), float(y), float(np.arctan2(edge[1], edge[0])), along * 1.25, across)


def upright(gray: MatLike, place: Place) -> MatLike:
    """The place, its bars from top to bottom; what is too tall is squeezed, which is nothing to bars."""
    scale = min(max(WIDE / max(place.along, 1.0), 1.0), 3.0)
    tall = min(scale, TALL / max(place.across, 1.0))
    width, height = int(place.along * scale) + 1, int(max(place.across * tall, 12.0)) + 1
    cos, sin = np.cos(place.angle), np.sin(place.angle)
    turn = np.array([[cos / scale, -sin / tall], [sin / scale, cos / tall]])
    turn = np.column_stack([turn, (place.x, place.y) - turn @ (width / 2, height / 2)])
    how = (cv2.INTER_CUBIC if scale > 1 else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(gray, turn, (width, height), flags=how, borderMode=cv2.BORDER_REPLICATE)


def edges(cut: MatLike) -> int:
    """Bars and spaces that a line through the middle crosses."""
    line = cut.mean(axis=0, dtype=np.float32)
    light = line - cv2.blur(line[None], (line.size // 8 | 1, 1))[0]
    light = light[np.abs(light) > 0.03 * np.abs(light).max()] > 0
    return int(np.count_nonzero(light[1:] != light[:-1]))
