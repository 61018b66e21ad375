"""
The graph of an M3 model for ONNX Runtime: XLM-RoBERTa or BERT, and the heads.

    input_ids   int64 (batch, length)               texts of one length, none padded
    dense       float (batch, width)                unit norm
    sparse      float (batch, length)               each token's weight, not below 0
    colbert     float (batch, length - 1, width)    unit rows, of all tokens but the first

A model without heads has the output `dense` alone. For each output there is an input `with_dense`,
a boolean that is true where it is not given; what is not wanted is not computed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from m3kit.backend.checkpoint import Pooling
from m3kit.onnx.int8 import BLOCK, scales
from m3kit.onnx.metadata import wanted
from m3kit.onnx.nodes import RUNTIME, Nodes
from m3kit.onnx.stored import Places

_OPSET = 20
_IR = 10  # the format's version
_LAST = 2**63 - 1
_EPS = 1e-12  # the reference's: a shorter vector is not brought to unit norm


def build(
    stored: Places, config: Mapping[str, Any], pooling: Pooling, facts: Mapping[str, str]
) -> ModelProto:
    """
    Build the graph of a checkpoint, whose weights stay in their file.

    Args:
        stored: The weights, by their names in the checkpoint; those of the heads may be missing.
        config: The content of `config.json`.
        pooling: Where the dense vector comes from.
        facts: The metadata of the graph.
    """
    nodes = Nodes(stored)
    hidden, width = _backbone(nodes, config), config["hidden_size"]
    shapes: dict[str, list[str | int]] = {"dense": ["batch", width]}
    made: dict[str, Callable[[], str]] = {"dense": lambda: _dense(nodes, hidden, width, pooling)}
    if "sparse_linear.weight" in stored:
        shapes["sparse"] = ["batch", "length"]
        made["sparse"] = lambda: _sparse(nodes, hidden, width)
        shapes["colbert"] = ["batch", "length - 1", _colbert_width(nodes)]
        made["colbert"] = lambda: _colbert(nodes, hidden, width)
    for name, shape in shapes.items():
        nodes.only_if(wanted(name), len(shape), made[name], name)
    graph = helper.make_graph(
        nodes.nodes,
        "m3",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "length"]),
            *(helper.make_tensor_value_info(wanted(n), TensorProto.BOOL, []) for n in shapes),
        ],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n, shape in shapes.items()],
        [
            *nodes.initializers.values(),
            *(helper.make_tensor(wanted(n), TensorProto.BOOL, [], [True]) for n in shapes),
        ],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(RUNTIME, 1)],
        ir_version=_IR,
        producer_name="m3kit",
    )
    helper.set_model_props(model, dict(facts))
    return model


def _backbone(nodes: Nodes, config: Mapping[str, Any]) -> str:
    """Compute the last hidden state, shape `(tokens, width)`."""
    eps, width, inner = (
        config[name] for name in ("layer_norm_eps", "hidden_size", "intermediate_size")
    )
    x = nodes("Add", _words(nodes), _positions(nodes, config))
    x = nodes("LayerNormalization", x, *_norm(nodes, "embeddings.LayerNorm."), epsilon=eps)
    for number in range(config["num_hidden_layers"]):
        base = f"encoder.layer.{number}."
        context = _attend(nodes, x, f"{base}attention.self.", config)
        mixed = _linear(nodes, context, f"{base}attention.output.dense.", width)
        x = _add_norm(nodes, mixed, x, f"{base}attention.output.LayerNorm.", eps)
        up = nodes("Gelu", _linear(nodes, x, f"{base}intermediate.dense.", width))
        down = _linear(nodes, up, f"{base}output.dense.", inner)
        x = _add_norm(nodes, down, x, f"{base}output.LayerNorm.", eps)
    return x


def _words(nodes: Nodes) -> str:
    """Look up each token's vector; only those are widened, never the table."""
    table = "embeddings.word_embeddings.weight"
    ids = nodes("Reshape", "input_ids", nodes.constant([-1]))
    rows = nodes.widened(nodes("Gather", nodes.raw(table), ids), table)
    if scales(table) not in nodes.stored:
        return rows
    return nodes("Mul", rows, nodes("Gather", nodes.weight(scales(table)), ids))


