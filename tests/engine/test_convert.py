import argparse
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import LazyConfig, instantiate
from PIL import Image
from torchvision.transforms.functional import resize

from hdetr_d2.checkpoint import load_for_inference, read_checkpoint
from hdetr_d2.engine.config import load_config
from hdetr_d2.engine.convert import convert_checkpoint
from hdetr_d2.errors import UserError
from hdetr_d2.exporting.export import resize_rule
from hdetr_d2.modeling.backbone import without_pretrained
from hdetr_d2.pixels.resize_rule import ResizeRule
from hdetr_d2.runtime.predictor import Predictor

sys.path.insert(0, str(Path(__file__).parents[1] / "checkpoint" / "importers"))
import published

pytestmark = pytest.mark.slow

ARGUMENTS = {"nheads": 4, "num_queries_one2one": 12, "dropout": 0.0, "epochs": 12, "lr_drop": 11}


def save(path: Path, weights: dict, **arguments: object) -> str:
    """As the published training scripts do, with what else they keep."""
    content = {"model": weights, "optimizer": {"state": {}}, "lr_scheduler": {}, "epoch": 11}
    if arguments:
        content["args"] = argparse.Namespace(**arguments)
    torch.save(content, path)
    return str(path)


@pytest.fixture(scope="module")
def two_stage() -> dict:
    torch.manual_seed(0)
    return published.state_dict(refine=True, two_stage=True, mixed=True, classes=3)


