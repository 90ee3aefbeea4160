import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from hdetr_d2._detectron2 import active
from hdetr_d2.errors import UserError
from hdetr_d2.inference.trust import require_trusted, targets


def test_targets_are_found_at_any_depth() -> None:
    node = {"_target_": "a", "x": [{"_target_": "b"}, 3, "text"], "y": {"z": {"_target_": "c"}}}
    assert sorted(targets(node)) == ["a", "b", "c"]
    assert list(targets({"no": "target"})) == []


@pytest.mark.parametrize(
    "target",
    [
        "torch.nn.Linear",
        "torch.nn.modules.linear.Linear",
        "hdetr_d2.data.mapper.DetrMapper",
        "hdetr_d2.modeling.meta_arch.DETR",
        "hdetr_d2.pixels.resize_rule.ResizeRule",
        "torchvision.transforms.v2.RandomHorizontalFlip",
        "torch.nn.Transformer.generate_square_subsequent_mask",  # a static method
    ],
)
def test_parts_of_models_are_trusted(target: str) -> None:
    require_trusted({"part": {"_target_": target}}, "file.pth")


@pytest.mark.parametrize(
    "target",
    [
        "os.system",
        "subprocess.Popen",
        "builtins.exec",
        "torch.load",
        "torch.nnsomething.Linear",
        # Reached through a module of ours, and still not ours.
        "hdetr_d2.pixels.images.os.system",
        "hdetr_d2.pixels.images.Image.Image",
        "torch.nn.modules.module.torch.load",
        # Ours, and not a part of a model.
        "hdetr_d2.pixels.images.read_image",
        "hdetr_d2.checkpoint.Checkpointer",
        # Of a part, and makes none.
        "torch.nn.Module.load_state_dict",
        "torch.nn.Module.__init__.__globals__",
        # Not there at all.
        "torch.nn.NoSuchLayer",
        "hdetr_d2.modeling.no_such_module.Thing",
        "",
        None,
        3,
    ],
)
def test_anything_else_is_refused_by_name(target: object) -> None:
    with pytest.raises(UserError, match="file.pth asks for"):
        require_trusted([{"deep": {"_target_": target}}], "file.pth")


@pytest.mark.skipif(active() == "fallback", reason="the stand-in has no backbones")
@pytest.mark.parametrize(
    "target",
    [
        "detectron2.layers.get_norm",
        "detectron2.modeling.backbone.fpn.LastLevelMaxPool",
        "detectron2.modeling.backbone.resnet.ResNet.make_default_stages",
        "detectron2.modeling.ResNet.make_stage",
    ],
)
def test_parts_of_detectron2s_models_are_trusted(target: str) -> None:
    require_trusted({"part": {"_target_": target}}, "file.pth")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a package that can be imported, with a class and what it imports."""
    (tmp_path / "packagex").mkdir()
    source = (
        "from os import system\nfrom torch.nn import Linear\nclass Neck(Linear): ...\n"
        "def build_neck(): ...\n"
    )
    (tmp_path / "packagex" / "neck.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    yield "packagex"
    for name in ("packagex", "packagex.neck"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("trust", ["packagex", ("a", "packagex"), ["packagex.neck"]])
def test_classes_of_a_package_that_the_user_trusts(own: str, trust: str | Sequence[str]) -> None:
    node = {"a": {"_target_": f"{own}.neck.Neck"}, "b": {"_target_": "torch.nn.Linear"}}
    require_trusted(node, "file.pth", trust)
    require_trusted({"_target_": f"{own}.neck.build_neck"}, "file.pth", trust)
    for name in ("system", "missing", "system.__class__"):
        with pytest.raises(UserError, match="no class that can be imported here"):
            require_trusted({"_target_": f"{own}.neck.{name}"}, "file.pth", trust)


def test_what_is_not_trusted_is_not_imported_and_the_way_out_is_told(own: str) -> None:
    with pytest.raises(UserError, match="trust='packagex'.*, --trust packagex$"):
        require_trusted({"_target_": f"{own}.neck.Neck"}, "file.pth", trust=["package"])
    assert own not in sys.modules


@pytest.mark.parametrize("target", ["subprocess.Popen", "torch.load", "", None])
def test_nobody_is_told_to_trust_the_standard_library(target: object) -> None:
    with pytest.raises(UserError) as caught:
        require_trusted({"_target_": target}, "file.pth")
    assert "--trust" not in str(caught.value)
