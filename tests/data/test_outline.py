"""Where the original image lies in the fed one, after transforms of all kinds."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog
from detectron2.structures import Boxes, Instances
from PIL import Image
from torchvision.transforms import v2

from hdetr_d2.data.loader import build_test_loader
from hdetr_d2.data.mapper import DetrMapper
from hdetr_d2.data.transforms import CropOrPad, RandomShortSide
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.postprocessing import to_original_size

# 120 wide, 80 high, as the picture is.
CASES = {
    "letterbox": ([RandomShortSide([60], None), CropOrPad(100)], (0, 0, 90, 60)),
    "padded all around": ([v2.Pad([7, 5])], (7, 5, 127, 85)),
    "crop": ([v2.CenterCrop([40, 60])], (-30, -20, 90, 60)),
    "crop, then pad": ([v2.CenterCrop([40, 60]), v2.Pad(10)], (-20, -10, 100, 70)),
    "crop, then resize": ([v2.CenterCrop([40, 60]), v2.Resize([80, 120])], (-60, -40, 180, 120)),
    "mirrored": ([v2.RandomHorizontalFlip(1.0)], (120, 0, 0, 80)),
    "upside down": ([v2.RandomVerticalFlip(1.0), v2.Resize([40, 60])], (0, 40, 60, 0)),
    "mirrored crop": ([v2.CenterCrop([40, 60]), v2.RandomHorizontalFlip(1.0)], (90, -20, -30, 60)),
}


@pytest.fixture
def entry(tmp_path: Path) -> dict:
    """A black picture with a white rectangle: x from 40 to 72, y from 24 to 48."""
    pixels = np.zeros((80, 120, 3), dtype=np.uint8)
    pixels[24:48, 40:72] = 255
    Image.fromarray(pixels).save(tmp_path / "image.png")
    return {"file_name": str(tmp_path / "image.png"), "image_id": 1, "height": 80, "width": 120}


def mapped(entry: dict, transforms: list) -> dict:
    return DetrMapper(augmentations=transforms, is_train=False)(entry)


@pytest.mark.parametrize("name", CASES)
def test_the_outline_brings_back_boxes(name: str, entry: dict) -> None:
    transforms, outline = CASES[name]
    item = mapped(entry, transforms)
    assert item["outline"] == outline
    rows, columns = (item["image"][0] > 127).nonzero(as_tuple=True)
    found = Instances(tuple(item["image"].shape[-2:]))
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    found.pred_boxes = Boxes(torch.tensor([box], dtype=torch.float32))
    (output,) = to_original_size([found], [item])
    assert output["instances"].image_size == (80, 120)
    boxes = output["instances"].pred_boxes.tensor
    torch.testing.assert_close(boxes, torch.tensor([[40.0, 24, 72, 48]]))


@pytest.mark.parametrize("transforms", [[], [RandomShortSide([53], 100)], [v2.Resize([33, 70])]])
def test_a_resized_image_has_no_outline(transforms: list, entry: dict) -> None:
    assert "outline" not in mapped(entry, transforms)


def test_boxes_of_a_resized_image_are_scaled_as_ever() -> None:
    box = torch.rand(50, 4).sort(1).values * torch.tensor([333.0, 222, 333, 222])
    item = {"image": torch.zeros(3, 222, 333), "height": 481, "width": 641}
    found = Instances((222, 333), pred_boxes=Boxes(box.clone()))
    boxes = to_original_size([found], [item])[0]["instances"].pred_boxes.tensor
    scale = torch.tensor([641 / 333, 481 / 222, 641 / 333, 481 / 222])
    assert torch.equal(boxes, box * scale)


@pytest.mark.parametrize(
    ("transforms", "text"),
    [
        ([v2.Resize([60, 90]), v2.RandomRotation([5, 5])], "RandomRotation turns or bends"),
        ([v2.RandomRotation([90, 90], expand=True)], "RandomRotation turns or bends"),
        ([v2.RandomPerspective(0.3, p=1.0), v2.Pad(3)], "RandomPerspective turns or bends"),
        ([v2.CenterCrop(4)], "CenterCrop leaves less than about 12% of a side"),
        ([lambda s: {**s, "image": s["image"][:, ::2]}], "<lambda> changes the image and not"),
    ],
)
def test_what_cannot_be_undone_is_refused(transforms: list, text: str, entry: dict) -> None:
    with pytest.raises(UserError, match=text):
        mapped(entry, transforms)


def test_it_is_refused_before_the_first_image_is_read() -> None:
    DatasetCatalog.register("unread", lambda: [{"file_name": "none.png", "annotations": []}])
    mapper = DetrMapper(augmentations=[v2.RandomRotation([5, 5])], is_train=False)
    with pytest.raises(UserError, match="RandomRotation"):
        build_test_loader(dataset="unread", mapper=mapper, num_workers=0)


@pytest.mark.parametrize("num_workers", [0, 1])
def test_skipping_bad_images_skips_no_other_fault(num_workers: int) -> None:
    def refuse(entry: dict) -> dict:
        raise UserError("not with me")

    DatasetCatalog.register("one", lambda: [{"file_name": "none.png", "annotations": []}])
    options = {"num_workers": num_workers, "on_bad_image": "skip"}
    with pytest.raises(UserError, match="^not with me$"):
        list(build_test_loader(dataset="one", mapper=refuse, **options))
