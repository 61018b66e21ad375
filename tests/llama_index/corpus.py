"""Nodes of every shape, what LlamaIndex documents of its filters, and M3's scores by hand."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from llama_index.core.schema import (
    BaseNode,
    MetadataMode,
    NodeRelationship,
    ObjectType,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQueryResult,
)

from m3kit.testing import TEXTS, HashEncoder
from m3kit.vectors import M3Output, Rep

OP = FilterOperator
QUERY = "the bear is growling at the purring cat"


class Counting(HashEncoder):
    """Counts the texts that are really encoded."""

    def __init__(self) -> None:
        self.documents: list[str] = []
        self.queries: list[str] = []

    def encode_queries(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        self.queries += texts
        return super().encode_documents(texts, reps)

    def encode_documents(
        self, texts: Sequence[str], reps: Collection[Rep] | None = None
    ) -> list[M3Output]:
        self.documents += texts
        return super().encode_documents(texts, reps)


def source(n: int) -> str:
    """Three documents, the names of which are data."""
    return ["doc 'one'", 'doc "two" or 1 == 1', "докумéнт/3"][n % 3]


def make_nodes() -> list[TextNode]:
    """One node for each text, a third of them from each source."""
    return [
        TextNode(
            id_=f"node/{n} é",
            text=text,
            metadata=_metadata(n, text),
            excluded_embed_metadata_keys=["nested", "weight"],
            relationships={
                NodeRelationship.SOURCE: RelatedNodeInfo(
                    node_id=source(n), node_type=ObjectType.DOCUMENT, metadata={"path": "a/b.txt"}
                )
            },
        )
        for n, text in enumerate(TEXTS)
    ]


def _metadata(n: int, text: str) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "n": n,
        "weight": n / 4,
        "lang": "de" if "ü" in text else "en",
        "tags": text.split(),
        "sizes": [n, n + 0.5],
        "title": f'About {n}: it\'s "quoted" \\ 50%',
        "even": n % 2 == 0,
        "nested": {"a": [1, {"b": None}], "n": n},
        "nothing": None,
        "none": [],
    }
    if n % 3 == 0:
        metadata["third"] = "or" if n else ""
    return metadata


def one(key: str, operator: FilterOperator, value: Any = None) -> MetadataFilters:
    """Make a filter of one comparison."""
    return MetadataFilters(filters=[MetadataFilter(key=key, operator=operator, value=value)])


FILTERS = [
    one("lang", OP.EQ, "de"),
    one("n", OP.EQ, 3),
    one("n", OP.EQ, 3.0),
    one("title", OP.EQ, 'About 4: it\'s "quoted" \\ 50%'),
    one("even", OP.EQ, 1),
    one("tags", OP.EQ, "the"),
    one("missing", OP.EQ, "a"),
    one("lang", OP.NE, "de"),
    one("third", OP.NE, "or"),
    one("weight", OP.GT, 1.25),
    one("weight", OP.GTE, 1.25),
    one("n", OP.LT, 2),
    one("n", OP.LTE, 2),
    one("missing", OP.LT, 2),
    one("n", OP.IN, [1, 2, 99]),
    one("lang", OP.IN, ["de", "fr"]),
    one("lang", OP.IN, []),
    one("n", OP.NIN, [1, 2]),
    one("third", OP.NIN, ["or"]),
    one("lang", OP.NIN, []),
    one("tags", OP.ANY, ["bear", "gpu"]),
    one("tags", OP.ANY, []),
    one("sizes", OP.ANY, [2, 3.5]),
    one("tags", OP.ALL, ["cat", "purring"]),
    one("tags", OP.CONTAINS, "salmon"),
    one("sizes", OP.CONTAINS, 4),
    one("sizes", OP.CONTAINS, 2.5),
    one("tags", OP.TEXT_MATCH, "the"),
    one("title", OP.TEXT_MATCH, '"quoted" \\ 5'),
    one("title", OP.TEXT_MATCH, "about"),
    one("third", OP.IS_EMPTY),
    one("nothing", OP.IS_EMPTY),
    one("none", OP.IS_EMPTY),
    one("missing", OP.IS_EMPTY),
    one("lang", OP.IS_EMPTY),
    MetadataFilters(filters=[]),
    MetadataFilters(filters=[], condition=FilterCondition.NOT),
    *(
        MetadataFilters(
            filters=[
                MetadataFilter(key="n", operator=OP.GT, value=2),
                MetadataFilter(key="tags", operator=OP.CONTAINS, value="the"),
                MetadataFilters(
                    filters=[one("n", OP.EQ, 1), one("lang", OP.EQ, "de")],
                    condition=FilterCondition.OR,
                ),
            ],
            condition=condition,
        )
        for condition in (*FilterCondition, None)
    ),
    MetadataFilters(
        filters=[
            MetadataFilters(
                filters=[one("third", OP.IS_EMPTY)],
                condition=FilterCondition.NOT,
            ),
            MetadataFilter(key="n", operator=OP.LT, value=8),
        ]
    ),
]
"""Every operator but the refused one, on every type that it can meet, and their combinations."""


def keeps(filters: MetadataFilters, metadata: Mapping[str, Any]) -> bool:
    """Say what LlamaIndex documents, without a word of m3kit's."""
    kept = [
        keeps(one, metadata) if isinstance(one, MetadataFilters) else _holds(one, metadata)
        for one in filters.filters
    ]
    match filters.condition:
        case _ if not kept:
            return True
        case FilterCondition.OR:
            return any(kept)
        case FilterCondition.NOT:
            return not any(kept)
        case _:
            return all(kept)


