"""The options of `m3kit evaluate` and `m3kit compare`, and what their help says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

HELP = """
\b
DATA is a folder in the layout of BEIR (corpus.jsonl, queries.jsonl and
qrels/test.tsv), MIRACL, MLDR, MKQA, NarrativeQA or FlagEmbedding, or the name of
a published collection: beir:scifact, miracl:de, mldr:en, mkqa:fr, narrativeqa; or
the folder in which `m3kit playground` saved judgements of the --index.

\b
Modes: dense, sparse, colbert (scans), dense+sparse, all, colbert-rerank,
  rrf, rrf-all, rrf-0.3, rrf-0.3-all. --weights FILE adds "weights": its sum.
Measures are those of ir-measures: nDCG@10, R@100, RR@10, AP, P@5, Success@20.

\b
Policy (--policy KEY=VALUE): unknown_documents=keep|drop|error,
  unknown_queries=drop|error, unanswered=drop|zero|error,
  duplicates=error|first|last, empty_run=error|zero, other_model=error|warn.

\b
--to keeps runs and qrels in TREC's form, and report.json; the same command again
goes on where it was interrupted. --json prints the report:
  {"dataset": "…", "model": "…", "documents": 250, "queries": 285, "rows": [
    {"name": "all", "measures": {"nDCG@10": 0.7}, "bytes_per_document": 9000, …}, …],
   "issues": [{"kind": "duplicates", "count": 1, "examples": ["a"], "decision": "first"}]}
"""

COMPARE_HELP = """
\b
Both runs are in TREC's form; qrels are TREC's or BEIR's. p is the probability of a
difference at least so large if the runs are alike: a randomization test of the
differences query by query.
"""

Data: TypeAlias = Annotated[
    str, typer.Argument(metavar="DATA", show_default=False, help="A folder, or a name.")
]
Modes: TypeAlias = Annotated[
    str | None,
    typer.Option("--modes", metavar="LIST", help="By default the paper's.", show_default=False),
]
Measures: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--measures", metavar="LIST", help="By default the collection's.", show_default=False
    ),
]
Index: TypeAlias = Annotated[
    str | None,
    typer.Option("--index", metavar="DIR|URL", help="Search an index as well.", show_default=False),
]
Filled: TypeAlias = Annotated[
    bool,
    typer.Option("--filled", help="The index holds the documents already."),
]
Exact: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--exact/--no-exact",
        show_default=False,
        help="Compute the exact answer: the default, but for judgements of an index.",
    ),
]
Bm25: TypeAlias = Annotated[
    bool,
    typer.Option("--bm25", help="Measure BM25 beside it."),
]
StopWords: TypeAlias = Annotated[
    str,
    typer.Option("--stopwords", metavar="LANG", help="BM25's stop words, a language of bm25s."),
]
RerankerName: TypeAlias = Annotated[
    str | None,
    typer.Option("--reranker", metavar="MODEL", help="Rerank the last mode.", show_default=False),
]
Candidates: TypeAlias = Annotated[
    int,
    typer.Option(min=1, max=1_000_000, help="Candidates of each branch."),
]
SplitName: TypeAlias = Annotated[
    str | None,
    typer.Option("--split", metavar="NAME", help="test, dev, …", show_default=False),
]
Lang: TypeAlias = Annotated[
    str | None,
    typer.Option("--lang", metavar="LANG", help="Of a folder with several.", show_default=False),
]
DropQueryId: TypeAlias = Annotated[
    bool,
    typer.Option("--drop-query-id", help="Remove the query itself from its results."),
]
PolicyEntries: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--policy", metavar="KEY=VALUE", help="What to do about bad input.", show_default=False
    ),
]
To: TypeAlias = Annotated[
    Path | None,
    typer.Option("--to", metavar="FOLDER", help="Where results are kept.", show_default=False),
]
Plot: TypeAlias = Annotated[
    Path | None,
    typer.Option("--plot", metavar="FILE", help="Draw bars: PNG, SVG, PDF.", show_default=False),
]
Run: TypeAlias = Annotated[
    Path, typer.Argument(metavar="RUN", show_default=False, help="A run in TREC's form.")
]
QrelsFile: TypeAlias = Annotated[
    Path,
    typer.Option("--qrels", metavar="FILE", help="What is relevant.", show_default=False),
]
Chosen: TypeAlias = Annotated[
    str,
    typer.Option("--measures", metavar="LIST", help="Of ir-measures."),
]
