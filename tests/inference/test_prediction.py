import hdetr_d2

import json
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig, instantiate
from PIL import Image
from torch import nn

from hdetr_d2.commands import predict as predict_command
from hdetr_d2.engine.config import config_text
from hdetr_d2.errors import UserError
from hdetr_d2.inference.files import find_images
from hdetr_d2.inference.outputs import outputs_of, video_outputs

CONFIG = Path(__file__).resolve().parents[2] / "configs/quickstart/deformable_detr_shapes.py"
NAMES = ["cat", "dog", "cow"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The quickstart model as it is before training, saved as training saves it."""
    cfg = LazyConfig.load(str(CONFIG))
    cfg.data.num_classes, cfg.data.class_names = len(NAMES), NAMES
    path = tmp_path_factory.mktemp("run") / "model.pth"
    metadata = {"config": config_text(cfg), "class_names": NAMES}
    torch.save({"model": instantiate(cfg.model).state_dict(), "metadata": metadata}, path)
    return path


def images(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), (200, 30, 30)).save(folder / name)
    return folder


def test_a_folder_becomes_a_coco_json_and_pictures(checkpoint: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "in", "b.png", "a.jpg", "deep/b.png")
    (folder / "notes.txt").write_text("no image")
    output = tmp_path / "out"
    results = hdetr_d2.predict(
        checkpoint, folder, output=output, score_threshold=0.0, device="cpu", batch_size=2
    )
    content = json.loads((output / "predictions.json").read_text())
    names = ["a.jpg", "b.png", "deep/b.png"]
    assert [image["file_name"] for image in content["images"]] == [str(folder / n) for n in names]
    assert [category["name"] for category in content["categories"]] == NAMES
    assert len(content["annotations"]) == len(results) > 0
    assert {result["image_id"] for result in results} == {1, 2, 3}
    assert all(result["category_name"] in NAMES for result in results)
    for name in names:
        assert Image.open(output / "pictures" / name).size == (64, 48)


def test_a_large_image_is_looked_at_in_tiles(checkpoint: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "in", "a.png")
    options = {"score_threshold": 0.0, "device": "cpu"}
    whole = hdetr_d2.predict(checkpoint, folder, **options)
    assert hdetr_d2.predict(checkpoint, folder, tile=64, **options) == whole  # it is one tile
    tiled = hdetr_d2.predict(
        checkpoint, folder, tile=32, overlap=0.25, batch_size=4, output=tmp_path / "out", **options
    )
    predictor = hdetr_d2.Predictor(checkpoint, device="cpu").tiled(32, 0.25, batch_size=4)
    found = predictor(Image.open(folder / "a.png"), score_threshold=0.0)
    assert [each["bbox"] for each in found] == [each["bbox"] for each in tiled]
    assert tiled != whole
    assert (tmp_path / "out/pictures/a.png").is_file()
    with pytest.raises(UserError, match="tile=8 must have at least 32"):
        hdetr_d2.predict(checkpoint, folder, tile=8, **options)


def test_the_forward_pass_has_the_precision_that_is_asked_for(
    checkpoint: Path, tmp_path: Path
) -> None:
    folder = images(tmp_path / "in", "a.png")
    seen = []

    def note(_: object, __: object, output: torch.Tensor) -> None:
        seen.append(output.dtype)

    for precision in ("float32", "bfloat16"):
        predictor = hdetr_d2.Predictor(checkpoint, device="cpu", precision=precision)
        first = next(m for m in predictor.detector.model.modules() if isinstance(m, nn.Conv2d))
        first.register_forward_hook(note)
        found = predictor(folder / "a.png", score_threshold=0.0)
        scores = [each["score"] for each in found]
        options = {"precision": precision, "score_threshold": 0.0, "device": "cpu"}
        results = hdetr_d2.predict(checkpoint, folder, **options)
        assert [each["score"] for each in results] == scores != []
    assert seen == [torch.float32, torch.bfloat16]
    with torch.autocast("cpu", torch.bfloat16):  # of the caller
        predictor = hdetr_d2.Predictor(checkpoint, device="cpu")
        assert [
            each["score"] for each in predictor(folder / "a.png", score_threshold=0.0)
        ] == scores


@pytest.mark.parametrize(
    ("precision", "sentence"),
    [
        ("half", "precision=half is none of float32, bfloat16, float16"),
        ("float16", "precision=float16 needs CUDA, and the device is cpu: use bfloat16"),
    ],
)
def test_a_precision_that_is_not_there(checkpoint: Path, precision: str, sentence: str) -> None:
    with pytest.raises(UserError, match=sentence):
        hdetr_d2.Predictor(checkpoint, device="cpu", precision=precision)


def test_what_is_exported_has_its_own_precision(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"precision=bfloat16: .*x\.onnx has the one"):
        hdetr_d2.Predictor(tmp_path / "x.onnx", precision="bfloat16")


def test_other_formats_and_single_files(checkpoint: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "in", "a.png", "deep/b.png")
    options = {"score_threshold": 0.0, "device": "cpu"}
    output = tmp_path / "out"
    found = hdetr_d2.predict(checkpoint, folder, output=output, format=["csv", "yolo"], **options)
    rows = (output / "predictions.csv").read_text().splitlines()
    assert len(rows) == len(found) + 1
    labels = {path.relative_to(output / "labels"): path for path in output.rglob("labels/**/*.txt")}
    assert {*map(str, labels)} == {"a.txt", "deep/b.txt"}
    assert sum(len(path.read_text().splitlines()) for path in labels.values()) == len(found)
    assert (output / "pictures/deep/b.png").is_file()
    assert not (output / "predictions.json").exists()
    hdetr_d2.predict(checkpoint, folder, output=tmp_path / "alone.jsonl", **options)
    lines = (tmp_path / "alone.jsonl").read_text().splitlines()
    assert [json.loads(line)["file_name"] for line in lines] == [
        str(folder / name) for name in ("a.png", "deep/b.png")
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out", "alone.jsonl"}


def test_images_may_stand_behind_options(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[list[str]] = []
    monkeypatch.setattr(
        predict_command, "predict_images", lambda _, images, *__, **___: taken.append(images)
    )
    for words in (
        ["m.pth", "a.jpg", "b.jpg", "--output", "o"],
        ["m.pth", "--output", "o", "a.jpg", "b.jpg"],
        ["--tile", "64", "m.pth", "a.jpg", "b.jpg", "--output", "o"],
        ["m.pth", "a.jpg", "--batch-size", "2", "b.jpg"],
    ):
        assert predict_command.main(words) == 0
    assert taken == [["a.jpg", "b.jpg"]] * 4


def test_a_format_that_does_not_fit_is_one_sentence(tmp_path: Path) -> None:
    for options, sentence in [
        ({"format": "voc"}, "no format 'voc': there are coco, csv, jsonl, yolo"),
        ({"format": "csv"}, "the format csv is of what is written: name an output, too"),
        ({"format": ["coco", "yolo"], "output": "a.csv"}, "a.csv is a file of the format csv: for"),
    ]:
        with pytest.raises(UserError, match=sentence):
            hdetr_d2.predict("none.pth", tmp_path, **options)


@pytest.mark.parametrize("name", ["x.txt", "x.png", "x.jpeg", "x.XML", "run.1/x.onnx"])
def test_an_ending_of_no_format_is_refused(name: str, tmp_path: Path) -> None:
    asked = tmp_path / name
    with pytest.raises(
        UserError, match=r"is of no format that is written: a file ends in \.json, "
    ):
        outputs_of(asked, None, default="coco")
    with pytest.raises(UserError, match=f"{name} is of no format"):
        video_outputs(asked, None, "a.mp4")
    asked.mkdir(parents=True)
    assert outputs_of(asked, None, default="coco").folder == asked


@pytest.mark.parametrize(
    "name", ["run.1", "v1.2", "2026.12.01", "a.b/c", "run.a", "my.predictions"]
)
def test_a_folder_may_have_a_dot_in_its_name(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    asked = outputs_of(folder, None, default="coco")
    assert asked == ({"coco": folder / "predictions.json"}, folder)


def test_a_video_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    with pytest.raises(UserError, match="a.mp4 is a video: --input .*a.mp4, or hdetr_d2.predict_"):
        find_images(tmp_path / "a.mp4")


def test_files_without_a_known_ending_are_drawn_as_png(checkpoint: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "in", "a.png")
    for name in ("noext", "a.img"):
        (folder / name).write_bytes((folder / "a.png").read_bytes())
    output = tmp_path / "out"
    names = ["noext", "a.img", "a.png"]
    hdetr_d2.predict(checkpoint, [folder / n for n in names], output=output, device="cpu")
    content = json.loads((output / "predictions.json").read_text())
    assert [image["file_name"] for image in content["images"]] == [str(folder / n) for n in names]
    drawn = sorted((output / "pictures").iterdir())
    assert [path.name for path in drawn] == ["a.img.png", "a.png", "noext.png"]
    assert all(Image.open(path).size == (64, 48) for path in drawn)


def test_a_picture_that_cannot_be_written_costs_no_detections(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder, output = images(tmp_path / "in", "a.png", "b.png"), tmp_path / "out"
    (output / "pictures" / "a.png").mkdir(parents=True)  # a folder where the picture should go
    found = hdetr_d2.predict(checkpoint, folder, output=output, score_threshold=0.0, device="cpu")
    content = json.loads((output / "predictions.json").read_text())
    assert len(content["annotations"]) == len(found)
    assert {result["image_id"] for result in found} == {1, 2}
    assert f"No picture of {folder}/a.png" in caplog.text
    assert (output / "pictures" / "b.png").is_file()


@pytest.mark.parametrize("place", ["", "found"])
def test_what_a_first_call_drew_is_no_image_of_the_second(
    checkpoint: Path, tmp_path: Path, place: str
) -> None:
    folder = images(tmp_path, "a.png")
    for _ in range(2):
        hdetr_d2.predict(checkpoint, folder, output=folder / place, device="cpu")
    content = json.loads((folder / place / "predictions.json").read_text())
    assert [image["file_name"] for image in content["images"]] == [str(folder / "a.png")]


def test_a_high_threshold_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    image = images(tmp_path, "a.png") / "a.png"
    assert hdetr_d2.predict(checkpoint, image, score_threshold=1, device="cpu") == []
    assert list(tmp_path.iterdir()) == [image]


def test_where_nothing_is_found_the_best_score_is_told(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = images(tmp_path, "a.png", "b.png")
    with caplog.at_level("INFO", "hdetr_d2"):
        found = hdetr_d2.predict(checkpoint, folder, score_threshold=0.0, device="cpu")
        assert not [each for each in caplog.messages if "No detection" in each]
        hdetr_d2.predict(checkpoint, folder, score_threshold=1, device="cpu")
    best = max(each["score"] for each in found)
    told = f"No detection has a score of 1 or more: the best has {best:.3g}"
    assert told in caplog.messages


def test_a_picture_turned_by_exif_is_predicted_upright(checkpoint: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (64, 48)).save(tmp_path / "turned.jpg", exif=exif)
    hdetr_d2.predict(checkpoint, tmp_path / "turned.jpg", output=tmp_path / "out", device="cpu")
    content = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert [content["images"][0][side] for side in ("width", "height")] == [48, 64]
    assert Image.open(tmp_path / "out" / "pictures" / "turned.jpg").size == (48, 64)


def test_one_broken_image_is_left_out_and_only_broken_ones_are_an_error(
    checkpoint: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = images(tmp_path, "good.png")
    (folder / "broken.png").write_bytes(b"no image")
    results = hdetr_d2.predict(checkpoint, folder, score_threshold=0.0, device="cpu")
    assert {Path(result["file_name"]).name for result in results} == {"good.png"}
    assert "broken.png" in caplog.text
    with pytest.raises(UserError, match="broken.png"):
        hdetr_d2.predict(checkpoint, folder / "broken.png", device="cpu")


def test_sources_are_files_and_folders_without_repetition(tmp_path: Path) -> None:
    folder = images(tmp_path, "z.png", "sub/a.JPG")
    assert find_images([folder / "z.png", folder]) == [folder / "z.png", folder / "sub/a.JPG"]
    assert find_images(str(folder / "z.png")) == [folder / "z.png"]


def test_missing_or_empty_sources_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone.png does not exist"):
        find_images(tmp_path / "gone.png")
    with pytest.raises(UserError, match="^no images were given"):
        find_images([])
    with pytest.raises(UserError, match=r"no images .* in .*"):
        find_images([tmp_path])
    with pytest.raises(UserError, match="no images"):
        find_images([])


@pytest.mark.parametrize("image", [Image.new("RGB", (4, 4)), [Image.new("RGB", (4, 4))]])
def test_images_in_memory_are_sent_to_the_predictor(checkpoint: Path, image: object) -> None:
    with pytest.raises(UserError, match=r"not of type Image: hdetr_d2.Predictor\(checkpoint\)"):
        hdetr_d2.predict(checkpoint, image)


def test_a_predictor_that_is_kept_finds_what_a_call_finds(checkpoint: Path, tmp_path: Path) -> None:
    image = images(tmp_path, "a.png") / "a.png"
    once = hdetr_d2.predict(checkpoint, image, score_threshold=0.0, device="cpu")
    predictor = hdetr_d2.Predictor(checkpoint, device="cpu")
    assert predictor(image, score_threshold=0.0) == once
    with Image.open(image) as opened:
        again = predictor(opened, score_threshold=0.0)
    assert again == [{**result, "file_name": None} for result in once]


def test_an_output_that_cannot_be_written_is_named(checkpoint: Path, tmp_path: Path) -> None:
    image = images(tmp_path, "a.png") / "a.png"
    (tmp_path / "taken").touch()
    with pytest.raises(UserError, match="cannot write to .*taken"):
        hdetr_d2.predict(checkpoint, image, output=tmp_path / "taken", device="cpu")


def test_the_function_stays_a_function_after_its_room_is_imported() -> None:
    assert callable(hdetr_d2.predict)