def _holds(one: MetadataFilter, metadata: Mapping[str, Any]) -> bool:
    held, value = metadata.get(one.key), one.value
    if one.operator is OP.IS_EMPTY:
        return held in (None, [])
    if held is None:
        return one.operator in (OP.NE, OP.NIN)
    return _COMPARE[one.operator](held, value)


def _same(held: Any, value: Any) -> bool:
    return bool(held == value) and isinstance(held, bool) == isinstance(value, bool)


def _list(held: Any) -> list[Any]:
    return held if isinstance(held, list) else []


_COMPARE: dict[FilterOperator, Callable[[Any, Any], bool]] = {
    OP.EQ: _same,
    OP.NE: lambda held, value: not _same(held, value),
    OP.GT: lambda held, value: held > value,
    OP.GTE: lambda held, value: held >= value,
    OP.LT: lambda held, value: held < value,
    OP.LTE: lambda held, value: held <= value,
    OP.IN: lambda held, value: any(_same(held, one) for one in value),
    OP.NIN: lambda held, value: not any(_same(held, one) for one in value),
    OP.ANY: lambda held, value: any(one in _list(held) for one in value),
    OP.ALL: lambda held, value: all(one in _list(held) for one in value),
    OP.CONTAINS: lambda held, value: value in _list(held),
    OP.TEXT_MATCH: lambda held, value: isinstance(held, str) and value in held,
}


def ids(nodes: Sequence[BaseNode] | None) -> list[str]:
    """Name nodes, in their order."""
    return [node.node_id for node in nodes or ()]


def pairs(result: VectorStoreQueryResult) -> list[tuple[str, float]]:
    """Read a result as ids with their scores; its three lists agree."""
    assert ids(result.nodes) == result.ids
    return list(zip(result.ids or (), result.similarities or (), strict=True))


def score(rep: Rep, query: str, node: BaseNode) -> float:
    """Score a node by one representation of its EMBED content, in plain Python."""
    asked, held = HashEncoder().encode_documents([query, node.get_content(MetadataMode.EMBED)])
    match rep:
        case "dense":
            assert asked.dense is not None
            assert held.dense is not None
            return float(sum(asked.dense * held.dense))
        case "sparse":
            assert asked.sparse is not None
            assert held.sparse is not None
            weights = held.sparse.to_dict()
            return sum(w * weights.get(token, 0) for token, w in asked.sparse.to_dict().items())
        case "colbert":
            assert asked.colbert is not None
            assert held.colbert is not None
            best = [max(float(row @ other) for other in held.colbert) for row in asked.colbert]
            return sum(best) / len(best)


def ranked(scores: Mapping[str, float]) -> list[tuple[str, float]]:
    """Order by score, ties by id."""
    return sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
