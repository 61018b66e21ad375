"""
Index the sample corpus and search it in several languages.

`make demo` runs this. The index stays in `demo-index/`, so that a second run only searches.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from m3kit import Document, Hit, Retriever, open_index
from m3kit.torch import TorchEncoder

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "examples" / "data"
INDEX = ROOT / "demo-index"
console = Console()


def lines(name: str) -> list[dict[str, object]]:
    """Read a file of the sample corpus."""
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


def fill(retriever: Retriever) -> None:
    """Index the corpus, unless an earlier run has done so."""
    documents = [Document(**line) for line in lines("corpus.jsonl")]  # type: ignore[arg-type]  # str, str, dict
    if retriever.index.count() == len(documents):
        console.print(f"[dim]{len(documents)} passages are indexed already.[/dim]")
        return
    start = time.perf_counter()
    retriever.add(documents)
    seconds = time.perf_counter() - start
    console.print(f"Indexed {len(documents)} passages in six languages in {seconds:.1f} s.")


def show(query: dict[str, object], hits: list[Hit]) -> None:
    """Print the hits of a query."""
    title = Text(f"{query['text']} ({query['lang']})", style="bold")
    table = Table(title=title, title_justify="left", expand=True)
    for column in ("score", "dense", "sparse", "colbert"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("lang", no_wrap=True)
    table.add_column("passage", ratio=1, no_wrap=True, overflow="ellipsis")
    for hit in hits:
        scores = [f"{hit.scores[rep]:.3f}" for rep in ("dense", "sparse", "colbert")]
        passage = Text(f"{hit.document.metadata['title']} · ", style="bold")
        passage.append(hit.document.text, style="not bold")
        table.add_row(f"{hit.score:.3f}", *scores, str(hit.document.metadata["lang"]), passage)
    console.print(table)


def main() -> None:
    """Index, search, and suggest what to try next."""
    encoder = TorchEncoder.from_pretrained("tiny")
    with open_index(INDEX, encoder=encoder) as index:
        retriever = Retriever(encoder, index)
        fill(retriever)
        start = time.perf_counter()
        queries = lines("demo_queries.jsonl")
        for query in queries:
            show(query, retriever.search(str(query["text"]), k=3, with_scores=True))
        seconds = time.perf_counter() - start
    console.print(f"{len(queries)} queries in {seconds:.2f} s. Try next:")
    for command in (
        'm3kit search "print a spreadsheet on one page" --in demo-index --where lang=en',
        'm3kit explain "Tabelle auswählen" --in demo-index --id swriter-guide-table_select-1.de',
        "m3kit index README.md --to my-index --model tiny",
    ):
        console.print(f"  .venv/bin/{command}", style="cyan", soft_wrap=True, highlight=False)


if __name__ == "__main__":
    main()
