"""Explanations over a server's index."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from m3kit.encoder import Encoder, ReadsTokens
from m3kit.explain import Explanation, explain
from m3kit.index import HybridIndex, check_model
from m3kit.records import Document
from m3kit.server.errors import RequestError, unsupported
from m3kit.vectors import M3Output, Rep


def token_reader(encoder: Encoder) -> ReadsTokens:
    """
    Return an encoder that tells its tokens.

    Raises:
        RequestError: If this one does not.
    """
    if not isinstance(encoder, ReadsTokens):
        raise unsupported("this encoder does not give its tokens")
    return encoder


def explain_document(
    index: HybridIndex, model: Encoder, tokens: ReadsTokens, query: str, id_: str
) -> tuple[Document, Explanation]:
    """
    Explain the scores of a document for a query; vectors that the index lacks are made anew.

    Args:
        index: Where the document is.
        model: What encodes.
        tokens: The same encoder, which tells tokens.
        query: The query's text.
        id_: The document's id.

    Raises:
        RequestError: With the status 404, if there is no such document.
    """
    check_model(index.model, model.model, "the index")
    records = index.get([id_], index.reps & model.reps)
    if not records:
        raise RequestError(404, "not_found", "there is no document of this id")
    ((document, output),) = ((record.document, record.output) for record in records)
    (encoded,) = model.encode_queries([query])
    explanation = explain(
        encoded,
        _completed(output, document.text, model, model.reps - output.reps),
        tokens.query_tokens(query),
        tokens.document_tokens(document.text),
    )
    return document, explanation


def _completed(output: M3Output, text: str, model: Encoder, missing: Collection[Rep]) -> M3Output:
    if not missing:
        return output
    (made,) = model.encode_documents([text], missing)
    return replace(output, **{rep: getattr(made, rep) for rep in missing})
