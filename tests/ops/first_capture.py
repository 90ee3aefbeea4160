"""A process whose first launch of the kernels of a call is captured into a CUDA graph."""

import sys

import torch
from op_calls import CALLS, assert_same, moved

import hdetr_d2.ops  # noqa: F401  (loads the kernels)

call = CALLS[sys.argv[1]]
given = moved(call.arguments(), "cuda")
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    found = call.run(given)
graph.replay()
torch.cuda.synchronize()
assert_same(found, call.on_cpu())
