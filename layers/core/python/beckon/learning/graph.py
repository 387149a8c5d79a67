"""A few lines of grammar for writing an ONNX graph as one reads it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# What onnxruntime ≥ 1.17 and onnx.reference both run.
OPSET = 18
IR_VERSION = 9

INT64, INT32, FLOAT, BOOL = TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT, TensorProto.BOOL


class Graph:
    """A graph in the making: every call adds a node and returns the name of its output."""

    def __init__(self, stored: dict[str, Any] | None = None, prefix: str = "") -> None:
        self.nodes: list[Any] = []
        self._stored: dict[str, Any] = {} if stored is None else stored
        self._prefix = prefix
        self._branches = 0

    def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Return the output of a new node."""
        return self.ops(kind, 1, *inputs, **attributes)[0]

    def ops(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Return the `count` outputs of a new node."""
        names = [f"{self._prefix}{kind.lower()}_{len(self.nodes)}" + (f"_{n}" if n else "") for n in range(count)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def branch(self) -> "Graph":
        """Return a graph that runs only if chosen; it sees everything of this one."""
        self._branches += 1
        return Graph(self._stored, f"{self._prefix}branch{self._branches}_")

    def choice(self, condition: str, then: tuple["Graph", str], otherwise: tuple["Graph", str]) -> str:
        """Return the value of one branch or the other; both are float [B, N]."""
        bodies = [
            helper.make_graph(
                branch.nodes, f"{self._prefix}{name}", [], [helper.make_tensor_value_info(value, FLOAT, ["B", "N"])]
            )
            for name, (branch, value) in (("then", then), ("else", otherwise))
        ]
        return self.op("If", condition, then_branch=bodies[0], else_branch=bodies[1])

    def store(self, name: str, array: NDArray[Any]) -> str:
        """Return `name`, under which the array is kept in the file."""
        self._stored[name] = numpy_helper.from_array(np.asarray(array, order="C"), name)
        return name

    def ints(self, *values: int) -> str:
        """Return a constant int64 vector."""
        return self._constant("i", np.array(values, dtype=np.int64))

    def whole(self, value: int) -> str:
        """Return a constant int64 number."""
        return self._constant("n", np.array(value, dtype=np.int64))

    def number(self, value: float) -> str:
        """Return a constant 32-bit number."""
        return self._constant("f", np.array(value, dtype=np.float32))

    def add(self, first: str, second: str) -> str:
        """Return first + second."""
        return self.op("Add", first, second)

    def sub(self, first: str, second: str) -> str:
        """Return first − second."""
        return self.op("Sub", first, second)

    def mul(self, first: str, second: str) -> str:
        """Return first × second."""
        return self.op("Mul", first, second)

    def where(self, condition: str, then: str, otherwise: str) -> str:
        """Return `then` where the condition holds, else `otherwise`."""
        return self.op("Where", condition, then, otherwise)

    def gather(self, data: str, indices: str, axis: int = 0) -> str:
        """Return the entries of `data` at `indices`."""
        return self.op("Gather", data, indices, axis=axis)

    def sum(self, data: str, axis: int) -> str:
        """Return the sum over an axis, which disappears."""
        return self.op("ReduceSum", data, self.ints(axis), keepdims=0)

    def axis(self, data: str, *axes: int) -> str:
        """Return data with axes of length one put in."""
        return self.op("Unsqueeze", data, self.ints(*axes))

    def shape(self, data: str, *sizes: str | int) -> str:
        """Return data in another shape; sizes are names of int64 vectors of one, or numbers."""
        return self.op("Reshape", data, self.sizes(*sizes), allowzero=1)

    def sizes(self, *sizes: str | int) -> str:
        """Return a shape from names of int64 vectors of one, and numbers."""
        parts = [size if isinstance(size, str) else self.ints(size) for size in sizes]
        return parts[0] if len(parts) == 1 else self.op("Concat", *parts, axis=0)

    def filled(self, kind: int, value: float, *sizes: str | int) -> str:
        """Return a tensor of one value."""
        fill = helper.make_tensor("value", kind, [1], [value])
        return self.op("ConstantOfShape", self.sizes(*sizes), value=fill)

    def size(self, data: str, axis: int) -> str:
        """Return the size of an axis as an int64 vector of one."""
        return self.op("Shape", data, start=axis, end=axis + 1)

    def scalar(self, vector: str) -> str:
        """Return a vector of one as a number."""
        return self.op("Squeeze", vector, self.ints(0))

    def cast(self, data: str, kind: int) -> str:
        """Return data as another type."""
        return self.op("Cast", data, to=kind)

    def scatter_add(self, data: str, indices: str, updates: str, axis: int = 0) -> str:
        """Return data with the updates added at their indices."""
        return self.op("ScatterElements", data, indices, updates, axis=axis, reduction="add")

    def output(self, name: str, value: str) -> None:
        """Give `value` the name of an output of the graph."""
        self.nodes.append(helper.make_node("Identity", [value], [name]))

    def to_bytes(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> bytes:
        """Return the checked graph as a file's bytes, the same for the same graph."""
        graph = helper.make_graph(self.nodes, name, inputs, outputs, list(self._stored.values()))
        model = helper.make_model(
            graph, producer_name="beckon", opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))

    def _constant(self, prefix: str, value: NDArray[Any]) -> str:
        name = f"{prefix}:{value.tolist()}"
        return name if name in self._stored else self.store(name, value)
