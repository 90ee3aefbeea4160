import json
import logging
import struct
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import av
import cv2
import numpy as np
import pandas
import pytest

from hdetr_d2.commands import predict as predict_command
from hdetr_d2.errors import UserError
from hdetr_d2.inference.video import (
    TRACKERS,
    Frame,
    Tracker,
    VideoWriter,
    open_video,
    predict_video,
    watch,
)
from hdetr_d2.pixels import EIGHT_BITS
from hdetr_d2.runtime import Predictor, Shapes

HEIGHT, WIDTH, RATE, FRAMES = 64, 96, 25, 40
RED, BLUE, GREY = (250, 20, 20), (20, 20, 250), (128, 128, 128)


def crossing(number: int) -> list[list[float]]:
    """Boxes of two squares that pass each other in the middle, almost at one height."""
    left = 2.0 * number
    return [[4 + left, 22, 20 + left, 38], [76 - left, 24, 92 - left, 40]]


def picture(number: int, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    pixels = np.full((*size, 3), GREY, np.uint8)
    for color, box in zip((RED, BLUE), crossing(number), strict=True):
        left, top, right, bottom = map(int, box)
        pixels[top:bottom, left:right] = color
    return pixels


PICTURES = [picture(number) for number in range(FRAMES)]


def write_video(
    path: Path,
    pictures: Sequence[np.ndarray] = PICTURES,
    times: Sequence[float] | None = None,
    sound: str | None = None,
) -> Path:
    """By PyAV itself; sound is a tone as long as the frames at the usual rate."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = *pictures[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        audio = None if sound is None else container.add_stream(sound, rate=16000, layout="mono")
        for number, pixels in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            time = number / RATE if times is None else times[number]
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if audio is not None:
            for start in range(0, len(pictures) * 16000 // RATE, 1024):
                tone = np.sin(np.arange(start, start + 1024, dtype=np.float32) / 5)[None]
                samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
                samples.sample_rate, samples.pts = 16000, start
                container.mux(audio.encode(samples))
            container.mux(audio.encode(None))
    return path


class Truth:
    """Finds in the n-th image that it is given the n-th boxes, with these scores."""

    class_names = ("circle", "square")
    image_format = EIGHT_BITS

    def __init__(self, boxes: Sequence[Sequence[Sequence[float]]], score: float = 0.9) -> None:
        self.boxes = iter(boxes)
        self.score = score

    def read(self, entry: dict) -> dict:
        return entry

    def find(self, batch: Sequence[dict]) -> list[Shapes]:
        found = []
        for _ in batch:
            boxes = np.array(next(self.boxes), np.float32).reshape(-1, 4)
            scores = np.full(len(boxes), self.score, np.float32)
            found.append(Shapes(boxes, np.ones(len(boxes), int), scores))
        return found


def predictor(detector: Truth) -> Predictor:
    made = Predictor.__new__(Predictor)
    made.detector = detector
    return made


CROSSING = [crossing(number) for number in range(FRAMES)]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a checkpoint, whose model knows the truth."""
    monkeypatch.setattr(
        "hdetr_d2.runtime.options.Predictor", lambda *_, **__: predictor(Truth(CROSSING))
    )
    return "model.pth"


@pytest.mark.parametrize("track", TRACKERS)
@pytest.mark.parametrize("batch_size", [1, 3])
def test_objects_that_cross_keep_their_tracks(tmp_path: Path, track: str, batch_size: int) -> None:
    path = write_video(tmp_path / "a.mp4")
    seen: dict[int, set[Any]] = {0: set(), 1: set()}
    frames = [*watch(predictor(Truth(CROSSING)), path, track=track, batch_size=batch_size)]
    assert len(frames) == FRAMES
    for frame, boxes in zip(frames, CROSSING, strict=True):
        (found,) = frame.results.to_supervision()
        assert found.xyxy.tolist() == boxes  # nothing is lost, and the order stays
        for index in seen:
            seen[index].add(int(found.tracker_id[index]))
    ids = [each - {-1} for each in seen.values()]
    assert sorted(map(len, ids)) == [1, 1]
    assert ids[0] != ids[1]
    # A track begins with the second or third frame; in the middle one square hides the other.
    without = [n for n, frame in enumerate(frames) for r in frame.results if not r["track_id"]]
    assert {number for number in without if number > 2} <= {18, 19, 20}


def test_a_test_of_tracks_can_fail(tmp_path: Path) -> None:
    """Objects that jump through the picture are others."""
    jumps = [[[8.0 * (3 * n % 11), 0, 8.0 * (3 * n % 11) + 7, 8]] for n in range(FRAMES)]
    frames = watch(predictor(Truth(jumps)), write_video(tmp_path / "a.mp4"), track="bytetrack")
    assert {result["track_id"] for frame in frames for result in frame.results} == {None}


def test_a_video_becomes_a_table_and_a_drawn_video(tmp_path: Path, model: str) -> None:
    path = write_video(tmp_path / "a.mp4", sound="aac")
    summary = predict_video(model, path, output=tmp_path / "out.mp4", track="bytetrack")
    assert (summary.frames, summary.detections, summary.tracks) == (FRAMES, 2 * FRAMES, 2)
    table = pandas.read_csv(tmp_path / "out.csv")
    assert len(table) == 2 * FRAMES
    assert table["time"].tolist() == pytest.approx([n // 2 / RATE for n in range(2 * FRAMES)])
    assert table["track_id"].dropna().unique().tolist() == [1, 2]
    assert table.loc[0, ["image_id", "x_min", "y_max"]].tolist() == [1, 4, 38]
    with av.open(str(tmp_path / "out.mp4")) as drawn:
        frames = [*drawn.decode(video=0)]
        assert [frame.time for frame in frames] == pytest.approx([n / RATE for n in range(FRAMES)])
        pixels = frames[0].to_ndarray(format="rgb24").astype(int)
    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(pixels - PICTURES[0]).max() > 60  # a frame around
    assert np.abs(pixels[-8:, 30:60] - 128).max() < 12  # and nothing elsewhere


def packets(path: Path) -> list[tuple[float, bytes]]:
    """Of the sound: seconds after the first frame, as a kind of file may begin later, and bytes."""
    with av.open(str(path)) as container:
        first = next(container.decode(video=0)).time
    with av.open(str(path)) as container:
        demuxed = [packet for packet in container.demux(audio=0) if packet.size]
        return [(float(each.pts * each.time_base) - first, bytes(each)) for each in demuxed]


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
def test_sound_is_copied_as_it_is(tmp_path: Path, model: str, ending: str) -> None:
    path = write_video(tmp_path / "a.mp4", sound="aac")
    predict_video(model, path, output=tmp_path / f"out.{ending}")
    before, after = packets(path), packets(tmp_path / f"out.{ending}")
    assert [data for _, data in after] == [data for _, data in before]
    assert [t for t, _ in after] == pytest.approx([t for t, _ in before], abs=0.002)


def test_sound_that_a_file_cannot_hold_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "a.mp4", PICTURES[:2], sound="aac")
    with VideoWriter(tmp_path / "out.webm", rate=RATE, sound=str(path)) as writer:
        writer.write(PICTURES[0], 0.0)
    assert "a.mp4: its sound (aac) cannot be kept in" in caplog.text
    with av.open(str(tmp_path / "out.webm")) as container:
        assert not container.streams.audio


def test_uneven_times_stay(tmp_path: Path, model: str) -> None:
    times = [0.0, 0.04, 0.5, 0.52, 2.0]
    path = write_video(tmp_path / "a.mp4", PICTURES[:5], times)
    predict_video(model, path, output=tmp_path / "out.mkv", format="jsonl")
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["time"] for line in lines] == pytest.approx(times)
    with av.open(str(tmp_path / "out.mkv")) as drawn:
        found = [frame.time for frame in drawn.decode(video=0)]
    assert found == pytest.approx(times, abs=0.002)


def test_a_stream_without_times_goes_at_its_rate(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.h264", PICTURES[:6])
    with open_video(path) as video:
        assert video.length is None
        times = [frame.time for frame in video]
    assert times == pytest.approx([n / video.rate for n in range(6)])


def test_frames_of_several_sizes(
    tmp_path: Path, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    large = [picture(number, (96, 128)) for number in range(3)]
    first = write_video(tmp_path / "1.h264", PICTURES[:3]).read_bytes()
    second = write_video(tmp_path / "2.h264", large).read_bytes()
    (tmp_path / "a.h264").write_bytes(first + second)
    predict_video(model, tmp_path / "a.h264", output=tmp_path / "out", format="coco")
    content = json.loads((tmp_path / "out/predictions.json").read_text())
    assert [image["width"] for image in content["images"]] == [WIDTH] * 3 + [128] * 3
    with av.open(str(tmp_path / "out/a.mp4")) as drawn:
        assert [frame.width for frame in drawn.decode(video=0)] == [WIDTH] * 6
    assert caplog.text.count("frames of 128 x 96 pixels are scaled") == 1


def test_what_a_telephone_held_upright_has_filmed(tmp_path: Path) -> None:
    """The matrix of the track header turns pictures; OpenCV heeds it."""
    content = bytearray(write_video(tmp_path / "a.mp4", PICTURES[:1]).read_bytes())
    matrix = content.index(b"tkhd") + 44
    one = 1 << 16
    turn = struct.pack(">9i", 0, one, 0, -one, 0, 0, HEIGHT * one, 0, 1 << 30)
    content[matrix : matrix + 36] = turn
    (tmp_path / "turned.mp4").write_bytes(content)
    with open_video(tmp_path / "turned.mp4") as video:
        (frame,) = video
    there, theirs = cv2.VideoCapture(str(tmp_path / "turned.mp4")).read()
    assert there
    assert frame.pixels.shape == (WIDTH, HEIGHT, 3)
    assert np.abs(frame.pixels.astype(int) - theirs[..., ::-1]).mean() < 3


def test_odd_sides_are_written(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", rate=29.97) as writer:
        writer.write(np.zeros((33, 47, 3), np.uint8), 0.0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        (frame,) = container.decode(video=0)
    assert (frame.height, frame.width) == (34, 48)


def test_what_is_no_video_is_one_sentence(tmp_path: Path, model: str) -> None:
    whole = write_video(tmp_path / "a.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.mp4").write_text("no video")
    with av.open(str(tmp_path / "sound.m4a"), "w") as container:
        container.add_stream("aac", rate=16000, layout="mono")
        container.start_encoding()
    for name, sentence in {
        "half.mp4": "half.mp4 cannot be read as a video: Invalid data",
        "text.mp4": "text.mp4 cannot be read as a video: Invalid data",
        "sound.m4a": "sound.m4a contains no video",
        "gone.mp4": "gone.mp4 is no file",
        ".": "is no file",
    }.items():
        with pytest.raises(UserError, match=sentence):
            predict_video(model, tmp_path / name, output=tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_a_video_without_frames_is_one_sentence(tmp_path: Path, model: str) -> None:
    content = bytearray(write_video(tmp_path / "a.mp4", PICTURES[:5]).read_bytes())
    start, stop = content.index(b"mdat") + 4, content.index(b"moov") - 4
    content[start:stop] = b"\xff" * (stop - start)
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(UserError, match="a.mp4 has no frame that can be read"):
        predict_video(model, tmp_path / "a.mp4", output=tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_broken_parts_are_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        broken = [packet for packet in container.demux(video=0) if packet.size][20]
    content = bytearray(path.read_bytes())
    content[broken.pos : broken.pos + broken.size] = b"\xff" * broken.size
    path.write_bytes(content)
    with open_video(path) as video:
        times = [frame.time for frame in video]
    assert len(times) == FRAMES - 1
    assert times == sorted(times)
    assert "a.mp4: 1 of its packets cannot be read: left out" in caplog.text


def test_an_address_is_read_without_its_sound(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write_video(tmp_path / "a.mp4", sound="aac")
    handler = partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with open_video(f"http://me:secret@127.0.0.1:{server.server_port}/{path.name}") as video:
            assert len([*video]) == FRAMES
        server.shutdown()
    assert video.name == f"http://127.0.0.1:{server.server_port}/a.mp4"
    assert video.sound is None
    assert "the sound of a stream is not kept" in caplog.text


def test_the_video_that_is_read_is_not_written_over(tmp_path: Path, model: str) -> None:
    path = write_video(tmp_path / "a.mp4", PICTURES[:2])
    before = path.read_bytes()
    for output in (path, tmp_path):
        with pytest.raises(UserError, match="a.mp4 is the video that is read"):
            predict_video(model, path, output=output)
    assert path.read_bytes() == before


def test_low_scores_go_on_with_a_track_and_begin_none() -> None:
    tracker = Tracker("bytetrack", rate=RATE, score_threshold=0.5)
    scores = [0.9, 0.9, 0.3, 0.9]
    kept = []
    for number, score in enumerate(scores):
        boxes = np.array([[10, 10, 30, 30], [60, 10, 80, 30]], np.float32) + number
        shapes = Shapes(boxes, np.zeros(2, int), np.array([score, 0.3], np.float32))
        found = tracker.update(Frame(number / RATE, PICTURES[0]), shapes)
        kept.append(found.tracks.tolist())
    assert kept == [[-1], [0], [0], [0]]


@pytest.mark.parametrize("name", TRACKERS)
def test_no_tracker_loses_a_detection_or_changes_the_order(name: str) -> None:
    tracker = Tracker(name, rate=RATE, score_threshold=0.01)
    boxes = np.array([[10, 10, 30, 30], [60, 10, 80, 30], [10, 40, 30, 60]], np.float32)
    shapes = Shapes(boxes, np.array([0, 1, 1]), np.array([0.05, 0.9, 0.3], np.float32))
    for number in range(4):
        found = tracker.update(Frame(number / RATE, PICTURES[0]), shapes)
        assert found.boxes.tolist() == boxes.tolist()
        assert found.classes.tolist() == [0, 1, 1]
    assert found.tracks[1] >= 0


@pytest.mark.parametrize("name", TRACKERS)
def test_an_object_that_is_found_twice_has_one_track(name: str) -> None:
    """Once as another class, once with another box, and once with a low score."""
    tracker = Tracker(name, rate=RATE, score_threshold=0.5)
    boxes = np.array([[10, 10, 50, 50]] * 2 + [[10, 10, 50, 46], [10, 11, 50, 50]], np.float32)
    shapes = Shapes(boxes, np.array([0, 1, 0, 1]), np.array([0.9, 0.8, 0.7, 0.3], np.float32))
    for number in range(4):
        found = tracker.update(Frame(number / RATE, PICTURES[0]), shapes)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.7])  # what is found stays
    assert found.tracks.tolist() == [0, -1, -1]


def test_frames_without_objects_are_frames() -> None:
    tracker = Tracker("bytetrack", rate=RATE, score_threshold=0.5)
    none = Shapes(np.zeros((0, 4), np.float32), np.zeros(0, int), np.zeros(0, np.float32))
    for number in range(3):
        found = tracker.update(Frame(number / RATE, PICTURES[0]), none)
        assert (len(found), found.tracks.tolist()) == (0, [])


class Capture:
    """Stands for cv2.VideoCapture: two frames, then nothing."""

    def __init__(self, number: int) -> None:
        self.frames = [] if number else [PICTURES[0][..., ::-1], PICTURES[1][..., ::-1]]

    def isOpened(self) -> bool:
        return bool(self.frames)

    def get(self, _: int) -> float:
        return -1.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        return (True, self.frames.pop(0)) if self.frames else (False, None)

    def release(self) -> None: ...


def test_a_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    with open_video("0") as video:
        frames = [*video]
    assert (video.name, video.rate, video.length) == ("camera 0", 30, None)
    assert np.array_equal(frames[1].pixels, PICTURES[1])
    assert 0 == frames[0].time < frames[1].time
    with pytest.raises(UserError, match="camera 7 cannot be opened"):
        open_video(7)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 90000.0, 1e-6])
def test_a_rate_that_is_none_is_the_usual_one(monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    monkeypatch.setattr(Capture, "get", lambda *_: rate)
    monkeypatch.setattr(cv2, "VideoCapture", Capture)
    with open_video(0) as video:
        assert video.rate == 30


def test_ctrl_c_leaves_whole_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Stopped(Truth):
        def find(self, batch: Sequence[dict]) -> list[Shapes]:
            try:
                return super().find(batch)
            except StopIteration:
                raise KeyboardInterrupt from None

    caplog.set_level(logging.INFO)
    detector = Stopped(CROSSING[:10])
    monkeypatch.setattr("hdetr_d2.runtime.options.Predictor", lambda *_, **__: predictor(detector))
    path = write_video(tmp_path / "a.mp4", sound="aac")
    summary = predict_video("m.pth", path, output=tmp_path / "out.mp4", format=["csv", "coco"])
    assert summary.frames == 10
    assert len(json.loads((tmp_path / "out.json").read_text())["images"]) == 10
    with av.open(str(tmp_path / "out.mp4")) as drawn:
        assert len([*drawn.decode(video=0)]) == 10
    assert packets(tmp_path / "out.mp4")[-1][0] < 10 / RATE
    assert "Ended by Ctrl-C" in caplog.text


def test_the_password_of_a_stream_stays_out_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError) as caught:
        open_video("rtsp://me:secret@127.0.0.1:1/x")
    assert "rtsp://127.0.0.1:1/x cannot be read as a video" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_missing_package_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def without(package: str) -> None:
        raise ImportError(name=package)

    monkeypatch.setattr("hdetr_d2.runtime.needed.import_module", without)
    with pytest.raises(UserError, match=r"needs av: pip install 'hdetr_d2\[track\]'"):
        open_video(tmp_path / "a.mp4")
    with pytest.raises(UserError, match=r"tracking needs trackers: pip install 'hdetr_d2\[track\]"):
        Tracker("sort", rate=RATE, score_threshold=0.5)
    with pytest.raises(UserError, match="camera 0 needs cv2: pip install opencv-python-headless"):
        open_video(0)


def test_there_is_no_such_tracker() -> None:
    with pytest.raises(UserError, match="no tracker 'kalman': there are bytetrack, botsort"):
        Tracker("kalman", rate=RATE, score_threshold=0.5)


def test_the_command(tmp_path: Path, model: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_video(tmp_path / "a.mp4"))
    words = [model, "--input", path, "--track", "--output", str(tmp_path / "tracks.csv")]
    assert predict_command.main(words) == 0
    assert pandas.read_csv(tmp_path / "tracks.csv")["track_id"].nunique() == 2
    assert not (tmp_path / "tracks.mp4").exists()
    for wrong, sentence in [
        ([model], "give images, or a video with --input"),
        ([model, "a.jpg", "--input", path], "give images, or a video with --input"),
        ([model, "a.jpg", "--track"], "--track is for a video"),
        ([model, "--input", str(tmp_path / "gone.mp4")], "gone.mp4 is no file"),
    ]:
        with pytest.raises(SystemExit) as stop:
            predict_command.main(wrong)
        assert stop.value.code == 2
        assert sentence in capsys.readouterr().err
