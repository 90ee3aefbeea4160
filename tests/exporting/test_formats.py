"""Files in every format find what the model finds."""

from hdetr_d2 import Predictor, __version__

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hdetr_d2.errors import UserError
from hdetr_d2.exporting.formats import FORMATS
from hdetr_d2.runtime.predictor import open_session
from hdetr_d2.runtime.session import stacked

ROOT = Path(__file__).parents[2]
WITHOUT_TORCH = """
import sys
from importlib.abc import MetaPathFinder

ABSENT = sys.argv[3:]


class Wall(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ImportError(f"{name} is not installed here", name=name)


sys.meta_path.insert(0, Wall())
import hdetr_d2

found = hdetr_d2.Predictor(sys.argv[1])(sys.argv[2], score_threshold=0.0)
assert not {"torch", "torchvision", "pycocotools", "timm"} & sys.modules.keys()
print(len(found), found[0]["bbox"], found[0]["category_name"], found[0]["score"])
"""
ASKING_FOR_MORE = """
import sys
from importlib.abc import MetaPathFinder


class Wall(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "tqdm", "yaml"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Wall())
import hdetr_d2
from hdetr_d2.errors import UserError


def told(call):
    try:
        call()
    except UserError as error:
        print(error)


told(lambda: hdetr_d2.Predictor("model.pt2"))
told(lambda: hdetr_d2.Predictor("model.pth"))
told(lambda: hdetr_d2.predict)
told(lambda: hdetr_d2.Detector)
sys.argv = ["hdetr-d2", "predict", "model.onnx", "photos"]
from hdetr_d2.__main__ import main

sys.exit(main())
"""
ABSENT = ["torch", "torchvision", "timm", "omegaconf", "pycocotools", "scipy", "yaml"]
ABSENT += ["matplotlib", "fvcore", "iopath", "onnx", "onnxscript", "cloudpickle", "huggingface_hub"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_same_objects(name, exported, tiny_detector, photos):
    """Of images in a file that takes one size; PyTorch is given what the file is given."""
    predictor = Predictor(exported(name))
    card = predictor.detector.card
    assert card.class_names == tiny_detector.class_names
    assert (card.short_side, card.max_size, card.size, card.batch) == (48, 80, (64, 96), 1)
    for path in sorted(photos.iterdir()):
        ((_, _, found),) = predictor.detect([path])
        item = predictor.detector.read({"file_name": str(path)})
        pixels = stacked([item], card, 1)["images"][0]
        height, width = item["image"].shape[:2]
        assert min(height, width) == 48 or max(height, width) == 80
        expected = reference(tiny_detector, pixels, item)
        assert len(found) > 5
        for box, label, score in zip(found.boxes, found.classes, found.scores, strict=True):
            same = [s for b, k, s in expected if k == label and np.abs(b - box).max() < 0.01]
            assert any(abs(s - score) < 1e-4 for s in same)


def reference(detector, pixels, item):
    """(box, class, score) of the model, for an image that lies in a larger one."""
    import torch

    from hdetr_d2.exporting.graph import DetectorGraph

    sizes = torch.tensor([item["image"].shape[:2]])
    with torch.no_grad():
        scores, labels, boxes, *_ = DetectorGraph(detector.model)(
            torch.from_numpy(pixels)[None], sizes, torch.tensor([item["original"]])
        )
    return list(zip(boxes[0].numpy(), labels[0].tolist(), scores[0].tolist(), strict=True))


def test_the_card_says_what_the_graph_takes(exported):
    card = Predictor(exported("torch")).detector.card
    assert card.version == __version__
    assert card.pixel_mean == pytest.approx((123.675, 116.28, 103.53))
    assert card.outputs == ("scores", "labels", "boxes", "queries", "proposals")


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_without_torch(name, exported, photos, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(WITHOUT_TORCH)
    photo = photos / "0.png"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script), str(exported(name)), str(photo), *ABSENT]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = Predictor(exported(name))(photo, score_threshold=0.0)
    first = found[0]
    printed = f"{len(found)} {first['bbox']} {first['category_name']} {first['score']}"
    assert done.stdout.strip() == printed


def test_what_needs_more_than_a_runtime_says_so(tmp_path):
    (tmp_path / "model.pt2").touch()
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", ASKING_FOR_MORE],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    lines = [*done.stdout.splitlines(), done.stderr.strip()]
    wanted = ["model.pt2", "model.pth", "hdetr_d2.predict", "hdetr_d2.Detector"]
    wanted += ["error: hdetr-d2 predict"]
    assert [line.partition(" needs ")[0] for line in lines] == wanted
    assert all("install hdetr_d2 with its dependencies" in line for line in lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["onnx", "torch"])
