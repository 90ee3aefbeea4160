"""Models of Hugging Face transformers: recorded ones, and where it is installed some of its own."""

import hdetr_d2  # noqa: F401

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from detectron2.config import LazyConfig, instantiate

from hdetr_d2.checkpoint import load_for_inference
from hdetr_d2.checkpoint.importers import Arguments, find_importer
from hdetr_d2.engine.class_names import get_class_names
from hdetr_d2.engine.convert import convert_checkpoint
from hdetr_d2.errors import UserError
from hdetr_d2.modeling.backbone import without_pretrained

sys.path.insert(0, str(Path(__file__).parents[2] / "golden"))
import golden

HERE = Path(__file__).parent
IMPORTER = find_importer("transformers")
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def recorded_folder(name, folder):
    """What `save_pretrained` wrote, with the weights of the recorded case."""
    case = golden.load(name, HERE)
    weights = case.state_dict()
    safetensors.torch.save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(case.config))
    (folder / "preprocessor_config.json").write_text(json.dumps(case.processor))
    return case


def convert(folder, output, **options):
    """Config and model of a folder."""
    result = convert_checkpoint(folder, source="transformers", output=output, **options)
    cfg = LazyConfig.load(str(result.config))
    with without_pretrained():
        model = instantiate(cfg.model)
    load_for_inference(model, result.weights)
    return cfg, model.eval()


def predict(model, images):
    with torch.no_grad():
        predictions = model.predict(model.encode(images).memory)
    return predictions.logits[-1], predictions.boxes[-1]


