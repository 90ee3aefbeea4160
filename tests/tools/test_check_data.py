"""`hdetr-d2 check-data`: one line a problem, the numbers, and the exit status."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hdetr_d2.commands import check_data as check_data_command
from hdetr_d2.data.check import check_data
from hdetr_d2.data.object_sizes import count_sizes, object_areas
from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.engine.config import load_config, save_config
from hdetr_d2.pixels.images import BadImageError, read_image


@pytest.fixture
def root(tmp_path: Path) -> Path:
    generate_shapes(root=tmp_path / "shapes", num_train=4, num_val=1, image_size=48, seed=3)
    return tmp_path / "shapes"


def run(root: Path, *options: str) -> int:
    return check_data_command.main(
        [str(root / "annotations/train.json"), str(root / "train"), *options]
    )


def edit(root: Path, **lists: list[dict]) -> dict:
    """The json after appending to its lists."""
    path = root / "annotations" / "train.json"
    content = json.loads(path.read_text())
    for key, more in lists.items():
        content[key] += more
    path.write_text(json.dumps(content))
    return content


def test_a_sound_data_set(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root) == 0
    output = capsys.readouterr().out
    assert "error:" not in output
    for word in ("images without objects", "circle", "square", "small / medium / large"):
        assert word in output


def test_a_folder_is_checked_as_its_jsons_are(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, "--val", str(root / "annotations/val.json"), str(root / "val")) == 0
    expected = capsys.readouterr().out
    assert check_data_command.main([str(root)]) == 0
    output = capsys.readouterr().out
    assert "train has 4 images" in output
    assert output.endswith(expected)


def test_a_json_needs_its_images(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check_data_command.main([str(root / "annotations/train.json")]) == 2
    assert "train.json needs the folder of its images" in capsys.readouterr().err


def test_a_folder_tells_its_own_splits(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    val = [str(root / "annotations/val.json"), str(root / "val")]
    assert check_data_command.main([str(root), "--val", *val]) == 2
    assert "--val is for a json" in capsys.readouterr().err
    assert check_data_command.main([str(root / "none")]) == 2
    assert capsys.readouterr().err == f"error: {root / 'none'} does not exist\n"


def test_every_problem_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    edit(
        root,
        annotations=[
            {**whole, "id": 900, "bbox": [1, 1, -5, 5]},
            {**whole, "id": 901, "category_id": 77},
            {**whole, "id": 902, "image_id": 78},
            {**whole, "id": 903, "bbox": [1, 1, 0, 5]},
        ],
        images=[
            {"id": 79, "file_name": "gone.png", "width": 48, "height": 48},
            {"id": 80, "file_name": "000000.png", "width": 50, "height": 48},
        ],
    )
    assert run(root) == 1
    lines = capsys.readouterr().out.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 5
    for text in ("annotation 900", "category_id 77", "no such image", "gone.png", "48 x 48 pixels"):
        assert sum(text in line for line in errors) == 1, text
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert sum("annotation 903" in line for line in warnings) == 1
    assert sum("image 79 (gone.png) has no object" in line for line in warnings) == 1


def test_more_objects_than_queries_or_detections(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = edit(root)
    most = max(
        sum(a["image_id"] == image["id"] for a in content["annotations"])
        for image in content["images"]
    )
    assert most > 1
    assert run(root, "--num-queries", str(most), "--top-k", str(most - 1)) == 0
    output = capsys.readouterr().out
    assert f"has {most} objects, but there are only {most - 1} detections kept" in output
    assert f"only {most} queries" not in output


def test_what_only_evaluation_needs_is_a_warning(root: Path) -> None:
    content = edit(root)
    for annotation in content["annotations"]:
        del annotation["area"], annotation["iscrowd"]
    (root / "annotations" / "train.json").write_text(json.dumps(content))
    report = check_data(str(root / "annotations/train.json"), str(root / "train"))
    assert report.num_errors == 0
    assert [p.kind for p in report.problems if "without" in p.kind and "annot" in p.kind] == [
        "annotations without area",
        "annotations without iscrowd",
    ]


def test_an_unreadable_json_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "annotations" / "train.json").write_text("{")
    assert run(root) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_json_without_images(root: Path, capsys: pytest.CaptureFixture) -> None:
    empty = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "a"}]}
    (root / "annotations" / "train.json").write_text(json.dumps(empty))
    assert run(root) == 1
    assert "train.json has no images" in capsys.readouterr().out


def test_words_where_numbers_belong(root: Path, capsys: pytest.CaptureFixture) -> None:
    path = root / "annotations" / "train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["area"] = "big"
    content["images"][0]["file_name"] = 5
    path.write_text(json.dumps(content))
    assert run(root) == 1
    printed = capsys.readouterr().out
    assert "1 annotations have no 'area'" in printed
    assert "has no 'file_name' but 5" in printed


def validation(root: Path, **lists: list[dict] | None) -> tuple[str, ...]:
    """The option for the validation data, after lists of their json were replaced or (None) left
    out.
    """
    path = root / "annotations" / "val.json"
    content = json.loads(path.read_text())
    content.update(lists)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    return "--val", str(path), str(root / "val")


def test_validation_data_are_checked_against_those_of_the_training(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, *validation(root)) == 0
    output = capsys.readouterr().out
    assert output.count("Training data") == output.count("Validation data") == 1
    categories = [{"id": i, "name": name} for i, name in enumerate(("disc", "square"), start=1)]
    assert run(root, *validation(root, annotations=[], categories=categories)) == 1
    (error,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("error")]
    assert "must have the same categories: only the first has ['circle', 'cross'," in error


def test_validation_data_may_have_no_annotations(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(root, *validation(root, annotations=None)) == 0
    assert "val.json has no annotations: predictions are written" in capsys.readouterr().out


def test_training_data_need_an_object(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "annotations" / "train.json"
    crowds = [{**a, "iscrowd": 1} for a in json.loads(path.read_text())["annotations"]]
    for annotations in ([], crowds):
        path.write_text(json.dumps({**json.loads(path.read_text()), "annotations": annotations}))
        assert run(root) == 1
        (error,) = lines_of(capsys.readouterr().out, "error")
        assert error.endswith("train.json has no object to learn from")
    assert run(root, "--crowds-as-objects") == 0


def lines_of(output: str, word: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith(f"{word}: ")]


def lose_images(root: Path, count: int) -> None:
    """Name images that do not exist."""
    size, ids = {"width": 48, "height": 48}, range(900, 900 + count)
    edit(root, images=[{"id": i, "file_name": f"gone{i}.png", **size} for i in ids])


def test_a_few_lines_of_each_kind_and_how_many_more(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_images(root, 40)
    assert run(root) == 1
    short = capsys.readouterr().out
    errors, warnings = lines_of(short, "error"), lines_of(short, "warning")
    assert [line.split("/")[-1] for line in errors[:3]] == [
        f"gone{i}.png does not exist" for i in (900, 901, 902)
    ]
    kind = "'image files that are missing or wrong'"
    assert errors[3:] == [f"error: 37 more of the kind {kind} (--all lists them)"]
    assert "more of the kind 'image without objects' (--all lists them)" in warnings[-1]
    assert run(root, "--all") == 1
    assert len(lines_of(capsys.readouterr().out, "error")) == 40


def test_a_count_never_takes_the_place_of_a_single_line(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lose_images(root, 4)
    run(root)
    errors = lines_of(capsys.readouterr().out, "error")
    assert len(errors) == 4 and "gone903.png" in errors[3]


def test_images_in_both_splits_are_found_under_other_names(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The only validation image has the name of a training image.
    name = next((root / "val").iterdir()).name
    assert (root / "train" / name).exists()
    assert run(root, *validation(root)) == 0
    assert "learned and evaluated" not in capsys.readouterr().out
    with Image.open(root / "train" / "000002.png") as image:
        image.save(root / "val" / name, compress_level=0)
    assert run(root, *validation(root)) == 0
    warnings = lines_of(capsys.readouterr().out, "warning")
    (found,) = [line for line in warnings if "learned and evaluated" in line]
    assert f"val/{name}) has the pixels of " in found and "train/000002.png" in found


def test_the_same_pixels_under_two_names(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(root / "train" / "000000.png", root / "train" / "000001.png")
    assert run(root) == 0
    assert "000001.png has the pixels of 000000.png" in capsys.readouterr().out


def test_a_class_that_has_nothing_to_learn_from(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = json.loads((root / "annotations" / "val.json").read_text())
    found = val["annotations"][0]["category_id"]
    count = sum(a["category_id"] == found for a in val["annotations"])
    content = edit(root)
    content["annotations"] = [a for a in content["annotations"] if a["category_id"] != found]
    (root / "annotations" / "train.json").write_text(json.dumps(content))
    assert run(root, *validation(root)) == 0
    assert f"has no object to learn from, and {count} in " in capsys.readouterr().out


def test_a_class_without_objects_is_told_as_a_training_does(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(root, categories=[{"id": 9, "name": "animals"}])
    assert run(root) == 0
    (line,) = (s for s in lines_of(capsys.readouterr().out, "warning") if "skip_classes" in s)
    assert "1 of 5 categories have no object: animals (id 9)" in line


def test_pointers_of_git_lfs_are_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
    for path in (root / "train").iterdir():
        path.write_text(pointer)
    assert run(root) == 1
    (error,) = lines_of(capsys.readouterr().out, "error")
    assert "4 of 4 images are pointers of Git LFS (" in error and "`git lfs pull`" in error
    with pytest.raises(BadImageError, match="is a pointer of Git LFS, and `git lfs pull`"):
        read_image(root / "train" / "000000.png")
    (root / "annotations" / "train.json").write_text(pointer)
    assert run(root) == 2
    assert "train.json is not valid JSON: it is a pointer of Git LFS" in capsys.readouterr().err


def test_masks_are_asked_for_by_an_option(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    edit(root, annotations=[{**whole, "id": 900}, {**whole, "id": 901, "segmentation": []}])
    assert run(root) == 0
    capsys.readouterr()
    assert run(root, "--masks") == 1
    errors = lines_of(capsys.readouterr().out, "error")
    assert len(errors) == 2 and "annotation 900 of image 1 has no segmentation" in errors[0]


def test_objects_are_measured_after_the_resize_of_a_recipe(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.new("RGB", (2400, 120)).save(root / "train" / "wide.png")
    box = {"image_id": 90, "category_id": 1, "bbox": [9, 9, 5, 5], "area": 25, "iscrowd": 0}
    edit(
        root,
        images=[{"id": 90, "file_name": "wide.png", "width": 2400, "height": 120}],
        annotations=[{**box, "id": 900}],
    )
    assert run(root, "--config-file", "custom/deformable_detr_coco_json_small.py") == 0
    output = capsys.readouterr().out
    assert "2400 x 120 becomes 400 x 20" in output
    assert "at least 24 and a longer one of at least 480 pixels" in output
    assert "after the resize" in output
    assert run(root, "--config-file", "none/such.py") == 2


def test_sizes_without_areas_are_those_of_the_boxes() -> None:
    objects = [
        {"area": 5.0, "bbox": [0, 0, 99, 99]},
        {"bbox": [0, 0, 40, 40]},
        {"bbox": [0, 0, 99, 99], "area": 0},
        {"bbox": "none"},
        {},
    ]
    assert object_areas(objects).tolist() == [5, 1600, 9801]
    assert count_sizes(object_areas(objects)) == "1 / 1 / 1"


def test_what_the_options_of_data_change_is_changed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = edit(root)
    for annotation in content["annotations"]:
        annotation["iscrowd"] = 1
    for image in content["images"]:
        image["width"] += 2
    path = root / "annotations" / "train.json"
    path.write_text(json.dumps(content))
    assert run(root) == 1
    output = capsys.readouterr().out
    assert "are crowds" in output and "48 x 48 pixels" in output
    assert run(root, "--crowds-as-objects", "--sizes-from-files", "--skip-classes", "circle") == 0
    output = capsys.readouterr().out
    assert "are crowds" not in output and "48 x 48 pixels" not in output and "circle" not in output
    assert "square" in output


def test_a_recipe_says_how_its_data_are_read(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.py"
    recipe.write_text(
        "from hdetr_d2.configs.custom.deformable_detr_coco_json_small import (\n"
        "    data, dataloader, lr_multiplier, model, optimizer, train\n"
        ")\n"
        "data.skip_classes = ['circle']\n"
    )
    assert run(root, "--config-file", str(recipe)) == 0
    assert "circle" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("target", "status"),
    [("torch.nn.Identity", 0), ("hdetr_d2.data.DetrMapper", 0), ("nowhere.Mapper", 2)],
)
def test_a_mapper_of_others_is_not_measured(
    target: str, status: int, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = load_config("custom/deformable_detr_coco_json_small.py")
    cfg.dataloader.train.mapper._target_ = target
    save_config(cfg, tmp_path / "mine.yaml")
    assert run(root, "--config-file", str(tmp_path / "mine.yaml")) == status
    printed = capsys.readouterr()
    assert ("after the resize" in printed.out) == (target == "hdetr_d2.data.DetrMapper")
    assert status == 0 or "error: dataloader.train.mapper: " in printed.err


def test_the_masks_of_a_recipe_are_those_that_its_training_reads(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    edit(root, annotations=[{**whole, "id": 900}])
    # It pastes objects along their masks, and its model learns none.
    assert run(root, "--config-file", "projects/co_detr/configs/co_dino_5scale_lsj_r50_12ep.py")
    assert "annotation 900 of image 1 has no segmentation" in capsys.readouterr().out


def test_masks_are_asked_for_as_a_recipe_says(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = {"image_id": 1, "category_id": 1, "bbox": [1, 1, 5, 5], "area": 25, "iscrowd": 0}
    edit(root, annotations=[{**line, "id": 900, "segmentation": [[1, 1, 6, 6]]}])
    cfg = load_config("quickstart/deformable_detr_shapes_masks.py")
    for policy, status, word in (("stop", 1, "error"), ("skip", 0, "warning")):
        cfg.data.on_missing_mask = policy
        save_config(cfg, tmp_path / "mine.yaml")
        assert run(root, "--config-file", str(tmp_path / "mine.yaml")) == status
        lines = lines_of(capsys.readouterr().out, word)
        assert sum("annotation 900 of image 1 has no polygon" in each for each in lines) == 1


def test_sentences_tell_of_the_folder_and_not_of_what_is_made_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "mine"
    for split, text in (("train", "0 0.5 0.5 0.2 0.2"), ("val", "")):
        for name in ("images", "labels"):
            (folder / name / split).mkdir(parents=True)
        shade = 40 if split == "train" else 90
        Image.new("RGB", (40, 30), (shade, 0, 0)).save(folder / "images" / split / "a.png")
        (folder / "labels" / split / "a.txt").write_text(text)
    names = "names: ['[/b]', ':cat:']\n"  # marks of the library that draws the tables
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\n{names}")
    assert check_data_command.main([str(folder)]) == 0
    output = capsys.readouterr().out
    assert f"warning: {folder} (val): image 1 (images/val/a.png) has no object" in output
    assert "hdetr_d2-" not in output
    assert "[/b]" in output and ":cat:" in output


def test_numbers_of_no_images(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "annotations" / "train.json"
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": [{"id": 1}]}))
    assert run(root) == 1
    rows = [line.split("│")[1:3] for line in capsys.readouterr().out.splitlines() if "│" in line]
    found = {name.strip(): value.strip() for name, value in rows}
    assert (found["images"], found["images without objects"]) == ("0", "0")


def test_a_class_to_skip_that_is_not_there(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(root, "--skip-classes", "circel") == 2
    error = capsys.readouterr().err
    assert "no data set has a class 'circel'; there are: circle" in error
