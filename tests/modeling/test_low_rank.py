"""Adapters of low rank: nothing at first, trained alone, and plain weights in the end."""

import copy
import re
from pathlib import Path

import pytest
import torch
from detectron2.config import LazyConfig

from hdetr_d2.checkpoint import Checkpointer, load_for_inference, read_checkpoint
from hdetr_d2.exporting.program import Plan, make_graph
from hdetr_d2.layers import DeformableAttention, Linear
from hdetr_d2.modeling import LowRank
from hdetr_d2.modeling.low_rank import LowRankLinear, merge_adapters, merged

DENSE = "common/models/detr.py"
PLUS_PLUS = "common/models/deformable_detr_pp.py"
CHOICES = Path(__file__).parents[2] / "configs" / "common" / "fine_tuning.py"
BODY = [r"^backbone\.", r"^neck\.", r"^encoder\.", r"^decoder\.layers\."]
LAYERS = [r"^encoder\.layers\.", r"^decoder\.layers\."]


def node(rank: int = 3, patterns: list[str] | None = None) -> dict:
    return {
        "_target_": "hdetr_d2.modeling.LowRank",
        "rank": rank,
        "patterns": LAYERS if patterns is None else patterns,
    }


@pytest.fixture(params=[DENSE, PLUS_PLUS])
def both(request, tiny_model):
    """A model, and the same one with adapters."""
    plain = tiny_model(request.param)
    adapted = tiny_model(request.param, freeze=BODY, adapters=node())
    weights = plain.state_dict()
    adapted.load_state_dict(weights, strict=False)
    return plain, adapted


def predicted(model, batch) -> list[torch.Tensor]:
    images = [item["image"] for item in batch]
    with torch.no_grad():
        predictions = model.eval().predict(model.encode(images).memory)
    return [predictions.logits, predictions.boxes]


def differences(one, other) -> list[float]:
    return [float((a - b).abs().max()) for a, b in zip(one, other, strict=True)]


def train(model, batch, steps: int = 3) -> None:
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=1e-2)
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        sum(model(batch).values()).backward()
        optimizer.step()