@pytest.mark.parametrize("name", ["transformers_detr", "transformers_two_stage"])
def test_recorded_predictions(name, tmp_path):
    case = recorded_folder(name, tmp_path)
    cfg, model = convert(tmp_path, tmp_path / "ours")
    ours = predict(model, case.images)
    for found, key in zip(ours, ("logits", "boxes"), strict=True):
        expected = torch.from_numpy(case.arrays[key])
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert get_class_names(cfg) == ["class 0", "cat", "dog", "class 3", "cow"]
    resize = cfg.dataloader.test.mapper.augmentations[0]
    assert (list(resize.sides), resize.max_size) == ([96], 160)
    assert cfg.data.resize.rounding == "transformers"
    np.testing.assert_allclose(cfg.model.preprocessing.pixel_mean, [123.675, 116.28, 103.53])
    np.testing.assert_allclose(cfg.model.preprocessing.pixel_std, [58.395, 57.12, 57.375])


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("Detr", {}),
        ("Detr", {"position_embedding_type": "learned"}),
        ("Detr", {"dilation": True}),
        ("DeformableDetr", {}),
        ("DeformableDetr", {"num_feature_levels": 1, "dilation": True}),
        ("DeformableDetr", {"with_box_refine": True}),
        ("DeformableDetr", {"with_box_refine": True, "two_stage": True}),
    ],
    ids=["detr", "learned", "dc5", "single", "one-level-dc5", "refine", "two-stage"],
)
def test_predictions_of_transformers_itself(kind, settings, tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {
        **{f"{stack}_layers": number for stack, number in (("encoder", 1), ("decoder", 2))},
        **{f"{stack}_ffn_dim": 48 for stack in ("encoder", "decoder")},
        **{f"{stack}_attention_heads": 4 for stack in ("encoder", "decoder")},
    }
    config = getattr(transformers, f"{kind}Config")(
        d_model=32, num_queries=9, num_labels=5, **sizes, **settings
    )
    theirs = getattr(transformers, f"{kind}ForObjectDetection")(config).eval()
    for name, value in theirs.named_parameters():  # heads start with zeros, and norms all alike
        if "backbone" not in name:
            value.data.add_(0.1 * torch.randn_like(value))
    theirs.save_pretrained(tmp_path)
    _, model = convert(tmp_path, tmp_path / "ours")
    images = [torch.rand(3, 96, 128) * 255, torch.rand(3, 120, 80) * 255]
    pixels, mask = torch.zeros(2, 3, 120, 128), torch.zeros(2, 120, 128, dtype=torch.int64)
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    for row, valid, image in zip(pixels, mask, images, strict=True):
        height, width = image.shape[1:]
        row[:, :height, :width] = (image / 255 - mean) / std
        valid[:height, :width] = 1
    with torch.no_grad():
        expected = theirs(pixel_values=pixels, pixel_mask=mask)
    logits, boxes = predict(model, images)
    torch.testing.assert_close(logits, expected.logits, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(boxes, expected.pred_boxes, rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def detr():
    return golden.load("transformers_detr", HERE)


def read(case, processor=None, **changes):
    stored = case.config | changes | {"processor": processor or {}}
    weights = {name: torch.zeros(shape) for name, shape in case.shapes.items()}
    return IMPORTER.read(Arguments(IMPORTER.defaults, stored, {}), weights)


def test_the_config_tells_the_settings(detr):
    found = read(detr, dropout=0.2, class_cost=3, eos_coefficient=0.3).options
    expected = {
        "data.num_classes": 5,
        "model.backbone.name": "resnet50.tv_in1k",
        "model.backbone.output_stride": 32,
        "model.encoder.sizes.num_heads": 4,
        "model.encoder.sizes.dropout": 0.2,
        "model.criterion.matcher.weights.class": 3,
        "model.criterion.class_loss.no_object_weight": 0.3,
        "model.query_selection.num_queries": 9,
        "data.resize.interpolation": "torch",
    }
    assert {key: found[key] for key in expected} == expected
    assert read(detr, dilation=True).options["model.backbone.output_stride"] == 16


@pytest.mark.parametrize(
    ("processor", "sides", "longest"),
    [
        ({}, [800], 1333),
        ({"size": 600, "max_size": 1000}, [600], 1000),
        ({"size": {"shortest_edge": 480}}, [480], None),
    ],
)
def test_the_sizes_of_images(detr, processor, sides, longest):
    found = read(detr, processor).options
    resize = "dataloader.test.mapper.augmentations.0"
    assert (found[f"{resize}.sides"], found[f"{resize}.max_size"]) == (sides, longest)


def test_mean_and_deviation_are_those_of_images_up_to_255(detr):
    found = read(detr, {"image_mean": [0.5, 0.4, 0.2], "rescale_factor": 0.01}).options
    assert found["model.preprocessing.pixel_mean"] == [50.0, 40.0, 20.0]
    assert found["model.preprocessing.pixel_std"] == [22.9, 22.4, 22.5]
    plain = read(detr, {"do_normalize": False}).options
    assert plain["model.preprocessing.pixel_mean"] == [0.0, 0.0, 0.0]
    assert plain["model.preprocessing.pixel_std"] == [255.0, 255.0, 255.0]


@pytest.mark.slow
def test_of_cocos_ids_those_in_use_can_be_kept(tmp_path, detr):
    case = recorded_folder("transformers_detr", tmp_path)
    weights = case.state_dict()
    for kind in ("weight", "bias"):
        name = f"class_labels_classifier.{kind}"
        weights[name] = weights[name].repeat(16, *[1] * (weights[name].dim() - 1))[:92]
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    labels = {"id2label": {str(i): "thing" if i % 2 else "N/A" for i in range(91)}}
    (tmp_path / "config.json").write_text(json.dumps(case.config | labels))
    cfg, _ = convert(tmp_path, tmp_path / "all")
    assert get_class_names(cfg)[:2] == ["class 0", "thing"] and cfg.data.num_classes == 91
    cfg, _ = convert(tmp_path, tmp_path / "used", classes="coco80")
    assert get_class_names(cfg)[:2] == ["person", "bicycle"] and cfg.data.num_classes == 80


def test_names_that_say_nothing_are_not_taken(detr):
    labels = {str(i): f"LABEL_{i}" for i in range(5)}
    assert read(detr, id2label=labels).class_names == []
    assert read(detr, id2label={}).class_names == []
    with pytest.raises(UserError, match="are not the names of the 5 classes"):
        read(detr, id2label={"0": "${oc.env:HOME}"})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"architectures": ["YolosForObjectDetection"]}, "only DetrForObjectDetection and Deform"),
        ({"architectures": None}, "architectures=None of config.json"),
        ({"activation_function": "gelu"}, "activation_function=gelu: only relu"),
        ({"decoder_attention_heads": 8}, "=4 and decoder_attention_heads=8 must be the same"),
        ({"position_embedding_type": "learned"}, "position_embedding=learned contradicts"),
        ({"dropout": {"_target_": "os.abort"}}, "the argument dropout=.* must be of the kind"),
        ({"processor": {"size": {"height": 640, "width": 640}}}, "only shortest_edge and longest"),
        ({"processor": {"resample": 3}}, "only images that are resized bilinearly"),
        ({"processor": {"image_mean": "none"}}, "image_mean=none, .* three numbers are needed"),
    ],
)
def test_what_cannot_be_converted(detr, changes, complaint):
    with pytest.raises(UserError, match=complaint):
        read(detr, changes.pop("processor", None), **changes)


@pytest.mark.slow
def test_a_weight_that_is_missing_is_named(tmp_path):
    case = recorded_folder("transformers_detr", tmp_path)
    name = "model.decoder.layers.1.encoder_attn.q_proj.weight"
    weights = {key: value for key, value in case.state_dict().items() if key != name}
    safetensors.torch.save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"decoder\.layers\.1\.cross_attention\.in_proj\.weight"):
        convert(tmp_path, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_folders_that_are_none(tmp_path):
    def load(path, match):
        with pytest.raises(UserError, match=match):
            IMPORTER.load(path)

    load(tmp_path / "missing", "is neither a folder with config.json and model.safetensors nor")
    load(tmp_path, f"{re.escape(str(tmp_path))} has no config.json")
    (tmp_path / "config.json").write_text("{}")
    load(tmp_path, "has no model.safetensors")
    (tmp_path / "model.safetensors").write_bytes(b"\x00" * 20)
    load(tmp_path, "model.safetensors is not a readable checkpoint: ")
    safetensors.torch.save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    assert IMPORTER.load(tmp_path / "model.safetensors")[0]["a"].tolist() == [0.0]
    with pytest.raises(UserError, match="--weights ema: .* holds one set of weights"):
        IMPORTER.load(tmp_path, weights="ema")
    for text in ("{", "[]"):
        (tmp_path / "config.json").write_text(text)
        load(tmp_path, "config.json (cannot be read|does not contain)")
