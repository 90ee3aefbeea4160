"""The shipped recipe with masks: trained for two steps, evaluated, used on images."""

import json
from pathlib import Path

import pytest

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


@pytest.mark.usefixtures("quiet_loggers")
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
