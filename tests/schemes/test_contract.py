"""What every scheme promises; the schemes are found, not listed."""

import importlib
import pkgutil

import pytest
import torch
from detectron2.config import LazyConfig, instantiate

import hdetr_d2.schemes
from hdetr_d2.schemes import OneToOne, Scheme
from hdetr_d2.schemes.base import check_together


def all_schemes() -> list[type[Scheme]]:
    for module in pkgutil.iter_modules(hdetr_d2.schemes.__path__):
        importlib.import_module(f"hdetr_d2.schemes.{module.name}")
    return sorted(Scheme.__subclasses__(), key=lambda scheme: scheme.__name__)


@pytest.fixture(scope="module")
def nodes(request):
    cfg = LazyConfig.load(str(request.config.rootpath / "configs" / "common" / "schemes.py"))
    return {node._target_.__name__: node for node in cfg.values() if "_target_" in node}


@pytest.fixture(params=all_schemes(), ids=lambda scheme: scheme.__name__)
def node(request, nodes):
    return nodes[request.param.__name__]  # every scheme has a config node


def test_evaluation_does_not_know_the_scheme(tiny_model, make_batch, node):
    plain, trained = tiny_model(schemes=[]).eval(), tiny_model(schemes=[node]).eval()
    trained.load_state_dict(plain.state_dict(), strict=False)
    with torch.no_grad():
        for one, other in zip(plain(make_batch([1, 1])), trained(make_batch([1, 1])), strict=True):
            assert torch.equal(one["instances"].scores, other["instances"].scores)
            assert torch.equal(
                one["instances"].pred_boxes.tensor, other["instances"].pred_boxes.tensor
            )


@pytest.mark.parametrize("counts", [[2, 1], [0, 0]])
def test_every_parameter_gets_a_gradient(tiny_model, make_batch, node, counts):
    model = tiny_model(schemes=[node])
    sum(model(make_batch(counts)).values()).backward()
    assert [
        name for name, p in model.named_parameters() if p.requires_grad and p.grad is None
    ] == []


def test_capacity_is_a_positive_number_at_any_time(node):
    scheme = instantiate(node)
    for done in (0.0, 0.5, 1.0):
        scheme.at_progress(done)
        assert all(scheme.capacity(layer, 6, done) >= 1 for layer in range(6))


def test_two_schemes_cannot_both_say_the_capacity():
    with pytest.raises(ValueError, match="OneToOne and OneToOne"):
        check_together([OneToOne(), OneToOne()])


def test_two_schemes_cannot_share_a_name():
    class Named(Scheme):
        name = "one2many"

    with pytest.raises(ValueError, match="different names"):
        check_together([Named(), Named()])
