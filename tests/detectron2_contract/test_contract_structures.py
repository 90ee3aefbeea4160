"""Boxes, Instances and masks."""

import hdetr_d2  # noqa: F401

import copy
import pickle

import numpy as np
import pytest
import torch
from detectron2.structures import (
    BitMasks,
    Boxes,
    BoxMode,
    Instances,
    PolygonMasks,
    polygons_to_bitmask,
)

XYXY, XYWH = BoxMode.XYXY_ABS, BoxMode.XYWH_ABS


class TestBoxMode:
    def test_values_are_those_of_the_annotation_files(self):
        names = ["XYXY_ABS", "XYWH_ABS", "XYXY_REL", "XYWH_REL", "XYWHA_ABS"]
        assert [BoxMode[name].value for name in names] == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("kind", [list, tuple])
    def test_single_box(self, kind):
        box = kind([1.0, 2.0, 3.0, 4.0])
        converted = BoxMode.convert(box, XYWH, XYXY)
        assert type(converted) is kind
        assert list(converted) == [1, 2, 4, 6]
        assert list(BoxMode.convert(converted, XYXY, XYWH)) == [1, 2, 3, 4]
        assert list(box) == [1, 2, 3, 4]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64])
    def test_tensor(self, dtype):
        boxes = torch.tensor([[1, 2, 3, 4], [0, 0, 5, 5]], dtype=dtype)
        converted = BoxMode.convert(boxes, XYWH, XYXY)
        assert converted.dtype == dtype
        assert converted.tolist() == [[1, 2, 4, 6], [0, 0, 5, 5]]
        assert boxes[0].tolist() == [1, 2, 3, 4]

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_array(self, dtype):
        boxes = np.array([[1, 2, 4, 6]], dtype=dtype)
        converted = BoxMode.convert(boxes, XYXY, XYWH)
        assert isinstance(converted, np.ndarray)
        assert converted.dtype == dtype
        assert converted.tolist() == [[1, 2, 3, 4]]
        assert boxes.tolist() == [[1, 2, 4, 6]]

    def test_no_boxes(self):
        assert BoxMode.convert(torch.zeros(0, 4), XYWH, XYXY).shape == (0, 4)

    def test_same_mode_is_the_same_box(self):
        box = [1, 2, 3, 4]
        assert BoxMode.convert(box, XYWH, XYWH) is box

    def test_wrong_length(self):
        with pytest.raises(AssertionError):
            BoxMode.convert([1, 2, 3], XYWH, XYXY)

    def test_unsupported(self):
        with pytest.raises((AssertionError, NotImplementedError)):
            BoxMode.convert([1, 2, 3, 4], BoxMode.XYXY_REL, XYXY)


class TestBoxes:
    boxes = ((0.0, 0.0, 10.0, 20.0), (-5.0, 5.0, 50.0, 15.0), (3.0, 3.0, 3.0, 9.0))

    def make(self) -> Boxes:
        return Boxes(torch.tensor(self.boxes))

    def test_construction(self):
        assert Boxes([[1, 2, 3, 4]]).tensor.dtype == torch.float32
        assert Boxes(np.ones((2, 4))).tensor.dtype == torch.float32
        assert Boxes(torch.ones(1, 4, dtype=torch.float64)).tensor.dtype == torch.float32
        with pytest.raises(AssertionError):
            Boxes(torch.ones(2, 5))
        with pytest.raises(AssertionError):
            Boxes(torch.ones(4))

    @pytest.mark.parametrize("nothing", [[], torch.empty(0), torch.empty(0, 4)])
    def test_empty(self, nothing):
        boxes = Boxes(nothing)
        assert boxes.tensor.shape == (0, 4)
        assert len(boxes) == 0
        assert boxes.area().shape == (0,)
        boxes.clip((5, 5))
        assert boxes.nonempty().shape == (0,)

    def test_shares_the_tensor(self):
        tensor = torch.tensor(self.boxes)
        assert Boxes(tensor).tensor is tensor
        assert Boxes(tensor).clone().tensor is not tensor

    def test_measures(self):
        boxes = self.make()
        assert boxes.area().tolist() == [200, 550, 0]
        assert boxes.get_centers().tolist() == [[5, 10], [22.5, 10], [3, 6]]
        assert boxes.nonempty().tolist() == [True, True, False]
        assert boxes.nonempty(threshold=10.0).tolist() == [False, False, False]

    def test_clip(self):
        boxes = self.make()
        assert boxes.clip((12, 40)) is None
        assert boxes.tensor.tolist() == [[0, 0, 10, 12], [0, 5, 40, 12], [3, 3, 3, 9]]

    def test_clip_refuses_nan(self):
        with pytest.raises(AssertionError):
            Boxes([[0, 0, float("nan"), 1]]).clip((5, 5))

    def test_inside_box(self):
        assert self.make().inside_box((30, 30)).tolist() == [True, False, True]
        assert self.make().inside_box((30, 30), boundary_threshold=25).tolist() == [True] * 3
        # the far side must stay below the border
        assert self.make().inside_box((20, 30)).tolist() == [False, False, True]

    def test_scale(self):
        boxes = self.make()
        boxes.scale(2.0, 0.5)
        assert boxes.tensor[0].tolist() == [0, 0, 20, 10]

    def test_indexing(self):
        boxes = self.make()
        assert boxes[1].tensor.tolist() == [list(self.boxes[1])]
        assert boxes[1:].tensor.shape == (2, 4)
        assert boxes[torch.tensor([True, False, True])].tensor.shape == (2, 4)
        assert boxes[torch.tensor([2, 2, 0])].tensor[1].tolist() == list(self.boxes[2])
        assert boxes[torch.zeros(3, dtype=torch.bool)].tensor.shape == (0, 4)
        with pytest.raises(IndexError):
            boxes[3]

    def test_iteration_gives_rows(self):
        assert [tuple(box.tolist()) for box in self.make()] == list(self.boxes)

    def test_cat(self):
        joined = Boxes.cat([self.make(), Boxes([]), self.make()])
        assert len(joined) == 6
        assert len(Boxes.cat([])) == 0
        only = self.make()
        assert Boxes.cat([only]).tensor is not only.tensor

    def test_to(self):
        assert self.make().to(torch.device("cpu")).device == torch.device("cpu")
        assert isinstance(self.make().to("cpu"), Boxes)

    def test_repr_shows_the_numbers(self):
        assert "50." in repr(self.make())


