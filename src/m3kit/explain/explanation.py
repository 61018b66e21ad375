"""An explanation, and how it is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from m3kit._html import explanation_style, mark_tokens
from m3kit.explain.picture import Picture
from m3kit.explain.values import Alignment, Match, Tokens
from m3kit.records import Json
from m3kit.scoring import scores
from m3kit.vectors import REPS, Floats, M3Output, Rep, Sparse


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    The parts of a document's scores.

    Args:
        scores: For each representation that query and document both carry.
        matches: Largest products first; they add up to the sparse score.
        alignment: In the query's order; the mean of the similarities is the ColBERT score.
        query_tokens: The query's tokens, with CLS and EOS.
        document_tokens: The document's.
        similarity: The inner products of all ColBERT vectors, shape
            `(query rows, document rows)`; the rows are those of `alignment`, and of the document's
            tokens from position 1. None where one of them carries no ColBERT.
    """

    scores: Mapping[Rep, float]
    matches: tuple[Match, ...]
    alignment: tuple[Alignment, ...]
    query_tokens: Tokens = field(default=(), repr=False)
    document_tokens: Tokens = field(default=(), repr=False)
    similarity: Floats | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Json]:
        """Return scores, matches and alignment as the command line and the server print them."""
        return {
            "scores": {rep: self.scores[rep] for rep in REPS if rep in self.scores},
            "matches": [{**asdict(match), "product": match.product} for match in self.matches],
            "alignment": [asdict(row) for row in self.alignment],
        }

    def to_html(self, query: str = "", document: str = "") -> str:
        """
        Return the explanation as an HTML element without scripts or style; its texts are escaped.

        It needs the style sheet that `explanation_page` has, and the playground.

        Args:
            query: The query's text, shown with its tokens marked by weight.
            document: The document's text, shown with the matched tokens marked by their product.
        """
        products = {match.token_id: match.product for match in self.matches}
        query_weights = {match.token_id: match.query_weight for match in self.matches}
        rows = self.similarity
        return Picture(
            scores=self.scores,
            matches=self.matches,
            alignment=self.alignment,
            similarity=rows,
            columns=() if rows is None else rows_of_tokens(rows.shape[1], self.document_tokens),
            query=mark_tokens(query, self.query_tokens[1:-1], query_weights),
            document=mark_tokens(document, self.document_tokens[1:-1], products),
        ).to_html()

    def _repr_html_(self) -> str:
        return explanation_style() + self.to_html()


def explain(
    query: M3Output, document: M3Output, query_tokens: Tokens, document_tokens: Tokens
) -> Explanation:
    """
    Explain the scores of a document.

    A document that was encoded with a smaller length limit has fewer ColBERT rows than
    `document_tokens`; its rows then belong to the first tokens and to EOS.

    Args:
        query: The encoded query.
        document: The encoded document.
        query_tokens: The query's tokens, as the encoder gives them.
        document_tokens: The document's.

    Raises:
        ValueError: If there are more ColBERT vectors than tokens.
    """
    similarity = _similarity(query.colbert, document.colbert)
    return Explanation(
        scores={
            rep: float(scores(rep, query, [document])[0])
            for rep in REPS
            if rep in query.reps & document.reps
        },
        matches=_matches(query.sparse, document.sparse, dict(query_tokens)),
        alignment=_alignment(similarity, query_tokens, document_tokens),
        query_tokens=tuple(query_tokens),
        document_tokens=tuple(document_tokens),
        similarity=similarity,
    )


def _matches(
    query: Sparse | None, document: Sparse | None, names: Mapping[int, str]
) -> tuple[Match, ...]:
    if query is None or document is None:
        return ()
    weights = document.to_dict()
    matches = [
        Match(names[id_], id_, weight, weights[id_])
        for id_, weight in query.to_dict().items()
        if id_ in weights
    ]
    return tuple(sorted(matches, key=lambda match: (-match.product, match.token_id)))


def _similarity(query: Floats | None, document: Floats | None) -> Floats | None:
    return None if query is None or document is None else query @ document.T


def _alignment(
    similarity: Floats | None, query_tokens: Tokens, document_tokens: Tokens
) -> tuple[Alignment, ...]:
    if similarity is None:
        return ()
    query_rows = rows_of_tokens(similarity.shape[0], query_tokens)
    document_rows = rows_of_tokens(similarity.shape[1], document_tokens)
    best = similarity.argmax(axis=1)
    return tuple(
        Alignment(token, document_rows[nearest], int(nearest) + 1, float(similarity[row, nearest]))
        for row, (token, nearest) in enumerate(zip(query_rows, best, strict=True))
    )


def rows_of_tokens(rows: int, tokens: Tokens) -> list[str]:
    """Return the token of each ColBERT row: CLS has none, and the last row is always EOS."""
    texts = [text for _, text in tokens[1:]]
    if rows > len(texts):
        raise ValueError(
            f"{rows} ColBERT vectors for {len(texts)} tokens: they belong to another text or "
            "another model"
        )
    return [*texts[: rows - 1], texts[-1]]
