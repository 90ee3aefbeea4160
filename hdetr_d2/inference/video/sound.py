"""Copies the sound of a video file."""

from collections.abc import Iterator
from typing import Any

from hdetr_d2.inference.video.reading import MICROSECONDS


class Sound:
    """Copies sound packets to another file, without decoding them.

    Args:
        container: of PyAV, the file with the sound.
        target: of PyAV, the output.

    Raises:
        ValueError: the output format cannot contain this sound.
    """

    def __init__(self, container: Any, target: Any) -> None:
        self.container = container
        stream = container.streams.audio[0]
        if stream.codec.canonical_name not in target.supported_codecs:
            raise ValueError(stream.codec.canonical_name)
        self.target = target.add_stream_from_template(stream)
        self.packets = (packet for packet in container.demux(stream) if packet.dts is not None)
        self.start = (container.start_time or 0) / MICROSECONDS
        self.waiting: Any = None

    def until(self, time: float) -> Iterator[Any]:
        """Copies the packets that begin up to `time`, in seconds from the start of the video."""
        while True:
            packet = self.waiting or next(self.packets, None)
            self.waiting = packet
            if packet is None or float(packet.dts * packet.time_base) - self.start > time:
                return
            self.waiting = None
            shift = round(self.start / packet.time_base)
            shown = packet.dts if packet.pts is None else packet.pts
            packet.pts, packet.dts = shown - shift, packet.dts - shift
            packet.stream = self.target
            yield packet