VARIANTS = {
    "single-stage": ({}, {}),
    "one level": ({"levels": 1}, {"dilation": True}),
    "box refinement": ({"refine": True}, {"with_box_refine": True}),
    "two-stage": ({"refine": True, "two_stage": True}, {"with_box_refine": True}),
    "mixed selection": (
        {"refine": True, "two_stage": True, "mixed": True},
        {"look_forward_twice": True},
    ),
    "hybrid branch": ({"queries": 20}, {"num_queries_one2many": 8}),
    "hybrid branch of proposals": (
        {"refine": True, "two_stage": True},
        {"with_box_refine": True, "num_queries_one2many": 8},
    ),
    "other points": ({"points": (2, 4)}, {}),
    "swin": ({"backbone": "swin_tiny"}, {"drop_path_rate": 0.5}),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_variant_is_built_and_loaded_from_what_was_written(variant: str, tmp_path: Path) -> None:
    sizes, arguments = VARIANTS[variant]
    weights = published.state_dict(**sizes)
    file = save(tmp_path / "theirs.pth", weights, **ARGUMENTS, **arguments)
    result = convert_checkpoint(file, source="h-deformable-detr", output=tmp_path / "ours")
    assert sorted(path.name for path in (tmp_path / "ours").iterdir()) == [
        "config.yaml",
        "model.pth",
    ]
    assert isinstance(yaml.safe_load(result.config.read_text()), dict)
    cfg = LazyConfig.load(str(result.config))
    with without_pretrained():
        model = instantiate(cfg.model).eval()
    metadata = load_for_inference(model, result.weights)
    assert metadata["class_names"] == [f"class {label}" for label in range(5)]
    assert model.decoder.look_forward_twice == arguments.get("look_forward_twice", False)
    assert ("one2many" in model.scheme_slots) == ("num_queries_one2many" in arguments)
    used = sum(value.numel() for name, value in weights.items() if name not in result.left_out)
    assert sum(value.numel() for value in model.state_dict().values()) == pytest.approx(used, abs=9)
    with torch.no_grad():
        found = model([{"image": torch.rand(3, 64, 96) * 255, "height": 64, "width": 96}])
    assert found[0]["instances"].scores.isfinite().all()


@pytest.mark.parametrize(
    ("sizes", "arguments"),
    [
        ({}, {}),
        ({"levels": 5}, {"use_dn": False}),
        ({"levels": 5, "swin": True}, {"drop_path_rate": 0.2}),
        (
            {"shared": False},
            {"dec_pred_class_embed_share": False, "dec_pred_bbox_embed_share": False},
        ),
    ],
)
def test_a_dino_is_built_and_trains(sizes: dict, arguments: dict, make_batch, tmp_path) -> None:
    weights = published.dino_state_dict(**sizes)
    file = save(tmp_path / "theirs.pth", weights, nheads=4, **arguments)
    result = convert_checkpoint(file, source="dino", output=tmp_path / "ours")
    cfg = LazyConfig.load(str(result.config))
    with without_pretrained():
        model = instantiate(cfg.model)
    written = read_checkpoint(result.weights)["model"]
    misfit = model.load_state_dict(written, strict=False)
    assert not misfit.missing_keys and not misfit.unexpected_keys
    used = sum(value.numel() for name, value in weights.items() if name not in result.left_out)
    assert sum(value.numel() for value in written.values()) == used
    losses = model(make_batch([2, 1], num_classes=5))
    assert all(loss.isfinite() for loss in losses.values())
    assert ("loss_class_dn" in losses) == arguments.get("use_dn", True)


def test_without_arguments_the_user_tells_them(two_stage: dict, tmp_path: Path) -> None:
    file = save(tmp_path / "theirs.pth", two_stage)
    output, source = tmp_path / "ours", "h-deformable-detr"
    with pytest.raises(UserError, match="num_queries_one2one=300"):
        convert_checkpoint(file, source=source, output=output, arguments={"nheads": 4})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs.pth"]
    told = {"nheads": 4, "num_queries_one2one": 12}
    result = convert_checkpoint(file, source=source, output=output, arguments=told)
    assert result.assumed == {"dilation": False, "look_forward_twice": False}
    assert load_config(str(result.config)).model.encoder.sizes.num_heads == 4


def test_every_key_that_does_not_fit_is_named_in_one_error(two_stage: dict, tmp_path: Path) -> None:
    weights = dict(two_stage)
    del weights["transformer.pos_trans.bias"]
    weights |= {"mask_head.conv.weight": torch.ones(2), "mask_head.conv.bias": torch.ones(2)}
    file = save(tmp_path / "theirs.pth", weights, **ARGUMENTS)
    options = {"source": "h-deformable-detr", "output": tmp_path / "ours"}
    with pytest.raises(UserError) as caught:
        convert_checkpoint(file, **options)
    assert "1 missing in the file (query_selection.position_proj.bias)" in str(caught.value)
    unknown = "2 unknown to the model (mask_head.conv.bias, mask_head.conv.weight)"
    assert unknown in str(caught.value)
    with pytest.raises(UserError, match="--ignore masks: the file has no such name"):
        convert_checkpoint(file, **options, ignore=["masks"])
    with pytest.raises(UserError, match="1 missing in the file") as caught:
        convert_checkpoint(file, **options, ignore=["mask_head.*"])
    assert "unknown" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs.pth"]


def test_ignored_names_are_told(two_stage: dict, tmp_path: Path) -> None:
    file = save(tmp_path / "theirs.pth", two_stage | {"extra": torch.ones(1)}, **ARGUMENTS)
    (tmp_path / "ours").mkdir()  # an empty folder is as good as a new one
    result = convert_checkpoint(
        file, source="h-deformable-detr", output=tmp_path / "ours", ignore=["extra"]
    )
    assert result.left_out["extra"] == "ignored, as asked for"
    assert "extra" not in read_checkpoint(result.weights)["model"]


def test_nothing_is_written_over_other_files(two_stage: dict, tmp_path: Path) -> None:
    file = save(tmp_path / "theirs.pth", two_stage, **ARGUMENTS)
    with pytest.raises(UserError, match="is there already: give a folder that is new or empty"):
        convert_checkpoint(file, source="h-deformable-detr", output=tmp_path)


class Evil:
    """Loading it without care opens a file for writing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return open, (str(self.path), "w")


def test_no_code_of_a_file_is_run(two_stage: dict, tmp_path: Path) -> None:
    file = save(tmp_path / "evil.pth", two_stage, nheads=4, callback=Evil(tmp_path / "proof"))
    with pytest.raises(UserError, match=r"evil.pth is not a readable .*: it holds a (_?io).open"):
        convert_checkpoint(file, source="h-deformable-detr", output=tmp_path / "ours")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.pth"]


def test_what_cannot_be_written_is_a_sentence(
    two_stage: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    file = save(tmp_path / "theirs.pth", two_stage, **ARGUMENTS)
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="No space left on device"):
        convert_checkpoint(file, source="h-deformable-detr", output=tmp_path / "ours")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs.pth"]


def test_in_detectron2s_own_manner_without_a_network(
    two_stage: dict, make_batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError("something looks for the network")

    file = save(tmp_path / "theirs.pth", two_stage, **ARGUMENTS, with_box_refine=True)
    result = convert_checkpoint(file, source="h-deformable-detr", output=tmp_path / "ours")
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    model = instantiate(LazyConfig.load(str(result.config)).model)
    assert not model.backbone.net.conv1.weight.requires_grad
    with pytest.raises(UserError, match="pretrained=null: .* none was loaded"):
        model(make_batch([2, 1], num_classes=3))
    DetectionCheckpointer(model).load(str(result.weights))
    written = read_checkpoint(result.weights)["model"]
    assert all(torch.equal(value, written[name]) for name, value in model.state_dict().items())
    assert all(loss.isfinite() for loss in model(make_batch([2, 1], num_classes=3)).values())


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_the_prefixes_of_wrappers_are_read(two_stage: dict, prefix: str, tmp_path: Path) -> None:
    wrapped = {prefix + name: value for name, value in two_stage.items()}
    files = [
        save(tmp_path / f"{len(w)}{k}.pth", w, **ARGUMENTS, with_box_refine=True)
        for k, w in enumerate((two_stage, wrapped))
    ]
    models = [
        read_checkpoint(
            convert_checkpoint(
                file, source="h-deformable-detr", output=tmp_path / f"ours{index}"
            ).weights
        )["model"]
        for index, file in enumerate(files)
    ]
    assert models[0].keys() == models[1].keys()
    assert all(torch.equal(models[0][name], models[1][name]) for name in models[0])


def test_numpys_numbers_among_the_arguments_are_numbers(two_stage: dict, tmp_path: Path) -> None:
    arguments = {
        **ARGUMENTS,
        "with_box_refine": np.bool_(True),
        "lr": np.float64(3e-4),
        "epochs": np.int64(12),
        "best": np.float32(0.5),
    }
    file = save(tmp_path / "theirs.pth", two_stage, **arguments)
    result = convert_checkpoint(file, source="h-deformable-detr", output=tmp_path / "ours")
    cfg = load_config(str(result.config))
    assert (cfg.optimizer.lr, cfg.train.epochs) == (3e-4, 12)
    file = save(tmp_path / "array.pth", two_stage, **ARGUMENTS, curve=np.ones(3))
    with pytest.raises(UserError, match="it holds a numpy.* save its weights anew"):
        convert_checkpoint(file, source="h-deformable-detr", output=tmp_path / "other")


def test_an_average_beside_the_weights_is_chosen_by_the_user(
    two_stage: dict, tmp_path: Path
) -> None:
    average = {f"module.{name}": value + 1 for name, value in two_stage.items()}
    arguments = argparse.Namespace(**ARGUMENTS, with_box_refine=True)
    file = tmp_path / "theirs.pth"
    torch.save({"model": two_stage, "ema_model": average, "args": arguments}, file)
    options = {"source": "h-deformable-detr", "output": tmp_path / "ours"}
    with pytest.raises(UserError, match=r"\(model, ema_model\): --weights ema_model takes"):
        convert_checkpoint(file, **options)
    with pytest.raises(UserError, match="--weights ema: .* holds model, ema_model"):
        convert_checkpoint(file, **options, weights="ema")
    result = convert_checkpoint(file, **options, weights="ema_model")
    written = read_checkpoint(result.weights)["model"]
    name = "backbone.0.body.conv1.weight"
    assert torch.equal(written["backbone.net.conv1.weight"], two_stage[name] + 1)


def test_a_weight_that_is_no_number_is_named(two_stage: dict, tmp_path: Path) -> None:
    weights = dict(two_stage)
    weights["transformer.pos_trans.bias"] = torch.full_like(
        weights["transformer.pos_trans.bias"], float("nan")
    )
    file = save(tmp_path / "theirs.pth", weights, **ARGUMENTS, with_box_refine=True)
    with pytest.raises(UserError, match="are not finite: transformer.pos_trans.bias$"):
        convert_checkpoint(file, source="h-deformable-detr", output=tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_images_are_resized_as_by_the_published_script(two_stage: dict, tmp_path: Path) -> None:
    file = save(tmp_path / "theirs.pth", two_stage, **ARGUMENTS)
    result = convert_checkpoint(file, source="h-deformable-detr", output=tmp_path / "ours")
    pixels = np.random.default_rng(0).integers(0, 256, (427, 1000, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    # 1333 / 1000 * 427 = 569.19, and 569 / 427 * 1000 = 1332.55; ours would be 569 x 1333.
    expected = resize(Image.open(tmp_path / "a.jpg"), [569, 1332])
    detector = Predictor(result.weights).detector
    fed = detector.read({"file_name": str(tmp_path / "a.jpg")})["image"]
    assert (fed.permute(1, 2, 0).numpy() == np.asarray(expected)).all()
    rule = ResizeRule("detr", "pillow")
    assert resize_rule(detector.mapper) == (800, 1333, rule)  # that of an exported file
