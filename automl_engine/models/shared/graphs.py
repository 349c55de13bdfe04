"""ONNX graphs of models that are not networks of torch, node by node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from onnx import AttributeProto, ModelProto

OPSETS = {"": 17, "ai.onnx.ml": 3}


class Graph:
    """A graph that grows from its inputs to one output, ``probabilities`` (N, K)."""

    def __init__(self, **inputs: tuple[Any, list[int | str]]) -> None:
        """``inputs``: number type and shape by name; a string in a shape is a length that varies."""
        from onnx import helper

        self._inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(kind)), shape)
            for name, (kind, shape) in inputs.items()
        ]
        self._constants: list[Any] = []
        self._nodes: list[Any] = []

    def add(self, operator: str, *inputs: str | float | np.ndarray, domain: str = "", **attributes: Any) -> str:
        """One node; returns the name of its output, an input for others.  Numbers and arrays become constants."""
        from onnx import helper

        output = f"{operator.lower()}{len(self._nodes)}"
        names = [item if isinstance(item, str) else self._constant(item) for item in inputs]
        arrays = {name: value for name, value in attributes.items() if isinstance(value, np.ndarray)}
        plain = {name: value for name, value in attributes.items() if name not in arrays}
        node = helper.make_node(operator, names, [output], domain=domain, **plain)
        node.attribute.extend(_attribute(name, value) for name, value in arrays.items())
        self._nodes.append(node)
        return output

    def probabilities(self, scores: str, multi_label: bool) -> str:
        """Sigmoid or softmax of (..., K)."""
        return self.add("Sigmoid", scores) if multi_label else self.add("Softmax", scores, axis=-1)

    def model(self, output: str, width: int) -> ModelProto:
        """The graph as it stands; the last node has the output (N, ``width``)."""
        from onnx import TensorProto, helper

        self._nodes[-1].output[0] = output
        outputs = [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["n", width])]
        graph = helper.make_graph(self._nodes, "model", self._inputs, outputs, self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def save(self, path: Path, classes: int) -> None:
        from onnx import checker, save

        model = self.model("probabilities", classes)
        checker.check_model(model)
        save(model, path)

    def _constant(self, value: float | np.ndarray) -> str:
        from onnx import numpy_helper

        array, name = np.asarray(value), f"constant{len(self._constants)}"
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        self._constants.append(numpy_helper.from_array(array, name))
        return name


def _attribute(name: str, values: np.ndarray) -> AttributeProto:
    """By hand, since ONNX's own ``make_attribute`` checks each of millions of numbers."""
    from onnx import AttributeProto

    if values.dtype.kind == "f":
        return AttributeProto(name=name, type=AttributeProto.FLOATS, floats=values.tolist())
    if values.dtype.kind == "S":
        return AttributeProto(name=name, type=AttributeProto.STRINGS, strings=values.tolist())
    return AttributeProto(name=name, type=AttributeProto.INTS, ints=values.tolist())
