"""Writes frames to a video file, with the sound of the original video."""

import logging
import math
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from hdetr_d2.errors import UserError
from hdetr_d2.inference.video.reading import EXTRA
from hdetr_d2.inference.video.sound import Sound
from hdetr_d2.runtime.needed import needed

logger = logging.getLogger(__name__)

_TICK = Fraction(1, 120_000)  # seconds; frame times of the usual rates are (almost) whole multiples


class VideoWriter:
    """Writes frames at their times. Frames of another size than the first one are scaled to it, and
    odd sides are padded by a pixel, as players require.

    Args:
        path: its ending determines the format.
        rate: mean frames per second.
        sound: a file whose sound is copied. If the format cannot contain it, that is logged.

    Raises:
        UserError: the file cannot be written.
    """

    def __init__(self, path: Path, *, rate: float, sound: str | None = None) -> None:
        self.path = path
        self.av = needed("av", path, EXTRA)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.container = self.av.open(str(path), "w")
        except OSError as error:
            raise UserError(f"cannot write to {path}: {error.strerror}") from None
        rate_of_codec = Fraction(rate).limit_denominator(1001)
        codec = self.container.default_video_codec
        self.stream = self.container.add_stream(codec, rate=rate_of_codec)
        self.stream.codec_context.time_base = _TICK
        self.stream.pix_fmt = "yuv420p"
        self.duration = round(1 / (rate_of_codec * _TICK))
        self.sound = None if sound is None else self._sound(sound)
        self.size: tuple[int, int] | None = None  # of the last frame

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Completes the video, also after an error."""
        if self.size is not None:
            self._mux(self.stream.encode(None))
            if kind is None:
                self._copy_sound(math.inf)
        self.container.close()
        if self.size is None:  # a video without frames is invalid
            self.path.unlink(missing_ok=True)
        if self.sound is not None:
            self.sound.container.close()

    def write(self, pixels: np.ndarray, time: float) -> None:
        """
        Args:
            pixels: uint8 [H, W, 3] in RGB.
            time: seconds from the start, later than the previous frame.
        """
        self._take(pixels.shape[0], pixels.shape[1])
        self._copy_sound(time)
        frame = self.av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(self.stream.width, self.stream.height, "yuv420p")
        frame.pts, frame.time_base = round(time / _TICK), _TICK
        self._mux(self.stream.encode(frame))

    def _take(self, height: int, width: int) -> None:
        """The size of the first frame becomes that of the video."""
        if self.size is None:
            self.stream.height, self.stream.width = height + height % 2, width + width % 2
        elif self.size != (height, width):
            size = f"{width} x {height}"
            logger.warning("%s: frames of %s pixels are scaled to the first one", self.path, size)
        self.size = height, width

    def _sound(self, source: str) -> Sound | None:
        container = self.av.open(source)
        try:
            return Sound(container, self.container)
        except ValueError as error:
            container.close()
            logger.warning("%s: its sound (%s) cannot be kept in %s", source, error, self.path)
            return None

    def _copy_sound(self, time: float) -> None:
        if self.sound is not None:
            self.container.mux([*self.sound.until(time)])

    def _mux(self, packets: Iterable[Any]) -> None:
        for packet in packets:
            packet.duration = self.duration
            self.container.mux(packet)
