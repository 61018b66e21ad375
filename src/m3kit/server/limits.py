"""How much a server takes on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """
    The limits of a server; what is beyond them is refused, not queued.

    Args:
        body_bytes: Of a request.
        texts: In a request.
        characters: In a text.
        requests: Under way at once, in all stages.
        queue_tokens: Accepted and not yet answered, over all requests. ColBERT takes 4 KiB of
            memory for each; a larger request without it is taken while there is no other.
        batch_tokens: In one forward pass; by default as many as the encoder takes offline.
        pairs: That wait for the reranker.
        deadline: Seconds from a request's first byte to its answer's last.
        hits: That a search returns, and candidates that it looks at.
        threads: Searches, scorings and other work beside the model at once.

    Raises:
        ValueError: If one is not above zero.
    """

    body_bytes: int = 4 * 2**20
    texts: int = 2048
    characters: int = 200_000
    requests: int = 256
    queue_tokens: int = 65_536
    batch_tokens: int | None = None
    pairs: int = 4096
    deadline: float = 120.0
    hits: int = 1000
    threads: int = 8

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"{name} is above 0, not {value}")
