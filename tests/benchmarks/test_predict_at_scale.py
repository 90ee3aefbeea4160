import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import small_images
from predict_at_scale import check
from small_images import draw, jpeg

from hdetr_d2.inference.names import named_images


def row(number: int, **more: Any) -> dict[str, Any]:
    return {"id": number + 1, "file_name": f"a.tar/{number:07d}.jpg", "detections": [], **more}


def process(folder: Path, *rows: dict[str, Any]) -> Any:
    path = folder / f"{len(list(folder.iterdir()))}.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return SimpleNamespace(path=path)


def test_each_image_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_images, "BROKEN", 3)
    broken = {"id": 3, "file_name": "0000002.jpg", "error": "cut off"}
    first = process(tmp_path, row(0, detections=[{}]), broken)
    assert check([first, process(tmp_path, row(1))], 3) == {"found": 1, "none": 1, "error": 1}
    with pytest.raises(SystemExit, match="1 images are missing"):
        check([first], 3)
    with pytest.raises(SystemExit, match="image 0 is double"):
        check([first, process(tmp_path, row(0), row(1))], 3)
    with pytest.raises(SystemExit, match="image 1 is double or another one"):
        check([first, process(tmp_path, row(1, file_name="0000004.jpg"))], 3)


def test_the_images_stand_by_their_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_images, "SHARD", 10)
    sources = draw(tmp_path, 25)  # 2 are listed, the others in shards of 10, 10 and 3
    assert len(sources) == 4
    found = list(named_images(sources))
    assert [Path(named.name).stem for _, named in found] == [f"{n:07d}" for n in range(25)]
    assert found[24][1].content == jpeg(24) != jpeg(23)
    with tarfile.open(sources[-1]) as tar:
        assert len(tar.getmembers()) == 3
