"""What every scheme promises, alone and beside another; the schemes are found, not listed."""

import importlib
import pkgutil
from dataclasses import replace
from functools import partial
from itertools import combinations, product
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig

import hdetr_d2.schemes
from hdetr_d2.modeling import postprocessing
from hdetr_d2.schemes import HybridLayer, OneToOne, Scheme
from hdetr_d2.schemes.base import check_together

CONFIGS = Path(__file__).parents[2] / "configs" / "common"
NODES = {
    name: node
    for name, node in LazyConfig.load(str(CONFIGS / "schemes.py")).items()
    if "_target_" in node
}
NODES["hybrid_branch"].num_queries = 24  # of 1500, beside 12 of the main group
NODES["kd_detr"].num_random = 8  # of 300
NODES["feature_distillation"].update(teacher_dim=96)
NODES["feature_distillation"].teacher.update(name="test_resnet", feature="res5", pretrained=False)
PLUS_PLUS = "common/models/deformable_detr_pp.py"
MODELS = [
    "common/models/detr.py",
    "common/models/deformable_detr.py",
    "common/models/deformable_detr_two_stage.py",
    PLUS_PLUS,
    "common/models/dino.py",
    "common/models/deformable_detr_pp_masks.py",
]


def all_schemes() -> list[type[Scheme]]:
    for module in pkgutil.iter_modules(hdetr_d2.schemes.__path__):
        importlib.import_module(f"hdetr_d2.schemes.{module.name}")
    here = f"{hdetr_d2.schemes.__name__}."  # others are of projects, or of a test
    return [each for each in Scheme.__subclasses__() if each.__module__.startswith(here)]


def contradict(one: str, two: str) -> bool:
    """Whether two nodes set the same thing, or have the same name in the losses by default."""
    first, second = (NODES[name]._target_ for name in (one, two))
    return first is second or (first.sets_capacity and second.sets_capacity)


SINGLES = [(name,) for name in NODES]
PAIRS = [pair for pair in combinations(NODES, 2) if not contradict(*pair)]


def covering(pairs: list[tuple[str, str]], size: int) -> list[tuple[str, ...]]:
    """Sets of at most so many schemes in which every pair is, and no two that are none: far fewer
    models than pairs."""
    left, sets = dict.fromkeys(pairs), []

    def gain(name: str, chosen: tuple[str, ...]) -> int:
        """How many pairs a scheme brings into a set; -1 where it does not go with all of it."""
        brought = {in_order((name, each)) for each in chosen}
        return len(brought & left.keys()) if brought <= {*pairs} else -1

    while left:
        chosen: tuple[str, ...] = next(iter(left))
        while len(chosen) < size:
            best = max(NODES, key=partial(gain, chosen=chosen))
            if gain(best, chosen) < 1:
                break
            chosen = in_order((*chosen, best))
        sets.append(chosen)
        for pair in combinations(chosen, 2):
            left.pop(pair, None)
    return sets