class TestInstances:
    def make(self) -> Instances:
        instances = Instances((40, 60))
        instances.boxes = Boxes([[0, 0, 1, 1], [0, 0, 2, 2], [0, 0, 3, 3]])
        instances.classes = torch.tensor([5, 6, 7])
        instances.names = ["a", "b", "c"]
        return instances

    def test_fields(self):
        instances = Instances((4, 6), scores=torch.ones(2))
        assert instances.image_size == (4, 6)
        assert instances.has("scores")
        assert not instances.has("boxes")
        assert instances.get("scores") is instances.scores
        assert set(instances.get_fields()) == {"scores"}
        instances.remove("scores")
        assert not instances.has("scores")

    def test_missing_field(self):
        with pytest.raises(AttributeError):
            _ = self.make().no_such_field
        with pytest.raises(KeyError):
            self.make().get("no_such_field")
        with pytest.raises(KeyError):
            self.make().remove("no_such_field")

    def test_length_is_checked(self):
        instances = self.make()
        with pytest.raises(AssertionError):
            instances.scores = torch.ones(2)
        with pytest.raises(AssertionError):
            Instances((1, 1), a=[1], b=[1, 2])
        with pytest.raises(TypeError):
            Instances((1, 1), a=3)

    def test_without_fields_there_is_no_length(self):
        with pytest.raises(NotImplementedError):
            len(Instances((1, 1)))

    def test_no_iteration(self):
        with pytest.raises(NotImplementedError):
            iter(self.make())

    def test_image_size_cannot_be_set(self):
        instances = self.make()
        with pytest.raises((AttributeError, AssertionError)):
            instances.image_size = (1, 1)
        assert instances.image_size == (40, 60)

    @pytest.mark.parametrize("index", [1, -2])
    def test_int(self, index):
        one = self.make()[index]
        assert len(one) == 1
        assert one.names == ["b"]
        assert one.classes.tolist() == [6]
        assert one.boxes.tensor.tolist() == [[0, 0, 2, 2]]

    @pytest.mark.parametrize("index", [3, -4])
    def test_int_out_of_range(self, index):
        with pytest.raises(IndexError):
            self.make()[index]

    def test_slice(self):
        part = self.make()[1:]
        assert part.names == ["b", "c"]
        assert part.image_size == (40, 60)
        assert len(self.make()[3:]) == 0

    def test_tensors(self):
        instances = self.make()
        instances.remove("names")
        assert instances[instances.classes > 5].classes.tolist() == [6, 7]
        assert instances[torch.tensor([2, 0])].boxes.tensor[:, 2].tolist() == [3, 1]
        assert len(instances[torch.zeros(3, dtype=torch.bool)]) == 0

    def test_cat(self):
        joined = Instances.cat([self.make(), self.make()[:1]])
        assert joined.names == ["a", "b", "c", "a"]
        assert joined.classes.tolist() == [5, 6, 7, 5]
        assert isinstance(joined.boxes, Boxes)
        only = self.make()
        assert Instances.cat([only]) is only

    def test_cat_refuses(self):
        with pytest.raises(AssertionError):
            Instances.cat([])
        with pytest.raises(AssertionError):
            Instances.cat([self.make(), Instances((1, 1), boxes=Boxes([[0, 0, 1, 1]]))])
        with pytest.raises(ValueError, match="ndarray"):
            Instances.cat([Instances((1, 1), a=np.ones(2)), Instances((1, 1), a=np.ones(2))])

    def test_to_leaves_lists_alone(self):
        moved = self.make().to("cpu")
        assert moved.names == ["a", "b", "c"]
        assert moved.classes.device == torch.device("cpu")

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
    def test_copies(self, copied):
        again = copied(self.make())
        assert again.classes.tolist() == [5, 6, 7]
        assert again.image_size == (40, 60)

    def test_text(self):
        text = str(self.make())
        assert "num_instances=3" in text
        assert "image_height=40" in text
        assert repr(self.make()) == text


