import math

import pytest
import torch
from detectron2.structures import BitMasks, Boxes, Instances, PolygonMasks

from hdetr_d2.errors import UserError
from hdetr_d2.structures import (
    BACKGROUND,
    NO_LOSS,
    Counted,
    Given,
    Match,
    Memory,
    Queries,
    QueryGroup,
    Step,
    Targets,
)

CPU = torch.device("cpu")


def make_input(
    boxes: list[list[float]], labels: list[int], size: tuple[int, int] = (100, 200)
) -> dict:
    instances = Instances(size)
    instances.gt_boxes = Boxes(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))
    instances.gt_classes = torch.tensor(labels, dtype=torch.int64)
    return {"instances": instances, "image_id": 17, "file_name": "street.jpg"}


def test_boxes_are_centres_and_sizes_of_their_own_image():
    inputs = [
        make_input([[20, 10, 60, 50]], [2], size=(100, 200)),
        make_input([[0, 0, 50, 50], [10, 20, 20, 40]], [0, 1], size=(50, 50)),
    ]
    targets = Targets.from_inputs(inputs, 3, CPU)
    assert targets.labels.tolist() == [[2, 0], [0, 1]]
    assert targets.valid.tolist() == [[True, False], [True, True]]
    assert targets.counts.tolist() == [1, 2]
    expected = [[[0.2, 0.3, 0.2, 0.4], [0.0] * 4], [[0.5, 0.5, 1.0, 1.0], [0.3, 0.6, 0.2, 0.4]]]
    torch.testing.assert_close(targets.boxes, torch.tensor(expected))


def test_images_without_objects():
    targets = Targets.from_inputs([make_input([], []), make_input([], [])], 3, CPU)
    assert targets.labels.shape == (2, 1)
    assert targets.boxes.shape == (2, 1, 4)
    assert targets.counts.tolist() == [0, 0]
    mixed = Targets.from_inputs([make_input([], []), make_input([[0, 0, 1, 1]], [1])], 3, CPU)
    assert mixed.counts.tolist() == [0, 1]


def test_class_agnostic_targets_keep_everything_but_labels():
    targets = Targets.from_inputs([make_input([[0, 0, 1, 1]], [2])], 3, CPU)
    agnostic = targets.class_agnostic()
    assert agnostic.labels.tolist() == [[0]]
    assert targets.labels.tolist() == [[2]]
    assert torch.equal(agnostic.boxes, targets.boxes)
    assert torch.equal(agnostic.valid, targets.valid)


@pytest.mark.parametrize(("label", "num_classes"), [(3, 3), (-1, 3), (80, 80)])
def test_a_label_outside_the_classes_names_the_image(label: int, num_classes: int):
    with pytest.raises(UserError, match=rf"image 17 \(street.jpg\) has the label {label}"):
        Targets.from_inputs([make_input([[0, 0, 1, 1]], [label])], num_classes, CPU)


@pytest.mark.parametrize(
    "box",
    [[5, 5, 5, 9], [5, 9, 8, 9], [8, 5, 5, 9], [math.nan, 0, 1, 1], [0, 0, math.inf, 1]],
)
def test_a_broken_box_names_the_image(box: list[float]):
    with pytest.raises(UserError, match=r"image 17 \(street.jpg\) has the box"):
        Targets.from_inputs([make_input([[0, 0, 1, 1], box], [0, 0])], 3, CPU)


@pytest.mark.parametrize("place", [0, 2, 3])
def test_what_is_wrong_names_its_own_image(place: int):
    boxes = [[[0, 0, 1, 1]] * 2, [], [[0, 0, 1, 1]], [[0, 0, 1, 1]] * 2]
    for wrong in ("label", "box"):
        inputs = [make_input(each, [0] * len(each)) for each in boxes]
        for image_id, item in enumerate(inputs):
            item["image_id"] = image_id
        instances = inputs[place]["instances"]
        if wrong == "label":
            instances.gt_classes[-1] = 3
        else:
            instances.gt_boxes.tensor[-1, 2:] = 0.0
        with pytest.raises(UserError, match=rf"image {place} \(street.jpg\) has the {wrong}"):
            Targets.from_inputs(inputs, 3, CPU)


def test_inputs_without_instances():
    with pytest.raises(UserError, match=r"image 3 \(no file name\) has no 'instances'"):
        Targets.from_inputs([{"image_id": 3}], 3, CPU)


def test_how_often_a_target_counts():
    assert Match((6, 6, 1)).capacity == (6, 6, 1)
    assert Given(torch.zeros(4, 2, 10, dtype=torch.int64), 5).capacity == (5, 5, 5, 5)


