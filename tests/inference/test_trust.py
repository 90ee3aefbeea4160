import pytest

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
        "torchvision.transforms.v2.RandomHorizontalFlip",
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
        "hdetr_d2.data.images.os.system",
        "hdetr_d2.data.images.Image.Image",
        "torch.nn.modules.module.torch.load",
        # Ours, and not a part of a model.
        "hdetr_d2.data.images.read_image",
        "hdetr_d2.checkpoint.Checkpointer",
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
