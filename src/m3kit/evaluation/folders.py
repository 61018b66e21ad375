"""
Test collections in folders, in the layouts that they are published in.

    beir         corpus.jsonl, queries.jsonl, qrels/<split>.tsv
    flag         corpus.jsonl, <split>_queries.jsonl, <split>_qrels.jsonl (FlagEmbedding)
    miracl       miracl-corpus-v1.0-<lang>/*.jsonl.gz, miracl-v1.0-<lang>/{topics,qrels}/*.tsv
    mldr         mldr-v1.0-<lang>/{corpus,<split>}.jsonl.gz
    mkqa         corpus.jsonl (BEIR's nq), <lang>.jsonl with id, question and answers
    narrativeqa  <split>.jsonl with document and question objects (deepmind/narrativeqa)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from m3kit._batching import batched
from m3kit.evaluation.dataset import Dataset, DatasetError
from m3kit.evaluation.rows import Row, document, id_of, json_rows, text_lines, value_of
from m3kit.evaluation.trec import read_qrels
from m3kit.fusion import WeightedSum
from m3kit.index import HybridIndex
from m3kit.qrels import QRELS, QUERIES
from m3kit.records import Document

Layout: TypeAlias = Literal["beir", "flag", "miracl", "mldr", "mkqa", "narrativeqa"]
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

LONG = {"dense+sparse": WeightedSum(0.2, 0.8, 0), "all": WeightedSum(0.15, 0.5, 0.35)}
"""The paper's weights for long documents (MLDR)."""

_BATCH = 256
"""Documents that are read from an index at once."""

MKQA_MEASURES = ("Success@20", "Success@100")
"""The recall of answers: whether one of the best 20 and 100 passages holds one."""


def read_folder(
    folder: str | Path,
    *,
    layout: Layout | None = None,
    split: str | None = None,
    lang: str | None = None,
    keep_query_id: bool = True,
) -> Dataset:
    """
    Describe the test collection in a folder. Queries and qrels are read, the corpus as needed.

    Args:
        folder: Where its files are.
        layout: One of `LAYOUTS`; None tells it by the files.
        split: By default `"dev"` for MIRACL, else `"test"`.
        lang: For MIRACL, MLDR and MKQA: which of the languages in the folder; None if it has one.
        keep_query_id: See `Dataset`.

    Raises:
        DatasetError: If the folder is of no known layout, or a file cannot be read.
    """
    path = Path(folder).expanduser()
    chosen = layout or layout_of(path)
    readers: Mapping[Layout, Callable[[], Dataset]] = {
        "beir": lambda: _beir(path, split or "test"),
        "flag": lambda: _flag(path, split or "test"),
        "miracl": lambda: _miracl(path, split or "dev", lang),
        "mldr": lambda: _mldr(path, split or "test", lang),
        "mkqa": lambda: _mkqa(path, lang),
        "narrativeqa": lambda: _narrativeqa(path, split or "test"),
    }
    if chosen not in readers:
        raise DatasetError(f"{chosen!r} is no layout; take one of {', '.join(LAYOUTS)}")
    dataset = readers[chosen]()
    return replace(dataset, keep_query_id=keep_query_id)


def is_judged(folder: str | Path) -> bool:
    """Tell whether a folder holds judgements of an index, as the playground saves them."""
    path = Path(folder).expanduser()
    return (path / QRELS).is_file() and not (path / "corpus.jsonl").exists()


def read_judged(folder: str | Path, index: HybridIndex) -> Dataset:
    """
    Describe the test collection of judgements and the index that they were made on.

    Args:
        folder: Where `queries.jsonl` and `qrels.trec` are; see `m3kit.qrels`.
        index: What holds the documents; ids are read by `scan`, and the texts in their order.

    Raises:
        DatasetError: If a file cannot be read.
    """
    path = Path(folder).expanduser()

    def stored() -> Iterator[Document]:
        ids = sorted(record.document.id for record in index.scan())
        for batch in batched(ids, _BATCH):
            yield from (record.document for record in index.get(batch))

    return Dataset(
        name=path.name,
        documents=stored,
        queries=_queries(path / QUERIES),
        qrels=read_qrels(path / QRELS),
    )


def layout_of(folder: Path) -> Layout:
    """
    Tell the layout of a folder by its files.

    Raises:
        DatasetError: If it is none of them.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: there is no such folder")
    signs: Iterable[tuple[Layout, str]] = (
        ("beir", "qrels/*.tsv"),
        ("flag", "*_queries.jsonl"),
        ("miracl", "miracl-v1.0-*"),
        ("mldr", "mldr-v1.0-*"),
    )
    for layout, pattern in signs:
        if any(folder.glob(pattern)):
            return layout
    if (folder / "corpus.jsonl").is_file() and not (folder / "queries.jsonl").is_file():
        return "mkqa"
    files = sorted(folder.glob("*.jsonl*"))
    if files and "document" in next(json_rows(files[0]), {}):
        return "narrativeqa"
    if is_judged(folder):
        raise DatasetError(
            f"{folder}: judgements without a corpus: give the index that they were made on "
            "(--index, or read_judged)"
        )
    raise DatasetError(
        f"{folder}: no test collection: BEIR's layout has corpus.jsonl, queries.jsonl and "
        "qrels/test.tsv; for others see m3kit.evaluation.folders"
    )


def documents(files: Iterable[Path], separator: str = " ") -> Iterator[Document]:
    """Read documents from files of JSON lines, one after the other."""
    for file in files:
        for row in json_rows(file):
            yield document(row, separator, str(file))


def judgements(rows: Iterable[Row]) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Yield id, text and qrels of MLDR's queries, which carry their passages."""
    for row in rows:
        query = str(value_of(row, "query_id", "the queries"))
        relevant = value_of(row, "positive_passages", f"query {query}")
        grades = {str(passage["docid"]): 0 for passage in row.get("negative_passages") or ()}
        grades |= {str(passage["docid"]): 1 for passage in relevant}
        yield query, str(value_of(row, "query", f"query {query}")), grades