def test_what_the_losses_are_divided_by():
    step = Step(torch.tensor(2.5), share=0.5)
    assert Match((6, 1)).normaliser(step).tolist() == [15, 2.5]
    assignment = torch.tensor([[[0, 1, BACKGROUND]], [[2, BACKGROUND, NO_LOSS]]])
    assert Given(assignment, 3).normaliser(step).tolist() == [7.5, 7.5]
    # Half of the step has 2 and 1 positives, so that the step is taken to have 4 and 2.
    assert Counted(assignment).normaliser(step).tolist() == [4, 2]


def test_memory_as_maps():
    tokens = torch.arange(2 * 8 * 3).view(2, 8, 3)
    memory = Memory(tokens, torch.zeros(2, 8, dtype=torch.bool), ((2, 3), (1, 2)), torch.ones(1))
    fine, coarse = memory.maps()
    assert torch.equal(fine[1, :, 1, 2], tokens[1, 5]) and fine.shape == (2, 3, 2, 3)
    assert torch.equal(coarse[0, :, 0, 1], tokens[0, 7]) and coarse.shape == (2, 3, 1, 2)


def with_masks(item: dict, masks: object) -> dict:
    item["instances"].gt_masks = masks
    return item


def test_masks_are_padded_to_the_largest_image_and_the_most_objects():
    wide, high = torch.rand(2, 3, 8) > 0.5, torch.rand(1, 5, 4) > 0.5
    inputs = [
        with_masks(make_input([[0, 0, 1, 1]] * 2, [0, 0], size=(3, 8)), BitMasks(wide)),
        with_masks(make_input([[0, 0, 1, 1]], [0], size=(5, 4)), BitMasks(high)),
        make_input([], [], size=(2, 2)),  # Detectron2's mappers give no masks here
    ]
    masks = Targets.from_inputs(inputs, 3, CPU, with_masks=True).masks
    assert masks is not None and masks.shape == (3, 2, 5, 8) and masks.dtype == torch.bool
    assert torch.equal(masks[0, :, :3], wide)
    assert torch.equal(masks[1, 0, :, :4], high[0])
    assert masks.sum() == wide.sum() + high.sum()


def test_polygons_are_filled():
    item = make_input([[1, 1, 4, 3]], [0], size=(4, 6))
    item = with_masks(item, PolygonMasks([[[1, 1, 4, 1, 4, 3, 1, 3]]]))
    masks = Targets.from_inputs([item], 3, CPU, with_masks=True).masks
    assert masks is not None
    assert masks[0, 0].int().tolist() == [[0] * 6, [0, 1, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0], [0] * 6]


def test_masks_are_left_out_where_nobody_learns_them():
    item = with_masks(make_input([[0, 0, 1, 1]], [0]), BitMasks(torch.ones(1, 100, 200)))
    assert Targets.from_inputs([item], 3, CPU).masks is None


def test_missing_masks_and_masks_of_another_size_name_the_image():
    item = make_input([[0, 0, 1, 1]], [0])
    with pytest.raises(UserError, match=r"image 17 \(street.jpg\) has no 'gt_masks'.*with_masks"):
        Targets.from_inputs([item], 3, CPU, with_masks=True)
    with pytest.raises(UserError, match=r"image 17 .* has 100 x 200 pixels, but masks of 50 x 200"):
        wrong = with_masks(item, BitMasks(torch.ones(1, 50, 200)))
        Targets.from_inputs([wrong], 3, CPU, with_masks=True)


def test_a_level_of_the_memory():
    tokens, padding = torch.randn(1, 8, 3), torch.arange(8)[None] > 5
    memory = Memory(tokens, padding, ((2, 3), (1, 2)), torch.ones(1, 2, 2))
    assert torch.equal(memory.level(-1)[0], tokens[:, 6:])
    assert memory.level(0)[1].tolist() == [[False] * 6]


@pytest.mark.parametrize("further", [{"blocks": 2}, {"alone": True}, {"sees": ("",)}])
def test_a_bias_is_for_one_block_that_sees_itself_alone(further: dict):
    queries = Queries(torch.zeros(1, 4, 8), None, None)
    QueryGroup(
        name="routed", queries=queries, assigner=Match((1,)), attention_bias=lambda *args: None
    )
    with pytest.raises(ValueError, match="'routed' cannot have an attention bias"):
        QueryGroup(
            name="routed",
            queries=queries,
            assigner=Match((1,)),
            attention_bias=lambda *args: None,
            **further,
        )
