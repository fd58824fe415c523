"""An ONNX graph that grows operator by operator; the only place that speaks to the onnx package."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from karussell.errors import require

OPSET = 20
# written into the file; what a runtime needs to know of the format
IR = 9


class Graph:
    """Nodes, constants, inputs and outputs; names are made here and are unique, also inside a body."""

    def __init__(self, name: str, outer: "Graph | None" = None) -> None:
        self._onnx = require("onnx", extra="export")
        self.name = name
        self._root: Graph = self if outer is None else outer._root
        self._count = 0
        self._nodes: list[Any] = []
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._constants: dict[tuple[Any, ...], str] = {}
        self._initializers: list[Any] = []

    def input(self, name: str, shape: Sequence[int | str], kind: type = np.float32) -> str:
        """Declare an input; a text in `shape` is a size that is known at run time only."""
        self._inputs.append(self._value(name, shape, kind))
        return name

    def output(self, name: str, value: str, shape: Sequence[int | str], kind: type = np.float32) -> None:
        """Declare that `value` is the output `name`."""
        self._nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))
        self._outputs.append(self._value(name, shape, kind))

    def add(
        self, kind: str, inputs: Sequence[str], attributes: Mapping[str, Any] | None = None, *, outputs: int = 1
    ) -> str:
        """Add an operator and get the name of its (first) output; more are `several`'s."""
        return self.several(kind, inputs, attributes, outputs=outputs)[0]

    def several(
        self, kind: str, inputs: Sequence[str], attributes: Mapping[str, Any] | None = None, *, outputs: int
    ) -> list[str]:
        """Add an operator of several outputs and get their names."""
        names = [self.fresh(kind.lower()) for _ in range(outputs)]
        node = self._onnx.helper.make_node(kind, list(inputs), names)
        for name, value in (attributes or {}).items():
            node.attribute.append(self._onnx.helper.make_attribute(name, value))
        self._nodes.append(node)
        return names

    def constant(self, value: "np.ndarray | float | Sequence[int]") -> str:
        """The name of a constant: an array as it is, a float as float32, whole numbers as int64."""
        if isinstance(value, float):
            array = np.asarray(value, np.float32)
        elif isinstance(value, np.ndarray):
            array = np.ascontiguousarray(value)
        else:
            array = np.asarray(value, np.int64)
        root = self._root
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in root._constants:
            name = self.fresh("c")
            root._initializers.append(self._onnx.numpy_helper.from_array(array, name))
            root._constants[key] = name
        return root._constants[key]

    def body(self, name: str) -> "Graph":
        """A graph inside this one, such as the body of a Scan; it sees this one's names."""
        return Graph(name, self)

    def as_attribute(self) -> Any:
        """The graph as the attribute of a node."""
        return self._onnx.helper.make_graph(self._nodes, self.name, self._inputs, self._outputs)

    def model(self, about: Mapping[str, str]) -> bytes:
        """The whole model, checked, as the bytes of a file; `about` becomes its metadata."""
        graph = self._onnx.helper.make_graph(
            self._nodes, self.name, self._inputs, self._outputs, initializer=self._initializers
        )
        model = self._onnx.helper.make_model(
            graph, opset_imports=[self._onnx.helper.make_opsetid("", OPSET)], producer_name="karussell", ir_version=IR
        )
        self._onnx.helper.set_model_props(model, dict(about))
        self._onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()

    # ----- operators with constant arguments, in one line each

    def slice(self, x: str, axis: int, first: int, last: int) -> str:
        """x[first:last] along an axis."""
        return self.add("Slice", [x, self.constant([first]), self.constant([last]), self.constant([axis])])

    def reshape(self, x: str, shape: Sequence[int]) -> str:
        """x in another shape; 0 keeps a size and one -1 is what remains."""
        return self.add("Reshape", [x, self.constant(list(shape))])

    def split(self, x: str, axis: int, sizes: Sequence[int]) -> list[str]:
        """x in parts along an axis."""
        if len(sizes) == 1:
            return [x]
        return self.several("Split", [x, self.constant(list(sizes))], {"axis": axis}, outputs=len(sizes))

    def concat(self, parts: Sequence[str], axis: int) -> str:
        """Parts one after the other."""
        return parts[0] if len(parts) == 1 else self.add("Concat", parts, {"axis": axis})

    def fresh(self, stem: str) -> str:
        """A name that nothing else has."""
        self._root._count += 1
        return f"{stem}_{self._root._count}"

    def _value(self, name: str, shape: Sequence[int | str], kind: type) -> Any:
        element = self._onnx.helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        return self._onnx.helper.make_tensor_value_info(name, element, list(shape))
