"""`RemoteEncoder`: an `m3kit.Encoder` whose model is behind a URL."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

from m3kit._batching import chunked
from m3kit._truncation import Truncation, report
from m3kit.index import RepresentationError
from m3kit.remote.connection import Connection
from m3kit.remote.dialects import DIALECTS, Answer, Api, Kind, Request, recognised
from m3kit.remote.errors import RemoteError, TooLargeError
from m3kit.vectors import REPS, M3Output, Rep

_CHARACTERS = 65_536
"""Of the texts of a request."""


class RemoteEncoder:
    """
    An encoder that is elsewhere: `m3kit serve`, or a server of TEI's, vLLM's or OpenAI's API.

    One instance may serve many threads, and can be pickled. Of m3kit's servers the vectors are
    those of the model there, in float32. Others give what they have: `reps` says it, and the error
    of a representation that is missing says why.

    Args:
        url: `"http://127.0.0.1:8080"`; a `/v1` at its end is left out.
        api: Which API the server has; by default it is asked.
        api_key: What the server wants to be shown.
        model: What `model` says, where the server's own name is not the one in an index:
            `"BAAI/bge-m3@5617a9f6"`.
        timeout: Seconds for an answer.
        attempts: How many times a request is sent at most, if the server is full or the connection
            breaks.
        batch_texts: Texts of a request; longer lists are sent in several.
        connections: Requests at once.

    Raises:
        RemoteError: If there is no answer, or it is not one of an encoder.
    """

    def __init__(
        self,
        url: str,
        *,
        api: Literal["auto"] | Api = "auto",
        api_key: str | None = None,
        model: str | None = None,
        timeout: float = 120.0,
        attempts: int = 6,
        batch_texts: int = 64,
        connections: int = 4,
    ) -> None:
        if api != "auto" and api not in DIALECTS:
            raise ValueError(f"api is auto, {', '.join(DIALECTS)}, not {api!r}")
        self._connection = Connection(
            url.rstrip("/").removesuffix("/v1"),
            api_key=api_key,
            timeout=timeout,
            attempts=attempts,
            connections=connections,
        )
        self._api: Api = recognised(self._connection) if api == "auto" else api
        self._about = DIALECTS[self._api].about(self._connection)
        self._model = model
        self._batch_texts = batch_texts
        self._connections = connections

    @property
    def model(self) -> str:
        """The model's name, as the server says it or `model` did."""
        return self._model or self._about.model

    @property
    def dim(self) -> int:
        """Width of the dense vector."""
        return self._about.dim

    @property
    def reps(self) -> frozenset[Rep]:
        """What the server gives."""
        return self._about.reps

    def encode_queries(
        self,
        texts: Sequence[str],
        reps: Collection[Rep] | None = None,
        *,
        max_length: int | None = None,
    ) -> list[M3Output]:
        """
        Encode what people ask, computing only `reps`.

        Args:
            texts: A list of str.
            reps: What to compute; None is all that the server gives.
            max_length: Tokens of a text, special ones included; by default the server's limit.

        Raises:
            RepresentationError: If the server does not give one of `reps`.
            RemoteError: If there is no answer.
            TypeError: If `texts` is not a list of str, or the server takes no `max_length`.
        """
        return list(self._encoded(_checked(texts), self._wanted(reps), "query", max_length))

    def encode_documents(
        self,
        texts: Sequence[str],
        reps: Collection[Rep] | None = None,
        *,
        max_length: int | None = None,
    ) -> list[M3Output]:
        """
        Encode what is searched, as `encode_queries` does queries.

        Args:
            texts: A list of str.
            reps: What to compute; None is all that the server gives.
            max_length: Tokens of a text, special ones included; by default the server's limit.

        Raises:
            RepresentationError: If the server does not give one of `reps`.
            RemoteError: If there is no answer.
            TypeError: If `texts` is not a list of str, or the server takes no `max_length`.
        """
        return list(self._encoded(_checked(texts), self._wanted(reps), "document", max_length))

    def query_tokens(self, text: str) -> list[tuple[int, str]]:
        """
        Return id and text of each token of a query, as the model reads it.

        Raises:
            RemoteError: If the server does not give them.
        """
        return self._tokens(text, "query")

    def document_tokens(self, text: str) -> list[tuple[int, str]]:
        """Return id and text of each token of a document, as `query_tokens` does of a query."""
        return self._tokens(text, "document")

    def close(self) -> None:
        """Close the connections; the next call opens them again."""
        self._connection.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.url!r})"

    def _encoded(
        self, texts: list[str], reps: Collection[Rep], kind: Kind, max_length: int | None
    ) -> Iterator[M3Output]:
        def encode(batch: list[str]) -> Answer:
            return self._request(Request(batch, reps, kind, max_length))

        least = -(-_CHARACTERS // self._batch_texts)
        requests = list(chunked(texts, size=lambda text: max(least, len(text)), budget=_CHARACTERS))
        if len(requests) <= 1:
            answers = [encode(batch) for batch in requests]
        else:
            with ThreadPoolExecutor(min(self._connections, len(requests))) as pool:
                answers = list(pool.map(encode, requests))
        self._report(len(texts), answers, kind, max_length)
        return (output for answer in answers for output in answer.outputs)

    def _request(self, request: Request) -> Answer:
        """Send a request, or two for its halves where the server says that it is too large."""
        texts = request.texts
        try:
            answer = DIALECTS[self._api].encode(self._connection, self._about, request)
        except TooLargeError:
            if len(texts) == 1:
                raise
            half = len(texts) // 2
            first, second = (
                self._request(replace(request, texts=batch))
                for batch in (texts[:half], texts[half:])
            )
            return Answer(
                first.outputs + second.outputs,
                first.truncated + second.truncated,
                max(first.longest, second.longest),
            )
        if len(answer.outputs) != len(texts):
            raise RemoteError(
                f"{self._connection.url} gave {len(answer.outputs)} outputs for {len(texts)} texts"
            )
        return answer

    def _report(
        self, texts: int, answers: Sequence[Answer], kind: Kind, max_length: int | None
    ) -> None:
        cut = sum(answer.truncated for answer in answers)
        longest = max((answer.longest for answer in answers), default=0)
        limits = [limit for limit in (max_length, self._about.limits.get(kind)) if limit]
        report(Truncation(texts, cut, longest, min(limits, default=longest), "split them"))

    def _wanted(self, reps: Collection[Rep] | None) -> Collection[Rep]:
        if reps is None:
            return [rep for rep in REPS if rep in self.reps]
        if isinstance(reps, str) or not reps or any(rep not in REPS for rep in reps):
            raise RepresentationError(
                f'reps are at least one of {REPS} in a tuple, ("dense",), not {reps!r}'
            )
        for rep in REPS:
            if rep in reps and rep not in self.reps:
                raise RepresentationError(
                    f"{self._connection.url} gives no {rep} vectors: {self._about.lacking[rep]}; "
                    "serve the model with `m3kit serve`"
                )
        return [rep for rep in REPS if rep in reps]

    def _tokens(self, text: str, kind: Kind) -> list[tuple[int, str]]:
        body: dict[str, Any] = {"inputs": _checked([text])}
        if kind == "query" and self._api == "m3kit":
            body["prompt_name"] = "query"
        answer = self._connection.post("/tokenize", body)
        if not isinstance(answer, list):
            raise RemoteError(f"{self._connection.url} does not give its tokens")
        return [(token["id"], token["text"]) for token in answer[0]]


def _checked(texts: Iterable[str]) -> list[str]:
    if isinstance(texts, str | bytes):
        raise TypeError(f"give a list of texts, not one {type(texts).__name__}: [text]")
    checked = list(texts)
    for position, text in enumerate(checked):
        if not isinstance(text, str):
            raise TypeError(f"texts[{position}] is a {type(text).__name__}, not a str")
    return [_without_lone_surrogates(text) for text in checked]


def _without_lone_surrogates(text: str) -> str:
    """Replace what no encoding of text can hold, as every encoder of m3kit does."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
