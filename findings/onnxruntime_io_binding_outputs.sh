#!/bin/bash
# onnxruntime 1.32.0: an output that is bound once by its name, `binding.bind_output("found")`, is allocated by the first run and
# kept. Each later run writes into the same memory: the results of earlier runs change in the hands of whoever holds them, also
# the arrays that `get_outputs()[0].numpy()` gave. As soon as an image has another number of detections, the run fails.
#
# Expected: a binding without a buffer lets the session allocate the output of every run. The comment in the library's source
# gives a size that "may not be fixed across runs" as a reason for this form.
# Why: after a run the binding holds the tensors that were made in it as if the user had bound them, and `numpy()` of a tensor on
# the CPU is a view of it, no copy.
# Who meets it: a detector that is run over a video or a folder with one binding; its outputs have the size of what was found.
# What helps: `bind_output` again before every run. `copy_outputs_to_cpu()` does copy, and the run fails for other sizes, too.
#
# Output seen (the places of the scores above 0.5 in three images, read after all three were run):
#   session.run: [[0], [2], [0, 1]]
#   bound once: [[2], [2], 'refused']
#   bound once, copied: [[0], [2], 'refused']
#   bound before each run: [[0], [2], [0, 1]]
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
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

IMAGES = np.array([[0.9, 0.1, 0.2], [0.1, 0.2, 0.9], [0.9, 0.8, 0.1]], np.float32)


def detector():
    nodes = [
        helper.make_node("Greater", ["scores", "threshold"], ["above"]),
        helper.make_node("NonZero", ["above"], ["found"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("found", TensorProto.INT64, [1, "count"])],
        [numpy_helper.from_array(np.float32(0.5), "threshold")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


def found(session, take, every):
    binding = session.io_binding()
    results = []
    for count, scores in enumerate(IMAGES):
        if every or not count:
            binding.bind_output("found")
        binding.bind_cpu_input("scores", scores)
        try:
            session.run_with_iobinding(binding)
            results.append(take(binding))
        except RuntimeError:
            results.append(None)
    return ["refused" if result is None else result[0].tolist() for result in results]


session = detector()
seen = {
    "session.run": [session.run(None, {"scores": s})[0][0].tolist() for s in IMAGES],
    "bound once": found(session, lambda b: b.get_outputs()[0].numpy(), False),
    "bound once, copied": found(session, lambda b: b.copy_outputs_to_cpu()[0], False),
    "bound before each run": found(session, lambda b: b.get_outputs()[0].numpy(), True),
}
for name, what in seen.items():
    print(f"{name}: {what}")
right = [[0], [2], [0, 1]]
described = [right, [[2], [2], "refused"], [[0], [2], "refused"], right]
sys.exit(0 if list(seen.values()) == described else 1)
PY
