"""tools/contact_sheet.py: which images it draws, and what it needs for them."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from omegaconf import OmegaConf

from hdetr_d2.data.shapes import generate_shapes

SCRIPT = Path(__file__).resolve().parents[2] / "tools" / "contact_sheet.py"


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contact_sheet_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script


def test_only_the_validation_data_are_needed_and_nothing_is_generated(
    script: ModuleType, tmp_path: Path
) -> None:
    root = tmp_path / "shapes"
    generate_shapes(root=root, num_train=1, num_val=7, image_size=32)
    shutil.rmtree(root / "train")
    (root / "annotations" / "train.json").unlink()
    data = {"val_name": "drawn", "generate": {"_target_": "no.such.function"}}
    data |= {"val_json": str(root / "annotations" / "val.json"), "val_images": str(root / "val")}
    cfg = OmegaConf.create({"data": data, "dataloader": {"test": {"dataset": "drawn"}}})
    names = [Path(entry["file_name"]).name for entry in script.chosen_entries(cfg, 3)]
    assert names == ["000000.png", "000002.png", "000004.png"]
