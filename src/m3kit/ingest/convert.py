"""Documents from what Python programs have: rows of datasets, LangChain's and LlamaIndex's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from m3kit.frameworks import to_json
from m3kit.ingest.documents import Item
from m3kit.ingest.fields import checked, to_item
from m3kit.ingest.formats import ReadOptions


class LangChainDocument(Protocol):
    """What is needed of a `langchain_core.documents.Document`."""

    id: str | None
    page_content: str
    metadata: dict[Any, Any]


class LlamaIndexDocument(Protocol):
    """What is needed of a document or a node of `llama_index.core.schema`."""

    metadata: dict[str, Any]

    @property
    def node_id(self) -> str:
        """The id."""
        ...

    def get_content(self) -> str:
        """Return the text, without metadata."""
        ...


def from_rows(
    rows: Iterable[Mapping[str, Any]],
    *,
    source: str,
    text_fields: Iterable[str] = ("text",),
    id_field: str | None = None,
) -> Iterator[Item]:
    """
    Make documents of rows: a Hugging Face dataset, also a streamed one, or a cursor of a database.

    Dates, decimals, NumPy's numbers and the like become JSON.

    Args:
        rows: Mappings of fields; read once, as far as needed.
        source: Their name, as the file's in ids: `squad#12`.
        text_fields: The fields that have the text, as in `read_sources`.
        id_field: The field that has the id, as in `read_sources`.
    """
    options = ReadOptions(text_fields=tuple(text_fields), id_field=id_field)
    for number, row in enumerate(rows, start=1):
        fields = {key: to_json(value) for key, value in row.items()}
        yield to_item(fields, options, source=source, number=number)


def from_langchain(documents: Iterable[LangChainDocument]) -> Iterator[Item]:
    """
    Make documents of LangChain's, as loaders and text splitters return them.

    A document without id is called `source#n` by the `source` of its metadata, where loaders put
    the path of its file, and its number among those of this source.
    """
    counts: dict[str, int] = {}
    for document in documents:
        source = str(document.metadata.get("source", "langchain"))
        counts[source] = counts.get(source, 0) + 1
        yield _item(
            document.id or f"{source}#{counts[source]}",
            document.page_content,
            document.metadata,
            source,
        )


def from_llama_index(documents: Iterable[LlamaIndexDocument]) -> Iterator[Item]:
    """
    Make documents of LlamaIndex's documents or nodes, as readers and node parsers return them.

    Their ids are new with each reading, unless the reader is given `filename_as_id=True`.
    """
    for document in documents:
        source = str(document.metadata.get("file_path", "llama_index"))
        yield _item(document.node_id, document.get_content(), document.metadata, source)


def _item(id_: str, text: str, metadata: Mapping[Any, Any], source: str) -> Item:
    return checked(id_, text, to_json(metadata), source=source, line=None)
