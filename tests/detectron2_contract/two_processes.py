"""What two processes do together; test_contract_distributed.py runs it and reads facts.json.

Usage: two_processes.py FOLDER, with the annotations of the data set in FOLDER/truth.json.
"""

import hdetr_d2  # noqa: F401

import json
import os
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from detectron2.data import DatasetCatalog, build_detection_test_loader
from detectron2.data.datasets import register_coco_instances
from detectron2.data.samplers import InferenceSampler
from detectron2.evaluation import COCOEvaluator, inference_on_dataset
from detectron2.structures import Boxes, Instances
from detectron2.utils import comm

NAME = "contract_two_processes"


class Oracle:
    """Finds the objects of the annotations, but none in image 3."""

    def __init__(self) -> None:
        self.truth = {d["image_id"]: d["annotations"] for d in DatasetCatalog.get(NAME)}
        self.seen: list[int] = []

    def __call__(self, batch: list[dict]) -> list[dict]:
        return [{"instances": self.find(image["image_id"])} for image in batch]

    def find(self, image_id: int) -> Instances:
        self.seen.append(image_id)
        objects = self.truth[image_id] if image_id != 3 else []
        boxes = [[x, y, x + w, y + h] for x, y, w, h in (a["bbox"] for a in objects)]
        found = Instances((50, 50))
        found.pred_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
        found.scores = torch.full((len(objects),), 0.9)
        found.pred_classes = torch.tensor([a["category_id"] for a in objects], dtype=torch.int64)
        return found


def evaluate() -> dict:
    oracle = Oracle()
    dicts = DatasetCatalog.get(NAME)
    loader = build_detection_test_loader(dicts, mapper=lambda d: d, batch_size=2)
    results = inference_on_dataset(oracle, loader, COCOEvaluator(NAME, use_fast_impl=False))
    seen = comm.all_gather(oracle.seen)
    others_are_empty = comm.all_gather(not results)[1:] == [True]
    return {"AP": results.get("bbox", {}).get("AP"), "seen": seen, "empty": others_are_empty}


def main(folder: Path) -> None:
    register_coco_instances(NAME, {}, str(folder / "truth.json"), str(folder))
    facts = {
        "ranks": comm.all_gather((comm.get_rank(), comm.get_local_rank(), comm.get_world_size())),
        "indices": comm.all_gather([list(InferenceSampler(size)) for size in (5, 4, 1)]),
        "evaluate": evaluate(),
    }
    if comm.is_main_process():
        (folder / "facts.json").write_text(json.dumps(facts))
    # gloo's threads may abort a process that ends on its own while its groups are still there.
    comm.synchronize()
    dist.destroy_process_group()
    os._exit(0)


if __name__ == "__main__":
    dist.init_process_group("gloo")
    comm.create_local_process_group(2)
    main(Path(sys.argv[1]))
