"""Writing a graph node by node."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from onnx import GraphProto, NodeProto, TensorProto, helper, numpy_helper

from m3kit.onnx.stored import Places

_RUNTIME_OPERATORS = {"MatMulNBits", "MultiHeadAttention", "SkipLayerNormalization"}
RUNTIME = "com.microsoft"
"""The domain of ONNX Runtime's operators."""


class Nodes:
    """
    The nodes of a graph and its constants, in the order in which they are written.

    Args:
        stored: Where the weights are.
    """

    def __init__(self, stored: Places) -> None:
        self.stored = stored
        self.nodes: list[NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self._count = 0

    def __call__(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output, and return the output's name."""
        self._count += 1
        output = f"{operator}_{self._count}"
        domain = RUNTIME if operator in _RUNTIME_OPERATORS else ""
        self.nodes.append(
            helper.make_node(operator, inputs, [output], output, domain=domain, **attributes)
        )
        return output

    def only_if(self, condition: str, dims: int, made: Callable[[], str], output: str) -> None:
        """
        Add nodes that are computed under a condition; else the output has no element.

        Args:
            condition: A boolean value of the graph.
            dims: How many dimensions the output has.
            made: Adds the nodes, and returns what they give.
            output: Its name.
        """
        then = self._branch("then", made)
        empty = self.constant([0] * dims)
        otherwise = self._branch("else", lambda: self("ConstantOfShape", empty))
        self.nodes.append(
            helper.make_node(
                "If", [condition], [output], output, then_branch=then, else_branch=otherwise
            )
        )

    def _branch(self, name: str, made: Callable[[], str]) -> GraphProto:
        outer, self.nodes = self.nodes, []
        output = helper.make_tensor_value_info(made(), TensorProto.FLOAT, None)
        branch, self.nodes = helper.make_graph(self.nodes, name, [], [output]), outer
        return branch

    def constant(self, value: ArrayLike, dtype: DTypeLike = np.int64) -> str:
        """Return a small constant, which is stored once."""
        array = np.asarray(value, dtype)
        name = f"{array.dtype}:{array.tolist()}"
        self.initializers.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def raw(self, name: str) -> str:
        """Return a stored tensor, in the type that it is stored in."""
        self.initializers.setdefault(name, self.stored[name].initializer(name))
        return name

    def weight(self, name: str) -> str:
        """Return a stored tensor in float32; ONNX Runtime widens it once, when it loads."""
        return self.widened(self.raw(name), name)

    def widened(self, value: str, like: str) -> str:
        """Return a value in float32, which has the type of the stored tensor `like`."""
        if self.stored[like].data_type == TensorProto.FLOAT:
            return value
        return self("Cast", value, to=TensorProto.FLOAT)