def test_a_weight_by_hand() -> None:
    layer = Linear(2, 2, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    LowRankLinear.of(layer, rank=1)
    assert layer.weight.tolist() == [[1, 2], [3, 4]]
    with torch.no_grad():
        layer.low_rank_up.copy_(torch.tensor([[1.0], [-1.0]]))
        layer.low_rank_down.copy_(torch.tensor([[0.5, 2.0]]))
    assert layer.weight.tolist() == [[1.5, 4], [2.5, 2]]
    assert layer(torch.tensor([[1.0, 1.0]])).tolist() == [[5.5, 4.5]]
    assert merged(layer.state_dict())["weight"].tolist() == [[1.5, 4], [2.5, 2]]
    layer.merge()
    assert type(layer) is Linear and [*layer.state_dict()] == ["weight"]
    assert layer.weight.tolist() == [[1.5, 4], [2.5, 2]] and layer.weight.requires_grad


def test_before_the_first_step_outputs_are_bit_equal(both, make_batch) -> None:
    batch = make_batch([2, 1])
    plain, adapted = both
    one, other = predicted(plain, batch), predicted(adapted, batch)
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_only_adapters_and_heads_learn(both, make_batch) -> None:
    _, adapted = both
    before = {name: value.clone() for name, value in adapted.named_parameters()}
    train(adapted, make_batch([2, 1]))
    changed = {n for n, value in adapted.named_parameters() if not torch.equal(value, before[n])}
    adapters = {name for name in before if "low_rank" in name}
    layers = [n for n, m in adapted.named_modules() if isinstance(m, LowRankLinear)]
    assert len(adapters) == 2 * len(layers) > 0
    # DETR's queries have no content before its first layer: there is nothing to attend to.
    idle = {name for name in adapters - changed if ".layers.0.self_attention." not in name}
    assert not idle
    body = {name for name in before if any(re.search(pattern, name) for pattern in BODY)}
    assert changed & body <= adapters
    assert changed - body


def test_merged_weights_compute_the_same(both, make_batch, tmp_path: Path) -> None:
    batch = make_batch([2, 1])
    plain, adapted = both
    train(adapted, batch)
    expected = predicted(adapted, batch)
    start = predicted(plain, batch)
    assert min(differences(start, expected)) > 1e-3
    Checkpointer(adapted, str(tmp_path)).save_weights("model_best", adapted.state_dict())
    assert set(read_checkpoint(tmp_path / "model_best.pth")["model"]) <= set(plain.state_dict())
    load_for_inference(plain, tmp_path / "model_best.pth")  # a model that knows no adapters
    assert max(differences(predicted(plain, batch), expected)) <= 1e-6


@pytest.mark.parametrize("name", ["model_final", "model_best"])
def test_a_checkpoint_is_opened_with_plain_layers(both, make_batch, tmp_path, name) -> None:
    batch = make_batch([2, 1])
    _, adapted = both
    fresh = copy.deepcopy(adapted)
    train(adapted, batch)
    checkpointer = Checkpointer(adapted, str(tmp_path))
    checkpointer.save("model_final")
    checkpointer.save_weights("model_best", adapted.state_dict())
    load_for_inference(fresh, tmp_path / f"{name}.pth")
    assert not [m for m in fresh.modules() if isinstance(m, LowRankLinear)]
    assert max(differences(predicted(fresh, batch), predicted(adapted, batch))) <= 1e-6


def test_a_run_is_resumed_with_its_adapters(both, make_batch, tmp_path: Path) -> None:
    _, adapted = both
    fresh = copy.deepcopy(adapted)
    train(adapted, make_batch([2, 1]))
    Checkpointer(adapted, str(tmp_path)).save("model_0000003")
    Checkpointer(fresh, str(tmp_path)).resume_or_load("", resume=True)
    found = fresh.state_dict()
    assert all(torch.equal(found[name], value) for name, value in adapted.state_dict().items())


def test_a_new_run_begins_with_what_the_last_one_has_learned(both, make_batch, tmp_path) -> None:
    batch = make_batch([2, 1])
    _, adapted = both
    fresh = copy.deepcopy(adapted)
    train(fresh, batch, steps=1)  # whatever its adapters hold
    train(adapted, batch)
    Checkpointer(adapted, str(tmp_path)).save("model_final")
    Checkpointer(fresh).load(str(tmp_path / "model_final.pth"), checkpointables=[])
    assert max(differences(predicted(fresh, batch), predicted(adapted, batch))) <= 1e-6
    ups = [value for name, value in fresh.named_parameters() if "low_rank_up" in name]
    assert ups and not any(value.any() for value in ups)


@pytest.mark.parametrize(
    ("choice", "learning"),
    [
        ("without_backbone", {"encoder", "decoder", "query_selection"}),
        ("heads_only", {"decoder", "query_selection"}),
        ("low_rank", {"encoder", "decoder", "query_selection"}),
    ],
)
def test_what_the_usual_choices_let_learn(tiny_model, choice: str, learning: set[str]) -> None:
    model = tiny_model(PLUS_PLUS, **LazyConfig.load(str(CHOICES))[choice])
    names = [name for name, value in model.named_parameters() if value.requires_grad]
    assert {name.split(".")[0] for name in names} == learning
    adapters = [name for name in names if "low_rank" in name]
    assert bool(adapters) == (choice == "low_rank")
    layers = {name for name in names if ".layers." in name and name.split(".")[1] == "layers"}
    assert layers == {*adapters} or choice == "without_backbone"


def test_what_is_exported_has_plain_layers(tiny_model) -> None:
    model = tiny_model(PLUS_PLUS, adapters=node())
    graph = make_graph(model, Plan((64, 64), True, 32, 64, 1))
    assert not [m for m in graph.modules() if isinstance(m, LowRankLinear)]
    assert [m for m in model.modules() if isinstance(m, LowRankLinear)]  # this one is left alone


def test_models_without_adapters_are_left_alone(tiny_model) -> None:
    model = tiny_model(PLUS_PLUS)
    weights = model.state_dict()
    assert merged(weights).keys() == weights.keys()
    merge_adapters(model)
    assert all(model.state_dict()[name] is not None for name in weights)


def test_what_cannot_be_adapted(tiny_model) -> None:
    with pytest.raises(ValueError, match=r"model.adapters.rank=0 must be at least 1"):
        LowRank(rank=0, patterns=[])
    with pytest.raises(ValueError, match=r"model.adapters: no linear layer matches 'nothing'"):
        tiny_model(PLUS_PLUS, adapters=node(patterns=[r"^decoder\.layers\.", "nothing"]))


def test_adapters_of_layers_that_are_one_product_count():
    torch.manual_seed(0)
    attention = DeformableAttention(dim=8, num_heads=2, num_levels=1, num_points=2)
    LowRank(rank=2, patterns=["sampling_offsets", "attention_weights"]).put_into(attention)
    query, reference = torch.randn(1, 3, 8), torch.rand(1, 3, 1, 2)
    _, before = attention.samples(query, reference, [(4, 4)])
    adapted = (attention.sampling_offsets, attention.attention_weights)
    for layer in adapted:
        torch.nn.init.normal_(layer.low_rank_up)
    locations, weights = attention.samples(query, reference, [(4, 4)])
    assert not torch.allclose(weights, before)
    (locations.square().sum() + weights.square().sum()).backward()
    for layer in adapted:
        assert layer.low_rank_up.grad.abs().sum() > 0
        assert layer.low_rank_down.grad.abs().sum() > 0
