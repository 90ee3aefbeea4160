"""The contact sheet: which images it draws, and what it needs for them."""

import shutil
from pathlib import Path

from omegaconf import OmegaConf

from hdetr_d2.commands.contact_sheet import chosen_entries
from hdetr_d2.data.shapes import generate_shapes


def test_only_the_validation_data_are_needed_and_nothing_is_generated(
    tmp_path: Path,
) -> None:
    root = tmp_path / "shapes"
    generate_shapes(root=root, num_train=1, num_val=7, image_size=32)
    shutil.rmtree(root / "train")
    (root / "annotations" / "train.json").unlink()
    data = {"val_name": "drawn", "generate": {"_target_": "no.such.function"}}
    data |= {"val_json": str(root / "annotations" / "val.json"), "val_images": str(root / "val")}
    cfg = OmegaConf.create({"data": data, "dataloader": {"test": {"dataset": "drawn"}}})
    names = [Path(entry["file_name"]).name for entry in chosen_entries(cfg, 3)]
    assert names == ["000000.png", "000002.png", "000004.png"]
