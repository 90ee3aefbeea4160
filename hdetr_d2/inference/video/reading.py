"""Reads videos frame by frame: files and streams with PyAV, cameras with OpenCV."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import numpy as np

from hdetr_d2.errors import UserError
from hdetr_d2.runtime.needed import needed

logger = logging.getLogger(__name__)

EXTRA = "'hdetr_d2[track]'"
USUAL_RATE = 30.0
"""Frames per second, if unknown."""
_SLOWEST, _FASTEST = 0.01, 1000.0
_OPENING, _READING = 10.0, 30.0  # seconds to wait for a stream
MICROSECONDS = 1_000_000


class Frame(NamedTuple):
    """time: seconds from the start of the video, strictly increasing. pixels: uint8 [H, W, 3] in
    RGB, upright.
    """

    time: float
    pixels: np.ndarray


class Video(Protocol):
    """An opened video, whose frames can be read once.

    name: for messages and files. rate: mean frames per second. length: number of frames, if known.
    sound: the file with its sound, or None.
    """

    name: str
    rate: float
    length: int | None
    sound: str | None

    def __enter__(self) -> "Video": ...
    def __exit__(self, *_: object) -> None: ...
    def __iter__(self) -> Iterator[Frame]: ...


def open_video(source: str | Path | int) -> Video:
    """
    Args:
        source: a video file, the address of a stream ("rtsp://..."), or the number of a camera.

    Raises:
        UserError: it cannot be opened or has no video, or the package that reads it is not
            installed.
    """
    if is_camera(source):
        return Camera(int(str(source)))
    return FileVideo(str(source))


def is_camera(source: str | Path | int) -> bool:
    """Whether it is a number, and not the name of a file."""
    return str(source).isdecimal() and not Path(str(source)).exists()


class FileVideo:
    """A file or a stream; see `Video`. Frames that cannot be decoded are skipped, and counted in
    the log.

    Args:
        source: path or address.

    Raises:
        UserError: see `open_video`.
    """

    def __init__(self, source: str) -> None:
        self.name = without_password(source) if "://" in source else source
        self.av = needed("av", "a video", EXTRA)
        is_stream = "://" in source
        if not is_stream and not Path(source).is_file():
            raise UserError(f"{source} is no file")
        options: dict[str, Any] = {"timeout": (_OPENING, _READING)} if is_stream else {}
        try:
            self.container = self.av.open(source, **options)
        except self.av.FFmpegError as error:
            raise UserError(f"{self.name} cannot be read as a video: {error.strerror}") from None
        if not self.container.streams.video:
            self.container.close()
            raise UserError(f"{self.name} contains no video")
        self.stream = self.container.streams.video[0]
        self.stream.thread_type = "AUTO"
        self.rate = _sensible(self.stream.average_rate or self.stream.guessed_rate)
        self.length = self._length()
        has_sound = bool(self.container.streams.audio)
        if has_sound and is_stream:
            logger.warning("%s: the sound of a stream is not kept", self.name)
        self.sound = source if has_sound and not is_stream else None

    def __enter__(self) -> "FileVideo":
        return self

    def __exit__(self, *_: object) -> None:
        self.container.close()

    def __iter__(self) -> Iterator[Frame]:
        start, last = (self.container.start_time or 0) / MICROSECONDS, -1 / self.rate
        for frame in self._decoded():
            now = last if frame.time is None else frame.time - start
            # A clock that stands still or runs backwards is ignored.
            last = now if now > last else last + 1 / self.rate
            pixels = frame.to_ndarray(format="rgb24")
            # Phones store videos as recorded, together with their rotation.
            turns = round(frame.rotation / 90)
            yield Frame(last, np.ascontiguousarray(np.rot90(pixels, turns)))

    def _decoded(self) -> Iterator[Any]:
        frames = broken = 0
        packets = self.container.demux(self.stream)
        while True:
            try:
                decoded = next(packets).decode()
            except StopIteration:
                break
            except self.av.FFmpegError:
                broken += 1
                continue
            frames += len(decoded)
            yield from decoded
        if not frames:
            raise UserError(f"{self.name} has no frame that can be read")
        if broken:
            logger.warning("%s: %d of its packets cannot be read: left out", self.name, broken)

    def _length(self) -> int | None:
        if self.stream.frames:
            return self.stream.frames
        seconds = (self.container.duration or 0) / MICROSECONDS
        return round(seconds * self.rate) or None


class Camera:
    """A camera of this machine, until it is unplugged or Ctrl-C is pressed; see `Video`. Time
    starts with the first frame.

    Args:
        number: 0 is the first camera.

    Raises:
        UserError: see `open_video`.
    """

    def __init__(self, number: int) -> None:
        self.name = f"camera {number}"
        self.length: int | None = None
        self.sound: str | None = None
        cv2 = needed("cv2", self.name, "opencv-python-headless")
        self.capture = cv2.VideoCapture(number)
        if not self.capture.isOpened():
            raise UserError(f"{self.name} cannot be opened: 0 is the first camera of this machine")
        self.rate = _sensible(self.capture.get(cv2.CAP_PROP_FPS))

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *_: object) -> None:
        self.capture.release()

    def __iter__(self) -> Iterator[Frame]:
        start = None
        while True:
            there, image = self.capture.read()
            if not there:
                break
            now = time.monotonic()
            start = now if start is None else start
            yield Frame(now - start, np.ascontiguousarray(image[..., ::-1]))
        if start is None:
            raise UserError(f"{self.name} gives no frame")


def _sensible(rate: Any) -> float:
    """Frames per second; sources that do not know it report 0, -1 or the ticks of their clock."""
    return float(rate) if rate and _SLOWEST <= rate <= _FASTEST else USUAL_RATE


def without_password(address: str) -> str:
    """The address of a stream without credentials, since names appear in logs and files."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
