"""What is exported is checked, and what cannot be is said."""

from hdetr_d2 import Predictor

import sys

import pytest
import torch
from torchvision.transforms import v2

from hdetr_d2.commands import export as command
from hdetr_d2.data import DetrMapper, RandomShortSide
from hdetr_d2.errors import UserError
from hdetr_d2.exporting import export, formats
from hdetr_d2.exporting.export import exportable, mostly_padding, resize_rule
from hdetr_d2.inference.loading import TrainedDetector
from hdetr_d2.pixels.resize_rule import ResizeRule
from hdetr_d2.runtime.card import Card

SIZE = {"size": (64, 96), "batch": 1}


def dense(tiny_model):
    """The detector that is traced soonest."""
    model = tiny_model("common/models/detr.py", decoder__num_layers=1).eval()
    return TrainedDetector(model, DetrMapper(is_train=False), ("a", "b", "c"))


def test_a_file_that_finds_something_else_is_not_kept(tiny_model, tmp_path, monkeypatch):
    """The weights are changed after the trace: as a runtime that gets an operator wrong."""
    good = formats.FORMATS["torch"].write

    def wrong(program, card, images, path):
        key = next(name for name in program.state_dict if name.endswith("class_heads.0.bias"))
        bias = program.state_dict[key]
        program.state_dict[key] = torch.nn.Parameter(bias + torch.arange(len(bias)))
        good(program, card, images, path)

    form = formats.Format(".pt2", ("float32",), (), wrong)
    monkeypatch.setitem(formats.FORMATS, "torch", form)
    with pytest.raises(UserError, match="and the model differ: scores above 0.001"):
        export(dense(tiny_model), tmp_path / "wrong.pt2", format="torch", **SIZE)
    assert list(tmp_path.iterdir()) == []


def test_scores_of_queries(tiny_model, tmp_path):
    path = tmp_path / "raw.pt2"
    export(dense(tiny_model), path, format="torch", post_processing=False, **SIZE)
    with pytest.raises(UserError, match="--raw"):
        Predictor(path)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"format": "tflite"}, "format='tflite' must be one of onnx, openvino, torch"),
        ({"precision": "bfloat16"}, "the format onnx has float32, float16, int8"),
        ({"precision": "int8"}, "--images FOLDER"),
        ({"batch": 0}, "batch=0 must be at least 1"),
        ({"batch": 1.5}, "batch=1.5 must be a whole number"),
        ({"size": (0, 64)}, "sides must have at least 1 pixel"),
        ({"size": (64,)}, r"size=\(64,\) must be two whole numbers of pixels, \(height, width\)"),
        ({"size": (64, 96, 3)}, r"size=\(64, 96, 3\) must be two whole numbers"),
        ({"size": (64, 96.5)}, r"size=\(64, 96.5\) must be two whole numbers"),
        ({"size": "64x96"}, "size='64x96' must be two whole numbers"),
        ({"size": 64}, "size=64 must be two whole numbers"),
        ({"images": "nowhere"}, "nowhere does not exist"),
    ],
)
def test_what_cannot_be_is_one_sentence(tiny_detector, tmp_path, options, sentence):
    with pytest.raises(UserError, match=sentence):
        export(tiny_detector, tmp_path / "x.onnx", **{**SIZE, **options})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "openvino"])
def test_a_missing_package_is_said_at_once(tiny_detector, tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=rf"needs {package}: pip install 'hdetr_d2\[export\]'"):
        export(tiny_detector, tmp_path / "x", format="openvino", **SIZE)


@pytest.mark.parametrize(("ending", "package"), [(".onnx", "onnxruntime"), (".xml", "openvino")])
def test_a_missing_runtime_is_one_sentence(tmp_path, monkeypatch, ending, package):
    monkeypatch.setitem(sys.modules, package, None)
    (tmp_path / f"x{ending}").write_bytes(b"")
    with pytest.raises(UserError, match=f"needs {package}: pip install {package}"):
        Predictor(tmp_path / f"x{ending}")


def test_the_name_tells_the_format(tiny_detector, tmp_path):
    with pytest.raises(UserError, match=r"must end in \.onnx"):
        export(tiny_detector, tmp_path / "x.bin", **SIZE)
    with pytest.raises(UserError, match="no file to write beside"):
        export(tiny_detector, **SIZE)


@pytest.mark.parametrize("name", ["model.onnx", "model.xml", "model.pt2"])
def test_what_is_exported_already_is_told_by_its_ending(name):
    with pytest.raises(UserError, match=f"^{name} is exported already: name the checkpoint"):
        export(name)


def test_only_detectors_of_queries_are_exported():
    mapper = DetrMapper(is_train=False)
    with pytest.raises(UserError, match="a Linear is not exported"):
        exportable(TrainedDetector(torch.nn.Linear(1, 1), mapper, ()))


@pytest.mark.parametrize(
    ("augmentations", "rule"),
    [
        ([], (None, None, ResizeRule())),
        ([RandomShortSide([64], 99)], (64, 99, ResizeRule())),
        ([RandomShortSide([64], 99, ResizeRule("detr"))], (64, 99, ResizeRule("detr"))),
    ],
)
def test_resize_rules(augmentations, rule):
    assert resize_rule(DetrMapper(augmentations=augmentations, is_train=False)) == rule


def card(size: tuple[int, int] | None, short_side: int | None, max_size: int | None) -> Card:
    return Card(("a",), short_side, max_size, size, 1, 32, 64, (0.0,), (1.0,), None, "", (), "")


def test_a_size_that_is_mostly_padding_is_told():
    assert mostly_padding(card((480, 640), 240, 400)) == (
        "size=480 640: images are resized to a short side of 240 pixels, as for the checkpoint, "
        "and fill 25% of it; --size 256 320 is as good and faster"
    )
    assert "fill 40% of it; --size 256 512" in mostly_padding(card((320, 640), 256, 320))
    for fitting in [((256, 320), 240, 400), ((480, 640), 800, 1333), ((480, 640), 360, None)]:
        assert mostly_padding(card(*fitting)) == ""
    assert mostly_padding(card((480, 640), None, None)) == ""  # images are not resized
    assert mostly_padding(card(None, 240, 400)) == ""


@pytest.mark.parametrize(
    "mapper",
    [
        DetrMapper(augmentations=[RandomShortSide([64, 80])], is_train=False),
        DetrMapper(augmentations=[v2.Resize((64, 64))], is_train=False),
        DetrMapper(augmentations=[RandomShortSide([64]), v2.Pad(3)], is_train=False),
        dict,
    ],
)
def test_other_transforms_are_refused(mapper):
    with pytest.raises(UserError, match=r"dataloader\.test\.mapper has "):
        resize_rule(mapper)


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    for arguments, sentence in (
        ([str(tmp_path / "none.pth")], "none.pth"),
        (["x.pth", "--dynamic", "--size", "64", "64"], "leave out --size"),
    ):
        with pytest.raises(SystemExit) as stop:
            command.main(arguments)
        assert stop.value.code == 2
        assert sentence in capsys.readouterr().err
