"""The predictions of a group may be learned from by a further assigner."""

import pytest
import torch

from hdetr_d2.errors import MisfitError
from hdetr_d2.matching import TopKByScore
from hdetr_d2.schemes import HybridBranch, QueryRecollection
from hdetr_d2.schemes.base import Contribution, Scheme
from hdetr_d2.structures import FurtherTask, GroupOutput, Match, Step


class Twice(Scheme):
    def __init__(self, weight: float = 1.0, of: str = "") -> None:
        super().__init__("twice")
        self.weight = weight
        self.of = of

    def contribute(self, context):
        assigner = TopKByScore(cap=1.0)
        task = FurtherTask(name=self.name, assigner=assigner, weight=self.weight, of=self.of)
        return Contribution(tasks=[task])


class Other(Scheme):
    """A task of a group that another scheme adds."""

    def contribute(self, context):
        match = Match((2,) * context.num_layers)
        return Contribution(tasks=[FurtherTask(name=self.name, assigner=match, of="one2many")])


def test_the_main_queries_learn_by_both(tiny_model, make_batch, train_step):
    plain, model = tiny_model(schemes=[]), tiny_model(schemes=[])
    model.load_state_dict(plain.state_dict())
    model.schemes.append(Twice(weight=0.5))
    batch = make_batch([3, 1])
    before = plain(batch)
    losses, groups = train_step(model, batch)
    assert {name: losses[name] for name in before} == before
    further = {name for name in losses if "twice" in name}
    assert further == set(losses) - set(before)
    names = [f"loss_{kind}_twice" for kind in ("class", "bbox", "giou")]
    assert further == {name + end for name in names for end in ("_0", "_1", "")}
    main, task = groups[""].output, groups["twice"].output
    assert task.predictions is main.predictions
    # By hand: the losses of a group of its own with these predictions.
    alone = GroupOutput(task.group, main.predictions, main.targets)
    (learned,) = model.criterion.assign([alone])
    wanted = model.criterion(alone, learned, Step.of(main.targets))
    assert {name: losses[name] for name in further} == wanted
    task.group.weight = 1.0
    heavier = model.criterion(alone, learned, Step.of(main.targets))
    assert all(torch.equal(heavier[name], 2 * wanted[name]) for name in further)


def test_a_group_of_another_scheme(tiny_model, make_batch, train_step):
    model = tiny_model(schemes=[{"_target_": HybridBranch, "num_queries": 24, "repeats": 6}])
    model.schemes.append(Other("again"))
    losses, groups = train_step(model, make_batch([2, 0]))
    assert groups["again"].output.predictions is groups["one2many"].output.predictions
    assert losses["loss_bbox_again"].isfinite()


@pytest.mark.parametrize("counts", [[2, 0], [0, 0]])
def test_images_without_objects(tiny_model, make_batch, counts):
    model = tiny_model(schemes=[])
    model.schemes.append(Twice())
    losses = model(make_batch(counts))
    sum(losses.values()).backward()
    assert all(loss.isfinite() for loss in losses.values())
    if not any(counts):
        assert losses["loss_bbox_twice"] == 0 and losses["loss_class_twice"] > 0


def test_a_group_that_is_not_there(tiny_model, make_batch):
    model = tiny_model(schemes=[])
    model.schemes.append(Twice(of="one2many"))
    with pytest.raises(MisfitError, match="The task 'twice' is of the group 'one2many', but there"):
        model(make_batch([1, 1]))


def test_the_layers_of_a_group_that_starts_late_keep_their_numbers(tiny_model, make_batch):
    model = tiny_model(schemes=[])
    model.schemes.extend([QueryRecollection(), Twice(of="recollected_from1")])
    losses = model(make_batch([2, 1]))
    assert {name for name in losses if "class_twice" in name} == {
        "loss_class_twice_1",
        "loss_class_twice",
    }
