#!/bin/bash
# opencv-python-headless 5.0.0.93, cv2.dnn with its new engine: two attributes of ONNX operators are read over without a word.
# Resize with antialias=1 (opset 18, torch.nn.functional.interpolate(antialias=True)) shrinks without it, and Gelu with
# approximate="tanh" (opset 20) is computed by erf. About sixty operators of detection transformers beside them agree with ONNX
# Runtime 1.32.0 to the rounding, GridSample, GatherElements, NonMaxSuppression and RoiAlign among them.
#
# Expected: the numbers of ONNX Runtime, or an error that names the attribute.
# What is hit: models that shrink their image inside the graph. Detections get worse on large photographs, where aliasing is
# strongest, and nothing is said.
#
# Output seen (largest difference to ONNX Runtime; "without": to the same graph without the attribute):
#   Resize: 1.85, without 0.00
#   Gelu: 0.00047, without 0.00000
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q opencv-python-headless==5.0.0.93 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import sys

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import helper


def make_model(node, given, initializers, out_shape, opset):
    graph = helper.make_graph(
        [node],
        "one operator",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, given.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, out_shape)],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def compute(model, given):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": given})[0]


def compute_in_opencv(model, given):
    net = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
    net.setInput(given, "x")
    return np.asarray(net.forward())


def compare(given, out_shape, opset, make_node, initializers=()):
    """The largest difference to ONNX Runtime: with the attribute in both, and without it in ONNX Runtime."""
    model, plain = (
        make_model(make_node(is_set), given, initializers, out_shape, opset) for is_set in (True, False)
    )
    found = compute_in_opencv(model, given)
    return [float(np.abs(found - compute(other, given)).max()) for other in (model, plain)]


random = np.random.default_rng(0)
image = random.standard_normal((1, 2, 12, 15)).astype(np.float32)
sizes = onnx.numpy_helper.from_array(np.array([1, 2, 5, 6]), "sizes")
resize, resize_without = compare(
    image,
    (1, 2, 5, 6),
    18,
    lambda is_set: helper.make_node(
        "Resize", ["x", "", "", "sizes"], ["y"], mode="linear", antialias=int(is_set)
    ),
    [sizes],
)
values = np.linspace(-4, 4, 200, dtype=np.float32)[None]
gelu, gelu_without = compare(
    values,
    values.shape,
    20,
    lambda is_set: helper.make_node("Gelu", ["x"], ["y"], approximate="tanh" if is_set else "none"),
)
print(f"Resize: {resize:.2f}, without {resize_without:.2f}")
print(f"Gelu: {gelu:.5f}, without {gelu_without:.5f}")
is_ignored = resize > 0.5 and resize_without < 1e-4 and 3e-4 < gelu < 6e-4 and gelu_without < 1e-5
sys.exit(0 if is_ignored else 1)
PY