def in_order(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(sorted(names, key=[*NODES].index))


SETS = covering(PAIRS, size=5)
TOGETHER = SINGLES + SETS
# Masks of further models, with one scheme each.
MASKS = [
    ("common/models/detr_masks.py", ("hybrid_layer",)),
    ("common/models/dino_masks.py", ("contrastive_denoising",)),
]
# Nobody can start in its last layer, which looks at nothing.
SUPPRESSING = product(
    ["common/models/mds_detr.py"], [names for names in SINGLES if "query_recollection" not in names]
)
# `make test` has every scheme on one model, `make test-slow` on all.
FURTHER = [*product([path for path in MODELS if path != PLUS_PLUS], SINGLES), *SUPPRESSING]
STEPS = [
    *product([PLUS_PLUS], TOGETHER),
    *MASKS,
    *(pytest.param(*step, marks=pytest.mark.slow) for step in FURTHER),
]


def name_of(value):
    """A readable test id of a set of schemes, or of the file of a model."""
    if isinstance(value, tuple):
        return "+".join(value)
    return Path(value).stem if isinstance(value, str) else None


def nodes_of(names):
    return [NODES[name] for name in names]


@pytest.fixture(params=TOGETHER, ids=name_of)
def nodes(request):
    return nodes_of(request.param)


def test_every_pair_that_goes_together_is_tried():
    tried = {pair for names in SETS for pair in combinations(names, 2)}
    assert tried == {*PAIRS}


def test_every_scheme_has_a_config_node():
    assert {node._target_ for node in NODES.values()} == set(all_schemes())


def evaluate(model, batch):
    """Scores and boxes, and the parameters that they depend on."""
    found = model.eval()(batch)
    numbers = torch.cat([*(f.scores for f in found), *(f.pred_boxes.tensor.ravel() for f in found)])
    numbers.sum().backward()
    return numbers, [name for name, p in model.named_parameters() if p.grad is not None]


def test_evaluation_does_not_know_the_schemes(tiny_model, make_batch, monkeypatch, nodes):
    # Detectron2 moves boxes in place, which autograd does not follow.
    monkeypatch.setattr(postprocessing, "to_original_size", lambda detections, _: detections)
    plain, trained = tiny_model(schemes=[]), tiny_model(schemes=nodes)
    trained.load_state_dict(plain.state_dict(), strict=False)
    (one, used), (other, also_used) = (evaluate(m, make_batch([1, 1])) for m in (plain, trained))
    assert torch.equal(one, other)
    assert used == also_used


@pytest.mark.parametrize("counts", [[2, 1], [0, 0]])
@pytest.mark.parametrize(("path", "schemes"), STEPS, ids=name_of)
def test_every_parameter_gets_a_gradient(tiny_model, make_batch, path, schemes, counts):
    model = tiny_model(path, schemes=nodes_of(schemes))
    losses = model(make_batch(counts))
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    trained = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    assert [name for name, grad in trained.items() if grad is None] == []
    assert all(grad.isfinite().all() for grad in trained.values())


def test_loss_names(tiny_model, make_batch, monkeypatch, nodes):
    """Those of the groups, each named after its scheme, and of the schemes' own heads."""
    model, own = tiny_model(schemes=nodes), set()
    ends = ["_0", "_1", "", "_enc"]

    def contribute(scheme, context):
        added = type(scheme).contribute(scheme, context)
        learners = [*added.groups, *added.tasks, *added.taps]
        proposing = [added.proposals.name] if added.proposals else []
        names = [*proposing, *(learner.name for learner in learners)]
        assert all(f"{name}_".startswith(f"{scheme.name}_") for name in names)
        own.update(added.losses)
        for learner in learners:
            layers = [f"_{layer}" for layer in range(learner.first_layer, 2)]
            ends.extend(f"_{learner.name}{layer}" for layer in (*layers, ""))
        ends.extend(f"_{name}" for name in proposing)
        return added

    for scheme in model.schemes:
        monkeypatch.setattr(scheme, "contribute", partial(contribute, scheme))
    losses = model(make_batch([2, 1]))
    assert set(losses) == own | {
        f"loss_{k}{end}" for k in ("class", "bbox", "giou") for end in ends
    }


def decoder_input(model, batch):
    """The groups and the memory of a training step."""
    seen = []
    with model.decoder.register_forward_pre_hook(lambda module, args: seen.extend(args)):
        model(batch)
    return seen


def blocks_of(groups):
    """Group and range of queries of every block."""
    for index, group in enumerate(groups):
        queries = group.queries.content.shape[1]
        size = queries // group.blocks
        for start in range(0, queries, max(size, 1)):
            yield index, slice(start, start + size)


def predict(model, groups, memory):
    """For each block `Tensor[L, B, Q, K + 4]`, in the order of `blocks_of`."""
    rows = [torch.cat([p.logits, p.boxes], -1) for p in model.decoder(groups, memory)]
    return [rows[index][:, :, part] for index, part in blocks_of(groups)]


def knows(groups, seer, seen):
    """Whether a block sees another one, or does so until it branches off; each is the place of its
    group and its range of queries.
    """
    (place, part), (other, other_part) = seer, seen
    name, source = groups[other].name, groups[place].branches_from
    sources = [group for group in groups if group.name == source]
    seen_names = {*groups[place].sees, *(each for group in sources for each in group.sees)}
    seen_names |= origins(groups, groups[place])
    return name in seen_names or (name == source and part == other_part)


def origins(groups, group):
    """The names of the groups from the first layer on whose queries the group goes on with."""
    if group.start is None:
        return set()
    by_name = {each.name: each for each in groups}
    return {
        origin for name in group.start.of for origin in origins(groups, by_name[name]) or {name}
    }


@torch.no_grad()
def test_blocks_see_only_what_their_group_says(tiny_model, make_batch, nodes):
    model = tiny_model(schemes=nodes)
    groups, memory = decoder_input(model, make_batch([2, 1]))
    before = predict(model, groups, memory)
    blocks = list(blocks_of(groups))
    for changed, (index, part) in enumerate(blocks):
        content = groups[index].queries.content.clone()
        content[:, part] += torch.randn_like(content[:, part])
        queries = replace(groups[index].queries, content=content)
        others = [*groups[:index], replace(groups[index], queries=queries), *groups[index + 1 :]]
        same = map(torch.equal, before, predict(model, others, memory))
        seeing = [knows(groups, seer, (index, part)) for seer in blocks]
        own = groups[index].branches_from is None and groups[index].start is None
        seeing[changed] = own  # else its content is another one's
        assert [not equal for equal in same] == seeing


@pytest.mark.parametrize("name", NODES)
def test_capacity_is_a_positive_number_at_any_time(tiny_model, name):
    (scheme,) = tiny_model(schemes=[NODES[name]]).schemes
    for done in (0.0, 0.5, 1.0):
        assert all(scheme.capacity(layer, 6, done) >= 1 for layer in range(6))


def test_two_schemes_cannot_both_say_the_capacity():
    with pytest.raises(ValueError, match="OneToOne and HybridLayer"):
        check_together([OneToOne(), HybridLayer(repeats=2, num_layers=1)])


def test_two_schemes_cannot_share_a_name():
    with pytest.raises(ValueError, match="different names"):
        check_together([Scheme("one2many"), Scheme("one2many")])


def test_a_model_may_have_two_schemes_of_one_kind(tiny_model, make_batch):
    branch = NODES["hybrid_branch"]
    model = tiny_model(schemes=[branch, {**branch, "name": "wide", "repeats": 2}])
    losses = model(make_batch([2, 1]))
    assert {"loss_bbox_one2many", "loss_bbox_wide"} <= set(losses)
    assert set(model.scheme_slots) == {"one2many", "wide"}


@pytest.mark.parametrize("name", ["enc", "branch_2", "7", "a.b", "two words"])
def test_names_that_would_make_losses_look_like_others(name):
    with pytest.raises(ValueError, match=f"cannot be named '{name}'"):
        Scheme(name)
