"""Keeps a camera from burning out what is white: in there, bars are gone. Cameras expose for the whole room."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np
from cv2.typing import MatLike

EVERY = 10
"""Frames from one look at the exposure to the next; a camera needs some to do as it is told."""
CLIPPED, DIM = 0.02, 160
"""The part of a picture that may be burnt out; the brightest of a picture (but that part) that is too dark."""
LESS, MORE = 0.7, 1.2
"""By what the exposure is multiplied then; what was too dark is not burnt out by one step more."""
_WHITE = 250
_BY_HAND = 1.0
"""V4L2_EXPOSURE_MANUAL."""


class Camera(Protocol):
    """What cv2.VideoCapture has of this."""

    def get(self, propId: int, /) -> float: ...  # noqa: N803  # the name that OpenCV gave it
    def set(self, propId: int, value: float, /) -> bool: ...  # noqa: N803  # likewise


class Exposure:
    """Of one camera. One that has none, or does not let it be set, is left alone."""

    def __init__(self, camera: Camera) -> None:
        self._camera = camera
        self._frames = 0
        self._mode = camera.get(cv2.CAP_PROP_AUTO_EXPOSURE)
        self._ours = self._mode == _BY_HAND  # perhaps by us, who were killed then
        self._able = camera.get(cv2.CAP_PROP_EXPOSURE) > 0

    def see(self, frame: MatLike) -> None:
        """Looks at a frame now and then, and sets the exposure if it is far off."""
        self._frames += 1
        if self._frames % EVERY or not self._able:
            return
        bright = frame[::8, ::8].max(axis=2)
        burnt = float(np.mean(bright >= _WHITE)) > CLIPPED
        if burnt and not self._ours:
            self._ours = self._able = self._camera.set(cv2.CAP_PROP_AUTO_EXPOSURE, _BY_HAND)
        if self._ours and burnt:
            self._multiply(LESS)
        elif self._ours and float(np.quantile(bright, 1 - CLIPPED)) < DIM:
            self._multiply(MORE)

    def _multiply(self, factor: float) -> None:
        self._camera.set(cv2.CAP_PROP_EXPOSURE, max(1.0, self._camera.get(cv2.CAP_PROP_EXPOSURE) * factor))

    def release(self) -> None:
        """The camera exposes as it did before, as whoever has it next expects."""
        if self._ours:
            self._camera.set(cv2.CAP_PROP_AUTO_EXPOSURE, self._mode)
