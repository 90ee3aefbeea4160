import pytest
import torch

from hdetr_d2.checkpoint.importers import Imported, class_names, keep_coco
from hdetr_d2.errors import UserError


def test_names_follow_the_ids() -> None:
    names = class_names(91)
    assert (names[0], names[1], names[12], names[90]) == (
        "class 0",
        "person",
        "class 12",
        "toothbrush",
    )
    assert class_names(2) == ["class 0", "class 1"]


def test_rows_of_every_head_are_those_of_the_ids() -> None:
    rows = torch.arange(91.0)
    imported = Imported(
        recipe="",
        options={"data.num_classes": 91},
        weights={
            "decoder.heads.class_heads.0.bias": rows,
            "decoder.heads.class_heads.0.weight": rows[:, None].expand(91, 2),
            "decoder.heads.box_heads.0.0.bias": rows,
            "query_selection.heads.class_heads.0.bias": rows,
        },
        objectness_heads=("query_selection.",),
    )
    kept = keep_coco(imported, "coco80")
    decoder = kept.weights["decoder.heads.class_heads.0.bias"]
    assert decoder.shape == (80,) and kept.class_names[0] == "person"
    assert decoder[:12].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]
    assert decoder[-1] == 90
    assert kept.weights["decoder.heads.class_heads.0.weight"][:, 1].equal(decoder)
    assert kept.weights["decoder.heads.box_heads.0.0.bias"] is rows
    # The first channel of the proposals' head stands for "object", and must go on doing so.
    proposals = kept.weights["query_selection.heads.class_heads.0.bias"]
    assert proposals[0] == 0
    assert proposals[1:].equal(decoder[1:])
    assert kept.options["data.num_classes"] == 80


def test_a_table_of_labels_keeps_its_last_row() -> None:
    table = torch.arange(92.0)[:, None]
    imported = Imported(
        recipe="",
        options={"data.num_classes": 91},
        weights={"labels": table, "other": table},
        label_tables=("labels",),
    )
    kept = keep_coco(imported, "coco80").weights
    assert kept["labels"].flatten().tolist()[:2] == [1, 2]
    assert kept["labels"].flatten().tolist()[-2:] == [90, 91]
    assert kept["labels"].shape == (81, 1) and kept["other"] is table


def test_what_stands_behind_the_classes_stays_there() -> None:
    bias = {"decoder.heads.class_heads.0.bias": torch.arange(92.0)}  # the last: no object
    imported = Imported(recipe="", options={"data.num_classes": 91}, weights=bias)
    kept = keep_coco(imported, "coco80")
    rows = kept.weights["decoder.heads.class_heads.0.bias"]
    assert rows[[0, 79, 80]].tolist() == [1, 90, 91]
    assert len(rows) == 81


def test_things_and_stuff_keep_their_rows() -> None:
    imported = Imported(
        recipe="",
        options={"data.num_classes": 250, "data.thing_classes": [*range(91)]},
        weights={"decoder.heads.class_heads.0.bias": torch.arange(251.0)},
    )
    kept = keep_coco(imported, "coco133")
    rows = kept.weights["decoder.heads.class_heads.0.bias"]
    assert rows[[0, 79, 80, 132, 133]].tolist() == [1, 90, 92, 200, 250]
    assert kept.options == {"data.num_classes": 133, "data.thing_classes": [*range(80)]}
    names = class_names(250)
    assert [names[i] for i in (0, 1, 91, 92, 249)] == [
        "class 0",
        "person",
        "class 91",
        "banner",
        "class 249",
    ]
    assert kept.class_names[132] == "rug-merged"


def test_other_classes_are_not_cut() -> None:
    imported = Imported(recipe="", options={"data.num_classes": 3}, weights={})
    with pytest.raises(UserError, match="needs heads with the 91 category ids .* have 3 classes"):
        keep_coco(imported, "coco80")
