"""`m3kit optimize`."""

from __future__ import annotations

from typing import Annotated

import typer

from m3kit.cli.opening import open_existing
from m3kit.index import HybridIndex
from m3kit.optimization import Graph, Optimizable
from m3kit.optimization import optimize as optimize_index

_DEFAULT = Graph()


def optimize(
    address: Annotated[
        str, typer.Argument(metavar="DIR|URL", show_default=False, help="The index.")
    ],
    *,
    float32: Annotated[
        bool, typer.Option("--float32", help="Search by the vectors, and not by codes.")
    ] = False,
    in_memory: Annotated[
        bool, typer.Option("--in-memory", help="Load the vectors when the index is opened.")
    ] = False,
    recall: Annotated[
        float, typer.Option(help="The share of the nearest neighbours to be found.")
    ] = _DEFAULT.recall,
    m: Annotated[int, typer.Option("--m", help="Edges of a node of the graph.")] = _DEFAULT.m,
    ef_construct: Annotated[
        int, typer.Option(help="Candidates for the edges of a node.")
    ] = _DEFAULT.ef_construct,
    min_documents: Annotated[
        int, typer.Option(help="An index of fewer documents stays exact.")
    ] = _DEFAULT.min_documents,
) -> None:
    """Build a graph over an index's dense vectors, and free the room of deleted documents."""
    graph = Graph(
        m=m,
        ef_construct=ef_construct,
        quantize=not float32,
        on_disk=not in_memory,
        recall=recall,
        min_documents=min_documents,
    )
    with open_existing(address) as index:
        typer.echo(run(index, address, None if graph == _DEFAULT else graph))


def run(index: HybridIndex, address: str, graph: Graph | None = None) -> str:
    """Optimize an index, and say what became of its searches."""
    optimization = optimize_index(index, graph)
    if optimization is not None:
        return f"optimized {address}: dense search is {optimization} now"
    least = (graph or _DEFAULT).min_documents
    if isinstance(index, Optimizable) and index.takes_graph and index.count() < least:
        return f"optimized {address}; a folder with fewer than {least:,} documents gets no graph"
    return f"optimized {address}"
