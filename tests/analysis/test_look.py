"""Looks of small models, deformable and dense."""

import pytest
import torch
from detectron2.structures import Instances

from hdetr_d2.analysis import look, study
from hdetr_d2.errors import UserError
from hdetr_d2.modeling import GreySquare

MODELS = ["deformable_detr_pp", "deformable_detr", "dab_deformable_detr", "dino", "detr"]


@pytest.mark.parametrize("name", MODELS)
def test_a_look(name: str, tiny_model, make_batch) -> None:
    model = tiny_model(f"common/models/{name}.py").eval()
    (item,) = make_batch([3], size=(60, 90))
    seen = look(model, item)
    for scores in (seen.features, seen.attention):
        assert scores.shape == (60, 90)
        assert not scores.requires_grad
        assert scores.min() >= 0 and 0 < scores.max() <= 1
    assert seen.assignment.shape == (3, 12)
    for layer in seen.assignment:
        assert layer[layer >= 0].sort().values.tolist() == [0, 1, 2]
    assert torch.equal(seen.boxes, item["instances"].gt_boxes.tensor)


def test_attention_of_all_queries_is_another_one(tiny_model, make_batch) -> None:
    model, (item,) = tiny_model().eval(), make_batch([2])
    some, everyone = look(model, item), look(model, item, all_queries=True)
    assert torch.equal(some.features, everyone.features)
    assert not torch.equal(some.attention, everyone.attention)


def test_padding_is_no_part_of_it(tiny_model, make_batch) -> None:
    model = tiny_model(preprocessing__size_divisibility=64).eval()
    (item,) = make_batch([2], size=(60, 90))
    seen = look(model, item)
    assert seen.features.shape == seen.attention.shape == (60, 90)


def test_boxes_are_those_of_the_grey_square(tiny_model, make_batch) -> None:
    square = {"_target_": GreySquare, "side": 96, "pixel_mean": [0.0] * 3, "pixel_std": [1.0] * 3}
    model = tiny_model(preprocessing=square).eval()
    (small,) = make_batch([3])  # 64 x 96
    grey = torch.full((3, 96, 96), 114, dtype=torch.uint8)
    grey[:, :64] = small["image"]
    instances = Instances((96, 96), **small["instances"].get_fields())
    seen = look(model, small)
    expected = look(model, {**small, "image": grey, "instances": instances})
    assert seen.features.shape == (64, 96) and torch.equal(seen.assignment, expected.assignment)


def test_an_image_without_objects(tiny_model, make_batch) -> None:
    model, (item,) = tiny_model().eval(), make_batch([0])
    seen = look(model, item)
    assert not seen.attention.any()
    assert (seen.assignment == -1).all()


def test_nothing_stays_behind_in_the_model(tiny_model, make_batch) -> None:
    model, (item,) = tiny_model().eval(), make_batch([1])
    look(model, item)
    hooks = [module._forward_pre_hooks for module in model.decoder.modules()]
    assert not any(hooks)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_a_study_of_images_some_of_which_are_empty(tiny_model, make_batch) -> None:
    model, items = tiny_model().eval(), make_batch([2, 0, 1])
    found = study(model, lambda item: item, items, keep=2)
    assert [int((queries >= 0).sum()) for queries in found.assignments] == [2, 0, 1]
    assert len(found.looks) == 2
    assert 0 < found.features.area < 1 and 0 < found.attention.area < 1
    first, last = (study(model, lambda item: item, [item]) for item in (items[0], items[2]))
    torch.testing.assert_close(found.features.iof, (first.features.iof + last.features.iof) / 2)
    for alone in (first, last):
        assert alone.areas["attention"] == pytest.approx(alone.attention.area)
    both = first.areas["attention"] + last.areas["attention"]
    assert found.areas["attention"] == pytest.approx(both / 2)


def test_a_study_of_empty_images_is_one_sentence(tiny_model, make_batch) -> None:
    with pytest.raises(UserError, match="no image has both"):
        study(tiny_model().eval(), lambda item: item, make_batch([0]))
