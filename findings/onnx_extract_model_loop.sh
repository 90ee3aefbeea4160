#!/bin/bash
# onnx 1.23.2 (onnxruntime 1.32.0): onnx.utils.extract_model loses what only the body of a Loop uses. A weight or a node that
# the body takes from the graph around it is left out, and the part is no model any more: the check at the end of the extraction
# calls its nodes unsorted, and with check_model=False a file is written that ONNX Runtime refuses.
#
# Expected: all that the outputs need is in the part. A body sees the names of the graph around it by ONNX's rules, and
# onnx.compose.merge_models, of the same package, follows such names.
# Why: the walk from the outputs back to the inputs looks at the inputs of each node, not at those within its body.
# Who meets it: who cuts a detector in parts, to quantise its backbone or to leave out its post-processing: torch.onnx.export
# makes a Loop of torch.while_loop whose body takes the weights and tensors of the model from outside.
# What helps: to pass those tensors through the Loop as carried values, or to export the parts from PyTorch.
#
# Output seen (from the input to the result of the loop, whose body multiplies by what comes from outside or is carried along):
#   weight from outside: checked ValidationError, unchecked InvalidGraph, kept Relu Loop, weights 1 of 2
#   node from outside: checked ValidationError, unchecked InvalidGraph, kept Relu Loop, weights 1 of 1
#   carried: checked [8.0, 54.0], unchecked [8.0, 54.0], kept Relu Loop, weights 2 of 2
#
# Exit status 0: as described; 1: that has changed.
set -eu
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
cd "$folder"
venv/bin/python - 2>"$folder/log" <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

START = np.array([1, 2], np.float32)


def pair(name):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])


def one(name, kind):
    return helper.make_tensor_value_info(name, kind, [])


def detector(way):
    """Multiplies its input three times by a factor, then turns the sign."""
    carried = way == "carried"
    inner = "inner_factor" if carried else "factor"
    nodes = [
        helper.make_node("Identity", ["go"], ["go_on"]),
        helper.make_node("Mul", ["state", inner], ["next"]),
    ]
    inputs = [one("round", TensorProto.INT64), one("go", TensorProto.BOOL), pair("state")]
    outputs = [one("go_on", TensorProto.BOOL), pair("next")]
    if carried:
        nodes.append(helper.make_node("Identity", [inner], ["same_factor"]))
        inputs.append(pair(inner))
        outputs.append(pair("same_factor"))
    body = helper.make_graph(nodes, "body", inputs, outputs)
    loop_inputs = ["rounds", "", "features", *(["factor"] if carried else [])]
    loop_outputs = ["result", *(["unused"] if carried else [])]
    nodes = [
        helper.make_node("Relu", ["image"], ["features"]),
        helper.make_node("Loop", loop_inputs, loop_outputs, body=body),
        helper.make_node("Neg", ["result"], ["negative"]),
    ]
    weights = [numpy_helper.from_array(np.array(3), "rounds")]
    if way == "node from outside":
        nodes.insert(0, helper.make_node("Exp", ["image"], ["factor"]))
    else:
        weights.append(numpy_helper.from_array(np.array([2, 3], np.float32), "factor"))
    graph = helper.make_graph(
        nodes, "detector", [pair("image")], [pair("negative")], weights, value_info=[pair("result")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    run(model)
    return model


def run(model):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"image": START})[0].tolist()


seen = {}
for way in ("weight from outside", "node from outside", "carried"):
    whole = detector(way)
    onnx.save(whole, "whole.onnx")
    told = []
    for check in (True, False):
        try:
            onnx.utils.extract_model(
                "whole.onnx", "part.onnx", ["image"], ["result"], check_model=check
            )
            told.append(run(onnx.load("part.onnx")))
        except Exception as error:
            told.append(type(error).__name__)
    part = onnx.load("part.onnx").graph
    kept = " ".join(node.op_type for node in part.node)
    weights = f"weights {len(part.initializer)} of {len(whole.graph.initializer)}"
    print(f"{way}: checked {told[0]}, unchecked {told[1]}, kept {kept}, {weights}")
    seen[way] = told
lost = ["ValidationError", "InvalidGraph"]
sys.exit(0 if list(seen.values()) == [lost, lost, [[8.0, 54.0]] * 2] else 1)
PY