def _positions(nodes: Nodes, config: Mapping[str, Any]) -> str:
    """
    Look up each token's position, the vector of the first token type added.

    BERT counts from 0. XLM-RoBERTa counts from behind the padding's number, and does not count a
    `<pad>` that somebody typed; it gets the padding's own position.
    """
    if config["model_type"] == "xlm-roberta":
        padding = nodes.constant(config.get("pad_token_id", 1))
        unlike = nodes("Not", nodes("Equal", "input_ids", padding))
        real = nodes("Cast", unlike, to=TensorProto.INT64)
        count = nodes("CumSum", real, nodes.constant(1))
        places = nodes("Add", nodes("Mul", count, real), padding)
    else:
        ones = nodes("Expand", nodes.constant(1), nodes("Shape", "input_ids"))
        places = nodes("CumSum", ones, nodes.constant(1), exclusive=1)
    types = nodes.weight("embeddings.token_type_embeddings.weight")
    first = nodes("Gather", types, nodes.constant(0))
    table = nodes("Add", nodes.weight("embeddings.position_embeddings.weight"), first)
    return nodes("Gather", table, nodes("Reshape", places, nodes.constant([-1])))


def _attend(nodes: Nodes, x: str, prefix: str, config: Mapping[str, Any]) -> str:
    """
    Let each token look at all tokens of its own text.

    Without a mask ONNX Runtime does so blockwise, in memory that grows with the tokens and not
    with their square.
    """
    width = config["hidden_size"]
    parts = [_linear(nodes, x, f"{prefix}{part}.", width) for part in ("query", "key", "value")]
    blocks = [_by_text(nodes, part, width) for part in parts]
    mixed = nodes("MultiHeadAttention", *blocks, num_heads=config["num_attention_heads"])
    return nodes("Reshape", mixed, nodes.constant([-1, width]))


def _linear(nodes: Nodes, x: str, prefix: str, inputs: int) -> str:
    name, bias = f"{prefix}weight", nodes.weight(f"{prefix}bias")
    if scales(name) not in nodes.stored:
        return nodes("Gemm", x, nodes.weight(name), bias, transB=1)
    return nodes(
        "MatMulNBits",
        *(x, nodes.raw(name), nodes.raw(scales(name)), "", "", bias),
        K=inputs,
        N=nodes.stored[name].shape[0],
        bits=8,
        block_size=BLOCK,
        accuracy_level=4,  # the activations in int8 too, each block of a token by its own scale
    )


def _norm(nodes: Nodes, prefix: str) -> tuple[str, str]:
    return nodes.weight(f"{prefix}weight"), nodes.weight(f"{prefix}bias")


def _add_norm(nodes: Nodes, x: str, residual: str, prefix: str, eps: float) -> str:
    return nodes("SkipLayerNormalization", x, residual, *_norm(nodes, prefix), epsilon=eps)


def _dense(nodes: Nodes, hidden: str, width: int, pooling: Pooling) -> str:
    texts = _by_text(nodes, hidden, width)
    if pooling == "cls":
        return _unit(nodes, nodes("Gather", texts, nodes.constant(0), axis=1))
    return _unit(nodes, nodes("ReduceMean", texts, nodes.constant([1]), keepdims=0))


def _sparse(nodes: Nodes, hidden: str, width: int) -> str:
    weights = nodes("Relu", _linear(nodes, hidden, "sparse_linear.", width))
    return nodes("Reshape", weights, nodes("Shape", "input_ids"))


def _colbert(nodes: Nodes, hidden: str, width: int) -> str:
    vectors = _unit(nodes, _linear(nodes, hidden, "colbert_linear.", width))
    texts = _by_text(nodes, vectors, _colbert_width(nodes))
    return nodes("Slice", texts, *(nodes.constant([value]) for value in (1, _LAST, 1)))


def _colbert_width(nodes: Nodes) -> int:
    return nodes.stored["colbert_linear.weight"].shape[0]


def _by_text(nodes: Nodes, rows: str, width: int) -> str:
    """Shape `(tokens, width)` into `(batch, length, width)`."""
    shape = nodes("Concat", nodes("Shape", "input_ids"), nodes.constant([width]), axis=0)
    return nodes("Reshape", rows, shape)


def _unit(nodes: Nodes, vectors: str) -> str:
    """Bring the last dimension to unit norm."""
    norm = nodes("ReduceL2", vectors, nodes.constant([-1]), keepdims=1)
    return nodes("Div", vectors, nodes("Max", norm, nodes.constant(_EPS, np.float32)))