def test_any_size_and_number_of_images(name, exported, photos):
    """The check has compared both with PyTorch, at two sizes and in a batch."""
    predictor = Predictor(exported(name, size=None, batch=None))
    card = predictor.detector.card
    assert (card.size, card.batch) == (None, None)
    paths = sorted(photos.iterdir())
    together = [seen.shapes for seen in predictor.detect(paths, batch_size=3)]
    alone = [seen.shapes for seen in predictor.detect(paths, batch_size=1)]
    assert [len(shapes) > 5 for shapes in (*together, *alone)] == [True] * 6
    # Of images that a batch pads by more than themselves scores may differ in the third digit.
    for one, other in zip(together, alone, strict=True):
        assert abs(one.scores[0] - other.scores[0]) < 0.02


RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino"}


@pytest.fixture(scope="module")
def fresh_python(tmp_path_factory):
    """Of an environment with us, and of what we require numpy, Pillow and the runtimes alone."""
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet"]
    environment = {**os.environ, "HDETR_D2_SKIP_EXT": "1"}
    environment.pop("PYTHONPATH", None)
    subprocess.run([*pip, "numpy", "pillow", *RUNTIMES.values()], check=True, env=environment)
    subprocess.run([*pip, "--no-deps", ROOT], check=True, env=environment)
    return python


@pytest.mark.slow
@pytest.mark.parametrize(("name", "runtime"), RUNTIMES.items())
def test_in_a_fresh_environment(name, runtime, fresh_python, exported, photos, tmp_path):
    """With its own runtime alone."""
    (tmp_path / "script.py").write_text(WITHOUT_TORCH)
    photo = photos / "0.png"
    others = [other for other in RUNTIMES.values() if other != runtime]
    command = [fresh_python, tmp_path / "script.py", exported(name), photo, *others]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[0]) == len(Predictor(exported(name))(photo, score_threshold=0.0))


@pytest.mark.parametrize(
    ("ending", "content", "sentence"),
    [
        (".onnx", b"no model", "cannot be read by ONNX Runtime"),
        (".pt2", b"no model", "cannot be read as a program"),
        (".xml", b"no model", "cannot be read by OpenVINO"),
    ],
)
def test_a_broken_file_is_one_sentence(tmp_path, ending, content, sentence):
    (tmp_path / f"broken{ending}").write_bytes(content)
    with pytest.raises(UserError, match=sentence) as caught:
        Predictor(tmp_path / f"broken{ending}")
    assert "broken" in str(caught.value)
    with pytest.raises(UserError, match="does not exist"):
        Predictor(tmp_path / f"none{ending}")


@pytest.mark.parametrize("name", FORMATS)
def test_a_predictor_is_pickled_for_other_processes(name, exported, photos):
    predictor = Predictor(exported(name))
    other = pickle.loads(pickle.dumps(predictor))
    photo = photos / "0.png"
    assert other(photo, score_threshold=0.0) == predictor(photo, score_threshold=0.0)


def test_a_device_that_is_not_there_is_no_broken_file(exported):
    with pytest.raises(UserError, match="^device=nowhere: this ONNX Runtime has "):
        Predictor(exported("onnx"), device="nowhere")


def test_a_folder_without_a_model(tmp_path):
    with pytest.raises(UserError, match=r"0 \.xml files"):
        Predictor(tmp_path)
    for name in ("model_0000006.pth", "model_final.pth", "model_best.pth"):
        (tmp_path / name).touch()
    with pytest.raises(UserError, match=f"folder of checkpoints: .*{tmp_path}/model_final.pth"):
        Predictor(tmp_path)


def test_a_file_that_others_wrote(tmp_path):
    import onnx

    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    out = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "g", [value], [out])
    opsets = [onnx.helper.make_opsetid("", 18)]
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=opsets, ir_version=10), tmp_path / "o.onnx"
    )
    with pytest.raises(UserError, match=r"o\.onnx does not describe its classes and"):
        Predictor(tmp_path / "o.onnx")


@pytest.mark.parametrize("name", FORMATS)
def test_a_device_that_is_not_there(name, exported):
    with pytest.raises(UserError, match="device=cuda:7"):
        Predictor(exported(name), device="cuda:7")


def test_threads_are_the_callers(exported):
    for name in ("onnx", "openvino"):
        assert open_session(exported(name), threads=1).card.precision == "float32"
