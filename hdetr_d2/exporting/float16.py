"""Stores the weights of an ONNX file in half of the space."""

from typing import Any

import numpy as np

_LEAST = 1024  # minimum number of elements of a tensor for which it is worthwhile


def halve_weights(model: Any) -> None:
    """Stores the large float32 weights of an `onnx.ModelProto` as float16, with casts back to
    float32 before they are used: the arithmetic stays float32.
    """
    import onnx

    graph, casts = model.graph, []
    for weight in graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or np.prod(weight.dims) < _LEAST:
            continue
        values, name = onnx.numpy_helper.to_array(weight), weight.name
        largest = np.finfo(np.float16).max
        halved = onnx.numpy_helper.from_array(
            values.clip(-largest, largest).astype(np.float16), f"{name}_half"
        )
        casts.append(onnx.helper.make_node("Cast", [halved.name], [name], to=weight.data_type))
        weight.CopyFrom(halved)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
