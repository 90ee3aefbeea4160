"""Very many images by several processes: no image twice, none left out."""

import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from hdetr_d2.commands import predict as predict_command
from hdetr_d2.errors import UserError
from hdetr_d2.inference.appended import JsonLines, Parquet
from hdetr_d2.inference.at_scale import Share, predict_at_scale
from hdetr_d2.inference.names import named_images
from hdetr_d2.pixels import EIGHT_BITS, MultiChannel
from hdetr_d2.runtime.options import InferenceOptions
from hdetr_d2.runtime.predictor import Predictor
from hdetr_d2.runtime.shapes import Shapes


class OneBox:
    """A detector that finds in every image a box as large as it."""

    class_names = ("a", "b")
    image_format = EIGHT_BITS

    def read(self, entry: dict) -> dict:
        return entry

    def find(self, batch: list[dict]) -> list[Shapes]:
        found = []
        for entry in batch:
            height, width = entry["image"].shape[:2]
            boxes = np.array([[0, 0, width, height]] * 2, np.float32)
            found.append(Shapes(boxes, np.array([1, 0]), np.array([0.9, 0.1], np.float32)))
        return found


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Seven images, of which number 3 is broken; image n is n + 1 pixels wide."""
    predictor = object.__new__(Predictor)
    predictor.detector = OneBox()
    monkeypatch.setattr("hdetr_d2.runtime.options.Predictor", lambda *args, **options: predictor)
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for number in range(7):
        path = folder / ("more" if number < 2 else "") / f"{number}.png"
        Image.new("RGB", (number + 1, 4)).save(path)
    (folder / "3.png").write_bytes(b"no image")
    (folder / "notes.md").touch()
    return folder


def rows(output: Path) -> list[dict]:
    """Of all processes, by the number of the image."""
    lines = [line for path in output.glob("*.jsonl") for line in path.read_text().splitlines()]
    return sorted(map(json.loads, lines), key=lambda row: row["id"])


def in_all(
    count: int, images: list, output: Path, *, format: list[str] | None = None, **options: object
) -> list[int]:
    asked = InferenceOptions(**options)
    return [
        predict_at_scale(
            "model.pth", images, output, asked, format=format, share=Share(rank, count)
        )
        for rank in range(count)
    ]


def test_the_command(photos: Path, tmp_path: Path) -> None:
    words = ["model.pth", str(photos), "--append", "--output", str(tmp_path / "found")]
    assert predict_command.main(words) == 0
    assert len(rows(tmp_path / "found")) == 7


def test_every_image_is_a_row_of_one_process(photos: Path, tmp_path: Path) -> None:
    assert in_all(3, [photos], tmp_path / "found", batch_size=2) == [3, 2, 2]
    found = rows(tmp_path / "found")
    names = ["2.png", "3.png", "4.png", "5.png", "6.png", "more/0.png", "more/1.png"]
    assert [row["file_name"] for row in found] == [str(photos / name) for name in names]
    assert [row["id"] for row in found] == [1, 2, 3, 4, 5, 6, 7]
    box = {
        "category_id": 2,
        "category_name": "b",
        "score": pytest.approx(0.9),
        "bbox": [0, 0, 3, 4],
    }
    assert found[0] == {
        "id": 1,
        "file_name": str(photos / "2.png"),
        "width": 3,
        "height": 4,
        "detections": [box],
    }
    assert "3.png cannot be read as an image" in found[1]["error"]


@pytest.mark.parametrize("cut", [0, 1, 25, 300])
def test_a_killed_process_goes_on_without_a_double_or_a_gap(
    photos: Path, tmp_path: Path, cut: int
) -> None:
    in_all(2, [photos], tmp_path / "whole")
    in_all(2, [photos], tmp_path / "found")
    path = tmp_path / "found" / "results-00001-of-00002.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - cut])  # as a kill leaves it, in the middle of a line
    in_all(2, [photos], tmp_path / "found")
    assert rows(tmp_path / "found") == rows(tmp_path / "whole")
    assert path.read_bytes() == whole


def test_a_finished_run_has_nothing_left(photos: Path, tmp_path: Path) -> None:
    in_all(2, [photos], tmp_path / "found")
    assert in_all(2, [photos], tmp_path / "found") == [0, 0]


def test_another_number_of_processes_or_another_option_is_a_sentence(
    photos: Path, tmp_path: Path
) -> None:
    in_all(2, [photos], tmp_path / "found")
    with pytest.raises(UserError, match="results with processes=2, and now it is 3: give the same"):
        in_all(3, [photos], tmp_path / "found")
    with pytest.raises(UserError, match="results with score_threshold=0.5, and now it is 0.2"):
        in_all(2, [photos], tmp_path / "found", score_threshold=0.2)


def test_other_images_are_a_sentence(photos: Path, tmp_path: Path) -> None:
    in_all(2, [photos], tmp_path / "found")
    Image.new("RGB", (2, 2)).save(photos / "1.png")
    with pytest.raises(UserError, match="number 7 was .*more/1.png and is .*more/0.png now"):
        in_all(1, [photos], tmp_path / "found2") and in_all(2, [photos], tmp_path / "found")


def test_lists_and_tar_files_are_read_as_they_come(photos: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text(f"{photos}/5.png\n\n{photos}/more/0.png\n")
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        tar.add(photos, "all")
    assert in_all(2, [names, tmp_path / "shard.tar", photos / "6.png"], tmp_path / "found") == [
        5,
        5,
    ]
    found = rows(tmp_path / "found")
    widths = {Path(row["file_name"]).name: row.get("width") for row in found}
    assert widths == {f"{n}.png": n + 1 if n != 3 else None for n in range(7)}
    assert {str(Path(row["file_name"]).parent) for row in found[2:9]} == {
        f"{tmp_path}/shard.tar/all",
        f"{tmp_path}/shard.tar/all/more",
    }
    (broken,) = [row for row in found if "error" in row]
    assert (
        "shard.tar/all/3.png cannot be read as an image: its format is unknown" in broken["error"]
    )


@pytest.mark.parametrize("source", ["list", "folder", "tar"])
def test_images_of_other_channels_come_from_anywhere(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    """The width of an image is that of the box that is found in it."""
    monkeypatch.setattr(OneBox, "image_format", MultiChannel(5, 65535))
    folder = tmp_path / "deep"
    folder.mkdir()
    np.save(folder / "a.npy", np.zeros((5, 4, 7), np.uint16))
    np.save(folder / "b.npy", np.zeros((4, 8, 3), np.uint16))
    tifffile.imwrite(folder / "c.tif", np.zeros((4, 9, 5), np.uint16), photometric="minisblack",
                     planarconfig="contig")  # fmt: skip
    Image.new("RGB", (5, 5)).save(folder / "d.png")
    names = ["a.npy", "b.npy", "c.tif", "d.png"]
    where = {"list": tmp_path / "names.txt", "folder": folder, "tar": tmp_path / "shard.tar"}
    where["list"].write_text("".join(f"{folder / name}\n" for name in names))
    with tarfile.open(where["tar"], "w") as tar:
        for name in names:
            tar.add(folder / name, name)
    assert in_all(1, [where[source]], tmp_path / "found") == [4]
    found = rows(tmp_path / "found")
    base = where["tar"] if source == "tar" else folder
    assert [row["file_name"] for row in found] == [f"{base}/{name}" for name in names]
    boxes = [each["detections"][0]["bbox"] for each in found if "detections" in each]
    assert boxes == [[0, 0, 7, 4], [0, 0, 9, 4]]
    assert [row["error"] for row in found if "error" in row] == [
        f"{base}/b.npy is 4 x 8 x 3, but data.channels=5: its first or its last axis must have so "
        "many",
        f"{base}/d.png has 3 channel(s), but data.channels=5",
    ]


def test_only_its_own_members_of_a_tar_file_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard_of(tmp_path / "shard.tar", 6)
    reads = []
    read = tarfile.ExFileObject.read
    monkeypatch.setattr(tarfile.ExFileObject, "read", lambda file: reads.append(file) or read(file))
    named = list(named_images([tmp_path / "shard.tar"], first=1, every=3))
    assert [(number, image.content) for number, image in named] == [(1, b"abc"), (4, b"abc")]
    assert len(reads) == 2


def shard_of(path: Path, members: int) -> bytes:
    """A tar file of so many images of 3 bytes, two blocks of 512 bytes each, and its content."""
    with tarfile.open(path, "w") as tar:
        for number in range(members):
            info = tarfile.TarInfo(f"{number}.jpg")
            info.size = 3
            tar.addfile(info, io.BytesIO(b"abc"))
    return path.read_bytes()


@pytest.mark.parametrize("cut", [2048 + 100, 1024 + 514])
def test_a_tar_file_that_is_cut_off_is_a_sentence(tmp_path: Path, cut: int) -> None:
    """In the header of the third member, and in the bytes of the second one."""
    path = tmp_path / "shard.tar"
    path.write_bytes(shard_of(path, 4)[:cut])
    with pytest.raises(UserError, match="shard.tar cannot be read as a tar file: "):
        list(named_images([path]))


def test_a_tar_file_without_an_end_is_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "shard.tar"
    whole = shard_of(path, 4)
    assert len(list(named_images([path]))) == 4 and not caplog.text
    path.write_bytes(whole[:2048])
    assert len(list(named_images([path]))) == 2
    assert "shard.tar has no mark at its end: images may be missing" in caplog.text


def test_a_million_names_are_not_held(tmp_path: Path) -> None:
    import tracemalloc

    names = tmp_path / "names.txt"
    names.write_text("".join(f"{number:06d}.jpg\n" for number in range(100_000)))
    tracemalloc.start()
    assert sum(1 for _ in named_images([names], every=2)) == 50_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def test_what_is_not_there_is_a_sentence(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="none.tar does not exist"):
        in_all(1, [tmp_path / "none.tar"], tmp_path / "found")
    (tmp_path / "odd.tar").write_text("no tar")
    with pytest.raises(UserError, match="odd.tar cannot be read as a tar file"):
        in_all(1, [tmp_path / "odd.tar"], tmp_path / "odd")
    with pytest.raises(UserError, match="in one of the formats jsonl, parquet"):
        in_all(1, [photos], tmp_path / "found", format=["csv"])


def test_the_name_of_a_file_is_no_folder(photos: Path, tmp_path: Path) -> None:
    for name in ("found.txt", "found.jsonl"):
        with pytest.raises(UserError, match=f"appended to a folder, but .*{name} is like a file"):
            in_all(1, [photos], tmp_path / name)
        assert not (tmp_path / name).exists()
    (tmp_path / "found.txt").mkdir()
    assert in_all(1, [photos], tmp_path / "found.txt") == [7]


def test_lines_of_others_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "results.jsonl").write_text("this and that\n")
    with pytest.raises(UserError, match="results.jsonl holds other lines than results"):
        JsonLines(tmp_path / "results")


def test_parquet_has_the_same_rows(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(Parquet, "rows", 2)
    in_all(2, [photos], tmp_path / "found", format=["parquet"])
    parts = sorted((tmp_path / "found").glob("*.parquet"))
    assert [path.name[:24] for path in parts] == [
        *["results-00000-of-00002-0"] * 2,
        *["results-00001-of-00002-0"] * 2,
    ]
    parts[1].unlink()  # what a kill did not let it write
    (tmp_path / "found" / f".{parts[1].name}").write_text("half")
    assert in_all(2, [photos], tmp_path / "found", format=["parquet"]) == [2, 0]
    found = [row for path in parts for row in parquet.read_table(path).to_pylist()]
    in_all(1, [photos], tmp_path / "lines")
    assert sorted(map(known, found), key=lambda row: row["id"]) == rows(tmp_path / "lines")


def known(value: Any) -> Any:
    """Without what is None, in dicts within dicts and lists."""
    if isinstance(value, dict):
        return {key: known(each) for key, each in value.items() if each is not None}
    return [known(each) for each in value] if isinstance(value, list) else value


def test_torchrun_tells_the_share() -> None:
    told = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
    assert Share.of_torchrun(told) == Share(5, 8, 1)
    assert Share.of_torchrun({"RANK": "5"}) == Share(0, 1, 0)


@pytest.mark.skipif(os.name != "posix", reason="needs names that are bytes")
def test_names_that_are_not_utf8_come_through(photos: Path, tmp_path: Path) -> None:
    """Of a folder, a tar file and a list; one of the images is broken."""
    content, odd = (photos / "4.png").read_bytes(), os.fsdecode(b"caf\xe9.png")
    with tarfile.open(tmp_path / "shard.tar", "w", format=tarfile.GNU_FORMAT) as tar:
        info = tarfile.TarInfo(odd)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / odd).write_bytes(content)
    (tmp_path / "odd" / f"no {odd}").write_bytes(b"no image")
    (tmp_path / "names.txt").write_bytes(os.fsencode(tmp_path / "odd" / odd) + b"\n")
    sources = [tmp_path / "shard.tar", tmp_path / "odd", tmp_path / "names.txt"]
    assert in_all(1, sources, tmp_path / "found") == [4]
    found = rows(tmp_path / "found")
    assert [row.get("width") for row in found] == [5, 5, None, 5]
    names = ["shard.tar/caf\\xe9.png", "odd/caf\\xe9.png", "odd/no caf\\xe9.png"]
    wanted = [f"{tmp_path}/{name}" for name in [*names, "odd/caf\\xe9.png"]]
    assert [row["file_name"] for row in found] == wanted
    assert found[2]["error"].startswith(f"{wanted[2]} cannot be read as an image")
    assert in_all(1, sources, tmp_path / "found") == [0]
