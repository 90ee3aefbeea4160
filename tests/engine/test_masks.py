"""Recipes with masks: trained for two steps, evaluated, used on images."""

import json
from pathlib import Path

import numpy as np
import pycocotools.mask as mask_utils
from PIL import Image

from hdetr_d2.data.shapes import generate_shapes
from hdetr_d2.engine.main import main
from hdetr_d2.inference import predict

CONFIG = Path(__file__).parents[2] / "configs" / "quickstart" / "deformable_detr_shapes_masks.py"
SMALL = [
    "data.generate.num_train=6",
    "data.generate.num_val=2",
    "data.generate.image_size=64",
    "train.max_iter=2",
    "train.device=cpu",
    "dataloader.train.num_workers=0",
    "dataloader.test.num_workers=0",
]


def test_from_training_to_mask_ap_and_pictures(tmp_path: Path) -> None:
    run, data = tmp_path / "run", tmp_path / "shapes"
    overrides = [f"data.generate.root={data}", f"train.output_dir={run}", *SMALL]
    assert main(["--config-file", str(CONFIG), *overrides]) == 0
    metrics = json.loads((run / "metrics.json").read_text().splitlines()[-1])
    assert {"loss_mask", "loss_dice", "bbox/AP", "segm/AP"} <= set(metrics)
    results = predict(
        run / "model_final.pth", data / "val", output=tmp_path / "found", score_threshold=0.0
    )
    assert results and all(result["segmentation"]["size"] == [64, 64] for result in results)
    assert len(list((tmp_path / "found" / "pictures").iterdir())) == 2


def write_panoptic(root: Path) -> Path:
    """The shapes of a generated data set as segments on a background, which is stuff."""
    generate_shapes(root=root, num_train=4, num_val=1, image_size=64)
    content = json.loads((root / "annotations" / "train.json").read_text())
    annotations = []
    for image in content["images"]:
        found = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        ids = np.full((64, 64), 250, dtype=np.uint8)
        for number, annotation in enumerate(found, 1):
            ids[mask_utils.decode(annotation["segmentation"]).astype(bool)] = number
        Image.fromarray(np.stack([ids, 0 * ids, 0 * ids], -1)).save(root / image["file_name"])
        labels = [(number, a["category_id"]) for number, a in enumerate(found, 1)] + [(250, 99)]
        segments = [
            {"id": number, "category_id": label, "iscrowd": 0, "bbox": [0, 0, 1, 1], "area": 1}
            for number, label in labels
        ]
        annotations.append(
            {
                "image_id": image["id"],
                "file_name": image["file_name"],
                "segments_info": segments,
            }
        )
    things = [{**category, "isthing": 1} for category in content["categories"]]
    categories = [*things, {"id": 99, "name": "background", "isthing": 0}]
    path = root / "panoptic.json"
    path.write_text(json.dumps({**content, "annotations": annotations, "categories": categories}))
    return path


def test_from_panoptic_data_to_panoptic_quality(tmp_path: Path) -> None:
    root, run = tmp_path / "shapes", tmp_path / "run"
    path = write_panoptic(root)
    overrides = [f"train.output_dir={run}"]
    for split in ("train", "val"):
        options = {"json": path, "images": root / "train", "panoptic": root}
        overrides += [f"data.{split}_{key}={value}" for key, value in options.items()]
    config = Path(__file__).with_name("small_panoptic_recipe.py")
    assert main(["--config-file", str(config), *overrides]) == 0
    metrics = json.loads((run / "metrics.json").read_text().splitlines()[-1])
    assert {"loss_mask", "panoptic_seg/PQ", "panoptic_seg/SQ_th", "panoptic_seg/RQ_st"} <= set(
        metrics
    )
    saved = (run / "config.yaml").read_text()
    assert "thing_classes:\n  - 0\n  - 1\n  - 2\n  - 3\n" in saved