def _beir(folder: Path, split: str) -> Dataset:
    qrels = folder / "qrels" / f"{split}.tsv"
    if not qrels.is_file():
        raise DatasetError(f"{qrels}: there is no such file; give split=")
    return Dataset(
        name=folder.name,
        documents=partial(documents, [_file(folder, "corpus.jsonl")]),
        queries=_queries(_file(folder, "queries.jsonl")),
        qrels=read_qrels(qrels),
    )


def _flag(folder: Path, split: str) -> Dataset:
    queries = _queries(_file(folder, f"{split}_queries.jsonl"))
    qrels: dict[str, dict[str, int]] = {}
    answers: dict[str, list[str]] = {}
    for row in json_rows(_file(folder, f"{split}_qrels.jsonl")):
        if "answers" in row:
            answers[str(row["qid"])] = list(row["answers"])
        else:
            qrels.setdefault(str(row["qid"]), {})[str(row["docid"])] = int(row["relevance"])
    corpus = (
        [folder / "corpus.jsonl"]
        if (folder / "corpus.jsonl").is_file()
        else [_file(folder.parent, "corpus.jsonl")]
    )
    named = Dataset(
        name=folder.name, documents=partial(documents, corpus), queries=queries, qrels=qrels
    )
    return _with_answers(named, answers) if answers else named


def _miracl(folder: Path, split: str, lang: str | None) -> Dataset:
    lang = lang or _only(folder, "miracl-v1.0-")
    stem, topics = f"miracl-v1.0-{lang}-{split}.tsv", folder / f"miracl-v1.0-{lang}"
    corpus = sorted((folder / f"miracl-corpus-v1.0-{lang}").glob("*.jsonl*"))
    if not corpus:
        raise DatasetError(f"{folder / f'miracl-corpus-v1.0-{lang}'}: no docs-*.jsonl.gz in it")
    lines = text_lines(topics / "topics" / f"topics.{stem}")
    return Dataset(
        name=f"miracl:{lang}",
        documents=partial(documents, corpus, "\n"),
        queries=dict(tab_separated(line) for _, line in lines),
        qrels=read_qrels(topics / "qrels" / f"qrels.{stem}"),
    )


def _mldr(folder: Path, split: str, lang: str | None) -> Dataset:
    lang = lang or _only(folder, "mldr-v1.0-")
    inside = folder / f"mldr-v1.0-{lang}"
    judged = list(judgements(json_rows(_file(inside, f"{split}.jsonl"))))
    return Dataset(
        name=f"mldr:{lang}",
        documents=partial(documents, [_file(inside, "corpus.jsonl")]),
        queries={query: text for query, text, _ in judged},
        qrels={query: grades for query, _, grades in judged},
        weights=LONG,
    )


def _mkqa(folder: Path, lang: str | None) -> Dataset:
    names = sorted(path.stem for path in folder.glob("*.jsonl") if path.stem != "corpus")
    if lang is None and len(names) != 1:
        raise DatasetError(f"{folder} holds {', '.join(names) or 'no language'}; give lang=")
    name = lang or names[0]
    file = _file(folder, f"{name}.jsonl")
    rows = list(json_rows(file))
    dataset = Dataset(
        name=f"mkqa:{name}",
        documents=partial(documents, [_file(folder, "corpus.jsonl")]),
        queries={id_of(row, str(file)): str(value_of(row, "question", str(file))) for row in rows},
    )
    return _with_answers(
        dataset, {id_of(row, str(file)): list(value_of(row, "answers", str(file))) for row in rows}
    )


def _narrativeqa(folder: Path, split: str) -> Dataset:
    file = _file(folder, f"{split}.jsonl")
    return narrative(lambda: json_rows(file))


def narrative(rows: Callable[[], Iterable[Row]]) -> Dataset:
    """Make a collection of NarrativeQA's rows: each question is to find its book or script."""
    queries: dict[str, str] = {}
    qrels: dict[str, dict[str, int]] = {}
    for number, row in enumerate(rows()):
        queries[str(number)] = str(row["question"]["text"])
        qrels[str(number)] = {str(row["document"]["id"]): 1}

    def stories() -> Iterator[Document]:
        seen: set[str] = set()
        for row in rows():
            id_ = str(row["document"]["id"])
            if id_ not in seen:
                seen.add(id_)
                yield Document(id_, str(row["document"]["text"]))

    return Dataset(
        name="narrativeqa", documents=stories, queries=queries, qrels=qrels, weights=LONG
    )


def tab_separated(line: str) -> tuple[str, str]:
    """Part an id from its text."""
    id_, _, text = line.partition("\t")
    return id_, text


def _with_answers(dataset: Dataset, answers: Mapping[str, list[str]]) -> Dataset:
    return replace(
        dataset,
        answers={query: [text for text in texts if text] for query, texts in answers.items()},
        measures=MKQA_MEASURES,
    )


def _queries(path: Path) -> dict[str, str]:
    what = str(path)
    return {id_of(row, what): str(value_of(row, "text", what)) for row in json_rows(path)}


def _file(folder: Path, name: str) -> Path:
    packed = folder / f"{name}.gz"
    return packed if packed.is_file() and not (folder / name).is_file() else folder / name


def _only(folder: Path, prefix: str) -> str:
    langs = sorted(path.name.removeprefix(prefix) for path in folder.glob(f"{prefix}*"))
    if len(langs) != 1:
        raise DatasetError(f"{folder} holds {', '.join(langs) or 'no language'}; give lang=")
    return langs[0]