SQUARE = [2.0, 1.0, 6.0, 1.0, 6.0, 4.0, 2.0, 4.0]
TRIANGLE = [0.0, 0.0, 8.0, 0.0, 0.0, 8.0]


def test_polygons_to_bitmask():
    mask = polygons_to_bitmask([np.array(SQUARE)], 6, 8)
    assert mask.dtype == bool
    assert mask.shape == (6, 8)
    assert mask.sum() == 12
    assert mask[1:4, 2:6].all()
    assert polygons_to_bitmask([], 6, 8).sum() == 0
    both = polygons_to_bitmask([np.array(SQUARE), np.array([7.0, 5, 8, 5, 8, 6, 7, 6])], 6, 8)
    assert both.sum() == 13


class TestBitMasks:
    def make(self) -> BitMasks:
        masks = torch.zeros(3, 6, 8)
        masks[0, 1:4, 2:6] = 1
        masks[2, 5, 7] = 1
        return BitMasks(masks)

    def test_construction(self):
        assert self.make().tensor.dtype == torch.bool
        assert tuple(self.make().image_size) == (6, 8)
        assert BitMasks(np.ones((1, 2, 2), dtype=np.uint8)).tensor.dtype == torch.bool
        with pytest.raises(AssertionError):
            BitMasks(torch.ones(2, 2))

    def test_measures(self):
        assert self.make().nonempty().tolist() == [True, False, True]
        boxes = self.make().get_bounding_boxes()
        assert boxes.tensor.tolist() == [[2, 1, 6, 4], [0, 0, 0, 0], [7, 5, 8, 6]]

    def test_indexing(self):
        masks = self.make()
        assert masks[0].tensor.shape == (1, 6, 8)
        assert masks[1:].tensor.shape == (2, 6, 8)
        assert len(masks[masks.nonempty()]) == 2
        assert len(masks[torch.tensor([2, 2])]) == 2
        assert [mask.shape for mask in masks] == [(6, 8)] * 3

    def test_cat_and_to(self):
        assert len(BitMasks.cat([self.make(), self.make()[:1]])) == 4
        assert self.make().to("cpu").device == torch.device("cpu")

    def test_from_polygons(self):
        polygons = PolygonMasks([[SQUARE], [SQUARE, TRIANGLE]])
        masks = BitMasks.from_polygon_masks(polygons, 6, 8)
        assert masks.tensor.shape == (2, 6, 8)
        assert masks.tensor[0].sum() == 12
        assert masks.tensor[1].sum() > 12
        assert BitMasks.from_polygon_masks([], 6, 8).tensor.shape == (0, 6, 8)

    def test_in_instances(self):
        instances = Instances((6, 8), gt_masks=self.make(), gt_classes=torch.arange(3))
        assert len(instances[instances.gt_masks.nonempty()].gt_masks) == 2
        assert len(Instances.cat([instances, instances]).gt_masks) == 6


class TestPolygonMasks:
    def make(self) -> PolygonMasks:
        return PolygonMasks([[SQUARE], [], [TRIANGLE, SQUARE]])

    def test_construction(self):
        polygons = self.make().polygons
        assert polygons[0][0].dtype == np.float64
        assert PolygonMasks([[torch.tensor(SQUARE)]]).polygons[0][0].tolist() == SQUARE
        with pytest.raises(ValueError, match="coordinates"):
            PolygonMasks([[[1.0, 2.0, 3.0, 4.0]]])
        with pytest.raises(ValueError, match="list"):
            PolygonMasks(torch.ones(1))
        with pytest.raises(ValueError, match="list"):
            PolygonMasks([torch.tensor([SQUARE])])

    def test_measures(self):
        assert self.make().area().tolist() == [12, 0, 44]
        assert self.make().nonempty().tolist() == [True, False, True]
        boxes = self.make().get_bounding_boxes().tensor
        assert boxes[0].tolist() == [2, 1, 6, 4]
        assert boxes[2].tolist() == [0, 0, 8, 8]

    @pytest.mark.parametrize(
        ("index", "lengths"),
        [
            (2, [2]),
            (-1, [2]),
            (slice(0, 2), [1, 0]),
            ([2, 0], [2, 1]),
            (torch.tensor([2, 0]), [2, 1]),
            (torch.tensor([True, False, True]), [1, 2]),
            (torch.zeros(3, dtype=torch.bool), []),
        ],
    )
    def test_indexing(self, index, lengths):
        chosen = self.make()[index]
        assert isinstance(chosen, PolygonMasks)
        assert [len(polygons) for polygons in chosen] == lengths

    def test_cat_and_to(self):
        assert len(PolygonMasks.cat([self.make(), self.make()])) == 6
        masks = self.make()
        assert masks.to("cpu") is masks
        assert masks.device == torch.device("cpu")
