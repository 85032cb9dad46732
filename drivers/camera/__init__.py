"""Codes held up to a camera: a device, a stream, or frames out of a file.

capture: frames ─► decoder: (text, symbology) ─► presence ─► Scan, once for each time a product is held up
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import cv2
from cv2.typing import MatLike
from msgspec import Meta

from drivers.camera.capture import opened, shots
from drivers.camera.decoder import decode
from drivers.camera.presence import Presence
from edge.model import Ready, Scan
from edge.ports import Emit, Source

__all__ = ["Driver", "attached", "decode"]

cv2.setNumThreads(1)  # the other cores are the store's

_Part = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """`source`: a device, an index or a URL; or a file, an image sequence (seq/f%03d.jpg) or an image, played once.

    `region`: the part of the picture that is looked at: its left, top, right and bottom edge, from 0 to 1.
    """

    read_point: str
    source: Source
    region: tuple[_Part, _Part, _Part, _Part] = (0.0, 0.0, 1.0, 1.0)

    def __post_init__(self) -> None:
        left, top, right, bottom = self.region
        if not (left < right and top < bottom):
            raise ValueError("region is left, top, right and bottom, from 0 to 1; this one is empty")

    async def run(self, emit: Emit) -> None:
        presence, ready = Presence(), False
        async with aclosing(shots(self.source, self.read_point)) as pictures:
            async for at, frame in pictures:
                if not ready:
                    await emit(Ready(read_point=self.read_point))
                    ready = True
                for text, symbology in presence.see(at, await asyncio.to_thread(decode, self._region(frame))):
                    await emit(Scan(read_point=self.read_point, text=text, symbology=symbology))

    def _region(self, frame: MatLike) -> MatLike:
        (height, width), (left, top, right, bottom) = frame.shape[:2], self.region
        return frame[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]


def attached() -> list[tuple[str, dict[str, str]]]:
    """The cameras on this machine and the keys that name them; one in use is left out."""
    paths = sorted(map(str, Path("/dev").glob("video*")))
    return [(f"camera {path}", {"source": path}) for path in paths if opened(path).isOpened()]
