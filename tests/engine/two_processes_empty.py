"""Two trainings: in one only the second process sees an object, in the other none does.
test_empty_steps.py runs it in two; each process writes what came of them to its own file.
"""

import hdetr_d2  # noqa: F401

import sys
from pathlib import Path

from detectron2.utils import comm
from one_weight import OneWeight, make_trainer

from hdetr_d2.engine.launch import launch
from hdetr_d2.errors import UserError


def train(objects: list[int]) -> str:
    """What comes of four steps, of which the second process sees so many `objects` in each."""
    mine = objects if comm.get_rank() == 1 else [0] * len(objects)
    batches = [[{"image_id": 5, "instances": [0] * count}] for count in mine]
    try:
        make_trainer(OneWeight(), batches, max_empty_steps=3).train(0, len(objects))
    except UserError as error:
        return str(error)
    return f"{len(objects)} steps"


def main(folder: str) -> None:
    lines = [train([0, 1, 0, 0]), train([0, 0, 0, 0])]
    Path(folder, f"{comm.get_rank()}.txt").write_text("\n".join(lines))


if __name__ == "__main__":
    launch(main, sys.argv[1], device="cpu")
