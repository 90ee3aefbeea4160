"""Weights for other numbers of queries and classes: which rows are taken, and what is told."""

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from hdetr_d2.checkpoint import Checkpointer, put_classes_in_order

TWO_STAGE = "common/models/deformable_detr_two_stage.py"
PLUS_PLUS = "common/models/deformable_detr_pp.py"
DINO = "common/models/dino.py"
DENSE = "common/models/detr.py"


@pytest.fixture
def started(tiny_model, tiny_config, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    """A model that begins with the weights of another, both of some classes and queries:
    (weights of the file, weights before, weights after, the log).
    """

    def start(path: str, theirs: list[str], ours: list[str], **changes: Any):
        def model(names: list[str], **changes: Any):
            return tiny_model(path, num_classes=len(names), **changes)

        file = model(theirs, **{k: v for k, v in changes.items() if k == "schemes"})
        with torch.no_grad():
            for value in file.parameters():
                value.add_(1)
        Checkpointer(file, str(tmp_path), metadata={"class_names": theirs}).save("theirs")
        other = model(ours, **changes)
        before = {name: value.clone() for name, value in other.state_dict().items()}
        with caplog.at_level(logging.WARNING, "hdetr_d2"):
            Checkpointer(other, metadata={"class_names": ours}).load(
                str(tmp_path / "theirs.pth"), checkpointables=[]
            )
        return file.state_dict(), before, other.state_dict(), caplog.text

    return start


SAME = ["cat", "dog", "cow"]


@pytest.mark.parametrize("path", [PLUS_PLUS, DINO, DENSE])
@pytest.mark.parametrize("number", [5, 20])
def test_the_first_queries_are_taken(started, path: str, number: int) -> None:
    theirs, before, after, told = started(path, SAME, SAME, query_selection__num_queries=number)
    key = "query_selection.slots.table"
    kept = min(number, 12)
    assert len(after[key]) == number
    assert torch.equal(after[key][:kept], theirs[key][:kept])
    assert torch.equal(after[key][kept:], before[key][kept:])
    assert (
        f"other queries ({key} has 12 rows in the file and {number} in the model: {kept} are taken"
    ) in told
    assert all(torch.equal(after[name], theirs[name]) for name in theirs if name != key)


def test_proposals_without_a_table_take_any_number(started) -> None:
    _, _, _, told = started(TWO_STAGE, SAME, SAME, query_selection__num_queries=20)
    assert told == ""


def test_classes_are_taken_by_their_names(started) -> None:
    theirs, before, after, told = started(DINO, SAME, ["cow", "bird", "cat", "fish"])
    heads = [name for name in after if ".class_heads." in name]
    assert heads
    for name in heads:
        assert torch.equal(after[name][0], theirs[name][2])
        assert torch.equal(after[name][2], theirs[name][0])
        assert torch.equal(after[name][[1, 3]], before[name][[1, 3]])
    assert "has 3 rows in the file and 4 in the model: 2 are taken, 2 keep their initial" in told


def test_no_object_comes_along(started) -> None:
    theirs, before, after, _ = started(DENSE, SAME, ["bird", "dog"])
    for name in (name for name in after if ".class_heads." in name):
        assert len(theirs[name]) == 4 and len(after[name]) == 3
        assert torch.equal(after[name][1:], theirs[name][[1, 3]])
        assert torch.equal(after[name][0], before[name][0])


@pytest.mark.parametrize("path", [TWO_STAGE, PLUS_PLUS])
def test_what_proposals_know_of_objects_is_kept(started, path: str) -> None:
    theirs, before, after, told = started(path, SAME, ["bird", "fish"])
    proposals = [name for name in after if name.startswith("query_selection.heads.class_heads")]
    for name in proposals:
        assert torch.equal(after[name][0], theirs[name][0])
        assert torch.equal(after[name][1], before[name][1])
    assert "other proposals (" in told
    for name in (name for name in after if name.startswith("decoder.heads.class_heads")):
        assert torch.equal(after[name], before[name])  # no class of one name


@pytest.mark.parametrize("path", [PLUS_PLUS, DENSE])
def test_the_same_classes_in_another_order(started, path: str) -> None:
    theirs, _, after, told = started(path, SAME, ["cow", "cat", "dog"])
    # Proposals of objects of no class stay what they are.
    heads = [name for name in after if name.startswith("decoder.heads.class_heads")]
    for name in heads:
        assert torch.equal(after[name][:3], theirs[name][[2, 0, 1]])
        assert torch.equal(after[name][3:], theirs[name][3:])
    assert all(torch.equal(after[name], theirs[name]) for name in theirs if name not in heads)
    number = 4 if path == DENSE else 3  # with "no object"
    assert f"has {number} rows in the file and {number} in the model: {number} are taken" in told


@pytest.mark.parametrize("ours", [["cow", "cat", "dog"], ["cow", "cat", "dog", "bird"]], ids=len)
def test_the_labels_of_denoising_follow_the_names(started, small_schemes, ours: list[str]) -> None:
    schemes = [small_schemes["hybrid_branch"], small_schemes["denoising"]]
    theirs, before, after, _ = started(PLUS_PLUS, SAME, ours, schemes=schemes)
    name = "schemes.1.label_embed.weight"
    assert torch.equal(after[name][[0, 1, 2, -1]], theirs[name][[2, 0, 1, -1]])
    assert torch.equal(after[name][3:-1], before[name][3:-1])


def test_as_many_classes_of_which_some_are_the_same(started) -> None:
    theirs, before, after, _ = started(PLUS_PLUS, SAME, ["bird", "cat", "cow"])
    for name in (name for name in after if name.startswith("decoder.heads.class_heads")):
        assert torch.equal(after[name][1:], theirs[name][[0, 2]])
        assert torch.equal(after[name][0], before[name][0])


@pytest.mark.parametrize("path", [TWO_STAGE, PLUS_PLUS, DENSE])
def test_classes_of_a_loaded_model_are_put_in_order(tiny_model, path: str) -> None:
    model = tiny_model(path)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    put_classes_in_order(model, ["cow", "cat", "dog"], SAME)
    for name, value in model.state_dict().items():
        classes = ".class_heads." in name and name not in model.objectness_keys()
        rows = [2, 0, 1, *range(3, len(value))] if classes else slice(None)
        assert torch.equal(value, before[name][rows]), name
    put_classes_in_order(model, SAME, ["bird", "cat", "dog"])  # others: nothing to do
    put_classes_in_order(model, SAME, ["cow", "cat", "dog"])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_as_many_other_classes_are_taken_as_they_are(started) -> None:
    theirs, _, after, told = started(PLUS_PLUS, SAME, ["bird", "fish", "ant"])
    assert all(torch.equal(after[name], theirs[name]) for name in theirs)
    assert told == ""


def test_tables_of_another_width_are_no_matter_of_rows(tiny_model, tmp_path: Path) -> None:
    from hdetr_d2.errors import UserError

    Checkpointer(tiny_model(PLUS_PLUS, neck__out_channels=64), str(tmp_path)).save("theirs")
    with pytest.raises(UserError, match=r"slots.table: \(12, 64\) in the file, \(12, 32\) in the"):
        Checkpointer(tiny_model(PLUS_PLUS)).load(str(tmp_path / "theirs.pth"), checkpointables=[])
