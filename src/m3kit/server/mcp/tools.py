"""What an agent can call: plain functions over an index, whose answers are JSON as text."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, TypeAlias

from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, ConfigDict, Field

from m3kit.encoder import Encoder, ReadsTokens
from m3kit.filter_json import field_from_json, filter_from_json
from m3kit.filters import Filter
from m3kit.index import HybridIndex, M3Error
from m3kit.records import Document
from m3kit.retriever import Retriever
from m3kit.server.errors import RequestError
from m3kit.server.explaining import explain_document
from m3kit.server.mcp.budget import (
    Fitted,
    compact_json,
    count_tokens,
    fit_documents,
    fit_list,
    fit_lists,
)
from m3kit.server.mcp.description import Description

Tool: TypeAlias = Callable[..., str]

_DIGITS = 4
"""Of a score; more are tokens that say nothing."""

Where: TypeAlias = Annotated[
    dict[str, Any] | None,
    Field(
        description='A filter on the metadata: {"op": "eq", "field": "lang", "value": "de"}. Ops '
        "and their keys: eq, contains (field, value); in (field, values); range (field and gt, ge, "
        "lt, le: numbers or ISO 8601 dates); exists (field); substring (field, text); ids (ids); "
        "and, or (of: a list of filters); not (of: a filter). A nested field is a list of names."
    ),
]
Query: TypeAlias = Annotated[
    str, Field(min_length=1, max_length=20_000, description="A question, or words, in any language")
]
Ids: TypeAlias = Annotated[list[str], Field(min_length=1, max_length=100)]


class NewDocument(BaseModel):
    """A document to write."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: str
    text: str
    metadata: dict[str, Any] = {}


class Tools:
    """
    The tools of an MCP server, as methods.

    Args:
        encoder: What encodes queries, and documents that are added.
        index: What is searched; made by the same model.
        max_tokens: How long an answer may be; see `m3kit.server.mcp.budget.count_tokens`.
    """

    def __init__(self, encoder: Encoder, index: HybridIndex, *, max_tokens: int) -> None:
        self._encoder = encoder
        self._index = index
        self._retriever = Retriever(encoder, index)
        self._max_tokens = max_tokens

    def reading(self) -> list[Tool]:
        """Return the tools that change nothing."""
        explains = [self.explain] if isinstance(self._encoder, ReadsTokens) else []
        return [self.search, *explains, self.get, self.count, self.list_fields]

    def writing(self) -> list[Tool]:
        """Return the tools that write."""
        return [self.add, self.delete]

    def search(
        self,
        query: Query,
        k: Annotated[
            int, Field(ge=1, le=100, description="Hits, or with group_by groups, at most")
        ] = 5,
        where: Where = None,
        group_by: Annotated[
            str | list[str] | None,
            Field(
                description="A field, or the path to a nested one: of documents with the same "
                "value in it, only the best are returned"
            ),
        ] = None,
        group_size: Annotated[int, Field(ge=1, le=20, description="Hits of a group")] = 1,
    ) -> str:
        """
        Find the documents that answer a query, by meaning and by words; best first.

        Long texts are cut: get reads on.
        """
        with _refusals():
            field = None if group_by is None else field_from_json(group_by)
            hits = self._retriever.search(
                query, k=k, where=_filter(where), group_by=field, group_size=group_size
            )
        fitted = fit_documents(
            [(hit.document, {"score": _rounded(hit.score)}) for hit in hits],
            self._max_tokens,
        )
        return _answer("hits", fitted)

    def explain(self, query: Query, id: str) -> str:  # noqa: A002  # what agents call it
        """Say why a document answers a query: its scores, and the tokens that matched."""
        assert isinstance(self._encoder, ReadsTokens)  # noqa: S101  # else it is no tool
        with _refusals():
            _, explanation = explain_document(self._index, self._encoder, self._encoder, query, id)
        answer = {
            "scores": {rep: _rounded(score) for rep, score in explanation.scores.items()},
            "matches": [
                {"token": match.token, "product": _rounded(match.product)}
                for match in explanation.matches
            ],
            "alignment": [
                {
                    "query": row.query,
                    "document": row.document,
                    "position": row.position,
                    "similarity": _rounded(row.similarity),
                }
                for row in explanation.alignment
            ],
        }
        return compact_json(fit_lists(answer, ["matches", "alignment"], self._max_tokens))

    def get(
        self,
        ids: Ids,
        offset: Annotated[int, Field(ge=0, description="Where texts begin, in characters")] = 0,
    ) -> str:
        """Read documents by their ids; with offset, from there on, where an answer was cut."""
        wanted = list(dict.fromkeys(ids))
        with _refusals():
            documents = [record.document for record in self._index.get(wanted)]
        known = {document.id for document in documents}
        unknown = fit_list([id_ for id_ in wanted if id_ not in known], self._max_tokens // 4)
        more = {
            "unknown": unknown,
            "more_unknown": len(wanted) - len(documents) - len(unknown),
        }
        fitted = fit_documents(
            [(document, {}) for document in documents],
            self._max_tokens - count_tokens(more),
            offset=offset,
        )
        return _answer("documents", fitted, **more)

    def count(self, where: Where = None) -> str:
        """Count the documents that match a filter, or all."""
        with _refusals():
            return compact_json({"count": self._index.count(_filter(where))})

    def list_fields(self) -> str:
        """
        List the fields of the metadata with their kinds and values, for where and group_by.

        They are told by a sample of the documents.
        """
        known = Description.of(self._index)
        answer = {
            "count": known.count,
            "sampled": known.sampled,
            "languages": known.languages,
            "fields": [summary.to_json() for summary in known.fields],
        }
        return compact_json(fit_lists(answer, ["fields"], self._max_tokens))

    def add(
        self, documents: Annotated[list[NewDocument], Field(min_length=1, max_length=100)]
    ) -> str:
        """Write documents; each replaces the one of its id."""
        with _refusals():
            checked = [Document(new.id, new.text, new.metadata) for new in documents]
            written = self._retriever.add(checked)
        return compact_json({"written": written, "count": self._index.count()})

    def delete(self, ids: Ids) -> str:
        """Delete documents by their ids; unknown ones are no error."""
        with _refusals():
            known = [record.document.id for record in self._index.get(list(dict.fromkeys(ids)))]
            self._index.delete(known)
            self._index.flush()
        return compact_json({"deleted": len(known), "count": self._index.count()})


@contextmanager
def _refusals() -> Iterator[None]:
    """Tell an agent what was wrong with what it asked; other errors stay in the server's log."""
    try:
        yield
    except RequestError as error:
        raise ToolError(error.message) from error
    except (M3Error, TypeError, ValueError) as error:
        raise ToolError(str(error)) from error


def _rounded(score: float) -> float:
    return round(score, _DIGITS)


def _filter(where: Mapping[str, Any] | None) -> Filter | None:
    return None if where is None else filter_from_json(where)


def _answer(name: str, fitted: Fitted, **more: Any) -> str:
    answer: dict[str, Any] = {name: fitted.entries}
    answer |= {key: value for key, value in more.items() if value}
    if fitted.left_out is not None:
        answer["left_out"] = fitted.left_out
    return compact_json(answer)
